/* How the kernel enters a personality: foreign calls, exceptions, nested ones, kicks; with a personality of a few
 * instructions, in processes made by process_exec.
 *
 * The blob's data page says what happened. Its layout: 0: what the program stores, 0x1000: stacks; the block at BLOB_BLOCK.
 */
#include "abi/ops.h"
#include "tests/guest/blob.h"

#define CODE(name) (BLOB_TEXT + (uint64_t)(blob_##name##_at - blob_personality))

/* One blob for all: the program jumps by rdi to one of its parts. The personality is [text, text_end); its entries store
 * a word that says where it was and go on as r13 tells. r15 is BLOB_DATA from the start. Offsets in the block (0x2000): rip
 * 0, rsp 0x10, kick 0x18, frame 0x20; in a frame: rax 0x50, rip 0x88, cs 0x90, rflags 0x98, rsp 0xa0, ss 0xa8. */
extern const char blob_text_at[], blob_text_end_at[], blob_call_at[], blob_exception_at[],
    blob_kick_at[], blob_nested_at[], blob_window_at[], blob_window_end_at[];
/* Lines of assembly, as they are. */
/* clang-format off */
BLOB(personality,
     "p_program: mov $0x20000000, %r15d\n"
     "lea p_parts(%rip), %rax\n"
     "movslq (%rax, %rdi, 4), %rcx\n"
     "add %rcx, %rax\n"
     "jmp *%rax\n"
     "p_parts: .long p_foreign - p_parts, p_fault - p_parts, p_inner_fault - p_parts, p_spin - p_parts\n"
     ".long p_spin_inside - p_parts, p_asleep - p_parts, p_registers - p_parts, p_spin_window - p_parts\n"
     ".long p_waits_inside - p_parts, p_waits - p_parts\n"

     /* A foreign call; its answer comes back in rax. */
     "p_foreign: mov $39, %eax\n mov $0x1234, %ebx\n mov $0x5678, %r12d\n mov %rsp, 0x40(%r15)\n syscall\n"
     "mov %rax, 0x48(%r15)\n mov %rbx, 0x50(%r15)\n mov %r12, 0x58(%r15)\n mov %rsp, 0x60(%r15)\n" BLOB_EXIT(1)
     /* An exception in the program. */
     "p_fault: mov $0x77, %r14d\n mov 0x30(%r15), %rax\n mov (%rax), %rax\n ud2\n"
     /* A foreign call in whose answer the personality faults. */
     "p_inner_fault: mov $1, %r13d\n mov $39, %eax\n syscall\n" BLOB_EXIT(2)
     /* Runs until it is kicked. */
     "p_spin: movl $1, 0x38(%r15)\n 1: pause\n jmp 1b\n"
     /* A foreign call that the personality answers only after a kick. */
     "p_spin_inside: mov $2, %r13d\n mov $39, %eax\n syscall\n ud2\n"
     /* Asleep in a native call. */
     "p_asleep: movl $1, 0x38(%r15)\n xor %edi, %edi\n xor %esi, %esi\n"
     "movabs $0x7fffffffffffffff, %rdx\n" BLOB_CALL(0x35) "mov %rax, 0x48(%r15)\n" BLOB_EXIT(3)
     /* All registers over a foreign call. */
     "p_registers: mov $39, %eax\n mov $1, %ebx\n mov $3, %edx\n mov $4, %esi\n mov $5, %edi\n"
     "mov $6, %ebp\n mov $8, %r8d\n mov $9, %r9d\n mov $10, %r10d\n mov $3, %r13d\n mov $14, %r14d\n syscall\n"
     "mov %rdx, 0x40(%r15)\n mov %rsi, 0x48(%r15)\n mov %rdi, 0x50(%r15)\n mov %rbp, 0x58(%r15)\n"
     "mov %r8, 0x60(%r15)\n mov %r9, 0x68(%r15)\n mov %r10, 0x70(%r15)\n mov %r14, 0x78(%r15)\n"
     "mov %rbx, 0x80(%r15)\n" BLOB_EXIT(4)
     /* A foreign call that spins in the return window the first time. */
     "p_spin_window: mov $4, %r13d\n mov $39, %eax\n syscall\n" BLOB_EXIT(8)

     /* A foreign call in whose answer the personality sleeps, kicked before it does. */
     "p_waits_inside: mov $5, %r13d\n mov $39, %eax\n syscall\n ud2\n"
     /* A native call that is kicked, and the next two, up to now + 20 ms: r12. */
     "p_waits: movl $1, 0x38(%r15)\n"
     "movabs $0x7fffffffffffffff, %r12\n call p_wait\n mov %rax, 0x48(%r15)\n"
     "mov $1, %edi\n" BLOB_CALL(0x4b) "lea 20000000(%rax), %r12\n"
     "call p_wait\n mov %rax, 0x50(%r15)\n call p_wait\n mov %rax, 0x58(%r15)\n" BLOB_EXIT(9)
     /* wait_many(NULL, 0, r12) */
     "p_wait: xor %edi, %edi\n xor %esi, %esi\n mov %r12, %rdx\n" BLOB_CALL(0x35) "ret\n"

     ".globl blob_text_at, blob_call_at\nblob_text_at: blob_call_at:\n"
     "movl $1, 0x00(%r15)\n mov %rsp, 0x08(%r15)\n mov %rax, 0x10(%r15)\n"
     "cmp $1, %r13d\n je 1f\n cmp $2, %r13d\n je 2f\n cmp $4, %r13d\n je 4f\n cmp $5, %r13d\n je 6f\n jmp p_back\n"
     "1: xor %eax, %eax\n mov (%rax), %rax\n ud2\n"
     "2: movl $1, 0x38(%r15)\n 3: pause\n cmpl $0, 0x2018(%r15)\n je 3b\n" BLOB_EXIT(5)
     "4: movl $1, 0x38(%r15)\n"
     ".globl blob_window_at\nblob_window_at: incl 0x28(%r15)\n cmpl $2, 0x28(%r15)\n je p_back\n"
     "5: pause\n jmp 5b\n"
     ".globl blob_window_end_at\nblob_window_end_at:\n"
     "p_back: mov 0x2010(%r15), %rsp\n mov $0x4242, %eax\n jmp *0x2000(%r15)\n"
     ".globl blob_exception_at\nblob_exception_at: movl $2, 0x00(%r15)\n mov %rsp, 0x08(%r15)\n" BLOB_EXIT(6)
     ".globl blob_kick_at\nblob_kick_at: movl $3, 0x00(%r15)\n mov %rsp, 0x08(%r15)\n" BLOB_EXIT(7)
     /* The frame is at rdi: its rsp is the personality's. */
     ".globl blob_nested_at\nblob_nested_at: movl $4, 0x00(%r15)\n mov %rsp, 0x08(%r15)\n"
     "mov %rdi, 0x10(%r15)\n mov 0xa0(%rdi), %rsp\n jmp p_back\n"
     "6: movl $1, 0x38(%r15)\n 7: pause\n cmpl $0, 0x2018(%r15)\n je 7b\n"
     "movabs $0x7fffffffffffffff, %r12\n call i_wait\n mov %rax, 0x48(%r15)\n"
     "call i_wait\n mov %rax, 0x50(%r15)\n movl $0, 0x2018(%r15)\n"
     "mov $1, %edi\n" BLOB_CALL(0x4b) "lea 20000000(%rax), %r12\n"
     "call i_wait\n mov %rax, 0x58(%r15)\n" BLOB_EXIT(10)
     "i_wait: xor %edi, %edi\n xor %esi, %esi\n mov %r12, %rdx\n" BLOB_CALL(0x35) "ret\n"
     ".globl blob_text_end_at\nblob_text_end_at:\n");
