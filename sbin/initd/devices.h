/* Devices come and go, and with them the units of their drivers (drivers.h). The supervisor's thread. */
#pragma once

/* After a notification of drivers_watch: the lists that are new are read. */
void devices_read(void);
