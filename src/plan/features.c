/* features.c -- what a problem asks of a kernel, as bits. A kernel states the bits that it takes
 * and never sees a problem with another, so an option that is new is refused until a kernel knows
 * it. */
#ifndef AITERI_FEATURES_C
#define AITERI_FEATURES_C

#include "problem.h"
#include "../base/dtype.c"

/* X(name, its words in a text, what would do instead or ""). */
#define AITERI_FEATURE_LIST(X)                                                              \
    X(PROGRAM, "other than softmax attention", "")                                          \
    X(CAUSAL, "a causal mask", "")                                                          \
    X(TOP_LEFT, "a causal mask from the top left", "")                                      \
    X(WINDOW, "a window", "")                                                               \
    X(WINDOW_SINKS, "sink_tokens", "")                                                      \
    X(SOFTCAP, "a softcap", "")                                                             \
    X(ALIBI, "alibi_slopes", "")                                                            \
    X(BIAS, "a bias", "")                                                                   \
    X(VISIBLE, "a mask of bytes (visible)", "pass a bias of 0 and -infinity")               \
    X(Q_SCALE, "q_scale", "multiply softmax_scale by it")                                   \
    X(Q_SCALES, "scales of rows of q", "")                                                  \
    X(OUT_SCALE, "out_scale", "divide the result by it")                                    \
    X(SINKS, "sinks", "")                                                                   \
    X(LSE, "lse", "")                                                                       \
    X(DENSE_KEYS, "dense keys", "")                                                         \
    X(PACKED_KEYS, "packed keys", "")                                                       \
    X(PAGED_KEYS, "pages", "")                                                              \
    X(PAGE_LISTS, "lists of pages (indptr, indices)", "pass a block_table")                 \
    X(HOLES, "pages of -1", "pass lengths that end before them")                            \
    X(TWO_PARTS, "keys in two parts", "write the new tokens to the cache first")            \
    X(SEGMENTS, "rows in segments", "")                                                     \
    X(PART_TYPES, "new tokens of another type than the keys before them",                   \
      "pass them in the type of the cache")                                                 \
    X(PACKED_ROWS, "packed rows of q", "")                                                  \
    X(USED_ROWS, "lengths of q", "")                                                        \
    X(USED_KEYS, "lengths of keys", "")                                                     \
    X(SCALE_TENSOR, "one scale for all keys", "")                                           \
    X(SCALE_HEAD, "scales of heads", "")                                                    \
    X(SCALE_TOKEN, "scales of tokens", "")                                                  \
    X(SCALE_BLOCK, "scales of several tokens", "pass a scale for each token")               \
    X(SCALE_GROUP, "scales of groups of columns", "")                                       \
    X(SCALE_CHANNEL, "scales of channels", "")                                              \
    X(SCALE_TYPE, "scales other than f32", "pass f32 scales")                               \
    X(STRIDED_DIM, "a last stride other than 1", "pass a copy that is dense there")         \
    X(OFF_CHUNKS, "rows that do not start at multiples of 16 bytes", "pass aligned copies") \
    X(TILES, "x-packed or shuffled pages", "pass NHD pages")                                \
    X(FAR_TOKENS, "keys 2^23 elements apart", "pass copies whose tokens lie closer")        \
    X(FAR_SCALE, "a softmax_scale below 2^-100 or above 2^100", "scale q")                  \
    X(V_DIM, "a head_dim of v other than that of k", "")                                    \
    X(KV_TYPES, "keys and values of two types", "pass both in one type")

enum {
#define AITERI_FEATURE_ENUM(name, words, instead) AITERI_FEATURE_##name,
    AITERI_FEATURE_LIST(AITERI_FEATURE_ENUM)
#undef AITERI_FEATURE_ENUM
        AITERI_FEATURES
};

#define AITERI_BIT(name) ((uint64_t)1 << AITERI_FEATURE_##name)

/* Whether rows start at multiples of 16 bytes. */
static int aiteri_in_chunks(const void *data, aiter_dtype dtype, int64_t outer, int64_t token,
                            int64_t head)
{
    /* An or of the strides is a multiple of a power of two if each of them is. */
    const uint64_t strides = (uint64_t)outer | (uint64_t)token | (uint64_t)head;
    return (uintptr_t)data % 16 == 0 && strides * (uint64_t)aiter_dtype_bits(dtype) % 128 == 0;
}

static uint64_t aiteri_mask_features(const aiteri_problem *p)
{
    switch (p->mask) {
    case AITER_MASK_CAUSAL: return AITERI_BIT(CAUSAL);
    case AITER_MASK_CAUSAL_TOP_LEFT: return AITERI_BIT(TOP_LEFT);
    case AITER_MASK_WINDOW:
        return AITERI_BIT(WINDOW) | (p->sink_tokens > 0 ? AITERI_BIT(WINDOW_SINKS) : 0);
    default: return 0;
    }
}

static uint64_t aiteri_score_features(const aiteri_problem *p)
{
    /* The product with log2 e of one that is not far is a normal float. */
    const uint32_t scale = aiteri_bits_of_f32(p->softmax_scale);
    const uint32_t least = (127u - 100) << 23, most = (127u + 100) << 23;
    uint64_t bits = aiteri_mask_features(p);
    if (p->softcap != 0.0f) bits |= AITERI_BIT(SOFTCAP);
    if (p->alibi_slopes) bits |= AITERI_BIT(ALIBI);
    if (p->bias.data) bits |= AITERI_BIT(BIAS);
    if (p->visible.data) bits |= AITERI_BIT(VISIBLE);
    if (p->sinks) bits |= AITERI_BIT(SINKS);
    if (p->q_scale) bits |= AITERI_BIT(Q_SCALE);
    if (p->q_scales.data) bits |= AITERI_BIT(Q_SCALES);
    if (p->out_scales.data) bits |= AITERI_BIT(OUT_SCALE);
    if (p->lse) bits |= AITERI_BIT(LSE);
    if (scale < least || scale > most) bits |= AITERI_BIT(FAR_SCALE);
    return bits;
}

