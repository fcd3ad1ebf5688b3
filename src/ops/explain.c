/* explain.c -- how an _explain writes its text, and what those of all ops say. */
#ifndef AITERI_EXPLAIN_C
#define AITERI_EXPLAIN_C

#include "../context/context.c"
#if AITERI_GPU
#include "../gpu/launch.c"
#endif

/* A text in the caller's memory; what does not fit is left out. */
typedef struct aiteri_text {
    char *at;
    size_t left; /* the closing 0 included */
} aiteri_text;

static void aiteri_say(aiteri_text *t, const char *format, ...) AITERI_PRINTF(2, 3);
static void aiteri_say(aiteri_text *t, const char *format, ...)
{
    va_list list;
    if (t->left == 0) return;
    va_start(list, format);
    const int n = vsnprintf(t->at, t->left, format, list);
    va_end(list);
    const size_t used = (size_t)n < t->left ? (size_t)n : t->left - 1;
    t->at += used;
    t->left -= used;
}

static void aiteri_explain_engine(aiteri_text *t, aiter_context *ctx)
{
    const aiter_context_details d = aiter_context_info(ctx);
    if (d.device == AITER_DEVICE_CPU)
        aiteri_say(t, "engine: cpu, kernel set %s, %d thread%s\n", d.isa_name, (int)d.num_threads,
                   d.num_threads == 1 ? "" : "s");
    else
        aiteri_say(t, "engine: %s, %s, %d compute units\n", d.device_name, d.architecture,
                   (int)d.compute_units);
}

static double aiteri_bytes_per(aiter_dtype dtype) { return aiter_dtype_bits(dtype) / 8.0; }

/* Behind a type, what its elements are to be multiplied by. */
AITERI_UNUSED static const char *aiteri_scale_words(aiter_scale_kind kind)
{
    switch (kind) {
    case AITER_SCALE_PER_TENSOR: return " with one scale";
    case AITER_SCALE_PER_HEAD: return " with a scale per head";
    case AITER_SCALE_PER_TOKEN_HEAD: return " with a scale per token and head";
    case AITER_SCALE_PER_BLOCK_HEAD: return " with a scale per page and head";
    case AITER_SCALE_PER_BATCH_HEAD: return " with a scale per batch row and head";
    case AITER_SCALE_PER_CHANNEL: return " with a scale per channel";
    case AITER_SCALE_PER_GROUP: return " with a scale per group of columns";
    default: return "";
    }
}

/* How an op without keys is cut: `count` rows, each by one worker; on a device by row `row` of the
 * registry, in so many launches. */
AITERI_UNUSED static void aiteri_explain_rows(aiteri_text *t, aiter_context *ctx, int32_t row,
                                              const char *rows, int64_t count, int64_t launches)
{
#if AITERI_GPU
    if (aiteri_context_on_device(ctx)) {
        const aiteri_gpu_row *r = &aiteri_gpu_rows_table[row];
        aiteri_say(t, "kernel: %s, %d of %lld %s by %d threads, %lld workgroups x %lld launches\n",
                   r->symbol, (int)r->rows, (long long)count, rows, (int)r->threads,
                   (long long)aiteri_ceil_div(count, r->rows), (long long)launches);
        return;
    }
#endif
    (void)ctx, (void)row;
    aiteri_say(t, "work: %lld %s, a stretch of the tokens for each thread\n",
               (long long)(count * launches), rows);
}

/* Begins the text of `op` with its verdict, `status`, and of what runs with the engine and the
 * bytes of the workspace; *t has no room where there is none. */
static aiter_status aiteri_explain_begin(const char *op, aiter_context *ctx, aiter_status status,
                                         size_t need, char *text, size_t bytes, aiteri_text *t)
{
    t->at = text;
    t->left = text ? bytes : 0;
    if (t->left == 0)
        return status != AITER_OK ? status
                                  : aiteri_fail(ctx, AITER_INVALID_ARGUMENT,
                                                "%s_explain.%s, expected room for the text", op,
                                                text ? "bytes: is 0" : "text: is NULL");
    if (status != AITER_OK) {
        aiteri_say(t, "%s: %s\n%s\n", op, aiter_status_name(status), aiteri_error_text);
        return status;
    }
    aiteri_say(t, "%s: runs\n", op);
    aiteri_explain_engine(t, ctx);
    aiteri_say(t, "workspace: %zu bytes\n", need);
    return status;
}

#endif /* AITERI_EXPLAIN_C */
