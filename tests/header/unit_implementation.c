/* unit_implementation.c: the file of a program that holds the implementation and nothing else. */
#define AITER_ATTN_IMPLEMENTATION
#include "aiter_attn.h"
