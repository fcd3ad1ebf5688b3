/* op_sweeps.h -- what every op must refuse or leave alone, tried on good arguments of each: see
 * op_list.h. Nothing here knows an op. */
#ifndef AITER_TEST_OP_SWEEPS_H
#define AITER_TEST_OP_SWEEPS_H

#include "op_data_sweeps.h"

/* Each tensor that is there, with each fault of refusals.h. */
static inline void sweep_faults(const op_case *g)
{
    subject s = {g->op, &g->p};
    int i, fault;
    for (i = 0; i < g->op->num_fields; i++) {
        for (fault = 0; fault < FAULT_COUNT; fault++) {
            const op_field *f = &g->op->fields[i];
            any_args bad = g->args;
            aiter_tensor *t = op_tensor(&bad, f);
            char why[96];
            if (t->ndim == 0 || !fault_apply(t, f, g->roles[i], fault)) continue;
            snprintf(why, sizeof why, "%s, %s", fault_names[fault], g->text);
            /* Another extent or rank may show in the tensors that follow it. */
            refused(&s, &bad, AITER_INVALID_ARGUMENT,
                    fault == FAULT_NDIM_ONE_MORE || fault == FAULT_SHAPE_LARGER ||
                            fault == FAULT_SHAPE_HUGE
                        ? ""
                        : f->name,
                    why, fault < FAULT_STRIDE_SHARED ? SEEN_BY_QUERY : SEEN_BY_PLAN);
        }
    }
}

/* Each two tensors of the same wrong rank: neither may be taken for what the other should have. */
static inline void sweep_ranks(const op_case *g)
{
    static const int32_t ranks[] = {-1, 6, 7, 8, 10, 12, 16, 24, 48, INT32_MAX};
    subject s = {g->op, &g->p};
    int i, j, r;
    for (i = 0; i < g->op->num_fields; i++) {
        for (j = i + 1; j < g->op->num_fields; j++) {
            for (r = 0; r < COUNT(ranks); r++) {
                any_args bad = g->args;
                char why[96];
                op_tensor(&bad, &g->op->fields[i])->ndim = ranks[r];
                op_tensor(&bad, &g->op->fields[j])->ndim = ranks[r];
                snprintf(why, sizeof why, "%s and %s with ndim %d, %s", g->op->fields[i].name,
                         g->op->fields[j].name, (int)ranks[r], g->text);
                refused(&s, &bad, AITER_INVALID_ARGUMENT, "", why, SEEN_BY_QUERY);
            }
        }
    }
}

/* Each extent of each tensor made larger: another tensor has the same, or there is a bound. A table
 * may have more entries, and what is broadcast may come in full. */
static inline void sweep_extents(const op_case *g)
{
    static const int64_t more[] = {1, 2, 3, 6, 7, 576, 4096};
    subject s = {g->op, &g->p};
    int i, dim, n;
    for (i = 0; i < g->op->num_fields; i++) {
        const op_field *f = &g->op->fields[i];
        const int ndim = op_tensor((any_args *)&g->args, f)->ndim;
        for (dim = 0; dim < ndim; dim++) {
            for (n = 0; n < COUNT(more); n++) {
                any_args bad = g->args;
                aiter_tensor *t = op_tensor(&bad, f);
                const op_role role = g->roles[i];
                char why[96];
                if (role == ROLE_TABLE && dim == ndim - 1) continue;
                if ((role == ROLE_BLOCKS || role == ROLE_OUTPUT_BLOCKS) && dim == 0) continue;
                if (role == ROLE_FLEXIBLE && dim == ndim - 1 && g->p.c.form >= FORM_VARLEN)
                    continue;
                if ((role == ROLE_SCALE || role == ROLE_FLEXIBLE) && t->shape[dim] == 1) continue;
                make_explicit(t);
                t->shape[dim] += more[n];
                snprintf(why, sizeof why, "shape[%d] is %d, %s", dim, (int)t->shape[dim], g->text);
                refused(&s, &bad, AITER_INVALID_ARGUMENT, "", why, SEEN_BY_QUERY);
            }
        }
    }
}

