/* batch.h -- continuous batching: many sequences, each step one row for those that decode and one
 * chunk for those that still read their prompt, all in the same products and attention calls.
 *
 * A prompt is read in chunks that end at multiples of BATCH_CHUNK of its own tokens, one chunk in
 * a step, so how it is cut never depends on its neighbours. A sequence is let in when the cache can
 * hold it to its last token; so no one is ever put out again. */
#ifndef DECODE_BATCH_H
#define DECODE_BATCH_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kv_cache.h"
#include "model.h"
#include "sampler.h"

enum { BATCH_CHUNK = 128, BATCH_SEQUENCES = 64 };

enum sequence_end {
    SEQUENCE_RUNNING,
    SEQUENCE_END_TOKEN, /* the model said so */
    SEQUENCE_END_COUNT, /* as many tokens as were asked for */
    SEQUENCE_END_CONTEXT
};

typedef struct sequence {
    int32_t *tokens;             /* the prompt, then what was generated; room for `limit` */
    int32_t prompt_count, count; /* tokens of the prompt, tokens now */
    int32_t limit;               /* tokens at most */
    int32_t limit_is_context;
    int32_t cached; /* tokens whose keys are in the cache */
    int32_t *blocks, block_count;
    enum sequence_end end;
    random_stream random;
} sequence;

typedef struct batch_timings {
    int64_t prompt_tokens, eval_tokens;
    double prompt_seconds, eval_seconds; /* a mixed step is divided by rows */
    double attention_seconds;            /* in both */
    int32_t most_sequences, most_blocks;
} batch_timings;

typedef struct batch {
    model *m;
    kv_cache *cache;
    sequence *sequences;
    int32_t count, next; /* sequences [next, count) wait */
    int32_t active[BATCH_SEQUENCES], active_count;
    int32_t blocks_promised; /* to active sequences, taken or not */
    model_step step;
    int32_t samples[BATCH_SEQUENCES]; /* which sequence a wanted row of the step belongs to */
    int32_t step_prompt_rows;
    int32_t *memory; /* of the step's arrays and of all block lists */
    int32_t *heap;   /* the sampler's */
    float temp, top_p;
    batch_timings timings;
    /* Called for each generated token, and once when a sequence ends (token -1). */
    void (*on_token)(void *user, int32_t sequence, int32_t token);
    /* Called after each step that read prompts. */
    void (*on_progress)(void *user, int64_t tokens_read);
    int (*is_end)(const void *user, int32_t token);
    void *user;
} batch;

static inline int32_t batch_blocks_for(const kv_cache *cache, int32_t tokens)
{
    return (tokens - 1) / cache->shape.page_size + 1;
}

static void batch_destroy(batch *b)
{
    free(b->memory);
    free(b->step.slots);
    free(b->heap);
}

/* b->m, cache, sequences, count and the sampler's fields are set; the rest is made here. 0, or -1:
 * out of memory. batch_destroy is right after both. */
static int batch_create(batch *b)
{
    int32_t widest = 1;
    size_t blocks = 0;
    for (int32_t i = 0; i < b->count; i++) {
        int32_t needed = batch_blocks_for(b->cache, b->sequences[i].limit);
        if (needed > widest) widest = needed;
        blocks += (size_t)needed;
    }
    size_t table = (size_t)BATCH_SEQUENCES * (size_t)widest;
    size_t fixed = 3 * (size_t)MODEL_STEP_ROWS + 2 * (size_t)BATCH_SEQUENCES + 1;
    b->memory = (int32_t *)malloc((fixed + table + blocks) * sizeof *b->memory);
    b->step.slots = (int64_t *)malloc(MODEL_STEP_ROWS * sizeof *b->step.slots);
    b->heap = (int32_t *)malloc((size_t)b->m->weights.shape.vocabulary * sizeof *b->heap);
    if (!b->memory || !b->step.slots || !b->heap) return -1;
    b->step.max_blocks = widest;
    b->step.tokens = b->memory;
    b->step.positions = b->step.tokens + MODEL_STEP_ROWS;
    b->step.wanted = b->step.positions + MODEL_STEP_ROWS;
    b->step.row_start = b->step.wanted + MODEL_STEP_ROWS;
    b->step.lengths = b->step.row_start + BATCH_SEQUENCES + 1;
    b->step.block_table = b->step.lengths + BATCH_SEQUENCES;
    int32_t *next = b->step.block_table + table;
    for (int32_t i = 0; i < b->count; i++) {
        b->sequences[i].blocks = next;
        next += batch_blocks_for(b->cache, b->sequences[i].limit);
    }
    return 0;
}

static void batch_clear_step(batch *b)
{
    b->step.rows = b->step.sequences = b->step.wanted_count = b->step_prompt_rows = 0;
    b->step.row_start[0] = 0;
}

/* Appends the next `rows` tokens of a sequence to the step and gives them cache slots. */
static void batch_add_rows(batch *b, int32_t index, int32_t rows)
{
    sequence *s = &b->sequences[index];
    model_step *step = &b->step;
    const int32_t page = b->cache->shape.page_size, length = s->cached + rows;
    while (s->block_count < batch_blocks_for(b->cache, length))
        s->blocks[s->block_count++] = kv_cache_take(b->cache); /* promised, so never -1 */
    const int32_t used = b->cache->shape.blocks - b->cache->free_count;
    if (used > b->timings.most_blocks) b->timings.most_blocks = used;
    for (int32_t i = s->cached; i < length; i++) {
        step->tokens[step->rows] = s->tokens[i];
        step->positions[step->rows] = i;
        step->slots[step->rows] = (int64_t)s->blocks[i / page] * page + i % page;
        step->rows++;
    }
    int32_t *table = step->block_table + (size_t)step->sequences * (size_t)step->max_blocks;
    memcpy(table, s->blocks, (size_t)s->block_count * sizeof *table);
    step->lengths[step->sequences] = length;
    step->row_start[++step->sequences] = step->rows;
    s->cached = length;
    if (length < s->count) return; /* more of its prompt is to come */
    b->samples[step->wanted_count] = index;
    step->wanted[step->wanted_count++] = step->rows - 1;
}