/* clang-format on */

enum part {
    FOREIGN,
    FAULT,
    INNER_FAULT,
    SPIN,
    SPIN_INSIDE,
    ASLEEP,
    REGISTERS,
    SPIN_WINDOW,
    WAITS_INSIDE,
    WAITS,
};
enum { NOWHERE, CALL, EXCEPTION, KICK, NESTED };

static struct blob_process start(uint64_t part, bool personality)
{
    struct blob_options options = {
        .argument = part,
        .block = BLOB_BLOCK,
        .personality = {.text_start = CODE(text),
                        .text_end = CODE(text_end),
                        .window_start = CODE(window),
                        .window_end = CODE(window_end),
                        .call_entry = CODE(call),
                        .exception_entry = CODE(exception),
                        .kick_entry = CODE(kick),
                        .nested_entry = CODE(nested)},
    };

    if (!personality)
        options = (struct blob_options){.argument = part};
    options.flags = EXEC_SUSPENDED;
    return blob_start(blob_personality, blob_personality_end, &options);
}

static void resume(const struct blob_process *made)
{
    MUST(sys_thread_control(made->thread, THREAD_RESUME, 0, NULL));
}

static volatile uint64_t *words_of(const struct blob_process *made)
{
    return (volatile uint64_t *)made->data;
}

