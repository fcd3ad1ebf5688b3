// paged_decode.hip -- attention of the few new tokens of a sequence over its pages: the query heads
// of a kv head and the new tokens are packed into the rows of a matrix instruction, so a key is
// loaded once for all of them.
//
// Launch: one workgroup of THREADS takes up to ROWS packed rows of one kv head of one sequence
// through one split (both of the instance): whole tokens, or a part of a larger group's heads.
// a.tiles = ceil(group / ROWS) * ceil(q_lengths.most / max(1, ROWS / group)); grid batch *
// split.count * heads_k * a.tiles x 1 x 1, or with a.work.list as many as that has works. With
// split.count > 1 `combine` follows. On NVIDIA dynamic shared memory: the row's lds.
//
// The waves of a workgroup deal the blocks of keys among themselves and meet once, at the end. A
// wave has BUFFERS blocks in registers or on their way; a buffer is filled again as soon as it has
// been used, so while one block is waited for, the loads of BUFFERS - 1 more are under way. Ids of
// pages are read BUFFERS blocks before that.
#include "tile/decode.hpp"
#include "tile/decode_work.hpp"
#include "tile/finish.hpp"

namespace aiteri
{

/* What a lane loads where there is nothing to load. Not const, which would be another memory. */
static __attribute__((device)) u32x4 nothing_to_load = {0, 0, 0, 0};
/* Of rows without scales, in an instance that has them. */
static __attribute__((device)) float no_scale = 1.0f;

/* Registers are there for so many blocks at a time; 0: for one, without a look ahead. */
template <class KV> constexpr int decode_buffers(int dq, int dv)
{
    if (dq + dv <= 256) return WAVE == 64 ? 3 : Piece<KV>::SCALED && Piece<KV>::FINITE ? 2 : 1;
    return WAVE == 64 ? (sizeof(typename Piece<KV>::Raw) < 16 ? 2 : 1) : 0;
}

template <class T, class KV, int DQ, int DV, int THREADS, int BUFFERS> struct Decode {
    typedef DecodeFragments<T, KV, DQ, DV> F;
    typedef Piece<KV> Source;
    typedef typename F::Raw Raw;
    typedef typename Piece<KV>::Element Element;
    typedef typename F::Rule Rule;
    typedef Matrix<T, 16> M; /* of its rows: how lanes share them */
    static constexpr bool SCALED = Piece<KV>::SCALED;
    enum {
        WAVES = THREADS / WAVE,
        PER = Piece<KV>::PER,
        PLACES = 2 * DECODE_KEYS,            /* of K and V: one a lane */
        STAGED = DECODE_CHUNK_COLUMNS / PER, /* elements of a row's chunk in LDS */
        TILE_STRIDE = DECODE_CHUNK_COLUMNS + 4,
        TILE = LINES * TILE_STRIDE, /* floats of a wave's share of the sums */
        STATES = WAVES * TILE, /* then of each wave: state of its rows, V scale, places, scales */
        SCALES_OF_V = STATES + WAVES * 2 * LINES,
        AT_PLACES = SCALES_OF_V + WAVES,
        AT_SCALES = AT_PLACES + WAVES * 2 * PLACES,
        LDS_FLOATS = AT_SCALES + WAVES * PLACES
    };
    static_assert(PLACES == WAVE, "a place and a scale for every lane");
    static_assert(TILE * 4 >= DECODE_KEYS * DECODE_CHUNK_COLUMNS * sizeof(Element), "staged");

    /* One block on its way: the ids of its lane's page run BUFFERS blocks ahead. */
    struct Buffer {
        typename F::Keys k;
        typename F::Values v;
        uint32_t mapped; /* bit j: key j is in a page */
        float scale;     /* of the lane's place */
        int id;
    };

    const aiteri_gpu_attention &a;
    DecodeWork w;
    Local<float> lds, staged, scales;
    Local<uint64_t> places;
    int lane, wave, end, count; /* end: keys, count: blocks of this wave */
    BlockList blocks;
    PagedRows rows; /* of K in lanes below DECODE_KEYS, of V in the others */
    Global<const int32_t> table;
    KeyRange all, seen;
    float top, sum;                /* of the lane's row; sum: of its own keys */
    float scale_top;               /* V scales are divided by it while the sums are formed */
    Rule kept_k_rule, kept_v_rule; /* where there are registers for them */
    uint32_t key_start, key_step, value_step; /* bytes: find_steps() */
    typename F::Queries q;
    typename F::Sums o;

    AITERI_METHOD Decode(const aiteri_gpu_attention &args, const DecodeWork &work,
                         Local<float> memory)
        : a(args), w(work), lds(memory), lane(lane_id()), wave(wave_id()), top(minus_infinity()),
          sum(0.0f), scale_top(0.0f), kept_k_rule(Rule::of(args.k.dtype)),
          kept_v_rule(Rule::of(args.v.dtype)), key_start(0), key_step(0), value_step(0), o{}
    {
        staged = lds + wave * TILE;
        places = (Local<uint64_t>)(lds + AT_PLACES) + wave * PLACES;
        scales = lds + AT_SCALES + wave * PLACES;
        const KeyRange first = visible_keys(a.mask, w.s, w.token(a, 0));
        const KeyRange last = visible_keys(a.mask, w.s, w.token(a, w.rows - 1));
        all = KeyRange{0, last.lo, first.hi};
        find_keys(keys_of_some(first, last));
        const int r = smaller_of(line_of(lane), w.rows - 1);
        seen = visible_keys(a.mask, w.s, w.token(a, r));
        if (a.score.alibi) *slope() = alibi_slope(a.score, w.s, w.query_head(a, r));
        wave_fence();
    }

    /* The blocks of this split, and this wave's of them: every WAVES-th. */
    AITERI_METHOD void find_keys(const KeyRange &some)
    {
        const int64_t step = a.split.split_keys, from = w.split * step;
        int64_t to =
            smaller_of((int64_t)w.s.seqlen_k, (int64_t)a.pages.entries * a.pages.page_size);
        if (a.split.count > 1) to = smaller_of(to, from + step);
        const int begin = a.split.count > 1 ? (int)smaller_of(from, to) : 0;
        end = (int)to;
        blocks = BlockList::of(some, begin, end);
        count = (blocks.count - wave + WAVES - 1) / WAVES;
        table = page_table(a.pages, w.s);
    }

    /* What a path keeps through its loop: what is found before the paths part takes registers in
     * all of them. */
    AITERI_METHOD void find_rest()
    {
        const PagedRows k = PagedRows::of(a.k, w.head, (int)sizeof(Element), PER);
        const PagedRows v = PagedRows::of(a.v, w.head, (int)sizeof(Element), PER);
        rows = lane < DECODE_KEYS ? k : v;
        if (SCALED && !rows.scales) rows.scales = (uint64_t)&no_scale;
    }

    AITERI_METHOD Rule k_rule() const { return DQ <= 128 ? kept_k_rule : Rule::of(a.k.dtype); }
    AITERI_METHOD Rule v_rule() const { return DV <= 128 ? kept_v_rule : Rule::of(a.v.dtype); }

    AITERI_METHOD void load_queries()
    {
        const RowShape shape =
            RowShape::of(a.dim_q, a.q.data, a.q.stride_batch, a.q.stride_token, a.q.stride_head);
        const int r = line_of(lane);
        const Global<const uint16_t> row =
            global<const uint16_t>(a.q.data) + w.place(a, a.q, smaller_of(r, w.rows - 1));
#pragma unroll
        for (int step = 0; step < F::STEPS; step++) {
            const u32x4 x = load_chunk(row, F::key_column(lane, step) / CHUNK, shape);
            q.x[step] = r < w.rows ? x : u32x4{0, 0, 0, 0};
        }
    }

    /* The key of this lane's place in block n, or `end` where there is none. */
    AITERI_METHOD int own_key(int n) const
    {
        const int i = wave + n * WAVES;
        const int key = blocks.key(i) + lane % DECODE_KEYS;
        return i < blocks.count ? smaller_of(key, end) : end;
    }
    AITERI_METHOD int load_id(int n) const
    {
        const int key = smaller_of(own_key(n), end - 1);
        return table[(uint32_t)key / (uint32_t)a.pages.page_size * a.pages.stride_entry];
    }

    /* Where the rows of block n stand; its ids are in x. Then the ids of a later block. */
    template <DecodePath PATH> AITERI_METHOD void find_rows(Buffer &x, int n, int ahead)
    {
        const int key = own_key(n), in_page = (int)((uint32_t)key % (uint32_t)a.pages.page_size);
        const bool here = (key < end) & ((uint32_t)x.id < (uint32_t)a.pages.num_blocks);
        uint64_t at = rows.base + (uint64_t)(x.id * rows.outer) + (uint64_t)(in_page * rows.token);
        const int bundle = (int)((uint32_t)in_page / (uint32_t)rows.bundle);
        if (PATH == BY_COLUMNS) at += (uint64_t)((int64_t)bundle * (int)rows.apart);
        if (PATH == BY_ELEMENTS) at += (uint64_t)(bundle * rows.apart);
        wave_fence();
        places[lane] = here ? at : 0;
        wave_fence();
        x.mapped = (uint32_t)ballot(here);
        if constexpr (SCALED) {
            const uint64_t scale = rows.scales + (uint64_t)(x.id * rows.scale_outer) +
                                   (uint64_t)(in_page * rows.scale_token);
            const uint64_t none = (uint64_t)&nothing_to_load;
            x.scale = *global<const float>(here ? scale : none);
        }
        x.id = load_id(n + ahead);
    }

    /* Eight elements of a row from a column on; zeros where there is no row or no such column. */
    AITERI_METHOD Raw load_piece(uint64_t row, int column, int dim) const
    {
        const uint64_t at = row + (uint64_t)(column / PER * (int)sizeof(Element));
        const bool here = (row != 0) & (column < dim);
        return *global<const Raw>(here ? at : (uint64_t)&nothing_to_load);
    }

    /* Columns [128 c, 128 c + 128) of the rows of K (side 0) or V to LDS, one by one. */
    AITERI_METHOD void stage(int side, int c, int dim) const
    {
        const aiteri_gpu_attention &again = arguments_again(a);
        const aiteri_gpu_source &source = side ? again.v : again.k;
        const Local<Element> to = (Local<Element>)staged;
        wave_fence();
#pragma unroll 1
        for (int i = lane; i < DECODE_KEYS * STAGED; i += WAVE) {
            const int at = c * STAGED + i % STAGED;
            const uint64_t row = places[side * DECODE_KEYS + i / STAGED];
            Element x = 0;
            if (row && at * PER < dim)
                x = global<const Element>(row)[PagedRows::column_at(source, at)];
            to[i] = x;
        }
        wave_fence();
    }
    AITERI_METHOD Raw staged_piece(int key, int column) const
    {
        const Local<const Element> from = (Local<const Element>)staged;
        return *(Local<const Raw>)(from + key * STAGED + column % DECODE_CHUNK_COLUMNS / PER);
    }

    template <DecodePath PATH> AITERI_METHOD void load_keys(Buffer &x) const
    {
        if constexpr (PATH == BY_COLUMNS) return load_pieces(x);
#pragma unroll
        for (int step = 0; step < F::STEPS; step++) {
            const int column = F::key_column(lane, step);
            if (PATH == BY_ELEMENTS && step * 32 % DECODE_CHUNK_COLUMNS == 0)
                stage(0, step * 32 / DECODE_CHUNK_COLUMNS, a.dim_q);
#pragma unroll
            for (int t = 0; t < SETS; t++) {
                const int key = key_of_set(lane, t);
                x.k.x[t][step] = PATH == BY_ROWS ? load_piece(places[key], column, a.dim_q)
                                                 : staged_piece(key, column);
            }
        }
    }
    template <DecodePath PATH> AITERI_METHOD void load_values(Buffer &x) const
    {
        if constexpr (PATH == BY_COLUMNS) return load_columns(x);
#pragma unroll
        for (int p = 0; p < F::PIECES; p++) {
            const int column = F::value_column(lane, p);
            if (PATH == BY_ELEMENTS && p * F::CHUNKS % F::PIECES == 0)
                stage(1, p * F::CHUNKS / F::PIECES, a.dim_v);
#pragma unroll
            for (int e = 0; e < EACH; e++) {
                const int key = key_of_quarter(lane, e);
                x.v.x[p][e] = PATH == BY_ROWS
                                  ? load_piece(places[DECODE_KEYS + key], column, a.dim_v)
                                  : staged_piece(key, column);
            }
        }
    }

    /* What BY_COLUMNS steps by. Read once: a load from the arguments under a condition is a branch
     * among the loads that are counted. */
    AITERI_METHOD void find_steps()
    {
        const int column = F::key_column(lane, 0), piece = a.k.piece ? a.k.piece : 32;
        const int apart = a.k.piece ? (int)a.k.stride_piece : 32;
        key_start = (uint32_t)((column / piece * apart + column % piece) * (int)sizeof(Element));
        key_step = anew((uint32_t)(32 / piece * apart * (int)sizeof(Element)));
        value_step = anew((uint32_t)((int)a.v.stride_dim * (int)sizeof(Element)));
    }
    /* x in a vector register, of scalar ones there are too few; nothing that follows from it is
     * kept through the loop, for which vectors do not suffice. */
    AITERI_METHOD static uint32_t anew(uint32_t x)
    {
#if defined(__AMDGCN__)
        asm volatile("" : "+v"(x));
#endif
        return x;
    }

    /* What is asked for seldom, to vector registers: a conversion has many constants, and gfx90a
     * gives masks of 16-bit values scalar pairs. */
    AITERI_METHOD void free_scalars()
    {
        int *const some[] = {&w.s.index, &w.head, &w.split, &w.first, &w.rows};
#pragma unroll
        for (int i = 0; i < 5; i++) *some[i] = (int)anew((uint32_t)*some[i]);
        w.s.q_start = (int64_t)((uint64_t)anew((uint32_t)(w.s.q_start >> 32)) << 32 |
                                anew((uint32_t)w.s.q_start));
    }

    /* Keys whose pieces may lie apart, so that 32 columns are whole ones. */
    AITERI_METHOD void load_pieces(Buffer &x) const
    {
        const uint32_t more = anew(key_step);
#pragma unroll
        for (int t = 0; t < SETS; t++) {
            const uint64_t row = places[key_of_set(lane, t)];
            uint64_t at = row + key_start;
#pragma unroll
            for (int step = 0; step < F::STEPS; step++, at += more) {
                const bool here = (row != 0) & (F::key_column(lane, step) < a.dim_q);
                x.k.x[t][step] = *global<const Raw>(here ? at : nothing());
            }
        }
    }

    /* Values of a quarter's keys, which are all of one page; where the last keys end among them
     * they are hidden, whatever lies there. Columns past the last are not stored: the first stands
     * in. */
    AITERI_METHOD void load_columns(Buffer &x) const
    {
        typedef typename F::Column Column;
        const uint64_t keys = places[DECODE_KEYS + key_of_quarter(lane, 0)];
        const uint32_t step = anew(value_step);
#pragma unroll
        for (int p = 0; p < F::PIECES; p++) {
            const int column = F::value_column(lane, p);
            uint64_t at = keys + (uint32_t)(column < a.dim_v ? column : 0) * step;
#pragma unroll
            for (int j = 0; j < CHUNK; j++, at += step)
                F::set_column(x.v, p, j, *global<const Column>(keys != 0 ? at : nothing()));
        }
    }

    AITERI_METHOD static uint64_t nothing() { return (uint64_t)&nothing_to_load; }

    /* Rows that are not made of whole pieces are read one by one, and nothing ahead of its use. */
    template <DecodePath PATH> AITERI_METHOD void run()
    {
        if (count <= 0) return;
        find_rest();
        load_queries();
        if constexpr (PATH == BY_COLUMNS) find_steps();
        if constexpr (PATH != BY_ELEMENTS && BUFFERS > 0) return run_ahead<PATH>();
        Buffer buffer;
        buffer.id = load_id(0);
        for (int n = 0; n < count; n++) {
            typename F::Lane s;
            find_rows<PATH>(buffer, n, 1);
            load_keys<PATH>(buffer);
            F::scores(q, buffer.k, s, k_rule());
            load_values<PATH>(buffer);
            keep_scale(buffer);
            take<PATH>(s, buffer.v, blocks.key(wave + n * WAVES), buffer.mapped);
        }
    }

    template <DecodePath PATH> AITERI_METHOD void run_ahead()
    {
        constexpr int AHEAD = BUFFERS > 0 ? BUFFERS : 1;
        Buffer buffer[AHEAD];
#pragma unroll
        for (int i = 0; i < AHEAD; i++) buffer[i].id = load_id(i);
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
            find_rows<PATH>(buffer[i], i, AHEAD);
            load_keys<PATH>(buffer[i]);
            load_values<PATH>(buffer[i]);
        }
        for (int n = 0; n < count; n += AHEAD)
#pragma unroll
            for (int i = 0; i < AHEAD; i++) step<PATH>(buffer[i], n + i);
    }

