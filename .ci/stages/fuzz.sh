# fuzz: the corpora under AddressSanitizer and UndefinedBehaviorSanitizer, then libFuzzer for a few
# seconds from a seed of this commit. tests/fuzz/README.md has the long runs.
. .ci/lib.sh
need clang-19=clang-19 git=git
out=$PWD/$dir/bin
job "build the fuzzers" "SAN_FLAGS=-O0 tests/fuzz/build.sh $out san"
run_jobs
seed=$((0x$(git rev-parse --short=6 HEAD 2>/dev/null || echo 1)))
for pack in tests/fuzz/corpus/*.pack; do
    name=$(basename "$pack" .pack)
    fuzzer="$out/san_$name -seed=$seed -rss_limit_mb=2000 -timeout=20 -max_len=1024 \
        -dict=tests/fuzz/gguf.dict -verbosity=0 -print_final_stats=1 -artifact_prefix=$dir/$name-"
    # Every input of the corpus, and the new ones, is a check.
    job_counted "$name" "mkdir -p $dir/$name && $out/pack --unpack $pack $dir/$name &&
        $fuzzer -max_total_time=${AITER_FUZZ_SECONDS:-8} $dir/$name >$dir/$name.log 2>&1; rc=\$?
        [ \$rc = 0 ] || grep -vE 'DEDUP|NEW|REDUCE' $dir/$name.log | tail -n 40
        awk '/number_of_executed_units/ { n = \$2 } END { printf \"%d passed, %d failed\\n\", n, !n }' $dir/$name.log
        exit \$rc"
done
finish
