/* fuzz_args.c -- bytes become a call of any op: a good one with up to seven of its fields made
 * hostile. Nothing crashes or reads beyond what a tensor covers; a workspace query reads no tensor
 * data; a refused call writes nothing and says why; an accepted one writes its outputs alone and
 * gives the same bits on any number of threads and with a plan.
 *
 * Pointers and strides are trusted by the API, so a call that would be accepted runs only when its
 * tensors lie inside the memory that is there. */
#include "fuzz.h"
#include "../dlpack_like.h"
#include AITER_TEST_HEADER
#include "ops.h"
#include "good_call.h"

/* ---- hostile fields ---- */

static void explicit_strides(aiter_tensor *t)
{
    int64_t stride = 1;
    if (t->ndim < 1) return;
    for (int i = 0; i < t->ndim && i < 5; i++)
        if (t->stride[i] != 0) return;
    for (int i = (t->ndim < 5 ? t->ndim : 5) - 1; i >= 0; i--) {
        t->stride[i] = stride;
        stride = (int64_t)((uint64_t)stride * (uint64_t)t->shape[i]);
    }
}

static void through_dlpack(aiter_tensor *t, fuzz_input *in)
{
    DLTensor d;
    aiter_tensor back;
    if (aiter_tensor_to_dlpack(t, &d) != AITER_OK) return;
    const int change = fuzz_below(in, 8);
    if (change == 0) d.strides = NULL;
    if (change == 1) d.ndim = (int32_t)fuzz_i64(in);
    if (change == 2 && d.ndim > 0) d.shape[fuzz_below(in, d.ndim)] = fuzz_i64(in);
    if (change == 3) d.dtype.code = (uint8_t)fuzz_u8(in);
    if (change == 4) d.byte_offset = fuzz_u8(in);
    if (change == 5) d.device.device_type = (DLDeviceType)fuzz_below(in, 18);
    if (d.ndim > 5 || d.ndim < 1) d.shape = NULL; /* they would have to be there */
    if (aiter_tensor_from_dlpack(&d, &back) == AITER_OK) *t = back;
}

static void spoil_tensor(fuzz_call *c, aiter_tensor *t, fuzz_input *in)
{
    const int dim = fuzz_below(in, 5);
    const fuzz_field *other = &c->op->fields[fuzz_below(in, c->op->count)];
    const int what = fuzz_below(in, 16);
    int64_t a, b;
    switch (what) {
    case 0: t->ndim = fuzz_below(in, 8) < 6 ? fuzz_below(in, 7) - 1 : fuzz_i32(in); break;
    case 1: t->dtype = (aiter_dtype)(fuzz_below(in, 16) - 2); break;
    case 2: t->shape[dim] = fuzz_i64(in); break;
    case 3: t->shape[dim] = (int64_t)((uint64_t)t->shape[dim] + fuzz_u8(in) % 3 - 1); break;
    case 4:
        explicit_strides(t);
        t->stride[dim] = fuzz_i64(in);
        break;
    case 5: t->data = NULL; break;
    case 6:
        if (t->data) t->data = (char *)t->data + (fuzz_below(in, 64) - 16);
        break;
    case 7:
        if (is_tensor(other)) t->data = tensor_at(c, other)->data;
        break;
    case 8:
        if (is_tensor(other)) *t = *tensor_at(c, other);
        break;
    case 9: *t = aiter_tensor_transpose(*t, dim, fuzz_below(in, 8) - 1); break;
    case 10:
        a = fuzz_i64(in);
        b = fuzz_i64(in);
        if (t->ndim > 0 && t->ndim <= 5 && t->data == NULL)
            explicit_strides(t);    /* slices of nowhere stay there */
        for (int i = 0; i < 5; i++) /* trusted: a slice inside absurd strides points anywhere */
            if (t->stride[i] > INT32_MAX || t->stride[i] < 0 || t->shape[i] > INT32_MAX) a = -1;
        *t = aiter_tensor_slice(*t, dim, a, b);
        break;
    case 11: through_dlpack(t, in); break;
    case 12:
        for (int i = 0; i < 5; i++) t->stride[i] = (int64_t)((uint64_t)t->stride[i] * 2);
        if (t->stride[0] > INT32_MAX) t->stride[0] = 1;
        break;
    default: { /* an element, where there is one */
        const size_t at = (size_t)((unsigned char *)t->data - arena.bytes);
        const size_t bytes = bytes_of(t->dtype, 1);
        const uint64_t x = what == 13 ? (uint64_t)fuzz_i64(in) : fuzz_u64(in, 4);
        const size_t i = (size_t)fuzz_u8(in) * bytes;
        if (t->data && at < ARENA_BYTES && at + i + bytes <= ARENA_BYTES)
            memcpy(arena.bytes + at + i, &x, bytes);
    }
    }
}

