/* reshape_and_cache.c -- new K and V rows into their slots of a paged cache, converted or
 * quantised. */
#ifndef AITERI_RESHAPE_AND_CACHE_C
#define AITERI_RESHAPE_AND_CACHE_C

#include "../api_ops.h"
#include "../base/argument.c"
#include "../cpu/rows.c"
#include "../plan/source_at.c"
#include "call_begin.c"
#include "kv_layout.c"
#if AITERI_GPU
#include "../gpu/cache.c"
#endif

/* What quantisation asks for; the kernels for devices know these numbers, too. */
typedef enum aiteri_cache_mode {
    AITERI_CACHE_CONVERTS = 0,
    AITERI_CACHE_SCALE_GIVEN,
    AITERI_CACHE_SCALE_PER_TOKEN_HEAD,
    AITERI_CACHE_SCALE_PER_BLOCK_HEAD
} aiteri_cache_mode;

/* K or V: where its rows come from and where they go, as readers see them. */
typedef struct aiteri_cache_side {
    aiteri_source src, cache;
} aiteri_cache_side;

/* A token on its way: sorted where those of a block count together. */
typedef struct aiteri_cache_token {
    int64_t slot, token;
} aiteri_cache_token;

typedef struct aiteri_cache_run {
    const aiter_reshape_and_cache_args *a;
    const aiteri_kv_order *order;
    const aiteri_kernels *kernels;
    aiteri_cache_mode mode;
    float *rows; /* one row of AITERI_MAX_HEAD_DIM per worker */
    int32_t workers;
    aiteri_cache_token *sorted; /* by slot, for scales of blocks */
} aiteri_cache_run;

static int64_t aiteri_slot_of(const aiter_tensor *t, int64_t token)
{
    return aiteri_index_at(t, token * t->stride[0]);
}

static aiteri_cache_mode aiteri_cache_mode_of(const aiter_reshape_and_cache_args *a)
{
    const aiter_quantisation *q = &a->quantisation;
    const int by_shape = q->per == AITER_SCALE_BY_SHAPE && a->kv.k_scale.ndim == 2;
    if (!aiteri_is_type(q->to, AITERI_QUANTISED)) return AITERI_CACHE_CONVERTS;
    if (q->scale_given) return AITERI_CACHE_SCALE_GIVEN;
    return by_shape || q->per == AITER_SCALE_PER_BLOCK_HEAD ? AITERI_CACHE_SCALE_PER_BLOCK_HEAD
                                                            : AITERI_CACHE_SCALE_PER_TOKEN_HEAD;
}

static int aiteri_cache_computes(aiteri_cache_mode mode)
{
    return mode >= AITERI_CACHE_SCALE_PER_TOKEN_HEAD;
}

