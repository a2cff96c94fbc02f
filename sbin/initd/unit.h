/* The table of what is supervised: the services first, as /etc/services lists them, then a driver for each device, which come and go.
 *
 *     unit_create -----> in the table, WAITING -----> unit_forget (of drivers whose device is gone)
 *
 * Only the supervisor's thread knows it. The states and their changes: supervise.h.
 */
#pragma once

#include "lib/sys/spawn.h"
#include "lib/sys/syscall.h"
#include "sbin/initd/life.h"
#include "sbin/initd/protocol.h"
#include "sbin/initd/service_conf.h"

#define MILLISECOND INT64_C(1000000)

/* Keys of the notifications of log://'s port, with a number in the lower half. */
#define KEY_THREADS UINT64_C(0)         /* port_notify: NOTIFY_* */
#define KEY_READY   (UINT64_C(1) << 32) /* | index of the protocol */
#define KEY_EXIT    (UINT64_C(2) << 32) /* | number of the unit */
#define KEY_OWN     (UINT64_C(3) << 32) /* | ... whose own port is served */
#define KEY_KIND    (UINT64_C(0xffffffff) << 32)

enum unit_state { WAITING, STARTING, LATE, READY, PAUSED, STOPPING, ENDED };

struct unit {
    uint32_t number; /* what notifications call it; no other unit's, ever */
    struct service_conf conf;
    struct spawn_program program; /* memory HANDLE_NONE: not opened yet */
    enum unit_state state;
    handle_t process;
    bool told;       /* ... to end itself */
    bool taken_over; /* an initd before us started the process */
    int64_t due;     /* when STARTING is late, PAUSED is over, or STOPPING is */
    uint32_t entry;  /* in the roster */
    struct life life;
    handle_t port; /* its own, or HANDLE_NONE */
    uint32_t port_entry;
    char *device;    /* of a driver: URI; else NULL */
    uint64_t resets; /* what its bus said last */
    bool patient;    /* PAUSED until its bus's next list is read, but not for ever */
    bool listed;     /* the list that is being read has its device */
    bool gone;       /* it has not: the process ends, and the unit with it */
    bool
        back; /* ... but has it again, or another at its place: a new unit's, when this one has ended */
};

/* Before the first unit: where their own ports tell that they are served. */
void units_use(handle_t notify_port);

size_t unit_count(void);
/* In order; NULL behind the last. Protocols know services by their index, which stays. */
struct unit *unit_at(size_t index);
struct unit *unit_find(const char *name);
struct unit *unit_numbered(uint32_t number);

bool unit_serves(const struct unit *unit, const struct protocol *protocol);
/* Whether this is the service, or one of its drivers, which are called <service>@<device>. */
bool unit_is(const struct unit *unit, const char *service);

/* What a service's file says. False: the log says why. */
MUST_CHECK bool unit_load(const char *service, struct service_conf *conf);
/* Of a service, or of a driver for one device (its URI). NULL: the log says why. */
struct unit *unit_create(const char *service, const char *device);
/* Its process has ended, or is never to run, or is left to itself. */
void unit_process_over(struct unit *unit);
/* Its device is gone, and its process: nothing of it stays, nor what was kept with its port. Who waits there, or comes to it by
 * what he has open, gets E_NO_DEVICE. */
void unit_forget(struct unit *unit);
