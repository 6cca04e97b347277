/*
 * fastplasma.h: FastPlasma from C, and from anything that can call C.
 *
 * A store is a set of files in shared memory that any number of processes attach to. Objects in it are immutable once sealed, and are read in place:
 * fp_get copies nothing, takes no lock and makes no system call.
 *
 *     fp_store *store;
 *     if (fp_open_or_create("prices", NULL, &store) != FP_OK)
 *         die(fp_last_error());
 *     fp_id id;
 *     fp_id_from_name("snapshot-1", 10, &id);
 *     fp_put(store, &id, bytes, length, NULL);          // one copy
 *
 *     fp_object object;
 *     if (fp_get(store, &id, 5000, NULL, &object) == FP_OK) {
 *         use(object.data, object.size);                // no copy; read-only memory, here and in every other process
 *         fp_release(&object);
 *     }
 *     fp_close(store);
 *
 * Results. Every function that can fail returns an fp_status. FP_OK is 0. What fails changes nothing and sets no output but those that its text names.
 * fp_last_error() then has a message with the numbers.
 *
 * Text is UTF-8. Lengths are in bytes. `const char *` without a length beside it ends with NUL; text that the library hands out with a length does not.
 *
 * Times. timeout_ms: 0 looks once, FP_INFINITE (-1) waits for ever, anything else below 0 is FP_INVALID_ARGUMENT.
 *
 * Threads. Every function may be called by any thread, at the same time as any other, on the same store, unless it says otherwise. Handles may be used and
 * given back by other threads than the one that got them.
 *
 * Structs with a first member struct_size grow at their end in later versions; it says how much of one the caller knows. Fill options with their *_init function, which sets it; set it to
 * sizeof before a call that fills the struct. The library touches no byte beyond it, so a program that was compiled with an earlier header goes on with a later library: what it does not
 * know has its default, or is not told. With a later header and an earlier library, options beyond those that the library knows must be 0, as *_init leaves them there. Anything else,
 * also a struct_size below the struct's first version, is FP_INVALID_ARGUMENT.
 *
 * Fork. A process that forks after the first call of the library keeps what it has; in the child every fp_status is FP_FORKED and nothing changes, until the child execs.
 * The library's own threads do not exist in the child, so it cannot open a store again either (FP_FORKED); fork before the first call, or exec.
 *
 * Signals. The library takes no signal but one real-time signal, the first that the program has left at SIG_DFL at the first call (SIGRTMIN on), which it sends to threads that are inside
 * it. Its own threads block all others. A fault at an address that the caller gave is a SIGSEGV as in any C library, for the program's own handler. Do not leave a call or a callback by
 * longjmp, an exception or pthread_exit.
 *
 * The library starts threads only for what says so (asynchronous gets, callbacks, large puts, maintenance) and one to finalize, and stays loaded once it is (dlclose does nothing).
 * It needs a processor of level x86-64-v3 (AVX2, BMI2, FMA: since 2013 to 2015); on others every call is FP_UNSUPPORTED.
 */
#ifndef FASTPLASMA_H
#define FASTPLASMA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FP_VERSION_MAJOR 0
#define FP_VERSION_MINOR 1
#define FP_VERSION_PATCH 0

#define FP_ID_SIZE 28       /* bytes of an id */
#define FP_ID_TEXT_SIZE 57  /* its hexadecimal text with the NUL */
#define FP_INFINITE (-1)    /* as timeout_ms */

#define FP_STORE_NAME_SIZE 129           /* bytes of a store's name with the NUL, at most */
#define FP_METADATA_SIZE_MAX 16777216    /* bytes of an object's metadata, name and media type */
#define FP_NAME_SIZE_MAX 4096
#define FP_CONTENT_TYPE_SIZE_MAX 255

/* ---- results ------------------------------------------------------------------------------------------------------------------- */

