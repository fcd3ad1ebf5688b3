/* test_gpu_failures.c -- every driver call failing at its n-th use, devices that are lost, the
 * caller's memory hooks, and several threads that ask for the same kernel at once. */
#include "gpu/device_calls.h"

typedef struct outcome {
    int failed; /* calls that did not return AITER_OK */
    aiter_status status;
    char text[AITERI_ERROR_BYTES];
} outcome;

static void note(outcome *o, aiter_status status, const char *text)
{
    if (status == AITER_OK) return;
    if (o->failed++ == 0) {
        o->status = status;
        snprintf(o->text, sizeof o->text, "%s", text);
    }
}

/* Memory, copies, a plan and its decode, a cache write, the wait for all of it. */
static void live_with_memory(aiter_context *ctx, outcome *o)
{
    static int64_t works[600], host[8];
    static int32_t lengths[2] = {1000, 0};
    const aiter_memory on_device = AITER_MEMORY_DEVICE, on_host = AITER_MEMORY_HOST;
    void *there = NULL, *pinned = NULL;
    aiter_plan plan;
    aiter_reshape_and_cache_args c;
    aiter_paged_attn_decode_args a = decode(2, 1, 32, 8, AITER_BF16), planned = a;
    note(o, aiter_memory_alloc(ctx, on_device, sizeof works, &there), aiter_last_error());
    note(o, aiter_memory_alloc(ctx, AITER_MEMORY_PINNED, 64, &pinned), aiter_last_error());
    if (there) {
        note(o, aiter_memory_copy(ctx, there, on_device, host, on_host, 64), aiter_last_error());
        note(o, aiter_memory_copy(ctx, host, on_host, there, on_device, 64), aiter_last_error());
        note(o, aiter_memory_copy(ctx, there, on_device, there, on_device, 8), aiter_last_error());
        memset(&plan, 0, sizeof plan);
        plan.data = works;
        plan.bytes = sizeof works - 64;
        plan.device = there;
        planned.kv.seq_lens.data = lengths;
        planned.num_splits = a.num_splits = 8;
        a.call.plan = &plan;
        if (aiter_paged_attn_decode_plan(&planned, ctx, &plan) == AITER_OK)
            note(o, aiter_paged_attn_decode(&a, ctx), aiter_context_error(ctx));
        else
            note(o, AITER_DEVICE, aiter_context_error(ctx));
    }
    memset(&c, 0, sizeof c);
    c.k = c.v = aiter_tensor_3d(AT(1), AITER_BF16, 10, 2, 128);
    c.kv.k = aiter_tensor_4d(AT(2), AITER_BF16, 9, 16, 2, 128);
    c.kv.v = aiter_tensor_4d(AT(3), AITER_BF16, 9, 16, 2, 128);
    c.slot_mapping = aiter_tensor_1d(AT(4), AITER_I32, 10);
    note(o, aiter_reshape_and_cache(&c, ctx), aiter_context_error(ctx));
    note(o, aiter_context_synchronize(ctx), aiter_context_error(ctx));
    if (pinned)
        note(o, aiter_memory_free(ctx, AITER_MEMORY_PINNED, pinned, 64), aiter_last_error());
    if (there) note(o, aiter_memory_free(ctx, on_device, there, sizeof works), aiter_last_error());
}

/* A life: a context with an arena that grows, every kind of call, the end. */
static outcome live(aiter_device device, void *stream)
{
    outcome o;
    aiter_context *ctx = NULL;
    aiter_context_desc d = fake_desc(device);
    memset(&o, 0, sizeof o);
    d.device_index = 1;
    d.stream = fake.stream = stream;
    note(&o, aiter_context_create(&d, &ctx), aiter_last_error());
    if (!ctx) return o;
    aiter_flash_attn_fwd_args a = dense(1, 1, 4096, 4, 4, 128);
    a.num_splits = 8;
    note(&o, aiter_flash_attn_fwd(&a, ctx), aiter_context_error(ctx));
    a = dense(4, 1, 4096, 4, 4, 128);
    a.num_splits = 16;
    note(&o, aiter_flash_attn_fwd(&a, ctx), aiter_context_error(ctx));
    aiter_merge_attn_states_args m;
    memset(&m, 0, sizeof m);
    m.out_a = m.out = aiter_tensor_3d(AT(1), AITER_BF16, 10, 6, 128);
    m.out_b = aiter_tensor_3d(AT(2), AITER_BF16, 10, 6, 128);
    m.lse_a = aiter_tensor_2d(AT(3), AITER_F32, 6, 10);
    m.lse_b = aiter_tensor_2d(AT(4), AITER_F32, 6, 10);
    note(&o, aiter_merge_attn_states(&m, ctx), aiter_context_error(ctx));
    live_with_memory(ctx, &o);
    aiter_context_destroy(ctx);
    return o;
}

