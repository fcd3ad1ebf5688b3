/* The tokenizer of GGUF models: SentencePiece ("llama") and byte-level BPE ("gpt2"), special
   tokens, and tokens back to text. The ids agree with llama.cpp.

     tokenizer_spec spec;                                   what the model file says; or take
     tokenizer_spec_init(&spec);                            tokenizer_from_gguf of tokenizer_gguf.h
     ... fill it ...
     if (tokenizer_create(&t, &spec, err, sizeof err) != 0) { puts(err); return 1; }
     tokenizer_ids ids = {0};
     int status = tokenizer_encode(&t, text, size, TOKENIZER_ADD_SPECIAL, &ids);
     tokenizer_text out = {0};
     status = tokenizer_piece(&t, ids.data[0], 0, &out);    bytes; unicode_stream_push makes them
     free(ids.data), free(out.data), tokenizer_free(&t);    whole characters

   The inner functions return 1, or 0 when memory ran out or the reason stands in `err`. */
#ifndef TOKENIZER_H
#define TOKENIZER_H

#include "bpe.h"
#include "pretokenizer.h"
#include "special.h"
#include "spm.h"

/* What a model file says; the texts are copied. Ids of -1 and switches of -1 mean "not said". */
typedef struct tokenizer_spec {
    vocab_text model; /* "llama" or "gpt2" */
    vocab_text pre;   /* pre-tokenizer of "gpt2" */
    vocab_text title; /* the model's name */
    const vocab_text *tokens;
    size_t token_count;
    const float *scores;  /* token_count of them, or null */
    const int32_t *types; /* token_count of them (1 normal ... 6 byte), or null */
    const vocab_text *merges;
    size_t merge_count;
    int64_t bos, eos, eot, eom, unknown, pad;
    int64_t fill[3]; /* fill-in-the-middle: pad, repository name, file separator */
    int add_bos, add_eos, add_space_prefix;
} tokenizer_spec;

typedef struct tokenizer {
    int is_bpe, rules, whole_words;
    vocab words;
    special_set special;
    bpe pairs;
    spm pieces;
    int32_t bos, eos, eot, unknown, pad; /* -1: none */
    int add_bos, add_eos, add_space_prefix;
} tokenizer;

enum tokenizer_flags {
    TOKENIZER_ADD_SPECIAL = 1,  /* begin and end with the tokens that the model asks for */
    TOKENIZER_PARSE_SPECIAL = 2 /* read <|im_start|> and its like as tokens */
};

enum tokenizer_status {
    TOKENIZER_OK,
    TOKENIZER_NO_MEMORY,
    TOKENIZER_TOO_LONG, /* texts may have up to half a gigabyte */
    TOKENIZER_BAD_ID
};

static inline const char *tokenizer_status_text(int status)
{
    static const char *const texts[] = {"ok", "out of memory", "the text is too long",
                                        "the token is outside the vocabulary"};
    return status >= 0 && status <= TOKENIZER_BAD_ID ? texts[status] : "unknown status";
}

#define TOKENIZER_SPACE "\xe2\x96\x81" /* U+2581, the space of SentencePiece */

static inline void tokenizer_spec_init(tokenizer_spec *spec)
{
    memset(spec, 0, sizeof *spec);
    spec->bos = spec->eos = spec->eot = spec->eom = spec->unknown = spec->pad = -1;
    spec->fill[0] = spec->fill[1] = spec->fill[2] = -1;
    spec->add_bos = spec->add_eos = spec->add_space_prefix = -1;
}

static inline void tokenizer_free(tokenizer *t)
{
    vocab_free(&t->words);
    special_free(&t->special);
    bpe_free(&t->pairs);
    spm_free(&t->pieces);
}

static int tokenizer_text_is(vocab_text text, const char *word)
{
    return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

/* Whether a name holds a lower-case word, in any case. */
static int tokenizer_name_has(vocab_text name, const char *word)
{
    size_t size = strlen(word), k;
    for (size_t at = 0; at + size <= name.size; ++at) {
        for (k = 0; k < size; ++k) {
            char c = name.data[at + k];
            if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != word[k]) break;
        }
        if (k == size) return 1;
    }
    return 0;
}

