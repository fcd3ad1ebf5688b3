/* test_explain.c -- what an explanation says, line by line: of calls on a CPU, and on a device
 * whose driver is gpu/fake_driver.h. That every good call has one and that it ends within its room
 * is for test_op_sweeps. */
#include "gpu/device_calls.h"
#include "cache_mode.h"

#define EACH(lines) (int)(sizeof(lines) / sizeof(lines)[0])

/* Each of `lines` is a whole line of the text, in this order; the first is the first. */
static void has_lines(const char *text, const char *const *lines, int count)
{
    const char *at = text;
    int i;
    for (i = 0; i < count; i++) {
        const size_t n = strlen(lines[i]);
        const char *found = at;
        while (*found && (strncmp(found, lines[i], n) != 0 || found[n] != '\n')) {
            found = strchr(found, '\n');
            if (!found) break;
            found++;
        }
        if (!CHECK(found && *found && (i || found == text), "no line \"%s\" there in:\n%s",
                   lines[i], text))
            return;
        at = found + n + 1;
    }
}

#define EXPLAINS(op, args, ctx, lines)                                                          \
    do {                                                                                        \
        char explains_text[2048];                                                               \
        CHECK(aiter_##op##_explain(args, ctx, explains_text, sizeof explains_text) == AITER_OK, \
              "%s", aiter_last_error());                                                        \
        has_lines(explains_text, lines, EACH(lines));                                           \
    } while (0)

/* ---- the writer ---- */

static aiter_reshape_and_cache_args writer(aiter_dtype from, aiter_dtype to, cache_mode mode,
                                           int scales)
{
    aiter_reshape_and_cache_args a;
    memset(&a, 0, sizeof a);
    a.k = aiter_tensor_3d(AT(1), from, 10, 4, 128);
    a.v = aiter_tensor_3d(AT(2), from, 10, 4, 64);
    a.kv.k = aiter_tensor_4d(AT(3), to, 50, 16, 4, 128);
    a.kv.v = aiter_tensor_4d(AT(4), to, 50, 16, 4, 64);
    a.slot_mapping = aiter_tensor_1d(AT(5), AITER_I64, 10);
    a.quantisation = cache_quantisation(mode);
    if (mode == CACHE_SCALE_COMPUTED)
        a.kv.k_scale = a.kv.v_scale = aiter_tensor_3d(AT(6), AITER_F32, 50, 16, 4);
    else if (mode == CACHE_SCALE_GIVEN)
        a.kv.k_scale = a.kv.v_scale = aiter_tensor_1d(AT(6), AITER_F32, scales);
    a.kv.v_scale.data = AT(7);
    return a;
}

static void writer_lines(aiter_context *cpu, const char *engine)
{
    const aiter_reshape_and_cache_args copies = writer(AITER_BF16, AITER_BF16, CACHE_CONVERTS, 0);
    const aiter_reshape_and_cache_args widens = writer(AITER_F16, AITER_F32, CACHE_CONVERTS, 0);
    const aiter_reshape_and_cache_args rounds = writer(AITER_F32, AITER_F16, CACHE_CONVERTS, 0);
    const aiter_reshape_and_cache_args one = writer(AITER_F16, AITER_I8, CACHE_SCALE_GIVEN, 1);
    const aiter_reshape_and_cache_args heads = writer(AITER_F16, AITER_I8, CACHE_SCALE_GIVEN, 4);
    const aiter_reshape_and_cache_args own = writer(AITER_F32, AITER_I8, CACHE_SCALE_COMPUTED, 0);
    aiter_reshape_and_cache_args none = copies;
    char workspace[64];
    size_t bytes = 0;
    CHECK(aiter_reshape_and_cache_workspace(&copies, cpu, &bytes) == AITER_OK && bytes > 0, "none");
    snprintf(workspace, sizeof workspace, "workspace: %zu bytes", bytes);
    {
        const char *const lines[] = {
            "aiter_reshape_and_cache: runs",
            engine,
            workspace,
            "problem: 10 tokens, heads 4, D 128/64, into 50 blocks of 16 tokens",
            "types: k and v bf16, slots i64, kv.k bf16, kv.v bf16",
            "work: 10 tokens, a stretch of the tokens for each thread",
            "bytes: at most 1.54e+04 read, 1.54e+04 written",
            "error: none, every bf16 is kept"};
        EXPLAINS(reshape_and_cache, &copies, cpu, lines);
    }
    {
        const char *const lines[] = {"aiter_reshape_and_cache: runs",
                                     "error: none, every f16 is an f32"};
        EXPLAINS(reshape_and_cache, &widens, cpu, lines);
    }
    {
        const char *const lines[] = {"aiter_reshape_and_cache: runs",
                                     "bytes: at most 3.08e+04 read, 1.54e+04 written",
                                     "error: half a unit of f16"};
        EXPLAINS(reshape_and_cache, &rounds, cpu, lines);
    }
    {
        const char *const lines[] = {
            "aiter_reshape_and_cache: runs",
            "types: k and v f16, slots i64, kv.k i8 with one scale, kv.v i8 with one scale",
            "bytes: at most 1.54e+04 read, 7.68e+03 written",
            "error: half a scale; beyond 127 scales an element is 127 of them"};
        EXPLAINS(reshape_and_cache, &one, cpu, lines);
    }
    {
        const char *const lines[] = {
            "aiter_reshape_and_cache: runs",
            "types: k and v f16, slots i64, kv.k i8 with a scale per head, "
            "kv.v i8 with a scale per head"};
        EXPLAINS(reshape_and_cache, &heads, cpu, lines);
    }
    {
        const char *const lines[] = {
            "aiter_reshape_and_cache: runs",
            "types: k and v f32, slots i64, kv.k i8 with a scale per token and head, kv.v i8 with "
            "a scale per token and head, which are written",
            "bytes: at most 3.08e+04 read, 8e+03 written",
            "error: half a scale; a scale is the largest |element| of its row / 127"};
        EXPLAINS(reshape_and_cache, &own, cpu, lines);
    }
    none.k.shape[0] = none.v.shape[0] = none.slot_mapping.shape[0] = 0;
    {
        const char *const lines[] = {"aiter_reshape_and_cache: runs",
                                     "bytes: at most 0 read, 0 written"};
        EXPLAINS(reshape_and_cache, &none, cpu, lines);
    }
}