/* The combinations that there are. */
static void aiteri_check_quantisation(aiteri_check *c, const aiter_reshape_and_cache_args *a)
{
    const aiter_quantisation *q = &a->quantisation;
    if (!aiteri_is_type(q->to, 1u << AITER_DTYPE_UNSET | AITERI_KEY_TYPES))
        aiteri_reject(
            c, AITER_INVALID_ARGUMENT,
            "%s.quantisation.to: is %s, expected unset (the type of the cache), f32, f16, "
            "bf16, i8, i4 or an fp8 type",
            c->op, aiter_dtype_name(q->to));
    const int quantises = aiteri_cache_mode_of(a) != AITERI_CACHE_CONVERTS;
    aiteri_check_enum(c, "quantisation.per", (int)q->per, AITER_SCALE_COUNT, "aiter_scale_kind");
    aiteri_check_range(c, "quantisation.scale_given", q->scale_given, 0, 1);
    if (!quantises && (q->per != AITER_SCALE_BY_SHAPE || q->scale_given))
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.quantisation.%s: is %d, expected 0 where rows are converted: scales go "
                      "with quantisation.to = AITER_I8, AITER_I4 or an fp8 type",
                      c->op, q->scale_given ? "scale_given" : "per",
                      (int)(q->scale_given ? q->scale_given : (int32_t)q->per));
    const int64_t unknown[] = {q->group,    q->rounding,   q->scale_rounding,
                               q->overflow, q->zero_block, q->by_reciprocal};
    static const char *const names[] = {"group",    "rounding",   "scale_rounding",
                                        "overflow", "zero_block", "by_reciprocal"};
    for (int i = 0; i < 6; i++)
        if (unknown[i] != 0)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.quantisation.%s: is %lld, expected 0: it is aiter_quantize's", c->op,
                          names[i], (long long)unknown[i]);
    const int given = q->per == AITER_SCALE_PER_TENSOR || q->per == AITER_SCALE_PER_HEAD;
    if (quantises && q->per != AITER_SCALE_BY_SHAPE &&
        !(q->scale_given
              ? given
              : q->per == AITER_SCALE_PER_TOKEN_HEAD || q->per == AITER_SCALE_PER_BLOCK_HEAD))
        aiteri_reject(
            c, AITER_UNSUPPORTED, "%s.quantisation.per: is %d, expected %s", c->op, (int)q->per,
            q->scale_given ? "AITER_SCALE_PER_TENSOR or AITER_SCALE_PER_HEAD of scales "
                             "that are given"
                           : "AITER_SCALE_PER_TOKEN_HEAD or AITER_SCALE_PER_BLOCK_HEAD of "
                             "scales that are computed");
}

/* The type of a cache goes with the quantisation. */
static void aiteri_check_cache_type(aiteri_check *c, const char *field, const aiter_tensor *t,
                                    const aiter_quantisation *q)
{
    if (t->ndim == 4 && aiteri_is_type(t->dtype, AITERI_INTEGERS) && q->to == AITER_DTYPE_UNSET)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: dtype is %s, but quantisation.to is unset; set it to %s, and "
                      "scale_given = 1 where k_scale and v_scale hold the scales already",
                      c->op, field, aiter_dtype_name(t->dtype),
                      t->dtype == AITER_I8 ? "AITER_I8" : "AITER_I4");
    else if (t->ndim == 4 && q->to != AITER_DTYPE_UNSET && t->dtype != q->to)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: dtype is %s, expected %s as quantisation.to says", c->op, field,
                      aiter_dtype_name(t->dtype), aiter_dtype_name(q->to));
}

