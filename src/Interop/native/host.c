/*
 * What the .NET runtime would do to the process that it is loaded into, and may not: the linker sends its calls of these functions here (--wrap).
 *
 * Signals. The runtime ignores SIGPIPE and handles SIGSEGV and SIGFPE, to make exceptions of faults in managed code. The library has no such faults but by a bug or by a wild pointer of the
 * caller, and there the program's own handler, or a core dump, says more. So these calls do nothing, and say that they succeeded. One signal is needed: the runtime interrupts its threads
 * with it before a garbage collection, and threads that are in the library. It takes the first real-time signal; here it gets the first that the program leaves alone.
 *
 * Fork. The runtime's threads do not follow a fork. A child may neither enter the runtime nor, when it exits, run the runtime's exit handlers.
 *
 * Threads. Those of the library block every signal but that one and those of its own faults, so that the program's handlers run on the program's threads.
 */
#define _GNU_SOURCE
#include "host.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

int __real_sigaction(int number, const struct sigaction *action, struct sigaction *old);
int __real_atexit(void (*handler)(void));
int __real_pthread_kill(pthread_t thread, int number);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument);

int __wrap_sigaction(int number, const struct sigaction *action, struct sigaction *old);
void (*__wrap_signal(int number, void (*handler)(int)))(int);
int __wrap_atexit(void (*handler)(void));
int __wrap_pthread_kill(pthread_t thread, int number);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument);

/* The signal that stands for SIGRTMIN; 0 before the runtime asks, and when the program has taken all. Then a collection waits until each thread leaves the library by itself. */
static int interrupt_signal;

int fp_host_state = FP_HOST_UNUSED;

static void in_child(void)
{
    if (fp_host_state == FP_HOST_RUNNING)
        fp_host_state = FP_HOST_FORKED;
}

/* Before the first call, so that every fork after it is seen. */
__attribute__((constructor)) static void on_load(void)
{
    pthread_atfork(NULL, NULL, in_child);
}

/* Whether the processor is of level x86-64-v3, for which the managed code is compiled (IlcInstructionSet). A test defines it to be none. */
#ifndef FP_HOST_PROCESSOR_IS_ENOUGH
#if defined(__x86_64__)
#define FP_HOST_PROCESSOR_IS_ENOUGH (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma"))
#else
#define FP_HOST_PROCESSOR_IS_ENOUGH 1
#endif
#endif

int fp_host_first_call(void)
{
    int state = __atomic_load_n(&fp_host_state, __ATOMIC_RELAXED);
    if (state == FP_HOST_UNUSED) {
        state = FP_HOST_PROCESSOR_IS_ENOUGH ? FP_HOST_RUNNING : FP_HOST_TOO_OLD;
        __atomic_store_n(&fp_host_state, state, __ATOMIC_RELAXED);
    }
    return state == FP_HOST_RUNNING;
}

/* The runtime has a few, all registered while it starts. */
static void (*exit_handlers[8])(void);
static int exit_handler_count;

static void on_exit_of_process(void)
{
    if (fp_host_state == FP_HOST_FORKED)
        return;
    while (exit_handler_count > 0)
        exit_handlers[--exit_handler_count]();
}

int __wrap_atexit(void (*handler)(void))
{
    if (exit_handler_count == sizeof exit_handlers / sizeof exit_handlers[0])
        return -1;
    if (exit_handler_count == 0 && __real_atexit(on_exit_of_process) != 0)
        return -1;
    exit_handlers[exit_handler_count++] = handler;
    return 0;
}

int __wrap_sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
    if (action == NULL)
        return __real_sigaction(number, NULL, old);
    if (old != NULL)
        memset(old, 0, sizeof *old); /* SIG_DFL: nothing to chain to. */
    if (number != SIGRTMIN)
        return 0;
    for (int candidate = SIGRTMIN; candidate <= SIGRTMAX; candidate++) {
        struct sigaction present;
        if (__real_sigaction(candidate, NULL, &present) != 0 || (present.sa_flags & SA_SIGINFO) != 0 || present.sa_handler != SIG_DFL)
            continue;
        if (__real_sigaction(candidate, action, NULL) != 0)
            return -1;
        interrupt_signal = candidate;
        break;
    }
    return 0;
}

void (*__wrap_signal(int number, void (*handler)(int)))(int)
{
    (void)number;
    (void)handler;
    return SIG_DFL;
}

int __wrap_pthread_kill(pthread_t thread, int number)
{
    if (number == SIGRTMIN) {
        if (interrupt_signal == 0)
            return 0;
        number = interrupt_signal;
    }
    return __real_pthread_kill(thread, number);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
    static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS };
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        sigdelset(&blocked, own[i]);
    if (interrupt_signal != 0)
        sigdelset(&blocked, interrupt_signal);

    /* A new thread has its creator's mask. */
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int result = __real_pthread_create(thread, attributes, start, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}
