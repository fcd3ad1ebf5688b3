# cppcheck: static analysis of the one unit that src/ becomes, as each kind of machine compiles it; full:
# file by file, too, in every combination of its conditions.
. .ci/lib.sh
need cppcheck=cppcheck
opts="-q --error-exitcode=1 --enable=warning,portability --std=c99 --inline-suppr"
devices="-DAITER_ATTN_HIP -DAITER_ATTN_CUDA -DUINTPTR_MAX=0xffffffffffffffff" # it reads no system header
unit() {
    job "$1" "cppcheck $opts -DAITER_ATTN_IMPLEMENTATION $2 tests/header/unit_implementation.c -I."
}
unit "plain C" ""
unit "x86-64, devices" "-D__x86_64__=1 -D__GNUC__=12 -D__linux__=1 $devices -DAITER_ATTN_EMBEDDED_KERNELS"
unit "aarch64" "-D__aarch64__=1 -D__GNUC__=12 -D__linux__=1"
unit "Windows" "-D_WIN32=1 -D_M_X64=1 $devices"
! full || job "src/ file by file" "cppcheck $opts --suppress=toomanyconfigs src/"
finish
