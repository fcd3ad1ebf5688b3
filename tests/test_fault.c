/* test_fault.c -- each thing that the library asks for fails once, for every n the n-th: the
 * caller's allocator, malloc, threads, locks, files. In every op: OUT_OF_MEMORY with a text,
 * nothing written, nothing lost, and the next call gives the right bits. */
#include "failing_calls.h"
#include "test.h" /* with its implementation: aiteri_malloc_hook and the pool call ours */
#include "failing_calls_end.inl.h"
#include "reference.c"
#include "every_op.h"

typedef struct failing {
    int64_t calls, fail_at, live, live_bytes; /* fail_at 0: never */
} failing;

static void *failing_alloc(void *user, size_t bytes, size_t align, aiter_memory kind)
{
    failing *f = (failing *)user;
    void *p = NULL;
    (void)kind;
    if (++f->calls == f->fail_at) return NULL;
    if (align < sizeof(void *)) align = sizeof(void *);
    if (posix_memalign(&p, align, bytes)) return NULL;
    memset(p, 0xFF, bytes);
    f->live++;
    f->live_bytes += (int64_t)bytes;
    return p;
}

static void failing_free(void *user, void *ptr, size_t bytes, aiter_memory kind)
{
    failing *f = (failing *)user;
    (void)kind;
    f->live--;
    f->live_bytes -= (int64_t)bytes;
    free(ptr);
}

static aiter_context_desc description(failing *f, int threads, size_t arena)
{
    aiter_context_desc d;
    memset(&d, 0, sizeof d);
    memset(f, 0, sizeof *f);
    d.num_threads = threads;
    d.alloc = failing_alloc;
    d.free = failing_free;
    d.user = f;
    d.arena_bytes = arena;
    return d;
}

static void creation(int threads, size_t arena)
{
    failing f;
    aiter_context_desc d = description(&f, threads, arena);
    int n, done = 0;
    for (n = 1; !done && n < 100; n++) {
        aiter_context *ctx = (aiter_context *)&f;
        aiter_status status;
        f.calls = 0;
        f.fail_at = n;
        status = aiter_context_create(&d, &ctx);
        done = status == AITER_OK;
        if (done) {
            CHECK(f.calls < n, "creation with a failed allocation");
            aiter_context_destroy(ctx);
        } else {
            CHECK(status == AITER_OUT_OF_MEMORY, "%s", aiter_status_name(status));
            CHECK(strstr(aiter_last_error(), "context_create"), "%s", aiter_last_error());
            CHECK(ctx == NULL, "a context in spite of the failure");
        }
        CHECK(f.live == 0 && f.live_bytes == 0, "%" PRId64 " blocks lost", f.live);
    }
    CHECK(done && n > 2, "creation with %d threads asked for no memory", threads);
}

/* Whatever a context asks the system for, with its memory from the hooks or from malloc. A file
 * that cannot be read only leaves the number of CPUs to guess. */
static void creation_of_the_system(const aiter_context_desc *d)
{
    const int64_t before = fault.live;
    int kinds[FAULT_FILE + 1] = {0, 0, 0, 0}, n;
    for (n = 1; n < 200; n++) {
        aiter_context *ctx = NULL;
        aiter_status status;
        fault_kind kind;
        fault_arm(n);
        status = aiter_context_create(d, &ctx);
        kind = fault_disarm();
        kinds[kind]++;
        if (kind == FAULT_MEMORY || kind == FAULT_THREAD) {
            CHECK(status == AITER_OUT_OF_MEMORY && !ctx, "call %d: %s", n,
                  aiter_status_name(status));
            CHECK(strstr(aiter_last_error(), "aiter_context_create"), "%s", aiter_last_error());
        } else {
            CHECK(status == AITER_OK, "call %d: %s", n, aiter_last_error());
            CHECK(aiter_context_info(ctx).num_threads >= 1, "threads");
            aiter_context_destroy(ctx);
        }
        CHECK(fault.live == before, "call %d: %" PRId64 " things lost", n, fault.live - before);
        if (kind == FAULT_NONE) break;
    }
    CHECK(kinds[FAULT_NONE] == 1, "creation never succeeded");
    if (!d->alloc) CHECK(kinds[FAULT_MEMORY] > 0, "no memory from malloc");
    if (d->num_threads > 1)
        CHECK(kinds[FAULT_THREAD] == 3 + d->num_threads - 1, "%d locks and threads",
              kinds[FAULT_THREAD]);
    if (d->num_threads == 0) CHECK(kinds[FAULT_FILE] > 0, "no file was read");
}