/* ---- overlaps ---- */

static inline int same_tensor(const aiter_tensor *a, const aiter_tensor *b)
{
    return a->data == b->data && a->dtype == b->dtype && a->ndim == b->ndim &&
           memcmp(a->shape, b->shape, sizeof a->shape) == 0 &&
           memcmp(a->stride, b->stride, sizeof a->stride) == 0;
}

/* Each output over each other tensor: from its first byte on, and an element later. The very same
 * view is the op's own affair. */
static inline void sweep_overlaps(const op_case *g)
{
    subject s = {g->op, &g->p};
    int i, j, later;
    for (i = 0; i < g->op->num_fields; i++) {
        for (j = 0; j < g->op->num_fields; j++) {
            for (later = 0; later < 2; later++) {
                any_args bad = g->args;
                aiter_tensor *out = op_tensor(&bad, &g->op->fields[i]);
                const aiter_tensor *other = op_tensor(&bad, &g->op->fields[j]);
                int64_t shift = later ? aiter_dtype_bits(out->dtype) / 8 : 0;
                char why[96];
                if (i == j || g->roles[i] < ROLE_OUTPUT || !out->ndim || !other->ndim) continue;
                if (shift >= span_bytes(other)) continue;
                out->data = (char *)other->data + shift;
                if (same_tensor(out, other)) continue;
                if ((uintptr_t)out->data % (size_t)(aiter_dtype_bits(out->dtype) / 8)) continue;
                snprintf(why, sizeof why, "%s over %s, %s", g->op->fields[i].name,
                         g->op->fields[j].name, g->text);
                refused(&s, &bad, AITER_INVALID_ARGUMENT, "shares memory with", why, SEEN_BY_PLAN);
                CHECK(strstr(aiter_last_error(), g->op->fields[i].name) &&
                          strstr(aiter_last_error(), g->op->fields[j].name),
                      "%s: %s", why, aiter_last_error());
            }
        }
    }
}

static inline size_t workspace_of(const op_case *g)
{
    size_t bytes = 0;
    CHECK(g->op->workspace(&g->args, NULL, &bytes) == AITER_OK, "%s", aiter_last_error());
    return bytes;
}

/* The workspace over each tensor: from its first byte on, up to it, around it, in its middle. */
static inline void sweep_workspace(const op_case *g)
{
    subject s = {g->op, &g->p};
    size_t need = workspace_of(g);
    int i, at;
    for (i = 0; i < g->op->num_fields && g->op->workspace_at != OP_ABSENT; i++) {
        any_args bad = g->args;
        const aiter_tensor *t = op_tensor(&bad, &g->op->fields[i]);
        size_t span = (size_t)span_bytes(t);
        char why[96];
        if (t->ndim == 0 || span == 0) continue;
        for (at = 0; at < 4; at++) {
            size_t bytes = at == 2 ? need + span + 16 : need;
            char *from = (char *)t->data + (at == 0   ? 0
                                            : at == 1 ? 1 - (ptrdiff_t)bytes
                                            : at == 2 ? -8
                                                      : (ptrdiff_t)span - 1);
            snprintf(why, sizeof why, "workspace %d over %s, %s", at, g->op->fields[i].name,
                     g->text);
            op_set_workspace(g->op, &bad, from, bytes);
            refused(&s, &bad, AITER_INVALID_ARGUMENT, "workspace", why, SEEN_BY_PLAN);
        }
        op_set_workspace(g->op, &bad, t->data, SIZE_MAX);
        refused(&s, &bad, AITER_INVALID_ARGUMENT, "workspace", "workspace without end",
                SEEN_BY_PLAN);
    }
}

