/* implementation.c: the whole library in one file; compiled as C99, C11 and C++17. */
#define AITER_ATTN_IMPLEMENTATION
#include "aiter_attn.h"
#include "smoke.h"

int main(void) { return smoke(); }