static volatile struct abi_block *block_of(const struct blob_process *made)
{
    return (volatile struct abi_block *)(made->data + (BLOB_BLOCK - BLOB_DATA));
}

static uint32_t where(const struct blob_process *made)
{
    return *(volatile uint32_t *)made->data;
}

static void wait_until_ready(const struct blob_process *made)
{
    int64_t deadline = after(PATIENCE);

    while (!*(volatile uint32_t *)(made->data + 0x38)) {
        CHECK(now() < deadline);
        sleep_for(MILLISECOND);
    }
}

static void kick(const struct blob_process *made)
{
    MUST(sys_thread_control(made->thread, THREAD_INTERRUPT, 0, NULL));
}

TEST(foreign_calls)
{
    struct blob_process made = start(FOREIGN, true);

    resume(&made);
    signal_wait(made.process, SIGNAL_EXITED);
    volatile uint64_t *words = words_of(&made);

    CHECK_EQUAL(where(&made), CALL);
    CHECK_EQUAL(words[1], BLOB_BLOCK); /* rsp */
    CHECK_EQUAL(words[2], 39);         /* rax */
    CHECK_EQUAL(block_of(&made)->rsp, words[8]);
    CHECK(block_of(&made)->rip > BLOB_TEXT && block_of(&made)->rip < CODE(text));
    CHECK(block_of(&made)->rflags & 0x200);
    CHECK_EQUAL(words[9], 0x4242);
    CHECK_EQUAL(words[10], 0x1234); /* rbx and r12 as they were */
    CHECK_EQUAL(words[11], 0x5678);
    CHECK_EQUAL(blob_end(&made), 1);
}

TEST(foreign_calls_keep_registers)
{
    static const uint64_t want[] = {3, 4, 5, 6, 8, 9, 10, 14, 1};
    struct blob_process made = start(REGISTERS, true);

    resume(&made);
    signal_wait(made.process, SIGNAL_EXITED);
    for (size_t i = 0; i < ARRAY_SIZE(want); i++)
        CHECK_EQUAL(words_of(&made)[8 + i], want[i]);
    CHECK_EQUAL(blob_end(&made), 4);
}

/* Nobody to answer: ENOSYS of Linux. */
TEST(foreign_calls_without_personality)
{
    struct blob_process made = start(FOREIGN, false);

    resume(&made);
    signal_wait(made.process, SIGNAL_EXITED);
    CHECK_EQUAL(words_of(&made)[9], -38);
    CHECK_EQUAL(where(&made), NOWHERE);
    CHECK_EQUAL(blob_end(&made), 1);
}

