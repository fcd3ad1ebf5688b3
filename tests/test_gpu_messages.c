/* test_gpu_messages.c -- what a device context says, against tests/data/messages_device.txt. The
 * driver is gpu/fake_driver.h. */
#include "gpu/device_calls.h"
#include "messages.h"

static aiter_context *ctx;
static aiter_device device;

/* Runs on a fresh context of the device, which fails at a driver call if told to. */
static void fails(const char *title, aiter_status (*call)(void), int id, int code)
{
    char line[160];
    ctx = device_context(device);
    snprintf(line, sizeof line, "%s: %s", device == AITER_DEVICE_HIP ? "HIP" : "CUDA", title);
    fake.fail_id = id;
    fake.fail_at = id < 0 ? 0 : fake.calls[id] + 1;
    fake.fail_code = code;
    say(line, call());
    fake.fail_id = -1;
    fake.capturing = 0;
    close_context(ctx);
}

static aiter_status flash(aiter_flash_attn_fwd_args a) { return aiter_flash_attn_fwd(&a, ctx); }

static aiter_status good(void) { return flash(dense(1, 4, 4, 4, 4, 128)); }
static aiter_status in_pieces(void)
{
    aiter_flash_attn_fwd_args a = dense(1, 1, 4096, 4, 4, 128);
    a.num_splits = 8;
    return flash(a);
}

/* ---- kernels ---- */

static aiter_status in_f32(void)
{
    aiter_flash_attn_fwd_args a = dense(1, 4, 4, 4, 4, 128);
    a.q.dtype = a.kv.k.dtype = a.kv.v.dtype = a.out.dtype = AITER_F32;
    return flash(a);
}
static aiter_status wide_head(void) { return flash(dense(1, 4, 4, 4, 4, 512)); }
static aiter_status general_head(void)
{
    aiter_flash_attn_fwd_args a = dense(1, 4, 4, 4, 4, 512);
    a.score.softcap = 30;
    return flash(a);
}
static aiter_status decode_f32(void)
{
    aiter_paged_attn_decode_args a = decode(2, 1, 8, 2, AITER_F32);
    a.q.dtype = a.out.dtype = AITER_F32;
    return aiter_paged_attn_decode(&a, ctx);
}
static aiter_status keys_fp8(void)
{
    aiter_flash_attn_fwd_args a = dense(1, 4, 4, 4, 4, 128);
    a.kv.k.dtype = a.kv.v.dtype = AITER_F8_E4M3FN;
    return flash(a);
}
static aiter_status q_fp8(void)
{
    aiter_flash_attn_fwd_args a = dense(1, 4, 4, 4, 4, 128);
    a.q.dtype = AITER_F8_E4M3FN;
    return flash(a);
}
static aiter_status out_fp8(void)
{
    aiter_flash_attn_fwd_args a = dense(1, 4, 4, 4, 4, 128);
    a.out.dtype = AITER_F8_E4M3FNUZ;
    return flash(a);
}
static aiter_status scales_of_q(void)
{
    aiter_flash_attn_fwd_args a = dense(1, 4, 4, 4, 4, 128);
    a.score.q_scale = aiter_tensor_2d(AT(9), AITER_F32, 1, 4);
    return flash(a);
}
static aiter_status decode_fp8(void)
{
    aiter_paged_attn_decode_args a = decode(2, 1, 8, 2, AITER_F8_E4M3FNUZ);
    a.kv.v.dtype = AITER_BF16;
    return aiter_paged_attn_decode(&a, ctx);
}
static aiter_status decode_int4(void)
{
    aiter_paged_attn_decode_args a = decode(2, 1, 8, 2, AITER_I4);
    a.q.dtype = a.out.dtype = AITER_F32;
    a.kv.k_scale = a.kv.v_scale = aiter_tensor_1d(AT(8), AITER_F32, 1);
    return aiter_paged_attn_decode(&a, ctx);
}
static aiter_merge_attn_states_args a_merge(void)
{
    aiter_merge_attn_states_args a;
    memset(&a, 0, sizeof a);
    a.out_a = a.out_b = a.out = aiter_tensor_3d(AT(1), AITER_BF16, 10, 6, 128);
    a.out_b.data = AT(2);
    a.out.data = AT(3);
    a.lse_a = a.lse_b = aiter_tensor_2d(AT(4), AITER_F32, 6, 10);
    a.lse_b.data = AT(5);
    return a;
}
static aiter_status merge_f16_into_f32(void)
{
    aiter_merge_attn_states_args a = a_merge();
    a.out_a.dtype = a.out_b.dtype = AITER_F16;
    a.out.dtype = AITER_F32;
    return aiter_merge_attn_states(&a, ctx);
}
static aiter_status rope(void)
{
    aiter_rope_fwd_args a;
    memset(&a, 0, sizeof a);
    a.x = a.y = aiter_tensor_3d(AT(1), AITER_BF16, 10, 6, 128);
    a.rope.cos = aiter_tensor_2d(AT(2), AITER_F32, 10, 64);
    a.rope.sin = aiter_tensor_2d(AT(3), AITER_F32, 10, 64);
    return aiter_rope_fwd(&a, ctx);
}
static aiter_status another_header(void)
{
    fake.hash = AITERI_GPU_ABI_HASH + 1;
    return good();
}

