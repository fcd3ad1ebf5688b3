/* test_features.c -- what a problem asks for and who takes it: each option sets its own bit, each
 * kernel takes the bits of a table that is written here once more, a bit that is nobody's is
 * refused by every engine, and a class that is pinned is the only one that serves. The driver is
 * gpu/fake_driver.h. */
#include "gpu/device_calls.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

/* ---- each option, its bit ---- */

/* Causal over dense bf16 rows, 4 heads of 64: what a plain kernel takes. */
static aiteri_problem plain_problem(void)
{
    aiteri_problem p;
    memset(&p, 0, sizeof p);
    p.batch = 2, p.heads_q = 4, p.heads_k = 2, p.group = 2;
    p.seqlen_q = 40, p.seqlen_k = 60, p.total_q = 80;
    p.max_seqlen_q = 40, p.max_seqlen_k = 60;
    p.q.data = (char *)AT(1), p.out.data = (char *)AT(2);
    p.q.dtype = p.out.dtype = p.k.dtype = p.v.dtype = AITER_BF16;
    p.q.stride_batch = p.out.stride_batch = 40 * 256;
    p.q.stride_token = p.out.stride_token = 256;
    p.q.stride_head = p.out.stride_head = 128;
    p.q.stride_dim = p.out.stride_dim = 1;
    p.k.data = (const char *)AT(3), p.v.data = (const char *)AT(4);
    p.k.dim = p.v.dim = 128;
    p.k.stride_outer = p.v.stride_outer = 60 * 256;
    p.k.stride_token = p.v.stride_token = 256;
    p.k.stride_head = p.v.stride_head = 128;
    p.k.stride_dim = p.v.stride_dim = 1;
    p.mask = AITER_MASK_NONE;
    p.softmax_scale = 0.125f;
    p.features = aiteri_problem_features(&p);
    return p;
}

enum { NOTHING = -1 };

/* One edit of the problem above: the bit that must come, and the one that must go. */
typedef struct change {
    const char *what;
    int comes, goes;
} change;

static const change changes[] = {
    {"a program", AITERI_FEATURE_PROGRAM, NOTHING},
    {"a causal mask", AITERI_FEATURE_CAUSAL, NOTHING},
    {"a top-left mask", AITERI_FEATURE_TOP_LEFT, NOTHING},
    {"a window", AITERI_FEATURE_WINDOW, NOTHING},
    {"a softcap", AITERI_FEATURE_SOFTCAP, NOTHING},
    {"slopes", AITERI_FEATURE_ALIBI, NOTHING},
    {"a bias", AITERI_FEATURE_BIAS, NOTHING},
    {"sinks", AITERI_FEATURE_SINKS, NOTHING},
    {"bytes", AITERI_FEATURE_VISIBLE, NOTHING},
    {"lse", AITERI_FEATURE_LSE, NOTHING},
    {"packed keys", AITERI_FEATURE_PACKED_KEYS, AITERI_FEATURE_DENSE_KEYS},
    {"pages", AITERI_FEATURE_PAGED_KEYS, AITERI_FEATURE_DENSE_KEYS},
    {"lists of pages", AITERI_FEATURE_PAGE_LISTS, AITERI_FEATURE_DENSE_KEYS},
    {"holes", AITERI_FEATURE_HOLES, NOTHING},
    {"new tokens", AITERI_FEATURE_TWO_PARTS, NOTHING},
    {"new keys of another type", AITERI_FEATURE_PART_TYPES, NOTHING},
    {"new values of another type", AITERI_FEATURE_PART_TYPES, NOTHING},
    {"packed rows", AITERI_FEATURE_PACKED_ROWS, NOTHING},
    {"lengths of q", AITERI_FEATURE_USED_ROWS, NOTHING},
    {"lengths of keys", AITERI_FEATURE_USED_KEYS, NOTHING},
    {"a scale of K", AITERI_FEATURE_SCALE_TENSOR, NOTHING},
    {"a scale of V", AITERI_FEATURE_SCALE_TENSOR, NOTHING},
    {"scales of heads", AITERI_FEATURE_SCALE_HEAD, NOTHING},
    {"scales of tokens", AITERI_FEATURE_SCALE_TOKEN, NOTHING},
    {"scales of pages", AITERI_FEATURE_SCALE_TOKEN, NOTHING},
    {"scales of pairs of tokens", AITERI_FEATURE_SCALE_BLOCK, NOTHING},
    {"scales of groups", AITERI_FEATURE_SCALE_GROUP, NOTHING},
    {"powers of two", AITERI_FEATURE_SCALE_TYPE, NOTHING},
    {"segments of K", AITERI_FEATURE_SEGMENTS, NOTHING},
    {"a far segment of V", AITERI_FEATURE_SEGMENTS, NOTHING},
    {"a larger V", AITERI_FEATURE_V_DIM, NOTHING},
    {"another type of V", AITERI_FEATURE_KV_TYPES, NOTHING},
    {"a small scale", AITERI_FEATURE_FAR_SCALE, NOTHING},
    {"a large scale", AITERI_FEATURE_FAR_SCALE, NOTHING},
    {"far tokens of K", AITERI_FEATURE_FAR_TOKENS, NOTHING},
    {"far tokens of V", AITERI_FEATURE_FAR_TOKENS, NOTHING},
    {"a stride in q", AITERI_FEATURE_STRIDED_DIM, NOTHING},
    {"a stride in out", AITERI_FEATURE_STRIDED_DIM, NOTHING},
    {"a stride in k", AITERI_FEATURE_STRIDED_DIM, NOTHING},
    {"a stride in v", AITERI_FEATURE_STRIDED_DIM, NOTHING},
    {"a scale of q", AITERI_FEATURE_Q_SCALE, NOTHING},
    {"scales of channels of K", AITERI_FEATURE_SCALE_CHANNEL, NOTHING},
    {"scales of channels of V", AITERI_FEATURE_SCALE_CHANNEL, NOTHING},
    {"scales of rows of q", AITERI_FEATURE_Q_SCALES, NOTHING},
    {"x-packed keys", AITERI_FEATURE_TILES, NOTHING},
    {"shuffled values", AITERI_FEATURE_TILES, NOTHING},
    {"a scale of out", AITERI_FEATURE_OUT_SCALE, NOTHING}};

