/* bench.h -- data, the measuring rule and the table of the op benchmarks.
 *
 * The rule of every row: the share of the peak that binds it. Peaks drift on shared and virtual
 * machines, so the peak is probed directly before and directly after each set of samples; a round
 * whose two probes differ by over 10 % is dropped and counted; the share is the median of the kept
 * rounds' ratios. */
#ifndef BENCH_H
#define BENCH_H

#include "bench_machine.h"

enum { BENCH_MAX_CALLS = 4096 };

/* Values uniform in [-1.7, 1.7]: zeros would hide subnormals, masks and skipped work. Beyond the
 * first block the pattern repeats with an odd period, which no cache line or page shares. */
static inline void bench_fill(void *data, aiter_dtype dtype, int64_t count, uint32_t seed)
{
    enum { PERIOD = 65521 };
    int64_t head = count < PERIOD ? count : PERIOD;
    const int bits = aiter_dtype_bits(dtype);
    const float unit = dtype == AITER_I8 ? 74.0f : dtype == AITER_I4 ? 4.1f : 1.0f;
    if (bits == 4 && head == PERIOD) head--; /* whole bytes */
    for (int64_t i = 0; i < head; i++) {
        seed = seed * 1664525u + 1013904223u;
        float x = (float)(seed >> 8) / 16777216.0f * 3.4f - 1.7f;
        aiter_store_element(dtype, data, i, x * unit);
    }
    for (int64_t done = head; done < count;) {
        int64_t n = count - done < done ? count - done : done;
        if (n > done / head * head) n = done / head * head;
        memcpy((char *)data + done * bits / 8, data, (size_t)((n * bits + 7) / 8));
        done += n;
    }
}

static inline void *bench_alloc(size_t bytes)
{
    void *memory = NULL;
    if (posix_memalign(&memory, 4096, bytes + 4096) != 0) bench_fail("out of memory");
    return memory;
}

/* The larger of the two errors; a NaN counts as infinite, so it cannot hide. */
static inline double bench_worse(double worst, double error)
{
    return error <= worst ? worst : error > worst ? error : INFINITY;
}

/* One thing to measure. call runs it once; `turn` counts up, to rotate over sets of data. */
typedef struct bench_case {
    const char *name;
    aiter_status (*call)(void *arg, aiter_context *ctx, int64_t turn);
    void *arg;
    double flops, bytes; /* of one call */
    double error;        /* worst difference of the checked values from fp64 */
} bench_case;

typedef struct bench_result {
    double seconds, share, probe;
    double lowest, highest; /* share of any kept round */
    double cache;           /* of the rate with operands from the caches; 0 where bytes bind */
    int32_t kept, dropped;
    int32_t noisy; /* of the kept: other processes took CPU time meanwhile */
    int by_bytes;
} bench_result;

static double bench_probe(int by_bytes, int32_t threads)
{
    return by_bytes ? peak_read(bench.isa, threads) : peak_fma(bench.isa, threads);
}

/* The median call of one set: calls for 50 ms, at least one. */
static double bench_sample_set(const bench_case *c, aiter_context *ctx, int64_t *turn)
{
    static double times[BENCH_MAX_CALLS];
    int32_t count = 0;
    double start = bench_now(), before = start, after;
    do {
        if (c->call(c->arg, ctx, (*turn)++) != AITER_OK) bench_fail(aiter_context_error(ctx));
        after = bench_now();
        times[count++] = after - before;
        before = after;
    } while (after - start < 0.05 && count < BENCH_MAX_CALLS);
    return bench_median(times, count);
}

/* Bytes bind unless the arithmetic at its peak takes clearly longer: a row near the balance of its
 * machine must not change sides with the noise. */
static int bench_bytes_bind(const bench_case *c, int32_t threads)
{
    double arithmetic = c->flops / bench_probe(0, threads);
    return arithmetic < 1.3 * c->bytes / bench_probe(1, threads);
}

/* Seconds of CPU time that other processes of this machine have used so far; 0 if unknown. */
static double bench_others(void)
{
    unsigned long long t[8] = {0};
    FILE *stat = fopen("/proc/stat", "r");
    if (!stat) return 0;
    int read = fscanf(stat, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2],
                      &t[3], &t[4], &t[5], &t[6], &t[7]);
    fclose(stat);
    unsigned long long busy = t[0] + t[1] + t[2] + t[5] + t[6] + t[7];
    return read < 8 ? 0
                    : (double)busy / (double)sysconf(_SC_CLK_TCK) -
                          (double)clock() / (double)CLOCKS_PER_SEC;
}

