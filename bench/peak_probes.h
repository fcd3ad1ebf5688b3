/* peak_probes.h -- what the machine can do now: FMA rate, the same with operands from the
 * caches, exp rate, read bandwidth, for any number of threads and for each kernel set. */
#ifndef PEAK_PROBES_H
#define PEAK_PROBES_H

#include "bench_gang.h"

/* One head of 128 and a block of keys; rows of a multiple of 4 KB would share their cache sets. */
enum { PEAK_TILE_DIM = 128, PEAK_TILE_STRIDE = 144, PEAK_TILE_KEYS = 60 };

#define PEAK_NAME(x) peak_scalar_##x
#define PEAK_TARGET
#define PEAK_VEC          peak_float4
#define PEAK_LANES        4
#define PEAK_SET1(x)      ((peak_float4){x, x, x, x})
#define PEAK_FMA(a, b, c) ((a) * (b) + (c))
typedef float peak_float4 __attribute__((vector_size(16)));
#include "peak_stamp.inl.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define PEAK_NAME(x)      peak_avx2_##x
#define PEAK_TARGET       __attribute__((target("avx2,fma")))
#define PEAK_VEC          __m256
#define PEAK_LANES        8
#define PEAK_SET1(x)      _mm256_set1_ps(x)
#define PEAK_FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#include "peak_stamp.inl.h"
#define PEAK_NAME(x) peak_avx512_##x
/* clang 18 to 21, and so zig, split "may use zmm" out of avx512f. */
#if defined(__clang__) && __clang_major__ >= 18 && __clang_major__ < 22
#define PEAK_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,evex512")))
#else
#define PEAK_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#endif
#define PEAK_VEC          __m512
#define PEAK_LANES        16
#define PEAK_SET1(x)      _mm512_set1_ps(x)
#define PEAK_FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#include "peak_stamp.inl.h"
#elif defined(__aarch64__)
#include <arm_neon.h>
#define PEAK_NAME(x) peak_neon_##x
#define PEAK_TARGET
#define PEAK_VEC          float32x4_t
#define PEAK_LANES        4
#define PEAK_SET1(x)      vdupq_n_f32(x)
#define PEAK_FMA(a, b, c) vfmaq_f32(c, a, b)
#include "peak_stamp.inl.h"
#endif

/* One row per kernel set. The scalar set's peak is 128-bit multiply and add: what a compiler may
 * make of plain C on the baseline. */
typedef struct peak_tier {
    aiter_isa isa;
    int32_t lanes;
    void (*fma)(int64_t steps, const float *seed, float *out);
    void (*tile)(const float *k, const float *q, float *out);
    void (*exp)(const float *constants, const float *in, float *out, int32_t count);
    void (*read)(const char *base, size_t bytes, int32_t streams, float *out);
} peak_tier;

#define PEAK_ROW(ISA, lanes, name) {ISA, lanes, name##_fma, name##_tile, name##_exp, name##_read}
static const peak_tier peak_tiers[] = {
    PEAK_ROW(AITER_ISA_SCALAR, 4, peak_scalar),
#if defined(__x86_64__)
    PEAK_ROW(AITER_ISA_AVX2, 8, peak_avx2),
    PEAK_ROW(AITER_ISA_AVX512, 16, peak_avx512),
#elif defined(__aarch64__)
    PEAK_ROW(AITER_ISA_NEON, 4, peak_neon),
#endif
};

static const peak_tier *peak_tier_of(aiter_isa isa)
{
    for (size_t i = 0; i < sizeof peak_tiers / sizeof *peak_tiers; i++) {
        if (peak_tiers[i].isa == isa) return &peak_tiers[i];
    }
    return &peak_tiers[0];
}

enum {
    PEAK_EXP_COUNT = 2048,       /* in and out together stay in a first-level cache */
    PEAK_READ_BYTES = 256 << 20, /* one pass; two passes cover twice as much */
    PEAK_REPEATS = 3,            /* a probe is the best of so many short runs */
};

typedef struct peak_job {
    const peak_tier *tier;
    int64_t steps;
    int32_t streams;
    const char *base;
} peak_job;

static float peak_seed[16 * 24] __attribute__((aligned(64)));
static float peak_exp_constants[16 * 10] __attribute__((aligned(64)));
static float peak_exp_in[PEAK_EXP_COUNT] __attribute__((aligned(64)));
static float peak_tile_k[PEAK_TILE_KEYS * PEAK_TILE_STRIDE] __attribute__((aligned(64)));
static float peak_tile_q[3 * 16 * PEAK_TILE_DIM] __attribute__((aligned(64)));
static char *peak_memory;

static void peak_touch(void *arg, int32_t thread, int32_t threads)
{
    size_t words = (size_t)2 * PEAK_READ_BYTES / sizeof(uint32_t);
    uint32_t *memory = (uint32_t *)arg;
    for (size_t i = words * thread / threads; i < words * (thread + 1) / threads; i++) {
        memory[i] = (uint32_t)(i * 2654435761u) ^ 0x9e3779b9u;
    }
}

