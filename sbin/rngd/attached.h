/* Sources that drivers attach: files rng:///source/<name>.
 *
 * A source's file is SIGNAL_WRITABLE when bytes are wanted: from its opening on until some are written, and again with every
 * reseeding (generator.h). So a driver waits for that, asks its device, writes what it got, and waits again; rngd waits for none of
 * them. A source that is slow, silent or dead costs nothing, and what it brings is worth nothing by itself: it is mixed in.
 * A driver needs nothing more for surviving rngd: a file that lost its server shows itself writable. rng:///sources tells people
 * of each how many bytes it brought.
 */
#pragma once

#include "lib/sys/service.h"

#define ATTACHED_FOLDER   "source/"
#define ATTACHED_NAME_MAX 31u /* printable characters */

struct attached;

/* An open of rng:///source/<name>: the answer, with the source as its cookie. */
MUST_CHECK int64_t attached_open(struct command *command, const char *name, size_t length);
void attached_close(struct attached *attached);

/* Bytes came from it. */
void attached_wrote(struct attached *attached, uint64_t length);

/* A line for each: its name, and how many bytes it brought; as many as there is room for. The length. */
size_t attached_list(char *text, size_t size);

/* The generator was reseeded with what there was: all are asked for more. */
void attached_ask(void);
