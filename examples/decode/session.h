/* session.h -- everything a run owns: file, tokenizer, threads, context, model, cache; made in an
 * order that finds impossible sizes before the model is read. */
#ifndef DECODE_SESSION_H
#define DECODE_SESSION_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "batch.h"
#include "files.h"
#include "model.h"
#include "options.h"
#include "prompts.h"

enum { EXIT_FILE = 1, EXIT_OPTION = 2, EXIT_INTERRUPT = 130 };

/* Tokens that the cache holds when --ctx-size does not say it, unless one prompt needs more. */
enum { SESSION_DEFAULT_TOKENS = 16384 };

typedef struct session {
    const options *how;
    char path[FILES_PATH]; /* of the model */
    gguf_file file;
    tokenizer words;
    model_shape shape;
    kv_cache_shape cache_shape;
    int32_t context; /* tokens of one sequence at most */
    pool *threads;
    model m;
    kv_cache cache;
    char err[512];
} session;

/* The file's metadata and its tokenizer; no weight is read. 0, or EXIT_FILE with s->err. */
static int session_open(session *s, const options *how, const char *program)
{
    char why[300];
    s->how = how;
    if (how->model) {
        snprintf(s->path, sizeof s->path, "%s", how->model);
    } else if (files_find("small.gguf", program, s->path, sizeof s->path) != 0) {
        snprintf(s->err, sizeof s->err,
                 "no model: give -m FILE (examples/small.gguf was found "
                 "neither beside the program nor here)");
        return EXIT_FILE;
    }
    if (gguf_open(&s->file, s->path, why, sizeof why) != 0 ||
        model_read_shape(&s->file, &s->shape, why, sizeof why) != 0 ||
        tokenizer_from_gguf(&s->words, &s->file, why, sizeof why) != 0) {
        snprintf(s->err, sizeof s->err, "%.150s: %s", s->path, why);
        return EXIT_FILE;
    }
    if (s->words.words.count > s->shape.vocabulary) {
        snprintf(s->err, sizeof s->err, "%.150s: %d tokens, but only %d rows of token_embd.weight",
                 s->path, (int)s->words.words.count, (int)s->shape.vocabulary);
        return EXIT_FILE;
    }
    s->context = how->ctx_size ? how->ctx_size : s->shape.context;
    return 0;
}

static double session_machine_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (double)pages * (double)size : 0;
}

/* The cache for `tokens` tokens, if the machine could hold it. 0, or EXIT_OPTION with s->err. */
static int session_size_cache(session *s, int64_t tokens)
{
    const double gib = 1.0 / (1 << 30);
    const int64_t page = s->how->page_size, blocks = (tokens + page - 1) / page;
    const double machine = session_machine_bytes();
    kv_cache sizes;
    s->cache_shape.layers = s->shape.layers;
    s->cache_shape.kv_heads = s->shape.kv_heads;
    s->cache_shape.k_dim = s->shape.k_dim;
    s->cache_shape.v_dim = s->shape.v_dim;
    s->cache_shape.type = s->how->cache_type;
    s->cache_shape.page_size = s->how->page_size;
    s->cache_shape.blocks = (int32_t)blocks;
    if (kv_cache_size(&s->cache_shape, &sizes) != 0) {
        snprintf(s->err, sizeof s->err, "--ctx-size: a cache of %lld tokens cannot be addressed",
                 (long long)tokens);
        return EXIT_OPTION;
    }
    if (machine == 0 || (double)sizes.bytes <= machine) return 0;
    snprintf(s->err, sizeof s->err,
             "--ctx-size: a %s cache of %lld tokens takes %.1f GiB, this machine has %.1f GiB",
             cache_type_name(s->how->cache_type), (long long)tokens, (double)sizes.bytes * gib,
             machine * gib);
    return EXIT_OPTION;
}

static int session_create_context(session *s)
{
    aiter_context *counter = NULL;
    aiter_context_desc desc = {0};
    int32_t threads = s->how->threads;
    if (!threads && aiter_context_create(NULL, &counter) == AITER_OK) {
        threads = aiter_context_info(counter).num_threads;
        aiter_context_destroy(counter);
    }
    if (threads < 1) threads = 1;
    if (threads > OPTIONS_MAX_THREADS) threads = OPTIONS_MAX_THREADS;
    s->threads = pool_create(threads);
    if (!s->threads) {
        snprintf(s->err, sizeof s->err, "%d threads cannot be started", (int)threads);
        return EXIT_FILE;
    }
    desc.num_threads = threads;
    desc.parallel_for = pool_for;
    desc.user = s->threads;
    if (aiter_context_create(&desc, &s->m.ctx) != AITER_OK) {
        snprintf(s->err, sizeof s->err, "%s", aiter_last_error());
        return EXIT_FILE;
    }
    if (s->how->device && device_open(&s->m.device, s->how->device, s->how->kernels,
                                      s->how->cache_type, s->err, sizeof s->err) != 0)
        return EXIT_FILE;
    return 0;
}

