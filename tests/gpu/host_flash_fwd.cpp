/* host_flash_fwd.cpp -- kernels/flash_fwd.hip compiled for the host, and the loop that launches it
 * (clang; see flash_fwd_probe.c). */
#define AITERI_TILE_HOST "../../tests/gpu/host_tile.hpp"
#define HOST_ROW(ROW, t) \
    ROW(flash_fwd, HOST, t, t, t, 128, 128, nhd, none, general, any, 1, 4, 64, 32768, 1)
#define AITERI_ROWS(ROW) HOST_ROW(ROW, PROBE_TYPE)
#include "../../kernels/flash_fwd.hip"

#define HOST_SYMBOL_OF(t) aiteri_flash_fwd_##t##_##t##_##t##_128_128_general
#define HOST_SYMBOL(t)    HOST_SYMBOL_OF(t)

extern "C" void aiteri_host_launch(const aiteri_gpu_attention *a, int workgroups)
{
    for (int i = 0; i < workgroups; i++) {
        aiteri::host_workgroup = i;
        HOST_SYMBOL(PROBE_TYPE)(*a);
    }
}
