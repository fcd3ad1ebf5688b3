/* test_arguments.c -- every field of aiter_flash_attn_fwd made wrong, one at a time, in every form.
 */
#include "refusals.h"

static void flash_numbers(attn_problem *p, aiter_flash_attn_fwd_args good)
{
    subject s = SUBJECT(FLASH, p);
    aiter_flash_attn_fwd_args a;
    static const int negative[] = {-1, -2, -100, INT32_MIN + 1, INT32_MIN};
    float nan = float_of_bits(0x7FC00000u), inf = float_of_bits(0x7F800000u);
    int i;
    INVALID("mask", a.score.mask = (aiter_mask)17);
    INVALID("mask", a.score.mask = (aiter_mask)-1);
    INVALID("window_left", (a.score.mask = AITER_MASK_WINDOW, a.score.window_left = -2));
    INVALID("window_right", (a.score.mask = AITER_MASK_WINDOW, a.score.window_right = -7));
    INVALID("AITER_MASK_WINDOW", (a.score.mask = AITER_MASK_NONE, a.score.window_left = 1));
    INVALID("AITER_MASK_WINDOW", (a.score.mask = AITER_MASK_CAUSAL, a.score.window_left = 4096));
    INVALID("AITER_MASK_WINDOW",
            (a.score.mask = AITER_MASK_CAUSAL_TOP_LEFT, a.score.window_right = 1));
    INVALID("AITER_MASK_WINDOW",
            (a.score.mask = AITER_MASK_DEFAULT, a.score.window_right = INT32_MAX));
    INVALID("AITER_MASK_WINDOW", (a.score.mask = AITER_MASK_CAUSAL, a.score.window_left = -2));
    INVALID("AITER_MASK_WINDOW", (a.score.mask = AITER_MASK_NONE, a.score.window_left = INT32_MIN));
    INVALID("sink_tokens", a.score.sink_tokens = -1);
    INVALID("softmax_scale", a.score.softmax_scale = -1);
    INVALID("softmax_scale", a.score.softmax_scale = nan);
    INVALID("softmax_scale", a.score.softmax_scale = inf);
    INVALID("softcap", a.score.softcap = -0.5f);
    INVALID("softcap", a.score.softcap = nan);
    INVALID("softcap", a.score.softcap = inf);
    INVALID("num_splits", a.num_splits = -1);
    for (i = 0; i < COUNT(negative); i++) {
        INVALID("max_seqlen_q", a.max_seqlen_q = negative[i]);
        INVALID("kv.max_seqlen", a.kv.max_seqlen = negative[i]);
        INVALID("num_splits", a.num_splits = negative[i]);
        INVALID("sink_tokens", a.score.sink_tokens = negative[i]);
    }
    INVALID("k_scale_kind", a.kv.k_scale_kind = (aiter_scale_kind)9);
    INVALID("v_scale_kind", a.kv.v_scale_kind = (aiter_scale_kind)-1);
}

/* One scale of q, one of out: positive, finite, and the first's product with softmax_scale, too. */
static void flash_scales(attn_problem *p, aiter_flash_attn_fwd_args good)
{
    static const uint32_t wrong[] = {0,           0x80000000u, 0xBF800000u, 0x80000001u,
                                     0x7FC00000u, 0xFFC00000u, 0x7F800000u, 0xFF800000u};
    static float huge = 3e38f, by_head[4];
    subject s = SUBJECT(FLASH, p);
    aiter_flash_attn_fwd_args a;
    int i, h;
    for (i = 0; i < COUNT(wrong); i++) {
        INVALID_DATA("score.q_scale: [0] is",
                     a.score.q_scale = with_entry(a.score.q_scale, 0, (int32_t)wrong[i]));
        INVALID_DATA("out_scale: [0] is",
                     a.out_scale = with_entry(a.out_scale, 0, (int32_t)wrong[i]));
        memset(by_head, 0, sizeof by_head);
        for (h = 0; h < 4; h++) by_head[h] = 1;
        memcpy(&by_head[i % 4], &wrong[i], 4);
        INVALID_DATA(i % 4 == 0   ? "out_scale: [0] is"
                     : i % 4 == 1 ? "out_scale: [1] is"
                     : i % 4 == 2 ? "out_scale: [2] is"
                                  : "out_scale: [3] is",
                     a.out_scale = aiter_tensor_2d(by_head, AITER_F32, 2, 2));
    }
    for (i = 0; i < 5; i++) {
        if (i == 1) continue;
        INVALID("score.q_scale: shape[0]",
                a.score.q_scale = aiter_tensor_1d(a.q.data, AITER_F32, i));
        INVALID("out_scale: shape[0]", a.out_scale = aiter_tensor_1d(a.q.data, AITER_F32, i));
    }
    good.score.q_scale.data = &huge;
    for (i = 2; i < 10; i++) INVALID_DATA("beyond f32", a.score.softmax_scale = (float)i);
}

