/* test_guide.c -- docs/guide.md against the library: each name that it sets in code exists, each
 * public function and constant is in it, each mask picture is what the op computes. */
#include "test.h"

#include <ctype.h>

enum { GUIDE_NAMES = 4096, GUIDE_NAME_BYTES = 64, GUIDE_EXTENT = 16 };

/* ---- text ---- */

/* A file of the repository, found from this one or from the current directory. NULL if it is not
 * there. */
static char *guide_read(const char *path)
{
    char full[1024];
    const char *slash = strrchr(__FILE__, '/');
    int folder = slash ? (int)(slash - __FILE__) : 0;
    snprintf(full, sizeof full, "%.*s%s../%s", folder, __FILE__, slash ? "/" : "", path);
    FILE *file = fopen(full, "rb");
    if (!file) file = fopen(path, "rb");
    if (!file) return NULL;
    size_t room = 1 << 20;
    char *text = (char *)calloc(room + 1, 1);
    if (text) text[fread(text, 1, room, file)] = 0;
    fclose(file);
    return text;
}

/* Blanks out the comments of C source. */
static void guide_strip_comments(char *text)
{
    for (char *p = strstr(text, "/*"); p; p = strstr(p, "/*")) {
        char *end = strstr(p, "*/");
        end = end ? end + 2 : p + strlen(p);
        while (p < end) *p++ = ' ';
    }
}

/* Copies the identifier at *p, and moves past it; 0 if there is none. */
static int guide_identifier(const char **p, char name[GUIDE_NAME_BYTES])
{
    size_t n = 0;
    if (!isalpha((unsigned char)**p) && **p != '_') return 0;
    while (isalnum((unsigned char)**p) || **p == '_') {
        if (n + 1 < GUIDE_NAME_BYTES) name[n++] = **p;
        (*p)++;
    }
    name[n] = 0;
    return 1;
}

/* ---- sets of names ---- */

typedef struct guide_set {
    char names[GUIDE_NAMES][GUIDE_NAME_BYTES];
    int count;
} guide_set;

static int guide_has(const guide_set *set, const char *name)
{
    for (int i = 0; i < set->count; i++) {
        if (!strcmp(set->names[i], name)) return 1;
    }
    return 0;
}

static void guide_add(guide_set *set, const char *name)
{
    if (guide_has(set, name)) return;
    if (!CHECK(set->count < GUIDE_NAMES, "more than %d names", GUIDE_NAMES)) return;
    snprintf(set->names[set->count++], GUIDE_NAME_BYTES, "%s", name);
}

static void guide_add_all(guide_set *set, const char *text)
{
    char name[GUIDE_NAME_BYTES];
    while (*text) {
        if (isdigit((unsigned char)*text)) { /* 0x1f is no name */
            while (isalnum((unsigned char)*text) || *text == '_') text++;
        } else if (guide_identifier(&text, name)) {
            guide_add(set, name);
        } else {
            text++;
        }
    }
}

/* ---- what the headers declare ---- */

typedef struct guide_library {
    guide_set code;       /* identifiers of the public headers, comments left out */
    guide_set words;      /* the same with comments: the letters of the shapes */
    guide_set functions;  /* behind AITER_ATTN_API */
    guide_set companions; /* made by AITER_OP_LIST: _workspace, _plan and so on */
    guide_set constants;  /* of the enums that a user sets or reads */
} guide_library;

static void guide_find_functions(guide_set *functions, const char *text)
{
    for (const char *p = strstr(text, "AITER_ATTN_API "); p; p = strstr(p, "AITER_ATTN_API ")) {
        char name[GUIDE_NAME_BYTES] = "";
        p += strlen("AITER_ATTN_API ");
        while (*p && *p != ';' && *p != '\n' && *p != '(') {
            if (!guide_identifier(&p, name)) p++;
        }
        if (*p == '(' && !strncmp(name, "aiter_", 6)) guide_add(functions, name);
    }
}

