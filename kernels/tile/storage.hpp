/* storage.hpp -- one element of any stored type to f32 and back, rounded to nearest even as
 * src/base/dtype.c does: for ops that move rows and do little else. */
#ifndef AITERI_TILE_STORAGE_HPP
#define AITERI_TILE_STORAGE_HPP

#include "element.hpp"

namespace aiteri
{

/* Names of instances.def; f16 and bf16 are in element.hpp. */
struct f32 {
};
struct i8 {
};

template <class T> struct Storage { /* f16, bf16 */
    typedef uint16_t Bits;
    AITERI_METHOD static float widen(uint16_t x) { return T::widen(x); }
    AITERI_METHOD static uint16_t round(float x) { return T::round(x); }
};

template <> struct Storage<f32> {
    typedef float Bits;
    AITERI_METHOD static float widen(float x) { return x; }
    AITERI_METHOD static float round(float x) { return x; }
};

template <> struct Storage<i8> {
    typedef int8_t Bits;
    AITERI_METHOD static float widen(int8_t x) { return (float)x; }
};

template <class T> AITERI_FN float load_element(uint64_t data, int64_t at)
{
    return Storage<T>::widen(global<const typename Storage<T>::Bits>(data)[at]);
}

template <class T> AITERI_FN void store_element(uint64_t data, int64_t at, float x)
{
    global<typename Storage<T>::Bits>(data)[at] = Storage<T>::round(x);
}

/* Of an attention's `out`, which holds no -0. */
template <class T> AITERI_FN void store_out_element(uint64_t data, int64_t at, float x)
{
    if constexpr (sizeof(typename Storage<T>::Bits) == 4)
        store_element<T>(data, at, x == 0.0f ? 0.0f : x);
    else
        global<uint16_t>(data)[at] = (uint16_t)without_minus_zero(Storage<T>::round(x));
}

} // namespace aiteri

#endif /* AITERI_TILE_STORAGE_HPP */
