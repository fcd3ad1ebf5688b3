/* platform.h -- every compiler, OS and ISA question is answered here, and every system header is
 * included here. Nothing else may include a <header>: a system header first seen inside a target
 * region would have its inline functions compiled for that target. */
#ifndef AITERI_PLATFORM_H
#define AITERI_PLATFORM_H

/* What clang knows of `#pragma float_control`: elsewhere it only warns. */
#if defined(__clang__) && (defined(__x86_64__) || defined(__i386__) || __clang_major__ >= 16) && \
    (defined(__x86_64__) || defined(__i386__) || defined(__aarch64__))
#define AITERI_CLANG_FLOAT_CONTROL 1
#else
#define AITERI_CLANG_FLOAT_CONTROL 0
#endif

/* clang keeps fast-math flags on each operation, so those inside the intrinsics' own inline bodies
 * follow the state in force where their header is first read. GCC takes the caller's. */
#if AITERI_CLANG_FLOAT_CONTROL && (defined(__FAST_MATH__) || __FINITE_MATH_ONLY__)
#define AITERI_CLANG_FAST_MATH 1
#pragma float_control(precise, on, push)
#else
#define AITERI_CLANG_FAST_MATH 0
#endif

#if (defined(__x86_64__) || defined(_M_X64)) && !defined(AITER_ATTN_NO_SIMD)
#define AITERI_X86 1
#include <immintrin.h>
#else
#define AITERI_X86 0
#endif

#if (defined(__aarch64__) || defined(_M_ARM64)) && !defined(__AARCH64EB__) && \
    !defined(AITER_ATTN_NO_SIMD)
#define AITERI_NEON 1
#include <arm_neon.h>
#else
#define AITERI_NEON 0
#endif

#if AITERI_CLANG_FAST_MATH
#pragma float_control(pop)
#endif

#include <fenv.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Threads exist unless the user or the target says otherwise. */
#if defined(AITER_ATTN_NO_THREADS) || defined(__wasm__)
#define AITERI_THREADS_NONE 1
#elif defined(_WIN32)
#define AITERI_THREADS_WINDOWS 1
#if !defined(NOMINMAX) && !defined(WIN32_LEAN_AND_MEAN)
#define NOMINMAX
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#undef NOMINMAX
#undef WIN32_LEAN_AND_MEAN
#else /* the user's choice of these */
#include <windows.h>
#endif
#else
#define AITERI_THREADS_POSIX 1
#include <pthread.h>
#include <unistd.h>
#endif

/* Devices are compiled in by these two macros of the user's; their drivers are found at run time.
 */
#if defined(AITER_ATTN_HIP) || defined(AITER_ATTN_CUDA)
#define AITERI_GPU 1
#if UINTPTR_MAX < UINT64_MAX
#error "aiter_attn: AITER_ATTN_HIP and AITER_ATTN_CUDA need a 64-bit host; no driver has another"
#endif
#if defined(_WIN32)
#include <windows.h>
#else
#include <dlfcn.h>
#endif
#else
#define AITERI_GPU 0
#endif

/* The compiler with no GNU extensions at all; clang-cl counts as clang. */
#if defined(_MSC_VER) && !defined(__clang__)
#define AITERI_MSVC 1
#include <intrin.h>
#else
#define AITERI_MSVC 0
#endif

#ifdef __has_builtin
#define AITERI_HAS_BUILTIN(x) __has_builtin(x)
#else
#define AITERI_HAS_BUILTIN(x) 0
#endif

#if AITERI_MSVC
#define AITERI_FORCE_INLINE static __forceinline
#define AITERI_RESTRICT     __restrict
#define AITERI_THREAD_LOCAL __declspec(thread)
#define AITERI_UNUSED
#define AITERI_COLD static __declspec(noinline)
#define AITERI_UNROLL(n)
#define AITERI_UNROLL_SOME(n)
#else
#define AITERI_FORCE_INLINE static inline __attribute__((always_inline, unused))
#define AITERI_RESTRICT     __restrict__
#define AITERI_THREAD_LOCAL __thread
#define AITERI_UNUSED       __attribute__((unused))
#define AITERI_COLD         static __attribute__((noinline, unused))
#if defined(__clang__)
/* "full" and not a count: clang unrolls those before it looks for arrays that fit in registers. */
#define AITERI_UNROLL(n)      _Pragma(AITERI_STR(clang loop unroll(full)))
#define AITERI_UNROLL_SOME(n) _Pragma(AITERI_STR(clang loop unroll_count(n)))
#else
#define AITERI_UNROLL(n)      _Pragma(AITERI_STR(GCC unroll n))
#define AITERI_UNROLL_SOME(n) _Pragma(AITERI_STR(GCC unroll n))
#endif
#endif

