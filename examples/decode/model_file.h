/* model_file.h -- a decoder's shape and tensors as a GGUF file gives them, checked against each
 * other before anything is computed (architectures llama and qwen2). */
#ifndef DECODE_MODEL_FILE_H
#define DECODE_MODEL_FILE_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf.h"

enum { MODEL_MAX_HEAD_DIM = 576, MODEL_MAX_WIDTH = 1 << 20 };

typedef struct model_shape {
    int32_t layers, width, inner, heads, kv_heads, k_dim, v_dim, rotary, context, vocabulary;
    int32_t halves; /* RoPE pairs (i, i + rotary / 2) instead of (2i, 2i + 1) */
    float norm_eps, rope_base, rope_scale;
} model_shape;

typedef struct model_layer {
    float *attn_norm, *ffn_norm, *q_bias, *k_bias, *v_bias, *out_bias; /* biases may be NULL */
    const gguf_tensor *q, *k, *v, *out, *gate, *up, *down;
} model_layer;

typedef struct model_weights {
    model_shape shape;
    model_layer *layers;
    const gguf_tensor *embedding, *head;
    float *out_norm;
    float *rope_factors; /* [rotary / 2], or NULL */
} model_weights;

/* A file, and where to say what is wrong with it. */
typedef struct model_source {
    const gguf_file *file;
    char arch[16];
    char *err;
    size_t errlen;
} model_source;

static int model_fail(const model_source *s, const char *what, const char *why)
{
    snprintf(s->err, s->errlen, "%s: %s", what, why);
    return -1;
}

/* "llama" and "block_count" to "llama.block_count". */
static void model_key(const model_source *s, const char *name, char *key, size_t size)
{
    snprintf(key, size, "%s.%s", s->arch, name);
}

/* A whole number in [least, most]; fallback -1: the file must say it. */
static int model_whole(const model_source *s, const char *name, int32_t fallback, int32_t least,
                       int32_t most, int32_t *value)
{
    char key[96], why[96];
    uint32_t got = 0;
    model_key(s, name, key, sizeof key);
    int status = gguf_get_u32(s->file, key, &got);
    if (status == GGUF_MISSING && fallback >= 0) {
        *value = fallback;
        return 0;
    }
    if (status != GGUF_OK) return model_fail(s, key, gguf_status_text(status));
    if (got < (uint32_t)least || got > (uint32_t)most) {
        snprintf(why, sizeof why, "got %u, expected %d to %d", (unsigned)got, (int)least,
                 (int)most);
        return model_fail(s, key, why);
    }
    *value = (int32_t)got;
    return 0;
}

/* A finite number above 0; fallback 0: the file must say it. */
static int model_real(const model_source *s, const char *name, float fallback, float *value)
{
    char key[96];
    float got = fallback;
    model_key(s, name, key, sizeof key);
    int status = gguf_get_f32(s->file, key, &got);
    if (status == GGUF_MISSING && fallback > 0) status = GGUF_OK;
    if (status != GGUF_OK) return model_fail(s, key, gguf_status_text(status));
    if (!(got > 0 && got <= 3e38f)) return model_fail(s, key, "must be finite and above 0");
    *value = got;
    return 0;
}

static int model_text_is(gguf_text text, const char *word)
{
    return text.length == strlen(word) && memcmp(text.data, word, text.length) == 0;
}

static int model_read_rope(const model_source *s, model_shape *m)
{
    char key[96], why[128];
    float divisor = 1;
    gguf_text kind = {"none", 4};
    if (model_whole(s, "rope.dimension_count", m->k_dim, 0, m->k_dim, &m->rotary) != 0 ||
        model_real(s, "rope.freq_base", 10000.0f, &m->rope_base) != 0)
        return -1;
    if (m->rotary % 2) return model_fail(s, "rope.dimension_count", "must be even");
    model_key(s, "rope.scaling.type", key, sizeof key);
    int status = gguf_get_text(s->file, key, &kind);
    if (status != GGUF_OK && status != GGUF_MISSING)
        return model_fail(s, key, gguf_status_text(status));
    if (model_text_is(kind, "linear")) {
        if (model_real(s, "rope.scaling.factor", 0, &divisor) != 0) return -1;
    } else if (!model_text_is(kind, "none")) {
        snprintf(why, sizeof why, "'%.*s' is not supported (none and linear are)", gguf_shown(kind),
                 kind.data);
        return model_fail(s, key, why);
    } else if (status == GGUF_MISSING && model_real(s, "rope.scale_linear", 1.0f, &divisor) != 0) {
        return -1; /* the key of older files */
    }
    m->rope_scale = 1.0f / divisor;
    return 0;
}

