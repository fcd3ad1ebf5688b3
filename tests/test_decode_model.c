/* test_decode_model.c -- the forward pass of tiny models of both architectures against one in
 * double, and what the model reader says to files that contradict themselves. */
#include "test.h"

#include <math.h>
#include <signal.h>

#include "gguf_blob.h"

#include "../examples/decode/model.h"

enum { WIDTH = 12, HEADS = 4, KV_HEADS = 2, K_DIM = 6, V_DIM = 4, INNER = 20, VOCABULARY = 11 };
enum { LAYERS = 2, MOST_TENSORS = 40, MOST_FLOATS = 4000, CONTEXT = 64, TOKENS = 24 };

/* ---- A model in memory ---- */

typedef struct tiny_kind {
    const char *arch;
    int tied, biases, factors, rotary;
    float scaling; /* 0: none */
} tiny_kind;

typedef struct tiny_tensor {
    char name[40];
    int rows, columns;
    const float *values;
} tiny_tensor;

typedef struct tiny {
    tiny_kind kind;
    tiny_tensor tensors[MOST_TENSORS];
    int count, floats;
    float values[MOST_FLOATS];
    blob file;
} tiny;

static void tiny_add(tiny *t, const char *name, int rows, int columns, double size, double middle)
{
    tiny_tensor *tensor = &t->tensors[t->count++];
    snprintf(tensor->name, sizeof tensor->name, "%s", name);
    tensor->rows = rows;
    tensor->columns = columns;
    tensor->values = t->values + t->floats;
    for (int i = 0; i < rows * columns; i++) {
        t->values[t->floats] = (float)(middle + size * rng_unit((uint64_t)t->floats));
        t->floats++;
    }
}

static void tiny_add_layer(tiny *t, int layer)
{
    const struct {
        const char *name;
        int rows, columns, is_bias;
        double middle;
    } rows[] = {
        {"attn_norm.weight", 1, WIDTH, 0, 1},
        {"ffn_norm.weight", 1, WIDTH, 0, 1},
        {"attn_q.weight", HEADS * K_DIM, WIDTH, 0, 0},
        {"attn_k.weight", KV_HEADS * K_DIM, WIDTH, 0, 0},
        {"attn_v.weight", KV_HEADS * V_DIM, WIDTH, 0, 0},
        {"attn_output.weight", WIDTH, HEADS * V_DIM, 0, 0},
        {"ffn_gate.weight", INNER, WIDTH, 0, 0},
        {"ffn_up.weight", INNER, WIDTH, 0, 0},
        {"ffn_down.weight", WIDTH, INNER, 0, 0},
        {"attn_q.bias", 1, HEADS * K_DIM, 1, 0},
        {"attn_k.bias", 1, KV_HEADS * K_DIM, 1, 0},
        {"attn_v.bias", 1, KV_HEADS * V_DIM, 1, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char name[64];
        if (rows[i].is_bias && !t->kind.biases) continue;
        snprintf(name, sizeof name, "blk.%d.%s", layer, rows[i].name);
        tiny_add(t, name, rows[i].rows, rows[i].columns, 0.6, rows[i].middle);
    }
}

/* What a test changes in the file: one key or tensor gone, or one key of another value. */
typedef struct tiny_change {
    const char *missing, *key;
    uint64_t value;
} tiny_change;

typedef struct tiny_key {
    const char *name;
    uint32_t type;
    uint64_t value;
} tiny_key;

static void tiny_put_keys(tiny *t, const tiny_change *change)
{
    const tiny_key keys[] = {
        {"block_count", GGUF_U32, LAYERS},
        {"context_length", GGUF_U32, CONTEXT},
        {"embedding_length", GGUF_U32, WIDTH},
        {"feed_forward_length", GGUF_U32, INNER},
        {"attention.head_count", GGUF_U32, HEADS},
        {"attention.head_count_kv", GGUF_U32, KV_HEADS},
        {"attention.key_length", GGUF_U32, K_DIM},
        {"attention.value_length", GGUF_U32, V_DIM},
        {"attention.layer_norm_rms_epsilon", GGUF_F32, bits_of_float(1e-5f)},
        {"rope.freq_base", GGUF_F32, bits_of_float(100.0f)},
        {"rope.dimension_count", GGUF_U32, (uint64_t)t->kind.rotary},
        {"rope.scaling.factor", GGUF_F32, bits_of_float(t->kind.scaling)},
        {"expert_count", GGUF_U32, 0},
    };
    char name[96];
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        int changed = change->key && strcmp(change->key, keys[i].name) == 0;
        int missing = change->missing && strcmp(change->missing, keys[i].name) == 0;
        snprintf(name, sizeof name, "%s.%s", missing ? "other" : t->kind.arch, keys[i].name);
        put_scalar(&t->file, name, keys[i].type, changed ? change->value : keys[i].value);
    }
    snprintf(name, sizeof name, "%s.rope.scaling.type", t->kind.arch);
    put_key(&t->file, name, GGUF_TEXT);
    put_text(&t->file, t->kind.scaling > 0 ? "linear" : "none");
    put_key(&t->file, "general.architecture", GGUF_TEXT);
    put_text(&t->file, t->kind.arch);
}

