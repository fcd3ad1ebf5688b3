/* good_call.h -- the bytes of an input become a good call of an op of ops.h: extents, types, kinds
 * of scales, orders of memory and tables are chosen, and its tensors are laid into one arena. */
#ifndef AITER_FUZZ_GOOD_CALL_H
#define AITER_FUZZ_GOOD_CALL_H

enum {
    ARENA_BYTES = 48 * 1024, /* all tensors of a call */
    GAP_BYTES = 32,
    HIDDEN_BYTES = 256, /* around a workspace, behind a plan */
    WORKSPACE_BYTES = 1 << 20,
    PLAN_BYTES = 64 * 1024,
    MOST_WORK = 1 << 17 /* rows x keys x head_dim of a call that is run */
};

/* One call under construction. */
typedef struct fuzz_call {
    const fuzz_op *op;
    const fuzz_field *keys; /* its K, behind which V is; NULL where it has none */
    int64_t extent[128];    /* by letter */
    aiter_dtype type[128];
    int scale_kind[2]; /* aiter_scale_kind of K and V, 0: without scales */
    int row_scales[2]; /* of q and out: 0 one, 1 of kv heads, 2 of rows */
    int layout, latent, said, scales_reversed, heads_first;
    size_t used; /* of the arena */
    union {
        uint64_t align;
        unsigned char bytes[sizeof(aiter_flash_attn_fwd_args)];
    } args;
    aiter_context *ctx;
} fuzz_call;

static union {
    uint64_t align;
    unsigned char bytes[ARENA_BYTES];
} before, after, noise[2];
static union {
    uint64_t align;
    unsigned char bytes[ARENA_BYTES + WORKSPACE_BYTES]; /* room for a workspace over a tensor */
} arena;
static unsigned char written[ARENA_BYTES];
static union {
    uint64_t align;
    unsigned char bytes[WORKSPACE_BYTES + 2 * HIDDEN_BYTES];
} workspace;
static union {
    uint64_t align;
    unsigned char bytes[PLAN_BYTES + HIDDEN_BYTES];
} plan_memory;

enum { CONTEXTS = 8 };
static aiter_context *contexts[CONTEXTS];

/* The tasks one after the other, the last first: legal, and nothing waits for a thread. */
static void in_turn(void *user, void (*body)(void *arg, int32_t i), void *arg, int32_t n)
{
    (void)user;
    while (n-- > 0) body(arg, n);
}

static void make_contexts(void)
{
    static const aiter_isa sets[] = {AITER_ISA_SCALAR, AITER_ISA_AVX2, AITER_ISA_AVX512,
                                     AITER_ISA_NEON};
    for (int i = 0; i < CONTEXTS; i++) {
        aiter_context_desc d;
        memset(&d, 0, sizeof d);
        d.isa_max = sets[i / 2];
        d.num_threads = i % 2 ? 3 : 1;
        if (i % 2) d.parallel_for = in_turn;
        d.arena_bytes = 8 * WORKSPACE_BYTES; /* three threads want more than one */
        if (aiter_context_create(&d, &contexts[i]) != AITER_OK) contexts[i] = NULL;
    }
    for (size_t i = 0; i < ARENA_BYTES; i++) {
        const float x = (float)((int)(fuzz_mix(i / 4) >> 40 & 0xffff) - 32768) / 16384.0f;
        noise[0].bytes[i] = (unsigned char)(fuzz_mix(i) >> 11);
        if (i % 4 == 0) memcpy(noise[1].bytes + i, &x, 4);
    }
}

static aiter_tensor *tensor_at(fuzz_call *c, const fuzz_field *f)
{
    return (aiter_tensor *)(void *)(c->args.bytes + f->offset);
}

static int is_tensor(const fuzz_field *f) { return f->kind == KIND_IN || f->kind == KIND_OUT; }

static int is_attention(const fuzz_op *op) { return op->plan != NULL; }
static int is_cache(const fuzz_op *op) { return op->fields == cache; }

