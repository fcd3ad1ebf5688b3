/* duel.c -- builds of the library in one process, call by call in turn: which compiler's is faster,
 * on a machine too busy to time two programs. Each build is this file as a shared object:
 *
 *     cc -O3 -fPIC -shared -DDUEL_SIDE bench/duel.c -o a.so -lm -lpthread
 *     cc -O3 bench/duel.c -o duel -ldl && ./duel 1000 avx2 a.so b.so ...
 *
 * A row is the median of each one's times over the first one's of the same turn. compilers.py
 * --duel does all of it. */
#define _GNU_SOURCE
#ifndef AITER_TEST_HEADER
#define AITER_TEST_HEADER "../aiter_attn.h"
#endif
#define AITER_ATTN_IMPLEMENTATION
#ifdef DUEL_SIDE
#define AITER_ATTN_STATIC
#include AITER_TEST_HEADER

void *duel_context(int isa);
int duel_flash(const void *args, void *ctx);
int duel_decode(const void *args, void *ctx);

void *duel_context(int isa)
{
    aiter_context_desc desc = {0};
    aiter_context *ctx = NULL;
    desc.num_threads = 1;
    desc.isa_max = (aiter_isa)isa;
    if (aiter_context_create(&desc, &ctx) != AITER_OK) return NULL;
    return aiter_context_info(ctx).isa == (aiter_isa)isa ? ctx : NULL;
}

int duel_flash(const void *args, void *ctx)
{
    return aiter_flash_attn_fwd((const aiter_flash_attn_fwd_args *)args, (aiter_context *)ctx);
}

int duel_decode(const void *args, void *ctx)
{
    return aiter_paged_attn_decode((const aiter_paged_attn_decode_args *)args,
                                   (aiter_context *)ctx);
}
#else
#include AITER_TEST_HEADER
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_SIDES = 16, MAX_TURNS = 10000 };
enum { LENGTH = 512, HEADS = 2, DIM = 128, CONTEXT = 2048, HEADS_Q = 32, HEADS_K = 8, PAGE = 16 };

typedef int (*duel_op)(const void *args, void *ctx);
typedef struct duel_side {
    void *library, *ctx;
} duel_side;

static duel_side sides[MAX_SIDES];
static int num_sides, turns;
static double times[MAX_SIDES][MAX_TURNS], ratios[MAX_TURNS];

