/* The contract between kernel and programs: handles, rights, signals and the structures of the system calls.
 *
 * Data only: no code, no dependence on anything else. Every structure is laid out by hand, without holes,
 * the same for both sides. Times are nanoseconds of CLOCK_MONOTONIC unless said otherwise; deadlines are
 * absolute. Lengths are bytes. Strings are not terminated: a length stands beside each.
 * Reserved fields must be 0.
 */
#pragma once

#include <stdint.h>

typedef int32_t handle_t;

#define HANDLE_SELF 0    /* the caller's own process, thread or namespace */
#define HANDLE_NONE (-1) /* no handle */

#define DEADLINE_NEVER INT64_MAX
#define DEADLINE_NOW \
    INT64_C(0) /* do not wait: E_TIMED_OUT at once (proto_accept, streams, timers: E_AGAIN) */

#define SYSCALL_BASE  0x70500000u
#define SYSCALL_LIMIT 0x80u /* numbers SYSCALL_BASE .. + LIMIT - 1 are native */
/* ... and, behind them, the short form of the relay (below): */
#define SYSCALL_FILE_CALL_SHORT     0x80u
#define SYSCALL_PROTO_RETURN_ACCEPT 0x81u

#undef PAGE_SIZE /* <limits.h> of some C libraries has one, not a constant */
#define PAGE_SIZE 4096u

/* Object types: OBJECT_<name>, from abi/objects.def. */
enum object_type {
    OBJECT_NONE = 0,
#define OBJECT(number, name, rights, meaning) OBJECT_##name = (number),
#include "abi/objects.def"
#undef OBJECT
    OBJECT_ANY = 0xff,
};

/* What a handle allows. */
#define RIGHT_READ      0x001u
#define RIGHT_WRITE     0x002u
#define RIGHT_EXECUTE   0x004u /* memory: may be mapped executable */
#define RIGHT_MAP       0x008u /* process: its space may be changed */
#define RIGHT_CONTROL   0x010u
#define RIGHT_WAIT      0x020u /* may be waited for, bound to a port, asked for its state */
#define RIGHT_ACCEPT    0x040u /* port: accept and return commands */
#define RIGHT_SEND      0x080u /* port: notify */
#define RIGHT_DUPLICATE 0x100u
#define RIGHT_TRANSFER  0x200u /* may travel in commands and streams */
#define RIGHT_ALL       0x3ffu

/* State of an object that can be waited for. Services publish the first five for their files (file_ready). */
#define SIGNAL_READABLE \
    0x001u /* data; a timer or interrupt that fired; something to accept on a port */
#define SIGNAL_WRITABLE 0x002u
#define SIGNAL_HANGUP   0x004u
#define SIGNAL_ERROR    0x008u
#define SIGNAL_PRIORITY 0x010u
#define SIGNAL_ENDED    0x020u /* a stream: nothing more is sent to it */
#define SIGNAL_EXITED   0x100u /* a process or thread ended */

#define READY_TELL \
    0x200u /* file_ready, in set: MESSAGE_CLOSE is sent although the file is HANDLE_FLAG_SILENT */

struct abi_handle_info {
    uint32_t type;    /* OBJECT_* */
    uint32_t rights;  /* RIGHT_* */
    uint64_t id;      /* of the object: unique for the life of the system */
    uint32_t signals; /* SIGNAL_* now; 0 where the object has none */
    uint32_t flags;   /* HANDLE_FLAG_* */
};

/* Flags of an open file, stream, accepting end or timer: they belong to the object, so all duplicates share them. */
#define HANDLE_FLAG_NONBLOCK 0x1u
#define HANDLE_FLAG_APPEND   0x2u
#define HANDLE_FLAG_SEEKABLE 0x4u /* has a position (set by the service at open; not changeable) */
#define HANDLE_FLAG_SILENT \
    0x10u /* file: its service is not told when it is closed (set by it at open; not changeable) */
#define HANDLE_FLAG_SINGLE 0x20u /* timer: its count is taken one at a time */
#define HANDLE_FLAG_PACKETS \
    0x40u /* listener: its streams keep boundaries (handle_info, not changeable) */
