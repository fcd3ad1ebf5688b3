/* peak_stamp.inl.h -- the three probe loops, written once and stamped for each kernel set.
 * The includer defines PEAK_NAME(x), PEAK_TARGET, PEAK_VEC, PEAK_LANES and PEAK_FMA(a, b, c) =
 * a * b + c, and takes them away again. */

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
#undef PEAK_NAME
#undef PEAK_TARGET
#undef PEAK_VEC
#undef PEAK_LANES
#undef PEAK_FMA
