# header: every compiler, standard and way of including that we promise.
. .ci/lib.sh
need git=git python3=python3 gcc=gcc g++=g++ clang-14=clang-14 clang-19=clang-19 nm=binutils \
    clang-22=clang-22
need_zig
need_zig17
src=tests/header
warn="-Wall -Wextra -Wpedantic -Wshadow -Werror"
zig_cc="$zig cc -target $(uname -m)-linux-gnu -mcpu=baseline"
zig_cxx="$zig c++ -target $(uname -m)-linux-gnu -mcpu=baseline"

# $cc and $cxx of a compiler by its short name.
compiler() {
    case $1 in
    gcc) cc=gcc cxx="g++ -x c++" ;;
    zig) cc=$zig_cc cxx="$zig_cxx -x c++" ;;
    *) cc=$1 cxx="$1 -x c++" ;;
    esac
}
compilers="gcc clang-14 clang-19 zig"

# -- the implementation in each language, with strict warnings, run on every kernel set: every compiler
# takes every standard once, one of them with -O2. The objects serve what follows.
plain="-U_FORTIFY_SOURCE -fno-stack-protector -I."
unit="$plain -c $src/unit_implementation.c"
for name in $compilers; do
    compiler "$name"
    case $name in gcc | clang-19) o2=c99 o0=c11 ;; *) o2=c11 o0=c99 ;; esac
    baseline= debug=-O0
    if [ "$name" = zig ]; then
        debug="-O0 -fno-sanitize=undefined" # consumers has Zig's debug build, sanitizer and all
    elif [ "$(uname -m)" = x86_64 ]; then
        baseline=-march=x86-64
    fi
    for pair in "$o2 -O2" "$o0 $debug"; do
        object=$(set -- $pair && echo "$dir/unit_$name$2")
        job_counted "$name $pair" "$cc $baseline -std=$pair $warn $unit -o $object.o && $cc -std=$pair $warn -I. \
            $src/unit_user.c $object.o -o $object -lm -lpthread && $object"
    done
    [ "$name" = gcc ] || job_counted "$name c++17 -O0" "$cxx -std=c++17 $debug $warn -I. \
        -c $src/implementation.c -o $dir/impl_$name.o && $cc $dir/impl_$name.o -o \
        $dir/impl_${name}_cpp17 -lm -lpthread && $dir/impl_${name}_cpp17"
    # -- declarations alone
    for std in c99 c11; do
        job "$name $std declarations" "$cc -std=$std $warn -nostdinc \
            -isystem $src/only_stddef_stdint -I. -c $src/declarations.c -o $dir/decl_${name}_$std.o"
    done
    job "$name c++17 declarations" "$cxx -std=c++17 $warn -nostdinc \
        -isystem $src/only_stddef_stdint -I. -c $src/declarations.c -o $dir/decl_${name}_cpp.o"
done
job "gcc -O0 -DNDEBUG" "gcc -std=c99 -O0 -DNDEBUG $unit -o $dir/unit_gcc-O0-NDEBUG.o"
job "reserved names" "clang-19 -std=c99 -fsyntax-only -Werror=reserved-identifier \
    -Werror=reserved-macro-identifier -I. $src/unit_implementation.c"

# -- each module of src/ names what it needs
devices="-DAITER_ATTN_HIP -DAITER_ATTN_CUDA"
for file in $(git ls-files 'src/*.c'); do
    job "$file alone" "gcc -std=c99 -fsyntax-only -DAITER_ATTN_IMPLEMENTATION $devices $file"
done

# -- with devices compiled in
job "gcc c99, devices" "gcc -std=c99 -O1 $warn $devices -I. -c $src/implementation.c -o $dir/devices.o"
job "clang-19 c11, devices" "clang-19 -std=c11 $warn $devices -I. -fsyntax-only $src/implementation.c"
job "g++ c++17, devices" "g++ -std=c++17 -x c++ $warn $devices -I. -fsyntax-only $src/implementation.c"

