/* run_plan.c -- plans on a device: the bits of calls without one, and graphs that replay with the
 * works of a refilled plan:
 *
 *     run_plan hip|cuda FOLDER
 *
 * FOLDER has the code objects, as for run_attention. */
#include "device_run.h"

/* A plan in pinned and device memory, with room for `spare` bytes more than it needs. */
typedef struct held_plan {
    aiter_plan plan;
    size_t bytes;
} held_plan;

/* The call of `on_device` with the lengths of `host`: what _plan takes. */
static aiter_status fill(const attn_problem *on_device, const attn_problem *host, aiter_plan *plan)
{
    attn_problem q = *on_device;
    attn_call call;
    memset(&call, 0, sizeof call);
    q.seqused_k = host->seqused_k;
    q.seqused_q = host->seqused_q;
    q.cu_q = host->cu_q;
    call.ctx = device.ctx;
    call.kind = CALL_PLAN;
    call.plan_out = plan;
    return problem_call(&q, &call);
}

static held_plan hold_plan(const attn_problem *on_device, const attn_problem *host, size_t spare)
{
    held_plan h;
    memset(&h, 0, sizeof h);
    CHECK(fill(on_device, host, &h.plan) == AITER_OK && h.plan.bytes > 0, "sizing: %s",
          aiter_last_error());
    h.bytes = h.plan.bytes += spare;
    CHECK(aiter_memory_alloc(device.ctx, AITER_MEMORY_PINNED, h.bytes, &h.plan.data) == AITER_OK &&
              aiter_memory_alloc(device.ctx, AITER_MEMORY_DEVICE, h.bytes, &h.plan.device) ==
                  AITER_OK,
          "memory: %s", aiter_last_error());
    return h;
}

static void drop_plan(held_plan *h)
{
    aiter_memory_free(device.ctx, AITER_MEMORY_PINNED, h->plan.data, h->bytes);
    aiter_memory_free(device.ctx, AITER_MEMORY_DEVICE, h->plan.device, h->bytes);
}

/* One run of the stored problem, with a plan or without; spare: room beyond the plan's need. What a
 * plan leaves out of the workspace stays NaN. */
static output_bits run_once(attn_problem *p, int planned, size_t spare)
{
    device_copy copy;
    held_plan held;
    attn_call call;
    size_t bytes = 0;
    memset(&call, 0, sizeof call);
    problem_store(p, SLACK_NAN);
    problem_image image = image_take(p);
    device_copy_in(p, &copy);
    const attn_problem q = device_problem(p, &copy);
    call.ctx = device.ctx;
    call.kind = CALL_WORKSPACE;
    call.bytes = &bytes;
    CHECK(problem_call(&q, &call) == AITER_OK, "%s: %s", aiter_last_error(), case_text(&p->c));
    call.kind = CALL_RUN;
    call.workspace = device_garbage(bytes, SLACK_NAN);
    call.workspace_bytes = bytes;
    if (planned) {
        held = hold_plan(&q, p, spare);
        CHECK(fill(&q, p, &held.plan) == AITER_OK, "%s: %s", aiter_last_error(), case_text(&p->c));
        call.plan = &held.plan;
    }
    device_note(problem_call(&q, &call), case_text(&p->c));
    device_wait(case_text(&p->c));
    if (planned) drop_plan(&held);
    driver_ok(device.driver->memory_free(call.workspace), "freeing");
    device_copy_out(p, &copy);
    image_check(p, &image, 1);
    return problem_bits(p);
}

static void same_bits(const attn_case *c)
{
    attn_problem p;
    output_bits without, with, roomy;
    problem_new(&p, c);
    problem_expect(&p, 1e9);
    run_weight_rounding = p.c.q_type == AITER_BF16 ? 1.0 / 256 : 1.0 / 2048;
    without = run_once(&p, 0, 0);
    with = run_once(&p, 1, 0);
    problem_compare(&p, "planned");
    roomy = run_once(&p, 1, 7 * 32);
    CHECK(bits_equal(&without, &with), "a plan changes bits: %s", case_text(&p.c));
    CHECK(bits_equal(&without, &roomy), "a roomy plan changes bits: %s", case_text(&p.c));
    free(without.data);
    free(with.data);
    free(roomy.data);
    problem_free(&p);
}

static attn_case decode(aiter_dtype type, aiter_dtype kv, int hq, int hk, int tokens, uint64_t seed)
{
    attn_case c;
    memset(&c, 0, sizeof c);
    c.op = OP_DECODE;
    c.form = FORM_PAGED;
    c.b = 4;
    c.hq = hq;
    c.hk = hk;
    c.sq = tokens;
    c.sk = 300;
    c.dq = 128;
    c.q_type = type;
    c.kv_type = kv;
    c.page = 16;
    c.ragged = 1;
    c.seed = seed;
    c.core = 1;
    return c;
}

