/* registry.c -- the kernels that exist, from kernels/instances.def, and which of them a call takes.
 */
#ifndef AITERI_GPU_REGISTRY_C
#define AITERI_GPU_REGISTRY_C

#include "../plan/features.c"
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
    AITERI_GPU_OP_copy_blocks,
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
    AITERI_GPU_TYPE_i4 = AITER_I4,
    AITERI_GPU_TYPE_f8 = 100, /* the three fp8 types; no aiter_dtype */

    AITERI_GPU_CLASS_plain = AITER_KERNEL_CLASS_PLAIN,
    AITERI_GPU_CLASS_general = AITER_KERNEL_CLASS_GENERAL
};

/* The features that a row takes: those of its op and class, of its source and of its scales. */
#define AITERI_GPU_TAKES_flash_fwd_plain \
    (AITERI_BIT(CAUSAL) | AITERI_BIT(LSE) | AITERI_BIT(USED_ROWS) | AITERI_BIT(USED_KEYS))
#define AITERI_GPU_TAKES_general                                                              \
    (AITERI_GPU_TAKES_flash_fwd_plain | AITERI_BIT(TOP_LEFT) | AITERI_BIT(WINDOW) |           \
     AITERI_BIT(WINDOW_SINKS) | AITERI_BIT(SOFTCAP) | AITERI_BIT(ALIBI) | AITERI_BIT(SINKS) | \
     AITERI_BIT(OFF_CHUNKS) | AITERI_BIT(FAR_TOKENS) | AITERI_BIT(FAR_SCALE) | AITERI_BIT(V_DIM))
#define AITERI_GPU_TAKES_flash_fwd_general (AITERI_GPU_TAKES_general | AITERI_BIT(BIAS))
#define AITERI_GPU_TAKES_paged_decode_general \
    (AITERI_GPU_TAKES_general | AITERI_BIT(TILES) | AITERI_BIT(STRIDED_DIM))
#define AITERI_GPU_TAKES_combine_general           0
#define AITERI_GPU_TAKES_merge_attn_states_general 0
#define AITERI_GPU_TAKES_reshape_and_cache_general 0
#define AITERI_GPU_TAKES_copy_blocks_general       0

#define AITERI_GPU_SOURCE_dense AITERI_BIT(DENSE_KEYS)
#define AITERI_GPU_SOURCE_paged \
    (AITERI_BIT(PAGED_KEYS) | AITERI_BIT(PAGE_LISTS) | AITERI_BIT(PACKED_ROWS))
#define AITERI_GPU_SOURCE_any \
    (AITERI_GPU_SOURCE_dense | AITERI_GPU_SOURCE_paged | AITERI_BIT(PACKED_KEYS))
#define AITERI_GPU_SCALES_none 0
#define AITERI_GPU_SCALES_row \
    (AITERI_BIT(SCALE_TENSOR) | AITERI_BIT(SCALE_HEAD) | AITERI_BIT(SCALE_TOKEN))

typedef struct aiteri_gpu_row {
    const char *symbol, *unit, *op_name; /* unit: what is compiled together */
    uint64_t takes;                      /* features */
    uint8_t op, archs, q, kv, out, kernel_class;
    int32_t dq, dv, threads, rows, keys, lds_bytes;
} aiteri_gpu_row;

#define AITERI_GPU_ROW(op, arch, q, kv, out, dq, dv, layout, scales, kind, source, threads, rows, \
                       keys, lds, waves)                                                          \
    {"aiteri_" #op "_" #q "_" #kv "_" #out "_" #dq "_" #dv "_" #kind,                             \
     #op "_" #q "_" #kv "_" #dq "_" #dv AITERI_GPU_FILE_##arch,                                   \
     #op,                                                                                         \
     AITERI_GPU_TAKES_##op##_##kind | AITERI_GPU_SOURCE_##source | AITERI_GPU_SCALES_##scales,    \
     AITERI_GPU_OP_##op,                                                                          \
     AITERI_GPU_ARCH_##arch,                                                                      \
     AITERI_GPU_TYPE_##q,                                                                         \
     AITERI_GPU_TYPE_##kv,                                                                        \
     AITERI_GPU_TYPE_##out,                                                                       \
     AITERI_GPU_CLASS_##kind,                                                                     \
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
    uint64_t features;
    int32_t op, arch; /* arch: bits; PTX for sm_80 runs on later chips, too */
    int32_t q, kv, out, dq, dv;
    int32_t kernel_class; /* the only one that may serve, or AUTO */
} aiteri_gpu_want;

