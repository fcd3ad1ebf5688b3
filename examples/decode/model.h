/* model.h -- the forward pass of a decoder.
 *
 * A step takes rows of tokens of any number of sequences, prefill chunks and single decoded tokens
 * alike: matrix products see all rows at once, attention is one call per layer over the pages.
 * Every other operation works on one row alone, so a row's bits depend on its own sequence only. */
#ifndef DECODE_MODEL_H
#define DECODE_MODEL_H

#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "device.h"
#include "kv_cache.h"
#include "matmul.h"
#include "model_file.h"
#include "pool.h"
#include "rows.h"

enum { MODEL_STEP_ROWS = 512, MODEL_LOGIT_ROWS = 32, MODEL_SERIAL_ROWS = 4 };

typedef struct model {
    model_weights weights;
    double *rope_freq;          /* radians per position, [rotary / 2] */
    float *rope_cos, *rope_sin; /* [positions][rotary / 2] */
    int32_t rope_ready;         /* positions computed so far */
    /* Each [MODEL_STEP_ROWS][...]: the residual, an operation's input, a product added to x, ... */
    float *x, *h, *y, *q, *k, *v, *gate, *up;
    float *logits; /* [MODEL_LOGIT_ROWS][vocabulary] */
    void *memory;  /* all of the above */
    pool *threads;
    aiter_context *ctx;
    device_stage device;
    matmul_engine matmul;
    double attention_seconds;
    char err[256];
    const volatile sig_atomic_t *stop; /* set: forward gives up, its rows unfinished */
} model;

/* One step. Row r is token tokens[r] at positions[r], stored in cache slot slots[r]. Sequence b
 * owns rows [row_start[b], row_start[b + 1]) and has, with them, lengths[b] keys in the blocks
 * block_table[b * max_blocks ...]. Logits are asked for of the rows in `wanted` alone, in rising
 * order; the last layer is spared the others. */
typedef struct model_step {
    int32_t rows, sequences, max_blocks, wanted_count;
    int32_t *tokens, *positions, *row_start, *lengths, *block_table, *wanted;
    int64_t *slots;
} model_step;

static inline double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- Operations on the rows of a step, spread over the threads ---- */

typedef struct row_work {
    model *m;
    const model_step *step;
    void (*body)(const struct row_work *work, int32_t row);
    const float *weight; /* of the norm, [width] */
    int32_t rows, parts;
} row_work;

static void rows_part(void *arg, int32_t part)
{
    const row_work *w = (const row_work *)arg;
    int32_t end = (int32_t)((int64_t)w->rows * (part + 1) / w->parts);
    for (int32_t row = (int32_t)((int64_t)w->rows * part / w->parts); row < end; row++)
        w->body(w, row);
}

static void rows_run(row_work *w, void (*body)(const row_work *work, int32_t row))
{
    w->body = body;
    w->parts = w->rows <= MODEL_SERIAL_ROWS ? 1 : w->m->threads->threads;
    pool_for(w->m->threads, rows_part, w, w->parts);
}

static void rows_embed(const row_work *w, int32_t row)
{
    const model *m = w->m;
    const gguf_tensor *t = m->weights.embedding;
    const size_t width = (size_t)m->weights.shape.width;
    size_t bytes = t->bytes / (size_t)t->dims[1];
    weight_row_to_f32(t->type, t->data + (size_t)w->step->tokens[row] * bytes,
                      m->x + (size_t)row * width, width);
}

static void rows_norm(const row_work *w, int32_t row)
{
    const model_shape *s = &w->m->weights.shape;
    size_t at = (size_t)row * (size_t)s->width;
    row_norm(w->m->x + at, w->weight, s->norm_eps, s->width, w->m->h + at);
}

static void rows_embed_norm(const row_work *w, int32_t row)
{
    rows_embed(w, row);
    rows_norm(w, row);
}

/* Adds a product in y to the residual, then the norm of what follows. */
static void rows_add_norm(const row_work *w, int32_t row)
{
    const int32_t width = w->m->weights.shape.width;
    size_t at = (size_t)row * (size_t)width;
    row_add(w->m->x + at, w->m->y + at, width);
    rows_norm(w, row);
}

static void rows_swiglu(const row_work *w, int32_t row)
{
    const int32_t n = w->m->weights.shape.inner;
    size_t at = (size_t)row * (size_t)n;
    row_swiglu(w->m->gate + at, w->m->up + at, n);
}

/* ---- The pass ---- */

static int model_out_of_memory(model *m)
{
    snprintf(m->err, sizeof m->err, "out of memory for a matrix product");
    return -1;
}

