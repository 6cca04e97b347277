/* How libfastplasma.so behaves as a guest: signals, masks, threads, fork and dlopen of a program that knows it only by dlsym. The arguments are the part and the library. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fastplasma.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(what) \
    do { \
        if (!(what)) { \
            fprintf(stderr, "line %d: %s\n", __LINE__, #what); \
            exit(1); \
        } \
    } while (0)

/* Every thread that the library starts comes from here, and none while they are refused. */
static volatile int refuses_threads;

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
    int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) = (__typeof__(next))dlsym(RTLD_NEXT, "pthread_create");
    return refuses_threads ? EAGAIN : next(thread, attributes, start, argument);
}

static void *library;

/* The functions in use, by dlsym. */
#define F(name) ((__typeof__(&name))find(#name))

static void *find(const char *name)
{
    void *address = dlsym(library, name);
    if (address == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return address;
}

static void load(const char *path)
{
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
}

static fp_store *use(void)
{
    fp_store_options options;
    F(fp_store_options_init_sized)(&options, sizeof options);
    options.capacity_bytes = 64 << 20;
    fp_store *store = NULL;
    CHECK(F(fp_create_anonymous)(&options, &store) == FP_OK);
    fp_id id;
    F(fp_id_from_name)("a", 1, &id);
    CHECK(F(fp_put)(store, &id, "hello", 5, NULL) == FP_OK);
    fp_object object;
    CHECK(F(fp_get)(store, &id, 0, NULL, &object) == FP_OK);
    CHECK(memcmp(object.data, "hello", 5) == 0);
    CHECK(F(fp_release)(&object) == FP_OK);
    return store;
}

static void on_get(void *context, fp_status status, fp_object *object)
{
    (void)object;
    CHECK(status == FP_TIMEOUT);
    *(volatile int *)context = 1;
}

static int ignore_info(void *context, const fp_object_info *info)
{
    (void)context;
    (void)info;
    return 0;
}

/* Everything that starts threads or makes garbage, so that collections interrupt threads too. */
static void use_much(fp_store *store)
{
    static char block[32 << 20];
    fp_id id, never;
    F(fp_id_from_name)("big", 3, &id);
    F(fp_id_from_name)("never", 5, &never);
    volatile int called = 0;
    CHECK(F(fp_get_async)(store, &never, 10, NULL, on_get, (void *)&called) == FP_OK);
    CHECK(F(fp_put)(store, &id, block, sizeof block, NULL) == FP_OK);
    for (int i = 0; i < 2000; i++)
        CHECK(F(fp_list)(store, ignore_info, NULL) == FP_OK);
    while (!called)
        usleep(1000);
}

/* ---- signals -------------------------------------------------------------------------------------------------------------------- */

static sigjmp_buf after_fault;
static volatile sig_atomic_t faults, pipes, usr;
static void *volatile fault_address;

static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    faults++;
    fault_address = info->si_addr;
    siglongjmp(after_fault, 1);
}

static void on_pipe(int number)
{
    (void)number;
    pipes++;
}

static volatile pthread_t usr_thread;

static void on_usr(int number)
{
    (void)number;
    usr++;
    usr_thread = pthread_self();
}

static void fault_and_pipe(int expected)
{
    static int *volatile nowhere = (int *)16;
    if (sigsetjmp(after_fault, 1) == 0)
        *nowhere = 1;
    CHECK(faults == expected && fault_address == (void *)16);
    int ends[2];
    CHECK(pipe(ends) == 0);
    close(ends[0]);
    CHECK(write(ends[1], "x", 1) == -1 && errno == EPIPE);
    close(ends[1]);
    CHECK(pipes == expected);
}

struct dispositions {
    struct sigaction of[NSIG];
    sigset_t mask;
};

static void read_dispositions(struct dispositions *all)
{
    memset(all, 0, sizeof *all);
    for (int i = 1; i < NSIG; i++)
        sigaction(i, NULL, &all->of[i]);
    pthread_sigmask(SIG_SETMASK, NULL, &all->mask);
}

