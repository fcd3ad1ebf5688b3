/* asserts.h -- what the engine takes for granted is looked at in tests: included before the
 * library. A broken assumption ends the program with a line of text, and so fails its test. */
#ifndef AITER_TEST_ASSERTS_H
#define AITER_TEST_ASSERTS_H

#include <stdio.h>
#include <stdlib.h>

static inline void assumption_broken(const char *file, int line, const char *condition)
{
    const char *descriptor = getenv("AITER_TEST_OUT"); /* test.h: 2 is the library's there */
    FILE *out = descriptor ? fopen(descriptor, "a") : NULL;
    fprintf(out ? out : stderr, "FAIL %s:%d: broken assumption: %s\n0 passed, 1 failed\n", file,
            line, condition);
    fflush(out);
    abort();
}

#ifndef AITERI_ASSERT /* tools/coverage.py leaves them out: a broken one cannot be tested */
#define AITERI_ASSERT(condition) \
    ((condition) ? (void)0 : assumption_broken(__FILE__, __LINE__, #condition))
#endif

#endif /* AITER_TEST_ASSERTS_H */
