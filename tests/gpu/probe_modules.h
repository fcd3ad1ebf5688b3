/* probe_modules.h -- several PTX modules, their kernels by name with the geometry that
 * instances.def states, device memory, and 16-bit numbers: for cache_ops_probe.c. Any failure of
 * the driver ends the program: it is a probe. */
#ifndef PROBE_MODULES_H
#define PROBE_MODULES_H

#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../kernels/args.h"
#include "../../kernels/instances.def"

typedef struct instance {
    const char *symbol;
    int threads, rows, keys, lds;
} instance;

#define PROBE_ROW(op, arch, q, kv, out, dq, dv, layout, scales, kind, source, threads, rows, keys, \
                  lds, waves)                                                                      \
    PROBE_##arch("aiteri_" #op "_" #q "_" #kv "_" #out "_" #dq "_" #dv "_" #kind, threads, rows,   \
                 keys, lds)
#define PROBE_SM80(symbol, threads, rows, keys, lds) {symbol, threads, rows, keys, lds},
#define PROBE_CDNA(symbol, threads, rows, keys, lds)
#define PROBE_GFX90A(symbol, threads, rows, keys, lds)
#define PROBE_GFX942(symbol, threads, rows, keys, lds)
#define PROBE_GFX950(symbol, threads, rows, keys, lds)
static const instance instances[] = {AITERI_GPU_ROWS(PROBE_ROW)};

enum { MAX_MODULES = 64 };

static struct {
    int (*init)(unsigned), (*device_get)(int *, int), (*retain)(void **, int), (*current)(void *);
    int (*load)(void **, const void *), (*function)(void **, void *, const char *);
    int (*attribute)(void *, int, int), (*alloc)(uint64_t *, size_t), (*release)(uint64_t);
    int (*write)(uint64_t, const void *, size_t), (*read)(void *, uint64_t, size_t), (*wait)(void);
    int (*launch)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                  void *, void **, void **);
    void *module[MAX_MODULES];
    int modules;
} cuda;

static void must(const char *what, int code)
{
    if (!code) return;
    fprintf(stderr, "%s: error %d\n", what, code);
    exit(2);
}

static void cuda_open(void)
{
    const struct {
        const char *name;
        void *place;
    } symbols[] = {{"cuInit", &cuda.init},
                   {"cuDeviceGet", &cuda.device_get},
                   {"cuDevicePrimaryCtxRetain", &cuda.retain},
                   {"cuCtxSetCurrent", &cuda.current},
                   {"cuModuleLoadData", &cuda.load},
                   {"cuModuleGetFunction", &cuda.function},
                   {"cuFuncSetAttribute", &cuda.attribute},
                   {"cuMemAlloc_v2", &cuda.alloc},
                   {"cuMemFree_v2", &cuda.release},
                   {"cuMemcpyHtoD_v2", &cuda.write},
                   {"cuMemcpyDtoH_v2", &cuda.read},
                   {"cuCtxSynchronize", &cuda.wait},
                   {"cuLaunchKernel", &cuda.launch}};
    void *library = dlopen("libcuda.so.1", RTLD_NOW), *context;
    int device;
    must("libcuda.so.1", !library);
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *p = dlsym(library, symbols[i].name);
        must(symbols[i].name, !p);
        memcpy(symbols[i].place, &p, sizeof p);
    }
    must("cuInit", cuda.init(0));
    must("cuDeviceGet", cuda.device_get(&device, 0));
    must("cuDevicePrimaryCtxRetain", cuda.retain(&context, device));
    must("cuCtxSetCurrent", cuda.current(context));
}

static void module_load(const char *file)
{
    FILE *f = fopen(file, "rb");
    char *text;
    long n;
    must(file, !f || cuda.modules == MAX_MODULES);
    must(file, fseek(f, 0, SEEK_END) || (n = ftell(f)) < 0 || fseek(f, 0, SEEK_SET));
    text = (char *)calloc((size_t)n + 1, 1);
    must(file, !text || fread(text, 1, (size_t)n, f) != (size_t)n);
    must(file, cuda.load(&cuda.module[cuda.modules++], text));
    fclose(f);
    free(text);
}

static const instance *instance_find(const char *symbol)
{
    for (size_t i = 0; i < sizeof instances / sizeof *instances; i++)
        if (!strcmp(instances[i].symbol, symbol)) return &instances[i];
    return NULL;
}

/* Launches and waits; 0 if the kernel is in no module. */
static int run_kernel(const instance *k, int64_t workgroups, void *args)
{
    void *function = NULL, *parameters[] = {args};
    for (int i = 0; i < cuda.modules && !function; i++)
        if (cuda.function(&function, cuda.module[i], k->symbol)) function = NULL;
    if (!function) return 0;
    if (workgroups == 0) return 1;
    must("cuFuncSetAttribute", cuda.attribute(function, 8, k->lds));
    must(k->symbol, cuda.launch(function, (unsigned)workgroups, 1, 1, (unsigned)k->threads, 1, 1,
                                (unsigned)k->lds, NULL, parameters, NULL));
    must(k->symbol, cuda.wait());
    return 1;
}

