/* What a program without a personality ends by: every exception with its vector as the status, nothing for the kernel. */
#include "tests/guest/protocol.h"

#define KERNEL_IMAGE  UINT64_C(0xffffffff80100000)
#define KERNEL_DIRECT UINT64_C(0xffff800000000000)
#define STACKS        UINT64_C(0xffffc10000000000)
#define NON_CANONICAL UINT64_C(0x0000800000000000)

enum {
    DIVIDE = 0,
    DEBUG_TRAP = 1,
    BREAKPOINT = 3,
    INVALID_OPCODE = 6,
    STACK = 12,
    PROTECTION = 13,
    PAGE_FAULT = 14,
    ALIGNMENT = 17,
    SIMD = 19
};

/* Each try is code that must not get through. */
#define TRY(name, ...)                     \
    static void try_##name(void *argument) \
    {                                      \
        (void)argument;                    \
        __asm__ volatile(__VA_ARGS__);     \
        helper_exit(0);                    \
    }

static void must_end(void (*try)(void *), uint32_t vector)
{
    CHECK_EQUAL(helper_status(helper_process(try, NULL)), EXIT_EXCEPTION | vector);
}

/* clang-format off */
TRY(divide, "xor %%edx, %%edx; mov $1, %%eax; xor %%ecx, %%ecx; div %%ecx" : : : "eax", "ecx", "edx")
TRY(breakpoint, "int3")
TRY(opcode, "ud2")
TRY(no_opcode, ".byte 0x06")
TRY(hlt, "hlt")
TRY(cli, "cli")
TRY(sti, "sti")
TRY(in_port, "in $0x64, %%al" : : : "eax")
TRY(out_port, "out %%al, $0x80" : : "a"(0))
TRY(string_out, "outsb" : : "d"(0x3f8), "S"("x"))
TRY(rdmsr, "rdmsr" : : "c"(0xc0000080) : "eax", "edx")
TRY(wrmsr, "wrmsr" : : "c"(0xc0000082), "a"(0), "d"(0))
TRY(cr0, "mov %%cr0, %%rax" : : : "rax")
TRY(cr3, "mov %0, %%cr3" : : "r"(UINT64_C(0)))
TRY(cr4, "mov %0, %%cr4" : : "r"(UINT64_C(0)))
TRY(cr8, "mov %0, %%cr8" : : "r"(UINT64_C(0)))
TRY(dr7, "mov %0, %%dr7" : : "r"(UINT64_C(0)))
TRY(clts, "clts")
TRY(lgdt, "lgdt (%0)" : : "r"(try_opcode))
TRY(lidt, "lidt (%0)" : : "r"(try_opcode))
TRY(ltr, "ltr %0" : : "r"((uint16_t)0x40))
TRY(lldt, "lldt %0" : : "r"((uint16_t)0))
TRY(invlpg, "invlpg (%0)" : : "r"(try_opcode))
TRY(wbinvd, "wbinvd")
TRY(swapgs, "swapgs")
TRY(sysret, "sysretq")
TRY(sysexit, "sysexitq")
TRY(interrupt, "int $0x20")
TRY(reschedule_interrupt, "int $0xfd")
TRY(page_fault_interrupt, "int $14")
TRY(nmi, "int $2")
TRY(double_fault, "int $8")
TRY(bad_data_segment, "mov %0, %%ds" : : "r"(0x10))
TRY(bad_segment_index, "mov %0, %%es" : : "r"(0xfff0))
TRY(bad_stack_segment, "mov %0, %%ss" : : "r"(0x10))
TRY(null_stack_segment, "mov %0, %%ss" : : "r"(0))
TRY(far_return_kernel, "push $0x08; push %0; lretq" : : "r"(KERNEL_IMAGE))
TRY(far_return_wild, "push $0xfffb; push $0; lretq")
TRY(far_return_null, "push $0; push $0; lretq")
TRY(far_jump, "mov %%rsp, %%rax; push $0x08; push %0; ljmpl *(%%rsp)" : : "r"(UINT64_C(0x100000)) : "rax", "memory")
TRY(iret_kernel, "mov %%rsp, %%rax; push $0x10; push %%rax; push $0x202; push $0x08; push %0; iretq"
    : : "r"(KERNEL_IMAGE) : "rax", "memory")
