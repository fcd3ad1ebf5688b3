/* arena.c -- carves one block of scratch memory; the same layout function run on a NULL base
 * measures it. */
#ifndef AITERI_ARENA_C
#define AITERI_ARENA_C

#include "check.h"

enum { AITERI_LINE = 64 }; /* a cache line, and the alignment of every carved piece */

typedef struct aiteri_arena {
    char *base; /* NULL: measure only */
    size_t used;
} aiteri_arena;

AITERI_UNUSED static void *aiteri_carve(aiteri_arena *arena, size_t count, size_t size)
{
    AITERI_ASSERT((uintptr_t)arena->base % AITERI_LINE == 0 && arena->used % AITERI_LINE == 0);
    const size_t at = arena->used;
    const size_t bytes = aiteri_pad_size(aiteri_mul_size(count, size), AITERI_LINE);
    arena->used = aiteri_add_size(at, bytes);
    return arena->base ? arena->base + at : NULL;
}

/* The caller's block may start anywhere: skip to a line, which costs at most a line. */
static aiteri_arena aiteri_arena_over(void *block)
{
    aiteri_arena arena;
    const uintptr_t address = (uintptr_t)block;
    arena.base = (char *)block + ((AITERI_LINE - address % AITERI_LINE) % AITERI_LINE);
    arena.used = 0;
    return arena;
}

#endif /* AITERI_ARENA_C */
