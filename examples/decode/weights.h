/* weights.h -- the block formats of GGUF weights: their sizes, and a row of each as exact fp32.
 *
 *   const weight_format *weight_find(uint32_t type);           NULL when the type has no reader
 * here const char *weight_name(uint32_t type);                    also names types without a reader
 *   int weight_row_bytes(uint32_t type, uint64_t n, size_t *bytes);   0, or -1: n is no whole
 * number of blocks, or too large int weight_row_to_f32(uint32_t type, const void *src, float *dst,
 * size_t n);    0, or -1
 *
 * Every scale times quant is exact in fp32 (11 + 6 + 6 bits at most), so a weight is rounded once,
 * when its minimum is added, and no compiler's choice of fused operations can change it. */
#ifndef DECODE_WEIGHTS_H
#define DECODE_WEIGHTS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The numbers are those stored in GGUF files. */
enum weight_type {
    WEIGHT_F32 = 0,
    WEIGHT_F16 = 1,
    WEIGHT_Q4_0 = 2,
    WEIGHT_Q4_1 = 3,
    WEIGHT_Q5_0 = 6,
    WEIGHT_Q5_1 = 7,
    WEIGHT_Q8_0 = 8,
    WEIGHT_Q4_K = 12,
    WEIGHT_Q5_K = 13,
    WEIGHT_Q6_K = 14,
    WEIGHT_BF16 = 30
};

typedef struct weight_format {
    const char *name;
    uint32_t type;
    uint32_t block_elements;
    uint32_t block_bytes;
    void (*block_to_f32)(const uint8_t *block, float *dst);
} weight_format;

static inline uint32_t weight_load_u16(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8; }

static inline uint32_t weight_load_u32(const uint8_t *p)
{
    return weight_load_u16(p) | weight_load_u16(p + 2) << 16;
}

static inline float weight_float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Half to float without a subnormal operand, so that flush-to-zero modes cannot change it. */
static inline float weight_load_f16(const uint8_t *p)
{
    uint32_t half = weight_load_u16(p), sign = (half & 0x8000u) << 16;
    uint32_t exponent = half & 0x7C00u, bits = (half & 0x7FFFu) << 13;
    if (exponent == 0) { /* (1 + m) * 2^-14 - 2^-14 */
        float value = weight_float_of_bits(bits + (113u << 23)) - weight_float_of_bits(113u << 23);
        memcpy(&bits, &value, sizeof bits);
    } else {
        bits += (exponent == 0x7C00u ? 224u : 112u) << 23;
    }
    return weight_float_of_bits(bits | sign);
}

static void weight_block_f32(const uint8_t *block, float *dst)
{
    *dst = weight_float_of_bits(weight_load_u32(block));
}

static void weight_block_f16(const uint8_t *block, float *dst) { *dst = weight_load_f16(block); }

static void weight_block_bf16(const uint8_t *block, float *dst)
{
    *dst = weight_float_of_bits(weight_load_u16(block) << 16);
}

/* The four formats of 32 weights in nibbles: scale, [minimum], [32 fifth bits], 16 bytes. */
static void weight_block_nibbles(const uint8_t *block, float *dst, int has_min, int has_fifth)
{
    const uint8_t *fifth = block + (has_min ? 4 : 2), *nibbles = fifth + (has_fifth ? 4 : 0);
    uint32_t high = has_fifth ? weight_load_u32(fifth) : 0;
    float scale = weight_load_f16(block), min = has_min ? weight_load_f16(block + 2) : 0.0f;
    int zero = has_min ? 0 : has_fifth ? 16 : 8;
    for (int i = 0; i < 32; i++) {
        int quant = i < 16 ? nibbles[i] & 15 : nibbles[i - 16] >> 4;
        quant |= (int)(high >> i & 1) << 4;
        dst[i] = scale * (float)(quant - zero);
        if (has_min) dst[i] += min;
    }
}

static void weight_block_q4_0(const uint8_t *b, float *dst) { weight_block_nibbles(b, dst, 0, 0); }
static void weight_block_q4_1(const uint8_t *b, float *dst) { weight_block_nibbles(b, dst, 1, 0); }
static void weight_block_q5_0(const uint8_t *b, float *dst) { weight_block_nibbles(b, dst, 0, 1); }
static void weight_block_q5_1(const uint8_t *b, float *dst) { weight_block_nibbles(b, dst, 1, 1); }

static void weight_block_q8_0(const uint8_t *block, float *dst)
{
    float scale = weight_load_f16(block);
    for (int i = 0; i < 32; i++) dst[i] = scale * (float)(int8_t)block[2 + i];
}

/* Sub-block `group` (0..7) of a Q4_K or Q5_K block: its 6-bit scale and minimum out of 12 bytes. */
static inline void weight_k_scale(const uint8_t *packed, int group, int *scale, int *min)
{
    if (group < 4) {
        *scale = packed[group] & 63;
        *min = packed[group + 4] & 63;
    } else {
        *scale = (packed[group + 4] & 15) | packed[group - 4] >> 6 << 4;
        *min = packed[group + 4] >> 4 | packed[group] >> 6 << 4;
    }
}

