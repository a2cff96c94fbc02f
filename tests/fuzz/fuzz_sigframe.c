// sources: lib/linux/sigframe.c
/* Signal frames: handlers are entered and left with whatever the program made of its stack, its alternate stack and its
 * registers. What must hold: nothing outside of the program's memory is read or written, the flags and the image of the
 * FPU that are restored are what a program may have, and the process ends or goes on. */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/linux/calls.h"
#include "lib/linux/process.h"
#include "lib/linux/signal.h"
#include "lib/linux/user.h"
#include "tests/fuzz/input.h"

#define USER        UINT64_C(0x10000000)
#define USER_SIZE   UINT64_C(0x4000)
#define FLAGS_FIXED (~UINT64_C(0x254dd5)) /* what no program changes by a frame */
#define XSAVE_SIZE  832u
#define XSAVE_MASK  UINT64_C(7)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);
int fpu_xsave(void *image, uint64_t mask);
int fpu_xrstor(const void *image, uint64_t mask);
int fpu_fxsave(void *image);
int fpu_fxrstor(const void *image);

static struct process *process;
static jmp_buf left;
static bool ended;

static void check(bool condition)
{
    if (!condition)
        abort();
}

/* --- What is around it -------------------------------------------------------------------------------------- */

static bool users(uint64_t address, size_t length)
{
    return address >= USER && address < USER + USER_SIZE && length <= USER + USER_SIZE - address;
}

int64_t user_copy(void *to, const void *from, size_t length)
{
    if (!users((uintptr_t)to, length) && !users((uintptr_t)from, length))
        return -E_FAULT;
    memmove(to, from, length);
    return 0;
}

/* The registers' state is of no interest here, where it lies is. The initial one is the personality's own. */
static int image(uint64_t address, size_t size)
{
    check(address % (size == FXSAVE_SIZE ? 16 : 64) == 0);
    check(user_range(address, size));
    return users(address, size) ? 0 : -E_FAULT;
}

int fpu_xsave(void *to, uint64_t mask)
{
    check(process->xsave_size && mask == process->xsave_mask);
    return image((uintptr_t)to, process->xsave_size);
}

int fpu_xrstor(const void *from, uint64_t mask)
{
    check(process->xsave_size && !(mask & ~process->xsave_mask));
    return image((uintptr_t)from, process->xsave_size);
}

int fpu_fxsave(void *to)
{
    return image((uintptr_t)to, FXSAVE_SIZE);
}

int fpu_fxrstor(const void *from)
{
    return image((uintptr_t)from, FXSAVE_SIZE);
}

void signal_mask_set(struct thread *thread, uint64_t mask)
{
    thread->mask = mask & ~SIGNALS_UNBLOCKABLE;
}

void process_exit(struct process *of, uint32_t status)
{
    check(of == process && status == LINUX_SIGSEGV);
    ended = true;
    longjmp(left, 1);
}

void personality_resume(struct thread *thread)
{
    check(thread->full);
    longjmp(left, 1);
}

/* --- The program ------------------------------------------------------------------------------------------------ */

/* An address near something, or any. */
static uint64_t address(struct input *input)
{
    uint64_t kind = next64(input, 1);
    switch (kind % 4) {
    case 0:
        return next64(input, 8);
    case 1:
        return USER + USER_SIZE - next64(input, 1);
    default:
        return USER + next64(input, 2) % USER_SIZE;
    }
}

static void scribble(struct input *input)
{
    uint64_t at = next64(input, 2) % USER_SIZE, size = next64(input, 1);
    for (uint64_t i = 0; i < size && at + i < USER_SIZE; i++)
        ((uint8_t *)USER)[at + i] = (uint8_t)next64(input, 1);
}

/* A word of the frame that was pushed last, or of its FPU image. */
static void spoil(const struct thread *thread, struct input *input)
{
    uint64_t at = thread->frame.rsp + next64(input, 1) * 8 + next64(input, 1) * 8;
    if (users(at, 8))
        *(uint64_t *)(at & ~UINT64_C(7)) = next64(input, 8);
}

static void handler_enter(struct thread *thread, struct input *input)
{
    struct action action = {
        .handler = next64(input, 4),
        .flags = next64(input, 1) & 1 ? LINUX_SA_RESTORER : 0,
        .restorer = next64(input, 2),
        .mask = next64(input, 8),
    };
    uint64_t flags = next64(input, 1), rsp = thread->frame.rsp;
    struct signal_info info = {.code = (int32_t)next64(input, 1) - 64, .value = next64(input, 8)};
    int signal = (int)(next64(input, 1) % LINUX_SIGNALS) + 1;
    action.flags |= (flags & 1 ? LINUX_SA_ONSTACK : 0) | (flags & 2 ? LINUX_SA_NODEFER : 0);
    if (sigframe_push(thread, signal, &info, &action)) {
        check(thread->frame.rsp == rsp);
        return;
    }
    check(users(thread->frame.rsp, sizeof(struct linux_sigframe)));
    check(thread->frame.rsp % 16 == 8 && thread->frame.rip == action.handler);
}

/* The restorer: the handler has returned, or something else left the stack where it is. */
static void handler_leave(struct thread *thread, struct input *input)
{
    uint64_t rflags = thread->frame.rflags, cs = thread->frame.cs, ss = thread->frame.ss;
    if (next64(input, 1) & 1)
        thread->frame.rsp += 8;
    if (setjmp(left) == 0)
        linux_rt_sigreturn(thread);
    if (ended)
        return;
    check((thread->frame.rflags & FLAGS_FIXED) == (rflags & FLAGS_FIXED));
    check(thread->frame.cs == cs && thread->frame.ss == ss);
    check(!(thread->mask & SIGNALS_UNBLOCKABLE));
}

static void operate(struct thread *thread, struct input *input)
{
    switch (next64(input, 1) % 8) {
    case 0:
        thread->frame.rsp = address(input);
        break;
    case 1:
        thread->altstack = (struct linux_stack_t){.address = address(input),
                                                  .size = next64(input, 8),
                                                  .flags = (int32_t)next64(input, 4)};
        break;
    case 2:
        scribble(input);
        break;
    case 3:
        spoil(thread, input);
        break;
    case 4:
        thread->restore_mask_set = true;
        thread->restore_mask = next64(input, 8);
        break;
    case 5:
        handler_leave(thread, input);
        break;
    default:
        handler_enter(thread, input);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    static void *user;
    struct input input = {data, data + length};
    struct thread *thread = calloc(1, sizeof(*thread));
    if (!user)
        user = mmap((void *)USER, USER_SIZE, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    check(user == (void *)USER);
    memset(user, 0, USER_SIZE);
    process = calloc(1, sizeof(*process));
    if (next64(&input, 1) & 1) {
        process->xsave_size = XSAVE_SIZE;
        process->xsave_mask = XSAVE_MASK;
    }
    thread->process = process;
    thread->frame =
        (struct abi_frame){.rsp = USER + USER_SIZE, .rflags = 0x202, .cs = 0x23, .ss = 0x1b};
    ended = false;
    while (input.at < input.end && !ended)
        operate(thread, &input);
    free(process);
    free(thread);
    return 0;
}
