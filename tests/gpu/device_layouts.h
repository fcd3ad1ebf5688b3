/* device_layouts.h -- pages in another order of memory, or found by lists, are the same pages: the
 * bits of NHD pages with a table. Lists that lie. */
#ifndef AITER_TEST_DEVICE_LAYOUTS_H
#define AITER_TEST_DEVICE_LAYOUTS_H

#include "device_run.h"

/* Runs the problem as its case now says. */
static inline output_bits layout_bits(attn_problem *p, int slack, const char *what)
{
    const output_bits none = {NULL, 0};
    memset(&p->seqused_k, 0, sizeof p->seqused_k);
    memset(&p->indptr, 0, sizeof p->indptr);
    memset(&p->indices, 0, sizeof p->indices);
    memset(&p->last_pages, 0, sizeof p->last_pages);
    if (device_run(p, slack, 0) != AITER_OK) return none;
    problem_compare(p, what);
    return problem_bits(p);
}

/* The case with NHD pages and a table, then in the layouts from `first` to `last`, each with a
 * table and with lists, of lengths or last pages. Bounds of the lengths make the splits the same.
 * Many rows of NHD pages are another kernel's: the bits are those of the first layout then. */
static inline void device_layouts(attn_case c, aiter_kv_layout first, aiter_kv_layout last)
{
    const int lists = c.lists;
    int many = last > 0 && c.sq * (c.hq / c.hk) > 16 && c.kv_type == c.q_type;
    attn_problem p;
    output_bits table, other;
    int n;
    c.seed |= 2;
    c.lists = 0;
    problem_new(&p, &c);
    problem_expect(&p, 1e9);
    device_rounds(p.c.q_type);
    table = layout_bits(&p, SLACK_NAN, "table");
    for (n = first * 3; n < 3 * ((int)last + 1) && table.data; n++) {
        p.c.tiles = (aiter_kv_layout)(n / 3);
        p.c.lists = n % 3;
        if (p.c.tiles && p.c.lists == 1 + lists) continue;
        other = layout_bits(&p, n % 2 ? SLACK_NAN : SLACK_ZERO, "layout");
        if (many) {
            free(table.data);
            table = other;
            many = 0;
            continue;
        }
        CHECK(bits_equal(&table, &other), "bits differ from NHD pages and a table: %s",
              case_text(&p.c));
        free(other.data);
    }
    free(table.data);
    problem_free(&p);
}

static inline void device_lists(attn_case c) { device_layouts(c, AITER_KV_NHD, AITER_KV_NHD); }

/* Lists of four sequences, the first and the last of which have none: they fall, or leave the
 * entries, of which there are 7. */
static inline void device_wild_list(attn_case c, int n)
{
    static const int32_t starts[3][5] = {
        {5, 2, 5, 7, 3}, {-3, 2, 5, 7, 8}, {INT32_MAX, 2, 5, 7, INT32_MAX}};
    static const int32_t wild_last[4] = {1, 1000, -5, 16}, wild_lens[4] = {9, INT32_MAX, -1, 16};
    const int len_k[4] = {0, 3 * c.page, n % 2 ? 0 : c.page, 0};
    const int32_t *last = n % 2 ? wild_lens : wild_last;
    attn_problem p;
    attn_call call;
    device_copy copy;
    int32_t ids[7] = {-1, -1, -1, -1, -1, -1, -1};
    void *at[3];
    int i;
    memset(&call, 0, sizeof call);
    call.ctx = device.ctx;
    c.b = 4;
    c.sk = 3 * c.page;
    c.len_k = len_k;
    c.mask = AITER_MASK_NONE;
    c.splits = 1;
    problem_new(&p, &c);
    problem_expect(&p, 1e9);
    problem_store(&p, SLACK_NAN);
    for (i = 0; i < 3; i++) ids[2 + i] = p.blocks[p.max_blocks + i];
    ids[5] = p.blocks[2 * p.max_blocks];
    device_copy_in(&p, &copy);
    attn_problem q = device_problem(&p, &copy);
    at[0] = device_new(starts[n / 2], sizeof starts[0]);
    at[1] = device_new(ids, sizeof ids);
    at[2] = device_new(last, sizeof wild_last);
    memset(&q.table, 0, sizeof q.table);
    memset(&q.seqused_k, 0, sizeof q.seqused_k);
    q.indptr = aiter_tensor_1d(at[0], AITER_I32, 5);
    q.indices = aiter_tensor_1d(at[1], AITER_I32, 7);
    *(n % 2 ? &q.seqused_k : &q.last_pages) = aiter_tensor_1d(at[2], AITER_I32, 4);
    const aiter_status status = problem_call(&q, &call);
    device_note(status, "wild lists");
    device_wait("wild lists");
    device_copy_out(&p, &copy);
    if (status == AITER_OK) problem_compare(&p, "wild lists");
    for (i = 0; i < 3; i++) driver_ok(device.driver->memory_free(at[i]), "freeing");
    problem_free(&p);
}

#endif /* AITER_TEST_DEVICE_LAYOUTS_H */
