# tiers: all tests once per kernel set that this machine has, capped by AITER_ISA.
. .ci/lib.sh
need cc=gcc
job "tier" "cc -O1 -I. tests/header/tier.c -o $dir/tier -lm -lpthread"
build_tests bin cc -O2
for isa in scalar avx2 avx512 neon; do
    got=$(AITER_ISA=$isa "$dir/tier")
    if [ "$got" = "$isa" ]; then
        run_tests bin env AITER_ISA=$isa AITER_TEST_BUDGET=${AITER_TEST_BUDGET:-4e8}
    else
        echo "$isa: this machine has $("$dir/tier") at most, so it does not run here"
    fi
done
finish
