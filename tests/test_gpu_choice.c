/* test_gpu_choice.c -- which kernel a call on a device takes and what it is told: a plain kernel
 * for nothing but what it can do, strides with gaps, pieces, scratch that grows, files, plans. The
 * driver is gpu/fake_driver.h; memory is dirty, and files end early when told to. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t cut_files; /* bytes that reading loses */
static void *dirty_malloc(size_t bytes)
{
    void *p = malloc(bytes);
    if (p) memset(p, 'x', bytes);
    return p;
}
static size_t cut_fread(void *to, size_t size, size_t count, FILE *file)
{
    const size_t got = fread(to, size, count, file);
    return got > cut_files ? got - cut_files : 0;
}
#define malloc dirty_malloc
#define fread  cut_fread
#include "gpu/device_calls.h"
#undef malloc
#undef fread

static const aiter_dtype types[2] = {AITER_BF16, AITER_F16};

static aiter_flash_attn_fwd_args typed(aiter_flash_attn_fwd_args a, aiter_dtype type)
{
    a.q.dtype = a.kv.k.dtype = a.kv.v.dtype = a.out.dtype = type;
    return a;
}

static void takes(const aiter_flash_attn_fwd_args *a, aiter_context *ctx, const char *word,
                  const char *why)
{
    CHECK(aiter_flash_attn_fwd(a, ctx) == AITER_OK, "%s: %s", why, aiter_context_error(ctx));
    CHECK(strstr(last_launch(0)->symbol, word), "%s takes %s, expected %s", why,
          last_launch(0)->symbol, word);
}

/* ---- plain or general ---- */

/* Change n of a call that a plain kernel takes; NULL: there is no such change. */
static const char *unplain(int n, aiter_flash_attn_fwd_args *a, int d)
{
    aiter_tensor *const t[4] = {&a->q, &a->kv.k, &a->kv.v, &a->out};
    aiter_tensor *const rows = t[n % 4];
    const int64_t token = rows->shape[2] * d;
    a->score.softcap = n == 12 ? 5.0f : 0.0f;
    if (n < 4) rows->data = (char *)rows->data + 2 * (n + 1);
    if (n >= 4 && n < 12) { /* of tokens, then of the batch */
        const int64_t odd = n < 8 ? 4 : 0;
        rows->stride[0] = ((token + 8) * rows->shape[1] + 7) / 8 * 8 + 4 - odd;
        rows->stride[1] = token + odd;
        rows->stride[2] = d;
        rows->stride[3] = 1;
    }
    switch (n) {
    case 13: a->score.alibi_slopes = aiter_tensor_1d(AT(5), AITER_F32, a->q.shape[2]); break;
    case 14:
        a->score.bias = aiter_tensor_2d(AT(6), AITER_F32, a->q.shape[1], a->kv.k.shape[1]);
        break;
    case 15: a->score.sinks = aiter_tensor_1d(AT(7), AITER_F32, a->q.shape[2]); break;
    case 16:
        a->score.mask = AITER_MASK_WINDOW;
        a->score.window_left = 20;
        break;
    case 17: a->score.mask = AITER_MASK_CAUSAL_TOP_LEFT; break;
    case 18:
    case 19: /* rows too far apart for 32-bit offsets */
        t[n - 17]->stride[0] = (int64_t)1 << 33;
        t[n - 17]->stride[1] = (int64_t)1 << 23;
        t[n - 17]->stride[2] = d;
        t[n - 17]->stride[3] = 1;
        break;
    default: break;
    }
    return n < 4 ? "an address" : n < 12 ? "a stride" : n < 18 ? "an option" : "a far token";
}
enum { UNPLAIN = 20 };

