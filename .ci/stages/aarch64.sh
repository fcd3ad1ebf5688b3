# aarch64: cross-built and run under qemu with a small budget: NEON against scalar, scalar against
# the reference, at the smallest shapes that cross each edge.
. .ci/lib.sh
need aarch64-linux-gnu-gcc=gcc-aarch64-linux-gnu qemu-aarch64=qemu-user clang-14=clang-14 \
    clang-19=clang-19 clang-22=clang-22
[ -d /usr/aarch64-linux-gnu/include ] || install_packages libc6-dev-arm64-cross
cc="aarch64-linux-gnu-gcc -static"
# A child forked beside threads ends in qemu-user; the decode loop 82 times takes minutes there.
without='threads_fork|decode_fault'
# What has no instruction of its own runs natively, in minutes less.
full || without="$without|offsets|op_sweeps|plan|context_calls|program|determinism|properties|spec_shapes|cells|gpu_.*"
names=$(all_tests | grep -Ev "^test_($without)\$")
build_tests $dir/bin $cc -O2
for clang in clang-14 clang-19 clang-22; do
    job "$clang" "$clang --target=aarch64-linux-gnu -isystem /usr/aarch64-linux-gnu/include -O2 -I. \
        -c tests/header/implementation.c -o $dir/$clang.o"
done
job "tier" "$cc -O1 -I. -DAITER_ATTN_IMPLEMENTED tests/header/tier.c $dir/bin/implementation.o \
    -o $dir/tier -lm -lpthread"
run_jobs
job "takes neon" "[ \$(qemu-aarch64 $dir/tier) = neon ]"
for object in bin/implementation clang-14 clang-19 clang-22; do
    job_counted "$object: hot loops" "python3 tests/isa/check_loops.py $dir/$object.o \
        --objdump aarch64-linux-gnu-objdump"
done
run_tests $dir/bin env AITER_TEST_BUDGET=${AITER_TEST_BUDGET:-2e7} qemu-aarch64
finish
