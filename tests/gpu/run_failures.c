/* run_failures.c -- every function of the driver fails at its n-th use, for every n that a program
 * comes to: each time a status and a text, nothing left behind, and afterwards all of it works:
 *
 *     run_failures hip FOLDER
 *
 * On the emulator alone, which fails when told to. */
#include "device_run.h"

enum { KEYS = 600, DIM = 128, BYTES = KEYS * DIM * 2, CODE = 999 };

static const char *const functions[] = {
#define SHARED(result, field, hip, cuda, parameters) #hip,
#define OWN(result, field, symbol, parameters)       #symbol,
    AITERI_DRIVER_ROWS(SHARED) AITERI_HIP_ROWS(OWN) AITERI_HIP_OPTIONAL_ROWS(OWN)};
enum { FUNCTIONS = sizeof functions / sizeof functions[0] };

static struct emulator {
    uint64_t (*count)(const char *name);
    void (*fail)(const char *name, uint64_t n, int code);
    int (*reports)(char *text, size_t bytes);
} emulator;

/* The first call that failed. */
typedef struct outcome {
    int failed, right; /* right: all values are */
    aiter_status status;
    char text[AITERI_ERROR_BYTES];
} outcome;

static int note(outcome *o, aiter_status status)
{
    if (status == AITER_OK) return 1;
    if (o->failed++ == 0) {
        o->status = status;
        snprintf(o->text, sizeof o->text, "%s", aiter_last_error());
    }
    return 0;
}

/* One row of queries against keys that are all the same, cut into splits: a mean of ones. */
static aiter_status attend(aiter_context *ctx, void *data, void *out)
{
    aiter_flash_attn_fwd_args a;
    memset(&a, 0, sizeof a);
    a.q = aiter_tensor_4d(data, AITER_BF16, 1, 1, 1, DIM);
    a.kv.k = aiter_tensor_4d(data, AITER_BF16, 1, KEYS, 1, DIM);
    a.kv.v = aiter_tensor_4d(data, AITER_BF16, 1, KEYS, 1, DIM);
    a.out = aiter_tensor_4d(out, AITER_BF16, 1, 1, 1, DIM);
    a.num_splits = 2;
    return aiter_flash_attn_fwd(&a, ctx);
}

static void work(outcome *o, aiter_context *ctx, uint16_t *pinned, char *data, char *copy)
{
    const aiter_memory device_memory = AITER_MEMORY_DEVICE, host = AITER_MEMORY_PINNED;
    uint16_t plain[DIM];
    int i, good = 1;
    for (i = 0; i < KEYS * DIM; i++) pinned[i] = 0x3F80; /* 1 */
    good &= note(o, aiter_memory_copy(ctx, data, device_memory, pinned, host, BYTES));
    good &= note(o, aiter_memory_copy(ctx, copy, device_memory, data, device_memory, BYTES));
    good &= note(o, attend(ctx, copy, data));
    good &= note(o, aiter_memory_copy(ctx, pinned, host, data, device_memory, DIM * 2));
    good &= note(o, aiter_memory_copy(ctx, plain, AITER_MEMORY_HOST, data, device_memory, DIM * 2));
    good &= note(o, aiter_context_synchronize(ctx));
    for (i = 0; good && i < DIM; i++) good &= pinned[i] == 0x3F80 && plain[i] == 0x3F80;
    o->right = good;
}

/* A life: a context, memory of each kind, copies each way, an op, the end. */
static outcome live(const char *folder)
{
    outcome o;
    aiter_context_desc d;
    aiter_context *ctx = NULL;
    void *pinned = NULL, *data = NULL, *copy = NULL;
    memset(&o, 0, sizeof o);
    memset(&d, 0, sizeof d);
    d.device = AITER_DEVICE_HIP;
    d.kernel_path = folder;
    if (!note(&o, aiter_context_create(&d, &ctx))) return o;
    note(&o, aiter_memory_alloc(ctx, AITER_MEMORY_PINNED, BYTES, &pinned));
    note(&o, aiter_memory_alloc(ctx, AITER_MEMORY_DEVICE, BYTES, &data));
    note(&o, aiter_memory_alloc(ctx, AITER_MEMORY_DEVICE, BYTES, &copy));
    if (pinned && data && copy) work(&o, ctx, (uint16_t *)pinned, (char *)data, (char *)copy);
    aiter_context_synchronize(ctx); /* if that is what failed: memory must not be in use */
    note(&o, aiter_memory_free(ctx, AITER_MEMORY_DEVICE, copy, BYTES));
    note(&o, aiter_memory_free(ctx, AITER_MEMORY_DEVICE, data, BYTES));
    note(&o, aiter_memory_free(ctx, AITER_MEMORY_PINNED, pinned, BYTES));
    aiter_context_destroy(ctx);
    return o;
}

