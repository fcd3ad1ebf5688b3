/* linked.h: what tests of the public face include as AITER_TEST_HEADER: declarations alone. They
 * are linked with linked.c, so the implementation is compiled once and not once per test. */
#undef AITER_ATTN_IMPLEMENTATION
#include AITER_TEST_LINKED