/* Q4_K and Q5_K: scale, minimum, 12 bytes of sub-scales, [32 bytes of fifth bits], 128 bytes. */
static void weight_block_k(const uint8_t *block, float *dst, int has_fifth)
{
    float scale = weight_load_f16(block), min = weight_load_f16(block + 2);
    const uint8_t *fifth = block + 16, *nibbles = fifth + (has_fifth ? 32 : 0);
    for (int group = 0; group < 8; group++, dst += 32) {
        const uint8_t *plane = nibbles + group / 2 * 32;
        int sub_scale, sub_min;
        weight_k_scale(block + 4, group, &sub_scale, &sub_min);
        for (int i = 0; i < 32; i++) {
            int quant = group & 1 ? plane[i] >> 4 : plane[i] & 15;
            if (has_fifth) quant |= (fifth[i] >> group & 1) << 4;
            dst[i] = scale * (float)sub_scale * (float)quant - min * (float)sub_min;
        }
    }
}

static void weight_block_q4_k(const uint8_t *block, float *dst) { weight_block_k(block, dst, 0); }
static void weight_block_q5_k(const uint8_t *block, float *dst) { weight_block_k(block, dst, 1); }

/* Q6_K: 128 bytes of low nibbles, 64 of high bit pairs, 16 signed sub-scales, scale. Each half of
 * the block (128 weights) is four groups that share 32 bytes of bit pairs. */
static void weight_block_q6_k(const uint8_t *block, float *dst)
{
    float scale = weight_load_f16(block + 208);
    for (int group = 0; group < 8; group++, dst += 32) {
        int half = group / 4, quarter = group % 4;
        const uint8_t *plane = block + 64 * half + 32 * (quarter & 1);
        const uint8_t *pairs = block + 128 + 32 * half;
        const uint8_t *sub = block + 192 + 2 * group;
        for (int i = 0; i < 32; i++) {
            int low = quarter < 2 ? plane[i] & 15 : plane[i] >> 4;
            int quant = (low | (pairs[i] >> 2 * quarter & 3) << 4) - 32;
            dst[i] = scale * (float)(int8_t)sub[i / 16] * (float)quant;
        }
    }
}

static inline const weight_format *weight_find(uint32_t type)
{
    static const weight_format formats[] = {
        {"F32", WEIGHT_F32, 1, 4, weight_block_f32},
        {"F16", WEIGHT_F16, 1, 2, weight_block_f16},
        {"BF16", WEIGHT_BF16, 1, 2, weight_block_bf16},
        {"Q4_0", WEIGHT_Q4_0, 32, 18, weight_block_q4_0},
        {"Q4_1", WEIGHT_Q4_1, 32, 20, weight_block_q4_1},
        {"Q5_0", WEIGHT_Q5_0, 32, 22, weight_block_q5_0},
        {"Q5_1", WEIGHT_Q5_1, 32, 24, weight_block_q5_1},
        {"Q8_0", WEIGHT_Q8_0, 32, 34, weight_block_q8_0},
        {"Q4_K", WEIGHT_Q4_K, 256, 144, weight_block_q4_k},
        {"Q5_K", WEIGHT_Q5_K, 256, 176, weight_block_q5_k},
        {"Q6_K", WEIGHT_Q6_K, 256, 210, weight_block_q6_k},
    };
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (formats[i].type == type) return &formats[i];
    return NULL;
}

static inline const char *weight_name(uint32_t type)
{
    static const char *const without_reader[] = {
        "Q4_2",  "Q4_3",   "",     "",        "",       "Q8_1",    "Q2_K",  "Q3_K",   "",
        "",      "",       "Q8_K", "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S",
        "IQ2_S", "IQ4_XS", "I8",   "I16",     "I32",    "I64",     "F64",   "IQ1_M"};
    const weight_format *format = weight_find(type);
    if (format) return format->name;
    if (type >= 4 && type - 4 < sizeof without_reader / sizeof without_reader[0])
        return without_reader[type - 4];
    return type == 34 ? "TQ1_0" : type == 35 ? "TQ2_0" : type == 39 ? "MXFP4" : "unknown";
}

static inline int weight_row_bytes(uint32_t type, uint64_t n, size_t *bytes)
{
    const weight_format *format = weight_find(type);
    if (!format || n % format->block_elements != 0) return -1;
    uint64_t blocks = n / format->block_elements;
    if (blocks > SIZE_MAX / format->block_bytes) return -1;
    *bytes = (size_t)blocks * format->block_bytes;
    return 0;
}

static inline int weight_row_to_f32(uint32_t type, const void *src, float *dst, size_t n)
{
    const weight_format *format = weight_find(type);
    const uint8_t *block = (const uint8_t *)src;
    if (!format || n % format->block_elements != 0) return -1;
    for (size_t i = 0; i < n; i += format->block_elements, block += format->block_bytes)
        format->block_to_f32(block, dst + i);
    return 0;
}

#endif
