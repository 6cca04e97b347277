/* Gets and releases one object so many times, to be counted under callgrind. */
#include <fastplasma.h>
#include <stdlib.h>

int main(int count, char **arguments)
{
    fp_store_options options;
    fp_store *store;
    fp_id id;
    int refused = 0;
    fp_store_options_init(&options);
    options.capacity_bytes = 16 << 20;
    if (count != 2 || fp_create_anonymous(&options, &store) != FP_OK || fp_id_from_name("a", 1, &id) != FP_OK || fp_put(store, &id, "hello", 5, NULL) != FP_OK)
        return 1;
    for (long left = atol(arguments[1]); left > 0; left--) {
        fp_object object;
        refused |= fp_try_get(store, &id, &object);
        refused |= fp_release(&object);
    }
    return refused;
}
