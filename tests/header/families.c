/* families.c: families of ops left out of the header. Compiled with some AITER_ATTN_ONLY_ and
 * AITER_ATTN_NO_ macros, and with KEPT, the families that must then be there: "FLASH CACHE ". Their
 * ops work on every kernel set of this machine; each call of the others says what it misses.
 * C99 and C++17. */
#define AITER_ATTN_IMPLEMENTATION
#include "aiter_attn.h"
#include "smoke.h"

static int passed, failed;

static void check(int ok, const char *what)
{
    if (ok) {
        passed++;
        return;
    }
    failed++;
    printf("%s: %s\n", what, aiter_last_error());
}

static int is_kept(const char *family)
{
    char word[32];
    snprintf(word, sizeof word, "%s ", family);
    return strstr(KEPT, word) != NULL;
}

/* ---- what is there works ---- */

static int decode_works(aiter_context *ctx)
{
    static const float q[2] = {0.0f, 0.0f}, k[6] = {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f};
    static const float v[6] = {3.0f, 6.0f, 9.0f, 0.0f, 1.0f, 5.0f}; /* [D, Sk] */
    static const int32_t table[1] = {0}, used[1] = {1};
    static const uint8_t k8[4] = {0, 0, 0, 0}, v8[4] = {0x44, 0x4c, 0, 0}; /* 3, 6 */
    float out[2] = {0.0f, 0.0f}, paged[2] = {0.0f, 0.0f};
    aiter_attention_args a;
    memset(&a, 0, sizeof a);
    a.q = aiter_tensor_2d(q, AITER_F32, 2, 1);
    a.kv.k = aiter_tensor_2d(k, AITER_F32, 2, 3);
    a.kv.v = aiter_tensor_2d(v, AITER_F32, 2, 3);
    a.out = aiter_tensor_2d(out, AITER_F32, 1, 2);
    if (aiter_decode_attention(&a, ctx) != AITER_OK) return 0;
    a.out = aiter_tensor_3d(paged, AITER_F32, 1, 1, 2);
    a.q = aiter_tensor_3d(q, AITER_F32, 1, 1, 2);
    a.kv.k = aiter_tensor_4d(k, AITER_F32, 1, 2, 1, 2);
    a.kv.v = aiter_tensor_4d(v, AITER_F32, 1, 2, 1, 2);
    a.kv.block_table = aiter_tensor_2d(table, AITER_I32, 1, 1);
    a.kv.seq_lens = aiter_tensor_1d(used, AITER_I32, 1);
    if (aiter_paged_attn_decode(&a, ctx) != AITER_OK) return 0;
    if (out[0] != 6.0f || out[1] != 2.0f || paged[0] != 3.0f || paged[1] != 6.0f) return 0;
    a.kv.k = aiter_tensor_4d(k8, AITER_F8_E4M3FN, 1, 2, 1, 2);
    a.kv.v = aiter_tensor_4d(v8, AITER_F8_E4M3FN, 1, 2, 1, 2);
    if (aiter_paged_attn_decode(&a, ctx) != AITER_OK) return 0;
    return paged[0] == 3.0f && paged[1] == 6.0f;
}

static int cache_works(aiter_context *ctx)
{
    static const float rows[2] = {1.0f, -1.0f};
    static const int32_t slot[1] = {1};
    int8_t k[4] = {5, 5, 5, 5}, v[4] = {5, 5, 5, 5};
    float k_scale[2] = {0.0f, 0.0f}, v_scale[2] = {0.0f, 0.0f};
    aiter_reshape_and_cache_args a;
    memset(&a, 0, sizeof a);
    a.k = a.v = aiter_tensor_3d(rows, AITER_F32, 1, 1, 2);
    a.kv.k = aiter_tensor_4d(k, AITER_I8, 1, 2, 1, 2);
    a.kv.v = aiter_tensor_4d(v, AITER_I8, 1, 2, 1, 2);
    a.kv.k_scale = aiter_tensor_3d(k_scale, AITER_F32, 1, 2, 1);
    a.kv.v_scale = aiter_tensor_3d(v_scale, AITER_F32, 1, 2, 1);
    a.slot_mapping = aiter_tensor_1d(slot, AITER_I32, 1);
    a.quantisation.to = AITER_I8;
    if (aiter_reshape_and_cache(&a, ctx) != AITER_OK) return 0;
    return k[1] == 5 && k[2] == 127 && k[3] == -127 && v[2] == 127 && k_scale[1] > 0.0f;
}

