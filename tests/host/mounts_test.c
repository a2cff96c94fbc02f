// sources: lib/base/mounts.c lib/base/uri.c sbin/vfsd/fstab.c lib/sys/conf.c
/* The mount table: which service a path leads to, and what a service's link means; fstab's lines and options. */
#include "lib/base/mounts.h"

#include "abi/errors.h"
#include "sbin/vfsd/fstab.h"
#include "tests/host/test.h"

static struct {
    struct fs_table table;
    struct fs_mount mounts[40];
    char text[2048];
} made;
static size_t text_used;

static const char *const points[][2] = {{"a/deeper/place", "disk:///2"},
                                        {"a", "tmp:///1/sub"},
                                        {"proc", "proc://"},
                                        {"tmp", "tmp:///12"},
                                        {"", "tmp:///1"}};

static uint32_t text_put(const char *text)
{
    strcpy(made.text + text_used, text);
    text_used += strlen(text);
    return (uint32_t)(offsetof(__typeof__(made), text) + text_used - strlen(text));
}

static void entry_add(const char *const point[2])
{
    struct fs_mount *mount = &made.mounts[made.table.count++];
    size_t length = strlen(point[0]);
    memcpy(&mount->head, point[0], length < 8 ? length : 8);
    memset(&mount->mask, 0xff, length < 8 ? length : 8);
    mount->point_length = (uint32_t)length;
    mount->point = text_put(point[0]);
    mount->target_length = (uint32_t)strlen(point[1]);
    mount->target = text_put(point[1]);
}

static const struct fs_table *table_make(void)
{
    memset(&made, 0, sizeof(made));
    text_used = 0;
    for (unsigned list = 0; list < FS_TABLE_LISTS; list++) {
        made.table.first[list] = made.table.count;
        for (size_t i = 0; i < ARRAY_SIZE(points); i++)
            if (!points[i][0][0] || (unsigned char)points[i][0][0] % FS_TABLE_LISTS == list)
                entry_add(points[i]);
    }
    made.table.magic = FS_TABLE_MAGIC;
    return &made.table;
}

static void check_path(const char *path, const char *target, size_t want)
{
    const struct fs_table *table = table_make();
    char padded[64 + 8] = "";
    size_t rest;
    strcpy(padded, path);
    const struct fs_mount *mount = mounts_find(table, padded, strlen(path), &rest);
    CHECK_EQUAL(rest, want);
    CHECK_EQUAL(mount->target_length, strlen(target));
    CHECK(memcmp(mounts_text(table, mount->target), target, strlen(target)) == 0);
}

TEST(the_longest_point)
{
    CHECK(mounts_valid(table_make(), sizeof(made)));
    check_path("/", "tmp:///1", 0);
    check_path("/a", "tmp:///1/sub", 2);
    check_path("/a/x", "tmp:///1/sub", 2);
    check_path("/ab", "tmp:///1", 0);
    check_path("/a/deeper/place", "disk:///2", 15);
    check_path("/a/deeper/place/x", "disk:///2", 15);
    check_path("/a/deeper/places", "tmp:///1/sub", 2);
    check_path("/a/deeper", "tmp:///1/sub", 2);
    check_path("/tmp/x", "tmp:///12", 4);
    check_path("/procx/y", "tmp:///1", 0);
}

TEST(what_is_below)
{
    const struct fs_table *table = table_make();
    CHECK(mounts_below(table, "/a", 2));
    CHECK(mounts_below(table, "/a/deeper", 9));
    CHECK(!mounts_below(table, "/a/deep", 7));
    CHECK(mounts_below(table, "/", 1));
    CHECK(!mounts_below(table, "/tmp/x", 6));
}

static void check_link(const char *path, const char *text, int64_t error, const char *want)
{
    const struct fs_table *table = table_make();
    char padded[64 + 8] = "", out[128];
    size_t rest, length;
    strcpy(padded, path);
    const struct fs_mount *mount = mounts_find(table, padded, strlen(path), &rest);
    CHECK_EQUAL(mounts_link(table, mount, text, strlen(text), out, sizeof(out), &length), error);
    if (!error) {
        CHECK_EQUAL(length, strlen(want));
        CHECK(memcmp(out, want, length) == 0);
    }
}

