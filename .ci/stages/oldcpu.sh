# oldcpu: the same x86-64 binaries, the README's, run on a CPU of 2008 and on one of 2013 and take the
# right kernel set there. For x86-64 machines.
. .ci/lib.sh
need cc=gcc cmake=cmake make=make qemu-x86_64=qemu-user
build_readme_tests
job "tier" "cc -O1 -I. -DAITER_ATTN_IMPLEMENTED tests/header/tier.c $readme_tests/libimplementation.a \
    -o $dir/tier -lm -lpthread -ldl"
run_jobs
job "Nehalem takes scalar" "[ \$(qemu-x86_64 -cpu Nehalem $dir/tier) = scalar ]"
# What qemu lacks of a Haswell it would say on descriptor 2, which the tests watch. Its masked loads
# touch the lanes that the mask hides, so that the page behind a buffer must be readable.
haswell="-cpu Haswell-noTSX,-pcid,-x2apic,-tsc-deadline,-invpcid -E AITER_TEST_READABLE_GUARD=1"
job "Haswell takes avx2" "[ \$(qemu-x86_64 $haswell $dir/tier) = avx2 ]"
# Not here: what no kernel set changes, what takes minutes and runs in the stage tiers on this machine
# itself, and a child forked beside threads, which ends in qemu-user.
without='^test_(threads_fork|op_sweeps|plan|program|properties|cells|flash_attn_fwd|paged_attn_decode|context|context_calls|determinism|extremes|hidden_keys|offsets|fault)$'
names=$(library_tests | grep -Ev "$without")
run_tests $readme_tests env AITER_TEST_BUDGET=${AITER_TEST_BUDGET:-5e6} qemu-x86_64 -cpu Nehalem
# On the later CPU each op, briefly: AVX2 itself runs in the stage tiers, and F16C follows DAZ in qemu,
# which no CPU does.
names=$(echo "$names" | grep -E '^test_(spec_shapes|short_forms|merge_attn_states|reshape_and_cache|quantize|rope_fwd)$')
run_tests $readme_tests env AITER_TEST_BUDGET=${AITER_TEST_BUDGET:-5e6} qemu-x86_64 $haswell
best=$("$dir/tier")
if [ "$best" = avx512 ]; then
    echo "AVX-512: on this machine itself, in the stage tiers; qemu has none"
else
    echo "AVX-512: NOT TESTED: this machine has $best at most, and qemu has none"
fi
finish
