/* cpuid.c -- which kernel sets may run here. Own cpuid and xgetbv: __builtin_cpu_supports needs
 * libgcc or compiler-rt symbols that zig cc and some embedded toolchains do not ship. */
#ifndef AITERI_CPUID_C
#define AITERI_CPUID_C

#include "../api_types.h"
#include "../base/platform.h"
#include "kernel_table.h"

/* Where the choice of a kernel set begins when nobody names one. */
enum {
    AITERI_TOP_ISA = AITERI_X86    ? AITER_ISA_AVX512
                     : AITERI_NEON ? AITER_ISA_NEON
                                   : AITER_ISA_SCALAR
};

#if AITERI_X86
static void aiteri_cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
#if AITERI_MSVC
    int v[4];
    __cpuidex(v, (int)leaf, (int)sub);
    memcpy(r, v, sizeof v);
#else
    __asm__ volatile("cpuid"
                     : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                     : "a"(leaf), "c"(sub));
#endif
}

/* The register states that the operating system saves. */
static uint64_t aiteri_xgetbv(void)
{
#if AITERI_MSVC
    return _xgetbv(0);
#else
    uint32_t low, high;
    __asm__ volatile(".byte 0x0f, 0x01, 0xd0" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
#endif
}

/* The AITERI_CPU_ bits of this CPU under its operating system. */
AITERI_UNUSED static uint32_t aiteri_cpu_features(void)
{
    const uint32_t fma_osxsave_avx_f16c = 1u << 12 | 1u << 27 | 1u << 28 | 1u << 29;
    const uint32_t avx2 = 1u << 5;
    const uint32_t f_dq_cd_bw_vl = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;
    const uint64_t ymm = 0x06, zmm = 0xe6;
    uint32_t r[4], leaves;
    aiteri_cpuid(0, 0, r);
    if (r[0] < 7) return 0;
    aiteri_cpuid(1, 0, r);
    if ((r[2] & fma_osxsave_avx_f16c) != fma_osxsave_avx_f16c) return 0;
    const uint64_t saved = aiteri_xgetbv();
    aiteri_cpuid(7, 0, r);
    if ((saved & ymm) != ymm || !(r[1] & avx2)) return 0;
    if ((saved & zmm) != zmm || (r[1] & f_dq_cd_bw_vl) != f_dq_cd_bw_vl) return AITERI_CPU_AVX2;
    leaves = r[0];
    if (leaves > 0) aiteri_cpuid(7, 1, r);
    const uint32_t sets = AITERI_CPU_AVX2 | AITERI_CPU_AVX512;
    return leaves > 0 && (r[0] & 1u << 5) ? sets | AITERI_CPU_AVX512_BF16 : sets;
}
#else
AITERI_UNUSED static uint32_t aiteri_cpu_features(void)
{
    return AITERI_NEON ? AITERI_CPU_NEON : 0;
}
#endif /* AITERI_X86 */

#endif /* AITERI_CPUID_C */
