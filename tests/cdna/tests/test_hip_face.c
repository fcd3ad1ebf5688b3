/* test_hip_face.c -- the emulator's HIP library as a C program sees it: memory that only the device
 * reads, work that waits for somebody to wait, failures on demand, and a report for every
 * misuse. */
#include "hip_test.h"

#include <pthread.h>

/* ---- scenarios ---- */

static void devices(void)
{
    int value = 0, new_chip = strcmp(getenv("CDNA_CHIP"), "gfx950") == 0;
    char name[64], properties[4096];
    OK(hipInit(0));
    OK(hipGetDeviceCount(&value));
    CHECK(value == 2);
    OK(hipDeviceGetAttribute(&value, 63, 0));
    CHECK(value == (new_chip ? 256 : 304));
    OK(hipDeviceGetAttribute(&value, 61, 1));
    CHECK(value == (new_chip ? 5 : 4));
    OK(hipDeviceGetAttribute(&value, 74, 0));
    CHECK(value == (new_chip ? 163840 : 65536));
    OK(hipDeviceGetAttribute(&value, 10018, 0));
    CHECK(value == 8);
    IS(hipDeviceGetAttribute(&value, 424242, 0), 1);
    IS(hipDeviceGetAttribute(&value, 63, 2), 101);
    IS(hipSetDevice(-1), 101);
    IS(hipGetLastError(), 101);
    IS(hipGetLastError(), 0);
    OK(hipDeviceGetName(name, sizeof name, 0));
    CHECK(strstr(name, getenv("CDNA_CHIP")) != NULL);
    OK(hipGetDevicePropertiesR0600(properties, 0));
    CHECK(strncmp(properties + 1160, getenv("CDNA_CHIP"), 6) == 0 && properties[1166] == ':');
    CHECK(strcmp(hipGetErrorName(209), "hipErrorNoBinaryForGpu") == 0);
    CHECK(strcmp(hipGetErrorString(2), "out of memory") == 0);
    OK(hipGetDevice(&value));
    CHECK(value == 0);
}

/* The kernel of the system says, without a signal, whether the host could read it. */
static int readable(const void *at)
{
    int ends[2];
    if (pipe(ends)) return -1;
    int got = (int)write(ends[1], at, 1);
    close(ends[0]);
    close(ends[1]);
    return got == 1;
}

static void memory(void)
{
    size_t unused = 0, total = 0, huge = (size_t)40 << 30;
    unsigned *a = device_words(100), *host = pinned_words(100), copy[100] = {0};
    void *big = NULL, *none = a;
    CHECK(!readable(a) && !readable(a + 99) && !readable(a + 100));
    CHECK(readable(host) && (size_t)a % 256 == 0 && (size_t)a % 512 != 0);
    OK(hipMemcpy(copy, a, 400, to_host));
    CHECK(copy[0] == 0x7fff7fff && copy[99] == 0x7fff7fff && host[99] == 0x7fff7fff);
    OK(hipMalloc(&big, huge));
    OK(hipMemGetInfo(&unused, &total));
    CHECK(total - unused == huge + 400);
    char *end = (char *)big + huge;
    CHECK(word(end - 4) == 0x7fff7fff);
    OK(launch_add(big, big, 5000000000, 100, 1, NULL));
    CHECK(word((unsigned *)big + 5000000099) == 0x7fff8000);
    CHECK(word((unsigned *)big + 5000000100) == 0x7fff7fff);
    CHECK(word((unsigned *)big + (5000000099 & 0xffffffff)) == 0x7fff7fff);
    IS(hipMalloc(&none, (size_t)1 << 40), 2);
    CHECK(none == NULL);
    OK(hipMalloc(&none, 0));
    CHECK(none == NULL && hipFree(NULL) == 0);
    IS(hipMemcpy(copy, a + 99, 8, to_host), 1);
    IS(hipMemcpy(copy, a, 400, to_device), 1);
    IS(hipMemcpy(copy, a + 101, 4, to_host), 1);
    IS(hipMemcpy(copy, a, 400, 5), 21);
    OK(hipMemcpy(copy, a, 400, any_kind));
    IS(hipFree(a + 64), 1);
    IS(hipHostFree(a), 1);
    uint64_t live = cdna_count("live");
    OK(hipFree(big));
    OK(hipFree(a));
    IS(hipFree(a), 1);
    OK(hipHostFree(host));
    CHECK(!readable(host) && cdna_count("live") == live - 3);
    REPORTED(NULL);
}

