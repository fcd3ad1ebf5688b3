/* test_gguf.c -- the GGUF reader against files made by hand: whole, cut at every byte, with every
 * byte changed, and with hostile counts, lengths, types, shapes and offsets. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf_blob.h"

static int passed, failed;

static void check(int ok, const char *what, long detail)
{
    if (ok) {
        passed++;
        return;
    }
    failed++;
    if (failed < 20) printf("FAILED: %s (%ld)\n", what, detail);
}

/* ---- Reading them ---- */

/* Parses a copy of exactly `size` bytes, so that a sanitizer sees the first byte read beyond it. */
static int parse_copy(gguf_file *f, const uint8_t *bytes, size_t size, uint8_t **copy, char *err,
                      size_t errlen)
{
    *copy = (uint8_t *)malloc(size > 0 ? size : 1);
    if (!*copy) exit(1);
    memcpy(*copy, bytes, size);
    err[0] = 0;
    heap_now = heap_peak = 0;
    int status = gguf_parse(f, *copy, size, err, errlen);
    check(heap_peak <= 4 * size, "the heap stays below 4 times the file", (long)size);
    return status;
}

/* Touches everything that a file offers. */
static unsigned walk(const gguf_file *f)
{
    unsigned sum = 0;
    for (size_t i = 0; i < f->pair_count; i++) {
        char name[64];
        gguf_text key = gguf_pair_key(f, i), text = {"", 0};
        gguf_array array;
        gguf_text_place place = {0, 0};
        uint32_t u = 0;
        int32_t s = 0;
        int yes = 0;
        float x = 0;
        if (key.length >= sizeof name || memchr(key.data, 0, key.length)) continue;
        memcpy(name, key.data, key.length);
        name[key.length] = 0;
        check(gguf_get_u32(f, name, &u) != GGUF_MISSING, "a listed key is found", (long)i);
        gguf_get_i32(f, name, &s);
        gguf_get_f32(f, name, &x);
        gguf_get_bool(f, name, &yes);
        gguf_get_text(f, name, &text);
        for (size_t j = 0; j < text.length; j++) sum += (uint8_t)text.data[j];
        if (gguf_get_array(f, name, &array) != GGUF_OK) continue;
        while (gguf_array_next_text(&array, &place, &text) == GGUF_OK)
            for (size_t j = 0; j < text.length; j++) sum += (uint8_t)text.data[j];
        for (uint64_t j = 0; j < array.count; j++) {
            int64_t wide = 0;
            gguf_array_i64(&array, j, &wide);
            gguf_array_f32(&array, j, &x);
            sum += (unsigned)wide;
        }
        sum += u + (unsigned)s + (unsigned)yes;
    }
    for (size_t i = 0; i < f->tensor_count; i++)
        for (size_t j = 0; j < f->tensors[i].bytes; j++) sum += f->tensors[i].data[j];
    return sum;
}

static void test_getters(const gguf_file *f)
{
    uint32_t u = 9;
    int32_t s = 9;
    float x = 9;
    int yes = 9;
    gguf_text text = {NULL, 0};
    check(gguf_get_u32(f, "u8", &u) == GGUF_OK && u == 200, "u8", 0);
    check(gguf_get_i32(f, "i8", &s) == GGUF_OK && s == -2, "i8", s);
    check(gguf_get_u32(f, "u16", &u) == GGUF_OK && u == 60000, "u16", 0);
    check(gguf_get_i32(f, "i16", &s) == GGUF_OK && s == -3, "i16", s);
    check(gguf_get_u32(f, "u32", &u) == GGUF_OK && u == 4000000000u, "u32", 0);
    check(gguf_get_i32(f, "i32", &s) == GGUF_OK && s == -5, "i32", s);
    check(gguf_get_u32(f, "i64", &u) == GGUF_OK && u == 77, "i64", 0);
    check(gguf_get_f32(f, "f32", &x) == GGUF_OK && x > 3.14159f && x < 3.1416f, "f32", 0);
    check(gguf_get_f32(f, "f64", &x) == GGUF_OK && x == 1.5f, "f64", 0);
    check(gguf_get_bool(f, "yes", &yes) == GGUF_OK && yes == 1, "bool", yes);
    check(gguf_get_text(f, "text", &text) == GGUF_OK && text.length == 5 &&
              memcmp(text.data, "hello", 5) == 0,
          "text", 0);
    u = 9;
    x = 9;
    check(gguf_get_u32(f, "i32", &u) == GGUF_OUT_OF_RANGE && u == 9, "-5 is no u32", 0);
    check(gguf_get_u32(f, "u64", &u) == GGUF_OUT_OF_RANGE && u == 9, "2^64 - 1 is no u32", 0);
    check(gguf_get_i32(f, "u32", &s) == GGUF_OUT_OF_RANGE && s == -5, "4e9 is no i32", 0);
    check(gguf_get_f32(f, "huge", &x) == GGUF_OUT_OF_RANGE && x == 9, "9e307 is no float", 0);
    check(gguf_get_u32(f, "u9", &u) == GGUF_MISSING && u == 9, "a missing key", 0);
    check(gguf_get_u32(f, "f32", &u) == GGUF_WRONG_TYPE && u == 9, "a float is no integer", 0);
    check(gguf_get_u32(f, "yes", &u) == GGUF_WRONG_TYPE, "a bool is no integer", 0);
    check(gguf_get_u32(f, "numbers", &u) == GGUF_WRONG_TYPE, "an array is no integer", 0);
    check(gguf_get_f32(f, "u8", &x) == GGUF_WRONG_TYPE && x == 9, "an integer is no float", 0);
    check(gguf_get_bool(f, "u8", &yes) == GGUF_WRONG_TYPE, "an integer is no bool", 0);
    check(gguf_get_text(f, "texts", &text) == GGUF_WRONG_TYPE, "an array is no text", 0);
    check(strcmp(gguf_status_text(GGUF_MISSING), "the key is missing") == 0, "status text", 0);
}

