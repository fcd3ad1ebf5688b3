/* softmax.hpp -- from products to weights: the score pipeline of one lane's elements, and the
 * running maximum and sum of its rows. Scores end in units of log2 e, so that a weight is exp2. */
#ifndef AITERI_TILE_SOFTMAX_HPP
#define AITERI_TILE_SOFTMAX_HPP

#include "finish.hpp"
#include "tile.hpp"

namespace aiteri
{

/* A head's ALiBi slope, no larger than leaves every distance its own finite term. */
AITERI_FN float alibi_slope(const aiteri_gpu_score &x, const Sequence &s, int head)
{
    const float slope =
        global<const float>(x.alibi)[s.index * x.alibi_stride_batch + head * x.alibi_stride_head];
    const float most = 1.7e38f / ((float)s.seqlen_q + (float)s.seqlen_k);
    return clamp(slope, -most, most);
}

/* The factor of scores to which nothing is added: times log2 e, which the largest scales have no
 * room for. */
AITERI_FN bool takes_log2_e(const aiteri_gpu_score &x)
{
    return x.softcap <= 0.0f && !x.bias && !x.alibi && x.softmax_scale < 0x1p126f;
}

/* The options of one head's scores. */
struct ScoreRule {
    float factor, softcap, slope; /* factor: the scale, times log2 e when nothing else follows */
    bool plain;
    int delta; /* seqlen_k - seqlen_q */
    uint64_t bias;
    int64_t bias_token, bias_key;
    int bias_dtype; /* 0: no bias */

    AITERI_METHOD static ScoreRule of(const aiteri_gpu_attention &a, const Sequence &s, int head)
    {
        const aiteri_gpu_score &x = a.score;
        ScoreRule r;
        r.plain = takes_log2_e(x);
        r.factor = r.plain ? x.softmax_scale * LOG2_E : x.softmax_scale;
        r.softcap = x.softcap;
        r.delta = s.seqlen_k - s.seqlen_q;
        r.slope = 0.0f;
        if (x.alibi) r.slope = alibi_slope(x, s, head);
        const int64_t first = s.index * x.bias_stride_batch + s.q_start * x.bias_stride_token +
                              head * x.bias_stride_head;
        r.bias_dtype = x.bias ? x.bias_dtype : 0;
        r.bias = x.bias ? x.bias + (uint64_t)(first * (x.bias_dtype == DTYPE_F32 ? 4 : 2)) : 0;
        r.bias_token = x.bias_stride_token;
        r.bias_key = x.bias_stride_key;
        return r;
    }
};

/* The scores of one wave's rows and one tile of keys, as one lane holds them. */
template <class M, int KEYS> struct Scores {
    enum { BLOCKS = KEYS / M::COLS, COUNT = BLOCKS * M::ELEMENTS, STEPS = KEYS / M::STEP };
    static_assert(KEYS <= 64, "a key is one bit");
    float at[COUNT];
    /* Of each row: bit key_of(i) is set if element i takes part. */
    uint64_t visible[M::LANE_ROWS];

    /* Element i belongs to key key_of(i) + M::col_of_lane(lane) of the tile. */
    AITERI_METHOD static constexpr int key_of(int i)
    {
        return i / M::ELEMENTS * M::COLS + M::col_of(i % M::ELEMENTS);
    }
    AITERI_METHOD static constexpr int row_of(int i) { return M::row_of(i % M::ELEMENTS); }
    AITERI_METHOD static constexpr uint64_t keys_of_row(int r)
    {
        uint64_t bits = 0;
        for (int i = 0; i < COUNT; i++)
            if (row_of(i) == r) bits |= (uint64_t)1 << key_of(i);
        return bits;
    }
    /* All ones if element i takes part, else 0: arithmetic, because a condition per element would
     * take a pair of AMD's scalar registers each. */
    AITERI_METHOD uint32_t part(int i) const
    {
        const uint32_t half = (uint32_t)(visible[row_of(i)] >> key_of(i) / 32 * 32);
        return (uint32_t)((int32_t)(half << (31 - key_of(i) % 32)) >> 31);
    }

    AITERI_METHOD void take(const typename M::Acc *s, const ScoreRule &rule)
    {
#pragma unroll
        for (int i = 0; i < COUNT; i++) at[i] = s[i / M::ELEMENTS][i % M::ELEMENTS] * rule.factor;
#pragma unroll
        for (int r = 0; r < M::LANE_ROWS; r++) visible[r] = ~(uint64_t)0;
    }

    /* Says which keys take part; mapped: bit j is clear where key first + j is in no page. */
    AITERI_METHOD void look(const KeyRange *seen, uint64_t mapped, int first, int lane)
    {
#pragma unroll
        for (int r = 0; r < M::LANE_ROWS; r++)
            visible[r] = (seen[r].bits(first) & mapped) >> M::col_of_lane(lane);
    }

    AITERI_METHOD bool any_hidden() const
    {
        bool hidden = false;
#pragma unroll
        for (int r = 0; r < M::LANE_ROWS; r++)
            hidden = (~visible[r] & keys_of_row(r)) != 0 || hidden;
        return hidden;
    }

    /* Softcap, bias, ALiBi. row: query tokens, first: key of column 0. */
    AITERI_METHOD void adjust(const ScoreRule &rule, const int *row, int first, int lane)
    {
        if (rule.plain) return;
        if (rule.softcap > 0.0f) {
            const float inverse = 1.0f / rule.softcap;
#pragma unroll
            for (int i = 0; i < COUNT; i++) at[i] = capped(at[i], rule.softcap, inverse);
        }
        const int key = first + M::col_of_lane(lane);
        add_bias(rule, row, key);
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            const int distance = row[row_of(i)] + rule.delta - key - key_of(i);
            at[i] -= rule.slope * (float)(distance < 0 ? -distance : distance);
            at[i] *= LOG2_E;
        }
    }

