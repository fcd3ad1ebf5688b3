/* device_run.h -- the cases of the CPU tests on a device: their buffers are copied there, the same
 * call is made, everything is copied back and judged as on the CPU. */
#ifndef AITER_TEST_DEVICE_RUN_H
#define AITER_TEST_DEVICE_RUN_H

#ifndef AITER_ATTN_HIP
#define AITER_ATTN_HIP
#endif
#ifndef AITER_ATTN_CUDA
#define AITER_ATTN_CUDA
#endif
#include "test.h"
#include "reference.c"
#include "case_run.h"

/* What tests need of a driver beside what the library uses; the same shape on both sides. */
typedef struct device_calls {
    int (*write)(void *to, const void *from, size_t bytes);
    int (*write_async)(void *to, const void *from, size_t bytes, void *stream);
    int (*stream_create)(void **stream, unsigned flags);
    int (*capture_begin)(void *stream, int mode);
    int (*capture_end)(void *stream, void **graph);
    int (*graph_launch)(void *executable, void *stream);
    int (*hip_instantiate)(void **executable, void *graph, void **node, char *log, size_t bytes);
    int (*cuda_instantiate)(void **executable, void *graph, unsigned long long flags);
    /* The emulator's (tests/cdna/hip_face.h); NULL elsewhere. */
    int (*reports)(char *text, size_t bytes);
    uint64_t (*count)(const char *name);
} device_calls;

static struct device_state {
    aiter_device kind;
    const aiteri_driver *driver;
    device_calls call;
    aiter_context *ctx;
    void *stream;
    int64_t without_kernel; /* cells that answered NO_KERNEL */
} device;

static inline int device_find_calls(void)
{
    const int hip = device.kind == AITER_DEVICE_HIP;
    const char *name;
    void *library = aiteri_driver_library(device.kind, &name);
    device_calls *c = &device.call;
    (void)aiteri_library_symbol(library, "cdna_reports", &c->reports);
    (void)aiteri_library_symbol(library, "cdna_count", &c->count);
    return aiteri_library_symbol(library, hip ? "hipMemcpyHtoD" : "cuMemcpyHtoD_v2", &c->write) &&
           aiteri_library_symbol(library, hip ? "hipMemcpyHtoDAsync" : "cuMemcpyHtoDAsync_v2",
                                 &c->write_async) &&
           aiteri_library_symbol(library, hip ? "hipStreamCreateWithFlags" : "cuStreamCreate",
                                 &c->stream_create) &&
           aiteri_library_symbol(library, hip ? "hipStreamBeginCapture" : "cuStreamBeginCapture_v2",
                                 &c->capture_begin) &&
           aiteri_library_symbol(library, hip ? "hipStreamEndCapture" : "cuStreamEndCapture",
                                 &c->capture_end) &&
           aiteri_library_symbol(library, hip ? "hipGraphLaunch" : "cuGraphLaunch",
                                 &c->graph_launch) &&
           (hip ? aiteri_library_symbol(library, "hipGraphInstantiate", &c->hip_instantiate)
                : aiteri_library_symbol(library, "cuGraphInstantiateWithFlags",
                                        &c->cuda_instantiate));
}

static inline int driver_ok(int code, const char *what)
{
    return CHECK(code == 0, "%s: the driver says %d", what, code);
}

/* A context on its own stream, its device current. */
static inline int device_begin(aiter_device kind, const char *folder)
{
    aiter_context_desc d;
    aiter_context *first = NULL;
    memset(&d, 0, sizeof d);
    d.device = device.kind = kind;
    d.kernel_path = folder;
    if (!CHECK(aiter_context_create(&d, &first) == AITER_OK, "%s", aiter_last_error())) return 0;
    device.driver = first->gpu.device->driver;
    if (kind == AITER_DEVICE_CUDA) device.driver->cuda_set_current(first->gpu.device->native);
    if (!CHECK(device_find_calls(), "the driver lacks something")) return 0;
    /* 0: a stream that waits for the plain copies of device_new, which may return early. */
    if (!driver_ok(device.call.stream_create(&device.stream, 0), "a stream")) return 0;
    d.stream = device.stream;
    CHECK(aiter_context_create(&d, &device.ctx) == AITER_OK, "%s", aiter_last_error());
    aiter_context_destroy(first);
    if (device.ctx) {
        const aiter_context_details info = aiter_context_info(device.ctx);
        test_say("device: %s, %s, %d compute units\n", info.device_name, info.architecture,
                 (int)info.compute_units);
    }
    return device.ctx != NULL;
}

static inline void *device_new(const void *from, size_t bytes)
{
    void *at = NULL;
    driver_ok(device.driver->memory_alloc(&at, bytes ? bytes : 1), "memory");
    if (bytes && from) driver_ok(device.call.write(at, from, bytes), "to the device");
    return at;
}

/* What a workspace holds before its first use. */
static inline void *device_garbage(size_t bytes, int slack)
{
    void *garbage = malloc(bytes), *at;
    memset(garbage, slack == SLACK_NAN ? 0xFF : 0, bytes);
    at = device_new(garbage, bytes);
    free(garbage);
    return at;
}

/* Waits, and hears what the emulator saw kernels do wrong. */
static inline void device_wait(const char *what)
{
    char text[400] = "";
    driver_ok(device.driver->stream_wait(device.stream), "waiting");
    if (device.call.reports) {
        const int reports = device.call.reports(text, sizeof text);
        CHECK(reports == 0, "%d reports: %s: %s", reports, text, what);
    }
}

