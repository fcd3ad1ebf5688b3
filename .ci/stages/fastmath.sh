# fastmath: the same tests pass when the user's flags break floating point. With clang 19 an infinity
# does not survive a call under -ffast-math, so an oracle cannot be compiled so: there only the library
# is, and the tests that link it are not.
. .ci/lib.sh
need gcc=gcc clang-19=clang-19
# Where no number is computed there is nothing to break.
computing() { grep -Ev '^test_(gpu_.*|context.*|threads.*|plan|schedule|tensor|guide|security|memory|fault)$'; }
names=$(library_tests | computing) inside_flags= build_tests $dir/gcc gcc -Ofast -ffast-math
ops() { grep -E '^test_(flash_attn_fwd|paged_attn_decode|short_forms|extremes|merge_attn_states|reshape_and_cache|rope_fwd|quantize|arguments|messages)$'; }
names=$(public_tests | ops) implementation_flags=-ffast-math build_tests $dir/clang clang-19 -O3
budget=${AITER_TEST_BUDGET:-4e8}
names=$(library_tests | computing) run_tests $dir/gcc env AITER_TEST_BUDGET=$budget
names=$(public_tests | ops) run_tests $dir/clang env AITER_TEST_BUDGET=$budget
finish
