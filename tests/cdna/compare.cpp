/* compare.cpp -- VOPC: comparisons of every type, to a lane mask or to EXEC, and float classes. */
#include "lanes.h"

namespace cdna
{
namespace
{

/* Half compares as the float of its value. */
inline float value(Half h) { return half_to_float(h.bits); }
template <class T> T value(T x) { return x; }
template <class T> bool never(T, T) { return false; }
template <class T> bool lt(T a, T b) { return value(a) < value(b); }
template <class T> bool eq(T a, T b) { return value(a) == value(b); }
template <class T> bool le(T a, T b) { return value(a) <= value(b); }
template <class T> bool gt(T a, T b) { return value(a) > value(b); }
template <class T> bool lg(T a, T b) { return value(a) < value(b) || value(a) > value(b); }
template <class T> bool ne(T a, T b) { return value(a) != value(b); }
template <class T> bool ge(T a, T b) { return value(a) >= value(b); }
template <class T> bool ordered(T a, T b) { return eq(a, a) && eq(b, b); }
template <class T> bool unordered(T a, T b) { return !ordered(a, b); }
template <class T> bool nge(T a, T b) { return !ge(a, b); }
template <class T> bool nlg(T a, T b) { return !lg(a, b); }
template <class T> bool ngt(T a, T b) { return !gt(a, b); }
template <class T> bool nle(T a, T b) { return !le(a, b); }
template <class T> bool nlt(T a, T b) { return !lt(a, b); }
template <class T> bool always(T, T) { return true; }

/* Bits: signalling NaN, quiet NaN, -inf, -normal, -denormal, -0, +0, +denormal, +normal, +inf. */
bool of_class(uint32_t sign, bool top, bool zero_exp, uint64_t mantissa, bool quiet, uint32_t mask)
{
    int bit;
    if (top)
        bit = mantissa ? (quiet ? 1 : 0) : sign ? 2 : 9;
    else if (!zero_exp)
        bit = sign ? 3 : 8;
    else if (mantissa)
        bit = sign ? 4 : 7;
    else
        bit = sign ? 5 : 6;
    return mask >> bit & 1;
}
bool class32(float a, uint32_t mask)
{
    uint32_t u = cast<uint32_t>(a), e = u >> 23 & 0xff;
    return of_class(u >> 31, e == 255, !e, u & 0x7fffff, u >> 22 & 1, mask);
}
bool class16(Half a, uint32_t mask)
{
    uint32_t u = a.bits, e = u >> 10 & 31;
    return of_class(u >> 15, e == 31, !e, u & 0x3ff, u >> 9 & 1, mask);
}
bool class64(double a, uint32_t mask)
{
    uint64_t u = cast<uint64_t>(a), e = u >> 52 & 0x7ff;
    return of_class(u >> 63, e == 2047, !e, u & 0xfffffffffffff, u >> 51 & 1, mask);
}

#define BOTH(f, name) compare<f>("v_cmp_" name), compare_exec<f>("v_cmpx_" name)
#define INTEGER(T, name)                                                           \
    BOTH(never<T>, "f_" name), BOTH(lt<T>, "lt_" name), BOTH(eq<T>, "eq_" name),   \
        BOTH(le<T>, "le_" name), BOTH(gt<T>, "gt_" name), BOTH(ne<T>, "ne_" name), \
        BOTH(ge<T>, "ge_" name), BOTH(always<T>, "t_" name)
#define FLOAT(T, name)                                                                       \
    BOTH(never<T>, "f_" name), BOTH(lt<T>, "lt_" name), BOTH(eq<T>, "eq_" name),             \
        BOTH(le<T>, "le_" name), BOTH(gt<T>, "gt_" name), BOTH(lg<T>, "lg_" name),           \
        BOTH(ge<T>, "ge_" name), BOTH(ordered<T>, "o_" name), BOTH(unordered<T>, "u_" name), \
        BOTH(nge<T>, "nge_" name), BOTH(nlg<T>, "nlg_" name), BOTH(ngt<T>, "ngt_" name),     \
        BOTH(nle<T>, "nle_" name), BOTH(ne<T>, "neq_" name), BOTH(nlt<T>, "nlt_" name),      \
        BOTH(always<T>, "tru_" name)

const Row rows[] = {
    INTEGER(int16_t, "i16"),    INTEGER(uint16_t, "u16"),   INTEGER(int32_t, "i32"),
    INTEGER(uint32_t, "u32"),   INTEGER(int64_t, "i64"),    INTEGER(uint64_t, "u64"),
    FLOAT(Half, "f16"),         FLOAT(float, "f32"),        FLOAT(double, "f64"),
    BOTH(class16, "class_f16"), BOTH(class32, "class_f32"), BOTH(class64, "class_f64"),
};

} // namespace

Rows compare_rows() { return {std::begin(rows), std::end(rows)}; }

} // namespace cdna
