/* selftest.c -- aiter_selftest: every op on every kernel set of this machine, and on the context's
 * device, against the scalar set. */
#ifndef AITERI_SELFTEST_C
#define AITERI_SELFTEST_C

#include "selftest_cases.c"

/* ---- one case ---- */

/* Any op with its arguments. */
typedef union aiteri_selftest_args {
#define AITERI_SELFTEST_MEMBER(op, family, plan) aiter_##op##_args op;
    AITER_OP_LIST(AITERI_SELFTEST_MEMBER)
#undef AITERI_SELFTEST_MEMBER
} aiteri_selftest_args;

typedef enum aiteri_selftest_op {
#define AITERI_SELFTEST_OP(op, family, plan) AITERI_SELFTEST_##op,
    AITER_OP_LIST(AITERI_SELFTEST_OP) AITERI_SELFTEST_OPS
#undef AITERI_SELFTEST_OP
} aiteri_selftest_op;

/* Builds case `number` of an op for memory at `base`, and calls it there. */
static aiter_status aiteri_selftest_call(aiteri_selftest *s, int op, uint64_t number, char *base,
                                         aiter_context *ctx)
{
    aiteri_selftest_args a;
    aiter_tensor cache[2];
    memset(&a, 0, sizeof a);
    s->base = base;
    s->used = 0;
    s->outputs = 0;
    s->number = number * AITERI_SELFTEST_OPS + (uint64_t)op;
    s->counter = s->number << 32;
    s->work = 1e5;
    switch (op) {
    case AITERI_SELFTEST_flash_attn_fwd: aiteri_selftest_attention(s, &a.flash_attn_fwd, 0); break;
    case AITERI_SELFTEST_paged_attn_decode:
        aiteri_selftest_attention(s, &a.paged_attn_decode, 1);
        break;
    case AITERI_SELFTEST_grouped_query_attention:
    case AITERI_SELFTEST_multi_query_attention:
        aiteri_selftest_rows(s, &a.flash_attn_fwd, 0);
        break;
    case AITERI_SELFTEST_variable_length_attention:
        aiteri_selftest_rows(s, &a.flash_attn_fwd, 1);
        break;
    case AITERI_SELFTEST_decode_attention: aiteri_selftest_token(s, &a.decode_attention, 0); break;
    case AITERI_SELFTEST_decode_attention_gqa:
        aiteri_selftest_token(s, &a.decode_attention_gqa, 1);
        break;
    case AITERI_SELFTEST_reshape_and_cache: aiteri_selftest_cache(s, &a.reshape_and_cache); break;
    case AITERI_SELFTEST_swap_blocks: aiteri_selftest_swap(s, &a.swap_blocks); break;
    case AITERI_SELFTEST_copy_blocks: aiteri_selftest_copy(s, &a.copy_blocks, cache); break;
    case AITERI_SELFTEST_merge_attn_states: aiteri_selftest_merge(s, &a.merge_attn_states); break;
    case AITERI_SELFTEST_rope_fwd: aiteri_selftest_rope(s, &a.rope_fwd); break;
    case AITERI_SELFTEST_quantize: aiteri_selftest_quant(s, &a.quantize, 1); break;
    default: aiteri_selftest_quant(s, &a.dequantize, 0); break;
    }
    if (base != s->host)
        AITERI_TRY(
            aiter_memory_copy(ctx, base, AITER_MEMORY_DEVICE, s->host, AITER_MEMORY_HOST, s->used));
    switch (op) {
#define AITERI_SELFTEST_RUN(op, family, plan) \
    case AITERI_SELFTEST_##op: AITERI_TRY(aiter_##op(&a.op, ctx)); break;
        AITER_OP_LIST(AITERI_SELFTEST_RUN)
#undef AITERI_SELFTEST_RUN
    default: break;
    }
    if (base == s->host) return AITER_OK;
    AITERI_TRY(
        aiter_memory_copy(ctx, s->host, AITER_MEMORY_HOST, base, AITER_MEMORY_DEVICE, s->used));
    return aiter_context_synchronize(ctx);
}