/* Bytes that n elements take, one behind the other. */
static size_t bytes_of(aiter_dtype type, int64_t n)
{
    return ((size_t)n * (size_t)aiter_dtype_bits(type) + 7) / 8;
}

/* ---- what is chosen ---- */

static int has_half_bytes(const fuzz_call *c, char type)
{
    return aiter_dtype_bits(c->type[(unsigned char)type]) == 4;
}

static int is_quantised(aiter_dtype type) { return type >= AITER_F8_E4M3FN && type <= AITER_I4; }
static int is_integer(aiter_dtype type) { return type == AITER_I8 || type == AITER_I4; }

static void choose_types(fuzz_call *c, fuzz_input *in)
{
    static const aiter_dtype floats[] = {AITER_F32,         AITER_F16,    AITER_BF16,
                                         AITER_F32,         AITER_BF16,   AITER_F8_E4M3FN,
                                         AITER_F8_E4M3FNUZ, AITER_F8_E5M2};
    static const aiter_dtype keys[] = {AITER_F32,         AITER_F16,    AITER_BF16,
                                       AITER_I8,          AITER_I4,     AITER_F8_E4M3FN,
                                       AITER_F8_E4M3FNUZ, AITER_F8_E5M2};
    static const aiter_dtype codes[] = {AITER_F8_E4M3FN, AITER_I8,      AITER_I4,
                                        AITER_F4_E2M1,   AITER_F8_E5M2, AITER_F8_E4M3FNUZ,
                                        AITER_I8,        AITER_F4_E2M1};
    static const aiter_dtype scales[] = {AITER_F32, AITER_F16, AITER_BF16, AITER_F8_E8M0};
    const uint32_t r = (uint32_t)fuzz_u64(in, 3);
    aiter_dtype *type = c->type;
    type['r'] = floats[r & 3];
    type['w'] = floats[r >> 2 & 3];
    type['q'] = floats[r & 7];
    type['o'] = floats[r >> 3 & 7];
    type['k'] = type['c'] = keys[r >> 6 & 7];
    type['v'] = r >> 9 & 3 ? type['k'] : keys[r >> 11 & 7];
    type['e'] = codes[r >> 14 & 7];
    type['a'] = (aiter_dtype)(1 + (r >> 9) % (AITER_DTYPE_COUNT - 1));
    type['s'] = r >> 17 & 1 ? AITER_I64 : AITER_I32;
    type['x'] = scales[r >> 18 & 3];
    type['f'] = AITER_F32, type['b'] = AITER_U8, type['i'] = AITER_I32;
}

static int64_t divisor_up_to(int64_t n, int64_t most)
{
    while (n % most != 0) most--;
    return most;
}

static void choose_extents(fuzz_call *c, fuzz_input *in)
{
    static const int dims[] = {1, 2, 3, 4, 5, 7, 8, 9, 32, 2, 48, 16, 17, 33, 65, 64};
    static const int pages[] = {1, 2, 3, 4, 5, 8, 2, 16};
    int64_t *n = c->extent;
    n['o'] = 1, n['2'] = 2, n['B'] = 1 + fuzz_below(in, 3);
    n['1'] = n['B'] + 1;
    n['S'] = fuzz_below(in, 5);
    n['K'] = fuzz_below(in, 14);
    n['T'] = n['B'] * n['S'];
    n['U'] = n['B'] * n['K'];
    n['G'] = 1 + fuzz_below(in, 2);
    n['H'] = n['G'] * (1 + fuzz_below(in, 3));
    n['D'] = dims[fuzz_below(in, 16)];
    n['V'] = dims[fuzz_below(in, 16)];
    n['P'] = pages[fuzz_below(in, 8)];
    n['M'] = fuzz_below(in, 4);
    n['L'] = n['B'] * n['M'];
    n['N'] = n['L'] + fuzz_below(in, 2);
    n['m'] = n['N'] / 2;
    n['t'] = fuzz_below(in, 7);
    if (has_half_bytes(c, 'k') || has_half_bytes(c, 'v') || has_half_bytes(c, 'e') ||
        has_half_bytes(c, 'a')) {
        n['D'] += n['D'] & 1;
        n['V'] += n['V'] & 1;
    }
}

