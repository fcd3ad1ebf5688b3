/* test_weights.c -- stored weights as floats, and products with them: every format against a
 * formula for its single elements, every tier against double, and the promise that a row of the
 * product keeps its bits whatever stands beside it. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "../examples/decode/matmul.h"

enum { TYPES = 11, MAX_THREADS = 3 };

static const uint32_t types[TYPES] = {WEIGHT_F32,  WEIGHT_F16,  WEIGHT_BF16, WEIGHT_Q4_0,
                                      WEIGHT_Q4_1, WEIGHT_Q5_0, WEIGHT_Q5_1, WEIGHT_Q8_0,
                                      WEIGHT_Q4_K, WEIGHT_Q5_K, WEIGHT_Q6_K};
static int passed, failed;
static uint64_t random_state = 1;

static void check(int ok, const char *what, const char *name, long detail)
{
    if (ok) {
        passed++;
        return;
    }
    if (++failed < 20) printf("FAILED: %s, %s (%ld)\n", what, name, detail);
}

static uint32_t random_bits(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33);
}

static void *make(size_t bytes)
{
    void *p = malloc(bytes > 0 ? bytes : 1);
    if (!p) exit(1);
    return p;
}

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* ---- What single elements mean, from the definition of the formats ---- */

static double half_value(const uint8_t *p)
{
    int code = p[0] | p[1] << 8, exponent = code >> 10 & 31, fraction = code & 1023;
    double size = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return code >> 15 ? -size : size;
}

static int bit_field(const uint8_t *p, int first, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++) value |= (p[(first + i) / 8] >> (first + i) % 8 & 1) << i;
    return value;
}

/* Element i of a block of 32 nibbles: 16 bytes hold i in the low and i + 16 in the high half. */
static int nibble_of_32(const uint8_t *p, int i)
{
    return bit_field(p, i % 16 * 8 + i / 16 * 4, 4);
}

/* Six-bit field `group` of the scales (minimum = 0) or minima (1) of a K block. */
static int k_field(const uint8_t *p, int minimum, int group)
{
    int whole = (minimum ? 4 : 0) + group, part = 8 + group - 4;
    if (group < 4) return bit_field(p, 8 * whole, 6);
    return bit_field(p, 8 * part + (minimum ? 4 : 0), 4) +
           16 * bit_field(p, 8 * (whole - 4) + 6, 2);
}

static double k_element(const uint8_t *b, int i, int five)
{
    int group = i / 32,
        low = bit_field(b + (five ? 48 : 16), (group / 2 * 32 + i % 32) * 8 + group % 2 * 4, 4);
    int quant = low + (five ? 16 * bit_field(b + 16, i % 32 * 8 + group, 1) : 0);
    return half_value(b) * k_field(b + 4, 0, group) * quant -
           half_value(b + 2) * k_field(b + 4, 1, group);
}

static double q6_element(const uint8_t *b, int i)
{
    int half = i / 128, within = i % 128;
    int low = bit_field(b, (64 * half + within % 64) * 8 + within / 64 * 4, 4);
    int high = bit_field(b + 128, (32 * half + within % 32) * 8 + within / 32 * 2, 2);
    return half_value(b + 208) * (int8_t)b[192 + i / 16] * (low + 16 * high - 32);
}

static double element(uint32_t type, const uint8_t *b, int i)
{
    float f;
    uint32_t wide;
    switch (type) {
    case WEIGHT_F32: memcpy(&f, b, 4); return f;
    case WEIGHT_F16: return half_value(b);
    case WEIGHT_BF16:
        wide = (uint32_t)(b[0] | b[1] << 8) << 16;
        memcpy(&f, &wide, 4);
        return f;
    case WEIGHT_Q4_0: return half_value(b) * (nibble_of_32(b + 2, i) - 8);
    case WEIGHT_Q4_1: return half_value(b) * nibble_of_32(b + 4, i) + half_value(b + 2);
    case WEIGHT_Q5_0:
        return half_value(b) * (nibble_of_32(b + 6, i) + 16 * bit_field(b + 2, i, 1) - 16);
    case WEIGHT_Q5_1:
        return half_value(b) * (nibble_of_32(b + 8, i) + 16 * bit_field(b + 4, i, 1)) +
               half_value(b + 2);
    case WEIGHT_Q8_0: return half_value(b) * (int8_t)b[2 + i];
    case WEIGHT_Q4_K: return k_element(b, i, 0);
    case WEIGHT_Q5_K: return k_element(b, i, 1);
    default: return q6_element(b, i);
    }
}

