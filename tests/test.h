/* test.h -- the frame every test program stands on: counts, budget, tiers, random numbers, memory
 * that notices stray accesses. It brings the header under test, with its implementation. Nothing
 * here asks the compiler about NaN or infinity: the programs also run when compiled with
 * -ffast-math, so floats are judged by their bits. */
#ifndef AITER_TEST_H
#define AITER_TEST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* fdopen, mmap, MAP_ANONYMOUS under -std=c11 */
#endif
#include "asserts.h"

#define AITER_ATTN_IMPLEMENTATION
#ifndef AITER_TEST_HEADER
#define AITER_TEST_HEADER "../src/spine.h"
#endif
#include AITER_TEST_HEADER

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if !defined(TEST_PLAIN_MEMORY) && (defined(__unix__) || defined(__APPLE__)) /* fuzzers: malloc */
#define TEST_POSIX 1
#include <sys/mman.h>
#include <unistd.h>
#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif
#else
#define TEST_POSIX 0
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define TEST_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_SANITIZED 1
#endif
#ifndef TEST_SANITIZED
#define TEST_SANITIZED 0
#endif

/* ---- counts and output ---- */

typedef struct test_state {
    const char *program;
    FILE *out;    /* where the test writes; descriptors 1 and 2 belong to the library meanwhile */
    FILE *caught; /* what arrived on descriptors 1 and 2 */
    char out_path[32];
    int64_t passed, failed;
    int64_t cases, skipped; /* cases run, cases left out because the budget was spent */
    int64_t stop;           /* failures after which the program ends; 0: none */
    double budget, spent, limit;
} test_state;

static test_state test_global;

static inline void test_say(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vfprintf(test_global.out, format, list);
    va_end(list);
    fflush(test_global.out);
}

/* AITER_TEST_STOP failures are enough for who only asks whether a fault is noticed. */
static inline void test_stop(void)
{
    test_say("%" PRId64 " passed, %" PRId64 " failed\n", test_global.passed, test_global.failed);
#if TEST_POSIX
    _exit(1); /* other threads may be at work */
#else
    exit(1);
#endif
}

static inline int test_record(int good, const char *file, int line, const char *format, ...)
{
    if (good) {
        test_global.passed++;
        return 1;
    }
    if (++test_global.failed <= 40) {
        va_list list;
        fprintf(test_global.out, "FAIL %s:%d: ", file, line);
        va_start(list, format);
        vfprintf(test_global.out, format, list);
        va_end(list);
        fputc('\n', test_global.out);
        fflush(test_global.out);
    }
    if (test_global.failed == test_global.stop) test_stop();
    return 0;
}

#define CHECK(good, ...) test_record(!!(good), __FILE__, __LINE__, __VA_ARGS__)

#if TEST_POSIX && !TEST_SANITIZED
#include "stray_access.h"
#endif

/* The sweeps that follow may go on until this share of the budget is spent. */
static inline void test_share(double share) { test_global.limit = share * test_global.budget; }

/* The library never prints: everything that reaches descriptors 1 and 2 is a failure. Sanitizers
 * report there, so their builds leave the descriptors alone. */
static inline void test_begin(const char *program, double default_budget)
{
    const char *text = getenv("AITER_TEST_BUDGET");
    test_global.program = program;
    test_global.out = stdout;
    test_global.budget = text ? strtod(text, NULL) : default_budget;
    text = getenv("AITER_TEST_STOP");
    test_global.stop = text ? strtoll(text, NULL, 10) : 0;
    test_share(1);
#if TEST_POSIX && !TEST_SANITIZED
    if (test_global.stop) stray_watch();
#endif
#if TEST_POSIX
    if (!TEST_SANITIZED) {
        int fd = dup(1);
        fflush(stdout);
        test_global.out = fdopen(fd, "w");
        test_global.caught = tmpfile();
        snprintf(test_global.out_path, sizeof test_global.out_path, "/dev/fd/%d", fd);
        setenv("AITER_TEST_OUT", test_global.out_path, 1);
        if (test_global.caught) {
            dup2(fileno(test_global.caught), 1);
            dup2(fileno(test_global.caught), 2);
        }
    }
#endif
}

static inline int test_end(void)
{
    if (test_global.caught) {
        char text[512];
        long bytes;
        size_t got;
        fflush(stdout);
        fflush(stderr);
        fseek(test_global.caught, 0, SEEK_END);
        bytes = ftell(test_global.caught);
        CHECK(bytes == 0, "%ld bytes on descriptors 1 and 2:", bytes);
        rewind(test_global.caught);
        while (bytes > 0 && (got = fread(text, 1, sizeof text, test_global.caught)) > 0) {
            fwrite(text, 1, got, test_global.out);
        }
    }
    if (test_global.cases) {
        test_say("%s: %" PRId64 " cases, %" PRId64 " beyond the budget of %.3g flops\n",
                 test_global.program, test_global.cases, test_global.skipped, test_global.budget);
    }
    CHECK(test_global.passed > 0, "no check ran");
    test_say("%" PRId64 " passed, %" PRId64 " failed\n", test_global.passed, test_global.failed);
    return test_global.failed != 0;
}

/* The smallest shapes that cross each edge always run (core); the sweeps run while there is
 * budget. */
static inline int test_afford(int core, double flops)
{
    if (!core && test_global.spent + flops > test_global.limit) {
        test_global.skipped++;
        return 0;
    }
    test_global.spent += flops;
    test_global.cases++;
    return 1;
}

/* Where a random sweep starts; AITER_TEST_SEED tries another one. */
static inline uint64_t test_seed(uint64_t usual)
{
    const char *text = getenv("AITER_TEST_SEED");
    return text ? strtoull(text, NULL, 0) : usual;
}