    /* Block n, and the start of the block that follows in its buffer. The loads are the same on
     * every path, so that the compiler can count them when it waits. */
    template <DecodePath PATH> AITERI_METHOD void step(Buffer &x, int n)
    {
        const uint32_t mapped = x.mapped;
        typename F::Lane s;
        keep_scale(x);
        find_rows<PATH>(x, n + BUFFERS, BUFFERS);
        if (n < count) F::scores(q, x.k, s, k_rule());
        load_keys<PATH>(x);
        if (n < count) take<PATH>(s, x.v, blocks.key(wave + n * WAVES), mapped);
        load_values<PATH>(x);
    }

    /* To the lanes that need it. */
    AITERI_METHOD void keep_scale(const Buffer &x) const
    {
        if constexpr (SCALED) {
            wave_fence();
            scales[lane] = x.scale;
            wave_fence();
        }
    }

    /* Products of a block become weights, and the weights take its values. */
    template <DecodePath PATH>
    AITERI_METHOD void take(typename F::Lane &s, typename F::Values &v, int key, uint32_t mapped)
    {
        Local<const float> own = scales + quarter_of(lane) * EACH;
        adjust(s, key, own);
        constexpr uint32_t EVERY = (uint32_t)(((uint64_t)1 << DECODE_KEYS) - 1);
        const bool same = all.holds_all(key, key + DECODE_KEYS);
        if (!same || (mapped & EVERY) != EVERY) mask(s, key, mapped);
        softmax(s, own + DECODE_KEYS);
        const Rule rule = v_rule();
        const bool wild = !Piece<KV>::FINITE && !same && any_lane(F::non_finite(v, rule));
        if constexpr (SCALED && !Piece<KV>::FINITE) {
            typename F::Lane scale;
#pragma unroll
            for (int e = 0; e < EACH; e++) scale.x[e] = own[DECODE_KEYS + e];
            F::add_codes_then_values(o, parts(key, mapped), scale, s, v, rule, wild);
        } else {
            constexpr bool ACROSS = PATH == BY_COLUMNS;
            if constexpr (!Piece<KV>::FINITE)
                if (wild) F::template take_non_finite<ACROSS>(o, parts(key, mapped), v, rule);
            F::template add_values<ACROSS>(o, s, v, rule);
        }
    }

