/* check.h -- failures as values: the last-error texts, and arithmetic on sizes that cannot wrap. */
#ifndef AITERI_CHECK_H
#define AITERI_CHECK_H

#include "../api_types.h"
#include "platform.h"

enum { AITERI_ERROR_BYTES = 256 };

static AITERI_THREAD_LOCAL char aiteri_error_text[AITERI_ERROR_BYTES];

/* Tells a context of its failure (context/hooks.c). NULL context: nobody. */
static void aiteri_context_failed(aiter_context *ctx, const char *text);

#if defined(__GNUC__) || defined(__clang__)
#define AITERI_PRINTF(a, b) __attribute__((format(printf, a, b)))
#else
#define AITERI_PRINTF(a, b)
#endif

/* Records "op.field: ..." for the thread and the context. */
static void aiteri_keep_text(aiter_context *ctx, const char *format, va_list list)
    AITERI_PRINTF(2, 0);
static void aiteri_keep_text(aiter_context *ctx, const char *format, va_list list)
{
    vsnprintf(aiteri_error_text, sizeof aiteri_error_text, format, list);
    aiteri_context_failed(ctx, aiteri_error_text);
}

/* The same, and hands the status back. */
static aiter_status aiteri_fail(aiter_context *ctx, aiter_status status, const char *format, ...)
    AITERI_PRINTF(3, 4);
static aiter_status aiteri_fail(aiter_context *ctx, aiter_status status, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    aiteri_keep_text(ctx, format, list);
    va_end(list);
    return status;
}

/* Leaves the calling function with the failure of `call`, if it failed. */
#define AITERI_TRY(call)                                             \
    do {                                                             \
        const aiter_status aiteri_try_status = (call);               \
        if (aiteri_try_status != AITER_OK) return aiteri_try_status; \
    } while (0)

/* What a function of the engine takes for granted. Tests define it (tests/asserts.h); elsewhere it
 * is nothing, and so it never stands for a check of what a caller gave. */
#ifndef AITERI_ASSERT
#define AITERI_ASSERT(condition) ((void)0)
#endif

/* a * b and a + b, saturating at SIZE_MAX, which no allocation can satisfy. */
AITERI_FORCE_INLINE size_t aiteri_mul_size(size_t a, size_t b)
{
    const size_t half = SIZE_MAX >> sizeof(size_t) * 4; /* two below it need no slow division */
    return (a | b) > half && b != 0 && a > SIZE_MAX / b ? SIZE_MAX : a * b;
}

AITERI_FORCE_INLINE size_t aiteri_add_size(size_t a, size_t b)
{
    return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

/* x rounded up to a multiple of a power of two, saturating. */
AITERI_FORCE_INLINE size_t aiteri_pad_size(size_t x, size_t align)
{
    return x > SIZE_MAX - (align - 1) ? SIZE_MAX : (x + (align - 1)) & ~(align - 1);
}

AITERI_FORCE_INLINE int64_t aiteri_min(int64_t a, int64_t b) { return a < b ? a : b; }
AITERI_FORCE_INLINE int64_t aiteri_max(int64_t a, int64_t b) { return a > b ? a : b; }
AITERI_FORCE_INLINE int64_t aiteri_clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}
/* ceil(a / b) and a rounded up to a multiple of b, for a >= 0 and b > 0. */
AITERI_FORCE_INLINE int64_t aiteri_ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }
AITERI_FORCE_INLINE int64_t aiteri_round_up(int64_t a, int64_t b)
{
    return aiteri_ceil_div(a, b) * b;
}

/* The first of `count` things that part i of `parts` takes; part `parts` starts at the end. */
AITERI_FORCE_INLINE int64_t aiteri_share_of(int64_t count, int64_t i, int64_t parts)
{
    return count / parts * i + count % parts * i / parts;
}

#endif /* AITERI_CHECK_H */
