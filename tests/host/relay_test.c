/* The relay with threads of the host: each is a CPU with one kernel thread on it, sched_switch is a semaphore. Calls,
 * closings, cancellations, services that die; and a storm of all that in which each command must complete exactly once.
 * The clock runs SPEED times as fast as the host's, so that grace times pass soon. */
// sources: kernel/ipc/command.c kernel/ipc/accept.c kernel/ipc/port.c kernel/ipc/notify.c kernel/ipc/inherit.c
// sources: kernel/proto/file.c kernel/proto/calls.c kernel/proto/namespace.c kernel/handle.c kernel/object.c kernel/account.c
// sources: kernel/sched/wait.c kernel/vmm/heap.c kernel/vmm/frame.c kernel/vmm/ram.c kernel/vmm/fail.c
// sources: kernel/lock.c lib/base/rbtree.c tests/host/fake_arch.c
// libs: pthread
#include <pthread.h>
#include <semaphore.h>
#include <time.h>

#include "abi/errors.h"
#include "abi/ops.h"
#include "kernel/boot.h"
#include "kernel/ipc/hand_over.h"
#include "kernel/ipc/port.h"
#include "kernel/proto/file.h"
#include "kernel/proto/namespace.h"
#include "kernel/sched/return.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/timer.h"
#include "kernel/sched/wait.h"
#include "kernel/syscall.h"
#include "kernel/types.h"
#include "kernel/vmm/frame.h"
#include "kernel/vmm/heap.h"
#include "kernel/vmm/pager.h"
#include "kernel/vmm/space.h"
#include "tests/host/test.h"

#define SPEED    20u
#define MS       UINT64_C(1000000)
#define OP_COUNT 0x100u /* ONCE: counted where args[0] points */

/* --- The rest of the kernel ---------------------------------------------------------------------------------- */

struct host {
    struct thread thread;
    sem_t wake;
    struct timer *timer;
    pthread_t id;
    void (*run)(struct host *host);
    uint32_t cpu;
    uint64_t random;
};

static char bad_memory[4096]; /* what user copies fault at */

static bool bad(uaddr_t address)
{
    return address.value - (uint64_t)(uintptr_t)bad_memory < sizeof(bad_memory);
}

bool return_kick_latched(void)
{
    return false; /* nobody is kicked here */
}

uint64_t arch_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return ((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec) * SPEED;
}

/* No memory has a pager here. */
bool pager_fetch_missed(void)
{
    return false;
}

int space_fault(struct space *space, uint64_t address, unsigned access)
{
    (void)space, (void)address, (void)access;
    return 0;
}

/* No CPU has two threads. */
bool hand_over_command(struct command *command, struct request *request, struct port *port,
                       struct file *file, uint32_t wait_flags, int *woken)
{
    (void)command, (void)request, (void)port, (void)file, (void)wait_flags, (void)woken;
    return false;
}

bool hand_over_notification(struct port *port, uint64_t bits)
{
    (void)port, (void)bits;
    return false;
}

/* Nothing is kept here: kernel/ipc/kept.c wants memory objects. */
void port_drop_kept(struct port *port)
{
    (void)port;
}

static struct host *host_of(struct thread *thread)
{
    return container_of(thread, struct host, thread);
}

void sched_ready(struct thread *thread, unsigned flags)
{
    (void)flags;
    __atomic_store_n(&thread->state, THREAD_READY, __ATOMIC_RELAXED);
    sem_post(&host_of(thread)->wake);
}

void sched_switch(void)
{
    struct host *self = host_of(thread_current());

    if (self->timer) {
        uint64_t deadline = self->timer->deadline / SPEED;
        struct timespec until = {(time_t)(deadline / 1000000000u), (long)(deadline % 1000000000u)};

        if (sem_clockwait(&self->wake, CLOCK_MONOTONIC, &until)) {
            self->timer->fire(self->timer);
            sem_wait(&self->wake);
        }
    } else {
        sem_wait(&self->wake);
    }
    __atomic_store_n(&self->thread.state, THREAD_RUNNING, __ATOMIC_RELAXED);
}

