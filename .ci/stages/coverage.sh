# coverage: lines and branches of src/ per kernel set, by the tests and the fuzzers' corpora. For
# `.ci/run coverage` alone: it compiles every test once more. The table goes to build/ci/coverage.
. .ci/lib.sh
need gcc=gcc python3=python3
job_counted "coverage" "python3 tools/coverage.py $PWD/$dir/out --list --table $dir/table.md"
finish
