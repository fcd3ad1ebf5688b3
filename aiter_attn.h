/* Generated from src/ by tools/amalgamate.c: edit src/, then build the target `header`. */

// >>spine    (src/spine.h)
/* spine.h -- the table of contents: one line per module, in reading order. */

// >>manual    (src/manual.h)
/*
    aiter_attn.h -- attention as one C header: flash, padded, varlen and paged attention with a
    quantised KV cache, on the CPU by SIMD with nothing but a C compiler

    Do this in *one* C or C++ file to create the implementation, and include it plainly elsewhere:

        #define AITER_ATTN_IMPLEMENTATION
        #include "aiter_attn.h"

    Compile with any C99 or C++17 compiler, no -m flag: every kernel set (scalar, AVX2, AVX-512,
    NEON) is in the binary and the best that the CPU has is chosen at run time. Link with -lm
    -lpthread.

    FIRST CONTACT, in C99

        #include <stdio.h>
        #define AITER_ATTN_IMPLEMENTATION
        #include "aiter_attn.h"

        int main(void)
        {
            enum { B = 1, Sq = 4, Sk = 6, Hq = 4, Hk = 2, D = 8 };
            static float q[B * Sq * Hq * D], o[B * Sq * Hq * D];
            static float k[B * Sk * Hk * D], v[B * Sk * Hk * D];
            aiter_flash_attn_fwd_args a = {
                .q = aiter_tensor_4d(q, AITER_F32, B, Sq, Hq, D),
                .kv.k = aiter_tensor_4d(k, AITER_F32, B, Sk, Hk, D),
                .kv.v = aiter_tensor_4d(v, AITER_F32, B, Sk, Hk, D),
                .out = aiter_tensor_4d(o, AITER_F32, B, Sq, Hq, D),
                .score.mask = AITER_MASK_CAUSAL,
            };
            if (aiter_flash_attn_fwd(&a, NULL) != AITER_OK) puts(aiter_last_error());
            return 0;
        }

    and in C++17

        #include <cstdio>
        #define AITER_ATTN_IMPLEMENTATION
        #include "aiter_attn.h"

        int main()
        {
            constexpr int B = 1, Sq = 4, Sk = 6, Hq = 4, Hk = 2, D = 8;
            static float q[B * Sq * Hq * D], o[B * Sq * Hq * D];
            static float k[B * Sk * Hk * D], v[B * Sk * Hk * D];
            aiter_flash_attn_fwd_args a{};
            a.q = aiter_tensor_4d(q, AITER_F32, B, Sq, Hq, D);
            a.kv.k = aiter_tensor_4d(k, AITER_F32, B, Sk, Hk, D);
            a.kv.v = aiter_tensor_4d(v, AITER_F32, B, Sk, Hk, D);
            a.out = aiter_tensor_4d(o, AITER_F32, B, Sq, Hq, D);
            a.score.mask = AITER_MASK_CAUSAL;
            if (aiter_flash_attn_fwd(a) != AITER_OK) std::puts(aiter_last_error());
        }

    THE RULES, once for all ops

    * Arguments are a struct; zero is the default of every field. Tensors are views: pointer, dtype,
      extents, strides in elements; strides all 0 mean compact. Any layout is a matter of strides.
    * Every call returns aiter_status. aiter_last_error() names op, field, what it got and what it
      expected. Arguments are checked in release builds too; a call that fails has written nothing.
    * Nothing is printed, nothing aborts. A NULL context works on the calling thread with malloc'd
      scratch; an aiter_context brings threads (its own small pool, or yours through parallel_for)
      and memory that is kept; call.workspace takes yours.
    * Inputs may be f32, f16 or bf16, keys and values fp8 and int8 too; arithmetic is f32. A row
      without a visible key gives 0 and LSE -infinity.
    * Within one kernel set the bits of a query row depend on its own q and keys only: not on the
      number of threads, the rest of the batch, the page size, or what lies in memory beside it.

    THE OPS

        aiter_flash_attn_fwd             dense, padded, varlen, paged; every mask, sinks, bias
        aiter_paged_attn_decode          new tokens against a paged cache
        aiter_reshape_and_cache          new K and V rows into the pages, converted or quantised
        aiter_swap_blocks                whole blocks from one cache to another
        aiter_copy_blocks                whole blocks inside the caches of all layers
        aiter_merge_attn_states          two results over disjoint keys become one
        aiter_rope_fwd                   rows turned by their positions: every kind of RoPE
        aiter_quantize, aiter_dequantize numbers to fp8, int8, int4, MXFP4, MXFP8, NVFP4, and back
        aiter_grouped_query_attention, aiter_multi_query_attention, aiter_variable_length_attention
                                         the first, by names that its forms have elsewhere
        aiter_decode_attention, aiter_decode_attention_gqa      one token, transposed layouts
        aiter_padding_guard              would zero padding spoil a softmax?

    Each but the last has a _workspace (the scratch bytes), a _supported (would it run?), an
    _explain (what would run, as text), most a _plan. They share their arguments' parts: aiter_kv
    (keys and values as they lie), aiter_score (from q . k to the softmax), aiter_call (memory).

    OPTIONS, defined before the include

        AITER_ATTN_IMPLEMENTATION   create the implementation here
        AITER_ATTN_STATIC           every function static: private to this file
        AITER_ATTN_PREFIX           another prefix for external names, e.g. mylib_
        AITER_ATTN_NO_SIMD          the scalar kernel set only
        AITER_ATTN_NO_THREADS       no pool (parallel_for still works)
        AITER_ATTN_HIP              contexts on AMD GPUs (gfx90a, gfx942, gfx950)
        AITER_ATTN_CUDA             contexts on NVIDIA GPUs (sm_80 and later)
        AITER_ATTN_EMBEDDED_KERNELS the GPU kernels are linked in (library aiter_attn_kernels)
        AITER_ATTN_SELFTEST         aiter_selftest: every op and kernel set of this machine
        AITER_ATTN_ONLY_FLASH, _DECODE, _CACHE, _MERGE, _ROPE, _QUANT   these families alone
        AITER_ATTN_NO_FLASH, _DECODE, _CACHE, _MERGE, _ROPE, _QUANT     all but these
                                                                        (docs/guide.md, 11)

    The environment variable AITER_ISA (scalar, avx2, avx512, neon) caps the kernel set,
    AITER_KERNEL_CLASS (general, plain) pins the class of a device's kernels;
    AITER_ATTN_HIP_LIBRARY and AITER_ATTN_CUDA_LIBRARY name other drivers (so do macros of these
    names).

    ON A GPU a context with .device = AITER_DEVICE_HIP and .kernel_path = the folder of the kernels
    that `zig build gpu` makes. Every tensor of its calls is device memory; calls are put on
    .stream. Types f16 and bf16, the last dimension dense; the driver is looked for at run time, and
    without one aiter_context_create says NO_DEVICE. See aiter_context_desc.

    FURTHER: docs/guide.md (which attention to use, masks with pictures, numerics, porting from
    AITER, flash-attention, FlashInfer and torch), the comment above each declaration, examples/.
    To read the code start at src/spine.h. Not in this version: backward, int4 caches,
    MLA, sparse attention; see CHANGELOG.md.
*/
#ifndef AITER_ATTN_H
#define AITER_ATTN_H
#ifdef AITER_ATTN_PREFIX
#define AITER_PREFIXED_(prefix, name)   prefix##name
#define AITER_PREFIXED_OF(prefix, name) AITER_PREFIXED_(prefix, name)
#define AITER_PREFIXED(name)            AITER_PREFIXED_OF(AITER_ATTN_PREFIX, name)
#define aiter_tensor_1d AITER_PREFIXED(tensor_1d)
#define aiter_tensor_2d AITER_PREFIXED(tensor_2d)
#define aiter_tensor_3d AITER_PREFIXED(tensor_3d)
#define aiter_tensor_4d AITER_PREFIXED(tensor_4d)
#define aiter_tensor_5d AITER_PREFIXED(tensor_5d)
#define aiter_tensor_transpose AITER_PREFIXED(tensor_transpose)
#define aiter_tensor_slice AITER_PREFIXED(tensor_slice)
#define aiter_dtype_bits AITER_PREFIXED(dtype_bits)
#define aiter_dtype_name AITER_PREFIXED(dtype_name)
#define aiter_isa_name AITER_PREFIXED(isa_name)
#define aiter_status_name AITER_PREFIXED(status_name)
#define aiter_last_error AITER_PREFIXED(last_error)
#define aiter_version AITER_PREFIXED(version)
#define aiter_load_element AITER_PREFIXED(load_element)
#define aiter_store_element AITER_PREFIXED(store_element)
#define aiter_context_create AITER_PREFIXED(context_create)
#define aiter_context_destroy AITER_PREFIXED(context_destroy)
#define aiter_context_info AITER_PREFIXED(context_info)
#define aiter_context_error AITER_PREFIXED(context_error)
#define aiter_memory_alloc AITER_PREFIXED(memory_alloc)
#define aiter_memory_free AITER_PREFIXED(memory_free)
#define aiter_memory_copy AITER_PREFIXED(memory_copy)
#define aiter_context_synchronize AITER_PREFIXED(context_synchronize)
#define aiter_tensor_from_dlpack AITER_PREFIXED(tensor_from_dlpack)
#define aiter_tensor_to_dlpack AITER_PREFIXED(tensor_to_dlpack)
#define aiter_flash_attn_fwd AITER_PREFIXED(flash_attn_fwd)
#define aiter_paged_attn_decode AITER_PREFIXED(paged_attn_decode)
#define aiter_reshape_and_cache AITER_PREFIXED(reshape_and_cache)
#define aiter_swap_blocks AITER_PREFIXED(swap_blocks)
#define aiter_copy_blocks AITER_PREFIXED(copy_blocks)
#define aiter_merge_attn_states AITER_PREFIXED(merge_attn_states)
#define aiter_rope_fwd AITER_PREFIXED(rope_fwd)
#define aiter_quantize AITER_PREFIXED(quantize)
#define aiter_dequantize AITER_PREFIXED(dequantize)
#define aiter_grouped_query_attention AITER_PREFIXED(grouped_query_attention)
#define aiter_multi_query_attention AITER_PREFIXED(multi_query_attention)
#define aiter_variable_length_attention AITER_PREFIXED(variable_length_attention)
#define aiter_decode_attention AITER_PREFIXED(decode_attention)
#define aiter_decode_attention_gqa AITER_PREFIXED(decode_attention_gqa)
#define aiter_padding_guard AITER_PREFIXED(padding_guard)
#define aiter_selftest AITER_PREFIXED(selftest)
#define aiter_flash_attn_fwd_workspace AITER_PREFIXED(flash_attn_fwd_workspace)
#define aiter_flash_attn_fwd_supported AITER_PREFIXED(flash_attn_fwd_supported)
#define aiter_flash_attn_fwd_explain AITER_PREFIXED(flash_attn_fwd_explain)
#define aiter_flash_attn_fwd_plan AITER_PREFIXED(flash_attn_fwd_plan)
#define aiter_paged_attn_decode_workspace AITER_PREFIXED(paged_attn_decode_workspace)
#define aiter_paged_attn_decode_supported AITER_PREFIXED(paged_attn_decode_supported)
#define aiter_paged_attn_decode_explain AITER_PREFIXED(paged_attn_decode_explain)
#define aiter_paged_attn_decode_plan AITER_PREFIXED(paged_attn_decode_plan)
#define aiter_grouped_query_attention_workspace AITER_PREFIXED(grouped_query_attention_workspace)
#define aiter_grouped_query_attention_supported AITER_PREFIXED(grouped_query_attention_supported)
#define aiter_grouped_query_attention_explain AITER_PREFIXED(grouped_query_attention_explain)
#define aiter_grouped_query_attention_plan AITER_PREFIXED(grouped_query_attention_plan)
#define aiter_multi_query_attention_workspace AITER_PREFIXED(multi_query_attention_workspace)
#define aiter_multi_query_attention_supported AITER_PREFIXED(multi_query_attention_supported)
#define aiter_multi_query_attention_explain AITER_PREFIXED(multi_query_attention_explain)
#define aiter_multi_query_attention_plan AITER_PREFIXED(multi_query_attention_plan)
#define aiter_variable_length_attention_workspace AITER_PREFIXED(variable_length_attention_workspace)
#define aiter_variable_length_attention_supported AITER_PREFIXED(variable_length_attention_supported)
#define aiter_variable_length_attention_explain AITER_PREFIXED(variable_length_attention_explain)
#define aiter_variable_length_attention_plan AITER_PREFIXED(variable_length_attention_plan)
#define aiter_decode_attention_workspace AITER_PREFIXED(decode_attention_workspace)
#define aiter_decode_attention_supported AITER_PREFIXED(decode_attention_supported)
#define aiter_decode_attention_explain AITER_PREFIXED(decode_attention_explain)
#define aiter_decode_attention_gqa_workspace AITER_PREFIXED(decode_attention_gqa_workspace)
#define aiter_decode_attention_gqa_supported AITER_PREFIXED(decode_attention_gqa_supported)
#define aiter_decode_attention_gqa_explain AITER_PREFIXED(decode_attention_gqa_explain)
#define aiter_reshape_and_cache_workspace AITER_PREFIXED(reshape_and_cache_workspace)
#define aiter_reshape_and_cache_supported AITER_PREFIXED(reshape_and_cache_supported)
#define aiter_reshape_and_cache_explain AITER_PREFIXED(reshape_and_cache_explain)
#define aiter_swap_blocks_workspace AITER_PREFIXED(swap_blocks_workspace)
#define aiter_swap_blocks_supported AITER_PREFIXED(swap_blocks_supported)
#define aiter_swap_blocks_explain AITER_PREFIXED(swap_blocks_explain)
#define aiter_copy_blocks_workspace AITER_PREFIXED(copy_blocks_workspace)
#define aiter_copy_blocks_supported AITER_PREFIXED(copy_blocks_supported)
#define aiter_copy_blocks_explain AITER_PREFIXED(copy_blocks_explain)
#define aiter_merge_attn_states_workspace AITER_PREFIXED(merge_attn_states_workspace)
#define aiter_merge_attn_states_supported AITER_PREFIXED(merge_attn_states_supported)
#define aiter_merge_attn_states_explain AITER_PREFIXED(merge_attn_states_explain)
#define aiter_rope_fwd_workspace AITER_PREFIXED(rope_fwd_workspace)
#define aiter_rope_fwd_supported AITER_PREFIXED(rope_fwd_supported)
#define aiter_rope_fwd_explain AITER_PREFIXED(rope_fwd_explain)
#define aiter_quantize_workspace AITER_PREFIXED(quantize_workspace)
#define aiter_quantize_supported AITER_PREFIXED(quantize_supported)
#define aiter_quantize_explain AITER_PREFIXED(quantize_explain)
#define aiter_dequantize_workspace AITER_PREFIXED(dequantize_workspace)
#define aiter_dequantize_supported AITER_PREFIXED(dequantize_supported)
#define aiter_dequantize_explain AITER_PREFIXED(dequantize_explain)
#endif

// >>api_types    (src/api_types.h)
/* api_types.h -- status, dtypes, tensor views, masks, context: the words every op speaks. */
#ifndef AITER_API_TYPES_H
#define AITER_API_TYPES_H

#include <stddef.h>
#include <stdint.h>

/* major * 10000 + minor * 100 + patch. */
#define AITER_ATTN_VERSION        200
#define AITER_ATTN_VERSION_STRING "0.2.0"

/* AITER_ATTN_STATIC makes every function private to the file that holds the implementation, so
 * that several copies can live in one program. AITER_ATTN_PREFIX gives the external names another
 * prefix instead (#define AITER_ATTN_PREFIX mylib_). */
#ifndef AITER_ATTN_API
#ifdef AITER_ATTN_STATIC
#if defined(__GNUC__) || defined(__clang__)
#define AITER_ATTN_API static __attribute__((unused))
#else
#define AITER_ATTN_API static
#endif
#else
#define AITER_ATTN_API extern
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Every public function but the pure queries returns one of these; 0 is success. The text of the
 * failure is in aiter_last_error() (this thread) and aiter_context_error(ctx) (this context).
 * Each row: name, value, what aiter_status_name() returns. */
#define AITER_STATUS_LIST(X)                                                                    \
    X(AITER_OK, 0, "ok")                                                                        \
    X(AITER_INVALID_ARGUMENT, 1, "invalid argument")       /* names op.field, got, expected */  \
    X(AITER_UNSUPPORTED, 2, "unsupported")                 /* valid, but no kernel here */      \
    X(AITER_WORKSPACE_TOO_SMALL, 3, "workspace too small") /* the text says the bytes needed */ \
    X(AITER_OUT_OF_MEMORY, 4, "out of memory")             /* an allocation or thread failed */ \
    X(AITER_DEVICE, 5, "device error")                     /* the driver's code and text */     \
    X(AITER_NO_DEVICE, 6, "no device")                     /* no driver or no such device */    \
    X(AITER_NO_KERNEL, 7, "no kernel")                     /* architecture and missing instance */

/* See AITER_STATUS_LIST. */
typedef enum aiter_status {
#define AITER_STATUS_ROW(name, value, text) name = value,
    AITER_STATUS_LIST(AITER_STATUS_ROW)
#undef AITER_STATUS_ROW
        AITER_STATUS_COUNT
} aiter_status;

/* Storage types. 0 is unset and an error where a tensor is needed. I4 packs two values per byte,
 * low nibble first, two's complement. The fp8 types: E4M3FN has no infinity and a maximum of 448
 * (gfx950), E4M3FNUZ has one NaN and a maximum of 240 (gfx942), E5M2 is IEEE-like, 57344. F4_E2M1
 * packs as I4 does: a sign and one of 0, 0.5, 1, 1.5, 2, 3, 4, 6. F8_E8M0 is a scale: 2^(byte -
 * 127), 255 is NaN. The last two belong to aiter_quantize and aiter_dequantize alone. */
typedef enum aiter_dtype {
    AITER_DTYPE_UNSET = 0,
    AITER_F32,
    AITER_F16,
    AITER_BF16,
    AITER_F8_E4M3FN,
    AITER_F8_E4M3FNUZ,
    AITER_F8_E5M2,
    AITER_I8,
    AITER_I4,
    AITER_I32,
    AITER_I64,
    AITER_U8,
    AITER_F4_E2M1,
    AITER_F8_E8M0,
    AITER_DTYPE_COUNT
} aiter_dtype;

/* CPU kernel sets, worst first within an architecture. AUTO: the best this CPU can run. */
typedef enum aiter_isa {
    AITER_ISA_AUTO = 0,
    AITER_ISA_SCALAR,
    AITER_ISA_AVX2,   /* AVX2, FMA, F16C */
    AITER_ISA_AVX512, /* AVX-512 F, BW, DQ, VL, CD */
    AITER_ISA_NEON,   /* AArch64 Advanced SIMD */
    /* AVX-512 whose bf16 prefill multiplies bf16 pairs; only where it is named, as isa_max or in
     * AITER_ISA: its softmax weights are bf16. */
    AITER_ISA_AVX512_BF16,
    AITER_ISA_COUNT
} aiter_isa;

/* What a device kernel of attention is made for. PLAIN: no mask or a causal one over dense, aligned
 * rows, its head sizes, nothing else, and that fast. GENERAL: every mask, score option and layout.
 * AUTO: the plainest that takes the call. */
typedef enum aiter_kernel_class {
    AITER_KERNEL_CLASS_AUTO = 0,
    AITER_KERNEL_CLASS_GENERAL,
    AITER_KERNEL_CLASS_PLAIN,
    AITER_KERNEL_CLASS_COUNT
} aiter_kernel_class;

/* Where the tensors of a context live. */
typedef enum aiter_device {
    AITER_DEVICE_CPU = 0,
    AITER_DEVICE_HIP,
    AITER_DEVICE_CUDA
} aiter_device;

/* What an allocation hook is asked for. */
typedef enum aiter_memory {
    AITER_MEMORY_HOST = 0,
    AITER_MEMORY_DEVICE,
    AITER_MEMORY_PINNED
} aiter_memory;

/* How much a line given to the log hook matters. */
typedef enum aiter_log_level {
    AITER_LOG_ERROR = 0,
    AITER_LOG_WARNING,
    AITER_LOG_INFO
} aiter_log_level;

/* Which keys j a query row i sees, with delta = seqlen_k - seqlen_q of its own sequence:
 *   NONE             all
 *   CAUSAL           j <= i + delta            (bottom-right: the last query sees the last key)
 *   CAUSAL_TOP_LEFT  j <= i
 *   WINDOW           i + delta - window_left <= j <= i + delta + window_right; -1 opens a side
 * DEFAULT is NONE in flash, grouped, multi and variable-length attention and CAUSAL in every op
 * that continues a cache. window_left and window_right belong to WINDOW: with another mask they are
 * 0 or -1, else the call is refused. sink_tokens keeps keys [0, sink_tokens) visible left of a
 * window; the right edge still holds, and where no window hides keys it changes nothing. A row with
 * no visible key gives output 0 and LSE -infinity. */
typedef enum aiter_mask {
    AITER_MASK_DEFAULT = 0,
    AITER_MASK_NONE,
    AITER_MASK_CAUSAL,
    AITER_MASK_CAUSAL_TOP_LEFT,
    AITER_MASK_WINDOW,
    AITER_MASK_COUNT
} aiter_mask;

/* How finely data is scaled. 0: as the shape of its scales says, [1] one scale, [Hk] one per kv
 * head, or the data's index order without D, one per token and head. The last three are the names
 * that AITER's guide gives its methods for a cache. */
typedef enum aiter_scale_kind {
    AITER_SCALE_BY_SHAPE = 0,
    AITER_SCALE_PER_TENSOR,
    AITER_SCALE_PER_HEAD,
    AITER_SCALE_PER_TOKEN_HEAD,
    AITER_SCALE_COUNT,
    AITER_KV_8BIT_PER_TENSOR = AITER_SCALE_PER_TENSOR,
    AITER_KV_8BIT_PER_HEAD = AITER_SCALE_PER_HEAD,
    AITER_KV_8BIT_PER_TOKEN = AITER_SCALE_PER_TOKEN_HEAD
} aiter_scale_kind;

/* Which two elements of the dim that RoPE turns are a pair: NEOX i and i + dim / 2, GPTJ 2i and
 * 2i + 1. */
typedef enum aiter_rope_pairing {
    AITER_ROPE_NEOX = 0,
    AITER_ROPE_GPTJ,
    AITER_ROPE_PAIRING_COUNT
} aiter_rope_pairing;

/* Which of a token's positions turns pair i of the dim / 2:
 *   ONE                its only one
 *   2D                 the first half of the pairs by its row in an image, the others by its
 *                      column; the elements of a half are paired among themselves
 *   MULTI              sections[0] pairs by the first of three positions, then sections[1] by the
 *                      second, then sections[2] by the third
 *   MULTI_INTERLEAVED  i % 3 = 1 and i < 3 sections[1]: the second; i % 3 = 2 and
 *                      i < 3 sections[2]: the third; else the first */
typedef enum aiter_rope_kind {
    AITER_ROPE_ONE = 0,
    AITER_ROPE_2D,
    AITER_ROPE_MULTI,
    AITER_ROPE_MULTI_INTERLEAVED,
    AITER_ROPE_KIND_COUNT
} aiter_rope_kind;

/* What becomes of a value halfway between two codes. TOWARD_ZERO is gguf's, ggml's and mlx's rule
 * of MXFP4 (0.75 is 0.5). */
typedef enum aiter_rounding {
    AITER_ROUND_TIES_TO_EVEN = 0,
    AITER_ROUND_TIES_TOWARD_ZERO,
    AITER_ROUNDING_COUNT
} aiter_rounding;

/* How the F8_E8M0 scale of a group follows from a = max |x|, F the largest value of the codes, 2^P
 * the largest power of two that they hold, m their mantissa bits:
 *   UP     a * (1 / F) in f32, up to the next power of two (AITER's HIP kernels, torchao, mlx)
 *   FLOOR  a down to a power of two, / 2^P: up to a third is clipped (the OCP text, gguf)
 *   CEIL   a * 2^-P, up to the next power of two
 *   EVEN   a rounded half up to m mantissa bits, then as FLOOR (Quark, AITER's Triton MXFP4) */
typedef enum aiter_scale_rounding {
    AITER_SCALE_ROUND_UP = 0,
    AITER_SCALE_ROUND_FLOOR,
    AITER_SCALE_ROUND_CEIL,
    AITER_SCALE_ROUND_EVEN,
    AITER_SCALE_ROUNDING_COUNT
} aiter_scale_rounding;

/* What becomes of a value beyond the largest fp8 code: that code, or, as ml_dtypes has it, NaN,
 * which is infinity in E5M2. */
typedef enum aiter_overflow {
    AITER_OVERFLOW_SATURATES = 0,
    AITER_OVERFLOW_TO_NAN,
    AITER_OVERFLOW_COUNT
} aiter_overflow;

/* The computed scale of a group of zeros: 0, the byte 0 of F8_E8M0 (gguf), or 1, its byte 127
 * (mlx). Its codes are zeros. */
typedef enum aiter_zero_block {
    AITER_ZERO_BLOCK_SCALE_0 = 0,
    AITER_ZERO_BLOCK_SCALE_1,
    AITER_ZERO_BLOCK_COUNT
} aiter_zero_block;

/* A borrowed view of strided memory. Strides count elements, as in DLPack. ndim 0: the argument is
 * absent. Strides all 0: compact, row-major. Broadcast by extent 1, or by stride 0 where another
 * stride is not 0. The stride of an extent of 1 means nothing. data may be NULL when an extent is
 * 0; else it is aligned to its elements (4 bytes for F32 and I32), and no further. */
typedef struct aiter_tensor {
    void *data;
    aiter_dtype dtype;
    int32_t ndim;
    int64_t shape[5];
    int64_t stride[5];
} aiter_tensor;

/* Compact views. The data is const here and non-const in the struct: inputs are never written.
 * Example: aiter_tensor_4d(q, AITER_BF16, B, Sq, Hq, D). */
AITER_ATTN_API aiter_tensor aiter_tensor_1d(const void *data, aiter_dtype dtype, int64_t n0);
/* As aiter_tensor_1d, shape [n0, n1]. */
AITER_ATTN_API aiter_tensor aiter_tensor_2d(const void *data, aiter_dtype dtype, int64_t n0,
                                            int64_t n1);
/* As aiter_tensor_1d, shape [n0, n1, n2]. */
AITER_ATTN_API aiter_tensor aiter_tensor_3d(const void *data, aiter_dtype dtype, int64_t n0,
                                            int64_t n1, int64_t n2);
/* As aiter_tensor_1d, shape [n0, n1, n2, n3]. */
AITER_ATTN_API aiter_tensor aiter_tensor_4d(const void *data, aiter_dtype dtype, int64_t n0,
                                            int64_t n1, int64_t n2, int64_t n3);
/* As aiter_tensor_1d, shape [n0, n1, n2, n3, n4]. */
AITER_ATTN_API aiter_tensor aiter_tensor_5d(const void *data, aiter_dtype dtype, int64_t n0,
                                            int64_t n1, int64_t n2, int64_t n3, int64_t n4);
/* The same view with dimensions a and b exchanged: [B, H, S, D] data seen as [B, S, H, D] is
 * aiter_tensor_transpose(t, 1, 2). Strides are made explicit. */
AITER_ATTN_API aiter_tensor aiter_tensor_transpose(aiter_tensor t, int32_t a, int32_t b);
/* Elements [start, start + count) of one dimension, without copying; out of range gives ndim 0. */
AITER_ATTN_API aiter_tensor aiter_tensor_slice(aiter_tensor t, int32_t dim, int64_t start,
                                               int64_t count);

/* Bits of one element: 32, 16, 8, 4 or 64; 0 for an unknown dtype. */
AITER_ATTN_API int32_t aiter_dtype_bits(aiter_dtype dtype);
/* "f32", "bf16", ...; "unset" for 0, "unknown" out of range. */
AITER_ATTN_API const char *aiter_dtype_name(aiter_dtype dtype);
/* "scalar", "avx2", "avx512", "neon"; "auto" for 0, "unknown" out of range. */
AITER_ATTN_API const char *aiter_isa_name(aiter_isa isa);
/* "ok", "invalid argument", ...; "unknown" out of range. */
AITER_ATTN_API const char *aiter_status_name(aiter_status status);
/* The text of this thread's last failure, or unsafe verdict of aiter_padding_guard; "" after none.
 * Valid until the next of either on this thread. */
AITER_ATTN_API const char *aiter_last_error(void);
/* AITER_ATTN_VERSION of the implementation that is linked. */
AITER_ATTN_API int32_t aiter_version(void);

/* One element converted exactly (to f32), or rounded to nearest even (from f32). dtype is F32, F16,
 * BF16, an fp8 type, F4_E2M1, F8_E8M0, I8 or I4 (index counts elements). NaN stays NaN; I8, I4 and
 * F4_E2M1 take 0. f16 and bf16 overflow to infinity as IEEE does; the fp8 types and F4_E2M1
 * saturate to their maximum, infinity too, so do I8 (to +-127) and I4 (to +-7). F8_E8M0 takes the
 * nearest power of two, ties up, and NaN of what is negative. An unknown dtype loads 0 and stores
 * nothing. */
AITER_ATTN_API float aiter_load_element(aiter_dtype dtype, const void *data, int64_t index);
/* See aiter_load_element. */
AITER_ATTN_API void aiter_store_element(aiter_dtype dtype, void *data, int64_t index, float value);

/* What a context is made from. Zero everywhere is a good default. */
typedef struct aiter_context_desc {
    /* Threads that may work at once. 0: as many as this process may run on (affinity and cgroup
     * quota). Must be given with parallel_for. */
    int32_t num_threads;
    /* The caller's threads instead of our pool: run body(arg, i) once for each i in [0, n), on any
     * threads, in any order, and return when all are done. Running them in turn on one thread is
     * legal: no task waits for another. n <= num_threads. */
    void (*parallel_for)(void *user, void (*body)(void *arg, int32_t i), void *arg, int32_t n);
    /* The caller's allocator, align is a power of two. Both or neither. */
    void *(*alloc)(void *user, size_t bytes, size_t align, aiter_memory kind);
    void (*free)(void *user, void *ptr, size_t bytes, aiter_memory kind);
    /* Hears what the context is, when its scratch memory grows, and the text of each failed call;
     * from the calling thread alone, text ends with the call. NULL: nobody. Nothing is printed. */
    void (*log)(void *user, aiter_log_level level, const char *text);
    void *user;
    /* > 0: scratch memory of this fixed size is allocated at creation, and never again. Of a
     * device context it is device memory, also where the hooks give it (kind DEVICE). */
    size_t arena_bytes;
    /* Caps the kernel set; the environment variable AITER_ISA (scalar, avx2, ...) caps it too. */
    aiter_isa isa_max;
    /* 1: f32 arithmetic even where 16-bit or int8 units would serve; UNSUPPORTED on a device, whose
     * matrix units take the softmax weights as f16 or bf16. */
    int32_t exact_arithmetic;
    /* Where the tensors of this context's calls lie, all of them. HIP and CUDA are there when
     * AITER_ATTN_HIP and AITER_ATTN_CUDA were defined where the implementation is made. Calls on
     * such a context put work on `stream` and return; they read no tensor, so lengths, tables and
     * slots are not checked: kernels clamp lengths and skip blocks and slots out of range. */
    aiter_device device;
    int32_t device_index;
    /* A hipStream_t or CUstream of this device, NULL: its default stream. With CUDA the stream's
     * context is used, else the caller's current one, else the device's primary one. */
    void *stream;
    /* Folder of the GPU code objects; NULL: those that are linked in. */
    const char *kernel_path;
    /* Of a device: attention runs on kernels of this class alone, to compare or to exclude one. So
     * says the environment variable AITER_KERNEL_CLASS (general, plain), which goes before this
     * field. What the class does not take is refused, and the text says why. A CPU has no classes.
     */
    aiter_kernel_class kernel_class;
} aiter_context_desc;

/* Threads, scratch memory and the choice of kernels. Used by one thread at a time; two contexts
 * share nothing. NULL in place of a context: the calling thread alone, scratch by malloc and freed
 * on return. With a context nothing is allocated after the first call of the largest size. After a
 * fork the child may use and destroy its copy of a context: its calls run alone, with the same
 * bits, as the threads stayed with the parent. A device's contexts stay with the parent, too. */
typedef struct aiter_context aiter_context;

/* What a context turned out to be. */
typedef struct aiter_context_details {
    aiter_isa isa;
    const char *isa_name;
    aiter_device device;
    const char *device_name;
    int32_t num_threads;
    int32_t compute_units;
    size_t arena_bytes;       /* scratch memory held now */
    size_t arena_high_water;  /* the most that any call needed */
    const char *architecture; /* "gfx942", "sm_90"; of the CPU its isa_name */
} aiter_context_details;

/* Creates a context. desc NULL: all defaults. INVALID_ARGUMENT: half a pair of hooks, negative
 * counts, parallel_for without num_threads, unknown enum. UNSUPPORTED: isa_max of another
 * architecture. OUT_OF_MEMORY: memory or threads. NO_DEVICE: a device that is not compiled in, no
 * driver, an incomplete one, no such device. NO_KERNEL: a device of an architecture without
 * kernels. DEVICE: any other failure of the driver. */
AITER_ATTN_API aiter_status aiter_context_create(const aiter_context_desc *desc,
                                                 aiter_context **out);
/* Stops its threads and frees its memory. NULL is allowed. */
AITER_ATTN_API void aiter_context_destroy(aiter_context *ctx);
/* Describes a context; ctx NULL describes what calls without one use. */
AITER_ATTN_API aiter_context_details aiter_context_info(const aiter_context *ctx);
/* The text of this context's last call, "" if it succeeded. NULL: aiter_last_error(). */
AITER_ATTN_API const char *aiter_context_error(const aiter_context *ctx);

/* Memory where a context computes, for programs that bring no driver of their own; one program then
 * serves the CPU and the devices. On a device DEVICE is its memory and PINNED host memory that it
 * copies without a stop; with a CPU context (or NULL) every kind is host memory, and HOST is so
 * everywhere. The desc's alloc and free hooks serve, where given. INVALID_ARGUMENT: out NULL, bytes
 * 0, unknown kind. OUT_OF_MEMORY. DEVICE: the driver's text. */
AITER_ATTN_API aiter_status aiter_memory_alloc(aiter_context *ctx, aiter_memory kind, size_t bytes,
                                               void **out);
/* Gives back what aiter_memory_alloc gave, with the same kind and bytes. data NULL is allowed. Work
 * that uses it must be over. */
AITER_ATTN_API aiter_status aiter_memory_free(aiter_context *ctx, aiter_memory kind, void *data,
                                              size_t bytes);
/* Copies bytes between memories of the kinds named, in the order of the context's stream; `from`
 * and `to` stay valid and untouched until aiter_context_synchronize. On the CPU it is done on
 * return. INVALID_ARGUMENT: NULL, unknown kind. DEVICE: the driver's text, also of earlier work. */
AITER_ATTN_API aiter_status aiter_memory_copy(aiter_context *ctx, void *to, aiter_memory to_kind,
                                              const void *from, aiter_memory from_kind,
                                              size_t bytes);
/* Waits for everything that was queued on the context's stream. DEVICE: that work failed. */
AITER_ATTN_API aiter_status aiter_context_synchronize(aiter_context *ctx);

/* A schedule made once and used by many calls: the caller owns the buffer. First call a _plan
 * function with data NULL: bytes is set to the size needed. Then with a buffer of at least that
 * size, aligned to 8: it is filled. A call refuses a plan of other lengths, shapes, kernel set or
 * threads, and a buffer that is cut or moved off its alignment; the arrays in it are trusted, as a
 * pointer is, and must stay as _plan left them. They (NULL before) point into the buffer and follow
 * AITER's layout:
 *   work_indptr [num_workers + 1]: the works of worker w are [work_indptr[w], work_indptr[w+1])
 *   work_info [num_works][8]: batch; first partial row or -1; first and one past the last query
 *     token; first and one past the last key; reduce group; first head | one past the last << 16
 *   reduce_indptr [num_reduces + 1]: ranges in reduce_partial_map
 *   reduce_final_map [num_reduces][4]: batch; first and one past the last query token; heads
 *   reduce_partial_map [...]: first partial row of each split, in merge order
 * With a device context the lengths that _plan reads are host memory, data is best PINNED memory
 * and `device` DEVICE memory of as many bytes: _plan queues the copy from one to the other, so data
 * stays untouched (no _plan again) until the stream has passed it. A captured call replays with the
 * works of the last copy. bytes that a new _plan exceeds: WORKSPACE_TOO_SMALL, and the device's
 * works stay. There is one worker, and the kernels number partial rows themselves. */
typedef struct aiter_plan {
    void *data;
    size_t bytes;
    int32_t num_workers, num_works, num_reduces, num_partial_rows;
    const int32_t *work_indptr, *work_info;
    const int32_t *reduce_indptr, *reduce_final_map, *reduce_partial_map;
    void *device; /* with a device context */
} aiter_plan;

/* DLPack, when the user included dlpack.h before this header. Strides are always filled on the way
 * out. INVALID_ARGUMENT: NULL pointer, more than 5 dimensions, several elements whose strides are
 * all 0, memory of another device than the CPU, lanes other than 1. UNSUPPORTED: a type without a
 * counterpart here. shape and strides of `out` point into `t`, which must outlive it. */
#if defined(DLPACK_VERSION) || defined(DLPACK_MAJOR_VERSION)
AITER_ATTN_API aiter_status aiter_tensor_from_dlpack(const DLTensor *in, aiter_tensor *out);
/* See aiter_tensor_from_dlpack. Needs explicit strides in `t`: they are filled here. */
AITER_ATTN_API aiter_status aiter_tensor_to_dlpack(aiter_tensor *t, DLTensor *out);
#endif

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* AITER_API_TYPES_H */

// >>api_parts    (src/api_parts.h)
/* api_parts.h -- what the argument structs share: keys and values as they lie, what happens from
 * q . k to the softmax, how a cache is quantised, how rows turn, a call's own memory. One thing is
 * said in one way, whatever the op; zero is the default of every field, and where a field means
 * nothing to an op, setting it is an error that says so; a writer alone takes the readers' whole
 * kv. C calls stay flat: .kv.k = ..., .score.softcap = 30. */
#ifndef AITER_API_PARTS_H
#define AITER_API_PARTS_H


/* Keys and values, described once and handed to every op that reads or writes them. Where key j of
 * batch row b stands:
 *   dense    k[b, j]: nothing but k and v; or, with seq_lens, the first seq_lens[b] of Sk
 *   packed   k[cu_seqlens[b] + j]; or, with seq_lens, with gaps: the first seq_lens[b] of the room
 *            up to cu_seqlens[b + 1]
 *   paged    k[block_table[b, j / P], j % P], of seq_lens[b] keys
 *   lists    k[indices[indptr[b] + j / P], j % P], of the pages up to indptr[b + 1], the last of
 *            which holds last_page_lens[b] keys; or of seq_lens[b] keys
 * Other orders of memory are strides: pages [num_blocks, Hk, P, D] are a transpose of dimensions 1
 * and 2, K and V interleaved as [num_blocks, 2, P, Hk, D] two slices. */
typedef struct aiter_kv {
    aiter_tensor k; /* [B, Sk, Hk, Dq]; packed [total_k, Hk, Dq]; pages [num_blocks, P, Hk, Dq];
                       F32, F16, BF16, I8, and on a CPU the fp8 types */
    aiter_tensor v; /* as k with Dv, its dtype may differ. Absent: V is the first dim_v columns of k
                       (latent rows) */
    int32_t dim_v;  /* needed without a v; with one 0 or its last extent */
    aiter_tensor seq_lens;        /* I32 [B]: keys in use, new tokens included; needed with
                                     block_table */
    aiter_tensor cu_seqlens;      /* I32 [B + 1], non-decreasing from 0 */
    aiter_tensor block_table;     /* I32 [B, max_blocks]: the page of keys [n * P, (n + 1) * P) */
    aiter_tensor indptr, indices; /* I32 [B + 1], non-decreasing from 0, and I32 [pages]: lists of
                                     pages in place of a table */
    aiter_tensor last_page_lens;  /* I32 [B], 1 to P: with indptr, in place of seq_lens */
    int32_t max_seqlen;   /* bound of the lengths: for the workspace, and on a device for the number
                             of workgroups and splits; 0: the largest that the shapes allow,
                             with indptr all pages for every sequence: give it there */
    aiter_tensor k_scale; /* F32, needed for I8, may be for fp8: real = stored * scale. [1], [Hk],
                             or the data's shape without D */
    aiter_tensor v_scale; /* the same; an absent v has the scales of k */
    aiter_scale_kind k_scale_kind, v_scale_kind; /* 0: by shape */
} aiter_kv;

/* From q . k to the softmax, in this order; the formula is at aiter_flash_attn_fwd. */
typedef struct aiter_score {
    float softmax_scale;  /* 0: 1 / sqrt(Dq) */
    aiter_tensor q_scale; /* optional F32 [1], positive: real q = stored * q_scale */
    float softcap;        /* 0: off */
    aiter_tensor bias;    /* optional F32, F16, BF16: [Sq, Sk], [Hq, Sq, Sk] or [B, Hq, Sq, Sk],
                             any extent 1; with cu_seqlens_q rows are packed: [total_q, keys] or
                             [Hq, total_q, keys], keys at least the longest sequence's */
    aiter_tensor alibi_slopes;         /* optional F32 [Hq] or [B, Hq] */
    aiter_mask mask;                   /* DEFAULT: what the op says, NONE or CAUSAL */
    int32_t window_left, window_right; /* of AITER_MASK_WINDOW, -1: open; else 0 or -1 */
    aiter_tensor visible; /* optional U8, 1 where the key shows, 0 where it is hidden; shapes as of
                             bias. With it DEFAULT is NONE; beside another mask a key shows where
                             both show it */
    int32_t sink_tokens;  /* keys [0, sink_tokens) stay visible left of a window */
    aiter_tensor sinks;   /* optional F32 [Hq], logits in the scaled domain */
} aiter_score;

/* How numbers become codes. aiter_quantize takes all of it and says how; of aiter_reshape_and_cache
 * `group` and what follows are 0. All 0 there: rounded to the destination's dtype. With `to` = I8
 * or an fp8 type, of which M is the largest number (127, 448, 240, 57344):
 *   scale_given 1   stored = x / scale, by scales that are read: PER_TENSOR or PER_HEAD
 *   scale_given 0   PER_TOKEN_HEAD: scale = max |x| / M over the D values of each token and head
 *                   is written, x / scale rounded to nearest even, clamped to +-M; a row of zeros
 *                   has scale 0; a row with a NaN scale NaN and codes 0, in fp8 NaN (on a device
 *                   a NaN is left out of the scale and stored as 0)
 * `per` 0 takes the granularity that the shape of the scales has. */
typedef struct aiter_quantisation {
    aiter_dtype to; /* 0: what the destination is; else its dtype */
    aiter_scale_kind per;
    int32_t scale_given;     /* 1: scales are read, 0: computed and written */
    int32_t group;           /* elements of the last axis under one scale; 0: all of them */
    aiter_rounding rounding; /* TOWARD_ZERO: of F4_E2M1 alone */
    aiter_scale_rounding scale_rounding; /* of computed F8_E8M0 scales */
    aiter_overflow overflow;             /* TO_NAN: of the fp8 types alone */
    aiter_zero_block zero_block;         /* of computed scales */
    int32_t by_reciprocal; /* 1: x times the rounded 1 / scale, as AITER's kernels; 0: x / scale */
} aiter_quantisation;

/* Rotary position embedding: where dim elements of a row turn, pair by pair, by angles that belong
 * to the token's position. The formula is at aiter_rope_fwd. */
typedef struct aiter_rope {
    aiter_tensor cos, sin;      /* F32, F16, BF16 [max_pos, dim / 2], a column for each pair, or
                                   [max_pos, dim], one for each element; 2D: those of the rows, then
                                   those of the columns. vLLM's cos_sin_cache is two slices */
    aiter_tensor positions;     /* optional I32, I64, rows of the tables: [tokens] or [B, S] as the
                                   rows that turn; 2D [2, ...], MULTI [3, ...]. Absent: the token's
                                   index in its sequence */
    aiter_tensor offsets;       /* optional I32, I64 [tokens] or [B, S], added to the positions */
    int32_t dim;                /* elements that turn; 0: twice the columns of the tables */
    aiter_rope_pairing pairing; /* 0: NEOX */
    aiter_rope_kind kind;       /* 0: ONE position a token */
    int32_t nope_first;         /* 0: the first dim elements turn, 1: the last */
    int32_t sections[3];        /* of MULTI: pairs for each position, dim / 2 together */
    int32_t width;              /* of 2D without positions: token = row * width + column */
} aiter_rope;

/* A call's own memory; all of it optional. */
typedef struct aiter_call {
    const aiter_plan *plan; /* from the op's _plan with the same lengths */
    void *workspace;        /* NULL: scratch from the context. All of it counts as an output */
    size_t workspace_bytes; /* at least what _workspace says */
} aiter_call;

#endif /* AITER_API_PARTS_H */

// >>api_ops    (src/api_ops.h)
/* api_ops.h -- the ops: one argument struct and its calls each. Zero means default in every field.
 *
 * Letters: B batch, Hq query heads, Hk kv heads (Hq % Hk == 0; query head h reads kv head
 * h / (Hq / Hk)), Sq and Sk lengths, Dq = D of q and k, Dv of v and out, P page size.
 * Every op of AITER_OP_LIST comes as
 *     aiter_<op>            runs it
 *     aiter_<op>_workspace  the scratch bytes it needs: reads no tensor data, monotone in every
 *                           extent and in max_seqlen_q and kv.max_seqlen (0: the largest the shapes
 *                           allow), so one query with the maxima serves all smaller calls of the
 *                           same context
 *     aiter_<op>_supported  would it run? The same code without the run: it reads no tensor data,
 *                           so that lengths, tables and slots are still to be checked
 *     aiter_<op>_explain    the same answer as text: what would run, cut how, at what cost, or why
 *                           nothing would. Writes at most `bytes` with the closing 0 and returns
 *                           the status that _supported returns
 *     aiter_<op>_plan       where lengths decide the work: schedules once for many calls
 * Statuses of all: INVALID_ARGUMENT (a field's shape, dtype, value or overlap; the text names it),
 * UNSUPPORTED (a valid combination without a kernel), WORKSPACE_TOO_SMALL, OUT_OF_MEMORY; with a
 * device NO_KERNEL and DEVICE. A call that fails has written nothing. Outputs share no element with
 * inputs or each other; the whole workspace is an output, and so is the memory of a plan while it
 * is made. struct_bytes begins each struct: 0, or its sizeof where the caller was compiled, so that
 * a binding of another version is refused and not misread. */
#ifndef AITER_API_OPS_H
#define AITER_API_OPS_H


#ifdef __cplusplus
extern "C" {
#endif

/* Every op: OP(name, family, HAS_PLAN or NO_PLAN). Families can be left out of the implementation:
 * AITER_ATTN_NO_CACHE, AITER_ATTN_ONLY_FLASH and so on, see docs/guide.md. What is left out returns
 * UNSUPPORTED from each of its calls. */
#define AITER_OP_LIST(OP)                          \
    OP(flash_attn_fwd, FLASH, HAS_PLAN)            \
    OP(paged_attn_decode, DECODE, HAS_PLAN)        \
    OP(grouped_query_attention, FLASH, HAS_PLAN)   \
    OP(multi_query_attention, FLASH, HAS_PLAN)     \
    OP(variable_length_attention, FLASH, HAS_PLAN) \
    OP(decode_attention, DECODE, NO_PLAN)          \
    OP(decode_attention_gqa, DECODE, NO_PLAN)      \
    OP(reshape_and_cache, CACHE, NO_PLAN)          \
    OP(swap_blocks, CACHE, NO_PLAN)                \
    OP(copy_blocks, CACHE, NO_PLAN)                \
    OP(merge_attn_states, MERGE, NO_PLAN)          \
    OP(rope_fwd, ROPE, NO_PLAN)                    \
    OP(quantize, QUANT, NO_PLAN)                   \
    OP(dequantize, QUANT, NO_PLAN)

/* What every softmax attention takes: the query rows, the keys, the score, the call. An op says
 * which shapes it gives q and which fields mean nothing to it. */
typedef struct aiter_attention_args {
    uint32_t struct_bytes;
    aiter_tensor q;   /* [B, Sq, Hq, Dq], or [total_q, Hq, Dq] with cu_seqlens_q; F32, F16, BF16 */
    aiter_tensor out; /* as q with Dv; F32, F16, BF16 */
    aiter_tensor lse; /* optional F32 [B, Hq, Sq], or [Hq, total_q] with cu_seqlens_q */
    aiter_tensor
        cu_seqlens_q;       /* optional I32 [B + 1], non-decreasing from 0; packed or paged keys */
    aiter_tensor seqused_q; /* optional I32 [B]: rows past it are neither read nor written. Beside
                               cu_seqlens_q rows with gaps: that says where each sequence begins
                               and which room it has, this how many rows are there */
    int32_t max_seqlen_q;   /* bound of the query lengths, as kv.max_seqlen */
    int32_t num_splits;     /* 0: from Sq and Sk; 1: never split the keys; n: at most n pieces */
    aiter_tensor out_scale; /* optional F32 [1], positive: real out = stored * out_scale */
    aiter_kv kv;
    aiter_score score;
    aiter_call call;
} aiter_attention_args;

/* Softmax attention, dense, padded, varlen or paged:
 *     t(i,j) = softmax_scale * q_i . k_j          then softcap * tanh(t / softcap) if softcap > 0
 *     t     += bias(i,j) - alibi_slope * |i + delta - j|,   delta = Sk - Sq
 *     out_i  = sum_j softmax_j(t(i,j)) v_j         over the keys that the mask shows
 *     lse_i  = ln sum_j exp t(i,j)                 natural logarithm, f32
 * A learned sink adds exp(sink_h) to the denominator and to the sum in lse. A score of -infinity,
 * by the mask or a bias, hides its key wholly: NaN in that k or v reaches nothing. out never holds
 * -0. Domain: the partial sums of q_i . k_j, the scores where a bias or ALiBi is added to them, and
 * keys of a row * max |v| (fp8 and int8: times their scales) are below 2^127; f16 is always inside.
 * There every finite softmax_scale, softcap, slope and sink serves, and a row is what exact
 * arithmetic gives, within the bounds of docs/guide.md. ALiBi: a slope beyond 1.7e38 / (Sq + Sk)
 * counts as that. Values are not looked at: outside, a row may be NaN or infinite. Follows
 * FlashAttention-2 (Dao 2023) and the AITER flash_attn / mha_batch_prefill semantics. */
typedef aiter_attention_args aiter_flash_attn_fwd_args;

/* Runs it; score.mask DEFAULT is NONE. Errors as at the top of this file, and: a length outside its
 * tensor, a block id outside [0, num_blocks) in an entry that holds a visible key, a plan of other
 * lengths, shapes, kernel set or threads. Example: aiter_flash_attn_fwd(
 * &(aiter_flash_attn_fwd_args){.q = q, .kv.k = k, .kv.v = v, .out = o}, NULL). */
AITER_ATTN_API aiter_status aiter_flash_attn_fwd(const aiter_flash_attn_fwd_args *args,
                                                 aiter_context *ctx);

/* Decode over a paged cache: the q_len new tokens of a sequence are the last of its kv.seq_lens
 * keys, already in the cache. q is [B, Hq, Dq] with lse [Hq, B], or [B, q_len, Hq, Dq] with lse
 * [B, Hq, q_len]. AITER's paged_attention_v1 / v2 and their reductions in one call; the split over
 * the keys depends on the sequence's own length only. A sequence of length 0 gives rows of 0. */
typedef aiter_attention_args aiter_paged_attn_decode_args;

/* Runs it: the formula of aiter_flash_attn_fwd, score.mask DEFAULT is CAUSAL. INVALID_ARGUMENT
 * also: no pages (kv.block_table with kv.seq_lens, or kv.indptr), a cu_seqlens_q or seqused_q.
 * aiter_paged_attn_decode_plan with a device context reads kv.seq_lens in host memory and answers
 * UNSUPPORTED where another kernel than paged_decode would run. */
AITER_ATTN_API aiter_status aiter_paged_attn_decode(const aiter_paged_attn_decode_args *args,
                                                    aiter_context *ctx);

/* Writes new tokens into the pages of a cache: token n goes to slot s = slot_mapping[n], row s % P
 * of block s / P. Slot -1 skips the token. vLLM's reshape_and_cache_flash. */
typedef struct aiter_reshape_and_cache_args {
    uint32_t struct_bytes;
    aiter_tensor k; /* [tokens, Hk, Dq]; F32, F16, BF16 */
    aiter_tensor v; /* [tokens, Hk, Dv]; same dtype */
    aiter_kv kv;    /* the cache: k and v are pages, F32, F16, BF16, fp8, or I8 when quantising;
                       k_scale and v_scale are read as [1] or [Hk], or written as
                       [num_blocks, P, Hk]. The same kv as the readers
                       take: how they look keys up is not looked at */
    aiter_tensor slot_mapping; /* I32 or I64 [tokens] */
    aiter_quantisation quantisation;
    aiter_call call; /* no plan; the workspace has a bit per slot, to find one given twice */
} aiter_reshape_and_cache_args;

/* Runs it. INVALID_ARGUMENT also: a slot below -1 or past the cache, the same slot twice, a given
 * scale that is not positive and finite. */
AITER_ATTN_API aiter_status aiter_reshape_and_cache(const aiter_reshape_and_cache_args *args,
                                                    aiter_context *ctx);

/* Whole blocks from one cache to another, as they are: block mapping[i][0] of src becomes block
 * mapping[i][1] of dst. One tensor a call: K, then V, then their scales; both may lie in any
 * strides. vLLM's swap_blocks where both caches are in memory of the context. */
typedef struct aiter_swap_blocks_args {
    uint32_t struct_bytes;
    aiter_tensor src;     /* [num_blocks, ..], 1 to 5 dimensions, of every type */
    aiter_tensor dst;     /* as src, but for the number of blocks */
    aiter_tensor mapping; /* I32 or I64 [n, 2]: from, to */
    aiter_call call;      /* no plan; the workspace has a bit per block of dst */
} aiter_swap_blocks_args;

/* Runs it. INVALID_ARGUMENT also: a block that there is not, a block of dst twice, src and dst that
 * share memory (copy_blocks does that), an I4 or F4_E2M1 row that starts inside a byte. NO_KERNEL
 * with a device context: it runs on the CPU. */
AITER_ATTN_API aiter_status aiter_swap_blocks(const aiter_swap_blocks_args *args,
                                              aiter_context *ctx);

/* Block mapping[i][0] becomes block mapping[i][1] inside each of the caches: the K and V of all
 * layers, and their scales, in any order. The pairs have no order: no block is both read and
 * written. vLLM's copy_blocks, whose chains are undefined. */
typedef struct aiter_copy_blocks_args {
    uint32_t struct_bytes;
    int32_t num_caches;
    const aiter_tensor *caches; /* [num_blocks, ..] each, 1 to 5 dimensions, of every type */
    aiter_tensor mapping;       /* I32 or I64 [n, 2]: from, to */
    aiter_call call;            /* no plan; the workspace has a bit per block */
} aiter_copy_blocks_args;

/* Runs it. INVALID_ARGUMENT also: a block that there is not, one that two pairs write, one that a
 * pair reads and a pair writes (a chain is several calls), caches that share memory or differ in
 * the number of blocks. NO_KERNEL with a device context: it runs on the CPU. */
AITER_ATTN_API aiter_status aiter_copy_blocks(const aiter_copy_blocks_args *args,
                                              aiter_context *ctx);

/* Joins two attention results over disjoint keys:
 *     m = max(lse_a, lse_b), w_x = exp(lse_x - m)
 *     out = (w_a out_a + w_b out_b) / (w_a + w_b),  lse = m + ln(w_a + w_b)
 * A side whose lse is infinite is empty (-infinity here, +infinity in flash-attention): it is not
 * read, so its NaN stays out; both: 0 and -infinity. out is an attention's: it never holds -0. A
 * learned sink must have been given to one side only. out and lse may be exactly out_a and lse_a.
 */
typedef struct aiter_merge_attn_states_args {
    uint32_t struct_bytes;
    aiter_tensor out_a, out_b; /* [tokens, H, D] or [B, S, H, D]; F32, F16, BF16 */
    aiter_tensor lse_a, lse_b; /* F32 [H, tokens], or [B, H, S] */
    aiter_tensor out;          /* as out_a; F32, F16, BF16 */
    aiter_tensor lse;          /* optional, as lse_a */
} aiter_merge_attn_states_args;

/* Runs it. Needs no workspace. */
AITER_ATTN_API aiter_status aiter_merge_attn_states(const aiter_merge_attn_states_args *args,
                                                    aiter_context *ctx);

/* Rotary position embedding (Su et al. 2021): each pair (x1, x2) of a row turns by the angle that
 * the tables hold for its position,
 *     y1 = x1 cos - x2 sin,  y2 = x2 cos + x1 sin
 * (with a column per element y1 takes those of x1, y2 those of x2), products and sum rounded to f32
 * each, then to y's type. Elements that do not turn are copied. Other orders of memory (sbhd) are
 * strides. y may be exactly x. */
typedef struct aiter_rope_fwd_args {
    uint32_t struct_bytes;
    aiter_tensor x;          /* [tokens, H, D] or [B, S, H, D]; F32, F16, BF16 */
    aiter_tensor y;          /* as x; F32, F16, BF16 */
    aiter_tensor cu_seqlens; /* optional I32 [B + 1], non-decreasing from 0, of packed rows without
                                positions: each sequence counts from 0. Rows past its last are
                                neither read nor written */
    aiter_rope rope;
} aiter_rope_fwd_args;

/* Runs it. INVALID_ARGUMENT also: a position outside the tables. Needs no workspace; the bits are
 * the same in every kernel set. With a device: NO_KERNEL. */
AITER_ATTN_API aiter_status aiter_rope_fwd(const aiter_rope_fwd_args *args, aiter_context *ctx);

/* Numbers to codes under scales, and back: x ~ codes * scale (* global_scale).
 *   scale    of x [.., D] without the last axis, one each row; any of its extents may be 1, one
 *            scale for all of that axis: [T, H] per token and head, [T, 1] per token, [1, H] or [H]
 *            per head, [1] one for all; a page's [num_blocks, 1, Hk]. With quantisation.group = g
 *            there is the axis ceil(D / g) behind, whose last group may be short; g = 1 beside
 *            extents of 1 is a scale per channel
 *   types    F32 for every code; F8_E8M0 for the fp8 types and F4_E2M1; F8_E4M3FN for F4_E2M1
 *            MXFP4 is F4_E2M1, F8_E8M0, group 32; MXFP8 fp8, F8_E8M0, group 32; NVFP4 F4_E2M1,
 *            F8_E4M3FN, group 16
 *   computed F32 max |x| / F with F the largest code (448, 240, 57344, 127, 7, 6); F8_E8M0 by
 *            quantisation.scale_rounding; F8_E4M3FN max |x| / 6 (/ global_scale), rounded
 *   codes    x / scale by the scale as it is stored, to nearest even, clamped to +-F. Where the
 *            scale is 0 they are 0. A NaN or an infinity makes its scale NaN, but an F32 one, which
 *            an infinity makes infinite: nothing of that group reads back as a number. Under a
 *            given scale NaN stays NaN in the fp8 types and is 0 in I8, I4 and F4_E2M1, and an
 *            infinity is clamped. The sign of a NaN is dropped
 * The types of 4 bits need rows that start at whole bytes, of stride 1: with an odd D a gap. */
typedef struct aiter_quantize_args {
    uint32_t struct_bytes;
    aiter_tensor x;     /* 1 to 4 dimensions; F32, F16, BF16. aiter_dequantize: the codes */
    aiter_tensor y;     /* as x: F8_E4M3FN, F8_E4M3FNUZ, F8_E5M2, I8, I4, F4_E2M1. aiter_dequantize:
                           F32, F16, BF16 */
    aiter_tensor scale; /* written, or with quantisation.scale_given = 1 read: positive, finite */
    aiter_tensor global_scale;       /* optional F32 [1], positive, beside F8_E4M3FN scales */
    aiter_quantisation quantisation; /* aiter_dequantize: `to` (0 or the codes' type), per, group */
} aiter_quantize_args;

/* Runs it. INVALID_ARGUMENT also: a given scale that is not positive and finite. UNSUPPORTED:
 * scales of another type than above. NO_KERNEL with a device context: it runs on the CPU. Needs no
 * workspace. Example: aiter_quantize(&(aiter_quantize_args){.x = x, .y = y, .scale = scale,
 * .quantisation.group = 32}, NULL). */
AITER_ATTN_API aiter_status aiter_quantize(const aiter_quantize_args *args, aiter_context *ctx);

/* From x, the codes, to y = x * scale (* global_scale) in f32, rounded to y's type. */
typedef aiter_quantize_args aiter_dequantize_args;

/* Runs it; errors as aiter_quantize. Scales are not looked at: 0 and NaN do what they do. */
AITER_ATTN_API aiter_status aiter_dequantize(const aiter_dequantize_args *args, aiter_context *ctx);

/* aiter_flash_attn_fwd by the name that groups of query heads sharing a kv head have elsewhere.
 * Ainslie et al. 2023. */
typedef aiter_attention_args aiter_grouped_query_attention_args;

/* Runs it; errors as aiter_flash_attn_fwd. */
AITER_ATTN_API aiter_status
aiter_grouped_query_attention(const aiter_grouped_query_attention_args *args, aiter_context *ctx);

/* The same, and kv has exactly one head. Shazeer 2019. */
typedef aiter_attention_args aiter_multi_query_attention_args;

/* Runs it. INVALID_ARGUMENT also: Hk is not 1. */
AITER_ATTN_API aiter_status
aiter_multi_query_attention(const aiter_multi_query_attention_args *args, aiter_context *ctx);

/* The same over packed sequences of different lengths: cu_seqlens_q is needed, and kv.cu_seqlens or
 * pages. */
typedef aiter_attention_args aiter_variable_length_attention_args;

/* Runs it. INVALID_ARGUMENT also: no cu_seqlens_q, neither kv.cu_seqlens nor pages. */
AITER_ATTN_API aiter_status aiter_variable_length_attention(
    const aiter_variable_length_attention_args *args, aiter_context *ctx);

/* One query of one head in the transposed layout of tile accelerators, out = softmax(scale q^T k)
 * v^T: q [D, 1], kv.k and kv.v [D, Sk], out [1, D]; F32, F16, BF16. */
typedef aiter_attention_args aiter_decode_attention_args;

/* Runs it. Of kv the lengths and tables and of the rest cu_seqlens_q, seqused_q and lse mean
 * nothing here. */
AITER_ATTN_API aiter_status aiter_decode_attention(const aiter_decode_attention_args *args,
                                                   aiter_context *ctx);

/* One token of Hq query heads over Hk kv heads: q [D, Hq], kv.k and kv.v [Hk, D, Sk], out [Hq, D].
 */
typedef aiter_attention_args aiter_decode_attention_gqa_args;

/* Runs it; fields as aiter_decode_attention. */
AITER_ATTN_API aiter_status aiter_decode_attention_gqa(const aiter_decode_attention_gqa_args *args,
                                                       aiter_context *ctx);

/* The companions of every op, see the top of this file. */
#define AITER_DECLARE_HAS_PLAN(op)                                               \
    AITER_ATTN_API aiter_status aiter_##op##_plan(const aiter_##op##_args *args, \
                                                  aiter_context *ctx, aiter_plan *plan);
#define AITER_DECLARE_NO_PLAN(op)
#define AITER_DECLARE(op, family, plan)                                                    \
    AITER_ATTN_API aiter_status aiter_##op##_workspace(const aiter_##op##_args *args,      \
                                                       aiter_context *ctx, size_t *bytes); \
    AITER_ATTN_API aiter_status aiter_##op##_supported(const aiter_##op##_args *args,      \
                                                       aiter_context *ctx);                \
    AITER_ATTN_API aiter_status aiter_##op##_explain(                                      \
        const aiter_##op##_args *args, aiter_context *ctx, char *text, size_t bytes);      \
    AITER_DECLARE_##plan(op)
AITER_OP_LIST(AITER_DECLARE)
#undef AITER_DECLARE
#undef AITER_DECLARE_HAS_PLAN
#undef AITER_DECLARE_NO_PLAN

/* Would padding a sequence with zero keys up to a multiple of a tile spoil a softmax without mask?
 * For kernels of others that do so; the ops here mask their tails and need no guard. */
typedef struct aiter_padding_guard_args {
    uint32_t struct_bytes; /* as above */
    int64_t seqlen;
    int64_t tile;     /* 0: 128 */
    aiter_mask mask;  /* CAUSAL hides the padding: always safe. DEFAULT: NONE */
    double threshold; /* 0: 0.005, the padded share of the keys that is still allowed */
} aiter_padding_guard_args;

/* ratio: (padded - seqlen) / padded. safe: 1 or 0. Either may be NULL. An unsafe verdict is OK,
 * too, and leaves words in aiter_last_error(): the limit and what to do instead. INVALID_ARGUMENT:
 * seqlen or tile not positive, a padded length beyond 2^63, a threshold outside [0, 1), a mask
 * other than NONE and CAUSAL. */
AITER_ATTN_API aiter_status aiter_padding_guard(const aiter_padding_guard_args *args, double *ratio,
                                                int32_t *safe);

/* Where AITER_ATTN_SELFTEST is defined: every op on every kernel set of this machine, and on ctx's
 * device if it has one, against the scalar set. Small inputs from a counter; types, masks, pages,
 * lists, gaps, scales, groups of heads and odd sizes change from case to case. `budget`: the
 * multiply-adds that the scalar set does, 0: 4e8, about a second; every op has one case at least,
 * and equal budgets try equal cases. ctx NULL: on this thread; else with its threads and memory
 * hooks. DEVICE: a set or the device computes something else; the text names op, set, case,
 * element, what it is and what it should be. What a device or this build has not is left out.
 * INVALID_ARGUMENT: a negative budget or NaN. Example:
 * if (aiter_selftest(NULL, 0) != AITER_OK) puts(aiter_last_error()); */
#ifdef AITER_ATTN_SELFTEST
AITER_ATTN_API aiter_status aiter_selftest(aiter_context *ctx, double budget);
#endif

#ifdef __cplusplus
} /* extern "C" */

/* C++17 spells a call with a reference: aiter_flash_attn_fwd(args, ctx),
 * aiter_flash_attn_fwd(args). Ops that share a struct differ in name. */
#define AITER_CXX_HAS_PLAN(op)                                                               \
    inline aiter_status aiter_##op##_plan(const aiter_##op##_args &args, aiter_context *ctx, \
                                          aiter_plan &plan)                                  \
    {                                                                                        \
        return aiter_##op##_plan(&args, ctx, &plan);                                         \
    }
#define AITER_CXX_NO_PLAN(op)
#define AITER_CXX(op, family, plan)                                                               \
    inline aiter_status aiter_##op(const aiter_##op##_args &args, aiter_context *ctx = nullptr)   \
    {                                                                                             \
        return aiter_##op(&args, ctx);                                                            \
    }                                                                                             \
    inline aiter_status aiter_##op##_supported(const aiter_##op##_args &args,                     \
                                               aiter_context *ctx = nullptr)                      \
    {                                                                                             \
        return aiter_##op##_supported(&args, ctx);                                                \
    }                                                                                             \
    inline aiter_status aiter_##op##_workspace(const aiter_##op##_args &args, aiter_context *ctx, \
                                               size_t &bytes)                                     \
    {                                                                                             \
        return aiter_##op##_workspace(&args, ctx, &bytes);                                        \
    }                                                                                             \
    inline aiter_status aiter_##op##_explain(const aiter_##op##_args &args, aiter_context *ctx,   \
                                             char *text, size_t bytes)                            \
    {                                                                                             \
        return aiter_##op##_explain(&args, ctx, text, bytes);                                     \
    }                                                                                             \
    AITER_CXX_##plan(op)
AITER_OP_LIST(AITER_CXX)
#undef AITER_CXX
#undef AITER_CXX_HAS_PLAN
#undef AITER_CXX_NO_PLAN
#endif /* __cplusplus */

#endif /* AITER_API_OPS_H */
#endif /* AITER_ATTN_H */

#ifdef AITER_ATTN_IMPLEMENTATION
#ifndef AITER_ATTN_IMPLEMENTED
#define AITER_ATTN_IMPLEMENTED

// >>platform    (src/base/platform.h)
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

// >>left_out    (src/base/left_out.h)
/* left_out.h -- which families of ops this copy has, by AITER_ATTN_ONLY_<FAMILY> and
 * AITER_ATTN_NO_<FAMILY>. The rows of AITER_OP_LIST name each op's family; a family is a block here
 * and its name in the conditions at both ends. ops/left_out.c answers for what is not there. */
#ifndef AITERI_LEFT_OUT_H
#define AITERI_LEFT_OUT_H

#if defined(AITER_ATTN_ONLY_FLASH) || defined(AITER_ATTN_ONLY_DECODE) || \
    defined(AITER_ATTN_ONLY_CACHE) || defined(AITER_ATTN_ONLY_MERGE) ||  \
    defined(AITER_ATTN_ONLY_ROPE) || defined(AITER_ATTN_ONLY_QUANT)
#define AITERI_ONLY 1
#else
#define AITERI_ONLY 0
#endif

#if defined(AITER_ATTN_NO_FLASH) || (AITERI_ONLY && !defined(AITER_ATTN_ONLY_FLASH))
#define AITERI_HAS_FLASH 0
#else
#define AITERI_HAS_FLASH 1
#endif
#if defined(AITER_ATTN_NO_DECODE) || (AITERI_ONLY && !defined(AITER_ATTN_ONLY_DECODE))
#define AITERI_HAS_DECODE 0
#else
#define AITERI_HAS_DECODE 1
#endif
#if defined(AITER_ATTN_NO_CACHE) || (AITERI_ONLY && !defined(AITER_ATTN_ONLY_CACHE))
#define AITERI_HAS_CACHE 0
#else
#define AITERI_HAS_CACHE 1
#endif
#if defined(AITER_ATTN_NO_MERGE) || (AITERI_ONLY && !defined(AITER_ATTN_ONLY_MERGE))
#define AITERI_HAS_MERGE 0
#else
#define AITERI_HAS_MERGE 1
#endif
#if defined(AITER_ATTN_NO_ROPE) || (AITERI_ONLY && !defined(AITER_ATTN_ONLY_ROPE))
#define AITERI_HAS_ROPE 0
#else
#define AITERI_HAS_ROPE 1
#endif
#if defined(AITER_ATTN_NO_QUANT) || (AITERI_ONLY && !defined(AITER_ATTN_ONLY_QUANT))
#define AITERI_HAS_QUANT 0
#else
#define AITERI_HAS_QUANT 1
#endif

#if (defined(AITER_ATTN_ONLY_FLASH) && defined(AITER_ATTN_NO_FLASH)) ||   \
    (defined(AITER_ATTN_ONLY_DECODE) && defined(AITER_ATTN_NO_DECODE)) || \
    (defined(AITER_ATTN_ONLY_CACHE) && defined(AITER_ATTN_NO_CACHE)) ||   \
    (defined(AITER_ATTN_ONLY_MERGE) && defined(AITER_ATTN_NO_MERGE)) ||   \
    (defined(AITER_ATTN_ONLY_ROPE) && defined(AITER_ATTN_NO_ROPE)) ||     \
    (defined(AITER_ATTN_ONLY_QUANT) && defined(AITER_ATTN_NO_QUANT))
#error "aiter_attn: AITER_ATTN_ONLY_ and AITER_ATTN_NO_ of the same family: drop one of them"
#elif !(AITERI_HAS_FLASH || AITERI_HAS_DECODE || AITERI_HAS_CACHE || AITERI_HAS_MERGE || \
        AITERI_HAS_ROPE || AITERI_HAS_QUANT)
#error "aiter_attn: the AITER_ATTN_NO_ macros leave no family of ops"
#endif

/* What families share: planner, engine and loops of the softmax attentions. */
#define AITERI_ATTENTION (AITERI_HAS_FLASH || AITERI_HAS_DECODE)
/* Rows of the narrow types, read and written. */
#define AITERI_READS_CODES  (AITERI_ATTENTION || AITERI_HAS_QUANT)
#define AITERI_WRITES_CODES (AITERI_HAS_CACHE || AITERI_HAS_QUANT)

#endif /* AITERI_LEFT_OUT_H */
AITERI_NUMERICS_BEGIN

// >>check    (src/base/check.h)
/* check.h -- failures as values: the last-error texts, and arithmetic on sizes that cannot wrap. */
#ifndef AITERI_CHECK_H
#define AITERI_CHECK_H


enum { AITERI_ERROR_BYTES = 256 };

static AITERI_THREAD_LOCAL char aiteri_error_text[AITERI_ERROR_BYTES];

/* Tells a context of its failure (context/hooks.c). NULL context: nobody. */
static void aiteri_context_failed(aiter_context *ctx, const char *text);

#if defined(__GNUC__) || defined(__clang__)
#define AITERI_PRINTF(a, b) __attribute__((format(printf, a, b)))
#else
#define AITERI_PRINTF(a, b)
#endif

/* Records "op.field: ..." for the thread and the context. */
static void aiteri_keep_text(aiter_context *ctx, const char *format, va_list list)
    AITERI_PRINTF(2, 0);
static void aiteri_keep_text(aiter_context *ctx, const char *format, va_list list)
{
    vsnprintf(aiteri_error_text, sizeof aiteri_error_text, format, list);
    aiteri_context_failed(ctx, aiteri_error_text);
}

/* The same, and hands the status back. */
static aiter_status aiteri_fail(aiter_context *ctx, aiter_status status, const char *format, ...)
    AITERI_PRINTF(3, 4);
static aiter_status aiteri_fail(aiter_context *ctx, aiter_status status, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    aiteri_keep_text(ctx, format, list);
    va_end(list);
    return status;
}

/* Leaves the calling function with the failure of `call`, if it failed. */
#define AITERI_TRY(call)                                             \
    do {                                                             \
        const aiter_status aiteri_try_status = (call);               \
        if (aiteri_try_status != AITER_OK) return aiteri_try_status; \
    } while (0)

/* What a function of the engine takes for granted. Tests define it (tests/asserts.h); elsewhere it
 * is nothing, and so it never stands for a check of what a caller gave. */
#ifndef AITERI_ASSERT
#define AITERI_ASSERT(condition) ((void)0)
#endif

/* a * b and a + b, saturating at SIZE_MAX, which no allocation can satisfy. */
AITERI_FORCE_INLINE size_t aiteri_mul_size(size_t a, size_t b)
{
    return b != 0 && a > SIZE_MAX / b ? SIZE_MAX : a * b;
}

AITERI_FORCE_INLINE size_t aiteri_add_size(size_t a, size_t b)
{
    return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

/* x rounded up to a multiple of a power of two, saturating. */
AITERI_FORCE_INLINE size_t aiteri_pad_size(size_t x, size_t align)
{
    return x > SIZE_MAX - (align - 1) ? SIZE_MAX : (x + (align - 1)) & ~(align - 1);
}

AITERI_FORCE_INLINE int64_t aiteri_min(int64_t a, int64_t b) { return a < b ? a : b; }
AITERI_FORCE_INLINE int64_t aiteri_max(int64_t a, int64_t b) { return a > b ? a : b; }
AITERI_FORCE_INLINE int64_t aiteri_clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}
/* ceil(a / b) and a rounded up to a multiple of b, for a >= 0 and b > 0. */
AITERI_FORCE_INLINE int64_t aiteri_ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }
AITERI_FORCE_INLINE int64_t aiteri_round_up(int64_t a, int64_t b)
{
    return aiteri_ceil_div(a, b) * b;
}

/* The first of `count` things that part i of `parts` takes; part `parts` starts at the end. */
AITERI_FORCE_INLINE int64_t aiteri_share_of(int64_t count, int64_t i, int64_t parts)
{
    return count / parts * i + count % parts * i / parts;
}

#endif /* AITERI_CHECK_H */

// >>dtype    (src/base/dtype.c)
/* dtype.c -- one element of any storage type to f32 and back, exactly, and the dtype table.
 *
 * Everything that rounds works on integers: the caller's flush-to-zero flags and -ffast-math change
 * nothing. All rounding is to nearest even. What has no place in the target:
 *   NaN       stays NaN with its sign (e4m3fnuz has one NaN, 0x80; integers take 0)
 *   infinity  f16 and bf16 have one; all else saturates, e5m2, too
 *   too big   f16 and bf16 become infinity; the fp8 types saturate to 448, 240, 57344
 *   int8, int4  saturate to +-127 and +-7, so that negation is exact
 *   e2m1      saturates to +-6, has no NaN and takes 0
 *   e8m0      has no sign, zero or infinity: NaN, but 2^-127 for 0; ties go up. */
#ifndef AITERI_DTYPE_C
#define AITERI_DTYPE_C


/* whole / 2^shift to nearest even, for 0 < shift < 32. */
AITERI_FORCE_INLINE uint32_t aiteri_shift_round(uint32_t whole, uint32_t shift)
{
    const uint32_t q = whole >> shift;
    const uint32_t rest = whole & ((1u << shift) - 1), half = 1u << (shift - 1);
    return q + (rest > half || (rest == half && (q & 1)));
}

/* |x| as a float with `mantissa` bits and exponent bias `bias`, unbounded above; a = finite bits of
 * |x|. The result counts in steps of the smallest subnormal or carries exponent and mantissa. */
AITERI_FORCE_INLINE uint32_t aiteri_narrow_float(uint32_t a, uint32_t mantissa, uint32_t bias)
{
    const uint32_t rebias = 127 - bias, drop = 23 - mantissa, exponent = a >> 23;
    if (exponent > rebias) {
        const uint32_t odd = (a >> drop) & 1;
        return ((a + (1u << (drop - 1)) - 1 + odd) >> drop) - (rebias << mantissa);
    }
    const uint32_t shift = drop + rebias + 1 - exponent;
    if (shift > 24) return 0;
    return aiteri_shift_round((a & 0x7fffff) | 0x800000, shift);
}

/* The bits of the non-negative value of such a code; there is no infinity or NaN in sight. */
AITERI_FORCE_INLINE uint32_t aiteri_widen_float(uint32_t code, uint32_t mantissa, uint32_t bias)
{
    const uint32_t rebias = 127 - bias;
    if (code >> mantissa) return (code << (23 - mantissa)) + (rebias << 23);
    const float step = aiteri_f32_of_bits((rebias + 1 - mantissa) << 23);
    return aiteri_bits_of_f32((float)code * step);
}

/* The f32 bits of one element, and back. Floats would do as well, but for targets that return them
 * in x87 registers, where a signalling NaN turns quiet on the way. */
AITERI_UNUSED static uint32_t aiteri_bits_from_f16(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, code = h & 0x7fff;
    if (code < 0x7c00) return sign | aiteri_widen_float(code, 10, 15);
    const uint32_t quiet = code > 0x7c00 ? 0x400000 : 0;
    return sign | 0x7f800000 | quiet | (code & 0x3ff) << 13;
}

AITERI_UNUSED static uint16_t aiteri_f16_from_bits(uint32_t u)
{
    const uint32_t a = u & 0x7fffffff, sign = (u >> 16) & 0x8000;
    if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00 | ((a >> 13) & 0x3ff));
    const uint32_t code = aiteri_narrow_float(a, 10, 15);
    return (uint16_t)(sign | (code > 0x7c00 ? 0x7c00 : code));
}

AITERI_UNUSED static uint32_t aiteri_bits_from_bf16(uint16_t h) { return (uint32_t)h << 16; }

AITERI_UNUSED static uint16_t aiteri_bf16_from_bits(uint32_t u)
{
    if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}

AITERI_UNUSED static uint32_t aiteri_bits_from_e4m3fn(uint8_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x80) << 24, code = h & 0x7f;
    if (code == 0x7f) return sign | 0x7ff00000;
    return sign | aiteri_widen_float(code, 3, 7);
}

AITERI_UNUSED static uint8_t aiteri_e4m3fn_from_bits(uint32_t u)
{
    const uint32_t a = u & 0x7fffffff, sign = (u >> 24) & 0x80;
    if (a > 0x7f800000) return (uint8_t)(sign | 0x7f);
    const uint32_t code = aiteri_narrow_float(a, 3, 7);
    return (uint8_t)(sign | (code > 0x7e ? 0x7e : code));
}

AITERI_UNUSED static uint32_t aiteri_bits_from_e4m3fnuz(uint8_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x80) << 24, code = h & 0x7f;
    if (h == 0x80) return 0xffc00000;
    return sign | aiteri_widen_float(code, 3, 8);
}

AITERI_UNUSED static uint8_t aiteri_e4m3fnuz_from_bits(uint32_t u)
{
    const uint32_t a = u & 0x7fffffff, sign = (u >> 24) & 0x80;
    if (a > 0x7f800000) return 0x80;
    const uint32_t code = aiteri_narrow_float(a, 3, 8);
    if (code == 0) return 0; /* there is no negative zero */
    return (uint8_t)(sign | (code > 0x7f ? 0x7f : code));
}

/* e5m2 is the upper half of f16. */
AITERI_UNUSED static uint32_t aiteri_bits_from_e5m2(uint8_t h)
{
    return aiteri_bits_from_f16((uint16_t)(h << 8));
}

AITERI_UNUSED static uint8_t aiteri_e5m2_from_bits(uint32_t u)
{
    const uint32_t a = u & 0x7fffffff, sign = (u >> 24) & 0x80;
    if (a > 0x7f800000) return (uint8_t)(sign | 0x7f);
    const uint32_t code = aiteri_narrow_float(a, 2, 15);
    return (uint8_t)(sign | (code > 0x7b ? 0x7b : code));
}

/* The four bits of e2m1. */
AITERI_UNUSED static uint32_t aiteri_bits_from_e2m1(uint32_t code)
{
    return (code & 8) << 28 | aiteri_widen_float(code & 7, 1, 1);
}

AITERI_UNUSED static uint32_t aiteri_e2m1_from_bits(uint32_t u)
{
    const uint32_t a = u & 0x7fffffff, sign = (u >> 28) & 8;
    if (a > 0x7f800000) return 0;
    const uint32_t code = aiteri_narrow_float(a, 1, 1);
    return sign | (code > 7 ? 7 : code);
}

/* The same with ties toward zero: what lies halfway between codes i and i + 1 becomes i. */
AITERI_UNUSED static uint32_t aiteri_e2m1_from_bits_down(uint32_t u)
{
    static const uint32_t tie[7] = {0x3e800000, 0x3f400000, 0x3fa00000, 0x3fe00000,
                                    0x40200000, 0x40600000, 0x40a00000};
    for (uint32_t i = 0; i < 7; i++)
        if ((u & 0x7fffffff) == tie[i]) return ((u >> 28) & 8) | i;
    return aiteri_e2m1_from_bits(u);
}

AITERI_UNUSED static uint32_t aiteri_bits_from_e8m0(uint32_t code)
{
    return code == 0 ? 0x00400000 : code == 255 ? 0x7fc00000 : code << 23;
}

AITERI_UNUSED static uint8_t aiteri_e8m0_from_bits(uint32_t u)
{
    if (u == 0x80000000) return 0;
    if (u >= 0x7f800000) return 255; /* what is negative, too */
    if (u < 0x800000) return u >= 0x600000;
    const uint32_t code = (u + 0x400000) >> 23;
    return (uint8_t)(code > 254 ? 254 : code);
}

/* To nearest even within [low, high]; NaN gives 0. */
AITERI_UNUSED static int64_t aiteri_i64_from_bits(uint32_t u, int64_t low, int64_t high)
{
    const uint32_t a = u & 0x7fffffff, exponent = a >> 23;
    const uint64_t whole = (a & 0x7fffff) | 0x800000;
    if (a > 0x7f800000 || exponent < 126) return 0; /* NaN, and all below 1/2 */
    if (exponent >= 127 + 63) return u >> 31 ? low : high;
    const int64_t size = exponent >= 150
                             ? (int64_t)(whole << (exponent - 150))
                             : (int64_t)aiteri_shift_round((uint32_t)whole, 150 - exponent);
    const int64_t value = u >> 31 ? -size : size;
    return value < low ? low : value > high ? high : value;
}

AITERI_UNUSED static uint32_t aiteri_nibble_of_byte(uint32_t byte, int64_t index)
{
    return byte >> (index & 1 ? 4 : 0) & 15;
}

AITERI_UNUSED static int32_t aiteri_i4_of_byte(uint32_t byte, int64_t index)
{
    const int32_t nibble = (int32_t)aiteri_nibble_of_byte(byte, index);
    return nibble >= 8 ? nibble - 16 : nibble;
}

/* The other half of the byte stays as it was. */
AITERI_UNUSED static void aiteri_store_nibble(void *ptr, int64_t index, uint32_t nibble)
{
    uint8_t *byte = (uint8_t *)ptr + (index >> 1);
    const int shift = index & 1 ? 4 : 0;
    *byte = (uint8_t)((*byte & ~(15u << shift)) | nibble << shift);
}

AITERI_UNUSED static uint32_t aiteri_load_bits(aiter_dtype dtype, const void *ptr, int64_t index)
{
    uint32_t u;
    switch (dtype) {
    case AITER_F32: memcpy(&u, (const float *)ptr + index, sizeof u); return u;
    case AITER_F16: return aiteri_bits_from_f16(((const uint16_t *)ptr)[index]);
    case AITER_BF16: return aiteri_bits_from_bf16(((const uint16_t *)ptr)[index]);
    case AITER_F8_E4M3FN: return aiteri_bits_from_e4m3fn(((const uint8_t *)ptr)[index]);
    case AITER_F8_E4M3FNUZ: return aiteri_bits_from_e4m3fnuz(((const uint8_t *)ptr)[index]);
    case AITER_F8_E5M2: return aiteri_bits_from_e5m2(((const uint8_t *)ptr)[index]);
    case AITER_I8: return aiteri_bits_of_f32((float)((const int8_t *)ptr)[index]);
    case AITER_I4:
        return aiteri_bits_of_f32(
            (float)aiteri_i4_of_byte(((const uint8_t *)ptr)[index >> 1], index));
    case AITER_I32: return aiteri_bits_of_f32((float)((const int32_t *)ptr)[index]);
    case AITER_I64: return aiteri_bits_of_f32((float)((const int64_t *)ptr)[index]);
    case AITER_U8: return aiteri_bits_of_f32((float)((const uint8_t *)ptr)[index]);
    case AITER_F4_E2M1:
        return aiteri_bits_from_e2m1(
            aiteri_nibble_of_byte(((const uint8_t *)ptr)[index >> 1], index));
    case AITER_F8_E8M0: return aiteri_bits_from_e8m0(((const uint8_t *)ptr)[index]);
    default: return 0;
    }
}

AITERI_UNUSED static void aiteri_store_bits(aiter_dtype dtype, void *ptr, int64_t index, uint32_t u)
{
    switch (dtype) {
    case AITER_F32: memcpy((float *)ptr + index, &u, sizeof u); break;
    case AITER_F16: ((uint16_t *)ptr)[index] = aiteri_f16_from_bits(u); break;
    case AITER_BF16: ((uint16_t *)ptr)[index] = aiteri_bf16_from_bits(u); break;
    case AITER_F8_E4M3FN: ((uint8_t *)ptr)[index] = aiteri_e4m3fn_from_bits(u); break;
    case AITER_F8_E4M3FNUZ: ((uint8_t *)ptr)[index] = aiteri_e4m3fnuz_from_bits(u); break;
    case AITER_F8_E5M2: ((uint8_t *)ptr)[index] = aiteri_e5m2_from_bits(u); break;
    case AITER_I8: ((int8_t *)ptr)[index] = (int8_t)aiteri_i64_from_bits(u, -127, 127); break;
    case AITER_I4:
        aiteri_store_nibble(ptr, index, (uint32_t)aiteri_i64_from_bits(u, -7, 7) & 15);
        break;
    case AITER_I32:
        ((int32_t *)ptr)[index] = (int32_t)aiteri_i64_from_bits(u, INT32_MIN, INT32_MAX);
        break;
    case AITER_I64: ((int64_t *)ptr)[index] = aiteri_i64_from_bits(u, INT64_MIN, INT64_MAX); break;
    case AITER_U8: ((uint8_t *)ptr)[index] = (uint8_t)aiteri_i64_from_bits(u, 0, 255); break;
    case AITER_F4_E2M1: aiteri_store_nibble(ptr, index, aiteri_e2m1_from_bits(u)); break;
    case AITER_F8_E8M0: ((uint8_t *)ptr)[index] = aiteri_e8m0_from_bits(u); break;
    default: break;
    }
}

/* The larger of `most` and the bits of |x|; NaN is above all. */
AITERI_FORCE_INLINE uint32_t aiteri_larger_magnitude(uint32_t most, float x)
{
    const uint32_t a = aiteri_bits_of_f32(x) & 0x7fffffff;
    return a > most ? a : most;
}

AITERI_UNUSED static float aiteri_load_f32(aiter_dtype dtype, const void *ptr, int64_t index)
{
    return aiteri_f32_of_bits(aiteri_load_bits(dtype, ptr, index));
}

AITERI_UNUSED static void aiteri_store_f32(aiter_dtype dtype, void *ptr, int64_t index, float x)
{
    aiteri_store_bits(dtype, ptr, index, aiteri_bits_of_f32(x));
}

typedef struct aiteri_dtype_row {
    const char *name;
    int32_t bits;
    float largest; /* what a number that is too large becomes; 0: what no cache is quantised to */
} aiteri_dtype_row;

/* In the order of aiter_dtype. */
static const aiteri_dtype_row aiteri_dtype_table[AITER_DTYPE_COUNT] = {
    {"unset", 0, 0},          {"f32", 32, 0},           {"f16", 16, 0},
    {"bf16", 16, 0},          {"f8_e4m3fn", 8, 448.0f}, {"f8_e4m3fnuz", 8, 240.0f},
    {"f8_e5m2", 8, 57344.0f}, {"i8", 8, 127.0f},        {"i4", 4, 7.0f},
    {"i32", 32, 0},           {"i64", 64, 0},           {"u8", 8, 0},
    {"f4_e2m1", 4, 6.0f},     {"f8_e8m0", 8, 0},
};

AITERI_UNUSED static float aiteri_largest_of(aiter_dtype dtype)
{
    return aiteri_dtype_table[dtype].largest;
}

/* 0 bits and "unknown" for what is no dtype. */
AITERI_UNUSED static int32_t aiteri_dtype_bits(aiter_dtype dtype)
{
    return (uint32_t)dtype < AITER_DTYPE_COUNT ? aiteri_dtype_table[dtype].bits : 0;
}

AITERI_UNUSED static const char *aiteri_dtype_name(aiter_dtype dtype)
{
    return (uint32_t)dtype < AITER_DTYPE_COUNT ? aiteri_dtype_table[dtype].name : "unknown";
}

#endif /* AITERI_DTYPE_C */
AITERI_ONCE_A_CALL_BEGIN

// >>names    (src/base/names.c)
/* names.c -- the public queries: names of enums, bits of dtypes, single elements, the version. */
#ifndef AITERI_NAMES_C
#define AITERI_NAMES_C


AITER_ATTN_API int32_t aiter_dtype_bits(aiter_dtype dtype) { return aiteri_dtype_bits(dtype); }

AITER_ATTN_API const char *aiter_dtype_name(aiter_dtype dtype)
{
    return dtype == AITER_DTYPE_UNSET ? "unset" : aiteri_dtype_name(dtype);
}

AITER_ATTN_API const char *aiter_isa_name(aiter_isa isa)
{
    static const char *const names[AITER_ISA_COUNT] = {"auto",   "scalar", "avx2",
                                                       "avx512", "neon",   "avx512_bf16"};
    return (int)isa >= 0 && isa < AITER_ISA_COUNT ? names[isa] : "unknown";
}

AITER_ATTN_API const char *aiter_status_name(aiter_status status)
{
    switch ((int)status) {
#define AITERI_STATUS_CASE(name, value, text) \
    case value: return text;
        AITER_STATUS_LIST(AITERI_STATUS_CASE)
#undef AITERI_STATUS_CASE
    default: return "unknown";
    }
}

AITER_ATTN_API int32_t aiter_version(void) { return AITER_ATTN_VERSION; }

AITER_ATTN_API float aiter_load_element(aiter_dtype dtype, const void *data, int64_t index)
{
    return aiteri_load_f32(dtype, data, index);
}

AITER_ATTN_API void aiter_store_element(aiter_dtype dtype, void *data, int64_t index, float value)
{
    aiteri_store_f32(dtype, data, index, value);
}

/* Bytes from the start of the data to an element offset; I4 offsets are even by the checks. */
AITERI_FORCE_INLINE int64_t aiteri_bytes_of(aiter_dtype dtype, int64_t elements)
{
    return elements * aiter_dtype_bits(dtype) / 8;
}

#endif /* AITERI_NAMES_C */

// >>tensor    (src/base/tensor.c)
/* tensor.c -- views: constructors, slices, defaults, overlap, and DLPack in and out. */
#ifndef AITERI_TENSOR_C
#define AITERI_TENSOR_C


static aiter_tensor aiteri_tensor_make(const void *data, aiter_dtype dtype, int32_t ndim,
                                       int64_t n0, int64_t n1, int64_t n2, int64_t n3, int64_t n4)
{
    const int64_t shape[5] = {n0, n1, n2, n3, n4};
    aiter_tensor t;
    memset(&t, 0, sizeof t);
    t.data = (void *)(uintptr_t)data;
    t.dtype = dtype;
    t.ndim = ndim;
    for (int32_t i = 0; i < ndim; i++) t.shape[i] = shape[i];
    return t;
}

AITER_ATTN_API aiter_tensor aiter_tensor_1d(const void *data, aiter_dtype dtype, int64_t n0)
{
    return aiteri_tensor_make(data, dtype, 1, n0, 0, 0, 0, 0);
}

AITER_ATTN_API aiter_tensor aiter_tensor_2d(const void *data, aiter_dtype dtype, int64_t n0,
                                            int64_t n1)
{
    return aiteri_tensor_make(data, dtype, 2, n0, n1, 0, 0, 0);
}

AITER_ATTN_API aiter_tensor aiter_tensor_3d(const void *data, aiter_dtype dtype, int64_t n0,
                                            int64_t n1, int64_t n2)
{
    return aiteri_tensor_make(data, dtype, 3, n0, n1, n2, 0, 0);
}

AITER_ATTN_API aiter_tensor aiter_tensor_4d(const void *data, aiter_dtype dtype, int64_t n0,
                                            int64_t n1, int64_t n2, int64_t n3)
{
    return aiteri_tensor_make(data, dtype, 4, n0, n1, n2, n3, 0);
}

AITER_ATTN_API aiter_tensor aiter_tensor_5d(const void *data, aiter_dtype dtype, int64_t n0,
                                            int64_t n1, int64_t n2, int64_t n3, int64_t n4)
{
    return aiteri_tensor_make(data, dtype, 5, n0, n1, n2, n3, n4);
}

/* The most elements that a span may have: its bytes, and sums of a few offsets, stay below 2^63. */
#define AITERI_MOST_ELEMENTS (INT64_MAX / 64)

/* Are the strides left to us? */
static int aiteri_tensor_is_compact(const aiter_tensor *t)
{
    for (int32_t i = 0; i < t->ndim && i < 5; i++)
        if (t->stride[i] != 0) return 0;
    return 1;
}

/* Fills compact strides; wraps for absurd shapes, which the checks refuse before any use. */
static void aiteri_tensor_fill_strides(aiter_tensor *t)
{
    if (!aiteri_tensor_is_compact(t)) return;
    uint64_t stride = 1;
    for (int32_t i = t->ndim - 1; i >= 0; i--) {
        t->stride[i] = (int64_t)stride;
        stride *= (uint64_t)(t->shape[i] > 0 ? t->shape[i] : 1);
    }
}

AITER_ATTN_API aiter_tensor aiter_tensor_transpose(aiter_tensor t, int32_t a, int32_t b)
{
    if (t.ndim < 1 || t.ndim > 5 || a < 0 || b < 0 || a >= t.ndim || b >= t.ndim) {
        t.ndim = 0;
        return t;
    }
    aiteri_tensor_fill_strides(&t);
    const int64_t shape = t.shape[a], stride = t.stride[a];
    t.shape[a] = t.shape[b];
    t.stride[a] = t.stride[b];
    t.shape[b] = shape;
    t.stride[b] = stride;
    return t;
}

AITER_ATTN_API aiter_tensor aiter_tensor_slice(aiter_tensor t, int32_t dim, int64_t start,
                                               int64_t count)
{
    const int ok = t.ndim >= 1 && t.ndim <= 5 && dim >= 0 && dim < t.ndim && start >= 0 &&
                   count >= 0 && start <= t.shape[dim] && count <= t.shape[dim] - start;
    const int32_t bits = aiter_dtype_bits(t.dtype);
    if (ok) aiteri_tensor_fill_strides(&t);
    const int64_t by = ok ? t.stride[dim] : 0; /* whose product with start must not wrap */
    if (!ok || bits == 0 ||
        (start > 0 &&
         (by > AITERI_MOST_ELEMENTS / start || by < -(AITERI_MOST_ELEMENTS / start))) ||
        (bits == 4 && start * by % 2 != 0)) {
        t.ndim = 0;
        return t;
    }
    if (t.data) t.data = (char *)t.data + start * by * bits / 8;
    t.shape[dim] = count;
    return t;
}

/* Elements from the first to one past the last, for extents of 0 or more. 0: empty; -1: too large,
 * or a stride that is negative. */
static int64_t aiteri_tensor_span(const aiter_tensor *t)
{
    int64_t last = 0;
    for (int32_t i = 0; i < t->ndim; i++)
        if (t->shape[i] == 0) return 0;
    for (int32_t i = 0; i < t->ndim; i++) {
        const int64_t steps = t->shape[i] - 1, stride = t->stride[i];
        if (stride < 0) return -1;
        if (stride != 0 && steps > (AITERI_MOST_ELEMENTS - last) / stride) return -1;
        last += steps * stride;
    }
    return last + 1;
}

#if defined(DLPACK_VERSION) || defined(DLPACK_MAJOR_VERSION)
typedef struct aiteri_dlpack_row {
    aiter_dtype dtype;
    int code, bits;
} aiteri_dlpack_row;

/* DLPack's type codes: 0 int, 1 unsigned, 2 float, 4 bfloat; 10, 11 and 12 are float8_e4m3fn,
 * float8_e4m3fnuz and float8_e5m2 of DLPack 1.1. */
static const aiteri_dlpack_row aiteri_dlpack_rows[] = {
    {AITER_F32, 2, 32},       {AITER_F16, 2, 16},         {AITER_BF16, 4, 16},
    {AITER_F8_E4M3FN, 10, 8}, {AITER_F8_E4M3FNUZ, 11, 8}, {AITER_F8_E5M2, 12, 8},
    {AITER_I8, 0, 8},         {AITER_I32, 0, 32},         {AITER_I64, 0, 64},
    {AITER_U8, 1, 8}};

AITER_ATTN_API aiter_status aiter_tensor_from_dlpack(const DLTensor *in, aiter_tensor *out)
{
    if (!in || !out)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT, "aiter_tensor_from_dlpack.%s: is NULL",
                           in ? "out" : "in");
    if (in->ndim < 1 || in->ndim > 5 || !in->shape)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT,
                           "aiter_tensor_from_dlpack.in: ndim is %d, expected 1 to 5 and a shape",
                           (int)in->ndim);
    if (in->device.device_type != 1 || in->dtype.lanes != 1)
        return aiteri_fail(
            NULL, AITER_INVALID_ARGUMENT,
            "aiter_tensor_from_dlpack.in: device type %d with %d lanes, expected CPU (1) and 1",
            (int)in->device.device_type, (int)in->dtype.lanes);
    aiter_tensor t;
    memset(&t, 0, sizeof t);
    for (size_t i = 0; i < sizeof aiteri_dlpack_rows / sizeof aiteri_dlpack_rows[0]; i++)
        if (aiteri_dlpack_rows[i].code == (int)in->dtype.code &&
            aiteri_dlpack_rows[i].bits == (int)in->dtype.bits)
            t.dtype = aiteri_dlpack_rows[i].dtype;
    if (t.dtype == AITER_DTYPE_UNSET)
        return aiteri_fail(
            NULL, AITER_UNSUPPORTED,
            "aiter_tensor_from_dlpack.in: type code %d with %d bits has no counterpart",
            (int)in->dtype.code, (int)in->dtype.bits);
    t.ndim = in->ndim;
    t.data = in->data ? (char *)in->data + in->byte_offset : NULL;
    int64_t most = 1;
    for (int32_t i = 0; i < t.ndim; i++) {
        t.shape[i] = in->shape[i];
        t.stride[i] = in->strides ? in->strides[i] : 0;
        if (in->shape[i] < 0 || t.stride[i] < 0)
            return aiteri_fail(NULL, AITER_INVALID_ARGUMENT,
                               "aiter_tensor_from_dlpack.in: shape or stride %d is negative",
                               (int)i);
        if (in->shape[i] > most) most = in->shape[i];
    }
    if (in->strides && most > 1 && aiteri_tensor_is_compact(&t))
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT,
                           "aiter_tensor_from_dlpack.in: several elements whose strides are all 0");
    aiteri_tensor_fill_strides(&t);
    *out = t;
    return AITER_OK;
}

AITER_ATTN_API aiter_status aiter_tensor_to_dlpack(aiter_tensor *t, DLTensor *out)
{
    if (!t || !out)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT, "aiter_tensor_to_dlpack.%s: is NULL",
                           t ? "out" : "t");
    if (t->ndim < 1 || t->ndim > 5)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT,
                           "aiter_tensor_to_dlpack.t: ndim is %d, expected 1 to 5", (int)t->ndim);
    for (size_t i = 0; i < sizeof aiteri_dlpack_rows / sizeof aiteri_dlpack_rows[0]; i++) {
        if (aiteri_dlpack_rows[i].dtype != t->dtype) continue;
        aiteri_tensor_fill_strides(t);
        memset(out, 0, sizeof *out);
        out->data = t->data;
        memset(&out->device, 0, sizeof out->device);
        out->device.device_type = kDLCPU;
        out->ndim = t->ndim;
        out->dtype.code = (uint8_t)aiteri_dlpack_rows[i].code;
        out->dtype.bits = (uint8_t)aiteri_dlpack_rows[i].bits;
        out->dtype.lanes = 1;
        out->shape = t->shape;
        out->strides = t->stride;
        return AITER_OK;
    }
    return aiteri_fail(NULL, AITER_UNSUPPORTED, "aiter_tensor_to_dlpack.t: %s has no counterpart",
                       aiter_dtype_name(t->dtype));
}
#endif /* DLPack */

#endif /* AITERI_TENSOR_C */

// >>argument    (src/base/argument.c)
/* argument.c -- checks of one argument at a time: sticky, the first failure is the one reported. */
#ifndef AITERI_ARGUMENT_C
#define AITERI_ARGUMENT_C


/* The checks of one call. Each does nothing after the first failure. */
typedef struct aiteri_check {
    const char *op;
    aiter_context *ctx;
    aiter_status status;
} aiteri_check;

/* Reports "op.field: ..." unless something was reported before. */
static void aiteri_reject(aiteri_check *c, aiter_status code, const char *format, ...)
    AITERI_PRINTF(3, 4);
static void aiteri_reject(aiteri_check *c, aiter_status code, const char *format, ...)
{
    va_list list;
    if (c->status != AITER_OK) return;
    c->status = code;
    va_start(list, format);
    aiteri_keep_text(c->ctx, format, list);
    va_end(list);
}

#define AITERI_TYPE_BIT(dtype) (1u << (dtype))

enum {
    AITERI_FLOATS = 1 << AITER_F32 | 1 << AITER_F16 | 1 << AITER_BF16,
    AITERI_FP8 = 1 << AITER_F8_E4M3FN | 1 << AITER_F8_E4M3FNUZ | 1 << AITER_F8_E5M2,
    AITERI_QUANTISED = AITERI_FP8 | 1 << AITER_I8,
    AITERI_KEY_TYPES = AITERI_FLOATS | AITERI_QUANTISED,
    AITERI_ONLY_F32 = 1 << AITER_F32,
    AITERI_ONLY_I32 = 1 << AITER_I32,
    AITERI_INDICES = 1 << AITER_I32 | 1 << AITER_I64
};

/* Whether a dtype, which may be any number, is one of a set. */
static int aiteri_is_type(aiter_dtype dtype, unsigned dtypes)
{
    return (uint32_t)dtype < AITER_DTYPE_COUNT && (AITERI_TYPE_BIT(dtype) & dtypes) != 0;
}

AITERI_UNUSED static void aiteri_check_true(aiteri_check *c, int ok, const char *field,
                                            const char *expected)
{
    if (!ok) aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: expected %s", c->op, field, expected);
}

/* "3 to 8", or "3 or more" of a value below a bound that nobody meets. */
typedef struct aiteri_range_text {
    char text[48];
} aiteri_range_text;

static aiteri_range_text aiteri_range_of(int64_t got, int64_t low, int64_t high)
{
    aiteri_range_text r;
    if (got < low && high >= INT32_MAX - 1)
        snprintf(r.text, sizeof r.text, "%lld or more", (long long)low);
    else
        snprintf(r.text, sizeof r.text, "%lld to %lld", (long long)low, (long long)high);
    return r;
}

static void aiteri_check_range(aiteri_check *c, const char *field, int64_t got, int64_t low,
                               int64_t high)
{
    if (got < low || got > high)
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: is %lld, expected %s", c->op, field,
                      (long long)got, aiteri_range_of(got, low, high).text);
}

/* A value of an enum that counts from 0; `type` names it. */
AITERI_UNUSED static void aiteri_check_enum(aiteri_check *c, const char *field, int got, int count,
                                            const char *type)
{
    if (got < 0 || got >= count)
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: %d is no %s", c->op, field, got, type);
}

/* x >= 0 and finite; x is looked at by its bits, so that no compiler flag can wave NaN through. */
AITERI_UNUSED static void aiteri_check_scale(aiteri_check *c, const char *field, float x)
{
    if (aiteri_bits_of_f32(x) >= 0x7f800000u && aiteri_bits_of_f32(x) != 0x80000000u)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: is %g, expected a finite value of 0 or more", c->op, field,
                      (double)x);
}

/* Element `at` of scales that are read: positive and finite. */
AITERI_UNUSED static void aiteri_check_positive(aiteri_check *c, const char *field, int64_t at,
                                                float x)
{
    const uint32_t bits = aiteri_bits_of_f32(x);
    if (bits == 0 || bits >= 0x7f800000u)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: [%lld] is %g, expected a positive finite scale", c->op, field,
                      (long long)at, (double)x);
}

/* "f32, f16": the types of a set. */
static void aiteri_name_types(unsigned dtypes, char *names, size_t bytes)
{
    names[0] = 0;
    for (int i = 1; i < AITER_DTYPE_COUNT; i++) {
        const size_t at = strlen(names);
        if (dtypes >> i & 1)
            snprintf(names + at, bytes - at, "%s%s", at ? ", " : "",
                     aiter_dtype_name((aiter_dtype)i));
    }
}

/* What to do about a type that people bring from elsewhere. */
static const char *aiteri_type_advice(aiter_dtype got, unsigned dtypes)
{
    if (dtypes == AITERI_ONLY_I32 && got == AITER_I64)
        return "; lengths, offsets and tables are 32-bit: pass a converted copy";
    if (aiteri_is_type(got, AITERI_FP8))
        return "; fp8 serves as keys and values alone: convert it (aiter_load_element reads it)";
    if (got == AITER_U8 && (dtypes & AITERI_FLOATS) == AITERI_FLOATS)
        return "; bytes of another type (vLLM keeps fp8 as uint8): name the type that they hold";
    if (got == AITER_I8 && (dtypes & AITERI_FLOATS) == AITERI_FLOATS)
        return "; int8 serves as keys and values of flash_attn_fwd and paged_attn_decode";
    return "";
}

/* Bytes that an element's address must be a multiple of. */
typedef struct aiteri_align_64 {
    char before;
    int64_t at;
} aiteri_align_64;

static size_t aiteri_dtype_align(aiter_dtype dtype)
{
    const int32_t bits = aiter_dtype_bits(dtype);
    return bits == 64 ? offsetof(aiteri_align_64, at) : bits < 8 ? 1 : (size_t)bits / 8;
}

/* The rank and type of an argument that is there. `layout` says what is expected: "[B, Sq, Hq, D]".
 */
static int aiteri_check_kind(aiteri_check *c, const char *field, const aiter_tensor *t,
                             int32_t ndim_low, int32_t ndim_high, unsigned dtypes,
                             const char *layout)
{
    if (t->ndim < ndim_low || t->ndim > ndim_high) {
        char range[32];
        snprintf(range, sizeof range, ndim_low == ndim_high ? "%d" : "%d to %d", (int)ndim_low,
                 (int)ndim_high);
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: ndim is %d, expected %s: %s", c->op, field,
                      (int)t->ndim, range, layout);
        return 0;
    }
    if ((int)t->dtype <= 0 || t->dtype >= AITER_DTYPE_COUNT || !(dtypes >> t->dtype & 1)) {
        char names[96];
        aiteri_name_types(dtypes, names, sizeof names);
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: dtype is %s, expected %s%s", c->op, field,
                      aiter_dtype_name(t->dtype), names, aiteri_type_advice(t->dtype, dtypes));
        return 0;
    }
    return 1;
}

/* Does a view of so many elements run over the end of the addresses? */
static int aiteri_tensor_wraps(const aiter_tensor *t, int64_t span)
{
    const uint64_t bytes = (uint64_t)span * (uint64_t)((aiter_dtype_bits(t->dtype) + 7) / 8);
    return bytes > UINTPTR_MAX - (uintptr_t)t->data;
}

/* Extents, strides and data of an argument of a known rank and type; fills the strides. */
static void aiteri_check_view(aiteri_check *c, const char *field, aiter_tensor *t)
{
    for (int32_t i = 0; i < t->ndim; i++)
        if (t->shape[i] < 0) {
            aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: shape[%d] is %lld, expected 0 or more",
                          c->op, field, (int)i, (long long)t->shape[i]);
            return;
        }
    aiter_tensor compact = *t;
    aiteri_tensor_fill_strides(t);
    const int64_t span = aiteri_tensor_span(t);
    for (int32_t i = 0; i < t->ndim && !aiteri_tensor_is_compact(&compact); i++)
        if (t->stride[i] < 0 && span != 0)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.%s: stride[%d] is %lld, expected 0 or more", c->op, field, (int)i,
                          (long long)t->stride[i]);
    const size_t align = aiteri_dtype_align(t->dtype);
    if (span < 0 || aiteri_tensor_wraps(t, span))
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: its extents exceed the address space",
                      c->op, field);
    else if (t->data == NULL && span != 0)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: data is NULL, expected %lld elements or more", c->op, field,
                      (long long)span);
    else if (span != 0 && (uintptr_t)t->data % align != 0)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: data is not aligned to %d bytes, as its elements (%s) are", c->op,
                      field, (int)align, aiter_dtype_name(t->dtype));
    for (int32_t i = 0; i < t->ndim; i++) /* strides that are never taken may be anything */
        if ((span == 0 || t->shape[i] == 1) &&
            (t->stride[i] < 0 || t->stride[i] > AITERI_MOST_ELEMENTS))
            t->stride[i] = 0;
}

/* Fills the strides of an argument and checks everything that it alone can tell. Returns whether it
 * is present; an absent one fails when `required`. */
static int aiteri_check_tensor(aiteri_check *c, const char *field, aiter_tensor *t,
                               int32_t ndim_low, int32_t ndim_high, unsigned dtypes, int required,
                               const char *layout)
{
    if (c->status != AITER_OK) return 0; /* the ranks expected here may come from what failed */
    if (t->ndim == 0) {
        if (required)
            aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: is absent (ndim 0), expected %s",
                          c->op, field, layout);
        return 0;
    }
    if (aiteri_check_kind(c, field, t, ndim_low, ndim_high, dtypes, layout))
        aiteri_check_view(c, field, t);
    return c->status == AITER_OK;
}

/* A tensor that means nothing to an op. */
AITERI_UNUSED static void aiteri_check_absent(aiteri_check *c, const char *field,
                                              const aiter_tensor *t, const char *why)
{
    if (t->ndim != 0)
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: expected none: %s", c->op, field, why);
}

/* One extent of a tensor, and what it counts. */
static void aiteri_check_axis(aiteri_check *c, const char *field, const aiter_tensor *t,
                              int32_t dim, const char *what, int64_t low, int64_t high)
{
    const int64_t got = t->shape[dim];
    if (got < low || got > high)
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: shape[%d], the %s, is %lld, expected %s",
                      c->op, field, (int)dim, what, (long long)got,
                      aiteri_range_of(got, low, high).text);
}

/* The axis that t.shape[dim] looks exchanged with, since `expected` stands there; -1: none. Of four
 * axes only the two inner ones before the last are meant. */
static int32_t aiteri_looks_exchanged(const aiter_tensor *t, int32_t dim, int64_t expected)
{
    const int32_t other = t->ndim == 4 ? 3 - dim : dim + 1;
    if (t->ndim == 4 ? dim != 1 && dim != 2 : other >= t->ndim) return -1;
    return t->shape[other] == expected ? other : -1;
}

/* t.shape[dim] == expected, the extent of `other`. */
static void aiteri_check_extent(aiteri_check *c, const char *field, const aiter_tensor *t,
                                int32_t dim, int64_t expected, const char *other)
{
    if (t->shape[dim] == expected) return;
    char advice[96] = "";
    const int32_t with = aiteri_looks_exchanged(t, dim, expected);
    if (with >= 0)
        snprintf(advice, sizeof advice,
                 "; are two axes exchanged? aiter_tensor_transpose(%s, %d, %d)", field,
                 (int)aiteri_min(dim, with), (int)aiteri_max(dim, with));
    aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: shape[%d] is %lld, expected %lld (= %s)%s",
                  c->op, field, (int)dim, (long long)t->shape[dim], (long long)expected, other,
                  advice);
}

/* Dimensions by falling stride, extents of 1 dropped. */
typedef struct aiteri_extent {
    uintptr_t first, bytes; /* of the first element, and from it to one past the last byte */
    int32_t ndim;
    int64_t shape[5], stride[5]; /* in bytes */
} aiteri_extent;

static aiteri_extent aiteri_extent_of(const aiter_tensor *t)
{
    const int64_t size = (aiter_dtype_bits(t->dtype) + 7) / 8;
    aiteri_extent e;
    memset(&e, 0, sizeof e);
    e.first = (uintptr_t)t->data;
    e.bytes = (uintptr_t)size;
    for (int32_t i = 0; i < t->ndim; i++) {
        if (t->shape[i] <= 1) continue;
        const int64_t stride = t->stride[i] * size;
        int32_t at = e.ndim++;
        for (; at > 0 && e.stride[at - 1] < stride; at--) {
            e.stride[at] = e.stride[at - 1];
            e.shape[at] = e.shape[at - 1];
        }
        e.stride[at] = stride;
        e.shape[at] = t->shape[i];
        e.bytes += (uintptr_t)((t->shape[i] - 1) * stride);
    }
    return e;
}

/* Each dimension steps over all that the ones inside it span. */
static int aiteri_extent_is_injective(const aiteri_extent *e, int64_t size)
{
    int64_t inner = size;
    for (int32_t i = e->ndim - 1; i >= 0; i--) {
        if (e->stride[i] < inner) return 0;
        inner += (e->shape[i] - 1) * e->stride[i];
    }
    return 1;
}

static int aiteri_extents_meet(const aiteri_extent *a, const aiteri_extent *b, int64_t *budget);

/* The first slice of the outermost dimension. */
static aiteri_extent aiteri_extent_slice(const aiteri_extent *e)
{
    aiteri_extent slice = *e;
    slice.ndim--;
    memmove(slice.shape, e->shape + 1, 4 * sizeof slice.shape[0]);
    memmove(slice.stride, e->stride + 1, 4 * sizeof slice.stride[0]);
    slice.bytes = e->bytes - (uintptr_t)((e->shape[0] - 1) * e->stride[0]);
    return slice;
}

/* Two views of one outer step, as K and V that interleave: whether slice i of a meets slice j of b
 * depends on i - j alone. */
static int aiteri_extents_in_step_meet(const aiteri_extent *a, const aiteri_extent *b,
                                       int64_t *budget)
{
    aiteri_extent of_a = aiteri_extent_slice(a), of_b = aiteri_extent_slice(b);
    const int64_t step = a->stride[0], ahead = (int64_t)a->first - (int64_t)b->first;
    const int64_t before = -ahead - (int64_t)of_a.bytes; /* k steps of a end behind b's start */
    int64_t k = aiteri_max(before / step - (before % step < 0) + 1, 1 - b->shape[0]);
    for (; k < a->shape[0] && ahead + k * step < (int64_t)of_b.bytes; k++) {
        of_a.first = a->first + (uintptr_t)(k > 0 ? k * step : 0);
        of_b.first = b->first + (uintptr_t)(k < 0 ? -k * step : 0);
        if (aiteri_extents_meet(&of_a, &of_b, budget)) return 1;
    }
    return 0;
}

/* Do two views share a byte? Exact: the view with the larger outer stride is cut into its slices,
 * those that meet the other are looked at in turn. After `budget` steps the answer is yes. */
static int aiteri_extents_meet(const aiteri_extent *a, const aiteri_extent *b, int64_t *budget)
{
    if (a->first >= b->first + b->bytes || b->first >= a->first + a->bytes) return 0;
    if (--*budget < 0) return 1;
    const int64_t outer_a = a->ndim ? a->stride[0] : 0, outer_b = b->ndim ? b->stride[0] : 0;
    if (outer_a == 0 && outer_b == 0) return 1;
    if (outer_a < outer_b) return aiteri_extents_meet(b, a, budget);
    if (outer_a == outer_b) return aiteri_extents_in_step_meet(a, b, budget);
    aiteri_extent slice = aiteri_extent_slice(a);
    const uintptr_t step = (uintptr_t)outer_a, end = b->first + b->bytes;
    uintptr_t i =
        a->first + slice.bytes > b->first ? 0 : (b->first - a->first - slice.bytes) / step + 1;
    for (; i < (uintptr_t)a->shape[0] && a->first + i * step < end; i++) {
        slice.first = a->first + i * step;
        if (aiteri_extents_meet(&slice, b, budget)) return 1;
    }
    return 0;
}

/* One argument by its name in texts. */
typedef struct aiteri_operand {
    const char *field;
    const aiter_tensor *tensor;
} aiteri_operand;

/* Memory that a call may write or read besides its tensors, as one of them. NULL: absent. */
AITERI_UNUSED static aiter_tensor aiteri_memory_operand(const void *data, size_t bytes)
{
    const uintptr_t most = UINTPTR_MAX - (uintptr_t)data;
    const uint64_t known = bytes < most ? bytes : most;
    aiter_tensor t = aiteri_tensor_make(
        data, AITER_U8, data && known ? 1 : 0,
        known < (uint64_t)AITERI_MOST_ELEMENTS ? (int64_t)known : AITERI_MOST_ELEMENTS, 0, 0, 0, 0);
    t.stride[0] = 1;
    return t;
}

/* Bytes of a view whose strides are filled; 0: absent or empty. */
static uintptr_t aiteri_operand_bytes(const aiter_tensor *t)
{
    const int64_t span = t->ndim ? aiteri_tensor_span(t) : 0;
    return span > 0 ? (uintptr_t)span * (uintptr_t)((aiter_dtype_bits(t->dtype) + 7) / 8) : 0;
}

/* Do two views share a byte? Mostly their ends tell. */
static int aiteri_operands_meet(const aiter_tensor *t, uintptr_t t_bytes, const aiter_tensor *u)
{
    const uintptr_t u_bytes = aiteri_operand_bytes(u);
    const uintptr_t at = (uintptr_t)t->data, other = (uintptr_t)u->data;
    if (u_bytes == 0 || at >= other + u_bytes || other >= at + t_bytes) return 0;
    const aiteri_extent a = aiteri_extent_of(t), b = aiteri_extent_of(u);
    int64_t budget = 4000000;
    return aiteri_extents_meet(&a, &b, &budget);
}

/* No output shares an element with itself, another output or an input. Outputs come first; the
 * strides of all are filled. */
static void aiteri_check_overlap(aiteri_check *c, const aiteri_operand *operand, int32_t count,
                                 int32_t outputs)
{
    for (int32_t i = 0; i < outputs && c->status == AITER_OK; i++) {
        const aiter_tensor *t = operand[i].tensor;
        const uintptr_t bytes = aiteri_operand_bytes(t);
        if (bytes == 0) continue;
        const aiteri_extent a = aiteri_extent_of(t);
        if (!aiteri_extent_is_injective(&a, (aiter_dtype_bits(t->dtype) + 7) / 8))
            aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: several of its elements share memory",
                          c->op, operand[i].field);
        for (int32_t j = i + 1; j < count; j++)
            if (aiteri_operands_meet(t, bytes, operand[j].tensor))
                aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: shares memory with %s", c->op,
                              operand[i].field, operand[j].field);
    }
}

/* An output may be exactly an input of the same extents: same data, strides and dtype. */
AITERI_UNUSED static int aiteri_same_view(const aiter_tensor *a, const aiter_tensor *b)
{
    if (a->data != b->data || a->dtype != b->dtype || a->ndim != b->ndim) return 0;
    for (int32_t i = 0; i < a->ndim; i++)
        if (a->stride[i] != b->stride[i]) return 0;
    return 1;
}

/* A bound of the lengths, and the words for it. */
typedef struct aiteri_length_bound {
    int64_t most;
    const char *name;
} aiteri_length_bound;

/* cu[0] == 0, never falling, the last within the tensor, no length above its bound. */
AITERI_UNUSED static void aiteri_check_cu_seqlens(aiteri_check *c, const char *field,
                                                  const int32_t *cu, int64_t stride, int32_t batch,
                                                  int64_t total, aiteri_length_bound bound)
{
    if (!cu || c->status != AITER_OK) return;
    if (cu[0] != 0)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: [0] is %d, expected 0: B + 1 running sums of the lengths", c->op,
                      field, (int)cu[0]);
    for (int32_t b = 0; b < batch && c->status == AITER_OK; b++) {
        const int64_t length = (int64_t)cu[(b + 1) * stride] - cu[b * stride];
        if (length < 0)
            aiteri_reject(
                c, AITER_INVALID_ARGUMENT,
                "%s.%s: falls from %d to %d at [%d], expected running sums of the lengths", c->op,
                field, (int)cu[b * stride], (int)cu[(b + 1) * stride], (int)(b + 1));
        if (length > bound.most)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.%s: [%d] gives a length of %lld, expected 0 to %lld (= %s)", c->op,
                          field, (int)(b + 1), (long long)length, (long long)bound.most,
                          bound.name);
    }
    if (cu[batch * stride] > total)
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: [%d] is %d, expected at most %lld tokens",
                      c->op, field, (int)batch, (int)cu[batch * stride], (long long)total);
}

/* The element of an I32 or I64 tensor at an offset in elements. */
AITERI_UNUSED static int64_t aiteri_index_at(const aiter_tensor *t, int64_t at)
{
    return t->dtype == AITER_I64 ? ((const int64_t *)t->data)[at] : ((const int32_t *)t->data)[at];
}

#endif /* AITERI_ARGUMENT_C */

// >>arena    (src/base/arena.c)
/* arena.c -- carves one block of scratch memory; the same layout function run on a NULL base
 * measures it. */
#ifndef AITERI_ARENA_C
#define AITERI_ARENA_C


enum { AITERI_LINE = 64 }; /* a cache line, and the alignment of every carved piece */

typedef struct aiteri_arena {
    char *base; /* NULL: measure only */
    size_t used;
} aiteri_arena;

AITERI_UNUSED static void *aiteri_carve(aiteri_arena *arena, size_t count, size_t size)
{
    AITERI_ASSERT((uintptr_t)arena->base % AITERI_LINE == 0 && arena->used % AITERI_LINE == 0);
    const size_t at = arena->used;
    const size_t bytes = aiteri_pad_size(aiteri_mul_size(count, size), AITERI_LINE);
    arena->used = aiteri_add_size(at, bytes);
    return arena->base ? arena->base + at : NULL;
}

/* The caller's block may start anywhere: skip to a line, which costs at most a line. */
static aiteri_arena aiteri_arena_over(void *block)
{
    aiteri_arena arena;
    const uintptr_t address = (uintptr_t)block;
    arena.base = (char *)block + ((AITERI_LINE - address % AITERI_LINE) % AITERI_LINE);
    arena.used = 0;
    return arena;
}

#endif /* AITERI_ARENA_C */

// >>threads    (src/base/threads.c)
/* threads.c -- a small pool: workers spin briefly for the next call, then sleep. */
#ifndef AITERI_THREADS_C
#define AITERI_THREADS_C


typedef void (*aiteri_task_fn)(void *arg, int32_t i);

enum { AITERI_MAX_THREADS = 1024, AITERI_SPINS = 2000 };

#if AITERI_X86
#define AITERI_PAUSE() _mm_pause()
#else
#define AITERI_PAUSE() ((void)0)
#endif

#if defined(AITERI_THREADS_POSIX)
typedef pthread_t aiteri_thread;
typedef pthread_mutex_t aiteri_mutex;
typedef pthread_cond_t aiteri_cond;
static int aiteri_mutex_init(aiteri_mutex *m) { return pthread_mutex_init(m, NULL) == 0; }
static int aiteri_cond_init(aiteri_cond *c) { return pthread_cond_init(c, NULL) == 0; }
static void aiteri_mutex_destroy(aiteri_mutex *m) { pthread_mutex_destroy(m); }
static void aiteri_cond_destroy(aiteri_cond *c) { pthread_cond_destroy(c); }
static void aiteri_lock(aiteri_mutex *m) { pthread_mutex_lock(m); }
static void aiteri_unlock(aiteri_mutex *m) { pthread_mutex_unlock(m); }
static void aiteri_wait(aiteri_cond *c, aiteri_mutex *m) { pthread_cond_wait(c, m); }
static void aiteri_wake_all(aiteri_cond *c) { pthread_cond_broadcast(c); }
#define AITERI_THREAD_MAIN(name, arg) static void *name(void *arg)
#define AITERI_THREAD_RETURN          return NULL
static int aiteri_thread_start(aiteri_thread *t, void *(*main)(void *), void *arg)
{
    return pthread_create(t, NULL, main, arg) == 0;
}
static void aiteri_thread_join(aiteri_thread t) { pthread_join(t, NULL); }
static int64_t aiteri_process(void) { return (int64_t)getpid(); }
#elif defined(AITERI_THREADS_WINDOWS)
typedef HANDLE aiteri_thread;
typedef CRITICAL_SECTION aiteri_mutex;
typedef CONDITION_VARIABLE aiteri_cond;
static int aiteri_mutex_init(aiteri_mutex *m) { return InitializeCriticalSection(m), 1; }
static int aiteri_cond_init(aiteri_cond *c) { return InitializeConditionVariable(c), 1; }
static void aiteri_mutex_destroy(aiteri_mutex *m) { DeleteCriticalSection(m); }
static void aiteri_cond_destroy(aiteri_cond *c) { (void)c; }
static void aiteri_lock(aiteri_mutex *m) { EnterCriticalSection(m); }
static void aiteri_unlock(aiteri_mutex *m) { LeaveCriticalSection(m); }
static void aiteri_wait(aiteri_cond *c, aiteri_mutex *m)
{
    SleepConditionVariableCS(c, m, INFINITE);
}
static void aiteri_wake_all(aiteri_cond *c) { WakeAllConditionVariable(c); }
#define AITERI_THREAD_MAIN(name, arg) static DWORD WINAPI name(LPVOID arg)
#define AITERI_THREAD_RETURN          return 0
static int aiteri_thread_start(aiteri_thread *t, LPTHREAD_START_ROUTINE main, void *arg)
{
    *t = CreateThread(NULL, 0, main, arg, 0, NULL);
    return *t != NULL;
}
static void aiteri_thread_join(aiteri_thread t)
{
    WaitForSingleObject(t, INFINITE);
    CloseHandle(t);
}
static int64_t aiteri_process(void) { return 0; } /* there is no fork */
#endif

/* Work runs with subnormals on and rounding to nearest, whatever the caller or the thread that
 * takes it has set: the same bits everywhere. Returns what to restore. */
#if AITERI_X86 && !AITERI_EXCESS_PRECISION
typedef unsigned aiteri_float_mode;
static aiteri_float_mode aiteri_float_mode_enter(void)
{
    const unsigned mode = _mm_getcsr();
    _mm_setcsr(0x1f80);
    return mode;
}
static void aiteri_float_mode_leave(aiteri_float_mode mode) { _mm_setcsr(mode); }
#elif AITERI_NEON && (defined(__GNUC__) || defined(__clang__))
typedef uint64_t aiteri_float_mode;
static aiteri_float_mode aiteri_float_mode_enter(void)
{
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0));
    return mode;
}
static void aiteri_float_mode_leave(aiteri_float_mode mode)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(mode));
}
#else
typedef fenv_t aiteri_float_mode;
static aiteri_float_mode aiteri_float_mode_enter(void)
{
    fenv_t mode;
    fegetenv(&mode);
    fesetenv(FE_DFL_ENV);
    return mode;
}
static void aiteri_float_mode_leave(aiteri_float_mode mode) { fesetenv(&mode); }
#endif

#if !defined(AITERI_THREADS_NONE)
typedef struct aiteri_pool aiteri_pool;

typedef struct aiteri_pool_worker {
    aiteri_pool *pool;
    aiteri_thread thread;
    int32_t index;
} aiteri_pool_worker;

/* A call is announced by raising `generation`; the last worker to finish brings `running` to 0. */
struct aiteri_pool {
    aiteri_mutex mutex;
    aiteri_cond work, done;
    volatile aiteri_counter generation, running;
    int64_t process; /* whose threads these are; a fork has none of them, and maybe a lock held */
    aiteri_task_fn body;
    void *arg;
    int32_t tasks, threads, stop; /* threads includes the caller */
    aiteri_pool_worker *worker;
};

AITERI_THREAD_MAIN(aiteri_pool_main, arg)
{
    aiteri_pool_worker *self = (aiteri_pool_worker *)arg;
    aiteri_pool *pool = self->pool;
    aiteri_counter seen = 0;
    for (;;) {
        for (int spin = 0; spin < AITERI_SPINS; spin++) {
            if (aiteri_atomic_load(&pool->generation) != seen) break;
            AITERI_PAUSE();
        }
        aiteri_lock(&pool->mutex);
        while (pool->generation == seen) aiteri_wait(&pool->work, &pool->mutex);
        seen = pool->generation;
        const int32_t stop = pool->stop, tasks = pool->tasks;
        aiteri_unlock(&pool->mutex);
        if (stop) break;
        if (self->index < tasks) pool->body(pool->arg, self->index);
        if (aiteri_atomic_add(&pool->running, -1) == 1) {
            aiteri_lock(&pool->mutex);
            aiteri_wake_all(&pool->done);
            aiteri_unlock(&pool->mutex);
        }
    }
    AITERI_THREAD_RETURN;
}

/* Whether the workers exist: not in a forked child, which leaves all of the pool alone. */
static int aiteri_pool_is_ours(const aiteri_pool *pool)
{
    return pool->process == aiteri_process();
}

static void aiteri_pool_announce(aiteri_pool *pool)
{
    aiteri_lock(&pool->mutex);
    aiteri_atomic_store(&pool->running, pool->threads - 1);
    aiteri_atomic_add(&pool->generation, 1);
    aiteri_wake_all(&pool->work);
    aiteri_unlock(&pool->mutex);
}

static void aiteri_pool_run(aiteri_pool *pool, aiteri_task_fn body, void *arg, int32_t n)
{
    pool->body = body;
    pool->arg = arg;
    pool->tasks = n;
    aiteri_pool_announce(pool);
    body(arg, 0);
    for (int spin = 0; spin < AITERI_SPINS; spin++) {
        if (aiteri_atomic_load(&pool->running) == 0) return;
        AITERI_PAUSE();
    }
    aiteri_lock(&pool->mutex);
    while (aiteri_atomic_load(&pool->running) != 0) aiteri_wait(&pool->done, &pool->mutex);
    aiteri_unlock(&pool->mutex);
}

/* Stops the workers [1, threads) that were started. */
static void aiteri_pool_stop(aiteri_pool *pool)
{
    if (!aiteri_pool_is_ours(pool)) return;
    pool->stop = 1;
    aiteri_pool_announce(pool);
    for (int32_t i = 1; i < pool->threads; i++) aiteri_thread_join(pool->worker[i].thread);
    aiteri_cond_destroy(&pool->done);
    aiteri_cond_destroy(&pool->work);
    aiteri_mutex_destroy(&pool->mutex);
}

/* `worker` has room for `threads` entries. 0: a thread could not be started, and none is left. */
static int aiteri_pool_start(aiteri_pool *pool, aiteri_pool_worker *worker, int32_t threads)
{
    memset(pool, 0, sizeof *pool);
    pool->worker = worker;
    pool->threads = 1;
    pool->process = aiteri_process();
    if (!aiteri_mutex_init(&pool->mutex)) return 0;
    if (!aiteri_cond_init(&pool->work)) {
        aiteri_mutex_destroy(&pool->mutex);
        return 0;
    }
    if (!aiteri_cond_init(&pool->done)) {
        aiteri_cond_destroy(&pool->work);
        aiteri_mutex_destroy(&pool->mutex);
        return 0;
    }
    for (int32_t i = 1; i < threads; i++) {
        worker[i].pool = pool;
        worker[i].index = i;
        if (!aiteri_thread_start(&worker[i].thread, aiteri_pool_main, &worker[i])) {
            aiteri_pool_stop(pool);
            return 0;
        }
        pool->threads = i + 1;
    }
    return 1;
}
#endif /* !AITERI_THREADS_NONE */

/* A small text file into `text`; 0 if there is none. */
static int aiteri_read_text(const char *path, char *text, size_t bytes)
{
    FILE *file = fopen(path, "rb");
    if (!file) return 0;
    const size_t n = fread(text, 1, bytes - 1, file);
    fclose(file);
    text[n] = 0;
    return n > 0;
}

/* CPUs in /proc/self/status's affinity mask; 0: unknown. */
static int32_t aiteri_affinity_cpus(void)
{
    char text[8192];
    if (!aiteri_read_text("/proc/self/status", text, sizeof text)) return 0;
    const char *at = strstr(text, "Cpus_allowed:");
    int32_t cpus = 0;
    for (at = at ? at + 13 : ""; *at && *at != '\n'; at++) {
        const char c = *at;
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 0;
        for (; digit; digit &= digit - 1) cpus++;
    }
    return cpus;
}

/* The cgroup's CPU quota, rounded up; 0: none. */
static int32_t aiteri_quota_cpus(void)
{
    char text[128];
    if (!aiteri_read_text("/sys/fs/cgroup/cpu.max", text, sizeof text)) return 0;
    char *rest;
    const long quota = strtol(text, &rest, 10), period = strtol(rest, NULL, 10);
    if (quota <= 0 || period <= 0) return 0;
    return (int32_t)aiteri_min((quota + period - 1) / period, AITERI_MAX_THREADS);
}

/* How many threads this process may run at once. */
static int32_t aiteri_usable_cpus(void)
{
    int64_t cpus = 0;
#if defined(AITERI_THREADS_NONE)
    return 1;
#elif defined(AITERI_THREADS_WINDOWS)
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    cpus = (int64_t)info.dwNumberOfProcessors;
#elif defined(_SC_NPROCESSORS_ONLN)
    cpus = sysconf(_SC_NPROCESSORS_ONLN);
#endif
    const int32_t allowed = aiteri_affinity_cpus(), quota = aiteri_quota_cpus();
    if (allowed > 0 && (cpus <= 0 || allowed < cpus)) cpus = allowed;
    if (quota > 0 && (cpus <= 0 || quota < cpus)) cpus = quota;
    return (int32_t)aiteri_clamp(cpus, 1, AITERI_MAX_THREADS);
}

#endif /* AITERI_THREADS_C */
AITERI_ONCE_A_CALL_END

// >>problem    (src/plan/problem.h)
/* problem.h -- every softmax attention, once: query rows x a source of keys and values x a score
 * pipeline x an epilogue. Ops lower their arguments to this; the planner and the engine know no op.
 */
#ifndef AITERI_PROBLEM_H
#define AITERI_PROBLEM_H


/* Rows of q or out: element (b, t, h, d) at data[b*batch + t*token + h*head + d*dim]. In a packed
 * (varlen) tensor stride_batch is 0 and t counts from the tensor's start. */
typedef struct aiteri_rows {
    char *data;
    aiter_dtype dtype;
    int64_t stride_batch, stride_token, stride_head, stride_dim;
} aiteri_rows;

/* Scales of a quantised source, same index order: element (outer, t, h, d) has the one at place
 * outer, t / block, h, d / group. Strides are 0 where a scale does not vary. */
typedef struct aiteri_scales {
    const void *data;  /* NULL: none */
    aiter_dtype dtype; /* F32, F16, BF16, F8_E8M0 */
    int32_t block;     /* tokens under one scale; 0: 1 */
    int32_t group;     /* columns under one scale, a multiple of 16; 0: the whole row */
    int64_t stride_outer, stride_token, stride_head, stride_group;
} aiteri_scales;

/* K or V: element (outer, t, h, d); outer is the batch row, or the page, t counts inside it. A row
 * may come in segments, as latent codes beside their rope columns: the first columns, a multiple of
 * 16, are here, and `rest` has the others. */
typedef struct aiteri_source {
    const char *data;
    aiter_dtype dtype;
    int32_t dim;                      /* columns, those of the rest too */
    const struct aiteri_source *rest; /* NULL: all are here */
    int64_t stride_outer, stride_token, stride_head, stride_dim;
    aiteri_scales scales;
} aiteri_source;

typedef struct aiteri_program aiteri_program; /* cpu/engine_walk.c */

typedef struct aiteri_problem {
    const aiteri_program *program; /* what becomes of the scores; NULL: softmax attention */
    int32_t batch, heads_q, heads_k, group; /* group = heads_q / heads_k */
    aiteri_rows q, out;
    float *lse; /* NULL: not wanted */
    int64_t lse_stride_batch, lse_stride_head, lse_stride_token;
    aiteri_source k, v;
    int32_t v_in_k; /* V is the first columns of K, in both parts: it need not be loaded again */

    /* Lengths: cu_* packed, used_* per batch row, else seqlen_* for all. With both cu_* says where
     * rows begin and which room they have, used_* how many there are. */
    int32_t seqlen_q, seqlen_k;
    const int32_t *cu_seqlens_q, *cu_seqlens_k, *seqused_q, *seqused_k;
    int64_t cu_stride_q, cu_stride_k, used_stride_q, used_stride_k;
    int64_t total_q; /* query tokens of all sequences, a bound */
    int64_t total_k; /* the same of keys, of both parts; 0: max_seqlen_k of each sequence */
    int32_t max_seqlen_q, max_seqlen_k;

    /* Pages: key j of sequence b is token j % page_size of page list_b[j / page_size], with list_b
     * at block_table + b * table_stride_batch, or, ragged, at entry page_indptr[b] of block_table,
     * up to page_indptr[b + 1], the last page holding last_page_lens[b] keys. With has_holes an id
     * below 0 says that the page's keys are not there: they are hidden. */
    const int32_t *block_table; /* NULL: not paged */
    int64_t table_stride_batch, table_stride_entry;
    const int32_t *page_indptr, *last_page_lens; /* NULL: a table, lengths by seqused_k */
    int64_t page_indptr_stride, last_page_stride;
    int32_t page_size, num_blocks, table_entries, has_holes;

    /* A second part, the new tokens behind the keys above: rows as dense keys lie, or packed ones,
     * of the same sizes, with types, strides and scales of their own. */
    aiteri_source k_tail, v_tail; /* data NULL: none */
    const int32_t *cu_seqlens_tail, *seqused_tail;
    int64_t cu_stride_tail, used_stride_tail;
    int32_t seqlen_tail;

    aiter_mask mask; /* never DEFAULT */
    int32_t window_left, window_right, sink_tokens;
    float softmax_scale, softcap;
    const float *alibi_slopes; /* NULL: none */
    int64_t alibi_stride_batch, alibi_stride_head;
    /* (b, i, h, j): stride_token per query, stride_dim per key; data NULL: none. `visible` is U8,
     * 0 where the key is hidden, whatever its score, K and V. */
    aiteri_rows bias, visible;
    const float *q_scale,
        *out_scale; /* one each, or NULL: the stored q and out times it are real */
    const float *sinks;
    int64_t sinks_stride;
    int32_t num_splits;
    uint64_t features; /* aiteri_problem_features: what it asks of a kernel */
} aiteri_problem;

/* One sequence of the batch. The last `tail` of the seqlen_k keys are of the second part. Packed
 * rows start at token q_start; packed keys at token k_start, a list of pages at element k_start of
 * block_table. */
typedef struct aiteri_sequence {
    int32_t index;
    int32_t seqlen_q, seqlen_k, tail;
    int64_t q_start, k_start;
} aiteri_sequence;

AITERI_UNUSED static aiteri_sequence aiteri_sequence_of(const aiteri_problem *p, int32_t b)
{
    aiteri_sequence s = {b, p->seqlen_q, p->seqlen_k, 0, 0, 0};
    if (p->cu_seqlens_q) {
        s.q_start = p->cu_seqlens_q[b * p->cu_stride_q];
        s.seqlen_q = (int32_t)(p->cu_seqlens_q[(b + 1) * p->cu_stride_q] - s.q_start);
    }
    if (p->seqused_q) s.seqlen_q = p->seqused_q[b * p->used_stride_q];
    if (p->cu_seqlens_k) {
        s.k_start = p->cu_seqlens_k[b * p->cu_stride_k];
        s.seqlen_k = (int32_t)(p->cu_seqlens_k[(b + 1) * p->cu_stride_k] - s.k_start);
    }
    if (p->seqused_k) s.seqlen_k = p->seqused_k[b * p->used_stride_k];
    if (p->page_indptr) {
        const int32_t first = p->page_indptr[b * p->page_indptr_stride];
        const int32_t pages = p->page_indptr[(b + 1) * p->page_indptr_stride] - first;
        s.k_start = first * p->table_stride_entry;
        if (p->last_page_lens)
            s.seqlen_k =
                pages > 0 ? (pages - 1) * p->page_size + p->last_page_lens[b * p->last_page_stride]
                          : 0;
    } else if (p->block_table) {
        s.k_start = b * p->table_stride_batch;
    }
    if (p->k_tail.data) {
        s.tail = p->seqlen_tail;
        if (p->cu_seqlens_tail)
            s.tail = p->cu_seqlens_tail[(b + 1) * p->cu_stride_tail] -
                     p->cu_seqlens_tail[b * p->cu_stride_tail];
        else if (p->seqused_tail)
            s.tail = p->seqused_tail[b * p->used_stride_tail];
        s.seqlen_k += s.tail;
    }
    return s;
}

#endif /* AITERI_PROBLEM_H */

// >>features    (src/plan/features.c)
/* features.c -- what a problem asks of a kernel, as bits. A kernel states the bits that it takes
 * and never sees a problem with another, so an option that is new is refused until a kernel knows
 * it. */
#ifndef AITERI_FEATURES_C
#define AITERI_FEATURES_C


/* X(name, its words in a text, what would do instead or ""). */
#define AITERI_FEATURE_LIST(X)                                                              \
    X(PROGRAM, "other than softmax attention", "")                                          \
    X(CAUSAL, "a causal mask", "")                                                          \
    X(TOP_LEFT, "a causal mask from the top left", "")                                      \
    X(WINDOW, "a window", "")                                                               \
    X(WINDOW_SINKS, "sink_tokens", "")                                                      \
    X(SOFTCAP, "a softcap", "")                                                             \
    X(ALIBI, "alibi_slopes", "")                                                            \
    X(BIAS, "a bias", "")                                                                   \
    X(VISIBLE, "a mask of bytes (visible)", "pass a bias of 0 and -infinity")               \
    X(Q_SCALE, "q_scale", "multiply softmax_scale by it")                                   \
    X(OUT_SCALE, "out_scale", "divide the result by it")                                    \
    X(SINKS, "sinks", "")                                                                   \
    X(LSE, "lse", "")                                                                       \
    X(DENSE_KEYS, "dense keys", "")                                                         \
    X(PACKED_KEYS, "packed keys", "")                                                       \
    X(PAGED_KEYS, "pages", "")                                                              \
    X(PAGE_LISTS, "lists of pages (indptr, indices)", "pass a block_table")                 \
    X(HOLES, "pages of -1", "pass lengths that end before them")                            \
    X(TWO_PARTS, "keys in two parts", "write the new tokens to the cache first")            \
    X(SEGMENTS, "rows in segments", "")                                                     \
    X(PART_TYPES, "new tokens of another type than the keys before them",                   \
      "pass them in the type of the cache")                                                 \
    X(PACKED_ROWS, "packed rows of q", "")                                                  \
    X(USED_ROWS, "lengths of q", "")                                                        \
    X(USED_KEYS, "lengths of keys", "")                                                     \
    X(SCALE_TENSOR, "one scale for all keys", "")                                           \
    X(SCALE_HEAD, "scales of heads", "")                                                    \
    X(SCALE_TOKEN, "scales of tokens", "")                                                  \
    X(SCALE_BLOCK, "scales of several tokens", "pass a scale for each token")               \
    X(SCALE_GROUP, "scales of groups of columns", "")                                       \
    X(SCALE_TYPE, "scales other than f32", "pass f32 scales")                               \
    X(STRIDED_DIM, "a last stride other than 1", "pass a copy that is dense there")         \
    X(OFF_CHUNKS, "rows that do not start at multiples of 16 bytes", "pass aligned copies") \
    X(FAR_TOKENS, "keys 2^23 elements apart", "pass copies whose tokens lie closer")        \
    X(FAR_SCALE, "a softmax_scale below 2^-100 or above 2^100", "scale q")                  \
    X(V_DIM, "a head_dim of v other than that of k", "")                                    \
    X(KV_TYPES, "keys and values of two types", "pass both in one type")

enum {
#define AITERI_FEATURE_ENUM(name, words, instead) AITERI_FEATURE_##name,
    AITERI_FEATURE_LIST(AITERI_FEATURE_ENUM)
#undef AITERI_FEATURE_ENUM
        AITERI_FEATURES
};

#define AITERI_BIT(name) ((uint64_t)1 << AITERI_FEATURE_##name)

/* Whether rows start at multiples of 16 bytes. */
static int aiteri_in_chunks(const void *data, aiter_dtype dtype, int64_t outer, int64_t token,
                            int64_t head)
{
    /* An or of the strides is a multiple of a power of two if each of them is. */
    const uint64_t strides = (uint64_t)outer | (uint64_t)token | (uint64_t)head;
    return (uintptr_t)data % 16 == 0 && strides * (uint64_t)aiter_dtype_bits(dtype) % 128 == 0;
}

static uint64_t aiteri_mask_features(const aiteri_problem *p)
{
    switch (p->mask) {
    case AITER_MASK_CAUSAL: return AITERI_BIT(CAUSAL);
    case AITER_MASK_CAUSAL_TOP_LEFT: return AITERI_BIT(TOP_LEFT);
    case AITER_MASK_WINDOW:
        return AITERI_BIT(WINDOW) | (p->sink_tokens > 0 ? AITERI_BIT(WINDOW_SINKS) : 0);
    default: return 0;
    }
}

static uint64_t aiteri_score_features(const aiteri_problem *p)
{
    /* The product with log2 e of one that is not far is a normal float. */
    const uint32_t scale = aiteri_bits_of_f32(p->softmax_scale);
    const uint32_t least = (127u - 100) << 23, most = (127u + 100) << 23;
    uint64_t bits = aiteri_mask_features(p);
    if (p->softcap != 0.0f) bits |= AITERI_BIT(SOFTCAP);
    if (p->alibi_slopes) bits |= AITERI_BIT(ALIBI);
    if (p->bias.data) bits |= AITERI_BIT(BIAS);
    if (p->visible.data) bits |= AITERI_BIT(VISIBLE);
    if (p->sinks) bits |= AITERI_BIT(SINKS);
    if (p->q_scale) bits |= AITERI_BIT(Q_SCALE);
    if (p->out_scale) bits |= AITERI_BIT(OUT_SCALE);
    if (p->lse) bits |= AITERI_BIT(LSE);
    if (scale < least || scale > most) bits |= AITERI_BIT(FAR_SCALE);
    return bits;
}

static uint64_t aiteri_rows_features(const aiteri_rows *r)
{
    uint64_t bits = r->stride_dim != 1 ? AITERI_BIT(STRIDED_DIM) : 0;
    if (!aiteri_in_chunks(r->data, r->dtype, r->stride_batch, r->stride_token, r->stride_head))
        bits |= AITERI_BIT(OFF_CHUNKS);
    return bits;
}

static uint64_t aiteri_source_features(const aiteri_source *s)
{
    const aiteri_scales *scales = &s->scales;
    uint64_t bits = s->stride_dim != 1 ? AITERI_BIT(STRIDED_DIM) : 0;
    if (!aiteri_in_chunks(s->data, s->dtype, s->stride_outer, s->stride_token, s->stride_head))
        bits |= AITERI_BIT(OFF_CHUNKS);
    if (s->stride_token >= 1 << 23) bits |= AITERI_BIT(FAR_TOKENS);
    if (s->rest) bits |= AITERI_BIT(SEGMENTS) | aiteri_source_features(s->rest);
    if (!scales->data) return bits;
    if (scales->block > 1) bits |= AITERI_BIT(SCALE_BLOCK);
    if (scales->group) bits |= AITERI_BIT(SCALE_GROUP);
    if (scales->dtype != AITER_F32) bits |= AITERI_BIT(SCALE_TYPE);
    return bits | (scales->stride_outer || scales->stride_token ? AITERI_BIT(SCALE_TOKEN)
                   : scales->stride_head                        ? AITERI_BIT(SCALE_HEAD)
                                                                : AITERI_BIT(SCALE_TENSOR));
}

/* Everything that `p` asks for; lowering ends with it. */
AITERI_UNUSED static uint64_t aiteri_problem_features(const aiteri_problem *p)
{
    uint64_t bits = aiteri_score_features(p) | (p->program ? AITERI_BIT(PROGRAM) : 0);
    bits |= aiteri_rows_features(&p->q) | aiteri_rows_features(&p->out);
    bits |= aiteri_source_features(&p->k) | aiteri_source_features(&p->v);
    bits |= p->page_indptr    ? AITERI_BIT(PAGE_LISTS)
            : p->block_table  ? AITERI_BIT(PAGED_KEYS)
            : p->cu_seqlens_k ? AITERI_BIT(PACKED_KEYS)
                              : AITERI_BIT(DENSE_KEYS);
    if (p->k_tail.data)
        bits |= AITERI_BIT(TWO_PARTS) | aiteri_source_features(&p->k_tail) |
                aiteri_source_features(&p->v_tail);
    if (p->k_tail.data && (p->k_tail.dtype != p->k.dtype || p->v_tail.dtype != p->v.dtype))
        bits |= AITERI_BIT(PART_TYPES);
    if (p->has_holes) bits |= AITERI_BIT(HOLES);
    if (p->cu_seqlens_q) bits |= AITERI_BIT(PACKED_ROWS);
    if (p->seqused_q) bits |= AITERI_BIT(USED_ROWS);
    if (p->seqused_k) bits |= AITERI_BIT(USED_KEYS);
    if (p->v.dim != p->k.dim) bits |= AITERI_BIT(V_DIM);
    if (p->v.dtype != p->k.dtype) bits |= AITERI_BIT(KV_TYPES);
    return bits;
}

static const char *aiteri_feature_text(int32_t feature, int instead)
{
    static const char *const text[AITERI_FEATURES][2] = {
#define AITERI_FEATURE_TEXT(name, words, instead) {words, instead},
        AITERI_FEATURE_LIST(AITERI_FEATURE_TEXT)
#undef AITERI_FEATURE_TEXT
    };
    return feature < AITERI_FEATURES ? text[feature][instead] : "an unknown option";
}

/* "a window, a bias": the words of the bits, as many as the text holds. */
AITERI_UNUSED static void aiteri_describe_features(char *text, size_t bytes, uint64_t bits)
{
    size_t at = 0;
    text[0] = 0;
    for (int32_t i = 0; i < 64; i++) {
        const char *words = aiteri_feature_text(i, 0);
        if (!(bits >> i & 1)) continue;
        if (at + strlen(words) + 8 > bytes) {
            snprintf(text + at, bytes - at, ", ...");
            return;
        }
        at += (size_t)snprintf(text + at, bytes - at, "%s%s", at ? ", " : "", words);
    }
}

/* What would do instead of the first of the bits that has such an answer; NULL: of none. */
AITERI_UNUSED static const char *aiteri_instead_of_features(uint64_t bits)
{
    for (int32_t i = 0; i < AITERI_FEATURES; i++)
        if ((bits >> i & 1) && aiteri_feature_text(i, 1)[0]) return aiteri_feature_text(i, 1);
    return NULL;
}

#endif /* AITERI_FEATURES_C */

// >>families    (src/plan/families.h)
/* families.h -- the two families of loops of the CPU, as the planner knows them: the sizes that
 * their blocks have and the features that each takes. cpu/kernel_table.h says what they do. */
#ifndef AITERI_FAMILIES_H
#define AITERI_FAMILIES_H


enum {
    AITERI_TILE_KEYS = 96, /* keys per block of the tile family, counted from key 0 */
    AITERI_TILE_SLACK = 7, /* tile kernels work on groups of 8 keys or columns at most, whole */
    AITERI_TILE_ROOM = AITERI_TILE_KEYS + AITERI_TILE_SLACK,
    AITERI_STREAM_KEYS = 32, /* keys per block of the stream family, counted from key 0 */
    AITERI_STREAM_SLACK = 4, /* the stream kernels may write this far past a row of scores */
    AITERI_PAD = 16, /* rows in scratch are padded to it: whole vectors are read and written */
    AITERI_MAX_LANES = 48, /* the largest tile_lanes */
    AITERI_MAX_HEAD_DIM = 576
};

/* The weights of the tile family are exp(score - m) times the unit, so that none exceeds 1 while m
 * waits for the row's maximum to outgrow it; 2^LEAST times the unit is the smallest normal float.
 */
#define AITERI_TILE_UNIT  0.125f
#define AITERI_TILE_LEAST (-123.0f)

/* The features that each family takes. */
#define AITERI_TILE_TAKES                                                                          \
    (AITERI_BIT(PROGRAM) | AITERI_BIT(CAUSAL) | AITERI_BIT(TOP_LEFT) | AITERI_BIT(WINDOW) |        \
     AITERI_BIT(WINDOW_SINKS) | AITERI_BIT(SOFTCAP) | AITERI_BIT(ALIBI) | AITERI_BIT(BIAS) |       \
     AITERI_BIT(VISIBLE) | AITERI_BIT(Q_SCALE) | AITERI_BIT(OUT_SCALE) | AITERI_BIT(SINKS) |       \
     AITERI_BIT(LSE) | AITERI_BIT(DENSE_KEYS) | AITERI_BIT(PACKED_KEYS) | AITERI_BIT(PAGED_KEYS) | \
     AITERI_BIT(PAGE_LISTS) | AITERI_BIT(HOLES) | AITERI_BIT(TWO_PARTS) | AITERI_BIT(SEGMENTS) |   \
     AITERI_BIT(PART_TYPES) | AITERI_BIT(PACKED_ROWS) | AITERI_BIT(USED_ROWS) |                    \
     AITERI_BIT(USED_KEYS) | AITERI_BIT(SCALE_TENSOR) | AITERI_BIT(SCALE_HEAD) |                   \
     AITERI_BIT(SCALE_TOKEN) | AITERI_BIT(SCALE_BLOCK) | AITERI_BIT(SCALE_GROUP) |                 \
     AITERI_BIT(SCALE_TYPE) | AITERI_BIT(STRIDED_DIM) | AITERI_BIT(OFF_CHUNKS) |                   \
     AITERI_BIT(FAR_TOKENS) | AITERI_BIT(FAR_SCALE) | AITERI_BIT(V_DIM) | AITERI_BIT(KV_TYPES))
/* Streams read rows where they lie, so there must be one, and are softmax attention alone. */
#define AITERI_STREAM_TAKES (AITERI_TILE_TAKES & ~(AITERI_BIT(HOLES) | AITERI_BIT(PROGRAM)))

#endif /* AITERI_FAMILIES_H */

// >>score_rule    (src/cpu/score_rule.h)
/* score_rule.h -- how softmax_scale and softcap reach the scores, for every finite value of both.
 *
 * A scale from 2^-40 to 1 goes to the query rows. A larger one would take bits from subnormal
 * queries, or make a row too large: it is left for the scores, but for a 2 that keeps scale / ln 2
 * finite. Of a smaller one the rows take the mantissa. Where nothing is added to the scores the
 * rest stays away from them too, and multiplies their differences in the softmax: no product of q
 * and k that is finite is then out of reach of a scale. */
#ifndef AITERI_SCORE_RULE_H
#define AITERI_SCORE_RULE_H


/* cap * tanh(x / cap). The scores arrive divided, or, wide, as they are: they are divided in two
 * steps then, and those that the cap cannot be seen in stay. */
typedef struct aiteri_softcap {
    float cap, before, inverse; /* before * inverse = 1 / cap */
    int wide;
} aiteri_softcap;

typedef struct aiteri_score_rule {
    float query;   /* factor of the query rows */
    float score;   /* of a score, before softcap, bias and ALiBi */
    float softmax; /* of a difference of scores; this or `score` is 1 */
    aiteri_softcap softcap;
} aiteri_score_rule;

/* Exact, also where the caller's flags make a subnormal float 0. */
AITERI_FORCE_INLINE double aiteri_double_of_f32(float x)
{
    const uint32_t bits = aiteri_bits_of_f32(x);
    return bits < 0x00800000u ? ldexp((double)bits, -149) : (double)x;
}

/* 2^n of a normal float. */
AITERI_FORCE_INLINE float aiteri_power_of_two(int n)
{
    return aiteri_f32_of_bits((uint32_t)(n + 127) << 23);
}

AITERI_UNUSED static aiteri_score_rule aiteri_score_rule_of(const aiteri_problem *p)
{
    const double usual = 1099511627776.0, scale = aiteri_double_of_f32(p->softmax_scale); /* 2^40 */
    const int natural = p->softcap > 0.0f || p->bias.data || p->alibi_slopes;
    aiteri_score_rule r = {1.0f, 1.0f, 1.0f, {p->softcap, 1.0f, 1.0f, 0}};
    double factor = scale;
    float rest = 1.0f;
    int n;
    if (p->softcap > 0.0f) {
        const double cap = p->softcap;
        r.softcap.wide = cap > usual || scale / cap > usual;
        if (cap > usual) r.softcap.before = aiteri_power_of_two(-64);
        r.softcap.inverse = (float)(1.0 / cap / (double)r.softcap.before);
        if (!r.softcap.wide) factor = scale / cap;
    }
    if (factor > 1.0) {
        r.query = factor < 1.7e38 ? 1.0f : 2.0f; /* below 2^127 */
        rest = (float)(factor / (double)r.query);
    } else if (factor * usual < 1.0) {
        frexp(factor, &n);
        n = n < -125 ? -125 : n;
        rest = aiteri_power_of_two(n);
        r.query = (float)ldexp(factor, -n);
    } else
        r.query = (float)factor;
    if (natural)
        r.score = rest;
    else
        r.softmax = rest;
    return r;
}

#endif /* AITERI_SCORE_RULE_H */

// >>kernel_table    (src/cpu/kernel_table.h)
/* kernel_table.h -- the contract between the engine and the tile kernels (one set per ISA).
 *
 * Two families serve every softmax attention:
 *   tile    queries in the vector lanes: S^T = K Q^T and O^T = V^T P^T for `tile_lanes` packed
 * query rows at once; K and V rows are the broadcast operand, in blocks of the set's own format.
 * stream  head_dim in the lanes: few query rows, every K and V row loaded once for all of them. In
 * both a row's result depends on its own query and keys alone, never on its neighbours, and a
 * masked key leaves no trace: each row of arithmetic is the same instruction sequence whatever the
 * rows beside it. Scores are in natural-logarithm units, but for a power of two that the softmax is
 * told of. */
#ifndef AITERI_KERNEL_TABLE_H
#define AITERI_KERNEL_TABLE_H


/* n contiguous elements of a storage type to f32, and back with rounding to nearest even. */
typedef void (*aiteri_widen_fn)(float *dst, const void *src, int64_t n);
typedef void (*aiteri_narrow_fn)(void *dst, const float *src, int64_t n);

/* Which keys the lanes of a tile see: lane i sees j if j < sink[i] or lo[i] <= j < hi[i]. */
typedef struct aiteri_lane_mask {
    int32_t lo[AITERI_MAX_LANES], hi[AITERI_MAX_LANES], sink[AITERI_MAX_LANES];
    int32_t most_sink; /* of any lane */
} aiteri_lane_mask;

/* What happens to scores before a program takes them, in this order; all optional. Of a tile there
 * is a slope, a position and a range for each lane, of a row of scores one. */
typedef struct aiteri_adjust {
    float factor;                  /* of the scores as they come; a power of two */
    const aiteri_softcap *softcap; /* NULL: off */
    const float *bias;             /* of each score, or NULL; -infinity hides */
    const float *slope, *position; /* ALiBi slope and i + delta; NULL: off */
    const aiteri_lane_mask *mask;  /* NULL: every key is seen */
} aiteri_adjust;

/* s[r * s_stride + i] = q_r . key_i for r < rows, i < n. q is f32 padded with zeros to a multiple
 * of 16. Writes up to AITERI_STREAM_SLACK - 1 scores past i = n - 1; keys[] and ahead[] have as
 * many readable pointers. ahead[i] is a row's worth of memory to bring nearer while key i is worked
 * on.
 */
typedef void (*aiteri_dot_fn)(float *s, int64_t s_stride, const float *q, int64_t q_stride,
                              int32_t rows, int32_t dim, const void *const *keys, int32_t n,
                              const void *const *ahead);
/* o[r * o_stride + d] += sum_i p[r * p_stride + i] * value_i[d], i ascending. o is padded to a
 * multiple of 16. */
typedef void (*aiteri_axpy_fn)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                               int32_t rows, int32_t dim, const void *const *values, int32_t n,
                               const void *const *ahead);

/* What a kernel set needs of the CPU; AVX2 with FMA and F16C, AVX-512 with F, BW, DQ, VL, CD. */
enum {
    AITERI_CPU_AVX2 = 1,
    AITERI_CPU_AVX512 = 2,
    AITERI_CPU_AVX512_BF16 = 4,
    AITERI_CPU_NEON = 8
};

/* K or V rows on their way into a block. */
typedef struct aiteri_block_rows {
    const void *const *row; /* NULL: a key that is not there, zeros */
    int32_t n, dim;
    int32_t column, width; /* they are columns from `column` on of rows of `width` */
    aiter_dtype dtype;
    int64_t stride_dim;
    const float *scale; /* of each row, ceil(dim / group) of them; NULL: none */
    int32_t group;      /* columns under one scale */
} aiteri_block_rows;

/* n keys of a block from `place` on, with the first dim elements of rows that were loaded as
 * row_dim elements. */
typedef struct aiteri_block_run {
    const void *block;
    int32_t place, n, dim, row_dim;
} aiteri_block_run;

struct aiteri_kernels;
/* Rows to places of a block from `place` on. */
typedef void (*aiteri_load_fn)(const struct aiteri_kernels *own, void *block, int32_t place,
                               const aiteri_block_rows *rows);

/* A set owns the format of its blocks of queries, K and V: the engine gives the bytes and says
 * which place of a block a key has, 0 to AITERI_TILE_KEYS - 1. `vectors` is how many of a tile's
 * vectors have query rows, the first ones: the others need not be worked on. */
typedef struct aiteri_kernels {
    const char *name;
    aiter_isa isa;
    uint32_t needs;                     /* AITERI_CPU_ bits */
    const struct aiteri_kernels *below; /* whose kernels serve where this set cannot; NULL: none */
    /* Whether the set serves a problem; NULL: every one. */
    int (*takes)(const aiteri_problem *p, int exact_arithmetic);
    int32_t lanes;      /* floats per vector */
    int32_t tile_lanes; /* query rows per tile */

    int v_in_k; /* whether the value kernels read the first columns of a K block as V */
    size_t (*query_bytes)(int32_t dim, int32_t tile_lanes);
    size_t (*k_bytes)(int32_t dim);
    size_t (*v_bytes)(int32_t dim);
    aiteri_load_fn load_k, load_v;
    /* tile_lanes rows of queries, [tile_lanes][row_stride], times scale. */
    void (*pack_query)(void *q, const float *rows, int64_t row_stride, int32_t dim, float scale);
    /* st[j][lane] = k_j . q_lane. Up to AITERI_TILE_SLACK rows of the block behind the run are
     * read, and as many of st written; so are columns of V and ot. */
    void (*tile_score)(float *st, const aiteri_block_run *keys, const void *q, int32_t vectors);
    /* ot[d][lane] += sum_j v_j[d] * st[j][lane], j ascending; st may be lost. */
    void (*tile_value)(float *ot, const aiteri_block_run *values, float *st, int32_t vectors);
    /* The same, touching only lanes that see the key (key0 is the first), or, with scores, whose
     * score was not -infinity: for blocks where a V row that is not finite may be hidden. */
    void (*tile_value_guarded)(float *ot, const aiteri_block_run *values, int32_t key0, float *st,
                               const aiteri_lane_mask *mask, const float *scores, int32_t vectors);
    /* 1 if all values are finite. */
    int (*v_finite)(const aiteri_block_run *values);

    /* Softcap, bias, ALiBi and mask on st, for keys key0 .. key0 + n - 1. */
    void (*tile_adjust)(float *st, int32_t key0, int32_t n, const aiteri_adjust *adjust,
                        int32_t vectors);
    /* st becomes exp(stretch * (st - m)) in AITERI_TILE_UNIT; m, l and ot follow the online
     * softmax, each lane for itself. */
    void (*tile_softmax)(float *st, int32_t n, float stretch, float *m, float *l, float *ot,
                         int32_t dim_v, int32_t vectors);
    /* rows[lane][d] = ot[d][tile_lanes]. */
    void (*tile_unpack)(float *rows, int64_t row_stride, const float *ot, int32_t dim);

    /* Both or neither of a type, f32 always: rows of the other types are widened first. */
    const aiteri_dot_fn *stream_dot;
    const aiteri_axpy_fn *stream_axpy;
    /* One row of AITERI_STREAM_KEYS scores, hidden ones -inf: s becomes exp(stretch * (s - m)).
     * Returns the factor for what was accumulated before. */
    float (*stream_softmax)(float *s, float stretch, float *m, float *l);
    /* The same as tile_adjust on one row of AITERI_STREAM_KEYS scores. */
    void (*stream_adjust)(float *s, int32_t key0, const aiteri_adjust *adjust);
    /* x[i] *= y[i] for i < AITERI_STREAM_KEYS. */
    void (*stream_mul)(float *x, const float *y);
    /* o[d] *= factor; the same, and 0 where the bits of the magnitude are not above `least`;
     * o[d] += factor * x[d]; dim up to the padded width. */
    void (*row_scale)(float *o, int32_t dim, float factor);
    void (*row_finish)(float *o, int32_t dim, float factor, int32_t least);
    void (*row_add_scaled)(float *o, const float *x, int32_t dim, float factor);
    /* o[i] /= divisor, rounded to nearest even. */
    void (*row_divide)(float *o, int32_t n, float divisor);
    /* max |x| over n elements; NaN if one of them is. */
    float (*row_amax)(const float *x, int32_t n);
    /* y[i] = x[i] * c[i] + partner[i] * s[i] over n elements, each step rounded: no fma. */
    void (*row_turn)(float *y, const float *x, const float *partner, const float *c, const float *s,
                     int32_t n);

    /* NULL where the tier has no loop for the type. */
    const aiteri_widen_fn *widen;
    const aiteri_narrow_fn *narrow;
} aiteri_kernels;

/* The entries of a set in the struct's order: what blocks are and who fills them (of f32 blocks),
 * who computes on them, and the rest. Each is of(entry): a relative of a set names that set where
 * it takes what is there, and itself where it overwrites. */
#define AITERI_F32_FORMAT                                                                       \
    1, aiteri_f32_query_bytes, aiteri_f32_block_bytes, aiteri_f32_block_bytes, aiteri_f32_load, \
        aiteri_f32_load
#if AITERI_ATTENTION
#define AITERI_BLOCK_ENTRIES(of) \
    of(pack_query), of(tile_score), of(tile_value), of(tile_value_guarded), of(v_finite)
#define AITERI_LOOP_ENTRIES(of)                                                          \
    of(tile_adjust), of(tile_softmax), of(tile_unpack), of(stream_dot), of(stream_axpy), \
        of(stream_softmax), of(stream_adjust), of(stream_mul)
#else /* no op calls them */
#define AITERI_BLOCK_ENTRIES(of) NULL, NULL, NULL, NULL, NULL
#define AITERI_LOOP_ENTRIES(of)  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
#endif
#if AITERI_HAS_ROPE
#define AITERI_ROPE_ENTRIES(of) of(row_turn)
#else
#define AITERI_ROPE_ENTRIES(of) NULL
#endif
#define AITERI_OTHER_ENTRIES(of)                                                                \
    AITERI_LOOP_ENTRIES(of), of(row_scale), of(row_finish), of(row_add_scaled), of(row_divide), \
        of(row_amax), AITERI_ROPE_ENTRIES(of), of(widen), of(narrow)

#endif /* AITERI_KERNEL_TABLE_H */

// >>source_at    (src/plan/source_at.c)
/* source_at.c -- a tensor of keys or values as a source, and the addresses of its rows and scales:
 * the same for those who read a cache and those who write it. */
#ifndef AITERI_SOURCE_AT_C
#define AITERI_SOURCE_AT_C


/* A stride that never moves where the extent is 1: such dimensions broadcast. */
static int64_t aiteri_broadcast_stride(const aiter_tensor *t, int32_t dim)
{
    return t->shape[dim] == 1 ? 0 : t->stride[dim];
}

/* K or V in the order [outer,] token, head, element: readers and the writer of a cache. */
AITERI_UNUSED static aiteri_source aiteri_source_of(const aiter_tensor *t)
{
    aiteri_source s;
    const int32_t n = t->ndim;
    memset(&s, 0, sizeof s);
    s.data = (const char *)t->data;
    s.dtype = t->dtype;
    s.dim = (int32_t)t->shape[n - 1];
    s.stride_outer = n == 4 ? t->stride[0] : 0;
    s.stride_token = t->stride[n - 3];
    s.stride_head = t->stride[n - 2];
    s.stride_dim = t->shape[n - 1] == 1 ? 1 : t->stride[n - 1];
    return s;
}

/* Scales of a shape that was checked: one, [Hk], or the source's without D. */
AITERI_UNUSED static aiteri_scales aiteri_scales_of(const aiter_tensor *t)
{
    aiteri_scales s;
    const int32_t n = t->ndim;
    memset(&s, 0, sizeof s);
    s.data = t->data;
    s.dtype = t->dtype;
    if (n == 3) s.stride_outer = t->stride[0];
    if (n >= 2) s.stride_token = t->stride[n - 2];
    s.stride_head = n == 1 ? aiteri_broadcast_stride(t, 0) : t->stride[n - 1];
    return s;
}

/* The row of token `token` of batch row or page `outer`, kv head h. */
AITERI_FORCE_INLINE const char *aiteri_source_at(const aiteri_source *source, int64_t outer,
                                                 int64_t token, int64_t h)
{
    return source->data + aiteri_bytes_of(source->dtype, outer * source->stride_outer +
                                                             token * source->stride_token +
                                                             h * source->stride_head);
}

/* The place of its scale, or of the first of them, in elements. */
AITERI_FORCE_INLINE int64_t aiteri_scale_place(const aiteri_scales *scales, int64_t outer,
                                               int64_t token, int64_t h)
{
    const int64_t block = scales->block > 1 ? token / scales->block : token;
    return outer * scales->stride_outer + block * scales->stride_token + h * scales->stride_head;
}

#endif /* AITERI_SOURCE_AT_C */
#if AITERI_ATTENTION

// >>mask    (src/plan/mask.c)
/* mask.c -- which keys a query row sees: the one truth for the planner, the engine and the tests.
 *
 * What a row sees is [lo, hi) plus a prefix [0, sink). Each kind of mask states, once, the least
 * such range that holds all that a span of rows sees; a row is a span of one. */
#ifndef AITERI_MASK_C
#define AITERI_MASK_C


/* Keys [0, sink) and [lo, hi); sink <= lo, and sink == 0 when the two would touch. */
typedef struct aiteri_key_range {
    int32_t sink, lo, hi;
} aiteri_key_range;

static aiteri_key_range aiteri_key_range_make(int64_t lo, int64_t hi, int64_t sink)
{
    aiteri_key_range r;
    r.hi = (int32_t)hi;
    r.lo = (int32_t)(lo > hi ? hi : lo);
    r.sink = (int32_t)(sink > hi ? hi : sink);
    if (r.sink >= r.lo) {
        if (r.sink > 0) r.lo = 0;
        r.sink = 0;
    }
    AITERI_ASSERT(0 <= r.sink && r.sink <= r.lo && r.lo <= r.hi);
    return r;
}

/* The keys that some token of [first, end) sees; end > first. */
static aiteri_key_range aiteri_visible_keys_of_span(const aiteri_problem *p,
                                                    const aiteri_sequence *s, int32_t first,
                                                    int32_t end)
{
    const int64_t keys = s->seqlen_k, at = (int64_t)first + keys - s->seqlen_q;
    const int64_t last = (int64_t)end - 1, last_at = last + keys - s->seqlen_q;
    int64_t lo = 0, hi = keys, sink = 0;
    AITERI_ASSERT(0 <= first && first < end && end <= s->seqlen_q);
    switch (p->mask) {
    case AITER_MASK_CAUSAL: hi = aiteri_clamp(last_at + 1, 0, keys); break;
    case AITER_MASK_CAUSAL_TOP_LEFT: hi = aiteri_min(last + 1, keys); break;
    case AITER_MASK_WINDOW:
        if (p->window_left >= 0) lo = aiteri_clamp(at - p->window_left, 0, keys);
        if (p->window_right >= 0) hi = aiteri_clamp(last_at + p->window_right + 1, 0, keys);
        sink = p->sink_tokens;
        break;
    default: break;
    }
    return aiteri_key_range_make(lo, hi, sink);
}

/* The keys of query token i, as far as the mask's kind tells. */
static aiteri_key_range aiteri_visible_keys(const aiteri_problem *p, const aiteri_sequence *s,
                                            int32_t i)
{
    return aiteri_visible_keys_of_span(p, s, i, i + 1);
}

/* Does the range hold any of keys [first, end)? */
static int aiteri_range_meets(aiteri_key_range r, int64_t first, int64_t end)
{
    return (first < r.hi && end > r.lo && r.lo < r.hi) || first < r.sink;
}

#endif /* AITERI_MASK_C */

// >>source    (src/plan/source.c)
/* source.c -- where keys and values lie: one cursor over every layout of K and V. Layout gives
 * addresses of rows and their scales, and knows no type; types turn rows into blocks
 * (cpu/engine_rows.c), and know no layout. */
#ifndef AITERI_SOURCE_C
#define AITERI_SOURCE_C


/* Columns of the first segment. */
AITERI_FORCE_INLINE int32_t aiteri_own_dim(const aiteri_source *source)
{
    return source->rest ? source->dim - source->rest->dim : source->dim;
}

/* Whether a row is one piece under one scale at most: loops read it where it lies, and sums may be
 * multiplied by the scale in place of elements. */
AITERI_FORCE_INLINE int aiteri_rows_are_whole(const aiteri_source *source)
{
    return !source->rest && !source->scales.group;
}

AITERI_FORCE_INLINE int aiteri_scales_rows(const aiteri_source *source)
{
    return source->scales.data && aiteri_rows_are_whole(source);
}

/* Scales of a row's first segment. */
AITERI_FORCE_INLINE int32_t aiteri_scales_of_row(const aiteri_source *source)
{
    const int32_t group = source->scales.group;
    return group ? (int32_t)aiteri_ceil_div(aiteri_own_dim(source), group) : 1;
}

/* Entry `entry` of a sequence's list of pages. */
AITERI_FORCE_INLINE int32_t aiteri_page_of(const aiteri_problem *p, const aiteri_sequence *s,
                                           int32_t entry)
{
    return p->block_table[s->k_start + entry * p->table_stride_entry];
}

/* Where key j of a sequence stands: the outer index (batch row or page), the token inside it, and
 * how many keys from j on lie one token stride apart (to the end of the page, or for ever). A key
 * that is not present has no row. */
typedef struct aiteri_key_place {
    int64_t outer, token;
    int32_t run, present, entry; /* entry: of the list of pages */
    int32_t part;
} aiteri_key_place;

/* The first key of an entry of the list of pages. */
AITERI_FORCE_INLINE aiteri_key_place aiteri_place_of_page(const aiteri_problem *p,
                                                          const aiteri_sequence *s, int32_t entry)
{
    const int32_t page = aiteri_page_of(p, s, entry);
    const aiteri_key_place at = {page >= 0 ? page : 0, 0, p->page_size, page >= 0, entry, 0};
    AITERI_ASSERT(p->page_indptr || entry < p->table_entries);
    AITERI_ASSERT(page < p->num_blocks && (at.present || p->has_holes));
    return at;
}

/* Key j of the first part. */
AITERI_FORCE_INLINE aiteri_key_place aiteri_place_in_front(const aiteri_problem *p,
                                                           const aiteri_sequence *s, int32_t j)
{
    if (p->block_table) {
        const int32_t entry = j / p->page_size;
        aiteri_key_place at = aiteri_place_of_page(p, s, entry);
        at.token = j - entry * p->page_size;
        at.run -= (int32_t)at.token;
        return at;
    }
    const int packed = p->cu_seqlens_k != NULL;
    const aiteri_key_place at = {
        packed ? 0 : s->index, packed ? s->k_start + j : j, INT32_MAX, 1, 0, 0};
    return at;
}

/* Key j of the second part, the new tokens. */
AITERI_FORCE_INLINE aiteri_key_place aiteri_place_in_tail(const aiteri_problem *p,
                                                          const aiteri_sequence *s, int32_t j)
{
    const int32_t *cu = p->cu_seqlens_tail;
    const int64_t start = cu ? cu[s->index * p->cu_stride_tail] : 0;
    const aiteri_key_place at = {cu ? 0 : s->index, start + j, INT32_MAX, 1, 0, 1};
    return at;
}

static aiteri_key_place aiteri_place_of_key(const aiteri_problem *p, const aiteri_sequence *s,
                                            int32_t j)
{
    const int32_t front = s->seqlen_k - s->tail;
    AITERI_ASSERT(0 <= j && j < s->seqlen_k);
    return j < front ? aiteri_place_in_front(p, s, j) : aiteri_place_in_tail(p, s, j - front);
}

/* The new tokens that follow the keys or values that `source` is, k or v of the problem. */
AITERI_FORCE_INLINE const aiteri_source *aiteri_tail_of(const aiteri_problem *p,
                                                        const aiteri_source *source)
{
    AITERI_ASSERT(source == &p->k || source == &p->v);
    return source == &p->k ? &p->k_tail : &p->v_tail;
}

/* The part that holds key j. */
AITERI_FORCE_INLINE const aiteri_source *aiteri_part_of(const aiteri_problem *p,
                                                        const aiteri_sequence *s,
                                                        const aiteri_source *source, int32_t j)
{
    return j < s->seqlen_k - s->tail ? source : aiteri_tail_of(p, source);
}

/* Where the keys of [first, end) end that are of one part with the first. */
AITERI_FORCE_INLINE int32_t aiteri_part_end(const aiteri_sequence *s, int32_t first, int32_t end)
{
    const int32_t front = s->seqlen_k - s->tail;
    return first < front && front < end ? front : end;
}

/* The address of each row of keys or values [first, end), all of one part, or NULL of one that is
 * not present; `part` is that of the source, or a segment of it; kv head h. */
static void aiteri_source_rows(const aiteri_problem *p, const aiteri_sequence *s,
                               const aiteri_source *part, int32_t h, int32_t first, int32_t end,
                               const void **row)
{
    const int64_t token = aiteri_bytes_of(part->dtype, part->stride_token);
    AITERI_ASSERT(aiteri_part_end(s, first, end) == end);
    if (first >= end) return;
    aiteri_key_place at = aiteri_place_of_key(p, s, first);
    for (int32_t n = end - first;; at = aiteri_place_of_page(p, s, at.entry + 1)) {
        const int32_t run = (int32_t)aiteri_min(n, at.run);
        const char *data = at.present ? aiteri_source_at(part, at.outer, at.token, h) : NULL;
        const int64_t step = at.present ? token : 0;
        for (int32_t i = 0; i < run; i++, data += step) row[i] = data; /* gcc: two at a time */
        row += run;
        n -= run;
        if (n == 0) return;
    }
}

/* Scales of every kind of n rows from `at` on. */
static void aiteri_load_scales(const aiteri_source *part, const aiteri_key_place *at, int32_t h,
                               int32_t n, float *scale)
{
    const aiteri_scales *scales = &part->scales;
    const int32_t of_row = aiteri_scales_of_row(part);
    for (int32_t i = 0; i < n * of_row; i++) {
        const int64_t place = aiteri_scale_place(scales, at->outer, at->token + i / of_row, h) +
                              i % of_row * scales->stride_group;
        const uint32_t bits = aiteri_load_bits(scales->dtype, scales->data, place);
        memcpy(scale + i, &bits, sizeof bits);
    }
}

/* The scales of the same rows, those of one behind those of another: 1 in a part without scales, 0
 * of a row that is not present. */
static void aiteri_source_scales(const aiteri_problem *p, const aiteri_sequence *s,
                                 const aiteri_source *part, int32_t h, int32_t first, int32_t end,
                                 float *scale)
{
    const aiteri_scales *scales = &part->scales;
    const int plain = scales->dtype == AITER_F32 && !scales->block && !scales->group;
    const int32_t of_row = aiteri_scales_of_row(part);
    AITERI_ASSERT(first < end && aiteri_part_end(s, first, end) == end);
    aiteri_key_place at = aiteri_place_of_key(p, s, first);
    for (int32_t n = end - first;; at = aiteri_place_of_page(p, s, at.entry + 1)) {
        const int32_t run = (int32_t)aiteri_min(n, at.run);
        if (at.present && scales->data && plain) {
            const float *data =
                (const float *)scales->data + aiteri_scale_place(scales, at.outer, at.token, h);
            for (int32_t i = 0; i < run; i++) scale[i] = data[i * scales->stride_token];
        } else if (at.present && scales->data) {
            aiteri_load_scales(part, &at, h, run, scale);
        } else {
            const float same = at.present ? 1.0f : 0.0f;
            for (int32_t i = 0; i < run * of_row; i++) scale[i] = same;
        }
        scale += run * of_row;
        n -= run;
        if (n == 0) return;
    }
}

#endif /* AITERI_SOURCE_C */
AITERI_ONCE_A_CALL_BEGIN

// >>schedule    (src/plan/schedule.c)
/* schedule.c -- cuts a problem into works and merges. Integer maths only, no tensor data but
 * lengths.
 *
 * A work is a span of query tokens x a range of query heads x a piece of the keys. Which family of
 * kernels a sequence takes and where its keys are split follow from its own Sq and Sk alone, so its
 * bits do not depend on the batch, the threads or the page size; how many tokens and heads share a
 * work does, and cannot be seen in the bits (kernel_table.h). */
#ifndef AITERI_SCHEDULE_C
#define AITERI_SCHEDULE_C


enum {
    AITERI_STREAM_ROWS = 16,    /* packed rows up to which a sequence takes the stream family */
    AITERI_STREAM_SPLIT = 1024, /* keys per piece of a stream ... */
    AITERI_STREAM_SPLITS = 64,  /* ... doubled until there are at most so many */
    AITERI_TILE_SPLIT = 2304,   /* the same for tiles, of sequences with few query rows */
    AITERI_TILE_SPLITS = 32,
    AITERI_TILE_SPLIT_ROWS = 1024, /* packed rows up to which tiles are split at all */
    AITERI_TILES_PER_WORK = 12,
    AITERI_TILE_STATE_BYTES = 672 * 1024, /* Q^T and O^T of one work */
    AITERI_STREAM_STATE_ROWS = 128,
    AITERI_WORK_INTS = 8,
    AITERI_REDUCE_INTS = 4
};

/* What the cutting depends on besides the problem. */
typedef struct aiteri_geometry {
    aiter_isa isa;
    int32_t workers, tile_lanes;
    int32_t tiles;        /* per work */
    int32_t stream_heads; /* kv heads per work */
    int64_t split_keys;   /* 0: of each sequence by its lengths; a device: tiles for all, so cut */
} aiteri_geometry;

/* One row of work_info, unpacked. */
typedef struct aiteri_work {
    int32_t batch, partial_row, q_start, q_end, kv_start, kv_end, reduce, head_start, head_end;
} aiteri_work;

/* The arrays of a plan under construction; NULL arrays: count only. */
typedef struct aiteri_schedule {
    int32_t *work_indptr, *work_info, *reduce_indptr, *reduce_final_map, *reduce_partial_map;
    int64_t works, reduces, partial_rows, partials;
    int64_t cost, total_cost;
    int32_t workers, worker; /* the worker whose range is being filled */
} aiteri_schedule;

/* Upper bounds of a schedule's sizes, from shapes alone. */
typedef struct aiteri_schedule_bounds {
    size_t works, reduces, partial_rows, partials;
} aiteri_schedule_bounds;

static int aiteri_takes_stream(const aiteri_problem *p, int64_t seqlen_q)
{
    return seqlen_q * p->group <= AITERI_STREAM_ROWS && (p->features & ~AITERI_STREAM_TAKES) == 0;
}

/* Keys per piece; at least seqlen_k when the keys are not split. */
static int64_t aiteri_split_keys(const aiteri_problem *p, int64_t seqlen_q, int64_t seqlen_k)
{
    const int stream = aiteri_takes_stream(p, seqlen_q);
    const int64_t unit = stream ? AITERI_STREAM_KEYS : AITERI_TILE_KEYS;
    const int64_t most = stream ? AITERI_STREAM_SPLITS : AITERI_TILE_SPLITS;
    int64_t keys = stream ? AITERI_STREAM_SPLIT : AITERI_TILE_SPLIT;
    if (p->num_splits > 0)
        return aiteri_round_up(aiteri_max(1, aiteri_ceil_div(seqlen_k, p->num_splits)), unit);
    if (!stream && (seqlen_q * p->group > AITERI_TILE_SPLIT_ROWS || seqlen_k <= 2 * keys))
        return aiteri_round_up(aiteri_max(1, seqlen_k), unit);
    while (aiteri_ceil_div(seqlen_k, keys) > most) keys *= 2;
    return keys;
}

/* The most pieces any sequence of up to max_k keys is cut into; monotone in max_k. */
static int64_t aiteri_most_splits(const aiteri_problem *p, int stream, int64_t max_k)
{
    const int64_t unit = stream ? AITERI_STREAM_KEYS : AITERI_TILE_KEYS;
    if (p->num_splits > 0) return aiteri_min(p->num_splits, aiteri_ceil_div(max_k, unit));
    if (stream)
        return aiteri_min(AITERI_STREAM_SPLITS, aiteri_ceil_div(max_k, AITERI_STREAM_SPLIT));
    if (max_k <= 2 * AITERI_TILE_SPLIT) return 1;
    return aiteri_min(AITERI_TILE_SPLITS, aiteri_ceil_div(max_k, AITERI_TILE_SPLIT));
}

static int32_t aiteri_most_tiles(const aiteri_problem *p, int32_t tile_lanes)
{
    const int64_t bytes = (int64_t)tile_lanes * (p->k.dim + p->v.dim) * (int64_t)sizeof(float);
    return (int32_t)aiteri_clamp(AITERI_TILE_STATE_BYTES / bytes, 1, AITERI_TILES_PER_WORK);
}

/* kv heads that may share a stream work: all of them where a token's heads lie side by side. */
static int32_t aiteri_most_stream_heads(const aiteri_problem *p)
{
    const int token_major = p->k.stride_token > p->k.stride_head && p->heads_k > 1;
    const int64_t rows = aiteri_max(p->group, AITERI_STREAM_ROWS / p->group * p->group);
    if (!token_major) return 1;
    return (int32_t)aiteri_clamp(AITERI_STREAM_STATE_ROWS / rows, 1, p->heads_k);
}

/* Fewer tiles and heads per work when there would be too few works for the workers. */
static aiteri_geometry aiteri_geometry_of(const aiteri_problem *p, aiter_isa isa,
                                          int32_t tile_lanes, int32_t workers)
{
    aiteri_geometry g = {
        isa, workers, tile_lanes, aiteri_most_tiles(p, tile_lanes), aiteri_most_stream_heads(p), 0};
    int64_t tile_rows = 0, pieces = 0;
    for (int32_t b = 0; b < p->batch; b++) {
        const aiteri_sequence s = aiteri_sequence_of(p, b);
        if (aiteri_takes_stream(p, s.seqlen_q))
            pieces += aiteri_ceil_div(s.seqlen_k, aiteri_split_keys(p, s.seqlen_q, s.seqlen_k));
        else
            tile_rows += (int64_t)s.seqlen_q * p->heads_q;
    }
    const int64_t wanted = 4 * (int64_t)workers;
    if (workers > 1) {
        g.tiles = (int32_t)aiteri_clamp(tile_rows / (wanted * g.tile_lanes), 1, g.tiles);
        g.stream_heads = (int32_t)aiteri_clamp(pieces * p->heads_k / wanted, 1, g.stream_heads);
    }
    return g;
}

/* Counts a work, and writes it once the arrays are there. Workers own stretches of equal cost. */
static void aiteri_add_work(aiteri_schedule *s, const aiteri_work *w, int64_t cost)
{
    AITERI_ASSERT(w->q_start < w->q_end && w->kv_start <= w->kv_end);
    AITERI_ASSERT(w->head_start < w->head_end && (w->partial_row < 0) == (w->reduce < 0));
    if (s->work_info) {
        while (s->worker < s->workers - 1 &&
               s->cost >= aiteri_ceil_div(s->total_cost * (s->worker + 1), s->workers))
            s->work_indptr[++s->worker] = (int32_t)s->works;
        int32_t *row = s->work_info + s->works * AITERI_WORK_INTS;
        row[0] = w->batch;
        row[1] = w->partial_row;
        row[2] = w->q_start;
        row[3] = w->q_end;
        row[4] = w->kv_start;
        row[5] = w->kv_end;
        row[6] = w->reduce;
        row[7] = (int32_t)((uint32_t)w->head_start | (uint32_t)w->head_end << 16);
    }
    s->works++;
    s->cost += cost;
}

static aiteri_work aiteri_work_at(const int32_t *work_info, int64_t i)
{
    const int32_t *row = work_info + i * AITERI_WORK_INTS;
    const aiteri_work w = {row[0],
                           row[1],
                           row[2],
                           row[3],
                           row[4],
                           row[5],
                           row[6],
                           (int32_t)((uint32_t)row[7] & 0xffffu),
                           (int32_t)((uint32_t)row[7] >> 16)};
    return w;
}

/* Keys of [first, end) that the range shows. */
static int64_t aiteri_keys_in_range(aiteri_key_range r, int64_t first, int64_t end)
{
    return aiteri_max(0, aiteri_min(end, r.hi) - aiteri_max(first, r.lo)) +
           aiteri_max(0, aiteri_min(end, r.sink) - first);
}

/* The works of one span of tokens and heads: one per piece of the keys that the span can see. */
static void aiteri_schedule_span(aiteri_schedule *s, const aiteri_problem *p,
                                 const aiteri_geometry *g, const aiteri_sequence *q, aiteri_work w)
{
    const aiteri_key_range seen = aiteri_visible_keys_of_span(p, q, w.q_start, w.q_end);
    const int64_t keys =
        g->split_keys ? g->split_keys : aiteri_split_keys(p, q->seqlen_q, q->seqlen_k);
    const int64_t rows = (int64_t)(w.q_end - w.q_start) * (w.head_end - w.head_start);
    int64_t pieces = 0, last = 0;
    for (int64_t at = 0; at < q->seqlen_k; at += keys)
        if (aiteri_range_meets(seen, at, at + keys)) {
            pieces++;
            last = at;
        }
    w.partial_row = w.reduce = -1;
    if (pieces <= 1) {
        w.kv_start = (int32_t)last;
        w.kv_end = pieces ? (int32_t)aiteri_min(last + keys, q->seqlen_k) : w.kv_start;
        aiteri_add_work(s, &w, rows * (16 + aiteri_keys_in_range(seen, w.kv_start, w.kv_end)));
        return;
    }
    w.reduce = (int32_t)s->reduces;
    if (s->reduce_final_map) {
        int32_t *row = s->reduce_final_map + s->reduces * AITERI_REDUCE_INTS;
        row[0] = w.batch;
        row[1] = w.q_start;
        row[2] = w.q_end;
        row[3] = (int32_t)((uint32_t)w.head_start | (uint32_t)w.head_end << 16);
    }
    for (int64_t at = 0; at < q->seqlen_k; at += keys) {
        if (!aiteri_range_meets(seen, at, at + keys)) continue;
        w.partial_row = (int32_t)s->partial_rows;
        w.kv_start = (int32_t)at;
        w.kv_end = (int32_t)aiteri_min(at + keys, q->seqlen_k);
        aiteri_add_work(s, &w, rows * (16 + aiteri_keys_in_range(seen, w.kv_start, w.kv_end)));
        if (s->reduce_partial_map) s->reduce_partial_map[s->partials] = w.partial_row;
        s->partials++;
        s->partial_rows += rows;
    }
    s->reduces++;
    if (s->reduce_indptr) s->reduce_indptr[s->reduces] = (int32_t)s->partials;
}

/* Spans of a sequence: tile works hold one kv head, the longest causal spans first; stream works
 * hold the whole query and several kv heads. */
static void aiteri_schedule_sequence(aiteri_schedule *s, const aiteri_problem *p,
                                     const aiteri_geometry *g, int32_t b)
{
    const aiteri_sequence q = aiteri_sequence_of(p, b);
    if (q.seqlen_q == 0) return;
    const int stream = !g->split_keys && aiteri_takes_stream(p, q.seqlen_q);
    const int32_t rows = g->tiles * g->tile_lanes;
    const int32_t heads = stream ? g->stream_heads * p->group : (int32_t)aiteri_min(p->group, rows);
    const int32_t tokens = stream ? q.seqlen_q : rows / heads;
    for (int32_t head = 0; head < p->heads_q;) {
        /* A tile work stays inside one kv head. */
        const int64_t limit = stream ? p->heads_q : (int64_t)(head / p->group + 1) * p->group;
        aiteri_work w = {b, -1, 0, 0, 0, 0, -1, head, (int32_t)aiteri_min(head + heads, limit)};
        for (int64_t start = (q.seqlen_q - 1) / tokens * (int64_t)tokens; start >= 0;
             start -= tokens) {
            w.q_start = (int32_t)start;
            w.q_end = (int32_t)aiteri_min(start + tokens, q.seqlen_q);
            aiteri_schedule_span(s, p, g, &q, w);
        }
        head = w.head_end;
    }
}

/* Counts (arrays NULL) or fills the schedule; filling needs total_cost of the counting pass. */
static void aiteri_schedule_all(aiteri_schedule *s, const aiteri_problem *p,
                                const aiteri_geometry *g)
{
    s->works = s->reduces = s->partial_rows = s->partials = s->cost = 0;
    s->workers = g->workers;
    s->worker = 0;
    if (s->work_indptr) s->work_indptr[0] = 0;
    if (s->reduce_indptr) s->reduce_indptr[0] = 0;
    for (int32_t b = 0; b < p->batch; b++) aiteri_schedule_sequence(s, p, g, b);
    if (s->work_indptr)
        while (s->worker < s->workers) s->work_indptr[++s->worker] = (int32_t)s->works;
    else
        s->total_cost = s->cost;
}

/* Keys of all sequences, a bound. */
static int64_t aiteri_most_keys(const aiteri_problem *p)
{
    const int64_t each = (int64_t)p->batch * p->max_seqlen_k;
    return p->total_k > 0 ? aiteri_min(p->total_k, each) : each;
}

/* What splits add in one family. A sequence that is split has `most_tokens` at most, in spans of
 * `per_span`, each of them once for each of `head_parts`, and more keys than one piece takes: where
 * all sequences together have few, few are split. A piece is `unit` keys but for each sequence's
 * last. */
static void aiteri_add_split_bounds(aiteri_schedule_bounds *n, const aiteri_problem *p, int stream,
                                    size_t most_tokens, size_t per_span, size_t head_parts)
{
    const int64_t keys = aiteri_most_keys(p);
    const int64_t block = stream ? AITERI_STREAM_KEYS : AITERI_TILE_KEYS;
    const int64_t piece = stream ? AITERI_STREAM_SPLIT : AITERI_TILE_SPLIT;
    const int64_t unit = p->num_splits > 0 ? block : piece;
    const int64_t whole = p->num_splits > 0 || stream ? unit : 2 * unit; /* keys of one piece */
    const int64_t split = aiteri_min(p->batch, keys / (whole + 1));
    const size_t splits = (size_t)aiteri_most_splits(p, stream, p->max_seqlen_k);
    if (splits <= 1 || split == 0 || most_tokens == 0) return;
    size_t pieces = aiteri_mul_size((size_t)split, splits);
    if ((uint64_t)(keys / unit + split) < pieces) pieces = (size_t)(keys / unit + split);
    size_t tokens = aiteri_mul_size((size_t)split, most_tokens);
    if (tokens > (uint64_t)p->total_q) tokens = (size_t)p->total_q;

    const size_t spans =
        aiteri_mul_size(aiteri_add_size(tokens / per_span, (size_t)split), head_parts);
    const size_t each = aiteri_mul_size(most_tokens / per_span + 1, head_parts);
    const size_t partials = aiteri_mul_size(spans, splits), fewer = aiteri_mul_size(each, pieces);
    const size_t rows = aiteri_mul_size(tokens, splits),
                 less = aiteri_mul_size(most_tokens, pieces);
    n->reduces = aiteri_add_size(n->reduces, spans);
    n->partials = aiteri_add_size(n->partials, partials < fewer ? partials : fewer);
    n->partial_rows = aiteri_add_size(
        n->partial_rows, aiteri_mul_size(rows < less ? rows : less, (size_t)p->heads_q));
}

/* Sizes that no schedule of these shapes exceeds; monotone in every extent and maximum. */
static aiteri_schedule_bounds aiteri_schedule_bounds_of(const aiteri_problem *p, int32_t tile_lanes)
{
    const size_t batch = (size_t)p->batch, heads_q = (size_t)p->heads_q;
    const size_t group = (size_t)p->group, lanes = (size_t)tile_lanes;
    const size_t most_q = (size_t)p->max_seqlen_q;
    const size_t tokens = (size_t)aiteri_min(p->total_q, (int64_t)p->batch * p->max_seqlen_q);
    const size_t per_tile = (size_t)aiteri_max(1, tile_lanes / p->group);
    const size_t head_parts = heads_q / group * ((group + lanes - 1) / lanes);
    const size_t stream_q = (size_t)AITERI_STREAM_ROWS / group;
    /* Explicit splits concern every sequence. */
    const size_t split_q = p->num_splits > 0 ? most_q : (size_t)AITERI_TILE_SPLIT_ROWS / group + 1;
    const size_t spans = aiteri_mul_size(aiteri_add_size(tokens / per_tile, batch), head_parts);
    const size_t stream_spans = aiteri_mul_size(batch, (size_t)p->heads_k);
    aiteri_schedule_bounds n = {0, 0, 0, 0};
    if (!aiteri_takes_stream(p, p->max_seqlen_q)) /* else all are streams */
        aiteri_add_split_bounds(&n, p, 0, split_q < most_q ? split_q : most_q, per_tile,
                                head_parts);
    aiteri_add_split_bounds(&n, p, 1, stream_q < most_q ? stream_q : most_q, SIZE_MAX,
                            (size_t)p->heads_k);
    n.works = aiteri_add_size(aiteri_add_size(spans, stream_spans), n.partials);
    return n;
}

#endif /* AITERI_SCHEDULE_C */

// >>plan    (src/plan/plan.c)
/* plan.c -- a schedule in memory: who made it, its arrays, and the caller's aiter_plan around it.
 */
#ifndef AITERI_PLAN_C
#define AITERI_PLAN_C


/* What stands at the head of a plan's buffer: everything the schedule was made from. */
typedef struct aiteri_plan_head {
    uint64_t fingerprint;
    int64_t works, reduces, partial_rows, partials;
    int32_t workers, tiles, stream_heads, unused;
} aiteri_plan_head;

static size_t aiteri_plan_bytes(int64_t workers, size_t works, size_t reduces, size_t partials)
{
    size_t ints = aiteri_mul_size(works, AITERI_WORK_INTS);
    ints = aiteri_add_size(ints, (size_t)workers + 1);
    ints = aiteri_add_size(ints, aiteri_add_size(reduces, 1));
    ints = aiteri_add_size(ints, aiteri_mul_size(reduces, AITERI_REDUCE_INTS));
    ints = aiteri_add_size(ints, partials);
    return aiteri_pad_size(
        aiteri_add_size(sizeof(aiteri_plan_head), aiteri_mul_size(ints, sizeof(int32_t))), 8);
}

static uint64_t aiteri_hash(uint64_t hash, int64_t value)
{
    for (int i = 0; i < 8; i++)
        hash = (hash ^ ((uint64_t)value >> (8 * i) & 0xff)) * 0x100000001b3u;
    return hash;
}

/* Equal for two calls whose schedules are equal: lengths, shapes, mask, kernel set, threads. The
 * lengths of a device's call are not read. */
static uint64_t aiteri_fingerprint(const aiteri_problem *p, const aiteri_geometry *g)
{
    const int64_t values[] = {p->batch,
                              p->heads_q,
                              p->heads_k,
                              p->k.dim,
                              p->v.dim,
                              p->mask,
                              p->mask == AITER_MASK_WINDOW ? p->window_left : 0,
                              p->mask == AITER_MASK_WINDOW ? p->window_right : 0,
                              p->mask == AITER_MASK_WINDOW ? p->sink_tokens : 0,
                              p->num_splits,
                              aiteri_takes_stream(p, 0),
                              g->isa,
                              g->workers,
                              g->tiles,
                              g->stream_heads,
                              g->tile_lanes,
                              g->split_keys};
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        hash = aiteri_hash(hash, values[i]);
    for (int32_t b = 0; b < p->batch && !g->split_keys; b++) {
        const aiteri_sequence s = aiteri_sequence_of(p, b);
        hash = aiteri_hash(aiteri_hash(hash, s.seqlen_q), s.seqlen_k);
    }
    return hash;
}

/* Points a schedule's arrays into a buffer of aiteri_plan_bytes. */
static void aiteri_schedule_place(aiteri_schedule *s, void *buffer, int32_t workers)
{
    int32_t *at = (int32_t *)(void *)((char *)buffer + sizeof(aiteri_plan_head));
    s->work_indptr = at;
    at += workers + 1;
    s->work_info = at;
    at += s->works * AITERI_WORK_INTS;
    s->reduce_indptr = at;
    at += s->reduces + 1;
    s->reduce_final_map = at;
    at += s->reduces * AITERI_REDUCE_INTS;
    s->reduce_partial_map = at;
}

static aiteri_schedule aiteri_schedule_count(const aiteri_problem *p, const aiteri_geometry *g)
{
    aiteri_schedule s;
    memset(&s, 0, sizeof s);
    aiteri_schedule_all(&s, p, g);
    return s;
}

static void aiteri_schedule_write(aiteri_schedule *s, const aiteri_problem *p,
                                  const aiteri_geometry *g, void *buffer)
{
    aiteri_plan_head head;
    memset(&head, 0, sizeof head);
    head.fingerprint = aiteri_fingerprint(p, g);
    head.works = s->works;
    head.reduces = s->reduces;
    head.partial_rows = s->partial_rows;
    head.partials = s->partials;
    head.workers = g->workers;
    head.tiles = g->tiles;
    head.stream_heads = g->stream_heads;
    memcpy(buffer, &head, sizeof head);
    aiteri_schedule_place(s, buffer, g->workers);
    aiteri_schedule_all(s, p, g);
    AITERI_ASSERT(s->works == head.works && s->reduces == head.reduces);
    AITERI_ASSERT(s->partials == head.partials && s->partial_rows == head.partial_rows);
}

/* The caller's plan, if it was made for exactly this. */
static aiter_status aiteri_plan_take(const char *op, const aiteri_problem *p, aiter_context *ctx,
                                     const aiteri_geometry *g, const aiter_plan *plan,
                                     aiteri_schedule *s)
{
    aiteri_plan_head head;
    if (plan->data == NULL || plan->bytes < sizeof head || (uintptr_t)plan->data % 8 != 0)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT,
                           "%s.call.plan: data %s, expected the buffer that %s_plan filled", op,
                           plan->data ? "is too small or not aligned to 8" : "is NULL", op);
    memcpy(&head, plan->data, sizeof head);
    const size_t most = INT32_MAX;
    if (head.fingerprint != aiteri_fingerprint(p, g) || head.works < 0 ||
        (uint64_t)head.works > most || head.reduces < 0 || (uint64_t)head.reduces > most ||
        head.partials < 0 || (uint64_t)head.partials > most ||
        plan->bytes < aiteri_plan_bytes(head.workers, (size_t)head.works, (size_t)head.reduces,
                                        (size_t)head.partials))
        return aiteri_fail(
            ctx, AITER_INVALID_ARGUMENT,
            "%s.call.plan: made for other lengths, shapes, mask, kernel set or threads; "
            "make it again by %s_plan",
            op, op);
    s->works = head.works;
    s->reduces = head.reduces;
    s->partial_rows = head.partial_rows;
    s->partials = head.partials;
    aiteri_schedule_place(s, plan->data, head.workers);
    return AITER_OK;
}

/* Fills, or with data NULL sizes, the caller's plan. */
static aiter_status aiteri_plan_fill(const char *op, const aiteri_problem *p, aiter_context *ctx,
                                     const aiteri_geometry *g, aiter_plan *plan)
{
    aiteri_schedule s = aiteri_schedule_count(p, g);
    const size_t bytes =
        aiteri_plan_bytes(g->workers, (size_t)s.works, (size_t)s.reduces, (size_t)s.partials);
    if (plan->data == NULL) {
        plan->bytes = bytes;
        return AITER_OK;
    }
    if ((uintptr_t)plan->data % 8 != 0)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT,
                           "%s_plan.plan: data is not aligned to 8 bytes", op);
    if (plan->bytes < bytes)
        return aiteri_fail(ctx, AITER_WORKSPACE_TOO_SMALL,
                           "%s_plan.plan: bytes is %zu, expected at least %zu", op, plan->bytes,
                           bytes);
    aiteri_schedule_write(&s, p, g, plan->data);
    plan->num_workers = g->workers;
    plan->num_works = (int32_t)s.works;
    plan->num_reduces = (int32_t)s.reduces;
    plan->num_partial_rows = (int32_t)s.partial_rows;
    plan->work_indptr = s.work_indptr;
    plan->work_info = s.work_info;
    plan->reduce_indptr = s.reduce_indptr;
    plan->reduce_final_map = s.reduce_final_map;
    plan->reduce_partial_map = s.reduce_partial_map;
    return AITER_OK;
}

#endif /* AITERI_PLAN_C */
AITERI_ONCE_A_CALL_END
#endif

// >>cpuid    (src/cpu/cpuid.c)
/* cpuid.c -- which kernel sets may run here. Own cpuid and xgetbv: __builtin_cpu_supports needs
 * libgcc or compiler-rt symbols that zig cc and some embedded toolchains do not ship. */
#ifndef AITERI_CPUID_C
#define AITERI_CPUID_C


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

// >>block_f32    (src/cpu/block_f32.c)
/* block_f32.c -- the blocks of the sets that compute in f32: rows as they are read, one behind the
 * other. */
#ifndef AITERI_BLOCK_F32_C
#define AITERI_BLOCK_F32_C


AITERI_FORCE_INLINE int32_t aiteri_padded(int32_t dim)
{
    return (dim + AITERI_PAD - 1) / AITERI_PAD * AITERI_PAD;
}

/* Row stride of a block in elements of 4 bytes: an odd number of cache lines, so that a column of
 * the block spreads over all sets of the cache. Power-of-two strides of user tensors are why rows
 * are copied at all. */
AITERI_FORCE_INLINE int64_t aiteri_block_stride(int32_t dim)
{
    const int64_t lines = aiteri_ceil_div(dim, AITERI_PAD);
    return (lines + (lines % 2 == 0)) * AITERI_PAD;
}

AITERI_UNUSED static size_t aiteri_f32_block_bytes(int32_t dim)
{
    return AITERI_TILE_ROOM * (size_t)aiteri_block_stride(dim) * sizeof(float);
}

AITERI_UNUSED static size_t aiteri_f32_query_bytes(int32_t dim, int32_t tile_lanes)
{
    return (size_t)dim * (size_t)tile_lanes * sizeof(float);
}

/* n elements `stride` apart to consecutive f32. */
static void aiteri_gather_row(const aiteri_kernels *kernels, float *dst, const char *src,
                              aiter_dtype dtype, int64_t stride, int32_t n)
{
    AITERI_ASSERT(n > 0 && stride >= 0 && kernels->widen[dtype]);
    if (stride == 1) {
        kernels->widen[dtype](dst, src, n);
        return;
    }
    for (int32_t i = 0; i < n; i++) {
        const uint32_t bits = aiteri_load_bits(dtype, src, i * stride);
        memcpy(dst + i, &bits, sizeof bits);
    }
}

AITERI_UNUSED static void aiteri_f32_load(const aiteri_kernels *kernels, void *block, int32_t place,
                                          const aiteri_block_rows *rows)
{
    const int64_t stride = aiteri_block_stride(rows->width), room = stride - rows->column;
    const int64_t of_row = rows->scale ? aiteri_ceil_div(rows->dim, rows->group) : 0;
    for (int32_t i = 0; i < rows->n; i++) {
        float *row = (float *)block + (place + i) * stride + rows->column;
        if (!rows->row[i]) {
            memset(row, 0, (size_t)room * sizeof(float));
            continue;
        }
        aiteri_gather_row(kernels, row, (const char *)rows->row[i], rows->dtype, rows->stride_dim,
                          rows->dim);
        if (!rows->scale) continue;
        for (int32_t d = rows->dim; d < room; d++) row[d] = 0.0f;
        const float *scale = rows->scale + i * of_row;
        for (int32_t d = 0; d < rows->dim; d += rows->group, scale++)
            kernels->row_scale(
                row + d, aiteri_padded((int32_t)aiteri_min(rows->group, rows->dim - d)), scale[0]);
    }
}

#endif /* AITERI_BLOCK_F32_C */
AITERI_KERNELS_BEGIN

// >>instantiate    (src/cpu/instantiate.c)
/* instantiate.c -- one block per ISA: open the target region, pick the vector layer and the
 * register tiling, stamp the kernels. Adding an ISA is a block here, a simd_<isa>.h and a line in
 * cpuid.c. */
#ifndef AITERI_INSTANTIATE_C
#define AITERI_INSTANTIATE_C


/* AITERI_TILE_ROWS are the rows of K at once against a whole tile, AITERI_NARROW_ROWS against the
 * first AITERI_NARROW_VECTORS of it; 0: every tile is worked on whole. */

/* One K row at a time: with two, gcc 12.2 vectorises across them and reads past the last row. */
#define AITERI_K(name)             AITERI_CAT(aiteri_scalar, name)
#define AITERI_K_NAME              "scalar"
#define AITERI_K_ISA               AITER_ISA_SCALAR
#define AITERI_K_NEEDS             0
#define AITERI_K_BELOW             NULL
#define AITERI_TILE_VECTORS        16
#define AITERI_TILE_NEXT(place, x) ((void)0)
#define AITERI_TILE_ROWS           1
#define AITERI_NARROW_VECTORS      0
#define AITERI_NARROW_ROWS         0
#define AITERI_TILE_STEPS          1
#define AITERI_DOT_KEYS            2
#define AITERI_AXPY_VECTORS        2
#define AITERI_STREAM_TYPES        0
#define AITERI_CONVERTS            1

// >>simd_scalar    (src/cpu/simd_scalar.h)
/* simd_scalar.h -- the vector layer on any CPU: one lane. The reference for the other layers.
 *
 * Each simd_<isa>.h is included inside its target region, with AITERI_K(name) spelling the
 * ISA's own name, and defines AITERI_LANES and the types vf (float lanes), vi (int32 lanes) and
 * vm (one truth value a lane). Pointers need no alignment. A name ending in _n takes only the first
 * n <= AITERI_LANES lanes: the others read as zero and their memory is never touched. */
#if AITERI_EXCESS_PRECISION
/* A lane is kept as its bits: every result is rounded, and loads and stores touch no NaN. */
typedef struct AITERI_K(vf) {
    uint32_t bits;
} AITERI_K(vf);
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(set1)(float x)
{
    AITERI_K(vf) a;
    a.bits = aiteri_bits_of_f32(x);
    return a;
}
AITERI_FORCE_INLINE float AITERI_K(number)(AITERI_K(vf) a) { return aiteri_f32_of_bits(a.bits); }
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(select)(int m, AITERI_K(vf) a, AITERI_K(vf) b)
{
    return m ? a : b;
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load)(const float *p)
{
    AITERI_K(vf) a;
    memcpy(&a.bits, p, sizeof a.bits);
    return a;
}
AITERI_FORCE_INLINE void AITERI_K(store)(float *p, AITERI_K(vf) x)
{
    memcpy(p, &x.bits, sizeof x.bits);
}
#else
typedef float AITERI_K(vf);
AITERI_FORCE_INLINE float AITERI_K(set1)(float x) { return x; }
AITERI_FORCE_INLINE float AITERI_K(number)(float a) { return a; }
AITERI_FORCE_INLINE float AITERI_K(select)(int m, float a, float b)
{
    return aiteri_select_f32(m, a, b);
}
AITERI_FORCE_INLINE float AITERI_K(load)(const float *p) { return p[0]; }
AITERI_FORCE_INLINE void AITERI_K(store)(float *p, float x) { p[0] = x; }
#endif
typedef int32_t AITERI_K(vi);
typedef int AITERI_K(vm);
#define AITERI_LANES 1

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(zero)(void) { return AITERI_K(set1)(0.0f); }
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(iota)(void)
{
    return AITERI_K(zero)();
} /* 0, 1, 2, ... */

/* Integers wrap; shifts are logical, by 0 to 31. to_i rounds to nearest even, and what does not fit
 * (NaN too) has no promised value; as_i and as_f keep the bits. */
AITERI_FORCE_INLINE int32_t AITERI_K(set1_i)(int32_t x) { return x; }
AITERI_FORCE_INLINE int32_t AITERI_K(iota_i)(void) { return 0; }
AITERI_FORCE_INLINE int32_t AITERI_K(add_i)(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a + (uint32_t)b);
}
AITERI_FORCE_INLINE int32_t AITERI_K(sub_i)(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a - (uint32_t)b);
}
AITERI_FORCE_INLINE int32_t AITERI_K(and_i)(int32_t a, int32_t b) { return a & b; }
AITERI_FORCE_INLINE int32_t AITERI_K(or_i)(int32_t a, int32_t b) { return a | b; }
AITERI_FORCE_INLINE int32_t AITERI_K(shl_i)(int32_t a, int n)
{
    return (int32_t)((uint32_t)a << n);
}
AITERI_FORCE_INLINE int32_t AITERI_K(shr_i)(int32_t a, int n)
{
    return (int32_t)((uint32_t)a >> n);
}
AITERI_FORCE_INLINE int AITERI_K(lt_i)(int32_t a, int32_t b) { return a < b; }
AITERI_FORCE_INLINE int AITERI_K(eq_i)(int32_t a, int32_t b) { return a == b; }
AITERI_FORCE_INLINE int32_t AITERI_K(select_i)(int m, int32_t a, int32_t b) { return m ? a : b; }
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(to_f)(int32_t a) { return AITERI_K(set1)((float)a); }
AITERI_FORCE_INLINE int32_t AITERI_K(as_i)(AITERI_K(vf) a)
{
    int32_t i;
    memcpy(&i, &a, sizeof i);
    return i;
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(as_f)(int32_t a)
{
#if AITERI_EXCESS_PRECISION
    AITERI_K(vf) x;
    x.bits = (uint32_t)a;
    return x;
#else
    return aiteri_f32_of_bits((uint32_t)a);
#endif
}

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_n)(const float *p, int n)
{
    int32_t i = 0;
    if (n > 0) memcpy(&i, p, sizeof i);
    return AITERI_K(as_f)(i);
}
AITERI_FORCE_INLINE void AITERI_K(store_n)(float *p, AITERI_K(vf) x, int n)
{
    if (n > 0) AITERI_K(store)(p, x);
}

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(add)(AITERI_K(vf) a, AITERI_K(vf) b)
{
    return AITERI_K(set1)(AITERI_K(number)(a) + AITERI_K(number)(b));
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(sub)(AITERI_K(vf) a, AITERI_K(vf) b)
{
    return AITERI_K(set1)(AITERI_K(number)(a) - AITERI_K(number)(b));
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(mul)(AITERI_K(vf) a, AITERI_K(vf) b)
{
    float product = AITERI_K(number)(a) * AITERI_K(number)(b);
    AITERI_FENCE_PRODUCT(product);
    return AITERI_K(set1)(product);
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(div)(AITERI_K(vf) a, AITERI_K(vf) b)
{
    return AITERI_K(set1)(AITERI_K(number)(a) / AITERI_K(number)(b));
}
/* a*b + c, rounded once where the CPU does it at full speed. */
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(fma)(AITERI_K(vf) a, AITERI_K(vf) b, AITERI_K(vf) c)
{
#if defined(__FMA__) || defined(FP_FAST_FMAF) || defined(__aarch64__)
    return AITERI_K(set1)(fmaf(AITERI_K(number)(a), AITERI_K(number)(b), AITERI_K(number)(c)));
#else
    return AITERI_K(add)(AITERI_K(mul)(a, b), c);
#endif
}
/* lt and gt are false for NaN, nlt ("not less") is true for it. */
AITERI_FORCE_INLINE int AITERI_K(lt)(AITERI_K(vf) a, AITERI_K(vf) b)
{
    return AITERI_K(number)(a) < AITERI_K(number)(b);
}
AITERI_FORCE_INLINE int AITERI_K(gt)(AITERI_K(vf) a, AITERI_K(vf) b)
{
    return AITERI_K(number)(a) > AITERI_K(number)(b);
}
AITERI_FORCE_INLINE int AITERI_K(nlt)(AITERI_K(vf) a, AITERI_K(vf) b)
{
    return !AITERI_K(lt)(a, b);
}
/* The second operand if either is NaN or both are zero, on every ISA. */
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(max)(AITERI_K(vf) a, AITERI_K(vf) b)
{
    return AITERI_K(select)(AITERI_K(gt)(a, b), a, b);
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(min)(AITERI_K(vf) a, AITERI_K(vf) b)
{
    return AITERI_K(select)(AITERI_K(lt)(a, b), a, b);
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(copysign)(AITERI_K(vf) a, AITERI_K(vf) b)
{
    return AITERI_K(as_f)((AITERI_K(as_i)(a) & 0x7fffffff) | (AITERI_K(as_i)(b) & INT32_MIN));
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(abs)(AITERI_K(vf) a)
{
    return AITERI_K(as_f)(AITERI_K(as_i)(a) & 0x7fffffff);
}
/* To nearest, ties to even, the sign kept: adding 2^23 leaves no bits below one. */
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(round)(AITERI_K(vf) a)
{
    const AITERI_K(vf) x = AITERI_K(abs)(a), big = AITERI_K(set1)(8388608.0f);
    const AITERI_K(vf) whole = AITERI_K(sub)(AITERI_K(add)(x, big), big);
    return AITERI_K(select)(AITERI_K(lt)(x, big), AITERI_K(copysign)(whole, a), a);
}
AITERI_FORCE_INLINE int32_t AITERI_K(to_i)(AITERI_K(vf) a)
{
    return AITERI_K(lt)(AITERI_K(abs)(a), AITERI_K(set1)(2147483648.0f))
               ? (int32_t)AITERI_K(number)(AITERI_K(round)(a))
               : INT32_MIN;
}
/* a * 2^n for an integral n where both are normal: on the exponent alone. */
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(scale2)(AITERI_K(vf) a, AITERI_K(vf) n)
{
    return AITERI_K(as_f)(
        AITERI_K(add_i)(AITERI_K(as_i)(a), AITERI_K(shl_i)(AITERI_K(to_i)(n), 23)));
}
/* a * 2^n for any a and an integral n in [-150, 130]; underflows and overflows as a product. */
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(ldexp)(AITERI_K(vf) a, AITERI_K(vf) n)
{
    const int32_t i = (int32_t)AITERI_K(number)(n), half = (i - (i & 1)) / 2;
    a = AITERI_K(mul)(a, AITERI_K(as_f)((half + 127) << 23));
    return AITERI_K(mul)(a, AITERI_K(as_f)((i - half + 127) << 23));
}

AITERI_FORCE_INLINE int AITERI_K(and_m)(int a, int b) { return a & b; }
AITERI_FORCE_INLINE int AITERI_K(or_m)(int a, int b) { return a | b; }
AITERI_FORCE_INLINE int AITERI_K(not_m)(int a) { return !a; }
AITERI_FORCE_INLINE int AITERI_K(any)(int m) { return m; }
AITERI_FORCE_INLINE int AITERI_K(all)(int m) { return m; }
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(keep)(int m, AITERI_K(vf) a)
{
    return AITERI_K(select)(m, a, AITERI_K(zero)());
} /* or +0 */

/* Horizontal sums in one order per ISA: hsum4 and hsum16 give hsum's bits for each vector. */
AITERI_FORCE_INLINE float AITERI_K(hsum)(AITERI_K(vf) a) { return AITERI_K(number)(a); }
AITERI_FORCE_INLINE float AITERI_K(hmax)(AITERI_K(vf) a) { return AITERI_K(number)(a); }
AITERI_FORCE_INLINE void AITERI_K(hsum4)(AITERI_K(vf) a, AITERI_K(vf) b, AITERI_K(vf) c,
                                         AITERI_K(vf) d, float *out)
{
    AITERI_K(store)(out, a);
    AITERI_K(store)(out + 1, b);
    AITERI_K(store)(out + 2, c);
    AITERI_K(store)(out + 3, d);
}
AITERI_FORCE_INLINE void AITERI_K(hsum16)(const AITERI_K(vf) * v, float *out)
{
    memcpy(out, v, 16 * sizeof *v);
}

/* A block of AITERI_LANES x AITERI_LANES floats, rows ld apart; src and dst do not overlap. */
AITERI_FORCE_INLINE void AITERI_K(transpose)(const float *src, int64_t ld_src, float *dst,
                                             int64_t ld_dst)
{
    (void)ld_src;
    (void)ld_dst;
    dst[0] = src[0];
}

/* Converting loads and stores are exact, the stores to nearest even; the flush-to-zero flags of the
 * caller change nothing. */
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_f16)(const uint16_t *p)
{
    return AITERI_K(as_f)((int32_t)aiteri_bits_from_f16(p[0]));
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_f16_n)(const uint16_t *p, int n)
{
    return AITERI_K(as_f)((int32_t)aiteri_bits_from_f16(n > 0 ? p[0] : (uint16_t)0));
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_bf16)(const uint16_t *p)
{
    return AITERI_K(as_f)((int32_t)aiteri_bits_from_bf16(p[0]));
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_bf16_n)(const uint16_t *p, int n)
{
    return AITERI_K(as_f)((int32_t)aiteri_bits_from_bf16(n > 0 ? p[0] : (uint16_t)0));
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_i8)(const int8_t *p)
{
    return AITERI_K(set1)((float)p[0]);
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_i8_n)(const int8_t *p, int n)
{
    return AITERI_K(set1)((float)(n > 0 ? p[0] : 0));
}
/* fp8 codes read as the f16 with the same exponent and mantissa fields: e4m3 comes out 2^-8 (fn) or
 * 2^-7 (fnuz) times its value, its NaN codes as numbers. */
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_e5m2_raw)(const uint8_t *p)
{
    return AITERI_K(as_f)((int32_t)aiteri_bits_from_f16((uint16_t)(p[0] << 8)));
}
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_e4m3_raw)(const uint8_t *p)
{
    return AITERI_K(as_f)(
        (int32_t)aiteri_bits_from_f16((uint16_t)(((p[0] & 0x80) << 8) | ((p[0] & 0x7f) << 7))));
}
AITERI_FORCE_INLINE void AITERI_K(store_f16)(uint16_t *p, AITERI_K(vf) x)
{
    p[0] = aiteri_f16_from_bits((uint32_t)AITERI_K(as_i)(x));
}
AITERI_FORCE_INLINE void AITERI_K(store_f16_n)(uint16_t *p, AITERI_K(vf) x, int n)
{
    if (n > 0) p[0] = aiteri_f16_from_bits((uint32_t)AITERI_K(as_i)(x));
}
/* The low 16 or 8 bits of each lane; the bits above must be zero. */
AITERI_FORCE_INLINE void AITERI_K(store_x16)(uint16_t *p, int32_t x) { p[0] = (uint16_t)x; }
AITERI_FORCE_INLINE void AITERI_K(store_x16_n)(uint16_t *p, int32_t x, int n)
{
    if (n > 0) p[0] = (uint16_t)x;
}
AITERI_FORCE_INLINE void AITERI_K(store_x8)(uint8_t *p, int32_t x) { p[0] = (uint8_t)x; }

// >>k_all    (src/cpu/k_all.inl.h)
/* k_all.inl.h -- one kernel set: the templates in order, the table that lists them, and the
 * clean-up. */

// >>k_math    (src/cpu/k_math.inl.h)
/* k_math.inl.h -- exp2 and tanh of a vector and rounding stores to bfloat16, written once over the
 * vector layer. */

/* 2^x times `unit`, a constant power of two that costs nothing; 2^least * unit is the smallest
 * normal number. Error below 0.8 ulp (1.1 without FMA); exact at integers; x < least gives an exact
 * zero, never a subnormal, which would slow every operation after it; 128 and above give infinity
 * if unit is 1; NaN stays NaN. 2^x = 2^n 2^f with |f| <= 1/2 and a minimax polynomial for 2^f that
 * is exact at 0. */
AITERI_FORCE_INLINE AITERI_K(vf)
    AITERI_K(exp2_unit)(AITERI_K(vf) x, const float unit, const float least)
{
    const AITERI_K(vm) live = AITERI_K(nlt)(x, AITERI_K(set1)(least));
    x = AITERI_K(min)(AITERI_K(set1)(128.0f), x);
    const AITERI_K(vf) n = AITERI_K(round)(x);
    const AITERI_K(vf) f = AITERI_K(sub)(x, n);
    AITERI_K(vf) p = AITERI_K(set1)(1.53264686e-4f * unit);
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(1.33908063e-3f * unit));
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(9.61850584e-3f * unit));
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(5.55035993e-2f * unit));
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(0.240226477f * unit));
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(0.693147182f * unit));
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(unit));
    return AITERI_K(keep)(live, AITERI_K(scale2)(p, n));
}

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(exp2)(AITERI_K(vf) x)
{
    return AITERI_K(exp2_unit)(x, 1.0f, -126.0f);
}

/* tanh(x), relative error below 2 ulp everywhere: an odd polynomial near zero, where the other form
 * would cancel, and 1 - 2 / (e^2|x| + 1) beyond. */
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(tanh)(AITERI_K(vf) x)
{
    const AITERI_K(vf) one = AITERI_K(set1)(1.0f);
    const AITERI_K(vf) a = AITERI_K(abs)(x);
    const AITERI_K(vf) u = AITERI_K(mul)(a, a);
    AITERI_K(vf) p = AITERI_K(set1)(-5.6922962e-3f);
    p = AITERI_K(fma)(p, u, AITERI_K(set1)(2.06281673e-2f));
    p = AITERI_K(fma)(p, u, AITERI_K(set1)(-5.37365153e-2f));
    p = AITERI_K(fma)(p, u, AITERI_K(set1)(0.133314058f));
    p = AITERI_K(fma)(p, u, AITERI_K(set1)(-0.333332807f));
    p = AITERI_K(fma)(AITERI_K(mul)(p, u), a, a);
    const AITERI_K(vf) y =
        AITERI_K(mul)(AITERI_K(min)(AITERI_K(set1)(10.0f), a), AITERI_K(set1)(2.88539008f));
    const AITERI_K(vf) e = AITERI_K(add)(AITERI_K(exp2)(y), one);
    const AITERI_K(vf) big = AITERI_K(sub)(one, AITERI_K(div)(AITERI_K(set1)(2.0f), e));
    const AITERI_K(vm) near_zero = AITERI_K(lt)(a, AITERI_K(set1)(0.625f));
    return AITERI_K(copysign)(AITERI_K(select)(near_zero, p, big), x);
}

/* A score under a softcap. */
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(capped)(AITERI_K(vf) x, const aiteri_softcap *softcap)
{
    const AITERI_K(vf) cap = AITERI_K(set1)(softcap->cap);
    AITERI_K(vf) share = x;
    if (softcap->wide)
        share = AITERI_K(mul)(AITERI_K(mul)(x, AITERI_K(set1)(softcap->before)),
                              AITERI_K(set1)(softcap->inverse));
    const AITERI_K(vf) y = AITERI_K(mul)(cap, AITERI_K(tanh)(share));
    if (!softcap->wide) return y;
    const AITERI_K(vm) unseen =
        AITERI_K(lt)(AITERI_K(abs)(share), AITERI_K(set1)(1.220703125e-4f)); /* 2^-13 */
    return AITERI_K(select)(unseen, x, y);
}

/* Bits of x as bfloat16: to nearest even, overflow to infinity, NaN kept and made quiet. */
AITERI_FORCE_INLINE AITERI_K(vi) AITERI_K(bf16_bits)(AITERI_K(vf) x)
{
    const AITERI_K(vi) u = AITERI_K(as_i)(x);
    const AITERI_K(vi) high = AITERI_K(shr_i)(u, 16);
    const AITERI_K(vi) odd = AITERI_K(and_i)(high, AITERI_K(set1_i)(1));
    const AITERI_K(vi) up = AITERI_K(add_i)(AITERI_K(add_i)(u, AITERI_K(set1_i)(0x7fff)), odd);
    const AITERI_K(vm) nan = AITERI_K(lt_i)(AITERI_K(set1_i)(0x7f800000),
                                            AITERI_K(and_i)(u, AITERI_K(set1_i)(0x7fffffff)));
    return AITERI_K(select_i)(nan, AITERI_K(or_i)(high, AITERI_K(set1_i)(0x40)),
                              AITERI_K(shr_i)(up, 16));
}

AITERI_FORCE_INLINE void AITERI_K(store_bf16)(uint16_t *p, AITERI_K(vf) x)
{
    AITERI_K(store_x16)(p, AITERI_K(bf16_bits)(x));
}

AITERI_FORCE_INLINE void AITERI_K(store_bf16_n)(uint16_t *p, AITERI_K(vf) x, int n)
{
    AITERI_K(store_x16_n)(p, AITERI_K(bf16_bits)(x), n);
}

// >>k_convert    (src/cpu/k_convert.inl.h)
/* k_convert.inl.h -- rows of any storage type to f32 and back, the same bits as dtype.c, written
 * once over the vector layer. n counts elements; an I4 or F4 row starts at a whole byte. */

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_f8_e4m3fn)(const uint8_t *p)
{
    const AITERI_K(vf) raw = AITERI_K(load_e4m3_raw)(p);
    const AITERI_K(vi) u = AITERI_K(as_i)(AITERI_K(mul)(raw, AITERI_K(set1)(256.0f)));
    const AITERI_K(vm) nan = AITERI_K(gt)(AITERI_K(abs)(raw), AITERI_K(set1)(1.75f));
    const AITERI_K(vi) all_ones = AITERI_K(or_i)(u, AITERI_K(set1_i)(0x7ff00000));
    return AITERI_K(as_f)(AITERI_K(select_i)(nan, all_ones, u));
}

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_f8_e4m3fnuz)(const uint8_t *p)
{
    const AITERI_K(vf) raw = AITERI_K(load_e4m3_raw)(p);
    const AITERI_K(vi) u = AITERI_K(as_i)(AITERI_K(mul)(raw, AITERI_K(set1)(128.0f)));
    const AITERI_K(vm) minus_zero = AITERI_K(eq_i)(u, AITERI_K(set1_i)(INT32_MIN));
    const AITERI_K(vi) nan = AITERI_K(set1_i)(INT32_MIN | 0x7fc00000);
    return AITERI_K(as_f)(AITERI_K(select_i)(minus_zero, nan, u));
}

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_f8_e5m2)(const uint8_t *p)
{
    return AITERI_K(load_e5m2_raw)(p);
}

AITERI_FORCE_INLINE AITERI_K(vi) AITERI_K(magnitude_bits)(AITERI_K(vf) x)
{
    return AITERI_K(and_i)(AITERI_K(as_i)(x), AITERI_K(set1_i)(0x7fffffff));
}
AITERI_FORCE_INLINE AITERI_K(vm) AITERI_K(is_nan)(AITERI_K(vf) x)
{
    return AITERI_K(lt_i)(AITERI_K(set1_i)(0x7f800000), AITERI_K(magnitude_bits)(x));
}
AITERI_FORCE_INLINE AITERI_K(vi) AITERI_K(f8_sign)(AITERI_K(vf) x)
{
    return AITERI_K(and_i)(AITERI_K(shr_i)(AITERI_K(as_i)(x), 24), AITERI_K(set1_i)(0x80));
}

/* |x| as a float with so many mantissa bits and that bias, at most `max`. Subnormals come from a
 * sum with the number whose last bit is worth one step: it is normal, so flushing has no hold on
 * it. */
AITERI_FORCE_INLINE AITERI_K(vi)
    AITERI_K(f8_magnitude)(AITERI_K(vf) x, const int mantissa, const int bias, const int32_t max)
{
    const int drop = 23 - mantissa, rebias = 127 - bias;
    const int32_t half = (1 << (drop - 1)) - 1, base = rebias << mantissa;
    const AITERI_K(vi) a = AITERI_K(magnitude_bits)(x);
    const AITERI_K(vi) odd = AITERI_K(and_i)(AITERI_K(shr_i)(a, drop), AITERI_K(set1_i)(1));
    const AITERI_K(vi) up = AITERI_K(add_i)(AITERI_K(add_i)(a, AITERI_K(set1_i)(half)), odd);
    const AITERI_K(vi) normal = AITERI_K(sub_i)(AITERI_K(shr_i)(up, drop), AITERI_K(set1_i)(base));
    const AITERI_K(vi) magic = AITERI_K(set1_i)((rebias + 1 + drop) << 23);
    const AITERI_K(vf) sum = AITERI_K(add)(AITERI_K(as_f)(a), AITERI_K(as_f)(magic));
    const AITERI_K(vi) small = AITERI_K(sub_i)(AITERI_K(as_i)(sum), magic);
    const AITERI_K(vm) is_small = AITERI_K(lt_i)(a, AITERI_K(set1_i)((rebias + 1) << 23));
    const AITERI_K(vi) code = AITERI_K(select_i)(is_small, small, normal);
    const AITERI_K(vi) top = AITERI_K(set1_i)(max);
    return AITERI_K(select_i)(AITERI_K(lt_i)(top, code), top, code);
}

AITERI_FORCE_INLINE void AITERI_K(store_f8_e4m3fn)(uint8_t *p, AITERI_K(vf) x)
{
    const AITERI_K(vi) code = AITERI_K(f8_magnitude)(x, 3, 7, 0x7e);
    const AITERI_K(vi) kept = AITERI_K(select_i)(AITERI_K(is_nan)(x), AITERI_K(set1_i)(0x7f), code);
    AITERI_K(store_x8)(p, AITERI_K(or_i)(kept, AITERI_K(f8_sign)(x)));
}

AITERI_FORCE_INLINE void AITERI_K(store_f8_e4m3fnuz)(uint8_t *p, AITERI_K(vf) x)
{
    const AITERI_K(vi) zero = AITERI_K(set1_i)(0);
    const AITERI_K(vi) code = AITERI_K(f8_magnitude)(x, 3, 8, 0x7f);
    const AITERI_K(vi) value = AITERI_K(select_i)(AITERI_K(eq_i)(code, zero), zero,
                                                  AITERI_K(or_i)(code, AITERI_K(f8_sign)(x)));
    AITERI_K(store_x8)(p, AITERI_K(select_i)(AITERI_K(is_nan)(x), AITERI_K(set1_i)(0x80), value));
}

AITERI_FORCE_INLINE void AITERI_K(store_f8_e5m2)(uint8_t *p, AITERI_K(vf) x)
{
    const AITERI_K(vi) code = AITERI_K(f8_magnitude)(x, 2, 15, 0x7b);
    const AITERI_K(vi) kept = AITERI_K(select_i)(AITERI_K(is_nan)(x), AITERI_K(set1_i)(0x7f), code);
    AITERI_K(store_x8)(p, AITERI_K(or_i)(kept, AITERI_K(f8_sign)(x)));
}

AITERI_FORCE_INLINE void AITERI_K(store_int8)(int8_t *p, AITERI_K(vf) x, const float limit)
{
    const AITERI_K(vf) low = AITERI_K(max)(AITERI_K(set1)(-limit), x);
    const AITERI_K(vi) i = AITERI_K(to_i)(AITERI_K(min)(AITERI_K(set1)(limit), low));
    const AITERI_K(vi) kept = AITERI_K(select_i)(AITERI_K(is_nan)(x), AITERI_K(set1_i)(0), i);
    AITERI_K(store_x8)((uint8_t *)p, AITERI_K(and_i)(kept, AITERI_K(set1_i)(0xff)));
}
AITERI_FORCE_INLINE void AITERI_K(store_i8)(int8_t *p, AITERI_K(vf) x)
{
    AITERI_K(store_int8)(p, x, 127.0f);
}
AITERI_FORCE_INLINE void AITERI_K(store_i4_byte)(int8_t *p, AITERI_K(vf) x)
{
    AITERI_K(store_int8)(p, x, 7.0f);
}
AITERI_FORCE_INLINE void AITERI_K(store_f4_byte)(int8_t *p, AITERI_K(vf) x)
{
    const AITERI_K(vi) sign =
        AITERI_K(and_i)(AITERI_K(shr_i)(AITERI_K(as_i)(x), 28), AITERI_K(set1_i)(8));
    const AITERI_K(vi) code = AITERI_K(or_i)(AITERI_K(f8_magnitude)(x, 1, 1, 7), sign);
    AITERI_K(store_x8)((uint8_t *)p,
                       AITERI_K(select_i)(AITERI_K(is_nan)(x), AITERI_K(set1_i)(0), code));
}

/* The loop over a row; its last partial vector goes through a copy. */
#define AITERI_WIDEN(name, type)                                               \
    static void AITERI_K(widen_##name)(float *dst, const void *src, int64_t n) \
    {                                                                          \
        const type *p = (const type *)src;                                     \
        int64_t i = 0;                                                         \
        for (; i + AITERI_LANES <= n; i += AITERI_LANES)                       \
            AITERI_K(store)(dst + i, AITERI_K(load_##name)(p + i));            \
        if (i >= n) return;                                                    \
        type tail[AITERI_LANES] = {0};                                         \
        memcpy(tail, p + i, (size_t)(n - i) * sizeof *p);                      \
        AITERI_K(store_n)(dst + i, AITERI_K(load_##name)(tail), (int)(n - i)); \
    }

#define AITERI_NARROW(name, type)                                               \
    static void AITERI_K(narrow_##name)(void *dst, const float *src, int64_t n) \
    {                                                                           \
        type *p = (type *)dst;                                                  \
        int64_t i = 0;                                                          \
        for (; i + AITERI_LANES <= n; i += AITERI_LANES)                        \
            AITERI_K(store_##name)(p + i, AITERI_K(load)(src + i));             \
        if (i >= n) return;                                                     \
        type tail[AITERI_LANES];                                                \
        AITERI_K(store_##name)(tail, AITERI_K(load_n)(src + i, (int)(n - i)));  \
        memcpy(p + i, tail, (size_t)(n - i) * sizeof *p);                       \
    }

AITERI_WIDEN(f16, uint16_t)
AITERI_WIDEN(bf16, uint16_t)
AITERI_WIDEN(i8, int8_t)
#if AITERI_CONVERTS /* else the set below has them */
AITERI_NARROW(f16, uint16_t)
AITERI_NARROW(bf16, uint16_t)
#if AITERI_READS_CODES
AITERI_WIDEN(f8_e4m3fn, uint8_t)
AITERI_WIDEN(f8_e4m3fnuz, uint8_t)
AITERI_WIDEN(f8_e5m2, uint8_t)

/* The types of 4 bits go by blocks through bytes. */
static void AITERI_K(widen_i4)(float *dst, const void *src, int64_t n)
{
    const uint8_t *p = (const uint8_t *)src;
    int8_t block[128];
    for (int64_t i = 0; i < n; i += 128) {
        const int64_t count = n - i < 128 ? n - i : 128;
        for (int64_t k = 0; k < (count + 1) / 2; k++) {
            const int byte = p[i / 2 + k];
            block[2 * k] = (int8_t)(((byte & 15) ^ 8) - 8);
            block[2 * k + 1] = (int8_t)(((byte >> 4) ^ 8) - 8);
        }
        AITERI_K(widen_i8)(dst + i, block, count);
    }
}
#endif
#if AITERI_WRITES_CODES
AITERI_NARROW(f8_e4m3fn, uint8_t)
AITERI_NARROW(f8_e4m3fnuz, uint8_t)
AITERI_NARROW(f8_e5m2, uint8_t)
AITERI_NARROW(i8, int8_t)
AITERI_NARROW(i4_byte, int8_t)

AITERI_FORCE_INLINE void AITERI_K(narrow_halves)(void *dst, const float *src, int64_t n,
                                                 aiteri_narrow_fn to_bytes)
{
    uint8_t *p = (uint8_t *)dst;
    int8_t block[128];
    for (int64_t i = 0; i < n; i += 128) {
        const int64_t count = n - i < 128 ? n - i : 128;
        to_bytes(block, src + i, count);
        if (count & 1) block[count] = (int8_t)(p[i / 2 + count / 2] >> 4);
        for (int64_t k = 0; k < (count + 1) / 2; k++)
            p[i / 2 + k] = (uint8_t)((block[2 * k] & 15) | (block[2 * k + 1] & 15) << 4);
    }
}

static void AITERI_K(narrow_i4)(void *dst, const float *src, int64_t n)
{
    AITERI_K(narrow_halves)(dst, src, n, AITERI_K(narrow_i4_byte));
}
#if AITERI_HAS_QUANT
AITERI_NARROW(f4_byte, int8_t)

static void AITERI_K(narrow_f4)(void *dst, const float *src, int64_t n)
{
    AITERI_K(narrow_halves)(dst, src, n, AITERI_K(narrow_f4_byte));
}

static void AITERI_K(widen_f4)(float *dst, const void *src, int64_t n)
{
    static const float value[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                    -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};
    const uint8_t *p = (const uint8_t *)src;
    for (int64_t i = 0; i + 1 < n; i += 2) {
        dst[i] = value[p[i / 2] & 15];
        dst[i + 1] = value[p[i / 2] >> 4];
    }
    if (n & 1) dst[n - 1] = value[p[n / 2] & 15];
}
#endif
#endif /* AITERI_WRITES_CODES */

static void AITERI_K(widen_f32)(float *dst, const void *src, int64_t n)
{
    if (n > 0) memcpy(dst, src, (size_t)n * sizeof *dst);
}

static void AITERI_K(narrow_f32)(void *dst, const float *src, int64_t n)
{
    if (n > 0) memcpy(dst, src, (size_t)n * sizeof *src);
}

#define AITERI_CONVERT_OF(name) AITERI_K(name)
#endif
#if AITERI_READS_CODES
#define AITERI_READER_CONVERT_OF(name) AITERI_CONVERT_OF(name)
#else
#define AITERI_READER_CONVERT_OF(name) NULL
#endif
#if AITERI_WRITES_CODES
#define AITERI_WRITER_CONVERT_OF(name) AITERI_CONVERT_OF(name)
#else
#define AITERI_WRITER_CONVERT_OF(name) NULL
#endif
#if AITERI_HAS_QUANT
#define AITERI_F4_CONVERT_OF(name) AITERI_CONVERT_OF(name)
#else
#define AITERI_F4_CONVERT_OF(name) NULL
#endif
#undef AITERI_WIDEN
#undef AITERI_NARROW

/* In the order of aiter_dtype. */
static const aiteri_widen_fn AITERI_K(widen)[AITER_DTYPE_COUNT] = {
    NULL,
    AITERI_CONVERT_OF(widen_f32),
    AITERI_K(widen_f16),
    AITERI_K(widen_bf16),
    AITERI_READER_CONVERT_OF(widen_f8_e4m3fn),
    AITERI_READER_CONVERT_OF(widen_f8_e4m3fnuz),
    AITERI_READER_CONVERT_OF(widen_f8_e5m2),
    AITERI_K(widen_i8),
    AITERI_READER_CONVERT_OF(widen_i4),
    NULL,
    NULL,
    NULL,
    AITERI_F4_CONVERT_OF(widen_f4),
    NULL,
};

static const aiteri_narrow_fn AITERI_K(narrow)[AITER_DTYPE_COUNT] = {
    NULL,
    AITERI_CONVERT_OF(narrow_f32),
    AITERI_CONVERT_OF(narrow_f16),
    AITERI_CONVERT_OF(narrow_bf16),
    AITERI_WRITER_CONVERT_OF(narrow_f8_e4m3fn),
    AITERI_WRITER_CONVERT_OF(narrow_f8_e4m3fnuz),
    AITERI_WRITER_CONVERT_OF(narrow_f8_e5m2),
    AITERI_WRITER_CONVERT_OF(narrow_i8),
    AITERI_WRITER_CONVERT_OF(narrow_i4),
    NULL,
    NULL,
    NULL,
    AITERI_F4_CONVERT_OF(narrow_f4),
    NULL,
};
#undef AITERI_READER_CONVERT_OF
#undef AITERI_WRITER_CONVERT_OF
#undef AITERI_F4_CONVERT_OF

// >>k_rows    (src/cpu/k_rows.inl.h)
/* k_rows.inl.h -- what every op does to a row of f32: scale it, finish it, add it to another, turn
 * it. */

static void AITERI_K(row_scale)(float *o, int32_t dim, float factor)
{
    AITERI_ASSERT(dim > 0 && dim % AITERI_PAD == 0);
    for (int32_t d = 0; d < dim; d += AITERI_LANES)
        AITERI_K(store)(o + d, AITERI_K(mul)(AITERI_K(load)(o + d), AITERI_K(set1)(factor)));
}

/* By bits: no comparison of floats tells -0 from 0. */
static void AITERI_K(row_finish)(float *o, int32_t dim, float factor, int32_t least)
{
    for (int32_t d = 0; d < dim; d += AITERI_LANES) {
        const AITERI_K(vf) x = AITERI_K(mul)(AITERI_K(load)(o + d), AITERI_K(set1)(factor));
        const AITERI_K(vm) seen =
            AITERI_K(lt_i)(AITERI_K(set1_i)(least), AITERI_K(magnitude_bits)(x));
        AITERI_K(store)(o + d, AITERI_K(keep)(seen, x));
    }
}

static void AITERI_K(row_add_scaled)(float *o, const float *x, int32_t dim, float factor)
{
    for (int32_t d = 0; d < dim; d += AITERI_LANES)
        AITERI_K(store)(o + d, AITERI_K(fma)(AITERI_K(set1)(factor), AITERI_K(load)(x + d),
                                             AITERI_K(load)(o + d)));
}

static void AITERI_K(row_divide)(float *o, int32_t n, float divisor)
{
    int32_t i = 0;
    for (; i + AITERI_LANES <= n; i += AITERI_LANES)
        AITERI_K(store)(o + i, AITERI_K(div)(AITERI_K(load)(o + i), AITERI_K(set1)(divisor)));
    for (; i < n; i++) o[i] /= divisor;
}

/* By bits: as integers magnitudes are in order, and NaN is above them all. */
static float AITERI_K(row_amax)(const float *x, int32_t n)
{
    AITERI_K(vi) top = AITERI_K(set1_i)(0);
    float lane[AITERI_LANES];
    uint32_t most = 0;
    int32_t i = 0;
    for (; i + AITERI_LANES <= n; i += AITERI_LANES) {
        const AITERI_K(vi) a = AITERI_K(magnitude_bits)(AITERI_K(load)(x + i));
        top = AITERI_K(select_i)(AITERI_K(lt_i)(top, a), a, top);
    }
    AITERI_K(store)(lane, AITERI_K(as_f)(top));
    for (int32_t k = 0; k < AITERI_LANES; k++) most = aiteri_larger_magnitude(most, lane[k]);
    for (; i < n; i++) most = aiteri_larger_magnitude(most, x[i]);
    return aiteri_f32_of_bits(most > 0x7f800000u ? 0x7fc00000u : most);
}

#if AITERI_HAS_ROPE
/* The sum of products is rounded in each of its steps: the bits of every set are the same. */
AITERI_FORCE_INLINE AITERI_K(vf)
    AITERI_K(turned)(AITERI_K(vf) x, AITERI_K(vf) c, AITERI_K(vf) partner, AITERI_K(vf) s)
{
    return AITERI_K(add)(AITERI_K(mul)(x, c), AITERI_K(mul)(partner, s));
}

static void AITERI_K(row_turn)(float *y, const float *x, const float *partner, const float *c,
                               const float *s, int32_t n)
{
    int32_t i = 0;
    for (; i + AITERI_LANES <= n; i += AITERI_LANES)
        AITERI_K(store)(y + i,
                        AITERI_K(turned)(AITERI_K(load)(x + i), AITERI_K(load)(c + i),
                                         AITERI_K(load)(partner + i), AITERI_K(load)(s + i)));
    const int rest = (int)(n - i);
    if (rest > 0)
        AITERI_K(store_n)(
            y + i,
            AITERI_K(turned)(AITERI_K(load_n)(x + i, rest), AITERI_K(load_n)(c + i, rest),
                             AITERI_K(load_n)(partner + i, rest), AITERI_K(load_n)(s + i, rest)),
            rest);
}
#endif
#if AITERI_ATTENTION

// >>k_tile    (src/cpu/k_tile.inl.h)
/* k_tile.inl.h -- queries in the lanes: S^T = K Q^T, online softmax, O^T += V^T P^T.
 *
 * A tile is AITERI_TILE_VECTORS vectors of query rows. K and V rows are the broadcast operand, so
 * neither is packed or transposed, and max, sum and rescale are lane-wise. A
 * group of rows of K (columns of V) shares each load of the tile: rows x vectors accumulators fill
 * the register file: AVX-512 8 x 3 of 32, AVX2 4 x 3 of 16, NEON 6 x 4 of 32. Every (row, lane) has
 * one accumulator that adds its products in ascending order, so the grouping of rows cannot be seen
 * in the bits. The last group is worked on whole: what lies behind the end is read and written, and
 * used by nobody. */

#define AITERI_TILE_LANES (AITERI_TILE_VECTORS * AITERI_LANES)
#define AITERI_TILE_MOST  (AITERI_TILE_VECTORS * AITERI_TILE_ROWS)
#define AITERI_TILE_GROUP(vectors) \
    ((vectors) == AITERI_TILE_VECTORS ? AITERI_TILE_ROWS : AITERI_NARROW_ROWS)
/* Elements of head_dim whose queries stay in the first cache while all keys of a block pass. */
#define AITERI_TILE_CHUNK (6144 / AITERI_TILE_LANES)

static void AITERI_K(pack_query)(void *q, const float *rows, int64_t row_stride, int32_t dim,
                                 float scale)
{
    float *qt = (float *)q; /* [dim][AITERI_TILE_LANES] */
    const int32_t whole = dim / AITERI_LANES * AITERI_LANES;
    for (int32_t lane = 0; lane < AITERI_TILE_LANES; lane += AITERI_LANES)
        for (int32_t d = 0; d < whole; d += AITERI_LANES)
            AITERI_K(transpose)(rows + lane * row_stride + d, row_stride,
                                qt + d * AITERI_TILE_LANES + lane, AITERI_TILE_LANES);
    for (int32_t d = whole; d < dim; d++)
        for (int32_t lane = 0; lane < AITERI_TILE_LANES; lane++)
            qt[d * AITERI_TILE_LANES + lane] = rows[lane * row_stride + d];
    const AITERI_K(vf) factor = AITERI_K(set1)(scale);
    for (int32_t i = 0; i < dim * AITERI_TILE_LANES; i += AITERI_LANES)
        AITERI_K(store)(qt + i, AITERI_K(mul)(AITERI_K(load)(qt + i), factor));
}

static void AITERI_K(tile_unpack)(float *rows, int64_t row_stride, const float *ot, int32_t dim)
{
    const int32_t whole = dim / AITERI_LANES * AITERI_LANES;
    for (int32_t lane = 0; lane < AITERI_TILE_LANES; lane += AITERI_LANES)
        for (int32_t d = 0; d < whole; d += AITERI_LANES)
            AITERI_K(transpose)(ot + d * AITERI_TILE_LANES + lane, AITERI_TILE_LANES,
                                rows + lane * row_stride + d, row_stride);
    for (int32_t lane = 0; lane < AITERI_TILE_LANES; lane++) {
        float *row = rows + lane * row_stride;
        for (int32_t d = whole; d < dim; d++) row[d] = ot[d * AITERI_TILE_LANES + lane];
    }
}

/* One group of K rows against the first `vectors` of the tile, added to `from`, the sums of the
 * chunks before; `vectors` and `count` are constants where it is inlined. */
AITERI_FORCE_INLINE void AITERI_K(score_rows)(float *AITERI_RESTRICT st, const float *from,
                                              const float *AITERI_RESTRICT k, int64_t k_stride,
                                              int32_t dim, const float *AITERI_RESTRICT qt,
                                              const int vectors, const int count)
{
    AITERI_K(vf) acc[AITERI_TILE_MOST];
    const float *row[AITERI_TILE_MOST];
    AITERI_UNROLL(16)
    for (int i = 0; i < count; i++) {
        row[i] = k + i * k_stride;
        if (vectors == AITERI_TILE_VECTORS) AITERI_OPAQUE(row[i]);
        AITERI_UNROLL(16)
        for (int c = 0; c < vectors; c++)
            acc[i * vectors + c] = AITERI_K(load)(from + i * AITERI_TILE_LANES + c * AITERI_LANES);
    }
    AITERI_UNROLL_SOME(AITERI_TILE_STEPS)
    for (int64_t d = 0; d < dim; d++, qt += AITERI_TILE_LANES) {
        AITERI_K(vf) q[AITERI_TILE_VECTORS];
        AITERI_UNROLL(16)
        for (int c = 0; c < vectors; c++) q[c] = AITERI_K(load)(qt + c * AITERI_LANES);
        AITERI_UNROLL(16)
        for (int i = 0; i < count; i++) {
            const AITERI_K(vf) x = AITERI_K(set1)(row[i][d]);
            AITERI_UNROLL(16)
            for (int c = 0; c < vectors; c++)
                acc[i * vectors + c] = AITERI_K(fma)(x, q[c], acc[i * vectors + c]);
            if (vectors == AITERI_TILE_VECTORS)
                AITERI_TILE_NEXT(row[(i + 1) % count], (acc + i * vectors));
        }
        if (vectors == AITERI_TILE_VECTORS) AITERI_TILE_NEXT(qt, (acc + (count - 1) * vectors));
    }
    AITERI_UNROLL(16)
    for (int i = 0; i < count; i++) AITERI_UNROLL(16)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(st + i * AITERI_TILE_LANES + c * AITERI_LANES, acc[i * vectors + c]);
}

AITERI_FORCE_INLINE void AITERI_K(score_run)(float *st, const aiteri_block_run *keys,
                                             const float *qt, const int vectors)
{
    static const float zeros[AITERI_TILE_MOST * AITERI_TILE_LANES] = {0};
    const int rows = AITERI_TILE_GROUP(vectors);
    const int64_t k_stride = aiteri_block_stride(keys->row_dim);
    const int32_t n = keys->n, dim = keys->dim;
    const float *k = (const float *)keys->block + keys->place * k_stride;
    for (int32_t d = 0; d < dim; d += AITERI_TILE_CHUNK) {
        const int32_t width = (int32_t)aiteri_min(dim - d, AITERI_TILE_CHUNK);
        const float *q = qt + d * AITERI_TILE_LANES;
        for (int32_t j = 0; j < n; j += rows) {
            float *to = st + j * AITERI_TILE_LANES;
            AITERI_K(score_rows)
            (to, d ? to : zeros, k + j * k_stride + d, k_stride, width, q, vectors, rows);
        }
    }
}

/* A tile with rows in a few vectors is worked on as a narrow one. */
#if AITERI_NARROW_VECTORS
#define AITERI_BY_VECTORS(call)           \
    if (vectors <= AITERI_NARROW_VECTORS) \
        call(AITERI_NARROW_VECTORS);      \
    else                                  \
        call(AITERI_TILE_VECTORS);
#else
#define AITERI_BY_VECTORS(call) \
    (void)vectors;              \
    call(AITERI_TILE_VECTORS);
#endif

static void AITERI_K(tile_score)(float *st, const aiteri_block_run *keys, const void *q,
                                 int32_t vectors)
{
    AITERI_ASSERT(0 <= keys->place && 0 <= keys->n && 0 < keys->dim);
    AITERI_ASSERT(keys->place + keys->n <= AITERI_TILE_KEYS && 0 < vectors);
#define AITERI_SCORE_RUN(v) AITERI_K(score_run)(st, keys, (const float *)q, v)
    AITERI_BY_VECTORS(AITERI_SCORE_RUN)
#undef AITERI_SCORE_RUN
}

AITERI_FORCE_INLINE AITERI_K(vi) AITERI_K(load_i)(const int32_t *p)
{
    AITERI_K(vi) x;
    memcpy(&x, p, sizeof x);
    return x;
}

/* Which keys the lanes of one vector see. */
typedef struct AITERI_K(range) {
    AITERI_K(vi) lo, hi, sink;
    int32_t most_sink;
} AITERI_K(range);

AITERI_FORCE_INLINE AITERI_K(range) AITERI_K(range_of)(const aiteri_lane_mask *mask, int c)
{
    AITERI_K(range) range;
    range.lo = AITERI_K(load_i)(mask->lo + c * AITERI_LANES);
    range.hi = AITERI_K(load_i)(mask->hi + c * AITERI_LANES);
    range.sink = AITERI_K(load_i)(mask->sink + c * AITERI_LANES);
    range.most_sink = mask->most_sink;
    return range;
}

/* The lanes that see their key, the first of which is j. */
AITERI_FORCE_INLINE AITERI_K(vm)
    AITERI_K(visible)(const AITERI_K(range) * range, AITERI_K(vi) key, int32_t j)
{
    const AITERI_K(vm) before_end = AITERI_K(lt_i)(key, range->hi);
    const AITERI_K(vm) inside =
        AITERI_K(and_m)(before_end, AITERI_K(not_m)(AITERI_K(lt_i)(key, range->lo)));
    if (j >= range->most_sink) return inside;
    return AITERI_K(or_m)(inside, AITERI_K(lt_i)(key, range->sink));
}

/* One vector of scores, from the one at `at` on, through all of an aiteri_adjust but the mask. */
AITERI_FORCE_INLINE AITERI_K(vf)
    AITERI_K(adjusted)(AITERI_K(vf) x, const aiteri_adjust *adjust, int32_t at, AITERI_K(vf) slope,
                       AITERI_K(vf) position, AITERI_K(vf) key)
{
    const AITERI_K(vf) hidden = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    if (adjust->factor != 1.0f) x = AITERI_K(mul)(x, AITERI_K(set1)(adjust->factor));
    if (adjust->softcap) x = AITERI_K(capped)(x, adjust->softcap);
    if (adjust->bias) { /* -infinity hides the key, whatever its score */
        const AITERI_K(vf) b = AITERI_K(load)(adjust->bias + at);
        const AITERI_K(vm) hides = AITERI_K(eq_i)(AITERI_K(as_i)(b), AITERI_K(as_i)(hidden));
        x = AITERI_K(select)(hides, hidden, AITERI_K(add)(x, b));
    }
    if (adjust->slope) {
        const AITERI_K(vf) distance = AITERI_K(abs)(AITERI_K(sub)(position, key));
        x = AITERI_K(sub)(x, AITERI_K(mul)(slope, distance));
    }
    return x;
}

static void AITERI_K(tile_adjust)(float *st, int32_t key0, int32_t n, const aiteri_adjust *adjust,
                                  int32_t vectors)
{
    const AITERI_K(vf) hidden = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    const int masked = adjust->mask != NULL; /* most often alone */
    const int more = adjust->factor != 1.0f || adjust->softcap || adjust->bias || adjust->slope;
    for (int c = 0; c < vectors; c++) {
        AITERI_K(vf) slope = AITERI_K(zero)(), position = AITERI_K(zero)();
        AITERI_K(range) range;
        memset(&range, 0, sizeof range);
        if (adjust->mask) range = AITERI_K(range_of)(adjust->mask, c);
        if (adjust->slope) {
            slope = AITERI_K(load)(adjust->slope + c * AITERI_LANES);
            position = AITERI_K(load)(adjust->position + c * AITERI_LANES);
        }
        for (int32_t j = 0; j < n; j++) {
            const int32_t at = j * AITERI_TILE_LANES + c * AITERI_LANES, key = key0 + j;
            AITERI_K(vf) x = AITERI_K(load)(st + at);
            if (more)
                x = AITERI_K(adjusted)(x, adjust, at, slope, position, AITERI_K(set1)((float)key));
            if (masked)
                x = AITERI_K(select)(AITERI_K(visible)(&range, AITERI_K(set1_i)(key), key), x,
                                     hidden);
            AITERI_K(store)(st + at, x);
        }
    }
}

static void AITERI_K(stream_adjust)(float *s, int32_t key0, const aiteri_adjust *adjust)
{
    const AITERI_K(vf) hidden = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    AITERI_K(vf) slope = AITERI_K(zero)(), position = AITERI_K(zero)();
    AITERI_K(range) range;
    memset(&range, 0, sizeof range);
    if (adjust->slope) {
        slope = AITERI_K(set1)(adjust->slope[0]);
        position = AITERI_K(set1)(adjust->position[0]);
    }
    if (adjust->mask) {
        range.lo = AITERI_K(set1_i)(adjust->mask->lo[0]);
        range.hi = AITERI_K(set1_i)(adjust->mask->hi[0]);
        range.sink = AITERI_K(set1_i)(adjust->mask->sink[0]);
        range.most_sink = adjust->mask->most_sink;
    }
    for (int32_t i = 0; i < AITERI_STREAM_KEYS; i += AITERI_LANES) {
        const AITERI_K(vi) key = AITERI_K(add_i)(AITERI_K(iota_i)(), AITERI_K(set1_i)(key0 + i));
        AITERI_K(vf)
        x = AITERI_K(adjusted)(AITERI_K(load)(s + i), adjust, i, slope, position,
                               AITERI_K(to_f)(key));
        if (adjust->mask) x = AITERI_K(select)(AITERI_K(visible)(&range, key, key0 + i), x, hidden);
        AITERI_K(store)(s + i, x);
    }
}

/* (x - m) / ln 2 in natural units, which a score has `stretch` of. */
AITERI_FORCE_INLINE AITERI_K(vf)
    AITERI_K(exponent)(AITERI_K(vf) x, AITERI_K(vf) m, const float stretch)
{
    return AITERI_K(mul)(AITERI_K(sub)(x, m), AITERI_K(set1)(1.44269504088896341f * stretch));
}

/* exp(x - m) with 0 for hidden scores; m is finite. */
AITERI_FORCE_INLINE AITERI_K(vf)
    AITERI_K(weight)(AITERI_K(vf) x, AITERI_K(vf) m, const float stretch)
{
    return AITERI_K(exp2)(AITERI_K(exponent)(x, m, stretch));
}

/* The accumulated output is rescaled only in lanes whose maximum grew by more than this (natural
 * units); elsewhere the factor is exactly 1. exp(2.07) < 8, so that weights in AITERI_TILE_UNIT
 * stay at 1 or below, and a sum of values below the sum of their magnitudes. 5.5 is no faster and
 * takes 5 more bits from subnormal values; ln 2 costs 16 % (AVX-512, Sq 2048, D 128). */
#define AITERI_RESCALE_AT 2.07f

/* Raises m where the block's maximum asks for it and rescales l and ot by the lane's own factor. */
AITERI_FORCE_INLINE void AITERI_K(raise_maximum)(AITERI_K(vf) top, float stretch, float *m,
                                                 float *l, float *ot, int32_t dim_v)
{
    const AITERI_K(vf) old = AITERI_K(load)(m);
    const AITERI_K(vm) grew =
        AITERI_K(gt)(top, AITERI_K(add)(old, AITERI_K(set1)(AITERI_RESCALE_AT / stretch)));
    if (!AITERI_K(any)(grew)) return;
    const AITERI_K(vf) raised = AITERI_K(select)(grew, top, old);
    const AITERI_K(vf) factor =
        AITERI_K(select)(grew, AITERI_K(weight)(old, raised, stretch), AITERI_K(set1)(1.0f));
    AITERI_K(store)(m, raised);
    AITERI_K(store)(l, AITERI_K(mul)(AITERI_K(load)(l), factor));
    for (int32_t d = 0; d < dim_v; d++)
        AITERI_K(store)(ot + d * AITERI_TILE_LANES,
                        AITERI_K(mul)(AITERI_K(load)(ot + d * AITERI_TILE_LANES), factor));
}

static void AITERI_K(tile_softmax)(float *st, int32_t n, float stretch, float *m, float *l,
                                   float *ot, int32_t dim_v, int32_t vectors)
{
    const AITERI_K(vf) minus_inf = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    for (int c = 0; c < vectors; c++) {
        float *column = st + c * AITERI_LANES;
        AITERI_K(vf) top = minus_inf;
        for (int32_t j = 0; j < n; j++)
            top = AITERI_K(max)(AITERI_K(load)(column + j * AITERI_TILE_LANES), top);
        AITERI_K(raise_maximum)(top, stretch, m + c * AITERI_LANES, l + c * AITERI_LANES,
                                ot + c * AITERI_LANES, dim_v);
        /* A lane that has seen no key keeps m = -inf; any finite shift gives its zeros. */
        AITERI_K(vf) shift = AITERI_K(load)(m + c * AITERI_LANES);
        shift = AITERI_K(select)(AITERI_K(gt)(shift, minus_inf), shift, AITERI_K(zero)());
        AITERI_K(vf) sum = AITERI_K(load)(l + c * AITERI_LANES);
        for (int32_t j = 0; j < n; j++) {
            const AITERI_K(vf) x = AITERI_K(load)(column + j * AITERI_TILE_LANES);
            const AITERI_K(vf) p = AITERI_K(exp2_unit)(AITERI_K(exponent)(x, shift, stretch),
                                                       AITERI_TILE_UNIT, AITERI_TILE_LEAST);
            sum = AITERI_K(add)(sum, p);
            AITERI_K(store)(column + j * AITERI_TILE_LANES, p);
        }
        AITERI_K(store)(l + c * AITERI_LANES, sum);
    }
}

/* `count` columns of V into their rows of ot. */
AITERI_FORCE_INLINE void AITERI_K(value_columns)(float *AITERI_RESTRICT ot,
                                                 const float *AITERI_RESTRICT v, int64_t v_stride,
                                                 int32_t n, const float *AITERI_RESTRICT st,
                                                 const int vectors, const int count)
{
    AITERI_K(vf) acc[AITERI_TILE_MOST];
    AITERI_UNROLL(16)
    for (int i = 0; i < count; i++) AITERI_UNROLL(16)
    for (int c = 0; c < vectors; c++)
        acc[i * vectors + c] = AITERI_K(load)(ot + i * AITERI_TILE_LANES + c * AITERI_LANES);
    AITERI_UNROLL_SOME(AITERI_TILE_STEPS)
    for (int32_t j = 0; j < n; j++, v += v_stride, st += AITERI_TILE_LANES) {
        AITERI_K(vf) p[AITERI_TILE_VECTORS];
        AITERI_UNROLL(16)
        for (int c = 0; c < vectors; c++) p[c] = AITERI_K(load)(st + c * AITERI_LANES);
        AITERI_UNROLL(16)
        for (int i = 0; i < count; i++) {
            const AITERI_K(vf) x = AITERI_K(set1)(v[i]);
            AITERI_UNROLL(16)
            for (int c = 0; c < vectors; c++)
                acc[i * vectors + c] = AITERI_K(fma)(x, p[c], acc[i * vectors + c]);
            if (vectors == AITERI_TILE_VECTORS) AITERI_TILE_NEXT(v, (acc + i * vectors));
        }
        if (vectors == AITERI_TILE_VECTORS) AITERI_TILE_NEXT(st, (acc + (count - 1) * vectors));
    }
    AITERI_UNROLL(16)
    for (int i = 0; i < count; i++) AITERI_UNROLL(16)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(ot + i * AITERI_TILE_LANES + c * AITERI_LANES, acc[i * vectors + c]);
}

AITERI_FORCE_INLINE void AITERI_K(value_run)(float *ot, const aiteri_block_run *values,
                                             const float *st, const int vectors)
{
    const int64_t v_stride = aiteri_block_stride(values->row_dim);
    const float *v = (const float *)values->block + values->place * v_stride;
    const int32_t n = values->n, dim = values->dim;
    const int rows = AITERI_TILE_GROUP(vectors);
    for (int32_t d = 0; d < dim; d += rows)
        AITERI_K(value_columns)(ot + d * AITERI_TILE_LANES, v + d, v_stride, n, st, vectors, rows);
}

static void AITERI_K(tile_value)(float *ot, const aiteri_block_run *values, float *st,
                                 int32_t vectors)
{
    AITERI_ASSERT(0 <= values->place && 0 < values->n && 0 < values->dim);
    AITERI_ASSERT(values->place + values->n <= AITERI_TILE_KEYS && 0 < vectors);
#define AITERI_VALUE_RUN(v) AITERI_K(value_run)(ot, values, st, v)
    AITERI_BY_VECTORS(AITERI_VALUE_RUN)
#undef AITERI_VALUE_RUN
}

static void AITERI_K(tile_value_guarded)(float *ot, const aiteri_block_run *values, int32_t key0,
                                         float *st, const aiteri_lane_mask *mask,
                                         const float *scores, int32_t vectors)
{
    const int64_t v_stride = aiteri_block_stride(values->row_dim);
    const float *v = (const float *)values->block + values->place * v_stride;
    const AITERI_K(vi) hidden = AITERI_K(set1_i)((int32_t)0xff800000u);
    for (int32_t d = 0; d < values->dim; d++) {
        for (int c = 0; c < vectors; c++) {
            float *at = ot + d * AITERI_TILE_LANES + c * AITERI_LANES;
            AITERI_K(vf) acc = AITERI_K(load)(at);
            const AITERI_K(range) range = AITERI_K(range_of)(mask, c);
            for (int32_t j = 0; j < values->n; j++) {
                const int32_t from = j * AITERI_TILE_LANES + c * AITERI_LANES;
                const AITERI_K(vf) p = AITERI_K(load)(st + from);
                const AITERI_K(vf) sum = AITERI_K(fma)(AITERI_K(set1)(v[j * v_stride + d]), p, acc);
                if (scores) {
                    const AITERI_K(vi) score = AITERI_K(as_i)(AITERI_K(load)(scores + from));
                    acc = AITERI_K(select)(AITERI_K(eq_i)(score, hidden), acc, sum);
                } else {
                    acc = AITERI_K(select)(
                        AITERI_K(visible)(&range, AITERI_K(set1_i)(key0 + j), key0 + j), sum, acc);
                }
            }
            AITERI_K(store)(at, acc);
        }
    }
}

static int AITERI_K(v_finite)(const aiteri_block_run *values)
{
    const int64_t stride = aiteri_block_stride(values->row_dim);
    const float *rows = (const float *)values->block + values->place * stride;
    const int32_t dim = values->dim;
    const AITERI_K(vf) inf = AITERI_K(set1)(aiteri_f32_of_bits(0x7f800000u));
    for (int32_t j = 0; j < values->n; j++) {
        const float *row = rows + j * stride;
        int32_t d = 0;
        for (; d + AITERI_LANES <= dim; d += AITERI_LANES)
            if (!AITERI_K(all)(AITERI_K(lt)(AITERI_K(abs)(AITERI_K(load)(row + d)), inf))) return 0;
        for (; d < dim; d++)
            if ((aiteri_bits_of_f32(row[d]) & 0x7fffffffu) >= 0x7f800000u) return 0;
    }
    return 1;
}
#undef AITERI_BY_VECTORS

// >>k_stream    (src/cpu/k_stream.inl.h)
/* k_stream.inl.h -- head_dim in the lanes: a few query rows against a stream of K and V rows.
 *
 * AITERI_DOT_KEYS x 4 accumulators take one converted load of each key for several query
 * rows; 4 x AITERI_AXPY_VECTORS keep a strip of the output in registers over a block of
 * keys. Every (row, key) score and every (row, dim) sum is one chain in ascending order, whatever
 * the grouping. The loads come from k_stream_types.inl.h, once per storage type. */

/* `bytes` of memory from p on. */
AITERI_FORCE_INLINE void AITERI_K(fetch)(const void *p, int32_t bytes)
{
    for (int32_t at = 0; at < bytes; at += AITERI_LINE) AITERI_PREFETCH((const char *)p + at);
}

/* Horizontal sums of acc[rows][AITERI_DOT_KEYS] into s, the same order for every one of them. */
AITERI_FORCE_INLINE void AITERI_K(store_sums)(float *s, int64_t s_stride, const AITERI_K(vf) * acc,
                                              const int rows)
{
    float sum[16];
    const int count = rows * AITERI_DOT_KEYS, last = count - 1;
#if AITERI_DOT_KEYS == 4
    if (count == 16) {
        AITERI_K(hsum16)(acc, sum);
    } else
#endif
    {
        AITERI_UNROLL(8)
        for (int i = 0; i < count; i += 4)
            AITERI_K(hsum4)(acc[i], acc[i + 1 < last ? i + 1 : last],
                            acc[i + 2 < last ? i + 2 : last], acc[i + 3 < last ? i + 3 : last],
                            sum + i);
    }
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++)
        memcpy(s + r * s_stride, sum + r * AITERI_DOT_KEYS, AITERI_DOT_KEYS * sizeof(float));
}

static float AITERI_K(stream_softmax)(float *s, float stretch, float *m, float *l)
{
    const AITERI_K(vf) minus_inf = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    AITERI_K(vf) top = minus_inf;
    for (int32_t i = 0; i < AITERI_STREAM_KEYS; i += AITERI_LANES)
        top = AITERI_K(max)(AITERI_K(load)(s + i), top);
    const float old = *m, block = AITERI_K(hmax)(top);
    const float raised = aiteri_select_f32(block > old, block, old);
    const float shift = aiteri_select_f32(raised > aiteri_f32_of_bits(0xff800000u), raised, 0.0f);
    AITERI_K(vf) sum = AITERI_K(zero)();
    for (int32_t i = 0; i < AITERI_STREAM_KEYS; i += AITERI_LANES) {
        const AITERI_K(vf) p =
            AITERI_K(weight)(AITERI_K(load)(s + i), AITERI_K(set1)(shift), stretch);
        sum = AITERI_K(add)(sum, p);
        AITERI_K(store)(s + i, p);
    }
    float factor = 1.0f;
    if (raised > old) {
        float lane[AITERI_LANES];
        AITERI_K(store)
        (lane, AITERI_K(weight)(AITERI_K(set1)(old), AITERI_K(set1)(raised), stretch));
        factor = lane[0];
    }
    *m = raised;
    *l = aiteri_rounded(*l * factor) + AITERI_K(hsum)(sum);
    return factor;
}

static void AITERI_K(stream_mul)(float *x, const float *y)
{
    for (int32_t i = 0; i < AITERI_STREAM_KEYS; i += AITERI_LANES)
        AITERI_K(store)(x + i, AITERI_K(mul)(AITERI_K(load)(x + i), AITERI_K(load)(y + i)));
}

#define AITERI_TYPE        f32
#define AITERI_TYPE_C      float
#define AITERI_TYPE_LOAD   AITERI_K(load)
#define AITERI_TYPE_LOAD_N AITERI_K(load_n)

// >>k_stream_types    (src/cpu/k_stream_types.inl.h)
/* k_stream_types.inl.h -- dot and axpy of the stream family for one storage type, named AITERI_TYPE
 * with elements AITERI_TYPE_C and the vector layer's converting loads. Stamped per type in every
 * ISA. */

#define AITERI_T(name) AITERI_K(AITERI_CAT(name, AITERI_TYPE))
#define AITERI_ROW(p)  ((const AITERI_TYPE_C *)(p))

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_T(chunk)(const void *row, int32_t d, int32_t dim)
{
    if (d + AITERI_LANES <= dim) return AITERI_TYPE_LOAD(AITERI_ROW(row) + d);
    return AITERI_TYPE_LOAD_N(AITERI_ROW(row) + d, dim - d);
}

/* The scores of `keys` keys and `rows` query rows, both constants where this is inlined. */
AITERI_FORCE_INLINE void AITERI_T(dot_block)(float *s, int64_t s_stride, const float *q,
                                             int64_t q_stride, int32_t dim, const void *const *key,
                                             const int rows)
{
    AITERI_K(vf) acc[4 * AITERI_DOT_KEYS];
    AITERI_UNROLL(16)
    for (int i = 0; i < rows * AITERI_DOT_KEYS; i++) acc[i] = AITERI_K(zero)();
    int32_t d = 0;
    for (; d + AITERI_LANES <= dim; d += AITERI_LANES) {
        AITERI_K(vf) k[AITERI_DOT_KEYS];
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) k[i] = AITERI_TYPE_LOAD(AITERI_ROW(key[i]) + d);
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            AITERI_K(vf) x = AITERI_K(load)(q + r * q_stride + d);
            AITERI_IN_REGISTER(x);
            AITERI_UNROLL(8)
            for (int i = 0; i < AITERI_DOT_KEYS; i++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(x, k[i], acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    if (d < dim) {
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) {
            const AITERI_K(vf) k = AITERI_T(chunk)(key[i], d, dim);
            AITERI_UNROLL(8)
            for (int r = 0; r < rows; r++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(AITERI_K(load)(q + r * q_stride + d),
                                                             k, acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    AITERI_K(store_sums)(s, s_stride, acc, rows);
}

/* All keys against `rows` query rows; `ahead` is NULL where it was brought already. */
AITERI_FORCE_INLINE void AITERI_T(dot_rows)(float *s, int64_t s_stride, const float *q,
                                            int64_t q_stride, int32_t dim, const void *const *keys,
                                            int32_t n, const int rows, const void *const *ahead)
{
    const int32_t bytes = dim * (int32_t)sizeof(AITERI_TYPE_C);
    for (int32_t i = 0; i < n; i += AITERI_DOT_KEYS) {
        if (ahead) {
            AITERI_UNROLL(8)
            for (int k = 0; k < AITERI_DOT_KEYS; k++) AITERI_K(fetch)(ahead[i + k], bytes);
        }
        AITERI_T(dot_block)(s + i, s_stride, q, q_stride, dim, keys + i, rows);
    }
}

static void AITERI_T(stream_dot)(float *s, int64_t s_stride, const float *q, int64_t q_stride,
                                 int32_t rows, int32_t dim, const void *const *keys, int32_t n,
                                 const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= q_stride);
    for (int32_t r = 0; r < rows; r += 4, ahead = NULL) {
        float *at = s + r * s_stride;
        const float *x = q + r * q_stride;
        switch (rows - r) {
        case 1: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 1, ahead); break;
        case 2: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 2, ahead); break;
        case 3: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 3, ahead); break;
        default: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 4, ahead); break;
        }
    }
}

/* One strip of `vectors` output vectors of `rows` rows over all keys; rows from `used` on repeat
 * the last one. */
AITERI_FORCE_INLINE void AITERI_T(axpy_strip)(float *o, int64_t o_stride, const float *p,
                                              int64_t p_stride, int32_t d, int32_t dim,
                                              const void *const *values, int32_t n,
                                              const int32_t used, const int rows, const int vectors,
                                              const void *const *ahead)
{
    int32_t row[4];
    AITERI_K(vf) acc[4][AITERI_AXPY_VECTORS];
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) {
        row[r] = r < used ? r : used - 1;
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++)
            acc[r][c] = AITERI_K(load)(o + row[r] * o_stride + d + c * AITERI_LANES);
    }
    for (int32_t i = 0; i < n; i++) {
        AITERI_UNROLL(8)
        for (int at = 0; at < vectors * AITERI_LANES;
             at += AITERI_LINE / (int)sizeof(AITERI_TYPE_C))
            AITERI_PREFETCH(AITERI_ROW(ahead[i]) + d + at);
        AITERI_K(vf) v[AITERI_AXPY_VECTORS];
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++) {
            if (vectors > 1)
                v[c] = AITERI_TYPE_LOAD(AITERI_ROW(values[i]) + d + c * AITERI_LANES);
            else
                v[c] = AITERI_T(chunk)(values[i], d, dim);
        }
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            const AITERI_K(vf) w = AITERI_K(set1)(p[row[r] * p_stride + i]);
            AITERI_UNROLL(8)
            for (int c = 0; c < vectors; c++) acc[r][c] = AITERI_K(fma)(w, v[c], acc[r][c]);
        }
    }
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) AITERI_UNROLL(8)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(o + row[r] * o_stride + d + c * AITERI_LANES, acc[r][c]);
}

/* The whole strips of up to `whole` columns. */
AITERI_FORCE_INLINE void AITERI_T(axpy_rows)(float *o, int64_t o_stride, const float *p,
                                             int64_t p_stride, int32_t whole,
                                             const void *const *values, int32_t n, const int rows,
                                             const void *const *ahead)
{
    for (int32_t d = 0; d < whole; d += AITERI_AXPY_VECTORS * AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, whole, values, n, rows, rows,
                             AITERI_AXPY_VECTORS, ahead);
}

/* The columns from `whole` on; up to four rows as four. */
AITERI_COLD void AITERI_T(axpy_rest)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                     int32_t whole, int32_t dim, const void *const *values,
                                     int32_t n, int32_t used, const void *const *ahead)
{
    for (int32_t d = whole; d < dim; d += AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, dim, values, n, used, 4, 1, ahead);
}

static void AITERI_T(stream_axpy)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                  int32_t rows, int32_t dim, const void *const *values, int32_t n,
                                  const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= o_stride);
    const int32_t strip = AITERI_AXPY_VECTORS * AITERI_LANES, whole = dim / strip * strip;
    for (int32_t r = 0; r < rows; r += 4) {
        float *at = o + r * o_stride;
        const float *w = p + r * p_stride;
        switch (rows - r) {
        case 1: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 1, ahead); break;
        case 2: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 2, ahead); break;
        case 3: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 3, ahead); break;
        default: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 4, ahead); break;
        }
        if (whole < dim)
            AITERI_T(axpy_rest)(at, o_stride, w, p_stride, whole, dim, values, n, rows - r, ahead);
    }
}

#undef AITERI_T
#undef AITERI_ROW
#undef AITERI_TYPE
#undef AITERI_TYPE_C
#undef AITERI_TYPE_LOAD
#undef AITERI_TYPE_LOAD_N
#if AITERI_STREAM_TYPES && AITERI_HAS_DECODE /* else rows of other types are widened first */
#define AITERI_TYPE        f16
#define AITERI_TYPE_C      uint16_t
#define AITERI_TYPE_LOAD   AITERI_K(load_f16)
#define AITERI_TYPE_LOAD_N AITERI_K(load_f16_n)

// >>k_stream_types    (src/cpu/k_stream_types.inl.h)
/* k_stream_types.inl.h -- dot and axpy of the stream family for one storage type, named AITERI_TYPE
 * with elements AITERI_TYPE_C and the vector layer's converting loads. Stamped per type in every
 * ISA. */

#define AITERI_T(name) AITERI_K(AITERI_CAT(name, AITERI_TYPE))
#define AITERI_ROW(p)  ((const AITERI_TYPE_C *)(p))

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_T(chunk)(const void *row, int32_t d, int32_t dim)
{
    if (d + AITERI_LANES <= dim) return AITERI_TYPE_LOAD(AITERI_ROW(row) + d);
    return AITERI_TYPE_LOAD_N(AITERI_ROW(row) + d, dim - d);
}

/* The scores of `keys` keys and `rows` query rows, both constants where this is inlined. */
AITERI_FORCE_INLINE void AITERI_T(dot_block)(float *s, int64_t s_stride, const float *q,
                                             int64_t q_stride, int32_t dim, const void *const *key,
                                             const int rows)
{
    AITERI_K(vf) acc[4 * AITERI_DOT_KEYS];
    AITERI_UNROLL(16)
    for (int i = 0; i < rows * AITERI_DOT_KEYS; i++) acc[i] = AITERI_K(zero)();
    int32_t d = 0;
    for (; d + AITERI_LANES <= dim; d += AITERI_LANES) {
        AITERI_K(vf) k[AITERI_DOT_KEYS];
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) k[i] = AITERI_TYPE_LOAD(AITERI_ROW(key[i]) + d);
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            AITERI_K(vf) x = AITERI_K(load)(q + r * q_stride + d);
            AITERI_IN_REGISTER(x);
            AITERI_UNROLL(8)
            for (int i = 0; i < AITERI_DOT_KEYS; i++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(x, k[i], acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    if (d < dim) {
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) {
            const AITERI_K(vf) k = AITERI_T(chunk)(key[i], d, dim);
            AITERI_UNROLL(8)
            for (int r = 0; r < rows; r++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(AITERI_K(load)(q + r * q_stride + d),
                                                             k, acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    AITERI_K(store_sums)(s, s_stride, acc, rows);
}

/* All keys against `rows` query rows; `ahead` is NULL where it was brought already. */
AITERI_FORCE_INLINE void AITERI_T(dot_rows)(float *s, int64_t s_stride, const float *q,
                                            int64_t q_stride, int32_t dim, const void *const *keys,
                                            int32_t n, const int rows, const void *const *ahead)
{
    const int32_t bytes = dim * (int32_t)sizeof(AITERI_TYPE_C);
    for (int32_t i = 0; i < n; i += AITERI_DOT_KEYS) {
        if (ahead) {
            AITERI_UNROLL(8)
            for (int k = 0; k < AITERI_DOT_KEYS; k++) AITERI_K(fetch)(ahead[i + k], bytes);
        }
        AITERI_T(dot_block)(s + i, s_stride, q, q_stride, dim, keys + i, rows);
    }
}

static void AITERI_T(stream_dot)(float *s, int64_t s_stride, const float *q, int64_t q_stride,
                                 int32_t rows, int32_t dim, const void *const *keys, int32_t n,
                                 const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= q_stride);
    for (int32_t r = 0; r < rows; r += 4, ahead = NULL) {
        float *at = s + r * s_stride;
        const float *x = q + r * q_stride;
        switch (rows - r) {
        case 1: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 1, ahead); break;
        case 2: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 2, ahead); break;
        case 3: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 3, ahead); break;
        default: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 4, ahead); break;
        }
    }
}

/* One strip of `vectors` output vectors of `rows` rows over all keys; rows from `used` on repeat
 * the last one. */
AITERI_FORCE_INLINE void AITERI_T(axpy_strip)(float *o, int64_t o_stride, const float *p,
                                              int64_t p_stride, int32_t d, int32_t dim,
                                              const void *const *values, int32_t n,
                                              const int32_t used, const int rows, const int vectors,
                                              const void *const *ahead)
{
    int32_t row[4];
    AITERI_K(vf) acc[4][AITERI_AXPY_VECTORS];
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) {
        row[r] = r < used ? r : used - 1;
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++)
            acc[r][c] = AITERI_K(load)(o + row[r] * o_stride + d + c * AITERI_LANES);
    }
    for (int32_t i = 0; i < n; i++) {
        AITERI_UNROLL(8)
        for (int at = 0; at < vectors * AITERI_LANES;
             at += AITERI_LINE / (int)sizeof(AITERI_TYPE_C))
            AITERI_PREFETCH(AITERI_ROW(ahead[i]) + d + at);
        AITERI_K(vf) v[AITERI_AXPY_VECTORS];
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++) {
            if (vectors > 1)
                v[c] = AITERI_TYPE_LOAD(AITERI_ROW(values[i]) + d + c * AITERI_LANES);
            else
                v[c] = AITERI_T(chunk)(values[i], d, dim);
        }
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            const AITERI_K(vf) w = AITERI_K(set1)(p[row[r] * p_stride + i]);
            AITERI_UNROLL(8)
            for (int c = 0; c < vectors; c++) acc[r][c] = AITERI_K(fma)(w, v[c], acc[r][c]);
        }
    }
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) AITERI_UNROLL(8)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(o + row[r] * o_stride + d + c * AITERI_LANES, acc[r][c]);
}

/* The whole strips of up to `whole` columns. */
AITERI_FORCE_INLINE void AITERI_T(axpy_rows)(float *o, int64_t o_stride, const float *p,
                                             int64_t p_stride, int32_t whole,
                                             const void *const *values, int32_t n, const int rows,
                                             const void *const *ahead)
{
    for (int32_t d = 0; d < whole; d += AITERI_AXPY_VECTORS * AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, whole, values, n, rows, rows,
                             AITERI_AXPY_VECTORS, ahead);
}

/* The columns from `whole` on; up to four rows as four. */
AITERI_COLD void AITERI_T(axpy_rest)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                     int32_t whole, int32_t dim, const void *const *values,
                                     int32_t n, int32_t used, const void *const *ahead)
{
    for (int32_t d = whole; d < dim; d += AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, dim, values, n, used, 4, 1, ahead);
}

static void AITERI_T(stream_axpy)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                  int32_t rows, int32_t dim, const void *const *values, int32_t n,
                                  const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= o_stride);
    const int32_t strip = AITERI_AXPY_VECTORS * AITERI_LANES, whole = dim / strip * strip;
    for (int32_t r = 0; r < rows; r += 4) {
        float *at = o + r * o_stride;
        const float *w = p + r * p_stride;
        switch (rows - r) {
        case 1: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 1, ahead); break;
        case 2: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 2, ahead); break;
        case 3: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 3, ahead); break;
        default: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 4, ahead); break;
        }
        if (whole < dim)
            AITERI_T(axpy_rest)(at, o_stride, w, p_stride, whole, dim, values, n, rows - r, ahead);
    }
}

#undef AITERI_T
#undef AITERI_ROW
#undef AITERI_TYPE
#undef AITERI_TYPE_C
#undef AITERI_TYPE_LOAD
#undef AITERI_TYPE_LOAD_N
#define AITERI_TYPE        bf16
#define AITERI_TYPE_C      uint16_t
#define AITERI_TYPE_LOAD   AITERI_K(load_bf16)
#define AITERI_TYPE_LOAD_N AITERI_K(load_bf16_n)

// >>k_stream_types    (src/cpu/k_stream_types.inl.h)
/* k_stream_types.inl.h -- dot and axpy of the stream family for one storage type, named AITERI_TYPE
 * with elements AITERI_TYPE_C and the vector layer's converting loads. Stamped per type in every
 * ISA. */

#define AITERI_T(name) AITERI_K(AITERI_CAT(name, AITERI_TYPE))
#define AITERI_ROW(p)  ((const AITERI_TYPE_C *)(p))

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_T(chunk)(const void *row, int32_t d, int32_t dim)
{
    if (d + AITERI_LANES <= dim) return AITERI_TYPE_LOAD(AITERI_ROW(row) + d);
    return AITERI_TYPE_LOAD_N(AITERI_ROW(row) + d, dim - d);
}

/* The scores of `keys` keys and `rows` query rows, both constants where this is inlined. */
AITERI_FORCE_INLINE void AITERI_T(dot_block)(float *s, int64_t s_stride, const float *q,
                                             int64_t q_stride, int32_t dim, const void *const *key,
                                             const int rows)
{
    AITERI_K(vf) acc[4 * AITERI_DOT_KEYS];
    AITERI_UNROLL(16)
    for (int i = 0; i < rows * AITERI_DOT_KEYS; i++) acc[i] = AITERI_K(zero)();
    int32_t d = 0;
    for (; d + AITERI_LANES <= dim; d += AITERI_LANES) {
        AITERI_K(vf) k[AITERI_DOT_KEYS];
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) k[i] = AITERI_TYPE_LOAD(AITERI_ROW(key[i]) + d);
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            AITERI_K(vf) x = AITERI_K(load)(q + r * q_stride + d);
            AITERI_IN_REGISTER(x);
            AITERI_UNROLL(8)
            for (int i = 0; i < AITERI_DOT_KEYS; i++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(x, k[i], acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    if (d < dim) {
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) {
            const AITERI_K(vf) k = AITERI_T(chunk)(key[i], d, dim);
            AITERI_UNROLL(8)
            for (int r = 0; r < rows; r++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(AITERI_K(load)(q + r * q_stride + d),
                                                             k, acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    AITERI_K(store_sums)(s, s_stride, acc, rows);
}

/* All keys against `rows` query rows; `ahead` is NULL where it was brought already. */
AITERI_FORCE_INLINE void AITERI_T(dot_rows)(float *s, int64_t s_stride, const float *q,
                                            int64_t q_stride, int32_t dim, const void *const *keys,
                                            int32_t n, const int rows, const void *const *ahead)
{
    const int32_t bytes = dim * (int32_t)sizeof(AITERI_TYPE_C);
    for (int32_t i = 0; i < n; i += AITERI_DOT_KEYS) {
        if (ahead) {
            AITERI_UNROLL(8)
            for (int k = 0; k < AITERI_DOT_KEYS; k++) AITERI_K(fetch)(ahead[i + k], bytes);
        }
        AITERI_T(dot_block)(s + i, s_stride, q, q_stride, dim, keys + i, rows);
    }
}

static void AITERI_T(stream_dot)(float *s, int64_t s_stride, const float *q, int64_t q_stride,
                                 int32_t rows, int32_t dim, const void *const *keys, int32_t n,
                                 const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= q_stride);
    for (int32_t r = 0; r < rows; r += 4, ahead = NULL) {
        float *at = s + r * s_stride;
        const float *x = q + r * q_stride;
        switch (rows - r) {
        case 1: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 1, ahead); break;
        case 2: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 2, ahead); break;
        case 3: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 3, ahead); break;
        default: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 4, ahead); break;
        }
    }
}

/* One strip of `vectors` output vectors of `rows` rows over all keys; rows from `used` on repeat
 * the last one. */
AITERI_FORCE_INLINE void AITERI_T(axpy_strip)(float *o, int64_t o_stride, const float *p,
                                              int64_t p_stride, int32_t d, int32_t dim,
                                              const void *const *values, int32_t n,
                                              const int32_t used, const int rows, const int vectors,
                                              const void *const *ahead)
{
    int32_t row[4];
    AITERI_K(vf) acc[4][AITERI_AXPY_VECTORS];
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) {
        row[r] = r < used ? r : used - 1;
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++)
            acc[r][c] = AITERI_K(load)(o + row[r] * o_stride + d + c * AITERI_LANES);
    }
    for (int32_t i = 0; i < n; i++) {
        AITERI_UNROLL(8)
        for (int at = 0; at < vectors * AITERI_LANES;
             at += AITERI_LINE / (int)sizeof(AITERI_TYPE_C))
            AITERI_PREFETCH(AITERI_ROW(ahead[i]) + d + at);
        AITERI_K(vf) v[AITERI_AXPY_VECTORS];
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++) {
            if (vectors > 1)
                v[c] = AITERI_TYPE_LOAD(AITERI_ROW(values[i]) + d + c * AITERI_LANES);
            else
                v[c] = AITERI_T(chunk)(values[i], d, dim);
        }
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            const AITERI_K(vf) w = AITERI_K(set1)(p[row[r] * p_stride + i]);
            AITERI_UNROLL(8)
            for (int c = 0; c < vectors; c++) acc[r][c] = AITERI_K(fma)(w, v[c], acc[r][c]);
        }
    }
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) AITERI_UNROLL(8)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(o + row[r] * o_stride + d + c * AITERI_LANES, acc[r][c]);
}

/* The whole strips of up to `whole` columns. */
AITERI_FORCE_INLINE void AITERI_T(axpy_rows)(float *o, int64_t o_stride, const float *p,
                                             int64_t p_stride, int32_t whole,
                                             const void *const *values, int32_t n, const int rows,
                                             const void *const *ahead)
{
    for (int32_t d = 0; d < whole; d += AITERI_AXPY_VECTORS * AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, whole, values, n, rows, rows,
                             AITERI_AXPY_VECTORS, ahead);
}

/* The columns from `whole` on; up to four rows as four. */
AITERI_COLD void AITERI_T(axpy_rest)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                     int32_t whole, int32_t dim, const void *const *values,
                                     int32_t n, int32_t used, const void *const *ahead)
{
    for (int32_t d = whole; d < dim; d += AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, dim, values, n, used, 4, 1, ahead);
}

static void AITERI_T(stream_axpy)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                  int32_t rows, int32_t dim, const void *const *values, int32_t n,
                                  const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= o_stride);
    const int32_t strip = AITERI_AXPY_VECTORS * AITERI_LANES, whole = dim / strip * strip;
    for (int32_t r = 0; r < rows; r += 4) {
        float *at = o + r * o_stride;
        const float *w = p + r * p_stride;
        switch (rows - r) {
        case 1: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 1, ahead); break;
        case 2: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 2, ahead); break;
        case 3: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 3, ahead); break;
        default: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 4, ahead); break;
        }
        if (whole < dim)
            AITERI_T(axpy_rest)(at, o_stride, w, p_stride, whole, dim, values, n, rows - r, ahead);
    }
}

#undef AITERI_T
#undef AITERI_ROW
#undef AITERI_TYPE
#undef AITERI_TYPE_C
#undef AITERI_TYPE_LOAD
#undef AITERI_TYPE_LOAD_N
#define AITERI_TYPE        i8
#define AITERI_TYPE_C      int8_t
#define AITERI_TYPE_LOAD   AITERI_K(load_i8)
#define AITERI_TYPE_LOAD_N AITERI_K(load_i8_n)

// >>k_stream_types    (src/cpu/k_stream_types.inl.h)
/* k_stream_types.inl.h -- dot and axpy of the stream family for one storage type, named AITERI_TYPE
 * with elements AITERI_TYPE_C and the vector layer's converting loads. Stamped per type in every
 * ISA. */

#define AITERI_T(name) AITERI_K(AITERI_CAT(name, AITERI_TYPE))
#define AITERI_ROW(p)  ((const AITERI_TYPE_C *)(p))

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_T(chunk)(const void *row, int32_t d, int32_t dim)
{
    if (d + AITERI_LANES <= dim) return AITERI_TYPE_LOAD(AITERI_ROW(row) + d);
    return AITERI_TYPE_LOAD_N(AITERI_ROW(row) + d, dim - d);
}

/* The scores of `keys` keys and `rows` query rows, both constants where this is inlined. */
AITERI_FORCE_INLINE void AITERI_T(dot_block)(float *s, int64_t s_stride, const float *q,
                                             int64_t q_stride, int32_t dim, const void *const *key,
                                             const int rows)
{
    AITERI_K(vf) acc[4 * AITERI_DOT_KEYS];
    AITERI_UNROLL(16)
    for (int i = 0; i < rows * AITERI_DOT_KEYS; i++) acc[i] = AITERI_K(zero)();
    int32_t d = 0;
    for (; d + AITERI_LANES <= dim; d += AITERI_LANES) {
        AITERI_K(vf) k[AITERI_DOT_KEYS];
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) k[i] = AITERI_TYPE_LOAD(AITERI_ROW(key[i]) + d);
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            AITERI_K(vf) x = AITERI_K(load)(q + r * q_stride + d);
            AITERI_IN_REGISTER(x);
            AITERI_UNROLL(8)
            for (int i = 0; i < AITERI_DOT_KEYS; i++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(x, k[i], acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    if (d < dim) {
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) {
            const AITERI_K(vf) k = AITERI_T(chunk)(key[i], d, dim);
            AITERI_UNROLL(8)
            for (int r = 0; r < rows; r++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(AITERI_K(load)(q + r * q_stride + d),
                                                             k, acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    AITERI_K(store_sums)(s, s_stride, acc, rows);
}

/* All keys against `rows` query rows; `ahead` is NULL where it was brought already. */
AITERI_FORCE_INLINE void AITERI_T(dot_rows)(float *s, int64_t s_stride, const float *q,
                                            int64_t q_stride, int32_t dim, const void *const *keys,
                                            int32_t n, const int rows, const void *const *ahead)
{
    const int32_t bytes = dim * (int32_t)sizeof(AITERI_TYPE_C);
    for (int32_t i = 0; i < n; i += AITERI_DOT_KEYS) {
        if (ahead) {
            AITERI_UNROLL(8)
            for (int k = 0; k < AITERI_DOT_KEYS; k++) AITERI_K(fetch)(ahead[i + k], bytes);
        }
        AITERI_T(dot_block)(s + i, s_stride, q, q_stride, dim, keys + i, rows);
    }
}

static void AITERI_T(stream_dot)(float *s, int64_t s_stride, const float *q, int64_t q_stride,
                                 int32_t rows, int32_t dim, const void *const *keys, int32_t n,
                                 const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= q_stride);
    for (int32_t r = 0; r < rows; r += 4, ahead = NULL) {
        float *at = s + r * s_stride;
        const float *x = q + r * q_stride;
        switch (rows - r) {
        case 1: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 1, ahead); break;
        case 2: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 2, ahead); break;
        case 3: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 3, ahead); break;
        default: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 4, ahead); break;
        }
    }
}

/* One strip of `vectors` output vectors of `rows` rows over all keys; rows from `used` on repeat
 * the last one. */
AITERI_FORCE_INLINE void AITERI_T(axpy_strip)(float *o, int64_t o_stride, const float *p,
                                              int64_t p_stride, int32_t d, int32_t dim,
                                              const void *const *values, int32_t n,
                                              const int32_t used, const int rows, const int vectors,
                                              const void *const *ahead)
{
    int32_t row[4];
    AITERI_K(vf) acc[4][AITERI_AXPY_VECTORS];
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) {
        row[r] = r < used ? r : used - 1;
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++)
            acc[r][c] = AITERI_K(load)(o + row[r] * o_stride + d + c * AITERI_LANES);
    }
    for (int32_t i = 0; i < n; i++) {
        AITERI_UNROLL(8)
        for (int at = 0; at < vectors * AITERI_LANES;
             at += AITERI_LINE / (int)sizeof(AITERI_TYPE_C))
            AITERI_PREFETCH(AITERI_ROW(ahead[i]) + d + at);
        AITERI_K(vf) v[AITERI_AXPY_VECTORS];
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++) {
            if (vectors > 1)
                v[c] = AITERI_TYPE_LOAD(AITERI_ROW(values[i]) + d + c * AITERI_LANES);
            else
                v[c] = AITERI_T(chunk)(values[i], d, dim);
        }
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            const AITERI_K(vf) w = AITERI_K(set1)(p[row[r] * p_stride + i]);
            AITERI_UNROLL(8)
            for (int c = 0; c < vectors; c++) acc[r][c] = AITERI_K(fma)(w, v[c], acc[r][c]);
        }
    }
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) AITERI_UNROLL(8)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(o + row[r] * o_stride + d + c * AITERI_LANES, acc[r][c]);
}

/* The whole strips of up to `whole` columns. */
AITERI_FORCE_INLINE void AITERI_T(axpy_rows)(float *o, int64_t o_stride, const float *p,
                                             int64_t p_stride, int32_t whole,
                                             const void *const *values, int32_t n, const int rows,
                                             const void *const *ahead)
{
    for (int32_t d = 0; d < whole; d += AITERI_AXPY_VECTORS * AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, whole, values, n, rows, rows,
                             AITERI_AXPY_VECTORS, ahead);
}

/* The columns from `whole` on; up to four rows as four. */
AITERI_COLD void AITERI_T(axpy_rest)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                     int32_t whole, int32_t dim, const void *const *values,
                                     int32_t n, int32_t used, const void *const *ahead)
{
    for (int32_t d = whole; d < dim; d += AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, dim, values, n, used, 4, 1, ahead);
}

static void AITERI_T(stream_axpy)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                  int32_t rows, int32_t dim, const void *const *values, int32_t n,
                                  const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= o_stride);
    const int32_t strip = AITERI_AXPY_VECTORS * AITERI_LANES, whole = dim / strip * strip;
    for (int32_t r = 0; r < rows; r += 4) {
        float *at = o + r * o_stride;
        const float *w = p + r * p_stride;
        switch (rows - r) {
        case 1: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 1, ahead); break;
        case 2: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 2, ahead); break;
        case 3: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 3, ahead); break;
        default: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 4, ahead); break;
        }
        if (whole < dim)
            AITERI_T(axpy_rest)(at, o_stride, w, p_stride, whole, dim, values, n, rows - r, ahead);
    }
}

#undef AITERI_T
#undef AITERI_ROW
#undef AITERI_TYPE
#undef AITERI_TYPE_C
#undef AITERI_TYPE_LOAD
#undef AITERI_TYPE_LOAD_N
#endif

#if AITERI_STREAM_TYPES && AITERI_HAS_DECODE
#define AITERI_K_TYPED(name) AITERI_K(name)
#else
#define AITERI_K_TYPED(name) NULL
#endif

/* In the order of aiter_dtype. */
static const aiteri_dot_fn AITERI_K(stream_dot)[AITER_DTYPE_COUNT] = {
    NULL,
    AITERI_K(stream_dot_f32),
    AITERI_K_TYPED(stream_dot_f16),
    AITERI_K_TYPED(stream_dot_bf16),
    NULL,
    NULL,
    NULL,
    AITERI_K_TYPED(stream_dot_i8),
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL};
static const aiteri_axpy_fn AITERI_K(stream_axpy)[AITER_DTYPE_COUNT] = {
    NULL,
    AITERI_K(stream_axpy_f32),
    AITERI_K_TYPED(stream_axpy_f16),
    AITERI_K_TYPED(stream_axpy_bf16),
    NULL,
    NULL,
    NULL,
    AITERI_K_TYPED(stream_axpy_i8),
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL};
#else
#define AITERI_TILE_LANES AITERI_LANES
#endif

static const aiteri_kernels AITERI_K(kernels) = {AITERI_K_NAME,
                                                 AITERI_K_ISA,
                                                 AITERI_K_NEEDS,
                                                 AITERI_K_BELOW,
                                                 NULL,
                                                 AITERI_LANES,
                                                 AITERI_TILE_LANES,
                                                 AITERI_F32_FORMAT,
                                                 AITERI_BLOCK_ENTRIES(AITERI_K),
                                                 AITERI_OTHER_ENTRIES(AITERI_K)};

#undef AITERI_K
#undef AITERI_K_NAME
#undef AITERI_K_ISA
#undef AITERI_K_NEEDS
#undef AITERI_K_BELOW
#undef AITERI_LANES
#undef AITERI_TILE_LANES
#undef AITERI_TILE_VECTORS
#undef AITERI_TILE_ROWS
#undef AITERI_NARROW_VECTORS
#undef AITERI_NARROW_ROWS
#undef AITERI_TILE_GROUP
#undef AITERI_TILE_MOST
#undef AITERI_TILE_CHUNK
#undef AITERI_TILE_STEPS
#undef AITERI_TILE_NEXT
#undef AITERI_DOT_KEYS
#undef AITERI_AXPY_VECTORS
#undef AITERI_STREAM_TYPES
#undef AITERI_CONVERTS
#undef AITERI_CONVERT_OF
#undef AITERI_K_TYPED
#undef AITERI_RESCALE_AT

#if AITERI_X86
AITERI_TARGET_BEGIN(AITERI_TARGET_AVX2)
#define AITERI_K(name)        AITERI_CAT(aiteri_avx2, name)
#define AITERI_K_NAME         "avx2"
#define AITERI_K_ISA          AITER_ISA_AVX2
#define AITERI_K_NEEDS        AITERI_CPU_AVX2
#define AITERI_K_BELOW        &aiteri_scalar_kernels
#define AITERI_TILE_VECTORS   3
#define AITERI_TILE_NEXT      AITERI_NOT_BEFORE_3
#define AITERI_TILE_ROWS      4
#define AITERI_NARROW_VECTORS 2
#define AITERI_NARROW_ROWS    6
#define AITERI_TILE_STEPS     2
#define AITERI_DOT_KEYS       2
#define AITERI_AXPY_VECTORS   2
#define AITERI_STREAM_TYPES   1
#define AITERI_CONVERTS       1

// >>simd_avx2    (src/cpu/simd_avx2.h)
/* simd_avx2.h -- the vector layer on AVX2, FMA and F16C: eight lanes. simd_scalar.h says what each
 * function means. */
typedef __m256 AITERI_K(vf);
typedef __m256i AITERI_K(vi);
typedef __m256 AITERI_K(vm); /* all bits of a lane set, or none */
#define AITERI_LANES 8

AITERI_FORCE_INLINE __m256 AITERI_K(zero)(void) { return _mm256_setzero_ps(); }
AITERI_FORCE_INLINE __m256 AITERI_K(set1)(float x) { return _mm256_set1_ps(x); }
AITERI_FORCE_INLINE __m256 AITERI_K(iota)(void)
{
    return _mm256_setr_ps(0.0f, 1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f, 7.0f);
}

AITERI_FORCE_INLINE __m256i AITERI_K(set1_i)(int32_t x) { return _mm256_set1_epi32(x); }
AITERI_FORCE_INLINE __m256i AITERI_K(iota_i)(void)
{
    return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
}
AITERI_FORCE_INLINE __m256i AITERI_K(add_i)(__m256i a, __m256i b) { return _mm256_add_epi32(a, b); }
AITERI_FORCE_INLINE __m256i AITERI_K(sub_i)(__m256i a, __m256i b) { return _mm256_sub_epi32(a, b); }
AITERI_FORCE_INLINE __m256i AITERI_K(and_i)(__m256i a, __m256i b) { return _mm256_and_si256(a, b); }
AITERI_FORCE_INLINE __m256i AITERI_K(or_i)(__m256i a, __m256i b) { return _mm256_or_si256(a, b); }
AITERI_FORCE_INLINE __m256i AITERI_K(shl_i)(__m256i a, int n) { return _mm256_slli_epi32(a, n); }
AITERI_FORCE_INLINE __m256i AITERI_K(shr_i)(__m256i a, int n) { return _mm256_srli_epi32(a, n); }
AITERI_FORCE_INLINE __m256 AITERI_K(lt_i)(__m256i a, __m256i b)
{
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(b, a));
}
AITERI_FORCE_INLINE __m256 AITERI_K(eq_i)(__m256i a, __m256i b)
{
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(a, b));
}
AITERI_FORCE_INLINE __m256i AITERI_K(select_i)(__m256 m, __m256i a, __m256i b)
{
    return _mm256_blendv_epi8(b, a, _mm256_castps_si256(m));
}
AITERI_FORCE_INLINE __m256i AITERI_K(to_i)(__m256 a) { return _mm256_cvtps_epi32(a); }
AITERI_FORCE_INLINE __m256 AITERI_K(to_f)(__m256i a) { return _mm256_cvtepi32_ps(a); }
AITERI_FORCE_INLINE __m256i AITERI_K(as_i)(__m256 a) { return _mm256_castps_si256(a); }
AITERI_FORCE_INLINE __m256 AITERI_K(as_f)(__m256i a) { return _mm256_castsi256_ps(a); }

AITERI_FORCE_INLINE __m256i AITERI_K(first)(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), AITERI_K(iota_i)());
}
AITERI_FORCE_INLINE __m256 AITERI_K(load)(const float *p) { return _mm256_loadu_ps(p); }
AITERI_FORCE_INLINE void AITERI_K(store)(float *p, __m256 x) { _mm256_storeu_ps(p, x); }
AITERI_FORCE_INLINE __m256 AITERI_K(load_n)(const float *p, int n)
{
    return _mm256_maskload_ps(p, AITERI_K(first)(n));
}
AITERI_FORCE_INLINE void AITERI_K(store_n)(float *p, __m256 x, int n)
{
    _mm256_maskstore_ps(p, AITERI_K(first)(n), x);
}

AITERI_FORCE_INLINE __m256 AITERI_K(fma)(__m256 a, __m256 b, __m256 c)
{
    return AITERI_VECTOR_FMA(_mm256_fmadd_ps, a, b, c);
}
AITERI_FORCE_INLINE __m256 AITERI_K(add)(__m256 a, __m256 b)
{
    return AITERI_VECTOR_OP(_mm256_add_ps, a, +, b);
}
AITERI_FORCE_INLINE __m256 AITERI_K(sub)(__m256 a, __m256 b)
{
    return AITERI_VECTOR_OP(_mm256_sub_ps, a, -, b);
}
AITERI_FORCE_INLINE __m256 AITERI_K(mul)(__m256 a, __m256 b)
{
    __m256 product = AITERI_VECTOR_OP(_mm256_mul_ps, a, *, b);
    AITERI_FENCE_PRODUCT(product);
    return product;
}
AITERI_FORCE_INLINE __m256 AITERI_K(div)(__m256 a, __m256 b)
{
    return AITERI_VECTOR_OP(_mm256_div_ps, a, /, b);
}
AITERI_FORCE_INLINE __m256 AITERI_K(max)(__m256 a, __m256 b) { return _mm256_max_ps(a, b); }
AITERI_FORCE_INLINE __m256 AITERI_K(min)(__m256 a, __m256 b) { return _mm256_min_ps(a, b); }
AITERI_FORCE_INLINE __m256 AITERI_K(abs)(__m256 a)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}
AITERI_FORCE_INLINE __m256 AITERI_K(copysign)(__m256 a, __m256 b)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return _mm256_or_ps(_mm256_andnot_ps(sign, a), _mm256_and_ps(sign, b));
}
AITERI_FORCE_INLINE __m256 AITERI_K(round)(__m256 a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
AITERI_FORCE_INLINE __m256 AITERI_K(scale2)(__m256 a, __m256 n)
{
    const __m256i e = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), e));
}
AITERI_FORCE_INLINE __m256 AITERI_K(ldexp)(__m256 a, __m256 n)
{
    const __m256 one = _mm256_set1_ps(1.0f);
    const __m256i i = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(i, 1);
    const __m256i rest = _mm256_sub_epi32(i, half);
    const __m256i bits = _mm256_castps_si256(one);
    a = AITERI_K(mul)(a, _mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_slli_epi32(half, 23))));
    return AITERI_K(mul)(a,
                         _mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_slli_epi32(rest, 23))));
}

AITERI_FORCE_INLINE __m256 AITERI_K(lt)(__m256 a, __m256 b)
{
    return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}
AITERI_FORCE_INLINE __m256 AITERI_K(gt)(__m256 a, __m256 b)
{
    return _mm256_cmp_ps(a, b, _CMP_GT_OQ);
}
AITERI_FORCE_INLINE __m256 AITERI_K(nlt)(__m256 a, __m256 b)
{
    return _mm256_cmp_ps(a, b, _CMP_NLT_UQ);
}
AITERI_FORCE_INLINE __m256 AITERI_K(and_m)(__m256 a, __m256 b) { return _mm256_and_ps(a, b); }
AITERI_FORCE_INLINE __m256 AITERI_K(or_m)(__m256 a, __m256 b) { return _mm256_or_ps(a, b); }
AITERI_FORCE_INLINE __m256 AITERI_K(not_m)(__m256 a)
{
    return _mm256_xor_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(-1)));
}
AITERI_FORCE_INLINE int AITERI_K(any)(__m256 m) { return _mm256_movemask_ps(m) != 0; }
AITERI_FORCE_INLINE int AITERI_K(all)(__m256 m) { return _mm256_movemask_ps(m) == 0xff; }
AITERI_FORCE_INLINE __m256 AITERI_K(select)(__m256 m, __m256 a, __m256 b)
{
    return _mm256_blendv_ps(b, a, m);
}
AITERI_FORCE_INLINE __m256 AITERI_K(keep)(__m256 m, __m256 a) { return _mm256_and_ps(m, a); }

/* Sums of four vectors inside each half; hsum adds in the same order. */
AITERI_FORCE_INLINE __m256 AITERI_K(fold4)(__m256 a, __m256 b, __m256 c, __m256 d)
{
    const __m256 ab =
        AITERI_K(add)(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)); /* a02 b02 a13 b13 */
    const __m256 cd = AITERI_K(add)(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
    return AITERI_K(add)(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
}
AITERI_FORCE_INLINE void AITERI_K(hsum4)(__m256 a, __m256 b, __m256 c, __m256 d, float *out)
{
    const __m256 s = AITERI_K(fold4)(a, b, c, d);
    _mm_storeu_ps(out, AITERI_VECTOR_OP(_mm_add_ps, _mm256_castps256_ps128(s), +,
                                        _mm256_extractf128_ps(s, 1)));
}
AITERI_FORCE_INLINE void AITERI_K(hsum16)(const __m256 *v, float *out)
{
    for (int i = 0; i < 16; i += 4) AITERI_K(hsum4)(v[i], v[i + 1], v[i + 2], v[i + 3], out + i);
}
AITERI_FORCE_INLINE float AITERI_K(hsum)(__m256 a)
{
    const __m256 t = AITERI_K(add)(a, _mm256_permute_ps(a, 0x4e));
    const __m256 s = AITERI_K(add)(t, _mm256_permute_ps(t, 0xb1));
    return _mm_cvtss_f32(
        AITERI_VECTOR_OP(_mm_add_ps, _mm256_castps256_ps128(s), +, _mm256_extractf128_ps(s, 1)));
}
AITERI_FORCE_INLINE float AITERI_K(hmax)(__m256 a)
{
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}

AITERI_FORCE_INLINE __m256 AITERI_K(load_half)(const float *p, int64_t ld)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + 4 * ld),
                                1);
}
AITERI_COLD void AITERI_K(transpose)(const float *src, int64_t ld_src, float *dst, int64_t ld_dst)
{
    AITERI_UNROLL(2)
    for (int h = 0; h < 2; h++) { /* columns 4h to 4h+3; halves hold rows i and i+4 */
        const __m256 a = AITERI_K(load_half)(src + 4 * h, ld_src);
        const __m256 b = AITERI_K(load_half)(src + 4 * h + ld_src, ld_src);
        const __m256 c = AITERI_K(load_half)(src + 4 * h + 2 * ld_src, ld_src);
        const __m256 d = AITERI_K(load_half)(src + 4 * h + 3 * ld_src, ld_src);
        const __m256 ab0 = _mm256_unpacklo_ps(a, b), ab2 = _mm256_unpackhi_ps(a, b);
        const __m256 cd0 = _mm256_unpacklo_ps(c, d), cd2 = _mm256_unpackhi_ps(c, d);
        float *out = dst + 4 * h * ld_dst;
        _mm256_storeu_ps(out, _mm256_shuffle_ps(ab0, cd0, 0x44));
        _mm256_storeu_ps(out + ld_dst, _mm256_shuffle_ps(ab0, cd0, 0xee));
        _mm256_storeu_ps(out + 2 * ld_dst, _mm256_shuffle_ps(ab2, cd2, 0x44));
        _mm256_storeu_ps(out + 3 * ld_dst, _mm256_shuffle_ps(ab2, cd2, 0xee));
    }
}

/* The first n of sixteen bytes; short rows go through a copy so that no byte past n is touched. */
AITERI_FORCE_INLINE __m128i AITERI_K(load_bytes)(const void *p, int bytes)
{
    uint8_t tail[16] = {0};
    memcpy(tail, p, (size_t)bytes);
    return _mm_loadu_si128((const __m128i *)(const void *)tail);
}
AITERI_FORCE_INLINE void AITERI_K(store_bytes)(void *p, __m128i x, int bytes)
{
    uint8_t tail[16];
    _mm_storeu_si128((__m128i *)(void *)tail, x);
    memcpy(p, tail, (size_t)bytes);
}
AITERI_FORCE_INLINE __m128i AITERI_K(load_x16)(const uint16_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}
AITERI_FORCE_INLINE __m256 AITERI_K(expand_bf16)(__m128i x)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
}
AITERI_FORCE_INLINE __m256 AITERI_K(expand_i8)(__m128i x)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(x));
}
AITERI_FORCE_INLINE __m256 AITERI_K(load_f16)(const uint16_t *p)
{
    return _mm256_cvtph_ps(AITERI_K(load_x16)(p));
}
AITERI_FORCE_INLINE __m256 AITERI_K(load_f16_n)(const uint16_t *p, int n)
{
    return _mm256_cvtph_ps(AITERI_K(load_bytes)(p, 2 * n));
}
AITERI_FORCE_INLINE __m256 AITERI_K(load_bf16)(const uint16_t *p)
{
    return AITERI_K(expand_bf16)(AITERI_K(load_x16)(p));
}
AITERI_FORCE_INLINE __m256 AITERI_K(load_bf16_n)(const uint16_t *p, int n)
{
    return AITERI_K(expand_bf16)(AITERI_K(load_bytes)(p, 2 * n));
}
AITERI_FORCE_INLINE __m256 AITERI_K(load_i8)(const int8_t *p)
{
    return AITERI_K(expand_i8)(_mm_loadl_epi64((const __m128i *)(const void *)p));
}
AITERI_FORCE_INLINE __m256 AITERI_K(load_i8_n)(const int8_t *p, int n)
{
    return AITERI_K(expand_i8)(AITERI_K(load_bytes)(p, n));
}
AITERI_FORCE_INLINE __m256 AITERI_K(load_e5m2_raw)(const uint8_t *p)
{
    const __m128i x = _mm_loadl_epi64((const __m128i *)(const void *)p);
    return _mm256_cvtph_ps(_mm_unpacklo_epi8(_mm_setzero_si128(), x));
}
AITERI_FORCE_INLINE __m256 AITERI_K(load_e4m3_raw)(const uint8_t *p)
{
    const __m128i x = _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)p));
    return _mm256_cvtph_ps(
        _mm_and_si128(_mm_slli_epi16(x, 7), _mm_set1_epi16((int16_t)(uint16_t)0xbf80)));
}

/* The low halves of eight 32-bit lanes, none above 0xffff. */
AITERI_FORCE_INLINE __m128i AITERI_K(pack_x16)(__m256i x)
{
    return _mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
}
AITERI_FORCE_INLINE __m128i AITERI_K(pack_f16)(__m256 x)
{
    return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
AITERI_FORCE_INLINE void AITERI_K(store_x16)(uint16_t *p, __m256i x)
{
    _mm_storeu_si128((__m128i *)(void *)p, AITERI_K(pack_x16)(x));
}
AITERI_FORCE_INLINE void AITERI_K(store_x16_n)(uint16_t *p, __m256i x, int n)
{
    AITERI_K(store_bytes)(p, AITERI_K(pack_x16)(x), 2 * n);
}
AITERI_FORCE_INLINE void AITERI_K(store_x8)(uint8_t *p, __m256i x)
{
    const __m128i y = AITERI_K(pack_x16)(x);
    _mm_storel_epi64((__m128i *)(void *)p, _mm_packus_epi16(y, y));
}
AITERI_FORCE_INLINE void AITERI_K(store_f16)(uint16_t *p, __m256 x)
{
    _mm_storeu_si128((__m128i *)(void *)p, AITERI_K(pack_f16)(x));
}
AITERI_FORCE_INLINE void AITERI_K(store_f16_n)(uint16_t *p, __m256 x, int n)
{
    AITERI_K(store_bytes)(p, AITERI_K(pack_f16)(x), 2 * n);
}

// >>k_all    (src/cpu/k_all.inl.h)
/* k_all.inl.h -- one kernel set: the templates in order, the table that lists them, and the
 * clean-up. */

// >>k_math    (src/cpu/k_math.inl.h)
/* k_math.inl.h -- exp2 and tanh of a vector and rounding stores to bfloat16, written once over the
 * vector layer. */

/* 2^x times `unit`, a constant power of two that costs nothing; 2^least * unit is the smallest
 * normal number. Error below 0.8 ulp (1.1 without FMA); exact at integers; x < least gives an exact
 * zero, never a subnormal, which would slow every operation after it; 128 and above give infinity
 * if unit is 1; NaN stays NaN. 2^x = 2^n 2^f with |f| <= 1/2 and a minimax polynomial for 2^f that
 * is exact at 0. */
AITERI_FORCE_INLINE AITERI_K(vf)
    AITERI_K(exp2_unit)(AITERI_K(vf) x, const float unit, const float least)
{
    const AITERI_K(vm) live = AITERI_K(nlt)(x, AITERI_K(set1)(least));
    x = AITERI_K(min)(AITERI_K(set1)(128.0f), x);
    const AITERI_K(vf) n = AITERI_K(round)(x);
    const AITERI_K(vf) f = AITERI_K(sub)(x, n);
    AITERI_K(vf) p = AITERI_K(set1)(1.53264686e-4f * unit);
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(1.33908063e-3f * unit));
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(9.61850584e-3f * unit));
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(5.55035993e-2f * unit));
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(0.240226477f * unit));
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(0.693147182f * unit));
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(unit));
    return AITERI_K(keep)(live, AITERI_K(scale2)(p, n));
}

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(exp2)(AITERI_K(vf) x)
{
    return AITERI_K(exp2_unit)(x, 1.0f, -126.0f);
}

/* tanh(x), relative error below 2 ulp everywhere: an odd polynomial near zero, where the other form
 * would cancel, and 1 - 2 / (e^2|x| + 1) beyond. */
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(tanh)(AITERI_K(vf) x)
{
    const AITERI_K(vf) one = AITERI_K(set1)(1.0f);
    const AITERI_K(vf) a = AITERI_K(abs)(x);
    const AITERI_K(vf) u = AITERI_K(mul)(a, a);
    AITERI_K(vf) p = AITERI_K(set1)(-5.6922962e-3f);
    p = AITERI_K(fma)(p, u, AITERI_K(set1)(2.06281673e-2f));
    p = AITERI_K(fma)(p, u, AITERI_K(set1)(-5.37365153e-2f));
    p = AITERI_K(fma)(p, u, AITERI_K(set1)(0.133314058f));
    p = AITERI_K(fma)(p, u, AITERI_K(set1)(-0.333332807f));
    p = AITERI_K(fma)(AITERI_K(mul)(p, u), a, a);
    const AITERI_K(vf) y =
        AITERI_K(mul)(AITERI_K(min)(AITERI_K(set1)(10.0f), a), AITERI_K(set1)(2.88539008f));
    const AITERI_K(vf) e = AITERI_K(add)(AITERI_K(exp2)(y), one);
    const AITERI_K(vf) big = AITERI_K(sub)(one, AITERI_K(div)(AITERI_K(set1)(2.0f), e));
    const AITERI_K(vm) near_zero = AITERI_K(lt)(a, AITERI_K(set1)(0.625f));
    return AITERI_K(copysign)(AITERI_K(select)(near_zero, p, big), x);
}

/* A score under a softcap. */
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(capped)(AITERI_K(vf) x, const aiteri_softcap *softcap)
{
    const AITERI_K(vf) cap = AITERI_K(set1)(softcap->cap);
    AITERI_K(vf) share = x;
    if (softcap->wide)
        share = AITERI_K(mul)(AITERI_K(mul)(x, AITERI_K(set1)(softcap->before)),
                              AITERI_K(set1)(softcap->inverse));
    const AITERI_K(vf) y = AITERI_K(mul)(cap, AITERI_K(tanh)(share));
    if (!softcap->wide) return y;
    const AITERI_K(vm) unseen =
        AITERI_K(lt)(AITERI_K(abs)(share), AITERI_K(set1)(1.220703125e-4f)); /* 2^-13 */
    return AITERI_K(select)(unseen, x, y);
}

/* Bits of x as bfloat16: to nearest even, overflow to infinity, NaN kept and made quiet. */
AITERI_FORCE_INLINE AITERI_K(vi) AITERI_K(bf16_bits)(AITERI_K(vf) x)
{
    const AITERI_K(vi) u = AITERI_K(as_i)(x);
    const AITERI_K(vi) high = AITERI_K(shr_i)(u, 16);
    const AITERI_K(vi) odd = AITERI_K(and_i)(high, AITERI_K(set1_i)(1));
    const AITERI_K(vi) up = AITERI_K(add_i)(AITERI_K(add_i)(u, AITERI_K(set1_i)(0x7fff)), odd);
    const AITERI_K(vm) nan = AITERI_K(lt_i)(AITERI_K(set1_i)(0x7f800000),
                                            AITERI_K(and_i)(u, AITERI_K(set1_i)(0x7fffffff)));
    return AITERI_K(select_i)(nan, AITERI_K(or_i)(high, AITERI_K(set1_i)(0x40)),
                              AITERI_K(shr_i)(up, 16));
}

AITERI_FORCE_INLINE void AITERI_K(store_bf16)(uint16_t *p, AITERI_K(vf) x)
{
    AITERI_K(store_x16)(p, AITERI_K(bf16_bits)(x));
}

AITERI_FORCE_INLINE void AITERI_K(store_bf16_n)(uint16_t *p, AITERI_K(vf) x, int n)
{
    AITERI_K(store_x16_n)(p, AITERI_K(bf16_bits)(x), n);
}

// >>k_convert    (src/cpu/k_convert.inl.h)
/* k_convert.inl.h -- rows of any storage type to f32 and back, the same bits as dtype.c, written
 * once over the vector layer. n counts elements; an I4 or F4 row starts at a whole byte. */

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_f8_e4m3fn)(const uint8_t *p)
{
    const AITERI_K(vf) raw = AITERI_K(load_e4m3_raw)(p);
    const AITERI_K(vi) u = AITERI_K(as_i)(AITERI_K(mul)(raw, AITERI_K(set1)(256.0f)));
    const AITERI_K(vm) nan = AITERI_K(gt)(AITERI_K(abs)(raw), AITERI_K(set1)(1.75f));
    const AITERI_K(vi) all_ones = AITERI_K(or_i)(u, AITERI_K(set1_i)(0x7ff00000));
    return AITERI_K(as_f)(AITERI_K(select_i)(nan, all_ones, u));
}

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_f8_e4m3fnuz)(const uint8_t *p)
{
    const AITERI_K(vf) raw = AITERI_K(load_e4m3_raw)(p);
    const AITERI_K(vi) u = AITERI_K(as_i)(AITERI_K(mul)(raw, AITERI_K(set1)(128.0f)));
    const AITERI_K(vm) minus_zero = AITERI_K(eq_i)(u, AITERI_K(set1_i)(INT32_MIN));
    const AITERI_K(vi) nan = AITERI_K(set1_i)(INT32_MIN | 0x7fc00000);
    return AITERI_K(as_f)(AITERI_K(select_i)(minus_zero, nan, u));
}

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_f8_e5m2)(const uint8_t *p)
{
    return AITERI_K(load_e5m2_raw)(p);
}

AITERI_FORCE_INLINE AITERI_K(vi) AITERI_K(magnitude_bits)(AITERI_K(vf) x)
{
    return AITERI_K(and_i)(AITERI_K(as_i)(x), AITERI_K(set1_i)(0x7fffffff));
}
AITERI_FORCE_INLINE AITERI_K(vm) AITERI_K(is_nan)(AITERI_K(vf) x)
{
    return AITERI_K(lt_i)(AITERI_K(set1_i)(0x7f800000), AITERI_K(magnitude_bits)(x));
}
AITERI_FORCE_INLINE AITERI_K(vi) AITERI_K(f8_sign)(AITERI_K(vf) x)
{
    return AITERI_K(and_i)(AITERI_K(shr_i)(AITERI_K(as_i)(x), 24), AITERI_K(set1_i)(0x80));
}

/* |x| as a float with so many mantissa bits and that bias, at most `max`. Subnormals come from a
 * sum with the number whose last bit is worth one step: it is normal, so flushing has no hold on
 * it. */
AITERI_FORCE_INLINE AITERI_K(vi)
    AITERI_K(f8_magnitude)(AITERI_K(vf) x, const int mantissa, const int bias, const int32_t max)
{
    const int drop = 23 - mantissa, rebias = 127 - bias;
    const int32_t half = (1 << (drop - 1)) - 1, base = rebias << mantissa;
    const AITERI_K(vi) a = AITERI_K(magnitude_bits)(x);
    const AITERI_K(vi) odd = AITERI_K(and_i)(AITERI_K(shr_i)(a, drop), AITERI_K(set1_i)(1));
    const AITERI_K(vi) up = AITERI_K(add_i)(AITERI_K(add_i)(a, AITERI_K(set1_i)(half)), odd);
    const AITERI_K(vi) normal = AITERI_K(sub_i)(AITERI_K(shr_i)(up, drop), AITERI_K(set1_i)(base));
    const AITERI_K(vi) magic = AITERI_K(set1_i)((rebias + 1 + drop) << 23);
    const AITERI_K(vf) sum = AITERI_K(add)(AITERI_K(as_f)(a), AITERI_K(as_f)(magic));
    const AITERI_K(vi) small = AITERI_K(sub_i)(AITERI_K(as_i)(sum), magic);
    const AITERI_K(vm) is_small = AITERI_K(lt_i)(a, AITERI_K(set1_i)((rebias + 1) << 23));
    const AITERI_K(vi) code = AITERI_K(select_i)(is_small, small, normal);
    const AITERI_K(vi) top = AITERI_K(set1_i)(max);
    return AITERI_K(select_i)(AITERI_K(lt_i)(top, code), top, code);
}

AITERI_FORCE_INLINE void AITERI_K(store_f8_e4m3fn)(uint8_t *p, AITERI_K(vf) x)
{
    const AITERI_K(vi) code = AITERI_K(f8_magnitude)(x, 3, 7, 0x7e);
    const AITERI_K(vi) kept = AITERI_K(select_i)(AITERI_K(is_nan)(x), AITERI_K(set1_i)(0x7f), code);
    AITERI_K(store_x8)(p, AITERI_K(or_i)(kept, AITERI_K(f8_sign)(x)));
}

AITERI_FORCE_INLINE void AITERI_K(store_f8_e4m3fnuz)(uint8_t *p, AITERI_K(vf) x)
{
    const AITERI_K(vi) zero = AITERI_K(set1_i)(0);
    const AITERI_K(vi) code = AITERI_K(f8_magnitude)(x, 3, 8, 0x7f);
    const AITERI_K(vi) value = AITERI_K(select_i)(AITERI_K(eq_i)(code, zero), zero,
                                                  AITERI_K(or_i)(code, AITERI_K(f8_sign)(x)));
    AITERI_K(store_x8)(p, AITERI_K(select_i)(AITERI_K(is_nan)(x), AITERI_K(set1_i)(0x80), value));
}

AITERI_FORCE_INLINE void AITERI_K(store_f8_e5m2)(uint8_t *p, AITERI_K(vf) x)
{
    const AITERI_K(vi) code = AITERI_K(f8_magnitude)(x, 2, 15, 0x7b);
    const AITERI_K(vi) kept = AITERI_K(select_i)(AITERI_K(is_nan)(x), AITERI_K(set1_i)(0x7f), code);
    AITERI_K(store_x8)(p, AITERI_K(or_i)(kept, AITERI_K(f8_sign)(x)));
}

AITERI_FORCE_INLINE void AITERI_K(store_int8)(int8_t *p, AITERI_K(vf) x, const float limit)
{
    const AITERI_K(vf) low = AITERI_K(max)(AITERI_K(set1)(-limit), x);
    const AITERI_K(vi) i = AITERI_K(to_i)(AITERI_K(min)(AITERI_K(set1)(limit), low));
    const AITERI_K(vi) kept = AITERI_K(select_i)(AITERI_K(is_nan)(x), AITERI_K(set1_i)(0), i);
    AITERI_K(store_x8)((uint8_t *)p, AITERI_K(and_i)(kept, AITERI_K(set1_i)(0xff)));
}
AITERI_FORCE_INLINE void AITERI_K(store_i8)(int8_t *p, AITERI_K(vf) x)
{
    AITERI_K(store_int8)(p, x, 127.0f);
}
AITERI_FORCE_INLINE void AITERI_K(store_i4_byte)(int8_t *p, AITERI_K(vf) x)
{
    AITERI_K(store_int8)(p, x, 7.0f);
}
AITERI_FORCE_INLINE void AITERI_K(store_f4_byte)(int8_t *p, AITERI_K(vf) x)
{
    const AITERI_K(vi) sign =
        AITERI_K(and_i)(AITERI_K(shr_i)(AITERI_K(as_i)(x), 28), AITERI_K(set1_i)(8));
    const AITERI_K(vi) code = AITERI_K(or_i)(AITERI_K(f8_magnitude)(x, 1, 1, 7), sign);
    AITERI_K(store_x8)((uint8_t *)p,
                       AITERI_K(select_i)(AITERI_K(is_nan)(x), AITERI_K(set1_i)(0), code));
}

/* The loop over a row; its last partial vector goes through a copy. */
#define AITERI_WIDEN(name, type)                                               \
    static void AITERI_K(widen_##name)(float *dst, const void *src, int64_t n) \
    {                                                                          \
        const type *p = (const type *)src;                                     \
        int64_t i = 0;                                                         \
        for (; i + AITERI_LANES <= n; i += AITERI_LANES)                       \
            AITERI_K(store)(dst + i, AITERI_K(load_##name)(p + i));            \
        if (i >= n) return;                                                    \
        type tail[AITERI_LANES] = {0};                                         \
        memcpy(tail, p + i, (size_t)(n - i) * sizeof *p);                      \
        AITERI_K(store_n)(dst + i, AITERI_K(load_##name)(tail), (int)(n - i)); \
    }

#define AITERI_NARROW(name, type)                                               \
    static void AITERI_K(narrow_##name)(void *dst, const float *src, int64_t n) \
    {                                                                           \
        type *p = (type *)dst;                                                  \
        int64_t i = 0;                                                          \
        for (; i + AITERI_LANES <= n; i += AITERI_LANES)                        \
            AITERI_K(store_##name)(p + i, AITERI_K(load)(src + i));             \
        if (i >= n) return;                                                     \
        type tail[AITERI_LANES];                                                \
        AITERI_K(store_##name)(tail, AITERI_K(load_n)(src + i, (int)(n - i)));  \
        memcpy(p + i, tail, (size_t)(n - i) * sizeof *p);                       \
    }

AITERI_WIDEN(f16, uint16_t)
AITERI_WIDEN(bf16, uint16_t)
AITERI_WIDEN(i8, int8_t)
#if AITERI_CONVERTS /* else the set below has them */
AITERI_NARROW(f16, uint16_t)
AITERI_NARROW(bf16, uint16_t)
#if AITERI_READS_CODES
AITERI_WIDEN(f8_e4m3fn, uint8_t)
AITERI_WIDEN(f8_e4m3fnuz, uint8_t)
AITERI_WIDEN(f8_e5m2, uint8_t)

/* The types of 4 bits go by blocks through bytes. */
static void AITERI_K(widen_i4)(float *dst, const void *src, int64_t n)
{
    const uint8_t *p = (const uint8_t *)src;
    int8_t block[128];
    for (int64_t i = 0; i < n; i += 128) {
        const int64_t count = n - i < 128 ? n - i : 128;
        for (int64_t k = 0; k < (count + 1) / 2; k++) {
            const int byte = p[i / 2 + k];
            block[2 * k] = (int8_t)(((byte & 15) ^ 8) - 8);
            block[2 * k + 1] = (int8_t)(((byte >> 4) ^ 8) - 8);
        }
        AITERI_K(widen_i8)(dst + i, block, count);
    }
}
#endif
#if AITERI_WRITES_CODES
AITERI_NARROW(f8_e4m3fn, uint8_t)
AITERI_NARROW(f8_e4m3fnuz, uint8_t)
AITERI_NARROW(f8_e5m2, uint8_t)
AITERI_NARROW(i8, int8_t)
AITERI_NARROW(i4_byte, int8_t)

AITERI_FORCE_INLINE void AITERI_K(narrow_halves)(void *dst, const float *src, int64_t n,
                                                 aiteri_narrow_fn to_bytes)
{
    uint8_t *p = (uint8_t *)dst;
    int8_t block[128];
    for (int64_t i = 0; i < n; i += 128) {
        const int64_t count = n - i < 128 ? n - i : 128;
        to_bytes(block, src + i, count);
        if (count & 1) block[count] = (int8_t)(p[i / 2 + count / 2] >> 4);
        for (int64_t k = 0; k < (count + 1) / 2; k++)
            p[i / 2 + k] = (uint8_t)((block[2 * k] & 15) | (block[2 * k + 1] & 15) << 4);
    }
}

static void AITERI_K(narrow_i4)(void *dst, const float *src, int64_t n)
{
    AITERI_K(narrow_halves)(dst, src, n, AITERI_K(narrow_i4_byte));
}
#if AITERI_HAS_QUANT
AITERI_NARROW(f4_byte, int8_t)

static void AITERI_K(narrow_f4)(void *dst, const float *src, int64_t n)
{
    AITERI_K(narrow_halves)(dst, src, n, AITERI_K(narrow_f4_byte));
}

static void AITERI_K(widen_f4)(float *dst, const void *src, int64_t n)
{
    static const float value[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                    -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};
    const uint8_t *p = (const uint8_t *)src;
    for (int64_t i = 0; i + 1 < n; i += 2) {
        dst[i] = value[p[i / 2] & 15];
        dst[i + 1] = value[p[i / 2] >> 4];
    }
    if (n & 1) dst[n - 1] = value[p[n / 2] & 15];
}
#endif
#endif /* AITERI_WRITES_CODES */

static void AITERI_K(widen_f32)(float *dst, const void *src, int64_t n)
{
    if (n > 0) memcpy(dst, src, (size_t)n * sizeof *dst);
}

static void AITERI_K(narrow_f32)(void *dst, const float *src, int64_t n)
{
    if (n > 0) memcpy(dst, src, (size_t)n * sizeof *src);
}

#define AITERI_CONVERT_OF(name) AITERI_K(name)
#endif
#if AITERI_READS_CODES
#define AITERI_READER_CONVERT_OF(name) AITERI_CONVERT_OF(name)
#else
#define AITERI_READER_CONVERT_OF(name) NULL
#endif
#if AITERI_WRITES_CODES
#define AITERI_WRITER_CONVERT_OF(name) AITERI_CONVERT_OF(name)
#else
#define AITERI_WRITER_CONVERT_OF(name) NULL
#endif
#if AITERI_HAS_QUANT
#define AITERI_F4_CONVERT_OF(name) AITERI_CONVERT_OF(name)
#else
#define AITERI_F4_CONVERT_OF(name) NULL
#endif
#undef AITERI_WIDEN
#undef AITERI_NARROW

/* In the order of aiter_dtype. */
static const aiteri_widen_fn AITERI_K(widen)[AITER_DTYPE_COUNT] = {
    NULL,
    AITERI_CONVERT_OF(widen_f32),
    AITERI_K(widen_f16),
    AITERI_K(widen_bf16),
    AITERI_READER_CONVERT_OF(widen_f8_e4m3fn),
    AITERI_READER_CONVERT_OF(widen_f8_e4m3fnuz),
    AITERI_READER_CONVERT_OF(widen_f8_e5m2),
    AITERI_K(widen_i8),
    AITERI_READER_CONVERT_OF(widen_i4),
    NULL,
    NULL,
    NULL,
    AITERI_F4_CONVERT_OF(widen_f4),
    NULL,
};

static const aiteri_narrow_fn AITERI_K(narrow)[AITER_DTYPE_COUNT] = {
    NULL,
    AITERI_CONVERT_OF(narrow_f32),
    AITERI_CONVERT_OF(narrow_f16),
    AITERI_CONVERT_OF(narrow_bf16),
    AITERI_WRITER_CONVERT_OF(narrow_f8_e4m3fn),
    AITERI_WRITER_CONVERT_OF(narrow_f8_e4m3fnuz),
    AITERI_WRITER_CONVERT_OF(narrow_f8_e5m2),
    AITERI_WRITER_CONVERT_OF(narrow_i8),
    AITERI_WRITER_CONVERT_OF(narrow_i4),
    NULL,
    NULL,
    NULL,
    AITERI_F4_CONVERT_OF(narrow_f4),
    NULL,
};
#undef AITERI_READER_CONVERT_OF
#undef AITERI_WRITER_CONVERT_OF
#undef AITERI_F4_CONVERT_OF

// >>k_rows    (src/cpu/k_rows.inl.h)
/* k_rows.inl.h -- what every op does to a row of f32: scale it, finish it, add it to another, turn
 * it. */

static void AITERI_K(row_scale)(float *o, int32_t dim, float factor)
{
    AITERI_ASSERT(dim > 0 && dim % AITERI_PAD == 0);
    for (int32_t d = 0; d < dim; d += AITERI_LANES)
        AITERI_K(store)(o + d, AITERI_K(mul)(AITERI_K(load)(o + d), AITERI_K(set1)(factor)));
}

/* By bits: no comparison of floats tells -0 from 0. */
static void AITERI_K(row_finish)(float *o, int32_t dim, float factor, int32_t least)
{
    for (int32_t d = 0; d < dim; d += AITERI_LANES) {
        const AITERI_K(vf) x = AITERI_K(mul)(AITERI_K(load)(o + d), AITERI_K(set1)(factor));
        const AITERI_K(vm) seen =
            AITERI_K(lt_i)(AITERI_K(set1_i)(least), AITERI_K(magnitude_bits)(x));
        AITERI_K(store)(o + d, AITERI_K(keep)(seen, x));
    }
}

static void AITERI_K(row_add_scaled)(float *o, const float *x, int32_t dim, float factor)
{
    for (int32_t d = 0; d < dim; d += AITERI_LANES)
        AITERI_K(store)(o + d, AITERI_K(fma)(AITERI_K(set1)(factor), AITERI_K(load)(x + d),
                                             AITERI_K(load)(o + d)));
}

static void AITERI_K(row_divide)(float *o, int32_t n, float divisor)
{
    int32_t i = 0;
    for (; i + AITERI_LANES <= n; i += AITERI_LANES)
        AITERI_K(store)(o + i, AITERI_K(div)(AITERI_K(load)(o + i), AITERI_K(set1)(divisor)));
    for (; i < n; i++) o[i] /= divisor;
}

/* By bits: as integers magnitudes are in order, and NaN is above them all. */
static float AITERI_K(row_amax)(const float *x, int32_t n)
{
    AITERI_K(vi) top = AITERI_K(set1_i)(0);
    float lane[AITERI_LANES];
    uint32_t most = 0;
    int32_t i = 0;
    for (; i + AITERI_LANES <= n; i += AITERI_LANES) {
        const AITERI_K(vi) a = AITERI_K(magnitude_bits)(AITERI_K(load)(x + i));
        top = AITERI_K(select_i)(AITERI_K(lt_i)(top, a), a, top);
    }
    AITERI_K(store)(lane, AITERI_K(as_f)(top));
    for (int32_t k = 0; k < AITERI_LANES; k++) most = aiteri_larger_magnitude(most, lane[k]);
    for (; i < n; i++) most = aiteri_larger_magnitude(most, x[i]);
    return aiteri_f32_of_bits(most > 0x7f800000u ? 0x7fc00000u : most);
}

#if AITERI_HAS_ROPE
/* The sum of products is rounded in each of its steps: the bits of every set are the same. */
AITERI_FORCE_INLINE AITERI_K(vf)
    AITERI_K(turned)(AITERI_K(vf) x, AITERI_K(vf) c, AITERI_K(vf) partner, AITERI_K(vf) s)
{
    return AITERI_K(add)(AITERI_K(mul)(x, c), AITERI_K(mul)(partner, s));
}

static void AITERI_K(row_turn)(float *y, const float *x, const float *partner, const float *c,
                               const float *s, int32_t n)
{
    int32_t i = 0;
    for (; i + AITERI_LANES <= n; i += AITERI_LANES)
        AITERI_K(store)(y + i,
                        AITERI_K(turned)(AITERI_K(load)(x + i), AITERI_K(load)(c + i),
                                         AITERI_K(load)(partner + i), AITERI_K(load)(s + i)));
    const int rest = (int)(n - i);
    if (rest > 0)
        AITERI_K(store_n)(
            y + i,
            AITERI_K(turned)(AITERI_K(load_n)(x + i, rest), AITERI_K(load_n)(c + i, rest),
                             AITERI_K(load_n)(partner + i, rest), AITERI_K(load_n)(s + i, rest)),
            rest);
}
#endif
#if AITERI_ATTENTION

// >>k_tile    (src/cpu/k_tile.inl.h)
/* k_tile.inl.h -- queries in the lanes: S^T = K Q^T, online softmax, O^T += V^T P^T.
 *
 * A tile is AITERI_TILE_VECTORS vectors of query rows. K and V rows are the broadcast operand, so
 * neither is packed or transposed, and max, sum and rescale are lane-wise. A
 * group of rows of K (columns of V) shares each load of the tile: rows x vectors accumulators fill
 * the register file: AVX-512 8 x 3 of 32, AVX2 4 x 3 of 16, NEON 6 x 4 of 32. Every (row, lane) has
 * one accumulator that adds its products in ascending order, so the grouping of rows cannot be seen
 * in the bits. The last group is worked on whole: what lies behind the end is read and written, and
 * used by nobody. */

#define AITERI_TILE_LANES (AITERI_TILE_VECTORS * AITERI_LANES)
#define AITERI_TILE_MOST  (AITERI_TILE_VECTORS * AITERI_TILE_ROWS)
#define AITERI_TILE_GROUP(vectors) \
    ((vectors) == AITERI_TILE_VECTORS ? AITERI_TILE_ROWS : AITERI_NARROW_ROWS)
/* Elements of head_dim whose queries stay in the first cache while all keys of a block pass. */
#define AITERI_TILE_CHUNK (6144 / AITERI_TILE_LANES)

static void AITERI_K(pack_query)(void *q, const float *rows, int64_t row_stride, int32_t dim,
                                 float scale)
{
    float *qt = (float *)q; /* [dim][AITERI_TILE_LANES] */
    const int32_t whole = dim / AITERI_LANES * AITERI_LANES;
    for (int32_t lane = 0; lane < AITERI_TILE_LANES; lane += AITERI_LANES)
        for (int32_t d = 0; d < whole; d += AITERI_LANES)
            AITERI_K(transpose)(rows + lane * row_stride + d, row_stride,
                                qt + d * AITERI_TILE_LANES + lane, AITERI_TILE_LANES);
    for (int32_t d = whole; d < dim; d++)
        for (int32_t lane = 0; lane < AITERI_TILE_LANES; lane++)
            qt[d * AITERI_TILE_LANES + lane] = rows[lane * row_stride + d];
    const AITERI_K(vf) factor = AITERI_K(set1)(scale);
    for (int32_t i = 0; i < dim * AITERI_TILE_LANES; i += AITERI_LANES)
        AITERI_K(store)(qt + i, AITERI_K(mul)(AITERI_K(load)(qt + i), factor));
}

static void AITERI_K(tile_unpack)(float *rows, int64_t row_stride, const float *ot, int32_t dim)
{
    const int32_t whole = dim / AITERI_LANES * AITERI_LANES;
    for (int32_t lane = 0; lane < AITERI_TILE_LANES; lane += AITERI_LANES)
        for (int32_t d = 0; d < whole; d += AITERI_LANES)
            AITERI_K(transpose)(ot + d * AITERI_TILE_LANES + lane, AITERI_TILE_LANES,
                                rows + lane * row_stride + d, row_stride);
    for (int32_t lane = 0; lane < AITERI_TILE_LANES; lane++) {
        float *row = rows + lane * row_stride;
        for (int32_t d = whole; d < dim; d++) row[d] = ot[d * AITERI_TILE_LANES + lane];
    }
}

/* One group of K rows against the first `vectors` of the tile, added to `from`, the sums of the
 * chunks before; `vectors` and `count` are constants where it is inlined. */
AITERI_FORCE_INLINE void AITERI_K(score_rows)(float *AITERI_RESTRICT st, const float *from,
                                              const float *AITERI_RESTRICT k, int64_t k_stride,
                                              int32_t dim, const float *AITERI_RESTRICT qt,
                                              const int vectors, const int count)
{
    AITERI_K(vf) acc[AITERI_TILE_MOST];
    const float *row[AITERI_TILE_MOST];
    AITERI_UNROLL(16)
    for (int i = 0; i < count; i++) {
        row[i] = k + i * k_stride;
        if (vectors == AITERI_TILE_VECTORS) AITERI_OPAQUE(row[i]);
        AITERI_UNROLL(16)
        for (int c = 0; c < vectors; c++)
            acc[i * vectors + c] = AITERI_K(load)(from + i * AITERI_TILE_LANES + c * AITERI_LANES);
    }
    AITERI_UNROLL_SOME(AITERI_TILE_STEPS)
    for (int64_t d = 0; d < dim; d++, qt += AITERI_TILE_LANES) {
        AITERI_K(vf) q[AITERI_TILE_VECTORS];
        AITERI_UNROLL(16)
        for (int c = 0; c < vectors; c++) q[c] = AITERI_K(load)(qt + c * AITERI_LANES);
        AITERI_UNROLL(16)
        for (int i = 0; i < count; i++) {
            const AITERI_K(vf) x = AITERI_K(set1)(row[i][d]);
            AITERI_UNROLL(16)
            for (int c = 0; c < vectors; c++)
                acc[i * vectors + c] = AITERI_K(fma)(x, q[c], acc[i * vectors + c]);
            if (vectors == AITERI_TILE_VECTORS)
                AITERI_TILE_NEXT(row[(i + 1) % count], (acc + i * vectors));
        }
        if (vectors == AITERI_TILE_VECTORS) AITERI_TILE_NEXT(qt, (acc + (count - 1) * vectors));
    }
    AITERI_UNROLL(16)
    for (int i = 0; i < count; i++) AITERI_UNROLL(16)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(st + i * AITERI_TILE_LANES + c * AITERI_LANES, acc[i * vectors + c]);
}

AITERI_FORCE_INLINE void AITERI_K(score_run)(float *st, const aiteri_block_run *keys,
                                             const float *qt, const int vectors)
{
    static const float zeros[AITERI_TILE_MOST * AITERI_TILE_LANES] = {0};
    const int rows = AITERI_TILE_GROUP(vectors);
    const int64_t k_stride = aiteri_block_stride(keys->row_dim);
    const int32_t n = keys->n, dim = keys->dim;
    const float *k = (const float *)keys->block + keys->place * k_stride;
    for (int32_t d = 0; d < dim; d += AITERI_TILE_CHUNK) {
        const int32_t width = (int32_t)aiteri_min(dim - d, AITERI_TILE_CHUNK);
        const float *q = qt + d * AITERI_TILE_LANES;
        for (int32_t j = 0; j < n; j += rows) {
            float *to = st + j * AITERI_TILE_LANES;
            AITERI_K(score_rows)
            (to, d ? to : zeros, k + j * k_stride + d, k_stride, width, q, vectors, rows);
        }
    }
}

/* A tile with rows in a few vectors is worked on as a narrow one. */
#if AITERI_NARROW_VECTORS
#define AITERI_BY_VECTORS(call)           \
    if (vectors <= AITERI_NARROW_VECTORS) \
        call(AITERI_NARROW_VECTORS);      \
    else                                  \
        call(AITERI_TILE_VECTORS);
#else
#define AITERI_BY_VECTORS(call) \
    (void)vectors;              \
    call(AITERI_TILE_VECTORS);
#endif

static void AITERI_K(tile_score)(float *st, const aiteri_block_run *keys, const void *q,
                                 int32_t vectors)
{
    AITERI_ASSERT(0 <= keys->place && 0 <= keys->n && 0 < keys->dim);
    AITERI_ASSERT(keys->place + keys->n <= AITERI_TILE_KEYS && 0 < vectors);
#define AITERI_SCORE_RUN(v) AITERI_K(score_run)(st, keys, (const float *)q, v)
    AITERI_BY_VECTORS(AITERI_SCORE_RUN)
#undef AITERI_SCORE_RUN
}

AITERI_FORCE_INLINE AITERI_K(vi) AITERI_K(load_i)(const int32_t *p)
{
    AITERI_K(vi) x;
    memcpy(&x, p, sizeof x);
    return x;
}

/* Which keys the lanes of one vector see. */
typedef struct AITERI_K(range) {
    AITERI_K(vi) lo, hi, sink;
    int32_t most_sink;
} AITERI_K(range);

AITERI_FORCE_INLINE AITERI_K(range) AITERI_K(range_of)(const aiteri_lane_mask *mask, int c)
{
    AITERI_K(range) range;
    range.lo = AITERI_K(load_i)(mask->lo + c * AITERI_LANES);
    range.hi = AITERI_K(load_i)(mask->hi + c * AITERI_LANES);
    range.sink = AITERI_K(load_i)(mask->sink + c * AITERI_LANES);
    range.most_sink = mask->most_sink;
    return range;
}

/* The lanes that see their key, the first of which is j. */
AITERI_FORCE_INLINE AITERI_K(vm)
    AITERI_K(visible)(const AITERI_K(range) * range, AITERI_K(vi) key, int32_t j)
{
    const AITERI_K(vm) before_end = AITERI_K(lt_i)(key, range->hi);
    const AITERI_K(vm) inside =
        AITERI_K(and_m)(before_end, AITERI_K(not_m)(AITERI_K(lt_i)(key, range->lo)));
    if (j >= range->most_sink) return inside;
    return AITERI_K(or_m)(inside, AITERI_K(lt_i)(key, range->sink));
}

/* One vector of scores, from the one at `at` on, through all of an aiteri_adjust but the mask. */
AITERI_FORCE_INLINE AITERI_K(vf)
    AITERI_K(adjusted)(AITERI_K(vf) x, const aiteri_adjust *adjust, int32_t at, AITERI_K(vf) slope,
                       AITERI_K(vf) position, AITERI_K(vf) key)
{
    const AITERI_K(vf) hidden = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    if (adjust->factor != 1.0f) x = AITERI_K(mul)(x, AITERI_K(set1)(adjust->factor));
    if (adjust->softcap) x = AITERI_K(capped)(x, adjust->softcap);
    if (adjust->bias) { /* -infinity hides the key, whatever its score */
        const AITERI_K(vf) b = AITERI_K(load)(adjust->bias + at);
        const AITERI_K(vm) hides = AITERI_K(eq_i)(AITERI_K(as_i)(b), AITERI_K(as_i)(hidden));
        x = AITERI_K(select)(hides, hidden, AITERI_K(add)(x, b));
    }
    if (adjust->slope) {
        const AITERI_K(vf) distance = AITERI_K(abs)(AITERI_K(sub)(position, key));
        x = AITERI_K(sub)(x, AITERI_K(mul)(slope, distance));
    }
    return x;
}

static void AITERI_K(tile_adjust)(float *st, int32_t key0, int32_t n, const aiteri_adjust *adjust,
                                  int32_t vectors)
{
    const AITERI_K(vf) hidden = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    const int masked = adjust->mask != NULL; /* most often alone */
    const int more = adjust->factor != 1.0f || adjust->softcap || adjust->bias || adjust->slope;
    for (int c = 0; c < vectors; c++) {
        AITERI_K(vf) slope = AITERI_K(zero)(), position = AITERI_K(zero)();
        AITERI_K(range) range;
        memset(&range, 0, sizeof range);
        if (adjust->mask) range = AITERI_K(range_of)(adjust->mask, c);
        if (adjust->slope) {
            slope = AITERI_K(load)(adjust->slope + c * AITERI_LANES);
            position = AITERI_K(load)(adjust->position + c * AITERI_LANES);
        }
        for (int32_t j = 0; j < n; j++) {
            const int32_t at = j * AITERI_TILE_LANES + c * AITERI_LANES, key = key0 + j;
            AITERI_K(vf) x = AITERI_K(load)(st + at);
            if (more)
                x = AITERI_K(adjusted)(x, adjust, at, slope, position, AITERI_K(set1)((float)key));
            if (masked)
                x = AITERI_K(select)(AITERI_K(visible)(&range, AITERI_K(set1_i)(key), key), x,
                                     hidden);
            AITERI_K(store)(st + at, x);
        }
    }
}

static void AITERI_K(stream_adjust)(float *s, int32_t key0, const aiteri_adjust *adjust)
{
    const AITERI_K(vf) hidden = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    AITERI_K(vf) slope = AITERI_K(zero)(), position = AITERI_K(zero)();
    AITERI_K(range) range;
    memset(&range, 0, sizeof range);
    if (adjust->slope) {
        slope = AITERI_K(set1)(adjust->slope[0]);
        position = AITERI_K(set1)(adjust->position[0]);
    }
    if (adjust->mask) {
        range.lo = AITERI_K(set1_i)(adjust->mask->lo[0]);
        range.hi = AITERI_K(set1_i)(adjust->mask->hi[0]);
        range.sink = AITERI_K(set1_i)(adjust->mask->sink[0]);
        range.most_sink = adjust->mask->most_sink;
    }
    for (int32_t i = 0; i < AITERI_STREAM_KEYS; i += AITERI_LANES) {
        const AITERI_K(vi) key = AITERI_K(add_i)(AITERI_K(iota_i)(), AITERI_K(set1_i)(key0 + i));
        AITERI_K(vf)
        x = AITERI_K(adjusted)(AITERI_K(load)(s + i), adjust, i, slope, position,
                               AITERI_K(to_f)(key));
        if (adjust->mask) x = AITERI_K(select)(AITERI_K(visible)(&range, key, key0 + i), x, hidden);
        AITERI_K(store)(s + i, x);
    }
}

/* (x - m) / ln 2 in natural units, which a score has `stretch` of. */
AITERI_FORCE_INLINE AITERI_K(vf)
    AITERI_K(exponent)(AITERI_K(vf) x, AITERI_K(vf) m, const float stretch)
{
    return AITERI_K(mul)(AITERI_K(sub)(x, m), AITERI_K(set1)(1.44269504088896341f * stretch));
}

/* exp(x - m) with 0 for hidden scores; m is finite. */
AITERI_FORCE_INLINE AITERI_K(vf)
    AITERI_K(weight)(AITERI_K(vf) x, AITERI_K(vf) m, const float stretch)
{
    return AITERI_K(exp2)(AITERI_K(exponent)(x, m, stretch));
}

/* The accumulated output is rescaled only in lanes whose maximum grew by more than this (natural
 * units); elsewhere the factor is exactly 1. exp(2.07) < 8, so that weights in AITERI_TILE_UNIT
 * stay at 1 or below, and a sum of values below the sum of their magnitudes. 5.5 is no faster and
 * takes 5 more bits from subnormal values; ln 2 costs 16 % (AVX-512, Sq 2048, D 128). */
#define AITERI_RESCALE_AT 2.07f

/* Raises m where the block's maximum asks for it and rescales l and ot by the lane's own factor. */
AITERI_FORCE_INLINE void AITERI_K(raise_maximum)(AITERI_K(vf) top, float stretch, float *m,
                                                 float *l, float *ot, int32_t dim_v)
{
    const AITERI_K(vf) old = AITERI_K(load)(m);
    const AITERI_K(vm) grew =
        AITERI_K(gt)(top, AITERI_K(add)(old, AITERI_K(set1)(AITERI_RESCALE_AT / stretch)));
    if (!AITERI_K(any)(grew)) return;
    const AITERI_K(vf) raised = AITERI_K(select)(grew, top, old);
    const AITERI_K(vf) factor =
        AITERI_K(select)(grew, AITERI_K(weight)(old, raised, stretch), AITERI_K(set1)(1.0f));
    AITERI_K(store)(m, raised);
    AITERI_K(store)(l, AITERI_K(mul)(AITERI_K(load)(l), factor));
    for (int32_t d = 0; d < dim_v; d++)
        AITERI_K(store)(ot + d * AITERI_TILE_LANES,
                        AITERI_K(mul)(AITERI_K(load)(ot + d * AITERI_TILE_LANES), factor));
}

static void AITERI_K(tile_softmax)(float *st, int32_t n, float stretch, float *m, float *l,
                                   float *ot, int32_t dim_v, int32_t vectors)
{
    const AITERI_K(vf) minus_inf = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    for (int c = 0; c < vectors; c++) {
        float *column = st + c * AITERI_LANES;
        AITERI_K(vf) top = minus_inf;
        for (int32_t j = 0; j < n; j++)
            top = AITERI_K(max)(AITERI_K(load)(column + j * AITERI_TILE_LANES), top);
        AITERI_K(raise_maximum)(top, stretch, m + c * AITERI_LANES, l + c * AITERI_LANES,
                                ot + c * AITERI_LANES, dim_v);
        /* A lane that has seen no key keeps m = -inf; any finite shift gives its zeros. */
        AITERI_K(vf) shift = AITERI_K(load)(m + c * AITERI_LANES);
        shift = AITERI_K(select)(AITERI_K(gt)(shift, minus_inf), shift, AITERI_K(zero)());
        AITERI_K(vf) sum = AITERI_K(load)(l + c * AITERI_LANES);
        for (int32_t j = 0; j < n; j++) {
            const AITERI_K(vf) x = AITERI_K(load)(column + j * AITERI_TILE_LANES);
            const AITERI_K(vf) p = AITERI_K(exp2_unit)(AITERI_K(exponent)(x, shift, stretch),
                                                       AITERI_TILE_UNIT, AITERI_TILE_LEAST);
            sum = AITERI_K(add)(sum, p);
            AITERI_K(store)(column + j * AITERI_TILE_LANES, p);
        }
        AITERI_K(store)(l + c * AITERI_LANES, sum);
    }
}

/* `count` columns of V into their rows of ot. */
AITERI_FORCE_INLINE void AITERI_K(value_columns)(float *AITERI_RESTRICT ot,
                                                 const float *AITERI_RESTRICT v, int64_t v_stride,
                                                 int32_t n, const float *AITERI_RESTRICT st,
                                                 const int vectors, const int count)
{
    AITERI_K(vf) acc[AITERI_TILE_MOST];
    AITERI_UNROLL(16)
    for (int i = 0; i < count; i++) AITERI_UNROLL(16)
    for (int c = 0; c < vectors; c++)
        acc[i * vectors + c] = AITERI_K(load)(ot + i * AITERI_TILE_LANES + c * AITERI_LANES);
    AITERI_UNROLL_SOME(AITERI_TILE_STEPS)
    for (int32_t j = 0; j < n; j++, v += v_stride, st += AITERI_TILE_LANES) {
        AITERI_K(vf) p[AITERI_TILE_VECTORS];
        AITERI_UNROLL(16)
        for (int c = 0; c < vectors; c++) p[c] = AITERI_K(load)(st + c * AITERI_LANES);
        AITERI_UNROLL(16)
        for (int i = 0; i < count; i++) {
            const AITERI_K(vf) x = AITERI_K(set1)(v[i]);
            AITERI_UNROLL(16)
            for (int c = 0; c < vectors; c++)
                acc[i * vectors + c] = AITERI_K(fma)(x, p[c], acc[i * vectors + c]);
            if (vectors == AITERI_TILE_VECTORS) AITERI_TILE_NEXT(v, (acc + i * vectors));
        }
        if (vectors == AITERI_TILE_VECTORS) AITERI_TILE_NEXT(st, (acc + (count - 1) * vectors));
    }
    AITERI_UNROLL(16)
    for (int i = 0; i < count; i++) AITERI_UNROLL(16)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(ot + i * AITERI_TILE_LANES + c * AITERI_LANES, acc[i * vectors + c]);
}

AITERI_FORCE_INLINE void AITERI_K(value_run)(float *ot, const aiteri_block_run *values,
                                             const float *st, const int vectors)
{
    const int64_t v_stride = aiteri_block_stride(values->row_dim);
    const float *v = (const float *)values->block + values->place * v_stride;
    const int32_t n = values->n, dim = values->dim;
    const int rows = AITERI_TILE_GROUP(vectors);
    for (int32_t d = 0; d < dim; d += rows)
        AITERI_K(value_columns)(ot + d * AITERI_TILE_LANES, v + d, v_stride, n, st, vectors, rows);
}

static void AITERI_K(tile_value)(float *ot, const aiteri_block_run *values, float *st,
                                 int32_t vectors)
{
    AITERI_ASSERT(0 <= values->place && 0 < values->n && 0 < values->dim);
    AITERI_ASSERT(values->place + values->n <= AITERI_TILE_KEYS && 0 < vectors);
#define AITERI_VALUE_RUN(v) AITERI_K(value_run)(ot, values, st, v)
    AITERI_BY_VECTORS(AITERI_VALUE_RUN)
#undef AITERI_VALUE_RUN
}

static void AITERI_K(tile_value_guarded)(float *ot, const aiteri_block_run *values, int32_t key0,
                                         float *st, const aiteri_lane_mask *mask,
                                         const float *scores, int32_t vectors)
{
    const int64_t v_stride = aiteri_block_stride(values->row_dim);
    const float *v = (const float *)values->block + values->place * v_stride;
    const AITERI_K(vi) hidden = AITERI_K(set1_i)((int32_t)0xff800000u);
    for (int32_t d = 0; d < values->dim; d++) {
        for (int c = 0; c < vectors; c++) {
            float *at = ot + d * AITERI_TILE_LANES + c * AITERI_LANES;
            AITERI_K(vf) acc = AITERI_K(load)(at);
            const AITERI_K(range) range = AITERI_K(range_of)(mask, c);
            for (int32_t j = 0; j < values->n; j++) {
                const int32_t from = j * AITERI_TILE_LANES + c * AITERI_LANES;
                const AITERI_K(vf) p = AITERI_K(load)(st + from);
                const AITERI_K(vf) sum = AITERI_K(fma)(AITERI_K(set1)(v[j * v_stride + d]), p, acc);
                if (scores) {
                    const AITERI_K(vi) score = AITERI_K(as_i)(AITERI_K(load)(scores + from));
                    acc = AITERI_K(select)(AITERI_K(eq_i)(score, hidden), acc, sum);
                } else {
                    acc = AITERI_K(select)(
                        AITERI_K(visible)(&range, AITERI_K(set1_i)(key0 + j), key0 + j), sum, acc);
                }
            }
            AITERI_K(store)(at, acc);
        }
    }
}

static int AITERI_K(v_finite)(const aiteri_block_run *values)
{
    const int64_t stride = aiteri_block_stride(values->row_dim);
    const float *rows = (const float *)values->block + values->place * stride;
    const int32_t dim = values->dim;
    const AITERI_K(vf) inf = AITERI_K(set1)(aiteri_f32_of_bits(0x7f800000u));
    for (int32_t j = 0; j < values->n; j++) {
        const float *row = rows + j * stride;
        int32_t d = 0;
        for (; d + AITERI_LANES <= dim; d += AITERI_LANES)
            if (!AITERI_K(all)(AITERI_K(lt)(AITERI_K(abs)(AITERI_K(load)(row + d)), inf))) return 0;
        for (; d < dim; d++)
            if ((aiteri_bits_of_f32(row[d]) & 0x7fffffffu) >= 0x7f800000u) return 0;
    }
    return 1;
}
#undef AITERI_BY_VECTORS

// >>k_stream    (src/cpu/k_stream.inl.h)
/* k_stream.inl.h -- head_dim in the lanes: a few query rows against a stream of K and V rows.
 *
 * AITERI_DOT_KEYS x 4 accumulators take one converted load of each key for several query
 * rows; 4 x AITERI_AXPY_VECTORS keep a strip of the output in registers over a block of
 * keys. Every (row, key) score and every (row, dim) sum is one chain in ascending order, whatever
 * the grouping. The loads come from k_stream_types.inl.h, once per storage type. */

/* `bytes` of memory from p on. */
AITERI_FORCE_INLINE void AITERI_K(fetch)(const void *p, int32_t bytes)
{
    for (int32_t at = 0; at < bytes; at += AITERI_LINE) AITERI_PREFETCH((const char *)p + at);
}

/* Horizontal sums of acc[rows][AITERI_DOT_KEYS] into s, the same order for every one of them. */
AITERI_FORCE_INLINE void AITERI_K(store_sums)(float *s, int64_t s_stride, const AITERI_K(vf) * acc,
                                              const int rows)
{
    float sum[16];
    const int count = rows * AITERI_DOT_KEYS, last = count - 1;
#if AITERI_DOT_KEYS == 4
    if (count == 16) {
        AITERI_K(hsum16)(acc, sum);
    } else
#endif
    {
        AITERI_UNROLL(8)
        for (int i = 0; i < count; i += 4)
            AITERI_K(hsum4)(acc[i], acc[i + 1 < last ? i + 1 : last],
                            acc[i + 2 < last ? i + 2 : last], acc[i + 3 < last ? i + 3 : last],
                            sum + i);
    }
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++)
        memcpy(s + r * s_stride, sum + r * AITERI_DOT_KEYS, AITERI_DOT_KEYS * sizeof(float));
}

static float AITERI_K(stream_softmax)(float *s, float stretch, float *m, float *l)
{
    const AITERI_K(vf) minus_inf = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    AITERI_K(vf) top = minus_inf;
    for (int32_t i = 0; i < AITERI_STREAM_KEYS; i += AITERI_LANES)
        top = AITERI_K(max)(AITERI_K(load)(s + i), top);
    const float old = *m, block = AITERI_K(hmax)(top);
    const float raised = aiteri_select_f32(block > old, block, old);
    const float shift = aiteri_select_f32(raised > aiteri_f32_of_bits(0xff800000u), raised, 0.0f);
    AITERI_K(vf) sum = AITERI_K(zero)();
    for (int32_t i = 0; i < AITERI_STREAM_KEYS; i += AITERI_LANES) {
        const AITERI_K(vf) p =
            AITERI_K(weight)(AITERI_K(load)(s + i), AITERI_K(set1)(shift), stretch);
        sum = AITERI_K(add)(sum, p);
        AITERI_K(store)(s + i, p);
    }
    float factor = 1.0f;
    if (raised > old) {
        float lane[AITERI_LANES];
        AITERI_K(store)
        (lane, AITERI_K(weight)(AITERI_K(set1)(old), AITERI_K(set1)(raised), stretch));
        factor = lane[0];
    }
    *m = raised;
    *l = aiteri_rounded(*l * factor) + AITERI_K(hsum)(sum);
    return factor;
}

static void AITERI_K(stream_mul)(float *x, const float *y)
{
    for (int32_t i = 0; i < AITERI_STREAM_KEYS; i += AITERI_LANES)
        AITERI_K(store)(x + i, AITERI_K(mul)(AITERI_K(load)(x + i), AITERI_K(load)(y + i)));
}

#define AITERI_TYPE        f32
#define AITERI_TYPE_C      float
#define AITERI_TYPE_LOAD   AITERI_K(load)
#define AITERI_TYPE_LOAD_N AITERI_K(load_n)

// >>k_stream_types    (src/cpu/k_stream_types.inl.h)
/* k_stream_types.inl.h -- dot and axpy of the stream family for one storage type, named AITERI_TYPE
 * with elements AITERI_TYPE_C and the vector layer's converting loads. Stamped per type in every
 * ISA. */

#define AITERI_T(name) AITERI_K(AITERI_CAT(name, AITERI_TYPE))
#define AITERI_ROW(p)  ((const AITERI_TYPE_C *)(p))

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_T(chunk)(const void *row, int32_t d, int32_t dim)
{
    if (d + AITERI_LANES <= dim) return AITERI_TYPE_LOAD(AITERI_ROW(row) + d);
    return AITERI_TYPE_LOAD_N(AITERI_ROW(row) + d, dim - d);
}

/* The scores of `keys` keys and `rows` query rows, both constants where this is inlined. */
AITERI_FORCE_INLINE void AITERI_T(dot_block)(float *s, int64_t s_stride, const float *q,
                                             int64_t q_stride, int32_t dim, const void *const *key,
                                             const int rows)
{
    AITERI_K(vf) acc[4 * AITERI_DOT_KEYS];
    AITERI_UNROLL(16)
    for (int i = 0; i < rows * AITERI_DOT_KEYS; i++) acc[i] = AITERI_K(zero)();
    int32_t d = 0;
    for (; d + AITERI_LANES <= dim; d += AITERI_LANES) {
        AITERI_K(vf) k[AITERI_DOT_KEYS];
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) k[i] = AITERI_TYPE_LOAD(AITERI_ROW(key[i]) + d);
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            AITERI_K(vf) x = AITERI_K(load)(q + r * q_stride + d);
            AITERI_IN_REGISTER(x);
            AITERI_UNROLL(8)
            for (int i = 0; i < AITERI_DOT_KEYS; i++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(x, k[i], acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    if (d < dim) {
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) {
            const AITERI_K(vf) k = AITERI_T(chunk)(key[i], d, dim);
            AITERI_UNROLL(8)
            for (int r = 0; r < rows; r++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(AITERI_K(load)(q + r * q_stride + d),
                                                             k, acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    AITERI_K(store_sums)(s, s_stride, acc, rows);
}

/* All keys against `rows` query rows; `ahead` is NULL where it was brought already. */
AITERI_FORCE_INLINE void AITERI_T(dot_rows)(float *s, int64_t s_stride, const float *q,
                                            int64_t q_stride, int32_t dim, const void *const *keys,
                                            int32_t n, const int rows, const void *const *ahead)
{
    const int32_t bytes = dim * (int32_t)sizeof(AITERI_TYPE_C);
    for (int32_t i = 0; i < n; i += AITERI_DOT_KEYS) {
        if (ahead) {
            AITERI_UNROLL(8)
            for (int k = 0; k < AITERI_DOT_KEYS; k++) AITERI_K(fetch)(ahead[i + k], bytes);
        }
        AITERI_T(dot_block)(s + i, s_stride, q, q_stride, dim, keys + i, rows);
    }
}

static void AITERI_T(stream_dot)(float *s, int64_t s_stride, const float *q, int64_t q_stride,
                                 int32_t rows, int32_t dim, const void *const *keys, int32_t n,
                                 const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= q_stride);
    for (int32_t r = 0; r < rows; r += 4, ahead = NULL) {
        float *at = s + r * s_stride;
        const float *x = q + r * q_stride;
        switch (rows - r) {
        case 1: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 1, ahead); break;
        case 2: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 2, ahead); break;
        case 3: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 3, ahead); break;
        default: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 4, ahead); break;
        }
    }
}

/* One strip of `vectors` output vectors of `rows` rows over all keys; rows from `used` on repeat
 * the last one. */
AITERI_FORCE_INLINE void AITERI_T(axpy_strip)(float *o, int64_t o_stride, const float *p,
                                              int64_t p_stride, int32_t d, int32_t dim,
                                              const void *const *values, int32_t n,
                                              const int32_t used, const int rows, const int vectors,
                                              const void *const *ahead)
{
    int32_t row[4];
    AITERI_K(vf) acc[4][AITERI_AXPY_VECTORS];
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) {
        row[r] = r < used ? r : used - 1;
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++)
            acc[r][c] = AITERI_K(load)(o + row[r] * o_stride + d + c * AITERI_LANES);
    }
    for (int32_t i = 0; i < n; i++) {
        AITERI_UNROLL(8)
        for (int at = 0; at < vectors * AITERI_LANES;
             at += AITERI_LINE / (int)sizeof(AITERI_TYPE_C))
            AITERI_PREFETCH(AITERI_ROW(ahead[i]) + d + at);
        AITERI_K(vf) v[AITERI_AXPY_VECTORS];
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++) {
            if (vectors > 1)
                v[c] = AITERI_TYPE_LOAD(AITERI_ROW(values[i]) + d + c * AITERI_LANES);
            else
                v[c] = AITERI_T(chunk)(values[i], d, dim);
        }
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            const AITERI_K(vf) w = AITERI_K(set1)(p[row[r] * p_stride + i]);
            AITERI_UNROLL(8)
            for (int c = 0; c < vectors; c++) acc[r][c] = AITERI_K(fma)(w, v[c], acc[r][c]);
        }
    }
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) AITERI_UNROLL(8)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(o + row[r] * o_stride + d + c * AITERI_LANES, acc[r][c]);
}

/* The whole strips of up to `whole` columns. */
AITERI_FORCE_INLINE void AITERI_T(axpy_rows)(float *o, int64_t o_stride, const float *p,
                                             int64_t p_stride, int32_t whole,
                                             const void *const *values, int32_t n, const int rows,
                                             const void *const *ahead)
{
    for (int32_t d = 0; d < whole; d += AITERI_AXPY_VECTORS * AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, whole, values, n, rows, rows,
                             AITERI_AXPY_VECTORS, ahead);
}

/* The columns from `whole` on; up to four rows as four. */
AITERI_COLD void AITERI_T(axpy_rest)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                     int32_t whole, int32_t dim, const void *const *values,
                                     int32_t n, int32_t used, const void *const *ahead)
{
    for (int32_t d = whole; d < dim; d += AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, dim, values, n, used, 4, 1, ahead);
}

static void AITERI_T(stream_axpy)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                  int32_t rows, int32_t dim, const void *const *values, int32_t n,
                                  const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= o_stride);
    const int32_t strip = AITERI_AXPY_VECTORS * AITERI_LANES, whole = dim / strip * strip;
    for (int32_t r = 0; r < rows; r += 4) {
        float *at = o + r * o_stride;
        const float *w = p + r * p_stride;
        switch (rows - r) {
        case 1: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 1, ahead); break;
        case 2: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 2, ahead); break;
        case 3: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 3, ahead); break;
        default: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 4, ahead); break;
        }
        if (whole < dim)
            AITERI_T(axpy_rest)(at, o_stride, w, p_stride, whole, dim, values, n, rows - r, ahead);
    }
}

#undef AITERI_T
#undef AITERI_ROW
#undef AITERI_TYPE
#undef AITERI_TYPE_C
#undef AITERI_TYPE_LOAD
#undef AITERI_TYPE_LOAD_N
#if AITERI_STREAM_TYPES && AITERI_HAS_DECODE /* else rows of other types are widened first */
#define AITERI_TYPE        f16
#define AITERI_TYPE_C      uint16_t
#define AITERI_TYPE_LOAD   AITERI_K(load_f16)
#define AITERI_TYPE_LOAD_N AITERI_K(load_f16_n)

// >>k_stream_types    (src/cpu/k_stream_types.inl.h)
/* k_stream_types.inl.h -- dot and axpy of the stream family for one storage type, named AITERI_TYPE
 * with elements AITERI_TYPE_C and the vector layer's converting loads. Stamped per type in every
 * ISA. */

#define AITERI_T(name) AITERI_K(AITERI_CAT(name, AITERI_TYPE))
#define AITERI_ROW(p)  ((const AITERI_TYPE_C *)(p))

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_T(chunk)(const void *row, int32_t d, int32_t dim)
{
    if (d + AITERI_LANES <= dim) return AITERI_TYPE_LOAD(AITERI_ROW(row) + d);
    return AITERI_TYPE_LOAD_N(AITERI_ROW(row) + d, dim - d);
}

/* The scores of `keys` keys and `rows` query rows, both constants where this is inlined. */
AITERI_FORCE_INLINE void AITERI_T(dot_block)(float *s, int64_t s_stride, const float *q,
                                             int64_t q_stride, int32_t dim, const void *const *key,
                                             const int rows)
{
    AITERI_K(vf) acc[4 * AITERI_DOT_KEYS];
    AITERI_UNROLL(16)
    for (int i = 0; i < rows * AITERI_DOT_KEYS; i++) acc[i] = AITERI_K(zero)();
    int32_t d = 0;
    for (; d + AITERI_LANES <= dim; d += AITERI_LANES) {
        AITERI_K(vf) k[AITERI_DOT_KEYS];
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) k[i] = AITERI_TYPE_LOAD(AITERI_ROW(key[i]) + d);
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            AITERI_K(vf) x = AITERI_K(load)(q + r * q_stride + d);
            AITERI_IN_REGISTER(x);
            AITERI_UNROLL(8)
            for (int i = 0; i < AITERI_DOT_KEYS; i++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(x, k[i], acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    if (d < dim) {
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) {
            const AITERI_K(vf) k = AITERI_T(chunk)(key[i], d, dim);
            AITERI_UNROLL(8)
            for (int r = 0; r < rows; r++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(AITERI_K(load)(q + r * q_stride + d),
                                                             k, acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    AITERI_K(store_sums)(s, s_stride, acc, rows);
}

/* All keys against `rows` query rows; `ahead` is NULL where it was brought already. */
AITERI_FORCE_INLINE void AITERI_T(dot_rows)(float *s, int64_t s_stride, const float *q,
                                            int64_t q_stride, int32_t dim, const void *const *keys,
                                            int32_t n, const int rows, const void *const *ahead)
{
    const int32_t bytes = dim * (int32_t)sizeof(AITERI_TYPE_C);
    for (int32_t i = 0; i < n; i += AITERI_DOT_KEYS) {
        if (ahead) {
            AITERI_UNROLL(8)
            for (int k = 0; k < AITERI_DOT_KEYS; k++) AITERI_K(fetch)(ahead[i + k], bytes);
        }
        AITERI_T(dot_block)(s + i, s_stride, q, q_stride, dim, keys + i, rows);
    }
}

static void AITERI_T(stream_dot)(float *s, int64_t s_stride, const float *q, int64_t q_stride,
                                 int32_t rows, int32_t dim, const void *const *keys, int32_t n,
                                 const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= q_stride);
    for (int32_t r = 0; r < rows; r += 4, ahead = NULL) {
        float *at = s + r * s_stride;
        const float *x = q + r * q_stride;
        switch (rows - r) {
        case 1: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 1, ahead); break;
        case 2: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 2, ahead); break;
        case 3: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 3, ahead); break;
        default: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 4, ahead); break;
        }
    }
}

/* One strip of `vectors` output vectors of `rows` rows over all keys; rows from `used` on repeat
 * the last one. */
AITERI_FORCE_INLINE void AITERI_T(axpy_strip)(float *o, int64_t o_stride, const float *p,
                                              int64_t p_stride, int32_t d, int32_t dim,
                                              const void *const *values, int32_t n,
                                              const int32_t used, const int rows, const int vectors,
                                              const void *const *ahead)
{
    int32_t row[4];
    AITERI_K(vf) acc[4][AITERI_AXPY_VECTORS];
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) {
        row[r] = r < used ? r : used - 1;
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++)
            acc[r][c] = AITERI_K(load)(o + row[r] * o_stride + d + c * AITERI_LANES);
    }
    for (int32_t i = 0; i < n; i++) {
        AITERI_UNROLL(8)
        for (int at = 0; at < vectors * AITERI_LANES;
             at += AITERI_LINE / (int)sizeof(AITERI_TYPE_C))
            AITERI_PREFETCH(AITERI_ROW(ahead[i]) + d + at);
        AITERI_K(vf) v[AITERI_AXPY_VECTORS];
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++) {
            if (vectors > 1)
                v[c] = AITERI_TYPE_LOAD(AITERI_ROW(values[i]) + d + c * AITERI_LANES);
            else
                v[c] = AITERI_T(chunk)(values[i], d, dim);
        }
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            const AITERI_K(vf) w = AITERI_K(set1)(p[row[r] * p_stride + i]);
            AITERI_UNROLL(8)
            for (int c = 0; c < vectors; c++) acc[r][c] = AITERI_K(fma)(w, v[c], acc[r][c]);
        }
    }
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) AITERI_UNROLL(8)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(o + row[r] * o_stride + d + c * AITERI_LANES, acc[r][c]);
}

/* The whole strips of up to `whole` columns. */
AITERI_FORCE_INLINE void AITERI_T(axpy_rows)(float *o, int64_t o_stride, const float *p,
                                             int64_t p_stride, int32_t whole,
                                             const void *const *values, int32_t n, const int rows,
                                             const void *const *ahead)
{
    for (int32_t d = 0; d < whole; d += AITERI_AXPY_VECTORS * AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, whole, values, n, rows, rows,
                             AITERI_AXPY_VECTORS, ahead);
}

/* The columns from `whole` on; up to four rows as four. */
AITERI_COLD void AITERI_T(axpy_rest)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                     int32_t whole, int32_t dim, const void *const *values,
                                     int32_t n, int32_t used, const void *const *ahead)
{
    for (int32_t d = whole; d < dim; d += AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, dim, values, n, used, 4, 1, ahead);
}

static void AITERI_T(stream_axpy)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                  int32_t rows, int32_t dim, const void *const *values, int32_t n,
                                  const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= o_stride);
    const int32_t strip = AITERI_AXPY_VECTORS * AITERI_LANES, whole = dim / strip * strip;
    for (int32_t r = 0; r < rows; r += 4) {
        float *at = o + r * o_stride;
        const float *w = p + r * p_stride;
        switch (rows - r) {
        case 1: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 1, ahead); break;
        case 2: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 2, ahead); break;
        case 3: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 3, ahead); break;
        default: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 4, ahead); break;
        }
        if (whole < dim)
            AITERI_T(axpy_rest)(at, o_stride, w, p_stride, whole, dim, values, n, rows - r, ahead);
    }
}

#undef AITERI_T
#undef AITERI_ROW
#undef AITERI_TYPE
#undef AITERI_TYPE_C
#undef AITERI_TYPE_LOAD
#undef AITERI_TYPE_LOAD_N
#define AITERI_TYPE        bf16
#define AITERI_TYPE_C      uint16_t
#define AITERI_TYPE_LOAD   AITERI_K(load_bf16)
#define AITERI_TYPE_LOAD_N AITERI_K(load_bf16_n)

// >>k_stream_types    (src/cpu/k_stream_types.inl.h)
/* k_stream_types.inl.h -- dot and axpy of the stream family for one storage type, named AITERI_TYPE
 * with elements AITERI_TYPE_C and the vector layer's converting loads. Stamped per type in every
 * ISA. */

#define AITERI_T(name) AITERI_K(AITERI_CAT(name, AITERI_TYPE))
#define AITERI_ROW(p)  ((const AITERI_TYPE_C *)(p))

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_T(chunk)(const void *row, int32_t d, int32_t dim)
{
    if (d + AITERI_LANES <= dim) return AITERI_TYPE_LOAD(AITERI_ROW(row) + d);
    return AITERI_TYPE_LOAD_N(AITERI_ROW(row) + d, dim - d);
}

/* The scores of `keys` keys and `rows` query rows, both constants where this is inlined. */
AITERI_FORCE_INLINE void AITERI_T(dot_block)(float *s, int64_t s_stride, const float *q,
                                             int64_t q_stride, int32_t dim, const void *const *key,
                                             const int rows)
{
    AITERI_K(vf) acc[4 * AITERI_DOT_KEYS];
    AITERI_UNROLL(16)
    for (int i = 0; i < rows * AITERI_DOT_KEYS; i++) acc[i] = AITERI_K(zero)();
    int32_t d = 0;
    for (; d + AITERI_LANES <= dim; d += AITERI_LANES) {
        AITERI_K(vf) k[AITERI_DOT_KEYS];
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) k[i] = AITERI_TYPE_LOAD(AITERI_ROW(key[i]) + d);
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            AITERI_K(vf) x = AITERI_K(load)(q + r * q_stride + d);
            AITERI_IN_REGISTER(x);
            AITERI_UNROLL(8)
            for (int i = 0; i < AITERI_DOT_KEYS; i++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(x, k[i], acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    if (d < dim) {
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) {
            const AITERI_K(vf) k = AITERI_T(chunk)(key[i], d, dim);
            AITERI_UNROLL(8)
            for (int r = 0; r < rows; r++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(AITERI_K(load)(q + r * q_stride + d),
                                                             k, acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    AITERI_K(store_sums)(s, s_stride, acc, rows);
}

/* All keys against `rows` query rows; `ahead` is NULL where it was brought already. */
AITERI_FORCE_INLINE void AITERI_T(dot_rows)(float *s, int64_t s_stride, const float *q,
                                            int64_t q_stride, int32_t dim, const void *const *keys,
                                            int32_t n, const int rows, const void *const *ahead)
{
    const int32_t bytes = dim * (int32_t)sizeof(AITERI_TYPE_C);
    for (int32_t i = 0; i < n; i += AITERI_DOT_KEYS) {
        if (ahead) {
            AITERI_UNROLL(8)
            for (int k = 0; k < AITERI_DOT_KEYS; k++) AITERI_K(fetch)(ahead[i + k], bytes);
        }
        AITERI_T(dot_block)(s + i, s_stride, q, q_stride, dim, keys + i, rows);
    }
}

static void AITERI_T(stream_dot)(float *s, int64_t s_stride, const float *q, int64_t q_stride,
                                 int32_t rows, int32_t dim, const void *const *keys, int32_t n,
                                 const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= q_stride);
    for (int32_t r = 0; r < rows; r += 4, ahead = NULL) {
        float *at = s + r * s_stride;
        const float *x = q + r * q_stride;
        switch (rows - r) {
        case 1: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 1, ahead); break;
        case 2: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 2, ahead); break;
        case 3: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 3, ahead); break;
        default: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 4, ahead); break;
        }
    }
}

/* One strip of `vectors` output vectors of `rows` rows over all keys; rows from `used` on repeat
 * the last one. */
AITERI_FORCE_INLINE void AITERI_T(axpy_strip)(float *o, int64_t o_stride, const float *p,
                                              int64_t p_stride, int32_t d, int32_t dim,
                                              const void *const *values, int32_t n,
                                              const int32_t used, const int rows, const int vectors,
                                              const void *const *ahead)
{
    int32_t row[4];
    AITERI_K(vf) acc[4][AITERI_AXPY_VECTORS];
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) {
        row[r] = r < used ? r : used - 1;
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++)
            acc[r][c] = AITERI_K(load)(o + row[r] * o_stride + d + c * AITERI_LANES);
    }
    for (int32_t i = 0; i < n; i++) {
        AITERI_UNROLL(8)
        for (int at = 0; at < vectors * AITERI_LANES;
             at += AITERI_LINE / (int)sizeof(AITERI_TYPE_C))
            AITERI_PREFETCH(AITERI_ROW(ahead[i]) + d + at);
        AITERI_K(vf) v[AITERI_AXPY_VECTORS];
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++) {
            if (vectors > 1)
                v[c] = AITERI_TYPE_LOAD(AITERI_ROW(values[i]) + d + c * AITERI_LANES);
            else
                v[c] = AITERI_T(chunk)(values[i], d, dim);
        }
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            const AITERI_K(vf) w = AITERI_K(set1)(p[row[r] * p_stride + i]);
            AITERI_UNROLL(8)
            for (int c = 0; c < vectors; c++) acc[r][c] = AITERI_K(fma)(w, v[c], acc[r][c]);
        }
    }
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) AITERI_UNROLL(8)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(o + row[r] * o_stride + d + c * AITERI_LANES, acc[r][c]);
}

/* The whole strips of up to `whole` columns. */
AITERI_FORCE_INLINE void AITERI_T(axpy_rows)(float *o, int64_t o_stride, const float *p,
                                             int64_t p_stride, int32_t whole,
                                             const void *const *values, int32_t n, const int rows,
                                             const void *const *ahead)
{
    for (int32_t d = 0; d < whole; d += AITERI_AXPY_VECTORS * AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, whole, values, n, rows, rows,
                             AITERI_AXPY_VECTORS, ahead);
}

/* The columns from `whole` on; up to four rows as four. */
AITERI_COLD void AITERI_T(axpy_rest)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                     int32_t whole, int32_t dim, const void *const *values,
                                     int32_t n, int32_t used, const void *const *ahead)
{
    for (int32_t d = whole; d < dim; d += AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, dim, values, n, used, 4, 1, ahead);
}

static void AITERI_T(stream_axpy)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                  int32_t rows, int32_t dim, const void *const *values, int32_t n,
                                  const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= o_stride);
    const int32_t strip = AITERI_AXPY_VECTORS * AITERI_LANES, whole = dim / strip * strip;
    for (int32_t r = 0; r < rows; r += 4) {
        float *at = o + r * o_stride;
        const float *w = p + r * p_stride;
        switch (rows - r) {
        case 1: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 1, ahead); break;
        case 2: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 2, ahead); break;
        case 3: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 3, ahead); break;
        default: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 4, ahead); break;
        }
        if (whole < dim)
            AITERI_T(axpy_rest)(at, o_stride, w, p_stride, whole, dim, values, n, rows - r, ahead);
    }
}

#undef AITERI_T
#undef AITERI_ROW
#undef AITERI_TYPE
#undef AITERI_TYPE_C
#undef AITERI_TYPE_LOAD
#undef AITERI_TYPE_LOAD_N
#define AITERI_TYPE        i8
#define AITERI_TYPE_C      int8_t
#define AITERI_TYPE_LOAD   AITERI_K(load_i8)
#define AITERI_TYPE_LOAD_N AITERI_K(load_i8_n)

// >>k_stream_types    (src/cpu/k_stream_types.inl.h)
/* k_stream_types.inl.h -- dot and axpy of the stream family for one storage type, named AITERI_TYPE
 * with elements AITERI_TYPE_C and the vector layer's converting loads. Stamped per type in every
 * ISA. */

#define AITERI_T(name) AITERI_K(AITERI_CAT(name, AITERI_TYPE))
#define AITERI_ROW(p)  ((const AITERI_TYPE_C *)(p))

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_T(chunk)(const void *row, int32_t d, int32_t dim)
{
    if (d + AITERI_LANES <= dim) return AITERI_TYPE_LOAD(AITERI_ROW(row) + d);
    return AITERI_TYPE_LOAD_N(AITERI_ROW(row) + d, dim - d);
}

/* The scores of `keys` keys and `rows` query rows, both constants where this is inlined. */
AITERI_FORCE_INLINE void AITERI_T(dot_block)(float *s, int64_t s_stride, const float *q,
                                             int64_t q_stride, int32_t dim, const void *const *key,
                                             const int rows)
{
    AITERI_K(vf) acc[4 * AITERI_DOT_KEYS];
    AITERI_UNROLL(16)
    for (int i = 0; i < rows * AITERI_DOT_KEYS; i++) acc[i] = AITERI_K(zero)();
    int32_t d = 0;
    for (; d + AITERI_LANES <= dim; d += AITERI_LANES) {
        AITERI_K(vf) k[AITERI_DOT_KEYS];
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) k[i] = AITERI_TYPE_LOAD(AITERI_ROW(key[i]) + d);
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            AITERI_K(vf) x = AITERI_K(load)(q + r * q_stride + d);
            AITERI_IN_REGISTER(x);
            AITERI_UNROLL(8)
            for (int i = 0; i < AITERI_DOT_KEYS; i++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(x, k[i], acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    if (d < dim) {
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) {
            const AITERI_K(vf) k = AITERI_T(chunk)(key[i], d, dim);
            AITERI_UNROLL(8)
            for (int r = 0; r < rows; r++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(AITERI_K(load)(q + r * q_stride + d),
                                                             k, acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    AITERI_K(store_sums)(s, s_stride, acc, rows);
}

/* All keys against `rows` query rows; `ahead` is NULL where it was brought already. */
AITERI_FORCE_INLINE void AITERI_T(dot_rows)(float *s, int64_t s_stride, const float *q,
                                            int64_t q_stride, int32_t dim, const void *const *keys,
                                            int32_t n, const int rows, const void *const *ahead)
{
    const int32_t bytes = dim * (int32_t)sizeof(AITERI_TYPE_C);
    for (int32_t i = 0; i < n; i += AITERI_DOT_KEYS) {
        if (ahead) {
            AITERI_UNROLL(8)
            for (int k = 0; k < AITERI_DOT_KEYS; k++) AITERI_K(fetch)(ahead[i + k], bytes);
        }
        AITERI_T(dot_block)(s + i, s_stride, q, q_stride, dim, keys + i, rows);
    }
}

static void AITERI_T(stream_dot)(float *s, int64_t s_stride, const float *q, int64_t q_stride,
                                 int32_t rows, int32_t dim, const void *const *keys, int32_t n,
                                 const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= q_stride);
    for (int32_t r = 0; r < rows; r += 4, ahead = NULL) {
        float *at = s + r * s_stride;
        const float *x = q + r * q_stride;
        switch (rows - r) {
        case 1: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 1, ahead); break;
        case 2: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 2, ahead); break;
        case 3: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 3, ahead); break;
        default: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 4, ahead); break;
        }
    }
}

/* One strip of `vectors` output vectors of `rows` rows over all keys; rows from `used` on repeat
 * the last one. */
AITERI_FORCE_INLINE void AITERI_T(axpy_strip)(float *o, int64_t o_stride, const float *p,
                                              int64_t p_stride, int32_t d, int32_t dim,
                                              const void *const *values, int32_t n,
                                              const int32_t used, const int rows, const int vectors,
                                              const void *const *ahead)
{
    int32_t row[4];
    AITERI_K(vf) acc[4][AITERI_AXPY_VECTORS];
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) {
        row[r] = r < used ? r : used - 1;
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++)
            acc[r][c] = AITERI_K(load)(o + row[r] * o_stride + d + c * AITERI_LANES);
    }
    for (int32_t i = 0; i < n; i++) {
        AITERI_UNROLL(8)
        for (int at = 0; at < vectors * AITERI_LANES;
             at += AITERI_LINE / (int)sizeof(AITERI_TYPE_C))
            AITERI_PREFETCH(AITERI_ROW(ahead[i]) + d + at);
        AITERI_K(vf) v[AITERI_AXPY_VECTORS];
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++) {
            if (vectors > 1)
                v[c] = AITERI_TYPE_LOAD(AITERI_ROW(values[i]) + d + c * AITERI_LANES);
            else
                v[c] = AITERI_T(chunk)(values[i], d, dim);
        }
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            const AITERI_K(vf) w = AITERI_K(set1)(p[row[r] * p_stride + i]);
            AITERI_UNROLL(8)
            for (int c = 0; c < vectors; c++) acc[r][c] = AITERI_K(fma)(w, v[c], acc[r][c]);
        }
    }
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) AITERI_UNROLL(8)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(o + row[r] * o_stride + d + c * AITERI_LANES, acc[r][c]);
}

/* The whole strips of up to `whole` columns. */
AITERI_FORCE_INLINE void AITERI_T(axpy_rows)(float *o, int64_t o_stride, const float *p,
                                             int64_t p_stride, int32_t whole,
                                             const void *const *values, int32_t n, const int rows,
                                             const void *const *ahead)
{
    for (int32_t d = 0; d < whole; d += AITERI_AXPY_VECTORS * AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, whole, values, n, rows, rows,
                             AITERI_AXPY_VECTORS, ahead);
}

/* The columns from `whole` on; up to four rows as four. */
AITERI_COLD void AITERI_T(axpy_rest)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                     int32_t whole, int32_t dim, const void *const *values,
                                     int32_t n, int32_t used, const void *const *ahead)
{
    for (int32_t d = whole; d < dim; d += AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, dim, values, n, used, 4, 1, ahead);
}

static void AITERI_T(stream_axpy)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                  int32_t rows, int32_t dim, const void *const *values, int32_t n,
                                  const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= o_stride);
    const int32_t strip = AITERI_AXPY_VECTORS * AITERI_LANES, whole = dim / strip * strip;
    for (int32_t r = 0; r < rows; r += 4) {
        float *at = o + r * o_stride;
        const float *w = p + r * p_stride;
        switch (rows - r) {
        case 1: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 1, ahead); break;
        case 2: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 2, ahead); break;
        case 3: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 3, ahead); break;
        default: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 4, ahead); break;
        }
        if (whole < dim)
            AITERI_T(axpy_rest)(at, o_stride, w, p_stride, whole, dim, values, n, rows - r, ahead);
    }
}

#undef AITERI_T
#undef AITERI_ROW
#undef AITERI_TYPE
#undef AITERI_TYPE_C
#undef AITERI_TYPE_LOAD
#undef AITERI_TYPE_LOAD_N
#endif

#if AITERI_STREAM_TYPES && AITERI_HAS_DECODE
#define AITERI_K_TYPED(name) AITERI_K(name)
#else
#define AITERI_K_TYPED(name) NULL
#endif

/* In the order of aiter_dtype. */
static const aiteri_dot_fn AITERI_K(stream_dot)[AITER_DTYPE_COUNT] = {
    NULL,
    AITERI_K(stream_dot_f32),
    AITERI_K_TYPED(stream_dot_f16),
    AITERI_K_TYPED(stream_dot_bf16),
    NULL,
    NULL,
    NULL,
    AITERI_K_TYPED(stream_dot_i8),
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL};
static const aiteri_axpy_fn AITERI_K(stream_axpy)[AITER_DTYPE_COUNT] = {
    NULL,
    AITERI_K(stream_axpy_f32),
    AITERI_K_TYPED(stream_axpy_f16),
    AITERI_K_TYPED(stream_axpy_bf16),
    NULL,
    NULL,
    NULL,
    AITERI_K_TYPED(stream_axpy_i8),
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL};
#else
#define AITERI_TILE_LANES AITERI_LANES
#endif

static const aiteri_kernels AITERI_K(kernels) = {AITERI_K_NAME,
                                                 AITERI_K_ISA,
                                                 AITERI_K_NEEDS,
                                                 AITERI_K_BELOW,
                                                 NULL,
                                                 AITERI_LANES,
                                                 AITERI_TILE_LANES,
                                                 AITERI_F32_FORMAT,
                                                 AITERI_BLOCK_ENTRIES(AITERI_K),
                                                 AITERI_OTHER_ENTRIES(AITERI_K)};

#undef AITERI_K
#undef AITERI_K_NAME
#undef AITERI_K_ISA
#undef AITERI_K_NEEDS
#undef AITERI_K_BELOW
#undef AITERI_LANES
#undef AITERI_TILE_LANES
#undef AITERI_TILE_VECTORS
#undef AITERI_TILE_ROWS
#undef AITERI_NARROW_VECTORS
#undef AITERI_NARROW_ROWS
#undef AITERI_TILE_GROUP
#undef AITERI_TILE_MOST
#undef AITERI_TILE_CHUNK
#undef AITERI_TILE_STEPS
#undef AITERI_TILE_NEXT
#undef AITERI_DOT_KEYS
#undef AITERI_AXPY_VECTORS
#undef AITERI_STREAM_TYPES
#undef AITERI_CONVERTS
#undef AITERI_CONVERT_OF
#undef AITERI_K_TYPED
#undef AITERI_RESCALE_AT
AITERI_TARGET_END

AITERI_TARGET_BEGIN(AITERI_TARGET_AVX512)
#define AITERI_K(name)             AITERI_CAT(aiteri_avx512, name)
#define AITERI_K_NAME              "avx512"
#define AITERI_K_ISA               AITER_ISA_AVX512
#define AITERI_K_NEEDS             AITERI_CPU_AVX512
#define AITERI_K_BELOW             &aiteri_avx2_kernels
#define AITERI_TILE_VECTORS        3
#define AITERI_TILE_NEXT(place, x) ((void)0)
#define AITERI_TILE_ROWS           8
#define AITERI_NARROW_VECTORS      1
#define AITERI_NARROW_ROWS         8
#define AITERI_TILE_STEPS          2
#define AITERI_DOT_KEYS            4
#define AITERI_AXPY_VECTORS        4
#define AITERI_STREAM_TYPES        1
#define AITERI_CONVERTS            0
#define AITERI_CONVERT_OF(name)    AITERI_CAT(aiteri_avx2, name)

// >>simd_avx512    (src/cpu/simd_avx512.h)
/* simd_avx512.h -- the vector layer on AVX-512 F, BW, DQ, VL and CD: sixteen lanes, partial loads
 * and stores by mask register. simd_scalar.h says what each function means. */
typedef __m512 AITERI_K(vf);
typedef __m512i AITERI_K(vi);
typedef __mmask16 AITERI_K(vm);
#define AITERI_LANES 16

AITERI_FORCE_INLINE __m512 AITERI_K(zero)(void) { return _mm512_setzero_ps(); }
AITERI_FORCE_INLINE __m512 AITERI_K(set1)(float x) { return _mm512_set1_ps(x); }
AITERI_FORCE_INLINE __m512 AITERI_K(iota)(void)
{
    return _mm512_setr_ps(0.0f, 1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f, 7.0f, 8.0f, 9.0f, 10.0f, 11.0f,
                          12.0f, 13.0f, 14.0f, 15.0f);
}

AITERI_FORCE_INLINE __m512i AITERI_K(set1_i)(int32_t x) { return _mm512_set1_epi32(x); }
AITERI_FORCE_INLINE __m512i AITERI_K(iota_i)(void)
{
    return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
AITERI_FORCE_INLINE __m512i AITERI_K(add_i)(__m512i a, __m512i b) { return _mm512_add_epi32(a, b); }
AITERI_FORCE_INLINE __m512i AITERI_K(sub_i)(__m512i a, __m512i b) { return _mm512_sub_epi32(a, b); }
AITERI_FORCE_INLINE __m512i AITERI_K(and_i)(__m512i a, __m512i b) { return _mm512_and_si512(a, b); }
AITERI_FORCE_INLINE __m512i AITERI_K(or_i)(__m512i a, __m512i b) { return _mm512_or_si512(a, b); }
/* Shifts by a vector: the immediate forms need a constant even at -O0. */
AITERI_FORCE_INLINE __m512i AITERI_K(shl_i)(__m512i a, int n)
{
    return _mm512_sllv_epi32(a, _mm512_set1_epi32(n));
}
AITERI_FORCE_INLINE __m512i AITERI_K(shr_i)(__m512i a, int n)
{
    return _mm512_srlv_epi32(a, _mm512_set1_epi32(n));
}
AITERI_FORCE_INLINE __mmask16 AITERI_K(lt_i)(__m512i a, __m512i b)
{
    return _mm512_cmplt_epi32_mask(a, b);
}
AITERI_FORCE_INLINE __mmask16 AITERI_K(eq_i)(__m512i a, __m512i b)
{
    return _mm512_cmpeq_epi32_mask(a, b);
}
AITERI_FORCE_INLINE __m512i AITERI_K(select_i)(__mmask16 m, __m512i a, __m512i b)
{
    return _mm512_mask_blend_epi32(m, b, a);
}
AITERI_FORCE_INLINE __m512i AITERI_K(to_i)(__m512 a) { return _mm512_cvtps_epi32(a); }
AITERI_FORCE_INLINE __m512 AITERI_K(to_f)(__m512i a) { return _mm512_cvtepi32_ps(a); }
AITERI_FORCE_INLINE __m512i AITERI_K(as_i)(__m512 a) { return _mm512_castps_si512(a); }
AITERI_FORCE_INLINE __m512 AITERI_K(as_f)(__m512i a) { return _mm512_castsi512_ps(a); }

AITERI_FORCE_INLINE __mmask16 AITERI_K(first)(int n) { return (__mmask16)((1u << n) - 1u); }
AITERI_FORCE_INLINE __m512 AITERI_K(load)(const float *p) { return _mm512_loadu_ps(p); }
AITERI_FORCE_INLINE void AITERI_K(store)(float *p, __m512 x) { _mm512_storeu_ps(p, x); }
AITERI_FORCE_INLINE __m512 AITERI_K(load_n)(const float *p, int n)
{
    return _mm512_maskz_loadu_ps(AITERI_K(first)(n), p);
}
AITERI_FORCE_INLINE void AITERI_K(store_n)(float *p, __m512 x, int n)
{
    _mm512_mask_storeu_ps(p, AITERI_K(first)(n), x);
}

AITERI_FORCE_INLINE __m512 AITERI_K(fma)(__m512 a, __m512 b, __m512 c)
{
    return AITERI_VECTOR_FMA(_mm512_fmadd_ps, a, b, c);
}
AITERI_FORCE_INLINE __m512 AITERI_K(add)(__m512 a, __m512 b)
{
    return AITERI_VECTOR_OP(_mm512_add_ps, a, +, b);
}
AITERI_FORCE_INLINE __m512 AITERI_K(sub)(__m512 a, __m512 b)
{
    return AITERI_VECTOR_OP(_mm512_sub_ps, a, -, b);
}
AITERI_FORCE_INLINE __m512 AITERI_K(mul)(__m512 a, __m512 b)
{
    __m512 product = AITERI_VECTOR_OP(_mm512_mul_ps, a, *, b);
    AITERI_FENCE_PRODUCT(product);
    return product;
}
AITERI_FORCE_INLINE __m512 AITERI_K(div)(__m512 a, __m512 b)
{
    return AITERI_VECTOR_OP(_mm512_div_ps, a, /, b);
}
AITERI_FORCE_INLINE __m512 AITERI_K(max)(__m512 a, __m512 b) { return _mm512_max_ps(a, b); }
AITERI_FORCE_INLINE __m512 AITERI_K(min)(__m512 a, __m512 b) { return _mm512_min_ps(a, b); }
AITERI_FORCE_INLINE __m512 AITERI_K(abs)(__m512 a)
{
    return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a);
}
AITERI_FORCE_INLINE __m512 AITERI_K(copysign)(__m512 a, __m512 b)
{
    const __m512 sign = _mm512_set1_ps(-0.0f);
    return _mm512_or_ps(_mm512_andnot_ps(sign, a), _mm512_and_ps(sign, b));
}
AITERI_FORCE_INLINE __m512 AITERI_K(round)(__m512 a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
AITERI_FORCE_INLINE __m512 AITERI_K(scale2)(__m512 a, __m512 n) { return _mm512_scalef_ps(a, n); }
AITERI_FORCE_INLINE __m512 AITERI_K(ldexp)(__m512 a, __m512 n) { return _mm512_scalef_ps(a, n); }

AITERI_FORCE_INLINE __mmask16 AITERI_K(lt)(__m512 a, __m512 b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
AITERI_FORCE_INLINE __mmask16 AITERI_K(gt)(__m512 a, __m512 b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
}
AITERI_FORCE_INLINE __mmask16 AITERI_K(nlt)(__m512 a, __m512 b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ);
}
AITERI_FORCE_INLINE __mmask16 AITERI_K(and_m)(__mmask16 a, __mmask16 b)
{
    return (__mmask16)(a & b);
}
AITERI_FORCE_INLINE __mmask16 AITERI_K(or_m)(__mmask16 a, __mmask16 b)
{
    return (__mmask16)(a | b);
}
AITERI_FORCE_INLINE __mmask16 AITERI_K(not_m)(__mmask16 a) { return (__mmask16)~a; }
AITERI_FORCE_INLINE int AITERI_K(any)(__mmask16 m) { return m != 0; }
AITERI_FORCE_INLINE int AITERI_K(all)(__mmask16 m) { return m == 0xffff; }
AITERI_FORCE_INLINE __m512 AITERI_K(select)(__mmask16 m, __m512 a, __m512 b)
{
    return _mm512_mask_blend_ps(m, b, a);
}
AITERI_FORCE_INLINE __m512 AITERI_K(keep)(__mmask16 m, __m512 a)
{
    return _mm512_maskz_mov_ps(m, a);
}

/* Sums of four vectors inside each quarter; hsum and hsum16 add in the same order. */
AITERI_FORCE_INLINE __m512 AITERI_K(fold4)(__m512 a, __m512 b, __m512 c, __m512 d)
{
    const __m512 ab =
        AITERI_K(add)(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)); /* a02 b02 a13 b13 */
    const __m512 cd = AITERI_K(add)(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    return AITERI_K(add)(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
}
/* (quarter 0 + quarter 2) + (quarter 1 + quarter 3). */
AITERI_FORCE_INLINE __m128 AITERI_K(fold_quarters)(__m512 s)
{
    const __m256 lo = _mm512_castps512_ps256(s), hi = _mm512_extractf32x8_ps(s, 1);
    const __m256 t = AITERI_VECTOR_OP(_mm256_add_ps, lo, +, hi);
    return AITERI_VECTOR_OP(_mm_add_ps, _mm256_castps256_ps128(t), +, _mm256_extractf128_ps(t, 1));
}
AITERI_FORCE_INLINE void AITERI_K(hsum4)(__m512 a, __m512 b, __m512 c, __m512 d, float *out)
{
    _mm_storeu_ps(out, AITERI_K(fold_quarters)(AITERI_K(fold4)(a, b, c, d)));
}
AITERI_FORCE_INLINE void AITERI_K(hsum16)(const __m512 *v, float *out)
{
    const __m512 a = AITERI_K(fold4)(v[0], v[1], v[2], v[3]);
    const __m512 b = AITERI_K(fold4)(v[4], v[5], v[6], v[7]);
    const __m512 c = AITERI_K(fold4)(v[8], v[9], v[10], v[11]);
    const __m512 d = AITERI_K(fold4)(v[12], v[13], v[14], v[15]);
    const __m512 ab = /* quarters a02 a13 b02 b13 */
        AITERI_K(add)(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    const __m512 cd =
        AITERI_K(add)(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));
    _mm512_storeu_ps(
        out, AITERI_K(add)(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd)));
}
AITERI_FORCE_INLINE float AITERI_K(hsum)(__m512 a)
{
    const __m512 t = AITERI_K(add)(a, _mm512_permute_ps(a, 0x4e));
    return _mm_cvtss_f32(AITERI_K(fold_quarters)(AITERI_K(add)(t, _mm512_permute_ps(t, 0xb1))));
}
AITERI_FORCE_INLINE float AITERI_K(hmax)(__m512 a)
{
    const __m256 t = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(t), _mm256_extractf128_ps(t, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}

/* Columns c to c+3 of sixteen rows, a 4x4 block in each quarter: quarter j of out[i] is column c+i
 * of rows 4j to 4j+3, because quarter j was loaded from row 4j+i. */
AITERI_FORCE_INLINE __m512 AITERI_K(load_quarters)(const float *p, int64_t ld)
{
    __m512 x = _mm512_castps128_ps512(_mm_loadu_ps(p));
    x = _mm512_insertf32x4(x, _mm_loadu_ps(p + 4 * ld), 1);
    x = _mm512_insertf32x4(x, _mm_loadu_ps(p + 8 * ld), 2);
    return _mm512_insertf32x4(x, _mm_loadu_ps(p + 12 * ld), 3);
}
AITERI_COLD void AITERI_K(transpose)(const float *src, int64_t ld_src, float *dst, int64_t ld_dst)
{
    AITERI_UNROLL(4)
    for (int c = 0; c < 16; c += 4) {
        const __m512 x0 = AITERI_K(load_quarters)(src + c, ld_src);
        const __m512 x1 = AITERI_K(load_quarters)(src + c + ld_src, ld_src);
        const __m512 x2 = AITERI_K(load_quarters)(src + c + 2 * ld_src, ld_src);
        const __m512 x3 = AITERI_K(load_quarters)(src + c + 3 * ld_src, ld_src);
        const __m512 a0 = _mm512_unpacklo_ps(x0, x1), a2 = _mm512_unpackhi_ps(x0, x1);
        const __m512 b0 = _mm512_unpacklo_ps(x2, x3), b2 = _mm512_unpackhi_ps(x2, x3);
        float *out = dst + c * ld_dst;
        _mm512_storeu_ps(out, _mm512_shuffle_ps(a0, b0, 0x44));
        _mm512_storeu_ps(out + ld_dst, _mm512_shuffle_ps(a0, b0, 0xee));
        _mm512_storeu_ps(out + 2 * ld_dst, _mm512_shuffle_ps(a2, b2, 0x44));
        _mm512_storeu_ps(out + 3 * ld_dst, _mm512_shuffle_ps(a2, b2, 0xee));
    }
}

AITERI_FORCE_INLINE __m256i AITERI_K(load_x16)(const uint16_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
AITERI_FORCE_INLINE __m256i AITERI_K(load_x16_n)(const uint16_t *p, int n)
{
    return _mm256_maskz_loadu_epi16(AITERI_K(first)(n), p);
}
AITERI_FORCE_INLINE __m512 AITERI_K(expand_bf16)(__m256i x)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}
AITERI_FORCE_INLINE __m512 AITERI_K(expand_i8)(__m128i x)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(x));
}
AITERI_FORCE_INLINE __m512 AITERI_K(load_f16)(const uint16_t *p)
{
    return _mm512_cvtph_ps(AITERI_K(load_x16)(p));
}
AITERI_FORCE_INLINE __m512 AITERI_K(load_f16_n)(const uint16_t *p, int n)
{
    return _mm512_cvtph_ps(AITERI_K(load_x16_n)(p, n));
}
AITERI_FORCE_INLINE __m512 AITERI_K(load_bf16)(const uint16_t *p)
{
    return AITERI_K(expand_bf16)(AITERI_K(load_x16)(p));
}
AITERI_FORCE_INLINE __m512 AITERI_K(load_bf16_n)(const uint16_t *p, int n)
{
    return AITERI_K(expand_bf16)(AITERI_K(load_x16_n)(p, n));
}
AITERI_FORCE_INLINE __m512 AITERI_K(load_i8)(const int8_t *p)
{
    return AITERI_K(expand_i8)(_mm_loadu_si128((const __m128i *)(const void *)p));
}
AITERI_FORCE_INLINE __m512 AITERI_K(load_i8_n)(const int8_t *p, int n)
{
    return AITERI_K(expand_i8)(_mm_maskz_loadu_epi8(AITERI_K(first)(n), p));
}
AITERI_FORCE_INLINE __m512 AITERI_K(load_e5m2_raw)(const uint8_t *p)
{
    const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm512_cvtph_ps(_mm256_slli_epi16(_mm256_cvtepu8_epi16(x), 8));
}
AITERI_FORCE_INLINE __m512 AITERI_K(load_e4m3_raw)(const uint8_t *p)
{
    const __m256i x = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
    return _mm512_cvtph_ps(
        _mm256_and_si256(_mm256_slli_epi16(x, 7), _mm256_set1_epi16((int16_t)(uint16_t)0xbf80)));
}

AITERI_FORCE_INLINE __m256i AITERI_K(pack_f16)(__m512 x)
{
    return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
AITERI_FORCE_INLINE void AITERI_K(store_x16)(uint16_t *p, __m512i x)
{
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(x));
}
AITERI_FORCE_INLINE void AITERI_K(store_x16_n)(uint16_t *p, __m512i x, int n)
{
    _mm256_mask_storeu_epi16(p, AITERI_K(first)(n), _mm512_cvtepi32_epi16(x));
}
AITERI_FORCE_INLINE void AITERI_K(store_x8)(uint8_t *p, __m512i x)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtepi32_epi8(x));
}
AITERI_FORCE_INLINE void AITERI_K(store_f16)(uint16_t *p, __m512 x)
{
    _mm256_storeu_si256((__m256i *)(void *)p, AITERI_K(pack_f16)(x));
}
AITERI_FORCE_INLINE void AITERI_K(store_f16_n)(uint16_t *p, __m512 x, int n)
{
    _mm256_mask_storeu_epi16(p, AITERI_K(first)(n), AITERI_K(pack_f16)(x));
}

// >>k_all    (src/cpu/k_all.inl.h)
/* k_all.inl.h -- one kernel set: the templates in order, the table that lists them, and the
 * clean-up. */

// >>k_math    (src/cpu/k_math.inl.h)
/* k_math.inl.h -- exp2 and tanh of a vector and rounding stores to bfloat16, written once over the
 * vector layer. */

/* 2^x times `unit`, a constant power of two that costs nothing; 2^least * unit is the smallest
 * normal number. Error below 0.8 ulp (1.1 without FMA); exact at integers; x < least gives an exact
 * zero, never a subnormal, which would slow every operation after it; 128 and above give infinity
 * if unit is 1; NaN stays NaN. 2^x = 2^n 2^f with |f| <= 1/2 and a minimax polynomial for 2^f that
 * is exact at 0. */
AITERI_FORCE_INLINE AITERI_K(vf)
    AITERI_K(exp2_unit)(AITERI_K(vf) x, const float unit, const float least)
{
    const AITERI_K(vm) live = AITERI_K(nlt)(x, AITERI_K(set1)(least));
    x = AITERI_K(min)(AITERI_K(set1)(128.0f), x);
    const AITERI_K(vf) n = AITERI_K(round)(x);
    const AITERI_K(vf) f = AITERI_K(sub)(x, n);
    AITERI_K(vf) p = AITERI_K(set1)(1.53264686e-4f * unit);
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(1.33908063e-3f * unit));
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(9.61850584e-3f * unit));
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(5.55035993e-2f * unit));
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(0.240226477f * unit));
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(0.693147182f * unit));
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(unit));
    return AITERI_K(keep)(live, AITERI_K(scale2)(p, n));
}

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(exp2)(AITERI_K(vf) x)
{
    return AITERI_K(exp2_unit)(x, 1.0f, -126.0f);
}

/* tanh(x), relative error below 2 ulp everywhere: an odd polynomial near zero, where the other form
 * would cancel, and 1 - 2 / (e^2|x| + 1) beyond. */
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(tanh)(AITERI_K(vf) x)
{
    const AITERI_K(vf) one = AITERI_K(set1)(1.0f);
    const AITERI_K(vf) a = AITERI_K(abs)(x);
    const AITERI_K(vf) u = AITERI_K(mul)(a, a);
    AITERI_K(vf) p = AITERI_K(set1)(-5.6922962e-3f);
    p = AITERI_K(fma)(p, u, AITERI_K(set1)(2.06281673e-2f));
    p = AITERI_K(fma)(p, u, AITERI_K(set1)(-5.37365153e-2f));
    p = AITERI_K(fma)(p, u, AITERI_K(set1)(0.133314058f));
    p = AITERI_K(fma)(p, u, AITERI_K(set1)(-0.333332807f));
    p = AITERI_K(fma)(AITERI_K(mul)(p, u), a, a);
    const AITERI_K(vf) y =
        AITERI_K(mul)(AITERI_K(min)(AITERI_K(set1)(10.0f), a), AITERI_K(set1)(2.88539008f));
    const AITERI_K(vf) e = AITERI_K(add)(AITERI_K(exp2)(y), one);
    const AITERI_K(vf) big = AITERI_K(sub)(one, AITERI_K(div)(AITERI_K(set1)(2.0f), e));
    const AITERI_K(vm) near_zero = AITERI_K(lt)(a, AITERI_K(set1)(0.625f));
    return AITERI_K(copysign)(AITERI_K(select)(near_zero, p, big), x);
}

/* A score under a softcap. */
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(capped)(AITERI_K(vf) x, const aiteri_softcap *softcap)
{
    const AITERI_K(vf) cap = AITERI_K(set1)(softcap->cap);
    AITERI_K(vf) share = x;
    if (softcap->wide)
        share = AITERI_K(mul)(AITERI_K(mul)(x, AITERI_K(set1)(softcap->before)),
                              AITERI_K(set1)(softcap->inverse));
    const AITERI_K(vf) y = AITERI_K(mul)(cap, AITERI_K(tanh)(share));
    if (!softcap->wide) return y;
    const AITERI_K(vm) unseen =
        AITERI_K(lt)(AITERI_K(abs)(share), AITERI_K(set1)(1.220703125e-4f)); /* 2^-13 */
    return AITERI_K(select)(unseen, x, y);
}

/* Bits of x as bfloat16: to nearest even, overflow to infinity, NaN kept and made quiet. */
AITERI_FORCE_INLINE AITERI_K(vi) AITERI_K(bf16_bits)(AITERI_K(vf) x)
{
    const AITERI_K(vi) u = AITERI_K(as_i)(x);
    const AITERI_K(vi) high = AITERI_K(shr_i)(u, 16);
    const AITERI_K(vi) odd = AITERI_K(and_i)(high, AITERI_K(set1_i)(1));
    const AITERI_K(vi) up = AITERI_K(add_i)(AITERI_K(add_i)(u, AITERI_K(set1_i)(0x7fff)), odd);
    const AITERI_K(vm) nan = AITERI_K(lt_i)(AITERI_K(set1_i)(0x7f800000),
                                            AITERI_K(and_i)(u, AITERI_K(set1_i)(0x7fffffff)));
    return AITERI_K(select_i)(nan, AITERI_K(or_i)(high, AITERI_K(set1_i)(0x40)),
                              AITERI_K(shr_i)(up, 16));
}

AITERI_FORCE_INLINE void AITERI_K(store_bf16)(uint16_t *p, AITERI_K(vf) x)
{
    AITERI_K(store_x16)(p, AITERI_K(bf16_bits)(x));
}

AITERI_FORCE_INLINE void AITERI_K(store_bf16_n)(uint16_t *p, AITERI_K(vf) x, int n)
{
    AITERI_K(store_x16_n)(p, AITERI_K(bf16_bits)(x), n);
}

// >>k_convert    (src/cpu/k_convert.inl.h)
/* k_convert.inl.h -- rows of any storage type to f32 and back, the same bits as dtype.c, written
 * once over the vector layer. n counts elements; an I4 or F4 row starts at a whole byte. */

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_f8_e4m3fn)(const uint8_t *p)
{
    const AITERI_K(vf) raw = AITERI_K(load_e4m3_raw)(p);
    const AITERI_K(vi) u = AITERI_K(as_i)(AITERI_K(mul)(raw, AITERI_K(set1)(256.0f)));
    const AITERI_K(vm) nan = AITERI_K(gt)(AITERI_K(abs)(raw), AITERI_K(set1)(1.75f));
    const AITERI_K(vi) all_ones = AITERI_K(or_i)(u, AITERI_K(set1_i)(0x7ff00000));
    return AITERI_K(as_f)(AITERI_K(select_i)(nan, all_ones, u));
}

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_f8_e4m3fnuz)(const uint8_t *p)
{
    const AITERI_K(vf) raw = AITERI_K(load_e4m3_raw)(p);
    const AITERI_K(vi) u = AITERI_K(as_i)(AITERI_K(mul)(raw, AITERI_K(set1)(128.0f)));
    const AITERI_K(vm) minus_zero = AITERI_K(eq_i)(u, AITERI_K(set1_i)(INT32_MIN));
    const AITERI_K(vi) nan = AITERI_K(set1_i)(INT32_MIN | 0x7fc00000);
    return AITERI_K(as_f)(AITERI_K(select_i)(minus_zero, nan, u));
}

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_f8_e5m2)(const uint8_t *p)
{
    return AITERI_K(load_e5m2_raw)(p);
}

AITERI_FORCE_INLINE AITERI_K(vi) AITERI_K(magnitude_bits)(AITERI_K(vf) x)
{
    return AITERI_K(and_i)(AITERI_K(as_i)(x), AITERI_K(set1_i)(0x7fffffff));
}
AITERI_FORCE_INLINE AITERI_K(vm) AITERI_K(is_nan)(AITERI_K(vf) x)
{
    return AITERI_K(lt_i)(AITERI_K(set1_i)(0x7f800000), AITERI_K(magnitude_bits)(x));
}
AITERI_FORCE_INLINE AITERI_K(vi) AITERI_K(f8_sign)(AITERI_K(vf) x)
{
    return AITERI_K(and_i)(AITERI_K(shr_i)(AITERI_K(as_i)(x), 24), AITERI_K(set1_i)(0x80));
}

/* |x| as a float with so many mantissa bits and that bias, at most `max`. Subnormals come from a
 * sum with the number whose last bit is worth one step: it is normal, so flushing has no hold on
 * it. */
AITERI_FORCE_INLINE AITERI_K(vi)
    AITERI_K(f8_magnitude)(AITERI_K(vf) x, const int mantissa, const int bias, const int32_t max)
{
    const int drop = 23 - mantissa, rebias = 127 - bias;
    const int32_t half = (1 << (drop - 1)) - 1, base = rebias << mantissa;
    const AITERI_K(vi) a = AITERI_K(magnitude_bits)(x);
    const AITERI_K(vi) odd = AITERI_K(and_i)(AITERI_K(shr_i)(a, drop), AITERI_K(set1_i)(1));
    const AITERI_K(vi) up = AITERI_K(add_i)(AITERI_K(add_i)(a, AITERI_K(set1_i)(half)), odd);
    const AITERI_K(vi) normal = AITERI_K(sub_i)(AITERI_K(shr_i)(up, drop), AITERI_K(set1_i)(base));
    const AITERI_K(vi) magic = AITERI_K(set1_i)((rebias + 1 + drop) << 23);
    const AITERI_K(vf) sum = AITERI_K(add)(AITERI_K(as_f)(a), AITERI_K(as_f)(magic));
    const AITERI_K(vi) small = AITERI_K(sub_i)(AITERI_K(as_i)(sum), magic);
    const AITERI_K(vm) is_small = AITERI_K(lt_i)(a, AITERI_K(set1_i)((rebias + 1) << 23));
    const AITERI_K(vi) code = AITERI_K(select_i)(is_small, small, normal);
    const AITERI_K(vi) top = AITERI_K(set1_i)(max);
    return AITERI_K(select_i)(AITERI_K(lt_i)(top, code), top, code);
}

AITERI_FORCE_INLINE void AITERI_K(store_f8_e4m3fn)(uint8_t *p, AITERI_K(vf) x)
{
    const AITERI_K(vi) code = AITERI_K(f8_magnitude)(x, 3, 7, 0x7e);
    const AITERI_K(vi) kept = AITERI_K(select_i)(AITERI_K(is_nan)(x), AITERI_K(set1_i)(0x7f), code);
    AITERI_K(store_x8)(p, AITERI_K(or_i)(kept, AITERI_K(f8_sign)(x)));
}

AITERI_FORCE_INLINE void AITERI_K(store_f8_e4m3fnuz)(uint8_t *p, AITERI_K(vf) x)
{
    const AITERI_K(vi) zero = AITERI_K(set1_i)(0);
    const AITERI_K(vi) code = AITERI_K(f8_magnitude)(x, 3, 8, 0x7f);
    const AITERI_K(vi) value = AITERI_K(select_i)(AITERI_K(eq_i)(code, zero), zero,
                                                  AITERI_K(or_i)(code, AITERI_K(f8_sign)(x)));
    AITERI_K(store_x8)(p, AITERI_K(select_i)(AITERI_K(is_nan)(x), AITERI_K(set1_i)(0x80), value));
}

AITERI_FORCE_INLINE void AITERI_K(store_f8_e5m2)(uint8_t *p, AITERI_K(vf) x)
{
    const AITERI_K(vi) code = AITERI_K(f8_magnitude)(x, 2, 15, 0x7b);
    const AITERI_K(vi) kept = AITERI_K(select_i)(AITERI_K(is_nan)(x), AITERI_K(set1_i)(0x7f), code);
    AITERI_K(store_x8)(p, AITERI_K(or_i)(kept, AITERI_K(f8_sign)(x)));
}

AITERI_FORCE_INLINE void AITERI_K(store_int8)(int8_t *p, AITERI_K(vf) x, const float limit)
{
    const AITERI_K(vf) low = AITERI_K(max)(AITERI_K(set1)(-limit), x);
    const AITERI_K(vi) i = AITERI_K(to_i)(AITERI_K(min)(AITERI_K(set1)(limit), low));
    const AITERI_K(vi) kept = AITERI_K(select_i)(AITERI_K(is_nan)(x), AITERI_K(set1_i)(0), i);
    AITERI_K(store_x8)((uint8_t *)p, AITERI_K(and_i)(kept, AITERI_K(set1_i)(0xff)));
}
AITERI_FORCE_INLINE void AITERI_K(store_i8)(int8_t *p, AITERI_K(vf) x)
{
    AITERI_K(store_int8)(p, x, 127.0f);
}
AITERI_FORCE_INLINE void AITERI_K(store_i4_byte)(int8_t *p, AITERI_K(vf) x)
{
    AITERI_K(store_int8)(p, x, 7.0f);
}
AITERI_FORCE_INLINE void AITERI_K(store_f4_byte)(int8_t *p, AITERI_K(vf) x)
{
    const AITERI_K(vi) sign =
        AITERI_K(and_i)(AITERI_K(shr_i)(AITERI_K(as_i)(x), 28), AITERI_K(set1_i)(8));
    const AITERI_K(vi) code = AITERI_K(or_i)(AITERI_K(f8_magnitude)(x, 1, 1, 7), sign);
    AITERI_K(store_x8)((uint8_t *)p,
                       AITERI_K(select_i)(AITERI_K(is_nan)(x), AITERI_K(set1_i)(0), code));
}

/* The loop over a row; its last partial vector goes through a copy. */
#define AITERI_WIDEN(name, type)                                               \
    static void AITERI_K(widen_##name)(float *dst, const void *src, int64_t n) \
    {                                                                          \
        const type *p = (const type *)src;                                     \
        int64_t i = 0;                                                         \
        for (; i + AITERI_LANES <= n; i += AITERI_LANES)                       \
            AITERI_K(store)(dst + i, AITERI_K(load_##name)(p + i));            \
        if (i >= n) return;                                                    \
        type tail[AITERI_LANES] = {0};                                         \
        memcpy(tail, p + i, (size_t)(n - i) * sizeof *p);                      \
        AITERI_K(store_n)(dst + i, AITERI_K(load_##name)(tail), (int)(n - i)); \
    }

#define AITERI_NARROW(name, type)                                               \
    static void AITERI_K(narrow_##name)(void *dst, const float *src, int64_t n) \
    {                                                                           \
        type *p = (type *)dst;                                                  \
        int64_t i = 0;                                                          \
        for (; i + AITERI_LANES <= n; i += AITERI_LANES)                        \
            AITERI_K(store_##name)(p + i, AITERI_K(load)(src + i));             \
        if (i >= n) return;                                                     \
        type tail[AITERI_LANES];                                                \
        AITERI_K(store_##name)(tail, AITERI_K(load_n)(src + i, (int)(n - i)));  \
        memcpy(p + i, tail, (size_t)(n - i) * sizeof *p);                       \
    }

AITERI_WIDEN(f16, uint16_t)
AITERI_WIDEN(bf16, uint16_t)
AITERI_WIDEN(i8, int8_t)
#if AITERI_CONVERTS /* else the set below has them */
AITERI_NARROW(f16, uint16_t)
AITERI_NARROW(bf16, uint16_t)
#if AITERI_READS_CODES
AITERI_WIDEN(f8_e4m3fn, uint8_t)
AITERI_WIDEN(f8_e4m3fnuz, uint8_t)
AITERI_WIDEN(f8_e5m2, uint8_t)

/* The types of 4 bits go by blocks through bytes. */
static void AITERI_K(widen_i4)(float *dst, const void *src, int64_t n)
{
    const uint8_t *p = (const uint8_t *)src;
    int8_t block[128];
    for (int64_t i = 0; i < n; i += 128) {
        const int64_t count = n - i < 128 ? n - i : 128;
        for (int64_t k = 0; k < (count + 1) / 2; k++) {
            const int byte = p[i / 2 + k];
            block[2 * k] = (int8_t)(((byte & 15) ^ 8) - 8);
            block[2 * k + 1] = (int8_t)(((byte >> 4) ^ 8) - 8);
        }
        AITERI_K(widen_i8)(dst + i, block, count);
    }
}
#endif
#if AITERI_WRITES_CODES
AITERI_NARROW(f8_e4m3fn, uint8_t)
AITERI_NARROW(f8_e4m3fnuz, uint8_t)
AITERI_NARROW(f8_e5m2, uint8_t)
AITERI_NARROW(i8, int8_t)
AITERI_NARROW(i4_byte, int8_t)

AITERI_FORCE_INLINE void AITERI_K(narrow_halves)(void *dst, const float *src, int64_t n,
                                                 aiteri_narrow_fn to_bytes)
{
    uint8_t *p = (uint8_t *)dst;
    int8_t block[128];
    for (int64_t i = 0; i < n; i += 128) {
        const int64_t count = n - i < 128 ? n - i : 128;
        to_bytes(block, src + i, count);
        if (count & 1) block[count] = (int8_t)(p[i / 2 + count / 2] >> 4);
        for (int64_t k = 0; k < (count + 1) / 2; k++)
            p[i / 2 + k] = (uint8_t)((block[2 * k] & 15) | (block[2 * k + 1] & 15) << 4);
    }
}

static void AITERI_K(narrow_i4)(void *dst, const float *src, int64_t n)
{
    AITERI_K(narrow_halves)(dst, src, n, AITERI_K(narrow_i4_byte));
}
#if AITERI_HAS_QUANT
AITERI_NARROW(f4_byte, int8_t)

static void AITERI_K(narrow_f4)(void *dst, const float *src, int64_t n)
{
    AITERI_K(narrow_halves)(dst, src, n, AITERI_K(narrow_f4_byte));
}

static void AITERI_K(widen_f4)(float *dst, const void *src, int64_t n)
{
    static const float value[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                    -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};
    const uint8_t *p = (const uint8_t *)src;
    for (int64_t i = 0; i + 1 < n; i += 2) {
        dst[i] = value[p[i / 2] & 15];
        dst[i + 1] = value[p[i / 2] >> 4];
    }
    if (n & 1) dst[n - 1] = value[p[n / 2] & 15];
}
#endif
#endif /* AITERI_WRITES_CODES */

static void AITERI_K(widen_f32)(float *dst, const void *src, int64_t n)
{
    if (n > 0) memcpy(dst, src, (size_t)n * sizeof *dst);
}

static void AITERI_K(narrow_f32)(void *dst, const float *src, int64_t n)
{
    if (n > 0) memcpy(dst, src, (size_t)n * sizeof *src);
}

#define AITERI_CONVERT_OF(name) AITERI_K(name)
#endif
#if AITERI_READS_CODES
#define AITERI_READER_CONVERT_OF(name) AITERI_CONVERT_OF(name)
#else
#define AITERI_READER_CONVERT_OF(name) NULL
#endif
#if AITERI_WRITES_CODES
#define AITERI_WRITER_CONVERT_OF(name) AITERI_CONVERT_OF(name)
#else
#define AITERI_WRITER_CONVERT_OF(name) NULL
#endif
#if AITERI_HAS_QUANT
#define AITERI_F4_CONVERT_OF(name) AITERI_CONVERT_OF(name)
#else
#define AITERI_F4_CONVERT_OF(name) NULL
#endif
#undef AITERI_WIDEN
#undef AITERI_NARROW

/* In the order of aiter_dtype. */
static const aiteri_widen_fn AITERI_K(widen)[AITER_DTYPE_COUNT] = {
    NULL,
    AITERI_CONVERT_OF(widen_f32),
    AITERI_K(widen_f16),
    AITERI_K(widen_bf16),
    AITERI_READER_CONVERT_OF(widen_f8_e4m3fn),
    AITERI_READER_CONVERT_OF(widen_f8_e4m3fnuz),
    AITERI_READER_CONVERT_OF(widen_f8_e5m2),
    AITERI_K(widen_i8),
    AITERI_READER_CONVERT_OF(widen_i4),
    NULL,
    NULL,
    NULL,
    AITERI_F4_CONVERT_OF(widen_f4),
    NULL,
};

static const aiteri_narrow_fn AITERI_K(narrow)[AITER_DTYPE_COUNT] = {
    NULL,
    AITERI_CONVERT_OF(narrow_f32),
    AITERI_CONVERT_OF(narrow_f16),
    AITERI_CONVERT_OF(narrow_bf16),
    AITERI_WRITER_CONVERT_OF(narrow_f8_e4m3fn),
    AITERI_WRITER_CONVERT_OF(narrow_f8_e4m3fnuz),
    AITERI_WRITER_CONVERT_OF(narrow_f8_e5m2),
    AITERI_WRITER_CONVERT_OF(narrow_i8),
    AITERI_WRITER_CONVERT_OF(narrow_i4),
    NULL,
    NULL,
    NULL,
    AITERI_F4_CONVERT_OF(narrow_f4),
    NULL,
};
#undef AITERI_READER_CONVERT_OF
#undef AITERI_WRITER_CONVERT_OF
#undef AITERI_F4_CONVERT_OF

// >>k_rows    (src/cpu/k_rows.inl.h)
/* k_rows.inl.h -- what every op does to a row of f32: scale it, finish it, add it to another, turn
 * it. */

static void AITERI_K(row_scale)(float *o, int32_t dim, float factor)
{
    AITERI_ASSERT(dim > 0 && dim % AITERI_PAD == 0);
    for (int32_t d = 0; d < dim; d += AITERI_LANES)
        AITERI_K(store)(o + d, AITERI_K(mul)(AITERI_K(load)(o + d), AITERI_K(set1)(factor)));
}

/* By bits: no comparison of floats tells -0 from 0. */
static void AITERI_K(row_finish)(float *o, int32_t dim, float factor, int32_t least)
{
    for (int32_t d = 0; d < dim; d += AITERI_LANES) {
        const AITERI_K(vf) x = AITERI_K(mul)(AITERI_K(load)(o + d), AITERI_K(set1)(factor));
        const AITERI_K(vm) seen =
            AITERI_K(lt_i)(AITERI_K(set1_i)(least), AITERI_K(magnitude_bits)(x));
        AITERI_K(store)(o + d, AITERI_K(keep)(seen, x));
    }
}

static void AITERI_K(row_add_scaled)(float *o, const float *x, int32_t dim, float factor)
{
    for (int32_t d = 0; d < dim; d += AITERI_LANES)
        AITERI_K(store)(o + d, AITERI_K(fma)(AITERI_K(set1)(factor), AITERI_K(load)(x + d),
                                             AITERI_K(load)(o + d)));
}

static void AITERI_K(row_divide)(float *o, int32_t n, float divisor)
{
    int32_t i = 0;
    for (; i + AITERI_LANES <= n; i += AITERI_LANES)
        AITERI_K(store)(o + i, AITERI_K(div)(AITERI_K(load)(o + i), AITERI_K(set1)(divisor)));
    for (; i < n; i++) o[i] /= divisor;
}

/* By bits: as integers magnitudes are in order, and NaN is above them all. */
static float AITERI_K(row_amax)(const float *x, int32_t n)
{
    AITERI_K(vi) top = AITERI_K(set1_i)(0);
    float lane[AITERI_LANES];
    uint32_t most = 0;
    int32_t i = 0;
    for (; i + AITERI_LANES <= n; i += AITERI_LANES) {
        const AITERI_K(vi) a = AITERI_K(magnitude_bits)(AITERI_K(load)(x + i));
        top = AITERI_K(select_i)(AITERI_K(lt_i)(top, a), a, top);
    }
    AITERI_K(store)(lane, AITERI_K(as_f)(top));
    for (int32_t k = 0; k < AITERI_LANES; k++) most = aiteri_larger_magnitude(most, lane[k]);
    for (; i < n; i++) most = aiteri_larger_magnitude(most, x[i]);
    return aiteri_f32_of_bits(most > 0x7f800000u ? 0x7fc00000u : most);
}

#if AITERI_HAS_ROPE
/* The sum of products is rounded in each of its steps: the bits of every set are the same. */
AITERI_FORCE_INLINE AITERI_K(vf)
    AITERI_K(turned)(AITERI_K(vf) x, AITERI_K(vf) c, AITERI_K(vf) partner, AITERI_K(vf) s)
{
    return AITERI_K(add)(AITERI_K(mul)(x, c), AITERI_K(mul)(partner, s));
}

static void AITERI_K(row_turn)(float *y, const float *x, const float *partner, const float *c,
                               const float *s, int32_t n)
{
    int32_t i = 0;
    for (; i + AITERI_LANES <= n; i += AITERI_LANES)
        AITERI_K(store)(y + i,
                        AITERI_K(turned)(AITERI_K(load)(x + i), AITERI_K(load)(c + i),
                                         AITERI_K(load)(partner + i), AITERI_K(load)(s + i)));
    const int rest = (int)(n - i);
    if (rest > 0)
        AITERI_K(store_n)(
            y + i,
            AITERI_K(turned)(AITERI_K(load_n)(x + i, rest), AITERI_K(load_n)(c + i, rest),
                             AITERI_K(load_n)(partner + i, rest), AITERI_K(load_n)(s + i, rest)),
            rest);
}
#endif
#if AITERI_ATTENTION

// >>k_tile    (src/cpu/k_tile.inl.h)
/* k_tile.inl.h -- queries in the lanes: S^T = K Q^T, online softmax, O^T += V^T P^T.
 *
 * A tile is AITERI_TILE_VECTORS vectors of query rows. K and V rows are the broadcast operand, so
 * neither is packed or transposed, and max, sum and rescale are lane-wise. A
 * group of rows of K (columns of V) shares each load of the tile: rows x vectors accumulators fill
 * the register file: AVX-512 8 x 3 of 32, AVX2 4 x 3 of 16, NEON 6 x 4 of 32. Every (row, lane) has
 * one accumulator that adds its products in ascending order, so the grouping of rows cannot be seen
 * in the bits. The last group is worked on whole: what lies behind the end is read and written, and
 * used by nobody. */

#define AITERI_TILE_LANES (AITERI_TILE_VECTORS * AITERI_LANES)
#define AITERI_TILE_MOST  (AITERI_TILE_VECTORS * AITERI_TILE_ROWS)
#define AITERI_TILE_GROUP(vectors) \
    ((vectors) == AITERI_TILE_VECTORS ? AITERI_TILE_ROWS : AITERI_NARROW_ROWS)
/* Elements of head_dim whose queries stay in the first cache while all keys of a block pass. */
#define AITERI_TILE_CHUNK (6144 / AITERI_TILE_LANES)

static void AITERI_K(pack_query)(void *q, const float *rows, int64_t row_stride, int32_t dim,
                                 float scale)
{
    float *qt = (float *)q; /* [dim][AITERI_TILE_LANES] */
    const int32_t whole = dim / AITERI_LANES * AITERI_LANES;
    for (int32_t lane = 0; lane < AITERI_TILE_LANES; lane += AITERI_LANES)
        for (int32_t d = 0; d < whole; d += AITERI_LANES)
            AITERI_K(transpose)(rows + lane * row_stride + d, row_stride,
                                qt + d * AITERI_TILE_LANES + lane, AITERI_TILE_LANES);
    for (int32_t d = whole; d < dim; d++)
        for (int32_t lane = 0; lane < AITERI_TILE_LANES; lane++)
            qt[d * AITERI_TILE_LANES + lane] = rows[lane * row_stride + d];
    const AITERI_K(vf) factor = AITERI_K(set1)(scale);
    for (int32_t i = 0; i < dim * AITERI_TILE_LANES; i += AITERI_LANES)
        AITERI_K(store)(qt + i, AITERI_K(mul)(AITERI_K(load)(qt + i), factor));
}

static void AITERI_K(tile_unpack)(float *rows, int64_t row_stride, const float *ot, int32_t dim)
{
    const int32_t whole = dim / AITERI_LANES * AITERI_LANES;
    for (int32_t lane = 0; lane < AITERI_TILE_LANES; lane += AITERI_LANES)
        for (int32_t d = 0; d < whole; d += AITERI_LANES)
            AITERI_K(transpose)(ot + d * AITERI_TILE_LANES + lane, AITERI_TILE_LANES,
                                rows + lane * row_stride + d, row_stride);
    for (int32_t lane = 0; lane < AITERI_TILE_LANES; lane++) {
        float *row = rows + lane * row_stride;
        for (int32_t d = whole; d < dim; d++) row[d] = ot[d * AITERI_TILE_LANES + lane];
    }
}

/* One group of K rows against the first `vectors` of the tile, added to `from`, the sums of the
 * chunks before; `vectors` and `count` are constants where it is inlined. */
AITERI_FORCE_INLINE void AITERI_K(score_rows)(float *AITERI_RESTRICT st, const float *from,
                                              const float *AITERI_RESTRICT k, int64_t k_stride,
                                              int32_t dim, const float *AITERI_RESTRICT qt,
                                              const int vectors, const int count)
{
    AITERI_K(vf) acc[AITERI_TILE_MOST];
    const float *row[AITERI_TILE_MOST];
    AITERI_UNROLL(16)
    for (int i = 0; i < count; i++) {
        row[i] = k + i * k_stride;
        if (vectors == AITERI_TILE_VECTORS) AITERI_OPAQUE(row[i]);
        AITERI_UNROLL(16)
        for (int c = 0; c < vectors; c++)
            acc[i * vectors + c] = AITERI_K(load)(from + i * AITERI_TILE_LANES + c * AITERI_LANES);
    }
    AITERI_UNROLL_SOME(AITERI_TILE_STEPS)
    for (int64_t d = 0; d < dim; d++, qt += AITERI_TILE_LANES) {
        AITERI_K(vf) q[AITERI_TILE_VECTORS];
        AITERI_UNROLL(16)
        for (int c = 0; c < vectors; c++) q[c] = AITERI_K(load)(qt + c * AITERI_LANES);
        AITERI_UNROLL(16)
        for (int i = 0; i < count; i++) {
            const AITERI_K(vf) x = AITERI_K(set1)(row[i][d]);
            AITERI_UNROLL(16)
            for (int c = 0; c < vectors; c++)
                acc[i * vectors + c] = AITERI_K(fma)(x, q[c], acc[i * vectors + c]);
            if (vectors == AITERI_TILE_VECTORS)
                AITERI_TILE_NEXT(row[(i + 1) % count], (acc + i * vectors));
        }
        if (vectors == AITERI_TILE_VECTORS) AITERI_TILE_NEXT(qt, (acc + (count - 1) * vectors));
    }
    AITERI_UNROLL(16)
    for (int i = 0; i < count; i++) AITERI_UNROLL(16)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(st + i * AITERI_TILE_LANES + c * AITERI_LANES, acc[i * vectors + c]);
}

AITERI_FORCE_INLINE void AITERI_K(score_run)(float *st, const aiteri_block_run *keys,
                                             const float *qt, const int vectors)
{
    static const float zeros[AITERI_TILE_MOST * AITERI_TILE_LANES] = {0};
    const int rows = AITERI_TILE_GROUP(vectors);
    const int64_t k_stride = aiteri_block_stride(keys->row_dim);
    const int32_t n = keys->n, dim = keys->dim;
    const float *k = (const float *)keys->block + keys->place * k_stride;
    for (int32_t d = 0; d < dim; d += AITERI_TILE_CHUNK) {
        const int32_t width = (int32_t)aiteri_min(dim - d, AITERI_TILE_CHUNK);
        const float *q = qt + d * AITERI_TILE_LANES;
        for (int32_t j = 0; j < n; j += rows) {
            float *to = st + j * AITERI_TILE_LANES;
            AITERI_K(score_rows)
            (to, d ? to : zeros, k + j * k_stride + d, k_stride, width, q, vectors, rows);
        }
    }
}

/* A tile with rows in a few vectors is worked on as a narrow one. */
#if AITERI_NARROW_VECTORS
#define AITERI_BY_VECTORS(call)           \
    if (vectors <= AITERI_NARROW_VECTORS) \
        call(AITERI_NARROW_VECTORS);      \
    else                                  \
        call(AITERI_TILE_VECTORS);
#else
#define AITERI_BY_VECTORS(call) \
    (void)vectors;              \
    call(AITERI_TILE_VECTORS);
#endif

static void AITERI_K(tile_score)(float *st, const aiteri_block_run *keys, const void *q,
                                 int32_t vectors)
{
    AITERI_ASSERT(0 <= keys->place && 0 <= keys->n && 0 < keys->dim);
    AITERI_ASSERT(keys->place + keys->n <= AITERI_TILE_KEYS && 0 < vectors);
#define AITERI_SCORE_RUN(v) AITERI_K(score_run)(st, keys, (const float *)q, v)
    AITERI_BY_VECTORS(AITERI_SCORE_RUN)
#undef AITERI_SCORE_RUN
}

AITERI_FORCE_INLINE AITERI_K(vi) AITERI_K(load_i)(const int32_t *p)
{
    AITERI_K(vi) x;
    memcpy(&x, p, sizeof x);
    return x;
}

/* Which keys the lanes of one vector see. */
typedef struct AITERI_K(range) {
    AITERI_K(vi) lo, hi, sink;
    int32_t most_sink;
} AITERI_K(range);

AITERI_FORCE_INLINE AITERI_K(range) AITERI_K(range_of)(const aiteri_lane_mask *mask, int c)
{
    AITERI_K(range) range;
    range.lo = AITERI_K(load_i)(mask->lo + c * AITERI_LANES);
    range.hi = AITERI_K(load_i)(mask->hi + c * AITERI_LANES);
    range.sink = AITERI_K(load_i)(mask->sink + c * AITERI_LANES);
    range.most_sink = mask->most_sink;
    return range;
}

/* The lanes that see their key, the first of which is j. */
AITERI_FORCE_INLINE AITERI_K(vm)
    AITERI_K(visible)(const AITERI_K(range) * range, AITERI_K(vi) key, int32_t j)
{
    const AITERI_K(vm) before_end = AITERI_K(lt_i)(key, range->hi);
    const AITERI_K(vm) inside =
        AITERI_K(and_m)(before_end, AITERI_K(not_m)(AITERI_K(lt_i)(key, range->lo)));
    if (j >= range->most_sink) return inside;
    return AITERI_K(or_m)(inside, AITERI_K(lt_i)(key, range->sink));
}

/* One vector of scores, from the one at `at` on, through all of an aiteri_adjust but the mask. */
AITERI_FORCE_INLINE AITERI_K(vf)
    AITERI_K(adjusted)(AITERI_K(vf) x, const aiteri_adjust *adjust, int32_t at, AITERI_K(vf) slope,
                       AITERI_K(vf) position, AITERI_K(vf) key)
{
    const AITERI_K(vf) hidden = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    if (adjust->factor != 1.0f) x = AITERI_K(mul)(x, AITERI_K(set1)(adjust->factor));
    if (adjust->softcap) x = AITERI_K(capped)(x, adjust->softcap);
    if (adjust->bias) { /* -infinity hides the key, whatever its score */
        const AITERI_K(vf) b = AITERI_K(load)(adjust->bias + at);
        const AITERI_K(vm) hides = AITERI_K(eq_i)(AITERI_K(as_i)(b), AITERI_K(as_i)(hidden));
        x = AITERI_K(select)(hides, hidden, AITERI_K(add)(x, b));
    }
    if (adjust->slope) {
        const AITERI_K(vf) distance = AITERI_K(abs)(AITERI_K(sub)(position, key));
        x = AITERI_K(sub)(x, AITERI_K(mul)(slope, distance));
    }
    return x;
}

static void AITERI_K(tile_adjust)(float *st, int32_t key0, int32_t n, const aiteri_adjust *adjust,
                                  int32_t vectors)
{
    const AITERI_K(vf) hidden = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    const int masked = adjust->mask != NULL; /* most often alone */
    const int more = adjust->factor != 1.0f || adjust->softcap || adjust->bias || adjust->slope;
    for (int c = 0; c < vectors; c++) {
        AITERI_K(vf) slope = AITERI_K(zero)(), position = AITERI_K(zero)();
        AITERI_K(range) range;
        memset(&range, 0, sizeof range);
        if (adjust->mask) range = AITERI_K(range_of)(adjust->mask, c);
        if (adjust->slope) {
            slope = AITERI_K(load)(adjust->slope + c * AITERI_LANES);
            position = AITERI_K(load)(adjust->position + c * AITERI_LANES);
        }
        for (int32_t j = 0; j < n; j++) {
            const int32_t at = j * AITERI_TILE_LANES + c * AITERI_LANES, key = key0 + j;
            AITERI_K(vf) x = AITERI_K(load)(st + at);
            if (more)
                x = AITERI_K(adjusted)(x, adjust, at, slope, position, AITERI_K(set1)((float)key));
            if (masked)
                x = AITERI_K(select)(AITERI_K(visible)(&range, AITERI_K(set1_i)(key), key), x,
                                     hidden);
            AITERI_K(store)(st + at, x);
        }
    }
}

static void AITERI_K(stream_adjust)(float *s, int32_t key0, const aiteri_adjust *adjust)
{
    const AITERI_K(vf) hidden = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    AITERI_K(vf) slope = AITERI_K(zero)(), position = AITERI_K(zero)();
    AITERI_K(range) range;
    memset(&range, 0, sizeof range);
    if (adjust->slope) {
        slope = AITERI_K(set1)(adjust->slope[0]);
        position = AITERI_K(set1)(adjust->position[0]);
    }
    if (adjust->mask) {
        range.lo = AITERI_K(set1_i)(adjust->mask->lo[0]);
        range.hi = AITERI_K(set1_i)(adjust->mask->hi[0]);
        range.sink = AITERI_K(set1_i)(adjust->mask->sink[0]);
        range.most_sink = adjust->mask->most_sink;
    }
    for (int32_t i = 0; i < AITERI_STREAM_KEYS; i += AITERI_LANES) {
        const AITERI_K(vi) key = AITERI_K(add_i)(AITERI_K(iota_i)(), AITERI_K(set1_i)(key0 + i));
        AITERI_K(vf)
        x = AITERI_K(adjusted)(AITERI_K(load)(s + i), adjust, i, slope, position,
                               AITERI_K(to_f)(key));
        if (adjust->mask) x = AITERI_K(select)(AITERI_K(visible)(&range, key, key0 + i), x, hidden);
        AITERI_K(store)(s + i, x);
    }
}

/* (x - m) / ln 2 in natural units, which a score has `stretch` of. */
AITERI_FORCE_INLINE AITERI_K(vf)
    AITERI_K(exponent)(AITERI_K(vf) x, AITERI_K(vf) m, const float stretch)
{
    return AITERI_K(mul)(AITERI_K(sub)(x, m), AITERI_K(set1)(1.44269504088896341f * stretch));
}

/* exp(x - m) with 0 for hidden scores; m is finite. */
AITERI_FORCE_INLINE AITERI_K(vf)
    AITERI_K(weight)(AITERI_K(vf) x, AITERI_K(vf) m, const float stretch)
{
    return AITERI_K(exp2)(AITERI_K(exponent)(x, m, stretch));
}

/* The accumulated output is rescaled only in lanes whose maximum grew by more than this (natural
 * units); elsewhere the factor is exactly 1. exp(2.07) < 8, so that weights in AITERI_TILE_UNIT
 * stay at 1 or below, and a sum of values below the sum of their magnitudes. 5.5 is no faster and
 * takes 5 more bits from subnormal values; ln 2 costs 16 % (AVX-512, Sq 2048, D 128). */
#define AITERI_RESCALE_AT 2.07f

/* Raises m where the block's maximum asks for it and rescales l and ot by the lane's own factor. */
AITERI_FORCE_INLINE void AITERI_K(raise_maximum)(AITERI_K(vf) top, float stretch, float *m,
                                                 float *l, float *ot, int32_t dim_v)
{
    const AITERI_K(vf) old = AITERI_K(load)(m);
    const AITERI_K(vm) grew =
        AITERI_K(gt)(top, AITERI_K(add)(old, AITERI_K(set1)(AITERI_RESCALE_AT / stretch)));
    if (!AITERI_K(any)(grew)) return;
    const AITERI_K(vf) raised = AITERI_K(select)(grew, top, old);
    const AITERI_K(vf) factor =
        AITERI_K(select)(grew, AITERI_K(weight)(old, raised, stretch), AITERI_K(set1)(1.0f));
    AITERI_K(store)(m, raised);
    AITERI_K(store)(l, AITERI_K(mul)(AITERI_K(load)(l), factor));
    for (int32_t d = 0; d < dim_v; d++)
        AITERI_K(store)(ot + d * AITERI_TILE_LANES,
                        AITERI_K(mul)(AITERI_K(load)(ot + d * AITERI_TILE_LANES), factor));
}

static void AITERI_K(tile_softmax)(float *st, int32_t n, float stretch, float *m, float *l,
                                   float *ot, int32_t dim_v, int32_t vectors)
{
    const AITERI_K(vf) minus_inf = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    for (int c = 0; c < vectors; c++) {
        float *column = st + c * AITERI_LANES;
        AITERI_K(vf) top = minus_inf;
        for (int32_t j = 0; j < n; j++)
            top = AITERI_K(max)(AITERI_K(load)(column + j * AITERI_TILE_LANES), top);
        AITERI_K(raise_maximum)(top, stretch, m + c * AITERI_LANES, l + c * AITERI_LANES,
                                ot + c * AITERI_LANES, dim_v);
        /* A lane that has seen no key keeps m = -inf; any finite shift gives its zeros. */
        AITERI_K(vf) shift = AITERI_K(load)(m + c * AITERI_LANES);
        shift = AITERI_K(select)(AITERI_K(gt)(shift, minus_inf), shift, AITERI_K(zero)());
        AITERI_K(vf) sum = AITERI_K(load)(l + c * AITERI_LANES);
        for (int32_t j = 0; j < n; j++) {
            const AITERI_K(vf) x = AITERI_K(load)(column + j * AITERI_TILE_LANES);
            const AITERI_K(vf) p = AITERI_K(exp2_unit)(AITERI_K(exponent)(x, shift, stretch),
                                                       AITERI_TILE_UNIT, AITERI_TILE_LEAST);
            sum = AITERI_K(add)(sum, p);
            AITERI_K(store)(column + j * AITERI_TILE_LANES, p);
        }
        AITERI_K(store)(l + c * AITERI_LANES, sum);
    }
}

/* `count` columns of V into their rows of ot. */
AITERI_FORCE_INLINE void AITERI_K(value_columns)(float *AITERI_RESTRICT ot,
                                                 const float *AITERI_RESTRICT v, int64_t v_stride,
                                                 int32_t n, const float *AITERI_RESTRICT st,
                                                 const int vectors, const int count)
{
    AITERI_K(vf) acc[AITERI_TILE_MOST];
    AITERI_UNROLL(16)
    for (int i = 0; i < count; i++) AITERI_UNROLL(16)
    for (int c = 0; c < vectors; c++)
        acc[i * vectors + c] = AITERI_K(load)(ot + i * AITERI_TILE_LANES + c * AITERI_LANES);
    AITERI_UNROLL_SOME(AITERI_TILE_STEPS)
    for (int32_t j = 0; j < n; j++, v += v_stride, st += AITERI_TILE_LANES) {
        AITERI_K(vf) p[AITERI_TILE_VECTORS];
        AITERI_UNROLL(16)
        for (int c = 0; c < vectors; c++) p[c] = AITERI_K(load)(st + c * AITERI_LANES);
        AITERI_UNROLL(16)
        for (int i = 0; i < count; i++) {
            const AITERI_K(vf) x = AITERI_K(set1)(v[i]);
            AITERI_UNROLL(16)
            for (int c = 0; c < vectors; c++)
                acc[i * vectors + c] = AITERI_K(fma)(x, p[c], acc[i * vectors + c]);
            if (vectors == AITERI_TILE_VECTORS) AITERI_TILE_NEXT(v, (acc + i * vectors));
        }
        if (vectors == AITERI_TILE_VECTORS) AITERI_TILE_NEXT(st, (acc + (count - 1) * vectors));
    }
    AITERI_UNROLL(16)
    for (int i = 0; i < count; i++) AITERI_UNROLL(16)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(ot + i * AITERI_TILE_LANES + c * AITERI_LANES, acc[i * vectors + c]);
}

AITERI_FORCE_INLINE void AITERI_K(value_run)(float *ot, const aiteri_block_run *values,
                                             const float *st, const int vectors)
{
    const int64_t v_stride = aiteri_block_stride(values->row_dim);
    const float *v = (const float *)values->block + values->place * v_stride;
    const int32_t n = values->n, dim = values->dim;
    const int rows = AITERI_TILE_GROUP(vectors);
    for (int32_t d = 0; d < dim; d += rows)
        AITERI_K(value_columns)(ot + d * AITERI_TILE_LANES, v + d, v_stride, n, st, vectors, rows);
}

static void AITERI_K(tile_value)(float *ot, const aiteri_block_run *values, float *st,
                                 int32_t vectors)
{
    AITERI_ASSERT(0 <= values->place && 0 < values->n && 0 < values->dim);
    AITERI_ASSERT(values->place + values->n <= AITERI_TILE_KEYS && 0 < vectors);
#define AITERI_VALUE_RUN(v) AITERI_K(value_run)(ot, values, st, v)
    AITERI_BY_VECTORS(AITERI_VALUE_RUN)
#undef AITERI_VALUE_RUN
}

static void AITERI_K(tile_value_guarded)(float *ot, const aiteri_block_run *values, int32_t key0,
                                         float *st, const aiteri_lane_mask *mask,
                                         const float *scores, int32_t vectors)
{
    const int64_t v_stride = aiteri_block_stride(values->row_dim);
    const float *v = (const float *)values->block + values->place * v_stride;
    const AITERI_K(vi) hidden = AITERI_K(set1_i)((int32_t)0xff800000u);
    for (int32_t d = 0; d < values->dim; d++) {
        for (int c = 0; c < vectors; c++) {
            float *at = ot + d * AITERI_TILE_LANES + c * AITERI_LANES;
            AITERI_K(vf) acc = AITERI_K(load)(at);
            const AITERI_K(range) range = AITERI_K(range_of)(mask, c);
            for (int32_t j = 0; j < values->n; j++) {
                const int32_t from = j * AITERI_TILE_LANES + c * AITERI_LANES;
                const AITERI_K(vf) p = AITERI_K(load)(st + from);
                const AITERI_K(vf) sum = AITERI_K(fma)(AITERI_K(set1)(v[j * v_stride + d]), p, acc);
                if (scores) {
                    const AITERI_K(vi) score = AITERI_K(as_i)(AITERI_K(load)(scores + from));
                    acc = AITERI_K(select)(AITERI_K(eq_i)(score, hidden), acc, sum);
                } else {
                    acc = AITERI_K(select)(
                        AITERI_K(visible)(&range, AITERI_K(set1_i)(key0 + j), key0 + j), sum, acc);
                }
            }
            AITERI_K(store)(at, acc);
        }
    }
}

static int AITERI_K(v_finite)(const aiteri_block_run *values)
{
    const int64_t stride = aiteri_block_stride(values->row_dim);
    const float *rows = (const float *)values->block + values->place * stride;
    const int32_t dim = values->dim;
    const AITERI_K(vf) inf = AITERI_K(set1)(aiteri_f32_of_bits(0x7f800000u));
    for (int32_t j = 0; j < values->n; j++) {
        const float *row = rows + j * stride;
        int32_t d = 0;
        for (; d + AITERI_LANES <= dim; d += AITERI_LANES)
            if (!AITERI_K(all)(AITERI_K(lt)(AITERI_K(abs)(AITERI_K(load)(row + d)), inf))) return 0;
        for (; d < dim; d++)
            if ((aiteri_bits_of_f32(row[d]) & 0x7fffffffu) >= 0x7f800000u) return 0;
    }
    return 1;
}
#undef AITERI_BY_VECTORS

// >>k_stream    (src/cpu/k_stream.inl.h)
/* k_stream.inl.h -- head_dim in the lanes: a few query rows against a stream of K and V rows.
 *
 * AITERI_DOT_KEYS x 4 accumulators take one converted load of each key for several query
 * rows; 4 x AITERI_AXPY_VECTORS keep a strip of the output in registers over a block of
 * keys. Every (row, key) score and every (row, dim) sum is one chain in ascending order, whatever
 * the grouping. The loads come from k_stream_types.inl.h, once per storage type. */

/* `bytes` of memory from p on. */
AITERI_FORCE_INLINE void AITERI_K(fetch)(const void *p, int32_t bytes)
{
    for (int32_t at = 0; at < bytes; at += AITERI_LINE) AITERI_PREFETCH((const char *)p + at);
}

/* Horizontal sums of acc[rows][AITERI_DOT_KEYS] into s, the same order for every one of them. */
AITERI_FORCE_INLINE void AITERI_K(store_sums)(float *s, int64_t s_stride, const AITERI_K(vf) * acc,
                                              const int rows)
{
    float sum[16];
    const int count = rows * AITERI_DOT_KEYS, last = count - 1;
#if AITERI_DOT_KEYS == 4
    if (count == 16) {
        AITERI_K(hsum16)(acc, sum);
    } else
#endif
    {
        AITERI_UNROLL(8)
        for (int i = 0; i < count; i += 4)
            AITERI_K(hsum4)(acc[i], acc[i + 1 < last ? i + 1 : last],
                            acc[i + 2 < last ? i + 2 : last], acc[i + 3 < last ? i + 3 : last],
                            sum + i);
    }
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++)
        memcpy(s + r * s_stride, sum + r * AITERI_DOT_KEYS, AITERI_DOT_KEYS * sizeof(float));
}

static float AITERI_K(stream_softmax)(float *s, float stretch, float *m, float *l)
{
    const AITERI_K(vf) minus_inf = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    AITERI_K(vf) top = minus_inf;
    for (int32_t i = 0; i < AITERI_STREAM_KEYS; i += AITERI_LANES)
        top = AITERI_K(max)(AITERI_K(load)(s + i), top);
    const float old = *m, block = AITERI_K(hmax)(top);
    const float raised = aiteri_select_f32(block > old, block, old);
    const float shift = aiteri_select_f32(raised > aiteri_f32_of_bits(0xff800000u), raised, 0.0f);
    AITERI_K(vf) sum = AITERI_K(zero)();
    for (int32_t i = 0; i < AITERI_STREAM_KEYS; i += AITERI_LANES) {
        const AITERI_K(vf) p =
            AITERI_K(weight)(AITERI_K(load)(s + i), AITERI_K(set1)(shift), stretch);
        sum = AITERI_K(add)(sum, p);
        AITERI_K(store)(s + i, p);
    }
    float factor = 1.0f;
    if (raised > old) {
        float lane[AITERI_LANES];
        AITERI_K(store)
        (lane, AITERI_K(weight)(AITERI_K(set1)(old), AITERI_K(set1)(raised), stretch));
        factor = lane[0];
    }
    *m = raised;
    *l = aiteri_rounded(*l * factor) + AITERI_K(hsum)(sum);
    return factor;
}

static void AITERI_K(stream_mul)(float *x, const float *y)
{
    for (int32_t i = 0; i < AITERI_STREAM_KEYS; i += AITERI_LANES)
        AITERI_K(store)(x + i, AITERI_K(mul)(AITERI_K(load)(x + i), AITERI_K(load)(y + i)));
}

#define AITERI_TYPE        f32
#define AITERI_TYPE_C      float
#define AITERI_TYPE_LOAD   AITERI_K(load)
#define AITERI_TYPE_LOAD_N AITERI_K(load_n)

// >>k_stream_types    (src/cpu/k_stream_types.inl.h)
/* k_stream_types.inl.h -- dot and axpy of the stream family for one storage type, named AITERI_TYPE
 * with elements AITERI_TYPE_C and the vector layer's converting loads. Stamped per type in every
 * ISA. */

#define AITERI_T(name) AITERI_K(AITERI_CAT(name, AITERI_TYPE))
#define AITERI_ROW(p)  ((const AITERI_TYPE_C *)(p))

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_T(chunk)(const void *row, int32_t d, int32_t dim)
{
    if (d + AITERI_LANES <= dim) return AITERI_TYPE_LOAD(AITERI_ROW(row) + d);
    return AITERI_TYPE_LOAD_N(AITERI_ROW(row) + d, dim - d);
}

/* The scores of `keys` keys and `rows` query rows, both constants where this is inlined. */
AITERI_FORCE_INLINE void AITERI_T(dot_block)(float *s, int64_t s_stride, const float *q,
                                             int64_t q_stride, int32_t dim, const void *const *key,
                                             const int rows)
{
    AITERI_K(vf) acc[4 * AITERI_DOT_KEYS];
    AITERI_UNROLL(16)
    for (int i = 0; i < rows * AITERI_DOT_KEYS; i++) acc[i] = AITERI_K(zero)();
    int32_t d = 0;
    for (; d + AITERI_LANES <= dim; d += AITERI_LANES) {
        AITERI_K(vf) k[AITERI_DOT_KEYS];
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) k[i] = AITERI_TYPE_LOAD(AITERI_ROW(key[i]) + d);
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            AITERI_K(vf) x = AITERI_K(load)(q + r * q_stride + d);
            AITERI_IN_REGISTER(x);
            AITERI_UNROLL(8)
            for (int i = 0; i < AITERI_DOT_KEYS; i++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(x, k[i], acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    if (d < dim) {
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) {
            const AITERI_K(vf) k = AITERI_T(chunk)(key[i], d, dim);
            AITERI_UNROLL(8)
            for (int r = 0; r < rows; r++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(AITERI_K(load)(q + r * q_stride + d),
                                                             k, acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    AITERI_K(store_sums)(s, s_stride, acc, rows);
}

/* All keys against `rows` query rows; `ahead` is NULL where it was brought already. */
AITERI_FORCE_INLINE void AITERI_T(dot_rows)(float *s, int64_t s_stride, const float *q,
                                            int64_t q_stride, int32_t dim, const void *const *keys,
                                            int32_t n, const int rows, const void *const *ahead)
{
    const int32_t bytes = dim * (int32_t)sizeof(AITERI_TYPE_C);
    for (int32_t i = 0; i < n; i += AITERI_DOT_KEYS) {
        if (ahead) {
            AITERI_UNROLL(8)
            for (int k = 0; k < AITERI_DOT_KEYS; k++) AITERI_K(fetch)(ahead[i + k], bytes);
        }
        AITERI_T(dot_block)(s + i, s_stride, q, q_stride, dim, keys + i, rows);
    }
}

static void AITERI_T(stream_dot)(float *s, int64_t s_stride, const float *q, int64_t q_stride,
                                 int32_t rows, int32_t dim, const void *const *keys, int32_t n,
                                 const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= q_stride);
    for (int32_t r = 0; r < rows; r += 4, ahead = NULL) {
        float *at = s + r * s_stride;
        const float *x = q + r * q_stride;
        switch (rows - r) {
        case 1: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 1, ahead); break;
        case 2: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 2, ahead); break;
        case 3: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 3, ahead); break;
        default: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 4, ahead); break;
        }
    }
}

/* One strip of `vectors` output vectors of `rows` rows over all keys; rows from `used` on repeat
 * the last one. */
AITERI_FORCE_INLINE void AITERI_T(axpy_strip)(float *o, int64_t o_stride, const float *p,
                                              int64_t p_stride, int32_t d, int32_t dim,
                                              const void *const *values, int32_t n,
                                              const int32_t used, const int rows, const int vectors,
                                              const void *const *ahead)
{
    int32_t row[4];
    AITERI_K(vf) acc[4][AITERI_AXPY_VECTORS];
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) {
        row[r] = r < used ? r : used - 1;
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++)
            acc[r][c] = AITERI_K(load)(o + row[r] * o_stride + d + c * AITERI_LANES);
    }
    for (int32_t i = 0; i < n; i++) {
        AITERI_UNROLL(8)
        for (int at = 0; at < vectors * AITERI_LANES;
             at += AITERI_LINE / (int)sizeof(AITERI_TYPE_C))
            AITERI_PREFETCH(AITERI_ROW(ahead[i]) + d + at);
        AITERI_K(vf) v[AITERI_AXPY_VECTORS];
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++) {
            if (vectors > 1)
                v[c] = AITERI_TYPE_LOAD(AITERI_ROW(values[i]) + d + c * AITERI_LANES);
            else
                v[c] = AITERI_T(chunk)(values[i], d, dim);
        }
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            const AITERI_K(vf) w = AITERI_K(set1)(p[row[r] * p_stride + i]);
            AITERI_UNROLL(8)
            for (int c = 0; c < vectors; c++) acc[r][c] = AITERI_K(fma)(w, v[c], acc[r][c]);
        }
    }
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) AITERI_UNROLL(8)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(o + row[r] * o_stride + d + c * AITERI_LANES, acc[r][c]);
}

/* The whole strips of up to `whole` columns. */
AITERI_FORCE_INLINE void AITERI_T(axpy_rows)(float *o, int64_t o_stride, const float *p,
                                             int64_t p_stride, int32_t whole,
                                             const void *const *values, int32_t n, const int rows,
                                             const void *const *ahead)
{
    for (int32_t d = 0; d < whole; d += AITERI_AXPY_VECTORS * AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, whole, values, n, rows, rows,
                             AITERI_AXPY_VECTORS, ahead);
}

/* The columns from `whole` on; up to four rows as four. */
AITERI_COLD void AITERI_T(axpy_rest)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                     int32_t whole, int32_t dim, const void *const *values,
                                     int32_t n, int32_t used, const void *const *ahead)
{
    for (int32_t d = whole; d < dim; d += AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, dim, values, n, used, 4, 1, ahead);
}

static void AITERI_T(stream_axpy)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                  int32_t rows, int32_t dim, const void *const *values, int32_t n,
                                  const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= o_stride);
    const int32_t strip = AITERI_AXPY_VECTORS * AITERI_LANES, whole = dim / strip * strip;
    for (int32_t r = 0; r < rows; r += 4) {
        float *at = o + r * o_stride;
        const float *w = p + r * p_stride;
        switch (rows - r) {
        case 1: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 1, ahead); break;
        case 2: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 2, ahead); break;
        case 3: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 3, ahead); break;
        default: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 4, ahead); break;
        }
        if (whole < dim)
            AITERI_T(axpy_rest)(at, o_stride, w, p_stride, whole, dim, values, n, rows - r, ahead);
    }
}

#undef AITERI_T
#undef AITERI_ROW
#undef AITERI_TYPE
#undef AITERI_TYPE_C
#undef AITERI_TYPE_LOAD
#undef AITERI_TYPE_LOAD_N
#if AITERI_STREAM_TYPES && AITERI_HAS_DECODE /* else rows of other types are widened first */
#define AITERI_TYPE        f16
#define AITERI_TYPE_C      uint16_t
#define AITERI_TYPE_LOAD   AITERI_K(load_f16)
#define AITERI_TYPE_LOAD_N AITERI_K(load_f16_n)

// >>k_stream_types    (src/cpu/k_stream_types.inl.h)
/* k_stream_types.inl.h -- dot and axpy of the stream family for one storage type, named AITERI_TYPE
 * with elements AITERI_TYPE_C and the vector layer's converting loads. Stamped per type in every
 * ISA. */

#define AITERI_T(name) AITERI_K(AITERI_CAT(name, AITERI_TYPE))
#define AITERI_ROW(p)  ((const AITERI_TYPE_C *)(p))

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_T(chunk)(const void *row, int32_t d, int32_t dim)
{
    if (d + AITERI_LANES <= dim) return AITERI_TYPE_LOAD(AITERI_ROW(row) + d);
    return AITERI_TYPE_LOAD_N(AITERI_ROW(row) + d, dim - d);
}

/* The scores of `keys` keys and `rows` query rows, both constants where this is inlined. */
AITERI_FORCE_INLINE void AITERI_T(dot_block)(float *s, int64_t s_stride, const float *q,
                                             int64_t q_stride, int32_t dim, const void *const *key,
                                             const int rows)
{
    AITERI_K(vf) acc[4 * AITERI_DOT_KEYS];
    AITERI_UNROLL(16)
    for (int i = 0; i < rows * AITERI_DOT_KEYS; i++) acc[i] = AITERI_K(zero)();
    int32_t d = 0;
    for (; d + AITERI_LANES <= dim; d += AITERI_LANES) {
        AITERI_K(vf) k[AITERI_DOT_KEYS];
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) k[i] = AITERI_TYPE_LOAD(AITERI_ROW(key[i]) + d);
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            AITERI_K(vf) x = AITERI_K(load)(q + r * q_stride + d);
            AITERI_IN_REGISTER(x);
            AITERI_UNROLL(8)
            for (int i = 0; i < AITERI_DOT_KEYS; i++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(x, k[i], acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    if (d < dim) {
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) {
            const AITERI_K(vf) k = AITERI_T(chunk)(key[i], d, dim);
            AITERI_UNROLL(8)
            for (int r = 0; r < rows; r++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(AITERI_K(load)(q + r * q_stride + d),
                                                             k, acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    AITERI_K(store_sums)(s, s_stride, acc, rows);
}

/* All keys against `rows` query rows; `ahead` is NULL where it was brought already. */
AITERI_FORCE_INLINE void AITERI_T(dot_rows)(float *s, int64_t s_stride, const float *q,
                                            int64_t q_stride, int32_t dim, const void *const *keys,
                                            int32_t n, const int rows, const void *const *ahead)
{
    const int32_t bytes = dim * (int32_t)sizeof(AITERI_TYPE_C);
    for (int32_t i = 0; i < n; i += AITERI_DOT_KEYS) {
        if (ahead) {
            AITERI_UNROLL(8)
            for (int k = 0; k < AITERI_DOT_KEYS; k++) AITERI_K(fetch)(ahead[i + k], bytes);
        }
        AITERI_T(dot_block)(s + i, s_stride, q, q_stride, dim, keys + i, rows);
    }
}

static void AITERI_T(stream_dot)(float *s, int64_t s_stride, const float *q, int64_t q_stride,
                                 int32_t rows, int32_t dim, const void *const *keys, int32_t n,
                                 const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= q_stride);
    for (int32_t r = 0; r < rows; r += 4, ahead = NULL) {
        float *at = s + r * s_stride;
        const float *x = q + r * q_stride;
        switch (rows - r) {
        case 1: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 1, ahead); break;
        case 2: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 2, ahead); break;
        case 3: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 3, ahead); break;
        default: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 4, ahead); break;
        }
    }
}

/* One strip of `vectors` output vectors of `rows` rows over all keys; rows from `used` on repeat
 * the last one. */
AITERI_FORCE_INLINE void AITERI_T(axpy_strip)(float *o, int64_t o_stride, const float *p,
                                              int64_t p_stride, int32_t d, int32_t dim,
                                              const void *const *values, int32_t n,
                                              const int32_t used, const int rows, const int vectors,
                                              const void *const *ahead)
{
    int32_t row[4];
    AITERI_K(vf) acc[4][AITERI_AXPY_VECTORS];
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) {
        row[r] = r < used ? r : used - 1;
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++)
            acc[r][c] = AITERI_K(load)(o + row[r] * o_stride + d + c * AITERI_LANES);
    }
    for (int32_t i = 0; i < n; i++) {
        AITERI_UNROLL(8)
        for (int at = 0; at < vectors * AITERI_LANES;
             at += AITERI_LINE / (int)sizeof(AITERI_TYPE_C))
            AITERI_PREFETCH(AITERI_ROW(ahead[i]) + d + at);
        AITERI_K(vf) v[AITERI_AXPY_VECTORS];
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++) {
            if (vectors > 1)
                v[c] = AITERI_TYPE_LOAD(AITERI_ROW(values[i]) + d + c * AITERI_LANES);
            else
                v[c] = AITERI_T(chunk)(values[i], d, dim);
        }
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            const AITERI_K(vf) w = AITERI_K(set1)(p[row[r] * p_stride + i]);
            AITERI_UNROLL(8)
            for (int c = 0; c < vectors; c++) acc[r][c] = AITERI_K(fma)(w, v[c], acc[r][c]);
        }
    }
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) AITERI_UNROLL(8)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(o + row[r] * o_stride + d + c * AITERI_LANES, acc[r][c]);
}

/* The whole strips of up to `whole` columns. */
AITERI_FORCE_INLINE void AITERI_T(axpy_rows)(float *o, int64_t o_stride, const float *p,
                                             int64_t p_stride, int32_t whole,
                                             const void *const *values, int32_t n, const int rows,
                                             const void *const *ahead)
{
    for (int32_t d = 0; d < whole; d += AITERI_AXPY_VECTORS * AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, whole, values, n, rows, rows,
                             AITERI_AXPY_VECTORS, ahead);
}

/* The columns from `whole` on; up to four rows as four. */
AITERI_COLD void AITERI_T(axpy_rest)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                     int32_t whole, int32_t dim, const void *const *values,
                                     int32_t n, int32_t used, const void *const *ahead)
{
    for (int32_t d = whole; d < dim; d += AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, dim, values, n, used, 4, 1, ahead);
}

static void AITERI_T(stream_axpy)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                  int32_t rows, int32_t dim, const void *const *values, int32_t n,
                                  const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= o_stride);
    const int32_t strip = AITERI_AXPY_VECTORS * AITERI_LANES, whole = dim / strip * strip;
    for (int32_t r = 0; r < rows; r += 4) {
        float *at = o + r * o_stride;
        const float *w = p + r * p_stride;
        switch (rows - r) {
        case 1: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 1, ahead); break;
        case 2: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 2, ahead); break;
        case 3: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 3, ahead); break;
        default: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 4, ahead); break;
        }
        if (whole < dim)
            AITERI_T(axpy_rest)(at, o_stride, w, p_stride, whole, dim, values, n, rows - r, ahead);
    }
}

#undef AITERI_T
#undef AITERI_ROW
#undef AITERI_TYPE
#undef AITERI_TYPE_C
#undef AITERI_TYPE_LOAD
#undef AITERI_TYPE_LOAD_N
#define AITERI_TYPE        bf16
#define AITERI_TYPE_C      uint16_t
#define AITERI_TYPE_LOAD   AITERI_K(load_bf16)
#define AITERI_TYPE_LOAD_N AITERI_K(load_bf16_n)

// >>k_stream_types    (src/cpu/k_stream_types.inl.h)
/* k_stream_types.inl.h -- dot and axpy of the stream family for one storage type, named AITERI_TYPE
 * with elements AITERI_TYPE_C and the vector layer's converting loads. Stamped per type in every
 * ISA. */

#define AITERI_T(name) AITERI_K(AITERI_CAT(name, AITERI_TYPE))
#define AITERI_ROW(p)  ((const AITERI_TYPE_C *)(p))

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_T(chunk)(const void *row, int32_t d, int32_t dim)
{
    if (d + AITERI_LANES <= dim) return AITERI_TYPE_LOAD(AITERI_ROW(row) + d);
    return AITERI_TYPE_LOAD_N(AITERI_ROW(row) + d, dim - d);
}

/* The scores of `keys` keys and `rows` query rows, both constants where this is inlined. */
AITERI_FORCE_INLINE void AITERI_T(dot_block)(float *s, int64_t s_stride, const float *q,
                                             int64_t q_stride, int32_t dim, const void *const *key,
                                             const int rows)
{
    AITERI_K(vf) acc[4 * AITERI_DOT_KEYS];
    AITERI_UNROLL(16)
    for (int i = 0; i < rows * AITERI_DOT_KEYS; i++) acc[i] = AITERI_K(zero)();
    int32_t d = 0;
    for (; d + AITERI_LANES <= dim; d += AITERI_LANES) {
        AITERI_K(vf) k[AITERI_DOT_KEYS];
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) k[i] = AITERI_TYPE_LOAD(AITERI_ROW(key[i]) + d);
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            AITERI_K(vf) x = AITERI_K(load)(q + r * q_stride + d);
            AITERI_IN_REGISTER(x);
            AITERI_UNROLL(8)
            for (int i = 0; i < AITERI_DOT_KEYS; i++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(x, k[i], acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    if (d < dim) {
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) {
            const AITERI_K(vf) k = AITERI_T(chunk)(key[i], d, dim);
            AITERI_UNROLL(8)
            for (int r = 0; r < rows; r++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(AITERI_K(load)(q + r * q_stride + d),
                                                             k, acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    AITERI_K(store_sums)(s, s_stride, acc, rows);
}

/* All keys against `rows` query rows; `ahead` is NULL where it was brought already. */
AITERI_FORCE_INLINE void AITERI_T(dot_rows)(float *s, int64_t s_stride, const float *q,
                                            int64_t q_stride, int32_t dim, const void *const *keys,
                                            int32_t n, const int rows, const void *const *ahead)
{
    const int32_t bytes = dim * (int32_t)sizeof(AITERI_TYPE_C);
    for (int32_t i = 0; i < n; i += AITERI_DOT_KEYS) {
        if (ahead) {
            AITERI_UNROLL(8)
            for (int k = 0; k < AITERI_DOT_KEYS; k++) AITERI_K(fetch)(ahead[i + k], bytes);
        }
        AITERI_T(dot_block)(s + i, s_stride, q, q_stride, dim, keys + i, rows);
    }
}

static void AITERI_T(stream_dot)(float *s, int64_t s_stride, const float *q, int64_t q_stride,
                                 int32_t rows, int32_t dim, const void *const *keys, int32_t n,
                                 const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= q_stride);
    for (int32_t r = 0; r < rows; r += 4, ahead = NULL) {
        float *at = s + r * s_stride;
        const float *x = q + r * q_stride;
        switch (rows - r) {
        case 1: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 1, ahead); break;
        case 2: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 2, ahead); break;
        case 3: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 3, ahead); break;
        default: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 4, ahead); break;
        }
    }
}

/* One strip of `vectors` output vectors of `rows` rows over all keys; rows from `used` on repeat
 * the last one. */
AITERI_FORCE_INLINE void AITERI_T(axpy_strip)(float *o, int64_t o_stride, const float *p,
                                              int64_t p_stride, int32_t d, int32_t dim,
                                              const void *const *values, int32_t n,
                                              const int32_t used, const int rows, const int vectors,
                                              const void *const *ahead)
{
    int32_t row[4];
    AITERI_K(vf) acc[4][AITERI_AXPY_VECTORS];
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) {
        row[r] = r < used ? r : used - 1;
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++)
            acc[r][c] = AITERI_K(load)(o + row[r] * o_stride + d + c * AITERI_LANES);
    }
    for (int32_t i = 0; i < n; i++) {
        AITERI_UNROLL(8)
        for (int at = 0; at < vectors * AITERI_LANES;
             at += AITERI_LINE / (int)sizeof(AITERI_TYPE_C))
            AITERI_PREFETCH(AITERI_ROW(ahead[i]) + d + at);
        AITERI_K(vf) v[AITERI_AXPY_VECTORS];
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++) {
            if (vectors > 1)
                v[c] = AITERI_TYPE_LOAD(AITERI_ROW(values[i]) + d + c * AITERI_LANES);
            else
                v[c] = AITERI_T(chunk)(values[i], d, dim);
        }
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            const AITERI_K(vf) w = AITERI_K(set1)(p[row[r] * p_stride + i]);
            AITERI_UNROLL(8)
            for (int c = 0; c < vectors; c++) acc[r][c] = AITERI_K(fma)(w, v[c], acc[r][c]);
        }
    }
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) AITERI_UNROLL(8)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(o + row[r] * o_stride + d + c * AITERI_LANES, acc[r][c]);
}

/* The whole strips of up to `whole` columns. */
AITERI_FORCE_INLINE void AITERI_T(axpy_rows)(float *o, int64_t o_stride, const float *p,
                                             int64_t p_stride, int32_t whole,
                                             const void *const *values, int32_t n, const int rows,
                                             const void *const *ahead)
{
    for (int32_t d = 0; d < whole; d += AITERI_AXPY_VECTORS * AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, whole, values, n, rows, rows,
                             AITERI_AXPY_VECTORS, ahead);
}

/* The columns from `whole` on; up to four rows as four. */
AITERI_COLD void AITERI_T(axpy_rest)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                     int32_t whole, int32_t dim, const void *const *values,
                                     int32_t n, int32_t used, const void *const *ahead)
{
    for (int32_t d = whole; d < dim; d += AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, dim, values, n, used, 4, 1, ahead);
}

static void AITERI_T(stream_axpy)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                  int32_t rows, int32_t dim, const void *const *values, int32_t n,
                                  const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= o_stride);
    const int32_t strip = AITERI_AXPY_VECTORS * AITERI_LANES, whole = dim / strip * strip;
    for (int32_t r = 0; r < rows; r += 4) {
        float *at = o + r * o_stride;
        const float *w = p + r * p_stride;
        switch (rows - r) {
        case 1: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 1, ahead); break;
        case 2: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 2, ahead); break;
        case 3: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 3, ahead); break;
        default: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 4, ahead); break;
        }
        if (whole < dim)
            AITERI_T(axpy_rest)(at, o_stride, w, p_stride, whole, dim, values, n, rows - r, ahead);
    }
}

#undef AITERI_T
#undef AITERI_ROW
#undef AITERI_TYPE
#undef AITERI_TYPE_C
#undef AITERI_TYPE_LOAD
#undef AITERI_TYPE_LOAD_N
#define AITERI_TYPE        i8
#define AITERI_TYPE_C      int8_t
#define AITERI_TYPE_LOAD   AITERI_K(load_i8)
#define AITERI_TYPE_LOAD_N AITERI_K(load_i8_n)

// >>k_stream_types    (src/cpu/k_stream_types.inl.h)
/* k_stream_types.inl.h -- dot and axpy of the stream family for one storage type, named AITERI_TYPE
 * with elements AITERI_TYPE_C and the vector layer's converting loads. Stamped per type in every
 * ISA. */

#define AITERI_T(name) AITERI_K(AITERI_CAT(name, AITERI_TYPE))
#define AITERI_ROW(p)  ((const AITERI_TYPE_C *)(p))

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_T(chunk)(const void *row, int32_t d, int32_t dim)
{
    if (d + AITERI_LANES <= dim) return AITERI_TYPE_LOAD(AITERI_ROW(row) + d);
    return AITERI_TYPE_LOAD_N(AITERI_ROW(row) + d, dim - d);
}

/* The scores of `keys` keys and `rows` query rows, both constants where this is inlined. */
AITERI_FORCE_INLINE void AITERI_T(dot_block)(float *s, int64_t s_stride, const float *q,
                                             int64_t q_stride, int32_t dim, const void *const *key,
                                             const int rows)
{
    AITERI_K(vf) acc[4 * AITERI_DOT_KEYS];
    AITERI_UNROLL(16)
    for (int i = 0; i < rows * AITERI_DOT_KEYS; i++) acc[i] = AITERI_K(zero)();
    int32_t d = 0;
    for (; d + AITERI_LANES <= dim; d += AITERI_LANES) {
        AITERI_K(vf) k[AITERI_DOT_KEYS];
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) k[i] = AITERI_TYPE_LOAD(AITERI_ROW(key[i]) + d);
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            AITERI_K(vf) x = AITERI_K(load)(q + r * q_stride + d);
            AITERI_IN_REGISTER(x);
            AITERI_UNROLL(8)
            for (int i = 0; i < AITERI_DOT_KEYS; i++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(x, k[i], acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    if (d < dim) {
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) {
            const AITERI_K(vf) k = AITERI_T(chunk)(key[i], d, dim);
            AITERI_UNROLL(8)
            for (int r = 0; r < rows; r++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(AITERI_K(load)(q + r * q_stride + d),
                                                             k, acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    AITERI_K(store_sums)(s, s_stride, acc, rows);
}

/* All keys against `rows` query rows; `ahead` is NULL where it was brought already. */
AITERI_FORCE_INLINE void AITERI_T(dot_rows)(float *s, int64_t s_stride, const float *q,
                                            int64_t q_stride, int32_t dim, const void *const *keys,
                                            int32_t n, const int rows, const void *const *ahead)
{
    const int32_t bytes = dim * (int32_t)sizeof(AITERI_TYPE_C);
    for (int32_t i = 0; i < n; i += AITERI_DOT_KEYS) {
        if (ahead) {
            AITERI_UNROLL(8)
            for (int k = 0; k < AITERI_DOT_KEYS; k++) AITERI_K(fetch)(ahead[i + k], bytes);
        }
        AITERI_T(dot_block)(s + i, s_stride, q, q_stride, dim, keys + i, rows);
    }
}

static void AITERI_T(stream_dot)(float *s, int64_t s_stride, const float *q, int64_t q_stride,
                                 int32_t rows, int32_t dim, const void *const *keys, int32_t n,
                                 const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= q_stride);
    for (int32_t r = 0; r < rows; r += 4, ahead = NULL) {
        float *at = s + r * s_stride;
        const float *x = q + r * q_stride;
        switch (rows - r) {
        case 1: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 1, ahead); break;
        case 2: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 2, ahead); break;
        case 3: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 3, ahead); break;
        default: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 4, ahead); break;
        }
    }
}

/* One strip of `vectors` output vectors of `rows` rows over all keys; rows from `used` on repeat
 * the last one. */
AITERI_FORCE_INLINE void AITERI_T(axpy_strip)(float *o, int64_t o_stride, const float *p,
                                              int64_t p_stride, int32_t d, int32_t dim,
                                              const void *const *values, int32_t n,
                                              const int32_t used, const int rows, const int vectors,
                                              const void *const *ahead)
{
    int32_t row[4];
    AITERI_K(vf) acc[4][AITERI_AXPY_VECTORS];
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) {
        row[r] = r < used ? r : used - 1;
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++)
            acc[r][c] = AITERI_K(load)(o + row[r] * o_stride + d + c * AITERI_LANES);
    }
    for (int32_t i = 0; i < n; i++) {
        AITERI_UNROLL(8)
        for (int at = 0; at < vectors * AITERI_LANES;
             at += AITERI_LINE / (int)sizeof(AITERI_TYPE_C))
            AITERI_PREFETCH(AITERI_ROW(ahead[i]) + d + at);
        AITERI_K(vf) v[AITERI_AXPY_VECTORS];
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++) {
            if (vectors > 1)
                v[c] = AITERI_TYPE_LOAD(AITERI_ROW(values[i]) + d + c * AITERI_LANES);
            else
                v[c] = AITERI_T(chunk)(values[i], d, dim);
        }
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            const AITERI_K(vf) w = AITERI_K(set1)(p[row[r] * p_stride + i]);
            AITERI_UNROLL(8)
            for (int c = 0; c < vectors; c++) acc[r][c] = AITERI_K(fma)(w, v[c], acc[r][c]);
        }
    }
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) AITERI_UNROLL(8)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(o + row[r] * o_stride + d + c * AITERI_LANES, acc[r][c]);
}

/* The whole strips of up to `whole` columns. */
AITERI_FORCE_INLINE void AITERI_T(axpy_rows)(float *o, int64_t o_stride, const float *p,
                                             int64_t p_stride, int32_t whole,
                                             const void *const *values, int32_t n, const int rows,
                                             const void *const *ahead)
{
    for (int32_t d = 0; d < whole; d += AITERI_AXPY_VECTORS * AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, whole, values, n, rows, rows,
                             AITERI_AXPY_VECTORS, ahead);
}

/* The columns from `whole` on; up to four rows as four. */
AITERI_COLD void AITERI_T(axpy_rest)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                     int32_t whole, int32_t dim, const void *const *values,
                                     int32_t n, int32_t used, const void *const *ahead)
{
    for (int32_t d = whole; d < dim; d += AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, dim, values, n, used, 4, 1, ahead);
}

static void AITERI_T(stream_axpy)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                  int32_t rows, int32_t dim, const void *const *values, int32_t n,
                                  const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= o_stride);
    const int32_t strip = AITERI_AXPY_VECTORS * AITERI_LANES, whole = dim / strip * strip;
    for (int32_t r = 0; r < rows; r += 4) {
        float *at = o + r * o_stride;
        const float *w = p + r * p_stride;
        switch (rows - r) {
        case 1: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 1, ahead); break;
        case 2: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 2, ahead); break;
        case 3: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 3, ahead); break;
        default: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 4, ahead); break;
        }
        if (whole < dim)
            AITERI_T(axpy_rest)(at, o_stride, w, p_stride, whole, dim, values, n, rows - r, ahead);
    }
}

#undef AITERI_T
#undef AITERI_ROW
#undef AITERI_TYPE
#undef AITERI_TYPE_C
#undef AITERI_TYPE_LOAD
#undef AITERI_TYPE_LOAD_N
#endif

#if AITERI_STREAM_TYPES && AITERI_HAS_DECODE
#define AITERI_K_TYPED(name) AITERI_K(name)
#else
#define AITERI_K_TYPED(name) NULL
#endif

/* In the order of aiter_dtype. */
static const aiteri_dot_fn AITERI_K(stream_dot)[AITER_DTYPE_COUNT] = {
    NULL,
    AITERI_K(stream_dot_f32),
    AITERI_K_TYPED(stream_dot_f16),
    AITERI_K_TYPED(stream_dot_bf16),
    NULL,
    NULL,
    NULL,
    AITERI_K_TYPED(stream_dot_i8),
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL};
static const aiteri_axpy_fn AITERI_K(stream_axpy)[AITER_DTYPE_COUNT] = {
    NULL,
    AITERI_K(stream_axpy_f32),
    AITERI_K_TYPED(stream_axpy_f16),
    AITERI_K_TYPED(stream_axpy_bf16),
    NULL,
    NULL,
    NULL,
    AITERI_K_TYPED(stream_axpy_i8),
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL};
#else
#define AITERI_TILE_LANES AITERI_LANES
#endif

static const aiteri_kernels AITERI_K(kernels) = {AITERI_K_NAME,
                                                 AITERI_K_ISA,
                                                 AITERI_K_NEEDS,
                                                 AITERI_K_BELOW,
                                                 NULL,
                                                 AITERI_LANES,
                                                 AITERI_TILE_LANES,
                                                 AITERI_F32_FORMAT,
                                                 AITERI_BLOCK_ENTRIES(AITERI_K),
                                                 AITERI_OTHER_ENTRIES(AITERI_K)};

#undef AITERI_K
#undef AITERI_K_NAME
#undef AITERI_K_ISA
#undef AITERI_K_NEEDS
#undef AITERI_K_BELOW
#undef AITERI_LANES
#undef AITERI_TILE_LANES
#undef AITERI_TILE_VECTORS
#undef AITERI_TILE_ROWS
#undef AITERI_NARROW_VECTORS
#undef AITERI_NARROW_ROWS
#undef AITERI_TILE_GROUP
#undef AITERI_TILE_MOST
#undef AITERI_TILE_CHUNK
#undef AITERI_TILE_STEPS
#undef AITERI_TILE_NEXT
#undef AITERI_DOT_KEYS
#undef AITERI_AXPY_VECTORS
#undef AITERI_STREAM_TYPES
#undef AITERI_CONVERTS
#undef AITERI_CONVERT_OF
#undef AITERI_K_TYPED
#undef AITERI_RESCALE_AT
AITERI_TARGET_END
#endif /* AITERI_X86 */

#if AITERI_X86_BF16 && AITERI_ATTENTION && !AITERI_ONLY
AITERI_TARGET_BEGIN(AITERI_TARGET_AVX512_BF16)

// >>kernels_avx512_bf16    (src/cpu/kernels_avx512_bf16.inl.h)
/* kernels_avx512_bf16.inl.h -- AVX-512 for bf16 queries, keys and values: sums of products of bf16
 * pairs, vdpbf16ps. A relative of AVX-512: other blocks, the rest is taken over.
 *
 * Queries and K lie as pairs along head_dim, the factor of the queries is left for the scores. V
 * lies as pairs of keys: of the keys 2i and 2i + 1 of a block the first in the high half, since the
 * instruction adds the high products first; a key without its partner has zeros beside it. Weights
 * are rounded to bf16. A pair is the same two keys whatever is clipped or split. */

#ifndef AITERI_DPBF16
#define AITERI_DPBF16(acc, a, b) _mm512_dpbf16_ps(acc, (__m512bh)(a), (__m512bh)(b))
#endif

enum {
    AITERI_BF16_ROWS = 8,
    AITERI_BF16_VECTORS = 3,
    AITERI_BF16_TILE = 16 * AITERI_BF16_VECTORS,
    AITERI_BF16_HEAD = 16 /* words before the queries: their factor */
};

static int aiteri_avx512bf16_takes(const aiteri_problem *p, int exact_arithmetic)
{
    return !exact_arithmetic && p->q.dtype == AITER_BF16 && p->k.dtype == AITER_BF16 &&
           p->v.dtype == AITER_BF16 && !p->k.scales.data && !p->v.scales.data && !p->has_holes &&
           !p->k.rest && !p->v.rest && !p->k_tail.data; /* a pair of keys comes in one call */
}

static size_t aiteri_avx512bf16_query_bytes(int32_t dim, int32_t tile_lanes)
{
    return (AITERI_BF16_HEAD + (size_t)(dim + 1) / 2 * (size_t)tile_lanes) * sizeof(uint32_t);
}

static size_t aiteri_avx512bf16_k_bytes(int32_t dim)
{
    return aiteri_f32_block_bytes((dim + 1) / 2);
}

static size_t aiteri_avx512bf16_v_bytes(int32_t dim) { return aiteri_f32_block_bytes(dim) / 2; }

static void aiteri_avx512bf16_pack_query(void *q, const float *rows, int64_t row_stride,
                                         int32_t dim, float scale)
{
    uint32_t *word = (uint32_t *)q + AITERI_BF16_HEAD;
    memcpy(q, &scale, sizeof scale);
    for (int32_t d = 0; d < dim; d += 2)
        for (int32_t lane = 0; lane < AITERI_BF16_TILE; lane++) {
            const float *row = rows + lane * row_stride;
            const uint32_t high = d + 1 < dim ? aiteri_bits_of_f32(row[d + 1]) : 0;
            *word++ = (high & 0xffff0000u) | aiteri_bits_of_f32(row[d]) >> 16;
        }
}

/* Element d of a row. */
AITERI_FORCE_INLINE uint32_t aiteri_avx512bf16_element(const aiteri_block_rows *rows, int32_t i,
                                                       int32_t d)
{
    uint16_t x;
    memcpy(&x, (const char *)rows->row[i] + d * rows->stride_dim * (int64_t)sizeof x, sizeof x);
    return x;
}

static void aiteri_avx512bf16_load_k(const aiteri_kernels *own, void *block, int32_t place,
                                     const aiteri_block_rows *rows)
{
    const int64_t stride = aiteri_block_stride((rows->dim + 1) / 2);
    (void)own;
    for (int32_t i = 0; i < rows->n; i++) {
        uint32_t *to = (uint32_t *)block + (place + i) * stride;
        const int32_t whole = rows->dim / 2;
        if (rows->stride_dim == 1)
            memcpy(to, rows->row[i], (size_t)whole * sizeof *to);
        else
            for (int32_t d = 0; d < whole; d++)
                to[d] = aiteri_avx512bf16_element(rows, i, 2 * d + 1) << 16 |
                        aiteri_avx512bf16_element(rows, i, 2 * d);
        if (rows->dim % 2) to[whole] = aiteri_avx512bf16_element(rows, i, rows->dim - 1);
    }
}

/* Sixteen elements from d on, widened; zeros behind the end and of no row. */
AITERI_FORCE_INLINE __m512i aiteri_avx512bf16_words(const aiteri_block_rows *rows, int32_t i,
                                                    int32_t d)
{
    const int32_t left = rows->dim - d;
    uint16_t x[16] = {0};
    if (i < 0 || i >= rows->n) return _mm512_setzero_si512();
    if (rows->stride_dim == 1)
        return _mm512_cvtepu16_epi32(
            _mm256_maskz_loadu_epi16((__mmask16)(left < 16 ? (1u << left) - 1u : 0xffffu),
                                     (const uint16_t *)rows->row[i] + d));
    for (int32_t k = 0; k < 16 && k < left; k++)
        x[k] = (uint16_t)aiteri_avx512bf16_element(rows, i, d + k);
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)x));
}

static void aiteri_avx512bf16_load_v(const aiteri_kernels *own, void *block, int32_t place,
                                     const aiteri_block_rows *rows)
{
    const int64_t stride = aiteri_block_stride(rows->dim);
    (void)own;
    for (int32_t i = -(place & 1); i < rows->n; i += 2) {
        uint32_t *to = (uint32_t *)block + (place + i) / 2 * stride;
        for (int32_t d = 0; d < rows->dim; d += 16)
            _mm512_storeu_si512(
                to + d, _mm512_or_si512(_mm512_slli_epi32(aiteri_avx512bf16_words(rows, i, d), 16),
                                        aiteri_avx512bf16_words(rows, i + 1, d)));
    }
}

AITERI_FORCE_INLINE __m512i aiteri_avx512bf16_load(const void *words)
{
    return _mm512_loadu_si512(words);
}

/* acc[i][c] over n pairs: x[i * row + j * pair] times w[j][c]. */
AITERI_FORCE_INLINE void aiteri_avx512bf16_sums(__m512 (*acc)[AITERI_BF16_VECTORS],
                                                const uint32_t *x, int64_t row, int64_t pair,
                                                int32_t n, const uint32_t *w)
{
    const uint32_t *at[AITERI_BF16_ROWS];
    AITERI_UNROLL(16)
    for (int i = 0; i < AITERI_BF16_ROWS; i++) {
        at[i] = x + i * row;
        if (row != 1) AITERI_OPAQUE(at[i]);
    }
    for (int64_t j = 0; j < n; j++, w += AITERI_BF16_TILE) {
        __m512i y[AITERI_BF16_VECTORS];
        AITERI_UNROLL(16)
        for (int c = 0; c < AITERI_BF16_VECTORS; c++) y[c] = aiteri_avx512bf16_load(w + 16 * c);
        AITERI_UNROLL(16)
        for (int i = 0; i < AITERI_BF16_ROWS; i++) {
            const __m512i both = _mm512_set1_epi32((int32_t)at[i][j * pair]);
            AITERI_UNROLL(16)
            for (int c = 0; c < AITERI_BF16_VECTORS; c++)
                acc[i][c] = AITERI_DPBF16(acc[i][c], y[c], both);
        }
    }
}

AITERI_FORCE_INLINE void aiteri_avx512bf16_score_rows(float *st, const uint32_t *k, int64_t stride,
                                                      int32_t pairs, const uint32_t *q,
                                                      const __m512 scale)
{
    __m512 acc[AITERI_BF16_ROWS][AITERI_BF16_VECTORS];
    AITERI_UNROLL(16)
    for (int i = 0; i < AITERI_BF16_ROWS; i++) AITERI_UNROLL(16)
    for (int c = 0; c < AITERI_BF16_VECTORS; c++) acc[i][c] = _mm512_setzero_ps();
    aiteri_avx512bf16_sums(acc, k, stride, 1, pairs, q);
    AITERI_UNROLL(16)
    for (int i = 0; i < AITERI_BF16_ROWS; i++) AITERI_UNROLL(16)
    for (int c = 0; c < AITERI_BF16_VECTORS; c++)
        _mm512_storeu_ps(st + i * AITERI_BF16_TILE + 16 * c, aiteri_avx512_mul(acc[i][c], scale));
}

static void aiteri_avx512bf16_tile_score(float *st, const aiteri_block_run *keys, const void *query,
                                         int32_t vectors)
{
    const int32_t pairs = (keys->dim + 1) / 2, n = keys->n;
    const int64_t stride = aiteri_block_stride((keys->row_dim + 1) / 2);
    const uint32_t *k = (const uint32_t *)keys->block + keys->place * stride;
    const uint32_t *q = (const uint32_t *)query + AITERI_BF16_HEAD;
    const __m512 scale = _mm512_set1_ps(*(const float *)query);
    (void)vectors;
    AITERI_ASSERT(0 <= keys->place && 0 <= n && keys->place + n <= AITERI_TILE_KEYS);
    for (int32_t j = 0; j < n; j += AITERI_BF16_ROWS)
        aiteri_avx512bf16_score_rows(st + j * AITERI_BF16_TILE, k + j * stride, stride, pairs, q,
                                     scale);
}

/* The weights of row i of st as bf16, one a word; zeros of no row. */
AITERI_FORCE_INLINE __m512i aiteri_avx512bf16_weight(const float *st, int32_t n, int32_t i, int c)
{
    if (i < 0 || i >= n) return _mm512_setzero_si512();
    return aiteri_avx512_bf16_bits(_mm512_loadu_ps(st + i * AITERI_BF16_TILE + 16 * c));
}

/* Those of rows i and i + 1 as a pair, the first in the high half. */
AITERI_FORCE_INLINE __m512i aiteri_avx512bf16_weights(const float *st, int32_t n, int32_t i, int c)
{
    return _mm512_or_si512(_mm512_slli_epi32(aiteri_avx512bf16_weight(st, n, i, c), 16),
                           aiteri_avx512bf16_weight(st, n, i + 1, c));
}

AITERI_FORCE_INLINE void aiteri_avx512bf16_value_columns(float *ot, const uint32_t *v,
                                                         int64_t stride, int32_t pairs,
                                                         const uint32_t *w)
{
    __m512 acc[AITERI_BF16_ROWS][AITERI_BF16_VECTORS];
    AITERI_UNROLL(16)
    for (int i = 0; i < AITERI_BF16_ROWS; i++) AITERI_UNROLL(16)
    for (int c = 0; c < AITERI_BF16_VECTORS; c++)
        acc[i][c] = _mm512_loadu_ps(ot + i * AITERI_BF16_TILE + 16 * c);
    aiteri_avx512bf16_sums(acc, v, 1, stride, pairs, w);
    AITERI_UNROLL(16)
    for (int i = 0; i < AITERI_BF16_ROWS; i++) AITERI_UNROLL(16)
    for (int c = 0; c < AITERI_BF16_VECTORS; c++)
        _mm512_storeu_ps(ot + i * AITERI_BF16_TILE + 16 * c, acc[i][c]);
}

/* A pair of which this run has one key: the other's value may be anything. */
AITERI_COLD void aiteri_avx512bf16_value_half(float *ot, const uint32_t *v, int32_t dim_v,
                                              const uint32_t *w, uint32_t half)
{
    for (int32_t d = 0; d < dim_v; d++)
        for (int c = 0; c < AITERI_BF16_VECTORS; c++) {
            float *at = ot + d * AITERI_BF16_TILE + 16 * c;
            const __m512i x = _mm512_set1_epi32((int32_t)(v[d] & half));
            _mm512_storeu_ps(
                at, AITERI_DPBF16(_mm512_loadu_ps(at), aiteri_avx512bf16_load(w + 16 * c), x));
        }
}

/* The pairs of weights take the place of the weights, row by row from the front. */
static void aiteri_avx512bf16_tile_value(float *ot, const aiteri_block_run *values, float *st,
                                         int32_t vectors)
{
    const int64_t stride = aiteri_block_stride(values->row_dim);
    const int32_t place = values->place, n = values->n, dim_v = values->dim;
    const int32_t odd = place & 1, end = place + n;
    const uint32_t *v = (const uint32_t *)values->block + place / 2 * stride;
    uint32_t *w = (uint32_t *)(void *)st;
    int32_t pairs = (end + 1) / 2 - place / 2;
    (void)vectors;
    AITERI_ASSERT(0 <= place && 0 < n && end <= AITERI_TILE_KEYS && 0 < dim_v);
    for (int32_t i = 0; i < pairs; i++)
        for (int c = 0; c < AITERI_BF16_VECTORS; c++) {
            const __m512i pair = aiteri_avx512bf16_weights(st, n, 2 * i - odd, c);
            _mm512_storeu_si512(w + i * AITERI_BF16_TILE + 16 * c, pair);
        }
    if (odd) {
        aiteri_avx512bf16_value_half(ot, v, dim_v, w, 0xffffu);
        v += stride;
        w += AITERI_BF16_TILE;
        pairs--;
    }
    pairs -= end % 2;
    for (int32_t d = 0; d < dim_v; d += AITERI_BF16_ROWS)
        aiteri_avx512bf16_value_columns(ot + d * AITERI_BF16_TILE, v + d, stride, pairs, w);
    if (end % 2)
        aiteri_avx512bf16_value_half(ot, v + pairs * stride, dim_v, w + pairs * AITERI_BF16_TILE,
                                     0xffff0000u);
}

/* The lanes that key i of the run is not hidden from. */
AITERI_FORCE_INLINE __mmask16 aiteri_avx512bf16_sees(const aiteri_lane_mask *mask,
                                                     const float *scores, int32_t key0, int32_t n,
                                                     int32_t i, int c)
{
    if (i < 0 || i >= n) return 0;
    if (scores) {
        const __m512i score = aiteri_avx512bf16_load(scores + i * AITERI_BF16_TILE + 16 * c);
        return (__mmask16)~aiteri_avx512_eq_i(score, _mm512_set1_epi32((int32_t)0xff800000u));
    }
    const aiteri_avx512_range range = aiteri_avx512_range_of(mask, c);
    return aiteri_avx512_visible(&range, aiteri_avx512_set1_i(key0 + i), key0 + i);
}

static void aiteri_avx512bf16_tile_value_guarded(float *ot, const aiteri_block_run *values,
                                                 int32_t key0, float *st,
                                                 const aiteri_lane_mask *mask, const float *scores,
                                                 int32_t vectors)
{
    const int64_t stride = aiteri_block_stride(values->row_dim);
    const int32_t place = values->place, n = values->n, dim_v = values->dim;
    for (int32_t i = -(place & 1); i < n; i += 2) {
        const uint32_t *v = (const uint32_t *)values->block + (place + i) / 2 * stride;
        for (int c = 0; c < vectors; c++) {
            const __m512i w = aiteri_avx512bf16_weights(st, n, i, c);
            const __mmask16 even = aiteri_avx512bf16_sees(mask, scores, key0, n, i, c);
            const __mmask16 odd = aiteri_avx512bf16_sees(mask, scores, key0, n, i + 1, c);
            const __m512i half =
                _mm512_or_si512(_mm512_maskz_set1_epi32(even, (int32_t)0xffff0000u),
                                _mm512_maskz_set1_epi32(odd, 0xffff));
            for (int32_t d = 0; d < dim_v; d++) {
                float *at = ot + d * AITERI_BF16_TILE + 16 * c;
                const __m512 acc = _mm512_loadu_ps(at);
                const __m512i x = _mm512_and_si512(_mm512_set1_epi32((int32_t)v[d]), half);
                const __m512 sum = AITERI_DPBF16(acc, _mm512_and_si512(w, half), x);
                _mm512_storeu_ps(at, aiteri_avx512_select((__mmask16)(even | odd), sum, acc));
            }
        }
    }
}

/* A run's other halves of pairs are zeros or keys of the same block. */
static int aiteri_avx512bf16_v_finite(const aiteri_block_run *values)
{
    const int64_t stride = aiteri_block_stride(values->row_dim);
    const int32_t place = values->place;
    for (int32_t i = place / 2; 2 * i < place + values->n; i++)
        for (int32_t d = 0; d < values->dim; d++) {
            const uint32_t x = ((const uint32_t *)values->block)[i * stride + d];
            if ((x & 0x7f800000u) == 0x7f800000u || (x & 0x7f80u) == 0x7f80u) return 0;
        }
    return 1;
}

#define AITERI_OF_BF16(name)   AITERI_CAT(aiteri_avx512bf16, name)
#define AITERI_OF_AVX512(name) AITERI_CAT(aiteri_avx512, name)
static const aiteri_kernels aiteri_avx512bf16_kernels = {"avx512_bf16",
                                                         AITER_ISA_AVX512_BF16,
                                                         AITERI_CPU_AVX512_BF16,
                                                         &aiteri_avx512_kernels,
                                                         aiteri_avx512bf16_takes,
                                                         16,
                                                         AITERI_BF16_TILE,
                                                         0,
                                                         aiteri_avx512bf16_query_bytes,
                                                         aiteri_avx512bf16_k_bytes,
                                                         aiteri_avx512bf16_v_bytes,
                                                         aiteri_avx512bf16_load_k,
                                                         aiteri_avx512bf16_load_v,
                                                         AITERI_BLOCK_ENTRIES(AITERI_OF_BF16),
                                                         AITERI_OTHER_ENTRIES(AITERI_OF_AVX512)};
#undef AITERI_OF_BF16
#undef AITERI_OF_AVX512
AITERI_TARGET_END
#elif AITERI_X86_BF16 /* what tells it from the set below is attention's, and no family's need */
#define AITERI_OF_AVX512(name) AITERI_CAT(aiteri_avx512, name)
static const aiteri_kernels aiteri_avx512bf16_kernels = {"avx512_bf16",
                                                         AITER_ISA_AVX512_BF16,
                                                         AITERI_CPU_AVX512_BF16,
                                                         &aiteri_avx512_kernels,
                                                         NULL,
                                                         16,
                                                         16,
                                                         AITERI_F32_FORMAT,
                                                         AITERI_BLOCK_ENTRIES(AITERI_OF_AVX512),
                                                         AITERI_OTHER_ENTRIES(AITERI_OF_AVX512)};
#undef AITERI_OF_AVX512
#endif

#if AITERI_NEON
#define AITERI_K(name)        AITERI_CAT(aiteri_neon, name)
#define AITERI_K_NAME         "neon"
#define AITERI_K_ISA          AITER_ISA_NEON
#define AITERI_K_NEEDS        AITERI_CPU_NEON
#define AITERI_K_BELOW        &aiteri_scalar_kernels
#define AITERI_TILE_VECTORS   4
#define AITERI_TILE_NEXT      AITERI_NOT_BEFORE_4
#define AITERI_TILE_ROWS      6
#define AITERI_NARROW_VECTORS 2
#define AITERI_NARROW_ROWS    8
#define AITERI_TILE_STEPS     1
#define AITERI_DOT_KEYS       4
#define AITERI_AXPY_VECTORS   4
#define AITERI_STREAM_TYPES   1
#define AITERI_CONVERTS       1

// >>simd_neon    (src/cpu/simd_neon.h)
/* simd_neon.h -- the vector layer on AArch64 Advanced SIMD: four lanes, partial loads and stores
 * through a copy. simd_scalar.h says what each function means. */
typedef float32x4_t AITERI_K(vf);
typedef int32x4_t AITERI_K(vi);
typedef uint32x4_t AITERI_K(vm); /* all bits of a lane set, or none */
#define AITERI_LANES 4

AITERI_FORCE_INLINE float32x4_t AITERI_K(zero)(void) { return vdupq_n_f32(0.0f); }
AITERI_FORCE_INLINE float32x4_t AITERI_K(set1)(float x) { return vdupq_n_f32(x); }
AITERI_FORCE_INLINE int32x4_t AITERI_K(set1_i)(int32_t x) { return vdupq_n_s32(x); }
AITERI_FORCE_INLINE int32x4_t AITERI_K(iota_i)(void)
{
    return vreinterpretq_s32_s64(
        vcombine_s64(vcreate_s64(0x0000000100000000u), vcreate_s64(0x0000000300000002u)));
}
AITERI_FORCE_INLINE int32x4_t AITERI_K(add_i)(int32x4_t a, int32x4_t b) { return vaddq_s32(a, b); }
AITERI_FORCE_INLINE int32x4_t AITERI_K(sub_i)(int32x4_t a, int32x4_t b) { return vsubq_s32(a, b); }
AITERI_FORCE_INLINE int32x4_t AITERI_K(and_i)(int32x4_t a, int32x4_t b) { return vandq_s32(a, b); }
AITERI_FORCE_INLINE int32x4_t AITERI_K(or_i)(int32x4_t a, int32x4_t b) { return vorrq_s32(a, b); }
AITERI_FORCE_INLINE int32x4_t AITERI_K(shl_i)(int32x4_t a, int n)
{
    return vshlq_s32(a, vdupq_n_s32(n));
}
AITERI_FORCE_INLINE int32x4_t AITERI_K(shr_i)(int32x4_t a, int n)
{
    return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a), vdupq_n_s32(-n)));
}
AITERI_FORCE_INLINE uint32x4_t AITERI_K(lt_i)(int32x4_t a, int32x4_t b) { return vcltq_s32(a, b); }
AITERI_FORCE_INLINE uint32x4_t AITERI_K(eq_i)(int32x4_t a, int32x4_t b) { return vceqq_s32(a, b); }
AITERI_FORCE_INLINE int32x4_t AITERI_K(select_i)(uint32x4_t m, int32x4_t a, int32x4_t b)
{
    return vbslq_s32(m, a, b);
}
AITERI_FORCE_INLINE int32x4_t AITERI_K(to_i)(float32x4_t a) { return vcvtnq_s32_f32(a); }
AITERI_FORCE_INLINE float32x4_t AITERI_K(to_f)(int32x4_t a) { return vcvtq_f32_s32(a); }
AITERI_FORCE_INLINE int32x4_t AITERI_K(as_i)(float32x4_t a) { return vreinterpretq_s32_f32(a); }
AITERI_FORCE_INLINE float32x4_t AITERI_K(as_f)(int32x4_t a) { return vreinterpretq_f32_s32(a); }
AITERI_FORCE_INLINE float32x4_t AITERI_K(iota)(void) { return AITERI_K(to_f)(AITERI_K(iota_i)()); }

AITERI_FORCE_INLINE float32x4_t AITERI_K(load)(const float *p) { return vld1q_f32(p); }
AITERI_FORCE_INLINE void AITERI_K(store)(float *p, float32x4_t x) { vst1q_f32(p, x); }
AITERI_FORCE_INLINE float32x4_t AITERI_K(load_n)(const float *p, int n)
{
    float tail[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    memcpy(tail, p, (size_t)n * sizeof *p);
    return vld1q_f32(tail);
}
AITERI_FORCE_INLINE void AITERI_K(store_n)(float *p, float32x4_t x, int n)
{
    float tail[4];
    vst1q_f32(tail, x);
    memcpy(p, tail, (size_t)n * sizeof *p);
}

AITERI_FORCE_INLINE float32x4_t AITERI_K(fma)(float32x4_t a, float32x4_t b, float32x4_t c)
{
#if AITERI_HAS_BUILTIN(__builtin_elementwise_fma)
    return __builtin_elementwise_fma(a, b, c);
#else
    return vfmaq_f32(c, a, b);
#endif
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(add)(float32x4_t a, float32x4_t b)
{
    return AITERI_VECTOR_OP(vaddq_f32, a, +, b);
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(sub)(float32x4_t a, float32x4_t b)
{
    return AITERI_VECTOR_OP(vsubq_f32, a, -, b);
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(mul)(float32x4_t a, float32x4_t b)
{
    float32x4_t product = AITERI_VECTOR_OP(vmulq_f32, a, *, b);
    AITERI_FENCE_PRODUCT(product);
    return product;
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(div)(float32x4_t a, float32x4_t b)
{
    return AITERI_VECTOR_OP(vdivq_f32, a, /, b);
}
/* Not FMAX, which prefers NaN to the second operand. */
AITERI_FORCE_INLINE float32x4_t AITERI_K(max)(float32x4_t a, float32x4_t b)
{
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(min)(float32x4_t a, float32x4_t b)
{
    return vbslq_f32(vcltq_f32(a, b), a, b);
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(abs)(float32x4_t a) { return vabsq_f32(a); }
AITERI_FORCE_INLINE float32x4_t AITERI_K(copysign)(float32x4_t a, float32x4_t b)
{
    return vbslq_f32(vdupq_n_u32(0x80000000u), b, a);
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(round)(float32x4_t a) { return vrndnq_f32(a); }
AITERI_FORCE_INLINE float32x4_t AITERI_K(scale2)(float32x4_t a, float32x4_t n)
{
    const int32x4_t e = vshlq_n_s32(vcvtnq_s32_f32(n), 23);
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(a), e));
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(ldexp)(float32x4_t a, float32x4_t n)
{
    const int32x4_t one = vdupq_n_s32(0x3f800000);
    const int32x4_t i = vcvtnq_s32_f32(n), half = vshrq_n_s32(i, 1), rest = vsubq_s32(i, half);
    a = AITERI_K(mul)(a, vreinterpretq_f32_s32(vaddq_s32(one, vshlq_n_s32(half, 23))));
    return AITERI_K(mul)(a, vreinterpretq_f32_s32(vaddq_s32(one, vshlq_n_s32(rest, 23))));
}

AITERI_FORCE_INLINE uint32x4_t AITERI_K(lt)(float32x4_t a, float32x4_t b)
{
    return vcltq_f32(a, b);
}
AITERI_FORCE_INLINE uint32x4_t AITERI_K(gt)(float32x4_t a, float32x4_t b)
{
    return vcgtq_f32(a, b);
}
AITERI_FORCE_INLINE uint32x4_t AITERI_K(nlt)(float32x4_t a, float32x4_t b)
{
    return vmvnq_u32(vcltq_f32(a, b));
}
AITERI_FORCE_INLINE uint32x4_t AITERI_K(and_m)(uint32x4_t a, uint32x4_t b)
{
    return vandq_u32(a, b);
}
AITERI_FORCE_INLINE uint32x4_t AITERI_K(or_m)(uint32x4_t a, uint32x4_t b)
{
    return vorrq_u32(a, b);
}
AITERI_FORCE_INLINE uint32x4_t AITERI_K(not_m)(uint32x4_t a) { return vmvnq_u32(a); }
AITERI_FORCE_INLINE int AITERI_K(any)(uint32x4_t m) { return vmaxvq_u32(m) != 0; }
AITERI_FORCE_INLINE int AITERI_K(all)(uint32x4_t m) { return vminvq_u32(m) != 0; }
AITERI_FORCE_INLINE float32x4_t AITERI_K(select)(uint32x4_t m, float32x4_t a, float32x4_t b)
{
    return vbslq_f32(m, a, b);
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(keep)(uint32x4_t m, float32x4_t a)
{
    return vreinterpretq_f32_u32(vandq_u32(m, vreinterpretq_u32_f32(a)));
}

/* Pairs 0+1 and 2+3, then their sum. */
AITERI_FORCE_INLINE float32x4_t AITERI_K(add_pairs)(float32x4_t a, float32x4_t b)
{
    return AITERI_K(add)(vuzp1q_f32(a, b), vuzp2q_f32(a, b));
}
AITERI_FORCE_INLINE void AITERI_K(hsum4)(float32x4_t a, float32x4_t b, float32x4_t c, float32x4_t d,
                                         float *out)
{
    vst1q_f32(out, AITERI_K(add_pairs)(AITERI_K(add_pairs)(a, b), AITERI_K(add_pairs)(c, d)));
}
AITERI_FORCE_INLINE void AITERI_K(hsum16)(const float32x4_t *v, float *out)
{
    AITERI_UNROLL(4)
    for (int i = 0; i < 16; i += 4) AITERI_K(hsum4)(v[i], v[i + 1], v[i + 2], v[i + 3], out + i);
}
AITERI_FORCE_INLINE float AITERI_K(hsum)(float32x4_t a)
{
    const float32x4_t pairs = AITERI_K(add_pairs)(a, a);
    return vgetq_lane_f32(AITERI_K(add_pairs)(pairs, pairs), 0);
}
AITERI_FORCE_INLINE float AITERI_K(hmax)(float32x4_t a)
{
    const float32x4_t x = AITERI_K(max)(a, vextq_f32(a, a, 2));
    return vgetq_lane_f32(AITERI_K(max)(x, vextq_f32(x, x, 1)), 0);
}

AITERI_COLD void AITERI_K(transpose)(const float *src, int64_t ld_src, float *dst, int64_t ld_dst)
{
    const float32x4_t a = vld1q_f32(src), b = vld1q_f32(src + ld_src);
    const float32x4_t c = vld1q_f32(src + 2 * ld_src), d = vld1q_f32(src + 3 * ld_src);
    const float32x4_t ac0 = vzip1q_f32(a, c), ac2 = vzip2q_f32(a, c);
    const float32x4_t bd0 = vzip1q_f32(b, d), bd2 = vzip2q_f32(b, d);
    vst1q_f32(dst, vzip1q_f32(ac0, bd0));
    vst1q_f32(dst + ld_dst, vzip2q_f32(ac0, bd0));
    vst1q_f32(dst + 2 * ld_dst, vzip1q_f32(ac2, bd2));
    vst1q_f32(dst + 3 * ld_dst, vzip2q_f32(ac2, bd2));
}

AITERI_FORCE_INLINE uint16x4_t AITERI_K(load_x16_n)(const uint16_t *p, int n)
{
    uint16_t tail[4] = {0, 0, 0, 0};
    memcpy(tail, p, (size_t)n * sizeof *p);
    return vld1_u16(tail);
}
/* Four bytes in the low half of a register. */
AITERI_FORCE_INLINE uint8x8_t AITERI_K(load_x8_n)(const void *p, int n)
{
    uint32_t four = 0;
    memcpy(&four, p, (size_t)n);
    return vreinterpret_u8_u32(vdup_n_u32(four));
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(expand_f16)(uint16x4_t x)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(x));
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(expand_bf16)(uint16x4_t x)
{
    return vreinterpretq_f32_u32(vshll_n_u16(x, 16));
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(load_f16)(const uint16_t *p)
{
    return AITERI_K(expand_f16)(vld1_u16(p));
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(load_f16_n)(const uint16_t *p, int n)
{
    return AITERI_K(expand_f16)(AITERI_K(load_x16_n)(p, n));
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(load_bf16)(const uint16_t *p)
{
    return AITERI_K(expand_bf16)(vld1_u16(p));
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(load_bf16_n)(const uint16_t *p, int n)
{
    return AITERI_K(expand_bf16)(AITERI_K(load_x16_n)(p, n));
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(load_i8_n)(const int8_t *p, int n)
{
    const int16x8_t x = vmovl_s8(vreinterpret_s8_u8(AITERI_K(load_x8_n)(p, n)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(x)));
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(load_i8)(const int8_t *p)
{
    return AITERI_K(load_i8_n)(p, 4);
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(load_e5m2_raw)(const uint8_t *p)
{
    return AITERI_K(expand_f16)(vget_low_u16(vshll_n_u8(AITERI_K(load_x8_n)(p, 4), 8)));
}
AITERI_FORCE_INLINE float32x4_t AITERI_K(load_e4m3_raw)(const uint8_t *p)
{
    const int16x8_t x = vshll_n_s8(vreinterpret_s8_u8(AITERI_K(load_x8_n)(p, 4)), 7);
    return AITERI_K(expand_f16)(
        vand_u16(vget_low_u16(vreinterpretq_u16_s16(x)), vdup_n_u16(0xbf80)));
}

AITERI_FORCE_INLINE uint16x4_t AITERI_K(pack_f16)(float32x4_t x)
{
    return vreinterpret_u16_f16(vcvt_f16_f32(x));
}
AITERI_FORCE_INLINE void AITERI_K(store_part)(uint16_t *p, uint16x4_t x, int n)
{
    uint16_t tail[4];
    vst1_u16(tail, x);
    memcpy(p, tail, (size_t)n * sizeof *p);
}
AITERI_FORCE_INLINE uint16x4_t AITERI_K(pack_x16)(int32x4_t x)
{
    return vmovn_u32(vreinterpretq_u32_s32(x));
}
AITERI_FORCE_INLINE void AITERI_K(store_x16)(uint16_t *p, int32x4_t x)
{
    vst1_u16(p, AITERI_K(pack_x16)(x));
}
AITERI_FORCE_INLINE void AITERI_K(store_x16_n)(uint16_t *p, int32x4_t x, int n)
{
    AITERI_K(store_part)(p, AITERI_K(pack_x16)(x), n);
}
AITERI_FORCE_INLINE void AITERI_K(store_x8)(uint8_t *p, int32x4_t x)
{
    const uint16x4_t y = AITERI_K(pack_x16)(x);
    const uint32_t four = vget_lane_u32(vreinterpret_u32_u8(vmovn_u16(vcombine_u16(y, y))), 0);
    memcpy(p, &four, sizeof four);
}
AITERI_FORCE_INLINE void AITERI_K(store_f16)(uint16_t *p, float32x4_t x)
{
    vst1_u16(p, AITERI_K(pack_f16)(x));
}
AITERI_FORCE_INLINE void AITERI_K(store_f16_n)(uint16_t *p, float32x4_t x, int n)
{
    AITERI_K(store_part)(p, AITERI_K(pack_f16)(x), n);
}

// >>k_all    (src/cpu/k_all.inl.h)
/* k_all.inl.h -- one kernel set: the templates in order, the table that lists them, and the
 * clean-up. */

// >>k_math    (src/cpu/k_math.inl.h)
/* k_math.inl.h -- exp2 and tanh of a vector and rounding stores to bfloat16, written once over the
 * vector layer. */

/* 2^x times `unit`, a constant power of two that costs nothing; 2^least * unit is the smallest
 * normal number. Error below 0.8 ulp (1.1 without FMA); exact at integers; x < least gives an exact
 * zero, never a subnormal, which would slow every operation after it; 128 and above give infinity
 * if unit is 1; NaN stays NaN. 2^x = 2^n 2^f with |f| <= 1/2 and a minimax polynomial for 2^f that
 * is exact at 0. */
AITERI_FORCE_INLINE AITERI_K(vf)
    AITERI_K(exp2_unit)(AITERI_K(vf) x, const float unit, const float least)
{
    const AITERI_K(vm) live = AITERI_K(nlt)(x, AITERI_K(set1)(least));
    x = AITERI_K(min)(AITERI_K(set1)(128.0f), x);
    const AITERI_K(vf) n = AITERI_K(round)(x);
    const AITERI_K(vf) f = AITERI_K(sub)(x, n);
    AITERI_K(vf) p = AITERI_K(set1)(1.53264686e-4f * unit);
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(1.33908063e-3f * unit));
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(9.61850584e-3f * unit));
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(5.55035993e-2f * unit));
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(0.240226477f * unit));
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(0.693147182f * unit));
    p = AITERI_K(fma)(p, f, AITERI_K(set1)(unit));
    return AITERI_K(keep)(live, AITERI_K(scale2)(p, n));
}

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(exp2)(AITERI_K(vf) x)
{
    return AITERI_K(exp2_unit)(x, 1.0f, -126.0f);
}

/* tanh(x), relative error below 2 ulp everywhere: an odd polynomial near zero, where the other form
 * would cancel, and 1 - 2 / (e^2|x| + 1) beyond. */
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(tanh)(AITERI_K(vf) x)
{
    const AITERI_K(vf) one = AITERI_K(set1)(1.0f);
    const AITERI_K(vf) a = AITERI_K(abs)(x);
    const AITERI_K(vf) u = AITERI_K(mul)(a, a);
    AITERI_K(vf) p = AITERI_K(set1)(-5.6922962e-3f);
    p = AITERI_K(fma)(p, u, AITERI_K(set1)(2.06281673e-2f));
    p = AITERI_K(fma)(p, u, AITERI_K(set1)(-5.37365153e-2f));
    p = AITERI_K(fma)(p, u, AITERI_K(set1)(0.133314058f));
    p = AITERI_K(fma)(p, u, AITERI_K(set1)(-0.333332807f));
    p = AITERI_K(fma)(AITERI_K(mul)(p, u), a, a);
    const AITERI_K(vf) y =
        AITERI_K(mul)(AITERI_K(min)(AITERI_K(set1)(10.0f), a), AITERI_K(set1)(2.88539008f));
    const AITERI_K(vf) e = AITERI_K(add)(AITERI_K(exp2)(y), one);
    const AITERI_K(vf) big = AITERI_K(sub)(one, AITERI_K(div)(AITERI_K(set1)(2.0f), e));
    const AITERI_K(vm) near_zero = AITERI_K(lt)(a, AITERI_K(set1)(0.625f));
    return AITERI_K(copysign)(AITERI_K(select)(near_zero, p, big), x);
}

/* A score under a softcap. */
AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(capped)(AITERI_K(vf) x, const aiteri_softcap *softcap)
{
    const AITERI_K(vf) cap = AITERI_K(set1)(softcap->cap);
    AITERI_K(vf) share = x;
    if (softcap->wide)
        share = AITERI_K(mul)(AITERI_K(mul)(x, AITERI_K(set1)(softcap->before)),
                              AITERI_K(set1)(softcap->inverse));
    const AITERI_K(vf) y = AITERI_K(mul)(cap, AITERI_K(tanh)(share));
    if (!softcap->wide) return y;
    const AITERI_K(vm) unseen =
        AITERI_K(lt)(AITERI_K(abs)(share), AITERI_K(set1)(1.220703125e-4f)); /* 2^-13 */
    return AITERI_K(select)(unseen, x, y);
}

/* Bits of x as bfloat16: to nearest even, overflow to infinity, NaN kept and made quiet. */
AITERI_FORCE_INLINE AITERI_K(vi) AITERI_K(bf16_bits)(AITERI_K(vf) x)
{
    const AITERI_K(vi) u = AITERI_K(as_i)(x);
    const AITERI_K(vi) high = AITERI_K(shr_i)(u, 16);
    const AITERI_K(vi) odd = AITERI_K(and_i)(high, AITERI_K(set1_i)(1));
    const AITERI_K(vi) up = AITERI_K(add_i)(AITERI_K(add_i)(u, AITERI_K(set1_i)(0x7fff)), odd);
    const AITERI_K(vm) nan = AITERI_K(lt_i)(AITERI_K(set1_i)(0x7f800000),
                                            AITERI_K(and_i)(u, AITERI_K(set1_i)(0x7fffffff)));
    return AITERI_K(select_i)(nan, AITERI_K(or_i)(high, AITERI_K(set1_i)(0x40)),
                              AITERI_K(shr_i)(up, 16));
}

AITERI_FORCE_INLINE void AITERI_K(store_bf16)(uint16_t *p, AITERI_K(vf) x)
{
    AITERI_K(store_x16)(p, AITERI_K(bf16_bits)(x));
}

AITERI_FORCE_INLINE void AITERI_K(store_bf16_n)(uint16_t *p, AITERI_K(vf) x, int n)
{
    AITERI_K(store_x16_n)(p, AITERI_K(bf16_bits)(x), n);
}

// >>k_convert    (src/cpu/k_convert.inl.h)
/* k_convert.inl.h -- rows of any storage type to f32 and back, the same bits as dtype.c, written
 * once over the vector layer. n counts elements; an I4 or F4 row starts at a whole byte. */

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_f8_e4m3fn)(const uint8_t *p)
{
    const AITERI_K(vf) raw = AITERI_K(load_e4m3_raw)(p);
    const AITERI_K(vi) u = AITERI_K(as_i)(AITERI_K(mul)(raw, AITERI_K(set1)(256.0f)));
    const AITERI_K(vm) nan = AITERI_K(gt)(AITERI_K(abs)(raw), AITERI_K(set1)(1.75f));
    const AITERI_K(vi) all_ones = AITERI_K(or_i)(u, AITERI_K(set1_i)(0x7ff00000));
    return AITERI_K(as_f)(AITERI_K(select_i)(nan, all_ones, u));
}

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_f8_e4m3fnuz)(const uint8_t *p)
{
    const AITERI_K(vf) raw = AITERI_K(load_e4m3_raw)(p);
    const AITERI_K(vi) u = AITERI_K(as_i)(AITERI_K(mul)(raw, AITERI_K(set1)(128.0f)));
    const AITERI_K(vm) minus_zero = AITERI_K(eq_i)(u, AITERI_K(set1_i)(INT32_MIN));
    const AITERI_K(vi) nan = AITERI_K(set1_i)(INT32_MIN | 0x7fc00000);
    return AITERI_K(as_f)(AITERI_K(select_i)(minus_zero, nan, u));
}

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_K(load_f8_e5m2)(const uint8_t *p)
{
    return AITERI_K(load_e5m2_raw)(p);
}

AITERI_FORCE_INLINE AITERI_K(vi) AITERI_K(magnitude_bits)(AITERI_K(vf) x)
{
    return AITERI_K(and_i)(AITERI_K(as_i)(x), AITERI_K(set1_i)(0x7fffffff));
}
AITERI_FORCE_INLINE AITERI_K(vm) AITERI_K(is_nan)(AITERI_K(vf) x)
{
    return AITERI_K(lt_i)(AITERI_K(set1_i)(0x7f800000), AITERI_K(magnitude_bits)(x));
}
AITERI_FORCE_INLINE AITERI_K(vi) AITERI_K(f8_sign)(AITERI_K(vf) x)
{
    return AITERI_K(and_i)(AITERI_K(shr_i)(AITERI_K(as_i)(x), 24), AITERI_K(set1_i)(0x80));
}

/* |x| as a float with so many mantissa bits and that bias, at most `max`. Subnormals come from a
 * sum with the number whose last bit is worth one step: it is normal, so flushing has no hold on
 * it. */
AITERI_FORCE_INLINE AITERI_K(vi)
    AITERI_K(f8_magnitude)(AITERI_K(vf) x, const int mantissa, const int bias, const int32_t max)
{
    const int drop = 23 - mantissa, rebias = 127 - bias;
    const int32_t half = (1 << (drop - 1)) - 1, base = rebias << mantissa;
    const AITERI_K(vi) a = AITERI_K(magnitude_bits)(x);
    const AITERI_K(vi) odd = AITERI_K(and_i)(AITERI_K(shr_i)(a, drop), AITERI_K(set1_i)(1));
    const AITERI_K(vi) up = AITERI_K(add_i)(AITERI_K(add_i)(a, AITERI_K(set1_i)(half)), odd);
    const AITERI_K(vi) normal = AITERI_K(sub_i)(AITERI_K(shr_i)(up, drop), AITERI_K(set1_i)(base));
    const AITERI_K(vi) magic = AITERI_K(set1_i)((rebias + 1 + drop) << 23);
    const AITERI_K(vf) sum = AITERI_K(add)(AITERI_K(as_f)(a), AITERI_K(as_f)(magic));
    const AITERI_K(vi) small = AITERI_K(sub_i)(AITERI_K(as_i)(sum), magic);
    const AITERI_K(vm) is_small = AITERI_K(lt_i)(a, AITERI_K(set1_i)((rebias + 1) << 23));
    const AITERI_K(vi) code = AITERI_K(select_i)(is_small, small, normal);
    const AITERI_K(vi) top = AITERI_K(set1_i)(max);
    return AITERI_K(select_i)(AITERI_K(lt_i)(top, code), top, code);
}

AITERI_FORCE_INLINE void AITERI_K(store_f8_e4m3fn)(uint8_t *p, AITERI_K(vf) x)
{
    const AITERI_K(vi) code = AITERI_K(f8_magnitude)(x, 3, 7, 0x7e);
    const AITERI_K(vi) kept = AITERI_K(select_i)(AITERI_K(is_nan)(x), AITERI_K(set1_i)(0x7f), code);
    AITERI_K(store_x8)(p, AITERI_K(or_i)(kept, AITERI_K(f8_sign)(x)));
}

AITERI_FORCE_INLINE void AITERI_K(store_f8_e4m3fnuz)(uint8_t *p, AITERI_K(vf) x)
{
    const AITERI_K(vi) zero = AITERI_K(set1_i)(0);
    const AITERI_K(vi) code = AITERI_K(f8_magnitude)(x, 3, 8, 0x7f);
    const AITERI_K(vi) value = AITERI_K(select_i)(AITERI_K(eq_i)(code, zero), zero,
                                                  AITERI_K(or_i)(code, AITERI_K(f8_sign)(x)));
    AITERI_K(store_x8)(p, AITERI_K(select_i)(AITERI_K(is_nan)(x), AITERI_K(set1_i)(0x80), value));
}

AITERI_FORCE_INLINE void AITERI_K(store_f8_e5m2)(uint8_t *p, AITERI_K(vf) x)
{
    const AITERI_K(vi) code = AITERI_K(f8_magnitude)(x, 2, 15, 0x7b);
    const AITERI_K(vi) kept = AITERI_K(select_i)(AITERI_K(is_nan)(x), AITERI_K(set1_i)(0x7f), code);
    AITERI_K(store_x8)(p, AITERI_K(or_i)(kept, AITERI_K(f8_sign)(x)));
}

AITERI_FORCE_INLINE void AITERI_K(store_int8)(int8_t *p, AITERI_K(vf) x, const float limit)
{
    const AITERI_K(vf) low = AITERI_K(max)(AITERI_K(set1)(-limit), x);
    const AITERI_K(vi) i = AITERI_K(to_i)(AITERI_K(min)(AITERI_K(set1)(limit), low));
    const AITERI_K(vi) kept = AITERI_K(select_i)(AITERI_K(is_nan)(x), AITERI_K(set1_i)(0), i);
    AITERI_K(store_x8)((uint8_t *)p, AITERI_K(and_i)(kept, AITERI_K(set1_i)(0xff)));
}
AITERI_FORCE_INLINE void AITERI_K(store_i8)(int8_t *p, AITERI_K(vf) x)
{
    AITERI_K(store_int8)(p, x, 127.0f);
}
AITERI_FORCE_INLINE void AITERI_K(store_i4_byte)(int8_t *p, AITERI_K(vf) x)
{
    AITERI_K(store_int8)(p, x, 7.0f);
}
AITERI_FORCE_INLINE void AITERI_K(store_f4_byte)(int8_t *p, AITERI_K(vf) x)
{
    const AITERI_K(vi) sign =
        AITERI_K(and_i)(AITERI_K(shr_i)(AITERI_K(as_i)(x), 28), AITERI_K(set1_i)(8));
    const AITERI_K(vi) code = AITERI_K(or_i)(AITERI_K(f8_magnitude)(x, 1, 1, 7), sign);
    AITERI_K(store_x8)((uint8_t *)p,
                       AITERI_K(select_i)(AITERI_K(is_nan)(x), AITERI_K(set1_i)(0), code));
}

/* The loop over a row; its last partial vector goes through a copy. */
#define AITERI_WIDEN(name, type)                                               \
    static void AITERI_K(widen_##name)(float *dst, const void *src, int64_t n) \
    {                                                                          \
        const type *p = (const type *)src;                                     \
        int64_t i = 0;                                                         \
        for (; i + AITERI_LANES <= n; i += AITERI_LANES)                       \
            AITERI_K(store)(dst + i, AITERI_K(load_##name)(p + i));            \
        if (i >= n) return;                                                    \
        type tail[AITERI_LANES] = {0};                                         \
        memcpy(tail, p + i, (size_t)(n - i) * sizeof *p);                      \
        AITERI_K(store_n)(dst + i, AITERI_K(load_##name)(tail), (int)(n - i)); \
    }

#define AITERI_NARROW(name, type)                                               \
    static void AITERI_K(narrow_##name)(void *dst, const float *src, int64_t n) \
    {                                                                           \
        type *p = (type *)dst;                                                  \
        int64_t i = 0;                                                          \
        for (; i + AITERI_LANES <= n; i += AITERI_LANES)                        \
            AITERI_K(store_##name)(p + i, AITERI_K(load)(src + i));             \
        if (i >= n) return;                                                     \
        type tail[AITERI_LANES];                                                \
        AITERI_K(store_##name)(tail, AITERI_K(load_n)(src + i, (int)(n - i)));  \
        memcpy(p + i, tail, (size_t)(n - i) * sizeof *p);                       \
    }

AITERI_WIDEN(f16, uint16_t)
AITERI_WIDEN(bf16, uint16_t)
AITERI_WIDEN(i8, int8_t)
#if AITERI_CONVERTS /* else the set below has them */
AITERI_NARROW(f16, uint16_t)
AITERI_NARROW(bf16, uint16_t)
#if AITERI_READS_CODES
AITERI_WIDEN(f8_e4m3fn, uint8_t)
AITERI_WIDEN(f8_e4m3fnuz, uint8_t)
AITERI_WIDEN(f8_e5m2, uint8_t)

/* The types of 4 bits go by blocks through bytes. */
static void AITERI_K(widen_i4)(float *dst, const void *src, int64_t n)
{
    const uint8_t *p = (const uint8_t *)src;
    int8_t block[128];
    for (int64_t i = 0; i < n; i += 128) {
        const int64_t count = n - i < 128 ? n - i : 128;
        for (int64_t k = 0; k < (count + 1) / 2; k++) {
            const int byte = p[i / 2 + k];
            block[2 * k] = (int8_t)(((byte & 15) ^ 8) - 8);
            block[2 * k + 1] = (int8_t)(((byte >> 4) ^ 8) - 8);
        }
        AITERI_K(widen_i8)(dst + i, block, count);
    }
}
#endif
#if AITERI_WRITES_CODES
AITERI_NARROW(f8_e4m3fn, uint8_t)
AITERI_NARROW(f8_e4m3fnuz, uint8_t)
AITERI_NARROW(f8_e5m2, uint8_t)
AITERI_NARROW(i8, int8_t)
AITERI_NARROW(i4_byte, int8_t)

AITERI_FORCE_INLINE void AITERI_K(narrow_halves)(void *dst, const float *src, int64_t n,
                                                 aiteri_narrow_fn to_bytes)
{
    uint8_t *p = (uint8_t *)dst;
    int8_t block[128];
    for (int64_t i = 0; i < n; i += 128) {
        const int64_t count = n - i < 128 ? n - i : 128;
        to_bytes(block, src + i, count);
        if (count & 1) block[count] = (int8_t)(p[i / 2 + count / 2] >> 4);
        for (int64_t k = 0; k < (count + 1) / 2; k++)
            p[i / 2 + k] = (uint8_t)((block[2 * k] & 15) | (block[2 * k + 1] & 15) << 4);
    }
}

static void AITERI_K(narrow_i4)(void *dst, const float *src, int64_t n)
{
    AITERI_K(narrow_halves)(dst, src, n, AITERI_K(narrow_i4_byte));
}
#if AITERI_HAS_QUANT
AITERI_NARROW(f4_byte, int8_t)

static void AITERI_K(narrow_f4)(void *dst, const float *src, int64_t n)
{
    AITERI_K(narrow_halves)(dst, src, n, AITERI_K(narrow_f4_byte));
}

static void AITERI_K(widen_f4)(float *dst, const void *src, int64_t n)
{
    static const float value[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                    -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};
    const uint8_t *p = (const uint8_t *)src;
    for (int64_t i = 0; i + 1 < n; i += 2) {
        dst[i] = value[p[i / 2] & 15];
        dst[i + 1] = value[p[i / 2] >> 4];
    }
    if (n & 1) dst[n - 1] = value[p[n / 2] & 15];
}
#endif
#endif /* AITERI_WRITES_CODES */

static void AITERI_K(widen_f32)(float *dst, const void *src, int64_t n)
{
    if (n > 0) memcpy(dst, src, (size_t)n * sizeof *dst);
}

static void AITERI_K(narrow_f32)(void *dst, const float *src, int64_t n)
{
    if (n > 0) memcpy(dst, src, (size_t)n * sizeof *src);
}

#define AITERI_CONVERT_OF(name) AITERI_K(name)
#endif
#if AITERI_READS_CODES
#define AITERI_READER_CONVERT_OF(name) AITERI_CONVERT_OF(name)
#else
#define AITERI_READER_CONVERT_OF(name) NULL
#endif
#if AITERI_WRITES_CODES
#define AITERI_WRITER_CONVERT_OF(name) AITERI_CONVERT_OF(name)
#else
#define AITERI_WRITER_CONVERT_OF(name) NULL
#endif
#if AITERI_HAS_QUANT
#define AITERI_F4_CONVERT_OF(name) AITERI_CONVERT_OF(name)
#else
#define AITERI_F4_CONVERT_OF(name) NULL
#endif
#undef AITERI_WIDEN
#undef AITERI_NARROW

/* In the order of aiter_dtype. */
static const aiteri_widen_fn AITERI_K(widen)[AITER_DTYPE_COUNT] = {
    NULL,
    AITERI_CONVERT_OF(widen_f32),
    AITERI_K(widen_f16),
    AITERI_K(widen_bf16),
    AITERI_READER_CONVERT_OF(widen_f8_e4m3fn),
    AITERI_READER_CONVERT_OF(widen_f8_e4m3fnuz),
    AITERI_READER_CONVERT_OF(widen_f8_e5m2),
    AITERI_K(widen_i8),
    AITERI_READER_CONVERT_OF(widen_i4),
    NULL,
    NULL,
    NULL,
    AITERI_F4_CONVERT_OF(widen_f4),
    NULL,
};

static const aiteri_narrow_fn AITERI_K(narrow)[AITER_DTYPE_COUNT] = {
    NULL,
    AITERI_CONVERT_OF(narrow_f32),
    AITERI_CONVERT_OF(narrow_f16),
    AITERI_CONVERT_OF(narrow_bf16),
    AITERI_WRITER_CONVERT_OF(narrow_f8_e4m3fn),
    AITERI_WRITER_CONVERT_OF(narrow_f8_e4m3fnuz),
    AITERI_WRITER_CONVERT_OF(narrow_f8_e5m2),
    AITERI_WRITER_CONVERT_OF(narrow_i8),
    AITERI_WRITER_CONVERT_OF(narrow_i4),
    NULL,
    NULL,
    NULL,
    AITERI_F4_CONVERT_OF(narrow_f4),
    NULL,
};
#undef AITERI_READER_CONVERT_OF
#undef AITERI_WRITER_CONVERT_OF
#undef AITERI_F4_CONVERT_OF

// >>k_rows    (src/cpu/k_rows.inl.h)
/* k_rows.inl.h -- what every op does to a row of f32: scale it, finish it, add it to another, turn
 * it. */

static void AITERI_K(row_scale)(float *o, int32_t dim, float factor)
{
    AITERI_ASSERT(dim > 0 && dim % AITERI_PAD == 0);
    for (int32_t d = 0; d < dim; d += AITERI_LANES)
        AITERI_K(store)(o + d, AITERI_K(mul)(AITERI_K(load)(o + d), AITERI_K(set1)(factor)));
}

/* By bits: no comparison of floats tells -0 from 0. */
static void AITERI_K(row_finish)(float *o, int32_t dim, float factor, int32_t least)
{
    for (int32_t d = 0; d < dim; d += AITERI_LANES) {
        const AITERI_K(vf) x = AITERI_K(mul)(AITERI_K(load)(o + d), AITERI_K(set1)(factor));
        const AITERI_K(vm) seen =
            AITERI_K(lt_i)(AITERI_K(set1_i)(least), AITERI_K(magnitude_bits)(x));
        AITERI_K(store)(o + d, AITERI_K(keep)(seen, x));
    }
}

static void AITERI_K(row_add_scaled)(float *o, const float *x, int32_t dim, float factor)
{
    for (int32_t d = 0; d < dim; d += AITERI_LANES)
        AITERI_K(store)(o + d, AITERI_K(fma)(AITERI_K(set1)(factor), AITERI_K(load)(x + d),
                                             AITERI_K(load)(o + d)));
}

static void AITERI_K(row_divide)(float *o, int32_t n, float divisor)
{
    int32_t i = 0;
    for (; i + AITERI_LANES <= n; i += AITERI_LANES)
        AITERI_K(store)(o + i, AITERI_K(div)(AITERI_K(load)(o + i), AITERI_K(set1)(divisor)));
    for (; i < n; i++) o[i] /= divisor;
}

/* By bits: as integers magnitudes are in order, and NaN is above them all. */
static float AITERI_K(row_amax)(const float *x, int32_t n)
{
    AITERI_K(vi) top = AITERI_K(set1_i)(0);
    float lane[AITERI_LANES];
    uint32_t most = 0;
    int32_t i = 0;
    for (; i + AITERI_LANES <= n; i += AITERI_LANES) {
        const AITERI_K(vi) a = AITERI_K(magnitude_bits)(AITERI_K(load)(x + i));
        top = AITERI_K(select_i)(AITERI_K(lt_i)(top, a), a, top);
    }
    AITERI_K(store)(lane, AITERI_K(as_f)(top));
    for (int32_t k = 0; k < AITERI_LANES; k++) most = aiteri_larger_magnitude(most, lane[k]);
    for (; i < n; i++) most = aiteri_larger_magnitude(most, x[i]);
    return aiteri_f32_of_bits(most > 0x7f800000u ? 0x7fc00000u : most);
}

#if AITERI_HAS_ROPE
/* The sum of products is rounded in each of its steps: the bits of every set are the same. */
AITERI_FORCE_INLINE AITERI_K(vf)
    AITERI_K(turned)(AITERI_K(vf) x, AITERI_K(vf) c, AITERI_K(vf) partner, AITERI_K(vf) s)
{
    return AITERI_K(add)(AITERI_K(mul)(x, c), AITERI_K(mul)(partner, s));
}

static void AITERI_K(row_turn)(float *y, const float *x, const float *partner, const float *c,
                               const float *s, int32_t n)
{
    int32_t i = 0;
    for (; i + AITERI_LANES <= n; i += AITERI_LANES)
        AITERI_K(store)(y + i,
                        AITERI_K(turned)(AITERI_K(load)(x + i), AITERI_K(load)(c + i),
                                         AITERI_K(load)(partner + i), AITERI_K(load)(s + i)));
    const int rest = (int)(n - i);
    if (rest > 0)
        AITERI_K(store_n)(
            y + i,
            AITERI_K(turned)(AITERI_K(load_n)(x + i, rest), AITERI_K(load_n)(c + i, rest),
                             AITERI_K(load_n)(partner + i, rest), AITERI_K(load_n)(s + i, rest)),
            rest);
}
#endif
#if AITERI_ATTENTION

// >>k_tile    (src/cpu/k_tile.inl.h)
/* k_tile.inl.h -- queries in the lanes: S^T = K Q^T, online softmax, O^T += V^T P^T.
 *
 * A tile is AITERI_TILE_VECTORS vectors of query rows. K and V rows are the broadcast operand, so
 * neither is packed or transposed, and max, sum and rescale are lane-wise. A
 * group of rows of K (columns of V) shares each load of the tile: rows x vectors accumulators fill
 * the register file: AVX-512 8 x 3 of 32, AVX2 4 x 3 of 16, NEON 6 x 4 of 32. Every (row, lane) has
 * one accumulator that adds its products in ascending order, so the grouping of rows cannot be seen
 * in the bits. The last group is worked on whole: what lies behind the end is read and written, and
 * used by nobody. */

#define AITERI_TILE_LANES (AITERI_TILE_VECTORS * AITERI_LANES)
#define AITERI_TILE_MOST  (AITERI_TILE_VECTORS * AITERI_TILE_ROWS)
#define AITERI_TILE_GROUP(vectors) \
    ((vectors) == AITERI_TILE_VECTORS ? AITERI_TILE_ROWS : AITERI_NARROW_ROWS)
/* Elements of head_dim whose queries stay in the first cache while all keys of a block pass. */
#define AITERI_TILE_CHUNK (6144 / AITERI_TILE_LANES)

static void AITERI_K(pack_query)(void *q, const float *rows, int64_t row_stride, int32_t dim,
                                 float scale)
{
    float *qt = (float *)q; /* [dim][AITERI_TILE_LANES] */
    const int32_t whole = dim / AITERI_LANES * AITERI_LANES;
    for (int32_t lane = 0; lane < AITERI_TILE_LANES; lane += AITERI_LANES)
        for (int32_t d = 0; d < whole; d += AITERI_LANES)
            AITERI_K(transpose)(rows + lane * row_stride + d, row_stride,
                                qt + d * AITERI_TILE_LANES + lane, AITERI_TILE_LANES);
    for (int32_t d = whole; d < dim; d++)
        for (int32_t lane = 0; lane < AITERI_TILE_LANES; lane++)
            qt[d * AITERI_TILE_LANES + lane] = rows[lane * row_stride + d];
    const AITERI_K(vf) factor = AITERI_K(set1)(scale);
    for (int32_t i = 0; i < dim * AITERI_TILE_LANES; i += AITERI_LANES)
        AITERI_K(store)(qt + i, AITERI_K(mul)(AITERI_K(load)(qt + i), factor));
}

static void AITERI_K(tile_unpack)(float *rows, int64_t row_stride, const float *ot, int32_t dim)
{
    const int32_t whole = dim / AITERI_LANES * AITERI_LANES;
    for (int32_t lane = 0; lane < AITERI_TILE_LANES; lane += AITERI_LANES)
        for (int32_t d = 0; d < whole; d += AITERI_LANES)
            AITERI_K(transpose)(ot + d * AITERI_TILE_LANES + lane, AITERI_TILE_LANES,
                                rows + lane * row_stride + d, row_stride);
    for (int32_t lane = 0; lane < AITERI_TILE_LANES; lane++) {
        float *row = rows + lane * row_stride;
        for (int32_t d = whole; d < dim; d++) row[d] = ot[d * AITERI_TILE_LANES + lane];
    }
}

/* One group of K rows against the first `vectors` of the tile, added to `from`, the sums of the
 * chunks before; `vectors` and `count` are constants where it is inlined. */
AITERI_FORCE_INLINE void AITERI_K(score_rows)(float *AITERI_RESTRICT st, const float *from,
                                              const float *AITERI_RESTRICT k, int64_t k_stride,
                                              int32_t dim, const float *AITERI_RESTRICT qt,
                                              const int vectors, const int count)
{
    AITERI_K(vf) acc[AITERI_TILE_MOST];
    const float *row[AITERI_TILE_MOST];
    AITERI_UNROLL(16)
    for (int i = 0; i < count; i++) {
        row[i] = k + i * k_stride;
        if (vectors == AITERI_TILE_VECTORS) AITERI_OPAQUE(row[i]);
        AITERI_UNROLL(16)
        for (int c = 0; c < vectors; c++)
            acc[i * vectors + c] = AITERI_K(load)(from + i * AITERI_TILE_LANES + c * AITERI_LANES);
    }
    AITERI_UNROLL_SOME(AITERI_TILE_STEPS)
    for (int64_t d = 0; d < dim; d++, qt += AITERI_TILE_LANES) {
        AITERI_K(vf) q[AITERI_TILE_VECTORS];
        AITERI_UNROLL(16)
        for (int c = 0; c < vectors; c++) q[c] = AITERI_K(load)(qt + c * AITERI_LANES);
        AITERI_UNROLL(16)
        for (int i = 0; i < count; i++) {
            const AITERI_K(vf) x = AITERI_K(set1)(row[i][d]);
            AITERI_UNROLL(16)
            for (int c = 0; c < vectors; c++)
                acc[i * vectors + c] = AITERI_K(fma)(x, q[c], acc[i * vectors + c]);
            if (vectors == AITERI_TILE_VECTORS)
                AITERI_TILE_NEXT(row[(i + 1) % count], (acc + i * vectors));
        }
        if (vectors == AITERI_TILE_VECTORS) AITERI_TILE_NEXT(qt, (acc + (count - 1) * vectors));
    }
    AITERI_UNROLL(16)
    for (int i = 0; i < count; i++) AITERI_UNROLL(16)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(st + i * AITERI_TILE_LANES + c * AITERI_LANES, acc[i * vectors + c]);
}

AITERI_FORCE_INLINE void AITERI_K(score_run)(float *st, const aiteri_block_run *keys,
                                             const float *qt, const int vectors)
{
    static const float zeros[AITERI_TILE_MOST * AITERI_TILE_LANES] = {0};
    const int rows = AITERI_TILE_GROUP(vectors);
    const int64_t k_stride = aiteri_block_stride(keys->row_dim);
    const int32_t n = keys->n, dim = keys->dim;
    const float *k = (const float *)keys->block + keys->place * k_stride;
    for (int32_t d = 0; d < dim; d += AITERI_TILE_CHUNK) {
        const int32_t width = (int32_t)aiteri_min(dim - d, AITERI_TILE_CHUNK);
        const float *q = qt + d * AITERI_TILE_LANES;
        for (int32_t j = 0; j < n; j += rows) {
            float *to = st + j * AITERI_TILE_LANES;
            AITERI_K(score_rows)
            (to, d ? to : zeros, k + j * k_stride + d, k_stride, width, q, vectors, rows);
        }
    }
}

/* A tile with rows in a few vectors is worked on as a narrow one. */
#if AITERI_NARROW_VECTORS
#define AITERI_BY_VECTORS(call)           \
    if (vectors <= AITERI_NARROW_VECTORS) \
        call(AITERI_NARROW_VECTORS);      \
    else                                  \
        call(AITERI_TILE_VECTORS);
#else
#define AITERI_BY_VECTORS(call) \
    (void)vectors;              \
    call(AITERI_TILE_VECTORS);
#endif

static void AITERI_K(tile_score)(float *st, const aiteri_block_run *keys, const void *q,
                                 int32_t vectors)
{
    AITERI_ASSERT(0 <= keys->place && 0 <= keys->n && 0 < keys->dim);
    AITERI_ASSERT(keys->place + keys->n <= AITERI_TILE_KEYS && 0 < vectors);
#define AITERI_SCORE_RUN(v) AITERI_K(score_run)(st, keys, (const float *)q, v)
    AITERI_BY_VECTORS(AITERI_SCORE_RUN)
#undef AITERI_SCORE_RUN
}

AITERI_FORCE_INLINE AITERI_K(vi) AITERI_K(load_i)(const int32_t *p)
{
    AITERI_K(vi) x;
    memcpy(&x, p, sizeof x);
    return x;
}

/* Which keys the lanes of one vector see. */
typedef struct AITERI_K(range) {
    AITERI_K(vi) lo, hi, sink;
    int32_t most_sink;
} AITERI_K(range);

AITERI_FORCE_INLINE AITERI_K(range) AITERI_K(range_of)(const aiteri_lane_mask *mask, int c)
{
    AITERI_K(range) range;
    range.lo = AITERI_K(load_i)(mask->lo + c * AITERI_LANES);
    range.hi = AITERI_K(load_i)(mask->hi + c * AITERI_LANES);
    range.sink = AITERI_K(load_i)(mask->sink + c * AITERI_LANES);
    range.most_sink = mask->most_sink;
    return range;
}

/* The lanes that see their key, the first of which is j. */
AITERI_FORCE_INLINE AITERI_K(vm)
    AITERI_K(visible)(const AITERI_K(range) * range, AITERI_K(vi) key, int32_t j)
{
    const AITERI_K(vm) before_end = AITERI_K(lt_i)(key, range->hi);
    const AITERI_K(vm) inside =
        AITERI_K(and_m)(before_end, AITERI_K(not_m)(AITERI_K(lt_i)(key, range->lo)));
    if (j >= range->most_sink) return inside;
    return AITERI_K(or_m)(inside, AITERI_K(lt_i)(key, range->sink));
}

/* One vector of scores, from the one at `at` on, through all of an aiteri_adjust but the mask. */
AITERI_FORCE_INLINE AITERI_K(vf)
    AITERI_K(adjusted)(AITERI_K(vf) x, const aiteri_adjust *adjust, int32_t at, AITERI_K(vf) slope,
                       AITERI_K(vf) position, AITERI_K(vf) key)
{
    const AITERI_K(vf) hidden = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    if (adjust->factor != 1.0f) x = AITERI_K(mul)(x, AITERI_K(set1)(adjust->factor));
    if (adjust->softcap) x = AITERI_K(capped)(x, adjust->softcap);
    if (adjust->bias) { /* -infinity hides the key, whatever its score */
        const AITERI_K(vf) b = AITERI_K(load)(adjust->bias + at);
        const AITERI_K(vm) hides = AITERI_K(eq_i)(AITERI_K(as_i)(b), AITERI_K(as_i)(hidden));
        x = AITERI_K(select)(hides, hidden, AITERI_K(add)(x, b));
    }
    if (adjust->slope) {
        const AITERI_K(vf) distance = AITERI_K(abs)(AITERI_K(sub)(position, key));
        x = AITERI_K(sub)(x, AITERI_K(mul)(slope, distance));
    }
    return x;
}

static void AITERI_K(tile_adjust)(float *st, int32_t key0, int32_t n, const aiteri_adjust *adjust,
                                  int32_t vectors)
{
    const AITERI_K(vf) hidden = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    const int masked = adjust->mask != NULL; /* most often alone */
    const int more = adjust->factor != 1.0f || adjust->softcap || adjust->bias || adjust->slope;
    for (int c = 0; c < vectors; c++) {
        AITERI_K(vf) slope = AITERI_K(zero)(), position = AITERI_K(zero)();
        AITERI_K(range) range;
        memset(&range, 0, sizeof range);
        if (adjust->mask) range = AITERI_K(range_of)(adjust->mask, c);
        if (adjust->slope) {
            slope = AITERI_K(load)(adjust->slope + c * AITERI_LANES);
            position = AITERI_K(load)(adjust->position + c * AITERI_LANES);
        }
        for (int32_t j = 0; j < n; j++) {
            const int32_t at = j * AITERI_TILE_LANES + c * AITERI_LANES, key = key0 + j;
            AITERI_K(vf) x = AITERI_K(load)(st + at);
            if (more)
                x = AITERI_K(adjusted)(x, adjust, at, slope, position, AITERI_K(set1)((float)key));
            if (masked)
                x = AITERI_K(select)(AITERI_K(visible)(&range, AITERI_K(set1_i)(key), key), x,
                                     hidden);
            AITERI_K(store)(st + at, x);
        }
    }
}

static void AITERI_K(stream_adjust)(float *s, int32_t key0, const aiteri_adjust *adjust)
{
    const AITERI_K(vf) hidden = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    AITERI_K(vf) slope = AITERI_K(zero)(), position = AITERI_K(zero)();
    AITERI_K(range) range;
    memset(&range, 0, sizeof range);
    if (adjust->slope) {
        slope = AITERI_K(set1)(adjust->slope[0]);
        position = AITERI_K(set1)(adjust->position[0]);
    }
    if (adjust->mask) {
        range.lo = AITERI_K(set1_i)(adjust->mask->lo[0]);
        range.hi = AITERI_K(set1_i)(adjust->mask->hi[0]);
        range.sink = AITERI_K(set1_i)(adjust->mask->sink[0]);
        range.most_sink = adjust->mask->most_sink;
    }
    for (int32_t i = 0; i < AITERI_STREAM_KEYS; i += AITERI_LANES) {
        const AITERI_K(vi) key = AITERI_K(add_i)(AITERI_K(iota_i)(), AITERI_K(set1_i)(key0 + i));
        AITERI_K(vf)
        x = AITERI_K(adjusted)(AITERI_K(load)(s + i), adjust, i, slope, position,
                               AITERI_K(to_f)(key));
        if (adjust->mask) x = AITERI_K(select)(AITERI_K(visible)(&range, key, key0 + i), x, hidden);
        AITERI_K(store)(s + i, x);
    }
}

/* (x - m) / ln 2 in natural units, which a score has `stretch` of. */
AITERI_FORCE_INLINE AITERI_K(vf)
    AITERI_K(exponent)(AITERI_K(vf) x, AITERI_K(vf) m, const float stretch)
{
    return AITERI_K(mul)(AITERI_K(sub)(x, m), AITERI_K(set1)(1.44269504088896341f * stretch));
}

/* exp(x - m) with 0 for hidden scores; m is finite. */
AITERI_FORCE_INLINE AITERI_K(vf)
    AITERI_K(weight)(AITERI_K(vf) x, AITERI_K(vf) m, const float stretch)
{
    return AITERI_K(exp2)(AITERI_K(exponent)(x, m, stretch));
}

/* The accumulated output is rescaled only in lanes whose maximum grew by more than this (natural
 * units); elsewhere the factor is exactly 1. exp(2.07) < 8, so that weights in AITERI_TILE_UNIT
 * stay at 1 or below, and a sum of values below the sum of their magnitudes. 5.5 is no faster and
 * takes 5 more bits from subnormal values; ln 2 costs 16 % (AVX-512, Sq 2048, D 128). */
#define AITERI_RESCALE_AT 2.07f

/* Raises m where the block's maximum asks for it and rescales l and ot by the lane's own factor. */
AITERI_FORCE_INLINE void AITERI_K(raise_maximum)(AITERI_K(vf) top, float stretch, float *m,
                                                 float *l, float *ot, int32_t dim_v)
{
    const AITERI_K(vf) old = AITERI_K(load)(m);
    const AITERI_K(vm) grew =
        AITERI_K(gt)(top, AITERI_K(add)(old, AITERI_K(set1)(AITERI_RESCALE_AT / stretch)));
    if (!AITERI_K(any)(grew)) return;
    const AITERI_K(vf) raised = AITERI_K(select)(grew, top, old);
    const AITERI_K(vf) factor =
        AITERI_K(select)(grew, AITERI_K(weight)(old, raised, stretch), AITERI_K(set1)(1.0f));
    AITERI_K(store)(m, raised);
    AITERI_K(store)(l, AITERI_K(mul)(AITERI_K(load)(l), factor));
    for (int32_t d = 0; d < dim_v; d++)
        AITERI_K(store)(ot + d * AITERI_TILE_LANES,
                        AITERI_K(mul)(AITERI_K(load)(ot + d * AITERI_TILE_LANES), factor));
}

static void AITERI_K(tile_softmax)(float *st, int32_t n, float stretch, float *m, float *l,
                                   float *ot, int32_t dim_v, int32_t vectors)
{
    const AITERI_K(vf) minus_inf = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    for (int c = 0; c < vectors; c++) {
        float *column = st + c * AITERI_LANES;
        AITERI_K(vf) top = minus_inf;
        for (int32_t j = 0; j < n; j++)
            top = AITERI_K(max)(AITERI_K(load)(column + j * AITERI_TILE_LANES), top);
        AITERI_K(raise_maximum)(top, stretch, m + c * AITERI_LANES, l + c * AITERI_LANES,
                                ot + c * AITERI_LANES, dim_v);
        /* A lane that has seen no key keeps m = -inf; any finite shift gives its zeros. */
        AITERI_K(vf) shift = AITERI_K(load)(m + c * AITERI_LANES);
        shift = AITERI_K(select)(AITERI_K(gt)(shift, minus_inf), shift, AITERI_K(zero)());
        AITERI_K(vf) sum = AITERI_K(load)(l + c * AITERI_LANES);
        for (int32_t j = 0; j < n; j++) {
            const AITERI_K(vf) x = AITERI_K(load)(column + j * AITERI_TILE_LANES);
            const AITERI_K(vf) p = AITERI_K(exp2_unit)(AITERI_K(exponent)(x, shift, stretch),
                                                       AITERI_TILE_UNIT, AITERI_TILE_LEAST);
            sum = AITERI_K(add)(sum, p);
            AITERI_K(store)(column + j * AITERI_TILE_LANES, p);
        }
        AITERI_K(store)(l + c * AITERI_LANES, sum);
    }
}

/* `count` columns of V into their rows of ot. */
AITERI_FORCE_INLINE void AITERI_K(value_columns)(float *AITERI_RESTRICT ot,
                                                 const float *AITERI_RESTRICT v, int64_t v_stride,
                                                 int32_t n, const float *AITERI_RESTRICT st,
                                                 const int vectors, const int count)
{
    AITERI_K(vf) acc[AITERI_TILE_MOST];
    AITERI_UNROLL(16)
    for (int i = 0; i < count; i++) AITERI_UNROLL(16)
    for (int c = 0; c < vectors; c++)
        acc[i * vectors + c] = AITERI_K(load)(ot + i * AITERI_TILE_LANES + c * AITERI_LANES);
    AITERI_UNROLL_SOME(AITERI_TILE_STEPS)
    for (int32_t j = 0; j < n; j++, v += v_stride, st += AITERI_TILE_LANES) {
        AITERI_K(vf) p[AITERI_TILE_VECTORS];
        AITERI_UNROLL(16)
        for (int c = 0; c < vectors; c++) p[c] = AITERI_K(load)(st + c * AITERI_LANES);
        AITERI_UNROLL(16)
        for (int i = 0; i < count; i++) {
            const AITERI_K(vf) x = AITERI_K(set1)(v[i]);
            AITERI_UNROLL(16)
            for (int c = 0; c < vectors; c++)
                acc[i * vectors + c] = AITERI_K(fma)(x, p[c], acc[i * vectors + c]);
            if (vectors == AITERI_TILE_VECTORS) AITERI_TILE_NEXT(v, (acc + i * vectors));
        }
        if (vectors == AITERI_TILE_VECTORS) AITERI_TILE_NEXT(st, (acc + (count - 1) * vectors));
    }
    AITERI_UNROLL(16)
    for (int i = 0; i < count; i++) AITERI_UNROLL(16)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(ot + i * AITERI_TILE_LANES + c * AITERI_LANES, acc[i * vectors + c]);
}

AITERI_FORCE_INLINE void AITERI_K(value_run)(float *ot, const aiteri_block_run *values,
                                             const float *st, const int vectors)
{
    const int64_t v_stride = aiteri_block_stride(values->row_dim);
    const float *v = (const float *)values->block + values->place * v_stride;
    const int32_t n = values->n, dim = values->dim;
    const int rows = AITERI_TILE_GROUP(vectors);
    for (int32_t d = 0; d < dim; d += rows)
        AITERI_K(value_columns)(ot + d * AITERI_TILE_LANES, v + d, v_stride, n, st, vectors, rows);
}

static void AITERI_K(tile_value)(float *ot, const aiteri_block_run *values, float *st,
                                 int32_t vectors)
{
    AITERI_ASSERT(0 <= values->place && 0 < values->n && 0 < values->dim);
    AITERI_ASSERT(values->place + values->n <= AITERI_TILE_KEYS && 0 < vectors);
#define AITERI_VALUE_RUN(v) AITERI_K(value_run)(ot, values, st, v)
    AITERI_BY_VECTORS(AITERI_VALUE_RUN)
#undef AITERI_VALUE_RUN
}

static void AITERI_K(tile_value_guarded)(float *ot, const aiteri_block_run *values, int32_t key0,
                                         float *st, const aiteri_lane_mask *mask,
                                         const float *scores, int32_t vectors)
{
    const int64_t v_stride = aiteri_block_stride(values->row_dim);
    const float *v = (const float *)values->block + values->place * v_stride;
    const AITERI_K(vi) hidden = AITERI_K(set1_i)((int32_t)0xff800000u);
    for (int32_t d = 0; d < values->dim; d++) {
        for (int c = 0; c < vectors; c++) {
            float *at = ot + d * AITERI_TILE_LANES + c * AITERI_LANES;
            AITERI_K(vf) acc = AITERI_K(load)(at);
            const AITERI_K(range) range = AITERI_K(range_of)(mask, c);
            for (int32_t j = 0; j < values->n; j++) {
                const int32_t from = j * AITERI_TILE_LANES + c * AITERI_LANES;
                const AITERI_K(vf) p = AITERI_K(load)(st + from);
                const AITERI_K(vf) sum = AITERI_K(fma)(AITERI_K(set1)(v[j * v_stride + d]), p, acc);
                if (scores) {
                    const AITERI_K(vi) score = AITERI_K(as_i)(AITERI_K(load)(scores + from));
                    acc = AITERI_K(select)(AITERI_K(eq_i)(score, hidden), acc, sum);
                } else {
                    acc = AITERI_K(select)(
                        AITERI_K(visible)(&range, AITERI_K(set1_i)(key0 + j), key0 + j), sum, acc);
                }
            }
            AITERI_K(store)(at, acc);
        }
    }
}

static int AITERI_K(v_finite)(const aiteri_block_run *values)
{
    const int64_t stride = aiteri_block_stride(values->row_dim);
    const float *rows = (const float *)values->block + values->place * stride;
    const int32_t dim = values->dim;
    const AITERI_K(vf) inf = AITERI_K(set1)(aiteri_f32_of_bits(0x7f800000u));
    for (int32_t j = 0; j < values->n; j++) {
        const float *row = rows + j * stride;
        int32_t d = 0;
        for (; d + AITERI_LANES <= dim; d += AITERI_LANES)
            if (!AITERI_K(all)(AITERI_K(lt)(AITERI_K(abs)(AITERI_K(load)(row + d)), inf))) return 0;
        for (; d < dim; d++)
            if ((aiteri_bits_of_f32(row[d]) & 0x7fffffffu) >= 0x7f800000u) return 0;
    }
    return 1;
}
#undef AITERI_BY_VECTORS

// >>k_stream    (src/cpu/k_stream.inl.h)
/* k_stream.inl.h -- head_dim in the lanes: a few query rows against a stream of K and V rows.
 *
 * AITERI_DOT_KEYS x 4 accumulators take one converted load of each key for several query
 * rows; 4 x AITERI_AXPY_VECTORS keep a strip of the output in registers over a block of
 * keys. Every (row, key) score and every (row, dim) sum is one chain in ascending order, whatever
 * the grouping. The loads come from k_stream_types.inl.h, once per storage type. */

/* `bytes` of memory from p on. */
AITERI_FORCE_INLINE void AITERI_K(fetch)(const void *p, int32_t bytes)
{
    for (int32_t at = 0; at < bytes; at += AITERI_LINE) AITERI_PREFETCH((const char *)p + at);
}

/* Horizontal sums of acc[rows][AITERI_DOT_KEYS] into s, the same order for every one of them. */
AITERI_FORCE_INLINE void AITERI_K(store_sums)(float *s, int64_t s_stride, const AITERI_K(vf) * acc,
                                              const int rows)
{
    float sum[16];
    const int count = rows * AITERI_DOT_KEYS, last = count - 1;
#if AITERI_DOT_KEYS == 4
    if (count == 16) {
        AITERI_K(hsum16)(acc, sum);
    } else
#endif
    {
        AITERI_UNROLL(8)
        for (int i = 0; i < count; i += 4)
            AITERI_K(hsum4)(acc[i], acc[i + 1 < last ? i + 1 : last],
                            acc[i + 2 < last ? i + 2 : last], acc[i + 3 < last ? i + 3 : last],
                            sum + i);
    }
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++)
        memcpy(s + r * s_stride, sum + r * AITERI_DOT_KEYS, AITERI_DOT_KEYS * sizeof(float));
}

static float AITERI_K(stream_softmax)(float *s, float stretch, float *m, float *l)
{
    const AITERI_K(vf) minus_inf = AITERI_K(set1)(aiteri_f32_of_bits(0xff800000u));
    AITERI_K(vf) top = minus_inf;
    for (int32_t i = 0; i < AITERI_STREAM_KEYS; i += AITERI_LANES)
        top = AITERI_K(max)(AITERI_K(load)(s + i), top);
    const float old = *m, block = AITERI_K(hmax)(top);
    const float raised = aiteri_select_f32(block > old, block, old);
    const float shift = aiteri_select_f32(raised > aiteri_f32_of_bits(0xff800000u), raised, 0.0f);
    AITERI_K(vf) sum = AITERI_K(zero)();
    for (int32_t i = 0; i < AITERI_STREAM_KEYS; i += AITERI_LANES) {
        const AITERI_K(vf) p =
            AITERI_K(weight)(AITERI_K(load)(s + i), AITERI_K(set1)(shift), stretch);
        sum = AITERI_K(add)(sum, p);
        AITERI_K(store)(s + i, p);
    }
    float factor = 1.0f;
    if (raised > old) {
        float lane[AITERI_LANES];
        AITERI_K(store)
        (lane, AITERI_K(weight)(AITERI_K(set1)(old), AITERI_K(set1)(raised), stretch));
        factor = lane[0];
    }
    *m = raised;
    *l = aiteri_rounded(*l * factor) + AITERI_K(hsum)(sum);
    return factor;
}

static void AITERI_K(stream_mul)(float *x, const float *y)
{
    for (int32_t i = 0; i < AITERI_STREAM_KEYS; i += AITERI_LANES)
        AITERI_K(store)(x + i, AITERI_K(mul)(AITERI_K(load)(x + i), AITERI_K(load)(y + i)));
}

#define AITERI_TYPE        f32
#define AITERI_TYPE_C      float
#define AITERI_TYPE_LOAD   AITERI_K(load)
#define AITERI_TYPE_LOAD_N AITERI_K(load_n)

// >>k_stream_types    (src/cpu/k_stream_types.inl.h)
/* k_stream_types.inl.h -- dot and axpy of the stream family for one storage type, named AITERI_TYPE
 * with elements AITERI_TYPE_C and the vector layer's converting loads. Stamped per type in every
 * ISA. */

#define AITERI_T(name) AITERI_K(AITERI_CAT(name, AITERI_TYPE))
#define AITERI_ROW(p)  ((const AITERI_TYPE_C *)(p))

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_T(chunk)(const void *row, int32_t d, int32_t dim)
{
    if (d + AITERI_LANES <= dim) return AITERI_TYPE_LOAD(AITERI_ROW(row) + d);
    return AITERI_TYPE_LOAD_N(AITERI_ROW(row) + d, dim - d);
}

/* The scores of `keys` keys and `rows` query rows, both constants where this is inlined. */
AITERI_FORCE_INLINE void AITERI_T(dot_block)(float *s, int64_t s_stride, const float *q,
                                             int64_t q_stride, int32_t dim, const void *const *key,
                                             const int rows)
{
    AITERI_K(vf) acc[4 * AITERI_DOT_KEYS];
    AITERI_UNROLL(16)
    for (int i = 0; i < rows * AITERI_DOT_KEYS; i++) acc[i] = AITERI_K(zero)();
    int32_t d = 0;
    for (; d + AITERI_LANES <= dim; d += AITERI_LANES) {
        AITERI_K(vf) k[AITERI_DOT_KEYS];
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) k[i] = AITERI_TYPE_LOAD(AITERI_ROW(key[i]) + d);
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            AITERI_K(vf) x = AITERI_K(load)(q + r * q_stride + d);
            AITERI_IN_REGISTER(x);
            AITERI_UNROLL(8)
            for (int i = 0; i < AITERI_DOT_KEYS; i++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(x, k[i], acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    if (d < dim) {
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) {
            const AITERI_K(vf) k = AITERI_T(chunk)(key[i], d, dim);
            AITERI_UNROLL(8)
            for (int r = 0; r < rows; r++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(AITERI_K(load)(q + r * q_stride + d),
                                                             k, acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    AITERI_K(store_sums)(s, s_stride, acc, rows);
}

/* All keys against `rows` query rows; `ahead` is NULL where it was brought already. */
AITERI_FORCE_INLINE void AITERI_T(dot_rows)(float *s, int64_t s_stride, const float *q,
                                            int64_t q_stride, int32_t dim, const void *const *keys,
                                            int32_t n, const int rows, const void *const *ahead)
{
    const int32_t bytes = dim * (int32_t)sizeof(AITERI_TYPE_C);
    for (int32_t i = 0; i < n; i += AITERI_DOT_KEYS) {
        if (ahead) {
            AITERI_UNROLL(8)
            for (int k = 0; k < AITERI_DOT_KEYS; k++) AITERI_K(fetch)(ahead[i + k], bytes);
        }
        AITERI_T(dot_block)(s + i, s_stride, q, q_stride, dim, keys + i, rows);
    }
}

static void AITERI_T(stream_dot)(float *s, int64_t s_stride, const float *q, int64_t q_stride,
                                 int32_t rows, int32_t dim, const void *const *keys, int32_t n,
                                 const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= q_stride);
    for (int32_t r = 0; r < rows; r += 4, ahead = NULL) {
        float *at = s + r * s_stride;
        const float *x = q + r * q_stride;
        switch (rows - r) {
        case 1: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 1, ahead); break;
        case 2: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 2, ahead); break;
        case 3: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 3, ahead); break;
        default: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 4, ahead); break;
        }
    }
}

/* One strip of `vectors` output vectors of `rows` rows over all keys; rows from `used` on repeat
 * the last one. */
AITERI_FORCE_INLINE void AITERI_T(axpy_strip)(float *o, int64_t o_stride, const float *p,
                                              int64_t p_stride, int32_t d, int32_t dim,
                                              const void *const *values, int32_t n,
                                              const int32_t used, const int rows, const int vectors,
                                              const void *const *ahead)
{
    int32_t row[4];
    AITERI_K(vf) acc[4][AITERI_AXPY_VECTORS];
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) {
        row[r] = r < used ? r : used - 1;
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++)
            acc[r][c] = AITERI_K(load)(o + row[r] * o_stride + d + c * AITERI_LANES);
    }
    for (int32_t i = 0; i < n; i++) {
        AITERI_UNROLL(8)
        for (int at = 0; at < vectors * AITERI_LANES;
             at += AITERI_LINE / (int)sizeof(AITERI_TYPE_C))
            AITERI_PREFETCH(AITERI_ROW(ahead[i]) + d + at);
        AITERI_K(vf) v[AITERI_AXPY_VECTORS];
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++) {
            if (vectors > 1)
                v[c] = AITERI_TYPE_LOAD(AITERI_ROW(values[i]) + d + c * AITERI_LANES);
            else
                v[c] = AITERI_T(chunk)(values[i], d, dim);
        }
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            const AITERI_K(vf) w = AITERI_K(set1)(p[row[r] * p_stride + i]);
            AITERI_UNROLL(8)
            for (int c = 0; c < vectors; c++) acc[r][c] = AITERI_K(fma)(w, v[c], acc[r][c]);
        }
    }
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) AITERI_UNROLL(8)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(o + row[r] * o_stride + d + c * AITERI_LANES, acc[r][c]);
}

/* The whole strips of up to `whole` columns. */
AITERI_FORCE_INLINE void AITERI_T(axpy_rows)(float *o, int64_t o_stride, const float *p,
                                             int64_t p_stride, int32_t whole,
                                             const void *const *values, int32_t n, const int rows,
                                             const void *const *ahead)
{
    for (int32_t d = 0; d < whole; d += AITERI_AXPY_VECTORS * AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, whole, values, n, rows, rows,
                             AITERI_AXPY_VECTORS, ahead);
}

/* The columns from `whole` on; up to four rows as four. */
AITERI_COLD void AITERI_T(axpy_rest)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                     int32_t whole, int32_t dim, const void *const *values,
                                     int32_t n, int32_t used, const void *const *ahead)
{
    for (int32_t d = whole; d < dim; d += AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, dim, values, n, used, 4, 1, ahead);
}

static void AITERI_T(stream_axpy)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                  int32_t rows, int32_t dim, const void *const *values, int32_t n,
                                  const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= o_stride);
    const int32_t strip = AITERI_AXPY_VECTORS * AITERI_LANES, whole = dim / strip * strip;
    for (int32_t r = 0; r < rows; r += 4) {
        float *at = o + r * o_stride;
        const float *w = p + r * p_stride;
        switch (rows - r) {
        case 1: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 1, ahead); break;
        case 2: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 2, ahead); break;
        case 3: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 3, ahead); break;
        default: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 4, ahead); break;
        }
        if (whole < dim)
            AITERI_T(axpy_rest)(at, o_stride, w, p_stride, whole, dim, values, n, rows - r, ahead);
    }
}

#undef AITERI_T
#undef AITERI_ROW
#undef AITERI_TYPE
#undef AITERI_TYPE_C
#undef AITERI_TYPE_LOAD
#undef AITERI_TYPE_LOAD_N
#if AITERI_STREAM_TYPES && AITERI_HAS_DECODE /* else rows of other types are widened first */
#define AITERI_TYPE        f16
#define AITERI_TYPE_C      uint16_t
#define AITERI_TYPE_LOAD   AITERI_K(load_f16)
#define AITERI_TYPE_LOAD_N AITERI_K(load_f16_n)

// >>k_stream_types    (src/cpu/k_stream_types.inl.h)
/* k_stream_types.inl.h -- dot and axpy of the stream family for one storage type, named AITERI_TYPE
 * with elements AITERI_TYPE_C and the vector layer's converting loads. Stamped per type in every
 * ISA. */

#define AITERI_T(name) AITERI_K(AITERI_CAT(name, AITERI_TYPE))
#define AITERI_ROW(p)  ((const AITERI_TYPE_C *)(p))

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_T(chunk)(const void *row, int32_t d, int32_t dim)
{
    if (d + AITERI_LANES <= dim) return AITERI_TYPE_LOAD(AITERI_ROW(row) + d);
    return AITERI_TYPE_LOAD_N(AITERI_ROW(row) + d, dim - d);
}

/* The scores of `keys` keys and `rows` query rows, both constants where this is inlined. */
AITERI_FORCE_INLINE void AITERI_T(dot_block)(float *s, int64_t s_stride, const float *q,
                                             int64_t q_stride, int32_t dim, const void *const *key,
                                             const int rows)
{
    AITERI_K(vf) acc[4 * AITERI_DOT_KEYS];
    AITERI_UNROLL(16)
    for (int i = 0; i < rows * AITERI_DOT_KEYS; i++) acc[i] = AITERI_K(zero)();
    int32_t d = 0;
    for (; d + AITERI_LANES <= dim; d += AITERI_LANES) {
        AITERI_K(vf) k[AITERI_DOT_KEYS];
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) k[i] = AITERI_TYPE_LOAD(AITERI_ROW(key[i]) + d);
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            AITERI_K(vf) x = AITERI_K(load)(q + r * q_stride + d);
            AITERI_IN_REGISTER(x);
            AITERI_UNROLL(8)
            for (int i = 0; i < AITERI_DOT_KEYS; i++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(x, k[i], acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    if (d < dim) {
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) {
            const AITERI_K(vf) k = AITERI_T(chunk)(key[i], d, dim);
            AITERI_UNROLL(8)
            for (int r = 0; r < rows; r++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(AITERI_K(load)(q + r * q_stride + d),
                                                             k, acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    AITERI_K(store_sums)(s, s_stride, acc, rows);
}

/* All keys against `rows` query rows; `ahead` is NULL where it was brought already. */
AITERI_FORCE_INLINE void AITERI_T(dot_rows)(float *s, int64_t s_stride, const float *q,
                                            int64_t q_stride, int32_t dim, const void *const *keys,
                                            int32_t n, const int rows, const void *const *ahead)
{
    const int32_t bytes = dim * (int32_t)sizeof(AITERI_TYPE_C);
    for (int32_t i = 0; i < n; i += AITERI_DOT_KEYS) {
        if (ahead) {
            AITERI_UNROLL(8)
            for (int k = 0; k < AITERI_DOT_KEYS; k++) AITERI_K(fetch)(ahead[i + k], bytes);
        }
        AITERI_T(dot_block)(s + i, s_stride, q, q_stride, dim, keys + i, rows);
    }
}

static void AITERI_T(stream_dot)(float *s, int64_t s_stride, const float *q, int64_t q_stride,
                                 int32_t rows, int32_t dim, const void *const *keys, int32_t n,
                                 const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= q_stride);
    for (int32_t r = 0; r < rows; r += 4, ahead = NULL) {
        float *at = s + r * s_stride;
        const float *x = q + r * q_stride;
        switch (rows - r) {
        case 1: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 1, ahead); break;
        case 2: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 2, ahead); break;
        case 3: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 3, ahead); break;
        default: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 4, ahead); break;
        }
    }
}

/* One strip of `vectors` output vectors of `rows` rows over all keys; rows from `used` on repeat
 * the last one. */
AITERI_FORCE_INLINE void AITERI_T(axpy_strip)(float *o, int64_t o_stride, const float *p,
                                              int64_t p_stride, int32_t d, int32_t dim,
                                              const void *const *values, int32_t n,
                                              const int32_t used, const int rows, const int vectors,
                                              const void *const *ahead)
{
    int32_t row[4];
    AITERI_K(vf) acc[4][AITERI_AXPY_VECTORS];
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) {
        row[r] = r < used ? r : used - 1;
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++)
            acc[r][c] = AITERI_K(load)(o + row[r] * o_stride + d + c * AITERI_LANES);
    }
    for (int32_t i = 0; i < n; i++) {
        AITERI_UNROLL(8)
        for (int at = 0; at < vectors * AITERI_LANES;
             at += AITERI_LINE / (int)sizeof(AITERI_TYPE_C))
            AITERI_PREFETCH(AITERI_ROW(ahead[i]) + d + at);
        AITERI_K(vf) v[AITERI_AXPY_VECTORS];
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++) {
            if (vectors > 1)
                v[c] = AITERI_TYPE_LOAD(AITERI_ROW(values[i]) + d + c * AITERI_LANES);
            else
                v[c] = AITERI_T(chunk)(values[i], d, dim);
        }
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            const AITERI_K(vf) w = AITERI_K(set1)(p[row[r] * p_stride + i]);
            AITERI_UNROLL(8)
            for (int c = 0; c < vectors; c++) acc[r][c] = AITERI_K(fma)(w, v[c], acc[r][c]);
        }
    }
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) AITERI_UNROLL(8)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(o + row[r] * o_stride + d + c * AITERI_LANES, acc[r][c]);
}

/* The whole strips of up to `whole` columns. */
AITERI_FORCE_INLINE void AITERI_T(axpy_rows)(float *o, int64_t o_stride, const float *p,
                                             int64_t p_stride, int32_t whole,
                                             const void *const *values, int32_t n, const int rows,
                                             const void *const *ahead)
{
    for (int32_t d = 0; d < whole; d += AITERI_AXPY_VECTORS * AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, whole, values, n, rows, rows,
                             AITERI_AXPY_VECTORS, ahead);
}

/* The columns from `whole` on; up to four rows as four. */
AITERI_COLD void AITERI_T(axpy_rest)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                     int32_t whole, int32_t dim, const void *const *values,
                                     int32_t n, int32_t used, const void *const *ahead)
{
    for (int32_t d = whole; d < dim; d += AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, dim, values, n, used, 4, 1, ahead);
}

static void AITERI_T(stream_axpy)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                  int32_t rows, int32_t dim, const void *const *values, int32_t n,
                                  const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= o_stride);
    const int32_t strip = AITERI_AXPY_VECTORS * AITERI_LANES, whole = dim / strip * strip;
    for (int32_t r = 0; r < rows; r += 4) {
        float *at = o + r * o_stride;
        const float *w = p + r * p_stride;
        switch (rows - r) {
        case 1: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 1, ahead); break;
        case 2: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 2, ahead); break;
        case 3: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 3, ahead); break;
        default: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 4, ahead); break;
        }
        if (whole < dim)
            AITERI_T(axpy_rest)(at, o_stride, w, p_stride, whole, dim, values, n, rows - r, ahead);
    }
}

#undef AITERI_T
#undef AITERI_ROW
#undef AITERI_TYPE
#undef AITERI_TYPE_C
#undef AITERI_TYPE_LOAD
#undef AITERI_TYPE_LOAD_N
#define AITERI_TYPE        bf16
#define AITERI_TYPE_C      uint16_t
#define AITERI_TYPE_LOAD   AITERI_K(load_bf16)
#define AITERI_TYPE_LOAD_N AITERI_K(load_bf16_n)

// >>k_stream_types    (src/cpu/k_stream_types.inl.h)
/* k_stream_types.inl.h -- dot and axpy of the stream family for one storage type, named AITERI_TYPE
 * with elements AITERI_TYPE_C and the vector layer's converting loads. Stamped per type in every
 * ISA. */

#define AITERI_T(name) AITERI_K(AITERI_CAT(name, AITERI_TYPE))
#define AITERI_ROW(p)  ((const AITERI_TYPE_C *)(p))

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_T(chunk)(const void *row, int32_t d, int32_t dim)
{
    if (d + AITERI_LANES <= dim) return AITERI_TYPE_LOAD(AITERI_ROW(row) + d);
    return AITERI_TYPE_LOAD_N(AITERI_ROW(row) + d, dim - d);
}

/* The scores of `keys` keys and `rows` query rows, both constants where this is inlined. */
AITERI_FORCE_INLINE void AITERI_T(dot_block)(float *s, int64_t s_stride, const float *q,
                                             int64_t q_stride, int32_t dim, const void *const *key,
                                             const int rows)
{
    AITERI_K(vf) acc[4 * AITERI_DOT_KEYS];
    AITERI_UNROLL(16)
    for (int i = 0; i < rows * AITERI_DOT_KEYS; i++) acc[i] = AITERI_K(zero)();
    int32_t d = 0;
    for (; d + AITERI_LANES <= dim; d += AITERI_LANES) {
        AITERI_K(vf) k[AITERI_DOT_KEYS];
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) k[i] = AITERI_TYPE_LOAD(AITERI_ROW(key[i]) + d);
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            AITERI_K(vf) x = AITERI_K(load)(q + r * q_stride + d);
            AITERI_IN_REGISTER(x);
            AITERI_UNROLL(8)
            for (int i = 0; i < AITERI_DOT_KEYS; i++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(x, k[i], acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    if (d < dim) {
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) {
            const AITERI_K(vf) k = AITERI_T(chunk)(key[i], d, dim);
            AITERI_UNROLL(8)
            for (int r = 0; r < rows; r++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(AITERI_K(load)(q + r * q_stride + d),
                                                             k, acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    AITERI_K(store_sums)(s, s_stride, acc, rows);
}

/* All keys against `rows` query rows; `ahead` is NULL where it was brought already. */
AITERI_FORCE_INLINE void AITERI_T(dot_rows)(float *s, int64_t s_stride, const float *q,
                                            int64_t q_stride, int32_t dim, const void *const *keys,
                                            int32_t n, const int rows, const void *const *ahead)
{
    const int32_t bytes = dim * (int32_t)sizeof(AITERI_TYPE_C);
    for (int32_t i = 0; i < n; i += AITERI_DOT_KEYS) {
        if (ahead) {
            AITERI_UNROLL(8)
            for (int k = 0; k < AITERI_DOT_KEYS; k++) AITERI_K(fetch)(ahead[i + k], bytes);
        }
        AITERI_T(dot_block)(s + i, s_stride, q, q_stride, dim, keys + i, rows);
    }
}

static void AITERI_T(stream_dot)(float *s, int64_t s_stride, const float *q, int64_t q_stride,
                                 int32_t rows, int32_t dim, const void *const *keys, int32_t n,
                                 const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= q_stride);
    for (int32_t r = 0; r < rows; r += 4, ahead = NULL) {
        float *at = s + r * s_stride;
        const float *x = q + r * q_stride;
        switch (rows - r) {
        case 1: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 1, ahead); break;
        case 2: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 2, ahead); break;
        case 3: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 3, ahead); break;
        default: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 4, ahead); break;
        }
    }
}

/* One strip of `vectors` output vectors of `rows` rows over all keys; rows from `used` on repeat
 * the last one. */
AITERI_FORCE_INLINE void AITERI_T(axpy_strip)(float *o, int64_t o_stride, const float *p,
                                              int64_t p_stride, int32_t d, int32_t dim,
                                              const void *const *values, int32_t n,
                                              const int32_t used, const int rows, const int vectors,
                                              const void *const *ahead)
{
    int32_t row[4];
    AITERI_K(vf) acc[4][AITERI_AXPY_VECTORS];
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) {
        row[r] = r < used ? r : used - 1;
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++)
            acc[r][c] = AITERI_K(load)(o + row[r] * o_stride + d + c * AITERI_LANES);
    }
    for (int32_t i = 0; i < n; i++) {
        AITERI_UNROLL(8)
        for (int at = 0; at < vectors * AITERI_LANES;
             at += AITERI_LINE / (int)sizeof(AITERI_TYPE_C))
            AITERI_PREFETCH(AITERI_ROW(ahead[i]) + d + at);
        AITERI_K(vf) v[AITERI_AXPY_VECTORS];
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++) {
            if (vectors > 1)
                v[c] = AITERI_TYPE_LOAD(AITERI_ROW(values[i]) + d + c * AITERI_LANES);
            else
                v[c] = AITERI_T(chunk)(values[i], d, dim);
        }
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            const AITERI_K(vf) w = AITERI_K(set1)(p[row[r] * p_stride + i]);
            AITERI_UNROLL(8)
            for (int c = 0; c < vectors; c++) acc[r][c] = AITERI_K(fma)(w, v[c], acc[r][c]);
        }
    }
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) AITERI_UNROLL(8)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(o + row[r] * o_stride + d + c * AITERI_LANES, acc[r][c]);
}

/* The whole strips of up to `whole` columns. */
AITERI_FORCE_INLINE void AITERI_T(axpy_rows)(float *o, int64_t o_stride, const float *p,
                                             int64_t p_stride, int32_t whole,
                                             const void *const *values, int32_t n, const int rows,
                                             const void *const *ahead)
{
    for (int32_t d = 0; d < whole; d += AITERI_AXPY_VECTORS * AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, whole, values, n, rows, rows,
                             AITERI_AXPY_VECTORS, ahead);
}

/* The columns from `whole` on; up to four rows as four. */
AITERI_COLD void AITERI_T(axpy_rest)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                     int32_t whole, int32_t dim, const void *const *values,
                                     int32_t n, int32_t used, const void *const *ahead)
{
    for (int32_t d = whole; d < dim; d += AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, dim, values, n, used, 4, 1, ahead);
}

static void AITERI_T(stream_axpy)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                  int32_t rows, int32_t dim, const void *const *values, int32_t n,
                                  const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= o_stride);
    const int32_t strip = AITERI_AXPY_VECTORS * AITERI_LANES, whole = dim / strip * strip;
    for (int32_t r = 0; r < rows; r += 4) {
        float *at = o + r * o_stride;
        const float *w = p + r * p_stride;
        switch (rows - r) {
        case 1: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 1, ahead); break;
        case 2: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 2, ahead); break;
        case 3: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 3, ahead); break;
        default: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 4, ahead); break;
        }
        if (whole < dim)
            AITERI_T(axpy_rest)(at, o_stride, w, p_stride, whole, dim, values, n, rows - r, ahead);
    }
}

#undef AITERI_T
#undef AITERI_ROW
#undef AITERI_TYPE
#undef AITERI_TYPE_C
#undef AITERI_TYPE_LOAD
#undef AITERI_TYPE_LOAD_N
#define AITERI_TYPE        i8
#define AITERI_TYPE_C      int8_t
#define AITERI_TYPE_LOAD   AITERI_K(load_i8)
#define AITERI_TYPE_LOAD_N AITERI_K(load_i8_n)

// >>k_stream_types    (src/cpu/k_stream_types.inl.h)
/* k_stream_types.inl.h -- dot and axpy of the stream family for one storage type, named AITERI_TYPE
 * with elements AITERI_TYPE_C and the vector layer's converting loads. Stamped per type in every
 * ISA. */

#define AITERI_T(name) AITERI_K(AITERI_CAT(name, AITERI_TYPE))
#define AITERI_ROW(p)  ((const AITERI_TYPE_C *)(p))

AITERI_FORCE_INLINE AITERI_K(vf) AITERI_T(chunk)(const void *row, int32_t d, int32_t dim)
{
    if (d + AITERI_LANES <= dim) return AITERI_TYPE_LOAD(AITERI_ROW(row) + d);
    return AITERI_TYPE_LOAD_N(AITERI_ROW(row) + d, dim - d);
}

/* The scores of `keys` keys and `rows` query rows, both constants where this is inlined. */
AITERI_FORCE_INLINE void AITERI_T(dot_block)(float *s, int64_t s_stride, const float *q,
                                             int64_t q_stride, int32_t dim, const void *const *key,
                                             const int rows)
{
    AITERI_K(vf) acc[4 * AITERI_DOT_KEYS];
    AITERI_UNROLL(16)
    for (int i = 0; i < rows * AITERI_DOT_KEYS; i++) acc[i] = AITERI_K(zero)();
    int32_t d = 0;
    for (; d + AITERI_LANES <= dim; d += AITERI_LANES) {
        AITERI_K(vf) k[AITERI_DOT_KEYS];
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) k[i] = AITERI_TYPE_LOAD(AITERI_ROW(key[i]) + d);
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            AITERI_K(vf) x = AITERI_K(load)(q + r * q_stride + d);
            AITERI_IN_REGISTER(x);
            AITERI_UNROLL(8)
            for (int i = 0; i < AITERI_DOT_KEYS; i++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(x, k[i], acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    if (d < dim) {
        AITERI_UNROLL(8)
        for (int i = 0; i < AITERI_DOT_KEYS; i++) {
            const AITERI_K(vf) k = AITERI_T(chunk)(key[i], d, dim);
            AITERI_UNROLL(8)
            for (int r = 0; r < rows; r++)
                acc[r * AITERI_DOT_KEYS + i] = AITERI_K(fma)(AITERI_K(load)(q + r * q_stride + d),
                                                             k, acc[r * AITERI_DOT_KEYS + i]);
        }
    }
    AITERI_K(store_sums)(s, s_stride, acc, rows);
}

/* All keys against `rows` query rows; `ahead` is NULL where it was brought already. */
AITERI_FORCE_INLINE void AITERI_T(dot_rows)(float *s, int64_t s_stride, const float *q,
                                            int64_t q_stride, int32_t dim, const void *const *keys,
                                            int32_t n, const int rows, const void *const *ahead)
{
    const int32_t bytes = dim * (int32_t)sizeof(AITERI_TYPE_C);
    for (int32_t i = 0; i < n; i += AITERI_DOT_KEYS) {
        if (ahead) {
            AITERI_UNROLL(8)
            for (int k = 0; k < AITERI_DOT_KEYS; k++) AITERI_K(fetch)(ahead[i + k], bytes);
        }
        AITERI_T(dot_block)(s + i, s_stride, q, q_stride, dim, keys + i, rows);
    }
}

static void AITERI_T(stream_dot)(float *s, int64_t s_stride, const float *q, int64_t q_stride,
                                 int32_t rows, int32_t dim, const void *const *keys, int32_t n,
                                 const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= q_stride);
    for (int32_t r = 0; r < rows; r += 4, ahead = NULL) {
        float *at = s + r * s_stride;
        const float *x = q + r * q_stride;
        switch (rows - r) {
        case 1: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 1, ahead); break;
        case 2: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 2, ahead); break;
        case 3: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 3, ahead); break;
        default: AITERI_T(dot_rows)(at, s_stride, x, q_stride, dim, keys, n, 4, ahead); break;
        }
    }
}

/* One strip of `vectors` output vectors of `rows` rows over all keys; rows from `used` on repeat
 * the last one. */
AITERI_FORCE_INLINE void AITERI_T(axpy_strip)(float *o, int64_t o_stride, const float *p,
                                              int64_t p_stride, int32_t d, int32_t dim,
                                              const void *const *values, int32_t n,
                                              const int32_t used, const int rows, const int vectors,
                                              const void *const *ahead)
{
    int32_t row[4];
    AITERI_K(vf) acc[4][AITERI_AXPY_VECTORS];
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) {
        row[r] = r < used ? r : used - 1;
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++)
            acc[r][c] = AITERI_K(load)(o + row[r] * o_stride + d + c * AITERI_LANES);
    }
    for (int32_t i = 0; i < n; i++) {
        AITERI_UNROLL(8)
        for (int at = 0; at < vectors * AITERI_LANES;
             at += AITERI_LINE / (int)sizeof(AITERI_TYPE_C))
            AITERI_PREFETCH(AITERI_ROW(ahead[i]) + d + at);
        AITERI_K(vf) v[AITERI_AXPY_VECTORS];
        AITERI_UNROLL(8)
        for (int c = 0; c < vectors; c++) {
            if (vectors > 1)
                v[c] = AITERI_TYPE_LOAD(AITERI_ROW(values[i]) + d + c * AITERI_LANES);
            else
                v[c] = AITERI_T(chunk)(values[i], d, dim);
        }
        AITERI_UNROLL(8)
        for (int r = 0; r < rows; r++) {
            const AITERI_K(vf) w = AITERI_K(set1)(p[row[r] * p_stride + i]);
            AITERI_UNROLL(8)
            for (int c = 0; c < vectors; c++) acc[r][c] = AITERI_K(fma)(w, v[c], acc[r][c]);
        }
    }
    AITERI_UNROLL(8)
    for (int r = 0; r < rows; r++) AITERI_UNROLL(8)
    for (int c = 0; c < vectors; c++)
        AITERI_K(store)(o + row[r] * o_stride + d + c * AITERI_LANES, acc[r][c]);
}

/* The whole strips of up to `whole` columns. */
AITERI_FORCE_INLINE void AITERI_T(axpy_rows)(float *o, int64_t o_stride, const float *p,
                                             int64_t p_stride, int32_t whole,
                                             const void *const *values, int32_t n, const int rows,
                                             const void *const *ahead)
{
    for (int32_t d = 0; d < whole; d += AITERI_AXPY_VECTORS * AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, whole, values, n, rows, rows,
                             AITERI_AXPY_VECTORS, ahead);
}

/* The columns from `whole` on; up to four rows as four. */
AITERI_COLD void AITERI_T(axpy_rest)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                     int32_t whole, int32_t dim, const void *const *values,
                                     int32_t n, int32_t used, const void *const *ahead)
{
    for (int32_t d = whole; d < dim; d += AITERI_LANES)
        AITERI_T(axpy_strip)(o, o_stride, p, p_stride, d, dim, values, n, used, 4, 1, ahead);
}

static void AITERI_T(stream_axpy)(float *o, int64_t o_stride, const float *p, int64_t p_stride,
                                  int32_t rows, int32_t dim, const void *const *values, int32_t n,
                                  const void *const *ahead)
{
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS && 0 < rows && dim <= o_stride);
    const int32_t strip = AITERI_AXPY_VECTORS * AITERI_LANES, whole = dim / strip * strip;
    for (int32_t r = 0; r < rows; r += 4) {
        float *at = o + r * o_stride;
        const float *w = p + r * p_stride;
        switch (rows - r) {
        case 1: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 1, ahead); break;
        case 2: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 2, ahead); break;
        case 3: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 3, ahead); break;
        default: AITERI_T(axpy_rows)(at, o_stride, w, p_stride, whole, values, n, 4, ahead); break;
        }
        if (whole < dim)
            AITERI_T(axpy_rest)(at, o_stride, w, p_stride, whole, dim, values, n, rows - r, ahead);
    }
}

#undef AITERI_T
#undef AITERI_ROW
#undef AITERI_TYPE
#undef AITERI_TYPE_C
#undef AITERI_TYPE_LOAD
#undef AITERI_TYPE_LOAD_N
#endif

#if AITERI_STREAM_TYPES && AITERI_HAS_DECODE
#define AITERI_K_TYPED(name) AITERI_K(name)
#else
#define AITERI_K_TYPED(name) NULL
#endif

/* In the order of aiter_dtype. */
static const aiteri_dot_fn AITERI_K(stream_dot)[AITER_DTYPE_COUNT] = {
    NULL,
    AITERI_K(stream_dot_f32),
    AITERI_K_TYPED(stream_dot_f16),
    AITERI_K_TYPED(stream_dot_bf16),
    NULL,
    NULL,
    NULL,
    AITERI_K_TYPED(stream_dot_i8),
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL};
static const aiteri_axpy_fn AITERI_K(stream_axpy)[AITER_DTYPE_COUNT] = {
    NULL,
    AITERI_K(stream_axpy_f32),
    AITERI_K_TYPED(stream_axpy_f16),
    AITERI_K_TYPED(stream_axpy_bf16),
    NULL,
    NULL,
    NULL,
    AITERI_K_TYPED(stream_axpy_i8),
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL};
#else
#define AITERI_TILE_LANES AITERI_LANES
#endif

static const aiteri_kernels AITERI_K(kernels) = {AITERI_K_NAME,
                                                 AITERI_K_ISA,
                                                 AITERI_K_NEEDS,
                                                 AITERI_K_BELOW,
                                                 NULL,
                                                 AITERI_LANES,
                                                 AITERI_TILE_LANES,
                                                 AITERI_F32_FORMAT,
                                                 AITERI_BLOCK_ENTRIES(AITERI_K),
                                                 AITERI_OTHER_ENTRIES(AITERI_K)};

#undef AITERI_K
#undef AITERI_K_NAME
#undef AITERI_K_ISA
#undef AITERI_K_NEEDS
#undef AITERI_K_BELOW
#undef AITERI_LANES
#undef AITERI_TILE_LANES
#undef AITERI_TILE_VECTORS
#undef AITERI_TILE_ROWS
#undef AITERI_NARROW_VECTORS
#undef AITERI_NARROW_ROWS
#undef AITERI_TILE_GROUP
#undef AITERI_TILE_MOST
#undef AITERI_TILE_CHUNK
#undef AITERI_TILE_STEPS
#undef AITERI_TILE_NEXT
#undef AITERI_DOT_KEYS
#undef AITERI_AXPY_VECTORS
#undef AITERI_STREAM_TYPES
#undef AITERI_CONVERTS
#undef AITERI_CONVERT_OF
#undef AITERI_K_TYPED
#undef AITERI_RESCALE_AT
#endif /* AITERI_NEON */

/* All of this architecture, best first. */
static const aiteri_kernels *const aiteri_kernel_sets[] = {
#if AITERI_X86_BF16
    &aiteri_avx512bf16_kernels,
#endif
#if AITERI_X86
    &aiteri_avx512_kernels,
    &aiteri_avx2_kernels,
#elif AITERI_NEON
    &aiteri_neon_kernels,
#endif
    &aiteri_scalar_kernels,
};

/* The kernel set of an ISA; NULL: of another architecture. */
static const aiteri_kernels *aiteri_kernels_of(aiter_isa isa)
{
    const size_t n = sizeof aiteri_kernel_sets / sizeof aiteri_kernel_sets[0];
    for (size_t i = 0; i < n; i++)
        if (aiteri_kernel_sets[i]->isa == isa) return aiteri_kernel_sets[i];
    return NULL;
}

#endif /* AITERI_INSTANTIATE_C */
AITERI_KERNELS_END
AITERI_ONCE_A_CALL_BEGIN
#if AITERI_GPU

// >>driver    (src/gpu/driver.h)
/* driver.h -- the driver functions that the launchers call, one table for HIP and CUDA: the rows
 * below give each its exact symbol, so that a test can hold them against the vendors' headers. */
#ifndef AITERI_GPU_DRIVER_H
#define AITERI_GPU_DRIVER_H


/* The vendors' types by their size: every handle is a pointer, a device address is as wide. */
typedef int aiteri_gpu_result, aiteri_gpu_ordinal, aiteri_gpu_attribute, aiteri_gpu_capture,
    aiteri_gpu_function_attribute;
typedef void *aiteri_gpu_address, *aiteri_gpu_stream, *aiteri_gpu_module, *aiteri_gpu_function,
    *aiteri_gpu_native;

/* ROW(result, field, HIP symbol, CUDA symbol, parameters): the same function on both sides. */
#define AITERI_DRIVER_ROWS(ROW)                                                                   \
    ROW(aiteri_gpu_result, init, hipInit, cuInit, (unsigned flags))                               \
    ROW(aiteri_gpu_result, device_count, hipGetDeviceCount, cuDeviceGetCount, (int *count))       \
    ROW(aiteri_gpu_result, device_attribute, hipDeviceGetAttribute, cuDeviceGetAttribute,         \
        (int *value, aiteri_gpu_attribute id, aiteri_gpu_ordinal device))                         \
    ROW(aiteri_gpu_result, device_name, hipDeviceGetName, cuDeviceGetName,                        \
        (char *name, int bytes, aiteri_gpu_ordinal device))                                       \
    ROW(aiteri_gpu_result, memory_alloc, hipMalloc, cuMemAlloc_v2,                                \
        (aiteri_gpu_address * at, size_t bytes))                                                  \
    ROW(aiteri_gpu_result, memory_free, hipFree, cuMemFree_v2, (aiteri_gpu_address at))           \
    ROW(aiteri_gpu_result, memory_read, hipMemcpyDtoH, cuMemcpyDtoH_v2,                           \
        (void *to, aiteri_gpu_address from, size_t bytes))                                        \
    ROW(aiteri_gpu_result, pinned_alloc, hipHostMalloc, cuMemHostAlloc,                           \
        (void **at, size_t bytes, unsigned flags))                                                \
    ROW(aiteri_gpu_result, pinned_free, hipHostFree, cuMemFreeHost, (void *at))                   \
    ROW(aiteri_gpu_result, copy_out, hipMemcpyDtoHAsync, cuMemcpyDtoHAsync_v2,                    \
        (void *to, aiteri_gpu_address from, size_t bytes, aiteri_gpu_stream stream))              \
    ROW(aiteri_gpu_result, copy_inside, hipMemcpyDtoDAsync, cuMemcpyDtoDAsync_v2,                 \
        (aiteri_gpu_address to, aiteri_gpu_address from, size_t bytes, aiteri_gpu_stream stream)) \
    ROW(aiteri_gpu_result, stream_wait, hipStreamSynchronize, cuStreamSynchronize,                \
        (aiteri_gpu_stream stream))                                                               \
    ROW(aiteri_gpu_result, stream_capturing, hipStreamIsCapturing, cuStreamIsCapturing,           \
        (aiteri_gpu_stream stream, aiteri_gpu_capture * state))                                   \
    ROW(aiteri_gpu_result, module_load, hipModuleLoadData, cuModuleLoadData,                      \
        (aiteri_gpu_module * module, const void *image))                                          \
    ROW(aiteri_gpu_result, module_unload, hipModuleUnload, cuModuleUnload,                        \
        (aiteri_gpu_module module))                                                               \
    ROW(aiteri_gpu_result, module_function, hipModuleGetFunction, cuModuleGetFunction,            \
        (aiteri_gpu_function * function, aiteri_gpu_module module, const char *name))             \
    ROW(aiteri_gpu_result, module_global, hipModuleGetGlobal, cuModuleGetGlobal_v2,               \
        (aiteri_gpu_address * at, size_t *bytes, aiteri_gpu_module module, const char *name))     \
    ROW(aiteri_gpu_result, launch, hipModuleLaunchKernel, cuLaunchKernel,                         \
        (aiteri_gpu_function function, unsigned grid_x, unsigned grid_y, unsigned grid_z,         \
         unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,             \
         aiteri_gpu_stream stream, void **parameters, void **extra))

/* ROW(result, field, symbol, parameters): what only one of them has. */
#define AITERI_HIP_ROWS(ROW)                                                            \
    ROW(aiteri_gpu_result, hip_set_device, hipSetDevice, (aiteri_gpu_ordinal device))   \
    ROW(aiteri_gpu_result, hip_get_device, hipGetDevice, (aiteri_gpu_ordinal * device)) \
    ROW(aiteri_gpu_result, hip_copy_in, hipMemcpyHtoDAsync,                             \
        (aiteri_gpu_address to, void *from, size_t bytes, aiteri_gpu_stream stream))    \
    ROW(aiteri_gpu_result, hip_last_error, hipGetLastError, (void))                     \
    ROW(const char *, hip_error_name, hipGetErrorName, (aiteri_gpu_result code))        \
    ROW(const char *, hip_error_string, hipGetErrorString, (aiteri_gpu_result code))

/* May be absent: ROCm 6 and later fill the structure of 6.0, others that of 5. */
#define AITERI_HIP_OPTIONAL_ROWS(ROW)                                     \
    ROW(aiteri_gpu_result, hip_properties_6, hipGetDevicePropertiesR0600, \
        (void *properties, int device))                                   \
    ROW(aiteri_gpu_result, hip_properties_5, hipGetDeviceProperties, (void *properties, int device))

#define AITERI_CUDA_ROWS(ROW)                                                                    \
    ROW(aiteri_gpu_result, cuda_device, cuDeviceGet, (aiteri_gpu_ordinal * device, int ordinal)) \
    ROW(aiteri_gpu_result, cuda_copy_in, cuMemcpyHtoDAsync_v2,                                   \
        (aiteri_gpu_address to, const void *from, size_t bytes, aiteri_gpu_stream stream))       \
    ROW(aiteri_gpu_result, cuda_get_current, cuCtxGetCurrent, (aiteri_gpu_native * native))      \
    ROW(aiteri_gpu_result, cuda_set_current, cuCtxSetCurrent, (aiteri_gpu_native native))        \
    ROW(aiteri_gpu_result, cuda_current_device, cuCtxGetDevice, (aiteri_gpu_ordinal * device))   \
    ROW(aiteri_gpu_result, cuda_stream_context, cuStreamGetCtx,                                  \
        (aiteri_gpu_stream stream, aiteri_gpu_native * native))                                  \
    ROW(aiteri_gpu_result, cuda_primary_retain, cuDevicePrimaryCtxRetain,                        \
        (aiteri_gpu_native * native, aiteri_gpu_ordinal device))                                 \
    ROW(aiteri_gpu_result, cuda_primary_release, cuDevicePrimaryCtxRelease_v2,                   \
        (aiteri_gpu_ordinal device))                                                             \
    ROW(aiteri_gpu_result, cuda_function_set, cuFuncSetAttribute,                                \
        (aiteri_gpu_function function, aiteri_gpu_function_attribute id, int value))             \
    ROW(aiteri_gpu_result, cuda_error_name, cuGetErrorName,                                      \
        (aiteri_gpu_result code, const char **text))                                             \
    ROW(aiteri_gpu_result, cuda_error_string, cuGetErrorString,                                  \
        (aiteri_gpu_result code, const char **text))

/* ROW(name, HIP's number, CUDA's number): attributes of a device; -1: not known there. */
#define AITERI_ATTRIBUTE_ROWS(ROW)                                                    \
    ROW(COMPUTE_UNITS, 63, 16)                                                        \
    ROW(MAJOR, 23, 75)                                                                \
    ROW(MINOR, 61, 76)                                                                \
    ROW(DIES, 10018, -1) /* hipDeviceAttributeNumberOfXccs, of newer runtimes only */ \
    ROW(SHARED_BYTES, 74, 97)

enum {
#define AITERI_ATTRIBUTE_ENUM(name, hip, cuda) AITERI_ATTRIBUTE_##name,
    AITERI_ATTRIBUTE_ROWS(AITERI_ATTRIBUTE_ENUM)
#undef AITERI_ATTRIBUTE_ENUM
        AITERI_ATTRIBUTES
};

/* Driver codes that the launchers tell apart; the two vendors agree on all of them. */
enum {
    AITERI_GPU_SUCCESS = 0,
    AITERI_GPU_OUT_OF_MEMORY = 2,
    AITERI_GPU_NO_DEVICE = 100,
    AITERI_GPU_INVALID_DEVICE = 101,
    AITERI_GPU_INVALID_IMAGE = 200,
    AITERI_GPU_NO_BINARY = 209,
    AITERI_GPU_INVALID_PTX = 218,
    AITERI_GPU_UNSUPPORTED_PTX = 222,
    AITERI_GPU_NOT_FOUND = 500,
    AITERI_CUDA_DYNAMIC_SHARED = 8 /* CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES */
};

typedef struct aiteri_driver {
    aiter_device kind;
    const char *name;
    int opened; /* all of the fields below stand, and init succeeded */
    int attribute[AITERI_ATTRIBUTES];
#define AITERI_DRIVER_FIELD(result, field, hip, cuda, parameters)  result(*field) parameters;
#define AITERI_DRIVER_OWN_FIELD(result, field, symbol, parameters) result(*field) parameters;
    AITERI_DRIVER_ROWS(AITERI_DRIVER_FIELD)
    AITERI_HIP_ROWS(AITERI_DRIVER_OWN_FIELD)
    AITERI_HIP_OPTIONAL_ROWS(AITERI_DRIVER_OWN_FIELD)
    AITERI_CUDA_ROWS(AITERI_DRIVER_OWN_FIELD)
#undef AITERI_DRIVER_FIELD
#undef AITERI_DRIVER_OWN_FIELD
} aiteri_driver;

#endif /* AITERI_GPU_DRIVER_H */

// >>open    (src/gpu/open.c)
/* open.c -- finds the driver's library, fills the table, and puts its failures into words. */
#ifndef AITERI_GPU_OPEN_C
#define AITERI_GPU_OPEN_C


/* Tests answer for the system's loader by these two. */
#ifndef AITERI_LIBRARY_OPEN
#define AITERI_LIBRARY_OPEN   aiteri_library_open
#define AITERI_LIBRARY_SYMBOL aiteri_library_symbol

/* A library that the process already has, or (only_loaded 0) from the loader's path. */
static void *aiteri_library_open(const char *name, int only_loaded)
{
#if defined(_WIN32)
    HMODULE library = GetModuleHandleA(name);
    if (!library && !only_loaded) library = LoadLibraryA(name);
    return (void *)library;
#else
    return dlopen(name, RTLD_NOW | (only_loaded ? RTLD_NOLOAD : RTLD_LOCAL));
#endif
}

/* Writes the address into *function, a pointer to some function; C has no cast for it. */
static int aiteri_library_symbol(void *library, const char *name, void *function)
{
#if defined(_WIN32)
    FARPROC address = GetProcAddress((HMODULE)library, name);
#else
    void *address = dlsym(library, name);
#endif
    memcpy(function, &address, sizeof address);
    return address != NULL;
}
#endif

/* Newest first; what the process already has loaded is taken before anything else, since two copies
 * of a runtime share neither streams nor memory. */
static const char *const aiteri_hip_libraries[] = {
#if defined(_WIN32)
    "amdhip64_7.dll", "amdhip64_6.dll", "amdhip64.dll", NULL
#else
    "libamdhip64.so.7",
    "libamdhip64.so.6",
    "libamdhip64.so.5",
    "libamdhip64.so",
    "/opt/rocm/lib/libamdhip64.so",
    NULL
#endif
};

static const char *const aiteri_cuda_libraries[] = {
#if defined(_WIN32)
    "nvcuda.dll", NULL
#else
    "libcuda.so.1", "libcuda.so", NULL
#endif
};

/* The library that the user names instead: by the environment, else by a macro; NULL: none. */
static const char *aiteri_named_library(aiter_device kind)
{
    const char *name =
        getenv(kind == AITER_DEVICE_HIP ? "AITER_ATTN_HIP_LIBRARY" : "AITER_ATTN_CUDA_LIBRARY");
    if (name && name[0]) return name;
#if defined(AITER_ATTN_HIP_LIBRARY)
    if (kind == AITER_DEVICE_HIP) return AITER_ATTN_HIP_LIBRARY;
#endif
#if defined(AITER_ATTN_CUDA_LIBRARY)
    if (kind == AITER_DEVICE_CUDA) return AITER_ATTN_CUDA_LIBRARY;
#endif
    return NULL;
}

static void *aiteri_driver_library(aiter_device kind, const char **name)
{
    const char *const named[2] = {aiteri_named_library(kind), NULL};
    const char *const *list = named[0]                   ? named
                              : kind == AITER_DEVICE_HIP ? aiteri_hip_libraries
                                                         : aiteri_cuda_libraries;
    for (int only_loaded = 1; only_loaded >= 0; only_loaded--)
        for (int i = 0; list[i]; i++) {
            void *library = AITERI_LIBRARY_OPEN(list[i], only_loaded);
            *name = list[i];
            if (library) return library;
        }
    *name = list[0];
    return NULL;
}

/* Fills the function pointers; returns the first required symbol that is missing, or NULL. */
static const char *aiteri_driver_fill(aiteri_driver *d, void *library)
{
    const int hip = d->kind == AITER_DEVICE_HIP;
    const char *missing = NULL;
#define AITERI_DRIVER_FIND(result, field, hip_name, cuda_name, parameters)                    \
    if (!AITERI_LIBRARY_SYMBOL(library, hip ? #hip_name : #cuda_name, &d->field) && !missing) \
        missing = hip ? #hip_name : #cuda_name;
#define AITERI_DRIVER_FIND_OWN(result, field, symbol, parameters) \
    if (!AITERI_LIBRARY_SYMBOL(library, #symbol, &d->field) && !missing) missing = #symbol;
#define AITERI_DRIVER_FIND_OPTIONAL(result, field, symbol, parameters) \
    (void)AITERI_LIBRARY_SYMBOL(library, #symbol, &d->field);
    AITERI_DRIVER_ROWS(AITERI_DRIVER_FIND)
    if (hip) {
        AITERI_HIP_ROWS(AITERI_DRIVER_FIND_OWN)
        AITERI_HIP_OPTIONAL_ROWS(AITERI_DRIVER_FIND_OPTIONAL)
    } else {
        AITERI_CUDA_ROWS(AITERI_DRIVER_FIND_OWN)
    }
#undef AITERI_DRIVER_FIND
#undef AITERI_DRIVER_FIND_OWN
#undef AITERI_DRIVER_FIND_OPTIONAL
    return missing;
}

/* What the driver calls the function behind a field of its table. */
static const char *aiteri_driver_symbol(const aiteri_driver *d, const char *field)
{
    const int hip = d->kind == AITER_DEVICE_HIP;
#define AITERI_DRIVER_SYMBOL(result, name, hip_name, cuda_name, parameters) \
    if (strcmp(field, #name) == 0) return hip ? #hip_name : #cuda_name;
#define AITERI_DRIVER_OWN_SYMBOL(result, name, symbol, parameters) \
    if (strcmp(field, #name) == 0) return #symbol;
    AITERI_DRIVER_ROWS(AITERI_DRIVER_SYMBOL)
    AITERI_HIP_ROWS(AITERI_DRIVER_OWN_SYMBOL)
    AITERI_CUDA_ROWS(AITERI_DRIVER_OWN_SYMBOL)
#undef AITERI_DRIVER_SYMBOL
#undef AITERI_DRIVER_OWN_SYMBOL
    return field;
}

/* Errors after which nothing more runs in this process's device context: what failed was earlier
 * work, whichever call reports it. */
static int aiteri_driver_is_lost(int code)
{
    return code == 46 || code == 214 || code == 700 || code == 702 || code == 709 ||
           (code >= 714 && code <= 719);
}

static aiter_status aiteri_driver_status(int code)
{
    switch (code) {
    case AITERI_GPU_SUCCESS: return AITER_OK;
    case AITERI_GPU_OUT_OF_MEMORY: return AITER_OUT_OF_MEMORY;
    case AITERI_GPU_NO_DEVICE:
    case AITERI_GPU_INVALID_DEVICE: return AITER_NO_DEVICE;
    case AITERI_GPU_INVALID_IMAGE:
    case AITERI_GPU_NO_BINARY:
    case AITERI_GPU_INVALID_PTX:
    case AITERI_GPU_UNSUPPORTED_PTX:
    case AITERI_GPU_NOT_FOUND: return AITER_NO_KERNEL;
    default: return AITER_DEVICE;
    }
}

/* "op: hipMalloc failed with 2, hipErrorOutOfMemory (out of memory)". */
static aiter_status aiteri_driver_failed(aiter_context *ctx, const aiteri_driver *d, const char *op,
                                         const char *field, int code)
{
    const char *name = NULL, *text = NULL;
    if (d->kind == AITER_DEVICE_HIP) {
        name = d->hip_error_name(code);
        text = d->hip_error_string(code);
        d->hip_last_error(); /* ROCm 7 keeps an error until it is read: it is ours, not the user's
                              */
    } else {
        if (d->cuda_error_name(code, &name) != AITERI_GPU_SUCCESS) name = NULL;
        if (d->cuda_error_string(code, &text) != AITERI_GPU_SUCCESS) text = NULL;
    }
    const aiter_status status = aiteri_driver_status(code);
    return aiteri_fail(ctx, status, "%s: %s failed with %d, %s (%s)%s", op,
                       aiteri_driver_symbol(d, field), code, name ? name : "no name",
                       text ? text : "no text",
                       aiteri_driver_is_lost(code)
                           ? ": earlier work failed and the device is lost; the CPU still works"
                       : status == AITER_NO_DEVICE ? ": it finds no device to use"
                                                   : "");
}

/* Leaves the calling function with the failure of one driver call, if it failed. */
#define AITERI_GPU_TRY(ctx, driver, op, field, arguments)                          \
    do {                                                                           \
        const int aiteri_gpu_code = (driver)->field arguments;                     \
        if (aiteri_gpu_code != AITERI_GPU_SUCCESS)                                 \
            return aiteri_driver_failed(ctx, driver, op, #field, aiteri_gpu_code); \
    } while (0)

/* Opens and initialises a driver once; what failed is tried again by the next context. */
static aiter_status aiteri_driver_open(aiteri_driver *d, aiter_device kind)
{
    static const char *const op = "aiter_context_create.device";
    const char *library_name = "";
    if (d->opened) return AITER_OK;
    memset(d, 0, sizeof *d);
    d->kind = kind;
    d->name = kind == AITER_DEVICE_HIP ? "HIP" : "CUDA";
    void *library = aiteri_driver_library(kind, &library_name);
    if (!library)
        return aiteri_fail(NULL, AITER_NO_DEVICE,
                           "%s: no %s driver, the library %s cannot be loaded; the environment's "
                           "AITER_ATTN_%s_LIBRARY names another",
                           op, d->name, library_name, d->name);
    const char *missing = aiteri_driver_fill(d, library);
    if (missing)
        return aiteri_fail(NULL, AITER_NO_DEVICE, "%s: the %s driver %s is too old, it has no %s",
                           op, d->name, library_name, missing);
    AITERI_GPU_TRY(NULL, d, op, init, (0));
#define AITERI_ATTRIBUTE_FILL(field, hip, cuda) \
    d->attribute[AITERI_ATTRIBUTE_##field] = kind == AITER_DEVICE_HIP ? hip : cuda;
    AITERI_ATTRIBUTE_ROWS(AITERI_ATTRIBUTE_FILL)
#undef AITERI_ATTRIBUTE_FILL
    d->opened = 1;
    return AITER_OK;
}

#endif /* AITERI_GPU_OPEN_C */

// >>registry    (src/gpu/registry.c)
/* registry.c -- the kernels that exist, from kernels/instances.def, and which of them a call takes.
 */
#ifndef AITERI_GPU_REGISTRY_C
#define AITERI_GPU_REGISTRY_C


// >>instances    (kernels/instances.def)
/* instances.def -- every kernel that is built, one line each: the build hands each compile its
 * lines, the header makes its registry from them, and the launcher takes its geometry from them.
 *
 * ROW(op, arch, q, kv, out, dq, dv, layout, scales, class, source, threads, rows, keys, lds, waves)
 *   arch    CDNA: gfx90a, gfx942 and gfx950; GFX90A, GFX942, GFX950: that one; SM80: PTX for sm_80
 *           and up; SM90A: PTX for sm_90a alone, taken there before a row of SM80
 *   dq, dv  the padded head sizes; a call takes the smallest that holds its own
 *   layout  nhd: [.., tokens, heads, dim] by strides
 *   scales  none, or row: one f32 per token and head (strides 0 where it does not vary)
 *   class   plain: full or causal and nothing else; general: every mask and score option
 *   source  dense, paged, or any: dense, packed and paged
 *   threads per workgroup, rows: query rows of a workgroup, keys: of one step, lds: bytes,
 *   waves: per SIMD (AMD) that registers and LDS must allow
 * What does not matter to an op is `any` or 0. combine takes the results of every type and Dq; the
 * types of merge_attn_states are those of a, b and out; reshape_and_cache goes from type q to kv.
 * Symbol: aiteri_<op>_<q>_<kv>_<out>_<dq>_<dv>_<class>.
 *
 * The build reads this file, too: nothing but such lines, one ROW each. Rows of equal op, q, kv, dq
 * and dv are compiled together, once for each chip: kernels/<op>.hip with AITERI_ROWS(ROW) defined
 * as these rows. Files: aiter_<chip>.co, aiter_<op>_<q>_<kv>_<dq>_<dv>.ptx, the same with _sm_90a
 * behind. After a change build the target gpu or header: they renew abi_hash.h, which is committed.
 */
#define AITERI_GPU_ROWS(ROW) \
    ROW(flash_fwd, GFX942, bf16, bf16, bf16, 64, 64, nhd, none, general, any, 256, 128, 64, 16384, 1) \
    ROW(flash_fwd, GFX950, bf16, bf16, bf16, 64, 64, nhd, none, general, any, 256, 128, 64, 16384, 1) \
    ROW(flash_fwd, GFX942, bf16, bf16, bf16, 64, 64, nhd, none, plain, dense, 512, 256, 128, 65536, 2) \
    ROW(flash_fwd, GFX950, bf16, bf16, bf16, 64, 64, nhd, none, plain, dense, 512, 256, 64, 49248, 2) \
    ROW(flash_fwd, SM80, bf16, bf16, bf16, 64, 64, nhd, none, general, any, 128, 64, 64, 16384, 0) \
    ROW(flash_fwd, CDNA, bf16, bf16, bf16, 128, 128, nhd, none, general, any, 256, 128, 64, 32768, 1) \
    ROW(flash_fwd, GFX942, bf16, bf16, bf16, 128, 128, nhd, none, plain, dense, 512, 256, 64, 65536, 2) \
    ROW(flash_fwd, SM80, bf16, bf16, bf16, 128, 128, nhd, none, general, any, 128, 64, 64, 32768, 0) \
    ROW(flash_fwd, GFX950, bf16, bf16, bf16, 128, 128, nhd, none, plain, dense, 512, 256, 64, 98400, 2) \
    ROW(flash_fwd, SM80, bf16, bf16, bf16, 128, 128, nhd, none, plain, dense, 128, 128, 64, 98304, 0) \
    ROW(flash_fwd, SM90A, bf16, bf16, bf16, 128, 128, nhd, none, plain, dense, 256, 128, 128, 163872, 0) \
    ROW(flash_fwd, GFX950, bf16, bf16, bf16, 192, 128, nhd, none, general, any, 256, 64, 32, 20480, 1) \
    ROW(flash_fwd, SM80, bf16, bf16, bf16, 192, 128, nhd, none, general, any, 128, 64, 64, 40960, 0) \
    ROW(flash_fwd, CDNA, bf16, bf16, bf16, 256, 256, nhd, none, general, any, 256, 64, 32, 32768, 1) \
    ROW(flash_fwd, SM80, bf16, bf16, bf16, 256, 256, nhd, none, general, any, 128, 64, 32, 32768, 0) \
    ROW(flash_fwd, GFX942, f16, f16, f16, 64, 64, nhd, none, general, any, 256, 128, 64, 16384, 1) \
    ROW(flash_fwd, GFX950, f16, f16, f16, 64, 64, nhd, none, general, any, 256, 128, 64, 16384, 1) \
    ROW(flash_fwd, GFX942, f16, f16, f16, 64, 64, nhd, none, plain, dense, 512, 256, 128, 65536, 2) \
    ROW(flash_fwd, GFX950, f16, f16, f16, 64, 64, nhd, none, plain, dense, 512, 256, 64, 49248, 2) \
    ROW(flash_fwd, SM80, f16, f16, f16, 64, 64, nhd, none, general, any, 128, 64, 64, 16384, 0) \
    ROW(flash_fwd, CDNA, f16, f16, f16, 128, 128, nhd, none, general, any, 256, 128, 64, 32768, 1) \
    ROW(flash_fwd, GFX942, f16, f16, f16, 128, 128, nhd, none, plain, dense, 512, 256, 64, 65536, 2) \
    ROW(flash_fwd, SM80, f16, f16, f16, 128, 128, nhd, none, general, any, 128, 64, 64, 32768, 0) \
    ROW(flash_fwd, GFX950, f16, f16, f16, 128, 128, nhd, none, plain, dense, 512, 256, 64, 98400, 2) \
    ROW(flash_fwd, SM80, f16, f16, f16, 128, 128, nhd, none, plain, dense, 128, 128, 64, 98304, 0) \
    ROW(flash_fwd, SM90A, f16, f16, f16, 128, 128, nhd, none, plain, dense, 256, 128, 128, 163872, 0) \
    ROW(flash_fwd, GFX950, f16, f16, f16, 192, 128, nhd, none, general, any, 256, 64, 32, 20480, 1) \
    ROW(flash_fwd, SM80, f16, f16, f16, 192, 128, nhd, none, general, any, 128, 64, 64, 40960, 0) \
    ROW(flash_fwd, CDNA, f16, f16, f16, 256, 256, nhd, none, general, any, 256, 64, 32, 32768, 1) \
    ROW(flash_fwd, SM80, f16, f16, f16, 256, 256, nhd, none, general, any, 128, 64, 32, 32768, 0) \
    ROW(combine, CDNA, any, any, f16, 0, 128, nhd, none, general, any, 256, 4, 0, 0, 4) \
    ROW(combine, CDNA, any, any, bf16, 0, 128, nhd, none, general, any, 256, 4, 0, 0, 4) \
    ROW(combine, CDNA, any, any, f16, 0, 256, nhd, none, general, any, 256, 4, 0, 0, 4) \
    ROW(combine, CDNA, any, any, bf16, 0, 256, nhd, none, general, any, 256, 4, 0, 0, 4) \
    ROW(merge_attn_states, CDNA, f32, f32, f32, 0, 0, nhd, none, general, dense, 256, 4, 0, 0, 4) \
    ROW(merge_attn_states, CDNA, f16, f16, f16, 0, 0, nhd, none, general, dense, 256, 4, 0, 0, 4) \
    ROW(merge_attn_states, CDNA, bf16, bf16, bf16, 0, 0, nhd, none, general, dense, 256, 4, 0, 0, 4) \
    ROW(merge_attn_states, CDNA, f32, f32, f16, 0, 0, nhd, none, general, dense, 256, 4, 0, 0, 4) \
    ROW(merge_attn_states, CDNA, f32, f32, bf16, 0, 0, nhd, none, general, dense, 256, 4, 0, 0, 4) \
    ROW(reshape_and_cache, CDNA, f32, f32, any, 0, 0, nhd, none, general, any, 256, 1, 0, 0, 4) \
    ROW(reshape_and_cache, CDNA, f16, f16, any, 0, 0, nhd, none, general, any, 256, 1, 0, 0, 4) \
    ROW(reshape_and_cache, CDNA, bf16, bf16, any, 0, 0, nhd, none, general, any, 256, 1, 0, 0, 4) \
    ROW(reshape_and_cache, CDNA, f32, f16, any, 0, 0, nhd, none, general, any, 256, 1, 0, 0, 4) \
    ROW(reshape_and_cache, CDNA, f32, bf16, any, 0, 0, nhd, none, general, any, 256, 1, 0, 0, 4) \
    ROW(reshape_and_cache, CDNA, f32, i8, any, 0, 0, nhd, row, general, any, 256, 1, 0, 0, 4) \
    ROW(reshape_and_cache, CDNA, f16, i8, any, 0, 0, nhd, row, general, any, 256, 1, 0, 0, 4) \
    ROW(reshape_and_cache, CDNA, bf16, i8, any, 0, 0, nhd, row, general, any, 256, 1, 0, 0, 4) \
    ROW(combine, SM80, any, any, f16, 0, 128, nhd, none, general, any, 128, 4, 0, 0, 0) \
    ROW(combine, SM80, any, any, bf16, 0, 128, nhd, none, general, any, 128, 4, 0, 0, 0) \
    ROW(combine, SM80, any, any, f16, 0, 256, nhd, none, general, any, 128, 4, 0, 0, 0) \
    ROW(combine, SM80, any, any, bf16, 0, 256, nhd, none, general, any, 128, 4, 0, 0, 0) \
    ROW(merge_attn_states, SM80, f32, f32, f32, 0, 0, nhd, none, general, dense, 128, 4, 0, 0, 0) \
    ROW(merge_attn_states, SM80, f16, f16, f16, 0, 0, nhd, none, general, dense, 128, 4, 0, 0, 0) \
    ROW(merge_attn_states, SM80, bf16, bf16, bf16, 0, 0, nhd, none, general, dense, 128, 4, 0, 0, 0) \
    ROW(merge_attn_states, SM80, f32, f32, f16, 0, 0, nhd, none, general, dense, 128, 4, 0, 0, 0) \
    ROW(merge_attn_states, SM80, f32, f32, bf16, 0, 0, nhd, none, general, dense, 128, 4, 0, 0, 0) \
    ROW(reshape_and_cache, SM80, f32, f32, any, 0, 0, nhd, none, general, any, 128, 1, 0, 0, 0) \
    ROW(reshape_and_cache, SM80, f16, f16, any, 0, 0, nhd, none, general, any, 128, 1, 0, 0, 0) \
    ROW(reshape_and_cache, SM80, bf16, bf16, any, 0, 0, nhd, none, general, any, 128, 1, 0, 0, 0) \
    ROW(reshape_and_cache, SM80, f32, f16, any, 0, 0, nhd, none, general, any, 128, 1, 0, 0, 0) \
    ROW(reshape_and_cache, SM80, f32, bf16, any, 0, 0, nhd, none, general, any, 128, 1, 0, 0, 0) \
    ROW(reshape_and_cache, SM80, f32, i8, any, 0, 0, nhd, row, general, any, 128, 1, 0, 0, 0) \
    ROW(reshape_and_cache, SM80, f16, i8, any, 0, 0, nhd, row, general, any, 128, 1, 0, 0, 0) \
    ROW(reshape_and_cache, SM80, bf16, i8, any, 0, 0, nhd, row, general, any, 128, 1, 0, 0, 0) \
    ROW(paged_decode, CDNA, bf16, bf16, bf16, 128, 128, nhd, none, general, paged, 256, 16, 128, 37392, 1) \
    ROW(paged_decode, SM80, bf16, bf16, bf16, 128, 128, nhd, none, general, paged, 128, 8, 64, 18704, 0) \
    ROW(paged_decode, CDNA, bf16, bf16, bf16, 256, 256, nhd, none, general, paged, 256, 16, 128, 37392, 1) \
    ROW(paged_decode, SM80, bf16, bf16, bf16, 256, 256, nhd, none, general, paged, 128, 8, 64, 18704, 0) \
    ROW(paged_decode, CDNA, bf16, i8, bf16, 128, 128, nhd, row, general, paged, 256, 16, 128, 37392, 1) \
    ROW(paged_decode, SM80, bf16, i8, bf16, 128, 128, nhd, row, general, paged, 128, 8, 64, 18704, 0) \
    ROW(paged_decode, CDNA, bf16, i8, bf16, 256, 256, nhd, row, general, paged, 256, 16, 128, 37392, 1) \
    ROW(paged_decode, SM80, bf16, i8, bf16, 256, 256, nhd, row, general, paged, 128, 8, 64, 18704, 0) \
    ROW(paged_decode, CDNA, f16, f16, f16, 128, 128, nhd, none, general, paged, 256, 16, 128, 37392, 1) \
    ROW(paged_decode, SM80, f16, f16, f16, 128, 128, nhd, none, general, paged, 128, 8, 64, 18704, 0) \
    ROW(paged_decode, CDNA, f16, f16, f16, 256, 256, nhd, none, general, paged, 256, 16, 128, 37392, 1) \
    ROW(paged_decode, SM80, f16, f16, f16, 256, 256, nhd, none, general, paged, 128, 8, 64, 18704, 0) \
    ROW(paged_decode, CDNA, f16, i8, f16, 128, 128, nhd, row, general, paged, 256, 16, 128, 37392, 1) \
    ROW(paged_decode, SM80, f16, i8, f16, 128, 128, nhd, row, general, paged, 128, 8, 64, 18704, 0) \
    ROW(paged_decode, CDNA, f16, i8, f16, 256, 256, nhd, row, general, paged, 256, 16, 128, 37392, 1) \
    ROW(paged_decode, SM80, f16, i8, f16, 256, 256, nhd, row, general, paged, 128, 8, 64, 18704, 0)

/* What follows the unit in the name of a file: PTX of one chip alone says which. */
#define AITERI_GPU_FILE_CDNA   ""
#define AITERI_GPU_FILE_GFX90A ""
#define AITERI_GPU_FILE_GFX942 ""
#define AITERI_GPU_FILE_GFX950 ""
#define AITERI_GPU_FILE_SM80   ""
#define AITERI_GPU_FILE_SM90A  "_sm_90a"

/* The words of instances.def as numbers. */
enum {
    AITERI_GPU_OP_flash_fwd,
    AITERI_GPU_OP_paged_decode,
    AITERI_GPU_OP_combine,
    AITERI_GPU_OP_reshape_and_cache,
    AITERI_GPU_OP_merge_attn_states,
    AITERI_GPU_OPS,

    AITERI_GPU_ARCH_GFX90A = 1, /* bits: a row may serve several */
    AITERI_GPU_ARCH_GFX942 = 2,
    AITERI_GPU_ARCH_GFX950 = 4,
    AITERI_GPU_ARCH_CDNA = 7,
    AITERI_GPU_ARCH_SM80 = 8,
    AITERI_GPU_ARCH_SM90A = 16,

    AITERI_GPU_TYPE_any = AITER_DTYPE_UNSET,
    AITERI_GPU_TYPE_f32 = AITER_F32,
    AITERI_GPU_TYPE_f16 = AITER_F16,
    AITERI_GPU_TYPE_bf16 = AITER_BF16,
    AITERI_GPU_TYPE_i8 = AITER_I8,

    AITERI_GPU_CLASS_plain = AITER_KERNEL_CLASS_PLAIN,
    AITERI_GPU_CLASS_general = AITER_KERNEL_CLASS_GENERAL
};

/* The features that a row takes: those of its op and class, of its source and of its scales. */
#define AITERI_GPU_TAKES_flash_fwd_plain \
    (AITERI_BIT(CAUSAL) | AITERI_BIT(LSE) | AITERI_BIT(USED_ROWS) | AITERI_BIT(USED_KEYS))
#define AITERI_GPU_TAKES_paged_decode_general                                                 \
    (AITERI_GPU_TAKES_flash_fwd_plain | AITERI_BIT(TOP_LEFT) | AITERI_BIT(WINDOW) |           \
     AITERI_BIT(WINDOW_SINKS) | AITERI_BIT(SOFTCAP) | AITERI_BIT(ALIBI) | AITERI_BIT(SINKS) | \
     AITERI_BIT(OFF_CHUNKS) | AITERI_BIT(FAR_TOKENS) | AITERI_BIT(FAR_SCALE) | AITERI_BIT(V_DIM))
#define AITERI_GPU_TAKES_flash_fwd_general \
    (AITERI_GPU_TAKES_paged_decode_general | AITERI_BIT(BIAS))
#define AITERI_GPU_TAKES_combine_general           0
#define AITERI_GPU_TAKES_merge_attn_states_general 0
#define AITERI_GPU_TAKES_reshape_and_cache_general 0

#define AITERI_GPU_SOURCE_dense AITERI_BIT(DENSE_KEYS)
#define AITERI_GPU_SOURCE_paged (AITERI_BIT(PAGED_KEYS) | AITERI_BIT(PACKED_ROWS))
#define AITERI_GPU_SOURCE_any \
    (AITERI_GPU_SOURCE_dense | AITERI_GPU_SOURCE_paged | AITERI_BIT(PACKED_KEYS))
#define AITERI_GPU_SCALES_none 0
#define AITERI_GPU_SCALES_row \
    (AITERI_BIT(SCALE_TENSOR) | AITERI_BIT(SCALE_HEAD) | AITERI_BIT(SCALE_TOKEN))

typedef struct aiteri_gpu_row {
    const char *symbol, *unit, *op_name; /* unit: what is compiled together */
    uint64_t takes;                      /* features */
    uint8_t op, archs, q, kv, out, kernel_class;
    int32_t dq, dv, threads, rows, keys, lds_bytes;
} aiteri_gpu_row;

#define AITERI_GPU_ROW(op, arch, q, kv, out, dq, dv, layout, scales, kind, source, threads, rows, \
                       keys, lds, waves)                                                          \
    {"aiteri_" #op "_" #q "_" #kv "_" #out "_" #dq "_" #dv "_" #kind,                             \
     #op "_" #q "_" #kv "_" #dq "_" #dv AITERI_GPU_FILE_##arch,                                   \
     #op,                                                                                         \
     AITERI_GPU_TAKES_##op##_##kind | AITERI_GPU_SOURCE_##source | AITERI_GPU_SCALES_##scales,    \
     AITERI_GPU_OP_##op,                                                                          \
     AITERI_GPU_ARCH_##arch,                                                                      \
     AITERI_GPU_TYPE_##q,                                                                         \
     AITERI_GPU_TYPE_##kv,                                                                        \
     AITERI_GPU_TYPE_##out,                                                                       \
     AITERI_GPU_CLASS_##kind,                                                                     \
     dq,                                                                                          \
     dv,                                                                                          \
     threads,                                                                                     \
     rows,                                                                                        \
     keys,                                                                                        \
     lds},
static const aiteri_gpu_row aiteri_gpu_rows_table[] = {AITERI_GPU_ROWS(AITERI_GPU_ROW)};
#undef AITERI_GPU_ROW

enum {
    AITERI_GPU_ROW_COUNT = (int)(sizeof aiteri_gpu_rows_table / sizeof aiteri_gpu_rows_table[0])
};

/* What a call needs of a kernel. */
typedef struct aiteri_gpu_want {
    uint64_t features;
    int32_t op, arch; /* arch: bits; PTX for sm_80 runs on later chips, too */
    int32_t q, kv, out, dq, dv;
    int32_t kernel_class; /* the only one that may serve, or AUTO */
} aiteri_gpu_want;

/* A general row pads the head; a plain one is for its own size alone. 0: every size. */
static int aiteri_gpu_dim_fits(const aiteri_gpu_row *r, int32_t row_dim, int32_t dim)
{
    return !row_dim ||
           (r->kernel_class == AITER_KERNEL_CLASS_PLAIN ? row_dim == dim : row_dim >= dim);
}

/* What keeps a row from a call, the first of these; then the features that it lacks. */
typedef enum aiteri_gpu_refusal {
    AITERI_GPU_SERVES = 0,
    AITERI_GPU_OTHER_OP,
    AITERI_GPU_OTHER_CHIP,
    AITERI_GPU_OTHER_TYPES,
    AITERI_GPU_OTHER_DIMS,
    AITERI_GPU_OTHER_CLASS,
    AITERI_GPU_LACKS_FEATURES
} aiteri_gpu_refusal;

/* In a row, type `any` takes everything. */
static aiteri_gpu_refusal aiteri_gpu_row_refuses(const aiteri_gpu_row *r, const aiteri_gpu_want *w)
{
    if (r->op != w->op) return AITERI_GPU_OTHER_OP;
    if (!(r->archs & w->arch)) return AITERI_GPU_OTHER_CHIP;
    if ((r->q && r->q != w->q) || (r->kv && r->kv != w->kv) || (r->out && r->out != w->out))
        return AITERI_GPU_OTHER_TYPES;
    if (!aiteri_gpu_dim_fits(r, r->dq, w->dq) || !aiteri_gpu_dim_fits(r, r->dv, w->dv))
        return AITERI_GPU_OTHER_DIMS;
    if (w->kernel_class != AITER_KERNEL_CLASS_AUTO && r->kernel_class != w->kernel_class)
        return AITERI_GPU_OTHER_CLASS;
    return (w->features & ~r->takes) == 0 ? AITERI_GPU_SERVES : AITERI_GPU_LACKS_FEATURES;
}

static int32_t aiteri_feature_count(uint64_t bits)
{
    int32_t n = 0;
    for (; bits != 0; bits &= bits - 1) n++;
    return n;
}

/* Smaller heads first, then the plainer kernel, then the one made for fewer chips. */
static int aiteri_gpu_row_is_better(const aiteri_gpu_row *a, const aiteri_gpu_row *b)
{
    const int32_t size_a = a->dq + a->dv, size_b = b->dq + b->dv;
    const int32_t takes_a = aiteri_feature_count(a->takes),
                  takes_b = aiteri_feature_count(b->takes);
    if (size_a != size_b) return size_a < size_b;
    if (a->kernel_class != b->kernel_class) return a->kernel_class == AITER_KERNEL_CLASS_PLAIN;
    if (takes_a != takes_b) return takes_a < takes_b;
    const int one_a = (a->archs & (a->archs - 1)) == 0, one_b = (b->archs & (b->archs - 1)) == 0;
    return one_a != one_b ? one_a : one_a && a->archs > b->archs; /* SM90A before SM80 */
}

/* The best row for a call; -1: none. */
static int32_t aiteri_gpu_find_row(const aiteri_gpu_want *w)
{
    int32_t best = -1;
    for (int32_t i = 0; i < AITERI_GPU_ROW_COUNT; i++) {
        const aiteri_gpu_row *r = &aiteri_gpu_rows_table[i];
        if (aiteri_gpu_row_refuses(r, w) != AITERI_GPU_SERVES) continue;
        if (best < 0 || aiteri_gpu_row_is_better(r, &aiteri_gpu_rows_table[best])) best = i;
    }
    return best;
}

static const char *aiteri_gpu_op_name(int32_t op)
{
    for (int32_t i = 0; i < AITERI_GPU_ROW_COUNT; i++)
        if (aiteri_gpu_rows_table[i].op == op) return aiteri_gpu_rows_table[i].op_name;
    return "such";
}

static const char *aiteri_gpu_type_name(int32_t dtype)
{
    return dtype == AITERI_GPU_TYPE_any ? "any" : aiteri_dtype_name((aiter_dtype)dtype);
}

/* "bf16 bf16 bf16 128/128", the types and the head sizes of a row or a call; 0: of every size. */
static void aiteri_gpu_describe(char *text, size_t bytes, int32_t q, int32_t kv, int32_t out,
                                int32_t dq, int32_t dv)
{
    char sizes[32] = "";
    if (dq || dv) snprintf(sizes, sizeof sizes, " %d/%d", (int)dq, (int)dv);
    snprintf(text, bytes, "%s %s %s%s", aiteri_gpu_type_name(q), aiteri_gpu_type_name(kv),
             aiteri_gpu_type_name(out), sizes);
}

/* "plain ": the class that is pinned, or the only one that may be of use. */
static const char *aiteri_gpu_class_wanted(const aiteri_gpu_want *w)
{
    const uint64_t score = w->features & ~(AITERI_GPU_SOURCE_any | AITERI_GPU_SCALES_row);
    if (w->kernel_class == AITER_KERNEL_CLASS_PLAIN) return "plain ";
    return w->kernel_class == AITER_KERNEL_CLASS_GENERAL ||
                   (score & ~AITERI_GPU_TAKES_flash_fwd_plain) != 0
               ? "general "
               : "";
}

/* NO_KERNEL: what is missing, and as many of those that exist as the text holds. */
static aiter_status aiteri_gpu_no_row(aiter_context *ctx, const char *op, const char *arch,
                                      const aiteri_gpu_want *w)
{
    char wanted[64], have[128] = "", one[64];
    aiteri_gpu_describe(wanted, sizeof wanted, w->q, w->kv, w->out, w->dq, w->dv);
    for (int32_t i = 0; i < AITERI_GPU_ROW_COUNT; i++) {
        const aiteri_gpu_row *r = &aiteri_gpu_rows_table[i];
        const size_t at = strlen(have);
        if (r->op != w->op || !(r->archs & w->arch)) continue;
        if (w->kernel_class != AITER_KERNEL_CLASS_AUTO && r->kernel_class != w->kernel_class)
            continue;
        aiteri_gpu_describe(one, sizeof one, r->q, r->kv, r->out, r->dq, r->dv);
        if (strstr(have, one)) continue;
        if (at + strlen(one) + 8 > sizeof have) {
            snprintf(have + at, sizeof have - at, ", ...");
            break;
        }
        snprintf(have + at, sizeof have - at, "%s%s", at ? ", " : "", one);
    }
    return aiteri_fail(ctx, AITER_NO_KERNEL, "%s: no %s%s kernel %s for %s; it has: %s; %s", op,
                       aiteri_gpu_class_wanted(w), aiteri_gpu_op_name(w->op), wanted, arch,
                       have[0] ? have : "none",
                       w->kernel_class != AITER_KERNEL_CLASS_AUTO
                           ? "kernel_class or AITER_KERNEL_CLASS pins it"
                           : "a CPU computes it");
}

/* Of the rows that nothing but features keeps from the call the one that lacks fewest; -1: none. */
static int32_t aiteri_gpu_nearest_row(const aiteri_gpu_want *w)
{
    int32_t best = -1, fewest = 65;
    for (int32_t i = 0; i < AITERI_GPU_ROW_COUNT; i++) {
        const aiteri_gpu_row *r = &aiteri_gpu_rows_table[i];
        const int32_t lacks = aiteri_feature_count(w->features & ~r->takes);
        if (aiteri_gpu_row_refuses(r, w) != AITERI_GPU_LACKS_FEATURES || lacks >= fewest) continue;
        best = i;
        fewest = lacks;
    }
    return best;
}

/* What to do where the nearest row of the wanted class lacks features. */
static const char *aiteri_gpu_way_out(const aiteri_gpu_want *w, uint64_t lacks)
{
    const char *instead = aiteri_instead_of_features(lacks);
    aiteri_gpu_want any = *w;
    any.kernel_class = AITER_KERNEL_CLASS_AUTO;
    if (w->kernel_class != AITER_KERNEL_CLASS_AUTO && aiteri_gpu_find_row(&any) >= 0)
        return "kernel_class or AITER_KERNEL_CLASS pins it: AUTO has one that does";
    return instead ? instead : "a CPU computes it";
}

/* UNSUPPORTED where a row would serve but for features, which the text names; else NO_KERNEL. */
static aiter_status aiteri_gpu_refuse(aiter_context *ctx, const char *op, const char *arch,
                                      const aiteri_gpu_want *w)
{
    const int32_t nearest = aiteri_gpu_nearest_row(w);
    char wanted[64], words[96];
    if (nearest < 0) return aiteri_gpu_no_row(ctx, op, arch, w);
    const uint64_t lacks = w->features & ~aiteri_gpu_rows_table[nearest].takes;
    aiteri_gpu_describe(wanted, sizeof wanted, w->q, w->kv, w->out, w->dq, w->dv);
    aiteri_describe_features(words, sizeof words, lacks);
    return aiteri_fail(ctx, AITER_UNSUPPORTED, "%s: no %s%s kernel %s for %s takes %s; %s", op,
                       w->kernel_class != AITER_KERNEL_CLASS_AUTO ? aiteri_gpu_class_wanted(w) : "",
                       aiteri_gpu_op_name(w->op), wanted, arch, words,
                       aiteri_gpu_way_out(w, lacks));
}

#endif /* AITERI_GPU_REGISTRY_C */

// >>device    (src/gpu/device.c)
/* device.c -- devices as contexts use them: one record for each device (and CUDA context and folder
 * of kernels), shared by all contexts on it, with what was loaded for it. */
#ifndef AITERI_GPU_DEVICE_C
#define AITERI_GPU_DEVICE_C


enum {
    AITERI_GPU_PATH_BYTES = 1024,
    AITERI_GPU_FILE_NAME_BYTES = 96,
    AITERI_GPU_NAME_BYTES = 128,
    AITERI_GPU_ARCH_BYTES = 32
};

typedef struct aiteri_device {
    struct aiteri_device *next;
    const aiteri_driver *driver;
    int32_t users;
    aiteri_gpu_ordinal ordinal; /* HIP's device id, CUDA's CUdevice */
    aiteri_gpu_native native;   /* CUDA: the context; HIP: NULL */
    int retained;               /* the primary context is ours to release */
    int32_t arch_bits, compute_units, dies;
    char arch[AITERI_GPU_ARCH_BYTES], name[AITERI_GPU_NAME_BYTES], path[AITERI_GPU_PATH_BYTES];
    /* The first row of a file holds its module. Functions are addresses, 0 until loaded, read
     * without the lock. */
    aiteri_gpu_module module[AITERI_GPU_ROW_COUNT];
    volatile aiteri_counter function[AITERI_GPU_ROW_COUNT];
} aiteri_device;

/* What all contexts share: the two opened drivers, and the devices in use. */
static aiteri_driver aiteri_drivers[AITER_DEVICE_CUDA + 1];
static aiteri_device *aiteri_devices;

#if defined(AITERI_THREADS_POSIX)
static pthread_mutex_t aiteri_gpu_mutex = PTHREAD_MUTEX_INITIALIZER;
static void aiteri_gpu_lock(void) { pthread_mutex_lock(&aiteri_gpu_mutex); }
static void aiteri_gpu_unlock(void) { pthread_mutex_unlock(&aiteri_gpu_mutex); }
#elif defined(AITERI_THREADS_WINDOWS)
static SRWLOCK aiteri_gpu_mutex = SRWLOCK_INIT;
static void aiteri_gpu_lock(void) { AcquireSRWLockExclusive(&aiteri_gpu_mutex); }
static void aiteri_gpu_unlock(void) { ReleaseSRWLockExclusive(&aiteri_gpu_mutex); }
#else
static void aiteri_gpu_lock(void) {}
static void aiteri_gpu_unlock(void) {}
#endif

/* ---- the calling thread's device, changed and put back ---- */

typedef struct aiteri_current {
    aiteri_gpu_ordinal ordinal;
    aiteri_gpu_native native;
    int changed;
} aiteri_current;

static aiter_status aiteri_device_enter(aiter_context *ctx, const char *op, const aiteri_device *d,
                                        aiteri_current *was)
{
    const aiteri_driver *driver = d->driver;
    memset(was, 0, sizeof *was);
    if (driver->kind == AITER_DEVICE_HIP) {
        AITERI_GPU_TRY(ctx, driver, op, hip_get_device, (&was->ordinal));
        if (was->ordinal == d->ordinal) return AITER_OK;
        AITERI_GPU_TRY(ctx, driver, op, hip_set_device, (d->ordinal));
    } else {
        AITERI_GPU_TRY(ctx, driver, op, cuda_get_current, (&was->native));
        if (was->native == d->native) return AITER_OK;
        AITERI_GPU_TRY(ctx, driver, op, cuda_set_current, (d->native));
    }
    was->changed = 1;
    return AITER_OK;
}

static void aiteri_device_leave(const aiteri_device *d, const aiteri_current *was)
{
    if (!was->changed) return;
    if (d->driver->kind == AITER_DEVICE_HIP)
        d->driver->hip_set_device(was->ordinal);
    else
        d->driver->cuda_set_current(was->native);
}

/* ---- what a device is ---- */

typedef struct aiteri_arch_name {
    const char *name;
    int32_t bit;
} aiteri_arch_name;

static const aiteri_arch_name aiteri_arch_names[] = {{"gfx90a", AITERI_GPU_ARCH_GFX90A},
                                                     {"gfx942", AITERI_GPU_ARCH_GFX942},
                                                     {"gfx950", AITERI_GPU_ARCH_GFX950}};

/* The name without ":sramecc+:xnack-" at one of the places where runtimes put it; 0: not there. */
static int aiteri_arch_of_properties(aiteri_device *d, aiteri_gpu_result (*properties)(void *, int),
                                     size_t at)
{
    uint64_t block[1024]; /* larger than the structure of any runtime so far */
    const char *name = (const char *)block + at;
    memset(block, 0, sizeof block);
    if (!properties || properties(block, d->ordinal) != AITERI_GPU_SUCCESS) return 0;
    if (strncmp(name, "gfx", 3) != 0) return 0;
    const size_t n = strcspn(name, ":");
    snprintf(d->arch, sizeof d->arch, "%.*s", (int)(n < sizeof d->arch ? n : sizeof d->arch - 1),
             name);
    return 1;
}

static int aiteri_device_attribute(const aiteri_device *d, int attribute, int otherwise)
{
    int value = otherwise;
    const int id = d->driver->attribute[attribute];
    if (id < 0) return otherwise;
    if (d->driver->device_attribute(&value, id, d->ordinal) == AITERI_GPU_SUCCESS) return value;
    if (d->driver->kind == AITER_DEVICE_HIP) d->driver->hip_last_error(); /* merely unknown */
    return otherwise;
}

static void aiteri_device_find_arch(aiteri_device *d)
{
    const int major = aiteri_device_attribute(d, AITERI_ATTRIBUTE_MAJOR, 0);
    const int minor = aiteri_device_attribute(d, AITERI_ATTRIBUTE_MINOR, 0);
    if (d->driver->kind == AITER_DEVICE_CUDA) {
        snprintf(d->arch, sizeof d->arch, "sm_%d%d", major, minor);
        d->arch_bits = major >= 8 ? AITERI_GPU_ARCH_SM80 : 0;
        if (major == 9 && minor == 0) d->arch_bits |= AITERI_GPU_ARCH_SM90A;
        return;
    }
    if (!aiteri_arch_of_properties(d, d->driver->hip_properties_6, 1160) &&
        !aiteri_arch_of_properties(d, d->driver->hip_properties_5, 396))
        snprintf(d->arch, sizeof d->arch, "gfx%d%d%s", major, minor,
                 major == 9 && minor == 4   ? "2"
                 : major == 9 && minor == 5 ? "0"
                                            : "x");
    for (size_t i = 0; i < sizeof aiteri_arch_names / sizeof aiteri_arch_names[0]; i++)
        if (strcmp(d->arch, aiteri_arch_names[i].name) == 0)
            d->arch_bits = aiteri_arch_names[i].bit;
}

/* Dies that share nothing but memory; workgroups go round them in turn. */
static int32_t aiteri_device_dies(const aiteri_device *d)
{
    const int32_t per_die = d->arch_bits == AITERI_GPU_ARCH_GFX942   ? 38
                            : d->arch_bits == AITERI_GPU_ARCH_GFX950 ? 32
                                                                     : d->compute_units;
    const int32_t guess = (int32_t)aiteri_clamp(d->compute_units / aiteri_max(1, per_die), 1, 8);
    return aiteri_device_attribute(d, AITERI_ATTRIBUTE_DIES, guess);
}

static aiter_status aiteri_device_describe(aiteri_device *d, int32_t index)
{
    static const char *const op = "aiter_context_create.device_index";
    AITERI_GPU_TRY(NULL, d->driver, op, device_name, (d->name, (int)sizeof d->name, d->ordinal));
    d->name[sizeof d->name - 1] = 0;
    aiteri_device_find_arch(d);
    if (d->arch_bits == 0)
        return aiteri_fail(NULL, AITER_NO_KERNEL, "%s: device %d (%s) is %s, expected %s", op,
                           (int)index, d->name, d->arch,
                           d->driver->kind == AITER_DEVICE_HIP ? "gfx90a, gfx942 or gfx950"
                                                               : "sm_80 or later");
    d->compute_units = aiteri_device_attribute(d, AITERI_ATTRIBUTE_COMPUTE_UNITS, 1);
    d->dies = aiteri_device_dies(d);
    return AITER_OK;
}

/* ---- CUDA contexts ---- */

/* The device of a CUDA context, found by making it current for a moment. */
static int aiteri_cuda_device_of(const aiteri_driver *driver, aiteri_gpu_native native,
                                 aiteri_gpu_ordinal *device)
{
    aiteri_gpu_native was = NULL;
    int code = driver->cuda_get_current(&was);
    if (code == AITERI_GPU_SUCCESS) code = driver->cuda_set_current(native);
    if (code != AITERI_GPU_SUCCESS) return code;
    code = driver->cuda_current_device(device);
    driver->cuda_set_current(was);
    return code;
}

/* The stream's context, else the caller's current one if it is on this device, else the primary. */
static aiter_status aiteri_cuda_bind(aiteri_device *d, void *stream, int32_t index)
{
    static const char *const op = "aiter_context_create.device_index";
    const aiteri_driver *driver = d->driver;
    const int own_stream = (uintptr_t)stream > 2; /* 1 and 2 name default streams of any context */
    aiteri_gpu_ordinal device = -1;
    AITERI_GPU_TRY(NULL, driver, op, cuda_device, (&d->ordinal, index));
    if (own_stream)
        AITERI_GPU_TRY(NULL, driver, "aiter_context_create.stream", cuda_stream_context,
                       (stream, &d->native));
    else
        AITERI_GPU_TRY(NULL, driver, op, cuda_get_current, (&d->native));
    if (d->native) {
        const int code = aiteri_cuda_device_of(driver, d->native, &device);
        if (code != AITERI_GPU_SUCCESS)
            return aiteri_driver_failed(NULL, driver, op, "cuda_current_device", code);
    }
    if (own_stream && device != d->ordinal)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT,
                           "aiter_context_create.stream: is of device %d, expected device_index %d",
                           (int)device, (int)index);
    if (device == d->ordinal) return AITER_OK;
    AITERI_GPU_TRY(NULL, driver, op, cuda_primary_retain, (&d->native, d->ordinal));
    d->retained = 1;
    return AITER_OK;
}

/* ---- sharing ---- */

static void aiteri_device_close(aiteri_device *d)
{
    aiteri_current was;
    int loaded = 0;
    for (int32_t i = 0; i < AITERI_GPU_ROW_COUNT; i++) loaded |= d->module[i] != NULL;
    if (loaded && aiteri_device_enter(NULL, "aiter_context_destroy", d, &was) == AITER_OK) {
        for (int32_t i = 0; i < AITERI_GPU_ROW_COUNT; i++)
            if (d->module[i]) d->driver->module_unload(d->module[i]);
        aiteri_device_leave(d, &was);
    }
    if (d->retained) d->driver->cuda_primary_release(d->ordinal);
    d->retained = 0;
}

static aiter_status aiteri_device_open(aiteri_device *d, const aiter_context_desc *desc)
{
    static const char *const op = "aiter_context_create.device_index";
    aiteri_driver *driver = &aiteri_drivers[desc->device];
    int count = 0;
    AITERI_TRY(aiteri_driver_open(driver, desc->device));
    d->driver = driver;
    AITERI_GPU_TRY(NULL, driver, op, device_count, (&count));
    if (count <= desc->device_index)
        return aiteri_fail(NULL, AITER_NO_DEVICE, "%s: is %d, the %s driver has %d devices", op,
                           (int)desc->device_index, driver->name, count);
    const char *path = desc->kernel_path ? desc->kernel_path : "";
    if (strlen(path) >= sizeof d->path)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT,
                           "aiter_context_create.kernel_path: has %zu bytes, expected at most %zu",
                           strlen(path), sizeof d->path - 1);
    snprintf(d->path, sizeof d->path, "%s", path);
    d->ordinal = desc->device_index;
    if (driver->kind == AITER_DEVICE_CUDA)
        AITERI_TRY(aiteri_cuda_bind(d, desc->stream, desc->device_index));
    return aiteri_device_describe(d, desc->device_index);
}

static int aiteri_device_is_same(const aiteri_device *a, const aiteri_device *b)
{
    return a->driver == b->driver && a->ordinal == b->ordinal && a->native == b->native &&
           strcmp(a->path, b->path) == 0;
}

/* The record of desc's device, made if there is none. malloc and not the context's hooks: the
 * record may outlive the context that made it. */
static aiter_status aiteri_device_acquire(const aiter_context_desc *desc, aiteri_device **out)
{
    aiteri_device *made = (aiteri_device *)malloc(sizeof *made), *found;
    if (!made)
        return aiteri_fail(NULL, AITER_OUT_OF_MEMORY,
                           "aiter_context_create.device: no %zu bytes for its record",
                           sizeof *made);
    memset(made, 0, sizeof *made);
    aiteri_gpu_lock();
    const aiter_status status = aiteri_device_open(made, desc);
    for (found = aiteri_devices; status == AITER_OK && found; found = found->next)
        if (aiteri_device_is_same(found, made)) break;
    if (status != AITER_OK || found) {
        if (made->driver) aiteri_device_close(made);
        free(made);
    } else {
        made->next = aiteri_devices;
        aiteri_devices = found = made;
    }
    if (status == AITER_OK) {
        found->users++;
        *out = found;
    }
    aiteri_gpu_unlock();
    return status;
}

static void aiteri_device_release(aiteri_device *d)
{
    aiteri_gpu_lock();
    if (--d->users == 0) {
        aiteri_device **at = &aiteri_devices;
        while (*at != d) at = &(*at)->next;
        *at = d->next;
        aiteri_device_close(d);
        free(d);
    }
    aiteri_gpu_unlock();
}

#endif /* AITERI_GPU_DEVICE_C */

// >>code    (src/gpu/code.c)
/* code.c -- code objects: linked in or read from a folder, loaded when a kernel of theirs is first
 * asked for, and refused when they were built for another header. */
#ifndef AITERI_GPU_CODE_C
#define AITERI_GPU_CODE_C


// >>abi_hash    (kernels/abi_hash.h)
/* abi_hash.h -- of args.h and instances.def; written by tools/abi_hash.c. */
#define AITERI_GPU_ABI_HASH 0xe9db7ecdf1faf819ull

#if defined(AITER_ATTN_EMBEDDED_KERNELS)
/* As kernels/embed.c defines it; a zero follows every file. */
typedef struct aiteri_gpu_file {
    const char *name;
    const unsigned char *begin, *end;
} aiteri_gpu_file;
#ifdef __cplusplus
extern "C" {
#endif
extern const aiteri_gpu_file aiteri_gpu_files[]; /* ends with a name of 0 */
#ifdef __cplusplus
}
#endif
#endif

/* One file in memory, a zero behind it. */
typedef struct aiteri_gpu_image {
    const void *data;
    void *owned; /* to be freed */
} aiteri_gpu_image;

/* All rows of an AMD chip share a file, on NVIDIA those of one unit. */
static int aiteri_gpu_rows_share(const aiteri_device *d, int32_t i, int32_t j)
{
    const aiteri_gpu_row *a = &aiteri_gpu_rows_table[i], *b = &aiteri_gpu_rows_table[j];
    if (d->driver->kind == AITER_DEVICE_HIP) return 1;
    return (b->archs & d->arch_bits) && strcmp(a->unit, b->unit) == 0;
}

/* The row under which the module of row i is kept. */
static int32_t aiteri_gpu_module_row(const aiteri_device *d, int32_t i)
{
    int32_t first = 0;
    while (first < i && !aiteri_gpu_rows_share(d, i, first)) first++;
    return first;
}

static void aiteri_gpu_file_name(const aiteri_device *d, int32_t i,
                                 char name[AITERI_GPU_FILE_NAME_BYTES])
{
    if (d->driver->kind == AITER_DEVICE_HIP)
        snprintf(name, AITERI_GPU_FILE_NAME_BYTES, "aiter_%s.co", d->arch);
    else
        snprintf(name, AITERI_GPU_FILE_NAME_BYTES, "aiter_%s.ptx", aiteri_gpu_rows_table[i].unit);
}

/* Bytes of an open file; -1: it cannot be told. */
static long aiteri_file_bytes(FILE *file)
{
    if (fseek(file, 0, SEEK_END) != 0) return -1;
    const long bytes = ftell(file);
    return fseek(file, 0, SEEK_SET) == 0 ? bytes : -1;
}

static aiter_status aiteri_gpu_read_file(aiter_context *ctx, const char *op, const char *folder,
                                         const char *name, aiteri_gpu_image *image)
{
    char path[AITERI_GPU_PATH_BYTES + AITERI_GPU_FILE_NAME_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        return aiteri_fail(ctx, AITER_NO_KERNEL,
                           "%s: the code object %s cannot be opened; kernel_path of the context is "
                           "the folder that the build target gpu fills",
                           op, path);
    const long bytes = aiteri_file_bytes(file);
    char *data = bytes > 0 ? (char *)malloc((size_t)bytes + 1) : NULL;
    const size_t got = data ? fread(data, 1, (size_t)bytes, file) : 0;
    fclose(file);
    image->data = image->owned = data;
    if (bytes > 0 && !data)
        return aiteri_fail(ctx, AITER_OUT_OF_MEMORY, "%s: no %ld bytes to read %s", op, bytes,
                           path);
    if (bytes <= 0 || got != (size_t)bytes) {
        free(data);
        return aiteri_fail(ctx, AITER_NO_KERNEL, "%s: the code object %s cannot be read", op, path);
    }
    data[bytes] = 0;
    return AITER_OK;
}

/* A folder that the user names comes before what is linked in. */
static aiter_status aiteri_gpu_find_image(aiter_context *ctx, const char *op,
                                          const aiteri_device *d, const char *name,
                                          aiteri_gpu_image *image)
{
    image->data = image->owned = NULL;
    if (d->path[0]) return aiteri_gpu_read_file(ctx, op, d->path, name, image);
#if defined(AITER_ATTN_EMBEDDED_KERNELS)
    for (const aiteri_gpu_file *f = aiteri_gpu_files; f->name && !image->data; f++)
        if (strcmp(f->name, name) == 0) image->data = f->begin;
    if (image->data) return AITER_OK;
    return aiteri_fail(ctx, AITER_NO_KERNEL, "%s: %s is not among the kernels linked in", op, name);
#else
    return aiteri_fail(ctx, AITER_NO_KERNEL,
                       "%s: no place for %s: kernel_path of the context is not set and no kernels "
                       "are linked in",
                       op, name);
#endif
}

/* Does the module carry the hash of our args.h and instances.def? */
static aiter_status aiteri_gpu_check_hash(aiter_context *ctx, const char *op,
                                          const aiteri_device *d, aiteri_gpu_module module,
                                          const char *name)
{
    const aiteri_driver *driver = d->driver;
    const uint64_t ours = AITERI_GPU_ABI_HASH;
    aiteri_gpu_address at = NULL;
    uint64_t hash = 0;
    size_t bytes = 0;
    const int code = driver->module_global(&at, &bytes, module, "aiteri_gpu_abi_hash");
    if (code == AITERI_GPU_SUCCESS && bytes == sizeof hash)
        AITERI_GPU_TRY(ctx, driver, op, memory_read, (&hash, at, sizeof hash));
    else if (code != AITERI_GPU_SUCCESS && driver->kind == AITER_DEVICE_HIP)
        driver->hip_last_error(); /* said below in other words */
    if (hash == ours) return AITER_OK;
    return aiteri_fail(
        ctx, AITER_NO_KERNEL,
        "%s: %s was built for another header: its hash is %016llx, expected %016llx; "
        "build the kernels of this version",
        op, name, (unsigned long long)hash, (unsigned long long)ours);
}

static aiter_status aiteri_gpu_load_module(aiter_context *ctx, const char *op,
                                           const aiteri_device *d, int32_t row,
                                           aiteri_gpu_module *out)
{
    char name[AITERI_GPU_FILE_NAME_BYTES], what[160];
    aiteri_gpu_image image;
    aiteri_gpu_module module = NULL;
    aiteri_gpu_file_name(d, row, name);
    AITERI_TRY(aiteri_gpu_find_image(ctx, op, d, name, &image));
    const int code = d->driver->module_load(&module, image.data);
    free(image.owned);
    snprintf(what, sizeof what, "%s: %s", op, name);
    if (code != AITERI_GPU_SUCCESS)
        return aiteri_driver_failed(ctx, d->driver, what, "module_load", code);
    const aiter_status status = aiteri_gpu_check_hash(ctx, op, d, module, name);
    if (status != AITER_OK)
        d->driver->module_unload(module);
    else
        *out = module;
    return status;
}

/* Under the lock: the row's function, its module loaded before if need be. */
static aiter_status aiteri_gpu_load_row(aiter_context *ctx, const char *op, aiteri_device *d,
                                        int32_t row)
{
    const aiteri_gpu_row *r = &aiteri_gpu_rows_table[row];
    const int32_t at = aiteri_gpu_module_row(d, row);
    aiteri_gpu_function function = NULL;
    char what[160];
    if (d->function[row] != 0) return AITER_OK;
    if (!d->module[at]) AITERI_TRY(aiteri_gpu_load_module(ctx, op, d, row, &d->module[at]));
    snprintf(what, sizeof what, "%s: %s", op, r->symbol);
    AITERI_GPU_TRY(ctx, d->driver, what, module_function, (&function, d->module[at], r->symbol));
    if (d->driver->kind == AITER_DEVICE_CUDA && r->lds_bytes > 48 * 1024)
        AITERI_GPU_TRY(ctx, d->driver, what, cuda_function_set,
                       (function, AITERI_CUDA_DYNAMIC_SHARED, r->lds_bytes));
    aiteri_atomic_store(&d->function[row], (aiteri_counter)(uintptr_t)function);
    return AITER_OK;
}

#endif /* AITERI_GPU_CODE_C */

// >>launch    (src/gpu/launch.c)
/* launch.c -- what a context has of a device: its stream, its arena in device memory, its launches.
 * A warm call takes no lock, allocates nothing and waits for nothing. */
#ifndef AITERI_GPU_LAUNCH_C
#define AITERI_GPU_LAUNCH_C


// >>args    (kernels/args.h)
/* args.h -- what the host hands to a kernel, by value: one struct per op, built from shared parts.
 * Read by the C header and by device code, so: fixed widths, 8-byte parts, addresses as uint64_t,
 * strides in elements. Any change changes abi_hash.h and with it every code object. */
#ifndef AITERI_KERNEL_ARGS_H
#define AITERI_KERNEL_ARGS_H

/* Rows of q or out: element (b, t, h, d) at data[b*batch + t*token + h*head + d]. In a packed
 * (varlen) tensor stride_batch is 0 and t counts from the tensor's start. */
typedef struct aiteri_gpu_rows {
    uint64_t data;
    int64_t stride_batch, stride_token, stride_head;
} aiteri_gpu_rows;

/* K or V: element (outer, t, h, d); outer is the batch row, or the page, t counts inside it.
 * scales: f32, same index order, strides 0 where a scale does not vary; 0: none. */
typedef struct aiteri_gpu_source {
    uint64_t data;
    int64_t stride_outer, stride_token, stride_head;
    uint64_t scales;
    int64_t scale_stride_outer, scale_stride_token, scale_stride_head;
} aiteri_gpu_source;

/* Lengths live on the device; pointers may be 0. Per sequence b:
 *   cu:   [b*stride], [(b+1)*stride]; else used: [b*stride]; else `seqlen`.
 * `most` is the host's bound, and a kernel clamps to it. */
typedef struct aiteri_gpu_lengths {
    uint64_t cu, used;
    int64_t cu_stride, used_stride;
    int32_t seqlen, most;
} aiteri_gpu_lengths;

/* Key j of sequence b is token j % page_size of block table[b*batch + (j / page_size)*entry]; an
 * id outside [0, num_blocks) is an unmapped page: its keys are not visible. table 0: not paged. */
typedef struct aiteri_gpu_pages {
    uint64_t table;
    int64_t stride_batch, stride_entry;
    int32_t page_size, num_blocks, entries, unused;
} aiteri_gpu_pages;

/* mask: an aiter_mask, never DEFAULT. The rule is aiteri_visible_keys of src/plan/mask.c. */
typedef struct aiteri_gpu_mask {
    int32_t mask, window_left, window_right, sink_tokens;
} aiteri_gpu_mask;

/* What happens to a score before the softmax, in this order: times softmax_scale (and the K scale),
 * softcap, bias, ALiBi. bias element (b, i, h, j), f32, f16 or bf16 by bias_dtype (an aiter_dtype).
 * sinks: one f32 logit per query head that joins the denominator. Pointers 0: none. */
typedef struct aiteri_gpu_score {
    float softmax_scale, softcap;
    uint64_t alibi;
    int64_t alibi_stride_batch, alibi_stride_head;
    uint64_t bias;
    int64_t bias_stride_batch, bias_stride_token, bias_stride_head, bias_stride_key;
    uint64_t sinks;
    int64_t sinks_stride;
    int32_t bias_dtype, unused;
} aiteri_gpu_score;

/* Keys are cut at multiples of split_keys, a multiple of the instance's keys. With count > 1 split
 * s writes its unnormalised output row and {maximum, sum} (natural logarithm units) to o [(s*rows +
 * r)*dim_v + d], ml [(s*rows + r)*2], r = (b*heads_q + h)*max_seqlen_q + t and `combine` merges
 * splits 0 .. ceil(seqlen_k / split_keys) - 1 in that order. Splits past the sequence's keys write
 * nothing. The maximum of a plain kernel may be too low by log 256: it is what sum and o are
 * relative to. */
typedef struct aiteri_gpu_split {
    uint64_t o, ml;
    int64_t rows, split_keys;
    int32_t count, unused;
} aiteri_gpu_split;

/* A plan's works, at `list`: {0, count}, then work_info [count] of aiter_plan. Workgroup i does
 * work i, those from `count` on leave. list 0: workgroups find theirs from the bounds. */
typedef struct aiteri_gpu_work {
    uint64_t list;
} aiteri_gpu_work;

/* flash_fwd, paged_decode and combine. lse element (b, h, t), f32; 0: not wanted. */
typedef struct aiteri_gpu_attention {
    aiteri_gpu_rows q, out;
    uint64_t lse;
    int64_t lse_stride_batch, lse_stride_head, lse_stride_token;
    aiteri_gpu_source k, v;
    aiteri_gpu_lengths q_lengths, k_lengths;
    aiteri_gpu_pages pages;
    aiteri_gpu_mask mask;
    aiteri_gpu_score score;
    aiteri_gpu_split split;
    aiteri_gpu_work work;                   /* of paged_decode */
    int32_t batch, heads_q, heads_k, group; /* group = heads_q / heads_k */
    int32_t dim_q, dim_v;                   /* of the tensors; the instance's are padded */
    int32_t tiles, xcds;                    /* query tiles per (batch, head); dies of the chip */
} aiteri_gpu_attention;

/* One side (K or V) of reshape_and_cache: src (token, head, d), cache (block, in block, head, d).
 */
typedef struct aiteri_gpu_cache_side {
    uint64_t src, cache, scale;
    int64_t src_stride_token, src_stride_head;
    int64_t cache_stride_block, cache_stride_token, cache_stride_head;
    int64_t scale_stride_block, scale_stride_token, scale_stride_head;
    int32_t dim, unused;
} aiteri_gpu_cache_side;

/* slot_bits: 32 or 64. quant: an aiteri_cache_mode. A slot outside [0, slots) is skipped. */
typedef struct aiteri_gpu_reshape_and_cache {
    aiteri_gpu_cache_side k, v;
    uint64_t slot_mapping;
    int64_t slot_stride, tokens, slots;
    int32_t heads, page_size, slot_bits, quant;
} aiteri_gpu_reshape_and_cache;

/* out = softmax-weighted mean of two partial results, lse = ln(e^lse_a + e^lse_b); the layouts of
 * aiter_merge_attn_states: rows (token, head, d), lse (head, token). */
typedef struct aiteri_gpu_merge {
    aiteri_gpu_rows a, b, out; /* stride_batch 0 */
    uint64_t lse_a, lse_b, lse;
    int64_t lse_a_stride_head, lse_a_stride_token, lse_b_stride_head, lse_b_stride_token;
    int64_t lse_stride_head, lse_stride_token;
    int64_t tokens;
    int32_t heads, dim;
} aiteri_gpu_merge;

#endif /* AITERI_KERNEL_ARGS_H */

enum { AITERI_GPU_ALIGN = 256, AITERI_GPU_RETIRED = 64 };

typedef struct aiteri_gpu_block {
    void *data;
    size_t bytes;
} aiteri_gpu_block;

/* The part of a context that a device needs; device NULL: a context of the CPU. */
typedef struct aiteri_gpu {
    aiteri_device *device;
    void *stream;
    int own_memory; /* the caller's hooks give none: ask the driver */
    /* The last is the arena; earlier ones may still be in use by work that runs. Each is at least
     * twice the one before. */
    aiteri_gpu_block block[AITERI_GPU_RETIRED];
    int32_t blocks;
    size_t high_water;
    /* The last answer of the registry for each op. */
    aiteri_gpu_want want[AITERI_GPU_OPS];
    int32_t row[AITERI_GPU_OPS];
} aiteri_gpu;

/* Who calls: what failing and allocating need to know. */
typedef struct aiteri_gpu_call {
    const char *op;
    aiter_context *ctx; /* NULL while the context is being made */
    aiteri_gpu *gpu;
    const aiter_context_desc *desc;
} aiteri_gpu_call;

static size_t aiteri_gpu_arena_bytes(const aiteri_gpu *g)
{
    return g->blocks ? g->block[g->blocks - 1].bytes : 0;
}

/* Kernels step through a head one element at a time. */
static aiter_status aiteri_gpu_check_last_stride(const aiteri_gpu_call *c, const char *name,
                                                 int64_t stride)
{
    if (stride == 1) return AITER_OK;
    return aiteri_fail(c->ctx, AITER_UNSUPPORTED,
                       "%s.%s: its last stride is %lld, on a device it must be 1; pass a copy that "
                       "is dense there",
                       c->op, name, (long long)stride);
}

/* The same for tensors whose strides are filled; one element has no stride. */
AITERI_UNUSED static aiter_status aiteri_gpu_check_dense(const aiteri_gpu_call *c,
                                                         const aiteri_operand *rows, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        const aiter_tensor *t = rows[i].tensor;
        const int32_t last = t->ndim - 1;
        AITERI_TRY(aiteri_gpu_check_last_stride(c, rows[i].field,
                                                t->shape[last] > 1 ? t->stride[last] : 1));
    }
    return AITER_OK;
}

static aiter_status aiteri_gpu_allocate(const aiteri_gpu_call *c, size_t bytes)
{
    aiteri_gpu *g = c->gpu;
    void *data = NULL;
    if (g->own_memory)
        AITERI_GPU_TRY(c->ctx, g->device->driver, c->op, memory_alloc, (&data, bytes));
    else
        data = c->desc->alloc(c->desc->user, bytes, AITERI_GPU_ALIGN, AITER_MEMORY_DEVICE);
    if (!data)
        return aiteri_fail(c->ctx, AITER_OUT_OF_MEMORY, "%s: no %zu bytes of device memory", c->op,
                           bytes);
    g->block[g->blocks].data = data;
    g->block[g->blocks++].bytes = bytes;
    return AITER_OK;
}

/* Loading and allocating would break a capture: better a refusal that leaves it whole. */
static aiter_status aiteri_gpu_check_capture(const aiteri_gpu_call *c, const char *what)
{
    aiteri_gpu_capture state = 0;
    AITERI_GPU_TRY(c->ctx, c->gpu->device->driver, c->op, stream_capturing,
                   (c->gpu->stream, &state));
    if (state == 0) return AITER_OK;
    return aiteri_fail(c->ctx, AITER_UNSUPPORTED,
                       "%s: must %s, which a stream under capture cannot: make the same call once "
                       "before the capture",
                       c->op, what);
}

/* context/hooks.c has the log. */
static void aiteri_gpu_log_growth(const aiteri_gpu_call *c, size_t held);

static aiter_status aiteri_gpu_grow(const aiteri_gpu_call *c, size_t bytes)
{
    const size_t held = aiteri_gpu_arena_bytes(c->gpu), twice = aiteri_mul_size(held, 2);
    AITERI_TRY(aiteri_gpu_check_capture(c, "allocate device memory"));
    AITERI_ASSERT(c->gpu->blocks < AITERI_GPU_RETIRED); /* doubled as often: beyond any memory */
    AITERI_TRY(aiteri_gpu_allocate(c, bytes > twice ? bytes : twice));
    aiteri_gpu_log_growth(c, held);
    return AITER_OK;
}

/* Device bytes that serve `need` from wherever a block starts. */
static size_t aiteri_gpu_scratch_bytes(size_t need)
{
    return need ? aiteri_add_size(need, AITERI_GPU_ALIGN) : 0;
}

/* `need` bytes of device scratch: the caller's, or the arena's. */
AITERI_UNUSED static aiter_status aiteri_gpu_scratch(const aiteri_gpu_call *c, void *workspace,
                                                     size_t workspace_bytes, size_t need,
                                                     char **out)
{
    const size_t bytes = aiteri_gpu_scratch_bytes(need);
    const size_t held = aiteri_gpu_arena_bytes(c->gpu);
    void *block = workspace;
    *out = NULL;
    if (bytes > SIZE_MAX / 2)
        return aiteri_fail(c->ctx, AITER_OUT_OF_MEMORY,
                           "%s: the shapes need more memory than can be addressed", c->op);
    if (workspace && workspace_bytes < bytes)
        return aiteri_fail(c->ctx, AITER_WORKSPACE_TOO_SMALL,
                           "%s.call.workspace_bytes: is %zu, expected at least %zu", c->op,
                           workspace_bytes, bytes);
    if (!workspace && bytes > held && c->desc->arena_bytes > 0)
        return aiteri_fail(c->ctx, AITER_WORKSPACE_TOO_SMALL,
                           "%s: needs %zu bytes, the context's arena_bytes is %zu", c->op, bytes,
                           held);
    if (!workspace) {
        if (bytes > held) AITERI_TRY(aiteri_gpu_grow(c, bytes));
        if (bytes > c->gpu->high_water) c->gpu->high_water = bytes;
        block = c->gpu->block[c->gpu->blocks - 1].data;
    }
    const uintptr_t address = (uintptr_t)block;
    *out = (char *)block + (AITERI_GPU_ALIGN - address % AITERI_GPU_ALIGN) % AITERI_GPU_ALIGN;
    return AITER_OK;
}

/* The row that serves; a call like the last one is answered from memory. */
static int32_t aiteri_gpu_row_of(aiteri_gpu *g, const aiteri_gpu_want *want)
{
    if (memcmp(&g->want[want->op], want, sizeof *want) != 0) {
        g->row[want->op] = aiteri_gpu_find_row(want);
        g->want[want->op] = *want;
    }
    return g->row[want->op];
}

/* The same, or NO_KERNEL. */
AITERI_UNUSED static aiter_status aiteri_gpu_need_row(const aiteri_gpu_call *c,
                                                      const aiteri_gpu_want *want, int32_t *row)
{
    *row = aiteri_gpu_row_of(c->gpu, want);
    return *row >= 0 ? AITER_OK : aiteri_gpu_refuse(c->ctx, c->op, c->gpu->device->arch, want);
}

/* The row's function, loaded if this device has not had it yet. */
static aiter_status aiteri_gpu_function_of(const aiteri_gpu_call *c, int32_t row,
                                           aiteri_gpu_function *out)
{
    aiteri_device *d = c->gpu->device;
    aiteri_counter function = aiteri_atomic_load(&d->function[row]);
    if (function == 0) {
        AITERI_TRY(aiteri_gpu_check_capture(c, "load a kernel"));
        aiteri_gpu_lock();
        const aiter_status status = aiteri_gpu_load_row(c->ctx, c->op, d, row);
        function = d->function[row];
        aiteri_gpu_unlock();
        if (status != AITER_OK) return status;
    }
    *out = (aiteri_gpu_function)(uintptr_t)function;
    return AITER_OK;
}

/* One launch of `groups` workgroups on the current device; `args` is the op's struct of
 * kernels/args.h. Both drivers copy it before they return. */
AITERI_UNUSED static aiter_status aiteri_gpu_launch(const aiteri_gpu_call *c, int32_t row,
                                                    int64_t groups, void *args)
{
    const aiteri_gpu_row *r = &aiteri_gpu_rows_table[row];
    const aiteri_driver *driver = c->gpu->device->driver;
    const unsigned threads = (unsigned)r->threads;
    const unsigned shared = driver->kind == AITER_DEVICE_CUDA ? (unsigned)r->lds_bytes : 0;
    aiteri_gpu_function function = NULL;
    void *parameters[1];
    if (groups > INT32_MAX || groups * r->threads > (int64_t)UINT32_MAX)
        return aiteri_fail(c->ctx, AITER_UNSUPPORTED,
                           "%s: needs %lld workgroups of %d threads, more than a launch takes: cut "
                           "the batch, or pass smaller max_seqlen_q and kv.max_seqlen",
                           c->op, (long long)groups, (int)r->threads);
    AITERI_TRY(aiteri_gpu_function_of(c, row, &function));
    parameters[0] = args;
    AITERI_GPU_TRY(c->ctx, driver, c->op, launch,
                   (function, (unsigned)groups, 1, 1, threads, 1, 1, shared, c->gpu->stream,
                    parameters, NULL));
    return AITER_OK;
}

/* ---- contexts ---- */

static aiter_status aiteri_gpu_start(aiteri_gpu *g, const aiter_context_desc *desc, int own_memory)
{
    const aiteri_gpu_call c = {"aiter_context_create.arena_bytes", NULL, g, desc};
    aiteri_current was;
    AITERI_TRY(aiteri_device_acquire(desc, &g->device));
    g->stream = desc->stream;
    g->own_memory = own_memory;
    if (desc->arena_bytes == 0) return AITER_OK;
    AITERI_TRY(aiteri_device_enter(NULL, c.op, g->device, &was));
    const aiter_status status = aiteri_gpu_allocate(&c, desc->arena_bytes);
    aiteri_device_leave(g->device, &was);
    return status;
}

/* Waits for the stream if there is memory that its work may still use. */
static void aiteri_gpu_stop(aiteri_gpu *g, const aiter_context_desc *desc)
{
    aiteri_current was;
    if (!g->device) return;
    const aiteri_driver *driver = g->device->driver;
    const int entered = g->blocks && aiteri_device_enter(NULL, "aiter_context_destroy", g->device,
                                                         &was) == AITER_OK;
    if (entered) driver->stream_wait(g->stream);
    for (int32_t i = 0; i < g->blocks; i++)
        if (!g->own_memory)
            desc->free(desc->user, g->block[i].data, g->block[i].bytes, AITER_MEMORY_DEVICE);
        else if (entered)
            driver->memory_free(g->block[i].data);
    if (entered) aiteri_device_leave(g->device, &was);
    aiteri_device_release(g->device);
}

#endif /* AITERI_GPU_LAUNCH_C */

// >>memory    (src/gpu/memory.c)
/* memory.c -- device and pinned memory for the caller, and copies in the stream's order. */
#ifndef AITERI_GPU_MEMORY_C
#define AITERI_GPU_MEMORY_C


/* What one call does while the device is current. */
typedef struct aiteri_gpu_memory_job {
    aiter_memory to_kind, from_kind;
    void *to;
    const void *from;
    size_t bytes;
} aiteri_gpu_memory_job;

typedef aiter_status (*aiteri_gpu_memory_step)(const aiteri_gpu_call *c, aiteri_gpu_memory_job *j);

static aiter_status aiteri_gpu_memory_run(const aiteri_gpu_call *c, aiteri_gpu_memory_step step,
                                          aiteri_gpu_memory_job *j)
{
    aiteri_current was;
    AITERI_TRY(aiteri_device_enter(c->ctx, c->op, c->gpu->device, &was));
    const aiter_status status = step(c, j);
    aiteri_device_leave(c->gpu->device, &was);
    return status;
}

static aiter_status aiteri_gpu_alloc_step(const aiteri_gpu_call *c, aiteri_gpu_memory_job *j)
{
    const aiteri_driver *driver = c->gpu->device->driver;
    if (!c->gpu->own_memory) {
        j->to = c->desc->alloc(c->desc->user, j->bytes, AITERI_GPU_ALIGN, j->to_kind);
        return j->to ? AITER_OK
                     : aiteri_fail(c->ctx, AITER_OUT_OF_MEMORY,
                                   "%s.bytes: the alloc hook gave no %zu bytes", c->op, j->bytes);
    }
    if (j->to_kind == AITER_MEMORY_DEVICE)
        AITERI_GPU_TRY(c->ctx, driver, c->op, memory_alloc, (&j->to, j->bytes));
    else
        AITERI_GPU_TRY(c->ctx, driver, c->op, pinned_alloc, (&j->to, j->bytes, 0));
    return AITER_OK;
}

static aiter_status aiteri_gpu_memory_alloc(const aiteri_gpu_call *c, aiter_memory kind,
                                            size_t bytes, void **out)
{
    aiteri_gpu_memory_job j = {kind, kind, NULL, NULL, bytes};
    AITERI_TRY(aiteri_gpu_memory_run(c, aiteri_gpu_alloc_step, &j));
    *out = j.to;
    return AITER_OK;
}

static aiter_status aiteri_gpu_free_step(const aiteri_gpu_call *c, aiteri_gpu_memory_job *j)
{
    const aiteri_driver *driver = c->gpu->device->driver;
    if (!c->gpu->own_memory)
        c->desc->free(c->desc->user, j->to, j->bytes, j->to_kind);
    else if (j->to_kind == AITER_MEMORY_DEVICE)
        AITERI_GPU_TRY(c->ctx, driver, c->op, memory_free, (j->to));
    else
        AITERI_GPU_TRY(c->ctx, driver, c->op, pinned_free, (j->to));
    return AITER_OK;
}

static aiter_status aiteri_gpu_memory_free(const aiteri_gpu_call *c, aiter_memory kind, void *data,
                                           size_t bytes)
{
    aiteri_gpu_memory_job j = {kind, kind, data, NULL, bytes};
    return aiteri_gpu_memory_run(c, aiteri_gpu_free_step, &j);
}

static aiter_status aiteri_gpu_copy_step(const aiteri_gpu_call *c, aiteri_gpu_memory_job *j)
{
    const aiteri_driver *driver = c->gpu->device->driver;
    void *from = (void *)(uintptr_t)j->from; /* HIP's prototypes know no const */
    if (j->from_kind != AITER_MEMORY_DEVICE && driver->kind == AITER_DEVICE_HIP)
        AITERI_GPU_TRY(c->ctx, driver, c->op, hip_copy_in, (j->to, from, j->bytes, c->gpu->stream));
    else if (j->from_kind != AITER_MEMORY_DEVICE)
        AITERI_GPU_TRY(c->ctx, driver, c->op, cuda_copy_in,
                       (j->to, from, j->bytes, c->gpu->stream));
    else if (j->to_kind != AITER_MEMORY_DEVICE)
        AITERI_GPU_TRY(c->ctx, driver, c->op, copy_out, (j->to, from, j->bytes, c->gpu->stream));
    else
        AITERI_GPU_TRY(c->ctx, driver, c->op, copy_inside, (j->to, from, j->bytes, c->gpu->stream));
    return AITER_OK;
}

static aiter_status aiteri_gpu_memory_copy(const aiteri_gpu_call *c, void *to, aiter_memory to_kind,
                                           const void *from, aiter_memory from_kind, size_t bytes)
{
    aiteri_gpu_memory_job j = {to_kind, from_kind, to, from, bytes};
    return aiteri_gpu_memory_run(c, aiteri_gpu_copy_step, &j);
}

static aiter_status aiteri_gpu_wait_step(const aiteri_gpu_call *c, aiteri_gpu_memory_job *j)
{
    (void)j;
    AITERI_GPU_TRY(c->ctx, c->gpu->device->driver, c->op, stream_wait, (c->gpu->stream));
    return AITER_OK;
}

static aiter_status aiteri_gpu_synchronize(const aiteri_gpu_call *c)
{
    aiteri_gpu_memory_job j = {AITER_MEMORY_HOST, AITER_MEMORY_HOST, NULL, NULL, 0};
    return aiteri_gpu_memory_run(c, aiteri_gpu_wait_step, &j);
}

#endif /* AITERI_GPU_MEMORY_C */
#endif

// >>hooks    (src/context/hooks.c)
/* hooks.c -- what a context is, its log and its memory hooks, the text of its last failure. */
#ifndef AITERI_HOOKS_C
#define AITERI_HOOKS_C

#if AITERI_GPU
#endif

struct aiter_context {
    aiter_context_desc desc; /* with num_threads resolved and both memory hooks set */
    const aiteri_kernels *kernels;
    void *scratch;
    size_t scratch_bytes, high_water;
#if !defined(AITERI_THREADS_NONE)
    aiteri_pool pool;
    aiteri_pool_worker *workers;
#endif
#if AITERI_GPU
    aiteri_gpu gpu;
#endif
    char text[AITERI_ERROR_BYTES];
};

/* One line to the caller's log hook. */
static void aiteri_log(const aiter_context_desc *d, aiter_log_level level, const char *format, ...)
    AITERI_PRINTF(3, 4);
static void aiteri_log(const aiter_context_desc *d, aiter_log_level level, const char *format, ...)
{
    if (!d->log) return;
    char line[AITERI_ERROR_BYTES];
    va_list list;
    va_start(list, format);
    vsnprintf(line, sizeof line, format, list);
    va_end(list);
    d->log(d->user, level, line);
}

static void aiteri_context_failed(aiter_context *ctx, const char *text)
{
    if (!ctx) return;
    memcpy(ctx->text, text, AITERI_ERROR_BYTES);
    aiteri_log(&ctx->desc, AITER_LOG_ERROR, "%s", text);
}

#if AITERI_GPU
static aiteri_gpu_call aiteri_gpu_call_of(const char *op, aiter_context *ctx)
{
    const aiteri_gpu_call call = {op, ctx, &ctx->gpu, &ctx->desc};
    return call;
}

static void aiteri_gpu_log_growth(const aiteri_gpu_call *c, size_t held)
{
    aiteri_log(c->desc, AITER_LOG_INFO, "device memory grows from %zu to %zu bytes", held,
               aiteri_gpu_arena_bytes(c->gpu));
}
#endif

/* Whether calls go to a device. */
AITERI_UNUSED static int aiteri_context_on_device(const aiter_context *ctx)
{
    return ctx && ctx->desc.device != AITER_DEVICE_CPU;
}

/* malloc gives 16 bytes of alignment; arenas align themselves (aiteri_arena_over). */
static void *aiteri_malloc_hook(void *user, size_t bytes, size_t align, aiter_memory kind)
{
    (void)user;
    (void)align;
    (void)kind;
    return malloc(bytes);
}

static void aiteri_free_hook(void *user, void *ptr, size_t bytes, aiter_memory kind)
{
    (void)user;
    (void)bytes;
    (void)kind;
    free(ptr);
}

#endif /* AITERI_HOOKS_C */

// >>choose    (src/context/choose.c)
/* choose.c -- which kernels a context uses: the best under the caller's and the environment's caps.
 */
#ifndef AITERI_CHOOSE_C
#define AITERI_CHOOSE_C


/* The environment variable AITER_ISA as an enum; AUTO when unset or unknown. */
static aiter_isa aiteri_isa_from_environment(void)
{
    const char *text = getenv("AITER_ISA");
    for (int i = AITER_ISA_SCALAR; text && i < AITER_ISA_COUNT; i++)
        if (strcmp(text, aiter_isa_name((aiter_isa)i)) == 0) return (aiter_isa)i;
    return AITER_ISA_AUTO;
}

/* Whether a kernel set is `top` or one of those below it. */
static int aiteri_is_under(const aiteri_kernels *set, const aiteri_kernels *top)
{
    while (top && top != set) top = top->below;
    return top != NULL;
}

/* The best kernel set under the caps; the caps name sets of this architecture only. */
static const aiteri_kernels *aiteri_choose_kernels(aiter_isa isa_max)
{
    const uint32_t features = aiteri_cpu_features();
    const aiteri_kernels *caps[2] = {aiteri_kernels_of(isa_max),
                                     aiteri_kernels_of(aiteri_isa_from_environment())};
    const aiteri_kernels *best = caps[0] ? caps[0] : caps[1];
    if (!best) best = aiteri_kernels_of((aiter_isa)AITERI_TOP_ISA);
    while ((best->needs & ~features) || (caps[1] && !aiteri_is_under(best, caps[1])))
        best = best->below;
    return best;
}

/* AITER_KERNEL_CLASS of the environment, else `given`; *ignored: it names no class. */
static aiter_kernel_class aiteri_kernel_class_of(aiter_kernel_class given, const char **ignored)
{
    static const char *const name[AITER_KERNEL_CLASS_COUNT] = {"auto", "general", "plain"};
    const char *text = getenv("AITER_KERNEL_CLASS");
    *ignored = NULL;
    for (int i = AITER_KERNEL_CLASS_AUTO; text && i < AITER_KERNEL_CLASS_COUNT; i++)
        if (strcmp(text, name[i]) == 0) return (aiter_kernel_class)i;
    *ignored = text;
    return given;
}

#endif /* AITERI_CHOOSE_C */

// >>scratch    (src/context/scratch.c)
/* scratch.c -- scratch memory: a context's own, the caller's, or malloc's. */
#ifndef AITERI_SCRATCH_C
#define AITERI_SCRATCH_C


/* Grows the context's scratch; what it held is lost. */
static int aiteri_context_grow(aiter_context *ctx, size_t bytes)
{
    void *grown = ctx->desc.alloc(ctx->desc.user, bytes, AITERI_LINE, AITER_MEMORY_HOST);
    if (!grown) return 0;
    if (ctx->scratch)
        ctx->desc.free(ctx->desc.user, ctx->scratch, ctx->scratch_bytes, AITER_MEMORY_HOST);
    aiteri_log(&ctx->desc, AITER_LOG_INFO, "scratch memory grows from %zu to %zu bytes",
               ctx->scratch_bytes, bytes);
    ctx->scratch = grown;
    ctx->scratch_bytes = bytes;
    return 1;
}

/* Scratch memory of one call: the caller's, the context's, or malloc's. */
typedef struct aiteri_scratch {
    aiteri_arena arena;
    void *owned; /* to be freed on return */
} aiteri_scratch;

/* `need` carved bytes may have to skip to a line first. */
static size_t aiteri_scratch_bytes(size_t need) { return aiteri_add_size(need, AITERI_LINE); }

static aiter_status aiteri_scratch_answer(const char *op, aiter_context *ctx, size_t need,
                                          size_t *bytes)
{
    if (!bytes)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT,
                           "%s_workspace.bytes: is NULL, expected a pointer", op);
    if (aiteri_scratch_bytes(need) > SIZE_MAX / 2)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT,
                           "%s_workspace: the shapes need more memory than can be addressed", op);
    *bytes = need ? aiteri_scratch_bytes(need) : 0;
    return AITER_OK;
}

AITERI_UNUSED static aiter_status aiteri_scratch_take(const char *op, aiter_context *ctx,
                                                      void *workspace, size_t workspace_bytes,
                                                      size_t need, aiteri_scratch *s)
{
    const size_t bytes = aiteri_scratch_bytes(need);
    void *block = workspace;
    s->owned = NULL;
    if (workspace && workspace_bytes < bytes)
        return aiteri_fail(ctx, AITER_WORKSPACE_TOO_SMALL,
                           "%s.call.workspace_bytes: is %zu, expected at least %zu", op,
                           workspace_bytes, bytes);
    if (bytes > SIZE_MAX / 2)
        return aiteri_fail(ctx, AITER_OUT_OF_MEMORY,
                           "%s: the shapes need more memory than can be addressed", op);
    if (!block && ctx) {
        if (bytes > ctx->scratch_bytes && ctx->desc.arena_bytes > 0)
            return aiteri_fail(ctx, AITER_WORKSPACE_TOO_SMALL,
                               "%s: needs %zu bytes, the context's arena_bytes is %zu", op, bytes,
                               ctx->scratch_bytes);
        if (bytes > ctx->scratch_bytes && !aiteri_context_grow(ctx, bytes))
            return aiteri_fail(ctx, AITER_OUT_OF_MEMORY, "%s: no %zu bytes of scratch memory", op,
                               bytes);
        if (bytes > ctx->high_water) ctx->high_water = bytes;
        block = ctx->scratch;
    } else if (!block) {
        block = s->owned = malloc(bytes);
        if (!block)
            return aiteri_fail(ctx, AITER_OUT_OF_MEMORY, "%s: no %zu bytes of scratch memory", op,
                               bytes);
    }
    s->arena = aiteri_arena_over(block);
    return AITER_OK;
}

AITERI_UNUSED static void aiteri_scratch_give_back(aiteri_scratch *s) { free(s->owned); }

#endif /* AITERI_SCRATCH_C */

// >>parallel    (src/context/parallel.c)
/* parallel.c -- a call's tasks on the caller's threads, the context's, or this one. */
#ifndef AITERI_PARALLEL_C
#define AITERI_PARALLEL_C


/* A task in the library's own float mode. */
typedef struct aiteri_task {
    aiteri_task_fn body;
    void *arg;
} aiteri_task;

static void aiteri_task_run(void *arg, int32_t i)
{
    const aiteri_task *task = (const aiteri_task *)arg;
    const aiteri_float_mode mode = aiteri_float_mode_enter();
    task->body(task->arg, i);
    aiteri_float_mode_leave(mode);
}

/* body(arg, i) for i in [0, n), n <= the context's threads. */
static void aiteri_parallel(aiter_context *ctx, aiteri_task_fn body, void *arg, int32_t n)
{
    aiteri_task task = {body, arg};
    if (ctx && ctx->desc.parallel_for && n > 1) {
        ctx->desc.parallel_for(ctx->desc.user, aiteri_task_run, &task, n);
        return;
    }
#if !defined(AITERI_THREADS_NONE)
    if (ctx && ctx->workers && n > 1 && aiteri_pool_is_ours(&ctx->pool)) {
        aiteri_pool_run(&ctx->pool, aiteri_task_run, &task, n);
        return;
    }
#endif
    for (int32_t i = 0; i < n; i++) aiteri_task_run(&task, i);
}

#endif /* AITERI_PARALLEL_C */

// >>context    (src/context/context.c)
/* context.c -- contexts made, described and ended; and what calls without one use. */
#ifndef AITERI_CONTEXT_C
#define AITERI_CONTEXT_C


static int aiteri_device_is_compiled_in(aiter_device device)
{
#if defined(AITER_ATTN_HIP)
    if (device == AITER_DEVICE_HIP) return 1;
#endif
#if defined(AITER_ATTN_CUDA)
    if (device == AITER_DEVICE_CUDA) return 1;
#endif
    return device == AITER_DEVICE_CPU;
}

static aiter_status aiteri_context_check(const aiter_context_desc *d)
{
    const char *op = "aiter_context_create";
    if (d->num_threads < 0 || d->num_threads > AITERI_MAX_THREADS)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT, "%s.num_threads: is %d, expected 0 to %d",
                           op, (int)d->num_threads, (int)AITERI_MAX_THREADS);
    if (d->parallel_for && d->num_threads == 0)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT,
                           "%s.num_threads: is 0, expected the number of threads of parallel_for",
                           op);
    if ((d->alloc == NULL) != (d->free == NULL))
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT,
                           "%s.%s: is NULL, expected both hooks or neither", op,
                           d->alloc ? "free" : "alloc");
    if ((int)d->isa_max < 0 || d->isa_max >= AITER_ISA_COUNT)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT, "%s.isa_max: %d is no aiter_isa", op,
                           (int)d->isa_max);
    if ((int)d->kernel_class < 0 || d->kernel_class >= AITER_KERNEL_CLASS_COUNT)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT,
                           "%s.kernel_class: %d is no aiter_kernel_class", op,
                           (int)d->kernel_class);
    if (d->exact_arithmetic != 0 && d->exact_arithmetic != 1)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT,
                           "%s.exact_arithmetic: is %d, expected 0 or 1", op,
                           (int)d->exact_arithmetic);
    if (d->device_index < 0)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT,
                           "%s.device_index: is %d, expected 0 or more", op, (int)d->device_index);
    if ((int)d->device < 0 || d->device > AITER_DEVICE_CUDA)
        return aiteri_fail(NULL, AITER_INVALID_ARGUMENT, "%s.device: %d is no aiter_device", op,
                           (int)d->device);
    if (d->device != AITER_DEVICE_CPU && d->exact_arithmetic)
        return aiteri_fail(NULL, AITER_UNSUPPORTED,
                           "%s.exact_arithmetic: is 1, but a device rounds weights to 16 bits", op);
    if (!aiteri_device_is_compiled_in(d->device))
        return aiteri_fail(NULL, AITER_NO_DEVICE,
                           "%s.device: this build has no %s: define AITER_ATTN_%s where the "
                           "implementation is made",
                           op, d->device == AITER_DEVICE_HIP ? "HIP" : "CUDA",
                           d->device == AITER_DEVICE_HIP ? "HIP" : "CUDA");
    if (d->isa_max != AITER_ISA_AUTO && aiteri_kernels_of(d->isa_max) == NULL)
        return aiteri_fail(NULL, AITER_UNSUPPORTED, "%s.isa_max: %s is of another architecture", op,
                           aiter_isa_name(d->isa_max));
    return AITER_OK;
}

static aiter_status aiteri_context_start(aiter_context *ctx)
{
#if AITERI_GPU
    if (ctx->desc.device != AITER_DEVICE_CPU)
        return aiteri_gpu_start(&ctx->gpu, &ctx->desc, ctx->desc.alloc == aiteri_malloc_hook);
#endif
    if (ctx->desc.arena_bytes > 0 && !aiteri_context_grow(ctx, ctx->desc.arena_bytes))
        return aiteri_fail(NULL, AITER_OUT_OF_MEMORY,
                           "aiter_context_create.arena_bytes: no %zu bytes", ctx->desc.arena_bytes);
#if !defined(AITERI_THREADS_NONE)
    const int32_t n = ctx->desc.num_threads;
    if (ctx->desc.parallel_for || n < 2) return AITER_OK;
    ctx->workers = (aiteri_pool_worker *)ctx->desc.alloc(
        ctx->desc.user, (size_t)n * sizeof *ctx->workers, AITERI_LINE, AITER_MEMORY_HOST);
    if (!ctx->workers || !aiteri_pool_start(&ctx->pool, ctx->workers, n)) {
        if (ctx->workers)
            ctx->desc.free(ctx->desc.user, ctx->workers, (size_t)n * sizeof *ctx->workers,
                           AITER_MEMORY_HOST);
        ctx->workers = NULL;
        return aiteri_fail(NULL, AITER_OUT_OF_MEMORY,
                           "aiter_context_create.num_threads: could not start %d threads", (int)n);
    }
#endif
    return AITER_OK;
}

AITER_ATTN_API aiter_status aiter_context_create(const aiter_context_desc *desc,
                                                 aiter_context **out)
{
    if (!out) return aiteri_fail(NULL, AITER_INVALID_ARGUMENT, "aiter_context_create.out: is NULL");
    *out = NULL;
    aiter_context_desc d;
    memset(&d, 0, sizeof d);
    if (desc) d = *desc;
    AITERI_TRY(aiteri_context_check(&d));
    if (!d.alloc) {
        d.alloc = aiteri_malloc_hook;
        d.free = aiteri_free_hook;
    }
    if (d.device != AITER_DEVICE_CPU) d.num_threads = 1; /* the work is the device's */
    if (d.num_threads == 0) d.num_threads = aiteri_usable_cpus();
#if defined(AITERI_THREADS_NONE)
    if (!d.parallel_for) d.num_threads = 1;
#endif
    aiter_context *ctx =
        (aiter_context *)d.alloc(d.user, sizeof *ctx, AITERI_LINE, AITER_MEMORY_HOST);
    if (!ctx)
        return aiteri_fail(NULL, AITER_OUT_OF_MEMORY, "aiter_context_create.alloc: gave NULL");
    memset(ctx, 0, sizeof *ctx);
    const char *no_class;
    ctx->desc = d;
    ctx->desc.kernel_class = aiteri_kernel_class_of(d.kernel_class, &no_class);
    ctx->kernels = aiteri_choose_kernels(d.isa_max);
    const aiter_status status = aiteri_context_start(ctx);
    if (status != AITER_OK) {
        aiter_context_destroy(ctx);
        return status;
    }
    const char *cap = getenv("AITER_ISA");
    if (cap && !aiteri_kernels_of(aiteri_isa_from_environment()))
        aiteri_log(&ctx->desc, AITER_LOG_WARNING,
                   "the environment's AITER_ISA is ignored: no kernel set %s", cap);
    if (no_class && no_class[0])
        aiteri_log(&ctx->desc, AITER_LOG_WARNING,
                   "the environment's AITER_KERNEL_CLASS is ignored: no class %s", no_class);
    const aiter_context_details info = aiter_context_info(ctx);
    aiteri_log(&ctx->desc, AITER_LOG_INFO, "aiter_attn %s: %s, kernels %s, up to %d threads",
               AITER_ATTN_VERSION_STRING, info.device_name, info.architecture, (int)d.num_threads);
    *out = ctx;
    return AITER_OK;
}

AITER_ATTN_API void aiter_context_destroy(aiter_context *ctx)
{
    if (!ctx) return;
    const aiter_context_desc d = ctx->desc;
#if AITERI_GPU
    aiteri_gpu_stop(&ctx->gpu, &d);
#endif
#if !defined(AITERI_THREADS_NONE)
    if (ctx->workers) {
        aiteri_pool_stop(&ctx->pool);
        d.free(d.user, ctx->workers, (size_t)d.num_threads * sizeof *ctx->workers,
               AITER_MEMORY_HOST);
    }
#endif
    if (ctx->scratch) d.free(d.user, ctx->scratch, ctx->scratch_bytes, AITER_MEMORY_HOST);
    d.free(d.user, ctx, sizeof *ctx, AITER_MEMORY_HOST);
}

static const aiteri_kernels *aiteri_context_kernels(const aiter_context *ctx)
{
    return ctx ? ctx->kernels : aiteri_choose_kernels(AITER_ISA_AUTO);
}

static int32_t aiteri_context_workers(const aiter_context *ctx)
{
    return ctx ? ctx->desc.num_threads : 1;
}

AITER_ATTN_API aiter_context_details aiter_context_info(const aiter_context *ctx)
{
    aiter_context_details info;
    memset(&info, 0, sizeof info);
    info.isa = aiteri_context_kernels(ctx)->isa;
    info.isa_name = aiteri_context_kernels(ctx)->name;
    info.device = AITER_DEVICE_CPU;
    info.device_name = "cpu";
    info.num_threads = aiteri_context_workers(ctx);
    info.compute_units = aiteri_usable_cpus();
    info.arena_bytes = ctx ? ctx->scratch_bytes : 0;
    info.arena_high_water = ctx ? ctx->high_water : 0;
    info.architecture = info.isa_name;
#if AITERI_GPU
    if (ctx && ctx->gpu.device) {
        const aiteri_device *device = ctx->gpu.device;
        info.device = device->driver->kind;
        info.device_name = device->name;
        info.architecture = device->arch;
        info.compute_units = device->compute_units;
        info.arena_bytes = aiteri_gpu_arena_bytes(&ctx->gpu);
        info.arena_high_water = ctx->gpu.high_water;
    }
#endif
    return info;
}

AITER_ATTN_API const char *aiter_last_error(void) { return aiteri_error_text; }

AITER_ATTN_API const char *aiter_context_error(const aiter_context *ctx)
{
    return ctx ? ctx->text : aiteri_error_text;
}

/* Every call on a context starts here: its last failure is forgotten. */
static void aiteri_context_begin(aiter_context *ctx)
{
    if (ctx) ctx->text[0] = 0;
}

#endif /* AITERI_CONTEXT_C */

// >>memory    (src/context/memory.c)
/* memory.c -- memory and copies for programs that bring no driver of their own. */
#ifndef AITERI_MEMORY_C
#define AITERI_MEMORY_C


static aiter_status aiteri_memory_check(const char *op, aiter_context *ctx, aiter_memory kind,
                                        size_t bytes)
{
    aiteri_context_begin(ctx);
    if ((int)kind < 0 || kind > AITER_MEMORY_PINNED)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT, "%s.kind: %d is no aiter_memory", op,
                           (int)kind);
    if (bytes == 0)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT, "%s.bytes: is 0, expected 1 or more", op);
    return AITER_OK;
}

#if AITERI_GPU
/* Whether the driver gives this kind of memory; else it is host memory of the context's hooks. */
static int aiteri_memory_is_drivers(const aiter_context *ctx, aiter_memory kind)
{
    return aiteri_context_on_device(ctx) && kind != AITER_MEMORY_HOST;
}
#endif

AITER_ATTN_API aiter_status aiter_memory_alloc(aiter_context *ctx, aiter_memory kind, size_t bytes,
                                               void **out)
{
    const char *op = "aiter_memory_alloc";
    if (!out) return aiteri_fail(ctx, AITER_INVALID_ARGUMENT, "%s.out: is NULL", op);
    *out = NULL;
    AITERI_TRY(aiteri_memory_check(op, ctx, kind, bytes));
#if AITERI_GPU
    if (aiteri_memory_is_drivers(ctx, kind)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of(op, ctx);
        return aiteri_gpu_memory_alloc(&call, kind, bytes, out);
    }
#endif
    *out = ctx ? ctx->desc.alloc(ctx->desc.user, bytes, AITERI_LINE, kind) : malloc(bytes);
    if (!*out)
        return aiteri_fail(ctx, AITER_OUT_OF_MEMORY, "%s.bytes: no %zu bytes of host memory", op,
                           bytes);
    return AITER_OK;
}

AITER_ATTN_API aiter_status aiter_memory_free(aiter_context *ctx, aiter_memory kind, void *data,
                                              size_t bytes)
{
    const char *op = "aiter_memory_free";
    if (!data) return AITER_OK;
    AITERI_TRY(aiteri_memory_check(op, ctx, kind, bytes));
#if AITERI_GPU
    if (aiteri_memory_is_drivers(ctx, kind)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of(op, ctx);
        return aiteri_gpu_memory_free(&call, kind, data, bytes);
    }
#endif
    if (ctx)
        ctx->desc.free(ctx->desc.user, data, bytes, kind);
    else
        free(data);
    return AITER_OK;
}

AITER_ATTN_API aiter_status aiter_memory_copy(aiter_context *ctx, void *to, aiter_memory to_kind,
                                              const void *from, aiter_memory from_kind,
                                              size_t bytes)
{
    const char *op = "aiter_memory_copy";
    aiteri_context_begin(ctx);
    if (bytes == 0) return AITER_OK;
    AITERI_TRY(aiteri_memory_check(op, ctx, to_kind, bytes));
    AITERI_TRY(aiteri_memory_check(op, ctx, from_kind, bytes));
    if (!to || !from)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT, "%s.%s: is NULL", op, to ? "from" : "to");
#if AITERI_GPU
    if (aiteri_context_on_device(ctx) &&
        (to_kind == AITER_MEMORY_DEVICE || from_kind == AITER_MEMORY_DEVICE)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of(op, ctx);
        return aiteri_gpu_memory_copy(&call, to, to_kind, from, from_kind, bytes);
    }
#endif
    memmove(to, from, bytes);
    return AITER_OK;
}

AITER_ATTN_API aiter_status aiter_context_synchronize(aiter_context *ctx)
{
    aiteri_context_begin(ctx);
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of("aiter_context_synchronize", ctx);
        return aiteri_gpu_synchronize(&call);
    }
#endif
    return AITER_OK;
}

#endif /* AITERI_MEMORY_C */
AITERI_ONCE_A_CALL_END

// >>rows    (src/cpu/rows.c)
/* rows.c -- rows of f32 to where they are stored, whatever the op. */
#ifndef AITERI_ROWS_C
#define AITERI_ROWS_C


AITERI_FORCE_INLINE float aiteri_minus_inf(void) { return aiteri_f32_of_bits(0xff800000u); }

static void aiteri_scatter_row(const aiteri_kernels *kernels, char *dst, aiter_dtype dtype,
                               int64_t stride, const float *src, int32_t n)
{
    AITERI_ASSERT(n > 0 && (stride > 0 || n == 1) && kernels->narrow[dtype]);
    if (stride == 1) {
        kernels->narrow[dtype](dst, src, n);
        return;
    }
    for (int32_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, src + i, sizeof bits);
        aiteri_store_bits(dtype, dst, i * stride, bits);
    }
}

/* What codes count: row / step, zeros where a step is 0. */
AITERI_UNUSED static void aiteri_count_steps(const aiteri_kernels *kernels, float *row, int32_t n,
                                             float step)
{
    if (step != 0.0f)
        kernels->row_divide(row, n, step);
    else
        memset(row, 0, (size_t)n * sizeof *row);
}

/* Writes n elements of an attention's row, times factor; row is padded. What would be stored as -0
 * is +0: every `out` passes here, so that no key without weight leaves its sign in one. */
AITERI_UNUSED static void aiteri_store_out(const aiteri_kernels *kernels, char *dst,
                                           aiter_dtype dtype, int64_t stride, float *row, int32_t n,
                                           float factor)
{
    /* Bits of the largest magnitude that the type rounds to 0. */
    const int32_t least = dtype == AITER_F16 ? 0x33000000 : dtype == AITER_BF16 ? 0x8000 : 0;
    kernels->row_finish(row, aiteri_padded(n), factor, least);
    aiteri_scatter_row(kernels, dst, dtype, stride, row, n);
}

#endif /* AITERI_ROWS_C */
#if AITERI_HAS_ROPE

// >>rope    (src/cpu/rope.c)
/* rope.c -- how a row turns by the angles of its token's positions: for every op that does so. */
#ifndef AITERI_ROPE_C
#define AITERI_ROPE_C


/* A checked aiter_rope, laid out by the elements that turn. */
typedef struct aiteri_rope {
    const aiteri_kernels *kernels;
    aiter_tensor cos, sin; /* strides filled */
    aiter_rope_pairing pairing;
    int32_t dim, span; /* elements that turn; how many are paired among themselves */
    int32_t start;     /* the first of them in a row */
    int32_t axes;      /* positions of a token */
    struct {
        uint16_t column; /* of the tables */
        uint8_t axis;    /* whose position turns it */
        uint8_t second;  /* of its pair */
    } element[AITERI_MAX_HEAD_DIM];
} aiteri_rope;

/* Of each element that turns; the sine of a pair's first is negated. */
typedef struct aiteri_rope_angles {
    float cos[AITERI_MAX_HEAD_DIM], sin[AITERI_MAX_HEAD_DIM];
} aiteri_rope_angles;

static int32_t aiteri_rope_axes(aiter_rope_kind kind)
{
    return kind == AITER_ROPE_ONE ? 1 : kind == AITER_ROPE_2D ? 2 : 3;
}

static int32_t aiteri_rope_axis(const aiter_rope *r, int32_t dim, int32_t pair)
{
    const int32_t third = pair % 3;
    switch (r->kind) {
    case AITER_ROPE_2D: return pair >= dim / 4;
    case AITER_ROPE_MULTI:
        return (pair >= r->sections[0]) + (pair >= r->sections[0] + r->sections[1]);
    case AITER_ROPE_MULTI_INTERLEAVED: return pair < 3 * r->sections[third] ? third : 0;
    default: return 0;
    }
}

/* Lays out `dim` elements of rows of `row_dim`. */
static aiteri_rope aiteri_rope_of(const aiteri_kernels *kernels, const aiter_rope *r, int32_t dim,
                                  int32_t row_dim)
{
    aiteri_rope x;
    memset(&x, 0, sizeof x);
    x.kernels = kernels;
    x.cos = r->cos;
    x.sin = r->sin;
    x.pairing = r->pairing;
    x.dim = dim;
    x.span = r->kind == AITER_ROPE_2D ? dim / 2 : dim;
    x.start = r->nope_first ? row_dim - dim : 0;
    x.axes = aiteri_rope_axes(r->kind);
    for (int32_t i = 0; i < dim; i++) {
        const int32_t at = i % x.span, half = x.span / 2;
        const int32_t second = x.pairing == AITER_ROPE_GPTJ ? at % 2 : at >= half;
        const int32_t pair =
            i / x.span * half + (x.pairing == AITER_ROPE_GPTJ ? at / 2 : at % half);
        x.element[i].column = (uint16_t)(x.cos.shape[1] == dim ? i : pair);
        x.element[i].axis = (uint8_t)aiteri_rope_axis(r, dim, pair);
        x.element[i].second = (uint8_t)second;
    }
    return x;
}

static const char *aiteri_rope_row_at(const aiter_tensor *table, int64_t position)
{
    return (const char *)table->data + aiteri_bytes_of(table->dtype, position * table->stride[0]);
}

/* The angles of a token at positions [axes]. */
static void aiteri_rope_angles_at(const aiteri_rope *r, const int64_t *position,
                                  aiteri_rope_angles *out)
{
    float c[AITERI_MAX_HEAD_DIM], s[AITERI_MAX_HEAD_DIM];
    const int32_t columns = (int32_t)r->cos.shape[1];
    for (int32_t axis = 0; axis < r->axes; axis++) {
        aiteri_gather_row(r->kernels, c, aiteri_rope_row_at(&r->cos, position[axis]), r->cos.dtype,
                          r->cos.stride[1], columns);
        aiteri_gather_row(r->kernels, s, aiteri_rope_row_at(&r->sin, position[axis]), r->sin.dtype,
                          r->sin.stride[1], columns);
        for (int32_t i = 0; i < r->dim; i++) {
            if (r->element[i].axis != axis) continue;
            const int32_t column = r->element[i].column;
            out->cos[i] = c[column];
            out->sin[i] = r->element[i].second ? s[column] : -s[column];
        }
    }
}

/* The dim elements at x turned to y, another row; nothing behind them is touched. */
static void aiteri_rope_turn(const aiteri_rope *r, float *y, const float *x,
                             const aiteri_rope_angles *angles)
{
    const float *c = angles->cos, *s = angles->sin;
    const int32_t half = r->span / 2, dim = r->dim;
    if (r->pairing == AITER_ROPE_GPTJ) {
        float partner[AITERI_MAX_HEAD_DIM];
        for (int32_t d = 0; d < dim; d += 2) {
            uint64_t pair;
            memcpy(&pair, x + d, sizeof pair);
            pair = pair << 32 | pair >> 32;
            memcpy(partner + d, &pair, sizeof pair);
        }
        r->kernels->row_turn(y, x, partner, c, s, dim);
        return;
    }
    for (int32_t d = 0; d < dim; d += r->span) {
        r->kernels->row_turn(y + d, x + d, x + d + half, c + d, s + d, half);
        r->kernels->row_turn(y + d + half, x + d + half, x + d, c + d + half, s + d + half, half);
    }
}

#endif /* AITERI_ROPE_C */
#endif
#if AITERI_ATTENTION

// >>engine_rows    (src/cpu/engine_rows.c)
/* engine_rows.c -- what both families share: query rows in, finished rows and partial states out.
 */
#ifndef AITERI_ENGINE_ROWS_C
#define AITERI_ENGINE_ROWS_C


/* A running call: what every worker reads. */
typedef struct aiteri_engine {
    const aiteri_problem *problem;
    const aiteri_kernels *kernels;
    const aiteri_program *program;
    aiteri_geometry geometry;
    aiteri_score_rule rule;
    double out_scale;
    float *partials; /* [partial_rows][partial_stride]: dim_v sums, then m and l */
    int64_t partial_stride;
} aiteri_engine;

static char *aiteri_row_at(const aiteri_rows *rows, const aiteri_sequence *s, int32_t token,
                           int32_t head)
{
    return rows->data + aiteri_bytes_of(rows->dtype, s->index * rows->stride_batch +
                                                         (s->q_start + token) * rows->stride_token +
                                                         head * rows->stride_head);
}

/* Rows whose scales fit into the room that there is for them: more than none. */
static int32_t aiteri_rows_at_once(const aiteri_source *part)
{
    int32_t n = AITERI_TILE_KEYS;
    for (; part; part = part->rest)
        n = (int32_t)aiteri_min(n, AITERI_MAX_HEAD_DIM / aiteri_scales_of_row(part));
    return n;
}

/* K or V rows [first, end) of a kv head to `place` of a block that `load` fills: layout, then type
 * and scales, part by part and segment by segment. With `sums` one scale of a row is left to its
 * sums. */
static void aiteri_load_rows(const aiteri_engine *e, const aiteri_sequence *s,
                             const aiteri_source *source, int32_t h, int32_t first, int32_t end,
                             const void **row, int sums, aiteri_load_fn load, void *block,
                             int32_t place)
{
    const aiteri_problem *p = e->problem;
    float scale[AITERI_MAX_HEAD_DIM];
    AITERI_ASSERT(0 <= place && place + end - first <= AITERI_TILE_KEYS && h < p->heads_k);
    for (int32_t stop; first < end; place += stop - first, first = stop) {
        const aiteri_source *part = aiteri_part_of(p, s, source, first);
        stop =
            (int32_t)aiteri_min(aiteri_part_end(s, first, end), first + aiteri_rows_at_once(part));
        int32_t column = 0;
        for (const aiteri_source *x = part; x; column += aiteri_own_dim(x), x = x->rest) {
            const int scaled = x->scales.data && !(sums && aiteri_scales_rows(part));
            const int32_t dim = aiteri_own_dim(x);
            const aiteri_block_rows rows = {row,
                                            stop - first,
                                            dim,
                                            column,
                                            part->dim,
                                            x->dtype,
                                            x->stride_dim,
                                            scaled ? scale : NULL,
                                            x->scales.group ? x->scales.group : dim};
            AITERI_ASSERT(column % AITERI_PAD == 0 && x->scales.group % AITERI_PAD == 0);
            aiteri_source_rows(p, s, x, h, first, stop, row);
            if (scaled) aiteri_source_scales(p, s, x, h, first, stop, scale);
            load(e->kernels, block, place, &rows);
        }
    }
}

/* The same to a block of the tile family. */
static void aiteri_source_block(const aiteri_engine *e, const aiteri_sequence *s,
                                const aiteri_source *source, int32_t h, int32_t first, int32_t end,
                                const void **row, void *block, int32_t place)
{
    aiteri_load_rows(e, s, source, h, first, end, row, 0,
                     source == &e->problem->k ? e->kernels->load_k : e->kernels->load_v, block,
                     place);
}

/* Whether something is read for every pair of a query and a key. */
AITERI_FORCE_INLINE int aiteri_reads_pairs(const aiteri_problem *p)
{
    return p->bias.data != NULL || p->visible.data != NULL || p->has_holes;
}

/* What is added to the score of query token i and key j: its bias, and -infinity if it is hidden.
 * Of keys outside `seen` the mask tells, and nothing is read. */
static float aiteri_bias_at(const aiteri_problem *p, const aiteri_sequence *s, int32_t token,
                            int32_t head, aiteri_key_range seen, int32_t j)
{
    if (!aiteri_range_meets(seen, j, (int64_t)j + 1)) return 0.0f;
    if (p->visible.data &&
        aiteri_row_at(&p->visible, s, token, head)[j * p->visible.stride_dim] == 0)
        return aiteri_minus_inf();
    if (p->has_holes && !aiteri_place_of_key(p, s, j).present) return aiteri_minus_inf();
    if (!p->bias.data) return 0.0f;
    const char *row = aiteri_row_at(&p->bias, s, token, head);
    return aiter_load_element(p->bias.dtype, row, j * p->bias.stride_dim);
}

/* A head's ALiBi slope, no larger than leaves every distance of the sequence its own finite term.
 */
static float aiteri_slope_of(const aiteri_problem *p, const aiteri_sequence *s, int32_t head)
{
    const float slope =
        p->alibi_slopes[s->index * p->alibi_stride_batch + head * p->alibi_stride_head];
    const float most = 1.7e38f / ((float)s->seqlen_q + (float)s->seqlen_k);
    if (slope > most) return most;
    return slope < -most ? -most : slope;
}

/* Where query token i stands among the keys: ALiBi counts from there. */
static float aiteri_position_of(const aiteri_sequence *s, int32_t token)
{
    return aiteri_rounded((float)((int64_t)token + s->seqlen_k - s->seqlen_q));
}

/* What every score of a problem meets; slopes and positions where it has ALiBi. */
static aiteri_adjust aiteri_adjust_of(const aiteri_engine *e, const float *slope,
                                      const float *position)
{
    const aiteri_problem *p = e->problem;
    aiteri_adjust adjust = {e->rule.score, NULL, NULL, NULL, NULL, NULL};
    if (p->softcap > 0.0f) adjust.softcap = &e->rule.softcap;
    if (!p->alibi_slopes) return adjust;
    adjust.slope = slope;
    adjust.position = position;
    return adjust;
}

/* What a row has summed up: its weights are exp(stretch * (score - m)) times unit. */
typedef struct aiteri_row_state {
    float m, l, unit;
} aiteri_row_state;

/* The factor that turns a row's sums into its output, and its log-sum-exp, with the learned sink:
 * a logit without a value. A row that saw nothing gives 0 and -inf, or the sink. */
static float aiteri_finish_state(const aiteri_engine *e, int32_t head, aiteri_row_state state,
                                 float *lse)
{
    const aiteri_problem *p = e->problem;
    const double unit = state.unit, m = (double)state.m * (double)e->rule.softmax;
    const float l = state.l;
    double top = m, sum = (double)l / unit, factor = 1.0;
    if (p->sinks) {
        const double sink = p->sinks[head * p->sinks_stride];
        if (l == 0.0f) {
            *lse = (float)sink;
            return 0.0f;
        }
        if (sink > top) top = sink;
        factor = exp(m - top);
        sum = aiteri_rounded_f64(aiteri_rounded_f64(sum * factor) + exp(sink - top));
    } else if (l == 0.0f) {
        *lse = aiteri_minus_inf();
        return 0.0f;
    }
    *lse = aiteri_rounded((float)aiteri_rounded_f64(top + log(sum)));
    return aiteri_rounded((float)aiteri_rounded_f64(factor / sum / unit / e->out_scale));
}

static void aiteri_store_lse(const aiteri_problem *p, const aiteri_sequence *s, int32_t token,
                             int32_t head, float lse)
{
    if (!p->lse) return;
    p->lse[s->index * p->lse_stride_batch + head * p->lse_stride_head +
           (s->q_start + token) * p->lse_stride_token] = lse;
}

/* Normalises one row of sums in place and writes it out. */
static void aiteri_finish_row(const aiteri_engine *e, const aiteri_sequence *s, int32_t token,
                              int32_t head, float *row, aiteri_row_state state)
{
    const aiteri_problem *p = e->problem;
    float lse;
    const float factor = aiteri_finish_state(e, head, state, &lse);
    aiteri_store_out(e->kernels, aiteri_row_at(&p->out, s, token, head), p->out.dtype,
                     p->out.stride_dim, row, p->v.dim, factor);
    aiteri_store_lse(p, s, token, head, lse);
}

/* Leaves one row's state for a later merge; all pieces of a row have the same unit. */
static void aiteri_store_partial(const aiteri_engine *e, int64_t partial_row, const float *row,
                                 float m, float l)
{
    const int32_t dim = aiteri_padded(e->problem->v.dim);
    float *out = e->partials + partial_row * e->partial_stride;
    memcpy(out, row, (size_t)dim * sizeof(float));
    out[dim] = m;
    out[dim + 1] = l;
}

/* Merges the pieces of one reduce group, in key order, and finishes its rows. */
static void aiteri_merge_pieces(const aiteri_engine *e, const int32_t *final_map,
                                const int32_t *first_rows, int32_t pieces, float *row)
{
    const aiteri_problem *p = e->problem;
    const aiteri_sequence s = aiteri_sequence_of(p, final_map[0]);
    const int32_t dim = aiteri_padded(p->v.dim);
    const int32_t head_start = (int32_t)((uint32_t)final_map[3] & 0xffffu);
    const int32_t heads = (int32_t)((uint32_t)final_map[3] >> 16) - head_start;
    const int64_t rows = (int64_t)(final_map[2] - final_map[1]) * heads;
    const float unit = aiteri_takes_stream(p, s.seqlen_q) ? 1.0f : AITERI_TILE_UNIT;
    AITERI_ASSERT(pieces > 1 && rows > 0 && final_map[2] <= s.seqlen_q);
    for (int64_t r = 0; r < rows; r++) {
        float m = aiteri_minus_inf(), l = 0.0f;
        for (int32_t i = 0; i < pieces; i++) {
            const float *part = e->partials + (first_rows[i] + r) * e->partial_stride;
            if (part[dim] > m) m = part[dim];
        }
        memset(row, 0, (size_t)dim * sizeof(float));
        for (int32_t i = 0; i < pieces; i++) {
            const float *part = e->partials + (first_rows[i] + r) * e->partial_stride;
            if (part[dim + 1] == 0.0f) continue; /* saw no key */
            const double below = aiteri_rounded_f64((double)part[dim] - (double)m);
            const float weight = aiteri_rounded((float)exp(below * (double)e->rule.softmax));
            e->kernels->row_add_scaled(row, part, dim, weight);
            l = aiteri_rounded(l + aiteri_rounded(weight * part[dim + 1]));
        }
        const aiteri_row_state state = {m, l, unit};
        aiteri_finish_row(e, &s, final_map[1] + (int32_t)(r / heads),
                          head_start + (int32_t)(r % heads), row, state);
    }
}

#endif /* AITERI_ENGINE_ROWS_C */

// >>engine_walk    (src/cpu/engine_walk.c)
/* engine_walk.c -- one work of the tile family: several tiles of query rows against a run of keys.
 * The walk makes the scores of a tile and a block; what becomes of them is a program's.
 *
 * Blocks of keys start at multiples of AITERI_TILE_KEYS from key 0. A block is loaded (widened)
 * once and serves every tile of the work. Rows are packed (token, head of the group), heads
 * fastest. */
#ifndef AITERI_ENGINE_WALK_C
#define AITERI_ENGINE_WALK_C


/* One tile of packed query rows and its running state. */
typedef struct aiteri_tile {
    void *q;                 /* the kernel set's */
    float *ot, *m, *l;       /* [dim_v][lanes], [lanes], [lanes] */
    float *slope, *position; /* ALiBi, [lanes] */
    aiteri_lane_mask *mask;
    int32_t first;          /* of the packed rows */
    int32_t rows, vectors;  /* lanes in use, and the vectors that hold them */
    aiteri_key_range seen;  /* by any row */
    int32_t lo_max, hi_min; /* keys [lo_max, hi_min) are seen by every row */
} aiteri_tile;

typedef struct aiteri_tile_scratch {
    aiteri_tile tile[AITERI_TILES_PER_WORK];
    float *st;
    float *before; /* with a bias: a block's biases, then its scores */
    void *k, *v;   /* the kernel set's */
    float *rows;
    const void **pointers;
} aiteri_tile_scratch;

/* Whether the block of K serves as the block of V. */
static int aiteri_block_is_shared(const aiteri_problem *p, const aiteri_kernels *kernels)
{
    return p->v_in_k && kernels->v_in_k;
}

/* The same layout function measures (arena without base) and hands out. */
static void aiteri_tile_scratch_carve(aiteri_tile_scratch *t, aiteri_arena *arena,
                                      const aiteri_problem *p, const aiteri_kernels *kernels)
{
    const int32_t lanes = kernels->tile_lanes;
    const size_t n = (size_t)lanes, dim_v = (size_t)p->v.dim;
    const size_t padded = (size_t)aiteri_padded(p->k.dim),
                 padded_v = (size_t)aiteri_padded(p->v.dim);
    const int32_t tiles = aiteri_most_tiles(p, lanes);
    for (int32_t i = 0; i < tiles; i++) {
        aiteri_tile *tile = &t->tile[i];
        tile->q = aiteri_carve(arena, kernels->query_bytes(p->k.dim, lanes), 1);
        tile->ot = (float *)aiteri_carve(arena, (dim_v + AITERI_TILE_SLACK) * n, sizeof(float));
        tile->m = (float *)aiteri_carve(arena, n, sizeof(float));
        tile->l = (float *)aiteri_carve(arena, n, sizeof(float));
        tile->slope = (float *)aiteri_carve(arena, n, sizeof(float));
        tile->position = (float *)aiteri_carve(arena, n, sizeof(float));
        tile->mask = (aiteri_lane_mask *)aiteri_carve(arena, 1, sizeof(aiteri_lane_mask));
    }
    t->st = (float *)aiteri_carve(arena, AITERI_TILE_ROOM * n, sizeof(float));
    t->before = (float *)aiteri_carve(arena, aiteri_reads_pairs(p) ? AITERI_TILE_KEYS * n : 0,
                                      sizeof(float));
    t->k = aiteri_carve(arena, kernels->k_bytes(p->k.dim), 1);
    t->v = aiteri_block_is_shared(p, kernels) ? t->k
                                              : aiteri_carve(arena, kernels->v_bytes(p->v.dim), 1);
    t->rows =
        (float *)aiteri_carve(arena, n * (padded > padded_v ? padded : padded_v), sizeof(float));
    t->pointers = (const void **)aiteri_carve(arena, AITERI_TILE_KEYS, sizeof(void *));
}

/* The work being run, for the functions below and the program. */
typedef struct aiteri_walk {
    const aiteri_engine *e;
    const aiteri_work *w;
    aiteri_tile_scratch *t;
    aiteri_sequence s;
} aiteri_walk;

/* A block of keys. Keys [gap, resume) between a sink prefix and the window are not loaded. The
 * place of a key counts from the block's own start, whatever is clipped. */
typedef struct aiteri_key_block {
    int32_t start, first, end, gap, resume;
    int v_finite; /* -1: not looked yet */
} aiteri_key_block;

/* What a work makes of its scores. */
struct aiteri_program {
    int uses_v; /* V is loaded */
    /* A tile before its first block. */
    void (*begin)(const aiteri_walk *x, aiteri_tile *tile);
    /* t->st holds the scores of the tile's rows and the keys of `own`, a part of the block that is
     * loaded: a row for each key, -infinity where a row does not see it. `masked`: such there may
     * be. */
    void (*step)(const aiteri_walk *x, aiteri_tile *tile, aiteri_key_block *loaded,
                 const aiteri_key_block *own, int masked);
    /* The same behind its last block. */
    void (*end)(const aiteri_walk *x, aiteri_tile *tile);
    /* Joins the pieces of rows whose keys were split; NULL: they need it not. */
    void (*merge)(const aiteri_engine *e, const int32_t *final_map, const int32_t *first_rows,
                  int32_t pieces, float *row);
};

typedef struct aiteri_packed_row {
    int32_t token, head;
} aiteri_packed_row;

/* Of a lane of a tile. */
static aiteri_packed_row aiteri_packed_row_of(const aiteri_work *w, const aiteri_tile *tile,
                                              int32_t lane)
{
    const int32_t heads = w->head_end - w->head_start, r = tile->first + lane;
    const aiteri_packed_row row = {w->q_start + r / heads, w->head_start + r % heads};
    return row;
}

static void aiteri_tile_lanes_fill(const aiteri_walk *x, aiteri_tile *tile)
{
    const aiteri_problem *p = x->e->problem;
    const aiteri_sequence *s = &x->s;
    const int32_t lanes = x->e->kernels->tile_lanes;
    tile->lo_max = 0;
    tile->hi_min = s->seqlen_k;
    tile->mask->most_sink = 0;
    for (int32_t lane = 0; lane < lanes; lane++) {
        tile->mask->lo[lane] = tile->mask->hi[lane] = tile->mask->sink[lane] = 0;
        tile->slope[lane] = tile->position[lane] = 0.0f;
        if (lane >= tile->rows) continue;
        const aiteri_packed_row row = aiteri_packed_row_of(x->w, tile, lane);
        const aiteri_key_range r = aiteri_visible_keys(p, s, row.token);
        tile->mask->lo[lane] = r.lo;
        tile->mask->hi[lane] = r.hi;
        tile->mask->sink[lane] = r.sink;
        tile->mask->most_sink = (int32_t)aiteri_max(tile->mask->most_sink, r.sink);
        tile->lo_max = (int32_t)aiteri_max(tile->lo_max, r.lo);
        tile->hi_min = (int32_t)aiteri_min(tile->hi_min, r.hi);
        if (p->alibi_slopes) {
            tile->slope[lane] = aiteri_slope_of(p, s, row.head);
            tile->position[lane] = aiteri_position_of(s, row.token);
        }
    }
    const aiteri_packed_row a = aiteri_packed_row_of(x->w, tile, 0);
    const aiteri_packed_row b = aiteri_packed_row_of(x->w, tile, tile->rows - 1);
    tile->seen = aiteri_visible_keys_of_span(p, s, a.token, b.token + 1);
}

static void aiteri_tile_begin(const aiteri_walk *x, int32_t first, int32_t rows, aiteri_tile *tile)
{
    const aiteri_problem *p = x->e->problem;
    const aiteri_kernels *kernels = x->e->kernels;
    const int32_t stride = aiteri_padded(p->k.dim);
    tile->first = first;
    tile->rows = rows;
    tile->vectors = (rows + kernels->lanes - 1) / kernels->lanes;
    aiteri_tile_lanes_fill(x, tile);
    for (int32_t lane = 0; lane < kernels->tile_lanes; lane++) {
        float *to = x->t->rows + lane * stride;
        if (lane >= rows) {
            memset(to, 0, (size_t)stride * sizeof(float));
            continue;
        }
        const aiteri_packed_row row = aiteri_packed_row_of(x->w, tile, lane);
        aiteri_gather_row(kernels, to, aiteri_row_at(&p->q, &x->s, row.token, row.head), p->q.dtype,
                          p->q.stride_dim, p->k.dim);
    }
    kernels->pack_query(tile->q, x->t->rows, stride, p->k.dim, x->e->rule.query);
    x->e->program->begin(x, tile);
}

/* The part of [first, end) that the range needs; empty if first == end. */
static aiteri_key_block aiteri_key_block_clip(aiteri_key_range seen, int32_t first, int32_t end)
{
    aiteri_key_block b;
    memset(&b, 0, sizeof b);
    b.v_finite = -1;
    b.start = first;
    const int32_t lo = (int32_t)aiteri_max(first, seen.lo), hi = (int32_t)aiteri_min(end, seen.hi);
    const int32_t sink = (int32_t)aiteri_min(end, seen.sink);
    const int window = lo<hi, prefix = sink> first;
    b.first = prefix ? first : lo;
    b.end = window ? hi : prefix ? sink : b.first;
    b.gap = b.resume = b.end;
    if (window && prefix) {
        b.gap = sink;
        b.resume = lo;
    }
    return b;
}

/* Keys [first, end) of a loaded block. */
static aiteri_block_run aiteri_keys_run(const aiteri_walk *x, const aiteri_key_block *b,
                                        int32_t first, int32_t end)
{
    const int32_t dim = x->e->problem->k.dim;
    const aiteri_block_run keys = {x->t->k, first - b->start, end - first, dim, dim};
    return keys;
}

static void aiteri_key_block_load(const aiteri_walk *x, const aiteri_key_block *b)
{
    const aiteri_problem *p = x->e->problem;
    aiteri_tile_scratch *t = x->t;
    const int32_t runs[2][2] = {{b->first, b->gap}, {b->resume, b->end}};
    const int32_t head = x->w->head_start / p->group;
    const int loads_v = x->e->program->uses_v && !aiteri_block_is_shared(p, x->e->kernels);
    for (int i = 0; i < 2; i++) {
        const int32_t place = runs[i][0] - b->start, first = runs[i][0], end = runs[i][1];
        if (first >= end) continue;
        aiteri_source_block(x->e, &x->s, &p->k, head, first, end, t->pointers, t->k, place);
        if (loads_v)
            aiteri_source_block(x->e, &x->s, &p->v, head, first, end, t->pointers, t->v, place);
    }
}

/* The bias of every (key, lane) of a block. */
static void aiteri_tile_bias(const aiteri_walk *x, const aiteri_tile *tile, int32_t first,
                             int32_t end)
{
    const int32_t lanes = x->e->kernels->tile_lanes;
    for (int32_t lane = 0; lane < lanes; lane++) {
        const aiteri_packed_row row = aiteri_packed_row_of(x->w, tile, lane);
        for (int32_t j = first; j < end; j++)
            x->t->before[(j - first) * lanes + lane] =
                lane < tile->rows
                    ? aiteri_bias_at(x->e->problem, &x->s, row.token, row.head, tile->seen, j)
                    : 0.0f;
    }
}

/* Softcap, bias, ALiBi and mask on a tile's scores of keys [first, end). */
static void aiteri_tile_adjust_scores(const aiteri_walk *x, const aiteri_tile *tile, int32_t first,
                                      int32_t end, int masked)
{
    aiteri_adjust adjust = aiteri_adjust_of(x->e, tile->slope, tile->position);
    if (masked) adjust.mask = tile->mask;
    if (aiteri_reads_pairs(x->e->problem)) {
        aiteri_tile_bias(x, tile, first, end);
        adjust.bias = x->t->before;
    }
    if (!masked && !adjust.softcap && !adjust.bias && !adjust.slope) return;
    x->e->kernels->tile_adjust(x->t->st, first, end - first, &adjust, tile->vectors);
}

/* One tile against one loaded block, clipped to what the tile itself can see. */
static void aiteri_tile_step(const aiteri_walk *x, aiteri_tile *tile, aiteri_key_block *b)
{
    float *st = x->t->st;
    const int32_t lanes = x->e->kernels->tile_lanes;
    const aiteri_key_block own = aiteri_key_block_clip(tile->seen, b->first, b->end);
    if (own.first >= own.end) return;
    AITERI_ASSERT(b->first <= own.first && own.end <= b->end);
    AITERI_ASSERT(own.first <= own.gap && own.gap <= own.resume && own.resume <= own.end);
    const int32_t runs[2][2] = {{own.first, own.gap}, {own.resume, own.end}};
    for (int i = 0; i < 2; i++) {
        const aiteri_block_run keys = aiteri_keys_run(x, b, runs[i][0], runs[i][1]);
        x->e->kernels->tile_score(st + (runs[i][0] - own.first) * lanes, &keys, tile->q,
                                  tile->vectors);
    }
    for (int32_t i = (own.gap - own.first) * lanes; i < (own.resume - own.first) * lanes; i++)
        st[i] = aiteri_minus_inf();
    const int masked = own.gap != own.resume || own.first < tile->lo_max || own.end > tile->hi_min;
    aiteri_tile_adjust_scores(x, tile, own.first, own.end, masked);
    x->e->program->step(x, tile, b, &own, masked);
}

static void aiteri_run_tile_work(const aiteri_engine *e, const aiteri_work *w,
                                 aiteri_tile_scratch *t)
{
    const aiteri_problem *p = e->problem;
    const aiteri_walk x = {e, w, t, aiteri_sequence_of(p, w->batch)};
    const int32_t lanes = e->kernels->tile_lanes;
    const int32_t rows = (w->q_end - w->q_start) * (w->head_end - w->head_start);
    const int32_t tiles = (rows + lanes - 1) / lanes;
    AITERI_ASSERT(0 < tiles && tiles <= aiteri_most_tiles(p, lanes));
    AITERI_ASSERT(w->head_start / p->group == (w->head_end - 1) / p->group);
    for (int32_t i = 0; i < tiles; i++)
        aiteri_tile_begin(&x, i * lanes, (int32_t)aiteri_min(lanes, rows - i * lanes), &t->tile[i]);
    const aiteri_key_range seen = aiteri_visible_keys_of_span(p, &x.s, w->q_start, w->q_end);
    for (int32_t at = w->kv_start; at < w->kv_end; at += AITERI_TILE_KEYS) {
        const int32_t end = (int32_t)aiteri_min((int64_t)at + AITERI_TILE_KEYS, w->kv_end);
        aiteri_key_block block = aiteri_key_block_clip(seen, at, end);
        if (block.first >= block.end) continue;
        aiteri_key_block_load(&x, &block);
        for (int32_t i = 0; i < tiles; i++) aiteri_tile_step(&x, &t->tile[i], &block);
    }
    for (int32_t i = 0; i < tiles; i++) e->program->end(&x, &t->tile[i]);
}

#endif /* AITERI_ENGINE_WALK_C */

// >>engine_softmax    (src/cpu/engine_softmax.c)
/* engine_softmax.c -- the program of softmax attention: each tile's maximum, sum and output follow
 * the blocks, and a finished row is normalised. */
#ifndef AITERI_ENGINE_SOFTMAX_C
#define AITERI_ENGINE_SOFTMAX_C


static void aiteri_softmax_begin(const aiteri_walk *x, aiteri_tile *tile)
{
    const int32_t lanes = x->e->kernels->tile_lanes;
    for (int32_t lane = 0; lane < lanes; lane++) {
        tile->m[lane] = aiteri_minus_inf();
        tile->l[lane] = 0.0f;
    }
    memset(tile->ot, 0, (size_t)lanes * (size_t)x->e->problem->v.dim * sizeof(float));
}

/* The values of keys [first, end) of a loaded block. */
static aiteri_block_run aiteri_values_run(const aiteri_walk *x, const aiteri_key_block *b,
                                          int32_t first, int32_t end)
{
    const aiteri_problem *p = x->e->problem;
    const int32_t row_dim = aiteri_block_is_shared(p, x->e->kernels) ? p->k.dim : p->v.dim;
    const aiteri_block_run values = {x->t->v, first - b->start, end - first, p->v.dim, row_dim};
    return values;
}

/* Every V row that the block holds is finite: then weight 0 hides a key wholly. */
static int aiteri_key_block_finite(const aiteri_walk *x, aiteri_key_block *b)
{
    if (b->v_finite < 0) {
        const aiteri_block_run prefix = aiteri_values_run(x, b, b->first, b->gap);
        const aiteri_block_run window = aiteri_values_run(x, b, b->resume, b->end);
        b->v_finite = x->e->kernels->v_finite(&prefix) && x->e->kernels->v_finite(&window);
    }
    return b->v_finite;
}

static void aiteri_softmax_step(const aiteri_walk *x, aiteri_tile *tile, aiteri_key_block *loaded,
                                const aiteri_key_block *own, int masked)
{
    const aiteri_problem *p = x->e->problem;
    const aiteri_kernels *kernels = x->e->kernels;
    float *st = x->t->st, *before = x->t->before;
    const int32_t lanes = kernels->tile_lanes, n = own->end - own->first;
    /* By the mask where it alone hides: a score of -infinity that a tile without hidden keys would
     * not look at must not hide here, or the cutting into tiles could be seen. */
    const int pairs = aiteri_reads_pairs(p);
    const int guarded = (masked || pairs) && !aiteri_key_block_finite(x, loaded);
    if (guarded && pairs) memcpy(before, st, (size_t)n * (size_t)lanes * sizeof(float));
    kernels->tile_softmax(st, n, x->e->rule.softmax, tile->m, tile->l, tile->ot, p->v.dim,
                          tile->vectors);
    const int32_t runs[2][2] = {{own->first, own->gap}, {own->resume, own->end}};
    for (int i = 0; i < 2; i++) {
        const int32_t at = (runs[i][0] - own->first) * lanes;
        const aiteri_block_run values = aiteri_values_run(x, loaded, runs[i][0], runs[i][1]);
        if (values.n == 0) continue;
        if (guarded)
            kernels->tile_value_guarded(tile->ot, &values, runs[i][0], st + at, tile->mask,
                                        pairs ? before + at : NULL, tile->vectors);
        else
            kernels->tile_value(tile->ot, &values, st + at, tile->vectors);
    }
}

static void aiteri_softmax_end(const aiteri_walk *x, aiteri_tile *tile)
{
    const aiteri_engine *e = x->e;
    const int32_t dim_v = e->problem->v.dim, stride = aiteri_padded(dim_v);
    e->kernels->tile_unpack(x->t->rows, stride, tile->ot, dim_v);
    for (int32_t lane = 0; lane < tile->rows; lane++) {
        float *row = x->t->rows + lane * stride;
        const aiteri_packed_row at = aiteri_packed_row_of(x->w, tile, lane);
        const aiteri_row_state state = {tile->m[lane], tile->l[lane], AITERI_TILE_UNIT};
        for (int32_t d = dim_v; d < stride; d++) row[d] = 0.0f;
        if (x->w->partial_row >= 0)
            aiteri_store_partial(e, x->w->partial_row + tile->first + lane, row, state.m, state.l);
        else
            aiteri_finish_row(e, &x->s, at.token, at.head, row, state);
    }
}

static const aiteri_program aiteri_softmax_program = {1, aiteri_softmax_begin, aiteri_softmax_step,
                                                      aiteri_softmax_end, aiteri_merge_pieces};

#endif /* AITERI_ENGINE_SOFTMAX_C */

// >>engine_stream    (src/cpu/engine_stream.c)
/* engine_stream.c -- one work of the stream family: the few query rows of a sequence against a
 * piece of its keys, every K and V row loaded once for all rows of its kv head.
 *
 * Blocks of keys start at multiples of AITERI_STREAM_KEYS from key 0 and a score keeps its place in
 * the block, so sums over a block have one order however it is clipped. Where a token's heads lie
 * side by side all heads take a block before the next one, and the next block is prefetched line by
 * line. */
#ifndef AITERI_ENGINE_STREAM_C
#define AITERI_ENGINE_STREAM_C


typedef struct aiteri_stream_scratch {
    float *q, *o, *m, *l; /* rows of every kv head of the work: [kv heads][rows][...] */
    float *s;             /* [rows][AITERI_STREAM_KEYS + slack] */
    float *k, *v;         /* widened rows, for types and strides without a loop of their own */
    float *k_scale, *v_scale, *bias;
    uint32_t *seen; /* of each row: bit i is set if the score at place i is not -infinity */
    const void **k_rows, **v_rows;
    const void **next[2];  /* rows of the next block, K and V, of its first head */
    const void **ahead[2]; /* the share of them that a head brings nearer */
} aiteri_stream_scratch;

enum {
    AITERI_SCORE_STRIDE = AITERI_STREAM_KEYS + AITERI_PAD,
    AITERI_STREAM_RUNS = 3 /* of a block: before and behind a gap, one of them of two parts */
};

static void aiteri_stream_scratch_carve(aiteri_stream_scratch *t, aiteri_arena *arena,
                                        const aiteri_problem *p)
{
    const size_t rows =
        p->group > AITERI_STREAM_ROWS ? 0 : (size_t)(AITERI_STREAM_ROWS / p->group * p->group);
    const size_t all = rows * (size_t)aiteri_most_stream_heads(p);
    const size_t dim = (size_t)aiteri_padded(p->k.dim), dim_v = (size_t)aiteri_padded(p->v.dim);
    const size_t keys = AITERI_STREAM_KEYS + AITERI_STREAM_SLACK;
    const size_t rows_of_runs =
        AITERI_STREAM_KEYS + (size_t)AITERI_STREAM_RUNS * (size_t)AITERI_STREAM_SLACK;
    t->q = (float *)aiteri_carve(arena, all * dim, sizeof(float));
    t->o = (float *)aiteri_carve(arena, all * dim_v, sizeof(float));
    t->m = (float *)aiteri_carve(arena, all, sizeof(float));
    t->l = (float *)aiteri_carve(arena, all, sizeof(float));
    t->s = (float *)aiteri_carve(arena, rows * AITERI_SCORE_STRIDE, sizeof(float));
    t->k = (float *)aiteri_carve(arena, AITERI_STREAM_KEYS * (size_t)aiteri_block_stride(p->k.dim),
                                 sizeof(float));
    t->v = (float *)aiteri_carve(arena, AITERI_STREAM_KEYS * (size_t)aiteri_block_stride(p->v.dim),
                                 sizeof(float));
    t->k_scale = (float *)aiteri_carve(arena, AITERI_STREAM_KEYS, sizeof(float));
    t->v_scale =
        p->v_in_k ? t->k_scale : (float *)aiteri_carve(arena, AITERI_STREAM_KEYS, sizeof(float));
    t->bias =
        (float *)aiteri_carve(arena, aiteri_reads_pairs(p) ? AITERI_STREAM_KEYS : 0, sizeof(float));
    t->seen = (uint32_t *)aiteri_carve(arena, rows, sizeof(uint32_t));
    t->k_rows = (const void **)aiteri_carve(arena, rows_of_runs, sizeof(void *));
    t->v_rows = (const void **)aiteri_carve(arena, rows_of_runs, sizeof(void *));
    for (int kv = 0; kv < 2; kv++) { /* a head's share may be a token more than its places */
        t->next[kv] = (const void **)aiteri_carve(arena, AITERI_STREAM_KEYS, sizeof(void *));
        t->ahead[kv] = (const void **)aiteri_carve(
            arena, keys + (size_t)aiteri_most_stream_heads(p), sizeof(void *));
    }
}

/* The work being run, for the functions below. */
typedef struct aiteri_stream {
    const aiteri_engine *e;
    const aiteri_work *w;
    aiteri_stream_scratch *t;
    aiteri_sequence s;
    int32_t rows; /* query tokens * group: of one kv head */
    int32_t kv_start, kv_heads;
    aiteri_key_range seen;
    int32_t run[AITERI_STREAM_RUNS][2],
        runs;               /* of keys that are loaded of the block, each of one part */
    int32_t lo_max, hi_min; /* every row sees keys [lo_max, hi_min) */
    aiter_dtype k_type[AITERI_STREAM_RUNS]; /* of each run's rows of K as the kernels read them */
    int k_scales, v_scales;   /* scores are multiplied by scales of K, weights by those of V */
    const aiteri_work *after; /* what this worker will probably run next, or NULL */
} aiteri_stream;

static void aiteri_stream_begin(aiteri_stream *x)
{
    const aiteri_problem *p = x->e->problem;
    const int32_t dim = aiteri_padded(p->k.dim), dim_v = aiteri_padded(p->v.dim);
    const int32_t all = x->rows * x->kv_heads;
    for (int32_t i = 0; i < all; i++) {
        const int32_t r = i % x->rows, h = x->kv_start + i / x->rows;
        float *q = x->t->q + (int64_t)i * dim;
        aiteri_gather_row(
            x->e->kernels, q,
            aiteri_row_at(&p->q, &x->s, x->w->q_start + r / p->group, h * p->group + r % p->group),
            p->q.dtype, p->q.stride_dim, p->k.dim);
        for (int32_t d = p->k.dim; d < dim; d++) q[d] = 0.0f;
        x->e->kernels->row_scale(q, dim, x->e->rule.query);
        x->t->m[i] = aiteri_minus_inf();
        x->t->l[i] = 0.0f;
    }
    memset(x->t->o, 0, (size_t)all * (size_t)dim_v * sizeof(float));
}

/* Whether sums are multiplied by scales of a part. */
static int aiteri_stream_scales(const aiteri_problem *p, const aiteri_source *source)
{
    return aiteri_scales_rows(source) || aiteri_scales_rows(aiteri_tail_of(p, source));
}

/* What sums over keys [first, end), of one part, are multiplied by. */
static void aiteri_stream_scales_load(const aiteri_stream *x, const aiteri_source *source,
                                      int32_t h, int32_t first, int32_t end, float *scale)
{
    const aiteri_source *part = aiteri_part_of(x->e->problem, &x->s, source, first);
    if (aiteri_rows_are_whole(part))
        aiteri_source_scales(x->e->problem, &x->s, part, h, first, end, scale);
    else /* its elements are */
        for (int32_t i = 0; i < end - first; i++) scale[i] = 1.0f;
}

/* Row pointers of run i for the loops of the type returned: the source's own rows, which are those
 * of the head before and a step, or widened ones. The list is padded with its last entry. */
static aiter_dtype aiteri_stream_rows(const aiteri_stream *x, const aiteri_source *source,
                                      int32_t h, int32_t i, const void **rows, float *scratch)
{
    const aiteri_problem *p = x->e->problem;
    const int32_t first = x->run[i][0], end = x->run[i][1], n = end - first;
    const aiteri_source *part = aiteri_part_of(p, &x->s, source, first);
    const aiter_dtype type = part->dtype;
    AITERI_ASSERT(0 < n && n <= AITERI_STREAM_KEYS);
    if (part->stride_dim != 1 || !x->e->kernels->stream_dot[type] || !aiteri_rows_are_whole(part)) {
        aiteri_load_rows(x->e, &x->s, source, x->kv_start + h, first, end, rows, 1, aiteri_f32_load,
                         scratch, 0);
        for (int32_t k = 0; k < n + AITERI_STREAM_SLACK; k++)
            rows[k] = scratch + (k < n ? k : n - 1) * aiteri_block_stride(part->dim);
        return AITER_F32;
    }
    if (h > 0) {
        const int64_t step = aiteri_bytes_of(type, part->stride_head);
        for (int32_t k = 0; k < n + AITERI_STREAM_SLACK; k++)
            rows[k] = (const char *)rows[k] + step;
        return type;
    }
    aiteri_source_rows(p, &x->s, part, x->kv_start, first, end, rows);
    for (int32_t k = n; k < n + AITERI_STREAM_SLACK; k++) rows[k] = rows[n - 1];
    return type;
}

/* Where the rows of run i begin in their list: behind those of the runs before and their padding.
 */
static int32_t aiteri_stream_place(const aiteri_stream *x, int32_t block, int32_t i)
{
    return x->run[i][0] - block + i * AITERI_STREAM_SLACK;
}

/* Scores of run i of keys, at their places in the block that starts at `block`. */
static void aiteri_stream_scores(aiteri_stream *x, int32_t h, int32_t block, int32_t i)
{
    const aiteri_problem *p = x->e->problem;
    aiteri_stream_scratch *t = x->t;
    const int32_t first = x->run[i][0], end = x->run[i][1], place = first - block;
    const int32_t dim = aiteri_padded(p->k.dim);
    const void **rows = t->k_rows + aiteri_stream_place(x, block, i);
    AITERI_ASSERT(block <= first && end <= block + AITERI_STREAM_KEYS);
    x->k_type[i] =
        aiteri_stream_rows(x, &p->k, h, i, rows, t->k + place * aiteri_block_stride(p->k.dim));
    x->e->kernels->stream_dot[x->k_type[i]](t->s + place, AITERI_SCORE_STRIDE,
                                            t->q + (int64_t)h * x->rows * dim, dim, x->rows,
                                            p->k.dim, rows, end - first, t->ahead[0] + place);
}

/* What one row does to its scores before the softmax; hidden places become -inf. A whole block has
 * none. */
static void aiteri_stream_adjust(const aiteri_stream *x, int32_t h, int32_t r, int32_t block,
                                 int whole)
{
    const aiteri_problem *p = x->e->problem;
    const int32_t token = x->w->q_start + r / p->group;
    const int32_t head = (x->kv_start + h) * p->group + r % p->group;
    const float slope = p->alibi_slopes ? aiteri_slope_of(p, &x->s, head) : 0.0f;
    const float position = aiteri_position_of(&x->s, token);
    float *s = x->t->s + (int64_t)r * AITERI_SCORE_STRIDE;
    aiteri_adjust adjust = aiteri_adjust_of(x->e, &slope, &position);
    aiteri_lane_mask mask;
    if (!whole || aiteri_reads_pairs(p)) {
        const aiteri_key_range own = aiteri_visible_keys(p, &x->s, token);
        mask.lo[0] = own.lo;
        mask.hi[0] = own.hi;
        mask.sink[0] = mask.most_sink = own.sink;
        if (!whole) adjust.mask = &mask;
        if (aiteri_reads_pairs(p)) {
            for (int32_t i = 0; i < AITERI_STREAM_KEYS; i++)
                x->t->bias[i] = aiteri_bias_at(p, &x->s, token, head, own, block + i);
            adjust.bias = x->t->bias;
        }
    }
    if (x->k_scales) x->e->kernels->stream_mul(s, x->t->k_scale);
    const int hides = adjust.mask || adjust.bias || adjust.slope;
    if (hides || adjust.softcap) /* a factor comes with one of them */
        x->e->kernels->stream_adjust(s, block, &adjust);
    x->t->seen[r] = 0xffffffffu;
    for (int32_t i = 0; hides && i < AITERI_STREAM_KEYS; i++)
        if (aiteri_bits_of_f32(s[i]) == 0xff800000u) x->t->seen[r] &= ~((uint32_t)1 << i);
}

/* Does every row of the work see all of the block's loaded keys? */
static int aiteri_stream_sees_all(const aiteri_stream *x, const aiteri_key_block *b)
{
    return b->gap == b->resume && b->first >= x->lo_max && b->end <= x->hi_min;
}

/* Bits [first, end) of a word; end > first. */
AITERI_FORCE_INLINE uint32_t aiteri_bits_between(int32_t first, int32_t end)
{
    return (0xffffffffu >> (32 - (end - first))) << first;
}

/* o += p v over run i of keys: all rows at once, or each over the keys that it sees itself, so that
 * a hidden V row cannot reach it whatever it holds. */
static void aiteri_stream_values(aiteri_stream *x, int32_t h, int32_t block, int32_t i)
{
    const aiteri_problem *p = x->e->problem;
    const aiteri_kernels *kernels = x->e->kernels;
    aiteri_stream_scratch *t = x->t;
    const int32_t first = x->run[i][0], end = x->run[i][1];
    const int32_t stride = aiteri_padded(p->v.dim);
    const void **rows = (p->v_in_k ? t->k_rows : t->v_rows) + aiteri_stream_place(x, block, i);
    const aiter_dtype type =
        p->v_in_k ? x->k_type[i] : aiteri_stream_rows(x, &p->v, h, i, rows, t->v);
    const aiteri_axpy_fn axpy = kernels->stream_axpy[type];
    float *o = t->o + (int64_t)h * x->rows * stride;
    const uint32_t run = aiteri_bits_between(first - block, end - block);
    uint32_t all = run;
    for (int32_t r = 0; r < x->rows; r++) all &= t->seen[r];
    if (all == run) {
        axpy(o, stride, t->s + (first - block), AITERI_SCORE_STRIDE, x->rows, p->v.dim, rows,
             end - first, t->ahead[1] + (first - block));
        return;
    }
    for (int32_t r = 0; r < x->rows; r++) {
        const uint32_t seen = t->seen[r] & run;
        for (int32_t at = first - block, to; at < end - block; at = to) {
            to = at + 1;
            if (!(seen >> at & 1)) continue;
            while (to < end - block && seen >> to & 1) to++;
            axpy(o + (int64_t)r * stride, stride, t->s + (int64_t)r * AITERI_SCORE_STRIDE + at,
                 AITERI_SCORE_STRIDE, 1, p->v.dim, rows + (at + block - first), to - at,
                 t->ahead[1] + at);
        }
    }
}

/* The block that will be worked on after this one: of this work, or the first of the next; its keys
 * of one part. */
typedef struct aiteri_next_block {
    aiteri_sequence s;
    int32_t kv_start, first, end;
} aiteri_next_block;

static aiteri_next_block aiteri_stream_next(const aiteri_stream *x, int32_t end)
{
    const aiteri_problem *p = x->e->problem;
    const int32_t first = (int32_t)aiteri_max(end, x->seen.lo);
    const int32_t stop = (int32_t)aiteri_min(
        aiteri_min((int64_t)end + AITERI_STREAM_KEYS, x->w->kv_end), x->seen.hi);
    aiteri_next_block n = {x->s, x->kv_start, first, aiteri_part_end(&x->s, first, stop)};
    if (first < stop || !x->after) return n;
    n.s = aiteri_sequence_of(p, x->after->batch);
    n.kv_start = x->after->head_start / p->group;
    const aiteri_key_range seen =
        aiteri_visible_keys_of_span(p, &n.s, x->after->q_start, x->after->q_end);
    n.first = (int32_t)aiteri_max(x->after->kv_start, seen.lo);
    n.end = (int32_t)aiteri_min(
        aiteri_min((int64_t)x->after->kv_start + AITERI_STREAM_KEYS, x->after->kv_end), seen.hi);
    n.end = aiteri_part_end(&n.s, n.first, n.end);
    return n;
}

/* The rows of the next block's first head. V in K comes with K. */
static void aiteri_stream_look(const aiteri_stream *x, const aiteri_next_block *n)
{
    const aiteri_problem *p = x->e->problem;
    if (n->first >= n->end) return;
    for (int kv = 0; kv < (p->v_in_k ? 1 : 2); kv++)
        aiteri_source_rows(p, &n->s, aiteri_part_of(p, &n->s, kv ? &p->v : &p->k, n->first),
                           n->kv_start, n->first, n->end, x->t->next[kv]);
}

/* Spreads kv head h's share of the next block over the places of this one: where the heads of a
 * token lie side by side, all heads of a slice of its tokens, in the order of memory; else this
 * head's own rows. */
static void aiteri_stream_aim(const aiteri_stream *x, int32_t h, const aiteri_next_block *n)
{
    const aiteri_problem *p = x->e->problem;
    for (int kv = 0; kv < 2; kv++) {
        const aiteri_source *src = aiteri_part_of(p, &n->s, kv ? &p->v : &p->k, n->first);
        const void **ahead = x->t->ahead[kv];
        const int joined = x->kv_heads > 1 && src->stride_head == src->dim;
        const int32_t keys = kv && p->v_in_k ? 0 : (int32_t)aiteri_max(0, n->end - n->first);
        const int32_t heads = joined ? x->kv_heads : 1, share = joined ? h : 0;
        const int32_t from = keys * share / heads, to = keys * (share + 1) / heads;
        const int64_t step = aiteri_bytes_of(src->dtype, src->stride_head);
        for (int32_t t = from; t < to; t++) {
            const char *row = (const char *)x->t->next[kv][t] + (joined ? 0 : h * step);
            for (int32_t head = 0; head < heads; head++) *ahead++ = row + head * step;
        }
        while (ahead < x->t->ahead[kv] + AITERI_STREAM_KEYS + AITERI_STREAM_SLACK)
            *ahead++ = x->t->q; /* nothing to bring: a line that is here already */
    }
}

static void aiteri_stream_runs(aiteri_stream *x, const aiteri_key_block *b)
{
    const int32_t ends[2][2] = {{b->first, b->gap}, {b->resume, b->end}};
    x->runs = 0;
    for (int i = 0; i < 2; i++)
        for (int32_t at = ends[i][0]; at < ends[i][1];) {
            int32_t *run = x->run[x->runs++];
            run[0] = at;
            run[1] = at = aiteri_part_end(&x->s, at, ends[i][1]);
        }
}

/* One kv head against one block. */
static void aiteri_stream_step(aiteri_stream *x, int32_t h, int32_t block,
                               const aiteri_key_block *b)
{
    const aiteri_problem *p = x->e->problem;
    const aiteri_kernels *kernels = x->e->kernels;
    aiteri_stream_scratch *t = x->t;
    const int32_t dim_v = aiteri_padded(p->v.dim);
    if (x->v_scales) memset(t->v_scale, 0, AITERI_STREAM_KEYS * sizeof(float));
    if (x->k_scales) memset(t->k_scale, 0, AITERI_STREAM_KEYS * sizeof(float));
    for (int32_t i = 0; i < x->runs; i++) {
        const int32_t *run = x->run[i];
        aiteri_stream_scores(x, h, block, i);
        if (x->k_scales)
            aiteri_stream_scales_load(x, &p->k, x->kv_start + h, run[0], run[1],
                                      t->k_scale + (run[0] - block));
        if (x->v_scales && !p->v_in_k)
            aiteri_stream_scales_load(x, &p->v, x->kv_start + h, run[0], run[1],
                                      t->v_scale + (run[0] - block));
    }
    const int whole =
        b->first == block && b->end == block + AITERI_STREAM_KEYS && aiteri_stream_sees_all(x, b);
    for (int32_t r = 0; r < x->rows; r++) {
        float *s = t->s + (int64_t)r * AITERI_SCORE_STRIDE;
        const int64_t i = (int64_t)h * x->rows + r;
        aiteri_stream_adjust(x, h, r, block, whole);
        const float factor = kernels->stream_softmax(s, x->e->rule.softmax, &t->m[i], &t->l[i]);
        if (factor != 1.0f) kernels->row_scale(t->o + i * dim_v, dim_v, factor);
        if (x->v_scales) kernels->stream_mul(s, t->v_scale);
    }
    for (int32_t i = 0; i < x->runs; i++) aiteri_stream_values(x, h, block, i);
}

static void aiteri_stream_end(aiteri_stream *x)
{
    const aiteri_problem *p = x->e->problem;
    const int32_t dim_v = aiteri_padded(p->v.dim);
    const int32_t heads = x->w->head_end - x->w->head_start;
    for (int32_t i = 0; i < x->rows * x->kv_heads; i++) {
        const int32_t r = i % x->rows, token = r / p->group;
        const int32_t head = i / x->rows * p->group + r % p->group; /* within the work */
        float *row = x->t->o + (int64_t)i * dim_v;
        const aiteri_row_state state = {x->t->m[i], x->t->l[i], 1.0f};
        if (x->w->partial_row >= 0)
            aiteri_store_partial(x->e, x->w->partial_row + (int64_t)token * heads + head, row,
                                 state.m, state.l);
        else
            aiteri_finish_row(x->e, &x->s, x->w->q_start + token, x->w->head_start + head, row,
                              state);
    }
}

static void aiteri_run_stream_work(const aiteri_engine *e, const aiteri_work *w,
                                   const aiteri_work *after, aiteri_stream_scratch *t)
{
    const aiteri_problem *p = e->problem;
    aiteri_stream x;
    memset(&x, 0, sizeof x);
    x.e = e;
    x.w = w;
    x.after = after;
    x.t = t;
    x.s = aiteri_sequence_of(p, w->batch);
    x.rows = (w->q_end - w->q_start) * p->group;
    x.kv_start = w->head_start / p->group;
    x.kv_heads = (w->head_end - w->head_start) / p->group;
    x.seen = aiteri_visible_keys_of_span(p, &x.s, w->q_start, w->q_end);
    x.k_scales = aiteri_stream_scales(p, &p->k);
    x.v_scales = p->v_in_k ? x.k_scales : aiteri_stream_scales(p, &p->v);
    x.hi_min = x.s.seqlen_k;
    for (int32_t i = w->q_start; i < w->q_end; i++) {
        const aiteri_key_range own = aiteri_visible_keys(p, &x.s, i);
        x.lo_max = (int32_t)aiteri_max(x.lo_max, own.lo);
        x.hi_min = (int32_t)aiteri_min(x.hi_min, own.hi);
    }
    AITERI_ASSERT(0 < x.rows && x.rows <= AITERI_STREAM_ROWS);
    AITERI_ASSERT(0 < x.kv_heads && x.kv_heads <= aiteri_most_stream_heads(p));
    AITERI_ASSERT(w->head_start % p->group == 0 && w->kv_start % AITERI_STREAM_KEYS == 0);
    aiteri_stream_begin(&x);
    for (int32_t at = w->kv_start; at < w->kv_end; at += AITERI_STREAM_KEYS) {
        const int32_t end = (int32_t)aiteri_min((int64_t)at + AITERI_STREAM_KEYS, w->kv_end);
        const aiteri_key_block b = aiteri_key_block_clip(x.seen, at, end);
        if (b.first >= b.end) continue;
        aiteri_stream_runs(&x, &b);
        const aiteri_next_block next = aiteri_stream_next(&x, end);
        aiteri_stream_look(&x, &next);
        for (int32_t h = 0; h < x.kv_heads; h++) {
            aiteri_stream_aim(&x, h, &next);
            aiteri_stream_step(&x, h, at, &b);
        }
    }
    aiteri_stream_end(&x);
}

#endif /* AITERI_ENGINE_STREAM_C */
#endif
AITERI_ONCE_A_CALL_BEGIN

// >>explain    (src/ops/explain.c)
/* explain.c -- how an _explain writes its text, and what those of all ops say. */
#ifndef AITERI_EXPLAIN_C
#define AITERI_EXPLAIN_C

#if AITERI_GPU
#endif

/* A text in the caller's memory; what does not fit is left out. */
typedef struct aiteri_text {
    char *at;
    size_t left; /* the closing 0 included */
} aiteri_text;

static void aiteri_say(aiteri_text *t, const char *format, ...) AITERI_PRINTF(2, 3);
static void aiteri_say(aiteri_text *t, const char *format, ...)
{
    va_list list;
    if (t->left == 0) return;
    va_start(list, format);
    const int n = vsnprintf(t->at, t->left, format, list);
    va_end(list);
    const size_t used = (size_t)n < t->left ? (size_t)n : t->left - 1;
    t->at += used;
    t->left -= used;
}

static void aiteri_explain_engine(aiteri_text *t, aiter_context *ctx)
{
    const aiter_context_details d = aiter_context_info(ctx);
    if (d.device == AITER_DEVICE_CPU)
        aiteri_say(t, "engine: cpu, kernel set %s, %d thread%s\n", d.isa_name, (int)d.num_threads,
                   d.num_threads == 1 ? "" : "s");
    else
        aiteri_say(t, "engine: %s, %s, %d compute units\n", d.device_name, d.architecture,
                   (int)d.compute_units);
}

static double aiteri_bytes_per(aiter_dtype dtype) { return aiter_dtype_bits(dtype) / 8.0; }

/* Behind a type, what its elements are to be multiplied by. */
AITERI_UNUSED static const char *aiteri_scale_words(aiter_scale_kind kind)
{
    switch (kind) {
    case AITER_SCALE_PER_TENSOR: return " with one scale";
    case AITER_SCALE_PER_HEAD: return " with a scale per head";
    case AITER_SCALE_PER_TOKEN_HEAD: return " with a scale per token and head";
    default: return "";
    }
}

/* How an op without keys is cut: `count` rows, each by one worker; on a device by row `row` of the
 * registry, in so many launches. */
AITERI_UNUSED static void aiteri_explain_rows(aiteri_text *t, aiter_context *ctx, int32_t row,
                                              const char *rows, int64_t count, int64_t launches)
{
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        const aiteri_gpu_row *r = &aiteri_gpu_rows_table[row];
        aiteri_say(t, "kernel: %s, %d of %lld %s by %d threads, %lld workgroups x %lld launches\n",
                   r->symbol, (int)r->rows, (long long)count, rows, (int)r->threads,
                   (long long)aiteri_ceil_div(count, r->rows), (long long)launches);
        return;
    }
#endif
    (void)ctx, (void)row;
    aiteri_say(t, "work: %lld %s, a stretch of the tokens for each thread\n",
               (long long)(count * launches), rows);
}

/* Begins the text of `op` with its verdict, `status`, and of what runs with the engine and the
 * bytes of the workspace; *t has no room where there is none. */
static aiter_status aiteri_explain_begin(const char *op, aiter_context *ctx, aiter_status status,
                                         size_t need, char *text, size_t bytes, aiteri_text *t)
{
    t->at = text;
    t->left = text ? bytes : 0;
    if (t->left == 0)
        return status != AITER_OK ? status
                                  : aiteri_fail(ctx, AITER_INVALID_ARGUMENT,
                                                "%s_explain.%s, expected room for the text", op,
                                                text ? "bytes: is 0" : "text: is NULL");
    if (status != AITER_OK) {
        aiteri_say(t, "%s: %s\n%s\n", op, aiter_status_name(status), aiteri_error_text);
        return status;
    }
    aiteri_say(t, "%s: runs\n", op);
    aiteri_explain_engine(t, ctx);
    aiteri_say(t, "workspace: %zu bytes\n", need);
    return status;
}

#endif /* AITERI_EXPLAIN_C */

// >>call_begin    (src/ops/call_begin.c)
/* call_begin.c -- what is the same of all ops: their args are there, and of this header; and the
 * calls that an op makes of its family. */
#ifndef AITERI_CALL_BEGIN_C
#define AITERI_CALL_BEGIN_C


/* `call` is "" or what follows the op's name: "_plan". */
static aiter_status aiteri_call_begin(const char *op, const char *call, aiter_context *ctx,
                                      const void *args, size_t bytes)
{
    uint32_t given;
    aiteri_context_begin(ctx);
    if (!args)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT, "%s%s.args: is NULL, expected a pointer",
                           op, call);
    memcpy(&given, args, sizeof given); /* struct_bytes is the first field of each */
    if (given != 0 && given != bytes)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT,
                           "%s.struct_bytes: is %lu, expected 0 or %lu; was the caller compiled "
                           "with the header of another version than " AITER_ATTN_VERSION_STRING "?",
                           op, (unsigned long)given, (unsigned long)bytes);
    return AITER_OK;
}

/* What an op without kernels for devices answers there. */
AITERI_UNUSED static aiter_status aiteri_needs_cpu(const char *op, aiter_context *ctx)
{
    if (!aiteri_context_on_device(ctx)) return AITER_OK;
    return aiteri_fail(ctx, AITER_NO_KERNEL,
                       "%s: has no device kernel: call it with a CPU context and host memory", op);
}

/* The calls of aiter_<name>, whose args `family` takes:
 *     begin(op, call, args, ctx, x)   x holds a copy of args that are there, and what `op` tells
 *     run(x, ctx)                     checks and runs it
 *     workspace(x, ctx, bytes)        answers the query
 *     supported(x, ctx, bytes)        checks all that shapes tell; the bytes of its workspace
 *     explain(x, ctx, text)           what such an x would do, in words */
#define AITERI_CALLS(name, family, op)                                                            \
    AITER_ATTN_API aiter_status aiter_##name(const aiter_##name##_args *args, aiter_context *ctx) \
    {                                                                                             \
        aiteri_##family x;                                                                        \
        AITERI_TRY(aiteri_##family##_begin(op, "", args, ctx, &x));                               \
        return aiteri_##family##_run(&x, ctx);                                                    \
    }                                                                                             \
    AITER_ATTN_API aiter_status aiter_##name##_workspace(const aiter_##name##_args *args,         \
                                                         aiter_context *ctx, size_t *bytes)       \
    {                                                                                             \
        aiteri_##family x;                                                                        \
        AITERI_TRY(aiteri_##family##_begin(op, "_workspace", args, ctx, &x));                     \
        return aiteri_##family##_workspace(&x, ctx, bytes);                                       \
    }                                                                                             \
    AITER_ATTN_API aiter_status aiter_##name##_supported(const aiter_##name##_args *args,         \
                                                         aiter_context *ctx)                      \
    {                                                                                             \
        aiteri_##family x;                                                                        \
        size_t bytes;                                                                             \
        AITERI_TRY(aiteri_##family##_begin(op, "_supported", args, ctx, &x));                     \
        return aiteri_##family##_supported(&x, ctx, &bytes);                                      \
    }                                                                                             \
    AITER_ATTN_API aiter_status aiter_##name##_explain(                                           \
        const aiter_##name##_args *args, aiter_context *ctx, char *text, size_t bytes)            \
    {                                                                                             \
        aiteri_##family x;                                                                        \
        aiteri_text t;                                                                            \
        size_t need = 0;                                                                          \
        aiter_status status = aiteri_##family##_begin(op, "_explain", args, ctx, &x);             \
        if (status == AITER_OK) status = aiteri_##family##_supported(&x, ctx, &need);             \
        status = aiteri_explain_begin("aiter_" #name, ctx, status, need, text, bytes, &t);        \
        return status == AITER_OK ? aiteri_##family##_explain(&x, ctx, &t) : status;              \
    }

#endif /* AITERI_CALL_BEGIN_C */
#if AITERI_ATTENTION

// >>engine    (src/cpu/engine.c)
/* engine.c -- runs problems: of each one workspace layout and one schedule, workers that take works
 * from it. */
#ifndef AITERI_ENGINE_C
#define AITERI_ENGINE_C


typedef struct aiteri_workspace {
    aiteri_schedule_bounds bounds;
    void *plan;                  /* aiteri_plan_head and arrays, when the caller brought none */
    aiteri_counter *cursor;      /* [workers][8], a line each: the next work of each range */
    aiteri_counter *pieces_left; /* [reduces] */
    float *partials;
    char *slot; /* [workers][slot_bytes] */
    size_t plan_bytes, slot_bytes;
} aiteri_workspace;

static int64_t aiteri_partial_stride(const aiteri_problem *p)
{
    return aiteri_padded(p->v.dim) + AITERI_PAD;
}

/* The context's kernel set, or the next one below it that takes the problem. */
static const aiteri_kernels *aiteri_kernels_for(const aiteri_problem *p, const aiter_context *ctx)
{
    const aiteri_kernels *kernels = aiteri_context_kernels(ctx);
    while (kernels->takes && !kernels->takes(p, ctx ? ctx->desc.exact_arithmetic : 0))
        kernels = kernels->below;
    return kernels;
}

/* Scratch of one worker: the two families never run at once, so they overlap. */
static size_t aiteri_slot_bytes(const aiteri_problem *p, const aiteri_kernels *kernels)
{
    aiteri_arena arena = {NULL, 0};
    aiteri_tile_scratch tiles;
    aiteri_tile_scratch_carve(&tiles, &arena, p, kernels);
    aiteri_arena other = {NULL, 0};
    aiteri_stream_scratch stream;
    aiteri_stream_scratch_carve(&stream, &other, p);
    return arena.used > other.used ? arena.used : other.used;
}

/* One layout for the query and the run. */
static aiteri_workspace aiteri_workspace_of(const aiteri_problem *p, const aiteri_kernels *kernels,
                                            int32_t workers, aiteri_arena *arena)
{
    aiteri_workspace w;
    memset(&w, 0, sizeof w);
    w.bounds = aiteri_schedule_bounds_of(p, kernels->tile_lanes);
    w.plan_bytes = aiteri_plan_bytes(workers, w.bounds.works, w.bounds.reduces, w.bounds.partials);
    w.slot_bytes = aiteri_slot_bytes(p, kernels);
    w.plan = aiteri_carve(arena, w.plan_bytes, 1);
    w.cursor = (aiteri_counter *)aiteri_carve(arena, (size_t)workers * 8, sizeof(int64_t));
    w.pieces_left = (aiteri_counter *)aiteri_carve(arena, w.bounds.reduces, sizeof(int64_t));
    w.partials = (float *)aiteri_carve(
        arena, aiteri_mul_size(w.bounds.partial_rows, (size_t)aiteri_partial_stride(p)),
        sizeof(float));
    w.slot = (char *)aiteri_carve(arena, (size_t)workers, w.slot_bytes);
    return w;
}

typedef struct aiteri_engine_run {
    aiteri_engine engine;
    aiteri_schedule schedule;
    aiteri_workspace workspace;
} aiteri_engine_run;

static void aiteri_run_work(aiteri_engine_run *run, int64_t index, int64_t end, char *slot)
{
    const aiteri_engine *e = &run->engine;
    const aiteri_work w = aiteri_work_at(run->schedule.work_info, index);
    const aiteri_sequence s = aiteri_sequence_of(e->problem, w.batch);
    AITERI_ASSERT(0 <= index && index < end && end <= run->schedule.works);
    AITERI_ASSERT(w.q_end <= s.seqlen_q && w.kv_end <= s.seqlen_k);
    AITERI_ASSERT(w.head_end <= e->problem->heads_q && w.reduce < run->schedule.reduces);
    aiteri_arena arena = {slot, 0};
    if (aiteri_takes_stream(e->problem, s.seqlen_q)) {
        aiteri_stream_scratch scratch;
        aiteri_stream_scratch_carve(&scratch, &arena, e->problem);
        aiteri_work after = w;
        if (index + 1 < end) after = aiteri_work_at(run->schedule.work_info, index + 1);
        const int known =
            index + 1 < end &&
            aiteri_takes_stream(e->problem, aiteri_sequence_of(e->problem, after.batch).seqlen_q);
        aiteri_run_stream_work(e, &w, known ? &after : NULL, &scratch);
    } else {
        aiteri_tile_scratch scratch;
        aiteri_tile_scratch_carve(&scratch, &arena, e->problem, e->kernels);
        aiteri_run_tile_work(e, &w, &scratch);
    }
    if (w.reduce < 0 || !e->program->merge) return;
    /* Whoever finishes the last piece merges them all, in key order: same bits, no second phase. */
    if (aiteri_atomic_add(&run->workspace.pieces_left[w.reduce], -1) > 1) return;
    const int32_t first = run->schedule.reduce_indptr[w.reduce];
    e->program->merge(e, run->schedule.reduce_final_map + (int64_t)w.reduce * AITERI_REDUCE_INTS,
                      run->schedule.reduce_partial_map + first,
                      run->schedule.reduce_indptr[w.reduce + 1] - first, (float *)(void *)slot);
}

/* Worker i takes its own range first, then helps the others with theirs. */
static void aiteri_run_works(aiteri_engine_run *run, int32_t i)
{
    const int32_t workers = run->engine.geometry.workers;
    char *slot = run->workspace.slot + (size_t)i * run->workspace.slot_bytes;
    for (int32_t step = 0; step < workers; step++) {
        const int32_t owner = (i + step) % workers;
        const int64_t end = run->schedule.work_indptr[owner + 1];
        for (;;) {
            const int64_t index = aiteri_atomic_add(&run->workspace.cursor[owner * 8], 1);
            if (index >= end) break;
            aiteri_run_work(run, index, end, slot);
        }
    }
}

enum { AITERI_MOST_PROBLEMS = 4 };

/* Problems that share the workers, each with a schedule and a workspace of its own: who finds one
 * done goes on with the next. */
typedef struct aiteri_launch {
    aiteri_engine_run run[AITERI_MOST_PROBLEMS];
    int32_t count;
} aiteri_launch;

static void aiteri_worker(void *arg, int32_t i)
{
    aiteri_launch *launch = (aiteri_launch *)arg;
    for (int32_t k = 0; k < launch->count; k++) aiteri_run_works(&launch->run[k], i);
}

static aiteri_geometry aiteri_kernels_geometry(const aiteri_problem *p,
                                               const aiteri_kernels *kernels, int32_t workers)
{
    return aiteri_geometry_of(p, kernels->isa, kernels->tile_lanes, workers);
}

/* The tile family serves every length, so what it does not take no CPU kernel does. */
static aiter_status aiteri_engine_takes(const char *op, const aiteri_problem *p, aiter_context *ctx)
{
    const uint64_t lacks = p->features & ~AITERI_TILE_TAKES;
    AITERI_ASSERT((aiteri_problem_features(p) & ~p->features) == 0);
    if (lacks == 0) return AITER_OK;
    const char *instead = aiteri_instead_of_features(lacks);
    char words[128];
    aiteri_describe_features(words, sizeof words, lacks);
    return aiteri_fail(ctx, AITER_UNSUPPORTED, "%s: no CPU kernel takes %s%s%s", op, words,
                       instead ? "; " : "", instead ? instead : "");
}

/* What a run needs to know before it has memory: kernels, program, and how many works there are. */
static aiter_status aiteri_run_prepare(const char *op, const aiteri_problem *p, aiter_context *ctx,
                                       const aiter_plan *plan, aiteri_engine_run *run)
{
    AITERI_TRY(aiteri_engine_takes(op, p, ctx));
    aiteri_engine *e = &run->engine;
    memset(run, 0, sizeof *run);
    e->problem = p;
    e->kernels = aiteri_kernels_for(p, ctx);
    e->geometry = aiteri_kernels_geometry(p, e->kernels, aiteri_context_workers(ctx));
    e->program = p->program ? p->program : &aiteri_softmax_program;
    e->rule = aiteri_score_rule_of(p);
    e->out_scale = p->out_scale ? (double)p->out_scale[0] : 1.0;
    e->partial_stride = aiteri_partial_stride(p);
    if (plan) return aiteri_plan_take(op, p, ctx, &e->geometry, plan, &run->schedule);
    run->schedule = aiteri_schedule_count(p, &e->geometry);
    return AITER_OK;
}

/* Takes the workspace; `planned`: the schedule's arrays are there. */
static void aiteri_run_start(aiteri_engine_run *run, int planned, aiteri_arena *arena)
{
    aiteri_engine *e = &run->engine;
    const int32_t workers = e->geometry.workers;
    run->workspace = aiteri_workspace_of(e->problem, e->kernels, workers, arena);
    e->partials = run->workspace.partials;
    const aiteri_schedule_bounds *most = &run->workspace.bounds;
    AITERI_ASSERT((size_t)run->schedule.reduces <= most->reduces);
    AITERI_ASSERT((size_t)run->schedule.partial_rows <= most->partial_rows);
    AITERI_ASSERT(planned || ((size_t)run->schedule.works <= most->works &&
                              (size_t)run->schedule.partials <= most->partials));
    (void)most;
    if (!planned)
        aiteri_schedule_write(&run->schedule, e->problem, &e->geometry, run->workspace.plan);
    for (int32_t i = 0; i < workers; i++)
        run->workspace.cursor[i * 8] = run->schedule.work_indptr[i];
    for (int64_t i = 0; i < run->schedule.reduces; i++)
        run->workspace.pieces_left[i] =
            run->schedule.reduce_indptr[i + 1] - run->schedule.reduce_indptr[i];
}

/* Workspace, schedules, workers, for problems that write to different places. `op` names the caller
 * in error texts; a plan is of one problem. */
static aiter_status aiteri_engine_execute(const char *op, const aiteri_problem *const *problems,
                                          int32_t count, aiter_context *ctx, const aiter_plan *plan,
                                          void *workspace, size_t workspace_bytes)
{
    AITERI_ASSERT(0 < count && count <= AITERI_MOST_PROBLEMS && (!plan || count == 1));
    aiteri_launch launch;
    aiteri_arena measure = {NULL, 0};
    int64_t works = 0;
    launch.count = count;
    for (int32_t k = 0; k < count; k++) {
        aiteri_engine_run *run = &launch.run[k];
        AITERI_TRY(aiteri_run_prepare(op, problems[k], ctx, plan, run));
        aiteri_workspace_of(problems[k], run->engine.kernels, run->engine.geometry.workers,
                            &measure);
        works += run->schedule.works;
    }
    aiteri_scratch scratch;
    AITERI_TRY(aiteri_scratch_take(op, ctx, workspace, workspace_bytes, measure.used, &scratch));
    for (int32_t k = 0; k < count; k++)
        aiteri_run_start(&launch.run[k], plan != NULL, &scratch.arena);
    if (works > 0)
        aiteri_parallel(ctx, aiteri_worker, &launch,
                        (int32_t)aiteri_min(aiteri_context_workers(ctx), works));
    aiteri_scratch_give_back(&scratch);
    return AITER_OK;
}

static aiter_status aiteri_engine_workspace(const char *op, const aiteri_problem *const *problems,
                                            int32_t count, aiter_context *ctx, size_t *bytes)
{
    aiteri_arena measure = {NULL, 0};
    for (int32_t k = 0; k < count; k++) {
        AITERI_TRY(aiteri_engine_takes(op, problems[k], ctx));
        aiteri_workspace_of(problems[k], aiteri_kernels_for(problems[k], ctx),
                            aiteri_context_workers(ctx), &measure);
    }
    return aiteri_scratch_answer(op, ctx, measure.used, bytes);
}

static aiter_status aiteri_engine_plan(const char *op, const aiteri_problem *p, aiter_context *ctx,
                                       aiter_plan *plan)
{
    AITERI_TRY(aiteri_engine_takes(op, p, ctx));
    const aiteri_geometry g =
        aiteri_kernels_geometry(p, aiteri_kernels_for(p, ctx), aiteri_context_workers(ctx));
    return aiteri_plan_fill(op, p, ctx, &g, plan);
}

#endif /* AITERI_ENGINE_C */
#if AITERI_GPU

// >>attention_choose    (src/gpu/attention_choose.c)
/* attention_choose.c -- a problem on a device: which kernel, cut into how many splits, in how much
 * memory. Everything follows from shapes and bounds: nothing is launched, lengths are not read. */
#ifndef AITERI_GPU_ATTENTION_CHOOSE_C
#define AITERI_GPU_ATTENTION_CHOOSE_C


enum {
    AITERI_GPU_DECODE_ROWS =
        16, /* packed rows of a kv head up to which decoding is its own kernel */
    AITERI_GPU_DECODE_UNITS = 4, /* workgroups of decoding that are wanted for a compute unit */
    AITERI_GPU_SPLITS = 64,
    AITERI_GPU_SPLIT_KEYS = 256 /* a piece has at least so many keys */
};

/* How a problem meets a row of the registry. */
typedef struct aiteri_gpu_shape {
    aiteri_gpu_want want; /* aiteri_gpu_row_refuses tells why it is no other row */
    int32_t row, decode;  /* decode: paged_decode, which packs the heads of a group */
    int64_t tiles, units; /* query tiles per head; workgroups without splits */
    int64_t rows;         /* of partial results, per split */
    int64_t splits, split_keys;
} aiteri_gpu_shape;

static aiteri_gpu_want aiteri_gpu_want_of(const aiteri_gpu_call *c, const aiteri_problem *p,
                                          int32_t op)
{
    aiteri_gpu_want w;
    memset(&w, 0, sizeof w);
    AITERI_ASSERT((aiteri_problem_features(p) & ~p->features) == 0);
    w.features = p->features;
    w.op = op;
    w.arch = c->gpu->device->arch_bits;
    w.q = p->q.dtype;
    w.kv = p->k.dtype;
    w.out = p->out.dtype;
    w.dq = p->k.dim;
    w.dv = p->v.dim;
    w.kernel_class = c->desc->kernel_class;
    return w;
}

/* Rows of a few tokens over pages decode, and any number over pages that only decoding can read;
 * all else, and what no kernel of decoding takes, is flash. */
static aiter_status aiteri_gpu_choose(const aiteri_gpu_call *c, const aiteri_problem *p,
                                      aiteri_gpu_shape *s)
{
    const int64_t packed = (int64_t)p->group * p->max_seqlen_q;
    memset(s, 0, sizeof *s);
    s->row = -1;
    s->want = aiteri_gpu_want_of(c, p, AITERI_GPU_OP_paged_decode);
    if (p->block_table && (packed <= AITERI_GPU_DECODE_ROWS || p->k.dtype != p->q.dtype)) {
        s->row = aiteri_gpu_row_of(c->gpu, &s->want);
        s->decode = s->row >= 0;
    }
    if (!s->decode) {
        const aiteri_gpu_want decode = s->want;
        s->want.op = AITERI_GPU_OP_flash_fwd;
        s->row = aiteri_gpu_row_of(c->gpu, &s->want);
        /* Of pages that flash does not read at all the reason is what decoding lacks. */
        if (s->row < 0 && p->block_table && aiteri_gpu_nearest_row(&s->want) < 0 &&
            aiteri_gpu_nearest_row(&decode) >= 0)
            s->want = decode;
        if (s->row < 0) return aiteri_gpu_refuse(c->ctx, c->op, c->gpu->device->arch, &s->want);
    }
    const aiteri_gpu_row *r = &aiteri_gpu_rows_table[s->row];
    s->tiles = s->decode ? aiteri_ceil_div(p->group, r->rows) *
                               aiteri_ceil_div(p->max_seqlen_q, aiteri_max(1, r->rows / p->group))
                         : aiteri_ceil_div(p->max_seqlen_q, r->rows);
    const int64_t heads = s->decode ? p->heads_k : p->heads_q;
    const size_t units = aiteri_mul_size((size_t)(s->tiles * heads), (size_t)p->batch);
    if (units > INT32_MAX)
        return aiteri_fail(c->ctx, AITER_UNSUPPORTED,
                           "%s: the shapes need more than 2^31 workgroups; pass max_seqlen_q, or "
                           "cut the batch",
                           c->op);
    s->units = (int64_t)units;
    s->rows = (int64_t)p->batch * p->heads_q * p->max_seqlen_q;
    return AITER_OK;
}

/* Workgroups wanted in all: those of decoding are small, several share a unit and hide each
 * other's memory latency. */
static int64_t aiteri_gpu_wanted_units(const aiteri_gpu *g, int decode)
{
    return (int64_t)g->device->compute_units * (decode ? AITERI_GPU_DECODE_UNITS : 1);
}

static int64_t aiteri_gpu_most_splits(const aiteri_problem *p)
{
    return aiteri_clamp(p->max_seqlen_k / AITERI_GPU_SPLIT_KEYS, 1, AITERI_GPU_SPLITS);
}

/* Splits fill the chip when there are fewer workgroups than that. Pieces are whole steps. */
static void aiteri_gpu_cut(const aiteri_gpu *g, const aiteri_problem *p, aiteri_gpu_shape *s)
{
    const int64_t step = aiteri_max(1, aiteri_gpu_rows_table[s->row].keys);
    const int64_t keys = aiteri_max(1, p->max_seqlen_k);
    int64_t splits = p->num_splits;
    if (splits == 0)
        splits = aiteri_clamp(aiteri_gpu_wanted_units(g, s->decode) / aiteri_max(1, s->units), 1,
                              aiteri_gpu_most_splits(p));
    s->split_keys = aiteri_round_up(aiteri_ceil_div(keys, splits), step);
    s->splits = aiteri_ceil_div(keys, s->split_keys);
}

/* How the planner cuts the same: a tile is whole tokens, or some heads of one. */
static aiteri_geometry aiteri_gpu_geometry(const aiteri_gpu_shape *s)
{
    const aiteri_geometry g = {AITER_ISA_AUTO, 1, aiteri_gpu_rows_table[s->row].rows, 1, 1,
                               s->split_keys};
    return g;
}

static size_t aiteri_gpu_partial_bytes(const aiteri_problem *p, int64_t rows)
{
    return aiteri_mul_size((size_t)rows, (size_t)(p->v.dim + 2) * sizeof(float));
}

/* The most query rows of one workgroup in any flash kernel. */
static int64_t aiteri_gpu_most_rows(void)
{
    int64_t most = 1;
    for (int32_t i = 0; i < AITERI_GPU_ROW_COUNT; i++)
        if (aiteri_gpu_rows_table[i].op == AITERI_GPU_OP_flash_fwd)
            most = aiteri_max(most, aiteri_gpu_rows_table[i].rows);
    return most;
}

/* Bytes for this problem and every smaller one. A smaller one may be split more often, but only
 * while it has fewer workgroups than the chip wants: splits x units <= wanted. */
static size_t aiteri_gpu_most_partial_bytes(const aiteri_gpu *g, const aiteri_problem *p,
                                            const aiteri_gpu_shape *s)
{
    const int64_t most =
        p->num_splits > 0 ? aiteri_min(p->num_splits, p->max_seqlen_k) : aiteri_gpu_most_splits(p);
    const size_t bytes = aiteri_mul_size(aiteri_gpu_partial_bytes(p, s->rows), (size_t)most);
    if (most <= 1) return 0;
    if (p->num_splits > 0) return bytes;
    int64_t rows = aiteri_gpu_wanted_units(g, 1) * AITERI_GPU_DECODE_ROWS;
    if (!s->decode) rows = aiteri_max(rows, aiteri_gpu_wanted_units(g, 0) * aiteri_gpu_most_rows());
    const size_t filled = aiteri_gpu_partial_bytes(p, rows);
    return bytes < filled ? bytes : filled;
}

static aiter_status aiteri_gpu_check_strides(const aiteri_gpu_call *c, const aiteri_problem *p)
{
    static const char *const name[4] = {"q", "k", "v", "out"};
    const int64_t stride[4] = {p->q.stride_dim, p->k.stride_dim, p->v.stride_dim,
                               p->out.stride_dim};
    for (int i = 0; i < 4; i++) AITERI_TRY(aiteri_gpu_check_last_stride(c, name[i], stride[i]));
    return AITER_OK;
}

static aiter_status aiteri_gpu_check_plan(const aiteri_gpu_call *c, const char *call,
                                          const aiteri_gpu_shape *s, const aiter_plan *plan)
{
    if (!s->decode)
        return aiteri_fail(c->ctx, AITER_UNSUPPORTED,
                           "%s%s.plan: flash_fwd takes its works from bounds on a device, expected "
                           "no plan",
                           c->op, call);
    if (plan->data && !plan->device)
        return aiteri_fail(c->ctx, AITER_INVALID_ARGUMENT,
                           "%s%s.plan: device is NULL, expected %zu bytes of device memory", c->op,
                           call, plan->bytes);
    return AITER_OK;
}

/* Whether a kernel with works from a plan takes the problem; no length is read. */
static aiter_status aiteri_gpu_choose_planned(const aiteri_gpu_call *c, const aiteri_problem *p,
                                              const aiter_plan *plan, aiteri_gpu_shape *s)
{
    AITERI_TRY(aiteri_gpu_check_strides(c, p));
    AITERI_TRY(aiteri_gpu_choose(c, p, s));
    return aiteri_gpu_check_plan(c, "_plan", s, plan);
}

/* Device bytes of a problem and all smaller ones. */
static aiter_status aiteri_gpu_attention_workspace(const aiteri_gpu_call *c,
                                                   const aiteri_problem *p, size_t *bytes)
{
    aiteri_gpu_shape s;
    AITERI_TRY(aiteri_gpu_check_strides(c, p));
    AITERI_TRY(aiteri_gpu_choose(c, p, &s));
    const size_t need = aiteri_gpu_scratch_bytes(aiteri_gpu_most_partial_bytes(c->gpu, p, &s));
    if (!bytes)
        return aiteri_fail(c->ctx, AITER_INVALID_ARGUMENT,
                           "%s_workspace.bytes: is NULL, expected a pointer", c->op);
    if (need > SIZE_MAX / 2)
        return aiteri_fail(c->ctx, AITER_INVALID_ARGUMENT,
                           "%s_workspace: the shapes need more memory than can be addressed",
                           c->op);
    *bytes = need;
    return AITER_OK;
}

/* The kernel of a problem that is supported, in words. */
static aiter_status aiteri_gpu_attention_name(const aiteri_gpu_call *c, const aiteri_problem *p,
                                              char *text, size_t bytes)
{
    aiteri_gpu_shape s;
    AITERI_TRY(aiteri_gpu_choose(c, p, &s));
    aiteri_gpu_cut(c->gpu, p, &s);
    const aiteri_gpu_row *r = &aiteri_gpu_rows_table[s.row];
    snprintf(text, bytes,
             "%s, tiles of %d rows x %d keys by %d threads, %lld workgroups x %lld splits",
             r->symbol, (int)r->rows, (int)r->keys, (int)r->threads, (long long)s.units,
             (long long)s.splits);
    return AITER_OK;
}

#endif /* AITERI_GPU_ATTENTION_CHOOSE_C */

// >>attention_launch    (src/gpu/attention_launch.c)
/* attention_launch.c -- a problem on a device whose kernel is chosen: the kernel's arguments, its
 * works from a plan, its launch and that of the merge. */
#ifndef AITERI_GPU_ATTENTION_LAUNCH_C
#define AITERI_GPU_ATTENTION_LAUNCH_C


static aiteri_gpu_rows aiteri_gpu_rows_of(const aiteri_rows *r)
{
    aiteri_gpu_rows out;
    out.data = (uint64_t)(uintptr_t)r->data;
    out.stride_batch = r->stride_batch;
    out.stride_token = r->stride_token;
    out.stride_head = r->stride_head;
    return out;
}

static aiteri_gpu_source aiteri_gpu_source_of(const aiteri_source *s)
{
    aiteri_gpu_source out;
    out.data = (uint64_t)(uintptr_t)s->data;
    out.stride_outer = s->stride_outer;
    out.stride_token = s->stride_token;
    out.stride_head = s->stride_head;
    out.scales = (uint64_t)(uintptr_t)s->scales.data;
    out.scale_stride_outer = s->scales.stride_outer;
    out.scale_stride_token = s->scales.stride_token;
    out.scale_stride_head = s->scales.stride_head;
    return out;
}

static aiteri_gpu_lengths aiteri_gpu_lengths_of(const int32_t *cu, int64_t cu_stride,
                                                const int32_t *used, int64_t used_stride,
                                                int32_t seqlen, int32_t most)
{
    aiteri_gpu_lengths out;
    out.cu = (uint64_t)(uintptr_t)cu;
    out.used = (uint64_t)(uintptr_t)used;
    out.cu_stride = cu_stride;
    out.used_stride = used_stride;
    out.seqlen = seqlen;
    out.most = most;
    return out;
}

static void aiteri_gpu_fill_score(aiteri_gpu_score *s, const aiteri_problem *p)
{
    s->softmax_scale = p->softmax_scale;
    /* Its inverse must be a normal float. */
    s->softcap = p->softcap < aiteri_power_of_two(100) ? p->softcap : aiteri_power_of_two(100);
    s->alibi = (uint64_t)(uintptr_t)p->alibi_slopes;
    s->alibi_stride_batch = p->alibi_stride_batch;
    s->alibi_stride_head = p->alibi_stride_head;
    s->bias = (uint64_t)(uintptr_t)p->bias.data;
    s->bias_stride_batch = p->bias.stride_batch;
    s->bias_stride_token = p->bias.stride_token;
    s->bias_stride_head = p->bias.stride_head;
    s->bias_stride_key = p->bias.stride_dim;
    s->bias_dtype = p->bias.dtype;
    s->sinks = (uint64_t)(uintptr_t)p->sinks;
    s->sinks_stride = p->sinks_stride;
}

/* Everything but where the partial results go. */
static void aiteri_gpu_fill(aiteri_gpu_attention *x, const aiteri_gpu *g, const aiteri_problem *p,
                            const aiteri_gpu_shape *s)
{
    memset(x, 0, sizeof *x);
    x->q = aiteri_gpu_rows_of(&p->q);
    x->out = aiteri_gpu_rows_of(&p->out);
    x->lse = (uint64_t)(uintptr_t)p->lse;
    x->lse_stride_batch = p->lse_stride_batch;
    x->lse_stride_head = p->lse_stride_head;
    x->lse_stride_token = p->lse_stride_token;
    x->k = aiteri_gpu_source_of(&p->k);
    x->v = aiteri_gpu_source_of(&p->v);
    x->q_lengths = aiteri_gpu_lengths_of(p->cu_seqlens_q, p->cu_stride_q, p->seqused_q,
                                         p->used_stride_q, p->seqlen_q, p->max_seqlen_q);
    x->k_lengths = aiteri_gpu_lengths_of(p->cu_seqlens_k, p->cu_stride_k, p->seqused_k,
                                         p->used_stride_k, p->seqlen_k, p->max_seqlen_k);
    x->pages.table = (uint64_t)(uintptr_t)p->block_table;
    x->pages.stride_batch = p->table_stride_batch;
    x->pages.stride_entry = p->table_stride_entry;
    x->pages.page_size = p->page_size;
    x->pages.num_blocks = p->num_blocks;
    x->pages.entries = p->table_entries;
    x->mask.mask = (int32_t)p->mask;
    x->mask.window_left = p->window_left;
    x->mask.window_right = p->window_right;
    x->mask.sink_tokens = p->sink_tokens;
    aiteri_gpu_fill_score(&x->score, p);
    x->split.rows = s->rows;
    x->split.split_keys = s->split_keys;
    x->split.count = (int32_t)s->splits;
    x->batch = p->batch;
    x->heads_q = p->heads_q;
    x->heads_k = p->heads_k;
    x->group = p->group;
    x->dim_q = p->k.dim;
    x->dim_v = p->v.dim;
    x->tiles = (int32_t)s->tiles;
    x->xcds = g->device->dies;
}

/* ---- plans: works of the planner, in the caller's device memory ---- */

/* The works of a plan that was made for these shapes, as many as its memory holds: a graph that was
 * captured now replays with every later refill. */
static aiter_status aiteri_gpu_take_plan(const aiteri_gpu_call *c, const aiteri_problem *p,
                                         const aiteri_gpu_shape *s, const aiter_plan *plan,
                                         uint64_t *list, int64_t *groups)
{
    const aiteri_geometry g = aiteri_gpu_geometry(s);
    const size_t work_bytes = AITERI_WORK_INTS * sizeof(int32_t);
    aiteri_schedule made;
    AITERI_TRY(aiteri_gpu_check_plan(c, ".call", s, plan));
    AITERI_TRY(aiteri_plan_take(c->op, p, c->ctx, &g, plan, &made));
    *list = (uint64_t)(uintptr_t)plan->device + sizeof(aiteri_plan_head);
    *groups = aiteri_min(*groups, (int64_t)(plan->bytes / work_bytes));
    return AITER_OK;
}

/* Fills the plan for lengths that the host can read, and queues its copy to the device. */
static aiter_status aiteri_gpu_attention_plan(const aiteri_gpu_call *c, const aiteri_problem *p,
                                              aiter_plan *plan)
{
    aiteri_gpu_shape s;
    AITERI_TRY(aiteri_gpu_choose_planned(c, p, plan, &s));
    aiteri_gpu_cut(c->gpu, p, &s);
    const aiteri_geometry g = aiteri_gpu_geometry(&s);
    if (!plan->data) return aiteri_plan_fill(c->op, p, c->ctx, &g, plan);
    AITERI_TRY(aiteri_gpu_check_capture(c, "refill a plan"));
    AITERI_TRY(aiteri_plan_fill(c->op, p, c->ctx, &g, plan));
    return aiteri_gpu_memory_copy(c, plan->device, AITER_MEMORY_DEVICE, plan->data,
                                  AITER_MEMORY_PINNED,
                                  aiteri_plan_bytes(1, (size_t)plan->num_works, 0, 0));
}

/* ---- the launch ---- */

/* The attention kernel, and the merge of its splits; the device is current. */
static aiter_status aiteri_gpu_attention_launch(const aiteri_gpu_call *c, const aiteri_problem *p,
                                                const aiteri_gpu_shape *s, const aiter_plan *plan,
                                                void *workspace, size_t workspace_bytes)
{
    int64_t groups = s->units * s->splits;
    aiteri_gpu_attention x;
    int32_t combine = -1;
    aiteri_gpu_fill(&x, c->gpu, p, s);
    if (s->splits > 1) {
        const int64_t rows = s->rows * s->splits;
        aiteri_gpu_want want = aiteri_gpu_want_of(c, p, AITERI_GPU_OP_combine);
        char *scratch;
        want.features = 0; /* what the pieces were made of does not matter */
        want.kernel_class = AITER_KERNEL_CLASS_AUTO;
        AITERI_TRY(aiteri_gpu_need_row(c, &want, &combine));
        AITERI_TRY(aiteri_gpu_scratch(c, workspace, workspace_bytes,
                                      aiteri_gpu_partial_bytes(p, rows), &scratch));
        x.split.o = (uint64_t)(uintptr_t)scratch;
        x.split.ml = x.split.o + (uint64_t)rows * (uint64_t)p->v.dim * sizeof(float);
    }
    if (plan) AITERI_TRY(aiteri_gpu_take_plan(c, p, s, plan, &x.work.list, &groups));
    AITERI_TRY(aiteri_gpu_launch(c, s->row, groups, &x));
    if (combine < 0) return AITER_OK;
    const int64_t rows = aiteri_gpu_rows_table[combine].rows;
    return aiteri_gpu_launch(c, combine, aiteri_ceil_div(s->rows, rows), &x);
}

/* Runs a problem whose shapes were checked. */
static aiter_status aiteri_gpu_attention_run(const aiteri_gpu_call *c, const aiteri_problem *p,
                                             const aiter_plan *plan, void *workspace,
                                             size_t workspace_bytes)
{
    aiteri_gpu_shape s;
    aiteri_current was;
    AITERI_TRY(aiteri_gpu_check_strides(c, p));
    AITERI_TRY(aiteri_gpu_choose(c, p, &s));
    if (s.units == 0) return AITER_OK;
    aiteri_gpu_cut(c->gpu, p, &s);
    AITERI_TRY(aiteri_device_enter(c->ctx, c->op, c->gpu->device, &was));
    const aiter_status status =
        aiteri_gpu_attention_launch(c, p, &s, plan, workspace, workspace_bytes);
    aiteri_device_leave(c->gpu->device, &was);
    return status;
}

#endif /* AITERI_GPU_ATTENTION_LAUNCH_C */
#endif

// >>attention_advice    (src/ops/attention_advice.c)
/* attention_advice.c -- what a refusal says beyond got and expected: the mistakes that people bring
 * from other libraries, told by the shapes that they leave. Nothing here decides a status. */
#ifndef AITERI_ATTENTION_ADVICE_C
#define AITERI_ATTENTION_ADVICE_C


/* The axes of q and out. */
static const char *aiteri_rows_layout(int decodes, int packed)
{
    if (packed) return "[total_q, Hq, D], packed, as cu_seqlens_q is given";
    return decodes ? "[B, Hq, D] or [B, q_len, Hq, D]"
                   : "[B, Sq, Hq, D], or packed [total_q, Hq, D] with cu_seqlens_q";
}

/* The axes of k and v. */
static const char *aiteri_keys_layout(int packed, int paged)
{
    if (packed) return "[total_k, Hk, D], packed, as kv.cu_seqlens is given";
    if (paged) return "pages [num_blocks, P, Hk, D]";
    return "[B, Sk, Hk, D], or packed [total_k, Hk, D] with kv.cu_seqlens";
}

/* Heads before tokens: with these two axes of k, of q or of all exchanged the heads divide. */
static const char *aiteri_head_major_advice(const aiter_tensor *q, const aiter_tensor *k, int paged)
{
    const int64_t *of_q = q->shape + q->ndim - 3, *of_k = k->shape + k->ndim - 3;
    const int k_alone = of_k[0] > 0 && of_q[1] % of_k[0] == 0;
    const int q_alone = of_q[1] < of_k[1] && of_q[0] > 0 && of_q[0] % of_k[1] == 0 && q->ndim == 4;
    if (paged && k_alone)
        return "; of pages [num_blocks, Hk, P, D] pass aiter_tensor_transpose(t, 1, 2)";
    if (k_alone || (!paged && of_k[0] > 0 && of_q[0] > 0 && of_q[0] % of_k[0] == 0))
        return q->ndim == 4 ? "; of tensors whose axes are [B, H, S, D] pass "
                              "aiter_tensor_transpose(t, 1, 2)"
                            : "; of tensors whose axes are [H, total, D] pass "
                              "aiter_tensor_transpose(t, 0, 1)";
    return q_alone ? "; of q and out whose axes are [B, H, S, D] pass "
                     "aiter_tensor_transpose(t, 1, 2)"
                   : "";
}

/* Of a bias whose extent i is refused. */
static const char *aiteri_bias_advice(const aiter_tensor *t, int32_t i, int64_t batch,
                                      int64_t expected)
{
    if (t->ndim == 3 && i == 0 && t->shape[0] == batch)
        return "; [B, Sq, Sk] is passed as [B, 1, Sq, Sk]";
    return i == t->ndim - 2 && t->shape[i + 1] == expected ? "; are its last two axes exchanged?"
                                                           : "";
}

/* lse has the rows of q where it should have its heads, and the other way round. */
static int aiteri_lse_is_exchanged(const aiter_tensor *lse, const aiter_tensor *q)
{
    return q->ndim == 4 && lse->ndim == 3 && q->shape[1] != q->shape[2] &&
           lse->shape[1] == q->shape[1] && lse->shape[2] == q->shape[2];
}

/* Whose head_dim the keys must have. */
static const char *aiteri_head_dim_of(const aiter_tensor *q, const aiter_tensor *v)
{
    return v->shape[v->ndim - 1] == q->shape[q->ndim - 1]
               ? "the head_dim of q, which v has: are k and v exchanged?"
               : "the head_dim of q";
}

#endif /* AITERI_ATTENTION_ADVICE_C */

// >>attention_check    (src/ops/attention_check.c)
/* attention_check.c -- what every softmax attention checks of its arguments: which combinations are
 * legal, and that extents agree. It sees shapes only: workspace queries must not read data. */
#ifndef AITERI_ATTENTION_CHECK_C
#define AITERI_ATTENTION_CHECK_C


struct aiteri_attention;

/* What tells the softmax attentions apart. */
typedef struct aiteri_attention_op {
    const char *name;
    aiter_mask mask; /* what AITER_MASK_DEFAULT means */
    int decodes;     /* q is a few new tokens of every sequence, its token axis may be left out */
    /* What this op alone checks, and how it sees its tensors; NULL: nothing. */
    aiter_status (*begin)(struct aiteri_attention *x, aiter_context *ctx);
} aiteri_attention_op;

/* The arguments with strides filled, and what they mean. */
typedef struct aiteri_attention {
    const aiteri_attention_op *op;
    aiter_attention_args a;
    aiteri_problem problem;
    int packed, paged, listed, lse_packed; /* listed: pages by indptr, not by a table */
} aiteri_attention;

/* Which of the optional forms it is: what must come together, and what must not. */
static void aiteri_check_form(aiteri_check *c, const aiteri_attention *x)
{
    const aiter_attention_args *a = &x->a;
    const int keys_packed = a->kv.cu_seqlens.ndim != 0;
    aiteri_check_true(c, !(x->paged && keys_packed), "kv.cu_seqlens",
                      x->listed ? "none beside kv.indptr"
                                : "none beside kv.block_table, which takes kv.seq_lens");
    aiteri_check_true(c, x->packed || !keys_packed, "cu_seqlens_q",
                      "I32 [B + 1], it is absent: kv.cu_seqlens is given, and they come together");
    aiteri_check_true(c, !x->packed || x->paged || keys_packed, "kv.cu_seqlens",
                      "I32 [B + 1], it is absent: cu_seqlens_q is given, and they come together "
                      "unless keys are pages with a kv.block_table or kv.indptr");
    aiteri_check_true(c, !x->paged || x->listed || a->kv.seq_lens.ndim != 0, "kv.seq_lens",
                      "I32 [B], it is absent: kv.block_table is given, whose keys it counts");
}

/* Lists of pages: the table's place is theirs, and one field says how many keys they hold. */
static void aiteri_check_lists_form(aiteri_check *c, const aiteri_attention *x)
{
    const aiter_kv *kv = &x->a.kv;
    aiteri_check_true(c, !(x->listed && kv->block_table.ndim != 0), "kv.indptr",
                      "none beside kv.block_table");
    aiteri_check_true(c, x->listed || kv->indices.ndim == 0, "kv.indptr",
                      "I32 [B + 1], it is absent: kv.indices is given, and they come together");
    aiteri_check_true(c, !x->listed || kv->indices.ndim != 0, "kv.indices",
                      "I32 [pages], it is absent: kv.indptr is given, and they come together");
    aiteri_check_true(c, x->listed || kv->last_page_lens.ndim == 0, "kv.last_page_lens",
                      "none without kv.indptr");
    aiteri_check_true(c, kv->last_page_lens.ndim == 0 || kv->seq_lens.ndim == 0,
                      "kv.last_page_lens", "none beside kv.seq_lens");
    aiteri_check_true(c, !x->listed || kv->last_page_lens.ndim != 0 || kv->seq_lens.ndim != 0,
                      "kv.last_page_lens",
                      "I32 [B], it is absent: kv.indptr is given, whose last pages it counts; or "
                      "kv.seq_lens");
}

static void aiteri_check_heads(aiteri_check *c, const aiteri_attention *x)
{
    const aiter_attention_args *a = &x->a;
    const int32_t qd = a->q.ndim - 1, kd = a->kv.k.ndim - 1;
    const int64_t heads_q = a->q.shape[qd - 1], heads_k = a->kv.k.shape[kd - 1];
    aiteri_check_axis(c, "q", &a->q, qd - 1, "heads", 1, 65535);
    if (c->status == AITER_OK && (heads_k < 1 || heads_q % heads_k != 0))
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.kv.k: has %lld heads, expected a divisor of %lld (= heads of q)%s", c->op,
                      (long long)heads_k, (long long)heads_q,
                      aiteri_head_major_advice(&a->q, &a->kv.k, x->paged));
    aiteri_check_axis(c, "q", &a->q, qd, "head_dim", 1, AITERI_MAX_HEAD_DIM);
    aiteri_check_axis(c, "kv.v", &a->kv.v, kd, "head_dim", 1, AITERI_MAX_HEAD_DIM);
    if (x->paged) aiteri_check_axis(c, "kv.k", &a->kv.k, 1, "page size", 1, INT32_MAX - 1);
    for (int32_t i = 0; i < qd - 1; i++)
        aiteri_check_axis(c, "q", &a->q, i, "batch or rows", 0, INT32_MAX - 1);
    for (int32_t i = 0; i < kd - 1; i++)
        aiteri_check_axis(c, "kv.k", &a->kv.k, i, "batch, blocks or keys", 0, INT32_MAX - 1);
}

/* V as the first columns of the latent rows in k: the same view and scales, fewer columns. */
static void aiteri_check_latent(aiteri_check *c, aiteri_attention *x)
{
    aiter_kv *kv = &x->a.kv;
    if (c->status != AITER_OK) return;
    const int32_t kd = kv->k.ndim - 1;
    if (kv->dim_v < 1 || kv->dim_v > kv->k.shape[kd])
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.kv.dim_v: is %d, expected 1 to %lld (= the head_dim of kv.k): kv.v is "
                      "absent, and V its first columns",
                      c->op, (int)kv->dim_v, (long long)kv->k.shape[kd]);
    aiteri_check_true(c, kv->v_scale.ndim == 0, "kv.v_scale",
                      "none: kv.v is absent, and V has the scales of kv.k");
    if (c->status != AITER_OK) return;
    x->problem.v_in_k = 1;
    kv->v = kv->k;
    kv->v.shape[kd] = kv->dim_v;
    kv->v_scale = kv->k_scale;
    kv->v_scale_kind = kv->k_scale_kind;
}

/* Each alone; how they fit is for later. */
static void aiteri_check_operands(aiteri_check *c, aiteri_attention *x)
{
    aiter_attention_args *a = &x->a;
    const int keys_packed = a->kv.cu_seqlens.ndim != 0;
    const int32_t q_ndim = x->packed ? 3 : 4, k_ndim = keys_packed ? 3 : 4;
    const char *rows = aiteri_rows_layout(x->op->decodes, x->packed);
    const char *keys = aiteri_keys_layout(keys_packed, x->paged);
    aiteri_check_tensor(c, "q", &a->q, q_ndim, q_ndim, AITERI_FLOATS, 1, rows);
    aiteri_check_tensor(c, "kv.k", &a->kv.k, k_ndim, k_ndim, AITERI_KEY_TYPES, 1, keys);
    if (a->kv.v.ndim == 0 && a->kv.dim_v == 0)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.kv.v: is absent (ndim 0), expected %s; kv.dim_v alone where V is the "
                      "first columns of kv.k",
                      c->op, keys);
    else if (a->kv.v.ndim == 0)
        aiteri_check_latent(c, x);
    else
        aiteri_check_tensor(c, "kv.v", &a->kv.v, k_ndim, k_ndim, AITERI_KEY_TYPES, 1, keys);
    aiteri_check_tensor(c, "out", &a->out, q_ndim, q_ndim, AITERI_FLOATS, 1, rows);
}

static void aiteri_check_qkv(aiteri_check *c, aiteri_attention *x)
{
    const aiter_attention_args *a = &x->a;
    aiteri_check_operands(c, x);
    if (c->status != AITER_OK) return;
    const int32_t qd = a->q.ndim - 1, kd = a->kv.k.ndim - 1;
    for (int32_t i = 0; i < qd; i++) aiteri_check_extent(c, "out", &a->out, i, a->q.shape[i], "q");
    if (!x->packed && !x->paged)
        aiteri_check_extent(c, "kv.k", &a->kv.k, 0, a->q.shape[0],
                            "the batch of q; pages of keys need a kv.block_table");
    for (int32_t i = 0; i < kd; i++)
        aiteri_check_extent(c, "kv.v", &a->kv.v, i, a->kv.k.shape[i], "kv.k");
    aiteri_check_extent(c, "kv.k", &a->kv.k, kd, a->q.shape[qd],
                        aiteri_head_dim_of(&a->q, &a->kv.v));
    aiteri_check_extent(c, "out", &a->out, qd, a->kv.v.shape[kd], "the head_dim of v");
    if (a->kv.dim_v != 0 && a->kv.dim_v != a->kv.v.shape[kd])
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.kv.dim_v: is %d, expected 0 or %lld (= the head_dim of kv.v)", c->op,
                      (int)a->kv.dim_v, (long long)a->kv.v.shape[kd]);
    aiteri_check_heads(c, x);
}

/* An optional I32 vector of n elements. */
static void aiteri_check_lengths(aiteri_check *c, const char *field, aiter_tensor *t, int64_t n)
{
    if (!aiteri_check_tensor(c, field, t, 1, 1, AITERI_ONLY_I32, 0, "[B]")) return;
    aiteri_check_extent(c, field, t, 0, n,
                        t->shape[0] == n + 1 ? "the batch: lengths, not their running sum"
                                             : "the batch");
}

static void aiteri_check_lengths_shapes(aiteri_check *c, aiteri_attention *x)
{
    aiter_attention_args *a = &x->a;
    if (c->status != AITER_OK) return;
    int64_t batch = a->q.shape[0];
    if (x->packed) {
        aiteri_check_tensor(c, "cu_seqlens_q", &a->cu_seqlens_q, 1, 1, AITERI_ONLY_I32, 1,
                            "[B + 1]");
        aiteri_check_axis(c, "cu_seqlens_q", &a->cu_seqlens_q, 0, "batch + 1", 1, INT32_MAX - 1);
        if (c->status != AITER_OK) return; /* nothing is known of the batch */
        batch = a->cu_seqlens_q.shape[0] - 1;
    }
    x->problem.batch = (int32_t)batch;
    if (aiteri_check_tensor(c, "kv.cu_seqlens", &a->kv.cu_seqlens, 1, 1, AITERI_ONLY_I32, 0,
                            "[B + 1]"))
        aiteri_check_extent(c, "kv.cu_seqlens", &a->kv.cu_seqlens, 0, batch + 1,
                            "batch + 1, the extent of cu_seqlens_q");
    aiteri_check_lengths(c, "seqused_q", &a->seqused_q, batch);
    aiteri_check_lengths(c, "kv.seq_lens", &a->kv.seq_lens, batch);
    if (aiteri_check_tensor(c, "kv.block_table", &a->kv.block_table, 2, 2, AITERI_ONLY_I32, 0,
                            "[B, max_blocks]")) {
        aiteri_check_extent(c, "kv.block_table", &a->kv.block_table, 0, batch, "the batch");
        aiteri_check_axis(c, "kv.block_table", &a->kv.block_table, 1, "max_blocks", 0,
                          INT32_MAX - 1);
    }
    if (aiteri_check_tensor(c, "kv.indptr", &a->kv.indptr, 1, 1, AITERI_ONLY_I32, 0, "[B + 1]"))
        aiteri_check_extent(c, "kv.indptr", &a->kv.indptr, 0, batch + 1, "batch + 1");
    if (aiteri_check_tensor(c, "kv.indices", &a->kv.indices, 1, 1, AITERI_ONLY_I32, 0, "[pages]"))
        aiteri_check_axis(c, "kv.indices", &a->kv.indices, 0, "pages", 0, INT32_MAX - 1);
    aiteri_check_lengths(c, "kv.last_page_lens", &a->kv.last_page_lens, batch);
    aiteri_check_range(c, "max_seqlen_q", a->max_seqlen_q, 0, INT32_MAX - 1);
    aiteri_check_range(c, "kv.max_seqlen", a->kv.max_seqlen, 0, INT32_MAX - 1);
}

/* One side of a window; of another mask it must be 0 or -1, which people write for none. */
static void aiteri_check_window(aiteri_check *c, const char *field, aiter_mask mask, int32_t side)
{
    if (mask == AITER_MASK_WINDOW) {
        if (side < -1)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.%s: is %d, expected 0 or more keys, or -1 (open)", c->op, field,
                          (int)side);
    } else if (side != 0 && side != -1) {
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: is %d, expected 0 or -1 without a window: set score.mask = "
                      "AITER_MASK_WINDOW (of a causal one window_right is 0)",
                      c->op, field, (int)side);
    }
}

static void aiteri_check_score(aiteri_check *c, aiteri_attention *x)
{
    aiter_attention_args *a = &x->a;
    aiteri_check_enum(c, "score.mask", (int)a->score.mask, AITER_MASK_COUNT, "aiter_mask");
    aiteri_check_window(c, "score.window_left", a->score.mask, a->score.window_left);
    aiteri_check_window(c, "score.window_right", a->score.mask, a->score.window_right);
    aiteri_check_range(c, "score.sink_tokens", a->score.sink_tokens, 0, INT32_MAX);
    aiteri_check_range(c, "num_splits", a->num_splits, 0, INT32_MAX);
    aiteri_check_scale(c, "score.softmax_scale", a->score.softmax_scale);
    aiteri_check_scale(c, "score.softcap", a->score.softcap);
}

#endif /* AITERI_ATTENTION_CHECK_C */

// >>attention_lower    (src/ops/attention_lower.c)
/* attention_lower.c -- checked arguments become a problem: rows, sources, lengths, score, outputs.
 * What only lowering can tell, the shapes of scales, bias, slopes and lse, is checked on the way.
 */
#ifndef AITERI_ATTENTION_LOWER_C
#define AITERI_ATTENTION_LOWER_C


static aiteri_rows aiteri_rows_of(const aiter_tensor *t, int packed)
{
    aiteri_rows r;
    const int32_t at = packed ? 0 : 1;
    r.data = (char *)t->data;
    r.dtype = t->dtype;
    r.stride_batch = packed ? 0 : t->stride[0];
    r.stride_token = t->stride[at];
    r.stride_head = t->stride[at + 1];
    r.stride_dim = t->stride[at + 2];
    return r;
}

/* 1 / sqrt(dim) to nearest even, whatever rounding the caller has set: checks run in its mode. */
static float aiteri_default_scale(int32_t dim)
{
    double scale = 1.0 / aiteri_rounded_f64(sqrt((double)dim));
    uint64_t u;
    memcpy(&u, &scale, sizeof u);
    u = (u + 0x0fffffff + (u >> 29 & 1)) & ~(uint64_t)0x1fffffff; /* the 24 bits of a float */
    memcpy(&scale, &u, sizeof scale);
    return (float)scale;
}

static void aiteri_lower_score(aiteri_check *c, aiteri_attention *x)
{
    const aiter_attention_args *a = &x->a;
    aiteri_problem *p = &x->problem;
    if (c->status != AITER_OK) return;
    p->mask = a->score.mask;
    p->window_left = a->score.window_left;
    p->window_right = a->score.window_right;
    p->sink_tokens = a->score.sink_tokens;
    p->num_splits = a->num_splits;
    /* By bits: a subnormal is not 0, whatever the caller's flags. No softmax can tell a score of
     * 2^-40 from one of 0, so that a smaller softcap may be that. */
    const uint32_t least_cap = (127u - 40) << 23,
                   cap = aiteri_bits_of_f32(a->score.softcap) << 1 >> 1;
    p->softcap = aiteri_f32_of_bits(cap == 0 || cap > least_cap ? cap : least_cap);
    p->softmax_scale = aiteri_bits_of_f32(a->score.softmax_scale) << 1 != 0
                           ? a->score.softmax_scale
                           : aiteri_default_scale(p->k.dim);
}

/* One scale of q or of out; NULL where there is none. */
static const float *aiteri_lower_one_scale(aiteri_check *c, const char *field, aiter_tensor *t)
{
    if (!aiteri_check_tensor(c, field, t, 1, 1, AITERI_ONLY_F32, 0, "[1]")) return NULL;
    aiteri_check_extent(c, field, t, 0, 1, "one scale");
    return (const float *)t->data;
}

static void aiteri_lower_alibi_and_sinks(aiteri_check *c, aiteri_attention *x)
{
    aiter_attention_args *a = &x->a;
    aiteri_problem *p = &x->problem;
    if (aiteri_check_tensor(c, "score.alibi_slopes", &a->score.alibi_slopes, 1, 2, AITERI_ONLY_F32,
                            0, "[Hq] or [B, Hq]")) {
        const aiter_tensor *t = &a->score.alibi_slopes;
        if (t->ndim == 2) aiteri_check_extent(c, "score.alibi_slopes", t, 0, p->batch, "the batch");
        aiteri_check_extent(c, "score.alibi_slopes", t, t->ndim - 1, p->heads_q, "heads of q");
        p->alibi_slopes = (const float *)t->data;
        p->alibi_stride_batch = t->ndim == 2 ? t->stride[0] : 0;
        p->alibi_stride_head = t->stride[t->ndim - 1];
    }
    if (aiteri_check_tensor(c, "score.sinks", &a->score.sinks, 1, 1, AITERI_ONLY_F32, 0, "[Hq]")) {
        aiteri_check_extent(c, "score.sinks", &a->score.sinks, 0, p->heads_q, "heads of q");
        p->sinks = (const float *)a->score.sinks.data;
        p->sinks_stride = a->score.sinks.stride[0];
    }
}

/* A value for each pair of a row and a key, [(B,) (Hq,) rows, keys]: extents of 1 broadcast, packed
 * rows have no batch dimension. */
static void aiteri_lower_pairs(aiteri_check *c, aiteri_attention *x, const char *field,
                               aiter_tensor *t, unsigned types, aiteri_rows *pairs)
{
    const aiteri_problem *p = &x->problem;
    if (!aiteri_check_tensor(c, field, t, 2, x->packed ? 3 : 4, types, 0,
                             x->packed ? "[total_q, keys] or [Hq, total_q, keys]"
                                       : "[Sq, Sk], [Hq, Sq, Sk] or [B, Hq, Sq, Sk]"))
        return;
    const int32_t n = t->ndim;
    const int64_t rows = x->packed ? p->total_q : p->seqlen_q;
    const int any_keys = x->packed || x->paged; /* checked against the lengths */
    static const char *const what[4] = {"the batch", "heads of q", "rows of q", "keys of k"};
    const int64_t expected[4] = {p->batch, p->heads_q, rows,
                                 any_keys ? t->shape[n - 1] : p->seqlen_k};
    for (int32_t i = 0; i < n; i++) {
        const int64_t want = expected[4 - n + i];
        if (t->shape[i] != 1 && t->shape[i] != want)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.%s: shape[%d] is %lld, expected 1 or %lld (= %s)%s", c->op, field,
                          (int)i, (long long)t->shape[i], (long long)want, what[4 - n + i],
                          x->packed ? "" : aiteri_bias_advice(t, i, p->batch, want));
    }
    pairs->data = (char *)t->data;
    pairs->dtype = t->dtype;
    pairs->stride_batch = n == 4 ? aiteri_broadcast_stride(t, 0) : 0;
    pairs->stride_head = n >= 3 ? aiteri_broadcast_stride(t, n - 3) : 0;
    pairs->stride_token = aiteri_broadcast_stride(t, n - 2);
    pairs->stride_dim = aiteri_broadcast_stride(t, n - 1);
}

static void aiteri_lower_bias(aiteri_check *c, aiteri_attention *x)
{
    aiter_score *s = &x->a.score;
    if (s->bias.ndim != 0 && s->bias.dtype == AITER_U8)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.score.bias: dtype is u8, expected f32, f16, bf16; pass a boolean mask as "
                      "score.visible, 1 where a key shows",
                      c->op);
    aiteri_lower_pairs(c, x, "score.bias", &s->bias, AITERI_FLOATS, &x->problem.bias);
    aiteri_lower_pairs(c, x, "score.visible", &s->visible, AITERI_TYPE_BIT(AITER_U8),
                       &x->problem.visible);
}

static void aiteri_lower_lse(aiteri_check *c, aiteri_attention *x)
{
    aiter_tensor *t = &x->a.lse;
    aiteri_problem *p = &x->problem;
    const int packed = x->packed || x->lse_packed;
    if (!aiteri_check_tensor(c, "lse", t, packed ? 2 : 3, packed ? 2 : 3, AITERI_ONLY_F32, 0,
                             x->packed       ? "[Hq, total_q]"
                             : x->lse_packed ? "[Hq, B]"
                                             : "[B, Hq, Sq]"))
        return;
    if (!packed && aiteri_lse_is_exchanged(t, &x->a.q))
        aiteri_reject(
            c, AITER_INVALID_ARGUMENT,
            "%s.lse: has %lld heads and %lld rows, but q has %lld and %lld; either lse, or "
            "q, k, v and out have their axes exchanged: aiter_tensor_transpose(t, 1, 2)",
            c->op, (long long)t->shape[1], (long long)t->shape[2], (long long)t->shape[2],
            (long long)t->shape[1]);
    const int32_t at = packed ? 0 : 1;
    if (!packed) aiteri_check_extent(c, "lse", t, 0, p->batch, "the batch");
    aiteri_check_extent(c, "lse", t, at, p->heads_q, "heads of q");
    aiteri_check_extent(c, "lse", t, at + 1,
                        x->packed       ? p->total_q
                        : x->lse_packed ? p->batch
                                        : p->seqlen_q,
                        "rows of q");
    p->lse = (float *)t->data;
    p->lse_stride_batch = x->packed ? 0 : x->lse_packed ? t->stride[1] : t->stride[0];
    p->lse_stride_head = t->stride[at];
    p->lse_stride_token = x->lse_packed ? 0 : t->stride[at + 1];
}

/* Scales of one quantised source, [1], [Hk] or the source's shape without D. Integers need them. */
static void aiteri_lower_scales(aiteri_check *c, const char *field, aiter_tensor *t,
                                aiter_scale_kind kind, const aiter_tensor *data,
                                aiteri_source *source)
{
    const int32_t rank = data->ndim - 1;
    if (!aiteri_check_tensor(c, field, t, 1, rank, AITERI_ONLY_F32, data->dtype == AITER_I8,
                             "f32 scales of the data: [1], [Hk], or its shape without D"))
        return;
    if (!aiteri_is_type(data->dtype, AITERI_QUANTISED)) {
        aiteri_check_true(c, 0, field, "none: only I8 and fp8 keys and values have scales");
        return;
    }
    if (kind == AITER_SCALE_BY_SHAPE)
        kind = t->ndim > 1                                      ? AITER_SCALE_PER_TOKEN_HEAD
               : t->shape[0] == 1 && data->shape[rank - 1] != 1 ? AITER_SCALE_PER_TENSOR
                                                                : AITER_SCALE_PER_HEAD;
    source->scales = aiteri_scales_of(t);
    if (kind == AITER_SCALE_PER_TOKEN_HEAD) {
        if (t->ndim != rank) {
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.%s: ndim is %d, expected %d: the data's shape without D", c->op,
                          field, (int)t->ndim, (int)rank);
            return;
        }
        for (int32_t i = 0; i < rank; i++)
            aiteri_check_extent(c, field, t, i, data->shape[i], "the data's shape");
        return;
    }
    if (t->ndim != 1)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: ndim is %d, expected 1 for this kind of scales", c->op, field,
                      (int)t->ndim);
    aiteri_check_extent(c, field, t, 0, kind == AITER_SCALE_PER_TENSOR ? 1 : data->shape[rank - 1],
                        kind == AITER_SCALE_PER_TENSOR ? "one scale"
                                                       : "kv heads; or 1 for one scale");
}

static void aiteri_lower_kv_scales(aiteri_check *c, aiteri_attention *x)
{
    aiter_kv *kv = &x->a.kv;
    aiteri_check_enum(c, "kv.k_scale_kind", (int)kv->k_scale_kind, AITER_SCALE_COUNT,
                      "aiter_scale_kind");
    aiteri_check_enum(c, "kv.v_scale_kind", (int)kv->v_scale_kind, AITER_SCALE_COUNT,
                      "aiter_scale_kind");
    aiteri_lower_scales(c, "kv.k_scale", &kv->k_scale, kv->k_scale_kind, &kv->k, &x->problem.k);
    aiteri_lower_scales(c, "kv.v_scale", &kv->v_scale, kv->v_scale_kind, &kv->v, &x->problem.v);
}

/* A table of pages, or lists of them one after the other. */
static void aiteri_lower_pages(aiteri_problem *p, const aiter_kv *kv, int listed)
{
    const aiter_tensor *table = listed ? &kv->indices : &kv->block_table;
    p->block_table = (const int32_t *)table->data;
    p->table_entries = (int32_t)table->shape[table->ndim - 1];
    p->table_stride_entry = table->stride[table->ndim - 1];
    p->table_stride_batch = listed ? 0 : table->stride[0];
    if (!listed) return;
    p->page_indptr = (const int32_t *)kv->indptr.data;
    p->page_indptr_stride = kv->indptr.stride[0];
    p->last_page_lens = (const int32_t *)(kv->last_page_lens.ndim ? kv->last_page_lens.data : NULL);
    p->last_page_stride = kv->last_page_lens.stride[0];
}

/* Rows, sources, lengths: everything that needs no further check than those above. */
static void aiteri_lower_shapes(aiteri_check *c, aiteri_attention *x)
{
    const aiter_attention_args *a = &x->a;
    aiteri_problem *p = &x->problem;
    if (c->status != AITER_OK) return;
    const int32_t qd = a->q.ndim - 1;
    p->heads_q = (int32_t)a->q.shape[qd - 1];
    p->heads_k = (int32_t)a->kv.k.shape[a->kv.k.ndim - 2];
    p->group = p->heads_q / p->heads_k;
    p->q = aiteri_rows_of(&a->q, x->packed);
    p->out = aiteri_rows_of(&a->out, x->packed);
    if (a->q.shape[qd] == 1) p->q.stride_dim = 1;
    if (a->out.shape[qd] == 1) p->out.stride_dim = 1;
    p->k = aiteri_source_of(&a->kv.k);
    p->v = aiteri_source_of(&a->kv.v);
    p->seqlen_q = (int32_t)(x->packed ? 0 : a->q.shape[1]);
    p->seqlen_k = (int32_t)(x->paged || a->kv.k.ndim == 3 ? 0 : a->kv.k.shape[1]);
    p->total_q = x->packed ? a->q.shape[0] : a->q.shape[0] * a->q.shape[1];
    p->cu_seqlens_q = (const int32_t *)(a->cu_seqlens_q.ndim ? a->cu_seqlens_q.data : NULL);
    p->cu_seqlens_k = (const int32_t *)(a->kv.cu_seqlens.ndim ? a->kv.cu_seqlens.data : NULL);
    p->seqused_q = (const int32_t *)(a->seqused_q.ndim ? a->seqused_q.data : NULL);
    p->seqused_k = (const int32_t *)(a->kv.seq_lens.ndim ? a->kv.seq_lens.data : NULL);
    p->cu_stride_q = a->cu_seqlens_q.stride[0];
    p->cu_stride_k = a->kv.cu_seqlens.stride[0];
    p->used_stride_q = a->seqused_q.stride[0];
    p->used_stride_k = a->kv.seq_lens.stride[0];
    int64_t most_k = a->kv.k.ndim == 3 ? a->kv.k.shape[0] : a->kv.k.shape[1];
    if (x->paged) {
        p->page_size = (int32_t)a->kv.k.shape[1];
        p->num_blocks = (int32_t)a->kv.k.shape[0];
        aiteri_lower_pages(p, &a->kv, x->listed);
        most_k = (int64_t)p->table_entries * p->page_size;
    }
    /* A page may stand in several lists, but each of their entries in one alone. */
    if (x->listed || a->kv.k.ndim == 3) p->total_k = most_k;
    most_k = aiteri_min(most_k, INT32_MAX - 1);
    const int64_t most_q = x->packed ? a->q.shape[0] : a->q.shape[1];
    p->max_seqlen_q = (int32_t)(a->max_seqlen_q ? aiteri_min(a->max_seqlen_q, most_q) : most_q);
    p->max_seqlen_k = (int32_t)(a->kv.max_seqlen ? aiteri_min(a->kv.max_seqlen, most_k) : most_k);
}

/* Shapes only: what a workspace query may look at. */
static aiter_status aiteri_attention_lower(aiteri_attention *x, aiter_context *ctx)
{
    aiteri_check check = {x->op->name, ctx, AITER_OK};
    aiteri_check *c = &check;
    memset(&x->problem, 0, sizeof x->problem);
    x->packed = x->a.cu_seqlens_q.ndim != 0;
    x->listed = x->a.kv.indptr.ndim != 0;
    x->paged = x->listed || x->a.kv.block_table.ndim != 0;
    aiteri_check_form(c, x);
    aiteri_check_lists_form(c, x);
    aiteri_check_qkv(c, x);
    aiteri_check_lengths_shapes(c, x);
    aiteri_check_score(c, x);
    aiteri_lower_shapes(c, x);
    aiteri_lower_score(c, x);
    if (c->status == AITER_OK) {
        aiteri_lower_kv_scales(c, x);
        aiteri_lower_alibi_and_sinks(c, x);
        x->problem.q_scale = aiteri_lower_one_scale(c, "score.q_scale", &x->a.score.q_scale);
        x->problem.out_scale = aiteri_lower_one_scale(c, "out_scale", &x->a.out_scale);
        aiteri_lower_bias(c, x);
        aiteri_lower_lse(c, x);
    }
    x->problem.features = aiteri_problem_features(&x->problem);
    if (c->status == AITER_OK) {
        const aiteri_schedule_bounds n = aiteri_schedule_bounds_of(&x->problem, 1);
        if (n.works > INT32_MAX || n.partial_rows > INT32_MAX)
            aiteri_reject(c, AITER_UNSUPPORTED,
                          "%s: the shapes could need more than 2^31 works; pass max_seqlen_q and "
                          "kv.max_seqlen, or cut the batch",
                          c->op);
    }
    return c->status;
}

#endif /* AITERI_ATTENTION_LOWER_C */

// >>attention_explain    (src/ops/attention_explain.c)
/* attention_explain.c -- the long answer of an _explain: what would run a problem, cut how, at what
 * cost, how exactly. Everything follows from shapes and bounds; no tensor is read. */
#ifndef AITERI_ATTENTION_EXPLAIN_C
#define AITERI_ATTENTION_EXPLAIN_C

#if AITERI_GPU
#endif

static aiter_scale_kind aiteri_scale_kind_of(const aiteri_scales *s)
{
    return !s->data                             ? AITER_SCALE_BY_SHAPE
           : s->stride_outer || s->stride_token ? AITER_SCALE_PER_TOKEN_HEAD
           : s->stride_head                     ? AITER_SCALE_PER_HEAD
                                                : AITER_SCALE_PER_TENSOR;
}

/* Where the keys lie, and of what types everything is. */
static void aiteri_explain_operands(aiteri_text *t, const aiteri_problem *p)
{
    const char *keys = p->page_indptr    ? "lists of pages"
                       : p->block_table  ? "paged"
                       : p->cu_seqlens_k ? "packed"
                       : p->seqused_k    ? "padded"
                                         : "dense";
    aiteri_say(t, "problem: batch %d, heads %d/%d, up to %d queries and %d keys, D %d/%d\n",
               (int)p->batch, (int)p->heads_q, (int)p->heads_k, (int)p->max_seqlen_q,
               (int)p->max_seqlen_k, (int)p->k.dim, (int)p->v.dim);
    aiteri_say(t, "types: q %s, k %s%s, ", aiter_dtype_name(p->q.dtype),
               aiter_dtype_name(p->k.dtype),
               aiteri_scale_words(aiteri_scale_kind_of(&p->k.scales)));
    if (p->v_in_k)
        aiteri_say(t, "v the first %d columns of k (kv.v is absent), ", (int)p->v.dim);
    else
        aiteri_say(t, "v %s%s, ", aiter_dtype_name(p->v.dtype),
                   aiteri_scale_words(aiteri_scale_kind_of(&p->v.scales)));
    aiteri_say(t, "out %s; keys %s", aiter_dtype_name(p->out.dtype), keys);
    if (p->block_table) aiteri_say(t, ", page size %d", (int)p->page_size);
    char features[256];
    aiteri_describe_features(features, sizeof features, p->features);
    aiteri_say(t, "\nfeatures: %s\n", features);
}

/* The loops of the CPU that sequences of these lengths may take, and their pieces. */
static void aiteri_explain_loops(aiteri_text *t, const aiteri_problem *p,
                                 const aiteri_kernels *kernels)
{
    const int32_t stream_rows = AITERI_STREAM_ROWS / p->group;
    const int64_t stream = aiteri_most_splits(p, 1, p->max_seqlen_k);
    const int64_t tile = aiteri_most_splits(p, 0, p->max_seqlen_k);
    if (stream_rows > 0)
        aiteri_say(t, "loop: sequences of up to %d queries stream their keys, in %lld piece%s\n",
                   (int)stream_rows, (long long)stream, stream == 1 ? "" : "s");
    if (p->max_seqlen_q > stream_rows)
        aiteri_say(t,
                   "loop: longer ones take tiles of %d rows x %d keys, up to %d a work, keys in up "
                   "to %lld piece%s\n",
                   (int)kernels->tile_lanes, (int)AITERI_TILE_KEYS,
                   (int)aiteri_most_tiles(p, kernels->tile_lanes), (long long)tile,
                   tile == 1 ? "" : "s");
}

/* Upper bounds: every row sees every key, and no operand is read twice. */
static void aiteri_explain_cost(aiteri_text *t, const aiteri_problem *p)
{
    const double rows = (double)p->batch * (double)p->max_seqlen_q;
    const double queries =
        (rows < (double)p->total_q ? rows : (double)p->total_q) * (double)p->heads_q;
    const double keys = (double)aiteri_most_keys(p) * (double)p->heads_k;
    const double row_bytes =
        p->k.dim * aiteri_bytes_per(p->q.dtype) + p->v.dim * aiteri_bytes_per(p->out.dtype);
    const double key_bytes = p->k.dim * aiteri_bytes_per(p->k.dtype) +
                             (p->v_in_k ? 0 : p->v.dim) * aiteri_bytes_per(p->v.dtype);
    aiteri_say(t, "flops: at most %.3g (without what the mask hides)\n",
               2.0 * queries * (double)p->max_seqlen_k * ((double)p->k.dim + (double)p->v.dim));
    aiteri_say(t, "bytes: at most %.3g of q and out, %.3g of %s\n", queries * row_bytes,
               keys * key_bytes, p->v_in_k ? "k" : "k and v");
}

/* gamma(n) of docs/guide.md, section 5. */
static double aiteri_rounding_of(double n)
{
    const double root = 8.0 * sqrt(n);
    return (n < root ? n : root) / 16777216.0;
}

static aiter_status aiteri_attention_explain(const aiteri_attention *x, aiter_context *ctx,
                                             aiteri_text *t)
{
    const aiteri_problem *p = &x->problem;
    aiteri_explain_operands(t, p);
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of(x->op->name, ctx);
        char kernel[256];
        AITERI_TRY(aiteri_gpu_attention_name(&call, p, kernel, sizeof kernel));
        aiteri_say(t, "kernel: %s\n", kernel);
    } else
#endif
        aiteri_explain_loops(t, p, aiteri_kernels_for(p, ctx));
    aiteri_explain_cost(t, p);
    aiteri_say(
        t,
        "error: a score %.2g of its largest scale * sum |q k|, a row %.2g of sum P |v|, half "
        "a unit of %s (docs/guide.md, 5)\n",
        aiteri_rounding_of(p->k.dim + 4.0), aiteri_rounding_of((double)p->max_seqlen_k),
        aiter_dtype_name(p->out.dtype));
    return AITER_OK;
}

#endif /* AITERI_ATTENTION_EXPLAIN_C */

// >>attention_run    (src/ops/attention_run.c)
/* attention_run.c -- the three calls of every softmax attention: what data and addresses tell
 * beyond shapes, then the engine or the device. */
#ifndef AITERI_ATTENTION_RUN_C
#define AITERI_ATTENTION_RUN_C

#if AITERI_GPU
#endif

static aiteri_length_bound aiteri_bound_of(int32_t most, int32_t given, const char *field,
                                           const char *otherwise)
{
    const aiteri_length_bound bound = {most, given != 0 && most == given ? field : otherwise};
    return bound;
}

static void aiteri_check_used(aiteri_check *c, const char *field, const int32_t *used,
                              int64_t stride, int32_t batch, aiteri_length_bound bound)
{
    for (int32_t b = 0; used && b < batch && c->status == AITER_OK; b++)
        if (used[b * stride] < 0 || used[b * stride] > bound.most)
            aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: [%d] is %d, expected 0 to %lld (= %s)",
                          c->op, field, (int)b, (int)used[b * stride], (long long)bound.most,
                          bound.name);
}

/* Packed rows with gaps: as many as there is room for. */
static void aiteri_check_room(aiteri_check *c, const char *field, const char *cu_field,
                              const int32_t *used, int64_t stride, const int32_t *cu,
                              int64_t cu_stride, int32_t batch)
{
    for (int32_t b = 0; used && cu && b < batch && c->status == AITER_OK; b++) {
        const int64_t room = (int64_t)cu[(b + 1) * cu_stride] - cu[b * cu_stride];
        if (used[b * stride] > room)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.%s: [%d] is %d, expected 0 to %lld (= the room that %s gives)", c->op,
                          field, (int)b, (int)used[b * stride], (long long)room, cu_field);
    }
}

/* Lists of pages: running sums within kv.indices, lengths within the pages and the bound. */
static void aiteri_check_lists(aiteri_check *c, const aiteri_problem *p, aiteri_length_bound most_k)
{
    const aiteri_length_bound all = {p->table_entries, "the pages of kv.indices"};
    if (!p->page_indptr) return;
    aiteri_check_cu_seqlens(c, "kv.indptr", p->page_indptr, p->page_indptr_stride, p->batch,
                            p->table_entries, all);
    for (int32_t b = 0; b < p->batch && c->status == AITER_OK; b++) {
        const int64_t pages = (int64_t)p->page_indptr[(b + 1) * p->page_indptr_stride] -
                              p->page_indptr[b * p->page_indptr_stride];
        const int64_t keys = pages * p->page_size;
        if (!p->last_page_lens) {
            const int32_t length = p->seqused_k[b * p->used_stride_k];
            if (length > keys)
                aiteri_reject(
                    c, AITER_INVALID_ARGUMENT,
                    "%s.kv.seq_lens: [%d] is %d, expected 0 to %lld (= keys of its pages)", c->op,
                    (int)b, (int)length, (long long)keys);
            continue;
        }
        const int32_t last = p->last_page_lens[b * p->last_page_stride];
        const int64_t length = pages > 0 ? keys - p->page_size + last : 0;
        if (pages > 0 && (last < 1 || last > p->page_size))
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.kv.last_page_lens: [%d] is %d, expected 1 to %d (= page size)", c->op,
                          (int)b, (int)last, (int)p->page_size);
        if (length > most_k.most)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.kv.last_page_lens: [%d] gives a length of %lld, expected 0 to %lld "
                          "(= %s)",
                          c->op, (int)b, (long long)length, (long long)most_k.most, most_k.name);
    }
}

/* A page that is none of the blocks: entry `entry` of sequence b. */
static void aiteri_reject_block(aiteri_check *c, const aiteri_problem *p, int32_t b, int32_t entry,
                                int32_t id)
{
    char place[64];
    if (p->page_indptr)
        snprintf(place, sizeof place, "indices: [%d]",
                 (int)(p->page_indptr[b * p->page_indptr_stride] + entry));
    else
        snprintf(place, sizeof place, "block_table: [%d][%d]", (int)b, (int)entry);
    if (p->num_blocks == 0)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.kv.%s is %d, but kv.k has no blocks: its shape[0] is 0", c->op, place,
                      (int)id);
    else
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.kv.%s is %d, expected 0 to %d (the blocks of kv.k)", c->op, place,
                      (int)id, (int)p->num_blocks - 1);
}

/* Block ids of entries that hold a visible key. */
static void aiteri_check_blocks(aiteri_check *c, const aiteri_problem *p)
{
    for (int32_t b = 0; p->block_table && b < p->batch && c->status == AITER_OK; b++) {
        const aiteri_sequence s = aiteri_sequence_of(p, b);
        if (s.seqlen_q == 0 || s.seqlen_k == 0) continue;
        const aiteri_key_range seen = aiteri_visible_keys_of_span(p, &s, 0, s.seqlen_q);
        const int32_t entries = (int32_t)aiteri_ceil_div(s.seqlen_k, p->page_size);
        for (int32_t i = 0; i < entries; i++) {
            const int64_t first = (int64_t)i * p->page_size;
            if (!aiteri_range_meets(seen, first, first + p->page_size)) continue;
            const int32_t id = aiteri_page_of(p, &s, i);
            if (id < 0 || id >= p->num_blocks) aiteri_reject_block(c, p, b, i, id);
        }
    }
}

/* A bias or a mask has a value for every key of the longest sequence. */
static void aiteri_check_pairs(aiteri_check *c, const aiteri_attention *x, const char *field,
                               const aiter_tensor *t)
{
    const int64_t keys = t->ndim ? t->shape[t->ndim - 1] : 1;
    for (int32_t b = 0; keys != 1 && b < x->problem.batch && c->status == AITER_OK; b++) {
        const int64_t longest = aiteri_sequence_of(&x->problem, b).seqlen_k;
        if (keys < longest)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.%s: has %lld keys, expected %lld or more for row %d of the batch",
                          c->op, field, (long long)keys, (long long)longest, (int)b);
    }
}

/* a * b to nearest with subnormals: checks run in the caller's mode. volatile holds the product
 * between the two changes of it. */
static float aiteri_product(float a, float b)
{
    volatile float x = a, product;
    const aiteri_float_mode mode = aiteri_float_mode_enter();
    product = x * b;
    aiteri_float_mode_leave(mode);
    return product;
}

/* The scale of q is one of the scores. */
static void aiteri_fold_q_scale(aiteri_check *c, aiteri_problem *p)
{
    aiteri_check_positive(c, "score.q_scale", 0, p->q_scale ? p->q_scale[0] : 1.0f);
    aiteri_check_positive(c, "out_scale", 0, p->out_scale ? p->out_scale[0] : 1.0f);
    if (c->status != AITER_OK || !p->q_scale) return;
    const float scale = aiteri_product(p->softmax_scale, p->q_scale[0]);
    if (aiteri_bits_of_f32(scale) >= 0x7f800000u)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.score.q_scale: is %g, which times softmax_scale (%g) is beyond f32",
                      c->op, (double)p->q_scale[0], (double)p->softmax_scale);
    p->softmax_scale = scale;
    p->features = aiteri_problem_features(p); /* the scale may be far now */
}

/* What only data can tell; of a device's plan the lengths alone are host memory. */
static aiter_status aiteri_attention_check_data(aiteri_attention *x, aiter_context *ctx)
{
    aiteri_check check = {x->op->name, ctx, AITER_OK};
    aiteri_check *c = &check;
    const aiter_attention_args *a = &x->a;
    const aiteri_problem *p = &x->problem;
    const aiteri_length_bound most_q =
        aiteri_bound_of(p->max_seqlen_q, a->max_seqlen_q, "max_seqlen_q", "rows of q");
    const aiteri_length_bound most_k =
        aiteri_bound_of(p->max_seqlen_k, a->kv.max_seqlen, "kv.max_seqlen",
                        x->listed  ? "pages * page size"
                        : x->paged ? "max_blocks * page size"
                                   : "keys of k");
    const int64_t total_k = a->kv.k.shape[0];
    const aiteri_length_bound room_q = {p->total_q, "tokens of q"},
                              room_k = {total_k, "tokens of k"};
    aiteri_check_cu_seqlens(c, "cu_seqlens_q", p->cu_seqlens_q, p->cu_stride_q, p->batch,
                            p->total_q, p->seqused_q ? room_q : most_q);
    aiteri_check_cu_seqlens(c, "kv.cu_seqlens", p->cu_seqlens_k, p->cu_stride_k, p->batch, total_k,
                            p->seqused_k ? room_k : most_k);
    aiteri_check_used(c, "seqused_q", p->seqused_q, p->used_stride_q, p->batch, most_q);
    aiteri_check_used(c, "kv.seq_lens", p->seqused_k, p->used_stride_k, p->batch, most_k);
    aiteri_check_room(c, "seqused_q", "cu_seqlens_q", p->seqused_q, p->used_stride_q,
                      p->cu_seqlens_q, p->cu_stride_q, p->batch);
    aiteri_check_room(c, "kv.seq_lens", "kv.cu_seqlens", p->seqused_k, p->used_stride_k,
                      p->cu_seqlens_k, p->cu_stride_k, p->batch);
    aiteri_check_lists(c, p, most_k);
    if (!aiteri_context_on_device(ctx)) aiteri_check_blocks(c, p); /* the table is there */
    if (!aiteri_context_on_device(ctx)) aiteri_fold_q_scale(c, &x->problem);
    aiteri_check_pairs(c, x, "score.bias", &a->score.bias);
    aiteri_check_pairs(c, x, "score.visible", &a->score.visible);
    return c->status;
}

/* Where every sequence has all rows of its tensor, a bound below them is wrong. */
static void aiteri_check_dense_bound(aiteri_check *c, const char *field, int32_t most,
                                     int32_t length, const char *tensor)
{
    if (most < length)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: is %d, expected 0 or at least %d, the length that %s has", c->op,
                      field, (int)most, (int)length, tensor);
}

/* On a device the lengths cannot be looked at: their bound counts. */
static void aiteri_check_pairs_bound(aiteri_check *c, const char *field, const aiter_tensor *t,
                                     int32_t most)
{
    const int64_t keys = t->ndim ? t->shape[t->ndim - 1] : 1;
    if (keys != 1 && keys < most)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: has %lld keys, expected %d or more (the bound of the lengths; "
                      "kv.max_seqlen lowers it)",
                      c->op, field, (long long)keys, (int)most);
}

/* Memory of the call itself: the workspace is written, the plan read; a new plan is written. */
typedef struct aiteri_call_memory {
    aiter_tensor workspace, plan, plan_device, plan_struct;
    int plan_is_written;
} aiteri_call_memory;

static aiteri_call_memory aiteri_call_memory_of(const aiter_attention_args *a,
                                                const aiter_plan *made, int on_device)
{
    const aiter_plan *plan = made ? made : a->call.plan;
    aiteri_call_memory m;
    memset(&m, 0, sizeof m);
    m.workspace = aiteri_memory_operand(a->call.workspace, a->call.workspace_bytes);
    m.plan_is_written = made != NULL;
    if (plan) m.plan_struct = aiteri_memory_operand(plan, sizeof *plan);
    if (!plan || !plan->data) return m; /* without data its bytes are still to be asked for */
    m.plan = aiteri_memory_operand(plan->data, plan->bytes);
    if (on_device) m.plan_device = aiteri_memory_operand(plan->device, plan->bytes);
    return m;
}

/* Bounds against extents, and overlaps: addresses are compared, nothing is read. `made`: the plan
 * that the call fills, or NULL. */
static aiter_status aiteri_attention_check_bounds(aiteri_attention *x, aiter_context *ctx,
                                                  const aiter_plan *made)
{
    aiteri_check check = {x->op->name, ctx, AITER_OK};
    aiteri_check *c = &check;
    const aiter_attention_args *a = &x->a;
    const aiteri_problem *p = &x->problem;
    aiteri_check_dense_bound(c, "max_seqlen_q", p->max_seqlen_q,
                             p->cu_seqlens_q || p->seqused_q ? 0 : p->seqlen_q, "q");
    aiteri_check_dense_bound(c, "kv.max_seqlen", p->max_seqlen_k,
                             p->cu_seqlens_k || p->seqused_k || x->listed ? 0 : p->seqlen_k,
                             "kv.k");
    if (aiteri_context_on_device(ctx)) {
        aiteri_check_pairs_bound(c, "score.bias", &a->score.bias, p->max_seqlen_k);
        aiteri_check_pairs_bound(c, "score.visible", &a->score.visible, p->max_seqlen_k);
    }
    const aiteri_call_memory m = aiteri_call_memory_of(a, made, aiteri_context_on_device(ctx));
    const aiteri_operand operand[] = {{"out", &a->out},
                                      {"lse", &a->lse},
                                      {"call.workspace", &m.workspace},
                                      {"call.plan", &m.plan},
                                      {"call.plan.device", &m.plan_device},
                                      {"q", &a->q},
                                      {"kv.k", &a->kv.k},
                                      {"kv.v", &a->kv.v},
                                      {"score.bias", &a->score.bias},
                                      {"score.visible", &a->score.visible},
                                      {"score.alibi_slopes", &a->score.alibi_slopes},
                                      {"score.sinks", &a->score.sinks},
                                      {"score.q_scale", &a->score.q_scale},
                                      {"out_scale", &a->out_scale},
                                      {"kv.block_table", &a->kv.block_table},
                                      {"kv.indptr", &a->kv.indptr},
                                      {"kv.indices", &a->kv.indices},
                                      {"kv.last_page_lens", &a->kv.last_page_lens},
                                      {"cu_seqlens_q", &a->cu_seqlens_q},
                                      {"kv.cu_seqlens", &a->kv.cu_seqlens},
                                      {"seqused_q", &a->seqused_q},
                                      {"kv.seq_lens", &a->kv.seq_lens},
                                      {"kv.k_scale", &a->kv.k_scale},
                                      {"kv.v_scale", &a->kv.v_scale},
                                      {"call.plan", &m.plan_struct}};
    aiteri_check_overlap(c, operand, (int32_t)(sizeof operand / sizeof operand[0]),
                         m.plan_is_written ? 5 : 3);
    return c->status;
}

/* The three calls of every softmax attention op, given its arguments as flash arguments. */
static aiter_status aiteri_attention_run(aiteri_attention *x, aiter_context *ctx)
{
    const aiter_attention_args *a = &x->a;
    AITERI_TRY(aiteri_attention_lower(x, ctx));
    AITERI_TRY(aiteri_attention_check_bounds(x, ctx, NULL));
    if (!aiteri_context_on_device(ctx)) AITERI_TRY(aiteri_attention_check_data(x, ctx));
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of(x->op->name, ctx);
        return aiteri_gpu_attention_run(&call, &x->problem, a->call.plan, a->call.workspace,
                                        a->call.workspace_bytes);
    }
#endif
    const aiteri_problem *problem = &x->problem;
    return aiteri_engine_execute(x->op->name, &problem, 1, ctx, a->call.plan, a->call.workspace,
                                 a->call.workspace_bytes);
}

/* Bytes for a problem that was lowered. */
static aiter_status aiteri_attention_need(const aiteri_attention *x, aiter_context *ctx,
                                          size_t *bytes)
{
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of(x->op->name, ctx);
        return aiteri_gpu_attention_workspace(&call, &x->problem, bytes);
    }
#endif
    const aiteri_problem *problem = &x->problem;
    return aiteri_engine_workspace(x->op->name, &problem, 1, ctx, bytes);
}

static aiter_status aiteri_attention_workspace(aiteri_attention *x, aiter_context *ctx,
                                               size_t *bytes)
{
    AITERI_TRY(aiteri_attention_lower(x, ctx));
    return aiteri_attention_need(x, ctx, bytes);
}

/* The same as a run up to where it would read a tensor. */
static aiter_status aiteri_attention_supported(aiteri_attention *x, aiter_context *ctx,
                                               size_t *bytes)
{
    AITERI_TRY(aiteri_attention_lower(x, ctx));
    AITERI_TRY(aiteri_attention_check_bounds(x, ctx, NULL));
    return aiteri_attention_need(x, ctx, bytes);
}

static aiter_status aiteri_attention_plan(aiteri_attention *x, aiter_context *ctx, aiter_plan *plan)
{
    if (!plan)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT, "%s_plan.plan: is NULL, expected a pointer",
                           x->op->name);
    AITERI_TRY(aiteri_attention_lower(x, ctx));
    AITERI_TRY(aiteri_attention_check_bounds(x, ctx, plan));
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of(x->op->name, ctx);
        aiteri_gpu_shape s; /* of what is refused the lengths may be on the device */
        AITERI_TRY(aiteri_gpu_choose_planned(&call, &x->problem, plan, &s));
        AITERI_TRY(aiteri_attention_check_data(x, ctx));
        return aiteri_gpu_attention_plan(&call, &x->problem, plan);
    }
#endif
    AITERI_TRY(aiteri_attention_check_data(x, ctx));
    return aiteri_engine_plan(x->op->name, &x->problem, ctx, plan);
}

#endif /* AITERI_ATTENTION_RUN_C */

// >>attention_calls    (src/ops/attention_calls.c)
/* attention_calls.c -- how every softmax attention begins, and the five calls that each op has. */
#ifndef AITERI_ATTENTION_CALLS_C
#define AITERI_ATTENTION_CALLS_C


/* The arguments of an op as the family takes them. */
static aiter_status aiteri_attention_begin(const aiteri_attention_op *op, const char *call,
                                           const aiter_attention_args *args, aiter_context *ctx,
                                           aiteri_attention *x)
{
    memset(x, 0, sizeof *x);
    AITERI_TRY(aiteri_call_begin(op->name, call, ctx, args, sizeof *args));
    x->op = op;
    x->a = *args;
    if (x->a.score.mask == AITER_MASK_DEFAULT)
        x->a.score.mask = x->a.score.visible.ndim ? AITER_MASK_NONE : op->mask;
    return op->begin ? op->begin(x, ctx) : AITER_OK;
}

/* The calls of aiteri_<name>_op. */
#define AITERI_ATTENTION_CALLS(name) AITERI_CALLS(name, attention, &aiteri_##name##_op)
#define AITERI_ATTENTION_PLAN(name)                                                       \
    AITER_ATTN_API aiter_status aiter_##name##_plan(const aiter_attention_args *args,     \
                                                    aiter_context *ctx, aiter_plan *plan) \
    {                                                                                     \
        aiteri_attention x;                                                               \
        AITERI_TRY(aiteri_attention_begin(&aiteri_##name##_op, "_plan", args, ctx, &x));  \
        return aiteri_attention_plan(&x, ctx, plan);                                      \
    }

#endif /* AITERI_ATTENTION_CALLS_C */
#endif
#if AITERI_HAS_FLASH

// >>flash_attn_fwd    (src/ops/flash_attn_fwd.c)
/* flash_attn_fwd.c -- the general softmax attention, and the names that some of its forms have
 * elsewhere. */
#ifndef AITERI_FLASH_ATTN_FWD_C
#define AITERI_FLASH_ATTN_FWD_C


static const aiteri_attention_op aiteri_flash_attn_fwd_op = {"aiter_flash_attn_fwd",
                                                             AITER_MASK_NONE, 0, NULL};

AITERI_ATTENTION_CALLS(flash_attn_fwd)
AITERI_ATTENTION_PLAN(flash_attn_fwd)

/* ---- aiter_grouped_query_attention ---- */

static const aiteri_attention_op aiteri_grouped_query_attention_op = {
    "aiter_grouped_query_attention", AITER_MASK_NONE, 0, NULL};

AITERI_ATTENTION_CALLS(grouped_query_attention)
AITERI_ATTENTION_PLAN(grouped_query_attention)

/* ---- aiter_multi_query_attention ---- */

static aiter_status aiteri_multi_query_attention_begin(aiteri_attention *x, aiter_context *ctx)
{
    const aiter_tensor *k = &x->a.kv.k;
    const int32_t axis = k->ndim == 4 ? 2 : 1;
    if ((k->ndim == 3 || k->ndim == 4) && k->shape[axis] != 1)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT,
                           "aiter_multi_query_attention.kv.k: shape[%d] is %lld, expected 1 kv "
                           "head (%s)",
                           (int)axis, (long long)k->shape[axis],
                           k->ndim == 4 && k->shape[1] == 1
                               ? "of tensors whose axes are [B, H, S, D] pass "
                                 "aiter_tensor_transpose(t, 1, 2)"
                               : "aiter_grouped_query_attention takes more");
    return AITER_OK;
}

static const aiteri_attention_op aiteri_multi_query_attention_op = {
    "aiter_multi_query_attention", AITER_MASK_NONE, 0, aiteri_multi_query_attention_begin};

AITERI_ATTENTION_CALLS(multi_query_attention)
AITERI_ATTENTION_PLAN(multi_query_attention)

/* ---- aiter_variable_length_attention ---- */

static aiter_status aiteri_variable_length_attention_begin(aiteri_attention *x, aiter_context *ctx)
{
    const int keys =
        x->a.kv.cu_seqlens.ndim != 0 || x->a.kv.block_table.ndim != 0 || x->a.kv.indptr.ndim != 0;
    if (x->a.cu_seqlens_q.ndim == 0 || !keys)
        return aiteri_fail(
            ctx, AITER_INVALID_ARGUMENT,
            "aiter_variable_length_attention.%s: is absent (ndim 0), expected I32 [B + 1]",
            x->a.cu_seqlens_q.ndim == 0 ? "cu_seqlens_q" : "kv.cu_seqlens");
    return AITER_OK;
}

static const aiteri_attention_op aiteri_variable_length_attention_op = {
    "aiter_variable_length_attention", AITER_MASK_NONE, 0, aiteri_variable_length_attention_begin};

AITERI_ATTENTION_CALLS(variable_length_attention)
AITERI_ATTENTION_PLAN(variable_length_attention)

#endif /* AITERI_FLASH_ATTN_FWD_C */
#endif
#if AITERI_HAS_DECODE

// >>paged_attn_decode    (src/ops/paged_attn_decode.c)
/* paged_attn_decode.c -- decode over pages: the new tokens are the last keys of their sequences. */
#ifndef AITERI_PAGED_ATTN_DECODE_C
#define AITERI_PAGED_ATTN_DECODE_C


/* [B, Hq, D] seen as [B, 1, Hq, D]. */
static aiter_tensor aiteri_with_token_dim(aiter_tensor t)
{
    memmove(t.shape + 2, t.shape + 1, 2 * sizeof t.shape[0]);
    memmove(t.stride + 2, t.stride + 1, 2 * sizeof t.stride[0]);
    t.ndim = 4;
    t.shape[1] = 1;
    return t;
}

/* q and out as the caller wrote them, of one token each perhaps: a text names the caller's indices.
 */
static aiter_status aiteri_paged_check_rows(aiteri_attention *x, aiter_context *ctx)
{
    aiter_tensor *q = &x->a.q, *out = &x->a.out;
    aiteri_check check = {x->op->name, ctx, AITER_OK};
    aiteri_check *c = &check;
    aiteri_check_tensor(c, "q", q, 3, 4, AITERI_FLOATS, 1, aiteri_rows_layout(1, 0));
    aiteri_check_tensor(c, "out", out, q->ndim, q->ndim, AITERI_FLOATS, 1,
                        q->ndim == 3 ? "[B, Hq, D], as q" : "[B, q_len, Hq, D], as q");
    for (int32_t i = 0; c->status == AITER_OK && i < q->ndim - 1; i++)
        aiteri_check_extent(c, "out", out, i, q->shape[i], "q");
    if (c->status != AITER_OK) return c->status;
    aiteri_check_axis(c, "q", q, q->ndim - 1, "head_dim", 1, AITERI_MAX_HEAD_DIM);
    aiteri_check_axis(c, "q", q, q->ndim - 2, "heads", 1, 65535);
    return c->status;
}

/* The table and the lengths choose the paged form inside; without them it would be another op. */
static aiter_status aiteri_paged_attn_decode_begin(aiteri_attention *x, aiter_context *ctx)
{
    aiteri_check check = {x->op->name, ctx, AITER_OK};
    aiteri_check *c = &check;
    const int listed = x->a.kv.indptr.ndim != 0;
    if (x->a.kv.block_table.ndim == 0 && !listed)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.kv.block_table: is absent (ndim 0), expected I32 [B, max_blocks]", c->op);
    if (x->a.kv.seq_lens.ndim == 0 && !listed)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.kv.seq_lens: is absent (ndim 0), expected I32 [B]", c->op);
    aiteri_check_absent(c, "cu_seqlens_q", &x->a.cu_seqlens_q,
                        "q has as many tokens of every sequence; aiter_flash_attn_fwd takes a "
                        "mixed batch");
    aiteri_check_absent(c, "seqused_q", &x->a.seqused_q,
                        "q has as many tokens of every sequence; aiter_flash_attn_fwd takes a "
                        "padded batch");
    if (c->status != AITER_OK) return c->status;
    AITERI_TRY(aiteri_paged_check_rows(x, ctx));
    x->lse_packed = x->a.q.ndim == 3;
    if (!x->lse_packed) return AITER_OK;
    x->a.q = aiteri_with_token_dim(x->a.q);
    x->a.out = aiteri_with_token_dim(x->a.out);
    return AITER_OK;
}

static const aiteri_attention_op aiteri_paged_attn_decode_op = {
    "aiter_paged_attn_decode", AITER_MASK_CAUSAL, 1, aiteri_paged_attn_decode_begin};

AITERI_ATTENTION_CALLS(paged_attn_decode)
AITERI_ATTENTION_PLAN(paged_attn_decode)

#endif /* AITERI_PAGED_ATTN_DECODE_C */

// >>decode_attention    (src/ops/decode_attention.c)
/* decode_attention.c -- one token in the transposed layouts of tile accelerators: q [D, Hq], k and
 * v [Hk, D, Sk], out [Hq, D], as [B, S, H, D] with B = Sq = 1. */
#ifndef AITERI_DECODE_ATTENTION_C
#define AITERI_DECODE_ATTENTION_C


/* An argument of which every index was checked seen as four dimensions: order[i] is the dimension
 * of `t` that becomes dimension i, or -1 for an extent of 1. */
static aiter_tensor aiteri_as_4d(const aiter_tensor *t, int32_t d0, int32_t d1, int32_t d2,
                                 int32_t d3)
{
    const int32_t order[4] = {d0, d1, d2, d3};
    aiter_tensor r = *t;
    r.ndim = 4;
    for (int32_t i = 0; i < 4; i++) {
        r.shape[i] = order[i] < 0 ? 1 : t->shape[order[i]];
        r.stride[i] = order[i] < 0 ? 0 : t->stride[order[i]];
    }
    return r;
}

/* What the layout has no place for. */
static void aiteri_check_transposed_fields(aiteri_check *c, const aiter_attention_args *a)
{
    const char *why = "the layout has one sequence, whose keys are all of kv.k";
    aiteri_check_true(c, a->call.plan == NULL, "call.plan", "none: this op has no plan");
    aiteri_check_absent(c, "lse", &a->lse, "aiter_flash_attn_fwd gives it");
    aiteri_check_absent(c, "cu_seqlens_q", &a->cu_seqlens_q, why);
    aiteri_check_absent(c, "seqused_q", &a->seqused_q, why);
    aiteri_check_absent(c, "kv.seq_lens", &a->kv.seq_lens, why);
    aiteri_check_absent(c, "kv.cu_seqlens", &a->kv.cu_seqlens, why);
    aiteri_check_absent(c, "kv.block_table", &a->kv.block_table, why);
    aiteri_check_absent(c, "kv.indptr", &a->kv.indptr, why);
    aiteri_check_absent(c, "kv.indices", &a->kv.indices, why);
    aiteri_check_absent(c, "kv.last_page_lens", &a->kv.last_page_lens, why);
}

/* Checked as the caller wrote them, so that a text names the caller's indices. `one`: without the
 * head axes. */
static aiter_status aiteri_transposed_begin(aiteri_attention *x, int one, aiter_context *ctx)
{
    aiter_tensor *q = &x->a.q, *k = &x->a.kv.k, *v = &x->a.kv.v, *out = &x->a.out;
    aiteri_check check = {x->op->name, ctx, AITER_OK};
    aiteri_check *c = &check;
    const char *keys = one ? "[D, Sk]" : "[Hk, D, Sk]";
    const int32_t n = one ? 2 : 3;
    aiteri_check_transposed_fields(c, &x->a);
    aiteri_check_tensor(c, "q", q, 2, 2, AITERI_FLOATS, 1, one ? "[D, 1]" : "[D, Hq]");
    aiteri_check_tensor(c, "kv.k", k, n, n, AITERI_FLOATS, 1, keys);
    aiteri_check_tensor(c, "kv.v", v, n, n, AITERI_FLOATS, 1, keys);
    aiteri_check_tensor(c, "out", out, 2, 2, AITERI_FLOATS, 1, one ? "[1, D]" : "[Hq, D]");
    if (c->status != AITER_OK) return c->status;
    if (one) aiteri_check_extent(c, "q", q, 1, 1, "one query head: q is [D, 1]");
    aiteri_check_extent(c, "kv.k", k, n - 2, q->shape[0],
                        one ? "D of q, which is [D, 1]" : "D of q, which is [D, Hq]");
    aiteri_check_axis(c, "q", q, 0, "head_dim", 1, AITERI_MAX_HEAD_DIM);
    aiteri_check_axis(c, "q", q, 1, "heads", 1, 65535);
    aiteri_check_axis(c, "kv.k", k, n - 1, "keys", 0, INT32_MAX - 1);
    for (int32_t i = 0; i < n; i++) aiteri_check_extent(c, "kv.v", v, i, k->shape[i], "kv.k");
    aiteri_check_extent(c, "out", out, 0, q->shape[1], "heads of q");
    aiteri_check_extent(c, "out", out, 1, q->shape[0], "D of q");
    if (c->status != AITER_OK) return c->status;
    *q = aiteri_as_4d(q, -1, -1, 1, 0);
    *k = aiteri_as_4d(k, -1, n - 1, n - 3, n - 2);
    *v = aiteri_as_4d(v, -1, n - 1, n - 3, n - 2);
    *out = aiteri_as_4d(out, -1, -1, 0, 1);
    return AITER_OK;
}

static aiter_status aiteri_decode_attention_begin(aiteri_attention *x, aiter_context *ctx)
{
    return aiteri_transposed_begin(x, 1, ctx);
}

static const aiteri_attention_op aiteri_decode_attention_op = {
    "aiter_decode_attention", AITER_MASK_NONE, 0, aiteri_decode_attention_begin};

AITERI_ATTENTION_CALLS(decode_attention)

static aiter_status aiteri_decode_attention_gqa_begin(aiteri_attention *x, aiter_context *ctx)
{
    return aiteri_transposed_begin(x, 0, ctx);
}

static const aiteri_attention_op aiteri_decode_attention_gqa_op = {
    "aiter_decode_attention_gqa", AITER_MASK_NONE, 0, aiteri_decode_attention_gqa_begin};

AITERI_ATTENTION_CALLS(decode_attention_gqa)

#endif /* AITERI_DECODE_ATTENTION_C */
#endif
#if AITERI_HAS_CACHE
#if AITERI_GPU

// >>cache    (src/gpu/cache.c)
/* cache.c -- aiter_reshape_and_cache on a device: one launch, slots are read and judged there. */
#ifndef AITERI_GPU_CACHE_C
#define AITERI_GPU_CACHE_C


static void aiteri_gpu_fill_cache_side(aiteri_gpu_cache_side *s, const aiter_tensor *src,
                                       const aiter_tensor *cache, const aiter_tensor *scale)
{
    s->src = (uint64_t)(uintptr_t)src->data;
    s->cache = (uint64_t)(uintptr_t)cache->data;
    s->src_stride_token = src->stride[0];
    s->src_stride_head = src->stride[1];
    s->cache_stride_block = cache->stride[0];
    s->cache_stride_token = cache->stride[1];
    s->cache_stride_head = cache->stride[2];
    s->dim = (int32_t)src->shape[2];
    if (scale->ndim == 0) return;
    s->scale = (uint64_t)(uintptr_t)scale->data;
    s->scale_stride_block = scale->ndim == 3 ? scale->stride[0] : 0;
    s->scale_stride_token = scale->ndim == 3 ? scale->stride[1] : 0;
    s->scale_stride_head = scale->ndim == 3       ? scale->stride[2]
                           : scale->shape[0] == 1 ? 0
                                                  : scale->stride[0];
}

/* The row of the registry that serves it; shapes were checked. */
static aiter_status aiteri_gpu_cache_choose(const aiteri_gpu_call *c,
                                            const aiter_reshape_and_cache_args *a, int32_t *row)
{
    const aiteri_operand rows[4] = {
        {"k", &a->k}, {"v", &a->v}, {"kv.k", &a->kv.k}, {"kv.v", &a->kv.v}};
    aiteri_gpu_want want;
    memset(&want, 0, sizeof want);
    want.op = AITERI_GPU_OP_reshape_and_cache;
    want.arch = c->gpu->device->arch_bits;
    want.q = a->k.dtype;
    want.kv = a->kv.k.dtype;
    want.dq = (int32_t)a->k.shape[2];
    want.dv = (int32_t)a->v.shape[2];
    want.features = AITERI_BIT(PAGED_KEYS);
    if (a->kv.k_scale.ndim != 0) want.features |= AITERI_BIT(SCALE_TOKEN);
    AITERI_TRY(aiteri_gpu_check_dense(c, rows, 4));
    return aiteri_gpu_need_row(c, &want, row);
}

/* By the row that was chosen. */
static aiter_status aiteri_gpu_cache_run(const aiteri_gpu_call *c,
                                         const aiter_reshape_and_cache_args *a, int32_t mode,
                                         int32_t row)
{
    aiteri_gpu_reshape_and_cache x;
    aiteri_current was;
    memset(&x, 0, sizeof x);
    aiteri_gpu_fill_cache_side(&x.k, &a->k, &a->kv.k, &a->kv.k_scale);
    aiteri_gpu_fill_cache_side(&x.v, &a->v, &a->kv.v, &a->kv.v_scale);
    x.slot_mapping = (uint64_t)(uintptr_t)a->slot_mapping.data;
    x.slot_stride = a->slot_mapping.stride[0];
    x.tokens = a->k.shape[0];
    x.slots = a->kv.k.shape[0] * a->kv.k.shape[1];
    x.heads = (int32_t)a->k.shape[1];
    x.page_size = (int32_t)a->kv.k.shape[1];
    x.slot_bits = aiter_dtype_bits(a->slot_mapping.dtype);
    x.quant = mode;
    if (x.tokens == 0) return AITER_OK;
    AITERI_TRY(aiteri_device_enter(c->ctx, c->op, c->gpu->device, &was));
    const aiter_status status =
        aiteri_gpu_launch(c, row, aiteri_ceil_div(x.tokens, aiteri_gpu_rows_table[row].rows), &x);
    aiteri_device_leave(c->gpu->device, &was);
    return status;
}

#endif /* AITERI_GPU_CACHE_C */
#endif

// >>reshape_and_cache    (src/ops/reshape_and_cache.c)
/* reshape_and_cache.c -- new K and V rows into their slots of a paged cache, converted or
 * quantised. */
#ifndef AITERI_RESHAPE_AND_CACHE_C
#define AITERI_RESHAPE_AND_CACHE_C

#if AITERI_GPU
#endif

/* What quantisation asks for; the kernels for devices know these numbers, too. */
typedef enum aiteri_cache_mode {
    AITERI_CACHE_CONVERTS = 0,
    AITERI_CACHE_SCALE_GIVEN,
    AITERI_CACHE_SCALE_PER_TOKEN_HEAD
} aiteri_cache_mode;

/* K or V: where its rows come from and where they go, as readers see them. */
typedef struct aiteri_cache_side {
    aiteri_source src, cache;
} aiteri_cache_side;

typedef struct aiteri_cache_run {
    const aiter_reshape_and_cache_args *a;
    const aiteri_kernels *kernels;
    aiteri_cache_mode mode;
    float *rows; /* one row of AITERI_MAX_HEAD_DIM per worker */
    int32_t workers;
} aiteri_cache_run;

static int64_t aiteri_slot_of(const aiter_tensor *t, int64_t token)
{
    return aiteri_index_at(t, token * t->stride[0]);
}

static aiteri_cache_mode aiteri_cache_mode_of(const aiter_quantisation *q)
{
    if (!aiteri_is_type(q->to, AITERI_QUANTISED)) return AITERI_CACHE_CONVERTS;
    return q->scale_given ? AITERI_CACHE_SCALE_GIVEN : AITERI_CACHE_SCALE_PER_TOKEN_HEAD;
}

/* The combinations that there are. */
static void aiteri_check_quantisation(aiteri_check *c, const aiter_quantisation *q)
{
    if (!aiteri_is_type(q->to, 1u << AITER_DTYPE_UNSET | AITERI_KEY_TYPES))
        aiteri_reject(
            c, AITER_INVALID_ARGUMENT,
            "%s.quantisation.to: is %s, expected unset (the type of the cache), f32, f16, "
            "bf16, i8 or an fp8 type",
            c->op, aiter_dtype_name(q->to));
    const int quantises = aiteri_cache_mode_of(q) != AITERI_CACHE_CONVERTS;
    aiteri_check_enum(c, "quantisation.per", (int)q->per, AITER_SCALE_COUNT, "aiter_scale_kind");
    aiteri_check_range(c, "quantisation.scale_given", q->scale_given, 0, 1);
    if (!quantises && (q->per != AITER_SCALE_BY_SHAPE || q->scale_given))
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.quantisation.%s: is %d, expected 0 where rows are converted: scales go "
                      "with quantisation.to = AITER_I8 or an fp8 type",
                      c->op, q->scale_given ? "scale_given" : "per",
                      (int)(q->scale_given ? q->scale_given : (int32_t)q->per));
    const int64_t unknown[] = {q->group,    q->rounding,   q->scale_rounding,
                               q->overflow, q->zero_block, q->by_reciprocal};
    static const char *const names[] = {"group",    "rounding",   "scale_rounding",
                                        "overflow", "zero_block", "by_reciprocal"};
    for (int i = 0; i < 6; i++)
        if (unknown[i] != 0)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.quantisation.%s: is %lld, expected 0: it is aiter_quantize's", c->op,
                          names[i], (long long)unknown[i]);
    if (quantises && q->per != AITER_SCALE_BY_SHAPE &&
        (q->per == AITER_SCALE_PER_TOKEN_HEAD) == (q->scale_given != 0))
        aiteri_reject(c, AITER_UNSUPPORTED,
                      "%s.quantisation.per: scales that are given are AITER_SCALE_PER_TENSOR or "
                      "AITER_SCALE_PER_HEAD, computed ones AITER_SCALE_PER_TOKEN_HEAD",
                      c->op);
}

/* The type of a cache goes with the quantisation. */
static void aiteri_check_cache_type(aiteri_check *c, const char *field, const aiter_tensor *t,
                                    const aiter_quantisation *q)
{
    if (t->ndim == 4 && t->dtype == AITER_I8 && q->to == AITER_DTYPE_UNSET)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: dtype is i8, but quantisation.to is unset; set it to AITER_I8, and "
                      "scale_given = 1 where k_scale and v_scale hold the scales already",
                      c->op, field);
    else if (t->ndim == 4 && q->to != AITER_DTYPE_UNSET && t->dtype != q->to)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.%s: dtype is %s, expected %s as quantisation.to says", c->op, field,
                      aiter_dtype_name(t->dtype), aiter_dtype_name(q->to));
}

static void aiteri_check_cache_side(aiteri_check *c, aiter_reshape_and_cache_args *a, int value)
{
    aiter_tensor *src = value ? &a->v : &a->k, *cache = value ? &a->kv.v : &a->kv.k;
    aiter_tensor *scale = value ? &a->kv.v_scale : &a->kv.k_scale;
    const char *names[3] = {value ? "v" : "k", value ? "kv.v" : "kv.k",
                            value ? "kv.v_scale" : "kv.k_scale"};
    const aiteri_cache_mode mode = aiteri_cache_mode_of(&a->quantisation);
    const int quantised = mode != AITERI_CACHE_CONVERTS;
    aiteri_check_tensor(c, names[0], src, 3, 3, AITERI_FLOATS, 1, "[tokens, Hk, D]");
    aiteri_check_cache_type(c, names[1], cache, &a->quantisation);
    aiteri_check_tensor(c, names[1], cache, 4, 4,
                        quantised ? AITERI_QUANTISED : AITERI_FLOATS | AITERI_FP8, 1,
                        "[num_blocks, P, Hk, D]");
    if (c->status != AITER_OK) return;
    aiteri_check_extent(c, names[0], src, 0, a->k.shape[0], "tokens of k");
    aiteri_check_extent(c, names[0], src, 1, a->k.shape[1], "heads of k");
    aiteri_check_extent(c, names[1], cache, 2, a->k.shape[1], "heads of k");
    aiteri_check_extent(c, names[1], cache, 3, src->shape[2], "the head_dim of the new rows");
    aiteri_check_axis(c, names[0], src, 2, "head_dim", 1, AITERI_MAX_HEAD_DIM);
    aiteri_check_axis(c, names[0], src, 1, "heads", 1, 65535);
    aiteri_check_extent(c, names[1], cache, 0, a->kv.k.shape[0], "blocks of kv.k");
    aiteri_check_extent(c, names[1], cache, 1, a->kv.k.shape[1], "page size of kv.k");
    aiteri_check_axis(c, names[1], cache, 1, "page size", 1, INT32_MAX - 1);
    aiteri_check_axis(c, names[1], cache, 0, "blocks", 0, INT32_MAX - 1);
    const int per_token = mode == AITERI_CACHE_SCALE_PER_TOKEN_HEAD;
    if (!quantised) {
        aiteri_check_true(c, scale->ndim == 0, names[2],
                          "none where rows are converted: scales go with quantisation.to = "
                          "AITER_I8 or an fp8 type");
        return;
    }
    if (!aiteri_check_tensor(c, names[2], scale, per_token ? 3 : 1, per_token ? 3 : 1,
                             AITERI_ONLY_F32, 1,
                             per_token ? "f32 [num_blocks, P, Hk] for the scales to be written"
                                       : "f32 [1] or [Hk], the scales of the cache"))
        return;
    if (a->quantisation.per == AITER_SCALE_PER_TENSOR)
        aiteri_check_extent(c, names[2], scale, 0, 1, "one scale, as quantisation.per says");
    else if (a->quantisation.per == AITER_SCALE_PER_HEAD)
        aiteri_check_extent(c, names[2], scale, 0, cache->shape[2],
                            "kv heads, as quantisation.per says");
    if (per_token)
        for (int32_t i = 0; i < 3; i++)
            aiteri_check_extent(c, names[2], scale, i, cache->shape[i], "the cache");
    else if (scale->shape[0] != 1)
        aiteri_check_extent(c, names[2], scale, 0, cache->shape[2], "kv heads; or 1 for one scale");
}

static void aiteri_check_cache(aiteri_check *c, aiter_reshape_and_cache_args *a)
{
    aiteri_check_quantisation(c, &a->quantisation);
    if (c->status != AITER_OK) return;
    aiteri_check_cache_side(c, a, 0);
    if (c->status != AITER_OK) return;
    aiteri_check_cache_side(c, a, 1);
    if (c->status != AITER_OK) return;
    if (a->k.dtype != a->v.dtype)
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.v: dtype is %s, expected %s (= k.dtype)",
                      c->op, aiter_dtype_name(a->v.dtype), aiter_dtype_name(a->k.dtype));
    if (a->kv.k.dtype != a->kv.v.dtype)
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.kv.v: dtype is %s, expected %s (= kv.k.dtype)",
                      c->op, aiter_dtype_name(a->kv.v.dtype), aiter_dtype_name(a->kv.k.dtype));
    if (aiteri_check_tensor(c, "slot_mapping", &a->slot_mapping, 1, 1,
                            AITERI_TYPE_BIT(AITER_I32) | AITERI_TYPE_BIT(AITER_I64), 1, "[tokens]"))
        aiteri_check_extent(c, "slot_mapping", &a->slot_mapping, 0, a->k.shape[0], "tokens of k");
}

/* Addresses are compared, nothing is read. */
static void aiteri_check_cache_overlap(aiteri_check *c, const aiter_reshape_and_cache_args *a)
{
    const aiter_tensor none = aiteri_tensor_make(NULL, AITER_F32, 0, 0, 0, 0, 0, 0);
    const int writes_scales =
        aiteri_cache_mode_of(&a->quantisation) == AITERI_CACHE_SCALE_PER_TOKEN_HEAD;
    const aiter_tensor workspace =
        aiteri_memory_operand(a->call.workspace, a->call.workspace_bytes);
    const aiteri_operand operand[] = {{"kv.k", &a->kv.k},
                                      {"kv.v", &a->kv.v},
                                      {"kv.k_scale", writes_scales ? &a->kv.k_scale : &none},
                                      {"kv.v_scale", writes_scales ? &a->kv.v_scale : &none},
                                      {"call.workspace", &workspace},
                                      {"k", &a->k},
                                      {"v", &a->v},
                                      {"slot_mapping", &a->slot_mapping},
                                      {"kv.k_scale", writes_scales ? &none : &a->kv.k_scale},
                                      {"kv.v_scale", writes_scales ? &none : &a->kv.v_scale}};
    aiteri_check_overlap(c, operand, 10, 5);
}

static void aiteri_check_static_scales(aiteri_check *c, const char *field, const aiter_tensor *t)
{
    for (int64_t h = 0; c->status == AITER_OK && h < t->shape[0]; h++)
        aiteri_check_positive(c, field, h, ((const float *)t->data)[h * t->stride[0]]);
}

/* Slots in range, none twice: one bit per slot in `seen`. */
static void aiteri_check_slots(aiteri_check *c, const aiter_reshape_and_cache_args *a,
                               uint8_t *seen)
{
    const int64_t slots = a->kv.k.shape[0] * a->kv.k.shape[1];
    memset(seen, 0, (size_t)((slots + 7) / 8));
    for (int64_t n = 0; n < a->k.shape[0] && c->status == AITER_OK; n++) {
        const int64_t slot = aiteri_slot_of(&a->slot_mapping, n);
        if (slot < -1 || slot >= slots)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.slot_mapping: [%lld] is %lld, expected -1 (skip) or one of the %lld "
                          "slots (num_blocks * P) of kv.k, from 0 on",
                          c->op, (long long)n, (long long)slot, (long long)slots);
        if (c->status != AITER_OK || slot < 0) continue;
        if (seen[slot / 8] >> (slot % 8) & 1)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.slot_mapping: [%lld] is %lld, a slot that an earlier token has",
                          c->op, (long long)n, (long long)slot);
        seen[slot / 8] |= (uint8_t)(1u << (slot % 8));
    }
}

/* One row of one head: widened, divided by its scale, rounded into the cache. */
static void aiteri_cache_row(const aiteri_cache_run *run, const aiteri_cache_side *side,
                             int64_t token, int64_t slot, int64_t h, float *row)
{
    const aiteri_source *src = &side->src, *cache = &side->cache;
    const int64_t page = run->a->kv.k.shape[1], block = slot / page, at = slot % page;
    aiteri_gather_row(run->kernels, row, aiteri_source_at(src, 0, token, h), src->dtype,
                      src->stride_dim, src->dim);
    if (run->mode != AITERI_CACHE_CONVERTS) {
        float *scale =
            (float *)cache->scales.data + aiteri_scale_place(&cache->scales, block, at, h);
        if (run->mode == AITERI_CACHE_SCALE_PER_TOKEN_HEAD)
            *scale = aiteri_rounded(run->kernels->row_amax(row, src->dim) /
                                    aiteri_largest_of(cache->dtype));
        aiteri_count_steps(run->kernels, row, src->dim, *scale);
    }
    aiteri_scatter_row(run->kernels, (char *)aiteri_source_at(cache, block, at, h), cache->dtype,
                       cache->stride_dim, row, src->dim);
}

static aiteri_cache_side aiteri_cache_side_of(const aiter_tensor *src, const aiter_tensor *cache,
                                              const aiter_tensor *scale)
{
    aiteri_cache_side side = {aiteri_source_of(src), aiteri_source_of(cache)};
    if (scale->ndim != 0) side.cache.scales = aiteri_scales_of(scale);
    return side;
}

static void aiteri_cache_worker(void *arg, int32_t i)
{
    const aiteri_cache_run *run = (const aiteri_cache_run *)arg;
    const aiter_reshape_and_cache_args *a = run->a;
    const aiteri_cache_side side[2] = {aiteri_cache_side_of(&a->k, &a->kv.k, &a->kv.k_scale),
                                       aiteri_cache_side_of(&a->v, &a->kv.v, &a->kv.v_scale)};
    const int64_t tokens = a->k.shape[0];
    float *row = run->rows + (int64_t)i * AITERI_MAX_HEAD_DIM;
    const int64_t end = aiteri_share_of(tokens, i + 1, run->workers);
    for (int64_t n = aiteri_share_of(tokens, i, run->workers); n < end; n++) {
        const int64_t slot = aiteri_slot_of(&a->slot_mapping, n);
        for (int64_t h = 0; slot >= 0 && h < a->k.shape[1]; h++)
            for (int kv = 0; kv < 2; kv++) aiteri_cache_row(run, &side[kv], n, slot, h, row);
    }
}

/* One layout for the query and the run: rows of the workers, then a bit per slot. */
static uint8_t *aiteri_cache_layout(const aiter_reshape_and_cache_args *a, int32_t workers,
                                    aiteri_arena *arena, float **rows)
{
    const size_t slots = aiteri_mul_size((size_t)a->kv.k.shape[0], (size_t)a->kv.k.shape[1]);
    *rows = (float *)aiteri_carve(arena, (size_t)workers * AITERI_MAX_HEAD_DIM, sizeof(float));
    return (uint8_t *)aiteri_carve(arena, slots / 8 + 1, 1);
}

/* A call. */
typedef struct aiteri_writer {
    aiter_reshape_and_cache_args a;
    aiteri_cache_mode mode;
    int32_t row; /* of the registry, on a device */
} aiteri_writer;

static aiter_status aiteri_writer_begin(const char *op, const char *call,
                                        const aiter_reshape_and_cache_args *args,
                                        aiter_context *ctx, aiteri_writer *x)
{
    aiteri_check c = {op, ctx, AITER_OK};
    memset(x, 0, sizeof *x);
    AITERI_TRY(aiteri_call_begin(op, call, ctx, args, sizeof *args));
    x->a = *args;
    aiteri_check_true(&c, x->a.call.plan == NULL, "call.plan", "none: this op has no plan");
    aiteri_check_cache(&c, &x->a);
    x->mode = aiteri_cache_mode_of(&x->a.quantisation);
    return c.status;
}

/* Carved bytes; none on a device, where slots are not looked at. */
static size_t aiteri_writer_need(const aiteri_writer *x, aiter_context *ctx)
{
    aiteri_arena measure = {NULL, 0};
    float *rows;
    if (aiteri_context_on_device(ctx)) return 0;
    aiteri_cache_layout(&x->a, aiteri_context_workers(ctx), &measure, &rows);
    return measure.used;
}

static aiter_status aiteri_writer_workspace(const aiteri_writer *x, aiter_context *ctx,
                                            size_t *bytes)
{
    return aiteri_scratch_answer("aiter_reshape_and_cache", ctx, aiteri_writer_need(x, ctx), bytes);
}

/* Everything that shapes tell, and which kernel. */
static aiter_status aiteri_writer_supported(aiteri_writer *x, aiter_context *ctx, size_t *bytes)
{
    aiteri_check c = {"aiter_reshape_and_cache", ctx, AITER_OK};
    aiteri_check_cache_overlap(&c, &x->a);
    if (c.status != AITER_OK) return c.status;
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of(c.op, ctx);
        AITERI_TRY(aiteri_gpu_cache_choose(&call, &x->a, &x->row));
    }
#endif
    return aiteri_writer_workspace(x, ctx, bytes);
}

/* What a rounding into the cache may change. */
static void aiteri_explain_rounding(aiteri_text *t, const aiteri_writer *x)
{
    const aiter_dtype from = x->a.k.dtype, to = x->a.kv.k.dtype;
    const double largest = (double)aiteri_largest_of(to);
    if (x->mode != AITERI_CACHE_CONVERTS) {
        aiteri_say(t, "error: half a %s%s; ", to == AITER_I8 ? "scale" : "unit of ",
                   to == AITER_I8 ? "" : aiter_dtype_name(to));
        if (x->mode == AITERI_CACHE_SCALE_GIVEN)
            aiteri_say(t, "beyond %g scales an element is %g of them\n", largest, largest);
        else
            aiteri_say(t, "a scale is the largest |element| of its row / %g\n", largest);
    } else if (from == to || to == AITER_F32)
        aiteri_say(t, "error: none, every %s is %s\n", aiter_dtype_name(from),
                   from == to ? "kept" : "an f32");
    else
        aiteri_say(t, "error: half a unit of %s\n", aiter_dtype_name(to));
}

static aiter_status aiteri_writer_explain(const aiteri_writer *x, aiter_context *ctx,
                                          aiteri_text *t)
{
    const aiter_reshape_and_cache_args *a = &x->a;
    const aiter_tensor *scale[2] = {&a->kv.k_scale, &a->kv.v_scale};
    const int computes = x->mode == AITERI_CACHE_SCALE_PER_TOKEN_HEAD;
    const double tokens = (double)a->k.shape[0], rows = tokens * (double)a->k.shape[1];
    const double elements = rows * (double)(a->k.shape[2] + a->v.shape[2]);
    aiteri_say(t,
               "problem: %lld tokens, heads %lld, D %lld/%lld, into %lld blocks of %lld tokens\n",
               (long long)a->k.shape[0], (long long)a->k.shape[1], (long long)a->k.shape[2],
               (long long)a->v.shape[2], (long long)a->kv.k.shape[0], (long long)a->kv.k.shape[1]);
    aiteri_say(t, "types: k and v %s, slots %s", aiter_dtype_name(a->k.dtype),
               aiter_dtype_name(a->slot_mapping.dtype));
    for (int i = 0; i < 2; i++)
        aiteri_say(t, ", kv.%c %s%s", "kv"[i], aiter_dtype_name(a->kv.k.dtype),
                   scale[i] -> ndim == 0 ? ""
                                         : aiteri_scale_words(computes ? AITER_SCALE_PER_TOKEN_HEAD
                                                              : scale[i]->shape[0] == 1
                                                                  ? AITER_SCALE_PER_TENSOR
                                                                  : AITER_SCALE_PER_HEAD));
    aiteri_say(t, "%s\n", computes ? ", which are written" : "");
    aiteri_explain_rows(t, ctx, x->row, "tokens", a->k.shape[0], 1);
    aiteri_say(t, "bytes: at most %.3g read, %.3g written\n",
               elements * aiteri_bytes_per(a->k.dtype) +
                   tokens * aiteri_bytes_per(a->slot_mapping.dtype),
               elements * aiteri_bytes_per(a->kv.k.dtype) + (computes ? rows * 2 * 4 : 0));
    aiteri_explain_rounding(t, x);
    return AITER_OK;
}

static aiter_status aiteri_writer_run(aiteri_writer *x, aiter_context *ctx)
{
    const aiter_reshape_and_cache_args *a = &x->a;
    size_t bytes;
    AITERI_TRY(aiteri_writer_supported(x, ctx, &bytes));
    aiteri_check c = {"aiter_reshape_and_cache", ctx, AITER_OK};
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of(c.op, ctx);
        return aiteri_gpu_cache_run(&call, a, (int32_t)x->mode, x->row);
    }
#endif
    if (x->mode == AITERI_CACHE_SCALE_GIVEN) {
        aiteri_check_static_scales(&c, "kv.k_scale", &a->kv.k_scale);
        aiteri_check_static_scales(&c, "kv.v_scale", &a->kv.v_scale);
        if (c.status != AITER_OK) return c.status;
    }
    aiteri_cache_run run = {a, aiteri_context_kernels(ctx), x->mode, NULL,
                            aiteri_context_workers(ctx)};
    aiteri_scratch scratch;
    AITERI_TRY(aiteri_scratch_take(c.op, ctx, a->call.workspace, a->call.workspace_bytes,
                                   aiteri_writer_need(x, ctx), &scratch));
    uint8_t *seen = aiteri_cache_layout(a, run.workers, &scratch.arena, &run.rows);
    aiteri_check_slots(&c, a, seen);
    if (c.status == AITER_OK && a->k.shape[0] > 0)
        aiteri_parallel(ctx, aiteri_cache_worker, &run,
                        (int32_t)aiteri_min(run.workers, AITERI_MAX_THREADS));
    aiteri_scratch_give_back(&scratch);
    return c.status;
}

AITERI_CALLS(reshape_and_cache, writer, "aiter_reshape_and_cache")

#endif /* AITERI_RESHAPE_AND_CACHE_C */

// >>blocks    (src/ops/blocks.c)
/* blocks.c -- whole blocks of caches as they are: from one cache to another, or inside each. */
#ifndef AITERI_BLOCKS_C
#define AITERI_BLOCKS_C


typedef struct aiteri_blocks_op {
    const char *name;
    size_t args_bytes;
    int swaps; /* from src to dst; else inside each of the caches */
} aiteri_blocks_op;

static const aiteri_blocks_op aiteri_swap_blocks_op = {"aiter_swap_blocks",
                                                       sizeof(aiter_swap_blocks_args), 1};
static const aiteri_blocks_op aiteri_copy_blocks_op = {"aiter_copy_blocks",
                                                       sizeof(aiter_copy_blocks_args), 0};

/* A call, and what its workers share. */
typedef struct aiteri_blocks {
    const aiteri_blocks_op *op;
    aiter_tensor src, dst, mapping;
    const aiter_tensor *caches;
    int32_t num_caches; /* 1 of swap_blocks */
    int32_t workers;
    aiter_call call;
} aiteri_blocks;

static aiter_status aiteri_blocks_begin(const aiteri_blocks_op *op, const char *call,
                                        const void *args, aiter_context *ctx, aiteri_blocks *x)
{
    memset(x, 0, sizeof *x);
    AITERI_TRY(aiteri_call_begin(op->name, call, ctx, args, op->args_bytes));
    x->op = op;
    if (op->swaps) {
        const aiter_swap_blocks_args *a = (const aiter_swap_blocks_args *)args;
        x->src = a->src;
        x->dst = a->dst;
        x->mapping = a->mapping;
        x->num_caches = 1;
        x->call = a->call;
    } else {
        const aiter_copy_blocks_args *a = (const aiter_copy_blocks_args *)args;
        x->caches = a->caches;
        x->num_caches = a->num_caches;
        x->mapping = a->mapping;
        x->call = a->call;
    }
    return AITER_OK;
}

/* ---- what shapes tell ---- */

/* A cache as elements of whole bytes: a pair of codes of 4 bits is one, and so is the last of an
 * odd row. Strides are filled. */
static aiter_tensor aiteri_in_bytes(aiter_tensor t)
{
    const int32_t last = t.ndim - 1, halves = aiter_dtype_bits(t.dtype) < 8;
    aiteri_tensor_fill_strides(&t);
    for (int32_t i = 0; i <= last; i++) {
        if (t.shape[i] <= 1) t.stride[i] = 0;
        if (halves && (i < last || last == 0)) t.stride[i] /= 2;
    }
    if (halves && last > 0) t.shape[last] = aiteri_ceil_div(t.shape[last], 2);
    if (halves) t.dtype = AITER_U8;
    return t;
}

/* A cache of any type; of two codes a byte, rows that start at whole bytes. */
static void aiteri_check_block_tensor(aiteri_check *c, const char *field, aiter_tensor *t,
                                      int32_t ndim_low, int32_t ndim_high)
{
    const unsigned every = (1u << AITER_DTYPE_COUNT) - 2;
    if (!aiteri_check_tensor(c, field, t, ndim_low, ndim_high, every, 1, "[num_blocks, ..]"))
        return;
    aiteri_check_axis(c, field, t, 0, "blocks", 0, INT32_MAX - 1);
    for (int32_t i = 0; i < t->ndim && aiter_dtype_bits(t->dtype) < 8; i++) {
        const int inner = i > 0 && i == t->ndim - 1;
        if (t->shape[i] > 1 && (inner ? t->stride[i] != 1 : t->stride[i] % 2 != 0))
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.%s: stride[%d] is %lld, expected %s: rows of %s start at whole bytes",
                          c->op, field, (int)i, (long long)t->stride[i],
                          inner ? "1" : "an even one", aiter_dtype_name(t->dtype));
    }
}

/* dst as src but for the number of blocks. */
static void aiteri_check_swap(aiteri_check *c, aiteri_blocks *x)
{
    aiteri_check_block_tensor(c, "src", &x->src, 1, 5);
    aiteri_check_block_tensor(c, "dst", &x->dst, x->src.ndim, x->src.ndim);
    if (c->status == AITER_OK && x->src.dtype != x->dst.dtype)
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.dst: dtype is %s, expected %s (= src.dtype)",
                      c->op, aiter_dtype_name(x->dst.dtype), aiter_dtype_name(x->src.dtype));
    for (int32_t i = 1; c->status == AITER_OK && i < x->src.ndim; i++)
        aiteri_check_extent(c, "dst", &x->dst, i, x->src.shape[i], "src");
    if (c->status != AITER_OK) return;
    x->src = aiteri_in_bytes(x->src);
    x->dst = aiteri_in_bytes(x->dst);
}

/* "caches[5]" */
typedef struct aiteri_cache_name {
    char text[24];
} aiteri_cache_name;

static aiteri_cache_name aiteri_cache_name_of(int32_t i)
{
    aiteri_cache_name name;
    snprintf(name.text, sizeof name.text, "caches[%d]", (int)i);
    return name;
}

/* Each of the caches, in dst the first. */
static void aiteri_check_copy(aiteri_check *c, aiteri_blocks *x)
{
    aiteri_check_range(c, "num_caches", x->num_caches, 1, INT32_MAX - 1);
    if (!x->caches)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.caches: is NULL, expected num_caches tensors [num_blocks, ..]", c->op);
    for (int32_t i = 0; i < x->num_caches && c->status == AITER_OK; i++) {
        const aiteri_cache_name name = aiteri_cache_name_of(i);
        aiter_tensor t = x->caches[i];
        aiteri_check_block_tensor(c, name.text, &t, 1, 5);
        if (c->status != AITER_OK) return;
        if (i == 0) x->dst = aiteri_in_bytes(t);
        aiteri_check_extent(c, name.text, &t, 0, x->dst.shape[0], "blocks of caches[0]");
    }
}

static void aiteri_check_block_moves(aiteri_check *c, aiteri_blocks *x)
{
    aiteri_check_true(c, x->call.plan == NULL, "call.plan", "none: this op has no plan");
    if (x->op->swaps)
        aiteri_check_swap(c, x);
    else
        aiteri_check_copy(c, x);
    if (aiteri_check_tensor(c, "mapping", &x->mapping, 2, 2, AITERI_INDICES, 1, "[n, 2]"))
        aiteri_check_extent(c, "mapping", &x->mapping, 1, 2, "a pair: from, to");
}

/* Addresses are compared, nothing is read. */
static void aiteri_check_blocks_apart(aiteri_check *c, const aiteri_blocks *x)
{
    const aiter_tensor workspace =
        aiteri_memory_operand(x->call.workspace, x->call.workspace_bytes);
    const aiteri_operand swaps[] = {{"dst", &x->dst},
                                    {"call.workspace", &workspace},
                                    {"src", &x->src},
                                    {"mapping", &x->mapping}};
    const aiteri_operand copies[] = {{"call.workspace", &workspace}, {"mapping", &x->mapping}};
    aiteri_check_overlap(c, x->op->swaps ? swaps : copies, x->op->swaps ? 4 : 2,
                         x->op->swaps ? 2 : 1);
    for (int32_t i = 0; i < x->num_caches && !x->op->swaps && c->status == AITER_OK; i++) {
        const aiteri_cache_name name = aiteri_cache_name_of(i);
        const aiter_tensor t = aiteri_in_bytes(x->caches[i]);
        const uintptr_t bytes = aiteri_operand_bytes(&t);
        const aiteri_operand operand[] = {
            {name.text, &t}, {"call.workspace", &workspace}, {"mapping", &x->mapping}};
        aiteri_check_overlap(c, operand, 3, 1);
        for (int32_t j = 0; j < i && bytes > 0; j++) {
            const aiter_tensor other = aiteri_in_bytes(x->caches[j]);
            if (aiteri_operands_meet(&t, bytes, &other))
                aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: shares memory with caches[%d]",
                              c->op, name.text, (int)j);
        }
    }
}

/* A bit per block of the destination. */
static uint8_t *aiteri_blocks_layout(const aiteri_blocks *x, aiteri_arena *arena)
{
    return (uint8_t *)aiteri_carve(arena, (size_t)x->dst.shape[0] / 8 + 1, 1);
}

static size_t aiteri_blocks_need(const aiteri_blocks *x)
{
    aiteri_arena measure = {NULL, 0};
    aiteri_blocks_layout(x, &measure);
    return measure.used;
}

/* Everything but the run: all that shapes tell. */
static aiter_status aiteri_blocks_supported(aiteri_blocks *x, aiter_context *ctx, size_t *bytes)
{
    aiteri_check c = {x->op->name, ctx, AITER_OK};
    aiteri_check_block_moves(&c, x);
    if (c.status == AITER_OK) aiteri_check_blocks_apart(&c, x);
    if (c.status != AITER_OK) return c.status;
    AITERI_TRY(aiteri_needs_cpu(c.op, ctx));
    return aiteri_scratch_answer(c.op, ctx, aiteri_blocks_need(x), bytes);
}

static aiter_status aiteri_blocks_workspace(aiteri_blocks *x, aiter_context *ctx, size_t *bytes)
{
    aiteri_check c = {x->op->name, ctx, AITER_OK};
    aiteri_check_block_moves(&c, x);
    if (c.status != AITER_OK) return c.status;
    return aiteri_scratch_answer(c.op, ctx,
                                 aiteri_context_on_device(ctx) ? 0 : aiteri_blocks_need(x), bytes);
}

/* ---- the copies ---- */

/* How a block lies in both caches, in bytes: steps from the outer to the inner, then pieces that
 * are contiguous in both. */
typedef struct aiteri_block_way {
    char *dst;
    const char *src;
    int64_t dst_block, src_block;
    int32_t ndim;
    int64_t shape[4], from[4], to[4];
    size_t piece; /* 0: blocks are empty */
} aiteri_block_way;

static aiteri_block_way aiteri_block_way_of(const aiter_tensor *src, const aiter_tensor *dst)
{
    const int64_t size = aiter_dtype_bits(dst->dtype) / 8;
    aiteri_block_way w;
    memset(&w, 0, sizeof w);
    w.dst = (char *)dst->data;
    w.src = (const char *)src->data;
    w.dst_block = dst->stride[0] * size;
    w.src_block = src->stride[0] * size;
    w.piece = (size_t)size;
    for (int32_t i = 1; i < dst->ndim; i++) {
        const int64_t to = dst->stride[i] * size;
        int32_t at = w.ndim;
        if (dst->shape[i] == 0) w.piece = 0;
        if (dst->shape[i] <= 1) continue;
        for (w.ndim++; at > 0 && w.to[at - 1] < to; at--) {
            w.to[at] = w.to[at - 1];
            w.from[at] = w.from[at - 1];
            w.shape[at] = w.shape[at - 1];
        }
        w.to[at] = to;
        w.from[at] = src->stride[i] * size;
        w.shape[at] = dst->shape[i];
    }
    for (; w.ndim > 0 && w.piece > 0; w.ndim--) {
        const int32_t inner = w.ndim - 1;
        if (w.to[inner] != (int64_t)w.piece || w.from[inner] != (int64_t)w.piece) break;
        w.piece *= (size_t)w.shape[inner];
    }
    return w;
}

/* Of cache i. */
static aiteri_block_way aiteri_blocks_way(const aiteri_blocks *x, int32_t i)
{
    if (x->op->swaps) return aiteri_block_way_of(&x->src, &x->dst);
    const aiter_tensor t = aiteri_in_bytes(x->caches[i]);
    return aiteri_block_way_of(&t, &t);
}

static void aiteri_block_copy(const aiteri_block_way *w, int32_t dim, char *dst, const char *src)
{
    if (dim == w->ndim) {
        memcpy(dst, src, w->piece);
        return;
    }
    for (int64_t i = 0; i < w->shape[dim]; i++)
        aiteri_block_copy(w, dim + 1, dst + i * w->to[dim], src + i * w->from[dim]);
}

/* Block of the source (0) or of the destination (1) of a pair. */
static int64_t aiteri_mapped_block(const aiteri_blocks *x, int64_t pair, int which)
{
    const aiter_tensor *t = &x->mapping;
    return aiteri_index_at(t, pair * t->stride[0] + which * t->stride[1]);
}

static void aiteri_blocks_worker(void *arg, int32_t i)
{
    const aiteri_blocks *x = (const aiteri_blocks *)arg;
    const int64_t pairs = x->mapping.shape[0], all = pairs * x->num_caches;
    const int64_t first = aiteri_share_of(all, i, x->workers);
    const int64_t end = aiteri_share_of(all, i + 1, x->workers);
    aiteri_block_way w;
    for (int64_t n = first; n < end; n++) {
        if (n == first || n % pairs == 0) w = aiteri_blocks_way(x, (int32_t)(n / pairs));
        if (w.piece == 0) continue;
        aiteri_block_copy(&w, 0, w.dst + aiteri_mapped_block(x, n % pairs, 1) * w.dst_block,
                          w.src + aiteri_mapped_block(x, n % pairs, 0) * w.src_block);
    }
}

/* ---- the run ---- */

static void aiteri_check_block_id(aiteri_check *c, const aiteri_blocks *x, int64_t pair, int which,
                                  int64_t blocks)
{
    const int64_t id = aiteri_mapped_block(x, pair, which);
    if (id < 0 || id >= blocks)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.mapping: [%lld][%d] is %lld, expected one of the %lld blocks of %s, from "
                      "0 on",
                      c->op, (long long)pair, which, (long long)id, (long long)blocks,
                      !x->op->swaps ? "the caches"
                      : which       ? "dst"
                                    : "src");
}

/* Ids in range, no destination twice, none of them a source beside it: pairs have no order. */
static void aiteri_check_mapping(aiteri_check *c, const aiteri_blocks *x, uint8_t *written)
{
    const int64_t pairs = x->mapping.shape[0], blocks = x->dst.shape[0];
    memset(written, 0, (size_t)(blocks / 8 + 1));
    for (int64_t n = 0; n < pairs && c->status == AITER_OK; n++) {
        const int64_t to = aiteri_mapped_block(x, n, 1);
        aiteri_check_block_id(c, x, n, 0, x->op->swaps ? x->src.shape[0] : blocks);
        aiteri_check_block_id(c, x, n, 1, blocks);
        if (c->status != AITER_OK) return;
        if (written[to / 8] >> (to % 8) & 1)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.mapping: [%lld][1] is %lld, a block that an earlier pair writes",
                          c->op, (long long)n, (long long)to);
        written[to / 8] |= (uint8_t)(1u << (to % 8));
    }
    for (int64_t n = 0; n < pairs && c->status == AITER_OK && !x->op->swaps; n++) {
        const int64_t from = aiteri_mapped_block(x, n, 0);
        if (written[from / 8] >> (from % 8) & 1)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.mapping: [%lld][0] is %lld, a block that a pair of this call writes; "
                          "make a chain in several calls",
                          c->op, (long long)n, (long long)from);
    }
}

static aiter_status aiteri_blocks_run(aiteri_blocks *x, aiter_context *ctx)
{
    size_t bytes;
    aiteri_scratch scratch;
    AITERI_TRY(aiteri_blocks_supported(x, ctx, &bytes));
    aiteri_check c = {x->op->name, ctx, AITER_OK};
    AITERI_TRY(aiteri_scratch_take(c.op, ctx, x->call.workspace, x->call.workspace_bytes,
                                   aiteri_blocks_need(x), &scratch));
    aiteri_check_mapping(&c, x, aiteri_blocks_layout(x, &scratch.arena));
    aiteri_scratch_give_back(&scratch);
    x->workers =
        (int32_t)aiteri_min(aiteri_context_workers(ctx), x->mapping.shape[0] * x->num_caches);
    if (c.status == AITER_OK && x->workers > 0)
        aiteri_parallel(ctx, aiteri_blocks_worker, x, x->workers);
    return c.status;
}

static aiter_status aiteri_blocks_explain(const aiteri_blocks *x, aiter_context *ctx,
                                          aiteri_text *t)
{
    double all = 0;
    size_t least = SIZE_MAX;
    (void)ctx;
    for (int32_t i = 0; i < x->num_caches; i++) {
        const aiteri_block_way w = aiteri_blocks_way(x, i);
        double bytes = (double)w.piece;
        for (int32_t d = 0; d < w.ndim; d++) bytes *= (double)w.shape[d];
        all += bytes * (double)x->mapping.shape[0];
        if (w.piece < least) least = w.piece;
    }
    aiteri_say(t, "problem: %lld blocks in %d cache%s of %lld blocks\n",
               (long long)x->mapping.shape[0], (int)x->num_caches, x->num_caches > 1 ? "s" : "",
               (long long)x->dst.shape[0]);
    aiteri_say(t, "types: mapping %s, blocks as they are\n", aiter_dtype_name(x->mapping.dtype));
    aiteri_say(t, "work: %lld copies, a stretch of them for each thread, in pieces of %zu bytes\n",
               (long long)(x->mapping.shape[0] * x->num_caches), least);
    aiteri_say(t, "bytes: at most %.3g read, %.3g written\n", all, all);
    aiteri_say(t, "error: none\n");
    return AITER_OK;
}

AITERI_CALLS(swap_blocks, blocks, &aiteri_swap_blocks_op)
AITERI_CALLS(copy_blocks, blocks, &aiteri_copy_blocks_op)

#endif /* AITERI_BLOCKS_C */
#endif
#if AITERI_HAS_MERGE
#if AITERI_GPU

// >>merge    (src/gpu/merge.c)
/* merge.c -- aiter_merge_attn_states on a device: one launch for each row of the batch. */
#ifndef AITERI_GPU_MERGE_C
#define AITERI_GPU_MERGE_C


/* Batch row b of [.., tokens, H, D]. */
static aiteri_gpu_rows aiteri_gpu_merge_rows(const aiter_tensor *t, int64_t b)
{
    const int32_t n = t->ndim;
    const int64_t bytes = aiter_dtype_bits(t->dtype) / 8;
    aiteri_gpu_rows r;
    r.data = (uint64_t)(uintptr_t)t->data + (uint64_t)(n == 4 ? b * t->stride[0] * bytes : 0);
    r.stride_batch = 0;
    r.stride_token = t->stride[n - 3];
    r.stride_head = t->stride[n - 2];
    return r;
}

/* Batch row b of [.., H, tokens]; 0 where the tensor is absent. */
static uint64_t aiteri_gpu_merge_lse(const aiter_tensor *t, int64_t b, int64_t *stride_head,
                                     int64_t *stride_token)
{
    const int32_t n = t->ndim;
    *stride_head = *stride_token = 0;
    if (n == 0) return 0;
    *stride_head = t->stride[n - 2];
    *stride_token = t->stride[n - 1];
    return (uint64_t)(uintptr_t)t->data +
           (uint64_t)(n == 3 ? b * t->stride[0] * (int64_t)sizeof(float) : 0);
}

static aiter_status aiteri_gpu_merge_launch(const aiteri_gpu_call *c,
                                            const aiter_merge_attn_states_args *a, int32_t row,
                                            int64_t b)
{
    const int32_t n = a->out.ndim;
    aiteri_gpu_merge x;
    memset(&x, 0, sizeof x);
    x.a = aiteri_gpu_merge_rows(&a->out_a, b);
    x.b = aiteri_gpu_merge_rows(&a->out_b, b);
    x.out = aiteri_gpu_merge_rows(&a->out, b);
    x.lse_a = aiteri_gpu_merge_lse(&a->lse_a, b, &x.lse_a_stride_head, &x.lse_a_stride_token);
    x.lse_b = aiteri_gpu_merge_lse(&a->lse_b, b, &x.lse_b_stride_head, &x.lse_b_stride_token);
    x.lse = aiteri_gpu_merge_lse(&a->lse, b, &x.lse_stride_head, &x.lse_stride_token);
    x.tokens = a->out.shape[n - 3];
    x.heads = (int32_t)a->out.shape[n - 2];
    x.dim = (int32_t)a->out.shape[n - 1];
    return aiteri_gpu_launch(
        c, row, aiteri_ceil_div(x.tokens * x.heads, aiteri_gpu_rows_table[row].rows), &x);
}

/* The row of the registry that serves it; shapes were checked. */
static aiter_status aiteri_gpu_merge_choose(const aiteri_gpu_call *c,
                                            const aiter_merge_attn_states_args *a, int32_t *row)
{
    const aiteri_operand rows[3] = {{"out_a", &a->out_a}, {"out_b", &a->out_b}, {"out", &a->out}};
    aiteri_gpu_want want;
    memset(&want, 0, sizeof want);
    want.op = AITERI_GPU_OP_merge_attn_states;
    want.arch = c->gpu->device->arch_bits;
    want.features = AITERI_BIT(DENSE_KEYS);
    want.q = a->out_a.dtype;
    want.kv = a->out_b.dtype;
    want.out = a->out.dtype;
    AITERI_TRY(aiteri_gpu_check_dense(c, rows, 3));
    return aiteri_gpu_need_row(c, &want, row);
}

/* By the row that was chosen. */
static aiter_status aiteri_gpu_merge_run(const aiteri_gpu_call *c,
                                         const aiter_merge_attn_states_args *a, int32_t row)
{
    const int32_t n = a->out.ndim;
    const int64_t batch = n == 4 ? a->out.shape[0] : 1;
    aiteri_current was;
    aiter_status status = AITER_OK;
    if (a->out.shape[n - 3] == 0 || a->out.shape[n - 2] == 0) return AITER_OK;
    AITERI_TRY(aiteri_device_enter(c->ctx, c->op, c->gpu->device, &was));
    for (int64_t b = 0; b < batch && status == AITER_OK; b++)
        status = aiteri_gpu_merge_launch(c, a, row, b);
    aiteri_device_leave(c->gpu->device, &was);
    return status;
}

#endif /* AITERI_GPU_MERGE_C */
#endif

// >>merge_attn_states    (src/ops/merge_attn_states.c)
/* merge_attn_states.c -- joins two attention results over disjoint keys by their log-sum-exp.
 *
 *     m = max(lse_a, lse_b), w_x = exp(lse_x - m), out = (w_a out_a + w_b out_b) / (w_a + w_b) */
#ifndef AITERI_MERGE_ATTN_STATES_C
#define AITERI_MERGE_ATTN_STATES_C

#if AITERI_GPU
#endif

static void aiteri_merge_check(aiteri_check *c, aiter_merge_attn_states_args *a)
{
    aiter_tensor *outs[3] = {&a->out_a, &a->out_b, &a->out};
    aiter_tensor *lses[3] = {&a->lse_a, &a->lse_b, &a->lse};
    const char *out_names[3] = {"out_a", "out_b", "out"}, *lse_names[3] = {"lse_a", "lse_b", "lse"};
    for (int i = 0; i < 3; i++) {
        aiteri_check_tensor(c, out_names[i], outs[i], 3, 4, AITERI_FLOATS, 1,
                            "[tokens, H, D] or [B, S, H, D]");
        aiteri_check_tensor(c, lse_names[i], lses[i], 2, 3, AITERI_ONLY_F32, i < 2,
                            "[H, tokens], or [B, H, S] beside rows of four dimensions");
    }
    if (c->status != AITER_OK) return;
    for (int32_t d = 0; d < a->out_a.ndim; d++)
        aiteri_check_axis(c, "out_a", &a->out_a, d, "batch, tokens, heads or D", 0, INT32_MAX - 1);
    const int32_t n = a->out_a.ndim; /* [.., tokens, H, D] beside [.., H, tokens] */
    for (int i = 0; i < 3; i++) {
        if (outs[i]->ndim != n)
            aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: ndim is %d, expected %d (= out_a)",
                          c->op, out_names[i], (int)outs[i]->ndim, (int)n);
        for (int32_t d = 0; d < n; d++)
            aiteri_check_extent(c, out_names[i], outs[i], d, a->out_a.shape[d], "out_a");
        if (lses[i]->ndim == 0) continue;
        if (lses[i]->ndim != n - 1) {
            aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: ndim is %d, expected %d: %s", c->op,
                          lse_names[i], (int)lses[i]->ndim, (int)n - 1,
                          n == 4 ? "[B, H, S] beside [B, S, H, D]"
                                 : "[H, tokens] beside [tokens, H, D]");
            continue;
        }
        if (n == 4)
            aiteri_check_extent(c, lse_names[i], lses[i], 0, a->out_a.shape[0], "the batch");
        aiteri_check_extent(c, lse_names[i], lses[i], n - 3, a->out_a.shape[n - 2],
                            "heads of out_a");
        aiteri_check_extent(c, lse_names[i], lses[i], n - 2, a->out_a.shape[n - 3],
                            "rows of out_a");
    }
    if (c->status != AITER_OK) return;
    const aiter_tensor none = aiteri_tensor_make(NULL, AITER_F32, 0, 0, 0, 0, 0, 0);
    const aiteri_operand operand[] = {
        {"out", &a->out},
        {"lse", &a->lse},
        {"out_a", aiteri_same_view(&a->out, &a->out_a) ? &none : &a->out_a},
        {"lse_a", aiteri_same_view(&a->lse, &a->lse_a) ? &none : &a->lse_a},
        {"out_b", &a->out_b},
        {"lse_b", &a->lse_b}};
    aiteri_check_overlap(c, operand, 6, 2);
}

static char *aiteri_merge_row_at(const aiter_tensor *t, int64_t b, int64_t s, int64_t h)
{
    const int32_t n = t->ndim;
    return (char *)t->data +
           aiteri_bytes_of(t->dtype, (n == 4 ? b * t->stride[0] : 0) + s * t->stride[n - 3] +
                                         h * t->stride[n - 2]);
}

static float *aiteri_lse_at(const aiter_tensor *t, int64_t b, int64_t s, int64_t h)
{
    const int32_t n = t->ndim;
    return (float *)t->data + (n == 3 ? b * t->stride[0] : 0) + h * t->stride[n - 2] +
           s * t->stride[n - 1];
}

/* A call, and what its workers share. */
typedef struct aiteri_merge {
    aiter_merge_attn_states_args a;
    int64_t batch, tokens, heads, dim; /* batch of [tokens, H, D] is 1 */
    const aiteri_kernels *kernels;
    int32_t workers, row; /* row: of the registry, on a device */
} aiteri_merge;

enum { AITERI_MERGE_STRIP = 128 }; /* elements of a row at a time, on the stack */

/* out = share_a out_a + share_b out_b, strip by strip; a side whose share is 0 is not read. */
static void aiteri_merge_row(const aiteri_merge *run, int64_t b, int64_t s, int64_t h,
                             const float share[2])
{
    const aiter_merge_attn_states_args *a = &run->a;
    const aiter_tensor *side[2] = {&a->out_a, &a->out_b};
    const int32_t last = a->out.ndim - 1, dim = (int32_t)a->out.shape[last];
    char *out = aiteri_merge_row_at(&a->out, b, s, h);
    for (int32_t d = 0; d < dim; d += AITERI_MERGE_STRIP) {
        const int32_t n = (int32_t)aiteri_min(AITERI_MERGE_STRIP, dim - d);
        float sum[AITERI_MERGE_STRIP], x[AITERI_MERGE_STRIP];
        memset(sum, 0, sizeof sum);
        memset(x, 0, sizeof x);
        for (int i = 0; i < 2; i++) {
            if (share[i] == 0.0f) continue;
            aiteri_gather_row(run->kernels, x,
                              aiteri_merge_row_at(side[i], b, s, h) +
                                  aiteri_bytes_of(side[i]->dtype, d * side[i]->stride[last]),
                              side[i]->dtype, side[i]->stride[last], n);
            run->kernels->row_add_scaled(sum, x, aiteri_padded(n), share[i]);
        }
        aiteri_store_out(run->kernels, out + aiteri_bytes_of(a->out.dtype, d * a->out.stride[last]),
                         a->out.dtype, a->out.stride[last], sum, n, 1.0f);
    }
}

/* No key on this side: -infinity, or the +infinity that flash-attention gives such a row. */
static int aiteri_lse_is_empty(float lse)
{
    return (aiteri_bits_of_f32(lse) & 0x7fffffffu) == 0x7f800000u;
}

/* The two shares of a row and its joint log-sum-exp. */
static void aiteri_merge_state(const aiteri_merge *run, int64_t b, int64_t s, int64_t h)
{
    const aiter_merge_attn_states_args *a = &run->a;
    const float lse[2] = {*aiteri_lse_at(&a->lse_a, b, s, h), *aiteri_lse_at(&a->lse_b, b, s, h)};
    const int empty[2] = {aiteri_lse_is_empty(lse[0]), aiteri_lse_is_empty(lse[1])};
    double m = (double)lse[1], weight[2] = {0.0, 0.0}, sum = 0.0;
    float share[2] = {0.0f, 0.0f};
    if (!empty[0] && (empty[1] || lse[0] > lse[1])) m = (double)lse[0];
    for (int i = 0; i < 2; i++) {
        if (!empty[i]) weight[i] = aiteri_rounded_f64(exp((double)lse[i] - m));
        sum += weight[i];
    }
    for (int i = 0; i < 2; i++)
        if (weight[i] != 0.0) share[i] = aiteri_rounded((float)aiteri_rounded_f64(weight[i] / sum));
    aiteri_merge_row(run, b, s, h, share);
    if (!a->lse.ndim) return;
    float *lse_out = aiteri_lse_at(&a->lse, b, s, h);
    if (sum == 0.0)
        *lse_out = aiteri_minus_inf();
    else
        *lse_out = (float)aiteri_rounded_f64(m + log(sum));
}

static void aiteri_merge_worker(void *arg, int32_t i)
{
    const aiteri_merge *x = (const aiteri_merge *)arg;
    const int64_t rows = x->batch * x->tokens;
    const int64_t first = aiteri_share_of(rows, i, x->workers);
    for (int64_t r = first; r < aiteri_share_of(rows, i + 1, x->workers); r++)
        for (int64_t h = 0; h < x->heads; h++)
            aiteri_merge_state(x, r / x->tokens, r % x->tokens, h);
}

static aiter_status aiteri_merge_begin(const char *op, const char *call,
                                       const aiter_merge_attn_states_args *args, aiter_context *ctx,
                                       aiteri_merge *x)
{
    memset(x, 0, sizeof *x);
    AITERI_TRY(aiteri_call_begin(op, call, ctx, args, sizeof *args));
    x->a = *args;
    return AITER_OK;
}

static aiter_status aiteri_merge_workspace(const aiteri_merge *x, aiter_context *ctx, size_t *bytes)
{
    (void)x;
    return aiteri_scratch_answer("aiter_merge_attn_states", ctx, 0, bytes);
}

/* Everything but the run: all that shapes tell, and which kernel. */
static aiter_status aiteri_merge_supported(aiteri_merge *x, aiter_context *ctx, size_t *bytes)
{
    aiteri_check c = {"aiter_merge_attn_states", ctx, AITER_OK};
    aiteri_merge_check(&c, &x->a);
    if (c.status != AITER_OK) return c.status;
    const int32_t n = x->a.out.ndim;
    x->batch = n == 4 ? x->a.out.shape[0] : 1;
    x->tokens = x->a.out.shape[n - 3];
    x->heads = x->a.out.shape[n - 2];
    x->dim = x->a.out.shape[n - 1];
    *bytes = 0;
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of(c.op, ctx);
        return aiteri_gpu_merge_choose(&call, &x->a, &x->row);
    }
#endif
    return AITER_OK;
}

static aiter_status aiteri_merge_explain(const aiteri_merge *x, aiter_context *ctx, aiteri_text *t)
{
    const aiter_merge_attn_states_args *a = &x->a;
    const double rows = (double)x->batch * (double)x->tokens * (double)x->heads;
    const double row_bytes =
        (double)x->dim * (aiteri_bytes_per(a->out_a.dtype) + aiteri_bytes_per(a->out_b.dtype));
    aiteri_say(t, "problem: batch %lld, %lld tokens, heads %lld, D %lld\n", (long long)x->batch,
               (long long)x->tokens, (long long)x->heads, (long long)x->dim);
    aiteri_say(t, "types: out_a %s, out_b %s, out %s, %s\n", aiter_dtype_name(a->out_a.dtype),
               aiter_dtype_name(a->out_b.dtype), aiter_dtype_name(a->out.dtype),
               a->lse.ndim ? "lse f32" : "no lse");
    aiteri_explain_rows(t, ctx, x->row, "rows of heads", x->tokens * x->heads, x->batch);
    aiteri_say(t, "bytes: at most %.3g read, %.3g written\n", rows * (row_bytes + 8),
               rows * ((double)x->dim * aiteri_bytes_per(a->out.dtype) + (a->lse.ndim ? 4 : 0)));
    aiteri_say(t,
               "error: (12 + 2 |lse_a - lse_b|) 2^-24 of |out_a| + |out_b|, half a unit of %s "
               "(docs/guide.md, 5)\n",
               aiter_dtype_name(a->out.dtype));
    return AITER_OK;
}

static aiter_status aiteri_merge_run(aiteri_merge *x, aiter_context *ctx)
{
    size_t bytes;
    AITERI_TRY(aiteri_merge_supported(x, ctx, &bytes));
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        const aiteri_gpu_call call = aiteri_gpu_call_of("aiter_merge_attn_states", ctx);
        return aiteri_gpu_merge_run(&call, &x->a, x->row);
    }
#endif
    const int empty = x->heads == 0 || (x->dim == 0 && x->a.lse.ndim == 0);
    x->kernels = aiteri_context_kernels(ctx);
    x->workers = aiteri_context_workers(ctx);
    if (x->batch * x->tokens > 0 && !empty)
        aiteri_parallel(ctx, aiteri_merge_worker, x, x->workers);
    return AITER_OK;
}

AITERI_CALLS(merge_attn_states, merge, "aiter_merge_attn_states")

#endif /* AITERI_MERGE_ATTN_STATES_C */
#endif
#if AITERI_HAS_ROPE

// >>rope_fwd    (src/ops/rope_fwd.c)
/* rope_fwd.c -- rotary position embedding of rows: what its arguments mean, then row by row. */
#ifndef AITERI_ROPE_FWD_C
#define AITERI_ROPE_FWD_C


/* How many elements turn; 0 is what the tables say. */
static int32_t aiteri_rope_dim(const aiter_rope *r)
{
    return r->dim ? r->dim : 2 * (int32_t)r->cos.shape[1];
}

static void aiteri_check_rope_tables(aiteri_check *c, aiter_rope *r, int64_t row_dim)
{
    const char *layout = "[max_pos, dim / 2], or [max_pos, dim] with a column per element";
    aiteri_check_tensor(c, "rope.cos", &r->cos, 2, 2, AITERI_FLOATS, 1, layout);
    aiteri_check_tensor(c, "rope.sin", &r->sin, 2, 2, AITERI_FLOATS, 1, layout);
    if (c->status != AITER_OK) return;
    aiteri_check_axis(c, "rope.cos", &r->cos, 0, "positions", 1, INT32_MAX - 1);
    aiteri_check_axis(c, "rope.cos", &r->cos, 1, "angles", 1, AITERI_MAX_HEAD_DIM);
    aiteri_check_extent(c, "rope.sin", &r->sin, 0, r->cos.shape[0], "positions of rope.cos");
    aiteri_check_extent(c, "rope.sin", &r->sin, 1, r->cos.shape[1], "angles of rope.cos");
    if (c->status != AITER_OK) return;
    const int32_t columns = (int32_t)r->cos.shape[1], dim = aiteri_rope_dim(r);
    const int32_t step = r->kind == AITER_ROPE_2D ? 4 : 2;
    if (dim != columns && dim != 2 * columns)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.rope.dim: is %d, expected 0, %d (an angle per pair) or %d (per element): "
                      "rope.cos has %d columns",
                      c->op, (int)r->dim, (int)(2 * columns), (int)columns, (int)columns);
    if (dim % step != 0)
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.rope.dim: %d elements turn, expected %s",
                      c->op, (int)dim,
                      step == 4 ? "a multiple of 4 (2D: two halves of pairs)"
                                : "an even number, as they turn in pairs");
    if (dim > row_dim)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.rope.dim: %d elements turn, expected at most %lld, D of x%s", c->op,
                      (int)dim, (long long)row_dim,
                      !r->dim && columns <= row_dim
                          ? "; tables with a column per element: say rope.dim"
                          : "");
}

/* Fields that belong to one kind. */
static void aiteri_check_rope_kind(aiteri_check *c, const aiter_rope *r)
{
    const int32_t pairs = aiteri_rope_dim(r) / 2;
    const int multi = r->kind == AITER_ROPE_MULTI || r->kind == AITER_ROPE_MULTI_INTERLEAVED;
    int64_t sum = 0;
    for (int i = 0; i < 3; i++) {
        char field[24];
        snprintf(field, sizeof field, "rope.sections[%d]", i);
        if (multi) aiteri_check_range(c, field, r->sections[i], 0, pairs);
        sum += r->sections[i];
        if (!multi && r->sections[i])
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.%s: is %d, expected 0: sections go with rope.kind AITER_ROPE_MULTI "
                          "or AITER_ROPE_MULTI_INTERLEAVED",
                          c->op, field, (int)r->sections[i]);
    }
    if (multi && sum != pairs)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.rope.sections: their sum is %lld, expected %d, the pairs that turn",
                      c->op, (long long)sum, (int)pairs);
    if (r->kind == AITER_ROPE_2D && r->positions.ndim == 0)
        aiteri_check_range(c, "rope.width", r->width, 1, INT32_MAX - 1);
    else if (r->width != 0)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.rope.width: is %d, expected 0: it goes with rope.kind AITER_ROPE_2D "
                      "without rope.positions",
                      c->op, (int)r->width);
}

/* Positions or offsets: `axes` of them for each token of x. */
static void aiteri_check_rope_indices(aiteri_check *c, const char *field, aiter_tensor *t,
                                      int32_t axes, const aiter_tensor *x)
{
    char layout[48];
    const int32_t lead = x->ndim - 2, first = axes > 1, ndim = lead + first;
    const char *tokens = lead == 2 ? "B, S" : "tokens";
    if (first)
        snprintf(layout, sizeof layout, "[%d, %s]", (int)axes, tokens);
    else
        snprintf(layout, sizeof layout, "[%s]", tokens);
    if (!aiteri_check_tensor(c, field, t, ndim, ndim, AITERI_INDICES, 0, layout)) return;
    if (first) aiteri_check_extent(c, field, t, 0, axes, "the positions of a token, by rope.kind");
    for (int32_t i = 0; i < lead; i++)
        aiteri_check_extent(c, field, t, first + i, x->shape[i],
                            i + 1 < lead ? "the batch of x" : "tokens of x");
}

/* All that shapes tell about how the rows of x turn. */
static void aiteri_check_rope(aiteri_check *c, aiter_rope *r, const aiter_tensor *x)
{
    aiteri_check_enum(c, "rope.pairing", (int)r->pairing, AITER_ROPE_PAIRING_COUNT,
                      "aiter_rope_pairing");
    aiteri_check_enum(c, "rope.kind", (int)r->kind, AITER_ROPE_KIND_COUNT, "aiter_rope_kind");
    aiteri_check_range(c, "rope.nope_first", r->nope_first, 0, 1);
    aiteri_check_rope_tables(c, r, x->shape[x->ndim - 1]);
    if (c->status != AITER_OK) return;
    aiteri_check_rope_kind(c, r);
    aiteri_check_rope_indices(c, "rope.positions", &r->positions, aiteri_rope_axes(r->kind), x);
    aiteri_check_rope_indices(c, "rope.offsets", &r->offsets, 1, x);
}

static void aiteri_rope_fwd_check(aiteri_check *c, aiter_rope_fwd_args *a)
{
    const char *layout = "[tokens, H, D] or [B, S, H, D]";
    aiteri_check_tensor(c, "x", &a->x, 3, 4, AITERI_FLOATS, 1, layout);
    aiteri_check_tensor(c, "y", &a->y, a->x.ndim, a->x.ndim, AITERI_FLOATS, 1, layout);
    if (c->status != AITER_OK) return;
    const int32_t n = a->x.ndim;
    for (int32_t i = 0; i < n; i++) {
        aiteri_check_axis(c, "x", &a->x, i, i + 1 < n ? "batch, tokens or heads" : "head_dim",
                          i + 1 < n ? 0 : 1, i + 1 < n ? INT32_MAX - 1 : AITERI_MAX_HEAD_DIM);
        aiteri_check_extent(c, "y", &a->y, i, a->x.shape[i], "x");
    }
    aiteri_check_rope(c, &a->rope, &a->x);
    if (n == 4)
        aiteri_check_absent(c, "cu_seqlens", &a->cu_seqlens,
                            "x is [B, S, H, D], packed rows are [tokens, H, D]");
    if (a->rope.positions.ndim != 0)
        aiteri_check_absent(c, "cu_seqlens", &a->cu_seqlens,
                            "rope.positions say where each token stands");
    if (aiteri_check_tensor(c, "cu_seqlens", &a->cu_seqlens, 1, 1, AITERI_ONLY_I32, 0, "[B + 1]"))
        aiteri_check_axis(c, "cu_seqlens", &a->cu_seqlens, 0, "batch + 1", 1, INT32_MAX - 1);
    if (c->status != AITER_OK) return;
    const aiter_tensor none = aiteri_tensor_make(NULL, AITER_F32, 0, 0, 0, 0, 0, 0);
    const aiteri_operand operand[] = {{"y", &a->y},
                                      {"x", aiteri_same_view(&a->y, &a->x) ? &none : &a->x},
                                      {"cu_seqlens", &a->cu_seqlens},
                                      {"rope.cos", &a->rope.cos},
                                      {"rope.sin", &a->rope.sin},
                                      {"rope.positions", &a->rope.positions},
                                      {"rope.offsets", &a->rope.offsets}};
    aiteri_check_overlap(c, operand, 7, 1);
}

/* A call, and what its workers share. */
typedef struct aiteri_rope_fwd {
    aiter_rope_fwd_args a;
    int64_t batch, tokens, heads; /* batch of [tokens, H, D] is 1 */
    int32_t dim;                  /* D */
    int32_t workers;
    aiteri_rope rope;
} aiteri_rope_fwd;

static int64_t aiteri_add_indices(int64_t a, int64_t b)
{
    if (b > 0) return a > INT64_MAX - b ? INT64_MAX : a + b;
    return a < INT64_MIN - b ? INT64_MIN : a + b;
}

/* Where token s of batch row b stands in its sequence, or in its row. */
static int64_t aiteri_rope_token(const aiteri_rope_fwd *x, int64_t s)
{
    const aiter_tensor *t = &x->a.cu_seqlens;
    const int32_t *cu = (const int32_t *)t->data;
    if (!t->ndim) return s;
    int64_t low = 0, high = t->shape[0] - 1; /* cu[low] <= s < cu[high] */
    while (low + 1 < high) {
        const int64_t middle = (low + high) / 2;
        if (cu[middle * t->stride[0]] <= s)
            low = middle;
        else
            high = middle;
    }
    return s - cu[low * t->stride[0]];
}

/* The rows of the tables for a token, unchecked. */
static void aiteri_rope_positions(const aiteri_rope_fwd *x, int64_t b, int64_t s,
                                  int64_t position[3])
{
    const aiter_tensor *given = &x->a.rope.positions, *added = &x->a.rope.offsets;
    const int32_t width = x->a.rope.width, n = given->ndim, batched = x->a.x.ndim == 4;
    const int64_t token = n ? 0 : aiteri_rope_token(x, s);
    const int64_t offset = added->ndim
                               ? aiteri_index_at(added, (batched ? b * added->stride[0] : 0) +
                                                            s * added->stride[added->ndim - 1])
                               : 0;
    for (int32_t axis = 0; axis < x->rope.axes; axis++) {
        int64_t at = width == 0 ? token : axis ? token % width : token / width;
        if (n)
            at = aiteri_index_at(given, (x->rope.axes > 1 ? axis * given->stride[0] : 0) +
                                            (batched ? b * given->stride[n - 2] : 0) +
                                            s * given->stride[n - 1]);
        position[axis] = aiteri_add_indices(at, offset);
    }
}

/* Every position is a row of the tables. */
static void aiteri_check_rope_positions(aiteri_check *c, const aiteri_rope_fwd *x)
{
    const int64_t rows = x->a.rope.cos.shape[0];
    for (int64_t r = 0; r < x->batch * x->tokens && c->status == AITER_OK; r++) {
        int64_t position[3];
        aiteri_rope_positions(x, r / x->tokens, r % x->tokens, position);
        for (int32_t i = 0; i < x->rope.axes; i++)
            if (position[i] < 0 || position[i] >= rows)
                aiteri_reject(c, AITER_INVALID_ARGUMENT,
                              "%s.%s: token %lld is at %lld%s, expected 0 to %lld: rope.cos has "
                              "%lld rows",
                              c->op,
                              x->a.rope.positions.ndim ? "rope.positions"
                              : x->a.rope.offsets.ndim ? "rope.offsets"
                                                       : "rope.cos",
                              (long long)r, (long long)position[i],
                              x->a.rope.offsets.ndim ? " with its offset" : "", (long long)rows - 1,
                              (long long)rows);
    }
}

/* The row of token s of batch row b and head 0. */
static char *aiteri_rope_at(const aiter_tensor *t, int64_t b, int64_t s)
{
    const int32_t n = t->ndim;
    return (char *)t->data +
           aiteri_bytes_of(t->dtype, (n == 4 ? b * t->stride[0] : 0) + s * t->stride[n - 3]);
}

/* The way of a row from x to y: types, and bytes from head to head and between elements. */
typedef struct aiteri_rope_way {
    const aiteri_rope *rope;
    aiter_dtype from, to;
    int64_t from_step, to_step; /* in elements */
    int64_t from_bytes, to_bytes, from_head, to_head;
} aiteri_rope_way;

static aiteri_rope_way aiteri_rope_way_of(const aiteri_rope_fwd *x)
{
    const aiter_tensor *from = &x->a.x, *to = &x->a.y;
    const int32_t last = from->ndim - 1;
    aiteri_rope_way w;
    w.rope = &x->rope;
    w.from = from->dtype;
    w.to = to->dtype;
    w.from_step = from->stride[last];
    w.to_step = to->stride[last];
    w.from_bytes = aiteri_bytes_of(w.from, w.from_step);
    w.to_bytes = aiteri_bytes_of(w.to, w.to_step);
    w.from_head = aiteri_bytes_of(w.from, from->stride[last - 1]);
    w.to_head = aiteri_bytes_of(w.to, to->stride[last - 1]);
    return w;
}

/* Elements [first, end) of a row as they are. */
static void aiteri_rope_copy(const aiteri_rope_way *w, char *dst, const char *src, int32_t first,
                             int32_t end)
{
    float row[AITERI_MAX_HEAD_DIM];
    if (first == end || src == dst) return; /* in place */
    src += first * w->from_bytes;
    dst += first * w->to_bytes;
    if (w->from == w->to && w->from_step == 1 && w->to_step == 1) {
        memcpy(dst, src, (size_t)((end - first) * w->to_bytes));
        return;
    }
    aiteri_gather_row(w->rope->kernels, row, src, w->from, w->from_step, end - first);
    aiteri_scatter_row(w->rope->kernels, dst, w->to, w->to_step, row, end - first);
}

static void aiteri_rope_row(const aiteri_rope_way *w, char *dst, const char *src, int32_t row_dim,
                            const aiteri_rope_angles *angles)
{
    const aiteri_rope *r = w->rope;
    const int32_t start = r->start, end = start + r->dim;
    float x[AITERI_MAX_HEAD_DIM], y[AITERI_MAX_HEAD_DIM];
    aiteri_rope_copy(w, dst, src, 0, start);
    aiteri_rope_copy(w, dst, src, end, row_dim);
    aiteri_gather_row(r->kernels, x, src + start * w->from_bytes, w->from, w->from_step, r->dim);
    aiteri_rope_turn(r, y, x, angles);
    aiteri_scatter_row(r->kernels, dst + start * w->to_bytes, w->to, w->to_step, y, r->dim);
}

static void aiteri_rope_fwd_worker(void *arg, int32_t i)
{
    const aiteri_rope_fwd *x = (const aiteri_rope_fwd *)arg;
    const aiteri_rope_way way = aiteri_rope_way_of(x);
    const int64_t rows = x->batch * x->tokens;
    aiteri_rope_angles angles;
    int64_t position[3];
    for (int64_t r = aiteri_share_of(rows, i, x->workers);
         r < aiteri_share_of(rows, i + 1, x->workers); r++) {
        const int64_t b = r / x->tokens, s = r % x->tokens;
        const char *src = aiteri_rope_at(&x->a.x, b, s);
        char *dst = aiteri_rope_at(&x->a.y, b, s);
        aiteri_rope_positions(x, b, s, position);
        aiteri_rope_angles_at(&x->rope, position, &angles);
        for (int64_t h = 0; h < x->heads; h++, src += way.from_head, dst += way.to_head)
            aiteri_rope_row(&way, dst, src, x->dim, &angles);
    }
}

static aiter_status aiteri_rope_fwd_begin(const char *op, const char *call,
                                          const aiter_rope_fwd_args *args, aiter_context *ctx,
                                          aiteri_rope_fwd *x)
{
    memset(x, 0, sizeof *x);
    AITERI_TRY(aiteri_call_begin(op, call, ctx, args, sizeof *args));
    x->a = *args;
    return AITER_OK;
}

static aiter_status aiteri_rope_fwd_workspace(const aiteri_rope_fwd *x, aiter_context *ctx,
                                              size_t *bytes)
{
    (void)x;
    return aiteri_scratch_answer("aiter_rope_fwd", ctx, 0, bytes);
}

/* Everything but the run: all that shapes tell. */
static aiter_status aiteri_rope_fwd_supported(aiteri_rope_fwd *x, aiter_context *ctx, size_t *bytes)
{
    aiteri_check c = {"aiter_rope_fwd", ctx, AITER_OK};
    const int32_t n = x->a.x.ndim;
    aiteri_rope_fwd_check(&c, &x->a);
    if (c.status != AITER_OK) return c.status;
    x->batch = n == 4 ? x->a.x.shape[0] : 1;
    x->tokens = x->a.x.shape[n - 3];
    x->heads = x->a.x.shape[n - 2];
    x->dim = (int32_t)x->a.x.shape[n - 1];
    *bytes = 0;
    AITERI_TRY(aiteri_needs_cpu(c.op, ctx));
    x->rope = aiteri_rope_of(aiteri_context_kernels(ctx), &x->a.rope, aiteri_rope_dim(&x->a.rope),
                             x->dim);
    return AITER_OK;
}

static aiter_status aiteri_rope_fwd_explain(const aiteri_rope_fwd *x, aiter_context *ctx,
                                            aiteri_text *t)
{
    static const char *const kinds[AITER_ROPE_KIND_COUNT] = {
        "one position a token", "two positions a token, of an image",
        "three positions a token, by sections", "three positions a token, interleaved"};
    const aiter_rope *r = &x->a.rope;
    const double values = (double)x->batch * (double)x->tokens * (double)x->heads * (double)x->dim;
    aiteri_say(t, "problem: batch %lld, %lld tokens, heads %lld, D %d\n", (long long)x->batch,
               (long long)x->tokens, (long long)x->heads, (int)x->dim);
    aiteri_say(t, "types: x %s, y %s, cos %s, sin %s\n", aiter_dtype_name(x->a.x.dtype),
               aiter_dtype_name(x->a.y.dtype), aiter_dtype_name(r->cos.dtype),
               aiter_dtype_name(r->sin.dtype));
    aiteri_say(t, "rope: the %s %d elements turn in %s pairs, %s, of %lld in the tables\n",
               r->nope_first ? "last" : "first", (int)x->rope.dim,
               r->pairing == AITER_ROPE_NEOX ? "NeoX" : "GPT-J", kinds[r->kind],
               (long long)r->cos.shape[0]);
    aiteri_explain_rows(t, ctx, 0, "rows of heads", x->tokens * x->heads, x->batch);
    aiteri_say(t, "bytes: at most %.3g read, %.3g written\n",
               values * aiteri_bytes_per(x->a.x.dtype), values * aiteri_bytes_per(x->a.y.dtype));
    aiteri_say(t, "error: 2^-23 of |x1 cos| + |x2 sin|, half a unit of %s (docs/guide.md, 5)\n",
               aiter_dtype_name(x->a.y.dtype));
    return AITER_OK;
}

static aiter_status aiteri_rope_fwd_run(aiteri_rope_fwd *x, aiter_context *ctx)
{
    size_t bytes;
    AITERI_TRY(aiteri_rope_fwd_supported(x, ctx, &bytes));
    aiteri_check c = {"aiter_rope_fwd", ctx, AITER_OK};
    const aiter_tensor *cu = &x->a.cu_seqlens;
    if (cu->ndim) {
        const int32_t *starts = (const int32_t *)cu->data, batch = (int32_t)cu->shape[0] - 1;
        const aiteri_length_bound most = {x->tokens, "tokens of x"};
        aiteri_check_cu_seqlens(&c, "cu_seqlens", starts, cu->stride[0], batch, x->tokens, most);
        if (c.status != AITER_OK) return c.status;
        x->tokens = starts[batch * cu->stride[0]];
    }
    aiteri_check_rope_positions(&c, x);
    if (c.status != AITER_OK) return c.status;
    x->workers = (int32_t)aiteri_min(aiteri_context_workers(ctx), x->batch * x->tokens);
    if (x->batch * x->tokens * x->heads > 0)
        aiteri_parallel(ctx, aiteri_rope_fwd_worker, x, x->workers);
    return AITER_OK;
}

AITERI_CALLS(rope_fwd, rope_fwd, "aiter_rope_fwd")

#endif /* AITERI_ROPE_FWD_C */
#endif
#if AITERI_HAS_QUANT

// >>quantize    (src/ops/quantize.c)
/* quantize.c -- aiter_quantize and aiter_dequantize: numbers to codes under scales, and back.
 *
 * A unit is what lies under one scale: columns [g * group, (g + 1) * group) of one row, or of all
 * rows of the axes that the scales do not have. */
#ifndef AITERI_QUANTIZE_C
#define AITERI_QUANTIZE_C


/* Elements of a row at a time, on the stack; even, so that a byte of two codes is not cut. */
enum { AITERI_QUANT_STRIP = 256 };

enum {
    AITERI_CODES = AITERI_QUANTISED | 1 << AITER_I4 | 1 << AITER_F4_E2M1,
    AITERI_SCALES = AITERI_ONLY_F32 | 1 << AITER_F8_E8M0 | 1 << AITER_F8_E4M3FN
};

/* Of a type of codes: the exponent of the largest power of two, the bits of its mantissa, the f32
 * bits of the first magnitude that rounds beyond it and what it then is. */
typedef struct aiteri_code_range {
    int32_t exponent, mantissa;
    uint32_t beyond;
    uint8_t nan, overflow;
} aiteri_code_range;

static aiteri_code_range aiteri_code_range_of(aiter_dtype dtype)
{
    static const aiteri_code_range e4m3fn = {8, 3, 0x43e80001, 0x7f, 0x7f};
    static const aiteri_code_range e4m3fnuz = {7, 3, 0x43780000, 0x80, 0x80};
    static const aiteri_code_range e5m2 = {15, 2, 0x47700000, 0x7f, 0x7c};
    static const aiteri_code_range e2m1 = {2, 1, 0, 0, 0};
    static const aiteri_code_range integer = {0, 0, 0, 0, 0};
    switch (dtype) {
    case AITER_F8_E4M3FN: return e4m3fn;
    case AITER_F8_E4M3FNUZ: return e4m3fnuz;
    case AITER_F8_E5M2: return e5m2;
    case AITER_F4_E2M1: return e2m1;
    default: return integer;
    }
}

/* A tensor by three leading axes and the last one; strides are 0 where a scale is shared. */
typedef struct aiteri_quant_view {
    char *data;
    aiter_dtype dtype;
    int64_t shape[4], stride[4];
} aiteri_quant_view;

/* A call of either op. */
typedef struct aiteri_quant {
    aiter_quantize_args a;
    const char *op;
    int32_t encodes;                      /* aiter_quantize */
    aiteri_quant_view real, codes, scale; /* scale.shape counts units */
    int64_t group;                        /* 1 or more */
    int32_t computes, shared;             /* the scales; some of them over several rows */
    float global_scale;
    aiteri_code_range range;
    const aiteri_kernels *kernels;
    int32_t workers;
} aiteri_quant;

/* ---- checks ---- */

static void aiteri_quant_check_zero(aiteri_check *c, const char *field, int64_t got, int allowed,
                                    const char *why)
{
    if (got != 0 && !allowed)
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.quantisation.%s: is %lld, expected 0: %s",
                      c->op, field, (long long)got, why);
}

static void aiteri_quant_check_options(aiteri_check *c, const aiteri_quant *x)
{
    const aiter_quantisation *q = &x->a.quantisation;
    const aiter_dtype to = x->encodes ? x->a.y.dtype : x->a.x.dtype, by = x->a.scale.dtype;
    const unsigned to_bit = AITERI_TYPE_BIT(to);
    const int writes = x->encodes, computes = x->computes;
    if (q->to != AITER_DTYPE_UNSET && q->to != to)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.quantisation.to: is %s, expected unset or %s, the type of the codes",
                      c->op, aiter_dtype_name(q->to), aiter_dtype_name(to));
    aiteri_check_enum(c, "quantisation.per", (int)q->per, AITER_SCALE_COUNT, "aiter_scale_kind");
    aiteri_check_range(c, "quantisation.scale_given", q->scale_given, 0, 1);
    aiteri_check_range(c, "quantisation.group", q->group, 0, INT32_MAX);
    aiteri_check_enum(c, "quantisation.rounding", (int)q->rounding, AITER_ROUNDING_COUNT,
                      "aiter_rounding");
    aiteri_check_enum(c, "quantisation.scale_rounding", (int)q->scale_rounding,
                      AITER_SCALE_ROUNDING_COUNT, "aiter_scale_rounding");
    aiteri_check_enum(c, "quantisation.overflow", (int)q->overflow, AITER_OVERFLOW_COUNT,
                      "aiter_overflow");
    aiteri_check_enum(c, "quantisation.zero_block", (int)q->zero_block, AITER_ZERO_BLOCK_COUNT,
                      "aiter_zero_block");
    aiteri_check_range(c, "quantisation.by_reciprocal", q->by_reciprocal, 0, 1);
    aiteri_quant_check_zero(c, "scale_given", q->scale_given, writes, "scales are read here");
    aiteri_quant_check_zero(c, "rounding", (int64_t)q->rounding, writes && to == AITER_F4_E2M1,
                            "it tells how f4_e2m1 codes are made");
    aiteri_quant_check_zero(c, "scale_rounding", (int64_t)q->scale_rounding,
                            computes && by == AITER_F8_E8M0,
                            "it tells how f8_e8m0 scales are computed");
    aiteri_quant_check_zero(c, "overflow", (int64_t)q->overflow, writes && (to_bit & AITERI_FP8),
                            "it tells how fp8 codes are made");
    aiteri_quant_check_zero(c, "zero_block", (int64_t)q->zero_block, computes,
                            "it tells how scales are computed");
    aiteri_quant_check_zero(c, "by_reciprocal", q->by_reciprocal, writes && by != AITER_F8_E8M0,
                            "it tells how codes are made, and f8_e8m0 scales divide exactly");
    if ((by == AITER_F8_E8M0 && !(to_bit & (AITERI_FP8 | 1u << AITER_F4_E2M1))) ||
        (by == AITER_F8_E4M3FN && to != AITER_F4_E2M1))
        aiteri_reject(c, AITER_UNSUPPORTED,
                      "%s.scale: dtype is %s, which goes with codes of %s; for %s expected f32",
                      c->op, aiter_dtype_name(by),
                      by == AITER_F8_E8M0 ? "fp8 and f4_e2m1" : "f4_e2m1", aiter_dtype_name(to));
    if (by != AITER_F8_E4M3FN)
        aiteri_check_absent(c, "global_scale", &x->a.global_scale,
                            "it goes with f8_e4m3fn scales (NVFP4)");
    else if (x->a.global_scale.ndim != 0)
        aiteri_check_extent(c, "global_scale", &x->a.global_scale, 0, 1, "one for all");
}

/* Rows of two codes a byte start at whole bytes. */
static void aiteri_quant_check_halves(aiteri_check *c, const char *field, const aiter_tensor *t)
{
    if (aiter_dtype_bits(t->dtype) >= 8) return;
    const int32_t last = t->ndim - 1;
    for (int32_t i = 0; i <= last; i++) {
        const int fits = i == last ? t->stride[i] == 1 : t->stride[i] % 2 == 0;
        if (!fits && t->shape[i] > 1)
            aiteri_reject(c, AITER_INVALID_ARGUMENT,
                          "%s.%s: stride[%d] is %lld, expected %s: rows of %s start at whole bytes",
                          c->op, field, (int)i, (long long)t->stride[i],
                          i == last ? "1" : "an even one", aiter_dtype_name(t->dtype));
    }
}

/* The extents of the scales, and into x->scale how they lie beside the rows. */
static void aiteri_quant_check_scale(aiteri_check *c, aiteri_quant *x)
{
    const aiter_tensor *t = &x->a.scale;
    const aiter_tensor *real = x->encodes ? &x->a.x : &x->a.y;
    const int32_t rows = real->ndim - 1, grouped = x->a.quantisation.group != 0;
    const int32_t one = !grouped && t->ndim == 1 && t->shape[0] == 1;
    const int32_t per_head = !grouped && t->ndim == 1 && rows > 1 && !one;
    const int64_t units = grouped ? aiteri_ceil_div(real->shape[rows], x->group) : 1;
    if (!one && !per_head && t->ndim != rows + grouped)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.scale: ndim is %d, expected %d%s: those of x without the last%s", c->op,
                      (int)t->ndim, (int)(rows + grouped > 0 ? rows + grouped : 1),
                      grouped ? "" : ", or 1",
                      grouped ? ", and the groups of quantisation.group elements" : "");
    for (int32_t i = 0; i < 4; i++) x->scale.shape[i] = 1, x->scale.stride[i] = 0;
    for (int32_t i = 0; i < rows && !one && c->status == AITER_OK; i++) {
        const int32_t at = per_head ? 0 : i, axis = 3 - rows + i;
        if (per_head && i < rows - 1) continue;
        if (t->shape[at] == 1) continue;
        aiteri_check_extent(c, "scale", t, at, real->shape[i], "x; or 1 for one scale");
        x->scale.shape[axis] = t->shape[at];
        x->scale.stride[axis] = t->stride[at];
    }
    if (grouped && c->status == AITER_OK) {
        aiteri_check_extent(c, "scale", t, rows, units, "the groups of the last axis");
        x->scale.shape[3] = units;
        x->scale.stride[3] = t->stride[rows];
    }
    for (int32_t i = 0; i < 3; i++) x->shared |= x->scale.shape[i] != x->real.shape[i];
    x->shared |= x->real.shape[3] == 0; /* no row is looked at */
}

/* A granularity that is named is the one that the shape has. */
static void aiteri_quant_check_per(aiteri_check *c, const aiteri_quant *x)
{
    const aiter_scale_kind per = x->a.quantisation.per;
    const int64_t *n = x->scale.shape;
    const int is_it = per == AITER_SCALE_PER_TENSOR ? n[0] * n[1] * n[2] * n[3] == 1
                      : per == AITER_SCALE_PER_HEAD ? n[0] * n[1] == 1 && n[2] == x->real.shape[2]
                                                    : !x->shared;
    if (per != AITER_SCALE_BY_SHAPE && !is_it)
        aiteri_reject(c, AITER_INVALID_ARGUMENT,
                      "%s.quantisation.per: names data%s, but scale has another shape", c->op,
                      aiteri_scale_words(per));
}

static aiteri_quant_view aiteri_quant_view_of(const aiter_tensor *t)
{
    aiteri_quant_view v;
    memset(&v, 0, sizeof v);
    v.data = (char *)t->data;
    v.dtype = t->dtype;
    for (int32_t i = 0; i < 4; i++) {
        const int32_t from = i - 4 + t->ndim;
        v.shape[i] = from >= 0 ? t->shape[from] : 1;
        v.stride[i] = from >= 0 ? t->stride[from] : 0;
    }
    return v;
}

/* Two codes a byte: the bytes. */
static aiter_tensor aiteri_quant_bytes(aiter_tensor t)
{
    if (aiter_dtype_bits(t.dtype) >= 8) return t;
    const int32_t last = t.ndim - 1;
    t.dtype = AITER_U8;
    t.shape[last] = (t.shape[last] + 1) / 2;
    for (int32_t i = 0; i < last; i++) t.stride[i] /= 2;
    return t;
}

static void aiteri_quant_check(aiteri_check *c, aiteri_quant *x)
{
    aiter_quantize_args *a = &x->a;
    const char *numbers = x->encodes ? "x" : "y", *codes = x->encodes ? "y" : "x";
    aiter_tensor *real = x->encodes ? &a->x : &a->y, *code = x->encodes ? &a->y : &a->x;
    x->computes = x->encodes && !a->quantisation.scale_given;
    aiteri_check_tensor(c, numbers, real, 1, 4, AITERI_FLOATS, 1, "numbers [.., D]");
    aiteri_check_tensor(c, codes, code, 1, 4, AITERI_CODES, 1, "codes [.., D]");
    aiteri_check_tensor(c, "scale", &a->scale, 1, 4, AITERI_SCALES, 1,
                        "[1], or those of x without the last axis");
    aiteri_check_tensor(c, "global_scale", &a->global_scale, 1, 1, AITERI_ONLY_F32, 0, "[1]");
    if (c->status != AITER_OK) return;
    if (code->ndim != real->ndim)
        aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: ndim is %d, expected %d (= %s)", c->op,
                      codes, (int)code->ndim, (int)real->ndim, numbers);
    int64_t elements = 1; /* of what is not empty: counts of rows and groups do not wrap */
    for (int32_t i = 0; i < real->ndim && c->status == AITER_OK; i++) {
        if (real->shape[i] > AITERI_MOST_ELEMENTS / elements)
            aiteri_reject(c, AITER_INVALID_ARGUMENT, "%s.%s: its extents exceed the address space",
                          c->op, numbers);
        elements *= aiteri_max(1, real->shape[i]);
        aiteri_check_axis(c, numbers, real, i, "extent", 0, INT32_MAX - 1);
        aiteri_check_extent(c, codes, code, i, real->shape[i], numbers);
    }
    aiteri_quant_check_halves(c, codes, code);
    aiteri_quant_check_options(c, x);
    if (c->status != AITER_OK) return;
    x->real = aiteri_quant_view_of(real);
    x->codes = aiteri_quant_view_of(code);
    x->range = aiteri_code_range_of(code->dtype);
    x->group = a->quantisation.group ? a->quantisation.group : aiteri_max(1, x->real.shape[3]);
    x->scale.data = (char *)a->scale.data;
    x->scale.dtype = a->scale.dtype;
    aiteri_quant_check_scale(c, x);
    if (c->status != AITER_OK) return;
    aiteri_quant_check_per(c, x);
    const aiter_tensor none = aiteri_tensor_make(NULL, AITER_F32, 0, 0, 0, 0, 0, 0);
    const aiter_tensor of_x = aiteri_quant_bytes(a->x), of_y = aiteri_quant_bytes(a->y);
    const aiteri_operand operand[] = {{"y", &of_y},
                                      {"scale", x->computes ? &a->scale : &none},
                                      {"x", &of_x},
                                      {"scale", x->computes ? &none : &a->scale},
                                      {"global_scale", &a->global_scale}};
    aiteri_check_overlap(c, operand, 5, 2);
}

/* ---- scales ---- */

static char *aiteri_quant_at(const aiteri_quant_view *v, const int64_t *row, int64_t column)
{
    int64_t at = column * v->stride[3];
    for (int32_t i = 0; i < 3; i++) at += row[i] * v->stride[i];
    return v->data + aiteri_bytes_of(v->dtype, at);
}

/* Index `n` of a view's rows. */
static void aiteri_quant_row(const aiteri_quant_view *v, int64_t n, int64_t *row)
{
    row[2] = n % v->shape[2];
    row[1] = n / v->shape[2] % v->shape[1];
    row[0] = n / v->shape[2] / v->shape[1];
}

/* The exponent field of p = a * factor rounded to f32, plus 1 if p is no power of two. Below the
 * normal numbers that is 0 or 1, whatever the caller's flags make of subnormal ones. */
static int32_t aiteri_e8m0_above(float a, double factor)
{
    const double product = aiteri_rounded_f64(aiteri_double_of_f32(a) * factor);
    if (product < 1.1754943508222875e-38) return product > 7.006492321624085e-46;
    const uint32_t u = aiteri_bits_of_f32(aiteri_rounded((float)product));
    return (int32_t)(u >> 23) + ((u & 0x7fffff) != 0);
}

/* The byte of a group whose largest magnitude is amax: AITER_SCALE_ROUND_ says how. */
static uint8_t aiteri_e8m0_of_amax(float amax, aiter_scale_rounding how, aiter_dtype codes)
{
    const aiteri_code_range r = aiteri_code_range_of(codes);
    const uint32_t a = aiteri_bits_of_f32(amax);
    int32_t field = (int32_t)(a >> 23);
    if (field == 255) return 255;
    if (how == AITER_SCALE_ROUND_UP)
        field = aiteri_e8m0_above(amax, (double)aiteri_rounded(1.0f / aiteri_largest_of(codes)));
    else if (how == AITER_SCALE_ROUND_CEIL)
        field = aiteri_e8m0_above(amax, 1.0 / (double)(1 << r.exponent));
    else if (how == AITER_SCALE_ROUND_FLOOR)
        field -= r.exponent;
    else
        field = (int32_t)((a + (1u << (22 - r.mantissa))) >> 23) - r.exponent;
    return (uint8_t)(field > 0 ? field : 0);
}

/* Stores the scale of a unit by its largest magnitude. */
static void aiteri_quant_store_scale(const aiteri_quant *x, char *to, float amax)
{
    const aiter_quantisation *q = &x->a.quantisation;
    float scale = 1.0f;
    const int is_one = aiteri_bits_of_f32(amax) == 0 && q->zero_block == AITER_ZERO_BLOCK_SCALE_1;
    if (x->scale.dtype == AITER_F8_E8M0) {
        *(uint8_t *)to =
            is_one ? 127 : aiteri_e8m0_of_amax(amax, q->scale_rounding, x->codes.dtype);
        return;
    }
    if (!is_one) scale = aiteri_rounded(amax / aiteri_largest_of(x->codes.dtype));
    if (!is_one && x->scale.dtype == AITER_F8_E4M3FN) {
        scale = aiteri_rounded(scale / x->global_scale);
        if (aiteri_bits_of_f32(amax) >= 0x7f800000) scale = aiteri_f32_of_bits(0x7fc00000);
    }
    aiteri_store_f32(x->scale.dtype, to, 0, scale);
}

/* Computes and stores the scale of unit (unit, g). */
static void aiteri_quant_scale(const aiteri_quant *x, const int64_t *unit, int64_t g)
{
    int64_t first[3], end[3], i[3];
    float strip[AITERI_QUANT_STRIP];
    uint32_t most = 0;
    for (int32_t k = 0; k < 3; k++) {
        const int all = x->scale.shape[k] != x->real.shape[k];
        first[k] = all ? 0 : unit[k];
        end[k] = all ? x->real.shape[k] : unit[k] + 1;
    }
    const int64_t from = g * x->group, to = aiteri_min(from + x->group, x->real.shape[3]);
    for (i[0] = first[0]; i[0] < end[0] && from < to; i[0]++)
        for (i[1] = first[1]; i[1] < end[1]; i[1]++)
            for (i[2] = first[2]; i[2] < end[2]; i[2]++)
                for (int64_t d = from; d < to; d += AITERI_QUANT_STRIP) {
                    const int32_t n = (int32_t)aiteri_min(AITERI_QUANT_STRIP, to - d);
                    aiteri_gather_row(x->kernels, strip, aiteri_quant_at(&x->real, i, d),
                                      x->real.dtype, x->real.stride[3], n);
                    most = aiteri_larger_magnitude(most, x->kernels->row_amax(strip, n));
                }
    aiteri_quant_store_scale(x, aiteri_quant_at(&x->scale, unit, g), aiteri_f32_of_bits(most));
}

static int64_t aiteri_quant_rows(const aiteri_quant_view *v)
{
    return v->shape[0] * v->shape[1] * v->shape[2];
}

/* The scales that several rows share; a row computes its own. */
static void aiteri_quant_scale_worker(void *arg, int32_t worker)
{
    const aiteri_quant *x = (const aiteri_quant *)arg;
    const int64_t groups = x->scale.shape[3], units = aiteri_quant_rows(&x->scale) * groups;
    const int64_t end = aiteri_share_of(units, worker + 1, x->workers);
    for (int64_t n = aiteri_share_of(units, worker, x->workers); n < end; n++) {
        int64_t unit[3];
        aiteri_quant_row(&x->scale, n / groups, unit);
        aiteri_quant_scale(x, unit, n % groups);
    }
}

/* What a code of 1 is worth: of * also. `also` is 1, but for the one scale that no normal float is.
 */
typedef struct aiteri_quant_step {
    float of, also;
} aiteri_quant_step;

static aiteri_quant_step aiteri_quant_step_at(const aiteri_quant *x, const int64_t *row, int64_t g)
{
    const char *at = aiteri_quant_at(&x->scale, row, g);
    aiteri_quant_step step = {0.0f, 1.0f};
    if (x->scale.dtype == AITER_F8_E8M0 && *(const uint8_t *)at == 0) {
        step.of = aiteri_f32_of_bits(0x00800000);
        step.also = 0.5f;
        return step;
    }
    step.of = aiteri_load_f32(x->scale.dtype, at, 0);
    if (x->scale.dtype == AITER_F8_E4M3FN) step.of = aiteri_rounded(step.of * x->global_scale);
    return step;
}

/* ---- rows ---- */

static void aiteri_quant_multiply(const aiteri_kernels *kernels, float *row, int32_t n, float by)
{
    if (n % AITERI_PAD == 0)
        kernels->row_scale(row, n, by);
    else
        for (int32_t i = 0; i < n; i++) row[i] *= by;
}

static void aiteri_quant_apply(const aiteri_quant *x, float *row, int32_t n, aiteri_quant_step step)
{
    if (!x->encodes) {
        if (step.also != 1.0f) aiteri_quant_multiply(x->kernels, row, n, step.also);
        aiteri_quant_multiply(x->kernels, row, n, step.of);
        return;
    }
    if (step.also != 1.0f) aiteri_quant_multiply(x->kernels, row, n, 1.0f / step.also);
    const float inverse = aiteri_rounded(1.0f / step.of);
    if (x->a.quantisation.by_reciprocal && aiteri_bits_of_f32(inverse) != 0x7f800000)
        aiteri_quant_multiply(x->kernels, row, n, inverse);
    else
        aiteri_count_steps(x->kernels, row, n, step.of);
}

/* What the plain conversion of a row leaves: NaN of either sign, and overflow that is to show. */
static void aiteri_quant_mend_fp8(const aiteri_quant *x, char *codes, const float *row, int32_t n)
{
    const int64_t stride = x->codes.stride[3];
    const int shows = x->a.quantisation.overflow == AITER_OVERFLOW_TO_NAN;
    const uint32_t most = shows ? x->range.beyond : 0x7f800001;
    if (aiteri_bits_of_f32(x->kernels->row_amax(row, n)) < most) return;
    for (int32_t i = 0; i < n; i++) {
        const uint32_t u = aiteri_bits_of_f32(row[i]), a = u & 0x7fffffff;
        uint8_t *code = (uint8_t *)codes + i * stride;
        if (a > 0x7f800000)
            *code = x->range.nan;
        else if (a >= most)
            *code = (uint8_t)(x->range.overflow | (u >> 24 & 0x80));
    }
}

static void aiteri_quant_store(const aiteri_quant *x, char *codes, float *row, int32_t n)
{
    if (x->a.quantisation.rounding == AITER_ROUND_TIES_TOWARD_ZERO) {
        for (int32_t i = 0; i < n; i++)
            aiteri_store_nibble(codes, i, aiteri_e2m1_from_bits_down(aiteri_bits_of_f32(row[i])));
        return;
    }
    aiteri_scatter_row(x->kernels, codes, x->codes.dtype, x->codes.stride[3], row, n);
    if (AITERI_TYPE_BIT(x->codes.dtype) & AITERI_FP8) aiteri_quant_mend_fp8(x, codes, row, n);
}

/* One row from its numbers to its codes, or back. */
static void aiteri_quant_convert(const aiteri_quant *x, const int64_t *row)
{
    const aiteri_quant_view *from = x->encodes ? &x->real : &x->codes;
    const int64_t dim = x->real.shape[3];
    float strip[AITERI_QUANT_STRIP];
    for (int64_t d = 0; d < dim; d += AITERI_QUANT_STRIP) {
        const int32_t n = (int32_t)aiteri_min(AITERI_QUANT_STRIP, dim - d);
        aiteri_gather_row(x->kernels, strip, aiteri_quant_at(from, row, d), from->dtype,
                          from->stride[3], n);
        for (int64_t k = d, end; k < d + n; k = end) {
            end = aiteri_min(d + n, (k / x->group + 1) * x->group);
            aiteri_quant_apply(x, strip + (k - d), (int32_t)(end - k),
                               aiteri_quant_step_at(x, row, k / x->group));
        }
        if (x->encodes)
            aiteri_quant_store(x, aiteri_quant_at(&x->codes, row, d), strip, n);
        else
            aiteri_scatter_row(x->kernels, aiteri_quant_at(&x->real, row, d), x->real.dtype,
                               x->real.stride[3], strip, n);
    }
}

static void aiteri_quant_worker(void *arg, int32_t worker)
{
    const aiteri_quant *x = (const aiteri_quant *)arg;
    const int64_t rows = aiteri_quant_rows(&x->real);
    const int64_t end = aiteri_share_of(rows, worker + 1, x->workers);
    for (int64_t n = aiteri_share_of(rows, worker, x->workers); n < end; n++) {
        int64_t row[3];
        aiteri_quant_row(&x->real, n, row);
        for (int64_t g = 0; x->computes && !x->shared && g < x->scale.shape[3]; g++)
            aiteri_quant_scale(x, row, g);
        aiteri_quant_convert(x, row);
    }
}

/* ---- the call ---- */

static aiter_status aiteri_quant_begin(const char *op, const char *call,
                                       const aiter_quantize_args *args, aiter_context *ctx,
                                       aiteri_quant *x)
{
    memset(x, 0, sizeof *x);
    AITERI_TRY(aiteri_call_begin(op, call, ctx, args, sizeof *args));
    x->a = *args;
    x->op = op;
    x->encodes = strcmp(op, "aiter_quantize") == 0;
    x->global_scale = 1.0f;
    return AITER_OK;
}

static aiter_status aiteri_quant_workspace(const aiteri_quant *x, aiter_context *ctx, size_t *bytes)
{
    return aiteri_scratch_answer(x->op, ctx, 0, bytes);
}

/* Everything that shapes tell. */
static aiter_status aiteri_quant_supported(aiteri_quant *x, aiter_context *ctx, size_t *bytes)
{
    aiteri_check c = {x->op, ctx, AITER_OK};
    aiteri_quant_check(&c, x);
    *bytes = 0;
    return c.status == AITER_OK ? aiteri_needs_cpu(x->op, ctx) : c.status;
}

static aiter_status aiteri_quant_explain(const aiteri_quant *x, aiter_context *ctx, aiteri_text *t)
{
    const int64_t *n = x->real.shape, *s = x->scale.shape;
    const double rows = (double)aiteri_quant_rows(&x->real);
    const double real = rows * (double)n[3] * aiteri_bytes_per(x->real.dtype);
    const double codes = rows * (double)n[3] * aiteri_bytes_per(x->codes.dtype);
    const double scales = (double)aiteri_quant_rows(&x->scale) * (double)s[3];
    const double scale = scales * aiteri_bytes_per(x->scale.dtype);
    aiteri_say(t, "problem: [%lld, %lld, %lld, %lld], %.0f scales, groups of %lld\n",
               (long long)n[0], (long long)n[1], (long long)n[2], (long long)n[3], scales,
               (long long)x->group);
    aiteri_say(t, "types: %s %s %s, scales %s%s\n", aiter_dtype_name(x->real.dtype),
               x->encodes ? "to" : "from", aiter_dtype_name(x->codes.dtype),
               aiter_dtype_name(x->scale.dtype), x->computes ? ", which are written" : "");
    aiteri_explain_rows(t, ctx, 0, "rows", aiteri_quant_rows(&x->real), 1);
    if (x->encodes)
        aiteri_say(t, "bytes: at most %.3g read, %.3g written\n",
                   real * (x->computes && x->shared ? 2 : 1) + (x->computes ? 0 : scale),
                   codes + (x->computes ? scale : 0));
    else
        aiteri_say(t, "bytes: at most %.3g read, %.3g written\n", codes + scale, real);
    return AITER_OK;
}

/* Scales that are given: what a group of zeros or a NaN has is no scale to quantise by. */
static void aiteri_quant_check_given(aiteri_check *c, const aiteri_quant *x)
{
    const int64_t groups = x->scale.shape[3], units = aiteri_quant_rows(&x->scale) * groups;
    for (int64_t n = 0; n < units && c->status == AITER_OK; n++) {
        int64_t unit[3];
        aiteri_quant_row(&x->scale, n / groups, unit);
        const char *at = aiteri_quant_at(&x->scale, unit, n % groups);
        aiteri_check_positive(c, "scale", n, aiteri_load_f32(x->scale.dtype, at, 0));
    }
}

static aiter_status aiteri_quant_run(aiteri_quant *x, aiter_context *ctx)
{
    size_t bytes;
    AITERI_TRY(aiteri_quant_supported(x, ctx, &bytes));
    aiteri_check c = {x->op, ctx, AITER_OK};
    if (x->a.global_scale.ndim != 0) {
        x->global_scale = *(const float *)x->a.global_scale.data;
        aiteri_check_positive(&c, "global_scale", 0, x->global_scale);
    }
    const int empty = aiteri_quant_rows(&x->real) == 0 || x->real.shape[3] == 0;
    if (x->encodes && !x->computes && !empty) aiteri_quant_check_given(&c, x);
    if (c.status != AITER_OK) return c.status;
    x->kernels = aiteri_context_kernels(ctx);
    x->workers = aiteri_context_workers(ctx);
    if (x->computes && x->shared) aiteri_parallel(ctx, aiteri_quant_scale_worker, x, x->workers);
    if (!empty) aiteri_parallel(ctx, aiteri_quant_worker, x, x->workers);
    return AITER_OK;
}

AITERI_CALLS(quantize, quant, "aiter_quantize")
AITERI_CALLS(dequantize, quant, "aiter_dequantize")

#endif /* AITERI_QUANTIZE_C */
#endif

// >>padding_guard    (src/ops/padding_guard.c)
/* padding_guard.c -- how much a softmax without mask would suffer from zero keys up to a tile's
 * edge. */
#ifndef AITERI_PADDING_GUARD_C
#define AITERI_PADDING_GUARD_C


AITER_ATTN_API aiter_status aiter_padding_guard(const aiter_padding_guard_args *args, double *ratio,
                                                int32_t *safe)
{
    aiteri_check c = {"aiter_padding_guard", NULL, AITER_OK};
    AITERI_TRY(aiteri_call_begin(c.op, "", NULL, args, sizeof *args));
    const int64_t tile = args->tile ? args->tile : 128;
    uint64_t bits; /* judged by them, so that no compiler flag can wave NaN through */
    memcpy(&bits, &args->threshold, sizeof bits);
    const double threshold = bits << 1 != 0 ? args->threshold : 0.005;
    const int in_range = bits << 1 == 0 || bits < UINT64_C(0x3ff0000000000000); /* 1.0 */
    aiteri_check_range(&c, "seqlen", args->seqlen, 1, INT64_MAX);
    aiteri_check_range(&c, "tile", tile, 1, INT64_MAX);
    if ((int)args->mask < 0 || args->mask > AITER_MASK_CAUSAL)
        aiteri_reject(&c, AITER_INVALID_ARGUMENT,
                      "%s.mask: is %d, expected AITER_MASK_DEFAULT, AITER_MASK_NONE or "
                      "AITER_MASK_CAUSAL",
                      c.op, (int)args->mask);
    if (!in_range)
        aiteri_reject(&c, AITER_INVALID_ARGUMENT,
                      "%s.threshold: is %g, expected 0 (for 0.005) or a share between 0 and 1",
                      c.op, threshold);
    if (c.status != AITER_OK) return c.status;
    const int64_t padding = (tile - args->seqlen % tile) % tile;
    if (padding > INT64_MAX - args->seqlen)
        aiteri_reject(&c, AITER_INVALID_ARGUMENT,
                      "%s.seqlen: is %lld, which padded to tiles of %lld exceeds 2^63 - 1", c.op,
                      (long long)args->seqlen, (long long)tile);
    if (c.status != AITER_OK) return c.status;
    const double share = aiteri_rounded_f64(aiteri_rounded_f64((double)padding) /
                                            aiteri_rounded_f64((double)(args->seqlen + padding)));
    if (ratio) *ratio = share;
    const int is_safe = args->mask == AITER_MASK_CAUSAL || share <= threshold;
    if (safe) *safe = is_safe;
    if (!is_safe) /* a verdict, no failure: the words for it */
        aiteri_fail(NULL, AITER_OK,
                    "%s: %.3g %% of %lld keys would be padding, above the limit of %.3g %%; mask = "
                    "AITER_MASK_CAUSAL, a seqlen that is a multiple of %lld, or an attention that "
                    "masks its tail (every op here) avoids it",
                    c.op, 100.0 * share, (long long)(args->seqlen + padding), 100.0 * threshold,
                    (long long)tile);
    return AITER_OK;
}

#endif /* AITERI_PADDING_GUARD_C */

// >>left_out    (src/ops/left_out.c)
/* left_out.c -- the calls of the ops whose family was left out: declared and linkable, and all they
 * do is to say so. */
#ifndef AITERI_OPS_LEFT_OUT_C
#define AITERI_OPS_LEFT_OUT_C


AITERI_UNUSED static aiter_status aiteri_left_out(const char *op, const char *family,
                                                  aiter_context *ctx)
{
    aiteri_context_begin(ctx);
    if (AITERI_ONLY)
        return aiteri_fail(ctx, AITER_UNSUPPORTED,
                           "%s: compiled out by the AITER_ATTN_ONLY_ macros, of which none is "
                           "AITER_ATTN_ONLY_%s",
                           op, family);
    return aiteri_fail(ctx, AITER_UNSUPPORTED, "%s: compiled out by AITER_ATTN_NO_%s", op, family);
}

AITERI_UNUSED static aiter_status aiteri_left_out_explain(const char *op, const char *family,
                                                          aiter_context *ctx, char *text,
                                                          size_t bytes)
{
    aiteri_text t;
    return aiteri_explain_begin(op, ctx, aiteri_left_out(op, family, ctx), 0, text, bytes, &t);
}

#define AITERI_LEFT_OUT_NO_PLAN(op, family)
#define AITERI_LEFT_OUT_HAS_PLAN(op, family)                                            \
    AITER_ATTN_API aiter_status aiter_##op##_plan(const aiter_##op##_args *args,        \
                                                  aiter_context *ctx, aiter_plan *plan) \
    {                                                                                   \
        (void)args;                                                                     \
        (void)plan;                                                                     \
        return aiteri_left_out("aiter_" #op, family, ctx);                              \
    }
#define AITERI_LEFT_OUT_1(op, family, planned) /* it is there */
#define AITERI_LEFT_OUT_0(op, family, planned)                                                     \
    AITER_ATTN_API aiter_status aiter_##op(const aiter_##op##_args *args, aiter_context *ctx)      \
    {                                                                                              \
        (void)args;                                                                                \
        return aiteri_left_out("aiter_" #op, family, ctx);                                         \
    }                                                                                              \
    AITER_ATTN_API aiter_status aiter_##op##_workspace(const aiter_##op##_args *args,              \
                                                       aiter_context *ctx, size_t *bytes)          \
    {                                                                                              \
        (void)args;                                                                                \
        (void)bytes;                                                                               \
        return aiteri_left_out("aiter_" #op, family, ctx);                                         \
    }                                                                                              \
    AITER_ATTN_API aiter_status aiter_##op##_supported(const aiter_##op##_args *args,              \
                                                       aiter_context *ctx)                         \
    {                                                                                              \
        (void)args;                                                                                \
        return aiteri_left_out("aiter_" #op, family, ctx);                                         \
    }                                                                                              \
    AITER_ATTN_API aiter_status aiter_##op##_explain(const aiter_##op##_args *args,                \
                                                     aiter_context *ctx, char *text, size_t bytes) \
    {                                                                                              \
        (void)args;                                                                                \
        return aiteri_left_out_explain("aiter_" #op, family, ctx, text, bytes);                    \
    }                                                                                              \
    planned(op, family)
#define AITERI_LEFT_OUT_IF(has)     AITERI_LEFT_OUT_PASTED(has)
#define AITERI_LEFT_OUT_PASTED(has) AITERI_LEFT_OUT_##has
#define AITERI_LEFT_OUT_ROW(op, family, plan) \
    AITERI_LEFT_OUT_IF(AITERI_HAS_##family)(op, #family, AITERI_LEFT_OUT_##plan)
AITER_OP_LIST(AITERI_LEFT_OUT_ROW)

#endif /* AITERI_OPS_LEFT_OUT_C */
#ifdef AITER_ATTN_SELFTEST

// >>selftest_cases    (src/ops/selftest_cases.c)
/* selftest_cases.c -- the cases of aiter_selftest: small calls of every op, inputs from a counter,
 * options from the number of the case. */
#ifndef AITERI_SELFTEST_CASES_C
#define AITERI_SELFTEST_CASES_C


enum {
    AITERI_SELFTEST_BYTES = 1 << 21, /* all tensors of a case */
    AITERI_SELFTEST_MARK = 0x5c,     /* in outputs, before */
    AITERI_SELFTEST_OUTPUTS = 8,
    AITERI_SELFTEST_BATCH = 3,
    AITERI_SELFTEST_PAGE = 8
};

/* What a call writes. */
typedef struct aiteri_selftest_output {
    const char *name;
    size_t at;
    aiter_dtype dtype;
    int64_t count;
    int exact; /* the same bits in every set */
} aiteri_selftest_output;

/* One case under construction: its tensors lie at the same places of `host` and of `base`, the
 * memory that the call gets. */
typedef struct aiteri_selftest {
    char *host, *expected, *base;
    size_t used;
    aiteri_selftest_output output[AITERI_SELFTEST_OUTPUTS];
    int32_t outputs;
    uint64_t counter; /* of inputs */
    uint64_t number;  /* of the case: its digits are the options */
    double work;      /* multiply-adds of the last case, about */
    int loose;        /* 16-bit weights */
    char words[96];
} aiteri_selftest;

static uint64_t aiteri_selftest_mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* One of n, by the number of the case and the name of the choice. */
static int32_t aiteri_selftest_pick(const aiteri_selftest *s, uint64_t choice, int32_t n)
{
    return (int32_t)(aiteri_selftest_mix(s->number * 64 + choice) >> 33) % n;
}

static aiter_tensor aiteri_selftest_place(aiteri_selftest *s, aiter_dtype dtype, int32_t ndim,
                                          const int64_t *shape)
{
    int64_t count = 1;
    for (int32_t i = 0; i < ndim; i++) count *= shape[i];
    aiter_tensor t =
        aiteri_tensor_make(s->base + s->used, dtype, ndim, shape[0], ndim > 1 ? shape[1] : 0,
                           ndim > 2 ? shape[2] : 0, ndim > 3 ? shape[3] : 0, 0);
    s->used += aiteri_pad_size((size_t)(count * aiter_dtype_bits(dtype) + 7) / 8, AITERI_LINE);
    AITERI_ASSERT(s->used <= AITERI_SELFTEST_BYTES);
    return t;
}

/* Numbers of (-size, size), of [0, size) with `positive`. */
static aiter_tensor aiteri_selftest_input(aiteri_selftest *s, aiter_dtype dtype, int32_t ndim,
                                          const int64_t *shape, float size, int positive)
{
    char *at = s->host + s->used;
    const aiter_tensor t = aiteri_selftest_place(s, dtype, ndim, shape);
    int64_t count = 1;
    for (int32_t i = 0; i < ndim; i++) count *= shape[i];
    for (int64_t i = 0; i < count; i++) {
        const int32_t x = (int32_t)(aiteri_selftest_mix(s->counter++) >> 40 & 0xffff);
        const float unit = (float)(positive ? x + 1 : 2 * x - 0xffff) * (1.0f / 0x10000);
        aiter_store_element(dtype, at, i, unit * size);
    }
    return t;
}

static aiter_tensor aiteri_selftest_ints(aiteri_selftest *s, int32_t ndim, const int64_t *shape,
                                         const int32_t *values)
{
    char *at = s->host + s->used;
    const aiter_tensor t = aiteri_selftest_place(s, AITER_I32, ndim, shape);
    memcpy(at, values, (size_t)(shape[0] * (ndim > 1 ? shape[1] : 1)) * sizeof *values);
    return t;
}

static aiter_tensor aiteri_selftest_output_of(aiteri_selftest *s, const char *name,
                                              aiter_dtype dtype, int32_t ndim, const int64_t *shape,
                                              int exact)
{
    const aiteri_selftest_output o = {name, s->used, dtype, 1, exact};
    const aiter_tensor t = aiteri_selftest_place(s, dtype, ndim, shape);
    AITERI_ASSERT(s->outputs < AITERI_SELFTEST_OUTPUTS);
    s->output[s->outputs] = o;
    for (int32_t i = 0; i < ndim; i++) s->output[s->outputs].count *= shape[i];
    s->outputs++;
    memset(s->host + o.at, AITERI_SELFTEST_MARK, s->used - o.at);
    return t;
}

static aiter_dtype aiteri_selftest_float(const aiteri_selftest *s, uint64_t choice)
{
    return (aiter_dtype)(AITER_F32 + aiteri_selftest_pick(s, choice, 3));
}

/* ---- the attentions ---- */

enum {
    AITERI_SELFTEST_DENSE,
    AITERI_SELFTEST_PACKED,
    AITERI_SELFTEST_PAGED,
    AITERI_SELFTEST_LISTS
};

/* The shapes of a case. */
typedef struct aiteri_selftest_shape {
    int32_t form, decodes, sq, sk, hq, hk, dq, dv;
    int32_t len_q[AITERI_SELFTEST_BATCH], len_k[AITERI_SELFTEST_BATCH];
} aiteri_selftest_shape;

static aiteri_selftest_shape aiteri_selftest_shape_of(aiteri_selftest *s, int32_t decodes)
{
    static const int32_t rows[] = {1, 19, 2, 33}, keys[] = {37, 140, 1, 90};
    static const int32_t dims[] = {64, 16, 33, 24}, groups[] = {1, 4, 3};
    aiteri_selftest_shape n;
    memset(&n, 0, sizeof n);
    n.decodes = decodes;
    n.form = decodes ? AITERI_SELFTEST_PAGED + aiteri_selftest_pick(s, 0, 2)
                     : aiteri_selftest_pick(s, 0, 4);
    n.sq = decodes ? 1 + aiteri_selftest_pick(s, 1, 2) : rows[aiteri_selftest_pick(s, 1, 4)];
    n.sk = keys[aiteri_selftest_pick(s, 2, 4)];
    n.hk = 1 + aiteri_selftest_pick(s, 3, 2);
    n.hq = n.hk * groups[aiteri_selftest_pick(s, 4, 3)];
    n.dq = dims[aiteri_selftest_pick(s, 5, 4)];
    n.dv = aiteri_selftest_pick(s, 6, 3) ? n.dq : dims[aiteri_selftest_pick(s, 7, 4)];
    for (int32_t b = 0; b < AITERI_SELFTEST_BATCH; b++) {
        n.len_q[b] = b == 1 && !decodes ? n.sq / 2 : n.sq;
        n.len_k[b] = b == 2 ? (n.sk + 1) / 2 : n.sk;
    }
    s->work = 2.0 * AITERI_SELFTEST_BATCH * n.hq * n.sq * n.sk * (n.dq + n.dv);
    return n;
}

/* K or V of every type; of int8 with its scales. */
static void aiteri_selftest_keys(aiteri_selftest *s, const aiteri_selftest_shape *n, int value,
                                 aiter_tensor *t, aiter_tensor *scale)
{
    static const aiter_dtype types[] = {AITER_F32,       AITER_F16,         AITER_BF16,   AITER_I8,
                                        AITER_F8_E4M3FN, AITER_F8_E4M3FNUZ, AITER_F8_E5M2};
    const int32_t pages = (n->sk + AITERI_SELFTEST_PAGE - 1) / AITERI_SELFTEST_PAGE;
    const aiter_dtype type = types[aiteri_selftest_pick(s, 8, 7)]; /* one for both: devices */
    const int64_t paged[] = {AITERI_SELFTEST_BATCH * pages, AITERI_SELFTEST_PAGE, n->hk,
                             value ? n->dv : n->dq};
    const int64_t dense[] = {AITERI_SELFTEST_BATCH, n->sk, n->hk, paged[3]};
    const int64_t packed[] = {AITERI_SELFTEST_BATCH * n->sk, n->hk, paged[3]};
    const int64_t *shape = n->form >= AITERI_SELFTEST_PAGED    ? paged
                           : n->form == AITERI_SELFTEST_PACKED ? packed
                                                               : dense;
    const int32_t ndim = n->form == AITERI_SELFTEST_PACKED ? 3 : 4;
    const int scaled = type == AITER_I8;
    *t = aiteri_selftest_input(s, type, ndim, shape, scaled ? 127.0f : 1.0f, 0);
    if (!scaled) return;
    const int64_t one[] = {1};
    const int32_t kind = aiteri_selftest_pick(s, 9, 3);
    *scale = kind == 0   ? aiteri_selftest_input(s, AITER_F32, 1, one, 0.01f, 1)
             : kind == 1 ? aiteri_selftest_input(s, AITER_F32, 1, shape + ndim - 2, 0.01f, 1)
                         : aiteri_selftest_input(s, AITER_F32, ndim - 1, shape, 0.01f, 1);
}

/* Lengths, tables and lists. Packed rows have a gap behind each shorter sequence. */
static void aiteri_selftest_lengths(aiteri_selftest *s, const aiteri_selftest_shape *n,
                                    aiter_attention_args *a)
{
    enum { B = AITERI_SELFTEST_BATCH };
    const int64_t batch[] = {B}, ends[] = {B + 1};
    const int32_t pages = (n->sk + AITERI_SELFTEST_PAGE - 1) / AITERI_SELFTEST_PAGE;
    const int64_t table[] = {B, pages}, all[] = {(int64_t)B * pages};
    int32_t cu_q[B + 1], cu_k[B + 1], indptr[B + 1], ids[B * 64];
    for (int32_t b = 0; b <= B; b++)
        cu_q[b] = b * n->sq, cu_k[b] = b * n->sk, indptr[b] = b * pages;
    for (int32_t i = 0; i < B * pages; i++) ids[i] = (i * 7 + 3) % (B * pages);
    if (B * pages % 7 == 0)
        for (int32_t i = 0; i < B * pages; i++) ids[i] = B * pages - 1 - i;
    if (n->form == AITERI_SELFTEST_PACKED)
        a->kv.cu_seqlens = aiteri_selftest_ints(s, 1, ends, cu_k);
    if (n->form == AITERI_SELFTEST_PACKED || (n->form == AITERI_SELFTEST_PAGED && !n->decodes))
        a->cu_seqlens_q = aiteri_selftest_ints(s, 1, ends, cu_q);
    if (!n->decodes) a->seqused_q = aiteri_selftest_ints(s, 1, batch, n->len_q);
    a->kv.seq_lens = aiteri_selftest_ints(s, 1, batch, n->len_k);
    if (n->form == AITERI_SELFTEST_PAGED)
        a->kv.block_table = aiteri_selftest_ints(s, 2, table, ids);
    a->kv.max_seqlen = n->sk; /* a bias has so many keys, pages may hold more */
    if (n->form != AITERI_SELFTEST_LISTS) return;
    a->kv.indptr = aiteri_selftest_ints(s, 1, ends, indptr);
    a->kv.indices = aiteri_selftest_ints(s, 1, all, ids);
}

static void aiteri_selftest_score(aiteri_selftest *s, const aiteri_selftest_shape *n, int packed,
                                  aiter_score *score)
{
    const int64_t heads[] = {n->hq}, one[] = {1};
    const int64_t rows = packed ? (int64_t)AITERI_SELFTEST_BATCH * n->sq : n->sq;
    const int64_t pairs[] = {rows, n->sk};
    score->mask = (aiter_mask)(AITER_MASK_NONE + aiteri_selftest_pick(s, 10, AITER_MASK_COUNT - 1));
    if (score->mask == AITER_MASK_WINDOW) score->window_left = 11, score->window_right = 2;
    if (aiteri_selftest_pick(s, 11, 4) == 0) score->softcap = 1.5f;
    if (aiteri_selftest_pick(s, 12, 4) == 0) score->sink_tokens = 3;
    if (aiteri_selftest_pick(s, 13, 4) == 0)
        score->alibi_slopes = aiteri_selftest_input(s, AITER_F32, 1, heads, 0.2f, 1);
    if (aiteri_selftest_pick(s, 14, 4) == 0)
        score->sinks = aiteri_selftest_input(s, AITER_F32, 1, heads, 1.0f, 0);
    if (aiteri_selftest_pick(s, 15, 4) == 0)
        score->bias = aiteri_selftest_input(s, aiteri_selftest_float(s, 16), 2, pairs, 1.0f, 0);
    if (aiteri_selftest_pick(s, 17, 8) == 0)
        score->q_scale = aiteri_selftest_input(s, AITER_F32, 1, one, 1.0f, 1);
}

static void aiteri_selftest_attention(aiteri_selftest *s, aiter_attention_args *a, int32_t decodes)
{
    const aiteri_selftest_shape n = aiteri_selftest_shape_of(s, decodes);
    const int packed =
        n.form == AITERI_SELFTEST_PACKED || (n.form == AITERI_SELFTEST_PAGED && !decodes);
    const int64_t total = (int64_t)AITERI_SELFTEST_BATCH * n.sq;
    const int64_t q[] = {AITERI_SELFTEST_BATCH, n.sq, n.hq, n.dq}, q3[] = {total, n.hq, n.dq};
    const int64_t o[] = {q[0], q[1], q[2], n.dv}, o3[] = {total, n.hq, n.dv};
    const int64_t l[] = {q[0], n.hq, n.sq}, l2[] = {n.hq, total};
    const int32_t ndim = packed ? 3 : 4;
    static const char *const forms[] = {"dense", "packed", "paged", "lists of pages"};
    a->q = aiteri_selftest_input(s, aiteri_selftest_float(s, 18), ndim, packed ? q3 : q, 1.0f, 0);
    aiteri_selftest_keys(s, &n, 0, &a->kv.k, &a->kv.k_scale);
    const size_t v_at = s->used;
    aiteri_selftest_keys(s, &n, 1, &a->kv.v, &a->kv.v_scale);
    aiteri_selftest_lengths(s, &n, a);
    aiteri_selftest_score(s, &n, packed, &a->score);
    if (a->score.mask == AITER_MASK_CAUSAL && n.form < AITERI_SELFTEST_PAGED && n.sq > 2)
        aiter_store_element(a->kv.v.dtype, s->host + v_at, (int64_t)(n.sk - 1) * n.hk * n.dv,
                            aiteri_f32_of_bits(0x7fc00000u)); /* that one row alone sees */
    a->out =
        aiteri_selftest_output_of(s, "out", aiteri_selftest_float(s, 19), ndim, packed ? o3 : o, 0);
    if (aiteri_selftest_pick(s, 20, 3))
        a->lse = aiteri_selftest_output_of(s, "lse", AITER_F32, ndim - 1, packed ? l2 : l, 0);
    a->num_splits = aiteri_selftest_pick(s, 21, 3);
    snprintf(s->words, sizeof s->words, "%s, %d x %d, heads %d/%d, D %d/%d, q %s, k %s",
             forms[n.form], (int)n.sq, (int)n.sk, (int)n.hq, (int)n.hk, (int)n.dq, (int)n.dv,
             aiter_dtype_name(a->q.dtype), aiter_dtype_name(a->kv.k.dtype));
}

/* Of the short forms, which take the same: dense, one kv head; packed. */
static void aiteri_selftest_rows(aiteri_selftest *s, aiter_attention_args *a, int packed)
{
    enum { B = AITERI_SELFTEST_BATCH, ROWS = 5, KEYS = 50, HEADS = 3, DIM = 20 };
    const int32_t ends_q[] = {0, 2, 2, ROWS * B}, ends_k[] = {0, 40, 60, KEYS * B};
    const int64_t q[] = {B, ROWS, HEADS, DIM}, q3[] = {B * ROWS, HEADS, DIM};
    const int64_t k[] = {B, KEYS, 1, DIM}, k3[] = {B * KEYS, 1, DIM}, ends[] = {B + 1};
    const aiter_dtype type = aiteri_selftest_float(s, 0);
    a->q = aiteri_selftest_input(s, type, packed ? 3 : 4, packed ? q3 : q, 1.0f, 0);
    a->kv.k = aiteri_selftest_input(s, type, packed ? 3 : 4, packed ? k3 : k, 1.0f, 0);
    a->kv.v = aiteri_selftest_input(s, type, packed ? 3 : 4, packed ? k3 : k, 1.0f, 0);
    a->out = aiteri_selftest_output_of(s, "out", type, packed ? 3 : 4, packed ? q3 : q, 0);
    if (packed) a->cu_seqlens_q = aiteri_selftest_ints(s, 1, ends, ends_q);
    if (packed) a->kv.cu_seqlens = aiteri_selftest_ints(s, 1, ends, ends_k);
    a->score.mask = aiteri_selftest_pick(s, 1, 2) ? AITER_MASK_CAUSAL : AITER_MASK_NONE;
    s->work = 4.0 * B * ROWS * KEYS * HEADS * DIM;
    snprintf(s->words, sizeof s->words, "%s", aiter_dtype_name(type));
}

/* One token in transposed layouts. */
static void aiteri_selftest_token(aiteri_selftest *s, aiter_attention_args *a, int grouped)
{
    enum { HEADS = 6, GROUPS = 2, KEYS = 70, DIM = 24 };
    const int64_t q[] = {DIM, grouped ? HEADS : 1}, o[] = {grouped ? HEADS : 1, DIM};
    const int64_t k[] = {GROUPS, DIM, KEYS};
    const aiter_dtype type = aiteri_selftest_float(s, 0);
    a->q = aiteri_selftest_input(s, type, 2, q, 1.0f, 0);
    a->kv.k = aiteri_selftest_input(s, type, grouped ? 3 : 2, grouped ? k : k + 1, 1.0f, 0);
    a->kv.v = aiteri_selftest_input(s, type, grouped ? 3 : 2, grouped ? k : k + 1, 1.0f, 0);
    a->out = aiteri_selftest_output_of(s, "out", type, 2, o, 0);
    s->work = 4.0 * HEADS * KEYS * DIM;
    snprintf(s->words, sizeof s->words, "%s", aiter_dtype_name(type));
}

/* ---- the others: the same bits in every set, but for the merge ---- */

static void aiteri_selftest_cache(aiteri_selftest *s, aiter_reshape_and_cache_args *a)
{
    enum { TOKENS = 11, HEADS = 2, BLOCKS = 4, PAGE = 5 };
    static const int32_t slots[TOKENS] = {3, 19, -1, 7, 8, 0, 11, 12, 5, 18, 2};
    static const aiter_dtype types[] = {AITER_F32,       AITER_F16,         AITER_BF16,   AITER_I8,
                                        AITER_F8_E4M3FN, AITER_F8_E4M3FNUZ, AITER_F8_E5M2};
    const int32_t dim = aiteri_selftest_pick(s, 0, 2) ? 37 : 64;
    const int64_t rows[] = {TOKENS, HEADS, dim}, cache[] = {BLOCKS, PAGE, HEADS, dim};
    const int64_t one[] = {1}, tokens[] = {TOKENS};
    const aiter_dtype from = aiteri_selftest_float(s, 1), to = types[aiteri_selftest_pick(s, 2, 7)];
    const int quantises = to == AITER_I8 || (to > AITER_BF16 && aiteri_selftest_pick(s, 3, 2));
    a->k = aiteri_selftest_input(s, from, 3, rows, 3.0f, 0);
    a->v = aiteri_selftest_input(s, from, 3, rows, 0.5f, 0);
    a->slot_mapping = aiteri_selftest_ints(s, 1, tokens, slots);
    a->kv.k = aiteri_selftest_output_of(s, "kv.k", to, 4, cache, 1);
    a->kv.v = aiteri_selftest_output_of(s, "kv.v", to, 4, cache, 1);
    if (quantises) a->quantisation.to = to;
    a->quantisation.scale_given = quantises && aiteri_selftest_pick(s, 4, 2);
    for (int i = 0; i < 2 && quantises; i++) {
        aiter_tensor *scale = i ? &a->kv.v_scale : &a->kv.k_scale;
        if (a->quantisation.scale_given)
            *scale = aiteri_selftest_input(s, AITER_F32, 1, one, 0.05f, 1);
        else
            *scale = aiteri_selftest_output_of(s, i ? "kv.v_scale" : "kv.k_scale", AITER_F32, 3,
                                               cache, 1);
    }
    snprintf(s->words, sizeof s->words, "%s to %s", aiter_dtype_name(from), aiter_dtype_name(to));
}

static void aiteri_selftest_merge(aiteri_selftest *s, aiter_merge_attn_states_args *a)
{
    enum { TOKENS = 9, HEADS = 3 };
    const int64_t rows[] = {TOKENS, HEADS, aiteri_selftest_pick(s, 0, 2) ? 35 : 64};
    const int64_t lse[] = {HEADS, TOKENS};
    const aiter_dtype type = aiteri_selftest_float(s, 1);
    a->out_a = aiteri_selftest_input(s, type, 3, rows, 1.0f, 0);
    a->out_b = aiteri_selftest_input(s, type, 3, rows, 1.0f, 0);
    a->lse_a = aiteri_selftest_input(s, AITER_F32, 2, lse, 4.0f, 0);
    a->lse_b = aiteri_selftest_input(s, AITER_F32, 2, lse, 4.0f, 0);
    a->out = aiteri_selftest_output_of(s, "out", type, 3, rows, 0);
    a->lse = aiteri_selftest_output_of(s, "lse", AITER_F32, 2, lse, 0);
    snprintf(s->words, sizeof s->words, "%s", aiter_dtype_name(type));
}

static void aiteri_selftest_rope(aiteri_selftest *s, aiter_rope_fwd_args *a)
{
    enum { TOKENS = 9, HEADS = 3, PAIRS = 12 };
    const int64_t rows[] = {TOKENS, HEADS, aiteri_selftest_pick(s, 0, 2) ? 2 * PAIRS : 40};
    const int64_t table[] = {TOKENS, PAIRS};
    const aiter_dtype type = aiteri_selftest_float(s, 1);
    a->x = aiteri_selftest_input(s, type, 3, rows, 2.0f, 0);
    a->rope.cos = aiteri_selftest_input(s, aiteri_selftest_float(s, 2), 2, table, 1.0f, 0);
    a->rope.sin = aiteri_selftest_input(s, AITER_F32, 2, table, 1.0f, 0);
    a->rope.pairing = aiteri_selftest_pick(s, 3, 2) ? AITER_ROPE_GPTJ : AITER_ROPE_NEOX;
    a->rope.nope_first = aiteri_selftest_pick(s, 4, 2);
    a->y = aiteri_selftest_output_of(s, "y", type, 3, rows, 1);
    snprintf(s->words, sizeof s->words, "%s", aiter_dtype_name(type));
}

static void aiteri_selftest_quant(aiteri_selftest *s, aiter_quantize_args *a, int encodes)
{
    static const aiter_dtype codes[] = {AITER_F8_E4M3FN, AITER_F8_E4M3FNUZ, AITER_F8_E5M2,
                                        AITER_I8,        AITER_I4,          AITER_F4_E2M1};
    const aiter_dtype type = codes[aiteri_selftest_pick(s, 0, 6)],
                      real = aiteri_selftest_float(s, 1);
    const int integers = type == AITER_I8 || type == AITER_I4;
    const aiter_dtype of_scale =
        !integers && aiteri_selftest_pick(s, 2, 2) ? AITER_F8_E8M0 : AITER_F32;
    const int64_t rows[] = {7, 64}, scale[] = {7, 2};
    if (encodes) {
        a->x = aiteri_selftest_input(s, real, 2, rows, 3.0f, 0);
        a->y = aiteri_selftest_output_of(s, "y", type, 2, rows, 1);
        a->scale = aiteri_selftest_output_of(s, "scale", of_scale, 2, scale, 1);
    } else {
        a->x = aiteri_selftest_input(s, type, 2, rows, integers ? 7.0f : 6.0f, 0);
        a->scale = aiteri_selftest_input(s, of_scale, 2, scale, 2.0f, 1);
        a->y = aiteri_selftest_output_of(s, "y", real, 2, rows, 1);
    }
    a->quantisation.group = 32;
    snprintf(s->words, sizeof s->words, "%s, scales %s", aiter_dtype_name(type),
             aiter_dtype_name(of_scale));
}

static void aiteri_selftest_swap(aiteri_selftest *s, aiter_swap_blocks_args *a)
{
    static const int32_t pairs[] = {2, 0, 4, 3, 2, 1};
    const int64_t shape[] = {5, 3, 2, 20}, n[] = {3, 2};
    a->src = aiteri_selftest_input(s, AITER_F16, 4, shape, 1.0f, 0);
    a->mapping = aiteri_selftest_ints(s, 2, n, pairs);
    a->dst = aiteri_selftest_output_of(s, "dst", AITER_F16, 4, shape, 1);
    snprintf(s->words, sizeof s->words, "f16");
}

static void aiteri_selftest_copy(aiteri_selftest *s, aiter_copy_blocks_args *a,
                                 aiter_tensor cache[2])
{
    static const int32_t pairs[] = {2, 0, 4, 3, 2, 1};
    const int64_t shape[] = {5, 3, 2, 20}, n[] = {3, 2};
    a->mapping = aiteri_selftest_ints(s, 2, n, pairs);
    for (int i = 0; i < 2; i++) {
        const size_t at = s->used;
        cache[i] = aiteri_selftest_output_of(s, "caches", AITER_I8, 4, shape, 1);
        for (int64_t j = 0; j < 600; j++) s->host[at + (size_t)j] = (char)(j / 5 + i);
    }
    a->caches = cache;
    a->num_caches = 2;
    snprintf(s->words, sizeof s->words, "i8");
}

#endif /* AITERI_SELFTEST_CASES_C */

// >>selftest    (src/ops/selftest.c)
/* selftest.c -- aiter_selftest: every op on every kernel set of this machine, and on the context's
 * device, against the scalar set. */
#ifndef AITERI_SELFTEST_C
#define AITERI_SELFTEST_C


/* ---- one case ---- */

/* Any op with its arguments. */
typedef union aiteri_selftest_args {
#define AITERI_SELFTEST_MEMBER(op, family, plan) aiter_##op##_args op;
    AITER_OP_LIST(AITERI_SELFTEST_MEMBER)
#undef AITERI_SELFTEST_MEMBER
} aiteri_selftest_args;

typedef enum aiteri_selftest_op {
#define AITERI_SELFTEST_OP(op, family, plan) AITERI_SELFTEST_##op,
    AITER_OP_LIST(AITERI_SELFTEST_OP) AITERI_SELFTEST_OPS
#undef AITERI_SELFTEST_OP
} aiteri_selftest_op;

/* Builds case `number` of an op for memory at `base`, and calls it there. */
static aiter_status aiteri_selftest_call(aiteri_selftest *s, int op, uint64_t number, char *base,
                                         aiter_context *ctx)
{
    aiteri_selftest_args a;
    aiter_tensor cache[2];
    memset(&a, 0, sizeof a);
    s->base = base;
    s->used = 0;
    s->outputs = 0;
    s->number = number * AITERI_SELFTEST_OPS + (uint64_t)op;
    s->counter = s->number << 32;
    s->work = 1e5;
    switch (op) {
    case AITERI_SELFTEST_flash_attn_fwd: aiteri_selftest_attention(s, &a.flash_attn_fwd, 0); break;
    case AITERI_SELFTEST_paged_attn_decode:
        aiteri_selftest_attention(s, &a.paged_attn_decode, 1);
        break;
    case AITERI_SELFTEST_grouped_query_attention:
    case AITERI_SELFTEST_multi_query_attention:
        aiteri_selftest_rows(s, &a.flash_attn_fwd, 0);
        break;
    case AITERI_SELFTEST_variable_length_attention:
        aiteri_selftest_rows(s, &a.flash_attn_fwd, 1);
        break;
    case AITERI_SELFTEST_decode_attention: aiteri_selftest_token(s, &a.decode_attention, 0); break;
    case AITERI_SELFTEST_decode_attention_gqa:
        aiteri_selftest_token(s, &a.decode_attention_gqa, 1);
        break;
    case AITERI_SELFTEST_reshape_and_cache: aiteri_selftest_cache(s, &a.reshape_and_cache); break;
    case AITERI_SELFTEST_swap_blocks: aiteri_selftest_swap(s, &a.swap_blocks); break;
    case AITERI_SELFTEST_copy_blocks: aiteri_selftest_copy(s, &a.copy_blocks, cache); break;
    case AITERI_SELFTEST_merge_attn_states: aiteri_selftest_merge(s, &a.merge_attn_states); break;
    case AITERI_SELFTEST_rope_fwd: aiteri_selftest_rope(s, &a.rope_fwd); break;
    case AITERI_SELFTEST_quantize: aiteri_selftest_quant(s, &a.quantize, 1); break;
    default: aiteri_selftest_quant(s, &a.dequantize, 0); break;
    }
    if (base != s->host)
        AITERI_TRY(
            aiter_memory_copy(ctx, base, AITER_MEMORY_DEVICE, s->host, AITER_MEMORY_HOST, s->used));
    switch (op) {
#define AITERI_SELFTEST_RUN(op, family, plan) \
    case AITERI_SELFTEST_##op: AITERI_TRY(aiter_##op(&a.op, ctx)); break;
        AITER_OP_LIST(AITERI_SELFTEST_RUN)
#undef AITERI_SELFTEST_RUN
    default: break;
    }
    if (base == s->host) return AITER_OK;
    AITERI_TRY(
        aiter_memory_copy(ctx, s->host, AITER_MEMORY_HOST, base, AITER_MEMORY_DEVICE, s->used));
    return aiter_context_synchronize(ctx);
}

/* How far an element may be from the scalar set's. */
static float aiteri_selftest_bound(const aiteri_selftest *s, const aiteri_selftest_output *o,
                                   float expected)
{
    const float unit = o->dtype == AITER_F16    ? 0x1p-10f
                       : o->dtype == AITER_BF16 ? 0x1p-7f
                                                : 0x1p-17f;
    const float size = expected < 0 ? -expected : expected;
    return unit * (size > 1 ? size : 1) + (s->loose ? 0x1p-6f : 0);
}

static int aiteri_selftest_same(const aiteri_selftest *s, const aiteri_selftest_output *o,
                                int64_t i, float *got, float *expected)
{
    const char *a = s->host + o->at, *b = s->expected + o->at;
    *got = aiter_load_element(o->dtype, a, i);
    *expected = aiter_load_element(o->dtype, b, i);
    const int bits = aiter_dtype_bits(o->dtype);
    if (bits < 8 || memcmp(a + i * (bits / 8), b + i * (bits / 8), (size_t)bits / 8) == 0)
        return bits >= 8 || *got == *expected;
    if (o->exact) return 0;
    const uint32_t wide = aiteri_bits_of_f32(*got) << 1, want = aiteri_bits_of_f32(*expected) << 1;
    if (wide > 0xff000000u && want > 0xff000000u) return 1; /* NaN of whatever bits */
    if (wide >= 0xff000000u || want >= 0xff000000u) return wide == want;
    const float apart = *got < *expected ? *expected - *got : *got - *expected;
    return apart <= aiteri_selftest_bound(s, o, *expected);
}

/* The first element that is not the scalar set's. */
static aiter_status aiteri_selftest_compare(const aiteri_selftest *s, const char *op,
                                            const char *set, aiter_context *ctx)
{
    float got, expected;
    for (int32_t n = 0; n < s->outputs; n++)
        for (int64_t i = 0; i < s->output[n].count; i++)
            if (!aiteri_selftest_same(s, &s->output[n], i, &got, &expected))
                return aiteri_fail(ctx, AITER_DEVICE,
                                   "aiter_selftest: %s on %s (case %llu: %s): %s[%lld] is %.9g, "
                                   "expected %.9g",
                                   op, set, (unsigned long long)s->number, s->words,
                                   s->output[n].name, (long long)i, (double)got, (double)expected);
    return AITER_OK;
}

/* ---- the sets ---- */

enum { AITERI_SELFTEST_SETS = AITER_ISA_COUNT + 1 };

typedef struct aiteri_selftest_sets {
    aiter_context *scalar, *set[AITERI_SELFTEST_SETS];
    char *base[AITERI_SELFTEST_SETS]; /* memory of its calls; NULL: the host's */
    int32_t count;
} aiteri_selftest_sets;

/* One case on the scalar set, then on each other. What a device or a build has not is left out. */
static aiter_status aiteri_selftest_case(aiteri_selftest *s, const aiteri_selftest_sets *sets,
                                         int op, uint64_t number, aiter_context *ctx)
{
#define AITERI_SELFTEST_NAME(op, family, plan) "aiter_" #op,
    static const char *const names[] = {AITER_OP_LIST(AITERI_SELFTEST_NAME)};
#undef AITERI_SELFTEST_NAME
    s->loose = 0;
    const aiter_status there = aiteri_selftest_call(s, op, number, s->host, sets->scalar);
    if (there == AITER_UNSUPPORTED) return AITER_OK; /* its family was left out */
    if (there != AITER_OK) return aiteri_fail(ctx, there, "aiter_selftest: %s", s->words);
    memcpy(s->expected, s->host, s->used);
    for (int32_t i = 0; i < sets->count; i++) {
        aiter_context *set = sets->set[i];
        const aiter_context_details info = aiter_context_info(set);
        const int device = info.device != AITER_DEVICE_CPU;
        s->loose = device || info.isa == AITER_ISA_AVX512_BF16;
        const aiter_status status =
            aiteri_selftest_call(s, op, number, sets->base[i] ? sets->base[i] : s->host, set);
        if (device && (status == AITER_NO_KERNEL || status == AITER_UNSUPPORTED)) continue;
        if (status != AITER_OK) {
            char text[AITERI_ERROR_BYTES];
            memcpy(text, aiteri_error_text, sizeof text);
            return aiteri_fail(ctx, status, "aiter_selftest: on %s: %.200s", info.architecture,
                               text);
        }
        AITERI_TRY(aiteri_selftest_compare(s, names[op], info.architecture, ctx));
    }
    return AITER_OK;
}

/* All ops in turn until the scalar set has done `budget` multiply-adds; each at least once. */
static aiter_status aiteri_selftest_run(const aiteri_selftest_sets *sets, double budget,
                                        aiter_context *ctx)
{
    aiteri_selftest s;
    void *memory = NULL;
    double work = 0;
    memset(&s, 0, sizeof s);
    AITERI_TRY(aiter_memory_alloc(sets->scalar, AITER_MEMORY_HOST,
                                  2 * (size_t)AITERI_SELFTEST_BYTES + AITERI_LINE, &memory));
    s.host = (char *)aiteri_pad_size((size_t)memory, AITERI_LINE);
    s.expected = s.host + AITERI_SELFTEST_BYTES;
    aiter_status status = AITER_OK;
    for (uint64_t n = 0; status == AITER_OK && (n == 0 || work < budget); n++)
        for (int op = 0; status == AITER_OK && op < AITERI_SELFTEST_OPS; op++) {
            status = aiteri_selftest_case(&s, sets, op, n, ctx);
            work += s.work;
        }
    aiter_memory_free(sets->scalar, AITER_MEMORY_HOST, memory,
                      2 * (size_t)AITERI_SELFTEST_BYTES + AITERI_LINE);
    return status;
}

/* A context with the hooks of ctx under a cap; NULL where the machine has no such set. */
static aiter_status aiteri_selftest_set(const aiter_context *ctx, aiter_isa isa,
                                        aiter_context **set)
{
    aiter_context_desc d;
    *set = NULL;
    if (!aiteri_kernels_of(isa)) return AITER_OK; /* another architecture's */
    memset(&d, 0, sizeof d);
    if (ctx) d = ctx->desc;
    d.num_threads = ctx && d.device == AITER_DEVICE_CPU ? d.num_threads : 1;
    d.device = AITER_DEVICE_CPU;
    d.stream = NULL;
    d.arena_bytes = 0;
    d.log = NULL;
    d.isa_max = isa;
    const aiter_status status = aiter_context_create(&d, set);
    if (status != AITER_OK || aiter_context_info(*set).isa == isa) return status;
    aiter_context_destroy(*set);
    *set = NULL;
    return AITER_OK;
}

AITER_ATTN_API aiter_status aiter_selftest(aiter_context *ctx, double budget)
{
    aiteri_selftest_sets sets;
    aiter_status status = AITER_OK;
    memset(&sets, 0, sizeof sets);
    aiteri_context_begin(ctx);
    uint64_t bits; /* by them, so that no compiler flag can wave NaN through */
    memcpy(&bits, &budget, sizeof bits);
    if (bits << 1 != 0 && bits > UINT64_C(0x43abc16d674ec800)) /* 1e18 */
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT,
                           "aiter_selftest.budget: is %g, expected 0 or more multiply-adds",
                           budget);
    status = aiteri_selftest_set(ctx, AITER_ISA_SCALAR, &sets.scalar);
    for (int isa = AITER_ISA_SCALAR + 1; status == AITER_OK && isa < AITER_ISA_COUNT; isa++) {
        status = aiteri_selftest_set(ctx, (aiter_isa)isa, &sets.set[sets.count]);
        if (sets.set[sets.count]) sets.count++;
    }
    void *device = NULL;
    if (status == AITER_OK && aiteri_context_on_device(ctx)) {
        status = aiter_memory_alloc(ctx, AITER_MEMORY_DEVICE, AITERI_SELFTEST_BYTES, &device);
        sets.base[sets.count] = (char *)device;
        sets.set[sets.count++] = ctx;
    }
    if (status == AITER_OK) status = aiteri_selftest_run(&sets, budget > 0 ? budget : 4e8, ctx);
    if (device) {
        aiter_memory_free(ctx, AITER_MEMORY_DEVICE, device, AITERI_SELFTEST_BYTES);
        sets.count--;
    }
    for (int32_t i = 0; i < sets.count; i++) aiter_context_destroy(sets.set[i]);
    aiter_context_destroy(sets.scalar);
    return status;
}

#endif /* AITERI_SELFTEST_C */
#endif
AITERI_ONCE_A_CALL_END
AITERI_NUMERICS_END
#endif /* AITER_ATTN_IMPLEMENTED */
#endif /* AITER_ATTN_IMPLEMENTATION */
