/* target.hpp -- what a kernel needs of its compiler and chip, without any vendor header:
 * attributes, ids, barrier, address spaces, lane exchange, exp2 and log2.
 *
 * Three targets: AMD CDNA (waves of 64), NVIDIA sm_80 and up (waves of 32), and, for tests, the
 * host itself (AITERI_TILE_HOST: a workgroup is one thread, a wave one lane). */
#ifndef AITERI_TILE_TARGET_HPP
#define AITERI_TILE_TARGET_HPP

typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
#if defined(__INT64_TYPE__)
typedef __INT64_TYPE__ int64_t;
typedef __UINT64_TYPE__ uint64_t;
#endif

#define AITERI_INLINE __attribute__((always_inline)) /* of a lambda: a call would need a stack */
#if defined(AITERI_TILE_HOST)
#define AITERI_KERNEL(threads)
#define AITERI_FN     static inline __attribute__((always_inline))
#define AITERI_METHOD inline __attribute__((always_inline))
#define AITERI_GLOBAL_SPACE
#define AITERI_LOCAL_SPACE
#define AITERI_DEVICE_DATA static
#else
#define AITERI_FN           static inline __attribute__((device, always_inline))
#define AITERI_METHOD       inline __attribute__((device, always_inline))
/* The same numbers on both: 1 device memory, 3 the workgroup's own. */
#define AITERI_GLOBAL_SPACE __attribute__((address_space(1)))
#define AITERI_LOCAL_SPACE  __attribute__((address_space(3)))
#define AITERI_DEVICE_DATA  extern "C" __attribute__((device, used))
#if defined(__AMDGCN__) || defined(__HIP__)
#define AITERI_KERNEL(threads) \
    extern "C" __attribute__((global, amdgpu_flat_work_group_size(threads, threads)))
#else
#define AITERI_KERNEL(threads) extern "C" __attribute__((global, launch_bounds(threads)))
#endif
#endif

