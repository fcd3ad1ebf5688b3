/* plain.hpp -- flash_fwd of whole rows, full or causal: dense tensors of exactly the head size of
 * the instance, rows that begin at multiples of 16 bytes, no score option. Each chip has its own.
 */
#ifndef AITERI_FLASH_PLAIN_HPP
#define AITERI_FLASH_PLAIN_HPP

/* A file of these defines AITERI_FLASH_plain(F, T, dq, dv, threads, rows, keys), statements that
 * make F the implementation and run it on the kernel's parameter a. */
#if defined(AITERI_TILE_HOST)
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
#include "plain_sm90a.hpp"
#elif defined(__NVPTX__)
#include "plain_nvidia.hpp"
#elif defined(__gfx950__)
#include "plain_gfx950.hpp"
#elif defined(__gfx942__)
#include "plain_gfx942.hpp"
#endif

#endif /* AITERI_FLASH_PLAIN_HPP */
