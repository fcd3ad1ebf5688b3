/*
    tidy.c: the house rules that a program can see, run as a test.

        cc -std=c99 -o tidy tools/tidy.c && ./tidy . && ./tidy --self-test

    All C, C++ and HIP files of src, kernels, tests, bench, examples, tools: 100 columns, 600 lines,
    functions of 70 lines, no tabs, no trailing blanks, no left-over marks, no empty names.
    src alone: every file is reached from spine.h; system headers in two places only; no reserved
    names; no macro outside AITER* survives; no call that ends or prints to the host; a doc comment
    above every public declaration. The self-test feeds each rule a small bad file.
*/
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILES = 512, MAX_PATH = 512, MAX_COLUMNS = 100, MAX_LINES = 600, MAX_FUNCTION = 70 };

/* What may break a size limit, and why. An entry that is no longer needed is a complaint. */
static const struct exception {
    const char *name, *reason;
} exceptions[] = {{NULL, NULL}};

/* Spelled in halves, so that this file does not complain about itself. */
static const char *const left_over_marks[] = {"TO"
                                              "DO",
                                              "FIX"
                                              "ME",
                                              "XX"
                                              "X",
                                              "HA"
                                              "CK"};
static const char *const empty_names[] = {"ut"
                                          "il",
                                          "ut"
                                          "ils",
                                          "mi"
                                          "sc",
                                          "help"
                                          "er2"};

static const char *const forbidden_calls[] = {"assert",  "abort",   "exit",     "_exit", "printf",
                                              "fprintf", "vprintf", "vfprintf", "puts",  "fputs",
                                              "putchar", "perror",  "signal",   "raise", "system"};

/* Reserved names that compilers give meaning to; names that end in __ are predefined too. */
static const char *const compiler_names[] = {
    "__builtin_",    "__m128",   "__m256",         "__m512",      "__mmask",
    "_MM_",          "_CMP_",    "_SC_",           "_Pragma",     "_MSC_VER",
    "_M_X64",        "_M_ARM64", "_WIN32",         "__declspec",  "__forceinline",
    "__restrict",    "__thread", "__cpuid",        "__cplusplus", "__has_",
    "_Thread_local", "_Alignas", "_Static_assert", "__bf16",      "__fp16"};

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

typedef struct file {
    char path[MAX_PATH];
    char *text; /* as on disk */
    char *code; /* the same length and lines, comments and string contents blanked */
    int reached, complaints;
} file;

static file files[MAX_FILES];
static int file_count, quiet;
static int exception_used[COUNT(exceptions)];
static char complaint_log[4096]; /* what the self-test looks at */

static void complain(file *f, int line, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    f->complaints++;
    if (!quiet) printf("%s:%d: %s\n", f->path, line, text);
    const size_t used = strlen(complaint_log);
    snprintf(complaint_log + used, sizeof complaint_log - used, "%s; ", text);
}

static int is_name_char(char c) { return isalnum((unsigned char)c) || c == '_'; }

static int starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

static int ends_with(const char *s, const char *suffix)
{
    const size_t a = strlen(s), b = strlen(suffix);
    return a >= b && strcmp(s + a - b, suffix) == 0;
}

static int excepted(const char *name)
{
    for (int i = 0; exceptions[i].name; i++)
        if (strcmp(exceptions[i].name, name) == 0) return exception_used[i] = 1;
    return 0;
}

/* Blanks comments and the insides of literals, keeping every line where it is. */
static char *code_only(const char *text)
{
    const size_t n = strlen(text);
    char *code = (char *)malloc(n + 1);
    if (!code) return NULL;
    memcpy(code, text, n + 1);
    char state = 0; /* 0, or what we are in: '*' block comment, '/' line comment, '"', '\'' */
    for (size_t i = 0; i < n; i++) {
        const char c = text[i], next = text[i + 1];
        if (state == 0 && c == '/' && (next == '*' || next == '/')) {
            state = next;
            code[i] = code[i + 1] = ' ';
            i++;
        } else if (state == 0) {
            /* 0x'1 cannot occur in C99: a quote after a name character is a C++ digit separator */
            if (c == '"' || (c == '\'' && !(i && isalnum((unsigned char)text[i - 1])))) state = c;
        } else if (state == '*' && c == '*' && next == '/') {
            state = 0;
            code[i] = code[i + 1] = ' ';
            i++;
        } else if (c == '\n') {
            if (state == '/') state = 0;
        } else if ((state == '"' || state == '\'') && c == state) {
            state = 0;
        } else {
            code[i] = ' ';
            if ((state == '"' || state == '\'') && c == '\\' && next != '\n') code[++i] = ' ';
        }
    }
    return code;
}

