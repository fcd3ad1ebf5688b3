/* hip_test.h -- the frame of the tests of the emulator's HIP library: HIP's functions as a C
 * program declares them, checks whose counts survive in the parent, small launches. CDNA_TEST_CODE
 * names the folder of the code objects hip_face_<chip>.co. */
#ifndef HIP_TEST_H
#define HIP_TEST_H

#define _GNU_SOURCE 1
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../hip_face.h"

/* HIP, as far as it is used here. */
int hipInit(unsigned), hipDriverGetVersion(int *), hipGetDeviceCount(int *), hipSetDevice(int);
int hipGetDevice(int *), hipDeviceGetAttribute(int *, int, int), hipDeviceGetName(char *, int, int);
int hipMemGetInfo(size_t *, size_t *), hipGetDevicePropertiesR0600(void *, int);
int hipMalloc(void **, size_t), hipFree(void *), hipHostMalloc(void **, size_t, unsigned);
int hipHostFree(void *), hipMemcpy(void *, const void *, size_t, int);
int hipMemcpyDtoH(void *, void *, size_t), hipMemsetD32Async(void *, int, size_t, void *);
int hipMemcpyAsync(void *, const void *, size_t, int, void *);
int hipMemsetAsync(void *, int, size_t, void *), hipStreamCreateWithFlags(void **, unsigned);
int hipStreamDestroy(void *), hipStreamQuery(void *), hipStreamSynchronize(void *);
int hipStreamWaitEvent(void *, void *, unsigned), hipDeviceSynchronize(void);
int hipEventCreateWithFlags(void **, unsigned), hipEventRecord(void *, void *);
int hipEventQuery(void *), hipEventSynchronize(void *),
    hipEventElapsedTime(float *, void *, void *);
int hipEventDestroy(void *), hipModuleLoadData(void **, const void *), hipModuleUnload(void *);
int hipModuleGetFunction(void **, void *, const char *), hipFuncGetAttribute(int *, int, void *);
int hipModuleGetGlobal(void **, size_t *, void *, const char *);
int hipModuleOccupancyMaxActiveBlocksPerMultiprocessor(int *, void *, int, size_t);
int hipModuleLaunchKernel(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                          unsigned, void *, void **, void **);
int hipStreamBeginCapture(void *, int), hipStreamEndCapture(void *, void **);
int hipStreamIsCapturing(void *, int *), hipGetLastError(void);
int hipGraphInstantiate(void **, void *, void **, char *, size_t), hipGraphLaunch(void *, void *);
int hipGraphDestroy(void *), hipGraphExecDestroy(void *);
const char *hipGetErrorName(int), *hipGetErrorString(int);

enum { to_device = 1, to_host = 2, on_device = 3, any_kind = 4, non_blocking = 1, global_mode = 0 };

/* Shared with the children. */
static struct {
    int passed, failed;
} *score;
static const char *scenario;

static void check(int good, const char *what, int line)
{
    if (good) {
        score->passed++;
        return;
    }
    score->failed++;
    printf("test_hip_face.c:%d: %s: %s\n", line, scenario, what);
}
#define CHECK(condition) check(condition, #condition, __LINE__)
#define IS(call, code)   check((call) == (code), #call " == " #code, __LINE__)
#define OK(call)         IS(call, 0)

/* One report that holds this text, and nothing else. */
static void check_report(const char *text, int line)
{
    char all[4096];
    int count = cdna_reports(all, sizeof all);
    int good = text ? count > 0 && strstr(all, text) : count == 0;
    if (!good) printf("reports: %s", count ? all : "none\n");
    check(good, text ? text : "no report", line);
}
#define REPORTED(text) check_report(text, __LINE__)

/* ---- what every scenario stands on ---- */

static char images[2][1 << 16]; /* of this chip and of the other */
static void *module, *add, *set;

static void read_image(char *image, const char *chip)
{
    const char *folder = getenv("CDNA_TEST_CODE");
#ifdef CDNA_TEST_CODE
    if (!folder) folder = CDNA_TEST_CODE;
#endif
    char path[1024];
    snprintf(path, sizeof path, "%s/hip_face_%s.co", folder ? folder : ".", chip);
    FILE *file = fopen(path, "rb");
    if (!file || fread(image, 1, sizeof images[0], file) == 0) {
        printf("%s: cannot be read\n", path);
        exit(1);
    }
    fclose(file);
}

static void load(void)
{
    int other = strcmp(getenv("CDNA_CHIP"), "gfx942") == 0;
    read_image(images[0], getenv("CDNA_CHIP"));
    read_image(images[1], other ? "gfx950" : "gfx942");
    OK(hipModuleLoadData(&module, images[0]));
    OK(hipModuleGetFunction(&add, module, "face_add"));
    OK(hipModuleGetFunction(&set, module, "face_set"));
}

/* to[offset + i] = from[offset + i] + value */
static int launch_add(void *to, const void *from, long long offset, unsigned count, unsigned value,
                      void *stream)
{
    struct {
        const void *to, *from;
        long long offset;
        unsigned count, add;
    } args = {to, from, offset, count, value};
    void *parameters[] = {&args};
    return hipModuleLaunchKernel(add, (count + 63) / 64, 1, 1, 64, 1, 1, 0, stream, parameters, 0);
}

static int launch_set(void *to, unsigned count, unsigned value, void *stream)
{
    void *parameters[] = {&to, &count, &value};
    return hipModuleLaunchKernel(set, (count + 63) / 64, 1, 1, 64, 1, 1, 0, stream, parameters, 0);
}

static unsigned *device_words(size_t count)
{
    void *at = NULL;
    OK(hipMalloc(&at, count * 4));
    return at;
}

static unsigned *pinned_words(size_t count)
{
    void *at = NULL;
    OK(hipHostMalloc(&at, count * 4, 0));
    return at;
}

static void *new_stream(unsigned flags)
{
    void *stream = NULL;
    OK(hipStreamCreateWithFlags(&stream, flags));
    return stream;
}

static void *new_event(void)
{
    void *event = NULL;
    OK(hipEventCreateWithFlags(&event, 0));
    return event;
}

static unsigned word(const void *at)
{
    unsigned value = 0;
    OK(hipMemcpy(&value, at, 4, to_host));
    return value;
}

/* ---- processes ---- */

/* Runs `body` in a child with these settings; its status must be `status`. */
static void scene(void (*body)(void), int status, const char *name, const char *chip,
                  const char *more, const char *value)
{
    if (!score)
        score =
            mmap(NULL, sizeof *score, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        scenario = name;
        setenv("CDNA_CHIP", chip, 1);
        setenv(more, value, 1);
        if (status) freopen("/dev/null", "w", stderr);
        body();
        exit(0);
    }
    int ended = 0;
    scenario = name;
    CHECK(waitpid(child, &ended, 0) == child && WIFEXITED(ended) && WEXITSTATUS(ended) == status);
}

/* Every chip, four seeds each, in a process of its own; `body` finds its kernels loaded. */
static void scenes(void (*body)(void))
{
    const char *seeds[] = {"0", "1", "2", "3"};
    setenv("CDNA_DEVICES", "2", 1);
    for (int seed = 0; seed < 4; seed++) {
        scene(body, 0, "gfx942", "gfx942", "CDNA_SEED", seeds[seed]);
        scene(body, 0, "gfx950", "gfx950", "CDNA_SEED", seeds[seed]);
    }
}

static int result(void)
{
    printf("%d passed, %d failed\n", score->passed, score->failed);
    return score->failed != 0;
}

#endif /* HIP_TEST_H */
