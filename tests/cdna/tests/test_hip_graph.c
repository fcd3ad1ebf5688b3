/* test_hip_graph.c -- capture and replay in the emulator's HIP library: graphs that fork and join,
 * graphs in graphs, and what HIP forbids while a stream captures. */
#include "hip_test.h"

static void *captured(void *stream)
{
    void *graph = NULL, *exec = NULL;
    OK(hipStreamEndCapture(stream, &graph));
    OK(hipGraphInstantiate(&exec, graph, NULL, NULL, 0));
    OK(hipGraphDestroy(graph));
    return exec;
}

static void replay(void)
{
    unsigned *a = device_words(64), *b = device_words(64), *c = device_words(64);
    unsigned *host = pinned_words(1);
    void *one = new_stream(non_blocking), *two = new_stream(0), *fork = new_event();
    void *join = new_event();
    int state = -1;
    OK(launch_set(a, 64, 0, one));
    OK(hipStreamBeginCapture(one, global_mode));
    OK(hipStreamIsCapturing(one, &state));
    CHECK(state == 1);
    OK(hipMemcpyAsync(a, host, 4, to_device, one));
    OK(hipEventRecord(fork, one));
    OK(hipStreamWaitEvent(two, fork, 0));
    OK(launch_add(b, a, 0, 64, 10, one));
    OK(launch_add(c, a, 0, 64, 20, two));
    OK(hipEventRecord(join, two));
    OK(hipStreamWaitEvent(one, join, 0));
    OK(launch_add(b, c, 0, 1, 100, one));
    void *exec = captured(one);
    CHECK(cdna_count("queued") == 1);
    for (unsigned i = 0; i < 5; i++) {
        OK(hipStreamSynchronize(one));
        *host = i;
        OK(launch_set(a, 64, 1000 + i, one));
        OK(hipGraphLaunch(exec, one));
        OK(hipStreamSynchronize(one));
        CHECK(word(b) == i + 120 && word(b + 1) == 1010 + i && word(c + 63) == 1020 + i);
    }
    OK(hipStreamBeginCapture(one, global_mode));
    OK(launch_set(a, 64, 7, one));
    OK(hipGraphLaunch(exec, one));
    OK(launch_add(b, b, 0, 64, 1, one));
    void *nested = captured(one);
    OK(hipGraphLaunch(nested, two));
    OK(hipGraphLaunch(nested, two));
    OK(hipDeviceSynchronize());
    CHECK(word(b + 1) == 18 && word(c + 1) == 27);
    OK(hipGraphLaunch(exec, one)); /* one after the other, though in two streams */
    OK(hipGraphLaunch(exec, two));
    OK(hipDeviceSynchronize());
    OK(hipGraphExecDestroy(exec));
    OK(hipGraphExecDestroy(nested));
    IS(hipGraphLaunch(nested, two), 1);
    OK(hipStreamDestroy(one));
    OK(hipStreamDestroy(two));
    REPORTED(NULL);
}

/* Each of these spoils a capture and says so. */
static int forbidden(int which, void *stream, void *event, unsigned *a)
{
    void *at = NULL;
    unsigned value = 0;
    switch (which) {
    case 0: return hipMalloc(&at, 64);
    case 1: return hipFree(a);
    case 2: return hipHostMalloc(&at, 64, 0);
    case 3: return hipStreamSynchronize(stream);
    case 4: return hipStreamQuery(stream);
    case 5: return hipDeviceSynchronize();
    case 6: return hipMemcpy(&value, a, 4, to_host);
    case 7: return launch_set(a, 64, 1, NULL);
    case 8: return hipEventSynchronize(event);
    case 9: return hipEventQuery(event);
    default: return hipModuleLoadData(&at, images[0]);
    }
}

static void forbidden_calls(void)
{
    const int codes[] = {900, 900, 900, 900, 900, 900, 906, 906, 907, 907, 900};
    unsigned *a = device_words(64);
    void *stream = new_stream(0), *event = new_event(), *graph = NULL;
    int state = 0;
    for (int which = 0; which < (int)(sizeof codes / sizeof codes[0]); which++) {
        OK(hipStreamBeginCapture(stream, global_mode));
        OK(launch_set(a, 64, 1, stream));
        OK(hipEventRecord(event, stream));
        IS(forbidden(which, stream, event, a), codes[which]);
        OK(hipStreamIsCapturing(stream, &state));
        CHECK(state == 2);
        IS(launch_set(a, 64, 1, stream), 901);
        IS(hipStreamEndCapture(stream, &graph), 901);
        CHECK(graph == NULL);
    }
    OK(hipDeviceSynchronize());
    OK(hipFree(a));
    OK(hipStreamDestroy(stream));
}

static void capture_rules(void)
{
    unsigned *a = device_words(64);
    void *one = new_stream(non_blocking), *two = new_stream(non_blocking), *graph = NULL;
    void *event = new_event(), *early = new_event();
    IS(hipStreamBeginCapture(NULL, global_mode), 900);
    IS(hipStreamEndCapture(one, &graph), 401);
    OK(hipEventRecord(early, two));
    OK(hipStreamBeginCapture(one, global_mode));
    IS(hipStreamBeginCapture(one, global_mode), 401);
    IS(hipStreamWaitEvent(one, early, 0), 905);
    IS(hipStreamEndCapture(one, &graph), 901);
    OK(hipStreamBeginCapture(one, global_mode));
    OK(hipEventRecord(event, one));
    OK(hipStreamWaitEvent(two, event, 0));
    OK(launch_set(a, 64, 1, two));
    IS(hipStreamEndCapture(two, &graph), 903);
    IS(hipStreamEndCapture(one, &graph), 904);
    OK(hipStreamBeginCapture(one, global_mode));
    OK(hipStreamBeginCapture(two, global_mode));
    OK(hipEventRecord(event, one));
    IS(hipStreamWaitEvent(two, event, 0), 902);
    OK(hipStreamEndCapture(one, &graph));
    OK(hipStreamEndCapture(two, &graph));
    CHECK(cdna_count("queued") <= 1);
    OK(hipDeviceSynchronize());
    CHECK(word(a) == 0x7fff7fff);
    OK(hipFree(a));
    OK(hipStreamDestroy(one));
    OK(hipStreamDestroy(two));
    REPORTED(NULL);
}

static void everything(void)
{
    load();
    replay();
    forbidden_calls();
    capture_rules();
}

int main(void)
{
    scenes(everything);
    return result();
}