/* ---- Formats ---- */

/* Random bytes, with every stored float finite and of modest size. */
static void fill_blocks(uint32_t type, uint8_t *bytes, size_t size)
{
    const weight_format *format = weight_find(type);
    size_t scale = type == WEIGHT_Q6_K ? 208 : 0;
    int two =
        type == WEIGHT_Q4_1 || type == WEIGHT_Q5_1 || type == WEIGHT_Q4_K || type == WEIGHT_Q5_K;
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)random_bits();
    for (size_t b = 0; b < size; b += format->block_bytes) {
        uint8_t *p = bytes + b + scale;
        if (type == WEIGHT_F32) {
            float value = (float)(int32_t)(random_bits() << 8) / 2147483648.0f;
            memcpy(p, &value, sizeof value);
        } else {
            int high = type == WEIGHT_BF16 ? 0x3F : 0x2F;
            p[1] = (uint8_t)(p[1] & (0x80 | high));
            if (two) p[3] = (uint8_t)(p[3] & (0x80 | high));
        }
    }
}

static void test_format(uint32_t type)
{
    const weight_format *format = weight_find(type);
    size_t blocks = 97, elements = blocks * format->block_elements, bytes = 0;
    check(weight_row_bytes(type, elements, &bytes) == 0 && bytes == blocks * format->block_bytes,
          "bytes of a row", format->name, (long)bytes);
    uint8_t *row = (uint8_t *)make(bytes);
    float *values = (float *)make(elements * sizeof *values);
    for (int round = 0; round < 8; round++) {
        int equal = 1;
        fill_blocks(type, row, bytes);
        check(weight_row_to_f32(type, row, values, elements) == 0, "a row", format->name, round);
        for (size_t i = 0; i < elements; i++) {
            size_t block = i / format->block_elements;
            double exact =
                element(type, row + block * format->block_bytes, (int)(i % format->block_elements));
            equal = equal && values[i] == (float)exact;
        }
        check(equal, "elements as defined", format->name, round);
    }
    if (format->block_elements > 1) {
        check(weight_row_bytes(type, elements + 1, &bytes) == -1, "part of a block", format->name,
              0);
        check(weight_row_to_f32(type, row, values, elements - 1) == -1, "part of a block",
              format->name, 1);
    }
    free(row);
    free(values);
}

static void test_narrow_floats(void)
{
    int half_equal = 1, brain_equal = 1;
    for (uint32_t code = 0; code < 65536; code++) {
        uint8_t b[2] = {(uint8_t)code, (uint8_t)(code >> 8)};
        float half, brain;
        weight_row_to_f32(WEIGHT_F16, b, &half, 1);
        weight_row_to_f32(WEIGHT_BF16, b, &brain, 1);
        uint32_t expected = (code >> 10 & 31) == 31
                                ? (code & 0x8000) << 16 | 0x7F800000u | (code & 1023) << 13
                                : bits_of((float)half_value(b));
        half_equal = half_equal && bits_of(half) == expected;
        brain_equal = brain_equal && bits_of(brain) == code << 16;
    }
    check(half_equal, "all codes", "F16", 0);
    check(brain_equal, "all codes", "BF16", 0);
}

static void test_names(void)
{
    static const struct {
        uint32_t type;
        const char *name;
    } named[] = {{14, "Q6_K"},  {9, "Q8_1"},   {20, "IQ4_NL"},
                 {29, "IQ1_M"}, {39, "MXFP4"}, {77, "unknown"}};
    for (int i = 0; i < 6; i++)
        check(strcmp(weight_name(named[i].type), named[i].name) == 0, "name", named[i].name, i);
    size_t bytes = 0;
    check(weight_row_bytes(WEIGHT_F32, UINT64_MAX, &bytes) == -1, "too many bytes", "F32", 0);
    check(!weight_find(9) && !weight_find(UINT32_MAX), "types without a reader", "none", 0);
}