static void plain_or_general(aiter_device device)
{
    aiter_context *ctx = device_context(device);
    for (int i = 0; i < 8; i++) {
        const int d = i & 4 && device == AITER_DEVICE_HIP ? 64 : 128;
        aiter_flash_attn_fwd_args base = typed(dense(2, 300, 500, 8, 2, d), types[i & 1]), a;
        base.score.mask = i & 2 ? AITER_MASK_CAUSAL : AITER_MASK_NONE;
        takes(&base, ctx, "_plain", "full or causal");
        for (int n = 0; n < UNPLAIN; n++) {
            a = base;
            const char *why = unplain(n, &a, d);
            takes(&a, ctx, "_general", why);
        }
        a = base; /* packed: a plain kernel knows dense rows alone */
        a.q = a.out = aiter_tensor_3d(AT(1), types[i & 1], 600, 8, d);
        a.out.data = AT(4);
        a.kv.k = a.kv.v = aiter_tensor_3d(AT(2), types[i & 1], 900, 2, d);
        a.kv.v.data = AT(3);
        a.cu_seqlens_q = aiter_tensor_1d(AT(8), AITER_I32, 3);
        a.kv.cu_seqlens = aiter_tensor_1d(AT(9), AITER_I32, 3);
        takes(&a, ctx, "_general", "packed");
        a = base; /* paged */
        a.kv.k = a.kv.v = aiter_tensor_4d(AT(2), types[i & 1], 100, 16, 2, d);
        a.kv.v.data = AT(3);
        a.kv.block_table = aiter_tensor_2d(AT(8), AITER_I32, 2, 40);
        a.kv.seq_lens = aiter_tensor_1d(AT(9), AITER_I32, 2);
        takes(&a, ctx, "_general", "paged");
        for (int size = 72; size < 128; size += 8) { /* a plain kernel does not pad heads */
            a = typed(dense(2, 300, 500, 8, 2, size), types[i & 1]);
            takes(&a, ctx, "_128_128_general", "a padded head");
        }
    }
    close_context(ctx);
}

/* Scales whose product with log2 e is not normal need the general
 * kernel; a cap whose inverse is not normal changes nothing and is told as a power of two. */
static void far_scales(aiter_device device)
{
    static const float scales[] = {1e-35f, 3e-38f, 1e-40f, 1e35f, 3e38f};
    static const float caps[] = {1e-10f, 30, 1e30f, 1.3e30f, 1e35f, 3e38f};
    aiter_context *ctx = device_context(device);
    aiteri_gpu_attention x;
    for (int i = 0; i < (int)(sizeof scales / sizeof scales[0]); i++) {
        aiter_flash_attn_fwd_args a = typed(dense(1, 300, 300, 4, 4, 128), types[i & 1]);
        a.score.softmax_scale = 0.5f;
        takes(&a, ctx, "_plain", "a usual scale");
        a.score.softmax_scale = scales[i];
        takes(&a, ctx, "_general", "a far scale");
        memcpy(&x, last_launch(0)->args, sizeof x);
        CHECK(x.score.softmax_scale == scales[i], "scale %g", (double)x.score.softmax_scale);
    }
    for (int i = 0; i < (int)(sizeof caps / sizeof caps[0]); i++) {
        aiter_flash_attn_fwd_args a = typed(dense(1, 300, 300, 4, 4, 128), types[i & 1]);
        a.score.softcap = caps[i];
        takes(&a, ctx, "_general", "a cap");
        memcpy(&x, last_launch(0)->args, sizeof x);
        CHECK(x.score.softcap == (caps[i] < 0x1p100f ? caps[i] : 0x1p100f), "cap %g for %g",
              (double)x.score.softcap, (double)caps[i]);
    }
    close_context(ctx);
}