/* Advice on exchanged axes is given where exchanging them helps, and nowhere else. */
static void flash_advice(attn_problem *p, aiter_flash_attn_fwd_args good)
{
    subject s = SUBJECT(FLASH, p);
    aiter_flash_attn_fwd_args a;
#define QUIET(what, statement) /* refused for `what`, without a word on exchanged axes */ \
    do {                                                                                  \
        INVALID(what, statement);                                                         \
        CHECK(!strstr(aiter_last_error(), "transpose"), "%s", aiter_last_error());        \
    } while (0)
    QUIET("heads", (a.kv.k.shape[1] = a.kv.v.shape[1] = 0, a.kv.k.shape[2] = a.kv.v.shape[2] = 3));
    QUIET("heads", (a.q.shape[1] = a.out.shape[1] = 0, a.kv.k.shape[2] = a.kv.v.shape[2] = 3));
    QUIET("lse", a.lse.shape[2]--);
    QUIET("lse", (a.score.bias.ndim = 0, a.q.shape[1] = a.out.shape[1] = a.q.shape[2],
                  a.lse.shape[2] = 3));
    QUIET("lse", (a.lse.shape[1] = a.q.shape[1], a.lse.shape[2] = a.q.shape[2] + 1));
#undef QUIET
}

/* What a form cannot have beside it, in any extent; the text says so. */
static void flash_unwanted(attn_problem *p, aiter_flash_attn_fwd_args good)
{
    subject s = SUBJECT(FLASH, p);
    aiter_flash_attn_fwd_args a;
    const int packed = case_is_packed(&p->c), paged = case_is_paged(&p->c);
    int n;
    for (n = 1; n < 7; n++) {
        const aiter_tensor ints = aiter_tensor_1d(good.q.data, AITER_I32, n);
        const aiter_tensor scales[] = {aiter_tensor_1d(good.q.data, AITER_F32, n),
                                       aiter_tensor_2d(good.q.data, AITER_F32, n, 2)};
        if (paged) INVALID("kv.cu_seqlens: expected none", a.kv.cu_seqlens = ints);
        if (!packed && !paged) INVALID("cu_seqlens_q: expected I32", a.kv.cu_seqlens = ints);
        INVALID("k_scale: expected none", a.kv.k_scale = scales[n % 2]);
        INVALID("v_scale: expected none", a.kv.v_scale = scales[n % 2]);
    }
}

/* Heads that kv heads do not divide, kv heads of another batch. */
static void flash_heads_and_batch(attn_problem *p, aiter_flash_attn_fwd_args good)
{
    subject s = SUBJECT(FLASH, p);
    aiter_flash_attn_fwd_args a;
    int n;
    for (n = 1; n < 12; n += 2) {
        INVALID("heads, expected a divisor", a.q.shape[2] = a.out.shape[2] = n);
        INVALID("k: shape[0]", a.kv.k.shape[0] = a.kv.v.shape[0] = n);
    }
    INVALID("k: shape[0]", a.kv.k.shape[0] = a.kv.v.shape[0] = 0);
}