static bench_result bench_measure(const bench_case *c, aiter_context *ctx, int32_t threads)
{
    double seconds[BENCH_MAX_ROUNDS], shares[BENCH_MAX_ROUNDS], probes[BENCH_MAX_ROUNDS],
        cached[BENCH_MAX_ROUNDS];
    bench_result r = {0};
    int64_t turn = 0;
    r.by_bytes = bench_bytes_bind(c, threads);
    double work = r.by_bytes ? c->bytes : c->flops;
    if (c->call(c->arg, ctx, turn++) != AITER_OK) bench_fail(aiter_context_error(ctx));
    bench_pin_all();
    while (r.kept < bench.options.rounds && r.dropped < 7 + 3 * bench.options.rounds) {
        double start = bench_now(), others = bench_others();
        double cache = r.by_bytes ? 0 : peak_tile(bench.isa, threads);
        double before = bench_probe(r.by_bytes, threads);
        double time = bench_sample_set(c, ctx, &turn);
        double after = bench_probe(r.by_bytes, threads);
        if (fabs(before - after) > 0.1 * fmax(before, after)) {
            r.dropped++;
            continue;
        }
        r.noisy += bench_others() - others > 0.025 + 0.03 * (bench_now() - start);
        probes[r.kept] = 0.5 * (before + after);
        shares[r.kept] = work / time / probes[r.kept];
        cached[r.kept] = cache > 0 ? work / time / cache : 0;
        seconds[r.kept++] = time;
    }
    r.seconds = bench_median(seconds, r.kept);
    r.share = bench_median(shares, r.kept);
    r.probe = bench_median(probes, r.kept);
    r.cache = bench_median(cached, r.kept);
    if (r.kept) r.lowest = shares[0], r.highest = shares[r.kept - 1]; /* sorted by the median */
    return r;
}

static void bench_print_header(void)
{
    if (bench.options.format == BENCH_MD) {
        printf("\n| row | threads | median | GFLOP/s | GB/s | share | lowest to highest | of | "
               "of fma/cache | kept/dropped/noisy | error | repeat with |\n"
               "|---|---|---|---|---|---|---|---|---|---|---|---|\n");
    } else if (bench.options.format == BENCH_CSV) {
        printf("row,threads,median_us,gflops,gbs,share,bound,probe,kept,dropped,noisy,error,"
               "lowest,highest,cache,command\n");
    }
}

static void bench_print_row(const bench_case *c, int32_t threads, const bench_result *r)
{
    char command[512];
    double us = r->seconds * 1e6, gflops = 0, gbs = 0, probe = r->probe * 1e-9;
    const char *bound = r->by_bytes ? "read GB/s" : "FMA GFLOP/s";
    if (r->kept) gflops = c->flops / r->seconds * 1e-9, gbs = c->bytes / r->seconds * 1e-9;
    if (bench.rows++ == 0) bench_print_header();
    snprintf(command, sizeof command, "%s -r %d --isa %s --threads %d --filter %s",
             bench.options.program, bench.options.rounds, aiter_isa_name(bench.isa), threads,
             c->name);
    if (bench.options.format == BENCH_CSV) {
        printf("%s,%d,%.2f,%.2f,%.2f,%.4f,%s,%.2f,%d,%d,%d,%.2e,%.4f,%.4f,%.4f,%s\n", c->name,
               threads, us, gflops, gbs, r->share, bound, probe, r->kept, r->dropped, r->noisy,
               c->error, r->lowest, r->highest, r->cache, command);
    } else if (bench.options.format == BENCH_JSON) {
        printf("%s{\"row\": \"%s\", \"threads\": %d, \"median_us\": %.2f, \"gflops\": %.2f, "
               "\"gbs\": %.2f, \"share\": %.4f, \"bound\": \"%s\", \"probe\": %.2f, \"kept\": %d, "
               "\"dropped\": %d, \"noisy\": %d, \"error\": %.2e, \"lowest\": %.4f, \"highest\": "
               "%.4f, \"cache\": %.4f, \"command\": \"%s\"}",
               bench.rows > 1 ? ",\n" : "", c->name, threads, us, gflops, gbs, r->share, bound,
               probe, r->kept, r->dropped, r->noisy, c->error, r->lowest, r->highest, r->cache,
               command);
    } else if (r->kept == 0) {
        printf("| %s | %d | - | - | - | - | - | %s | - | 0/%d/0 | %.1e | `%s` |\n", c->name,
               threads, bound, r->dropped, c->error, command);
    } else {
        const char *mark = r->kept < BENCH_DEFAULT_ROUNDS ? "" : "**"; /* too few to stand on */
        char cache[16] = "-";
        if (r->cache > 0) snprintf(cache, sizeof cache, "%.1f %%", 100 * r->cache);
        printf("| %s | %d | %.1f us | %.1f | %.2f | %s%.1f %%%s | %.1f to %.1f %% | %.1f %s | %s | "
               "%d/%d/%d | %.1e | `%s` "
               "|\n",
               c->name, threads, us, gflops, gbs, mark, 100 * r->share, mark, 100 * r->lowest,
               100 * r->highest, probe, bound, cache, r->kept, r->dropped, r->noisy, c->error,
               command);
    }
    fflush(stdout);
}

/* Measures and prints a case for each number of threads. */
static void bench_row(const bench_case *c)
{
    for (int32_t i = 0; i < bench.num_contexts; i++) {
        bench_result r = bench_measure(c, bench.contexts[i], bench.thread_counts[i]);
        bench_print_row(c, bench.thread_counts[i], &r);
    }
}

#endif /* BENCH_H */