static void fail(const char *what)
{
    fprintf(stderr, "duel: %s\n", what);
    exit(2);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* `count` values, f32 in [-1.7, 1.7] or normal f16 below 1. */
static void *values(int64_t count, aiter_dtype dtype, uint32_t seed)
{
    void *data = NULL;
    if (posix_memalign(&data, 64, (size_t)count * 4)) fail("out of memory");
    for (int64_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        if (dtype == AITER_F32)
            ((float *)data)[i] = (float)(seed >> 8) / 16777216.0f * 3.4f - 1.7f;
        else
            ((uint16_t *)data)[i] =
                (uint16_t)(0x3000u + (seed >> 8) % 0xc00u + (seed >> 16 & 0x8000u));
    }
    return data;
}

/* The order rotates from turn to turn: no build always comes after the same one. */
static void row(const char *name, const char *symbol, const void *args)
{
    duel_op op[MAX_SIDES];
    for (int i = 0; i < num_sides; i++) {
        *(void **)&op[i] = dlsym(sides[i].library, symbol);
        if (!op[i] || op[i](args, sides[i].ctx) != AITER_OK) fail("a call failed");
    }
    for (int turn = 0; turn < turns; turn++)
        for (int j = 0; j < num_sides; j++) {
            int i = turn % 2 ? (turn + num_sides - j) % num_sides : (turn + j) % num_sides;
            double start = now();
            op[i](args, sides[i].ctx);
            times[i][turn] = now() - start;
        }
    printf("| %s |", name);
    for (int i = 0; i < num_sides; i++) {
        for (int turn = 0; turn < turns; turn++) ratios[turn] = times[i][turn] / times[0][turn];
        qsort(ratios, (size_t)turns, sizeof *ratios, compare);
        printf(" %.3f |", ratios[turns / 2]);
    }
    printf("\n");
    fflush(stdout);
}

static void prefill(const char *name, aiter_dtype dtype, aiter_mask mask)
{
    enum { COUNT = LENGTH * HEADS * DIM };
    aiter_flash_attn_fwd_args a = {0};
    a.q = aiter_tensor_4d(values(COUNT, AITER_F32, 1), AITER_F32, 1, LENGTH, HEADS, DIM);
    a.out = aiter_tensor_4d(values(COUNT, AITER_F32, 2), AITER_F32, 1, LENGTH, HEADS, DIM);
    a.kv.k = aiter_tensor_4d(values(COUNT, dtype, 3), dtype, 1, LENGTH, HEADS, DIM);
    a.kv.v = aiter_tensor_4d(values(COUNT, dtype, 4), dtype, 1, LENGTH, HEADS, DIM);
    a.score.mask = mask;
    row(name, "duel_flash", &a);
    free(a.q.data), free(a.out.data), free(a.kv.k.data), free(a.kv.v.data);
}

static void decode(const char *name, aiter_dtype dtype)
{
    enum { COUNT = CONTEXT * HEADS_K * DIM, PAGES = CONTEXT / PAGE };
    int32_t table[PAGES], length = CONTEXT;
    aiter_paged_attn_decode_args a = {0};
    for (int i = 0; i < PAGES; i++) table[i] = i * 37 % PAGES;
    a.q = aiter_tensor_3d(values(HEADS_Q * DIM, AITER_F32, 1), AITER_F32, 1, HEADS_Q, DIM);
    a.out = aiter_tensor_3d(values(HEADS_Q * DIM, AITER_F32, 2), AITER_F32, 1, HEADS_Q, DIM);
    a.kv.k = aiter_tensor_4d(values(COUNT, dtype, 3), dtype, PAGES, PAGE, HEADS_K, DIM);
    a.kv.v = aiter_tensor_4d(values(COUNT, dtype, 4), dtype, PAGES, PAGE, HEADS_K, DIM);
    a.kv.block_table = aiter_tensor_2d(table, AITER_I32, 1, PAGES);
    a.kv.seq_lens = aiter_tensor_1d(&length, AITER_I32, 1);
    row(name, "duel_decode", &a);
    free(a.q.data), free(a.out.data), free(a.kv.k.data), free(a.kv.v.data);
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc - 3 > MAX_SIDES) fail("TURNS avx2|avx512|neon LIBRARY...");
    turns = atoi(argv[1]);
    if (turns < 1 || turns > MAX_TURNS) fail("TURNS: 1 to 10000");
    int isa = !strcmp(argv[2], "avx2")     ? AITER_ISA_AVX2
              : !strcmp(argv[2], "avx512") ? AITER_ISA_AVX512
              : !strcmp(argv[2], "neon")   ? AITER_ISA_NEON
                                           : AITER_ISA_SCALAR;
    for (; num_sides < argc - 3; num_sides++) {
        duel_side *side = &sides[num_sides];
        void *(*context)(int) = NULL;
        side->library = dlopen(argv[3 + num_sides], RTLD_NOW | RTLD_LOCAL);
        if (!side->library) fail(dlerror());
        *(void **)&context = dlsym(side->library, "duel_context");
        side->ctx = context ? context(isa) : NULL;
        if (!side->ctx) fail("this CPU does not have the set");
    }
    prefill("full prefill, f32", AITER_F32, AITER_MASK_NONE);
    prefill("full prefill, f16", AITER_F16, AITER_MASK_NONE);
    prefill("causal prefill, f32", AITER_F32, AITER_MASK_CAUSAL);
    decode("decode, page 16, f16", AITER_F16);
    return 0;
}
#endif
