/* Things a program may try against the kernel, by name: `hostile` lists them, `hostile NAME` tries one.
 *
 * Each must end the program by an exception or give it an error. A program that gets through an instruction
 * it must not execute prints "survived", which fails the scenario.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/sys/syscall.h"

#define KERNEL_IMAGE  UINT64_C(0xffffffff80000000)
#define KERNEL_DIRECT UINT64_C(0xffff800000000000)
#define NON_CANONICAL UINT64_C(0x0000800000000000)

static void survived(void)
{
    puts("survived");
    exit(0);
}

static void jump_zero(void)
{
    void (*volatile target)(void) = NULL;
    target();
}

static void jump_kernel(void)
{
    __asm__ volatile("jmp *%0" : : "r"(KERNEL_IMAGE + 0x100000));
}

static void jump_non_canonical(void)
{
    __asm__ volatile("jmp *%0" : : "r"(NON_CANONICAL));
}

static void divide_zero(void)
{
    __asm__ volatile("xor %%edx, %%edx; mov $1, %%eax; xor %%ecx, %%ecx; div %%ecx"
                     :
                     :
                     : "eax", "ecx", "edx");
    survived();
}

static void halt(void)
{
    __asm__ volatile("hlt");
    survived();
}

static void disable_interrupts(void)
{
    __asm__ volatile("cli");
    survived();
}

static void port_output(void)
{
    __asm__ volatile("outb %%al, %%dx" : : "a"(0xfe), "d"(0x64));
    survived();
}

static void write_msr(void)
{
    __asm__ volatile("wrmsr" : : "c"(0xc0000082), "a"(0), "d"(0));
    survived();
}

static void write_cr3(void)
{
    __asm__ volatile("mov %0, %%cr3" : : "r"(UINT64_C(0)));
    survived();
}

static void load_idt(void)
{
    char table[10] = {0};
    __asm__ volatile("lidt %0" : : "m"(table));
    survived();
}

static void swap_gs(void)
{
    __asm__ volatile("swapgs");
    survived();
}

static void system_return(void)
{
    __asm__ volatile("sysretq");
    survived();
}

/* A recursion the compiler cannot flatten. */
__attribute__((noinline)) static int overflow(volatile char *above)
{
    volatile char here[4096];
    here[0] = above[0];
    if (here[0] == 0)
        return 0; /* never; the compiler need not know */
    return overflow(here) + here[1];
}

static void stack_overflow(void)
{
    char start = 1;
    exit(overflow(&start));
}

static void stack_bad(void)
{
    __asm__ volatile("mov %0, %%rsp; push %%rax" : : "r"(NON_CANONICAL));
}

static void stack_zero_syscall(void)
{
    __asm__ volatile("xor %%esp, %%esp; mov $39, %%eax; syscall; xor %%ecx, %%ecx; jmp *%%rcx"
                     :
                     :
                     : "memory");
}

static void stack_kernel_syscall(void)
{
    __asm__ volatile("mov %0, %%rsp; mov $39, %%eax; syscall; xor %%ecx, %%ecx; jmp *%%rcx"
                     :
                     : "r"(KERNEL_IMAGE));
}

static void read_kernel(void)
{
    (void)*(volatile char *)(KERNEL_IMAGE + 0x100000);
    survived();
}

static void read_direct_map(void)
{
    (void)*(volatile char *)KERNEL_DIRECT;
    survived();
}

static void write_kernel(void)
{
    *(volatile char *)(KERNEL_IMAGE + 0x100000) = 0;
    survived();
}

static void write_text(void)
{
    *(volatile char *)(uintptr_t)write_text = 0;
    survived();
}

static void execute_data(void)
{
    static unsigned char code[] = {0xc3};
    void (*volatile target)(void) = (void (*)(void))(uintptr_t)code;
    target();
    survived();
}

static void far_return_kernel(void)
{
    __asm__ volatile("push $0x08; push %0; lretq" : : "r"(KERNEL_IMAGE + 0x100000));
}

static void far_return_null(void)
{
    __asm__ volatile("push $0; push $0; lretq");
}

static void far_return_wild(void)
{
    __asm__ volatile("push $0xffff; push $0; lretq");
}

static void iret_kernel(void)
{
    __asm__ volatile("push $0x10; push %0; push $0x202; push $0x08; push %0; iretq"
                     :
                     : "r"(KERNEL_IMAGE + 0x100000));
}

static void iret_flags(void)
{
    /* IOPL 3, NT, VM, RF: what user mode must not gain by a return. Then an output instruction. */
    __asm__ volatile("mov %%ss, %%eax; push %%rax; lea -8(%%rsp), %%rcx; push %%rcx; push "
                     "$0x37202; mov %%cs, %%eax;"
                     "push %%rax; lea 1f(%%rip), %%rax; push %%rax; iretq; 1: outb %%al, $0x80"
                     :
                     :
                     : "rax", "rcx", "memory");
    survived();
}

static void nested_task_flag(void)
{
    __asm__ volatile("pushfq; orq $0x4000, (%%rsp); popfq; mov $39, %%eax; syscall; iretq"
                     :
                     :
                     : "rax", "rcx", "r11", "memory");
}