/* A general row pads the head; a plain one is for its own size alone. 0: every size. */
static int aiteri_gpu_dim_fits(const aiteri_gpu_row *r, int32_t row_dim, int32_t dim)
{
    return !row_dim ||
           (r->kernel_class == AITER_KERNEL_CLASS_PLAIN ? row_dim == dim : row_dim >= dim);
}

/* What keeps a row from a call, the first of these; then the features that it lacks. */
typedef enum aiteri_gpu_refusal {
    AITERI_GPU_SERVES = 0,
    AITERI_GPU_OTHER_OP,
    AITERI_GPU_OTHER_CHIP,
    AITERI_GPU_OTHER_TYPES,
    AITERI_GPU_OTHER_DIMS,
    AITERI_GPU_OTHER_CLASS,
    AITERI_GPU_LACKS_FEATURES
} aiteri_gpu_refusal;

static int aiteri_gpu_is_fp8(int32_t dtype)
{
    return dtype >= AITER_F8_E4M3FN && dtype <= AITER_F8_E5M2;
}

/* In a row, type `any` takes everything, and f8 each of its three. */
static int aiteri_gpu_type_fits(int32_t row_type, int32_t type)
{
    return row_type == AITERI_GPU_TYPE_any || row_type == type ||
           (row_type == AITERI_GPU_TYPE_f8 && aiteri_gpu_is_fp8(type));
}

static aiteri_gpu_refusal aiteri_gpu_row_refuses(const aiteri_gpu_row *r, const aiteri_gpu_want *w)
{
    if (r->op != w->op) return AITERI_GPU_OTHER_OP;
    if (!(r->archs & w->arch)) return AITERI_GPU_OTHER_CHIP;
    if (!aiteri_gpu_type_fits(r->q, w->q) || !aiteri_gpu_type_fits(r->kv, w->kv) ||
        !aiteri_gpu_type_fits(r->out, w->out))
        return AITERI_GPU_OTHER_TYPES;
    if (!aiteri_gpu_dim_fits(r, r->dq, w->dq) || !aiteri_gpu_dim_fits(r, r->dv, w->dv))
        return AITERI_GPU_OTHER_DIMS;
    if (w->kernel_class != AITER_KERNEL_CLASS_AUTO && r->kernel_class != w->kernel_class)
        return AITERI_GPU_OTHER_CLASS;
    return (w->features & ~r->takes) == 0 ? AITERI_GPU_SERVES : AITERI_GPU_LACKS_FEATURES;
}

static int32_t aiteri_feature_count(uint64_t bits)
{
    int32_t n = 0;
    for (; bits != 0; bits &= bits - 1) n++;
    return n;
}

/* Smaller heads first, then the plainer kernel, then the one made for fewer chips. */
static int aiteri_gpu_row_is_better(const aiteri_gpu_row *a, const aiteri_gpu_row *b)
{
    const int32_t size_a = a->dq + a->dv, size_b = b->dq + b->dv;
    const int32_t takes_a = aiteri_feature_count(a->takes),
                  takes_b = aiteri_feature_count(b->takes);
    if (size_a != size_b) return size_a < size_b;
    if (a->kernel_class != b->kernel_class) return a->kernel_class == AITER_KERNEL_CLASS_PLAIN;
    if (takes_a != takes_b) return takes_a < takes_b;
    const int one_a = (a->archs & (a->archs - 1)) == 0, one_b = (b->archs & (b->archs - 1)) == 0;
    return one_a != one_b ? one_a : one_a && a->archs > b->archs; /* SM90A before SM80 */
}

