/*
 * What the C interface costs: the C third of the load driver's scenarios client-calls and client-put-get, which compile, start and ask it (docs/benchmarks.md):
 *
 *     cc -O2 hot_calls.c $(pkg-config --cflags --libs fastplasma) -o hot_calls && ./hot_calls STORE DIRECTORY
 *
 * Reads lines "WHAT SIZE OPERATIONS [NAME]" and answers each with a line of JSON, whose Pairs are one value: picoseconds per operation and 1. It ends with its input or after "exit".
 *
 *     empty, empty-pair          the ceiling: one or two calls of fp_last_error, which does nothing but enter managed code
 *     get-release, contains      fp_try_get + fp_release, or fp_contains, of the object named "hot"
 *     put, get, delete           SIZE bytes under OPERATIONS new ids; fp_get + reading one byte + fp_release; and their deletion
 *     copy                       the ceiling of a put: memcpy of SIZE bytes to OPERATIONS places that were used before
 *     give, take                 puts SIZE bytes of a pattern under NAME; checks that they are there. Not timed.
 */
#define _POSIX_C_SOURCE 200809L
#include <fastplasma.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const int64_t OPERATIONS_MAX = 100000000;

static fp_store *store;
static fp_id *ids; /* Of the last put. */
static int64_t id_count;
static uint8_t *payload, *copy;
static int64_t capacity, copy_capacity;
static volatile uint8_t sink;
static const char *volatile text_sink;

static void fail(const char *what, const char *why)
{
    printf("{\"Error\": \"%s: ", what);
    for (; *why; why++)
        if ((unsigned char)*why >= ' ' && *why != '"' && *why != '\\')
            putchar(*why);
    printf("\"}\n");
    exit(1);
}

static void must(fp_status status)
{
    if (status != FP_OK)
        fail(fp_status_name(status), fp_last_error());
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void answer(int64_t operations, double ns)
{
    double each = ns / (double)operations;
    printf("{\"Operations\": %" PRId64 ", \"Seconds\": %.9f, \"OperationsPerSecond\": %.3f, \"Batch\": %" PRId64 ", \"Pairs\": [%.0f, 1]}\n",
        operations, ns / 1e9, 1e9 / (each > 0.001 ? each : 0.001), operations, each * 1000 + 0.5);
}

static uint8_t pattern(int64_t i)
{
    return (uint8_t)(i * 7 + (i >> 8));
}

static void reserve(int64_t size)
{
    if (size <= capacity)
        return;
    free(payload);
    payload = malloc((size_t)size);
    if (payload == NULL)
        fail("malloc", "no memory");
    for (int64_t i = 0; i < size; i++)
        payload[i] = pattern(i);
    capacity = size;
}

static void reserve_copy(int64_t size)
{
    if (size <= copy_capacity)
        return;
    free(copy);
    copy = malloc((size_t)size);
    if (copy == NULL)
        fail("malloc", "no memory");
    memset(copy, 1, (size_t)size);
    copy_capacity = size;
}

static void get_release(const fp_id *id)
{
    fp_object object;
    must(fp_try_get(store, id, &object));
    must(fp_release(&object));
}

static void give(const char *name, int64_t size)
{
    fp_id id;
    reserve(size);
    must(fp_id_from_name(name, strlen(name), &id));
    must(fp_put(store, &id, payload, size, NULL));
}

static void take(const char *name, int64_t size)
{
    fp_id id;
    fp_object object;
    must(fp_id_from_name(name, strlen(name), &id));
    must(fp_try_get(store, &id, &object));
    if (object.size != size)
        fail(name, "it has another size than was put");
    for (int64_t i = 0; i < size; i++)
        if (object.data[i] != pattern(i))
            fail(name, "it has other bytes than were put");
    must(fp_release(&object));
}

/* Returns the time, of as many operations. */
static double act(const char *what, int64_t size, int64_t operations, const char *name)
{
    fp_id hot;
    fp_object object;
    must(fp_id_from_name("hot", 3, &hot));
    if (strcmp(what, "put") == 0) {
        reserve(size);
        ids = realloc(ids, (size_t)operations * sizeof *ids);
        if (ids == NULL)
            fail("realloc", "no memory");
        id_count = operations;
        for (int64_t i = 0; i < operations; i++)
            must(fp_id_random(&ids[i]));
    } else if (strcmp(what, "copy") == 0) {
        reserve(size);
        reserve_copy(size * operations);
    } else if ((strcmp(what, "get") == 0 || strcmp(what, "delete") == 0) && operations != id_count) {
        fail(what, "not as many objects were put before");
    }

    double start = now_ns();
    if (strcmp(what, "empty") == 0)
        for (int64_t i = 0; i < operations; i++)
            text_sink = fp_last_error();
    else if (strcmp(what, "empty-pair") == 0)
        for (int64_t i = 0; i < operations; i++) {
            text_sink = fp_last_error();
            text_sink = fp_last_error();
        }
    else if (strcmp(what, "get-release") == 0)
        for (int64_t i = 0; i < operations; i++)
            get_release(&hot);
    else if (strcmp(what, "contains") == 0)
        for (int64_t i = 0; i < operations; i++)
            must(fp_contains(store, &hot));
    else if (strcmp(what, "put") == 0)
        for (int64_t i = 0; i < operations; i++)
            must(fp_put(store, &ids[i], payload, size, NULL));
    else if (strcmp(what, "get") == 0)
        for (int64_t i = 0; i < operations; i++) {
            must(fp_get(store, &ids[i], 0, NULL, &object));
            sink = object.data[size / 2];
            must(fp_release(&object));
        }
    else if (strcmp(what, "delete") == 0)
        for (int64_t i = 0; i < operations; i++)
            must(fp_delete(store, &ids[i]));
    else if (strcmp(what, "copy") == 0)
        for (int64_t i = 0; i < operations; i++) {
            memcpy(copy + i * size, payload, (size_t)size);
            sink = copy[i * size + size / 2];
        }
    else if (strcmp(what, "give") == 0)
        give(name, size);
    else if (strcmp(what, "take") == 0)
        take(name, size);
    else
        fail(what, "there is no such work");
    return now_ns() - start;
}

int main(int count, char **arguments)
{
    if (count != 3) {
        fprintf(stderr, "usage: %s STORE DIRECTORY\n", arguments[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    fp_store_options options;
    fp_store_options_init(&options);
    options.directory = arguments[2];
    must(fp_open(arguments[1], &options, &store));
    char line[256], what[32], name[128];
    while (fgets(line, sizeof line, stdin) != NULL && strcmp(line, "exit\n") != 0) {
        int64_t size, operations;
        name[0] = 0;
        if (sscanf(line, "%31s %" SCNd64 " %" SCNd64 " %127s", what, &size, &operations, name) < 3 || size < 0 || operations < 1 || operations > OPERATIONS_MAX)
            fail("input", line);
        answer(operations, act(what, size, operations, name));
    }
    free(ids);
    free(payload);
    free(copy);
    must(fp_close(store));
    return 0;
}
