/* bench_quantize.c -- numbers to codes and back, from memory: bound by it. Bytes are those of the
 * numbers, the codes and the scales, once. */
#include "bench.h"

enum { TOKENS = 4096, HEADS = 8, DIM = 128 };

typedef struct format {
    const char *name;
    aiter_dtype codes, scale;
    int32_t group;
} format;

typedef struct quant_case {
    aiter_quantize_args args, back;
    int64_t sets;
    size_t set_bytes;
    char *x;
} quant_case;

static aiter_status call_quantize(void *arg, aiter_context *ctx, int64_t turn)
{
    quant_case *c = (quant_case *)arg;
    c->args.x.data = c->x + (size_t)(turn % c->sets) * c->set_bytes;
    return aiter_quantize(&c->args, ctx);
}

static aiter_status call_dequantize(void *arg, aiter_context *ctx, int64_t turn)
{
    quant_case *c = (quant_case *)arg;
    c->back.y.data = c->x + (size_t)(turn % c->sets) * c->set_bytes;
    return aiter_dequantize(&c->back, ctx);
}

/* Worst difference between the numbers of the first set and what their codes read back as. */
static double quant_error(quant_case *c)
{
    const int64_t values = (int64_t)TOKENS * HEADS * DIM;
    char *y = (char *)bench_alloc(c->set_bytes);
    double worst = 0;
    aiter_dequantize_args a = c->back;
    a.y.data = y;
    if (call_quantize(c, bench.contexts[0], 0) != AITER_OK) bench_fail(aiter_last_error());
    if (aiter_dequantize(&a, bench.contexts[0]) != AITER_OK) bench_fail(aiter_last_error());
    for (int64_t i = 0; i < values; i += 7) {
        const double in = aiter_load_element(a.y.dtype, c->x, i);
        worst = bench_worse(worst, fabs(in - aiter_load_element(a.y.dtype, y, i)));
    }
    free(y);
    return worst;
}

static void run_case(const format *f, aiter_dtype type)
{
    quant_case c = {0};
    char to[96], from[96];
    snprintf(to, sizeof to, "tokens%d/H8/D128/%s-to-%s", TOKENS, aiter_dtype_name(type), f->name);
    snprintf(from, sizeof from, "tokens%d/H8/D128/%s-from-%s", TOKENS, aiter_dtype_name(type),
             f->name);
    if (!bench_wants(to) && !bench_wants(from)) return;
    const int64_t values = (int64_t)TOKENS * HEADS * DIM;
    const int64_t groups = f->group ? DIM / f->group : 1;
    const size_t code_bytes = (size_t)values * (size_t)aiter_dtype_bits(f->codes) / 8;
    const size_t scale_bytes = (size_t)(TOKENS * HEADS * groups) * sizeof(float);
    c.set_bytes = (size_t)values * (size_t)aiter_dtype_bits(type) / 8;
    c.sets = 1 + (int64_t)(300e6 / (double)c.set_bytes);
    c.x = (char *)bench_alloc((size_t)c.sets * c.set_bytes);
    void *codes = bench_alloc(code_bytes), *scales = bench_alloc(scale_bytes);
    bench_fill(c.x, type, c.sets * values, 1);
    c.args.x = aiter_tensor_3d(c.x, type, TOKENS, HEADS, DIM);
    c.args.y = aiter_tensor_3d(codes, f->codes, TOKENS, HEADS, DIM);
    c.args.scale = f->group ? aiter_tensor_3d(scales, f->scale, TOKENS, HEADS, groups)
                            : aiter_tensor_2d(scales, f->scale, TOKENS, HEADS);
    c.args.quantisation.group = f->group;
    c.back.x = c.args.y;
    c.back.y = c.args.x;
    c.back.scale = c.args.scale;
    c.back.quantisation.group = f->group;
    const double bytes = (double)c.set_bytes + (double)code_bytes +
                         (double)(TOKENS * HEADS * groups) * aiter_dtype_bits(f->scale) / 8;
    bench_case row = {to, call_quantize, &c, 0, bytes, quant_error(&c)};
    if (bench_wants(to)) bench_row(&row);
    row.name = from;
    row.call = call_dequantize;
    if (bench_wants(from)) bench_row(&row);
    free(c.x);
    free(codes);
    free(scales);
}

int main(int argc, char **argv)
{
    static const format formats[] = {
        {"fp8", AITER_F8_E4M3FN, AITER_F32, 0},      {"int8", AITER_I8, AITER_F32, 0},
        {"int4", AITER_I4, AITER_F32, 32},           {"mxfp8", AITER_F8_E4M3FN, AITER_F8_E8M0, 32},
        {"mxfp4", AITER_F4_E2M1, AITER_F8_E8M0, 32}, {"nvfp4", AITER_F4_E2M1, AITER_F8_E4M3FN, 16}};
    bench_begin(argc, argv);
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        run_case(&formats[i], AITER_F32);
        run_case(&formats[i], AITER_BF16);
    }
    bench_end();
}
