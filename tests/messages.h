/* messages.h -- failing calls and what they say, gathered line by line and compared with a file
 * that people have read: tests/data/messages.txt. AITER_TEST_REWRITE=1 writes it anew; read the
 * difference before it is committed. Sizes that depend on the machine stand there as N. */
#ifndef AITER_TEST_MESSAGES_H
#define AITER_TEST_MESSAGES_H

#include "op_good.h"

typedef struct messages {
    char *text;
    size_t bytes, room;
} messages;

static messages said;

static inline void said_append(const char *text)
{
    size_t n = strlen(text);
    if (said.bytes + n + 1 > said.room) {
        said.room = (said.bytes + n + 1) * 2;
        said.text = (char *)realloc(said.text, said.room);
    }
    memcpy(said.text + said.bytes, text, n + 1);
    said.bytes += n;
}

/* The number after each of these words depends on kernel set and pointer size. */
static inline void without_sizes(char *text)
{
    static const char *const words[] = {"at least ", "needs ", "no ", "arena_bytes is ",
                                        "bytes is "};
    char *i64 = strstr(text, "4 bytes, as its elements (i64)");
    int i;
    if (i64) *i64 = '8'; /* the ABI of 32-bit x86 */
    for (char *at = text; (at = strstr(at, "hash is ")) != NULL; at += 8)
        memset(at + 8, 'H', strspn(at + 8, "0123456789abcdef"));
    for (char *at = text; (at = strstr(at, "H, expected ")) != NULL; at += 12)
        memset(at + 12, 'H', strspn(at + 12, "0123456789abcdef"));
    for (i = 0; i < COUNT(words); i++) {
        char *at = text;
        while ((at = strstr(at, words[i])) != NULL) {
            char *digits = at + strlen(words[i]);
            size_t n = strspn(digits, "0123456789");
            at = digits;
            if (n < 3) continue;
            *digits = 'N';
            memmove(digits + 1, digits + n, strlen(digits + n) + 1);
        }
    }
}

/* Has this very text been said? */
static inline int is_said(const char *failure)
{
    char text[300];
    snprintf(text, sizeof text, "%s", failure);
    without_sizes(text);
    return said.text && strstr(said.text, text) != NULL;
}

/* One call that failed, in its own line. A call that did not fail is a failure. */
static inline void say(const char *title, aiter_status status)
{
    char text[300], line[600];
    snprintf(text, sizeof text, "%s", aiter_last_error());
    without_sizes(text);
    CHECK(status != AITER_OK, "%s: was accepted", title);
    CHECK(strlen(aiter_last_error()) < 255, "%s: the text was cut: %s", title, aiter_last_error());
    snprintf(line, sizeof line, "%s\n    %s: %s\n", title, aiter_status_name(status), text);
    said_append(line);
}

static inline void say_heading(const char *heading)
{
    said_append("\n## ");
    said_append(heading);
    said_append("\n");
}

/* A file of the repository, from its root or from beside this one. */
static inline FILE *messages_open(const char *path, const char *how)
{
    char full[1024];
    const char *here = strstr(__FILE__, "tests/messages.h");
    snprintf(full, sizeof full, "%.*s%s", here ? (int)(here - __FILE__) : 0, __FILE__, path);
    FILE *file = fopen(full, how);
    return file ? file : fopen(path, how);
}

static inline char *messages_read(const char *path)
{
    FILE *file = messages_open(path, "rb");
    char *text;
    long bytes;
    if (!file) return NULL;
    fseek(file, 0, SEEK_END);
    bytes = ftell(file);
    rewind(file);
    text = (char *)calloc((size_t)bytes + 1, 1);
    if (fread(text, 1, (size_t)bytes, file) != (size_t)bytes) text[0] = 0;
    fclose(file);
    return text;
}

/* Line by line: one check each. */
static inline void messages_compare(const char *path)
{
    const char *rewrite = getenv("AITER_TEST_REWRITE");
    char *expected, *a = said.text, *b;
    if (rewrite && strcmp(rewrite, "1") == 0) {
        FILE *file = messages_open(path, "wb");
        CHECK(file && fwrite(said.text, 1, said.bytes, file) == said.bytes, "%s: not written",
              path);
        if (file) fclose(file);
    }
    expected = messages_read(path);
    if (!CHECK(expected, "%s cannot be read", path)) return;
    for (b = expected; *a || *b;) {
        size_t n = strcspn(a, "\n"), m = strcspn(b, "\n");
        if (!CHECK(n == m && memcmp(a, b, n) == 0, "%s says\n  %.*s\nnow it is\n  %.*s", path,
                   (int)m, b, (int)n, a)) {
            break; /* what follows may only have moved */
        }
        a += n + (a[n] != 0);
        b += m + (b[m] != 0);
    }
    free(expected);
    free(said.text);
}

#endif /* AITER_TEST_MESSAGES_H */
