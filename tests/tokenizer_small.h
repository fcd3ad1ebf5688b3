/* The frame of the tokenizer's tests: counting, and a small vocabulary to build on. */
#ifndef TOKENIZER_SMALL_H
#define TOKENIZER_SMALL_H

#include <stdarg.h>
#include "../examples/decode/tokenizer.h"

static int passed, failed;

static void check(int ok, const char *format, ...)
{
    va_list arguments;
    if (ok) {
        passed++;
        return;
    }
    failed++;
    va_start(arguments, format);
    printf("FAILED: ");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
}

static vocab_text text_of(const char *word)
{
    vocab_text text = {word, strlen(word)};
    return text;
}

static int same_text(const tokenizer_text *have, const char *want)
{
    return have->size == strlen(want) && (have->size == 0 || !memcmp(have->data, want, have->size));
}

/* ---- A small vocabulary: 256 bytes (as the model writes them), then words, then merges ---- */

enum { MAX_TOKENS = 400, MAX_MERGES = 64 };

typedef struct small {
    char bytes[256][8];
    vocab_text tokens[MAX_TOKENS], merges[MAX_MERGES];
    float scores[MAX_TOKENS];
    int32_t types[MAX_TOKENS];
    char joined[MAX_MERGES][32];
    tokenizer_spec spec;
} small;

static int32_t small_token(small *s, const char *word, int32_t type, float score)
{
    int32_t id = (int32_t)s->spec.token_count++;
    s->tokens[id] = text_of(word);
    s->types[id] = type;
    s->scores[id] = score;
    return id;
}

static void small_start(small *s, const char *model, const char *pre)
{
    uint32_t alphabet[256];
    int is_bpe = strcmp(model, "gpt2") == 0;
    memset(s, 0, sizeof *s);
    tokenizer_spec_init(&s->spec);
    unicode_byte_alphabet(alphabet);
    for (int i = 0; i < 256; ++i) {
        if (is_bpe)
            s->bytes[i][unicode_write(alphabet[i], s->bytes[i])] = 0;
        else
            snprintf(s->bytes[i], sizeof s->bytes[i], "<0x%02X>", i);
        small_token(s, s->bytes[i], is_bpe ? 1 : 6, 0);
    }
    s->spec.model = text_of(model);
    s->spec.pre = text_of(pre);
    s->spec.tokens = s->tokens;
    s->spec.types = s->types;
    s->spec.scores = s->scores;
    s->spec.merges = s->merges;
    s->spec.bos = s->spec.eos = 0;
}

/* "left right": a merge, and its result as a token. */
static int32_t small_merge(small *s, const char *line)
{
    size_t i = s->spec.merge_count++, left = strcspn(line, " ");
    snprintf(s->joined[i], sizeof s->joined[i], "%.*s%s", (int)left, line, line + left + 1);
    s->merges[i] = text_of(line);
    return small_token(s, s->joined[i], 1, 0);
}

static void small_create(tokenizer *t, small *s)
{
    char err[256] = "";
    int status = tokenizer_create(t, &s->spec, err, sizeof err);
    check(status == 0, "a good vocabulary is refused: %s", err);
    if (status != 0) exit(1);
}

/* Encodes and compares with `count` ids. The text is copied so that a read past it is seen. */
static void expect(const tokenizer *t, const char *text, size_t size, int flags, int count, ...)
{
    tokenizer_ids ids = {0};
    va_list want;
    char *copy = (char *)malloc(size ? size : 1);
    int same;
    memcpy(copy, text, size);
    same =
        tokenizer_encode(t, copy, size, flags, &ids) == TOKENIZER_OK && ids.count == (size_t)count;
    va_start(want, count);
    for (int i = 0; i < count && same; ++i) same = ids.data[i] == va_arg(want, int);
    va_end(want);
    check(same, "\"%s\" (flags %d) gives %zu tokens, first %d; expected %d", text, flags, ids.count,
          ids.count ? (int)ids.data[0] : -1, count);
    free(copy);
    free(ids.data);
}

#define EXPECT(t, text, flags, ...)                                                            \
    expect(t, text, sizeof text - 1, flags, (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), \
           __VA_ARGS__)
#define EXPECT_NONE(t, text, flags) expect(t, text, sizeof text - 1, flags, 0)

static void expect_text(const tokenizer *t, int32_t first, int32_t second, int show,
                        const char *want)
{
    tokenizer_text out = {0};
    int32_t ids[2];
    ids[0] = first;
    ids[1] = second;
    check(tokenizer_decode(t, ids, 2, show, &out) == TOKENIZER_OK && same_text(&out, want),
          "tokens %d and %d give \"%.*s\", expected \"%s\"", (int)first, (int)second, (int)out.size,
          out.data ? out.data : "", want);
    free(out.data);
}

#endif