/* ---- the copies of blocks ---- */

static void block_lines(aiter_context *cpu, const char *engine)
{
    const char *const swaps[] = {"aiter_swap_blocks: runs",
                                 engine,
                                 "problem: 6 blocks in 1 cache of 20 blocks",
                                 "types: mapping i64, blocks as they are",
                                 "work: 6 copies, a stretch of them for each thread, in pieces of "
                                 "16384 bytes",
                                 "bytes: at most 9.83e+04 read, 9.83e+04 written",
                                 "error: none"};
    const char *const copies[] = {"aiter_copy_blocks: runs",
                                  "problem: 6 blocks in 2 caches of 50 blocks",
                                  "work: 12 copies, a stretch of them for each thread, in pieces "
                                  "of 128 bytes",
                                  "bytes: at most 1.11e+05 read, 1.11e+05 written"};
    aiter_tensor caches[2];
    aiter_swap_blocks_args s;
    aiter_copy_blocks_args c;
    memset(&s, 0, sizeof s);
    memset(&c, 0, sizeof c);
    s.src = caches[0] = aiter_tensor_4d(AT(1), AITER_F16, 50, 16, 8, 64);
    s.dst = aiter_tensor_4d(AT(2), AITER_F16, 20, 16, 8, 64);
    s.mapping = c.mapping = aiter_tensor_2d(AT(3), AITER_I64, 6, 2);
    EXPLAINS(swap_blocks, &s, cpu, swaps);
    caches[1] = aiter_tensor_3d(AT(4), AITER_I8, 50, 16, 128);
    caches[1].stride[0] = 16 * 256, caches[1].stride[1] = 256, caches[1].stride[2] = 1;
    c.caches = caches;
    c.num_caches = 2;
    EXPLAINS(copy_blocks, &c, cpu, copies);
}

/* ---- the merge ---- */

static aiter_merge_attn_states_args merging(int batch, aiter_dtype type)
{
    aiter_merge_attn_states_args a;
    memset(&a, 0, sizeof a);
    a.out_a = a.out_b = a.out = batch ? aiter_tensor_4d(AT(1), type, batch, 10, 6, 128)
                                      : aiter_tensor_3d(AT(1), type, 10, 6, 128);
    a.lse_a = a.lse_b = a.lse = batch ? aiter_tensor_3d(AT(2), AITER_F32, batch, 6, 10)
                                      : aiter_tensor_2d(AT(2), AITER_F32, 6, 10);
    a.out_b.data = AT(3), a.lse_b.data = AT(4), a.out.data = AT(5), a.lse.data = AT(6);
    return a;
}

