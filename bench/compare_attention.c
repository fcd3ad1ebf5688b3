/* compare_attention.c -- one attention problem on every back-end that the machine has, against one
 * fp64 reference: the 27 FlyDSL shapes x f16, bf16 x full, causal, or one shape of yours.
 *
 *     cc -O3 bench/compare_attention.c -o compare_attention -lm -lpthread -ldl
 *     ./compare_attention --kernels build/kernels --csv compare.csv
 *     ./compare_attention --backends cpu,hip --kernels build/kernels --shape 2,1000,16,4,64
 *
 * A row passes as FlyDSL's test has it, error below 1e-2 and cosine above 0.99 in every row that is
 * looked at, and within the bound of tests/bounds.h. Rows looked at are spread over batch, position
 * and head, the last one always; the reference computes these alone. Times are host clocks around
 * calls that end in a wait; flops are 4 D for each visible pair of query and key. */
#define AITER_ATTN_HIP
#define AITER_ATTN_CUDA
#ifndef AITER_TEST_HEADER
#define AITER_TEST_HEADER "../aiter_attn.h"
#endif
#include "../tests/test.h"

#include "../tests/reference.c"

#include "../tests/bounds.h"
#include "bench_gpu.h"

enum { PERIOD = 65521, SPOTS = 16, MOST_D = 256, MOST_SAMPLES = 101, Q = 0, K, V, OUT, TENSORS };

typedef struct shape {
    int64_t b, s, h, hk, d; /* d 0: that of --dim */
} shape;

/* In the order of FlyDSL's own list. */
static const shape sweep_shapes[] = {
    {16, 8192, 64, 64, 0}, {16, 8192, 64, 8, 0}, {2, 1024, 64, 64, 0}, {8, 128, 64, 64, 0},
    {8, 256, 64, 64, 0},   {8, 512, 64, 64, 0},  {1, 128, 64, 64, 0},  {1, 256, 64, 64, 0},
    {1, 384, 64, 64, 0},   {1, 512, 64, 64, 0},  {1, 1024, 64, 64, 0}, {1, 2048, 64, 64, 0},
    {1, 4096, 64, 64, 0},  {1, 8192, 64, 64, 0}, {4, 8192, 64, 64, 0}, {1, 2048, 32, 32, 0},
    {1, 4096, 32, 32, 0},  {1, 8192, 32, 32, 0}, {8, 8192, 32, 32, 0}, {16, 8192, 16, 16, 0},
    {1, 8192, 16, 16, 0},  {1, 2048, 16, 16, 0}, {1, 4096, 16, 16, 0}, {1, 2048, 8, 8, 0},
    {1, 4096, 8, 8, 0},    {1, 8192, 8, 8, 0},   {32, 8192, 8, 8, 0}};
/* For an emulator: a group, rows and keys beside a tile's edge. */
static const shape small_shapes[] = {
    {2, 65, 4, 2, 0}, {1, 200, 3, 1, 0}, {1, 129, 2, 2, 0}, {1, 520, 2, 1, 0}};

typedef struct backend {
    const char *name;
    aiter_device device;
    int wanted; /* named by --backends: its absence is an error */
    aiter_context *ctx;
    double most_flops; /* of a call; larger ones are left out */
    void *data[TENSORS];
} backend;

static backend backends[] = {{"cpu", AITER_DEVICE_CPU, 0, NULL, 4e10, {NULL}},
                             {"hip", AITER_DEVICE_HIP, 0, NULL, 1e300, {NULL}},
                             {"cuda", AITER_DEVICE_CUDA, 0, NULL, 1e300, {NULL}}};
enum { BACKENDS = sizeof backends / sizeof backends[0] };

static struct options {
    const char *kernels, *csv;
    int named; /* --backends was given */
    const shape *shapes;
    int shape_count, samples;
    shape one;
    int64_t dim;
    const char *type; /* NULL: both */
} options;

/* One of the problems, and what fp64 says about a few of its rows. */
typedef struct problem {
    shape p;
    aiter_dtype type;
    int causal;
    double flops;
    int64_t at[SPOTS]; /* in out, in rows of d elements */
    double out[SPOTS][MOST_D], abs_out[SPOTS][MOST_D];
    ref_facts facts[SPOTS];
} problem;

typedef struct verdict {
    aiter_status status;
    double error, ratio, cosine, seconds; /* ratio: of its bound; seconds 0: not timed */
} verdict;

