/* wgmma.hpp -- the products of a warpgroup, four warps, on sm_90a: 64 rows by 128 columns, 16 deep,
 * of tiles in shared memory in the 128-byte swizzle. They run on while their warps do other things:
 * between wgmma_fence() and the wait nobody may touch their registers. And phases (mbarrier), by
 * which warps that are not in step tell each other what is there.
 *
 * A lane's accumulators are those of mma.sync: of each 8 columns two of row lane / 4 of the warp's
 * 16 rows, then two of row lane / 4 + 8. */
#ifndef AITERI_TILE_WGMMA_HPP
#define AITERI_TILE_WGMMA_HPP

#include "nvidia.hpp"

namespace aiteri
{

/* The bytes [at, ..) of shared memory: 8 rows of 128 bytes after each other, `stride` to the next 8
 * rows, `leading` to the next 64 columns where columns lie side by side. */
AITERI_FN uint64_t wgmma_tile(uint32_t at, int leading, int stride)
{
    return (uint64_t)(at >> 4 & 0x3fff) | (uint64_t)(leading >> 4) << 16 |
           (uint64_t)(stride >> 4) << 32 | (uint64_t)1 << 62;
}
AITERI_FN uint64_t wgmma_moved(uint64_t tile, int bytes) { return tile + (uint64_t)(bytes >> 4); }

/* The 64 accumulators x[0 .. 15] as operands of an instruction. */
#define AITERI_WGMMA_4(how, x4_) how((x4_).x), how((x4_).y), how((x4_).z), how((x4_).w)
#define AITERI_WGMMA_16(how, x_, i)                                                             \
    AITERI_WGMMA_4(how, x_[i]), AITERI_WGMMA_4(how, x_[i + 1]), AITERI_WGMMA_4(how, x_[i + 2]), \
        AITERI_WGMMA_4(how, x_[i + 3])
#define AITERI_WGMMA_64(how, x_)                                                           \
    AITERI_WGMMA_16(how, x_, 0), AITERI_WGMMA_16(how, x_, 4), AITERI_WGMMA_16(how, x_, 8), \
        AITERI_WGMMA_16(how, x_, 12)
#define AITERI_WGMMA_ADD(v) "+f"(v)
#define AITERI_WGMMA_SET(v) "=f"(v)
#define AITERI_WGMMA_NAMES                                                                 \
    "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,"  \
    "%23,%24,%25,%26,%27,%28,%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43," \
    "%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}"
#define AITERI_WGMMA(type) \
    "wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type " " AITERI_WGMMA_NAMES

/* x = rows times columns, or x += it: `rows` and `cols` lie in shared memory, in both a row or
 * column of the product is a row of the tile. */
template <class T, class F4> AITERI_FN void wgmma_set(F4 *x, uint64_t rows, uint64_t cols)
{
    if constexpr (__is_same(T, bf16))
        asm volatile(AITERI_WGMMA("bf16") ", %64, %65, 0, 1, 1, 0, 0;"
                     : AITERI_WGMMA_64(AITERI_WGMMA_SET, x)
                     : "l"(rows), "l"(cols)
                     : "memory");
    else
        asm volatile(AITERI_WGMMA("f16") ", %64, %65, 0, 1, 1, 0, 0;"
                     : AITERI_WGMMA_64(AITERI_WGMMA_SET, x)
                     : "l"(rows), "l"(cols)
                     : "memory");
}

template <class T, class F4> AITERI_FN void wgmma_add(F4 *x, uint64_t rows, uint64_t cols)
{
    if constexpr (__is_same(T, bf16))
        asm volatile(AITERI_WGMMA("bf16") ", %64, %65, 1, 1, 1, 0, 0;"
                     : AITERI_WGMMA_64(AITERI_WGMMA_ADD, x)
                     : "l"(rows), "l"(cols)
                     : "memory");
    else
        asm volatile(AITERI_WGMMA("f16") ", %64, %65, 1, 1, 1, 0, 0;"
                     : AITERI_WGMMA_64(AITERI_WGMMA_ADD, x)
                     : "l"(rows), "l"(cols)
                     : "memory");
}

/* x += rows times columns: `rows` are the lane's registers, a column is a column of the tile. */
template <class T, class F4> AITERI_FN void wgmma_add(F4 *x, u32x4 rows, uint64_t cols)
{
    if constexpr (__is_same(T, bf16))
        asm volatile(AITERI_WGMMA("bf16") ", {%64,%65,%66,%67}, %68, 1, 1, 1, 1;"
                     : AITERI_WGMMA_64(AITERI_WGMMA_ADD, x)
                     : "r"(rows.x), "r"(rows.y), "r"(rows.z), "r"(rows.w), "l"(cols)
                     : "memory");
    else
        asm volatile(AITERI_WGMMA("f16") ", {%64,%65,%66,%67}, %68, 1, 1, 1, 1;"
                     : AITERI_WGMMA_64(AITERI_WGMMA_ADD, x)
                     : "r"(rows.x), "r"(rows.y), "r"(rows.z), "r"(rows.w), "l"(cols)
                     : "memory");
}

/* Before the first product: what was written to its registers is there. */
AITERI_FN void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" : : : "memory"); }
/* Before a product of what copies or stores left in shared memory, in each thread that wrote. */
AITERI_FN void wgmma_see_shared() { asm volatile("fence.proxy.async.shared::cta;" : : : "memory"); }
AITERI_FN void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" : : : "memory"); }
/* All but the last LEFT groups are done, and x may be touched. */
template <int LEFT, class F4> AITERI_FN void wgmma_wait(F4 *x)
{
    asm volatile("wgmma.wait_group.sync.aligned %64;"
                 : AITERI_WGMMA_64(AITERI_WGMMA_ADD, x)
                 : "n"(LEFT)
                 : "memory");
}
/* The compiler computes x before this, and moves no copy of it across. */
template <class F4> AITERI_FN void wgmma_settle(F4 *x)
{
    asm volatile("" : AITERI_WGMMA_64(AITERI_WGMMA_ADD, x) : : "memory");
}
AITERI_FN void wgmma_settle(u32x4 &x)
{
    asm volatile("" : "+r"(x.x), "+r"(x.y), "+r"(x.z), "+r"(x.w) : : "memory");
}

/* ---- phases ---- */

/* A phase, 8 bytes of shared memory, ends when `arrivals` have come, and the next one begins. */
AITERI_FN void phase_begin(uint32_t at, int arrivals)
{
    asm volatile("mbarrier.init.shared.b64 [%0], %1;" : : "r"(at), "r"(arrivals) : "memory");
}
AITERI_FN void phase_arrive(uint32_t at)
{
    asm volatile("mbarrier.arrive.shared.b64 _, [%0];" : : "r"(at) : "memory");
}
/* Without waiting: once the copies that this thread started have landed. */
AITERI_FN void phase_arrive_after_copies(uint32_t at)
{
    asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" : : "r"(at) : "memory");
}
/* Until the phase of this parity has ended; the first one's is 0. */
AITERI_FN void phase_wait(uint32_t at, int parity)
{
    asm volatile("{ .reg .pred p; again: mbarrier.try_wait.parity.shared.b64 p, [%0], %1; "
                 "@!p bra again; }"
                 :
                 : "r"(at), "r"(parity)
                 : "memory");
}

} // namespace aiteri

#endif /* AITERI_TILE_WGMMA_HPP */
