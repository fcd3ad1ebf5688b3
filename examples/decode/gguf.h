/* gguf.h -- reader for GGUF v2 and v3 files: metadata by typed getters, tensors by name.
 *
 *   gguf_file f;
 *   char err[256];
 *   if (gguf_open(&f, path, err, sizeof err) != 0) { puts(err); return 1; }    maps the file
 *   if (gguf_parse(&f, data, size, err, sizeof err) != 0) ...                  same, from memory
 *   gguf_close(&f);                                                            also after a failure
 *
 * Metadata. A getter returns GGUF_OK and writes *value, or leaves *value (a default) as it was:
 *
 *   uint32_t n = 0;                                    any integer type that can hold the value
 *   gguf_get_u32(&f, "llama.block_count", &n)          GGUF_OK, _MISSING, _WRONG_TYPE,
 * _OUT_OF_RANGE gguf_get_i32, gguf_get_f32 (float32, float64), gguf_get_bool (int), gguf_get_text
 * (gguf_text) gguf_get_array(&f, "tokenizer.ggml.scores", &a)    then a.count, a.type and, in O(1),
 *   gguf_array_f32(&a, i, &x), gguf_array_i64(&a, i, &v); texts have no index, so in order:
 *   gguf_text_place at = {0, 0};
 *   while (gguf_array_next_text(&a, &at, &t) == GGUF_OK) use(t.data, t.length);
 *   gguf_status_text(status)                           for messages; texts are not zero-terminated
 *
 * Tensors. const gguf_tensor *t = gguf_find_tensor(&f, "token_embd.weight");   NULL if absent
 *   t->type is a weight_type that weights.h reads; t->dims[0] is the contiguous one; t->data and
 *   t->bytes lie inside the file. Everything that a getter returns lives until gguf_close.
 *
 * The file is not trusted: every length is compared with the bytes left before it is used, and the
 * heap holds two sorted tables whose entries are smaller than 3 times their records in the file. A
 * mapped file that somebody else shortens while it is open ends the program (SIGBUS). */
#ifndef DECODE_GGUF_H
#define DECODE_GGUF_H

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if !defined(_WIN32)
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#include "weights.h"

#ifndef GGUF_MALLOC
#define GGUF_MALLOC(bytes) malloc(bytes)
#define GGUF_FREE(pointer) free(pointer)
#endif

enum gguf_status { GGUF_OK = 0, GGUF_MISSING, GGUF_WRONG_TYPE, GGUF_OUT_OF_RANGE };

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_TEXT,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPES
};

enum {
    GGUF_MAX_DIMS = 4,
    GGUF_MAX_KEY = 65535,
    GGUF_MAX_TENSOR_NAME = 64,
    GGUF_MAX_ALIGNMENT = 65536,
    GGUF_SMALLEST_PAIR = 8 + 1 + 4 + 1,
    GGUF_SMALLEST_TENSOR = 8 + 1 + 4 + 8 + 4 + 8
};

typedef struct gguf_text {
    const char *data;
    size_t length;
} gguf_text;

typedef struct gguf_array {
    uint32_t type; /* a gguf_type, never GGUF_ARRAY */
    uint64_t count;
    const uint8_t *data;
} gguf_array;

/* A place in an array of texts; all zero is the start. */
typedef struct gguf_text_place {
    uint64_t index;
    size_t bytes;
} gguf_text_place;

typedef struct gguf_tensor {
    gguf_text name;
    uint32_t type; /* a weight_type */
    uint32_t ndim;
    uint64_t dims[GGUF_MAX_DIMS]; /* 1 beyond ndim */
    uint64_t offset;              /* in the data section */
    const uint8_t *data;
    size_t bytes;
} gguf_tensor;

/* Where a key's record starts, and its value: the rest is read again when asked for. */
typedef struct gguf_pair {
    size_t key_at, value_at;
} gguf_pair;