#define AITERI_CAT_(a, b) a##_##b
#define AITERI_CAT(a, b)  AITERI_CAT_(a, b)
#define AITERI_STR(...)   #__VA_ARGS__

/* Into L2 and what is behind it; a bad address is harmless. Into L1 as well was 8 % slower where it
 * was measured (Intel Xeon), and makes no difference to two threads of a Zen 5. */
#if AITERI_MSVC && AITERI_X86
#define AITERI_PREFETCH(p) _mm_prefetch((const char *)(p), _MM_HINT_T1)
#elif AITERI_MSVC
#define AITERI_PREFETCH(p) __prefetch(p)
#else
#define AITERI_PREFETCH(p) __builtin_prefetch((p), 0, 2)
#endif

/* AITERI_TARGET_BEGIN(AITERI_TARGET_AVX2) ... AITERI_TARGET_END: functions defined in between may
 * use the named instructions. Each compiler spells it differently; MSVC needs nothing. */
#if defined(__clang__)
#define AITERI_TARGET_BEGIN(list) \
    _Pragma(AITERI_STR(clang attribute push(__attribute__((target(list))), apply_to = function)))
#define AITERI_TARGET_END _Pragma("clang attribute pop")
#elif defined(__GNUC__)
/* g++ 12 warns about the deliberately undefined value inside its own avx512fintrin.h. */
#define AITERI_TARGET_BEGIN(list)                                                            \
    _Pragma("GCC push_options") _Pragma(AITERI_STR(GCC target(list)))                        \
        _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wuninitialized\"") \
            _Pragma("GCC diagnostic ignored \"-Wmaybe-uninitialized\"")
#define AITERI_TARGET_END _Pragma("GCC diagnostic pop") _Pragma("GCC pop_options")
#else
#define AITERI_TARGET_BEGIN(list)
#define AITERI_TARGET_END
#endif

/* LLVM 18..21 split "may use zmm" out of avx512f into a feature of its own, and zig cc switches it
 * off by name for baseline CPUs; LLVM 17 and 22 do not know the word and then drop the whole
 * attribute with a mere warning. */
#if defined(__clang__) && __clang_major__ < 22 && \
    (__clang_major__ >= 18 || (defined(__apple_build_version__) && __clang_major__ >= 17))
#define AITERI_EVEX512 ",evex512"
#else
#define AITERI_EVEX512 ""
#endif
#define AITERI_TARGET_AVX2 "avx2,fma,f16c"
#define AITERI_TARGET_AVX512 \
    "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512cd" AITERI_EVEX512

/* gcc has the intrinsics from 10 on. */
#if AITERI_X86 && !AITERI_MSVC && (defined(__clang__) || __GNUC__ >= 10)
#define AITERI_X86_BF16 1
#else
#define AITERI_X86_BF16 0
#endif
#define AITERI_TARGET_AVX512_BF16 AITERI_TARGET_AVX512 ",avx512bf16"

/* Around the whole implementation: floating point means what IEEE 754 says, whatever the user's
 * flags (-ffast-math, -Ofast, /fp:fast), and a*b+c is never silently fused, so that every
 * optimisation level and every compiler gives the same bits. */
#if AITERI_CLANG_FAST_MATH
#define AITERI_NUMERICS_BEGIN \
    _Pragma("float_control(precise, on, push)") _Pragma("clang fp contract(off)")
#define AITERI_NUMERICS_END _Pragma("float_control(pop)")
#elif AITERI_CLANG_FLOAT_CONTROL
#define AITERI_NUMERICS_BEGIN _Pragma("float_control(push)") _Pragma("clang fp contract(off)")
#define AITERI_NUMERICS_END   _Pragma("float_control(pop)")
#elif defined(__clang__) /* no way back */
#define AITERI_NUMERICS_BEGIN _Pragma("clang fp contract(off)")
#define AITERI_NUMERICS_END
#elif defined(__GNUC__)
#define AITERI_NUMERICS_BEGIN \
    _Pragma("GCC push_options") _Pragma("GCC optimize(\"no-fast-math\",\"fp-contract=off\")")
#define AITERI_NUMERICS_END _Pragma("GCC pop_options")
#elif AITERI_MSVC
#define AITERI_NUMERICS_BEGIN __pragma(float_control(precise, on, push)) __pragma(fp_contract(off))
#define AITERI_NUMERICS_END   __pragma(float_control(pop))
#else
#define AITERI_NUMERICS_BEGIN
#define AITERI_NUMERICS_END
#endif