/* An element of a table: an edge of what is allowed, another one's number, or one beside its own.
 */
static void spoil_table(fuzz_call *c, aiter_tensor *t, fuzz_input *in)
{
    const int64_t *n = c->extent;
    const int64_t edges[] = {-1, 0, 1, n['P'], n['P'] + 1, n['N'], n['N'] - 1, n['N'] * n['P']};
    const size_t bytes = bytes_of(t->dtype, 1),
                 at = (size_t)((unsigned char *)t->data - arena.bytes);
    const size_t count = t->ndim == 1 ? (size_t)t->shape[0] : 8;
    if (!t->data || at >= ARENA_BYTES || count < 1 || count > 64 || bytes < 4) return;
    const size_t i = at + fuzz_u8(in) % count * bytes, j = at + fuzz_u8(in) % count * bytes;
    int64_t x = 0;
    if (i + 8 > ARENA_BYTES || j + 8 > ARENA_BYTES) return;
    memcpy(&x, arena.bytes + j, 4);
    switch (fuzz_below(in, 4)) {
    case 0: x = edges[fuzz_below(in, 8)]; break;
    case 1: x += fuzz_below(in, 4) - 2; break;
    case 2: x = fuzz_i64(in); break;
    default: break;
    }
    memcpy(arena.bytes + i, &x, bytes);
}

static void spoil(fuzz_call *c, fuzz_input *in)
{
    const fuzz_field *f = &c->op->fields[fuzz_below(in, c->op->count)];
    unsigned char *at = c->args.bytes + f->offset;
    const int32_t small = fuzz_below(in, 8) - 1, word = small == 6 ? fuzz_i32(in) : small;
    const float x = f->kind == KIND_F32 ? fuzz_f32(in) : 0.0f;
    switch (f->kind) {
    case KIND_I32: memcpy(at, &word, sizeof word); break;
    case KIND_F32: memcpy(at, &x, sizeof x); break;
    default:
        if (f->holds > HOLDS_SCALES && fuzz_below(in, 2))
            spoil_table(c, tensor_at(c, f), in);
        else
            spoil_tensor(c, tensor_at(c, f), in);
    }
}

/* ---- what is real ---- */

/* Bytes from the first to one past the last element, or -1 where the checks refuse or nobody could
 * have the memory. 0: empty or absent. */
static int64_t span_bytes(const aiter_tensor *given, int64_t *elements)
{
    aiter_tensor t = *given;
    uint64_t last = 0, count = 1;
    *elements = 0;
    if (t.ndim == 0) return 0;
    if (t.ndim < 0 || t.ndim > 5 || aiter_dtype_bits(t.dtype) == 0) return -1;
    for (int i = 0; i < t.ndim; i++) {
        if (t.shape[i] == 0) return 0;
        if (t.shape[i] < 0 || t.shape[i] > ARENA_BYTES) return -1;
    }
    explicit_strides(&t);
    for (int i = 0; i < t.ndim; i++) {
        if (t.stride[i] < 0 || (t.stride[i] > ARENA_BYTES && t.shape[i] > 1)) return -1;
        count *= (uint64_t)t.shape[i]; /* below 2^80 in five steps of 2^16: cut off in between */
        if (count > ARENA_BYTES) return -1;
        last += (uint64_t)(t.shape[i] - 1) * (uint64_t)(t.shape[i] > 1 ? t.stride[i] : 0);
    }
    *elements = (int64_t)count;
    return (int64_t)bytes_of(t.dtype, (int64_t)last + 1);
}

