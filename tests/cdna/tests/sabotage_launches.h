/* sabotage_launches.h -- launches of every kernel family that take its different ways: dense,
 * packed and paged, rows of odd sizes, masks, options, splits. Built from kernels/args.h. */
#ifndef CDNA_TESTS_SABOTAGE_LAUNCHES_H
#define CDNA_TESTS_SABOTAGE_LAUNCHES_H

#include "sabotage_memory.h"

#include "../../../kernels/args.h" /* has no includes of its own */
#include "../../../kernels/instances.def"

namespace sabotage
{

/* A line of instances.def, in words. */
struct Instance {
    std::string op, arch, q, kv, out, dq, dv, kind, source;
    int threads, rows, keys;

    std::string symbol() const
    {
        return "aiteri_" + op + "_" + q + "_" + kv + "_" + out + "_" + dq + "_" + dv + "_" + kind;
    }
    bool on(cdna::Chip chip) const
    {
        const char *const name[] = {"GFX90A", "GFX942", "GFX950"};
        return arch == "CDNA" || arch == name[int(chip)];
    }
};

inline const std::vector<Instance> &instances()
{
#define CDNA_ROW(op, arch, q, kv, out, dq, dv, layout, scales, kind, source, threads, rows, keys, \
                 lds, waves)                                                                      \
    {#op, #arch, #q, #kv, #out, #dq, #dv, #kind, #source, threads, rows, keys},
    static const std::vector<Instance> all = {AITERI_GPU_ROWS(CDNA_ROW)};
#undef CDNA_ROW
    return all;
}

/* A launch of an instance with the memory that it works on. */
struct Trial {
    std::string name;
    Memory memory;
    std::vector<uint8_t> kernarg;
    uint32_t groups = 0;