/* How K and V lie and what scales they have. */
static void choose_keys(fuzz_call *c, fuzz_input *in)
{
    const uint32_t r = (uint32_t)fuzz_u64(in, 3);
    const int paged = c->keys->shape[0] == 'N', most = 1 << (r >> 4 & 3);
    int64_t *n = c->extent;
    c->said = (int)(r >> 6 & 1);
    c->latent = is_attention(c->op) && (r >> 7 & 7) == 0;
    if (c->latent) n['V'] = 1 + (int64_t)(r >> 10) % n['D'];
    if (paged && !c->latent && !has_half_bytes(c, 'k') && !has_half_bytes(c, 'v'))
        c->layout = (int)(r & 3) % AITER_KV_LAYOUT_COUNT;
    c->scales_reversed = (r >> 2 & 3) == 0;
    c->heads_first = (r >> 2 & 3) == 1 && c->layout == 0;
    n['g'] = n['D'] % 32 == 0 ? n['D'] / (r >> 10 & 1 ? 16 : 32) : 1;
    n['h'] = n['V'] % 32 == 0 ? n['V'] / (r >> 11 & 1 ? 16 : 32) : 1;
    n['x'] = divisor_up_to(n['D'], most), n['y'] = n['D'] / n['x'];
    n['w'] = divisor_up_to(n['P'], most), n['z'] = n['P'] / n['w'];
    for (int i = 0; i < 2; i++) {
        const aiter_dtype type = c->type[(unsigned char)c->keys[i].type];
        int kind = (int)(r >> (12 + 3 * i) & 7);
        if (paged && kind == AITER_SCALE_PER_BATCH_HEAD) kind = AITER_SCALE_PER_BLOCK_HEAD;
        if (!paged && kind == AITER_SCALE_PER_BLOCK_HEAD) kind = AITER_SCALE_PER_BATCH_HEAD;
        if (is_cache(c->op) && i == 1) kind = c->scale_kind[0];
        if (is_cache(c->op) && kind > AITER_SCALE_PER_BLOCK_HEAD) kind -= 5;
        if (is_integer(type) && kind == 0) kind = AITER_SCALE_PER_TOKEN_HEAD;
        c->scale_kind[i] = is_quantised(type) ? kind : 0;
    }
    c->row_scales[0] = (int)(r >> 18 & 3) % 3;
    c->row_scales[1] = (int)(r >> 20 & 1);
}

/* What the fields beside the tensors say of the choices. */
static void say_keys(fuzz_call *c)
{
    aiter_kv *kv;
    if (is_cache(c->op)) {
        aiter_reshape_and_cache_args *a = (aiter_reshape_and_cache_args *)(void *)c->args.bytes;
        const aiter_scale_kind kind = (aiter_scale_kind)c->scale_kind[0];
        kv = &a->kv;
        if (kind) {
            a->quantisation.to = c->type['c'];
            a->quantisation.scale_given = kind <= AITER_SCALE_PER_HEAD;
            if (c->said) a->quantisation.per = kind;
        }
    } else {
        kv = &((aiter_attention_args *)(void *)c->args.bytes)->kv;
        for (int i = 0; i < 2; i++) {
            const aiter_scale_kind kind = (aiter_scale_kind)c->scale_kind[i];
            const int by_shape =
                kind != AITER_SCALE_PER_CHANNEL && kind != AITER_SCALE_PER_BATCH_HEAD;
            if ((by_shape && !c->said) || (i == 1 && c->latent)) continue;
            *(i ? &kv->v_scale_kind : &kv->k_scale_kind) = kind;
        }
        if (c->latent) kv->dim_v = (int32_t)c->extent['V'];
    }
    kv->layout = (aiter_kv_layout)c->layout;
}

/* ---- tensors ---- */

