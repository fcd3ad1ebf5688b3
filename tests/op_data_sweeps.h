/* op_data_sweeps.h -- wrong values in the tables, lengths and slots of good arguments, at every
 * position; bounds of lengths; ranks and types beside each other. See op_sweeps.h. */
#ifndef AITER_TEST_OP_DATA_SWEEPS_H
#define AITER_TEST_OP_DATA_SWEEPS_H

#include "op_good.h"

/* The tensor of a name; NULL where the op has none, or it is absent. */
static inline aiter_tensor *op_named(const op_case *g, any_args *a, const char *name)
{
    int i, op, known = 0;
    for (op = 0; op < OP_COUNT; op++) {
        for (i = 0; i < op_table[op].num_fields; i++)
            known |= strcmp(op_table[op].fields[i].name, name) == 0;
    }
    if (!known) exit(test_record(0, __FILE__, __LINE__, "no op has the field %s", name));
    for (i = 0; i < g->op->num_fields; i++) {
        const op_field *f = &g->op->fields[i];
        aiter_tensor *t = op_tensor(a, f);
        if (strcmp(f->name, name) == 0 && t->ndim) return t;
    }
    return NULL;
}

static inline int32_t *op_number(const op_case *g, any_args *a, const char *name)
{
    int i;
    for (i = 0; i < g->op->num_values; i++) {
        const op_value *v = &g->op->values[i];
        if (strcmp(v->name, name) == 0) return (int32_t *)(void *)((char *)a + v->offset);
    }
    return NULL;
}

/* ---- values ---- */

/* Element `at` of an I32 field is `value`, in memory of its own. */
static inline void bad_entry(const op_case *g, const char *field, int64_t at, int64_t value,
                             int32_t most)
{
    subject s = {g->op, &g->p};
    any_args bad = g->args;
    aiter_tensor *t = op_named(g, &bad, field);
    int32_t *bound =
        op_number(g, &bad, field[strlen(field) - 1] == 'q' ? "max_seqlen_q" : "kv.max_seqlen");
    char why[96];
    if (bound) *bound = most;
    *t = with_entry(*t, at, (int32_t)value);
    snprintf(why, sizeof why, "[%d] is %" PRId64 ", %s", (int)at, value, g->text);
    refused(&s, &bad, AITER_INVALID_ARGUMENT, field, why, SEEN_BY_PLAN);
}

/* Running sums: from 0 on, never falling, within `total`. */
static inline void sweep_sums(op_case *g, const char *field, int64_t total)
{
    static const int32_t firsts[] = {1, 2, 3, 7, -1, -2, INT32_MAX, INT32_MIN};
    const aiter_tensor *t = op_named(g, &g->args, field);
    const int32_t *cu = t ? (const int32_t *)t->data : NULL;
    int64_t at, v;
    int i;
    if (!t) return;
    for (i = 0; i < COUNT(firsts); i++) bad_entry(g, field, 0, firsts[i], 0);
    for (at = 1; at < t->shape[0]; at++) {
        for (v = -2; v < cu[at - 1]; v++) bad_entry(g, field, at, v, 0);
        bad_entry(g, field, at, INT32_MIN, 0);
        for (v = total + 1; v < total + 4; v++) bad_entry(g, field, at, v, 0);
        bad_entry(g, field, at, INT32_MAX, 0);
    }
}

/* Lengths: 0 to `most`, also where max_seqlen says more. */
static inline void sweep_lengths(op_case *g, const char *field, int64_t most)
{
    const aiter_tensor *t = op_named(g, &g->args, field);
    const int64_t wrong[] = {-1, -2, -(most + 1), INT32_MIN, most + 1, most + 2, INT32_MAX};
    int64_t at;
    int i;
    for (at = 0; t && at < t->shape[0]; at++) {
        for (i = 0; i < COUNT(wrong); i++) {
            bad_entry(g, field, at, wrong[i], 0);
            bad_entry(g, field, at, wrong[i], (int32_t)most + 1);
            bad_entry(g, field, at, wrong[i], INT32_MAX - 1);
        }
    }
}

