/* linked.c: the implementation, compiled once for all tests: for those that include linked.h or
 * inside.h. It has the DLPack conversions that exist for users of dlpack.h. */
#include "../asserts.h"
#include "../dlpack_like.h"
#define AITER_ATTN_IMPLEMENTATION
#include AITER_TEST_LINKED

/* The kernel set of an ISA, for inside.h. */
const void *test_kernels_of(int isa);
const void *test_kernels_of(int isa) { return aiteri_kernels_of((aiter_isa)isa); }
