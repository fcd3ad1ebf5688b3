/* bench_machine.h -- what every benchmark shares before it measures: options, contexts, the line
 * that says which machine this is. */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include "bench_gang.h"
#include <math.h>

#ifndef AITER_TEST_HEADER
#define AITER_TEST_HEADER "../aiter_attn.h"
#endif
#define AITER_ATTN_IMPLEMENTATION
#include AITER_TEST_HEADER

#include "peak_probes.h"

#ifndef BENCH_FLAGS /* the build may say how it compiled: -DBENCH_FLAGS='"-O3"' */
#ifdef __OPTIMIZE__
#define BENCH_FLAGS "optimised"
#else
#define BENCH_FLAGS "NOT optimised"
#endif
#endif
#if defined(__clang__)
#define BENCH_COMPILER "clang " __clang_version__
#else
#define BENCH_COMPILER "gcc " __VERSION__
#endif

typedef enum bench_format { BENCH_MD, BENCH_CSV, BENCH_JSON } bench_format;

typedef struct bench_options {
    const char *program;
    bench_format format;
    int32_t rounds;
    int32_t threads; /* 0: one, and as many as this process may use */
    aiter_isa isa;
    const char *filter;
} bench_options;

enum { BENCH_DEFAULT_ROUNDS = 7, BENCH_MAX_ROUNDS = 101 };

/* Contexts live as long as the program: index 0 one thread, index 1 all. */
typedef struct bench_state {
    bench_options options;
    aiter_isa isa;
    int32_t thread_counts[2];
    aiter_context *contexts[2];
    int32_t num_contexts;
    int32_t rows;
} bench_state;

static bench_state bench;

static void bench_usage(const char *program)
{
    fprintf(stderr,
            "usage: %s [-r ROUNDS] [-o md|csv|json] [--threads N] [--isa scalar|avx2|avx512|neon]\n"
            "       [--filter SUBSTRING]\n",
            program);
    exit(2);
}

static int32_t bench_number(const char *program, const char *text, int32_t max)
{
    char *end = NULL;
    long value = text ? strtol(text, &end, 10) : 0;
    if (!text || *end || value < 1 || value > max) bench_usage(program);
    return (int32_t)value;
}

static bench_options bench_parse(int argc, char **argv)
{
    bench_options o = {argv[0], BENCH_MD, BENCH_DEFAULT_ROUNDS, 0, AITER_ISA_AUTO, ""};
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!value) bench_usage(o.program);
        if (!strcmp(argv[i], "-r")) {
            o.rounds = bench_number(o.program, value, BENCH_MAX_ROUNDS);
        } else if (!strcmp(argv[i], "--threads")) {
            o.threads = bench_number(o.program, value, BENCH_MAX_THREADS);
        } else if (!strcmp(argv[i], "--filter")) {
            o.filter = value;
        } else if (!strcmp(argv[i], "-o")) {
            o.format = !strcmp(value, "csv") ? BENCH_CSV : BENCH_JSON;
            if (!strcmp(value, "md"))
                o.format = BENCH_MD;
            else if (strcmp(value, "csv") && strcmp(value, "json"))
                bench_usage(o.program);
        } else if (!strcmp(argv[i], "--isa")) {
            for (int32_t isa = AITER_ISA_SCALAR; isa < AITER_ISA_COUNT; isa++) {
                if (!strcmp(value, aiter_isa_name((aiter_isa)isa))) o.isa = (aiter_isa)isa;
            }
            if (o.isa == AITER_ISA_AUTO) bench_usage(o.program);
        } else {
            bench_usage(o.program);
        }
    }
    return o;
}

