/* threads.c -- a small pool: workers spin briefly for the next call, then sleep. */
#ifndef AITERI_THREADS_C
#define AITERI_THREADS_C

#include "check.h"

typedef void (*aiteri_task_fn)(void *arg, int32_t i);

enum { AITERI_MAX_THREADS = 1024, AITERI_SPINS = 2000 };

#if AITERI_X86
#define AITERI_PAUSE() _mm_pause()
#else
#define AITERI_PAUSE() ((void)0)
#endif

#if defined(AITERI_THREADS_POSIX)
typedef pthread_t aiteri_thread;
typedef pthread_mutex_t aiteri_mutex;
typedef pthread_cond_t aiteri_cond;
static int aiteri_mutex_init(aiteri_mutex *m) { return pthread_mutex_init(m, NULL) == 0; }
static int aiteri_cond_init(aiteri_cond *c) { return pthread_cond_init(c, NULL) == 0; }
static void aiteri_mutex_destroy(aiteri_mutex *m) { pthread_mutex_destroy(m); }
static void aiteri_cond_destroy(aiteri_cond *c) { pthread_cond_destroy(c); }
static void aiteri_lock(aiteri_mutex *m) { pthread_mutex_lock(m); }
static void aiteri_unlock(aiteri_mutex *m) { pthread_mutex_unlock(m); }
static void aiteri_wait(aiteri_cond *c, aiteri_mutex *m) { pthread_cond_wait(c, m); }
static void aiteri_wake_all(aiteri_cond *c) { pthread_cond_broadcast(c); }
#define AITERI_THREAD_MAIN(name, arg) static void *name(void *arg)
#define AITERI_THREAD_RETURN          return NULL
static int aiteri_thread_start(aiteri_thread *t, void *(*main)(void *), void *arg)
{
    return pthread_create(t, NULL, main, arg) == 0;
}
static void aiteri_thread_join(aiteri_thread t) { pthread_join(t, NULL); }
static int64_t aiteri_process(void) { return (int64_t)getpid(); }
#elif defined(AITERI_THREADS_WINDOWS)
typedef HANDLE aiteri_thread;
typedef CRITICAL_SECTION aiteri_mutex;
typedef CONDITION_VARIABLE aiteri_cond;
static int aiteri_mutex_init(aiteri_mutex *m) { return InitializeCriticalSection(m), 1; }
static int aiteri_cond_init(aiteri_cond *c) { return InitializeConditionVariable(c), 1; }
static void aiteri_mutex_destroy(aiteri_mutex *m) { DeleteCriticalSection(m); }
static void aiteri_cond_destroy(aiteri_cond *c) { (void)c; }
static void aiteri_lock(aiteri_mutex *m) { EnterCriticalSection(m); }
static void aiteri_unlock(aiteri_mutex *m) { LeaveCriticalSection(m); }
static void aiteri_wait(aiteri_cond *c, aiteri_mutex *m)
{
    SleepConditionVariableCS(c, m, INFINITE);
}
static void aiteri_wake_all(aiteri_cond *c) { WakeAllConditionVariable(c); }
#define AITERI_THREAD_MAIN(name, arg) static DWORD WINAPI name(LPVOID arg)
#define AITERI_THREAD_RETURN          return 0
static int aiteri_thread_start(aiteri_thread *t, LPTHREAD_START_ROUTINE main, void *arg)
{
    *t = CreateThread(NULL, 0, main, arg, 0, NULL);
    return *t != NULL;
}
static void aiteri_thread_join(aiteri_thread t)
{
    WaitForSingleObject(t, INFINITE);
    CloseHandle(t);
}
static int64_t aiteri_process(void) { return 0; } /* there is no fork */
#endif

/* Work runs with subnormals on and rounding to nearest, whatever the caller or the thread that
 * takes it has set: the same bits everywhere. Returns what to restore. */
