/* test_context.c -- contexts: what is refused, what they report, whose threads and memory they use.
 */
#include "test.h"
#include "reference.c"
#include "case_run.h"
#include <pthread.h>

static attn_case some_work(void)
{
    attn_case c = {.b = 3, .hq = 6, .hk = 2, .sq = 70, .sk = 90, .dq = 16, .core = 1, .seed = 3};
    c.mask = AITER_MASK_CAUSAL;
    return c;
}

static output_bits bits_with(aiter_context *ctx)
{
    attn_problem p;
    output_bits bits;
    attn_case c = some_work();
    problem_new(&p, &c);
    bits = problem_run(&p, ctx, SLACK_ZERO, 0, "context");
    problem_free(&p);
    return bits;
}

static void refused(const aiter_context_desc *desc, aiter_status want, const char *field)
{
    aiter_context *ctx = (aiter_context *)&ctx;
    aiter_status status = aiter_context_create(desc, &ctx);
    CHECK(status == want, "%s: %s", field, aiter_status_name(status));
    CHECK(strstr(aiter_last_error(), field), "\"%s\" does not name %s", aiter_last_error(), field);
    if (status == AITER_OK) aiter_context_destroy(ctx);
}

static void in_turn(void *user, void (*body)(void *arg, int32_t i), void *arg, int32_t n)
{
    int32_t i;
    if (user) *(int *)user += n;
    for (i = 0; i < n; i++) body(arg, i);
}

static void *plain_alloc(void *user, size_t bytes, size_t align, aiter_memory kind)
{
    void *p = NULL;
    (void)user;
    (void)kind;
    return posix_memalign(&p, align < sizeof(void *) ? sizeof(void *) : align, bytes) ? NULL : p;
}
static void plain_free(void *user, void *ptr, size_t bytes, aiter_memory kind)
{
    (void)user;
    (void)bytes;
    (void)kind;
    free(ptr);
}

static void bad_descriptions(void)
{
    static const int numbers[] = {-1, -2, -3, -77, -100000, -INT32_MAX,
                                  1,  2,  3,  77,  100000,  1 << 30};
    aiter_context_desc d, zero;
    aiter_context *ctx = NULL;
    int i;
    memset(&zero, 0, sizeof zero);
    CHECK(aiter_context_create(NULL, NULL) == AITER_INVALID_ARGUMENT, "no place for the context");
    CHECK(aiter_context_create(&zero, NULL) == AITER_INVALID_ARGUMENT, "no place");
    for (i = 0; i < (int)(sizeof numbers / sizeof numbers[0]); i++) {
        const int far = numbers[i];
        const aiter_isa foreign =
            aiter_context_info(NULL).isa == AITER_ISA_NEON ? AITER_ISA_AVX2 : AITER_ISA_NEON;
        d = zero, d.num_threads = far > 0 ? 1024 + far : far;
        refused(&d, AITER_INVALID_ARGUMENT, "num_threads");
        d = zero, d.parallel_for = in_turn, d.arena_bytes = (size_t)i;
        refused(&d, AITER_INVALID_ARGUMENT, "num_threads");
        d = zero, d.alloc = plain_alloc, d.num_threads = i;
        refused(&d, AITER_INVALID_ARGUMENT, "free");
        d = zero, d.free = plain_free, d.num_threads = i;
        refused(&d, AITER_INVALID_ARGUMENT, "alloc");
        d = zero, d.isa_max = (aiter_isa)(far > 0 ? AITER_ISA_COUNT - 1 + far : far);
        refused(&d, AITER_INVALID_ARGUMENT, "isa_max");
        d = zero, d.device = (aiter_device)(far > 0 ? AITER_DEVICE_CUDA + far : far);
        refused(&d, AITER_INVALID_ARGUMENT, "device");
        d = zero, d.device = i % 2 ? AITER_DEVICE_HIP : AITER_DEVICE_CUDA, d.num_threads = i;
        refused(&d, AITER_NO_DEVICE, "device");
        d = zero, d.device_index = far > 0 ? -far : far;
        refused(&d, AITER_INVALID_ARGUMENT, "device_index");
        d = zero, d.exact_arithmetic = far > 0 ? 1 + far : far;
        refused(&d, AITER_INVALID_ARGUMENT, "exact_arithmetic");
        d = zero, d.isa_max = foreign, d.num_threads = i;
        refused(&d, AITER_UNSUPPORTED, "isa_max");
    }
    d = zero;
    d.exact_arithmetic = 1;
    CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "exact arithmetic: %s", aiter_last_error());
    free(bits_with(ctx).data);
    aiter_context_destroy(ctx);
    aiter_context_destroy(NULL);
    CHECK(aiter_context_create(NULL, &ctx) == AITER_OK, "defaults: %s", aiter_last_error());
    CHECK(aiter_context_info(ctx).num_threads >= 1, "default threads");
    aiter_context_destroy(ctx);
}

