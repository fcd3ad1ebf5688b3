/* test_security.c -- the table of SECURITY.md is true: each check that it names is a function of
 * the library or the example, each test and fuzzer a file of this tree. */
#include "test.h"

enum { PATH = 512, NAME = 128 };

/* The file beside this test's source or in the working directory, whole; NULL if there is none. */
static char *read_file(const char *path)
{
    char full[PATH];
    const char *here = __FILE__, *slash = strrchr(here, '/');
    FILE *file;
    char *text = NULL;
    long size;
    snprintf(full, sizeof full, "%.*s/../%s", slash ? (int)(slash - here) : 1, slash ? here : ".",
             path);
    file = fopen(full, "rb");
    if (!file) file = fopen(path, "rb");
    if (!file) return NULL;
    fseek(file, 0, SEEK_END);
    size = ftell(file);
    rewind(file);
    text = (char *)calloc(1, (size_t)size + 1);
    if (fread(text, 1, (size_t)size, file) != (size_t)size) text[0] = 0;
    fclose(file);
    return text;
}

/* Whether some source defines a function: its name at the start of a declarator, a body after it.
 */
static int defines(const char *text, const char *name)
{
    const size_t length = strlen(name);
    const char *at, *p;
    for (at = strstr(text, name); at; at = strstr(at + 1, name)) {
        if (at == text || (at[-1] != ' ' && at[-1] != '*') || at[length] != '(') continue;
        for (p = at + length; *p && *p != '{' && *p != ';'; p++) {}
        if (*p == '{') return 1;
    }
    return 0;
}

static int defined_somewhere(const char *name)
{
    static const char *const files[] = {"src/base/argument.c",
                                        "src/base/tensor.c",
                                        "src/base/check.h",
                                        "src/context/scratch.c",
                                        "src/context/context.c",
                                        "src/base/threads.c",
                                        "src/ops/attention_check.c",
                                        "src/ops/attention_lower.c",
                                        "src/ops/attention_run.c",
                                        "src/ops/reshape_and_cache.c",
                                        "src/cpu/engine_walk.c",
                                        "src/cpu/engine_softmax.c",
                                        "src/cpu/engine_stream.c",
                                        "examples/decode/gguf.h",
                                        "examples/decode/gguf_parse.inl.h",
                                        "examples/decode/model_file.h",
                                        "examples/decode/tokenizer_gguf.h"};
    size_t i;
    int found = 0;
    for (i = 0; i < sizeof files / sizeof files[0] && !found; i++) {
        char *text = read_file(files[i]);
        CHECK(text != NULL, "%s cannot be read", files[i]);
        found = text && defines(text, name);
        free(text);
    }
    return found;
}

/* The names in backticks of one cell, each looked at. */
static int check_cell(const char *cell, const char *end, int column)
{
    int names = 0;
    const char *from, *to;
    for (from = memchr(cell, '`', (size_t)(end - cell)); from && from < end;
         from = memchr(to + 1, '`', (size_t)(end - to - 1))) {
        char name[NAME], *text;
        to = memchr(from + 1, '`', (size_t)(end - from - 1));
        if (!CHECK(to && to - from < NAME, "a name without end")) return names;
        snprintf(name, sizeof name, "%.*s", (int)(to - from - 1), from + 1);
        names++;
        if (column == 1) {
            CHECK(defined_somewhere(name), "SECURITY.md: no function %s", name);
            continue;
        }
        text = read_file(name);
        CHECK(text && strstr(text, column == 2 ? "int main(" : "LLVMFuzzerTestOneInput"),
              "SECURITY.md: %s is no %s", name, column == 2 ? "test" : "fuzzer");
        free(text);
    }
    return names;
}

int main(void)
{
    char *text = read_file("SECURITY.md"), *line;
    int rows = 0, fuzzed = 0;
    test_begin("security", 1e8);
    if (CHECK(text != NULL, "SECURITY.md cannot be read")) {
        for (line = strstr(text, "\n| untrusted"); line && line[1] == '|';
             line = strchr(line + 1, '\n')) {
            const char *end = strchr(line + 1, '\n'), *cell = strchr(line + 2, '|');
            int column, names[4] = {0, 0, 0, 0};
            for (column = 1; cell && cell < end && column < 4; column++) {
                const char *next = memchr(cell + 1, '|', (size_t)(end - cell - 1));
                if (!next) break;
                names[column] = check_cell(cell, next, column);
                cell = next;
            }
            if (strncmp(line, "\n|--", 4) == 0 || strncmp(line, "\n| untrusted", 12) == 0) continue;
            rows++;
            fuzzed += names[3] > 0;
            CHECK(names[1] > 0 && names[2] > 0, "a row without check or test: %.60s", line + 1);
        }
        CHECK(rows >= 10 && fuzzed + 1 >= rows, "%d rows, %d with a fuzzer", rows, fuzzed);
    }
    free(text);
    return test_end();
}