/* Tiles of several tokens, of part of a group; masks that hide whole pieces. */
static void equal_bits(void)
{
    static const int heads[][3] = {{8, 2, 1}, {6, 2, 3}, {12, 2, 2}, {8, 2, 6}, {20, 1, 2}};
    int i;
    for (i = 0; i < 10; i++) {
        const int int8 = i % 5 >= 3 || i == 7; /* only int8 has tiles in plenty */
        attn_case c = decode(i < 5 ? AITER_BF16 : AITER_F16,
                             int8    ? AITER_I8
                             : i < 5 ? AITER_BF16
                                     : AITER_F16,
                             heads[i % 5][0], heads[i % 5][1], heads[i % 5][2], 40 + (uint64_t)i);
        c.splits = i % 4;
        c.scale_kind = (aiter_scale_kind)(1 + i % 3);
        c.sinks = i % 2;
        if (i == 2) c.mask = AITER_MASK_WINDOW, c.left = 20, c.splits = 3;
        if (i == 6) c.mask = AITER_MASK_WINDOW, c.left = 5, c.sink_tokens = 3, c.splits = 3;
        same_bits(&c);
    }
}

/* ---- one graph, several refills ---- */

typedef struct replay_state {
    attn_problem p, q;
    device_copy copy;
    held_plan held;
    void *executable;
} replay_state;

static int capture(replay_state *r)
{
    void *graph = NULL;
    attn_call call;
    memset(&call, 0, sizeof call);
    call.ctx = device.ctx;
    call.plan = &r->held.plan;
    CHECK(problem_call(&r->q, &call) == AITER_OK, "warm: %s", aiter_last_error());
    device_wait("before the capture");
    if (!driver_ok(device.call.capture_begin(device.stream, 0), "capture")) return 0;
    CHECK(problem_call(&r->q, &call) == AITER_OK, "captured: %s", aiter_last_error());
    CHECK(fill(&r->q, &r->p, &r->held.plan) == AITER_UNSUPPORTED, "refilled under capture");
    if (!driver_ok(device.call.capture_end(device.stream, &graph), "end of capture")) return 0;
    return driver_ok(device.kind == AITER_DEVICE_HIP
                         ? device.call.hip_instantiate(&r->executable, graph, NULL, NULL, 0)
                         : device.call.cuda_instantiate(&r->executable, graph, 0),
                     "a graph");
}

/* The device's lengths and its plan become those of the problem, scaled down by `part`. */
static aiter_status change_lengths(replay_state *r, int part)
{
    int32_t lengths[8];
    attn_problem host = r->p;
    int b;
    for (b = 0; b < r->p.c.b; b++) lengths[b] = r->p.len_k[b] / part;
    host.seqused_k.data = lengths;
    driver_ok(device.call.write(r->q.seqused_k.data, lengths, sizeof lengths[0] * (size_t)b),
              "lengths");
    const aiter_status status = fill(&r->q, &host, &r->held.plan);
    device_wait("refilled");
    return status;
}

static void refilled_graph(void)
{
    static const int len_k[4] = {300, 12, 0, 170};
    attn_case c = decode(AITER_BF16, AITER_BF16, 8, 2, 1, 90);
    replay_state r;
    memset(&r, 0, sizeof r);
    c.splits = 3;
    c.len_k = len_k;
    run_weight_rounding = 1.0 / 256;
    problem_new(&r.p, &c);
    problem_expect(&r.p, 1e9);
    problem_store(&r.p, SLACK_NAN);
    problem_image image = image_take(&r.p);
    device_copy_in(&r.p, &r.copy);
    r.q = device_problem(&r.p, &r.copy);
    r.held = hold_plan(&r.q, &r.p, 0);
    CHECK(change_lengths(&r, 5) == AITER_OK, "%s", aiter_last_error());
    const int few = r.held.plan.num_works;
    if (capture(&r)) {
        CHECK(change_lengths(&r, 1) == AITER_OK, "%s", aiter_last_error());
        CHECK(r.held.plan.num_works > few, "%d works, %d before", (int)r.held.plan.num_works, few);
        driver_ok(device.call.graph_launch(r.executable, device.stream), "replay");
        device_wait("replayed");
        /* One byte too small: an error, and what was there stays. */
        r.held.plan.bytes--;
        CHECK(fill(&r.q, &r.p, &r.held.plan) == AITER_WORKSPACE_TOO_SMALL, "%s",
              aiter_last_error());
        r.held.plan.bytes++;
        driver_ok(device.call.graph_launch(r.executable, device.stream), "replay");
    }
    device_wait("replayed");
    drop_plan(&r.held);
    device_copy_out(&r.p, &r.copy);
    image_check(&r.p, &image, 1);
    problem_compare(&r.p, "replayed with another plan");
    problem_free(&r.p);
}

int main(int argc, char **argv)
{
    const int hip = argc > 1 && strcmp(argv[1], "hip") == 0;
    if (argc != 3 || (!hip && strcmp(argv[1], "cuda") != 0))
        return fprintf(stderr, "usage: run_plan hip|cuda FOLDER\n"), 2;
    test_begin("run_plan", 1e12);
    if (device_begin(hip ? AITER_DEVICE_HIP : AITER_DEVICE_CUDA, argv[2])) {
        equal_bits();
        refilled_graph();
        aiter_context_destroy(device.ctx);
    }
    CHECK(device.without_kernel == 0, "%d cells without a kernel", (int)device.without_kernel);
    return test_end();
}
