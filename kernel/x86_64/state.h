/* What a panic shows of this machine: arch_print_state, arch_backtrace, arch_backtrace_stopped. state.c */
#pragma once

#include "kernel/arch.h"

/* The calling CPU is stopped, by an NMI that came here. */
void state_stopped(const struct abi_frame *frame);
