/* Pre-tokenizers of byte-level BPE: where the words of a text end, by the rule set that a GGUF
   file names. Written as scanners, one function per pattern, so that no text is slow. */
#ifndef PRETOKENIZER_H
#define PRETOKENIZER_H

#include "vocab.h"
#include "unicode.h"

enum pretokenizer_rules {
    PRETOKENIZER_GPT2,   /* words, numbers and signs with one space before, contractions */
    PRETOKENIZER_SMOLLM, /* every number character alone, then as GPT-2 */
    PRETOKENIZER_LLAMA3, /* numbers in threes, any one sign before a word, line ends kept apart */
    PRETOKENIZER_QWEN2,  /* as Llama 3, every number character alone */
    PRETOKENIZER_DEFAULT /* punctuation apart, then as GPT-2, then digits in threes */
};

typedef struct pretokenizer_name {
    const char *name;
    int rules;
    int whole_words; /* a word that is a token is not merged */
    int add_bos;     /* unless the file says otherwise */
} pretokenizer_name;

/* Every name that llama.cpp gives one of these rule sets. */
static const pretokenizer_name pretokenizer_names[] = {
    {"", PRETOKENIZER_DEFAULT, 0, 0},
    {"default", PRETOKENIZER_DEFAULT, 0, 0},
    {"gpt-2", PRETOKENIZER_GPT2, 0, 0},
    {"phi-2", PRETOKENIZER_GPT2, 0, 0},
    {"mpt", PRETOKENIZER_GPT2, 0, 0},
    {"olmo", PRETOKENIZER_GPT2, 0, 0},
    {"jais", PRETOKENIZER_GPT2, 0, 0},
    {"gigachat", PRETOKENIZER_GPT2, 0, 0},
    {"a.x-4.0", PRETOKENIZER_GPT2, 0, 0},
    {"mellum", PRETOKENIZER_GPT2, 0, 0},
    {"exaone4", PRETOKENIZER_GPT2, 0, 0},
    {"trillion", PRETOKENIZER_GPT2, 0, 0},
    {"granite-docling", PRETOKENIZER_GPT2, 0, 0},
    {"smollm", PRETOKENIZER_SMOLLM, 0, 0},
    {"starcoder", PRETOKENIZER_SMOLLM, 0, 0},
    {"refact", PRETOKENIZER_SMOLLM, 0, 0},
    {"command-r", PRETOKENIZER_SMOLLM, 0, 0},
    {"codeshell", PRETOKENIZER_SMOLLM, 0, 0},
    {"exaone", PRETOKENIZER_SMOLLM, 0, 0},
    {"minerva-7b", PRETOKENIZER_SMOLLM, 0, 0},
    {"mellum2", PRETOKENIZER_SMOLLM, 0, 0},
    {"llama-bpe", PRETOKENIZER_LLAMA3, 1, 1},
    {"llama3", PRETOKENIZER_LLAMA3, 1, 1},
    {"llama-v3", PRETOKENIZER_LLAMA3, 1, 1},
    {"falcon3", PRETOKENIZER_LLAMA3, 1, 1},
    {"falcon-h1", PRETOKENIZER_LLAMA3, 1, 1},
    {"pixtral", PRETOKENIZER_LLAMA3, 1, 1},
    {"midm-2.0", PRETOKENIZER_LLAMA3, 1, 1},
    {"lfm2", PRETOKENIZER_LLAMA3, 1, 1},
    {"dbrx", PRETOKENIZER_LLAMA3, 0, 0},
    {"smaug-bpe", PRETOKENIZER_LLAMA3, 0, 0},
    {"chatglm-bpe", PRETOKENIZER_LLAMA3, 0, 0},
    {"glm4", PRETOKENIZER_LLAMA3, 1, 0},
    {"qwen2", PRETOKENIZER_QWEN2, 0, 0},
    {"deepseek-r1-qwen", PRETOKENIZER_QWEN2, 0, 0},
    {"kormo", PRETOKENIZER_QWEN2, 0, 0},
    {"f2llmv2", PRETOKENIZER_QWEN2, 0, 0},
    {"megrez", PRETOKENIZER_QWEN2, 0, 0},
    {"stablelm2", PRETOKENIZER_QWEN2, 0, 0},
    {"hunyuan", PRETOKENIZER_QWEN2, 0, 0},
    {"solar-open", PRETOKENIZER_QWEN2, 0, 0},
    {"grok-2", PRETOKENIZER_QWEN2, 0, 0},
};

static const pretokenizer_name *pretokenizer_find(vocab_text name)
{
    for (size_t i = 0; i < sizeof pretokenizer_names / sizeof pretokenizer_names[0]; ++i) {
        const pretokenizer_name *entry = &pretokenizer_names[i];
        if (strlen(entry->name) == name.size &&
            (name.size == 0 || memcmp(entry->name, name.data, name.size) == 0))
            return entry;
    }
    return 0;
}

/* A text as code points with their classes, and how far it has been cut. */
typedef struct pretokenizer {
    int rules;
    const uint32_t *code;
    const uint8_t *kind;
    size_t count, at;
    size_t piece_end; /* first stage: words do not reach over it */
    size_t word_end;  /* default rules: what is left of a word that is cut again */
} pretokenizer;

static int pretokenizer_is_line_end(uint32_t code) { return code == '\r' || code == '\n'; }

static size_t pretokenizer_run(const pretokenizer *p, size_t at, size_t end, int kind)
{
    while (at < end && p->kind[at] == kind) at++;
    return at;
}

/* Signs: neither space nor letter nor number. */
static int pretokenizer_is_sign(uint8_t kind)
{
    return kind == UNICODE_OTHER || kind == UNICODE_PUNCTUATION;
}

