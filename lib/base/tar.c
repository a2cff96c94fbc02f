/* The tar reader: POSIX.1-2017 pax "ustar Interchange Format", GNU tar's long names and base-256 numbers. */
#include "lib/base/tar.h"

#include "abi/errors.h"
#include "lib/base/string.h"

#define BLOCK 512u

struct header {
    char name[100];
    char mode[8], uid[8], gid[8];
    char size[12], modified[12];
    char checksum[8];
    char type;
    char link[100];
    char magic[6], version[2];
    char user[32], group[32];
    char major[8], minor[8];
    char prefix[155];
    char padding[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a tar header is one block");

static int bad(struct tar_reader *reader, const char *problem)
{
    reader->problem = problem;
    return -E_BAD_FORMAT;
}

static size_t field_length(const char *field, size_t size)
{
    size_t length = 0;
    while (length < size && field[length])
        length++;
    return length;
}

/* Octal with leading spaces, ended by a space or NUL; or GNU's base 256, first byte 0x80. */
static bool number_parse(const char *field, size_t size, uint64_t *value)
{
    uint64_t number = 0;
    size_t i = 0;
    if ((uint8_t)field[0] == 0x80) {
        for (i = 1; i < size; i++) {
            if (number >> 56)
                return false;
            number = number << 8 | (uint8_t)field[i];
        }
        *value = number;
        return true;
    }
    while (i < size && field[i] == ' ')
        i++;
    for (; i < size && field[i] != ' ' && field[i] != '\0'; i++) {
        if (field[i] < '0' || field[i] > '7' || number >> 61)
            return false;
        number = number << 3 | (uint64_t)(field[i] - '0');
    }
    *value = number;
    return true;
}

static bool checksum_right(const struct header *header)
{
    const uint8_t *bytes = (const uint8_t *)header;
    uint64_t stated, sum = 0;
    for (size_t i = 0; i < BLOCK; i++) {
        bool own = i >= offsetof(struct header, checksum) && i < offsetof(struct header, type);
        sum += own ? ' ' : bytes[i];
    }
    return number_parse(header->checksum, sizeof(header->checksum), &stated) && stated == sum;
}

static bool all_zero(const uint8_t *block)
{
    for (size_t i = 0; i < BLOCK; i++)
        if (block[i])
            return false;
    return true;
}

static bool key_is(const char *record, size_t length, const char *key)
{
    size_t key_length = strlen(key);
    return length > key_length && memcmp(record, key, key_length) == 0;
}

static bool decimal_parse(const char *text, size_t length, uint64_t *value)
{
    uint64_t number = 0;
    if (length == 0)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9' || number > UINT64_MAX / 10 - 1)
            return false;
        number = number * 10 + (uint64_t)(text[i] - '0');
    }
    *value = number;
    return true;
}

/* A pax record's key=value, without length and newline. */
static bool pax_record(struct tar_extra *extra, const char *record, size_t length)
{
    if (key_is(record, length, "path=")) {
        extra->name = record + 5;
        extra->name_length = length - 5;
    } else if (key_is(record, length, "linkpath=")) {
        extra->link = record + 9;
        extra->link_length = length - 9;
    } else if (key_is(record, length, "size=")) {
        extra->has_size = true;
        return decimal_parse(record + 5, length - 5, &extra->size);
    }
    return true;
}

/* "<length> <key>=<value>\n", where length counts the whole record. */
static int pax_parse(struct tar_reader *reader, const char *text, uint64_t length)
{
    while (length) {
        uint64_t digits = 0, record;
        while (digits < length && text[digits] != ' ')
            digits++;
        if (digits == length || !decimal_parse(text, digits, &record) || record > length ||
            record < digits + 3 || text[record - 1] != '\n')
            return bad(reader, "a pax record has a wrong length");
        if (!pax_record(&reader->extra, text + digits + 1, record - digits - 2))
            return bad(reader, "a pax size is no number");
        text += record;
        length -= record;
    }
    return 0;
}

/* 1: the entry was about the one that follows; 0: it is an entry of its own. */
static int extension_parse(struct tar_reader *reader, const struct header *header,
                           const struct tar_entry *entry)
{
    const char *text = (const char *)entry->data;
    struct tar_extra *extra = &reader->extra;
    int result;
    switch (header->type) {
    case 'L':
        extra->name = text;
        extra->name_length = field_length(text, entry->size);
        return 1;
    case 'K':
        extra->link = text;
        extra->link_length = field_length(text, entry->size);
        return 1;
    case 'x':
        result = pax_parse(reader, text, entry->size);
        return result < 0 ? result : 1;
    case 'g': /* defaults for all entries: none that a path depends on */
        return 1;
    default:
        return 0;
    }
}

static void name_join(struct tar_entry *entry, const struct header *header)
{
    size_t prefix = 0;
    /* "ustar\0": GNU's "ustar  " uses the prefix's place for times. */
    if (memcmp(header->magic, "ustar", 6) == 0)
        prefix = field_length(header->prefix, sizeof(header->prefix));
    memcpy(entry->joined, header->prefix, prefix);
    if (prefix)
        entry->joined[prefix++] = '/';
    entry->name_length = field_length(header->name, sizeof(header->name));
    memcpy(entry->joined + prefix, header->name, entry->name_length);
    entry->name_length += prefix;
    entry->name = entry->joined;
}

static enum tar_type type_of(const struct header *header, const struct tar_entry *entry)
{
    switch (header->type) {
    case '\0':
    case '0':
    case '7':
        /* Before ustar a directory was a file whose name ends in '/'. */
        if (entry->name_length && entry->name[entry->name_length - 1] == '/')
            return TAR_DIRECTORY;
        return TAR_FILE;
    case '1':
        return TAR_HARD_LINK;
    case '2':
        return TAR_SYMBOLIC_LINK;
    case '5':
        return TAR_DIRECTORY;
    default:
        return TAR_OTHER;
    }
}

static int numbers_parse(struct tar_reader *reader, const struct header *header,
                         struct tar_entry *entry)
{
    uint64_t mode, uid, gid, modified;
    if (!number_parse(header->size, sizeof(header->size), &entry->size) ||
        !number_parse(header->mode, sizeof(header->mode), &mode) ||
        !number_parse(header->uid, sizeof(header->uid), &uid) ||
        !number_parse(header->gid, sizeof(header->gid), &gid) ||
        !number_parse(header->modified, sizeof(header->modified), &modified))
        return bad(reader, "a header field is no number");
    entry->mode = (uint32_t)mode & 07777;
    entry->uid = (uint32_t)uid;
    entry->gid = (uint32_t)gid;
    entry->modified = (int64_t)modified;
    return 0;
}

/* Takes the data behind the header; the reader moves to the next header. */
static int data_take(struct tar_reader *reader, struct tar_entry *entry)
{
    uint64_t room = reader->length - reader->offset;
    if (entry->size > room)
        return bad(reader, "an entry's data goes beyond the end");
    entry->data = reader->data + reader->offset;
    uint64_t blocks = (entry->size + BLOCK - 1) / BLOCK * BLOCK;
    if (blocks > room)
        return bad(reader, "an entry's last block is cut off");
    reader->offset += blocks;
    return 0;
}

/* 1: an entry; 0: an extension was read; -E_BAD_FORMAT. */
static int header_parse(struct tar_reader *reader, const struct header *header,
                        struct tar_entry *entry)
{
    if (!checksum_right(header))
        return bad(reader, "a header's checksum is wrong");
    memset(entry, 0, sizeof(*entry));
    int result = numbers_parse(reader, header, entry);
    if (result < 0)
        return result;
    bool extension =
        header->type == 'L' || header->type == 'K' || header->type == 'x' || header->type == 'g';
    if (!extension && reader->extra.has_size)
        entry->size = reader->extra.size;
    if (header->type >= '1' && header->type <= '6')
        entry->size = 0; /* links, devices and directories have no data, whatever they state */
    result = data_take(reader, entry);
    if (result < 0)
        return result;
    if (extension) {
        result = extension_parse(reader, header, entry);
        return result < 0 ? result : 0;
    }
    name_join(entry, header);
    if (reader->extra.name) {
        entry->name = reader->extra.name;
        entry->name_length = reader->extra.name_length;
    }
    entry->type = type_of(header, entry);
    entry->link = reader->extra.link ? reader->extra.link : header->link;
    entry->link_length = reader->extra.link ? reader->extra.link_length
                                            : field_length(header->link, sizeof(header->link));
    memset(&reader->extra, 0, sizeof(reader->extra));
    return 1;
}

int tar_next(struct tar_reader *reader, struct tar_entry *entry)
{
    for (;;) {
        if (reader->offset > reader->length || reader->length - reader->offset < BLOCK)
            return bad(reader, "the archive ends without its end marker");
        const uint8_t *block = reader->data + reader->offset;
        if (all_zero(block))
            return 0;
        reader->offset += BLOCK;
        int result = header_parse(reader, (const struct header *)block, entry);
        if (result)
            return result;
    }
}
