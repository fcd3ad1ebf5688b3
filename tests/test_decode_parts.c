/* test_decode_parts.c -- the decode loop's small parts: sampler, row operations, thread pool, cache
 * blocks, files. */
#include "test.h"

#include <math.h>
#include <signal.h>

#include "../examples/decode/files.h"
#include "../examples/decode/kv_cache.h"
#include "../examples/decode/pool.h"
#include "../examples/decode/rows.h"
#include "../examples/decode/sampler.h"

/* ---- Sampler ---- */

static void check_largest(void)
{
    const float ties[] = {1, 7, 3, 7, 7}, low[] = {-5, -3, -4};
    float with_nan[] = {0, 2, 1};
    with_nan[0] = float_of_bits(0x7FC00000u);
    CHECK(sample_largest(ties, 5) == 1, "equal logits: the lowest id");
    CHECK(sample_largest(low, 3) == 1, "negative logits");
#ifndef __FAST_MATH__
    CHECK(sample_largest(with_nan, 3) == 1, "NaN never wins");
#endif
    CHECK(sample_largest(ties, 1) == 0, "a vocabulary of one");
}

/* Frequencies of many draws against softmax, within 5 standard deviations. */
static void check_draws(float temp, float top_p, const double *expected, const char *what)
{
    const float logits[6] = {0.0f, 2.0f, -1.0f, 2.0f, 1.0f, -8.0f};
    enum { DRAWS = 20000 };
    int counts[6] = {0};
    int32_t heap[6];
    random_stream r = random_start(7, 0);
    for (int i = 0; i < DRAWS; i++) counts[sample_token(logits, 6, temp, top_p, &r, heap)]++;
    for (int i = 0; i < 6; i++) {
        double mean = DRAWS * expected[i], spread = sqrt(mean * (1 - expected[i])) + 1e-9;
        CHECK(fabs(counts[i] - mean) <= 5 * spread, "%s: token %d drawn %d times, expected %.0f",
              what, i, counts[i], mean);
    }
}

static void check_sampler(void)
{
    const double weights[6] = {1, exp(2.0), exp(-1.0), exp(2.0), exp(1.0), exp(-8.0)};
    double all = 0, plain[6], warm[6], warm_all = 0, half[6] = {0, 0.5, 0, 0.5, 0, 0};
    for (int i = 0; i < 6; i++) {
        all += weights[i];
        warm_all += sqrt(weights[i]);
    }
    for (int i = 0; i < 6; i++) {
        plain[i] = weights[i] / all;
        warm[i] = sqrt(weights[i]) / warm_all;
    }
    check_draws(1.0f, 1.0f, plain, "temperature 1");
    check_draws(2.0f, 1.0f, warm, "temperature 2");
    check_draws(1.0f, 0.5f, half, "top-p 0.5 keeps the two largest");
    const double one[6] = {0, 1, 0, 0, 0, 0};
    check_draws(1.0f, 1e-6f, one, "a tiny top-p keeps the first of the largest");
    check_draws(0.0f, 1.0f, one, "temperature 0");
    const float row[3] = {1.0f, 2.0f, 3.0f};
    double expected = log(exp(1.0) + exp(2.0) + exp(3.0)) - 2.0;
    CHECK(fabs(sample_surprise(row, 3, 1) - expected) < 1e-12, "negative log likelihood");
}

static void check_random(void)
{
    random_stream a = random_start(1, 0), b = random_start(1, 0), c = random_start(1, 1);
    random_stream d = random_start(2, 0);
    int same = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t x = random_next(&a);
        CHECK(x == random_next(&b), "equal seeds, equal numbers");
        same += x == random_next(&c);
        same += x == random_next(&d);
        double u = random_unit(&c);
        CHECK(u >= 0 && u < 1, "unit interval");
    }
    CHECK(same == 0, "other streams and seeds differ");
}

/* ---- Rows ---- */

static float exp_of(float x)
{
    row_f4 y = row_exp(row_all(x));
    CHECK(bits_of_float(y[0]) == bits_of_float(y[3]), "lanes differ at %g", x);
    return y[2];
}

static void check_row_exp(void)
{
    double worst = 0;
    for (int i = -8700; i <= 8800; i++) {
        float x = (float)i / 100.0f;
        double exact = exp((double)x), error = fabs((double)exp_of(x) - exact) / exact;
        if (error > worst) worst = error;
    }
    CHECK(worst < 4 * 0x1p-24, "exp is off by %.3g", worst);
    CHECK(exp_of(1e30f) > 1e38f && exp_of(-1e30f) < 1e-37f, "far out it stays finite");
}

static void check_row_norm(void)
{
    enum { N = 37 };
    float x[N], w[N], y[N];
    double sum = 0;
    for (int i = 0; i < N; i++) {
        x[i] = (float)(10 * rng_unit((uint64_t)i));
        w[i] = (float)rng_unit((uint64_t)(100 + i));
        sum += (double)x[i] * x[i];
    }
    row_norm(x, w, 1e-5f, N, y);
    for (int i = 0; i < N; i++) {
        double exact = x[i] / sqrt(sum / N + 1e-5) * w[i];
        CHECK(fabs(y[i] - exact) <= 4e-7 * fabs(exact) + 1e-12, "element %d", i);
    }
}

