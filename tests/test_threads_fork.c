/* test_threads_fork.c -- a context with threads, and a fork: the child has no such threads, so its
 * calls run alone and give the same bits, it may destroy its copy, and the parent's goes on. */
#include "test.h"
#include "reference.c"
#include "every_op.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

enum { LONGEST = 60 }; /* seconds that a child may take; what it never does is return */

static every_op ops[EVERY_OP];
static uint64_t want[EVERY_OP];

/* Every op's bits on this context are the parent's. */
static void all_ops(aiter_context *ctx, const char *when)
{
    int i;
    for (i = 0; i < EVERY_OP; i++)
        CHECK(every_answer(&ops[i], ctx, when) == want[i], "%s: bits of %s", when, ops[i].name);
}

/* Runs body(ctx) in a child; its failed checks are this program's. */
static void in_child(void (*body)(aiter_context *ctx), aiter_context *ctx, const char *what)
{
    const pid_t child = fork();
    int status = -1;
    if (child == 0) {
        const int64_t before = test_global.failed;
        alarm(LONGEST);
        body(ctx);
        _exit(test_global.failed == before ? 7 : 1);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child, "%s: no child", what);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7, "%s: status %x%s", what, (unsigned)status,
          WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? ", it never returned" : "");
}

static void calls_and_destroys(aiter_context *ctx)
{
    all_ops(ctx, "in the child");
    CHECK(aiter_context_error(ctx)[0] == 0, "\"%s\"", aiter_context_error(ctx));
    aiter_context_destroy(ctx);
}

static void destroys(aiter_context *ctx) { aiter_context_destroy(ctx); }

static void forks_again(aiter_context *ctx)
{
    in_child(calls_and_destroys, ctx, "grandchild of a child that did not call");
    all_ops(ctx, "in the child after its own fork");
    in_child(calls_and_destroys, ctx, "grandchild of a child that called");
    aiter_context_destroy(ctx);
}

/* A pool of the child's own; ThreadSanitizer forbids threads after a fork from threads. */
static void makes_its_own(aiter_context *ctx)
{
    aiter_context *own = test_context(AITER_ISA_AUTO, 3);
    all_ops(own, "on a context of the child's");
    all_ops(ctx, "beside a context of the child's");
    aiter_context_destroy(own);
    aiter_context_destroy(ctx);
}

typedef struct busy {
    every_op op;
    aiter_context *ctx;
    int stop;
} busy;

static void *work(void *user)
{
    busy *b = (busy *)user;
    while (!__atomic_load_n(&b->stop, __ATOMIC_ACQUIRE)) {
        every_store(&b->op);
        every_call(&b->op, b->ctx);
    }
    return NULL;
}

/* Forks while another thread's pool is at work: that pool's locks may be held for ever in the
 * child, whose own copy of this thread's context must not care. */
static void beside_a_busy_pool(aiter_context *ctx)
{
    static busy b;
    pthread_t other;
    int i;
    every_new(&b.op, EVERY_CACHE, 8);
    b.ctx = test_context(AITER_ISA_AUTO, 2);
    pthread_create(&other, NULL, work, &b);
    for (i = 0; i < 10; i++) in_child(calls_and_destroys, ctx, "beside a busy pool");
    __atomic_store_n(&b.stop, 1, __ATOMIC_RELEASE);
    pthread_join(other, NULL);
    aiter_context_destroy(b.ctx);
    every_free(&b.op);
}

static void in_turn(void *user, void (*body)(void *arg, int32_t i), void *arg, int32_t n)
{
    int32_t i;
    (void)user;
    for (i = n - 1; i >= 0; i--) body(arg, i);
}

static int64_t live;

static void *counted_alloc(void *user, size_t bytes, size_t align, aiter_memory kind)
{
    void *p = NULL;
    (void)user;
    (void)kind;
    live += (int64_t)bytes;
    return posix_memalign(&p, align < sizeof(void *) ? sizeof(void *) : align, bytes) ? NULL : p;
}

static void counted_free(void *user, void *ptr, size_t bytes, aiter_memory kind)
{
    (void)user;
    (void)kind;
    live -= (int64_t)bytes;
    free(ptr);
}

static void frees_all(aiter_context *ctx)
{
    calls_and_destroys(ctx);
    CHECK(live == 0, "%" PRId64 " bytes lost in the child", live);
}

int main(void)
{
    aiter_context_desc d;
    aiter_context *ctx = test_context(AITER_ISA_AUTO, 1);
    int i, round;
    test_begin("threads_fork", 1e8);
    for (i = 0; i < EVERY_OP; i++) {
        every_new(&ops[i], i, test_is_slow() ? 4 : 16);
        want[i] = every_answer(&ops[i], ctx, "alone");
    }
    aiter_context_destroy(ctx);
    for (round = 0; round < 3; round++) {
        memset(&d, 0, sizeof d);
        d.num_threads = 2 + round;
        d.alloc = counted_alloc;
        d.free = counted_free;
        if (round == 2) d.parallel_for = in_turn;
        CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
        in_child(destroys, ctx, "destroyed before any call");
        all_ops(ctx, "in the parent");
        in_child(destroys, ctx, "destroyed");
        in_child(frees_all, ctx, "used and destroyed");
        in_child(forks_again, ctx, "nested");
        if (!TEST_SANITIZED) in_child(makes_its_own, ctx, "with a pool of its own");
        if (round == 1) beside_a_busy_pool(ctx);
        all_ops(ctx, "in the parent after all");
        aiter_context_destroy(ctx);
        CHECK(live == 0, "%" PRId64 " bytes lost in the parent", live);
    }
    for (i = 0; i < EVERY_OP; i++) every_free(&ops[i]);
    return test_end();
}