static void modules(void)
{
    void *other = NULL, *function = NULL, *at = NULL;
    int value = 0;
    size_t bytes = 0;
    unsigned long long mark = 0;
    char nonsense[64] = "not a code object";
    IS(hipModuleLoadData(&other, images[1]), 209);
    IS(hipModuleLoadData(&other, nonsense), 200);
    IS(hipModuleGetFunction(&function, module, "absent"), 500);
    OK(hipModuleGetGlobal(&at, &bytes, module, "face_mark"));
    CHECK(bytes == 8 && !readable(at));
    OK(hipMemcpyDtoH(&mark, at, 8));
    CHECK(mark == 0x1122334455667788);
    IS(hipModuleGetGlobal(&at, &bytes, module, "absent"), 500);
    OK(hipFuncGetAttribute(&value, 0, add));
    CHECK(value == 64);
    OK(hipModuleOccupancyMaxActiveBlocksPerMultiprocessor(&value, add, 64, 0));
    CHECK(value == 32);
    OK(hipModuleOccupancyMaxActiveBlocksPerMultiprocessor(&value, add, 64, 40000));
    CHECK(value == (strcmp(getenv("CDNA_CHIP"), "gfx950") ? 1 : 4));
    OK(hipModuleLoadData(&other, images[0]));
    OK(hipModuleUnload(other));
    IS(hipModuleUnload(other), 400);
}

static void launches(void)
{
    unsigned *a = device_words(300), value = 7, count = 200, *null = NULL;
    struct {
        void *to;
        unsigned count, value;
    } packed = {a, 100, 9};
    size_t bytes = sizeof packed, little = 8;
    void *parameters[] = {&a, &count, &value};
    void *extra[] = {(void *)1, &packed, (void *)2, &bytes, (void *)3};
    OK(hipMemsetD32Async(a, 1, 300, NULL));
    OK(launch_set(a, count, value, NULL));
    OK(hipModuleLaunchKernel(set, 2, 1, 1, 64, 1, 1, 0, NULL, NULL, extra));
    CHECK(word(a + 99) == 9 && word(a + 100) == 7 && word(a + 199) == 7 && word(a + 200) == 1);
    OK(hipMemsetAsync(a, 3, 4, NULL));
    CHECK(word(a) == 0x03030303);
    IS(hipModuleLaunchKernel(set, 0, 1, 1, 64, 1, 1, 0, NULL, parameters, NULL), 1);
    IS(hipModuleLaunchKernel(set, 1, 1, 1, 128, 1, 1, 0, NULL, parameters, NULL), 719);
    IS(hipModuleLaunchKernel(set, 1, 1, 1, 2048, 1, 1, 0, NULL, parameters, NULL), 9);
    IS(hipModuleLaunchKernel(set, 1, 65537, 1, 64, 1, 1, 0, NULL, parameters, NULL), 9);
    IS(hipModuleLaunchKernel(set, 1, 1, 1, 64, 1, 1, 1 << 20, NULL, parameters, NULL), 1);
    IS(hipModuleLaunchKernel(set, 1, 1, 1, 64, 1, 1, 0, NULL, parameters, extra), 1);
    IS(hipModuleLaunchKernel(set, 1, 1, 1, 64, 1, 1, 0, NULL, NULL, NULL), 1);
    IS(hipModuleLaunchKernel(NULL, 1, 1, 1, 64, 1, 1, 0, NULL, parameters, NULL), 98);
    IS(hipModuleLaunchKernel(set, 1, 1, 1, 64, 1, 1, 0, &null, parameters, NULL), 709);
    extra[3] = &little;
    IS(hipModuleLaunchKernel(set, 1, 1, 1, 64, 1, 1, 0, NULL, NULL, extra), 1);
    REPORTED("takes 16 bytes of arguments, not 8");
    OK(hipFree(a));
}

