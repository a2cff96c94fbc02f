/* PROCESS_EXCEPTIONS and OP_EXCEPTION: a process that is told of another's CPU exceptions, reads and writes its registers and
 * memory, and says how it goes on. */
#include "tests/guest/protocol.h"

enum { DEBUG_TRAP = 1, BREAKPOINT = 3, INVALID_OPCODE = 6, PROTECTION = 13, PAGE_FAULT = 14 };

#define UD2_LENGTH UINT64_C(2)
#define TRAP_FLAG  UINT64_C(0x100)

/* Told of helper's exceptions: the caller, by this port. */
static handle_t debug(const struct helper *helper)
{
    handle_t port = (handle_t)MUST(sys_proto_create(HANDLE_SELF, NULL, 0));

    CHECK_ERROR(sys_proto_accept(port, &(struct abi_message){0}, NULL, 0, DEADLINE_NOW), AGAIN);
    MUST(sys_process_control(helper->process, PROCESS_EXCEPTIONS, (uint64_t)port));
    return port;
}

static struct helper *debugged(void (*run)(void *), void *argument, handle_t *port)
{
    struct helper *helper = helper_process_suspended(run, argument);

    *port = debug(helper);
    return helper_resume(helper);
}

static struct abi_message told(handle_t port, uint32_t vector)
{
    struct abi_message message = accept_op(port, OP_EXCEPTION);

    CHECK_EQUAL((uint32_t)message.args[0], vector);
    return message;
}

static struct abi_frame registers_of(handle_t port, const struct abi_message *message)
{
    struct abi_frame frame;

    CHECK_EQUAL(sys_cmd_read(port, message->token, 0, &frame, sizeof(frame)), sizeof(frame));
    return frame;
}

static void go_on_with(handle_t port, const struct abi_message *message,
                       const struct abi_frame *frame)
{
    struct abi_return result = {
        .token = message->token, .data = (uintptr_t)frame, .data_length = sizeof(*frame)};

    MUST(sys_proto_return(port, &result));
}

static void go_on_at(handle_t port, const struct abi_message *message, uint64_t rip)
{
    MUST(return_status(port, message->token, 0, rip));
}

static void pass_on(handle_t port, const struct abi_message *message)
{
    MUST(return_status(port, message->token, -E_NOT_SUPPORTED, 0));
}

static void raise_one(void *argument)
{
    (void)argument;
    __asm__ volatile("ud2" : : : "memory");
}

TEST(goes_on_behind_the_instruction)
{
    handle_t port;
    struct helper *helper = debugged(raise_one, NULL, &port);
    struct abi_message message = told(port, INVALID_OPCODE);

    CHECK_EQUAL(message.caller, helper->id);
    CHECK_EQUAL(message.args[0] >> 32, 0);
    CHECK_EQUAL(message.args[1], 0);
    CHECK_EQUAL(message.args[3], MUST(sys_thread_control(helper->thread, THREAD_ID, 0, NULL)));
    CHECK_EQUAL(message.in_length, sizeof(struct abi_frame));
    CHECK_EQUAL(message.out_length, sizeof(struct abi_frame));
    CHECK_EQUAL(message.file, 0);
    go_on_at(port, &message, message.args[2] + UD2_LENGTH);
    helper_join(helper);
    handle_drop(port);
}

/* Many, by the register call: the CPU is handed to and fro. */
static void raise_many(void *argument)
{
    for (uintptr_t i = 0; i < (uintptr_t)argument; i++)
        raise_one(NULL);
}

TEST(a_thousand)
{
    enum { COUNT = 1000 };
    handle_t port;
    struct helper *helper = debugged(raise_many, (void *)(uintptr_t)COUNT, &port);
    struct abi_message message = told(port, INVALID_OPCODE);
    struct abi_return result = {.token = message.token, .values = {message.args[2] + UD2_LENGTH}};
    struct abi_frame frame;

    for (int i = 1; i < COUNT; i++) {
        MUST(sys_proto_return_accept(port, &result, &message, i % 2 ? &frame : NULL,
                                     i % 2 ? sizeof(frame) : 0, DEADLINE_NEVER));
        CHECK_EQUAL(message.op, OP_EXCEPTION);
        if (i % 2) {
            CHECK_EQUAL(message.data_length, sizeof(frame));
            CHECK_EQUAL(frame.rip, message.args[2]);
            CHECK_EQUAL(frame.vector, INVALID_OPCODE);
        }
        result.token = message.token;
    }
    MUST(sys_proto_return(port, &result));
    helper_join(helper);
    handle_drop(port);
}

