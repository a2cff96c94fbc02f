/* What drivers of block devices share: they start requests and say when these are done; everything else of disk:// (abi/disk.h:
 * files and partitions, windows and memory without a copy, splitting, flushing, retrying, being found by diskd) is here.
 *
 *     disk_host_open(&host, "pci:///00:04.0", &pci, &driver, context)    the function is claimed; `use disk pci`, `port disk` in service.conf
 *                                                                        (a device of another bus: pci NULL, driver.memory)
 *     disk = (struct disk){.name = "vd0", .geometry = ..., .segments = 126, ...};
 *     disk_add(&host, &disk)                                    any time: a device that was plugged in, too
 *     sys_port_bind(host.port, irq, SIGNAL_READABLE, key, 0)    then driver.notified(context, key, signals) is called
 *     disk_host_run(&host)                                      returns when the port fails
 *
 *     start(disk, request) --> the device --interrupt--> notified: disk_done(request, status), for each
 *
 *     disk_changed(&disk)        its geometry is another now (it was resized)
 *     disk_remove(&disk)         it is gone: whatever is under way and comes later is E_NO_DEVICE. Requests that were started are not
 *                                the driver's any more
 *
 * A request is whole: sectors inside the device, segments within what the disk said of itself, so a driver checks nothing of it.
 * It is started once, and done once, with
 *
 *     0, -E_MEDIUM, -E_IO, -E_NO_SPACE, ...     the caller's answer
 *     DISK_LOST                                 the device was reset or forgot it: it is started again, DISK_TRIES times in all
 *
 * A request that is not done in time (disk.patience) makes `reset` be called, and everything of the disk that was under way is
 * lost. One thread: all of this, and the driver's functions, are called on that of disk_host_run (or before it).
 */
#pragma once

#include "abi/bus.h"
#include "abi/disk.h"
#include "lib/base/list.h"
#include "lib/disk/split.h"
#include "lib/pci/driver.h"

#define DISK_TRIES 4u
/* What a driver keeps with its port for itself has keys from here on; below are the library's. */
#define DISK_KEPT (UINT64_C(1) << 63)
#define DISK_LOST INT64_C(1)

#define DISK_PATIENCE_NS INT64_C(30000000000)

struct disk_host;
struct disk;

struct disk_request {
    uint32_t op;     /* DISK_READ, DISK_WRITE, OP_SYNC, DISK_DISCARD */
    uint32_t flags;  /* DISK_THROUGH, if the disk can; DISK_ZERO */
    uint64_t sector; /* the first, and how many; OP_SYNC: 0 and 0 */
    uint32_t count;
    uint32_t segment_count;
    const struct disk_segment *segments; /* of DISK_READ and DISK_WRITE, together `count` sectors */
    struct disk *disk;
    uint64_t own[2]; /* the driver's */

    /* the library's */
    struct list link;
    struct disk_job *job;
    int64_t deadline;
    uint32_t tries;
};

/* What reaches the disks' memory is the PCI function (lib/pci), or something else that the driver names here. Of a pci_dma `bytes`, `length` and
 * `memory` are what they say; `pages` are whatever the driver wants to find as the addresses of segments: those of one memory
 * follow one another without a gap. */
struct disk_memory {
    int64_t (*make)(struct disk_host *host, uint64_t length, struct pci_dma *dma);
    /* Clients are given it, too: with the handle the next driver reaches it again. */
    int64_t (*lend)(struct disk_host *host, uint64_t length, struct pci_dma *dma);
    int64_t (*again)(struct disk_host *host, handle_t memory, struct pci_dma *dma);
    void (*free)(struct disk_host *host, struct pci_dma *dma);
};

