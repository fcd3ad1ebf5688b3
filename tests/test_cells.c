/* test_cells.c -- one table of what runs on a CPU: op x types x order of memory x look-up x scales.
 * Every cell is asked (_supported, _explain, _workspace, _plan and the call itself agree, on each
 * kernel set) and stands in docs/cells.md, which AITER_TEST_REWRITE=1 writes anew; cells and
 * options in pairs are run against the fp64 oracle. */
#include "test.h"

#include "cells_table.h"
#include "cells_writer.h"

static const char *const type_names[] = {"f32",         "f16",     "bf16", "int8", "f8_e4m3fn",
                                         "f8_e4m3fnuz", "f8_e5m2", "int4"}; /* case_kv_types */
static const char *const row_names[] = {"f32",       "f16",         "bf16",
                                        "f8_e4m3fn", "f8_e4m3fnuz", "f8_e5m2"};
static const char *const scale_names[] = {"f32", "f16", "bf16", "f8_e8m0"};

static int64_t cells_asked, cells_refused;

/* ---- asking ---- */

static cell_loop loop_of_words(const char *words)
{
    const char *after = strchr(words + 2, ' ');
    if (!CHECK(after, "no loop in %s", words)) return LOOP_WIDENED;
    return strncmp(after, " by its own loop", 16) == 0                            ? LOOP_OWN
           : strncmp(after, " by the loop of i8", 18) == 0                        ? LOOP_AS_I8
           : strncmp(after, " by the loop of f16", 19) == 0                       ? LOOP_AS_F16
           : CHECK(strncmp(after, " widened to f32 first", 21) == 0, "%s", words) ? LOOP_WIDENED
                                                                                  : LOOP_WIDENED;
}

/* What sets with vectors say of a type; a set without any widens all but f32. */
static cell_loop loop_with_vectors(const cell *c, aiter_dtype type)
{
    if (c->kind == AITER_SCALE_PER_GROUP && (type_is_integer(type) || type_is_fp8(type)))
        return LOOP_WIDENED;
    return type_is_fp8(type) ? LOOP_AS_F16 : type == AITER_I4 ? LOOP_AS_I8 : LOOP_OWN;
}

/* Whose loops stream K and V, by the explanation of one kernel set. */
static int loops_of(const cell *c, const char *text, aiter_isa isa)
{
    const char *k = strstr(text, "stream their keys");
    const char *v = k ? strstr(k, ", v ") : NULL;
    const aiter_dtype types[2] = {c->k, c->v};
    cell_loop loops[2];
    int i;
    k = k ? strstr(k, ": k ") : NULL;
    if (!CHECK(k && v, "no loops in\n%s", text)) return ANSWER_RUNS;
    loops[0] = loop_of_words(k + 2);
    loops[1] = loop_of_words(v + 2);
    for (i = 0; i < 2; i++) {
        const cell_loop rule = loop_with_vectors(c, types[i]);
        const int has = isa != AITER_ISA_SCALAR || types[i] == AITER_F32;
        CHECK(loops[i] == (has ? rule : LOOP_WIDENED), "%s rows of %s by the loop %d:\n%s",
              aiter_isa_name(isa), aiter_dtype_name(types[i]), (int)loops[i], text);
        loops[i] = rule;
    }
    return ANSWER_LOOPS + LOOP_COUNT * (int)loops[0] + (int)loops[1];
}

/* One cell on one kernel set; `text` gets the explanation. */
static int ask(const cell *c, int tier, char *text, size_t room)
{
    const op_entry *op = &op_table[c->op];
    aiter_context *ctx = run_on.one[tier];
    char said_first[256];
    any_args args;
    size_t bytes = 0;
    aiter_plan plan;
    memset(&plan, 0, sizeof plan);
    cell_fill(c, &args);
    const aiter_status status = op->supported(&args, ctx);
    snprintf(said_first, sizeof said_first, "%s", status == AITER_OK ? "" : aiter_last_error());
    CHECK(op->explain(&args, ctx, text, room) == status, "explained as %s", aiter_last_error());
    CHECK(op->workspace(&args, ctx, &bytes) == status, "workspace: %s", aiter_last_error());
    CHECK(!op->plan || op->plan(&args, ctx, &plan) == status, "plan: %s", aiter_last_error());
    CHECK(op->run(&args, ctx) == status, "%s said %s%s, but it ran as %s", op->name,
          aiter_status_name(status), said_first, aiter_last_error());
    if (status == AITER_OK) return 1;
    CHECK(status == AITER_INVALID_ARGUMENT || status == AITER_UNSUPPORTED, "refused as %s",
          aiter_status_name(status));
    CHECK(strcmp(said_first, aiter_last_error()) == 0, "refused in two ways:\n%s\n%s", said_first,
          aiter_last_error());
    CHECK(cell_names_field(op, said_first), "a refusal without a field: %s", said_first);
    CHECK(strstr(text, said_first), "an explanation without its error: %s", text);
    return 0;
}