static void test_arrays(const gguf_file *f)
{
    static const char *const words[] = {"one", "", "three"};
    gguf_array array;
    gguf_text text = {NULL, 0};
    gguf_text_place place = {0, 0};
    int64_t wide = 0;
    float x = 0;
    check(gguf_get_array(f, "text", &array) == GGUF_WRONG_TYPE, "a text is no array", 0);
    check(gguf_get_array(f, "absent", &array) == GGUF_MISSING, "a missing array", 0);
    check(gguf_get_array(f, "texts", &array) == GGUF_OK && array.count == 3, "texts", 0);
    for (int i = 0; i < 3; i++)
        check(gguf_array_next_text(&array, &place, &text) == GGUF_OK &&
                  text.length == strlen(words[i]) && memcmp(text.data, words[i], text.length) == 0,
              "text of an array", i);
    check(gguf_array_next_text(&array, &place, &text) == GGUF_MISSING, "the end of texts", 0);
    check(gguf_array_i64(&array, 0, &wide) == GGUF_WRONG_TYPE, "a text of texts is no integer", 0);
    check(gguf_get_array(f, "numbers", &array) == GGUF_OK && array.count == 2, "numbers", 0);
    check(gguf_array_i64(&array, 1, &wide) == GGUF_OK && wide == -8, "a number of an array", 0);
    check(gguf_array_i64(&array, 2, &wide) == GGUF_OUT_OF_RANGE, "beyond an array", 0);
    check(gguf_array_f32(&array, 0, &x) == GGUF_WRONG_TYPE, "an integer of an array", 0);
    place.index = 0;
    check(gguf_array_next_text(&array, &place, &text) == GGUF_WRONG_TYPE, "no texts there", 0);
    check(gguf_get_array(f, "floats", &array) == GGUF_OK && array.count == 1, "floats", 0);
    check(gguf_array_f32(&array, 0, &x) == GGUF_OK && x == 1.0f, "a float of an array", 0);
}

static void test_whole(uint32_t version)
{
    blob b;
    gguf_file f;
    uint8_t *copy;
    char err[256];
    put_small(&b, version);
    int status = parse_copy(&f, b.bytes, b.size, &copy, err, sizeof err);
    check(status == 0 && f.version == version && f.alignment == 64, err, (long)version);
    test_getters(&f);
    test_arrays(&f);
    const gguf_tensor *t = gguf_find_tensor(&f, "weights");
    check(t && t->type == WEIGHT_Q4_0 && t->ndim == 2 && t->dims[0] == 32 && t->dims[1] == 2 &&
              t->dims[2] == 1 && t->bytes == 36 && t->data[0] == 64,
          "tensor weights", 0);
    t = gguf_find_tensor(&f, "norm");
    check(t && t->type == WEIGHT_F32 && t->bytes == 24 && t->data[5] == 5, "tensor norm", 0);
    check(!gguf_find_tensor(&f, "norms") && !gguf_find_tensor(&f, ""), "absent tensors", 0);
    gguf_close(&f);
    check(heap_now == 0, "gguf_close gives everything back", (long)heap_now);
    free(copy);
}