static size_t pretokenizer_signs(const pretokenizer *p, size_t at, size_t end)
{
    while (at < end && pretokenizer_is_sign(p->kind[at])) at++;
    return at;
}

/* 's 't 'm 'd 're 've 'll: the length of one that starts here, or 0. */
static size_t pretokenizer_contraction(const pretokenizer *p, size_t at, size_t end, int any_case)
{
    uint32_t a, b, lower = any_case ? 0x20 : 0;
    if (p->code[at] != '\'' || at + 1 >= end) return 0;
    a = p->code[at + 1] < 0x80 ? p->code[at + 1] | lower : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    if (at + 2 >= end) return 0;
    b = p->code[at + 2] < 0x80 ? p->code[at + 2] | lower : 0;
    return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

/* White space up to `end`; its last character is left to the word that follows. */
static size_t pretokenizer_spaces(const pretokenizer *p, size_t at, size_t end)
{
    size_t stop = pretokenizer_run(p, at, end, UNICODE_SPACE);
    return stop < end && stop - at > 1 ? stop - 1 : stop;
}

static size_t pretokenizer_gpt2_word(const pretokenizer *p, size_t at, size_t end)
{
    size_t contraction = pretokenizer_contraction(p, at, end, 0);
    size_t body = p->code[at] == ' ' ? at + 1 : at;
    if (contraction) return at + contraction;
    if (body < end) {
        if (p->kind[body] == UNICODE_LETTER || p->kind[body] == UNICODE_NUMBER)
            return pretokenizer_run(p, body, end, p->kind[body]);
        if (pretokenizer_is_sign(p->kind[body])) return pretokenizer_signs(p, body, end);
    }
    return pretokenizer_spaces(p, at, end);
}

/* White space that ends in line ends is cut after the last of them. */
static size_t pretokenizer_lines(const pretokenizer *p, size_t at, size_t end)
{
    size_t stop = pretokenizer_run(p, at, end, UNICODE_SPACE), line = stop;
    while (line > at && !pretokenizer_is_line_end(p->code[line - 1])) line--;
    return line > at ? line : pretokenizer_spaces(p, at, end);
}

static size_t pretokenizer_llama3_word(const pretokenizer *p, size_t at, size_t end, size_t digits)
{
    size_t contraction = pretokenizer_contraction(p, at, end, 1), body;
    int kind = p->kind[at];
    if (contraction) return at + contraction;
    if (kind == UNICODE_LETTER) return pretokenizer_run(p, at, end, UNICODE_LETTER);
    if (kind == UNICODE_NUMBER)
        return pretokenizer_run(p, at, end - at > digits ? at + digits : end, UNICODE_NUMBER);
    if (!pretokenizer_is_line_end(p->code[at]) && at + 1 < end && p->kind[at + 1] == UNICODE_LETTER)
        return pretokenizer_run(p, at + 1, end, UNICODE_LETTER);
    body = p->code[at] == ' ' ? at + 1 : at;
    if (body < end && pretokenizer_is_sign(p->kind[body])) {
        body = pretokenizer_signs(p, body, end);
        while (body < end && pretokenizer_is_line_end(p->code[body])) body++;
        return body;
    }
    return pretokenizer_lines(p, at, end);
}

/* What the default rules keep apart from words: punctuation and a few ASCII signs. */
static int pretokenizer_is_mark(const pretokenizer *p, size_t at)
{
    return p->kind[at] == UNICODE_PUNCTUATION ||
           (p->code[at] < 0x80 && p->code[at] && strchr("$+<=>^~|", (int)p->code[at]));
}

/* First stage: the end of the piece that starts here. */
static size_t pretokenizer_piece(const pretokenizer *p)
{
    size_t end = p->at;
    if (p->rules == PRETOKENIZER_SMOLLM) {
        if (p->kind[end] == UNICODE_NUMBER) return end + 1;
        while (end < p->count && p->kind[end] != UNICODE_NUMBER) end++;
        return end;
    }
    if (p->rules == PRETOKENIZER_DEFAULT) {
        int mark = pretokenizer_is_mark(p, end);
        while (end < p->count && pretokenizer_is_mark(p, end) == mark) end++;
        return end;
    }
    return p->count;
}

static int pretokenizer_is_digit(uint32_t code) { return code >= '0' && code <= '9'; }

/* The default rules cut a word before its numbers, and its numbers at three ASCII digits. */
static size_t pretokenizer_default_word(const pretokenizer *p, size_t at, size_t end)
{
    size_t stop = at;
    if (p->kind[at] != UNICODE_NUMBER) {
        while (stop < end && p->kind[stop] != UNICODE_NUMBER) stop++;
        return stop;
    }
    for (stop = at; stop + 3 <= end; ++stop)
        if (pretokenizer_is_digit(p->code[stop]) && pretokenizer_is_digit(p->code[stop + 1]) &&
            pretokenizer_is_digit(p->code[stop + 2]))
            return stop == at ? at + 3 : stop;
    return end;
}

/* Cuts off the next word and returns its end. */
static size_t pretokenizer_next(pretokenizer *p)
{
    size_t at = p->at, end;
    if (at >= p->piece_end) p->piece_end = pretokenizer_piece(p);
    end = p->piece_end;
    if (p->rules == PRETOKENIZER_LLAMA3) {
        p->at = pretokenizer_llama3_word(p, at, end, 3);
    } else if (p->rules == PRETOKENIZER_QWEN2) {
        p->at = pretokenizer_llama3_word(p, at, end, 1);
    } else {
        if (at >= p->word_end) p->word_end = pretokenizer_gpt2_word(p, at, end);
        p->at = p->rules == PRETOKENIZER_DEFAULT ? pretokenizer_default_word(p, at, p->word_end)
                                                 : p->word_end;
    }
    return p->at;
}

#endif
