/* options.h -- the command line of the decode loop: one table of rows, read and checked before
 * anything is loaded.
 *
 *   options o;
 *   char err[256];
 *   if (options_parse(&o, argc, argv, err, sizeof err) != 0) { puts(err); return 2; }
 *   options_free(&o);                                                    also after a failure
 */
#ifndef DECODE_OPTIONS_H
#define DECODE_OPTIONS_H

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache_type.h"

enum { OPTIONS_MAX_THREADS = 1024, OPTIONS_MAX_PAGE = 4096, OPTIONS_MAX_TOKENS = 1 << 30 };

typedef struct prompt_source {
    const char *value;
    int is_file;
} prompt_source;

typedef struct options {
    const char *model;      /* NULL: the model of the repository */
    prompt_source *prompts; /* in the order given */
    int32_t prompt_count;
    int32_t n_predict; /* -1: until the model ends its text or the context is full */
    int32_t ctx_size;  /* 0: as the model and the prompts need */
    int32_t threads;   /* 0: the CPUs that this process may use */
    int64_t seed;
    float temp, top_p;
    int32_t cache_type;
    int32_t page_size;
    int32_t last_tokens; /* 0: the whole prompt */
    const char *tokenize, *perplexity;
    const char *device, *kernels; /* NULL: the CPU; the folder of compiled kernels */
    int32_t chat, ids, parse_special, quiet, version, help;
} options;

enum option_kind {
    OPTION_FLAG,
    OPTION_WHOLE,
    OPTION_SEED,
    OPTION_REAL,
    OPTION_TEXT,
    OPTION_PROMPT,
    OPTION_FILE,
    OPTION_CACHE,
    OPTION_DEVICE
};

typedef struct option_row {
    const char *brief, *name, *value;
    enum option_kind kind;
    size_t offset;
    double least, most;
    const char *help;
} option_row;

#define OPTION_AT(field) offsetof(options, field)
static const option_row option_rows[] = {
    {"-m", "--model", "FILE", OPTION_TEXT, OPTION_AT(model), 0, 0,
     "a GGUF model (default: examples/small.gguf of this repository)"},
    {"-p", "--prompt", "TEXT", OPTION_PROMPT, 0, 0, 0, "a prompt; repeat it for several"},
    {"-f", "--file", "FILE", OPTION_FILE, 0, 0, 0,
     "a prompt from a file, less one newline at its end; repeatable"},
    {"-n", "--n-predict", "N", OPTION_WHOLE, OPTION_AT(n_predict), -1, OPTIONS_MAX_TOKENS,
     "tokens to generate (default 256; -1: until the text ends or the context is full)"},
    {"-c", "--ctx-size", "N", OPTION_WHOLE, OPTION_AT(ctx_size), 0, OPTIONS_MAX_TOKENS,
     "tokens that the cache holds, for all prompts together (default 0: as needed, each\n"
     "                          prompt up to the context that the model was trained for)"},
    {"-t", "--threads", "N", OPTION_WHOLE, OPTION_AT(threads), 1, OPTIONS_MAX_THREADS,
     "threads (default: the CPUs that this process may use)"},
    {"-s", "--seed", "N", OPTION_SEED, OPTION_AT(seed), -1, UINT32_MAX,
     "seed of the sampler (default 1; -1: from the clock)"},
    {NULL, "--temp", "T", OPTION_REAL, OPTION_AT(temp), 0, 1e6,
     "temperature (default 0: always the likeliest token)"},
    {NULL, "--top-p", "P", OPTION_REAL, OPTION_AT(top_p), 1e-30, 1,
     "draw from the likeliest tokens whose probabilities reach P (default 1)"},
    {NULL, "--chat", NULL, OPTION_FLAG, OPTION_AT(chat), 0, 0,
     "each prompt is a user's message in the model's chat template"},
    {NULL, "--cache-type", "TYPE", OPTION_CACHE, OPTION_AT(cache_type), 0, 0,
     "f32, f16, bf16, int8, fp8 or int4 (default f16)"},
    {NULL, "--page-size", "N", OPTION_WHOLE, OPTION_AT(page_size), 1, OPTIONS_MAX_PAGE,
     "tokens in a page of the cache (default 16)"},
    {NULL, "--device", "NAME", OPTION_DEVICE, OPTION_AT(device), 0, 0,
     "attention and cache on a GPU: hip or cuda (compiled with -DDECODE_USE_GPU)"},
    {NULL, "--kernels", "FOLDER", OPTION_TEXT, OPTION_AT(kernels), 0, 0,
     "where the compiled GPU kernels are"},
    {NULL, "--last-tokens", "N", OPTION_WHOLE, OPTION_AT(last_tokens), 1, OPTIONS_MAX_TOKENS,
     "give the model only the last N tokens of each prompt"},
    {NULL, "--ids", NULL, OPTION_FLAG, OPTION_AT(ids), 0, 0,
     "print token ids instead of text, one line for each prompt"},
    {NULL, "--tokenize", "FILE", OPTION_TEXT, OPTION_AT(tokenize), 0, 0,
     "print the token ids of a file and stop"},
    {NULL, "--parse-special", NULL, OPTION_FLAG, OPTION_AT(parse_special), 0, 0,
     "texts like <|im_start|> in a prompt or file become special tokens"},
    {NULL, "--perplexity", "FILE", OPTION_TEXT, OPTION_AT(perplexity), 0, 0,
     "print the mean negative log likelihood of a file's tokens and stop"},
    {NULL, "--quiet", NULL, OPTION_FLAG, OPTION_AT(quiet), 0, 0, "errors only on stderr"},
    {NULL, "--version", NULL, OPTION_FLAG, OPTION_AT(version), 0, 0, "print the version and stop"},
    {"-h", "--help", NULL, OPTION_FLAG, OPTION_AT(help), 0, 0, "print this and stop"},
};
#undef OPTION_AT
enum { OPTION_ROWS = sizeof option_rows / sizeof option_rows[0] };