struct disk_driver {
    /* The device has it from now on (but need not be told before `send`): 0. -E_AGAIN: there is no room for it now; it comes again
     * after the next disk_done of this host. Others: the answer. */
    int64_t (*start)(struct disk *disk, struct disk_request *request);
    /* So much was started that the device may be told. May be NULL. */
    void (*send)(struct disk *disk);
    /* Afterwards the device knows nothing of the disk's requests, and touches no memory of theirs; it works, or -E_*: it is lost for
     * good and is removed. May wait. Requests of other disks that went with it: disk_lost. */
    int64_t (*reset)(struct disk *disk);
    /* Something bound to host.port has fired. May be NULL. */
    void (*notified)(void *context, uint64_t key, uint64_t signals);
    /* The machine stops: what lies in the disk's cache goes to the medium. May wait, but gets no `notified`. May be NULL. */
    void (*stopping)(struct disk *disk);
    /* Nobody has the disk any more after its disk_remove: its memory is the driver's again. May be NULL. */
    void (*released)(struct disk *disk);
    /* May the file be opened? With the next driver it is opened again, under the same number; later files have higher ones. 0 or -E_*.
     * May be NULL. */
    int64_t (*opens)(struct disk *disk, uint64_t file);
    const struct disk_memory *memory; /* NULL: of the PCI function */
};

/* Of the driver's allocation; zero but for what is filled in before disk_add. */
struct disk {
    char name[DISK_NAME_MAX +
              1]; /* the wish for disk:///<name>, the same after each start: disk_ordinal */
    struct disk_geometry geometry; /* but for start and transfer, which follow from the rest */
    uint32_t segments;             /* of a request: at most so many */
    uint32_t segment_bytes;        /* each: at most so long; 0: any length */
    uint32_t bytes;                /* of a request: at most so many */
    bool
        whole_pages; /* between two segments of a request both end and beginning lie on pages (NVMe's PRPs) */
    uint64_t discard_bytes; /* of one DISK_DISCARD: at most so many; 0: any */
    bool through;           /* it knows DISK_THROUGH; else it gets an OP_SYNC behind the write */
    int64_t patience;       /* ns; 0: DISK_PATIENCE_NS */
    void *own;              /* the driver's */

    /* the library's */
    struct disk_host *host;
    struct disk_limits limits;
    struct list link, files, jobs;
    /* Requests: to be started (again); those the device has, oldest first; not in use. */
    struct list waiting, started, spare;
    uint32_t request_count;
    /* Jobs: with more requests to be made; that wait for one they overlap with. */
    struct list ready, blocked;
    uint32_t unaligned; /* jobs under way that write parts of sectors */
    uint32_t number;    /* of the host's disks: 2, 3, ... */
    bool gone;
    bool leaving; /* disk_remove is at it, which lets go of the disk last */
};

/* One for each process, so for each PCI function or other device. */
struct disk_host {
    handle_t port;
    const struct disk_driver *driver;
    void *context;
    const struct pci_device *pci;

    /* the library's */
    char function[BUS_NAME_MAX + 1];
    struct list disks;
    struct list watchers; /* files of the list of disks */
    struct list holds;    /* of what files have for themselves */
    /* Memory for callers' windows, and jobs that wait for some. */
    struct list chunks, starving;
    uint32_t chunk_count, disk_count;
    uint64_t jobs; /* ever */
};

/* function: argv[1]. The port is this process's own ("port:disk"). */
MUST_CHECK int64_t disk_host_open(struct disk_host *host, const char *function,
                                  const struct pci_device *pci, const struct disk_driver *driver,
                                  void *context);
int64_t disk_host_run(struct disk_host *host);

MUST_CHECK int64_t disk_add(struct disk_host *host, struct disk *disk);
void disk_changed(struct disk *disk);
void disk_remove(struct disk *disk);

/* status: 0, -E_* or DISK_LOST. The request is not the driver's any more. */
void disk_done(struct disk_request *request, int64_t status);
/* All that was started of it is lost. */
void disk_lost(struct disk *disk);

/* How many functions that `fits` answers true for pci:// lists in front of this one: the number in "vd0", which so does not depend on who
 * starts first. */
uint32_t disk_ordinal(const char *function,
                      bool (*fits)(uint32_t class_code, uint16_t vendor, uint16_t device));