typedef enum fp_status {
    FP_OK = 0,
    FP_NOT_FOUND = 1,          /* no sealed object of that id */
    FP_EXISTS = 2,             /* the id is taken, by a sealed object or by one that is being created; or the store's name is */
    FP_NOT_SEALED = 3,         /* the object is still being created */
    FP_ALREADY_SEALED = 4,     /* the object is sealed already */
    FP_NOT_OWNER = 5,          /* another process is creating the object */
    FP_STORE_FULL = 6,         /* no memory, also after eviction and waiting; fp_last_full_report has the numbers */
    FP_TOO_MANY_OBJECTS = 7,   /* all object records of the store are taken */
    FP_TOO_MANY_PINS = 8,      /* all pin slots of this attachment are taken */
    FP_TOO_LARGE = 9,          /* the object can never fit into this store */
    FP_TIMEOUT = 10,           /* the deadline passed */
    FP_CLOSED = 11,            /* the writer, object, subscription, cancellation or store was sealed, released or closed before */
    FP_NOT_RESIDENT = 12,      /* the object is on disk, and was not brought back: the call does not (timeout 0), or could not; fp_last_error says why */
    FP_INVALID_ARGUMENT = 100, /* an argument is NULL, out of range, or no handle */
    FP_IO_ERROR = 101,         /* the system refused files or memory */
    FP_ACCESS_DENIED = 102,    /* the user is neither writer nor admitted reader, or the attachment is read-only */
    FP_BAD_FORMAT = 103,       /* the files are no store of this version, or its shared state is broken */
    FP_NO_STORE = 104,         /* there is no store of that name */
    FP_FORKED = 105,           /* the store was opened before a fork, and this is the child */
    FP_CANCELLED = 106,        /* fp_cancel was called */
    FP_NO_MEMORY = 107,        /* this process has no memory left, can have no thread (of the first call of all too), or has too many handles of one kind (4,095) */
    FP_UNSUPPORTED = 108,      /* the processor lacks instructions that the library is compiled with; of every call then */
    FP_INTERNAL = 199          /* a bug of the library; the message is one line with the kind of failure and where it was */
} fp_status;

/* "0.1.0" of the library that is loaded. */
const char *fp_version(void);

/* "FP_NOT_FOUND" for FP_NOT_FOUND; "FP_?" for a number that is no status. */
const char *fp_status_name(int status);

/* What the last call of this thread that failed has to say, "" if none has failed. Valid until this thread's next failing call, or its end. */
const char *fp_last_error(void);

/* ---- ids ----------------------------------------------------------------------------------------------------------------------- */

/* Names one object: 28 opaque bytes. A plain value. Plasma's 20 bytes, or the 16 of a UUID, are followed by zeros. */
typedef struct fp_id {
    uint8_t bytes[FP_ID_SIZE];
} fp_id;

/* The first 28 bytes of the SHA-256 of a name (at least one byte) or of a content. */
fp_status fp_id_from_name(const char *name, size_t name_size, fp_id *id);
fp_status fp_id_from_content(const void *content, size_t content_size, fp_id *id);

/* 224 random bits of the operating system. */
fp_status fp_id_random(fp_id *id);

/* 56 hexadecimal digits, or the 40 of a Plasma id. */
fp_status fp_id_parse(const char *text, size_t text_size, fp_id *id);

/* 56 lower-case hexadecimal digits and a NUL. */
fp_status fp_id_format(const fp_id *id, char text[FP_ID_TEXT_SIZE]);

/* ---- stores -------------------------------------------------------------------------------------------------------------------- */

typedef struct fp_store fp_store;               /* one attachment of this process to a store */
typedef struct fp_cancellation fp_cancellation; /* ends waits from another thread */

enum { FP_READ_WRITE = 0, FP_READ_ONLY = 1 };                                /* access */
enum { FP_HUGE_PAGES_NEVER = 0, FP_HUGE_PAGES_AUTO = 1, FP_HUGE_PAGES_REQUIRE = 2 };
enum { FP_KEEP = 0, FP_EVICTABLE = 1, FP_DEFAULT_RETENTION = -1 };           /* retention */
enum { FP_LOG_DEBUG = 1, FP_LOG_INFORMATION = 2, FP_LOG_WARNING = 3, FP_LOG_ERROR = 4 };

