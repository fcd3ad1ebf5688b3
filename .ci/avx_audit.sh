# avx_audit.sh OBJECT: fails if an AVX instruction stands outside the functions stamped for AVX2 or
# AVX-512, a zmm register outside those for AVX-512, or an intrinsic is left as a call.
objdump -dr --no-show-raw-insn "$1" | awk '
    /^[0-9a-f]+ <.*>:$/ { name = $2; avx512 = name ~ /avx512/; avx = avx512 || name ~ /avx2/ }
    /zmm[0-9]|\{%k[0-7]/ { if (!avx512) bad[name] = $0; else wide++ }
    /ymm[0-9]|\tv(mov|add|mul|fma|sub|max|min|cvt|xor)[a-z0-9]* / { if (!avx) bad[name] = $0; else seen++ }
    /_mm(256|512)?_[a-z0-9_]+/ { if (name !~ /_mm/) bad[name] = "call of an intrinsic: " $0 }
    END {
        for (name in bad) { print name, bad[name]; failed = 1 }
        if (!seen || !wide) { print "no AVX2 or no AVX-512 code at all"; failed = 1 }
        exit failed
    }'
