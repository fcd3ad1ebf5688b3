/* test_fault.c -- an allocator that fails at its n-th call, for every n: OUT_OF_MEMORY, nothing
 * written, nothing lost, and the next call gives the right bits. */
#include "test.h"
#include "reference.c"
#include "case_run.h"

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

static aiter_status call_with(const attn_problem *p, aiter_context *ctx)
{
    attn_call call;
    memset(&call, 0, sizeof call);
    call.ctx = ctx;
    return problem_call(p, &call);
}

static void op(const attn_case *c, int threads)
{
    attn_problem p;
    aiter_context *plain = test_context(AITER_ISA_AUTO, threads);
    output_bits want, got;
    int n, done = 0;
    problem_new(&p, c);
    want = problem_run(&p, plain, SLACK_ZERO, 0, "no fault");
    for (n = 1; !done && n < 100; n++) {
        failing f;
        aiter_context_desc d = description(&f, threads, 0);
        aiter_context *ctx = NULL;
        problem_image image;
        aiter_status status;
        CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
        problem_store(&p, SLACK_ZERO);
        image = image_take(&p);
        f.calls = 0;
        f.fail_at = n;
        status = call_with(&p, ctx);
        done = status == AITER_OK;
        if (!done) {
            CHECK(status == AITER_OUT_OF_MEMORY, "%s: %s", aiter_status_name(status),
                  case_text(&p.c));
            CHECK(aiter_context_error(ctx)[0] != 0, "no text");
        }
        image_check(&p, &image, done);
        f.fail_at = 0;
        CHECK(call_with(&p, ctx) == AITER_OK, "after a failure: %s", aiter_last_error());
        got = problem_bits(&p);
        CHECK(bits_equal(&want, &got), "bits after a failure: %s", case_text(&p.c));
        free(got.data);
        aiter_context_destroy(ctx);
        CHECK(f.live == 0 && f.live_bytes == 0, "%" PRId64 " blocks lost", f.live);
        test_global.cases++;
    }
    CHECK(done, "it never succeeded: %s", case_text(&p.c));
    free(want.data);
    aiter_context_destroy(plain);
    problem_free(&p);
}

/* The cache write keeps one bit per slot. */
static void cache_write(void)
{
    failing f;
    aiter_context_desc d = description(&f, 1, 0);
    aiter_reshape_and_cache_args a;
    float rows[8] = {1, 2, 3, 4, 5, 6, 7, 8}, k_cache[64], v_cache[64], before[64];
    int32_t slots[2] = {3, 9};
    aiter_context *ctx = NULL;
    aiter_status status;
    int n, i;
    memset(&a, 0, sizeof a);
    for (i = 0; i < 64; i++) k_cache[i] = v_cache[i] = before[i] = 99;
    a.k = a.v = aiter_tensor_3d(rows, AITER_F32, 2, 1, 4);
    a.k_cache = aiter_tensor_4d(k_cache, AITER_F32, 4, 4, 1, 4);
    a.v_cache = aiter_tensor_4d(v_cache, AITER_F32, 4, 4, 1, 4);
    a.slot_mapping = aiter_tensor_1d(slots, AITER_I32, 2);
    CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
    f.calls = 0;
    for (n = 1; n < 100; n++) {
        f.fail_at = f.calls + 1;
        status = aiter_reshape_and_cache(&a, ctx);
        if (status == AITER_OK) break;
        CHECK(status == AITER_OUT_OF_MEMORY, "%s", aiter_status_name(status));
        CHECK(memcmp(k_cache, before, sizeof before) == 0 &&
                  memcmp(v_cache, before, sizeof before) == 0,
              "a failed cache write wrote");
        f.fail_at = 0;
        CHECK(aiter_reshape_and_cache(&a, ctx) == AITER_OK, "%s", aiter_last_error());
        CHECK(k_cache[12] == 1 && v_cache[39] == 8, "values after a failure");
        memcpy(k_cache, before, sizeof before);
        memcpy(v_cache, before, sizeof before);
    }
    aiter_context_destroy(ctx);
    CHECK(f.live == 0 && f.live_bytes == 0, "%" PRId64 " blocks lost", f.live);
}

int main(void)
{
    attn_case c = {.b = 3, .hq = 6, .hk = 2, .sq = 40, .sk = 700, .dq = 16, .core = 1, .seed = 3};
    int threads, form, small;
    test_begin("fault", 1e8);
    if (test_is_slow()) c.dq = 4;
    for (threads = 1; threads <= 4; threads++) {
        creation(threads, 0);
        creation(threads, 10000);
    }
    for (threads = 1; threads <= 2; threads++) {
        for (form = 0; form < FORM_COUNT; form++) {
            c.form = (attn_form)form;
            op(&c, threads);
        }
    }
    for (small = OP_DECODE; small <= OP_DECODE_GQA; small++) {
        c.op = (attn_op)small;
        c.form = small == OP_DECODE ? FORM_PAGED : small == OP_VARLEN ? FORM_VARLEN : FORM_DENSE;
        c.hk = small == OP_MQA || small == OP_DECODE_ONE ? 1 : 2;
        if (small == OP_DECODE_ONE) c.hq = 1;
        if (small == OP_DECODE_GQA) c.hq = 6;
        if (small >= OP_DECODE_ONE) c.b = c.sq = 1;
        op(&c, 2);
        c.sq = 40;
        c.b = 3;
    }
    cache_write();
    return test_end();
}
