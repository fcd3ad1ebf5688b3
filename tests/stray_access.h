/* stray_access.h -- under tools/mutate an access outside of a buffer does not end a program: it is
 * a failed check, once between two others, and what was touched opens up, so that the checks behind
 * are seen to fail, too. Included by test.h. */
#ifndef AITER_TEST_STRAY_ACCESS_H
#define AITER_TEST_STRAY_ACCESS_H

#include <signal.h>

enum { STRAY_MOST = 5000 }; /* pages; who touches more runs away */

/* A page that is there but closed is opened; one that is not there is made. */
static inline int stray_open(size_t page, size_t bytes)
{
    void *const at = (void *)page;
#if defined(MAP_FIXED_NOREPLACE)
    void *made;
    if (mprotect(at, bytes, PROT_READ | PROT_WRITE) == 0) return 1;
    made = mmap(at, bytes, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    return made == at;
#else
    return mprotect(at, bytes, PROT_READ | PROT_WRITE) == 0;
#endif
}

static void stray_trap(int number, siginfo_t *info, void *context)
{
    static int64_t told_at = -1;
    static int opened;
    const size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    const size_t page = (size_t)info->si_addr / bytes * bytes;
    const int64_t now = test_global.passed + test_global.failed;
    (void)context;
    /* near NULL, or no address at all: as without a handler */
    if (page < 65536 || ++opened > STRAY_MOST || !stray_open(page, bytes)) {
        signal(number, SIG_DFL);
        return;
    }
    if (now == told_at) return;
    told_at = now + 1;
    CHECK(0, "an access outside of a buffer");
}

static inline void stray_watch(void)
{
    struct sigaction act;
    memset(&act, 0, sizeof act);
    act.sa_sigaction = stray_trap;
    act.sa_flags = SA_SIGINFO;
    sigemptyset(&act.sa_mask);
    sigaction(SIGSEGV, &act, NULL);
    sigaction(SIGBUS, &act, NULL);
}

#endif /* AITER_TEST_STRAY_ACCESS_H */
