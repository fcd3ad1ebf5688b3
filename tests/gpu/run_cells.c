/* run_cells.c -- the table of what runs on a device: op x types x head size x source x mask x
 * option, each cell a small call that is compared with the fp64 oracle.
 *
 *     run_cells hip|cuda FOLDER [TABLE [write]]
 *
 * TABLE is docs/gpu_cells.md: this program writes it, or fails where a cell has changed. */
#include "device_blocks.h"
#include "device_ops.h"

/* ---- the text ---- */

static struct {
    char *text;
    size_t size, room;
} table;

static void say(const char *format, ...)
{
    va_list list;
    int n;
    if (table.room - table.size < 1000) {
        table.room = 2 * table.room + 2000;
        table.text = (char *)realloc(table.text, table.room);
    }
    va_start(list, format);
    n = vsnprintf(table.text + table.size, table.room - table.size, format, list);
    va_end(list);
    CHECK(n >= 0 && (size_t)n < table.room - table.size, "a line of the table is too long");
    table.size += (size_t)n;
}

/* What several cells answered: `runs`, `NO_KERNEL`, or which of them have no kernel. */
typedef struct verdict {
    int runs, none;
    char missing[200];
} verdict;

static void verdict_add(verdict *v, int runs, const char *name)
{
    const size_t n = strlen(v->missing);
    if (runs) {
        v->runs++;
        return;
    }
    v->none++;
    snprintf(v->missing + n, sizeof v->missing - n, "%s%s", n ? ", " : "", name);
}

static void verdict_say(const verdict *v)
{
    if (!v->none) say(" runs |");
    if (v->none && !v->runs) say(" NO_KERNEL |");
    if (v->none && v->runs) say(" NO_KERNEL: %s |", v->missing);
}

/* ---- attention ---- */

typedef struct cell_mask {
    const char *name;
    aiter_mask mask;
    int left, right, sink_tokens;
} cell_mask;

static const cell_mask cell_masks[] = {{"full", AITER_MASK_NONE, 0, 0, 0},
                                       {"causal", AITER_MASK_CAUSAL, 0, 0, 0},
                                       {"causal, top left", AITER_MASK_CAUSAL_TOP_LEFT, 0, 0, 0},
                                       {"window", AITER_MASK_WINDOW, 5, 2, 0},
                                       {"window, sink tokens", AITER_MASK_WINDOW, 4, 0, 3}};

enum { MASKS = sizeof cell_masks / sizeof cell_masks[0] };

static const char *const cell_options[] = {"none",          "softcap",     "ALiBi",  "bias",
                                           "learned sinks", "all of them", "splits", "new tokens"};

enum { NONE, SOFTCAP, ALIBI, BIAS, SINKS, ALL, SPLITS, TOKENS };

static attn_case with_option(attn_case c, int option)
{
    const int all = option == ALL;
    if (option == SOFTCAP || all) c.softcap = 4;
    if (option == ALIBI || all) c.alibi = 1;
    if (c.op == OP_FLASH && (option == BIAS || all)) c.bias = BIAS_SQ_SK;
    if (option == SINKS || all) c.sinks = 1;
    if (option == SPLITS) c.sk = 200, c.splits = 2;
    if (option == TOKENS) c.sq = 3;
    return c;
}

/* One call against the oracle; 1: it ran. */
static int cell_runs(const attn_case *c)
{
    const int64_t before = device.without_kernel;
    attn_problem p;
    problem_new(&p, c);
    problem_expect(&p, 1e9);
    device_rounds(p.c.q_type);
    if (device_run(&p, SLACK_NAN, 0) == AITER_OK) problem_compare(&p, "device");
    problem_free(&p);
    return device.without_kernel == before;
}

/* Head sizes: 320 is beyond what is built. */
static const int cell_sizes[][2] = {{1, 1},     {40, 40},   {64, 64},   {80, 80},  {96, 96},
                                    {128, 128}, {192, 128}, {256, 256}, {320, 320}};

enum { SIZES = sizeof cell_sizes / sizeof cell_sizes[0] };

/* A line: all masks of one source, head size and pair of types. */
static void cell_line(attn_case c, const char *source, int last_option)
{
    int m, o;
    say("| %s | %s | %d/%d | %s |", aiter_dtype_name(c.q_type), aiter_dtype_name(c.kv_type), c.dq,
        c.dv, source);
    for (m = 0; m < MASKS; m++) {
        verdict v;
        memset(&v, 0, sizeof v);
        for (o = 0; o <= last_option; o++) {
            attn_case one = with_option(c, o);
            if (c.op == OP_DECODE &&
                (o == BIAS || cell_masks[m].mask == AITER_MASK_CAUSAL_TOP_LEFT))
                continue;
            one.mask = cell_masks[m].mask;
            one.left = cell_masks[m].left;
            one.right = cell_masks[m].right;
            one.sink_tokens = cell_masks[m].sink_tokens;
            one.seed = (uint64_t)(1000 + 10 * m + o);
            one.scale_kind = (aiter_scale_kind)(type_is_fp8(c.kv_type) ? o % 4 : 1 + o % 3);
            verdict_add(&v, cell_runs(&one), cell_options[o]);
        }
        if (v.runs + v.none)
            verdict_say(&v);
        else
            say(" - |");
    }
    say("\n");
}