/* Fills the tables and touches the memory from the threads that will read it. Call once. */
static void peak_start(int32_t threads)
{
    static const float constants[10] = {1.44269504f, 12582912.0f, -0.693359375f, 2.12194440e-4f,
                                        1.0f / 720,  1.0f / 120,  1.0f / 24,     1.0f / 6,
                                        0.5f,        1.0f};
    for (int32_t i = 0; i < 16 * 24; i++) {
        peak_seed[i] = i < 16 ? 0.75f : i < 32 ? 0.25f : 0.5f + 0.01f * (float)i;
    }
    for (int32_t i = 0; i < 16 * 10; i++) peak_exp_constants[i] = constants[i / 16];
    for (int32_t i = 0; i < PEAK_EXP_COUNT; i++) peak_exp_in[i] = -0.01f * (float)(i + 1);
    for (int32_t i = 0; i < PEAK_TILE_KEYS * PEAK_TILE_STRIDE; i++) {
        peak_tile_k[i] = 0.5f + 0.001f * (float)(i % 61);
    }
    for (int32_t i = 0; i < 3 * 16 * PEAK_TILE_DIM; i++) {
        peak_tile_q[i] = 0.25f + 0.001f * (float)(i % 53);
    }
    if (posix_memalign((void **)&peak_memory, 4096, (size_t)2 * PEAK_READ_BYTES + 4096) != 0) {
        bench_fail("no memory for the read probe");
    }
    bench_gang_run(threads, peak_touch, peak_memory);
}

static void peak_fma_body(void *arg, int32_t thread, int32_t threads)
{
    const peak_job *job = (const peak_job *)arg;
    float out[16] __attribute__((aligned(64)));
    (void)thread, (void)threads;
    job->tier->fma(job->steps, peak_seed, out);
    bench_keep(out);
}

static void peak_tile_body(void *arg, int32_t thread, int32_t threads)
{
    const peak_job *job = (const peak_job *)arg;
    float out[16] __attribute__((aligned(64)));
    (void)thread, (void)threads;
    for (int64_t i = 0; i < job->steps; i++) {
        job->tier->tile(peak_tile_k, peak_tile_q, out);
        bench_keep(out);
    }
}

static void peak_exp_body(void *arg, int32_t thread, int32_t threads)
{
    const peak_job *job = (const peak_job *)arg;
    float out[PEAK_EXP_COUNT] __attribute__((aligned(64)));
    (void)thread, (void)threads;
    for (int64_t i = 0; i < job->steps; i++) {
        job->tier->exp(peak_exp_constants, peak_exp_in, out, PEAK_EXP_COUNT);
        bench_keep(out);
    }
}

static void peak_read_body(void *arg, int32_t thread, int32_t threads)
{
    const peak_job *job = (const peak_job *)arg;
    float out[16] __attribute__((aligned(64)));
    size_t slice = (size_t)PEAK_READ_BYTES / (size_t)threads / 4096 * 4096;
    job->tier->read(job->base + slice * (size_t)thread, slice, job->streams, out);
    bench_keep(out);
}

/* The best rate of a few short runs, in units of `work` per step per second. */
static double peak_best_rate(int32_t threads, bench_body body, peak_job *job, double work)
{
    double best = 0;
    if (job->steps == 0) job->steps = 4096;
    for (double seconds = bench_gang_run(threads, body, job); seconds < 2e-3;
         seconds = bench_gang_run(threads, body, job)) {
        job->steps *= 2;
    }
    for (int32_t i = 0; i < PEAK_REPEATS; i++) {
        double rate = work * (double)job->steps * threads / bench_gang_run(threads, body, job);
        best = rate > best ? rate : best;
    }
    return best;
}

/* Multiply-adds counted as two, per second. */
static inline double peak_fma(aiter_isa isa, int32_t threads)
{
    peak_job job = {peak_tier_of(isa), 0, 0, NULL};
    return peak_best_rate(threads, peak_fma_body, &job, 2.0 * PEAK_CHAIN_COUNT * job.tier->lanes);
}

/* Multiply-adds counted as two, per second, of operands in the first two caches. */
static inline double peak_tile(aiter_isa isa, int32_t threads)
{
    peak_job job = {peak_tier_of(isa), 64, 0, NULL};
    return peak_best_rate(threads, peak_tile_body, &job,
                          2.0 * 3 * PEAK_TILE_KEYS * PEAK_TILE_DIM * job.tier->lanes);
}

/* Exponentials per second. */
static inline double peak_exp(aiter_isa isa, int32_t threads)
{
    peak_job job = {peak_tier_of(isa), 0, 0, NULL};
    return peak_best_rate(threads, peak_exp_body, &job, PEAK_EXP_COUNT);
}

/* Bytes per second with a given number of streams: the better of two passes over fresh memory. */
static double peak_read_streams(aiter_isa isa, int32_t threads, int32_t streams)
{
    double best = 0;
    for (int32_t half = 0; half < 2; half++) {
        peak_job job = {peak_tier_of(isa), 0, streams,
                        peak_memory + (size_t)half * PEAK_READ_BYTES};
        size_t slice = (size_t)PEAK_READ_BYTES / (size_t)threads / 4096 * 4096;
        double rate = (double)slice * threads / bench_gang_run(threads, peak_read_body, &job);
        best = rate > best ? rate : best;
    }
    return best;
}

/* How many streams are best for this many threads: found once, then remembered. */
static int32_t peak_best_streams(aiter_isa isa, int32_t threads)
{
    static int32_t known[BENCH_MAX_THREADS + 1];
    if (known[threads]) return known[threads];
    double best = 0;
    for (int32_t streams = 1; streams <= 8; streams *= 2) {
        double rate = peak_read_streams(isa, threads, streams);
        if (rate > best) best = rate, known[threads] = streams;
    }
    return known[threads];
}

/* Bytes per second with the best number of streams. */
static inline double peak_read(aiter_isa isa, int32_t threads)
{
    return peak_read_streams(isa, threads, peak_best_streams(isa, threads));
}

#endif /* PEAK_PROBES_H */