/* Reads the name at s (empty if none) and returns what follows. */
static const char *read_name(const char *s, char name[MAX_PATH])
{
    int n = 0;
    while (is_name_char(s[n]) && n < MAX_PATH - 1) {
        name[n] = s[n];
        n++;
    }
    name[n] = 0;
    return s + n;
}

/* ---- rules for every file ---- */

static int word_in(const char *word, size_t n, const char *const *list, int count)
{
    for (int i = 0; i < count; i++) {
        size_t k = 0;
        while (k < n && list[i][k] && tolower((unsigned char)word[k]) == tolower(list[i][k])) k++;
        if (k == n && !list[i][k]) return 1;
    }
    return 0;
}

/* Words are the parts of a name between underscores. */
static void check_words(file *f, const char *s, int line)
{
    while (*s) {
        size_t n = 0;
        while (isalnum((unsigned char)s[n])) n++;
        if (word_in(s, n, left_over_marks, COUNT(left_over_marks)))
            complain(f, line, "left-over mark \"%.*s\"", (int)n, s);
        else if (word_in(s, n, empty_names, COUNT(empty_names)))
            complain(f, line, "\"%.*s\" is a name that says nothing", (int)n, s);
        s += n ? n : 1;
    }
}

static void check_line(file *f, const char *line, size_t n, int number)
{
    int columns = 0;
    for (size_t i = 0; i < n; i++) columns += ((unsigned char)line[i] & 0xc0) != 0x80;
    if (columns > MAX_COLUMNS) complain(f, number, "%d columns, at most %d", columns, MAX_COLUMNS);
    if (memchr(line, '\t', n)) complain(f, number, "tab");
    if (memchr(line, '\r', n)) complain(f, number, "carriage return");
    if (n && line[n - 1] == ' ') complain(f, number, "trailing blanks");
}

static void check_text(file *f)
{
    char buffer[4096];
    int number = 0;
    check_words(f, f->path, 1);
    for (const char *s = f->text; *s; number++) {
        const size_t n = strcspn(s, "\n");
        check_line(f, s, n, number + 1);
        snprintf(buffer, sizeof buffer, "%.*s", (int)(n < sizeof buffer ? n : sizeof buffer - 1),
                 s);
        check_words(f, buffer, number + 1);
        s += n + (s[n] == '\n');
    }
    if (number > MAX_LINES && !excepted(f->path))
        complain(f, number, "%d lines, at most %d", number, MAX_LINES);
    if (number && f->text[strlen(f->text) - 1] != '\n')
        complain(f, number, "no newline at the end");
}

/* A function opens with `{` and closes with `}`, each in column 0, as clang-format lays them; its
 * name is the one before the first `(` of the lines above. */
static void check_functions(file *f)
{
    char name[MAX_PATH] = "", candidate[MAX_PATH];
    int number = 1, start = 0, inside = 0, head = 0;
    for (const char *s = f->code; *s; number++) {
        const size_t n = strcspn(s, "\n");
        if (!inside && n && (isalpha((unsigned char)*s) || *s == '_')) {
            head = number;
            const char *paren = (const char *)memchr(s, '(', n);
            while (paren && paren > s && is_name_char(paren[-1])) paren--;
            if (paren) {
                read_name(paren, candidate);
                snprintf(name, sizeof name, "%s", candidate);
            }
        }
        if (!inside && n == 1 && *s == '{') {
            inside = 1;
            start = head ? head : number;
        } else if (inside && *s == '}') {
            const int length = number - start + 1;
            inside = 0;
            if (length > MAX_FUNCTION && !excepted(name))
                complain(f, start, "%s has %d lines, at most %d", name, length, MAX_FUNCTION);
        }
        s += n + (s[n] == '\n');
    }
}

/* ---- rules for src ---- */

static int is_compiler_name(const char *name)
{
    if (ends_with(name, "__")) return 1;
    for (int i = 0; i < COUNT(compiler_names); i++)
        if (starts_with(name, compiler_names[i])) return 1;
    return 0;
}

static int is_reserved(const char *name)
{
    return name[0] == '_' && (name[1] == '_' || isupper((unsigned char)name[1]));
}

