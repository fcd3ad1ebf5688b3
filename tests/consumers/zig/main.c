/* main.c: calls the library that the package built. */
#include "aiter_attn.h"
#include <stdio.h>

int main(void)
{
    float q[4] = {0}, k[8] = {0}, v[8] = {1, 2, 3, 4, 3, 4, 5, 6}, out[4];
    aiter_flash_attn_fwd_args a = {
        .q = aiter_tensor_4d(q, AITER_F32, 1, 1, 1, 4),
        .kv.k = aiter_tensor_4d(k, AITER_F32, 1, 2, 1, 4),
        .kv.v = aiter_tensor_4d(v, AITER_F32, 1, 2, 1, 4),
        .out = aiter_tensor_4d(out, AITER_F32, 1, 1, 1, 4),
    };
    if (aiter_flash_attn_fwd(&a, NULL) != AITER_OK)
        puts(aiter_last_error());
    else
        puts(out[0] == 2 && out[3] == 5 ? "1 passed, 0 failed" : "0 passed, 1 failed");
    return 0;
}
