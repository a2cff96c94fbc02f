/* powerd: power://, the machine's switch (abi/power.h), and the button that people press.
 *
 *     the button --> init is told, as by `poweroff`, and stops the system --> POWER_NOTIFY_OFF --> the firmware's S5
 *     reboot(2)  --> POWER_OFF, POWER_RESET, by uid 0: at once
 *
 * Whatever the firmware does not do, the kernel does (SYSTEM_POWER_OFF, SYSTEM_RESET). The firmware's code runs in this
 * process and nowhere else: when it ends us twice in a row while it is loaded, we do without it.
 */
#include <stdio.h>
#include <string.h>

#include "abi/power.h"
#include "abi/proc.h"
#include "lib/sys/acpi_tables.h"
#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "lib/sys/file.h"
#include "lib/sys/keep.h"
#include "lib/sys/service.h"
#include "lib/sys/startup.h"
#include "sbin/powerd/firmware.h"
#include "sbin/powerd/tables.h"

#define SECOND    INT64_C(1000000000)
#define ANSWER_NS SECOND        /* for procd */
#define RETRY_NS  SECOND        /* init could not be told */
#define STOP_NS   (60 * SECOND) /* longer than init may take: then it is gone, or hangs */

#define INIT_PID    1
#define INIT_SIGNAL 12 /* SIGUSR2 */

#define KEY_STATE  1u
#define TRIES_MOST 2u

struct state {
    uint32_t tries; /* of loading the firmware's code, that did not end */
};

static handle_t port, power;
static struct tables tables;
static char description[512];
static int64_t due =
    DEADLINE_NEVER; /* of the next step after the button: to tell init, or to wait no longer */
static int64_t patience_end;
static bool told;

/* --- the switch --- */

static int64_t machine_off(void)
{
    fprintf(stderr, "off\n");
    firmware_off();
    return sys_system_control(power, SYSTEM_POWER_OFF, 0);
}

static int64_t machine_reset(void)
{
    fprintf(stderr, "reset\n");
    return sys_system_control(power, SYSTEM_RESET, 0);
}

static int64_t proc_command(struct abi_command *command)
{
    command->deadline = clock_monotonic() + ANSWER_NS;
    return file_command(startup_handle("proc"), command);
}

static bool is_root(const struct command *command)
{
    struct abi_command ask = {.op = PROC_TERMINAL, .args = {command->message.caller}};
    return proc_command(&ask) >= 0 && ask.values[1] >> 32 == 0;
}

static int64_t power_off(void *context, struct command *command)
{
    (void)context;
    return is_root(command) ? machine_off() : -E_PERMISSION;
}

static int64_t power_reset(void *context, struct command *command)
{
    (void)context;
    return is_root(command) ? machine_reset() : -E_PERMISSION;
}

/* --- the button --- */

static void init_tell(void)
{
    struct abi_command command = {.op = PROC_KILL, .args = {INIT_PID, INIT_SIGNAL}};
    int64_t result = proc_command(&command);
    told = result >= 0;
    due = told ? patience_end : MIN(clock_monotonic() + RETRY_NS, patience_end);
    if (!told)
        fprintf(stderr, "init cannot be told: %s\n", error_text(result));
}

/* Inside of the firmware's code, which does not wait for procd: the loop does. */
static void button_pressed(void)
{
    if (due != DEADLINE_NEVER)
        return;
    fprintf(stderr, "the power button\n");
    patience_end = clock_monotonic() + STOP_NS;
    due = DEADLINE_NOW;
}

static int64_t power_deadline(void *context)
{
    (void)context;
    return due;
}

static void power_expired(void *context)
{
    (void)context;
    if (clock_monotonic() >= patience_end) {
        due = DEADLINE_NEVER;
        sys_ignore(machine_off());
    } else if (!told) {
        init_tell();
    }
}

static void power_notified(void *context, uint64_t key, uint64_t signals)
{
    (void)context;
    if (key)
        firmware_interrupt(key);
    else if (signals & POWER_NOTIFY_OFF)
        sys_ignore(machine_off());
}

/* --- power:///, for people --- */

static int64_t power_open(void *context, struct command *command)
{
    const char *name;
    (void)context;
    if (command_name(command, &name) != 0)
        return -E_NOT_FOUND;
    if (command->message.args[0] & OPEN_DIRECTORY)
        return -E_NOT_DIRECTORY;
    command->reply.values[1] = HANDLE_FLAG_SEEKABLE;
    command->reply.values[2] = SIGNAL_READABLE;
    return 0;
}

static int64_t power_read(void *context, struct command *command)
{
    (void)context;
    return command_answer_part(command, description, strlen(description));
}

static int64_t power_stat(void *context, struct command *command)
{
    static struct abi_stat stat;
    (void)context;
    stat = (struct abi_stat){
        .size = strlen(description),
        .inode = 1,
        .device = 1,
        .type = FILE_REGULAR,
        .mode = 0444,
        .links = 1,
        .block_size = PAGE_SIZE,
    };
    return command_answer(command, &stat, sizeof(stat));
}

/* --- start --- */

static void machine_start(void)
{
    struct state *state = keep_memory(port, KEY_STATE, sizeof(*state));
    uint64_t length;
    const uint8_t *bytes = acpi_tables_map(&length);
    if (!bytes || !tables_build(&tables, bytes, length)) {
        snprintf(description, sizeof(description), "no ACPI\noff kernel\n");
        return;
    }
    bool with_code = !state || state->tries < TRIES_MOST;
    if (!with_code)
        fprintf(stderr, "the firmware's code ended powerd %u times: it is left out\n",
                state->tries);
    if (state && with_code)
        keep_commit(&state->tries, state->tries + 1);
    if (!firmware_start(&tables, port, with_code, button_pressed))
        fprintf(stderr, "no power button\n");
    if (state && with_code)
        keep_commit(&state->tries, 0);
    firmware_describe(description, sizeof(description));
}

static command_handler *const operations[SERVICE_OPERATIONS] = {
    [OP_OPEN] = power_open,
    [OP_READ] = power_read,
    [OP_STAT] = power_stat,
    [SERVICE_INDEX(POWER_OFF)] = power_off,
    [SERVICE_INDEX(POWER_RESET)] = power_reset,
};

int main(void)
{
    port = startup_require("port:power");
    power = startup_require("power");
    machine_start();
    struct service service = {
        .port = port,
        .operations = operations,
        .notified = power_notified,
        .deadline = power_deadline,
        .expired = power_expired,
    };
    fprintf(stderr, "cannot serve: %s\n", error_text(service_run(&service, 1)));
    return 1;
}