static void scale(aiteri_source *s, const float *data)
{
    s->scales.data = data, s->scales.dtype = AITER_F32;
}

static void change_problem(aiteri_problem *p, int n)
{
    static const int32_t ints[4] = {0, 1, 2, 3};
    static const float floats[4] = {1, 1, 1, 1};
    static aiteri_source rest;
    rest = p->v, rest.dim = 64;
    switch (n) {
    case 0: p->program = &aiteri_softmax_program; break;
    case 1: p->mask = AITER_MASK_CAUSAL; break;
    case 2: p->mask = AITER_MASK_CAUSAL_TOP_LEFT; break;
    case 3: p->mask = AITER_MASK_WINDOW; break;
    case 4: p->softcap = 1e-30f; break;
    case 5: p->alibi_slopes = floats; break;
    case 6: p->bias.data = (char *)AT(5); break;
    case 7: p->sinks = floats; break;
    case 8: p->visible.data = (char *)AT(5); break;
    case 9: p->lse = (float *)AT(6); break;
    case 10: p->cu_seqlens_k = ints; break;
    case 11: p->block_table = ints; break;
    case 12: p->block_table = p->page_indptr = ints; break;
    case 13: p->has_holes = 1; break;
    case 14: p->k_tail = p->k, p->v_tail = p->v; break;
    case 15: p->k_tail = p->k, p->v_tail = p->v, p->k_tail.dtype = AITER_F16; break;
    case 16: p->k_tail = p->k, p->v_tail = p->v, p->v_tail.dtype = AITER_F16; break;
    case 17: p->cu_seqlens_q = ints; break;
    case 18: p->seqused_q = ints; break;
    case 19: p->seqused_k = ints; break;
    case 20: scale(&p->k, floats); break;
    case 21: scale(&p->v, floats); break;
    case 22: scale(&p->k, floats), p->k.scales.stride_head = 1; break;
    case 23: scale(&p->v, floats), p->v.scales.stride_token = 1; break;
    case 24: scale(&p->k, floats), p->k.scales.stride_outer = 1; break;
    case 25: scale(&p->k, floats), p->k.scales.stride_token = 1, p->k.scales.block = 2; break;
    case 26: scale(&p->k, floats), p->k.scales.stride_token = 1, p->k.scales.group = 32; break;
    case 27: scale(&p->v, floats), p->v.scales.dtype = AITER_F8_E8M0; break;
    case 28: p->k.rest = &rest; break;
    case 29: rest.stride_token = 1 << 23, p->v.rest = &rest; break;
    case 30: p->v.dim += 8; break;
    case 31: p->v.dtype = AITER_F16; break;
    case 32: p->softmax_scale = 0x0.ffffffp-100f; break;
    case 33: p->softmax_scale = 0x1.000002p100f; break;
    case 34: p->k.stride_token = 1 << 23; break;
    case 35: p->v.stride_token = 1 << 23; break;
    case 36: p->q.stride_dim = 2; break;
    case 37: p->out.stride_dim = 2; break;
    case 38: p->k.stride_dim = 2; break;
    case 39: p->v.stride_dim = 2; break;
    case 40: p->q_scale = floats; break;
    case 41: p->k_channels.data = floats; break;
    case 42: p->v_channels.data = floats; break;
    case 43: p->q_scales.data = floats; break;
    case 44: p->k.tiles.piece = 8; break;
    case 45: p->v.tiles.bundle = 8; break;
    default: p->out_scales.data = floats; break;
    }
}