/* Failures that a call may shrug off: what is merely unknown, and what comes when all is over. */
static int may_pass(int id, int code)
{
    return id == FAKE_device_attribute || id == FAKE_hip_properties_6 ||
           id == FAKE_hip_properties_5 || id == FAKE_hip_last_error || id == FAKE_stream_wait ||
           id == FAKE_memory_free || id == FAKE_module_unload || id == FAKE_cuda_primary_release ||
           id == FAKE_hip_set_device || id == FAKE_cuda_set_current ||
           ((id == FAKE_hip_get_device || id == FAKE_cuda_get_current) && code != 0);
}

/* What a failing clean-up call itself keeps. */
static int may_leave(int id)
{
    return id == FAKE_memory_free || id == FAKE_module_unload || id == FAKE_cuda_primary_release ||
           id == FAKE_hip_get_device || id == FAKE_cuda_get_current || id == FAKE_hip_set_device ||
           id == FAKE_cuda_set_current;
}

static void fail_at(aiter_device device, void *stream, int id, int n, int code,
                    aiter_status expected)
{
    fake_reset();
    fake.arch = "gfx950";
    fake.fail_id = id;
    fake.fail_at = n;
    fake.fail_code = code;
    const outcome o = live(device, stream);
    if (!fake.failed) return;
    CHECK(o.failed > 0 || may_pass(id, code), "%s at %d: nobody noticed", fake_fields[id], n);
    if (o.failed && id != FAKE_module_global && id != FAKE_device_attribute &&
        id != FAKE_hip_properties_6)
        CHECK(o.status == expected && strstr(o.text, "fakeError"), "%s at %d: %s: %s",
              fake_fields[id], n, aiter_status_name(o.status), o.text);
    CHECK(o.failed <= 1 || id == FAKE_hip_set_device || id == FAKE_cuda_set_current,
          "%s at %d: %d calls failed", fake_fields[id], n, o.failed);
    CHECK(!aiteri_devices, "%s at %d: a record is left", fake_fields[id], n);
    if (!may_leave(id))
        CHECK(fake.live_blocks == 0 && fake.live_modules == 0 && fake.retained == 0,
              "%s at %d: %d blocks, %d modules, %d contexts are left", fake_fields[id], n,
              (int)fake.live_blocks, (int)fake.live_modules, (int)fake.retained);
    if (id != FAKE_hip_set_device && id != FAKE_cuda_set_current)
        CHECK(fake_current == 0, "%s at %d: %d is left current", fake_fields[id], n, fake_current);
    fake.fail_id = -1;
    const outcome again = live(device, stream);
    CHECK(again.failed == 0, "%s at %d, afterwards: %s", fake_fields[id], n, again.text);
}

static int used[FAKE_IDS]; /* some life called it */

static void every_call_fails(aiter_device device, void *stream)
{
    for (int id = 0; id < FAKE_IDS; id++) {
        fake_reset();
        live(device, stream);
        const int uses = fake.calls[id];
        used[id] |= uses > 0;
        for (int n = 1; n <= uses; n++) fail_at(device, stream, id, n, 999, AITER_DEVICE);
    }
}

static void codes(aiter_device device)
{
    static const struct {
        int id, code;
        aiter_status status;
        const char *word;
    } rows[] = {{FAKE_memory_alloc, 2, AITER_OUT_OF_MEMORY, "lloc"},
                {FAKE_launch, 2, AITER_OUT_OF_MEMORY, "launch"},
                {FAKE_launch, 700, AITER_DEVICE, "the device is lost"},
                {FAKE_launch, 719, AITER_DEVICE, "the CPU still works"},
                {FAKE_launch, 214, AITER_DEVICE, "the device is lost"},
                {FAKE_module_load, 209, AITER_NO_KERNEL, "aiter_"},
                {FAKE_module_load, 218, AITER_NO_KERNEL, "aiter_"},
                {FAKE_module_load, 222, AITER_NO_KERNEL, "aiter_"},
                {FAKE_module_load, 2, AITER_OUT_OF_MEMORY, "aiter_"},
                {FAKE_module_function, 500, AITER_NO_KERNEL, "aiteri_flash_fwd"},
                {FAKE_memory_read, 700, AITER_DEVICE, "the device is lost"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fake_reset();
        fake.fail_id = rows[i].id;
        fake.fail_at = 1;
        fake.fail_code = rows[i].code;
        const outcome o = live(device, NULL);
        CHECK(o.failed == 1 && o.status == rows[i].status, "%s %d: %s: %s", fake_fields[rows[i].id],
              rows[i].code, aiter_status_name(o.status), o.text);
        const char *word = strcmp(rows[i].word, "launch") == 0 ? "aunch" : rows[i].word;
        CHECK(strstr(o.text, word), "\"%s\" has no %s", o.text, word);
    }
}

/* ---- the caller's hooks ---- */

typedef struct hook_state {
    int64_t host, device;
    int refuse;
} hook_state;

static void *hook_alloc(void *user, size_t bytes, size_t align, aiter_memory kind)
{
    hook_state *h = (hook_state *)user;
    CHECK(align >= 64 && (align & (align - 1)) == 0, "align %zu", align);
    if (kind != AITER_MEMORY_DEVICE) {
        h->host++;
        return malloc(bytes);
    }
    if (h->refuse) return NULL;
    h->device++;
    return AT(20 + h->device);
}

static void hook_free(void *user, void *ptr, size_t bytes, aiter_memory kind)
{
    hook_state *h = (hook_state *)user;
    (void)bytes;
    if (kind == AITER_MEMORY_DEVICE) {
        h->device--;
        return;
    }
    h->host--;
    free(ptr);
}

static void hooks(aiter_device device)
{
    hook_state h = {0, 0, 0};
    aiter_context *ctx = NULL;
    aiteri_gpu_attention x;
    fake_reset();
    aiter_context_desc d = fake_desc(device);
    d.alloc = hook_alloc;
    d.free = hook_free;
    d.user = &h;
    CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
    aiter_flash_attn_fwd_args a = dense(1, 1, 4096, 4, 4, 128);
    a.num_splits = 8;
    CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    memcpy(&x, last_launch(0)->args, sizeof x);
    CHECK(h.device == 1 && x.split.o == (uintptr_t)AT(21) && fake.allocated == 0, "not the hook's");
    for (int n = 16; n < 28; n++) {
        const int launches = fake.launches;
        h.refuse = 1;
        a.num_splits = n;
        CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OUT_OF_MEMORY && fake.launches == launches,
              "%s", aiter_context_error(ctx));
    }
    h.refuse = 0;
    CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK, "%s", aiter_context_error(ctx));
    close_context(ctx);
    CHECK(h.host == 0 && h.device == 0, "%d host and %d device blocks are left", (int)h.host,
          (int)h.device);
}