#define HANDLE_FLAG_FIXED 0x8u  /* memory: made with MEMORY_FIXED (handle_info only) */
#define HANDLE_FLAG_REAL  0x80u /* timer: the deadlines it is set to are real time */
#define HANDLE_FLAG_CANCEL \
    0x100u /* timer: a step of real time ends it: it is READABLE, and timer_take says E_CANCELLED once */

/* Memory. */
#define PROT_READ_    0x1u /* a trailing underscore: the plain name is the C library's */
#define PROT_WRITE_   0x2u
#define PROT_EXECUTE_ 0x4u

/* memory_create */
#define MEMORY_FIXED 0x4u /* its size never changes: safe to share with anybody */
#define MEMORY_OWNED \
    0x8u /* only with RIGHT_CONTROL, which its maker has, its size is changed and pages are given back: safe to share, too */

/* memory_physical of device memory: how the CPU reaches it. */
#define CACHE_BACK      0u
#define CACHE_NONE      1u
#define CACHE_COMBINING 2u

/* memory_physical of RAM for DMA: one's own and zero, all of it allocated at once, and it stays where it is. */
#define MEMORY_STAYS      0x10u /* no more than that */
#define MEMORY_CONTIGUOUS 0x20u /* one piece, aligned to its size, at most 4 MiB */
#define MEMORY_DMA32      0x40u /* below 4 GiB */

#define MEMORY_OP_ZERO     1u /* fill the range with zeros */
#define MEMORY_OP_DECOMMIT 2u /* give the pages back; they read as zero again */
#define MEMORY_OP_COMMIT   3u /* allocate every page now */
#define MEMORY_OP_SIZE     4u /* returns the size */
#define MEMORY_OP_READ     5u /* copy the range to buffer */
#define MEMORY_OP_WRITE    6u /* copy buffer to the range */
#define MEMORY_OP_PHYSICAL \
    7u /* buffer: uint64_t per page; RIGHT_CONTROL; of memory_physical only */

/* Of memory with a pager (memory_paged), with RIGHT_CONTROL; page-aligned ranges. */
#define MEMORY_OP_SUPPLY \
    8u /* buffer: struct abi_supply; absent pages of the range become source's; returns how many */

struct abi_supply {
    uint64_t offset; /* in source, page-aligned */
    handle_t source; /* RIGHT_READ; with MOVE also RIGHT_WRITE */
    uint32_t flags;  /* SUPPLY_* */
};

/* Dirty pages were written to through a mapping or by MEMORY_OP_WRITE and _ZERO. */
#define MEMORY_OP_DIRTY \
    9u /* buffer: struct abi_page_run, the first dirty pages of the range that lie together; their count */
#define MEMORY_OP_COLLECT \
    10u /* the same, and they are being written from now on: clean, unless written to again */
#define MEMORY_OP_WRITTEN 11u /* collected pages of the range are on the medium */
#define MEMORY_OP_REDIRTY 12u /* they are not: dirty again */
#define MEMORY_OP_EVICT   13u /* pages neither dirty nor being written go; returns how many */
#define MEMORY_OP_SYNC \
    14u /* RIGHT_WRITE: the service writes back what is dirty in the range (OP_PAGE_OUT) */

#define MEMORY_OP_SOURCE \
    15u /* buffer: struct abi_supply, offset 0; what answers to OP_PAGE_IN take their pages from, without a SUPPLY;
         * source HANDLE_NONE: nothing. Not memory with a pager itself */

#define MEMORY_OP_COUNT 16u /* returns how many pages it has: those nobody wrote are not there */

#define MEMORY_OP_PRESENT \
    17u /* buffer: uint64_t for each 64 pages of the range, begun ones, too: a bit for each page that is there, the lowest
         * is the first's. Of memory with a pager, with RIGHT_CONTROL */

struct abi_page_run {
    uint64_t offset, length; /* bytes */
};

#define SUPPLY_MOVE 0x1u /* source loses the pages; without it they are shared, copied on write */
#define SUPPLY_DIRTY \
    0x2u /* what the medium does not have: they are dirty from the first moment. Not of a SOURCE */

