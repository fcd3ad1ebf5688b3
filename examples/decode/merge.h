/* Merging of neighbours, cheapest pair first, leftmost on ties: the loop that BPE and
   SentencePiece share. A queue keeps it near-linear for a word of any length. */
#ifndef MERGE_H
#define MERGE_H

#include "vocab.h"

/* A stretch of the text; `id` is its token or -1. A symbol of size 0 was merged away. */
typedef struct merge_symbol {
    uint32_t start, size;
    int32_t previous, next;
    int32_t id;
} merge_symbol;

typedef struct merge_pair {
    double cost;
    uint32_t left, size;
    int32_t id;
} merge_pair;

typedef struct merge_work {
    merge_symbol *symbols;
    size_t count, symbol_capacity;
    merge_pair *heap;
    size_t heap_count, heap_capacity;
    uint64_t steps;
} merge_work;

/* Whether two neighbours may merge; then at which cost and into which token. */
typedef int (*merge_rule)(const void *rules, const merge_symbol *left, const merge_symbol *right,
                          double *cost, int32_t *id);

static void merge_free(merge_work *work)
{
    free(work->symbols);
    free(work->heap);
}

static int merge_add_symbol(merge_work *work, uint32_t start, uint32_t size, int32_t id)
{
    void *symbols = work->symbols;
    merge_symbol *symbol;
    if (!vocab_reserve(&symbols, &work->symbol_capacity, work->count + 1, sizeof *symbol)) return 0;
    work->symbols = (merge_symbol *)symbols;
    symbol = &work->symbols[work->count];
    symbol->start = start;
    symbol->size = size;
    symbol->previous = (int32_t)work->count - 1;
    symbol->next = -1;
    symbol->id = id;
    if (work->count > 0) work->symbols[work->count - 1].next = (int32_t)work->count;
    work->count++;
    return 1;
}

static int merge_before(const merge_pair *a, const merge_pair *b)
{
    return a->cost < b->cost || (a->cost == b->cost && a->left < b->left);
}

static int merge_queue(merge_work *work, const merge_pair *pair)
{
    void *heap = work->heap;
    size_t at = work->heap_count;
    if (!vocab_reserve(&heap, &work->heap_capacity, at + 1, sizeof *pair)) return 0;
    work->heap = (merge_pair *)heap;
    work->heap_count++;
    while (at > 0 && merge_before(pair, &work->heap[(at - 1) / 2])) {
        work->heap[at] = work->heap[(at - 1) / 2];
        at = (at - 1) / 2;
        work->steps++;
    }
    work->heap[at] = *pair;
    work->steps++;
    return 1;
}

static merge_pair merge_unqueue(merge_work *work)
{
    merge_pair first = work->heap[0], last = work->heap[--work->heap_count];
    size_t at = 0, child;
    while ((child = 2 * at + 1) < work->heap_count) {
        if (child + 1 < work->heap_count &&
            merge_before(&work->heap[child + 1], &work->heap[child]))
            child++;
        if (!merge_before(&work->heap[child], &last)) break;
        work->heap[at] = work->heap[child];
        at = child;
        work->steps++;
    }
    work->heap[at] = last;
    work->steps++;
    return first;
}

static int merge_try(merge_work *work, merge_rule rule, const void *rules, int32_t left)
{
    merge_pair pair;
    const merge_symbol *a, *b;
    if (left < 0 || work->symbols[left].next < 0) return 1;
    a = &work->symbols[left];
    b = &work->symbols[a->next];
    if (!rule(rules, a, b, &pair.cost, &pair.id)) return 1;
    pair.left = (uint32_t)left;
    pair.size = a->size + b->size;
    return merge_queue(work, &pair);
}

/* Merges the symbols in place until no rule applies; 0 when memory ran out. Symbols only grow,
   so a queued pair is stale exactly when its left symbol is gone or the sizes changed. */
static int merge_run(merge_work *work, merge_rule rule, const void *rules)
{
    work->heap_count = 0;
    for (size_t i = 0; i + 1 < work->count; ++i)
        if (!merge_try(work, rule, rules, (int32_t)i)) return 0;
    while (work->heap_count > 0) {
        merge_pair pair = merge_unqueue(work);
        merge_symbol *left = &work->symbols[pair.left], *right;
        if (left->size == 0 || left->next < 0) continue;
        right = &work->symbols[left->next];
        if (left->size + right->size != pair.size) continue;
        left->size = pair.size;
        left->id = pair.id;
        left->next = right->next;
        right->size = 0;
        if (left->next >= 0) work->symbols[left->next].previous = (int32_t)pair.left;
        if (!merge_try(work, rule, rules, left->previous) ||
            !merge_try(work, rule, rules, (int32_t)pair.left))
            return 0;
    }
    return 1;
}

#endif
