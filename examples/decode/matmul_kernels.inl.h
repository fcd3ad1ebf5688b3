/* matmul_kernels.inl.h -- the three kernels of matmul.h over the vector layer of one tier: a dot
 * product with four stored rows (decode), a stored row as floats (expand), a tile of x rows times
 * four expanded rows (prefill).
 *
 * The order of every sum, in all of them: lane l adds the products of the elements l, l + lanes,
 * l + 2 lanes ... one after the other (the row padded with zeros to a multiple of 32), then
 * MM(quarter) and matmul_sum4 add the lanes. That is what keeps the bits the same. */

/* ---- 32 weights of a block as exact floats ---- */

/* 16 quants: scale * q + offset. The product is exact (and so is the sum of the formats that store
 * no minimum, whose offset is the scale times their zero), hence fusing changes nothing. */
MATMUL_INLINE void MM(scale)(const MM_VI *q, MM_VF scale, MM_VF offset, MM_VF *w)
{
    for (int i = 0; i < MM_PER_16; i++) w[i] = MM(fma)(scale, MM(to_float)(q[i]), offset);
}

MATMUL_INLINE void MM(scale_only)(const MM_VI *q, MM_VF scale, MM_VF *w)
{
    for (int i = 0; i < MM_PER_16; i++) w[i] = scale * MM(to_float)(q[i]);
}

/* Lane i of the result is 16 where bit first + i of `bits` is set. */
MATMUL_INLINE MM_VI MM(fifth_bits)(uint32_t bits, int first)
{
    MM_VI mask;
    for (int i = 0; i < MM_LANES; i++) mask[i] = (int32_t)(1u << (first + i));
    return (MM_VI)((MM(set_bits)(bits) & mask) == mask) & 16;
}

MATMUL_INLINE void MM(unpack_nibbles)(const uint8_t *block, MM_VF *w, int has_min, int has_fifth)
{
    const uint8_t *fifth = block + (has_min ? 4 : 2);
    MM_VF halves = MM(halves)(block), scale = MM(even)(halves);
    MM_VF offset = has_min ? MM(odd)(halves) : scale * MM(set)(has_fifth ? -16.0f : -8.0f);
    MM_VI low[MM_PER_16], high[MM_PER_16];
    MM(widen_u8)(fifth + (has_fifth ? 4 : 0), low);
    for (int i = 0; i < MM_PER_16; i++) {
        high[i] = low[i] >> 4;
        low[i] &= 15;
        if (has_fifth) {
            low[i] |= MM(fifth_bits)(matmul_load32(fifth), i * MM_LANES);
            high[i] |= MM(fifth_bits)(matmul_load32(fifth), 16 + i * MM_LANES);
        }
    }
    MM(scale)(low, scale, offset, w);
    MM(scale)(high, scale, offset, w + MM_PER_16);
}

MATMUL_INLINE void MM(unpack_q8)(const uint8_t *block, MM_VF *w)
{
    MM_VF scale = MM(even)(MM(halves)(block));
    for (int i = 0; i < 2; i++) {
        MM_VI q[MM_PER_16];
        MM(widen_i8)(block + 2 + 16 * i, q);
        MM(scale_only)(q, scale, w + i * MM_PER_16);
    }
}

/* The sub-scales of a K block as floats, once per block: of Q4_K and Q5_K eight scales and eight
 * minima, of Q6_K sixteen scales. */
MATMUL_INLINE void MM(prepare)(int type, const uint8_t *block, float *subs)
{
    MM_VI q[MM_PER_16];
    if (type == WEIGHT_Q6_K)
        MM(widen_i8)(block + 192, q);
    else if (type == WEIGHT_Q4_K || type == WEIGHT_Q5_K)
        MM(widen_vector)(matmul_k_scales(block + 4), q);
    else
        return;
    for (int i = 0; i < MM_PER_16; i++) MM(store)(subs + i * MM_LANES, MM(to_float)(q[i]));
}

MATMUL_INLINE void MM(unpack_k)(const uint8_t *block, const float *subs, int group, MM_VF *w,
                                int has_fifth)
{
    const uint8_t *plane = block + (has_fifth ? 48 : 16) + group / 2 * 32;
    MM_VF halves = MM(halves)(block);
    MM_VF scale = MM(even)(halves) * MM(set)(subs[group]);
    MM_VF offset = -MM(odd)(halves) * MM(set)(subs[8 + group]);
    for (int i = 0; i < 2; i++) {
        MM_VI q[MM_PER_16];
        if (has_fifth) {
            matmul_b16 bytes = matmul_load16(plane + 16 * i);
            matmul_b16 fifth = matmul_load16(block + 16 + 16 * i) >> (uint8_t)group & 1;
            MM(widen_vector)((group & 1 ? bytes >> 4 : bytes & 15) | fifth << 4, q);
        } else {
            MM(widen_u8)(plane + 16 * i, q);
            for (int j = 0; j < MM_PER_16; j++) q[j] = group & 1 ? q[j] >> 4 : q[j] & 15;
        }
        MM(scale)(q, scale, offset, w + i * MM_PER_16);
    }
}

