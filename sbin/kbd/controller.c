#include "sbin/kbd/controller.h"

#include <stdio.h>
#include <time.h>

#include "lib/sys/ports.h"

#define DATA    0x60
#define COMMAND 0x64 /* written */
#define STATUS  0x64 /* read */

#define STATUS_OUTPUT 0x01 /* a byte to read */
#define STATUS_INPUT  0x02 /* busy with what was written */
#define STATUS_AUX    0x20 /* the byte to read is the second port's */
#define STATUS_ABSENT 0xff

#define COMMAND_READ_CONFIGURATION  0x20
#define COMMAND_WRITE_CONFIGURATION 0x60
#define COMMAND_AUX_DISABLE         0xa7
#define COMMAND_AUX_ENABLE          0xa8
#define COMMAND_AUX_TEST            0xa9
#define COMMAND_SELF_TEST           0xaa
#define COMMAND_KEYBOARD_TEST       0xab
#define COMMAND_KEYBOARD_DISABLE    0xad
#define COMMAND_KEYBOARD_ENABLE     0xae
#define COMMAND_TO_AUX              0xd4

#define CONFIGURATION_IRQ1         0x01
#define CONFIGURATION_IRQ12        0x02
#define CONFIGURATION_SYSTEM       0x04
#define CONFIGURATION_KEYBOARD_OFF 0x10
#define CONFIGURATION_AUX_OFF      0x20
#define CONFIGURATION_TRANSLATE    0x40

#define SELF_TEST_PASSED 0x55
#define PORT_TEST_PASSED 0x00
#define ACKNOWLEDGED     0xfa

#define STEP_US 100
#define WAIT_MS 100
#define FLUSH   32 /* bytes; a controller that has more than that to say is broken */

static uint8_t in8(uint16_t port)
{
    return (uint8_t)port_read(port, 1);
}

static void out8(uint16_t port, uint8_t value)
{
    port_write(port, 1, value);
}

/* Until the status has all of `set` and none of `clear`. */
static bool wait_status(uint8_t set, uint8_t clear, unsigned milliseconds)
{
    for (unsigned i = 0; i <= milliseconds * 1000 / STEP_US; i++) {
        uint8_t status = in8(STATUS);
        if ((status & set) == set && !(status & clear))
            return true;
        nanosleep(&(struct timespec){.tv_nsec = STEP_US * 1000}, NULL);
    }
    return false;
}

static bool write_to(uint16_t port, uint8_t value)
{
    if (!wait_status(0, STATUS_INPUT, WAIT_MS))
        return false;
    out8(port, value);
    return true;
}

static bool read_data(uint8_t *value, unsigned milliseconds)
{
    if (!wait_status(STATUS_OUTPUT, 0, milliseconds))
        return false;
    *value = in8(DATA);
    return true;
}

static bool ask_controller(uint8_t command, uint8_t *answer)
{
    return write_to(COMMAND, command) && read_data(answer, WAIT_MS);
}

static bool configure(struct controller *controller, uint8_t configuration)
{
    controller->configuration = configuration;
    return write_to(COMMAND, COMMAND_WRITE_CONFIGURATION) && write_to(DATA, configuration);
}

static bool flush(void)
{
    for (int i = 0; i < FLUSH; i++) {
        if (!(in8(STATUS) & STATUS_OUTPUT))
            return true;
        (void)in8(DATA);
    }
    return false;
}

/* Both ports off, no interrupts, no translation; NULL, or what is wrong. */
static const char *quiet(struct controller *controller)
{
    uint8_t configuration, answer;
    if (in8(STATUS) == STATUS_ABSENT)
        return "there is none";
    if (!write_to(COMMAND, COMMAND_KEYBOARD_DISABLE) || !write_to(COMMAND, COMMAND_AUX_DISABLE))
        return "it takes no commands";
    if (!flush())
        return "it does not stop talking";
    if (!ask_controller(COMMAND_READ_CONFIGURATION, &configuration))
        return "it does not tell its configuration";
    configuration &=
        (uint8_t) ~(CONFIGURATION_IRQ1 | CONFIGURATION_IRQ12 | CONFIGURATION_TRANSLATE);
    configuration |= CONFIGURATION_SYSTEM;
    if (!configure(controller, configuration))
        return "it takes no configuration";
    if (!ask_controller(COMMAND_SELF_TEST, &answer) || answer != SELF_TEST_PASSED)
        return "its self-test fails";
    /* The test may have put everything back. */
    return configure(controller, configuration) ? NULL : "it takes no configuration";
}

