/* test_cache_blocks.c -- aiter_reshape_and_cache with a scale for each block and head: calls
 * replayed against the rule as it is written down, bit for bit, whatever the order of tokens, the
 * kernel set and the threads. */
#include "test.h"
#include "reference.c"
#include "case_run.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

enum { BLOCKS = 5, PAGE = 6, HEADS = 3, DIM = 19, SLOTS = BLOCKS * PAGE, CALLS = 12 };

/* One side of a cache, by the rule. */
typedef struct side {
    unsigned char codes[SLOTS][HEADS][DIM];
    float scale[BLOCKS][HEADS];
} side;

typedef struct call {
    int tokens, slot[SLOTS];
    float x[2][SLOTS][HEADS][DIM]; /* of each token */
} call;

static float largest(aiter_dtype type)
{
    return type == AITER_I8 ? 127.0f : (float)type_largest(type);
}

static void store(aiter_dtype type, unsigned char *to, double x)
{
    if (type == AITER_I8 && is_nan(x)) x = 0;
    ref_store(type, to, 0, x);
}

/* The rule for one block and head. */
static void replay_block(side *s, int which, aiter_dtype type, const call *c, int block, int h)
{
    int first = PAGE, t, o, d, nan = 0;
    float most = 1e-6f, next, *scale = &s->scale[block][h];
    for (t = 0; t < c->tokens; t++) {
        if (c->slot[t] < 0 || c->slot[t] / PAGE != block) continue;
        if (c->slot[t] % PAGE < first) first = c->slot[t] % PAGE;
        for (d = 0; d < DIM; d++) {
            const float x = c->x[which][t][h][d];
            nan |= is_nan(x);
            if (fabsf(x) > most) most = fabsf(x);
        }
    }
    if (first == PAGE) return;
    next = nan ? case_float(double_of_bits(BITS_NAN)) : (float)((double)most / largest(type));
    if (first == 0 || (!is_nan(*scale) && (nan || *scale < next))) {
        for (o = 0; o < first; o++) {
            for (d = 0; d < DIM; d++) {
                unsigned char *code = &s->codes[block * PAGE + o][h][d];
                const float real = (float)(ref_load(type, code, 0) * *scale);
                store(type, code, nan ? next : (float)((double)real / next));
            }
        }
        *scale = next;
    }
    for (t = 0; t < c->tokens; t++) {
        if (c->slot[t] < 0 || c->slot[t] / PAGE != block) continue;
        for (d = 0; d < DIM; d++) {
            const float x = c->x[which][t][h][d];
            store(type, &s->codes[c->slot[t]][h][d],
                  is_nan(*scale) || is_nan(x) ? double_of_bits(BITS_NAN)
                                              : (float)((double)x / *scale));
        }
    }
}

/* What sequences do, and what they do not: blocks filled in turn, appended to, begun again, tokens
 * out of order, gaps, skipped tokens, zeros, huge and tiny rows, a NaN. */
static void draw(call *c, test_rng *r, int n, int special)
{
    int block, t, h, d, which;
    c->tokens = 0;
    for (block = 0; block < BLOCKS; block++) {
        const int from = rng_int(r, 0, 2) ? n % PAGE : rng_int(r, 0, PAGE - 1);
        const int to = rng_int(r, 0, 1) ? from + 1 : rng_int(r, from, PAGE);
        for (t = from; t < to; t++)
            if (rng_int(r, 0, 7)) c->slot[c->tokens++] = block * PAGE + t;
    }
    if (rng_int(r, 0, 1) && c->tokens < SLOTS) c->slot[c->tokens++] = -1;
    for (t = c->tokens - 1; t > 0; t--) {
        const int other = rng_int(r, 0, t), slot = c->slot[t];
        c->slot[t] = c->slot[other];
        c->slot[other] = slot;
    }
    for (t = 0; t < c->tokens; t++) {
        const int exponent = rng_int(r, -3, 3), zero = !rng_int(r, 0, 9);
        const int nan = special && !rng_int(r, 0, 30), tiny = special && !rng_int(r, 0, 9);
        for (which = 0; which < 2; which++) {
            for (h = 0; h < HEADS; h++) {
                for (d = 0; d < DIM; d++)
                    c->x[which][t][h][d] =
                        zero ? 0
                             : (float)ldexp((double)rng_int(r, -1000000, 1000000) / 1000000,
                                            tiny ? -40 : exponent + h);
                if (nan && h == 1)
                    c->x[which][t][h][t % DIM] = case_float(double_of_bits(BITS_NAN));
            }
        }
    }
}

