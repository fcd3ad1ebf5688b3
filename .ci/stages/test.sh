# test: the command of the README.
. .ci/lib.sh
need cc=gcc cmake=cmake make=make
flock build/ci/test.lock cmake --workflow --preset test 2>&1
rc=$?
log=build/test/Testing/Temporary/LastTest.log
read -r total_passed total_failed < <(counts_in "$log")
[ $rc -eq 0 ] || total_failed=$((total_failed + 1))
finish