/* How far an element may be from the scalar set's. */
static float aiteri_selftest_bound(const aiteri_selftest *s, const aiteri_selftest_output *o,
                                   float expected)
{
    const float unit = o->dtype == AITER_F16    ? 0x1p-10f
                       : o->dtype == AITER_BF16 ? 0x1p-7f
                                                : 0x1p-17f;
    const float size = expected < 0 ? -expected : expected;
    return unit * (size > 1 ? size : 1) + (s->loose ? 0x1p-6f : 0);
}

static int aiteri_selftest_same(const aiteri_selftest *s, const aiteri_selftest_output *o,
                                int64_t i, float *got, float *expected)
{
    const char *a = s->host + o->at, *b = s->expected + o->at;
    *got = aiter_load_element(o->dtype, a, i);
    *expected = aiter_load_element(o->dtype, b, i);
    const int bits = aiter_dtype_bits(o->dtype);
    if (bits < 8 || memcmp(a + i * (bits / 8), b + i * (bits / 8), (size_t)bits / 8) == 0)
        return bits >= 8 || *got == *expected;
    if (o->exact) return 0;
    const uint32_t wide = aiteri_bits_of_f32(*got) << 1, want = aiteri_bits_of_f32(*expected) << 1;
    if (wide > 0xff000000u && want > 0xff000000u) return 1; /* NaN of whatever bits */
    if (wide >= 0xff000000u || want >= 0xff000000u) return wide == want;
    const float apart = *got < *expected ? *expected - *got : *got - *expected;
    return apart <= aiteri_selftest_bound(s, o, *expected);
}

/* The first element that is not the scalar set's. */
static aiter_status aiteri_selftest_compare(const aiteri_selftest *s, const char *op,
                                            const char *set, aiter_context *ctx)
{
    float got, expected;
    for (int32_t n = 0; n < s->outputs; n++)
        for (int64_t i = 0; i < s->output[n].count; i++)
            if (!aiteri_selftest_same(s, &s->output[n], i, &got, &expected))
                return aiteri_fail(ctx, AITER_DEVICE,
                                   "aiter_selftest: %s on %s (case %llu: %s): %s[%lld] is %.9g, "
                                   "expected %.9g",
                                   op, set, (unsigned long long)s->number, s->words,
                                   s->output[n].name, (long long)i, (double)got, (double)expected);
    return AITER_OK;
}

/* ---- the sets ---- */

enum { AITERI_SELFTEST_SETS = AITER_ISA_COUNT + 1 };

typedef struct aiteri_selftest_sets {
    aiter_context *scalar, *set[AITERI_SELFTEST_SETS];
    char *base[AITERI_SELFTEST_SETS]; /* memory of its calls; NULL: the host's */
    int32_t count;
} aiteri_selftest_sets;

/* One case on the scalar set, then on each other. What a device or a build has not is left out. */
static aiter_status aiteri_selftest_case(aiteri_selftest *s, const aiteri_selftest_sets *sets,
                                         int op, uint64_t number, aiter_context *ctx)
{
#define AITERI_SELFTEST_NAME(op, family, plan) "aiter_" #op,
    static const char *const names[] = {AITER_OP_LIST(AITERI_SELFTEST_NAME)};
#undef AITERI_SELFTEST_NAME
    s->loose = 0;
    const aiter_status there = aiteri_selftest_call(s, op, number, s->host, sets->scalar);
    if (there == AITER_UNSUPPORTED) return AITER_OK; /* its family was left out */
    if (there != AITER_OK) return aiteri_fail(ctx, there, "aiter_selftest: %s", s->words);
    memcpy(s->expected, s->host, s->used);
    for (int32_t i = 0; i < sets->count; i++) {
        aiter_context *set = sets->set[i];
        const aiter_context_details info = aiter_context_info(set);
        const int device = info.device != AITER_DEVICE_CPU;
        s->loose = device || info.isa == AITER_ISA_AVX512_BF16;
        const aiter_status status =
            aiteri_selftest_call(s, op, number, sets->base[i] ? sets->base[i] : s->host, set);
        if (device && (status == AITER_NO_KERNEL || status == AITER_UNSUPPORTED)) continue;
        if (status != AITER_OK) {
            char text[AITERI_ERROR_BYTES];
            memcpy(text, aiteri_error_text, sizeof text);
            return aiteri_fail(ctx, status, "aiter_selftest: on %s: %.200s", info.architecture,
                               text);
        }
        AITERI_TRY(aiteri_selftest_compare(s, names[op], info.architecture, ctx));
    }
    return AITER_OK;
}

