/* SentencePiece ("llama") encoding: characters merge into the token of the highest score first;
   what stays without a token is written as byte tokens <0xXX>. */
#ifndef SPM_H
#define SPM_H

#include "merge.h"
#include "unicode.h"

typedef struct spm {
    const vocab *words;
    float *score;
    int32_t byte_id[256]; /* -1: no byte token and no unknown token, the byte vanishes */
} spm;

/* The rules for one text. */
typedef struct spm_pass {
    const spm *model;
    const char *text;
} spm_pass;

static void spm_free(spm *s)
{
    free(s->score);
    memset(s, 0, sizeof *s);
}

static int spm_create(spm *s, const vocab *words, const float *scores, int32_t unknown, char *err,
                      size_t errlen)
{
    memset(s, 0, sizeof *s);
    s->words = words;
    s->score = (float *)calloc((size_t)words->count + 1, sizeof *s->score);
    if (!s->score) {
        snprintf(err, errlen, "out of memory for token scores");
        return 0;
    }
    if (scores) memcpy(s->score, scores, (size_t)words->count * sizeof *s->score);
    for (int byte = 0; byte < 256; ++byte) {
        char text[8], one = (char)byte;
        int32_t id = vocab_find(words, text, (size_t)snprintf(text, sizeof text, "<0x%02X>", byte));
        if (id < 0) id = vocab_find(words, &one, 1);
        s->byte_id[byte] = id < 0 ? unknown : id;
    }
    return 1;
}

static int spm_rule(const void *rules, const merge_symbol *left, const merge_symbol *right,
                    double *cost, int32_t *id)
{
    const spm_pass *pass = (const spm_pass *)rules;
    *id =
        vocab_find(pass->model->words, pass->text + left->start, (size_t)left->size + right->size);
    if (*id < 0) return 0;
    *cost = -(double)pass->model->score[*id];
    return 1;
}

/* Appends the tokens of a text whose spaces are already U+2581; 0 when memory ran out. */
static int spm_encode(const spm *s, const char *text, size_t size, merge_work *work,
                      tokenizer_ids *ids)
{
    spm_pass pass = {s, text};
    work->count = 0;
    for (size_t at = 0; at < size;) {
        size_t length = unicode_announced((unsigned char)text[at]);
        if (length > size - at) length = size - at;
        if (!merge_add_symbol(work, (uint32_t)at, (uint32_t)length,
                              vocab_find(s->words, text + at, length)))
            return 0;
        at += length;
    }
    if (!merge_run(work, spm_rule, &pass)) return 0;
    for (int32_t i = 0; i >= 0 && (size_t)i < work->count; i = work->symbols[i].next) {
        const merge_symbol *symbol = &work->symbols[i];
        if (symbol->id >= 0) {
            if (!tokenizer_push(ids, symbol->id)) return 0;
            continue;
        }
        for (uint32_t k = 0; k < symbol->size; ++k) {
            int32_t id = s->byte_id[(unsigned char)text[symbol->start + k]];
            if (id >= 0 && !tokenizer_push(ids, id)) return 0;
        }
    }
    return 1;
}

#endif
