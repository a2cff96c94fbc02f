/* See uri.h. The builder keeps one invariant: out[0 .. length) is always the canonical form of what was
 * read so far, so a ".." only looks for the last slash behind the root. */
#include "lib/base/uri.h"

#include "abi/errors.h"
#include "lib/base/string.h"

#define SEPARATOR        "://"
#define SEPARATOR_LENGTH 3u
#define SCHEME_SHORTEST  2u

struct builder {
    char *out;
    size_t room, length;
    size_t root; /* out[root - 1] is the slash of the root, or of "://" where the rest has none */
};

size_t uri_scheme_length(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        bool letter = c >= 'a' && c <= 'z';
        bool other = (c >= '0' && c <= '9') || c == '+' || c == '.' || c == '-' || c == '_';

        if (c == ':')
            return i >= SCHEME_SHORTEST ? i : 0;
        if (!letter && !(other && i > 0))
            return 0;
    }
    return 0;
}

static bool has_separator(const char *text, size_t length, size_t at)
{
    return length - at >= SEPARATOR_LENGTH && memcmp(text + at, SEPARATOR, SEPARATOR_LENGTH) == 0;
}

int uri_split(const char *text, size_t length, struct uri *uri)
{
    size_t scheme = uri_scheme_length(text, length);

    if (scheme && has_separator(text, length, scheme)) {
        *uri = (struct uri){text, scheme, text + scheme + SEPARATOR_LENGTH,
                            length - scheme - SEPARATOR_LENGTH};
        return 0;
    }
    if (has_separator(text, length, 0))
        return -E_INVALID;
    *uri = (struct uri){"fs", 2, text, length};
    return 0;
}

/* One byte of room always stays for the terminator. */
static int append(struct builder *builder, const char *text, size_t length)
{
    if (length >= builder->room - builder->length)
        return -E_TOO_LONG;
    memcpy(builder->out + builder->length, text, length);
    builder->length += length;
    return 0;
}

static int begin(struct builder *builder, const char *scheme, size_t scheme_length, bool slash)
{
    int error;

    builder->length = 0;
    if ((error = append(builder, scheme, scheme_length)) ||
        (error = append(builder, SEPARATOR, SEPARATOR_LENGTH)) ||
        (slash && (error = append(builder, "/", 1))))
        return error;
    builder->root = builder->length;
    return 0;
}

static void pop(struct builder *builder)
{
    size_t at = builder->length;

    while (at > builder->root && builder->out[at - 1] != '/')
        at--;
    builder->length = at > builder->root ? at - 1 : builder->root;
}

static int push(struct builder *builder, const char *name, size_t length)
{
    int error = 0;

    if (builder->length > builder->root)
        error = append(builder, "/", 1);
    return error ? error : append(builder, name, length);
}

/* posix: "name:" components lead to other schemes. */
static int add_path(struct builder *builder, const char *path, size_t length, bool posix,
                    unsigned *flags)
{
    for (size_t at = 0; at < length;) {
        size_t end = at;
        int error = 0;

        for (char c; end < length && (c = path[end]) != '/'; end++)
            if (!c)
                return -E_INVALID;
        size_t size = end - at;
        const char *name = path + at;
        bool dot = size == 1 && name[0] == '.';
        bool dots = size == 2 && name[0] == '.' && name[1] == '.';

        if (dots)
            pop(builder);
        else if (posix && size > 1 && name[size - 1] == ':' &&
                 uri_scheme_length(name, size) == size - 1)
            error = begin(builder, name, size - 1, true);
        else if (size && !dot)
            error = push(builder, name, size);
        if (error)
            return error;
        *flags = dot || dots || end < length ? URI_DIRECTORY : 0;
        at = end + 1;
    }
    return 0;
}

#define EACH_BYTE UINT64_C(0x0101010101010101)

/* The top bits of the bytes of word that are `c`; maybe also of one above such a byte. */
static inline uint64_t bytes_equal(uint64_t word, uint8_t c)
{
    uint64_t other = word ^ c * EACH_BYTE;

    return (other - EACH_BYTE) & ~other & (EACH_BYTE << 7);
}

/* Eight bytes at a time, one of them twice: so each pair of neighbours lies in one word. What is none: two of slashes and
 * dots side by side, for that may be an empty name, "." or ".."; and colons, for "name:" may be a scheme. */
bool uri_plain(const char *path, size_t length)
{
    if (length < sizeof(uint64_t) || path[0] != '/' || path[length - 1] == '/')
        return false;
    for (size_t at = 0, last = length - sizeof(uint64_t);; at = MIN(at + 7, last)) {
        uint64_t word;

        __builtin_memcpy(&word, path + at, sizeof(word));
        _Static_assert(('.' | 1) == '/', "they differ in the lowest bit");
        uint64_t marks = bytes_equal(word | EACH_BYTE, '/');
        if ((marks & marks << 8) | bytes_equal(word, ':'))
            return false;
        if (at == last)
            return true;
    }
}

int uri_resolve(const char *cwd, const char *path, size_t path_length, char *out, size_t room,
                size_t *out_length, unsigned *flags)
{
    struct builder builder = {out, room, 0, 0};
    size_t scheme = path_length && path[0] != '/' ? uri_scheme_length(path, path_length) : 0;
    struct uri base;
    int error;

    *flags = 0;
    if (!path_length)
        return -E_NOT_FOUND;
    if (!room)
        return -E_TOO_LONG;
    if (scheme && has_separator(path, path_length, scheme)) {
        size_t head = scheme + SEPARATOR_LENGTH;
        bool slash = head < path_length && path[head] == '/';
        error = append(&builder, path, head + slash);
        builder.root = builder.length;
        if (!error)
            error = add_path(&builder, path + head, path_length - head, false, flags);
        if (path_length == head + slash)
            *flags = 0; /* rng:///: the slash is the root's own, whatever the root is */
    } else if (path[0] == '/') {
        error = begin(&builder, "fs", 2, true);
        if (!error)
            error = add_path(&builder, path, path_length, true, flags);
    } else {
        if ((error = uri_split(cwd, strlen(cwd), &base)))
            return error;
        error = begin(&builder, base.scheme, base.scheme_length, true);
        if (!error)
            error = add_path(&builder, base.rest, base.rest_length, false, flags);
        if (!error)
            error = add_path(&builder, path, path_length, true, flags);
    }
    if (error)
        return error;
    out[builder.length] = '\0';
    *out_length = builder.length;
    return 0;
}

int uri_posix(const char *text, size_t length, char *out, size_t room, size_t *out_length)
{
    struct builder builder = {out, room, 0, 0};
    struct uri uri;
    int error = uri_split(text, length, &uri);

    if (error)
        return error;
    if (!room)
        return -E_TOO_LONG;
    if (uri.scheme_length != 2 || memcmp(uri.scheme, "fs", 2) != 0)
        if ((error = append(&builder, "/", 1)) ||
            (error = append(&builder, uri.scheme, uri.scheme_length)) ||
            (error = append(&builder, ":", 1)))
            return error;
    bool root = uri.rest_length == 0 || (uri.rest_length == 1 && uri.rest[0] == '/');
    if (!root && uri.rest[0] != '/' && (error = append(&builder, "/", 1)))
        return error;
    if (!root && (error = append(&builder, uri.rest, uri.rest_length)))
        return error;
    if (!builder.length && (error = append(&builder, "/", 1)))
        return error;
    out[builder.length] = '\0';
    *out_length = builder.length;
    return 0;
}

size_t uri_basename(const char *text, size_t length)
{
    size_t at = length;

    while (at > 0 && text[at - 1] != '/')
        at--;
    return at;
}
