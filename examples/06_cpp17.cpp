// 06_cpp17.cpp -- the same header in C++17: value-initialised arguments, calls by reference.
//
//     c++ -std=c++17 -O2 examples/06_cpp17.cpp -o cpp17 -lpthread && ./cpp17
#define AITER_ATTN_IMPLEMENTATION
#include "../aiter_attn.h"
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <vector>

namespace
{

constexpr std::int64_t B = 1, S = 128, HQ = 8, HK = 2, D = 64;

struct destroy_context {
    void operator()(aiter_context *ctx) const { aiter_context_destroy(ctx); }
};

std::vector<float> random_values(std::size_t count, unsigned seed)
{
    std::vector<float> x(count);
    for (float &value : x) {
        seed = seed * 1664525u + 1013904223u;
        value = static_cast<float>(seed >> 8) / 8388608.0f - 1.0f;
    }
    return x;
}

} // namespace

int main()
{
    const auto q = random_values(B * S * HQ * D, 1);
    const auto k = random_values(B * S * HK * D, 2), v = random_values(B * S * HK * D, 3);
    std::vector<float> whole(q.size()), window(q.size());

    aiter_context *made = nullptr;
    if (aiter_context_create(nullptr, &made) != AITER_OK) return std::puts(aiter_last_error()), 1;
    std::unique_ptr<aiter_context, destroy_context> ctx(made);

    aiter_flash_attn_fwd_args a{}; // zero everywhere is the default everywhere
    a.q = aiter_tensor_4d(q.data(), AITER_F32, B, S, HQ, D);
    a.kv.k = aiter_tensor_4d(k.data(), AITER_F32, B, S, HK, D);
    a.kv.v = aiter_tensor_4d(v.data(), AITER_F32, B, S, HK, D);
    a.out = aiter_tensor_4d(whole.data(), AITER_F32, B, S, HQ, D);
    a.score.mask = AITER_MASK_CAUSAL;
    if (aiter_flash_attn_fwd(a, ctx.get()) != AITER_OK) return std::puts(aiter_last_error()), 1;

    // A window that reaches all the way back shows the same keys as the causal mask.
    a.out.data = window.data();
    a.score.mask = AITER_MASK_WINDOW;
    a.score.window_left = S;
    a.score.window_right = 0;
    if (aiter_flash_attn_fwd(a) != AITER_OK) return std::puts(aiter_last_error()), 1;

    float worst = 0;
    bool good = true; // by comparison with the bound, so that a NaN is not good
    for (std::size_t i = 0; i < whole.size(); i++) {
        const float difference = std::fabs(whole[i] - window[i]);
        good = good && difference < 1e-6f;
        worst = std::max(worst, difference);
    }
    const auto info = aiter_context_info(ctx.get());
    std::printf("%s, %d threads: causal and an open window differ by %g\n", info.isa_name,
                static_cast<int>(info.num_threads), static_cast<double>(worst));
    return good ? 0 : 1;
}
