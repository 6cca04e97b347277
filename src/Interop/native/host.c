/*
 * What the .NET runtime would do to the process that it is loaded into, and may not: the linker sends its calls of these four functions here (--wrap).
 *
 * Signals. The runtime ignores SIGPIPE and handles SIGSEGV and SIGFPE, to make exceptions of faults in managed code. The library has no such faults but by a bug or by a wild pointer of the
 * caller, and there the program's own handler, or a core dump, says more. So these calls do nothing, and say that they succeeded. One signal is needed: the runtime interrupts its threads
 * with it before a garbage collection, and threads that are in the library. It takes the first real-time signal; here it gets the first that the program leaves alone.
 *
 * Threads. Those of the library block every signal but that one and those of its own faults, so that the program's handlers run on the program's threads.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

int __real_sigaction(int number, const struct sigaction *action, struct sigaction *old);
int __real_pthread_kill(pthread_t thread, int number);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument);

int __wrap_sigaction(int number, const struct sigaction *action, struct sigaction *old);
void (*__wrap_signal(int number, void (*handler)(int)))(int);
int __wrap_pthread_kill(pthread_t thread, int number);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument);

/* The signal that stands for SIGRTMIN; 0 before the runtime asks, and when the program has taken all. Then a collection waits until each thread leaves the library by itself. */
static int interrupt_signal;

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
