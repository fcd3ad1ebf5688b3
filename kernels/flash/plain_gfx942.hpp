/* plain_gfx942.hpp -- the plain class of flash_fwd on gfx942. */
#ifndef AITERI_FLASH_PLAIN_GFX942_HPP
#define AITERI_FLASH_PLAIN_GFX942_HPP

#include "finish.hpp"

#endif /* AITERI_FLASH_PLAIN_GFX942_HPP */