void timer_start(struct timer *timer, uint64_t deadline)
{
    timer->deadline = deadline;
    host_of(thread_current())->timer = timer;
}

void timer_cancel(struct timer *timer)
{
    (void)timer;
    host_of(thread_current())->timer = NULL;
}

void sched_set_priority(struct thread *thread, uint32_t priority, uint32_t weight)
{
    (void)weight;
    __atomic_store_n(&thread->priority, priority, __ATOMIC_RELAXED);
}

int user_copy_in(void *to, uaddr_t from, size_t length)
{
    if (bad(from))
        return -E_FAULT;
    if (length)
        memcpy(to, (const void *)(uintptr_t)from.value, length);
    return 0;
}

int user_copy_out(uaddr_t to, const void *from, size_t length)
{
    if (bad(to))
        return -E_FAULT;
    if (length)
        memcpy((void *)(uintptr_t)to.value, from, length);
    return 0;
}

int user_zero(uaddr_t to, size_t length)
{
    if (bad(to))
        return -E_FAULT;
    memset((void *)(uintptr_t)to.value, 0, length);
    return 0;
}

int space_copy_from(struct space *other, uaddr_t from, uaddr_t to_here, uint64_t length,
                    uint64_t *done)
{
    (void)other;
    *done = 0;
    if (bad(from) || bad(to_here))
        return -E_FAULT;
    memcpy((void *)(uintptr_t)to_here.value, (const void *)(uintptr_t)from.value, length);
    *done = length;
    return 0;
}

int space_copy_to(struct space *other, uaddr_t to, uaddr_t from_here, uint64_t length,
                  uint64_t *done)
{
    return space_copy_from(other, from_here, to, length, done);
}

#define NO_SUCH_OBJECT(name)         \
    void name(struct object *object) \
    {                                \
        (void)object;                \
        abort();                     \
    }
NO_SUCH_OBJECT(memory_destroy)
NO_SUCH_OBJECT(thread_closed)
NO_SUCH_OBJECT(thread_destroy)
NO_SUCH_OBJECT(stream_closed)
NO_SUCH_OBJECT(stream_destroy)
NO_SUCH_OBJECT(listener_closed)
NO_SUCH_OBJECT(listener_destroy)
NO_SUCH_OBJECT(timer_object_closed)
NO_SUCH_OBJECT(timer_object_destroy)
NO_SUCH_OBJECT(resource_destroy)
NO_SUCH_OBJECT(irq_closed)
NO_SUCH_OBJECT(irq_destroy)

bool stream_only_sends(struct object *object)
{
    (void)object;
    abort();
}

struct vessel *listener_vessel(struct object *object)
{
    (void)object;
    abort();
}

/* Nothing stops here, so nobody looks for circles. */
uint32_t circles_watched;

void circle_suspect(void)
{
}

void object_touched(struct object *object)
{
    (void)object;
}

void object_given_up(struct object *object)
{
    (void)object;
}

#define HOLDS_NOTHING(name)                                                     \
    bool name(struct object *object, uint64_t *position, object_visitor *visit) \
    {                                                                           \
        (void)object, (void)position, (void)visit;                              \
        abort();                                                                \
    }
HOLDS_NOTHING(process_held)
HOLDS_NOTHING(thread_held)
HOLDS_NOTHING(port_held)
HOLDS_NOTHING(stream_held)
HOLDS_NOTHING(listener_held)

void process_closed(struct object *object)
{
    (void)object;
}

void process_destroy(struct object *object)
{
    (void)object; /* in struct instance or static */
}

int process_own_names(struct process *process, struct namespace **own)
{
    (void)process, (void)own;
    return -E_NO_PROCESS;
}

/* --- Processes and threads ------------------------------------------------------------------------------------- */

static struct namespace *names;
static struct process client;
static struct host hosts[FAKE_CPUS];

static struct space space; /* nothing is mapped in it */