    /* 1 where a key takes part. */
    AITERI_METHOD typename F::Lane parts(int key, uint32_t mapped) const
    {
        typename F::Lane part;
#pragma unroll
        for (int e = 0; e < EACH; e++)
            part.x[e] = takes_part(key, mapped, key_of_quarter(lane, e)) ? 1.0f : 0.0f;
        return part;
    }

    /* Scales, softcap and ALiBi; scores end in units of log2 e. */
    AITERI_METHOD void adjust(typename F::Lane &s, int key, Local<const float> k_scale) const
    {
        const bool plain = takes_log2_e(a.score);
        const Twice factor = Twice::of(a.score.softmax_scale * (plain ? LOG2_E : 1.0f));
#pragma unroll
        for (int e = 0; e < EACH; e++)
            s.x[e] = (SCALED ? s.x[e] * k_scale[e] : s.x[e]) * factor.x[e % 2];
        if (plain) return;
        const aiteri_gpu_score &score = arguments_again(a).score;
        if (score.softcap > 0.0f) {
            const float cap = score.softcap;
            const Twice inverse = Twice::of(1.0f / cap);
#pragma unroll
            for (int e = 0; e < EACH; e++) s.x[e] = capped(s.x[e], cap, inverse.x[e % 2]);
        }
        const int first = position() - key;
        const float slope_of_row = score.alibi ? *slope() : 0.0f;
#pragma unroll
        for (int e = 0; e < EACH; e++) {
            const int distance = first - key_of_quarter(lane, e);
            s.x[e] -= slope_of_row * (float)(distance < 0 ? -distance : distance);
            s.x[e] *= LOG2_E;
        }
    }