/* ---- the values: q, k and v each repeat PERIOD numbers, a prime, so no two rows are equal ---- */

static uint16_t stored[3][PERIOD];
static double values[3][PERIOD];

static void make_values(aiter_dtype type)
{
    uint32_t seed = 123;
    for (int t = Q; t <= V; t++)
        for (int i = 0; i < PERIOD; i++) {
            seed = seed * 1664525u + 1013904223u;
            ref_store(type, stored[t], i, (double)(seed >> 8) / 8388608.0 - 1);
            values[t][i] = ref_load(type, stored[t], i);
        }
}

/* `count` <= PERIOD. */
static void read_values(int tensor, int64_t from, int64_t count, double *to)
{
    const int64_t at = from % PERIOD, rest = PERIOD - at, first = count < rest ? count : rest;
    memcpy(to, &values[tensor][at], (size_t)first * sizeof *to);
    memcpy(to + first, values[tensor], (size_t)(count - first) * sizeof *to);
}

static int64_t elements(const shape *p, int tensor)
{
    return p->b * p->s * (tensor == K || tensor == V ? p->hk : p->h) * p->d;
}

/* The numbers go over once; the rest is copied where it lies. */
static void fill(const backend *b, int tensor, int64_t count)
{
    char *to = (char *)b->data[tensor];
    int64_t done = count < PERIOD ? count : PERIOD, more;
    must(aiter_memory_copy(b->ctx, to, AITER_MEMORY_DEVICE, stored[tensor], AITER_MEMORY_HOST,
                           (size_t)done * 2));
    for (; done < count; done += more) {
        more = count - done < done ? count - done : done;
        must(aiter_memory_copy(b->ctx, to + done * 2, AITER_MEMORY_DEVICE, to, AITER_MEMORY_DEVICE,
                               (size_t)more * 2));
    }
    must(aiter_context_synchronize(b->ctx));
}

/* ---- the reference ---- */

static double flops_of(const shape *p, int causal)
{
    return 4.0 * (double)(p->b * p->h * p->d * p->s) * (double)(causal ? p->s + 1 : 2 * p->s) / 2;
}

static void expect_row(problem *p, int spot, double *work)
{
    const shape *s = &p->p;
    const int64_t n = spot, b = (n * 5 + s->b - 1) % s->b, h = (n * 13 + 3) % s->h;
    const int64_t i = n == 0 ? s->s - 1 : n * 7919 % s->s, hk = h / (s->h / s->hk);
    double *q = work, *k = q + s->d, *v = k + s->s * s->d, lse;
    ref_row row;
    memset(&row, 0, sizeof row);
    p->at[spot] = (b * s->s + i) * s->h + h;
    read_values(Q, p->at[spot] * s->d, s->d, q);
    for (int64_t j = 0; j < s->s; j++) {
        const int64_t at = ((b * s->s + j) * s->hk + hk) * s->d;
        read_values(K, at, s->d, k + j * s->d);
        read_values(V, at, s->d, v + j * s->d);
    }
    row.i = i, row.sq = row.sk = s->s, row.dq = row.dv = s->d;
    row.q = q, row.k = k, row.v = v;
    row.mask.kind = p->causal ? AITER_MASK_CAUSAL : AITER_MASK_NONE;
    row.scale = 1 / sqrt((double)s->d);
    ref_attention_row(&row, v + s->s * s->d, p->out[spot], p->abs_out[spot], &lse, &p->facts[spot]);
}

static void expect(problem *p)
{
    const size_t count = (size_t)(p->p.d + 2 * p->p.s * p->p.d + p->p.s);
    double *work = (double *)malloc(count * sizeof *work);
    if (!work) must(AITER_OUT_OF_MEMORY);
    p->flops = flops_of(&p->p, p->causal);
    for (int i = 0; i < SPOTS; i++) expect_row(p, i, work);
    free(work);
}

/* ---- one problem on one back-end ---- */

static aiter_flash_attn_fwd_args arguments(const backend *b, const problem *p)
{
    const shape *s = &p->p;
    aiter_flash_attn_fwd_args a;
    memset(&a, 0, sizeof a);
    a.q = aiter_tensor_4d(b->data[Q], p->type, s->b, s->s, s->h, s->d);
    a.kv.k = aiter_tensor_4d(b->data[K], p->type, s->b, s->s, s->hk, s->d);
    a.kv.v = aiter_tensor_4d(b->data[V], p->type, s->b, s->s, s->hk, s->d);
    a.out = aiter_tensor_4d(b->data[OUT], p->type, s->b, s->s, s->h, s->d);
    a.score.mask = p->causal ? AITER_MASK_CAUSAL : AITER_MASK_NONE;
    return a;
}

