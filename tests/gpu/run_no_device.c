/* run_no_device.c -- a machine without a GPU, its loader and its driver as they are:
 *
 *     run_no_device hip|cuda WORD...
 *
 * A device context must be refused as NO_DEVICE with a text that holds the words, and attention on
 * the CPU must work before and after. */
#define AITER_ATTN_HIP
#define AITER_ATTN_CUDA
#include "test.h"

static void attend(void)
{
    static float q[2 * 8], k[3 * 8], v[3 * 8], out[2 * 8];
    aiter_flash_attn_fwd_args a;
    memset(&a, 0, sizeof a);
    for (int i = 0; i < 24; i++) v[i] = 1.0f;
    a.q = aiter_tensor_4d(q, AITER_F32, 1, 2, 1, 8);
    a.kv.k = aiter_tensor_4d(k, AITER_F32, 1, 3, 1, 8);
    a.kv.v = aiter_tensor_4d(v, AITER_F32, 1, 3, 1, 8);
    a.out = aiter_tensor_4d(out, AITER_F32, 1, 2, 1, 8);
    CHECK(aiter_flash_attn_fwd(&a, NULL) == AITER_OK && out[15] > 0.999f, "the CPU: %s",
          aiter_last_error());
}

int main(int argc, char **argv)
{
    aiter_context_desc d;
    aiter_context *ctx = NULL;
    memset(&d, 0, sizeof d);
    if (argc < 2) return fprintf(stderr, "usage: run_no_device hip|cuda WORD...\n"), 2;
    test_begin("run_no_device", 1);
    attend();
    d.device = strcmp(argv[1], "hip") == 0 ? AITER_DEVICE_HIP : AITER_DEVICE_CUDA;
    for (int round = 0; round < 2; round++) {
        const aiter_status status = aiter_context_create(&d, &ctx);
        test_say("%s: %s\n", aiter_status_name(status), aiter_last_error());
        CHECK(status == AITER_NO_DEVICE && !ctx, "%s", aiter_status_name(status));
        for (int i = 2; i < argc; i++)
            CHECK(strstr(aiter_last_error(), argv[i]), "the text does not say %s", argv[i]);
    }
    attend();
    return test_end();
}