    /* Of the lane's row among the keys; not kept, for want of registers. */
    AITERI_METHOD int position() const
    {
        return w.token(a, smaller_of(line_of(lane), w.rows - 1)) + w.s.seqlen_k - w.s.seqlen_q;
    }

    AITERI_METHOD bool takes_part(int key, uint32_t mapped, int j) const
    {
        return ((mapped >> j & 1) != 0) & seen.holds(key + j);
    }
    AITERI_METHOD void mask(typename F::Lane &s, int key, uint32_t mapped) const
    {
#pragma unroll
        for (int e = 0; e < EACH; e++)
            if (!takes_part(key, mapped, key_of_quarter(lane, e))) s.x[e] = minus_infinity();
    }

    /* Sums are rescaled when a maximum has grown by more than 2^8 since the last time. */
    AITERI_METHOD void softmax(typename F::Lane &s, Local<const float> v_scale)
    {
        float most = s.x[0], scale_now = scale_top, scale[EACH] = {};
#pragma unroll
        for (int e = 1; e < EACH; e++) most = larger(most, s.x[e]);
        most = M::row_max(most);
        if constexpr (SCALED) {
            float x = 0.0f;
#pragma unroll
            for (int e = 0; e < EACH; e++) { /* nobody wrote the scale of a hidden key */
                scale[e] = is_minus_infinity(s.x[e]) ? 0.0f : v_scale[e];
                x = larger(x, __builtin_fabsf(scale[e]));
            }
#pragma unroll
            for (int mask = 1; mask < WAVE; mask *= 2) /* one for all rows: finish() has one */
                x = larger(x, lane_xor(x, mask));
            scale_now = larger(scale_top, x);
        }
        if (any_lane((most > top + (8.0f - T::WEIGHT_BIAS)) | (scale_now > scale_top))) {
            const float now = larger(top, most + T::WEIGHT_BIAS);
            float factor = now == top ? 1.0f : exp2(top - now);
            sum *= factor;
            top = now;
            if (scale_now > scale_top) factor *= scale_top / scale_now;
            scale_top = scale_now;
            F::rescale(o, factor, lane);
        }
        const float base = is_minus_infinity(top) ? 0.0f : top;
        const float shrink = scale_top > 0.0f ? 1.0f / scale_top : 0.0f;
#pragma unroll
        for (int e = 0; e < EACH; e++) {
            s.x[e] = exp2(s.x[e] - base);
            sum += s.x[e];
            if constexpr (SCALED) s.x[e] *= scale[e] * shrink;
        }
    }

