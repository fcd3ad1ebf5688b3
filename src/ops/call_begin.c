/* call_begin.c -- what is the same of all args structs: they are there, and of this header; and how
 * an _explain writes its text. */
#ifndef AITERI_CALL_BEGIN_C
#define AITERI_CALL_BEGIN_C

#include "../api_ops.h"
#include "../context/context.c"

/* `call` is "" or what follows the op's name: "_plan". */
static aiter_status aiteri_call_begin(const char *op, const char *call, aiter_context *ctx,
                                      const void *args, size_t bytes)
{
    uint32_t given;
    aiteri_context_begin(ctx);
    if (!args)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT, "%s%s.args: is NULL, expected a pointer",
                           op, call);
    memcpy(&given, args, sizeof given); /* struct_bytes is the first field of each */
    if (given != 0 && given != bytes)
        return aiteri_fail(ctx, AITER_INVALID_ARGUMENT,
                           "%s.struct_bytes: is %lu, expected 0 or %lu; was the caller compiled "
                           "with the header of another version than " AITER_ATTN_VERSION_STRING "?",
                           op, (unsigned long)given, (unsigned long)bytes);
    return AITER_OK;
}

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

/* Begins the text of `op` with its verdict, `status`; *t has no room where there is none. */
static aiter_status aiteri_explain_begin(const char *op, aiter_context *ctx, aiter_status status,
                                         char *text, size_t bytes, aiteri_text *t)
{
    t->at = text;
    t->left = text ? bytes : 0;
    if (t->left == 0)
        return status != AITER_OK ? status
                                  : aiteri_fail(ctx, AITER_INVALID_ARGUMENT,
                                                "%s_explain.%s, expected room for the text", op,
                                                text ? "bytes: is 0" : "text: is NULL");
    if (status == AITER_OK)
        aiteri_say(t, "%s: runs\n", op);
    else
        aiteri_say(t, "%s: %s\n%s\n", op, aiter_status_name(status), aiteri_error_text);
    return status;
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

#endif /* AITERI_CALL_BEGIN_C */