/* Pages: one of the blocks; in rows of a table, or in lists one after the other. */
static inline void sweep_pages(op_case *g, const char *field)
{
    const aiter_tensor *t = op_named(g, &g->args, field);
    const aiter_tensor *k = op_named(g, &g->args, "kv.k");
    int64_t b, n, at = 0;
    int i;
    for (b = 0; t && b < g->p.c.b; b++) {
        const int64_t blocks = k->shape[0], page = k->shape[1];
        const int64_t wrong[] = {-1, -2, -blocks, INT32_MIN, blocks, blocks + 1, INT32_MAX};
        if (t->ndim == 2) at = b * t->shape[1];
        for (n = 0; n * page < g->p.len_k[b]; n++, at++) {
            for (i = 0; i < COUNT(wrong); i++) bad_entry(g, field, at, wrong[i], 0);
        }
    }
}

/* Slots: -1 or one of the cache's, none twice. */
static inline void sweep_slots(op_case *g)
{
    subject s = {g->op, &g->p};
    const aiter_tensor *t = op_named(g, &g->args, "slot_mapping");
    const int64_t n = t ? t->shape[0] : 0;
    static int64_t slots[64];
    const int64_t wrong[] = {-2,       -3, -n, INT32_MIN, INT64_MIN, n, n + 1, INT64_C(1) << 32,
                             INT64_MAX};
    int64_t at, other;
    for (at = 0; at < n; at++) {
        for (other = 0; other < n + COUNT(wrong); other++) {
            any_args bad = g->args;
            char why[96];
            if (other == at) continue;
            memcpy(slots, t->data, (size_t)n * sizeof slots[0]);
            slots[at] = other < n ? slots[other] : wrong[other - n];
            op_named(g, &bad, "slot_mapping")->data = slots;
            snprintf(why, sizeof why, "[%d] is %" PRId64 ", %s", (int)at, slots[at], g->text);
            refused(&s, &bad, AITER_INVALID_ARGUMENT, "slot_mapping", why, SEEN_BY_PLAN);
        }
    }
}

static inline void sweep_values(op_case *g)
{
    const aiter_tensor *q = op_named(g, &g->args, "q");
    const aiter_tensor *k = op_named(g, &g->args, "kv.k");
    const aiter_tensor *table = op_named(g, &g->args, "kv.block_table");
    sweep_slots(g);
    if (!q || !k) return;
    sweep_sums(g, "cu_seqlens_q", q->shape[0]);
    sweep_sums(g, "kv.cu_seqlens", k->shape[0]);
    sweep_lengths(g, "seqused_q", q->shape[1]);
    if (g->p.c.lists) /* each list has as many pages as its keys need */
        sweep_lengths(g, "kv.seq_lens",
                      (g->p.len_k[0] + k->shape[1] - 1) / k->shape[1] * k->shape[1]);
    else
        sweep_lengths(g, "kv.seq_lens", k->shape[1] * (table ? table->shape[1] : 1));
    if (op_named(g, &g->args, "kv.indices"))
        sweep_sums(g, "kv.indptr", op_named(g, &g->args, "kv.indices")->shape[0]);
    sweep_lengths(g, "kv.last_page_lens", k->shape[1]);
    sweep_pages(g, "kv.block_table");
    sweep_pages(g, "kv.indices");
}

/* ---- bounds of the lengths ---- */

/* Below the longest length a bound is refused; above what the tensors can hold it changes nothing.
 */
static inline void sweep_bound(const op_case *g, const char *name, const int *lengths)
{
    static const int32_t most[] = {1 << 16, 1 << 20, 1 << 24, INT32_MAX - 1};
    subject s = {g->op, &g->p};
    any_args a = g->args;
    size_t expected = 0, bytes;
    int i, longest = 0;
    if (!op_number(g, &a, name)) return;
    for (i = 0; i < g->p.c.b; i++) longest = lengths[i] > longest ? lengths[i] : longest;
    for (i = 1; i < longest; i++) {
        char why[96];
        *op_number(g, &a, name) = i;
        snprintf(why, sizeof why, "%s is %d, %s", name, i, g->text);
        refused(&s, &a, AITER_INVALID_ARGUMENT, name, why, SEEN_BY_PLAN);
    }
    a = g->args;
    CHECK(g->op->workspace(&a, NULL, &expected) == AITER_OK, "%s", aiter_last_error());
    for (i = 0; i < COUNT(most); i++) {
        *op_number(g, &a, name) = most[i];
        CHECK(g->op->workspace(&a, NULL, &bytes) == AITER_OK && bytes == expected,
              "%s of %s, %s: %zu bytes in place of %zu", name, g->op->name, g->text, bytes,
              expected);
        CHECK(g->op->run(&a, NULL) == AITER_OK, "%s of %d: %s", name, (int)most[i],
              aiter_last_error());
    }
}

