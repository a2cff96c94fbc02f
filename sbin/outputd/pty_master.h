/* The master's side of a pseudo terminal: it reads what the terminal's programs write and types what they read. */
#pragma once

#include "sbin/outputd/terminal.h"

struct pty_kept {
    uint64_t master; /* its file's id; 0: nothing here counts */
    uint32_t locked, packet;
    uint32_t opened; /* a slave was, once */
    uint32_t reserved;
    uint64_t slaves[]; /* ids of the open files of the terminal; 0: free */
};

struct pty {
    struct terminal terminal;
    struct list link;
    uint32_t number;
    struct terminal_file master;
    struct list reads, writes; /* struct held: the master's */
    struct pty_kept *kept;
    uint32_t kept_room;      /* slaves */
    uint32_t ready;          /* the master's SIGNAL_* last published */
    uint8_t events;          /* TTY_PACKET_* not told yet */
    bool stopped, stoppable; /* as told by events */
    bool attending, again, ending;
};

extern const struct terminal_device pty_device;

uint32_t pty_master_ready(const struct pty *pty);
bool pty_master_cancel(struct pty *pty, uint64_t token);
/* Held commands of a master that is gone. */
void pty_master_leave(struct pty *pty);
