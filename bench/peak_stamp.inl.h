/* peak_stamp.inl.h -- the four probe loops, written once and stamped for each kernel set.
 * The includer defines PEAK_NAME(x), PEAK_TARGET, PEAK_VEC, PEAK_LANES, PEAK_SET1(x) and
 * PEAK_FMA(a, b, c) = a * b + c; they are taken away again. */

typedef int32_t PEAK_NAME(ivec) __attribute__((vector_size(4 * PEAK_LANES)));

/* Twelve chains: two FMA pipes of latency four need eight, and twelve fit the sixteen registers of
 * x86 beside the two operands. Values settle near 1, so no subnormal ever slows a step. */
#define PEAK_CHAINS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#ifdef __aarch64__ /* four pipes and thirty-two registers */
#define PEAK_MORE_CHAINS(X) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19)
#define PEAK_CHAIN_COUNT    20
#else
#define PEAK_MORE_CHAINS(X)
#define PEAK_CHAIN_COUNT 12
#endif
#define PEAK_BEGIN(i) PEAK_VEC a##i = *(const PEAK_VEC *)(seed + 16 * (2 + i));
#define PEAK_STEP(i)  a##i = PEAK_FMA(a##i, factor, addend);
#define PEAK_END(i)   sum += a##i;

/* steps * PEAK_CHAIN_COUNT multiply-adds per lane, in registers only. */
PEAK_TARGET static void PEAK_NAME(fma)(int64_t steps, const float *seed, float *out)
{
    PEAK_VEC factor = *(const PEAK_VEC *)seed, addend = *(const PEAK_VEC *)(seed + 16);
    PEAK_CHAINS(PEAK_BEGIN)
    PEAK_MORE_CHAINS(PEAK_BEGIN)
    for (int64_t step = 0; step < steps; step += 2) {
        PEAK_CHAINS(PEAK_STEP)
        PEAK_MORE_CHAINS(PEAK_STEP)
        PEAK_CHAINS(PEAK_STEP)
        PEAK_MORE_CHAINS(PEAK_STEP)
    }
    PEAK_VEC sum = factor;
    PEAK_CHAINS(PEAK_END)
    PEAK_MORE_CHAINS(PEAK_END)
    *(PEAK_VEC *)out = sum;
}

/* Multiply-adds as a tile of attention has them: PEAK_TILE_ROWS rows of k against three vectors of
 * q, each loaded at every step. Both are together larger than a first-level cache, so that what
 * shares the caches with this thread is in the figure. */
#define PEAK_ROWS(X) X(0) X(1) X(2)
#if PEAK_LANES == 16 || defined(__aarch64__) /* thirty-two registers */
#define PEAK_MORE_ROWS(X) X(3) X(4) X(5)
#define PEAK_TILE_ROWS    6
#else
#define PEAK_MORE_ROWS(X)
#define PEAK_TILE_ROWS 3
#endif
#define PEAK_ROW_BEGIN(i) PEAK_VEC a##i = zero, b##i = zero, c##i = zero;
#define PEAK_ROW_STEP(i)                            \
    x = PEAK_SET1(row[(i) * PEAK_TILE_STRIDE + d]); \
    a##i = PEAK_FMA(x, q0, a##i), b##i = PEAK_FMA(x, q1, b##i), c##i = PEAK_FMA(x, q2, c##i);
