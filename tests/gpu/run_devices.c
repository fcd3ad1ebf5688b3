/* run_devices.c -- several contexts in one process: two on the first device, one on the last, each
 * with a stream and memory of its own, called in turn and by threads at the same time:
 *
 *     run_devices hip|cuda FOLDER
 *
 * All give the bits that one of them gives alone, and the caller's current device stays his. With
 * one device the third context is on it, too; the emulator has as many as CDNA_DEVICES says. */
#include "device_run.h"

#include <pthread.h>

enum { CONTEXTS = 3, ROUNDS = 4, CASES = 4 };

typedef struct side {
    aiter_context *ctx;
    void *stream;
    int index;
    attn_problem problem; /* whose tensors lie on the device */
    device_copy copy;
    aiter_status status;
} side;

/* Makes the device current, as a program does before it allocates. */
static void use(const side *s)
{
    const aiteri_device *d = s->ctx->gpu.device;
    driver_ok(device.kind == AITER_DEVICE_HIP ? d->driver->hip_set_device(d->ordinal)
                                              : d->driver->cuda_set_current(d->native),
              "the current device");
}

static int is_current(const side *s)
{
    const aiteri_device *d = s->ctx->gpu.device;
    aiteri_gpu_ordinal ordinal = -1;
    aiteri_gpu_native native = NULL;
    if (device.kind == AITER_DEVICE_HIP)
        return d->driver->hip_get_device(&ordinal) == 0 && ordinal == d->ordinal;
    return d->driver->cuda_get_current(&native) == 0 && native == d->native;
}

static int side_begin(side *s, const char *folder, int index)
{
    aiter_context_desc d;
    aiter_context *first = NULL;
    memset(s, 0, sizeof *s);
    memset(&d, 0, sizeof d);
    d.device = device.kind;
    d.device_index = s->index = index;
    d.kernel_path = folder;
    if (!CHECK(aiter_context_create(&d, &first) == AITER_OK, "%s", aiter_last_error())) return 0;
    s->ctx = first;
    use(s);
    driver_ok(device.call.stream_create(&s->stream, 0), "a stream");
    d.stream = s->stream;
    s->ctx = NULL;
    CHECK(aiter_context_create(&d, &s->ctx) == AITER_OK, "%s", aiter_last_error());
    aiter_context_destroy(first);
    return s->ctx != NULL;
}

static attn_case case_of(int n)
{
    attn_case c;
    memset(&c, 0, sizeof c);
    c.op = n % 2 ? OP_DECODE : OP_FLASH;
    c.form = n % 2 ? FORM_PAGED : FORM_DENSE;
    c.b = 2;
    c.hq = 4;
    c.hk = 2;
    c.sq = n % 2 ? 1 : 140;
    c.sk = 300;
    c.dq = 128;
    c.splits = 1 + n / 2;
    c.mask = AITER_MASK_CAUSAL;
    c.q_type = n < 2 ? AITER_BF16 : AITER_F16;
    c.seed = (uint64_t)(1200 + n);
    return c;
}

static void *call_often(void *x)
{
    side *s = (side *)x;
    attn_call call;
    int i;
    memset(&call, 0, sizeof call);
    call.ctx = s->ctx;
    for (i = 0; i < ROUNDS && s->status == AITER_OK; i++)
        s->status = problem_call(&s->problem, &call);
    return NULL;
}

/* Copies in; calls, from one thread or several; copies out and compares. */
static void run_case(side *all, const attn_case *c, int threads)
{
    attn_problem p;
    output_bits first = {NULL, 0}, bits;
    pthread_t thread[CONTEXTS];
    int i;
    problem_new(&p, c);
    problem_expect(&p, 1e9);
    device_rounds(p.c.q_type);
    problem_store(&p, SLACK_NAN);
    for (i = 0; i < CONTEXTS; i++) {
        use(&all[i]);
        device_copy_in(&p, &all[i].copy);
        all[i].problem = device_problem(&p, &all[i].copy);
        all[i].status = AITER_OK;
    }
    use(&all[0]);
    for (i = 0; i < CONTEXTS; i++)
        if (threads)
            CHECK(pthread_create(&thread[i], NULL, call_often, &all[i]) == 0, "a thread");
        else
            call_often(&all[i]);
    for (i = 0; threads && i < CONTEXTS; i++) pthread_join(thread[i], NULL);
    CHECK(is_current(&all[0]), "another device is current after the calls");
    for (i = 0; i < CONTEXTS; i++) {
        use(&all[i]);
        device.stream = all[i].stream;
        device_wait(case_text(c));
        CHECK(all[i].status == AITER_OK, "%s", aiter_context_error(all[i].ctx));
        device_copy_out(&p, &all[i].copy);
        problem_compare(&p, "one of several contexts");
        bits = problem_bits(&p);
        if (i == 0) first = bits;
        CHECK(bits_equal(&first, &bits), "context %d on device %d has other bits", i, all[i].index);
        if (i) free(bits.data);
    }
    free(first.data);
    problem_free(&p);
}

int main(int argc, char **argv)
{
    static side all[CONTEXTS];
    const int hip = argc > 1 && strcmp(argv[1], "hip") == 0;
    int devices = 1, i, n, ready = 1;
    if (argc < 3 || (!hip && strcmp(argv[1], "cuda") != 0))
        return fprintf(stderr, "usage: run_devices hip|cuda FOLDER\n"), 2;
    test_begin("run_devices", 1e12);
    if (device_begin(hip ? AITER_DEVICE_HIP : AITER_DEVICE_CUDA, argv[2])) {
        driver_ok(device.driver->device_count(&devices), "counting devices");
        for (i = 0; i < CONTEXTS; i++)
            ready = ready && side_begin(&all[i], argv[2], i < CONTEXTS - 1 ? 0 : devices - 1);
        for (n = 0; ready && n < 2 * CASES; n++) {
            const attn_case c = case_of(n % CASES);
            run_case(all, &c, n >= CASES);
        }
        test_say("%d contexts on %d devices\n", CONTEXTS, devices < 2 ? 1 : 2);
        for (i = 0; i < CONTEXTS; i++) aiter_context_destroy(all[i].ctx);
        aiter_context_destroy(device.ctx);
    }
    run_statistics_say();
    return test_end();
}
