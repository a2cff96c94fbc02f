/* Drivers: services that are started once for each device they drive.
 *
 *     drivers_load(service_needed)     /etc/drivers (driver_conf.h); each service it names, once
 *     drivers_watch(port)              a thread for each bus waits for its list of devices, and notifies the port
 *     drivers_found(found, listed)     ... which asks here: every device with a driver, of the lists that are new
 *
 * A bus says what there is; which driver that gets, and with what rights, is decided by files of initd's alone, so a bus can
 * start nothing that is not a driver. A list is a state, no event: it is read whole whenever it has changed, and after the
 * end of the bus's service or of initd itself once more. Nothing is started twice by that.
 *
 * Rules are read before the first thread. `lock` is of the lists on their way.
 */
#pragma once

#include "lib/sys/syscall.h"

void drivers_load(void (*service_needed)(const char *service));
void drivers_watch(handle_t port);

/* uri: "pci:///00:04.0"; resets: driver_conf.h. listed: a bus's whole list was gone through; what was not found of it is not there. */
void drivers_found(void (*found)(const char *service, const char *uri, uint64_t resets),
                   void (*listed)(const char *bus));