/* The shape as the metadata says it; nothing is allocated. err says which key is wrong. */
static int model_read_shape(const gguf_file *f, model_shape *m, char *err, size_t errlen)
{
    model_source s = {f, "", err, errlen};
    gguf_text arch = {"", 0};
    int32_t experts;
    char why[128];
    memset(m, 0, sizeof *m);
    int status = gguf_get_text(f, "general.architecture", &arch);
    if (status != GGUF_OK) return model_fail(&s, "general.architecture", gguf_status_text(status));
    m->halves = model_text_is(arch, "qwen2");
    if (!m->halves && !model_text_is(arch, "llama")) {
        snprintf(why, sizeof why, "'%.*s' is not supported (llama and qwen2 are)", gguf_shown(arch),
                 arch.data);
        return model_fail(&s, "general.architecture", why);
    }
    memcpy(s.arch, arch.data, arch.length);
    int32_t most_layers = f->tensor_count < 65536 ? (int32_t)f->tensor_count : 65536;
    if (model_whole(&s, "block_count", -1, 1, most_layers, &m->layers) != 0 ||
        model_whole(&s, "embedding_length", -1, 1, MODEL_MAX_WIDTH, &m->width) != 0 ||
        model_whole(&s, "feed_forward_length", -1, 1, MODEL_MAX_WIDTH, &m->inner) != 0 ||
        model_whole(&s, "context_length", -1, 1, 1 << 30, &m->context) != 0 ||
        model_whole(&s, "attention.head_count", -1, 1, 65536, &m->heads) != 0 ||
        model_whole(&s, "attention.head_count_kv", m->heads, 1, m->heads, &m->kv_heads) != 0 ||
        model_whole(&s, "expert_count", 0, 0, INT32_MAX, &experts) != 0 ||
        model_real(&s, "attention.layer_norm_rms_epsilon", 0, &m->norm_eps) != 0)
        return -1;
    if (experts > 0) return model_fail(&s, "expert_count", "experts are not supported");
    if (m->heads % m->kv_heads)
        return model_fail(&s, "attention.head_count", "no multiple of attention.head_count_kv");
    int32_t dim = m->width / m->heads;
    if (model_whole(&s, "attention.key_length", dim, 1, MODEL_MAX_HEAD_DIM, &m->k_dim) != 0 ||
        model_whole(&s, "attention.value_length", dim, 1, MODEL_MAX_HEAD_DIM, &m->v_dim) != 0)
        return -1;
    if (m->k_dim < 1 || m->k_dim > MODEL_MAX_HEAD_DIM || m->v_dim < 1 ||
        m->v_dim > MODEL_MAX_HEAD_DIM)
        return model_fail(&s, "attention.head_count", "gives heads of unsupported size");
    const gguf_tensor *embedding = gguf_find_tensor(f, "token_embd.weight");
    if (!embedding) return model_fail(&s, "token_embd.weight", "the tensor is missing");
    if (embedding->dims[1] > (1u << 24))
        return model_fail(&s, "token_embd.weight", "too many rows");
    m->vocabulary = (int32_t)embedding->dims[1];
    return model_read_rope(&s, m);
}

/* A matrix of `rows` rows of `columns` weights; optional ones may be absent. */
static int model_matrix(const model_source *s, const char *name, int64_t columns, int64_t rows,
                        int optional, const gguf_tensor **tensor)
{
    char why[160];
    const gguf_tensor *t = gguf_find_tensor(s->file, name);
    *tensor = t;
    if (!t) return optional ? 0 : model_fail(s, name, "the tensor is missing");
    if ((int64_t)t->dims[0] == columns && (int64_t)t->dims[1] == rows && t->dims[2] == 1 &&
        t->dims[3] == 1)
        return 0;
    snprintf(why, sizeof why, "got shape [%llu, %llu, %llu, %llu], expected [%lld, %lld]",
             (unsigned long long)t->dims[0], (unsigned long long)t->dims[1],
             (unsigned long long)t->dims[2], (unsigned long long)t->dims[3], (long long)columns,
             (long long)rows);
    return model_fail(s, name, why);
}

