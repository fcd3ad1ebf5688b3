/* test_op_sweeps.c -- every op of op_list.h: each tensor made wrong in every way, each two of
 * one wrong rank, each pair that may not overlap, the workspace and the plan over each operand,
 * queries of unmapped memory, poison. */
#include "op_sweeps.h"

/* Every op of the public list is swept. */
static void none_left_out(void)
{
#define OP_PUBLIC(op, family, plan) "aiter_" #op,
    static const char *const names[] = {AITER_OP_LIST(OP_PUBLIC)};
    size_t i;
    int op;
    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        for (op = 0; op < OP_COUNT && strcmp(op_table[op].name, names[i]) != 0; op++) {}
        CHECK(op < OP_COUNT, "%s is missing in op_list.h", names[i]);
    }
}

int main(void)
{
    int op;
    test_begin("op_sweeps", 1);
    none_left_out();
    for (op = 0; op < OP_COUNT; op++) sweep_op(op);
    return test_end();
}
