# fastmath: the same tests pass when the user's flags break floating point.
. .ci/lib.sh
need gcc=gcc clang-19=clang-19
build_tests gcc gcc -Ofast -ffast-math
build_tests clang clang-19 -O3 -ffast-math
for out in gcc clang; do
    run_tests $out env AITER_TEST_BUDGET=${AITER_TEST_BUDGET:-4e8}
done
finish
