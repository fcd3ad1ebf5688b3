/* cells.h -- the axes of docs/cells.md and the arguments of any cell: types x order of memory x
 * look-up x scales, and for the writer how codes are made. The arguments are made of shapes alone
 * over zeros, so a cell that is not refused has lengths of 0 or keys of 0 and takes no time. */
#ifndef AITER_TEST_CELLS_H
#define AITER_TEST_CELLS_H

#include "messages.h"

typedef enum cell_order {
    ORDER_NHD = 0,
    ORDER_HND,
    ORDER_FUSED, /* K and V in one tensor, beside each other, by strides */
    ORDER_ONE,   /* pages of one token */
    ORDER_X_PACKED,
    ORDER_SHUFFLED,
    ORDER_COUNT
} cell_order;

typedef enum cell_lookup {
    LOOKUP_DENSE = 0,
    LOOKUP_PADDED,
    LOOKUP_PACKED,
    LOOKUP_GAPS,
    LOOKUP_TABLE,
    LOOKUP_LISTS,
    LOOKUP_COUNT
} cell_lookup;

static const char *const order_names[] = {"NHD",          "HND",      "fused",
                                          "pages of one", "x-packed", "shuffled"};
static const char *const lookup_names[] = {"dense",       "padded", "packed", "packed with gaps",
                                           "block table", "lists"};
static const char *const kind_names[] = {"none", "tensor",    "head",    "token",
                                         "page", "batch row", "channel", "group of columns"};

/* How the writer gets its codes: none, or scales of a kind that are given, or computed. */
enum { WRITER_MODES = 2 * AITER_SCALE_COUNT - 1 };

typedef struct cell {
    attn_op op;
    aiter_dtype q, k, v; /* q: of the rows that go in; k, v: as they lie */
    aiter_dtype out;
    cell_order order;
    cell_lookup lookup;
    aiter_scale_kind kind; /* of what is quantised; BY_SHAPE: none */
    aiter_dtype scale_type;
    int scale_floats; /* scales are given whatever the type */
    int given;        /* of the writer */
} cell;

enum {
    CELL_B = 2,
    CELL_SQ = 3,
    CELL_SK = 16,
    CELL_HQ = 4,
    CELL_HK = 2,
    CELL_D = 32,
    CELL_GROUPS = 2
};
enum { CELL_BLOCKS = 4, CELL_SLOT = 1 << 15, CELL_SLOTS = 16 };

/* Memory of the arguments; nobody's values. */
static unsigned char cell_memory[CELL_SLOTS * CELL_SLOT + 64];

static inline unsigned char *cell_slot(int i)
{
    return cell_memory + (64 - (uintptr_t)cell_memory % 64) + (size_t)i * CELL_SLOT;
}

static inline int cell_is_paged(const cell *c)
{
    return c->op == OP_CACHE || c->lookup >= LOOKUP_TABLE;
}
static inline int cell_is_packed(const cell *c)
{
    return c->op != OP_CACHE && (c->lookup == LOOKUP_PACKED || c->lookup == LOOKUP_GAPS);
}

/* Two types do not lie in one tensor, and a page is of pages. */
static inline int cell_exists(const cell *c)
{
    if (c->order == ORDER_FUSED && c->k != c->v) return 0;
    return c->order != ORDER_ONE || cell_is_paged(c);
}

