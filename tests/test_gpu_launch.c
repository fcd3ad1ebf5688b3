/* test_gpu_launch.c -- what a device context launches: kernels, grids, arguments, memory, and what
 * happens when a driver call fails. The driver is gpu/fake_driver.h, nothing is computed. */
#include "gpu/device_calls.h"

/* ---- flash ---- */

static void dense_flash(aiter_device device, int n)
{
    aiter_context *ctx = device_context(device);
    const int sq = 300 + n, sk = 500 + 3 * n;
    aiter_flash_attn_fwd_args a = dense(1 + n, sq, sk, 8, 2, 128);
    aiteri_gpu_attention x;
    a.score.mask = AITER_MASK_CAUSAL;
    a.lse = aiter_tensor_3d(AT(5), AITER_F32, 1 + n, 8, sq);
    CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    CHECK(fake.launches == 1, "%d launches", fake.launches);
    const fake_launch_record *r = last_launch(0);
    const int rows = row_of(r, arch_of(device))->rows, tiles = (sq + rows - 1) / rows;
    CHECK(strncmp(r->symbol, "aiteri_flash_fwd_bf16_bf16_bf16_128_128_", 40) == 0, "%s", r->symbol);
    check_geometry(r, device, (int64_t)tiles * 8 * (1 + n));
    memcpy(&x, r->args, sizeof x);
    CHECK(x.q.data == (uintptr_t)AT(1) && x.q.stride_batch == sq * 1024 &&
              x.q.stride_token == 1024 && x.q.stride_head == 128,
          "q");
    CHECK(x.k.data == (uintptr_t)AT(2) && x.k.stride_outer == sk * 256 && x.k.stride_token == 256 &&
              x.k.stride_head == 128 && x.k.scales == 0,
          "k");
    CHECK(x.v.data == (uintptr_t)AT(3) && x.v.stride_outer == sk * 256 && x.v.stride_token == 256,
          "v");
    CHECK(x.out.data == (uintptr_t)AT(4) && x.out.stride_batch == sq * 1024, "out");
    CHECK(x.lse == (uintptr_t)AT(5) && x.lse_stride_batch == 8 * sq && x.lse_stride_head == sq &&
              x.lse_stride_token == 1,
          "lse");
    CHECK(x.q_lengths.cu == 0 && x.q_lengths.used == 0 && x.q_lengths.seqlen == sq &&
              x.q_lengths.most == sq && x.k_lengths.seqlen == sk && x.k_lengths.most == sk,
          "lengths");
    CHECK(x.pages.table == 0 && x.mask.mask == AITER_MASK_CAUSAL, "pages, mask");
    CHECK(x.score.softmax_scale > 0.088388f && x.score.softmax_scale < 0.088389f, "scale");
    CHECK(x.split.count == 1 && x.split.o == 0 && x.split.rows == (1 + n) * 8 * sq &&
              x.split.split_keys >= sk,
          "split");
    CHECK(x.batch == 1 + n && x.heads_q == 8 && x.heads_k == 2 && x.group == 4, "heads");
    CHECK(x.dim_q == 128 && x.dim_v == 128 && x.tiles == tiles, "sizes");
    CHECK(x.xcds == (device == AITER_DEVICE_HIP ? 8 : 1), "%d dies", x.xcds);
    CHECK(fake.allocated == 0, "memory for no splits");
    close_context(ctx);
}

