/* asserts.h -- what the engine takes for granted is looked at in tests: included before the
 * library. A broken assumption ends the program with a line of text, and so fails its test; under
 * tools/mutate (AITER_TEST_STOP) the text is said once and the program goes on, as a user's would,
 * so that the checks behind are seen to fail. */
#ifndef AITER_TEST_ASSERTS_H
#define AITER_TEST_ASSERTS_H

#include <stdio.h>
#include <stdlib.h>

static inline void assumption_broken(const char *file, int line, const char *condition)
{
    const char *descriptor = getenv("AITER_TEST_OUT"); /* test.h: 2 is the library's there */
    FILE *out = descriptor ? fopen(descriptor, "a") : NULL;
    const int goes_on = getenv("AITER_TEST_STOP") != NULL;
    fprintf(out ? out : stderr, "FAIL %s:%d: broken assumption: %s\n%s", file, line, condition,
            goes_on ? "" : "0 passed, 1 failed\n");
    if (!goes_on) {
        fflush(out);
        abort();
    }
    if (out) fclose(out);
}

#ifndef AITERI_ASSERT /* tools/coverage.py leaves them out: a broken one cannot be tested */
#define AITERI_ASSERT(condition)                               \
    do {                                                       \
        static volatile int said;                              \
        if (!(condition) && !said) {                           \
            said = 1;                                          \
            assumption_broken(__FILE__, __LINE__, #condition); \
        }                                                      \
    } while (0)
#endif

#endif /* AITER_TEST_ASSERTS_H */
