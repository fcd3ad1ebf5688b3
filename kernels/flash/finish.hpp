/* finish.hpp -- what becomes of a wave's query rows when their last key is done: normalised and
 * stored with their log-sum-exp, or left as a part that combine merges. */
#ifndef AITERI_FLASH_FINISH_HPP
#define AITERI_FLASH_FINISH_HPP

#include "work.hpp"

namespace aiteri
{

AITERI_FN uint64_t row_address(const aiteri_gpu_rows &x, const FlashWork &w, int token)
{
    return x.data + 2 * (uint64_t)(w.s.index * x.stride_batch +
                                   (w.s.q_start + token) * x.stride_token + w.head * x.stride_head);
}

/* Of the first key of the work's head; rows without pages. */
AITERI_FN uint64_t source_address(const aiteri_gpu_source &x, const FlashWork &w, int group)
{
    return x.data + 2 * (uint64_t)(w.s.index * x.stride_outer + w.s.k_start * x.stride_token +
                                   w.head / group * x.stride_head);
}

/* M: a wave's Matrix. Output columns [COLS * b, COLS * (b + 1)) are in o[b]; row[r] is the query
 * token of row r of the lane. EXACT: dim_v is DV, and output rows begin at multiples of 16 bytes.
 */
template <class M, int DV, bool EXACT = false> struct FlashRows {
    typedef typename M::Type T;
    enum { OUT = DV / M::COLS };

    const aiteri_gpu_attention &a;
    FlashWork w;
    int lane;
    const int (&row)[M::LANE_ROWS];
    const typename M::Acc (&o)[OUT];
    RowState<M> &state;

    AITERI_METHOD void finish()
    {
        const uint64_t even = a.out.data / 2 | (uint64_t)a.out.stride_batch |
                              (uint64_t)a.out.stride_token | (uint64_t)a.out.stride_head |
                              (uint64_t)a.dim_v;
#pragma unroll
        for (int r = 0; r < M::LANE_ROWS; r++) {
            state.sum[r] = M::row_sum(state.sum[r]);
            if (row[r] >= w.s.seqlen_q) continue;
            if (a.split.count > 1)
                store_partial(r);
            else
                store(r, EXACT || even % M::RUN == 0);
        }
    }

    AITERI_METHOD void store(int r, bool aligned)
    {
        float lse, sink = 0.0f;
        if (a.score.sinks) sink = global<const float>(a.score.sinks)[w.head * a.score.sinks_stride];
        const float factor = state.finish(r, a.score.sinks != 0, sink, &lse);
        const Global<uint16_t> out = global<uint16_t>(row_address(a.out, w, row[r]));
        if (aligned)
            put<true>(r, out, factor);
        else
            put<false>(r, out, factor);
        if (a.lse && M::leads(lane))
            global<float>(a.lse)[w.s.index * a.lse_stride_batch + w.head * a.lse_stride_head +
                                 (w.s.q_start + row[r]) * a.lse_stride_token] = lse;
    }

    template <bool ALIGNED> AITERI_METHOD void put(int r, Global<uint16_t> out, float factor) const
    {
        each_run(r, [&](int d, const float *x) AITERI_INLINE {
            float y[M::RUN];
#pragma unroll
            for (int i = 0; i < M::RUN; i++) y[i] = factor == 0.0f ? 0.0f : x[i] * factor;
            store_run<T, M::RUN>(out, d, EXACT ? DV : a.dim_v, ALIGNED, y);
        });
    }

    AITERI_METHOD void store_partial(int r)
    {
        const int max_q = a.q_lengths.most;
        const int64_t index = ((int64_t)w.s.index * a.heads_q + w.head) * max_q + row[r];
        const int64_t place = w.split * a.split.rows + index;
        const Global<float> out = global<float>(a.split.o) + place * a.dim_v;
        each_run(r, [&](int d, const float *x) AITERI_INLINE {
#pragma unroll
            for (int i = 0; i < M::RUN; i++)
                if (EXACT || d + i < a.dim_v) out[d + i] = x[i];
        });
        if (!M::leads(lane)) return;
        const Global<float> ml = global<float>(a.split.ml) + place * 2;
        ml[0] = state.max[r] * LN_2;
        ml[1] = state.sum[r];
    }

    /* f(column, elements) for the runs of elements of row r. */
    template <class F> AITERI_METHOD void each_run(int r, F f) const
    {
#pragma unroll
        for (int b = 0; b < OUT; b++)
#pragma unroll
            for (int e = 0; e < M::ELEMENTS; e += M::RUN) {
                float x[M::RUN];
#pragma unroll
                for (int i = 0; i < M::RUN; i++) x[i] = o[b][e + i];
                if (M::row_of(e) == r) f(b * M::COLS + M::col_of(e) + M::col_of_lane(lane), x);
            }
    }
};

} // namespace aiteri

#endif /* AITERI_FLASH_FINISH_HPP */
