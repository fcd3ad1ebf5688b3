// copy_blocks.hip -- whole blocks of a cache, as they are, to other blocks of it or of another.
//
// Launch: `parts` workgroups take one pair of blocks; grid pairs * parts x 1 x 1 of THREADS. No
// dynamic LDS. One instance moves blocks of every type. Any block that is not there is skipped.
#include "tile/target.hpp"

#include "args.h"

namespace aiteri
{

AITERI_FN int64_t mapped_block(const aiteri_gpu_copy_blocks &x, int64_t pair, int side)
{
    const int64_t at = pair * x.mapping_stride_pair + side * x.mapping_stride_side;
    return x.mapping_bits == 64 ? global<const int64_t>(x.mapping)[at]
                                : global<const int32_t>(x.mapping)[at];
}

/* Where unit i of a block is in src and dst. */
struct Unit {
    int64_t from, to;
};

AITERI_FN Unit unit_at(const aiteri_gpu_copy_blocks &x, int64_t i)
{
    if (x.dims == 0) return {i * x.unit, i * x.unit};
    int64_t outer = i / x.units_in_piece;
    const int64_t within = (i - outer * x.units_in_piece) * x.unit;
    Unit u = {within, within};
    for (int d = x.dims - 1; d >= 0; d--) {
        const int64_t next = outer / x.shape[d], at = outer - next * x.shape[d];
        u.from += at * x.from[d];
        u.to += at * x.to[d];
        outer = next;
    }
    return u;
}

template <class T, int THREADS>
AITERI_FN void copy_part(const aiteri_gpu_copy_blocks &x, uint64_t src, uint64_t dst, int64_t part)
{
    for (int64_t i = part * THREADS + thread_id(); i < x.units; i += x.parts * THREADS) {
        const Unit u = unit_at(x, i);
        *global<T>(dst + (uint64_t)u.to) = *global<const T>(src + (uint64_t)u.from);
    }
}

template <int THREADS> AITERI_FN void copy_pair(const aiteri_gpu_copy_blocks &x)
{
    const int64_t pair = workgroup_id() / x.parts, part = workgroup_id() - pair * x.parts;
    const int64_t from = mapped_block(x, pair, 0), to = mapped_block(x, pair, 1);
    if (from < 0 || from >= x.src_blocks || to < 0 || to >= x.dst_blocks) return;
    const uint64_t src = x.src + (uint64_t)(from * x.src_stride_block);
    const uint64_t dst = x.dst + (uint64_t)(to * x.dst_stride_block);
    switch (x.unit) {
    case 16: copy_part<u32x4, THREADS>(x, src, dst, part); break;
    case 8: copy_part<u32x2, THREADS>(x, src, dst, part); break;
    case 4: copy_part<uint32_t, THREADS>(x, src, dst, part); break;
    case 2: copy_part<uint16_t, THREADS>(x, src, dst, part); break;
    default: copy_part<uint8_t, THREADS>(x, src, dst, part); break;
    }
}

} // namespace aiteri

#define AITERI_COPY(op, arch, q, kv, out, dq, dv, layout, scales, class_, source, threads, rows, \
                    keys, lds, waves)                                                            \
    AITERI_KERNEL(threads)                                                                       \
    void aiteri_##op##_##q##_##kv##_##out##_##dq##_##dv##_##class_(aiteri_gpu_copy_blocks x)     \
    {                                                                                            \
        aiteri::copy_pair<threads>(aiteri::arguments(x));                                        \
    }
AITERI_ROWS(AITERI_COPY)