/* Extents that no kernel has room for. Queries and plans alone: there is no such memory. */
static void flash_extents(attn_problem *p, aiter_flash_attn_fwd_args good)
{
    static const int64_t dims[] = {577, 578, 600, 640, 1024, 1152, 0};
    static const int64_t heads[] = {65536, 65538, 65600, 70000, 131072, 1 << 20, 0};
    subject s = SUBJECT(FLASH, p);
    const int qd = good.q.ndim - 1, kd = good.kv.k.ndim - 1;
    int i;
    good.score.bias.ndim = good.lse.ndim = good.score.alibi_slopes.ndim = good.score.sinks.ndim = 0;
    for (i = 0; i < COUNT(dims); i++) {
        aiter_flash_attn_fwd_args a = good;
        char why[48];
        snprintf(why, sizeof why, "D = %d", (int)dims[i]);
        a.q.shape[qd] = a.kv.k.shape[kd] = dims[i];
        refused_ahead(&s, &a, AITER_INVALID_ARGUMENT, "q: shape", why, SEEN_BY_QUERY);
        a = good;
        a.kv.v.shape[kd] = a.out.shape[qd] = dims[i];
        refused_ahead(&s, &a, AITER_INVALID_ARGUMENT, "v: shape", why, SEEN_BY_QUERY);
        if (dims[i] == 0) a.kv.v.data = a.out.data = NULL;
        refused_ahead(&s, &a, AITER_INVALID_ARGUMENT, "v: ", why, SEEN_BY_QUERY);
        a = good;
        snprintf(why, sizeof why, "%d heads", (int)heads[i]);
        a.q.shape[qd - 1] = a.out.shape[qd - 1] = heads[i];
        refused_ahead(&s, &a, AITER_INVALID_ARGUMENT, "the heads, is", why, SEEN_BY_QUERY);
    }
}

/* Batches whose works nobody can count in 31 bits: queries, which read nothing. */
static void flash_works(attn_problem *p, aiter_flash_attn_fwd_args good)
{
    static const int64_t batches[] = {1 << 30, (1 << 30) + 1, 3 << 29, INT32_MAX - 1};
    subject s = SUBJECT(FLASH, p);
    int i, with_lengths;
    good.score.bias.ndim = good.lse.ndim = good.score.alibi_slopes.ndim = 0;
    for (i = 0; i < COUNT(batches); i++) {
        for (with_lengths = 0; with_lengths < 4; with_lengths++) {
            aiter_flash_attn_fwd_args a = good;
            aiter_tensor lengths = aiter_tensor_1d(a.q.data, AITER_I32, batches[i]);
            size_t bytes = 1;
            a.q.shape[0] = a.kv.k.shape[0] = a.kv.v.shape[0] = a.out.shape[0] = batches[i];
            if (with_lengths & 1) a.seqused_q = lengths;
            if (with_lengths & 2) a.kv.seq_lens = lengths;
            CHECK(aiter_flash_attn_fwd_workspace(&a, NULL, &bytes) == AITER_UNSUPPORTED &&
                      bytes == 1,
                  "a batch of %d", (int)batches[i]);
            named(&s, "2^31 works", "a large batch");
        }
    }
}

/* A bias with extents of 1 is that bias in full, whatever the strides of those extents say. */
static void broadcast_bias(void)
{
    enum { ALL = 15 };
    static float values[4096];
    attn_case c = base(FORM_DENSE);
    attn_problem p;
    attn_call call;
    int ones, stride, i;
    memset(&call, 0, sizeof call);
    problem_new(&p, &c);
    problem_store(&p, SLACK_NAN);
    for (i = 0; i < COUNT(values); i++) values[i] = (float)rng_unit((uint64_t)i);
    for (ones = 0; ones < ALL; ones++) { /* bit i: dimension i has an extent of 1 */
        aiter_flash_attn_fwd_args a = problem_flash_args(&p, &call);
        output_bits full, some;
        aiter_tensor part = a.score.bias;
        memset(part.stride, 0, sizeof part.stride);
        part.data = values;
        part.dtype = AITER_F32;
        for (i = 0; i < 4; i++) part.shape[i] = ones >> i & 1 ? 1 : a.score.bias.shape[i];
        a.score.bias = aiter_tensor_transpose(part, 0, 0);
        for (i = 0; i < 4; i++) {
            if (a.score.bias.shape[i] == 1) a.score.bias.stride[i] = 0;
            a.score.bias.shape[i] = problem_flash_args(&p, &call).score.bias.shape[i];
        }
        CHECK(aiter_flash_attn_fwd(&a, NULL) == AITER_OK, "%s", aiter_last_error());
        full = problem_bits(&p);
        for (stride = 0; stride < 4; stride++) {
            a.score.bias = stride ? aiter_tensor_transpose(part, 0, 0) : part;
            for (i = 0; i < 4; i++) {
                if (stride && part.shape[i] == 1) a.score.bias.stride[i] = 3 * stride - 2;
            }
            CHECK(aiter_flash_attn_fwd(&a, NULL) == AITER_OK, "%s", aiter_last_error());
            some = problem_bits(&p);
            CHECK(bits_equal(&full, &some), "bias with extents of 1 (%x), strides %d", ones,
                  stride);
            free(some.data);
        }
        free(full.data);
    }
    problem_free(&p);
}

