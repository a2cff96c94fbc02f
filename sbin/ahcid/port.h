/* A port of the adapter and the disk at it: found, put to work, set right again when it fails, missed when it is gone.
 *
 *     ahci_port_open(&port, ...)                  memory and registers; afterwards deadlines are to be kept
 *     ahci_port_begin(&port, now)                 looks what is there
 *     ahci_port_tick(&port, now)                  whenever port.deadline has come
 *     ahci_port_interrupt(&port, now)             whenever the adapter says so
 *     ahci_port_start(&port, request), ahci_port_send(&port)
 *
 *     SLEEPING --its turn to spin up--> LINKING --link--> WAKING --not busy--> ASKED --answer--> LIVE
 *                                        ^  ^  | 1 s        |                    |               |
 *     EMPTY <----------------------------|--|--+            +------> USELESS <---+               |
 *       | ^                              |  |                no disk; failed 3 times             |
 *       | +-- the link is gone, from anywhere                                                     |
 *       +---- a device has come ---------+  +------ a command failed or was lost, the link was away for a moment
 *
 * From every error there is one way back: the engine is stopped, after which the adapter touches no memory of requests, and the
 * link is reset (COMRESET), so that neither side remembers anything. What was under way is answered or comes again; what is started
 * meanwhile is kept in its slot and issued when the port is live. A queued command that failed takes all others with it, and the
 * adapter does not say which it was (the log that does is no better than trying): so as many as were lost go alone then, and the one that
 * fails alone is the one.
 *
 * What the adapter writes (the list's counts, the device's FIS, IDENTIFY) is distrusted; what is under way lies in slots.h. One thread. The
 * four calls of struct ahci_port_owner may start requests at once, but not begin or open ports.
 */
#pragma once

#include "lib/disk/driver.h"
#include "lib/pci/driver.h"
#include "sbin/ahcid/ahci.h"
#include "sbin/ahcid/ata.h"
#include "sbin/ahcid/command.h"
#include "sbin/ahcid/slots.h"

enum ahci_port_state {
    PORT_EMPTY,
    PORT_SLEEPING,
    PORT_LINKING,
    PORT_WAKING,
    PORT_ASKED,
    PORT_LIVE,
    PORT_USELESS,
};

struct ahci_port;

struct ahci_port_owner {
    /* There is a disk, which says port->facts: a new one, or the one that was there before. */
    void (*came)(struct ahci_port *port);
    /* Nothing answers any more. Its requests are forgotten. */
    void (*went)(struct ahci_port *port);
    /* status: as of disk_done. */
    void (*done)(struct ahci_port *port, struct disk_request *request, int64_t status);
    /* The adapter does not stop: it has to be kept from memory by other means. */
    void (*runaway)(struct ahci_port *port);
};

struct ahci_port {
    volatile void *registers;
    const struct pci_device *pci;
    const struct ahci_port_owner *owner;
    uint32_t number;
    uint32_t slots_most; /* of the adapter */
    bool queues;         /* the adapter can */
    void *own;           /* the owner's */

    struct pci_dma memory; /* list, FIS, IDENTIFY */
    struct pci_dma tables; /* a page for each slot, once there was a disk */
    enum ahci_port_state state;
    int64_t deadline;  /* of the next tick; DEADLINE_NEVER */
    int64_t patience;  /* until when this state may last */
    uint32_t failures; /* since it was live */
    bool known;        /* the owner has been told of the disk in `facts` */
    struct slots slots;
    struct ahci_work work[AHCI_SLOTS];
    uint32_t careful; /* so many requests are still to go alone */
    struct ata_facts facts;
};

/* It is stopped first: somebody may have had it before. */
MUST_CHECK int64_t ahci_port_open(struct ahci_port *port);
/* The port is looked at when its turn has come. */
void ahci_port_begin(struct ahci_port *port, int64_t turn);
void ahci_port_tick(struct ahci_port *port, int64_t now);
void ahci_port_interrupt(struct ahci_port *port, int64_t now);
static inline bool ahci_port_is_settled(const struct ahci_port *port)
{
    return port->state == PORT_EMPTY || port->state == PORT_LIVE || port->state == PORT_USELESS;
}
bool ahci_port_is_pending(const struct ahci_port *port);
/* What was under way is forgotten, without an answer. */
void ahci_port_reset(struct ahci_port *port, int64_t now);
/* -E_AGAIN: all slots are taken; others: as of ahci_command_build. */
MUST_CHECK int64_t ahci_port_start(struct ahci_port *port, struct disk_request *request);
void ahci_port_send(struct ahci_port *port);
/* The disk's cache goes to the medium; nothing else happens any more. Waits, but not for long. */
void ahci_port_finish(struct ahci_port *port);
