/* declarations.c: without the implementation the header needs stddef.h and stdint.h alone. It is
 * compiled with -nostdinc and a folder that holds only those two. */
#include "aiter_attn.h"

int has_status_ok(aiter_status status);
int has_status_ok(aiter_status status) { return status == AITER_OK; }

#ifdef __cplusplus
/* In C++ every call of every op takes its arguments by reference. */
#define CALL_HAS_PLAN(op) failed += aiter_##op##_plan(a, nullptr, plan) != AITER_OK;
#define CALL_NO_PLAN(op)
#define CALL(op, family, has)                                               \
    {                                                                       \
        const aiter_##op##_args a{};                                        \
        failed += aiter_##op(a) != AITER_OK;                                \
        failed += aiter_##op##_supported(a) != AITER_OK;                    \
        failed += aiter_##op##_workspace(a, nullptr, bytes) != AITER_OK;    \
        failed += aiter_##op##_explain(a, nullptr, text, sizeof text) != 0; \
        CALL_##has(op)                                                      \
    }

int every_overload(void);
int every_overload(void)
{
    int failed = 0;
    size_t bytes = 0;
    char text[8];
    aiter_plan plan{};
    AITER_OP_LIST(CALL)
    return failed;
}
#endif
