/* The process that the library is a guest in. */
#ifndef FASTPLASMA_HOST_H
#define FASTPLASMA_HOST_H

enum fp_host_state {
    FP_HOST_UNUSED,  /* no function was called: a fork makes no difference */
    FP_HOST_RUNNING, /* the runtime has started, or is about to */
    FP_HOST_FORKED   /* a child of a process in which it had */
};

extern int fp_host_state;

int fp_host_first_call(void);

/* Whether managed code may run here. */
static inline int fp_host_may_enter(void)
{
    return __builtin_expect(__atomic_load_n(&fp_host_state, __ATOMIC_RELAXED) == FP_HOST_RUNNING, 1) || fp_host_first_call();
}

#endif