/* --- Registers ----------------------------------------------------------------------------------------------- */

/* rbx and r15 come back changed, everything a program may not choose as it was. */
static void check_registers(void *argument)
{
    uint64_t rbx = 0x1234, r15 = 0xfedc, flags = 0, segments = 0;

    (void)argument;
    __asm__ volatile(
        "mov %[rbx], %%rbx\n mov %[r15], %%r15\n"
        "ud2\n"
        "mov %%rbx, %[rbx]\n mov %%r15, %[r15]\n"
        "pushfq\n pop %[flags]\n"
        "mov %%cs, %k[segments]"
        : [rbx] "+r"(rbx), [r15] "+r"(r15), [flags] "=&r"(flags), [segments] "+&r"(segments)
        :
        : "rbx", "r15", "memory", "cc");
    CHECK_EQUAL(rbx, 0x5678);
    CHECK_EQUAL(r15, 0xba98);
    CHECK_EQUAL(segments & 3, 3);
    CHECK_EQUAL(flags & 0x23200, 0x200); /* no I/O privilege, interrupts on, no virtual 8086 */
}

TEST(registers_at_accept_and_return)
{
    handle_t port;
    struct helper *helper = debugged(check_registers, NULL, &port);
    struct abi_frame frame;
    struct abi_message message = accept_with(port, &frame, sizeof(frame));

    CHECK_EQUAL(message.op, OP_EXCEPTION);
    CHECK_EQUAL(message.data_length, sizeof(frame));
    CHECK_EQUAL(frame.rbx, 0x1234);
    CHECK_EQUAL(frame.r15, 0xfedc);
    CHECK_EQUAL(frame.rip, message.args[2]);
    frame.rbx = 0x5678;
    frame.r15 = 0xba98;
    frame.rip += UD2_LENGTH;
    frame.cs = 0x08;
    frame.ss = 0x10;
    frame.rflags = (frame.rflags & ~UINT64_C(0x200)) | 0x3000 | 0x20000 | 0x100000;
    frame.cause = frame.address = frame.vector = UINT64_MAX;
    go_on_with(port, &message, &frame);
    helper_join(helper);
    handle_drop(port);
}

TEST(registers_in_pieces)
{
    handle_t port;
    struct helper *helper = debugged(check_registers, NULL, &port);
    struct abi_message message = told(port, INVALID_OPCODE);
    uint64_t value;

    CHECK_EQUAL(sys_cmd_read(port, message.token, offsetof(struct abi_frame, rbx), &value, 8), 8);
    CHECK_EQUAL(value, 0x1234);
    value = 0x5678;
    CHECK_EQUAL(sys_cmd_write(port, message.token, offsetof(struct abi_frame, rbx), &value, 8), 8);
    value = 0xba98;
    CHECK_EQUAL(sys_cmd_write(port, message.token, offsetof(struct abi_frame, r15), &value, 8), 8);
    CHECK_ERROR(sys_cmd_write(port, message.token, 0, (void *)16, 8), FAULT);
    CHECK_ERROR(sys_cmd_read(port, message.token, 0, (void *)16, 8), FAULT);
    CHECK_EQUAL(sys_cmd_read(port, message.token, sizeof(struct abi_frame) - 4, &value, 8), 4);
    CHECK_EQUAL(sys_cmd_read(port, message.token, sizeof(struct abi_frame), &value, 8), 0);
    CHECK_EQUAL(sys_cmd_write(port, message.token, PAGE_SIZE - 1, &value, 1), 0);
    go_on_at(port, &message, message.args[2] + UD2_LENGTH);
    helper_join(helper);
    handle_drop(port);
}

