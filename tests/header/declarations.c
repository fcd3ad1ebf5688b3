/* declarations.c: without the implementation the header needs stddef.h and stdint.h alone. It is
 * compiled with -nostdinc and a folder that holds only those two. */
#include "aiter_attn.h"

int has_status_ok(aiter_status status);
int has_status_ok(aiter_status status) { return status == AITER_OK; }
