/* A service with one worker, told by its client how to answer, and that client: for tests of the relay's roads, with each thread on a CPU
 * of the test's choice and the clock standing still, so that what happens is the same each time.
 *
 *     static void client(void) { ... EXPECT(call(OP_READ, 0, 1, 2, 3), 0); ... }
 *     TEST(name) { play(client, HERE); }
 */
#pragma once

#include <inttypes.h>

#include "kernel/ipc/port.h"
#include "tests/host/fake_user.h"

#define MS       UINT64_C(1000000)
#define HERE     0x1u /* CPU 0: the client's */
#define THERE    0x2u
#define COOKIE   77u
#define OP_ONCE_ (OP_PROTOCOL + 0u)

/* In programs: the run goes on, and the test fails afterwards. */
#define EXPECT(got, want)                                                                      \
    do {                                                                                       \
        int64_t expect_got = (int64_t)(got), expect_want = (int64_t)(want);                    \
        if (expect_got != expect_want)                                                         \
            fake_fail("line %d: %s is %" PRId64 ", want %" PRId64, __LINE__, #got, expect_got, \
                      expect_want);                                                            \
    } while (0)

extern struct fake_service {
    struct process *process; /* NULL: the root's own */
    struct thread *thread;
    int64_t port;
    struct port *object;

    /* how it answers */
    int64_t status;
    uint64_t data_length;
    uint64_t patience;  /* of its accepts; 0: for ever */
    bool by_structures; /* proto_return, proto_accept */
    void (*before)(const struct abi_message *message);

    /* what came */
    struct abi_message last;
    uint8_t buffer[64];
    int64_t accepted; /* of it: 1 in registers, 0 in memory */
    uint32_t commands, cancels, closes, notes, interrupted, timed_out;
} service;
extern uint8_t service_data[64];

/* Its worker: accepts on the port with this number in its process, answers, and so on until the port is closed. */
void worker(uint64_t port);
void service_start(uint64_t cpu);
void service_end(void);

/* The client is the process's first thread, with a file of the service's. */
extern int64_t opened;
extern uint64_t values[3];
extern handle_t received;
int64_t call(uint32_t op, uint32_t flags, uint64_t first, uint64_t third, uint64_t fourth);
/* Of a call that succeeds. */
uint32_t hand_overs_of(uint32_t op, uint32_t flags, uint64_t third, uint64_t fourth);
/* Runs the client with the service on CPUs of this mask; nothing is left afterwards. The first failure. */
const char *service_run(void (*client)(void), uint64_t cpu);
#define play(client, cpu) CHECK_STRING(service_run((client), (cpu)), "")
/* What somebody else does while the client waits: after a while, in which everybody has come to rest. */
void meanwhile(void (*what)(struct thread *client));
