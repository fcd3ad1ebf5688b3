/* tidy_self_test.h: shows that every rule of tidy.c fails on a small bad file and that a good one
 * passes. Included by tidy.c alone. */

static char *copy_text(const char *text)
{
    char *copy = (char *)malloc(strlen(text) + 1);
    return copy ? strcpy(copy, text) : NULL;
}

/* `head`, then `line` repeated. */
static char *repeat(const char *head, const char *line, int times, const char *tail)
{
    char *text = (char *)malloc(strlen(head) + strlen(line) * (size_t)times + strlen(tail) + 1);
    if (!text) return NULL;
    strcpy(text, head);
    char *end = text + strlen(text);
    for (int i = 0; i < times; i++, end += strlen(line)) strcpy(end, line);
    strcpy(end, tail);
    return text;
}

static const struct bad_case {
    const char *path, *text, *expected;
} bad_cases[] = {
    {"src/x.h", "int a;\t\n", "tab"},
    {"src/x.h", "int a; \n", "trailing blanks"},
    {"src/x.h", "int a;\r\n", "carriage return"},
    {"src/x.h", "int a;", "no newline"},
    {"tests/test_x.c",
     "/* TO"
     "DO: later */\n",
     "left-over"},
    {"tests/test_x.c",
     "int my_mi"
     "sc_count;\n",
     "says nothing"},
    {"bench/ut"
     "il.c",
     "int a;\n", "says nothing"},
    {"src/x.h", "#include <stdio.h>\n", "system headers"},
    {"src/x.h", "#include \"y.h\"\n", "not there"},
    {"src/lost.h", "int a;\n", "not reached"},
    {"src/x.h", "static int __hidden;\n", "reserved"},
    {"src/x.h", "#define _GUARD_H\n", "reserved"},
    {"src/x.h", "static int aiteri__twice;\n", "two underscores"},
    {"src/x.h", "#define LEAK 1\n", "leaks"},
    {"src/x.h", "static void f(int a) { assert(a); }\n", "assert()"},
    {"src/x.h", "static void f(void) { abort (); }\n", "abort()"},
    {"src/x.h", "static void f(void) { printf(\"x\"); }\n", "printf()"},
    {"src/api_x.h", "AITER_ATTN_API int aiter_x(void);\n", "doc comment"},
    {"src/api_x.h", "/* apart */\n\ntypedef struct aiter_x {\n    int a;\n} aiter_x;\n", "doc"},
};

static const char good_text[] =
    "/* x.h: says printf(\"x\"), #include <x> and LEAK in a comment only. */\n"
    "#define K(a) a\n#undef K\n/* Documented. */\n#if 1\nAITER_API int aiter_x(void);\n#endif\n"
    "static const char *text = \"abort() // \\\" __hidden\";\n";

/* One tree with a spine that includes the file under test; returns the complaints it raised. */
static int complaints_about(const char *path, char *text)
{
    char spine[MAX_PATH] = "";
    forget_files();
    if (starts_with(path, "src/") && strcmp(path, "src/lost.h") != 0)
        snprintf(spine, sizeof spine, "#include \"%s\"\n", path + 4);
    add_file("src/spine.h", copy_text(spine));
    add_file(path, text);
    check_all();
    return files[1].complaints;
}

static void expect(const char *what, int ok, int counts[2])
{
    counts[!ok]++;
    if (!ok) printf("self-test: %s: got \"%s\"\n", what, complaint_log);
}

static int self_test(void)
{
    int counts[2] = {0, 0};
    quiet = 1;
    for (int i = 0; i < COUNT(bad_cases); i++) {
        const struct bad_case *c = &bad_cases[i];
        const int n = complaints_about(c->path, copy_text(c->text));
        expect(c->text, n >= 1 && strstr(complaint_log, c->expected) != NULL, counts);
    }
    expect("good file", complaints_about("src/api_x.h", copy_text(good_text)) == 0, counts);
    expect("101 columns", complaints_about("src/x.h", repeat("", "x", 101, "\n")) == 1, counts);
    expect("100 columns", complaints_about("src/x.h", repeat("", "x", 100, "\n")) == 0, counts);
    expect("601 lines", complaints_about("src/x.h", repeat("", "int x;\n", 601, "")) == 1, counts);
    expect("600 lines", complaints_about("src/x.h", repeat("", "int x;\n", 600, "")) == 0, counts);
    expect("71 lines",
           complaints_about("src/x.h", repeat("void f(void)\n{\n", "    ;\n", 68, "}\n")) == 1,
           counts);
    expect("70 lines",
           complaints_about("src/x.h", repeat("void f(void)\n{\n", "    ;\n", 67, "}\n")) == 0,
           counts);
    forget_files();
    printf("%d passed, %d failed\n", counts[0], counts[1]);
    return counts[1] != 0;
}