/* --- Memory -------------------------------------------------------------------------------------------------- */

static volatile uint64_t word = 1;

static void check_word(void *argument)
{
    (void)argument;
    word = 2;
    raise_one(NULL);
    CHECK_EQUAL(word, 3);
}

TEST(memory)
{
    handle_t port;
    struct helper *helper = debugged(check_word, NULL, &port);
    struct abi_message message = told(port, INVALID_OPCODE);
    uint64_t address = (uintptr_t)&word, value = 0;
    uint16_t code = 0;

    CHECK_EQUAL(sys_cmd_read(port, message.token, address, &value, 8), 8);
    CHECK_EQUAL(value, 2);
    CHECK_EQUAL(word, 1);
    value = 3;
    CHECK_EQUAL(sys_cmd_write(port, message.token, address, &value, 8), 8);
    CHECK_EQUAL(sys_cmd_read(port, message.token, message.args[2], &code, 2), 2);
    CHECK_EQUAL(code, 0x0b0f);                                                         /* ud2 */
    CHECK_ERROR(sys_cmd_write(port, message.token, message.args[2], &code, 2), FAULT); /* text */
    CHECK_ERROR(sys_cmd_read(port, message.token, PAGE_SIZE, &value, 8), FAULT);
    CHECK_ERROR(sys_cmd_read(port, message.token, address, (void *)16, 8), FAULT);
    CHECK_EQUAL(sys_cmd_read(port, message.token, UINT64_C(0x7ffffffff000), &value, 8), 0);
    CHECK_EQUAL(sys_cmd_read(port, message.token, UINT64_C(0xffffffff80100000), &value, 8), 0);
    CHECK_EQUAL(sys_cmd_write(port, message.token, UINT64_C(0xffff800000000000), &value, 8), 0);
    CHECK_EQUAL(sys_cmd_read(port, message.token, UINT64_MAX, &value, 8), 0);
    go_on_at(port, &message, message.args[2] + UD2_LENGTH);
    helper_join(helper);
    handle_drop(port);
}

#define HOLE UINT64_C(0x300000000000)

static void read_hole(void *argument)
{
    (void)argument;
    CHECK_EQUAL(*(volatile uint64_t *)HOLE, 0);
}

/* A page fault is repaired and tried again. */
TEST(page_fault)
{
    handle_t port;
    struct helper *helper = debugged(read_hole, NULL, &port);
    struct abi_message message = told(port, PAGE_FAULT);
    struct abi_frame frame = registers_of(port, &message);
    struct abi_map map = {.address = HOLE,
                          .length = PAGE_SIZE,
                          .memory = HANDLE_NONE,
                          .protection = PROT_READ_ | PROT_WRITE_,
                          .flags = MAP_FIXED_};

    CHECK_EQUAL(message.args[1], HOLE);
    CHECK_EQUAL(message.args[0] >> 32, 4); /* by user mode */
    CHECK_EQUAL(frame.address, HOLE);
    CHECK_EQUAL(frame.cause, E_FAULT);
    MUST(sys_space_map(helper->process, &map));
    go_on_at(port, &message, 0);
    helper_join(helper);
    handle_drop(port);
}

/* --- Breakpoints and steps ------------------------------------------------------------------------------------- */

__attribute__((noinline)) static uint64_t stopped_at(uint64_t value)
{
    __asm__ volatile("nop; nop; nop" : "+r"(value));
    return value + 1;
}

static void run_into_it(void *argument)
{
    (void)argument;
    raise_one(NULL); /* for the debugger to set the breakpoint */
    CHECK_EQUAL(stopped_at(4), 5);
    CHECK_EQUAL(stopped_at(5), 6);
}

static uint8_t plant(handle_t port, const struct abi_message *message, uint64_t at, uint8_t byte)
{
    uint8_t old;

    CHECK_EQUAL(sys_cmd_read(port, message->token, at, &old, 1), 1);
    CHECK_EQUAL(sys_cmd_write(port, message->token, at, &byte, 1), 1);
    return old;
}

