/* test_context_calls.c -- what a context does with a call: which threads work and how many of them
 * are asked for, in which float mode, and that memory comes and goes by the context's hooks. */
#include "test.h"
#include "reference.c"
#include "case_run.h"

#include <fenv.h>
#include <time.h>

enum { ROWS = 64, DIM = 40, HEADS = 4 };

/* Some attention and a merge, the same numbers each time. */
typedef struct inputs {
    float q[ROWS * HEADS * DIM], k[ROWS * HEADS * DIM], v[ROWS * HEADS * DIM];
    float out[ROWS * HEADS * DIM], lse[ROWS * HEADS], joined[ROWS * HEADS * DIM];
} inputs;

static void inputs_fill(inputs *x, float v_size)
{
    int i;
    memset(x, 0, sizeof *x);
    for (i = 0; i < ROWS * HEADS * DIM; i++) {
        x->q[i] = (float)rng_unit((uint64_t)i + 1) * 3.0f;
        x->k[i] = (float)rng_unit((uint64_t)i + 1000001);
        x->v[i] = (float)rng_unit((uint64_t)i + 2000001) * v_size;
    }
}

/* Their product needs more bits than a float has, and is subnormal where q and k are large. */
static float softmax_scale = 0.163f, q_scale = 1.7654321f;

static void attend(inputs *x, int sq, aiter_context *ctx)
{
    aiter_flash_attn_fwd_args a;
    memset(&a, 0, sizeof a);
    a.q = aiter_tensor_4d(x->q, AITER_F32, 1, sq, HEADS, DIM);
    a.kv.k = aiter_tensor_4d(x->k, AITER_F32, 1, ROWS, HEADS, DIM);
    a.kv.v = aiter_tensor_4d(x->v, AITER_F32, 1, ROWS, HEADS, DIM);
    a.out = aiter_tensor_4d(x->out, AITER_F32, 1, sq, HEADS, DIM);
    a.lse = aiter_tensor_3d(x->lse, AITER_F32, 1, HEADS, sq);
    a.score.softmax_scale = softmax_scale;
    a.score.q_scale = aiter_tensor_1d(&q_scale, AITER_F32, 1);
    CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK, "%s", aiter_last_error());
}

static void join(inputs *x, aiter_context *ctx)
{
    aiter_merge_attn_states_args m;
    memset(&m, 0, sizeof m);
    m.out_a = aiter_tensor_3d(x->out, AITER_F32, ROWS, HEADS, DIM);
    m.out_b = aiter_tensor_3d(x->v, AITER_F32, ROWS, HEADS, DIM);
    m.out = aiter_tensor_3d(x->joined, AITER_F32, ROWS, HEADS, DIM);
    m.lse_a = m.lse_b = aiter_tensor_2d(x->lse, AITER_F32, HEADS, ROWS);
    CHECK(aiter_merge_attn_states(&m, ctx) == AITER_OK, "%s", aiter_last_error());
}

static int differ(const float *a, const float *b, int n)
{
    int i, count = 0;
    for (i = 0; i < n; i++) count += bits_of_float(a[i]) != bits_of_float(b[i]);
    return count;
}

/* ---- float modes ---- */

#if defined(__x86_64__)
#include <xmmintrin.h>
enum { MODES = 8 };
/* Rounding down, up, to zero; flush to zero; subnormals as zero; and mixtures. */
static const unsigned modes[MODES] = {0x3f80, 0x5f80, 0x7f80, 0x9f80,
                                      0x1fc0, 0x9fc0, 0xffc0, 0xbf80};