/* Computes the rotation of positions below `end`, each once in a run. */
static void model_rope_until(model *m, int32_t end)
{
    const int32_t half = m->weights.shape.rotary / 2;
    for (; m->rope_ready < end; m->rope_ready++) {
        const size_t row = (size_t)m->rope_ready * (size_t)half;
        for (int32_t i = 0; i < half; i++) {
            m->rope_cos[row + (size_t)i] = (float)cos(m->rope_ready * m->rope_freq[i]);
            m->rope_sin[row + (size_t)i] = (float)sin(m->rope_ready * m->rope_freq[i]);
        }
    }
}

/* Turns the step's rows of q or k, in place. */
static aiter_status model_turn(model *m, const model_step *step, float *rows, int32_t heads)
{
    const model_shape *s = &m->weights.shape;
    if (s->rotary == 0) return AITER_OK;
    const aiter_tensor x = aiter_tensor_3d(rows, AITER_F32, step->rows, heads, s->k_dim);
    const aiter_rope_fwd_args turn = {
        .x = x,
        .y = x,
        .rope.cos = aiter_tensor_2d(m->rope_cos, AITER_F32, m->rope_ready, s->rotary / 2),
        .rope.sin = aiter_tensor_2d(m->rope_sin, AITER_F32, m->rope_ready, s->rotary / 2),
        .rope.positions = aiter_tensor_1d(step->positions, AITER_I32, step->rows),
        .rope.pairing = s->halves ? AITER_ROPE_NEOX : AITER_ROPE_GPTJ,
    };
    return aiter_rope_fwd(&turn, m->ctx);
}

/* Stores the step's keys and values in their slots, then attends: q to out. */
static aiter_status model_attend_rows(const model *m, const attention_rows *r,
                                      const kv_cache *cache, const model_step *step, int32_t layer)
{
    const model_shape *s = &m->weights.shape;
    aiter_tensor keys = kv_cache_view(cache, layer, KV_KEYS);
    aiter_tensor values = kv_cache_view(cache, layer, KV_VALUES);
    aiter_tensor key_scales = kv_cache_view(cache, layer, KV_KEY_SCALES);
    aiter_tensor value_scales = kv_cache_view(cache, layer, KV_VALUE_SCALES);
    aiter_reshape_and_cache_args store = {
        .k = aiter_tensor_3d(r->k, AITER_F32, step->rows, s->kv_heads, s->k_dim),
        .v = aiter_tensor_3d(r->v, AITER_F32, step->rows, s->kv_heads, s->v_dim),
        .kv.k = keys,
        .kv.v = values,
        .slot_mapping = aiter_tensor_1d(r->slots, AITER_I64, step->rows),
        .quantisation.to = keys.dtype,
        .kv.k_scale = key_scales,
        .kv.v_scale = value_scales,
    };
    aiter_status status = aiter_reshape_and_cache(&store, r->ctx);
    if (status != AITER_OK) return status;
    aiter_flash_attn_fwd_args attend = {
        .q = aiter_tensor_3d(r->q, r->q_type, step->rows, s->heads, s->k_dim),
        .kv.k = keys,
        .kv.v = values,
        .out = aiter_tensor_3d(r->out, r->q_type, step->rows, s->heads, s->v_dim),
        .score.mask = AITER_MASK_CAUSAL,
        .cu_seqlens_q = aiter_tensor_1d(r->row_start, AITER_I32, step->sequences + 1),
        .kv.seq_lens = aiter_tensor_1d(r->lengths, AITER_I32, step->sequences),
        .kv.block_table =
            aiter_tensor_2d(r->block_table, AITER_I32, step->sequences, step->max_blocks),
        .kv.k_scale = key_scales,
        .kv.v_scale = value_scales,
    };
    for (int32_t b = 0; b < step->sequences; b++) { /* a device sees the lengths too late */
        const int32_t rows = step->row_start[b + 1] - step->row_start[b];
        if (rows > attend.max_seqlen_q) attend.max_seqlen_q = rows;
        if (step->lengths[b] > attend.kv.max_seqlen) attend.kv.max_seqlen = step->lengths[b];
    }
    return aiter_flash_attn_fwd(&attend, r->ctx);
}

