/* Prints the ids of contents of 0 to 300 bytes, and of a long one. */
#include <fastplasma.h>
#include <stdio.h>

enum { LONG_SIZE = 1000003 };

int main(void)
{
    static uint8_t content[LONG_SIZE];
    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (uint8_t)(i * 7 + i / 256);
    for (size_t size = 0; size <= 301; size++) {
        fp_id id;
        char text[FP_ID_TEXT_SIZE];
        if (fp_id_from_content(content, size <= 300 ? size : sizeof content, &id) != FP_OK || fp_id_format(&id, text) != FP_OK)
            return 1;
        puts(text);
    }
    return 0;
}
