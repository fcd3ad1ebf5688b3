/* test_memory.c -- memory and copies where a context computes: host memory on the CPU, the driver's
 * on a device (gpu/fake_driver.h stands in for what aiteri_drivers opens), the caller's hooks in
 * both cases. */
#include "gpu/device_calls.h"

typedef struct hooks {
    int64_t live[3];
} hooks;

static void *hook_alloc(void *user, size_t bytes, size_t align, aiter_memory kind)
{
    void *p = NULL;
    ((hooks *)user)->live[kind] += (int64_t)bytes;
    return posix_memalign(&p, align < sizeof(void *) ? sizeof(void *) : align, bytes) ? NULL : p;
}

static void hook_free(void *user, void *data, size_t bytes, aiter_memory kind)
{
    ((hooks *)user)->live[kind] -= (int64_t)bytes;
    free(data);
}

static const aiter_memory kinds[3] = {AITER_MEMORY_HOST, AITER_MEMORY_DEVICE, AITER_MEMORY_PINNED};

/* On the CPU every kind is memory like any other. */
static void on_the_cpu(aiter_context *ctx)
{
    for (int i = 0; i < 3; i++) {
        void *a = NULL, *b = NULL;
        CHECK(aiter_memory_alloc(ctx, kinds[i], 5000, &a) == AITER_OK, "%s", aiter_last_error());
        CHECK(aiter_memory_alloc(ctx, kinds[i], 5000, &b) == AITER_OK, "%s", aiter_last_error());
        memset(a, 17 + i, 5000);
        memset(b, 0, 5000);
        CHECK(aiter_memory_copy(ctx, b, kinds[i], a, kinds[i], 4999) == AITER_OK, "copy");
        CHECK(aiter_context_synchronize(ctx) == AITER_OK, "wait");
        CHECK(memcmp(a, b, 4999) == 0 && ((char *)b)[4999] == 0, "kind %d: another copy", i);
        for (size_t n = 1; n <= 64; n++) {
            memset(b, 0, 65);
            CHECK(aiter_memory_copy(ctx, b, kinds[i], a, kinds[(i + (int)n) % 3], n) == AITER_OK &&
                      memcmp(a, b, n) == 0 && ((char *)b)[n] == 0,
                  "a copy of %zu bytes", n);
        }
        CHECK(aiter_memory_free(ctx, kinds[i], a, 5000) == AITER_OK, "free");
        CHECK(aiter_memory_free(ctx, kinds[i], b, 5000) == AITER_OK, "free");
        for (size_t n = 0; n < 6; n++)
            CHECK(aiter_memory_free(ctx, kinds[i], NULL, n) == AITER_OK, "free of nothing");
    }
}

static void refused(aiter_context *ctx)
{
    char byte;
    void *p = &byte;
    const aiter_memory none = (aiter_memory)9;
    const aiter_memory host = AITER_MEMORY_HOST;
    CHECK(aiter_memory_alloc(ctx, host, 8, NULL) == AITER_INVALID_ARGUMENT, "no place");
    CHECK(strstr(aiter_last_error(), ".out"), "%s", aiter_last_error());
    for (int i = 0; i < 3; i++) {
        CHECK(aiter_memory_alloc(ctx, kinds[i], 0, &p) == AITER_INVALID_ARGUMENT && !p, "no bytes");
        CHECK(strstr(aiter_last_error(), ".bytes"), "%s", aiter_last_error());
    }
    for (int i = -3; i <= 7; i++) {
        const aiter_memory kind = (aiter_memory)(i < 0 ? i : i + 3);
        CHECK(aiter_memory_alloc(ctx, kind, 8, &p) == AITER_INVALID_ARGUMENT && !p, "kind");
        CHECK(strstr(aiter_last_error(), ".kind"), "%s", aiter_last_error());
        CHECK(aiter_memory_free(ctx, kind, &byte, 8) == AITER_INVALID_ARGUMENT, "kind");
    }
    CHECK(aiter_memory_copy(ctx, NULL, host, &byte, host, 1) == AITER_INVALID_ARGUMENT, "to");
    CHECK(strstr(aiter_last_error(), ".to"), "%s", aiter_last_error());
    CHECK(aiter_memory_copy(ctx, &byte, host, NULL, host, 1) == AITER_INVALID_ARGUMENT, "from");
    CHECK(aiter_memory_copy(ctx, &byte, none, &byte, host, 1) == AITER_INVALID_ARGUMENT, "kind");
    CHECK(aiter_memory_copy(ctx, NULL, host, NULL, host, 0) == AITER_OK, "a copy of nothing");
}