/* Called with what is recovered, removed, admitted or fails in the background: one line after the other, by a thread of the library or by one that is inside a call (fp_maintain,
 * fp_create_store), never after fp_close has returned. text ends with NUL and is valid during the call. */
typedef void (*fp_log_callback)(void *context, int level, const char *text);

/* How a store is opened. capacity to event_capacity count only when it is created. */
typedef struct fp_store_options {
    size_t struct_size;
    int64_t capacity_bytes;       /* limit of payload memory, rounded up to 2 MiB; 1 GiB. Memory is taken as it is needed. */
    int32_t object_count_max;     /* 0: one per 32 KiB of capacity, at least 4,096 */
    int32_t huge_pages;           /* FP_HUGE_PAGES_AUTO */
    uint32_t mode;                /* rights of the files; 0600. Group rights make the members of group writers. */
    int32_t default_retention;    /* FP_KEEP */
    const char *group;            /* NULL: the creator's */
    int64_t populate_ahead_bytes; /* -1: 0 below 4 GiB of capacity, 128 MiB from there on */
    int32_t event_capacity;       /* events that a subscriber may lag behind; 4,096 */
    int32_t access;               /* FP_READ_WRITE */
    const char *directory;        /* NULL: /dev/shm */
    int64_t full_timeout_ms;      /* how long a create waits for memory; 0 */
    int64_t quota_bytes;          /* of what this attachment creates; -1: no limit */
    int32_t copy_threads;         /* of one put of 16 MiB or more; 0: half of the processors, 2 to 4 */
    int32_t reserved;             /* 0 */
    fp_log_callback log;          /* NULL: nothing is logged */
    void *log_context;
    int64_t default_time_to_live_ms; /* of objects that do not say, from their seal on; 0: no end. Counts only when the store is created, as the next one. */
    int64_t evict_ahead_bytes;    /* free memory that eviction in the background keeps; 0: a sixty-fourth of 64 MiB or more, at most 128 MiB; -1: none */
    const char *const *spill_directories; /* folders on disk for what must not be lost when memory is short; NULL: the store spills nothing. Counts only when the store is created, as the rest. */
    int32_t spill_directory_count;        /* at most 16 */
    int32_t persist;                      /* not 0: what is on disk is there again in the next store of that name, folder and directories */
    int64_t spill_bytes;                  /* limit of the disk space of all of them together; 0: none but the next */
    double spill_reserve;                 /* share of a file system that stays free, 0 to 0.99; 0.05 */
} fp_store_options;

/* Sets the defaults. The function with a size is for languages without headers: it sets so many bytes and no more. */
void fp_store_options_init_sized(fp_store_options *options, size_t struct_size);
static inline void fp_store_options_init(fp_store_options *options) { fp_store_options_init_sized(options, sizeof(fp_store_options)); }

/* Attach: FP_NO_STORE, FP_EXISTS, FP_ACCESS_DENIED, FP_BAD_FORMAT, FP_IO_ERROR, FP_INVALID_ARGUMENT. options may be NULL. name: 1 to 128 letters, digits,
 * '.', '_', '-'. *store is to be closed with fp_close. A process may attach several times. */
fp_status fp_open(const char *name, const fp_store_options *options, fp_store **store);
fp_status fp_create_store(const char *name, const fp_store_options *options, fp_store **store);
fp_status fp_open_or_create(const char *name, const fp_store_options *options, fp_store **store);

/* A store without a name for the threads of this process; it vanishes with it. */
fp_status fp_create_anonymous(const fp_store_options *options, fp_store **store);

/* Detaches. Objects and writers that are still open keep their bytes, and the attachment ends with the last of them. Waits in other threads end with
 * FP_CLOSED. Closing a store again, or using it later, is FP_CLOSED and harmless. NULL is FP_OK. A writer can be aborted after it, but not sealed. */
fp_status fp_close(fp_store *store);

