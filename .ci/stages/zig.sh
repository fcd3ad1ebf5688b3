# zig: the targets of build.zig, and the declarations as Zig sees them.
. .ci/lib.sh
need_zig
job "check, bench, examples" "$zig build check bench examples"
job "translate-c" "$zig translate-c aiter_attn.h >$dir/aiter_attn.zig &&
    grep -q 'pub extern fn aiter_flash_attn_fwd(' $dir/aiter_attn.zig"
job_counted "zig build test" "AITER_TEST_BUDGET=${AITER_TEST_BUDGET:-1e8} $zig build test -j2"
finish
