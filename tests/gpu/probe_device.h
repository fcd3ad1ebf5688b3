/* probe_device.h -- device memory and launches for a probe: libcuda by dlopen, or, with PROBE_HOST,
 * a kernel that was compiled for the host. Any failure ends the program: it is a probe. */
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

#include <dlfcn.h>

static struct {
    int (*init)(unsigned), (*device_get)(int *, int), (*retain)(void **, int), (*current)(void *);
    int (*load)(void **, const void *, unsigned, int *, void **);
    int (*function)(void **, void *, const char *), (*attribute)(void *, int, int);
    int (*alloc)(uint64_t *, size_t), (*release)(uint64_t);
    int (*write)(uint64_t, const void *, size_t), (*read)(void *, uint64_t, size_t);
    int (*launch)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                  void *, void **, void **);
    int (*wait)(void);
    void *kernel;
    int threads, lds;
} cuda;

static void *cuda_symbol(void *library, const char *name)
{
    void *p = dlsym(library, name);
    if (!p) probe_die(name, -1);
    return p;
}

static void must(const char *what, int code)
{
    if (code) probe_die(what, code);
}

static char *read_text(const char *file)
{
    FILE *f = fopen(file, "rb");
    char *text;
    long n;
    if (!f || fseek(f, 0, SEEK_END) || (n = ftell(f)) < 0 || fseek(f, 0, SEEK_SET))
        probe_die(file, -1);
    text = (char *)calloc((size_t)n + 1, 1);
    if (fread(text, 1, (size_t)n, f) != (size_t)n) probe_die(file, -1);
    fclose(f);
    return text;
}

static void cuda_bind(void)
{
    void *l = dlopen("libcuda.so.1", RTLD_NOW);
    if (!l) probe_die("libcuda.so.1", -1);
    *(void **)&cuda.init = cuda_symbol(l, "cuInit");
    *(void **)&cuda.device_get = cuda_symbol(l, "cuDeviceGet");
    *(void **)&cuda.retain = cuda_symbol(l, "cuDevicePrimaryCtxRetain");
    *(void **)&cuda.current = cuda_symbol(l, "cuCtxSetCurrent");
    *(void **)&cuda.load = cuda_symbol(l, "cuModuleLoadDataEx");
    *(void **)&cuda.function = cuda_symbol(l, "cuModuleGetFunction");
    *(void **)&cuda.attribute = cuda_symbol(l, "cuFuncSetAttribute");
    *(void **)&cuda.alloc = cuda_symbol(l, "cuMemAlloc_v2");
    *(void **)&cuda.release = cuda_symbol(l, "cuMemFree_v2");
    *(void **)&cuda.write = cuda_symbol(l, "cuMemcpyHtoD_v2");
    *(void **)&cuda.read = cuda_symbol(l, "cuMemcpyDtoH_v2");
    *(void **)&cuda.launch = cuda_symbol(l, "cuLaunchKernel");
    *(void **)&cuda.wait = cuda_symbol(l, "cuCtxSynchronize");
}

static void device_open(const char *file, const char *symbol, int threads, int lds)
{
    static char log[8192];
    int options[] = {5, 6}; /* error log buffer and its size */
    void *values[] = {log, (void *)(uintptr_t)sizeof log}, *context, *module;
    int device, code;
    char *text = read_text(file);
    cuda_bind();
    must("cuInit", cuda.init(0));
    must("cuDeviceGet", cuda.device_get(&device, 0));
    must("cuDevicePrimaryCtxRetain", cuda.retain(&context, device));
    must("cuCtxSetCurrent", cuda.current(context));
    code = cuda.load(&module, text, 2, options, values);
    if (code) fprintf(stderr, "%s\n", log);
    must("cuModuleLoadDataEx", code);
    must(symbol, cuda.function(&cuda.kernel, module, symbol));
    must("cuFuncSetAttribute", cuda.attribute(cuda.kernel, 8, lds));
    cuda.threads = threads;
    cuda.lds = lds;
    free(text);
}

static void device_launch(aiteri_gpu_attention *a, int workgroups)
{
    void *parameters[] = {a};
    must("cuLaunchKernel",
         cuda.launch(cuda.kernel, (unsigned)workgroups, 1, 1, (unsigned)cuda.threads, 1, 1,
                     (unsigned)cuda.lds, NULL, parameters, NULL));
    must("kernel", cuda.wait());
}

static uint64_t device_new(size_t bytes)
{
    uint64_t p = 0;
    must("cuMemAlloc", cuda.alloc(&p, bytes));
    return p;
}
static void device_delete(uint64_t p) { must("cuMemFree", cuda.release(p)); }
static void device_write(uint64_t to, const void *from, size_t n)
{
    must("cuMemcpyHtoD", cuda.write(to, from, n));
}
static void device_read(void *to, uint64_t from, size_t n)
{
    must("cuMemcpyDtoH", cuda.read(to, from, n));
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
