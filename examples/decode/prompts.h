/* prompts.h -- the prompts of a run as token ids: texts, files, chat turns, or the demonstration.
 */
#ifndef DECODE_PROMPTS_H
#define DECODE_PROMPTS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat.h"
#include "files.h"
#include "options.h"
#include "tokenizer_gguf.h"

typedef struct prompt {
    vocab_text text; /* of a command line, or inside a file that the set holds */
    tokenizer_ids ids;
} prompt;

typedef struct prompt_set {
    prompt *list;
    int32_t count;
    char **files; /* what has been read */
    int32_t file_count;
} prompt_set;

static void prompts_free(prompt_set *set)
{
    for (int32_t i = 0; i < set->count; i++) free(set->list[i].ids.data);
    for (int32_t i = 0; i < set->file_count; i++) free(set->files[i]);
    free(set->list);
    free(set->files);
    memset(set, 0, sizeof *set);
}

static int prompts_no_memory(char *err, size_t errlen)
{
    snprintf(err, errlen, "out of memory for the prompts");
    return -1;
}

static int prompts_read_file(prompt_set *set, const char *path, vocab_text *text, char *err,
                             size_t errlen)
{
    char *data;
    size_t size;
    if (files_read(path, &data, &size, err, errlen) != 0) return -1;
    set->files[set->file_count++] = data;
    if (size > 0 && data[size - 1] == '\n') size--;
    text->data = data;
    text->size = size;
    return 0;
}

/* The demonstration's prompts stand between lines of three dashes. */
static int prompts_demo(prompt_set *set, const char *program, char *err, size_t errlen)
{
    static const char name[] = "demo_prompts.txt", border[] = "\n---\n";
    char path[FILES_PATH];
    vocab_text rest;
    int32_t count = 1;
    if (files_find(name, program, path, sizeof path) != 0) {
        snprintf(err, errlen, "no prompt: give -p TEXT or -f FILE (examples/%s was not found)",
                 name);
        return -1;
    }
    set->files = (char **)malloc(sizeof *set->files);
    if (!set->files) return prompts_no_memory(err, errlen);
    if (prompts_read_file(set, path, &rest, err, errlen) != 0) return -1;
    for (const char *at = rest.data; (at = strstr(at, border)) != NULL; at++) count++;
    set->list = (prompt *)calloc((size_t)count, sizeof *set->list);
    if (!set->list) return prompts_no_memory(err, errlen);
    while (set->count < count) {
        const char *end = set->count + 1 < count ? strstr(rest.data, border) : NULL;
        vocab_text one = {rest.data, end ? (size_t)(end - rest.data) : rest.size};
        set->list[set->count++].text = one;
        if (!end) break;
        rest.size -= one.size + sizeof border - 1;
        rest.data = end + sizeof border - 1;
    }
    return 0;
}

/* The texts that the options name; prompts_free is right after a failure too. */
static int prompts_gather(prompt_set *set, const options *o, const char *program, char *err,
                          size_t errlen)
{
    memset(set, 0, sizeof *set);
    if (o->prompt_count == 0) return prompts_demo(set, program, err, errlen);
    set->list = (prompt *)calloc((size_t)o->prompt_count, sizeof *set->list);
    set->files = (char **)malloc((size_t)o->prompt_count * sizeof *set->files);
    if (!set->list || !set->files) return prompts_no_memory(err, errlen);
    for (int32_t i = 0; i < o->prompt_count; i++) {
        const char *value = o->prompts[i].value;
        vocab_text text = {value, strlen(value)};
        if (o->prompts[i].is_file && prompts_read_file(set, value, &text, err, errlen) != 0)
            return -1;
        set->list[set->count++].text = text;
    }
    return 0;
}

static int prompts_encode_text(const tokenizer *t, vocab_text text, int flags, tokenizer_ids *ids,
                               char *err, size_t errlen)
{
    int status = tokenizer_encode(t, text.data, text.size, flags, ids);
    if (status == TOKENIZER_OK) return 0;
    snprintf(err, errlen, "cannot tokenize: %s", tokenizer_status_text(status));
    return -1;
}

/* One user's message in the model's chat template. */
static int prompts_encode_chat(const tokenizer *t, const chat *c, prompt *p, char *err,
                               size_t errlen)
{
    const chat_message message = {"user", p->text};
    tokenizer_text turn = {0};
    int status = chat_apply(c, &message, 1, 1, &turn, err, errlen);
    vocab_text text = {turn.data, turn.size};
    if (status == 0)
        status = prompts_encode_text(t, text, TOKENIZER_ADD_SPECIAL | TOKENIZER_PARSE_SPECIAL,
                                     &p->ids, err, errlen);
    free(turn.data);
    return status;
}

static int prompts_encode(prompt_set *set, const options *o, const tokenizer *t,
                          const gguf_file *file, char *err, size_t errlen)
{
    const int flags = TOKENIZER_ADD_SPECIAL | (o->parse_special ? TOKENIZER_PARSE_SPECIAL : 0);
    const vocab_text none = {"", 0};
    chat c = {0};
    int status = 0;
    if (o->chat)
        status = chat_detect(&c, tokenizer_gguf_chat_template(file),
                             t->eos >= 0 ? vocab_get(&t->words, t->eos) : none, err, errlen);
    for (int32_t i = 0; status == 0 && i < set->count; i++) {
        prompt *p = &set->list[i];
        status = o->chat ? prompts_encode_chat(t, &c, p, err, errlen)
                         : prompts_encode_text(t, p->text, flags, &p->ids, err, errlen);
        if (o->last_tokens > 0 && p->ids.count > (size_t)o->last_tokens) {
            size_t cut = p->ids.count - (size_t)o->last_tokens;
            memmove(p->ids.data, p->ids.data + cut, (size_t)o->last_tokens * sizeof *p->ids.data);
            p->ids.count = (size_t)o->last_tokens;
        }
    }
    chat_free(&c);
    return status;
}

#endif /* DECODE_PROMPTS_H */
