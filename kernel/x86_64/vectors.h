/* Interrupt vectors: who gets which. Assembly includes this, too. */
#pragma once

/* CPU exceptions (SDM volume 3, 6.15). */
#define VECTOR_DIVIDE        0
#define VECTOR_DEBUG         1
#define VECTOR_NMI           2
#define VECTOR_BREAKPOINT    3
#define VECTOR_NO_FPU        7 /* #NM: CR0.TS is set */
#define VECTOR_DOUBLE_FAULT  8
#define VECTOR_STACK         12
#define VECTOR_PROTECTION    13
#define VECTOR_PAGE_FAULT    14
#define VECTOR_MACHINE_CHECK 18

#define VECTOR_EXCEPTIONS 32 /* how many the CPU has to itself */

#define VECTOR_DEVICE_FIRST 0x20
#define VECTOR_DEVICE_LAST  0xdf
#define VECTOR_SHOOTDOWN    0xf0 /* tlb.c */
#define VECTOR_RESCHEDULE   0xf1 /* arch_cpu_kick */
#define VECTOR_TIMER        0xf2
#define VECTOR_APIC_ERROR   0xfe
#define VECTOR_SPURIOUS     0xff

#define VECTORS 256