/* ---- threads ---- */

/* Contexts come and go, on one device or the other, and each loads what it needs. */
static void *thread_main(void *arg)
{
    aiter_context *ctx = NULL;
    aiter_context_desc d = *(const aiter_context_desc *)arg;
    int64_t bad = 0;
    for (int round = 0; round < 50; round++) {
        aiter_flash_attn_fwd_args a = dense(1, 4, 4, 4, 4, 128);
        bad += aiter_context_create(&d, &ctx) != AITER_OK;
        for (int i = 0; i < 3; i++) bad += aiter_flash_attn_fwd(&a, ctx) != AITER_OK;
        aiter_context_destroy(ctx);
        d.device_index = 1 - d.device_index;
    }
    return (void *)(uintptr_t)bad;
}

static void run_threads(const aiter_context_desc *desc)
{
    aiter_context_desc d[4];
    pthread_t thread[4];
    void *bad = NULL;
    for (int i = 0; i < 4; i++) {
        d[i] = *desc;
        d[i].device_index = i % 2;
        pthread_create(&thread[i], NULL, thread_main, &d[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], &bad);
        CHECK(bad == NULL, "%d calls of thread %d failed", (int)(uintptr_t)bad, i);
    }
}

static void threads(aiter_device device)
{
    const int first = device == AITER_DEVICE_CUDA; /* what is current when device 0 is */
    fake_reset();
    aiter_context_desc d = fake_desc(device);
    run_threads(&d);
    CHECK(fake.launches_on[first] == 300 && fake.launches_on[first + 1] == 300,
          "%d and %d launches", fake.launches_on[first], fake.launches_on[first + 1]);
    CHECK(!aiteri_devices && fake.live_modules == 0, "left");

    /* While a context of each device stays, a kernel is loaded once for all threads. */
    aiter_context *keep[2] = {NULL, NULL};
    fake_reset();
    d = fake_desc(device);
    for (int i = 0; i < 2; i++) {
        d.device_index = i;
        CHECK(aiter_context_create(&d, &keep[i]) == AITER_OK, "%s", aiter_last_error());
    }
    run_threads(&d);
    CHECK(fake.calls[FAKE_module_load] == 2 && fake.calls[FAKE_module_function] == 2,
          "%d modules and %d kernels loaded for 2 devices", fake.calls[FAKE_module_load],
          fake.calls[FAKE_module_function]);
    for (int i = 0; i < 2; i++) aiter_context_destroy(keep[i]);
    CHECK(!aiteri_devices && fake.live_modules == 0, "left");
}

/* The names of a failure, and what only older runtimes are asked. */
static int in_no_life(int id)
{
    return id == FAKE_hip_error_name || id == FAKE_hip_error_string || id == FAKE_cuda_error_name ||
           id == FAKE_cuda_error_string || id == FAKE_hip_properties_5;
}

int main(void)
{
    test_begin("gpu_failures", 1);
    for (int i = AITER_DEVICE_HIP; i <= AITER_DEVICE_CUDA; i++) {
        const aiter_device device = (aiter_device)i;
        every_call_fails(device, NULL);
        codes(device);
        hooks(device);
        threads(device);
    }
    every_call_fails(AITER_DEVICE_CUDA, (void *)0x90);
    for (int id = 0; id < FAKE_IDS; id++)
        CHECK(used[id] || in_no_life(id), "%s never failed", fake_fields[id]);
    return test_end();
}
