/* output.h -- results in the order of the prompts: the first unfinished one streams to stdout, the
 * others wait in memory. Everything else is said on stderr. */
#ifndef DECODE_OUTPUT_H
#define DECODE_OUTPUT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "batch.h"
#include "options.h"
#include "tokenizer.h"

enum { OUTPUT_SHOWN_HEAD = 160, OUTPUT_SHOWN_TAIL = 400, OUTPUT_LONG_PROMPT = 1024 };

typedef struct result {
    tokenizer_text text; /* not yet printed */
    vocab_text prompt;
    int ended, begun; /* begun: something of it is on stdout */
    char last;        /* byte printed */
} result;

typedef struct output {
    const tokenizer *words;
    const options *how;
    result *results;
    int32_t count, current;
    int64_t prompt_tokens; /* of all prompts */
    int64_t progress_shown;
    int progress_line; /* a line without end is on the terminal */
    int out_of_memory;
} output;

static void output_clear_progress(output *o)
{
    if (o->progress_line) fputs("\r\033[K", stderr);
    o->progress_line = 0;
}

/* Bytes of UTF-8 text that may be cut off so that no character is cut. */
static size_t output_character_start(vocab_text text, size_t at)
{
    while (at > 0 && at < text.size && ((unsigned char)text.data[at] & 0xC0) == 0x80) at--;
    return at;
}

/* The prompt, long ones without their middle, so that on a terminal the text follows it. */
static void output_show_prompt(const output *o, vocab_text text)
{
    size_t head = text.size, tail = text.size;
    if (text.size > OUTPUT_SHOWN_HEAD + OUTPUT_SHOWN_TAIL + 100) {
        head = output_character_start(text, OUTPUT_SHOWN_HEAD);
        tail = output_character_start(text, text.size - OUTPUT_SHOWN_TAIL);
    }
    if (o->count > 1) fprintf(stderr, "[%d of %d] ", (int)o->current + 1, (int)o->count);
    fwrite(text.data, 1, head, stderr);
    if (head < tail) fprintf(stderr, " [... %zu bytes ...] ", tail - head);
    fwrite(text.data + tail, 1, text.size - tail, stderr);
}

static void output_flush(output *o, result *r)
{
    if (!r->begun) {
        output_clear_progress(o);
        if (!o->how->quiet) output_show_prompt(o, r->prompt);
        r->begun = 1;
    }
    if (r->text.size == 0) return;
    fwrite(r->text.data, 1, r->text.size, stdout);
    fflush(stdout);
    r->last = r->text.data[r->text.size - 1];
    r->text.size = 0;
}

/* Ends the line of a result and separates it from the next. */
static void output_close(output *o, result *r)
{
    if (r->last != '\n' && (r->last || o->how->ids)) putchar('\n');
    if (!o->how->ids && o->current + 1 < o->count) puts("---");
    fflush(stdout);
    if (!o->how->quiet) fputc('\n', stderr);
    free(r->text.data);
    memset(&r->text, 0, sizeof r->text);
}

/* batch.on_token: token -1 ends a result. */
static void output_token(output *o, int32_t index, int32_t token)
{
    result *r = &o->results[index];
    char number[16];
    if (token < 0) {
        r->ended = 1;
    } else if (o->how->ids) {
        int length = snprintf(number, sizeof number, "%s%d", r->last ? " " : "", (int)token);
        if (!tokenizer_append(&r->text, number, (size_t)length)) o->out_of_memory = 1;
        r->last = number[length - 1];
    } else if (tokenizer_piece(o->words, token, 0, &r->text) == TOKENIZER_NO_MEMORY) {
        o->out_of_memory = 1;
    }
    if (index != o->current) return;
    for (; o->current < o->count; o->current++) {
        result *now = &o->results[o->current];
        if (now->text.size > 0 || now->ended) output_flush(o, now);
        if (!now->ended) return;
        output_close(o, now);
    }
}

/* batch.on_progress: how much of the prompts is read, until the first text appears. */
static void output_progress(output *o, int64_t tokens_read)
{
    const int terminal = isatty(2);
    int64_t step = terminal ? 1 : o->prompt_tokens / 4;
    if (o->how->quiet || o->current > 0 || o->results[0].begun) return;
    if (o->prompt_tokens < OUTPUT_LONG_PROMPT && !terminal) return;
    if (tokens_read < o->progress_shown + step || tokens_read >= o->prompt_tokens) return;
    o->progress_shown = tokens_read;
    o->progress_line = terminal;
    fprintf(stderr, "%sreading: %lld of %lld tokens%s", terminal ? "\r" : "",
            (long long)tokens_read, (long long)o->prompt_tokens, terminal ? "" : "\n");
}

/* What an interrupted run has, in order. */
static void output_interrupt(output *o)
{
    output_clear_progress(o);
    for (; o->current < o->count; o->current++) {
        result *r = &o->results[o->current];
        if (r->text.size == 0 && !r->begun) continue;
        output_flush(o, r);
        output_close(o, r);
    }
}

#endif /* DECODE_OUTPUT_H */