/* "Model name" of the first CPU, or what the architecture offers instead. */
static void bench_cpu_name(char *out, size_t bytes)
{
    char line[512], part[64] = "";
    FILE *info = fopen("/proc/cpuinfo", "r");
    snprintf(out, bytes, "unknown CPU");
    while (info && fgets(line, sizeof line, info)) {
        char *colon = strchr(line, ':');
        if (!colon || !colon[1]) continue;
        colon[strcspn(colon, "\n")] = 0;
        if (!strncmp(line, "model name", 10)) snprintf(out, bytes, "%s", colon + 2);
        if (!strncmp(line, "cpu family", 10)) snprintf(part, sizeof part, "family %s", colon + 2);
        if (!strncmp(line, "model\t", 6) && strlen(part) < 32) {
            snprintf(part + strlen(part), sizeof part - strlen(part), " model %s", colon + 2);
        }
        if (!strncmp(line, "CPU part", 8)) snprintf(out, bytes, "AArch64 part %s", colon + 2);
        if (!strncmp(line, "flags", 5) || !strncmp(line, "CPU revision", 12)) break;
    }
    if (info) fclose(info);
    size_t used = strlen(out);
    if (part[0]) snprintf(out + used, bytes - used, " (%s)", part);
}

static void bench_print_machine(void)
{
    char cpu[256];
    bench_cpu_name(cpu, sizeof cpu);
    if (bench.options.format == BENCH_JSON) {
        printf("{\"machine\": {\"cpu\": \"%s\", \"isa\": \"%s\", \"max_threads\": %d, "
               "\"compiler\": \"%s\", \"flags\": \"%s\", \"version\": \"%s\"},\n\"rows\": [\n",
               cpu, aiter_isa_name(bench.isa), bench.thread_counts[bench.num_contexts - 1],
               BENCH_COMPILER, BENCH_FLAGS, AITER_ATTN_VERSION_STRING);
        return;
    }
    printf("%s%s; isa %s; up to %d threads; %s; %s; aiter_attn %s; %d rounds\n",
           bench.options.format == BENCH_CSV ? "# " : "", cpu, aiter_isa_name(bench.isa),
           bench.thread_counts[bench.num_contexts - 1], BENCH_COMPILER, BENCH_FLAGS,
           AITER_ATTN_VERSION_STRING, bench.options.rounds);
}

static aiter_context *bench_context(int32_t threads)
{
    aiter_context_desc desc = {0};
    aiter_context *ctx = NULL;
    desc.num_threads = threads;
    desc.isa_max = bench.options.isa;
    if (aiter_context_create(&desc, &ctx) != AITER_OK) bench_fail(aiter_last_error());
    return ctx;
}

/* Options, contexts, pinning, probes. Contexts come before pinning: their threads inherit it. */
static void bench_begin(int argc, char **argv)
{
    bench.options = bench_parse(argc, argv);
    bench_pin_start();
    aiter_context *all = bench_context(bench.options.threads);
    int32_t most = aiter_context_info(all).num_threads;
    aiter_context_destroy(all);
    if (most > BENCH_MAX_THREADS) most = BENCH_MAX_THREADS;
    if (bench.options.threads == 0 && most > 1) bench.thread_counts[bench.num_contexts++] = 1;
    bench.thread_counts[bench.num_contexts++] = most;
    for (int32_t i = 0; i < bench.num_contexts; i++) {
        bench.contexts[i] = bench_context(bench.thread_counts[i]);
    }
    bench.isa = aiter_context_info(bench.contexts[0]).isa;
    if (bench.options.isa != AITER_ISA_AUTO && bench.isa != bench.options.isa) {
        bench_fail("this CPU does not have the kernel set that --isa asks for");
    }
    peak_start(most);
    bench_print_machine();
}

static void bench_end(void)
{
    if (bench.options.format == BENCH_JSON) printf("\n]}\n");
    if (bench.rows == 0) fprintf(stderr, "bench: no row matches the filter\n");
    for (int32_t i = 0; i < bench.num_contexts; i++) aiter_context_destroy(bench.contexts[i]);
    exit(bench.rows == 0);
}

static int bench_wants(const char *name) { return strstr(name, bench.options.filter) != NULL; }

static int bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double bench_median(double *values, int32_t count)
{
    if (count == 0) return 0;
    qsort(values, (size_t)count, sizeof *values, bench_compare);
    return count % 2 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}

#endif /* BENCH_MACHINE_H */
