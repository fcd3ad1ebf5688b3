/* decode_loop.c -- generates text with a GGUF model: paged cache, continuous batching, attention by
 * aiter_attn.h.
 *
 *     cc -O3 examples/decode_loop.c -o decode_loop -lm -lpthread && ./decode_loop
 *
 * With -DDECODE_USE_GPU also `--device hip --kernels build/kernels`: attention and cache on a GPU.
 *
 * Start reading at model_attend in decode/model.h: the two calls of the library that a decoder
 * needs. decode/batch.h says which rows go into a step, decode/kv_cache.h where their keys live. */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef DECODE_USE_GPU
#define AITER_ATTN_HIP
#define AITER_ATTN_CUDA
#endif
#define AITER_ATTN_IMPLEMENTATION
#include "../aiter_attn.h"

#include "decode/output.h"
#include "decode/perplexity.h"
#include "decode/session.h"

static volatile sig_atomic_t stop_asked;

/* The first Ctrl-C lets the run print what it has, the second ends it. */
static void on_interrupt(int number)
{
    stop_asked = 1;
    signal(number, SIG_DFL);
}

static int fail(const char *program, int status, const char *why)
{
    fprintf(stderr, "%s: %s\n", program, why);
    return status;
}

/* ---- --tokenize ---- */

static int run_tokenize(session *s)
{
    const int flags = TOKENIZER_ADD_SPECIAL | (s->how->parse_special ? TOKENIZER_PARSE_SPECIAL : 0);
    tokenizer_ids ids = {0};
    vocab_text text;
    char *data;
    size_t size;
    if (files_read(s->how->tokenize, &data, &size, s->err, sizeof s->err) != 0) return EXIT_FILE;
    text.data = data;
    text.size = size;
    int status = prompts_encode_text(&s->words, text, flags, &ids, s->err, sizeof s->err);
    for (size_t i = 0; status == 0 && i < ids.count; i++)
        printf("%s%d", i ? " " : "", (int)ids.data[i]);
    if (status == 0) putchar('\n');
    free(ids.data);
    free(data);
    return status == 0 ? 0 : EXIT_FILE;
}

/* ---- --perplexity ---- */

static void perplexity_token(void *user, int32_t index, int32_t token)
{
    (void)user, (void)index, (void)token;
}

static void perplexity_progress(void *user, int64_t tokens_read)
{
    output_progress((output *)user, tokens_read);
}

static int perplexity_is_end(const void *user, int32_t token)
{
    (void)user, (void)token;
    return 0;
}

static int score_tokens(session *s, tokenizer_ids *ids, int32_t window)
{
    perplexity p = {0};
    result none = {0};
    sequence one = {0};
    output o = {.how = s->how, .results = &none, .count = 1, .prompt_tokens = (int64_t)ids->count};
    batch b = {.m = &s->m,
               .cache = &s->cache,
               .sequences = &one,
               .count = 1,
               .temp = 0,
               .on_token = perplexity_token,
               .on_progress = perplexity_progress,
               .is_end = perplexity_is_end,
               .user = &o};
    one.limit = window;
    int status = batch_create(&b);
    if (status != 0)
        snprintf(s->err, sizeof s->err, "out of memory");
    else if ((status = perplexity_run(&b, ids->data, (int64_t)ids->count, window, &p)) != 0)
        snprintf(s->err, sizeof s->err, "%s", s->m.err);
    output_clear_progress(&o);
    if (status == 0 && p.scored > 0 && !stop_asked) printf("%.6f\n", p.sum / (double)p.scored);
    if (status == 0 && !s->how->quiet) {
        fprintf(stderr, "mean negative log likelihood of %lld tokens in windows of %d; exp: %.4f\n",
                (long long)p.scored, (int)window, p.scored ? exp(p.sum / (double)p.scored) : 0.0);
        session_print_timings(s, &b.timings);
    }
    batch_destroy(&b);
    return status == 0 ? 0 : EXIT_FILE;
}