static void test_cuts(void)
{
    blob b;
    put_small(&b, 3);
    for (size_t size = 0; size < b.size; size++) {
        gguf_file f;
        uint8_t *copy;
        char err[256];
        int status = parse_copy(&f, b.bytes, size, &copy, err, sizeof err);
        check(status == -1 && strlen(err) > 10, "a cut file is refused with a reason", (long)size);
        check(heap_now == 0 && !f.pairs && !f.tensors, "and leaves nothing", (long)size);
        free(copy);
    }
}

static void test_bytes(void)
{
    static const uint8_t values[] = {0, 0x7F, 0x80, 0xFF};
    blob b;
    unsigned sum = 0, accepted = 0;
    put_small(&b, 3);
    for (size_t i = 0; i < b.size; i++) {
        uint8_t kept = b.bytes[i];
        for (int v = 0; v < 4; v++) {
            gguf_file f;
            uint8_t *copy;
            char err[256];
            b.bytes[i] = values[v];
            if (parse_copy(&f, b.bytes, b.size, &copy, err, sizeof err) == 0) {
                sum += walk(&f);
                accepted++;
            } else {
                check(strlen(err) > 10, "a refusal has a reason", (long)i);
            }
            gguf_close(&f);
            check(heap_now == 0, "nothing is left", (long)i);
            free(copy);
        }
        b.bytes[i] = kept;
    }
    check(sum != 0 && accepted > 400 && accepted < 4 * b.size, "some changes are harmless", 0);
}

/* ---- Hostile files, each with a word that its refusal must hold ---- */

static void refuse(const blob *b, const char *word)
{
    gguf_file f;
    uint8_t *copy;
    char err[256], tiny[8];
    int status = parse_copy(&f, b->bytes, b->size, &copy, err, sizeof err);
    check(status == -1 && strstr(err, word) != NULL, word, status);
    if (!strstr(err, word)) printf("  said: %s\n", err);
    check(heap_now == 0, "nothing is left", 0);
    check(gguf_parse(&f, copy, b->size, tiny, sizeof tiny) == -1 && strlen(tiny) < sizeof tiny,
          "a short message buffer", 0);
    check(gguf_parse(&f, copy, b->size, NULL, 0) == -1, "no message buffer", 0);
    free(copy);
}

static void test_hostile_start(void)
{
    blob b;
    put_small(&b, 3);
    b.bytes[0] = 'g';
    refuse(&b, "not a GGUF file");
    put_small(&b, 1);
    refuse(&b, "version 1");
    put_small(&b, 4);
    refuse(&b, "version 4");
    put_small(&b, 0x03000000);
    refuse(&b, "big-endian");
    put_start(&b, 3, 0, UINT64_MAX);
    refuse(&b, "keys, its 24 bytes");
    put_start(&b, 3, UINT64_MAX, 0);
    refuse(&b, "tensors, its 24 bytes");
    put_start(&b, 3, 0, 1);
    refuse(&b, "keys");
}

static void start_key(blob *b, const char *key, uint32_t type)
{
    put_start(b, 3, 0, 1);
    put_key(b, key, type);
}

static void test_hostile_keys(void)
{
    static const uint64_t lengths[] = {1000,      0x7FFFFFFF, 0xFFFFFFFFu,   (uint64_t)1 << 62,
                                       INT64_MAX, UINT64_MAX, UINT64_MAX - 7};
    blob b;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        put_start(&b, 3, 0, 1);
        put_uint(&b, lengths[i], 8);
        put_data(&b, 1, 32);
        refuse(&b, "ends inside a key");
        start_key(&b, "k", GGUF_TEXT);
        put_uint(&b, lengths[i], 8);
        refuse(&b, "ends inside a text value");
        put_start(&b, 3, 0, 1);
        put_array(&b, "k", GGUF_U64, lengths[i]);
        put_data(&b, 1, 32);
        refuse(&b, "ends inside a value");
        put_start(&b, 3, 0, 1);
        put_array(&b, "k", GGUF_TEXT, lengths[i]);
        put_data(&b, 1, 32);
        refuse(&b, "ends inside a text value");
    }
    start_key(&b, "", GGUF_U64);
    put_uint(&b, 0, 8);
    refuse(&b, "has 0 bytes");
    start_key(&b, "k", 13);
    put_data(&b, 1, 32);
    refuse(&b, "unknown type 13");
    start_key(&b, "k", UINT32_MAX);
    put_data(&b, 1, 32);
    refuse(&b, "unknown type 4294967295");
    put_start(&b, 3, 0, 1);
    put_array(&b, "k", GGUF_ARRAY, 1);
    put_data(&b, 1, 32);
    refuse(&b, "array of arrays");
    put_start(&b, 3, 0, 1);
    put_array(&b, "k", 99, 0);
    put_data(&b, 1, 32);
    refuse(&b, "unknown type 99");
    start_key(&b, "k", GGUF_BOOL);
    put_uint(&b, 2, 1);
    refuse(&b, "bool of value 2");
    put_start(&b, 3, 0, 3);
    put_scalar(&b, "twin", GGUF_U8, 1);
    put_scalar(&b, "k", GGUF_U8, 1);
    put_scalar(&b, "twin", GGUF_U32, 2);
    refuse(&b, "'twin' is there twice");
}

