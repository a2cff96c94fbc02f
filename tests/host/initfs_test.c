/* The boot archive's tree: from tar to nodes, and paths through links. */
// sources: bootstrap/tree.c bootstrap/index.c lib/base/tar.c
#include "bootstrap/tree.h"

#include "abi/errors.h"
#include "bootstrap/index.h"
#include "tests/host/test.h"

static uint8_t archive[65536];
static size_t used;

int64_t content_create(uint64_t size, uint8_t **data, handle_t *memory)
{
    *data = calloc(1, size);
    *memory = 1;
    return 0;
}

void content_seal(uint8_t *data, uint64_t size)
{
    (void)data;
    (void)size;
}

void content_destroy(uint8_t *data, uint64_t size, handle_t memory)
{
    (void)size;
    (void)memory;
    free(data);
}

static void add(char type, const char *name, const char *link, const char *data)
{
    uint8_t *block = archive + used;
    size_t size = strlen(data);
    unsigned sum = 0;
    memset(block, 0, 1024);
    strncpy((char *)block, name, 100);
    snprintf((char *)block + 100, 8, "%07o", 0755);
    snprintf((char *)block + 124, 12, "%011o", (unsigned)size);
    block[156] = (uint8_t)type;
    strncpy((char *)block + 157, link, 100);
    memset(block + 148, ' ', 8);
    for (int i = 0; i < 512; i++)
        sum += block[i];
    snprintf((char *)block + 148, 8, "%06o", sum);
    memcpy(block + 512, data, size);
    used += size ? 1024 : 512;
}

static struct tree tree;

static const char *build(void)
{
    memset(archive + used, 0, 1024);
    tree_destroy(&tree);
    const char *problem = tree_build(&tree, archive, used + 1024);
    used = 0;
    return problem;
}

static int64_t walk(const char *path, uint32_t flags, struct walk *result)
{
    return tree_walk(&tree, path, strlen(path), flags, result);
}

static void check_names(const char *path, const char *name)
{
    struct walk found;
    int64_t result = walk(path, WALK_FOLLOW, &found);
    if (result)
        FAIL("%s: error %d", path, (int)-result);
    CHECK_STRING(found.node->name, name);
}

static void check_error(const char *path, int64_t error)
{
    struct walk found;
    if (walk(path, WALK_FOLLOW, &found) != -error)
        FAIL("%s is found", path);
}

static void example(void)
{
    add('5', "bin/", "", "");
    add('0', "bin/busybox", "", "program");
    add('2', "bin/sh", "busybox", "");
    add('0', "a/b/c/deep", "", "made its folders");
    add('2', "a/up", "../bin", "");
    add('2', "a/root", "/bin/sh", "");
    add('2', "loop", "loop", "");
    add('2', "dev/null", "null:///", "");
    add('2', "dev/rest", "other://x", "");
    add('1', "hard", "bin/busybox", "");
    CHECK(!build());
}

TEST(paths)
{
    example();
    check_names("/", "");
    check_names("", "");
    check_names("/bin/busybox", "busybox");
    check_names("bin//busybox", "busybox");
    check_names("/./bin/../bin/./busybox", "busybox");
    check_names("/../../bin/", "bin");
    check_names("/a/b/c/deep", "deep");
    check_error("/nothing", E_NOT_FOUND);
    check_error("/bin/nothing/more", E_NOT_FOUND);
    check_error("/bin/busybox/more", E_NOT_DIRECTORY);
    check_error("/bin/busybox/", E_NOT_DIRECTORY);
}

TEST(links_inside)
{
    struct walk found;
    example();
    check_names("/bin/sh", "busybox");
    check_names("/a/up/sh", "busybox");
    check_names("/a/root", "busybox");
    check_error("/loop", E_LOOP);
    check_error("/bin/sh/", E_NOT_DIRECTORY);
    CHECK_EQUAL(walk("/bin/sh", 0, &found), 0);
    CHECK_STRING(found.node->name, "sh");
    CHECK_EQUAL(found.node->type, FILE_LINK);
    CHECK_EQUAL(walk("/hard", 0, &found), 0);
    CHECK_EQUAL(found.node->size, 7);
}

TEST(links_to_other_protocols)
{
    struct walk found;
    example();
    CHECK_EQUAL(walk("/dev/null", WALK_FOLLOW, &found), -E_LINK);
    CHECK_STRING(found.link, "null:///");
    free(found.link);
    CHECK_EQUAL(walk("/dev/rest/of/path", 0, &found), -E_LINK);
    CHECK_STRING(found.link, "other://x/of/path");
    free(found.link);
    CHECK_EQUAL(walk("/dev/null", 0, &found), 0);
    CHECK_STRING(found.node->target, "null:///");
}

TEST(later_entries_replace_earlier_ones)
{
    struct walk found;
    add('0', "x", "", "old");
    add('0', "x", "", "newer");
    add('2', "y", "one", "");
    add('2', "y", "x", "");
    CHECK(!build());
    CHECK_EQUAL(walk("/y", WALK_FOLLOW, &found), 0);
    CHECK_EQUAL(found.node->size, 5);
}

TEST(impossible_archives_say_why)
{
    add('0', "../evil", "", "");
    CHECK(build());
    add('0', "file", "", "");
    add('0', "file/inside", "", "");
    CHECK(build());
    add('0', "dir/file", "", "");
    add('0', "dir", "", "");
    CHECK(build());
    add('1', "hard", "nothing", "");
    CHECK(build());
    add('1', "hard", "hard", "");
    CHECK(build());
}

TEST(long_names)
{
    static char path[20000];
    struct walk found;
    example();
    memset(path, 'x', sizeof(path) - 1);
    CHECK_EQUAL(walk(path, WALK_FOLLOW, &found), -E_NOT_FOUND);
    memset(path, '/', sizeof(path) - 1);
    CHECK_EQUAL(walk(path, WALK_FOLLOW, &found), 0);
}

/* The index knows each node by its path and nothing else, and walks with it and without it end at the same node. */
TEST(index_by_path)
{
    static const char *const others[] = {
        "", "bin", "/bin/", "//bin", "/./bin", "/bin/../bin", "/bin/x", "/biN", "/nothing"};
    example();
    for (size_t i = 0; i < tree.count; i++) {
        struct node *node = tree.nodes[i];
        CHECK(index_find(&tree, node->path, node->path_length) == node);
        CHECK_STRING(node->path + node->path_length - node->name_length, node->name);
        for (unsigned flags = 0; flags <= WALK_FOLLOW; flags++) {
            struct walk with = {0}, without = {0};
            struct node **index = tree.index;
            int64_t result = walk(node->path, flags, &with);
            tree.index = NULL;
            CHECK_EQUAL(walk(node->path, flags, &without), result);
            tree.index = index;
            CHECK(result || with.node == without.node);
            free(with.link);
            free(without.link);
        }
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        CHECK(!index_find(&tree, others[i], strlen(others[i])));
}
