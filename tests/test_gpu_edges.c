/* test_gpu_edges.c -- the host side of a device where nothing is launched: texts of every driver
 * function and error code, memory whose driver calls fail, queries and plans that are refused,
 * merges without rows, tensors just off what a plain kernel takes; and the CPU in a program that
 * has devices compiled in. The driver is fake_driver.h. */
#include "gpu/device_calls.h"

static float numbers[4][64];

static const aiter_device both[] = {AITER_DEVICE_HIP, AITER_DEVICE_CUDA};

/* ---- texts ---- */

static void symbols_and_codes(aiter_device device)
{
    static const int lost[] = {46, 214, 700, 702, 709, 714, 717, 719};
    static const int found[] = {1, 45, 47, 213, 215, 699, 701, 708, 713, 720, 999};
    aiter_context *ctx = device_context(device);
    const aiteri_driver *d = aiteri_devices->driver;
    for (int id = 0; id < FAKE_IDS; id++) {
        const char *symbol = aiteri_driver_symbol(d, fake_fields[id]);
        const aiter_status s = aiteri_driver_failed(NULL, d, "op", fake_fields[id], 999);
        CHECK(s == AITER_DEVICE && strstr(aiter_last_error(), symbol), "%s", aiter_last_error());
        CHECK(strncmp(symbol, "hip", 3) == 0 || strncmp(symbol, "cu", 2) == 0, "%s", symbol);
    }
    CHECK(strcmp(aiteri_driver_symbol(d, "nothing"), "nothing") == 0, "an unknown field");
    for (int i = 0; i < (int)(sizeof lost / sizeof lost[0]); i++) {
        aiteri_driver_failed(NULL, d, "op", "launch", lost[i]);
        CHECK(strstr(aiter_last_error(), "device is lost"), "%s", aiter_last_error());
    }
    for (int i = 0; i < (int)(sizeof found / sizeof found[0]); i++) {
        aiteri_driver_failed(NULL, d, "op", "launch", found[i]);
        CHECK(!strstr(aiter_last_error(), "lost"), "%s", aiter_last_error());
    }
    CHECK(aiteri_driver_status(0) == AITER_OK, "0 is no failure");
    close_context(ctx);
}

/* A library that has none of the symbols: the first of the list is named, nothing is called. */
static void empty_library(aiter_device device)
{
    aiter_context *ctx = NULL;
    fake_reset();
    const aiter_context_desc d = fake_desc(device);
    fake.missing = "";
    CHECK(aiter_context_create(&d, &ctx) == AITER_NO_DEVICE, "an empty library is taken");
    CHECK(strstr(aiter_last_error(), device == AITER_DEVICE_HIP ? "hipInit" : "cuInit"), "%s",
          aiter_last_error());
}

/* ---- memory ---- */

static void expect_failure(aiter_context *ctx, aiter_status got, const char *op)
{
    CHECK(got == AITER_DEVICE && strstr(aiter_context_error(ctx), op), "%s: %s", op,
          aiter_context_error(ctx));
}

/* Orders the next call of a driver function to fail, wherever the books stand. */
static void fail_next(int id)
{
    fake.fail_id = id;
    fake.fail_at = fake.calls[id] + 1;
    fake.fail_code = 999;
}

