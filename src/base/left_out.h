/* left_out.h -- which families of ops this copy has, by AITER_ATTN_ONLY_<FAMILY> and
 * AITER_ATTN_NO_<FAMILY>. The rows of AITER_OP_LIST name each op's family; a family is a block here
 * and its name in the conditions at both ends. ops/left_out.c answers for what is not there. */
#ifndef AITERI_LEFT_OUT_H
#define AITERI_LEFT_OUT_H

#if defined(AITER_ATTN_ONLY_FLASH) || defined(AITER_ATTN_ONLY_DECODE) || \
    defined(AITER_ATTN_ONLY_CACHE) || defined(AITER_ATTN_ONLY_MERGE) ||  \
    defined(AITER_ATTN_ONLY_ROPE) || defined(AITER_ATTN_ONLY_QUANT)
#define AITERI_ONLY 1
#else
#define AITERI_ONLY 0
#endif

#if defined(AITER_ATTN_NO_FLASH) || (AITERI_ONLY && !defined(AITER_ATTN_ONLY_FLASH))
#define AITERI_HAS_FLASH 0
#else
#define AITERI_HAS_FLASH 1
#endif
#if defined(AITER_ATTN_NO_DECODE) || (AITERI_ONLY && !defined(AITER_ATTN_ONLY_DECODE))
#define AITERI_HAS_DECODE 0
#else
#define AITERI_HAS_DECODE 1
#endif
#if defined(AITER_ATTN_NO_CACHE) || (AITERI_ONLY && !defined(AITER_ATTN_ONLY_CACHE))
#define AITERI_HAS_CACHE 0
#else
#define AITERI_HAS_CACHE 1
#endif
#if defined(AITER_ATTN_NO_MERGE) || (AITERI_ONLY && !defined(AITER_ATTN_ONLY_MERGE))
#define AITERI_HAS_MERGE 0
#else
#define AITERI_HAS_MERGE 1
#endif
#if defined(AITER_ATTN_NO_ROPE) || (AITERI_ONLY && !defined(AITER_ATTN_ONLY_ROPE))
#define AITERI_HAS_ROPE 0
#else
#define AITERI_HAS_ROPE 1
#endif
#if defined(AITER_ATTN_NO_QUANT) || (AITERI_ONLY && !defined(AITER_ATTN_ONLY_QUANT))
#define AITERI_HAS_QUANT 0
#else
#define AITERI_HAS_QUANT 1
#endif

#if (defined(AITER_ATTN_ONLY_FLASH) && defined(AITER_ATTN_NO_FLASH)) ||   \
    (defined(AITER_ATTN_ONLY_DECODE) && defined(AITER_ATTN_NO_DECODE)) || \
    (defined(AITER_ATTN_ONLY_CACHE) && defined(AITER_ATTN_NO_CACHE)) ||   \
    (defined(AITER_ATTN_ONLY_MERGE) && defined(AITER_ATTN_NO_MERGE)) ||   \
    (defined(AITER_ATTN_ONLY_ROPE) && defined(AITER_ATTN_NO_ROPE)) ||     \
    (defined(AITER_ATTN_ONLY_QUANT) && defined(AITER_ATTN_NO_QUANT))
#error "aiter_attn: AITER_ATTN_ONLY_ and AITER_ATTN_NO_ of the same family: drop one of them"
#elif !(AITERI_HAS_FLASH || AITERI_HAS_DECODE || AITERI_HAS_CACHE || AITERI_HAS_MERGE || \
        AITERI_HAS_ROPE || AITERI_HAS_QUANT)
#error "aiter_attn: the AITER_ATTN_NO_ macros leave no family of ops"
#endif

/* What families share: planner, engine and loops of the softmax attentions. */
#define AITERI_ATTENTION (AITERI_HAS_FLASH || AITERI_HAS_DECODE)
/* Rows of the narrow types, read and written. */
#define AITERI_READS_CODES  (AITERI_ATTENTION || AITERI_HAS_CACHE || AITERI_HAS_QUANT)
#define AITERI_WRITES_CODES (AITERI_ATTENTION || AITERI_HAS_CACHE || AITERI_HAS_QUANT)

#endif /* AITERI_LEFT_OUT_H */
