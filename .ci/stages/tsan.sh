# tsan: the tests that run threads, under ThreadSanitizer.
. .ci/lib.sh
need gcc=gcc setarch=util-linux
# Those that start threads.
names=$(all_tests | grep -E "thread|engine|context|pool|determinism|gpu_failures|fork")
build_tests $dir/bin gcc -O1 -g -fsanitize=thread
# A kernel with wide address randomisation leaves gcc 12's sanitizer no room: switch it off.
run_tests $dir/bin env AITER_TEST_BUDGET=${AITER_TEST_BUDGET:-1e8} setarch -R
finish
