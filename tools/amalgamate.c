/*
    amalgamate.c: packs src/ into the one committed header.

        cc -std=c99 -o amalgamate tools/amalgamate.c
        ./amalgamate [--check] [--lines] src spine.h aiter_attn.h

    What it does, and all it does:
      #include "x"        is replaced by the text of x the first time; later mentions vanish. x may
                          lie outside the root, as kernels/args.h does.
      #include "x.inl.h"  is a template, stamped once per instruction set: replaced every time.
      #include <x>        may stand in base/platform.h and api_types.h only. Elsewhere it is an
                          error: a system header first seen inside a target region would have its
                          inline functions compiled for that target.
      PREFIXED NAMES      in a comment of its own line: a #define for each public function, those of
                          AITER_OP_LIST and their companions included, for AITER_ATTN_PREFIX.
    Each file starts under a mark `// >>name`, to search for. Otherwise text is copied as it is,
    without CR and trailing blanks. No dates, no commit ids, no directory listing: the same sources
    give the same bytes on every machine.

      --check   writes nothing; fails and names the first stale line if the output would change
      --lines   emits #line directives, so that errors and debuggers name src/
*/
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILES = 256, MAX_DEPTH = 16, MAX_PATH = 512 };

static struct {
    char *data;
    size_t len, cap;
} out;
static char seen[MAX_FILES][MAX_PATH]; /* files already expanded, in order */
static int seen_count, depth, lines;
static const char *root;

