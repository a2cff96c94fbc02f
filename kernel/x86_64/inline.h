/* The part of kernel/arch.h that must be inline, and the machine's part of the kernel's structures. */
#pragma once

#include "abi/abi.h"
#include "kernel/x86_64/pcid.h"
#include "lib/base/address.h"
#include "lib/base/base.h"
#include "lib/base/list.h"

struct cpu;
struct thread;

/* --- Address map (docs/machine.md) -------------------------------------------------------------------- */

#define USER_LIMIT      UINT64_C(0x00007ffffffff000) /* the last page stays empty: syscall.S */
#define DIRECT_MAP_BASE UINT64_C(0xffff800000000000) /* all RAM; up to 64 TiB */
#define DIRECT_MAP_SIZE (UINT64_C(1) << 46)
#define VMAP_BASE       UINT64_C(0xffffc00000000000) /* device memory */
#define VMAP_SIZE       (UINT64_C(1) << 39)
#define STACKS_BASE     UINT64_C(0xffffc10000000000) /* kernel stacks */
#define STACKS_SIZE     (UINT64_C(1) << 39)
#define KERNEL_BASE     UINT64_C(0xffffffff80000000) /* physical 0, as far as the kernel reaches */

static inline void *direct_map(paddr_t address)
{
    return (void *)(DIRECT_MAP_BASE + address.value);
}

/* Also for addresses in the kernel's image. */
static inline paddr_t direct_map_paddr(const void *pointer)
{
    uint64_t address = (uint64_t)pointer;

    return PADDR(address - (address >= KERNEL_BASE ? KERNEL_BASE : DIRECT_MAP_BASE));
}

static inline bool user_range_ok(uaddr_t start, size_t length)
{
    return start.value <= USER_LIMIT && length <= USER_LIMIT - start.value;
}

/* --- Structures --------------------------------------------------------------------------------------- */

typedef uint64_t pte_t;

#define TABLE_BITS      9u /* of an index into a page table of any level */
#define TABLES_MADE_MAX 3u

#define CPU_WORDS 4u /* of a mask of CPU_MAX bits */

struct arch_space {
    paddr_t root; /* PML4 */
    struct list
        tables; /* frames of the tables below it, by link; each behind the one it hangs on */
    uint64_t table_count;
    uint64_t
        recent; /* what the table of entries that was looked up last maps from; UINT64_MAX: none */
    pte_t *recent_table;
    uint64_t id;      /* never used twice: what PCIDs are handed out to */
    uint64_t flushes; /* rises with every flush: what is cached from before is stale (tlb.c) */
    uint64_t cpus[CPU_WORDS]; /* whose CR3 it is in */
};

static inline uint64_t arch_table_count(const struct arch_space *space)
{
    return space->table_count;
}

struct arch_thread {
    uint64_t rsp; /* while it does not run */
    uint64_t stack_top;
    uint64_t fs_base, gs_base; /* of user mode, while it does not run */
    void *fpu;                 /* save area; valid unless loaded in a CPU and changed there */
    struct cpu *fpu_cpu; /* where it was loaded last: still there if that CPU's fpu_owner says so */
};

/* What syscall.S pushes for a short call: the end of it is struct syscall_frame (thread.c). */
struct register_frame {
    uint64_t r15, r14, r13, r12, rbx, rbp;
    uint64_t rax; /* the number of the call until it is answered */
    uint64_t rdi, rsi, rdx, r10, r8, r9;
    uint64_t rip, rflags, rsp;
    uint64_t kind;
};

struct tss { /* SDM volume 3, 7.7. The hardware's layout: fields are not aligned */
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t ports_offset; /* of the permission bitmap; beyond the limit: no port is allowed */
} PACKED;

#define GDT_SLOTS   10u
#define PORTS_BYTES 8192u
#define STACKS_KEPT 4u

enum ist { IST_NMI = 1, IST_DOUBLE_FAULT = 2, IST_MACHINE_CHECK = 3, IST_COUNT = 3 };
#define IST_SIZE 8192u

/* An IST stack ends in a word that says whose it is: GS tells nothing when an NMI may come anywhere. */
struct ist_stack {
    uint8_t bytes[IST_SIZE - 32];
    uint64_t frame_rest[2]; /* abi_frame.address, .cause */
    struct cpu *cpu;
    uint64_t unused;
};