static uint64_t bit_of(int feature) { return feature < 0 ? 0 : (uint64_t)1 << feature; }

static void own_bits(int dim)
{
    aiteri_problem base = plain_problem();
    base.k.dim = base.v.dim = dim;
    uint64_t all = base.features;
    CHECK(base.features == AITERI_BIT(DENSE_KEYS), "a plain problem asks for more");
    for (int n = 0; n < COUNT(changes); n++) {
        aiteri_problem p = base;
        change_problem(&p, n);
        const uint64_t bits = aiteri_problem_features(&p);
        uint64_t want = (base.features & ~bit_of(changes[n].goes)) | bit_of(changes[n].comes);
        if (p.k_tail.data) want |= AITERI_BIT(TWO_PARTS);
        if (p.v.rest) want |= AITERI_BIT(FAR_TOKENS);
        if (p.k.scales.block || p.k.scales.group) want |= AITERI_BIT(SCALE_TOKEN);
        if (p.v.scales.dtype == AITER_F8_E8M0) want |= AITERI_BIT(SCALE_TENSOR);
        CHECK(bits == want, "%s: bits %llx", changes[n].what, (unsigned long long)bits);
        all |= bits;
    }
    aiteri_problem p = base;
    p.mask = AITER_MASK_WINDOW, p.sink_tokens = 1;
    all |= aiteri_problem_features(&p);
    CHECK(aiteri_problem_features(&p) ==
              (AITERI_BIT(DENSE_KEYS) | AITERI_BIT(WINDOW) | AITERI_BIT(WINDOW_SINKS)),
          "sink tokens of a window");
    p.mask = AITER_MASK_CAUSAL;
    CHECK(aiteri_problem_features(&p) == (AITERI_BIT(DENSE_KEYS) | AITERI_BIT(CAUSAL)),
          "sink tokens without a window change nothing");
    p = base, p.cu_seqlens_k = (const int32_t *)AT(9), p.block_table = (const int32_t *)AT(9);
    CHECK(aiteri_problem_features(&p) == AITERI_BIT(PAGED_KEYS), "pages are not packed keys");
    CHECK((all | AITERI_BIT(OFF_CHUNKS)) == bit_of(AITERI_FEATURES) - 1, "no change sets bits %llx",
          (unsigned long long)~all);
}

