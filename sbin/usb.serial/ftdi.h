/* What FTDI's serial chips are told and say (their application note AN232B-05 for speeds; the requests are those of the D2XX driver,
 * as QEMU and Linux know them). Pure.
 *
 * Each packet from the device begins with two bytes that say how the lines are and what is wrong with what follows.
 */
#pragma once

#include "abi/serial.h"
#include "lib/base/base.h"

#define FTDI_REQUESTS 4u /* at most, for one change of settings */

enum ftdi_request {
    FTDI_SET_MODEM = 1,
    FTDI_SET_FLOW = 2,
    FTDI_SET_SPEED = 3,
    FTDI_SET_FORMAT = 4,
};

/* A request to the device, without data. */
struct ftdi_setup {
    uint8_t request;
    uint16_t value, index;
};

/* What makes settings of those before (0: unknown); how many requests, or -E_NOT_SUPPORTED: the chip cannot be set so. */
MUST_CHECK int64_t ftdi_settings(uint64_t before, uint64_t settings,
                                 struct ftdi_setup setups[FTDI_REQUESTS]);

/* What came, in packets of this size but for the last: units (abi/serial.h), at most length. *lines: TTY_MODEM_* as told
 * last, UINT32_MAX at first. How many. */
size_t ftdi_received(uint32_t *lines, const uint8_t *bytes, size_t length, size_t packet,
                     uint16_t *units);