    template <class Args> void take(const Args &a, int64_t count)
    {
        kernarg.resize(sizeof a);
        memcpy(kernarg.data(), &a, sizeof a);
        groups = uint32_t(count);
    }
};
using Trials = std::vector<std::unique_ptr<Trial>>;

/* ---- attention ---- */

enum Option : unsigned {
    lse = 1,
    alibi = 2,
    softcap = 4,
    sinks = 8,
    packed = 16,
    not_finite = 32, /* in values, some where not every row sees them */
    unmapped = 64,   /* the second page does not exist */
    general = 128    /* not for plain kernels */
};
enum { full = 1, causal, causal_top_left, window };

struct Shape {
    const char *name;
    int batch, heads_q, heads_k, sq, sk, dim;
    int odd; /* elements between rows: 1 forbids loads of 16 bytes */
    int page, mask, splits;
    unsigned options;
    int bias; /* 0: none, else 1 f32, 2 f16, 3 bf16 */
};

inline aiteri_gpu_rows rows_at(uint64_t data, int tokens, int heads, int dim, int odd)
{
    const int head = dim + odd, token = heads * head;
    return {data, int64_t(tokens) * token, token, head};
}

inline aiteri_gpu_source source_of(Memory &m, const Shape &s, const Instance &of, bool values)
{
    const int blocks = (s.sk + s.page - 1) / (s.page ? s.page : 1) + 1;
    const int outer = s.page ? s.batch * blocks : s.batch, tokens = s.page ? s.page : s.sk;
    const aiteri_gpu_rows r = rows_at(0, tokens, s.heads_k, s.dim, s.odd);
    const size_t n = size_t(outer) * size_t(r.stride_batch);
    aiteri_gpu_source x = {0, r.stride_batch, r.stride_token, r.stride_head, 1, 0, 0, 0, 0, 0, 0, 0,
                           0};
    if (of.kv == "i8") {
        x.data = m.bytes(n);
        x.scales = m.floats(size_t(outer * tokens * s.heads_k), 0.001f, 0.02f);
        x.scale_stride_outer = tokens * s.heads_k, x.scale_stride_token = s.heads_k;
        x.scale_stride_head = 1;
        return x;
    }
    x.data = m.halves(n, values && (s.options & not_finite) ? 977 : 0);
    return x;
}

inline aiteri_gpu_lengths lengths_of(Memory &m, const Shape &s, int most, int shorter)
{
    aiteri_gpu_lengths l = {0, 0, 0, 0, most, most};
    std::vector<int32_t> n;
    if (s.options & packed)
        for (int b = 0; b <= s.batch; b++) n.push_back(b * (most - shorter));
    else if (s.page)
        for (int b = 0; b < s.batch; b++) n.push_back(most - b * shorter);
    if (n.empty()) return l;
    (s.options & packed ? l.cu : l.used) = m.words(n);
    (s.options & packed ? l.cu_stride : l.used_stride) = 1;
    return l;
}

inline void set_pages(Memory &m, const Shape &s, aiteri_gpu_pages *p)
{
    if (!s.page) return;
    std::vector<int32_t> table;
    const int entries = (s.sk + s.page - 1) / s.page;
    p->page_size = s.page, p->entries = entries, p->num_blocks = s.batch * (entries + 1);
    for (int k = 0; k < s.batch * entries; k++) /* odd steps through an even count: each once */
        table.push_back((k * 7 + 3) % p->num_blocks);
    if (s.options & unmapped) table[1] = -1;
    p->table = m.words(table);
    p->stride_batch = entries, p->stride_entry = 1;
}

inline void set_score(Memory &m, const Shape &s, aiteri_gpu_score *x)
{
    const size_t heads = size_t(s.heads_q);
    x->softmax_scale = 1 / std::sqrt(float(s.dim));
    if (s.options & softcap) x->softcap = 3;
    if (s.options & alibi) x->alibi = m.floats(heads, 0.01f, 0.2f), x->alibi_stride_head = 1;
    if (s.options & sinks) x->sinks = m.floats(heads, -1, 1), x->sinks_stride = 1;
    if (!s.bias) return;
    const size_t n = size_t(s.sq) * size_t(s.sk) * heads;
    x->bias_dtype = s.bias;
    x->bias = s.bias == 1 ? m.floats(n, -1, 1) : m.halves(n, 0); /* small as f16, too */
    x->bias_stride_head = int64_t(s.sq) * s.sk, x->bias_stride_token = s.sk;
    x->bias_stride_key = 1;
}

inline void set_split(Memory &m, const Shape &s, int keys, aiteri_gpu_split *x)
{
    const int64_t each = (s.sk + s.splits - 1) / s.splits;
    x->split_keys = (each + keys - 1) / keys * keys;
    x->count = int32_t((s.sk + x->split_keys - 1) / x->split_keys);
    x->rows = int64_t(s.batch) * s.heads_q * s.sq;
    if (x->count <= 1) return;
    const size_t n = size_t(x->rows) * size_t(x->count);
    x->o = m.output(n * size_t(s.dim) * 4);
    x->ml = m.output(n * 2 * 4);
}

inline aiteri_gpu_attention arguments_of(Memory &m, const Shape &s, const Instance &of)
{
    aiteri_gpu_attention a;
    memset(&a, 0, sizeof a);
    const size_t n = size_t(s.batch * s.sq * s.heads_q * (s.dim + s.odd));
    a.q = rows_at(m.halves(n, 0), s.sq, s.heads_q, s.dim, s.odd);
    a.out = rows_at(m.output(2 * n), s.sq, s.heads_q, s.dim, s.odd);
    a.k = source_of(m, s, of, false), a.v = source_of(m, s, of, true);
    a.q_lengths = lengths_of(m, s, s.sq, s.sq > 8 ? 5 : 0);
    a.k_lengths = lengths_of(m, s, s.sk, 9);
    if (s.options & packed)
        a.q.stride_batch = a.out.stride_batch = a.k.stride_outer = a.v.stride_outer = 0;
    if (s.options & lse) {
        a.lse = m.output(size_t(s.batch * s.heads_q * s.sq) * 4);
        a.lse_stride_batch = s.options & packed ? 0 : s.heads_q * s.sq;
        a.lse_stride_head = s.options & packed ? s.batch * s.sq : s.sq, a.lse_stride_token = 1;
    }
    set_pages(m, s, &a.pages);
    a.mask.mask = s.mask;
    a.mask.window_left = 140, a.mask.window_right = 5, a.mask.sink_tokens = 20;
    set_score(m, s, &a.score);
    set_split(m, s, of.keys, &a.split);
    a.batch = s.batch, a.heads_q = s.heads_q, a.heads_k = s.heads_k;
    a.group = s.heads_q / s.heads_k, a.dim_q = a.dim_v = s.dim, a.xcds = 8;
    return a;
}

inline void add_attention(Trials &t, const Instance &of, const Shape &s)
{
    if (of.kind == "plain" && (s.options & general)) return;
    if (of.source == "dense" && (s.page || (s.options & packed))) return;
    t.push_back(std::make_unique<Trial>());
    t.back()->name = s.name;
    aiteri_gpu_attention a = arguments_of(t.back()->memory, s, of);
    const bool decode = of.op == "paged_decode";
    const int rows = decode ? a.group * s.sq : s.sq;
    a.tiles = (rows + of.rows - 1) / of.rows;
    t.back()->take(a,
                   int64_t(a.tiles) * (decode ? s.heads_k : s.heads_q) * s.batch * a.split.count);
}

inline void flash_trials(Trials &t, const Instance &of)
{
    const unsigned odd = general, all = alibi | softcap | sinks | general;
    const Shape shapes[] = {
        {"dense, causal", 1, 1, 1, 330, 330, 128, 0, 0, causal, 1, lse, 0},
        {"dense, full", 2, 2, 1, 130, 300, 128, 0, 0, full, 1, 0, 0},
        {"dense, splits", 1, 2, 2, 270, 600, 128, 0, 0, causal, 2, lse, 0},
        {"heads of 40", 1, 1, 1, 70, 300, 40, 0, 0, causal, 1, odd, 0},
        {"values that are not finite", 1, 1, 1, 300, 300, 128, 0, 0, causal, 1, not_finite, 0},
        {"pages, window", 2, 2, 1, 130, 330, 128, 0, 16, window, 1, lse | unmapped | odd, 0},
        {"packed, splits", 2, 1, 1, 140, 500, 128, 0, 0, causal, 2, packed, 0},
        {"rows of odd sizes, all options", 1, 2, 2, 70, 270, 99, 2, 0, causal, 1, all | lse, 3},
        {"pages of odd sizes", 1, 1, 1, 40, 270, 100, 1, 7, causal_top_left, 1, odd, 0},
        {"a bias of f32", 1, 1, 1, 40, 270, 128, 0, 0, full, 1, odd, 1},
        {"a bias of f16, ALiBi", 1, 1, 1, 40, 270, 128, 0, 0, full, 1, alibi | odd, 2},
    };
    for (const Shape &s : shapes) add_attention(t, of, s);
}

inline void decode_trials(Trials &t, const Instance &of)
{
    const unsigned all = alibi | softcap | sinks;
    const Shape shapes[] = {
        {"pages of 16", 2, 8, 1, 1, 1500, 128, 0, 16, causal, 1, lse, 0},
        {"three tokens, window, all options", 1, 8, 2, 3, 900, 128, 0, 16, window, 1, all, 0},
        {"rows of odd sizes", 1, 4, 2, 1, 530, 99, 1, 7, full, 1, lse | unmapped, 0},
        {"splits", 1, 4, 1, 2, 1500, 128, 0, 32, causal, 2, 0, 0},
        {"heads of 40", 1, 4, 1, 1, 1500, 40, 0, 32, full, 1, unmapped, 0},
        {"values that are not finite", 1, 4, 1, 4, 700, 128, 0, 32, causal, 1, not_finite, 0},
    };
    for (const Shape &s : shapes) add_attention(t, of, s);
}

inline void combine_trials(Trials &t, const Instance &of)
{
    const Shape shapes[] = {
        {"five pieces", 1, 3, 1, 5, 640, 128, 0, 0, full, 5, lse, 0},
        {"seven pieces, odd rows, sinks", 2, 2, 1, 7, 890, 99, 1, 16, full, 7, sinks, 0},
        {"packed", 3, 2, 2, 9, 260, 128, 0, 0, full, 3, lse | packed, 0},
    };
    for (const Shape &s : shapes) {
        t.push_back(std::make_unique<Trial>());
        Memory &m = t.back()->memory;
        Instance keys = of;
        keys.keys = 128;
        aiteri_gpu_attention a = arguments_of(m, s, keys);
        const size_t n = size_t(a.split.rows) * size_t(a.split.count);
        a.split.o = m.floats(n * size_t(s.dim), -1, 1);
        a.split.ml = m.floats(n * 2, 0.5f, 2);
        t.back()->name = s.name;
        t.back()->take(a, (a.split.rows + of.rows - 1) / of.rows);
    }
}

/* ---- the other ops ---- */

inline void merge_trials(Trials &t, const Instance &of)
{
    for (int dim : {128, 300, 33}) {
        t.push_back(std::make_unique<Trial>());
        Memory &m = t.back()->memory;
        aiteri_gpu_merge x;
        memset(&x, 0, sizeof x);
        x.tokens = 7, x.heads = 3, x.dim = dim;
        const size_t rows = 21, n = rows * size_t(dim);
        x.a = rows_at(m.halves(n, 0), 0, 3, dim, 0), x.b = rows_at(m.halves(n, 0), 0, 3, dim, 0);
        x.out = rows_at(m.output(2 * n), 0, 3, dim, 0);
        x.lse_a = m.floats(rows, -3, 3), x.lse_b = m.floats(rows, -3, 3);
        if (dim == 128) x.lse = m.output(4 * rows);
        x.lse_a_stride_head = x.lse_b_stride_head = x.lse_stride_head = 7;
        x.lse_a_stride_token = x.lse_b_stride_token = x.lse_stride_token = 1;
        t.back()->name = "rows of " + std::to_string(dim);
        t.back()->take(x, (int64_t(rows) + of.rows - 1) / of.rows);
    }
}

inline aiteri_gpu_cache_side cache_side(Memory &m, int dim, int quant)
{
    const int64_t heads = 5, page = 8, blocks = 3;
    aiteri_gpu_cache_side x;
    memset(&x, 0, sizeof x);
    x.src = m.halves(size_t(12 * heads * dim), 0);
    x.cache = m.output(size_t(blocks * page * heads * dim) * (quant ? 1 : 2));
    x.src_stride_token = heads * dim, x.src_stride_head = dim;
    x.src_stride_dim = x.cache_stride_dim = 1;
    x.cache_stride_block = page * heads * dim, x.cache_stride_token = heads * dim;
    x.cache_stride_head = x.dim = dim;
    if (!quant) return x;
    x.scale = quant > 1 ? m.output(size_t(blocks * page * heads) * 4)
                        : m.floats(size_t(heads), 0.005f, 0.02f);
    x.scale_stride_head = 1;
    if (quant > 1) x.scale_stride_block = page * heads;
    if (quant == 2) x.scale_stride_token = heads;
    return x;
}

/* Rows as they are in bf16 or in fp8, and by scales of every kind in int8. */
inline void reshape_trials(Trials &t, const Instance &of)
{
    for (int k = 0; k < 8; k++) {
        t.push_back(std::make_unique<Trial>());
        Memory &m = t.back()->memory;
        aiteri_gpu_reshape_and_cache x;
        memset(&x, 0, sizeof x);
        x.quant = k / 2;
        x.cache_dtype = x.quant ? 7 : k % 2 ? 4 : 3, x.largest = 127;
        x.k = cache_side(m, k % 2 ? 300 : 128, x.quant);
        x.v = cache_side(m, 72, x.quant);
        x.tokens = 12, x.slots = 24, x.heads = 5, x.page_size = 8, x.slot_stride = 1;
        x.slot_bits = k % 2 ? 64 : 32;
        std::vector<int32_t> slots;
        for (int i = 0; i < 12; i++) {
            slots.push_back(i == 4 ? 24 : i * 5 % 24);
            if (k % 2) slots.push_back(0);
        }
        x.slot_mapping = m.words(slots);
        t.back()->name = "mode " + std::to_string(x.quant) + ", slots of " +
                         std::to_string(x.slot_bits) + " bits";
        t.back()->take(x, (x.tokens + of.rows - 1) / of.rows);
    }
}

/* Blocks in one piece and in pieces of 24 bytes. */
inline void blocks_trials(Trials &t, const Instance &)
{
    for (int k = 0; k < 2; k++) {
        t.push_back(std::make_unique<Trial>());
        Memory &m = t.back()->memory;
        aiteri_gpu_copy_blocks x;
        memset(&x, 0, sizeof x);
        x.src = m.halves(size_t(6 * 4800), 0), x.dst = m.output(size_t(6 * 9600));
        x.src_stride_block = x.dst_stride_block = 9600;
        x.src_blocks = x.dst_blocks = 6;
        x.mapping = m.words({5, 0, 2, 3, 1, 6, 0, 4});
        x.mapping_bits = 32, x.mapping_stride_pair = 2, x.mapping_stride_side = 1;
        x.unit = k ? 8 : 16, x.units = 9600 / x.unit / (k ? 2 : 1);
        x.units_in_piece = k ? 3 : x.units, x.parts = 2, x.dims = k;
        x.shape[0] = 200, x.from[0] = 24, x.to[0] = 48;
        t.back()->name = k ? "pieces" : "whole blocks";
        t.back()->take(x, 4 * x.parts);
    }
}

/* Null for an op without launches here. */
using MakeTrials = void (*)(Trials &, const Instance &);
inline MakeTrials trials_of(const std::string &op)
{
    if (op == "flash_fwd") return flash_trials;
    if (op == "paged_decode") return decode_trials;
    if (op == "combine") return combine_trials;
    if (op == "merge_attn_states") return merge_trials;
    if (op == "copy_blocks") return blocks_trials;
    return op == "reshape_and_cache" ? reshape_trials : nullptr;
}

} // namespace sabotage

#endif /* CDNA_TESTS_SABOTAGE_LAUNCHES_H */