static int run_perplexity(session *s)
{
    tokenizer_ids ids = {0};
    vocab_text text;
    char *data;
    size_t size;
    if (files_read(s->how->perplexity, &data, &size, s->err, sizeof s->err) != 0) return EXIT_FILE;
    text.data = data;
    text.size = size;
    const int flags = TOKENIZER_ADD_SPECIAL | (s->how->parse_special ? TOKENIZER_PARSE_SPECIAL : 0);
    int status = prompts_encode_text(&s->words, text, flags, &ids, s->err, sizeof s->err);
    int32_t window = (size_t)s->context < ids.count ? s->context : (int32_t)ids.count;
    free(data);
    if (status == 0 && window < 2) {
        snprintf(s->err, sizeof s->err, "--perplexity: %.200s holds %d tokens, expected at least 2",
                 s->how->perplexity, (int)ids.count);
        status = EXIT_OPTION;
    } else if (status != 0) {
        status = EXIT_FILE;
    }
    if (status == 0) status = session_size_cache(s, window);
    if (status == 0) status = session_load(s, &stop_asked);
    if (status == 0) status = score_tokens(s, &ids, window);
    free(ids.data);
    return status;
}

/* ---- Generation ---- */

static void generate_token(void *user, int32_t index, int32_t token)
{
    output_token((output *)user, index, token);
}

static void generate_progress(void *user, int64_t tokens_read)
{
    output_progress((output *)user, tokens_read);
}

static int generate_is_end(const void *user, int32_t token)
{
    return tokenizer_is_end(((const output *)user)->words, token);
}

/* The stream of equal prompts differs, that of other prompts does not change it. */
static uint64_t earlier_equal(const prompt_set *set, int32_t index)
{
    const tokenizer_ids *ids = &set->list[index].ids;
    uint64_t equal = 0;
    for (int32_t i = 0; i < index; i++) {
        const tokenizer_ids *other = &set->list[i].ids;
        equal += other->count == ids->count &&
                 memcmp(other->data, ids->data, ids->count * sizeof *ids->data) == 0;
    }
    return equal;
}

/* Checks the prompts against the context and sizes the cache. 0, or EXIT_OPTION with s->err. */
static int size_sequences(session *s, const prompt_set *set, sequence *sequences)
{
    const int32_t page = s->how->page_size, more = s->how->n_predict;
    int64_t all = 0, longest = 0, tokens;
    for (int32_t i = 0; i < set->count; i++) {
        const int64_t count = (int64_t)set->list[i].ids.count;
        sequence *q = &sequences[i];
        if (count == 0 || count + (more != 0) > s->context) {
            snprintf(s->err, sizeof s->err,
                     "prompt %d has %lld tokens, expected 1 to %d (a context of %d, see "
                     "--ctx-size)",
                     (int)i + 1, (long long)count, (int)s->context - (more != 0), (int)s->context);
            return EXIT_OPTION;
        }
        q->limit_is_context = more < 0 || count + more > s->context;
        q->limit = q->limit_is_context ? s->context : (int32_t)(count + more);
        q->count = q->prompt_count = (int32_t)count;
        q->random = random_start((uint64_t)s->how->seed, earlier_equal(set, i));
        int64_t held = ((int64_t)q->limit + page - 1) / page * page;
        all += held;
        if (held > longest) longest = held;
    }
    tokens = all < SESSION_DEFAULT_TOKENS ? all : SESSION_DEFAULT_TOKENS;
    if (tokens < longest) tokens = longest;
    return session_size_cache(s, s->how->ctx_size ? s->how->ctx_size : tokens);
}

/* Gives every sequence its tokens, in one allocation. */
static int32_t *place_tokens(const prompt_set *set, sequence *sequences)
{
    size_t all = 0;
    for (int32_t i = 0; i < set->count; i++) all += (size_t)sequences[i].limit;
    int32_t *tokens = (int32_t *)malloc(all * sizeof *tokens), *next = tokens;
    for (int32_t i = 0; tokens && i < set->count; i++) {
        sequences[i].tokens = next;
        memcpy(next, set->list[i].ids.data, set->list[i].ids.count * sizeof *next);
        next += sequences[i].limit;
    }
    return tokens;
}

