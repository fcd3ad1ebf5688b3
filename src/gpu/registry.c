/* registry.c -- the kernels that exist, from kernels/instances.def, and which of them a call takes.
 */
#ifndef AITERI_GPU_REGISTRY_C
#define AITERI_GPU_REGISTRY_C

#include "../base/dtype.c"
#include "../../kernels/instances.def"

/* What follows the unit in the name of a file: PTX of one chip alone says which. */
#define AITERI_GPU_FILE_CDNA   ""
#define AITERI_GPU_FILE_GFX90A ""
#define AITERI_GPU_FILE_GFX942 ""
#define AITERI_GPU_FILE_GFX950 ""
#define AITERI_GPU_FILE_SM80   ""
#define AITERI_GPU_FILE_SM90A  "_sm_90a"

/* The words of instances.def as numbers. */
enum {
    AITERI_GPU_OP_flash_fwd,
    AITERI_GPU_OP_paged_decode,
    AITERI_GPU_OP_combine,
    AITERI_GPU_OP_reshape_and_cache,
    AITERI_GPU_OP_merge_attn_states,
    AITERI_GPU_OPS,

    AITERI_GPU_ARCH_GFX90A = 1, /* bits: a row may serve several */
    AITERI_GPU_ARCH_GFX942 = 2,
    AITERI_GPU_ARCH_GFX950 = 4,
    AITERI_GPU_ARCH_CDNA = 7,
    AITERI_GPU_ARCH_SM80 = 8,
    AITERI_GPU_ARCH_SM90A = 16,

    AITERI_GPU_TYPE_any = AITER_DTYPE_UNSET,
    AITERI_GPU_TYPE_f32 = AITER_F32,
    AITERI_GPU_TYPE_f16 = AITER_F16,
    AITERI_GPU_TYPE_bf16 = AITER_BF16,
    AITERI_GPU_TYPE_i8 = AITER_I8,

    AITERI_GPU_CLASS_plain = 0,
    AITERI_GPU_CLASS_general = 1,
    AITERI_GPU_SCALES_none = 0,
    AITERI_GPU_SCALES_row = 1,
    AITERI_GPU_SOURCE_any = 0, /* in a row: takes each; in a call: packed */
    AITERI_GPU_SOURCE_dense = 1,
    AITERI_GPU_SOURCE_paged = 2
};

typedef struct aiteri_gpu_row {
    const char *symbol, *unit, *op_name; /* unit: what is compiled together */
    uint8_t op, archs, q, kv, out, scales, general, source;
    int32_t dq, dv, threads, rows, keys, lds_bytes;
} aiteri_gpu_row;

#define AITERI_GPU_ROW(op, arch, q, kv, out, dq, dv, layout, scales, kind, source, threads, rows, \
                       keys, lds, waves)                                                          \
    {"aiteri_" #op "_" #q "_" #kv "_" #out "_" #dq "_" #dv "_" #kind,                             \
     #op "_" #q "_" #kv "_" #dq "_" #dv AITERI_GPU_FILE_##arch,                                   \
     #op,                                                                                         \
     AITERI_GPU_OP_##op,                                                                          \
     AITERI_GPU_ARCH_##arch,                                                                      \
     AITERI_GPU_TYPE_##q,                                                                         \
     AITERI_GPU_TYPE_##kv,                                                                        \
     AITERI_GPU_TYPE_##out,                                                                       \
     AITERI_GPU_SCALES_##scales,                                                                  \
     AITERI_GPU_CLASS_##kind,                                                                     \
     AITERI_GPU_SOURCE_##source,                                                                  \
     dq,                                                                                          \
     dv,                                                                                          \
     threads,                                                                                     \
     rows,                                                                                        \
     keys,                                                                                        \
     lds},
static const aiteri_gpu_row aiteri_gpu_rows_table[] = {AITERI_GPU_ROWS(AITERI_GPU_ROW)};
#undef AITERI_GPU_ROW

enum {
    AITERI_GPU_ROW_COUNT = (int)(sizeof aiteri_gpu_rows_table / sizeof aiteri_gpu_rows_table[0])
};

/* What a call needs of a kernel. */
typedef struct aiteri_gpu_want {
    int32_t op, arch; /* arch: bits; PTX for sm_80 runs on later chips, too */
    int32_t q, kv, out, dq, dv;
    int32_t scales, general, source;
} aiteri_gpu_want;

/* A general row pads the head; a plain one is for its own size alone. 0: every size. */
static int aiteri_gpu_dim_fits(const aiteri_gpu_row *r, int32_t row_dim, int32_t dim)
{
    return !row_dim || (r->general ? row_dim >= dim : row_dim == dim);
}

