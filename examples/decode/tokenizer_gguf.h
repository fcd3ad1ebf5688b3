/* The tokenizer out of a GGUF file: fills a tokenizer_spec from the metadata. */
#ifndef TOKENIZER_GGUF_H
#define TOKENIZER_GGUF_H

#include "gguf.h"
#include "tokenizer.h"

#define TOKENIZER_KEY "tokenizer.ggml."

/* The arrays that a spec points to while the tokenizer is made. */
typedef struct tokenizer_gguf_arrays {
    vocab_text *tokens, *merges;
    float *scores;
    int32_t *types;
} tokenizer_gguf_arrays;

static int tokenizer_gguf_fail(const char *key, const char *why, char *err, size_t errlen)
{
    snprintf(err, errlen, "%s: %s", key, why);
    return 0;
}

/* A text that may be missing. */
static int tokenizer_gguf_text(const gguf_file *f, const char *key, vocab_text *value, char *err,
                               size_t errlen)
{
    gguf_text text = {"", 0};
    int status = gguf_get_text(f, key, &text);
    value->data = text.data;
    value->size = text.length;
    if (status == GGUF_OK || status == GGUF_MISSING) return 1;
    return tokenizer_gguf_fail(key, gguf_status_text(status), err, errlen);
}

/* A token id that may be missing; some files write "none" as 0xffffffff. */
static int tokenizer_gguf_id(const gguf_file *f, const char *key, int64_t *value, char *err,
                             size_t errlen)
{
    int status = gguf_get_integer(f, key, -1, UINT32_MAX, value);
    if (*value == UINT32_MAX) *value = -1;
    if (status == GGUF_OK || status == GGUF_MISSING) return 1;
    return tokenizer_gguf_fail(key, gguf_status_text(status), err, errlen);
}

static int tokenizer_gguf_switch(const gguf_file *f, const char *key, int *value, char *err,
                                 size_t errlen)
{
    int status = gguf_get_bool(f, key, value);
    if (status == GGUF_OK || status == GGUF_MISSING) return 1;
    return tokenizer_gguf_fail(key, gguf_status_text(status), err, errlen);
}

static int tokenizer_gguf_settings(const gguf_file *f, tokenizer_spec *s, char *err, size_t errlen)
{
    const struct {
        const char *key;
        int64_t *value;
    } ids[] = {{TOKENIZER_KEY "bos_token_id", &s->bos},
               {TOKENIZER_KEY "eos_token_id", &s->eos},
               {TOKENIZER_KEY "eot_token_id", &s->eot},
               {TOKENIZER_KEY "eom_token_id", &s->eom},
               {TOKENIZER_KEY "unknown_token_id", &s->unknown},
               {TOKENIZER_KEY "padding_token_id", &s->pad},
               {TOKENIZER_KEY "fim_pad_token_id", &s->fill[0]},
               {TOKENIZER_KEY "fim_rep_token_id", &s->fill[1]},
               {TOKENIZER_KEY "fim_sep_token_id", &s->fill[2]}};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; ++i)
        if (!tokenizer_gguf_id(f, ids[i].key, ids[i].value, err, errlen)) return 0;
    return tokenizer_gguf_text(f, TOKENIZER_KEY "model", &s->model, err, errlen) &&
           tokenizer_gguf_text(f, TOKENIZER_KEY "pre", &s->pre, err, errlen) &&
           tokenizer_gguf_text(f, "general.name", &s->title, err, errlen) &&
           tokenizer_gguf_switch(f, TOKENIZER_KEY "add_bos_token", &s->add_bos, err, errlen) &&
           tokenizer_gguf_switch(f, TOKENIZER_KEY "add_eos_token", &s->add_eos, err, errlen) &&
           tokenizer_gguf_switch(f, TOKENIZER_KEY "add_space_prefix", &s->add_space_prefix, err,
                                 errlen);
}

