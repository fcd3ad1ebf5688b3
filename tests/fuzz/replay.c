/* replay.c -- drives a fuzzer without libFuzzer:
 *     fuzz_x CORPUS             runs each input of a packed corpus, as ctest does
 *     fuzz_x --random N SEED    runs N random inputs, half of them made from those of CORPUS...
 *     fuzz_x --random N SEED CORPUS
 *     fuzz_x --pack OUT FILE...  makes a packed corpus of single files
 *     fuzz_x --unpack CORPUS DIR  takes it apart again, for libFuzzer
 * A packed corpus is a row of inputs, each behind its size in two bytes, low byte first. */
#include <time.h>

#include "fuzz.h"

enum { MOST_BYTES = 4096, MOST_INPUTS = 4096 };

static uint8_t *pack;
static size_t pack_bytes, input_at[MOST_INPUTS], input_size[MOST_INPUTS];
static int inputs;

static uint8_t *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "%s: cannot be opened\n", path);
        exit(2);
    }
    fseek(file, 0, SEEK_END);
    const long end = ftell(file);
    uint8_t *bytes = (uint8_t *)malloc(end > 0 ? (size_t)end : 1);
    rewind(file);
    *size = end > 0 && bytes ? fread(bytes, 1, (size_t)end, file) : 0;
    fclose(file);
    return bytes;
}

static void open_pack(const char *path)
{
    pack = read_file(path, &pack_bytes);
    for (size_t at = 0; at + 2 <= pack_bytes && inputs < MOST_INPUTS; inputs++) {
        input_size[inputs] = pack[at] | (size_t)pack[at + 1] << 8;
        input_at[inputs] = at + 2;
        at += 2 + input_size[inputs];
        if (at > pack_bytes) {
            fprintf(stderr, "%s: ends inside an input\n", path);
            exit(2);
        }
    }
}

#ifdef FUZZ_PACK_ONLY /* the tool alone: it runs nothing */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)data;
    return size > 0;
}
#endif

/* A copy of just its bytes, so that a sanitizer sees the first one read beyond it. */
static void run(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = (uint8_t *)malloc(size ? size : 1);
    memcpy(copy, bytes, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

/* An input of the corpus with some bytes changed, cut or joined with another; or random bytes. */
static size_t make_input(uint64_t key, uint8_t *bytes)
{
    uint64_t r = fuzz_mix(key);
    size_t size = r % 97, first = 0;
    if (inputs > 0 && r >> 32 & 1) {
        const int i = (int)(r >> 33) % inputs;
        first = input_size[i] < MOST_BYTES ? input_size[i] : MOST_BYTES;
        memcpy(bytes, pack + input_at[i], first);
        if (r >> 20 & 1 && first > 0) first = (size_t)(r >> 40) % first;
        if (size < first) size = first;
    }
    for (size_t i = first; i < size; i++) bytes[i] = (uint8_t)(fuzz_mix(key * 1031 + i) >> 24);
    for (uint64_t n = r >> 60; n-- > 0 && size > 0;) {
        r = fuzz_mix(r);
        bytes[r % size] = (uint8_t)(r >> 48);
    }
    return size;
}

static int run_random(uint64_t count, uint64_t seed)
{
    static uint8_t bytes[MOST_BYTES + 128];
    const time_t start = time(NULL);
    for (uint64_t n = 0; n < count; n++) {
        const size_t size = make_input(seed * 0x100000001b3u + n, bytes);
        run(bytes, size);
    }
    printf("%llu inputs from seed %llu in %ld s\n1 passed, 0 failed\n", (unsigned long long)count,
           (unsigned long long)seed, (long)(time(NULL) - start));
    return 0;
}

static int write_pack(int argc, char **argv)
{
    FILE *out = fopen(argv[2], "wb");
    if (!out) return 2;
    for (int i = 3; i < argc; i++) {
        size_t size;
        uint8_t *bytes = read_file(argv[i], &size);
        if (size <= MOST_BYTES) {
            fputc((int)(size & 255), out);
            fputc((int)(size >> 8), out);
            fwrite(bytes, 1, size, out);
        }
        free(bytes);
    }
    return fclose(out) != 0;
}

static int unpack(const char *directory)
{
    char path[1024];
    for (int i = 0; i < inputs; i++) {
        snprintf(path, sizeof path, "%s/%04d", directory, i);
        FILE *out = fopen(path, "wb");
        if (!out || fwrite(pack + input_at[i], 1, input_size[i], out) != input_size[i]) return 2;
        fclose(out);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 3 && strcmp(argv[1], "--pack") == 0) return write_pack(argc, argv);
    if (argc == 4 && strcmp(argv[1], "--unpack") == 0) {
        open_pack(argv[2]);
        return unpack(argv[3]);
    }
    if (argc >= 4 && strcmp(argv[1], "--random") == 0) {
        if (argc > 4) open_pack(argv[4]);
        return run_random(strtoull(argv[2], NULL, 0), strtoull(argv[3], NULL, 0));
    }
    if (argc != 2) {
        fprintf(stderr,
                "usage: %s CORPUS | --random N SEED [CORPUS] | --pack OUT FILE... | "
                "--unpack CORPUS DIR\n",
                argv[0]);
        return 2;
    }
    open_pack(argv[1]);
    for (int i = 0; i < inputs; i++) run(pack + input_at[i], input_size[i]);
    printf("%d passed, %d failed\n", inputs, inputs == 0);
    return inputs == 0;
}
