/* matmul_run.inl.h -- cuts products into tasks and tiles: matmul.h includes it behind the kernels.
 *
 * Nothing here touches the order of a sum: tasks and panels split the outputs, tiles split rows and
 * outputs, and a chunk of k hands its unfinished sums to the next one. */

enum {
    MATMUL_TASKS_PER_THREAD = 4,
    MATMUL_PAIR = 8,             /* outputs whose weights stay in the first-level cache: 2 tiles */
    MATMUL_CHUNK = 640,          /* k of a tile pass, so that they do */
    MATMUL_PANEL_FLOATS = 49152, /* expanded weights of a task, for the second-level cache */
    MATMUL_BLOCK_FLOATS = 32768, /* rows of x that pass by each pair of a panel, for it as well */
    MATMUL_BLOCK_ROWS = 96,      /* at most this many of them */
    MATMUL_MAX_TILE_ROWS = 6,
    MATMUL_BATCH_JOBS = 8
};

typedef struct matmul_plan {
    const matmul_job *job;
    const matmul_kernels *kernels;
    const matmul_row_kernels *type;
    size_t row_bytes;
    int64_t padded_k; /* a multiple of 32 */
    int64_t task_outputs, panel_outputs, block_rows;
    int32_t first_task, tasks;
} matmul_plan;

typedef struct matmul_batch {
    const matmul_plan *plans;
    float *scratch;
    size_t task_floats;
} matmul_batch;

static inline int64_t matmul_round_up(int64_t value, int64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

static inline int64_t matmul_min(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- One row: straight from the stored weights ---- */

static void matmul_one_row(const matmul_plan *p, const float *x, float *y, int64_t begin,
                           int64_t end)
{
    const uint8_t *weights = (const uint8_t *)p->job->weights;
    for (int64_t n = begin; n < end; n += 4) {
        const uint8_t *rows[4];
        float sums[4];
        int64_t count = matmul_min(4, end - n);
        for (int64_t j = 0; j < 4; j++)
            rows[j] = weights + (size_t)(n + matmul_min(j, count - 1)) * p->row_bytes;
        p->type->dot(rows, p->job->k, x, sums);
        for (int64_t j = 0; j < count; j++)
            y[n + j] = p->job->bias ? sums[j] + p->job->bias[n + j] : sums[j];
    }
}

#ifdef DECODE_USE_CBLAS

/* ---- Many rows: by CBLAS over a panel of expanded weights ---- */

static void matmul_many_rows(const matmul_plan *p, int64_t begin, int64_t end, float *scratch)
{
    const matmul_job *job = p->job;
    for (int64_t n = begin; n < end; n += p->panel_outputs) {
        int64_t count = matmul_min(p->panel_outputs, end - n);
        for (int64_t j = 0; j < count; j++)
            weight_row_to_f32(job->type,
                              (const uint8_t *)job->weights + (size_t)(n + j) * p->row_bytes,
                              scratch + j * job->k, (size_t)job->k);
        for (int64_t r = 0; job->bias && r < job->rows; r++)
            memcpy(job->y + r * job->y_stride + n, job->bias + n, (size_t)count * sizeof(float));
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)job->rows, (int)count,
                    (int)job->k, 1.0f, job->x, (int)job->x_stride, scratch, (int)job->k,
                    job->bias ? 1.0f : 0.0f, job->y + n, (int)job->y_stride);
    }
}

#else

/* ---- Many rows: tiles over a panel of expanded weights ---- */

/* Four rows of weights at a time, their vectors interleaved; rows beyond `end` are zero. */
static void matmul_expand_panel(const matmul_plan *p, int64_t begin, int64_t end, float *panel)
{
    const uint8_t *weights = (const uint8_t *)p->job->weights;
    int64_t tiles = (end - begin + 3) / 4;
    for (int64_t n = 0; n < 4 * tiles; n++) {
        float *dst = panel + n / 4 * 4 * p->padded_k + n % 4 * p->kernels->lanes;
        if (begin + n < end)
            p->type->expand(weights + (size_t)(begin + n) * p->row_bytes, p->job->k, dst);
        else
            for (int64_t i = 0; i < p->padded_k; i += p->kernels->lanes)
                memset(dst + 4 * i, 0, (size_t)p->kernels->lanes * sizeof *dst);
    }
}

