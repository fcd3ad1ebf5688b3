# asan: all tests under AddressSanitizer and UndefinedBehaviorSanitizer, against src/, so that a
# report names its file.
. .ci/lib.sh
need gcc=gcc
tested=src/spine.h build_tests $dir/bin gcc -O1 -g1 -fno-omit-frame-pointer \
    -fsanitize=address,undefined -fno-sanitize-recover=all
run_tests $dir/bin env AITER_TEST_BUDGET=${AITER_TEST_BUDGET:-1e8} \
    UBSAN_OPTIONS=print_stacktrace=1 ASAN_OPTIONS=allocator_may_return_null=1
finish