/* Decoding knows no bias: such calls are flash. Heads of 192 and 128 have a kernel on gfx950. */
static void other_choices(aiter_device device)
{
    aiter_context *ctx = device_context(device);
    for (int i = 0; i < 12; i++) {
        aiter_flash_attn_fwd_args a = typed(dense(2, 1 + i % 3, 500, 8, 2, 128), types[i & 1]);
        a.kv.k = a.kv.v = aiter_tensor_4d(AT(2), types[i & 1], 100, 16, 2, 128);
        a.kv.v.data = AT(3);
        a.kv.block_table = aiter_tensor_2d(AT(8), AITER_I32, 2, 40);
        a.kv.seq_lens = aiter_tensor_1d(AT(9), AITER_I32, 2);
        takes(&a, ctx, "paged_decode", "few rows over pages");
        a.score.bias = aiter_tensor_2d(AT(6), AITER_F32, 1 + i % 3, 640 + i);
        takes(&a, ctx, "flash_fwd", "a bias over pages");
        a = typed(dense(2, 60 + i, 500, 8, 2, 128), types[i & 1]);
        a.kv.k = a.kv.v = aiter_tensor_4d(AT(2), types[i & 1], 100, 16, 2, 128);
        a.kv.v.data = AT(3);
        a.kv.block_table = aiter_tensor_2d(AT(8), AITER_I32, 2, 40);
        a.kv.seq_lens = aiter_tensor_1d(AT(9), AITER_I32, 2);
        takes(&a, ctx, "flash_fwd", "many rows over pages");
    }
    for (int i = 0; i < 12; i++) { /* only decoding reads int8 */
        aiter_paged_attn_decode_args a = decode(2, 1 + 9 * i, 8, 2, AITER_I8);
        CHECK(aiter_paged_attn_decode(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
        CHECK(strstr(last_launch(0)->symbol, "paged_decode_bf16_i8"), "%d rows of int8 take %s",
              1 + 9 * i, last_launch(0)->symbol);
    }
    close_context(ctx);
    if (device != AITER_DEVICE_HIP) return;
    for (int i = 0; i < 12; i++) {
        aiter_context_desc d = (fake_reset(), fake_desc(device));
        aiter_flash_attn_fwd_args a =
            typed(dense(1, 40, 40, 4, 4, 192 - 8 * (i / 2)), types[i & 1]);
        a.kv.v.shape[3] = a.out.shape[3] = 128;
        fake.arch = i < 12 ? "gfx950" : "gfx942";
        CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
        takes(&a, ctx, "_192_128_", "gfx950");
        CHECK(strcmp(fake.module[0].file, "aiter_gfx950.co") == 0, "%s", fake.module[0].file);
        close_context(ctx);
    }
}

/* ---- what the kernel is told ---- */

/* Nothing dense: each stride is its own. */
static void strides_with_gaps(aiter_device device)
{
    aiter_context *ctx = device_context(device);
    for (int n = 1; n <= 12; n++) {
        aiter_flash_attn_fwd_args a = dense(2, 40, 48, 8, 2, 192);
        aiteri_gpu_attention x;
        a.kv.v.shape[3] = a.out.shape[3] = 64 + 8 * (n % 4);
        a.kv.k = aiter_tensor_4d(AT(2), AITER_BF16, 100, 16, 2, 192);
        a.kv.v = aiter_tensor_4d(AT(3), AITER_BF16, 100, 16, 2, a.out.shape[3]);
        a.kv.block_table = aiter_tensor_2d(AT(5), AITER_I32, 2, 3);
        a.kv.block_table.stride[0] = 20 + n, a.kv.block_table.stride[1] = 1 + n;
        a.seqused_q = aiter_tensor_1d(AT(6), AITER_I32, 2);
        a.seqused_q.stride[0] = 2 + n;
        a.kv.seq_lens = aiter_tensor_1d(AT(7), AITER_I32, 2);
        a.kv.seq_lens.stride[0] = 3 + n;
        a.score.sinks = aiter_tensor_1d(AT(8), AITER_F32, 8);
        a.score.sinks.stride[0] = 4 + n;
        a.score.alibi_slopes = aiter_tensor_2d(AT(9), AITER_F32, 2, 8);
        a.score.alibi_slopes.stride[0] = 100 + n, a.score.alibi_slopes.stride[1] = 5 + n;
        a.score.bias = aiter_tensor_4d(AT(10), n % 2 ? AITER_BF16 : AITER_F32, 2, 8, 40, 48);
        a.score.bias.stride[0] = 900000 + n, a.score.bias.stride[1] = 90000 + n;
        a.score.bias.stride[2] = 2000 + n, a.score.bias.stride[3] = 6 + n;
        a.lse = aiter_tensor_3d(AT(11), AITER_F32, 2, 8, 40);
        a.lse.stride[0] = 8000 + n, a.lse.stride[1] = 900 + n, a.lse.stride[2] = 7 + n;
        takes(&a, ctx, "flash_fwd", "gaps");
        memcpy(&x, last_launch(0)->args, sizeof x);
        CHECK(x.dim_q == 192 && x.dim_v == a.out.shape[3], "%d: sizes", n);
        CHECK(x.pages.stride_batch == 20 + n && x.pages.stride_entry == 1 + n, "%d: table", n);
        CHECK(x.q_lengths.used_stride == 2 + n && x.k_lengths.used_stride == 3 + n, "%d: used", n);
        CHECK(x.score.sinks_stride == 4 + n, "%d: sinks", n);
        CHECK(x.score.alibi_stride_batch == 100 + n && x.score.alibi_stride_head == 5 + n,
              "%d: slopes", n);
        CHECK(x.score.bias_stride_batch == 900000 + n, "%d: bias, batch", n);
        CHECK(x.score.bias_stride_head == 90000 + n, "%d: bias, head", n);
        CHECK(x.score.bias_stride_token == 2000 + n, "%d: bias, token", n);
        CHECK(x.score.bias_stride_key == 6 + n, "%d: bias, key", n);
        CHECK(x.score.bias_dtype == (n % 2 ? AITER_BF16 : AITER_F32), "%d: bias, type", n);
        CHECK(x.lse_stride_batch == 8000 + n && x.lse_stride_head == 900 + n &&
                  x.lse_stride_token == 7 + n,
              "%d: lse", n);
    }
    close_context(ctx);
}

/* Pieces are whole steps, as many as cover the keys; every row of every piece is merged. */
static void pieces(aiter_device device)
{
    aiter_context *ctx = device_context(device);
    for (int n = 1; n <= 60; n++) {
        const int sk = n % 2 ? 700 + 397 * n : 300 + 41 * n, heads = 1 + n % 5, sq = 1 + n % 7;
        aiter_flash_attn_fwd_args a = dense(1, sq, sk, heads, heads, 128);
        aiteri_gpu_attention x;
        a.num_splits = n % 2 ? 2 + n % 9 : 7 + n % 23;
        takes(&a, ctx, "combine", "pieces");
        memcpy(&x, last_launch(0)->args, sizeof x);
        const aiteri_gpu_row *r = row_of(last_launch(1), arch_of(device));
        const int64_t each = x.split.split_keys, rows = (int64_t)sq * heads;
        CHECK(each % r->keys == 0, "pieces of %d keys", (int)each);
        CHECK(x.split.count == (sk + each - 1) / each, "%d pieces of %d of %d keys", x.split.count,
              (int)each, sk);
        const int merged = row_of(last_launch(0), arch_of(device))->rows;
        check_geometry(last_launch(0), device, (rows + merged - 1) / merged);
    }
    close_context(ctx);
}

/* Scratch that grows: at least twice as much, and the newest block is used. */
static void growing(aiter_device device)
{
    for (int n = 0; n < 5; n++) {
        aiter_context *ctx = device_context(device);
        int64_t held = 0;
        for (int step = 0; step < 5; step++) {
            aiter_flash_attn_fwd_args a = dense(1 + n + step * (2 + n), 1, 4096, 8, 8, 128);
            aiteri_gpu_attention x;
            const int64_t before = fake.allocated;
            a.num_splits = 8;
            takes(&a, ctx, "combine", "more scratch");
            memcpy(&x, last_launch(0)->args, sizeof x);
            CHECK(x.split.o >> 32 == (0x300000000000u >> 32) + (uint64_t)fake.allocated - 1,
                  "an older block");
            CHECK(x.split.o % 256 == 0, "not aligned");
            if (fake.allocated == before) continue;
            CHECK(fake.block[before] >= 2 * held, "%d after %d bytes", (int)fake.block[before],
                  (int)held);
            held = fake.block[before];
        }
        close_context(ctx);
        aiter_context_desc d = (fake_reset(), fake_desc(device));
        aiter_flash_attn_fwd_args a = dense(1, 1 + n, 4096, 8, 8, 128);
        d.arena_bytes = 4096 + (size_t)n;
        CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
        for (a.num_splits = 3; a.num_splits < 6; a.num_splits++)
            CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_WORKSPACE_TOO_SMALL &&
                      strstr(aiter_context_error(ctx), "arena_bytes"),
                  "a fixed arena: %s", aiter_context_error(ctx));
        CHECK(fake.allocated == 1, "%d blocks beside a fixed arena", (int)fake.allocated - 1);
        close_context(ctx);
    }
}

/* More threads than a launch takes. */
static void too_many(aiter_device device)
{
    aiter_context *ctx = device_context(device);
    for (int n = 0; n < 12; n++) {
        aiter_flash_attn_fwd_args a = dense(520 + n, 1, 4, 65535, 1, 128);
        const int launches = fake.launches;
        CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_UNSUPPORTED &&
                  strstr(aiter_context_error(ctx), "workgroups"),
              "%s", aiter_context_error(ctx));
        CHECK(fake.launches == launches, "launched all the same");
    }
    close_context(ctx);
}