/* Addresses and strides of rows against chunks of 16 bytes, by the size of an element. */
static void chunks(void)
{
    static const aiter_dtype types[3] = {AITER_F32, AITER_BF16, AITER_I8};
    for (int t = 0; t < 3; t++) {
        const int64_t bytes = 4 >> t;
        for (int n = 0; n < 4 * 4; n++) {
            for (int64_t off = 1; off <= 33; off++) {
                aiteri_problem p = plain_problem();
                aiteri_rows *const rows[2] = {&p.q, &p.out};
                aiteri_source *const source[2] = {&p.k, &p.v};
                for (int i = 0; i < 2; i++) rows[i]->dtype = source[i]->dtype = types[t];
                aiteri_rows *r = rows[n & 1];
                aiteri_source *s = source[n & 1];
                const int of_rows = n >> 1 & 1, what = n >> 2;
                int64_t *at = what == 0   ? of_rows ? &r->stride_batch : &s->stride_outer
                              : what == 1 ? of_rows ? &r->stride_token : &s->stride_token
                              : what == 2 ? of_rows ? &r->stride_head : &s->stride_head
                                          : NULL;
                if (at)
                    *at += off;
                else if (of_rows)
                    r->data += off;
                else
                    s->data += off;
                const int odd = off * (at ? bytes : 1) % 16 != 0;
                const uint64_t want = AITERI_BIT(DENSE_KEYS) | (odd ? AITERI_BIT(OFF_CHUNKS) : 0);
                CHECK(aiteri_problem_features(&p) == want, "%s: change %d by %d",
                      aiter_dtype_name(types[t]), n, (int)off);
            }
        }
    }
}

/* ---- who takes what ---- */

/* Takers: p and g flash of class plain and general, d decoding, t and s the CPU's families. */
static const char *const takers[][2] = {
    {"PROGRAM", "t"},        {"CAUSAL", "pgdts"},      {"TOP_LEFT", "gdts"},
    {"WINDOW", "gdts"},      {"WINDOW_SINKS", "gdts"}, {"SOFTCAP", "gdts"},
    {"ALIBI", "gdts"},       {"BIAS", "gts"},          {"VISIBLE", "ts"},
    {"SINKS", "gdts"},       {"LSE", "pgdts"},         {"DENSE_KEYS", "pgts"},
    {"PACKED_KEYS", "gts"},  {"PAGED_KEYS", "gdts"},   {"PAGE_LISTS", "gdts"},
    {"HOLES", "t"},          {"TWO_PARTS", "ts"},      {"PART_TYPES", "ts"},
    {"SEGMENTS", "ts"},      {"PACKED_ROWS", "gdts"},  {"USED_ROWS", "pgdts"},
    {"USED_KEYS", "pgdts"},  {"SCALE_TENSOR", "its"},  {"SCALE_HEAD", "its"},
    {"SCALE_TOKEN", "its"},  {"SCALE_BLOCK", "ts"},    {"SCALE_GROUP", "ts"},
    {"SCALE_CHANNEL", "ts"}, {"SCALE_TYPE", "ts"},     {"STRIDED_DIM", "dts"},
    {"OFF_CHUNKS", "gdts"},  {"FAR_TOKENS", "gdts"},   {"FAR_SCALE", "gdts"},
    {"V_DIM", "gdts"},       {"KV_TYPES", "ts"},       {"Q_SCALE", "ts"},
    {"Q_SCALES", "ts"},      {"OUT_SCALE", "ts"},      {"TILES", "dts"}};

static const char *const feature_names[] = {
#define FEATURE_NAME(name, words, instead) #name,
    AITERI_FEATURE_LIST(FEATURE_NAME)};

static int taken(int feature, char by)
{
    for (int i = 0; i < COUNT(takers); i++)
        if (feature < AITERI_FEATURES && strcmp(takers[i][0], feature_names[feature]) == 0)
            return strchr(takers[i][1], by) != NULL;
    return 0;
}

/* By the words of its symbol, not by what the registry made of it; decoding of what is
 * narrower than f16 has scales. */
static int taken_by_row(int feature, const aiteri_gpu_row *r)
{
    const char *s = r->symbol;
    if (strstr(s, "flash_fwd")) return taken(feature, strstr(s, "_plain") ? 'p' : 'g');
    if (strstr(s, "paged_decode"))
        return taken(feature, 'd') ||
               ((strstr(s, "_i8_") || strstr(s, "_i4_") || strstr(s, "_f8_")) &&
                taken(feature, 'i'));
    return -1;
}

static void table_of_takers(void)
{
    CHECK(COUNT(takers) == AITERI_FEATURES, "%d features are in the table, there are %d",
          COUNT(takers), (int)AITERI_FEATURES);
    for (int bit = 0; bit < 64; bit++) {
        const char *name = bit < AITERI_FEATURES ? feature_names[bit] : "a new feature";
        CHECK((int)(AITERI_TILE_TAKES >> bit & 1) == taken(bit, 't'), "%s: tiles", name);
        CHECK((int)(AITERI_STREAM_TAKES >> bit & 1) == taken(bit, 's'), "%s: streams", name);
        for (int i = 0; i < AITERI_GPU_ROW_COUNT; i++) {
            const aiteri_gpu_row *r = &aiteri_gpu_rows_table[i];
            const int want = taken_by_row(bit, r);
            CHECK(want < 0 || (int)(r->takes >> bit & 1) == want, "%s: %s %s it", name, r->symbol,
                  want ? "does not take" : "takes");
        }
    }
}

