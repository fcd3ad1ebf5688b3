/* cells_table.h -- answers of cells as tables of docs/cells.md: what is equal stands there once, be
 * it a column, a row or a whole table. */
#ifndef AITER_TEST_CELLS_TABLE_H
#define AITER_TEST_CELLS_TABLE_H

#include "cells.h"

typedef enum cell_loop {
    LOOP_OWN = 0,
    LOOP_AS_I8,
    LOOP_AS_F16,
    LOOP_WIDENED,
    LOOP_COUNT
} cell_loop;

/* An answer: none where there is no such cell, refused, runs, or runs by the loops of K and V. */
enum { ANSWER_NONE = 0, ANSWER_REFUSED, ANSWER_RUNS, ANSWER_LOOPS };
enum { CELL_COLUMNS = ORDER_COUNT * LOOKUP_COUNT, CELL_LAYERS = 6, CELL_AS = WRITER_MODES };

/* Of each layer (types of q, say) a table with rows (a, b) and a column for each order and look-up.
 */
typedef struct cell_table {
    const char *layer_title, *a_title, *b_title;
    const char *layer[CELL_LAYERS], *a[CELL_AS], *b[CASE_KV_TYPES];
    int layers, as, bs;
    unsigned char answer[CELL_LAYERS][CELL_AS][CASE_KV_TYPES][CELL_COLUMNS];
    int group[CELL_COLUMNS], groups; /* of equal columns */
} cell_table;

static inline int answers_agree(int x, int y) { return !x || !y || x == y; }

static inline int columns_agree(const cell_table *t, int x, int y)
{
    int layer, a, b;
    for (layer = 0; layer < t->layers; layer++)
        for (a = 0; a < t->as; a++)
            for (b = 0; b < t->bs; b++)
                if (!answers_agree(t->answer[layer][a][b][x], t->answer[layer][a][b][y])) return 0;
    return 1;
}

static inline int column_is_empty(const cell_table *t, int x)
{
    int layer, a, b;
    for (layer = 0; layer < t->layers; layer++)
        for (a = 0; a < t->as; a++)
            for (b = 0; b < t->bs; b++)
                if (t->answer[layer][a][b][x]) return 0;
    return 1;
}

/* Each column joins the first group all of whose columns agree with it. */
static inline void table_group_columns(cell_table *t)
{
    int x, y, g, empty;
    t->groups = 0;
    for (x = 0; x < CELL_COLUMNS; x++) {
        for (g = 0; g < t->groups; g++) {
            int agree = 1;
            for (y = 0; y < x; y++) agree &= t->group[y] != g || columns_agree(t, x, y);
            if (agree) break;
        }
        empty = column_is_empty(t, x);
        t->group[x] = empty ? -1 : g;
        t->groups += !empty && g == t->groups;
    }
}

/* What a group of columns answers in a row. */
static inline int table_answer(const cell_table *t, int layer, int a, int b, int group)
{
    int x, answer = ANSWER_NONE;
    for (x = 0; x < CELL_COLUMNS; x++)
        if (t->group[x] == group && t->answer[layer][a][b][x]) answer = t->answer[layer][a][b][x];
    return answer;
}

static inline int rows_agree(const cell_table *t, int layer, int a, int b, int other)
{
    int g;
    for (g = 0; g < t->groups; g++)
        if (!answers_agree(table_answer(t, layer, a, b, g), table_answer(t, layer, a, other, g)))
            return 0;
    return 1;
}

static inline int blocks_agree(const cell_table *t, int layer, int a, int other_layer, int other)
{
    int b, g;
    for (b = 0; b < t->bs; b++)
        for (g = 0; g < t->groups; g++)
            if (!answers_agree(table_answer(t, layer, a, b, g),
                               table_answer(t, other_layer, other, b, g)))
                return 0;
    return 1;
}

static inline int layers_agree(const cell_table *t, int layer, int other)
{
    int a;
    for (a = 0; a < t->as; a++)
        if (!blocks_agree(t, layer, a, other, a)) return 0;
    return 1;
}

/* ---- text ---- */