static void memory_fails(aiter_device device)
{
    const aiter_memory D = AITER_MEMORY_DEVICE, P = AITER_MEMORY_PINNED, H = AITER_MEMORY_HOST;
    const int in = device == AITER_DEVICE_HIP ? FAKE_hip_copy_in : FAKE_cuda_copy_in;
    aiter_context *ctx = device_context(device);
    void *memory[2] = {NULL, NULL}, *none = ctx;
    char host[64] = "";
    CHECK(aiter_memory_alloc(ctx, D, 64, &memory[0]) == AITER_OK, "device memory");
    CHECK(aiter_memory_alloc(ctx, P, 64, &memory[1]) == AITER_OK, "pinned memory");
    fail_next(FAKE_memory_alloc);
    expect_failure(ctx, aiter_memory_alloc(ctx, D, 64, &none), "aiter_memory_alloc");
    CHECK(none == NULL, "a refused allocation gave memory");
    fail_next(FAKE_pinned_alloc);
    expect_failure(ctx, aiter_memory_alloc(ctx, P, 64, &none), "aiter_memory_alloc");
    fail_next(in);
    expect_failure(ctx, aiter_memory_copy(ctx, memory[0], D, host, H, 64), "aiter_memory_copy");
    fail_next(FAKE_copy_out);
    expect_failure(ctx, aiter_memory_copy(ctx, host, H, memory[0], D, 64), "aiter_memory_copy");
    fail_next(FAKE_copy_inside);
    expect_failure(ctx, aiter_memory_copy(ctx, memory[0], D, memory[0], D, 64),
                   "aiter_memory_copy");
    fail_next(FAKE_stream_wait);
    expect_failure(ctx, aiter_context_synchronize(ctx), "aiter_context_synchronize");
    fail_next(FAKE_pinned_free);
    expect_failure(ctx, aiter_memory_free(ctx, P, memory[1], 64), "aiter_memory_free");
    fail_next(FAKE_memory_free);
    expect_failure(ctx, aiter_memory_free(ctx, D, memory[0], 64), "aiter_memory_free");
    fake.fail_id = -1;
    CHECK(aiter_memory_copy(ctx, host, (aiter_memory)7, host, H, 4) == AITER_INVALID_ARGUMENT &&
              aiter_memory_copy(ctx, host, H, host, (aiter_memory)-1, 4) == AITER_INVALID_ARGUMENT,
          "an unknown kind");
    CHECK(aiter_memory_free(ctx, P, memory[1], 64) == AITER_OK &&
              aiter_memory_free(ctx, D, memory[0], 64) == AITER_OK,
          "%s", aiter_context_error(ctx));
    close_context(ctx);
}

/* ---- queries, plans, merges ---- */

static void refused_alike(aiter_context *ctx, const aiter_flash_attn_fwd_args *a, aiter_status want)
{
    size_t bytes = 7;
    aiter_plan plan;
    memset(&plan, 0, sizeof plan);
    const int launches = fake.launches;
    CHECK(aiter_flash_attn_fwd_workspace(a, ctx, &bytes) == want && bytes == 7, "workspace: %s",
          aiter_context_error(ctx));
    CHECK(aiter_flash_attn_fwd_plan(a, ctx, &plan) == want, "plan: %s", aiter_context_error(ctx));
    CHECK(aiter_flash_attn_fwd(a, ctx) == want && fake.launches == launches, "run: %s",
          aiter_context_error(ctx));
}

static void queries_and_plans(aiter_device device)
{
    aiter_context *ctx = device_context(device);
    aiter_flash_attn_fwd_args a = dense(2, 30, 50, 8, 2, 128);
    a.q.stride[0] = 30 * 8 * 256, a.q.stride[1] = 8 * 256, a.q.stride[2] = 256, a.q.stride[3] = 2;
    refused_alike(ctx, &a, AITER_UNSUPPORTED);
    a = dense(2, 30, 50, 8, 2, 128);
    CHECK(aiter_flash_attn_fwd_workspace(&a, ctx, NULL) == AITER_INVALID_ARGUMENT &&
              strstr(aiter_context_error(ctx), "bytes"),
          "%s", aiter_context_error(ctx));
    close_context(ctx);
}

static aiter_merge_attn_states_args a_merge(int64_t b, int64_t s, int64_t h)
{
    aiter_merge_attn_states_args a;
    memset(&a, 0, sizeof a);
    a.out_a = aiter_tensor_4d(AT(1), AITER_F16, b, s, h, 64);
    a.out_b = aiter_tensor_4d(AT(2), AITER_F16, b, s, h, 64);
    a.out = aiter_tensor_4d(AT(3), AITER_F16, b, s, h, 64);
    a.lse_a = aiter_tensor_3d(AT(4), AITER_F32, b, h, s);
    a.lse_b = aiter_tensor_3d(AT(5), AITER_F32, b, h, s);
    return a;
}

