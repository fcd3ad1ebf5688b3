/* copies_user.c: calls two copies of the library besides the public one, in one program. */
#include "aiter_attn.h"
#include "smoke.h"

int copy_a(void);
int copy_b(void);

int main(void) { return copy_a() | copy_b() | smoke(); }
