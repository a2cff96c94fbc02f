/* What FTDI's serial chips are told and say (their application notes AN232B-05 and AN120 for speeds; the requests are those of the D2XX
 * driver, as QEMU and Linux know them). Pure.
 *
 *     ftdi_chip(release, interface, &chip)                     which chip it is, and which of its lines
 *     ftdi_settings(&chip, before, settings, setups)           what it is told
 *     ftdi_received(&lines, bytes, length, packet, units)      what it says
 *
 * A chip that may have several lines has the line's number in the lower half of a request's index, what else is said there in the upper one. Each packet
 * from the device begins with two bytes that say how the lines are and what is wrong with what follows.
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

struct ftdi_chip {
    bool fast;    /* of the kind H: a clock of 120 MHz besides that of 48 */
    uint8_t line; /* its number, from 1 on; 0: of a chip that never has more than one */
};

/* A request to the device, without data. */
struct ftdi_setup {
    uint8_t request;
    uint16_t value, index;
};

/* By the release in the device's descriptor. -E_NOT_SUPPORTED: one that is not known. */
MUST_CHECK int64_t ftdi_chip(uint16_t release, uint8_t interface, struct ftdi_chip *chip);

/* What makes settings of those before (0: unknown); how many requests, or -E_NOT_SUPPORTED: the chip cannot be set so. */
MUST_CHECK int64_t ftdi_settings(const struct ftdi_chip *chip, uint64_t before, uint64_t settings,
                                 struct ftdi_setup setups[FTDI_REQUESTS]);

/* What came, in packets of this size but for the last: units (abi/serial.h), at most length. *lines: TTY_MODEM_* as told
 * last, UINT32_MAX at first. How many. */
size_t ftdi_received(uint32_t *lines, const uint8_t *bytes, size_t length, size_t packet,
                     uint16_t *units);