/* The id that the file gives, else the default of the model kind if the vocabulary has it. */
static int tokenizer_pick_id(int64_t given, int32_t fallback, const vocab *words, const char *what,
                             int32_t *id, char *err, size_t errlen)
{
    if (given < -1 || given >= words->count) {
        snprintf(err, errlen, "%s token %lld is outside the vocabulary of %d", what,
                 (long long)given, (int)words->count);
        return 0;
    }
    *id = given >= 0 ? (int32_t)given : fallback < words->count ? fallback : -1;
    return 1;
}

static int tokenizer_pick_ids(tokenizer *t, const tokenizer_spec *spec, char *err, size_t errlen)
{
    int32_t eom, fill;
    const vocab *w = &t->words;
    if (!tokenizer_pick_id(spec->bos, t->is_bpe ? 11 : 1, w, "bos", &t->bos, err, errlen) ||
        !tokenizer_pick_id(spec->eos, t->is_bpe ? 11 : 2, w, "eos", &t->eos, err, errlen) ||
        !tokenizer_pick_id(spec->unknown, t->is_bpe ? -1 : 0, w, "unknown", &t->unknown, err,
                           errlen) ||
        !tokenizer_pick_id(spec->eot, -1, w, "end of turn", &t->eot, err, errlen) ||
        !tokenizer_pick_id(spec->eom, -1, w, "end of message", &eom, err, errlen) ||
        !tokenizer_pick_id(spec->pad, -1, w, "padding", &t->pad, err, errlen))
        return 0;
    for (int i = 0; i < 3; ++i)
        if (!tokenizer_pick_id(spec->fill[i], -1, w, "fill-in-the-middle", &fill, err, errlen))
            return 0;
    special_mark_known(&t->special, w, spec->fill);
    if (t->eos >= 0) t->special.flags[t->eos] |= SPECIAL_END;
    if (t->eot >= 0) t->special.flags[t->eot] |= SPECIAL_END;
    if (eom >= 0) t->special.flags[eom] |= SPECIAL_END;
    if ((t->add_bos && t->bos < 0) || (t->add_eos && t->eos < 0)) {
        snprintf(err, errlen, "the tokenizer must add a token that the vocabulary lacks");
        return 0;
    }
    return 1;
}

static int tokenizer_set_flags(tokenizer *t, const tokenizer_spec *spec, char *err, size_t errlen)
{
    t->special.flags = (uint8_t *)malloc(spec->token_count);
    if (!t->special.flags) {
        snprintf(err, errlen, "out of memory for %zu token types", spec->token_count);
        return 0;
    }
    for (size_t i = 0; i < spec->token_count; ++i) {
        int32_t type = spec->types ? spec->types[i] : 1;
        t->special.flags[i] = type >= 1 && type <= 6 ? (uint8_t)(1 << (type - 1)) : 0;
    }
    return 1;
}

/* Picks the kind of model and its defaults. */
static int tokenizer_configure(tokenizer *t, const tokenizer_spec *spec, char *err, size_t errlen)
{
    const pretokenizer_name *pre = 0;
    t->is_bpe = tokenizer_text_is(spec->model, "gpt2");
    if (!t->is_bpe && !tokenizer_text_is(spec->model, "llama")) {
        snprintf(err, errlen, "tokenizer model \"%.*s\" is not supported (llama and gpt2 are)",
                 spec->model.size > 40 ? 40 : (int)spec->model.size, spec->model.data);
        return 0;
    }
    if (t->is_bpe && !(pre = pretokenizer_find(spec->pre))) {
        snprintf(err, errlen,
                 "pre-tokenizer \"%.*s\" is not supported (smollm, gpt-2, llama-bpe, qwen2 and "
                 "their kin are)",
                 spec->pre.size > 40 ? 40 : (int)spec->pre.size, spec->pre.data);
        return 0;
    }
    t->rules = pre ? pre->rules : 0;
    t->whole_words = pre ? pre->whole_words : 0;
    t->add_bos = spec->add_bos >= 0 ? spec->add_bos : pre ? pre->add_bos : 1;
    t->add_eos = spec->add_eos > 0;
    t->add_space_prefix = spec->add_space_prefix >= 0 ? spec->add_space_prefix : !t->is_bpe;
    if (spec->token_count == 0 || spec->token_count > INT32_MAX / 4 ||
        spec->merge_count > INT32_MAX / 4) {
        snprintf(err, errlen, "a vocabulary of %zu tokens and %zu merges cannot be used",
                 spec->token_count, spec->merge_count);
        return 0;
    }
    return 1;
}

