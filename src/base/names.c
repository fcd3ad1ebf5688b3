/* names.c -- the public queries: names of enums, bits of dtypes, single elements, the version. */
#ifndef AITERI_NAMES_C
#define AITERI_NAMES_C

#include "dtype.c"

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

/* Bytes from the start of the data to an element offset; those of 4 bits are even by the checks. */
AITERI_FORCE_INLINE int64_t aiteri_bytes_of(aiter_dtype dtype, int64_t elements)
{
    return elements * aiter_dtype_bits(dtype) / 8;
}

#endif /* AITERI_NAMES_C */
