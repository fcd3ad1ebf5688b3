/* test_gpu_ops.c -- what paged decode, reshape_and_cache, merge and the short forms launch on a
 * device. The driver is gpu/fake_driver.h, nothing is computed. */
#include "gpu/device_calls.h"
#include "cache_mode.h"

/* Rows of up to 16 (heads of a group x tokens) have their own kernel, more are flash. */
static void decode_or_flash(aiter_device device, int batch)
{
    static const struct {
        int q_len, hq, hk;
        const char *op;
    } rows[] = {{1, 32, 8, "paged_decode"}, {4, 32, 8, "paged_decode"}, {5, 32, 8, "flash_fwd"},
                {1, 16, 1, "paged_decode"}, {1, 17, 1, "flash_fwd"},    {16, 3, 3, "paged_decode"},
                {17, 3, 3, "flash_fwd"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        aiter_context *ctx = device_context(device);
        aiteri_gpu_attention x;
        aiter_paged_attn_decode_args a =
            decode(batch, rows[i].q_len, rows[i].hq, rows[i].hk, AITER_BF16);
        CHECK(aiter_paged_attn_decode(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
        const fake_launch_record *r = last_launch(0);
        const int decodes = strcmp(rows[i].op, "paged_decode") == 0;
        const int height = row_of(r, arch_of(device))->rows;
        const int packed = decodes ? rows[i].q_len * rows[i].hq / rows[i].hk : rows[i].q_len;
        const int tiles = (packed + height - 1) / height;
        CHECK(strstr(r->symbol, rows[i].op), "%zu: %s", i, r->symbol);
        check_geometry(r, device, (int64_t)tiles * (decodes ? rows[i].hk : rows[i].hq) * batch);
        memcpy(&x, r->args, sizeof x);
        CHECK(x.tiles == tiles && x.mask.mask == AITER_MASK_CAUSAL, "%zu: tiles, mask", i);
        CHECK(x.q_lengths.seqlen == rows[i].q_len && x.q_lengths.most == rows[i].q_len &&
                  x.k_lengths.used == (uintptr_t)AT(6) && x.k_lengths.most == 1024,
              "%zu: lengths", i);
        close_context(ctx);
    }
}

static void decode_int8(aiter_device device, int hk)
{
    aiter_context *ctx = device_context(device);
    aiter_paged_attn_decode_args a = decode(3, 1, 4 * hk, hk, AITER_I8);
    aiteri_gpu_attention x;
    CHECK(aiter_paged_attn_decode(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    CHECK(strstr(last_launch(0)->symbol, "paged_decode_bf16_i8_bf16"), "%s",
          last_launch(0)->symbol);
    memcpy(&x, last_launch(0)->args, sizeof x);
    CHECK(x.k.scales == (uintptr_t)AT(7) && x.k.scale_stride_outer == 16 * hk &&
              x.k.scale_stride_token == hk && x.k.scale_stride_head == 1,
          "scales of k");
    CHECK(x.v.scales == (uintptr_t)AT(8) && x.v.scale_stride_outer == 0 &&
              x.v.scale_stride_token == 0 && x.v.scale_stride_head == (hk > 1),
          "scales of v");
    close_context(ctx);
}

static void decode_splits(aiter_device device, int b)
{
    aiter_context *ctx = device_context(device);
    aiter_paged_attn_decode_args a = decode(b, 1, 32, 8, AITER_BF16);
    aiteri_gpu_attention x;
    a.num_splits = 0;
    a.q = aiter_tensor_3d(AT(1), AITER_BF16, b, 32, 128);
    a.out = aiter_tensor_3d(AT(4), AITER_BF16, b, 32, 128);
    a.lse = aiter_tensor_2d(AT(9), AITER_F32, 32, b);
    CHECK(aiter_paged_attn_decode(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    CHECK(fake.launches == 2 && strstr(last_launch(0)->symbol, "combine"), "no combine");
    memcpy(&x, last_launch(0)->args, sizeof x);
    CHECK(x.split.count == 4 && x.split.rows == 32 * b, "%d splits", x.split.count);
    CHECK(x.lse_stride_batch == 1 && x.lse_stride_head == b && x.lse_stride_token == 0, "lse");
    close_context(ctx);
}

/* A plan's works go to its device memory, the launch has room for as many as that holds. */
static void decode_plan(aiter_device device, int n)
{
    static int64_t buffer[600];
    int32_t lengths[2] = {1000 + n, 0};
    aiter_context *ctx = device_context(device);
    aiter_paged_attn_decode_args a = decode(2, 1, 32, 8, AITER_BF16), host;
    aiter_plan plan;
    aiteri_gpu_attention x;
    memset(&plan, 0, sizeof plan);
    a.num_splits = 8;
    host = a;
    host.kv.seq_lens.data = lengths;
    CHECK(aiter_paged_attn_decode_plan(&host, ctx, &plan) == AITER_OK, "%s",
          aiter_context_error(ctx));
    CHECK(plan.bytes > 0 && plan.bytes + 64 < sizeof buffer, "%zu bytes", plan.bytes);
    const size_t need = plan.bytes;
    plan.data = buffer;
    CHECK(aiter_paged_attn_decode_plan(&host, ctx, &plan) == AITER_INVALID_ARGUMENT, "no device");
    plan.device = AT(9 + n);
    plan.bytes = need - 1;
    CHECK(aiter_paged_attn_decode_plan(&host, ctx, &plan) == AITER_WORKSPACE_TOO_SMALL, "small");
    plan.bytes = need + 64;
    const int copies = fake.calls[FAKE_hip_copy_in] + fake.calls[FAKE_cuda_copy_in];
    CHECK(aiter_paged_attn_decode_plan(&host, ctx, &plan) == AITER_OK, "%s",
          aiter_context_error(ctx));
    CHECK(fake.calls[FAKE_hip_copy_in] + fake.calls[FAKE_cuda_copy_in] == copies + 1, "no copy");
    /* 1000 and some of at most 1024 keys in 8 pieces for each kv head; the empty sequence's rows
     * once. */
    CHECK(plan.num_workers == 1 && plan.num_works == 8 * 8 + 8, "%d works", (int)plan.num_works);
    a.call.plan = &plan;
    CHECK(aiter_paged_attn_decode(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    const fake_launch_record *r = last_launch(1);
    memcpy(&x, r->args, sizeof x);
    CHECK(r->grid[0] >= 72 && r->grid[0] <= 128, "%u workgroups", r->grid[0]);
    CHECK(x.work.list == (uintptr_t)AT(9 + n) + ((uintptr_t)plan.work_indptr - (uintptr_t)buffer),
          "the list");
    a.num_splits = n < 7 ? n : 4;
    CHECK(aiter_paged_attn_decode(&a, ctx) == AITER_INVALID_ARGUMENT, "made for other splits");
    fake.capturing = 1;
    CHECK(aiter_paged_attn_decode_plan(&host, ctx, &plan) == AITER_UNSUPPORTED, "captured");
    fake.capturing = 0;
    host = decode(2, 4 + n, 32, 8, AITER_BF16);
    host.kv.seq_lens.data = lengths;
    CHECK(aiter_paged_attn_decode_plan(&host, ctx, &plan) == AITER_UNSUPPORTED &&
              strstr(aiter_context_error(ctx), "flash_fwd"),
          "%s", aiter_context_error(ctx));
    close_context(ctx);
}

/* ---- reshape_and_cache ---- */

static aiter_reshape_and_cache_args cache(aiter_dtype src, aiter_dtype dst, cache_mode quant, int n)
{
    aiter_reshape_and_cache_args a;
    memset(&a, 0, sizeof a);
    a.k = aiter_tensor_3d(AT(1), src, 6 + n, 4, 128);
    a.v = aiter_tensor_3d(AT(2), src, 6 + n, 4, 8 * n);
    a.kv.k = aiter_tensor_4d(AT(3), dst, 50 * n, 16, 4, 128);
    a.kv.v = aiter_tensor_4d(AT(4), dst, 50 * n, 16, 4, 8 * n);
    a.slot_mapping = aiter_tensor_1d(AT(5), n % 2 ? AITER_I64 : AITER_I32, 6 + n);
    a.quantisation = cache_quantisation(quant);
    if (quant == CACHE_SCALE_GIVEN) {
        a.kv.k_scale = aiter_tensor_1d(AT(6), AITER_F32, 1);
        a.kv.v_scale = aiter_tensor_1d(AT(7), AITER_F32, 4);
    } else if (quant == CACHE_SCALE_COMPUTED) {
        a.kv.k_scale = aiter_tensor_3d(AT(6), AITER_F32, 50 * n, 16, 4);
        a.kv.v_scale = aiter_tensor_3d(AT(7), AITER_F32, 50 * n, 16, 4);
    }
    return a;
}

static void reshape_and_cache(aiter_device device, int n)
{
    aiter_context *ctx = device_context(device);
    aiteri_gpu_reshape_and_cache x;
    size_t bytes = 1;
    aiter_reshape_and_cache_args a = cache(AITER_BF16, AITER_BF16, CACHE_CONVERTS, n);
    CHECK(aiter_reshape_and_cache_workspace(&a, ctx, &bytes) == AITER_OK && bytes == 0,
          "workspace %zu", bytes);
    CHECK(aiter_reshape_and_cache(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    CHECK(strstr(last_launch(0)->symbol, "reshape_and_cache_bf16_any"), "%s",
          last_launch(0)->symbol);
    check_geometry(last_launch(0), device, 6 + n);
    memcpy(&x, last_launch(0)->args, sizeof x);
    CHECK(x.k.src == (uintptr_t)AT(1) && x.k.cache == (uintptr_t)AT(3) && x.k.scale == 0 &&
              x.k.src_stride_token == 512 && x.k.src_stride_head == 128 &&
              x.k.cache_stride_block == 8192 && x.k.cache_stride_token == 512 &&
              x.k.cache_stride_head == 128 && x.k.dim == 128,
          "k");
    CHECK(x.v.src == (uintptr_t)AT(2) && x.v.dim == 8 * n && x.v.src_stride_token == 32 * n, "v");
    CHECK(x.slot_mapping == (uintptr_t)AT(5) && x.slot_stride == 1 && x.tokens == 6 + n &&
              x.slots == 800 * n && x.heads == 4 && x.page_size == 16 &&
              x.slot_bits == (n % 2 ? 64 : 32) && x.quant == CACHE_CONVERTS,
          "slots");
    a = cache(AITER_F16, AITER_I8, CACHE_SCALE_GIVEN, n);
    CHECK(aiter_reshape_and_cache(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    memcpy(&x, last_launch(0)->args, sizeof x);
    CHECK(x.k.scale == (uintptr_t)AT(6) && x.k.scale_stride_head == 0 &&
              x.v.scale_stride_head == 1 && x.v.scale_stride_block == 0 && x.quant == 1,
          "given scales");
    a = cache(AITER_F32, AITER_I8, CACHE_SCALE_COMPUTED, n);
    CHECK(aiter_reshape_and_cache(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    memcpy(&x, last_launch(0)->args, sizeof x);
    CHECK(x.k.scale_stride_block == 64 && x.k.scale_stride_token == 4 &&
              x.k.scale_stride_head == 1 && x.quant == 2,
          "computed scales");
    a = cache(AITER_F16, AITER_F8_E5M2, CACHE_CONVERTS, n);
    a.k.stride[0] = 1024, a.k.stride[1] = 256, a.k.stride[2] = 2;
    a.kv.layout = AITER_KV_SHUFFLED;
    a.kv.k = aiter_tensor_5d(AT(3), AITER_F8_E5M2, 50 * n, 4, 8, 16, 16);
    a.kv.v = aiter_tensor_5d(AT(4), AITER_F8_E5M2, 50 * n, 4, 2, 8 * n, 8);
    CHECK(aiter_reshape_and_cache(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    memcpy(&x, last_launch(0)->args, sizeof x);
    CHECK(x.k.src_stride_dim == 2 && x.k.piece == 16 && x.k.cache_stride_piece == 256 &&
              x.k.cache_stride_token == 16 && x.k.cache_stride_dim == 1 && x.k.bundle == 0 &&
              x.v.bundle == 8 && x.v.cache_stride_bundle == 64 * n && x.v.piece == 0 &&
              x.v.cache_stride_token == 1 && x.v.cache_stride_dim == 8 &&
              x.cache_dtype == AITER_F8_E5M2 && x.largest == 57344.0f && x.page_size == 16,
          "tiles");
    const int launches = fake.launches;
    a = cache(AITER_BF16, AITER_BF16, CACHE_CONVERTS, n);
    a.k.shape[0] = a.v.shape[0] = a.slot_mapping.shape[0] = 0;
    CHECK(aiter_reshape_and_cache(&a, ctx) == AITER_OK && fake.launches == launches, "no tokens");
    close_context(ctx);
}

/* ---- swap_blocks and copy_blocks ---- */

static aiteri_gpu_copy_blocks copied(int back)
{
    aiteri_gpu_copy_blocks x;
    memcpy(&x, last_launch(back)->args, sizeof x);
    return x;
}

/* A launch for each cache, by units that everything is a multiple of. */
static void blocks(aiter_device device, int n)
{
    aiter_context *ctx = device_context(device);
    const aiter_tensor caches[2] = {aiter_tensor_4d(AT(1), AITER_BF16, 40, 16, 4, 128),
                                    aiter_tensor_2d(AT(2), AITER_F32, 40, 3)};
    aiter_copy_blocks_args a;
    aiter_swap_blocks_args s;
    size_t bytes = 1;
    char text[2000];
    memset(&a, 0, sizeof a);
    memset(&s, 0, sizeof s);
    a.caches = caches, a.num_caches = 2;
    a.mapping = aiter_tensor_2d(AT(3), n % 2 ? AITER_I64 : AITER_I32, n, 2);
    CHECK(aiter_copy_blocks_workspace(&a, ctx, &bytes) == AITER_OK && bytes == 0, "%zu", bytes);
    CHECK(aiter_copy_blocks_explain(&a, ctx, text, sizeof text) == AITER_OK &&
              strstr(text, "kernel: aiteri_copy_blocks_any_any_any_0_0_general"),
          "%s", text);
    const int launches = fake.launches;
    CHECK(aiter_copy_blocks(&a, ctx) == AITER_OK && fake.launches == launches + 2, "%s",
          aiter_context_error(ctx));
    const aiteri_gpu_copy_blocks pages = copied(1), scales = copied(0);
    CHECK(pages.src == (uintptr_t)AT(1) && pages.dst == pages.src && pages.unit == 16 &&
              pages.units == 1024 && pages.dims == 0 && pages.src_stride_block == 16384 &&
              pages.dst_stride_block == 16384 && pages.src_blocks == 40 &&
              pages.mapping == (uintptr_t)AT(3) && pages.mapping_stride_pair == 2 &&
              pages.mapping_stride_side == 1 && pages.mapping_bits == (n % 2 ? 64 : 32),
          "pages: unit %d, units %d", (int)pages.unit, (int)pages.units);
    check_geometry(last_launch(1), device, n * pages.parts);
    CHECK(scales.src == (uintptr_t)AT(2) && scales.unit == 4 && scales.units == 3 &&
              scales.parts == 1,
          "scales");
    s.src = aiter_tensor_4d(AT(4), AITER_I8, 7, 16, 4, 32);
    s.dst = aiter_tensor_4d(AT(5), AITER_I8, 9, 16, 4, 32);
    s.dst.stride[0] = 16 * 4 * 40, s.dst.stride[1] = 40, s.dst.stride[2] = 16 * 40;
    s.dst.stride[3] = 1;
    s.mapping = a.mapping;
    CHECK(aiter_swap_blocks(&s, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    const aiteri_gpu_copy_blocks x = copied(0);
    CHECK(x.src == (uintptr_t)AT(4) && x.dst == (uintptr_t)AT(5) && x.src_blocks == 7 &&
              x.dst_blocks == 9 && x.unit == 8 && x.units_in_piece == 4 && x.units == 256 &&
              x.dims == 2 && x.shape[0] == 4 && x.to[0] == 640 && x.from[0] == 32 &&
              x.shape[1] == 16 && x.to[1] == 40 && x.from[1] == 128,
          "swap: unit %d, dims %d", (int)x.unit, (int)x.dims);
    a.mapping.shape[0] = 0;
    CHECK(aiter_copy_blocks(&a, ctx) == AITER_OK && fake.launches == launches + 3, "no pairs");
    close_context(ctx);
}

/* ---- merge ---- */

static void merge(aiter_device device, int n)
{
    aiter_context *ctx = device_context(device);
    aiter_merge_attn_states_args a;
    aiteri_gpu_merge x;
    memset(&a, 0, sizeof a);
    a.out_a = aiter_tensor_3d(AT(1), AITER_BF16, 10, 6, 128);
    a.out_b = aiter_tensor_3d(AT(2), AITER_BF16, 10, 6, 128);
    a.out = a.out_a; /* in place */
    a.lse_a = aiter_tensor_2d(AT(3), AITER_F32, 6, 10);
    a.lse_b = aiter_tensor_2d(AT(4), AITER_F32, 6, 10);
    CHECK(aiter_merge_attn_states(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    check_geometry(last_launch(0), device, 60 / row_of(last_launch(0), arch_of(device))->rows);
    memcpy(&x, last_launch(0)->args, sizeof x);
    CHECK(x.a.data == (uintptr_t)AT(1) && x.b.data == (uintptr_t)AT(2) && x.out.data == x.a.data &&
              x.a.stride_token == 768 && x.a.stride_head == 128,
          "rows");
    CHECK(x.lse_a == (uintptr_t)AT(3) && x.lse_b == (uintptr_t)AT(4) && x.lse == 0 &&
              x.lse_a_stride_head == 10 && x.lse_a_stride_token == 1,
          "lse");
    CHECK(x.tokens == 10 && x.heads == 6 && x.dim == 128, "extents");

    /* [B, S, H, D] goes row by row of the batch. */
    const int launches = fake.launches;
    a.out_a = a.out_b = aiter_tensor_4d(AT(1), AITER_F16, 2 + n, 5, 6, 64);
    a.out_b.data = AT(2);
    a.out = a.out_a;
    a.out.data = AT(5);
    a.lse_a = a.lse_b = a.lse = aiter_tensor_3d(AT(3), AITER_F32, 2 + n, 6, 5);
    a.lse_b.data = AT(4);
    a.lse.data = AT(6);
    CHECK(aiter_merge_attn_states(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    CHECK(fake.launches == launches + 2 + n, "%d launches", fake.launches - launches);
    memcpy(&x, last_launch(0)->args, sizeof x);
    CHECK(x.a.data == (uintptr_t)AT(1) + (1u + (unsigned)n) * 5 * 6 * 64 * 2 &&
              x.out.data == (uintptr_t)AT(5) + (1u + (unsigned)n) * 5 * 6 * 64 * 2 &&
              x.lse == (uintptr_t)AT(6) + (1u + (unsigned)n) * 30 * 4 && x.lse_stride_head == 5 &&
              x.tokens == 5,
          "the last row of the batch");
    a.out.dtype = AITER_F32;
    CHECK(aiter_merge_attn_states(&a, ctx) == AITER_NO_KERNEL, "%s", aiter_context_error(ctx));
    close_context(ctx);
}

/* ---- the other names of attention ---- */

static void short_forms(aiter_device device)
{
    aiter_context *ctx = device_context(device);
    aiter_grouped_query_attention_args g;
    aiter_variable_length_attention_args v;
    aiter_decode_attention_args d;
    memset(&g, 0, sizeof g);
    g.q = g.out = aiter_tensor_4d(AT(1), AITER_BF16, 2, 5, 8, 128);
    g.out.data = AT(2);
    g.kv.k = g.kv.v = aiter_tensor_4d(AT(3), AITER_BF16, 2, 9, 2, 128);
    g.kv.v.data = AT(4);
    CHECK(aiter_grouped_query_attention(&g, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    memset(&v, 0, sizeof v);
    v.q = v.out = aiter_tensor_3d(AT(1), AITER_BF16, 20, 8, 128);
    v.out.data = AT(2);
    v.kv.k = v.kv.v = aiter_tensor_3d(AT(3), AITER_BF16, 30, 8, 128);
    v.kv.v.data = AT(4);
    v.cu_seqlens_q = v.kv.cu_seqlens = aiter_tensor_1d(AT(5), AITER_I32, 4);
    CHECK(aiter_variable_length_attention(&v, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    CHECK(fake.launches >= 2, "%d launches", fake.launches);
    memset(&d, 0, sizeof d);
    d.q = aiter_tensor_2d(AT(1), AITER_BF16, 128, 1);
    d.kv.k = d.kv.v = aiter_tensor_2d(AT(2), AITER_BF16, 128, 64);
    d.kv.v.data = AT(3);
    d.out = aiter_tensor_2d(AT(4), AITER_BF16, 1, 128);
    CHECK(aiter_decode_attention(&d, ctx) == AITER_UNSUPPORTED, "keys in columns: %s",
          aiter_context_error(ctx));
    close_context(ctx);
}

/* Device memory, too, is compared by its addresses before anything is launched. */
static void overlaps(aiter_device device)
{
    aiter_context *ctx = device_context(device);
    aiter_flash_attn_fwd_args a = dense(2, 8, 96, 8, 2, 128);
    void *const over[] = {a.q.data, a.kv.k.data, a.kv.v.data, a.out.data};
    const int launches = fake.launches;
    for (size_t i = 0; i < sizeof over / sizeof over[0]; i++) {
        a.call.workspace = over[i];
        a.call.workspace_bytes = 1 << 16;
        CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_INVALID_ARGUMENT &&
                  strstr(aiter_context_error(ctx), "workspace"),
              "a workspace over operand %d: %s", (int)i, aiter_context_error(ctx));
    }
    a.call.workspace = NULL;
    a.out.data = a.q.data;
    CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_INVALID_ARGUMENT, "out over q");
    CHECK(fake.launches == launches, "a refused call was launched");
    close_context(ctx);
}

int main(void)
{
    test_begin("gpu_ops", 1);
    for (int i = AITER_DEVICE_HIP; i <= AITER_DEVICE_CUDA; i++) {
        const aiter_device device = (aiter_device)i;
        for (int n = 1; n <= 6; n++) {
            decode_or_flash(device, n);
            decode_int8(device, n);
            decode_splits(device, n % 2 + 1);
            decode_plan(device, n);
            reshape_and_cache(device, n);
            blocks(device, n);
            merge(device, n);
        }
        overlaps(device);
        short_forms(device);
    }
    return test_end();
}
