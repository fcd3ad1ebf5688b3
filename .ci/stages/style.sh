# style: the header is current, the house rules hold, clang-format 19 has nothing to say.
. .ci/lib.sh
need cc=gcc git=git clang-format-19=clang-format-19
strict="-std=c99 -O1 -Wall -Wextra -Wpedantic -Wshadow -Werror"
job "compile amalgamate" "cc $strict tools/amalgamate.c -o $dir/amalgamate"
job "compile tidy" "cc $strict tools/tidy.c -o $dir/tidy"
job "compile abi_hash" "cc $strict tools/abi_hash.c -o $dir/abi_hash"
job "compile kernel_files" "cc $strict tools/kernel_files.c -o $dir/kernel_files"
run_jobs
job "kernels/abi_hash.h is current" "$dir/abi_hash --check kernels"
job "header is current" "$dir/amalgamate --check src spine.h aiter_attn.h"
job "a stale header is noticed" "! $dir/amalgamate --check src spine.h LICENSE"
job_counted "tidy" "$dir/tidy ."
job_counted "tidy on bad files" "$dir/tidy --self-test"
for file in $(git ls-files '*.c' '*.h' '*.cpp' '*.hpp' '*.hip' | grep -v -e '^aiter_attn\.h$' -e '/yardstick\.h$'); do
    job "clang-format $file" "clang-format-19 --dry-run -Werror $file"
done
finish
