/* wave.hpp -- what the lanes of one wave do among themselves, without the rest of the workgroup. */
#ifndef AITERI_TILE_WAVE_HPP
#define AITERI_TILE_WAVE_HPP

#include "target.hpp"

namespace aiteri
{

/* What lanes of this wave wrote before it, its lanes read after it; what they read is not yet
 * overwritten. */
AITERI_FN void wave_fence()
{
#if defined(__AMDGCN__)
    __builtin_amdgcn_fence(__ATOMIC_ACQ_REL, "wavefront");
    __builtin_amdgcn_wave_barrier();
#elif defined(__NVPTX__)
    __nvvm_bar_warp_sync(-1u);
#endif
}

/* The value of lane `from`. */
AITERI_FN float lane_read(float x, int from)
{
#if defined(__AMDGCN__)
    const int bits = __builtin_bit_cast(int, x);
    return __builtin_bit_cast(float, __builtin_amdgcn_ds_bpermute(from * 4, bits));
#elif defined(__NVPTX__)
    const int bits = __builtin_bit_cast(int, x);
    return __builtin_bit_cast(float, __nvvm_shfl_sync_idx_i32(-1u, bits, from, 31));
#else
    (void)from;
    return x;
#endif
}

} // namespace aiteri

#endif /* AITERI_TILE_WAVE_HPP */
