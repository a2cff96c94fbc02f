/* draw URI: a picture on a framebuffer: red grows to the right, green to the bottom, a blue frame around it. */
#include <stdio.h>
#include <stdlib.h>

#include "abi/fb.h"
#include "lib/sys/error.h"
#include "lib/sys/file.h"

static void must(const char *what, int64_t result)
{
    if (result >= 0)
        return;
    printf("%s: %s\n", what, error_text(result));
    exit(1);
}

static volatile uint32_t *map(handle_t file, const struct fb_mode *mode)
{
    uint64_t length = (uint64_t)mode->pitch * mode->height;
    struct abi_command command = {.op = OP_MAP, .args = {0, length, PROT_READ_ | PROT_WRITE_}};

    must("map", file_command(file, &command));
    struct abi_map where = {.length = ALIGN_UP(length, PAGE_SIZE),
                            .offset = command.values[0],
                            .memory = command.receive[0],
                            .protection = PROT_READ_ | PROT_WRITE_,
                            .flags = MAP_SHARED_};
    int64_t address = sys_space_map(HANDLE_SELF, &where);

    must("space_map", address);
    return (volatile uint32_t *)address;
}

int main(int argc, char **argv)
{
    struct fb_mode mode;
    struct abi_command ask = {.op = FB_MODE, .out = (uintptr_t)&mode, .out_length = sizeof(mode)};
    handle_t file;

    if (argc != 2)
        return 2;
    must("open", file_open(HANDLE_SELF, argv[1], OPEN_READ | OPEN_WRITE, &file));
    must("mode", file_command(file, &ask));
    printf("%ux%u\n", mode.width, mode.height);
    volatile uint32_t *pixels = map(file, &mode);
    for (uint32_t y = 0; y < mode.height; y++) {
        for (uint32_t x = 0; x < mode.width; x++) {
            bool frame = x < 8 || y < 8 || x >= mode.width - 8 || y >= mode.height - 8;

            pixels[y * (mode.pitch / 4) + x] =
                frame ? 0xff : x * 255 / mode.width << 16 | y * 255 / mode.height << 8;
        }
    }
    struct abi_command beyond = {.op = FB_DAMAGE, .args = {0, 0, mode.width + 1, 1}};
    struct abi_command damage = {.op = FB_DAMAGE, .args = {0, 0, mode.width, mode.height}};

    if (mode.flags & FB_SHOWS_DAMAGE)
        must("damage", file_command(file, &damage));
    if (file_command(file, &beyond) != -E_RANGE)
        must("damage beyond it", -E_IO);
    return 0;
}