static void head_line(void)
{
    int m;
    say("| q, out | k, v | D | source |");
    for (m = 0; m < MASKS; m++) say(" %s |", cell_masks[m].name);
    say("\n| --- | --- | --- | --- |");
    for (m = 0; m < MASKS; m++) say(" --- |");
    say("\n");
}

static attn_case cell_case(attn_op op, aiter_dtype type, aiter_dtype kv, int size)
{
    attn_case c;
    memset(&c, 0, sizeof c);
    c.op = op;
    c.b = 1;
    c.hq = 2;
    c.hk = 1;
    c.sq = op == OP_DECODE ? 1 : 7;
    c.sk = 20;
    c.splits = 1;
    c.q_type = type;
    c.kv_type = kv;
    c.dq = cell_sizes[size][0];
    c.dv = cell_sizes[size][1];
    return c;
}

static const aiter_dtype cell_types[3] = {AITER_BF16, AITER_F16, AITER_F32};

static void flash_cells(void)
{
    static const char *const forms[] = {"dense", "padded", "packed", "paged", "paged, packed"};
    int t, form, size;
    say("\n## aiter_flash_attn_fwd\n\n");
    head_line();
    for (t = 0; t < 2; t++)
        for (size = 0; size < SIZES; size++)
            for (form = 0; form < FORM_COUNT; form++) {
                attn_case c = cell_case(OP_FLASH, cell_types[t], cell_types[t], size);
                c.form = (attn_form)form;
                cell_line(c, forms[form], size < SIZES - 1 ? SPLITS : NONE);
            }
    for (t = 0; t < 3; t++)
        for (form = 0; form < FORM_COUNT; form++) {
            attn_case c = cell_case(OP_FLASH, cell_types[t], t < 2 ? AITER_I8 : AITER_F32, 5);
            c.form = (attn_form)form;
            cell_line(c, forms[form], NONE);
        }
}

/* Types that no f16 or bf16 tensor has, of some head sizes. */
static void narrow_cells(aiter_dtype type)
{
    static const aiter_dtype kv[] = {AITER_F8_E4M3FN, AITER_F8_E4M3FNUZ, AITER_F8_E5M2, AITER_I4};
    static const int sizes[] = {1, 5, 7, 8};
    size_t i, s;
    for (i = 0; i < sizeof kv / sizeof kv[0]; i++)
        for (s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            attn_case c = cell_case(OP_DECODE, type, kv[i], sizes[s]);
            c.form = FORM_PAGED;
            cell_line(c, "paged", sizes[s] < SIZES - 1 ? TOKENS : NONE);
        }
}

static void decode_cells(void)
{
    int t, quantised, size;
    say("\n## aiter_paged_attn_decode\n\n");
    head_line();
    for (t = 0; t < 3; t++) {
        for (quantised = 0; quantised < 2; quantised++)
            for (size = t < 2 ? 0 : 5; size < (t < 2 ? SIZES : 6); size++) {
                attn_case c =
                    cell_case(OP_DECODE, cell_types[t], quantised ? AITER_I8 : cell_types[t], size);
                c.form = FORM_PAGED;
                cell_line(c, "paged", t < 2 && size < SIZES - 1 ? TOKENS : NONE);
            }
        if (t < 2) narrow_cells(cell_types[t]);
    }
}

/* ---- the other ops ---- */

/* Of one type of new rows, cache and mode, in every order of the cache that takes the type. */
static void cache_line(aiter_dtype from, aiter_dtype to, const char *mode, int quant, int one_scale)
{
    static const int sizes[] = {1, 40, 128, 320};
    const int orders = aiter_dtype_bits(to) < 8 ? 1 : ORDERS;
    int order;
    size_t s;
    say("| %s | %s | %s |", aiter_dtype_name(from), aiter_dtype_name(to), mode);
    for (order = 0; order < ORDERS; order++) {
        verdict v;
        memset(&v, 0, sizeof v);
        for (s = order == ORDER_X_PACKED || order == ORDER_SHUFFLED;
             order < orders && s < sizeof sizes / sizeof sizes[0]; s++) {
            const int64_t before = device.without_kernel;
            const cache_case c = {
                from, to, AITER_I32, (cache_mode)quant, 2, sizes[s], sizes[s], one_scale, order, 0};
            device_cache_case(&c);
            verdict_add(&v, device.without_kernel == before, "some");
        }
        if (order < orders)
            verdict_say(&v);
        else
            say(" - |");
    }
    say("\n");
}