/* ---- memory: a host copy, and the device's once it is sent ---- */

typedef struct buffer {
    void *host;
    uint64_t device;
    size_t bytes;
} buffer;

enum { MAX_BUFFERS = 32 };
static struct {
    buffer all[MAX_BUFFERS];
    int count;
} memory;

/* Every byte 0xff: NaN in every type. */
static buffer *buffer_new(int64_t elements, int element_bytes)
{
    buffer *b = &memory.all[memory.count++];
    must("too many buffers", memory.count > MAX_BUFFERS);
    b->bytes = (size_t)(elements * element_bytes) + 64;
    b->host = malloc(b->bytes);
    must("malloc", !b->host);
    memset(b->host, 0xff, b->bytes);
    must("cuMemAlloc", cuda.alloc(&b->device, b->bytes));
    return b;
}

static uint64_t buffer_send(const buffer *b)
{
    must("cuMemcpyHtoD", cuda.write(b->device, b->host, b->bytes));
    return b->device;
}

static const void *buffer_fetch(const buffer *b)
{
    must("cuMemcpyDtoH", cuda.read(b->host, b->device, b->bytes));
    return b->host;
}

static void free_buffers(void)
{
    for (int i = 0; i < memory.count; i++) {
        must("cuMemFree", cuda.release(memory.all[i].device));
        free(memory.all[i].host);
    }
    memory.count = 0;
}

/* ---- numbers ---- */

typedef enum { F32, F16, BF16, I8, TYPES } number;
static const char *const type_names[TYPES] = {"f32", "f16", "bf16", "i8"};
static const int type_bytes[TYPES] = {4, 2, 2, 1};
/* Half a unit in the last place of 1, and the smallest step. */
static const double half_unit[TYPES] = {1.0 / 16777216, 1.0 / 2048, 1.0 / 256, 0};
static const double least_step[TYPES] = {1.2e-38, 1.0 / 16777216, 1.2e-38, 0};

static double random_unit(void) /* (-1, 1) */
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(int64_t)state / 9223372036854775808.0;
}

static double get(const void *data, number type, int64_t at)
{
    if (type == F32) return ((const float *)data)[at];
    if (type == I8) return ((const int8_t *)data)[at];
    const uint16_t u = ((const uint16_t *)data)[at];
    const int bits = type == BF16 ? 7 : 10, bias = type == BF16 ? 127 : 15;
    const int exponent = (u & 0x7fff) >> bits, fraction = u & ((1 << bits) - 1);
    double x = exponent ? ldexp(1 + ldexp(fraction, -bits), exponent - bias)
                        : ldexp(fraction, 1 - bias - bits);
    if (exponent == (type == BF16 ? 255 : 31)) x = fraction ? NAN : INFINITY;
    return u >> 15 ? -x : x;
}

/* Rounds to nearest even. */
static void put(void *data, number type, int64_t at, double x)
{
    if (type == F32) {
        ((float *)data)[at] = (float)x;
    } else if (type == I8) {
        ((int8_t *)data)[at] = (int8_t)fmax(-127, fmin(127, nearbyint(x)));
    } else {
        const int bits = type == BF16 ? 7 : 10, bias = type == BF16 ? 127 : 15;
        int exponent;
        frexp(x, &exponent);
        exponent = x == 0 || exponent - 1 < 1 - bias ? 1 - bias : exponent - 1;
        const double steps = nearbyint(ldexp(fabs(x), bits - exponent));
        const uint32_t code = (uint32_t)((exponent + bias - 1) * (1 << bits)) + (uint32_t)steps;
        ((uint16_t *)data)[at] = (uint16_t)((x < 0) << 15 | code);
    }
}

/* ---- verdicts ---- */

static struct {
    int cases, failed;
    double worst; /* error / bound of the current case */
    int64_t compared, wrong;
    char first[200];
} verdict;

static void judge(double got, double want, double bound, const char *what, int64_t at)
{
    const int same = got == want || (isnan(got) && isnan(want));
    const double error = fabs(got - want);
    verdict.compared++;
    if (!same && error / bound > verdict.worst) verdict.worst = error / bound;
    if (same || error <= bound) return;
    if (verdict.wrong++ == 0)
        snprintf(verdict.first, sizeof verdict.first,
                 "%s %lld: got %.9g, expected %.9g within %.2e", what, (long long)at, got, want,
                 bound);
}

static void case_end(const char *name, int ran)
{
    const int failed = !ran || verdict.wrong;
    printf("%-56s %9lld numbers, worst error %5.1f %% of its bound  %s\n", name,
           (long long)verdict.compared, 100 * verdict.worst, failed ? "FAILED" : "ok");
    if (!ran) printf("    no such kernel in the modules given\n");
    if (verdict.wrong)
        printf("    %lld wrong; first: %s\n", (long long)verdict.wrong, verdict.first);
    verdict.cases++;
    verdict.failed += failed;
    verdict.worst = 0;
    verdict.compared = verdict.wrong = 0;
    free_buffers();
}

#endif /* PROBE_MODULES_H */