/* The workspace right before each tensor, and right behind it: legal. */
static inline void sweep_neighbours(const op_case *g)
{
    size_t need = workspace_of(g), line = 64;
    int i, behind;
    for (i = 0; i < g->op->num_fields && g->op->workspace_at != OP_ABSENT; i++) {
        for (behind = 0; behind < 2; behind++) {
            any_args a = g->args;
            aiter_tensor *t = op_tensor(&a, &g->op->fields[i]);
            size_t span = (size_t)span_bytes(t), before = (need + line - 1) / line * line;
            test_buffer both;
            char *place;
            if (t->ndim == 0 || span == 0) continue;
            both = buffer_new((before + span + need + line) / line * line);
            place = (char *)both.data + (behind ? 0 : before);
            memcpy(place, t->data, span);
            t->data = place;
            op_set_workspace(g->op, &a, behind ? place + span : place - need, need);
            CHECK(g->op->run(&a, NULL) == AITER_OK, "%s: workspace beside %s: %s", g->text,
                  g->op->fields[i].name, aiter_last_error());
            buffer_free(&both);
        }
    }
}

/* A plan that is read over each output, a plan that is made over each tensor. */
static inline void sweep_plan(const op_case *g)
{
    subject s = {g->op, &g->p};
    int i;
    for (i = 0; i < g->op->num_fields && g->op->plan; i++) {
        any_args bad = g->args;
        const aiter_tensor *t = op_tensor(&bad, &g->op->fields[i]);
        uint64_t hash = problem_hash(&g->p);
        aiter_plan plan, before;
        const aiter_plan *taken = &plan;
        char why[96];
        if (t->ndim == 0 || span_bytes(t) == 0) continue;
        snprintf(why, sizeof why, "a plan over %s, %s", g->op->fields[i].name, g->text);
        memset(&plan, 0, sizeof plan);
        CHECK(g->op->plan(&g->args, NULL, &plan) == AITER_OK, "%s", aiter_last_error());
        plan.data = (void *)((uintptr_t)t->data & ~(uintptr_t)7);
        before = plan;
        CHECK(g->op->plan(&g->args, NULL, &plan) == AITER_INVALID_ARGUMENT, "%s accepted", why);
        named(&s, "plan", why);
        CHECK(memcmp(&plan, &before, sizeof plan) == 0 && hash == problem_hash(&g->p),
              "%s: written", why);
        if (g->roles[i] < ROLE_OUTPUT) continue;
        memcpy((char *)&bad + g->op->plan_at, &taken, sizeof taken);
        refused(&s, &bad, AITER_INVALID_ARGUMENT, "shares memory with call.plan", why,
                SEEN_BY_CALL);
        bad = g->args; /* the struct itself is read, too */
        memcpy((char *)&bad + g->op->plan_at, &taken, sizeof taken);
        plan.data = NULL;
        op_set_workspace(g->op, &bad, (char *)&plan + sizeof plan - 1, 1);
        refused(&s, &bad, AITER_INVALID_ARGUMENT, "call.workspace: shares memory with call.plan",
                "workspace over a plan", SEEN_BY_CALL);
    }
}

/* ---- what may not be read ---- */

/* A workspace query with every pointer into a page that cannot be read. */
static inline void sweep_unmapped(const op_case *g)
{
    test_buffer b = buffer_new(64);
    char *nowhere = (char *)b.data + 64; /* the page behind */
    size_t bytes = 1, expected = workspace_of(g);
    any_args a = g->args;
    int i;
    for (i = 0; i < g->op->num_fields; i++) op_tensor(&a, &g->op->fields[i])->data = nowhere;
    if (g->op->workspace_at != OP_ABSENT) op_set_workspace(g->op, &a, nowhere, 1);
    if (g->op->plan) memcpy((char *)&a + g->op->plan_at, &nowhere, sizeof nowhere);
    CHECK(g->op->workspace(&a, NULL, &bytes) == AITER_OK && bytes == expected,
          "%s_workspace of unmapped data (%s): %zu bytes, not %zu: %s", g->op->name, g->text, bytes,
          expected, aiter_last_error());
    buffer_free(&b);
}