/* One op whose n-th request fails, for every n: of the caller's allocator where f is one (then ctx
 * uses it), else of the system. `fresh` makes the context again each time. */
static void op_fails(every_op *o, const aiter_context_desc *d, failing *f, uint64_t want)
{
    int n, done = 0;
    for (n = 1; !done && n < 100; n++) {
        const int64_t before = fault.live;
        aiter_context *ctx = NULL;
        uint64_t outputs, inputs;
        aiter_status status;
        if (d) CHECK(aiter_context_create(d, &ctx) == AITER_OK, "%s", aiter_last_error());
        every_store(o);
        outputs = every_outputs(o);
        inputs = every_inputs(o);
        if (f) {
            f->calls = 0;
            f->fail_at = n;
        }
        fault_arm(f ? 0 : n);
        status = every_call(o, ctx);
        done = f ? f->calls < n : fault.fired == FAULT_NONE;
        fault_disarm();
        if (f) f->fail_at = 0;
        if (done) {
            CHECK(status == AITER_OK, "%s: %s", o->name, aiter_last_error());
        } else {
            CHECK(status == AITER_OUT_OF_MEMORY, "%s: %s", o->name, aiter_status_name(status));
            CHECK(aiter_context_error(ctx)[0] != 0, "%s: no text", o->name);
            CHECK(every_outputs(o) == outputs, "%s: a failed call wrote", o->name);
        }
        CHECK(every_inputs(o) == inputs, "%s: an input changed", o->name);
        CHECK(every_answer(o, ctx, "after a failure") == want, "%s: other bits", o->name);
        aiter_context_destroy(ctx);
        CHECK(fault.live == before, "%s: %" PRId64 " things lost", o->name, fault.live - before);
        if (f) CHECK(f->live == 0 && f->live_bytes == 0, "%" PRId64 " blocks lost", f->live);
        test_global.cases++;
    }
    CHECK(done, "%s never succeeded", o->name);
    /* A merge alone needs no memory. */
    CHECK(n > 2 || o->index >= EVERY_MERGE, "%s asked for no memory", o->name);
}

static void every_op_fails(int index)
{
    static every_op o;
    failing f;
    aiter_context_desc d;
    uint64_t want;
    int threads;
    every_new(&o, index, test_is_slow() ? 4 : 16);
    want = every_answer(&o, NULL, "no fault");
    op_fails(&o, NULL, NULL, want);
    for (threads = 1; threads <= 2; threads++) {
        d = description(&f, threads, 0);
        op_fails(&o, &d, &f, want);
        d.alloc = NULL;
        d.free = NULL;
        op_fails(&o, &d, NULL, want);
    }
    every_free(&o);
}

int main(void)
{
    aiter_context_desc d;
    failing f;
    int threads, i;
    test_begin("fault", 1e8);
    for (threads = 1; threads <= 4; threads++) {
        creation(threads, 0);
        creation(threads, 10000);
    }
    for (threads = 0; threads <= 3; threads++) {
        d = description(&f, threads, threads == 3 ? 10000 : 0);
        creation_of_the_system(&d);
        d.alloc = NULL;
        d.free = NULL;
        creation_of_the_system(&d);
    }
    for (i = 0; i < EVERY_OP; i++) every_op_fails(i);
    return test_end();
}