# -- families of ops left out: each alone, all but each, some together; copies of every kind
families() { # COMPILER KEPT FLAGS
    compiler "$1"
    local std="$cc -std=c99" name
    [ "$1" != c++ ] || std="g++ -x c++ -std=c++17"
    name=$(tr -dc A-Za-z <<<"$1$2$3")
    job_counted "$1, families $2" "$std -O0 $warn $3 '-DKEPT=\"$2 \"' -I. $src/families.c \
        -o $dir/families_$name -lm -lpthread && $dir/families_$name"
}
families gcc "ONLY FLASH" -DAITER_ATTN_ONLY_FLASH
families clang-14 "ONLY DECODE" -DAITER_ATTN_ONLY_DECODE
families clang-19 "ONLY CACHE" -DAITER_ATTN_ONLY_CACHE
families c++ "ONLY MERGE" -DAITER_ATTN_ONLY_MERGE
families gcc "ONLY ROPE" "-DAITER_ATTN_ONLY_ROPE $devices"
families gcc "ONLY QUANT" -DAITER_ATTN_ONLY_QUANT
families c++ "DECODE CACHE MERGE ROPE QUANT" "-DAITER_ATTN_NO_FLASH $devices"
families clang-19 "FLASH CACHE MERGE ROPE QUANT" "-DAITER_ATTN_NO_DECODE -DAITER_ATTN_STATIC"
families clang-14 "FLASH DECODE MERGE ROPE QUANT" "-DAITER_ATTN_NO_CACHE -DAITER_ATTN_PREFIX=mine_"
families gcc "FLASH DECODE CACHE ROPE QUANT" "-DAITER_ATTN_NO_MERGE $devices -DAITER_ATTN_STATIC"
families clang-19 "FLASH DECODE CACHE MERGE QUANT" -DAITER_ATTN_NO_ROPE
families clang-19 "FLASH DECODE CACHE MERGE ROPE" "-DAITER_ATTN_NO_QUANT $devices"
families gcc "ONLY CACHE MERGE" "-DAITER_ATTN_ONLY_CACHE -DAITER_ATTN_ONLY_MERGE $devices"
families c++ "ONLY FLASH MERGE" "-DAITER_ATTN_ONLY_FLASH -DAITER_ATTN_ONLY_MERGE -DAITER_ATTN_NO_CACHE"
refused() { # WORDS FLAGS
    job "refused: $2" "! gcc -fsyntax-only $2 -I. $src/unit_implementation.c 2>$dir/refused_$1 &&
        grep -q 'error.*$1' $dir/refused_$1"
}
refused drop "-DAITER_ATTN_ONLY_CACHE -DAITER_ATTN_NO_CACHE"
refused leave "-DAITER_ATTN_NO_FLASH -DAITER_ATTN_NO_DECODE -DAITER_ATTN_NO_CACHE -DAITER_ATTN_NO_MERGE \
    -DAITER_ATTN_NO_ROPE -DAITER_ATTN_NO_QUANT"

# -- later C++: a warning of the newest compiler today is an error of the next standard
for std in 20 23 26; do
    for cxx in g++ clang-22; do
        [ "$cxx" = clang-22 ] || [ "$std" != 26 ] || continue # gcc 12 ends at C++23
        for file in declarations implementation; do
            job "$cxx c++$std $file" "$cxx -x c++ -std=c++$std $warn $devices -I. -fsyntax-only \
                $src/$file.c"
        done
    done
done

# -- two translation units, C with C++ and the other way round
job_counted "implementation in C++, user in C" "g++ -std=c++17 -x c++ -O2 $warn -I. -c \
    $src/unit_implementation.c -o $dir/unit_cpp.o &&
    gcc -std=c99 -c $warn -I. $src/unit_user.c -o $dir/user_c.o &&
    g++ $dir/user_c.o $dir/unit_cpp.o -o $dir/units_b -lm -lpthread && $dir/units_b"
job_counted "included twice" "gcc -std=c99 -O0 $warn -I. $src/include_twice.c -o $dir/twice \
    -lm -lpthread && $dir/twice"

# -- what the other compilers make of the hot loops, Zig's NEON too (stage aarch64 has gcc's, clang's)
hot_loops=
hot_loops() { # NAME OBJDUMP COMPILER
    hot_loops="$hot_loops $1:$2"
    job "$1 -O2" "$3 -O2 -std=c11 $unit -o $dir/loops_$1.o"
}
if [ "$(uname -m)" = x86_64 ]; then
    hot_loops clang-22 objdump clang-22
    hot_loops zig-0.17 objdump "$zig17 cc -target x86_64-linux-musl -mcpu=baseline"
    need aarch64-linux-gnu-objdump=binutils-aarch64-linux-gnu
    hot_loops zig-neon aarch64-linux-gnu-objdump "env -u ZIG_LIBC $zig cc -target aarch64-linux-gnu"
    hot_loops zig-0.17-neon aarch64-linux-gnu-objdump "$zig17 cc -target aarch64-linux-gnu"
fi