typedef struct gguf_file {
    const uint8_t *data;
    size_t size;
    uint32_t version;
    uint32_t alignment;
    uint64_t pair_count, tensor_count;
    gguf_pair *pairs;     /* sorted by key */
    gguf_tensor *tensors; /* sorted by name */
    void *mapping;        /* what gguf_close gives back, NULL after gguf_parse */
} gguf_file;

/* ---- Little-endian values at a place that is known to hold them ---- */

static inline uint32_t gguf_u32_at(const uint8_t *p) { return weight_load_u32(p); }

static inline uint64_t gguf_u64_at(const uint8_t *p)
{
    return gguf_u32_at(p) | (uint64_t)gguf_u32_at(p + 4) << 32;
}

static inline int gguf_checked_mul(uint64_t a, uint64_t b, uint64_t *product)
{
    if (b != 0 && a > UINT64_MAX / b) return -1;
    *product = a * b;
    return 0;
}

static inline size_t gguf_type_bytes(uint32_t type) /* 0 for text, array and unknown types */
{
    static const uint8_t bytes[GGUF_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return type < GGUF_TYPES ? bytes[type] : 0;
}

/* ---- Metadata ---- */

static inline gguf_text gguf_pair_key(const gguf_file *f, size_t i)
{
    const uint8_t *record = f->data + f->pairs[i].key_at;
    gguf_text key = {(const char *)record + 8, (size_t)gguf_u64_at(record)};
    return key;
}

static inline gguf_text gguf_tensor_name(const gguf_file *f, size_t i)
{
    return f->tensors[i].name;
}

/* By length, then by bytes. */
static int gguf_compare(gguf_text a, gguf_text b)
{
    if (a.length != b.length) return a.length < b.length ? -1 : 1;
    return memcmp(a.data, b.data, a.length);
}

typedef gguf_text (*gguf_name_of)(const gguf_file *f, size_t i);

/* Returns `count` when the name is not there. */
static size_t gguf_search(const gguf_file *f, gguf_name_of name, size_t count, const char *wanted)
{
    gguf_text text = {wanted, strlen(wanted)};
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (gguf_compare(name(f, middle), text) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && gguf_compare(name(f, low), text) == 0 ? low : count;
}

static inline const char *gguf_status_text(int status)
{
    static const char *const texts[] = {"ok", "the key is missing", "the value has another type",
                                        "the value is out of range"};
    return status >= 0 && status <= GGUF_OUT_OF_RANGE ? texts[status] : "unknown status";
}

/* NULL when there is no such key; *type is then left alone. */
static const uint8_t *gguf_find_value(const gguf_file *f, const char *key, uint32_t *type)
{
    size_t count = (size_t)f->pair_count, i = gguf_search(f, gguf_pair_key, count, key);
    if (i == count) return NULL;
    *type = gguf_u32_at(f->data + f->pairs[i].key_at + 8 + gguf_pair_key(f, i).length);
    return f->data + f->pairs[i].value_at;
}

/* Any integer type; a u64 above INT64_MAX is out of range. */
static int gguf_integer_at(const uint8_t *p, uint32_t type, int64_t *value)
{
    uint64_t wide;
    switch (type) {
    case GGUF_U8: *value = p[0]; return GGUF_OK;
    case GGUF_I8: *value = (int8_t)p[0]; return GGUF_OK;
    case GGUF_U16: *value = weight_load_u16(p); return GGUF_OK;
    case GGUF_I16: *value = (int16_t)weight_load_u16(p); return GGUF_OK;
    case GGUF_U32: *value = gguf_u32_at(p); return GGUF_OK;
    case GGUF_I32: *value = (int32_t)gguf_u32_at(p); return GGUF_OK;
    case GGUF_U64:
    case GGUF_I64:
        wide = gguf_u64_at(p);
        if (type == GGUF_U64 && wide > INT64_MAX) return GGUF_OUT_OF_RANGE;
        *value = (int64_t)wide;
        return GGUF_OK;
    default: return GGUF_WRONG_TYPE;
    }
}

/* A float64 too large for a float is out of range; infinities and NaN pass. */
static int gguf_float_at(const uint8_t *p, uint32_t type, float *value)
{
    if (type == GGUF_F32) {
        *value = weight_float_of_bits(gguf_u32_at(p));
        return GGUF_OK;
    }
    if (type != GGUF_F64) return GGUF_WRONG_TYPE;
    uint64_t bits = gguf_u64_at(p);
    double wide;
    memcpy(&wide, &bits, sizeof wide);
    int finite = (bits >> 52 & 0x7FF) != 0x7FF;
    if (finite && (wide > 3.4028234663852886e38 || wide < -3.4028234663852886e38))
        return GGUF_OUT_OF_RANGE;
    *value = (float)wide;
    return GGUF_OK;
}

static inline int gguf_get_integer(const gguf_file *f, const char *key, int64_t low, int64_t high,
                                   int64_t *value)
{
    uint32_t type = 0;
    int64_t found;
    const uint8_t *p = gguf_find_value(f, key, &type);
    int status = p ? gguf_integer_at(p, type, &found) : GGUF_MISSING;
    if (status != GGUF_OK) return status;
    if (found < low || found > high) return GGUF_OUT_OF_RANGE;
    *value = found;
    return GGUF_OK;
}

static inline int gguf_get_u32(const gguf_file *f, const char *key, uint32_t *value)
{
    int64_t wide;
    int status = gguf_get_integer(f, key, 0, UINT32_MAX, &wide);
    if (status == GGUF_OK) *value = (uint32_t)wide;
    return status;
}

static inline int gguf_get_i32(const gguf_file *f, const char *key, int32_t *value)
{
    int64_t wide;
    int status = gguf_get_integer(f, key, INT32_MIN, INT32_MAX, &wide);
    if (status == GGUF_OK) *value = (int32_t)wide;
    return status;
}

static inline int gguf_get_f32(const gguf_file *f, const char *key, float *value)
{
    uint32_t type = 0;
    const uint8_t *p = gguf_find_value(f, key, &type);
    return p ? gguf_float_at(p, type, value) : GGUF_MISSING;
}

static inline int gguf_get_bool(const gguf_file *f, const char *key, int *value)
{
    uint32_t type = 0;
    const uint8_t *p = gguf_find_value(f, key, &type);
    if (!p || type != GGUF_BOOL) return p ? GGUF_WRONG_TYPE : GGUF_MISSING;
    *value = *p;
    return GGUF_OK;
}

static inline int gguf_get_text(const gguf_file *f, const char *key, gguf_text *value)
{
    uint32_t type = 0;
    const uint8_t *p = gguf_find_value(f, key, &type);
    if (!p || type != GGUF_TEXT) return p ? GGUF_WRONG_TYPE : GGUF_MISSING;
    value->data = (const char *)p + 8;
    value->length = (size_t)gguf_u64_at(p);
    return GGUF_OK;
}

/* ---- Arrays ---- */

static inline int gguf_get_array(const gguf_file *f, const char *key, gguf_array *array)
{
    uint32_t type = 0;
    const uint8_t *p = gguf_find_value(f, key, &type);
    if (!p || type != GGUF_ARRAY) return p ? GGUF_WRONG_TYPE : GGUF_MISSING;
    array->type = gguf_u32_at(p);
    array->count = gguf_u64_at(p + 4);
    array->data = p + 12;
    return GGUF_OK;
}

static inline int gguf_array_i64(const gguf_array *array, uint64_t i, int64_t *value)
{
    if (i >= array->count) return GGUF_OUT_OF_RANGE;
    return gguf_integer_at(array->data + i * gguf_type_bytes(array->type), array->type, value);
}

static inline int gguf_array_f32(const gguf_array *array, uint64_t i, float *value)
{
    if (i >= array->count) return GGUF_OUT_OF_RANGE;
    return gguf_float_at(array->data + i * gguf_type_bytes(array->type), array->type, value);
}

/* GGUF_MISSING after the last text. */
static inline int gguf_array_next_text(const gguf_array *array, gguf_text_place *at,
                                       gguf_text *text)
{
    if (array->type != GGUF_TEXT) return GGUF_WRONG_TYPE;
    if (at->index >= array->count) return GGUF_MISSING;
    text->length = (size_t)gguf_u64_at(array->data + at->bytes);
    text->data = (const char *)array->data + at->bytes + 8;
    at->index++;
    at->bytes += 8 + text->length;
    return GGUF_OK;
}

static inline const gguf_tensor *gguf_find_tensor(const gguf_file *f, const char *name)
{
    size_t count = (size_t)f->tensor_count, i = gguf_search(f, gguf_tensor_name, count, name);
    return i < count ? &f->tensors[i] : NULL;
}

#include "gguf_parse.inl.h"

/* ---- Opening and closing ---- */

static inline void gguf_close(gguf_file *f)
{
    GGUF_FREE(f->pairs);
    GGUF_FREE(f->tensors);
#if defined(_WIN32)
    GGUF_FREE(f->mapping);
#else
    if (f->mapping) munmap(f->mapping, f->size);
#endif
    memset(f, 0, sizeof *f);
}

/* Reads the tables out of `data`, which must outlive them. */
static int gguf_parse(gguf_file *f, const void *data, size_t size, char *err, size_t errlen)
{
    gguf_cursor cursor = {(const uint8_t *)data, size, 0, err, errlen};
    memset(f, 0, sizeof *f);
    f->data = cursor.data;
    f->size = size;
    if (gguf_parse_start(f, &cursor) == 0 && gguf_parse_pairs(f, &cursor) == 0 &&
        gguf_parse_alignment(f, &cursor) == 0 && gguf_parse_tensors(f, &cursor) == 0)
        return 0;
    gguf_close(f);
    return -1;
}

#if defined(_WIN32)
static void *gguf_load(const char *path, size_t *size, char *err, size_t errlen)
{
    void *data = NULL;
    long long end = -1;
    FILE *file = fopen(path, "rb");
    if (file && _fseeki64(file, 0, SEEK_END) == 0) end = _ftelli64(file);
    if (end > 0 && (unsigned long long)end <= SIZE_MAX && _fseeki64(file, 0, SEEK_SET) == 0) {
        data = GGUF_MALLOC((size_t)end);
        if (data && fread(data, 1, (size_t)end, file) != (size_t)end) {
            GGUF_FREE(data);
            data = NULL;
        }
    }
    if (!data) snprintf(err, errlen, "%s: cannot be opened and read", path);
    if (file) fclose(file);
    *size = (size_t)end;
    return data;
}
#else
static void *gguf_load(const char *path, size_t *size, char *err, size_t errlen)
{
    struct stat info;
    void *data = MAP_FAILED;
    int file = open(path, O_RDONLY);
    if (file < 0) {
        snprintf(err, errlen, "%s: %s", path, strerror(errno));
        return NULL;
    }
    if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) {
        snprintf(err, errlen, "%s: not a regular file", path);
    } else if (info.st_size <= 0 || (uint64_t)info.st_size > SIZE_MAX) {
        snprintf(err, errlen, "%s: the file is empty or too large for this machine", path);
    } else {
        *size = (size_t)info.st_size;
        data = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, file, 0);
        if (data == MAP_FAILED) snprintf(err, errlen, "%s: %s", path, strerror(errno));
    }
    close(file);
    return data == MAP_FAILED ? NULL : data;
}
#endif

static inline int gguf_open(gguf_file *f, const char *path, char *err, size_t errlen)
{
    size_t size = 0;
    memset(f, 0, sizeof *f);
    void *data = gguf_load(path, &size, err, errlen);
    if (!data) return -1;
    int status = gguf_parse(f, data, size, err, errlen);
    f->mapping = data;
    f->size = size;
    if (status != 0) gguf_close(f);
    return status;
}

#endif