TRY(iret_null, "push $0; push $0; push $0x202; push $0; push $0; iretq")
TRY(jump_zero, "xor %%eax, %%eax; jmp *%%rax" : : : "rax")
TRY(jump_kernel, "jmp *%0" : : "r"(KERNEL_IMAGE))
TRY(jump_direct_map, "jmp *%0" : : "r"(KERNEL_DIRECT))
TRY(jump_non_canonical, "jmp *%0" : : "r"(NON_CANONICAL))
TRY(jump_end, "jmp *%0" : : "r"(UINT64_C(0x7ffffffffffe)))
TRY(read_null, "mov (%0), %%al" : : "r"(UINT64_C(0)) : "eax")
TRY(read_kernel, "mov (%0), %%al" : : "r"(KERNEL_IMAGE) : "eax")
TRY(read_direct_map, "mov (%0), %%al" : : "r"(KERNEL_DIRECT) : "eax")
TRY(read_stacks, "mov (%0), %%al" : : "r"(STACKS + 0x2000) : "eax")
TRY(write_kernel, "movb $0, (%0)" : : "r"(KERNEL_IMAGE))
TRY(write_text, "movb $0, (%0)" : : "r"(try_opcode))
TRY(read_non_canonical, "mov (%0), %%al" : : "r"(NON_CANONICAL) : "eax")
TRY(push_non_canonical, "mov %0, %%rsp; push %%rax" : : "r"(NON_CANONICAL + 0x1000))
TRY(push_kernel, "mov %0, %%rsp; push %%rax" : : "r"(KERNEL_IMAGE))
TRY(push_nowhere, "mov $16, %%esp; push %%rax" : :)
TRY(trap_flag, "pushfq; orq $0x100, (%%rsp); popfq; nop; nop" : : : "memory", "cc")
TRY(alignment, "pushfq; orq $0x40000, (%%rsp); popfq; mov 1(%%rsp), %%rax" : : : "rax", "memory", "cc")
TRY(simd, "sub $8, %%rsp; movl $0, (%%rsp); ldmxcsr (%%rsp); xorps %%xmm0, %%xmm0; divss %%xmm0, %%xmm0" : : : "memory")
/* clang-format on */

/* clang-format off */
#define EITHER(name, vector, other) {#name, try_##name, vector, other}
/* clang-format on */
#define ENTRY(name, vector) EITHER(name, vector, vector)

