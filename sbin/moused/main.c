/* moused: mouse://, the PS/2 mouse on kbd's second port; movements go to input://.
 *
 * mouse:/// gives whoever reads struct input_event records of what the mouse does. The bytes come from kbd:///aux, a file that
 * is bound to our port. Without such a port (no controller, no mouse) the service waits for one, asking each minute.
 */
#include <stdio.h>
#include <string.h>

#include "lib/input/driver.h"
#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "lib/sys/feed.h"
#include "lib/sys/file.h"
#include "lib/sys/startup.h"
#include "sbin/moused/mouse.h"

#define KEY_AUX 1
#define RETRY   (INT64_C(60) * 1000 * 1000 * 1000)

static struct mouse mouse;
static struct input_driver input;
static struct feed feed;
static handle_t aux = HANDLE_NONE, port;
static int64_t retry_at;
static uint8_t buttons;
static bool silence_told;

static void tell(uint16_t type, uint16_t code, int32_t value)
{
    struct input_event event = {
        .time = clock_monotonic(), .type = type, .code = code, .value = value};
    feed_put(&feed, &event);
    input_driver_emit(&input, type, code, value);
}

static void packet_tell(const struct mouse_packet *packet)
{
    static const uint16_t codes[] = {INPUT_BUTTON_LEFT, INPUT_BUTTON_RIGHT, INPUT_BUTTON_MIDDLE,
                                     INPUT_BUTTON_SIDE, INPUT_BUTTON_EXTRA};
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
        if ((packet->buttons ^ buttons) >> i & 1)
            tell(INPUT_KEY, codes[i], packet->buttons >> i & 1);
    buttons = packet->buttons;
    if (packet->x)
        tell(INPUT_REL, INPUT_REL_X, packet->x);
    if (packet->y)
        tell(INPUT_REL, INPUT_REL_Y, packet->y);
    if (packet->wheel)
        tell(INPUT_REL, INPUT_REL_WHEEL, packet->wheel);
    tell(INPUT_SYNC, 0, 0);
}

static void aux_lost(int64_t error)
{
    fprintf(stderr, "kbd:///aux: %s\n", error_text(error));
    handle_drop(aux);
    aux = HANDLE_NONE;
    retry_at = clock_monotonic() + RETRY;
}

/* Sends what the mouse is to be told next, as long as it need not answer first. */
static void talk(void)
{
    int byte;
    while (aux != HANDLE_NONE && (byte = mouse_send_next(&mouse, clock_monotonic())) >= 0) {
        int64_t result = file_write(aux, 0, &(uint8_t){(uint8_t)byte}, 1);
        if (result < 0)
            aux_lost(result);
    }
}

static void listen(void)
{
    uint8_t bytes[64];
    while (aux != HANDLE_NONE) {
        struct abi_command command = {.op = OP_READ,
                                      .flags = COMMAND_NONBLOCK,
                                      .out = (uintptr_t)bytes,
                                      .out_length = sizeof(bytes)};
        int64_t result = file_command(aux, &command);
        if (result == -E_AGAIN)
            break;
        if (result < 0) {
            aux_lost(result);
            break;
        }
        for (uint64_t i = 0; i < MIN(command.values[0], sizeof(bytes)); i++) {
            enum mouse_said said = mouse_byte(&mouse, bytes[i], clock_monotonic());
            if (said == MOUSE_MOVED)
                packet_tell(&mouse.packet);
            else if (said == MOUSE_READY)
                fprintf(stderr, "a mouse with id %u\n", mouse.id);
            silence_told = silence_told && said != MOUSE_READY;
            talk();
        }
    }
}

static void aux_open(void)
{
    int64_t result = file_open(HANDLE_SELF, "kbd:///aux", OPEN_READ | OPEN_WRITE, &aux);
    if (result >= 0)
        result = sys_port_bind(port, aux, SIGNAL_READABLE, KEY_AUX, 0);
    if (result < 0) {
        aux_lost(result);
        return;
    }
    mouse_reset(&mouse);
    talk();
}

static void moused_notified(void *context, uint64_t key, uint64_t signals)
{
    (void)context;
    (void)signals;
    if (key == KEY_AUX)
        listen();
}

static int64_t moused_deadline(void *context)
{
    (void)context;
    return aux == HANDLE_NONE ? retry_at : mouse_deadline(&mouse);
}

static void moused_expired(void *context)
{
    (void)context;
    if (aux == HANDLE_NONE) {
        aux_open();
        return;
    }
    if (mouse_expire(&mouse, clock_monotonic()) && !silence_told) {
        fprintf(stderr, "no mouse answers\n");
        silence_told = true;
    }
    talk();
}

static int64_t moused_open(void *context, struct command *command)
{
    (void)context;
    if (!command_names(command, ""))
        return -E_NOT_FOUND;
    if (command->message.args[0] & OPEN_DIRECTORY)
        return -E_NOT_DIRECTORY;
    return feed_open(&feed, command);
}

static command_handler *const operations[SERVICE_OPERATIONS] = {
    [OP_OPEN] = moused_open,
    [OP_READ] = feed_read,
    [OP_STAT] = feed_stat,
};

int main(void)
{
    port = startup_require("port:mouse");
    struct service service = {
        .port = port,
        .operations = operations,
        .notified = moused_notified,
        .cancelled = feed_cancelled,
        .closed = feed_closed,
        .deadline = moused_deadline,
        .expired = moused_expired,
    };
    feed_init(&feed, sizeof(struct input_event));
    int error = input_driver_start(&input, "mouse", NULL, NULL);
    if (error) {
        fprintf(stderr, "no thread for input://: %s\n", strerror(error));
        return 1;
    }
    aux_open();
    fprintf(stderr, "cannot serve: %s\n", error_text(service_run(&service, 1)));
    return 1;
}