static void options_usage(FILE *out, const char *program)
{
    fprintf(out, "usage: %s [options]\n\nGenerates text with a GGUF model.\n\n", program);
    for (int i = 0; i < OPTION_ROWS; i++) {
        const option_row *row = &option_rows[i];
        char names[64];
        snprintf(names, sizeof names, "%s%s%s%s%s", row->brief ? row->brief : "",
                 row->brief ? ", " : "    ", row->name, row->value ? " " : "",
                 row->value ? row->value : "");
        fprintf(out, "  %-22s  %s\n", names, row->help);
    }
    fprintf(out, "\nThe text goes to stdout, everything else to stderr. Exit status: 0, 1 (a file\n"
                 "cannot be read or used), 2 (a bad option or size), 130 (Ctrl-C).\n");
}

static int option_whole(const char *text, double least, double most, int64_t *value)
{
    char *end;
    errno = 0;
    long long parsed = strtoll(text, &end, 10);
    if (end == text || *end || errno || (double)parsed < least || (double)parsed > most) return -1;
    *value = parsed;
    return 0;
}

static int option_real(const char *text, double least, double most, float *value)
{
    char *end;
    double parsed = strtod(text, &end);
    /* The comparison also refuses NaN. */
    if (end == text || *end || !(parsed >= least && parsed <= most)) return -1;
    *value = (float)parsed;
    return 0;
}