/* ---- ranks and types ---- */

/* Each tensor with its last dimension left out, and with one more behind it. */
static inline void sweep_own_rank(const op_case *g)
{
    static const int more[] = {-1, 1, 2, 3, 8};
    subject s = {g->op, &g->p};
    int i, n;
    for (i = 0; i < g->op->num_fields; i++) {
        const op_field *f = &g->op->fields[i];
        for (n = 0; n < COUNT(more); n++) {
            any_args bad = g->args;
            aiter_tensor *t = op_tensor(&bad, f);
            int optional = g->roles[i] == ROLE_OPTIONAL || g->roles[i] == ROLE_OPTIONAL_OUTPUT;
            char why[96];
            if (t->ndim == 0 || t->ndim + (more[n] > 0) > 5) continue;
            if (more[n] < 0 && t->ndim == 1 && (optional || g->roles[i] == ROLE_FLEXIBLE)) continue;
            if (g->roles[i] == ROLE_FLEXIBLE && g->p.c.form >= FORM_VARLEN && span_bytes(t) == 1)
                continue; /* and have more keys than are looked at */
            if (more[n] < 2 && (g->roles[i] == ROLE_FLEXIBLE || g->roles[i] == ROLE_SCALE) &&
                span_bytes(t) <= aiter_dtype_bits(t->dtype) / 8)
                continue; /* one element may come in every rank */
            if (more[n] < 2 && g->roles[i] == ROLE_SCALE && t->ndim > 1)
                continue; /* one group of columns, or a scale for each page */
            make_explicit(t);
            if (more[n] > 0) t->shape[t->ndim] = more[n], t->stride[t->ndim] = 1;
            t->ndim += more[n] < 0 ? -1 : 1;
            snprintf(why, sizeof why, "%s of ndim %d, %s", f->name, (int)t->ndim, g->text);
            refused(&s, &bad, AITER_INVALID_ARGUMENT, "", why, SEEN_BY_QUERY);
        }
    }
}

/* What comes in pairs, in two types. */
static inline void sweep_types(const op_case *g)
{
    static const char *const pairs[][2] = {{"k", "v"}, {"kv.k", "kv.v"}};
    static const aiter_dtype types[] = {AITER_F32, AITER_F16, AITER_BF16};
    subject s = {g->op, &g->p};
    int pair, i, j;
    for (pair = 0; pair < 2; pair++) {
        for (i = 0; i < COUNT(types); i++) {
            for (j = 0; j < COUNT(types); j++) {
                any_args bad = g->args;
                char why[96];
                aiter_tensor *k = op_named(g, &bad, pairs[pair][0]);
                aiter_tensor *v = op_named(g, &bad, pairs[pair][1]);
                if (i == j || !k || !v) continue;
                if (pair == 1 && op_named(g, &bad, "q")) continue; /* an attention */
                k->dtype = types[i];
                v->dtype = types[j];
                snprintf(why, sizeof why, "%s beside %s, %s", aiter_dtype_name(types[i]),
                         aiter_dtype_name(types[j]), g->text);
                refused(&s, &bad, AITER_INVALID_ARGUMENT, "dtype", why, SEEN_BY_QUERY);
            }
        }
    }
}

static inline void sweep_data(op_case *g)
{
    sweep_values(g);
    sweep_bound(g, "max_seqlen_q", g->p.len_q);
    sweep_bound(g, "kv.max_seqlen", g->p.len_k);
    sweep_own_rank(g);
    sweep_types(g);
}

#endif /* AITER_TEST_OP_DATA_SWEEPS_H */
