/* bench_gang.h -- threads that start together on one CPU each, and the time they take. */
#ifndef BENCH_GANG_H
#define BENCH_GANG_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BENCH_MAX_THREADS = 256 };

typedef void (*bench_body)(void *arg, int32_t thread, int32_t threads);

/* Keeps a result alive without storing it anywhere slow. */
#define bench_keep(pointer) __asm__ volatile("" : : "r"(pointer) : "memory")

static void bench_fail(const char *text)
{
    fflush(stdout);
    fprintf(stderr, "bench: %s\n", text);
    exit(1);
}

static double bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#ifdef __linux__
static cpu_set_t bench_cpus; /* what the process was given at the start */

/* Thread `tid` (0: the caller) onto the index-th of the CPUs that we may use. */
static void bench_pin(int32_t tid, int32_t index)
{
    int32_t usable = CPU_COUNT(&bench_cpus);
    if (usable == 0) return;
    for (int32_t cpu = 0, seen = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &bench_cpus) && seen++ == index % usable) {
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            sched_setaffinity(tid, sizeof one, &one);
            return;
        }
    }
}

/* Every thread of this process onto a CPU of its own, in the order of creation: the caller first,
 * then the pool of the library's context. */
static inline void bench_pin_all(void)
{
    int32_t index = 1, self = (int32_t)getpid();
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task = tasks ? readdir(tasks) : NULL; task; task = readdir(tasks)) {
        int32_t tid = atoi(task->d_name);
        if (tid > 0) bench_pin(tid, tid == self ? 0 : index++);
    }
    if (tasks) closedir(tasks);
}

static void bench_pin_start(void) { sched_getaffinity(0, sizeof bench_cpus, &bench_cpus); }
#else
static void bench_pin(int32_t tid, int32_t index) { (void)tid, (void)index; }
static inline void bench_pin_all(void) {}
static void bench_pin_start(void) {}
#endif

typedef struct bench_gang {
    bench_body body;
    void *arg;
    int32_t threads;
    atomic_int ready, next;
    double start[BENCH_MAX_THREADS], end[BENCH_MAX_THREADS];
} bench_gang;

/* Waits for the others, then works. */
static void bench_gang_work(bench_gang *gang, int32_t thread)
{
    bench_pin(0, thread);
    atomic_fetch_add(&gang->ready, 1);
    while (atomic_load(&gang->ready) < gang->threads) sched_yield();
    gang->start[thread] = bench_now();
    gang->body(gang->arg, thread, gang->threads);
    gang->end[thread] = bench_now();
}

static void *bench_gang_thread(void *arg)
{
    bench_gang *gang = (bench_gang *)arg;
    bench_gang_work(gang, atomic_fetch_add(&gang->next, 1));
    return NULL;
}

/* Runs body on `threads` threads at once, the caller among them; seconds from the first start to
 * the last end. */
static double bench_gang_run(int32_t threads, bench_body body, void *arg)
{
    static bench_gang gang;
    pthread_t others[BENCH_MAX_THREADS];
    gang.body = body;
    gang.arg = arg;
    gang.threads = threads;
    atomic_store(&gang.ready, 0);
    atomic_store(&gang.next, 1);
    for (int32_t i = 1; i < threads; i++) {
        if (pthread_create(&others[i], NULL, bench_gang_thread, &gang) != 0) {
            bench_fail("cannot start the probe's threads");
        }
    }
    bench_gang_work(&gang, 0);
    for (int32_t i = 1; i < threads; i++) pthread_join(others[i], NULL);
    double start = gang.start[0], end = gang.end[0];
    for (int32_t i = 1; i < threads; i++) {
        start = gang.start[i] < start ? gang.start[i] : start;
        end = gang.end[i] > end ? gang.end[i] : end;
    }
    return end - start;
}

#endif /* BENCH_GANG_H */
