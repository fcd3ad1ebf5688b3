/* gguf_blob.h -- the reader with a counted heap, and GGUF files written piece by piece into memory,
 * right or wrong as a test wants. */
#ifndef GGUF_BLOB_H
#define GGUF_BLOB_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---- The heap that the reader uses, counted ---- */

static size_t heap_now, heap_peak;

/* Sizes are kept in front of each block, so that giving back is counted too. */
static void *counted_malloc(size_t bytes)
{
    size_t *block = (size_t *)malloc(bytes + 16);
    if (!block) return NULL;
    *block = bytes;
    heap_now += bytes;
    if (heap_now > heap_peak) heap_peak = heap_now;
    return block + 16 / sizeof *block;
}

static void counted_free(void *pointer)
{
    if (!pointer) return;
    size_t *block = (size_t *)pointer - 16 / sizeof *block;
    heap_now -= *block;
    free(block);
}

#define GGUF_MALLOC(bytes) counted_malloc(bytes)
#define GGUF_FREE(pointer) counted_free(pointer)
#include "../examples/decode/gguf.h"

/* ---- Files ---- */

typedef struct blob {
    uint8_t bytes[16384];
    size_t size;
} blob;

static void put(blob *b, const void *bytes, size_t size)
{
    memcpy(b->bytes + b->size, bytes, size);
    b->size += size;
}

static void put_uint(blob *b, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) b->bytes[b->size++] = (uint8_t)(value >> 8 * i);
}

static void put_text(blob *b, const char *text)
{
    put_uint(b, strlen(text), 8);
    put(b, text, strlen(text));
}

static void put_start(blob *b, uint32_t version, uint64_t tensors, uint64_t keys)
{
    b->size = 0;
    put(b, "GGUF", 4);
    put_uint(b, version, 4);
    put_uint(b, tensors, 8);
    put_uint(b, keys, 8);
}

static void put_key(blob *b, const char *key, uint32_t type)
{
    put_text(b, key);
    put_uint(b, type, 4);
}

static void put_scalar(blob *b, const char *key, uint32_t type, uint64_t bits)
{
    put_key(b, key, type);
    put_uint(b, bits, (int)gguf_type_bytes(type));
}

static void put_array(blob *b, const char *key, uint32_t type, uint64_t count)
{
    put_key(b, key, GGUF_ARRAY);
    put_uint(b, type, 4);
    put_uint(b, count, 8);
}

static void put_tensor(blob *b, const char *name, uint64_t rows, uint64_t columns, uint32_t type,
                       uint64_t offset)
{
    put_text(b, name);
    put_uint(b, 2, 4);
    put_uint(b, columns, 8);
    put_uint(b, rows, 8);
    put_uint(b, type, 4);
    put_uint(b, offset, 8);
}

static void put_data(blob *b, size_t alignment, size_t bytes)
{
    while (b->size % alignment != 0) put_uint(b, 0, 1);
    for (size_t i = 0; i < bytes; i++) put_uint(b, i, 1);
}

enum { SMALL_KEYS = 17 };

/* Every type once; the last byte of the file is the last byte of a tensor. */
static void put_small(blob *b, uint32_t version)
{
    put_start(b, version, 2, SMALL_KEYS);
    put_scalar(b, "u8", GGUF_U8, 200);
    put_scalar(b, "i8", GGUF_I8, 0xFE);
    put_scalar(b, "u16", GGUF_U16, 60000);
    put_scalar(b, "i16", GGUF_I16, 0xFFFD);
    put_scalar(b, "u32", GGUF_U32, 4000000000u);
    put_scalar(b, "i32", GGUF_I32, (uint32_t)-5);
    put_scalar(b, "u64", GGUF_U64, UINT64_MAX);
    put_scalar(b, "i64", GGUF_I64, 77);
    put_scalar(b, "f32", GGUF_F32, 0x40490FDB);
    put_scalar(b, "f64", GGUF_F64, 0x3FF8000000000000u);
    put_scalar(b, "huge", GGUF_F64, 0x7FE0000000000000u);
    put_scalar(b, "yes", GGUF_BOOL, 1);
    put_key(b, "text", GGUF_TEXT);
    put_text(b, "hello");
    put_array(b, "texts", GGUF_TEXT, 3);
    put_text(b, "one");
    put_text(b, "");
    put_text(b, "three");
    put_array(b, "numbers", GGUF_I32, 2);
    put_uint(b, 7, 4);
    put_uint(b, (uint32_t)-8, 4);
    put_array(b, "floats", GGUF_F32, 1);
    put_uint(b, 0x3F800000, 4);
    put_scalar(b, "general.alignment", GGUF_U32, 64);
    put_tensor(b, "weights", 2, 32, WEIGHT_Q4_0, 64);
    put_tensor(b, "norm", 2, 3, WEIGHT_F32, 0);
    put_data(b, 64, 64 + 36);
}

#endif
