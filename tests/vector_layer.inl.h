/* vector_layer.inl.h -- the vector layer of one tier against its scalar meaning; test_convert.c
 * stamps it per tier, inside the tier's target region, with AITERI_K and AITERI_LANES defined. */

#define LANE_BITS(array, i) lane_bits(array, i)

/* Partial loads and stores: the lanes past n read as zero, and nothing past n is touched. */
static void AITERI_K(check_partial)(void)
{
    float lanes[16], expected;
    int n, i, bad = 0;
    for (n = 0; n <= AITERI_LANES; n++) {
        test_buffer f = buffer_new((size_t)n * 4), h = buffer_new((size_t)n * 2);
        test_buffer b = buffer_new((size_t)n);
        for (i = 0; i < n; i++) ((float *)f.data)[i] = (float)(i + 1);
        for (i = 0; i < n; i++) ((uint16_t *)h.data)[i] = (uint16_t)(0x3c01 + 77 * i);
        for (i = 0; i < n; i++) ((int8_t *)b.data)[i] = (int8_t)(i * 7 - 50);
        AITERI_K(store)(lanes, AITERI_K(load_n)((const float *)f.data, n));
        for (i = 0; i < AITERI_LANES; i++) bad += lanes[i] != (i < n ? (float)(i + 1) : 0.0f);
        AITERI_K(store)(lanes, AITERI_K(load_f16_n)((const uint16_t *)h.data, n));
        for (i = 0; i < AITERI_LANES; i++) {
            expected =
                i < n ? aiteri_f32_of_bits(aiteri_bits_from_f16(((uint16_t *)h.data)[i])) : 0.0f;
            bad += lanes[i] != expected;
        }
        AITERI_K(store)(lanes, AITERI_K(load_bf16_n)((const uint16_t *)h.data, n));
        for (i = 0; i < AITERI_LANES; i++) {
            expected =
                i < n ? aiteri_f32_of_bits(aiteri_bits_from_bf16(((uint16_t *)h.data)[i])) : 0.0f;
            bad += lanes[i] != expected;
        }
        AITERI_K(store)(lanes, AITERI_K(load_i8_n)((const int8_t *)b.data, n));
        for (i = 0; i < AITERI_LANES; i++) bad += lanes[i] != (i < n ? (float)(i * 7 - 50) : 0.0f);
        CHECK(bad == 0, "partial loads of %d lanes", n);

        AITERI_K(store_n)((float *)f.data, AITERI_K(iota)(), n);
        for (i = 0; i < n; i++) bad += ((float *)f.data)[i] != (float)i;
        AITERI_K(store_f16_n)((uint16_t *)h.data, AITERI_K(iota)(), n);
        for (i = 0; i < n; i++)
            bad += ((uint16_t *)h.data)[i] != aiteri_f16_from_bits(bits_of_float((float)i));
        AITERI_K(store_bf16_n)((uint16_t *)h.data, AITERI_K(iota)(), n);
        for (i = 0; i < n; i++)
            bad += ((uint16_t *)h.data)[i] != aiteri_bf16_from_bits(bits_of_float((float)i));
        CHECK(bad == 0, "partial stores of %d lanes", n);
        CHECK(buffer_guard_is_whole(&f) && buffer_guard_is_whole(&h) && buffer_guard_is_whole(&b),
              "partial access of %d lanes writes in front", n);
        buffer_free(&f);
        buffer_free(&h);
        buffer_free(&b);
    }
}

/* Equal bits; NaN may be any NaN where the operation makes it, and while subnormals are flushed one
 * may or may not survive a minimum or a maximum. */
static int AITERI_K(same)(const float *got, const float *expected, int any_nan)
{
    int i;
    for (i = 0; i < AITERI_LANES; i++) {
        const uint32_t g = LANE_BITS(got, i), e = LANE_BITS(expected, i);
        const uint32_t g_size = g & 0x7fffffff, e_size = e & 0x7fffffff;
        if (g == e || (any_nan && g_size > 0x7f800000 && e_size > 0x7f800000)) continue;
        if (g_size >= 0x00800000 || e_size >= 0x00800000 || !test_is_flushing()) return 0;
    }
    return 1;
}

/* One operation on the pairs in a and b, lane by lane against the scalar layer. */
#define LANE(array) aiteri_scalar_load((array) + i)
#define NUMBER(x)   aiteri_scalar_set1(x)
#define CHECK_LANES(vector, scalar, any_nan, what)                                                \
    do {                                                                                          \
        AITERI_K(store)(got, vector);                                                             \
        for (i = 0; i < AITERI_LANES; i++) aiteri_scalar_store(expected + i, scalar);             \
        CHECK(AITERI_K(same)(got, expected, any_nan), "%s of %#x and %#x", what, LANE_BITS(a, 0), \
              LANE_BITS(b, 0));                                                                   \
    } while (0)