static void process_begin(struct process *process)
{
    memset(process, 0, sizeof(*process));
    object_init(&process->object, OBJECT_PROCESS);
    lock_init(&process->lock, RANK_PROCESS, "process");
    list_init(&process->servers);
    list_init(&process->threads);
    process->names = names;
    process->space = &space;
    if (handle_table_new(process->account, &process->handles))
        abort();
}

/* What its last thread does. */
static void process_finish(struct process *process)
{
    port_process_gone(process);
    handle_table_clear(process->handles);
    handle_table_free(process->handles);
    process->handles = NULL;
}

static void host_enter(struct host *host)
{
    fake_cpu_enter(host->cpu);
    cpu_self()->current = &host->thread;
}

static void host_begin(struct host *host, uint32_t cpu, struct process *process)
{
    memset(host, 0, sizeof(*host));
    object_init(&host->thread.object, OBJECT_THREAD);
    lock_init(&host->thread.lock, RANK_THREAD, "thread");
    sem_init(&host->wake, 0, 0);
    host->cpu = cpu;
    host->random = cpu + 1;
    host->thread.process = process;
    host->thread.state = THREAD_RUNNING;
    host->thread.weight = WEIGHT_USUAL;
    host->thread.limit = UINT64_MAX;
    list_init(&host->thread.ripple_link);
    host->thread.cpu = cpus[cpu];
    host->thread.command = command_new(&host->thread, process);
}

static void *host_main(void *argument)
{
    struct host *host = argument;

    host_enter(host);
    host->run(host);
    return NULL;
}

static struct host *host_start(uint32_t cpu, struct process *process, void (*run)(struct host *))
{
    struct host *host = &hosts[cpu];

    host_begin(host, cpu, process);
    host->run = run;
    if (pthread_create(&host->id, NULL, host_main, host))
        abort();
    return host;
}

static void host_join(struct host *host)
{
    pthread_join(host->id, NULL);
    command_put(host->thread.command);
}

/* What user_return sees to. True: killed. */
static bool to_user(struct host *host)
{
    return __atomic_fetch_and(&host->thread.work, ~WORK_KICK, __ATOMIC_SEQ_CST) & WORK_KILL;
}

/* The test's own thread is CPU 0's, of the client. */
static handle_t begin(struct port **port)
{
    static bool started;

    if (!started) {
        started = true;
        fake_init();
        fake_ram(0x100000, 64 << 20);
        frame_init(&boot_info);
        heap_init();
    }
    if (namespace_new(&names))
        abort();
    process_begin(&client);
    host_begin(&hosts[0], 0, &client);
    host_enter(&hosts[0]);

    int64_t handle = sys_proto_create(&names->object, UADDR((uint64_t)(uintptr_t) "test"), 4);
    struct object *object;

    if (handle < 0 ||
        handle_lookup(client.handles, (handle_t)handle, OBJECT_PORT, 0, &object, NULL))
        abort();
    *port = container_of(object, struct port, object);
    return (handle_t)handle;
}

static void end(struct port *port)
{
    uint64_t files = object_count(OBJECT_FILE), ports = object_count(OBJECT_PORT);

    process_finish(&client);
    object_put(&names->object);
    object_put(&port->object);
    command_put(hosts[0].thread.command);
    CHECK_EQUAL(files - object_count(OBJECT_FILE), files);
    CHECK_EQUAL(ports - object_count(OBJECT_PORT), ports);
    CHECK_EQUAL(command_count(), 0);
    CHECK_EQUAL(binding_count(), 0);
    CHECK_EQUAL(handle_count_all(), 0);
}

/* --- Calls of the client ------------------------------------------------------------------------------------- */

static int64_t open_test(void)
{
    struct abi_open open = {
        .uri = (uint64_t)(uintptr_t) "test://x", .uri_length = 8, .flags = OPEN_READ | OPEN_WRITE};

    return sys_open(&names->object, UADDR((uint64_t)(uintptr_t)&open));
}

