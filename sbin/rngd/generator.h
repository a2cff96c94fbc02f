/* The generator: a pool that inputs are hashed into, and a ChaCha20 key made of it.
 *
 * Fast key erasure (D. J. Bernstein, 2017): each use runs the cipher once over zeros; the first 32 bytes become
 * the next key, the rest is the output, so that what was given out cannot be computed from what is in memory
 * later. Each request gets a key of its own that way, and makes its bytes outside the lock.
 */
#pragma once

#include "lib/base/base.h"

#define GENERATOR_KEY 32u

/* Hashes bytes into the pool, which the next reseed uses. */
void generator_mix(const void *bytes, size_t length);

/* A new key out of the old one and the pool. */
void generator_reseed(void);

/* A key for one request; count: the bytes it will make, for generator_due. */
void generator_key(uint8_t key[GENERATOR_KEY], uint64_t count);

/* The next bytes of a request's key, which moves on; generator_last follows. */
void generator_bytes(uint8_t key[GENERATOR_KEY], uint8_t *bytes, size_t length);

/* The request's last bytes: the key is used up and wiped, which saves the block its successor would take. */
void generator_last(uint8_t key[GENERATOR_KEY], uint8_t *bytes, size_t length);

/* Whether so much was given out, or so much time passed, that new entropy should go in. */
bool generator_due(void);