static inline void said_format(const char *format, ...)
{
    char text[1000];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    said_append(text);
}

/* The names of a set of bits. */
static inline void say_names(const char *const *names, unsigned set)
{
    const char *between = "";
    int i;
    for (i = 0; set >> i; i++) {
        if (!(set >> i & 1)) continue;
        said_format("%s%s", between, names[i]);
        between = ", ";
    }
}

static inline void say_answer(int answer)
{
    static const char *const words[] = {"own", "as int8", "as f16", "widened"};
    const int k = (answer - ANSWER_LOOPS) / LOOP_COUNT, v = (answer - ANSWER_LOOPS) % LOOP_COUNT;
    if (answer < ANSWER_LOOPS)
        said_append(answer == ANSWER_NONE ? "" : answer == ANSWER_REFUSED ? "refused" : "runs");
    else if (k == v)
        said_append(words[k]);
    else
        said_format("k %s, v %s", words[k], words[v]);
}

/* A group of columns: each order with its look-ups, those of equal look-ups together. */
static inline void say_columns(const cell_table *t, int group)
{
    unsigned looks[ORDER_COUNT] = {0}, done = 0, orders;
    int x, i;
    for (x = 0; x < CELL_COLUMNS; x++)
        if (t->group[x] == group) looks[x / LOOKUP_COUNT] |= 1u << x % LOOKUP_COUNT;
    said_format("- %c: ", 'A' + group);
    for (x = 0; x < ORDER_COUNT; x++) {
        if (!looks[x] || done >> x & 1) continue;
        for (orders = 0, i = x; i < ORDER_COUNT; i++)
            if (looks[i] == looks[x]) orders |= 1u << i;
        if (done) said_append("; ");
        say_names(order_names, orders);
        if (looks[x] >> 1) said_append(" by ");
        if (looks[x] >> 1) say_names(lookup_names, looks[x]);
        done |= orders;
    }
    said_append("\n");
}

/* The rows of the values of a in `as`, which agree. */
static inline void say_rows(const cell_table *t, int layer, int a, unsigned as)
{
    unsigned done = 0, bs;
    int b, i, g;
    for (b = 0; b < t->bs; b++) {
        if (done >> b & 1) continue;
        for (bs = 0, i = b; i < t->bs; i++)
            if (!(done >> i & 1) && rows_agree(t, layer, a, b, i)) bs |= 1u << i;
        done |= bs;
        said_append("| ");
        say_names(t->a, as);
        said_append(" | ");
        say_names(t->b, bs);
        for (g = 0; g < t->groups; g++) {
            said_append(" | ");
            say_answer(table_answer(t, layer, a, b, g));
        }
        said_append(" |\n");
    }
}

static inline void say_layer(const cell_table *t, int layer, unsigned layers)
{
    unsigned done = 0, as;
    int a, i, g;
    said_format("\n%s: ", t->layer_title);
    say_names(t->layer, layers);
    said_format(".\n\n| %s | %s", t->a_title, t->b_title);
    for (g = 0; g < t->groups; g++) said_format(" | %c", 'A' + g);
    said_append(" |\n| --- | ---");
    for (g = 0; g < t->groups; g++) said_append(" | ---");
    said_append(" |\n");
    for (a = 0; a < t->as; a++) {
        if (done >> a & 1) continue;
        for (as = 0, i = a; i < t->as; i++)
            if (!(done >> i & 1) && blocks_agree(t, layer, a, layer, i)) as |= 1u << i;
        done |= as;
        say_rows(t, layer, a, as);
    }
}

static inline void table_say(cell_table *t)
{
    unsigned done = 0, layers;
    int layer, i, g;
    table_group_columns(t);
    for (g = 0; g < t->groups; g++) say_columns(t, g);
    for (layer = 0; layer < t->layers; layer++) {
        if (done >> layer & 1) continue;
        for (layers = 0, i = layer; i < t->layers; i++)
            if (!(done >> i & 1) && layers_agree(t, layer, i)) layers |= 1u << i;
        done |= layers;
        say_layer(t, layer, layers);
    }
}

#endif /* AITER_TEST_CELLS_TABLE_H */
