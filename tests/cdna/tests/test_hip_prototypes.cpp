/* test_hip_prototypes.cpp -- our lists of HIP's functions and numbers against AMD's own header,
 * where it is installed; without it, against themselves. */
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <type_traits>

#if __has_include(<hip/hip_runtime_api.h>)
#ifndef __HIP_PLATFORM_AMD__
#define __HIP_PLATFORM_AMD__ 1
#endif
#include <hip/hip_runtime_api.h>
#define COMPARED 1
#else
#define COMPARED 0
#endif

#include "hip_calls.h"
#include "hip_names.h"

namespace
{

int passed, failed;

void check(bool good, const char *what)
{
    (good ? passed : failed)++;
    if (!good) std::printf("%s differs\n", what);
}

/* No name twice, and of statuses and attributes no number twice. */
template <typename Rows> void check_rows(const Rows &rows, bool numbers)
{
    std::map<std::string, int> names;
    std::map<long, int> values;
    for (auto &row : rows) {
        bool fresh = ++names[row.name] == 1;
        bool alone = ++values[row.number] == 1 || !numbers;
        check(fresh && alone, row.name);
    }
}

struct Number {
    const char *name;
    long number;
};

#if COMPARED

/* What the calling convention sees: pointers are pointers, enums are integers. */
template <typename T> struct Plain {
    using type = std::conditional_t<std::is_pointer<T>::value, void *,
                                    std::conditional_t<std::is_enum<T>::value, int, T>>;
};
template <typename F> struct Signature;
template <typename R, typename... A> struct Signature<R(A...)> {
    using type = typename Plain<R>::type(typename Plain<A>::type...);
};
template <typename A, typename B>
constexpr bool same = std::is_same<typename Signature<A>::type, typename Signature<B>::type>::value;

namespace ours
{
struct Stream;
struct Event;
struct Module;
struct Function;
struct Graph;
struct GraphExec;
#define HIP_TYPE(name, parameters) using name = int parameters;
HIP_CALLS(HIP_TYPE)
#undef HIP_TYPE
} // namespace ours

void compare()
{
#define HIP_COMPARE(name, parameters) check(same<ours::name, decltype(::name)>, #name);
    HIP_PLAIN_CALLS(HIP_COMPARE)
#define HIP_TAKE(name, parameters) check(static_cast<hipError_t(*) parameters>(::name), #name);
    HIP_OVERLOADED_CALLS(HIP_TAKE)
#define HIP_STATUS(name, number, text) check(long(::name) == number, #name);
    HIP_STATUSES(HIP_STATUS)
#define HIP_ATTRIBUTE(name, number, gfx90a, gfx942, gfx950) check(long(::name) == number, #name);
    HIP_ATTRIBUTES(HIP_ATTRIBUTE)
#define HIP_NUMBER(name, number) check(long(::name) == number, #name);
    HIP_NUMBERS(HIP_NUMBER)
#define HIP_FLAG(name, number) check((long)(name) == number, #name); /* macros, pointers too */
    HIP_FLAGS(HIP_FLAG)
}
#else
void compare() { std::puts("AMD's header is not installed: nothing to compare with"); }
#endif

} // namespace

int main()
{
#define HIP_ROW(name, number, text)                             {#name, number},
#define HIP_ATTRIBUTE_ROW(name, number, gfx90a, gfx942, gfx950) {#name, number},
    const Number statuses[] = {HIP_STATUSES(HIP_ROW)};
    const Number attributes[] = {HIP_ATTRIBUTES(HIP_ATTRIBUTE_ROW)
                                     HIP_NEWER_ATTRIBUTES(HIP_ATTRIBUTE_ROW)};
#define HIP_CALL_ROW(name, parameters) {#name, 0},
    const Number calls[] = {HIP_CALLS(HIP_CALL_ROW) HIP_NEWER_CALLS(HIP_CALL_ROW)};
    check_rows(statuses, true);
    check_rows(attributes, true);
    check_rows(calls, false);
    compare();
    std::printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