static void reports(void)
{
    aiter_context_details info = aiter_context_info(NULL);
    aiter_context *ctx = test_context(AITER_ISA_AUTO, 3), *other = test_context(AITER_ISA_AUTO, 1);
    aiter_flash_attn_fwd_args a;
    int i;
    memset(&a, 0, sizeof a);
    CHECK(info.num_threads == 1 && info.device == AITER_DEVICE_CPU, "no context");
    CHECK(info.isa_name && strcmp(info.isa_name, aiter_isa_name(info.isa)) == 0, "isa name");
    CHECK(info.device_name && info.device_name[0], "device name");
    CHECK(info.arena_bytes == 0, "memory without a context");
    info = aiter_context_info(ctx);
    CHECK(info.num_threads == 3, "%d threads", (int)info.num_threads);
    free(bits_with(ctx).data);
    CHECK(strcmp(aiter_context_error(ctx), "") == 0, "text after success");
    CHECK(aiter_context_info(ctx).arena_high_water <= aiter_context_info(ctx).arena_bytes, "arena");
    CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_INVALID_ARGUMENT, "empty arguments");
    CHECK(strstr(aiter_context_error(ctx), "flash_attn_fwd"), "\"%s\"", aiter_context_error(ctx));
    CHECK(strcmp(aiter_context_error(ctx), aiter_last_error()) == 0, "two texts");
    CHECK(strcmp(aiter_context_error(other), "") == 0, "another context's text");
    CHECK(strcmp(aiter_context_error(NULL), aiter_last_error()) == 0, "text without a context");
    free(bits_with(ctx).data);
    CHECK(strcmp(aiter_context_error(ctx), "") == 0, "text after success again");
    CHECK(strcmp(aiter_last_error(), "") != 0, "this thread's last failure is still there");
    for (i = 0; i < 12; i++) { /* in turn: its text, and none */
        aiter_flash_attn_fwd_args wrong = a;
        wrong.q = aiter_tensor_1d(&wrong, AITER_F32, i + 1);
        CHECK(aiter_flash_attn_fwd(&wrong, i % 2 ? other : ctx) == AITER_INVALID_ARGUMENT, "%d", i);
        CHECK(strstr(aiter_context_error(i % 2 ? other : ctx), ".q: "), "%d: \"%s\"", i,
              aiter_context_error(i % 2 ? other : ctx));
        CHECK(strcmp(aiter_context_error(i % 2 ? ctx : other), "") == 0, "%d: the other's text", i);
        free(bits_with(i % 2 ? other : ctx).data);
        CHECK(strcmp(aiter_context_error(i % 2 ? other : ctx), "") == 0, "%d: still there", i);
    }
    aiter_context_destroy(ctx);
    aiter_context_destroy(other);
}