/* Of scales of K (0) or V (1): what becomes of the letters of the data. */
static void shape_of_scales(const fuzz_call *c, int value, char text[8])
{
    const char *data = c->keys[value].shape;
    const size_t last = strlen(data) - 1;
    strcpy(text, data);
    switch (c->scale_kind[value]) {
    case AITER_SCALE_PER_TOKEN_HEAD: text[last] = 0; break;
    case AITER_SCALE_PER_GROUP: text[last] = value ? 'h' : 'g'; break;
    case AITER_SCALE_PER_BLOCK_HEAD: snprintf(text, 8, "N%c", data[last - 1]); break;
    case AITER_SCALE_PER_BATCH_HEAD: snprintf(text, 8, "B%c", data[last - 1]); break;
    case AITER_SCALE_PER_CHANNEL: snprintf(text, 8, "%s", data + last - 1); break;
    case AITER_SCALE_PER_HEAD: snprintf(text, 8, "%c", data[last - 1]); break;
    default: strcpy(text, "o");
    }
}

static void shape_of(const fuzz_call *c, const fuzz_field *f, char text[8])
{
    const char *head = c->keys ? strrchr(c->keys->shape, 'D') - 1 : "";
    strcpy(text, f->shape);
    if (f->shape[0] == '?' && (f->shape[1] == 'k' || f->shape[1] == 'v'))
        shape_of_scales(c, f->shape[1] == 'v', text);
    else if (f->shape[0] == '?' && c->row_scales[f->shape[1] == 'o'] == 1)
        snprintf(text, 8, "B%c", *head);
    else if (f->shape[0] == '?' && c->row_scales[f->shape[1] == 'o'] == 2)
        snprintf(text, 8, "%.*so", (int)strlen(c->op->fields->shape) - 1, c->op->fields->shape);
    else if (f->shape[0] == '?')
        strcpy(text, "o");
    else if (c->layout && f == c->keys)
        strcpy(text, "NGyPx");
    else if (c->layout && f == c->keys + 1)
        strcpy(text, c->layout == AITER_KV_SHUFFLED ? "NGzVw" : "NGVP");
}

/* The i-th of n numbers of a table. Where each sequence has room, lengths stay below it. */
static int64_t table_entry(const fuzz_call *c, fuzz_holds holds, int64_t i, uint32_t r)
{
    const int64_t *n = c->extent;
    const int64_t room = n['M'] * n['P'], less = i > 0 ? r & 1 : 0;
    const int paged = c->keys && c->keys->shape[0] == 'N';
    const int packed_q = c->op->fields[0].shape[0] == 'T';
    const int packed_k = c->keys && c->keys->shape[0] == 'U';
    switch (holds) {
    case HOLDS_USED_Q: return packed_q ? r % (n['S'] + (n['S'] == 0)) : r % (n['S'] + 1);
    case HOLDS_USED_K: return r % (paged ? room + 1 : n['K'] + !(packed_k && n['K'] > 0));
    case HOLDS_USED_LISTS: return r % (n['M'] > 0 ? room - n['P'] + 1 : 1);
    case HOLDS_STARTS_Q: return i * n['S'] - (n['S'] > 0 ? less : 0);
    case HOLDS_STARTS_K: return i * n['K'] - (n['K'] > 0 ? less : 0);
    case HOLDS_STARTS_PAGES: return i * n['M'] - (n['M'] > 0 ? less : 0);
    case HOLDS_LAST_PAGE: return 1 + r % n['P'];
    case HOLDS_BLOCKS: return n['N'] > 0 ? r % n['N'] : 0;
    case HOLDS_PAIRS: return i % 2 ? i / 2 : n['N'] > 0 ? r % n['N'] : 0;
    case HOLDS_APART: return i % 2 ? n['N'] - 1 - i / 2 : r % (n['N'] - n['m']);
    case HOLDS_SLOTS: return r % 8 == 7 || i >= n['N'] * n['P'] ? -1 : n['N'] * n['P'] - 1 - i;
    default: return 0;
    }
}

