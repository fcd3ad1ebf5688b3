/* test_attention_advice.c -- the hints behind a refusal: each shows where the shapes look like that
 * mistake, and stays silent where they do not. */
#include "test.h"

static aiter_tensor shaped(int ndim, int64_t a, int64_t b, int64_t c, int64_t d)
{
    return aiteri_tensor_make(NULL, AITER_F32, ndim, a, b, c, d, 0);
}

static void rows_and_keys(void)
{
    CHECK(strstr(aiteri_rows_layout(0, 0), "cu_seqlens_q"), "rows may be packed");
    CHECK(strstr(aiteri_rows_layout(0, 1), "packed, as"), "rows are packed");
    CHECK(strstr(aiteri_keys_layout(0, 0), "kv.cu_seqlens"), "keys may be packed");
    CHECK(strstr(aiteri_keys_layout(0, 1), "num_blocks"), "pages");
    CHECK(strstr(aiteri_keys_layout(1, 0), "packed, as"), "keys are packed");
    CHECK(strstr(aiteri_rows_layout(1, 0), "q_len"), "new tokens");
}

static void head_major(void)
{
    static const struct {
        int ndim, paged;
        int64_t q[2], k[2]; /* tokens and heads as the op reads them */
        const char *hint;
    } rows[] = {
        {4, 0, {10, 8}, {4, 30}, "aiter_tensor_transpose(t, 1, 2)"}, /* only k */
        {3, 0, {10, 8}, {4, 30}, "aiter_tensor_transpose(t, 0, 1)"}, /* packed */
        {4, 1, {10, 8}, {4, 30}, "of pages [num_blocks, Hk, P, D]"}, /* paged */
        {4, 0, {8, 10}, {4, 30}, "of tensors whose axes are"},       /* q, k */
        {4, 0, {8, 3}, {30, 4}, "of q and out"},                     /* only q */
        {4, 1, {8, 3}, {30, 4}, "of q and out"},                     /* q beside pages */
        {3, 0, {8, 3}, {30, 4}, ""},                                 /* packed rows may be few */
        {4, 0, {7, 3}, {30, 4}, ""},                                 /* no multiple */
        {4, 0, {0, 3}, {30, 4}, ""},                                 /* nothing to divide */
        {4, 0, {8, 5}, {30, 4}, ""},                                 /* more heads than keys' */
        {4, 1, {8, 10}, {4, 30}, ""},                                /* pages of few tokens */
        {4, 0, {10, 8}, {0, 30}, ""},                                /* no tokens */
    };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const aiter_tensor q = rows[i].ndim == 4 ? shaped(4, 2, rows[i].q[0], rows[i].q[1], 16)
                                                 : shaped(3, rows[i].q[0], rows[i].q[1], 16, 0);
        const aiter_tensor k = rows[i].ndim == 4 ? shaped(4, 2, rows[i].k[0], rows[i].k[1], 16)
                                                 : shaped(3, rows[i].k[0], rows[i].k[1], 16, 0);
        const char *text = aiteri_head_major_advice(&q, &k, rows[i].paged);
        CHECK(rows[i].hint[0] ? strstr(text, rows[i].hint) != NULL : !text[0], "row %d: '%s'",
              (int)i, text);
    }
}

static void bias_axes(void)
{
    aiter_tensor t = shaped(3, 6, 8, 20, 0);
    CHECK(strstr(aiteri_bias_advice(&t, 0, 6, 4), "[B, 1, Sq, Sk]"), "a batch for heads");
    CHECK(!aiteri_bias_advice(&t, 0, 5, 4)[0], "neither batch nor heads");
    CHECK(strstr(aiteri_bias_advice(&t, 1, 6, 20), "exchanged"), "Sk where Sq should be");
    CHECK(!aiteri_bias_advice(&t, 1, 6, 21)[0], "another Sq");
    CHECK(!aiteri_bias_advice(&t, 2, 6, 20)[0], "the last axis");
    t = shaped(4, 6, 8, 20, 30);
    CHECK(!aiteri_bias_advice(&t, 0, 6, 4)[0], "four axes have a batch");
}

static void lse_axes(void)
{
    const aiter_tensor q = shaped(4, 2, 30, 8, 16), even = shaped(4, 2, 8, 8, 16);
    const aiter_tensor packed = shaped(3, 60, 8, 16, 0);
    const aiter_tensor exchanged = shaped(3, 2, 30, 8, 0), right = shaped(3, 2, 8, 30, 0);
    const aiter_tensor rows_alone = shaped(3, 2, 30, 9, 0), flat = shaped(2, 30, 8, 0, 0);
    CHECK(aiteri_lse_is_exchanged(&exchanged, &q), "[B, S, H]");
    CHECK(!aiteri_lse_is_exchanged(&right, &q), "[B, H, S]");
    CHECK(!aiteri_lse_is_exchanged(&rows_alone, &q), "no heads of q");
    CHECK(!aiteri_lse_is_exchanged(&flat, &q), "two axes");
    CHECK(!aiteri_lse_is_exchanged(&exchanged, &packed), "packed");
    CHECK(!aiteri_lse_is_exchanged(&even, &even), "as many heads as rows");
}

int main(void)
{
    test_begin("attention_advice", 1);
    rows_and_keys();
    head_major();
    bias_axes();
    lse_axes();
    return test_end();
}
