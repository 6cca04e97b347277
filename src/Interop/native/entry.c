/*
 * The functions of the header. Each looks whether this is a forked child and jumps to its managed body: in a child the runtime would wait for threads that it does not have, for ever if the
 * fork came in the moment of a garbage collection, so nothing managed is entered there. What needs no runtime is here as a whole.
 */
#include "../include/fastplasma.h"
#include "host.h"

#include <string.h>

#define API __attribute__((visibility("default")))

/* Why managed code may not run here. */
static fp_status refusal(void)
{
    switch (fp_host_state) {
    case FP_HOST_TOO_OLD:
        return FP_UNSUPPORTED;
    case FP_HOST_FORKED:
        return FP_FORKED;
    default:
        return FP_NO_MEMORY;
    }
}

#define MANAGED(name, parameters, arguments) \
    fp_status managed_##name parameters __asm__("fpm_" #name); \
    API fp_status name parameters \
    { \
        return fp_host_may_enter() ? managed_##name arguments : refusal(); \
    }

MANAGED(fp_id_from_name, (const char *name, size_t name_size, fp_id *id), (name, name_size, id))
MANAGED(fp_id_from_content, (const void *content, size_t content_size, fp_id *id), (content, content_size, id))
MANAGED(fp_id_random, (fp_id *id), (id))
MANAGED(fp_id_parse, (const char *text, size_t text_size, fp_id *id), (text, text_size, id))
MANAGED(fp_id_format, (const fp_id *id, char text[FP_ID_TEXT_SIZE]), (id, text))

MANAGED(fp_open, (const char *name, const fp_store_options *options, fp_store **store), (name, options, store))
MANAGED(fp_create_store, (const char *name, const fp_store_options *options, fp_store **store), (name, options, store))
MANAGED(fp_open_or_create, (const char *name, const fp_store_options *options, fp_store **store), (name, options, store))
MANAGED(fp_create_anonymous, (const fp_store_options *options, fp_store **store), (options, store))
MANAGED(fp_close, (fp_store *store), (store))
MANAGED(fp_store_details_get, (fp_store *store, fp_store_details *details), (store, details))
MANAGED(fp_destroy, (const char *name, const char *directory), (name, directory))
MANAGED(fp_list_stores, (const char *directory, fp_name_callback each, void *context), (directory, each, context))
MANAGED(fp_admit_reader, (fp_store *store, const char *user), (store, user))
MANAGED(fp_maintain, (fp_store *store, int32_t *recovered), (store, recovered))
MANAGED(fp_evict, (fp_store *store, int64_t bytes, int64_t *evicted_bytes), (store, bytes, evicted_bytes))
MANAGED(fp_trim, (fp_store *store, int64_t *trimmed_bytes), (store, trimmed_bytes))

MANAGED(fp_put, (fp_store *store, const fp_id *id, const void *data, int64_t size, const fp_object_options *options), (store, id, data, size, options))
MANAGED(fp_put_many,
    (fp_store *store, const fp_id *ids, const fp_buffer *payloads, size_t count, const fp_object_options *options, int32_t *statuses, size_t *ok_count),
    (store, ids, payloads, count, options, statuses, ok_count))
MANAGED(fp_create, (fp_store *store, const fp_id *id, int64_t size, const fp_object_options *options, fp_writer *writer), (store, id, size, options, writer))
MANAGED(fp_seal, (fp_writer *writer), (writer))
MANAGED(fp_abort, (fp_writer *writer), (writer))
MANAGED(fp_abort_id, (fp_store *store, const fp_id *id), (store, id))
MANAGED(fp_delete, (fp_store *store, const fp_id *id), (store, id))

MANAGED(fp_try_get, (fp_store *store, const fp_id *id, fp_object *object), (store, id, object))
MANAGED(fp_get, (fp_store *store, const fp_id *id, int64_t timeout_ms, const fp_wait_options *wait, fp_object *object), (store, id, timeout_ms, wait, object))
MANAGED(fp_get_many,
    (fp_store *store, const fp_id *ids, size_t count, size_t needed, int64_t timeout_ms, const fp_wait_options *wait, fp_object *objects, size_t *found),
    (store, ids, count, needed, timeout_ms, wait, objects, found))
MANAGED(fp_get_into,
    (fp_store *store, const fp_id *id, int64_t timeout_ms, const fp_wait_options *wait, void *buffer, int64_t buffer_size, int64_t *size),
    (store, id, timeout_ms, wait, buffer, buffer_size, size))
MANAGED(fp_release, (fp_object *object), (object))
MANAGED(fp_release_many, (fp_object *objects, size_t count), (objects, count))
MANAGED(fp_contains, (fp_store *store, const fp_id *id), (store, id))
MANAGED(fp_get_async,
    (fp_store *store, const fp_id *id, int64_t timeout_ms, const fp_wait_options *wait, fp_get_callback done, void *context),
    (store, id, timeout_ms, wait, done, context))
MANAGED(fp_wait,
    (fp_store *store, const fp_id *ids, size_t count, size_t needed, int64_t timeout_ms, const fp_wait_options *wait, uint8_t *ready, size_t *ready_count),
    (store, ids, count, needed, timeout_ms, wait, ready, ready_count))
MANAGED(fp_object_id, (const fp_object *object, fp_id *id), (object, id))
MANAGED(fp_object_metadata, (const fp_object *object, const void **metadata, size_t *size), (object, metadata, size))
MANAGED(fp_object_name, (const fp_object *object, const char **name, size_t *size), (object, name, size))
MANAGED(fp_object_content_type, (const fp_object *object, const char **content_type, size_t *size), (object, content_type, size))
MANAGED(fp_object_details_get, (const fp_object *object, fp_object_details *details), (object, details))
MANAGED(fp_object_verify, (const fp_object *object, int32_t *matches), (object, matches))

