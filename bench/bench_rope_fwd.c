/* bench_rope_fwd.c -- rows of q that turn by their positions: bound by memory. Bytes are those of
 * the rows read and written once; the tables of some thousand positions stay in the cache. */
#include "bench.h"

enum { HEADS = 32, DIM = 128, POSITIONS = 4096 };

typedef struct rope_case {
    aiter_rope_fwd_args args;
    int64_t sets;
    size_t set_bytes;
    char *x, *y;
} rope_case;

static aiter_status call_rope(void *arg, aiter_context *ctx, int64_t turn)
{
    rope_case *c = (rope_case *)arg;
    const size_t set = (size_t)(turn % c->sets);
    c->args.x.data = c->x + set * c->set_bytes;
    c->args.y.data = c->y + set * c->set_bytes;
    return aiter_rope_fwd(&c->args, ctx);
}

/* Worst difference from fp64 over some rows of the set that was turned last. */
static double rope_error(const rope_case *c)
{
    const aiter_rope_fwd_args *a = &c->args;
    const int64_t tokens = a->x.shape[0];
    const int gptj = a->rope.pairing == AITER_ROPE_GPTJ;
    double worst = 0;
    for (int64_t t = 0; t < tokens; t += 1 + tokens / 16) {
        for (int64_t i = 0; i < HEADS * DIM / 2; i++) {
            const int64_t pair = i % (DIM / 2), row = (t * HEADS + i / (DIM / 2)) * DIM;
            const int64_t first = row + (gptj ? 2 * pair : pair), p = t * (DIM / 2) + pair;
            const int64_t second = first + (gptj ? 1 : DIM / 2);
            const double x1 = aiter_load_element(a->x.dtype, a->x.data, first);
            const double x2 = aiter_load_element(a->x.dtype, a->x.data, second);
            const double cosine = aiter_load_element(AITER_F32, a->rope.cos.data, p);
            const double sine = aiter_load_element(AITER_F32, a->rope.sin.data, p);
            const double y1 = aiter_load_element(a->y.dtype, a->y.data, first);
            const double y2 = aiter_load_element(a->y.dtype, a->y.data, second);
            worst = bench_worse(worst, fabs(x1 * cosine - x2 * sine - y1));
            worst = bench_worse(worst, fabs(x2 * cosine + x1 * sine - y2));
        }
    }
    return worst;
}

static void run_case(int64_t tokens, aiter_dtype dtype, aiter_rope_pairing pairing)
{
    rope_case c = {0};
    char name[96];
    snprintf(name, sizeof name, "tokens%d/H32/D128/%s/%s", (int)tokens, aiter_dtype_name(dtype),
             pairing == AITER_ROPE_GPTJ ? "gptj" : "neox");
    if (!bench_wants(name)) return;
    const int64_t values = tokens * HEADS * DIM;
    const size_t angles = (size_t)POSITIONS * (DIM / 2);
    c.set_bytes = (size_t)values * (size_t)aiter_dtype_bits(dtype) / 8;
    c.sets = 1 + (int64_t)(300e6 / (2.0 * (double)c.set_bytes));
    c.x = (char *)bench_alloc((size_t)c.sets * c.set_bytes);
    c.y = (char *)bench_alloc((size_t)c.sets * c.set_bytes);
    float *tables = (float *)bench_alloc(2 * angles * sizeof *tables);
    bench_fill(c.x, dtype, c.sets * values, 1);
    bench_fill(c.y, dtype, c.sets * values, 2);
    bench_fill(tables, AITER_F32, 2 * (int64_t)angles, 3);
    c.args.x = aiter_tensor_3d(c.x, dtype, tokens, HEADS, DIM);
    c.args.y = aiter_tensor_3d(c.y, dtype, tokens, HEADS, DIM);
    c.args.rope.cos = aiter_tensor_2d(tables, AITER_F32, POSITIONS, DIM / 2);
    c.args.rope.sin = aiter_tensor_2d(tables + angles, AITER_F32, POSITIONS, DIM / 2);
    c.args.rope.pairing = pairing;
    bench_case row = {name, call_rope, &c, 3.0 * (double)values, 2.0 * (double)c.set_bytes, 0};
    if (call_rope(&c, bench.contexts[0], 0) != AITER_OK) bench_fail(aiter_last_error());
    row.error = rope_error(&c);
    bench_row(&row);
    free(c.x);
    free(c.y);
    free(tables);
}

int main(int argc, char **argv)
{
    static const aiter_dtype dtypes[] = {AITER_F32, AITER_F16, AITER_BF16};
    bench_begin(argc, argv);
    for (int d = 0; d < 3; d++) {
        run_case(16, dtypes[d], AITER_ROPE_NEOX);
        run_case(2048, dtypes[d], AITER_ROPE_NEOX);
        run_case(2048, dtypes[d], AITER_ROPE_GPTJ);
    }
    bench_end();
}