/* K (0) or V (1). */
static inline aiter_tensor cell_keys(const cell *c, int v)
{
    const int paged = cell_is_paged(c), fused = c->order == ORDER_FUSED;
    const aiter_dtype type = v ? c->v : c->k;
    const int64_t n0 = paged ? CELL_BLOCKS : cell_is_packed(c) ? 1 : CELL_B;
    const int64_t n1 = c->order == ORDER_ONE ? 1 : CELL_SK, x = 128 / aiter_dtype_bits(type);
    const void *data = cell_slot(fused ? 1 : 1 + v);
    aiter_tensor t;
    if (c->order == ORDER_X_PACKED && v)
        return aiter_tensor_4d(data, type, n0, CELL_HK, CELL_D, n1);
    if (c->order >= ORDER_X_PACKED)
        return aiter_tensor_5d(data, type, n0, CELL_HK, (v ? n1 : CELL_D) / x, v ? CELL_D : n1, x);
    if (c->order == ORDER_HND)
        t = aiter_tensor_transpose(aiter_tensor_4d(data, type, n0, CELL_HK, n1, CELL_D), 1, 2);
    else
        t = aiter_tensor_4d(data, type, n0, n1, CELL_HK, CELL_D);
    if (fused) { /* [num_blocks, 2, P, Hk, D], or [.., tokens, 2, Hk, D] */
        const int64_t row = (int64_t)CELL_HK * CELL_D, apart = paged ? n1 * row : row;
        t = aiter_tensor_transpose(t, 0, 0); /* strides that are said */
        t.stride[0] *= 2;
        t.stride[1] *= paged ? 1 : 2;
        t.data = (unsigned char *)t.data + v * apart * aiter_dtype_bits(type) / 8;
    }
    if (!cell_is_packed(c)) return t;
    t.ndim = 3;
    memmove(t.shape, t.shape + 1, 3 * sizeof t.shape[0]);
    memmove(t.stride, t.stride + 1, 3 * sizeof t.stride[0]);
    return t;
}

/* Rows of q, out (which 0 and 3) or of the writer's source. */
static inline aiter_tensor cell_rows(const cell *c, int slot, aiter_dtype type)
{
    const void *data = cell_slot(slot);
    if (c->op == OP_CACHE) return aiter_tensor_3d(data, type, 3, CELL_HK, CELL_D);
    if (c->op == OP_DECODE) return aiter_tensor_3d(data, type, CELL_B, CELL_HQ, CELL_D);
    if (cell_is_packed(c)) return aiter_tensor_3d(data, type, CELL_B * CELL_SQ, CELL_HQ, CELL_D);
    return aiter_tensor_4d(data, type, CELL_B, CELL_SQ, CELL_HQ, CELL_D);
}

/* Scales of a kind in its shape, or absent. */
static inline aiter_tensor cell_scales(const cell *c, aiter_dtype data_type, int slot)
{
    const void *data = cell_slot(slot);
    const aiter_dtype type = c->scale_type ? c->scale_type : AITER_F32;
    const int64_t n1 = c->order == ORDER_ONE ? 1 : CELL_SK;
    const int64_t n0 = cell_is_paged(c) ? CELL_BLOCKS : CELL_B;
    const int quantised = type_is_fp8(data_type) || type_is_integer(data_type);
    if (c->kind == AITER_SCALE_BY_SHAPE || !(quantised || c->scale_floats)) return op_none;
    switch (c->kind) {
    case AITER_SCALE_PER_TENSOR: return aiter_tensor_1d(data, type, 1);
    case AITER_SCALE_PER_HEAD: return aiter_tensor_1d(data, type, CELL_HK);
    case AITER_SCALE_PER_TOKEN_HEAD:
        return cell_is_packed(c) ? aiter_tensor_2d(data, type, CELL_SK, CELL_HK)
                                 : aiter_tensor_3d(data, type, n0, n1, CELL_HK);
    case AITER_SCALE_PER_BLOCK_HEAD: return aiter_tensor_2d(data, type, n0, CELL_HK);
    case AITER_SCALE_PER_BATCH_HEAD: return aiter_tensor_2d(data, type, CELL_B, CELL_HK);
    case AITER_SCALE_PER_CHANNEL: return aiter_tensor_2d(data, type, CELL_HK, CELL_D);
    default:
        return cell_is_packed(c) ? aiter_tensor_3d(data, type, CELL_SK, CELL_HK, CELL_GROUPS)
                                 : aiter_tensor_4d(data, type, n0, n1, CELL_HK, CELL_GROUPS);
    }
}