#if AITERI_X86 && !AITERI_EXCESS_PRECISION
typedef unsigned aiteri_float_mode;
static aiteri_float_mode aiteri_float_mode_enter(void)
{
    const unsigned mode = _mm_getcsr();
    _mm_setcsr(0x1f80);
    return mode;
}
static void aiteri_float_mode_leave(aiteri_float_mode mode) { _mm_setcsr(mode); }
#elif AITERI_NEON && (defined(__GNUC__) || defined(__clang__))
typedef uint64_t aiteri_float_mode;
static aiteri_float_mode aiteri_float_mode_enter(void)
{
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0));
    return mode;
}
static void aiteri_float_mode_leave(aiteri_float_mode mode)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(mode));
}
#else
typedef fenv_t aiteri_float_mode;
static aiteri_float_mode aiteri_float_mode_enter(void)
{
    fenv_t mode;
    fegetenv(&mode);
    fesetenv(FE_DFL_ENV);
    return mode;
}
static void aiteri_float_mode_leave(aiteri_float_mode mode) { fesetenv(&mode); }
#endif

#if !defined(AITERI_THREADS_NONE)
typedef struct aiteri_pool aiteri_pool;

typedef struct aiteri_pool_worker {
    aiteri_pool *pool;
    aiteri_thread thread;
    int32_t index;
} aiteri_pool_worker;

/* A call is announced by raising `generation`; the last worker to finish brings `running` to 0. */
struct aiteri_pool {
    aiteri_mutex mutex;
    aiteri_cond work, done;
    volatile aiteri_counter generation, running;
    int64_t process; /* whose threads these are; a fork has none of them, and maybe a lock held */
    aiteri_task_fn body;
    void *arg;
    int32_t tasks, threads, stop; /* threads includes the caller */
    aiteri_pool_worker *worker;
};

AITERI_THREAD_MAIN(aiteri_pool_main, arg)
{
    aiteri_pool_worker *self = (aiteri_pool_worker *)arg;
    aiteri_pool *pool = self->pool;
    aiteri_counter seen = 0;
    for (;;) {
        for (int spin = 0; spin < AITERI_SPINS; spin++) {
            if (aiteri_atomic_load(&pool->generation) != seen) break;
            AITERI_PAUSE();
        }
        aiteri_lock(&pool->mutex);
        while (pool->generation == seen) aiteri_wait(&pool->work, &pool->mutex);
        seen = pool->generation;
        const int32_t stop = pool->stop, tasks = pool->tasks;
        aiteri_unlock(&pool->mutex);
        if (stop) break;
        if (self->index < tasks) pool->body(pool->arg, self->index);
        if (aiteri_atomic_add(&pool->running, -1) == 1) {
            aiteri_lock(&pool->mutex);
            aiteri_wake_all(&pool->done);
            aiteri_unlock(&pool->mutex);
        }
    }
    AITERI_THREAD_RETURN;
}

/* Whether the workers exist: not in a forked child, which leaves all of the pool alone. */
static int aiteri_pool_is_ours(const aiteri_pool *pool)
{
    return pool->process == aiteri_process();
}

static void aiteri_pool_announce(aiteri_pool *pool)
{
    aiteri_lock(&pool->mutex);
    aiteri_atomic_store(&pool->running, pool->threads - 1);
    aiteri_atomic_add(&pool->generation, 1);
    aiteri_wake_all(&pool->work);
    aiteri_unlock(&pool->mutex);
}

static void aiteri_pool_run(aiteri_pool *pool, aiteri_task_fn body, void *arg, int32_t n)
{
    pool->body = body;
    pool->arg = arg;
    pool->tasks = n;
    aiteri_pool_announce(pool);
    body(arg, 0);
    for (int spin = 0; spin < AITERI_SPINS; spin++) {
        if (aiteri_atomic_load(&pool->running) == 0) return;
        AITERI_PAUSE();
    }
    aiteri_lock(&pool->mutex);
    while (aiteri_atomic_load(&pool->running) != 0) aiteri_wait(&pool->done, &pool->mutex);
    aiteri_unlock(&pool->mutex);
}