#define MAP_SHARED_    0x01u /* writes go to the memory object; without it they stay private */
#define MAP_FIXED_     0x02u /* at address exactly, replacing what is there */
#define MAP_NOREPLACE_ 0x04u /* with FIXED: E_EXISTS where something is there */
#define MAP_POPULATE_  0x08u /* fault every page in now */

struct abi_map {
    uint64_t address; /* page-aligned; without FIXED a hint, 0: anywhere */
    uint64_t length;  /* rounded up to pages */
    uint64_t offset;  /* into memory, page-aligned */
    handle_t memory;  /* HANDLE_NONE: private anonymous memory, zero on first touch */
    uint32_t protection;
    uint32_t flags;
    uint32_t reserved;
};

#define SPACE_OP_DISCARD \
    1u /* drop private pages: they read as zero (or as the memory object) again */
#define SPACE_OP_MOVE \
    2u /* value: new page-aligned address; the pages move there, nothing may be there */
#define SPACE_OP_QUERY \
    3u /* PROT_* of the region at address | MAP_SHARED_ << 8, E_FAULT if none; length ignored */
#define SPACE_OP_FIND 4u /* the lowest free range of length at or above address */
#define SPACE_OP_HUGE 5u /* value: HUGE_*, for the private memory of the range from now on */
#define SPACE_OP_SYNC \
    6u /* what was written through shared mappings of the range is on the medium (MEMORY_OP_SYNC) */

/* Huge pages (2 MiB): where the memory beside them is in use and they are easily had, from the first touch, not. */
#define HUGE_DEFAULT 0u
#define HUGE_ALWAYS  1u
#define HUGE_NEVER   2u

/* Processes. */
struct abi_process_create {
    uint64_t name; /* const char *: at most PROCESS_NAME_MAX */
    uint64_t name_length;
    handle_t space_of;    /* share this process's space (RIGHT_MAP on it); HANDLE_NONE: a new one */
    uint32_t flags;       /* PROCESS_PRIORITY_LIMIT | n, PROCESS_ORDINARY, PROCESS_HOLDS_ACCOUNT */
    uint64_t limits;      /* const uint64_t[limit_count], by enum quota: see below */
    uint32_t limit_count; /* 0: the process is of account_of's account; else of a new one in that */
    /* HANDLE_SELF: the creator; else a process (RIGHT_CONTROL) of the account that is meant, or that holds it. */
    handle_t account_of;
};

/* The highest real-time priority the process and those it makes may give a thread: n, 0 to 31, at most the creator's own
 * limit (E_PERMISSION). Without it they have the creator's. */
#define PROCESS_PRIORITY_LIMIT 0x100u
/* Neither it nor those it makes get memory from the reserve that is kept for the system's own processes. Without it they
 * do if the creator does. */
#define PROCESS_ORDINARY 0x200u
/* The process is not of the new account but holds it: once it has ended, killed or because its last handle is gone, so does
 * everybody in the account and in those inside it (EXIT_ACCOUNT), and nobody can be made there any more (E_NO_PROCESS). */
#define PROCESS_HOLDS_ACCOUNT 0x400u

#define PROCESS_NAME_MAX 31u

/* Quotas: what the processes of an account may use together (abi/quotas.def). A fork is of its parent's account. A new
 * account is a part of its creator's: what is used in it counts in both, and a limit above the creator's means the
 * creator's. */
enum quota {
#define QUOTA(number, name, text, meaning) QUOTA_##name = (number),
#include "abi/quotas.def"
#undef QUOTA
    QUOTA_COUNT
};

#define QUOTA_UNLIMITED UINT64_MAX

struct abi_quota {
    uint64_t used;
    uint64_t limit; /* QUOTA_UNLIMITED: none */
};

/* Where the kernel enters the personality, and which addresses are its own. All 0: none. */
struct abi_personality {
    uint64_t text_start, text_end;
    uint64_t window_start, window_end; /* the restartable return */
    uint64_t call_entry;
    uint64_t exception_entry;
    uint64_t kick_entry;
    uint64_t nested_entry; /* an exception inside text */
};