/* A second port is there if its clock can be told to run. */
static bool aux_there(void)
{
    uint8_t on = CONFIGURATION_AUX_OFF, off = 0;
    bool there =
        write_to(COMMAND, COMMAND_AUX_ENABLE) && ask_controller(COMMAND_READ_CONFIGURATION, &on) &&
        write_to(COMMAND, COMMAND_AUX_DISABLE) && ask_controller(COMMAND_READ_CONFIGURATION, &off);
    return there && !(on & CONFIGURATION_AUX_OFF) && off & CONFIGURATION_AUX_OFF;
}

static bool port_works(const char *name, uint8_t test)
{
    uint8_t answer;
    if (ask_controller(test, &answer) && answer == PORT_TEST_PASSED)
        return true;
    fprintf(stderr, "the controller's %s port fails its test\n", name);
    return false;
}

void controller_start(struct controller *controller)
{
    const char *problem = quiet(controller);
    controller->present = !problem;
    if (problem) {
        fprintf(stderr, "no PS/2 controller: %s\n", problem);
        return;
    }
    controller->port[CONTROLLER_AUX] = aux_there() && port_works("second", COMMAND_AUX_TEST);
    controller->port[CONTROLLER_KEYBOARD] = port_works("first", COMMAND_KEYBOARD_TEST);
    if (controller->port[CONTROLLER_KEYBOARD] && !write_to(COMMAND, COMMAND_KEYBOARD_ENABLE))
        controller->port[CONTROLLER_KEYBOARD] = false;
    if (controller->port[CONTROLLER_AUX] && !write_to(COMMAND, COMMAND_AUX_ENABLE))
        controller->port[CONTROLLER_AUX] = false;
    controller->configuration &= (uint8_t) ~(CONFIGURATION_KEYBOARD_OFF | CONFIGURATION_AUX_OFF);
}

void controller_interrupts(struct controller *controller)
{
    uint8_t configuration = controller->configuration;
    if (controller->port[CONTROLLER_KEYBOARD])
        configuration |= CONFIGURATION_IRQ1;
    if (controller->port[CONTROLLER_AUX])
        configuration |= CONFIGURATION_IRQ12;
    if (!configure(controller, configuration))
        fprintf(stderr, "the PS/2 controller refuses its interrupts\n");
}

bool controller_receive(const struct controller *controller, enum controller_port *from,
                        uint8_t *byte)
{
    if (!controller->present)
        return false;
    uint8_t status = in8(STATUS);
    if (!(status & STATUS_OUTPUT))
        return false;
    *from = status & STATUS_AUX ? CONTROLLER_AUX : CONTROLLER_KEYBOARD;
    *byte = in8(DATA);
    return true;
}

bool controller_send(const struct controller *controller, enum controller_port to, uint8_t byte)
{
    if (!controller->present || !controller->port[to])
        return false;
    if (to == CONTROLLER_AUX && !write_to(COMMAND, COMMAND_TO_AUX))
        return false;
    return write_to(DATA, byte);
}

bool controller_ask(const struct controller *controller, enum controller_port to, uint8_t byte,
                    uint8_t *answers, size_t count, unsigned patience_ms)
{
    uint8_t acknowledgement;
    if (!controller_send(controller, to, byte) || !read_data(&acknowledgement, WAIT_MS) ||
        acknowledgement != ACKNOWLEDGED)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!read_data(&answers[i], patience_ms))
            return false;
    return true;
}