/* What an attachment is, without a look at the store. FP_CLOSED after fp_close. */
typedef struct fp_store_details {
    size_t struct_size;
    uint8_t uuid[16];              /* of this store, in the order of its text: another one after destroying and creating */
    int64_t capacity_bytes;
    int32_t object_count_max;
    int32_t access;                /* FP_READ_WRITE or FP_READ_ONLY */
    char name[FP_STORE_NAME_SIZE]; /* ends with NUL; "" of a store without a name */
} fp_store_details;

fp_status fp_store_details_get(fp_store *store, fp_store_details *details);

/* Removes a store's files. FP_NO_STORE if there were none. Processes that have it open keep what they have. directory as in the options. */
fp_status fp_destroy(const char *name, const char *directory);

/* Return 0 to go on, anything else to stop. */
typedef int (*fp_name_callback)(void *context, const char *name);

/* Names of the stores in a directory, sorted. */
fp_status fp_list_stores(const char *directory, fp_name_callback each, void *context);

/* Gives one other user the right to read, for good. */
fp_status fp_admit_reader(fp_store *store, const char *user);

/* Finish what dead processes left, now instead of within a second: *recovered (may be NULL) is how many. */
fp_status fp_maintain(fp_store *store, int32_t *recovered);

/* Drops evictable objects that nobody reads until so many bytes are free of them; those that were not read for long go first. */
fp_status fp_evict(fp_store *store, int64_t bytes, int64_t *evicted_bytes);

/* Gives memory that no object uses back to the system. */
fp_status fp_trim(fp_store *store, int64_t *trimmed_bytes);

/* ---- writing ------------------------------------------------------------------------------------------------------------------- */

typedef struct fp_object_options {
    size_t struct_size;
    const void *metadata;      /* read apart from the payload; at most FP_METADATA_SIZE_MAX */
    size_t metadata_size;
    const char *name;          /* to show, at most FP_NAME_SIZE_MAX; need not belong to the id */
    size_t name_size;
    const char *content_type;  /* a media type to show, at most FP_CONTENT_TYPE_SIZE_MAX */
    size_t content_type_size;
    int32_t retention;         /* FP_DEFAULT_RETENTION: the store's */
    int32_t alignment;         /* 0: 64, and 4,096 from 32 KiB on; or 64, 4,096, 2,097,152 */
    int32_t checksum;          /* not 0: store an XXH3 of payload and metadata */
    int32_t reserved;          /* 0 */
    int64_t timeout_ms;        /* for memory; -2: the store's full_timeout_ms */
    int64_t time_to_live_ms;   /* after its seal the object is gone in so long, to a second, never early; 0: the store's default_time_to_live_ms; FP_INFINITE: never */
} fp_object_options;

void fp_object_options_init_sized(fp_object_options *options, size_t struct_size);
static inline void fp_object_options_init(fp_object_options *options) { fp_object_options_init_sized(options, sizeof(fp_object_options)); }

/* Copies data into a new sealed object: one copy. options may be NULL; data may be NULL if size is 0.
 * FP_EXISTS, FP_STORE_FULL, FP_TOO_MANY_OBJECTS, FP_TOO_MANY_PINS, FP_TOO_LARGE, FP_ACCESS_DENIED. */
fp_status fp_put(fp_store *store, const fp_id *id, const void *data, int64_t size, const fp_object_options *options);

typedef struct fp_buffer {
    const void *data;
    int64_t size;
} fp_buffer;

/* Puts count objects; one that fails does not stop the others. statuses (count of them) says what became of each, *ok_count (may be NULL) how many are there.
 * FP_OK also when some failed. */
fp_status fp_put_many(fp_store *store, const fp_id *ids, const fp_buffer *payloads, size_t count, const fp_object_options *options, int32_t *statuses, size_t *ok_count);

/* An object that is being created. Yours to keep, in any memory; copies are the same writer. Several threads may write different parts of data. */
typedef struct fp_writer {
    uint8_t *data; /* size bytes, writable until fp_seal or fp_abort, that hold what their last owner left: write all of them */
    int64_t size;
    uint64_t internal[5];
} fp_writer;

