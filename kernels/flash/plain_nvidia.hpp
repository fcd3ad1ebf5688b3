/* plain_nvidia.hpp -- the plain class of flash_fwd on NVIDIA. */
#ifndef AITERI_FLASH_PLAIN_NVIDIA_HPP
#define AITERI_FLASH_PLAIN_NVIDIA_HPP

#include "finish.hpp"

#endif /* AITERI_FLASH_PLAIN_NVIDIA_HPP */