struct abi_exec {
    uint64_t
        maps; /* const struct abi_map *; memory handles are the caller's; all are mapped FIXED */
    uint64_t map_count;
    uint64_t entry;
    uint64_t stack;
    uint64_t argument;  /* rdi of the first thread */
    uint64_t argument2; /* rsi */
    uint64_t block;     /* of the first thread; 0: no personality */
    struct abi_personality personality;
    uint64_t handles; /* const handle_t *: the caller's, moved to the process */
    uint64_t handle_count;
    uint64_t
        handle_values; /* handle_t *, caller's memory: their numbers in the process, filled in before its start */
    uint64_t flags; /* EXEC_* */
};

#define EXEC_SUSPENDED \
    0x1u /* the first thread waits for THREAD_RESUME: the caller may still write startup data */

struct abi_fork {
    uint64_t entry; /* of the child's only thread */
    uint64_t stack;
    uint64_t argument;  /* rdi */
    uint64_t argument2; /* rsi */
    uint64_t fs_base, gs_base;
    uint64_t block;
    uint64_t flags;  /* FORK_* */
    handle_t thread; /* out: a handle to that thread; it is created suspended */
    uint32_t reserved;
    uint64_t id; /* out: the child's process id */
};

#define FORK_SHARE_SPACE \
    0x1u /* the child runs in the same space (vfork): only its handles are copied */

#define PROCESS_EXITED 0x1u
#define PROCESS_KEPT   0x2u /* the one of SYSTEM_KEEP, or who came in its place */

struct abi_process_info {
    uint64_t id;       /* the badge services see */
    uint32_t state;    /* PROCESS_EXITED, PROCESS_KEPT */
    uint32_t status;   /* of process_kill, or EXIT_EXCEPTION | vector */
    uint64_t pages;    /* private pages it owns */
    uint64_t mapped;   /* bytes of its space that something is mapped at */
    uint64_t cpu_time; /* ns */
    uint64_t start_time;
    uint32_t threads;
    uint32_t handles;
    uint32_t name_length;
    char name[PROCESS_NAME_MAX + 1];
    uint32_t reserved;
};

#define PROCESS_INTERRUPT 1u /* kick one thread: the first that waits interruptibly, else any */
#define PROCESS_SUSPEND   2u
#define PROCESS_RESUME    3u
#define PROCESS_NAMESPACE \
    4u /* value: a namespace of the caller's, which is the process's from now on */
#define PROCESS_EXCEPTIONS \
    5u /* value: a port (RIGHT_ACCEPT) that is told of CPU exceptions of its threads from now on (OP_EXCEPTION), before its
        * personality; HANDLE_NONE: none. RIGHT_MAP too: who is told can read and write its memory */

#define EXIT_EXCEPTION \
    0x80000000u /* status: ended by CPU exception (low byte: vector) nobody handled */

#define EXIT_ACCOUNT 9u /* status: ended with its account; a POSIX parent takes it for SIGKILL */

struct abi_thread {
    uint64_t entry, stack, argument, argument2;
    uint64_t fs_base, gs_base;
    uint64_t block; /* 0: no personality */
    uint64_t flags; /* THREAD_CREATE_* */
};

#define THREAD_CREATE_SUSPENDED 0x1u

#define THREAD_YIELD 1u
#define THREAD_PRIORITY \
    2u /* value: 0 fair, 1..31 real time, higher first; E_PERMISSION past the caller's limit */
#define THREAD_AFFINITY 3u /* value: CPU mask (first 64 CPUs); 0: all */
#define THREAD_SUSPEND  4u
#define THREAD_RESUME   5u
#define THREAD_INTERRUPT \
    6u /* kick: enter the personality's kick_entry; end an interruptible wait */
#define THREAD_SET_FS    7u
#define THREAD_SET_GS    8u
#define THREAD_SET_BLOCK 9u  /* HANDLE_SELF only */
#define THREAD_GET_FRAME 10u /* buffer: struct abi_frame of a suspended thread */
#define THREAD_CPU_TIME  11u /* ns */
#define THREAD_GET_CPU   12u
#define THREAD_ID        13u
#define THREAD_WEIGHT    14u /* value: share in the fair class, 1..10000, 1024 the usual */