static void test_long_key(void)
{
    static uint8_t bytes[24 + 8 + 70000];
    blob start;
    gguf_file f;
    char err[256];
    put_start(&start, 3, 0, 1);
    put_uint(&start, 65536, 8);
    memcpy(bytes, start.bytes, start.size);
    memset(bytes + start.size, 'k', sizeof bytes - start.size);
    check(gguf_parse(&f, bytes, sizeof bytes, err, sizeof err) == -1 &&
              strstr(err, "has 65536 bytes") != NULL,
          "a key of 65536 bytes", 0);
}

static void test_alignment(void)
{
    static const uint32_t bad[] = {0, 3, 33, 131072, 0x80000000u};
    blob b;
    gguf_file f;
    char err[256];
    for (int i = 0; i < 5; i++) {
        put_start(&b, 3, 0, 1);
        put_scalar(&b, "general.alignment", GGUF_U32, bad[i]);
        refuse(&b, "not a power of two");
    }
    start_key(&b, "general.alignment", GGUF_TEXT);
    put_text(&b, "32");
    refuse(&b, "another type");
    put_start(&b, 3, 0, 1);
    put_scalar(&b, "general.alignment", GGUF_I32, (uint32_t)-32);
    refuse(&b, "out of range");
    put_start(&b, 3, 0, 1);
    put_scalar(&b, "general.alignment", GGUF_U32, 65536);
    check(gguf_parse(&f, b.bytes, b.size, err, sizeof err) == 0 && f.alignment == 65536,
          "no tensors, so no padding is needed", 0);
    gguf_close(&f);
    put_start(&b, 2, 0, 0);
    check(gguf_parse(&f, b.bytes, b.size, err, sizeof err) == 0, "an empty file of version 2", 0);
    gguf_close(&f);
}

static void one_tensor(blob *b, uint64_t rows, uint64_t columns, uint32_t type, uint64_t offset)
{
    put_start(b, 3, 1, 0);
    put_tensor(b, "t", rows, columns, type, offset);
    put_data(b, 32, 64);
}

static void test_hostile_tensors(void)
{
    static const uint64_t sizes[] = {(uint64_t)1 << 31, (uint64_t)1 << 32, (uint64_t)1 << 61,
                                     (uint64_t)1 << 62};
    blob b;
    for (int i = 0; i < 4; i++) {
        one_tensor(&b, 1, sizes[i], WEIGHT_F32, 0);
        refuse(&b, i < 3 ? "do not fit" : "too large");
        one_tensor(&b, sizes[i], sizes[i], WEIGHT_F32, 0);
        refuse(&b, "too large");
        one_tensor(&b, sizes[i], 32, WEIGHT_Q4_0, 0);
        refuse(&b, i < 2 ? "do not fit" : "too large");
    }
    one_tensor(&b, 1, (uint64_t)1 << 63, WEIGHT_F32, 0);
    refuse(&b, "dimension 0");
    one_tensor(&b, 0, 4, WEIGHT_F32, 0);
    refuse(&b, "dimension 1 is 0");
    one_tensor(&b, 1, 0, WEIGHT_F32, 0);
    refuse(&b, "dimension 0 is 0");
    one_tensor(&b, 1, 33, WEIGHT_Q8_0, 0);
    refuse(&b, "no whole number of Q8_0 blocks");
    one_tensor(&b, 8, 32, WEIGHT_Q4_K, 0);
    refuse(&b, "no whole number of Q4_K blocks");
    one_tensor(&b, 1, 32, 20, 0);
    refuse(&b, "type 20 (IQ4_NL), which is not supported");
    one_tensor(&b, 1, 32, 0x7FFFFFFF, 0);
    refuse(&b, "unknown");
    one_tensor(&b, 1, 8, WEIGHT_F32, 16);
    refuse(&b, "no multiple of the alignment 32");
    one_tensor(&b, 1, 8, WEIGHT_F32, 64);
    refuse(&b, "do not fit into the 64 bytes");
    one_tensor(&b, 1, 8, WEIGHT_F32, UINT64_MAX - 31);
    refuse(&b, "do not fit into the 64 bytes");
}

