/* fake_files.h -- the code objects that a test program carries inside, as kernels/embed.c would:
 * one for each AMD chip, one for each PTX row of the registry. */
#ifndef AITER_TEST_FAKE_FILES_H
#define AITER_TEST_FAKE_FILES_H

#include "fake_driver.h"

#define FAKE_BYTES(name) (const unsigned char *)"code of " name
#define FAKE_FILE(name)  {name, FAKE_BYTES(name), FAKE_BYTES(name) + sizeof("code of " name) - 1},
#define FAKE_PTX(op, arch, q, kv, out, dq, dv, layout, scales, kind, source, threads, rows, keys, \
                 lds, waves)                                                                      \
    FAKE_FILE("aiter_" #op "_" #q "_" #kv "_" #dq "_" #dv AITERI_GPU_FILE_##arch ".ptx")
const aiteri_gpu_file aiteri_gpu_files[] = {FAKE_FILE("aiter_gfx942.co") FAKE_FILE(
    "aiter_gfx950.co") AITERI_GPU_ROWS(FAKE_PTX){NULL, NULL, NULL}};

#endif /* AITER_TEST_FAKE_FILES_H */
