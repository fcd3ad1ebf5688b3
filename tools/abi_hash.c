/*
    abi_hash.c: the number by which the header knows that a code object was built for it: FNV-1a of
    kernels/args.h and kernels/instances.def, written to kernels/abi_hash.h.

        cc -o abi_hash tools/abi_hash.c && ./abi_hash kernels            (--check: only compares)
*/
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Line ends differ between checkouts and do not count. */
static int hash_file(const char *folder, const char *name, uint64_t *hash)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    if (!f) return fprintf(stderr, "abi_hash: cannot read %s\n", path), 1;
    for (int c; (c = getc(f)) != EOF;)
        if (c != '\r') *hash = (*hash ^ (uint64_t)c) * UINT64_C(0x100000001b3);
    const int failed = ferror(f);
    fclose(f);
    return failed;
}

int main(int argc, char **argv)
{
    const int check = argc == 3 && strcmp(argv[1], "--check") == 0;
    if (argc != 2 + check) return fprintf(stderr, "usage: abi_hash [--check] FOLDER\n"), 2;
    const char *folder = argv[1 + check];
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    if (hash_file(folder, "args.h", &hash) || hash_file(folder, "instances.def", &hash)) return 1;

    char path[512], wanted[256], found[256] = "";
    snprintf(path, sizeof path, "%s/abi_hash.h", folder);
    snprintf(wanted, sizeof wanted,
             "/* abi_hash.h -- of args.h and instances.def; written by tools/abi_hash.c. */\n"
             "#define AITERI_GPU_ABI_HASH 0x%016llxull\n",
             (unsigned long long)hash);
    FILE *f = fopen(path, "rb");
    if (f) {
        found[fread(found, 1, sizeof found - 1, f)] = 0;
        fclose(f);
    }
    if (strcmp(found, wanted) == 0) return 0; /* an untouched file rebuilds nothing */
    if (check) {
        fprintf(stderr, "%s is stale: build the target header, or run tools/abi_hash.c\n", path);
        return 1;
    }
    f = fopen(path, "wb");
    const int written = f && fputs(wanted, f) >= 0;
    if ((f && fclose(f)) || !written)
        return fprintf(stderr, "abi_hash: cannot write %s\n", path), 1;
    printf("%s written\n", path);
    return 0;
}
