# lib.sh: what the stages share: installing tools, running checks two at a time, counting them.
# Sourced by .ci/stages/*.sh, from the root of the repository.
set -u
stage=$(basename "$0" .sh)
dir=build/ci/$stage
jobs=$(nproc)
[ "$jobs" -le 2 ] || jobs=2
mkdir -p "$dir/jobs"
job_count=0
exec 9>build/ci/install.lock # two stages run at a time: one installs, and none sees half a package

# need COMMAND=PACKAGE...: installs the packages whose commands are missing.
need() {
    local pair missing=()
    flock 9
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
    flock -u 9
}

install_packages() {
    local sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    export DEBIAN_FRONTEND=noninteractive
    flock 9
    $sudo apt-get update -qq >/dev/null &&
        $sudo apt-get install -y -qq --no-install-recommends "$@" >/dev/null || exit 1
    flock -u 9
}

# A private Python with the packages named; $python runs it.
need_python() {
    python=build/ci/venv/bin/python
    flock 9
    if [ ! -x "$python" ]; then
        python3 -c 'import venv, ensurepip' 2>/dev/null || install_packages python3-venv
        python3 -m venv build/ci/venv || exit 1
    fi
    [ $# -eq 0 ] || "$python" -m pip install -q --disable-pip-version-check "$@" || exit 1
    flock -u 9
}

# $zig runs Zig 0.16. Beside libc6-dev-i386, Zig takes /usr/include for the folder of this machine's
# own headers, and has to be told.
need_zig() {
    local own
    need_python ziglang==0.16.0
    zig="$PWD/build/ci/venv/zig"
    flock 9
    printf '#!/bin/sh\nexec "%s" -m ziglang "$@"\n' "$PWD/$python" >"$zig.$stage"
    chmod +x "$zig.$stage" && mv "$zig.$stage" "$zig"
    flock -u 9
    own=/usr/include/$(gcc -print-multiarch 2>/dev/null)
    if [ -d "$own/asm" ]; then
        "$zig" libc | sed "s|^sys_include_dir=.*|sys_include_dir=$own|" >"$dir/libc"
        export ZIG_LIBC=$PWD/$dir/libc
    fi
}

# $zig17 runs Zig 0.17, beside it, for targets whose libc it brings along.
need_zig17() {
    need_python
    zig17="env -u ZIG_LIBC PYTHONPATH=$PWD/build/ci/zig17 $PWD/$python -m ziglang"
    flock 9
    [ -d build/ci/zig17 ] || "$python" -m pip install -q --disable-pip-version-check \
        --target build/ci/zig17 ziglang==0.17.1 || exit 1
    flock -u 9
}

# Whether this is `.ci/run full`.
full() { [ -n "${AITER_CI_FULL:-}" ]; }

# job LABEL COMMAND: a shell command that must exit 0; one check.
job() {
    job_count=$((job_count + 1))
    printf '%s\n' "$1" >"$dir/jobs/$job_count.label"
    printf '%s\n' "$2" >"$dir/jobs/$job_count.sh"
}

# job_counted LABEL COMMAND: must also print `N passed, N failed`; these are its checks.
job_counted() {
    job "$@"
    touch "$dir/jobs/$job_count.counted"
}

# Sums the lines `N passed, N failed` of a file: prints two numbers.
counts_in() {
    cat "$1" | awk '/^[0-9]+ passed, [0-9]+ failed$/ { p += $1; f += $3 } END { print p + 0, f + 0 }'
}

# Runs the jobs gathered so far, then adds up and prints what they found.
total_passed=0
total_failed=0
run_jobs() {
    local i passed failed rc seconds
    seq 1 "$job_count" | xargs -P "$jobs" -I{} bash -c '
        start=$(date +%s)
        bash "$0/{}.sh" >"$0/{}.log" 2>&1
        echo "$? $(($(date +%s) - start))" >"$0/{}.rc"' "$dir/jobs"
    for i in $(seq 1 "$job_count"); do
        read -r rc seconds <"$dir/jobs/$i.rc"
        passed=1 failed=0
        if [ -e "$dir/jobs/$i.counted" ]; then
            read -r passed failed < <(counts_in "$dir/jobs/$i.log")
            [ "$passed" -gt 0 ] || [ "$failed" -gt 0 ] || rc=1
            printf '%-44s %9d passed %6d failed %5d s\n' "$(cat "$dir/jobs/$i.label")" \
                "$passed" "$failed" "$seconds"
        fi
        if [ "$rc" -ne 0 ]; then
            [ "$failed" -gt 0 ] || failed=1
            [ -e "$dir/jobs/$i.counted" ] || passed=0
            echo "FAILED ($rc): $(cat "$dir/jobs/$i.label")"
            cat "$dir/jobs/$i.sh"
            tail -n 25 "$dir/jobs/$i.log"
        fi
        total_passed=$((total_passed + passed))
        total_failed=$((total_failed + failed))
        rm -f "$dir/jobs/$i".*
    done
    job_count=0
}

# The end of a stage.
finish() {
    [ "$job_count" -eq 0 ] || run_jobs
    echo "$total_passed $total_failed" >"$dir/counts"
    echo "$stage: $total_passed passed, $total_failed failed"
    [ "$total_failed" -eq 0 ]
    exit $?
}

# The test programs, by name: all, or those of the library alone.
all_tests() { basename -s .c tests/test_*.c; }
library_tests() { all_tests | grep -Ev '^test_(gguf|weights|tokenizer|decode_.*)$'; }
# Those that include declarations alone; the others have a copy of all but the kernels.
looks_inside() { grep -qE 'aiteri_|AITERI_|AITER_ATTN_HIP' "tests/$1.c"; }
public_tests() { library_tests | while read -r name; do looks_inside "$name" || echo "$name"; done; }

# build_tests FOLDER COMPILER FLAGS...: compiles the tests named in $names (default: all) into FOLDER.
# All are linked with one implementation, compiled with $implementation_flags, too, from $tested
# (default: the packed header), to be found in the folder $root (default: this one). The tests
# themselves are compiled with $test_flags (default: -O1) behind the others; those that look inside
# with $inside_flags (default: the same), those without the oracle with $light_flags (the same).
build_tests() {
    local out=$1 name header how
    shift
    local linked="'-DAITER_TEST_LINKED=\"${tested:-aiter_attn.h}\"' -I${root:-.} -I. -Itests"
    mkdir -p "$out"
    echo "-- $*"
    job "implementation: $* ${implementation_flags:-}" "$* ${implementation_flags:-} $linked \
        -c tests/header/linked.c -o $out/implementation.o"
    for name in ${names:-$(all_tests)}; do
        header=linked.h how=${test_flags--O1}
        ! looks_inside "$name" || header=inside.h how=${inside_flags-$how}
        grep -q '"reference.c"' "tests/$name.c" || how=${light_flags-$how}
        job "compile $name" "$* $how -std=gnu11 $linked \
            '-DAITER_TEST_HEADER=\"tests/header/$header\"' -c tests/$name.c -o $out/$name.o"
    done
    run_jobs
    for name in ${names:-$(all_tests)}; do
        how=$out/implementation.o
        ! grep -q '^#include ".*/decode_loop\.c"' "tests/$name.c" || how= # the whole example brings its own
        job "link $name" "$* $out/$name.o $how -o $out/$name -lm -lpthread -ldl"
    done
    run_jobs
}

# The tests as the README's command builds them, in build/test: made by the stage test, or here.
readme_tests=build/test
build_readme_tests() {
    job "the README's build" "flock build/ci/test.lock sh -c \
        'cmake --preset test && cmake --build --preset test --target tests'"
    run_jobs
}

# run_tests FOLDER PREFIX...: runs the tests in FOLDER that are named in $names (default: all), each
# under PREFIX (environment, emulator).
run_tests() {
    local folder=$1 name
    shift
    echo "-- $*"
    for name in ${names:-$(all_tests)}; do
        job_counted "$name" "$* $folder/$name"
    done
    run_jobs
}