TEST(exceptions_in_the_program)
{
    struct blob_process made = start(FAULT, true);

    words_of(&made)[6] = 0x1234000; /* read from here */
    resume(&made);
    signal_wait(made.process, SIGNAL_EXITED);
    volatile struct abi_frame *frame = &block_of(&made)->frame;

    CHECK_EQUAL(where(&made), EXCEPTION);
    CHECK_EQUAL(words_of(&made)[1], BLOB_BLOCK);
    CHECK_EQUAL(frame->vector, 14);
    CHECK_EQUAL(frame->error & 7, 4); /* not present, read, user */
    CHECK_EQUAL(frame->address, 0x1234000);
    CHECK_EQUAL(frame->rax, 0x1234000);
    CHECK_EQUAL(frame->r14, 0x77);
    CHECK_EQUAL(frame->rsp, BLOB_BLOCK);
    CHECK(frame->rip > BLOB_TEXT && frame->rip < CODE(text));
    CHECK_EQUAL(blob_end(&made), 6);
}

/* An exception inside the personality: the frame is pushed on its own stack, and it goes on where it likes. */
TEST(exceptions_in_the_personality)
{
    struct blob_process made = start(INNER_FAULT, true);

    resume(&made);
    signal_wait(made.process, SIGNAL_EXITED);
    uint64_t at = words_of(&made)[2];

    CHECK_EQUAL(where(&made), NESTED);
    CHECK_EQUAL(words_of(&made)[1], at); /* rsp is the frame */
    CHECK_EQUAL(at % 16, 0);
    CHECK_EQUAL(at, (BLOB_BLOCK - sizeof(struct abi_frame)) & ~UINT64_C(15));
    const volatile struct abi_frame *frame =
        (const volatile struct abi_frame *)(made.data + (at - BLOB_DATA));

    CHECK_EQUAL(frame->vector, 14);
    CHECK_EQUAL(frame->address, 0);
    CHECK(frame->rip > CODE(text) && frame->rip < CODE(text_end));
    CHECK_EQUAL(blob_end(&made), 2); /* it came back to the program */
}

/* Who is told of the process's exceptions (PROCESS_EXCEPTIONS) comes first; what it passes on is the personality's. */
TEST(exceptions_passed_on)
{
    handle_t port = (handle_t)MUST(sys_proto_create(HANDLE_SELF, NULL, 0));
    struct blob_process made = start(FAULT, true);
    struct abi_return result = {.status = -E_NOT_SUPPORTED};
    struct abi_message message;

    words_of(&made)[6] = 0x1234000;
    MUST(sys_process_control(made.process, PROCESS_EXCEPTIONS, (uint64_t)port));
    resume(&made);
    MUST(sys_proto_accept(port, &message, NULL, 0, after(PATIENCE)));
    CHECK_EQUAL(message.op, OP_EXCEPTION);
    CHECK_EQUAL(message.args[1], 0x1234000);
    CHECK_EQUAL(where(&made), NOWHERE);
    result.token = message.token;
    MUST(sys_proto_return(port, &result));
    signal_wait(made.process, SIGNAL_EXITED);
    CHECK_EQUAL(where(&made), EXCEPTION);
    CHECK_EQUAL(block_of(&made)->frame.vector, 14);
    CHECK_EQUAL(block_of(&made)->frame.cause, E_FAULT);
    CHECK_EQUAL(block_of(&made)->frame.rip, message.args[2]);
    CHECK_EQUAL(blob_end(&made), 6);
    handle_drop(port);
}

/* Those inside the personality are nobody else's. */
TEST(exceptions_in_the_personality_are_its_own)
{
    handle_t port = (handle_t)MUST(sys_proto_create(HANDLE_SELF, NULL, 0));
    struct blob_process made = start(INNER_FAULT, true);

    MUST(sys_process_control(made.process, PROCESS_EXCEPTIONS, (uint64_t)port));
    resume(&made);
    signal_wait(made.process, SIGNAL_EXITED);
    CHECK_EQUAL(where(&made), NESTED);
    CHECK_EQUAL(blob_end(&made), 2);
    handle_drop(port);
}

