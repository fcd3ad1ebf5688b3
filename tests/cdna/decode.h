/* decode.h -- from the disassembler's text to instructions. */
#ifndef CDNA_DECODE_H
#define CDNA_DECODE_H

#include "machine.h"

namespace cdna
{

/* Fills `i` (address set) from mnemonic, operand text and encoding; returns what is wrong, or "".
 */
std::string decode(Inst &i, const std::string &mnemonic, const std::string &operands,
                   const std::vector<uint32_t> &words);

/* The lane whose value `lane` sees under a DPP control word, or -1. */
int dpp_source(int control, int lane);

bool disassemble(const Image &, const Kernel &, std::vector<Printed> *, std::string *error);

} // namespace cdna

#endif /* CDNA_DECODE_H */
