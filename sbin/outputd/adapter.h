/* A terminal on a serial line that a driver process has (abi/serial.h): an adapter on USB.
 *
 *     driver --OP_WRITE: units--> terminal_input -> line.c      -> programs on tty:///usb0
 *     driver <--SERIAL_NEXT------ line_output_peek, settings    <- programs, termios, TIOCMSET
 *
 * This file is the device, adapters.h is which of them there are. What a driver was given to send stays in the line's output until
 * it says that it was sent. One thread.
 */
#pragma once

#include "abi/serial.h"
#include "sbin/outputd/terminal.h"

struct adapter_kept {
    uint64_t life;     /* of the driver that wrote last */
    uint64_t next;     /* number of the unit that is wanted next of it */
    uint64_t first_id; /* files of the terminal have ids behind it */
    struct terminal_kept terminal;
};

struct adapter {
    struct terminal terminal;
    struct list link; /* of all, by number */
    uint32_t number;
    struct adapter_kept *kept;
    struct list files;              /* struct adapter_file: the driver's */
    struct list orders, receipts;   /* struct held: SERIAL_NEXT, OP_WRITE */
    uint64_t in_force, impossible;  /* settings, as the driver said last */
    uint32_t control, good_control; /* LINE_*: as they were looked at last; which the device had */
    uint32_t bauds;                 /* of control, or of those before a B0 */
    uint32_t lines, modem;          /* TTY_MODEM_*: ours, the other side's */
    bool breaking;
    bool attending, again;
    int64_t gone_at; /* when it is over, as no driver has it; DEADLINE_NEVER: one has */
};

/* Of a driver: its address is the file's cookie. */
struct adapter_file {
    struct list link;
    struct adapter *adapter; /* NULL: it has said that the device is gone */
    uint64_t life;
};

extern const struct terminal_device adapter_device;

/* kept: what there was before, or zeros. */
void adapter_init(struct adapter *adapter, handle_t port, struct adapter_kept *kept);
/* Another life of the driver begins. */
void adapter_begin(struct adapter *adapter, uint64_t life);
/* Commands that wait are answered: E_CLOSED. */
void adapter_leave(struct adapter *adapter);

/* The driver's. */
MUST_CHECK int64_t adapter_receive(struct adapter *adapter, struct command *command);
MUST_CHECK int64_t adapter_next(struct adapter *adapter, struct command *command);
bool adapter_cancel(struct adapter *adapter, uint64_t token);