/* Begins an object that is written in place: no copy. Statuses as fp_put. */
fp_status fp_create(fp_store *store, const fp_id *id, int64_t size, const fp_object_options *options, fp_writer *writer);

/* Publishes it: immutable from here on. Writing to data afterwards is the caller's breach. FP_CLOSED if it was sealed or aborted before; FP_INVALID_ARGUMENT if data or size are not those of fp_create,
 * and the writer stays open. */
fp_status fp_seal(fp_writer *writer);

/* Gives it up unless it was sealed (then FP_CLOSED): id and memory are free again. */
fp_status fp_abort(fp_writer *writer);

/* Gives up what this attachment is creating under an id: FP_NOT_FOUND, FP_ALREADY_SEALED, FP_NOT_OWNER. No thread may be writing it. */
fp_status fp_abort_id(fp_store *store, const fp_id *id);

/* Gone for new gets at once; the memory is freed after the last release. FP_NOT_FOUND, FP_NOT_SEALED. */
fp_status fp_delete(fp_store *store, const fp_id *id);

/* ---- reading ------------------------------------------------------------------------------------------------------------------- */

/* A pin on a sealed object. Yours to keep, in any memory; copies are the same pin, and releasing any of them ends all. */
typedef struct fp_object {
    const uint8_t *data; /* size bytes that nobody changes until fp_release; writing to them is a fault */
    int64_t size;
    uint64_t internal[4];
} fp_object;

/* How to wait. NULL stands for no spinning and no cancellation. */
typedef struct fp_wait_options {
    size_t struct_size;
    int64_t spin_us;               /* look again and again for so long before sleeping: costs a core, saves the wake-up. For fp_get and fp_get_into; others sleep at once. */
    fp_cancellation *cancellation; /* or NULL */
} fp_wait_options;

void fp_wait_options_init_sized(fp_wait_options *options, size_t struct_size);
static inline void fp_wait_options_init(fp_wait_options *options) { fp_wait_options_init_sized(options, sizeof(fp_wait_options)); }

/* Pins an object if it is sealed and in memory now: FP_NOT_FOUND (also when it is on disk: fp_get with a timeout brings it back), FP_TOO_MANY_PINS. Wait-free. */
fp_status fp_try_get(fp_store *store, const fp_id *id, fp_object *object);

/* Pins an object, waiting for its seal if need be, and bringing it back from disk: FP_NOT_FOUND (timeout 0), FP_TIMEOUT, FP_NOT_RESIDENT, FP_CANCELLED, FP_CLOSED, FP_TOO_MANY_PINS. */
fp_status fp_get(fp_store *store, const fp_id *id, int64_t timeout_ms, const fp_wait_options *wait, fp_object *object);

/* Pins up to count objects, waiting until needed of them are there; *found (may be NULL) is how many are. Those that are not have data NULL. FP_TIMEOUT if fewer than needed
 * are there at the end; those that are stay pinned, also then. An id may be there several times. */
fp_status fp_get_many(fp_store *store, const fp_id *ids, size_t count, size_t needed, int64_t timeout_ms, const fp_wait_options *wait, fp_object *objects, size_t *found);

/* Copies the payload into a buffer of the caller, one copy, and pins nothing. *size (may be NULL) is the object's, also when the buffer is too small (FP_INVALID_ARGUMENT,
 * nothing is copied). */
fp_status fp_get_into(fp_store *store, const fp_id *id, int64_t timeout_ms, const fp_wait_options *wait, void *buffer, int64_t buffer_size, int64_t *size);

/* Ends a pin. A second call, also on a copy or after fp_close, does nothing and is FP_OK, as for a struct of zeros. FP_INVALID_ARGUMENT for what no get has filled. */
fp_status fp_release(fp_object *object);
fp_status fp_release_many(fp_object *objects, size_t count);

/* FP_OK or FP_NOT_FOUND. Pins nothing. */
fp_status fp_contains(fp_store *store, const fp_id *id);