static void AITERI_K(check_pair)(const float *a, const float *b)
{
    const AITERI_K(vf) x = AITERI_K(load)(a), y = AITERI_K(load)(b), one = AITERI_K(set1)(1.0f);
    const AITERI_K(vf) zero = AITERI_K(zero)();
    const AITERI_K(vm) lt = AITERI_K(lt)(x, y), gt = AITERI_K(gt)(x, y), nlt = AITERI_K(nlt)(x, y);
    float got[16], expected[16];
    int i, all = 1, any = 0;
    CHECK_LANES(AITERI_K(add)(x, y), aiteri_scalar_add(LANE(a), LANE(b)), 1, "add");
    CHECK_LANES(AITERI_K(sub)(x, y), aiteri_scalar_sub(LANE(a), LANE(b)), 1, "sub");
    CHECK_LANES(AITERI_K(mul)(x, y), aiteri_scalar_mul(LANE(a), LANE(b)), 1, "mul");
    CHECK_LANES(AITERI_K(div)(x, y), aiteri_scalar_div(LANE(a), LANE(b)), 1, "div");
    CHECK_LANES(AITERI_K(max)(x, y), aiteri_scalar_max(LANE(a), LANE(b)), 0, "max");
    CHECK_LANES(AITERI_K(min)(x, y), aiteri_scalar_min(LANE(a), LANE(b)), 0, "min");
    CHECK_LANES(AITERI_K(abs)(x), aiteri_scalar_abs(LANE(a)), 0, "abs");
    CHECK_LANES(AITERI_K(copysign)(x, y), aiteri_scalar_copysign(LANE(a), LANE(b)), 0, "copysign");
    CHECK_LANES(AITERI_K(round)(x), aiteri_scalar_round(LANE(a)), 1, "round");
    CHECK_LANES(AITERI_K(select)(lt, x, y),
                aiteri_scalar_select(aiteri_scalar_lt(LANE(a), LANE(b)), LANE(a), LANE(b)), 0,
                "lt");
    CHECK_LANES(AITERI_K(select)(gt, x, y),
                aiteri_scalar_select(aiteri_scalar_gt(LANE(a), LANE(b)), LANE(a), LANE(b)), 0,
                "gt");
    CHECK_LANES(AITERI_K(select)(nlt, x, y),
                aiteri_scalar_select(aiteri_scalar_lt(LANE(a), LANE(b)), LANE(b), LANE(a)), 0,
                "nlt");
    CHECK_LANES(AITERI_K(keep)(lt, x),
                aiteri_scalar_select(aiteri_scalar_lt(LANE(a), LANE(b)), LANE(a), NUMBER(0.0f)), 0,
                "keep");
    CHECK_LANES(AITERI_K(select)(AITERI_K(and_m)(lt, nlt), one, zero), NUMBER(0.0f), 0, "and_m");
    CHECK_LANES(AITERI_K(select)(AITERI_K(or_m)(lt, nlt), one, zero), NUMBER(1.0f), 0, "or_m");
    CHECK_LANES(
        AITERI_K(select)(AITERI_K(not_m)(lt), one, zero),
        aiteri_scalar_select(aiteri_scalar_nlt(LANE(a), LANE(b)), NUMBER(1.0f), NUMBER(0.0f)), 0,
        "not_m");
    for (i = 0; i < AITERI_LANES; i++) {
        all &= aiteri_scalar_lt(LANE(a), LANE(b));
        any |= aiteri_scalar_lt(LANE(a), LANE(b));
    }
    CHECK(!AITERI_K(all)(lt) == !all && !AITERI_K(any)(lt) == !any, "all and any");
}

static void AITERI_K(check_float)(void)
{
    static const uint32_t patterns[] = {0,          0x80000000, 0x00000001, 0x80000001, 0x007fffff,
                                        0x00800000, 0x3f000000, 0xbf000000, 0x3f800000, 0xbf800000,
                                        0x3fc00000, 0x40200000, 0xc0200000, 0x4affffff, 0x4b000001,
                                        0xcb7fffff, 0x4effffff, 0x7f7fffff, 0xff7fffff, 0x7f800000,
                                        0xff800000, 0x7fc00000, 0xffc00001, 0x33d6bf95, 0xc2fdffff};
    const int count = (int)(sizeof patterns / sizeof *patterns);
    float a[16], b[16];
    int i, j, k;
    for (j = 0; j < count; j++) {
        for (k = 0; k < count; k++) {
            for (i = 0; i < 16; i++) a[i] = float_of_bits(patterns[(j + i * (k % 3)) % count]);
            for (i = 0; i < 16; i++) b[i] = float_of_bits(patterns[(k + i) % count]);
            AITERI_K(check_pair)(a, b);
        }
    }
}

