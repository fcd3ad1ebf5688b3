/* lazy.hpp -- the online softmax of fast loops, where a lane holds scores of one query row: weights
 * are taken from a base that follows the row's maximum only when that outgrows it, so that most
 * steps multiply nothing again. */
#ifndef AITERI_FLASH_LAZY_HPP
#define AITERI_FLASH_LAZY_HPP

#include "far_rows.hpp"

namespace aiteri
{

typedef float f32x2 __attribute__((ext_vector_type(2)));

template <class T> struct LazyRow {
    /* Weights grow by 2^8: exact enough in f32 sums, and far from the end of f16. */
    static constexpr float ROOM = 8.0f;

    float factor; /* of a score; not negative */
    float base;   /* a weight is exp2(score * factor - base) */
    float limit;  /* scores times factor up to it need no new base; -infinity: none seen yet */
    f32x2 sum[2]; /* of the lane's weights */

    AITERI_METHOD void start(float scale)
    {
        factor = scale;
        base = 0.0f;
        limit = minus_infinity();
        sum[0] = sum[1] = f32x2{0.0f, 0.0f};
    }

    /* top: the largest of the lane's new scores, times factor. NaN is left to the weights. */
    AITERI_METHOD bool outgrown(float top) const { return any_lane(top > limit); }

    /* Moves the bases of the rows that need it, and says what sums so far are worth: a row's bits
     * do not depend on its neighbours. row_top: the top of all lanes of the row. */
    AITERI_METHOD float move(float row_top)
    {
        const bool over = row_top > limit;
        const float from = is_minus_infinity(limit) ? limit : base, top = far_base(row_top);
        const float shrink = over ? exp2(from - (top + T::WEIGHT_BIAS)) : 1.0f;
        base = over ? top + T::WEIGHT_BIAS : base;
        limit = over ? top + ROOM : limit;
#pragma unroll
        for (int i = 0; i < 2; i++) sum[i] *= shrink;
        return shrink;
    }

    /* Two scores to two weights; i alternates. */
    AITERI_METHOD f32x2 weights(f32x2 scores, int i)
    {
        f32x2 x = __builtin_elementwise_fma(scores, f32x2{factor, factor}, f32x2{-base, -base});
        x = f32x2{exp2(x.x), exp2(x.y)};
        sum[i % 2] += x;
        return x;
    }

    /* As the state that other tiles go on with. */
    template <class M> AITERI_METHOD void leave(RowState<M> &state) const
    {
        const f32x2 all = sum[0] + sum[1];
        state.max[0] = is_minus_infinity(limit) ? limit : base;
        state.sum[0] = all.x + all.y;
    }
};

} // namespace aiteri

#endif /* AITERI_FLASH_LAZY_HPP */