/* Every set of two features: the row that serves takes both, and there is none only if no row does.
 */
static void pairs(void)
{
    aiteri_gpu_want w;
    memset(&w, 0, sizeof w);
    w.arch = AITERI_GPU_ARCH_GFX942;
    w.q = w.out = AITER_BF16;
    w.dq = w.dv = 128;
    for (int n = 0; n < 64 * 64; n++) {
        for (int op = AITERI_GPU_OP_flash_fwd; op <= AITERI_GPU_OP_paged_decode; op++) {
            const int a = n / 64, b = n % 64;
            int possible = 0;
            w.op = op;
            w.kv = op == AITERI_GPU_OP_paged_decode && n % 3 == 0 ? AITER_I8 : AITER_BF16;
            w.features = bit_of(a) | bit_of(b);
            const int32_t found = aiteri_gpu_find_row(&w);
            for (int i = 0; i < AITERI_GPU_ROW_COUNT; i++) {
                const aiteri_gpu_row *r = &aiteri_gpu_rows_table[i];
                const int fits = r->op == op && (r->archs & w.arch) && r->kv == w.kv &&
                                 r->q == AITER_BF16 && r->dq >= 128 && r->dv >= 128;
                const int both = taken_by_row(a, r) == 1 && taken_by_row(b, r) == 1;
                possible |= fits && both;
                if (found == i) CHECK(fits && both, "%d, %d: %s is taken", a, b, r->symbol);
            }
            CHECK((found >= 0) == possible, "%d, %d: %s", a, b, found < 0 ? "none" : "one");
        }
    }
}

/* ---- refusals ---- */

static int says(aiter_context *ctx, const char *words)
{
    return strstr(aiter_context_error(ctx), words) != NULL;
}

/* A bit that no kernel knows, beside a problem that all know. */
static void new_bits(aiter_context *ctx, aiter_context *cpu)
{
    const aiteri_gpu_call call = aiteri_gpu_call_of("op", ctx);
    for (int bit = AITERI_FEATURES; bit < 64; bit++) {
        aiteri_problem p = plain_problem();
        const aiteri_problem *problem = &p;
        aiteri_gpu_shape shape;
        aiter_plan plan;
        size_t bytes = 7;
        memset(&plan, 0, sizeof plan);
        p.features |= bit_of(bit);
        CHECK(aiteri_gpu_choose(&call, &p, &shape) == AITER_UNSUPPORTED &&
                  says(ctx, "takes an unknown option"),
              "bit %d on a device: %s", bit, aiter_context_error(ctx));
        CHECK(aiteri_engine_workspace("op", &problem, 1, cpu, &bytes) == AITER_UNSUPPORTED &&
                  bytes == 7,
              "bit %d: workspace", bit);
        CHECK(aiteri_engine_plan("op", &p, cpu, &plan) == AITER_UNSUPPORTED && plan.bytes == 0,
              "bit %d: plan", bit);
        CHECK(aiteri_engine_execute("op", &problem, 1, cpu, NULL, NULL, 0) == AITER_UNSUPPORTED &&
                  says(cpu, "op: no CPU kernel takes an unknown option"),
              "bit %d on a CPU: %s", bit, aiter_context_error(cpu));
        p.block_table = (const int32_t *)AT(5), p.max_seqlen_q = 1, p.page_size = 16;
        p.features = aiteri_problem_features(&p) | bit_of(bit);
        CHECK(aiteri_gpu_choose(&call, &p, &shape) == AITER_UNSUPPORTED, "bit %d over pages", bit);
        CHECK(!aiteri_takes_stream(&p, 1) && (p.features &= ~bit_of(bit), 1) &&
                  aiteri_takes_stream(&p, 1),
              "bit %d: a stream", bit);
    }
}