static void cache_cells(void)
{
    static const struct {
        const char *name;
        int quant, one_scale;
    } modes[] = {{"converts", CACHE_CONVERTS, 0},
                 {"one scale", CACHE_SCALE_GIVEN, 1},
                 {"a scale per head", CACHE_SCALE_GIVEN, 0},
                 {"a scale per token and head", CACHE_SCALE_COMPUTED, 0},
                 {"a scale per block and head", CACHE_MODES, 0}};
    int from, to, m;
    say("\n## aiter_reshape_and_cache\n\n"
        "D 1 to 320, 40 to 320 in pieces.\n\n"
        "| k, v | cache | mode | NHD | x-packed | shuffled | other strides |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n");
    for (from = 0; from < 3; from++)
        for (to = AITER_F32; to <= AITER_I4; to++)
            for (m = to >= AITER_I8; m < (to < AITER_F8_E4M3FN ? 1 : 5); m++)
                cache_line(cell_types[from], (aiter_dtype)to, modes[m].name, modes[m].quant,
                           modes[m].one_scale);
}

static void block_cells(void)
{
    verdict v;
    const int64_t before = device.without_kernel;
    memset(&v, 0, sizeof v);
    device_block_cases();
    verdict_add(&v, device.without_kernel == before, "some");
    say("\n## aiter_swap_blocks, aiter_copy_blocks\n\n| every type and strides |\n| --- |\n|");
    verdict_say(&v);
    say("\n");
}

static void merge_cells(void)
{
    static const int sizes[] = {1, 40, 64, 80, 96, 128, 192, 256, 320};
    size_t s;
    int t;
    say("\n## aiter_merge_attn_states\n\n| type | D %d to %d |\n| --- | --- |\n", sizes[0],
        sizes[8]);
    for (t = 0; t < 3; t++) {
        verdict v;
        memset(&v, 0, sizeof v);
        for (s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            const int64_t before = device.without_kernel;
            device_merge_case(cell_types[t], 0, 5, 2, sizes[s]);
            verdict_add(&v, device.without_kernel == before, "some");
        }
        say("| %s |", aiter_dtype_name(cell_types[t]));
        verdict_say(&v);
        say("\n");
    }
}

static void all_cells(void)
{
    size_t o;
    say("# What runs on a GPU\n\n"
        "Written by `tests/gpu/run_cells.c`, which makes each of these calls on both emulated "
        "chips "
        "and compares it with the fp64\noracle; CI fails where a cell differs from this file. "
        "`runs`: with every option of the op. NO_KERNEL: that status.\n\nThe options:");
    for (o = 0; o <= TOKENS; o++) say("%s %s", o ? "," : "", cell_options[o]);
    say(". Biases are for flash_attn_fwd, several\nnew tokens for decoding; `all of them` are "
        "those "
        "from softcap to learned sinks. Two query heads share a kv head. int8 and\nint4 have one "
        "scale, one per head, or one per token and head; fp8 has these or none. Row strides, "
        "layouts, page sizes and long sequences: "
        "`tests/gpu/run_attention.c`.\n");
    flash_cells();
    decode_cells();
    cache_cells();
    block_cells();
    merge_cells();
}

/* ---- the file ---- */

static void write_table(const char *path)
{
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(table.text, 1, table.size, f) == table.size, "cannot write %s", path);
    if (f) fclose(f);
}

/* Line by line, so that the first cell that changed is seen. */
static void compare_table(const char *path)
{
    FILE *f = fopen(path, "rb");
    char line[1000];
    size_t at = 0;
    if (!CHECK(f != NULL, "cannot read %s", path)) return;
    while (fgets(line, sizeof line, f)) {
        const size_t n = strlen(line), left = table.size - at;
        if (!CHECK(n <= left && memcmp(line, table.text + at, n) == 0, "%s has\n%snow it is\n%.*s",
                   path, line, (int)(left < 300 ? left : 300), table.text + at))
            break;
        at += n;
    }
    CHECK(at == table.size, "%s ends early", path);
    fclose(f);
}

int main(int argc, char **argv)
{
    const int hip = argc > 1 && strcmp(argv[1], "hip") == 0;
    if (argc < 3 || (!hip && strcmp(argv[1], "cuda") != 0))
        return fprintf(stderr, "usage: run_cells hip|cuda FOLDER [TABLE [write]]\n"), 2;
    test_begin("run_cells", 1e12);
    if (device_begin(hip ? AITER_DEVICE_HIP : AITER_DEVICE_CUDA, argv[2])) {
        all_cells();
        if (argc == 4) compare_table(argv[3]);
        if (argc == 5) write_table(argv[3]);
        aiter_context_destroy(device.ctx);
    }
    run_statistics_say();
    test_say("%" PRId64 " calls have no kernel\n", device.without_kernel);
    free(table.text);
    return test_end();
}
