/* Special tokens: what each token of the vocabulary is, which end a generation, and where their
   texts stand in a prompt. */
#ifndef SPECIAL_H
#define SPECIAL_H

#include "vocab.h"

/* What a token is; the first six are the types of GGUF files. */
enum special_flags {
    SPECIAL_NORMAL = 1,
    SPECIAL_UNKNOWN = 2,
    SPECIAL_CONTROL = 4,
    SPECIAL_USER = 8,
    SPECIAL_UNUSED = 16,
    SPECIAL_BYTE = 32,
    SPECIAL_END = 64,  /* generation stops here */
    SPECIAL_EATS = 128 /* swallows the white space behind it (Phi-3) */
};

/* A tree over the texts of special tokens. */
typedef struct special_node {
    int32_t child, sibling;
    int32_t rank; /* place in the order of matching, or -1 */
    unsigned char byte;
} special_node;

/* A token's place in the order of matching: longer texts first. */
typedef struct special_entry {
    size_t size;
    int32_t id;
} special_entry;

typedef struct special_set {
    uint8_t *flags; /* one per token */
    special_entry *order;
    int32_t count;
    special_node *nodes;
    size_t node_count, node_capacity;
} special_set;

/* A special token found in a text: [start, end), and `next` where the text goes on. */
typedef struct special_match {
    size_t start, end, next;
    int32_t rank;
} special_match;

typedef struct special_matches {
    special_match *data;
    size_t count, capacity;
} special_matches;

