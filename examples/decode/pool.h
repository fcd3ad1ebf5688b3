/* pool.h -- one set of threads that serves the matrix products and, as parallel_for, the library.
 *
 * A job is n indices; threads claim them one by one from a single 64-bit ticket (job number in the
 * upper half, indices left in the lower), so a late thread can never run an index of another job.
 * Idle threads spin for some microseconds, because a token is a few hundred short jobs, then sleep.
 */
#ifndef DECODE_POOL_H
#define DECODE_POOL_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

enum { POOL_SPINS = 4000, POOL_MAX_THREADS = 1024 };

typedef void pool_body(void *arg, int32_t i);

typedef struct pool {
    _Alignas(64) _Atomic uint64_t ticket;
    _Alignas(64) _Atomic int32_t unfinished;
    _Alignas(64) _Atomic int32_t sleepers;
    _Atomic(pool_body *) body;
    _Atomic(void *) arg;
    _Atomic int32_t stop;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int32_t threads; /* the caller's included */
    pthread_t *workers;
} pool;

static inline void pool_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Runs one index of the current job; 0 if none is left. */
static inline int pool_take(pool *p)
{
    uint64_t ticket = atomic_load_explicit(&p->ticket, memory_order_acquire);
    while ((uint32_t)ticket != 0) {
        pool_body *body = atomic_load_explicit(&p->body, memory_order_relaxed);
        void *arg = atomic_load_explicit(&p->arg, memory_order_relaxed);
        /* Success proves that the job is still open, so body and arg were its own. */
        if (atomic_compare_exchange_weak_explicit(&p->ticket, &ticket, ticket - 1,
                                                  memory_order_acq_rel, memory_order_acquire)) {
            body(arg, (int32_t)((uint32_t)ticket - 1));
            atomic_fetch_sub_explicit(&p->unfinished, 1, memory_order_release);
            return 1;
        }
    }
    return 0;
}

static inline int pool_idle(pool *p)
{
    return (uint32_t)atomic_load(&p->ticket) == 0 && !atomic_load(&p->stop);
}

static inline void *pool_worker(void *arg)
{
    pool *p = (pool *)arg;
    while (!atomic_load_explicit(&p->stop, memory_order_acquire)) {
        int spins = 0;
        while (pool_take(p)) {}
        while (pool_idle(p) && spins++ < POOL_SPINS) pool_pause();
        if (!pool_idle(p)) continue;
        pthread_mutex_lock(&p->lock);
        /* Counted before the last look, while pool_for publishes before it reads the count: one of
         * the two sees the other. */
        atomic_fetch_add(&p->sleepers, 1);
        while (pool_idle(p)) pthread_cond_wait(&p->wake, &p->lock);
        atomic_fetch_sub(&p->sleepers, 1);
        pthread_mutex_unlock(&p->lock);
    }
    return NULL;
}

/* body(arg, i) once for each i in [0, n), spread over the threads; returns when all are done. Has
 * the type of aiter_context_desc.parallel_for; user is the pool. Not for calls from inside a body.
 */
static inline void pool_for(void *user, void (*body)(void *arg, int32_t i), void *arg, int32_t n)
{
    pool *p = (pool *)user;
    if (n <= 1 || p->threads == 1) {
        for (int32_t i = 0; i < n; i++) body(arg, i);
        return;
    }
    atomic_store_explicit(&p->body, body, memory_order_relaxed);
    atomic_store_explicit(&p->arg, arg, memory_order_relaxed);
    atomic_store_explicit(&p->unfinished, n, memory_order_relaxed);
    uint64_t job = (atomic_load_explicit(&p->ticket, memory_order_relaxed) >> 32) + 1;
    atomic_store(&p->ticket, job << 32 | (uint32_t)n);
    if (atomic_load(&p->sleepers)) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->wake);
        pthread_mutex_unlock(&p->lock);
    }
    while (pool_take(p)) {}
    for (int spins = 0; atomic_load_explicit(&p->unfinished, memory_order_acquire) > 0; spins++) {
        if (spins < POOL_SPINS)
            pool_pause();
        else
            sched_yield();
    }
}

static inline void pool_destroy(pool *p)
{
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->stop, 1);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int32_t i = 0; i < p->threads - 1; i++) pthread_join(p->workers[i], NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->workers);
    free(p);
}

/* NULL if a thread or memory is refused. */
static inline pool *pool_create(int32_t threads)
{
    pool *p = NULL;
    if (threads < 1 || threads > POOL_MAX_THREADS) return NULL;
    if (posix_memalign((void **)&p, 64, sizeof *p)) return NULL;
    p->workers = (pthread_t *)malloc((size_t)threads * sizeof *p->workers);
    if (!p->workers) {
        free(p);
        return NULL;
    }
    atomic_init(&p->ticket, 0);
    atomic_init(&p->unfinished, 0);
    atomic_init(&p->sleepers, 0);
    atomic_init(&p->body, NULL);
    atomic_init(&p->arg, NULL);
    atomic_init(&p->stop, 0);
    const int locked = pthread_mutex_init(&p->lock, NULL) == 0;
    if (!locked || pthread_cond_init(&p->wake, NULL) != 0) {
        if (locked) pthread_mutex_destroy(&p->lock);
        free(p->workers);
        free(p);
        return NULL;
    }
    for (p->threads = 1; p->threads < threads; p->threads++) {
        if (pthread_create(&p->workers[p->threads - 1], NULL, pool_worker, p)) {
            pool_destroy(p);
            return NULL;
        }
    }
    return p;
}

#endif /* DECODE_POOL_H */
