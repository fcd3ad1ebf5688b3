/* abi_hash.h -- of args.h and instances.def; written by tools/abi_hash.c. */
#define AITERI_GPU_ABI_HASH 0x30cb70f2b90ad385ull