static int tokenizer_build(tokenizer *t, const tokenizer_spec *spec, char *err, size_t errlen)
{
    if (!tokenizer_configure(t, spec, err, errlen) ||
        !vocab_create(&t->words, spec->tokens, spec->token_count, err, errlen) ||
        !tokenizer_set_flags(t, spec, err, errlen) || !tokenizer_pick_ids(t, spec, err, errlen))
        return 0;
    if (tokenizer_name_has(spec->title, "phi-3") || tokenizer_name_has(spec->title, "phi3"))
        special_mark_eaters(&t->special, &t->words);
    if (!special_index(&t->special, &t->words)) {
        snprintf(err, errlen, "out of memory for special tokens");
        return 0;
    }
    if (!t->is_bpe) return spm_create(&t->pieces, &t->words, spec->scores, t->unknown, err, errlen);
    return bpe_create(&t->pairs, &t->words, t->whole_words, spec->merges, spec->merge_count, err,
                      errlen);
}

/* Returns 0, or -1 with the reason in `err`. The tokenizer must not move afterwards. */
static inline int tokenizer_create(tokenizer *t, const tokenizer_spec *spec, char *err,
                                   size_t errlen)
{
    memset(t, 0, sizeof *t);
    if (tokenizer_build(t, spec, err, errlen)) return 0;
    tokenizer_free(t);
    return -1;
}

/* Buffers of one call to tokenizer_encode. */
typedef struct tokenizer_work {
    merge_work merge;
    tokenizer_text text, word;
    uint32_t *code;
    uint8_t *kind;
} tokenizer_work;

/* Cuts plain text into words and appends their tokens. */
static int tokenizer_encode_bpe(const tokenizer *t, const char *text, size_t size,
                                tokenizer_work *work, tokenizer_ids *ids)
{
    pretokenizer cut = {0};
    int ok = 1;
    uint32_t *code = (uint32_t *)malloc(size * sizeof *code);
    uint8_t *kind = (uint8_t *)malloc(size);
    ok = code && kind;
    for (size_t at = 0; ok && at < size; ++cut.count) {
        at += unicode_read(text + at, size - at, &code[cut.count]);
        kind[cut.count] = unicode_class_of(code[cut.count]);
    }
    cut.rules = t->rules;
    cut.code = code;
    cut.kind = kind;
    while (ok && cut.at < cut.count) {
        size_t from = cut.at, end = pretokenizer_next(&cut);
        work->text.size = 0;
        for (size_t i = from; ok && i < end; ++i) {
            char bytes[4];
            ok = tokenizer_append(&work->text, bytes, unicode_write(code[i], bytes));
        }
        ok = ok && bpe_encode_word(&t->pairs, work->text.data, work->text.size, &work->merge,
                                   &work->word, ids);
    }
    free(code);
    free(kind);
    return ok;
}

static int tokenizer_encode_spm(const tokenizer *t, const char *text, size_t size, int prefix,
                                tokenizer_work *work, tokenizer_ids *ids)
{
    int ok = 1;
    work->text.size = 0;
    if (prefix) ok = tokenizer_append(&work->text, TOKENIZER_SPACE, 3);
    for (size_t at = 0; ok && at < size;) {
        const char *space = (const char *)memchr(text + at, ' ', size - at);
        size_t plain = space ? (size_t)(space - text) - at : size - at;
        ok = tokenizer_append(&work->text, text + at, plain) &&
             (!space || tokenizer_append(&work->text, TOKENIZER_SPACE, 3));
        at += plain + (space != 0);
    }
    return ok && spm_encode(&t->pieces, work->text.data, work->text.size, &work->merge, ids);
}

/* Encodes the stretches between special tokens. */
static int tokenizer_encode_parts(const tokenizer *t, const char *text, size_t size,
                                  const special_matches *found, tokenizer_work *work,
                                  tokenizer_ids *ids)
{
    size_t at = 0;
    for (size_t i = 0; i <= found->count; ++i) {
        size_t end = i < found->count ? found->data[i].start : size;
        if (end > at && !(t->is_bpe ? tokenizer_encode_bpe(t, text + at, end - at, work, ids)
                                    : tokenizer_encode_spm(t, text + at, end - at,
                                                           t->add_space_prefix, work, ids)))
            return 0;
        if (i == found->count) break;
        if (!tokenizer_push(ids, t->special.order[found->data[i].rank].id)) return 0;
        at = found->data[i].next;
    }
    return 1;
}