static void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("amalgamate: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static void emit(const char *text, size_t n)
{
    if (out.len + n + 1 > out.cap) {
        out.cap = (out.len + n + 1) * 2;
        out.data = (char *)realloc(out.data, out.cap);
        if (!out.data) die("out of memory");
    }
    memcpy(out.data + out.len, text, n);
    out.len += n;
    out.data[out.len] = 0;
}

static void emitf(const char *format, ...)
{
    char buf[MAX_PATH * 3];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(buf, sizeof buf, format, args);
    va_end(args);
    if (n < 0 || n >= (int)sizeof buf) die("line too long");
    emit(buf, (size_t)n);
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    size_t cap = 1 << 16, len = 0, got;
    char *text = (char *)malloc(cap);
    while (text && (got = fread(text + len, 1, cap - len - 1, f)) > 0) {
        len += got;
        if (cap - len < 2) text = (char *)realloc(text, cap *= 2);
    }
    fclose(f);
    if (!text) die("out of memory");
    text[len] = 0;
    return text;
}

static int ends_with(const char *s, const char *suffix)
{
    const size_t a = strlen(s), b = strlen(suffix);
    return a >= b && strcmp(s + a - b, suffix) == 0;
}

static const char *skip_blanks(const char *s)
{
    while (*s == ' ' || *s == '\t') s++;
    return s;
}

/* Splits `#include "x"` or `#include <x>`; returns '"', '<' or 0. */
static char parse_include(const char *line, char name[MAX_PATH])
{
    const char *s = skip_blanks(line);
    if (*s++ != '#') return 0;
    s = skip_blanks(s);
    if (strncmp(s, "include", 7) != 0) return 0;
    s = skip_blanks(s + 7);
    const char open = *s++, close = open == '<' ? '>' : '"';
    if (open != '<' && open != '"') return 0;
    int n = 0;
    while (s[n] && s[n] != close && n < MAX_PATH - 1) {
        name[n] = s[n];
        n++;
    }
    name[n] = 0;
    return open;
}

/* Whether a block comment is open after this line: the manual shows `#include` lines as examples.
 */
static int comment_open_after(const char *s, int open)
{
    char quote = 0;
    for (; *s; s++) {
        if (open) {
            if (s[0] == '*' && s[1] == '/') open = 0, s++;
        } else if (quote) {
            if (*s == '\\' && s[1])
                s++;
            else if (*s == quote)
                quote = 0;
        } else if (s[0] == '/' && s[1] == '*') {
            open = 1, s++;
        } else if (s[0] == '/' && s[1] == '/') {
            break;
        } else if (*s == '"' || *s == '\'') {
            quote = *s;
        }
    }
    return open;
}

/* Cuts the last component: "a/b" becomes "a", "b" becomes "". */
static void to_parent(char path[MAX_PATH])
{
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = 0;
    else
        path[0] = 0;
}

/* dir(from) + name, with leading "../" folded, so that a file has exactly one spelling; what is
 * left of them leads out of the root, to kernels/. */
static void resolve(char path[MAX_PATH], const char *from, const char *name)
{
    char dir[MAX_PATH];
    snprintf(dir, sizeof dir, "%s", from);
    to_parent(dir);
    for (; strncmp(name, "../", 3) == 0 && dir[0]; name += 3) to_parent(dir);
    const int n = snprintf(path, MAX_PATH, "%s%s%s", dir, dir[0] ? "/" : "", name);
    if (n < 0 || n >= MAX_PATH) die("path too long: %s", name);
}

/* Returns 1 the first time a path is given. */
static int mark_seen(const char *path)
{
    for (int i = 0; i < seen_count; i++)
        if (strcmp(seen[i], path) == 0) return 0;
    if (seen_count == MAX_FILES) die("more than %d files", MAX_FILES);
    snprintf(seen[seen_count++], MAX_PATH, "%s", path);
    return 1;
}

/* "base/platform.h" gives "// >>platform", followed by where the text comes from. */
static void emit_mark(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    const int outside = strncmp(path, "../", 3) == 0;
    emitf("\n// >>%.*s    (%s%s%s)\n", (int)strcspn(name, "."), name, outside ? "" : root,
          outside ? "" : "/", outside ? path + 3 : path);
}

/* ---- every public function by another prefix ---- */

static void emit_prefixed(const char *name, size_t n, const char *suffix)
{
    emitf("#define aiter_%.*s%s AITER_PREFIXED(%.*s%s)\n", (int)n, name, suffix, (int)n, name,
          suffix);
}

/* The functions declared behind AITER_ATTN_API; what macros make of the op list is no name yet. */
static void emit_declared_names(const char *text)
{
    static const char mark[] = "AITER_ATTN_API ";
    for (const char *at = strstr(text, mark); at; at = strstr(at, mark)) {
        at += sizeof mark - 1;
        const size_t head = strcspn(at, "(;\n\\");
        const char *paren = at + strcspn(at, "(;\\");
        size_t n = 0;
        if (strncmp(at, "static", 6) == 0 || strncmp(at, "extern", 6) == 0) continue;
        if (*paren != '(' || memchr(at, '#', head)) continue;
        while (paren - n > at && !strchr(" \n*", paren[-1 - (long)n])) n++;
        if (n > 6 && strncmp(paren - n, "aiter_", 6) == 0) emit_prefixed(paren - n + 6, n - 6, "");
    }
}

/* OP(name, family, HAS_PLAN): the companions. */
static void emit_companion_names(const char *text)
{
    static const char *const suffixes[] = {"_workspace", "_supported", "_explain", "_plan"};
    const char *at = strstr(text, "#define AITER_OP_LIST(OP)");
    const char *end = at ? strstr(at, "\n\n") : NULL;
    if (!end) die("api_ops.h has no AITER_OP_LIST");
    for (at = strstr(at, " OP("); at && at < end; at = strstr(at, " OP(")) {
        at += 4;
        const size_t n = strcspn(at, ",");
        const int planned = strncmp(at + strcspn(at, ")") - 8, "HAS_PLAN", 8) == 0;
        for (int i = 0; i < 3 + planned; i++) emit_prefixed(at, n, suffixes[i]);
    }
}

static void emit_prefixed_names(void)
{
    static const char *const headers[] = {"api_types.h", "api_ops.h"};
    for (int i = 0; i < 2; i++) {
        char full[MAX_PATH * 2];
        snprintf(full, sizeof full, "%s/%s", root, headers[i]);
        char *text = read_file(full);
        if (!text) die("cannot read %s", full);
        emit_declared_names(text);
        if (i == 1) emit_companion_names(text);
        free(text);
    }
}

/* ---- files ---- */

static void expand(const char *path);

/* An #include line of `path`: expands it, drops it, or refuses it. */
static void expand_include(const char *path, int line_no, char kind, const char *name,
                           const char *line)
{
    if (kind == '<') {
        if (!ends_with(path, "base/platform.h") && strcmp(path, "api_types.h") != 0)
            die("%s:%d: <%s> belongs in base/platform.h", path, line_no, name);
        emitf("%s\n", line);
        return;
    }
    char target[MAX_PATH];
    resolve(target, path, name);
    if (!ends_with(target, ".inl.h") && !mark_seen(target)) return;
    expand(target);
    if (lines) emitf("#line %d \"%s/%s\"\n", line_no + 1, root, path);
}

static void expand(const char *path)
{
    char full[MAX_PATH * 2], name[MAX_PATH];
    snprintf(full, sizeof full, "%s/%s", root, path);
    char *text = read_file(full);
    if (!text) die("cannot read %s", full);
    if (++depth > MAX_DEPTH) die("includes nest too deep at %s", path);
    emit_mark(path);
    if (lines) emitf("#line 1 \"%s\"\n", full);
    int line_no = 0, in_comment = 0;
    for (char *s = text; *s;) {
        size_t n = strcspn(s, "\n");
        char *next = s + n + (s[n] == '\n');
        while (n && strchr("\r \t", s[n - 1])) n--;
        s[n] = 0;
        line_no++;
        const char kind = in_comment ? 0 : parse_include(s, name);
        in_comment = comment_open_after(s, in_comment);
        if (kind) {
            expand_include(path, line_no, kind, name, s);
        } else if (strcmp(s, "/* PREFIXED NAMES */") == 0) {
            emit_prefixed_names();
        } else {
            emit(s, n);
            emit("\n", 1);
        }
        s = next;
    }
    depth--;
    free(text);
}

/* Returns 0 if the output on disk is what would be written, else its first stale line. */
static int first_stale_line(const char *output)
{
    char *have = read_file(output);
    if (have && strcmp(have, out.data) == 0) return 0;
    int line = 1;
    for (size_t i = 0; have && have[i] && have[i] == out.data[i]; i++) line += have[i] == '\n';
    return line;
}

int main(int argc, char **argv)
{
    int check = 0, arg = 1;
    for (; arg < argc && argv[arg][0] == '-'; arg++) {
        if (!strcmp(argv[arg], "--check"))
            check = 1;
        else if (!strcmp(argv[arg], "--lines"))
            lines = 1;
        else
            die("unknown option %s", argv[arg]);
    }
    if (argc - arg != 3) die("usage: amalgamate [--check] [--lines] ROOT SPINE OUTPUT");
    root = argv[arg];
    const char *output = argv[arg + 2];

    emitf(
        "/* Generated from src/ by tools/amalgamate.c: edit src/, then build the target `header`. "
        "*/\n");
    mark_seen(argv[arg + 1]);
    expand(argv[arg + 1]);
    const int stale = first_stale_line(output);
    if (!stale) return 0; /* an unchanged file keeps its time stamp, so nothing is rebuilt */
    if (check)
        die("%s is stale from line %d: build the target `header` and commit it", output, stale);
    FILE *f = fopen(output, "wb");
    if (!f || fwrite(out.data, 1, out.len, f) != out.len || fclose(f))
        die("cannot write %s", output);
    return 0;
}