TEST(what_links_mean)
{
    check_link("/tmp/a/l", "12/a/../b", 0, "/tmp//a/../b");
    check_link("/tmp/a/l", "12/../etc", 0, "/tmp//../etc");
    check_link("/a/l", "1/sub/m", 0, "/a//m");
    check_link("/x/l", "1/x/m", 0,
               "//"
               "/x/m");
    check_link("/tmp/l", "/etc/motd", 0, "/etc/motd");
    check_link("/tmp/l", "rng:///", 0, "rng:///");
    check_link("/proc/l", "1/../2", 0, "/proc/1/../2");
    check_link("/a/l", "1/other", -E_NOT_FOUND, NULL);
    check_link("/tmp/l", "123/x", -E_NOT_FOUND, NULL);
}

TEST(tables_that_lie)
{
    struct fs_table *table = (struct fs_table *)(uintptr_t)table_make();
    CHECK(!mounts_valid(table, sizeof(struct fs_table)));
    table->first[3] = table->count;
    CHECK(!mounts_valid(table, sizeof(made)));
    table = (struct fs_table *)(uintptr_t)table_make();
    made.mounts[0].target = sizeof(made);
    CHECK(!mounts_valid(table, sizeof(made)));
    table = (struct fs_table *)(uintptr_t)table_make();
    made.mounts[table->count - 1].mask = 1;
    CHECK(!mounts_valid(table, sizeof(made)));
}

TEST(fstab_lines)
{
    char text[] =
        "# nothing\ntmp / tmp size=50%,mode=0755 0 0\nx y z\nproc:/// /proc bind\nshort /\n";
    struct conf_reader reader = {.text = text, .length = sizeof(text) - 1};
    struct fstab_line line;
    CHECK_EQUAL(fstab_next(&reader, &line), 1);
    CHECK(!strcmp(line.source, "tmp") && !strcmp(line.point, "/") && !strcmp(line.type, "tmp"));
    CHECK(!strcmp(line.options, "size=50%,mode=0755"));
    CHECK_EQUAL(fstab_next(&reader, &line), -E_BAD_FORMAT);
    CHECK_EQUAL(fstab_next(&reader, &line), 1);
    CHECK(!strcmp(line.options, ""));
    CHECK_EQUAL(fstab_next(&reader, &line), -E_BAD_FORMAT);
    CHECK_EQUAL(fstab_next(&reader, &line), 0);
}

TEST(options)
{
    static const char *const known[] = {"size", "mode", NULL};
    const char *text = "size=12k,mode=0700,other=1,ro";
    size_t length;
    uint64_t size;
    const char *found = option_find(text, "size", &length);
    CHECK(found && length == 3 && option_size(found, length, 0, &size) && size == 12288);
    found = option_find(text, "ro", &length);
    CHECK(found && length == 0);
    CHECK(!option_find(text, "siz", &length));
    found = option_unknown(text, known, &length);
    CHECK(found && length == 7 && !memcmp(found, "other=1", 7));
    char shown[32];
    CHECK(options_shown("defaults,size=1m,rw,noauto,b", false, shown, sizeof(shown)));
    CHECK_STRING(shown, "rw,size=1m,b");
    CHECK(options_shown("", true, shown, sizeof(shown)) && !strcmp(shown, "ro"));
    CHECK(!options_shown("an-option-longer-than-the-room-there-is", true, shown, sizeof(shown)));
    CHECK(option_size("50%", 3, 1000, &size) && size == 500);
    CHECK(!option_size("101%", 4, 1000, &size));
    CHECK(!option_size("k", 1, 0, &size) && !option_size("1x", 2, 0, &size) &&
          !option_size("", 0, 0, &size));
    CHECK(!option_size("99999999999999999999", 20, 0, &size) &&
          !option_size("18446744073709551615k", 21, 0, &size));
}