/* As the dispatcher does it. */
static int64_t call(handle_t handle, struct abi_command *command)
{
    struct object *object;
    int64_t error = handle_lookup(process_current()->handles, handle, OBJECT_FILE, 0, &object,
                                  &thread_current()->call_rights);

    if (error)
        return error;
    error = sys_file_call(object, UADDR((uint64_t)(uintptr_t)command));
    object_put(object);
    return error;
}

/* --- The service ----------------------------------------------------------------------------------------------- */

struct instance {
    struct process process;
    uint32_t workers; /* alive */
};

static struct port *service_port;
static uint32_t opened, closed, cancelled; /* messages */

static int64_t accept_one(struct abi_message *message, char *buffer, uint64_t size,
                          int64_t deadline)
{
    return sys_proto_accept(&service_port->object, UADDR((uint64_t)(uintptr_t)message),
                            UADDR((uint64_t)(uintptr_t)buffer), size, deadline);
}

static int64_t answer(const struct abi_message *message, int64_t status, uint64_t value)
{
    struct abi_return result = {
        .token = message->token, .status = status, .values = {value, value}};

    return sys_proto_return(&service_port->object, UADDR((uint64_t)(uintptr_t)&result));
}

/* Serves everything at once; READ answers its first argument, OP_COUNT counts. */
static void serve(struct host *host)
{
    struct instance *instance = container_of(host->thread.process, struct instance, process);
    char buffer[64];

    for (;;) {
        struct abi_message message;
        int64_t error = accept_one(&message, buffer, sizeof(buffer), DEADLINE_NEVER);

        if (to_user(host) || error == -E_CLOSED)
            break;
        if (error)
            continue;
        if (message.kind == MESSAGE_CLOSE)
            __atomic_fetch_add(&closed, 1, __ATOMIC_RELAXED);
        if (message.kind == MESSAGE_CANCEL)
            __atomic_fetch_add(&cancelled, 1, __ATOMIC_RELAXED);
        if (message.kind != MESSAGE_COMMAND)
            continue;
        if (message.op == OP_COUNT)
            __atomic_fetch_add((uint32_t *)(uintptr_t)message.args[1], 1, __ATOMIC_RELAXED);
        if (test_random(&host->random) % 16 == 0) /* to be caught at it */
            nanosleep(&(struct timespec){0, 200000}, NULL);
        if (to_user(host))
            break;
        for (uint32_t i = 0; i < message.handle_count; i++)
            (void)!handle_remove(host->thread.process->handles, message.handles[i]);
        bool taken = answer(&message, 0, message.op == OP_OPEN ? 7 : message.args[0]) == 0;
        if (message.op == OP_OPEN && taken)
            __atomic_fetch_add(&opened, 1, __ATOMIC_RELAXED);
    }
    if (__atomic_sub_fetch(&instance->workers, 1, __ATOMIC_ACQ_REL) == 0)
        process_finish(&instance->process);
}

static void instance_start(struct instance *instance, uint32_t first_cpu, uint32_t workers)
{
    process_begin(&instance->process);
    instance->workers = workers;
    for (uint32_t i = 0; i < workers; i++)
        host_start(first_cpu + i, &instance->process, serve);
}

static void instance_kill(uint32_t first_cpu, uint32_t workers)
{
    for (uint32_t i = 0; i < workers; i++)
        thread_post_work(&hosts[first_cpu + i].thread, WORK_KILL);
    for (uint32_t i = 0; i < workers; i++)
        host_join(&hosts[first_cpu + i]);
}

/* --- Tests -------------------------------------------------------------------------------------------------------- */

TEST(a_call_is_answered)
{
    static struct instance instance;
    struct abi_command command = {.op = OP_READ, .args = {42}};

    begin(&service_port);
    opened = closed = 0;
    instance_start(&instance, 1, 1);
    int64_t file = open_test();
    CHECK(file > 0);
    CHECK_EQUAL(call((handle_t)file, &command), 0);
    CHECK_EQUAL(command.values[0], 42);
    CHECK_EQUAL(handle_remove(client.handles, (handle_t)file), 0);
    while (!__atomic_load_n(&closed, __ATOMIC_RELAXED))
        fake_yield();
    instance_kill(1, 1);
    CHECK_EQUAL(opened, 1);
    CHECK_EQUAL(closed, 1);
    end(service_port);
}

