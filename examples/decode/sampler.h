/* sampler.h -- from a row of logits to a token: the largest, or a draw by temperature and top-p.
 *
 * Everything is a function of the row and of the sequence's own random stream, so a text does not
 * depend on what else is in the batch. Equal logits: the lowest id wins. */
#ifndef DECODE_SAMPLER_H
#define DECODE_SAMPLER_H

#include <math.h>
#include <stdint.h>

typedef struct random_stream {
    uint64_t state;
} random_stream;

/* SplitMix64 (Steele, Lea, Flood 2014). */
static inline uint64_t random_next(random_stream *r)
{
    uint64_t z = (r->state += 0x9E3779B97F4A7C15u);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* Stream `number` of a seed: streams of one seed have nothing in common. */
static inline random_stream random_start(uint64_t seed, uint64_t number)
{
    random_stream outer = {seed}, inner;
    inner.state = random_next(&outer) ^ number * 0xD1342543DE82EF95u;
    inner.state = random_next(&inner);
    return inner;
}

/* In [0, 1), 53 bits. */
static inline double random_unit(random_stream *r)
{
    return (double)(random_next(r) >> 11) * 0x1p-53;
}

static inline int32_t sample_largest(const float *logits, int32_t n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (logits[i] > logits[best] || logits[best] != logits[best]) best = i;
    return best;
}

static inline int sample_before(const float *logits, int32_t a, int32_t b)
{
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
}

/* Restores the heap order (likeliest first) below `root`. */
static inline void sample_sift(const float *logits, int32_t *heap, int32_t root, int32_t n)
{
    for (int32_t child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && sample_before(logits, heap[child + 1], heap[child])) child++;
        if (!sample_before(logits, heap[child], heap[root])) return;
        int32_t kept = heap[root];
        heap[root] = heap[child];
        heap[child] = kept;
    }
}

/* Draws with probability proportional to exp(logit / temp) from the smallest set of the likeliest
 * tokens that holds top_p of it all. `heap` has room for n ids. */
static int32_t sample_draw(const float *logits, int32_t n, float temp, float top_p,
                           random_stream *random, int32_t *heap)
{
    int32_t best = sample_largest(logits, n);
    double total = 0, kept = 0, drawn = random_unit(random), top = logits[best];
    for (int32_t i = 0; i < n; i++) {
        heap[i] = i;
        total += exp((logits[i] - top) / temp);
    }
    if (!(total > 0 && isfinite(total))) return best;
    int32_t left = n; /* heap[left, n): the kept tokens, the likeliest last */
    if (top_p < 1) {
        for (int32_t i = n / 2; i-- > 0;) sample_sift(logits, heap, i, n);
        while (left > 0 && kept < top_p * total) {
            int32_t id = heap[0];
            heap[0] = heap[--left];
            sample_sift(logits, heap, 0, left);
            heap[left] = id;
            kept += exp((logits[id] - top) / temp);
        }
    } else {
        left = 0;
        kept = total;
    }
    drawn *= kept;
    for (int32_t i = n - 1; i >= left; i--) {
        drawn -= exp((logits[heap[i]] - top) / temp);
        if (drawn < 0) return heap[i];
    }
    return best;
}

static inline int32_t sample_token(const float *logits, int32_t n, float temp, float top_p,
                                   random_stream *random, int32_t *heap)
{
    return temp > 0 ? sample_draw(logits, n, temp, top_p, random, heap) : sample_largest(logits, n);
}

/* -ln softmax(logits)[token], in double. */
static inline double sample_surprise(const float *logits, int32_t n, int32_t token)
{
    double top = logits[sample_largest(logits, n)], total = 0;
    for (int32_t i = 0; i < n; i++) total += exp(logits[i] - top);
    return log(total) + top - logits[token];
}

#endif /* DECODE_SAMPLER_H */