static void flash_dense(void)
{
    attn_case c = base(FORM_DENSE);
    attn_problem p;
    attn_call call;
    aiter_flash_attn_fwd_args good, a;
    subject s = SUBJECT(FLASH, &p);
    int n;
    memset(&call, 0, sizeof call);
    problem_new(&p, &c);
    problem_store(&p, SLACK_NAN);
    good = problem_flash_args(&p, &call);
    flash_heads_and_batch(&p, good);
    flash_numbers(&p, good);
    flash_scales(&p, good);
    flash_advice(&p, good);
    flash_unwanted(&p, good);
    flash_extents(&p, good);
    flash_works(&p, good);
    for (n = -3; n < 20; n++) {
        if (n != 0 && n != 8) INVALID("kv.dim_v: is", a.kv.dim_v = n);
    }
    INVALID("kv.v: is absent", (a.kv.v.ndim = 0, a.kv.dim_v = 0));
    for (n = -1; n < 12; n++) {
        if (n < 0 || n > 8)
            INVALID("kv.dim_v: is", (a.kv.v.ndim = 0, a.kv.dim_v = n));
        else if (n > 0 && n < 8)
            INVALID("out: shape[3] is 8", (a.kv.v.ndim = 0, a.kv.dim_v = n));
    }
    for (n = 1; n < 7; n++)
        INVALID("kv.v_scale: expected none",
                (a.kv.v_scale = aiter_tensor_1d(a.q.data, AITER_F32, n), a.kv.v.ndim = 0,
                 a.kv.dim_v = 8));
    for (n = 1; n < 5000; n += 97) {
        if (n != (int)sizeof a) INVALID("struct_bytes: is", a.struct_bytes = (uint32_t)n);
    }
    INVALID("k", a.kv.k.shape[0] = 1);
    INVALID("k", a.kv.k.shape[3] = 7);
    INVALID("heads", a.kv.k.shape[2] = a.kv.v.shape[2] = 3);
    INVALID("heads", a.kv.k.shape[2] = a.kv.v.shape[2] = 0);
    INVALID("head_dim", (a.q.shape[3] = a.kv.k.shape[3] = 0));
    INVALID("out", a.out.shape[3] = 7);
    INVALID("lse", a.lse.shape[1] = 2);
    INVALID("bias", a.score.bias.shape[1] = 2);
    INVALID("bias", a.score.bias.shape[3] = 20);
    INVALID("alibi_slopes", a.score.alibi_slopes.shape[1] = 3);
    INVALID("sinks", a.score.sinks.shape[0] = 2);
    INVALID("kv.cu_seqlens: expected", a.cu_seqlens_q = aiter_tensor_1d(a.q.data, AITER_I32, 3));
    for (n = 1; n < 5; n++) INVALID_DATA("max_seqlen_q", a.max_seqlen_q = n);
    for (n = 1; n < 21; n++) INVALID_DATA("kv.max_seqlen", a.kv.max_seqlen = n);
    INVALID("k_scale", a.kv.k_scale = aiter_tensor_1d(a.q.data, AITER_F32, 1));
    INVALID("v_scale", a.kv.v_scale = aiter_tensor_1d(a.q.data, AITER_F32, 1));
    CHECK(aiter_flash_attn_fwd(&good, NULL) == AITER_OK, "the good arguments: %s",
          aiter_last_error());
    problem_free(&p);
}

/* A bias of fewer keys than the longest sequence has. */
static void flash_short_bias(attn_problem *p, aiter_flash_attn_fwd_args good)
{
    subject s = SUBJECT(FLASH, p);
    aiter_flash_attn_fwd_args a;
    const int64_t rows = good.q.shape[case_is_packed(&p->c) ? 0 : 1];
    int keys;
    for (keys = 2; keys < 21; keys++) {
        INVALID_DATA("bias", a.score.bias = aiter_tensor_2d(a.q.data, AITER_F32, rows, keys));
        INVALID_DATA("bias", a.score.bias = aiter_tensor_2d(a.q.data, AITER_F32, 1, keys));
        INVALID_DATA("bias", a.score.bias = aiter_tensor_3d(a.q.data, AITER_F32, 1, rows, keys));
        INVALID_DATA("bias", a.score.bias = aiter_tensor_3d(a.q.data, AITER_F32, 4, rows, keys));
        INVALID_DATA("visible", a.score.visible = aiter_tensor_2d(a.q.data, AITER_U8, rows, keys));
        INVALID_DATA("visible", a.score.visible = aiter_tensor_2d(a.q.data, AITER_U8, 1, keys));
    }
}

