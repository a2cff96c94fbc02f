/* Names: UTF-8 outside, UTF-16 in long entries, eleven bytes in short ones.
 *
 * A name is made of 1 to 255 units. Two are the same if they differ in case only. Surrogates that have no partner are
 * read as U+FFFD, and cannot be written.
 */
#pragma once

#include "lib/fat/format.h"

#define NAME_UNITS 255u

struct name {
    uint16_t units[NAME_UNITS + 1];
    uint32_t length; /* units */
};

#define SHORT_LENGTH 11u

/* -E_INVALID, -E_TOO_LONG. Dots and spaces at the end are left out. */
MUST_CHECK int64_t name_from_utf8(struct name *name, const char *text, size_t length);
/* At most 3 bytes for a unit, terminated. */
uint32_t name_to_utf8(const struct name *name, char *text);
/* A short entry's name as people see it. */
void name_from_short(struct name *name, const struct slot *entry);
uint32_t name_hash(const struct name *name); /* the same for names that are the same */
bool name_same(const struct name *a, const struct name *b);
bool name_identical(const struct name *a, const struct name *b); /* in case too */

enum short_kind {
    SHORT_EXACT, /* it says it all, no long one is needed */
    SHORT_FITS,  /* all but the case */
    SHORT_LOSSY, /* needs a number (specification: "The Basis-Name Generation Algorithm") */
};

/* The short name of a name, or what short_number makes one of that is unlike others. */
enum short_kind short_basis(const struct name *name, char *basis);
/* The basis with "~number" at its end, number from 1 to 999,999. */
void short_number(char *text, const char *basis, uint32_t number);
uint8_t short_sum(const char *text);

/* A long name's part; order from 1. */
void long_slot(struct slot *slot, const struct name *name, uint32_t order, uint8_t sum);
uint32_t long_slots(const struct name *name); /* how many it needs */
/* Takes a part's units into the name; its length is right when order 1 was read. False: it cannot be a name's part. */
bool long_read(struct name *name, const struct slot *slot);
