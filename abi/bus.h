/* Buses: services that have devices, for which initd starts drivers (/etc/drivers). pcid is one.
 *
 * <bus>:///devices says what there is, a line each: NAME CLASS VENDOR:DEVICE RESETS and whatever it likes (sbin/initd/driver_conf.h). A
 * driver may have the one device that it was started for. initd says so without asking anybody: for as long as the driver lives
 * the bus's port keeps, under BUS_GRANT of its process, memory that begins with the device's name, terminated. A bus that comes back
 * finds it there.
 */
#pragma once

#include <stdint.h>

#define BUS_NAME_MAX 31u /* bytes of a device's name */

/* process: its id, as a command's caller. A bus keeps nothing of its own from BUS_GRANT(0) on. */
#define BUS_GRANT(process) (UINT64_C(3) << 62 | (process))