static void tiny_write(tiny *t, const tiny_change *change)
{
    uint64_t offset = 0;
    put_start(&t->file, 3, (uint64_t)t->count, 15);
    tiny_put_keys(t, change);
    for (int i = 0; i < t->count; i++) {
        const tiny_tensor *tensor = &t->tensors[i];
        int missing = change->missing && strcmp(change->missing, tensor->name) == 0;
        put_tensor(&t->file, missing ? "other" : tensor->name, (uint64_t)tensor->rows,
                   (uint64_t)tensor->columns, WEIGHT_F32, offset);
        offset += ((uint64_t)tensor->rows * (uint64_t)tensor->columns * 4 + 31) / 32 * 32;
    }
    put_data(&t->file, 32, 0);
    for (int i = 0; i < t->count; i++) {
        const tiny_tensor *tensor = &t->tensors[i];
        put(&t->file, tensor->values, (size_t)(tensor->rows * tensor->columns) * 4);
        put_data(&t->file, 32, 0);
    }
}

static void tiny_make(tiny *t, const tiny_kind *kind, const tiny_change *change)
{
    memset(t, 0, sizeof *t);
    t->kind = *kind;
    tiny_add(t, "token_embd.weight", VOCABULARY, WIDTH, 1, 0);
    if (!kind->tied) tiny_add(t, "output.weight", VOCABULARY, WIDTH, 1, 0);
    tiny_add(t, "output_norm.weight", 1, WIDTH, 0.5, 1);
    if (kind->factors) tiny_add(t, "rope_freqs.weight", 1, kind->rotary / 2, 1, 3);
    for (int layer = 0; layer < LAYERS; layer++) tiny_add_layer(t, layer);
    tiny_write(t, change);
}

static const float *tiny_values(const tiny *t, int layer, const char *name)
{
    char full[64];
    if (layer < 0)
        snprintf(full, sizeof full, "%s", name);
    else
        snprintf(full, sizeof full, "blk.%d.%s", layer, name);
    for (int i = 0; i < t->count; i++)
        if (strcmp(t->tensors[i].name, full) == 0) return t->tensors[i].values;
    return NULL;
}

/* ---- The same pass in double, by definition ---- */

static void exact_norm(const double *x, const float *weight, double *y)
{
    double sum = 0;
    for (int i = 0; i < WIDTH; i++) sum += x[i] * x[i];
    for (int i = 0; i < WIDTH; i++) y[i] = x[i] / sqrt(sum / WIDTH + 1e-5f) * weight[i];
}

static void exact_product(const float *weight, const float *bias, const double *x, int rows,
                          int columns, double *y)
{
    for (int r = 0; r < rows; r++) {
        y[r] = bias ? bias[r] : 0;
        for (int c = 0; c < columns; c++) y[r] += (double)weight[r * columns + c] * x[c];
    }
}

static void exact_rope(const tiny *t, double *x, int heads, int position)
{
    const float *factors = tiny_values(t, -1, "rope_freqs.weight");
    const int rotary = t->kind.rotary, halves = strcmp(t->kind.arch, "qwen2") == 0;
    for (int i = 0; i < rotary / 2; i++) {
        double angle = position * pow(100, -2.0 * i / rotary);
        if (t->kind.scaling > 0) angle /= t->kind.scaling;
        if (factors) angle /= factors[i];
        int a = halves ? i : 2 * i, b = halves ? i + rotary / 2 : 2 * i + 1;
        for (int head = 0; head < heads; head++) {
            double *h = x + head * K_DIM, first = h[a], second = h[b];
            h[a] = first * cos(angle) - second * sin(angle);
            h[b] = first * sin(angle) + second * cos(angle);
        }
    }
}