static const struct {
    const char *name;
    void (*try)(void *);
    uint32_t vector, other;
} tries[] = {
    ENTRY(divide, DIVIDE),
    ENTRY(breakpoint, BREAKPOINT),
    ENTRY(opcode, INVALID_OPCODE),
    ENTRY(no_opcode, INVALID_OPCODE),
    ENTRY(hlt, PROTECTION),
    ENTRY(cli, PROTECTION),
    ENTRY(sti, PROTECTION),
    ENTRY(in_port, PROTECTION),
    ENTRY(out_port, PROTECTION),
    ENTRY(string_out, PROTECTION),
    ENTRY(rdmsr, PROTECTION),
    ENTRY(wrmsr, PROTECTION),
    ENTRY(cr0, PROTECTION),
    ENTRY(cr3, PROTECTION),
    ENTRY(cr4, PROTECTION),
    ENTRY(cr8, PROTECTION),
    ENTRY(dr7, PROTECTION),
    ENTRY(clts, PROTECTION),
    ENTRY(lgdt, PROTECTION),
    ENTRY(lidt, PROTECTION),
    ENTRY(ltr, PROTECTION),
    ENTRY(lldt, PROTECTION),
    ENTRY(invlpg, PROTECTION),
    ENTRY(wbinvd, PROTECTION),
    ENTRY(swapgs, PROTECTION),
    ENTRY(sysret, PROTECTION),
    EITHER(sysexit, PROTECTION, INVALID_OPCODE), /* AMD */
    ENTRY(interrupt, PROTECTION),
    ENTRY(reschedule_interrupt, PROTECTION),
    ENTRY(page_fault_interrupt, PROTECTION),
    ENTRY(nmi, PROTECTION),
    ENTRY(double_fault, PROTECTION),
    ENTRY(bad_data_segment, PROTECTION),
    ENTRY(bad_segment_index, PROTECTION),
    ENTRY(bad_stack_segment, PROTECTION),
    ENTRY(null_stack_segment, PROTECTION),
    EITHER(far_return_kernel, PROTECTION, PAGE_FAULT),
    EITHER(far_return_wild, PROTECTION, PAGE_FAULT),
    EITHER(far_return_null, PROTECTION, PAGE_FAULT),
    ENTRY(far_jump, PROTECTION),
    EITHER(iret_kernel, PROTECTION, PAGE_FAULT),
    EITHER(iret_null, PROTECTION, PAGE_FAULT), /* QEMU under SMAP */
    ENTRY(jump_zero, PAGE_FAULT),
    ENTRY(jump_kernel, PAGE_FAULT),
    ENTRY(jump_direct_map, PAGE_FAULT),
    ENTRY(jump_non_canonical, PROTECTION),
    ENTRY(jump_end, PAGE_FAULT),
    ENTRY(read_null, PAGE_FAULT),
    ENTRY(read_kernel, PAGE_FAULT),
    ENTRY(read_direct_map, PAGE_FAULT),
    ENTRY(read_stacks, PAGE_FAULT),
    ENTRY(write_kernel, PAGE_FAULT),
    ENTRY(write_text, PAGE_FAULT),
    ENTRY(read_non_canonical, PROTECTION),
    EITHER(push_non_canonical, STACK, PROTECTION), /* QEMU */
    ENTRY(push_kernel, PAGE_FAULT),
    ENTRY(push_nowhere, PAGE_FAULT),
    ENTRY(trap_flag, DEBUG_TRAP),
};

TEST(vectors)
{
    for (size_t i = 0; i < ARRAY_SIZE(tries); i++) {
        uint32_t status = helper_status(helper_process(tries[i].try, NULL));

        if (status != (EXIT_EXCEPTION | tries[i].vector) &&
            status != (EXIT_EXCEPTION | tries[i].other))
            FAIL("%s: status 0x%x, want vector %u", tries[i].name, status, tries[i].vector);
    }
}

/* QEMU's emulation raises neither: then the program goes on. */
TEST(alignment_and_simd)
{
    uint32_t status = helper_status(helper_process(try_alignment, NULL));

    CHECK(status == 0 || status == (EXIT_EXCEPTION | ALIGNMENT));
    status = helper_status(helper_process(try_simd, NULL));
    CHECK(status == 0 || status == (EXIT_EXCEPTION | SIMD));
}

/* --- The stack ------------------------------------------------------------------------------------------------- */

__attribute__((noinline)) static int overflow(volatile char *above)
{
    volatile char here[1024];

    here[0] = above[0];
    if (here[0] == 0)
        return 0; /* never; the compiler need not know */
    return overflow(here) + here[1];
}

static void overflow_stack(void *argument)
{
    volatile char start = 1;

    (void)argument;
    /* Below a helper's stack lies struct helper, shared with the test: this one gets a stack apart. */
    uint8_t *stack = pages_map(16);

    MUST(sys_space_unmap(HANDLE_SELF, (uintptr_t)stack, PAGE_SIZE));
    __asm__ volatile("mov %0, %%rsp; mov %1, %%rdi; sub $8, %%rsp; jmp *%2"
                     :
                     : "r"(stack + 16 * PAGE_SIZE), "r"(&start), "r"(overflow)
                     : "rdi", "memory");
}