/* A bias of one key for all is never too short. */
static void one_bias(aiter_device device)
{
    aiter_context *ctx = device_context(device);
    aiter_flash_attn_fwd_args a = dense(2, 8, 96, 8, 2, 128);
    a.score.bias = aiter_tensor_2d(AT(6), AITER_F16, 8, 1);
    CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    close_context(ctx);
}

static void merges(aiter_device device)
{
    aiter_context *ctx = device_context(device);
    aiter_merge_attn_states_args a = a_merge(3, 5, 2);
    CHECK(aiter_merge_attn_states(&a, ctx) == AITER_OK && fake.launches == 3, "%d launches",
          fake.launches);
    for (int i = 0; i < 3; i++) {
        a = a_merge(i == 0 ? 0 : 3, i == 1 ? 0 : 5, i == 2 ? 0 : 2);
        CHECK(aiter_merge_attn_states(&a, ctx) == AITER_OK && fake.launches == 3, "%d: %s", i,
              aiter_context_error(ctx));
    }
    a = a_merge(3, 5, 2);
    a.out_b.stride[0] = 5 * 2 * 128, a.out_b.stride[1] = 2 * 128, a.out_b.stride[2] = 128;
    a.out_b.stride[3] = 2;
    CHECK(aiter_merge_attn_states(&a, ctx) == AITER_UNSUPPORTED && fake.launches == 3 &&
              strstr(aiter_context_error(ctx), "out_b"),
          "%s", aiter_context_error(ctx));
    a = a_merge(3, 5, 2);
    a.out_a.shape[3] = a.out_b.shape[3] = a.out.shape[3] = 1; /* one element has no stride */
    a.out_b.stride[0] = 50, a.out_b.stride[1] = 10, a.out_b.stride[2] = 5, a.out_b.stride[3] = 3;
    CHECK(aiter_merge_attn_states(&a, ctx) == AITER_OK && fake.launches == 6, "D 1: %s",
          aiter_context_error(ctx));
    fail_next(FAKE_launch);
    a = a_merge(3, 5, 2);
    expect_failure(ctx, aiter_merge_attn_states(&a, ctx), "aiter_merge_attn_states");
    fake.fail_id = -1;
    close_context(ctx);
}

/* ---- just off what plain kernels take ---- */

static const char *flash_symbol(aiter_context *ctx, const aiter_flash_attn_fwd_args *a)
{
    const int before = fake.launches;
    CHECK(aiter_flash_attn_fwd(a, ctx) == AITER_OK && fake.launches > before, "%s",
          aiter_context_error(ctx));
    return last_launch(0)->symbol;
}

static void off_plain(aiter_device device)
{
    aiter_context *ctx = device_context(device);
    aiter_flash_attn_fwd_args good = dense(2, 320, 512, 8, 2, 128), a = good;
    char plain[96];
    snprintf(plain, sizeof plain, "%s", flash_symbol(ctx, &a));
    for (int i = 0; i < 10; i++) {
        a = good;
        aiter_tensor *const t = i < 4 ? &a.q : &a.kv.k;
        const int64_t heads = i < 4 ? 8 : 2, tokens = i < 4 ? 320 : 512;
        const int64_t stride[4] = {tokens * heads * 128, heads * 128, 128, 1};
        memcpy(t->stride, stride, sizeof stride);
        if (i % 4 == 0) t->data = (char *)t->data + 8; /* bytes: not a chunk of 16 */
        if (i % 4 == 1) t->stride[0] += 4;
        if (i % 4 == 2) t->stride[1] += 4;
        if (i % 4 == 3) t->stride[1] = heads * 132, t->stride[2] = 132;
        if (i % 4 == 3) t->stride[0] = tokens * heads * 132;
        if (i == 8) a = good, a.score.softcap = 30;
        if (i == 9) a = good, a.score.sinks = aiter_tensor_1d(AT(9), AITER_F32, 8);
        CHECK(strstr(plain, "plain") == NULL || strcmp(flash_symbol(ctx, &a), plain) != 0,
              "%d: a plain kernel gets what it does not take", i);
        CHECK(strncmp(flash_symbol(ctx, &a), "aiteri_flash_fwd_", 17) == 0, "%d", i);
    }
    close_context(ctx);
}