static void aiteri_check_cache_side(aiteri_check *c, aiter_reshape_and_cache_args *a, int value)
{
    aiter_tensor *src = value ? &a->v : &a->k, *cache = value ? &a->kv.v : &a->kv.k;
    aiter_tensor *scale = value ? &a->kv.v_scale : &a->kv.k_scale;
    const char *names[3] = {value ? "v" : "k", value ? "kv.v" : "kv.k",
                            value ? "kv.v_scale" : "kv.k_scale"};
    const aiteri_cache_mode mode = aiteri_cache_mode_of(a);
    const int quantised = mode != AITERI_CACHE_CONVERTS;
    aiteri_check_tensor(c, names[0], src, 3, 3, AITERI_FLOATS, 1, "[tokens, Hk, D]");
    aiteri_check_cache_type(c, names[1], cache, &a->quantisation);
    aiteri_check_tensor(c, names[1], cache, 4, 4,
                        quantised ? AITERI_QUANTISED : AITERI_FLOATS | AITERI_FP8, 1,
                        "[num_blocks, P, Hk, D]");
    if (c->status != AITER_OK) return;
    aiteri_check_extent(c, names[0], src, 0, a->k.shape[0], "tokens of k");
    aiteri_check_extent(c, names[0], src, 1, a->k.shape[1], "heads of k");
    aiteri_check_extent(c, names[1], cache, 2, a->k.shape[1], "heads of k");
    aiteri_check_extent(c, names[1], cache, 3, src->shape[2], "the head_dim of the new rows");
    aiteri_check_axis(c, names[0], src, 2, "head_dim", 1, AITERI_MAX_HEAD_DIM);
    aiteri_check_axis(c, names[0], src, 1, "heads", 1, 65535);
    aiteri_check_extent(c, names[1], cache, 0, a->kv.k.shape[0], "blocks of kv.k");
    aiteri_check_extent(c, names[1], cache, 1, a->kv.k.shape[1], "page size of kv.k");
    aiteri_check_axis(c, names[1], cache, 1, "page size", 1, INT32_MAX - 1);
    aiteri_check_axis(c, names[1], cache, 0, "blocks", 0, INT32_MAX - 1);
    const int32_t rank = mode == AITERI_CACHE_SCALE_GIVEN            ? 1
                         : mode == AITERI_CACHE_SCALE_PER_BLOCK_HEAD ? 2
                                                                     : 3;
    if (!quantised) {
        aiteri_check_true(c, scale->ndim == 0, names[2],
                          "none where rows are converted: scales go with quantisation.to = "
                          "AITER_I8, AITER_I4 or an fp8 type");
        return;
    }
    if (!aiteri_check_tensor(c, names[2], scale, rank, rank, AITERI_ONLY_F32, 1,
                             rank == 3   ? "f32 [num_blocks, P, Hk] for the scales to be written"
                             : rank == 2 ? "f32 [num_blocks, Hk], the scales of the blocks"
                                         : "f32 [1] or [Hk], the scales of the cache"))
        return;
    if (a->quantisation.per == AITER_SCALE_PER_TENSOR)
        aiteri_check_extent(c, names[2], scale, 0, 1, "one scale, as quantisation.per says");
    else if (a->quantisation.per == AITER_SCALE_PER_HEAD)
        aiteri_check_extent(c, names[2], scale, 0, cache->shape[2],
                            "kv heads, as quantisation.per says");
    if (rank > 1)
        for (int32_t i = 0; i < rank; i++)
            aiteri_check_extent(c, names[2], scale, i, cache->shape[rank == 3 ? i : 2 * i],
                                "the cache");
    else if (scale->shape[0] != 1)
        aiteri_check_extent(c, names[2], scale, 0, cache->shape[2], "kv heads; or 1 for one scale");
}

static void aiteri_check_cache(aiteri_check *c, aiter_reshape_and_cache_args *a,
                               aiteri_kv_order *order)
{
    aiteri_check_quantisation(c, a);
    aiteri_check_layout(c, &a->kv, 1, AITERI_KEY_TYPES, order);
    if (c->status != AITER_OK) return;
    aiteri_check_cache_side(c, a, 0);
    if (c->status != AITER_OK) return;
    aiteri_check_cache_side(c, a, 1);
    if (c->status != AITER_OK) return;
    if (a->k.dtype != a->v.dtype)
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.v: dtype is %s, expected %s (= k.dtype)",
                      c->op, aiter_dtype_name(a->v.dtype), aiter_dtype_name(a->k.dtype));
    if (a->kv.k.dtype != a->kv.v.dtype)
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.kv.v: dtype is %s, expected %s (= kv.k.dtype)",
                      c->op, aiter_dtype_name(a->kv.v.dtype), aiter_dtype_name(a->kv.k.dtype));
    if (aiteri_check_tensor(c, "slot_mapping", &a->slot_mapping, 1, 1,
                            AITERI_TYPE_BIT(AITER_I32) | AITERI_TYPE_BIT(AITER_I64), 1, "[tokens]"))
        aiteri_check_extent(c, "slot_mapping", &a->slot_mapping, 0, a->k.shape[0], "tokens of k");
}