namespace aiteri
{

template <class X> using Global = AITERI_GLOBAL_SPACE X *;
template <class X> using Local = AITERI_LOCAL_SPACE X *;
typedef uint32_t u32x2 __attribute__((ext_vector_type(2)));
typedef uint32_t u32x4 __attribute__((ext_vector_type(4)));

/* An address from the arguments, as a pointer that the compiler knows to be device memory. */
template <class X> AITERI_FN Global<X> global(uint64_t address) { return (Global<X>)address; }

#if defined(AITERI_TILE_HOST)

static int host_workgroup; /* set by the loop that stands for a launch */
enum { WAVE = 1 };
AITERI_FN int thread_id() { return 0; }
AITERI_FN int workgroup_id() { return host_workgroup; }
AITERI_FN void barrier() {}
AITERI_FN float exp2(float x) { return __builtin_exp2f(x); }
AITERI_FN float log2(float x) { return __builtin_log2f(x); }
AITERI_FN float reciprocal(float x) { return 1.0f / x; }
AITERI_FN int lane_xor(int x, int) { return x; }
AITERI_FN uint64_t ballot(bool x) { return x ? 1 : 0; }
AITERI_FN int uniform(int x) { return x; }

#elif defined(__AMDGCN__)

enum { WAVE = 64 };
AITERI_FN int thread_id() { return (int)__builtin_amdgcn_workitem_id_x(); }
AITERI_FN int workgroup_id() { return (int)__builtin_amdgcn_workgroup_id_x(); }

/* Orders LDS only: global loads in flight stay in flight. */
AITERI_FN void barrier()
{
    __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup", "local");
    __builtin_amdgcn_s_barrier();
    __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup", "local");
}

/* The bare instructions: subnormal results are 0. */
AITERI_FN float exp2(float x) { return __builtin_amdgcn_exp2f(x); }
AITERI_FN float log2(float x) { return __builtin_amdgcn_logf(x); }
AITERI_FN float reciprocal(float x) { return __builtin_amdgcn_rcpf(x); }

/* The value of lane ^ mask. */
AITERI_FN int lane_xor(int x, int mask)
{
    const int lane = thread_id() & (WAVE - 1);
    return __builtin_amdgcn_ds_bpermute((lane ^ mask) * 4, x);
}

AITERI_FN uint64_t ballot(bool x) { return __builtin_amdgcn_ballot_w64(x); }
/* A value that is the same in all lanes, told to the compiler. */
AITERI_FN int uniform(int x) { return __builtin_amdgcn_readfirstlane(x); }

#elif defined(__NVPTX__)

enum { WAVE = 32 };
AITERI_FN int thread_id() { return __nvvm_read_ptx_sreg_tid_x(); }
AITERI_FN int workgroup_id() { return __nvvm_read_ptx_sreg_ctaid_x(); }
AITERI_FN void barrier() { __syncthreads(); }
AITERI_FN float exp2(float x) { return __nvvm_ex2_approx_ftz_f(x); }
AITERI_FN float log2(float x) { return __nvvm_lg2_approx_ftz_f(x); }
AITERI_FN float reciprocal(float x) { return __nvvm_rcp_approx_ftz_f(x); }
AITERI_FN int lane_xor(int x, int mask) { return __nvvm_shfl_sync_bfly_i32(-1u, x, mask, 31); }
AITERI_FN uint64_t ballot(bool x) { return __nvvm_vote_ballot_sync(-1u, x); }
AITERI_FN int uniform(int x) { return __nvvm_shfl_sync_idx_i32(-1u, x, 0, 31); }

#else
#error "an AMD or NVIDIA device compile, or AITERI_TILE_HOST"
#endif

AITERI_FN float lane_xor(float x, int mask)
{
    return __builtin_bit_cast(float, lane_xor(__builtin_bit_cast(int, x), mask));
}

/* The kernel's only parameter where it lies. Taken from the parameter itself, AMD compilers load
 * all of it at the start and keep it in scalar registers that do not suffice. */
template <class A> AITERI_FN const A &arguments(const A &parameter)
{
#if defined(__AMDGCN__)
    typedef __attribute__((address_space(4))) const A Constant;
    (void)parameter;
    return *(const A *)(Constant *)__builtin_amdgcn_kernarg_segment_ptr();
#else
    return parameter;
#endif
}

/* The same, read again: what was read before need not stay in scalar registers, and nothing that
 * follows from it moves out of a loop. */
template <class A> AITERI_FN const A &arguments_again(const A &a)
{
#if defined(__AMDGCN__)
    typedef __attribute__((address_space(4))) const A Constant;
    const uint64_t at = (uint64_t)__builtin_amdgcn_kernarg_segment_ptr();
    uint32_t low;
    (void)a;
    asm volatile("v_mov_b32 %0, %1" : "=v"(low) : "s"((uint32_t)at));
    return *(const A *)(Constant *)(at >> 32 << 32 | (uint32_t)uniform((int)low));
#else
    return a;
#endif
}

AITERI_FN int lane_id() { return thread_id() & (WAVE - 1); }
AITERI_FN int wave_id() { return uniform(thread_id() / WAVE); }
AITERI_FN bool any_lane(bool x) { return ballot(x) != 0; }

AITERI_FN float minus_infinity() { return -__builtin_inff(); }
AITERI_FN bool is_minus_infinity(float x) { return x == -__builtin_inff(); }
AITERI_FN float larger(float a, float b) { return __builtin_fmaxf(a, b); }
template <class I> AITERI_FN I smaller_of(I a, I b) { return a < b ? a : b; }
template <class I> AITERI_FN I larger_of(I a, I b) { return a > b ? a : b; }
template <class I> AITERI_FN I clamp(I x, I lo, I hi) { return x < lo ? lo : x > hi ? hi : x; }

constexpr float LOG2_E = 1.44269504088896340736f;
constexpr float LN_2 = 0.69314718055994530942f;

} // namespace aiteri

#endif /* AITERI_TILE_TARGET_HPP */
