/* Byte-level BPE: the bytes of a word merge pair by pair, the pair of lowest rank first. */
#ifndef BPE_H
#define BPE_H

#include "merge.h"
#include "unicode.h"

/* Two tokens that merge; the rank is the place in the list. */
typedef struct bpe_merge {
    int32_t left, right, merged;
} bpe_merge;

typedef struct bpe {
    const vocab *words;
    bpe_merge *merges;
    int32_t *slots;
    size_t mask;
    int32_t byte_id[256]; /* -1: the vocabulary lacks the byte and it vanishes */
    int whole_words;      /* a word that is a token needs no merging (Llama 3) */
} bpe;

static void bpe_free(bpe *b)
{
    free(b->merges);
    free(b->slots);
    memset(b, 0, sizeof *b);
}

static size_t bpe_slot(const bpe *b, int32_t left, int32_t right)
{
    uint64_t key = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9e3779b97f4a7c15u;
    size_t slot = (size_t)(key >> 24) & b->mask;
    while (b->slots[slot] >= 0) {
        const bpe_merge *have = &b->merges[b->slots[slot]];
        if (have->left == left && have->right == right) break;
        slot = (slot + 1) & b->mask;
    }
    return slot;
}

/* "left right" -> ids; both and their concatenation must be tokens. */
static int bpe_parse_merge(const bpe *b, vocab_text line, bpe_merge *merge, tokenizer_text *joined)
{
    const char *space = line.size > 1 ? (const char *)memchr(line.data + 1, ' ', line.size - 1) : 0;
    size_t left, right;
    if (!space) return 0;
    left = (size_t)(space - line.data);
    right = line.size - left - 1;
    joined->size = 0;
    if (!tokenizer_append(joined, line.data, left) || !tokenizer_append(joined, space + 1, right))
        return 0;
    merge->left = vocab_find(b->words, line.data, left);
    merge->right = vocab_find(b->words, space + 1, right);
    merge->merged = vocab_find(b->words, joined->data, joined->size);
    return merge->left >= 0 && merge->right >= 0 && merge->merged >= 0;
}

static int bpe_create(bpe *b, const vocab *words, int whole_words, const vocab_text *merges,
                      size_t count, char *err, size_t errlen)
{
    uint32_t alphabet[256];
    tokenizer_text joined = {0};
    size_t slots = vocab_slot_count(count);
    memset(b, 0, sizeof *b);
    b->words = words;
    b->whole_words = whole_words;
    unicode_byte_alphabet(alphabet);
    for (int byte = 0; byte < 256; ++byte) {
        char text[4];
        b->byte_id[byte] = vocab_find(words, text, unicode_write(alphabet[byte], text));
    }
    b->merges = (bpe_merge *)malloc((count + 1) * sizeof *b->merges);
    b->slots = (int32_t *)malloc(slots * sizeof *b->slots);
    if (!b->merges || !b->slots) {
        snprintf(err, errlen, "out of memory for %zu merges", count);
        return 0;
    }
    memset(b->slots, 0xff, slots * sizeof *b->slots);
    b->mask = slots - 1;
    for (size_t i = 0; i < count; ++i) {
        bpe_merge *merge = &b->merges[i];
        size_t slot;
        if (!bpe_parse_merge(b, merges[i], merge, &joined)) {
            int shown = merges[i].size > 60 ? 60 : (int)merges[i].size;
            snprintf(err, errlen, "merge %zu, \"%.*s\", does not name two tokens that make a third",
                     i, shown, merges[i].data);
            free(joined.data);
            return 0;
        }
        slot = bpe_slot(b, merge->left, merge->right);
        if (b->slots[slot] < 0) b->slots[slot] = (int32_t)i;
    }
    free(joined.data);
    return 1;
}

static int bpe_rule(const void *rules, const merge_symbol *left, const merge_symbol *right,
                    double *cost, int32_t *id)
{
    const bpe *b = (const bpe *)rules;
    int32_t rank;
    if (left->id < 0 || right->id < 0) return 0;
    rank = b->slots[bpe_slot(b, left->id, right->id)];
    if (rank < 0) return 0;
    *cost = rank;
    *id = b->merges[rank].merged;
    return 1;
}

/* Looks a whole word up, written in the byte alphabet; *id is -1 if it is no token. 0 when memory
   ran out. */
static int bpe_whole_word(const bpe *b, const char *word, size_t size, tokenizer_text *spelled,
                          int32_t *id)
{
    uint32_t alphabet[256];
    *id = -1;
    if (!b->whole_words || size > b->words->longest) return 1;
    unicode_byte_alphabet(alphabet);
    spelled->size = 0;
    for (size_t i = 0; i < size; ++i) {
        char text[4];
        size_t length = unicode_write(alphabet[(unsigned char)word[i]], text);
        if (!tokenizer_append(spelled, text, length)) return 0;
    }
    *id = vocab_find(b->words, spelled->data, spelled->size);
    return 1;
}

/* Appends the tokens of one word (UTF-8); 0 when memory ran out. */
static int bpe_encode_word(const bpe *b, const char *word, size_t size, merge_work *work,
                           tokenizer_text *spelled, tokenizer_ids *ids)
{
    int32_t whole;
    if (!bpe_whole_word(b, word, size, spelled, &whole)) return 0;
    if (whole >= 0) return tokenizer_push(ids, whole);
    work->count = 0;
    for (size_t i = 0; i < size; ++i)
        if (!merge_add_symbol(work, (uint32_t)i, 1, b->byte_id[(unsigned char)word[i]])) return 0;
    if (!merge_run(work, bpe_rule, b)) return 0;
    for (int32_t i = 0; i >= 0 && (size_t)i < work->count; i = work->symbols[i].next)
        if (work->symbols[i].id >= 0 && !tokenizer_push(ids, work->symbols[i].id)) return 0;
    return 1;
}

#endif