/* A thread's registers in user mode. */
struct abi_frame {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8;
    uint64_t rax, rcx, rdx, rsi, rdi;
    uint64_t vector, error; /* of the exception; 0 for a kick */
    uint64_t rip, cs, rflags, rsp, ss;
    uint64_t address; /* of a page fault (CR2) */
    uint64_t cause;   /* of a page fault: E_*, why the page could not be had; else 0 */
};

/* What kernel and personality share, at the top of the personality's stack of each thread. */
struct abi_block {
    uint64_t rip, rflags, rsp; /* of the foreign call, written by the kernel */
    uint32_t kick;             /* set by the kernel: a kick came while in the personality */
    uint32_t reserved;
    struct abi_frame frame; /* exceptions and kicks in the program */
    uint64_t personality[]; /* the personality's own */
};

/* The relay. */
#define COMMAND_HANDLES 4u
#define PATH_LENGTH_MAX 4096u

#define COMMAND_POSITION \
    0x01u /* args[0] := the file's position, which the value then advances (seekable files) */
#define COMMAND_NONBLOCK \
    0x02u /* answer E_AGAIN rather than wait (set by the kernel from HANDLE_FLAG_NONBLOCK too) */
#define COMMAND_APPEND 0x04u /* set by the kernel from HANDLE_FLAG_APPEND */
#define COMMAND_RESTARTABLE \
    0x08u                 /* the caller does not want to be interrupted by kicks, only killed */
#define COMMAND_IN  0x10u /* file_call_short: the window is lent for reading */
#define COMMAND_OUT 0x20u /* file_call_short: ... for writing */

struct abi_command {
    /* request */
    uint32_t op;
    uint32_t flags; /* COMMAND_* */
    uint64_t args[4];
    int64_t deadline; /* 0 is DEADLINE_NEVER here, so that a zeroed structure waits */
    uint64_t in;      /* const void *: what the service may read */
    uint64_t in_length;
    uint64_t out; /* void *: what it may write */
    uint64_t out_length;
    handle_t send[COMMAND_HANDLES]; /* moved to the service when it accepts */
    uint32_t send_count;
    /* completion */
    uint32_t receive_count;
    uint64_t values[3];
    handle_t receive[COMMAND_HANDLES]; /* new handles of the caller */
    /* file_call returns 0 or the error */
};

#define OPEN_READ      0x001u
#define OPEN_WRITE     0x002u
#define OPEN_CREATE    0x004u
#define OPEN_EXCLUSIVE 0x008u
#define OPEN_TRUNCATE  0x010u
#define OPEN_APPEND    0x020u
#define OPEN_DIRECTORY 0x040u /* E_NOT_DIRECTORY for anything else */
#define OPEN_NOFOLLOW  0x080u /* a symbolic link at the end is itself the thing named */
#define OPEN_NONBLOCK  0x100u
#define OPEN_PATH      0x200u /* only to name it: no reading, no writing */

struct abi_open {
    uint64_t uri; /* const char *; without "scheme://" it is fs's */
    uint64_t uri_length;
    uint32_t flags; /* OPEN_* */
    uint32_t mode;
    int64_t deadline;     /* 0: never */
    uint64_t link;        /* char *: where E_LINK puts the other URI */
    uint64_t link_length; /* in: room; out: its length */
};

struct abi_path_call {
    uint64_t uri;
    uint64_t uri_length;
    struct abi_command
        command; /* E_LINK: the other URI is in the out window, values[0] its length */
};

/* What proto_accept delivers. */
enum message_kind {
    MESSAGE_COMMAND = 1, /* return it with its token */
    MESSAGE_NOTIFY =
        2, /* a bound source: cookie is the key, args[0] its signals; or port_notify: cookie 0 */
    /* The caller of token wants it back: return it now, with what was done. A caller that was killed has left already, so
     * that this return is E_CANCELLED. */
    MESSAGE_CANCEL = 3,
    MESSAGE_CLOSE = 4, /* the last handle of file is gone; cookie is the service's again */
};