/* int8 pages are for decoding alone: its text names what it lacks, and all that it lacks. */
static void named(aiter_context *ctx)
{
    const aiteri_gpu_call call = aiteri_gpu_call_of("op", ctx);
    aiteri_problem p = plain_problem();
    aiteri_gpu_shape s;
    p.block_table = (const int32_t *)AT(5), p.page_size = 16;
    p.k.dtype = p.v.dtype = AITER_I8;
    scale(&p.k, (const float *)AT(6)), scale(&p.v, (const float *)AT(6));
    p.features = aiteri_problem_features(&p);
    CHECK(aiteri_gpu_choose(&call, &p, &s) == AITER_OK && s.decode, "int8 pages: %s",
          aiter_context_error(ctx));
    p.bias.data = (char *)AT(7);
    p.features = aiteri_problem_features(&p);
    CHECK(aiteri_gpu_choose(&call, &p, &s) == AITER_UNSUPPORTED &&
              says(ctx, "op: no paged_decode kernel bf16 i8 bf16 128/128 for ") &&
              says(ctx, " takes a bias; a CPU computes it"),
          "%s", aiter_context_error(ctx));
    p.k.stride_dim = 2;
    p.k.scales.dtype = AITER_F16;
    p.features = aiteri_problem_features(&p);
    CHECK(aiteri_gpu_choose(&call, &p, &s) == AITER_UNSUPPORTED &&
              says(ctx, " takes a bias, scales other than f32; pass f32 scales"),
          "%s", aiter_context_error(ctx));
    for (int i = 0; i < AITERI_FEATURES; i++) { /* all of them: the text has an end */
        p.features |= bit_of(i);
        CHECK(aiteri_gpu_choose(&call, &p, &s) == AITER_UNSUPPORTED && says(ctx, "; pass "), "%s",
              aiter_context_error(ctx));
    }
    for (size_t bytes = 40; bytes < 400; bytes += 30) {
        char text[400];
        memset(text, 'x', sizeof text);
        aiteri_describe_features(text, bytes, ~(uint64_t)0);
        CHECK(strlen(text) < bytes && strstr(text, ", ...") == text + strlen(text) - 5, "%s", text);
    }
    p = plain_problem();
    p.v.dtype = AITER_F16;
    p.features = aiteri_problem_features(&p);
    CHECK(aiteri_gpu_choose(&call, &p, &s) == AITER_UNSUPPORTED &&
              says(ctx, "takes keys and values of two types; pass both in one type"),
          "%s", aiter_context_error(ctx));
}

/* ---- a class that is pinned ---- */

static aiter_context *pinned(aiter_device device, aiter_kernel_class field, const char *variable)
{
    aiter_context *ctx = NULL;
    aiter_context_desc d = (fake_reset(), fake_desc(device));
    d.kernel_class = field;
    if (variable) setenv("AITER_KERNEL_CLASS", variable, 1);
    CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
    unsetenv("AITER_KERNEL_CLASS");
    return ctx;
}

/* The class that serves the problem; AUTO if it is refused. */
static aiter_kernel_class class_for(aiter_context *ctx, const aiteri_problem *p)
{
    const aiteri_gpu_call call = aiteri_gpu_call_of("op", ctx);
    aiteri_gpu_shape s;
    if (aiteri_gpu_choose(&call, p, &s) != AITER_OK) return AITER_KERNEL_CLASS_AUTO;
    CHECK(aiteri_gpu_row_refuses(&aiteri_gpu_rows_table[s.row], &s.want) == AITERI_GPU_SERVES,
          "a row that does not serve");
    return (aiter_kernel_class)aiteri_gpu_rows_table[s.row].kernel_class;
}