/* Rows that a sequence wants next: 1 to decode, or up to the next chunk border of its prompt. */
static int32_t batch_wanted(const sequence *s)
{
    int32_t chunk = BATCH_CHUNK - s->cached % BATCH_CHUNK, left = s->prompt_count - s->cached;
    return left < 1 ? 1 : left < chunk ? left : chunk;
}

/* Lets waiting sequences in, in order, as long as cache and step have room. */
static void batch_admit(batch *b, int32_t rows)
{
    while (b->next < b->count && b->active_count < BATCH_SEQUENCES) {
        const sequence *s = &b->sequences[b->next];
        int32_t needed = batch_blocks_for(b->cache, s->limit);
        rows += batch_wanted(s);
        if (rows > MODEL_STEP_ROWS || needed > b->cache->shape.blocks - b->blocks_promised) return;
        b->blocks_promised += needed;
        b->active[b->active_count++] = b->next++;
    }
}

/* Chooses the rows of the next step: who decodes goes first, then chunks of prompts. */
static void batch_build_step(batch *b)
{
    int32_t rows = 0;
    for (int32_t i = 0; i < b->active_count; i++) rows += batch_wanted(&b->sequences[b->active[i]]);
    batch_admit(b, rows);
    batch_clear_step(b);
    for (int prompts = 0; prompts < 2; prompts++) {
        for (int32_t i = 0; i < b->active_count; i++) {
            const sequence *s = &b->sequences[b->active[i]];
            int32_t wanted = batch_wanted(s);
            if ((s->cached < s->prompt_count) != prompts) continue;
            if (b->step.rows + wanted > MODEL_STEP_ROWS) continue;
            batch_add_rows(b, b->active[i], wanted);
            if (prompts) b->step_prompt_rows += wanted;
        }
    }
}

static void batch_finish(batch *b, int32_t index, enum sequence_end end)
{
    sequence *s = &b->sequences[index];
    s->end = end;
    for (int32_t i = 0; i < s->block_count; i++) kv_cache_give(b->cache, s->blocks[i]);
    s->block_count = 0;
    b->blocks_promised -= batch_blocks_for(b->cache, s->limit);
    for (int32_t i = 0; i < b->active_count; i++) {
        if (b->active[i] != index) continue;
        memmove(&b->active[i], &b->active[i + 1],
                (size_t)(b->active_count - i - 1) * sizeof b->active[0]);
        b->active_count--;
        break;
    }
    b->on_token(b->user, index, -1);
}

/* The next token of a sequence out of its logits. */
static void batch_sample(batch *b, int32_t index, const float *logits)
{
    sequence *s = &b->sequences[index];
    if (s->count == s->limit) { /* no token was asked for */
        batch_finish(b, index, SEQUENCE_END_COUNT);
        return;
    }
    int32_t token = sample_token(logits, b->m->weights.shape.vocabulary, b->temp, b->top_p,
                                 &s->random, b->heap);
    s->tokens[s->count++] = token;
    if (b->is_end(b->user, token)) {
        batch_finish(b, index, SEQUENCE_END_TOKEN);
        return;
    }
    b->on_token(b->user, index, token);
    if (s->count == s->limit)
        batch_finish(b, index, s->limit_is_context ? SEQUENCE_END_CONTEXT : SEQUENCE_END_COUNT);
}

/* Samples for every sequence of the step that has no more prompt to read. */
static int batch_sample_step(batch *b)
{
    const size_t vocabulary = (size_t)b->m->weights.shape.vocabulary;
    for (int32_t first = 0; first < b->step.wanted_count; first += MODEL_LOGIT_ROWS) {
        int32_t n = b->step.wanted_count - first;
        if (n > MODEL_LOGIT_ROWS) n = MODEL_LOGIT_ROWS;
        const float *logits = model_logits(b->m, first, n);
        if (!logits) return -1;
        for (int32_t i = 0; i < n; i++)
            batch_sample(b, b->samples[first + i], logits + (size_t)i * vocabulary);
    }
    return 0;
}

static void batch_count_time(batch *b, double seconds)
{
    batch_timings *t = &b->timings;
    double share = (double)b->step_prompt_rows / b->step.rows;
    t->prompt_tokens += b->step_prompt_rows;
    t->eval_tokens += b->step.rows - b->step_prompt_rows;
    t->prompt_seconds += seconds * share;
    t->eval_seconds += seconds * (1 - share);
    t->attention_seconds = b->m->attention_seconds;
    if (b->step.sequences > t->most_sequences) t->most_sequences = b->step.sequences;
}

/* Runs until every sequence has ended or *m->stop is set. 0, or -1 with m->err. */
static int batch_run(batch *b)
{
    while ((b->next < b->count || b->active_count > 0) && !*b->m->stop) {
        double start = seconds_now();
        batch_build_step(b);
        if (model_forward(b->m, b->cache, &b->step) != 0) return -1;
        if (*b->m->stop) break;
        int32_t prompt_rows = b->step_prompt_rows;
        if (batch_sample_step(b) != 0) return -1;
        batch_count_time(b, seconds_now() - start);
        if (prompt_rows) b->on_progress(b->user, b->timings.prompt_tokens);
    }
    return 0;
}

#endif /* DECODE_BATCH_H */
