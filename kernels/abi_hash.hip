// abi_hash.hip -- the symbol by which a code object says which args.h and instances.def it is of.
// It is compiled alone, so that a new row rebuilds no other kernel; PTX modules are stamped.
#include "abi_hash.h"

extern "C" __attribute__((device, used)) unsigned long aiteri_gpu_abi_hash = AITERI_GPU_ABI_HASH;
