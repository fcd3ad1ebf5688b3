/* hip_face.h -- what a test may ask the emulator's HIP library beside HIP itself. Plain C; find
 * the functions with dlsym, or link the library. All of them may be called from any thread.
 *
 * The library reads these environment variables at the first call:
 *   CDNA_CHIP=gfx950      gfx90a, gfx942 or gfx950
 *   CDNA_DEVICES=1        0 to 16; with 0 hipInit answers 101 and hipGetDeviceCount 100
 *   CDNA_SEED=0           the order of queued work and of waves
 *   CDNA_FAIL=name:n:code,...   as cdna_fail
 *   CDNA_NOP=kernel:address     as cdna_nop, the address in hexadecimal
 *   CDNA_EXECUTED=file    at the end of the process append "opcode count" lines to the file
 *   CDNA_EXIT=status      end the process with this status if reports are left that nobody read
 *
 * Nothing queued runs before a call that waits for it, or asks whether it has run. As in HIP a copy
 * from or to pageable memory is no asynchronous one: the call waits. Stricter than HIP: hipFree
 * does not wait, kernels see pinned memory only if hipHostMallocMapped asked for that, and a module
 * cannot be loaded during a capture.
 *
 * A host pointer in a kernel, memory freed or overwritten while queued work uses it, and whatever
 * the emulator sees a kernel do wrong, is a report; the next call that waits on that device then
 * answers 700 (an address) or 719, once.
 */
#ifndef CDNA_HIP_FACE_H
#define CDNA_HIP_FACE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How often a function of HIP was called, or one of these: "*" (all of HIP), "allocations" (of
 * device and pinned memory, and their release), "synchronisations" (whatever makes the host wait,
 * hipFree and copies from or to pageable memory among it), "launches", "wave_instructions", "live"
 * (blocks of memory not freed), "queued" (work that has not run). */
uint64_t cdna_count(const char *name);

/* The n-th next call (1: the next) of this function, or of any for "*", answers `code` and does
 * nothing. n = 0 takes it back. */
void cdna_fail(const char *name, uint64_t n, int code);

/* Copies the reports, one a line, as many as fit; returns how many there are and forgets them. */
int cdna_reports(char *text, size_t bytes);

/* From now on: another seed. */
void cdna_seed(uint64_t seed);

/* Sabotage: the instruction at this address of this kernel runs as s_nop. NULL: none. */
void cdna_nop(const char *kernel, uint64_t address);

#ifdef __cplusplus
}
#endif

#endif /* CDNA_HIP_FACE_H */
