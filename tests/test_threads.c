/* test_threads.c -- a pool whose n-th thread cannot be started: the context is refused, every
 * thread that did start has ended, and the next creation works. Then which workers of a pool run,
 * and how many CPUs a process may use, by texts of our own in place of the system's. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *affinity_text, *quota_text;
static FILE *given_file(const char *path, const char *mode)
{
    const char *text = strstr(path, "status") ? affinity_text : quota_text;
    FILE *file = text ? tmpfile() : NULL;
    (void)mode;
    if (!file) return NULL;
    fputs(text, file);
    rewind(file);
    return file;
}
static long given_sysconf(int name)
{
    (void)name;
    return 64;
}

static int starts_left = 1 << 30, started, ended;

typedef struct thread_start {
    void *(*main)(void *);
    void *arg;
} thread_start;

static void *counted_main(void *arg);
static int failing_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
                                  void *(*main)(void *), void *arg);
/* aiteri_thread_start then calls ours. */
#define pthread_create failing_pthread_create
#define fopen          given_file
#define sysconf        given_sysconf
#include "test.h"
#undef pthread_create
#undef fopen
#undef sysconf

static void *counted_main(void *arg)
{
    const thread_start start = *(thread_start *)arg;
    void *result;
    free(arg);
    result = start.main(start.arg);
    __atomic_fetch_add(&ended, 1, __ATOMIC_ACQ_REL);
    return result;
}

static int failing_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
                                  void *(*main)(void *), void *arg)
{
    thread_start *start;
    int status;
    if (starts_left-- <= 0) return EAGAIN;
    start = (thread_start *)malloc(sizeof *start);
    start->main = main;
    start->arg = arg;
    status = pthread_create(thread, attr, counted_main, start);
    if (status == 0) started++;
    if (status != 0) free(start);
    return status;
}

/* ---- who runs ---- */

static int64_t runs[16];
static void note_run(void *arg, int32_t i)
{
    (void)arg;
    __atomic_fetch_add(&runs[i], 1, __ATOMIC_ACQ_REL);
}

/* Of n tasks each runs once, by the caller or its worker; the other workers run nothing. */
static void tasks_run_once(void)
{
    const int32_t threads = 8;
    aiteri_pool pool;
    aiteri_pool_worker worker[8];
    int32_t n, i;
    int round;
    CHECK(aiteri_pool_start(&pool, worker, threads), "a pool");
    for (round = 0; round < 4; round++)
        for (n = 1; n <= threads; n++) {
            memset(runs, 0, sizeof runs);
            aiteri_pool_run(&pool, note_run, NULL, n);
            for (i = 0; i < 16; i++)
                CHECK(runs[i] == (i < n), "task %d of %d ran %d times", (int)i, (int)n,
                      (int)runs[i]);
        }
    aiteri_pool_stop(&pool);
}

/* ---- how many CPUs ---- */

static void usable_cpus(void)
{
    static const struct {
        const char *affinity, *quota;
        int32_t cpus;
    } rows[] = {{NULL, NULL, 64},
                {"Name:\tx\nCpus_allowed:\tf\nMems_allowed:\t1\n", NULL, 4},
                {"Cpus_allowed:\t3\n", NULL, 2},
                {"Cpus_allowed:\t1\n", NULL, 1},
                {"Cpus_allowed:\tff,0000000f\n", NULL, 12},
                {"Cpus_allowed:\tffffffff,ffffffff,ffffffff\n", NULL, 64},
                {"Cpus_allowed:\ta5\nCpus_allowed_list:\t0-7\n", NULL, 4},
                {"Cpus_allowed:\t10\n", NULL, 1},
                {"Cpus_allowed:\t7\n", NULL, 3},
                {"Cpus_allowed:\tfff\n", NULL, 12},
                {"Cpus_allowed:\t1f\n", NULL, 5},
                {"Cpus_allowed:\tc0\n", NULL, 2},
                {NULL, "max 100000\n", 64},
                {NULL, "200000 100000\n", 2},
                {NULL, "150000 100000\n", 2},
                {NULL, "1000 100000\n", 1},
                {NULL, "250000 100000\n", 3},
                {NULL, "310000 100000\n", 4},
                {NULL, "420000 100000\n", 5},
                {NULL, "50001 50000\n", 2},
                {NULL, "100001 50000\n", 3},
                {NULL, "333 100\n", 4},
                {NULL, "999 100\n", 10},
                {NULL, "1111 100\n", 12},
                {NULL, "99999999 100\n", 64},
                {NULL, "", 64},
                {"Cpus_allowed:\tff\n", "350000 100000\n", 4},
                {"Cpus_allowed:\t3\n", "350000 100000\n", 2}};
    size_t i;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        affinity_text = rows[i].affinity;
        quota_text = rows[i].quota;
        CHECK(aiteri_usable_cpus() == rows[i].cpus, "row %d: %d CPUs, expected %d", (int)i,
              (int)aiteri_usable_cpus(), (int)rows[i].cpus);
    }
    affinity_text = quota_text = NULL;
}

/* Memory that is never given out twice: a worker that was left would wait in its own. */
static int64_t blocks_out;
static void *keeping_alloc(void *user, size_t bytes, size_t align, aiter_memory kind)
{
    static char slab[1 << 20];
    static size_t used;
    const size_t base = (size_t)(uintptr_t)slab;
    const size_t at = (base + used + align - 1) / align * align - base;
    (void)user;
    (void)kind;
    if (at + bytes > sizeof slab) return NULL;
    used = at + bytes;
    blocks_out++;
    return slab + at;
}
static void keeping_free(void *user, void *ptr, size_t bytes, aiter_memory kind)
{
    (void)user;
    (void)bytes;
    (void)kind;
    if (ptr) blocks_out--;
}

/* Pools of which only n threads can be started. */
static void failing_starts(int threads)
{
    int n;
    for (n = 0; n <= threads; n++) {
        aiter_context_desc d;
        aiter_context *ctx = (aiter_context *)&d;
        aiter_status status;
        memset(&d, 0, sizeof d);
        d.num_threads = threads;
        d.alloc = keeping_alloc;
        d.free = keeping_free;
        starts_left = n;
        started = ended = 0;
        status = aiter_context_create(&d, &ctx);
        if (n < threads - 1) {
            CHECK(status == AITER_OUT_OF_MEMORY, "%d starts: %s", n, aiter_status_name(status));
            CHECK(ctx == NULL, "%d starts: a context", n);
            CHECK(strstr(aiter_last_error(), "num_threads"), "\"%s\"", aiter_last_error());
            CHECK(started == n, "%d of %d started", started, n);
        } else {
            CHECK(status == AITER_OK, "%d starts: %s", n, aiter_last_error());
            aiter_context_destroy(ctx);
        }
        CHECK(ended == started, "%d starts: %d of %d ended", n, ended, started);
        CHECK(blocks_out == 0, "%d starts: %d blocks are left", n, (int)blocks_out);
    }
}

int main(void)
{
    int threads;
    test_begin("threads", 1e8);
    tasks_run_once();
    usable_cpus();
    for (threads = 2; threads <= 7; threads++) failing_starts(threads);
    return test_end();
}