static void matmul_store_tile(const matmul_job *job, const float *sums, int64_t row, int64_t rows,
                              int64_t n, int64_t count)
{
    for (int64_t i = 0; i < rows; i++) {
        float *y = job->y + (row + i) * job->y_stride + n;
        for (int64_t j = 0; j < count; j++)
            y[j] = job->bias ? sums[4 * i + j] + job->bias[n + j] : sums[4 * i + j];
    }
}

/* Rows [row, row_end) times the outputs [n, end), at most MATMUL_PAIR of them. */
static void matmul_pair_of_tiles(const matmul_plan *p, int64_t row, int64_t row_end, int64_t n,
                                 int64_t end, const float *panel, float *acc)
{
    const matmul_job *job = p->job;
    int64_t chunks = (job->k + MATMUL_CHUNK - 1) / MATMUL_CHUNK;
    int64_t chunk = matmul_round_up((job->k + chunks - 1) / chunks, 32);
    float sums[4 * MATMUL_MAX_TILE_ROWS];
    for (int64_t k = 0; k < job->k; k += chunk) {
        matmul_tile t;
        float *place = acc;
        t.x_stride = job->x_stride;
        t.k = matmul_min(chunk, job->k - k);
        t.first = k == 0;
        t.last = k + chunk >= job->k;
        t.y = sums;
        for (int64_t r = row; r < row_end; r += p->kernels->tile_rows) {
            int64_t rows = matmul_min(p->kernels->tile_rows, row_end - r);
            t.x = job->x + r * job->x_stride + k;
            for (int64_t tile = n; tile < end; tile += 4) {
                t.panel = panel + (tile - n) * p->padded_k + 4 * k;
                t.acc = place;
                p->kernels->tile((int)rows, &t);
                if (t.last) matmul_store_tile(job, sums, r, rows, tile, matmul_min(4, end - tile));
                place += 4 * rows * p->kernels->lanes;
            }
        }
    }
}

static void matmul_many_rows(const matmul_plan *p, int64_t begin, int64_t end, float *scratch)
{
    const matmul_job *job = p->job;
    float *acc = scratch + p->panel_outputs * p->padded_k;
    for (int64_t n = begin; n < end; n += p->panel_outputs) {
        int64_t panel_end = matmul_min(n + p->panel_outputs, end);
        matmul_expand_panel(p, n, panel_end, scratch);
        for (int64_t row = 0; row < job->rows; row += p->block_rows) {
            int64_t row_end = matmul_min(row + p->block_rows, job->rows);
            for (int64_t pair = n; pair < panel_end; pair += MATMUL_PAIR)
                matmul_pair_of_tiles(p, row, row_end, pair,
                                     matmul_min(pair + MATMUL_PAIR, panel_end),
                                     scratch + (pair - n) * p->padded_k, acc);
        }
    }
}

#endif

/* ---- Tasks ---- */

static void matmul_task(void *arg, int32_t i)
{
    const matmul_batch *batch = (const matmul_batch *)arg;
    int32_t j = 0;
    while (i >= batch->plans[j].first_task + batch->plans[j].tasks) j++;
    const matmul_plan *p = &batch->plans[j];
    int64_t begin = (i - p->first_task) * p->task_outputs;
    int64_t end = matmul_min(begin + p->task_outputs, p->job->n);
    if (p->job->rows == 1) {
        matmul_one_row(p, p->job->x, p->job->y, begin, end);
        return;
    }
    float *scratch = batch->scratch + (size_t)i * batch->task_floats;
    matmul_many_rows(p, begin, end, scratch);
}