MATMUL_INLINE void MM(unpack_q6_k)(const uint8_t *block, const float *subs, int group, MM_VF *w)
{
    int half = group / 4, quarter = group % 4;
    const uint8_t *plane = block + 64 * half + 32 * (quarter & 1);
    const uint8_t *pairs = block + 128 + 32 * half;
    MM_VF block_scale = MM(odd)(MM(halves)(block + 206)); /* 208 + 4 would end past the block */
    for (int i = 0; i < 2; i++) {
        matmul_b16 bytes = matmul_load16(plane + 16 * i);
        MM_VI q[MM_PER_16];
        bytes = quarter < 2 ? bytes & 15 : bytes >> 4;
        bytes |= (matmul_load16(pairs + 16 * i) >> (uint8_t)(2 * quarter) & 3) << 4;
        MM(widen_vector)(bytes - 32, q);
        MM(scale_only)(q, block_scale * MM(set)(subs[2 * group + i]), w + i * MM_PER_16);
    }
}

/* Weights 32 * group to 32 * group + 31 of a block; `type` is a constant wherever this is used. */
MATMUL_INLINE void MM(unpack)(int type, const uint8_t *block, const float *subs, int group,
                              MM_VF *w)
{
    switch (type) {
    case WEIGHT_Q4_0: MM(unpack_nibbles)(block, w, 0, 0); break;
    case WEIGHT_Q4_1: MM(unpack_nibbles)(block, w, 1, 0); break;
    case WEIGHT_Q5_0: MM(unpack_nibbles)(block, w, 0, 1); break;
    case WEIGHT_Q5_1: MM(unpack_nibbles)(block, w, 1, 1); break;
    case WEIGHT_Q8_0: MM(unpack_q8)(block, w); break;
    case WEIGHT_Q4_K: MM(unpack_k)(block, subs, group, w, 0); break;
    case WEIGHT_Q5_K: MM(unpack_k)(block, subs, group, w, 1); break;
    case WEIGHT_Q6_K: MM(unpack_q6_k)(block, subs, group, w); break;
    case WEIGHT_F32:
        for (int i = 0; i < MM_PER_32; i++)
            w[i] = MM(load)((const float *)(const void *)block + i * MM_LANES);
        break;
    default:
        for (int i = 0; i < 2; i++) {
            if (type == WEIGHT_F16) MM(from_f16)(block + 32 * i, w + i * MM_PER_16);
            if (type == WEIGHT_BF16) MM(from_bf16)(block + 32 * i, w + i * MM_PER_16);
        }
    }
}

/* ---- Decode: y[j] = dot(x, row j), 4 rows at once so that 4 chains of sums overlap ---- */

MATMUL_INLINE void MM(dot_group)(int type, const uint8_t *const *block, float (*subs)[16],
                                 int group, const float *x, MM_VF *acc)
{
    MATMUL_UNROLL
    for (int j = 0; j < 4; j++) {
        MM_VF w[MM_PER_32];
        MM(unpack)(type, block[j], subs[j], group, w);
        for (int i = 0; i < MM_PER_32; i++)
            acc[j] = MM(fma)(w[i], MM(load)(x + i * MM_LANES), acc[j]);
    }
}

/* The blocks' type, in elements and bytes, is a constant wherever this is used. */
MATMUL_INLINE void MM(dot)(int type, int elements, int bytes, const uint8_t *const *rows, int64_t k,
                           const float *x, float *y)
{
    MM_VF acc[4] = {MM(set)(0), MM(set)(0), MM(set)(0), MM(set)(0)};
    const uint8_t *block[4] = {rows[0], rows[1], rows[2], rows[3]};
    float subs[4][16];
    uintptr_t ahead = matmul_ahead(elements, bytes, k);
    int64_t i = 0;
    for (; i + elements <= k; i += elements) {
        for (int j = 0; j < 4; j++) {
            if (bytes < 2 * elements || ahead > 0) matmul_prefetch(block[j], ahead, bytes);
            MM(prepare)(type, block[j], subs[j]);
        }
#if MATMUL_TIER > 0 /* unrolled, eight times the code: not for old processors */
        MATMUL_UNROLL
#endif
        for (int group = 0; group < elements / 32; group++)
            MM(dot_group)(type, block, subs, group, x + i + group * 32, acc);
        for (int j = 0; j < 4; j++) block[j] += bytes;
    }
    if (i < k) {
        float row[4][32] = {{0}}, tail[32] = {0};
        const uint8_t *padded[4];
        memcpy(tail, x + i, (size_t)(k - i) * sizeof *x);
        for (int j = 0; j < 4; j++) {
            weight_row_to_f32((uint32_t)type, block[j], row[j], (size_t)(k - i));
            padded[j] = (const uint8_t *)row[j];
        }
        MM(dot_group)(WEIGHT_F32, padded, subs, 0, tail, acc);
    }
    matmul_store4(y, matmul_sum4(MM(quarter)(acc[0]), MM(quarter)(acc[1]), MM(quarter)(acc[2]),
                                 MM(quarter)(acc[3])));
}

