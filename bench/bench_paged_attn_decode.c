/* bench_paged_attn_decode.c -- one new token per sequence over a long cache: dense in both layouts
 * and paged. Sets of K/V are rotated over at least 300 MB, so memory serves them, not a cache. */
#include "bench_attention.h"

enum { HEADS_Q = 32, HEADS_K = 8, DIM = 128, MAX_BATCH = 8 };

typedef struct decode_case {
    kv_store kv;
    float *q, *out;
    int32_t lengths[MAX_BATCH];
} decode_case;

/* Dense caches go through flash attention with Sq = 1: head-major by strides alone. */
static aiter_status call_dense(void *arg, aiter_context *ctx, int64_t turn)
{
    decode_case *c = (decode_case *)arg;
    aiter_flash_attn_fwd_args a = {0};
    kv_tensors(&c->kv, turn % c->kv.sets, &a.kv.k, &a.kv.v, &a.kv.k_scale, &a.kv.v_scale);
    a.q = aiter_tensor_4d(c->q, AITER_F32, c->kv.batch, 1, HEADS_Q, DIM);
    a.out = aiter_tensor_4d(c->out, AITER_F32, c->kv.batch, 1, HEADS_Q, DIM);
    a.score.mask = AITER_MASK_CAUSAL;
    return aiter_flash_attn_fwd(&a, ctx);
}

static aiter_status call_paged(void *arg, aiter_context *ctx, int64_t turn)
{
    decode_case *c = (decode_case *)arg;
    aiter_paged_attn_decode_args a = {0};
    int64_t blocks = c->kv.tokens / c->kv.page;
    kv_tensors(&c->kv, turn % c->kv.sets, &a.kv.k, &a.kv.v, &a.kv.k_scale, &a.kv.v_scale);
    a.q = aiter_tensor_3d(c->q, AITER_F32, c->kv.batch, HEADS_Q, DIM);
    a.out = aiter_tensor_3d(c->out, AITER_F32, c->kv.batch, HEADS_Q, DIM);
    a.kv.block_table = aiter_tensor_2d(c->kv.table, AITER_I32, c->kv.batch, blocks / c->kv.batch);
    a.kv.seq_lens = aiter_tensor_1d(c->lengths, AITER_I32, c->kv.batch);
    return aiter_paged_attn_decode(&a, ctx);
}

static void run_case(int64_t batch, int64_t length, aiter_dtype dtype, kv_layout layout,
                     int64_t page)
{
    static const int32_t first_q[MAX_BATCH + 1] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
    static const char *const layouts[] = {"head-major", "token-major", "page"};
    decode_case c = {
        {dtype, layout, batch, batch * length, HEADS_K, DIM, page, 0, 0, 0, 0, 0, 0, 0},
        NULL,
        NULL,
        {0}};
    char name[96];
    snprintf(name, sizeof name, "%s%.0d/ctx%d/B%d/%s", layouts[layout], (int)page, (int)length,
             (int)batch, aiter_dtype_name(dtype));
    if (!bench_wants(name)) return;
    kv_start(&c.kv, 300e6);
    c.q = (float *)bench_alloc(sizeof(float) * (size_t)(batch * HEADS_Q * DIM));
    c.out = (float *)bench_alloc(sizeof(float) * (size_t)(batch * HEADS_Q * DIM));
    bench_fill(c.q, AITER_F32, batch * HEADS_Q * DIM, 3);
    for (int64_t b = 0; b < batch; b++) c.lengths[b] = (int32_t)length;
    bench_case row = {name,
                      layout == KV_PAGED ? call_paged : call_dense,
                      &c,
                      4.0 * HEADS_Q * DIM * (double)c.kv.tokens,
                      kv_bytes(&c.kv),
                      0};
    attention_check check = {&c.kv, c.q, c.out, HEADS_Q, batch, first_q, NULL, c.lengths, 1};
    if (row.call(&c, bench.contexts[0], 0) != AITER_OK) bench_fail(aiter_last_error());
    row.error = attention_error(&check);
    bench_row(&row);
    kv_stop(&c.kv);
    free(c.q);
    free(c.out);
}

/* Latent rows, one kv head: MLA's shapes. `apart`: V is a view of its own, as before kv.dim_v. */
enum { LATENT_DIM = 576, LATENT_DIM_V = 512, LATENT_PAGE = 64, LATENT_MOST_HEADS = 128 };

