/* flash_fwd.hip -- attention of many query rows. The class of a row of instances.def chooses the
 * implementation: general takes every option, plain is full or causal over dense rows, and fast. */
#include "flash/general.hpp"
#include "flash/plain.hpp"

#define AITERI_FLASH_FWD(op, arch, q, kv, out, dq, dv, layout, scales, kind, source, threads,  \
                         rows, keys, lds, waves)                                               \
    AITERI_KERNEL(threads)                                                                     \
    void aiteri_##op##_##q##_##kv##_##out##_##dq##_##dv##_##kind(const aiteri_gpu_attention a) \
    {                                                                                          \
        AITERI_FLASH_##kind(F, aiteri::q, dq, dv, threads, rows, keys);                        \
        static_assert(F::LDS_BYTES == lds, "instances.def states the LDS");                    \
    }

/* The build hands over the lines of instances.def that this compile is for. */
AITERI_ROWS(AITERI_FLASH_FWD)
