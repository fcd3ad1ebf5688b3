/* bench_flash_attn_fwd.c -- whole prompts: causal and full, grouped and not, each K/V type, packed
 * sequences, and the mixed batch of a serving step. Flops are those of the visible pairs exactly:
 * 4 * D * Hq each. q and out are f32. */
#include "bench_attention.h"

enum { HEADS_Q = 32, MAX_BATCH = 32 };

typedef struct flash_case {
    kv_store kv;
    aiter_flash_attn_fwd_args args;
    float *q, *out;
    int64_t batch;
    int32_t first_q[MAX_BATCH + 1], first_k[MAX_BATCH + 1], len_k[MAX_BATCH];
} flash_case;

static aiter_status call_flash(void *arg, aiter_context *ctx, int64_t turn)
{
    flash_case *c = (flash_case *)arg;
    (void)turn;
    return aiter_flash_attn_fwd(&c->args, ctx);
}

/* Pairs of a query and a key that it sees, all sequences together. */
static double visible_pairs(const flash_case *c)
{
    double pairs = 0;
    for (int64_t b = 0; b < c->batch; b++) {
        double rows = c->first_q[b + 1] - c->first_q[b], keys = c->len_k[b];
        pairs += rows * keys;
        if (c->args.score.mask == AITER_MASK_CAUSAL) pairs -= rows * (rows - 1) / 2;
    }
    return pairs;
}

/* Fills the data behind c->args, measures, frees. Lengths, kv and mask are set. */
static void run_case(flash_case *c, const char *name)
{
    int64_t dim = c->kv.dim, rows = c->first_q[c->batch];
    int packed = c->args.q.ndim == 3;
    size_t bytes = (size_t)(rows * HEADS_Q * dim) * sizeof(float);
    kv_start(&c->kv, 0);
    c->q = (float *)bench_alloc(bytes);
    c->out = (float *)bench_alloc(bytes);
    bench_fill(c->q, AITER_F32, rows * HEADS_Q * dim, 3);
    kv_tensors(&c->kv, 0, &c->args.kv.k, &c->args.kv.v, &c->args.kv.k_scale, &c->args.kv.v_scale);
    if (packed) {
        c->args.q = aiter_tensor_3d(c->q, AITER_F32, rows, HEADS_Q, dim);
        c->args.out = aiter_tensor_3d(c->out, AITER_F32, rows, HEADS_Q, dim);
        c->args.cu_seqlens_q = aiter_tensor_1d(c->first_q, AITER_I32, c->batch + 1);
    } else {
        c->args.q = aiter_tensor_4d(c->q, AITER_F32, c->batch, rows / c->batch, HEADS_Q, dim);
        c->args.out = aiter_tensor_4d(c->out, AITER_F32, c->batch, rows / c->batch, HEADS_Q, dim);
    }
    if (packed && c->kv.layout == KV_PAGED) {
        int64_t blocks = c->kv.tokens / c->kv.page / c->batch;
        c->args.kv.block_table = aiter_tensor_2d(c->kv.table, AITER_I32, c->batch, blocks);
        c->args.kv.seq_lens = aiter_tensor_1d(c->len_k, AITER_I32, c->batch);
    } else if (packed) {
        c->args.kv.k = aiter_tensor_3d(c->kv.k, c->kv.dtype, c->kv.tokens, c->kv.heads, dim);
        c->args.kv.v = aiter_tensor_3d(c->kv.v, c->kv.dtype, c->kv.tokens, c->kv.heads, dim);
        c->args.kv.cu_seqlens = aiter_tensor_1d(c->first_k, AITER_I32, c->batch + 1);
    }
    bench_case row = {name,
                      call_flash,
                      c,
                      4.0 * HEADS_Q * (double)dim * visible_pairs(c),
                      kv_bytes(&c->kv) + 2.0 * (double)bytes,
                      0};
    attention_check check = {&c->kv,
                             c->q,
                             c->out,
                             HEADS_Q,
                             c->batch,
                             c->first_q,
                             packed && c->kv.layout != KV_PAGED ? c->first_k : NULL,
                             c->len_k,
                             c->args.score.mask == AITER_MASK_CAUSAL};
    if (call_flash(c, bench.contexts[0], 0) != AITER_OK) bench_fail(aiter_last_error());
    row.error = attention_error(&check);
    bench_row(&row);
    kv_stop(&c->kv);
    free(c->q);
    free(c->out);
}