static void check_names(file *f)
{
    const int answers_for_compilers = strcmp(f->path, "src/base/platform.h") == 0;
    char name[MAX_PATH];
    int number = 1;
    for (const char *s = f->code; *s;) {
        if (!is_name_char(*s)) {
            number += *s++ == '\n';
            continue;
        }
        s = read_name(s, name);
        if (is_reserved(name) && !is_compiler_name(name) && !answers_for_compilers)
            complain(f, number, "%s is reserved for the compiler", name);
        if (starts_with(name, "aiter") && strstr(name, "__"))
            complain(f, number, "%s: two underscores are reserved in C++", name);
        for (int i = 0; i < COUNT(forbidden_calls); i++)
            if (strcmp(name, forbidden_calls[i]) == 0 && s[strspn(s, " ")] == '(')
                complain(f, number, "%s() ends the host program or prints in its name", name);
    }
}

static const char *skip_blanks(const char *s) { return s + strspn(s, " "); }

/* If s is `# keyword ...`, what follows the keyword, else NULL. */
static const char *directive(const char *s, const char *keyword)
{
    s = skip_blanks(s);
    if (*s++ != '#') return NULL;
    s = skip_blanks(s);
    if (!starts_with(s, keyword) || is_name_char(s[strlen(keyword)])) return NULL;
    return skip_blanks(s + strlen(keyword));
}

static const char *next_line(const char *s)
{
    s += strcspn(s, "\n");
    return s + (*s == '\n');
}

static int undefined_somewhere(const char *macro)
{
    char name[MAX_PATH];
    for (int i = 0; i < file_count; i++) {
        if (!starts_with(files[i].path, "src/")) continue;
        for (const char *s = files[i].code; *s; s = next_line(s)) {
            const char *rest = directive(s, "undef");
            if (!rest) continue;
            read_name(rest, name);
            if (strcmp(name, macro) == 0) return 1;
        }
    }
    return 0;
}

static void check_macros(file *f)
{
    char name[MAX_PATH];
    int number = 1;
    for (const char *s = f->code; *s; s = next_line(s), number++) {
        const char *rest = directive(s, "define");
        if (!rest) continue;
        read_name(rest, name);
        if (is_reserved(name)) complain(f, number, "%s is reserved for the compiler", name);
        /* The prefix list renames functions by macros of the functions' own names. */
        if (!starts_with(name, "AITER_") && !starts_with(name, "AITERI_") &&
            !undefined_somewhere(name))
            complain(f, number, "macro %s leaks: name it AITER* or #undef it", name);
    }
}

/* A declaration that users see starts in column 0; only preprocessor lines may stand between it
 * and the end of its comment. */
static void check_doc_comments(file *f)
{
    static const char *const starts[] = {"AITER_ATTN_API ", "typedef struct ", "typedef enum "};
    int number = 1, documented = 0, in_directive = 0;
    const char *code = f->code;
    for (const char *s = f->text; *s; number++) {
        const size_t n = strcspn(s, "\n");
        for (int i = 0; i < COUNT(starts); i++)
            if (starts_with(code, starts[i]) && !documented)
                complain(f, number, "a public declaration without a doc comment above it");
        in_directive |= *s == '#';
        if (!in_directive) documented = n >= 2 && s[n - 2] == '*' && s[n - 1] == '/';
        in_directive = in_directive && n && s[n - 1] == '\\';
        s = s + n + (s[n] == '\n');
        code = next_line(code);
    }
}

/* ---- include graph ---- */

static void to_parent(char path[MAX_PATH])
{
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = 0;
    else
        path[0] = 0;
}

static file *find_file(const char *path)
{
    for (int i = 0; i < file_count; i++)
        if (strcmp(files[i].path, path) == 0) return &files[i];
    return NULL;
}

static void follow_include(file *f, const char *name, int number);

static void follow(file *f)
{
    char name[MAX_PATH];
    int number = 1;
    if (f->reached) return;
    f->reached = 1;
    const char *code = f->code;
    for (const char *s = f->text; *s; s = next_line(s), code = next_line(code), number++) {
        if (!directive(code, "include")) continue;
        const char *rest = directive(s, "include");
        if (*rest == '<' && strcmp(f->path, "src/base/platform.h") != 0 &&
            strcmp(f->path, "src/api_types.h") != 0)
            complain(f, number, "system headers belong in base/platform.h");
        if (*rest != '"') continue;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(rest + 1, "\""), rest + 1);
        follow_include(f, name, number);
    }
}

