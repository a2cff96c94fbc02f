/* The driver's side of serial:// (abi/serial.h): what a line receives becomes input of a terminal, what is written there comes back.
 *
 *     serial_driver_start(&driver, "1-2:0")             waits for serial:// as long as it takes
 *     serial_driver_received(&driver, units, count)     any thread; waits while nobody reads the terminal
 *     while ((count = serial_driver_next(&driver, &work)) >= 0)       one thread
 *         ... set the line to work.order.settings, send `count` bytes, and say so:
 *         driver.in_force = ..., driver.impossible = ...; driver.sent += count;
 *     serial_driver_gone(&driver)                       the device is pulled out
 *
 * A dead outputd is waited for, and loses and doubles nothing.
 */
#pragma once

#include <pthread.h>

#include "abi/serial.h"
#include "lib/sys/syscall.h"

#define SERIAL_WORK_BYTES 1024u

struct serial_work {
    struct serial_order order;
    uint8_t bytes[SERIAL_WORK_BYTES];
};

struct serial_driver {
    char uri[64];
    pthread_mutex_t lock;
    handle_t file; /* under lock; HANDLE_NONE: to be opened */
    pthread_mutex_t receiving;
    uint64_t received;             /* under receiving: number of the next unit */
    uint64_t sent;                 /* as serial_driver_next told: number of the next byte to send */
    uint64_t in_force, impossible; /* settings; 0: none */
};

/* Not started: serial_driver_gone does nothing. */
#define SERIAL_DRIVER_NONE                                     \
    {                                                          \
        .lock = PTHREAD_MUTEX_INITIALIZER, .file = HANDLE_NONE \
    }

void serial_driver_start(struct serial_driver *driver, const char *name);

/* 0 or -E_CLOSED: the terminal is another process's now. */
MUST_CHECK int64_t serial_driver_received(struct serial_driver *driver, const uint16_t *units,
                                          size_t count);
/* How many bytes are to be sent, or -E_CLOSED. */
MUST_CHECK int64_t serial_driver_next(struct serial_driver *driver, struct serial_work *work);

void serial_driver_gone(struct serial_driver *driver);
