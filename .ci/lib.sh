# lib.sh: what the stages share: installing tools, running checks two at a time, counting them.
# Sourced by .ci/stages/*.sh, from the root of the repository.
set -u
stage=$(basename "$0" .sh)
dir=build/ci/$stage
jobs=$(nproc)
[ "$jobs" -le 2 ] || jobs=2
mkdir -p "$dir/jobs"
job_count=0

# need COMMAND=PACKAGE...: installs the packages whose commands are missing.
need() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    install_packages "${missing[@]}"
}

install_packages() {
    local sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    export DEBIAN_FRONTEND=noninteractive
    $sudo apt-get update -qq >/dev/null &&
        $sudo apt-get install -y -qq --no-install-recommends "$@" >/dev/null || exit 1
}

# A private Python with the packages named; $python runs it.
need_python() {
    python=build/ci/venv/bin/python
    if [ ! -x "$python" ]; then
        python3 -c 'import venv, ensurepip' 2>/dev/null || install_packages python3-venv
        python3 -m venv build/ci/venv || exit 1
    fi
    [ $# -eq 0 ] || "$python" -m pip install -q --disable-pip-version-check "$@" || exit 1
}

# $zig runs Zig 0.16.
need_zig() {
    need_python ziglang==0.16.0
    zig="$PWD/build/ci/venv/zig"
    printf '#!/bin/sh\nexec "%s" -m ziglang "$@"\n' "$PWD/$python" >"$zig"
    chmod +x "$zig"
}

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
# Those that link the implementation instead of looking inside it.
public_tests() { library_tests | while read -r name; do
    grep -qE 'aiteri_|AITERI_' "tests/$name.c" || echo "$name"; done; }

# build_tests OUT COMPILER FLAGS...: compiles the tests named in $names (default: all) into $dir/OUT,
# against the packed header. Those of the public face share one compiled implementation, which takes
# $implementation_flags too.
build_tests() {
    local out=$dir/$1 name how
    shift
    mkdir -p "$out"
    echo "-- $*"
    job "implementation: $* ${implementation_flags:-}" "$* ${implementation_flags:-} -I. '-DAITER_TEST_LINKED=\"aiter_attn.h\"' -c tests/header/linked.c \
        -o $out/implementation.o"
    run_jobs
    for name in ${names:-$(all_tests)}; do
        how="'-DAITER_TEST_HEADER=\"tests/header/linked.h\"' '-DAITER_TEST_LINKED=\"aiter_attn.h\"' \
            $out/implementation.o"
        if grep -qE 'aiteri_|AITERI_' "tests/$name.c" || ! library_tests | grep -qx "$name"; then
            how="'-DAITER_TEST_HEADER=\"aiter_attn.h\"'"
        fi
        job "compile $name" "$* -std=gnu11 -I. -Itests $how tests/$name.c -o $out/$name -lm -lpthread"
    done
    run_jobs
}

# run_tests OUT PREFIX...: runs what build_tests made, each under PREFIX (environment, emulator).
run_tests() {
    local out=$dir/$1 program
    shift
    echo "-- $*"
    for program in "$out"/test_*; do
        [ ! -x "$program" ] || job_counted "$(basename "$program")" "$* $program"
    done
    run_jobs
}
