/* fuzz_gguf.c -- any bytes as a model file: the GGUF reader, the tokenizer, the model's shape and
 * weights. Nothing crashes, a refusal has a reason and leaves nothing, the heap stays small. */
#include "fuzz.h"
#include "../gguf_blob.h"
#include "../../examples/decode/tokenizer_gguf.h"
#include "../../examples/decode/model_file.h"

/* Touches everything that a file offers. */
static unsigned walk(const gguf_file *f)
{
    unsigned sum = 0;
    for (size_t i = 0; i < f->pair_count; i++) {
        char name[64];
        gguf_text key = gguf_pair_key(f, i), text = {"", 0};
        gguf_array array;
        gguf_text_place place = {0, 0};
        int64_t wide = 0;
        int yes = 0;
        float x = 0;
        if (key.length >= sizeof name || memchr(key.data, 0, key.length)) continue;
        memcpy(name, key.data, key.length);
        name[key.length] = 0;
        FUZZ_CHECK(gguf_get_integer(f, name, INT64_MIN, INT64_MAX, &wide) != GGUF_MISSING,
                   "a listed key is not found");
        gguf_get_f32(f, name, &x);
        gguf_get_bool(f, name, &yes);
        gguf_get_text(f, name, &text);
        for (size_t j = 0; j < text.length; j++) sum += (uint8_t)text.data[j];
        if (gguf_get_array(f, name, &array) != GGUF_OK) continue;
        while (gguf_array_next_text(&array, &place, &text) == GGUF_OK)
            for (size_t j = 0; j < text.length; j++) sum += (uint8_t)text.data[j];
        for (uint64_t j = 0; j < array.count; j++) {
            gguf_array_i64(&array, j, &wide);
            gguf_array_f32(&array, j, &x);
        }
        sum += (unsigned)wide + (unsigned)yes;
    }
    for (size_t i = 0; i < f->tensor_count; i++) {
        const gguf_tensor *t = &f->tensors[i];
        float row[256];
        for (size_t j = 0; j < t->bytes; j++) sum += t->data[j];
        if (t->dims[0] <= 256) weight_row_to_f32(t->type, t->data, row, (size_t)t->dims[0]);
    }
    return sum;
}

static void run_tokenizer(const gguf_file *f, size_t size)
{
    static const char text[] = "a b  Hello,\t w\xc3\xb6rld \xff 123<s>";
    char err[256] = "";
    tokenizer t;
    if (tokenizer_from_gguf(&t, f, err, sizeof err) != 0) {
        FUZZ_CHECK(err[0] != 0, "a tokenizer is refused without a reason");
        return;
    }
    tokenizer_ids ids;
    tokenizer_text out;
    memset(&ids, 0, sizeof ids);
    memset(&out, 0, sizeof out);
    tokenizer_encode(&t, text, sizeof text - 1, (int)(size & 3), &ids);
    tokenizer_decode(&t, ids.data, ids.count, 1, &out);
    free(ids.data);
    free(out.data);
    tokenizer_free(&t);
}

static void run_model(const gguf_file *f)
{
    char err[256] = "";
    model_shape shape;
    model_weights w;
    if (model_read_shape(f, &shape, err, sizeof err) != 0) {
        FUZZ_CHECK(err[0] != 0, "a shape is refused without a reason");
        return;
    }
    if (model_read_weights(f, &shape, &w, err, sizeof err) != 0)
        FUZZ_CHECK(err[0] != 0, "weights are refused without a reason");
    model_weights_free(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gguf_file f;
    char err[256] = "";
    heap_now = heap_peak = 0;
    const int status = gguf_parse(&f, data, size, err, sizeof err);
    FUZZ_CHECK(heap_peak <= 4 * size, "%zu bytes of heap for %zu of the file", heap_peak, size);
    if (status == 0) {
        volatile unsigned sink = walk(&f);
        (void)sink;
        run_tokenizer(&f, size);
        run_model(&f);
        gguf_close(&f);
    } else {
        FUZZ_CHECK(strlen(err) > 10, "a file is refused without a reason");
    }
    FUZZ_CHECK(heap_now == 0, "%zu bytes of heap are left", heap_now);
    return 0;
}