static int blocks_work(aiter_context *ctx)
{
    static const int32_t pairs[4] = {1, 0, 2, 3};
    int8_t from[4] = {1, 2, 3, 4}, to[4] = {5, 6, 7, 8};
    aiter_tensor cache = aiter_tensor_1d(to, AITER_I8, 4);
    aiter_swap_blocks_args s;
    aiter_copy_blocks_args c;
    memset(&s, 0, sizeof s);
    memset(&c, 0, sizeof c);
    s.src = aiter_tensor_1d(from, AITER_I8, 4);
    s.dst = cache;
    s.mapping = c.mapping = aiter_tensor_2d(pairs, AITER_I32, 2, 2);
    c.caches = &cache;
    c.num_caches = 1;
    if (aiter_copy_blocks(&c, ctx) != AITER_OK || to[0] != 6 || to[3] != 7) return 0;
    return aiter_swap_blocks(&s, ctx) == AITER_OK && to[0] == 2 && to[1] == 6 && to[3] == 3;
}

static int merge_works(aiter_context *ctx)
{
    static const float one[2] = {1.0f, 4.0f}, two[2] = {3.0f, 0.0f}, lse[1] = {0.0f};
    float out[2] = {0.0f, 0.0f};
    aiter_merge_attn_states_args a;
    memset(&a, 0, sizeof a);
    a.out_a = aiter_tensor_3d(one, AITER_F32, 1, 1, 2);
    a.out_b = aiter_tensor_3d(two, AITER_F32, 1, 1, 2);
    a.lse_a = a.lse_b = aiter_tensor_2d(lse, AITER_F32, 1, 1);
    a.out = aiter_tensor_3d(out, AITER_F32, 1, 1, 2);
    return aiter_merge_attn_states(&a, ctx) == AITER_OK && out[0] == 2.0f && out[1] == 2.0f;
}

static int rope_works(aiter_context *ctx)
{
    static const float x[2] = {1.0f, 2.0f}, angle[2] = {0.0f, 1.0f}; /* a right angle */
    float y[2] = {0.0f, 0.0f};
    aiter_rope_fwd_args a;
    memset(&a, 0, sizeof a);
    a.x = aiter_tensor_3d(x, AITER_F32, 1, 1, 2);
    a.y = aiter_tensor_3d(y, AITER_F32, 1, 1, 2);
    a.rope.cos = aiter_tensor_2d(angle, AITER_F32, 1, 1);
    a.rope.sin = aiter_tensor_2d(angle + 1, AITER_F32, 1, 1);
    return aiter_rope_fwd(&a, ctx) == AITER_OK && y[0] == -2.0f && y[1] == 1.0f;
}

