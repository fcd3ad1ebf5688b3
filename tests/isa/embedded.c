/* embedded.c -- is the library aiter_attn_kernels what the folder of kernel files holds?
 *     embedded FOLDER FILES: the number of files that must be in its table */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct aiteri_gpu_file {
    const char *name;
    const unsigned char *begin, *end;
} aiteri_gpu_file;
extern const aiteri_gpu_file aiteri_gpu_files[];

static int same_as_file(const aiteri_gpu_file *embedded, const char *folder)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, embedded->name);
    FILE *f = fopen(path, "rb");
    if (!f) return 0;
    const unsigned char *p = embedded->begin;
    int c;
    while ((c = getc(f)) != EOF && p < embedded->end && c == *p) p++;
    fclose(f);
    return c == EOF && p == embedded->end && p > embedded->begin && *embedded->end == 0;
}

int main(int argc, char **argv)
{
    int passed = 0, failed = 0;
    for (const aiteri_gpu_file *f = aiteri_gpu_files; argc == 3 && f->name; f++) {
        const int same = same_as_file(f, argv[1]);
        passed += same;
        failed += !same;
        if (!same) printf("%s differs from its file\n", f->name);
    }
    failed += argc != 3 || passed + failed != atoi(argv[2]);
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0;
}
