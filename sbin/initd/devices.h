/* Devices come and go, and with them the units of their drivers (drivers.h). The supervisor's thread.
 *
 *     listed --> a unit --listed no more--> gone: told, and given a moment --its process has ended--> forgotten
 *                                             \--listed again, meanwhile--> ... and then a new unit, with a port of its own
 */
#pragma once

#include "sbin/initd/unit.h"

/* After a notification of drivers_watch: the lists that are new are read. */
void devices_read(void);

/* The process of a unit whose device is gone has ended. */
void device_driver_ended(struct unit *unit);