/* The attention of a step, where the cache is: q to h. */
static aiter_status model_attend(model *m, const kv_cache *cache, const model_step *step,
                                 int32_t layer)
{
    const model_shape *s = &m->weights.shape;
    attention_rows r = {
        m->ctx,        AITER_F32,         m->q, m->k, m->v, step->slots, step->row_start,
        step->lengths, step->block_table, m->h};
    if (!m->device.ctx) return model_attend_rows(m, &r, cache, step, layer);
    const size_t rows = (size_t)step->rows, sequences = (size_t)step->sequences;
    const size_t q_count = rows * (size_t)(s->heads * s->k_dim);
    const size_t out_count = rows * (size_t)(s->heads * s->v_dim);
    const void *unused;
    device_part parts[DEVICE_PARTS] = {
        {&r.q, NULL, q_count * 2, 0},
        {&r.k, m->k, rows * (size_t)(s->kv_heads * s->k_dim) * 4, 0},
        {&r.v, m->v, rows * (size_t)(s->kv_heads * s->v_dim) * 4, 0},
        {&r.slots, step->slots, rows * 8, 0},
        {&r.row_start, step->row_start, (sequences + 1) * 4, 0},
        {&r.lengths, step->lengths, sequences * 4, 0},
        {&r.block_table, step->block_table, sequences * (size_t)step->max_blocks * 4, 0},
        {&unused, NULL, out_count * 2, 0}};
    r.q = m->q;
    aiter_status status = device_send(&m->device, &r, parts, q_count);
    if (status == AITER_OK) status = model_attend_rows(m, &r, cache, step, layer);
    if (status != AITER_OK) return status;
    return device_receive(&m->device, &parts[DEVICE_PARTS - 1], m->h, out_count);
}

/* y = x W^T + bias for the rows of a step; x and y without gaps between rows. */
static matmul_job model_product(const gguf_tensor *w, const float *bias, const float *x, float *y,
                                int32_t rows)
{
    matmul_job job = {
        .weights = w->data,
        .type = w->type,
        .n = (int64_t)w->dims[1],
        .k = (int64_t)w->dims[0],
        .x = x,
        .x_stride = (int64_t)w->dims[0],
        .y = y,
        .y_stride = (int64_t)w->dims[1],
        .rows = rows,
        .bias = bias,
    };
    return job;
}

/* From the normed input in h to the heads' output, in h again. */
static int model_mix_tokens(model *m, const kv_cache *cache, row_work *work, int32_t layer)
{
    const model_layer *l = &m->weights.layers[layer];
    const matmul_job qkv[3] = {model_product(l->q, l->q_bias, m->h, m->q, work->rows),
                               model_product(l->k, l->k_bias, m->h, m->k, work->rows),
                               model_product(l->v, l->v_bias, m->h, m->v, work->rows)};
    if (matmul_run(&m->matmul, qkv, 3) != 0) return model_out_of_memory(m);
    const model_shape *s = &m->weights.shape;
    aiter_status status = model_turn(m, work->step, m->q, s->heads);
    if (status == AITER_OK) status = model_turn(m, work->step, m->k, s->kv_heads);
    double start = seconds_now();
    if (status == AITER_OK) status = model_attend(m, cache, work->step, layer);
    m->attention_seconds += seconds_now() - start;
    if (status == AITER_OK) return 0;
    snprintf(m->err, sizeof m->err, "%s", aiter_last_error());
    return -1;
}

/* Moves the wanted rows of h and of the residual to the front. */
static void model_keep_wanted(model *m, row_work *work)
{
    const model_shape *s = &m->weights.shape;
    const size_t width = (size_t)s->width, heads_width = (size_t)s->heads * (size_t)s->v_dim;
    for (int32_t i = 0; i < work->step->wanted_count; i++) {
        const size_t to = (size_t)i, from = (size_t)work->step->wanted[i];
        memmove(m->x + to * width, m->x + from * width, width * sizeof *m->x);
        memmove(m->h + to * heads_width, m->h + from * heads_width, heads_width * sizeof *m->h);
    }
    work->rows = work->step->wanted_count;
}

/* From the heads' output in h to the normed input of what comes next, in h again. */
static int model_finish_layer(model *m, row_work *work, int32_t layer)
{
    const model_layer *l = &m->weights.layers[layer];
    const int32_t rows = work->rows, last = layer + 1 == m->weights.shape.layers;
    const matmul_job out = model_product(l->out, l->out_bias, m->h, m->y, rows);
    const matmul_job inner[2] = {model_product(l->gate, NULL, m->h, m->gate, rows),
                                 model_product(l->up, NULL, m->h, m->up, rows)};
    const matmul_job down = model_product(l->down, NULL, m->gate, m->y, rows);
    if (matmul_run(&m->matmul, &out, 1) != 0) return model_out_of_memory(m);
    work->weight = l->ffn_norm;
    rows_run(work, rows_add_norm);
    if (matmul_run(&m->matmul, inner, 2) != 0) return model_out_of_memory(m);
    rows_run(work, rows_swiglu);
    if (matmul_run(&m->matmul, &down, 1) != 0) return model_out_of_memory(m);
    work->weight = last ? m->weights.out_norm : m->weights.layers[layer + 1].attn_norm;
    rows_run(work, rows_add_norm);
    return 0;
}