/* Which driver call serves what. */
static void on_a_device(aiter_device device)
{
    fake_reset();
    aiter_context *ctx = device_context(device);
    const int into = device == AITER_DEVICE_HIP ? FAKE_hip_copy_in : FAKE_cuda_copy_in;
    char host[64];
    void *there = NULL, *pinned = NULL;
    CHECK(aiter_memory_alloc(ctx, AITER_MEMORY_DEVICE, 64, &there) == AITER_OK, "device");
    CHECK(fake.calls[FAKE_memory_alloc] == 1 && fake.live_bytes == 64, "the driver's memory");
    CHECK(aiter_memory_alloc(ctx, AITER_MEMORY_PINNED, 64, &pinned) == AITER_OK, "pinned");
    CHECK(fake.calls[FAKE_pinned_alloc] == 1, "the driver's pinned memory");
    CHECK(aiter_memory_copy(ctx, there, AITER_MEMORY_DEVICE, host, AITER_MEMORY_HOST, 64) ==
                  AITER_OK &&
              fake.calls[into] == 1,
          "into the device");
    CHECK(aiter_memory_copy(ctx, pinned, AITER_MEMORY_PINNED, there, AITER_MEMORY_DEVICE, 64) ==
                  AITER_OK &&
              fake.calls[FAKE_copy_out] == 1,
          "out of it");
    CHECK(aiter_memory_copy(ctx, there, AITER_MEMORY_DEVICE, there, AITER_MEMORY_DEVICE, 8) ==
                  AITER_OK &&
              fake.calls[FAKE_copy_inside] == 1,
          "inside it");
    CHECK(fake.calls[FAKE_stream_wait] == 0, "a copy waits");
    for (int n = 1; n <= 12; n++)
        CHECK(aiter_context_synchronize(ctx) == AITER_OK && fake.calls[FAKE_stream_wait] == n,
              "no wait");
    CHECK(aiter_memory_free(ctx, AITER_MEMORY_PINNED, pinned, 64) == AITER_OK &&
              fake.calls[FAKE_pinned_free] == 1,
          "pinned back");
    CHECK(aiter_memory_free(ctx, AITER_MEMORY_DEVICE, there, 64) == AITER_OK &&
              fake.live_bytes == 0,
          "device back");
    refused(ctx);
    fake.fail_id = FAKE_memory_alloc;
    fake.fail_at = fake.calls[FAKE_memory_alloc] + 1;
    fake.fail_code = 2;
    CHECK(aiter_memory_alloc(ctx, AITER_MEMORY_DEVICE, 64, &there) == AITER_OUT_OF_MEMORY, "full");
    CHECK(there == NULL, "memory that is none");
    aiter_context_destroy(ctx);
}

int main(void)
{
    hooks h = {{0, 0, 0}};
    aiter_context_desc d;
    aiter_context *ctx = NULL;
    test_begin("memory", 1e8);
    on_the_cpu(NULL);
    refused(NULL);
    memset(&d, 0, sizeof d);
    d.num_threads = 1;
    d.alloc = hook_alloc;
    d.free = hook_free;
    d.user = &h;
    CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
    on_the_cpu(ctx);
    CHECK(h.live[1] == 0 && h.live[2] == 0, "hooks' memory left");
    aiter_context_destroy(ctx);
    CHECK(h.live[0] == 0, "hooks' host memory left");
    on_a_device(AITER_DEVICE_HIP);
    on_a_device(AITER_DEVICE_CUDA);
    return test_end();
}