/* The best row for a call; -1: none. */
static int32_t aiteri_gpu_find_row(const aiteri_gpu_want *w)
{
    int32_t best = -1;
    for (int32_t i = 0; i < AITERI_GPU_ROW_COUNT; i++) {
        const aiteri_gpu_row *r = &aiteri_gpu_rows_table[i];
        if (aiteri_gpu_row_refuses(r, w) != AITERI_GPU_SERVES) continue;
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
    return dtype == AITERI_GPU_TYPE_any  ? "any"
           : dtype == AITERI_GPU_TYPE_f8 ? "f8"
                                         : aiteri_dtype_name((aiter_dtype)dtype);
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

/* "plain ": the class that is pinned, or the only one that may be of use. */
static const char *aiteri_gpu_class_wanted(const aiteri_gpu_want *w)
{
    const uint64_t score = w->features & ~(AITERI_GPU_SOURCE_any | AITERI_GPU_SCALES_row);
    if (w->kernel_class == AITER_KERNEL_CLASS_PLAIN) return "plain ";
    return w->kernel_class == AITER_KERNEL_CLASS_GENERAL ||
                   (score & ~AITERI_GPU_TAKES_flash_fwd_plain) != 0
               ? "general "
               : "";
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
        if (w->kernel_class != AITER_KERNEL_CLASS_AUTO && r->kernel_class != w->kernel_class)
            continue;
        aiteri_gpu_describe(one, sizeof one, r->q, r->kv, r->out, r->dq, r->dv);
        if (strstr(have, one)) continue;
        if (at + strlen(one) + 8 > sizeof have) {
            snprintf(have + at, sizeof have - at, ", ...");
            break;
        }
        snprintf(have + at, sizeof have - at, "%s%s", at ? ", " : "", one);
    }
    return aiteri_fail(ctx, AITER_NO_KERNEL, "%s: no %s%s kernel %s for %s; it has: %s; %s", op,
                       aiteri_gpu_class_wanted(w), aiteri_gpu_op_name(w->op), wanted, arch,
                       have[0] ? have : "none",
                       w->kernel_class != AITER_KERNEL_CLASS_AUTO
                           ? "kernel_class or AITER_KERNEL_CLASS pins it"
                           : "a CPU computes it");
}

/* Of the rows that nothing but features keeps from the call the one that lacks fewest; -1: none. */
static int32_t aiteri_gpu_nearest_row(const aiteri_gpu_want *w)
{
    int32_t best = -1, fewest = 65;
    for (int32_t i = 0; i < AITERI_GPU_ROW_COUNT; i++) {
        const aiteri_gpu_row *r = &aiteri_gpu_rows_table[i];
        const int32_t lacks = aiteri_feature_count(w->features & ~r->takes);
        if (aiteri_gpu_row_refuses(r, w) != AITERI_GPU_LACKS_FEATURES || lacks >= fewest) continue;
        best = i;
        fewest = lacks;
    }
    return best;
}

/* What to do where the nearest row of the wanted class lacks features. */
static const char *aiteri_gpu_way_out(const aiteri_gpu_want *w, uint64_t lacks)
{
    const char *instead = aiteri_instead_of_features(lacks);
    aiteri_gpu_want any = *w;
    any.kernel_class = AITER_KERNEL_CLASS_AUTO;
    if (w->kernel_class != AITER_KERNEL_CLASS_AUTO && aiteri_gpu_find_row(&any) >= 0)
        return "kernel_class or AITER_KERNEL_CLASS pins it: AUTO has one that does";
    return instead ? instead : "a CPU computes it";
}

/* UNSUPPORTED where a row would serve but for features, which the text names; else NO_KERNEL. */
static aiter_status aiteri_gpu_refuse(aiter_context *ctx, const char *op, const char *arch,
                                      const aiteri_gpu_want *w)
{
    const int32_t nearest = aiteri_gpu_nearest_row(w);
    char wanted[64], words[96];
    if (nearest < 0) return aiteri_gpu_no_row(ctx, op, arch, w);
    const uint64_t lacks = w->features & ~aiteri_gpu_rows_table[nearest].takes;
    aiteri_gpu_describe(wanted, sizeof wanted, w->q, w->kv, w->out, w->dq, w->dv);
    aiteri_describe_features(words, sizeof words, lacks);
    return aiteri_fail(ctx, AITER_UNSUPPORTED, "%s: no %s%s kernel %s for %s takes %s; %s", op,
                       w->kernel_class != AITER_KERNEL_CLASS_AUTO ? aiteri_gpu_class_wanted(w) : "",
                       aiteri_gpu_op_name(w->op), wanted, arch, words,
                       aiteri_gpu_way_out(w, lacks));
}

#endif /* AITERI_GPU_REGISTRY_C */