/* What has no kernel is refused by the run, the workspace query and the plan alike. */
static void no_kernel(aiter_device device)
{
    aiter_context *ctx = device_context(device);
    for (int n = 0; n < 12; n++) {
        aiter_flash_attn_fwd_args a = typed(dense(1, 4 + n, 4, 4, 4, 128), AITER_F32);
        aiter_paged_attn_decode_args d = decode(2, 1, 8, 2, AITER_BF16);
        int32_t lengths[2] = {100, 20};
        aiter_plan plan;
        size_t bytes = 7;
        memset(&plan, 0, sizeof plan);
        CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_NO_KERNEL, "f32 runs");
        CHECK(aiter_flash_attn_fwd_workspace(&a, ctx, &bytes) == AITER_NO_KERNEL && bytes == 7,
              "f32 has a workspace of %zu bytes", bytes);
        d.q.shape[3] = d.kv.k.shape[3] = d.kv.v.shape[3] = d.out.shape[3] = 257 + n;
        d.kv.seq_lens.data = lengths;
        CHECK(aiter_paged_attn_decode_plan(&d, ctx, &plan) == AITER_NO_KERNEL && plan.bytes == 0,
              "heads of %d have a plan of %zu bytes", 257 + n, plan.bytes);
        CHECK(strstr(aiter_context_error(ctx), "it has: "), "%s", aiter_context_error(ctx));
    }
    close_context(ctx);
}

