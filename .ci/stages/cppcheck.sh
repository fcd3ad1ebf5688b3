# cppcheck: static analysis of src/, file by file and as the one unit that it becomes.
. .ci/lib.sh
need cppcheck=cppcheck
opts="-q --error-exitcode=1 --enable=warning,portability --std=c99 --inline-suppr"
job "src/ file by file" "cppcheck $opts -j 2 --suppress=toomanyconfigs src/"
job "the whole unit" "cppcheck $opts -DAITER_ATTN_IMPLEMENTATION tests/header/unit_implementation.c -I."
finish
