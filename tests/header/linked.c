/* linked.c: the implementation for the tests that include linked.h, with the DLPack conversions
 * that exist for users of dlpack.h. */
#include "../asserts.h"
#include "../dlpack_like.h"
#define AITER_ATTN_IMPLEMENTATION
#include AITER_TEST_LINKED
