/* test_gpu_registry.c -- the rule by which a call takes a kernel: each row of the registry serves
 * what it was built for and nothing else, of two that serve the better one is taken, and what has
 * no kernel is told which there are. */
#include "gpu/device_calls.h"

static aiteri_gpu_want want_of(const aiteri_gpu_row *r, int32_t arch)
{
    const aiteri_gpu_want w = {r->takes, r->op, arch, r->q, r->kv, r->out, r->dq, r->dv, 0};
    return w;
}

static int serves(const aiteri_gpu_row *r, const aiteri_gpu_want *w)
{
    return aiteri_gpu_row_refuses(r, w) == AITERI_GPU_SERVES;
}

/* Every row, on every chip that it is for, is an answer to its own wish or has a better one. */
static void own_rows(void)
{
    for (int i = 0; i < AITERI_GPU_ROW_COUNT; i++) {
        const aiteri_gpu_row *r = &aiteri_gpu_rows_table[i];
        for (int32_t arch = 1; arch <= r->archs; arch <<= 1) {
            if (!(r->archs & arch)) continue;
            const aiteri_gpu_want w = want_of(r, arch);
            CHECK(serves(r, &w), "%s does not serve itself", r->symbol);
            const int32_t found = aiteri_gpu_find_row(&w);
            CHECK(found == i || (found >= 0 && serves(&aiteri_gpu_rows_table[found], &w) &&
                                 !aiteri_gpu_row_is_better(r, &aiteri_gpu_rows_table[found])),
                  "%s: row %d is taken", r->symbol, (int)found);
        }
    }
}

/* A plain row of dq/128 for dense bf16 without scales, and what it must not be taken for. */
static aiteri_gpu_row made_row(int32_t dq)
{
    aiteri_gpu_row r = aiteri_gpu_rows_table[0];
    r.op = AITERI_GPU_OP_flash_fwd;
    r.archs = AITERI_GPU_ARCH_GFX942 | AITERI_GPU_ARCH_GFX950;
    r.q = r.kv = r.out = AITER_BF16;
    r.dq = dq, r.dv = 128;
    r.kernel_class = AITER_KERNEL_CLASS_PLAIN;
    r.takes = AITERI_BIT(CAUSAL) | AITERI_BIT(DENSE_KEYS);
    return r;
}

