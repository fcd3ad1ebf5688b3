/* probe_modules.h -- several modules, their kernels by name with the geometry that
 * instances.def states, device memory, and 16-bit numbers: for cache_ops_probe.c. Any failure of
 * the driver ends the program: it is a probe. */
#ifndef PROBE_MODULES_H
#define PROBE_MODULES_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../kernels/args.h"
#include "../../kernels/instances.def"
#include "probe_driver.h"

typedef struct instance {
    const char *symbol;
    int is_hip, threads, rows, keys, lds;
} instance;

#define PROBE_ROW(op, arch, q, kv, out, dq, dv, layout, scales, kind, source, threads, rows, keys, \
                  lds, waves)                                                                      \
    PROBE_##arch("aiteri_" #op "_" #q "_" #kv "_" #out "_" #dq "_" #dv "_" #kind, threads, rows,   \
                 keys, lds)
/* A symbol has one geometry on all chips of AMD. */
#define PROBE_SM80(symbol, threads, rows, keys, lds) {symbol, 0, threads, rows, keys, lds},
#define PROBE_SM90A(symbol, ...)                     /* has the name of a row of SM80 */
#define PROBE_CDNA(symbol, threads, rows, keys, lds) {symbol, 1, threads, rows, keys, lds},
#define PROBE_GFX90A                                 PROBE_CDNA
#define PROBE_GFX942                                 PROBE_CDNA
#define PROBE_GFX950                                 PROBE_CDNA
static const instance instances[] = {AITERI_GPU_ROWS(PROBE_ROW)};

enum { MAX_MODULES = 64 };

static struct {
    void *all[MAX_MODULES];
    int count;
} modules;

static void module_load(const char *file)
{
    must(file, modules.count == MAX_MODULES);
    modules.all[modules.count++] = driver_load(file);
}

static const instance *instance_find(const char *symbol)
{
    for (size_t i = 0; i < sizeof instances / sizeof *instances; i++)
        if (instances[i].is_hip == driver.is_hip && !strcmp(instances[i].symbol, symbol))
            return &instances[i];
    return NULL;
}

/* Launches and waits; 0 if the kernel is in no module. */
static int run_kernel(const instance *k, int64_t workgroups, void *args)
{
    void *function = NULL;
    for (int i = 0; i < modules.count && !function; i++)
        if (driver.function(&function, modules.all[i], k->symbol)) function = NULL;
    if (!function) return 0;
    if (workgroups > 0) driver_run(k->symbol, function, workgroups, k->threads, k->lds, args);
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
    must("memory", driver.alloc(&b->device, b->bytes));
    return b;
}

static uint64_t buffer_send(const buffer *b)
{
    must("to the device", driver.write(b->device, b->host, b->bytes));
    return b->device;
}

static const void *buffer_fetch(const buffer *b)
{
    must("from the device", driver.read(b->host, b->device, b->bytes));
    return b->host;
}

static void free_buffers(void)
{
    for (int i = 0; i < memory.count; i++) {
        must("memory", driver.release(memory.all[i].device));
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
