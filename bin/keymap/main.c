/* keymap NAME: what keys mean from now on. The names are those in /etc/keymaps; the one at boot is in /etc/keymap. */
#include <stdio.h>
#include <string.h>

#include "abi/input.h"
#include "lib/sys/error.h"
#include "lib/sys/file.h"

int main(int argc, char **argv)
{
    handle_t input;
    if (argc != 2) {
        fprintf(stderr, "usage: keymap NAME\n");
        return 2;
    }
    struct abi_command command = {
        .op = INPUT_KEYMAP, .in = (uintptr_t)argv[1], .in_length = strlen(argv[1])};
    int64_t result = file_open(HANDLE_SELF, "input:///events", OPEN_READ, &input);
    if (result >= 0)
        result = file_command(input, &command);
    if (result < 0)
        fprintf(stderr, "keymap: %s: %s\n", argv[1], error_text(result));
    return result < 0;
}
