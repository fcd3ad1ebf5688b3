/* peak.c -- the limits of this machine that every other benchmark is a share of: FMA rate, of
 * registers and of cached operands, and exp rate per kernel set, read bandwidth per number of
 * streams. */
#include "bench_machine.h"

typedef struct peak_row {
    const char *name;
    aiter_isa isa;
    int32_t streams;
    double (*probe)(aiter_isa isa, int32_t threads, int32_t streams);
    const char *unit;
} peak_row;

static double probe_fma(aiter_isa isa, int32_t threads, int32_t streams)
{
    (void)streams;
    return peak_fma(isa, threads);
}

static double probe_tile(aiter_isa isa, int32_t threads, int32_t streams)
{
    (void)streams;
    return peak_tile(isa, threads);
}

static double probe_exp(aiter_isa isa, int32_t threads, int32_t streams)
{
    (void)streams;
    return peak_exp(isa, threads);
}

/* Could this machine run the kernel set? A context that is capped to it says so. */
static int can_run(aiter_isa isa)
{
    aiter_context_desc desc = {0};
    aiter_context *ctx = NULL;
    desc.num_threads = 1;
    desc.isa_max = isa;
    if (aiter_context_create(&desc, &ctx) != AITER_OK) return 0;
    aiter_isa got = aiter_context_info(ctx).isa;
    aiter_context_destroy(ctx);
    return got == isa;
}

static void print_row(const peak_row *row, int32_t threads)
{
    double values[BENCH_MAX_ROUNDS];
    const char *isa = aiter_isa_name(row->isa),
               *format = "| %s | %s | %d | %.2f | %.2f | %.2f | %s |\n";
    int32_t count = bench.options.rounds, first = bench.rows++ == 0;
    for (int32_t i = 0; i < count; i++) {
        values[i] = 1e-9 * row->probe(row->isa, threads, row->streams);
    }
    double median = bench_median(values, count);
    if (bench.options.format == BENCH_MD) {
        if (first) printf("\n| limit | isa | threads | median | lowest | highest | unit |\n");
        if (first) printf("|---|---|---|---|---|---|---|\n");
    } else if (bench.options.format == BENCH_CSV) {
        if (first) printf("limit,isa,threads,median,lowest,highest,unit\n");
        format = "%s,%s,%d,%.2f,%.2f,%.2f,%s\n";
    } else {
        if (!first) printf(",\n");
        format = "{\"limit\": \"%s\", \"isa\": \"%s\", \"threads\": %d, \"median\": %.2f, "
                 "\"lowest\": %.2f, \"highest\": %.2f, \"unit\": \"%s\"}";
    }
    printf(format, row->name, isa, threads, median, values[0], values[count - 1], row->unit);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    peak_row rows[16];
    int32_t count = 0;
    for (size_t i = 0; i < sizeof peak_tiers / sizeof *peak_tiers; i++) {
        aiter_isa isa = peak_tiers[i].isa;
        if (!can_run(isa)) continue;
        rows[count++] = (peak_row){"fma", isa, 0, probe_fma, "GFLOP/s"};
        rows[count++] = (peak_row){"fma/cache", isa, 0, probe_tile, "GFLOP/s"};
        rows[count++] = (peak_row){"exp", isa, 0, probe_exp, "G/s"};
    }
    rows[count++] = (peak_row){"read/1-stream", bench.isa, 1, peak_read_streams, "GB/s"};
    rows[count++] = (peak_row){"read/2-streams", bench.isa, 2, peak_read_streams, "GB/s"};
    rows[count++] = (peak_row){"read/4-streams", bench.isa, 4, peak_read_streams, "GB/s"};
    rows[count++] = (peak_row){"read/8-streams", bench.isa, 8, peak_read_streams, "GB/s"};
    for (int32_t i = 0; i < count; i++) {
        for (int32_t t = 0; t < bench.num_contexts && bench_wants(rows[i].name); t++) {
            print_row(&rows[i], bench.thread_counts[t]);
        }
    }
    bench_end();
}
