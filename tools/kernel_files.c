/*
    kernel_files.c: what kernels/instances.def promises, and whether the built files keep it.

        kernel_files rows                  one line per row and chip: chip, file, symbol, bytes of
                                           the arguments, class, threads, LDS, waves per SIMD
        kernel_files check FOLDER CHIP...  every row of these chips is a kernel of its file and
   takes arguments of that size; the hash is there; prints sizes kernel_files stamp IN OUT a PTX
   module with the hash in it
*/
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../kernels/abi_hash.h"
#include "../kernels/args.h"
#include "../kernels/instances.def"

#define HASH_SYMBOL "aiteri_gpu_abi_hash"

typedef struct row {
    const char *op, *arch, *unit, *symbol, *class_name;
    int threads, lds, waves;
} row;

#define ROW(op, arch, q, kv, out, dq, dv, layout, scales, class_, source, threads, rows, keys, \
            lds, waves)                                                                        \
    {#op,                                                                                      \
     #arch,                                                                                    \
     #op "_" #q "_" #kv "_" #dq "_" #dv,                                                       \
     "aiteri_" #op "_" #q "_" #kv "_" #out "_" #dq "_" #dv "_" #class_,                        \
     #class_,                                                                                  \
     threads,                                                                                  \
     lds,                                                                                      \
     waves},
static const row rows[] = {AITERI_GPU_ROWS(ROW)};
enum { ROWS = sizeof rows / sizeof rows[0] };

static const char *const chips[] = {"gfx90a", "gfx942", "gfx950", "sm_80", "sm_90a"};
enum { CHIPS = sizeof chips / sizeof chips[0] };

static int is_amd(const char *chip) { return strncmp(chip, "gfx", 3) == 0; }

/* CDNA is all AMD chips; any other name of a row is a chip's own, in capitals, without `_`. */
static int runs_on(const row *r, const char *chip)
{
    if (strcmp(r->arch, "CDNA") == 0) return is_amd(chip);
    const char *name = r->arch;
    for (; *chip; chip++)
        if (*chip != '_') {
            const char capital = (char)(*chip >= 'a' && *chip <= 'z' ? *chip - 'a' + 'A' : *chip);
            if (*name++ != capital) return 0;
        }
    return *name == 0;
}

/* Bytes of the one by-value argument; 0: an op that nobody described here. */
static unsigned argument_bytes(const char *op)
{
    if (strcmp(op, "reshape_and_cache") == 0) return sizeof(aiteri_gpu_reshape_and_cache);
    if (strcmp(op, "copy_blocks") == 0) return sizeof(aiteri_gpu_copy_blocks);
    if (strcmp(op, "merge_attn_states") == 0) return sizeof(aiteri_gpu_merge);
    if (strcmp(op, "flash_fwd") == 0 || strcmp(op, "paged_decode") == 0 ||
        strcmp(op, "combine") == 0)
        return sizeof(aiteri_gpu_attention);
    return 0;
}

/* The file that has a row's kernel: one code object per AMD chip, one PTX module per unit, and what
 * is not for sm_80 and up says for what. */
static void file_of(const row *r, const char *chip, char name[256])
{
    if (is_amd(chip))
        snprintf(name, 256, "aiter_%s.co", chip);
    else if (strcmp(chip, "sm_80") == 0)
        snprintf(name, 256, "aiter_%s.ptx", r->unit);
    else
        snprintf(name, 256, "aiter_%s_%s.ptx", r->unit, chip);
}

/* ---- files ---- */

typedef struct text {
    unsigned char *data; /* ends with 0 */
    size_t size;
} text;

static text read_whole(const char *path)
{
    text t = {NULL, 0};
    FILE *f = fopen(path, "rb");
    if (!f) return t;
    if (fseek(f, 0, SEEK_END) == 0 && ftell(f) >= 0) t.size = (size_t)ftell(f);
    rewind(f);
    t.data = (unsigned char *)malloc(t.size + 1);
    if (t.data && fread(t.data, 1, t.size, f) == t.size) {
        t.data[t.size] = 0;
    } else {
        free(t.data);
        t.data = NULL;
    }
    fclose(f);
    return t;
}

static const unsigned char *find(const text *t, const void *what, size_t size, size_t from)
{
    for (size_t i = from; i + size <= t->size; i++)
        if (memcmp(t->data + i, what, size) == 0) return t->data + i;
    return NULL;
}

static const unsigned char *find_string(const text *t, const char *what, size_t from)
{
    return find(t, what, strlen(what), from);
}

/* ---- AMD: the metadata note is MessagePack; keys of a kernel's map come in alphabetical order
 * ---- */

/* The number after the last `key` in front of `end`: fixint, uint8, uint16, uint32. */
static long number_before(const text *t, const char *key, const unsigned char *end)
{
    const size_t size = strlen(key);
    for (const unsigned char *p = end - size; p > t->data; p--) {
        if (memcmp(p, key, size)) continue;
        const unsigned char *v = p + size;
        if (v[0] < 0x80) return v[0];
        if (v[0] == 0xcc) return v[1];
        if (v[0] == 0xcd) return v[1] << 8 | v[2];
        if (v[0] == 0xce) return (long)v[1] << 24 | v[2] << 16 | v[3] << 8 | v[4];
        return -1;
    }
    return -1;
}

