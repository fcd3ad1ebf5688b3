/* perplexity.h -- the mean negative log likelihood of a text, in windows of the context's size; the
 * first token of a window is given, all others are scored. */
#ifndef DECODE_PERPLEXITY_H
#define DECODE_PERPLEXITY_H

#include <stdint.h>

#include "batch.h"
#include "sampler.h"

typedef struct perplexity {
    double sum; /* of -ln p */
    int64_t scored;
} perplexity;

/* Asks for the logits of every row that another token follows. */
static void perplexity_want(batch *b, const sequence *s)
{
    const int32_t rows = b->step.rows - (s->cached == s->count);
    for (b->step.wanted_count = 0; b->step.wanted_count < rows; b->step.wanted_count++)
        b->step.wanted[b->step.wanted_count] = b->step.wanted_count;
}

/* Scores the wanted rows of the batch's last step, each against the token after it. */
static int perplexity_score(batch *b, const sequence *s, perplexity *p)
{
    const int32_t vocabulary = b->m->weights.shape.vocabulary, wanted = b->step.wanted_count;
    const int32_t *next = s->tokens + s->cached - b->step.rows + 1;
    for (int32_t first = 0; first < wanted; first += MODEL_LOGIT_ROWS) {
        int32_t n = wanted - first < MODEL_LOGIT_ROWS ? wanted - first : MODEL_LOGIT_ROWS;
        const float *logits = model_logits(b->m, first, n);
        if (!logits) return -1;
        for (int32_t i = 0; i < n; i++)
            p->sum += sample_surprise(logits + (size_t)i * (size_t)vocabulary, vocabulary,
                                      next[first + i]);
        p->scored += n;
    }
    return 0;
}

/* The batch holds one sequence with room for `window` tokens; tokens are scored window by window.
 * 0, or -1 with m->err. Stops early when *m->stop is set. */
static int perplexity_run(batch *b, int32_t *tokens, int64_t count, int32_t window, perplexity *p)
{
    sequence *s = &b->sequences[0];
    for (int64_t at = 0; at + 1 < count; at += window) {
        s->tokens = tokens + at;
        s->count = s->prompt_count = (int32_t)(count - at < window ? count - at : window);
        s->cached = 0;
        while (s->cached < s->count && !*b->m->stop) {
            double start = seconds_now();
            batch_clear_step(b);
            b->step_prompt_rows = batch_wanted(s);
            batch_add_rows(b, 0, b->step_prompt_rows);
            perplexity_want(b, s);
            if (model_forward(b->m, b->cache, &b->step) != 0) return -1;
            if (*b->m->stop) break;
            if (perplexity_score(b, s, p) != 0) return -1;
            batch_count_time(b, seconds_now() - start);
            b->on_progress(b->user, b->timings.prompt_tokens);
        }
    }
    return 0;
}

#endif /* DECODE_PERPLEXITY_H */
