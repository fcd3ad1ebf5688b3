/* unit_user.c: a file of the same program that only calls; C and C++ are mixed both ways. */
#include "aiter_attn.h"
#include "smoke.h"

int main(void) { return smoke(); }