static void judge_row(const backend *b, const problem *p, int spot, const uint16_t *got, verdict *v)
{
    /* Matrix units take the softmax weights rounded to the type. */
    const double weight = p->type == AITER_BF16 ? 1.0 / 256 : 1.0 / 2048;
    double dot = 0, gg = 0, ee = 0;
    for (int64_t d = 0; d < p->p.d; d++) {
        const double e = p->out[spot][d], g = ref_load(p->type, got, d), error = fabs(g - e);
        const double bound =
            bound_out(&p->facts[spot], p->p.d, 0, p->type, e, p->abs_out[spot][d]) +
            (b->device == AITER_DEVICE_CPU ? 0 : weight * p->abs_out[spot][d]);
        v->error = error <= v->error ? v->error : is_nan(error) ? 1e9 : error;
        v->ratio = error / bound <= v->ratio ? v->ratio : is_nan(error) ? 1e9 : error / bound;
        dot += g * e, gg += g * g, ee += e * e;
    }
    dot = gg > 0 ? dot / sqrt(gg * ee) : 0;
    v->cosine = dot >= v->cosine ? v->cosine : is_nan(dot) ? -1 : dot;
}

/* The rows are NaN before the call: those of an earlier one cannot pass. */
static verdict run_checked(const backend *b, const problem *p, const aiter_flash_attn_fwd_args *a)
{
    static uint16_t nan[MOST_D], got[SPOTS][MOST_D];
    const size_t bytes = (size_t)p->p.d * 2;
    verdict v = {AITER_OK, 0, 0, 1, 0};
    memset(nan, 0xFF, sizeof nan);
    for (int i = 0; i < SPOTS; i++)
        must(aiter_memory_copy(b->ctx, (char *)b->data[OUT] + p->at[i] * (int64_t)bytes,
                               AITER_MEMORY_DEVICE, nan, AITER_MEMORY_HOST, bytes));
    must(aiter_context_synchronize(b->ctx));
    v.status = aiter_flash_attn_fwd(a, b->ctx);
    if (v.status != AITER_OK) return v;
    for (int i = 0; i < SPOTS; i++)
        must(aiter_memory_copy(b->ctx, got[i], AITER_MEMORY_HOST,
                               (char *)b->data[OUT] + p->at[i] * (int64_t)bytes,
                               AITER_MEMORY_DEVICE, bytes));
    must(aiter_context_synchronize(b->ctx));
    for (int i = 0; i < SPOTS; i++) judge_row(b, p, i, got[i], &v);
    return v;
}

static double timed(const backend *b, const aiter_flash_attn_fwd_args *a, int calls)
{
    const double start = now();
    for (int i = 0; i < calls; i++) must(aiter_flash_attn_fwd(a, b->ctx));
    must(aiter_context_synchronize(b->ctx));
    return (now() - start) / calls;
}

/* Samples of 2 ms or one call. The CPU is there to be compared, so it has a quarter of a second. */
static double measure(const backend *b, const aiter_flash_attn_fwd_args *a)
{
    double seconds[MOST_SAMPLES];
    const int calls = 1 + (int)(0.002 / timed(b, a, 1));
    const double start = now();
    int n = 0;
    while (n < options.samples && (n < 3 || b->device != AITER_DEVICE_CPU || now() - start < 0.25))
        seconds[n++] = timed(b, a, calls);
    return median(seconds, n);
}

/* ---- the table ---- */

static int passed, failed;

static void print_head(FILE *csv)
{
    puts("| B, S, H, Hk, D | type | mask | back-end | median | TFLOP/s | largest error | of its "
         "bound | least cosine | |\n|---|---|---|---|---|---|---|---|---|---|");
    if (csv)
        fputs("b,s,h,hk,d,type,mask,backend,architecture,seconds,tflops,error,of_bound,cosine,"
              "verdict\n",
              csv);
}