static void AITERI_K(check_scaling)(void)
{
    float got[16];
    int n, bad = 0;
    for (n = -150; n <= 130; n++) {
        const float x = 1.0f + (float)(n & 63) / 64.0f, m = (float)n;
        const double exact = ldexp((double)x, n);
        AITERI_K(store)(got, AITERI_K(ldexp)(AITERI_K(set1)(x), AITERI_K(set1)(m)));
        if (n >= -126 && n <= 127) bad += (double)got[0] != exact;
        if (n > 127) bad += LANE_BITS(got, 0) != 0x7f800000;
        if (n < -126) bad += fabs((double)got[0] - exact) > ldexp(1.0, -126);
        if (n < -126 || n > 127) continue;
        AITERI_K(store)(got, AITERI_K(scale2)(AITERI_K(set1)(x), AITERI_K(set1)(m)));
        bad += (double)got[0] != exact;
    }
    CHECK(bad == 0, "%d wrong in ldexp and scale2", bad);
    for (n = 0; n < 1000; n++) {
        const float a = (float)rng_unit(3 * (uint64_t)n), b = (float)rng_unit(3 * (uint64_t)n + 1);
        const float c = -a * b * (1.0f + (float)rng_unit(3 * (uint64_t)n + 2) * 1e-6f);
        const float once = (float)fma((double)a, (double)b, (double)c),
                    twice = aiteri_rounded(aiteri_rounded(a * b) + c);
        AITERI_K(store)(got,
                        AITERI_K(fma)(AITERI_K(set1)(a), AITERI_K(set1)(b), AITERI_K(set1)(c)));
        bad += got[0] != once && (AITERI_LANES > 1 || got[0] != twice);
    }
    CHECK(bad == 0, "%d wrong in fma", bad);
}

#define CHECK_INTS(vector, scalar, what)                                                         \
    do {                                                                                         \
        AITERI_K(store)(got, AITERI_K(as_f)(vector));                                            \
        for (i = 0; i < AITERI_LANES; i++) expected[i] = aiteri_f32_of_bits((uint32_t)(scalar)); \
        CHECK(AITERI_K(same)(got, expected, 0), "%s of %d and %d", what, p[0], q[0]);            \
    } while (0)

static void AITERI_K(check_ints)(void)
{
    float got[16], expected[16], a[16], b[16];
    int32_t p[16], q[16];
    int round, i;
    for (round = 0; round < 200; round++) {
        const int shift = round & 31;
        for (i = 0; i < 16; i++) p[i] = (int32_t)(test_mix((uint64_t)(round * 16 + i)) >> 32);
        for (i = 0; i < 16; i++) q[i] = i % 3 ? p[(i + 5) % 16] : p[i];
        memcpy(a, p, sizeof a);
        memcpy(b, q, sizeof b);
        const AITERI_K(vi) x = AITERI_K(as_i)(AITERI_K(load)(a));
        const AITERI_K(vi) y = AITERI_K(as_i)(AITERI_K(load)(b));
        CHECK_INTS(AITERI_K(add_i)(x, y), (uint32_t)p[i] + (uint32_t)q[i], "add_i");
        CHECK_INTS(AITERI_K(sub_i)(x, y), (uint32_t)p[i] - (uint32_t)q[i], "sub_i");
        CHECK_INTS(AITERI_K(and_i)(x, y), p[i] & q[i], "and_i");
        CHECK_INTS(AITERI_K(or_i)(x, y), p[i] | q[i], "or_i");
        CHECK_INTS(AITERI_K(shl_i)(x, shift), (uint32_t)p[i] << shift, "shl_i");
        CHECK_INTS(AITERI_K(shr_i)(x, shift), (uint32_t)p[i] >> shift, "shr_i");
        CHECK_INTS(AITERI_K(select_i)(AITERI_K(lt_i)(x, y), x, y), p[i] < q[i] ? p[i] : q[i],
                   "lt_i");
        CHECK_INTS(AITERI_K(select_i)(AITERI_K(eq_i)(x, y), x, AITERI_K(set1_i)(7)),
                   p[i] == q[i] ? p[i] : 7, "eq_i");
        CHECK_INTS(AITERI_K(as_i)(AITERI_K(to_f)(x)), bits_of_float((float)p[i]), "to_f");
        CHECK_INTS(AITERI_K(iota_i)(), i, "iota_i");
        for (i = 0; i < 16; i++) a[i] = (float)(p[i] >> 8) / 4.0f;
        CHECK_INTS(AITERI_K(to_i)(AITERI_K(load)(a)), (int32_t)rint((double)a[i]), "to_i");
    }
    for (i = 0; i < 16; i++) expected[i] = (float)i;
    AITERI_K(store)(got, AITERI_K(iota)());
    CHECK(AITERI_K(same)(got, expected, 0), "iota");
}

