# mutate: every planted fault still applies, and the tests notice a sample of them, chosen by the
# commit; `.ci/run full` plants all, and the outcome is tools/mutate/results.md.
. .ci/lib.sh
need cc=gcc python3=python3
what="--sample ${MUTATE_SAMPLE:-24} --seed $(git rev-parse HEAD)" gpu=
if full; then
    flock build/ci/gpu.lock true # its kernels are made
    what="--all --results tools/mutate/results.md"
    [ ! -e build/ci/gpu/build/libcdna_hip.so ] || gpu="--gpu build/ci/gpu/build" # of the stage gpu
fi
job_counted "every fault applies" "python3 tools/mutate --check"
run_jobs
job_counted "planted faults" "CC=gcc python3 tools/mutate $what $gpu --folder $dir/build --jobs $jobs | tee $dir/log"
run_jobs
grep -E 'noticed|nobody|did not compile' "$dir/log"
finish