static void report_generation(const session *s, const output *o, const batch *b)
{
    int32_t full = 0;
    if (s->how->quiet) return;
    for (int32_t i = 0; i < o->count; i++) full += b->sequences[i].end == SEQUENCE_END_CONTEXT;
    if (full)
        fprintf(stderr, "%d of %d texts ended because the context of %d tokens was full\n",
                (int)full, (int)o->count, (int)s->context);
    if (stop_asked) fprintf(stderr, "interrupted\n");
    session_print_timings(s, &b->timings);
}

static int generate(session *s, const prompt_set *set, sequence *sequences, result *results)
{
    output o = {.words = &s->words, .how = s->how, .results = results, .count = set->count};
    batch b = {.m = &s->m,
               .cache = &s->cache,
               .sequences = sequences,
               .count = set->count,
               .temp = s->how->temp,
               .top_p = s->how->top_p,
               .on_token = generate_token,
               .on_progress = generate_progress,
               .is_end = generate_is_end,
               .user = &o};
    int32_t *tokens = place_tokens(set, sequences);
    for (int32_t i = 0; i < set->count; i++) {
        results[i].prompt = set->list[i].text;
        o.prompt_tokens += sequences[i].prompt_count;
    }
    int status = tokens ? batch_create(&b) : -1;
    if (status != 0) {
        snprintf(s->err, sizeof s->err, "out of memory for %d sequences", (int)set->count);
    } else if ((status = batch_run(&b)) != 0) {
        snprintf(s->err, sizeof s->err, "%s", s->m.err);
    } else if (o.out_of_memory) {
        snprintf(s->err, sizeof s->err, "out of memory for the text");
        status = -1;
    }
    output_interrupt(&o);
    if (status == 0) report_generation(s, &o, &b);
    batch_destroy(&b);
    free(tokens);
    return status == 0 ? 0 : EXIT_FILE;
}

static int run_generation(session *s, prompt_set *set)
{
    sequence *sequences = (sequence *)calloc((size_t)set->count, sizeof *sequences);
    result *results = (result *)calloc((size_t)set->count, sizeof *results);
    int status = EXIT_FILE;
    if (!sequences || !results)
        snprintf(s->err, sizeof s->err, "out of memory for %d prompts", (int)set->count);
    else if (prompts_encode(set, s->how, &s->words, &s->file, s->err, sizeof s->err) == 0)
        status = size_sequences(s, set, sequences);
    if (status == 0) status = session_load(s, &stop_asked);
    if (status == 0) status = generate(s, set, sequences, results);
    free(sequences);
    free(results);
    return status;
}

static int run(const options *o, const char *program)
{
    static session s;
    prompt_set set = {0};
    int generates = !o->tokenize && !o->perplexity;
    int status = generates ? prompts_gather(&set, o, program, s.err, sizeof s.err) : 0;
    status = status != 0 ? EXIT_FILE : session_open(&s, o, program);
    if (status == 0)
        status = o->tokenize     ? run_tokenize(&s)
                 : o->perplexity ? run_perplexity(&s)
                                 : run_generation(&s, &set);
    if (status != 0) fail(program, status, s.err);
    prompts_free(&set);
    session_close(&s);
    if (status == 0 && (fflush(stdout) != 0 || ferror(stdout)))
        status = fail(program, EXIT_FILE, "cannot write");
    return status == 0 && stop_asked ? EXIT_INTERRUPT : status;
}

static void print_version(void)
{
    aiter_context_details info = aiter_context_info(NULL);
#if defined(__x86_64__)
    const char *machine = "x86_64";
#elif defined(__aarch64__)
    const char *machine = "aarch64";
#else
    const char *machine = "other";
#endif
    printf("decode_loop of aiter_attn %s (%s, %s kernels)\n", AITER_ATTN_VERSION_STRING, machine,
           info.isa_name);
}

int main(int argc, char **argv)
{
    options o;
    char err[256];
    int status = 0;
    if (options_parse(&o, argc, argv, err, sizeof err) != 0) {
        status = fail(argv[0], EXIT_OPTION, err);
    } else if (o.help) {
        options_usage(stdout, argv[0]);
    } else if (o.version) {
        print_version();
    } else {
        signal(SIGINT, on_interrupt);
        status = run(&o, argv[0]);
    }
    options_free(&o);
    return status;
}
