/* device_codes.h -- every code of the types of 4 and 8 bits, through decoding on a device: as a
 * value it comes out, as a key it is the score of a query that asks for its column. Codes that are
 * infinite or NaN reach the rows that see their key, and no other. */
#ifndef AITER_TEST_DEVICE_CODES_H
#define AITER_TEST_DEVICE_CODES_H

#include "device_run.h"

enum { CODES_PAGE = 16, CODES_KEYS = 64, CODES_DIM = 256, CODES_ROWS = 128 };

/* One sequence, one kv head, pages in order. Rows of q: token after token, `heads` each. */
typedef struct codes_call {
    aiter_dtype type, kv, v_type;         /* v_type 0: as k */
    int dim, heads, tokens, keys, hidden; /* hidden: the last pages that the table has not */
    float v_scale;                        /* of all keys; 0: none */
    unsigned char k[CODES_KEYS * CODES_DIM], v[CODES_KEYS * CODES_DIM];
    uint16_t q[CODES_ROWS * CODES_DIM];
    uint16_t out[CODES_ROWS * CODES_DIM];
    float lse[CODES_ROWS];
} codes_call;

static inline codes_call *codes_new(aiter_dtype type, aiter_dtype kv, int dim)
{
    codes_call *c = (codes_call *)calloc(1, sizeof *c);
    c->type = type;
    c->kv = kv;
    c->dim = dim;
    c->heads = c->tokens = c->keys = 1;
    return c;
}

static inline void codes_run(codes_call *c)
{
    const float scales[2] = {1.0f, c->v_scale};
    const aiter_dtype v_type = c->v_type ? c->v_type : c->kv;
    const int blocks = CODES_KEYS / CODES_PAGE, heads = c->heads, rows = heads * c->tokens;
    const int scaled = c->kv == AITER_I8 || c->kv == AITER_I4;
    int32_t table[CODES_KEYS / CODES_PAGE], length = c->keys;
    aiter_paged_attn_decode_args a;
    void *at[8];
    int i;
    for (i = 0; i < blocks; i++) table[i] = i * CODES_PAGE < c->keys - c->hidden ? i : -1;
    at[0] = device_new(c->q, sizeof c->q);
    at[1] = device_new(c->k, sizeof c->k);
    at[2] = device_new(c->v, sizeof c->v);
    at[3] = device_new(NULL, sizeof c->out);
    at[4] = device_new(NULL, sizeof c->lse);
    at[5] = device_new(table, sizeof table);
    at[6] = device_new(&length, sizeof length);
    at[7] = device_new(scales, sizeof scales);
    memset(&a, 0, sizeof a);
    a.q = aiter_tensor_4d(at[0], c->type, 1, c->tokens, heads, c->dim);
    a.kv.k = aiter_tensor_4d(at[1], c->kv, blocks, CODES_PAGE, 1, c->dim);
    a.kv.v = aiter_tensor_4d(at[2], v_type, blocks, CODES_PAGE, 1, c->dim);
    a.out = aiter_tensor_4d(at[3], c->type, 1, c->tokens, heads, c->dim);
    a.lse = aiter_tensor_3d(at[4], AITER_F32, 1, heads, c->tokens);
    a.kv.block_table = aiter_tensor_2d(at[5], AITER_I32, 1, blocks);
    a.kv.seq_lens = aiter_tensor_1d(at[6], AITER_I32, 1);
    if (scaled) a.kv.k_scale = aiter_tensor_1d(at[7], AITER_F32, 1);
    if (scaled || c->v_scale != 0)
        a.kv.v_scale = aiter_tensor_1d((float *)at[7] + (c->v_scale != 0), AITER_F32, 1);
    a.score.softmax_scale = 1;
    a.num_splits = 1;
    device_note(aiter_paged_attn_decode(&a, device.ctx), "codes");
    device_wait("codes");
    device_read(c->out, at[3], (size_t)(rows * c->dim) * 2);
    device_read(c->lse, at[4], (size_t)rows * sizeof(float));
    for (i = 0; i < 8; i++) driver_ok(device.driver->memory_free(at[i]), "freeing");
}

static inline double codes_out(const codes_call *c, int row, int column)
{
    return ref_load(c->type, c->out, row * c->dim + column);
}

/* Equal, both NaN, or both zero. */
static inline int codes_same(double a, double b) { return is_nan(a) ? is_nan(b) : a == b; }

static inline int codes_of(aiter_dtype kv) { return kv == AITER_I4 ? 16 : 256; }

/* Element i of K or V becomes the code. */
static inline void codes_put(aiter_dtype kv, unsigned char *rows, int64_t i, int code)
{
    if (kv == AITER_I4)
        aiteri_store_nibble(rows, i, (uint32_t)code);
    else
        rows[i] = (unsigned char)code;
}

static inline int codes_finite(aiter_dtype kv, int code)
{
    unsigned char at[1] = {0};
    codes_put(kv, at, 0, code);
    return fabs(ref_load(kv, at, 0)) < 1e30;
}

