/* fbd: fb://, the framebuffers of this machine: the one the boot loader set up, or else a display that fbd finds by way of pcid.
 *
 * The loader's is handed over as "framebuffer" with its layout in PROTOS_FRAMEBUFFER; the device behind it is left alone. A
 * display of our own stays claimed as long as anybody has its memory, so a fbd that comes back opens it again and
 * finds it with the mode set. One thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/error.h"
#include "lib/sys/file.h"
#include "lib/sys/keep.h"
#include "lib/sys/service.h"
#include "lib/sys/startup.h"
#include "sbin/fbd/bochs.h"

#define WIDTH    1024
#define HEIGHT   768
#define LIST_MAX (UINT64_C(256) << 10)

/* What is kept: struct state, the pixels, and the claim of the display, without which pcid would switch it off. */
#define KEY_STATE  1
#define KEY_MEMORY 2
#define KEY_CLAIM  3

static struct state {
    struct fb_mode mode;
    uint64_t offset; /* of the pixels in the memory */
    uint32_t valid;  /* written last */
    uint32_t reserved;
} * state;

static handle_t memory = HANDLE_NONE;

/* "1024x768,4096,32,16:8,8:8,0:8": width, height, pitch, bits; shift and bits of red, green and blue. */
static bool layout_read(const char *text, struct fb_mode *mode)
{
    unsigned width, height, pitch, bits, colours[6];
    int count =
        text ? sscanf(text, "%ux%u,%u,%u,%u:%u,%u:%u,%u:%u", &width, &height, &pitch, &bits,
                      &colours[0], &colours[1], &colours[2], &colours[3], &colours[4], &colours[5])
             : 0;
    if (count != 10 || bits > 32 || width > 16384 || height > 16384 || width == 0 || height == 0 ||
        pitch < width * ((bits + 7) / 8))
        return false;
    for (int i = 0; i < 6; i += 2)
        if (colours[i + 1] == 0 || colours[i + 1] > 8 || colours[i] + colours[i + 1] > bits)
            return false;
    *mode = (struct fb_mode){
        .width = width,
        .height = height,
        .pitch = pitch,
        .bits = bits,
        .red_shift = (uint8_t)colours[0],
        .red_bits = (uint8_t)colours[1],
        .green_shift = (uint8_t)colours[2],
        .green_bits = (uint8_t)colours[3],
        .blue_shift = (uint8_t)colours[4],
        .blue_bits = (uint8_t)colours[5],
    };
    return true;
}

/* The first line of pci:///devices with this class and ids: "00:02.0 030000 1234:1111 ...". */
static bool function_find(const char *what, char *uri, size_t size)
{
    char *text, *rest;
    size_t length;
    bool found = false;
    if (file_load(HANDLE_SELF, "pci:///devices", LIST_MAX, &text, &length) < 0)
        return false;
    rest = text;
    for (char *line; !found && (line = strsep(&rest, "\n"));) {
        char *where = strsep(&line, " ");
        found = line && strncmp(line, what, strlen(what)) == 0;
        if (found)
            snprintf(uri, size, "pci:///%s/device", where);
    }
    free(text);
    return found;
}

static bool display_start(handle_t port, struct fb_mode *mode, uint64_t *offset)
{
    handle_t claim;
    static const char *const displays[] = {"030000 1234:1111", "038000 1234:1111"};
    char uri[64];
    for (size_t i = 0; i < ARRAY_SIZE(displays); i++) {
        if (!function_find(displays[i], uri, sizeof(uri)))
            continue;
        int64_t result = bochs_start(uri, WIDTH, HEIGHT, mode, &claim, &memory, offset);
        if (result >= 0)
            result = keep_handle(port, KEY_CLAIM, claim);
        if (result >= 0)
            return true;
        fprintf(stderr, "%s: %s\n", uri, error_text(result));
    }
    return false;
}

/* What there is: from before, from the loader, or found. */
static bool framebuffer_start(handle_t port)
{
    memory = keep_get(port, KEY_MEMORY);
    if (state->valid && memory != HANDLE_NONE)
        return true;
    struct fb_mode mode = {0};
    uint64_t offset = 0;
    memory = startup_handle("framebuffer");
    if ((memory == HANDLE_NONE || !layout_read(getenv("PROTOS_FRAMEBUFFER"), &mode)) &&
        !display_start(port, &mode, &offset))
        return false;
    state->mode = mode;
    state->offset = offset;
    if (keep_handle(port, KEY_MEMORY, memory) >= 0)
        keep_commit(&state->valid, 1);
    return true;
}

static int64_t fb_open(void *context, struct command *command)
{
    (void)context;
    return memory != HANDLE_NONE && command_names(command, "0") ? 0 : -E_NOT_FOUND;
}

static int64_t fb_mode(void *context, struct command *command)
{
    (void)context;
    return command_answer(command, &state->mode, sizeof(state->mode));
}

static int64_t fb_map(void *context, struct command *command)
{
    (void)context;
    uint64_t size = (uint64_t)state->mode.pitch * state->mode.height;
    uint64_t from = command->message.args[0], length = command->message.args[1];
    if (command->message.args[2] & PROT_EXECUTE_)
        return -E_ACCESS;
    if (from % PAGE_SIZE || from > size || length > size - from)
        return -E_RANGE;
    command->reply.values[0] = state->offset + from;
    command->reply.values[1] = length;
    return command_answer_handle(
        command, handle_copy(memory, RIGHT_READ | RIGHT_WRITE | RIGHT_DUPLICATE | RIGHT_TRANSFER));
}

static int64_t fb_stat(void *context, struct command *command)
{
    static struct abi_stat stat;
    (void)context;
    if (!command->message.file && !command_names(command, "0"))
        return -E_NOT_FOUND;
    stat = (struct abi_stat){
        .size = (uint64_t)state->mode.pitch * state->mode.height,
        .inode = 1,
        .device = 1,
        .type = FILE_CHARACTER,
        .mode = 0600,
        .links = 1,
        .block_size = PAGE_SIZE,
        .rdev = 29 << 8, /* Linux's fb0 */
    };
    return command_answer(command, &stat, sizeof(stat));
}

static command_handler *const operations[SERVICE_OPERATIONS] = {
    [OP_OPEN] = fb_open,
    [OP_STAT] = fb_stat,
    [OP_MAP] = fb_map,
    [SERVICE_INDEX(FB_MODE)] = fb_mode,
};

int main(void)
{
    static struct state lost; /* without memory that outlives us */
    struct service service = {.port = startup_require("port:fb"), .operations = operations};
    state = keep_memory(service.port, KEY_STATE, sizeof(*state));
    if (!state)
        state = &lost;
    if (framebuffer_start(service.port))
        fprintf(stderr, "%ux%u, %u bits\n", state->mode.width, state->mode.height,
                state->mode.bits);
    else
        fprintf(stderr, "this machine has no display that is known here\n");
    fprintf(stderr, "cannot serve: %s\n", error_text(service_run(&service, 1)));
    return 1;
}