typedef struct latent_case {
    kv_store kv;
    float *q, *out;
    int32_t length;
    int heads, apart;
} latent_case;

static aiter_status call_latent(void *arg, aiter_context *ctx, int64_t turn)
{
    latent_case *c = (latent_case *)arg;
    aiter_paged_attn_decode_args a = {0};
    aiter_tensor v;
    kv_tensors(&c->kv, turn % c->kv.sets, &a.kv.k, &v, &a.kv.k_scale, &a.kv.v_scale);
    a.kv.dim_v = LATENT_DIM_V;
    if (c->apart) a.kv.v = aiter_tensor_slice(v, 3, 0, LATENT_DIM_V);
    a.q = aiter_tensor_3d(c->q, AITER_F32, 1, c->heads, LATENT_DIM);
    a.out = aiter_tensor_3d(c->out, AITER_F32, 1, c->heads, LATENT_DIM_V);
    a.kv.block_table = aiter_tensor_2d(c->kv.table, AITER_I32, 1, c->length / LATENT_PAGE);
    a.kv.seq_lens = aiter_tensor_1d(&c->length, AITER_I32, 1);
    return aiter_paged_attn_decode(&a, ctx);
}

static void run_latent(int heads, int32_t length, aiter_dtype dtype, int apart)
{
    static const int32_t first_q[] = {0, 1};
    latent_case c = {
        {dtype, KV_PAGED, 1, length, 1, LATENT_DIM, LATENT_PAGE, 0, 0, 0, 0, 0, 0, LATENT_DIM_V},
        NULL,
        NULL,
        length,
        heads,
        apart};
    char name[96];
    snprintf(name, sizeof name, "latent576-512/H%d/ctx%d/%s%s", heads, (int)length,
             aiter_dtype_name(dtype), apart ? "/v-apart" : "");
    if (!bench_wants(name)) return;
    kv_start(&c.kv, 300e6);
    c.q = (float *)bench_alloc(sizeof(float) * LATENT_MOST_HEADS * LATENT_DIM);
    c.out = (float *)bench_alloc(sizeof(float) * LATENT_MOST_HEADS * LATENT_DIM_V);
    bench_fill(c.q, AITER_F32, LATENT_MOST_HEADS * LATENT_DIM, 3);
    bench_case row = {name,
                      call_latent,
                      &c,
                      2.0 * heads * (LATENT_DIM + LATENT_DIM_V) * (double)length,
                      kv_bytes(&c.kv),
                      0};
    attention_check check = {&c.kv, c.q, c.out, heads, 1, first_q, NULL, &c.length, 1};
    if (call_latent(&c, bench.contexts[0], 0) != AITER_OK) bench_fail(aiter_last_error());
    row.error = attention_error(&check);
    bench_row(&row);
    kv_stop(&c.kv);
    free(c.q);
    free(c.out);
}

int main(int argc, char **argv)
{
    static const aiter_dtype dtypes[] = {AITER_F16, AITER_I8,   AITER_F8_E4M3FN,
                                         AITER_I4,  AITER_BF16, AITER_F32};
    static const int64_t lengths[] = {1024, 4096, 16384, 65536};
    bench_begin(argc, argv);
    for (int d = 0; d < 6; d++) {
        for (int n = 0; n < 4; n++) {
            for (int64_t batch = 1; batch <= MAX_BATCH; batch += MAX_BATCH - 1) {
                if (batch > 1 && lengths[n] > 16384) continue;
                run_case(batch, lengths[n], dtypes[d], KV_HEAD_MAJOR, 0);
                run_case(batch, lengths[n], dtypes[d], KV_TOKEN_MAJOR, 0);
                run_case(batch, lengths[n], dtypes[d], KV_PAGED, 16);
                if (d > 1) continue; /* the page size is no matter of type */
                run_case(batch, lengths[n], dtypes[d], KV_PAGED, 64);
                run_case(batch, lengths[n], dtypes[d], KV_PAGED, 256);
            }
        }
    }
    for (int apart = 0; apart < 2; apart++) {
        run_latent(16, 4096, AITER_BF16, apart);
        run_latent(128, 4096, AITER_BF16, apart);
        run_latent(16, 4096, AITER_F32, apart);
        run_latent(128, 4096, AITER_F32, apart);
    }
    bench_end();
}