/* How many dispositions have changed; one real-time signal may. */
static int compare(const struct dispositions *before, const struct dispositions *now)
{
    int changed = 0;
    CHECK(memcmp(&before->mask, &now->mask, sizeof before->mask) == 0);
    for (int i = 1; i < NSIG; i++) {
        if (before->of[i].sa_handler == now->of[i].sa_handler && before->of[i].sa_flags == now->of[i].sa_flags)
            continue;
        CHECK(i >= SIGRTMIN && i <= SIGRTMAX && before->of[i].sa_handler == SIG_DFL);
        changed++;
    }
    return changed;
}

static void part_signals(const char *path, int with_realtime)
{
    struct sigaction fault = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO }, pipe_action = { .sa_handler = on_pipe }, usr_action = { .sa_handler = on_usr };
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    sigaddset(&mask, SIGRTMIN + 3);
    CHECK(sigaction(SIGSEGV, &fault, NULL) == 0 && sigaction(SIGPIPE, &pipe_action, NULL) == 0 && sigaction(SIGUSR1, &usr_action, NULL) == 0);
    if (with_realtime)
        CHECK(sigaction(SIGRTMIN, &usr_action, NULL) == 0 && sigaction(SIGRTMIN + 1, &usr_action, NULL) == 0);
    CHECK(pthread_sigmask(SIG_SETMASK, &mask, NULL) == 0);
    struct dispositions before, now;
    read_dispositions(&before);

    load(path);
    read_dispositions(&now);
    CHECK(compare(&before, &now) == 0);
    fault_and_pipe(1);

    /* Changed after loading and before the first use. */
    pipe_action.sa_flags = SA_RESTART;
    CHECK(sigaction(SIGPIPE, &pipe_action, NULL) == 0);
    sigaddset(&mask, SIGALRM);
    CHECK(pthread_sigmask(SIG_SETMASK, &mask, NULL) == 0);
    read_dispositions(&before);
    fp_store *store = use();
    use_much(store);
    read_dispositions(&now);
    CHECK(compare(&before, &now) <= 1);
    fault_and_pipe(2);

    /* A fault that the library meets at a caller's address is the program's too. */
    if (sigsetjmp(after_fault, 1) == 0) {
        F(fp_id_from_content)((const void *)4096, 100, &(fp_id){ { 0 } });
        CHECK(!"reached");
    }
    CHECK(faults == 3);

    /* A signal to the process is for the program's threads: all others block it. */
    for (int i = 0; i < 100; i++) {
        int count = usr;
        CHECK(kill(getpid(), SIGUSR1) == 0);
        while (usr == count)
            usleep(100);
        CHECK(pthread_equal(usr_thread, pthread_self()));
    }
    CHECK(usr == 100); /* With SIGRTMIN handled by the program: the library did not send it. */
    read_dispositions(&now);
    CHECK(compare(&before, &now) <= 1);
    _exit(0); /* The fault above has left the call by siglongjmp, which is the program's own risk. */
}

static void part_default(const char *path)
{
    signal(SIGPIPE, SIG_DFL); /* The program that started this one may ignore it. */
    signal(SIGSEGV, SIG_DFL);
    load(path);
    fp_store *store = use();
    use_much(store);
    struct sigaction present;
    CHECK(sigaction(SIGPIPE, NULL, &present) == 0 && present.sa_handler == SIG_DFL);

    /* It brings nobody along: no OpenSSL, no helper. */
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[1000];
    CHECK(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL) {
        char *file = strrchr(line, '/');
        if (file != NULL && strstr(file, ".so") != NULL)
            CHECK(strncmp(file, "/libfastplasma.so", 17) == 0 || strncmp(file, "/libc.so", 8) == 0 || strncmp(file, "/libm.so", 8) == 0 || strncmp(file, "/ld-linux", 9) == 0 ||
                strncmp(file, "/libdl.so", 9) == 0 || strncmp(file, "/libpthread.so", 14) == 0 || strncmp(file, "/librt.so", 9) == 0 || strncmp(file, "/libgcc_s.so", 12) == 0);
    }
    fclose(maps);
    CHECK(sigaction(SIGSEGV, NULL, &present) == 0 && present.sa_handler == SIG_DFL);
    CHECK(F(fp_close)(store) == FP_OK);
}