static uint64_t aiteri_rows_features(const aiteri_rows *r)
{
    uint64_t bits = r->stride_dim != 1 ? AITERI_BIT(STRIDED_DIM) : 0;
    if (!aiteri_in_chunks(r->data, r->dtype, r->stride_batch, r->stride_token, r->stride_head))
        bits |= AITERI_BIT(OFF_CHUNKS);
    return bits;
}

static uint64_t aiteri_source_features(const aiteri_source *s)
{
    const aiteri_scales *scales = &s->scales;
    uint64_t bits = s->stride_dim != 1 ? AITERI_BIT(STRIDED_DIM) : 0;
    if (!aiteri_in_chunks(s->data, s->dtype, s->stride_outer, s->stride_token, s->stride_head))
        bits |= AITERI_BIT(OFF_CHUNKS);
    if (s->stride_token >= 1 << 23) bits |= AITERI_BIT(FAR_TOKENS);
    if (s->tiles.piece || s->tiles.bundle) bits |= AITERI_BIT(TILES);
    if (s->rest) bits |= AITERI_BIT(SEGMENTS) | aiteri_source_features(s->rest);
    if (!scales->data) return bits;
    if (scales->block > 1) bits |= AITERI_BIT(SCALE_BLOCK);
    if (scales->group) bits |= AITERI_BIT(SCALE_GROUP);
    if (scales->dtype != AITER_F32) bits |= AITERI_BIT(SCALE_TYPE);
    return bits | (scales->stride_outer || scales->stride_token ? AITERI_BIT(SCALE_TOKEN)
                   : scales->stride_head                        ? AITERI_BIT(SCALE_HEAD)
                                                                : AITERI_BIT(SCALE_TENSOR));
}

/* Everything that `p` asks for; lowering ends with it. */
AITERI_UNUSED static uint64_t aiteri_problem_features(const aiteri_problem *p)
{
    uint64_t bits = aiteri_score_features(p) | (p->program ? AITERI_BIT(PROGRAM) : 0);
    bits |= aiteri_rows_features(&p->q) | aiteri_rows_features(&p->out);
    bits |= aiteri_source_features(&p->k) | aiteri_source_features(&p->v);
    bits |= p->page_indptr    ? AITERI_BIT(PAGE_LISTS)
            : p->block_table  ? AITERI_BIT(PAGED_KEYS)
            : p->cu_seqlens_k ? AITERI_BIT(PACKED_KEYS)
                              : AITERI_BIT(DENSE_KEYS);
    if (p->k_channels.data || p->v_channels.data) bits |= AITERI_BIT(SCALE_CHANNEL);
    if (p->k_tail.data)
        bits |= AITERI_BIT(TWO_PARTS) | aiteri_source_features(&p->k_tail) |
                aiteri_source_features(&p->v_tail);
    if (p->k_tail.data && (p->k_tail.dtype != p->k.dtype || p->v_tail.dtype != p->v.dtype))
        bits |= AITERI_BIT(PART_TYPES);
    if (p->has_holes) bits |= AITERI_BIT(HOLES);
    if (p->cu_seqlens_q) bits |= AITERI_BIT(PACKED_ROWS);
    if (p->seqused_q) bits |= AITERI_BIT(USED_ROWS);
    if (p->seqused_k) bits |= AITERI_BIT(USED_KEYS);
    if (p->v.dim != p->k.dim) bits |= AITERI_BIT(V_DIM);
    if (p->v.dtype != p->k.dtype) bits |= AITERI_BIT(KV_TYPES);
    return bits;
}

static const char *aiteri_feature_text(int32_t feature, int instead)
{
    static const char *const text[AITERI_FEATURES][2] = {
#define AITERI_FEATURE_TEXT(name, words, instead) {words, instead},
        AITERI_FEATURE_LIST(AITERI_FEATURE_TEXT)
#undef AITERI_FEATURE_TEXT
    };
    return feature < AITERI_FEATURES ? text[feature][instead] : "an unknown option";
}

/* "a window, a bias": the words of the bits, as many as the text holds. */
AITERI_UNUSED static void aiteri_describe_features(char *text, size_t bytes, uint64_t bits)
{
    size_t at = 0;
    text[0] = 0;
    for (int32_t i = 0; i < 64; i++) {
        const char *words = aiteri_feature_text(i, 0);
        if (!(bits >> i & 1)) continue;
        if (at + strlen(words) + 8 > bytes) {
            snprintf(text + at, bytes - at, ", ...");
            return;
        }
        at += (size_t)snprintf(text + at, bytes - at, "%s%s", at ? ", " : "", words);
    }
}

/* What would do instead of the first of the bits that has such an answer; NULL: of none. */
AITERI_UNUSED static const char *aiteri_instead_of_features(uint64_t bits)
{
    for (int32_t i = 0; i < AITERI_FEATURES; i++)
        if ((bits >> i & 1) && aiteri_feature_text(i, 1)[0]) return aiteri_feature_text(i, 1);
    return NULL;
}

#endif /* AITERI_FEATURES_C */
