/* bench_blocks.c -- blocks of caches moved as they are: between two caches, and inside those of all
 * layers. Bytes are those read and written once; the probe is one memcpy of as many. */
#include "bench.h"

enum { BLOCKS = 2048, LAYERS = 16, OF_LAYER = BLOCKS / (2 * LAYERS), MOVED = OF_LAYER / 2 };

typedef struct block_case {
    aiter_swap_blocks_args swap;
    aiter_copy_blocks_args copy;
    aiter_tensor layers[2 * LAYERS];
    int64_t block_bytes;
} block_case;

static aiter_status call_swap(void *arg, aiter_context *ctx, int64_t turn)
{
    block_case *c = (block_case *)arg;
    (void)turn;
    return aiter_swap_blocks(&c->swap, ctx);
}

static aiter_status call_copy(void *arg, aiter_context *ctx, int64_t turn)
{
    block_case *c = (block_case *)arg;
    (void)turn;
    return aiter_copy_blocks(&c->copy, ctx);
}

static aiter_status call_probe(void *arg, aiter_context *ctx, int64_t turn)
{
    block_case *c = (block_case *)arg;
    (void)ctx, (void)turn;
    memcpy(c->swap.dst.data, c->swap.src.data, (size_t)(BLOCKS * c->block_bytes));
    return AITER_OK;
}

/* Blocks of `page` tokens of 8 heads of 128 f16: every one of a cache in an order that jumps, and
 * half of the blocks of each layer's K and V. */
static void run_page(int64_t page)
{
    static int64_t jumps[BLOCKS][2], pairs[MOVED][2];
    block_case c = {0};
    char name[96];
    c.block_bytes = page * 8 * 128 * 2;
    size_t bytes = (size_t)(BLOCKS * c.block_bytes);
    char *src = (char *)bench_alloc(bytes), *dst = (char *)bench_alloc(bytes);
    bench_fill(src, AITER_F16, (int64_t)bytes / 2, 1);
    bench_fill(dst, AITER_F16, (int64_t)bytes / 2, 2);
    for (int64_t i = 0; i < BLOCKS; i++) {
        jumps[i][0] = i * 1237 % BLOCKS;
        jumps[i][1] = i * 819 % BLOCKS;
    }
    for (int64_t i = 0; i < MOVED; i++) { /* from the lower half of a cache to the upper */
        pairs[i][0] = i * 7 % MOVED;
        pairs[i][1] = MOVED + i;
    }
    c.swap.src = aiter_tensor_4d(src, AITER_F16, BLOCKS, page, 8, 128);
    c.swap.dst = aiter_tensor_4d(dst, AITER_F16, BLOCKS, page, 8, 128);
    c.swap.mapping = aiter_tensor_2d(jumps, AITER_I64, BLOCKS, 2);
    for (int i = 0; i < 2 * LAYERS; i++)
        c.layers[i] = aiter_tensor_slice(c.swap.dst, 0, i * OF_LAYER, OF_LAYER);
    c.copy.caches = c.layers;
    c.copy.num_caches = 2 * LAYERS;
    c.copy.mapping = aiter_tensor_2d(pairs, AITER_I64, MOVED, 2);
    const double moved = 2.0 * (double)bytes;
    snprintf(name, sizeof name, "probe/memcpy/page%d", (int)page);
    bench_case probe = {name, call_probe, &c, 0, moved, 0};
    if (bench_wants(name)) bench_row(&probe);
    snprintf(name, sizeof name, "swap/page%d/Hk8/D128/f16", (int)page);
    bench_case swap = {name, call_swap, &c, 0, moved, 0};
    if (bench_wants(name)) {
        if (call_swap(&c, bench.contexts[0], 0) != AITER_OK) bench_fail(aiter_last_error());
        bench_row(&swap);
    }
    snprintf(name, sizeof name, "copy/layers%d/page%d/Hk8/D128/f16", LAYERS, (int)page);
    bench_case copy = {name, call_copy, &c, 0, moved / 2, 0};
    if (bench_wants(name)) {
        if (call_copy(&c, bench.contexts[0], 0) != AITER_OK) bench_fail(aiter_last_error());
        bench_row(&copy);
    }
    free(src);
    free(dst);
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    run_page(16);
    run_page(64);
    bench_end();
}