/* ---- fork ----------------------------------------------------------------------------------------------------------------------- */

static int none(void *context, const char *name)
{
    (void)context;
    (void)name;
    return 0;
}

static void on_event(void *context, const fp_event *event, int64_t lost)
{
    (void)context;
    (void)event;
    (void)lost;
}

static void child(fp_store *store, fp_id id, fp_object *object, fp_writer *writer, fp_subscription *subscription, fp_cancellation *cancellation)
{
    fp_id other = id;
    fp_object got;
    fp_writer made;
    fp_store *opened;
    fp_subscription *more;
    fp_event event;
    int64_t number;
    int32_t status, matches;
    uint8_t ready;
    const char *text;
    const void *bytes;
    size_t size;
    fp_store_stats stats = { .struct_size = sizeof stats };
    fp_object_details details = { .struct_size = sizeof details };
    alarm(30);
    CHECK(F(fp_id_from_name)("a", 1, &other) == FP_FORKED && F(fp_id_random)(&other) == FP_FORKED);
    CHECK(strcmp(F(fp_version)(), "0.1.0") == 0 && strcmp(F(fp_status_name)(FP_FORKED), "FP_FORKED") == 0);
    CHECK(F(fp_try_get)(store, &id, &got) == FP_FORKED);
    CHECK(strstr(F(fp_last_error)(), "fork") != NULL);
    CHECK(F(fp_get)(store, &id, 0, NULL, &got) == FP_FORKED);
    CHECK(F(fp_get_many)(store, &id, 1, 1, 0, NULL, &got, NULL) == FP_FORKED);
    CHECK(F(fp_get_into)(store, &id, 0, NULL, &ready, 1, NULL) == FP_FORKED);
    CHECK(F(fp_get_async)(store, &id, 0, NULL, on_get, NULL) == FP_FORKED);
    CHECK(F(fp_contains)(store, &id) == FP_FORKED);
    CHECK(F(fp_wait)(store, &id, 1, 1, 0, NULL, &ready, NULL) == FP_FORKED);
    CHECK(F(fp_put)(store, &other, "x", 1, NULL) == FP_FORKED);
    CHECK(F(fp_put_many)(store, &other, &(fp_buffer){ "x", 1 }, 1, NULL, &status, NULL) == FP_FORKED);
    CHECK(F(fp_create)(store, &other, 1, NULL, &made) == FP_FORKED);
    CHECK(F(fp_delete)(store, &id) == FP_FORKED);
    CHECK(F(fp_abort_id)(store, &id) == FP_FORKED);
    CHECK(F(fp_seal)(writer) == FP_FORKED);
    CHECK(F(fp_abort)(writer) == FP_FORKED);
    CHECK(F(fp_release)(object) == FP_FORKED);
    CHECK(F(fp_object_id)(object, &id) == FP_FORKED);
    CHECK(F(fp_object_metadata)(object, &bytes, &size) == FP_FORKED);
    CHECK(F(fp_object_name)(object, &text, &size) == FP_FORKED);
    CHECK(F(fp_object_details_get)(object, &details) == FP_FORKED);
    CHECK(F(fp_object_verify)(object, &matches) == FP_FORKED);
    CHECK(F(fp_list)(store, ignore_info, NULL) == FP_FORKED);
    CHECK(F(fp_list_holders)(store, NULL, NULL, NULL) == FP_FORKED);
    CHECK(F(fp_store_details_get)(store, NULL) == FP_FORKED);
    CHECK(F(fp_last_full_report)(NULL) == FP_FORKED && F(fp_last_full_holders)(NULL, NULL) == FP_FORKED);
    CHECK(F(fp_stats)(store, &stats) == FP_FORKED);
    CHECK(F(fp_verify)(store, 1, NULL, NULL, NULL, NULL) == FP_FORKED);
    CHECK(F(fp_maintain)(store, NULL) == FP_FORKED);
    CHECK(F(fp_evict)(store, 1, &number) == FP_FORKED);
    CHECK(F(fp_trim)(store, &number) == FP_FORKED);
    CHECK(F(fp_admit_reader)(store, "nobody") == FP_FORKED);
    CHECK(F(fp_subscribe)(store, &more) == FP_FORKED);
    CHECK(F(fp_subscribe_callback)(store, on_event, NULL, &more) == FP_FORKED);
    CHECK(F(fp_next_event)(subscription, 0, NULL, &event) == FP_FORKED);
    CHECK(F(fp_lost_events)(subscription, &number) == FP_FORKED);
    CHECK(F(fp_unsubscribe)(subscription) == FP_FORKED);
    CHECK(F(fp_cancel)(cancellation) == FP_FORKED);
    CHECK(F(fp_cancellation_free)(cancellation) == FP_FORKED);
    CHECK(F(fp_cancellation_new)(&cancellation) == FP_FORKED);
    CHECK(F(fp_open)("x", NULL, &opened) == FP_FORKED);
    CHECK(F(fp_create_store)("x", NULL, &opened) == FP_FORKED);
    CHECK(F(fp_open_or_create)("x", NULL, &opened) == FP_FORKED);
    CHECK(F(fp_create_anonymous)(NULL, &opened) == FP_FORKED);
    CHECK(F(fp_list_stores)(NULL, none, NULL) == FP_FORKED);
    CHECK(F(fp_destroy)("x", NULL) == FP_FORKED);
    CHECK(F(fp_close)(store) == FP_FORKED);
}

