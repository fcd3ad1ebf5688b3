/* test_unseen_pages.c -- pages of a cache that no row sees are not read, whatever hides them: a
 * window, the gap behind sinks, keys past the last query. Each block lies in memory of its own, and
 * those that nobody sees cannot be read; an access is counted, then let through. */
#include "test.h"
#include "reference.c"
#if TEST_POSIX && !TEST_SANITIZED
#include <signal.h>
#define CAN_TRAP 1
#else
#define CAN_TRAP 0 /* the bits are still compared */
#endif

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

enum { BLOCK_BYTES = 65536, MOST_BLOCKS = 80, HEADS_Q = 4, DIM = 8, MOST_Q = 60 };

typedef struct shape {
    aiter_mask mask;
    int sq, sk, left, right, sinks, splits;
} shape;

/* Both families; edges of what is seen inside, at and across blocks of 32 and 96 keys. */
static const shape shapes[] = {{AITER_MASK_WINDOW, 1, 200, 20, 0, 0, 0},
                               {AITER_MASK_WINDOW, 1, 300, 40, 0, 9, 0},
                               {AITER_MASK_WINDOW, 3, 130, 10, 0, 17, 0},
                               {AITER_MASK_WINDOW, 3, 310, 70, 2, 33, 2},
                               {AITER_MASK_WINDOW, 4, 97, 0, 0, 1, 0},
                               {AITER_MASK_WINDOW, 20, 300, 40, 0, 0, 0},
                               {AITER_MASK_WINDOW, 20, 300, 40, 0, 9, 0},
                               {AITER_MASK_WINDOW, 10, 90, 20, 0, 5, 0},
                               {AITER_MASK_WINDOW, 30, 96, 7, 0, 20, 0},
                               {AITER_MASK_WINDOW, 24, 310, 110, 0, 100, 0},
                               {AITER_MASK_WINDOW, 50, 250, 45, 0, 120, 0},
                               {AITER_MASK_WINDOW, 9, 190, 25, 3, 16, 0},
                               {AITER_MASK_WINDOW, 12, 160, 60, 0, 33, 3},
                               {AITER_MASK_WINDOW, 40, 280, 0, 0, 8, 2},
                               {AITER_MASK_WINDOW, 60, 200, 30, -1, 2, 0},
                               {AITER_MASK_CAUSAL_TOP_LEFT, 3, 120, 0, 0, 0, 0},
                               {AITER_MASK_CAUSAL_TOP_LEFT, 30, 200, 0, 0, 0, 0},
                               {AITER_MASK_CAUSAL_TOP_LEFT, 50, 310, 0, 0, 0, 3}};

/* K and V of one sequence: block b at b * BLOCK_BYTES. */
typedef struct cache {
    unsigned char *data[2];
    int32_t table[MOST_BLOCKS];
    unsigned char seen[MOST_BLOCKS];
    int page, blocks;
} cache;

static unsigned char *memory; /* of both */
enum { MEMORY_BYTES = 2 * MOST_BLOCKS * BLOCK_BYTES };
static int32_t strays;

#if CAN_TRAP
static void on_fault(int number, siginfo_t *info, void *context)
{
    const size_t at = (size_t)((unsigned char *)info->si_addr - memory);
    (void)context;
    if (at >= MEMORY_BYTES) { /* not ours: as without a handler */
        signal(number, SIG_DFL);
        return;
    }
    __atomic_fetch_add(&strays, 1, __ATOMIC_RELAXED);
    mprotect(memory + at / BLOCK_BYTES * BLOCK_BYTES, BLOCK_BYTES, PROT_READ);
}

static void memory_new(void)
{
    struct sigaction act;
    memset(&act, 0, sizeof act);
    act.sa_sigaction = on_fault;
    act.sa_flags = SA_SIGINFO;
    sigemptyset(&act.sa_mask);
    sigaction(SIGSEGV, &act, NULL);
    sigaction(SIGBUS, &act, NULL);
    memory = (unsigned char *)mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == (unsigned char *)MAP_FAILED) exit(1);
}
static void memory_open(void) { mprotect(memory, MEMORY_BYTES, PROT_READ | PROT_WRITE); }
static void memory_close(const cache *c)
{
    int side, b;
    for (side = 0; side < 2; side++)
        for (b = 0; b < c->blocks; b++)
            if (!c->seen[b])
                mprotect(c->data[side] + (size_t)c->table[b] * BLOCK_BYTES, BLOCK_BYTES, PROT_NONE);
}
#else
static void memory_new(void) { memory = (unsigned char *)malloc(MEMORY_BYTES); }
static void memory_open(void) {}
static void memory_close(const cache *c) { (void)c; }
#endif