static int matmul_plan_job(const matmul_engine *e, const matmul_job *job, matmul_plan *p)
{
    p->job = job;
    p->kernels = matmul_kernels_of(e->tier);
    p->type = NULL;
    for (int i = 0; i < 11; i++)
        if (p->kernels->types[i].type == job->type) p->type = &p->kernels->types[i];
    if (!p->type || job->n < 0 || job->k < 1 || job->rows < 0 || job->k > INT32_MAX ||
        job->n > INT32_MAX || weight_row_bytes(job->type, (uint64_t)job->k, &p->row_bytes) != 0)
        return -1;
    p->padded_k = matmul_round_up(job->k, 32);
    int64_t shares = e->threads > 1 && e->parallel ? e->threads * MATMUL_TASKS_PER_THREAD : 1;
    p->task_outputs = matmul_round_up((job->n + shares - 1) / shares, MATMUL_PAIR);
    p->tasks = job->rows > 0 && job->n > 0
                   ? (int32_t)((job->n + p->task_outputs - 1) / p->task_outputs)
                   : 0;
    int64_t fit = MATMUL_PANEL_FLOATS / (p->padded_k + 1) / MATMUL_PAIR * MATMUL_PAIR;
    p->panel_outputs = matmul_min(fit > MATMUL_PAIR ? fit : MATMUL_PAIR, p->task_outputs);
    int64_t block = MATMUL_BLOCK_FLOATS / p->padded_k / 12 * 12;
    p->block_rows = block < 24 ? 24 : matmul_min(block, MATMUL_BLOCK_ROWS);
    return 0;
}

static size_t matmul_scratch_need(const matmul_plan *p)
{
    int64_t acc = (int64_t)MATMUL_BLOCK_ROWS * MATMUL_PAIR * p->kernels->lanes;
    if (p->job->rows < 2) return 0;
    return (size_t)matmul_round_up(p->panel_outputs * p->padded_k + acc, 16);
}

/* Keeps the old scratch when memory runs out. */
static int matmul_reserve(matmul_engine *e, size_t floats)
{
    if (floats <= e->scratch_floats) return 0;
    if (floats > SIZE_MAX / sizeof(float) - 64) return -1;
    float *scratch = (float *)malloc(floats * sizeof(float) + 64);
    if (!scratch) return -1;
    free(e->scratch);
    e->scratch = scratch;
    e->scratch_floats = floats;
    return 0;
}

static inline void matmul_release(matmul_engine *e)
{
    free(e->scratch);
    e->scratch = NULL;
    e->scratch_floats = 0;
}

static int matmul_run_batch(matmul_engine *e, const matmul_job *jobs, int32_t count)
{
    matmul_plan plans[MATMUL_BATCH_JOBS];
    matmul_batch batch = {plans, NULL, 0};
    int32_t tasks = 0;
    for (int32_t i = 0; i < count; i++) {
        if (matmul_plan_job(e, &jobs[i], &plans[i]) != 0) return -1;
        size_t need = matmul_scratch_need(&plans[i]);
        if (need > batch.task_floats) batch.task_floats = need;
        plans[i].first_task = tasks;
        tasks += plans[i].tasks;
    }
    if (tasks > 0 && batch.task_floats > SIZE_MAX / 8 / (size_t)tasks) return -1;
    if (matmul_reserve(e, batch.task_floats * (size_t)tasks) != 0) return -1;
    if (e->scratch) batch.scratch = (float *)(((uintptr_t)e->scratch + 63) & ~(uintptr_t)63);
    if (e->parallel && tasks > 1)
        e->parallel(e->user, matmul_task, &batch, tasks);
    else
        for (int32_t i = 0; i < tasks; i++) matmul_task(&batch, i);
    return 0;
}

static inline int matmul_run(matmul_engine *e, const matmul_job *jobs, int32_t count)
{
    for (int32_t i = 0; i < count; i += MATMUL_BATCH_JOBS) {
        int32_t part = count - i < MATMUL_BATCH_JOBS ? count - i : MATMUL_BATCH_JOBS;
        if (matmul_run_batch(e, jobs + i, part) != 0) return -1;
    }
    return 0;
}
