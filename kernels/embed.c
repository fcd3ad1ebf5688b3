/* embed.c -- the built kernels inside a program: every file, and a table by their names. The build
 * writes embed_list.h, a line EMBED(symbol, "file") for each, and gives its folder with -I. A zero
 * follows every file (PTX is a string); `end` points to it. ELF systems only. */

/* What src/gpu declares, too. */
typedef struct aiteri_gpu_file {
    const char *name;
    const unsigned char *begin, *end;
} aiteri_gpu_file;
extern const aiteri_gpu_file aiteri_gpu_files[]; /* ends with a name of 0 */

#define EMBED(symbol, file)                                                            \
    __asm__(".pushsection .rodata\n"                                                   \
            ".balign 4096\n" #symbol "_begin:\n"                                       \
            ".incbin \"" file "\"\n" #symbol "_end:\n"                                 \
            ".byte 0\n"                                                                \
            ".popsection\n");                                                          \
    extern const unsigned char symbol##_begin[] __attribute__((visibility("hidden"))); \
    extern const unsigned char symbol##_end[] __attribute__((visibility("hidden")));
#include "embed_list.h"
#undef EMBED

#define EMBED(symbol, file) {file, symbol##_begin, symbol##_end},
const aiteri_gpu_file aiteri_gpu_files[] = {
#include "embed_list.h"
    {0, 0, 0}};
