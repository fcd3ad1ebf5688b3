#!/usr/bin/env bash
# Builds the fuzzers twice with libFuzzer, into OUT: san_<name> under AddressSanitizer and
# UndefinedBehaviorSanitizer, fast_<name> with coverage counters alone; and copies run.sh and the
# corpora there, so that the folder runs on another machine of this architecture.
#     tests/fuzz/build.sh OUT [san|fast]
# CLANG names the compiler, SAN_FLAGS what the sanitized implementation is optimised by.
set -eu
out=$(realpath -m "$1")
variants=${2:-san fast}
cd "$(dirname "$0")/../.."
clang=${CLANG:-clang-19}
mkdir -p "$out"
for variant in $variants; do
    if [ "$variant" = san ]; then
        flags="${SAN_FLAGS:--O1} -g1 -fsanitize=fuzzer-no-link,address,undefined
            -fno-sanitize-recover=all"
        link=-fsanitize=fuzzer,address,undefined
    else
        flags="-O2 -g1 -fsanitize-coverage=inline-8bit-counters,pc-table"
        link=-fsanitize=fuzzer
    fi
    # shellcheck disable=SC2086
    "$clang" $flags -I. '-DAITER_TEST_LINKED="src/spine.h"' -c tests/header/linked.c \
        -o "$out/implementation.o" &
    for source in tests/fuzz/fuzz_*.c; do
        name=$(basename "$source" .c)
        # shellcheck disable=SC2086
        "$clang" $flags -I. -Itests '-DAITER_TEST_LINKED="src/spine.h"' \
            '-DAITER_TEST_HEADER="tests/header/linked.h"' -c "$source" -o "$out/$name.o"
    done
    wait $!
    for source in tests/fuzz/fuzz_*.c; do
        name=$(basename "$source" .c)
        implementation=$out/implementation.o
        ! grep -q src/plan/plan.c "$source" || implementation=
        # shellcheck disable=SC2086
        "$clang" $link "$out/$name.o" $implementation -o "$out/${variant}_${name#fuzz_}" -lm -lpthread
    done
done
"$clang" -O1 -DFUZZ_PACK_ONLY tests/fuzz/replay.c -o "$out/pack"
rm -f "$out"/*.o
cp tests/fuzz/run.sh tests/fuzz/gguf.dict tests/fuzz/corpus/*.pack "$out"
