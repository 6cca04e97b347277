/* Holds libfastplasma.so to what fastplasma.h says. The first argument names a part, the second a store that the part may create. Ends with 0, or says what was not kept. */
#define _GNU_SOURCE
#include <fastplasma.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(what) \
    do { \
        if (!(what)) { \
            fprintf(stderr, "line %d: %s; last error: %s\n", __LINE__, #what, fp_last_error()); \
            exit(1); \
        } \
    } while (0)

#define IS(expected, call) \
    do { \
        int result_ = (call); \
        if (result_ != (expected)) { \
            fprintf(stderr, "line %d: %s is %s, not %s; last error: %s\n", __LINE__, #call, fp_status_name(result_), #expected, fp_last_error()); \
            exit(1); \
        } \
    } while (0)

static fp_id id_of(const char *name)
{
    fp_id id;
    IS(FP_OK, fp_id_from_name(name, strlen(name), &id));
    return id;
}

static fp_store_options small(void)
{
    fp_store_options options;
    fp_store_options_init(&options);
    options.capacity_bytes = 16 << 20;
    options.object_count_max = 1024;
    return options;
}

static fp_store *anonymous(void)
{
    fp_store_options options = small();
    fp_store *store = NULL;
    IS(FP_OK, fp_create_anonymous(&options, &store));
    CHECK(store != NULL);
    return store;
}

static int says(const char *text)
{
    return strstr(fp_last_error(), text) != NULL;
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int no_memory_holder(void *context, const fp_memory_holder *holder)
{
    (void)context;
    (void)holder;
    return 0;
}

/* ---- library and ids ------------------------------------------------------------------------------------------------------------ */

static void part_ids(const char *name)
{
    (void)name;
    CHECK(strcmp(fp_version(), "0.1.0") == 0);
    CHECK(strcmp(fp_last_error(), "") == 0);
    CHECK(strcmp(fp_status_name(FP_STORE_FULL), "FP_STORE_FULL") == 0);
    CHECK(strcmp(fp_status_name(4711), "FP_?") == 0);
    fp_full_report report = { .struct_size = sizeof report };
    IS(FP_NOT_FOUND, fp_last_full_report(&report));
    IS(FP_INVALID_ARGUMENT, fp_last_full_report(NULL));
    IS(FP_NOT_FOUND, fp_last_full_holders(no_memory_holder, NULL));
    IS(FP_INVALID_ARGUMENT, fp_last_full_holders(NULL, NULL));

    fp_id id, other;
    char text[FP_ID_TEXT_SIZE];
    IS(FP_OK, fp_id_from_name("a", 1, &id));
    IS(FP_OK, fp_id_from_content("a", 1, &other));
    CHECK(memcmp(&id, &other, sizeof id) == 0);
    IS(FP_OK, fp_id_format(&id, text));
    CHECK(strcmp(text, "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785") == 0); /* SHA-256 of "a". */
    IS(FP_OK, fp_id_parse(text, 56, &other));
    CHECK(memcmp(&id, &other, sizeof id) == 0);
    IS(FP_OK, fp_id_parse("CA978112CA1BBDCAFAC231B39A23DC4DA786EFF8", 40, &other));
    CHECK(memcmp(&id, &other, 20) == 0 && other.bytes[20] == 0 && other.bytes[27] == 0);
    IS(FP_OK, fp_id_random(&id));
    IS(FP_OK, fp_id_random(&other));
    CHECK(memcmp(&id, &other, sizeof id) != 0);
    IS(FP_OK, fp_id_from_content(NULL, 0, &id));
    for (int i = 0; i < 1000; i++) { /* A stuck generator would repeat. */
        fp_id next;
        IS(FP_OK, fp_id_random(&next));
        CHECK(memcmp(&next, &other, sizeof next) != 0);
        other = next;
    }

    IS(FP_INVALID_ARGUMENT, fp_id_from_name("", 0, &id));
    IS(FP_INVALID_ARGUMENT, fp_id_from_name(NULL, 3, &id));
    IS(FP_INVALID_ARGUMENT, fp_id_from_name("\xff\xfe", 2, &id));
    CHECK(says("UTF-8"));
    IS(FP_INVALID_ARGUMENT, fp_id_from_name("a", 1, NULL));
    IS(FP_INVALID_ARGUMENT, fp_id_from_content(NULL, 1, &id));
    IS(FP_INVALID_ARGUMENT, fp_id_random(NULL));
    IS(FP_INVALID_ARGUMENT, fp_id_parse(text, 55, &id));
    IS(FP_INVALID_ARGUMENT, fp_id_parse("xx978112ca1bbdcafac231b39a23dc4da786eff8", 40, &id));
    IS(FP_INVALID_ARGUMENT, fp_id_parse(NULL, 56, &id));
    IS(FP_INVALID_ARGUMENT, fp_id_format(&id, NULL));
    IS(FP_INVALID_ARGUMENT, fp_id_format(NULL, text));
    fp_store_options_init(NULL);
    fp_object_options_init(NULL);
    fp_wait_options_init(NULL);
}

/* ---- structs of other versions -------------------------------------------------------------------------------------------------- */

/* A struct at the end of so many bytes of 0xEE, of which the library may touch none. */
enum { ROOM = 2048, BEFORE = 512, UNTOUCHED = 0xEE };
static _Alignas(16) uint8_t room[ROOM];

static void *in_room(void)
{
    memset(room, UNTOUCHED, sizeof room);
    return room + BEFORE;
}

static int kept_beyond(size_t size)
{
    for (size_t i = 0; i < sizeof room; i++)
        if ((i < BEFORE || i >= BEFORE + size) && room[i] != UNTOUCHED)
            return 0;
    return 1;
}

static void part_sizes(const char *name)
{
    (void)name;
    fp_store *store = anonymous(), *second = NULL;
    fp_id id = id_of("a");
    fp_object object;

    /* Programs with an earlier header: no byte beyond their struct is touched. */
#define INIT_KEEPS_TO_SIZES(kind, init) \
    do { \
        for (size_t size = 0; size <= sizeof(kind); size++) { \
            kind *options = in_room(), whole; \
            memset(&whole, 0xff, sizeof whole); \
            init##_init(&whole); \
            init##_init_sized(options, size); \
            CHECK(whole.struct_size == sizeof whole && kept_beyond(size < sizeof(size_t) ? 0 : size)); \
            CHECK(size < sizeof(size_t) || (options->struct_size == size && memcmp(room + BEFORE + sizeof(size_t), (uint8_t *)&whole + sizeof(size_t), size - sizeof(size_t)) == 0)); \
        } \
        kind *later = in_room(); /* A later header than the library's: what it has more is 0. */ \
        init##_init_sized(later, sizeof *later + 64); \
        CHECK(later->struct_size == sizeof *later + 64 && kept_beyond(sizeof *later + 64)); \
        for (size_t i = 0; i < 64; i++) \
            CHECK(room[BEFORE + sizeof *later + i] == 0); \
    } while (0)
    INIT_KEEPS_TO_SIZES(fp_store_options, fp_store_options);
    fp_store_options *store_options = (fp_store_options *)(room + BEFORE);
    store_options->capacity_bytes = 16 << 20;
    IS(FP_OK, fp_create_anonymous(store_options, &second));
    IS(FP_OK, fp_close(second));
    room[BEFORE + sizeof *store_options + 63] = 1; /* Asks for what the library does not know. */
    IS(FP_INVALID_ARGUMENT, fp_create_anonymous(store_options, &second));
    CHECK(says("beyond"));
    store_options->struct_size = SIZE_MAX;
    IS(FP_INVALID_ARGUMENT, fp_create_anonymous(store_options, &second));
    INIT_KEEPS_TO_SIZES(fp_object_options, fp_object_options);
    IS(FP_OK, fp_put(store, &id, "hello", 5, (fp_object_options *)(room + BEFORE)));
    IS(FP_OK, fp_delete(store, &id));
    room[BEFORE + sizeof(fp_object_options)] = 1;
    IS(FP_INVALID_ARGUMENT, fp_put(store, &id, "hello", 5, (fp_object_options *)(room + BEFORE)));
    IS(FP_OK, fp_put(store, &id, "hello", 5, NULL));
    INIT_KEEPS_TO_SIZES(fp_wait_options, fp_wait_options);
    IS(FP_OK, fp_get(store, &id, 1, (fp_wait_options *)(room + BEFORE), &object));
    room[BEFORE + sizeof(fp_wait_options)] = 1;
    IS(FP_INVALID_ARGUMENT, fp_get(store, &id, 1, (fp_wait_options *)(room + BEFORE), &object));

    /* What the library fills: each size from the first version's on is filled so far, and what is below it is refused. */
#define FILLS(kind, first, call) \
    do { \
        for (size_t size = 0; size <= sizeof(kind) + 64; size += 4) { \
            kind *filled = in_room(), whole = { .struct_size = sizeof whole }; \
            filled->struct_size = size; \
            if (size < (first)) { \
                IS(FP_INVALID_ARGUMENT, call(filled)); \
                CHECK(kept_beyond(sizeof(size_t)) && says("struct_size")); \
                continue; \
            } \
            IS(FP_OK, call(&whole)); \
            IS(FP_OK, call(filled)); \
            size_t told = size < sizeof whole ? size : sizeof whole; \
            CHECK(filled->struct_size == size && kept_beyond(told)); \
            CHECK(memcmp(room + BEFORE + sizeof(size_t), (uint8_t *)&whole + sizeof(size_t), told - sizeof(size_t)) == 0); \
        } \
    } while (0)
#define OF_STORE(filled) fp_store_details_get(store, filled)
#define OF_OBJECT(filled) fp_object_details_get(&object, filled)
#define NUMBERS(filled) fp_stats(store, filled)
#define VERIFIED(filled) fp_verify(store, 0, NULL, NULL, NULL, filled)
    FILLS(fp_store_details, sizeof(fp_store_details), OF_STORE);
    FILLS(fp_object_details, sizeof(fp_object_details), OF_OBJECT);
    FILLS(fp_store_stats, offsetof(fp_store_stats, populate_target_bytes), NUMBERS);
    FILLS(fp_verify_report, sizeof(fp_verify_report), VERIFIED);
    fp_writer writer;
    IS(FP_TOO_LARGE, fp_create(store, &(fp_id){ { 1 } }, 1LL << 40, NULL, &writer));
    FILLS(fp_full_report, offsetof(fp_full_report, reservation_error), fp_last_full_report);
    IS(FP_OK, fp_release(&object));
    IS(FP_OK, fp_close(store));
}

/* ---- stores --------------------------------------------------------------------------------------------------------------------- */

struct search {
    const char *name;
    int seen, called;
};

static int look(void *context, const char *name)
{
    struct search *search = context;
    search->called++;
    search->seen += strcmp(name, search->name) == 0;
    return 0;
}

static int stop(void *context, const char *name)
{
    (void)name;
    ++*(int *)context;
    return 1;
}

static void part_stores(const char *name)
{
    fp_store *store = NULL, *second = NULL;
    fp_store_options options = small();
    IS(FP_NO_STORE, fp_open(name, NULL, &store));
    CHECK(says(name));
    CHECK(store == NULL);
    IS(FP_OK, fp_create_store(name, &options, &store));
    IS(FP_EXISTS, fp_create_store(name, &options, &second));
    CHECK(says(name));
    IS(FP_OK, fp_open(name, NULL, &second));
    CHECK(second != store);
    IS(FP_OK, fp_close(second));
    IS(FP_OK, fp_open_or_create(name, NULL, &second));
    IS(FP_OK, fp_close(second));
    IS(FP_CLOSED, fp_close(second));
    IS(FP_OK, fp_close(NULL));
    CHECK(!says("Object name"));

    struct search search = { .name = name };
    IS(FP_OK, fp_list_stores(NULL, look, &search));
    CHECK(search.seen == 1);
    int calls = 0;
    IS(FP_OK, fp_list_stores("/dev/shm", stop, &calls));
    CHECK(calls == 1);
    IS(FP_INVALID_ARGUMENT, fp_list_stores(NULL, NULL, NULL));

    int32_t recovered = -1;
    int64_t bytes = -1;
    IS(FP_OK, fp_maintain(store, &recovered));
    CHECK(recovered == 0);
    IS(FP_OK, fp_maintain(store, NULL));
    IS(FP_OK, fp_evict(store, 1 << 20, &bytes));
    CHECK(bytes == 0);
    IS(FP_INVALID_ARGUMENT, fp_evict(store, -1, NULL));
    IS(FP_OK, fp_trim(store, &bytes));
    IS(FP_OK, fp_trim(store, NULL));

    fp_store_details details = { .struct_size = sizeof details };
    IS(FP_OK, fp_store_details_get(store, &details));
    CHECK(strcmp(details.name, name) == 0 && details.capacity_bytes == 16 << 20 && details.object_count_max == 1024 && details.access == FP_READ_WRITE);
    CHECK(details.struct_size == sizeof details && (details.uuid[0] | details.uuid[1] | details.uuid[15]) != 0);
    IS(FP_INVALID_ARGUMENT, fp_store_details_get(store, NULL));

    /* A reader. */
    options.access = FP_READ_ONLY;
    IS(FP_OK, fp_open(name, &options, &second));
    fp_store_details of_reader = { .struct_size = sizeof details };
    IS(FP_OK, fp_store_details_get(second, &of_reader));
    CHECK(of_reader.access == FP_READ_ONLY && memcmp(of_reader.uuid, details.uuid, sizeof details.uuid) == 0);
    fp_id id = id_of("x");
    fp_writer writer;
    IS(FP_ACCESS_DENIED, fp_put(second, &id, "x", 1, NULL));
    CHECK(says(name));
    IS(FP_ACCESS_DENIED, fp_create(second, &id, 1, NULL, &writer));
    IS(FP_ACCESS_DENIED, fp_delete(second, &id));
    IS(FP_ACCESS_DENIED, fp_abort_id(second, &id));
    IS(FP_ACCESS_DENIED, fp_evict(second, 1, NULL));
    IS(FP_ACCESS_DENIED, fp_trim(second, NULL));
    IS(FP_ACCESS_DENIED, fp_admit_reader(second, "nobody"));
    IS(FP_OK, fp_close(second));

    IS(FP_INVALID_ARGUMENT, fp_admit_reader(store, NULL));
    IS(FP_INVALID_ARGUMENT, fp_admit_reader(store, "no such user"));
    CHECK(says("no such user") && !says("Parameter"));

    /* Arguments. */
    options = small();
    IS(FP_INVALID_ARGUMENT, fp_open(NULL, NULL, &second));
    IS(FP_INVALID_ARGUMENT, fp_open("a/b", NULL, &second));
    IS(FP_INVALID_ARGUMENT, fp_open("\xff", NULL, &second));
    IS(FP_INVALID_ARGUMENT, fp_open(name, NULL, NULL));
#define REFUSES(member, value) \
    do { \
        fp_store_options bad = small(); \
        bad.member = value; \
        IS(FP_INVALID_ARGUMENT, fp_create_anonymous(&bad, &second)); \
    } while (0)
    REFUSES(struct_size, 8);
    REFUSES(capacity_bytes, -1);
    REFUSES(object_count_max, -1);
    REFUSES(huge_pages, 3);
    REFUSES(mode, 01000);
    REFUSES(default_retention, -1);
    REFUSES(populate_ahead_bytes, -2);
    REFUSES(event_capacity, -1);
    REFUSES(access, 2);
    REFUSES(full_timeout_ms, -2);
    REFUSES(quota_bytes, -2);
    REFUSES(copy_threads, 1000);
    REFUSES(reserved, 1);
    REFUSES(spill_directory_count, 1);
    REFUSES(persist, 1);
    REFUSES(spill_bytes, -1);
    options.group = "no such group";
    IS(FP_INVALID_ARGUMENT, fp_create_store("unused", &options, &second));
    CHECK(says("no such group"));
    options.group = NULL;
    options.directory = "/proc";
    IS(FP_IO_ERROR, fp_create_store(name, &options, &second));
    CHECK(says("ENOENT"));

    /* What is no store. */
    char path[300], broken[150];
    snprintf(broken, sizeof broken, "%s-x", name);
    snprintf(path, sizeof path, "/dev/shm/fastplasma.%s", broken);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    for (int i = 0; i < 100000; i++)
        fputc('x', file);
    fclose(file);
    fp_status result = fp_open(broken, NULL, &second);
    unlink(path);
    IS(FP_BAD_FORMAT, result);

    IS(FP_OK, fp_close(store));
    IS(FP_OK, fp_destroy(name, NULL));
    IS(FP_NO_STORE, fp_destroy(name, NULL));
    IS(FP_INVALID_ARGUMENT, fp_destroy(NULL, NULL));
}

/* ---- the log -------------------------------------------------------------------------------------------------------------------- */

struct log {
    atomic_int admitted, removed, stays, recovered, others, inside;
    pid_t dead;
};

static void log_line(void *context, int level, const char *text)
{
    struct log *log = context;
    char dead[60];
    snprintf(dead, sizeof dead, "(process %d, dead): 1 unfinished objects removed, 1 pins", (int)log->dead);
    CHECK(atomic_fetch_add(&log->inside, 1) == 0); /* One line after the other. */
    if (level == FP_LOG_INFORMATION && strstr(text, "Admitted user 65534 as reader"))
        atomic_fetch_add(&log->admitted, 1);
    else if (level == FP_LOG_INFORMATION && strstr(text, "Removed /dev/shm/fastplasma."))
        atomic_fetch_add(&log->removed, 1);
    else if (level == FP_LOG_WARNING && strstr(text, "it is not ours to remove") && strstr(text, "EPERM")) /* With what was behind it. */
        atomic_fetch_add(&log->stays, 1);
    else if (level == FP_LOG_INFORMATION && strstr(text, dead))
        atomic_fetch_add(&log->recovered, 1);
    else if (fprintf(stderr, "%d %s\n", level, text))
        atomic_fetch_add(&log->others, 1);
    atomic_fetch_sub(&log->inside, 1);
}

/* Another process: leaves a pin, an object half made and the store, when it is killed. Forked before the library is called here. */
static void leave_things(const char *name, int told)
{
    fp_store *store;
    fp_store_options options = small();
    CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0); /* Also when the test fails. */
    fp_id id = id_of("a"), half = id_of("half");
    fp_object object;
    fp_writer writer;
    IS(FP_OK, fp_create_store(name, &options, &store));
    IS(FP_OK, fp_put(store, &id, "hello", 5, NULL));
    IS(FP_OK, fp_try_get(store, &id, &object));
    IS(FP_OK, fp_create(store, &half, 100, NULL, &writer));
    CHECK(write(told, "x", 1) == 1);
    for (;;)
        pause();
}

static void part_log(const char *name)
{
    int pipes[2];
    char byte, path[300];
    CHECK(pipe(pipes) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        leave_things(name, pipes[1]);
    CHECK(read(pipes[0], &byte, 1) == 1);
    struct log log = { .dead = child };
    fp_store_options options = small();
    options.log = log_line;
    options.log_context = &log;
    fp_store *store = NULL;
    IS(FP_OK, fp_open(name, &options, &store));
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
    IS(FP_OK, fp_maintain(store, NULL)); /* Or the thread of the library was faster. */
    for (int64_t end = now_ms() + 30000; log.recovered == 0; usleep(1000))
        CHECK(now_ms() < end);
    IS(FP_OK, fp_admit_reader(store, "65534"));
    CHECK(log.admitted == 1 && log.recovered == 1 && log.others == 0);
    IS(FP_OK, fp_close(store));
    IS(FP_OK, fp_destroy(name, NULL));

    /* A file that a store left which is not there any more. */
    snprintf(path, sizeof path, "/dev/shm/fastplasma.%s.00000000000040008000000000000001.data", name);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fclose(file) == 0);
    IS(FP_OK, fp_create_store(name, &options, &store));
    CHECK(access(path, F_OK) != 0 && log.removed == 1 && log.others == 0);

    /* Not after fp_close: somebody else's death goes to who is open. */
    struct log later = { .dead = 1 };
    fp_store *second;
    options.log_context = &later;
    IS(FP_OK, fp_open(name, &options, &second));
    IS(FP_OK, fp_close(store));
    IS(FP_OK, fp_admit_reader(second, "65534"));
    CHECK(log.admitted == 1 && later.admitted == 1);
    IS(FP_OK, fp_close(second));
    IS(FP_OK, fp_destroy(name, NULL));
}

/* By a user in whose new store's place lies another user's file. */
static void part_leftover(const char *name)
{
    struct log log = { 0 };
    fp_store_options options = small();
    options.log = log_line;
    options.log_context = &log;
    fp_store *store;
    IS(FP_OK, fp_create_store(name, &options, &store));
    CHECK(log.stays == 1 && log.others == 0);
    IS(FP_OK, fp_close(store));
    IS(FP_OK, fp_destroy(name, NULL));
}

/* ---- writing -------------------------------------------------------------------------------------------------------------------- */

static void part_writing(const char *name)
{
    (void)name;
    fp_store *store = anonymous();
    fp_id id = id_of("a"), missing = id_of("missing");
    fp_object object, copy;
    IS(FP_OK, fp_put(store, &id, "hello", 5, NULL));
    IS(FP_EXISTS, fp_put(store, &id, "hello", 5, NULL));
    IS(FP_OK, fp_try_get(store, &id, &object));
    CHECK(object.size == 5 && memcmp(object.data, "hello", 5) == 0);
    copy = object;
    IS(FP_OK, fp_release(&object));
    IS(FP_OK, fp_release(&object));
    IS(FP_OK, fp_release(&copy));

    /* Empty objects. */
    fp_id empty = id_of("empty");
    IS(FP_OK, fp_put(store, &empty, NULL, 0, NULL));
    IS(FP_OK, fp_try_get(store, &empty, &object));
    CHECK(object.size == 0 && object.data != NULL);
    IS(FP_OK, fp_release(&object));

    /* Options. */
    fp_object_options options;
    fp_object_options_init(&options);
    options.metadata = "meta";
    options.metadata_size = 4;
    options.name = "na\xc3\xafve";
    options.name_size = 6;
    options.content_type = "text/plain";
    options.content_type_size = 10;
    options.checksum = 1;
    options.alignment = 4096;
    options.retention = FP_EVICTABLE;
    fp_id full = id_of("full");
    IS(FP_OK, fp_put(store, &full, "payload", 7, &options));
    IS(FP_OK, fp_try_get(store, &full, &object));
    CHECK((uintptr_t)object.data % 4096 == 0);
    const void *metadata;
    const char *text;
    size_t size;
    fp_id again;
    IS(FP_OK, fp_object_id(&object, &again));
    CHECK(memcmp(&again, &full, sizeof again) == 0);
    IS(FP_OK, fp_object_metadata(&object, &metadata, &size));
    CHECK(size == 4 && memcmp(metadata, "meta", 4) == 0);
    IS(FP_OK, fp_object_name(&object, &text, &size));
    CHECK(size == 6 && memcmp(text, "na\xc3\xafve", 6) == 0);
    IS(FP_OK, fp_object_content_type(&object, &text, &size));
    CHECK(size == 10 && memcmp(text, "text/plain", 10) == 0);
    IS(FP_OK, fp_object_content_type(&object, NULL, NULL));
    fp_object_details details = { .struct_size = sizeof details };
    IS(FP_OK, fp_object_details_get(&object, &details));
    int64_t age_ns = (int64_t)time(NULL) * 1000000000 - details.sealed_at_ns;
    CHECK(details.has_checksum == 1 && details.checksum != 0 && details.incarnation != 0 && details.struct_size == sizeof details);
    CHECK(age_ns > -2000000000 && age_ns < 60000000000);
    int32_t matches = 0;
    IS(FP_OK, fp_object_verify(&object, &matches));
    CHECK(matches == 1);
    IS(FP_INVALID_ARGUMENT, fp_object_verify(&object, NULL));
    IS(FP_INVALID_ARGUMENT, fp_object_id(&object, NULL));
    IS(FP_INVALID_ARGUMENT, fp_object_details_get(&object, NULL));
    details.struct_size = 8;
    IS(FP_INVALID_ARGUMENT, fp_object_details_get(&object, &details));
    copy = object;
    IS(FP_OK, fp_release(&object));
    IS(FP_CLOSED, fp_object_id(&copy, &again));
    IS(FP_CLOSED, fp_object_metadata(&copy, &metadata, &size));
    IS(FP_CLOSED, fp_object_name(&copy, &text, &size));
    IS(FP_CLOSED, fp_object_details_get(&copy, &(fp_object_details){ .struct_size = sizeof details }));
    IS(FP_CLOSED, fp_object_verify(&copy, &matches));

    /* Create, seal, abort. */
    fp_writer writer, other;
    fp_id made = id_of("made");
    IS(FP_OK, fp_create(store, &made, 1000, &options, &writer));
    CHECK(writer.size == 1000);
    memset(writer.data, 7, 1000);
    IS(FP_NOT_FOUND, fp_try_get(store, &made, &object));
    IS(FP_NOT_SEALED, fp_delete(store, &made));
    IS(FP_EXISTS, fp_create(store, &made, 1, NULL, &other));
    other = writer;
    IS(FP_OK, fp_seal(&writer));
    IS(FP_CLOSED, fp_seal(&writer));
    IS(FP_CLOSED, fp_abort(&other));
    IS(FP_ALREADY_SEALED, fp_abort_id(store, &made));
    IS(FP_OK, fp_try_get(store, &made, &object));
    IS(FP_OK, fp_object_verify(&object, &matches));
    CHECK(matches == 1 && object.data[999] == 7);
    IS(FP_OK, fp_release(&object));

    /* data moved while it was written, or size cut: refused, put right, sealed. Aborted in any case. */
    fp_id moved = id_of("moved");
    IS(FP_OK, fp_create(store, &moved, 1000, &options, &writer));
    memset(writer.data, 7, 1000);
    other = writer;
    other.data += 1000;
    IS(FP_INVALID_ARGUMENT, fp_seal(&other));
    CHECK(says("were changed"));
    other = writer;
    other.size = 500;
    IS(FP_INVALID_ARGUMENT, fp_seal(&other));
    IS(FP_OK, fp_seal(&writer));
    IS(FP_CLOSED, fp_seal(&other));
    IS(FP_OK, fp_try_get(store, &moved, &object));
    IS(FP_OK, fp_object_verify(&object, &matches));
    CHECK(matches == 1 && object.size == 1000);
    IS(FP_OK, fp_release(&object));
    IS(FP_OK, fp_delete(store, &moved));
    IS(FP_OK, fp_create(store, &moved, 1000, &options, &writer));
    writer.data += 1000;
    IS(FP_OK, fp_abort(&writer));

    fp_id given_up = id_of("given up");
    IS(FP_OK, fp_create(store, &given_up, 10, NULL, &writer));
    IS(FP_OK, fp_abort(&writer));
    IS(FP_CLOSED, fp_abort(&writer));
    IS(FP_CLOSED, fp_seal(&writer));
    IS(FP_OK, fp_create(store, &given_up, 10, NULL, &writer));
    IS(FP_OK, fp_abort_id(store, &given_up));
    IS(FP_CLOSED, fp_seal(&writer));
    IS(FP_NOT_FOUND, fp_abort_id(store, &given_up));

    /* Delete. */
    IS(FP_OK, fp_try_get(store, &id, &object));
    IS(FP_OK, fp_delete(store, &id));
    IS(FP_NOT_FOUND, fp_delete(store, &id));
    IS(FP_NOT_FOUND, fp_contains(store, &id));
    CHECK(memcmp(object.data, "hello", 5) == 0);
    IS(FP_OK, fp_release(&object));

    /* Many. */
    fp_id ids[3] = { id_of("m0"), id_of("made"), id_of("m2") };
    fp_buffer payloads[3] = { { "0", 1 }, { "1", 1 }, { NULL, 0 } };
    int32_t statuses[3];
    size_t ok = 0;
    IS(FP_OK, fp_put_many(store, ids, payloads, 3, NULL, statuses, &ok));
    CHECK(ok == 2 && statuses[0] == FP_OK && statuses[1] == FP_EXISTS && statuses[2] == FP_OK);
    IS(FP_OK, fp_put_many(store, NULL, NULL, 0, NULL, NULL, NULL));
    IS(FP_INVALID_ARGUMENT, fp_put_many(store, ids, payloads, 3, NULL, NULL, NULL));
    IS(FP_INVALID_ARGUMENT, fp_put_many(store, NULL, payloads, 3, NULL, statuses, NULL));
    IS(FP_INVALID_ARGUMENT, fp_put_many(store, ids, (fp_buffer[]){ { NULL, 1 }, { "", 0 }, { "", -1 } }, 3, NULL, statuses, NULL));

    /* Refusals. */
    IS(FP_INVALID_ARGUMENT, fp_put(store, NULL, "x", 1, NULL));
    IS(FP_INVALID_ARGUMENT, fp_put(store, &missing, NULL, 1, NULL));
    IS(FP_INVALID_ARGUMENT, fp_put(store, &missing, "x", -1, NULL));
    IS(FP_INVALID_ARGUMENT, fp_create(store, &missing, -1, NULL, &writer));
    IS(FP_INVALID_ARGUMENT, fp_create(store, &missing, 1, NULL, NULL));
    IS(FP_INVALID_ARGUMENT, fp_delete(store, NULL));
    IS(FP_INVALID_ARGUMENT, fp_seal(NULL));
    IS(FP_INVALID_ARGUMENT, fp_abort(NULL));
#define REFUSES_PUT(member, value) \
    do { \
        fp_object_options bad; \
        fp_object_options_init(&bad); \
        bad.member = value; \
        IS(FP_INVALID_ARGUMENT, fp_put(store, &missing, "x", 1, &bad)); \
    } while (0)
    REFUSES_PUT(struct_size, 1);
    REFUSES_PUT(alignment, 3);
    REFUSES_PUT(retention, 2);
    REFUSES_PUT(reserved, 1);
    REFUSES_PUT(timeout_ms, -3);
    REFUSES_PUT(name_size, 1);
    REFUSES_PUT(metadata_size, (size_t)-1);
    static char long_text[5000];
    memset(long_text, 'n', sizeof long_text);
    options.name = long_text;
    options.name_size = 4096;
    options.content_type = long_text;
    options.content_type_size = 255;
    fp_id longest = id_of("longest");
    IS(FP_OK, fp_put(store, &longest, "x", 1, &options));
    options.name_size = 4097;
    IS(FP_INVALID_ARGUMENT, fp_put(store, &missing, "x", 1, &options));
    options.name_size = 1;
    options.content_type_size = 256;
    IS(FP_INVALID_ARGUMENT, fp_put(store, &missing, "x", 1, &options));
    CHECK(says("256"));
    fp_object_options_init(&options);
    options.name = "\xff";
    options.name_size = 1;
    IS(FP_INVALID_ARGUMENT, fp_put(store, &missing, "x", 1, &options));
    IS(FP_NOT_FOUND, fp_contains(store, &missing));
    IS(FP_OK, fp_close(store));
}

/* ---- a full store --------------------------------------------------------------------------------------------------------------- */

static int memory_holders;

static fp_full_report *report_of(fp_full_report *report)
{
    report->struct_size = sizeof *report;
    IS(FP_OK, fp_last_full_report(report));
    return report;
}

static int on_memory_holder(void *context, const fp_memory_holder *holder)
{
    const fp_full_report *report = context;
    CHECK(holder->struct_size == sizeof *holder && holder->process_id == getpid() && strcmp(holder->process_name, "contract.c.out") == 0);
    CHECK(holder->object_count == 1 && holder->stopped == 0 && holder->other_pid_namespace == 0);
    CHECK(holder->pin_count == (holder->creates ? 0 : 2) && holder->bytes == (holder->creates ? report->creating_bytes : report->pinned_bytes));
    CHECK(llabs((int64_t)time(NULL) * 1000000000 - holder->since_ns) < 60000000000);
    CHECK(holder->creates == (memory_holders != 0)); /* First who pins, then who creates. */
    memory_holders += holder->creates ? 10 : 1;
    return 0;
}

static int on_first_memory_holder(void *context, const fp_memory_holder *holder)
{
    (void)context;
    (void)holder;
    memory_holders++;
    return 1;
}

static void part_full(const char *name)
{
    (void)name;
    fp_store *store = anonymous();
    fp_full_report report = { .struct_size = sizeof report };
    fp_id id = id_of("big"), second = id_of("second");
    fp_writer writer;
    IS(FP_OK, fp_create(store, &id, 12 << 20, NULL, &writer));
    IS(FP_STORE_FULL, fp_create(store, &second, 8 << 20, NULL, &writer));
    CHECK(says("has no room for 8388608 bytes") && says("being written"));
    IS(FP_OK, fp_last_full_report(&report));
    CHECK(report.requested_bytes == 8 << 20 && report.capacity_bytes == 16 << 20 && report.creating_bytes >= 12 << 20 && report.struct_size == sizeof report);
    fp_object_options options;
    fp_object_options_init(&options);
    options.timeout_ms = 50;
    int64_t start = now_ms();
    IS(FP_STORE_FULL, fp_create(store, &second, 8 << 20, &options, &writer));
    CHECK(now_ms() - start >= 35);
    IS(FP_TOO_LARGE, fp_create(store, &second, 1LL << 40, NULL, &writer));
    IS(FP_OK, fp_last_full_report(&report));
    CHECK(report.requested_bytes == 1LL << 40);
    report.struct_size = 8;
    IS(FP_INVALID_ARGUMENT, fp_last_full_report(&report));
    IS(FP_OK, fp_abort_id(store, &id));

    /* Who holds what: one object that is read twice, one that is being created. */
    fp_object first, again;
    IS(FP_OK, fp_create(store, &id, 7 << 20, NULL, &writer));
    IS(FP_OK, fp_seal(&writer));
    IS(FP_OK, fp_try_get(store, &id, &first));
    IS(FP_OK, fp_try_get(store, &id, &again));
    fp_id half = id_of("half");
    IS(FP_OK, fp_create(store, &half, 4 << 20, NULL, &writer));
    IS(FP_STORE_FULL, fp_create(store, &second, 8 << 20, NULL, &(fp_writer){ 0 }));
    IS(FP_OK, fp_last_full_holders(on_memory_holder, report_of(&report)));
    CHECK(report.pinned_bytes >= 7 << 20 && report.reservation_error == NULL && memory_holders == 11);
    memory_holders = 0;
    IS(FP_OK, fp_last_full_holders(on_first_memory_holder, NULL));
    CHECK(memory_holders == 1);
    IS(FP_OK, fp_release(&first));
    IS(FP_OK, fp_release(&again));
    IS(FP_OK, fp_delete(store, &id));
    IS(FP_OK, fp_abort(&writer));

    /* All object records. */
    int made = 0;
    fp_status status = FP_OK;
    for (; made <= 1024 && status == FP_OK; made++) {
        char text[20];
        int size = snprintf(text, sizeof text, "n%d", made);
        fp_id each;
        fp_id_from_name(text, (size_t)size, &each);
        status = fp_put(store, &each, text, size, NULL);
    }
    IS(FP_TOO_MANY_OBJECTS, status);
    CHECK(made == 1025);
    IS(FP_OK, fp_close(store));

    /* A quota, and eviction. */
    fp_store_options limited = small();
    limited.quota_bytes = 4 << 20;
    limited.default_retention = FP_EVICTABLE;
    IS(FP_OK, fp_create_anonymous(&limited, &store));
    IS(FP_TOO_LARGE, fp_create(store, &id, 5 << 20, NULL, &writer));
    static char block[3 << 20];
    IS(FP_OK, fp_put(store, &id, block, sizeof block, NULL));
    IS(FP_OK, fp_put(store, &second, block, sizeof block, NULL));
    IS(FP_NOT_FOUND, fp_contains(store, &id));
    int64_t evicted = 0;
    IS(FP_OK, fp_evict(store, 1, &evicted));
    CHECK(evicted >= (int64_t)sizeof block);
    IS(FP_OK, fp_close(store));
}

/* All pin slots of an attachment are taken. */
static void part_pins(const char *name)
{
    (void)name;
    fp_store *store = anonymous();
    fp_id id = id_of("a"), other = id_of("b");
    IS(FP_OK, fp_put(store, &id, "a", 1, NULL));
    enum { MOST = 100000 };
    fp_object *objects = calloc(MOST, sizeof *objects), extra;
    size_t held = 0;
    fp_status status = FP_OK;
    while (held < MOST && (status = fp_try_get(store, &id, objects + held)) == FP_OK)
        held++;
    IS(FP_TOO_MANY_PINS, status);
    CHECK(held > 1000 && says("pin slot"));
    IS(FP_TOO_MANY_PINS, fp_get(store, &id, 10, NULL, &extra));
    IS(FP_TOO_MANY_PINS, fp_put(store, &other, "b", 1, NULL));
    IS(FP_TOO_MANY_PINS, fp_delete(store, &id));
    IS(FP_TOO_MANY_PINS, fp_get_many(store, &id, 1, 1, 0, NULL, &extra, NULL));
    IS(FP_OK, fp_release_many(objects, held));
    IS(FP_OK, fp_release_many(objects, held));
    IS(FP_OK, fp_put(store, &other, "b", 1, NULL));
    free(objects);
    IS(FP_OK, fp_close(store));
}

/* ---- reading -------------------------------------------------------------------------------------------------------------------- */

static void part_reading(const char *name)
{
    (void)name;
    fp_store *store = anonymous();
    fp_id id = id_of("a"), missing = id_of("missing");
    fp_object object;
    static uint8_t payload[100000], buffer[100000];
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 31);
    IS(FP_OK, fp_put(store, &id, payload, sizeof payload, NULL));
    IS(FP_NOT_FOUND, fp_try_get(store, &missing, &object));
    CHECK(says("no sealed object"));
    IS(FP_OK, fp_contains(store, &id));
    IS(FP_NOT_FOUND, fp_contains(store, &missing));
    IS(FP_OK, fp_get(store, &id, 0, NULL, &object));
    CHECK(memcmp(object.data, payload, sizeof payload) == 0);
    IS(FP_OK, fp_release(&object));
    IS(FP_OK, fp_get(store, &id, FP_INFINITE, NULL, &object));
    IS(FP_OK, fp_release(&object));
    IS(FP_NOT_FOUND, fp_get(store, &missing, 0, NULL, &object));
    fp_wait_options wait;
    fp_wait_options_init(&wait);
    wait.spin_us = 1000;
    int64_t start = now_ms();
    IS(FP_TIMEOUT, fp_get(store, &missing, 40, &wait, &object));
    CHECK(now_ms() - start >= 25);
    CHECK(strstr(fp_last_error(), "was not sealed in time: nobody has begun to create it"));

    int64_t size = 0;
    IS(FP_OK, fp_get_into(store, &id, 0, NULL, buffer, sizeof buffer, &size));
    CHECK(size == sizeof payload && memcmp(buffer, payload, sizeof payload) == 0);
    memset(buffer, 0, sizeof buffer);
    size = 0;
    IS(FP_INVALID_ARGUMENT, fp_get_into(store, &id, 0, NULL, buffer, 10, &size));
    CHECK(size == sizeof payload && buffer[1] == 0);
    IS(FP_INVALID_ARGUMENT, fp_get_into(store, &id, 0, NULL, NULL, 0, &size));
    IS(FP_INVALID_ARGUMENT, fp_get_into(store, &id, 0, NULL, NULL, 1, &size));
    IS(FP_INVALID_ARGUMENT, fp_get_into(store, &id, 0, NULL, buffer, -1, &size));
    IS(FP_NOT_FOUND, fp_get_into(store, &missing, 0, NULL, buffer, sizeof buffer, NULL));
    IS(FP_TIMEOUT, fp_get_into(store, &missing, 1, NULL, buffer, sizeof buffer, NULL));
    fp_store_stats stats = { .struct_size = sizeof stats };
    IS(FP_OK, fp_stats(store, &stats));
    CHECK(stats.process.get_copied_bytes == (int64_t)sizeof payload); /* Of fp_get_into; the others copied nothing. */

    fp_id ids[4] = { id, missing, id, missing };
    fp_object objects[4];
    size_t found = 9;
    IS(FP_OK, fp_get_many(store, ids, 4, 2, 0, NULL, objects, &found));
    CHECK(found == 2 && objects[0].data == objects[2].data && objects[0].data != NULL && objects[1].data == NULL && objects[3].data == NULL);
    IS(FP_OK, fp_release_many(objects, 4));
    IS(FP_TIMEOUT, fp_get_many(store, ids, 4, 3, 5, NULL, objects, &found));
    CHECK(found == 2 && objects[2].data != NULL);
    IS(FP_OK, fp_release_many(objects, 4));
    IS(FP_OK, fp_get_many(store, NULL, 0, 0, 0, NULL, NULL, NULL));
    IS(FP_INVALID_ARGUMENT, fp_get_many(store, ids, 4, 5, 0, NULL, objects, NULL));
    IS(FP_INVALID_ARGUMENT, fp_get_many(store, ids, 4, 4, -2, NULL, objects, NULL));
    IS(FP_INVALID_ARGUMENT, fp_get_many(store, ids, 4, 4, 0, NULL, NULL, NULL));

    uint8_t ready[4];
    IS(FP_OK, fp_wait(store, ids, 4, 2, 0, NULL, ready, &found));
    CHECK(found == 2 && ready[0] == 1 && ready[1] == 0 && ready[2] == 1 && ready[3] == 0);
    IS(FP_TIMEOUT, fp_wait(store, ids, 4, 3, 5, NULL, ready, &found));
    CHECK(found == 2 && ready[0] == 1);
    IS(FP_INVALID_ARGUMENT, fp_wait(store, ids, 4, 5, 0, NULL, ready, NULL));
    IS(FP_INVALID_ARGUMENT, fp_wait(store, ids, 4, 4, 0, NULL, NULL, NULL));

    IS(FP_INVALID_ARGUMENT, fp_get(store, &id, -2, NULL, &object));
    IS(FP_INVALID_ARGUMENT, fp_get(store, NULL, 0, NULL, &object));
    IS(FP_INVALID_ARGUMENT, fp_get(store, &id, 0, NULL, NULL));
    IS(FP_INVALID_ARGUMENT, fp_try_get(store, NULL, &object));
    IS(FP_INVALID_ARGUMENT, fp_try_get(store, &id, NULL));
    IS(FP_INVALID_ARGUMENT, fp_contains(store, NULL));
    IS(FP_INVALID_ARGUMENT, fp_release(NULL));
    IS(FP_INVALID_ARGUMENT, fp_release_many(NULL, 1));
    wait.spin_us = -1;
    IS(FP_INVALID_ARGUMENT, fp_get(store, &id, 0, &wait, &object));
    wait.spin_us = 0;
    wait.struct_size = 0;
    IS(FP_INVALID_ARGUMENT, fp_get(store, &id, 0, &wait, &object));
    wait.struct_size = sizeof wait;
    wait.cancellation = (fp_cancellation *)&wait;
    IS(FP_INVALID_ARGUMENT, fp_get(store, &id, 0, &wait, &object));

    /* Objects and writers outlive fp_close. */
    fp_writer writer;
    fp_id late = id_of("late");
    IS(FP_OK, fp_create(store, &late, 8, NULL, &writer));
    IS(FP_OK, fp_try_get(store, &id, &object));
    IS(FP_OK, fp_close(store));
    CHECK(memcmp(object.data, payload, sizeof payload) == 0);
    memset(writer.data, 1, 8);
    IS(FP_CLOSED, fp_seal(&writer));
    IS(FP_OK, fp_abort(&writer));
    IS(FP_CLOSED, fp_object_id(&object, &id));
    IS(FP_OK, fp_release(&object));
    IS(FP_OK, fp_release(&object));
}

/* ---- waits that others end ------------------------------------------------------------------------------------------------------ */

struct waiter {
    fp_store *store;
    fp_cancellation *cancellation;
    fp_subscription *subscription;
    int kind;
    atomic_int result;
    atomic_int done;
};

static void *wait_for_missing(void *argument)
{
    struct waiter *waiter = argument;
    fp_wait_options wait;
    fp_wait_options_init(&wait);
    wait.cancellation = waiter->cancellation;
    fp_id id = id_of("never");
    fp_object object;
    fp_event event;
    uint8_t ready;
    fp_status status = FP_INTERNAL;
    switch (waiter->kind) {
    case 0: status = fp_get(waiter->store, &id, FP_INFINITE, &wait, &object); break;
    case 1: status = fp_get_many(waiter->store, &id, 1, 1, FP_INFINITE, &wait, &object, NULL); break;
    case 2: status = fp_wait(waiter->store, &id, 1, 1, FP_INFINITE, &wait, &ready, NULL); break;
    case 3: status = fp_next_event(waiter->subscription, FP_INFINITE, &wait, &event); break;
    }
    atomic_store(&waiter->result, status);
    atomic_store(&waiter->done, 1);
    return NULL;
}

static void on_got(void *context, fp_status status, fp_object *object)
{
    struct waiter *waiter = context;
    if (status == FP_OK)
        fp_release(object);
    else if (object != NULL || !says(status == FP_TIMEOUT ? "was not sealed" : status == FP_CLOSED ? "closed" : "cancel"))
        status = FP_INTERNAL;
    atomic_store(&waiter->result, status);
    atomic_store(&waiter->done, 1);
}

static void await_done(struct waiter *waiter)
{
    for (int64_t end = now_ms() + 30000; !atomic_load(&waiter->done);) {
        CHECK(now_ms() < end);
        usleep(1000);
    }
}

static void part_waiting(const char *name)
{
    (void)name;
    for (int by_close = 0; by_close < 2; by_close++) {
        fp_store *store = anonymous();
        fp_cancellation *cancellation = NULL;
        fp_subscription *subscription = NULL;
        IS(FP_OK, fp_cancellation_new(&cancellation));
        IS(FP_OK, fp_subscribe(store, &subscription));
        pthread_t threads[4];
        struct waiter waiters[5];
        memset(waiters, 0, sizeof waiters);
        for (int i = 0; i < 5; i++) {
            waiters[i].store = store;
            waiters[i].cancellation = cancellation;
            waiters[i].subscription = subscription;
            waiters[i].kind = i;
            if (i < 4)
                CHECK(pthread_create(&threads[i], NULL, wait_for_missing, &waiters[i]) == 0);
        }
        fp_wait_options wait;
        fp_wait_options_init(&wait);
        wait.cancellation = cancellation;
        fp_id never = id_of("never");
        IS(FP_OK, fp_get_async(store, &never, FP_INFINITE, &wait, on_got, &waiters[4]));
        usleep(20000); /* The waiters may or may not sleep already: it must end either way. */
        if (by_close)
            IS(FP_OK, fp_close(store));
        else
            IS(FP_OK, fp_cancel(cancellation));
        for (int i = 0; i < 5; i++) {
            await_done(&waiters[i]);
            int expected = by_close ? FP_CLOSED : FP_CANCELLED;
            if (waiters[i].result != expected) {
                fprintf(stderr, "wait %d ended with %s\n", i, fp_status_name(waiters[i].result));
                exit(1);
            }
            if (i < 4)
                pthread_join(threads[i], NULL);
        }
        if (!by_close) {
            fp_object object;
            IS(FP_CANCELLED, fp_get(store, &never, 1000, &wait, &object));
            IS(FP_OK, fp_cancel(cancellation));
        }
        IS(FP_OK, fp_cancellation_free(cancellation));
        IS(FP_CLOSED, fp_cancellation_free(cancellation));
        IS(FP_CLOSED, fp_cancel(cancellation));
        IS(FP_OK, fp_cancellation_free(NULL));
        IS(FP_INVALID_ARGUMENT, fp_cancel(NULL));
        IS(FP_INVALID_ARGUMENT, fp_cancellation_new(NULL));
        IS(FP_OK, fp_unsubscribe(subscription));
        IS(by_close ? FP_CLOSED : FP_OK, fp_close(store));
    }

    /* An asynchronous get of what is there, of what comes, of what does not come. */
    fp_store *store = anonymous();
    struct waiter there = { .store = store }, later = { .store = store }, never = { .store = store };
    fp_id a = id_of("a"), b = id_of("b"), c = id_of("c");
    IS(FP_OK, fp_put(store, &a, "a", 1, NULL));
    IS(FP_OK, fp_get_async(store, &a, 0, NULL, on_got, &there));
    IS(FP_OK, fp_get_async(store, &b, 30000, NULL, on_got, &later));
    IS(FP_OK, fp_get_async(store, &c, 20, NULL, on_got, &never));
    IS(FP_OK, fp_put(store, &b, "b", 1, NULL));
    await_done(&there);
    await_done(&later);
    await_done(&never);
    CHECK(there.result == FP_OK && later.result == FP_OK && never.result == FP_TIMEOUT);
    IS(FP_INVALID_ARGUMENT, fp_get_async(store, &a, 0, NULL, NULL, NULL));
    IS(FP_INVALID_ARGUMENT, fp_get_async(store, NULL, 0, NULL, on_got, NULL));
    IS(FP_INVALID_ARGUMENT, fp_get_async(store, &a, -5, NULL, on_got, NULL));
    IS(FP_OK, fp_close(store));
    IS(FP_CLOSED, fp_get_async(store, &a, 0, NULL, on_got, NULL));
}

/* ---- events --------------------------------------------------------------------------------------------------------------------- */

struct seen {
    atomic_int sealed, deleted;
    fp_subscription *subscription;
    int end_itself;
};

static void on_event(void *context, const fp_event *event, int64_t lost)
{
    struct seen *seen = context;
    CHECK(lost == 0 && event->sequence > 0);
    atomic_fetch_add(event->kind == FP_SEALED ? &seen->sealed : &seen->deleted, 1);
    if (seen->end_itself)
        IS(FP_OK, fp_unsubscribe(seen->subscription));
}

static void part_events(const char *name)
{
    (void)name;
    fp_store_options options = small();
    options.event_capacity = 64;
    fp_store *store;
    IS(FP_OK, fp_create_anonymous(&options, &store));
    fp_subscription *polled = NULL;
    fp_event event;
    fp_id id = id_of("a");
    IS(FP_OK, fp_subscribe(store, &polled));
    IS(FP_TIMEOUT, fp_next_event(polled, 0, NULL, &event));
    fp_object_options with_metadata;
    fp_object_options_init(&with_metadata);
    with_metadata.metadata = "meta";
    with_metadata.metadata_size = 4;
    IS(FP_OK, fp_put(store, &id, "hello", 5, &with_metadata));
    IS(FP_OK, fp_delete(store, &id));
    IS(FP_OK, fp_next_event(polled, 1000, NULL, &event));
    CHECK(event.kind == FP_SEALED && event.payload_size == 5 && event.metadata_size == 4 && memcmp(&event.id, &id, sizeof id) == 0);
    int64_t sequence = event.sequence;
    IS(FP_OK, fp_next_event(polled, 1000, NULL, &event));
    CHECK(event.kind == FP_DELETED && event.sequence > sequence);
    IS(FP_TIMEOUT, fp_next_event(polled, 20, NULL, &event));
    int64_t lost = -1;
    IS(FP_OK, fp_lost_events(polled, &lost));
    CHECK(lost == 0);
    for (int i = 0; i < 200; i++) {
        IS(FP_OK, fp_put(store, &id, "x", 1, NULL));
        IS(FP_OK, fp_delete(store, &id));
    }
    IS(FP_OK, fp_next_event(polled, 0, NULL, &event));
    IS(FP_OK, fp_lost_events(polled, &lost));
    CHECK(lost >= 400 - 64);
    IS(FP_INVALID_ARGUMENT, fp_next_event(polled, 0, NULL, NULL));
    IS(FP_INVALID_ARGUMENT, fp_next_event(polled, -2, NULL, &event));
    IS(FP_INVALID_ARGUMENT, fp_lost_events(polled, NULL));
    IS(FP_OK, fp_unsubscribe(polled));
    IS(FP_CLOSED, fp_unsubscribe(polled));
    IS(FP_CLOSED, fp_next_event(polled, 0, NULL, &event));
    IS(FP_CLOSED, fp_lost_events(polled, &lost));
    IS(FP_OK, fp_unsubscribe(NULL));
    IS(FP_INVALID_ARGUMENT, fp_next_event(NULL, 0, NULL, &event));
    IS(FP_INVALID_ARGUMENT, fp_subscribe(store, NULL));
    IS(FP_INVALID_ARGUMENT, fp_subscribe_callback(store, NULL, NULL, &polled));

    struct seen seen = { 0 }, once = { .end_itself = 1 };
    fp_subscription *called = NULL;
    IS(FP_OK, fp_subscribe_callback(store, on_event, &seen, &called));
    IS(FP_OK, fp_subscribe_callback(store, on_event, &once, &once.subscription));
    IS(FP_INVALID_ARGUMENT, fp_next_event(called, 0, NULL, &event));
    for (int i = 0; i < 10; i++) {
        IS(FP_OK, fp_put(store, &id, "x", 1, NULL));
        IS(FP_OK, fp_delete(store, &id));
    }
    for (int64_t end = now_ms() + 30000; seen.sealed < 10 || seen.deleted < 10 || once.sealed + once.deleted < 1;) {
        CHECK(now_ms() < end);
        usleep(1000);
    }
    IS(FP_OK, fp_unsubscribe(called));
    IS(FP_OK, fp_put(store, &id, "x", 1, NULL));
    usleep(5000);
    CHECK(seen.sealed == 10 && seen.deleted == 10 && once.sealed + once.deleted == 1);
    IS(FP_CLOSED, fp_unsubscribe(once.subscription));

    /* The store is closed under both kinds. */
    struct seen closed = { 0 };
    IS(FP_OK, fp_subscribe_callback(store, on_event, &closed, &called));
    IS(FP_OK, fp_subscribe(store, &polled));
    IS(FP_OK, fp_close(store));
    IS(FP_CLOSED, fp_next_event(polled, FP_INFINITE, NULL, &event));
    IS(FP_CLOSED, fp_subscribe(store, &polled));
    IS(FP_OK, fp_unsubscribe(called));
}

/* ---- looking in ----------------------------------------------------------------------------------------------------------------- */

static int on_info(void *context, const fp_object_info *info)
{
    CHECK(info->struct_size == sizeof *info);
    if (strcmp(info->name, "shown") == 0) {
        CHECK(info->state == FP_STATE_SEALED && info->payload_size == 7 && info->metadata_size == 4 && info->block_size >= 7 && info->retention == FP_EVICTABLE);
        CHECK(strcmp(info->content_type, "a/b") == 0 && info->pin_count == 2 && info->holder_count == 1 && info->incarnation != 0 && info->sealed_at_ns > info->created_at_ns - 1000000000);
        *(int *)context += 1;
    } else {
        CHECK(info->state == FP_STATE_CREATING && info->sealed_at_ns == 0 && info->creator_process_id == getpid());
        *(int *)context += 100;
    }
    return 0;
}

static int on_first_info(void *context, const fp_object_info *info)
{
    (void)info;
    ++*(int *)context;
    return 1;
}

static int on_participant(void *context, const fp_participant_info *info)
{
    CHECK(info->struct_size == sizeof *info && info->process_id == getpid() && info->alive == 1 && info->token_kept == 0 && info->access == FP_READ_WRITE);
    CHECK(info->pin_count == 2 && info->creating_count == 1 && info->process_name[0] != 0 && info->attached_at_ns > 0 && info->uid == getuid());
    ++*(int *)context;
    return 0;
}

static int on_pin_holder(void *context, const fp_pin_holder *holder)
{
    fp_id a = id_of("a"), condemned = id_of("condemned");
    int is_a = memcmp(&holder->id, &a, sizeof a) == 0;
    CHECK(holder->struct_size == sizeof *holder && (is_a || memcmp(&holder->id, &condemned, sizeof condemned) == 0));
    CHECK(holder->process_id == getpid() && holder->incarnation != 0 && holder->pin_count == (is_a ? 2 : 1) && holder->other_pid_namespace == 0);
    CHECK(strcmp(holder->process_name, "contract.c.out") == 0 && llabs((int64_t)time(NULL) * 1000000000 - holder->since_ns) < 60000000000);
    *(int *)context += is_a ? 1 : 100;
    return 0;
}

static int on_first_pin_holder(void *context, const fp_pin_holder *holder)
{
    (void)holder;
    ++*(int *)context;
    return 1;
}

static int on_progress(void *context, double done)
{
    (void)context;
    CHECK(done >= 0 && done <= 1);
    return 0;
}

static int stop_at_once(void *context, double done)
{
    (void)done;
    ++*(int *)context;
    return 1;
}

static void on_finding(void *context, int is_problem, const char *text)
{
    fprintf(stderr, "%d %s\n", is_problem, text);
    ++*(int *)context;
}

static void part_looking(const char *name)
{
    (void)name;
    fp_store *store = anonymous();
    fp_object_options options;
    fp_object_options_init(&options);
    options.metadata = "meta";
    options.metadata_size = 4;
    options.name = "shown";
    options.name_size = 5;
    options.content_type = "a/b";
    options.content_type_size = 3;
    options.retention = FP_EVICTABLE;
    options.checksum = 1;
    fp_id id = id_of("a"), creating = id_of("b");
    fp_object first, second;
    fp_writer writer;
    IS(FP_OK, fp_put(store, &id, "payload", 7, &options));
    IS(FP_OK, fp_create(store, &creating, 100, NULL, &writer));
    IS(FP_OK, fp_try_get(store, &id, &first));
    IS(FP_OK, fp_try_get(store, &id, &second));
    int calls = 0;
    IS(FP_OK, fp_list(store, on_info, &calls));
    CHECK(calls == 101);
    calls = 0;
    IS(FP_OK, fp_list(store, on_first_info, &calls));
    CHECK(calls == 1);
    calls = 0;
    IS(FP_OK, fp_list_participants(store, on_participant, &calls));
    CHECK(calls == 1);
    fp_id condemned = id_of("condemned");
    fp_object deleted;
    IS(FP_OK, fp_put(store, &condemned, "x", 1, NULL));
    IS(FP_OK, fp_try_get(store, &condemned, &deleted));
    IS(FP_OK, fp_delete(store, &condemned));
    calls = 0;
    IS(FP_OK, fp_list_holders(store, NULL, on_pin_holder, &calls));
    CHECK(calls == 101);
    calls = 0;
    IS(FP_OK, fp_list_holders(store, &id, on_pin_holder, &calls));
    CHECK(calls == 1);
    IS(FP_OK, fp_list_holders(store, &condemned, on_pin_holder, &calls)); /* Deleted, still read. */
    CHECK(calls == 101);
    IS(FP_OK, fp_list_holders(store, &creating, on_pin_holder, &calls));
    IS(FP_OK, fp_list_holders(store, &(fp_id){ { 9 } }, on_pin_holder, &calls));
    CHECK(calls == 101);
    calls = 0;
    IS(FP_OK, fp_list_holders(store, NULL, on_first_pin_holder, &calls));
    CHECK(calls == 1);
    IS(FP_INVALID_ARGUMENT, fp_list_holders(store, NULL, NULL, NULL));
    IS(FP_OK, fp_release(&deleted));
    IS(FP_INVALID_ARGUMENT, fp_list(store, NULL, NULL));
    IS(FP_INVALID_ARGUMENT, fp_list_participants(store, NULL, NULL));

    fp_store_stats stats = { .struct_size = sizeof stats };
    IS(FP_OK, fp_stats(store, &stats));
    CHECK(stats.capacity_bytes == 16 << 20 && stats.sealed_count == 1 && stats.creating_count == 1 && stats.condemned_count == 0 && stats.object_count_max == 1024);
    CHECK(stats.participant_count == 1 && stats.process.puts == 2 && stats.process.gets == 3 && stats.process.put_copied_bytes == 8 && stats.process.get_copied_bytes == 0);
    CHECK(stats.populate_target_bytes == 0 && stats.populated_bytes == 0 && stats.meta_bytes_per_object >= 128 && stats.meta_bytes_per_object < 1000);
    CHECK(stats.store.puts == 2 && stats.used_bytes > 0 && stats.meta_bytes > 0 && stats.struct_size == sizeof stats && (stats.uuid[0] | stats.uuid[1] | stats.uuid[15]) != 0);
    stats.struct_size = 0;
    IS(FP_INVALID_ARGUMENT, fp_stats(store, &stats));
    CHECK(says("struct_size"));
    IS(FP_INVALID_ARGUMENT, fp_stats(store, NULL));

    fp_verify_report report = { .struct_size = sizeof report };
    int findings = 0;
    IS(FP_OK, fp_verify(store, 1, on_progress, on_finding, &findings, &report));
    CHECK(findings == 0 && report.objects == 1 && report.checksums_verified == 1 && report.payload_bytes == 7 && report.problem_count == 0 && report.note_count == 0);
    IS(FP_OK, fp_verify(store, 0, NULL, NULL, NULL, NULL));
    int stops = 0;
    IS(FP_CANCELLED, fp_verify(store, 1, stop_at_once, NULL, &stops, &report));
    CHECK(stops == 1 && says("stopped"));
    report.struct_size = 8;
    IS(FP_INVALID_ARGUMENT, fp_verify(store, 0, NULL, NULL, NULL, &report));
    IS(FP_OK, fp_release(&first));
    IS(FP_OK, fp_release(&second));
    IS(FP_OK, fp_abort(&writer));
    IS(FP_OK, fp_close(store));

    /* Memory that is populated ahead. */
    fp_store_options ahead = small();
    ahead.populate_ahead_bytes = 8 << 20;
    IS(FP_OK, fp_create_anonymous(&ahead, &store));
    stats.struct_size = sizeof stats;
    for (int64_t end = now_ms() + 30000; fp_stats(store, &stats) == FP_OK && stats.populated_bytes < 8 << 20; usleep(1000))
        CHECK(now_ms() < end);
    IS(FP_OK, fp_stats(store, &stats)); /* Once more: its numbers are not of one moment. */
    CHECK(stats.populate_target_bytes == 8 << 20 && stats.backed_bytes >= 8 << 20);
    IS(FP_OK, fp_close(store));
}

/* ---- handles that are none ------------------------------------------------------------------------------------------------------ */

static int no_name(void *context, const fp_object_info *info)
{
    (void)context;
    (void)info;
    return 0;
}

static int no_participant(void *context, const fp_participant_info *info)
{
    (void)context;
    (void)info;
    return 0;
}

static void every_call(fp_store *store, int expected)
{
    fp_id id = id_of("a");
    fp_writer writer;
    fp_object object;
    fp_subscription *subscription;
    int32_t status;
    uint8_t ready, byte;
    fp_store_stats stats = { .struct_size = sizeof stats };
    IS(expected, fp_store_details_get(store, &(fp_store_details){ .struct_size = sizeof(fp_store_details) }));
    IS(expected, fp_list_holders(store, NULL, on_first_pin_holder, NULL));
    IS(expected, fp_evict(store, 1, NULL));
    IS(expected, fp_trim(store, NULL));
    IS(expected, fp_put(store, &id, "x", 1, NULL));
    IS(expected, fp_put_many(store, &id, &(fp_buffer){ "x", 1 }, 1, NULL, &status, NULL));
    IS(expected, fp_create(store, &id, 1, NULL, &writer));
    IS(expected, fp_abort_id(store, &id));
    IS(expected, fp_delete(store, &id));
    IS(expected, fp_try_get(store, &id, &object));
    IS(expected, fp_get(store, &id, 0, NULL, &object));
    IS(expected, fp_get_many(store, &id, 1, 1, 0, NULL, &object, NULL));
    IS(expected, fp_get_into(store, &id, 0, NULL, &byte, 1, NULL));
    IS(expected, fp_contains(store, &id));
    IS(expected, fp_get_async(store, &id, 0, NULL, on_got, NULL));
    IS(expected, fp_wait(store, &id, 1, 1, 0, NULL, &ready, NULL));
    IS(expected, fp_subscribe(store, &subscription));
    IS(expected, fp_subscribe_callback(store, on_event, NULL, &subscription));
    IS(expected, fp_list(store, no_name, NULL));
    IS(expected, fp_list_participants(store, no_participant, NULL));
    IS(expected, fp_stats(store, &stats));
    IS(expected, fp_verify(store, 0, NULL, NULL, NULL, NULL));
    IS(expected, fp_maintain(store, NULL));
}

static void part_handles(const char *name)
{
    (void)name;
    fp_store *store = anonymous(), *next;
    fp_id id = id_of("a");
    fp_object object, held;
    fp_writer writer;
    IS(FP_OK, fp_put(store, &id, "hello", 5, NULL));
    IS(FP_OK, fp_try_get(store, &id, &object));
    every_call(NULL, FP_INVALID_ARGUMENT);
    IS(FP_INVALID_ARGUMENT, fp_admit_reader(NULL, "nobody"));
    every_call((fp_store *)&object, FP_INVALID_ARGUMENT);
    every_call((fp_store *)(uintptr_t)-1, FP_INVALID_ARGUMENT);
    every_call((fp_store *)((uintptr_t)store + (1ull << 30)), FP_INVALID_ARGUMENT); /* A generation that was not given out. */
    IS(FP_INVALID_ARGUMENT, fp_close((fp_store *)&object));
    IS(FP_INVALID_ARGUMENT, fp_unsubscribe((fp_subscription *)store));
    IS(FP_INVALID_ARGUMENT, fp_cancel((fp_cancellation *)store));
    IS(FP_INVALID_ARGUMENT, fp_cancellation_free((fp_cancellation *)store));

    IS(FP_OK, fp_close(store));
    every_call(store, FP_CLOSED); /* With an object open. */
    IS(FP_OK, fp_release(&object));
    every_call(store, FP_CLOSED); /* Detached. */
    next = anonymous();
    CHECK(next != store);
    every_call(store, FP_CLOSED); /* Its place is another's. */
    IS(FP_CLOSED, fp_close(store));
    IS(FP_OK, fp_release(&object));
    IS(FP_CLOSED, fp_object_id(&object, &id));

    /* Objects and writers of garbage: refused, and the store is unharmed. */
    id = id_of("a");
    IS(FP_OK, fp_put(next, &id, "hello", 5, NULL));
    IS(FP_OK, fp_try_get(next, &id, &held));
    memset(&object, 0, sizeof object);
    IS(FP_OK, fp_release(&object)); /* An empty place of a batch. */
    IS(FP_INVALID_ARGUMENT, fp_object_id(&object, &id));
    unsigned seed = 1;
    for (int i = 0; i < 200000; i++) {
        uint64_t *word = object.internal, *writer_word = writer.internal;
        for (int w = 0; w < 4; w++)
            word[w] = ((uint64_t)rand_r(&seed) << 40) ^ ((uint64_t)rand_r(&seed) << 20) ^ (uint64_t)rand_r(&seed);
        for (int w = 0; w < 5; w++)
            writer_word[w] = word[w % 4] >> (i % 50);
        if (i % 2 == 0) {
            word[0] = held.internal[0];
            writer_word[0] = held.internal[0] | (1ull << 63);
        }
        if (i % 3 == 0)
            word[1] = held.internal[1] ^ (word[1] & 0xff);
        if (i % 5 == 0)
            word[2] >>= i % 60;
        object.data = writer.data = (void *)(uintptr_t)word[3];
        object.size = writer.size = (int64_t)word[2];
        if (object.internal[2] == held.internal[2])
            continue;
        fp_id ignored;
        int matches;
        fp_release(&object);
        fp_object_id(&object, &ignored);
        fp_object_verify(&object, &matches);
        CHECK(fp_seal(&writer) != FP_OK);
        CHECK(fp_abort(&writer) != FP_OK);
    }
    /* A writer whose words were changed, and objects taken for writers. */
    fp_id made = id_of("made");
    IS(FP_OK, fp_create(next, &made, 100, NULL, &writer));
    fp_writer wrong = writer;
    wrong.size = INT64_MAX;
    CHECK(fp_seal(&wrong) != FP_OK);
    wrong = writer;
    wrong.data = NULL;
    CHECK(fp_seal(&wrong) != FP_OK);
    wrong = writer;
    wrong.internal[0] = held.internal[0];
    IS(FP_INVALID_ARGUMENT, fp_seal(&wrong));
    memcpy(object.internal, writer.internal, sizeof object.internal);
    IS(FP_INVALID_ARGUMENT, fp_release(&object));
    IS(FP_OK, fp_seal(&writer));

    CHECK(memcmp(held.data, "hello", 5) == 0);
    fp_verify_report report = { .struct_size = sizeof report };
    int findings = 0;
    IS(FP_OK, fp_verify(next, 1, NULL, on_finding, &findings, &report));
    CHECK(report.problem_count == 0 && report.objects == 2);
    IS(FP_OK, fp_release(&held));
    IS(FP_OK, fp_close(next));

    /* Handles run out, and come back. */
    fp_cancellation *many[5000];
    size_t count = 0;
    fp_status status = FP_OK;
    while (count < 5000 && (status = fp_cancellation_new(&many[count])) == FP_OK)
        count++;
    IS(FP_NO_MEMORY, status);
    for (size_t i = 0; i < count; i++)
        IS(FP_OK, fp_cancellation_free(many[i]));
    IS(FP_OK, fp_cancellation_new(&many[0]));
    IS(FP_OK, fp_cancellation_free(many[0]));
}

/* ---- threads -------------------------------------------------------------------------------------------------------------------- */

static void *get_once(void *argument)
{
    fp_store *store = argument;
    fp_id id = id_of("a");
    fp_object object;
    IS(FP_OK, fp_try_get(store, &id, &object));
    CHECK(memcmp(object.data, "hello", 5) == 0);
    IS(FP_OK, fp_release(&object));
    IS(FP_NOT_FOUND, fp_try_get(store, &(fp_id){ { 0 } }, &object));
    CHECK(says("no sealed object"));
    return NULL;
}

static void *get_and_leave_open(void *argument)
{
    fp_store *store = ((struct waiter *)argument)->store;
    fp_id id = id_of("a");
    fp_object *object = malloc(sizeof *object);
    IS(FP_OK, fp_try_get(store, &id, object));
    return object;
}

static void *work(void *argument)
{
    fp_store *store = argument;
    for (int i = 0; i < 2000; i++) {
        fp_id id;
        fp_object object;
        IS(FP_OK, fp_id_random(&id));
        IS(FP_OK, fp_put(store, &id, &id, sizeof id, NULL));
        IS(FP_OK, fp_get(store, &id, 0, NULL, &object));
        CHECK(memcmp(object.data, &id, sizeof id) == 0);
        IS(FP_OK, fp_delete(store, &id));
        CHECK(memcmp(object.data, &id, sizeof id) == 0);
        IS(FP_OK, fp_release(&object));
    }
    return NULL;
}

static void part_threads(const char *name)
{
    (void)name;
    fp_store *store = anonymous();
    fp_id id = id_of("a");
    IS(FP_OK, fp_put(store, &id, "hello", 5, NULL));
    pthread_t threads[8];

    /* More threads one after another than the attachment has chunks of slots: what an ended thread had is the next one's. */
    for (int i = 0; i < 3000; i++) {
        CHECK(pthread_create(&threads[0], NULL, get_once, store) == 0);
        pthread_join(threads[0], NULL);
    }
    for (int i = 0; i < 8; i++)
        CHECK(pthread_create(&threads[i], NULL, work, store) == 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);

    /* Objects of a thread that has ended are released by another. */
    struct waiter argument = { .store = store };
    void *left;
    CHECK(pthread_create(&threads[0], NULL, get_and_leave_open, &argument) == 0);
    pthread_join(threads[0], &left);
    CHECK(memcmp(((fp_object *)left)->data, "hello", 5) == 0);
    IS(FP_OK, fp_release(left));
    free(left);
    fp_store_stats stats = { .struct_size = sizeof stats };
    IS(FP_OK, fp_stats(store, &stats));
    CHECK(stats.sealed_count == 1 && stats.condemned_count == 0 && stats.process.gets == 3000 + 8 * 2000 + 1);
    IS(FP_OK, fp_close(store));

    /* Stores opened and closed again and again: a closed one is forgotten as soon as the next comes, which gets its place in the table (the low bits of the handle). */
    for (int i = 0; i < 200; i++) {
        fp_store *next = anonymous();
        CHECK(((uintptr_t)next & 0xfff) <= 2);
        IS(FP_OK, fp_close(next));
    }
}

/* ---- fp_close beside calls ------------------------------------------------------------------------------------------------------ */

struct race {
    fp_store *store;
    atomic_int calls;
};

static void *call_until_closed(void *argument)
{
    struct race *race = argument;
    fp_id id = id_of("a"), own;
    IS(FP_OK, fp_id_random(&own));
    for (;;) {
        fp_object object = { 0 };
        fp_status got = fp_try_get(race->store, &id, &object);
        if (got == FP_OK)
            CHECK(memcmp(object.data, "hello", 5) == 0);
        IS(FP_OK, fp_release(&object));
        fp_status put = fp_put(race->store, &own, "own", 3, NULL);
        CHECK(put == FP_OK || put == FP_EXISTS || put == FP_CLOSED);
        fp_status deleted = fp_delete(race->store, &own);
        CHECK(deleted == FP_OK || deleted == FP_CLOSED);
        atomic_fetch_add(&race->calls, 1);
        if (got == FP_CLOSED)
            return NULL;
        CHECK(got == FP_OK);
    }
}

static void part_closing(const char *name)
{
    (void)name;
    for (int round = 0; round < 40; round++) {
        struct race race = { .store = anonymous() };
        fp_id id = id_of("a");
        fp_object held;
        IS(FP_OK, fp_put(race.store, &id, "hello", 5, NULL));
        IS(FP_OK, fp_try_get(race.store, &id, &held));
        pthread_t threads[3];
        for (int i = 0; i < 3; i++)
            CHECK(pthread_create(&threads[i], NULL, call_until_closed, &race) == 0);
        for (int64_t end = now_ms() + 30000; atomic_load(&race.calls) < 100;) {
            CHECK(now_ms() < end);
            usleep(100);
        }
        IS(FP_OK, fp_close(race.store));
        if (round % 2 == 0)
            IS(FP_OK, fp_close(anonymous())); /* Whose handle may take the place. */
        CHECK(memcmp(held.data, "hello", 5) == 0);
        IS(FP_OK, fp_release(&held));
        for (int i = 0; i < 3; i++)
            pthread_join(threads[i], NULL);
    }
}

/* ---- several attachments, several users ------------------------------------------------------------------------------------------ */

static void part_two(const char *name)
{
    fp_store_options options = small();
    fp_store *first, *second;
    fp_id id = id_of("a");
    fp_writer writer;
    fp_object object;
    IS(FP_OK, fp_create_store(name, &options, &first));
    IS(FP_OK, fp_open(name, NULL, &second));
    IS(FP_OK, fp_create(first, &id, 5, NULL, &writer));
    IS(FP_NOT_OWNER, fp_abort_id(second, &id));
    CHECK(says("Another attachment"));
    memcpy(writer.data, "hello", 5);
    IS(FP_OK, fp_seal(&writer));
    IS(FP_OK, fp_get(second, &id, 1000, NULL, &object));
    CHECK(memcmp(object.data, "hello", 5) == 0);
    IS(FP_OK, fp_close(first)); /* The other goes on. */
    CHECK(memcmp(object.data, "hello", 5) == 0);
    IS(FP_OK, fp_destroy(name, NULL));
    IS(FP_OK, fp_delete(second, &id)); /* It keeps what it has mapped. */
    IS(FP_OK, fp_release(&object));
    IS(FP_OK, fp_close(second));
}

/* By the owner, with the user that is admitted. */
static void part_admit(const char *name)
{
    fp_store *store;
    IS(FP_OK, fp_open(name, NULL, &store));
    IS(FP_OK, fp_admit_reader(store, "65534"));
    IS(FP_OK, fp_admit_reader(store, "65534"));
    IS(FP_INVALID_ARGUMENT, fp_admit_reader(store, "0"));
    CHECK(says("owns"));
    IS(FP_OK, fp_close(store));
}

/* ---- disk ----------------------------------------------------------------------------------------------------------------------- */

static int count_of(const char *folder, const char *ending)
{
    char command[256];
    int count = -1;
    snprintf(command, sizeof command, "ls %s | grep -c '%s$'", folder, ending);
    FILE *pipe = popen(command, "r");
    CHECK(pipe != NULL && fscanf(pipe, "%d", &count) == 1);
    pclose(pipe);
    return count;
}

static void part_spill(const char *name)
{
    enum { COUNT = 20, BYTES = 3 << 20 };
    char folder[2][192];
    const char *folders[2] = { folder[0], folder[1] };
    for (int i = 0; i < 2; i++) {
        snprintf(folder[i], sizeof folder[i], "/tmp/%s-spill%d", name, i);
        CHECK(mkdir(folder[i], 0700) == 0);
    }
    fp_store *store = NULL;
    fp_store_options options = small();
    CHECK(options.spill_reserve == 0.05);
    options.capacity_bytes = 16 << 20;
    options.spill_directories = folders;
    options.spill_directory_count = 2;
    options.spill_bytes = 128 << 20;
    options.persist = 1;
    options.spill_reserve = 1.5;
    IS(FP_INVALID_ARGUMENT, fp_create_store(name, &options, &store));
    options.spill_reserve = 0;
    options.spill_directory_count = 17;
    IS(FP_INVALID_ARGUMENT, fp_create_store(name, &options, &store));
    CHECK(says("spill_directories"));
    options.spill_directory_count = 2;
    folders[1] = NULL;
    IS(FP_INVALID_ARGUMENT, fp_create_store(name, &options, &store));
    folders[1] = "/no/such/folder";
    IS(FP_OK, fp_create_store(name, &options, &store)); /* One of them serves. */

    uint8_t *bytes = malloc(BYTES);
    fp_id ids[COUNT];
    for (int i = 0; i < COUNT; i++) {
        char text[8];
        snprintf(text, sizeof text, "%d", i);
        ids[i] = id_of(text);
        memset(bytes, i, BYTES);
        IS(FP_OK, fp_put(store, &ids[i], bytes, BYTES, NULL));
    }
    for (int i = 0; i < COUNT; i++) {
        fp_object object;
        IS(FP_OK, fp_get(store, &ids[i], 20000, NULL, &object));
        memset(bytes, i, BYTES);
        CHECK(object.size == BYTES && memcmp(object.data, bytes, BYTES) == 0);
        IS(FP_OK, fp_release(&object));
    }
    fp_store_stats stats = { .struct_size = sizeof stats };
    IS(FP_OK, fp_stats(store, &stats));
    CHECK(stats.sealed_count == COUNT);
    free(bytes);
    CHECK(count_of(folder[0], ".spill") == 1 && count_of(folder[0], ".catalog") == 0);
    IS(FP_OK, fp_close(store));
    CHECK(count_of(folder[0], ".catalog") == 1); /* Persistent: what is on disk is there again. */
    IS(FP_OK, fp_destroy(name, NULL));
    CHECK(count_of(folder[0], "") == 0);
    CHECK(rmdir(folder[0]) == 0 && rmdir(folder[1]) == 0);
}

/* By a user that is not admitted. */
static void part_stranger(const char *name)
{
    fp_store *store = NULL;
    fp_store_options options = small();
    IS(FP_ACCESS_DENIED, fp_open(name, NULL, &store));
    options.access = FP_READ_ONLY;
    IS(FP_ACCESS_DENIED, fp_open(name, &options, &store));
    CHECK(store == NULL);
}

/* By a user that is admitted: reads "a". */
static void part_reader(const char *name)
{
    fp_store *store;
    fp_store_options options = small();
    options.access = FP_READ_ONLY;
    fp_id id = id_of("a");
    fp_object object;
    IS(FP_ACCESS_DENIED, fp_open(name, NULL, &store));
    IS(FP_OK, fp_open(name, &options, &store));
    IS(FP_OK, fp_get(store, &id, 1000, NULL, &object));
    CHECK(object.size == 5 && memcmp(object.data, "hello", 5) == 0);
    IS(FP_OK, fp_release(&object));
    IS(FP_ACCESS_DENIED, fp_put(store, &id, "x", 1, NULL));
    IS(FP_OK, fp_close(store));
}

int main(int count, char **arguments)
{
    static const struct {
        const char *name;
        void (*run)(const char *);
    } parts[] = {
        { "ids", part_ids }, { "sizes", part_sizes }, { "stores", part_stores }, { "log", part_log }, { "leftover", part_leftover }, { "writing", part_writing }, { "full", part_full }, { "pins", part_pins }, { "reading", part_reading },
        { "waiting", part_waiting }, { "events", part_events }, { "looking", part_looking }, { "handles", part_handles }, { "threads", part_threads },
        { "closing", part_closing }, { "two", part_two }, { "spill", part_spill }, { "admit", part_admit }, { "stranger", part_stranger }, { "reader", part_reader },
    };
    for (size_t i = 0; count == 3 && i < sizeof parts / sizeof parts[0]; i++)
        if (strcmp(arguments[1], parts[i].name) == 0) {
            parts[i].run(arguments[2]);
            return 0;
        }
    fprintf(stderr, "usage: contract PART STORE\n");
    return 2;
}
