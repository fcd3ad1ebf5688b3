# targets: the scalar kernel set on CPUs that have no other: i386 with and without SSE arithmetic,
# armv7, riscv64 and big-endian s390x under emulation. Conversions and every op against the oracle;
# where a * b + c is rounded alike the bits of all results are equal, whatever CPU and flags.
# For x86-64 machines. i386 uses gcc's multilib of one version: gcc-multilib itself conflicts with
# the cross compilers.
. .ci/lib.sh
need gcc=gcc qemu-s390x=qemu-user arm-linux-gnueabihf-gcc=gcc-arm-linux-gnueabihf \
    riscv64-linux-gnu-gcc=gcc-riscv64-linux-gnu s390x-linux-gnu-gcc=gcc-s390x-linux-gnu
for pair in arm-linux-gnueabihf=armhf riscv64-linux-gnu=riscv64 s390x-linux-gnu=s390x; do
    [ -d "/usr/${pair%%=*}/include" ] || install_packages "libc6-dev-${pair#*=}-cross"
done
echo 'int main(void) { return 0; }' >"$dir/empty.c"
gcc -m32 "$dir/empty.c" -o "$dir/empty" 2>/dev/null ||
    install_packages "gcc-$(gcc -dumpversion)-multilib" libc6-dev-i386

budget="env AITER_TEST_BUDGET=${AITER_TEST_BUDGET:-1e6}"
header="-std=gnu11 -I. -Itests '-DAITER_TEST_HEADER=\"aiter_attn.h\"'"
arm="arm-linux-gnueabihf-gcc -static"
riscv="riscv64-linux-gnu-gcc -static"
s390x="s390x-linux-gnu-gcc -static"

# target NAME RUNNER COMPILER...: every op there; its line of bits is kept.
target() {
    local name=$1 runner=$2
    shift 2
    job_counted "$name: $*" "$* $header tests/header/target.c -o $dir/target_$name -lm -lpthread &&
        $budget $runner $dir/target_$name | tee $dir/bits_$name"
}
target x86_64 "" gcc -O1
target i386 "" gcc -m32 -O2
target i386_O0 "" gcc -m32 -O0
target i386_fast "" gcc -m32 -O3 -ffast-math
target i386_sse "" gcc -m32 -O1 -msse2 -mfpmath=sse
target x86_64_387 "" gcc -O1 -mfpmath=387
target armv7 qemu-arm "$arm" -O1
target riscv64 qemu-riscv64 "$riscv" -O1
target s390x qemu-s390x "$s390x" -O1
for name in dtype convert quantize; do
    for pair in "i386::gcc -m32" "armv7:qemu-arm:$arm" "riscv64:qemu-riscv64:$riscv" \
        "s390x:qemu-s390x:$s390x"; do
        IFS=: read -r cpu runner compiler <<<"$pair"
        job_counted "$cpu: $name" "$compiler -O1 $header tests/test_$name.c -o $dir/${name}_$cpu -lm \
            -lpthread && $budget $runner $dir/${name}_$cpu"
    done
done
run_jobs
for name in i386 i386_O0 i386_fast i386_sse x86_64_387 armv7; do
    job "bits of $name" "diff <(grep ^bits $dir/bits_x86_64) <(grep ^bits $dir/bits_$name)"
done
finish