static fp_store *volatile fork_lists;

static void *list_always(void *argument)
{
    (void)argument;
    for (fp_store *store; (store = fork_lists) != NULL;)
        CHECK(F(fp_list)(store, ignore_info, NULL) == FP_OK);
    return NULL;
}

static void await_child(pid_t pid)
{
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void part_fork(const char *path)
{
    load(path);

    /* Loaded, but not used: the child is as good as any process. */
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(F(fp_close)(use()) == FP_OK);
        exit(0);
    }
    await_child(pid);

    fp_store *store = use();
    fp_subscription *subscription = NULL;
    fp_cancellation *cancellation = NULL;
    fp_id id, made;
    fp_object object;
    fp_writer writer;
    CHECK(F(fp_subscribe)(store, &subscription) == FP_OK && F(fp_cancellation_new)(&cancellation) == FP_OK);
    F(fp_id_from_name)("a", 1, &id);
    F(fp_id_from_name)("made", 4, &made);
    CHECK(F(fp_try_get)(store, &id, &object) == FP_OK && F(fp_create)(store, &made, 5, NULL, &writer) == FP_OK);
    for (int by_exit = 0; by_exit < 2; by_exit++) {
        pid = fork();
        if (pid == 0) {
            child(store, id, &object, &writer, subscription, cancellation);
            if (by_exit)
                exit(0);
            _exit(0);
        }
        await_child(pid);
    }

    /* Also in the moment of a garbage collection, which two threads bring about all the time. */
    fork_lists = store;
    pthread_t listers[2];
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&listers[i], NULL, list_always, NULL) == 0);
    for (int i = 0; i < 100; i++) {
        usleep((useconds_t)(i * 7 % 1000));
        pid = fork();
        if (pid == 0) {
            fp_object got;
            alarm(30); /* Its default action ends a child that hangs. */
            CHECK(F(fp_try_get)(store, &id, &got) == FP_FORKED && F(fp_put)(store, &id, "x", 1, NULL) == FP_FORKED && F(fp_last_error)()[0] != 0);
            exit(0);
        }
        await_child(pid);
    }
    fork_lists = NULL;
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(listers[i], NULL) == 0);

    /* The parent is unharmed. */
    CHECK(memcmp(object.data, "hello", 5) == 0);
    memcpy(writer.data, "world", 5);
    CHECK(F(fp_seal)(&writer) == FP_OK);
    CHECK(F(fp_release)(&object) == FP_OK);
    CHECK(F(fp_get)(store, &made, 0, NULL, &object) == FP_OK && memcmp(object.data, "world", 5) == 0);
    CHECK(F(fp_release)(&object) == FP_OK);
    fp_store_stats stats = { .struct_size = sizeof stats };
    CHECK(F(fp_stats)(store, &stats) == FP_OK && stats.sealed_count == 2 && stats.participant_count == 1 && stats.process.aborts == 0 && stats.process.deletes == 0);
    CHECK(F(fp_cancel)(cancellation) == FP_OK && F(fp_unsubscribe)(subscription) == FP_OK && F(fp_close)(store) == FP_OK);
}