/* Addresses are compared, nothing is read. */
static void aiteri_check_cache_overlap(aiteri_check *c, const aiter_reshape_and_cache_args *a,
                                       const aiteri_kv_order *order)
{
    const aiter_tensor none = aiteri_tensor_make(NULL, AITER_F32, 0, 0, 0, 0, 0, 0);
    const int writes_scales = aiteri_cache_computes(aiteri_cache_mode_of(a));
    const aiter_tensor workspace =
        aiteri_memory_operand(a->call.workspace, a->call.workspace_bytes);
    const aiteri_operand operand[] = {{"kv.k", aiteri_given_of(&a->kv, order, 0)},
                                      {"kv.v", aiteri_given_of(&a->kv, order, 1)},
                                      {"kv.k_scale", writes_scales ? &a->kv.k_scale : &none},
                                      {"kv.v_scale", writes_scales ? &a->kv.v_scale : &none},
                                      {"call.workspace", &workspace},
                                      {"k", &a->k},
                                      {"v", &a->v},
                                      {"slot_mapping", &a->slot_mapping},
                                      {"kv.k_scale", writes_scales ? &none : &a->kv.k_scale},
                                      {"kv.v_scale", writes_scales ? &none : &a->kv.v_scale}};
    aiteri_check_overlap(c, operand, 10, 5);
}

static void aiteri_check_static_scales(aiteri_check *c, const char *field, const aiter_tensor *t)
{
    for (int64_t h = 0; c->status == AITER_OK && h < t->shape[0]; h++)
        aiteri_check_positive(c, field, h, ((const float *)t->data)[h * t->stride[0]]);
}

/* Slots in range, none twice: one bit per slot in `seen`. */
static void aiteri_check_slots(aiteri_check *c, const aiter_reshape_and_cache_args *a,
                               uint8_t *seen)
{
    const int64_t slots = a->kv.k.shape[0] * a->kv.k.shape[1];
    memset(seen, 0, (size_t)((slots + 7) / 8));
    for (int64_t n = 0; n < a->k.shape[0] && c->status == AITER_OK; n++) {
        const int64_t slot = aiteri_slot_of(&a->slot_mapping, n);
        if (slot < -1 || slot >= slots)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.slot_mapping: [%lld] is %lld, expected -1 (skip) or one of the %lld "
                          "slots (num_blocks * P) of kv.k, from 0 on",
                          c->op, (long long)n, (long long)slot, (long long)slots);
        if (c->status != AITER_OK || slot < 0) continue;
        if (seen[slot / 8] >> (slot % 8) & 1)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.slot_mapping: [%lld] is %lld, a slot that an earlier token has",
                          c->op, (long long)n, (long long)slot);
        seen[slot / 8] |= (uint8_t)(1u << (slot % 8));
    }
}

static void aiteri_cache_gather(const aiteri_cache_run *run, const aiteri_source *from,
                                int64_t outer, int64_t token, int64_t h, float *row)
{
    const char *src = aiteri_source_at(from, outer, token, h);
    const int32_t piece = from->tiles.piece;
    char stored[AITERI_MAX_HEAD_DIM * sizeof(float)];
    if (!piece) {
        aiteri_gather_row(run->kernels, row, src, from->dtype, from->stride_dim, from->dim);
        return;
    }
    const int64_t bytes = aiteri_bytes_of(from->dtype, piece);
    const int64_t step = aiteri_bytes_of(from->dtype, from->tiles.stride_piece);
    for (int32_t i = 0; i < from->dim / piece; i++)
        memcpy(stored + i * bytes, src + i * step, (size_t)bytes);
    run->kernels->widen[from->dtype](row, stored, from->dim);
}

/* A row of numbers into the cache, divided by a scale where there is one. */
static void aiteri_cache_store(const aiteri_cache_run *run, const aiteri_source *cache,
                               int64_t block, int64_t at, int64_t h, float *row, const float *scale)
{
    if (scale) aiteri_count_steps(run->kernels, row, cache->dim, *scale);
    char *dst = (char *)aiteri_source_at(cache, block, at, h);
    const int32_t piece = cache->tiles.piece;
    char stored[AITERI_MAX_HEAD_DIM * sizeof(float)];
    if (!piece) {
        aiteri_scatter_row(run->kernels, dst, cache->dtype, cache->stride_dim, row, cache->dim);
        return;
    }
    run->kernels->narrow[cache->dtype](stored, row, cache->dim);
    aiteri_spread(dst, aiteri_bytes_of(cache->dtype, cache->tiles.stride_piece), stored,
                  aiteri_bytes_of(cache->dtype, piece), cache->dim / piece);
}

