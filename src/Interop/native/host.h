/* The process that the library is a guest in. */
#ifndef FASTPLASMA_HOST_H
#define FASTPLASMA_HOST_H

#include <stddef.h>
#include <stdint.h>

enum fp_host_state {
    FP_HOST_UNUSED,  /* no function was called, or no thread was to be had: a fork makes no difference */
    FP_HOST_RUNNING, /* the runtime has started, or is about to */
    FP_HOST_FORKED,  /* a child of a process in which it had */
    FP_HOST_TOO_OLD  /* the processor lacks instructions that the library is compiled with */
};

extern int fp_host_state;

int fp_host_first_call(void);

void fp_host_sha256(const uint8_t *content, size_t size, uint8_t digest[32]);

/* Whether managed code may run here. */
static inline int fp_host_may_enter(void)
{
    return __builtin_expect(__atomic_load_n(&fp_host_state, __ATOMIC_RELAXED) == FP_HOST_RUNNING, 1) || fp_host_first_call();
}

#endif
