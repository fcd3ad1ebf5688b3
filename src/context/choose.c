/* choose.c -- which kernels a context uses: the best under the caller's and the environment's caps.
 */
#ifndef AITERI_CHOOSE_C
#define AITERI_CHOOSE_C

#include "../cpu/cpuid.c"
#include "../cpu/instantiate.c"

/* The environment variable AITER_ISA as an enum; AUTO when unset or unknown. */
static aiter_isa aiteri_isa_from_environment(void)
{
    const char *text = getenv("AITER_ISA");
    for (int i = AITER_ISA_SCALAR; text && i < AITER_ISA_COUNT; i++)
        if (strcmp(text, aiter_isa_name((aiter_isa)i)) == 0) return (aiter_isa)i;
    return AITER_ISA_AUTO;
}

/* Whether a kernel set is `top` or one of those below it. */
static int aiteri_is_under(const aiteri_kernels *set, const aiteri_kernels *top)
{
    while (top && top != set) top = top->below;
    return top != NULL;
}

/* The best kernel set under the caps; the caps name sets of this architecture only. */
static const aiteri_kernels *aiteri_choose_kernels(aiter_isa isa_max)
{
    const uint32_t features = aiteri_cpu_features();
    const aiteri_kernels *caps[2] = {aiteri_kernels_of(isa_max),
                                     aiteri_kernels_of(aiteri_isa_from_environment())};
    const aiteri_kernels *best = caps[0] ? caps[0] : caps[1];
    if (!best) best = aiteri_kernels_of((aiter_isa)AITERI_TOP_ISA);
    while ((best->needs & ~features) || (caps[1] && !aiteri_is_under(best, caps[1])))
        best = best->below;
    return best;
}

/* AITER_KERNEL_CLASS of the environment, else `given`; *ignored: it names no class. */
static aiter_kernel_class aiteri_kernel_class_of(aiter_kernel_class given, const char **ignored)
{
    static const char *const name[AITER_KERNEL_CLASS_COUNT] = {"auto", "general", "plain"};
    const char *text = getenv("AITER_KERNEL_CLASS");
    *ignored = NULL;
    for (int i = AITER_KERNEL_CLASS_AUTO; text && i < AITER_KERNEL_CLASS_COUNT; i++)
        if (strcmp(text, name[i]) == 0) return (aiter_kernel_class)i;
    *ignored = text;
    return given;
}

#endif /* AITERI_CHOOSE_C */