TEST(kicks_in_the_program)
{
    struct blob_process made = start(SPIN, true);

    resume(&made);
    wait_until_ready(&made);
    kick(&made);
    signal_wait(made.process, SIGNAL_EXITED);
    CHECK_EQUAL(where(&made), KICK);
    CHECK_EQUAL(block_of(&made)->frame.vector, 0);
    CHECK(block_of(&made)->frame.rip > BLOB_TEXT && block_of(&made)->frame.rip < CODE(text));
    CHECK_EQUAL(block_of(&made)->kick, 0);
    CHECK_EQUAL(blob_end(&made), 7);
}

/* Inside the personality a kick is only noted: it sees it before it returns. */
TEST(kicks_in_the_personality)
{
    struct blob_process made = start(SPIN_INSIDE, true);

    resume(&made);
    wait_until_ready(&made);
    kick(&made);
    CHECK_EQUAL(blob_end(&made), 5); /* it left its loop by the latch */
}

/* In the return window it starts the window over, from the block. */
TEST(kicks_in_the_window)
{
    struct blob_process made = start(SPIN_WINDOW, true);

    resume(&made);
    wait_until_ready(&made);
    sleep_for(10 * MILLISECOND);
    kick(&made);
    int64_t deadline = after(PATIENCE);

    while (*(volatile uint32_t *)(made.data + 0x28) < 2) {
        CHECK(now() < deadline);
        sleep_for(MILLISECOND);
    }
    CHECK_EQUAL(block_of(&made)->kick, 1);
    CHECK_EQUAL(blob_end(&made), 8);
}

/* A kick ends a native call of the program, and is latched for the personality's next look. */
TEST(kicks_in_native_calls)
{
    struct blob_process made = start(ASLEEP, true);

    resume(&made);
    wait_until_ready(&made);
    sleep_for(20 * MILLISECOND);
    kick(&made);
    signal_wait(made.process, SIGNAL_EXITED);
    CHECK_EQUAL((int64_t)words_of(&made)[9], -E_INTERRUPTED);
    CHECK_EQUAL(block_of(&made)->kick, 1);
    CHECK_EQUAL(blob_end(&made), 3);
}

/* A kick that was latched before the personality sleeps ends that sleep, and the next, until it has looked. */
TEST(kicks_before_waits)
{
    struct blob_process made = start(WAITS_INSIDE, true);

    resume(&made);
    wait_until_ready(&made);
    kick(&made);
    signal_wait(made.process, SIGNAL_EXITED);
    CHECK_EQUAL((int64_t)words_of(&made)[9], -E_INTERRUPTED);
    CHECK_EQUAL((int64_t)words_of(&made)[10], -E_INTERRUPTED);
    CHECK_EQUAL((int64_t)words_of(&made)[11], -E_TIMED_OUT);
    CHECK_EQUAL(blob_end(&made), 10);
}

/* A program that makes native calls is told, and not for ever: at most one more wait ends. */
TEST(kicks_tell_a_program_once)
{
    struct blob_process made = start(WAITS, true);

    resume(&made);
    wait_until_ready(&made);
    sleep_for(20 * MILLISECOND);
    kick(&made);
    signal_wait(made.process, SIGNAL_EXITED);
    CHECK_EQUAL((int64_t)words_of(&made)[9], -E_INTERRUPTED);
    CHECK_EQUAL((int64_t)words_of(&made)[11], -E_TIMED_OUT);
    CHECK_EQUAL(block_of(&made)->kick, 1);
    CHECK_EQUAL(blob_end(&made), 9);
}

/* A block that cannot be written: the thread has nowhere to go on. */
TEST(bad_blocks)
{
    /* Nothing, text, nothing. */
    static const uint64_t blocks[] = {0x1000, 0x10000000, UINT64_C(0x7fffffffe000)};

    for (size_t i = 0; i < ARRAY_SIZE(blocks); i++) {
        for (uint64_t part = FOREIGN; part <= FAULT; part++) {
            struct blob_options options = {
                .argument = part,
                .block = blocks[i],
                .personality = {.text_start = CODE(text),
                                .text_end = CODE(text_end),
                                .call_entry = CODE(call),
                                .exception_entry = CODE(exception),
                                .kick_entry = CODE(kick)},
            };
            struct blob_process made = blob_start(blob_personality, blob_personality_end, &options);
            uint32_t status = blob_end(&made);

            CHECK_EQUAL(status & EXIT_EXCEPTION, EXIT_EXCEPTION);
        }
    }
}