    /* ---- the waves' shares of a row, joined ---- */

    AITERI_METHOD Local<float> wave_state(int from, int r) const
    {
        return lds + STATES + (from * LINES + r) * 2;
    }
    /* Of ALiBi, of the lane's row: until the end, which has other use for its place. */
    AITERI_METHOD Local<float> slope() const { return wave_state(wave, line_of(lane)); }
    AITERI_METHOD Local<float> wave_scale(int from) const { return lds + SCALES_OF_V + from; }

    AITERI_METHOD void finish()
    {
        const float all_keys = M::row_sum(sum);
        const Local<float> to = wave_state(wave, line_of(lane));
        /* Scales may be near the end of f32, and weights of f16 up to 2^8. */
        constexpr bool FAR = SCALED && T::WEIGHT_BIAS == 0.0f;
        constexpr float UNIT = FAR ? 0x1p-8f : 1.0f;
        if (quarter_of(lane) == 0) {
            to[0] = FAR ? top + 8.0f : top;
            to[1] = all_keys * UNIT;
        }
        if (lane == 0) *wave_scale(wave) = SCALED ? scale_top * UNIT : 1.0f;
        wave_fence(); /* rows that were staged where the sums go have been read */
#pragma unroll
        for (int c = 0; c < F::CHUNKS; c++) {
            F::store(o, c, staged, TILE_STRIDE, lane);
            barrier();
            constexpr int PER_ROW = DECODE_CHUNK_COLUMNS / CHUNK;
            for (int i = thread_id(); i < LINES * PER_ROW; i += THREADS)
                if (i / PER_ROW < w.rows) join(i / PER_ROW, c, i % PER_ROW * CHUNK);
            barrier();
        }
    }