/* ---- loading -------------------------------------------------------------------------------------------------------------------- */

static void *use_in_thread(void *argument)
{
    (void)argument;
    CHECK(F(fp_close)(use()) == FP_OK);
    return NULL;
}

static void part_reload(const char *path)
{
    load(path);
    void *first = dlsym(library, "fp_version");
    CHECK(dlclose(library) == 0);
    load(path);
    CHECK(dlsym(library, "fp_version") == first); /* It has stayed. */
    fp_store *store = use();
    CHECK(dlclose(library) == 0);
    for (int i = 0; i < 3; i++) {
        load(path);
        fp_id id;
        fp_object object;
        F(fp_id_from_name)("a", 1, &id);
        CHECK(F(fp_try_get)(store, &id, &object) == FP_OK); /* A store that was opened before. */
        CHECK(F(fp_release)(&object) == FP_OK);
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, use_in_thread, NULL) == 0 && pthread_join(thread, NULL) == 0);
        CHECK(dlclose(library) == 0);
    }
    load(path);
    CHECK(F(fp_close)(store) == FP_OK);
}

/* The first use is by many threads at once, none of them the program's first. */
static void part_first(const char *path)
{
    load(path);
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        CHECK(pthread_create(&threads[i], NULL, use_in_thread, NULL) == 0);
    for (int i = 0; i < 8; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

/* The program's own exit handlers run after those of the runtime, which was started later; globals of C++ are like that. */
static fp_store *at_exit_store;
static fp_subscription *at_exit_subscription;

static void at_exit(void)
{
    fp_id id;
    fp_object object;
    F(fp_id_from_name)("a", 1, &id);
    if (F(fp_get)(at_exit_store, &id, 100, NULL, &object) != FP_OK || F(fp_release)(&object) != FP_OK || F(fp_unsubscribe)(at_exit_subscription) != FP_OK || F(fp_close)(at_exit_store) != FP_OK)
        _exit(1);
}

static void part_exit(const char *path)
{
    CHECK(atexit(at_exit) == 0);
    load(path);
    at_exit_store = use();
    CHECK(F(fp_subscribe_callback)(at_exit_store, on_event, NULL, &at_exit_subscription) == FP_OK);
}

/* ---- what the runtime would do to others ---------------------------------------------------------------------------------------- */

static fp_store *ends_store;
static pthread_key_t ends_key;
static volatile int released;

static void release_at_end(void *object)
{
    CHECK(F(fp_release)(object) == FP_OK);
    released++;
    free(object);
}

static void *get_for_end(void *argument)
{
    (void)argument;
    fp_id id;
    fp_object *object = malloc(sizeof *object);
    F(fp_id_from_name)("a", 1, &id);
    CHECK(F(fp_get)(ends_store, &id, 0, NULL, object) == FP_OK && pthread_setspecific(ends_key, object) == 0);
    return NULL;
}

/* A child that ends its only thread, while the parent collects garbage. */
static void *fork_and_end(void *argument)
{
    (void)argument;
    for (int i = 0; i < 200; i++) {
        fp_id id = { { 0 } };
        CHECK(F(fp_contains)(ends_store, &id) == FP_NOT_FOUND);
        pid_t pid = fork();
        if (pid == 0) {
            alarm(30);
            pthread_exit(NULL);
        }
        await_child(pid);
    }
    return NULL;
}

static void part_ends(const char *path)
{
    /* A thread's own destructors may call the library, whether their key is older than the runtime's or younger. */
    pthread_t threads[3];
    load(path);
    pthread_key_t older;
    CHECK(pthread_key_create(&older, release_at_end) == 0);
    ends_store = use();
    for (int i = 0; i < 4; i++) {
        if (i % 2 == 0)
            ends_key = older;
        else
            CHECK(pthread_key_create(&ends_key, release_at_end) == 0);
        CHECK(pthread_create(&threads[0], NULL, get_for_end, NULL) == 0 && pthread_join(threads[0], NULL) == 0);
    }
    CHECK(released == 4);
    fork_lists = ends_store;
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, i < 2 ? list_always : fork_and_end, NULL) == 0);
    CHECK(pthread_join(threads[2], NULL) == 0);
    fork_lists = NULL;
    CHECK(pthread_join(threads[0], NULL) == 0 && pthread_join(threads[1], NULL) == 0);
    CHECK(F(fp_close)(ends_store) == FP_OK);
}