/* Called once, by a thread of the library, with FP_OK and the pin, which the callee or somebody later releases, or with FP_TIMEOUT, FP_CANCELLED, FP_CLOSED, FP_TOO_MANY_PINS and
 * NULL; fp_last_error then has the message. The struct is the callee's during the call: copy it to keep it. */
typedef void (*fp_get_callback)(void *context, fp_status status, fp_object *object);

/* As fp_get without waiting here. If this returns anything but FP_OK the callback is not called. */
fp_status fp_get_async(fp_store *store, const fp_id *id, int64_t timeout_ms, const fp_wait_options *wait, fp_get_callback done, void *context);

/* Waits until needed of count ids are sealed, pinning none. ready (count bytes) is 1 for those that are, *ready_count (may be NULL) how many. FP_TIMEOUT if fewer than needed are; both are
 * set then too. Its time does not grow with what is not ready. */
fp_status fp_wait(fp_store *store, const fp_id *ids, size_t count, size_t needed, int64_t timeout_ms, const fp_wait_options *wait, uint8_t *ready, size_t *ready_count);

/* Parts of a pinned object, in place, valid as long as the pin. FP_CLOSED after its release. Lengths may be NULL for none of them. */
fp_status fp_object_id(const fp_object *object, fp_id *id);
fp_status fp_object_metadata(const fp_object *object, const void **metadata, size_t *size);
fp_status fp_object_name(const fp_object *object, const char **name, size_t *size);
fp_status fp_object_content_type(const fp_object *object, const char **content_type, size_t *size);

typedef struct fp_object_details {
    size_t struct_size;
    uint64_t incarnation;    /* unique number of this creation of the id */
    uint64_t checksum;       /* 0 if there is none */
    int64_t sealed_at_ns;    /* since 1970, UTC; to 0.1 s */
    int32_t has_checksum;
    int32_t reserved;
} fp_object_details;

fp_status fp_object_details_get(const fp_object *object, fp_object_details *details);

/* Computes the checksum of what is there: *matches is 1 if it is the stored one, or none was stored. */
fp_status fp_object_verify(const fp_object *object, int32_t *matches);

/* ---- cancellation -------------------------------------------------------------------------------------------------------------- */

/* One fp_cancellation may serve any number of waits at once. Free it when none uses it any more. NULL may be freed. */
fp_status fp_cancellation_new(fp_cancellation **cancellation);
fp_status fp_cancel(fp_cancellation *cancellation);
fp_status fp_cancellation_free(fp_cancellation *cancellation);

/* ---- events -------------------------------------------------------------------------------------------------------------------- */

typedef struct fp_subscription fp_subscription; /* a place in the store's event order; one thread at a time */

enum { FP_SEALED = 1, FP_DELETED = 2, FP_EVICTED = 3, FP_EXPIRED = 4 };

typedef struct fp_event {
    fp_id id;
    int32_t kind;           /* FP_SEALED, FP_DELETED, FP_EVICTED or FP_EXPIRED */
    int64_t payload_size;
    int64_t metadata_size;
    int64_t sequence;       /* rises from event to event */
} fp_event;

/* Follows seals, deletes, evictions and expiries from now on. A reader that lags behind more than event_capacity loses the oldest. */
fp_status fp_subscribe(fp_store *store, fp_subscription **subscription);

/* The next event: FP_TIMEOUT (also with timeout 0, if there is none now), FP_CANCELLED, FP_CLOSED. */
fp_status fp_next_event(fp_subscription *subscription, int64_t timeout_ms, const fp_wait_options *wait, fp_event *event);

/* How many were lost so far. */
fp_status fp_lost_events(fp_subscription *subscription, int64_t *lost);

/* Called by one thread of the library, one event after the other; lost is how many were lost so far. */
typedef void (*fp_event_callback)(void *context, const fp_event *event, int64_t lost);

/* As fp_subscribe, but a thread of the library reads it, until it or the store is closed. Only fp_lost_events and fp_unsubscribe may be called on it. */
fp_status fp_subscribe_callback(fp_store *store, fp_event_callback each, void *context, fp_subscription **subscription);

