/* plain_gfx950.hpp -- the plain class of flash_fwd on gfx950. */
#ifndef AITERI_FLASH_PLAIN_GFX950_HPP
#define AITERI_FLASH_PLAIN_GFX950_HPP

#include "finish.hpp"

#endif /* AITERI_FLASH_PLAIN_GFX950_HPP */