/* drand48 has one state for the process: a sequence that was begun goes on as if there were no library. */
static void part_random(const char *path)
{
    srand48(42);
    drand48();
    double second = drand48();
    srand48(42);
    drand48();
    load(path);
    fp_store *store = use();
    use_much(store);
    CHECK(F(fp_close)(store) == FP_OK);
    CHECK(drand48() == second);
}

/* Messages of a program that has closed its standard descriptors do not end in a store. */
static void part_standard(const char *path)
{
    char name[64], target[200];
    snprintf(name, sizeof name, "guest-standard-%d", getpid());
    load(path);
    int error = fcntl(2, F_DUPFD_CLOEXEC, 100);
    close(0);
    close(1);
    close(2);
    fp_store *store = NULL, *second = NULL;
    fp_store_options options;
    F(fp_store_options_init_sized)(&options, sizeof options);
    options.capacity_bytes = 16 << 20;
    fp_status created = F(fp_create_store)(name, &options, &store), opened = F(fp_open)(name, NULL, &second), destroyed = F(fp_destroy)(name, NULL);
    fp_store *anonymous = use();
    int strays = 0;
    for (int i = 0; i < 3; i++) {
        snprintf(target, sizeof target, "/proc/self/fd/%d", i);
        char file[200] = { 0 };
        strays += readlink(target, file, sizeof file - 1) > 0 && strstr(file, "fastplasma") != NULL;
    }
    CHECK(dup2(error, 2) == 2);
    CHECK(created == FP_OK && opened == FP_OK && destroyed == FP_OK && strays == 0);
    CHECK(F(fp_close)(store) == FP_OK && F(fp_close)(second) == FP_OK && F(fp_close)(anonymous) == FP_OK);
}

/* The program takes all real-time signals after the library has taken one: none of them comes. */
static void part_taken(const char *path, int by_default)
{
    load(path);
    fork_lists = use();
    for (int i = SIGRTMIN; i <= SIGRTMAX; i++)
        CHECK(signal(i, by_default ? SIG_DFL : on_usr) != SIG_ERR);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, list_always, NULL) == 0);
    sleep(2);
    fp_store *store = fork_lists;
    fork_lists = NULL;
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(F(fp_close)(store) == FP_OK && usr == 0);
}

static void count_timeout(void *context, fp_status status, fp_object *object)
{
    CHECK(status == FP_TIMEOUT && object == NULL);
    ++*(volatile int *)context;
}