/* Stops the workers [1, threads) that were started. */
static void aiteri_pool_stop(aiteri_pool *pool)
{
    if (!aiteri_pool_is_ours(pool)) return;
    pool->stop = 1;
    aiteri_pool_announce(pool);
    for (int32_t i = 1; i < pool->threads; i++) aiteri_thread_join(pool->worker[i].thread);
    aiteri_cond_destroy(&pool->done);
    aiteri_cond_destroy(&pool->work);
    aiteri_mutex_destroy(&pool->mutex);
}

/* `worker` has room for `threads` entries. 0: a thread could not be started, and none is left. */
static int aiteri_pool_start(aiteri_pool *pool, aiteri_pool_worker *worker, int32_t threads)
{
    memset(pool, 0, sizeof *pool);
    pool->worker = worker;
    pool->threads = 1;
    pool->process = aiteri_process();
    if (!aiteri_mutex_init(&pool->mutex)) return 0;
    if (!aiteri_cond_init(&pool->work)) {
        aiteri_mutex_destroy(&pool->mutex);
        return 0;
    }
    if (!aiteri_cond_init(&pool->done)) {
        aiteri_cond_destroy(&pool->work);
        aiteri_mutex_destroy(&pool->mutex);
        return 0;
    }
    for (int32_t i = 1; i < threads; i++) {
        worker[i].pool = pool;
        worker[i].index = i;
        if (!aiteri_thread_start(&worker[i].thread, aiteri_pool_main, &worker[i])) {
            aiteri_pool_stop(pool);
            return 0;
        }
        pool->threads = i + 1;
    }
    return 1;
}
#endif /* !AITERI_THREADS_NONE */

/* A small text file into `text`; 0 if there is none. */
static int aiteri_read_text(const char *path, char *text, size_t bytes)
{
    FILE *file = fopen(path, "rb");
    if (!file) return 0;
    const size_t n = fread(text, 1, bytes - 1, file);
    fclose(file);
    text[n] = 0;
    return n > 0;
}

/* CPUs in /proc/self/status's affinity mask; 0: unknown. */
static int32_t aiteri_affinity_cpus(void)
{
    char text[8192];
    if (!aiteri_read_text("/proc/self/status", text, sizeof text)) return 0;
    const char *at = strstr(text, "Cpus_allowed:");
    int32_t cpus = 0;
    for (at = at ? at + 13 : ""; *at && *at != '\n'; at++) {
        const char c = *at;
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 0;
        for (; digit; digit &= digit - 1) cpus++;
    }
    return cpus;
}

/* The cgroup's CPU quota, rounded up; 0: none. */
static int32_t aiteri_quota_cpus(void)
{
    char text[128];
    if (!aiteri_read_text("/sys/fs/cgroup/cpu.max", text, sizeof text)) return 0;
    char *rest;
    const long quota = strtol(text, &rest, 10), period = strtol(rest, NULL, 10);
    if (quota <= 0 || period <= 0) return 0;
    return (int32_t)aiteri_min((quota + period - 1) / period, AITERI_MAX_THREADS);
}

/* How many threads this process may run at once. */
static int32_t aiteri_usable_cpus(void)
{
    int64_t cpus = 0;
#if defined(AITERI_THREADS_NONE)
    return 1;
#elif defined(AITERI_THREADS_WINDOWS)
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    cpus = (int64_t)info.dwNumberOfProcessors;
#elif defined(_SC_NPROCESSORS_ONLN)
    cpus = sysconf(_SC_NPROCESSORS_ONLN);
#endif
    const int32_t allowed = aiteri_affinity_cpus(), quota = aiteri_quota_cpus();
    if (allowed > 0 && (cpus <= 0 || allowed < cpus)) cpus = allowed;
    if (quota > 0 && (cpus <= 0 || quota < cpus)) cpus = quota;
    return (int32_t)aiteri_clamp(cpus, 1, AITERI_MAX_THREADS);
}

#endif /* AITERI_THREADS_C */
