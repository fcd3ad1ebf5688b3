/* abi_hash.h -- of args.h and instances.def; written by tools/abi_hash.c. */
#define AITERI_GPU_ABI_HASH 0x8a41006eaa5dcdbfull
