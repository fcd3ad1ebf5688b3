#!/usr/bin/env bash
# Sixteen sums in plain C, an attention tile without intrinsics: gcc's -O3 is slower than its -O2.
#
# Expected: `for d: for i < 16: sum[i] += x[d] * q[d][i]` has no dependence between the sums, and a row of q lies as the
# sums do, so that every level from -O2 on gives four multiplications and four additions of four floats per step and one
# shuffle, which spreads x[d].
# Seen, gcc 12.2 (Debian 12, 12.2.0-14+deb12u1), x86-64 without -march: -O2 keeps the inner loop as a loop of one vector
# (1 mulps, 1 addps, 1 shufps). -O3 unrolls it first and then takes four steps of d at a time: it loads q by rows, turns
# 4 x 4 blocks, and has 36 mulps, 28 addps and 280 shuffles (144 shufps, 136 unpcklps and unpckhps). On a Xeon (family 6
# model 85), 128 steps: 827 ns at -O2, 1963 ns at -O3; clang 14 -O3 620, clang 19 -O3 355.
# What follows: a kernel that leaves its vectors to gcc 12 is to be built at -O2, or with -fno-tree-loop-vectorize behind
# its own unrolling; a portable fallback timed at -O3 is not as slow as it looks.
set -eu
version=12.2.0-14+deb12u1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
(
    cd "$dir"
    apt-get -o APT::Sandbox::User=root download -q "gcc-12=$version" "cpp-12=$version" libisl23 libmpc3 libmpfr6 >/dev/null
    for package in *.deb; do dpkg -x "$package" root; done
)
cat >"$dir/chains.c" <<'C'
void chains(float *restrict sum, const float *restrict x, const float *restrict q, int n)
{
    float kept[16];
    for (int i = 0; i < 16; i++) kept[i] = sum[i];
    for (int d = 0; d < n; d++, q += 16)
        for (int i = 0; i < 16; i++) kept[i] += x[d] * q[i];
    for (int i = 0; i < 16; i++) sum[i] = kept[i];
}
C
counts() { # counts -O2: multiplications, additions, shuffles
    LD_LIBRARY_PATH="$dir/root/usr/lib/x86_64-linux-gnu" "$dir/root/usr/bin/x86_64-linux-gnu-gcc-12" \
        -B"$dir/root/usr/lib/gcc/x86_64-linux-gnu/12" "$1" -S -o - "$dir/chains.c" | awk '{
            mul += $1 == "mulps"; add += $1 == "addps"
            turn += $1 == "shufps" || $1 == "unpcklps" || $1 == "unpckhps"
        } END { print mul, add, turn }'
}
echo "gcc $version: mulps, addps, shuffles at -O2: $(counts -O2), at -O3: $(counts -O3)"
[ "$(counts -O2)" = "1 1 1" ]
[ "$(counts -O3)" = "36 28 280" ]
