/* Names of usb:// (abi/usb.h), and the cookies of what they name: numbers, which stay right when devices go. */
#pragma once

#include "sbin/usbd/device.h"

enum node {
    NODE_ROOT = 1,
    NODE_DEVICES,
    NODE_TREE,
    NODE_DEVICE, /* a folder */
    NODE_INFO,
    NODE_DESCRIPTORS,
    NODE_INTERFACE, /* a folder */
    NODE_CLAIM,
    NODE_ENDPOINT,
};

/* number: of a connection, or of a watcher of `devices`. As a cookie: kind << 56 | interface << 48 | address << 40 | number. */
struct name {
    enum node node;
    uint8_t interface, address;
    uint64_t number;
};

#define NAME_NUMBER_MAX ((UINT64_C(1) << 40) - 1)
#define NAME_SIZE       36u /* "999-255.255.255.255.255.255:255" */

static inline uint64_t name_cookie(const struct name *name)
{
    return (uint64_t)name->node << 56 | (uint64_t)name->interface << 48 |
           (uint64_t)name->address << 40 | name->number;
}

static inline struct name name_of_cookie(uint64_t cookie)
{
    return (struct name){(enum node)(cookie >> 56), (uint8_t)(cookie >> 48),
                         (uint8_t)(cookie >> 40), cookie & NAME_NUMBER_MAX};
}

static inline bool name_is_folder(const struct name *name)
{
    return name->node == NODE_ROOT || name->node == NODE_DEVICE || name->node == NODE_INTERFACE;
}

/* What a path (behind "usb://", not terminated) names. 0, -E_NOT_FOUND. */
MUST_CHECK int64_t name_find(const char *path, size_t length, struct name *name);

/* The first entry of a folder at or behind *position, which becomes its own; false: the end. */
bool name_entry(const struct name *folder, uint64_t *position, char text[NAME_SIZE],
                struct name *name);