/* Good arguments are supported and explained, by a text that ends within any room for it. */
static inline void sweep_words(const op_case *g)
{
    static const char *const lines[] = {": runs\n", "\nengine: cpu, "};
    char whole[2048], part[2048];
    size_t room, i;
    CHECK(g->op->supported(&g->args, NULL) == AITER_OK, "%s: %s", g->text, aiter_last_error());
    CHECK(g->op->explain(&g->args, NULL, whole, sizeof whole) == AITER_OK, "%s: %s", g->text,
          aiter_last_error());
    CHECK(strncmp(whole, g->op->name, strlen(g->op->name)) == 0 && strlen(whole) < sizeof whole - 1,
          "%s: %s", g->op->name, whole);
    for (i = 0; i < sizeof lines / sizeof lines[0]; i++)
        CHECK(strstr(whole, lines[i]) != NULL, "%s: %s", g->op->name, whole);
    for (room = 1; room < strlen(whole) + 2; room += 1 + room / 16) {
        const size_t written = room < strlen(whole) + 1 ? room - 1 : strlen(whole);
        memset(part, 0x7F, sizeof part);
        CHECK(g->op->explain(&g->args, NULL, part, room) == AITER_OK, "%s", aiter_last_error());
        CHECK(memcmp(part, whole, written) == 0 && part[written] == 0 && part[written + 1] == 0x7F,
              "%s_explain into %d bytes", g->op->name, (int)room);
    }
    CHECK(g->op->explain(&g->args, NULL, part, 0) == AITER_INVALID_ARGUMENT &&
              strstr(aiter_last_error(), "_explain.bytes: is 0"),
          "%s", aiter_last_error());
    CHECK(g->op->explain(&g->args, NULL, NULL, 99) == AITER_INVALID_ARGUMENT &&
              strstr(aiter_last_error(), "_explain.text: is NULL"),
          "%s", aiter_last_error());
}

/* ---- poison ---- */

/* Calls `each` for every element of a tensor. */
static inline void each_element(const aiter_tensor *tensor,
                                void (*each)(void *at, int size, void *), void *user)
{
    aiter_tensor t = *tensor;
    int64_t n = 1, e, rest, at;
    int i, size = aiter_dtype_bits(t.dtype) / 8;
    make_explicit(&t);
    for (i = 0; i < t.ndim; i++) n *= t.shape[i];
    for (e = 0; e < n && t.ndim; e++) {
        for (i = t.ndim - 1, rest = e, at = 0; i >= 0; rest /= t.shape[i--]) {
            at += rest % t.shape[i] * t.stride[i];
        }
        each((char *)t.data + at * size, size, user);
    }
}

static inline void poison_element(void *at, int size, void *byte)
{
    memset(at, *(const int *)byte, (size_t)size);
}
static inline void hash_element(void *at, int size, void *hash)
{
    *(uint64_t *)hash = test_mix(*(uint64_t *)hash ^ test_hash(at, (size_t)size));
}

/* A hash of all outputs' elements, or of all inputs'. */
static inline uint64_t elements_hash(op_case *g, int outputs)
{
    uint64_t hash = 0;
    int i;
    for (i = 0; i < g->op->num_fields; i++) {
        if ((g->roles[i] >= ROLE_OUTPUT) == outputs)
            each_element(op_tensor(&g->args, &g->op->fields[i]), hash_element, &hash);
    }
    return hash;
}

/* What stood in the outputs and the workspace cannot reach the result; inputs and all memory around
 * stay as they are. */