static void served(int32_t dq)
{
    const aiteri_gpu_row row = made_row(dq);
    const aiteri_gpu_want own = want_of(&row, AITERI_GPU_ARCH_GFX942);
    int32_t *field;
    aiteri_gpu_want w;
    aiteri_gpu_row r = row;
#define OTHER(name, value, why)                          \
    w = own, field = &w.name, *field = (int32_t)(value); \
    CHECK(aiteri_gpu_row_refuses(&row, &w) == AITERI_GPU_##why, "a row serves another " #name)
#define ANY(name)        \
    r = row, r.name = 0; \
    CHECK(serves(&r, &w), "a row of any " #name " serves not all")
    CHECK(serves(&row, &own), "a row does not serve its own");
    OTHER(op, AITERI_GPU_OP_paged_decode, OTHER_OP);
    OTHER(arch, AITERI_GPU_ARCH_SM80, OTHER_CHIP);
    OTHER(q, AITER_F16, OTHER_TYPES), ANY(q);
    OTHER(kv, AITER_I8, OTHER_TYPES), ANY(kv);
    OTHER(out, AITER_F32, OTHER_TYPES), ANY(out);
    OTHER(dq, dq - 8, OTHER_DIMS), ANY(dq);
    OTHER(dv, 120, OTHER_DIMS), ANY(dv);
    OTHER(dv, 136, OTHER_DIMS);
    OTHER(kernel_class, AITER_KERNEL_CLASS_GENERAL, OTHER_CLASS);
    w.kernel_class = AITER_KERNEL_CLASS_PLAIN;
    CHECK(serves(&row, &w), "a row does not serve where its class is pinned");
    r = row, r.kernel_class = AITER_KERNEL_CLASS_GENERAL; /* pads */
    w = own, w.dq = 1, w.dv = 127;
    CHECK(serves(&r, &w), "a smaller head");
    w.dv = 129;
    CHECK(!serves(&r, &w), "a larger head");
#undef OTHER
#undef ANY
    for (int bit = 0; bit < 64; bit++) {
        w = own, w.features = (uint64_t)1 << bit;
        CHECK(serves(&row, &w) == (int)(row.takes >> bit & 1), "feature %d", bit);
        w.features |= row.takes; /* beside others */
        CHECK(serves(&row, &w) == (int)(row.takes >> bit & 1), "feature %d beside others", bit);
    }
    w = own, w.features = 0;
    CHECK(serves(&row, &w), "a row does not serve where nothing is asked for");
}

/* A row of f8 reads each fp8 type and nothing else. */
static void narrow_types(void)
{
    aiteri_gpu_row r = made_row(64);
    aiteri_gpu_want w = want_of(&r, AITERI_GPU_ARCH_GFX942);
    r.kv = AITERI_GPU_TYPE_f8;
    for (w.kv = AITER_F32; w.kv < AITER_DTYPE_COUNT; w.kv++)
        CHECK(serves(&r, &w) ==
                  (w.kv == AITER_F8_E4M3FN || w.kv == AITER_F8_E4M3FNUZ || w.kv == AITER_F8_E5M2),
              "a row of f8 and keys of %s", aiter_dtype_name((aiter_dtype)w.kv));
    CHECK(strcmp(aiteri_gpu_type_name(r.kv), "f8") == 0, "its name");
}

static void better(const aiteri_gpu_row *a, const aiteri_gpu_row *b, const char *why)
{
    CHECK(aiteri_gpu_row_is_better(a, b), "%s: not better", why);
    CHECK(!aiteri_gpu_row_is_better(b, a), "%s: better the other way round, too", why);
}

static void better_rows(int32_t dq)
{
    const aiteri_gpu_row b = made_row(dq);
    aiteri_gpu_row a = b, c = b;
    CHECK(!aiteri_gpu_row_is_better(&a, &b), "a row is better than itself");
    a.dq = dq - 8, better(&a, &b, "a smaller head");
    a.kernel_class = AITER_KERNEL_CLASS_GENERAL;
    better(&a, &b, "a smaller head that is general");
    a = b, c.kernel_class = AITER_KERNEL_CLASS_GENERAL, better(&a, &c, "a plain row");
    c.takes = 0, better(&a, &c, "a plain row that takes more");
    c.archs = AITERI_GPU_ARCH_GFX942, better(&a, &c, "a plain row for more chips");
    c = b, c.takes |= AITERI_BIT(PAGED_KEYS), better(&a, &c, "a row for one source");
    c.archs = AITERI_GPU_ARCH_GFX942, better(&a, &c, "a row for one source and more chips");
    a.archs = AITERI_GPU_ARCH_GFX942, c = b, better(&a, &c, "a row for one chip");
    a.archs = AITERI_GPU_ARCH_SM90A, c.archs = AITERI_GPU_ARCH_SM80;
    better(&a, &c, "the later chip's");
}

static void refused(int32_t op, int32_t arch, int general, int32_t q, const char *text)
{
    aiteri_gpu_row r = made_row(64);
    r.op = op;
    if (general) r.takes |= AITERI_BIT(SOFTCAP);
    r.q = q;
    const aiteri_gpu_want w = want_of(&r, arch);
    CHECK(aiteri_gpu_find_row(&w) == -1, "%s: there is a kernel", text);
    CHECK(aiteri_gpu_refuse(NULL, "op", "chip", &w) == AITER_NO_KERNEL, "%s", text);
    CHECK(strstr(aiter_last_error(), text), "\"%s\" lacks \"%s\"", aiter_last_error(), text);
}

static void texts(void)
{
    const int32_t flash = AITERI_GPU_OP_flash_fwd, decode = AITERI_GPU_OP_paged_decode;
    refused(
        flash, AITERI_GPU_ARCH_GFX942, 0, AITER_F32,
        "op: no flash_fwd kernel f32 bf16 bf16 64/128 for chip; it has: bf16 bf16 bf16 64/64, ");
    refused(flash, AITERI_GPU_ARCH_GFX942, 1, AITER_F32, "no general flash_fwd kernel f32 ");
    refused(decode, AITERI_GPU_ARCH_GFX950, 1, AITER_F32, "no general paged_decode kernel f32 ");
    refused(decode, AITERI_GPU_ARCH_GFX950, 1, 0, "kernel any bf16 bf16 64/128");
    for (int32_t op = AITERI_GPU_OP_flash_fwd; op < AITERI_GPU_OP_flash_fwd + 12; op++)
        refused(op, 0, 0, AITER_BF16, "for chip; it has: none");
    refused(99, AITERI_GPU_ARCH_GFX942, 0, AITER_BF16, "no such kernel bf16");
}

int main(void)
{
    test_begin("gpu_registry", 1);
    own_rows();
    for (int32_t dq = 64; dq <= 256; dq += 8) {
        served(dq);
        better_rows(dq);
    }
    narrow_types();
    texts();
    return test_end();
}