/* Around the kernels: -O2 whatever the user's -O, and without passes of gcc's that leave their hot
 * loops as they are, since those are unrolled and spelt out. -O3 makes the vector sets no faster
 * and prefill of the scalar set a quarter as fast. gcse pays: it loads constants once; and so do
 * the dominator passes (AVX-512 dots of four rows, 6 %), ivopts with guessed branches (5 to 20 %)
 * and the scheduler (3 %). The engine's loops over keys need them all (5 % more instructions of a
 * decode without). Around what runs once a call: -O1 takes half of -O2's time for it and makes it
 * smaller.
 */
#if defined(__GNUC__) && !defined(__clang__)
/* clang-format off */
#define AITERI_FEWER_PASSES                                                                      \
    _Pragma("GCC optimize(\"no-tree-pta\",\"no-tree-vrp\",\"no-tree-pre\",\"no-code-hoisting\")") \
    _Pragma("GCC optimize(\"no-thread-jumps\",\"no-tree-bit-ccp\",\"no-tree-tail-merge\")")       \
    _Pragma("GCC optimize(\"no-split-paths\",\"no-store-merging\",\"no-cprop-registers\")")       \
    _Pragma("GCC optimize(\"no-optimize-strlen\",\"no-tree-switch-conversion\")")
/* clang-format on */
#if defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#define AITERI_OPTIMIZED(level) _Pragma("GCC push_options") _Pragma(level) AITERI_FEWER_PASSES
#define AITERI_KERNELS_BEGIN    AITERI_OPTIMIZED("GCC optimize(\"O2\")")
#define AITERI_ONCE_A_CALL_BEGIN             \
    AITERI_OPTIMIZED("GCC optimize(\"O1\")") \
    _Pragma("GCC optimize(\"no-tree-dominator-opts\")")
#define AITERI_KERNELS_END     _Pragma("GCC pop_options")
#define AITERI_ONCE_A_CALL_END _Pragma("GCC pop_options")
#endif
#endif
#ifndef AITERI_KERNELS_BEGIN
#define AITERI_KERNELS_BEGIN
#define AITERI_KERNELS_END
#define AITERI_ONCE_A_CALL_BEGIN
#define AITERI_ONCE_A_CALL_END
#endif

/* Vector arithmetic by operator where the compiler has it: unlike a call of the intrinsic, whose
 * body may have been read under the user's -ffast-math, an operator obeys AITERI_NUMERICS_BEGIN.
 * clang's back end fuses under -ffast-math whatever the pragmas say, but not across an asm. */
#if AITERI_MSVC
#define AITERI_VECTOR_OP(intrinsic, a, op, b) intrinsic(a, b)
#else
#define AITERI_VECTOR_OP(intrinsic, a, op, b) ((a)op(b))
#endif
#if AITERI_CLANG_FAST_MATH && AITERI_X86
#define AITERI_FENCE_PRODUCT(x) __asm__("" : "+x"(x))
#elif AITERI_CLANG_FAST_MATH && AITERI_NEON
#define AITERI_FENCE_PRODUCT(x) __asm__("" : "+w"(x))
#else
#define AITERI_FENCE_PRODUCT(x) ((void)0)
#endif
#if AITERI_HAS_BUILTIN(__builtin_elementwise_fma)
#define AITERI_VECTOR_FMA(intrinsic, a, b, c) __builtin_elementwise_fma(a, b, c)
#else
#define AITERI_VECTOR_FMA(intrinsic, a, b, c) intrinsic(a, b, c)
#endif

/* Keeps a vector that several products share in a register: gcc would fold its load into each of
 * them, and the load ports are what such loops run out of. */
#if AITERI_X86 && !AITERI_MSVC
#define AITERI_IN_REGISTER(x) __asm__("" : "+v"(x))
#else
#define AITERI_IN_REGISTER(x) ((void)0)
#endif

/* A pointer kept in a register of its own, not computed from its neighbours at every step. */
#if AITERI_X86 && !AITERI_MSVC
#define AITERI_OPAQUE(x) __asm__("" : "+r"(x))
#else
#define AITERI_OPAQUE(x) ((void)0)
#endif

/* What is read at `place` (an index, a pointer) from here on is not read before the vectors x[0],
 * .. are known. Where accumulators fill the register file, clang on x86 and gcc on Arm would put
 * some on the stack to load the next operand early. */
#if AITERI_X86 && defined(__clang__) && !AITERI_MSVC
#define AITERI_NOT_BEFORE_3(place, x) \
    __asm__("" : "+r"(place) : "v"((x)[0]), "v"((x)[1]), "v"((x)[2]))
#else
#define AITERI_NOT_BEFORE_3(place, x) ((void)0)
#endif
#if AITERI_NEON && defined(__GNUC__) && !defined(__clang__)
#define AITERI_NOT_BEFORE_4(place, x) \
    __asm__("" : "+r"(place) : "w"((x)[0]), "w"((x)[1]), "w"((x)[2]), "w"((x)[3]))