static inline void sweep_poison(op_case *g)
{
    uint64_t result[2], inputs = elements_hash(g, 0);
    size_t need = workspace_of(g);
    int i, turn, whole = 1;
    for (turn = 0; turn < 2; turn++) {
        test_buffer workspace = buffer_new(need);
        int byte = turn ? 0xFF : 0;
        any_args a = g->args;
        memset(workspace.data, byte, need);
        for (i = 0; i < g->op->num_fields; i++) {
            if (g->roles[i] >= ROLE_OUTPUT)
                each_element(op_tensor(&a, &g->op->fields[i]), poison_element, &byte);
        }
        if (g->op->workspace_at != OP_ABSENT) op_set_workspace(g->op, &a, workspace.data, need);
        CHECK(g->op->run(&a, NULL) == AITER_OK, "%s (%s): %s", g->op->name, g->text,
              aiter_last_error());
        result[turn] = elements_hash(g, 1);
        whole &= buffer_guard_is_whole(&workspace);
        buffer_free(&workspace);
    }
    for (i = 0; i < g->p.buffers; i++) whole &= buffer_guard_is_whole(&g->p.buffer[i]);
    CHECK(result[0] == result[1], "%s (%s): bits depend on what was there", g->op->name, g->text);
    CHECK(inputs == elements_hash(g, 0), "%s (%s): an input changed", g->op->name, g->text);
    CHECK(whole, "%s (%s): written before a buffer", g->op->name, g->text);
}

/* ---- numbers at the edges of their types ---- */

/* The stride of an extent of 1 is never taken: the same bits, whatever it says. */
static inline void sweep_idle_strides(op_case *g)
{
    static const int64_t strides[] = {0, 3, (INT64_C(1) << 62) + 1, INT64_MAX};
    uint64_t result;
    int i, dim, n;
    CHECK(g->op->run(&g->args, NULL) == AITER_OK, "%s", aiter_last_error());
    result = elements_hash(g, 1);
    for (i = 0; i < g->op->num_fields; i++) {
        for (dim = 0; dim < op_tensor(&g->args, &g->op->fields[i])->ndim; dim++) {
            for (n = 0; n < COUNT(strides); n++) {
                any_args a = g->args;
                aiter_tensor *t = op_tensor(&a, &g->op->fields[i]);
                if (t->shape[dim] != 1) continue;
                make_explicit(t);
                t->stride[dim] = strides[n];
                CHECK(g->op->run(&a, NULL) == AITER_OK && elements_hash(g, 1) == result,
                      "%s.%s (%s): stride[%d] of an extent of 1 is %" PRId64 ": %s", g->op->name,
                      g->op->fields[i].name, g->text, dim, strides[n], aiter_last_error());
            }
        }
    }
}

/* Gives one extent, stride, type, rank or value an extreme number. */
static inline void spoil_number(const op_case *g, any_args *a, test_rng *r, int query)
{
    static const int64_t numbers[] = {
        INT64_MIN,        INT64_MIN + 1,          -1,       0, 1, 2, INT32_MAX, INT64_C(1) << 31,
        INT64_C(1) << 57, (INT64_C(1) << 62) + 1, INT64_MAX};
    static const uint32_t words[] = {0,           1,           0xFFFFFFFFu,
                                     0x7FFFFFFFu, 0x80000000u, 0x7FC00000u,
                                     0x7F800000u, 0x00000001u, 0x3F800000u};
    int64_t x = numbers[rng_int(r, 0, COUNT(numbers) - 1)];
    int dim = rng_int(r, 0, 4), kind = rng_int(r, 0, 9);
    aiter_tensor *t = op_tensor(a, &g->op->fields[rng_int(r, 0, g->op->num_fields - 1)]);
    const op_value *v = &g->op->values[rng_int(r, 0, g->op->num_values)];
    uint32_t word = words[rng_int(r, 0, COUNT(words) - 1)];
    if (kind < 3) {
        make_explicit(t); /* a call that is accepted reads what is there: extents only shrink */
        if (query || x < t->shape[dim]) t->shape[dim] = x;
    } else if (kind < 7) {
        make_explicit(t);
        if (query || t->shape[dim] <= 1) t->stride[dim] = x;
    } else if (kind == 7) {
        if (rng_int(r, 0, 3) == 0) t->ndim = (int32_t)x;
        if (query || aiter_dtype_bits((aiter_dtype)x) <= aiter_dtype_bits(t->dtype)) {
            if (rng_int(r, 0, 3) == 0) t->dtype = (aiter_dtype)x;
        }
    } else if (strcmp(v->name, "num_caches") == 0) {
        return; /* of an array that the caller has: no call can tell */
    } else if (v->bytes == 4 && v->offset != g->op->plan_at && v->offset != g->op->workspace_at &&
               v->offset != g->op->workspace_bytes_at) {
        memcpy((char *)a + v->offset, &word, 4);
    }
}

