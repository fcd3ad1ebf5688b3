#!/usr/bin/env bash
# What flushing subnormals does to f16 conversions: nothing on a CPU, zeros under an emulator.
#
# Expected: F16C's VCVTPH2PS and VCVTPS2PH ignore MXCSR's DAZ and FTZ as to the half number (Intel's manual, volume 2:
# a subnormal half is widened exactly, a half result may be subnormal), so that an engine may turn both on around its
# loops and an f16 cache keeps its smallest values; an emulator that offers F16C does the same.
# Seen, qemu-user 7.2 (Debian 12, 1:7.2+dfsg-7+deb12u18+b3), model Haswell: with DAZ the half 0x0001 is widened to 0, with
# FTZ 2^-24 is narrowed to 0. The CPU below it (Xeon, family 6 model 85) gives 2^-24 and 0x0001 in all four modes.
# What follows: tests of f16 conversions under subnormal flushing must run on the CPU itself; a difference between a
# CPU's bits and qemu's in an f16 cache is first of all a question of MXCSR.
set -eu
version=1:7.2+dfsg-7+deb12u18+b3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/half.c" <<'C'
#include <immintrin.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    static const unsigned modes[4] = {0x1f80, 0x1fc0, 0x9f80, 0x9fc0}; /* none, DAZ, FTZ, both */
    for (int i = 0; i < 4; i++) {
        volatile unsigned short smallest = 1;
        volatile float same = 0x1p-24f;
        unsigned bits;
        _mm_setcsr(modes[i]);
        float wide = _cvtsh_ss(smallest);
        unsigned short narrow = _cvtss_sh(same, 4);
        _mm_setcsr(modes[0]);
        memcpy(&bits, &wide, sizeof bits);
        printf("%04x:%08x:%04x ", modes[i], bits, narrow);
    }
    puts("");
    return 0;
}
C
gcc -O1 -mf16c "$dir/half.c" -o "$dir/half"
(cd "$dir" && apt-get -o APT::Sandbox::User=root download -q "qemu-user=$version" >/dev/null && dpkg -x qemu-user_*.deb qemu)
features=Haswell-noTSX,-pcid,-x2apic,-tsc-deadline,-invpcid
emulated=$("$dir/qemu/usr/bin/qemu-x86_64" -cpu "$features" "$dir/half")
echo "qemu-user $version: $emulated"
[ "$emulated" = "1f80:33800000:0001 1fc0:00000000:0001 9f80:33800000:0000 9fc0:00000000:0000 " ]
if grep -qw f16c /proc/cpuinfo; then
    real=$("$dir/half")
    echo "this CPU: $real"
    [ "$real" = "1f80:33800000:0001 1fc0:33800000:0001 9f80:33800000:0001 9fc0:33800000:0001 " ]
else
    echo "this CPU has no F16C: only the emulator was looked at"
fi
