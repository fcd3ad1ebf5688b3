/* api_names.h -- another prefix for every external name: #define AITER_ATTN_PREFIX mylib_ makes
 * mylib_flash_attn_fwd of aiter_flash_attn_fwd. Callers keep writing the plain names, and
 * define the prefix wherever they include the header. */
#ifndef AITER_ATTN_NAMES
#define AITER_ATTN_NAMES

#ifdef AITER_ATTN_PREFIX
#define AITER_PREFIXED_(prefix, name) prefix##name
#define AITER_PREFIXED(prefix, name)  AITER_PREFIXED_(prefix, name)
#define aiter_context_create          AITER_PREFIXED(AITER_ATTN_PREFIX, context_create)
#define aiter_context_destroy         AITER_PREFIXED(AITER_ATTN_PREFIX, context_destroy)
#define aiter_context_error           AITER_PREFIXED(AITER_ATTN_PREFIX, context_error)
#define aiter_context_info            AITER_PREFIXED(AITER_ATTN_PREFIX, context_info)
#define aiter_context_synchronize     AITER_PREFIXED(AITER_ATTN_PREFIX, context_synchronize)
#define aiter_memory_alloc            AITER_PREFIXED(AITER_ATTN_PREFIX, memory_alloc)
#define aiter_memory_copy             AITER_PREFIXED(AITER_ATTN_PREFIX, memory_copy)
#define aiter_memory_free             AITER_PREFIXED(AITER_ATTN_PREFIX, memory_free)
#define aiter_decode_attention        AITER_PREFIXED(AITER_ATTN_PREFIX, decode_attention)
#define aiter_decode_attention_gqa    AITER_PREFIXED(AITER_ATTN_PREFIX, decode_attention_gqa)
#define aiter_decode_attention_gqa_workspace \
    AITER_PREFIXED(AITER_ATTN_PREFIX, decode_attention_gqa_workspace)
#define aiter_decode_attention_workspace \
    AITER_PREFIXED(AITER_ATTN_PREFIX, decode_attention_workspace)
#define aiter_dtype_bits               AITER_PREFIXED(AITER_ATTN_PREFIX, dtype_bits)
#define aiter_dtype_name               AITER_PREFIXED(AITER_ATTN_PREFIX, dtype_name)
#define aiter_flash_attn_fwd           AITER_PREFIXED(AITER_ATTN_PREFIX, flash_attn_fwd)
#define aiter_flash_attn_fwd_plan      AITER_PREFIXED(AITER_ATTN_PREFIX, flash_attn_fwd_plan)
#define aiter_flash_attn_fwd_workspace AITER_PREFIXED(AITER_ATTN_PREFIX, flash_attn_fwd_workspace)
#define aiter_grouped_query_attention  AITER_PREFIXED(AITER_ATTN_PREFIX, grouped_query_attention)
#define aiter_grouped_query_attention_workspace \
    AITER_PREFIXED(AITER_ATTN_PREFIX, grouped_query_attention_workspace)
#define aiter_isa_name          AITER_PREFIXED(AITER_ATTN_PREFIX, isa_name)
#define aiter_last_error        AITER_PREFIXED(AITER_ATTN_PREFIX, last_error)
#define aiter_load_element      AITER_PREFIXED(AITER_ATTN_PREFIX, load_element)
#define aiter_merge_attn_states AITER_PREFIXED(AITER_ATTN_PREFIX, merge_attn_states)
#define aiter_merge_attn_states_workspace \
    AITER_PREFIXED(AITER_ATTN_PREFIX, merge_attn_states_workspace)
#define aiter_multi_query_attention AITER_PREFIXED(AITER_ATTN_PREFIX, multi_query_attention)
#define aiter_multi_query_attention_workspace \
    AITER_PREFIXED(AITER_ATTN_PREFIX, multi_query_attention_workspace)
#define aiter_padding_guard          AITER_PREFIXED(AITER_ATTN_PREFIX, padding_guard)
#define aiter_paged_attn_decode      AITER_PREFIXED(AITER_ATTN_PREFIX, paged_attn_decode)
#define aiter_paged_attn_decode_plan AITER_PREFIXED(AITER_ATTN_PREFIX, paged_attn_decode_plan)
#define aiter_paged_attn_decode_workspace \
    AITER_PREFIXED(AITER_ATTN_PREFIX, paged_attn_decode_workspace)
#define aiter_reshape_and_cache AITER_PREFIXED(AITER_ATTN_PREFIX, reshape_and_cache)
#define aiter_reshape_and_cache_workspace \
    AITER_PREFIXED(AITER_ATTN_PREFIX, reshape_and_cache_workspace)
#define aiter_status_name               AITER_PREFIXED(AITER_ATTN_PREFIX, status_name)
#define aiter_store_element             AITER_PREFIXED(AITER_ATTN_PREFIX, store_element)
#define aiter_tensor_1d                 AITER_PREFIXED(AITER_ATTN_PREFIX, tensor_1d)
#define aiter_tensor_2d                 AITER_PREFIXED(AITER_ATTN_PREFIX, tensor_2d)
#define aiter_tensor_3d                 AITER_PREFIXED(AITER_ATTN_PREFIX, tensor_3d)
#define aiter_tensor_4d                 AITER_PREFIXED(AITER_ATTN_PREFIX, tensor_4d)
#define aiter_tensor_5d                 AITER_PREFIXED(AITER_ATTN_PREFIX, tensor_5d)
#define aiter_tensor_from_dlpack        AITER_PREFIXED(AITER_ATTN_PREFIX, tensor_from_dlpack)
#define aiter_tensor_slice              AITER_PREFIXED(AITER_ATTN_PREFIX, tensor_slice)
#define aiter_tensor_to_dlpack          AITER_PREFIXED(AITER_ATTN_PREFIX, tensor_to_dlpack)
#define aiter_tensor_transpose          AITER_PREFIXED(AITER_ATTN_PREFIX, tensor_transpose)
#define aiter_variable_length_attention AITER_PREFIXED(AITER_ATTN_PREFIX, variable_length_attention)
#define aiter_variable_length_attention_workspace \
    AITER_PREFIXED(AITER_ATTN_PREFIX, variable_length_attention_workspace)
#define aiter_version AITER_PREFIXED(AITER_ATTN_PREFIX, version)
#endif /* AITER_ATTN_PREFIX */

#endif /* AITER_ATTN_NAMES */
