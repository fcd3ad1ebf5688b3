/* tier.c: prints the kernel set that calls without a context take on this machine. */
#define AITER_ATTN_IMPLEMENTATION
#include "aiter_attn.h"
#include <stdio.h>

int main(void)
{
    puts(aiter_context_info(NULL).isa_name);
    return 0;
}