static void cache_fill(cache *c, const shape *s, int page)
{
    const ref_mask mask = {s->mask, s->left, s->right, s->sinks};
    int side, b, i, j;
    memory_open();
    memset(c, 0, sizeof *c);
    c->page = page;
    c->blocks = (s->sk + page - 1) / page;
    for (j = 0; j < s->sk; j++)
        for (i = 0; i < s->sq; i++)
            if (ref_visible(&mask, i, j, s->sq, s->sk)) c->seen[j / page] = 1;
    for (b = 0; b < c->blocks; b++) c->table[b] = (b * 7 + 3) % MOST_BLOCKS;
    for (side = 0; side < 2; side++) {
        c->data[side] = memory + (size_t)side * MOST_BLOCKS * BLOCK_BYTES;
        for (b = 0; b < c->blocks; b++) {
            float *block = (float *)(void *)(c->data[side] + (size_t)c->table[b] * BLOCK_BYTES);
            for (i = 0; i < page * DIM; i++)
                block[i] = (float)rng_unit((uint64_t)(side * 1000003 + b * 4099 + i));
        }
    }
}

static void attend(const cache *c, const shape *s, const float *q, float *out, aiter_context *ctx)
{
    aiter_flash_attn_fwd_args a;
    int32_t used = s->sk;
    int side;
    memset(&a, 0, sizeof a);
    a.q = aiter_tensor_4d((void *)(uintptr_t)q, AITER_F32, 1, s->sq, HEADS_Q, DIM);
    a.out = aiter_tensor_4d(out, AITER_F32, 1, s->sq, HEADS_Q, DIM);
    for (side = 0; side < 2; side++) {
        aiter_tensor *const t = side ? &a.kv.v : &a.kv.k;
        *t = aiter_tensor_4d(c->data[side], AITER_F32, MOST_BLOCKS, c->page, 1, DIM);
        t->stride[0] = BLOCK_BYTES / 4;
        t->stride[1] = t->stride[2] = DIM;
        t->stride[3] = 1;
    }
    a.kv.block_table = aiter_tensor_2d((void *)(uintptr_t)c->table, AITER_I32, 1, c->blocks);
    a.kv.seq_lens = aiter_tensor_1d(&used, AITER_I32, 1);
    a.score.mask = s->mask;
    a.score.window_left = s->left;
    a.score.window_right = s->right;
    a.score.sink_tokens = s->sinks;
    a.num_splits = s->splits;
    CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_OK, "%s", aiter_last_error());
}

static void unseen(const shape *s, int page, aiter_context *ctx)
{
    static float q[MOST_Q * HEADS_Q * DIM], out[2][MOST_Q * HEADS_Q * DIM];
    static cache c;
    int i;
    for (i = 0; i < COUNT(q); i++) q[i] = (float)rng_unit((uint64_t)i + 9000009);
    memset(out, 0, sizeof out);
    cache_fill(&c, s, page);
    attend(&c, s, q, out[0], ctx);
    memory_close(&c);
    strays = 0;
    attend(&c, s, q, out[1], ctx);
    CHECK(strays == 0, "mask %d (%d, %d, %d), Sq %d, Sk %d, page %d: %d blocks that no row sees",
          (int)s->mask, s->left, s->right, s->sinks, s->sq, s->sk, page, (int)strays);
    CHECK(memcmp(out[0], out[1], sizeof out[0]) == 0, "other bits without them");
    test_global.cases++;
}

int main(void)
{
    static const int pages[] = {4, 5, 16, 32, 64};
    aiter_isa tiers[AITER_ISA_COUNT];
    int t, n, p, count;
    test_begin("unseen pages", 1e8);
    count = test_tiers(tiers);
    memory_new();
    for (t = 0; t < count; t++) {
        aiter_context *ctx = test_context(tiers[t], 1 + t % 2);
        for (n = 0; n < COUNT(shapes); n++)
            for (p = 0; p < COUNT(pages); p++) unseen(&shapes[n], pages[p], ctx);
        aiter_context_destroy(ctx);
    }
    return test_end();
}
