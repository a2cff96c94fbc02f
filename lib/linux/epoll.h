/* epoll: see epoll.c. */
#pragma once

#include "lib/linux/file.h"
#include "lib/linux/linux_abi.h"

struct abi_wait;

/* The file's last reference goes: nobody watches it any more. */
void epoll_forget(struct file *file);
/* The same file is behind another handle now. process->lock held. */
void epoll_changed_locked(struct file *file);
/* This is a forked child: its epolls are its own from now on. */
void epoll_forked(void);
/* poll of an epoll: what it would wait for, at most `room`; how many there are. process->lock held. */
uint64_t epoll_waits_locked(const struct file *file, struct abi_wait *waits, uint64_t room);