/* Entries that lead nowhere: exceptions there come back as exceptions, and then there is an end. */
TEST(bad_entries)
{
    static const uint64_t entries[] = {0, 8, UINT64_C(0x7fffffffeff0), UINT64_C(0x123456789000)};

    for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
        struct blob_options options = {
            .argument = FAULT,
            .block = BLOB_BLOCK,
            .personality = {.text_start = entries[i] ? entries[i] - 4 : 0,
                            .text_end = entries[i] + 8,
                            .call_entry = entries[i],
                            .exception_entry = entries[i],
                            .kick_entry = entries[i],
                            .nested_entry = entries[i]},
        };
        struct blob_process made = blob_start(blob_personality, blob_personality_end, &options);
        uint32_t status = blob_end(&made);

        CHECK_EQUAL(status, EXIT_EXCEPTION | 14);
    }
}

/* Kicked as fast as it goes while it makes foreign calls: nothing is lost, nothing runs twice. */
/* Lines of assembly, as they are. */
/* clang-format off */
BLOB(counting, "mov $0x20000000, %r15d\n"
               "xor %ebx, %ebx\n"
               "1: inc %rbx\n mov %rbx, %rdi\n mov $39, %eax\n syscall\n" /* answers rdi + 1 */
               "lea 1(%rbx), %rcx\n cmp %rcx, %rax\n jne 2f\n"
               "mov %rbx, 0x40(%r15)\n cmpl $0, 0x38(%r15)\n je 1b\n" BLOB_EXIT(0)
               "2:" BLOB_EXIT(99)
               ".balign 64\n"
               ".globl counting_text\ncounting_text:\n"
               /* call entry: the answer into the block's personality part, then the window */
               "inc %rdi\n mov %rdi, 0x2100(%r15)\n"
               ".globl counting_window\ncounting_window: movl $0, 0x2018(%r15)\n mov 0x2100(%r15), %rax\n"
               "mov 0x2010(%r15), %rsp\n jmp *0x2000(%r15)\n"
               ".globl counting_window_end\ncounting_window_end:\n"
               /* kick entry: every register from the block's frame, by thread_resume */
               ".globl counting_kick\ncounting_kick: mov $0x20000000, %r15d\n lock incl 0x28(%r15)\n lea 0x2020(%r15), %rdi\n" BLOB_CALL(0x23) "ud2\n"
               ".globl counting_text_end\ncounting_text_end:\n");
/* clang-format on */
extern const char counting_text[], counting_text_end[], counting_window[], counting_window_end[],
    counting_kick[];

#define COUNTING(name) (BLOB_TEXT + (uint64_t)(counting_##name - blob_counting))

TEST(kicks_at_any_moment)
{
    struct blob_options options = {
        .block = BLOB_BLOCK,
        .personality = {.text_start = COUNTING(text),
                        .text_end = COUNTING(text_end),
                        .window_start = COUNTING(window),
                        .window_end = COUNTING(window_end),
                        .call_entry = COUNTING(text),
                        .kick_entry = COUNTING(kick)},
    };

    CHECK_EQUAL(offsetof(struct abi_block, frame) + offsetof(struct abi_frame, rip), 0xa8);
    struct blob_process made = blob_start(blob_counting, blob_counting_end, &options);
    int64_t until = after(SECOND / 2);
    volatile uint64_t *words = words_of(&made);

    while (now() < until && !signals_now(made.process, SIGNAL_EXITED)) {
        kick(&made);
        sleep_for(20000);
    }
    if (words[8] <= 100 || !*(volatile uint32_t *)(made.data + 0x28))
        FAIL("%u calls, %u kicks", (unsigned)words[8], *(volatile uint32_t *)(made.data + 0x28));
    *(volatile uint32_t *)(made.data + 0x38) = 1;
    CHECK_EQUAL(blob_end(&made), 0);
}