static void protect(const struct helper *helper, uint64_t at, uint32_t protection)
{
    MUST(sys_space_protect(helper->process, ALIGN_DOWN(at, (uint64_t)PAGE_SIZE), PAGE_SIZE,
                           protection));
}

/* As a debugger does it: the byte back, one step, and the breakpoint again. */
TEST(breakpoint)
{
    handle_t port;
    struct helper *helper = debugged(run_into_it, NULL, &port);
    struct abi_message message = told(port, INVALID_OPCODE);
    uint64_t at = (uintptr_t)stopped_at;
    const uint8_t int3 = 0xcc;

    protect(helper, at, PROT_READ_ | PROT_WRITE_);
    uint8_t first = plant(port, &message, at, int3);
    protect(helper, at, PROT_READ_ | PROT_EXECUTE_);
    go_on_at(port, &message, message.args[2] + UD2_LENGTH);
    for (int i = 0; i < 2; i++) {
        message = told(port, BREAKPOINT);
        CHECK_EQUAL(message.args[2], at + 1);

        struct abi_frame frame = registers_of(port, &message);

        CHECK_EQUAL(frame.rdi, 4 + i);
        protect(helper, at, PROT_READ_ | PROT_WRITE_);
        CHECK_EQUAL(plant(port, &message, at, first), int3);
        protect(helper, at, PROT_READ_ | PROT_EXECUTE_);
        frame.rip = at;
        frame.rflags |= TRAP_FLAG;
        go_on_with(port, &message, &frame);

        message = told(port, DEBUG_TRAP);
        CHECK(message.args[2] > at && message.args[2] < at + 16);
        frame = registers_of(port, &message);
        protect(helper, at, PROT_READ_ | PROT_WRITE_);
        CHECK_EQUAL(plant(port, &message, at, int3), first);
        protect(helper, at, PROT_READ_ | PROT_EXECUTE_);
        frame.rflags &= ~TRAP_FLAG;
        go_on_with(port, &message, &frame);
    }
    helper_join(helper);
    handle_drop(port);
}

static void call_between(void *argument)
{
    (void)argument;
    __asm__ volatile("ud2; nop; nop; mov $0x7050004b, %%eax; mov $1, %%edi; syscall; nop; ud2"
                     :
                     : /* clock_get in the middle of it */
                     : "rax", "rcx", "rdi", "r11", "memory", "cc");
}

/* Step by step, over a system call too: the flag does not act in the kernel and is there behind it. */
TEST(single_steps)
{
    handle_t port;
    struct helper *helper = debugged(call_between, NULL, &port);
    struct abi_message message = told(port, INVALID_OPCODE);
    struct abi_frame frame = registers_of(port, &message);
    uint64_t start = frame.rip, last = start;
    int steps = 0;

    frame.rip += UD2_LENGTH;
    frame.rflags |= TRAP_FLAG;
    go_on_with(port, &message, &frame);
    for (;;) {
        message = accept_op(port, OP_EXCEPTION);
        if ((uint32_t)message.args[0] == INVALID_OPCODE)
            break;
        CHECK(message.args[2] > last && message.args[2] < start + 32);
        last = message.args[2];
        CHECK_EQUAL((uint32_t)message.args[0], DEBUG_TRAP);
        steps++;
        go_on_at(port, &message, 0);
    }
    CHECK(steps >= 5 && steps <= 6);
    frame = registers_of(port, &message);
    CHECK((int64_t)frame.rax > 0);
    frame.rip += UD2_LENGTH;
    frame.rflags &= ~TRAP_FLAG;
    go_on_with(port, &message, &frame);
    helper_join(helper);
    handle_drop(port);
}

/* --- Who answers otherwise, or not at all ------------------------------------------------------------------------ */

TEST(passed_on)
{
    handle_t port;
    struct helper *helper = debugged(raise_one, NULL, &port);
    struct abi_message message = told(port, INVALID_OPCODE);

    pass_on(port, &message);
    CHECK_EQUAL(helper_status(helper), EXIT_EXCEPTION | INVALID_OPCODE);
    CHECK_ERROR(return_status(port, message.token, 0, 0), CANCELLED);
    handle_drop(port);
}