/* Appends the tokens of a text. */
static inline int tokenizer_encode(const tokenizer *t, const char *text, size_t size, int flags,
                                   tokenizer_ids *ids)
{
    tokenizer_work work = {0};
    special_matches found = {0};
    int add = flags & TOKENIZER_ADD_SPECIAL, ok = 1;
    if (size > INT32_MAX / 4) return TOKENIZER_TOO_LONG;
    if (add && t->add_bos) ok = tokenizer_push(ids, t->bos);
    ok = ok && special_find(&t->special, text, size, flags & TOKENIZER_PARSE_SPECIAL, &found) &&
         tokenizer_encode_parts(t, text, size, &found, &work, ids);
    if (add && t->add_eos) ok = ok && tokenizer_push(ids, t->eos);
    ids->steps += work.merge.steps;
    merge_free(&work.merge);
    free(work.text.data);
    free(work.word.data);
    free(found.data);
    return ok ? TOKENIZER_OK : TOKENIZER_NO_MEMORY;
}

/* The value of a byte token <0xXX>, or -1. */
static int tokenizer_byte_value(vocab_text text)
{
    int value = 0;
    if (text.size != 6 || memcmp(text.data, "<0x", 3) != 0 || text.data[5] != '>') return -1;
    for (int i = 3; i < 5; ++i) {
        char c = text.data[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                           : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* A normal token of byte-level BPE: each character stands for a byte. */
static int tokenizer_append_bytes(tokenizer_text *out, vocab_text text)
{
    for (size_t at = 0; at < text.size;) {
        uint32_t character;
        size_t length = unicode_read(text.data + at, text.size - at, &character);
        int byte = unicode_byte_of(character);
        char one = (char)byte;
        if (!(byte >= 0 ? tokenizer_append(out, &one, 1)
                        : tokenizer_append(out, text.data + at, length)))
            return 0;
        at += length;
    }
    return 1;
}

/* A normal token of SentencePiece: U+2581 is a space. */
static int tokenizer_append_spaced(tokenizer_text *out, vocab_text text)
{
    for (size_t at = 0; at < text.size;) {
        int space = text.size - at >= 3 && memcmp(text.data + at, TOKENIZER_SPACE, 3) == 0;
        if (!tokenizer_append(out, space ? " " : text.data + at, 1)) return 0;
        at += space ? 3 : 1;
    }
    return 1;
}

/* 0 when memory ran out. */
static int tokenizer_append_piece(const tokenizer *t, int32_t id, int show_special,
                                  tokenizer_text *out)
{
    vocab_text text = vocab_get(&t->words, id);
    int flags = t->special.flags[id], byte = tokenizer_byte_value(text);
    char one = (char)byte;
    if (flags & (SPECIAL_CONTROL | SPECIAL_UNKNOWN))
        return !show_special || tokenizer_append(out, text.data, text.size);
    if (flags & SPECIAL_USER) return tokenizer_append(out, text.data, text.size);
    if ((flags & SPECIAL_BYTE) && byte >= 0) return tokenizer_append(out, &one, 1);
    if (!(flags & (SPECIAL_NORMAL | SPECIAL_BYTE))) return 1;
    return t->is_bpe ? tokenizer_append_bytes(out, text) : tokenizer_append_spaced(out, text);
}

/* Appends the bytes of one token; special tokens show their text only when asked. */
static inline int tokenizer_piece(const tokenizer *t, int32_t id, int show_special,
                                  tokenizer_text *out)
{
    if (id < 0 || id >= t->words.count) return TOKENIZER_BAD_ID;
    return tokenizer_append_piece(t, id, show_special, out) ? TOKENIZER_OK : TOKENIZER_NO_MEMORY;
}

/* Appends the text of many tokens. Where encoding puts a space before a text, the first token
   gives it back. */
static inline int tokenizer_decode(const tokenizer *t, const int32_t *ids, size_t count,
                                   int show_special, tokenizer_text *out)
{
    size_t start = out->size;
    for (size_t i = 0; i < count; ++i) {
        int status = tokenizer_piece(t, ids[i], show_special, out);
        if (status != TOKENIZER_OK) return status;
        if (i == 0 && t->add_space_prefix && out->size > start && out->data[start] == ' ') {
            memmove(out->data + start, out->data + start + 1, out->size - start - 1);
            out->size--;
        }
    }
    return TOKENIZER_OK;
}

/* Whether a generated token ends the text: eos, end of turn, and their like. */
static inline int tokenizer_is_end(const tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->words.count && (t->special.flags[id] & SPECIAL_END) != 0;
}

#endif
