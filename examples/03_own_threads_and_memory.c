/* 03_own_threads_and_memory.c -- the caller's threads, the caller's allocator, a workspace of exact
 * size and a plan made once. The bits do not change with any of them.
 *
 *     cc -std=c99 -O2 examples/03_own_threads_and_memory.c -o own -lm -lpthread && ./own
 */
#define AITER_ATTN_IMPLEMENTATION
#include "../aiter_attn.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { S = 300, HQ = 4, HK = 2, D = 64, WORKERS = 3 };

static float q[S * HQ * D], k[S * HK * D], v[S * HK * D], first[S * HQ * D], out[S * HQ * D];

/* ---- our threads: any way of running body(arg, 0 .. n-1) will do, even a loop ---- */
typedef struct job {
    void (*body)(void *arg, int32_t i);
    void *arg;
    int32_t i;
} job;

static void *run_job(void *arg)
{
    job *j = (job *)arg;
    j->body(j->arg, j->i);
    return NULL;
}

static void our_parallel_for(void *user, void (*body)(void *arg, int32_t i), void *arg, int32_t n)
{
    pthread_t threads[WORKERS];
    job jobs[WORKERS]; /* n is never more than num_threads */
    int started[WORKERS];
    (void)user;
    for (int32_t i = 0; i < n; i++) {
        job j = {body, arg, i};
        jobs[i] = j;
        started[i] = pthread_create(&threads[i], NULL, run_job, &jobs[i]) == 0;
        if (!started[i]) run_job(&jobs[i]);
    }
    for (int32_t i = 0; i < n; i++) {
        if (started[i]) pthread_join(threads[i], NULL);
    }
}

/* ---- our memory ---- */
typedef struct heap {
    int allocations;
    size_t live;
} heap;

static void *our_alloc(void *user, size_t bytes, size_t align, aiter_memory kind)
{
    heap *h = (heap *)user;
    (void)kind; /* always AITER_MEMORY_HOST without a device */
    char *block = (char *)malloc(bytes + align + sizeof(void *));
    if (!block) return NULL;
    uintptr_t start = ((uintptr_t)block + sizeof(void *) + align - 1) / align * align;
    memcpy((char *)start - sizeof(void *), &block, sizeof(void *));
    h->allocations++;
    h->live += bytes;
    return (void *)start;
}

static void our_free(void *user, void *ptr, size_t bytes, aiter_memory kind)
{
    void *block;
    (void)kind;
    memcpy(&block, (char *)ptr - sizeof(void *), sizeof(void *));
    ((heap *)user)->live -= bytes;
    free(block);
}

static void fill(float *x, size_t count, unsigned seed)
{
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    }
}

/* Runs and compares with the first result, bit for bit. */
static int same_bits(const aiter_flash_attn_fwd_args *a, aiter_context *ctx, const char *how)
{
    memset(out, 0, sizeof out);
    if (aiter_flash_attn_fwd(a, ctx) != AITER_OK) {
        printf("%-28s %s\n", how, aiter_context_error(ctx));
        return 0;
    }
    int same = memcmp(out, first, sizeof out) == 0;
    printf("%-28s %s\n", how, same ? "same bits" : "OTHER BITS");
    return same;
}

int main(void)
{
    heap h = {0, 0};
    aiter_context_desc desc = {
        .num_threads = WORKERS,
        .parallel_for = our_parallel_for,
        .alloc = our_alloc,
        .free = our_free,
        .user = &h,
    };
    aiter_flash_attn_fwd_args a = {
        .q = aiter_tensor_4d(q, AITER_F32, 1, S, HQ, D),
        .kv.k = aiter_tensor_4d(k, AITER_F32, 1, S, HK, D),
        .kv.v = aiter_tensor_4d(v, AITER_F32, 1, S, HK, D),
        .out = aiter_tensor_4d(first, AITER_F32, 1, S, HQ, D),
        .score.mask = AITER_MASK_CAUSAL,
    };
    aiter_context *ctx;
    fill(q, S * HQ * D, 1);
    fill(k, S * HK * D, 2);
    fill(v, S * HK * D, 3);
    if (aiter_flash_attn_fwd(&a, NULL) != AITER_OK || aiter_context_create(&desc, &ctx)) {
        puts(aiter_last_error());
        return 1;
    }
    a.out.data = out;
    int good = same_bits(&a, ctx, "our threads and memory:");

    /* After the first call of the largest size nothing is allocated. */
    int allocations = h.allocations;
    good &= same_bits(&a, ctx, "again:");
    printf("allocations: %d, then %d more\n", allocations, h.allocations - allocations);
    good &= h.allocations == allocations;

    /* A workspace of our own: the library says how many bytes, and takes no fewer. */
    size_t bytes = 0;
    good &= aiter_flash_attn_fwd_workspace(&a, ctx, &bytes) == AITER_OK;
    a.call.workspace = malloc(bytes ? bytes : 1);
    a.call.workspace_bytes = bytes;
    good &= same_bits(&a, ctx, "our workspace:");

    /* A plan: the schedule made once, for many calls with the same lengths. */
    aiter_plan plan = {0};
    good &= aiter_flash_attn_fwd_plan(&a, ctx, &plan) == AITER_OK; /* data NULL: asks the size */
    plan.data = malloc(plan.bytes ? plan.bytes : 1);
    good &= aiter_flash_attn_fwd_plan(&a, ctx, &plan) == AITER_OK;
    a.call.plan = &plan;
    printf("plan: %d works for %d workers\n", plan.num_works, plan.num_workers);
    good &= same_bits(&a, ctx, "with the plan:");

    free(plan.data);
    free(a.call.workspace);
    aiter_context_destroy(ctx);
    printf("bytes not given back: %lu\n", (unsigned long)h.live);
    return good && h.live == 0 ? 0 : 1;
}