static void follow_include(file *f, const char *name, int number)
{
    char path[MAX_PATH], target[MAX_PATH * 2];
    snprintf(path, sizeof path, "%s", f->path);
    to_parent(path);
    for (; starts_with(name, "../"); name += 3) to_parent(path);
    snprintf(target, sizeof target, "%s%s%s", path, path[0] ? "/" : "", name);
    file *to = find_file(target);
    struct stat info;
    if (to)
        follow(to);
    else if (starts_with(target, "src/") || stat(target, &info) != 0)
        complain(f, number, "includes %s, which is not there", target);
}

static void check_reached(void)
{
    file *spine = find_file("src/spine.h");
    if (spine) follow(spine);
    for (int i = 0; i < file_count; i++) {
        file *f = &files[i];
        if (starts_with(f->path, "src/") && !f->reached && strcmp(f->path, "src/cpu/editor.h") != 0)
            complain(f, 1, "not reached from src/spine.h");
    }
}

/* ---- running ---- */

static void add_file(const char *path, char *text)
{
    if (file_count == MAX_FILES) {
        fprintf(stderr, "tidy: more than %d files\n", MAX_FILES);
        exit(2);
    }
    file *f = &files[file_count++];
    memset(f, 0, sizeof *f);
    snprintf(f->path, sizeof f->path, "%s", path);
    f->text = text;
    f->code = text ? code_only(text) : NULL;
    if (!f->code) {
        fprintf(stderr, "tidy: cannot read %s\n", path);
        exit(2);
    }
}

static char *read_file(const char *path)
{
    FILE *in = fopen(path, "rb");
    if (!in) return NULL;
    size_t cap = 1 << 16, len = 0, got;
    char *text = (char *)malloc(cap);
    while (text && (got = fread(text + len, 1, cap - len - 1, in)) > 0) {
        len += got;
        if (cap - len < 2) text = (char *)realloc(text, cap *= 2);
    }
    fclose(in);
    if (text) text[len] = 0;
    return text;
}

static void scan(const char *folder)
{
    char path[MAX_PATH];
    DIR *dir = opendir(folder);
    if (!dir) return;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        struct stat info;
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (stat(path, &info) != 0) continue;
        if (S_ISDIR(info.st_mode))
            scan(path);
        else if (ends_with(path, "/yardstick.h")) /* a header of long ago, kept as it was */
            continue;
        else if (ends_with(path, ".c") || ends_with(path, ".h") || ends_with(path, ".cpp") ||
                 ends_with(path, ".hpp") || ends_with(path, ".hip"))
            add_file(path, read_file(path));
    }
    closedir(dir);
}

/* Runs every rule and returns the number of files with complaints. */
static int check_all(void)
{
    int bad = 0;
    check_reached();
    for (int i = 0; i < file_count; i++) {
        file *f = &files[i];
        check_text(f);
        check_functions(f);
        if (starts_with(f->path, "src/")) {
            check_names(f);
            check_macros(f);
            if (starts_with(f->path, "src/api_")) check_doc_comments(f);
        }
        bad += f->complaints > 0;
    }
    return bad;
}

static void forget_files(void)
{
    for (int i = 0; i < file_count; i++) {
        free(files[i].text);
        free(files[i].code);
    }
    file_count = 0;
    complaint_log[0] = 0;
}

#include "tidy_self_test.h"

int main(int argc, char **argv)
{
    static const char *const folders[] = {"src", "tests", "bench", "examples", "tools", "kernels"};
    if (argc != 2) {
        fprintf(stderr, "usage: tidy ROOT | tidy --self-test\n");
        return 2;
    }
    if (strcmp(argv[1], "--self-test") == 0) return self_test();
    if (chdir(argv[1]) != 0) {
        fprintf(stderr, "tidy: no folder %s\n", argv[1]);
        return 2;
    }
    for (int i = 0; i < COUNT(folders); i++) scan(folders[i]);
    int bad = check_all();
    if (!find_file("src/spine.h")) bad++, printf("src/spine.h: not there\n");
    for (int i = 0; exceptions[i].name; i++)
        if (!exception_used[i]) bad++, printf("%s: needs no exception\n", exceptions[i].name);
    printf("%d passed, %d failed\n", file_count - bad, bad);
    return bad != 0;
}
