/*
 * Shares objects with other processes, in whatever language: puts two, waits for one, and looks at what is there.
 *
 *     cc example.c $(pkg-config --cflags --libs fastplasma) -o example
 *     ./example STORE
 *
 * It waits up to ten seconds for an object named "from-elsewhere"; put one with the tool: fastplasma put --store STORE --id from-elsewhere FILE.
 */
#include <fastplasma.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(fp_status status, const char *what)
{
    if (status == FP_OK)
        return;
    fprintf(stderr, "%s: %s: %s\n", what, fp_status_name(status), fp_last_error());
    exit(1);
}

static fp_id id_of(const char *name)
{
    fp_id id;
    must(fp_id_from_name(name, strlen(name), &id), name);
    return id;
}

static int show(void *context, const fp_object_info *info)
{
    char id[FP_ID_TEXT_SIZE];
    (void)context;
    fp_id_format(&info->id, id);
    printf("  %.12s %10" PRId64 " bytes, read by %" PRId32 " processes %s\n", id, info->payload_size, info->holder_count, info->name);
    return 0;
}

int main(int count, char **arguments)
{
    if (count != 2) {
        fprintf(stderr, "usage: example STORE\n");
        return 2;
    }
    fp_store *store;
    must(fp_open_or_create(arguments[1], NULL, &store), "open");

    fp_subscription *events;
    must(fp_subscribe(store, &events), "subscribe");

    /* One copy. */
    static const char text[] = "hello from C";
    fp_id id = id_of("from-c");
    fp_object_options options;
    fp_object_options_init(&options);
    options.name = "from-c";
    options.name_size = strlen(options.name);
    options.content_type = "text/plain";
    options.content_type_size = strlen(options.content_type);
    fp_status status = fp_put(store, &id, text, sizeof text - 1, &options);
    if (status != FP_EXISTS) /* Of a run before. */
        must(status, "put");

    /* No copy: written in place, then published. */
    fp_writer writer;
    id = id_of("from-c-in-place");
    status = fp_create(store, &id, 1000000, NULL, &writer);
    if (status != FP_EXISTS) {
        must(status, "create");
        for (int64_t i = 0; i < writer.size; i++)
            writer.data[i] = (uint8_t)i;
        must(fp_seal(&writer), "seal");
    }

    /* No copy, and no lock: the bytes of whoever put them, until fp_release. */
    fp_object object;
    id = id_of("from-elsewhere");
    must(fp_get(store, &id, 10000, NULL, &object), "get");
    uint64_t sum = 0;
    for (int64_t i = 0; i < object.size; i++)
        sum += object.data[i];
    printf("from-elsewhere: %" PRId64 " bytes, sum %" PRIu64 "\n", object.size, sum);

    printf("objects:\n");
    must(fp_list(store, show, NULL), "list");
    must(fp_release(&object), "release");

    fp_event event;
    int events_seen = 0;
    while (fp_next_event(events, 0, NULL, &event) == FP_OK)
        events_seen++;
    printf("events: %d\n", events_seen);
    must(fp_unsubscribe(events), "unsubscribe");

    fp_store_stats stats = { .struct_size = sizeof stats };
    must(fp_stats(store, &stats), "stats");
    printf("copied by gets: %" PRId64 " bytes, by puts: %" PRId64 " bytes\n", stats.process.get_copied_bytes, stats.process.put_copied_bytes);
    must(fp_close(store), "close");
    return 0;
}
