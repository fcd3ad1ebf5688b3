/* include_twice.c: the header in every awkward order: twice plain, once with the implementation,
 * again with and without it. */
#include "aiter_attn.h"
#include "aiter_attn.h"
#define AITER_ATTN_IMPLEMENTATION
#include "aiter_attn.h"
#include "aiter_attn.h"
#undef AITER_ATTN_IMPLEMENTATION
#include "aiter_attn.h"
#include "smoke.h"

int main(void) { return smoke(); }