TEST(stack_overflow)
{
    must_end(overflow_stack, PAGE_FAULT);
}

/* System calls with no stack at all: the kernel does not need one. */
static void call_without_stack(void *argument)
{
    (void)argument;
    __asm__ volatile("xor %%esp, %%esp\n"
                     "mov $0x7050004b, %%eax\n" /* clock_get(CLOCK_MONOTONIC_) */
                     "mov $1, %%edi\n"
                     "syscall\n"
                     "test %%rax, %%rax\n"
                     "js 1f\n"
                     "mov %0, %%rsp\n" /* of the kernel now */
                     "mov $0x7050004b, %%eax\n"
                     "syscall\n"
                     "test %%rax, %%rax\n"
                     "js 1f\n"
                     "mov $0x7050001b, %%eax\n" /* process_kill(self, 42) */
                     "xor %%edi, %%edi\n"
                     "mov $42, %%esi\n"
                     "syscall\n"
                     "1: ud2"
                     :
                     : "r"(KERNEL_IMAGE)
                     : "rax", "rcx", "rdi", "rsi", "r11", "memory");
}

TEST(calls_need_no_stack)
{
    CHECK_EQUAL(helper_status(helper_process(call_without_stack, NULL)), 42);
}

/* Flags that must not act in the kernel: direction, nested task, trap, alignment. */
static void call_with_flags(void *argument)
{
    uint64_t flags = (uintptr_t)argument, number = SYSCALL_BASE + 0x5c, result;
    static struct abi_system_info info;

    __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; or %2, (%%rsp); popfq; syscall;"
                     "pushfq; andq $~0x44500, (%%rsp); popfq; lea 128(%%rsp), %%rsp"
                     : "=a"(result)
                     : "0"(number), "r"(flags), "D"(&info), "S"(sizeof(info))
                     : "rcx", "r11", "memory", "cc");
    helper_exit(result == 0 && info.cpus ? 0 : 1);
}

TEST(flags_do_not_reach_the_kernel)
{
    static const uint64_t flags[] = {0x400, 0x4000, 0x40000, 0x200000, 0x44400};

    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        CHECK_EQUAL(helper_status(helper_process(call_with_flags, (void *)flags[i])), 0);
    CHECK_EQUAL(helper_status(helper_process(call_with_flags, (void *)0x100)),
                EXIT_EXCEPTION | DEBUG_TRAP);
}

/* User mode cannot raise its I/O privilege or switch interrupts off by the flags it returns with. */
static void raise_privilege(void *argument)
{
    (void)argument;
    __asm__ volatile("lea -128(%%rsp), %%rsp\n"
                     "pushfq\n"
                     "orq $0x3000, (%%rsp)\n" /* IOPL 3, interrupts off */
                     "andq $~0x200, (%%rsp)\n"
                     "popfq\n"
                     "pushfq\n"
                     "pop %%rax\n"
                     "and $0x3200, %%eax\n"
                     "cmp $0x200, %%eax\n"
                     "jne 1f\n"
                     "hlt\n"
                     "1: ud2"
                     :
                     :
                     : "rax", "memory", "cc");
}