/* Threads that are not to be had: calls fail, and succeed later. */
static void part_refused(const char *path)
{
    load(path);
    fp_store *store = NULL, *second = NULL;
    fp_subscription *subscription = NULL;
    fp_id id;
    volatile int called = 0;
    refuses_threads = 1;
    CHECK(F(fp_create_anonymous)(NULL, &store) == FP_NO_MEMORY && strstr(F(fp_last_error)(), "RLIMIT_NPROC") != NULL);
    CHECK(F(fp_id_random)(&id) == FP_NO_MEMORY);
    refuses_threads = 0;
    CHECK(F(fp_id_from_name)("a", 1, &id) == FP_OK);

    refuses_threads = 1;
    CHECK(F(fp_create_anonymous)(NULL, &store) == FP_NO_MEMORY && store == NULL);
    refuses_threads = 0;
    store = use(); /* Its maintenance thread was tried again. */
    refuses_threads = 1;
    CHECK(F(fp_create_anonymous)(NULL, &second) == FP_OK && F(fp_close)(second) == FP_OK); /* It needs no other. */
    CHECK(F(fp_subscribe_callback)(store, on_event, NULL, &subscription) == FP_NO_MEMORY && subscription == NULL);
    CHECK(F(fp_get_async)(store, &id, 0, NULL, on_get, NULL) == FP_NO_MEMORY); /* It is there, and the pin is given back. */
    fp_store_stats stats = { .struct_size = sizeof stats };
    CHECK(F(fp_delete)(store, &id) == FP_OK && F(fp_stats)(store, &stats) == FP_OK && stats.condemned_count == 0 && stats.sealed_count == 0);
    CHECK(F(fp_get_async)(store, &id, 10, NULL, count_timeout, (void *)&called) == FP_NO_MEMORY);
    refuses_threads = 0;
    CHECK(F(fp_subscribe_callback)(store, on_event, NULL, &subscription) == FP_OK && F(fp_unsubscribe)(subscription) == FP_OK);
    CHECK(called == 0 && F(fp_close)(store) == FP_OK);
}

static void part_old(const char *path)
{
    library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    CHECK(library != NULL);
    fp_store_options options;
    fp_store *store = NULL;
    fp_id id;
    F(fp_store_options_init_sized)(&options, sizeof options);
    CHECK(options.struct_size == sizeof options && strcmp(F(fp_status_name)(FP_UNSUPPORTED), "FP_UNSUPPORTED") == 0);
    for (int i = 0; i < 2; i++) {
        CHECK(F(fp_open)("x", &options, &store) == FP_UNSUPPORTED);
        CHECK(strstr(F(fp_last_error)(), "AVX2") != NULL);
        CHECK(F(fp_id_random)(&id) == FP_UNSUPPORTED && F(fp_close)(NULL) == FP_UNSUPPORTED);
    }
}

/* The check of dispositions finds what a runtime would do. */
static void part_control(const char *path)
{
    struct dispositions before, now;
    signal(SIGPIPE, SIG_DFL);
    read_dispositions(&before);
    load(path);
    fp_store *store = use();
    signal(SIGPIPE, SIG_IGN);
    read_dispositions(&now);
    CHECK(F(fp_close)(store) == FP_OK);
    compare(&before, &now);
}

int main(int count, char **arguments)
{
    const char *part = count == 3 ? arguments[1] : "", *path = count == 3 ? arguments[2] : "";
    if (strcmp(part, "signals") == 0)
        part_signals(path, 0);
    else if (strcmp(part, "realtime") == 0)
        part_signals(path, 1);
    else if (strcmp(part, "default") == 0)
        part_default(path);
    else if (strcmp(part, "fork") == 0)
        part_fork(path);
    else if (strcmp(part, "exit") == 0)
        part_exit(path);
    else if (strcmp(part, "old") == 0)
        part_old(path);
    else if (strcmp(part, "control") == 0)
        part_control(path);
    else if (strcmp(part, "reload") == 0)
        part_reload(path);
    else if (strcmp(part, "ends") == 0)
        part_ends(path);
    else if (strcmp(part, "random") == 0)
        part_random(path);
    else if (strcmp(part, "standard") == 0)
        part_standard(path);
    else if (strcmp(part, "taken") == 0)
        part_taken(path, 0);
    else if (strcmp(part, "reset") == 0)
        part_taken(path, 1);
    else if (strcmp(part, "refused") == 0)
        part_refused(path);
    else if (strcmp(part, "first") == 0)
        part_first(path);
    else
        return 2;
    return 0;
}