static void options_reach_the_kernel(aiter_device device, int n)
{
    aiter_context *ctx = device_context(device);
    aiter_flash_attn_fwd_args a = dense(2, 8, 96, 8, 2, 128);
    aiteri_gpu_attention x;
    a.score.mask = AITER_MASK_WINDOW;
    a.score.window_left = 7 + n;
    a.score.window_right = n % 2 ? -1 : n;
    a.score.sink_tokens = 3 * n;
    a.score.softcap = 30.0f + (float)n;
    a.score.softmax_scale = 0.5f * (float)n;
    a.score.alibi_slopes = aiter_tensor_2d(AT(5), AITER_F32, 2, 8);
    a.score.bias = aiter_tensor_4d(AT(6), AITER_F16, 2, 1, 8, 96);
    a.score.sinks = aiter_tensor_1d(AT(7), AITER_F32, 8);
    a.seqused_q = aiter_tensor_1d(AT(8), AITER_I32, 2);
    a.kv.seq_lens = aiter_tensor_1d(AT(9), AITER_I32, 2);
    a.max_seqlen_q = 5;
    a.kv.max_seqlen = 90 - n;
    CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    CHECK(strstr(last_launch(0)->symbol, "_general"), "%s", last_launch(0)->symbol);
    memcpy(&x, last_launch(0)->args, sizeof x);
    CHECK(x.mask.mask == AITER_MASK_WINDOW && x.mask.window_left == 7 + n &&
              x.mask.window_right == (n % 2 ? -1 : n) && x.mask.sink_tokens == 3 * n,
          "mask");
    CHECK(x.score.softcap == 30.0f + (float)n && x.score.softmax_scale == 0.5f * (float)n, "score");
    CHECK(x.score.alibi == (uintptr_t)AT(5) && x.score.alibi_stride_batch == 8 &&
              x.score.alibi_stride_head == 1,
          "alibi");
    CHECK(x.score.bias == (uintptr_t)AT(6) && x.score.bias_dtype == AITER_F16 &&
              x.score.bias_stride_batch == 768 && x.score.bias_stride_head == 0 &&
              x.score.bias_stride_token == 96 && x.score.bias_stride_key == 1,
          "bias");
    CHECK(x.score.sinks == (uintptr_t)AT(7) && x.score.sinks_stride == 1, "sinks");
    CHECK(x.q_lengths.used == (uintptr_t)AT(8) && x.q_lengths.most == 5 &&
              x.k_lengths.used == (uintptr_t)AT(9) && x.k_lengths.most == 90 - n,
          "lengths");
    a.score.bias = aiter_tensor_2d(AT(6), AITER_F16, 8, 89 - n);
    a.seqused_q.ndim = 0;
    a.max_seqlen_q = 0;
    CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_INVALID_ARGUMENT &&
              strstr(aiter_context_error(ctx), "bias"),
          "a bias of too few keys: %s", aiter_context_error(ctx));
    close_context(ctx);
}

static void paged_and_packed(aiter_device device, int n)
{
    aiter_context *ctx = device_context(device);
    aiter_flash_attn_fwd_args a = mixed();
    aiteri_gpu_attention x;
    a.kv.k.shape[0] = a.kv.v.shape[0] = 100 + n;
    a.kv.block_table.shape[1] = 3 + n;
    CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    CHECK(strstr(last_launch(0)->symbol, "flash_fwd"), "%s", last_launch(0)->symbol);
    memcpy(&x, last_launch(0)->args, sizeof x);
    CHECK(x.q.stride_batch == 0 && x.out.stride_batch == 0 && x.q.stride_token == 1024, "rows");
    CHECK(x.q_lengths.cu == (uintptr_t)AT(6) && x.q_lengths.cu_stride == 1 &&
              x.q_lengths.most == 40,
          "query lengths");
    CHECK(x.k_lengths.used == (uintptr_t)AT(7) && x.k_lengths.most == 48 + 16 * n, "key lengths");
    CHECK(x.pages.table == (uintptr_t)AT(8) && x.pages.stride_batch == 3 + n &&
              x.pages.stride_entry == 1 && x.pages.page_size == 16 &&
              x.pages.num_blocks == 100 + n && x.pages.entries == 3 + n,
          "pages");
    CHECK(x.lse_stride_batch == 0 && x.lse_stride_head == 40 && x.lse_stride_token == 1, "lse");
    close_context(ctx);
}