/* Runs a step; afterwards h holds the wanted rows, normed. 0, or -1 with m->err. */
static int model_forward(model *m, const kv_cache *cache, const model_step *step)
{
    row_work work = {0};
    work.m = m;
    work.step = step;
    work.rows = step->rows;
    work.weight = m->weights.layers[0].attn_norm;
    for (int32_t row = 0; row < step->rows; row++) model_rope_until(m, step->positions[row] + 1);
    rows_run(&work, rows_embed_norm);
    for (int32_t layer = 0; layer < m->weights.shape.layers; layer++) {
        if (*m->stop) return 0;
        if (model_mix_tokens(m, cache, &work, layer) != 0) return -1;
        if (layer + 1 == m->weights.shape.layers) model_keep_wanted(m, &work);
        if (work.rows > 0 && model_finish_layer(m, &work, layer) != 0) return -1;
    }
    return 0;
}

/* The logits of wanted rows [first, first + count) of the last step, count at most
 * MODEL_LOGIT_ROWS: [count][vocabulary], or NULL with m->err. */
static const float *model_logits(model *m, int32_t first, int32_t count)
{
    const float *rows = m->h + (size_t)first * (size_t)m->weights.shape.width;
    const matmul_job head = model_product(m->weights.head, NULL, rows, m->logits, count);
    if (matmul_run(&m->matmul, &head, 1) == 0) return m->logits;
    model_out_of_memory(m);
    return NULL;
}

static void model_destroy(model *m)
{
    model_weights_free(&m->weights);
    matmul_release(&m->matmul);
    free(m->rope_freq);
    free(m->memory);
}

/* Room for steps whose positions stay below `positions`. -1 with a line in err; model_destroy is
 * right after both. m->threads, m->ctx and m->stop are the caller's to set. */
static int model_create(model *m, const gguf_file *file, const model_shape *s, int32_t positions,
                        char *err, size_t errlen)
{
    const int32_t q_width = s->heads * s->k_dim, o_width = s->heads * s->v_dim;
    const struct {
        float **buffer;
        int64_t rows, columns;
    } parts[] = {
        {&m->x, MODEL_STEP_ROWS, s->width},
        {&m->h, MODEL_STEP_ROWS, s->width > o_width ? s->width : o_width},
        {&m->y, MODEL_STEP_ROWS, s->width},
        {&m->q, MODEL_STEP_ROWS, q_width},
        {&m->k, MODEL_STEP_ROWS, (int64_t)s->kv_heads * s->k_dim},
        {&m->v, MODEL_STEP_ROWS, (int64_t)s->kv_heads * s->v_dim},
        {&m->gate, MODEL_STEP_ROWS, s->inner},
        {&m->up, MODEL_STEP_ROWS, s->inner},
        {&m->logits, MODEL_LOGIT_ROWS, s->vocabulary},
        {&m->rope_cos, positions, s->rotary / 2},
        {&m->rope_sin, positions, s->rotary / 2},
    };
    enum { PARTS = sizeof parts / sizeof parts[0], LINE = 16 };
    size_t floats = 0;
    if (model_read_weights(file, s, &m->weights, err, errlen) != 0) return -1;
    for (int i = 0; i < PARTS; i++)
        floats += ((size_t)(parts[i].rows * parts[i].columns) + LINE - 1) / LINE * LINE;
    m->rope_freq = (double *)malloc(((size_t)s->rotary / 2 + 1) * sizeof *m->rope_freq);
    if (!m->rope_freq || posix_memalign(&m->memory, 64, floats * sizeof(float))) {
        m->memory = NULL;
        snprintf(err, errlen, "out of memory for the activations");
        return -1;
    }
    float *next = (float *)m->memory;
    for (int i = 0; i < PARTS; i++) {
        *parts[i].buffer = next;
        next += ((size_t)(parts[i].rows * parts[i].columns) + LINE - 1) / LINE * LINE;
    }
    for (int32_t i = 0; i < s->rotary / 2; i++) {
        double factor = m->weights.rope_factors ? m->weights.rope_factors[i] : 1;
        m->rope_freq[i] = pow(s->rope_base, -2.0 * i / s->rotary) * s->rope_scale / factor;
    }
    m->rope_ready = 0;
    return 0;
}

#endif /* DECODE_MODEL_H */