static void guide_find_constants(guide_set *constants, const char *text)
{
    static const char *const kinds[] = {"AITER_MASK_",  "AITER_KV_",         "AITER_KERNEL_CLASS_",
                                        "AITER_SCALE_", "AITER_ROPE_",       "AITER_ISA_",
                                        "AITER_DEVICE", "AITER_MEMORY_",     "AITER_LOG_",
                                        "AITER_F",      "AITER_I",           "AITER_BF16",
                                        "AITER_OK",     "AITER_UNSUPPORTED", "AITER_NO_",
                                        "AITER_OUT_",   "AITER_WORKSPACE_"};
    guide_set *all = (guide_set *)calloc(1, sizeof *all);
    if (!CHECK(all != NULL, "memory")) return;
    guide_add_all(all, text);
    for (int i = 0; i < all->count; i++) {
        const char *name = all->names[i];
        size_t length = strlen(name);
        if (length > 6 && !strcmp(name + length - 6, "_COUNT")) continue;
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            if (!strncmp(name, kinds[k], strlen(kinds[k]))) guide_add(constants, name);
        }
    }
    free(all);
}

static void guide_load(guide_library *library)
{
    static const char *const headers[] = {"src/api_types.h", "src/api_parts.h",
                                          "src/api_ops.h",   "src/manual.h",
                                          "src/spine.h",     "src/base/platform.h"};
    for (int i = 0; i < 6; i++) {
        char *text = guide_read(headers[i]);
        if (!CHECK(text != NULL, "%s cannot be read", headers[i])) continue;
        guide_add_all(&library->words, text);
        guide_strip_comments(text);
        guide_add_all(&library->code, text);
        if (i < 3) guide_find_functions(&library->functions, text);
        if (i < 3) guide_find_constants(&library->constants, text);
        free(text);
    }
#define GUIDE_ADD_COMPANIONS(op, family, plan)                  \
    guide_add(&library->companions, "aiter_" #op "_workspace"); \
    guide_add(&library->companions, "aiter_" #op "_supported"); \
    guide_add(&library->companions, "aiter_" #op "_explain");   \
    if (!strcmp(#plan, "HAS_PLAN")) guide_add(&library->companions, "aiter_" #op "_plan");
    AITER_OP_LIST(GUIDE_ADD_COMPANIONS)
    CHECK(library->functions.count > 30, "only %d functions found", library->functions.count);
    CHECK(library->constants.count > 30, "only %d constants found", library->constants.count);
}

/* ---- what the guide says ---- */

static int guide_is_ours(const char *name)
{
    return !strncmp(name, "aiter_", 6) || !strncmp(name, "AITER_", 6);
}

/* A span that names a file of the repository. */
static int guide_is_path(const char *span)
{
    const char *dot = strrchr(span, '.');
    static const char *const parts[] = {"kv.", "score.", "call.", "quantisation.", "rope."};
    for (int i = 0; i < 5; i++) { /* a field of a part */
        if (!strncmp(span, parts[i], strlen(parts[i]))) return 0;
    }
    return dot && strspn(span, "abcdefghijklmnopqrstuvwxyz0123456789_./") == strlen(span);
}

/* An inline span: a file that exists, or names that the headers declare. A lone suffix such as
 * _workspace counts when some function ends so; the shapes' letters stand in comments only. */
static void guide_check_span(const guide_library *library, guide_set *named, const char *span)
{
    char name[GUIDE_NAME_BYTES];
    if (guide_is_path(span)) {
        char *file = guide_read(span);
        CHECK(file != NULL || !strcmp(span, "aiter_attn.h"), "the guide names the file %s", span);
        free(file);
        return;
    }
    for (const char *p = span; *p;) {
        if (!guide_identifier(&p, name)) {
            p++;
            continue;
        }
        int known = guide_has(&library->code, name);
        if (!known && (strlen(name) <= 2 || !strcmp(name, "NULL") || !strcmp(name, "AITER_ISA") ||
                       !strcmp(name, "AITER_KERNEL_CLASS"))) {
            known = guide_has(&library->words, name);
        }
        known |= guide_has(&library->companions, name);
        for (int i = 0; !known && name[0] == '_' && i < library->companions.count; i++) {
            const char *function = library->companions.names[i];
            size_t length = strlen(function), tail = strlen(name);
            known = length > tail && !strcmp(function + length - tail, name);
        }
        CHECK(known, "the guide says `%s`: %s does not exist", span, name);
        guide_add(named, name);
    }
}

/* A line of C in a fence: our names, and fields set by .name = or reached by . and ->. */
static void guide_check_code(const guide_library *library, guide_set *named, const char *line)
{
    char name[GUIDE_NAME_BYTES];
    const char *start = line;
    if (strchr(line, '#') && strstr(line, "include")) return;
    for (const char *p = line; *p;) {
        const char *before = p;
        if (!guide_identifier(&p, name)) {
            p++;
            continue;
        }
        int field = before > start && before[-1] == '.';
        if (!guide_is_ours(name) && !field) continue;
        CHECK(guide_has(&library->code, name) || guide_has(&library->companions, name),
              "the guide's example uses %s, which does not exist", name);
        guide_add(named, name);
    }
}

static void guide_check_inline(const guide_library *library, guide_set *named, char *line)
{
    for (char *open = strchr(line, '`'); open; open = strchr(open, '`')) {
        char *close = strchr(open + 1, '`');
        if (!CHECK(close != NULL, "a code span that does not end: %s", line)) return;
        *close = 0;
        guide_check_span(library, named, open + 1);
        open = close + 1;
    }
}

/* ---- the pictures ---- */

typedef struct guide_picture {
    aiter_mask mask;
    int queries, keys, window_left, window_right, sink_tokens;
    int rows; /* read so far */
    char seen[GUIDE_EXTENT][GUIDE_EXTENT];
} guide_picture;

static int guide_option(const char *line, const char *name, int otherwise)
{
    const char *at = strstr(line, name);
    return at ? atoi(at + strlen(name)) : otherwise;
}

/* "AITER_MASK_CAUSAL, 2 queries, 5 keys, window_left 1" */
static void guide_start_picture(guide_picture *picture, const char *line)
{
    static const struct {
        const char *name;
        aiter_mask mask;
    } masks[] = {{"AITER_MASK_NONE,", AITER_MASK_NONE},
                 {"AITER_MASK_CAUSAL,", AITER_MASK_CAUSAL},
                 {"AITER_MASK_CAUSAL_TOP_LEFT,", AITER_MASK_CAUSAL_TOP_LEFT},
                 {"AITER_MASK_WINDOW,", AITER_MASK_WINDOW}};
    memset(picture, 0, sizeof *picture);
    for (int i = 0; i < 4; i++) {
        if (!strncmp(line, masks[i].name, strlen(masks[i].name))) picture->mask = masks[i].mask;
    }
    const char *comma = strchr(line, ',');
    int read =
        comma ? sscanf(comma, ", %d queries, %d keys", &picture->queries, &picture->keys) : 0;
    CHECK(picture->mask != AITER_MASK_DEFAULT && read == 2 && picture->queries <= GUIDE_EXTENT &&
              picture->keys <= GUIDE_EXTENT,
          "no picture begins with: %s", line);
    picture->window_left = guide_option(line, "window_left ", 0);
    picture->window_right = guide_option(line, "window_right ", 0);
    picture->sink_tokens = guide_option(line, "sink_tokens ", 0);
}

/* "query 0   x x . ." */
static void guide_picture_row(guide_picture *picture, const char *line)
{
    int i = -1, used = 0;
    if (sscanf(line, "query %d %n", &i, &used) != 1 || i != picture->rows ||
        i >= picture->queries || i >= GUIDE_EXTENT) {
        CHECK(0, "no row %d of a picture: %s", picture->rows, line);
        return;
    }
    int j = 0;
    for (const char *p = line + used; *p; p++) {
        if (*p == ' ') continue;
        CHECK((*p == 'x' || *p == '.') && j < picture->keys, "neither x nor . in: %s", line);
        if (j < GUIDE_EXTENT) picture->seen[i][j++] = *p == 'x';
    }
    CHECK(j == picture->keys, "%d of %d keys in: %s", j, picture->keys, line);
    picture->rows++;
}

/* All scores 0 and V the identity: out[i][j] is 1 / n for each of the n keys that row i sees. */
static void guide_compare_picture(const guide_picture *picture, aiter_context *ctx)
{
    float zero[GUIDE_EXTENT] = {0}, v[GUIDE_EXTENT * GUIDE_EXTENT] = {0};
    float out[GUIDE_EXTENT * GUIDE_EXTENT], lse[GUIDE_EXTENT];
    int queries = picture->queries, keys = picture->keys;
    for (int j = 0; j < keys; j++) v[j * keys + j] = 1;
    for (int i = 0; i < GUIDE_EXTENT * GUIDE_EXTENT; i++) out[i] = 9;
    for (int i = 0; i < GUIDE_EXTENT; i++) lse[i] = 9;
    aiter_flash_attn_fwd_args a;
    memset(&a, 0, sizeof a);
    a.q = aiter_tensor_4d(zero, AITER_F32, 1, queries, 1, 1);
    a.kv.k = aiter_tensor_4d(zero, AITER_F32, 1, keys, 1, 1);
    a.kv.v = aiter_tensor_4d(v, AITER_F32, 1, keys, 1, keys);
    a.out = aiter_tensor_4d(out, AITER_F32, 1, queries, 1, keys);
    a.lse = aiter_tensor_3d(lse, AITER_F32, 1, 1, queries);
    a.score.mask = picture->mask;
    a.score.window_left = picture->window_left;
    a.score.window_right = picture->window_right;
    a.score.sink_tokens = picture->sink_tokens;
    aiter_status status = aiter_flash_attn_fwd(&a, ctx);
    if (!CHECK(status == AITER_OK, "picture: %s", aiter_last_error())) return;
    for (int i = 0; i < queries; i++) {
        int n = 0;
        for (int j = 0; j < keys; j++) n += picture->seen[i][j];
        for (int j = 0; j < keys; j++) {
            float got = out[i * keys + j], expected = picture->seen[i][j] ? 1.0f / (float)n : 0;
            CHECK(got > expected - 1e-6f && got < expected + 1e-6f && (got != 0) == (expected != 0),
                  "mask %d, %d queries, %d keys: query %d, key %d is %s in the guide, weight %g",
                  (int)picture->mask, queries, keys, i, j, expected != 0 ? "visible" : "hidden",
                  (double)got);
        }
        uint32_t bits;
        memcpy(&bits, &lse[i], sizeof bits);
        CHECK((bits == 0xff800000u) == (n == 0), "query %d sees %d keys, lse bits %08x", i, n,
              (unsigned)bits);
    }
}

static void guide_check_picture(const guide_picture *picture)
{
    aiter_isa tiers[AITER_ISA_COUNT];
    int count = test_tiers(tiers);
    CHECK(picture->rows == picture->queries, "a picture of %d rows, not %d", picture->rows,
          picture->queries);
    guide_compare_picture(picture, NULL);
    for (int i = 0; i < count; i++) {
        aiter_context *ctx = test_context(tiers[i], 1);
        if (ctx) guide_compare_picture(picture, ctx);
        aiter_context_destroy(ctx);
    }
}

/* ---- the page ---- */

typedef enum guide_fence { FENCE_NONE, FENCE_CODE, FENCE_MASK, FENCE_OTHER } guide_fence;

static guide_fence guide_fence_of(const char *line)
{
    if (!strcmp(line, "```c") || !strcmp(line, "```cpp")) return FENCE_CODE;
    return strcmp(line, "```mask") ? FENCE_OTHER : FENCE_MASK;
}

static int guide_walk(const guide_library *library, guide_set *named, char *text)
{
    guide_fence fence = FENCE_NONE;
    guide_picture picture;
    int pictures = 0, begun = 0;
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        if (!strncmp(line, "```", 3)) {
            if (fence == FENCE_MASK && begun) guide_check_picture(&picture), pictures++;
            fence = fence == FENCE_NONE ? guide_fence_of(line) : FENCE_NONE;
            begun = 0;
        } else if (fence == FENCE_NONE) {
            guide_check_inline(library, named, line);
        } else if (fence == FENCE_CODE) {
            guide_check_code(library, named, line);
        } else if (fence == FENCE_MASK && !begun) {
            guide_start_picture(&picture, line);
            begun = 1;
        } else if (fence == FENCE_MASK && !strncmp(line, "query", 5)) {
            guide_picture_row(&picture, line);
        }
    }
    CHECK(fence == FENCE_NONE, "the guide ends inside a fence");
    return pictures;
}

static void guide_check_all_named(const guide_set *wanted, const guide_set *named)
{
    for (int i = 0; i < wanted->count; i++) {
        CHECK(guide_has(named, wanted->names[i]), "the guide does not name %s", wanted->names[i]);
    }
}

int main(void)
{
    test_begin("test_guide", 1e9);
    guide_library *library = (guide_library *)calloc(1, sizeof *library);
    guide_set *named = (guide_set *)calloc(1, sizeof *named);
    char *guide = guide_read("docs/guide.md");
    if (CHECK(library && named && guide, "docs/guide.md cannot be read")) {
        guide_load(library);
        int pictures = guide_walk(library, named, guide);
        CHECK(pictures >= 6, "only %d pictures", pictures);
        guide_check_all_named(&library->functions, named);
        guide_check_all_named(&library->constants, named);
    }
    free(guide);
    free(named);
    free(library);
    return test_end();
}