static void mode_set(int i) { _mm_setcsr(modes[i]); }
static int mode_is(int i) { return (_mm_getcsr() & 0xffc0) == (modes[i] & 0xffc0); }
static void mode_clear(void) { _mm_setcsr(0x1f80); }
#else
enum { MODES = 3 };
static const int modes[MODES] = {FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
static void mode_set(int i) { fesetround(modes[i]); }
static int mode_is(int i) { return fegetround() == modes[i]; }
static void mode_clear(void) { fesetround(FE_TONEAREST); }
#endif

/* The caller's rounding and flushing change no bit, and are there afterwards. */
static void float_modes(aiter_context *ctx)
{
    static const float sizes[2] = {1.0f, 1e-40f}; /* subnormal values, too */
    static inputs x, clean;
    int s, i;
    for (s = 0; s < 2; s++) {
        inputs_fill(&clean, sizes[s]);
        attend(&clean, ROWS, ctx);
        join(&clean, ctx);
        CHECK(bits_of_float(clean.out[0]) << 1 != 0, "values of %g come out as 0",
              (double)sizes[s]);
        for (i = 0; i < MODES; i++) {
            int kept, joined;
            inputs_fill(&x, sizes[s]);
            mode_set(i);
            attend(&x, ROWS, ctx);
            kept = mode_is(i);
            join(&x, ctx);
            joined = mode_is(i);
            mode_clear();
            CHECK(kept && joined, "mode %d is another after the call", i);
            CHECK(differ(x.out, clean.out, ROWS * HEADS * DIM) == 0, "mode %d changes bits", i);
            CHECK(differ(x.lse, clean.lse, ROWS * HEADS) == 0, "mode %d changes lse", i);
            CHECK(differ(x.joined, clean.joined, ROWS * HEADS * DIM) == 0,
                  "mode %d changes a merge", i);
        }
    }
}

/* The product of the scales is one of the score's operations, and may be subnormal. */
static void float_modes_of_scales(aiter_context *ctx)
{
    static inputs x, clean;
    const float scales[2] = {softmax_scale, q_scale};
    int i, n, far;
    for (far = 0; far < 2; far++) {
        const float size = far ? 1e18f : 1.0f;
        for (i = -1; i < MODES; i++) {
            inputs *to = i < 0 ? &clean : &x;
            inputs_fill(to, 1.0f);
            for (n = 0; n < ROWS * HEADS * DIM; n++) to->q[n] *= size, to->k[n] *= size;
            softmax_scale = far ? 1e-19f : scales[0], q_scale = far ? 3e-20f : scales[1];
            if (i >= 0) mode_set(i);
            attend(to, ROWS, ctx);
            mode_clear();
            if (i >= 0)
                CHECK(differ(x.out, clean.out, ROWS * HEADS * DIM) == 0,
                      "mode %d changes bits, scales %g and %g", i, (double)softmax_scale,
                      (double)q_scale);
        }
    }
    softmax_scale = scales[0], q_scale = scales[1];
}

/* All keys equal: each output is the value, also where it is subnormal. */
static void subnormal_values(aiter_context *ctx)
{
    static inputs x;
    int n, i;
    for (n = 0; n < 12; n++) {
        const float value = float_of_bits(1u << (n + 8)); /* of 2^-141 to 2^-130 */
        int wrong = 0;
        inputs_fill(&x, 1.0f);
        for (i = 0; i < ROWS * HEADS * DIM; i++) x.v[i] = value;
        attend(&x, n % 2 ? ROWS : 3, ctx);
        for (i = 0; i < (n % 2 ? ROWS : 3) * HEADS * DIM; i++) {
            const double ratio = (double)x.out[i] / (double)value;
            wrong += !(ratio > 0.9 && ratio < 1.1);
        }
        CHECK(wrong == 0, "%d of values 2^-%d are lost", wrong, 141 - n);
    }
}

/* ---- who works ---- */

typedef struct asked {
    int32_t n, calls;
} asked;

static void counting_for(void *user, void (*body)(void *arg, int32_t i), void *arg, int32_t n)
{
    asked *a = (asked *)user;
    int32_t i;
    a->n = n;
    a->calls++;
    for (i = n - 1; i >= 0; i--) body(arg, i);
}

/* A context whose calls are counted in `a`. */
static aiter_context *counting_context(int threads, asked *a)
{
    aiter_context_desc d;
    aiter_context *ctx = NULL;
    memset(&d, 0, sizeof d);
    d.num_threads = threads;
    d.parallel_for = counting_for;
    d.user = a;
    CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
    return ctx;
}

/* parallel_for is asked for as many as there are works, and no more than threads. */
static void callers_threads(void)
{
    static inputs x, clean;
    int threads;
    inputs_fill(&clean, 1.0f);
    attend(&clean, ROWS, NULL);
    join(&clean, NULL);
    for (threads = 2; threads < 14; threads++) {
        asked a = {0, 0};
        aiter_context *ctx = counting_context(threads, &a);
        inputs_fill(&x, 1.0f);
        attend(&x, ROWS, ctx);
        CHECK(a.calls == 1 && a.n > 1 && a.n <= threads, "%d calls for %d of %d threads",
              (int)a.calls, (int)a.n, threads);
        join(&x, ctx);
        CHECK(a.calls == 2 && a.n == threads, "%d of %d threads merge", (int)a.n, threads);
        CHECK(differ(x.joined, clean.joined, ROWS * HEADS * DIM) == 0, "%d threads: other bits",
              threads);
        aiter_context_destroy(ctx);
    }
}

/* Fewer works than threads: those of a range that nobody was asked to take are done all the same.
 */
static void few_works(void)
{
    static inputs x, clean;
    int sq, threads;
    for (sq = 1; sq <= 17; sq += 4)
        for (threads = 2; threads < 14; threads += 3) {
            asked a = {0, 0};
            aiter_context *ctx = counting_context(threads, &a);
            inputs_fill(&x, 1.0f);
            inputs_fill(&clean, 1.0f);
            attend(&clean, sq, NULL);
            attend(&x, sq, ctx);
            CHECK(differ(x.out, clean.out, ROWS * HEADS * DIM) == 0,
                  "%d rows by %d of %d threads: other bits", sq, (int)a.n, threads);
            CHECK(differ(x.lse, clean.lse, ROWS * HEADS) == 0,
                  "%d rows by %d of %d threads: another lse", sq, (int)a.n, threads);
            aiter_context_destroy(ctx);
        }
}

#if defined(CLOCK_THREAD_CPUTIME_ID) && defined(CLOCK_PROCESS_CPUTIME_ID)
static double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A merge deals its rows out before it starts: the pool's threads do their part of the work. */
static void pool_works(void)
{
    static float rows[4][256 * 8 * 128], lse[256 * 8];
    int n;
    for (n = 0; n < 12; n++) {
        aiter_context *ctx = test_context(AITER_ISA_AUTO, 4);
        aiter_merge_attn_states_args m;
        double mine, all, begun;
        int i;
        memset(&m, 0, sizeof m);
        m.out_a = aiter_tensor_3d(rows[0], AITER_F32, 256, 8, 128);
        m.out_b = aiter_tensor_3d(rows[1], AITER_F32, 256, 8, 128);
        m.out = aiter_tensor_3d(rows[2], AITER_F32, 256, 8, 128);
        m.lse_a = m.lse_b = aiter_tensor_2d(lse, AITER_F32, 8, 256);
        mine = seconds_of(CLOCK_THREAD_CPUTIME_ID);
        all = begun = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
        for (i = 0; i < 1000 && all - begun < 0.01; i++) {
            CHECK(aiter_merge_attn_states(&m, ctx) == AITER_OK, "%s", aiter_last_error());
            all = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
        }
        mine = seconds_of(CLOCK_THREAD_CPUTIME_ID) - mine;
        all -= begun;
        CHECK(mine < 0.75 * all, "the caller takes %.1f of %.1f ms itself", 1e3 * mine, 1e3 * all);
        aiter_context_destroy(ctx);
    }
}
#else
static void pool_works(void) {}
#endif

/* ---- memory ---- */

typedef struct books {
    int64_t calls, blocks, bytes;
    int fail; /* gives nothing any more */
} books;

static void *books_alloc(void *user, size_t bytes, size_t align, aiter_memory kind)
{
    books *b = (books *)user;
    (void)align;
    (void)kind;
    if (b->fail) return NULL;
    b->calls++;
    b->blocks++;
    b->bytes += (int64_t)bytes;
    return malloc(bytes);
}
static void books_free(void *user, void *ptr, size_t bytes, aiter_memory kind)
{
    books *b = (books *)user;
    (void)kind;
    b->blocks--;
    b->bytes -= (int64_t)bytes;
    free(ptr);
}

/* One block for the context, one for the pool if there is one, one of scratch, which replaces the
 * smaller one; nothing is left. */
static void blocks(void)
{
    static inputs x;
    int n, step;
    inputs_fill(&x, 1.0f);
    for (n = 0; n < 12; n++) {
        const int threads = 1 + n % 3;
        aiter_context_desc d;
        aiter_context *ctx = NULL;
        books b;
        void *data = NULL;
        asked a = {0, 0};
        memset(&b, 0, sizeof b);
        memset(&d, 0, sizeof d);
        d.num_threads = threads;
        d.alloc = books_alloc;
        d.free = books_free;
        d.user = &b;
        CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
        CHECK(b.blocks == 1 + (threads > 1), "%d blocks for %d threads", (int)b.blocks, threads);
        for (step = 1; step <= ROWS; step *= 4) {
            attend(&x, step, ctx);
            CHECK(b.blocks == 2 + (threads > 1), "%d blocks with scratch", (int)b.blocks);
        }
        CHECK(aiter_memory_alloc(ctx, AITER_MEMORY_HOST, 100, &data) == AITER_OK &&
                  b.blocks == 3 + (threads > 1),
              "not the hook's memory");
        CHECK(aiter_memory_free(ctx, AITER_MEMORY_HOST, data, 100) == AITER_OK &&
                  b.blocks == 2 + (threads > 1),
              "not given back");
        b.fail = 1;
        CHECK(aiter_memory_alloc(ctx, AITER_MEMORY_HOST, 100, &data) == AITER_OUT_OF_MEMORY,
              "memory that is not there");
        aiter_context_destroy(ctx);
        CHECK(b.blocks == 0 && b.bytes == 0, "%d blocks left", (int)b.blocks);
        b.fail = 0;
        d.user = &a;
        d.alloc = NULL;
        d.free = NULL;
        d.num_threads = 1025 + n;
        CHECK(aiter_context_create(&d, &ctx) == AITER_INVALID_ARGUMENT && ctx == NULL, "%d threads",
              (int)d.num_threads);
    }
}

/* A pool beside the caller's threads would be memory and threads for nothing. */
static void no_pool_beside(void)
{
    int threads;
    for (threads = 1; threads < 13; threads++) {
        aiter_context_desc d;
        aiter_context *ctx = NULL;
        struct {
            books b; /* first: the hooks' */
        } user;
        memset(&user, 0, sizeof user);
        memset(&d, 0, sizeof d);
        d.num_threads = threads;
        d.alloc = books_alloc;
        d.free = books_free;
        d.parallel_for = counting_for;
        d.user = &user;
        CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
        CHECK(user.b.blocks == 1, "%d blocks for %d threads of the caller", (int)user.b.blocks,
              threads);
        aiter_context_destroy(ctx);
        CHECK(user.b.blocks == 0, "%d blocks left", (int)user.b.blocks);
    }
}

/* Without a context scratch is malloc's, and given back: the heap does not grow. */
#if defined(__GLIBC__) && !TEST_SANITIZED
#if __GLIBC_PREREQ(2, 33)
#include <malloc.h>
#define TEST_HEAP_BYTES() ((int64_t)mallinfo2().uordblks + (int64_t)mallinfo2().hblkhd)
#endif
#endif
static void no_context(void)
{
#if defined(TEST_HEAP_BYTES)
    static inputs x;
    int n, i;
    inputs_fill(&x, 1.0f);
    attend(&x, ROWS, NULL);
    for (n = 0; n < 12; n++) {
        const int64_t before = TEST_HEAP_BYTES();
        for (i = 0; i < 4; i++) attend(&x, n % 2 ? ROWS : 1 + n / 2, NULL);
        CHECK(TEST_HEAP_BYTES() == before, "%d bytes are left", (int)(TEST_HEAP_BYTES() - before));
    }
#endif
}

int main(void)
{
    int t, threads;
    test_begin("context calls", 1e8);
    run_begin();
    for (t = 0; t < run_on.tiers; t++)
        for (threads = 1; threads < 4; threads += 2) {
            aiter_context *ctx = test_context(run_on.isa[t], threads);
            float_modes(ctx);
            float_modes_of_scales(ctx);
            subnormal_values(ctx);
            aiter_context_destroy(ctx);
        }
    callers_threads();
    few_works();
    pool_works();
    blocks();
    no_pool_beside();
    no_context();
    run_end();
    return test_end();
}
