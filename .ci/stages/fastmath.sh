# fastmath: the same tests pass when the user's flags break floating point. With clang 19 an infinity
# does not survive a call under -ffast-math, so an oracle cannot be compiled so: there only the library
# is, and the tests that link it are not.
. .ci/lib.sh
need gcc=gcc clang-19=clang-19
names=$(library_tests) build_tests gcc gcc -Ofast -ffast-math
names=$(public_tests) implementation_flags=-ffast-math build_tests clang clang-19 -O3
for out in gcc clang; do
    run_tests $out env AITER_TEST_BUDGET=${AITER_TEST_BUDGET:-4e8}
done
finish