static int quant_works(aiter_context *ctx)
{
    static const float x[4] = {1.0f, -6.0f, 0.5f, 3.0f};
    float y[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    uint8_t codes[2] = {0, 0}, scale[1] = {0};
    aiter_quantize_args a;
    memset(&a, 0, sizeof a);
    a.x = aiter_tensor_1d(x, AITER_F32, 4);
    a.y = aiter_tensor_1d(codes, AITER_F4_E2M1, 4);
    a.scale = aiter_tensor_1d(scale, AITER_F8_E8M0, 1);
    a.quantisation.group = 4;
    if (aiter_quantize(&a, ctx) != AITER_OK) return 0;
    a.x = a.y;
    a.y = aiter_tensor_1d(y, AITER_F32, 4);
    if (aiter_dequantize(&a, ctx) != AITER_OK) return 0;
    return codes[0] == 0xf2 && codes[1] == 0x51 && scale[0] == 127 && y[1] == -6.0f && y[3] == 3.0f;
}

static void kept_works(aiter_context *ctx)
{
    if (is_kept("DECODE")) check(decode_works(ctx), "DECODE");
    if (is_kept("CACHE")) check(cache_works(ctx) && blocks_work(ctx), "CACHE");
    if (is_kept("MERGE")) check(merge_works(ctx), "MERGE");
    if (is_kept("ROPE")) check(rope_works(ctx), "ROPE");
    if (is_kept("QUANT")) check(quant_works(ctx), "QUANT");
}

/* ---- what is not there says so ---- */

/* A call of `op`: refused for its family, or, of empty arguments, for those. */
static void check_answer(aiter_status status, const char *op, const char *family, const char *call)
{
    char name[64], option[64], what[96];
    snprintf(name, sizeof name, "%s: compiled out by ", op);
    snprintf(option, sizeof option, "AITER_ATTN_%s_%s", strstr(KEPT, "ONLY") ? "ONLY" : "NO",
             family);
    snprintf(what, sizeof what, "%s%s gave %d", op, call, (int)status);
    if (is_kept(family))
        check(status != AITER_UNSUPPORTED && !strstr(aiter_last_error(), "compiled out"), what);
    else
        check(status == AITER_UNSUPPORTED &&
                  strstr(aiter_last_error(), name) == aiter_last_error() &&
                  strstr(aiter_last_error(), option),
              what);
}

#define ANSWER_HAS_PLAN(op, family) \
    check_answer(aiter_##op##_plan(&a, ctx, &plan), "aiter_" #op, family, "_plan");
#define ANSWER_NO_PLAN(op, family)
#define ANSWER(op, family, plans)                                                              \
    {                                                                                          \
        aiter_##op##_args a;                                                                   \
        memset(&a, 0, sizeof a);                                                               \
        check_answer(aiter_##op(&a, ctx), "aiter_" #op, #family, "");                          \
        if (ctx) check(strcmp(aiter_context_error(ctx), aiter_last_error()) == 0, "its text"); \
        check_answer(aiter_##op##_workspace(&a, ctx, &bytes), "aiter_" #op, #family,           \
                     "_workspace");                                                            \
        check_answer(aiter_##op##_supported(&a, ctx), "aiter_" #op, #family, "_supported");    \
        check_answer(aiter_##op##_explain(&a, ctx, text, sizeof text), "aiter_" #op, #family,  \
                     "_explain");                                                              \
        check((strstr(text, "compiled out") == NULL) == is_kept(#family), "its explanation");  \
        ANSWER_##plans(op, #family)                                                            \
    }

static void all_answer(aiter_context *ctx)
{
    aiter_plan plan;
    size_t bytes = 7;
    char text[512];
    memset(&plan, 0, sizeof plan);
    AITER_OP_LIST(ANSWER)
    check(is_kept("MERGE") || is_kept("ROPE") || is_kept("QUANT") || bytes == 7,
          "a call that fails writes nothing");
}

int main(void)
{
    int isa;
    if (is_kept("FLASH")) check(smoke() == 0, "FLASH");
    kept_works(NULL);
    all_answer(NULL);
    for (isa = AITER_ISA_SCALAR; isa < AITER_ISA_COUNT; isa++) {
        aiter_context *ctx = NULL;
        aiter_context_desc desc;
        memset(&desc, 0, sizeof desc);
        desc.isa_max = (aiter_isa)isa;
        if (aiter_context_create(&desc, &ctx) != AITER_OK) continue; /* another architecture's */
        kept_works(ctx);
        if (isa == AITER_ISA_SCALAR) all_answer(ctx);
        aiter_context_destroy(ctx);
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
