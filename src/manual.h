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
      extents, strides in elements; strides all 0 mean compact. Most layouts are a matter of
   strides.
    * Every call returns aiter_status. aiter_last_error() names op, field, what it got and what it
      expected. Arguments are checked in release builds too; a call that fails has written nothing.
    * Nothing is printed, nothing aborts. A NULL context works on the calling thread with malloc'd
      scratch; an aiter_context brings threads (its own small pool, or yours through parallel_for)
      and memory that is kept; call.workspace takes yours.
    * Inputs may be f32, f16 or bf16, keys and values fp8, int8, int4 too; arithmetic is f32. A row
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
    To read the code start at src/spine.h. Not in this version: backward, MLA,
    sparse attention; see CHANGELOG.md.
*/