struct handler {
    handle_t port;
    uint32_t accepted;
};

static void accept_and_hang(void *argument)
{
    struct handler *handler = argument;

    accept_op(handler->port, OP_EXCEPTION);
    word_set(&handler->accepted, 1);
    for (;;)
        sleep_for(SECOND);
}

static struct handler *handler_new(struct helper *helper)
{
    struct handler *handler = shared(sizeof(*handler));

    handler->port = (handle_t)MUST(sys_proto_create(HANDLE_SELF, NULL, 0));
    MUST(sys_process_control(helper->process, PROCESS_EXCEPTIONS, (uint64_t)handler->port));
    return handler;
}

static void handler_end(struct handler *handler)
{
    handle_drop(handler->port);
    unshare(handler);
}

/* The next instance is told the same. */
TEST(handler_dies)
{
    struct helper *helper = helper_process_suspended(raise_one, NULL);
    struct handler *handler = handler_new(helper);
    struct helper *first = helper_process(accept_and_hang, handler);

    helper_resume(helper);
    word_wait(&handler->accepted, 1);
    helper_kill(first);

    struct abi_message message = told(handler->port, INVALID_OPCODE);

    CHECK_EQUAL(message.caller, helper->id);
    go_on_at(handler->port, &message, message.args[2] + UD2_LENGTH);
    helper_join(helper);
    handler_end(handler);
}

/* Who waits for it can be killed; what it answers then is late. */
TEST(handler_hangs)
{
    struct helper *helper = helper_process_suspended(raise_one, NULL);
    struct handler *handler = handler_new(helper);
    struct helper *hanging = helper_process(accept_and_hang, handler);

    helper_resume(helper);
    word_wait(&handler->accepted, 1);
    MUST(sys_process_kill(helper->process, 9));
    CHECK_EQUAL(helper_status(helper), 9);
    helper_kill(hanging);
    handler_end(handler);
}

TEST(killed_while_it_waits)
{
    handle_t port;
    struct helper *helper = debugged(raise_one, NULL, &port);
    struct abi_message message = told(port, INVALID_OPCODE);
    uint64_t value = 0;

    MUST(sys_process_kill(helper->process, 9));
    CHECK_EQUAL(helper_status(helper), 9);
    CHECK_ERROR(sys_cmd_read(port, message.token, 0, &value, 8), CANCELLED);
    CHECK_ERROR(sys_cmd_write(port, message.token, 0, &value, 8), CANCELLED);
    CHECK_ERROR(return_status(port, message.token, 0, 0), CANCELLED);
    handle_drop(port);
}

/* Nobody is there any more: as if nobody had been told. */
TEST(port_closes)
{
    handle_t port;
    struct helper *helper = debugged(raise_one, NULL, &port);

    told(port, INVALID_OPCODE);
    handle_drop(port);
    CHECK_EQUAL(helper_status(helper), EXIT_EXCEPTION | INVALID_OPCODE);
    helper = helper_process_suspended(raise_one, NULL);
    port = debug(helper);
    handle_drop(port);
    helper_resume(helper);
    CHECK_EQUAL(helper_status(helper), EXIT_EXCEPTION | INVALID_OPCODE);
}

/* Kicks and suspension come after the answer; its registers can be looked at meanwhile. */
TEST(kicked_and_suspended)
{
    handle_t port;
    struct helper *helper = debugged(raise_one, NULL, &port);
    struct abi_message message = told(port, INVALID_OPCODE);
    struct abi_frame frame;

    MUST(sys_thread_control(helper->thread, THREAD_INTERRUPT, 0, NULL));
    MUST(sys_process_control(helper->process, PROCESS_SUSPEND, 0));
    MUST(sys_thread_control(helper->thread, THREAD_GET_FRAME, 0, &frame));
    CHECK_EQUAL(frame.rip, message.args[2]);
    CHECK_EQUAL(frame.vector, INVALID_OPCODE);
    CHECK_ERROR(sys_proto_accept(port, &(struct abi_message){0}, NULL, 0, DEADLINE_NOW), AGAIN);
    go_on_at(port, &message, message.args[2] + UD2_LENGTH);
    sleep_for(20 * MILLISECOND);
    CHECK(!helper_ended(helper));
    MUST(sys_process_control(helper->process, PROCESS_RESUME, 0));
    helper_join(helper);
    handle_drop(port);
}