/* Lists of pages reach the kernel as they are; nobody reads them on the host. */
static void lists_of_pages(aiter_device device, int n)
{
    aiter_context *ctx = device_context(device);
    aiter_paged_attn_decode_args a = decode(2, 1 + n % 2 * 20, 8, 2, AITER_BF16);
    aiteri_gpu_attention x;
    memset(&a.kv.block_table, 0, sizeof a.kv.block_table);
    a.kv.indptr = aiter_tensor_1d(AT(9), AITER_I32, 3);
    a.kv.indices = aiter_tensor_1d(AT(10), AITER_I32, 20 + n);
    a.kv.indptr.stride[0] = 1 + n;
    a.kv.indices.stride[0] = 2 + n;
    CHECK(aiter_paged_attn_decode(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    memcpy(&x, last_launch(0)->args, sizeof x);
    CHECK(x.pages.table == (uintptr_t)AT(10) && x.pages.stride_batch == 0 &&
              x.pages.stride_entry == 2 + n && x.pages.entries == 20 + n &&
              x.pages.indptr == (uintptr_t)AT(9) && x.pages.stride_indptr == 1 + n &&
              x.pages.last_lens == 0 && x.k_lengths.used == (uintptr_t)AT(6),
          "lists");
    memset(&a.kv.seq_lens, 0, sizeof a.kv.seq_lens);
    a.kv.last_page_lens = aiter_tensor_1d(AT(11), AITER_I32, 2);
    a.kv.last_page_lens.stride[0] = 3 + n;
    CHECK(aiter_paged_attn_decode(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    memcpy(&x, last_launch(0)->args, sizeof x);
    CHECK(x.pages.last_lens == (uintptr_t)AT(11) && x.pages.stride_last == 3 + n &&
              x.k_lengths.used == 0 && x.k_lengths.most == (20 + n) * 16,
          "lists, by their last pages");
    close_context(ctx);
}

/* Pages of other orders reach the kernel by their strides, and are decoded whatever the rows. */
static void layouts_of_pages(aiter_device device, int n)
{
    aiter_context *ctx = device_context(device);
    aiter_paged_attn_decode_args a = decode(2, 1 + n % 2 * 20, 8, 2, AITER_BF16);
    aiteri_gpu_attention x;
    a.kv.layout = AITER_KV_X_PACKED;
    a.kv.k = aiter_tensor_5d(AT(2), AITER_BF16, 1000, 2, 16, 16 * n, 8);
    a.kv.v = aiter_tensor_4d(AT(3), AITER_BF16, 1000, 2, 128, 16 * n);
    CHECK(aiter_paged_attn_decode(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    CHECK(strstr(last_launch(0)->symbol, "paged_decode"), "%s", last_launch(0)->symbol);
    memcpy(&x, last_launch(0)->args, sizeof x);
    CHECK(x.k.piece == 8 && x.k.stride_piece == 128 * n && x.k.stride_dim == 1 &&
              x.k.stride_token == 8 && x.k.bundle == 0 && x.k.stride_head == 2048 * n,
          "x-packed k");
    CHECK(x.v.piece == 0 && x.v.bundle == 0 && x.v.stride_dim == 16 * n && x.v.stride_token == 1,
          "x-packed v");
    a.kv.layout = AITER_KV_SHUFFLED;
    a.kv.v = aiter_tensor_5d(AT(3), AITER_BF16, 1000, 2, 2 * n, 128, 8);
    CHECK(aiter_paged_attn_decode(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    memcpy(&x, last_launch(0)->args, sizeof x);
    CHECK(x.v.piece == 0 && x.v.bundle == 8 && x.v.stride_bundle == 1024 && x.v.stride_dim == 8 &&
              x.v.stride_token == 1,
          "shuffled v");
    close_context(ctx);
}

/* ---- splits ---- */

static void splits(aiter_device device, int n)
{
    aiter_context *ctx = device_context(device);
    const int heads = 3 + n, rows = heads; /* of one query each */
    aiter_flash_attn_fwd_args a = dense(1, 1, 4096, heads, heads, 128);
    aiteri_gpu_attention x, y;
    size_t need = 0;
    a.num_splits = 0;
    CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    CHECK(fake.launches == 2, "%d launches", fake.launches);
    memcpy(&x, last_launch(1)->args, sizeof x);
    memcpy(&y, last_launch(0)->args, sizeof y);
    CHECK(memcmp(&x, &y, sizeof x) == 0, "the two kernels have different arguments");
    const int step = row_of(last_launch(1), arch_of(device))->keys;
    const int64_t end = (int64_t)x.split.count * x.split.split_keys;
    CHECK(x.split.count > 1 && x.split.count <= 64, "%d splits", x.split.count);
    CHECK(x.split.split_keys % step == 0 && end >= 4096 && end - x.split.split_keys < 4096,
          "pieces of %d keys", (int)x.split.split_keys);
    CHECK(x.split.rows == rows &&
              x.split.ml - x.split.o == (uint64_t)x.split.count * (uint64_t)rows * 128 * 4,
          "partial results");
    check_geometry(last_launch(1), device, (int64_t)x.split.count * rows);
    check_geometry(last_launch(0), device,
                   (rows + row_of(last_launch(0), arch_of(device))->rows - 1) /
                       row_of(last_launch(0), arch_of(device))->rows);
    CHECK(strstr(last_launch(0)->symbol, "aiteri_combine_any_any_bf16_"), "%s",
          last_launch(0)->symbol);
    const int64_t used = (int64_t)x.split.count * rows * (128 + 2) * 4;
    CHECK(fake.live_blocks == 1 && fake.live_bytes >= used, "arena of %d", (int)fake.live_bytes);
    CHECK(aiter_flash_attn_fwd_workspace(&a, ctx, &need) == AITER_OK && (int64_t)need >= used,
          "workspace %zu", need);

    /* The caller's workspace, and one that is too small. */
    char *block = (char *)AT(10) + 8 * n;
    a.call.workspace = block;
    a.call.workspace_bytes = need;
    CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    memcpy(&x, last_launch(0)->args, sizeof x);
    CHECK(x.split.o >= (uintptr_t)block && x.split.o % 256 == 0 &&
              x.split.o + (uint64_t)used <= (uintptr_t)block + need,
          "not in the workspace");
    a.call.workspace_bytes = (size_t)used;
    CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_WORKSPACE_TOO_SMALL, "%s",
          aiter_context_error(ctx));
    a.num_splits = 2 + n;
    a.call.workspace = NULL;
    CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    memcpy(&x, last_launch(0)->args, sizeof x);
    CHECK(x.split.count == 2 + n, "%d splits, expected %d", x.split.count, 2 + n);
    close_context(ctx);
}

/* One query with the maxima serves every smaller call. */
static void workspace_is_monotone(aiter_device device)
{
    aiter_context *ctx = device_context(device);
    size_t most = 0;
    for (int num_splits = 0; num_splits <= 4; num_splits += 4) {
        aiter_flash_attn_fwd_args a = dense(64, 200, 20000, 16, 4, 128);
        a.num_splits = num_splits;
        CHECK(aiter_flash_attn_fwd_workspace(&a, ctx, &most) == AITER_OK, "%s",
              aiter_context_error(ctx));
        for (int b = 1; b <= 64; b *= 2)
            for (int sq = 1; sq <= 200; sq += 33)
                for (int sk = 1; sk <= 20000; sk = sk * 3 + 1) {
                    size_t bytes = 0;
                    a = dense(b, sq, sk, 16, 4, 128);
                    a.num_splits = num_splits;
                    a.call.workspace = AT(10);
                    a.call.workspace_bytes = most;
                    CHECK(aiter_flash_attn_fwd_workspace(&a, ctx, &bytes) == AITER_OK &&
                              bytes <= most,
                          "%d %d %d: %zu, %zu for the largest", b, sq, sk, bytes, most);
                    CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK, "%d %d %d: %s", b, sq, sk,
                          aiter_context_error(ctx));
                }
    }
    CHECK(fake.allocated == 0, "allocated beside the workspace");
    close_context(ctx);
}

/* After one call of each size: no memory, no lock's work, no waiting. */
static void warm_calls(aiter_device device, int heads)
{
    aiter_context *ctx = device_context(device);
    aiter_flash_attn_fwd_args a;
    int before[FAKE_IDS];
    for (int i = 0; i < 12; i++) {
        a = dense(1, 1, i % 2 ? 4096 : 30000, heads, heads, 128);
        a.num_splits = 0;
        CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
        if (i == 1) memcpy(before, fake.calls, sizeof before);
    }
    for (int i = 0; i < FAKE_IDS; i++) {
        const int grew = fake.calls[i] - before[i];
        const int wanted =
            i == FAKE_launch                                                                  ? 20
            : i == (device == AITER_DEVICE_HIP ? FAKE_hip_get_device : FAKE_cuda_get_current) ? 10
                                                                                              : 0;
        if (i == FAKE_cuda_set_current) continue; /* there and back, when another is current */
        CHECK(grew == wanted, "%s: %d calls in 10 warm ones, expected %d", fake_fields[i], grew,
              wanted);
    }
    close_context(ctx);
}

/* The device of the context is current for its launches, and the caller's afterwards. */
static void current_device(aiter_device device, int n)
{
    aiter_context *ctx = NULL;
    fake_reset();
    aiter_context_desc d = fake_desc(device);
    d.device_index = 1;
    CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
    const int before = fake_current;
    aiter_flash_attn_fwd_args a = dense(1, 4 + n, 4, 4, 4, 128);
    CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    CHECK(last_launch(0)->device == (device == AITER_DEVICE_HIP ? 1 : 2), "launched on %d",
          last_launch(0)->device);
    CHECK(fake_current == before, "%d is left current", fake_current);
    close_context(ctx);
    CHECK(fake_current == before, "%d is left current", fake_current);
}

/* ---- refusals ---- */

static void refused(const aiter_flash_attn_fwd_args *a, aiter_context *ctx, aiter_status want,
                    const char *word, const char *other)
{
    const int launches = fake.launches;
    const aiter_status status = aiter_flash_attn_fwd(a, ctx);
    const char *text = aiter_context_error(ctx);
    CHECK(status == want, "%s, expected %s: %s", aiter_status_name(status), aiter_status_name(want),
          text);
    CHECK(strstr(text, word) && strstr(text, other), "\"%s\" has no %s or %s", text, word, other);
    CHECK(fake.launches == launches, "launched all the same");
}

static void refusals(aiter_device device, int n)
{
    aiter_context *ctx = device_context(device);
    aiter_plan plan;
    aiter_flash_attn_fwd_args a = dense(1, 4, 4, 4, 4, 128);
    memset(&plan, 0, sizeof plan);
    a.q.dtype = a.kv.k.dtype = a.kv.v.dtype = a.out.dtype = AITER_F32;
    refused(&a, ctx, AITER_NO_KERNEL, "f32 f32 f32 128/128", "bf16 bf16 bf16 128/128");
    a = dense(1, 4, 4, 4, 4, 512);
    refused(&a, ctx, AITER_NO_KERNEL, "512/512", device == AITER_DEVICE_HIP ? "gfx942" : "sm_90");
    a = dense(1, 4, 4, 4, 4, 128);
    a.kv.k.stride[0] = 2048, a.kv.k.stride[1] = 512, a.kv.k.stride[2] = 1, a.kv.k.stride[3] = 4;
    refused(&a, ctx, AITER_UNSUPPORTED, ".k", "last stride");
    a = dense(1, 4, 4, 4, 4, 128);
    a.call.plan = &plan;
    refused(&a, ctx, AITER_UNSUPPORTED, "plan", "device");
    CHECK(aiter_flash_attn_fwd_plan(&a, ctx, &plan) == AITER_UNSUPPORTED, "a plan");
    a = dense(1, 4, 4, 4, 4, 128);
    a.kv.max_seqlen = 3;
    refused(&a, ctx, AITER_INVALID_ARGUMENT, "kv.max_seqlen", "4");
    a = dense(1, 4, 4, 4, 4, 128);
    a.out.data = a.q.data;
    refused(&a, ctx, AITER_INVALID_ARGUMENT, "out", "shares memory");
    a = dense(n % 2 ? 0 : n, n % 2 ? 4 : 0, 4, 4, 4, 128);
    CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK && fake.launches == 0, "nothing to do: %s",
          aiter_context_error(ctx));
    fake.capturing = 1;
    a = dense(1, 4, 4, 4, 4, 128);
    refused(&a, ctx, AITER_UNSUPPORTED, "capture", "load");
    fake.capturing = 0;
    CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    fake.capturing = 1;
    CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK, "captured: %s", aiter_context_error(ctx));
    a = dense(1, 1, 8192, 1, 1, 128);
    a.num_splits = 8;
    refused(&a, ctx, AITER_UNSUPPORTED, "capture", "allocate");
    close_context(ctx);
}

static void code_objects(aiter_device device)
{
    const aiter_flash_attn_fwd_args a = dense(1, 4, 4, 4, 4, 128);
    char folder[] = "/tmp/aiter_test_XXXXXX", path[512];
    aiter_context *ctx = device_context(device);
    fake.hash++;
    refused(&a, ctx, AITER_NO_KERNEL, "built for another header", "hash");
    CHECK(fake.live_modules == 0, "a refused module stays loaded");
    fake.hash = 0;
    refused(&a, ctx, AITER_NO_KERNEL, "built for another header", "hash");
    fake.hash = AITERI_GPU_ABI_HASH;
    CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    close_context(ctx);
    if (!CHECK(mkdtemp(folder) != NULL, "no folder")) return;
    fake_reset();
    aiter_context_desc d = fake_desc(device);
    d.kernel_path = folder;
    CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
    refused(&a, ctx, AITER_NO_KERNEL, folder, "cannot be opened");
    snprintf(path, sizeof path, "%s/%s", folder,
             device == AITER_DEVICE_HIP ? "aiter_gfx942.co"
                                        : "aiter_flash_fwd_bf16_bf16_128_128_sm_90a.ptx");
    FILE *file = fopen(path, "wb");
    if (file) fclose(file);
    refused(&a, ctx, AITER_NO_KERNEL, folder, "cannot be read");
    file = fopen(path, "wb");
    if (file) fputs("no code", file), fclose(file);
    refused(&a, ctx, AITER_NO_KERNEL, "ModuleLoadData failed with 200", "aiter_");
    file = fopen(path, "wb");
    if (file) fputs("code of a file", file), fclose(file);
    CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    CHECK(strcmp(fake.module[fake.modules - 1].file, "a file") == 0, "from elsewhere");
    close_context(ctx);
    remove(path);
    rmdir(folder);
}

/* A kernel that was made for the chip comes before one for many. */
static void chip_of_kernel(void)
{
    for (int major = 8; major <= 10; major++) {
        aiter_context *ctx = NULL;
        const aiter_flash_attn_fwd_args a = dense(1, 4, 4, 4, 4, 128);
        const char *const want = major == 9 ? "aiter_flash_fwd_bf16_bf16_128_128_sm_90a.ptx"
                                            : "aiter_flash_fwd_bf16_bf16_128_128.ptx";
        fake_reset();
        fake.major = major;
        const aiter_context_desc d = fake_desc(AITER_DEVICE_CUDA);
        CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
        CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
        CHECK(strcmp(fake.module[fake.modules - 1].file, want) == 0, "sm_%d0 takes %s", major,
              fake.module[fake.modules - 1].file);
        close_context(ctx);
    }
}

int main(void)
{
    test_begin("gpu_launch", 1);
    chip_of_kernel();
    for (int i = AITER_DEVICE_HIP; i <= AITER_DEVICE_CUDA; i++) {
        const aiter_device device = (aiter_device)i;
        for (int n = 1; n <= 6; n++) {
            dense_flash(device, n);
            options_reach_the_kernel(device, n);
            paged_and_packed(device, n);
            lists_of_pages(device, n);
            layouts_of_pages(device, n);
            splits(device, n);
            current_device(device, n);
            warm_calls(device, n);
            warm_calls(device, 6 + n);
            refusals(device, n);
            code_objects(device);
        }
        workspace_is_monotone(device);
    }
    return test_end();
}
