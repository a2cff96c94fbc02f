/* Linux's x86-64 ABI as programs see it: numbers and layouts, written by hand from its manual pages and
 * measured. Names are Linux's with a prefix, so that they never meet a C library's. */
#pragma once

#include <stdint.h>

#define LINUX_EPERM        1
#define LINUX_ENOENT       2
#define LINUX_ESRCH        3
#define LINUX_EINTR        4
#define LINUX_EIO          5
#define LINUX_ENXIO        6
#define LINUX_E2BIG        7
#define LINUX_ENOEXEC      8
#define LINUX_EBADF        9
#define LINUX_ECHILD       10
#define LINUX_EAGAIN       11
#define LINUX_ENOMEM       12
#define LINUX_EACCES       13
#define LINUX_EFAULT       14
#define LINUX_EBUSY        16
#define LINUX_EEXIST       17
#define LINUX_ENODEV       19
#define LINUX_ENOTDIR      20
#define LINUX_EISDIR       21
#define LINUX_EINVAL       22
#define LINUX_EMFILE       24
#define LINUX_ENOTTY       25
#define LINUX_ENOSPC       28
#define LINUX_ESPIPE       29
#define LINUX_EPIPE        32
#define LINUX_ERANGE       34
#define LINUX_ENAMETOOLONG 36
#define LINUX_ENOSYS       38
#define LINUX_ELOOP        40
#define LINUX_ETIMEDOUT    110
#define LINUX_EOPNOTSUPP   95
#define LINUX_ECANCELED    125

/* open */
#define LINUX_O_ACCMODE   03
#define LINUX_O_RDONLY    00
#define LINUX_O_WRONLY    01
#define LINUX_O_RDWR      02
#define LINUX_O_CREAT     0100
#define LINUX_O_EXCL      0200
#define LINUX_O_TRUNC     01000
#define LINUX_O_APPEND    02000
#define LINUX_O_NONBLOCK  04000
#define LINUX_O_LARGEFILE 0100000
#define LINUX_O_DIRECTORY 0200000
#define LINUX_O_NOFOLLOW  0400000
#define LINUX_O_CLOEXEC   02000000
#define LINUX_O_PATH      010000000

#define LINUX_AT_FDCWD            (-100)
#define LINUX_AT_SYMLINK_NOFOLLOW 0x100
#define LINUX_AT_REMOVEDIR        0x200
#define LINUX_AT_SYMLINK_FOLLOW   0x400
#define LINUX_AT_EACCESS          0x200
#define LINUX_AT_EMPTY_PATH       0x1000

#define LINUX_SEEK_SET 0
#define LINUX_SEEK_CUR 1
#define LINUX_SEEK_END 2

#define LINUX_F_DUPFD         0
#define LINUX_F_GETFD         1
#define LINUX_F_SETFD         2
#define LINUX_F_GETFL         3
#define LINUX_F_SETFL         4
#define LINUX_F_GETLK         5
#define LINUX_F_SETLK         6
#define LINUX_F_SETLKW        7
#define LINUX_F_DUPFD_CLOEXEC 1030
#define LINUX_FD_CLOEXEC      1

#define LINUX_IOV_MAX 1024

struct linux_iovec {
    uint64_t base, length;
};

struct linux_stat {
    uint64_t device, inode, links;
    uint32_t mode, uid, gid, padding;
    uint64_t rdev;
    int64_t size, block_size, blocks;
    uint64_t accessed, accessed_ns, modified, modified_ns, changed, changed_ns;
    int64_t unused[3];
};
_Static_assert(sizeof(struct linux_stat) == 144, "");

struct linux_statfs {
    int64_t type, block_size;
    uint64_t blocks, free, available, files, files_free;
    int32_t id[2];
    int64_t name_length, fragment_size, flags, spare[4];
};
_Static_assert(sizeof(struct linux_statfs) == 120, "");