static unsigned char answer_of(const cell *c)
{
    char text[2048];
    int t, answer = ANSWER_NONE, runs, first = -1;
    if (!cell_exists(c)) return ANSWER_NONE;
    for (t = 0; t < run_on.tiers; t++) {
        runs = ask(c, t, text, sizeof text);
        if (first < 0) first = runs;
        CHECK(runs == first, "%s answers otherwise: %s", aiter_isa_name(run_on.isa[t]), text);
        answer = !runs               ? ANSWER_REFUSED
                 : c->op == OP_CACHE ? ANSWER_RUNS
                                     : loops_of(c, text, run_on.isa[t]);
    }
    cells_asked++;
    cells_refused += answer == ANSWER_REFUSED;
    return (unsigned char)answer;
}

/* ---- the tables ---- */

static cell_table table;

static void table_begin(const char *layer, const char *const *layers, int n)
{
    memset(&table, 0, sizeof table);
    table.layer_title = layer;
    memcpy(table.layer, layers, (size_t)n * sizeof layers[0]);
    table.layers = n;
}

static void table_row(int layer, int a, int b, cell c)
{
    int x;
    for (x = 0; x < CELL_COLUMNS; x++) {
        c.order = (cell_order)(x / LOOKUP_COUNT);
        c.lookup = (cell_lookup)(x % LOOKUP_COUNT);
        if (c.op == OP_CACHE && c.lookup != LOOKUP_DENSE) continue; /* it has none */
        table.answer[layer][a][b][x] = answer_of(&c);
    }
}

/* q x K x V; int8 and int4 with a scale per token. */
static void types_table(attn_op op)
{
    cell c;
    int q, k, v;
    table_begin("q and out of", row_names, COUNT(case_row_types));
    table.a_title = "k", table.b_title = "v";
    memcpy(table.a, type_names, sizeof type_names);
    memcpy(table.b, type_names, sizeof type_names);
    table.as = table.bs = CASE_KV_TYPES;
    memset(&c, 0, sizeof c);
    c.op = op;
    for (q = 0; q < table.layers; q++)
        for (k = 0; k < CASE_KV_TYPES; k++)
            for (v = 0; v < CASE_KV_TYPES; v++) {
                c.q = c.out = case_row_types[q];
                c.k = case_kv_types[k], c.v = case_kv_types[v];
                c.kind = type_is_integer(c.k) || type_is_integer(c.v) ? AITER_SCALE_PER_TOKEN_HEAD
                                                                      : AITER_SCALE_BY_SHAPE;
                table_row(q, k, v, c);
            }
    table_say(&table);
}

/* Kinds of scales x the type that they are given for. */
static void scales_table(attn_op op)
{
    cell c;
    int s, kind, k;
    table_begin("Scales of", scale_names, COUNT(case_scale_types));
    table.a_title = "a scale per", table.b_title = "k and v";
    memcpy(table.a, kind_names, sizeof kind_names);
    memcpy(table.b, type_names, sizeof type_names);
    table.as = AITER_SCALE_COUNT, table.bs = CASE_KV_TYPES;
    memset(&c, 0, sizeof c);
    c.op = op;
    c.scale_floats = 1;
    c.q = c.out = AITER_BF16;
    for (s = 0; s < table.layers; s++)
        for (kind = 0; kind < AITER_SCALE_COUNT; kind++)
            for (k = 0; k < CASE_KV_TYPES; k++) {
                c.k = c.v = case_kv_types[k];
                c.kind = (aiter_scale_kind)kind;
                c.scale_type = case_scale_types[s];
                table_row(s, kind, k, c);
            }
    table_say(&table);
}

