/* Names: see names.h. */
#include "sbin/usbd/names.h"

#include <stdio.h>
#include <string.h>

#include "abi/errors.h"
#include "sbin/usbd/claim.h"

#define INTERFACES 256u /* of a device; positions in the root are number * (this + 1) + which */
#define WORD_SIZE  NAME_SIZE

static const struct {
    enum node node;
    const char *name;
} device_files[] = {{NODE_INFO, "info"}, {NODE_DESCRIPTORS, "descriptors"}},
  root_files[] = {{NODE_DEVICES, "devices"}, {NODE_TREE, "tree"}};

/* The next part of a path, terminated; false: there is none, or it is longer than any name. */
static bool word_next(const char **path, size_t *length, char word[WORD_SIZE])
{
    size_t size = 0;
    while (*length && **path == '/')
        ++*path, --*length;
    while (*length && **path != '/' && size < WORD_SIZE - 1) {
        word[size++] = **path;
        ++*path, --*length;
    }
    word[size] = '\0';
    return size && (*length == 0 || **path == '/');
}

/* "1-2.3" or, of an interface, "1-2.3:0". */
static bool device_named(const char *word, struct name *name)
{
    char text[NAME_SIZE];
    list_for_each (struct device, device, &devices, link) {
        *name = (struct name){.node = NODE_DEVICE, .number = device->number};
        if (strcmp(word, device->name) == 0)
            return true;
        name->node = NODE_INTERFACE;
        for (uint32_t i = 0; i < device->interface_count; i++) {
            name->interface = device->interfaces[i].number;
            snprintf(text, sizeof(text), "%s:%u", device->name, name->interface);
            if (strcmp(word, text) == 0)
                return true;
        }
    }
    return false;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "81" */
static bool endpoint_named(const char *word, struct name *name)
{
    int high = hex_digit(word[0]), low = high < 0 ? -1 : hex_digit(word[1]);
    if (low < 0 || word[2])
        return false;
    struct device *device = device_find(name->number);
    struct interface *interface = device ? device_interface(device, name->interface) : NULL;
    name->node = NODE_ENDPOINT;
    name->address = (uint8_t)(high << 4 | low);
    return interface && claim_endpoint(device, interface, name->address);
}

static bool part_named(const char *word, struct name *name)
{
    if (name->node == NODE_ROOT) {
        for (size_t i = 0; i < ARRAY_SIZE(root_files); i++)
            if (strcmp(word, root_files[i].name) == 0) {
                name->node = root_files[i].node;
                return true;
            }
        return device_named(word, name);
    }
    if (name->node == NODE_DEVICE) {
        for (size_t i = 0; i < ARRAY_SIZE(device_files); i++)
            if (strcmp(word, device_files[i].name) == 0) {
                name->node = device_files[i].node;
                return true;
            }
        return false;
    }
    if (name->node == NODE_INTERFACE && strcmp(word, "interface") == 0) {
        name->node = NODE_CLAIM;
        return true;
    }
    return name->node == NODE_INTERFACE && endpoint_named(word, name);
}

int64_t name_find(const char *path, size_t length, struct name *name)
{
    char word[WORD_SIZE];
    *name = (struct name){.node = NODE_ROOT};
    while (length && *path == '/')
        path++, length--;
    while (length) {
        if (!word_next(&path, &length, word) || !part_named(word, name))
            return -E_NOT_FOUND;
        while (length && *path == '/')
            path++, length--;
    }
    return 0;
}

/* --- folders --- */

static bool root_entry(uint64_t *position, char text[NAME_SIZE], struct name *name)
{
    if (*position < ARRAY_SIZE(root_files)) {
        snprintf(text, NAME_SIZE, "%s", root_files[*position].name);
        *name = (struct name){.node = root_files[*position].node};
        return true;
    }
    list_for_each (struct device, device, &devices, link) {
        uint64_t first = ARRAY_SIZE(root_files) + device->number * (INTERFACES + 1);
        if (*position <= first) {
            *position = first;
            *name = (struct name){.node = NODE_DEVICE, .number = device->number};
            snprintf(text, NAME_SIZE, "%s", device->name);
            return true;
        }
        uint64_t index = *position - first - 1;
        if (index >= device->interface_count)
            continue;
        *name = (struct name){.node = NODE_INTERFACE,
                              .interface = device->interfaces[index].number,
                              .number = device->number};
        snprintf(text, NAME_SIZE, "%s:%u", device->name, name->interface);
        return true;
    }
    return false;
}

static bool interface_entry(const struct name *folder, uint64_t *position, char text[NAME_SIZE],
                            struct name *name)
{
    struct device *device = device_find(folder->number);
    struct interface *interface = device ? device_interface(device, folder->interface) : NULL;
    *name = *folder;
    if (interface && *position == 0) {
        name->node = NODE_CLAIM;
        snprintf(text, NAME_SIZE, "interface");
        return true;
    }
    name->node = NODE_ENDPOINT;
    for (; interface && *position <= UINT8_MAX; ++*position) {
        name->address = (uint8_t)*position;
        if (!claim_endpoint(device, interface, name->address))
            continue;
        snprintf(text, NAME_SIZE, "%02x", name->address);
        return true;
    }
    return false;
}

bool name_entry(const struct name *folder, uint64_t *position, char text[NAME_SIZE],
                struct name *name)
{
    if (folder->node == NODE_ROOT)
        return root_entry(position, text, name);
    if (folder->node == NODE_INTERFACE)
        return interface_entry(folder, position, text, name);
    if (folder->node != NODE_DEVICE || *position >= ARRAY_SIZE(device_files) ||
        !device_find(folder->number))
        return false;
    *name = *folder;
    name->node = device_files[*position].node;
    snprintf(text, NAME_SIZE, "%s", device_files[*position].name);
    return true;
}
