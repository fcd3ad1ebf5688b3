#!/usr/bin/env bash
# Twelve sums, three loads and a broadcast are sixteen registers: does a compiler keep them there?
#
# Expected: a 4 x 3 tile of products in AVX2 intrinsics, the usual inner loop of attention and matrix products on CPUs
# before AVX-512, needs the 16 vector registers exactly, in the order in which it is written; no sum goes to the stack.
# Seen, Zig 0.16.0 (ziglang on PyPI, its clang): the next broadcast is loaded before the last product with the one before,
# a seventeenth value, and a sum is stored and loaded at every step. Debian's clang 19 and LLVM's clang 22 do so, too;
# Debian's clang 14 does not. An empty asm statement that ties the index to the three sums keeps the order and the sums.
# What follows: a prefill ran at about half of gcc's speed there (Xeon, family 6 model 85); look at the assembly of each
# compiler, and count accesses to the stack.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/python" -m pip install -q --disable-pip-version-check ziglang==0.16.0
cat >"$dir/tile.c" <<'C'
#include <immintrin.h>

__attribute__((target("avx2,fma"))) void tile(float *st, const float *k, long stride, long dim, const float *q)
{
    __m256 sum[4][3];
    for (int i = 0; i < 4; i++)
        for (int c = 0; c < 3; c++) sum[i][c] = _mm256_setzero_ps();
    for (long d = 0; d < dim; d++, q += 24) {
        const __m256 q0 = _mm256_loadu_ps(q), q1 = _mm256_loadu_ps(q + 8), q2 = _mm256_loadu_ps(q + 16);
        for (int i = 0; i < 4; i++) {
            const __m256 x = _mm256_set1_ps(k[i * stride + d]);
            sum[i][0] = _mm256_fmadd_ps(x, q0, sum[i][0]);
            sum[i][1] = _mm256_fmadd_ps(x, q1, sum[i][1]);
            sum[i][2] = _mm256_fmadd_ps(x, q2, sum[i][2]);
#ifdef ORDERED
            __asm__("" : "+r"(d) : "x"(sum[i][0]), "x"(sum[i][1]), "x"(sum[i][2]));
#endif
        }
    }
    for (int i = 0; i < 4; i++)
        for (int c = 0; c < 3; c++) _mm256_storeu_ps(st + (i * 3 + c) * 8, sum[i][c]);
}
C
# Vector registers stored to the stack.
spills() {
    "$dir/venv/bin/python" -m ziglang cc -target x86_64-linux-gnu -mcpu=baseline -O3 "$@" -S "$dir/tile.c" -o "$dir/tile.s"
    grep -cE '%ymm[0-9]+, .*\(%rsp\)' "$dir/tile.s" || true
}
as_written=$(spills -DPLAIN)
ordered=$(spills -DORDERED)
echo "sums stored at a step: $as_written as written, $ordered with the order kept"
[ "$as_written" -ge 1 ] && [ "$ordered" -eq 0 ]