/* One row of one head: widened, divided by its scale, rounded into the cache. */
static void aiteri_cache_row(const aiteri_cache_run *run, const aiteri_cache_side *side,
                             int64_t token, int64_t slot, int64_t h, float *row)
{
    const aiteri_source *src = &side->src, *cache = &side->cache;
    const int64_t page = run->a->kv.k.shape[1], block = slot / page, at = slot % page;
    float *scale = NULL;
    aiteri_cache_gather(run, src, 0, token, h, row);
    if (run->mode != AITERI_CACHE_CONVERTS)
        scale = (float *)cache->scales.data + aiteri_scale_place(&cache->scales, block, at, h);
    if (run->mode == AITERI_CACHE_SCALE_PER_TOKEN_HEAD)
        *scale =
            aiteri_rounded(run->kernels->row_amax(row, src->dim) / aiteri_largest_of(cache->dtype));
    aiteri_cache_store(run, cache, block, at, h, row, scale);
}

static aiter_scale_kind aiteri_cache_scale_kind(const aiter_tensor *scale)
{
    return scale->ndim == 3       ? AITER_SCALE_PER_TOKEN_HEAD
           : scale->ndim == 2     ? AITER_SCALE_PER_BLOCK_HEAD
           : scale->shape[0] == 1 ? AITER_SCALE_PER_TENSOR
                                  : AITER_SCALE_PER_HEAD;
}

/* K (0) or V (1). */
static aiteri_cache_side aiteri_cache_side_of(const aiter_reshape_and_cache_args *a,
                                              const aiteri_kv_order *order, int v)
{
    const aiter_tensor *scale = v ? &a->kv.v_scale : &a->kv.k_scale;
    aiteri_cache_side side = {aiteri_source_of(v ? &a->v : &a->k),
                              aiteri_source_of(v ? &a->kv.v : &a->kv.k)};
    side.cache.tiles = order->tiles[v];
    if (scale->ndim != 0)
        side.cache.scales = aiteri_scales_of(scale, aiteri_cache_scale_kind(scale));
    return side;
}

/* The n tokens of a block, by rising slots, for one head. An append makes the scale larger at most,
 * and what is in the block before its first token is then rounded again. Bits of floats that are
 * not negative are in their order, NaN above all. */
static void aiteri_cache_block(const aiteri_cache_run *run, const aiteri_cache_side *side,
                               const aiteri_cache_token *tokens, int64_t n, int64_t h, float *row)
{
    const aiteri_source *src = &side->src, *cache = &side->cache;
    const int64_t page = run->a->kv.k.shape[1], block = tokens[0].slot / page;
    const int64_t first = tokens[0].slot % page;
    float *scale = (float *)cache->scales.data + aiteri_scale_place(&cache->scales, block, 0, h);
    uint32_t most = aiteri_bits_of_f32(1e-6f);
    for (int64_t i = 0; i < n; i++) {
        aiteri_cache_gather(run, src, 0, tokens[i].token, h, row);
        most = aiteri_larger_magnitude(most, run->kernels->row_amax(row, src->dim));
    }
    const float own = aiteri_rounded(aiteri_f32_of_bits(most) / aiteri_largest_of(cache->dtype));
    const uint32_t old = aiteri_bits_of_f32(*scale);
    const int grows = first == 0 || old >> 31 || old < aiteri_bits_of_f32(own);
    for (int64_t at = 0; grows && at < first; at++) {
        aiteri_cache_gather(run, cache, block, at, h, row);
        run->kernels->row_scale(row, aiteri_padded(cache->dim), *scale);
        aiteri_cache_store(run, cache, block, at, h, row, &own);
    }
    if (grows) *scale = own;
    for (int64_t i = 0; i < n; i++) {
        aiteri_cache_gather(run, src, 0, tokens[i].token, h, row);
        aiteri_cache_store(run, cache, block, tokens[i].slot % page, h, row, scale);
    }
}

