/* kbd: kbd://, the PS/2 controller and the keyboard on it; keys go to input://.
 *
 * kbd:///keyboard is what the keyboard says, byte by byte, for people; kbd:///aux is the second port, which moused opens to talk
 * to its mouse. Whoever reads gets what comes after the open. One thread accepts commands and both interrupts; the threads
 * of lib/input talk to inputd, and wake this one by a notification when lights change.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/error.h"
#include "lib/sys/feed.h"
#include "lib/sys/service.h"
#include "lib/sys/startup.h"
#include "sbin/kbd/keyboard.h"

#define KEY_IRQ_KEYBOARD 1
#define KEY_IRQ_AUX      2

static struct controller controller;
static struct keyboard keyboard;
static struct input_driver input;
static struct feed feeds[CONTROLLER_PORTS];
static handle_t irqs[CONTROLLER_PORTS] = {HANDLE_NONE, HANDLE_NONE};
static handle_t port;
static uint32_t wanted_lights; /* written by lib/input's thread */
static bool have_keyboard;

static void receive_all(void)
{
    enum controller_port from;
    uint8_t byte;
    while (controller_receive(&controller, &from, &byte)) {
        feed_put(&feeds[from], &byte);
        if (from == CONTROLLER_KEYBOARD && have_keyboard)
            keyboard_byte(&keyboard, byte);
    }
}

static void kbd_notified(void *context, uint64_t key, uint64_t signals)
{
    (void)context;
    (void)signals;
    if (key == 0) {
        keyboard_lights(&keyboard, __atomic_load_n(&wanted_lights, __ATOMIC_RELAXED));
        return;
    }
    receive_all();
    sys_ignore(sys_irq_ack(irqs[key == KEY_IRQ_AUX], 0));
    receive_all(); /* both lines are edges: what came before the acknowledgement does not interrupt again */
}

static void lights_changed(void *context, uint32_t mask)
{
    (void)context;
    __atomic_store_n(&wanted_lights, mask, __ATOMIC_RELAXED);
    sys_ignore(sys_port_notify(port, 1));
}

static int64_t kbd_open(void *context, struct command *command)
{
    (void)context;
    if (command->message.args[0] & OPEN_DIRECTORY)
        return -E_NOT_DIRECTORY;
    if (command_names(command, "keyboard"))
        return feed_open(&feeds[CONTROLLER_KEYBOARD], command);
    if (!command_names(command, "aux"))
        return -E_NOT_FOUND;
    return controller.port[CONTROLLER_AUX] ? feed_open(&feeds[CONTROLLER_AUX], command)
                                           : -E_NOT_FOUND;
}

/* To the mouse; the keyboard is ours alone. */
static int64_t kbd_write(void *context, struct command *command)
{
    (void)context;
    const struct feed_file *file = feed_file_of(command);
    if (!file || file->feed != &feeds[CONTROLLER_AUX])
        return -E_PERMISSION;
    size_t done = 0;
    while (done < command->data_length &&
           controller_send(&controller, CONTROLLER_AUX, command->data[done]))
        done++;
    command->reply.values[0] = done;
    return done || !command->data_length ? 0 : -E_IO;
}

static int64_t kbd_deadline(void *context)
{
    (void)context;
    return have_keyboard ? keyboard_deadline(&keyboard) : DEADLINE_NEVER;
}

static void kbd_expired(void *context)
{
    (void)context;
    keyboard_expired(&keyboard);
}

static command_handler *const operations[SERVICE_OPERATIONS] = {
    [OP_OPEN] = kbd_open,
    [OP_READ] = feed_read,
    [OP_WRITE] = kbd_write,
    [OP_STAT] = feed_stat,
};

static bool bind(const char *name, uint64_t key, handle_t *irq)
{
    *irq = startup_handle(name);
    return *irq != HANDLE_NONE && sys_port_bind(port, *irq, SIGNAL_READABLE, key, 0) >= 0 &&
           sys_irq_ack(*irq, 0) >= 0;
}

static void devices_start(void)
{
    uint32_t index = 0;
    const char *rest;
    handle_t ports;
    while ((ports = startup_handle_next("ioport:", &index, &rest)) != HANDLE_NONE)
        sys_ignore(sys_ioport_grant(ports));
    if (!bind("irq:1", KEY_IRQ_KEYBOARD, &irqs[CONTROLLER_KEYBOARD]) ||
        !bind("irq:12", KEY_IRQ_AUX, &irqs[CONTROLLER_AUX])) {
        fprintf(stderr, "was not given the interrupts\n");
        return;
    }
    controller_start(&controller);
    if (!controller.present)
        return;
    have_keyboard =
        controller.port[CONTROLLER_KEYBOARD] && keyboard_start(&keyboard, &controller, &input);
    if (!have_keyboard)
        fprintf(stderr, "no keyboard answers\n");
    int error = have_keyboard ? input_driver_start(&input, "kbd", lights_changed, NULL) : 0;
    if (error) {
        fprintf(stderr, "no threads for input://: %s\n", strerror(error));
        have_keyboard = false;
    }
    controller_interrupts(&controller);
}

int main(void)
{
    port = startup_require("port:kbd");
    struct service service = {
        .port = port,
        .operations = operations,
        .notified = kbd_notified,
        .cancelled = feed_cancelled,
        .closed = feed_closed,
        .deadline = kbd_deadline,
        .expired = kbd_expired,
    };
    for (int i = 0; i < CONTROLLER_PORTS; i++)
        feed_init(&feeds[i], 1);
    devices_start();
    fprintf(stderr, "cannot serve: %s\n", error_text(service_run(&service, 1)));
    return 1;
}