/* Nothing runs before somebody waits, and what arrives at the host is poison until then. */
static void waiting(void)
{
    unsigned *a = device_words(64), *host = pinned_words(64), pageable = 5;
    void *stream = new_stream(non_blocking), *start = new_event(), *stop = new_event();
    float ms = -1;
    for (int i = 0; i < 64; i++) host[i] = 100;
    OK(hipEventRecord(start, stream));
    OK(hipMemcpyAsync(a, host, 256, to_device, stream));
    OK(launch_add(a, a, 0, 64, 11, stream));
    OK(hipEventRecord(stop, stream));
    CHECK(cdna_count("queued") == 4);
    IS(hipEventElapsedTime(&ms, start, stop), 600);
    OK(hipEventSynchronize(stop));
    CHECK(cdna_count("queued") == 0);
    OK(hipEventElapsedTime(&ms, start, stop));
    CHECK(ms > 0);
    OK(hipMemcpyAsync(host, a, 256, to_host, stream));
    CHECK(host[63] == 0x7fff7fff);
    OK(hipStreamSynchronize(stream));
    CHECK(host[63] == 111);
    OK(launch_add(a, a, 0, 64, 1, stream));
    OK(hipEventRecord(stop, stream));
    hipGetLastError();
    for (int i = 0; hipEventQuery(stop) == 600; i++) CHECK(i < 8);
    OK(hipStreamQuery(stream));
    IS(hipGetLastError(), 0);
    uint64_t waits = cdna_count("synchronisations");
    OK(hipMemcpyAsync(&pageable, a, 4, to_host, stream));
    CHECK(pageable == 112 && cdna_count("synchronisations") == waits + 1);
    OK(launch_add(a, a, 0, 64, 1, stream));
    OK(hipStreamDestroy(stream));
    IS(hipStreamSynchronize(stream), 709);
    CHECK(cdna_count("queued") == 1);
    OK(hipDeviceSynchronize());
    CHECK(cdna_count("queued") == 0 && word(a) == 113);
    OK(hipEventDestroy(start));
    IS(hipEventRecord(start, NULL), 400);
    OK(hipFree(a));
    OK(hipHostFree(host));
    REPORTED(NULL);
}

/* An event orders two streams, the null stream orders those that block; what nothing orders runs
 * early or late, as the seed says. */
static void order(void)
{
    unsigned *a = device_words(64), *b = device_words(64), *c = device_words(64);
    unsigned left[2] = {0, 0};
    void *one = new_stream(non_blocking), *two = new_stream(non_blocking), *slow = new_stream(0);
    void *event = new_event();
    for (unsigned i = 0; i < 20; i++) {
        OK(launch_set(a, 64, i, one));
        OK(hipEventRecord(event, one));
        OK(hipStreamWaitEvent(two, event, 0));
        OK(launch_add(b, a, 0, 64, 1, two));
        OK(hipEventRecord(event, two));
        OK(hipStreamWaitEvent(one, event, 0));
        OK(launch_set(a, 64, 99, one));
        OK(launch_set(c, 64, i, slow));
        OK(hipStreamSynchronize(two));
        left[cdna_count("queued") > 2]++; /* the last of each stream waits or not */
        OK(hipDeviceSynchronize());
        CHECK(word(b + 63) == i + 1 && word(a) == 99);
    }
    CHECK(left[0] && left[1]);
    for (unsigned i = 0; i < 20; i++) {
        OK(launch_set(a, 64, i, slow));
        OK(launch_add(b, a, 0, 64, 1, NULL));
        OK(launch_set(a, 64, 77, slow));
        OK(hipStreamSynchronize(slow));
        CHECK(word(b) == i + 1 && word(a) == 77);
    }
    REPORTED(NULL);
    OK(launch_set(a, 64, 1, one));
    OK(launch_add(b, a, 32, 32, 1, two));
    IS(hipDeviceSynchronize(), 719);
    REPORTED("no event orders them");
    OK(launch_set(a, 32, 1, one));
    OK(launch_add(a, a, 32, 32, 1, two));
    OK(hipDeviceSynchronize());
    OK(launch_set(c, 64, 0, slow)); /* what the host waited for is over, whatever else goes on */
    OK(launch_set(a, 64, 1, one));
    OK(hipStreamSynchronize(one));
    OK(launch_add(a, a, 0, 64, 1, two));
    OK(hipDeviceSynchronize());
    OK(launch_set(a, 64, 1, one));
    OK(hipMemcpyAsync(a + 63, b, 4, on_device, two));
    IS(hipDeviceSynchronize(), 719);
    REPORTED("no event orders them");
    OK(hipStreamDestroy(one));
    OK(hipStreamDestroy(two));
    OK(hipStreamDestroy(slow));
}

