# coverage: lines and branches of src/ per kernel set, by the tests and the fuzzers' corpora. For
# `.ci/run coverage` and full runs: it compiles every test once more.
. .ci/lib.sh
need gcc=gcc python3=python3
job_counted "coverage" "python3 tools/coverage.py $PWD/$dir/out --list"
finish
