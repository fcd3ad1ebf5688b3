/* finish.hpp -- from the maximum and sum of a whole row to its factor and log-sum-exp:
 * aiteri_finish_state of src/cpu/engine_rows.c. */
#ifndef AITERI_TILE_FINISH_HPP
#define AITERI_TILE_FINISH_HPP

#include "target.hpp"

#include "../args.h"

namespace aiteri
{

/* The factor that turns a row's sums into its output. m in natural units; sink: a logit without a
 * value, -infinity: none. A row that saw nothing gives 0 and the sink. */
AITERI_FN float finish_row(float sink, float m, float l, float *lse)
{
    const bool has_sink = !is_minus_infinity(sink);
    *lse = sink;
    if (l == 0.0f) return 0.0f;
    const float top = has_sink ? larger(m, sink) : m;
    const float factor = top == m ? 1.0f : exp2((m - top) * LOG2_E);
    const float sum = l * factor + (has_sink ? exp2((sink - top) * LOG2_E) : 0.0f);
    *lse = top + LN_2 * log2(sum);
    return factor / sum;
}

AITERI_FN float finish_state(const aiteri_gpu_score &score, int head, float m, float l, float *lse)
{
    float sink = minus_infinity();
    if (score.sinks) sink = global<const float>(score.sinks)[head * score.sinks_stride];
    return finish_row(sink, m, l, lse);
}

} // namespace aiteri

#endif /* AITERI_TILE_FINISH_HPP */
