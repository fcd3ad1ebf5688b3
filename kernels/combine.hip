// combine.hip -- merges the splits of every row in their order, applies learned sinks, writes the
// row and its log-sum-exp: aiteri_merge_pieces and aiteri_finish_state of src/cpu/engine_rows.c.
//
// Launch: one wave takes one row of split.rows; grid ceil(split.rows / ROWS) x 1 x 1 workgroups of
// THREADS, ROWS being the instance's rows (THREADS / 64, on NVIDIA THREADS / 32). No dynamic LDS.
// Needs split.rows == batch * heads_q * q_lengths.most and dim_v <= DV. Also right for count 1.
// Pieces of which the row sees no key are not read: a plan has no works for them.
#include "tile/finish.hpp"
#include "tile/source.hpp"
#include "tile/storage.hpp"

namespace aiteri
{

/* Row r of the partial results: which sequence, head and token. */
struct MergedRow {
    int b, h, t;

    AITERI_METHOD MergedRow(const aiteri_gpu_attention &a, int64_t r)
    {
        const int64_t most = a.q_lengths.most;
        t = (int)(r % most);
        h = (int)(r / most % a.heads_q);
        b = (int)(r / most / a.heads_q);
    }
};

template <class Out, int DV> AITERI_FN void combine_row(const aiteri_gpu_attention &a, int64_t r)
{
    constexpr int COLUMNS = DV / WAVE;
    const MergedRow row(a, r);
    const Sequence s = sequence_of(a, row.b);
    if (row.t >= s.seqlen_q) return;
    const int64_t keys = s.seqlen_k, step = a.split.split_keys;
    const int splits = (int)smaller_of<int64_t>((keys + step - 1) / step, a.split.count);
    const Global<const float> ml = global<const float>(a.split.ml) + r * 2;
    const Global<const float> o = global<const float>(a.split.o) + r * a.dim_v;
    const KeyRange seen = visible_keys(a.mask, s, row.t);
    const auto sees = [&](int64_t i) AITERI_INLINE {
        return seen.meets((int)(i * step), (int)smaller_of((i + 1) * step, keys));
    };
    float m = minus_infinity(), l = 0.0f, sum[COLUMNS] = {};
    for (int i = lane_id(); i < splits; i += WAVE)
        if (sees(i)) m = larger(m, ml[i * a.split.rows * 2]);
#pragma unroll
    for (int mask = WAVE / 2; mask > 0; mask /= 2) m = larger(m, lane_xor(m, mask));
#pragma unroll 4
    for (int piece = 0; piece < splits; piece++) {
        if (!sees(piece)) continue;
        const Global<const float> state = ml + piece * a.split.rows * 2;
        const float part = state[1]; /* 0: saw no key */
        const float weight = part == 0.0f ? 0.0f : exp2((state[0] - m) * LOG2_E);
        l += weight * part;
#pragma unroll
        for (int i = 0; i < COLUMNS; i++) {
            const int d = smaller_of<int>(lane_id() + i * WAVE, a.dim_v - 1);
            const float x = o[piece * a.split.rows * a.dim_v + d];
            sum[i] += part == 0.0f ? 0.0f : weight * x;
        }
    }
    float lse;
    const float factor = finish_state(a.score, row.h, m, l, &lse);
    const int64_t token = s.q_start + row.t;
    const int64_t at =
        row.b * a.out.stride_batch + token * a.out.stride_token + row.h * a.out.stride_head;
#pragma unroll
    for (int i = 0; i < COLUMNS; i++) {
        const int d = lane_id() + i * WAVE;
        if (d < a.dim_v) store_out_element<Out>(a.out.data, at + d, sum[i] * factor);
    }
    if (a.lse && lane_id() == 0)
        global<float>(a.lse)[row.b * a.lse_stride_batch + row.h * a.lse_stride_head +
                             token * a.lse_stride_token] = lse;
}

template <class Out, int DV, int ROWS> AITERI_FN void combine_rows(const aiteri_gpu_attention &a)
{
    const int64_t r = (int64_t)workgroup_id() * ROWS + wave_id();
    if (r < a.split.rows) combine_row<Out, DV>(a, r);
}

} // namespace aiteri

#define AITERI_COMBINE(op, arch, q, kv, out, dq, dv, layout, scales, class_, source, threads, \
                       rows, keys, lds, waves)                                                \
    AITERI_KERNEL(threads)                                                                    \
    void aiteri_##op##_##q##_##kv##_##out##_##dq##_##dv##_##class_(aiteri_gpu_attention a)    \
    {                                                                                         \
        static_assert(rows * aiteri::WAVE == threads, "one wave per row");                    \
        aiteri::combine_rows<aiteri::out, dv, rows>(a);                                       \
    }
AITERI_ROWS(AITERI_COMBINE)