static void merge_lines(aiter_context *cpu, const char *engine)
{
    const char *const batched[] = {
        "aiter_merge_attn_states: runs",
        engine,
        "workspace: 0 bytes",
        "problem: batch 3, 10 tokens, heads 6, D 128",
        "types: out_a bf16, out_b bf16, out bf16, lse f32",
        "work: 180 rows of heads, a stretch of the tokens for each thread",
        "bytes: at most 9.36e+04 read, 4.68e+04 written",
        "error: (12 + 2 |lse_a - lse_b|) 2^-24 of |out_a| + |out_b|, half a unit of bf16 "
        "(docs/guide.md, 5)"};
    const char *const packed[] = {"aiter_merge_attn_states: runs",
                                  "problem: batch 1, 10 tokens, heads 6, D 128",
                                  "types: out_a bf16, out_b bf16, out f32, no lse",
                                  "bytes: at most 3.12e+04 read, 3.07e+04 written"};
    aiter_merge_attn_states_args a = merging(3, AITER_BF16);
    EXPLAINS(merge_attn_states, &a, cpu, batched);
    a = merging(0, AITER_BF16);
    a.out.dtype = AITER_F32;
    a.lse.ndim = 0;
    EXPLAINS(merge_attn_states, &a, cpu, packed);
}

/* ---- RoPE ---- */

static aiter_rope_fwd_args turning(void)
{
    aiter_rope_fwd_args a;
    memset(&a, 0, sizeof a);
    a.x = aiter_tensor_4d(AT(1), AITER_BF16, 3, 10, 6, 128);
    a.y = aiter_tensor_4d(AT(2), AITER_F32, 3, 10, 6, 128);
    a.rope.cos = aiter_tensor_2d(AT(3), AITER_F32, 4096, 32);
    a.rope.sin = aiter_tensor_2d(AT(4), AITER_F16, 4096, 32);
    return a;
}

static void rope_lines(aiter_context *cpu, const char *engine)
{
    const char *const one[] = {
        "aiter_rope_fwd: runs",
        engine,
        "workspace: 0 bytes",
        "problem: batch 3, 10 tokens, heads 6, D 128",
        "types: x bf16, y f32, cos f32, sin f16",
        "rope: the first 64 elements turn in NeoX pairs, one position a token, of 4096 in the "
        "tables",
        "work: 180 rows of heads, a stretch of the tokens for each thread",
        "bytes: at most 4.61e+04 read, 9.22e+04 written",
        "error: 2^-23 of |x1 cos| + |x2 sin|, half a unit of f32 (docs/guide.md, 5)"};
    const char *const image[] = {"aiter_rope_fwd: runs",
                                 "rope: the last 64 elements turn in GPT-J pairs, two positions a "
                                 "token, of an image, of 4096 in the tables"};
    const char *const sections[] = {"aiter_rope_fwd: runs",
                                    "rope: the first 64 elements turn in NeoX pairs, three "
                                    "positions a token, by sections, of 4096 in the tables"};
    const char *const mixed[] = {"aiter_rope_fwd: runs",
                                 "rope: the first 64 elements turn in NeoX pairs, three positions "
                                 "a token, interleaved, of 4096 in the tables"};
    aiter_rope_fwd_args a = turning();
    EXPLAINS(rope_fwd, &a, cpu, one);
    a.rope.sections[0] = 32;
    a.rope.kind = AITER_ROPE_MULTI;
    EXPLAINS(rope_fwd, &a, cpu, sections);
    a.rope.kind = AITER_ROPE_MULTI_INTERLEAVED;
    EXPLAINS(rope_fwd, &a, cpu, mixed);
    a = turning();
    a.rope.kind = AITER_ROPE_2D;
    a.rope.width = 5;
    a.rope.pairing = AITER_ROPE_GPTJ;
    a.rope.nope_first = 1;
    EXPLAINS(rope_fwd, &a, cpu, image);
}

/* ---- codes and scales ---- */