/* mmap */
#define LINUX_PROT_READ           1
#define LINUX_PROT_WRITE          2
#define LINUX_PROT_EXEC           4
#define LINUX_MAP_SHARED          0x01
#define LINUX_MAP_PRIVATE         0x02
#define LINUX_MAP_SHARED_VALIDATE 0x03
#define LINUX_MAP_TYPE            0x0f
#define LINUX_MAP_FIXED           0x10
#define LINUX_MAP_ANONYMOUS       0x20
#define LINUX_MAP_POPULATE        0x8000
#define LINUX_MAP_FIXED_NOREPLACE 0x100000
#define LINUX_MREMAP_MAYMOVE      1
#define LINUX_MREMAP_FIXED        2
#define LINUX_MREMAP_DONTUNMAP    4
#define LINUX_MADV_DONTNEED       4
#define LINUX_MADV_FREE           8

/* Time */
struct linux_timespec {
    int64_t seconds, nanoseconds;
};
struct linux_timeval {
    int64_t seconds, microseconds;
};
struct linux_itimerval {
    struct linux_timeval interval, value;
};
struct linux_timex {
    uint32_t modes, reserved1;
    int64_t offset, frequency, maximum_error, estimated_error;
    int32_t status, reserved2;
    int64_t constant, precision, tolerance;
    struct linux_timeval time;
    int64_t tick, pps[2];
    int64_t shift, stability[5];
    int32_t tai, reserved3[11];
};
#define LINUX_ADJ_FREQUENCY          0x0002u
#define LINUX_ADJ_SETOFFSET          0x0100u
#define LINUX_ADJ_MICRO              0x1000u
#define LINUX_ADJ_NANO               0x2000u
#define LINUX_ADJ_OFFSET_SINGLESHOT  0x8001u
#define LINUX_ADJ_OFFSET_SS_READ     0xa001u
#define LINUX_STA_UNSYNC             0x40
#define LINUX_TIME_ERROR             5
#define LINUX_TIME_ERROR_MAX         16000000 /* microseconds: as good as unknown */
#define LINUX_CLOCK_REALTIME         0
#define LINUX_CLOCK_MONOTONIC        1
#define LINUX_CLOCK_PROCESS_CPUTIME  2
#define LINUX_CLOCK_THREAD_CPUTIME   3
#define LINUX_CLOCK_MONOTONIC_RAW    4
#define LINUX_CLOCK_REALTIME_COARSE  5
#define LINUX_CLOCK_MONOTONIC_COARSE 6
#define LINUX_CLOCK_BOOTTIME         7
#define LINUX_TIMER_ABSTIME          1
#define NS_PER_SECOND                INT64_C(1000000000)

/* Signals */
#define LINUX_SIGNALS  64
#define LINUX_SIGHUP   1
#define LINUX_SIGINT   2
#define LINUX_SIGQUIT  3
#define LINUX_SIGILL   4
#define LINUX_SIGTRAP  5
#define LINUX_SIGABRT  6
#define LINUX_SIGBUS   7
#define LINUX_SIGFPE   8
#define LINUX_SIGKILL  9
#define LINUX_SIGSEGV  11
#define LINUX_SIGUSR2  12
#define LINUX_SIGPIPE  13
#define LINUX_SIGALRM  14
#define LINUX_SIGTERM  15
#define LINUX_SIGCHLD  17
#define LINUX_SIGCONT  18
#define LINUX_SIGSTOP  19
#define LINUX_SIGTSTP  20
#define LINUX_SIGTTIN  21
#define LINUX_SIGTTOU  22
#define LINUX_SIGURG   23
#define LINUX_SIGXCPU  24
#define LINUX_SIGXFSZ  25
#define LINUX_SIGWINCH 28
#define LINUX_SIGSYS   31
#define LINUX_SIGRTMIN 32

#define LINUX_SIG_DFL     0
#define LINUX_SIG_IGN     1
#define LINUX_SIG_BLOCK   0
#define LINUX_SIG_UNBLOCK 1
#define LINUX_SIG_SETMASK 2

#define LINUX_SA_NOCLDSTOP 0x00000001u
#define LINUX_SA_NOCLDWAIT 0x00000002u
#define LINUX_SA_SIGINFO   0x00000004u
#define LINUX_SA_RESTORER  0x04000000u
#define LINUX_SA_ONSTACK   0x08000000u
#define LINUX_SA_RESTART   0x10000000u
#define LINUX_SA_NODEFER   0x40000000u
#define LINUX_SA_RESETHAND 0x80000000u