MANAGED(fp_cancellation_new, (fp_cancellation **cancellation), (cancellation))
MANAGED(fp_cancel, (fp_cancellation *cancellation), (cancellation))
MANAGED(fp_cancellation_free, (fp_cancellation *cancellation), (cancellation))

MANAGED(fp_subscribe, (fp_store *store, fp_subscription **subscription), (store, subscription))
MANAGED(fp_next_event, (fp_subscription *subscription, int64_t timeout_ms, const fp_wait_options *wait, fp_event *event), (subscription, timeout_ms, wait, event))
MANAGED(fp_lost_events, (fp_subscription *subscription, int64_t *lost), (subscription, lost))
MANAGED(fp_subscribe_callback, (fp_store *store, fp_event_callback each, void *context, fp_subscription **subscription), (store, each, context, subscription))
MANAGED(fp_unsubscribe, (fp_subscription *subscription), (subscription))

MANAGED(fp_list, (fp_store *store, fp_object_info_callback each, void *context), (store, each, context))
MANAGED(fp_stats, (fp_store *store, fp_store_stats *stats), (store, stats))
MANAGED(fp_list_participants, (fp_store *store, fp_participant_callback each, void *context), (store, each, context))
MANAGED(fp_list_holders, (fp_store *store, const fp_id *id, fp_pin_holder_callback each, void *context), (store, id, each, context))
MANAGED(fp_last_full_report, (fp_full_report *report), (report))
MANAGED(fp_last_full_holders, (fp_memory_holder_callback each, void *context), (each, context))
MANAGED(fp_verify,
    (fp_store *store, int32_t checksums, fp_progress_callback progress, fp_finding_callback finding, void *context, fp_verify_report *report),
    (store, checksums, progress, finding, context, report))

/* ---- without the runtime -------------------------------------------------------------------------------------------------------- */

#define TEXT_OF(number) #number
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

API const char *fp_version(void)
{
    return VERSION_TEXT(FP_VERSION_MAJOR, FP_VERSION_MINOR, FP_VERSION_PATCH);
}

API const char *fp_status_name(int status)
{
#define NAME(value) \
    case value: \
        return #value;
    switch (status) {
        NAME(FP_OK)
        NAME(FP_NOT_FOUND)
        NAME(FP_EXISTS)
        NAME(FP_NOT_SEALED)
        NAME(FP_ALREADY_SEALED)
        NAME(FP_NOT_OWNER)
        NAME(FP_STORE_FULL)
        NAME(FP_TOO_MANY_OBJECTS)
        NAME(FP_TOO_MANY_PINS)
        NAME(FP_TOO_LARGE)
        NAME(FP_TIMEOUT)
        NAME(FP_CLOSED)
        NAME(FP_NOT_RESIDENT)
        NAME(FP_INVALID_ARGUMENT)
        NAME(FP_IO_ERROR)
        NAME(FP_ACCESS_DENIED)
        NAME(FP_BAD_FORMAT)
        NAME(FP_NO_STORE)
        NAME(FP_FORKED)
        NAME(FP_CANCELLED)
        NAME(FP_NO_MEMORY)
        NAME(FP_UNSUPPORTED)
        NAME(FP_INTERNAL)
    default:
        return "FP_?";
    }
}

const char *managed_fp_last_error(void) __asm__("fpm_fp_last_error");

API const char *fp_last_error(void)
{
    if (fp_host_may_enter())
        return managed_fp_last_error();
    switch (refusal()) {
    case FP_UNSUPPORTED:
        return "This processor lacks AVX2, BMI2 or FMA (level x86-64-v3), which FastPlasma is compiled for.";
    case FP_FORKED:
        return "The library was called before a fork, and this is the forked child, where it cannot be used until exec.";
    default:
        return "The system refused the process a thread, which the library needs one of: memory is short, or RLIMIT_NPROC or pids.max is reached.";
    }
}

/* Defaults as far as the caller's struct goes; what it has beyond this library's is 0. */
static void fill(void *options, size_t struct_size, const void *defaults, size_t size)
{
    if (options == NULL || struct_size < sizeof struct_size)
        return;
    memset(options, 0, struct_size);
    memcpy(options, defaults, struct_size < size ? struct_size : size);
    memcpy(options, &struct_size, sizeof struct_size);
}

API void fp_store_options_init_sized(fp_store_options *options, size_t struct_size)
{
    static const fp_store_options defaults = {
        .capacity_bytes = (int64_t)1 << 30, .huge_pages = FP_HUGE_PAGES_AUTO, .mode = 0600, .populate_ahead_bytes = -1, .event_capacity = 4096, .quota_bytes = -1,
        .spill_reserve = 0.05,
    };
    fill(options, struct_size, &defaults, sizeof defaults);
}

API void fp_object_options_init_sized(fp_object_options *options, size_t struct_size)
{
    static const fp_object_options defaults = { .retention = FP_DEFAULT_RETENTION, .timeout_ms = -2 };
    fill(options, struct_size, &defaults, sizeof defaults);
}

API void fp_wait_options_init_sized(fp_wait_options *options, size_t struct_size)
{
    static const fp_wait_options defaults = { .spin_us = 0 };
    fill(options, struct_size, &defaults, sizeof defaults);
}
