# fastmath: the same tests pass when the user's flags break floating point. With clang 19 an infinity
# does not survive a call under -ffast-math, so an oracle cannot be compiled so: there only the library
# is, and the tests that link it are not.
. .ci/lib.sh
need gcc=gcc clang-19=clang-19
names=$(library_tests) inside_flags= build_tests $dir/gcc gcc -Ofast -ffast-math
names=$(public_tests) implementation_flags=-ffast-math build_tests $dir/clang clang-19 -O3
budget=${AITER_TEST_BUDGET:-4e8}
names=$(library_tests) run_tests $dir/gcc env AITER_TEST_BUDGET=$budget
names=$(public_tests) run_tests $dir/clang env AITER_TEST_BUDGET=$budget
finish