/* ---- Products ---- */

static int machine_tier(void)
{
#if defined(__x86_64__)
    unsigned a, b, c, d, low = 0, high = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return 0;
    unsigned leaf1 = c;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    int avx2 = (leaf1 >> 12 & 1) && (leaf1 >> 29 & 1) && (b >> 5 & 1) && (low & 6) == 6;
    unsigned wanted = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW, VL */
    return avx2 + (avx2 && (b & wanted) == wanted && (low & 0xE6) == 0xE6);
#else
    return 0;
#endif
}

typedef struct thread_share {
    void (*body)(void *arg, int32_t i);
    void *arg;
    int32_t first, step, n;
} thread_share;

static void *run_share(void *arg)
{
    thread_share *share = (thread_share *)arg;
    for (int32_t i = share->first; i >= 0 && i < share->n; i += share->step)
        share->body(share->arg, i);
    return NULL;
}

/* Each of *user threads takes every other task; the last one takes them backwards. */
static void run_threads(void *user, void (*body)(void *arg, int32_t i), void *arg, int32_t n)
{
    int32_t threads = *(int32_t *)user;
    thread_share shares[MAX_THREADS];
    pthread_t handles[MAX_THREADS];
    for (int32_t t = 0; t < threads; t++) {
        thread_share share = {body, arg, t, threads, n};
        if (t == threads - 1 && n > t) {
            share.first = t + (n - 1 - t) / threads * threads;
            share.step = -threads;
        }
        shares[t] = share;
        if (pthread_create(&handles[t], NULL, run_share, &shares[t]) != 0) exit(1);
    }
    for (int32_t t = 0; t < threads; t++) pthread_join(handles[t], NULL);
}

typedef struct product {
    uint32_t type;
    int64_t n, k, rows, x_stride, y_stride;
    uint8_t *weights;
    float *x, *y, *bias;
} product;

static void make_product(product *p, uint32_t type, int64_t n, int64_t k, int64_t rows)
{
    size_t row_bytes = 0;
    if (weight_row_bytes(type, (uint64_t)k, &row_bytes) != 0) exit(1);
    p->type = type;
    p->n = n;
    p->k = k;
    p->rows = rows;
    p->x_stride = k + 3;
    p->y_stride = n + 2;
    p->weights = (uint8_t *)make(row_bytes * (size_t)n);
    p->x = (float *)make((size_t)(rows * p->x_stride) * sizeof(float));
    p->y = (float *)make((size_t)(rows * p->y_stride) * sizeof(float));
    p->bias = (float *)make((size_t)n * sizeof(float));
    fill_blocks(type, p->weights, row_bytes * (size_t)n);
    memset(p->x, 0xFF, (size_t)(rows * p->x_stride) * sizeof(float)); /* NaN between the rows */
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < k; i++)
            p->x[r * p->x_stride + i] = (float)(int32_t)(random_bits() << 8) / 2147483648.0f;
    for (int64_t i = 0; i < n; i++) p->bias[i] = (float)i - 2.5f;
}

static void free_product(product *p)
{
    free(p->weights);
    free(p->x);
    free(p->y);
    free(p->bias);
}

static matmul_job job_of(const product *p, int64_t first, int64_t rows, float *y)
{
    matmul_job job = {p->weights,  p->type, p->n,        p->k, p->x + first * p->x_stride,
                      p->x_stride, y,       p->y_stride, rows, p->bias};
    return job;
}

/* A chain of k / 4 sums at most, each with an unfused product, then lanes and bias. */
static void check_values(const product *p)
{
    const weight_format *format = weight_find(p->type);
    float *row = (float *)make((size_t)p->k * sizeof *row);
    size_t row_bytes = 0;
    weight_row_bytes(p->type, (uint64_t)p->k, &row_bytes);
    double unit = ldexp(1, -24) * ((double)p->k / 4 + 8);
    int near = 1;
    for (int64_t i = 0; i < p->n; i++) {
        weight_row_to_f32(p->type, p->weights + (size_t)i * row_bytes, row, (size_t)p->k);
        for (int64_t r = 0; r < p->rows; r++) {
            double sum = p->bias[i], size = fabs(sum);
            for (int64_t j = 0; j < p->k; j++) {
                double term = (double)row[j] * p->x[r * p->x_stride + j];
                sum += term;
                size += fabs(term);
            }
            near = near && fabs(p->y[r * p->y_stride + i] - sum) <= unit * size;
        }
    }
    check(near, "a product is near the exact one", format->name, (long)p->k);
    free(row);
}

