/* What a service is given and how it is kept: /etc/services.d/<name>.conf (sbin/<name>/service.conf in the tree).
 *
 *     program initfs:///sbin/rngd     default: initfs:///sbin/<name>
 *     argument --verbose              argv[1] on, one or more per line
 *     environment NAME=value NAME     without a value: initd's own, if it has one
 *     protocol rng                    protocols it serves: created for it, handed over as "port:rng"
 *     port vfat                       a port of its own for each of its processes, listed nowhere: "port:vfat"
 *     use proc initfs                 protocols it may name; nothing else is in its namespace ("proc" also gives the
 *                                     handle "proc")
 *     after procd                     started when these are ready
 *     ioport 0x3f8 8                  handle "ioport:0x3f8"
 *     irq 4 isa                       handle "irq:4"; flags isa, level, low
 *     memory 0xfed00000 0x1000        handle "memory:0xfed00000"
 *     lines 16 8                      handle "lines:0x10": the right to interrupt lines, to bind at will
 *     messages 0 4                    handle "messages:0x0": the right to message vectors of these CPUs
 *     dma 0x0 0x100000000             handle "dma:0x0": the right to RAM at these addresses, for devices
 *     power                           handle "power": the right to turn the machine off, and to reset it
 *     clock                           handle "clock": the right to set real time
 *     give framebuffer                handles of initd's own, under their names
 *     restart always                  or never
 *     limit memory 64M                what it and its processes may use at most: abi/quotas.def
 *     priority 4                      real-time priority of its first thread; 0: fair
 *     ready 5000                      milliseconds until it must accept on its protocols
 *     stop 2000                       ... it has for ending itself when the system stops
 */
#pragma once

#include "abi/abi.h"
#include "lib/base/base.h"

struct strings {
    char **items; /* NULL-terminated */
    size_t count;
};

struct device_range {
    uint64_t base, count; /* an interrupt: line, IRQ_* flags */
};

struct device_ranges {
    struct device_range *items;
    size_t count;
};

struct service_conf {
    char *name, *program;
    char *port;               /* NULL: none of its own */
    struct strings arguments; /* argv: program first */
    struct strings environment;
    struct strings protocols, uses, after, gives;
    struct device_ranges ioports, irqs, memories, lines, messages, dmas;
    bool limited; /* something of `limits` was said */
    uint64_t limits[QUOTA_COUNT];
    bool restart, power, clock;
    uint32_t priority;
    uint32_t ready_ms, stop_ms;
};

#define CONF_PRIORITY_MAX 31u
#define CONF_READY_MS     5000u /* default */
#define CONF_STOP_MS      2000u /* default */

struct conf_problem {
    uint32_t line;
    const char *text;
};

/* Reads a service's configuration; the text is changed, nothing of it is kept. 0, -E_BAD_FORMAT with *problem, or
 * -E_NO_MEMORY. *conf is to be destroyed in any case. */
MUST_CHECK int service_conf_parse(struct service_conf *conf, const char *name, char *text,
                                  size_t length, struct conf_problem *problem);
void service_conf_destroy(struct service_conf *conf);

/* Makes it the configuration of a driver of one device: its URI ("pci:///00:04.0") becomes argv[1], and the name ends in
 * "@00:04.0". False: no memory. */
MUST_CHECK bool service_conf_for_device(struct service_conf *conf, const char *uri);

/* Appends a copy. */
MUST_CHECK bool strings_add(struct strings *strings, const char *text);
void strings_destroy(struct strings *strings);
