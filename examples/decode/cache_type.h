/* cache_type.h -- what the cache stores, by the names of the command line. */
#ifndef DECODE_CACHE_TYPE_H
#define DECODE_CACHE_TYPE_H

enum cache_type {
    CACHE_F16,
    CACHE_F32,
    CACHE_BF16,
    CACHE_INT8,
    CACHE_FP8,
    CACHE_INT4,
    CACHE_TYPES
};

static inline const char *cache_type_name(int type)
{
    static const char *const names[CACHE_TYPES] = {"f16", "f32", "bf16", "int8", "fp8", "int4"};
    return names[type];
}

/* Whether each token and head has a scale. */
static inline int cache_type_is_scaled(int type) { return type >= CACHE_INT8; }

#endif /* DECODE_CACHE_TYPE_H */