/* Are all tensors inside the arena, and the call small? Shows the bytes that they cover. */
static int covered(fuzz_call *c)
{
    int64_t most[2] = {1, 1}, elements, table = 1;
    int good = 1;
    for (int i = 0; i < c->op->count; i++) {
        const fuzz_field *f = &c->op->fields[i];
        if (!is_tensor(f)) continue;
        const aiter_tensor *t = tensor_at(c, f);
        const int64_t bytes = span_bytes(t, &elements);
        if (elements > most[f->kind == KIND_OUT]) most[f->kind == KIND_OUT] = elements;
        if (f->holds == HOLDS_BLOCKS && elements > table) table = elements;
        if (bytes == 0) continue;
        const uintptr_t first = (uintptr_t)t->data, base = (uintptr_t)arena.bytes;
        if (bytes < 0 || first < base || first - base > c->used ||
            (uint64_t)bytes > c->used - (first - base)) {
            good = 0;
            continue;
        }
        FUZZ_SHOW(t->data, (size_t)bytes);
    }
    return good && most[0] * most[1] * table <= MOST_WORK;
}

/* Byte of the arena where the i-th element lies; the strides are explicit. */
static size_t element_at(const aiter_tensor *t, int64_t i)
{
    int64_t at = 0;
    for (int d = t->ndim - 1; d >= 0; d--) {
        at += i % t->shape[d] * t->stride[d];
        i /= t->shape[d];
    }
    return (size_t)((unsigned char *)t->data - arena.bytes) +
           (size_t)at * (size_t)aiter_dtype_bits(t->dtype) / 8;
}

/* Caches behind the last are nobody's. */
static int is_operand(fuzz_call *c, const fuzz_field *f)
{
    const fuzz_copy *x = (const fuzz_copy *)(const void *)c->args.bytes;
    return is_tensor(f) && (c->op->fields != copy || f != &copy[1] || x->args.num_caches > 1);
}

/* Scales that are given are read. */
static int is_output(fuzz_call *c, const fuzz_field *f)
{
    for (int i = 0; f->holds == HOLDS_SCALES && i < c->op->count; i++)
        if (strcmp(c->op->fields[i].name, "quantisation.scale_given") == 0)
            return c->args.bytes[c->op->fields[i].offset] == 0;
    return f->kind == KIND_OUT && is_operand(c, f);
}

static void mark(const aiter_tensor *given)
{
    int64_t elements;
    if (span_bytes(given, &elements) <= 0) return;
    aiter_tensor t = *given;
    explicit_strides(&t);
    for (int64_t i = 0; i < elements; i++)
        memset(written + element_at(&t, i), 1, bytes_of(t.dtype, 1));
}

/* What follows the sign of an infinity, or of the number below all NaN; 0: a type without NaN. */
static uint32_t below_nan(aiter_dtype type)
{
    switch (type) {
    case AITER_F32: return 0x7f800000u;
    case AITER_F16: return 0x7c00u;
    case AITER_BF16: return 0x7f80u;
    case AITER_F8_E4M3FN: return 0x7eu;
    case AITER_F8_E5M2: return 0x7cu;
    default: return 0;
    }
}

/* All NaN are one: which of them a row gives is not promised. */
static void one_nan(const aiter_tensor *given)
{
    int64_t elements;
    if (span_bytes(given, &elements) <= 0) return;
    aiter_tensor t = *given;
    explicit_strides(&t);
    const uint32_t most = below_nan(t.dtype), nan = most + 1;
    const size_t size = bytes_of(t.dtype, 1);
    for (int64_t i = 0; i < elements && most; i++) {
        uint32_t bits = 0;
        memcpy(&bits, arena.bytes + element_at(&t, i), size);
        if ((bits & ~(1u << (8 * size - 1))) > most)
            memcpy(arena.bytes + element_at(&t, i), &nan, size);
    }
}

