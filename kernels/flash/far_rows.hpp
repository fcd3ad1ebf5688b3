/* far_rows.hpp -- query rows whose largest score is so far from 0 that f32 cannot hold score *
 * factor
 * - base to a few units any more, which is how the plain loops find their weights. They end such a
 * row by a base of +infinity; it is computed here, one wave a row, difference first, when all else
 * is done: slowly, and exact enough for every score that f32 holds. */
#ifndef AITERI_FLASH_FAR_ROWS_HPP
#define AITERI_FLASH_FAR_ROWS_HPP

#include "finish.hpp"
#include "../tile/storage.hpp"
#include "../tile/wave.hpp"

namespace aiteri
{

/* A base in units of log2 e, or +infinity for one that is too far. */
AITERI_FN float far_base(float base)
{
    return __builtin_fabsf(base) >= 0x1p24f ? __builtin_inff() : base;
}
AITERI_FN bool is_far(float base) { return base == __builtin_inff(); }

template <class T, int DV> struct FarRow {
    enum { COLUMNS = (DV + WAVE - 1) / WAVE };

    const aiteri_gpu_attention &a;
    FlashWork w;
    int token;

    AITERI_METHOD float score(uint64_t keys, int j) const
    {
        const Global<const uint16_t> q = global<const uint16_t>(row_address(a.q, w, token));
        const Global<const uint16_t> k = global<const uint16_t>(keys) + j * a.k.stride_token;
        float sum = 0.0f;
#pragma clang loop unroll(disable)
        for (int d = 0; d < a.dim_q; d++) sum += T::widen(q[d]) * T::widen(k[d]);
        return a.score.softmax_scale < 0.0f ? -sum : sum;
    }

    AITERI_METHOD void run() const
    {
        const uint64_t k = source_address(a.k, w, a.group), v = source_address(a.v, w, a.group);
        const float scale = __builtin_fabsf(a.score.softmax_scale);
        int64_t begin = 0, end = visible_keys(a.mask, w.s, token).hi;
        if (a.split.count > 1) {
            begin = w.split * a.split.split_keys;
            end = smaller_of(end, begin + a.split.split_keys);
        }
        float top = minus_infinity(), sum = 0.0f, o[COLUMNS] = {};
#pragma clang loop unroll(disable)
        for (int j = (int)begin + lane_id(); j < (int)end; j += WAVE)
            top = larger(top, score(k, j));
#pragma unroll
        for (int mask = WAVE / 2; mask > 0; mask /= 2) top = larger(top, lane_xor(top, mask));
#pragma clang loop unroll(disable)
        for (int at = (int)begin; at < (int)end; at += WAVE) {
            const int j = at + lane_id();
            const float x = j < (int)end ? (score(k, j) - top) * scale : minus_infinity();
            const float p = exp2(x * LOG2_E);
            sum += p;
            add_values(v, at, smaller_of((int)end - at, (int)WAVE), p, o);
        }
#pragma unroll
        for (int mask = WAVE / 2; mask > 0; mask /= 2) sum += lane_xor(sum, mask);
        store(top * scale, sum, o);
    }

    /* Values of keys [first, first + count), whose weights the lanes have. */
    AITERI_METHOD void add_values(uint64_t values, int first, int count, float p, float *o) const
    {
#pragma clang loop unroll(disable)
        for (int i = 0; i < count; i++) {
            const Global<const uint16_t> v =
                global<const uint16_t>(values) + (first + i) * a.v.stride_token;
            const float weight = lane_read(p, i);
#pragma unroll
            for (int c = 0; c < COLUMNS; c++) {
                const int d = smaller_of(lane_id() + c * (int)WAVE, a.dim_v - 1);
                o[c] += weight * T::widen(v[d]);
            }
        }
    }

    /* m in natural units. */
    AITERI_METHOD void store(float m, float l, const float *o) const
    {
        const int64_t index = ((int64_t)w.s.index * a.heads_q + w.head) * a.q_lengths.most + token;
        const int64_t place = w.split * a.split.rows + index;
        const bool split = a.split.count > 1;
        float lse;
        const float factor = finish_state(a.score, w.head, m, l, &lse);
#pragma unroll
        for (int c = 0; c < COLUMNS; c++) {
            const int d = lane_id() + c * (int)WAVE;
            if (d >= a.dim_v) continue;
            if (split)
                global<float>(a.split.o)[place * a.dim_v + d] = o[c];
            else
                store_out_element<T>(row_address(a.out, w, token), d, o[c] * factor);
        }
        if (lane_id() != 0) return;
        if (split) {
            global<float>(a.split.ml)[place * 2] = m;
            global<float>(a.split.ml)[place * 2 + 1] = l;
        } else if (a.lse) {
            global<float>(a.lse)[w.s.index * a.lse_stride_batch + w.head * a.lse_stride_head +
                                 (w.s.q_start + token) * a.lse_stride_token] = lse;
        }
    }
};

/* The rows of the lanes that say so, one after the other. */
template <class T, int DV>
AITERI_FN void far_rows(const aiteri_gpu_attention &a, const FlashWork &w, int row, bool far)
{
    uint64_t left = ballot(far);
    while (__builtin_expect(left != 0, 0)) {
        const int i = __builtin_ctzll(left);
        const float token = lane_read(__builtin_bit_cast(float, row), i);
        FarRow<T, DV>{a, w, uniform(__builtin_bit_cast(int, token))}.run();
        left &= left - 1;
    }
}

/* FlashRows of a plain kernel, and then those of its rows that are far from 0. */
template <class M, int DV, bool EXACT, class O>
AITERI_FN void finish_plain(const aiteri_gpu_attention &a, const FlashWork &w, int row, const O &o,
                            RowState<M> &state)
{
    const bool far = is_far(state.max[0]) && row < w.s.seqlen_q;
    const int near[1] = {far ? w.s.seqlen_q : row};
    FlashRows<M, DV, EXACT>{a, w, lane_id(), near, o, state}.finish();
    far_rows<typename M::Type, DV>(a, w, row, far && M::leads(lane_id()));
}

} // namespace aiteri

#endif /* AITERI_FLASH_FAR_ROWS_HPP */
