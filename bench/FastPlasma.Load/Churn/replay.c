/*
 * replay TRACE CSV touch|plain: carries out a trace of allocations with malloc and free, under whatever allocator is preloaded, and prints one line of figures:
 *
 *   small-ns large-ns live-end held-end worst-permille held-most live-drained held-drained held-trimmed refused refused-bytes
 *
 * The form of a trace is described in Trace.cs beside this file. Held bytes are the anonymous resident memory (RssAnon of /proc/self/status) less what was resident
 * before the first allocation. With "touch" the first byte of each page of an allocation is written; without, nothing is, and held bytes mean nothing.
 * The CSV has operation, live bytes and held bytes. Clocks stand still while samples are taken.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAGE_BYTES 4096u
#define SAMPLES 400u
#define SLOT_BITS 24
#define ALLOCATE (UINT64_C(1) << 63)
#define MAGIC UINT64_C(0x3152554843505046) /* "FPPCHUR1", as bytes */

struct header {
    uint64_t magic, capacity_bytes, slot_count, large_bytes, fill_end, churn_end, op_count, seed;
};

struct slot {
    char *block;
    uint64_t bytes;
};

struct clock {
    uint64_t ns, ops;
};

static void fail(const char *what, const char *subject)
{
    fprintf(stderr, "replay: %s %s: %s\n", what, subject, errno ? strerror(errno) : "wrong format");
    exit(1);
}

/* Processor time of this thread, in user code and in the kernel: a neighbour that takes the core does not count. */
static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Reads with system calls into the stack only: a stream would allocate. */
static uint64_t resident_bytes(void)
{
    char text[4096];
    int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        fail("open", "/proc/self/status");
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0)
        fail("read", "/proc/self/status");
    text[length] = 0;
    const char *line = strstr(text, "\nRssAnon:");
    if (!line)
        fail("find RssAnon in", "/proc/self/status");
    return strtoull(line + sizeof "\nRssAnon:" - 1, NULL, 10) * 1024u;
}

/* Asks the allocator to give back what it can, each in its own way. */
static void trim(void)
{
    void (*collect)(_Bool);
    int (*control)(const char *, void *, size_t *, void *, size_t);
    *(void **)&collect = dlsym(RTLD_DEFAULT, "mi_collect");
    *(void **)&control = dlsym(RTLD_DEFAULT, "mallctl");
    if (collect)
        collect(1);
    else if (control)
        control("arena.4096.purge", NULL, NULL, NULL, 0); /* MALLCTL_ARENAS_ALL */
    else
        malloc_trim(0);
}

static void touch(char *block, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes; at += PAGE_BYTES)
        ((volatile char *)block)[at] = 1;
}

int main(int argc, char **argv)
{
    if (argc != 4 || (strcmp(argv[3], "touch") && strcmp(argv[3], "plain"))) {
        fprintf(stderr, "usage: replay TRACE CSV touch|plain\n");
        return 2;
    }
    int touches = !strcmp(argv[3], "touch");
    int file = open(argv[1], O_RDONLY | O_CLOEXEC);
    struct stat stat;
    if (file < 0 || fstat(file, &stat))
        fail("open", argv[1]);
    if ((size_t)stat.st_size < sizeof(struct header)) {
        errno = 0;
        fail("read", argv[1]);
    }
    const struct header *header = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    if (header == MAP_FAILED)
        fail("map", argv[1]);
    if (header->magic != MAGIC || (uint64_t)stat.st_size != sizeof *header + header->op_count * sizeof(uint64_t)) {
        errno = 0;
        fail("read", argv[1]);
    }
    const uint64_t *ops = (const uint64_t *)(header + 1);
    struct slot *slots = mmap(NULL, header->slot_count * sizeof *slots, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (slots == MAP_FAILED)
        fail("map", "slots");
    FILE *csv = fopen(argv[2], "w");
    if (!csv)
        fail("create", argv[2]);
    fputs("operation,live_bytes,held_bytes\n", csv);
    fflush(csv);

    uint64_t live = 0, refused = 0, refused_bytes = 0, live_end = 0, held_end = 0, worst = 0, most = 0;
    uint64_t every = header->op_count / SAMPLES + 1, before = resident_bytes();
    struct clock small = {0, 0}, large = {0, 0};
    uint64_t begin = now(), aside = 0; /* aside: large operations of this stretch, which have a clock of their own */
    for (uint64_t i = 0; i < header->op_count; i++) {
        if (i % every == 0 || i == header->fill_end || i == header->churn_end) {
            uint64_t end = now();
            if (i > header->fill_end && i <= header->churn_end)
                small.ns += end - begin - aside;
            uint64_t resident = resident_bytes(), held = resident > before ? resident - before : 0;
            fprintf(csv, "%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n", i, live, held);
            if (held > most)
                most = held;
            if (i >= header->fill_end && i <= header->churn_end && live && held * 1000 / live > worst)
                worst = held * 1000 / live;
            if (i == header->churn_end) {
                live_end = live;
                held_end = held;
            }
            aside = 0;
            begin = now();
        }
        uint64_t op = ops[i];
        struct slot *slot = slots + (op & ((UINT64_C(1) << SLOT_BITS) - 1));
        uint64_t bytes = op & ALLOCATE ? (op & ~ALLOCATE) >> SLOT_BITS : slot->bytes;
        int counted = i >= header->fill_end && i < header->churn_end, is_large = bytes >= header->large_bytes;
        uint64_t start = is_large ? now() : 0;
        if (op & ALLOCATE) {
            slot->block = malloc(bytes);
            slot->bytes = slot->block ? bytes : 0;
            if (slot->block) {
                live += bytes;
                if (touches)
                    touch(slot->block, bytes);
            } else {
                refused++;
                refused_bytes += bytes;
            }
        } else {
            if (!slot->block)
                continue; /* It was refused. */
            free(slot->block);
            slot->block = NULL;
            live -= bytes;
        }
        if (is_large) {
            uint64_t took = now() - start;
            aside += took;
            if (counted) {
                large.ns += took;
                large.ops++;
            }
        } else if (counted) {
            small.ops++;
        }
    }
    uint64_t held_drained = resident_bytes() - before;
    fprintf(csv, "%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n", header->op_count, live, held_drained);
    trim();
    printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
        small.ops ? small.ns / small.ops : 0, large.ops ? large.ns / large.ops : 0, live_end, held_end, worst, most, live, held_drained, resident_bytes() - before, refused, refused_bytes);
    return fclose(csv) ? 1 : 0;
}