/* ---- Expand: a stored row as floats, vector v of it at dst + v * 4 * MM_LANES ---- */

MATMUL_INLINE void MM(expand)(int type, int elements, int bytes, const uint8_t *row, int64_t k,
                              float *dst)
{
    const int step = 4 * MM_LANES;
    float subs[16];
    int64_t i = 0;
    for (; i + elements <= k; i += elements, row += bytes) {
        MM(prepare)(type, row, subs);
        for (int group = 0; group < elements / 32; group++) {
            MM_VF w[MM_PER_32];
            MM(unpack)(type, row, subs, group, w);
            for (int v = 0; v < MM_PER_32; v++, dst += step) MM(store)(dst, w[v]);
        }
    }
    if (i < k) {
        float tail[32] = {0};
        weight_row_to_f32((uint32_t)type, row, tail, (size_t)(k - i));
        for (int v = 0; v < MM_PER_32; v++, dst += step)
            MM(store)(dst, MM(load)(tail + v * MM_LANES));
    }
}

#define MM_OF_TYPE(type, elements, bytes)                                                       \
    static void MM(dot_##type)(const uint8_t *const *rows, int64_t k, const float *x, float *y) \
    {                                                                                           \
        MM(dot)(WEIGHT_##type, elements, bytes, rows, k, x, y);                                 \
    }                                                                                           \
    static void MM(expand_##type)(const uint8_t *row, int64_t k, float *dst)                    \
    {                                                                                           \
        MM(expand)(WEIGHT_##type, elements, bytes, row, k, dst);                                \
    }
MATMUL_TYPES(MM_OF_TYPE)

/* ---- Prefill: `rows` rows of x times four expanded rows ---- */

MATMUL_INLINE void MM(tile_steps)(int rows, int64_t steps, const float *panel, const float *x,
                                  int64_t x_stride, MM_VF (*acc)[4])
{
    for (int64_t s = 0; s < steps; s++, panel += 4 * MM_LANES, x += MM_LANES) {
        MM_VF value[MM_ROWS];
        for (int i = 0; i < rows; i++) value[i] = MM(load)(x + i * x_stride);
        for (int j = 0; j < 4; j++) {
            MM_VF w = MM(load)(panel + j * MM_LANES);
            for (int i = 0; i < rows; i++) acc[i][j] = MM(fma)(w, value[i], acc[i][j]);
        }
    }
}

/* One chunk of k: the sums of earlier chunks come from t->acc unless this is the first one, and go
 * there unless it is the last one, which writes y. */
MATMUL_INLINE void MM(tile)(int rows, const matmul_tile *t)
{
    MM_VF acc[MM_ROWS][4];
    int64_t steps = t->k / 32 * MM_PER_32, tail = t->k % 32;
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < 4; j++)
            acc[i][j] = t->first ? MM(set)(0) : MM(load)(t->acc + (4 * i + j) * MM_LANES);
    MM(tile_steps)(rows, steps, t->panel, t->x, t->x_stride, acc);
    if (tail > 0) {
        float padded[MM_ROWS * 32] = {0};
        for (int i = 0; i < rows; i++)
            memcpy(padded + 32 * i, t->x + i * t->x_stride + t->k - tail,
                   (size_t)tail * sizeof *padded);
        MM(tile_steps)(rows, MM_PER_32, t->panel + steps * 4 * MM_LANES, padded, 32, acc);
    }
    for (int i = 0; i < rows; i++) {
        if (t->last)
            matmul_store4(t->y + 4 * i,
                          matmul_sum4(MM(quarter)(acc[i][0]), MM(quarter)(acc[i][1]),
                                      MM(quarter)(acc[i][2]), MM(quarter)(acc[i][3])));
        else
            for (int j = 0; j < 4; j++) MM(store)(t->acc + (4 * i + j) * MM_LANES, acc[i][j]);
    }
}

static void MM(tile_rows)(int rows, const matmul_tile *t)
{
    switch (rows) {
    case 1: MM(tile)(1, t); break;
    case 2: MM(tile)(2, t); break;
#if MM_ROWS > 2
    case 3: MM(tile)(3, t); break;
#endif
#if MM_ROWS > 3
    case 4: MM(tile)(4, t); break;
    case 5: MM(tile)(5, t); break;
    case 6: MM(tile)(6, t); break;
#endif
    }
}

#define MM_SLOT(type, elements, bytes) {WEIGHT_##type, MM(dot_##type), MM(expand_##type)},
static const matmul_kernels MM(kernels) = {
    MM_LANES, MM_ROWS, MM(tile_rows), {MATMUL_TYPES(MM_SLOT)}};

#undef MM
#undef MM_LANES
#undef MM_ROWS
#undef MM_PER_16
#undef MM_PER_32
#undef MM_VF
#undef MM_VI
#undef MM_UNALIGNED
#undef MM_OF_TYPE
#undef MM_SLOT