/* A budget for qemu, where a flop costs 250 times as much. */
static inline int test_is_slow(void) { return test_global.budget < 2e8; }

/* ---- tiers ---- */

/* The kernel sets of this machine, worst first; AITER_ISA caps them as it caps the library. */
static inline int test_tiers(aiter_isa tiers[AITER_ISA_COUNT])
{
    int count = 0, isa;
    aiter_isa best = aiter_context_info(NULL).isa;
    for (isa = AITER_ISA_SCALAR; isa <= (int)best; isa++) {
        aiter_context_desc desc;
        aiter_context *ctx = NULL;
        memset(&desc, 0, sizeof desc);
        desc.num_threads = 1;
        desc.isa_max = (aiter_isa)isa;
        if (aiter_context_create(&desc, &ctx) == AITER_OK) {
            if (aiter_context_info(ctx).isa == (aiter_isa)isa) tiers[count++] = (aiter_isa)isa;
            aiter_context_destroy(ctx);
        }
    }
    CHECK(count > 0 && tiers[count - 1] == best, "tier %s cannot be chosen", aiter_isa_name(best));
    return count;
}

static inline aiter_context *test_context(aiter_isa isa, int threads)
{
    aiter_context_desc desc;
    aiter_context *ctx = NULL;
    memset(&desc, 0, sizeof desc);
    desc.num_threads = threads;
    desc.isa_max = isa;
    CHECK(aiter_context_create(&desc, &ctx) == AITER_OK, "context: %s", aiter_last_error());
    return ctx;
}

/* ---- random numbers: splitmix64 of a key, so a value depends on nothing but its own name ---- */

static inline uint64_t test_mix(uint64_t x)
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

typedef struct test_rng {
    uint64_t state;
} test_rng;

static inline uint64_t rng_next(test_rng *r) { return test_mix(r->state++); }
/* Uniform in [low, high]. */
static inline int rng_int(test_rng *r, int low, int high)
{
    return low + (int)(rng_next(r) % (uint64_t)(high - low + 1));
}
/* Uniform in (-1, 1), from 24 bits: exact in f32. */
static inline double rng_unit(uint64_t key)
{
    return (double)((int64_t)(test_mix(key) >> 40) - 8388608) / 8388608.0;
}

/* ---- floats by their bits ---- */

static inline uint64_t bits_of_double(double x)
{
    uint64_t u;
    memcpy(&u, &x, 8);
    return u;
}
static inline uint32_t bits_of_float(float x)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    return u;
}
static inline float float_of_bits(uint32_t u)
{
    float x;
    memcpy(&x, &u, 4);
    return x;
}
static inline double double_of_bits(uint64_t u)
{
    double x;
    memcpy(&x, &u, 8);
    return x;
}
#define BITS_NAN     0x7FF8000000000000u
#define BITS_INF     0x7FF0000000000000u
#define BITS_NEG_INF 0xFFF0000000000000u
static inline int is_nan(double x) { return (bits_of_double(x) << 1) > (BITS_INF << 1); }
static inline int is_neg_inf(double x) { return bits_of_double(x) == BITS_NEG_INF; }
static inline int is_finite(double x) { return (bits_of_double(x) << 1) < (BITS_INF << 1); }

/* ---- memory: guard bytes in front, an unreadable page behind ---- */

typedef struct test_buffer {
    unsigned char *data;
    size_t bytes;
    unsigned char *base;
    size_t mapped;
} test_buffer;

#define TEST_GUARD_BYTE 0xA5

static inline test_buffer buffer_new(size_t bytes)
{
    test_buffer b;
    size_t page = 65536; /* a multiple of every page size in use */
    b.bytes = bytes;
#if TEST_POSIX
    b.mapped = (bytes + 64 + page - 1) / page * page + page;
    b.base = (unsigned char *)mmap(NULL, b.mapped, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (b.base == (unsigned char *)MAP_FAILED) exit(test_record(0, __FILE__, __LINE__, "mmap"));
    mprotect(b.base + b.mapped - page, page,
             getenv("AITER_TEST_READABLE_GUARD") ? PROT_READ : PROT_NONE);
    b.data = b.base + b.mapped - page - bytes;
#else
    b.mapped = bytes + 64;
    b.base = (unsigned char *)malloc(b.mapped);
    b.data = b.base + 64;
    (void)page;
#endif
    memset(b.data - 64, TEST_GUARD_BYTE, 64);
    return b;
}

static inline int buffer_guard_is_whole(const test_buffer *b)
{
    int i;
    for (i = 1; b->base && i <= 64; i++) {
        if (b->data[-i] != TEST_GUARD_BYTE) return 0;
    }
    return 1;
}

static inline void buffer_free(test_buffer *b)
{
#if TEST_POSIX
    if (b->base) munmap(b->base, b->mapped);
#else
    free(b->base);
#endif
    memset(b, 0, sizeof *b);
}

/* A hash of bytes, to see that nothing changed. */
static inline uint64_t test_hash(const void *data, size_t bytes)
{
    const unsigned char *p = (const unsigned char *)data;
    uint64_t h = 0x51ED270B0A1u ^ bytes, w;
    for (; bytes >= 8; bytes -= 8, p += 8) {
        memcpy(&w, p, 8);
        h = (h ^ w) * 0xD6E8FEB86659FD93u;
        h ^= h >> 32;
    }
    for (w = 0; bytes--;) w = w << 8 | p[bytes];
    return test_mix(h ^ w);
}

#endif /* AITER_TEST_H */