static void misuse(void)
{
    unsigned *a = device_words(64), *b = device_words(64), *host = pinned_words(64), heap[64] = {0};
    void *stream = new_stream(non_blocking), *other = NULL, *kept = add, *mapped = NULL;
    OK(launch_add(a, heap, 0, 64, 1, stream));
    IS(hipStreamSynchronize(stream), 700);
    REPORTED("host");
    OK(launch_add(a, host, 0, 64, 1, stream));
    IS(hipStreamSynchronize(stream), 700);
    REPORTED("pinned host memory");
    OK(launch_set(a, 65, 1, stream));
    IS(hipStreamSynchronize(stream), 700);
    REPORTED("past the end of a block of 256 bytes");
    OK(launch_set(a, 64, 1, stream));
    OK(hipFree(a));
    IS(hipStreamSynchronize(stream), 700);
    REPORTED("that was freed");
    OK(hipMemcpyAsync(b, host, 256, to_device, stream));
    host[5]++;
    IS(hipStreamSynchronize(stream), 719);
    REPORTED("the host changed it");
    OK(hipMemcpyAsync(b, host, 256, to_device, stream));
    OK(hipHostFree(host));
    IS(hipStreamSynchronize(stream), 700);
    REPORTED("that was freed");
    OK(hipModuleLoadData(&other, images[0]));
    OK(hipModuleGetFunction(&add, other, "face_add"));
    OK(launch_add(b, b, 0, 64, 1, stream));
    OK(hipModuleUnload(other));
    IS(launch_add(b, b, 0, 64, 1, stream), 98);
    add = kept;
    IS(hipStreamSynchronize(stream), 719);
    REPORTED("unloaded");
    OK(hipHostMalloc(&mapped, 256, 2));
    OK(launch_set(mapped, 64, 12, stream));
    OK(hipStreamSynchronize(stream));
    CHECK(((unsigned *)mapped)[63] == 12);
    OK(hipHostFree(mapped));
    OK(hipFree(b));
    OK(hipStreamDestroy(stream));
    REPORTED(NULL);
}

static void two_devices(void)
{
    unsigned *a = device_words(64), *b;
    OK(hipMemsetD32Async(a, 5, 64, NULL));
    OK(hipSetDevice(1));
    b = device_words(64);
    void *stream = new_stream(0), *home = module;
    IS(launch_set(b, 64, 1, stream), 400);
    OK(hipModuleLoadData(&module, images[0]));
    OK(hipModuleGetFunction(&set, module, "face_set"));
    OK(launch_set(b, 64, 1, stream));
    OK(hipDeviceSynchronize());
    CHECK(word(b) == 1);
    OK(launch_set(a, 64, 1, stream));
    IS(hipStreamSynchronize(stream), 700);
    REPORTED("of device 0");
    OK(hipSetDevice(0));
    OK(hipDeviceSynchronize());
    OK(hipMemcpy(b, a, 256, on_device));
    CHECK(word(b + 63) == 5);
    OK(hipModuleUnload(module));
    module = home;
    OK(hipModuleGetFunction(&set, module, "face_set"));
    OK(hipStreamDestroy(stream));
    OK(hipFree(a));
    OK(hipFree(b));
}

static void counting(void)
{
    unsigned *a = device_words(64);
    uint64_t launched = cdna_count("launches"), calls = cdna_count("hipMemsetAsync");
    void *at = NULL;
    OK(launch_set(a, 64, 1, NULL));
    OK(hipMemsetAsync(a, 0, 4, NULL));
    OK(hipDeviceSynchronize());
    CHECK(cdna_count("launches") == launched + 1 && cdna_count("hipMemsetAsync") == calls + 1);
    CHECK(cdna_count("wave_instructions") > 0);
    cdna_fail("hipMalloc", 2, 2);
    OK(hipMalloc(&at, 4));
    OK(hipFree(at));
    uint64_t allocations = cdna_count("allocations");
    IS(hipMalloc(&at, 4), 2);
    CHECK(cdna_count("allocations") == allocations);
    IS(hipGetLastError(), 2);
    cdna_fail("*", 1, 999);
    IS(hipDeviceSynchronize(), 999);
    OK(hipDeviceSynchronize());
    cdna_fail("hipModuleLaunchKernel", 1, 719);
    cdna_fail("hipModuleLaunchKernel", 0, 0);
    OK(launch_set(a, 64, 2, NULL));
    CHECK(word(a) == 2);
    OK(hipFree(a));
}

