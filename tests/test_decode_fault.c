/* test_decode_fault.c -- the decode loop on the model of the repository, each time in a process of
 * its own: each allocation, thread, lock and file access fails once, for every n the n-th. It ends
 * with a status and one line of text, or with the right words, and loses nothing. */
#include "failing_calls.h"
#include "test.h"

#define main decode_main
#include "../examples/decode_loop.c"
#undef main
#include "failing_calls_end.inl.h"

#include <sys/wait.h>

enum { MOST_CALLS = 2000, TEXT = 1000 };

typedef struct outcome {
    int status;
    fault_kind kind;
    int64_t live;
    char out[TEXT], err[TEXT]; /* what it wrote */
} outcome;

static char *prompt_path;

static void read_back(FILE *file, char *text)
{
    rewind(file);
    text[fread(text, 1, TEXT - 1, file)] = 0;
}

/* One run whose n-th call fails; 0: none. */
static void run_once(int64_t n, outcome *result)
{
    static char program[] = "decode_fault", threads[] = "-t", three[] = "3", count[] = "-n";
    static char four[] = "4", quiet[] = "--quiet", file_flag[] = "-f", context[] = "-c";
    static char tokens[] = "64";
    char *argv[] = {program,   threads,     three,   count,  four, quiet,
                    file_flag, prompt_path, context, tokens, NULL};
    FILE *out = tmpfile(), *err = tmpfile();
    outcome *shared = (outcome *)mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child;
    int status = 0;
    shared->status = -1;
    child = fork();
    if (child == 0) {
        dup2(fileno(out), 1);
        dup2(fileno(err), 2);
        alarm(120);
        fault.live = 0;
        fault_arm(n);
        shared->status = decode_main(10, argv);
        shared->kind = fault_disarm();
        shared->live = fault.live;
        fflush(stdout);
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0, "call %d: ended by %x",
          (int)n, (unsigned)status);
    *result = *shared;
    read_back(out, result->out);
    read_back(err, result->err);
    fclose(out);
    fclose(err);
    munmap(shared, sizeof *shared);
}

int main(void)
{
    static outcome whole, got;
    char path[] = "/tmp/aiter_fault_XXXXXX";
    const char *text = "The capital of France is";
    int kinds[FAULT_FILE + 1] = {0, 0, 0, 0}, n, file = mkstemp(path);
    test_begin("decode_fault", 1e8);
    CHECK(write(file, text, strlen(text)) == (ssize_t)strlen(text), "no file");
    close(file);
    prompt_path = path;
    run_once(0, &whole);
    CHECK(whole.status == 0 && whole.out[0] && whole.live == 0, "%d: %s", whole.status, whole.err);
    for (n = 1; n < MOST_CALLS; n++) {
        run_once(n, &got);
        kinds[got.kind]++;
        CHECK(got.live == 0, "call %d: %d things lost: %s", n, (int)got.live, got.err);
        if (got.status == 0)
            CHECK(strcmp(got.out, whole.out) == 0, "call %d: other words: %s", n, got.out);
        else
            CHECK(got.kind != FAULT_NONE && got.err[0], "call %d: status %d, \"%s\"", n, got.status,
                  got.err);
        if (got.kind == FAULT_NONE) break;
    }
    unlink(path);
    CHECK(kinds[FAULT_NONE] == 1, "more than %d calls", MOST_CALLS);
    CHECK(kinds[FAULT_MEMORY] > 20 && kinds[FAULT_THREAD] >= 4 && kinds[FAULT_FILE] >= 5,
          "too few fail");
    test_say("decode_fault: %d allocations, %d threads and locks, %d files\n", kinds[FAULT_MEMORY],
             kinds[FAULT_THREAD], kinds[FAULT_FILE]);
    return test_end();
}