/* A call on the real cache; `order` 1: scales lie as [Hk, num_blocks]. */
static void write_call(side real[2], aiter_dtype type, const call *c, int order, aiter_context *ctx)
{
    static float scales[2][HEADS][BLOCKS];
    aiter_reshape_and_cache_args a;
    int32_t slots[SLOTS + 1];
    aiter_tensor *codes[2] = {&a.kv.k, &a.kv.v}, *scale[2] = {&a.kv.k_scale, &a.kv.v_scale};
    int which, b, h, t;
    memset(&a, 0, sizeof a);
    for (t = 0; t < c->tokens; t++) slots[t] = c->slot[t];
    for (which = 0; which < 2; which++) {
        *codes[which] = aiter_tensor_4d(real[which].codes, type, BLOCKS, PAGE, HEADS, DIM);
        *scale[which] = aiter_tensor_2d(real[which].scale, AITER_F32, BLOCKS, HEADS);
        if (!order) continue;
        for (h = 0; h < HEADS; h++)
            for (b = 0; b < BLOCKS; b++) scales[which][h][b] = real[which].scale[b][h];
        *scale[which] =
            aiter_tensor_transpose(aiter_tensor_2d(scales[which], AITER_F32, HEADS, BLOCKS), 0, 1);
    }
    a.k = aiter_tensor_3d(c->x[0], AITER_F32, c->tokens, HEADS, DIM);
    a.v = aiter_tensor_3d(c->x[1], AITER_F32, c->tokens, HEADS, DIM);
    a.slot_mapping = aiter_tensor_1d(slots, AITER_I32, c->tokens);
    a.quantisation.to = type;
    if (c->tokens % 2) a.quantisation.per = AITER_SCALE_PER_BLOCK_HEAD;
    CHECK(aiter_reshape_and_cache(&a, ctx) == AITER_OK, "%s", aiter_last_error());
    for (which = 0; which < 2 && order; which++)
        for (h = 0; h < HEADS; h++)
            for (b = 0; b < BLOCKS; b++) real[which].scale[b][h] = scales[which][h][b];
}

static void compare(const side real[2], const side rule[2], const char *what, int n)
{
    int which, b, h;
    for (which = 0; which < 2; which++) {
        int scales = 1;
        for (b = 0; b < BLOCKS; b++)
            for (h = 0; h < HEADS; h++) {
                const float x = real[which].scale[b][h], y = rule[which].scale[b][h];
                scales &= is_nan(x) ? is_nan(y) : memcmp(&x, &y, sizeof x) == 0;
            }
        CHECK(scales, "%s, call %d: scales of %c", what, n, "kv"[which]);
        CHECK(memcmp(real[which].codes, rule[which].codes, sizeof rule[0].codes) == 0,
              "%s, call %d: codes of %c", what, n, "kv"[which]);
    }
}

static void replay(aiter_dtype type, int seed)
{
    static call c;
    static side rule[2], real[AITER_ISA_COUNT + 1][2];
    test_rng r = {(uint64_t)seed + 77};
    int n, tier, which, b, h;
    memset(rule, 0x35, sizeof rule); /* scales of 6.7e-7 that nobody wrote */
    for (tier = 0; tier <= run_on.tiers; tier++) memcpy(real[tier], rule, sizeof rule);
    for (n = 0; n < CALLS; n++) {
        draw(&c, &r, n, seed % 2);
        for (which = 0; which < 2; which++)
            for (b = 0; b < BLOCKS; b++)
                for (h = 0; h < HEADS; h++) replay_block(&rule[which], which, type, &c, b, h);
        for (tier = 0; tier <= run_on.tiers; tier++) {
            const int last = tier == run_on.tiers;
            write_call(real[tier], type, &c, seed / 2 % 2, last ? run_on.two : run_on.one[tier]);
            compare(real[tier], rule, last ? "two threads" : aiter_isa_name(run_on.isa[tier]), n);
        }
    }
}

/* An append of larger numbers rounds the block again, one of smaller does not touch it. */
static void appends(void)
{
    static call c;
    side s[2], before[2];
    int h, d;
    memset(s, 0, sizeof s);
    memset(&c, 0, sizeof c);
    c.tokens = 1;
    for (h = 0; h < HEADS; h++)
        for (d = 0; d < DIM; d++) c.x[0][0][h][d] = c.x[1][0][h][d] = (float)(d + 1) / DIM;
    write_call(s, AITER_I8, &c, 0, NULL);
    CHECK(s[0].codes[0][0][DIM - 1] == 127 && s[0].scale[0][0] == 1.0f / 127, "a fresh block");
    memcpy(before, s, sizeof s);
    c.slot[0] = 1;
    for (h = 0; h < HEADS; h++)
        for (d = 0; d < DIM; d++) c.x[0][0][h][d] /= 2;
    write_call(s, AITER_I8, &c, 0, NULL);
    CHECK(memcmp(s[0].codes[0], before[0].codes[0], sizeof s[0].codes[0]) == 0 &&
              memcmp(s[0].scale, before[0].scale, sizeof s[0].scale) == 0 &&
              s[0].codes[1][0][DIM - 1] == 64,
          "an append of smaller numbers");
    c.slot[0] = 2;
    for (h = 0; h < HEADS; h++)
        for (d = 0; d < DIM; d++) c.x[0][0][h][d] *= 4;
    write_call(s, AITER_I8, &c, 0, NULL);
    CHECK(s[0].codes[0][0][DIM - 1] == 64 && s[0].codes[2][0][DIM - 1] == 127 &&
              s[0].scale[0][0] == 2.0f / 127,
          "an append of larger numbers");
}

int main(void)
{
    static const aiter_dtype types[] = {AITER_I8, AITER_F8_E4M3FN, AITER_F8_E4M3FNUZ,
                                        AITER_F8_E5M2};
    int i;
    test_begin("cache_blocks", 3e9);
    run_begin();
    appends();
    for (i = 0; i < 80; i++) replay(types[i % 4], i / 4);
    run_end();
    return test_end();
}
