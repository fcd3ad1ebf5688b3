/* prefix_copy.c: a copy of the library whose external names begin with mine_. */
#define AITER_ATTN_PREFIX mine_
#define AITER_ATTN_IMPLEMENTATION
#include "aiter_attn.h"
#include "smoke.h"

int COPY(void);
int COPY(void) { return smoke(); }