static void print_row(const backend *b, const problem *p, const verdict *v, FILE *csv)
{
    const shape *s = &p->p;
    const int good = v->status == AITER_OK && v->error < 1e-2 && v->cosine > 0.99 && v->ratio <= 1;
    const char *word = good                    ? "passed"
                       : v->status != AITER_OK ? aiter_status_name(v->status)
                                               : "FAILED";
    const char *mask = p->causal ? "causal" : "full", *type = aiter_dtype_name(p->type);
    const double rate = v->seconds > 0 ? p->flops / v->seconds * 1e-12 : 0;
    char time[64] = "- | -", errors[64] = "- | - | -";
    passed += good;
    failed += !good;
    if (v->seconds > 0)
        snprintf(time, sizeof time, "%.1f us | %.*f", v->seconds * 1e6, rate < 10 ? 3 : 1, rate);
    if (v->status == AITER_OK)
        snprintf(errors, sizeof errors, "%.1e | %.2f | %.6f", v->error, v->ratio, v->cosine);
    printf("| %d, %d, %d, %d, %d | %s | %s | %s | %s | %s | %s |\n", (int)s->b, (int)s->s,
           (int)s->h, (int)s->hk, (int)s->d, type, mask, b->name, time, errors, word);
    fflush(stdout);
    if (v->status != AITER_OK) printf("%s\n", aiter_context_error(b->ctx));
    if (csv)
        fprintf(csv, "%d,%d,%d,%d,%d,%s,%s,%s,%s,%.4e,%.4f,%.3e,%.4f,%.7f,%s\n", (int)s->b,
                (int)s->s, (int)s->h, (int)s->hk, (int)s->d, type, mask, b->name,
                aiter_context_info(b->ctx).architecture, v->seconds, rate, v->error, v->ratio,
                v->cosine, word);
}

static void compare(const shape *s, aiter_dtype type, int causal, FILE *csv)
{
    static problem p;
    p.p = *s;
    p.type = type;
    p.causal = causal;
    expect(&p);
    for (int i = 0; i < BACKENDS; i++) {
        const backend *b = &backends[i];
        if (!b->ctx || flops_of(s, 0) > b->most_flops) continue;
        const aiter_flash_attn_fwd_args a = arguments(b, &p);
        verdict v = run_checked(b, &p, &a);
        if (v.status == AITER_OK && options.samples) v.seconds = measure(b, &a);
        print_row(b, &p, &v, csv);
    }
}

/* ---- start ---- */

static int usage(void)
{
    fputs("usage: compare_attention [--backends cpu,hip,cuda] [--kernels FOLDER] [--csv FILE]\n"
          "       [--shape B,S,H,HK[,D] | --small] [--dim D] [--type f16|bf16] [--samples N]\n"
          "       [--cpu-gflop N]\n"
          "  --backends   must be there; without it, those that the machine has\n"
          "  --kernels    the folder of the GPU code objects\n"
          "  --shape      one shape in place of the 27; --small: four for an emulator\n"
          "  --dim        head size of the 27, default 128\n"
          "  --samples    0: no times; default 11\n"
          "  --cpu-gflop  larger calls are left out on the CPU; default 40\n",
          stderr);
    return 0;
}

static int parse_backends(const char *list)
{
    options.named = 1;
    while (*list) {
        int i = 0;
        const size_t length = strcspn(list, ",");
        while (i < BACKENDS &&
               (strlen(backends[i].name) != length || memcmp(backends[i].name, list, length) != 0))
            i++;
        if (i == BACKENDS) return usage();
        backends[i].wanted = 1;
        list += length + (list[length] == ',');
    }
    return 1;
}

static int parse_shape(const char *text)
{
    long long x[5] = {0, 0, 0, 0, 0};
    const int n = sscanf(text, "%lld,%lld,%lld,%lld,%lld", &x[0], &x[1], &x[2], &x[3], &x[4]);
    for (int i = 0; i < n; i++)
        if (x[i] < 1 || x[i] > 1 << 20) return usage();
    if (n < 4 || x[2] % x[3] != 0) return usage();
    const shape one = {x[0], x[1], x[2], x[3], x[4]};
    options.one = one;
    options.shapes = &options.one;
    options.shape_count = 1;
    return 1;
}