/* ---- a driver that cannot name its errors, and the caller's own memory ---- */

static aiteri_gpu_result nameless(int code, const char **text)
{
    *text = "never to be read";
    return code ? 1 : 0;
}

static int named(int code, const char **text)
{
    *text = "as the driver says it";
    return code ? 0 : 1;
}

static void no_names(void)
{
    aiter_context *ctx = device_context(AITER_DEVICE_CUDA);
    aiteri_driver d = *aiteri_devices->driver;
    d.cuda_error_name = d.cuda_error_string = nameless;
    aiteri_driver_failed(NULL, &d, "op", "launch", 999);
    CHECK(strstr(aiter_last_error(), "no name (no text)"), "%s", aiter_last_error());
    d.cuda_error_string = named;
    aiteri_driver_failed(NULL, &d, "op", "launch", 999);
    CHECK(strstr(aiter_last_error(), "no name (as the driver says it)"), "%s", aiter_last_error());
    close_context(ctx);
}

static int64_t hook_live;
static int hook_refuses;
static void *hook_alloc(void *user, size_t bytes, size_t align, aiter_memory kind)
{
    (void)user, (void)align, (void)kind;
    if (hook_refuses) return NULL;
    hook_live += (int64_t)bytes;
    return malloc(bytes);
}

static void hook_free(void *user, void *data, size_t bytes, aiter_memory kind)
{
    (void)user, (void)kind;
    hook_live -= (int64_t)bytes;
    free(data);
}

static void own_memory(aiter_device device)
{
    aiter_context *ctx = NULL;
    void *data = NULL;
    fake_reset();
    aiter_context_desc d = fake_desc(device);
    d.alloc = hook_alloc;
    d.free = hook_free;
    CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
    const int64_t before = hook_live;
    CHECK(aiter_memory_alloc(ctx, AITER_MEMORY_DEVICE, 64, &data) == AITER_OK && data &&
              hook_live == before + 64,
          "%s", aiter_context_error(ctx));
    CHECK(aiter_memory_free(ctx, AITER_MEMORY_DEVICE, data, 64) == AITER_OK && hook_live == before,
          "%s", aiter_context_error(ctx));
    hook_refuses = 1;
    CHECK(aiter_memory_alloc(ctx, AITER_MEMORY_PINNED, 64, &data) == AITER_OUT_OF_MEMORY &&
              strstr(aiter_context_error(ctx), "hook"),
          "%s", aiter_context_error(ctx));
    CHECK(aiter_memory_alloc(ctx, AITER_MEMORY_HOST, 64, &data) == AITER_OUT_OF_MEMORY, "host");
    numbers[0][0] = 7;
    CHECK(aiter_memory_copy(ctx, numbers[1], AITER_MEMORY_HOST, numbers[0], AITER_MEMORY_PINNED,
                            sizeof numbers[0]) == AITER_OK &&
              numbers[1][0] == 7,
          "from host to host: %s", aiter_context_error(ctx));
    hook_refuses = 0;
    aiter_context_destroy(ctx);
    CHECK(hook_live == 0, "%lld bytes are left", (long long)hook_live);
}

/* ---- the CPU, where devices are compiled in ---- */

static int32_t lengths[2], table[2];

