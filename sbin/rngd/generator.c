/* libsodium's ChaCha20 and BLAKE2b. sodium_init() is not called: it asks the system for random bytes, which is
 * us; the functions used here need none of it. */
#include "sbin/rngd/generator.h"

#include <pthread.h>
#include <sodium.h>
#include <string.h>

#include "lib/sys/clock.h"
#include "lib/sys/syscall.h"

#define POOL           64u
#define RESEED_BYTES   (UINT64_C(1) << 20)
#define RESEED_TIME_NS INT64_C(60000000000)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all below */
static uint8_t pool[POOL];
static uint8_t master[GENERATOR_KEY];
static uint64_t given;
static int64_t reseeded_at;

static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];

static void hash(uint8_t *result, size_t result_length, const void *a, size_t a_length,
                 const void *b, size_t b_length)
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, result_length);
    crypto_generichash_update(&state, a, a_length);
    crypto_generichash_update(&state, b, b_length);
    crypto_generichash_final(&state, result, result_length);
    sodium_memzero(&state, sizeof(state));
}

void generator_mix(const void *bytes, size_t length)
{
    pthread_mutex_lock(&lock);
    hash(pool, POOL, pool, POOL, bytes, length);
    pthread_mutex_unlock(&lock);
}

void generator_reseed(void)
{
    pthread_mutex_lock(&lock);
    hash(master, GENERATOR_KEY, master, GENERATOR_KEY, pool, POOL);
    hash(pool, POOL, pool, POOL, "next", 4);
    given = 0;
    reseeded_at = clock_monotonic();
    pthread_mutex_unlock(&lock);
}

void generator_key(uint8_t key[GENERATOR_KEY], uint64_t count)
{
    uint8_t block[2 * GENERATOR_KEY];
    pthread_mutex_lock(&lock);
    crypto_stream_chacha20(block, sizeof(block), nonce, master);
    memcpy(master, block, GENERATOR_KEY);
    given += count;
    pthread_mutex_unlock(&lock);
    memcpy(key, block + GENERATOR_KEY, GENERATOR_KEY);
    sodium_memzero(block, sizeof(block));
}

void generator_bytes(uint8_t key[GENERATOR_KEY], uint8_t *bytes, size_t length)
{
    uint8_t next[GENERATOR_KEY];
    crypto_stream_chacha20(next, sizeof(next), nonce, key); /* block 0: the next key */
    memset(bytes, 0, length);
    crypto_stream_chacha20_xor_ic(bytes, bytes, length, nonce, 1, key); /* blocks 1.. */
    memcpy(key, next, GENERATOR_KEY);
    sodium_memzero(next, sizeof(next));
}

void generator_last(uint8_t key[GENERATOR_KEY], uint8_t *bytes, size_t length)
{
    crypto_stream_chacha20(bytes, length, nonce, key);
    sodium_memzero(key, GENERATOR_KEY);
}

bool generator_due(void)
{
    int64_t now = clock_monotonic();
    pthread_mutex_lock(&lock);
    bool due = given >= RESEED_BYTES || now - reseeded_at >= RESEED_TIME_NS;
    pthread_mutex_unlock(&lock);
    return due;
}