static void AITERI_K(check_across)(void)
{
    float block[16 * 19], turned[16 * 17], sums[16], four[4];
    AITERI_K(vf) rows[16];
    int i, j, bad = 0;
    for (i = 0; i < 16 * 19; i++) block[i] = (float)rng_unit((uint64_t)i + 1);
    for (i = 0; i < 16 * 17; i++) turned[i] = -9.0f;
    AITERI_K(transpose)(block, 19, turned, 17);
    for (i = 0; i < 16; i++) {
        for (j = 0; j < 17; j++) {
            const int inside = i < AITERI_LANES && j < AITERI_LANES;
            bad += turned[i * 17 + j] != (inside ? block[j * 19 + i] : -9.0f);
        }
    }
    CHECK(bad == 0, "transpose: %d wrong", bad);
    for (i = 0; i < 16; i++) rows[i] = AITERI_K(load)(block + 19 * i);
    AITERI_K(hsum16)(rows, sums);
    for (i = 0; i < 16; i++) {
        double exact = 0, top = -2;
        for (j = 0; j < AITERI_LANES; j++) {
            const double x = (double)block[19 * i + j];
            exact += x;
            top = x > top ? x : top;
        }
        bad += fabs((double)sums[i] - exact) > 1e-6;
        bad += bits_of_float(AITERI_K(hsum)(rows[i])) != LANE_BITS(sums, i);
        bad += (double)AITERI_K(hmax)(rows[i]) != top;
    }
    CHECK(bad == 0, "hsum, hsum16, hmax: %d wrong", bad);
    for (i = 0; i < 16; i += 4) {
        AITERI_K(hsum4)(rows[i], rows[i + 1], rows[i + 2], rows[i + 3], four);
        bad += memcmp(four, sums + i, sizeof four) != 0;
    }
    CHECK(bad == 0, "hsum4: %d wrong", bad);
}

/* Bits in, bits out: under -ffast-math a float may not carry NaN through a call. */
static uint32_t AITERI_K(exp2_of)(uint32_t x)
{
    float lanes[16];
    for (int i = 0; i < AITERI_LANES; i++) memcpy(lanes + i, &x, sizeof x);
    AITERI_K(store)(lanes, AITERI_K(exp2)(AITERI_K(load)(lanes)));
    return LANE_BITS(lanes, AITERI_LANES - 1);
}
static uint32_t AITERI_K(tanh_of)(uint32_t x)
{
    float lanes[16];
    for (int i = 0; i < AITERI_LANES; i++) memcpy(lanes + i, &x, sizeof x);
    AITERI_K(store)(lanes, AITERI_K(tanh)(AITERI_K(load)(lanes)));
    return LANE_BITS(lanes, AITERI_LANES - 1);
}

/* In the unit of a tile's weights: the same bits but for the exponent, and 0 before that ends. */
static void AITERI_K(check_unit)(void)
{
    float lanes[16];
    int i, bad = 0;
    for (i = 0; i < 30000; i++) {
        const float x = -140.0f + (float)i * 0.005f;
        const uint32_t whole = AITERI_K(exp2_of)(bits_of_float(x));
        AITERI_K(store)
        (lanes, AITERI_K(exp2_unit)(AITERI_K(set1)(x), AITERI_TILE_UNIT, AITERI_TILE_LEAST));
        bad += LANE_BITS(lanes, 0) != (x >= AITERI_TILE_LEAST ? whole - (3u << 23) : 0);
    }
    CHECK(bad == 0, "exp2 in units: %d wrong", bad);
}

static void AITERI_K(check_layer)(vector_report *report)
{
    AITERI_K(check_partial)();
    AITERI_K(check_float)();
    AITERI_K(check_scaling)();
    AITERI_K(check_ints)();
    AITERI_K(check_across)();
    AITERI_K(check_unit)();
    check_math(AITERI_K(exp2_of), AITERI_K(tanh_of), report);
}

#undef LANE
#undef NUMBER
#undef LANE_BITS
#undef CHECK_LANES
#undef CHECK_INTS