struct shootdown {
    struct arch_space *space; /* NULL: the kernel's half */
    uint64_t start, end;      /* end 0: everything */
    uint64_t flushes;         /* arch_space.flushes with this one */
    bool leave;               /* the space is about to go: stop using its tables */
    uint32_t pending;         /* CPUs that have not done it */
};

/* Empty tables for the next spaces (paging.c). */
#define TABLES_KEPT 32u
struct table_pool {
    unsigned count;
    struct frame *frames[TABLES_KEPT];
};

struct arch_cpu {
    struct cpu *self;         /* must be first: cpu_self() */
    uint64_t kernel_stack;    /* top of the current thread's */
    uint64_t user_rsp;        /* for three instructions of SYSCALL entry */
    struct arch_space *space; /* in CR3; NULL: the kernel's own tables */
    uint64_t space_bit;       /* this CPU in arch_space.cpus: the bit, */
    uint64_t space_word;      /* and the offset of the word, in bytes */
    struct thread *fpu_owner; /* whose state the registers hold */
    union {
        struct {
            bool fpu_live;     /* CR0.TS is clear: the current thread may have changed them */
            bool ports_open;   /* the TSS lets the current thread use some */
            bool bases_by_msr; /* for ever: no FSGSBASE */
        };
        uint32_t leave_more; /* any of them: there is more to do on leaving the thread */
    };
    uint64_t ports_version;         /* of the bitmap the TSS holds a copy of (ports.c); 0: none */
    uint32_t ports_low, ports_high; /* its part in use */
    uint32_t apic_id;
    uint64_t timer_deadline, timer_scale; /* the timer's own */
    uint32_t spin_turns;                  /* of arch_spin_wait, ever */
    struct shootdown shootdown;           /* asked of others */
    uint64_t incoming[CPU_WORDS];         /* CPUs that ask something of this one */
    struct pcid_table pcids;
    struct table_pool tables, roots;
    void *stacks[STACKS_KEPT]; /* for the next threads: vmap.c */
    unsigned stack_count;
    uint64_t gdt[GDT_SLOTS] ALIGNED(16);
    struct tss tss ALIGNED(128); /* within one page as far as the CPU reads it in one go */
    uint8_t port_bitmap[PORTS_BYTES +
                        1]; /* right behind the TSS; the CPU wants a byte of ones behind it */
    struct ist_stack ist[IST_COUNT] ALIGNED(16);
};

/* The word at GS base, arch_cpu.self. A variable in that address space, at 0 (offsets.c), rather than asm: so the
 * compiler knows that its value lasts until the next call, and no longer: the thread may be on another CPU then. */
extern struct cpu *__seg_gs cpu_at_gs;

static inline struct cpu *cpu_self(void)
{
    return cpu_at_gs;
}

static inline void arch_pause(void)
{
    __asm__ volatile("pause" : : : "memory");
}

