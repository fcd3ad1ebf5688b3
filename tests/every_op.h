/* every_op.h -- each op of the library in a small call, for tests in which all of them meet the
 * same mishap: a failed allocation, a fork. A call can be made again, and says whether it wrote. */
#ifndef AITER_TEST_EVERY_OP_H
#define AITER_TEST_EVERY_OP_H

#include "case_run.h"
#include "cache_mode.h"

enum {
    EVERY_ATTENTION = FORM_COUNT + OP_DECODE_GQA, /* flash in every form, then the other ops */
    EVERY_CACHE = EVERY_ATTENTION,                /* reshape_and_cache: the three ways to store */
    EVERY_MERGE = EVERY_CACHE + CACHE_MODES,
    EVERY_ROPE,
    EVERY_OP
};
enum { EVERY_TOKENS = 5, EVERY_HEADS = 2, EVERY_DIM = 12, EVERY_SLOTS = 4 * 8 };
enum { EVERY_ROWS = EVERY_TOKENS * EVERY_HEADS * EVERY_DIM };

typedef struct every_op {
    int index;
    char name[64];
    attn_problem p; /* index < EVERY_ATTENTION */
    /* The others. */
    float in[2][EVERY_ROWS], lse[2][EVERY_TOKENS * EVERY_HEADS];
    int32_t slots[EVERY_TOKENS];
    float given_scale;
    struct {
        float rows[2][EVERY_SLOTS * EVERY_HEADS * EVERY_DIM], side[2][EVERY_SLOTS * EVERY_HEADS];
    } out;
} every_op;

/* The case of an attention op; `dim` is what a slow machine can afford. */
static inline attn_case every_case(int index, int dim)
{
    attn_case c;
    const int op = index < FORM_COUNT ? OP_FLASH : index - FORM_COUNT + 1;
    memset(&c, 0, sizeof c);
    c.op = (attn_op)op;
    c.form = index < FORM_COUNT ? (attn_form)index
             : op == OP_DECODE  ? FORM_PAGED
             : op == OP_VARLEN  ? FORM_VARLEN
                                : FORM_DENSE;
    c.b = op >= OP_DECODE_ONE ? 1 : 3;
    c.hk = op == OP_MQA || op == OP_DECODE_ONE ? 1 : 2;
    c.hq = op == OP_DECODE_ONE ? 1 : 6;
    c.sq = op >= OP_DECODE_ONE ? 1 : 40;
    c.sk = 300;
    c.dq = dim;
    c.splits = op == OP_FLASH || op == OP_DECODE ? 3 : 0;
    c.core = 1;
    c.seed = 3;
    return c;
}

static inline void every_new(every_op *o, int index, int dim)
{
    static const char *const others[] = {"cache convert", "cache static", "cache per token",
                                         "merge", "rope"};
    int i;
    memset(o, 0, sizeof *o);
    o->index = index;
    if (index < EVERY_ATTENTION) {
        const attn_case c = every_case(index, dim);
        problem_new(&o->p, &c);
        snprintf(o->name, sizeof o->name, "op %d form %d", (int)c.op, (int)c.form);
        return;
    }
    snprintf(o->name, sizeof o->name, "%s", others[index - EVERY_ATTENTION]);
    o->given_scale = 0.01f;
    for (i = 0; i < 2 * EVERY_ROWS; i++) o->in[i % 2][i / 2] = (float)rng_unit(77 + (uint64_t)i);
    for (i = 0; i < 2 * EVERY_TOKENS * EVERY_HEADS; i++)
        o->lse[i % 2][i / 2] = (float)(3 * rng_unit(900 + (uint64_t)i));
    for (i = 0; i < EVERY_TOKENS; i++) o->slots[i] = (i * 7 + 3) % EVERY_SLOTS;
}

/* Inputs as they were made, outputs filled with what no op writes. */
static inline void every_store(every_op *o)
{
    if (o->index < EVERY_ATTENTION)
        problem_store(&o->p, SLACK_ZERO);
    else
        memset(&o->out, 0x5C, sizeof o->out);
}

