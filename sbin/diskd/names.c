#include "sbin/diskd/names.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

static const char *const tag_folders[TAGS] = {
    [TAG_ID] = "by-id",
    [TAG_UUID] = "by-uuid",
    [TAG_LABEL] = "by-label",
    [TAG_PARTUUID] = "by-partuuid",
    [TAG_PARTLABEL] = "by-partlabel",
};

static const char *tag_of(const struct part *part, enum tag tag)
{
    switch (tag) {
    case TAG_ID:
        return part->id;
    case TAG_UUID:
        return part->volume.uuid;
    case TAG_LABEL:
        return part->volume.label;
    case TAG_PARTUUID:
        return part->partuuid;
    default:
        return part->partlabel;
    }
}

/* --- Disks --- */

/* Whether a disk in front of this one wishes for the same name. */
static bool wish_is_taken(const struct link *link, const struct scanned *disk)
{
    list_for_each (struct link, other, &links, link) {
        for (uint32_t i = 0; i < other->disk_count; i++)
            if (&other->disks[i] != disk && strcmp(other->disks[i].unit, disk->unit) == 0)
                return true;
        if (other == link)
            break;
    }
    return false;
}

static void disk_name(const struct link *link, const struct scanned *disk, char text[NAME_MAX_])
{
    if (wish_is_taken(link, disk))
        snprintf(text, NAME_MAX_, "%s@%s", disk->unit, link->function);
    else
        snprintf(text, NAME_MAX_, "%s", disk->unit);
}

/* Calls `found` for each part of each disk, in their order, until it answers true. */
static bool parts_each(bool (*found)(void *context, const struct name *name), void *context)
{
    list_for_each (struct link, link, &links, link)
        for (uint32_t i = 0; i < link->disk_count; i++)
            for (uint32_t j = 0; j < link->disks[i].part_count; j++) {
                struct name name = {.node = NODE_PART,
                                    .link = link,
                                    .disk = &link->disks[i],
                                    .part = &link->disks[i].parts[j]};
                if (found(context, &name))
                    return true;
            }
    return false;
}

static void part_text(const struct name *name, const char *between, char text[NAME_MAX_])
{
    disk_name(name->link, name->disk, text);
    if (name->part->number)
        snprintf(text + strlen(text), NAME_MAX_ - strlen(text), "%sp%" PRIu32, between,
                 name->part->number);
}

void name_text(const struct name *name, char text[NAME_MAX_])
{
    part_text(name, "/", text);
}

/* --- Looking up --- */

struct search {
    const char *text;
    enum tag tag;
    struct name found;
};

static bool text_fits(void *context, const struct name *name)
{
    struct search *search = context;
    char text[NAME_MAX_];
    part_text(name, strchr(search->text, '/') ? "/" : "", text);
    if (strcmp(text, search->text) == 0)
        search->found = *name;
    return search->found.node != NODE_NONE;
}

/* UUIDs are hexadecimal, in either case. */
static bool tag_fits(void *context, const struct name *name)
{
    struct search *search = context;
    const char *tag = tag_of(name->part, search->tag);
    bool number = search->tag == TAG_UUID || search->tag == TAG_PARTUUID;
    if (tag[0] && (number ? strcasecmp(tag, search->text) : strcmp(tag, search->text)) == 0) {
        search->found = *name;
        search->found.node = NODE_TAG;
        search->found.tag = search->tag;
    }
    return search->found.node != NODE_NONE;
}

static struct name tag_find(const char *path)
{
    for (int tag = 0; tag < TAGS; tag++) {
        size_t length = strlen(tag_folders[tag]);
        struct search search = {.tag = (enum tag)tag};
        if (strncmp(path, tag_folders[tag], length) != 0)
            continue;
        if (path[length] == '\0')
            return (struct name){.node = NODE_TAGS, .tag = (enum tag)tag};
        if (path[length] != '/')
            continue;
        search.text = path + length + 1;
        parts_each(tag_fits, &search);
        return search.found;
    }
    return (struct name){.node = NODE_NONE};
}

