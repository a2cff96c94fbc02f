/* Files in use: open, or with pages in memory. There is one of these for each of the library's nodes that is a regular file.
 *
 *     file = file_of(node)                    takes a reference of its own to the node
 *     file->opens++ ... file_closed(file)     as long as somebody has it open
 *     file_unnamed(file)                      it has lost its name
 *
 * A file that is not open stays for its pages, until memory is wanted (files_trim) or it has no name.
 */
#pragma once

#include "lib/base/list.h"
#include "lib/base/rbtree.h"
#include "lib/fat/fat.h"
#include "lib/sys/pager.h"

struct file {
    struct list link; /* of all, the latest used last */
    struct rb_node by_id;
    struct list dirty; /* of those with something to write */
    struct fat_node *node;
    uint64_t id;
    struct paged pages; /* memory HANDLE_NONE: it has none yet */
    uint8_t *address;   /* where they are mapped */
    uint64_t room;      /* bytes mapped there */
    uint64_t *present;  /* a bit for each page that is there */
    uint64_t words;     /* of them */
    uint64_t count;     /* of pages that are there */
    uint64_t next;      /* where a read would go on */
    uint64_t ahead;     /* pages to read at once */
    struct list opened; /* struct open */
    uint64_t view,
        view_length; /* a read of these bytes needs nothing but `address`: their pages are there */
    struct abi_stat stat; /* if `stated` */
    bool stated;
    bool used;     /* since the last time that memory was short */
    bool held;     /* it stays */
    bool shared;   /* a client got its memory */
    bool writable; /* ... to write to */
};

extern struct list files, dirty_files;

/* NULL: no memory. */
struct file *file_of(struct fat_node *node);
/* The one there is; NULL: none. */
struct file *file_known(struct fat_node *node);
struct file *file_by_id(uint64_t id);
void file_dirty(struct file *file);
/* Its memory goes, if nobody has it open or mapped, and with a name only when `forget`. */
void file_release(struct file *file, bool forget);
/* Files that are not used for longest go, with what they have in memory, until there are so few pages and files. */
void files_trim(uint64_t pages, uint64_t number);
uint64_t files_pages(void), files_number(void);
void files_count(int64_t change); /* of pages, by cache.c */
/* After a mount that goes on: every file that the library has a memory of, or that pages are kept of. */
MUST_CHECK int64_t files_recover(void);