/* A vector as f32, on the heap; stays NULL when it is optional and absent. */
static int model_vector(const model_source *s, const char *name, int64_t n, int optional,
                        float **vector)
{
    const gguf_tensor *t;
    if (model_matrix(s, name, n, 1, optional, &t) != 0) return -1;
    if (!t) return 0;
    *vector = (float *)malloc((size_t)n * sizeof **vector);
    if (!*vector) return model_fail(s, name, "out of memory");
    if (weight_row_to_f32(t->type, t->data, *vector, (size_t)n) != 0)
        return model_fail(s, name, "cannot be read");
    return 0;
}

static int model_read_layer(const model_source *s, const model_shape *m, int32_t layer,
                            model_layer *l)
{
    const int64_t q = (int64_t)m->heads * m->k_dim, k = (int64_t)m->kv_heads * m->k_dim;
    const int64_t v = (int64_t)m->kv_heads * m->v_dim, o = (int64_t)m->heads * m->v_dim;
    const struct {
        const char *name;
        int64_t columns, rows;
        const gguf_tensor **tensor;
    } matrices[] = {
        {"attn_q", m->width, q, &l->q},
        {"attn_k", m->width, k, &l->k},
        {"attn_v", m->width, v, &l->v},
        {"attn_output", o, m->width, &l->out},
        {"ffn_gate", m->width, m->inner, &l->gate},
        {"ffn_up", m->width, m->inner, &l->up},
        {"ffn_down", m->inner, m->width, &l->down},
    };
    const struct {
        const char *name;
        int64_t n;
        int optional;
        float **vector;
    } vectors[] = {
        {"attn_norm.weight", m->width, 0, &l->attn_norm},
        {"ffn_norm.weight", m->width, 0, &l->ffn_norm},
        {"attn_q.bias", q, 1, &l->q_bias},
        {"attn_k.bias", k, 1, &l->k_bias},
        {"attn_v.bias", v, 1, &l->v_bias},
        {"attn_output.bias", m->width, 1, &l->out_bias},
    };
    char name[64];
    for (size_t i = 0; i < sizeof matrices / sizeof matrices[0]; i++) {
        snprintf(name, sizeof name, "blk.%d.%s.weight", (int)layer, matrices[i].name);
        if (model_matrix(s, name, matrices[i].columns, matrices[i].rows, 0, matrices[i].tensor))
            return -1;
    }
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        snprintf(name, sizeof name, "blk.%d.%s", (int)layer, vectors[i].name);
        if (model_vector(s, name, vectors[i].n, vectors[i].optional, vectors[i].vector)) return -1;
    }
    return 0;
}

static void model_weights_free(model_weights *w)
{
    for (int32_t i = 0; w->layers && i < w->shape.layers; i++) {
        model_layer *l = &w->layers[i];
        float *const owned[] = {l->attn_norm, l->ffn_norm, l->q_bias,
                                l->k_bias,    l->v_bias,   l->out_bias};
        for (size_t j = 0; j < sizeof owned / sizeof owned[0]; j++) free(owned[j]);
    }
    free(w->layers);
    free(w->out_norm);
    free(w->rope_factors);
    memset(w, 0, sizeof *w);
}

/* Finds and checks every tensor. The matrices stay in the file. model_weights_free is right after
 * a failure too. */
static int model_read_weights(const gguf_file *f, const model_shape *m, model_weights *w, char *err,
                              size_t errlen)
{
    model_source s = {f, "", err, errlen};
    memset(w, 0, sizeof *w);
    w->shape = *m;
    w->layers = (model_layer *)calloc((size_t)m->layers, sizeof *w->layers);
    if (!w->layers) return model_fail(&s, "model", "out of memory");
    if (model_matrix(&s, "token_embd.weight", m->width, m->vocabulary, 0, &w->embedding) != 0 ||
        model_matrix(&s, "output.weight", m->width, m->vocabulary, 1, &w->head) != 0 ||
        model_vector(&s, "output_norm.weight", m->width, 0, &w->out_norm) != 0 ||
        model_vector(&s, "rope_freqs.weight", m->rotary / 2, 1, &w->rope_factors) != 0)
        return -1;
    if (!w->head) w->head = w->embedding; /* tied */
    for (int32_t i = 0; i < m->layers; i++)
        if (model_read_layer(&s, m, i, &w->layers[i]) != 0) return -1;
    return 0;
}

#endif /* DECODE_MODEL_FILE_H */
