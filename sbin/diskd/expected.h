/* Drivers that a diskd before this one knew: until they have shown themselves again, a name that is not known may still come.
 *
 *     expected_start(port)          what the port keeps of them
 *     expected_add(function)        a driver has shown itself, and will again
 *     expected_remove(function)     it will not
 *     expected_any()                some have not yet, and there is time
 *
 * With links_lock held.
 */
#pragma once

#include "abi/abi.h"
#include "lib/base/base.h"

void expected_start(handle_t port);
void expected_add(const char *function);
void expected_remove(const char *function);
bool expected_any(void);
/* When that is over. */
int64_t expected_deadline(void);
