// sources: lib/base/uri.c
/* URIs: splitting, the canonical form, the POSIX spelling; and what must hold for any input. */
#include "lib/base/uri.h"

#include "abi/errors.h"
#include "tests/host/test.h"

#define ROOM 64u

static char out[ROOM];
static size_t out_length;
static unsigned out_flags;

static int resolve(const char *cwd, const char *path)
{
    int error = uri_resolve(cwd, path, strlen(path), out, sizeof(out), &out_length, &out_flags);

    if (!error)
        CHECK_EQUAL(out_length, strlen(out));
    return error;
}

static void check(const char *cwd, const char *path, const char *want, unsigned flags)
{
    CHECK_EQUAL(resolve(cwd, path), 0);
    CHECK_STRING(out, want);
    CHECK_EQUAL(out_flags, flags);
}

static void check_split(const char *text, const char *scheme, const char *rest)
{
    struct uri uri;

    CHECK_EQUAL(uri_split(text, strlen(text), &uri), 0);
    CHECK_EQUAL(uri.scheme_length, strlen(scheme));
    CHECK_EQUAL(memcmp(uri.scheme, scheme, uri.scheme_length), 0);
    CHECK_EQUAL(uri.rest_length, strlen(rest));
    CHECK_EQUAL(memcmp(uri.rest, rest, uri.rest_length), 0);
}

static void check_posix(const char *text, const char *want)
{
    CHECK_EQUAL(uri_posix(text, strlen(text), out, sizeof(out), &out_length), 0);
    CHECK_STRING(out, want);
    CHECK_EQUAL(out_length, strlen(want));
}

TEST(split_finds_the_scheme)
{
    check_split("initfs:///sbin/rngd", "initfs", "/sbin/rngd");
    check_split("rng://", "rng", "");
    check_split("tty://serial", "tty", "serial");
    check_split("fsd.fat32:///a", "fsd.fat32", "/a");
}

TEST(split_defaults_to_fs)
{
    check_split("/etc/motd", "fs", "/etc/motd");
    check_split("a:b", "fs", "a:b");
    check_split("c://x", "fs", "c://x"); /* one letter is no scheme */
    check_split("Rng:///", "fs", "Rng:///");
    check_split("9p:///", "fs", "9p:///"); /* a scheme begins with a letter */
    check_split("", "fs", "");
}

TEST(split_refuses_an_empty_scheme)
{
    struct uri uri;

    CHECK_EQUAL(uri_split(":///x", 5, &uri), -E_INVALID);
    CHECK_EQUAL(uri_split("://", 3, &uri), -E_INVALID);
}

TEST(resolve_absolute_paths)
{
    check("fs:///", "/etc/motd", "fs:///etc/motd", 0);
    check("initfs:///sbin", "/etc", "fs:///etc", 0);
    check("fs:///", "/", "fs:///", URI_DIRECTORY);
    check("fs:///", "//a///b/", "fs:///a/b", URI_DIRECTORY);
}

TEST(resolve_uris)
{
    check("fs:///x", "rng:///", "rng:///", 0); /* the root of a scheme need not be a directory */
    check("fs:///x", "initfs:////", "initfs:///", URI_DIRECTORY);
    check("fs:///x", "proc://", "proc://", 0);
    check("fs:///x", "initfs:///sbin/../etc/./motd", "initfs:///etc/motd", 0);
    check("fs:///x", "tty://serial", "tty://serial", 0);
    check("fs:///x", "tty://a/../b", "tty://b", 0);
    check("fs:///x", "initfs:///a:/b", "initfs:///a:/b", 0);
    check("fs:///x", "initfs:///rng:/b", "initfs:///rng:/b", 0); /* a URI says what it means */
}

TEST(resolve_relative_paths)
{
    check("fs:///home/user", "a", "fs:///home/user/a", 0);
    check("fs:///home/user", "../x/", "fs:///home/x", URI_DIRECTORY);
    check("fs:///", "..", "fs:///", URI_DIRECTORY);
    check("initfs:///sbin", ".", "initfs:///sbin", URI_DIRECTORY);
    check("initfs:///", "../../etc/..", "initfs:///", URI_DIRECTORY);
    check("rng://", "x", "rng:///x", 0);
}

TEST(resolve_posix_spelling)
{
    check("fs:///", "/initfs:/sbin", "initfs:///sbin", 0);
    check("fs:///", "/initfs:", "initfs:///", 0);
    check("fs:///", "/initfs:/", "initfs:///", URI_DIRECTORY);
    check("fs:///", "/initfs:/../..", "initfs:///", URI_DIRECTORY);
    check("fs:///etc", "/etc/initfs:/bin", "initfs:///bin", 0);
    check("fs:///etc", "initfs:/bin", "initfs:///bin", 0);
    check("fs:///", "/wine/c:/windows", "fs:///wine/c:/windows", 0);
    check("fs:///", "/a:b/c", "fs:///a:b/c", 0);
}