typedef struct exact_cache {
    double k[LAYERS][TOKENS][KV_HEADS * K_DIM], v[LAYERS][TOKENS][KV_HEADS * V_DIM];
} exact_cache;

static void exact_attend(const exact_cache *c, int layer, const double *q, int last, double *out)
{
    for (int head = 0; head < HEADS; head++) {
        double weights[TOKENS], all = 0;
        const int kv = head / (HEADS / KV_HEADS);
        for (int j = 0; j <= last; j++) {
            double dot = 0;
            for (int d = 0; d < K_DIM; d++)
                dot += q[head * K_DIM + d] * c->k[layer][j][kv * K_DIM + d];
            all += weights[j] = exp(dot / sqrt(K_DIM));
        }
        for (int d = 0; d < V_DIM; d++) {
            double sum = 0;
            for (int j = 0; j <= last; j++) sum += weights[j] * c->v[layer][j][kv * V_DIM + d];
            out[head * V_DIM + d] = sum / all;
        }
    }
}

/* The logits after token number `position` of a sequence. */
static void exact_step(const tiny *t, exact_cache *c, int token, int position, double *logits)
{
    double x[WIDTH], h[WIDTH], y[WIDTH], q[HEADS * K_DIM], o[HEADS * V_DIM], g[INNER], u[INNER];
    const float *embedding = tiny_values(t, -1, "token_embd.weight");
    const float *head = tiny_values(t, -1, "output.weight");
    for (int i = 0; i < WIDTH; i++) x[i] = embedding[token * WIDTH + i];
    for (int l = 0; l < LAYERS; l++) {
        double *k = c->k[l][position], *v = c->v[l][position];
#define W(name) tiny_values(t, l, name)
        exact_norm(x, W("attn_norm.weight"), h);
        exact_product(W("attn_q.weight"), W("attn_q.bias"), h, HEADS * K_DIM, WIDTH, q);
        exact_product(W("attn_k.weight"), W("attn_k.bias"), h, KV_HEADS * K_DIM, WIDTH, k);
        exact_product(W("attn_v.weight"), W("attn_v.bias"), h, KV_HEADS * V_DIM, WIDTH, v);
        exact_rope(t, q, HEADS, position);
        exact_rope(t, k, KV_HEADS, position);
        exact_attend(c, l, q, position, o);
        exact_product(W("attn_output.weight"), NULL, o, WIDTH, HEADS * V_DIM, y);
        for (int i = 0; i < WIDTH; i++) x[i] += y[i];
        exact_norm(x, W("ffn_norm.weight"), h);
        exact_product(W("ffn_gate.weight"), NULL, h, INNER, WIDTH, g);
        exact_product(W("ffn_up.weight"), NULL, h, INNER, WIDTH, u);
        for (int i = 0; i < INNER; i++) g[i] *= u[i] / (1 + exp(-g[i]));
        exact_product(W("ffn_down.weight"), NULL, g, WIDTH, INNER, y);
        for (int i = 0; i < WIDTH; i++) x[i] += y[i];
#undef W
    }
    exact_norm(x, tiny_values(t, -1, "output_norm.weight"), h);
    exact_product(head ? head : embedding, NULL, h, VOCABULARY, WIDTH, logits);
}

/* ---- Steps of two sequences, compared row by row ---- */

enum { SEQUENCES = 2, PAGE = 4, PAGES = 2 * TOKENS / PAGE };

typedef struct two_sequences {
    exact_cache exact[SEQUENCES];
    int32_t lengths[SEQUENCES];
    int32_t tokens[64], positions[64], row_start[SEQUENCES + 1], seen[SEQUENCES], wanted[64];
    int32_t table[SEQUENCES * (TOKENS / PAGE)];
    int64_t slots[64];
} two_sequences;