static void kernels(void)
{
    say_heading("kernels that there are not");
    fails("flash_attn_fwd in f32", in_f32, -1, 0);
    fails("a head of 512", wide_head, -1, 0);
    fails("a head of 512 and a softcap", general_head, -1, 0);
    fails("paged_attn_decode in f32", decode_f32, -1, 0);
    fails("flash_attn_fwd with keys in fp8", keys_fp8, -1, 0);
    fails("flash_attn_fwd with q in fp8", q_fp8, -1, 0);
    fails("flash_attn_fwd with out in fp8", out_fp8, -1, 0);
    fails("flash_attn_fwd with scales of q", scales_of_q, -1, 0);
    fails("paged_attn_decode with keys in fp8 alone", decode_fp8, -1, 0);
    fails("paged_attn_decode in f32 with keys in int4", decode_int4, -1, 0);
    fails("a merge of f16 into f32", merge_f16_into_f32, -1, 0);
    fails("rows that turn", rope, -1, 0);
    fails("kernels of another header", another_header, -1, 0);
}

/* ---- arguments ---- */

static aiter_status keys_in_columns(void)
{
    aiter_flash_attn_fwd_args a = dense(1, 4, 4, 4, 4, 128);
    a.kv.k.stride[0] = 2048, a.kv.k.stride[1] = 512, a.kv.k.stride[2] = 1, a.kv.k.stride[3] = 4;
    return flash(a);
}
static aiter_status a_plan(void)
{
    aiter_flash_attn_fwd_args a = dense(1, 4, 4, 4, 4, 128);
    aiter_plan plan;
    memset(&plan, 0, sizeof plan);
    a.call.plan = &plan;
    return flash(a);
}
static aiter_status short_bias(void)
{
    aiter_flash_attn_fwd_args a = dense(2, 8, 96, 8, 2, 128);
    a.kv.k = a.kv.v = aiter_tensor_4d(AT(2), AITER_BF16, 100, 16, 2, 128);
    a.kv.v.data = AT(3);
    a.kv.block_table = aiter_tensor_2d(AT(5), AITER_I32, 2, 6);
    a.kv.seq_lens = aiter_tensor_1d(AT(9), AITER_I32, 2);
    a.score.bias = aiter_tensor_2d(AT(6), AITER_F16, 8, 89);
    return flash(a);
}
static aiter_status small_workspace(void)
{
    aiter_flash_attn_fwd_args a = dense(1, 1, 4096, 4, 4, 128);
    a.num_splits = 8;
    a.call.workspace = AT(9);
    a.call.workspace_bytes = 1;
    return flash(a);
}
static aiter_status workspace_over_q(void)
{
    aiter_flash_attn_fwd_args a = dense(1, 1, 4096, 4, 4, 128);
    a.call.workspace = a.q.data;
    a.call.workspace_bytes = 4096;
    return flash(a);
}
static aiter_status far_too_many(void)
{
    aiter_flash_attn_fwd_args a = dense(1 << 20, 1 << 20, 4, 4, 4, 128);
    a.kv.k.data = (char *)AT(1) + ((int64_t)1 << 60);
    a.kv.v.data = (char *)AT(1) + ((int64_t)2 << 60);
    a.out.data = (char *)AT(1) + ((int64_t)4 << 60);
    return flash(a);
}
static aiter_status captured_load(void)
{
    fake.capturing = 1;
    return good();
}
static aiter_status captured_growth(void)
{
    CHECK(in_pieces() == AITER_OK, "%s", aiter_last_error());
    aiter_flash_attn_fwd_args a = dense(8, 1, 4096, 8, 8, 128);
    a.num_splits = 16;
    fake.capturing = 1;
    return flash(a);
}
static aiter_status other_splits(void)
{
    static int64_t buffer[600];
    int32_t lengths[2] = {1000, 0};
    aiter_paged_attn_decode_args a = decode(2, 1, 32, 8, AITER_BF16), host;
    aiter_plan plan;
    memset(&plan, 0, sizeof plan);
    a.num_splits = 8;
    host = a;
    host.kv.seq_lens.data = lengths;
    plan.data = buffer;
    plan.device = AT(9);
    plan.bytes = sizeof buffer;
    CHECK(aiter_paged_attn_decode_plan(&host, ctx, &plan) == AITER_OK, "%s", aiter_last_error());
    a.call.plan = &plan;
    a.num_splits = 4;
    return aiter_paged_attn_decode(&a, ctx);
}
static aiter_status plan_without_device(void)
{
    static int64_t buffer[600];
    int32_t lengths[2] = {1000, 0};
    aiter_paged_attn_decode_args a = decode(2, 1, 32, 8, AITER_BF16);
    aiter_plan plan;
    memset(&plan, 0, sizeof plan);
    a.kv.seq_lens.data = lengths;
    plan.data = buffer;
    plan.bytes = sizeof buffer;
    return aiter_paged_attn_decode_plan(&a, ctx, &plan);
}
static aiter_status plan_of_many_rows(void)
{
    int32_t lengths[2] = {1000, 0};
    aiter_paged_attn_decode_args a = decode(2, 5, 32, 8, AITER_BF16);
    aiter_plan plan;
    memset(&plan, 0, sizeof plan);
    a.kv.seq_lens.data = lengths;
    return aiter_paged_attn_decode_plan(&a, ctx, &plan);
}

