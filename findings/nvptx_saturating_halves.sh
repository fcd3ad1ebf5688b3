#!/usr/bin/env bash
# A saturating sum of two pairs of 16-bit integers: how much is it in PTX?
#
# Expected: AMD's chips have v_pk_add_i16 with clamp, one instruction, and NVIDIA's have whole-word integer steps; clang's
# __builtin_elementwise_add_sat over a vector of two shorts becomes one there and about six here, for an addition of both
# halves can be kept apart by two masks.
# Seen, Zig 0.16.0 (ziglang on PyPI, its clang), sm_80 with PTX 8.0: fifteen instructions between the loads and the store. Each half
# is added, shifted, compared twice and selected for itself; the product of two pairs of f16 beside it is one mul.f16x2.
# For sm_90 there is add.s16x2, and what follows it stays: seventeen.
# What follows: decoding over fp8 on an H200 took 582 us in place of 414 while e4m3fnuz's NaN was made by such a sum; whole-word
# steps by hand (and, add, and-not, subtract, or) make it in six.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/python" -m pip install -q --disable-pip-version-check ziglang==0.16.0
cat >"$dir/sum.cu" <<'C'
typedef short s16x2 __attribute__((ext_vector_type(2)));
typedef _Float16 f16x2 __attribute__((ext_vector_type(2)));

extern "C" __attribute__((device)) s16x2 saturating(s16x2 a, s16x2 b) { return __builtin_elementwise_add_sat(a, b); }
extern "C" __attribute__((device)) f16x2 product(f16x2 a, f16x2 b) { return a * b; }
C
# Instructions of a function without its loads of parameters, store of the result and return.
steps() { # CHIP FUNCTION
    "$dir/venv/bin/python" -m ziglang clang -x cuda --cuda-device-only --cuda-gpu-arch="$1" --cuda-feature=+ptx80 \
        --cuda-path=/nonexistent -nocudainc -nocudalib -O3 -S "$dir/sum.cu" -o "$dir/sum.s"
    awk -v name="$2" '$0 ~ ".func.* " name "\\(" { inside = 1 } /^}/ { inside = 0 }
        inside && $1 ~ /^[a-z]+(\.[a-z0-9]+)+$/ && $1 !~ /^(ld|st)\.param/ && $1 != "ret;" { n++ } END { print n + 0 }' "$dir/sum.s"
}
sum=$(steps sm_80 saturating)
product=$(steps sm_80 product)
later=$(steps sm_90 saturating)
echo "sm_80: $sum for the sum, $product for the product; sm_90: $later for the sum"
[ "$sum" -eq 15 ] && [ "$product" -eq 1 ] && [ "$later" -eq 17 ]