/* One sequence of S queries and S keys. */
static void run_dense(int causal, int64_t dim, int64_t heads_k, int32_t length, aiter_dtype dtype)
{
    flash_case c = {0};
    char name[96];
    snprintf(name, sizeof name, "%s/D%d/Hk%d/S%d/%s", causal ? "causal" : "full", (int)dim,
             (int)heads_k, (int)length, aiter_dtype_name(dtype));
    if (!bench_wants(name)) return;
    kv_store kv = {dtype, KV_TOKEN_MAJOR, 1, length, heads_k, dim, 0, 0, 0, 0, 0, 0, 0, 0};
    c.kv = kv;
    c.batch = 1;
    c.first_q[1] = length;
    c.len_k[0] = length;
    c.args.score.mask = causal ? AITER_MASK_CAUSAL : AITER_MASK_NONE;
    run_case(&c, name);
}

/* Eight prompts of 128 to 1024 tokens packed one after the other. */
static void run_varlen(aiter_dtype dtype)
{
    static const int32_t lengths[] = {128, 1024, 333, 512, 777, 200, 640, 482};
    flash_case c = {0};
    char name[96];
    snprintf(name, sizeof name, "varlen-causal/D128/Hk8/8-prompts-4096/%s",
             aiter_dtype_name(dtype));
    if (!bench_wants(name)) return;
    for (c.batch = 0; c.batch < 8; c.batch++) {
        c.len_k[c.batch] = lengths[c.batch];
        c.first_q[c.batch + 1] = c.first_q[c.batch] + lengths[c.batch];
        c.first_k[c.batch + 1] = c.first_q[c.batch + 1];
    }
    kv_store kv = {dtype, KV_TOKEN_MAJOR, 1, c.first_k[8], 8, 128, 0, 0, 0, 0, 0, 0, 0, 0};
    c.kv = kv;
    c.args.q.ndim = 3;
    c.args.score.mask = AITER_MASK_CAUSAL;
    run_case(&c, name);
}

/* A serving step: the last 128 tokens of a 2048-token prompt and 15 sequences that each add one. */
static void run_mixed(aiter_dtype dtype)
{
    enum { BATCH = 16, LENGTH = 2048 };
    flash_case c = {0};
    char name[96];
    snprintf(name, sizeof name, "mixed-chunk128-decode15/D128/Hk8/ctx2048/page16/%s",
             aiter_dtype_name(dtype));
    if (!bench_wants(name)) return;
    for (c.batch = 0; c.batch < BATCH; c.batch++) {
        c.len_k[c.batch] = LENGTH;
        c.first_q[c.batch + 1] = c.first_q[c.batch] + (c.batch == 0 ? 128 : 1);
    }
    kv_store kv = {dtype, KV_PAGED, BATCH, BATCH * LENGTH, 8, 128, 16, 0, 0, 0, 0, 0, 0, 0};
    c.kv = kv;
    c.args.q.ndim = 3;
    c.args.score.mask = AITER_MASK_CAUSAL;
    run_case(&c, name);
}

int main(int argc, char **argv)
{
    static const aiter_dtype dtypes[] = {AITER_F32, AITER_F16, AITER_BF16, AITER_I8};
    static const int32_t lengths[] = {512, 1024, 2048, 4096};
    bench_begin(argc, argv);
    for (int d = 0; d < 3; d++) {
        for (int n = 0; n < 4; n++) {
            run_dense(1, 128, 8, lengths[n], dtypes[d]);
            run_dense(1, 64, 8, lengths[n], dtypes[d]);
        }
    }
    for (int64_t dim = 64; dim <= 128; dim += 64) {
        run_dense(1, dim, 8, 2048, AITER_I8);
        run_dense(1, dim, 32, 2048, AITER_F32);
        run_dense(0, dim, 8, 2048, AITER_F32);
        run_dense(0, dim, 32, 2048, AITER_F32);
        run_dense(0, dim, 8, 2048, AITER_F16);
    }
    for (int d = 0; d < 4; d++) run_mixed(dtypes[d]);
    for (int d = 0; d < 3; d++) run_varlen(dtypes[d]);
    bench_end();
}