/* Adds rows[b] tokens to sequence b and compares the logits of every row. */
static double compare_step(const tiny *t, model *m, const kv_cache *cache, two_sequences *two,
                           const int rows[SEQUENCES])
{
    double worst = 0, logits[64][VOCABULARY];
    model_step step = {0,           SEQUENCES,      TOKENS / PAGE,  0,
                       two->tokens, two->positions, two->row_start, two->seen,
                       two->table,  two->wanted,    two->slots};
    for (int b = 0; b < SEQUENCES; b++) {
        two->row_start[b] = step.rows;
        for (int i = 0; i < rows[b]; i++, step.rows++) {
            const int position = two->lengths[b]++, token = (7 * position + 3 * b) % VOCABULARY;
            const int32_t page = two->table[b * (TOKENS / PAGE) + position / PAGE];
            two->tokens[step.rows] = token;
            two->positions[step.rows] = position;
            two->slots[step.rows] = (int64_t)page * PAGE + position % PAGE;
            two->wanted[step.wanted_count++] = step.rows;
            exact_step(t, &two->exact[b], token, position, logits[step.rows]);
        }
        two->seen[b] = two->lengths[b];
    }
    two->row_start[SEQUENCES] = step.rows;
    if (!CHECK(model_forward(m, cache, &step) == 0, "%s", m->err)) return 1;
    const float *got = model_logits(m, 0, step.rows);
    if (!CHECK(got != NULL, "%s", m->err)) return 1;
    for (int i = 0; i < step.rows * VOCABULARY; i++) {
        double error = fabs(got[i] - logits[i / VOCABULARY][i % VOCABULARY]);
        if (!(error <= worst)) worst = error;
    }
    return worst;
}

static void check_forward(const tiny_kind *kind)
{
    static tiny t;
    static two_sequences two;
    static volatile sig_atomic_t never;
    static const int steps[][SEQUENCES] = {{5, 9}, {1, 1}, {7, 1}, {1, 6}, {1, 1}, {4, 1}};
    const kv_cache_shape cache_shape = {LAYERS, KV_HEADS, K_DIM, V_DIM, CACHE_F32, PAGE, PAGES};
    model m = {0};
    model_shape shape;
    gguf_file file;
    kv_cache cache = {0};
    tiny_change none = {0};
    char err[256] = "";
    tiny_make(&t, kind, &none);
    memset(&two, 0, sizeof two);
    for (int i = 0; i < SEQUENCES * (TOKENS / PAGE); i++) two.table[i] = (5 * i + 3) % PAGES;
    m.threads = pool_create(2);
    m.ctx = test_context(AITER_ISA_AUTO, 1);
    m.stop = &never;
    m.matmul.threads = 2;
    m.matmul.parallel = pool_for;
    m.matmul.user = m.threads;
    CHECK(gguf_parse(&file, t.file.bytes, t.file.size, err, sizeof err) == 0, "%s", err);
    if (CHECK(model_read_shape(&file, &shape, err, sizeof err) == 0 &&
                  model_create(&m, &file, &shape, TOKENS, err, sizeof err) == 0 &&
                  kv_cache_create(&cache, &cache_shape, NULL) == 0,
              "%s: %s", kind->arch, err)) {
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
            double worst = compare_step(&t, &m, &cache, &two, steps[i]);
            CHECK(worst < 1e-5, "%s, step %zu: logits off by %g", kind->arch, i, worst);
        }
    }
    kv_cache_destroy(&cache);
    model_destroy(&m);
    aiter_context_destroy(m.ctx);
    pool_destroy(m.threads);
    gguf_close(&file);
}

/* ---- Files that contradict themselves ---- */