static int rows_equal(const product *p, const float *a, const float *b, int64_t rows)
{
    for (int64_t r = 0; r < rows; r++)
        if (memcmp(a + r * p->y_stride, b + r * p->y_stride, (size_t)p->n * sizeof *a) != 0)
            return 0;
    return 1;
}

static void clear(const product *p, float *y)
{
    for (int64_t i = 0; i < p->rows * p->y_stride; i++) y[i] = -7.5f;
}

/* The same rows one by one, in pieces, and by several threads. */
static void check_bits(product *p, int tier)
{
    const char *name = weight_find(p->type)->name;
    float *other = (float *)make((size_t)(p->rows * p->y_stride) * sizeof *other);
    matmul_engine e = {tier, 1, NULL, NULL, NULL, 0};
    for (int64_t piece = 1; piece < p->rows; piece = piece * 2 + 1) {
        clear(p, other);
        for (int64_t r = 0; r < p->rows; r += piece) {
            int64_t rows = p->rows - r < piece ? p->rows - r : piece;
            matmul_job job = job_of(p, r, rows, other + r * p->y_stride);
            check(matmul_run(&e, &job, 1) == 0, "some rows", name, (long)rows);
        }
        check(rows_equal(p, p->y, other, p->rows), "bits with fewer rows", name, (long)piece);
    }
    e.parallel = run_threads;
    e.user = &e.threads;
    for (e.threads = 2; e.threads <= MAX_THREADS; e.threads++) {
        for (int64_t rows = 1; rows <= p->rows; rows += p->rows > 1 ? p->rows - 1 : 1) {
            matmul_job job = job_of(p, 0, rows, other);
            clear(p, other);
            check(matmul_run(&e, &job, 1) == 0, "threads", name, e.threads);
            check(rows_equal(p, p->y, other, rows), "bits with threads", name, e.threads);
        }
    }
    matmul_release(&e);
    free(other);
}

static void test_product(int tier, uint32_t type, int64_t n, int64_t k, int64_t rows)
{
    const char *name = weight_find(type)->name;
    product p;
    matmul_engine e = {tier, 1, NULL, NULL, NULL, 0};
    make_product(&p, type, n, k, rows);
    clear(&p, p.y);
    matmul_job job = job_of(&p, 0, rows, p.y);
    check(matmul_run(&e, &job, 1) == 0, "runs", name, (long)k);
    int kept = 1;
    for (int64_t r = 0; r < rows; r++)
        kept = kept && p.y[r * p.y_stride + n] == -7.5f && p.y[r * p.y_stride + n + 1] == -7.5f;
    check(kept, "nothing is written beside y", name, (long)n);
    check_values(&p);
    if (matmul_promises_bits()) check_bits(&p, tier);
    matmul_release(&e);
    free_product(&p);
}

/* Tiles of 4 outputs, pairs of 8; tiles of up to 6 rows, blocks of 96; chunks of 640. */
static void test_shapes(int tier, uint32_t type)
{
    static const int64_t outputs[] = {1, 3, 4, 5, 8, 9, 31};
    static const int64_t rows[] = {1, 2, 3, 4, 5, 6, 7, 13, 17, 97};
    static const int64_t odd[] = {1, 7, 31, 33, 63, 100, 639, 641, 643, 1281};
    int64_t unit = weight_find(type)->block_elements;
    for (int i = 0; i < 7; i++) test_product(tier, type, outputs[i], 256, 17);
    for (int i = 0; i < 10; i++) test_product(tier, type, 9, 512, rows[i]);
    for (int i = 0; i < 10; i++) {
        int64_t k = unit == 1 ? odd[i] : (int64_t)(i + 1) * (unit == 32 ? 160 : 256);
        test_product(tier, type, 6, k, 5);
    }
}

