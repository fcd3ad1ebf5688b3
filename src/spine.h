/* spine.h -- the table of contents: one line per module, in reading order. */
#include "manual.h"
#ifndef AITER_ATTN_H
#define AITER_ATTN_H
#ifdef AITER_ATTN_PREFIX
#define AITER_PREFIXED_(prefix, name)   prefix##name
#define AITER_PREFIXED_OF(prefix, name) AITER_PREFIXED_(prefix, name)
#define AITER_PREFIXED(name)            AITER_PREFIXED_OF(AITER_ATTN_PREFIX, name)
/* PREFIXED NAMES */
#endif
#include "api_types.h"
#include "api_parts.h"
#include "api_ops.h"
#endif /* AITER_ATTN_H */

#ifdef AITER_ATTN_IMPLEMENTATION
#ifndef AITER_ATTN_IMPLEMENTED
#define AITER_ATTN_IMPLEMENTED
#include "base/platform.h"
#include "base/left_out.h"
AITERI_NUMERICS_BEGIN
#include "base/check.h"
#include "base/dtype.c"
AITERI_ONCE_A_CALL_BEGIN
#include "base/names.c"
#include "base/tensor.c"
#include "base/argument.c"
#include "base/arena.c"
#include "base/threads.c"
AITERI_ONCE_A_CALL_END
#include "plan/problem.h"
#include "plan/features.c"
#include "plan/families.h"
#include "cpu/score_rule.h"
#include "cpu/kernel_table.h"
#include "plan/source_at.c"
#if AITERI_ATTENTION
#include "plan/mask.c"
#include "plan/source.c"
AITERI_ONCE_A_CALL_BEGIN
#include "plan/schedule.c"
#include "plan/plan.c"
AITERI_ONCE_A_CALL_END
#endif
#include "cpu/cpuid.c"
#include "cpu/block_f32.c"
AITERI_KERNELS_BEGIN
#include "cpu/instantiate.c"
AITERI_KERNELS_END
AITERI_ONCE_A_CALL_BEGIN
#if AITERI_GPU
#include "gpu/driver.h"
#include "gpu/open.c"
#include "gpu/registry.c"
#include "gpu/device.c"
#include "gpu/code.c"
#include "gpu/launch.c"
#include "gpu/memory.c"
#endif
#include "context/hooks.c"
#include "context/choose.c"
#include "context/scratch.c"
#include "context/parallel.c"
#include "context/context.c"
#include "context/memory.c"
AITERI_ONCE_A_CALL_END
#include "cpu/rows.c"
#if AITERI_HAS_ROPE
#include "cpu/rope.c"
#endif
#if AITERI_ATTENTION
#include "cpu/engine_rows.c"
#include "cpu/engine_walk.c"
#include "cpu/engine_softmax.c"
#include "cpu/engine_stream.c"
#endif
AITERI_ONCE_A_CALL_BEGIN
#include "ops/explain.c"
#include "ops/call_begin.c"
#if AITERI_ATTENTION || AITERI_HAS_CACHE
#include "ops/kv_layout.c"
#endif
#if AITERI_ATTENTION
#include "cpu/engine.c"
#if AITERI_GPU
#include "gpu/attention_choose.c"
#include "gpu/attention_launch.c"
#endif
#include "ops/attention_advice.c"
#include "ops/attention_check.c"
#include "ops/attention_lower.c"
#include "ops/attention_explain.c"
#include "ops/attention_run.c"
#include "ops/attention_calls.c"
#endif
#if AITERI_HAS_FLASH
#include "ops/flash_attn_fwd.c"
#endif
#if AITERI_HAS_DECODE
#include "ops/paged_attn_decode.c"
#include "ops/decode_attention.c"
#endif
#if AITERI_HAS_CACHE
#if AITERI_GPU
#include "gpu/cache.c"
#include "gpu/blocks.c"
#endif
#include "ops/reshape_and_cache.c"
#include "ops/blocks.c"
#endif
#if AITERI_HAS_MERGE
#if AITERI_GPU
#include "gpu/merge.c"
#endif
#include "ops/merge_attn_states.c"
#endif
#if AITERI_HAS_ROPE
#include "ops/rope_fwd.c"
#endif
#if AITERI_HAS_QUANT
#include "ops/quantize.c"
#endif
#include "ops/padding_guard.c"
#include "ops/left_out.c"
#ifdef AITER_ATTN_SELFTEST
#include "ops/selftest_cases.c"
#include "ops/selftest.c"
#endif
AITERI_ONCE_A_CALL_END
AITERI_NUMERICS_END
#endif /* AITER_ATTN_IMPLEMENTED */
#endif /* AITER_ATTN_IMPLEMENTATION */