/* Tokens of the block that begins with a token in their order; 0: none begins there. */
static int64_t aiteri_cache_block_tokens(const aiteri_cache_run *run, int64_t first)
{
    const aiteri_cache_token *t = run->sorted;
    const int64_t page = run->a->kv.k.shape[1], block = t[first].slot / page;
    int64_t end = first + 1;
    if (t[first].slot < 0 || (first > 0 && t[first - 1].slot >= block * page)) return 0;
    while (end < run->a->k.shape[0] && t[end].slot / page == block) end++;
    return end - first;
}

/* A share of the tokens, or of the blocks, those that begin in it. */
static void aiteri_cache_worker(void *arg, int32_t i)
{
    const aiteri_cache_run *run = (const aiteri_cache_run *)arg;
    const aiter_reshape_and_cache_args *a = run->a;
    const aiteri_cache_side side[2] = {aiteri_cache_side_of(a, run->order, 0),
                                       aiteri_cache_side_of(a, run->order, 1)};
    const int64_t tokens = a->k.shape[0];
    const int blocks = run->mode == AITERI_CACHE_SCALE_PER_BLOCK_HEAD;
    float *row = run->rows + (int64_t)i * AITERI_MAX_HEAD_DIM;
    const int64_t end = aiteri_share_of(tokens, i + 1, run->workers);
    for (int64_t n = aiteri_share_of(tokens, i, run->workers); n < end; n++) {
        const int64_t slot = aiteri_slot_of(&a->slot_mapping, n);
        const int64_t count = blocks ? aiteri_cache_block_tokens(run, n) : slot >= 0;
        for (int64_t h = 0; count > 0 && h < a->k.shape[1]; h++)
            for (int kv = 0; kv < 2; kv++)
                if (blocks)
                    aiteri_cache_block(run, &side[kv], run->sorted + n, count, h, row);
                else
                    aiteri_cache_row(run, &side[kv], n, slot, h, row);
    }
}

/* Token `at` of a heap of `end` sinks to where none below it has a larger slot. */
static void aiteri_cache_sink(aiteri_cache_token *t, int64_t at, int64_t end)
{
    const aiteri_cache_token x = t[at];
    for (int64_t child; (child = 2 * at + 1) < end; at = child) {
        if (child + 1 < end && t[child].slot < t[child + 1].slot) child++;
        if (t[child].slot <= x.slot) break;
        t[at] = t[child];
    }
    t[at] = x;
}

/* All tokens by rising slots, those that are skipped first. */
static void aiteri_cache_sort(const aiter_reshape_and_cache_args *a, aiteri_cache_token *t)
{
    const int64_t n = a->k.shape[0];
    for (int64_t i = 0; i < n; i++) {
        t[i].slot = aiteri_slot_of(&a->slot_mapping, i);
        t[i].token = i;
    }
    for (int64_t i = n / 2; i > 0; i--) aiteri_cache_sink(t, i - 1, n);
    for (int64_t end = n - 1; end > 0; end--) {
        const aiteri_cache_token last = t[end];
        t[end] = t[0];
        t[0] = last;
        aiteri_cache_sink(t, 0, end);
    }
}

/* One layout for the query and the run: rows of the workers, tokens to be sorted, then a bit per
 * slot. */
static uint8_t *aiteri_cache_layout(const aiter_reshape_and_cache_args *a, int32_t workers,
                                    aiteri_arena *arena, aiteri_cache_run *run)
{
    const size_t slots = aiteri_mul_size((size_t)a->kv.k.shape[0], (size_t)a->kv.k.shape[1]);
    const int sorts = aiteri_cache_mode_of(a) == AITERI_CACHE_SCALE_PER_BLOCK_HEAD;
    run->rows = (float *)aiteri_carve(arena, (size_t)workers * AITERI_MAX_HEAD_DIM, sizeof(float));
    run->sorted = (aiteri_cache_token *)aiteri_carve(arena, sorts ? (size_t)a->k.shape[0] : 0,
                                                     sizeof(aiteri_cache_token));
    return (uint8_t *)aiteri_carve(arena, slots / 8 + 1, 1);
}