/* Pieces are not known before the lengths are: the workspace holds the most that a call of these
 * shapes, or smaller ones, can take, and what a run takes is never more. */
static void unknown_pieces(aiter_device device)
{
    aiter_context *ctx = device_context(device);
    for (int n = 1; n <= 12; n++) {
        aiter_flash_attn_fwd_args a = dense(n % 3 + 1, n, 3000 * n, 4, 4, 128);
        aiter_paged_attn_decode_args d = decode(n, 1, 8, 2, AITER_BF16);
        aiteri_gpu_attention x;
        size_t flash = 0, paged = 0;
        a.num_splits = d.num_splits = 0;
        CHECK(aiter_flash_attn_fwd_workspace(&a, ctx, &flash) == AITER_OK &&
                  aiter_paged_attn_decode_workspace(&d, ctx, &paged) == AITER_OK,
              "%s", aiter_context_error(ctx));
        for (int sq = 1; sq <= n; sq++) { /* smaller calls */
            a.q.shape[1] = a.out.shape[1] = sq;
            CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
            memcpy(&x, last_launch(strstr(last_launch(0)->symbol, "combine") ? 1 : 0)->args,
                   sizeof x);
            const size_t used = x.split.count < 2 ? 0
                                                  : (size_t)x.split.count * (size_t)a.q.shape[0] *
                                                        (size_t)sq * 4 * (128 + 2) * 4;
            CHECK(used <= flash, "%d rows: %zu bytes of %zu", sq, used, flash);
        }
        CHECK(paged > 0, "no bytes for pieces of pages");
    }
    close_context(ctx);
}