    /* Columns [column, column + 8) of chunk c of row r, of all waves in their order. */
    AITERI_METHOD void join(int r, int c, int column)
    {
        float m = minus_infinity(), l = 0.0f;
        float x[CHUNK] = {};
#pragma unroll
        for (int i = 0; i < WAVES; i++) m = larger(m, wave_state(i, r)[0]);
        const float base = is_minus_infinity(m) ? 0.0f : m;
#pragma unroll
        for (int i = 0; i < WAVES; i++) {
            const Local<const float> state = wave_state(i, r);
            const Local<const float> from = lds + i * TILE + r * TILE_STRIDE + column;
            const float weight = exp2(state[0] - base);
            l += weight * state[1];
#pragma unroll
            for (int e = 0; e < CHUNK; e++) x[e] += weight * *wave_scale(i) * from[e];
        }
        column += c * DECODE_CHUNK_COLUMNS;
        if (a.split.count > 1)
            w.store_partial(a, r, column, m, l, x);
        else
            w.template store_row<T>(a, r, column, m, l, x);
    }
};

template <class D> AITERI_FN void paged_decode(const aiteri_gpu_attention &a, Local<float> lds)
{
    const DecodeWork w = DecodeWork::of(a, LINES);
    if (w.rows <= 0) return;
    if (w.split > 0 && w.split * a.split.split_keys >= w.s.seqlen_k) return;
    D decode(a, w, lds);
    if constexpr (D::SCALED || !PagedRows::streams_columns<typename D::Source>())
        decode.free_scalars();
    switch (PagedRows::path<typename D::Source>(a)) {
    case BY_ROWS: decode.template run<BY_ROWS>(); break;
    case BY_COLUMNS:
        if constexpr (PagedRows::streams_columns<typename D::Source>())
            decode.template run<BY_COLUMNS>();
        break;
    default: decode.template run<BY_ELEMENTS>();
    }
    decode.finish();
}

} // namespace aiteri

