# tiers: all tests under the kernel sets of this machine below its best, capped by AITER_ISA; the best
# is what the stage test takes. The programs are the README's, built once for both.
. .ci/lib.sh
need cc=gcc cmake=cmake make=make
build_readme_tests
job "tier" "cc -O1 -I. -DAITER_ATTN_IMPLEMENTED tests/header/tier.c $readme_tests/libimplementation.a \
    -o $dir/tier -lm -lpthread -ldl"
run_jobs
best=$("$dir/tier")
for isa in scalar avx2 avx512 neon; do
    got=$(AITER_ISA=$isa "$dir/tier")
    if [ "$got" != "$isa" ]; then
        echo "NOT RUN: $isa, because this machine has $best at most"
    elif [ "$isa" = "$best" ]; then
        echo "$isa: the best of this machine, run by the stage test"
    else
        run_tests $readme_tests env AITER_ISA=$isa AITER_TEST_BUDGET=${AITER_TEST_BUDGET:-4e8}
    fi
done
finish
