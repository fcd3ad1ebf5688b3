#!/bin/sh
# decode_recall.sh -- the model of the repository answers every held-out prompt, and the text does
# not depend on threads, page size or what else is in the batch.
#
#     tests/decode_recall.sh [decode_loop]        builds the program when none is given
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
model=$root/examples/small.gguf

# One file for each prompt, one line for each answer and distance from fact to question.
awk -F'\t' -v dir="$work" '!/^#/ {
    file = sprintf("%s/prompt%04d", dir, n++)
    gsub(/\\n/, "\n", $4)
    printf "%s\n", $4 > file
    close(file)
    print $3 > (dir "/answers")
    if ($2 + 0 >= 300) far++
} END { print n, far + 0 > (dir "/counts") }' "$root/tests/data/recall_prompts.txt"
read -r count far <"$work/counts"
ok "at least 500 prompts, got $count" [ "$count" -ge 500 ]
ok "half of the facts stand 300 tokens before their question, got $far of $count" \
    [ $((2 * far)) -ge "$count" ]

generate() { # generate output prompts options...: greedy texts of the prompt files
    out=$1
    files=$2
    shift 2
    # shellcheck disable=SC2046
    "$program" -m "$model" -n 24 --quiet "$@" $(sed 's/^/-f /' "$files") >"$out" || {
        echo "FAIL: exit status $? of $*"
        failed=$((failed + 1))
    }
}

exact() { # exact texts answers: how many texts, less blanks around them, are the answers
    awk -v answers="$2" 'function check() {
        gsub(/^[ \n]+|[ \n]+$/, "", text)
        if ((getline wanted < answers) > 0 && text == wanted) right++
        text = ""
    }
    $0 == "---" { check(); next }
    { text = text $0 "\n" }
    END { check(); print right + 0 }' "$1"
}

# All prompts: f32, int8, fp8, int4, and blind beyond 64 tokens.
ls "$work"/prompt???? >"$work/all"
generate "$work/f32" "$work/all" --cache-type f32
generate "$work/int8" "$work/all" --cache-type int8
generate "$work/fp8" "$work/all" --cache-type fp8
generate "$work/int4" "$work/all" --cache-type int4
generate "$work/window" "$work/all" --cache-type f32 --last-tokens 64
f32=$(exact "$work/f32" "$work/answers")
int8=$(exact "$work/int8" "$work/answers")
fp8=$(exact "$work/fp8" "$work/answers")
int4=$(exact "$work/int4" "$work/answers")
window=$(exact "$work/window" "$work/answers")
echo "exact answers of $count: $f32 with an f32 cache, $int8 with int8, $fp8 with fp8," \
    "$int4 with int4, $window with the last 64 tokens only"
ok "98 % with an f32 cache" [ $((100 * f32)) -ge $((98 * count)) ]
ok "at most one point less with int8" [ $((100 * int8)) -ge $((100 * f32 - count)) ]
ok "at most two points less with fp8" [ $((100 * fp8)) -ge $((100 * f32 - 2 * count)) ]
ok "at most two points less with int4" [ $((100 * int4)) -ge $((100 * f32 - 2 * count)) ]
ok "below 30 % with the last 64 tokens" [ $((100 * window)) -lt $((30 * count)) ]

# Every tenth prompt, in many ways: one text.
awk 'NR % 10 == 1' "$work/all" >"$work/some"
generate "$work/one" "$work/some" -t 1
ok "the variants have something to compare" [ "$(grep -c -- '^---$' "$work/one")" -ge 50 ]
variant() { # variant name options...
    name=$1
    shift
    generate "$work/other" "$work/some" "$@"
    ok "the same text with $name" cmp -s "$work/one" "$work/other"
}
variant "2 threads" -t 2
variant "3 threads" -t 3
variant "pages of 1" --page-size 1
variant "pages of 64" --page-size 64
variant "a cache for one prompt at a time" -c 800 --page-size 16

# Alone, and in the opposite order.
tail -n 6 "$work/some" >"$work/few"
sed '1!G;h;$!d' "$work/few" >"$work/reversed"
generate "$work/together" "$work/few" --cache-type int8
generate "$work/opposite" "$work/reversed" --cache-type int8
: >"$work/alone"
while read -r file; do
    echo "$file" >"$work/single"
    generate "$work/text" "$work/single" --cache-type int8
    [ -s "$work/alone" ] && echo --- >>"$work/alone"
    cat "$work/text" >>"$work/alone"
done <"$work/few"
awk '{ if ($0 == "---") n++; else text[n + 0] = text[n + 0] $0 "\n" }
    END { for (i = n; i >= 0; i--) printf "%s%s", text[i], i ? "---\n" : "" }' \
    "$work/opposite" >"$work/turned"
ok "alone as together" cmp -s "$work/together" "$work/alone"
ok "in any order" cmp -s "$work/together" "$work/turned"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