/* Nor by the frame it asks to go on with. */
static void resume_with_privilege(void *argument)
{
    extern const char resumed[];
    struct abi_frame frame = {
        .rip = (uintptr_t)resumed,
        .rsp = (uintptr_t)__builtin_frame_address(0) - 256,
        .cs = 0x08,
        .ss = 0x10,
        .rflags = 0x3002 | 0x20000 | 0x100000, /* IOPL 3, interrupts off, virtual 8086 */
        .rbx = 0xb,
        .r15 = 0xf,
    };

    (void)argument;
    sys_ignore(sys_thread_resume(&frame));
    __asm__ volatile("ud2\n"
                     "resumed: cmp $0xb, %%ebx\n"
                     "jne 1f\n"
                     "cmp $0xf, %%r15d\n"
                     "jne 1f\n"
                     "mov %%cs, %%eax\n"
                     "and $3, %%eax\n"
                     "cmp $3, %%eax\n"
                     "jne 1f\n"
                     "pushfq\n"
                     "pop %%rax\n"
                     "and $0x23200, %%eax\n"
                     "cmp $0x200, %%eax\n"
                     "jne 1f\n"
                     "hlt\n"
                     "1: ud2"
                     :
                     :
                     : "rax", "rbx", "r15", "memory", "cc");
}

TEST(resuming)
{
    struct abi_frame frame = {.rip = KERNEL_IMAGE};

    must_end(resume_with_privilege, PROTECTION);
    CHECK_ERROR(sys_thread_resume(NULL), FAULT);
    CHECK_ERROR(sys_thread_resume(&frame), INVALID);
    frame = (struct abi_frame){.rip = NON_CANONICAL};
    CHECK_ERROR(sys_thread_resume(&frame), INVALID);
    frame = (struct abi_frame){.rip = 0x1000, .rsp = KERNEL_DIRECT};
    CHECK_ERROR(sys_thread_resume(&frame), INVALID);
}

TEST(flags_of_privilege)
{
    must_end(raise_privilege, PROTECTION);
}

/* --- What is left of the others ------------------------------------------------------------------------------------- */

/* One thread of several brings the process down, whatever the others do. */
static void spin(void *argument)
{
    (void)argument;
    for (;;)
        __asm__ volatile("pause");
}

static void sleep_for_ever(void *argument)
{
    (void)argument;
    for (;;)
        sys_ignore(sys_wait_many(NULL, 0, DEADLINE_NEVER));
}

static void crash_among_threads(void *argument)
{
    helper_thread(spin, NULL);
    helper_thread(sleep_for_ever, NULL);
    sleep_for(10 * MILLISECOND);
    try_opcode(argument);
}

TEST(all_threads_end)
{
    must_end(crash_among_threads, INVALID_OPCODE);
}

/* A service that crashes: its caller's command fails or goes to the next instance. */
static void crash_with_command(void *argument)
{
    accept_with(((struct protocol *)argument)->port, NULL, 0);
    try_read_kernel(NULL);
}

TEST(crashing_services)
{
    struct protocol protocol = protocol_new();
    struct helper *first = helper_process(crash_with_command, &protocol);
    struct abi_command command = command_of(OP_UNLINK);

    CHECK_ERROR(path_op(protocol.names, "test://x", &command), RESTARTED);
    CHECK_EQUAL(helper_status(first), EXIT_EXCEPTION | PAGE_FAULT);
    protocol_end(&protocol);
}

/* --- Random code ------------------------------------------------------------------------------------------------------- */

static void run_random(void *argument)
{
    uint8_t *code = pages_map(1);
    uint64_t seed = (uintptr_t)argument;

    for (int i = 0; i < (int)PAGE_SIZE; i++)
        code[i] = (uint8_t)(test_random(&seed) >> 32);
    MUST(sys_space_protect(HANDLE_SELF, (uintptr_t)code, PAGE_SIZE, PROT_READ_ | PROT_EXECUTE_));
    ((void (*)(void))(uintptr_t)(code + test_random(&seed) % 64))();
    helper_exit(0);
}

TEST(random_code)
{
    for (uintptr_t seed = 1; seed <= 200; seed++) {
        struct helper *helper = helper_process(run_random, (void *)(seed * 0x9e3779b97f4a7c15));
        struct abi_wait wait = {.handle = helper->process, .signals = SIGNAL_EXITED};

        if (sys_wait_many(&wait, 1, after(50 * MILLISECOND)) < 0)
            MUST(sys_process_kill(helper->process, 0)); /* it found a loop */
        helper_status(helper);
    }
}