/* Texts that mark the end of a turn or of the text, whatever the file calls them. */
static const char *const special_ends[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    ("<\xef\xbd\x9c"
     "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>"),
};
/* Fill-in-the-middle tokens: of each row the first that the vocabulary has ends a generation. */
static const char *const special_fill_ends[3][6] = {
    {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]", 0},
    {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>", 0},
    {"<|file_sep|>", 0, 0, 0, 0, 0},
};
/* Control tokens that some files list as ordinary text. */
static const char *const special_fills[] = {
    "<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<PRE>", "\xe2\x96\x81<PRE>",
    "<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<SUF>", "\xe2\x96\x81<SUF>",
    "<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<MID>", "\xe2\x96\x81<MID>",
};

static void special_free(special_set *s)
{
    free(s->flags);
    free(s->order);
    free(s->nodes);
    memset(s, 0, sizeof *s);
}

static int32_t special_mark(special_set *s, const vocab *words, const char *text, int flags)
{
    int32_t id = vocab_find(words, text, strlen(text));
    if (id >= 0) s->flags[id] |= (uint8_t)flags;
    return id;
}

/* Finds end-of-generation and control tokens by their text. `fill` are the ids that the file
   itself gives for the rows of special_fill_ends, or -1. */
static void special_mark_known(special_set *s, const vocab *words, const int64_t fill[3])
{
    for (size_t i = 0; i < sizeof special_ends / sizeof special_ends[0]; ++i)
        special_mark(s, words, special_ends[i], SPECIAL_CONTROL | SPECIAL_END);
    for (size_t i = 0; i < sizeof special_fills / sizeof special_fills[0]; ++i)
        special_mark(s, words, special_fills[i], SPECIAL_CONTROL);
    for (int row = 0; row < 3; ++row) {
        int32_t id = -1;
        if (fill[row] >= 0) s->flags[fill[row]] |= SPECIAL_END;
        for (int i = 0; fill[row] < 0 && id < 0 && special_fill_ends[row][i]; ++i)
            id = special_mark(s, words, special_fill_ends[row][i], SPECIAL_CONTROL | SPECIAL_END);
    }
}

/* Phi-3 files need this; their names are the only sign of it. */
static void special_mark_eaters(special_set *s, const vocab *words)
{
    static const char *const plain[] = {"<unk>", "<s>", "<|endoftext|>"};
    for (int32_t id = 0; id < words->count; ++id)
        if (s->flags[id] & (SPECIAL_CONTROL | SPECIAL_USER | SPECIAL_UNKNOWN))
            s->flags[id] |= SPECIAL_EATS;
    special_mark(s, words, "</s>", SPECIAL_EATS);
    for (int i = 0; i < 3; ++i) {
        int32_t id = vocab_find(words, plain[i], strlen(plain[i]));
        if (id >= 0) s->flags[id] &= (uint8_t)~SPECIAL_EATS;
    }
}

static int special_longer_first(const void *a, const void *b)
{
    const special_entry *x = (const special_entry *)a, *y = (const special_entry *)b;
    if (x->size != y->size) return x->size > y->size ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* The child of a node for a byte, made if asked for; -1 if there is none (or no memory). */
static int32_t special_child(special_set *s, int32_t node, unsigned char byte, int make)
{
    int32_t child = s->nodes[node].child;
    void *nodes = s->nodes;
    while (child >= 0 && s->nodes[child].byte != byte) child = s->nodes[child].sibling;
    if (child >= 0 || !make) return child;
    if (!vocab_reserve(&nodes, &s->node_capacity, s->node_count + 1, sizeof *s->nodes)) return -1;
    s->nodes = (special_node *)nodes;
    child = (int32_t)s->node_count++;
    s->nodes[child].child = -1;
    s->nodes[child].sibling = s->nodes[node].child;
    s->nodes[child].rank = -1;
    s->nodes[child].byte = byte;
    s->nodes[node].child = child;
    return child;
}

/* Orders the special tokens and builds the tree; flags must be final. 0 when memory ran out. */
static int special_index(special_set *s, const vocab *words)
{
    void *nodes = 0;
    s->order = (special_entry *)malloc(((size_t)words->count + 1) * sizeof *s->order);
    if (!s->order || !vocab_reserve(&nodes, &s->node_capacity, 1, sizeof *s->nodes)) return 0;
    s->nodes = (special_node *)nodes;
    s->nodes[0].child = s->nodes[0].sibling = s->nodes[0].rank = -1;
    s->nodes[0].byte = 0;
    s->node_count = 1;
    for (int32_t id = 0; id < words->count; ++id) {
        if (!(s->flags[id] & (SPECIAL_CONTROL | SPECIAL_USER | SPECIAL_UNKNOWN))) continue;
        s->order[s->count].size = vocab_get(words, id).size;
        s->order[s->count++].id = id;
    }
    qsort(s->order, (size_t)s->count, sizeof *s->order, special_longer_first);
    for (int32_t rank = 0; rank < s->count; ++rank) {
        vocab_text text = vocab_get(words, s->order[rank].id);
        int32_t node = 0;
        for (size_t i = 0; i < text.size && node >= 0; ++i)
            node = special_child(s, node, (unsigned char)text.data[i], 1);
        if (node < 0) return 0;
        s->nodes[node].rank = rank;
    }
    return 1;
}

static int special_by_rank(const void *a, const void *b)
{
    const special_match *x = (const special_match *)a, *y = (const special_match *)b;
    if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
    return x->start < y->start ? -1 : x->start > y->start;
}

static int special_by_start(const void *a, const void *b)
{
    const special_match *x = (const special_match *)a, *y = (const special_match *)b;
    return x->start < y->start ? -1 : x->start > y->start;
}

/* Every place where a special token's text stands, overlapping ones too. */
static int special_candidates(const special_set *s, const char *text, size_t size, int hidden,
                              special_matches *out)
{
    for (size_t start = 0; start < size; ++start) {
        int32_t node = 0;
        for (size_t at = start; at < size; ++at) {
            special_match match = {start, at + 1, at + 1, -1};
            void *data = out->data;
            node = special_child((special_set *)s, node, (unsigned char)text[at], 0);
            if (node < 0) break;
            match.rank = s->nodes[node].rank;
            if (match.rank < 0 || (s->flags[s->order[match.rank].id] & hidden)) continue;
            if (!vocab_reserve(&data, &out->capacity, out->count + 1, sizeof match)) return 0;
            out->data = (special_match *)data;
            out->data[out->count++] = match;
        }
    }
    return 1;
}

static int special_is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Finds the special tokens of a text in reading order. Each token in turn, longest first, takes
   its places from left to right unless a longer one has them. Control tokens count only when
   asked for. 0 when memory ran out. */
static int special_find(const special_set *s, const char *text, size_t size, int parse_control,
                        special_matches *out)
{
    size_t kept = 0;
    char *taken;
    if (!special_candidates(s, text, size, parse_control ? 0 : SPECIAL_CONTROL | SPECIAL_UNKNOWN,
                            out))
        return 0;
    if (out->count == 0) return 1;
    taken = (char *)calloc(size, 1);
    if (!taken) return 0;
    qsort(out->data, out->count, sizeof *out->data, special_by_rank);
    for (size_t i = 0; i < out->count; ++i) {
        special_match match = out->data[i];
        /* What is taken is at least as long as this match, so it cannot lie inside. */
        if (taken[match.start] || taken[match.end - 1]) continue;
        if (s->flags[s->order[match.rank].id] & SPECIAL_EATS)
            while (match.next < size && !taken[match.next] && special_is_blank(text[match.next]))
                match.next++;
        memset(taken + match.start, 1, match.next - match.start);
        out->data[kept++] = match;
    }
    free(taken);
    out->count = kept;
    qsort(out->data, kept, sizeof *out->data, special_by_start);
    return 1;
}

#endif
