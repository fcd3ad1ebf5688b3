/* smoke.h: one small attention through the public calls, valid in C99 and in C++17. All scores are
 * 0, so a row of the output is the plain average of the values it sees. */
#ifndef SMOKE_H
#define SMOKE_H

#include <stdio.h>
#include <string.h>

static int smoke_with(aiter_context *ctx)
{
    static const float q[2] = {0.0f, 0.0f}, k[3] = {1.0f, -1.0f, 0.5f}, v[3] = {3.0f, 5.0f, 10.0f};
    float out[2] = {0.0f, 0.0f};
    aiter_flash_attn_fwd_args args;
    memset(&args, 0, sizeof args);
    args.q = aiter_tensor_4d(q, AITER_F32, 1, 2, 1, 1);
    args.kv.k = aiter_tensor_4d(k, AITER_F32, 1, 3, 1, 1);
    args.kv.v = aiter_tensor_4d(v, AITER_F32, 1, 3, 1, 1);
    args.out = aiter_tensor_4d(out, AITER_F32, 1, 2, 1, 1);
    args.score.mask = AITER_MASK_CAUSAL;
    if (aiter_flash_attn_fwd(&args, ctx) != AITER_OK) {
        printf("smoke: %s\n", aiter_last_error());
        return 0;
    }
    return out[0] == 4.0f && out[1] == 6.0f;
}

/* 0 if every kernel set of this machine, and a call without a context, gives the right rows. */
static int smoke(void)
{
    int isa, passed = smoke_with(NULL), ran = 1;
    for (isa = AITER_ISA_SCALAR; isa < AITER_ISA_COUNT; isa++) {
        aiter_context *ctx = NULL;
        aiter_context_desc desc;
        memset(&desc, 0, sizeof desc);
        desc.isa_max = (aiter_isa)isa;
        if (aiter_context_create(&desc, &ctx) != AITER_OK) continue; /* another architecture's */
        ran++;
        passed += smoke_with(ctx);
        aiter_context_destroy(ctx);
    }
    printf("%d passed, %d failed\n", passed, ran - passed);
    return passed != ran || ran < 2;
}

#endif