/* ---- judging ---- */

static void judge_text(const fuzz_call *c, aiter_status status, const char *call)
{
    const char *text = c->ctx ? aiter_context_error(c->ctx) : aiter_last_error();
    FUZZ_CHECK((int)status >= 0 && status < AITER_STATUS_COUNT, "%s: status %d", call, (int)status);
    if (status == AITER_OK) {
        FUZZ_CHECK(!c->ctx || text[0] == 0, "%s: ok, but \"%s\"", call, text);
        return;
    }
    FUZZ_CHECK(strncmp(text, c->op->name, strlen(c->op->name)) == 0, "%s: \"%s\"", call, text);
    FUZZ_CHECK(strcmp(text, aiter_last_error()) == 0, "%s: two texts", call);
    FUZZ_CHECK(strlen(text) > strlen(c->op->name) + 5, "%s: \"%s\" says nothing", call, text);
    for (const char *s = text; *s; s++)
        FUZZ_CHECK(*s >= 32 && *s < 127, "%s: \"%s\" is no plain text", call, text);
    FUZZ_CHECK(status != AITER_DEVICE && status != AITER_NO_DEVICE && status != AITER_NO_KERNEL,
               "%s on the CPU: %s", call, text);
}

/* Only what `written` marks may differ from `before`. */
static void judge_memory(const fuzz_call *c, int accepted, const char *call)
{
    FUZZ_SHOW(arena.bytes, ARENA_BYTES);
    if (!accepted) {
        FUZZ_CHECK(memcmp(arena.bytes, before.bytes, c->used) == 0, "%s: a refused %s wrote",
                   c->op->name, call);
        return;
    }
    for (size_t i = 0; i < c->used; i++)
        FUZZ_CHECK(arena.bytes[i] == before.bytes[i] || written[i], "%s: %s wrote byte %zu",
                   c->op->name, call, i);
}

static aiter_status run_once(fuzz_call *c, const char *call)
{
    unsigned char given[sizeof c->args.bytes];
    FUZZ_HIDE(arena.bytes, c->used);
    covered(c);
    memcpy(given, c->args.bytes, sizeof given);
    const aiter_status status = c->op->run(c->args.bytes, c->ctx);
    FUZZ_CHECK(memcmp(given, c->args.bytes, sizeof given) == 0, "%s changed its args", call);
    judge_text(c, status, call);
    judge_memory(c, status == AITER_OK, call);
    return status;
}

static void one_nan_of_outputs(fuzz_call *c)
{
    for (int i = 0; i < c->op->count; i++)
        if (c->op->fields[i].kind == KIND_OUT) one_nan(tensor_at(c, &c->op->fields[i]));
}

/* Again on another context of the same kernel set; equal bits. */
static void run_again(fuzz_call *c, const char *call)
{
    one_nan_of_outputs(c);
    memcpy(after.bytes, arena.bytes, c->used);
    memcpy(arena.bytes, before.bytes, c->used);
    const aiter_status status = run_once(c, call);
    FUZZ_CHECK(status == AITER_OK, "%s is refused: %s", call, aiter_last_error());
    one_nan_of_outputs(c);
    for (size_t i = 0; i < c->used; i += 4)
        FUZZ_CHECK(memcmp(arena.bytes + i, after.bytes + i, 4) == 0,
                   "%s: %s gives other bits at byte %zu: %02x%02x%02x%02x, not %02x%02x%02x%02x",
                   c->op->name, call, i, arena.bytes[i + 3], arena.bytes[i + 2], arena.bytes[i + 1],
                   arena.bytes[i], after.bytes[i + 3], after.bytes[i + 2], after.bytes[i + 1],
                   after.bytes[i]);
}

