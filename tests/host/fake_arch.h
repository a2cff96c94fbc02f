/* The machine, for host tests: what kernel/arch.h wants inline. Compiled in with
 * -DARCH_INLINE='"tests/host/fake_arch.h"' (mk/test.mk).
 *
 *     // sources: tests/host/fake_arch.c ...             CPUs, clock, timers, log, panic; physical memory
 *     // sources: ... tests/host/fake_cpus.c tests/host/fake_kernel.c      CPUs that run threads (fake_cpus.h)
 *     // sources: ... tests/host/fake_space.c            page tables, a TLB, user copies; needs kernel/vmm/frame.c
 *     fake_ram(ranges...), frame_init(&boot_info)        as much RAM as the test wants, anywhere below 1 TiB
 *     fake_cpu_enter(3)                                  this host thread is CPU 3 from now on
 *
 * Every function is weak: a test, or the kernel's own file, may define it instead. Addresses: physical memory
 * is one sparse host mapping. The TLB remembers translations that were used until arch_tlb_flush, so a
 * forgotten flush shows up as an access through a stale one.
 */
#pragma once

#include "abi/abi.h"
#include "lib/base/address.h"
#include "lib/base/base.h"

#include <sched.h>

#define FAKE_CPUS 8u

struct cpu;
struct fake_fiber;

struct arch_thread {
    struct fake_fiber *fiber; /* fake_cpus.c */
};

struct register_frame {
    uint64_t r15, r14, r13, r12, rbx, rbp, rax, rdi, rsi, rdx, r10, r8, r9;
};

struct arch_space {
    uint64_t root; /* physical; 4 levels of 512 entries */
    uint64_t id;
};

struct arch_cpu {
    uint64_t timer_deadline; /* of arch_timer_set */
    uint64_t kicks;          /* by arch_cpu_kick */
    uint32_t kicked;         /* fake_cpus.c: an interrupt waits */
};

/* The host thread's; a function, since a thread of fake_cpus.c that was switched away from goes on in another host thread,
 * and the compiler may keep the address of a thread-local variable. */
struct cpu *cpu_self(void);

extern char *fake_memory;        /* physical address 0 */
#if defined(__SANITIZE_THREAD__) /* leaves no room for more */
#define FAKE_MEMORY_SIZE (UINT64_C(1) << 36)
#else
#define FAKE_MEMORY_SIZE (UINT64_C(1) << 40)
#endif

static inline void fake_yield(void)
{
    sched_yield();
}

#define sched_yield kernel_sched_yield /* the scheduler's own */

static inline void arch_pause(void)
{
    fake_yield();
}

uint64_t arch_cycles(void);

static inline void *direct_map(paddr_t address)
{
    return fake_memory + address.value;
}

static inline paddr_t direct_map_paddr(const void *pointer)
{
    return PADDR((uint64_t)((const char *)pointer - fake_memory));
}

static inline bool user_range_ok(uaddr_t start, size_t length)
{
    uint64_t limit = UINT64_C(0x7ffffffff000);

    return start.value <= limit && length <= limit - start.value;
}

/* Flags in the low bits, present above them. */
typedef uint64_t pte_t;

#define PAGE_USER    0x01u
#define PAGE_WRITE   0x02u
#define PAGE_EXECUTE 0x04u
#define PAGE_OWNED   0x08u
#define PAGE_NOCACHE 0x10u
#define PAGE_COMBINE 0x20u
#define PAGE_GLOBAL  0x40u
#define PAGE_HOT     0x80u

/* Small tables, and so small huge pages: 8 pages each. */
#define TABLE_BITS      3u
#define TABLES_MADE_MAX 11u

#define FAKE_PRESENT  0x100u
#define FAKE_HUGE     0x400u /* in a table of the second level: a huge page */
#define FAKE_DIRTY    0x200u /* by pte_touch, and by every write */
#define FAKE_ACCESSED 0x800u /* by pte_touch, and before the TLB has the translation */

static inline bool pte_present(pte_t pte)
{
    return pte & FAKE_PRESENT;
}

static inline paddr_t pte_paddr(pte_t pte)
{
    return PADDR(ALIGN_DOWN(pte, (uint64_t)PAGE_SIZE));
}

static inline unsigned pte_flags(pte_t pte)
{
    return pte & 0xff;
}

static inline pte_t pte_move(pte_t pte, paddr_t address)
{
    return pte % PAGE_SIZE | address.value;
}

static inline pte_t pte_make(paddr_t address, unsigned flags)
{
    return address.value | flags | FAKE_PRESENT;
}

static inline pte_t pte_make_huge(paddr_t address, unsigned flags)
{
    return pte_make(address, flags) | FAKE_HUGE;
}

static inline bool pte_huge(pte_t pte)
{
    return pte & FAKE_HUGE;
}

static inline pte_t pte_hide(pte_t pte)
{
    return pte & ~(pte_t)FAKE_PRESENT;
}

static inline pte_t *pte_scan(pte_t *entry, const pte_t *end)
{
    while (entry < end && !*entry)
        entry++;
    return entry;
}

static inline pte_t pte_touch(pte_t pte)
{
    return pte | FAKE_DIRTY | FAKE_ACCESSED;
}

static inline pte_t pte_replacing(pte_t pte)
{
    return pte | FAKE_ACCESSED;
}

static inline pte_t pte_clean(pte_t pte)
{
    return pte & ~(pte_t)FAKE_DIRTY;
}

static inline pte_t pte_protect(pte_t pte)
{
    return pte & ~(pte_t)PAGE_WRITE;
}

static inline bool pte_owned(pte_t pte)
{
    return pte & PAGE_OWNED;
}

static inline bool pte_writable(pte_t pte)
{
    return pte & PAGE_WRITE;
}

static inline bool pte_dirty(pte_t pte)
{
    return pte & FAKE_DIRTY;
}

static inline bool pte_accessed(pte_t pte)
{
    return pte & FAKE_ACCESSED;
}

static inline pte_t pte_clear(pte_t *entry)
{
    return __atomic_exchange_n(entry, 0, __ATOMIC_SEQ_CST);
}

pte_t *arch_pte(struct arch_space *space, uint64_t address, bool create);

/* --- For tests ----------------------------------------------------------------------------------------- */

extern uint64_t fake_clock;     /* what arch_clock answers */
extern uint64_t fake_flushes;   /* calls of arch_tlb_flush */
extern bool fake_log;           /* show the log */
extern void (*fake_spin)(void); /* called by arch_spin_wait when set */

void fake_init(void);                          /* once per test: CPU 0, no RAM */
void fake_ram(uint64_t base, uint64_t length); /* adds to boot_info */
void fake_cpu_enter(uint32_t index);

struct space;
struct arch_space *fake_current_space(void); /* weak: of process_current() when there is one */
extern struct arch_space *fake_space_loaded; /* what fake_current_space answers without a process */
unsigned fake_tables(const struct arch_space *space); /* page tables in use */
static inline uint64_t arch_table_count(const struct arch_space *space)
{
    return fake_tables(space) - 1;
}
/* As a program would: through the TLB, faulting where it must. False: the fault could not be resolved. */
bool fake_user_access(uint64_t address, unsigned access, void *bytes, size_t length);
