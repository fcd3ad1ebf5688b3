// reshape_and_cache.hip -- new K and V rows into their slots of a paged cache, converted or
// quantised as src/ops/reshape_and_cache.c does it, to the bit.
//
// Launch: one workgroup takes one token; grid tokens x 1 x 1 of THREADS. No dynamic LDS. q and kv
// of the instance are the types of the new rows and of the cache: i8 goes with the two quantising
// modes, everything else with CONVERT. Any dims. A slot outside [0, slots) is skipped.
#include "tile/storage.hpp"

#include "args.h"

namespace aiteri
{

/* aiteri_cache_mode of src/ops/reshape_and_cache.c. */
enum { QUANT_CONVERT, QUANT_STATIC, QUANT_PER_TOKEN_HEAD };

AITERI_FN int64_t slot_of(const aiteri_gpu_reshape_and_cache &x, int64_t token)
{
    const int64_t at = token * x.slot_stride;
    return x.slot_bits == 64 ? global<const int64_t>(x.slot_mapping)[at]
                             : global<const int32_t>(x.slot_mapping)[at];
}

/* The step of an int8 row, by all lanes of a wave: given, or its largest |element| / 127. */
template <class Src>
AITERI_FN float row_step(const aiteri_gpu_cache_side &side, int quant, int64_t from, int64_t block,
                         int64_t in_block, int head)
{
    const Global<float> scale = global<float>(side.scale);
    if (quant == QUANT_STATIC) return scale[head * side.scale_stride_head];
    float most = 0.0f;
    for (int d = lane_id(); d < side.dim; d += WAVE)
        most = larger(most, __builtin_fabsf(load_element<Src>(side.src, from + d)));
#pragma unroll
    for (int mask = WAVE / 2; mask > 0; mask /= 2) most = larger(most, lane_xor(most, mask));
    const float step = most / 127.0f;
    if (lane_id() == 0)
        scale[block * side.scale_stride_block + in_block * side.scale_stride_token +
              head * side.scale_stride_head] = step;
    return step;
}

template <class Src, class Cache>
AITERI_FN void cache_row(const aiteri_gpu_cache_side &side, int quant, int64_t token, int64_t block,
                         int64_t in_block, int head)
{
    const int64_t from = token * side.src_stride_token + head * side.src_stride_head;
    const int64_t to = block * side.cache_stride_block + in_block * side.cache_stride_token +
                       head * side.cache_stride_head;
    const bool converts = quant == QUANT_CONVERT;
    const float step = converts ? 1.0f : row_step<Src>(side, quant, from, block, in_block, head);
    for (int d = lane_id(); d < side.dim; d += WAVE) {
        float y = load_element<Src>(side.src, from + d);
        if (!converts) y = step != 0.0f ? y / step : 0.0f;
        store_element<Cache>(side.cache, to + d, y);
    }
}

template <class Src, class Cache, int WAVES>
AITERI_FN void cache_token(const aiteri_gpu_reshape_and_cache &x)
{
    const int64_t token = workgroup_id(), slot = slot_of(x, token);
    if (slot < 0 || slot >= x.slots) return;
    const int64_t block = slot / x.page_size, in_block = slot - block * x.page_size;
    for (int row = wave_id(); row < x.heads * 2; row += WAVES) {
        const bool value = row >= x.heads;
        cache_row<Src, Cache>(value ? x.v : x.k, x.quant, token, block, in_block,
                              value ? row - x.heads : row);
    }
}

} // namespace aiteri

#define AITERI_RESHAPE(op, arch, q, kv, out, dq, dv, layout, scales, class_, source, threads,      \
                       rows, keys, lds, waves)                                                     \
    AITERI_KERNEL(threads)                                                                         \
    void aiteri_##op##_##q##_##kv##_##out##_##dq##_##dv##_##class_(aiteri_gpu_reshape_and_cache x) \
    {                                                                                              \
        aiteri::cache_token<aiteri::q, aiteri::kv, threads / aiteri::WAVE>(aiteri::arguments(x));  \
    }
AITERI_ROWS(AITERI_RESHAPE)