/* Ends a subscription. When this returns no callback runs or will run, unless it is called by the callback itself. */
fp_status fp_unsubscribe(fp_subscription *subscription);

/* ---- looking in ---------------------------------------------------------------------------------------------------------------- */

enum { FP_STATE_CREATING = 3, FP_STATE_SEALED = 4, FP_STATE_CONDEMNED = 5 }; /* being created, sealed, deleted but still read */
enum { FP_STATE_UNLOADING = 6, FP_STATE_SPILLED = 7, FP_STATE_RESTORING = 8, FP_STATE_EMPTYING = 9 }; /* sealed, and leaving memory, on disk, coming back, leaving memory for good */

typedef struct fp_object_info {
    size_t struct_size;
    fp_id id;
    int32_t state;                /* one of FP_STATE_... */
    int64_t payload_size;
    int64_t metadata_size;
    int64_t block_size;           /* memory that it takes */
    int64_t created_at_ns;        /* since 1970, UTC */
    int64_t sealed_at_ns;         /* 0: not sealed */
    uint64_t incarnation;
    int32_t retention;            /* FP_KEEP or FP_EVICTABLE */
    int32_t creator_process_id;
    int32_t pin_count;            /* by all processes */
    int32_t holder_count;         /* attachments that pin it; fp_list_holders says which */
    const char *name;             /* valid during the callback, ends with NUL */
    const char *content_type;
    int64_t expires_at_ns;        /* since 1970, UTC; 0: never */
} fp_object_info;

/* Return 0 to go on, anything else to stop. */
typedef int (*fp_object_info_callback)(void *context, const fp_object_info *info);

/* All objects, each as it is when it is looked at. */
fp_status fp_list(fp_store *store, fp_object_info_callback each, void *context);

/* One attachment that pins an object. */
typedef struct fp_pin_holder {
    size_t struct_size;
    fp_id id;                     /* the object, */
    int32_t process_id;
    uint64_t incarnation;         /* and which creation of its id: as in fp_object_info */
    int64_t since_ns;             /* when the oldest of the pins began, since 1970, UTC; to 0.1 s */
    int32_t pin_count;
    int32_t other_pid_namespace;  /* process_id means nothing here */
    const char *process_name;     /* valid during the callback, ends with NUL */
} fp_pin_holder;

typedef int (*fp_pin_holder_callback)(void *context, const fp_pin_holder *holder);

/* Who pins the objects of an id, or all objects if id is NULL. A walk over everything in both cases. */
fp_status fp_list_holders(fp_store *store, const fp_id *id, fp_pin_holder_callback each, void *context);

typedef struct fp_operation_counts {
    int64_t gets, get_misses, get_bytes, get_copied_bytes;
    int64_t puts, put_bytes, put_copied_bytes;
    int64_t creates, create_bytes, create_copied_bytes;
    int64_t aborts, deletes, evictions, evicted_bytes, recoveries;
} fp_operation_counts;

typedef struct fp_store_stats {
    size_t struct_size;
    uint8_t uuid[16];                 /* in the order of its text */
    int64_t capacity_bytes;
    int64_t backed_bytes;             /* payload memory that has pages */
    int64_t meta_bytes;
    int64_t used_bytes;               /* in blocks */
    int64_t object_bytes;             /* payload and metadata in them; the rest of used_bytes is waste */
    int64_t slab_free_bytes;
    int64_t largest_free_run_bytes;
    int64_t condemned_bytes, evictable_bytes, creating_bytes;
    int64_t huge_page_bytes;
    int32_t sealed_count, creating_count, condemned_count, object_count_max;
    int32_t participant_count, huge_pages;
    fp_operation_counts process;      /* of this attachment */
    fp_operation_counts store;        /* of all processes since the store was created */
    int64_t populate_target_bytes;    /* what is being populated ahead, 0: nothing */
    int64_t populated_bytes;          /* and how much of it is */
    double meta_bytes_per_object;     /* of the store's own memory, per possible object */
    int64_t pinned_bytes, keep_bytes; /* memory that somebody reads; memory that may not be dropped */
    int64_t waiting_count, waiting_bytes; /* creates that wait for memory now (up to 64 are seen), and what they want */
    int64_t waiting_since_ns;         /* since when the first of them waits; 0: none */
    int64_t evict_ahead_bytes;        /* free memory that eviction in the background keeps; 0: none */
    int64_t default_time_to_live_ms;  /* 0: no end */
    int64_t process_expirations, store_expirations; /* objects whose time to live was over: of this attachment, of all */
    int64_t spilled_count, spilled_bytes; /* sealed objects that are on disk only, their bytes */
    int64_t clean_bytes;                  /* memory of objects that are on disk too */
} fp_store_stats;

