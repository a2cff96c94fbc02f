/* rngd: rng://, random bytes without end. Writing mixes the bytes in.
 *
 * Seeded before the first accept (so being ready means being seeded), from every source there is; again after
 * a mebibyte or a minute, when somebody reads, and whenever a source that a driver attached (rng:///source/<name>) brings
 * something. Two threads serve.
 */
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "lib/sys/error.h"
#include "lib/sys/service.h"
#include "lib/sys/startup.h"
#include "sbin/rngd/attached.h"
#include "sbin/rngd/generator.h"
#include "sbin/rngd/sources.h"

#define THREADS   2u
#define SEED_BITS 256u
#define PIECE     16384u
#define READ_MAX  (UINT64_C(16) << 20) /* per command; readers ask again */
#define WRITE_MAX (UINT64_C(1) << 20)

/* Cookies: the generator, the list of attached sources, and else one of them. */
#define GENERATOR 0u
#define SOURCES   1u

static _Thread_local uint8_t piece[PIECE];
static _Thread_local struct abi_stat stat_answer;

static unsigned seed(unsigned bits)
{
    struct sample sample = {.length = 0};
    sample_identity(&sample);
    sample_hardware(&sample);
    /* Jitter goes in even where hardware would be enough: nobody has to trust the CPU's generator. */
    sample_jitter(&sample, sample.bits >= bits ? 16 : bits - sample.bits);
    generator_mix(sample.bytes, sample.length);
    generator_reseed();
    sodium_memzero(&sample.bytes, sizeof(sample.bytes));
    return sample.bits;
}

static struct attached *source_of(const struct command *command)
{
    uint64_t cookie = command->message.cookie;
    return cookie > SOURCES ? (struct attached *)(uintptr_t)cookie : NULL;
}

static int64_t rng_open(void *context, struct command *command)
{
    (void)context;
    static const char folder[] = ATTACHED_FOLDER;
    const char *name;
    size_t length = command_name(command, &name);
    bool sources = command_names(command, "sources");
    if (length > strlen(folder) && memcmp(name, folder, strlen(folder)) == 0)
        return attached_open(command, name + strlen(folder), length - strlen(folder));
    if (length && !sources)
        return -E_NOT_FOUND;
    if (command->message.args[0] & OPEN_DIRECTORY)
        return -E_NOT_DIRECTORY;
    command->reply.values[0] = sources ? SOURCES : GENERATOR;
    command->reply.values[1] = HANDLE_FLAG_SILENT | (sources ? HANDLE_FLAG_SEEKABLE : 0);
    command->reply.values[2] = SIGNAL_READABLE | SIGNAL_WRITABLE;
    return 0;
}

/* Of sources only: the others are silent. */
static void rng_closed(void *context, uint64_t cookie)
{
    (void)context;
    attached_close((struct attached *)(uintptr_t)cookie);
}

static int64_t sources_read(struct command *command)
{
    return command_answer_part(command, piece, attached_list((char *)piece, PIECE));
}

/* Up to a piece travels with the return; more goes to the caller's window piece by piece. */
static int64_t rng_read(void *context, struct command *command)
{
    (void)context;
    uint8_t key[GENERATOR_KEY];
    uint64_t length = MIN(command->message.out_length, READ_MAX), done = 0;
    int64_t result = 0;
    if (source_of(command))
        return -E_INVALID;
    if (command->message.cookie == SOURCES)
        return sources_read(command);
    if (generator_due()) {
        seed(SEED_BITS);
        attached_ask();
    }
    generator_key(key, length);
    for (; length - done > PIECE; done += PIECE) {
        generator_bytes(key, piece, PIECE);
        result = sys_cmd_write(command->port, command->message.token, done, piece, PIECE);
        if (result < 0)
            break;
    }
    if (result >= 0 && done == 0) {
        generator_last(key, piece, length);
        command->reply.data = (uintptr_t)piece;
        command->reply.data_length = done = length;
    } else if (result >= 0) {
        generator_last(key, piece, length - done);
        result = sys_cmd_write(command->port, command->message.token, done, piece, length - done);
        done = length;
    }
    sodium_memzero(key, sizeof(key));
    command->reply.values[0] = done;
    return result < 0 ? result : 0;
}

static int64_t rng_write(void *context, struct command *command)
{
    (void)context;
    struct attached *source = source_of(command);
    uint64_t length = MIN(command->in_length, WRITE_MAX), done = 0;
    if (command->message.cookie == SOURCES)
        return -E_READ_ONLY;
    while (done < length) {
        int64_t count = command_read(command, done, piece, MIN(length - done, PIECE));
        if (count <= 0)
            return count < 0 ? count : -E_IO;
        generator_mix(piece, (size_t)count);
        done += (uint64_t)count;
    }
    generator_reseed();
    if (source)
        attached_wrote(source, done);
    command->reply.values[0] = done;
    return 0;
}

static int64_t rng_stat(void *context, struct command *command)
{
    (void)context;
    stat_answer = (struct abi_stat){
        .inode = 9,
        .device = 1,
        .type = FILE_CHARACTER,
        .mode = 0666,
        .links = 1,
        .block_size = PAGE_SIZE,
        .rdev = 1 << 8 | 9, /* Linux's /dev/urandom */
    };
    return command_answer(command, &stat_answer, sizeof(stat_answer));
}

static command_handler *const operations[SERVICE_OPERATIONS] = {
    [OP_OPEN] = rng_open,
    [OP_READ] = rng_read,
    [OP_WRITE] = rng_write,
    [OP_STAT] = rng_stat,
};

int main(void)
{
    struct service service = {
        .port = startup_require("port:rng"),
        .operations = operations,
        .closed = rng_closed,
    };
    unsigned present = sources_present();
    unsigned bits = seed(SEED_BITS);
    fprintf(stderr, "seeded with %u bits:%s%s jitter\n", bits,
            present & SOURCE_RDSEED ? " rdseed" : "", present & SOURCE_RDRAND ? " rdrand" : "");
    if (bits < SEED_BITS)
        fprintf(stderr, "warning: this machine has too little randomness\n");
    fprintf(stderr, "cannot serve: %s\n", error_text(service_run(&service, THREADS)));
    return 1;
}