/* --- Answers that make no sense -------------------------------------------------------------------------------- */

TEST(wild_answers)
{
    static const uint64_t places[] = {UINT64_C(0xffffffff80100000), 16, UINT64_C(0x7ffffffffffe)};
    struct abi_frame wild;
    handle_t port;

    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        struct helper *helper = debugged(raise_one, NULL, &port);
        struct abi_message message = told(port, INVALID_OPCODE);

        go_on_at(port, &message, places[i]);
        message = told(port, PAGE_FAULT);
        CHECK_EQUAL(message.args[2], places[i]);
        pass_on(port, &message);
        CHECK_EQUAL(helper_status(helper), EXIT_EXCEPTION | PAGE_FAULT);
        handle_drop(port);
    }

    struct helper *helper = debugged(raise_one, NULL, &port);
    struct abi_message message = told(port, INVALID_OPCODE);

    go_on_at(port, &message, UINT64_C(0x0000800000000000)); /* nowhere a thread could be */
    CHECK_EQUAL(helper_status(helper), EXIT_EXCEPTION | PROTECTION);
    handle_drop(port);

    helper = debugged(raise_one, NULL, &port);
    message = told(port, INVALID_OPCODE);
    memset(&wild, 0xff, sizeof(wild));
    wild.rip = message.args[2];
    wild.rflags &= ~TRAP_FLAG;
    go_on_with(port, &message, &wild);
    message = told(port, INVALID_OPCODE);
    CHECK_EQUAL(registers_of(port, &message).rsp, UINT64_MAX);
    pass_on(port, &message);
    CHECK_EQUAL(helper_status(helper), EXIT_EXCEPTION | INVALID_OPCODE);
    handle_drop(port);
}

/* Handles that come with the answer are nobody's: closed. */
TEST(handles_with_the_answer)
{
    handle_t port;
    struct helper *helper = debugged(raise_one, NULL, &port);
    struct abi_message message = told(port, INVALID_OPCODE);
    struct abi_return result = {
        .token = message.token,
        .values = {message.args[2] + UD2_LENGTH},
        .handles = {(handle_t)MUST(sys_timer_create())},
        .handle_count = 1,
    };

    MUST(sys_proto_return(port, &result));
    helper_join(helper);
    handle_drop(port);
}

/* --- Whose exceptions, and who may ask ---------------------------------------------------------------------------- */

static void fork_and_raise(void *argument)
{
    struct abi_fork fork = {
        .entry = (uintptr_t)raise_one,
        .stack = (uintptr_t)argument + PAGE_SIZE - 8,
    };
    handle_t child = (handle_t)MUST(sys_process_fork(HANDLE_SELF, &fork));

    MUST(sys_thread_control(fork.thread, THREAD_RESUME, 0, NULL));
    signal_wait(child, SIGNAL_EXITED);
    CHECK_EQUAL(process_info(child).status, EXIT_EXCEPTION | INVALID_OPCODE);
}

TEST(not_of_its_children)
{
    void *stack = pages_map(1);
    handle_t port;
    struct helper *helper = debugged(fork_and_raise, stack, &port);

    helper_join(helper);
    CHECK_ERROR(sys_proto_accept(port, &(struct abi_message){0}, NULL, 0, DEADLINE_NOW), AGAIN);
    handle_drop(port);
    pages_unmap(stack, 1);
}

static void serve_itself(void *argument)
{
    handle_t port = (handle_t)MUST(sys_proto_create(HANDLE_SELF, NULL, 0));

    (void)argument;
    CHECK_ERROR(sys_proto_accept(port, &(struct abi_message){0}, NULL, 0, DEADLINE_NOW), AGAIN);
    MUST(sys_process_control(HANDLE_SELF, PROCESS_EXCEPTIONS, (uint64_t)port));
    raise_one(NULL);
}

