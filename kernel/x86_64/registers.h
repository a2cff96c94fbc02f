/* Bits of the control registers, flags and MSRs the kernel sets, each by its name in the manuals (SDM volume 3:
 * 2.5 control registers, 2.6 XCR0, 5.8.8 SYSCALL, 11.12 PAT). Assembly includes this, too.
 */
#pragma once

/* From machine.h and from assembly: portable code sees none of this. */
#ifndef __ASSEMBLER__
#include <stdint.h>
#endif

#define CR0_MP BIT_(1)  /* WAIT obeys TS */
#define CR0_EM BIT_(2)  /* no FPU: emulate */
#define CR0_TS BIT_(3)  /* the next FPU instruction raises #NM */
#define CR0_NE BIT_(5)  /* FPU errors are #MF, not an interrupt */
#define CR0_WP BIT_(16) /* the kernel, too, obeys read-only pages: copy on write needs it */
#define CR0_PG BIT_(31)

#define CR3_NOFLUSH BIT_(63) /* keep what is cached under this PCID */

#define CR4_PAE        BIT_(5)
#define CR4_MCE        BIT_(6)
#define CR4_PGE        BIT_(7)
#define CR4_OSFXSR     BIT_(9)
#define CR4_OSXMMEXCPT BIT_(10)
#define CR4_UMIP       BIT_(11)
#define CR4_FSGSBASE   BIT_(16)
#define CR4_PCIDE      BIT_(17)
#define CR4_OSXSAVE    BIT_(18)
#define CR4_SMEP       BIT_(20)
#define CR4_SMAP       BIT_(21)

#define XCR0_X87    BIT_(0)
#define XCR0_SSE    BIT_(1)
#define XCR0_AVX    BIT_(2)
#define XCR0_AVX512 (BIT_(5) | BIT_(6) | BIT_(7)) /* masks, upper halves of 0-15, registers 16-31 */

#define RFLAGS_FIXED BIT_(1) /* always 1 */
#define RFLAGS_TF    BIT_(8)
#define RFLAGS_IF    BIT_(9)
#define RFLAGS_DF    BIT_(10)
#define RFLAGS_IOPL  (BIT_(12) | BIT_(13))
#define RFLAGS_NT    BIT_(14)
#define RFLAGS_RF    BIT_(16)
#define RFLAGS_AC    BIT_(18) /* in the kernel: user pages may be touched (STAC) */
/* Carry, parity, adjust, zero, sign, trap, direction, overflow, AC, ID: what a program may choose. */
#define RFLAGS_USER                                                                       \
    (BIT_(0) | BIT_(2) | BIT_(4) | BIT_(6) | BIT_(7) | RFLAGS_TF | RFLAGS_DF | BIT_(11) | \
     RFLAGS_RF | RFLAGS_AC | BIT_(21))

#define MSR_PAT            0x277
#define MSR_EFER           0xc0000080
#define MSR_STAR           0xc0000081 /* selectors of SYSCALL and SYSRET */
#define MSR_LSTAR          0xc0000082 /* where SYSCALL goes */
#define MSR_SFMASK         0xc0000084 /* flags SYSCALL clears */
#define MSR_FS_BASE        0xc0000100
#define MSR_GS_BASE        0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102 /* what SWAPGS swaps in: in the kernel, the user's */

#define EFER_SCE BIT_(0) /* SYSCALL */
#define EFER_LME BIT_(8)
#define EFER_NXE BIT_(11)

/* Selectors. SYSRET wants user data right below user code, SYSCALL kernel data right above kernel code; the
 * numbers of the user's are those Linux programs find in their signal frames. */
#define SELECTOR_KERNEL_CODE 0x10
#define SELECTOR_KERNEL_DATA 0x18
#define SELECTOR_SYSRET \
    0x23 /* + 8: user data, + 16: user code. Its own slot (32-bit code) stays empty */
#define SELECTOR_USER_DATA 0x2b
#define SELECTOR_USER_CODE 0x33
#define SELECTOR_TSS       0x40 /* two slots */

#ifdef __ASSEMBLER__
#define BIT_(n) (1 << (n))
#else
#define BIT_(n) (UINT64_C(1) << (n))
#endif
