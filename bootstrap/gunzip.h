/* Unpacks a gzip file (RFC 1952) of one member by libdeflate, with every size and checksum checked. */
#pragma once

#include "lib/base/base.h"

/* *data: (*length) bytes in pages of their own, given back by gunzip_free. Returns NULL, or why it failed:
 * a sentence for people. */
MUST_CHECK const char *gunzip(const uint8_t *packed, size_t packed_length, uint8_t **data,
                              size_t *length);
void gunzip_free(uint8_t *data, size_t length);