/* Stores one value; -1 with the text of what was expected. */
static int option_store(options *o, const option_row *row, const char *text, char *err,
                        size_t errlen)
{
    char *field = (char *)o + row->offset;
    int64_t whole;
    if (row->kind == OPTION_WHOLE || row->kind == OPTION_SEED) {
        if (option_whole(text, row->least, row->most, &whole) != 0) {
            snprintf(err, errlen, "%s: got '%.40s', expected a whole number from %.0f to %.0f",
                     row->name, text, row->least, row->most);
            return -1;
        }
        if (row->kind == OPTION_SEED)
            memcpy(field, &whole, sizeof whole);
        else
            *(int32_t *)field = (int32_t)whole;
    } else if (row->kind == OPTION_REAL) {
        if (option_real(text, row->least, row->most, (float *)field) != 0) {
            snprintf(err, errlen, "%s: got '%.40s', expected a number %s", row->name, text,
                     row->least > 0 ? "above 0 and at most 1" : "from 0 to 1000000");
            return -1;
        }
    } else if (row->kind == OPTION_CACHE) {
        int32_t type = 0;
        while (type < CACHE_TYPES && strcmp(text, cache_type_name(type)) != 0) type++;
        if (type == CACHE_TYPES) {
            snprintf(err, errlen, "%s: got '%.40s', expected f32, f16, bf16, int8, fp8 or int4",
                     row->name, text);
            return -1;
        }
        *(int32_t *)field = type;
    } else if (row->kind == OPTION_DEVICE) {
        if (strcmp(text, "hip") != 0 && strcmp(text, "cuda") != 0) {
            snprintf(err, errlen, "%s: got '%.40s', expected hip or cuda", row->name, text);
            return -1;
        }
        *(const char **)field = text;
    } else if (row->kind == OPTION_TEXT) {
        *(const char **)field = text;
    } else {
        prompt_source source = {text, row->kind == OPTION_FILE};
        o->prompts[o->prompt_count++] = source;
    }
    return 0;
}

/* The row that `argument` names, and for --name=value where the value starts. */
static const option_row *option_find(const char *argument, const char **value)
{
    *value = NULL;
    for (int i = 0; i < OPTION_ROWS; i++) {
        const option_row *row = &option_rows[i];
        size_t length = strlen(row->name);
        if (row->brief && strcmp(argument, row->brief) == 0) return row;
        if (strncmp(argument, row->name, length) != 0) continue;
        if (argument[length] == 0) return row;
        if (argument[length] == '=' && row->value) {
            *value = argument + length + 1;
            return row;
        }
    }
    return NULL;
}

static int options_check(const options *o, char *err, size_t errlen)
{
    const char *job = o->tokenize ? "--tokenize" : "--perplexity";
    if (o->tokenize && o->perplexity) {
        snprintf(err, errlen, "--tokenize and --perplexity: only one of them at a time");
        return -1;
    }
    if ((o->tokenize || o->perplexity) && o->prompt_count > 0) {
        snprintf(err, errlen, "%s takes its text from its own file: give no -p and no -f", job);
        return -1;
    }
    if (o->perplexity && o->ctx_size == 1) {
        snprintf(err, errlen, "--ctx-size: got 1, expected at least 2 with --perplexity");
        return -1;
    }
    return 0;
}

/* 0, or -1 with one line in err. */
static int options_parse(options *o, int argc, char **argv, char *err, size_t errlen)
{
    memset(o, 0, sizeof *o);
    o->n_predict = 256;
    o->seed = 1;
    o->top_p = 1;
    o->page_size = 16;
    o->prompts = (prompt_source *)malloc(((size_t)argc + 1) * sizeof *o->prompts);
    if (!o->prompts) {
        snprintf(err, errlen, "out of memory");
        return -1;
    }
    for (int i = 1; i < argc; i++) {
        const char *value;
        const option_row *row = option_find(argv[i], &value);
        if (!row) {
            snprintf(err, errlen, "unknown option '%.60s' (--help lists all)", argv[i]);
            return -1;
        }
        if (row->kind == OPTION_FLAG) {
            *(int32_t *)((char *)o + row->offset) = 1;
            continue;
        }
        if (!value && ++i < argc) value = argv[i];
        if (!value) {
            snprintf(err, errlen, "%s: a value is missing (%s)", row->name, row->value);
            return -1;
        }
        if (option_store(o, row, value, err, errlen) != 0) return -1;
    }
    if (o->seed < 0) o->seed = (int64_t)time(NULL);
    return options_check(o, err, errlen);
}

static void options_free(options *o)
{
    free(o->prompts);
    o->prompts = NULL;
}

#endif /* DECODE_OPTIONS_H */