/* Packed rows with gaps: of each sequence as many as there is room for. */
static void flash_rooms(attn_problem *p, aiter_flash_attn_fwd_args good)
{
    subject s = SUBJECT(FLASH, p);
    aiter_flash_attn_fwd_args a;
    const aiter_tensor rows = aiter_tensor_1d(p->len_q, AITER_I32, p->c.b);
    const aiter_tensor keys = aiter_tensor_1d(p->len_k, AITER_I32, p->c.b);
    int n;
    for (n = 0; n < p->c.b; n++) {
        INVALID_DATA("seqused_q", a.seqused_q = with_entry(rows, n, p->len_q[n] + 1));
        INVALID_DATA("seqused_q", a.seqused_q = with_entry(rows, n, INT32_MAX));
        INVALID_DATA("seqused_q", a.seqused_q = with_entry(rows, n, -1));
        INVALID_DATA("seqused_q",
                     (a.max_seqlen_q = p->len_q[n] - 1, a.seqused_q = with_entry(rows, 1 - n, 0)));
        if (p->c.form != FORM_VARLEN) continue;
        INVALID_DATA("kv.seq_lens", a.kv.seq_lens = with_entry(keys, n, p->len_k[n] + 1));
        INVALID_DATA("kv.seq_lens", a.kv.seq_lens = with_entry(keys, n, INT32_MIN));
    }
}