static void pins(aiter_device device)
{
    static const struct {
        aiter_kernel_class field;
        const char *variable;
        aiter_kernel_class pin;
    } of[] = {{AITER_KERNEL_CLASS_AUTO, NULL, AITER_KERNEL_CLASS_AUTO},
              {AITER_KERNEL_CLASS_GENERAL, NULL, AITER_KERNEL_CLASS_GENERAL},
              {AITER_KERNEL_CLASS_PLAIN, NULL, AITER_KERNEL_CLASS_PLAIN},
              {AITER_KERNEL_CLASS_AUTO, "general", AITER_KERNEL_CLASS_GENERAL},
              {AITER_KERNEL_CLASS_AUTO, "plain", AITER_KERNEL_CLASS_PLAIN},
              {AITER_KERNEL_CLASS_PLAIN, "general", AITER_KERNEL_CLASS_GENERAL},
              {AITER_KERNEL_CLASS_GENERAL, "plain", AITER_KERNEL_CLASS_PLAIN},
              {AITER_KERNEL_CLASS_GENERAL, "auto", AITER_KERNEL_CLASS_AUTO},
              {AITER_KERNEL_CLASS_PLAIN, "", AITER_KERNEL_CLASS_PLAIN},
              {AITER_KERNEL_CLASS_GENERAL, "fast", AITER_KERNEL_CLASS_GENERAL},
              {AITER_KERNEL_CLASS_PLAIN, "fast", AITER_KERNEL_CLASS_PLAIN}};
    for (int n = 0; n < COUNT(of); n++) {
        const int general = of[n].pin == AITER_KERNEL_CLASS_GENERAL;
        const int plain = of[n].pin == AITER_KERNEL_CLASS_PLAIN;
        aiter_context *ctx = pinned(device, of[n].field, of[n].variable);
        aiteri_problem p = plain_problem();
        CHECK(class_for(ctx, &p) ==
                  (general ? AITER_KERNEL_CLASS_GENERAL : AITER_KERNEL_CLASS_PLAIN),
              "pin %d: a plain call takes class %d", n, (int)class_for(ctx, &p));
        p.softcap = 30;
        p.features = aiteri_problem_features(&p);
        CHECK(class_for(ctx, &p) == (plain ? AITER_KERNEL_CLASS_AUTO : AITER_KERNEL_CLASS_GENERAL),
              "pin %d: a softcap takes class %d", n, (int)class_for(ctx, &p));
        CHECK(!plain || (says(ctx, "op: no plain flash_fwd kernel bf16 bf16 bf16 128/128 for ") &&
                         says(ctx, " takes a softcap; kernel_class or AITER_KERNEL_CLASS pins it: "
                                   "AUTO has one that does")),
              "pin %d: %s", n, aiter_context_error(ctx));
        p = plain_problem();
        p.block_table = (const int32_t *)AT(5), p.page_size = 16, p.max_seqlen_q = 1;
        p.features = aiteri_problem_features(&p);
        CHECK(class_for(ctx, &p) == (plain ? AITER_KERNEL_CLASS_AUTO : AITER_KERNEL_CLASS_GENERAL),
              "pin %d: decoding takes class %d", n, (int)class_for(ctx, &p));
        CHECK(!plain || says(ctx, " takes pages; "), "pin %d: %s", n, aiter_context_error(ctx));
        p = plain_problem();
        p.k.dim = p.v.dim = 96;
        CHECK(class_for(ctx, &p) == (plain ? AITER_KERNEL_CLASS_AUTO : AITER_KERNEL_CLASS_GENERAL),
              "pin %d: a head that is padded", n);
        CHECK(!plain || (says(ctx, "op: no plain flash_fwd kernel bf16 bf16 bf16 96/96 for ") &&
                         says(ctx, "128/128") && !says(ctx, "256/256") &&
                         says(ctx, "; kernel_class or AITER_KERNEL_CLASS pins it")),
              "pin %d: %s", n, aiter_context_error(ctx));
        close_context(ctx);
    }
}