static inline aiter_status every_call_cache(every_op *o, aiter_context *ctx)
{
    const cache_mode quant = (cache_mode)(o->index - EVERY_CACHE);
    const aiter_dtype type = quant == CACHE_CONVERTS ? AITER_F32 : AITER_I8;
    aiter_reshape_and_cache_args a;
    aiter_tensor *cache[2], *scale[2];
    int i;
    memset(&a, 0, sizeof a);
    cache[0] = &a.kv.k;
    cache[1] = &a.kv.v;
    scale[0] = &a.kv.k_scale;
    scale[1] = &a.kv.v_scale;
    a.quantisation = cache_quantisation(quant);
    a.k = aiter_tensor_3d(o->in[0], AITER_F32, EVERY_TOKENS, EVERY_HEADS, EVERY_DIM);
    a.v = aiter_tensor_3d(o->in[1], AITER_F32, EVERY_TOKENS, EVERY_HEADS, EVERY_DIM);
    a.slot_mapping = aiter_tensor_1d(o->slots, AITER_I32, EVERY_TOKENS);
    for (i = 0; i < 2; i++) {
        *cache[i] =
            aiter_tensor_4d(o->out.rows[i], type, EVERY_SLOTS / 8, 8, EVERY_HEADS, EVERY_DIM);
        if (quant == CACHE_SCALE_GIVEN) *scale[i] = aiter_tensor_1d(&o->given_scale, AITER_F32, 1);
        if (quant == CACHE_SCALE_COMPUTED)
            *scale[i] = aiter_tensor_3d(o->out.side[i], AITER_F32, EVERY_SLOTS / 8, 8, EVERY_HEADS);
    }
    return aiter_reshape_and_cache(&a, ctx);
}

static inline aiter_status every_call_merge(every_op *o, aiter_context *ctx)
{
    aiter_merge_attn_states_args a;
    memset(&a, 0, sizeof a);
    a.out_a = aiter_tensor_3d(o->in[0], AITER_F32, EVERY_TOKENS, EVERY_HEADS, EVERY_DIM);
    a.out_b = aiter_tensor_3d(o->in[1], AITER_F32, EVERY_TOKENS, EVERY_HEADS, EVERY_DIM);
    a.out = aiter_tensor_3d(o->out.rows[0], AITER_F32, EVERY_TOKENS, EVERY_HEADS, EVERY_DIM);
    a.lse_a = aiter_tensor_2d(o->lse[0], AITER_F32, EVERY_HEADS, EVERY_TOKENS);
    a.lse_b = aiter_tensor_2d(o->lse[1], AITER_F32, EVERY_HEADS, EVERY_TOKENS);
    a.lse = aiter_tensor_2d(o->out.side[0], AITER_F32, EVERY_HEADS, EVERY_TOKENS);
    return aiter_merge_attn_states(&a, ctx);
}

static inline aiter_status every_call_rope(every_op *o, aiter_context *ctx)
{
    aiter_rope_fwd_args a;
    memset(&a, 0, sizeof a);
    a.x = aiter_tensor_3d(o->in[0], AITER_F32, EVERY_TOKENS, EVERY_HEADS, EVERY_DIM);
    a.y = aiter_tensor_3d(o->out.rows[0], AITER_F32, EVERY_TOKENS, EVERY_HEADS, EVERY_DIM);
    a.rope.cos = a.rope.sin = aiter_tensor_2d(o->in[1], AITER_F32, EVERY_TOKENS, EVERY_DIM / 2);
    return aiter_rope_fwd(&a, ctx);
}

static inline aiter_status every_call(every_op *o, aiter_context *ctx)
{
    attn_call call;
    if (o->index >= EVERY_ROPE) return every_call_rope(o, ctx);
    if (o->index >= EVERY_MERGE) return every_call_merge(o, ctx);
    if (o->index >= EVERY_CACHE) return every_call_cache(o, ctx);
    memset(&call, 0, sizeof call);
    call.ctx = ctx;
    return problem_call(&o->p, &call);
}

/* A hash of everything that the op may write, and of what it must leave alone. */
static inline uint64_t every_outputs(const every_op *o)
{
    uint64_t h;
    if (o->index >= EVERY_ATTENTION) return test_hash(&o->out, sizeof o->out);
    h = test_hash(o->p.po.buffer->data, o->p.po.buffer->bytes);
    if (o->p.pl.buffer) h ^= test_mix(test_hash(o->p.pl.buffer->data, o->p.pl.buffer->bytes));
    return h;
}

static inline uint64_t every_inputs(const every_op *o)
{
    uint64_t h = 0;
    int i;
    if (o->index >= EVERY_ATTENTION)
        return test_hash(o->in, sizeof o->in) ^ test_hash(o->lse, sizeof o->lse);
    for (i = 0; i < o->p.buffers; i++)
        if (!problem_is_output(&o->p, &o->p.buffer[i]))
            h = test_mix(h ^ test_hash(o->p.buffer[i].data, o->p.buffer[i].bytes));
    return h;
}

/* Fresh outputs, a call that must succeed: the hash of what it wrote. */
static inline uint64_t every_answer(every_op *o, aiter_context *ctx, const char *when)
{
    aiter_status status;
    every_store(o);
    status = every_call(o, ctx);
    CHECK(status == AITER_OK, "%s, %s: %s", o->name, when, aiter_last_error());
    return every_outputs(o);
}

static inline void every_free(every_op *o)
{
    if (o->index < EVERY_ATTENTION) problem_free(&o->p);
}

#endif /* AITER_TEST_EVERY_OP_H */
