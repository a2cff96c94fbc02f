#include "sbin/fbd/displays.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/error.h"
#include "lib/sys/file.h"
#include "lib/sys/keep.h"
#include "lib/sys/startup.h"
#include "sbin/fbd/bochs.h"

#define WIDTH        1024 /* where the display has no size of its own */
#define HEIGHT       768
#define LIST_MAX     (UINT64_C(256) << 10)
#define DISPLAYS     8u /* more are left out, and that is logged */
#define FRAMEBUFFERS 32u
#define FUNCTION_MAX 32u

/* What is kept: struct state, the pixels of each framebuffer, and the claims of displays, without which pcid would switch them
 * off. */
#define KEY_STATE  1u
#define KEY_MEMORY 0x100u
#define KEY_CLAIM  0x200u

#define KEY_IRQ 1u /* of notifications: + the display */

struct display {
    char function[FUNCTION_MAX];
    uint32_t is_gpu, reserved;
    struct gpu_kept gpu;
};

static struct state {
    uint32_t display_count, framebuffer_count; /* each written when its new last one is whole */
    struct display displays[DISPLAYS];
    struct framebuffer framebuffers[FRAMEBUFFERS];
} * state;

static handle_t port;
static handle_t memories[FRAMEBUFFERS];
static struct gpu *gpus[DISPLAYS]; /* NULL: no virtio-gpu, or one that does not work */

const struct framebuffer *displays_at(uint32_t index)
{
    return &state->framebuffers[index];
}

handle_t displays_memory(uint32_t index)
{
    return memories[index];
}

/* --- Added ---------------------------------------------------------------------------------------------------------- */

/* Takes the memory over. */
static void framebuffer_add(const struct framebuffer *framebuffer, handle_t memory)
{
    uint32_t index = state->framebuffer_count;
    int64_t result =
        index == FRAMEBUFFERS ? -E_NO_SPACE : keep_handle(port, KEY_MEMORY + index, memory);
    if (result < 0) {
        fprintf(stderr, "a framebuffer is left out: %s\n", error_text(result));
        handle_drop(memory);
        return;
    }
    memories[index] = memory;
    state->framebuffers[index] = *framebuffer;
    keep_commit(&state->framebuffer_count, index + 1);
    fprintf(stderr, "%ux%u, %u bits\n", framebuffer->mode.width, framebuffer->mode.height,
            framebuffer->mode.bits);
}

/* Its index, with the claim kept; 0 or -E_*. */
static int64_t display_add(const char *function, bool is_gpu, handle_t claim)
{
    struct display *display = &state->displays[state->display_count];
    snprintf(display->function, sizeof(display->function), "%s", function);
    display->is_gpu = is_gpu;
    int64_t result = keep_handle(port, KEY_CLAIM + state->display_count, claim);
    if (result >= 0)
        keep_commit(&state->display_count, state->display_count + 1);
    return result;
}

static int64_t bochs_add(const char *function)
{
    struct framebuffer framebuffer = {.display = state->display_count};
    handle_t claim, memory;
    int64_t result = bochs_start(function, WIDTH, HEIGHT, &framebuffer, &claim, &memory);
    if (result < 0)
        return result;
    result = display_add(function, false, claim);
    handle_drop(claim);
    if (result < 0)
        handle_drop(memory);
    else
        framebuffer_add(&framebuffer, memory);
    return result;
}

/* Started, and its interrupts come here. */
static int64_t gpu_bring(uint32_t index, const char *function, handle_t claim)
{
    struct gpu *gpu = calloc(1, sizeof(*gpu));
    if (!gpu) {
        handle_drop(claim);
        return -E_NO_MEMORY;
    }
    int64_t result = gpu_start(gpu, claim, function, &state->displays[index].gpu);
    if (result < 0) {
        free(gpu);
        return result;
    }
    gpus[index] = gpu;
    return sys_port_bind(port, gpu->device.irqs[0], SIGNAL_READABLE, KEY_IRQ + index, 0);
}

static int64_t output_add(uint32_t index, uint32_t output)
{
    const struct gpu_output *what = &gpus[index]->outputs[output];
    struct framebuffer framebuffer = {
        .mode = mode_of(what->width, what->height, FB_SHOWS_DAMAGE),
        .display = index,
        .output = output,
    };
    handle_t memory;
    int64_t result = gpu_pixels(gpus[index], what->width, what->height, &memory);
    if (result < 0)
        return result;
    result = gpu_show(gpus[index], output, what->width, what->height, memory);
    if (result < 0)
        handle_drop(memory);
    else
        framebuffer_add(&framebuffer, memory);
    return result;
}