static void run_on_other_threads(fuzz_call *c)
{
    for (int i = 0; i < CONTEXTS; i++)
        if (contexts[i] == c->ctx && c->ctx) {
            c->ctx = contexts[i ^ 1];
            run_again(c, "a run with other threads");
            c->ctx = contexts[i];
            return;
        }
}

/* The plan of this call gives the same bits; one that is cut, moved or of another call (its first
 * eight bytes) is refused. What _plan wrote is trusted otherwise, as a pointer is. */
static void run_planned(fuzz_call *c, fuzz_input *in)
{
    aiter_plan plan, *const given = &plan;
    memset(&plan, 0, sizeof plan);
    if (c->op->plan(c->args.bytes, c->ctx, &plan) != AITER_OK) abort();
    const size_t bytes = plan.bytes;
    if (bytes > PLAN_BYTES) return;
    plan.data = plan_memory.bytes;
    FUZZ_SHOW(plan_memory.bytes, bytes);
    FUZZ_HIDE(plan_memory.bytes + bytes, HIDDEN_BYTES);
    FUZZ_CHECK(c->op->plan(c->args.bytes, c->ctx, &plan) == AITER_OK, "%s", aiter_last_error());
    memcpy(c->args.bytes + c->op->plan_at, &given, sizeof given);
    run_again(c, "a run with its plan");
    memcpy(before.bytes, arena.bytes, c->used);
    const int what = fuzz_below(in, 4);
    const size_t at = fuzz_u8(in);
    if (what == 0) plan.bytes = at < bytes ? at : 0;
    if (what == 1) plan.data = at & 1 ? NULL : plan_memory.bytes + 1 + at % 7;
    if (what == 2) plan_memory.bytes[at % 8] ^= (unsigned char)(1 + fuzz_below(in, 255));
    if (what == 3) plan.bytes = bytes - 8;
    const aiter_status status = run_once(c, "a run with a spoilt plan");
    FUZZ_CHECK(status == AITER_INVALID_ARGUMENT, "a spoilt plan (%d, %zu): %s", what, at,
               aiter_status_name(status));
    memset(c->args.bytes + c->op->plan_at, 0, sizeof given);
    memcpy(arena.bytes, before.bytes, c->used);
}

/* ---- one input ---- */

/* The query sees hidden memory alone. Returns whether it refused. */
static int ask_workspace(fuzz_call *c, size_t *bytes)
{
    FUZZ_HIDE(arena.bytes, c->used);
    *bytes = 12345;
    const aiter_status status = c->op->workspace(c->args.bytes, c->ctx, bytes);
    judge_text(c, status, "workspace");
    FUZZ_SHOW(arena.bytes, ARENA_BYTES);
    FUZZ_CHECK(status == AITER_OK || *bytes == 12345, "a refused query wrote");
    return status != AITER_OK;
}

/* A workspace that begins at some operand, whose memory is all there; 0 where there is none. */
static int overlap_workspace(fuzz_call *c, fuzz_input *in, size_t need)
{
    const fuzz_field *f = &c->op->fields[fuzz_below(in, c->op->count)];
    int64_t elements;
    if (!is_operand(c, f) || need == 0 || span_bytes(tensor_at(c, f), &elements) <= 0) return 0;
    memcpy(c->args.bytes + c->op->workspace_at, &tensor_at(c, f)->data, sizeof(void *));
    memcpy(c->args.bytes + c->op->workspace_bytes_at, &need, sizeof need);
    return 1;
}

/* The caller's own workspace: exact, one byte short, unaligned; or over an operand, returns 1. */
static int give_workspace(fuzz_call *c, fuzz_input *in, size_t need)
{
    const int how = fuzz_below(in, 5);
    const size_t bytes = how == 1 && need > 0 ? need - 1 : need;
    unsigned char *at = workspace.bytes + HIDDEN_BYTES / 2 + (how == 2 ? fuzz_below(in, 64) : 0);
    if (how == 3 || c->op->workspace_at == FUZZ_NONE) return 0;
    if (how == 4) return overlap_workspace(c, in, need);
    FUZZ_HIDE(workspace.bytes, HIDDEN_BYTES);
    FUZZ_SHOW(at, bytes);
    FUZZ_HIDE(at + bytes, HIDDEN_BYTES);
    memcpy(c->args.bytes + c->op->workspace_at, &at, sizeof at);
    memcpy(c->args.bytes + c->op->workspace_bytes_at, &bytes, sizeof bytes);
    return 0;
}

