// merge_attn_states.hip -- joins two attention results over disjoint keys by their log-sum-exp:
// src/ops/merge_attn_states.c has the maths.
//
// Launch: one wave takes one row (token, head); grid ceil(tokens * heads / ROWS) x 1 x 1 workgroups
// of THREADS, ROWS being the instance's rows. No dynamic LDS. q, kv, out of the instance are the
// types of a, b and out. Any dim. out may be a itself, or b, with equal strides.
#include "tile/storage.hpp"
#include "tile/wave.hpp"

#include "args.h"

namespace aiteri
{

/* Where element (token, head, 0) stands. */
AITERI_FN int64_t row_at(const aiteri_gpu_rows &rows, int64_t token, int head)
{
    return token * rows.stride_token + head * rows.stride_head;
}

/* A side that saw no key: -infinity, or the +infinity that flash-attention gives such a row. */
AITERI_FN float without_empty(float lse)
{
    return __builtin_fabsf(lse) == __builtin_inff() ? minus_infinity() : lse;
}

/* The weight of one side: 1 for the larger. */
AITERI_FN float side_weight(float lse, float most)
{
    if (is_minus_infinity(lse)) return 0.0f;
    return lse == most ? 1.0f : exp2((lse - most) * LOG2_E);
}

/* A side whose share is 0 is not read. */
template <class T>
AITERI_FN float shared_element(const aiteri_gpu_rows &rows, int64_t at, float share)
{
    return share == 0.0f ? 0.0f : share * load_element<T>(rows.data, at);
}

template <class A, class B, class Out>
AITERI_FN void merge_row(const aiteri_gpu_merge &x, int64_t token, int head)
{
    const float lse_a = without_empty(
        global<const float>(x.lse_a)[head * x.lse_a_stride_head + token * x.lse_a_stride_token]);
    const float lse_b = without_empty(
        global<const float>(x.lse_b)[head * x.lse_b_stride_head + token * x.lse_b_stride_token]);
    const float most = lse_a > lse_b ? lse_a : lse_b;
    const float weight_a = side_weight(lse_a, most), weight_b = side_weight(lse_b, most);
    const float sum = weight_a + weight_b;
    const float share_a = weight_a == 0.0f ? 0.0f : weight_a / sum;
    const float share_b = weight_b == 0.0f ? 0.0f : weight_b / sum;
    const int64_t at_a = row_at(x.a, token, head), at_b = row_at(x.b, token, head);
    const int64_t at_out = row_at(x.out, token, head);
    for (int d = lane_id(); d < x.dim; d += WAVE)
        store_out_element<Out>(x.out.data, at_out + d,
                               shared_element<A>(x.a, at_a + d, share_a) +
                                   shared_element<B>(x.b, at_b + d, share_b));
    wave_fence(); /* lse may be lse_a, which every lane has read */
    if (x.lse && lane_id() == 0)
        global<float>(x.lse)[head * x.lse_stride_head + token * x.lse_stride_token] =
            sum == 0.0f ? minus_infinity() : most + LN_2 * log2(sum);
}

template <class A, class B, class Out, int ROWS>
AITERI_FN void merge_rows(const aiteri_gpu_merge &x)
{
    const int64_t r = (int64_t)workgroup_id() * ROWS + wave_id();
    if (r < x.tokens * x.heads) merge_row<A, B, Out>(x, r / x.heads, (int)(r % x.heads));
}

} // namespace aiteri

#define AITERI_MERGE(op, arch, q, kv, out, dq, dv, layout, scales, class_, source, threads, rows, \
                     keys, lds, waves)                                                            \
    AITERI_KERNEL(threads)                                                                        \
    void aiteri_##op##_##q##_##kv##_##out##_##dq##_##dv##_##class_(aiteri_gpu_merge x)            \
    {                                                                                             \
        static_assert(rows * aiteri::WAVE == threads, "one wave per row");                        \
        aiteri::merge_rows<aiteri::q, aiteri::kv, aiteri::out, rows>(x);                          \
    }
AITERI_ROWS(AITERI_MERGE)
