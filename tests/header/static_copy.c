/* static_copy.c: a private copy of the library. Compiled twice with other COPY names and linked
 * with the public copy: nothing of it is visible outside. */
#define AITER_ATTN_STATIC
#define AITER_ATTN_IMPLEMENTATION
#include "aiter_attn.h"
#include "smoke.h"

int COPY(void);
int COPY(void) { return smoke(); }