static aiter_paged_attn_decode_args on_cpu(void)
{
    aiter_paged_attn_decode_args a;
    memset(&a, 0, sizeof a);
    a.q = aiter_tensor_3d(numbers[0], AITER_F32, 1, 2, 8);
    a.kv.k = aiter_tensor_4d(numbers[1], AITER_F32, 1, 4, 1, 8);
    a.kv.v = aiter_tensor_4d(numbers[2], AITER_F32, 1, 4, 1, 8);
    a.out = aiter_tensor_3d(numbers[3], AITER_F32, 1, 2, 8);
    a.kv.block_table = aiter_tensor_2d(table, AITER_I32, 1, 1);
    a.kv.seq_lens = aiter_tensor_1d(lengths, AITER_I32, 1);
    lengths[0] = 3;
    table[0] = 0;
    return a;
}

static void plans_on_cpu(aiter_context *ctx)
{
    static uint64_t memory[256];
    aiter_paged_attn_decode_args a = on_cpu();
    aiter_plan plan;
    size_t bytes = 0;
    memset(&plan, 0, sizeof plan);
    CHECK(aiter_paged_attn_decode_plan(&a, ctx, &plan) == AITER_OK && plan.bytes > 0, "size");
    plan.data = (char *)memory + 1;
    CHECK(aiter_paged_attn_decode_plan(&a, ctx, &plan) == AITER_INVALID_ARGUMENT &&
              strstr(aiter_context_error(ctx), "aligned"),
          "%s", aiter_context_error(ctx));
    plan.data = memory;
    lengths[0] = 5; /* more than the table's keys */
    CHECK(aiter_paged_attn_decode_plan(&a, ctx, &plan) == AITER_INVALID_ARGUMENT, "a length");
    a.out.dtype = AITER_I8;
    CHECK(aiter_paged_attn_decode_plan(&a, ctx, &plan) == AITER_INVALID_ARGUMENT, "a type");
    a = on_cpu();
    a.kv.seq_lens.ndim = 0;
    CHECK(aiter_paged_attn_decode_plan(&a, ctx, &plan) == AITER_INVALID_ARGUMENT, "no lengths");
    a = on_cpu();
    CHECK(aiter_paged_attn_decode_workspace(&a, ctx, &bytes) == AITER_OK && bytes > 0, "workspace");
    CHECK(aiter_paged_attn_decode(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    a.kv.k.shape[0] = a.kv.v.shape[0] = 0;
    CHECK(aiter_paged_attn_decode(&a, ctx) == AITER_INVALID_ARGUMENT &&
              strstr(aiter_context_error(ctx), "block_table"),
          "%s", aiter_context_error(ctx));
}

static void merges_on_cpu(aiter_context *ctx)
{
    aiter_merge_attn_states_args a;
    memset(&a, 0, sizeof a);
    a.out_a = aiter_tensor_3d(numbers[0], AITER_F32, 1, 2, 8);
    a.out_b = aiter_tensor_3d(numbers[1], AITER_F32, 1, 2, 8);
    a.lse_a = aiter_tensor_2d(numbers[0] + 32, AITER_F32, 2, 1);
    a.lse_b = aiter_tensor_2d(numbers[1] + 32, AITER_F32, 2, 1);
    a.out = a.out_a;
    a.lse = a.lse_a;
    CHECK(aiter_merge_attn_states(&a, ctx) == AITER_OK, "in place: %s", aiter_context_error(ctx));
    a.out.dtype = AITER_F16; /* the same memory, but not the same view */
    CHECK(aiter_merge_attn_states(&a, ctx) == AITER_INVALID_ARGUMENT, "another type in place");
    a.out = a.out_a;
    a.out.stride[0] = 16, a.out.stride[1] = 9, a.out.stride[2] = 1;
    CHECK(aiter_merge_attn_states(&a, ctx) == AITER_INVALID_ARGUMENT, "other strides in place");
    a.out = aiter_tensor_3d(numbers[3], AITER_F32, 1, 2, 0);
    a.out_a.shape[2] = a.out_b.shape[2] = 0;
    CHECK(aiter_merge_attn_states(&a, ctx) == AITER_OK, "no values: %s", aiter_context_error(ctx));
    a.lse.ndim = 0;
    CHECK(aiter_merge_attn_states(&a, ctx) == AITER_OK, "nothing: %s", aiter_context_error(ctx));
    a.out_a.shape[1] = a.out_b.shape[1] = a.out.shape[1] = 0;
    a.lse_a.shape[0] = a.lse_b.shape[0] = 0;
    CHECK(aiter_merge_attn_states(&a, ctx) == AITER_OK, "no heads: %s", aiter_context_error(ctx));
}

static void cpu_beside_devices(void)
{
    aiter_context_desc d;
    aiter_context *ctx = NULL;
    memset(&d, 0, sizeof d);
    d.num_threads = 1;
    CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
    CHECK(aiter_context_info(ctx).device == AITER_DEVICE_CPU, "device");
    CHECK(aiter_context_info(NULL).device == AITER_DEVICE_CPU, "no context");
    CHECK(aiter_memory_copy(ctx, numbers[0], AITER_MEMORY_DEVICE, numbers[1], AITER_MEMORY_DEVICE,
                            64) == AITER_OK,
          "%s", aiter_context_error(ctx));
    plans_on_cpu(ctx);
    merges_on_cpu(ctx);
    aiter_reshape_and_cache_args c;
    memset(&c, 0, sizeof c);
    c.k = aiter_tensor_3d(numbers[0], AITER_F32, 1, 1, 8);
    c.v = aiter_tensor_3d(numbers[0] + 8, AITER_F32, 1, 1, 8);
    c.kv.k = aiter_tensor_4d(numbers[1], AITER_F32, 1, 4, 1, 8);
    c.kv.v = aiter_tensor_4d(numbers[2], AITER_F32, 1, 4, 1, 8);
    c.slot_mapping = aiter_tensor_1d(table, AITER_I32, 1);
    CHECK(aiter_reshape_and_cache(&c, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    aiter_context_destroy(ctx);
    d.num_threads = AITERI_MAX_THREADS + 1;
    CHECK(aiter_context_create(&d, &ctx) == AITER_INVALID_ARGUMENT && !ctx, "too many threads");
    d.num_threads = 1;
    d.device = (aiter_device)-1;
    CHECK(aiter_context_create(&d, &ctx) == AITER_INVALID_ARGUMENT && !ctx, "device -1");
}

/* A plan that no kernel takes is refused before a length is read: it may be on the device. */
static void no_plan(aiter_device device)
{
    aiter_context *ctx = device_context(device);
    for (int n = 0; n < 12; n++) {
        aiter_paged_attn_decode_args bytes = decode(2, 1, 8, 2, AITER_BF16);
        aiter_flash_attn_fwd_args a = dense(1, 40 + n, 40 + n, 4, 4, 128);
        aiter_plan plan;
        memset(&plan, 0, sizeof plan);
        bytes.score.visible = aiter_tensor_2d(AT(9), AITER_U8, 1, 1024 + n);
        CHECK(aiter_paged_attn_decode_plan(&bytes, ctx, &plan) == AITER_UNSUPPORTED &&
                  strstr(aiter_context_error(ctx), "a mask of bytes"),
              "%s", aiter_context_error(ctx));
        a.kv.seq_lens = aiter_tensor_1d(AT(9), AITER_I32, 1);
        CHECK(aiter_flash_attn_fwd_plan(&a, ctx, &plan) == AITER_UNSUPPORTED, "%s",
              aiter_context_error(ctx));
    }
    close_context(ctx);
}

int main(void)
{
    test_begin("gpu_edges", 1);
    no_names();
    cpu_beside_devices();
    for (int i = 0; i < 2; i++) {
        symbols_and_codes(both[i]);
        empty_library(both[i]);
        memory_fails(both[i]);
        own_memory(both[i]);
        queries_and_plans(both[i]);
        no_plan(both[i]);
        merges(both[i]);
        one_bias(both[i]);
        off_plain(both[i]);
    }
    return test_end();
}