/* A call. */
typedef struct aiteri_writer {
    aiter_reshape_and_cache_args a;
    aiteri_kv_order order;
    aiteri_cache_mode mode;
    int32_t row; /* of the registry, on a device */
} aiteri_writer;

static aiter_status aiteri_writer_begin(const char *op, const char *call,
                                        const aiter_reshape_and_cache_args *args,
                                        aiter_context *ctx, aiteri_writer *x)
{
    aiteri_check c = {op, ctx, AITER_OK};
    memset(x, 0, sizeof *x);
    AITERI_TRY(aiteri_call_begin(op, call, ctx, args, sizeof *args));
    x->a = *args;
    aiteri_check_true(&c, x->a.call.plan == NULL, "call.plan", "none: this op has no plan");
    aiteri_check_cache(&c, &x->a, &x->order);
    x->mode = aiteri_cache_mode_of(&x->a);
    return c.status;
}

/* Carved bytes; none on a device, where slots are not looked at. */
static size_t aiteri_writer_need(const aiteri_writer *x, aiter_context *ctx)
{
    aiteri_arena measure = {NULL, 0};
    aiteri_cache_run run;
    if (aiteri_context_on_device(ctx)) return 0;
    aiteri_cache_layout(&x->a, aiteri_context_workers(ctx), &measure, &run);
    return measure.used;
}

static aiter_status aiteri_writer_workspace(const aiteri_writer *x, aiter_context *ctx,
                                            size_t *bytes)
{
    return aiteri_scratch_answer("aiter_reshape_and_cache", ctx, aiteri_writer_need(x, ctx), bytes);
}

/* Everything that shapes tell, and which kernel. */
static aiter_status aiteri_writer_supported(aiteri_writer *x, aiter_context *ctx, size_t *bytes)
{
    aiteri_check c = {"aiter_reshape_and_cache", ctx, AITER_OK};
    aiteri_check_cache_overlap(&c, &x->a, &x->order);
    if (c.status != AITER_OK) return c.status;
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of(c.op, ctx);
        AITERI_TRY(aiteri_gpu_cache_choose(&call, &x->a, &x->row));
    }
#endif
    return aiteri_writer_workspace(x, ctx, bytes);
}

/* What a rounding into the cache may change. */
static void aiteri_explain_rounding(aiteri_text *t, const aiteri_writer *x)
{
    const aiter_dtype from = x->a.k.dtype, to = x->a.kv.k.dtype;
    const double largest = (double)aiteri_largest_of(to);
    if (x->mode != AITERI_CACHE_CONVERTS) {
        const int integers = aiteri_is_type(to, AITERI_INTEGERS);
        aiteri_say(t, "error: half a %s%s; ", integers ? "scale" : "unit of ",
                   integers ? "" : aiter_dtype_name(to));
        if (x->mode == AITERI_CACHE_SCALE_GIVEN)
            aiteri_say(t, "beyond %g scales an element is %g of them\n", largest, largest);
        else
            aiteri_say(t, "a scale is the largest |element| of its %s / %g\n",
                       x->mode == AITERI_CACHE_SCALE_PER_TOKEN_HEAD ? "row" : "block so far",
                       largest);
    } else if (from == to || to == AITER_F32)
        aiteri_say(t, "error: none, every %s is %s\n", aiter_dtype_name(from),
                   from == to ? "kept" : "an f32");
    else
        aiteri_say(t, "error: half a unit of %s\n", aiter_dtype_name(to));
}

