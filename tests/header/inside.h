/* inside.h: what tests that look inside include as AITER_TEST_HEADER: a copy of the implementation
 * but for its kernels, which take most of the time to compile. Those are linked.c's; everything
 * else is the test's own, so that it may replace pthread_create or the driver. */
#define AITER_ATTN_STATIC
#define AITERI_INSTANTIATE_C
const void *test_kernels_of(int isa);
#define aiteri_kernels_of(isa) ((const aiteri_kernels *)test_kernels_of((int)(isa)))
#include AITER_TEST_LINKED
