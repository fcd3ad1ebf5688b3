# asan: all tests under AddressSanitizer and UndefinedBehaviorSanitizer, against src/, so that a
# report names its file.
. .ci/lib.sh
need gcc=gcc
# The decode loop's failing calls count what is lost themselves, and bring a whole library; the others
# make calls that their neighbours make, too.
full || names=$(all_tests | grep -Ev '^test_(decode_fault|determinism|spec_shapes|cells)$')
tested=src/spine.h light_flags=-O0 build_tests $dir/bin gcc -O1 -g1 -fno-omit-frame-pointer \
    -fsanitize=address,undefined -fno-sanitize-recover=all
run_tests $dir/bin env AITER_TEST_BUDGET=${AITER_TEST_BUDGET:-3e7} \
    UBSAN_OPTIONS=print_stacktrace=1 ASAN_OPTIONS=allocator_may_return_null=1
finish
