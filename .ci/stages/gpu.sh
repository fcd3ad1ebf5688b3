# gpu: the kernels compiled with Zig 0.16 by CMake, for one chip with the other compilers; what the
# compiler made of them; the library that carries them; the emulator and its own tests; waits and
# barriers taken away; the CPU's test cases and the table of what runs on both emulated chips.
. .ci/lib.sh
exec 8>build/ci/gpu.lock
flock 8 # mutate waits for the kernels
need cc=gcc c++=g++ cmake=cmake make=make clang-22=clang-22 ld.lld-22=lld-22 llvm-objdump-22=llvm-22
need_zig
[ -e /usr/include/hip/hip_runtime_api.h ] || install_packages libamdhip64-dev # HIP 5.2 and its header
build=$PWD/$dir/build
configure="cmake -S . -DAITER_ATTN_GPU_KERNELS=ON -DBUILD_TESTING=OFF -DCMAKE_BUILD_TYPE=Release"
job_counted "all kernels, Zig by CMake" \
    "$configure -B $build -DAITER_ATTN_GPU_COMPILER=$zig &&
     cmake --build $build -j$jobs --target gpu aiter_attn_kernels && echo 1 passed, 0 failed"
run_jobs
job_counted "the emulator" "cmake --build $build -j$jobs --target cdna_tests cdna_programs naive \
    compare_attention && echo 1 passed, 0 failed"
run_jobs
emulator="AITER_ATTN_HIP_LIBRARY=$build/libcdna_hip.so"
code() { echo "CDNA_CODE_OBJECTS=$(printf ":$build/kernels/aiter_%s.co" "$@" | cut -c2-)"; }
job_counted "cdna_test_opcodes" "$(code gfx90a gfx942 gfx950) CDNA_OPCODES=$dir/opcodes $build/cdna_test_opcodes"
# Each program on each chip, with each seed (the order of waves) once; full: with both on both.
emulated() { # PROGRAM CHIP SEED [GROUPS of cases]
    job_counted "$1, emulated $2, seed $3${4:+, ${4%% *}}" "CDNA_CHIP=$2 CDNA_SEED=$3 $emulator \
        ${4:+AITER_TEST_ONLY='$4'} CDNA_EXECUTED=$dir/executed_$1_$2_$3${4:+_${4%% *}} \
        $build/$1 hip $build/kernels"
}
emulated run_attention gfx942 0
if full; then
    emulated run_attention gfx942 1
    emulated run_attention gfx950 0
    emulated run_attention gfx950 1
else # on the second chip what its instructions make different: its loops, types and conversions
    emulated run_attention gfx950 1 "bf16 alone whole_rows plain options sources decodes int8 fp8 \
layouts values cache"
    emulated run_attention gfx950 1 "f16 alone whole_rows plain decodes values"
fi
for program in run_large run_graph run_plan; do
    case $program in run_plan) first=0 ;; *) first=1 ;; esac
    emulated $program gfx942 $first
    emulated $program gfx950 $((1 - first))
    if full; then
        emulated $program gfx942 $((1 - first))
        emulated $program gfx950 $first
    fi
done
for chip in gfx942 gfx950; do
    # The same calls on every chip, of kernels that run_attention judges: once.
    [ $chip = gfx942 ] && ! full ||
        job_counted "run_cells, emulated $chip" "CDNA_CHIP=$chip CDNA_SEED=2 $emulator \
            CDNA_EXECUTED=$dir/executed_run_cells_${chip}_2 $build/run_cells hip $build/kernels docs/gpu_cells.md"
    [ $chip = gfx950 ] && ! full ||
        job_counted "cdna_test_sabotage, $chip" "$(code $chip) $build/cdna_test_sabotage | tee $dir/sabotage_$chip"
done
job_counted "run_devices, two emulated devices" "CDNA_DEVICES=2 $emulator $build/run_devices hip $build/kernels"
for program in "$build"/cdna_test_*; do
    name=$(basename "$program")
    case $name in *_opcodes | *_sabotage) continue ;; esac
    job_counted "$name" "CDNA_TEST_CODE=$build/cdna $(code gfx942 gfx950) $program | tee $dir/$name"
done
job_counted "every driver call fails, emulated" "AITER_ATTN_HIP_LIBRARY=$build/libcdna_hip.so \
    $build/run_failures hip $build/kernels"
