// reshape_and_cache.hip -- new K and V rows into their slots of a paged cache, converted or
// quantised as src/ops/reshape_and_cache.c does it, to the bit.
//
// Launch: one workgroup takes one token, or, with scales of blocks, the tokens of one block: that
// of the lowest slot takes them; grid tokens x 1 x 1 of THREADS. No dynamic LDS. q of the instance
// is the type of the new rows, that of the cache is an argument. Any dims. A slot outside [0,
// slots) is skipped.
#include "tile/codes.hpp"
#include "tile/storage.hpp"
#include "tile/wave.hpp"

#include "args.h"

namespace aiteri
{

/* aiteri_cache_mode of src/ops/reshape_and_cache.c. */
enum { QUANT_CONVERT, QUANT_STATIC, QUANT_PER_TOKEN_HEAD, QUANT_PER_BLOCK_HEAD };

template <class T> struct RowCode;
template <> struct RowCode<f32> : F32Code {
};
template <> struct RowCode<f16> : F16Code {
};
template <> struct RowCode<bf16> : BF16Code {
};

AITERI_FN int64_t slot_of(const aiteri_gpu_reshape_and_cache &x, int64_t token)
{
    const int64_t at = token * x.slot_stride;
    return x.slot_bits == 64 ? global<const int64_t>(x.slot_mapping)[at]
                             : global<const int32_t>(x.slot_mapping)[at];
}

/* K or V, read again: scalar registers do not suffice for all of it through loops over tokens. */
AITERI_FN const aiteri_gpu_cache_side &side_of(const aiteri_gpu_reshape_and_cache &x, bool value)
{
    const aiteri_gpu_reshape_and_cache &again = arguments_again(x);
    return value ? again.v : again.k;
}

/* ---- rows of the cache ---- */

AITERI_FN int64_t cache_at(const aiteri_gpu_cache_side &side, int64_t block, int64_t in_block,
                           int head)
{
    int64_t at = block * side.cache_stride_block + head * side.cache_stride_head;
    if (side.bundle) {
        at += in_block / side.bundle * side.cache_stride_bundle;
        in_block %= side.bundle;
    }
    return at + in_block * side.cache_stride_token;
}

AITERI_FN int64_t column_at(const aiteri_gpu_cache_side &side, int d)
{
    int64_t at = 0;
    if (side.piece) {
        at = d / side.piece * side.cache_stride_piece;
        d %= side.piece;
    }
    return at + d * side.cache_stride_dim;
}

template <class Code, class Value>
AITERI_FN void store_elements(const aiteri_gpu_cache_side &side, int64_t row, Code code,
                              Value value)
{
    const Global<typename Code::Bits> to = global<typename Code::Bits>(side.cache) + row;
    for (int d = lane_id(); d < side.dim; d += WAVE) to[column_at(side, d)] = code.narrow(value(d));
}

/* Two elements a byte, of one lane; behind an odd row the other half stays as it was. */
template <class Value>
AITERI_FN void store_halves(const aiteri_gpu_cache_side &side, int64_t row, Value value)
{
    const Global<uint8_t> to = global<uint8_t>(side.cache) + row / 2;
    const IntegerCode code = {7.0f};
    for (int d = lane_id() * 2; d < side.dim; d += WAVE * 2) {
        const int low = code.narrow(value(d));
        const int high = d + 1 < side.dim ? code.narrow(value(d + 1)) : to[d / 2] >> 4;
        to[d / 2] = (uint8_t)((low & 15) | (high & 15) << 4);
    }
}

/* value(d) for every d as codes, by all lanes of a wave. */
template <class Value>
AITERI_FN void store_codes(const aiteri_gpu_cache_side &side, int dtype, int64_t row, Value value)
{
    switch (dtype) {
    case CODE_I8: store_elements(side, row, IntegerCode{127.0f}, value); break;
    case CODE_I4: store_halves(side, row, value); break;
    default: store_elements(side, row, F8Code::of(dtype), value); break;
    }
}

/* The same in every type. */
template <class Value>
AITERI_FN void store_row(const aiteri_gpu_cache_side &side, int dtype, int64_t row, Value value)
{
    switch (dtype) {
    case CODE_F32: store_elements(side, row, F32Code(), value); break;
    case CODE_F16: store_elements(side, row, F16Code(), value); break;
    case CODE_BF16: store_elements(side, row, BF16Code(), value); break;
    default: store_codes(side, dtype, row, value); break;
    }
}

/* A quantised element as it is. */
AITERI_FN float stored_code(const aiteri_gpu_cache_side &side, int dtype, int64_t row, int d)
{
    const Global<const uint8_t> from = global<const uint8_t>(side.cache);
    if (dtype == CODE_I4) return (float)((int8_t)(from[(row + d) / 2] << (d % 2 ? 0 : 4)) >> 4);
    const uint8_t code = from[row + column_at(side, d)];
    return dtype == CODE_I8 ? (float)(int8_t)code : F8Code::of(dtype).widen(code);
}

/* ---- scales ---- */

AITERI_FN Global<float> scale_at(const aiteri_gpu_cache_side &side, int64_t block, int64_t in_block,
                                 int head)
{
    return global<float>(side.scale) + block * side.scale_stride_block +
           in_block * side.scale_stride_token + head * side.scale_stride_head;
}

/* Rows of new tokens, of one head. */
template <class Src> struct NewRows {
    const aiteri_gpu_cache_side &side;
    int head;

    AITERI_METHOD float element(int64_t token, int d) const
    {
        typedef RowCode<Src> Code;
        const int64_t at = token * side.src_stride_token + head * side.src_stride_head;
        return Code::widen(
            global<const typename Code::Bits>(side.src)[at + d * side.src_stride_dim]);
    }
    /* The largest of `most` and of this lane's magnitudes, as bits: they are in order, NaN above
     * all. */
    AITERI_METHOD uint32_t larger(uint32_t most, int64_t token) const
    {
        for (int d = lane_id(); d < side.dim; d += WAVE)
            most = larger_of(most, magnitude_bits(element(token, d)));
        return most;
    }
};

/* The scale of rows, of which every lane has the largest element of its own. */
AITERI_FN float scale_of(uint32_t most, float largest)
{
#pragma unroll
    for (int mask = WAVE / 2; mask > 0; mask /= 2)
        most = larger_of(most, (uint32_t)lane_xor((int)most, mask));
    const float top = f32_of(most > INFINITY_BITS ? NAN_BITS : most);
    return settled(top / largest, top, largest);
}

/* ---- tokens ---- */

template <class Src>
AITERI_FN void cache_row(const aiteri_gpu_reshape_and_cache &x, const aiteri_gpu_cache_side &side,
                         int64_t token, int64_t block, int64_t in_block, int head)
{
    const NewRows<Src> rows = {side, head};
    const bool converts = x.quant == QUANT_CONVERT;
    float step = 1.0f;
    if (x.quant == QUANT_PER_TOKEN_HEAD) {
        step = scale_of(rows.larger(0, token), x.largest);
        if (lane_id() == 0) *scale_at(side, block, in_block, head) = step;
    } else if (!converts) {
        step = *scale_at(side, block, in_block, head);
    }
    store_row(side, x.cache_dtype, cache_at(side, block, in_block, head), [&](int d) AITERI_INLINE {
        const float y = rows.element(token, d);
        return converts ? y : steps_of(y, step);
    });
}

/* f(token, its place in the block) for the tokens of a block, by all lanes of a wave. */
template <class F>
AITERI_FN void each_token_of(const aiteri_gpu_reshape_and_cache &x, int64_t block, F f)
{
    const int64_t first = block * x.page_size;
    for (int64_t n = 0; n < x.tokens; n += WAVE) {
        const int64_t at = n + lane_id(), slot = at < x.tokens ? slot_of(x, at) : -1;
        uint64_t lanes = ballot(slot >= first && slot < first + x.page_size);
        for (; lanes != 0; lanes &= lanes - 1) {
            const int64_t token = n + __builtin_ctzll(lanes);
            f(token, slot_of(x, token) - first);
        }
    }
}

/* All tokens of a block, `begin` being the lowest place of one: an append makes the scale larger at
 * most, and what is in the block before its first token is then rounded again. */
template <class Src>
AITERI_FN void cache_block(const aiteri_gpu_reshape_and_cache &x, bool value, int64_t block,
                           int64_t begin, int head)
{
    const Global<float> scale = scale_at(side_of(x, value), block, 0, head);
    uint32_t most = bits_of(1e-6f);
    each_token_of(x, block, [&](int64_t token, int64_t) AITERI_INLINE {
        most = NewRows<Src>{side_of(x, value), head}.larger(most, token);
    });
    const float own = scale_of(most, x.largest), old = *scale;
    const bool grows = begin == 0 || bits_of(old) >> 31 || bits_of(old) < bits_of(own);
    const float step = grows ? own : old;
    for (int64_t at = 0; grows && at < begin; at++) {
        const aiteri_gpu_cache_side &side = side_of(x, value);
        const int64_t row = cache_at(side, block, at, head);
        store_codes(side, x.cache_dtype, row, [&](int d) AITERI_INLINE {
            const float code = stored_code(side, x.cache_dtype, row, d);
            return steps_of(settled(code * old, code, old), own);
        });
    }
    wave_fence(); /* every lane has read the old scale */
    if (grows && lane_id() == 0) *scale = own;
    each_token_of(x, block, [&](int64_t token, int64_t at) AITERI_INLINE {
        const NewRows<Src> rows = {side_of(x, value), head};
        store_codes(rows.side, x.cache_dtype, cache_at(rows.side, block, at, head),
                    [&](int d) AITERI_INLINE { return steps_of(rows.element(token, d), step); });
    });
}

/* Has no token of its block a lower slot? */
AITERI_FN bool begins_block(const aiteri_gpu_reshape_and_cache &x, int64_t slot, int64_t first)
{
    bool later = false;
    for (int64_t n = lane_id(); n < x.tokens; n += WAVE) {
        const int64_t other = slot_of(x, n);
        later = later || (other >= first && other < slot);
    }
    return !any_lane(later);
}

/* f(V or K, head) for those of this wave. */
template <int WAVES, class F> AITERI_FN void each_head(const aiteri_gpu_reshape_and_cache &x, F f)
{
    for (int row = wave_id(); row < x.heads * 2; row += WAVES)
        f(row >= x.heads, row >= x.heads ? row - x.heads : row);
}

template <class Src, int WAVES> AITERI_FN void cache_token(const aiteri_gpu_reshape_and_cache &x)
{
    const int64_t token = workgroup_id(), slot = slot_of(x, token);
    if (slot < 0 || slot >= x.slots) return;
    const int64_t block = slot / x.page_size, in_block = slot - block * x.page_size;
    if (x.quant != QUANT_PER_BLOCK_HEAD)
        each_head<WAVES>(x, [&](bool value, int head) AITERI_INLINE {
            cache_row<Src>(x, side_of(x, value), token, block, in_block, head);
        });
    else if (begins_block(x, slot, slot - in_block))
        each_head<WAVES>(x, [&](bool value, int head) AITERI_INLINE {
            cache_block<Src>(x, value, block, in_block, head);
        });
}

} // namespace aiteri

#define AITERI_RESHAPE(op, arch, q, kv, out, dq, dv, layout, scales, class_, source, threads,      \
                       rows, keys, lds, waves)                                                     \
    AITERI_KERNEL(threads)                                                                         \
    void aiteri_##op##_##q##_##kv##_##out##_##dq##_##dv##_##class_(aiteri_gpu_reshape_and_cache x) \
    {                                                                                              \
        aiteri::cache_token<aiteri::q, threads / aiteri::WAVE>(aiteri::arguments(x));              \
    }
AITERI_ROWS(AITERI_RESHAPE)