struct name name_find(const char *path)
{
    char text[ENTRY_MAX + 32];
    while (*path == '/')
        path++;
    size_t length = strlen(path);
    while (length && path[length - 1] == '/')
        length--;
    if (length >= sizeof(text))
        return (struct name){.node = NODE_NONE};
    memcpy(text, path, length);
    text[length] = '\0';
    if (!length)
        return (struct name){.node = NODE_ROOT};
    if (strcmp(text, "disks") == 0)
        return (struct name){.node = NODE_DISKS};
    struct search search = {.text = text, .found = tag_find(text)};
    if (search.found.node == NODE_NONE)
        parts_each(text_fits, &search);
    return search.found;
}

/* --- Folders --- */

struct walk {
    uint64_t left; /* parts to pass by */
    struct name *entry;
};

static bool walk_step(void *context, const struct name *name)
{
    struct walk *walk = context;
    if (walk->left--)
        return false;
    *walk->entry = *name;
    return true;
}

static void entry_text(const struct name *folder, const struct name *entry, char text[ENTRY_MAX])
{
    if (folder->node == NODE_ROOT)
        part_text(entry, "", text);
    else
        snprintf(text, ENTRY_MAX, "%s", tag_of(entry->part, folder->tag));
}

bool name_entry(const struct name *folder, uint64_t position, char text[ENTRY_MAX],
                struct name *entry)
{
    if (folder->node == NODE_ROOT && position <= TAGS) {
        snprintf(text, ENTRY_MAX, "%s", position ? tag_folders[position - 1] : "disks");
        *entry = (struct name){.node = position ? NODE_TAGS : NODE_DISKS};
        return true;
    }
    struct walk walk = {.left = position - (folder->node == NODE_ROOT ? TAGS + 1 : 0),
                        .entry = entry};
    if (!parts_each(walk_step, &walk))
        return false;
    entry_text(folder, entry, text);
    if (folder->node == NODE_TAGS)
        entry->node = NODE_TAG;
    return true;
}

/* --- The list --- */

static void put_word(FILE *out, const char *key, const char *text)
{
    char encoded[4 * sizeof(((struct disk_geometry *)0)->serial) + 1];
    name_encode(text, strlen(text), encoded, sizeof(encoded));
    if (text[0])
        fprintf(out, " %s=%s", key, encoded);
}

static void put_encoded(FILE *out, const char *key, const char *text)
{
    if (text[0])
        fprintf(out, " %s=%s", key, text);
}

static bool put_line(void *context, const struct name *name)
{
    static const char *const kinds[] = {
        [PARTITIONS_NONE] = NULL, [PARTITIONS_MBR] = "mbr", [PARTITIONS_GPT] = "gpt"};
    FILE *out = context;
    const struct disk_geometry *geometry = &name->disk->geometry;
    const struct part *part = name->part;
    const char *type = part->volume.type;
    char text[NAME_MAX_];
    name_text(name, text);
    fprintf(out, "%s %" PRIu64 " %s", text, part->count * geometry->sector,
            geometry->flags & DISK_IS_READ_ONLY ? "ro" : "rw");
    if (!part->number && kinds[name->disk->kind])
        type = kinds[name->disk->kind];
    put_encoded(out, "type", type ? type : "");
    put_encoded(out, "uuid", part->volume.uuid);
    put_encoded(out, "label", part->volume.label);
    put_encoded(out, "id", part->id);
    put_encoded(out, "partuuid", part->partuuid);
    put_encoded(out, "partlabel", part->partlabel);
    if (!part->number) {
        put_word(out, "model", geometry->model);
        put_word(out, "serial", geometry->serial);
        put_encoded(out, "function", name->link->function);
    }
    fputc('\n', out);
    return false;
}

void names_list(FILE *out)
{
    parts_each(put_line, out);
}
