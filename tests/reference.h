/* reference.h -- the oracle: attention by its definition, in fp64, one query row at a time, from
 * the values as they are stored. Shares no line with src/. */
#ifndef AITER_TEST_REFERENCE_H
#define AITER_TEST_REFERENCE_H

#include <stdint.h>

/* One element, exactly: dtype is AITER_F32, F16, BF16, I8, I4 or an fp8 type, any other ends
 * the program with a text. The conversions work on integers. */
double ref_load(aiter_dtype dtype, const void *data, int64_t index);
/* Rounds to nearest even; overflow gives infinity, integers saturate. */
void ref_store(aiter_dtype dtype, void *data, int64_t index, double value);

/* Which keys a row sees; the fields mean what they mean in the args structs. */
typedef struct ref_mask {
    aiter_mask kind; /* DEFAULT has been resolved */
    int64_t left, right, sink_tokens;
} ref_mask;

int ref_visible(const ref_mask *mask, int64_t i, int64_t j, int64_t sq, int64_t sk);

/* One query row of one head against the sk keys of its sequence. */
typedef struct ref_row {
    int64_t i, sq, sk, dq, dv;
    const double *q;    /* [dq] */
    const double *k;    /* [sk][dq] */
    const double *v;    /* [sk][dv] */
    const double *bias; /* [sk] or NULL */
    ref_mask mask;
    double scale, softcap, alibi;
    int has_sink;
    double sink;
} ref_row;

/* What the error bounds need to know about a row besides its result. */
typedef struct ref_facts {
    int64_t visible;  /* keys */
    double max_dot;   /* largest scale * sum |q_d k_d| over the visible keys */
    double max_term;  /* largest intermediate |t|, |bias|, |alibi term|, |sink| */
    double max_abs_v; /* over the visible keys */
} ref_facts;

/* out [dv], abs_out [dv] = sum_j P_j |v_j|, lse; work has room for sk doubles. */
void ref_attention_row(const ref_row *row, double *work, double *out, double *abs_out, double *lse,
                       ref_facts *facts);

/* (a, lse_a) and (b, lse_b) joined; a side whose lse is infinite is not read. */
void ref_merge(int64_t d, const double *a, double lse_a, const double *b, double lse_b, double *out,
               double *lse);

#endif /* AITER_TEST_REFERENCE_H */