static int64_t gpu_add(const char *function)
{
    uint32_t index = state->display_count;
    state->displays[index].gpu = (struct gpu_kept){{0}};
    int64_t result = gpu_bring(index, function, HANDLE_NONE);
    if (result >= 0)
        result = display_add(function, true, gpus[index]->device.pci.file);
    for (uint32_t output = 0; result >= 0 && output < GPU_OUTPUTS; output++)
        if (gpus[index]->outputs[output].width && gpus[index]->outputs[output].height)
            result = output_add(index, output);
    return result;
}

/* --- Found ---------------------------------------------------------------------------------------------------------- */

/* By class, vendor and device, as they stand in pci:///devices. */
static const struct kind {
    const char *what;
    int64_t (*add)(const char *function);
    bool besides; /* the loader's framebuffer is never on one */
} kinds[] = {
    {"030000 1234:1111", bochs_add, false},
    {"038000 1234:1111", bochs_add, false},
    {"030000 1af4:1050", gpu_add, false},
    {"038000 1af4:1050", gpu_add, true},
};

static void function_try(const char *where, const char *what)
{
    char function[FUNCTION_MAX];
    snprintf(function, sizeof(function), "pci-claim:///%s", where);
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (strncmp(what, kinds[i].what, strlen(kinds[i].what)) != 0 ||
            (memories[0] != HANDLE_NONE && state->framebuffers[0].display == DISPLAY_LOADER &&
             !kinds[i].besides))
            continue;
        int64_t result = state->display_count == DISPLAYS ? -E_NO_SPACE : kinds[i].add(function);
        if (result < 0)
            fprintf(stderr, "%s: %s\n", function, error_text(result));
    }
}

/* Each line of pci:///devices is "00:02.0 030000 1234:1111 ...". */
static void functions_find(void)
{
    char *text, *rest;
    size_t length;
    if (file_load(HANDLE_SELF, "pci:///devices", LIST_MAX, &text, &length) < 0)
        return;
    rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *where = strsep(&line, " ");
        if (line)
            function_try(where, line);
    }
    free(text);
}

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

static void loader_add(void)
{
    struct framebuffer framebuffer = {.display = DISPLAY_LOADER};
    handle_t memory = startup_handle("framebuffer");
    if (memory != HANDLE_NONE && layout_read(getenv("PROTOS_FRAMEBUFFER"), &framebuffer.mode))
        framebuffer_add(&framebuffer, memory);
}

/* --- From before ---------------------------------------------------------------------------------------------------- */

/* A virtio-gpu shows what it showed: without one its framebuffers are still there to be drawn on. */
static void gpu_return(uint32_t index)
{
    struct display *display = &state->displays[index];
    display->function[FUNCTION_MAX - 1] = '\0';
    int64_t result = gpu_bring(index, display->function, keep_get(port, KEY_CLAIM + index));
    for (uint32_t i = 0; result >= 0 && i < state->framebuffer_count; i++) {
        const struct framebuffer *framebuffer = &state->framebuffers[i];
        if (framebuffer->display == index && framebuffer->output < GPU_OUTPUTS)
            result = gpu_show(gpus[index], framebuffer->output, framebuffer->mode.width,
                              framebuffer->mode.height, memories[i]);
    }
    if (result < 0)
        fprintf(stderr, "%s: %s\n", display->function, error_text(result));
}

static void all_return(void)
{
    state->framebuffer_count = MIN(state->framebuffer_count, FRAMEBUFFERS);
    state->display_count = MIN(state->display_count, DISPLAYS);
    for (uint32_t i = 0; i < state->framebuffer_count; i++)
        memories[i] = keep_get(port, KEY_MEMORY + i);
    for (uint32_t i = 0; i < state->display_count; i++)
        if (state->displays[i].is_gpu)
            gpu_return(i);
}

uint32_t displays_start(handle_t own)
{
    static struct state lost; /* without memory that outlives us */
    port = own;
    for (uint32_t i = 0; i < FRAMEBUFFERS; i++)
        memories[i] = HANDLE_NONE;
    state = keep_memory(port, KEY_STATE, sizeof(*state));
    if (!state)
        state = &lost;
    if (state->framebuffer_count) {
        all_return();
    } else {
        loader_add();
        functions_find();
    }
    return state->framebuffer_count;
}

/* --- At work -------------------------------------------------------------------------------------------------------- */

void displays_damage(uint32_t index, const struct gpu_rectangle *rectangle)
{
    const struct framebuffer *framebuffer = &state->framebuffers[index];
    struct gpu *gpu = framebuffer->display < DISPLAYS ? gpus[framebuffer->display] : NULL;
    if (gpu && framebuffer->output < GPU_OUTPUTS)
        gpu_damage(gpu, framebuffer->output, rectangle);
}

void displays_notified(uint64_t key)
{
    uint64_t index = key - KEY_IRQ;
    if (index >= DISPLAYS || !gpus[index] || gpu_interrupt(gpus[index]))
        return;
    fprintf(stderr, "%s: what the display answers makes no sense\n",
            state->displays[index].function);
    exit(1); /* the next fbd begins with a reset of it */
}
