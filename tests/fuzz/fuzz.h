/* fuzz.h -- what the fuzzers share: bytes taken from an input, values that sit on edges, and the
 * end of a run that found something. Each fuzzer is a file fuzz_<name>.c with
 * LLVMFuzzerTestOneInput; libFuzzer drives it, or replay.c where there is none. */
#ifndef AITER_FUZZ_H
#define AITER_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FUZZ_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define FUZZ_ASAN 1
#endif

/* Memory that a call may not look at, where AddressSanitizer watches. */
#ifdef FUZZ_ASAN
#include <sanitizer/asan_interface.h>
#define FUZZ_HIDE(data, bytes) ASAN_POISON_MEMORY_REGION(data, bytes)
#define FUZZ_SHOW(data, bytes) ASAN_UNPOISON_MEMORY_REGION(data, bytes)
#else
#define FUZZ_HIDE(data, bytes) ((void)(data), (void)(bytes))
#define FUZZ_SHOW(data, bytes) ((void)(data), (void)(bytes))
#endif

#ifdef __cplusplus
extern "C"
#endif
    int
    LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(good, ...)                                          \
    do {                                                               \
        if (!(good)) {                                                 \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #good); \
            fprintf(stderr, __VA_ARGS__);                              \
            fputc('\n', stderr);                                       \
            abort();                                                   \
        }                                                              \
    } while (0)

/* An input, read from the front; past its end everything is 0. */
typedef struct fuzz_input {
    const uint8_t *data;
    size_t size, at;
} fuzz_input;

static inline uint32_t fuzz_u8(fuzz_input *in)
{
    return in->at < in->size ? in->data[in->at++] : 0;
}

/* 0 to n - 1, n at most 256. */
static inline int fuzz_below(fuzz_input *in, int n) { return (int)(fuzz_u8(in) % (uint32_t)n); }

static inline uint64_t fuzz_u64(fuzz_input *in, int bytes)
{
    uint64_t x = 0;
    for (int i = 0; i < bytes; i++) x |= (uint64_t)fuzz_u8(in) << 8 * i;
    return x;
}

/* Small numbers, edges of the types, or any eight bytes. */
static inline int64_t fuzz_i64(fuzz_input *in)
{
    static const int64_t edges[] = {INT64_MIN,
                                    INT64_MIN + 1,
                                    INT64_MAX,
                                    INT64_MAX - 1,
                                    INT32_MIN,
                                    INT32_MAX,
                                    INT32_MAX - 1,
                                    (int64_t)1 << 31,
                                    (int64_t)1 << 32,
                                    (int64_t)1 << 61,
                                    ((int64_t)1 << 62) + 1,
                                    INT64_MAX / 64,
                                    INT64_MAX / 64 + 1,
                                    65535,
                                    65536,
                                    -1};
    const uint32_t kind = fuzz_u8(in);
    if (kind < 160) return (int64_t)(kind % 40) - 4;
    if (kind < 240) return edges[kind % 16];
    return (int64_t)fuzz_u64(in, 8);
}

static inline int32_t fuzz_i32(fuzz_input *in)
{
    const uint64_t x = (uint64_t)fuzz_i64(in);
    const uint32_t low = (uint32_t)x;
    int32_t value;
    memcpy(&value, &low, sizeof value);
    return value;
}

static inline float fuzz_f32(fuzz_input *in)
{
    static const uint32_t edges[] = {0x00000000u, 0x80000000u, 0x3f800000u, 0xbf800000u,
                                     0x7f800000u, 0xff800000u, 0x7fc00000u, 0x7f7fffffu,
                                     0x00000001u, 0x00800000u, 0x3e800000u, 0x42480000u};
    const uint32_t kind = fuzz_u8(in);
    const uint32_t bits = kind < 240 ? edges[kind % 12] : (uint32_t)fuzz_u64(in, 4);
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint64_t fuzz_mix(uint64_t x)
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

#endif /* AITER_FUZZ_H */
