/*
 * What the C interface costs: fp_try_get + fp_release of a hot object, and fp_put and fp_get + reading one byte of 1 KB, 1 MB and 100 MB. Prints JSON, times in nanoseconds per operation:
 * the median and the least of the rounds (15). The ceiling of a put is memcpy of the same size, that of a get is no time at all: compare with "fastplasma bench".
 *
 *     cc -O2 hot_calls.c $(pkg-config --cflags --libs fastplasma) -o hot_calls && ./hot_calls [ROUNDS]
 */
#define _POSIX_C_SOURCE 200809L
#include <fastplasma.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS_MAX = 1001 };

static int rounds_count = 15;

static void must(fp_status status)
{
    if (status == FP_OK)
        return;
    fprintf(stderr, "%s: %s\n", fp_status_name(status), fp_last_error());
    exit(1);
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_value(const void *left, const void *right)
{
    double l = *(const double *)left, r = *(const double *)right;
    return (l > r) - (l < r);
}

static int printed;

static void report(const char *name, int64_t bytes, int64_t operations, double *rounds)
{
    qsort(rounds, (size_t)rounds_count, sizeof *rounds, by_value);
    printf("%s  {\"name\": \"%s\", \"bytes\": %" PRId64 ", \"operations\": %" PRId64 ", \"median_ns\": %.1f, \"least_ns\": %.1f}", printed++ ? ",\n" : "", name, bytes, operations, rounds[rounds_count / 2], rounds[0]);
}

static volatile uint8_t sink;

int main(int count, char **arguments)
{
    if (count > 1 && ((rounds_count = atoi(arguments[1])) < 1 || rounds_count > ROUNDS_MAX))
        return 2;
    static const int64_t sizes[] = { 1 << 10, 1 << 20, 100 << 20 };
    fp_store_options options;
    fp_store_options_init(&options);
    options.capacity_bytes = 1ll << 30;
    fp_store *store;
    must(fp_create_anonymous(&options, &store));
    uint8_t *payload = malloc(100 << 20), *copy = malloc(100 << 20);
    if (payload == NULL || copy == NULL)
        return 1;
    memset(payload, 7, 100 << 20);
    memset(copy, 1, 100 << 20);
    double rounds[ROUNDS_MAX];
    printf("[\n");

    fp_id id;
    fp_object object;
    must(fp_id_random(&id));
    must(fp_put(store, &id, payload, 1 << 10, NULL));
    const int64_t pairs = 1000000;
    for (int r = 0; r < rounds_count; r++) {
        double start = now_ns();
        for (int64_t i = 0; i < pairs; i++) {
            must(fp_try_get(store, &id, &object));
            must(fp_release(&object));
        }
        rounds[r] = (now_ns() - start) / (double)pairs;
    }
    report("try_get_release", 1 << 10, pairs, rounds);

    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        int64_t size = sizes[s], operations = size <= 1 << 10 ? 20000 : size <= 1 << 20 ? 200 : 2;
        fp_id *ids = malloc((size_t)operations * sizeof *ids);
        if (ids == NULL)
            return 1;
        double puts[ROUNDS_MAX], gets[ROUNDS_MAX], deletes[ROUNDS_MAX];
        for (int r = 0; r < rounds_count; r++) {
            for (int64_t i = 0; i < operations; i++)
                must(fp_id_random(&ids[i]));
            double start = now_ns();
            for (int64_t i = 0; i < operations; i++)
                must(fp_put(store, &ids[i], payload, size, NULL));
            puts[r] = (now_ns() - start) / (double)operations;
            start = now_ns();
            for (int64_t i = 0; i < operations; i++) {
                must(fp_get(store, &ids[i], 0, NULL, &object));
                sink = object.data[size / 2];
                must(fp_release(&object));
            }
            gets[r] = (now_ns() - start) / (double)operations;
            start = now_ns();
            for (int64_t i = 0; i < operations; i++)
                must(fp_delete(store, &ids[i]));
            deletes[r] = (now_ns() - start) / (double)operations;
            start = now_ns();
            for (int64_t i = 0; i < operations; i++) {
                memcpy(copy, payload, (size_t)size);
                sink = copy[size / 2];
            }
            rounds[r] = (now_ns() - start) / (double)operations;
        }
        report("put", size, operations, puts);
        report("get", size, operations, gets);
        report("delete", size, operations, deletes);
        report("memcpy", size, operations, rounds);
        free(ids);
    }
    printf("\n]\n");
    free(payload);
    free(copy);
    must(fp_close(store));
    return 0;
}
