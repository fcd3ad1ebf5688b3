/* failing_calls.h -- the calls by which a program asks its system for memory, threads and files,
 * one of which fails: the n-th after fault_arm(n). What is included between this header and
 * failing_calls_end.inl.h calls them; what they gave and nobody gave back is counted.
 *
 * The call comes first and the system's headers are here, so that only code, not declarations, is
 * renamed. A library under test must be compiled here too (aiteri_malloc_hook calls malloc). */
#ifndef AITER_TEST_FAILING_CALLS_H
#define AITER_TEST_FAILING_CALLS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef enum fault_kind { FAULT_NONE = 0, FAULT_MEMORY, FAULT_THREAD, FAULT_FILE } fault_kind;

typedef struct fault_state {
    int64_t calls, fail_at; /* 0: never */
    fault_kind fired;       /* the call that failed */
    int64_t live;           /* blocks, maps, files, threads, locks that are held */
    int sticky;             /* the file whose read failed says so */
} fault_state;

static fault_state fault;

static inline void fault_arm(int64_t n)
{
    fault.calls = 0;
    fault.fail_at = n;
    fault.fired = FAULT_NONE;
}

/* The kind of call that failed, if one did; from here on none fails. */
static inline fault_kind fault_disarm(void)
{
    fault.fail_at = fault.sticky = 0;
    return fault.fired;
}

static inline int fault_now(fault_kind kind)
{
    if (fault.fail_at == 0 || ++fault.calls != fault.fail_at) return 0;
    fault.fired = kind;
    errno = kind == FAULT_FILE ? EIO : kind == FAULT_THREAD ? EAGAIN : ENOMEM;
    return 1;
}

/* p, one more thing that is held unless it is NULL. */
static inline void *fault_held(void *p)
{
    if (p) __atomic_add_fetch(&fault.live, 1, __ATOMIC_RELAXED);
    return p;
}

static inline void fault_given_back(int whether)
{
    if (whether) __atomic_sub_fetch(&fault.live, 1, __ATOMIC_RELAXED);
}

static inline void *fault_malloc(size_t bytes)
{
    return fault_now(FAULT_MEMORY) ? NULL : fault_held(malloc(bytes));
}

static inline void *fault_calloc(size_t count, size_t bytes)
{
    return fault_now(FAULT_MEMORY) ? NULL : fault_held(calloc(count, bytes));
}

static inline void *fault_realloc(void *p, size_t bytes)
{
    void *grown;
    if (fault_now(FAULT_MEMORY)) return NULL;
    grown = realloc(p, bytes);
    return p ? grown : fault_held(grown);
}

static inline int fault_posix_memalign(void **p, size_t align, size_t bytes)
{
    int status = fault_now(FAULT_MEMORY) ? ENOMEM : posix_memalign(p, align, bytes);
    if (status == 0) fault_held(*p);
    return status;
}

static inline void fault_free(void *p)
{
    fault_given_back(p != NULL);
    free(p);
}

static inline void *fault_mmap(void *at, size_t bytes, int protection, int flags, int file,
                               off_t from)
{
    void *p;
    if (fault_now(file < 0 ? FAULT_MEMORY : FAULT_FILE)) return MAP_FAILED;
    p = mmap(at, bytes, protection, flags, file, from);
    if (p != MAP_FAILED) fault_held(p);
    return p;
}

static inline int fault_munmap(void *p, size_t bytes)
{
    fault_given_back(1);
    return munmap(p, bytes);
}

static inline FILE *fault_fopen(const char *path, const char *mode)
{
    return fault_now(FAULT_FILE) ? NULL : (FILE *)fault_held(fopen(path, mode));
}

static inline size_t fault_fread(void *to, size_t size, size_t count, FILE *file)
{
    fault.sticky = fault_now(FAULT_FILE) || fault.sticky;
    return fault.sticky ? 0 : fread(to, size, count, file);
}

static inline int fault_ferror(FILE *file) { return fault.sticky || ferror(file); }

static inline int fault_fclose(FILE *file)
{
    fault_given_back(1);
    fault.sticky = 0;
    return fclose(file);
}

static inline int fault_open(const char *path, int flags)
{
    int file = fault_now(FAULT_FILE) ? -1 : open(path, flags);
    if (file >= 0) fault_held(&fault);
    return file;
}

static inline int fault_fstat(int file, struct stat *info)
{
    return fault_now(FAULT_FILE) ? -1 : fstat(file, info);
}

static inline int fault_close(int file)
{
    fault_given_back(1);
    return close(file);
}

static inline int fault_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
                                       void *(*body)(void *), void *arg)
{
    int status = fault_now(FAULT_THREAD) ? EAGAIN : pthread_create(thread, attr, body, arg);
    if (status == 0) fault_held(&fault);
    return status;
}

static inline int fault_pthread_join(pthread_t thread, void **result)
{
    fault_given_back(1);
    return pthread_join(thread, result);
}

static inline int fault_mutex_init(pthread_mutex_t *lock, const pthread_mutexattr_t *attr)
{
    int status = fault_now(FAULT_THREAD) ? EAGAIN : pthread_mutex_init(lock, attr);
    if (status == 0) fault_held(&fault);
    return status;
}

static inline int fault_mutex_destroy(pthread_mutex_t *lock)
{
    fault_given_back(1);
    return pthread_mutex_destroy(lock);
}

static inline int fault_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attr)
{
    int status = fault_now(FAULT_THREAD) ? EAGAIN : pthread_cond_init(cond, attr);
    if (status == 0) fault_held(&fault);
    return status;
}

static inline int fault_cond_destroy(pthread_cond_t *cond)
{
    fault_given_back(1);
    return pthread_cond_destroy(cond);
}

/* free with four arguments is a member of a context's description. */
#define free(...) FAULT_PICK(__VA_ARGS__, FAULT_FREE_4, x, x, FAULT_FREE_1, x)(__VA_ARGS__)

#define FAULT_FREE_1(p)                       fault_free(p)
#define FAULT_FREE_4(user, p, bytes, kind)    free(user, p, bytes, kind)
#define FAULT_PICK(a, b, c, d, name, ...)     name
#define malloc(bytes)                         fault_malloc(bytes)
#define calloc(count, bytes)                  fault_calloc(count, bytes)
#define realloc(p, bytes)                     fault_realloc(p, bytes)
#define posix_memalign(p, align, bytes)       fault_posix_memalign(p, align, bytes)
#define mmap(at, bytes, prot, flags, file, o) fault_mmap(at, bytes, prot, flags, file, o)
#define munmap(p, bytes)                      fault_munmap(p, bytes)
#define fopen(path, mode)                     fault_fopen(path, mode)
#define fread(to, size, count, file)          fault_fread(to, size, count, file)
#define ferror(file)                          fault_ferror(file)
#define fclose(file)                          fault_fclose(file)
#define open(path, flags)                     fault_open(path, flags)
#define fstat(file, info)                     fault_fstat(file, info)
#define close(file)                           fault_close(file)
#define pthread_create(t, attr, body, arg)    fault_pthread_create(t, attr, body, arg)
#define pthread_join(thread, result)          fault_pthread_join(thread, result)
#define pthread_mutex_init(lock, attr)        fault_mutex_init(lock, attr)
#define pthread_mutex_destroy(lock)           fault_mutex_destroy(lock)
#define pthread_cond_init(cond, attr)         fault_cond_init(cond, attr)
#define pthread_cond_destroy(cond)            fault_cond_destroy(cond)

#endif /* AITER_TEST_FAILING_CALLS_H */