/* In a row, type `any` takes everything. */
static int aiteri_gpu_row_serves(const aiteri_gpu_row *r, const aiteri_gpu_want *w)
{
    return r->op == w->op && (r->archs & w->arch) && (!r->q || r->q == w->q) &&
           (!r->kv || r->kv == w->kv) && (!r->out || r->out == w->out) &&
           aiteri_gpu_dim_fits(r, r->dq, w->dq) && aiteri_gpu_dim_fits(r, r->dv, w->dv) &&
           r->scales >= w->scales && r->general >= w->general &&
           (!r->source || r->source == w->source);
}

/* Smaller heads first, then the plainer kernel, then the one made for fewer chips. */
static int aiteri_gpu_row_is_better(const aiteri_gpu_row *a, const aiteri_gpu_row *b)
{
    const int32_t size_a = a->dq + a->dv, size_b = b->dq + b->dv;
    if (size_a != size_b) return size_a < size_b;
    if (a->general != b->general) return a->general < b->general;
    if (a->source != b->source) return a->source > b->source;
    if (a->scales != b->scales) return a->scales < b->scales;
    const int one_a = (a->archs & (a->archs - 1)) == 0, one_b = (b->archs & (b->archs - 1)) == 0;
    return one_a != one_b ? one_a : one_a && a->archs > b->archs; /* SM90A before SM80 */
}

/* The best row for a call; -1: none. */
static int32_t aiteri_gpu_find_row(const aiteri_gpu_want *w)
{
    int32_t best = -1;
    for (int32_t i = 0; i < AITERI_GPU_ROW_COUNT; i++) {
        const aiteri_gpu_row *r = &aiteri_gpu_rows_table[i];
        if (!aiteri_gpu_row_serves(r, w)) continue;
        if (best < 0 || aiteri_gpu_row_is_better(r, &aiteri_gpu_rows_table[best])) best = i;
    }
    return best;
}

static const char *aiteri_gpu_op_name(int32_t op)
{
    for (int32_t i = 0; i < AITERI_GPU_ROW_COUNT; i++)
        if (aiteri_gpu_rows_table[i].op == op) return aiteri_gpu_rows_table[i].op_name;
    return "such";
}

static const char *aiteri_gpu_type_name(int32_t dtype)
{
    return dtype == AITERI_GPU_TYPE_any ? "any" : aiteri_dtype_name((aiter_dtype)dtype);
}

/* "bf16 bf16 bf16 128/128", the types and the head sizes of a row or a call; 0: of every size. */
static void aiteri_gpu_describe(char *text, size_t bytes, int32_t q, int32_t kv, int32_t out,
                                int32_t dq, int32_t dv)
{
    char sizes[32] = "";
    if (dq || dv) snprintf(sizes, sizeof sizes, " %d/%d", (int)dq, (int)dv);
    snprintf(text, bytes, "%s %s %s%s", aiteri_gpu_type_name(q), aiteri_gpu_type_name(kv),
             aiteri_gpu_type_name(out), sizes);
}

/* NO_KERNEL: what is missing, and as many of those that exist as the text holds. */
static aiter_status aiteri_gpu_no_row(aiter_context *ctx, const char *op, const char *arch,
                                      const aiteri_gpu_want *w)
{
    char wanted[64], have[128] = "", one[64];
    aiteri_gpu_describe(wanted, sizeof wanted, w->q, w->kv, w->out, w->dq, w->dv);
    for (int32_t i = 0; i < AITERI_GPU_ROW_COUNT; i++) {
        const aiteri_gpu_row *r = &aiteri_gpu_rows_table[i];
        const size_t at = strlen(have);
        if (r->op != w->op || !(r->archs & w->arch)) continue;
        aiteri_gpu_describe(one, sizeof one, r->q, r->kv, r->out, r->dq, r->dv);
        if (strstr(have, one)) continue;
        if (at + strlen(one) + 8 > sizeof have) {
            snprintf(have + at, sizeof have - at, ", ...");
            break;
        }
        snprintf(have + at, sizeof have - at, "%s%s", at ? ", " : "", one);
    }
    return aiteri_fail(ctx, AITER_NO_KERNEL,
                       "%s: no %s%s kernel %s for %s; it has: %s; a CPU computes it", op,
                       w->general ? "general " : "", aiteri_gpu_op_name(w->op), wanted, arch,
                       have[0] ? have : "none");
}

#endif /* AITERI_GPU_REGISTRY_C */