static void quant_lines(aiter_context *cpu, const char *engine)
{
    const char *const to[] = {"aiter_quantize: runs",
                              engine,
                              "workspace: 0 bytes",
                              "problem: [1, 10, 6, 128], 240 scales, groups of 32",
                              "types: bf16 to f4_e2m1, scales f8_e8m0, which are written",
                              "work: 60 rows, a stretch of the tokens for each thread",
                              "bytes: at most 1.54e+04 read, 4.08e+03 written"};
    const char *const shared[] = {"aiter_quantize: runs",
                                  "problem: [1, 10, 6, 128], 1 scales, groups of 128",
                                  "bytes: at most 3.07e+04 read, 7.68e+03 written"};
    const char *const from[] = {"aiter_dequantize: runs",
                                "types: bf16 from f4_e2m1, scales f8_e8m0",
                                "bytes: at most 4.08e+03 read, 1.54e+04 written"};
    aiter_quantize_args a;
    memset(&a, 0, sizeof a);
    a.x = aiter_tensor_3d(AT(1), AITER_BF16, 10, 6, 128);
    a.y = aiter_tensor_3d(AT(2), AITER_F4_E2M1, 10, 6, 128);
    a.scale = aiter_tensor_3d(AT(3), AITER_F8_E8M0, 10, 6, 4);
    a.quantisation.group = 32;
    EXPLAINS(quantize, &a, cpu, to);
    a.y = a.x;
    a.x = aiter_tensor_3d(AT(2), AITER_F4_E2M1, 10, 6, 128);
    EXPLAINS(dequantize, &a, cpu, from);
    a.x = a.y;
    a.y = aiter_tensor_3d(AT(2), AITER_I8, 10, 6, 128);
    a.scale = aiter_tensor_1d(AT(3), AITER_F32, 1);
    a.quantisation.group = 0;
    EXPLAINS(quantize, &a, cpu, shared);
}

/* ---- attention: what is read as K and V ---- */

static void attention_lines(aiter_context *cpu)
{
    const char *const latent[] = {
        "aiter_flash_attn_fwd: runs",
        "problem: batch 2, heads 8/1, up to 1 queries and 100 keys, D 576/512",
        "types: q bf16, k bf16, v the first 512 columns of k (kv.v is absent), out bf16; keys "
        "dense",
        "bytes: at most 3.48e+04 of q and out, 2.3e+05 of k"};
    const char *const scaled[] = {"aiter_paged_attn_decode: runs",
                                  "types: q bf16, k i8 with a scale per token and head, v i8 with "
                                  "a scale per head, out bf16; "
                                  "keys paged, page size 16",
                                  "bytes: at most 1.23e+04 of q and out, 1.57e+06 of k and v"};
    const char *const one[] = {
        "aiter_paged_attn_decode: runs",
        "types: q bf16, k f16, v i8 with one scale, out bf16; keys paged, page size 16"};
    const char *const fine[] = {"aiter_paged_attn_decode: runs",
                                "types: q bf16, k f8_e4m3fn with a scale per page and head, v i8 "
                                "with a scale per channel, out bf16; keys paged, page size 16"};
    const char *const grouped[] = {"aiter_paged_attn_decode: runs",
                                   "types: q bf16, k f8_e4m3fn with a scale per group of columns, "
                                   "v i8 with a scale per channel, out bf16; keys paged, page size "
                                   "16"};
    aiter_flash_attn_fwd_args a = dense(2, 1, 100, 8, 1, 576);
    aiter_paged_attn_decode_args d = decode(3, 1, 8, 2, AITER_I8);
    size_t bytes = 0;
    char workspace[64], text[2048];
    a.kv.v.ndim = 0;
    a.kv.dim_v = 512;
    a.out.shape[3] = 512;
    memset(a.out.stride, 0, sizeof a.out.stride);
    EXPLAINS(flash_attn_fwd, &a, cpu, latent);
    CHECK(aiter_flash_attn_fwd_workspace(&a, cpu, &bytes) == AITER_OK, "%s", aiter_last_error());
    snprintf(workspace, sizeof workspace, "\nworkspace: %zu bytes\n", bytes);
    CHECK(aiter_flash_attn_fwd_explain(&a, cpu, text, sizeof text) == AITER_OK &&
              strstr(text, workspace),
          "%s in %s", workspace, text);
    EXPLAINS(paged_attn_decode, &d, cpu, scaled);
    d.kv.k.dtype = AITER_F16;
    d.kv.k_scale.ndim = 0;
    d.kv.v_scale = aiter_tensor_1d(AT(8), AITER_F32, 1);
    EXPLAINS(paged_attn_decode, &d, cpu, one);
    d.kv.k.dtype = AITER_F8_E4M3FN;
    d.kv.k_scale = aiter_tensor_2d(AT(7), AITER_BF16, d.kv.k.shape[0], 2);
    d.kv.v_scale = aiter_tensor_2d(AT(8), AITER_F32, 2, 128);
    d.kv.v_scale_kind = AITER_SCALE_PER_CHANNEL;
    EXPLAINS(paged_attn_decode, &d, cpu, fine);
    d.kv.k_scale = aiter_tensor_4d(AT(7), AITER_F16, d.kv.k.shape[0], 16, 2, 4);
    EXPLAINS(paged_attn_decode, &d, cpu, grouped);
}

