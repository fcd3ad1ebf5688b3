/* bench_merge_attn_states.c -- two partial results into one: bound by memory. Bytes are those of
 * both inputs read and the result written once. */
#include "bench.h"

enum { HEADS = 32, DIM = 128 };

typedef struct merge_case {
    aiter_merge_attn_states_args args;
    int64_t sets;
    size_t set_bytes, set_states;
    char *a, *b, *out;
    float *lse_a, *lse_b;
} merge_case;

static aiter_status call_merge(void *arg, aiter_context *ctx, int64_t turn)
{
    merge_case *c = (merge_case *)arg;
    size_t set = (size_t)(turn % c->sets);
    c->args.out_a.data = c->a + set * c->set_bytes;
    c->args.out_b.data = c->b + set * c->set_bytes;
    c->args.out.data = c->out + set * c->set_bytes;
    c->args.lse_a.data = c->lse_a + set * c->set_states;
    c->args.lse_b.data = c->lse_b + set * c->set_states;
    return aiter_merge_attn_states(&c->args, ctx);
}

/* Worst difference from fp64 over some rows of the set that was merged last. */
static double merge_error(const merge_case *c)
{
    const aiter_merge_attn_states_args *m = &c->args;
    int64_t tokens = m->out.shape[0];
    double worst = 0;
    for (int64_t t = 0; t < tokens; t += 1 + tokens / 16) {
        for (int64_t i = 0; i < HEADS * DIM; i++) {
            int64_t state = i / DIM * tokens + t, at = t * HEADS * DIM + i;
            double difference = c->lse_b[state] - (double)c->lse_a[state];
            double share = 1 / (1 + exp(difference));
            double expected = share * aiter_load_element(m->out_a.dtype, m->out_a.data, at) +
                              (1 - share) * aiter_load_element(m->out_b.dtype, m->out_b.data, at);
            double got = aiter_load_element(m->out.dtype, m->out.data, at);
            worst = bench_worse(worst, fabs(expected - got));
        }
    }
    return worst;
}

static void run_case(int64_t tokens, aiter_dtype dtype)
{
    merge_case c = {0};
    char name[96];
    snprintf(name, sizeof name, "tokens%d/H32/D128/%s", (int)tokens, aiter_dtype_name(dtype));
    if (!bench_wants(name)) return;
    int64_t values = tokens * HEADS * DIM;
    c.set_bytes = (size_t)values * (size_t)aiter_dtype_bits(dtype) / 8;
    c.set_states = (size_t)(tokens * HEADS);
    c.sets = 1 + (int64_t)(300e6 / (3.0 * (double)c.set_bytes));
    c.a = (char *)bench_alloc((size_t)c.sets * c.set_bytes);
    c.b = (char *)bench_alloc((size_t)c.sets * c.set_bytes);
    c.out = (char *)bench_alloc((size_t)c.sets * c.set_bytes);
    c.lse_a = (float *)bench_alloc((size_t)c.sets * c.set_states * sizeof(float));
    c.lse_b = (float *)bench_alloc((size_t)c.sets * c.set_states * sizeof(float));
    bench_fill(c.a, dtype, c.sets * values, 1);
    bench_fill(c.b, dtype, c.sets * values, 2);
    bench_fill(c.out, dtype, c.sets * values, 3);
    bench_fill(c.lse_a, AITER_F32, c.sets * (int64_t)c.set_states, 4);
    bench_fill(c.lse_b, AITER_F32, c.sets * (int64_t)c.set_states, 5);
    c.args.out_a = aiter_tensor_3d(c.a, dtype, tokens, HEADS, DIM);
    c.args.out_b = aiter_tensor_3d(c.b, dtype, tokens, HEADS, DIM);
    c.args.out = aiter_tensor_3d(c.out, dtype, tokens, HEADS, DIM);
    c.args.lse_a = aiter_tensor_2d(c.lse_a, AITER_F32, HEADS, tokens);
    c.args.lse_b = aiter_tensor_2d(c.lse_b, AITER_F32, HEADS, tokens);
    double bytes = 3.0 * (double)c.set_bytes + 8.0 * (double)c.set_states;
    bench_case row = {name, call_merge, &c, 3.0 * (double)values, bytes, 0};
    if (call_merge(&c, bench.contexts[0], 0) != AITER_OK) bench_fail(aiter_last_error());
    row.error = merge_error(&c);
    bench_row(&row);
    free(c.a);
    free(c.b);
    free(c.out);
    free(c.lse_a);
    free(c.lse_b);
}

int main(int argc, char **argv)
{
    static const aiter_dtype dtypes[] = {AITER_F32, AITER_F16, AITER_BF16};
    bench_begin(argc, argv);
    for (int d = 0; d < 3; d++) {
        run_case(16, dtypes[d]);
        run_case(2048, dtypes[d]);
    }
    bench_end();
}