static inline uint64_t arch_cycles(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/* --- Leaf page-table entries -------------------------------------------------------------------------- */

#define PTE_PRESENT  BIT(0)
#define PTE_WRITE    BIT(1)
#define PTE_USER     BIT(2)
#define PTE_PWT      BIT(3) /* with PCD: index into the PAT, see cpu.c */
#define PTE_PCD      BIT(4)
#define PTE_ACCESSED BIT(5)
#define PTE_DIRTY    BIT(6)
#define PTE_LARGE    BIT(7) /* in a PDPT or PD entry: it is a leaf */
#define PTE_GLOBAL   BIT(8)
#define PTE_OWNED    BIT(9)  /* software: PAGE_OWNED */
#define PTE_HOT      BIT(10) /* software: PAGE_HOT */
#define PTE_SOFT_NX  BIT(11) /* software: pte_no_execute of a CPU without NX */
#define PTE_NX       BIT(63)
#define PTE_ADDRESS  UINT64_C(0x000ffffffffff000)

extern uint64_t pte_no_execute; /* PTE_NX, or PTE_SOFT_NX, which only pte_flags reads */

/* The flags are bits of an entry; but execution is what an entry forbids. */
#define PAGE_USER     ((unsigned)PTE_USER)
#define PAGE_WRITE    ((unsigned)PTE_WRITE)
#define PAGE_OWNED    ((unsigned)PTE_OWNED)
#define PAGE_HOT      ((unsigned)PTE_HOT)
#define PAGE_GLOBAL   ((unsigned)PTE_GLOBAL)
#define PAGE_NOCACHE  ((unsigned)(PTE_PCD | PTE_PWT))
#define PAGE_COMBINE  ((unsigned)PTE_PWT)
#define PAGE_IN_ENTRY (PAGE_USER | PAGE_WRITE | PAGE_OWNED | PAGE_HOT | PAGE_GLOBAL | PAGE_NOCACHE)
#define PAGE_EXECUTE  0x1000u /* in no entry */

static inline bool pte_present(pte_t pte)
{
    return pte & PTE_PRESENT;
}

/* Absent for the CPU, but still known here. Never 0: a user entry keeps PTE_USER. */
static inline pte_t pte_hide(pte_t pte)
{
    return pte & ~PTE_PRESENT;
}

static inline bool pte_accessed(pte_t pte)
{
    return pte & PTE_ACCESSED;
}

/* Unused from now on; what it was. Until a CPU sets the accessed bit of an entry it caches nothing of it; so that may
 * not happen unseen between reading and writing. */
static inline pte_t pte_clear(pte_t *entry)
{
    pte_t old = *entry;

    if (likely(pte_accessed(old)))
        *entry = 0;
    else
        old = __atomic_exchange_n(entry, 0, __ATOMIC_RELAXED);
    return old;
}

/* Are four entries in a row unused? */
static inline bool pte_none(const pte_t *entry)
{
    return !(entry[0] | entry[1] | entry[2] | entry[3]);
}

/* The first entry in use of [entry, end); end: none. Most tables are nearly full, or nearly empty. */
static inline pte_t *pte_scan(pte_t *entry, const pte_t *end)
{
    if (entry < end && *entry)
        return entry;
    while (entry + 16 <= end && (int)pte_none(entry) & (int)pte_none(entry + 4) &
                                    (int)pte_none(entry + 8) & (int)pte_none(entry + 12))
        entry += 16;
    while (entry + 4 <= end && pte_none(entry))
        entry += 4;
    while (entry < end && !*entry)
        entry++;
    return entry;
}

/* The CPU would set these bits when the page is written to, which takes it a while. */
static inline pte_t pte_touch(pte_t pte)
{
    return pte | PTE_ACCESSED | PTE_DIRTY;
}

static inline pte_t pte_replacing(pte_t pte)
{
    return pte | PTE_ACCESSED;
}

static inline pte_t pte_clean(pte_t pte)
{
    return pte & ~PTE_DIRTY;
}

static inline pte_t pte_protect(pte_t pte)
{
    return pte & ~PTE_WRITE;
}

static inline bool pte_owned(pte_t pte)
{
    return pte & PTE_OWNED;
}

static inline bool pte_writable(pte_t pte)
{
    return pte & PTE_WRITE;
}

static inline bool pte_dirty(pte_t pte)
{
    return pte & PTE_DIRTY;
}

static inline paddr_t pte_paddr(pte_t pte)
{
    return PADDR(pte & PTE_ADDRESS);
}

/* The same for another page. */
static inline pte_t pte_move(pte_t pte, paddr_t address)
{
    return (pte & ~PTE_ADDRESS) | address.value;
}

static inline pte_t pte_make(paddr_t address, unsigned flags)
{
    return address.value | PTE_PRESENT | (flags & PAGE_IN_ENTRY) |
           (flags & PAGE_EXECUTE ? 0 : pte_no_execute);
}

/* In an entry of a PD. In one of a PT this bit would choose a memory type, and is never set. */
static inline pte_t pte_make_huge(paddr_t address, unsigned flags)
{
    return pte_make(address, flags) | PTE_LARGE;
}

static inline bool pte_huge(pte_t pte)
{
    return pte & PTE_LARGE;
}

static inline unsigned pte_flags(pte_t pte)
{
    return (unsigned)(pte & PAGE_IN_ENTRY) | (pte & pte_no_execute ? 0 : PAGE_EXECUTE);
}

/* --- Page tables (paging.c) ---------------------------------------------------------------------------- */

pte_t *arch_pte_search(struct arch_space *space, uint64_t address, bool create);

/* Most often it is in the table that was looked up last. */
static inline pte_t *arch_pte(struct arch_space *space, uint64_t address, bool create)
{
    if (likely((address ^ space->recent) < (uint64_t)PAGE_SIZE << TABLE_BITS))
        return space->recent_table + (address / PAGE_SIZE & ((1u << TABLE_BITS) - 1));
    return arch_pte_search(space, address, create);
}