static int one_of(const char *name, const char *const *list)
{
    while (*list && strcmp(*list, name) != 0) list++;
    return *list != NULL;
}

/* Failures that nobody need hear of: what is merely unknown, and what comes when all is over. */
static int may_pass(const char *name)
{
    static const char *const list[] = {"hipDeviceGetAttribute",
                                       "hipGetDeviceProperties",
                                       "hipGetDevicePropertiesR0600",
                                       "hipStreamSynchronize",
                                       "hipFree",
                                       "hipModuleUnload",
                                       "hipSetDevice",
                                       "hipGetDevice",
                                       NULL};
    return one_of(name, list);
}

/* What a failing release itself keeps. */
static int may_leave(const char *name)
{
    static const char *const list[] = {"hipFree",      "hipHostFree",     "hipGetDevice",
                                       "hipSetDevice", "hipModuleUnload", NULL};
    return one_of(name, list);
}

static void fail_at(const char *folder, const char *name, uint64_t n)
{
    char text[400] = "";
    const uint64_t blocks = emulator.count("live");
    emulator.fail(name, n, CODE);
    const outcome o = live(folder);
    emulator.fail(name, 0, 0);
    CHECK(o.failed || may_pass(name), "%s at %d: nobody noticed", name, (int)n);
    CHECK(o.failed || o.right, "%s at %d: wrong values", name, (int)n);
    if (o.failed && strcmp(name, "hipModuleGetGlobal") != 0) /* then it is another header's file */
        CHECK(o.status == AITER_DEVICE && strstr(o.text, "failed with 999") && strstr(o.text, name),
              "%s at %d: %s: %s", name, (int)n, aiter_status_name(o.status), o.text);
    CHECK(!aiteri_devices, "%s at %d: a record is left", name, (int)n);
    CHECK(may_leave(name) || emulator.count("live") == blocks, "%s at %d: %d blocks are left", name,
          (int)n, (int)(emulator.count("live") - blocks));
    const int reports = emulator.reports(text, sizeof text);
    CHECK(reports == 0, "%s at %d: %d reports: %s", name, (int)n, reports, text);
    test_global.cases++;
}

/* The CPU's answer, whatever became of the device. */
static void attend_on_the_cpu(void)
{
    uint16_t *const data = (uint16_t *)malloc(BYTES), out[DIM];
    int i, good = 1;
    for (i = 0; i < KEYS * DIM; i++) data[i] = 0x3F80;
    CHECK(attend(NULL, data, out) == AITER_OK, "%s", aiter_last_error());
    for (i = 0; i < DIM; i++) good &= out[i] == 0x3F80;
    CHECK(good, "the CPU's values");
    free(data);
}

static void every_function_fails(const char *folder)
{
    uint64_t uses[FUNCTIONS], n;
    int i, failing = 0;
    fail_at(folder, "hipInit", 1); /* once in a process */
    live(folder);
    for (i = 0; i < FUNCTIONS; i++) uses[i] = emulator.count(functions[i]);
    const outcome o = live(folder);
    CHECK(o.right && !o.failed, "%s", o.text);
    for (i = 0; i < FUNCTIONS; i++) uses[i] = emulator.count(functions[i]) - uses[i];
    for (i = 0; i < FUNCTIONS; i++) {
        if (strcmp(functions[i], "hipGetLastError") == 0) continue; /* its answer is no failure */
        for (n = 1; n <= uses[i]; n++) fail_at(folder, functions[i], n);
        failing += uses[i] > 0;
        attend_on_the_cpu();
    }
    CHECK(failing >= 20, "only %d functions were used", failing);
    const outcome again = live(folder);
    CHECK(again.right && !again.failed, "afterwards: %s", again.text);
    test_say("%d functions of the driver failed\n", failing);
}

int main(int argc, char **argv)
{
    const char *name;
    if (argc < 3 || strcmp(argv[1], "hip") != 0)
        return fprintf(stderr, "usage: run_failures hip FOLDER\n"), 2;
    test_begin("run_failures", 1);
    void *const library = aiteri_driver_library(AITER_DEVICE_HIP, &name);
    if (CHECK(library && aiteri_library_symbol(library, "cdna_count", &emulator.count) &&
                  aiteri_library_symbol(library, "cdna_fail", &emulator.fail) &&
                  aiteri_library_symbol(library, "cdna_reports", &emulator.reports),
              "%s is not the emulator", name))
        every_function_fails(argv[2]);
    return test_end();
}