static void fill_table(const fuzz_call *c, const fuzz_field *f, const aiter_tensor *t, int64_t n,
                       uint32_t seed)
{
    for (int64_t i = 0; i < n; i++) {
        const uint32_t r = (uint32_t)(fuzz_mix(seed + (uint64_t)i) >> 40);
        const int64_t x = table_entry(c, f->holds, i, r);
        if (f->holds == HOLDS_SCALES)
            aiter_store_element(t->dtype, t->data, i, (float)(1 + r % 15) * 0.0625f);
        else if (t->dtype == AITER_I64)
            ((int64_t *)t->data)[i] = x;
        else
            ((int32_t *)t->data)[i] = (int32_t)x;
    }
}

/* Strides of the same memory in another order: all dimensions reversed, or heads before tokens. */
static void reorder(const fuzz_call *c, const fuzz_field *f, aiter_tensor *t)
{
    const int n = t->ndim, scales = f->shape[0] == '?' && c->scales_reversed;
    const int heads = c->keys && (f == c->keys || f == c->keys + 1) && c->heads_first;
    int64_t stride = 1;
    if (!scales && !heads) return;
    for (int i = n - 1; i >= 0; i--) {
        const int at = scales ? n - 1 - i : i == n - 2 ? n - 3 : i == n - 3 ? n - 2 : i;
        t->stride[at] = stride;
        stride *= t->shape[at] > 0 ? t->shape[at] : 1;
    }
}

/* Lays one tensor into the arena; 0 when it is full. */
static int place(fuzz_call *c, const fuzz_field *f, uint32_t seed)
{
    aiter_tensor *t = tensor_at(c, f);
    int64_t elements = 1;
    char shape[8];
    t->dtype = c->type[(unsigned char)f->type];
    shape_of(c, f, shape);
    for (const char *s = shape; *s; s++) {
        t->shape[t->ndim++] = c->extent[(unsigned char)*s];
        elements *= c->extent[(unsigned char)*s];
    }
    const size_t bytes = bytes_of(t->dtype, elements);
    if (c->used + bytes + GAP_BYTES > ARENA_BYTES) return 0;
    t->data = arena.bytes + c->used;
    memcpy(t->data, noise[seed & 1].bytes + (seed * 8) % (ARENA_BYTES - bytes) / 8 * 8, bytes);
    c->used += (bytes + GAP_BYTES + 7) / 8 * 8;
    if (f->holds != HOLDS_NUMBERS) fill_table(c, f, t, elements, seed);
    reorder(c, f, t);
    return 1;
}

/* Of 16, how often a tensor is there. */
static int chance_of(const fuzz_call *c, const fuzz_field *f)
{
    const int value = f->shape[1] == 'v';
    if (c->latent && f == c->keys + 1) return 0;
    if (f->shape[0] != '?' || (f->shape[1] != 'k' && !value)) return f->chance;
    return c->scale_kind[value] && !(c->latent && value) ? 16 : 0;
}

static int make_good_call(fuzz_call *c, fuzz_input *in)
{
    memset(c, 0, sizeof *c);
    c->op = &fuzz_ops[fuzz_below(in, FUZZ_OPS)];
    if (is_attention(c->op)) c->keys = c->op->fields + 1;
    if (is_cache(c->op)) c->keys = c->op->fields + 2;
    choose_types(c, in);
    choose_extents(c, in);
    if (c->keys) choose_keys(c, in);
    const uint32_t seed = (uint32_t)fuzz_u64(in, 2);
    c->used = GAP_BYTES;
    for (int i = 0; i < c->op->count; i++) {
        const fuzz_field *f = &c->op->fields[i];
        const int chance = is_tensor(f) ? chance_of(c, f) : 0;
        if (chance == 16 || (chance > 0 && fuzz_below(in, 16) < chance))
            if (!place(c, f, seed + (uint32_t)i * 77)) return 0;
    }
    if (c->keys) say_keys(c);
    if (c->op->fields == copy) {
        fuzz_copy *x = (fuzz_copy *)(void *)c->args.bytes;
        x->args.num_caches = 1 + (int32_t)(x->caches[1].ndim != 0);
    }
    c->ctx = contexts[fuzz_below(in, CONTEXTS)];
    return 1;
}

#endif /* AITER_FUZZ_GOOD_CALL_H */