static inline aiter_kv cell_kv(const cell *c)
{
    aiter_kv kv;
    memset(&kv, 0, sizeof kv);
    kv.k = cell_keys(c, 0);
    kv.v = cell_keys(c, 1);
    kv.layout = c->order == ORDER_X_PACKED   ? AITER_KV_X_PACKED
                : c->order == ORDER_SHUFFLED ? AITER_KV_SHUFFLED
                                             : AITER_KV_NHD;
    kv.k_scale = cell_scales(c, c->k, 4);
    kv.v_scale = cell_scales(c, c->v, 5);
    kv.k_scale_kind = kv.k_scale.ndim ? c->kind : AITER_SCALE_BY_SHAPE;
    kv.v_scale_kind = kv.v_scale.ndim ? c->kind : AITER_SCALE_BY_SHAPE;
    if (c->op == OP_CACHE) return kv;
    if (cell_is_packed(c)) kv.cu_seqlens = aiter_tensor_1d(cell_slot(6), AITER_I32, CELL_B + 1);
    if (c->lookup == LOOKUP_PADDED || c->lookup == LOOKUP_GAPS || c->lookup == LOOKUP_TABLE)
        kv.seq_lens = aiter_tensor_1d(cell_slot(7), AITER_I32, CELL_B);
    if (c->lookup == LOOKUP_TABLE)
        kv.block_table = aiter_tensor_2d(cell_slot(8), AITER_I32, CELL_B, 2);
    if (c->lookup == LOOKUP_LISTS) {
        kv.indptr = aiter_tensor_1d(cell_slot(9), AITER_I32, CELL_B + 1);
        kv.indices = aiter_tensor_1d(cell_slot(10), AITER_I32, 4);
        kv.last_page_lens = aiter_tensor_1d(cell_slot(11), AITER_I32, CELL_B);
    }
    return kv;
}

/* The arguments of a cell, of its op. */
static inline void cell_fill(const cell *c, any_args *args)
{
    memset(args, 0, sizeof *args);
    if (c->op == OP_CACHE) {
        aiter_reshape_and_cache_args *a = &args->reshape_and_cache;
        const int quantises = c->kind || type_is_integer(c->k);
        a->k = cell_rows(c, 0, c->q);
        a->v = cell_rows(c, 3, c->q);
        a->kv = cell_kv(c);
        a->slot_mapping = aiter_tensor_1d(cell_slot(12), AITER_I32, 3);
        if (quantises) a->quantisation.to = c->k;
        a->quantisation.per = c->kind;
        a->quantisation.scale_given = c->given;
        return;
    }
    aiter_attention_args *a = &args->flash_attn_fwd;
    a->q = cell_rows(c, 0, c->q);
    a->out = cell_rows(c, 3, c->out);
    a->kv = cell_kv(c);
    if (cell_is_packed(c)) a->cu_seqlens_q = aiter_tensor_1d(cell_slot(13), AITER_I32, CELL_B + 1);
    if (c->op != OP_DECODE && (c->lookup == LOOKUP_PADDED || c->lookup == LOOKUP_GAPS))
        a->seqused_q = aiter_tensor_1d(cell_slot(14), AITER_I32, CELL_B);
}

/* ---- what a cell answers ---- */

/* The text of a refusal names one of the op's fields. */
static inline int cell_names_field(const op_entry *op, const char *text)
{
    const size_t n = strlen(op->name);
    const char *at = strncmp(text, op->name, n) == 0 && text[n] == '.' ? text + n + 1 : NULL;
    int i;
    for (i = 0; at && i < op->num_fields; i++) {
        const size_t m = strlen(op->fields[i].name);
        if (strncmp(at, op->fields[i].name, m) == 0 && strchr(": _", at[m])) return 1;
    }
    for (i = 0; at && i < op->num_values; i++) {
        const size_t m = strlen(op->values[i].name);
        if (strncmp(at, op->values[i].name, m) == 0 && strchr(": ", at[m])) return 1;
    }
    return at && (strncmp(at, "kv.layout", 9) == 0 || strncmp(at, "quantisation.", 13) == 0);
}

#endif /* AITER_TEST_CELLS_H */