fp_status fp_stats(fp_store *store, fp_store_stats *stats);

typedef struct fp_participant_info {
    size_t struct_size;
    uint32_t uid;
    int32_t index;
    int32_t process_id;
    int32_t access;                 /* FP_READ_WRITE or FP_READ_ONLY */
    int64_t attached_at_ns;
    int32_t pin_count;
    int32_t creating_count;
    int32_t alive;
    int32_t token_kept;             /* its process has ended, but a forked child keeps its lock */
    int32_t other_pid_namespace;    /* process_id means nothing here */
    int32_t reserved;
    const char *process_name;       /* valid during the callback, ends with NUL */
} fp_participant_info;

typedef int (*fp_participant_callback)(void *context, const fp_participant_info *info);

fp_status fp_list_participants(fp_store *store, fp_participant_callback each, void *context);

/* The numbers behind the last FP_STORE_FULL or FP_TOO_LARGE of this thread; FP_NOT_FOUND if there was none. */
typedef struct fp_full_report {
    size_t struct_size;
    int64_t requested_bytes, capacity_bytes, used_bytes, pinned_bytes, keep_bytes, condemned_bytes, creating_bytes, largest_free_run_bytes;
    const char *reservation_error; /* why the system refused memory, or NULL; valid until this thread's next such failure, or its end */
} fp_full_report;

fp_status fp_last_full_report(fp_full_report *report);

/* One attachment that keeps memory from being freed. */
typedef struct fp_memory_holder {
    size_t struct_size;
    int32_t creates;              /* 0: it pins the objects; 1: it is creating them */
    int32_t process_id;
    int32_t object_count;
    int32_t pin_count;
    int64_t bytes;                /* memory of the objects */
    int64_t since_ns;             /* when the oldest pin or create began, since 1970, UTC; to 0.1 s */
    int32_t stopped;              /* the process stands still (SIGSTOP, a debugger) */
    int32_t other_pid_namespace;  /* process_id means nothing here */
    const char *process_name;     /* valid during the callback, ends with NUL */
} fp_memory_holder;

typedef int (*fp_memory_holder_callback)(void *context, const fp_memory_holder *holder);

/* Who held what then: those that pin, then those that create, who holds most first. Also FP_NOT_FOUND if there was none. */
fp_status fp_last_full_holders(fp_memory_holder_callback each, void *context);

typedef struct fp_verify_report {
    size_t struct_size;
    int64_t objects, checksums_verified, payload_bytes; /* sealed objects, stored checksums that were compared, bytes of the objects' payloads */
    int64_t problem_count, note_count;
} fp_verify_report;

/* done is 0 to 1. Return 0 to go on, anything else to stop: fp_verify then is FP_CANCELLED. */
typedef int (*fp_progress_callback)(void *context, double done);
typedef void (*fp_finding_callback)(void *context, int is_problem, const char *text);

/* Walks everything and checks it; with checksums not 0 also the bytes of objects that have one. Callbacks may be NULL. FP_OK also when there are problems: look at problem_count. */
fp_status fp_verify(fp_store *store, int32_t checksums, fp_progress_callback progress, fp_finding_callback finding, void *context, fp_verify_report *report);

#ifdef __cplusplus
}
#endif

#endif /* FASTPLASMA_H */