static void flash_lengths(attn_form form)
{
    attn_case c = base(form);
    attn_problem p;
    attn_call call;
    aiter_flash_attn_fwd_args good, a;
    subject s = SUBJECT(FLASH, &p);
    int paged = case_is_paged(&c), packed = case_is_packed(&c), n;
    memset(&call, 0, sizeof call);
    if (form != FORM_PAGED) c.mask = AITER_MASK_CAUSAL;
    problem_new(&p, &c);
    problem_store(&p, SLACK_NAN);
    good = problem_flash_args(&p, &call);
    flash_numbers(&p, good);
    flash_unwanted(&p, good);
    flash_extents(&p, good);
    if (packed) flash_rooms(&p, good);
    if (packed) {
        INVALID_DATA("cu_seqlens_q", a.cu_seqlens_q = with_entry(a.cu_seqlens_q, 0, 1));
        INVALID_DATA("cu_seqlens_q", a.cu_seqlens_q = with_entry(a.cu_seqlens_q, 1, -1));
        INVALID_DATA("cu_seqlens_q", a.cu_seqlens_q = with_entry(a.cu_seqlens_q, 1, 11));
        INVALID_DATA("cu_seqlens_q", a.cu_seqlens_q = with_entry(a.cu_seqlens_q, 2, 3));
        INVALID_DATA("cu_seqlens_q", a.cu_seqlens_q = with_entry(a.cu_seqlens_q, 2, INT32_MAX));
        INVALID_DATA("cu_seqlens_q", a.cu_seqlens_q = with_entry(a.cu_seqlens_q, 2, INT32_MIN));
        INVALID_DATA("cu_seqlens_q", a.max_seqlen_q = 4);
        INVALID("seqused_q", a.seqused_q = aiter_tensor_1d(a.q.data, AITER_I32, 3));
    }
    if (form == FORM_VARLEN) {
        INVALID_DATA("kv.cu_seqlens", a.kv.cu_seqlens = with_entry(a.kv.cu_seqlens, 0, 2));
        INVALID_DATA("kv.cu_seqlens", a.kv.cu_seqlens = with_entry(a.kv.cu_seqlens, 2, 20));
        INVALID_DATA("kv.cu_seqlens", a.kv.cu_seqlens = with_entry(a.kv.cu_seqlens, 2, 43));
        INVALID_DATA("kv.cu_seqlens", a.kv.max_seqlen = 20);
        INVALID("kv.cu_seqlens", a.kv.cu_seqlens.shape[0] = 2);
        INVALID("kv.cu_seqlens", a.kv.cu_seqlens.ndim = 0);
        INVALID("cu_seqlens_q", a.cu_seqlens_q.ndim = 0);
    }
    if (form == FORM_PADDED) {
        INVALID_DATA("seqused_q", a.seqused_q = with_entry(a.seqused_q, 1, 6));
        INVALID_DATA("seqused_q", a.seqused_q = with_entry(a.seqused_q, 0, -1));
        INVALID_DATA("seqused_q", a.max_seqlen_q = 4);
    }
    if (form == FORM_PADDED || paged) {
        INVALID_DATA("kv.seq_lens", a.kv.seq_lens = with_entry(a.kv.seq_lens, 1, 1000));
        INVALID_DATA("kv.seq_lens", a.kv.seq_lens = with_entry(a.kv.seq_lens, 1, INT32_MAX));
        INVALID_DATA("kv.seq_lens", a.kv.seq_lens = with_entry(a.kv.seq_lens, 0, -1));
        INVALID_DATA("kv.seq_lens", a.kv.max_seqlen = 20);
        INVALID("kv.seq_lens", a.kv.seq_lens.shape[0] = 1);
    }
    flash_short_bias(&p, good);
    if (paged) {
        INVALID_DATA("block_table", a.kv.block_table = with_entry(a.kv.block_table, 0, -1));
        INVALID_DATA("block_table",
                     a.kv.block_table = with_entry(a.kv.block_table, 5, p.num_blocks));
        INVALID_DATA("block_table",
                     a.kv.block_table = with_entry(a.kv.block_table, p.max_blocks + 5, INT32_MIN));
        INVALID("kv.seq_lens", a.kv.seq_lens.ndim = 0);
        INVALID("block_table", a.kv.block_table.shape[0] = 1);
        for (n = 0; n < 6; n++)
            INVALID("page size",
                    (a.kv.k.shape[1] = a.kv.v.shape[1] = 0, a.kv.k.shape[0] = a.kv.v.shape[0] = n));
        INVALID("kv.cu_seqlens", a.kv.cu_seqlens = a.kv.seq_lens);
    }
    CHECK(aiter_flash_attn_fwd(&good, NULL) == AITER_OK, "the good arguments: %s",
          aiter_last_error());
    problem_free(&p);
}

static void flash_int8(attn_form form, aiter_scale_kind kind)
{
    attn_case c = base(form);
    attn_problem p;
    attn_call call;
    aiter_flash_attn_fwd_args good, a;
    subject s = SUBJECT(FLASH, &p);
    int other, d;
    memset(&call, 0, sizeof call);
    c.bias = BIAS_NONE;
    c.dq = c.dv = 32;
    c.kv_type = AITER_I8;
    c.q_type = AITER_F32;
    c.scale_kind = kind;
    c.hk = 4;
    problem_new(&p, &c);
    problem_store(&p, SLACK_NAN);
    good = problem_flash_args(&p, &call);
    INVALID("k_scale", a.kv.k_scale.ndim = 0);
    INVALID("v_scale", a.kv.v_scale.ndim = 0);
    INVALID("k_scale", a.kv.k_scale = aiter_tensor_1d(a.kv.k_scale.data, AITER_F32, 3));
    if (kind == AITER_SCALE_PER_TENSOR)
        INVALID("k_scale", a.kv.k_scale_kind = AITER_SCALE_PER_TOKEN_HEAD);
    if (kind == AITER_SCALE_PER_HEAD)
        INVALID("k_scale", a.kv.k_scale_kind = AITER_SCALE_PER_TENSOR);
    if (kind == AITER_SCALE_PER_TOKEN_HEAD)
        INVALID("k_scale", a.kv.k_scale_kind = AITER_SCALE_PER_HEAD);
    for (other = AITER_SCALE_PER_TENSOR; other < AITER_SCALE_COUNT; other++)
        if ((aiter_scale_kind)other != p.c.scale_kind)
            INVALID("v_scale", a.kv.v_scale_kind = (aiter_scale_kind)other);
    for (d = 0; d < good.kv.k_scale.ndim; d++)
        INVALID("k_scale: shape", a.kv.k_scale.shape[d] += 5);
    INVALID("k_scale: dtype", a.kv.k_scale.dtype = AITER_F8_E4M3FN);
    CHECK(aiter_flash_attn_fwd(&good, NULL) == AITER_OK, "the good arguments: %s",
          aiter_last_error());
    problem_free(&p);
}