    /* Of visible keys alone: what lies elsewhere need not be there, so it is not read. -infinity
     * hides a key. load(index) is one element. */
    template <class Load>
    AITERI_METHOD void add_bias(const ScoreRule &rule, const int *row, int key, Load load)
    {
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            const int r = row_of(i);
            const int64_t place = row[r] * rule.bias_token + (key + key_of(i)) * rule.bias_key;
            const float bias = load(place & (int64_t)(int32_t)part(i));
            at[i] += bias;
            visible[r] &= ~((uint64_t)is_minus_infinity(bias) << key_of(i));
        }
    }

    AITERI_METHOD void add_bias(const ScoreRule &rule, const int *row, int key)
    {
        const Global<const uint16_t> x = global<const uint16_t>(rule.bias);
        const Global<const float> y = global<const float>(rule.bias);
        switch (rule.bias_dtype) { /* conditions would be kept in registers through the key loop */
        case DTYPE_F32:
            return add_bias(rule, row, key, [&](int64_t i) AITERI_INLINE { return y[i]; });
        case DTYPE_F16:
            return add_bias(rule, row, key,
                            [&](int64_t i) AITERI_INLINE { return f16::widen(x[i]); });
        case DTYPE_BF16:
            return add_bias(rule, row, key,
                            [&](int64_t i) AITERI_INLINE { return bf16::widen(x[i]); });
        default: return;
        }
    }

    AITERI_METHOD void mask()
    {
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            const uint32_t x = __builtin_bit_cast(uint32_t, at[i]), minus_infinity = 0xff800000u;
            at[i] = __builtin_bit_cast(float, (x & part(i)) | (minus_infinity & ~part(i)));
        }
    }

    AITERI_METHOD typename M::Operand weights(int step) const
    {
        return M::weights(at + M::OPERAND * step);
    }
    /* 1 where a key takes part. */
    AITERI_METHOD typename M::Operand parts(int step) const
    {
        float one[M::OPERAND];
#pragma unroll
        for (int e = 0; e < M::OPERAND; e++)
            one[e] = __builtin_bit_cast(float, part(M::OPERAND * step + e) & 0x3f800000u);
        return M::weights(one);
    }
};

/* The running softmax of a lane's rows. sum is the lane's own share until finish. */
template <class M> struct RowState {
    float max[M::LANE_ROWS], sum[M::LANE_ROWS];

    AITERI_METHOD void clear()
    {
#pragma unroll
        for (int r = 0; r < M::LANE_ROWS; r++) {
            max[r] = minus_infinity();
            sum[r] = 0.0f;
        }
    }

    /* Scores become weights; shrink[r] is what the sums of row r so far must be multiplied by. */
    template <int KEYS> AITERI_METHOD void update(Scores<M, KEYS> &s, float *shrink)
    {
        typedef Scores<M, KEYS> S;
        float base[M::LANE_ROWS];
#pragma unroll
        for (int r = 0; r < M::LANE_ROWS; r++) {
            float top = minus_infinity();
#pragma unroll
            for (int i = 0; i < S::COUNT; i++)
                if (S::row_of(i) == r) top = larger(top, s.at[i]);
            top = larger(max[r], M::row_max(top));
            base[r] = is_minus_infinity(top) ? 0.0f : top;
            shrink[r] = exp2(max[r] - base[r]);
            max[r] = top;
            sum[r] *= shrink[r];
        }
#pragma unroll
        for (int i = 0; i < S::COUNT; i++) {
            s.at[i] = exp2(s.at[i] - base[S::row_of(i)]);
            sum[S::row_of(i)] += s.at[i];
        }
    }

    AITERI_METHOD float finish(int r, bool has_sink, float sink, float *lse) const
    {
        return finish_row(has_sink ? sink : minus_infinity(), max[r] * LN_2, sum[r], lse);
    }
};

/* ---- values that are not finite, next to keys that do not take part ---- */

template <class T> AITERI_FN uint16_t finite_or_zero(uint16_t x)
{
    return (x & T::EXPONENT) == T::EXPONENT ? 0 : x;
}

/* What is not finite is counted per output element by a product of its own: 1 for infinity, 128
 * for -infinity, 16384 for NaN; of at most 64 keys the counts cannot mix. */
template <class T> AITERI_FN uint16_t census_code(uint16_t x)
{
    if ((x & T::EXPONENT) != T::EXPONENT) return 0;
    if (x & (uint16_t)~T::EXPONENT & 0x7fff) return T::round(16384.0f);
    return x & 0x8000 ? T::round(128.0f) : T::round(1.0f);
}

/* Without branches: there is one verdict per output element. */
AITERI_FN float census_verdict(float count)
{
    const int n = (int)count, minus = n >> 7 & 127, plus = n & 127;
    const bool nan = (n >= 16384) | ((minus != 0) & (plus != 0));
    const uint32_t infinity = plus ? 0x7f800000u : minus ? 0xff800000u : 0;
    return __builtin_bit_cast(float, nan ? 0x7fc00000u : infinity);
}

} // namespace aiteri

#endif /* AITERI_TILE_SOFTMAX_HPP */