static void check_refusals(void)
{
    static tiny t;
    static const struct {
        tiny_change change;
        const char *said;
    } rows[] = {
        {{"block_count", NULL, 0}, "llama.block_count"},
        {{"context_length", NULL, 0}, "llama.context_length"},
        {{"embedding_length", NULL, 0}, "llama.embedding_length"},
        {{"attention.head_count", NULL, 0}, "llama.attention.head_count"},
        {{"attention.layer_norm_rms_epsilon", NULL, 0}, "rms_epsilon"},
        {{"rope.scaling.factor", NULL, 0}, "rope.scaling.factor"},
        {{"token_embd.weight", NULL, 0}, "token_embd.weight: the tensor is missing"},
        {{"output_norm.weight", NULL, 0}, "output_norm.weight: the tensor is missing"},
        {{"blk.1.ffn_up.weight", NULL, 0}, "blk.1.ffn_up.weight: the tensor is missing"},
        {{NULL, "block_count", 0}, "expected 1 to"},
        {{NULL, "block_count", LAYERS + 1}, "blk.2."},
        {{NULL, "block_count", UINT32_MAX}, "expected 1 to"},
        {{NULL, "context_length", 0}, "expected 1 to"},
        {{NULL, "embedding_length", WIDTH + 1}, "expected [13"},
        {{NULL, "embedding_length", UINT32_MAX}, "expected 1 to"},
        {{NULL, "feed_forward_length", INNER - 1}, "expected [12, 19]"},
        {{NULL, "attention.head_count", 3}, "no multiple"},
        {{NULL, "attention.head_count", 65536}, "attn_q.weight"},
        {{NULL, "attention.head_count_kv", 0}, "expected 1 to"},
        {{NULL, "attention.head_count_kv", HEADS + 1}, "expected 1 to"},
        {{NULL, "attention.key_length", 577}, "expected 1 to 576"},
        {{NULL, "attention.value_length", 0}, "expected 1 to 576"},
        {{NULL, "attention.layer_norm_rms_epsilon", 0x7FC00000}, "finite"},
        {{NULL, "attention.layer_norm_rms_epsilon", 0xBF800000}, "above 0"},
        {{NULL, "rope.freq_base", 0x7F800000}, "finite"},
        {{NULL, "rope.freq_base", 0}, "above 0"},
        {{NULL, "rope.dimension_count", 5}, "even"},
        {{NULL, "rope.dimension_count", K_DIM + 2}, "expected 0 to 6"},
        {{NULL, "rope.scaling.factor", 0}, "above 0"},
        {{NULL, "expert_count", 8}, "experts are not supported"},
    };
    const tiny_kind kind = {"llama", 0, 1, 1, 4, 2.0f};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char err[256] = "";
        gguf_file file;
        model_shape shape;
        model_weights weights = {0};
        tiny_make(&t, &kind, &rows[i].change);
        CHECK(gguf_parse(&file, t.file.bytes, t.file.size, err, sizeof err) == 0, "%s", err);
        int status = model_read_shape(&file, &shape, err, sizeof err);
        if (status == 0) status = model_read_weights(&file, &shape, &weights, err, sizeof err);
        CHECK(status == -1 && strstr(err, rows[i].said), "row %zu: %d, '%s' lacks '%s'", i, status,
              err, rows[i].said);
        model_weights_free(&weights);
        gguf_close(&file);
    }
}

/* A sound file that holds no model, and one of a model that is not ours. */
static void check_architecture(void)
{
    static tiny t;
    const tiny_kind kind = {"mamba", 0, 0, 0, 4, 0};
    tiny_change none = {0};
    char err[256] = "";
    gguf_file file;
    model_shape shape;
    tiny_make(&t, &kind, &none);
    CHECK(gguf_parse(&file, t.file.bytes, t.file.size, err, sizeof err) == 0, "%s", err);
    CHECK(model_read_shape(&file, &shape, err, sizeof err) == -1 && strstr(err, "'mamba'"),
          "an unknown architecture: '%s'", err);
    gguf_close(&file);
    put_small(&t.file, 3);
    CHECK(gguf_parse(&file, t.file.bytes, t.file.size, err, sizeof err) == 0, "%s", err);
    CHECK(model_read_shape(&file, &shape, err, sizeof err) == -1 &&
              strstr(err, "general.architecture"),
          "no architecture: '%s'", err);
    gguf_close(&file);
}

int main(void)
{
    static const tiny_kind kinds[] = {
        {"llama", 0, 0, 0, K_DIM, 0}, {"llama", 1, 1, 1, 4, 0},    {"llama", 1, 0, 0, 2, 4.0f},
        {"qwen2", 0, 1, 0, K_DIM, 0}, {"qwen2", 1, 1, 0, 4, 2.0f}, {"qwen2", 0, 0, 1, 6, 0},
    };
    test_begin("test_decode_model", 1e9);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) check_forward(&kinds[i]);
    check_refusals();
    check_architecture();
    return test_end();
}
