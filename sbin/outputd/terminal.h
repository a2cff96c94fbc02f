/* A terminal: a line discipline, who may use it, the commands that wait for it, and its readiness.
 *
 *     device input -> terminal_input -> held reads are answered, signals sent
 *     commands -> terminal_read / write / control -> answered, or held
 *     line_output_take -> device; terminal_drained afterwards answers held writes and drains
 *
 * One thread. A held read leaves by input, a signal's flush, its time (VTIME), or cancellation, and then has
 * taken nothing. A held write counts what it wrote: cancelled, it answers that.
 *
 *     open files --terminal_hang_up--> hung up: reads end, all else is E_IO
 * happens when a pseudo terminal's other side closes, and on other devices when the session's leader ends.
 */
#pragma once

#include "lib/base/list.h"
#include "lib/sys/service.h"
#include "sbin/outputd/line.h"

/* What must survive outputd: it lies in memory kept with tty://. */
struct terminal_kept {
    uint32_t valid; /* TERMINAL_KEPT: all but the line, which is checked by itself, was written */
    int32_t session, foreground;
    struct tty_size size;
    struct tty_attributes attributes;
    struct line line; /* in use: what was typed and not read, what was written and not sent */
};

#define TERMINAL_KEPT 0x74747932u

/* Of notifications: | a session whose leader has ended. Keys below are the devices'. */
#define TERMINAL_LEADER_KEY (UINT64_C(1) << 32)

struct terminal;

/* What a terminal is on. */
struct terminal_device {
    /* There may be output to take, room for input, or other modes. Not under any call of the device's own. */
    void (*attend)(struct terminal *terminal);
    /* Controls that only this device has; NULL, or E_NOT_TERMINAL: none. */
    int64_t (*control)(struct terminal *terminal, struct command *command);
    /* A break begins or ends; NULL: there is no such thing. */
    void (*set_break)(struct terminal *terminal, bool on);
    bool outlives_session; /* files go on when the session's leader ends */
    bool sends_at_once;    /* nobody waits for what was written to be sent (tcdrain) */
};

struct terminal {
    struct list link;  /* its owner's */
    struct line *line; /* in what is kept */
    const struct terminal_device *device;
    handle_t port;
    uint64_t rdev;               /* Linux's number of it */
    int32_t session, foreground; /* 0: none */
    handle_t leader;             /* of the session, to hear of its end; HANDLE_NONE: not known */
    bool exclusive;              /* TIOCEXCL */
    bool draining;               /* terminal_drained is at work */
    struct tty_size size;
    struct list files;  /* struct terminal_file */
    struct list reads;  /* struct held */
    struct list writes; /* struct held, in order */
    struct list drains; /* struct held */
    uint32_t ready;     /* SIGNAL_* last published */
    struct terminal_kept *kept;
};

/* An open file: its address is the file's cookie. */
struct terminal_file {
    struct list link;
    struct terminal *terminal; /* NULL: hung up */
    uint64_t id;
    bool master; /* of a pseudo terminal: the other side */
    bool lost;   /* opened at an outputd before us, and not used since */
};

/* kept: what a predecessor left, or zeros. */
void terminal_init(struct terminal *terminal, handle_t port, struct terminal_kept *kept,
                   const struct terminal_device *device);
/* No file, and no command, is left at it. */
void terminal_destroy(struct terminal *terminal);

MUST_CHECK int64_t terminal_open(struct terminal *terminal, struct command *command);
/* A file that the kernel will open again, if it is used again. NULL: no memory. */
struct terminal_file *terminal_file_add(struct terminal *terminal, uint64_t id);
void terminal_close(struct terminal_file *file);
MUST_CHECK int64_t terminal_read(struct terminal *terminal, struct command *command);
MUST_CHECK int64_t terminal_write(struct terminal *terminal, struct command *command);
MUST_CHECK int64_t terminal_control(struct terminal *terminal, struct command *command);

void terminal_input(struct terminal *terminal, const uint8_t *bytes, size_t count);
void terminal_input_error(struct terminal *terminal, uint8_t byte, enum line_error error);

/* Output went to the device: there is room again. */
void terminal_drained(struct terminal *terminal);

/* The device is gone for all who have it open; its session is over. */
void terminal_hang_up(struct terminal *terminal);
/* The session's leader has ended: if it is (still) that of this session. */
void terminal_leader_ended(struct terminal *terminal, int32_t session);

/* Asks for a leader that is not known yet, and sees to the end of one whose notification is still on its way. */
void terminal_refresh(struct terminal *terminal);

/* true: one of this terminal's held commands had the token, and was returned. */
bool terminal_cancel(struct terminal *terminal, uint64_t token);

/* When something held is due (DEADLINE_NEVER: nothing is), and what to do then. */
int64_t terminal_deadline(const struct terminal *terminal);
void terminal_expire(struct terminal *terminal);
