#include "sbin/diskd/id.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The words, the first with the kind of bus, all their '_' and "-0:4294967295-part4294967295". */
_Static_assert(DISK_ID_MAX >= sizeof(((struct disk_geometry *)0)->bus) +
                                  sizeof(((struct disk_geometry *)0)->model) +
                                  sizeof(((struct disk_geometry *)0)->serial) + 32,
               "nothing is cut off");

static const struct kind {
    const char *bus;
    bool model, serial_needed;
} kinds[] = {
    {"virtio", false, true},
    {"ata", true, false},
    {"nvme", true, true},
    {"usb", true, false},
};

static bool is_plain(unsigned char byte)
{
    return isalnum(byte) || (byte && strchr("#+-.:=@_", byte));
}

/* Behind those that are there already; nothing, if there is nothing in it. */
static void word_add(char *words, const char *word, size_t size)
{
    size_t length = strnlen(word, size), at = strlen(words);
    while (length && isspace((unsigned char)word[length - 1]))
        length--;
    while (length && isspace((unsigned char)*word)) {
        word++;
        length--;
    }
    if (length && at)
        words[at++] = '_';
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)word[i];
        if (!isspace(byte) || !isspace((unsigned char)word[i - 1]))
            words[at++] = is_plain(byte) ? (char)byte : '_';
    }
    words[at] = '\0';
}

static void kind_id(const struct kind *kind, const struct disk_geometry *geometry, char *id)
{
    char words[sizeof(geometry->model) + sizeof(geometry->serial) + 2] = "";
    if (kind->model)
        word_add(words, geometry->model, sizeof(geometry->model));
    size_t model = strlen(words);
    word_add(words, geometry->serial, sizeof(geometry->serial));
    if (words[kind->serial_needed ? model : 0])
        snprintf(id, DISK_ID_MAX, "%s-%s", kind->bus, words);
}

void disk_id(const struct disk_geometry *geometry, char id[DISK_ID_MAX])
{
    id[0] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (strncmp(geometry->bus, kinds[i].bus, sizeof(geometry->bus)) == 0)
            kind_id(&kinds[i], geometry, id);
    size_t length = strlen(id);
    if (id[0] && strcmp(geometry->bus, "usb") == 0)
        snprintf(id + length, DISK_ID_MAX - length, "-0:%" PRIu32, geometry->unit);
    else if (id[0] && strcmp(geometry->bus, "nvme") == 0 && geometry->unit > 1)
        snprintf(id + length, DISK_ID_MAX - length, "_%" PRIu32, geometry->unit);
}

void disk_id_of_part(const char *id, uint32_t number, char part[DISK_ID_MAX])
{
    part[0] = '\0';
    if (id[0])
        snprintf(part, DISK_ID_MAX, "%s-part%" PRIu32, id, number);
}