static void arguments(void)
{
    say_heading("arguments that only a device refuses");
    fails("keys in columns", keys_in_columns, -1, 0);
    fails("a plan of flash_attn_fwd", a_plan, -1, 0);
    fails("a bias of fewer keys than the bound of the lengths", short_bias, -1, 0);
    fails("a workspace of one byte", small_workspace, -1, 0);
    fails("a workspace over q", workspace_over_q, -1, 0);
    fails("more workgroups than there can be", far_too_many, -1, 0);
    fails("a first call under capture", captured_load, -1, 0);
    fails("more scratch under capture", captured_growth, -1, 0);
    fails("a plan of other splits", other_splits, -1, 0);
    fails("a plan without device memory", plan_without_device, -1, 0);
    fails("a plan of more rows than a tile", plan_of_many_rows, -1, 0);
}

/* ---- the driver ---- */

static aiter_status merged(void)
{
    aiter_merge_attn_states_args a = a_merge();
    return aiter_merge_attn_states(&a, ctx);
}
static aiter_status waited(void) { return aiter_context_synchronize(ctx); }
static aiter_status allocated(void)
{
    void *data;
    return aiter_memory_alloc(ctx, AITER_MEMORY_DEVICE, 4096, &data);
}
static aiter_status copied(void)
{
    char host[64];
    return aiter_memory_copy(ctx, host, AITER_MEMORY_HOST, AT(1), AITER_MEMORY_DEVICE, 64);
}

static void driver(void)
{
    say_heading("driver calls that fail");
    fails("a launch", good, FAKE_launch, 999);
    fails("a launch after the device was lost", good, FAKE_launch, 700);
    fails("a merge", merged, FAKE_launch, 719);
    fails("loading a code object", good, FAKE_module_load, 209);
    fails("finding a kernel", good, FAKE_module_function, 500);
    fails("scratch", in_pieces, FAKE_memory_alloc, 2);
    fails("aiter_memory_alloc", allocated, FAKE_memory_alloc, 2);
    fails("aiter_memory_copy", copied, FAKE_copy_out, 999);
    fails("aiter_context_synchronize", waited, FAKE_stream_wait, 999);
}

/* ---- contexts ---- */

static void creates(const char *title, const aiter_context_desc *d)
{
    char line[160];
    snprintf(line, sizeof line, "%s: %s", device == AITER_DEVICE_HIP ? "HIP" : "CUDA", title);
    say(line, aiter_context_create(d, &ctx));
}

static void contexts(void)
{
    const int hip = device == AITER_DEVICE_HIP;
    char path[2000];
    aiter_context_desc d = (fake_reset(), fake_desc(device));
    say_heading("contexts that cannot be made");
    fake.installed = NULL;
    creates("no driver", &d);
    d = (fake_reset(), fake_desc(device));
    fake.missing = hip ? "hipModuleLaunchKernel" : "cuLaunchKernel";
    creates("a driver without a function", &d);
    d = (fake_reset(), fake_desc(device));
    fake.devices = 0;
    creates("no device", &d);
    d = (fake_reset(), fake_desc(device));
    d.device_index = 2;
    creates("device 2 of 2", &d);
    d = (fake_reset(), fake_desc(device));
    fake.arch = "gfx1100";
    fake.major = 7, fake.minor = 5;
    creates("a chip without kernels", &d);
    d = (fake_reset(), fake_desc(device));
    d.exact_arithmetic = 1;
    creates("exact arithmetic", &d);
    d = (fake_reset(), fake_desc(device));
    memset(path, 'x', sizeof path);
    path[sizeof path - 1] = 0;
    d.kernel_path = path;
    creates("a long kernel_path", &d);
    d = (fake_reset(), fake_desc(device));
    d.arena_bytes = 4096;
    fake.fail_id = FAKE_memory_alloc;
    fake.fail_at = 1;
    fake.fail_code = 2;
    creates("no memory for the arena", &d);
    d = (fake_reset(), fake_desc(device));
    d.kernel_path = "/nowhere";
    CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
    say(hip ? "HIP: a folder that there is not" : "CUDA: a folder that there is not", good());
    close_context(ctx);
}

int main(void)
{
    test_begin("gpu_messages", 1);
    said_append("What a device context says, by tests/test_gpu_messages.c.\n");
    for (int i = AITER_DEVICE_HIP; i <= AITER_DEVICE_CUDA; i++) {
        device = (aiter_device)i;
        kernels();
        arguments();
        driver();
        contexts();
    }
    messages_compare("tests/data/messages_device.txt");
    return test_end();
}