/* AITER_ISA caps the kernel set as isa_max does; what it cannot name it does not change. */
static void environment(void)
{
    const char *old = getenv("AITER_ISA");
    char *kept = old ? strdup(old) : NULL;
    aiter_isa before = aiter_context_info(NULL).isa;
    aiter_context *ctx;
    int i;
    setenv("AITER_ISA", "scalar", 1);
    CHECK(aiter_context_info(NULL).isa == AITER_ISA_SCALAR, "AITER_ISA without a context");
    for (i = 1; i <= 12; i++) { /* whichever is lower */
        setenv("AITER_ISA", "scalar", 1);
        ctx = test_context(i % 2 ? before : AITER_ISA_AUTO, i);
        CHECK(aiter_context_info(ctx).isa == AITER_ISA_SCALAR, "AITER_ISA under isa_max");
        aiter_context_destroy(ctx);
        setenv("AITER_ISA", aiter_isa_name(before), 1);
        ctx = test_context(AITER_ISA_SCALAR, i);
        CHECK(aiter_context_info(ctx).isa == AITER_ISA_SCALAR, "isa_max under AITER_ISA");
        aiter_context_destroy(ctx);
        setenv("AITER_ISA", "no such set", 1);
        ctx = test_context(AITER_ISA_SCALAR, i);
        CHECK(aiter_context_info(ctx).isa == AITER_ISA_SCALAR, "isa_max beside an unknown one");
        aiter_context_destroy(ctx);
    }
    if (kept) setenv("AITER_ISA", kept, 1);
    if (!kept) unsetenv("AITER_ISA");
    CHECK(aiter_context_info(NULL).isa == before, "AITER_ISA as before");
    free(kept);
}

/* ---- the log hook ---- */

typedef struct heard {
    int lines[3];
    char last[3][512];
} heard;

static void hear(void *user, aiter_log_level level, const char *text)
{
    heard *h = (heard *)user;
    if (!CHECK((int)level >= 0 && (int)level < 3, "level %d", (int)level)) return;
    h->lines[level]++;
    snprintf(h->last[level], sizeof h->last[level], "%s", text);
}

static void log_hook(void)
{
    const char *old = getenv("AITER_ISA");
    char *kept = old ? strdup(old) : NULL;
    heard h;
    aiter_context_desc d;
    aiter_context *ctx = NULL;
    aiter_flash_attn_fwd_args a;
    int i;
    memset(&a, 0, sizeof a);
    memset(&d, 0, sizeof d);
    memset(&h, 0, sizeof h);
    d.log = hear;
    d.user = &h;
    d.num_threads = 2;
    unsetenv("AITER_ISA");
    CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
    CHECK(h.lines[AITER_LOG_INFO] == 1, "%d lines at creation", h.lines[AITER_LOG_INFO]);
    CHECK(strstr(h.last[AITER_LOG_INFO], aiter_context_info(ctx).isa_name), "\"%s\"",
          h.last[AITER_LOG_INFO]);
    free(bits_with(ctx).data);
    CHECK(h.lines[AITER_LOG_INFO] > 1, "scratch grew unheard");
    CHECK(h.lines[AITER_LOG_ERROR] == 0 && h.lines[AITER_LOG_WARNING] == 0, "without a cause");
    for (i = 1; i <= 12; i++) {
        a.q = aiter_tensor_1d(&a, AITER_F32, i);
        CHECK(aiter_flash_attn_fwd(&a, ctx) == AITER_INVALID_ARGUMENT, "wrong arguments");
        CHECK(h.lines[AITER_LOG_ERROR] == i, "%d errors", h.lines[AITER_LOG_ERROR]);
        CHECK(strcmp(h.last[AITER_LOG_ERROR], aiter_context_error(ctx)) == 0, "another text");
    }
    aiter_context_destroy(ctx);
    setenv("AITER_ISA", "no such set", 1);
    CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
    CHECK(strstr(h.last[AITER_LOG_WARNING], "no such set"), "\"%s\"", h.last[AITER_LOG_WARNING]);
    aiter_context_destroy(ctx);
    if (kept) setenv("AITER_ISA", kept, 1);
    if (!kept) unsetenv("AITER_ISA");
    free(kept);
}

/* ---- memory ---- */

typedef struct counting {
    int64_t calls, live_bytes, misaligned;
} counting;

