/* probe_driver.h -- the driver that a probe speaks to, opened at run time: libcuda, or, where
 * AITER_ATTN_HIP_LIBRARY names a library with HIP's entry points (AMD's, or the emulator of
 * tests/cdna), that. Any failure ends the program: it is a probe. */
#ifndef PROBE_DRIVER_H
#define PROBE_DRIVER_H

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* CALL(field, CUDA's name, HIP's name, parameters): equal parameters, as far as a machine sees. */
#define PROBE_CALLS(CALL)                                                                          \
    CALL(init, "cuInit", "hipInit", (unsigned))                                                    \
    CALL(device_get, "cuDeviceGet", "hipDeviceGet", (int *, int))                                  \
    CALL(load, "cuModuleLoadData", "hipModuleLoadData", (void **, const void *))                   \
    CALL(function, "cuModuleGetFunction", "hipModuleGetFunction", (void **, void *, const char *)) \
    CALL(alloc, "cuMemAlloc_v2", "hipMalloc", (uint64_t *, size_t))                                \
    CALL(release, "cuMemFree_v2", "hipFree", (uint64_t))                                           \
    CALL(write, "cuMemcpyHtoD_v2", "hipMemcpyHtoD", (uint64_t, const void *, size_t))              \
    CALL(read, "cuMemcpyDtoH_v2", "hipMemcpyDtoH", (void *, uint64_t, size_t))                     \
    CALL(wait, "cuCtxSynchronize", "hipDeviceSynchronize", (void))                                 \
    CALL(launch, "cuLaunchKernel", "hipModuleLaunchKernel",                                        \
         (void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *,    \
          void **, void **))

static struct {
#define PROBE_FIELD(field, cuda, hip, parameters) int(*field) parameters;
    PROBE_CALLS(PROBE_FIELD)
    int is_hip;
    int (*limit)(void *, int, int); /* CUDA alone: raises a kernel's shared memory */
    int (*reports)(char *, size_t); /* the emulator alone */
} driver;

static void must(const char *what, int code)
{
    char text[4000] = "";
    if (!code) return;
    if (driver.reports) driver.reports(text, sizeof text);
    fprintf(stderr, "%s: error %d\n%s", what, code, text);
    exit(2);
}

static void driver_symbol(void *library, const char *name, void *place)
{
    void *p = dlsym(library, name);
    must(name, !p);
    memcpy(place, &p, sizeof p);
}

static void driver_open(void)
{
    const char *hip = getenv("AITER_ATTN_HIP_LIBRARY"), *name = hip ? hip : "libcuda.so.1";
    int (*retain)(void **, int), (*current)(void *);
    void *library = dlopen(name, RTLD_NOW), *context;
    int device;
    must(name, !library);
    driver.is_hip = hip != NULL;
#define PROBE_SYMBOL(field, cuda, hip, parameters) \
    driver_symbol(library, driver.is_hip ? hip : cuda, &driver.field);
    PROBE_CALLS(PROBE_SYMBOL)
    must("init", driver.init(0));
    must("device", driver.device_get(&device, 0));
    if (driver.is_hip) { /* device 0 is current */
        if (dlsym(library, "cdna_reports")) driver_symbol(library, "cdna_reports", &driver.reports);
        return;
    }
    driver_symbol(library, "cuFuncSetAttribute", &driver.limit);
    driver_symbol(library, "cuDevicePrimaryCtxRetain", &retain);
    driver_symbol(library, "cuCtxSetCurrent", &current);
    must("context", retain(&context, device));
    must("context", current(context));
}

/* A PTX file or a code object. */
static void *driver_load(const char *file)
{
    FILE *f = fopen(file, "rb");
    char *image;
    void *module;
    long n = 0;
    must(file, !f);
    must(file, fseek(f, 0, SEEK_END) || (n = ftell(f)) < 0 || fseek(f, 0, SEEK_SET));
    image = (char *)calloc((size_t)n + 1, 1);
    must(file, !image || fread(image, 1, (size_t)n, f) != (size_t)n);
    must(file, driver.load(&module, image));
    fclose(f);
    if (!driver.is_hip) free(image); /* AMD's runtime loads a kernel when it is first asked for */
    return module;
}

/* Launches and waits. lds: what NVIDIA's kernels find as dynamic shared memory. */
static void driver_run(const char *name, void *kernel, int64_t groups, int threads, int lds,
                       void *args)
{
    void *parameters[] = {args};
    if (driver.is_hip) lds = 0;
    if (driver.limit) must("cuFuncSetAttribute", driver.limit(kernel, 8, lds));
    must(name, driver.launch(kernel, (unsigned)groups, 1, 1, (unsigned)threads, 1, 1, (unsigned)lds,
                             NULL, parameters, NULL));
    must(name, driver.wait());
    must(name, driver.reports ? driver.reports(NULL, 0) : 0);
}

#endif /* PROBE_DRIVER_H */