/* One instruction of face_set after the other becomes s_nop: some of them are needed. */
static void sabotage(void)
{
    unsigned *a = device_words(64), value = 0, changed = 0;
    for (unsigned at = 0; at < 1 << 14; at += 4) {
        cdna_nop("face_set", at);
        int status = hipMemsetD32Async(a, 0, 64, NULL);
        status |= launch_set(a, 64, 7, NULL) | hipDeviceSynchronize();
        status |= hipMemcpy(&value, a, 4, to_host);
        changed += status || value != 7;
        cdna_reports(NULL, 0);
    }
    CHECK(changed > 3 && changed < 20);
    cdna_nop(NULL, 0);
    OK(launch_set(a, 64, 7, NULL));
    CHECK(word(a) == 7);
    REPORTED(NULL);
    OK(hipFree(a));
}

/* ---- threads ---- */

static void *worker(void *argument)
{
    unsigned *a, *host, wrong = 0;
    void *stream = NULL, *at = NULL, *pinned = NULL;
    wrong += hipMalloc(&at, 4096) != 0;
    wrong += hipHostMalloc(&pinned, 4096, 0) != 0;
    wrong += hipStreamCreateWithFlags(&stream, non_blocking) != 0;
    a = at;
    host = pinned;
    for (unsigned i = 0; i < 50 && !wrong; i++) {
        wrong += launch_set(a, 1024, i, stream) != 0;
        wrong += launch_add(a, a, 0, 1024, 3, stream) != 0;
        wrong += hipMemcpyAsync(host, a, 4096, to_host, stream) != 0;
        wrong += hipStreamSynchronize(stream) != 0;
        for (int j = 0; j < 1024; j++) wrong += host[j] != i + 3;
    }
    wrong += hipFree(a) != 0;
    wrong += hipHostFree(host) != 0;
    wrong += hipStreamDestroy(stream) != 0;
    *(unsigned *)argument = wrong;
    return NULL;
}

static void threads(void)
{
    pthread_t team[4];
    unsigned wrong[4];
    for (int i = 0; i < 4; i++) pthread_create(&team[i], NULL, worker, &wrong[i]);
    for (int i = 0; i < 4; i++) {
        pthread_join(team[i], NULL);
        CHECK(wrong[i] == 0);
    }
    REPORTED(NULL);
}

/* ---- processes ---- */

static void everything(void)
{
    devices();
    load();
    memory();
    modules();
    launches();
    waiting();
    order();
    misuse();
    two_devices();
    counting();
    sabotage();
    threads();
    REPORTED(NULL);
    CHECK(cdna_count("queued") == 0);
}

static void no_device(void)
{
    int count = 7;
    void *at = NULL;
    IS(hipInit(0), 101);
    IS(hipGetDeviceCount(&count), 100);
    CHECK(count == 0);
    IS(hipMalloc(&at, 4), 100);
}

static void planned_failures(void)
{
    void *at = NULL;
    IS(hipInit(0), 3);
    OK(hipInit(0));
    OK(hipMalloc(&at, 4));
    IS(hipMalloc(&at, 4), 2);
}

static void unread_report(void)
{
    unsigned *a = device_words(64);
    load();
    OK(hipFree(a));
    OK(launch_set(a, 64, 1, NULL));
    IS(hipDeviceSynchronize(), 700);
}

static char executed[] = "/tmp/hip_face_XXXXXX";

static void some_kernel(void)
{
    unsigned *a = device_words(64);
    load();
    OK(launch_set(a, 64, 1, NULL));
    OK(hipDeviceSynchronize());
}

int main(void)
{
    int file = mkstemp(executed);
    char text[4096] = {0};
    scenes(everything);
    scene(no_device, 0, "no device", "gfx950", "CDNA_DEVICES", "0");
    scene(planned_failures, 0, "planned", "gfx950", "CDNA_FAIL", "hipInit:1:3,hipMalloc:2:2");
    scene(unread_report, 9, "unread report", "gfx950", "CDNA_EXIT", "9");
    scene(some_kernel, 0, "executed", "gfx942", "CDNA_EXECUTED", executed);
    CHECK(read(file, text, sizeof text - 1) > 0 && strstr(text, "global_store_dword 1\n"));
    CHECK(close(file) == 0 && unlink(executed) == 0);
    return result();
}