/* One scale is that of all heads, whatever lies behind it and whatever its stride says. */
static void one_scale(attn_form form)
{
    static float many[256], same[2][64];
    attn_case c = base(form);
    attn_problem p;
    attn_call call;
    aiter_flash_attn_fwd_args good, a;
    output_bits own, strided;
    int i;
    memset(&call, 0, sizeof call);
    c.bias = BIAS_NONE;
    c.kv_type = AITER_I8;
    c.q_type = AITER_F32;
    c.scale_kind = AITER_SCALE_PER_TENSOR;
    problem_new(&p, &c);
    problem_store(&p, SLACK_NAN);
    a = problem_flash_args(&p, &call);
    for (i = 0; i < COUNT(same[0]); i++) {
        same[0][i] = *(const float *)a.kv.k_scale.data;
        same[1][i] = *(const float *)a.kv.v_scale.data;
    }
    a.kv.k_scale.data = same[0];
    a.kv.v_scale.data = same[1];
    good = a;
    CHECK(aiter_flash_attn_fwd(&a, NULL) == AITER_OK, "%s", aiter_last_error());
    own = problem_bits(&p);
    for (i = 1; i < COUNT(many); i++) many[i] = (float)i;
    for (i = 0; i < 8; i++) {
        a = good;
        many[0] = same[i % 2][0];
        *(i % 2 ? &a.kv.v_scale : &a.kv.k_scale) = aiter_tensor_1d(many, AITER_F32, 1);
        *(i % 2 ? &a.kv.v_scale.stride[0] : &a.kv.k_scale.stride[0]) = i / 2 * 7;
        CHECK(aiter_flash_attn_fwd(&a, NULL) == AITER_OK, "%s", aiter_last_error());
        strided = problem_bits(&p);
        CHECK(bits_equal(&own, &strided), "one scale of stride %d has other bits", i / 2 * 7);
        free(strided.data);
    }
    free(own.data);
    problem_free(&p);
}

/* Outputs that interleave share no element: rows of every second float, heads that begin in the
 * last gap of the one before, and the log-sum-exps in the gaps. The same bits as in memory of their
 * own.
 */
static void interleaved(int D)
{
    enum { ROWS = 5, HEADS = 4 };
    const int head = 2 * D - 1, token = HEADS * head;
    attn_case c = base(FORM_DENSE);
    attn_problem p;
    attn_call call;
    aiter_flash_attn_fwd_args good, a;
    float *both = (float *)calloc((size_t)(2 * ROWS * token + 1), sizeof *both);
    int b, i, h, d, same = 1;
    memset(&call, 0, sizeof call);
    c.dq = D;
    problem_new(&p, &c);
    problem_store(&p, SLACK_NAN);
    good = a = problem_flash_args(&p, &call);
    a.out = aiter_tensor_transpose(aiter_tensor_4d(both, AITER_F32, 2, ROWS, HEADS, D), 0, 0);
    a.out.stride[0] = ROWS * token, a.out.stride[1] = token;
    a.out.stride[2] = head, a.out.stride[3] = 2;
    a.lse = aiter_tensor_transpose(aiter_tensor_3d(both + 1, AITER_F32, 2, HEADS, ROWS), 0, 0);
    a.lse.stride[0] = ROWS * token, a.lse.stride[1] = head, a.lse.stride[2] = token;
    CHECK(aiter_flash_attn_fwd(&good, NULL) == AITER_OK, "%s", aiter_last_error());
    CHECK(aiter_flash_attn_fwd(&a, NULL) == AITER_OK, "interleaved: %s", aiter_last_error());
    for (b = 0; b < 2; b++) {
        for (i = 0; i < ROWS; i++) {
            for (h = 0; h < HEADS; h++) {
                const float *row = both + b * ROWS * token + i * token + h * head;
                const float *own = (const float *)good.out.data + ((b * ROWS + i) * HEADS + h) * D;
                const float *lse = (const float *)good.lse.data + (b * HEADS + h) * ROWS + i;
                for (d = 0; d < D; d++) same &= memcmp(row + 2 * d, own + d, 4) == 0;
                same &= memcmp(row + 1, lse, 4) == 0;
            }
        }
    }
    CHECK(same, "interleaved outputs have other bits");
    a.out.stride[2] = head - 1; /* a head begins on the last element of the one before */
    CHECK(aiter_flash_attn_fwd(&a, NULL) == AITER_INVALID_ARGUMENT, "heads that share an element");
    a.out.stride[2] = head;
    a.lse.data = both + 2; /* on a row */
    CHECK(aiter_flash_attn_fwd(&a, NULL) == AITER_INVALID_ARGUMENT, "lse on an element of out");
    free(both);
    problem_free(&p);
}

