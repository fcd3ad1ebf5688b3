/* files.h -- whole files into memory, and the files of this repository from any directory. */
#ifndef DECODE_FILES_H
#define DECODE_FILES_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILES_PATH = 4096, FILES_UP = 4 };

/* 0, or -1 with a line in err. The text ends with a zero that *size does not count; free it. */
static int files_read(const char *path, char **text, size_t *size, char *err, size_t errlen)
{
    size_t capacity = 1 << 16, got;
    FILE *file = fopen(path, "rb");
    *size = 0;
    *text = file ? (char *)malloc(capacity) : NULL;
    while (*text && (got = fread(*text + *size, 1, capacity - *size - 1, file)) > 0) {
        *size += got;
        if (*size + 1 < capacity) continue;
        char *grown = capacity <= SIZE_MAX / 2 ? (char *)realloc(*text, 2 * capacity) : NULL;
        if (!grown) {
            free(*text);
            *text = NULL;
            errno = ENOMEM;
        } else {
            *text = grown;
            capacity *= 2;
        }
    }
    int failed = !*text || ferror(file);
    if (failed) snprintf(err, errlen, "%.200s: %s", path, strerror(errno ? errno : EIO));
    if (file) fclose(file);
    if (failed) {
        free(*text);
        *text = NULL;
        return -1;
    }
    (*text)[*size] = 0;
    return 0;
}

/* The directory part of a path, with its slash; "" if it has none. */
static void files_directory(const char *path, char *directory, size_t size)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) + 1 : 0;
    if (length >= size) length = 0;
    memcpy(directory, path, length);
    directory[length] = 0;
}

/* Finds a file of examples/ from this source where it was compiled, from the program's place or
 * from the working directory: there, or in examples/ of one of the directories above. 0, or -1. */
static int files_find(const char *name, const char *program, char *path, size_t size)
{
    char running[FILES_PATH], base[3][FILES_PATH];
    ssize_t length = readlink("/proc/self/exe", running, sizeof running - 1);
    if (length > 0) running[length] = 0;
    files_directory(__FILE__, base[0], FILES_PATH);
    files_directory(length > 0 ? running : program, base[1], FILES_PATH);
    base[2][0] = 0;
    for (int i = 0; i < 3; i++) {
        for (int up = 0; up <= FILES_UP; up++) {
            for (int inside = up > 0; inside < 2; inside++) {
                int n = snprintf(path, size, "%s%.*s%s%s", base[i], 3 * up, "../../../../",
                                 inside ? "examples/" : "", name);
                if (n > 0 && (size_t)n < size && access(path, R_OK) == 0) return 0;
            }
        }
    }
    return -1;
}

#endif /* DECODE_FILES_H */
