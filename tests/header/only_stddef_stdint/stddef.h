/* stddef.h: what the freestanding header of a compiler holds, as far as declarations need it. */
#ifndef ONLY_STDDEF_H
#define ONLY_STDDEF_H
typedef __SIZE_TYPE__ size_t;
typedef __PTRDIFF_TYPE__ ptrdiff_t;
#ifdef __cplusplus
#define NULL 0
#else
#define NULL ((void *)0)
#endif
#endif