struct abi_message {
    uint64_t token;
    uint32_t kind; /* enum message_kind */
    uint32_t op;
    uint64_t cookie; /* the file's, from the completion of its OPEN */
    uint64_t file;   /* its id, for file_ready; 0 for path calls */
    uint64_t args[4];
    int64_t deadline;
    uint32_t flags;    /* COMMAND_* */
    uint32_t priority; /* the caller's */
    uint64_t caller;   /* process id */
    uint64_t trace;    /* the same on every hop of one request */
    uint64_t in_length;
    uint64_t out_length;
    uint32_t path_length; /* of the in bytes, the first path_length are the path */
    uint32_t data_length; /* of the in bytes, as many lie in the buffer already */
    uint32_t handle_count;
    handle_t handles[COMMAND_HANDLES];
    uint32_t reserved;
};

struct abi_return {
    uint64_t token;
    int64_t status; /* 0 or -E_* */
    uint64_t values[3];
    uint64_t data; /* const void *: copied to the start of the out window */
    uint64_t data_length;
    handle_t handles
        [COMMAND_HANDLES]; /* moved to the caller; for OPEN: the first is what open returns */
    uint32_t handle_count;
    uint32_t reserved;
};

/* The short form of the relay: a command without handles or deadline, and windows below 4 GiB, all of it in registers but
 * a path, which only the service's side may have. Both calls keep the registers that are not named, but rcx and r11.
 * lib/sys/syscall.h has them as functions.
 *
 *     file_call_short                                  proto_return_accept
 *          in                  out            in                            out, when rax > 0
 *     rdi  file                               port                          token
 *     rsi  op | flags << 32                   token (0: none)               cookie
 *     rdx  args[0]             values[0]      status | data_length << 32    op | flags << 32
 *     r10  args[1]             values[1]      values[0]                     args[0]
 *     r8   args[2] or window   values[2]      values[1]                     args[1]
 *     r9   args[3] or length   handle, or 0   data                          caller
 *     rbx                                     values[2]                     file
 *     r12                                     buffer                        in_length | out_length << 32
 *     r13                                     size                          trace
 *     r14                                     deadline                      args[2]
 *     r15                                     message                       args[3]
 *     rax                      0 or -E_*                                    MESSAGE_COMMAND | priority << 8
 *                                                                             | path_length << 32
 *
 * A notification by port_notify may come in registers, too: rax = MESSAGE_NOTIFY, r10 the bits, the others 0.
 * With COMMAND_IN or COMMAND_OUT r8 and r9 are the window, else args[2] and args[3]. A completion with more than one
 * handle loses the others. proto_return_accept answers rax = 0 when what it accepted does not fit: *message is
 * written then; and -E_* when it accepted nothing. A status or data that is refused (E_INVALID, E_FAULT) leaves the
 * command with the service; one whose caller has left is no error. */

/* port_bind: a binding ends with the process that made it, if that accepted on the port. */
#define BIND_ONCE 0x1u /* forget the binding after its first notification */

struct abi_wait {
    handle_t handle;
    uint32_t signals; /* in: wanted; HANGUP and ERROR are always */
    uint32_t ready;   /* out */
    uint32_t reserved;
};

/* What a port keeps for its services to come (port_keep, memory_paged). Namespaces, and ends of streams and
 * listeners that receive, cannot be kept (E_NOT_SUPPORTED); a port that keeps ports cannot be kept itself (E_INVALID). */
struct abi_kept {
    uint64_t key;    /* in: the lowest that is wanted; out: under which this is kept */
    uint64_t size;   /* out: of memory */
    handle_t handle; /* out: with the rights it was kept with */
    uint32_t flags;  /* in: KEPT_EXACT; out: KEPT_* */
};

#define KEPT_EXACT 0x1u /* E_NOT_FOUND rather than a higher key */
#define KEPT_PAGED 0x2u /* it has a pager: the port's service */
#define KEPT_USED  0x4u /* other handles name it or spaces map it */

#define NAMESPACE_EMPTY   0x1u
#define PROTOCOL_NAME_MAX 31u

