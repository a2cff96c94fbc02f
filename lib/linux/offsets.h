/* Offsets into struct thread (thread.h) for entry.S; thread.h asserts each. */
#pragma once

#define THREAD_RIP    0
#define THREAD_RFLAGS 8
#define THREAD_RSP    16
#define THREAD_KICK   24

#define FRAME_R15    32
#define FRAME_R14    40
#define FRAME_R13    48
#define FRAME_R12    56
#define FRAME_RBP    64
#define FRAME_RBX    72
#define FRAME_R11    80
#define FRAME_R10    88
#define FRAME_R9     96
#define FRAME_R8     104
#define FRAME_RAX    112
#define FRAME_RCX    120
#define FRAME_RDX    128
#define FRAME_RSI    136
#define FRAME_RDI    144
#define FRAME_RIP    168
#define FRAME_RFLAGS 184
#define FRAME_RSP    192

#define THREAD_RESUME_CALL \
    0x70500023 /* SYSCALL_BASE + thread_resume's number (exception.c asserts) */

#define THREAD_NUMBER 224 /* of the call being answered */
#define THREAD_FULL \
    232 /* restore every register: rcx and r11 are not what a system call leaves in them */

#define CALLS_LIMIT 512 /* Linux's numbers below this have a place in the table */

/* Answers a handler gives when its native call was interrupted by a kick (never seen by the program). The signal
 * code makes of them a restart or EINTR. */
#define RESTART_FIRST  512
#define RESTART_ALWAYS 512 /* again, unless a handler without SA_RESTART runs */
#define RESTART_UNLESS_HANDLER \
    513                   /* again, unless any handler runs: pause, sigsuspend, nanosleep, poll */
#define RESTART_NEVER 514 /* EINTR whenever a handler runs or nothing was delivered */
#define RESTART_LAST  514
