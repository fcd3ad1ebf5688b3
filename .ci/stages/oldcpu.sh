# oldcpu: one x86-64 binary runs on a CPU of 2008 and on one of 2013, and takes the right kernel set.
# For x86-64 machines.
. .ci/lib.sh
need gcc=gcc qemu-x86_64=qemu-user
job "tier" "gcc -O1 -I. tests/header/tier.c -o $dir/tier -lm -lpthread"
run_jobs
job "Nehalem takes scalar" "[ \$(qemu-x86_64 -cpu Nehalem $dir/tier) = scalar ]"
job "Haswell takes avx2" "[ \$(qemu-x86_64 -cpu Haswell $dir/tier) = avx2 ]"
names=$(library_tests)
build_tests bin gcc -O2
for model in Nehalem Haswell; do # the very same programs
    run_tests bin env AITER_TEST_BUDGET=${AITER_TEST_BUDGET:-5e6} qemu-x86_64 -cpu $model
done
best=$("$dir/tier")
if [ "$best" = avx512 ]; then
    echo "AVX-512: on this machine itself, in the stage tiers; qemu has none"
else
    echo "AVX-512: NOT TESTED: this machine has $best at most, and qemu has none"
fi
finish