#define LINUX_SS_ONSTACK    1
#define LINUX_SS_DISABLE    2
#define LINUX_SS_AUTODISARM 0x80000000u
#define LINUX_MINSIGSTKSZ   2048

#define LINUX_SI_USER     0
#define LINUX_SI_KERNEL   0x80
#define LINUX_SI_QUEUE    (-1)
#define LINUX_SI_TKILL    (-6)
#define LINUX_FPE_INTDIV  1
#define LINUX_FPE_FLTINV  7
#define LINUX_ILL_ILLOPN  2
#define LINUX_SEGV_MAPERR 1
#define LINUX_SEGV_ACCERR 2
#define LINUX_BUS_ADRALN  1
#define LINUX_BUS_ADRERR  2
#define LINUX_TRAP_BRKPT  1
#define LINUX_TRAP_TRACE  2

struct linux_sigaction {
    uint64_t handler, flags, restorer, mask;
};

struct linux_stack_t {
    uint64_t address;
    uint32_t flags, padding;
    uint64_t size;
};

struct linux_siginfo {
    int32_t signal, error, code, padding;
    union {
        struct {
            int32_t pid, uid;
            int64_t value; /* of sigqueue; SIGCHLD: status in its low half, then the times */
        } sender;
        struct {
            int32_t pid, uid, status, padding;
            int64_t user_time, system_time;
        } child;
        struct {
            uint64_t address;
        } fault;
        uint64_t room[14];
    };
};
_Static_assert(sizeof(struct linux_siginfo) == 128, "");

struct linux_sigcontext {
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip,
        rflags;
    uint16_t cs, gs, fs, ss;
    uint64_t error, trap, old_mask, cr2;
    uint64_t fpstate;
    uint64_t reserved[8];
};
_Static_assert(sizeof(struct linux_sigcontext) == 256, "");

struct linux_ucontext {
    uint64_t flags, link;
    struct linux_stack_t stack;
    struct linux_sigcontext context;
    uint64_t mask;
};
#define LINUX_UC_FP_XSTATE         1
#define LINUX_UC_SIGCONTEXT_SS     2
#define LINUX_UC_STRICT_RESTORE_SS 4

struct linux_sigframe {
    uint64_t return_address;
    struct linux_ucontext context;
    struct linux_siginfo info;
};

/* What Linux leaves in the bytes of an FXSAVE image that are software's (offset 464). */
struct linux_fpstate_software {
    uint32_t magic, extended_size;
    uint64_t features;
    uint32_t xstate_size;
    uint32_t padding[7];
};
#define LINUX_FPSTATE_SOFTWARE 464u
#define LINUX_FP_XSTATE_MAGIC1 0x46505853u
#define LINUX_FP_XSTATE_MAGIC2 0x46505845u
#define FXSAVE_SIZE            512u
#define XSAVE_HEADER_SIZE      64u

/* Processes */
#define LINUX_CLONE_VM             0x00000100u
#define LINUX_CLONE_FS             0x00000200u
#define LINUX_CLONE_FILES          0x00000400u
#define LINUX_CLONE_SIGHAND        0x00000800u
#define LINUX_CLONE_VFORK          0x00004000u
#define LINUX_CLONE_THREAD         0x00010000u
#define LINUX_CLONE_SETTLS         0x00080000u
#define LINUX_CLONE_PARENT_SETTID  0x00100000u
#define LINUX_CLONE_CHILD_CLEARTID 0x00200000u
#define LINUX_CLONE_CHILD_SETTID   0x01000000u
#define LINUX_CLONE_NEW_ANY        0x7e020000u /* namespaces: not ours */