/* sink_tokens hides and shows nothing where no window hides: the same bits with any mask. */
static void sinks_without_window(void)
{
    static const aiter_mask masks[] = {AITER_MASK_NONE, AITER_MASK_CAUSAL,
                                       AITER_MASK_CAUSAL_TOP_LEFT};
    int i;
    for (i = 0; i < COUNT(masks); i++) {
        attn_case c = base(FORM_DENSE);
        attn_problem p;
        attn_call call;
        aiter_flash_attn_fwd_args a;
        output_bits with, without;
        c.mask = masks[i];
        memset(&call, 0, sizeof call);
        problem_new(&p, &c);
        problem_store(&p, SLACK_NAN);
        a = problem_flash_args(&p, &call);
        CHECK(aiter_flash_attn_fwd(&a, NULL) == AITER_OK, "%s", aiter_last_error());
        without = problem_bits(&p);
        a.score.sink_tokens = 3;
        a.score.window_left = a.score.window_right = -1;
        CHECK(aiter_flash_attn_fwd(&a, NULL) == AITER_OK, "%s", aiter_last_error());
        with = problem_bits(&p);
        CHECK(bits_equal(&with, &without), "sink_tokens changed mask %d", (int)masks[i]);
        free(with.data);
        free(without.data);
        problem_free(&p);
    }
}

/* Sizes that wrap: dimensions near 2^31, 2^32 and 2^63 in every extent are refused, not computed.
 */
static void sizes(void)
{
    static const int64_t large[] = {INT64_C(1) << 31, (INT64_C(1) << 32) + 1, INT64_C(1) << 61,
                                    INT64_MAX};
    attn_case c = base(FORM_DENSE);
    attn_problem p;
    attn_call call;
    aiter_flash_attn_fwd_args good, a;
    int i, n, m;
    memset(&call, 0, sizeof call);
    problem_new(&p, &c);
    problem_store(&p, SLACK_NAN);
    good = problem_flash_args(&p, &call);
    for (i = 0; i < 4; i++) {
        for (n = 0; n < COUNT(large); n++) {
            for (m = 1; m < 16; m++) {
                size_t bytes = 0;
                aiter_status status;
                a = good;
                a.score.bias.ndim = a.lse.ndim = a.score.alibi_slopes.ndim = 0;
                if (m & 1) a.q.shape[i] = large[n];
                if (m & 2) a.kv.k.shape[i] = large[n];
                if (m & 4) a.kv.v.shape[i] = large[n];
                if (m & 8) a.out.shape[i] = large[n];
                status = aiter_flash_attn_fwd_workspace(&a, NULL, &bytes);
                CHECK(status != AITER_OK || (uint64_t)bytes < (uint64_t)1 << 50,
                      "dimension %d: %zu bytes", i, bytes);
                if (m != 15) CHECK(status != AITER_OK || i == 1, "extents that do not match");
            }
        }
    }
    problem_free(&p);
}

int main(void)
{
    int kind, form;
    test_begin("arguments", 1);
    flash_dense();
    for (form = FORM_PADDED; form < FORM_COUNT; form++) flash_lengths((attn_form)form);
    for (form = FORM_DENSE; form < FORM_COUNT; form++) one_scale((attn_form)form);
    for (kind = AITER_SCALE_PER_TENSOR; kind < AITER_SCALE_COUNT; kind++) {
        flash_int8(FORM_DENSE, (aiter_scale_kind)kind);
        flash_int8(FORM_MIXED, (aiter_scale_kind)kind);
    }
    sizes();
    for (form = 2; form <= 10; form++) interleaved(form);
    sinks_without_window();
    broadcast_bias();
    return test_end();
}
