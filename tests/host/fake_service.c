/* See fake_service.h. */
#include "tests/host/fake_service.h"

#include <stdlib.h>
#include <string.h>

#include "kernel/handle.h"
#include "kernel/sched/sched.h"

struct fake_service service;

uint8_t service_data[64];

static struct abi_return service_command(void)
{
    const struct abi_message *message = &service.last;
    struct abi_return result = {.token = message->token};

    service.commands++;
    if (message->op == OP_OPEN) {
        result.values[0] = COOKIE;
        result.values[1] = HANDLE_FLAG_SEEKABLE;
        return result;
    }
    result.status = service.status;
    result.values[0] = message->args[0] + 1;
    result.values[1] = message->args[1] + 1;
    result.values[2] = message->args[2] + message->args[3];
    result.data = USER(service_data);
    result.data_length = service.data_length;
    if (service.before)
        service.before(message);
    return result;
}

static struct abi_return service_took(int64_t accepted)
{
    const struct abi_return nothing = {0};

    service.accepted = accepted;
    service.interrupted += accepted == -E_INTERRUPTED;
    service.timed_out += accepted == -E_TIMED_OUT;
    if (accepted < 0)
        return nothing;
    switch (service.last.kind) {
    case MESSAGE_COMMAND:
        return service_command();
    case MESSAGE_CANCEL:
        service.cancels++;
        break;
    case MESSAGE_CLOSE:
        service.closes++;
        break;
    default:
        service.notes++;
    }
    return nothing;
}

void worker(uint64_t port)
{
    struct abi_return result = {0};

    for (;;) {
        int64_t accepted, deadline = service.patience ? (int64_t)(arch_clock() + service.patience)
                                                      : DEADLINE_NEVER;

        if (service.by_structures) {
            if (result.token)
                user_complete((int64_t)port, &result);
            accepted = user_accept((int64_t)port, &service.last, service.buffer,
                                   sizeof(service.buffer), deadline);
        } else {
            accepted = user_return_accept((int64_t)port, &result, &service.last, service.buffer,
                                          sizeof(service.buffer), deadline);
        }
        if (accepted == -E_CLOSED)
            return;
        result = service_took(accepted);
    }
}

void service_start(uint64_t cpu)
{
    handle_t handle;

    service.process = user_process();
    object_handle_get(&service.object->object);
    if (handle_install(service.process->handles, &service.object->object, RIGHT_ALL, &handle))
        abort();
    service.thread = user_thread(service.process, worker, (uint64_t)handle, cpu);
    user_sleep(MS); /* it waits in accept now */
}

void service_end(void)
{
    process_end(service.process, 0);
    user_sleep(MS);
    object_put(&service.thread->object);
    object_put(&service.process->object);
}

/* --- The client: the root itself ------------------------------------------------------------------------------------ */

int64_t opened;
uint64_t values[3];
handle_t received;

int64_t call(uint32_t op, uint32_t flags, uint64_t first, uint64_t third, uint64_t fourth)
{
    uint64_t args[4] = {first, 20, third, fourth};

    return user_file_call_short(opened, op, flags, args, values, &received);
}

uint32_t hand_overs_of(uint32_t op, uint32_t flags, uint64_t third, uint64_t fourth)
{
    uint32_t before = fake_hand_overs;

    EXPECT(call(op, flags, 10, third, fourth), 0);
    EXPECT(values[0], 11);
    EXPECT(values[1], 21);
    return fake_hand_overs - before;
}

static void (*scenario)(void);
static uint64_t service_cpu;

static void root(uint64_t unused)
{
    struct object *object;

    (void)unused;
    sched_set_affinity(thread_current(), HERE);
    user_point();
    memset(&service, 0, sizeof(service));
    service.port = user_protocol();
    if (handle_lookup(process_current()->handles, (handle_t)service.port, OBJECT_PORT, 0, &object,
                      NULL))
        abort();
    service.object = container_of(object, struct port, object);
    service_start(service_cpu);
    opened = user_open(OPEN_READ | OPEN_WRITE);
    scenario();
    user_close(opened);
    service_end();
    object_put(object);
}

const char *service_run(void (*client)(void), uint64_t cpu)
{
    fake_speed = 0;
    scenario = client;
    service_cpu = cpu;
    fake_cpus_run(root, 0);
    if (command_count() || handle_count_all() || object_count(OBJECT_FILE) ||
        object_count(OBJECT_PORT) || object_count(OBJECT_PROCESS) || object_count(OBJECT_NAMESPACE))
        fake_fail("commands, handles or objects are left");
    return fake_failure;
}

static void (*deed)(struct thread *client);
static struct thread *root_thread;

static void other(uint64_t unused)
{
    (void)unused;
    user_sleep(MS);
    deed(root_thread);
}

void meanwhile(void (*what)(struct thread *client))
{
    deed = what;
    root_thread = thread_current();
    object_put(&user_thread(process_current(), other, 0, THERE)->object);
}