static int parse(int argc, char **argv)
{
    options.shapes = sweep_shapes;
    options.shape_count = sizeof sweep_shapes / sizeof sweep_shapes[0];
    options.samples = 11;
    options.dim = 128;
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        if (strcmp(name, "--small") == 0) {
            options.shapes = small_shapes;
            options.shape_count = sizeof small_shapes / sizeof small_shapes[0];
            continue;
        }
        if (++i >= argc) return usage();
        if (strcmp(name, "--kernels") == 0)
            options.kernels = argv[i];
        else if (strcmp(name, "--csv") == 0)
            options.csv = argv[i];
        else if (strcmp(name, "--dim") == 0)
            options.dim = atoi(argv[i]);
        else if (strcmp(name, "--type") == 0)
            options.type = argv[i];
        else if (strcmp(name, "--samples") == 0)
            options.samples = atoi(argv[i]);
        else if (strcmp(name, "--cpu-gflop") == 0)
            backends[0].most_flops = atof(argv[i]) * 1e9;
        else if (strcmp(name, "--backends") == 0 ? !parse_backends(argv[i])
                 : strcmp(name, "--shape") == 0  ? !parse_shape(argv[i])
                                                 : !usage())
            return 0;
    }
    if (options.dim < 1 || options.dim > MOST_D || options.one.d > MOST_D) return usage();
    return options.samples >= 0 && options.samples <= MOST_SAMPLES ? 1 : usage();
}

static shape shape_at(int i)
{
    shape s = options.shapes[i];
    if (s.d == 0) s.d = options.dim;
    return s;
}

/* The most elements of a tensor in any problem that the back-end gets. */
static int64_t most_elements(const backend *b, int tensor)
{
    int64_t most = 0;
    for (int i = 0; i < options.shape_count; i++) {
        const shape s = shape_at(i);
        if (flops_of(&s, 0) <= b->most_flops && elements(&s, tensor) > most)
            most = elements(&s, tensor);
    }
    return most;
}

static void open_backend(backend *b)
{
    aiter_context_desc desc;
    if (options.named && !b->wanted) return;
    memset(&desc, 0, sizeof desc);
    desc.device = b->device;
    desc.kernel_path = b->device == AITER_DEVICE_CPU ? NULL : options.kernels;
    const aiter_status status = aiter_context_create(&desc, &b->ctx);
    if (status != AITER_OK && b->wanted) must(status);
    if (status != AITER_OK) {
        printf("%s: %s\n", b->name, aiter_last_error());
        return;
    }
    const aiter_context_details info = aiter_context_info(b->ctx);
    printf("%s: %s, %s, %d %s\n", b->name, info.device_name, info.architecture,
           (int)(b->device == AITER_DEVICE_CPU ? info.num_threads : info.compute_units),
           b->device == AITER_DEVICE_CPU ? "threads" : "compute units");
    for (int t = 0; t < TENSORS; t++) {
        const int64_t count = most_elements(b, t);
        if (count)
            must(aiter_memory_alloc(b->ctx, AITER_MEMORY_DEVICE, (size_t)count * 2, &b->data[t]));
    }
}

static void close_backend(backend *b)
{
    if (!b->ctx) return;
    must(aiter_context_synchronize(b->ctx));
    for (int t = 0; t < TENSORS; t++)
        must(aiter_memory_free(b->ctx, AITER_MEMORY_DEVICE, b->data[t],
                               (size_t)most_elements(b, t) * 2));
    aiter_context_destroy(b->ctx);
}

int main(int argc, char **argv)
{
    static const aiter_dtype types[] = {AITER_F16, AITER_BF16};
    FILE *csv = NULL;
    if (!parse(argc, argv)) return 2;
    if (options.csv && !(csv = fopen(options.csv, "w"))) return perror(options.csv), 2;
    for (int i = 0; i < BACKENDS; i++) open_backend(&backends[i]);
    printf("\n");
    print_head(csv);
    for (int type = 0; type < 2; type++) {
        if (options.type && strcmp(options.type, aiter_dtype_name(types[type])) != 0) continue;
        make_values(types[type]);
        for (int i = 0; i < BACKENDS; i++)
            for (int t = Q; t <= V; t++)
                if (backends[i].data[t]) fill(&backends[i], t, most_elements(&backends[i], t));
        for (int i = 0; i < options.shape_count; i++)
            for (int causal = 0; causal < 2; causal++) {
                const shape s = shape_at(i);
                compare(&s, types[type], causal, csv);
            }
    }
    for (int i = 0; i < BACKENDS; i++) close_backend(&backends[i]);
    if (csv && fclose(csv) != 0) return perror(options.csv), 1;
    printf("\n%d passed, %d failed\n", passed, failed);
    return failed > 0 || passed == 0;
}