/* The writer: how codes are made x the type of the cache. */
static void writer_table(void)
{
    static char names[WRITER_MODES][32];
    cell c;
    int q, mode, k;
    table_begin("Rows of", row_names, 3);
    table.a_title = "scales", table.b_title = "the cache";
    memcpy(table.b, type_names, sizeof type_names);
    table.as = WRITER_MODES, table.bs = CASE_KV_TYPES;
    memset(&c, 0, sizeof c);
    c.op = OP_CACHE;
    c.scale_floats = 1;
    for (mode = 0; mode < WRITER_MODES; mode++) {
        writer_mode(&c, mode);
        snprintf(names[mode], sizeof names[0], "%s%s%s",
                 !mode     ? ""
                 : c.given ? "given, "
                           : "computed, ",
                 mode ? "per " : "", kind_names[c.kind]);
        table.a[mode] = names[mode];
        for (q = 0; q < table.layers; q++)
            for (k = 0; k < CASE_KV_TYPES; k++) {
                c.q = case_row_types[q];
                c.k = c.v = case_kv_types[k];
                table_row(q, mode, k, c);
            }
    }
    table_say(&table);
}

static const char legend[] =
    "# What runs on a CPU\n"
    "\n"
    "Written by `tests/test_cells.c` with `AITER_TEST_REWRITE=1`. It asks every cell: "
    "`_supported`, "
    "`_explain`, `_workspace`, `_plan` and the call\n"
    "must agree on each kernel set, and a refusal names a field. It runs cells against the fp64 "
    "oracle, options in pairs, all of them with a\n"
    "large `AITER_TEST_BUDGET`; and it fails where a cell differs from this file.\n"
    "\n"
    "The words say how a few query rows meet many keys (decode) in the sets with vectors, avx2, "
    "avx512 and neon:\n"
    "- `own`: rows of k and v are read as they lie, by loops of their type\n"
    "- `as int8`: rows of int4 become int8 in scratch, 32 keys at a time, for the loops of int8\n"
    "- `as f16`: so do rows of fp8 for the loops of f16, which has all their numbers\n"
    "- `widened`: rows become f32 in scratch, 32 keys at a time, for the loops of f32\n"
    "- `k ..., v ...`: each its own word\n"
    "- `refused`: an error, before anything is read\n"
    "- `runs`: of the writer, whose rows are all widened and rounded again\n"
    "\n"
    "The set scalar widens all types but f32. More than 16 query rows of a kv head are work in "
    "blocks of 96 keys, to which all types are\n"
    "converted. A last stride other than 1 is widened, unless tokens lie side by side.\n"
    "Orders of memory: NHD is [.., tokens, Hk, D], HND [.., Hk, tokens, D], fused k and v in one "
    "tensor ([num_blocks, 2, P, Hk, D] or\n"
    "[.., tokens, 2, Hk, D]), all three by strides; x-packed and shuffled are `kv.layout`. "
    "Look-ups: padded is dense with `kv.seq_lens`, packed\n"
    "has `kv.cu_seqlens`, with gaps it has both; pages come by `kv.block_table` or by lists "
    "(`kv.indptr`, `kv.indices`). Keys in two parts are known\n"
    "to the engine alone (`tests/test_source.c`): no call has fields for them yet. Every mask, "
    "bias and other option goes with every cell that runs.\n";

static void document(void)
{
    static const attn_op ops[] = {OP_FLASH, OP_DECODE};
    int i;
    said_append(legend);
    for (i = 0; i < COUNT(ops); i++) {
        said_format("\n## %s\n\nTypes; int8 and int4 have a scale per token and head.\n\n",
                    op_table[ops[i]].name);
        types_table(ops[i]);
        said_append("\nScales of k and v.\n\n");
        scales_table(ops[i]);
    }
    said_format("\n## %s\n\n", op_table[OP_CACHE].name);
    writer_table();
    messages_compare("docs/cells.md");
    test_say("%" PRId64 " cells asked on %d kernel sets, %" PRId64 " refused\n", cells_asked,
             run_on.tiers, cells_refused);
}

/* Scales of 1 and slots 0, 1, 2; all else is 0. */
static void memory_begin(void)
{
    const float one = 1;
    int i;
    for (i = 0; i < CELL_SLOT / 4; i++) {
        memcpy(cell_slot(4) + 4 * i, &one, 4);
        memcpy(cell_slot(5) + 4 * i, &one, 4);
    }
    for (i = 0; i < 3; i++) memcpy(cell_slot(12) + 4 * i, &i, 4);
}

int main(void)
{
    test_begin("cells", 4e8);
    run_begin();
    memory_begin();
    document();
    writer_cells(test_seed(20261203));
    pairs_run(test_seed(20261201), values_run);
    test_share(0.35);
    values_product(0);
    test_share(0.7);
    values_product(1);
    test_share(1);
    values_random(test_seed(20261202));
    worst_say();
    run_end();
    return test_end();
}