/* A kernel's `.name` follows its `.kernarg_segment_size` in the map. */
static long amd_argument_bytes(const text *t, const char *symbol)
{
    char descriptor[256];
    const int n = snprintf(descriptor, sizeof descriptor, "%c%s.kd", 0, symbol);
    if (!find(t, descriptor, (size_t)n + 1, 0)) return -1; /* a name of the symbol table */
    const size_t size = strlen(symbol);
    unsigned char name[300] = "\xa5.name";
    size_t head = 6;
    if (size < 32) {
        name[head++] = (unsigned char)(0xa0 | size);
    } else {
        name[head++] = 0xd9;
        name[head++] = (unsigned char)size;
    }
    memcpy(name + head, symbol, size);
    const unsigned char *at = find(t, name, head + size, 0);
    return at ? number_before(t, ".kernarg_segment_size", at) : -1;
}

/* ---- NVIDIA ---- */

static long ptx_argument_bytes(const text *t, const char *symbol)
{
    char entry[300];
    snprintf(entry, sizeof entry, ".entry %s(", symbol);
    if (!find_string(t, entry, 0)) return -1;
    snprintf(entry, sizeof entry, " %s_param_0[", symbol);
    const unsigned char *at = find_string(t, entry, 0);
    return at ? strtol((const char *)at + strlen(entry), NULL, 10) : -1;
}

static int stamp(const char *from, const char *to)
{
    const text t = read_whole(from);
    FILE *f = t.data ? fopen(to, "wb") : NULL;
    if (!f) return fprintf(stderr, "kernel_files: cannot copy %s to %s\n", from, to), 1;
    fwrite(t.data, 1, t.size, f);
    fprintf(f, "\n.visible .const .align 8 .u64 " HASH_SYMBOL " = %llu;\n",
            (unsigned long long)AITERI_GPU_ABI_HASH);
    const int failed = ferror(f);
    return fclose(f) || failed;
}

/* ---- the checks ---- */

static int check_row(const text *t, const row *r, const char *chip, const char *file)
{
    const long wanted = (long)argument_bytes(r->op);
    const long found =
        is_amd(chip) ? amd_argument_bytes(t, r->symbol) : ptx_argument_bytes(t, r->symbol);
    if (found == wanted && wanted > 0) return 0;
    if (found < 0)
        fprintf(stderr, "%s has no kernel %s\n", file, r->symbol);
    else
        fprintf(stderr, "%s: %s takes %ld bytes of arguments, args.h says %ld\n", file, r->symbol,
                found, wanted);
    return 1;
}

/* The rows of one file; a file is visited at its first row. */
static int check_file(const char *folder, const char *chip, int first, size_t *bytes)
{
    char file[256], path[1024], other[256];
    file_of(&rows[first], chip, file);
    snprintf(path, sizeof path, "%s/%s", folder, file);
    text t = read_whole(path);
    if (!t.data) return fprintf(stderr, "kernel_files: cannot read %s\n", path), 1;
    int failed = 0, count = 0;
    if (!find_string(&t, HASH_SYMBOL, 0)) {
        fprintf(stderr, "%s has no symbol " HASH_SYMBOL "\n", file);
        failed++;
    }
    for (int i = first; i < ROWS; i++) {
        file_of(&rows[i], chip, other);
        if (!runs_on(&rows[i], chip) || strcmp(file, other)) continue;
        count++;
        failed += check_row(&t, &rows[i], chip, file);
    }
    printf("%9zu bytes, %3d kernels  %s\n", t.size, count, file);
    *bytes += t.size;
    free(t.data);
    return failed;
}

static int seen_before(const char *chip, int i)
{
    char file[256], other[256];
    file_of(&rows[i], chip, file);
    for (int j = 0; j < i; j++) {
        file_of(&rows[j], chip, other);
        if (runs_on(&rows[j], chip) && strcmp(file, other) == 0) return 1;
    }
    return 0;
}

static int check(const char *folder, int count, char **names)
{
    int failed = 0;
    size_t bytes = 0;
    for (int c = 0; c < count; c++)
        for (int i = 0; i < ROWS; i++)
            if (runs_on(&rows[i], names[c]) && !seen_before(names[c], i))
                failed += check_file(folder, names[c], i, &bytes);
    printf("%9zu bytes in all\n", bytes);
    return failed > 0;
}

static void print_rows(void)
{
    char file[256];
    for (int i = 0; i < ROWS; i++)
        for (int c = 0; c < CHIPS; c++) {
            const row *r = &rows[i];
            if (!runs_on(r, chips[c])) continue;
            file_of(r, chips[c], file);
            printf("%s\t%s\t%s\t%u\t%s\t%d\t%d\t%d\n", chips[c], file, r->symbol,
                   argument_bytes(r->op), r->class_name, r->threads, r->lds, r->waves);
        }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "rows") == 0) return print_rows(), 0;
    if (argc == 4 && strcmp(argv[1], "stamp") == 0) return stamp(argv[2], argv[3]);
    if (argc >= 4 && strcmp(argv[1], "check") == 0) return check(argv[2], argc - 3, argv + 3);
    return fprintf(stderr, "usage: kernel_files rows | check FOLDER CHIP... | stamp IN OUT\n"), 2;
}
