/* test_threads.c -- a pool whose n-th thread cannot be started: the context is refused, every
 * thread that did start has ended, and the next creation works. */
#include <errno.h>
#include <pthread.h>

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
#include "test.h"
#undef pthread_create

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

int main(void)
{
    const int threads = 6;
    int n;
    test_begin("threads", 1e8);
    for (n = 0; n <= threads; n++) {
        aiter_context_desc d;
        aiter_context *ctx = (aiter_context *)&d;
        aiter_status status;
        memset(&d, 0, sizeof d);
        d.num_threads = threads;
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
    }
    return test_end();
}