#else
#define AITERI_NOT_BEFORE_4(place, x) ((void)0)
#endif

/* Whether a float expression may keep more than a float holds until it is stored: x87 (-m32,
 * -mfpmath=387), s390x in strict C99. 16 and 32 concern types shorter than float alone. */
#if defined(__FLT_EVAL_METHOD__)
#define AITERI_EXCESS_PRECISION \
    (__FLT_EVAL_METHOD__ != 0 && __FLT_EVAL_METHOD__ != 16 && __FLT_EVAL_METHOD__ != 32)
#elif defined(_M_IX86_FP)
#define AITERI_EXCESS_PRECISION (_M_IX86_FP < 2)
#else
#define AITERI_EXCESS_PRECISION 0
#endif

/* Through memory: the only way in which every compiler lets go of the excess. */
#if !AITERI_EXCESS_PRECISION
#define AITERI_ROUND(type, x) ((void)0)
#elif AITERI_MSVC
#define AITERI_ROUND(type, x)              \
    do {                                   \
        volatile type aiteri_stored = (x); \
        (x) = aiteri_stored;               \
    } while (0)
#else
#define AITERI_ROUND(type, x) __asm__("" : "+m"(x))
#endif

/* A float's bits, which rounds it, and back. */
AITERI_FORCE_INLINE uint32_t aiteri_bits_of_f32(float x)
{
    uint32_t u;
    AITERI_ROUND(float, x);
    memcpy(&u, &x, sizeof u);
#if AITERI_CLANG_FAST_MATH
    __asm__("" : "+r"(u)); /* else a comparison with the bits of infinity is never true */
#endif
    return u;
}

AITERI_FORCE_INLINE float aiteri_f32_of_bits(uint32_t u)
{
    float x;
#if AITERI_CLANG_FAST_MATH
    __asm__("" : "+r"(u)); /* else a function that returns a known infinity returns anything */
#endif
    memcpy(&x, &u, sizeof x);
    return x;
}

/* x as a float and as a double: assignments and casts alone do not promise it. The wide types hold
 * twice the digits of a float and more, so that rounding twice gives the bits of rounding once. */
AITERI_FORCE_INLINE float aiteri_rounded(float x)
{
    AITERI_ROUND(float, x);
    return x;
}

AITERI_FORCE_INLINE double aiteri_rounded_f64(double x)
{
    AITERI_ROUND(double, x);
    return x;
}

/* c ? a : b. clang under -ffast-math takes it that neither a nor b of a float `?:` is NaN or
 * infinite, whatever the pragmas say; `if` statements are safe. */
AITERI_FORCE_INLINE float aiteri_select_f32(int c, float a, float b)
{
#if AITERI_CLANG_FAST_MATH
    return aiteri_f32_of_bits(c ? aiteri_bits_of_f32(a) : aiteri_bits_of_f32(b));
#else
    return c ? a : b;
#endif
}

/* Atomics on counters as wide as a pointer: wider ones need a library on some CPUs. add returns the
 * value before; load acquires, store releases. */
typedef intptr_t aiteri_counter;
#if AITERI_MSVC
#if defined(_WIN64)
#define AITERI_INTERLOCKED(name, p, ...) name##64((volatile __int64 *)(p), __VA_ARGS__)
#else
#define AITERI_INTERLOCKED(name, p, ...) name((volatile long *)(p), __VA_ARGS__)
#endif
AITERI_FORCE_INLINE aiteri_counter aiteri_atomic_add(volatile aiteri_counter *p, aiteri_counter v)
{
    return AITERI_INTERLOCKED(_InterlockedExchangeAdd, p, v);
}
AITERI_FORCE_INLINE aiteri_counter aiteri_atomic_load(volatile aiteri_counter *p)
{
    return AITERI_INTERLOCKED(_InterlockedCompareExchange, p, 0, 0);
}
AITERI_FORCE_INLINE void aiteri_atomic_store(volatile aiteri_counter *p, aiteri_counter v)
{
    AITERI_INTERLOCKED(_InterlockedExchange, p, v);
}
#else
AITERI_FORCE_INLINE aiteri_counter aiteri_atomic_add(volatile aiteri_counter *p, aiteri_counter v)
{
    return __atomic_fetch_add(p, v, __ATOMIC_ACQ_REL);
}
AITERI_FORCE_INLINE aiteri_counter aiteri_atomic_load(volatile aiteri_counter *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}
AITERI_FORCE_INLINE void aiteri_atomic_store(volatile aiteri_counter *p, aiteri_counter v)
{
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}
#endif

#endif /* AITERI_PLATFORM_H */