job_counted "no HIP library" "AITER_ATTN_HIP_LIBRARY=libamdhip64.so.0 $build/run_no_device hip 'cannot be loaded'"
job_counted "no CUDA library" "AITER_ATTN_CUDA_LIBRARY=libcuda.so.0 $build/run_no_device cuda 'cannot be loaded'"
job_counted "Debian's HIP, no GPU" "AITER_ATTN_HIP_LIBRARY=libamdhip64.so.5 $build/run_no_device hip hipInit"
linked="-I. -Itests '-DAITER_TEST_LINKED=\"aiter_attn.h\"'"
job_counted "the driver's table, AMD's header" "cc -std=c11 -O1 $linked tests/test_gpu_driver.c \
    '-DAITER_TEST_HEADER=\"tests/header/inside.h\"' $build/libimplementation.a -o $dir/gpu_driver \
    -lm -lpthread -ldl && $dir/gpu_driver | tee $dir/driver && grep -q 'against HIP' $dir/driver"
job "examples/gpu_attention.c, emulated" "cc -std=c99 -O1 examples/gpu_attention.c -o $dir/gpu_attention -lm \
    -lpthread -ldl && AITER_ATTN_HIP_LIBRARY=$build/libcdna_hip.so $dir/gpu_attention hip $build/kernels |
    tee $dir/example && grep -q '^on CDNA emulator' $dir/example"
compare() { echo "CDNA_CHIP=$1 AITER_ATTN_HIP_LIBRARY=$build/libcdna_hip.so $build/compare_attention --small --samples 0"; }
for chip in gfx942 gfx950; do
    job_counted "bench/compare_attention.c, CPU and $chip" "$(compare $chip) --backends cpu,hip \
        --kernels $build/kernels --csv $dir/compare_$chip.csv"
done
for code in "$build"/kernels/naive/*.co; do
    chip=$(basename "$code" .co | cut -d_ -f2)
    job_counted "the naive flash_fwd, emulated $chip" "$(compare $chip) --backends hip \
        --kernels $build/kernels/naive --type bf16"
done
run_jobs
files="$build/aiter_attn_kernel_files"
job_counted "the assembly of every kernel" "python3 tests/isa/check_metadata.py $files $build/kernels/parts"
job_counted "its rules, on bad kernels" "python3 tests/isa/test_rules.py"
job_counted "the clock model, on loops counted by hand" "python3 tests/isa/test_clock.py"
job "every kernel is in its file" "$files check $build/kernels gfx90a gfx942 gfx950 sm_80 sm_90a"
job "a missing kernel is noticed" "mkdir -p $dir/missing && cp $build/kernels/aiter_* $dir/missing &&
    sed -i s/aiteri_combine_any_any_f16/aiteri_conbine_any_any_f16/g $dir/missing/aiter_gfx942.co &&
    ! $files check $dir/missing gfx942"
job "arguments of another size are noticed" "mkdir -p $dir/size && cp $build/kernels/*.ptx $dir/size &&
    sed -i 's/_param_0\[/&1/' $dir/size/aiter_combine*.ptx && ! $files check $dir/size sm_80"
job_counted "the files inside a program" "cc tests/isa/embedded.c $build/libaiter_attn_kernels.a \
    -o $dir/embedded && $dir/embedded $build/kernels \$(ls $build/kernels/aiter_* | wc -l)"
run_jobs
chips=gfx90a,sm_90a
! full || chips=gfx90a,gfx942,gfx950,sm_80,sm_90a
job_counted "$chips, zig build gpu" "rm -rf zig-out/kernels && $zig build gpu -Dgpu-chips=$chips -j$jobs &&
    { for file in zig-out/kernels/*.co; do cmp \$file $build/kernels/\$(basename \$file) || exit 1; done; } &&
    echo 1 passed, 0 failed"
run_jobs
job_counted "gfx942, clang 22" "$configure -B $dir/clang -DAITER_ATTN_GPU_COMPILER=clang-22 \
    -DAITER_ATTN_GPU_CHIPS=gfx942 && cmake --build $dir/clang -j$jobs --target gpu && echo 1 passed, 0 failed"
run_jobs
"$files" check "$build/kernels" gfx90a gfx942 gfx950 sm_80 sm_90a
cat "$dir"/sabotage_* "$dir/cdna_test_speed" | grep -Ev '^[0-9]+ passed, '
awk 'FILENAME ~ /executed_/ { ran[$1] = 1; next } { all++; tested += $2 == "tested"; executed += $1 in ran }
     END { printf "opcodes: %d decoded in the kernels, %d tested, %d executed by the GPU tests\n", all, tested, executed }' \
    "$dir"/executed_* "$dir/opcodes"
finish
