/* test_op_sweeps.c -- every op of op_list.h: each tensor made wrong in every way, each two of
 * one wrong rank, each pair that may not overlap, the workspace and the plan over each operand,
 * queries of unmapped memory, poison. */
#include "op_sweeps.h"

int main(void)
{
    int op;
    test_begin("op_sweeps", 1);
    for (op = 0; op < OP_COUNT; op++) sweep_op(op);
    return test_end();
}