/* ---- on a device ---- */

/* The chip, the kernel, its workgroups; nothing is launched. */
static void device_lines(aiter_device device)
{
    const int hip = device == AITER_DEVICE_HIP;
    aiter_context *ctx = device_context(device);
    aiter_reshape_and_cache_args w = writer(AITER_F16, AITER_I8, CACHE_SCALE_GIVEN, 1);
    aiter_merge_attn_states_args m = merging(3, AITER_BF16);
    aiter_flash_attn_fwd_args a = dense(1, 40, 3000, 4, 4, 128);
    const aiter_context_details d = aiter_context_info(ctx);
    char engine[128], merges[256], writes[256], workspace[64], text[2048];
    size_t bytes = 0;
    snprintf(engine, sizeof engine, "engine: %s, %s, %d compute units", d.device_name,
             d.architecture, (int)d.compute_units);
    snprintf(writes, sizeof writes,
             "kernel: aiteri_reshape_and_cache_f16_any_any_0_0_general, 1 of 10 tokens by %d "
             "threads, 10 workgroups x 1 launches",
             hip ? 256 : 128);
    snprintf(merges, sizeof merges,
             "kernel: aiteri_merge_attn_states_bf16_bf16_bf16_0_0_general, 4 of 60 rows of heads "
             "by %d threads, 15 workgroups x 3 launches",
             hip ? 256 : 128);
    {
        const char *const lines[] = {"aiter_reshape_and_cache: runs",
                                     engine,
                                     "workspace: 0 bytes",
                                     writes,
                                     "bytes: at most 1.54e+04 read, 7.68e+03 written",
                                     "error: half a scale; beyond 127 scales an element is 127 of "
                                     "them"};
        EXPLAINS(reshape_and_cache, &w, ctx, lines);
    }
    {
        const char *const lines[] = {"aiter_merge_attn_states: runs", engine, "workspace: 0 bytes",
                                     merges, "bytes: at most 9.36e+04 read, 4.68e+04 written"};
        EXPLAINS(merge_attn_states, &m, ctx, lines);
    }
    a.num_splits = 4;
    CHECK(aiter_flash_attn_fwd_workspace(&a, ctx, &bytes) == AITER_OK && bytes > 0, "none");
    snprintf(workspace, sizeof workspace, "workspace: %zu bytes", bytes);
    {
        const char *const lines[] = {"aiter_flash_attn_fwd: runs", engine, workspace};
        EXPLAINS(flash_attn_fwd, &a, ctx, lines);
    }
    m.out.dtype = AITER_F32;
    CHECK(aiter_merge_attn_states_explain(&m, ctx, text, sizeof text) == AITER_NO_KERNEL, "runs");
    {
        const char *const lines[] = {"aiter_merge_attn_states: no kernel", aiter_last_error()};
        has_lines(text, lines, EACH(lines));
    }
    {
        static const char only_cpu[] = "no device kernel";
        aiter_quantize_args q;
        memset(&q, 0, sizeof q);
        q.x = aiter_tensor_2d(AT(1), AITER_F16, 4, 8);
        q.y = aiter_tensor_2d(AT(2), AITER_I8, 4, 8);
        q.scale = aiter_tensor_1d(AT(3), AITER_F32, 4);
        CHECK(aiter_quantize(&q, ctx) == AITER_NO_KERNEL && strstr(aiter_last_error(), only_cpu) &&
                  aiter_quantize_supported(&q, ctx) == AITER_NO_KERNEL,
              "%s", aiter_last_error());
        q.y.shape[1] = 7;
        CHECK(aiter_quantize(&q, ctx) == AITER_INVALID_ARGUMENT, "%s", aiter_last_error());
    }
    CHECK(fake.launches == 0, "%d launches", fake.launches);
    close_context(ctx);
}

int main(void)
{
    aiter_context *cpu;
    test_begin("explain", 1);
    cpu = test_context(AITER_ISA_SCALAR, 2);
    writer_lines(cpu, "engine: cpu, kernel set scalar, 2 threads");
    merge_lines(cpu, "engine: cpu, kernel set scalar, 2 threads");
    rope_lines(cpu, "engine: cpu, kernel set scalar, 2 threads");
    block_lines(cpu, "engine: cpu, kernel set scalar, 2 threads");
    quant_lines(cpu, "engine: cpu, kernel set scalar, 2 threads");
    attention_lines(cpu);
    aiter_context_destroy(cpu);
    device_lines(AITER_DEVICE_HIP);
    device_lines(AITER_DEVICE_CUDA);
    return test_end();
}
