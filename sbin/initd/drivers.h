/* Drivers: services that are started once for each device they drive.
 *
 *     drivers_load(service_needed)     /etc/drivers (driver_conf.h); each service it names, once
 *     drivers_watch(port)              a thread for each bus waits for its list of devices, and notifies the port
 *     drivers_found(...)               ... which asks here: every device with a driver, of the lists that are new, and
 *                                      whose are no longer there
 *     drivers_know(uri)                nothing is on its way that may say something else of this device
 *     driver_grant(uri, process)       the process may have that device, and no other (abi/bus.h)
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

/* Of each bus with a new list: its services, its devices, its end. uri: "pci:///00:04.0"; resets: driver_conf.h. */
void drivers_found(void (*drives)(const char *service, const char *bus),
                   void (*found)(const char *service, const char *uri, uint64_t resets),
                   void (*listed)(const char *bus));

/* False: the bus has another list, or has come back and is about to have one: a driver that is started now would be ended if that says that
 * its device was reset. A notification follows. */
bool drivers_know(const char *uri);

/* Before the process runs. Neither waits for the bus. */
MUST_CHECK int64_t driver_grant(const char *uri, handle_t process);
/* It has ended. */
void driver_grant_end(const char *uri, handle_t process);
