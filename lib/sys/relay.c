/* proto_return_accept: abi.h lists its registers. */
#include "lib/sys/syscall.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter" /* the assembly uses them */
/* Loads the registers from the structures and, when a short command came, fills the message from them. */
static __attribute__((naked, noinline)) int64_t
return_accept(handle_t port, struct abi_return *result, struct abi_message *message, void *buffer,
              uint64_t size, int64_t deadline)
{
    __asm__("push %%rbx\n\t"
            "push %%rbp\n\t"
            "push %%r12\n\t"
            "push %%r13\n\t"
            "push %%r14\n\t"
            "push %%r15\n\t"
            "push %%rdx\n\t"
            "push %%r8\n\t"
            "mov %%rdx, %%r15\n\t"
            "mov %%rcx, %%r12\n\t"
            "mov %%r8, %%r13\n\t"
            "mov %%r9, %%r14\n\t"
            "mov %%rsi, %%rax\n\t"
            "mov %c[token](%%rax), %%rsi\n\t"
            "mov %c[status](%%rax), %%rdx\n\t"
            "mov %c[values](%%rax), %%r10\n\t"
            "mov %c[values]+8(%%rax), %%r8\n\t"
            "mov %c[values]+16(%%rax), %%rbx\n\t"
            "mov %c[data](%%rax), %%r9\n\t"
            "mov %c[data_length](%%rax), %%rbp\n\t"
            "mov %[number], %%eax\n\t"
            "syscall\n\t"
            "pop %%rcx\n\t" /* size */
            "pop %%r11\n\t" /* message */
            "test %%rax, %%rax\n\t"
            "jle 1f\n\t"
            "mov %%rdi, %c[m_token](%%r11)\n\t"
            "mov %%rsi, %c[cookie](%%r11)\n\t"
            "mov %%edx, %c[op](%%r11)\n\t"
            "shr $32, %%rdx\n\t"
            "mov %%edx, %c[flags](%%r11)\n\t"
            "mov %%r10, %c[args](%%r11)\n\t"
            "mov %%r8, %c[args]+8(%%r11)\n\t"
            "mov %%r14, %c[args]+16(%%r11)\n\t"
            "mov %%r15, %c[args]+24(%%r11)\n\t"
            "mov %%r9, %c[caller](%%r11)\n\t"
            "mov %%rbx, %c[file](%%r11)\n\t"
            "mov %%rbp, %c[trace](%%r11)\n\t"
            "mov %%r12, %c[in_length](%%r11)\n\t"
            "mov %%r13, %c[out_length](%%r11)\n\t"
            "cmp %%rcx, %%r12\n\t"
            "cmova %%rcx, %%r12\n\t"
            "shl $32, %%r12\n\t" /* path_length 0, data_length */
            "mov %%r12, %c[path_length](%%r11)\n\t"
            "movl $0, %c[handle_count](%%r11)\n\t"
            "movzbl %%al, %%edx\n\t"
            "mov %%edx, %c[kind](%%r11)\n\t"
            "shr $8, %%eax\n\t"
            "mov %%eax, %c[priority](%%r11)\n\t"
            "movabs %[never], %%rax\n\t"
            "mov %%rax, %c[deadline](%%r11)\n\t"
            "xor %%eax, %%eax\n\t"
            "1: pop %%r15\n\t"
            "pop %%r14\n\t"
            "pop %%r13\n\t"
            "pop %%r12\n\t"
            "pop %%rbp\n\t"
            "pop %%rbx\n\t"
            "ret"
            :
            : [token] "i"(offsetof(struct abi_return, token)),
              [status] "i"(offsetof(struct abi_return, status)),
              [values] "i"(offsetof(struct abi_return, values)),
              [data] "i"(offsetof(struct abi_return, data)),
              [data_length] "i"(offsetof(struct abi_return, data_length)),
              [number] "i"(SYSCALL_BASE + SYSCALL_PROTO_RETURN_ACCEPT),
              [m_token] "i"(offsetof(struct abi_message, token)),
              [kind] "i"(offsetof(struct abi_message, kind)),
              [op] "i"(offsetof(struct abi_message, op)),
              [cookie] "i"(offsetof(struct abi_message, cookie)),
              [file] "i"(offsetof(struct abi_message, file)),
              [args] "i"(offsetof(struct abi_message, args)),
              [deadline] "i"(offsetof(struct abi_message, deadline)),
              [flags] "i"(offsetof(struct abi_message, flags)),
              [priority] "i"(offsetof(struct abi_message, priority)),
              [caller] "i"(offsetof(struct abi_message, caller)),
              [trace] "i"(offsetof(struct abi_message, trace)),
              [in_length] "i"(offsetof(struct abi_message, in_length)),
              [out_length] "i"(offsetof(struct abi_message, out_length)),
              [path_length] "i"(offsetof(struct abi_message, path_length)),
              [handle_count] "i"(offsetof(struct abi_message, handle_count)),
              [never] "i"(DEADLINE_NEVER));
}
#pragma GCC diagnostic pop

_Static_assert(offsetof(struct abi_message, data_length) ==
                   offsetof(struct abi_message, path_length) + 4,
               "written together");

int64_t sys_proto_return_accept(handle_t port, struct abi_return *result,
                                struct abi_message *message, void *buffer, uint64_t size,
                                int64_t deadline)
{
    if (likely(result && !result->handle_count))
        return return_accept(port, result, message, buffer, size, deadline);
    if (result) {
        int64_t error = sys_proto_return(port, result);

        if (error && error != -E_CANCELLED)
            return error;
    }
    return sys_proto_accept(port, message, buffer, size, deadline);
}