/* It would wait for itself. */
TEST(not_told_of_its_own)
{
    CHECK_EQUAL(helper_status(helper_process(serve_itself, NULL)), EXIT_EXCEPTION | INVALID_OPCODE);
}

TEST(taken_off_and_replaced)
{
    struct helper *helper = helper_process_suspended(raise_one, NULL);
    handle_t first = debug(helper), second = debug(helper);

    helper_resume(helper);
    struct abi_message message = told(second, INVALID_OPCODE);
    CHECK_ERROR(sys_proto_accept(first, &(struct abi_message){0}, NULL, 0, DEADLINE_NOW), AGAIN);
    go_on_at(second, &message, message.args[2] + UD2_LENGTH);
    helper_join(helper);

    helper = helper_process_suspended(raise_one, NULL);
    MUST(sys_process_control(helper->process, PROCESS_EXCEPTIONS, (uint64_t)first));
    MUST(sys_process_control(helper->process, PROCESS_EXCEPTIONS, (uint64_t)HANDLE_NONE));
    helper_resume(helper);
    CHECK_EQUAL(helper_status(helper), EXIT_EXCEPTION | INVALID_OPCODE);
    handle_drop(first);
    handle_drop(second);
}

static void do_nothing(void *argument)
{
    (void)argument;
}

TEST(errors)
{
    struct helper *helper = helper_process_suspended(do_nothing, NULL);
    handle_t port = debug(helper), timer = (handle_t)MUST(sys_timer_create());
    handle_t weak_port = duplicate(port, RIGHT_SEND | RIGHT_WAIT);
    handle_t no_map = duplicate(helper->process, RIGHT_CONTROL | RIGHT_WAIT);
    handle_t no_control = duplicate(helper->process, RIGHT_MAP | RIGHT_WAIT);
    uint64_t value = (uint64_t)port;

    CHECK_ERROR(sys_process_control(helper->process, PROCESS_EXCEPTIONS, 12345678), BAD_HANDLE);
    CHECK_ERROR(sys_process_control(helper->process, PROCESS_EXCEPTIONS, value | BIT(40)),
                BAD_HANDLE);
    CHECK_ERROR(sys_process_control(helper->process, PROCESS_EXCEPTIONS, UINT32_MAX), BAD_HANDLE);
    CHECK_ERROR(sys_process_control(helper->process, PROCESS_EXCEPTIONS, (uint64_t)timer),
                WRONG_TYPE);
    CHECK_ERROR(sys_process_control(helper->process, PROCESS_EXCEPTIONS, (uint64_t)weak_port),
                ACCESS);
    CHECK_ERROR(sys_process_control(no_map, PROCESS_EXCEPTIONS, value), ACCESS);
    CHECK_ERROR(sys_process_control(no_control, PROCESS_EXCEPTIONS, value), ACCESS);
    MUST(sys_process_kill(helper->process, 0));
    signal_wait(helper->process, SIGNAL_EXITED);
    CHECK_ERROR(sys_process_control(helper->process, PROCESS_EXCEPTIONS, value), NO_PROCESS);
    CHECK_ERROR(sys_process_control(helper->process, PROCESS_EXCEPTIONS, (uint64_t)HANDLE_NONE),
                NO_PROCESS);
    CHECK_EQUAL(helper_status(helper), 0);
    handle_drop(no_map);
    handle_drop(no_control);
    handle_drop(weak_port);
    handle_drop(timer);
    handle_drop(port);
}

/* Nobody but the kernel says that there was an exception. */
TEST(only_the_kernel_sends_it)
{
    struct protocol *protocol = shared(sizeof(*protocol));

    *protocol = protocol_new();
    struct helper *server = helper_process(serve_protocol, protocol);
    handle_t file = open_uri(protocol, "test://x", OPEN_READ);

    CHECK_ERROR(call_op(file, OP_EXCEPTION), INVALID);
    handle_drop(file);
    protocol_stop(protocol);
    helper_join(server);
    protocol_end(protocol);
    unshare(protocol);
}
