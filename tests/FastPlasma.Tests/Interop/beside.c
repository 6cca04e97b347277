/* A C process beside .NET ones. "beside STORE" reads and deletes the object "given" and puts "made"; "beside STORE hold" pins "given", begins "begun", and waits to be killed. */
#include <fastplasma.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void must(fp_status status)
{
    if (status == FP_OK)
        return;
    fprintf(stderr, "%s: %s\n", fp_status_name(status), fp_last_error());
    exit(1);
}

static int count_participant(void *context, const fp_participant_info *info)
{
    (void)info;
    ++*(int *)context;
    return 0;
}

int main(int count, char **arguments)
{
    if (count < 2)
        return 2;
    fp_store *store;
    fp_id given, made, begun;
    fp_object object;
    must(fp_open(arguments[1], NULL, &store));
    must(fp_id_from_name("given", 5, &given));
    must(fp_id_from_name("made", 4, &made));
    must(fp_id_from_name("begun", 5, &begun));
    must(fp_get(store, &given, 10000, NULL, &object));
    if (count == 3) {
        fp_writer writer;
        must(fp_create(store, &begun, 100, NULL, &writer));
        printf("held\n");
        fflush(stdout);
        for (;;)
            pause();
    }
    const void *metadata;
    size_t metadata_size;
    int32_t matches, participants = 0;
    must(fp_object_metadata(&object, &metadata, &metadata_size));
    must(fp_object_verify(&object, &matches));
    printf("given: %" PRId64 " bytes, metadata %.*s, checksum %s\n", object.size, (int)metadata_size, (const char *)metadata, matches ? "right" : "wrong");
    must(fp_put(store, &made, "nine more", 9, NULL));
    must(fp_delete(store, &given));
    must(fp_release(&object));
    must(fp_list_participants(store, count_participant, &participants));
    printf("participants: %" PRId32 "\n", participants);
    must(fp_close(store));
    return 0;
}