static handle_t shared_file;
static int64_t shared_result;

static void read_shared(struct host *host)
{
    struct abi_command command = {.op = OP_READ, .args = {5}};

    (void)host;
    shared_result = call(shared_file, &command);
}

/* This thread is the service of its own process. */
TEST(a_close_waits_for_calls_under_way)
{
    struct abi_message message;
    struct host *caller;
    char buffer[64];

    begin(&service_port);
    struct file *file;
    object_get(&service_port->object); /* the file's */
    CHECK_EQUAL(file_new(service_port, "x", 1, 0, 0, &file), 0);
    struct server *server;
    CHECK_EQUAL(server_get(service_port, &client, &server), 0);
    lock_acquire(&service_port->lock);
    file_opened(file, server, (uint64_t[3]){9, 0, 0});
    lock_release(&service_port->lock);
    shared_file = (handle_t)handle_return(&file->object, RIGHT_ALL);
    caller = host_start(1, &client, read_shared);
    CHECK_EQUAL(accept_one(&message, buffer, sizeof(buffer), DEADLINE_NEVER), 0);
    CHECK_EQUAL(message.kind, MESSAGE_COMMAND);
    CHECK_EQUAL(handle_remove(client.handles, shared_file), 0);
    struct abi_message other;
    CHECK_EQUAL(accept_one(&other, buffer, sizeof(buffer), DEADLINE_NOW), -E_AGAIN);
    CHECK_EQUAL(answer(&message, 0, 1), 0);
    CHECK_EQUAL(answer(&message, 0, 1), -E_CANCELLED);
    host_join(caller);
    CHECK_EQUAL(shared_result, 0);
    CHECK_EQUAL(accept_one(&other, buffer, sizeof(buffer), DEADLINE_NOW), 0);
    CHECK_EQUAL(other.kind, MESSAGE_CLOSE);
    CHECK_EQUAL(other.cookie, 9);
    end(service_port);
}

TEST(nobody_serves_for_the_grace_time)
{
    uint64_t start = arch_clock();

    begin(&service_port);
    CHECK_EQUAL(open_test(), -E_SERVICE_DOWN);
    CHECK(arch_clock() - start >= PORT_GRACE_NS);
    end(service_port);
}

static int64_t path_call(struct abi_path_call *path)
{
    path->uri = (uint64_t)(uintptr_t) "test://x";
    path->uri_length = 8;
    return sys_path_call(&names->object, UADDR((uint64_t)(uintptr_t)path));
}

static void send_port(struct host *host)
{
    struct abi_path_call path = {
        .command = {.op = OP_COUNT, .send = {shared_file}, .send_count = 1}};

    (void)host;
    shared_result = path_call(&path);
}

/* The message cannot be written: the handle comes back into the command, and the next accept has both. */
TEST(a_bad_message_buffer_loses_nothing)
{
    struct abi_message message;
    struct process service;
    struct port *other;
    char buffer[64];

    begin(&service_port);
    shared_file = (handle_t)sys_proto_create(&names->object, UADDR(0), 0);
    process_begin(&service);
    struct host *caller = host_start(1, &client, send_port);
    hosts[0].thread.process = &service;
    int64_t error;
    do
        error = accept_one((struct abi_message *)bad_memory, buffer, sizeof(buffer), DEADLINE_NOW);
    while (error == -E_AGAIN);
    CHECK_EQUAL(error, -E_FAULT);
    CHECK_EQUAL(service.handles->count, 0);
    CHECK_EQUAL(accept_one(&message, buffer, sizeof(buffer), DEADLINE_NEVER), 0);
    CHECK_EQUAL(message.handle_count, 1);
    CHECK_EQUAL(handle_lookup(service.handles, message.handles[0], OBJECT_PORT, 0,
                              (struct object **)&other, NULL),
                0);
    object_put(&other->object);
    CHECK_EQUAL(answer(&message, 0, 0), 0);
    host_join(caller);
    CHECK_EQUAL(shared_result, 0);
    process_finish(&service);
    hosts[0].thread.process = &client;
    end(service_port);
}

