/*
    aiter_attn.h -- every attention variant of AMD's AITER in one C header

    Do this in *one* C or C++ file to create the implementation:

        #define AITER_ATTN_IMPLEMENTATION
        #include "aiter_attn.h"
*/