/* On NVIDIA the launch says how much shared memory there is. */
#if defined(__NVPTX__)
extern __attribute__((shared, aligned(16))) float aiteri_dynamic[];
#define AITERI_DECODE_LDS(name, floats) float *const name = aiteri_dynamic;
#define AITERI_DECODE_WAVES
#else
#define AITERI_DECODE_LDS(name, floats) __attribute__((shared, aligned(16))) float name[floats];
#define AITERI_DECODE_WAVES             __attribute__((amdgpu_waves_per_eu(1, 1)))
#endif

#define AITERI_PAGED_DECODE(op, arch, q, kv, out, dq, dv, layout, scales, kind, source, threads, \
                            rows, keys, lds, waves)                                              \
    AITERI_KERNEL(threads)                                                                       \
    AITERI_DECODE_WAVES void aiteri_##op##_##q##_##kv##_##out##_##dq##_##dv##_##kind(            \
        const aiteri_gpu_attention a)                                                            \
    {                                                                                            \
        typedef aiteri::Decode<aiteri::q, aiteri::kv, dq, dv, threads,                           \
                               aiteri::decode_buffers<aiteri::kv>(dq, dv)>                       \
            D;                                                                                   \
        static_assert(__is_same(aiteri::q, aiteri::out) && rows == aiteri::LINES &&              \
                          keys == D::WAVES * aiteri::DECODE_KEYS && lds == D::LDS_FLOATS * 4,    \
                      "instances.def states the geometry");                                      \
        AITERI_DECODE_LDS(memory, D::LDS_FLOATS)                                                 \
        aiteri::paged_decode<D>(aiteri::arguments(a), (aiteri::Local<float>)memory);             \
    }
AITERI_ROWS(AITERI_PAGED_DECODE)