# -- several copies in one program
job "static copies" "for n in a b; do gcc -std=c99 -O0 $warn -DCOPY=copy_\$n -I. -c \
    $src/static_copy.c -o $dir/static_\$n.o || exit 1; done"
job "prefixed copy" "gcc -std=c99 -O0 $warn -DCOPY=copy_a -I. -c $src/prefix_copy.c -o $dir/prefix.o"
job "user of copies" "gcc -std=c99 -O0 $warn -I. -c $src/copies_user.c -o $dir/copies_user.o"
run_jobs
public=$dir/unit_gcc-O2.o
job_counted "implementation in C, user in C++" "g++ -std=c++17 -x c++ $warn -I. $src/unit_user.c \
    -x none $public -o $dir/units_a -lm -lpthread && $dir/units_a"
job_counted "three copies in one program" "gcc $dir/copies_user.o $dir/static_a.o $dir/static_b.o \
    $public -o $dir/copies -lm -lpthread && $dir/copies"
job_counted "a prefixed, a static and a public copy" "gcc $dir/copies_user.o $dir/prefix.o \
    $dir/static_b.o $public -o $dir/copies_prefix -lm -lpthread && $dir/copies_prefix"
external="nm -g --defined-only"
job "a static copy shows nothing" "$external $dir/static_a.o | awk '{ print \$3 }' | sort |
    diff - <(echo copy_a)"
job "a prefixed copy shows mine_ alone" "$external $dir/prefix.o | awk '{ print \$3 }' |
    grep -v -e '^mine_' -e '^copy_a\$'; [ \${PIPESTATUS[2]} -eq 1 ] &&
    $external $dir/prefix.o | grep -q ' mine_flash_attn_fwd\$'"
job "external names begin with aiter_" "$external $public | awk '{ print \$3 }' |
    grep -v '^aiter_'; [ \${PIPESTATUS[2]} -eq 1 ]"

# -- the library never ends the host and prints nothing
banned='abort exit _exit __assert_fail printf fprintf vfprintf puts fputs perror signal'
for object in gcc-O0 gcc-O2 gcc-O0-NDEBUG clang-14-O2 clang-19-O0 clang-19-O2; do
    job "$object: no call that ends or prints" "nm -u $dir/unit_$object.o | awk '{ print \$2 }' |
        sed 's/@.*//' | grep -xF -e ${banned// / -e }; [ \${PIPESTATUS[3]} -eq 1 ]"
done

# -- macros: what an include adds beyond the system headers that it uses
grep -ho '^ *#include <[^>]*>' src/api_types.h src/base/platform.h | sort -u |
    sed -E 's/ *#include (<.*>)/#if __has_include(\1)\n#include \1\n#endif/' >"$dir/system.h"
job "macros of the declarations" "bash .ci/macros.sh '^AITER_' $dir/system.h ''"
job "macros of the implementation" "bash .ci/macros.sh '^AITERI?_' $dir/system.h \
    -DAITER_ATTN_IMPLEMENTATION"

# -- AVX instructions only in the functions stamped for AVX, no intrinsic left as a call; hot loops
# without accesses to the stack
if [ "$(uname -m)" = x86_64 ]; then
    for name in $compilers; do
        for opt in -O0 -O2; do
            job "$name $opt: AVX stays in its functions" "bash .ci/avx_audit.sh $dir/unit_$name$opt.o"
        done
        job_counted "$name: hot loops" "python3 tests/isa/check_loops.py $dir/unit_$name-O2.o"
    done
    for pair in $hot_loops; do
        job_counted "${pair%:*}: hot loops" "python3 tests/isa/check_loops.py \
            $dir/loops_${pair%:*}.o --objdump ${pair#*:}"
    done
fi

# -- what it costs to compile: alone, so that nothing else is in the times
run_jobs
job_counted "compile budget" "python3 tests/header/compile_budget.py"
run_jobs

# -- the first screen of the manual, in C99 and in C++17
python3 .ci/first_contact.py "$dir" || total_failed=$((total_failed + 1))
for file in "$dir"/first_contact_*.c; do
    job "$(basename "$file")" "gcc -std=c99 -O0 -Wpedantic -Werror -I. $file -o ${file%.c} -lm \
        -lpthread && ${file%.c}"
done
for file in "$dir"/first_contact_*.cpp; do
    job "$(basename "$file")" "g++ -std=c++17 -O0 -Wpedantic -Werror -I. $file -o ${file%.cpp} -lm \
        -lpthread && ${file%.cpp}"
done
finish