static inline void device_read(void *to, void *from, size_t bytes)
{
    if (bytes) driver_ok(device.driver->memory_read(to, from, bytes), "from the device");
}

static inline int device_capture(void)
{
    return driver_ok(device.call.capture_begin(device.stream, 0), "capture");
}

/* The captured work, ready to be launched, or NULL. */
static inline void *device_captured(void)
{
    void *graph = NULL, *executable = NULL;
    driver_ok(device.call.capture_end(device.stream, &graph), "end of capture");
    driver_ok(device.kind == AITER_DEVICE_HIP
                  ? device.call.hip_instantiate(&executable, graph, NULL, NULL, 0)
                  : device.call.cuda_instantiate(&executable, graph, 0),
              "a graph");
    return executable;
}

/* A cell of the table: it ran, or there is no kernel for it; anything else is a failure. With
 * AITER_TEST_CELLS in the environment every cell is printed. */
static inline void device_note(aiter_status status, const char *cell)
{
    if (status == AITER_NO_KERNEL)
        device.without_kernel++;
    else
        CHECK(status == AITER_OK, "%s (%s): %s", aiter_status_name(status), aiter_last_error(),
              cell);
    if (getenv("AITER_TEST_CELLS"))
        test_say("%s: %s\n", status == AITER_OK ? "runs" : "NO_KERNEL", cell);
}

/* ---- one case ---- */

typedef struct device_copy {
    void *at[BUFFERS];
} device_copy;

static inline void device_copy_in(const attn_problem *p, device_copy *copy)
{
    int i;
    for (i = 0; i < p->buffers; i++)
        copy->at[i] = device_new(p->buffer[i].data, p->buffer[i].bytes);
}

static inline void device_copy_out(const attn_problem *p, device_copy *copy)
{
    int i;
    for (i = 0; i < p->buffers; i++) {
        device_read(p->buffer[i].data, copy->at[i], p->buffer[i].bytes);
        driver_ok(device.driver->memory_free(copy->at[i]), "freeing");
    }
}

/* The tensor's address on the device; one that names no buffer has no elements. */
static inline void device_move(const attn_problem *p, const device_copy *copy, aiter_tensor *t)
{
    const unsigned char *data = (const unsigned char *)t->data;
    int i;
    for (i = 0; data && i < p->buffers; i++) {
        const test_buffer *b = &p->buffer[i];
        if (data >= b->data && data <= b->data + b->bytes &&
            (data < b->data + b->bytes || !b->bytes))
            t->data = (char *)copy->at[i] + (data - b->data);
    }
}

static inline attn_problem device_problem(const attn_problem *p, const device_copy *copy)
{
    attn_problem q = *p;
    aiter_tensor *const tensors[] = {
        &q.q_t,     &q.k_t,     &q.v_t,       &q.out_t,     &q.lse_t,   &q.bias_t,
        &q.alibi_t, &q.sinks_t, &q.seqused_q, &q.seqused_k, &q.cu_q,    &q.cu_k,
        &q.table,   &q.k_scale, &q.v_scale,   &q.indptr,    &q.indices, &q.last_pages};
    size_t i;
    for (i = 0; i < sizeof tensors / sizeof tensors[0]; i++) device_move(p, copy, tensors[i]);
    return q;
}

/* Stores, copies, calls, copies back; status of the call. */
static inline aiter_status device_run(attn_problem *p, int slack, int own_workspace)
{
    attn_call call;
    device_copy copy;
    problem_image image;
    aiter_status status;
    size_t bytes = 0;
    void *workspace = NULL;
    memset(&call, 0, sizeof call);
    problem_store(p, slack);
    image = image_take(p);
    device_copy_in(p, &copy);
    attn_problem q = device_problem(p, &copy);
    call.ctx = device.ctx;
    call_bounds(&call, p);
    if (own_workspace) {
        call.kind = CALL_WORKSPACE;
        call.bytes = &bytes;
        if (problem_call(&q, &call) == AITER_OK && bytes) {
            call.workspace = workspace = device_garbage(bytes, slack);
            call.workspace_bytes = bytes;
        }
        call.kind = CALL_RUN;
    }
    status = problem_call(&q, &call);
    device_note(status, case_text(&p->c));
    device_wait(case_text(&p->c));
    device_copy_out(p, &copy);
    if (workspace) driver_ok(device.driver->memory_free(workspace), "freeing");
    image_check(p, &image, status == AITER_OK);
    return status;
}

/* Weights are rounded to the type of the matrix unit before they meet the values. */
static inline void device_rounds(aiter_dtype type)
{
    run_weight_rounding = type == AITER_BF16 ? 1.0 / 256 : 1.0 / 2048;
}

/* Within the bounds of the oracle, equal bits whatever lies in the slack. */
static inline void device_case(const attn_case *wanted)
{
    attn_problem p;
    output_bits nan, zero;
    problem_new(&p, wanted);
    if (!test_afford(wanted->core, case_flops(&p))) {
        problem_free(&p);
        return;
    }
    problem_expect(&p, 1e9);
    device_rounds(p.c.q_type);
    if (device_run(&p, SLACK_NAN, 1) == AITER_OK) {
        problem_compare(&p, "device");
        nan = problem_bits(&p);
        device_run(&p, SLACK_ZERO, 0);
        zero = problem_bits(&p);
        CHECK(bits_equal(&nan, &zero), "bits depend on slack: %s", case_text(&p.c));
        free(nan.data);
        free(zero.data);
    }
    problem_free(&p);
}

#endif /* AITER_TEST_DEVICE_RUN_H */