static void direction_flag(void)
{
    __asm__ volatile("std");
    puts("string operations run forwards");
    exit(0);
}

static void single_step(void)
{
    __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq; mov $39, %%eax; syscall; nop; nop"
                     :
                     :
                     : "rax", "rcx", "r11", "memory");
    exit(0);
}

static void alignment_check(void)
{
    __asm__ volatile("pushfq; orq $0x40000, (%%rsp); popfq; mov $39, %%eax; syscall"
                     :
                     :
                     : "rax", "rcx", "r11", "memory");
    exit(0);
}

static void bad_segments(void)
{
    __asm__ volatile("mov %0, %%ds" : : "r"(0x10));
    exit(0);
}

static void software_interrupts(void)
{
    __asm__ volatile("int $0x80");
    exit(0);
}

static void interrupt_vectors(void)
{
    __asm__ volatile("int $0x20; int $0xef; int $0xff");
    survived();
}

static void breakpoint(void)
{
    __asm__ volatile("int3");
    exit(0);
}

static const uint64_t bad_addresses[] = {
    0,
    1,
    0xfff,
    NON_CANONICAL - 1,
    NON_CANONICAL,
    NON_CANONICAL - 4096,
    KERNEL_DIRECT,
    KERNEL_IMAGE,
    KERNEL_IMAGE + 0x100000,
    UINT64_MAX,
    UINT64_MAX - 4095,
    UINT64_MAX - 7,
};

/* Every native call, each argument in turn a bad address, the others small numbers. Calls that end or stop the
 * caller by their meaning are left out. */
static void kernel_addresses(void)
{
    for (uint32_t number = 0; number < SYSCALL_LIMIT; number++) {
        if (number == 0x1b || number == 0x1e || number == 0x21 || number == 0x22 || number == 0x5d)
            continue; /* process_kill, process_control, thread_exit, thread_control, system_control */
        if (number == 0x10 || number == 0x11 || number == 0x12 || number == 0x13)
            continue; /* space_*: they take addresses of the caller's own to destroy; read_kernel covers mapping */
        for (unsigned at = 0; at < 6; at++) {
            for (unsigned i = 0; i < sizeof(bad_addresses) / sizeof(bad_addresses[0]); i++) {
                uint64_t arguments[6] = {0, 1, 1, 1, 1, 1};
                arguments[at] = bad_addresses[i];
                (void)syscall_raw(number, arguments[0], arguments[1], arguments[2], arguments[3],
                                  arguments[4], arguments[5]);
            }
        }
    }
    puts("all calls returned");
}

static void map_kernel(void)
{
    for (unsigned i = 4; i < sizeof(bad_addresses) / sizeof(bad_addresses[0]); i++) {
        struct abi_map map = {.address = bad_addresses[i] & ~UINT64_C(4095),
                              .length = 4096,
                              .memory = HANDLE_NONE,
                              .protection = PROT_READ_ | PROT_WRITE_,
                              .flags = MAP_FIXED_};
        if (sys_space_map(HANDLE_SELF, &map) >= 0)
            survived();
    }
}

/* Random bytes as code, each in a child, from one repeatable sequence. */
static void random_opcodes(void)
{
    uint64_t state = 42;
    for (int seed = 0; seed < 200; seed++) {
        unsigned char *code =
            mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (code == MAP_FAILED)
            exit(1);
        for (int i = 0; i < 4096; i++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            code[i] = (unsigned char)(state >> 24);
        }
        pid_t child = fork();
        if (child == 0) {
            if (mprotect(code, 4096, PROT_READ | PROT_EXEC))
                _exit(1);
            alarm(1);
            ((void (*)(void))(uintptr_t)code)();
            _exit(0);
        }
        if (child > 0)
            waitpid(child, NULL, 0);
        munmap(code, 4096);
    }
}

#define TRY(name)   \
    {               \
#name, name \
    }
static const struct {
    const char *name;
    void (*run)(void);
} tries[] = {
    TRY(jump_zero),
    TRY(jump_kernel),
    TRY(jump_non_canonical),
    TRY(divide_zero),
    TRY(halt),
    TRY(disable_interrupts),
    TRY(port_output),
    TRY(write_msr),
    TRY(write_cr3),
    TRY(load_idt),
    TRY(swap_gs),
    TRY(system_return),
    TRY(stack_overflow),
    TRY(stack_bad),
    TRY(stack_zero_syscall),
    TRY(stack_kernel_syscall),
    TRY(read_kernel),
    TRY(read_direct_map),
    TRY(write_kernel),
    TRY(write_text),
    TRY(execute_data),
    TRY(far_return_kernel),
    TRY(far_return_null),
    TRY(far_return_wild),
    TRY(iret_kernel),
    TRY(iret_flags),
    TRY(nested_task_flag),
    TRY(direction_flag),
    TRY(single_step),
    TRY(alignment_check),
    TRY(bad_segments),
    TRY(software_interrupts),
    TRY(interrupt_vectors),
    TRY(breakpoint),
    TRY(kernel_addresses),
    TRY(map_kernel),
    TRY(random_opcodes),
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
        if (argc < 2)
            puts(tries[i].name);
        else if (strcmp(tries[i].name, argv[1]) == 0)
            tries[i].run();
    }
    return 0;
}