/* Column d has code first + d, in all keys: of one, and of a block that every row sees. */
static inline void codes_as_values(aiter_dtype type, aiter_dtype kv, int dim, int first, int keys)
{
    codes_call *c = codes_new(type, kv, dim);
    int i, wrong = 0;
    c->keys = keys;
    for (i = 0; i < keys * dim; i++) codes_put(kv, c->v, i, (first + i % dim) % codes_of(kv));
    codes_run(c);
    for (i = 0; i < dim; i++) wrong += !codes_same(ref_load(kv, c->v, i), codes_out(c, 0, i));
    CHECK(wrong == 0, "%d codes of %s from %d on come out of %d keys, D %d, as other numbers in %s",
          wrong, aiter_dtype_name(kv), first, keys, dim, aiter_dtype_name(type));
    free(c);
}

/* Query i asks for column `first` + i of the only key. */
static inline void codes_as_keys(aiter_dtype type, aiter_dtype kv, int dim, int column, int first)
{
    codes_call *c = codes_new(type, kv, dim);
    int i, wrong = 0;
    c->heads = 16;
    c->tokens = CODES_ROWS / 16;
    c->keys = c->tokens; /* of the same: each token sees those up to its own */
    for (i = 0; i < c->keys * dim; i++) {
        const int code = (first + i % dim) % codes_of(kv);
        codes_put(kv, c->k, i, codes_finite(kv, code) ? code : 0);
    }
    for (i = 0; i < CODES_ROWS; i++) ref_store(type, c->q, i * dim + column + i, 1);
    codes_run(c);
    for (i = 0; i < CODES_ROWS; i++) {
        const int token = i / 16, head = i % 16;
        const double x = ref_load(kv, c->k, column + i);
        const double lse = c->lse[head * c->tokens + token] - log(token + 1);
        wrong += !(fabs(lse - x) <= 4e-6 + 4e-7 * fabs(x));
    }
    CHECK(wrong == 0, "%d codes of %s from %d on, D %d, give scores of other numbers to %s", wrong,
          aiter_dtype_name(kv), first, dim, aiter_dtype_name(type));
    free(c);
}

/* The last key has a code that is not finite. Of two tokens only the second sees it, none where its
 * page is not there. in_k: in K; values: keys of a whole block or one key more. */
static inline void codes_hidden(aiter_dtype type, aiter_dtype kv, int code, int keys, float scale)
{
    int in_k, hidden, row, i;
    for (in_k = 0; in_k < 2; in_k++)
        for (hidden = 0; hidden < 2; hidden++) {
            codes_call *c = codes_new(type, kv, 128);
            unsigned char *const rows = in_k ? c->k : c->v;
            const double x = (codes_put(kv, rows, (int64_t)(keys - 1) * 128 + 77, code),
                              ref_load(kv, rows, (int64_t)(keys - 1) * 128 + 77));
            c->tokens = 2;
            c->keys = keys;
            c->hidden = hidden ? (keys - 1) % CODES_PAGE + 1 : 0;
            c->v_scale = scale;
            ref_store(type, c->q, 77, 1);
            ref_store(type, c->q, 128 + 77, 1);
            codes_run(c);
            for (row = 0; row < 2; row++)
                for (i = 0; i < 128; i++) {
                    const int seen = row == 1 && !hidden;
                    const double want = !seen     ? 0
                                        : in_k    ? (x < 0 ? 0 : double_of_bits(BITS_NAN))
                                        : i == 77 ? (scale < 0 ? -x : x)
                                                  : 0;
                    if (!CHECK(codes_same(want, codes_out(c, row, i)),
                               "code %d of %s in %s of key %d, %s: column %d of row %d in %s is %g",
                               code, aiter_dtype_name(kv), in_k ? "k" : "v", keys - 1,
                               hidden ? "not there" : "there", i, row, aiter_dtype_name(type),
                               codes_out(c, row, i)))
                        break;
                }
            free(c);
        }
}

static inline void device_codes(aiter_dtype type, aiter_dtype kv)
{
    int n;
    for (n = 0; n < codes_of(kv); n += 128) {
        codes_as_values(type, kv, 128, n, 1);
        codes_as_values(type, kv, 128, n, 32);
        codes_as_keys(type, kv, 128, 0, n);
        codes_as_keys(type, kv, 256, n, 0);
    }
    codes_as_values(type, kv, 256, 0, 1);
    codes_as_values(type, kv, 256, 0, 32);
    for (n = 0; n < codes_of(kv); n++)
        if (!codes_finite(kv, n) && (n > 250 || n < 129)) {
            codes_hidden(type, kv, n, 33, 0);
            codes_hidden(type, kv, n, 40, kv == AITER_F8_E5M2 ? -0.5f : 2.0f);
        }
}

#endif /* AITER_TEST_DEVICE_CODES_H */