static int session_matmul_tier(aiter_isa isa)
{
    return isa == AITER_ISA_AVX512 ? 2 : isa == AITER_ISA_AVX2 ? 1 : 0;
}

/* Threads, model and cache. 0, or an exit status with s->err. */
static int session_load(session *s, const volatile sig_atomic_t *stop)
{
    char why[300];
    int status = session_create_context(s);
    if (status != 0) return status;
    if (s->context > s->shape.context && !s->how->quiet)
        fprintf(stderr, "the model was trained for a context of %d tokens\n",
                (int)s->shape.context);
    s->m.threads = s->threads;
    s->m.stop = stop;
    s->m.matmul.tier = session_matmul_tier(aiter_context_info(s->m.ctx).isa);
    s->m.matmul.threads = s->threads->threads;
    s->m.matmul.parallel = pool_for;
    s->m.matmul.user = s->threads;
    int64_t positions = (int64_t)s->cache_shape.blocks * s->cache_shape.page_size;
    if (positions > s->context) positions = s->context;
    if (model_create(&s->m, &s->file, &s->shape, (int32_t)positions, why, sizeof why) != 0) {
        snprintf(s->err, sizeof s->err, "%.150s: %s", s->path, why);
        return EXIT_FILE;
    }
    if (kv_cache_create(&s->cache, &s->cache_shape, s->m.device.ctx) == 0) return 0;
    snprintf(s->err, sizeof s->err, "out of memory for a cache of %lld tokens",
             (long long)positions);
    return EXIT_FILE;
}

static void session_close(session *s)
{
    kv_cache_destroy(&s->cache);
    model_destroy(&s->m);
    device_close(&s->m.device);
    aiter_context_destroy(s->m.ctx);
    pool_destroy(s->threads);
    tokenizer_free(&s->words);
    gguf_close(&s->file);
}

/* Where the time went, in the words of llama.cpp. */
static void session_print_timings(const session *s, const batch_timings *t)
{
    const double mib = 1.0 / (1 << 20), total = t->prompt_seconds + t->eval_seconds;
    const aiter_context_details info = aiter_context_info(s->m.ctx);
    const struct {
        const char *name;
        int64_t tokens;
        double seconds;
    } rows[] = {{"prompt eval time", t->prompt_tokens, t->prompt_seconds},
                {"eval time", t->eval_tokens, t->eval_seconds}};
    for (int i = 0; i < 2; i++) {
        double n = rows[i].tokens ? (double)rows[i].tokens : 1;
        fprintf(stderr,
                "%16s = %10.2f ms / %6lld tokens (%8.2f ms per token, %9.2f tokens per second)\n",
                rows[i].name, 1e3 * rows[i].seconds, (long long)rows[i].tokens,
                1e3 * rows[i].seconds / n,
                rows[i].seconds > 0 ? (double)rows[i].tokens / rows[i].seconds : 0.0);
    }
    fprintf(stderr, "%16s = %10.2f ms, %.1f %% of it in attention\n", "total time", 1e3 * total,
            total > 0 ? 100 * t->attention_seconds / total : 0.0);
    fprintf(stderr,
            "%16s = %10.2f MiB %s, %d pages of %d tokens, at most %d used by %d sequences\n",
            "cache", (double)s->cache.bytes * mib, cache_type_name(s->how->cache_type),
            (int)s->cache_shape.blocks, (int)s->cache_shape.page_size, (int)t->most_blocks,
            (int)t->most_sequences);
    if (s->m.device.ctx)
        fprintf(stderr, "%16s = %s\n", "attention on",
                aiter_context_info(s->m.device.ctx).device_name);
    fprintf(stderr, "%16s = %s, %d threads%s\n", "kernels", info.isa_name, (int)info.num_threads,
            matmul_promises_bits() ? "" : "; with this build a text may depend on the batch");
}

#endif /* DECODE_SESSION_H */