/* An array of texts that must be there. */
static int tokenizer_gguf_texts(const gguf_file *f, const char *key, vocab_text **texts,
                                size_t *count, char *err, size_t errlen)
{
    gguf_array array;
    gguf_text_place at = {0, 0};
    gguf_text text;
    int status = gguf_get_array(f, key, &array);
    if (status == GGUF_OK && array.type != GGUF_TEXT) status = GGUF_WRONG_TYPE;
    if (status != GGUF_OK) return tokenizer_gguf_fail(key, gguf_status_text(status), err, errlen);
    *texts = (vocab_text *)malloc(((size_t)array.count + 1) * sizeof **texts);
    if (!*texts) return tokenizer_gguf_fail(key, "out of memory", err, errlen);
    *count = 0;
    while (gguf_array_next_text(&array, &at, &text) == GGUF_OK) {
        vocab_text *one = &(*texts)[(*count)++];
        one->data = text.data;
        one->size = text.length;
    }
    return 1;
}

/* Scores and types: one number for each token, or no array at all. */
static int tokenizer_gguf_numbers(const gguf_file *f, const char *key, size_t count, float *floats,
                                  int32_t *integers, int *found, char *err, size_t errlen)
{
    gguf_array array;
    int status = gguf_get_array(f, key, &array);
    *found = status == GGUF_OK;
    if (status == GGUF_MISSING) return 1;
    if (status == GGUF_OK && array.count < count)
        return tokenizer_gguf_fail(key, "holds fewer numbers than there are tokens", err, errlen);
    for (size_t i = 0; status == GGUF_OK && i < count; ++i) {
        int64_t integer = 0;
        status = gguf_array_i64(&array, i, &integer);
        if (status == GGUF_OK && integers) integers[i] = (int32_t)integer;
        if (status == GGUF_OK && floats) floats[i] = (float)integer;
        if (status == GGUF_WRONG_TYPE && floats) status = gguf_array_f32(&array, i, &floats[i]);
    }
    if (status == GGUF_OK) return 1;
    return tokenizer_gguf_fail(key, gguf_status_text(status), err, errlen);
}

static int tokenizer_gguf_fill(const gguf_file *f, tokenizer_spec *s, tokenizer_gguf_arrays *a,
                               char *err, size_t errlen)
{
    int scores, types;
    if (!tokenizer_gguf_settings(f, s, err, errlen)) return 0;
    if (s->model.size == 0)
        return tokenizer_gguf_fail(TOKENIZER_KEY "model", "the file has no tokenizer", err, errlen);
    if (!tokenizer_gguf_texts(f, TOKENIZER_KEY "tokens", &a->tokens, &s->token_count, err, errlen))
        return 0;
    a->scores = (float *)malloc((s->token_count + 1) * sizeof *a->scores);
    a->types = (int32_t *)malloc((s->token_count + 1) * sizeof *a->types);
    if (!a->scores || !a->types)
        return tokenizer_gguf_fail(TOKENIZER_KEY "tokens", "out of memory", err, errlen);
    if (!tokenizer_gguf_numbers(f, TOKENIZER_KEY "scores", s->token_count, a->scores, NULL, &scores,
                                err, errlen) ||
        !tokenizer_gguf_numbers(f, TOKENIZER_KEY "token_type", s->token_count, NULL, a->types,
                                &types, err, errlen))
        return 0;
    if (tokenizer_text_is(s->model, "gpt2") &&
        !tokenizer_gguf_texts(f, TOKENIZER_KEY "merges", &a->merges, &s->merge_count, err, errlen))
        return 0;
    s->tokens = a->tokens;
    s->merges = a->merges;
    s->scores = scores ? a->scores : NULL;
    s->types = types ? a->types : NULL;
    return 1;
}

/* Returns 0, or -1 with the reason in `err`. The tokenizer keeps nothing of the file. */
static inline int tokenizer_from_gguf(tokenizer *t, const gguf_file *f, char *err, size_t errlen)
{
    tokenizer_spec spec;
    tokenizer_gguf_arrays arrays = {0};
    int status = -1;
    memset(t, 0, sizeof *t);
    tokenizer_spec_init(&spec);
    if (tokenizer_gguf_fill(f, &spec, &arrays, err, errlen))
        status = tokenizer_create(t, &spec, err, errlen);
    free(arrays.tokens);
    free(arrays.merges);
    free(arrays.scores);
    free(arrays.types);
    return status;
}

/* The chat template of the file; empty if it has none. */
static inline vocab_text tokenizer_gguf_chat_template(const gguf_file *f)
{
    gguf_text text = {"", 0};
    vocab_text found;
    if (gguf_get_text(f, "tokenizer.chat_template", &text) != GGUF_OK) text.length = 0;
    found.data = text.data;
    found.size = text.length;
    return found;
}

#endif