static void guard(fuzz_input *in)
{
    aiter_padding_guard_args a;
    memset(&a, 0, sizeof a);
    double ratio = -1, given = (double)fuzz_f32(in);
    int32_t safe = -1;
    a.seqlen = fuzz_i64(in);
    a.tile = fuzz_i64(in);
    a.mask = (aiter_mask)(fuzz_below(in, 7) - 1);
    a.threshold = given;
    const aiter_status status = aiter_padding_guard(&a, &ratio, &safe);
    if (status == AITER_OK)
        FUZZ_CHECK(ratio >= 0 && ratio <= 1 && (safe == 0 || safe == 1), "ratio %g, safe %d", ratio,
                   (int)safe);
    else
        FUZZ_CHECK(safe == -1 && strstr(aiter_last_error(), "aiter_padding_guard"),
                   "a refused guard wrote, or says \"%s\"", aiter_last_error());
}

/* With FUZZ_COUNTS in the environment: how often each row of the table was called, ran, was good.
 */
static struct {
    uint64_t calls, good;
} counts[FUZZ_OPS];

static void print_counts(void)
{
    for (int i = 0; i < FUZZ_OPS; i++)
        printf("row %2d %-32s %9llu calls %9llu good\n", i, fuzz_ops[i].name,
               (unsigned long long)counts[i].calls, (unsigned long long)counts[i].good);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int ready;
    fuzz_input in = {data, size, 0};
    fuzz_call c;
    size_t need = 0;
    if (!ready) {
        check_table();
        make_contexts();
        if (getenv("FUZZ_COUNTS")) atexit(print_counts);
        ready = 1;
    }
    FUZZ_SHOW(arena.bytes, ARENA_BYTES);
    if (size > 0 && data[size - 1] == 0xAA) guard(&in);
    const int placed = make_good_call(&c, &in);
    counts[c.op - fuzz_ops].calls++;
    if (!placed) return 0;
    for (int n = fuzz_below(&in, 8); n > 0; n--) spoil(&c, &in);
    const int refused = ask_workspace(&c, &need);
    const int real = covered(&c);
    /* Shapes that the query refuses are refused by the call too, before it looks at any data. */
    if (!real && (!refused || c.op->workspace_at == FUZZ_NONE)) return 0;
    if (!refused && need > WORKSPACE_BYTES) return 0;
    const int shared = !refused && give_workspace(&c, &in, need);
    memcpy(before.bytes, arena.bytes, c.used);
    memset(written, 0, c.used);
    for (int i = 0; real && i < c.op->count; i++)
        if (is_output(&c, &c.op->fields[i])) mark(tensor_at(&c, &c.op->fields[i]));
    const aiter_status status = run_once(&c, "a run");
    FUZZ_CHECK(!refused || status != AITER_OK, "%s: the query refuses, the run does not",
               c.op->name);
    FUZZ_CHECK(!shared || status == AITER_INVALID_ARGUMENT, "%s: a workspace over an operand",
               c.op->name);
    if (status != AITER_OK) return 0;
    counts[c.op - fuzz_ops].good++;
    if (c.op->workspace_at != FUZZ_NONE) {
        memset(c.args.bytes + c.op->workspace_at, 0, sizeof(void *));
        memset(c.args.bytes + c.op->workspace_bytes_at, 0, sizeof(size_t));
    }
    const int more = fuzz_below(&in, 4);
    if (more == 1) run_on_other_threads(&c);
    if (more == 2 && c.op->plan) run_planned(&c, &in);
    return 0;
}