/* Whatever the numbers, a call ends with a status and no arithmetic wraps: a sanitizer looks on. */
static inline void sweep_numbers(const op_case *g, int turns)
{
    test_rng r = {test_seed(77)};
    int i, n, accepted = 0;
    for (i = 0; i < turns; i++) {
        any_args a = g->args, query = g->args;
        size_t bytes = 0;
        aiter_status status;
        for (n = rng_int(&r, 1, 3); n > 0; n--) {
            spoil_number(g, &a, &r, 0);
            spoil_number(g, &query, &r, 1);
        }
        status = g->op->workspace(&query, NULL, &bytes);
        CHECK(status == AITER_OK || aiter_last_error()[0], "%s: %d", g->op->name, (int)status);
        status = g->op->run(&a, NULL);
        CHECK((int)status >= 0 && status < AITER_STATUS_COUNT, "%s", g->op->name);
        accepted += status == AITER_OK;
    }
    CHECK(accepted > 0, "%s (%s): every hostile call was refused", g->op->name, g->text);
}

/* ---- the arguments themselves ---- */

static inline void sweep_null(const op_case *g)
{
    subject s = {g->op, &g->p};
    size_t bytes = 7;
    aiter_plan plan;
    memset(&plan, 0, sizeof plan);
    CHECK(g->op->run(NULL, NULL) == AITER_INVALID_ARGUMENT, "%s(NULL)", g->op->name);
    named(&s, ".args", "NULL");
    CHECK(g->op->workspace(NULL, NULL, &bytes) == AITER_INVALID_ARGUMENT && bytes == 7, "query");
    named(&s, ".args", "query of NULL");
    CHECK(g->op->workspace(&g->args, NULL, NULL) == AITER_INVALID_ARGUMENT, "no place");
    named(&s, "_workspace.bytes", "no place for the answer");
    if (!g->op->plan) return;
    CHECK(g->op->plan(NULL, NULL, &plan) == AITER_INVALID_ARGUMENT, "plan of NULL");
    named(&s, ".args", "plan of NULL");
    CHECK(g->op->plan(&g->args, NULL, NULL) == AITER_INVALID_ARGUMENT, "no plan");
    named(&s, "_plan.plan", "no plan");
}

/* All of them on every variant of one op. */
static inline void sweep_op(int op)
{
    static op_case g;
    int variant;
    for (variant = 0; op_good(&g, op, variant); variant++) {
        uint64_t before;
        sweep_null(&g);
        sweep_faults(&g);
        sweep_ranks(&g);
        sweep_extents(&g);
        sweep_data(&g);
        sweep_overlaps(&g);
        sweep_workspace(&g);
        sweep_neighbours(&g);
        sweep_plan(&g);
        sweep_unmapped(&g);
        sweep_words(&g);
        before = elements_hash(&g, 0);
        CHECK(g.op->run(&g.args, NULL) == AITER_OK && before == elements_hash(&g, 0),
              "the good arguments of %s (%s): %s", g.op->name, g.text, aiter_last_error());
        sweep_poison(&g);
        sweep_idle_strides(&g);
        sweep_numbers(&g, 3000);
        op_case_free(&g);
    }
    CHECK(variant > 0, "%s has no good arguments", g.op->name);
}

#endif /* AITER_TEST_OP_SWEEPS_H */