static void check_swiglu(void)
{
    float gate[9], up[9];
    for (int i = 0; i < 9; i++) {
        gate[i] = (float)(i - 4) * 25.0f;
        up[i] = (float)(i + 1);
    }
    row_swiglu(gate, up, 9);
    for (int i = 0; i < 9; i++) {
        double g = (i - 4) * 25.0, exact = g / (1 + exp(-g)) * (i + 1);
        CHECK(fabs(gate[i] - exact) <= 1e-6 * fabs(exact) + 1e-30, "silu(%g)", g);
    }
}

/* ---- Pool ---- */

enum { POOL_TASKS = 200 };
static int pool_counts[POOL_TASKS];

static void count_task(void *arg, int32_t i)
{
    (void)arg;
    __atomic_fetch_add(&pool_counts[i], 1, __ATOMIC_RELAXED);
}

static void check_pool(void)
{
    CHECK(pool_create(0) == NULL && pool_create(-1) == NULL && pool_create(100000) == NULL,
          "thread counts out of range");
    for (int32_t threads = 1; threads <= 4; threads++) {
        pool *p = pool_create(threads);
        if (!CHECK(p != NULL, "%d threads", (int)threads)) continue;
        memset(pool_counts, 0, sizeof pool_counts);
        for (int32_t n = 0; n <= POOL_TASKS; n++) pool_for(p, count_task, NULL, n);
        for (int i = 0; i < POOL_TASKS; i++)
            CHECK(pool_counts[i] == POOL_TASKS - i, "index %d ran %d times", i, pool_counts[i]);
        pool_destroy(p);
    }
    pool_destroy(NULL);
}

/* ---- Cache ---- */

static void check_kv_cache(int scaled_type)
{
    kv_cache_shape shape = {3, 2, 5, 7, scaled_type, 4, 6};
    kv_cache c;
    if (!CHECK(kv_cache_create(&c, &shape, NULL) == 0, "a small cache")) return;
    unsigned seen = 0;
    for (int i = 0; i < 6; i++) seen |= 1u << kv_cache_take(&c);
    CHECK(seen == 63 && kv_cache_take(&c) == -1, "every block once, then none");
    kv_cache_give(&c, 4);
    CHECK(kv_cache_take(&c) == 4 && kv_cache_take(&c) == -1, "a block given back");
    const uint8_t *end = c.data + c.bytes, *before = c.data;
    for (int32_t layer = 0; layer < 3; layer++) {
        for (int part = KV_KEYS; part <= KV_VALUE_SCALES; part++) {
            aiter_tensor t = kv_cache_view(&c, layer, (enum kv_cache_part)part);
            const uint8_t *data = (const uint8_t *)t.data;
            int64_t bytes = aiter_dtype_bits(t.dtype) / 8;
            for (int i = 0; i < t.ndim; i++) bytes *= t.shape[i];
            CHECK(data >= before && data + bytes <= end, "layer %d part %d", (int)layer, part);
            CHECK((uintptr_t)data % sizeof(float) == 0 || part < KV_KEY_SCALES, "alignment");
            before = data + bytes;
        }
    }
    kv_cache_destroy(&c);
    shape.type = CACHE_F16;
    CHECK(kv_cache_create(&c, &shape, NULL) == 0 && kv_cache_view(&c, 0, KV_KEY_SCALES).ndim == 0,
          "f16 has no scales");
    kv_cache_destroy(&c);
    kv_cache_shape huge = {INT32_MAX, INT32_MAX, 576, 576, CACHE_F32, 4096, INT32_MAX};
    CHECK(kv_cache_create(&c, &huge, NULL) == -1, "sizes beyond all memory");
    kv_cache_destroy(&c);
}

/* ---- Files ---- */

static void check_files(void)
{
    char err[256] = "", path[FILES_PATH], directory[16], *text;
    size_t size;
    CHECK(files_read("/nonexistent/file", &text, &size, err, sizeof err) == -1 &&
              strstr(err, "/nonexistent/file"),
          "a missing file: '%s'", err);
    err[0] = 0;
    CHECK(files_read("/", &text, &size, err, sizeof err) == -1 && err[0], "a directory");
    CHECK(files_find("decode_loop.c", "", path, sizeof path) == 0, "a file of examples/");
    CHECK(files_read(path, &text, &size, err, sizeof err) == 0 && size > 5000 &&
              strlen(text) == size,
          "this repository's decode_loop.c: %s", err);
    free(text);
    CHECK(files_find("no such file", "", path, sizeof path) == -1, "a file that is not there");
    files_directory("a/b/c", directory, sizeof directory);
    CHECK(strcmp(directory, "a/b/") == 0, "directory '%s'", directory);
    files_directory("c", directory, sizeof directory);
    CHECK(directory[0] == 0, "no directory");
}

int main(void)
{
    test_begin("test_decode_parts", 1e9);
    check_largest();
    check_sampler();
    check_random();
    check_row_exp();
    check_row_norm();
    check_swiglu();
    check_pool();
    check_kv_cache(CACHE_INT8);
    check_kv_cache(CACHE_FP8);
    check_kv_cache(CACHE_INT4);
    check_files();
    return test_end();
}
