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
 * low nibble first, two's complement; its rows begin at whole bytes. The fp8 types: E4M3FN has no
 * infinity and a maximum of 448 (gfx950), E4M3FNUZ has one NaN and a maximum of 240 (gfx942), E5M2
 * is IEEE-like, 57344. F4_E2M1 packs as I4 does: a sign and one of 0, 0.5, 1, 1.5, 2, 3, 4, 6.
 * F8_E8M0 is a scale: 2^(byte - 127), 255 is NaN. The last two belong to aiter_quantize and
 * aiter_dequantize alone. */
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

/* The order of a cache in memory where it is not the index order, x being 16 bytes of elements in
 * AITER's and vLLM's caches; any x that divides the extent is taken:
 *   NHD       k and v [num_blocks, P, Hk, D], and whatever strides make of it: HND, both in one
 *             block, columns of tokens
 *   X_PACKED  k [num_blocks, Hk, Dq / x, P, x], v [num_blocks, Hk, Dv, P] (vLLM's PagedAttention)
 *   SHUFFLED  k the same, v [num_blocks, Hk, P / x, Dv, x] (AITER's asm kernels, vectorized) */
typedef enum aiter_kv_layout {
    AITER_KV_NHD = 0,
    AITER_KV_X_PACKED,
    AITER_KV_SHUFFLED,
    AITER_KV_LAYOUT_COUNT
} aiter_kv_layout;

/* How finely data is scaled, and the shape that its scales have then:
 *   PER_TENSOR      [1]
 *   PER_HEAD        [Hk]
 *   PER_TOKEN_HEAD  the data's without D
 *   PER_BLOCK_HEAD  [num_blocks, Hk], of pages
 *   PER_BATCH_HEAD  [B, Hk], of keys that are not pages
 *   PER_CHANNEL     [Hk, D]
 *   PER_GROUP       the data's with D / g for D: g columns of a row, a multiple of 16
 * BY_SHAPE: the first of these that the scales' number of dimensions allows, so that PER_CHANNEL,
 * and of packed keys PER_BATCH_HEAD, must be said. The last four are the names that AITER's guide
 * gives its methods for a cache. */
typedef enum aiter_scale_kind {
    AITER_SCALE_BY_SHAPE = 0,
    AITER_SCALE_PER_TENSOR,
    AITER_SCALE_PER_HEAD,
    AITER_SCALE_PER_TOKEN_HEAD,
    AITER_SCALE_PER_BLOCK_HEAD,
    AITER_SCALE_PER_BATCH_HEAD,
    AITER_SCALE_PER_CHANNEL,
    AITER_SCALE_PER_GROUP,
    AITER_SCALE_COUNT,
    AITER_KV_8BIT_PER_TENSOR = AITER_SCALE_PER_TENSOR,
    AITER_KV_8BIT_PER_HEAD = AITER_SCALE_PER_HEAD,
    AITER_KV_8BIT_PER_TOKEN = AITER_SCALE_PER_TOKEN_HEAD,
    AITER_KV_4BIT_PER_TOKEN = AITER_SCALE_PER_TOKEN_HEAD
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