static void *counting_alloc(void *user, size_t bytes, size_t align, aiter_memory kind)
{
    counting *c = (counting *)user;
    void *p = plain_alloc(NULL, bytes, align, kind);
    c->calls++;
    c->live_bytes += (int64_t)bytes;
    c->misaligned += align == 0 || (align & (align - 1)) || kind != AITER_MEMORY_HOST;
    return p;
}
static void counting_free(void *user, void *ptr, size_t bytes, aiter_memory kind)
{
    counting *c = (counting *)user;
    c->live_bytes -= (int64_t)bytes;
    plain_free(NULL, ptr, bytes, kind);
}

static void hooks(void)
{
    aiter_context_desc d;
    aiter_context *ctx = NULL;
    counting count;
    int64_t after_first;
    int i;
    memset(&d, 0, sizeof d);
    memset(&count, 0, sizeof count);
    d.num_threads = 2;
    d.alloc = counting_alloc;
    d.free = counting_free;
    d.user = &count;
    CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
    CHECK(count.calls > 0, "the context itself is the caller's memory");
    free(bits_with(ctx).data);
    after_first = count.calls;
    for (i = 0; i < 5; i++) free(bits_with(ctx).data);
    CHECK(count.calls == after_first, "%" PRId64 " allocations after the first call",
          count.calls - after_first);
    CHECK(count.misaligned == 0, "odd requests");
    aiter_context_destroy(ctx);
    CHECK(count.live_bytes == 0, "%" PRId64 " bytes not given back", count.live_bytes);
}

static void fixed_arena(void)
{
    aiter_context_desc d;
    aiter_context *ctx = NULL, *free_ctx = test_context(AITER_ISA_AUTO, 1);
    counting count;
    attn_problem p;
    attn_call call;
    attn_case c = some_work();
    output_bits free_bits = bits_with(free_ctx), bits;
    size_t need = aiter_context_info(free_ctx).arena_high_water;
    int64_t calls;
    int i;
    memset(&d, 0, sizeof d);
    memset(&count, 0, sizeof count);
    d.num_threads = 1;
    d.alloc = counting_alloc;
    d.free = counting_free;
    d.user = &count;
    d.arena_bytes = need + 4096;
    CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
    calls = count.calls;
    bits = bits_with(ctx);
    CHECK(bits_equal(&bits, &free_bits), "a fixed arena changes the bits");
    CHECK(count.calls == calls, "allocation beside the fixed arena");
    CHECK(aiter_context_info(ctx).arena_bytes >= need, "arena bytes");
    aiter_context_destroy(ctx);
    CHECK(count.live_bytes == 0, "arena not given back");
    free(bits.data);
    for (i = 0; i < 12; i++) { /* it is there from the start, and known */
        const int64_t before = count.live_bytes;
        d.arena_bytes = need + (size_t)i * 1000;
        CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
        CHECK(count.live_bytes >= before + (int64_t)d.arena_bytes, "%" PRId64 " bytes at the start",
              count.live_bytes - before);
        CHECK(aiter_context_info(ctx).arena_high_water == 0, "used before a call");
        free(bits_with(ctx).data);
        CHECK(aiter_context_info(ctx).arena_high_water == need, "%zu bytes used, not %zu",
              aiter_context_info(ctx).arena_high_water, need);
        CHECK(aiter_context_info(ctx).arena_bytes == d.arena_bytes, "%zu bytes held",
              aiter_context_info(ctx).arena_bytes);
        aiter_context_destroy(ctx);
    }
    for (i = 0; i < 12 && CHECK(need > 64, "no scratch at all"); i++) {
        problem_image image;
        d.arena_bytes = 1 + need * (size_t)i / 12;
        CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
        problem_new(&p, &c);
        problem_store(&p, SLACK_ZERO);
        memset(&call, 0, sizeof call);
        call.ctx = ctx;
        image = image_take(&p);
        CHECK(problem_call(&p, &call) == AITER_WORKSPACE_TOO_SMALL, "an arena too small: %s",
              aiter_last_error());
        image_check(&p, &image, 0);
        problem_free(&p);
        aiter_context_destroy(ctx);
    }
    aiter_context_destroy(free_ctx);
    free(free_bits.data);
}

/* ---- threads ---- */