/* All ops in turn until the scalar set has done `budget` multiply-adds; each at least once. */
static aiter_status aiteri_selftest_run(const aiteri_selftest_sets *sets, double budget,
                                        aiter_context *ctx)
{
    aiteri_selftest s;
    void *memory = NULL;
    double work = 0;
    memset(&s, 0, sizeof s);
    AITERI_TRY(aiter_memory_alloc(sets->scalar, AITER_MEMORY_HOST,
                                  2 * (size_t)AITERI_SELFTEST_BYTES + AITERI_LINE, &memory));
    s.host = (char *)aiteri_pad_size((size_t)memory, AITERI_LINE);
    s.expected = s.host + AITERI_SELFTEST_BYTES;
    aiter_status status = AITER_OK;
    for (uint64_t n = 0; status == AITER_OK && (n == 0 || work < budget); n++)
        for (int op = 0; status == AITER_OK && op < AITERI_SELFTEST_OPS; op++) {
            status = aiteri_selftest_case(&s, sets, op, n, ctx);
            work += s.work;
        }
    aiter_memory_free(sets->scalar, AITER_MEMORY_HOST, memory,
                      2 * (size_t)AITERI_SELFTEST_BYTES + AITERI_LINE);
    return status;
}

/* A context with the hooks of ctx under a cap; NULL where the machine has no such set. */
static aiter_status aiteri_selftest_set(const aiter_context *ctx, aiter_isa isa,
                                        aiter_context **set)
{
    aiter_context_desc d;
    *set = NULL;
    if (!aiteri_kernels_of(isa)) return AITER_OK; /* another architecture's */
    memset(&d, 0, sizeof d);
    if (ctx) d = ctx->desc;
    d.num_threads = ctx && d.device == AITER_DEVICE_CPU ? d.num_threads : 1;
    d.device = AITER_DEVICE_CPU;
    d.stream = NULL;
    d.arena_bytes = 0;
    d.log = NULL;
    d.isa_max = isa;
    const aiter_status status = aiter_context_create(&d, set);
    if (status != AITER_OK || aiter_context_info(*set).isa == isa) return status;
    aiter_context_destroy(*set);
    *set = NULL;
    return AITER_OK;
}

AITER_ATTN_API aiter_status aiter_selftest(aiter_context *ctx, double budget)
{
    aiteri_selftest_sets sets;
    aiter_status status = AITER_OK;
    memset(&sets, 0, sizeof sets);
    aiteri_context_begin(ctx);
    uint64_t bits; /* by them, so that no compiler flag can wave NaN through */
    memcpy(&bits, &budget, sizeof bits);
    if (bits << 1 != 0 && bits > UINT64_C(0x43abc16d674ec800)) /* 1e18 */
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT,
                           "aiter_selftest.budget: is %g, expected 0 or more multiply-adds",
                           budget);
    status = aiteri_selftest_set(ctx, AITER_ISA_SCALAR, &sets.scalar);
    for (int isa = AITER_ISA_SCALAR + 1; status == AITER_OK && isa < AITER_ISA_COUNT; isa++) {
        status = aiteri_selftest_set(ctx, (aiter_isa)isa, &sets.set[sets.count]);
        if (sets.set[sets.count]) sets.count++;
    }
    void *device = NULL;
    if (status == AITER_OK && aiteri_context_on_device(ctx)) {
        status = aiter_memory_alloc(ctx, AITER_MEMORY_DEVICE, AITERI_SELFTEST_BYTES, &device);
        sets.base[sets.count] = (char *)device;
        sets.set[sets.count++] = ctx;
    }
    if (status == AITER_OK) status = aiteri_selftest_run(&sets, budget > 0 ? budget : 4e8, ctx);
    if (device) {
        aiter_memory_free(ctx, AITER_MEMORY_DEVICE, device, AITERI_SELFTEST_BYTES);
        sets.count--;
    }
    for (int32_t i = 0; i < sets.count; i++) aiter_context_destroy(sets.set[i]);
    aiter_context_destroy(sets.scalar);
    return status;
}

#endif /* AITERI_SELFTEST_C */