static void test_tensor_names(void)
{
    char name[80];
    blob b;
    put_start(&b, 3, 1, 0);
    put_tensor(&b, "", 1, 8, WEIGHT_F32, 0);
    refuse(&b, "has 0 bytes");
    memset(name, 'n', sizeof name);
    name[65] = 0;
    put_start(&b, 3, 1, 0);
    put_tensor(&b, name, 1, 8, WEIGHT_F32, 0);
    refuse(&b, "has 65 bytes");
    put_start(&b, 3, 2, 0);
    put_tensor(&b, "twin", 1, 8, WEIGHT_F32, 0);
    put_tensor(&b, "twin", 1, 8, WEIGHT_F32, 32);
    put_data(&b, 32, 64);
    refuse(&b, "'twin' is there twice");
    for (uint32_t dims = 0; dims < 6; dims += 5) {
        put_start(&b, 3, 1, 0);
        put_text(&b, "t");
        put_uint(&b, dims, 4);
        put_data(&b, 1, 64);
        refuse(&b, dims ? "has 5 dimensions" : "has 0 dimensions");
    }
}

/* The most table entries that bytes can ask for, in the order that makes a heap work hardest. */
static void test_many(void)
{
    enum { KEYS = 180, TENSORS = 200 };
    blob b;
    gguf_file f;
    uint8_t *copy;
    char err[256], name[2] = {0, 0};
    uint32_t value = 0;
    put_start(&b, 3, 0, KEYS);
    for (int i = 0; i < KEYS; i++) {
        name[0] = (char)(i + 33);
        put_scalar(&b, name, GGUF_U8, (uint64_t)i);
    }
    check(parse_copy(&f, b.bytes, b.size, &copy, err, sizeof err) == 0, err, 0);
    for (int i = 0; i < KEYS; i++) {
        name[0] = (char)(i + 33);
        check(gguf_get_u32(&f, name, &value) == GGUF_OK && value == (uint32_t)i, "many keys", i);
    }
    gguf_close(&f);
    free(copy);
    put_start(&b, 3, TENSORS, 0);
    for (int i = 0; i < TENSORS; i++) {
        name[0] = (char)(255 - i);
        put_text(&b, name);
        put_uint(&b, 1, 4);
        put_uint(&b, 1, 8);
        put_uint(&b, WEIGHT_F16, 4);
        put_uint(&b, 0, 8);
    }
    put_data(&b, 32, 2);
    check(parse_copy(&f, b.bytes, b.size, &copy, err, sizeof err) == 0, err, 0);
    for (int i = 0; i < TENSORS; i++) {
        name[0] = (char)(255 - i);
        const gguf_tensor *t = gguf_find_tensor(&f, name);
        check(t && t->name.data[0] == name[0] && t->bytes == 2, "many tensors", i);
    }
    gguf_close(&f);
    free(copy);
}

static void test_open(void)
{
    static const char path[] = "test_gguf_scratch.bin";
    blob b;
    gguf_file f;
    char err[256];
    uint32_t value = 0;
    put_small(&b, 3);
    remove(path);
    check(gguf_open(&f, path, err, sizeof err) == -1 && strstr(err, path) != NULL, "no file", 0);
    gguf_close(&f);
    check(gguf_open(&f, ".", err, sizeof err) == -1, "a directory", 0);
    for (int cut = 2; cut >= 0; cut--) {
        FILE *file = fopen(path, "wb");
        size_t size = cut == 2 ? 0 : b.size - (size_t)cut;
        if (!file || fwrite(b.bytes, 1, size, file) != size || fclose(file) != 0) exit(1);
        heap_now = 0;
        int status = gguf_open(&f, path, err, sizeof err);
        check(status == (cut ? -1 : 0), "a file on disk, whole and cut", cut);
        if (status == 0)
            check(gguf_get_u32(&f, "u8", &value) == GGUF_OK && value == 200 && walk(&f) != 0,
                  "is read", 0);
        gguf_close(&f);
        check(heap_now == 0, "and closed", cut);
    }
    remove(path);
}

int main(void)
{
    test_whole(2);
    test_whole(3);
    test_cuts();
    test_bytes();
    test_hostile_start();
    test_hostile_keys();
    test_long_key();
    test_alignment();
    test_hostile_tensors();
    test_tensor_names();
    test_many();
    test_open();
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