/* ---- merges ---- */

static void merges(aiter_device device)
{
    aiter_context *ctx = device_context(device);
    for (int n = 1; n <= 12; n++) {
        aiter_merge_attn_states_args a;
        memset(&a, 0, sizeof a);
        a.out_a = a.out_b = a.out = aiter_tensor_3d(AT(1), AITER_BF16, 4 * n + 1, 3, 128);
        a.out_b.data = AT(2);
        a.out.data = AT(3);
        a.lse_a = a.lse_b = a.lse = aiter_tensor_2d(AT(4), AITER_F32, 3, 4 * n + 1);
        a.lse_b.data = AT(5);
        a.lse.data = AT(6);
        CHECK(aiter_merge_attn_states(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
        const int rows = row_of(last_launch(0), arch_of(device))->rows;
        check_geometry(last_launch(0), device, (3 * (4 * n + 1) + rows - 1) / rows);
        const int launches = fake.launches;
        const int64_t tokens = ((int64_t)INT32_MAX + n + 1) / 2; /* of two heads: 2^31 rows on */
        a.out_a.shape[0] = a.out_b.shape[0] = a.out.shape[0] = tokens;
        a.out_a.shape[1] = a.out_b.shape[1] = a.out.shape[1] = 2;
        a.lse_a.shape[1] = a.lse_b.shape[1] = a.lse.shape[1] = tokens;
        a.lse_a.shape[0] = a.lse_b.shape[0] = a.lse.shape[0] = 2;
        a.out_b.data = (char *)AT(1) + ((int64_t)1 << 42);
        a.out.data = (char *)AT(1) + ((int64_t)2 << 42);
        a.lse_a.data = (char *)AT(1) + ((int64_t)3 << 42);
        a.lse_b.data = (char *)AT(1) + ((int64_t)4 << 42);
        a.lse.data = (char *)AT(1) + ((int64_t)5 << 42);
        CHECK(aiter_merge_attn_states(&a, ctx) == AITER_UNSUPPORTED, "2^31 rows: %s",
              aiter_context_error(ctx));
        CHECK(fake.launches == launches, "launched all the same");
    }
    close_context(ctx);
}

/* ---- plans ---- */

/* All works are copied, and no more workgroups run than the plan's memory has works. */
static void plans(aiter_device device)
{
    static int64_t buffer[4000];
    aiter_context *ctx = device_context(device);
    for (int n = 1; n <= 12; n++) {
        int32_t lengths[3] = {80 * n, 7 * n, 0};
        aiter_paged_attn_decode_args a, host;
        aiter_plan plan;
        memset(&plan, 0, sizeof plan);
        memset(&a, 0, sizeof a);
        a.q = a.out = aiter_tensor_3d(AT(1), AITER_BF16, 3, 8, 128);
        a.out.data = AT(4);
        a.kv.k = a.kv.v = aiter_tensor_4d(AT(2), AITER_BF16, 1000, 16, 2, 128);
        a.kv.v.data = AT(3);
        a.kv.block_table = aiter_tensor_2d(AT(5), AITER_I32, 3, 64);
        a.kv.seq_lens = aiter_tensor_1d(AT(6), AITER_I32, 3);
        a.num_splits = 4;
        host = a;
        host.kv.seq_lens.data = lengths;
        CHECK(aiter_paged_attn_decode_plan(&host, ctx, &plan) == AITER_OK, "%s",
              aiter_context_error(ctx));
        CHECK(plan.bytes <= sizeof buffer, "%zu bytes", plan.bytes);
        plan.data = buffer;
        plan.device = AT(9);
        CHECK(aiter_paged_attn_decode_plan(&host, ctx, &plan) == AITER_OK, "%s",
              aiter_context_error(ctx));
        const size_t works =
            (size_t)((const char *)(plan.work_info + 8 * plan.num_works) - (const char *)plan.data);
        CHECK(fake.copied >= works && fake.copied <= plan.bytes, "%zu bytes of %zu are copied",
              fake.copied, works);
        a.call.plan = &plan;
        CHECK(aiter_paged_attn_decode(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
        CHECK(last_launch(1)->grid[0] <= plan.bytes / 32 &&
                  (int)last_launch(1)->grid[0] >= plan.num_works,
              "%u workgroups for %d works in %zu bytes", last_launch(1)->grid[0],
              (int)plan.num_works, plan.bytes);
        a.kv.max_seqlen = 500; /* other pieces: another plan */
        a.num_splits = 4;
        CHECK(aiter_paged_attn_decode(&a, ctx) == AITER_INVALID_ARGUMENT, "a plan of other pieces");
    }
    close_context(ctx);
}

/* ---- modules and files ---- */

static void modules(aiter_device device)
{
    for (int n = 0; n < 12; n++) {
        aiter_context *ctx = device_context(device);
        aiter_flash_attn_fwd_args a = typed(dense(1, 4, 4, 4, 4, 128), types[n & 1]);
        static const size_t sizes[12] = {1, 2, 3, 4, 5, 6, 7, 9, 12, 16, 32, 64};
        fake.hash_bytes = sizes[n];
        CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_NO_KERNEL, "a hash of %zu bytes", sizes[n]);
        fake.hash_bytes = 0;
        takes(&a, ctx, "flash_fwd", "a hash of 8 bytes");
        close_context(ctx);
    }
    if (device != AITER_DEVICE_CUDA) return;
    for (int n = 0; n < 12; n++) {
        aiter_context *ctx = NULL;
        aiter_context_desc d = (fake_reset(), fake_desc(device));
        aiter_flash_attn_fwd_args a = typed(dense(1, 4, 4000, 4, 4, 128), types[n & 1]);
        fake.major = 8 + n % 3;
        a.score.mask = n < 6 ? AITER_MASK_NONE : AITER_MASK_CAUSAL;
        CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
        takes(&a, ctx, "_plain", "plain");
        CHECK(fake.dynamic_shared == (n % 3 == 1 ? 163872 : 98304), "%d bytes of shared memory",
              fake.dynamic_shared);
        a.num_splits = 4; /* a unit, a file */
        takes(&a, ctx, "combine", "a merge");
        CHECK(strstr(fake.module[fake.modules - 1].file, "combine_any_any_0_128"), "%s",
              fake.module[fake.modules - 1].file);
        a = typed(dense(1, 4, 40, 4, 4, 64), types[n & 1]);
        takes(&a, ctx, "64_64", "heads of 64");
        CHECK(strstr(fake.module[fake.modules - 1].file, "_64_64"), "%s",
              fake.module[fake.modules - 1].file);
        close_context(ctx);
    }
}

/* Nothing for this chip is linked in. */
static void not_linked_in(void)
{
    aiter_context *ctx = NULL;
    aiter_context_desc d = (fake_reset(), fake_desc(AITER_DEVICE_HIP));
    const aiter_flash_attn_fwd_args a = dense(1, 4, 4, 4, 4, 128);
    fake.arch = "gfx90a";
    CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
    CHECK(
        aiter_flash_attn_fwd(&a, ctx) == AITER_NO_KERNEL &&
            strstr(aiter_context_error(ctx), "aiter_gfx90a.co is not among the kernels linked in"),
        "%s", aiter_context_error(ctx));
    close_context(ctx);
}

static void files(aiter_device device)
{
    char folder[] = "/tmp/aiter_test_XXXXXX", path[512];
    const aiter_flash_attn_fwd_args a = dense(1, 4, 4, 4, 4, 128);
    if (!CHECK(mkdtemp(folder) != NULL, "no folder")) return;
    snprintf(path, sizeof path, "%s/%s", folder,
             device == AITER_DEVICE_HIP ? "aiter_gfx942.co"
                                        : "aiter_flash_fwd_bf16_bf16_128_128_sm_90a.ptx");
    for (int n = 0; n < 12; n++) {
        aiter_context *ctx = NULL;
        aiter_context_desc d = (fake_reset(), fake_desc(device));
        char name[32];
        FILE *file = fopen(path, "wb");
        snprintf(name, sizeof name, "a file %.*s", n, "of many letters");
        if (file) fprintf(file, "code of %s", name), fclose(file);
        d.kernel_path = folder;
        CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
        cut_files = 1 + (size_t)n;
        CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_NO_KERNEL &&
                  strstr(aiter_context_error(ctx), "cannot be read"),
              "a file cut short: %s", aiter_context_error(ctx));
        cut_files = 0;
        takes(&a, ctx, "flash_fwd", "a file");
        CHECK(strcmp(fake.module[fake.modules - 1].file, name) == 0, "the text has no end: %s",
              fake.module[fake.modules - 1].file);
        close_context(ctx);
    }
    remove(path);
    rmdir(folder);
}

/* ---- streams and hooks ---- */

static int hooked[4];
static void *hook_alloc(void *user, size_t bytes, size_t align, aiter_memory kind)
{
    (void)user;
    (void)align;
    hooked[kind]++;
    return kind == AITER_MEMORY_HOST ? malloc(bytes) : AT(20 + hooked[kind]);
}
static void hook_free(void *user, void *data, size_t bytes, aiter_memory kind)
{
    (void)user;
    (void)bytes;
    hooked[kind]--;
    if (kind == AITER_MEMORY_HOST) free(data);
}

static void streams_and_hooks(aiter_device device)
{
    for (int n = 0; n < 12; n++) {
        aiter_context *ctx = NULL;
        aiter_context_desc d = (fake_reset(), fake_desc(device));
        const aiter_flash_attn_fwd_args a = dense(1, 4 + n, 4, 4, 4, 128);
        void *data = NULL;
        d.stream = (void *)(uintptr_t)(0x1000 + 16 * n);
        d.alloc = hook_alloc;
        d.free = hook_free;
        CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
        takes(&a, ctx, "flash_fwd", "a stream");
        CHECK(last_launch(0)->stream == d.stream, "on another stream");
        CHECK(aiter_memory_alloc(ctx, AITER_MEMORY_DEVICE, 100, &data) == AITER_OK, "%s",
              aiter_context_error(ctx));
        CHECK(hooked[AITER_MEMORY_DEVICE] == 1 && fake.allocated == 0, "not the hook's memory");
        CHECK(aiter_memory_free(ctx, AITER_MEMORY_DEVICE, data, 100) == AITER_OK &&
                  hooked[AITER_MEMORY_DEVICE] == 0,
              "not given back");
        close_context(ctx);
    }
    CHECK(hooked[AITER_MEMORY_HOST] == 0, "host memory of the hooks is left");
}

int main(void)
{
    test_begin("gpu_choice", 1);
    for (int i = AITER_DEVICE_HIP; i <= AITER_DEVICE_CUDA; i++) {
        const aiter_device device = (aiter_device)i;
        plain_or_general(device);
        far_scales(device);
        other_choices(device);
        strides_with_gaps(device);
        pieces(device);
        growing(device);
        too_many(device);
        no_kernel(device);
        unknown_pieces(device);
        merges(device);
        plans(device);
        modules(device);
        files(device);
        streams_and_hooks(device);
    }
    not_linked_in();
    return test_end();
}