/* Whole calls under a pin: the kernel that runs, and merges, which have one class. */
static void pinned_calls(aiter_device device)
{
    const aiter_flash_attn_fwd_args a = dense(1, 40, 3000, 4, 4, 128);
    for (int n = 0; n < 12; n++) {
        const int plain = n & 1;
        aiter_flash_attn_fwd_args pieces = a;
        aiter_context *ctx =
            pinned(device, plain ? AITER_KERNEL_CLASS_PLAIN : AITER_KERNEL_CLASS_GENERAL, NULL);
        CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
        CHECK(strstr(last_launch(0)->symbol, plain ? "_plain" : "_general"), "%s runs",
              last_launch(0)->symbol);
        pieces.num_splits = 2 + n;
        CHECK(aiter_flash_attn_fwd(&pieces, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
        CHECK(strstr(last_launch(1)->symbol, plain ? "_plain" : "_general"), "%s runs",
              last_launch(1)->symbol);
        close_context(ctx);
    }
}

static int warned;
static void hear(void *user, aiter_log_level level, const char *text)
{
    (void)user;
    warned += level == AITER_LOG_WARNING && strstr(text, "AITER_KERNEL_CLASS is ignored") != NULL;
}

static void bad_classes(void)
{
    for (int i = -6; i < 6; i++) {
        aiter_context_desc d;
        aiter_context *ctx = NULL;
        memset(&d, 0, sizeof d);
        d.kernel_class = (aiter_kernel_class)(i < 0 ? i : AITER_KERNEL_CLASS_COUNT + i);
        CHECK(aiter_context_create(&d, &ctx) == AITER_INVALID_ARGUMENT && !ctx &&
                  strstr(aiter_last_error(), "kernel_class: "),
              "class %d: %s", (int)d.kernel_class, aiter_last_error());
        d.kernel_class = AITER_KERNEL_CLASS_AUTO;
        d.log = hear;
        warned = 0;
        setenv("AITER_KERNEL_CLASS", i % 2 ? "fast" : i ? "Plain" : "", 1);
        CHECK(aiter_context_create(&d, &ctx) == AITER_OK && warned == (i != 0), "%d warnings",
              warned);
        aiter_context_destroy(ctx);
        setenv("AITER_KERNEL_CLASS", i % 2 ? "general" : "plain", 1);
        CHECK(aiter_context_create(&d, &ctx) == AITER_OK && warned == (i != 0), "%d warnings",
              warned);
        aiter_context_destroy(ctx);
        unsetenv("AITER_KERNEL_CLASS");
    }
}

/* ---- V of latent rows ---- */

/* A source of its own for sets that do not read V out of K's blocks: it has K's scales. */
static void latent_scales(int dim_v)
{
    for (int kind = AITER_SCALE_PER_TENSOR; kind < AITER_SCALE_COUNT; kind++) {
        static const char *const shapes[] = {"", "o", "G", "BKG", "", "BG", "GD", "BKGg"};
        aiter_flash_attn_fwd_args a = dense(2, 3, 5, 4, 2, 64);
        aiteri_attention x;
        aiter_tensor *t = &a.kv.k_scale;
        if (kind == AITER_SCALE_PER_BLOCK_HEAD) continue;
        for (const char *s = shapes[kind]; *s; s++)
            t->shape[t->ndim++] = *s == 'o'                ? 1
                                  : *s == 'G' || *s == 'B' ? 2
                                  : *s == 'K'              ? 5
                                  : *s == 'D'              ? 64
                                                           : 4;
        t->data = AT(9), t->dtype = AITER_F16;
        a.kv.k.dtype = AITER_I8;
        memset(&a.kv.v, 0, sizeof a.kv.v);
        a.kv.dim_v = dim_v;
        a.out.shape[3] = dim_v;
        a.kv.k_scale_kind = (aiter_scale_kind)kind;
        CHECK(aiteri_attention_begin(&aiteri_flash_attn_fwd_op, "", &a, NULL, &x) == AITER_OK &&
                  aiteri_attention_lower(&x, NULL) == AITER_OK,
              "%s", aiter_last_error());
        const aiteri_problem *p = &x.problem;
        CHECK((p->k.scales.data != NULL) + (p->k_channels.data != NULL) == 1 && p->v_in_k,
              "kind %d: no scales of K", kind);
        CHECK(memcmp(&p->v.scales, &p->k.scales, sizeof p->k.scales) == 0, "kind %d: other scales",
              kind);
        CHECK(memcmp(&p->v_channels, &p->k_channels, sizeof p->k_channels) == 0,
              "kind %d: other channels", kind);
    }
}

int main(void)
{
    aiter_context *cpu;
    test_begin("features", 1);
    for (int dim = 64; dim <= 192; dim += 8) own_bits(dim);
    chunks();
    table_of_takers();
    pairs();
    for (int dim = 1; dim <= 64; dim += 5) latent_scales(dim);
    cpu = test_context(AITER_ISA_AUTO, 1);
    for (int i = AITER_DEVICE_HIP; i <= AITER_DEVICE_CUDA; i++) {
        aiter_context *ctx = device_context((aiter_device)i);
        new_bits(ctx, cpu);
        named(ctx);
        close_context(ctx);
        pins((aiter_device)i);
        pinned_calls((aiter_device)i);
    }
    aiter_context_destroy(cpu);
    bad_classes();
    return test_end();
}
