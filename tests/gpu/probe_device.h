/* probe_device.h -- device memory and launches for a probe of one kernel, or, with PROBE_HOST, of a
 * kernel that was compiled for the host. Any failure ends the program: it is a probe. */
#ifndef PROBE_DEVICE_H
#define PROBE_DEVICE_H

typedef struct buffer {
    void *host;
    uint64_t device;
    size_t bytes;
} buffer;

static void probe_die(const char *what, int code)
{
    fprintf(stderr, "%s: error %d\n", what, code);
    exit(2);
}

#if defined(PROBE_HOST)

void aiteri_host_launch(const aiteri_gpu_attention *a, int workgroups);

static void device_open(const char *file, const char *symbol, int threads, int lds)
{
    (void)file, (void)symbol, (void)threads, (void)lds;
}
static void device_launch(aiteri_gpu_attention *a, int workgroups)
{
    aiteri_host_launch(a, workgroups);
}
static uint64_t device_new(size_t bytes) { return (uint64_t)(uintptr_t)malloc(bytes); }
static void device_delete(uint64_t p) { free((void *)(uintptr_t)p); }
static void device_write(uint64_t to, const void *from, size_t n)
{
    memcpy((void *)(uintptr_t)to, from, n);
}
static void device_read(void *to, uint64_t from, size_t n)
{
    memcpy(to, (const void *)(uintptr_t)from, n);
}

#else

#include "probe_driver.h"

static struct {
    void *function;
    const char *name;
    int threads, lds;
} kernel;

static void device_open(const char *file, const char *symbol, int threads, int lds)
{
    driver_open();
    must(symbol, driver.function(&kernel.function, driver_load(file), symbol));
    kernel.name = symbol;
    kernel.threads = threads;
    kernel.lds = lds;
}

static void device_launch(aiteri_gpu_attention *a, int workgroups)
{
    driver_run(kernel.name, kernel.function, workgroups, kernel.threads, kernel.lds, a);
}

static uint64_t device_new(size_t bytes)
{
    uint64_t p = 0;
    must("memory", driver.alloc(&p, bytes));
    return p;
}
static void device_delete(uint64_t p) { must("memory", driver.release(p)); }
static void device_write(uint64_t to, const void *from, size_t n)
{
    must("to the device", driver.write(to, from, n));
}
static void device_read(void *to, uint64_t from, size_t n)
{
    must("from the device", driver.read(to, from, n));
}

#endif

/* Host memory of a buffer; fill it, then buffer_send gives its address on the device. */
static void *buffer_new(buffer *b, size_t bytes)
{
    b->bytes = bytes;
    b->host = calloc(bytes, 1);
    if (!b->host) probe_die("calloc", -1);
    return b->host;
}

static uint64_t buffer_send(buffer *b)
{
    b->device = device_new(b->bytes);
    device_write(b->device, b->host, b->bytes);
    return b->device;
}

static void buffer_fetch(buffer *b)
{
    if (b->device) device_read(b->host, b->device, b->bytes);
}

static void buffer_free(buffer *b)
{
    if (b->device) device_delete(b->device);
    free(b->host);
}

#endif /* PROBE_DEVICE_H */