#define SEEK_SET_ 0u
#define SEEK_CUR_ 1u

/* What OP_STAT, OP_LIST and OP_STATFS answer. */
enum file_type { /* the numbers are those of struct dirent's d_type */
                 FILE_UNKNOWN = 0,
                 FILE_PIPE = 1,
                 FILE_CHARACTER = 2,
                 FILE_DIRECTORY = 4,
                 FILE_BLOCK = 6,
                 FILE_REGULAR = 8,
                 FILE_LINK = 10,
                 FILE_SOCKET = 12,
};

struct abi_stat {
    uint64_t size;
    uint64_t inode;
    uint64_t device;
    uint64_t blocks; /* of 512 bytes */
    uint32_t type;   /* enum file_type */
    uint32_t mode;   /* permission bits 07777 */
    uint32_t links;
    uint32_t block_size;
    uint32_t uid, gid;
    uint64_t rdev;
    int64_t accessed, modified, changed; /* ns since 1970 */
};

struct abi_dirent { /* as struct linux_dirent64 */
    uint64_t inode;
    int64_t next;    /* args[0] of the OP_LIST that goes on behind this one */
    uint16_t length; /* of this entry, a multiple of 8 */
    uint8_t type;
    char name[]; /* terminated */
};

struct abi_statfs {
    uint64_t type, block_size, blocks, free, available, files, files_free, name_max;
};

/* Streams. */
#define STREAM_PACKETS 0x1u /* boundaries kept */
#define STREAM_ONE_WAY 0x2u /* handles[0] only reads, handles[1] only writes: a pipe */

/* What travels beside the bytes. Whoever passes none sends none, and closes what comes. */
struct abi_stream_message {
    uint64_t handles;      /* handle_t *: those to send, which move; or room for those that come */
    uint32_t handle_count; /* in: how many, or how many there is room for; out: how many came */
    uint32_t lost;         /* out: how many more came and were closed for want of room */
    uint64_t
        sender; /* out: process id of who sent the bytes; 0: pipes do not tell, and at the end */
    uint64_t length; /* out: of the whole packet, or of all bytes that could be had in one go */
};

#define STREAM_HANDLES 253u /* at most in one message */

#define STREAM_PEEK 0x20u /* stream_receive: it all stays there, and no handles come */

/* stream_control */
#define STREAM_SHUTDOWN 1u /* value: RIGHT_READ, RIGHT_WRITE: no more in this direction */
#define STREAM_PENDING  2u /* bytes that are there, or the first packet's */
#define STREAM_PEER \
    3u /* process id of the other end's: who connected it, listened, or made the pair */
#define STREAM_KIND 4u /* STREAM_PACKETS, STREAM_ONE_WAY */

#define STREAM_BACKLOG_MAX 1024u /* stream_listen: more is cut */

#define STREAM_ATOMIC 4096u /* a send of at most this many bytes is not mixed with others */

#define TIMER_COUNT_MAX (UINT64_MAX - 1) /* timer_add waits while the sum would be more */

/* Futexes and clocks. */
#define FUTEX_SHARED_ 0x1u /* the key is the memory, not the address in this space */
#define FUTEX_STEADY  0x2u /* futex_wait: kicks do not end it, only a kill (for locks) */
#define FUTEX_ANY     0xffffffffu

#define CLOCK_MONOTONIC_ 1u
#define CLOCK_PROCESS_   2u
#define CLOCK_THREAD_    3u
#define CLOCK_REALTIME_  4u /* since 1970; abi/time.h */

/* Devices. */
enum resource_kind {
    RESOURCE_ROOT = 0, /* everything; only the first process is given it */
    RESOURCE_IRQ = 1,
    RESOURCE_IOPORT = 2,
    RESOURCE_MEMORY = 3,
    RESOURCE_MESSAGE = 4, /* vectors of these CPUs, for message-signalled interrupts */
    RESOURCE_DMA = 5,     /* RAM at these addresses, which may be told to devices */
    RESOURCE_POWER = 6,   /* SYSTEM_POWER_OFF, SYSTEM_RESET; its range means nothing */
    RESOURCE_CLOCK = 7,   /* base 0, count 1: setting real time */
};