TEST(resolve_refuses)
{
    char path[ROOM + 8];

    CHECK_EQUAL(resolve("fs:///", ""), -E_NOT_FOUND);
    CHECK_EQUAL(uri_resolve("fs:///", "/a\0b", 4, out, sizeof(out), &out_length, &out_flags),
                -E_INVALID);
    memset(path, 'a', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    CHECK_EQUAL(resolve("fs:///", path), -E_TOO_LONG);
    CHECK_EQUAL(uri_resolve("fs:///", "/", 1, out, 0, &out_length, &out_flags), -E_TOO_LONG);
}

TEST(resolve_uses_all_the_room)
{
    char path[ROOM];

    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[ROOM - 6] = '\0'; /* "fs://" + path + terminator fill the room */
    CHECK_EQUAL(resolve("fs:///", path), 0);
    CHECK_EQUAL(out_length, ROOM - 1);
    path[ROOM - 6] = 'a';
    path[ROOM - 5] = '\0';
    CHECK_EQUAL(resolve("fs:///", path), -E_TOO_LONG);
}

TEST(posix_spelling)
{
    check_posix("fs:///", "/");
    check_posix("fs:///a/b", "/a/b");
    check_posix("initfs:///", "/initfs:");
    check_posix("initfs:///sbin", "/initfs:/sbin");
    check_posix("rng://", "/rng:");
    check_posix("tty://serial", "/tty:/serial");
    CHECK_EQUAL(uri_posix("initfs:///sbin", 14, out, 13, &out_length), -E_TOO_LONG);
    CHECK_EQUAL(uri_posix("initfs:///sbin", 14, out, 14, &out_length), 0);
    CHECK_EQUAL(uri_posix("fs:///", 6, out, 0, &out_length), -E_TOO_LONG);
}

TEST(basename)
{
    CHECK_EQUAL(uri_basename("fs:///a/b", 9), 8);
    CHECK_EQUAL(uri_basename("fs:///", 6), 6);
    CHECK_EQUAL(uri_basename("x", 1), 0);
}

/* The canonical form is canonical: resolving it again, or its POSIX spelling, gives the same. */
TEST(resolve_is_idempotent)
{
    static const char *const pieces[] = {"/", "..", ".", "a", "initfs:", "rng://", "fs", ":", "bc"};
    uint64_t random = 7;
    int resolved = 0;

    for (int round = 0; round < 20000; round++) {
        char path[ROOM] = "", first[ROOM], again[ROOM];
        size_t length;

        for (uint64_t i = test_random(&random) % 8; i > 0; i--)
            strcat(path, pieces[test_random(&random) % (sizeof(pieces) / sizeof(pieces[0]))]);
        if (resolve("initfs:///x/y", path))
            continue;
        resolved++;
        strcpy(first, out);
        CHECK_EQUAL(resolve("fs:///other", first), 0);
        CHECK_STRING(out, first);
        if (!strstr(first, ":///") || strchr(strstr(first, "://") + 3, ':'))
            continue; /* no POSIX spelling that leads back */
        CHECK_EQUAL(uri_posix(first, strlen(first), again, sizeof(again), &length), 0);
        CHECK_EQUAL(resolve("fs:///other", again), 0);
        CHECK_STRING(out, first);
    }
    CHECK(resolved > 10000);
}

/* What is called plain is canonical behind its scheme; and ordinary paths are called plain. */
TEST(plain_paths)
{
    static const char *const pieces[] = {
        "/",        "/..",        "/.", "/a", ".", "..",      "/bin", "/.rc", "/x:",
        "/initfs:", "/long-name", "//", "0",  "~", "/a.b.c/", ":",    "\xaf", "\x2e"};
    static const char *const ordinary[] = {"/etc/motd",    "/bin/busybox", "/lib/x86_64/libc.so.6",
                                           "/usr/share/x", "/abcdefg",     "/tmp/0123456789abcdef"};
    uint64_t random = 11;
    int plain = 0;

    for (size_t i = 0; i < sizeof(ordinary) / sizeof(ordinary[0]); i++)
        CHECK(uri_plain(ordinary[i], strlen(ordinary[i])));
    CHECK(!uri_plain("/short", 6));
    CHECK(!uri_plain("relative/path", 13));
    CHECK(!uri_plain("/directory/", 11));
    CHECK(!uri_plain("/a/../bcdef", 11));
    CHECK(!uri_plain("/initfs:/etc/motd", 17));
    for (int round = 0; round < 200000; round++) {
        char path[2 * ROOM] = "", want[3 * ROOM], got[3 * ROOM];
        size_t length;
        unsigned flags;

        for (uint64_t i = test_random(&random) % 8; i > 0; i--)
            strcat(path, pieces[test_random(&random) % (sizeof(pieces) / sizeof(pieces[0]))]);
        if (!uri_plain(path, strlen(path)))
            continue;
        plain++;
        snprintf(want, sizeof(want), "fs://%s", path);
        CHECK_EQUAL(
            uri_resolve("initfs:///x", path, strlen(path), got, sizeof(got), &length, &flags), 0);
        CHECK_STRING(got, want);
        CHECK_EQUAL(flags, 0);
    }
    CHECK(plain > 500);
}