/* Rows with a single 1 pick the weights, which must be those of weight_row_to_f32 to the last bit.
 */
static void test_picked(int tier, uint32_t type)
{
    enum { K = 256, N = 5 };
    product p;
    matmul_engine e = {tier, 1, NULL, NULL, NULL, 0};
    size_t row_bytes = 0;
    float row[K];
    int equal = 1;
    make_product(&p, type, N, K, K);
    weight_row_bytes(type, K, &row_bytes);
    for (int64_t i = 0; i < K * K; i++) p.x[i / K * p.x_stride + i % K] = i / K == i % K;
    matmul_job job = job_of(&p, 0, K, p.y);
    job.bias = NULL;
    check(matmul_run(&e, &job, 1) == 0, "runs", "picked", tier);
    for (int64_t n = 0; n < N; n++) {
        weight_row_to_f32(type, p.weights + (size_t)n * row_bytes, row, K);
        for (int64_t i = 0; i < K; i++) equal = equal && p.y[i * p.y_stride + n] == row[i];
    }
    check(equal, "weights of a tier", weight_find(type)->name, tier);
    matmul_release(&e);
    free_product(&p);
}

/* Jobs side by side give what they give alone, and NaN stays in its row. */
static void test_batch(int tier)
{
    product p[TYPES];
    matmul_job jobs[TYPES];
    float *alone[TYPES];
    matmul_engine e = {tier, 2, run_threads, NULL, NULL, 0};
    e.user = &e.threads;
    for (int i = 0; i < TYPES; i++) {
        make_product(&p[i], types[i], 12 + i, 256, i % 3 == 0 ? 1 : 4);
        size_t bytes = (size_t)(p[i].rows * p[i].y_stride) * sizeof(float);
        alone[i] = (float *)make(bytes);
        jobs[i] = job_of(&p[i], 0, p[i].rows, alone[i]);
        check(matmul_run(&e, &jobs[i], 1) == 0, "alone", "batch", i);
        jobs[i].y = p[i].y;
        if (p[i].rows > 1) p[i].x[p[i].x_stride + 5] = (float)NAN;
    }
    check(matmul_run(&e, jobs, TYPES) == 0, "together", "batch", tier);
    for (int i = 0; i < TYPES; i++) {
        check(rows_equal(&p[i], p[i].y, alone[i], 1), "row 0", "batch", i);
        if (p[i].rows > 1) {
            int64_t rest = 2 * p[i].y_stride;
            check(rows_equal(&p[i], p[i].y + rest, alone[i] + rest, 2), "rows 2, 3", "batch", i);
            check(p[i].y[p[i].y_stride] != p[i].y[p[i].y_stride], "the row of NaN", "batch", i);
        }
        free(alone[i]);
        free_product(&p[i]);
    }
    matmul_release(&e);
}

static void test_refusals(void)
{
    product p;
    matmul_engine e = {0, 1, NULL, NULL, NULL, 0};
    make_product(&p, WEIGHT_Q8_0, 4, 64, 2);
    for (int i = 0; i < 7; i++) {
        matmul_job job = job_of(&p, 0, 2, p.y);
        if (i == 0) job.type = 9;
        if (i == 1) job.k = 33;
        if (i == 2) job.k = 0;
        if (i == 3) job.n = -1;
        if (i == 4) job.rows = -1;
        if (i == 5) job.rows = 0;
        if (i == 6) job.n = 0;
        clear(&p, p.y);
        check(matmul_run(&e, &job, 1) == (i < 5 ? -1 : 0), "bad or empty jobs", "refusals", i);
        check(p.y[0] == -7.5f, "write nothing", "refusals", i);
    }
    matmul_release(&e);
    free_product(&p);
}

int main(void)
{
    int tiers = machine_tier();
    for (int i = 0; i < TYPES; i++) test_format(types[i]);
    test_narrow_floats();
    test_names();
    test_refusals();
    for (int tier = 0; tier <= tiers; tier++) {
        int before = passed;
        for (int i = 0; i < TYPES; i++) test_shapes(tier, types[i]);
        for (int i = 0; i < TYPES; i++) test_picked(tier, types[i]);
        test_batch(tier);
        printf("tier %d: %d checks\n", tier, passed - before);
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