#define PEAK_ROW_END(i) sum += a##i + b##i + c##i;
PEAK_TARGET static void PEAK_NAME(tile)(const float *k, const float *q, float *out)
{
    const PEAK_VEC zero = {0};
    PEAK_VEC sum = zero;
    for (int32_t group = 0; group < PEAK_TILE_KEYS / PEAK_TILE_ROWS; group++) {
        const float *row = k + group * PEAK_TILE_ROWS * PEAK_TILE_STRIDE;
        const PEAK_VEC *at = (const PEAK_VEC *)q;
        PEAK_ROWS(PEAK_ROW_BEGIN)
        PEAK_MORE_ROWS(PEAK_ROW_BEGIN)
        for (int32_t d = 0; d < PEAK_TILE_DIM; d++, at += 3) {
            const PEAK_VEC q0 = at[0], q1 = at[1], q2 = at[2];
            PEAK_VEC x;
            PEAK_ROWS(PEAK_ROW_STEP)
            PEAK_MORE_ROWS(PEAK_ROW_STEP)
        }
        PEAK_ROWS(PEAK_ROW_END)
        PEAK_MORE_ROWS(PEAK_ROW_END)
    }
    *(PEAK_VEC *)out = sum;
}

/* e^x for x in [-80, 0] to about 1e-7: two-step reduction, Taylor polynomial of degree 6 on
 * |r| <= ln 2 / 2, exponent by integer addition. constants holds one vector per coefficient. */
PEAK_TARGET static void PEAK_NAME(exp)(const float *constants, const float *in, float *out,
                                       int32_t count)
{
    const PEAK_VEC *c = (const PEAK_VEC *)constants;
    enum { V = 16 / PEAK_LANES };
    PEAK_VEC log2e = c[0], magic = c[V], ln2_high = c[2 * V], ln2_low = c[3 * V];
    for (int32_t i = 0; i < count; i += PEAK_LANES) {
        PEAK_VEC x = *(const PEAK_VEC *)(in + i);
        PEAK_VEC shifted = PEAK_FMA(x, log2e, magic);
        PEAK_VEC n = shifted - magic;
        PEAK_VEC r = PEAK_FMA(n, ln2_low, PEAK_FMA(n, ln2_high, x));
        PEAK_VEC p = PEAK_FMA(r, c[4 * V], c[5 * V]);
        p = PEAK_FMA(p, r, c[6 * V]);
        p = PEAK_FMA(p, r, c[7 * V]);
        p = PEAK_FMA(p, r, c[8 * V]);
        p = PEAK_FMA(p, r, c[9 * V]);
        p = PEAK_FMA(p, r, c[9 * V]);
        *(PEAK_VEC *)(out + i) = (PEAK_VEC)((PEAK_NAME(ivec))p + ((PEAK_NAME(ivec))shifted << 23));
    }
}

/* Reads `bytes` at base once, as `streams` linear streams side by side, 1 KiB prefetched ahead. */
PEAK_TARGET static void PEAK_NAME(read)(const char *base, size_t bytes, int32_t streams, float *out)
{
    enum { STEP = 128, WIDTH = 4 * PEAK_LANES };
    size_t chunk = bytes / (size_t)streams / STEP * STEP;
    PEAK_NAME(ivec) even = {0}, odd = {0};
    for (size_t at = 0; at < chunk; at += STEP) {
        for (int32_t s = 0; s < streams; s++) {
            const char *p = base + (size_t)s * chunk + at;
            __builtin_prefetch(p + 1024);
            __builtin_prefetch(p + 1024 + 64);
            for (int32_t b = 0; b < STEP; b += 2 * WIDTH) {
                even ^= *(const PEAK_NAME(ivec) *)(p + b);
                odd ^= *(const PEAK_NAME(ivec) *)(p + b + WIDTH);
            }
        }
    }
    *(PEAK_VEC *)out = (PEAK_VEC)(even ^ odd);
}

#undef PEAK_CHAINS
#undef PEAK_MORE_CHAINS
#undef PEAK_BEGIN
#undef PEAK_STEP
#undef PEAK_END
#undef PEAK_ROWS
#undef PEAK_MORE_ROWS
#undef PEAK_TILE_ROWS
#undef PEAK_ROW_BEGIN
#undef PEAK_ROW_STEP
#undef PEAK_ROW_END
#undef PEAK_NAME
#undef PEAK_TARGET
#undef PEAK_VEC
#undef PEAK_LANES
#undef PEAK_SET1
#undef PEAK_FMA
