#!/usr/bin/env bash
# Runs what build.sh made, for SECONDS, on JOBS processors; fails on any crash, leak or hang.
#     OUT/run.sh SECONDS [JOBS] [SEED]
# Prints a line per fuzzer: executions, edges reached, and the inputs that the corpus grew to. With
# eight jobs or more each fuzzer has a sanitized job, the others are fast ones.
set -u
seconds=$1
jobs=${2:-$(nproc)}
seed=${3:-1}
cd "$(dirname "$0")" || exit 1
export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
mkdir -p log crashes
rm -f log/* crashes/*
order=(san_args san_plan san_gguf san_tiers fast_args fast_gguf fast_plan fast_args
    fast_gguf fast_args fast_tiers fast_plan fast_args fast_args fast_plan fast_tiers)
for ((i = 0; i < jobs; i++)); do
    program=${order[$((i % ${#order[@]}))]}
    [ -x "$program" ] || continue
    name=${program#*_}
    mkdir -p "work/$name.$i"
    ./pack --unpack "$name.pack" "work/$name.$i"
    "./$program" -seed=$((seed * 1000 + i)) -max_total_time="$seconds" -max_len=1024 -timeout=20 \
        -rss_limit_mb=2000 -dict=gguf.dict -entropic=0 -print_final_stats=1 -verbosity=0 \
        -artifact_prefix="crashes/$program-" "work/$name.$i" >"log/$program.$i" 2>&1 &
    pids[i]=$!
done
failed=0
for ((i = 0; i < jobs; i++)); do
    [ -n "${pids[i]:-}" ] || continue
    wait "${pids[i]}" || failed=$((failed + 1))
done
total=0
printf '%-12s %6s %14s %10s\n' fuzzer jobs executions inputs
for program in $(printf '%s\n' "${order[@]}" | sort -u); do
    logs=(log/"$program".*)
    [ -e "${logs[0]}" ] || continue
    runs=$(cat "${logs[@]}" | awk '/number_of_executed_units/ { n += $2 } END { print n + 0 }')
    new=$(cat "${logs[@]}" | awk '/new_units_added/ { n += $2 } END { print n + 0 }')
    total=$((total + runs))
    printf '%-12s %6d %14d %10d\n' "$program" ${#logs[@]} "$runs" "$new"
done
if [ $failed -gt 0 ]; then
    echo "$failed jobs failed:"
    ls crashes
    grep -hE 'runtime error|ERROR|fuzz_[a-z]*\.c:[0-9]+:|SUMMARY' log/* | sort | uniq -c | sort -rn | head -n 20
fi
echo "$total executions in $seconds s on $jobs jobs, seed $seed"
echo "$((failed == 0)) passed, $failed failed"
[ $failed -eq 0 ]
