/* The vocabulary: token texts with a hash index, and the growable lists that the tokenizer fills.
 */
#ifndef VOCAB_H
#define VOCAB_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes that someone else owns; not terminated. */
typedef struct vocab_text {
    const char *data;
    size_t size;
} vocab_text;

/* A list of token ids; zero-initialise it, free its data. `steps` counts queue operations. */
typedef struct tokenizer_ids {
    int32_t *data;
    size_t count, capacity;
    uint64_t steps;
} tokenizer_ids;

/* Text under construction; zero-initialise it, free its data. */
typedef struct tokenizer_text {
    char *data;
    size_t size, capacity;
} tokenizer_text;

typedef struct vocab {
    char *bytes;
    size_t *start; /* count + 1 offsets into bytes */
    int32_t *slots;
    size_t mask;
    int32_t count;
    size_t longest;
} vocab;

/* Makes room for `need` items by doubling; 0 when memory ran out. */
static int vocab_reserve(void **data, size_t *capacity, size_t need, size_t item)
{
    size_t room = *capacity ? *capacity : 16;
    void *grown;
    if (need <= *capacity) return 1;
    while (room < need) {
        if (room > SIZE_MAX / 2) return 0;
        room *= 2;
    }
    if (room > SIZE_MAX / item) return 0;
    grown = realloc(*data, room * item);
    if (!grown) return 0;
    *data = grown;
    *capacity = room;
    return 1;
}

static int tokenizer_push(tokenizer_ids *ids, int32_t id)
{
    void *data = ids->data;
    if (!vocab_reserve(&data, &ids->capacity, ids->count + 1, sizeof *ids->data)) return 0;
    ids->data = (int32_t *)data;
    ids->data[ids->count++] = id;
    return 1;
}

static int tokenizer_append(tokenizer_text *text, const char *data, size_t size)
{
    void *grown = text->data;
    if (size == 0) return 1;
    if (size > SIZE_MAX - text->size ||
        !vocab_reserve(&grown, &text->capacity, text->size + size, 1))
        return 0;
    text->data = (char *)grown;
    memcpy(text->data + text->size, data, size);
    text->size += size;
    return 1;
}

static uint64_t vocab_hash(const char *text, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; ++i) hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3u;
    return hash ^ hash >> 29;
}

/* Power of two with at least twice as many slots as items. */
static size_t vocab_slot_count(size_t items)
{
    size_t slots = 16;
    while (slots < 2 * items) slots *= 2;
    return slots;
}

static vocab_text vocab_get(const vocab *v, int32_t id)
{
    vocab_text text = {v->bytes + v->start[id], v->start[id + 1] - v->start[id]};
    return text;
}

/* The slot that holds the text, or the empty slot where it belongs. */
static size_t vocab_slot(const vocab *v, const char *text, size_t size)
{
    size_t slot = (size_t)vocab_hash(text, size) & v->mask;
    while (v->slots[slot] >= 0) {
        vocab_text have = vocab_get(v, v->slots[slot]);
        if (have.size == size && memcmp(have.data, text, size) == 0) break;
        slot = (slot + 1) & v->mask;
    }
    return slot;
}

/* The id of a token by its text, or -1. */
static int32_t vocab_find(const vocab *v, const char *text, size_t size)
{
    return size > v->longest ? -1 : v->slots[vocab_slot(v, text, size)];
}

static void vocab_free(vocab *v)
{
    free(v->bytes);
    free(v->start);
    free(v->slots);
    memset(v, 0, sizeof *v);
}

/* Tokens without text get a name of their own, as in llama.cpp. */
static int vocab_copy(vocab *v, const vocab_text *tokens, size_t count)
{
    tokenizer_text all = {0};
    for (size_t i = 0; i < count; ++i) {
        char empty[32];
        vocab_text text = tokens[i];
        if (text.size == 0) {
            text.size = (size_t)snprintf(empty, sizeof empty, "[EMPTY_%zu]", i);
            text.data = empty;
        }
        v->start[i] = all.size;
        if (!tokenizer_append(&all, text.data, text.size)) {
            free(all.data);
            return 0;
        }
        if (text.size > v->longest) v->longest = text.size;
    }
    v->start[count] = all.size;
    v->bytes = all.data;
    v->count = (int32_t)count;
    return 1;
}

/* Copies the texts and indexes them. Two tokens with one text are an error. */
static int vocab_create(vocab *v, const vocab_text *tokens, size_t count, char *err, size_t errlen)
{
    size_t slots = vocab_slot_count(count);
    memset(v, 0, sizeof *v);
    v->start = (size_t *)malloc((count + 1) * sizeof *v->start);
    v->slots = (int32_t *)malloc(slots * sizeof *v->slots);
    if (!v->start || !v->slots || !vocab_copy(v, tokens, count)) {
        snprintf(err, errlen, "out of memory for %zu tokens", count);
        return 0;
    }
    memset(v->slots, 0xff, slots * sizeof *v->slots);
    v->mask = slots - 1;
    for (int32_t id = 0; id < v->count; ++id) {
        vocab_text text = vocab_get(v, id);
        size_t slot = vocab_slot(v, text.data, text.size);
        if (v->slots[slot] >= 0) {
            snprintf(err, errlen, "tokens %d and %d have the same text \"%.*s\"",
                     (int)v->slots[slot], (int)id, text.size > 40 ? 40 : (int)text.size, text.data);
            return 0;
        }
        v->slots[slot] = id;
    }
    return 1;
}

#endif