#define LINUX_WNOHANG       1
#define LINUX_WUNTRACED     2
#define LINUX_WEXITED       4
#define LINUX_WCONTINUED    8
#define LINUX_WNOWAIT       0x01000000
#define LINUX_P_ALL         0
#define LINUX_P_PID         1
#define LINUX_P_PGID        2
#define LINUX_CLD_EXITED    1
#define LINUX_CLD_KILLED    2
#define LINUX_CLD_DUMPED    3
#define LINUX_CLD_STOPPED   5
#define LINUX_CLD_CONTINUED 6

struct linux_rusage {
    struct linux_timeval user, system;
    int64_t counters[14];
};

/* reboot: the second number is one of Linux's four; programs use the first. */
#define LINUX_REBOOT_MAGIC     0xfee1deadu
#define LINUX_REBOOT_MAGIC_TOO 672274793u
#define LINUX_REBOOT_RESTART   0x01234567u
#define LINUX_REBOOT_HALT      0xcdef0123u
#define LINUX_REBOOT_POWER_OFF 0x4321fedcu
#define LINUX_REBOOT_CAD_ON    0x89abcdefu
#define LINUX_REBOOT_CAD_OFF   0u

#define LINUX_RLIMIT_COUNT  16
#define LINUX_RLIMIT_DATA   2
#define LINUX_RLIMIT_STACK  3
#define LINUX_RLIMIT_RSS    5
#define LINUX_RLIMIT_NPROC  6
#define LINUX_RLIMIT_NOFILE 7
#define LINUX_RLIMIT_AS     9
#define LINUX_RLIM_INFINITY UINT64_MAX
struct linux_rlimit {
    uint64_t current, maximum;
};

struct linux_utsname {
    char system[65], node[65], release[65], version[65], machine[65], domain[65];
};

struct linux_sysinfo {
    int64_t uptime;
    uint64_t loads[3], total_memory, free_memory, shared_memory, buffers, total_swap, free_swap;
    uint16_t processes, padding;
    uint32_t padding2;
    uint64_t total_high, free_high;
    uint32_t unit;
    uint32_t padding3;
};
_Static_assert(sizeof(struct linux_sysinfo) == 112, "");

struct linux_tms {
    int64_t user, system, children_user, children_system;
};

#define LINUX_ARCH_SET_GS 0x1001
#define LINUX_ARCH_SET_FS 0x1002
#define LINUX_ARCH_GET_FS 0x1003
#define LINUX_ARCH_GET_GS 0x1004

#define LINUX_PR_SET_PDEATHSIG 1
#define LINUX_PR_GET_DUMPABLE  3
#define LINUX_PR_SET_DUMPABLE  4
#define LINUX_PR_SET_NAME      15
#define LINUX_PR_GET_NAME      16

/* futex */
#define LINUX_FUTEX_WAIT           0
#define LINUX_FUTEX_WAKE           1
#define LINUX_FUTEX_REQUEUE        3
#define LINUX_FUTEX_CMP_REQUEUE    4
#define LINUX_FUTEX_WAIT_BITSET    9
#define LINUX_FUTEX_WAKE_BITSET    10
#define LINUX_FUTEX_PRIVATE_FLAG   128
#define LINUX_FUTEX_CLOCK_REALTIME 256

/* poll */
#define LINUX_POLLIN     0x001
#define LINUX_POLLPRI    0x002
#define LINUX_POLLOUT    0x004
#define LINUX_POLLERR    0x008
#define LINUX_POLLHUP    0x010
#define LINUX_POLLNVAL   0x020
#define LINUX_POLLRDNORM 0x040
#define LINUX_POLLRDBAND 0x080
#define LINUX_POLLWRNORM 0x100
#define LINUX_POLLWRBAND 0x200
#define LINUX_POLLRDHUP  0x2000
struct linux_pollfd {
    int32_t fd;
    int16_t events, revents;
};

/* ioctl */
#define LINUX_FIONREAD 0x541b
#define LINUX_FIONBIO  0x5421
#define LINUX_FIONCLEX 0x5450
#define LINUX_FIOCLEX  0x5451

/* The handlers' view of struct process. */
struct action {
    uint64_t handler, flags, restorer, mask;
};

struct signal_info {
    int32_t code, pid, uid, status;
    uint64_t value; /* sigval, or the address of a fault */
};