static aiter_status aiteri_writer_explain(const aiteri_writer *x, aiter_context *ctx,
                                          aiteri_text *t)
{
    const aiter_reshape_and_cache_args *a = &x->a;
    const aiter_tensor *scale[2] = {&a->kv.k_scale, &a->kv.v_scale};
    const int computes = aiteri_cache_computes(x->mode);
    const double tokens = (double)a->k.shape[0], rows = tokens * (double)a->k.shape[1];
    const double elements = rows * (double)(a->k.shape[2] + a->v.shape[2]);
    aiteri_say(t,
               "problem: %lld tokens, heads %lld, D %lld/%lld, into %lld blocks of %lld tokens\n",
               (long long)a->k.shape[0], (long long)a->k.shape[1], (long long)a->k.shape[2],
               (long long)a->v.shape[2], (long long)a->kv.k.shape[0], (long long)a->kv.k.shape[1]);
    aiteri_say(t, "types: k and v %s, slots %s", aiter_dtype_name(a->k.dtype),
               aiter_dtype_name(a->slot_mapping.dtype));
    for (int i = 0; i < 2; i++)
        aiteri_say(t, ", kv.%c %s%s", "kv"[i], aiter_dtype_name(a->kv.k.dtype),
                   scale[i] -> ndim == 0 ? ""
                                         : aiteri_scale_words(aiteri_cache_scale_kind(scale[i])));
    aiteri_say(t, "%s\n", computes ? ", which are written" : "");
    aiteri_explain_rows(t, ctx, x->row, "tokens", a->k.shape[0], 1);
    aiteri_say(t, "bytes: at most %.3g read, %.3g written\n",
               elements * aiteri_bytes_per(a->k.dtype) +
                   tokens * aiteri_bytes_per(a->slot_mapping.dtype),
               elements * aiteri_bytes_per(a->kv.k.dtype) + (computes ? rows * 2 * 4 : 0));
    aiteri_explain_rounding(t, x);
    return AITER_OK;
}

static aiter_status aiteri_writer_run(aiteri_writer *x, aiter_context *ctx)
{
    const aiter_reshape_and_cache_args *a = &x->a;
    size_t bytes;
    AITERI_TRY(aiteri_writer_supported(x, ctx, &bytes));
    aiteri_check c = {"aiter_reshape_and_cache", ctx, AITER_OK};
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of(c.op, ctx);
        const aiteri_cache_side k = aiteri_cache_side_of(a, &x->order, 0);
        const aiteri_cache_side v = aiteri_cache_side_of(a, &x->order, 1);
        const aiteri_source *const side[4] = {&k.src, &k.cache, &v.src, &v.cache};
        return aiteri_gpu_cache_run(&call, a, side, (int32_t)x->mode, x->row);
    }
#endif
    if (x->mode == AITERI_CACHE_SCALE_GIVEN) {
        aiteri_check_static_scales(&c, "kv.k_scale", &a->kv.k_scale);
        aiteri_check_static_scales(&c, "kv.v_scale", &a->kv.v_scale);
        if (c.status != AITER_OK) return c.status;
    }
    aiteri_cache_run run = {a,       &x->order, aiteri_context_kernels(ctx),
                            x->mode, NULL,      aiteri_context_workers(ctx),
                            NULL};
    aiteri_scratch scratch;
    AITERI_TRY(aiteri_scratch_take(c.op, ctx, a->call.workspace, a->call.workspace_bytes,
                                   aiteri_writer_need(x, ctx), &scratch));
    uint8_t *seen = aiteri_cache_layout(a, run.workers, &scratch.arena, &run);
    aiteri_check_slots(&c, a, seen);
    if (c.status == AITER_OK && x->mode == AITERI_CACHE_SCALE_PER_BLOCK_HEAD)
        aiteri_cache_sort(a, run.sorted);
    if (c.status == AITER_OK && a->k.shape[0] > 0)
        aiteri_parallel(ctx, aiteri_cache_worker, &run,
                        (int32_t)aiteri_min(run.workers, AITERI_MAX_THREADS));
    aiteri_scratch_give_back(&scratch);
    return c.status;
}

AITERI_CALLS(reshape_and_cache, writer, "aiter_reshape_and_cache")

#endif /* AITERI_RESHAPE_AND_CACHE_C */
