/*
 * What the .NET runtime would do to the process that it is loaded into, and may not: the linker sends its calls of these functions here (--wrap).
 *
 * Signals. The runtime ignores SIGPIPE and handles SIGSEGV and SIGFPE, to make exceptions of faults in managed code. The library has no such faults but by a bug or by a wild pointer of the
 * caller, and there the program's own handler, or a core dump, says more. So these calls do nothing, and say that they succeeded. One signal is needed: the runtime interrupts its threads
 * with it before a garbage collection, and threads that are in the library. It takes the first real-time signal; here it gets the first that the program leaves alone.
 *
 * Fork. The runtime's threads do not follow a fork. A child may neither enter the runtime nor, when it exits, run the runtime's exit handlers.
 *
 * Threads. Those of the library block every signal but that one and those of its own faults, so that the program's handlers run on the program's threads. A thread of the program leaves the
 * runtime when it ends, by a destructor of a pthread key; the program's own destructors may still call the library, so that one waits for a second round. And a runtime that is refused its
 * first thread ends the process, so it is started only where a thread can be had.
 *
 * Random numbers. The runtime would seed drand48's generator, and draw from it, which is one for the whole process: a program that seeded it expects its own sequence.
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
int __real_pthread_key_create(pthread_key_t *key, void (*destructor)(void *));

int __wrap_sigaction(int number, const struct sigaction *action, struct sigaction *old);
void (*__wrap_signal(int number, void (*handler)(int)))(int);
int __wrap_atexit(void (*handler)(void));
int __wrap_pthread_kill(pthread_t thread, int number);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument);
int __wrap_pthread_key_create(pthread_key_t *key, void (*destructor)(void *));
void __wrap_srand48(long seed);
long __wrap_lrand48(void);

/* The signal that stands for SIGRTMIN; 0 before the runtime asks, and when the program has taken all. Then a collection waits until each thread leaves the library by itself. */
static int interrupt_signal;
static void (*interrupt_handler)(int, siginfo_t *, void *);

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

static void *end_at_once(void *argument)
{
    return argument;
}

static int can_start_thread(void)
{
    pthread_t thread;
    return __wrap_pthread_create(&thread, NULL, end_at_once, NULL) == 0 && pthread_join(thread, NULL) == 0;
}

int fp_host_first_call(void)
{
    int state = __atomic_load_n(&fp_host_state, __ATOMIC_RELAXED);
    if (state == FP_HOST_UNUSED) {
        if (FP_HOST_PROCESSOR_IS_ENOUGH && !can_start_thread())
            return 0; /* The next call tries again. */
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
        interrupt_handler = action->sa_sigaction;
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
        /* The program may have taken the signal since, or set it to SIG_DFL, which would end the process. Then it is as if all were taken. */
        struct sigaction present;
        if (interrupt_signal == 0 || __real_sigaction(interrupt_signal, NULL, &present) != 0 || present.sa_sigaction != interrupt_handler)
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

/* The runtime has one key, whose destructor takes the ending thread out of it. */
static pthread_key_t end_key;
static void (*leave_runtime)(void *);
static _Thread_local int is_second_round;

static void on_end_of_thread(void *value)
{
    if (fp_host_state == FP_HOST_FORKED)
        return; /* It would wait for threads that are not there. */
    if (!is_second_round) {
        is_second_round = 1;
        if (pthread_setspecific(end_key, value) == 0)
            return;
    }
    leave_runtime(value);
}

int __wrap_pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
    if (destructor == NULL || leave_runtime != NULL)
        return __real_pthread_key_create(key, destructor);
    int result = __real_pthread_key_create(key, on_end_of_thread);
    if (result == 0) {
        end_key = *key;
        leave_runtime = destructor;
    }
    return result;
}

/* For seeds of hash tables, mixed with bytes of the system. */
static uint64_t random_state;

void __wrap_srand48(long seed)
{
    random_state = (uint64_t)seed;
}

long __wrap_lrand48(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (long)(random_state >> 33);
}