#define IRQ_EDGE  0x0u
#define IRQ_LEVEL 0x1u
#define IRQ_LOW   0x2u
#define IRQ_ISA \
    0x4u /* line is an ISA interrupt: its source override decides trigger and polarity */
#define IRQ_MESSAGE 0x8u /* no line: a vector of CPU `line`, or of IRQ_ANY_CPU; alone */
#define IRQ_ANY_CPU 0xffffffffu

/* What a device writes where to fire an IRQ_MESSAGE. */
struct abi_irq_message {
    uint64_t address;
    uint32_t data;
    uint32_t reserved;
};

#define IRQ_NOT_MINE \
    0x1u /* irq_ack: the driver's device had not fired; when nobody's ever has, the line is masked */

#define LOG_READ_CONSOLE \
    0x1u /* log_read: only what goes to a console now (log=); the resource shows SIGNAL_READABLE when more comes */

struct abi_log_read {
    uint64_t sequence; /* in: first wanted; out: the one behind what was read */
    uint64_t buffer;   /* char *: lines, each ending in '\n' */
    uint64_t length;   /* in: room; out: bytes */
};

#define SYSTEM_POWER_OFF 1u
#define SYSTEM_RESET     2u
#define SYSTEM_FAIL_ALLOCATION \
    3u /* value k: the k-th allocation of the calling process from now on fails; 0: off */
#define SYSTEM_DEBUG_EXIT 4u /* value: exit code for QEMU's isa-debug-exit */
#define SYSTEM_KEEP \
    5u /* value: handle (RIGHT_CONTROL) of a process that was filled and does not run yet. Whenever it ends the kernel
        * runs a copy of what it is now, with the same handle numbers. There is one such process: E_BUSY */

#define SYSTEM_SCREEN \
    6u /* the loader's framebuffer is a service's from now on: the kernel draws there only when it panics */
#define SYSTEM_IDLE_POLL \
    7u /* value: for so many ns an idle CPU looks for work before it halts, while others work; 0: not at all. Returns what it was */
#define SYSTEM_CONSOLE \
    8u /* the serial console is the kernel's again: who was given its ports writes there no more */

/* Configuration space of PCI in memory (ACPI's MCFG): bus b of first_bus to last_bus at address + (b << 20). */
struct abi_pci_segment {
    uint64_t address; /* of bus 0; 0: no segment, nor behind it in the list */
    uint16_t segment;
    uint8_t first_bus, last_bus;
    uint32_t reserved;
};

#define ABI_PCI_SEGMENTS 4u

struct abi_system_info {
    uint64_t frames_total, frames_free; /* of PAGE_SIZE */
    uint64_t objects[16];               /* alive, by OBJECT_* */
    uint64_t handles;                   /* in all tables */
    uint64_t commands;                  /* sent and not completed */
    uint64_t bindings;
    uint64_t kernel_bytes; /* in kernel allocations that are in use */
    uint64_t cpus;
    uint64_t uptime; /* ns */
    uint64_t tsc_hz;
    uint64_t context_switches, interrupts, page_faults, shootdowns;
    uint64_t features; /* FEATURE_* */
    uint64_t xsave_size;
    uint64_t
        frames_kept; /* by the kernel: slabs of its allocations, stacks and page tables to come */
    uint64_t huge_pages;  /* mapped, in all address spaces */
    uint64_t page_tables; /* frames in the page tables of all address spaces */
    uint64_t
        shootdown_interrupts; /* sent to make other CPUs forget translations; shootdowns: the occasions */
    struct abi_pci_segment pci[ABI_PCI_SEGMENTS];
    uint64_t reschedule_interrupts; /* sent to make other CPUs look whom they run */
    uint64_t rtc_century;           /* its register in CMOS RAM, as ACPI says; 0: it does not */
    uint64_t rtc_absent;            /* ACPI says that there is no such clock */
};

#define FEATURE_FSGSBASE 0x1u /* rdfsbase and its kin work in user mode */
#define FEATURE_XSAVE    0x2u