/* A loop that makes calls of its own, on another context and without one. */
static void nested(void *user, void (*body)(void *arg, int32_t i), void *arg, int32_t n)
{
    int32_t i;
    for (i = 0; i < n; i++) {
        free(bits_with(i % 2 ? (aiter_context *)user : NULL).data);
        body(arg, n - 1 - i);
    }
}

static void callers_threads(void)
{
    aiter_context_desc d;
    aiter_context *ctx = NULL, *one = test_context(AITER_ISA_AUTO, 1);
    output_bits want = bits_with(one), got;
    int slots = 0;
    memset(&d, 0, sizeof d);
    d.num_threads = 5;
    d.parallel_for = in_turn;
    d.user = &slots;
    CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
    CHECK(aiter_context_info(ctx).num_threads == 5, "threads");
    got = bits_with(ctx);
    CHECK(slots > 0, "the caller's threads were not used");
    CHECK(bits_equal(&got, &want), "bits differ on the caller's threads");
    free(got.data);
    aiter_context_destroy(ctx);
    d.num_threads = 1; /* one worker, and a loop that uses another context in between */
    d.parallel_for = nested;
    d.user = one;
    CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
    got = bits_with(ctx);
    CHECK(bits_equal(&got, &want), "bits differ with one worker");
    free(got.data);
    aiter_context_destroy(ctx);
    d.num_threads = 3;
    CHECK(aiter_context_create(&d, &ctx) == AITER_OK, "%s", aiter_last_error());
    got = bits_with(ctx);
    CHECK(bits_equal(&got, &want), "bits differ when the loop is nested");
    free(got.data);
    free(want.data);
    aiter_context_destroy(ctx);
    aiter_context_destroy(one);
}

typedef struct user_thread {
    aiter_context *ctx;
    const output_bits *want;
    int bad;
} user_thread;

static void *one_user(void *arg)
{
    user_thread *u = (user_thread *)arg;
    attn_case c = some_work();
    aiter_flash_attn_fwd_args empty;
    attn_problem p;
    attn_call call;
    int i;
    memset(&call, 0, sizeof call);
    memset(&empty, 0, sizeof empty);
    call.ctx = u->ctx;
    problem_new(&p, &c);
    problem_store(&p, SLACK_ZERO);
    for (i = 0; i < 5; i++) {
        output_bits bits;
        u->bad += problem_call(&p, &call) != AITER_OK;
        bits = problem_bits(&p);
        u->bad += !bits_equal(&bits, u->want);
        free(bits.data);
        u->bad += aiter_flash_attn_fwd(&empty, u->ctx) != AITER_INVALID_ARGUMENT;
        u->bad += strstr(aiter_last_error(), "flash_attn_fwd") == NULL;
    }
    problem_free(&p);
    return NULL;
}

/* Two contexts, and calls without one, from several threads at once. */
static void at_once(void)
{
    pthread_t thread[4];
    user_thread user[4];
    aiter_context *one = test_context(AITER_ISA_AUTO, 1);
    output_bits want = bits_with(one);
    int i;
    for (i = 0; i < 4; i++) {
        user[i].ctx = i < 2 ? test_context(AITER_ISA_AUTO, 1 + i) : NULL;
        user[i].want = &want;
        user[i].bad = 0;
        CHECK(pthread_create(&thread[i], NULL, one_user, &user[i]) == 0, "thread");
    }
    for (i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        CHECK(user[i].bad == 0, "%d wrong among several users, user %d", user[i].bad, i);
        aiter_context_destroy(user[i].ctx);
    }
    aiter_context_destroy(one);
    free(want.data);
}

static void many_contexts(void)
{
    int i;
    for (i = 0; i < 50; i++) {
        aiter_context *ctx = test_context(AITER_ISA_AUTO, 1 + i % 9);
        if (i % 10 == 0) free(bits_with(ctx).data);
        aiter_context_destroy(ctx);
    }
}

int main(void)
{
    test_begin("context", 1e8);
    bad_descriptions();
    reports();
    environment();
    log_hook();
    hooks();
    fixed_arena();
    callers_threads();
    at_once();
    many_contexts();
    return test_end();
}