/* --- The storm: clients, kicks, deadlines, two instances that are killed again and again ----------------------------- */

#define CLIENTS 3u
#define WORKERS 2u
#define SECONDS 2u

static bool storm;
static char storm_error[128];

static void storm_fail(const char *what, int64_t status)
{
    snprintf(storm_error, sizeof(storm_error), "%s: %" PRId64, what, status);
    __atomic_store_n(&storm, false, __ATOMIC_RELAXED);
}

static bool excused(int64_t status)
{
    return status == -E_INTERRUPTED || status == -E_TIMED_OUT || status == -E_SERVICE_DOWN;
}

static void storm_client(struct host *host)
{
    int64_t file = -1;

    while (__atomic_load_n(&storm, __ATOMIC_RELAXED)) {
        uint64_t random = test_random(&host->random);
        bool once = random % 4 == 0;
        static __thread uint32_t counts[64]; /* late services may still count */
        uint32_t *count = &counts[random >> 8 & 63],
                 before = __atomic_load_n(count, __ATOMIC_RELAXED);
        struct abi_command command = {.op = once ? OP_COUNT : OP_READ,
                                      .args = {random, (uint64_t)(uintptr_t)count}};

        to_user(host);
        if (file <= 0) {
            file = open_test();
            if (file <= 0 && !excused(file))
                storm_fail("open", file);
            continue;
        }
        if (random % 7 == 0)
            command.deadline = (int64_t)(arch_clock() + random / 7 % (2 * MS * SPEED));
        int64_t status = call((handle_t)file, &command);
        uint32_t done = __atomic_load_n(count, __ATOMIC_RELAXED) - before;

        if (status == 0 && command.values[0] != random)
            storm_fail("an answer for another call", 0);
        if (once && (status == 0 ? done != 1 : done > 1))
            storm_fail("not exactly once", done);
        if (status && !excused(status) && !(once && status == -E_RESTARTED))
            storm_fail("call", status);
        if (random % 31 == 0) {
            (void)!handle_remove(client.handles, (handle_t)file);
            file = -1;
        }
    }
    if (file > 0)
        (void)!handle_remove(client.handles, (handle_t)file);
}

TEST(a_storm_completes_each_command_once)
{
    static struct instance instances[2];
    uint64_t random = 99;

    begin(&service_port);
    opened = closed = cancelled = 0;
    storm_error[0] = 0;
    storm = true;
    instance_start(&instances[0], 1, WORKERS);
    instance_start(&instances[1], 1 + WORKERS, WORKERS);
    for (uint32_t i = 0; i < CLIENTS; i++)
        host_start(1 + 2 * WORKERS + i, &client, storm_client);

    uint64_t stop = arch_clock() + SECONDS * 1000 * MS * SPEED;

    while (arch_clock() < stop && __atomic_load_n(&storm, __ATOMIC_RELAXED)) {
        nanosleep(&(struct timespec){0, 1000000}, NULL);
        uint32_t which = (uint32_t)(test_random(&random) % 8);

        if (which < CLIENTS)
            thread_post_work(&hosts[1 + 2 * WORKERS + which].thread, WORK_KICK);
        if (which >= 6) {
            uint32_t first = which == 6 ? 1 : 1 + WORKERS;

            instance_kill(first, WORKERS);
            instance_start(&instances[which - 6], first, WORKERS);
        }
    }
    storm = false;
    for (uint32_t i = 0; i < CLIENTS; i++)
        host_join(&hosts[1 + 2 * WORKERS + i]);
    instance_kill(1, WORKERS);
    instance_kill(1 + WORKERS, WORKERS);
    CHECK_STRING(storm_error, "");
    CHECK(opened > 0);
    end(service_port);
}
