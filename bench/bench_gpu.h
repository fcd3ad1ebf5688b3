/* bench_gpu.h -- what the benchmarks that know devices share: a clock, a median, an end on errors.
 */
#ifndef BENCH_GPU_H
#define BENCH_GPU_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline void must(aiter_status status)
{
    if (status == AITER_OK) return;
    fprintf(stderr, "%s: %s\n", aiter_status_name(status), aiter_last_error());
    exit(1);
}

static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline double median(double *x, int count)
{
    qsort(x, (size_t)count, sizeof *x, ascending);
    return x[count / 2];
}

#endif /* BENCH_GPU_H */
