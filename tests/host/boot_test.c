// sources: kernel/boot.c kernel/x86_64/boot_multiboot.c kernel/x86_64/boot_pvh.c
/* What loaders tell, read from memory made up here. fuzz_boot.c tries the rest. */
#include "kernel/x86_64/boot_loader.h"
#include "tests/host/test.h"

#define BASE UINT64_C(0x10000)

static uint8_t memory[8192];
static struct boot_info boot;
static const char *reason;

const void *boot_physical(uint64_t address, uint64_t length)
{
    if (address < BASE || address > BASE + sizeof(memory) ||
        length > BASE + sizeof(memory) - address)
        return NULL;
    return memory + (address - BASE);
}

static uint64_t at;

static void put32(uint32_t value)
{
    memcpy(memory + at, &value, sizeof(value));
    at += sizeof(value);
}

static void put64(uint64_t value)
{
    memcpy(memory + at, &value, sizeof(value));
    at += sizeof(value);
}

static void start(void)
{
    memset(memory, 0, sizeof(memory));
    memset(&boot, 0, sizeof(boot));
    memset(&boot_info, 0, sizeof(boot_info));
    at = 0;
}

static void start_multiboot(void)
{
    start();
    put64(0);
}

static uint64_t tag(uint32_t type, uint32_t size)
{
    uint64_t begin = at = (at + 7) & ~UINT64_C(7);

    put32(type);
    put32(size);
    return begin;
}

static void finish_multiboot(void)
{
    tag(0, 8);
    memcpy(memory, &(uint32_t){(uint32_t)at}, 4);
}

static void memory_map(void)
{
    tag(6, 16 + 2 * 24);
    put32(24);
    put32(0);
    put64(0);
    put64(0x9f000);
    put64(1);
    put64(0x100000);
    put64(0x700000);
    put64(3);
}

TEST(multiboot_tags_are_read)
{
    start_multiboot();
    tag(1, 8 + 7);
    memcpy(memory + at, "root=x", 7);
    at += 7;
    tag(3, 16);
    put32(0x200000);
    put32(0x200010);
    memory_map();
    uint64_t rsdp = tag(15, 8 + 36);
    at += 36;
    finish_multiboot();

    CHECK(boot_read_multiboot(&boot, BASE, &reason));
    CHECK_STRING(boot.command_line, "root=x");
    CHECK_EQUAL(boot.module.value, 0x200000);
    CHECK_EQUAL(boot.module_length, 16);
    CHECK_EQUAL(boot.range_count, 2);
    CHECK_EQUAL(boot.ranges[0].type, BOOT_RAM);
    CHECK_EQUAL(boot.ranges[1].base.value, 0x100000);
    CHECK_EQUAL(boot.ranges[1].type, BOOT_RECLAIM);
    CHECK_EQUAL(boot.rsdp.value, BASE + rsdp + 8);
    CHECK_EQUAL(boot.info_end.value, BASE + at);
}

TEST(multiboot_without_a_memory_map_is_refused)
{
    start_multiboot();
    finish_multiboot();
    CHECK(!boot_read_multiboot(&boot, BASE, &reason));
}

TEST(multiboot_lengths_are_not_believed)
{
    start_multiboot();
    memory_map();
    tag(3, 8); /* too short for a module */
    tag(6, 0x7fffffff);
    finish_multiboot();
    CHECK(boot_read_multiboot(&boot, BASE, &reason));
    CHECK_EQUAL(boot.module_length, 0);
    CHECK_EQUAL(boot.range_count, 2);

    memcpy(memory, &(uint32_t){0xffffffff}, 4);
    CHECK(!boot_read_multiboot(&boot, BASE, &reason));
    CHECK(!boot_read_multiboot(&boot, BASE + sizeof(memory) - 4, &reason));
    CHECK(!boot_read_multiboot(&boot, 0, &reason));
}

static void pvh(uint32_t version, uint64_t map, uint32_t count)
{
    start();
    put32(PVH_MAGIC);
    put32(version);
    put32(0);
    put32(1);
    put64(BASE + 0x100); /* modules */
    put64(BASE + 0x200); /* command line */
    put64(0xe0000);
    put64(map);
    put32(count);
    at = 0x100;
    put64(0x7000000);
    put64(0x1234);
    memcpy(memory + 0x200, "log=debug", 10);
    at = 0x304;
    put64(0);
    put64(0x80000);
    put64(1);
}

TEST(pvh_is_read)
{
    pvh(1, BASE + 0x304, 1); /* nothing promises alignment */
    CHECK(boot_read_pvh(&boot, BASE, &reason));
    CHECK_STRING(boot.command_line, "log=debug");
    CHECK_EQUAL(boot.module.value, 0x7000000);
    CHECK_EQUAL(boot.module_length, 0x1234);
    CHECK_EQUAL(boot.rsdp.value, 0xe0000);
    CHECK_EQUAL(boot.range_count, 1);
    CHECK_EQUAL(boot.ranges[0].length, 0x80000);
}

TEST(pvh_without_a_memory_map_is_refused)
{
    pvh(0, BASE + 0x304, 1);
    CHECK(!boot_read_pvh(&boot, BASE, &reason));
    pvh(1, BASE + 0x304, 0);
    CHECK(!boot_read_pvh(&boot, BASE, &reason));
    pvh(1, BASE + 0x304, 0xffffffff);
    CHECK(!boot_read_pvh(&boot, BASE, &reason));
}

TEST(ranges_are_cut_off_where_the_table_ends)
{
    start();
    for (uint64_t i = 0; i < BOOT_RANGES + 5; i++)
        boot_add_range(&boot, i << 20, 4096, 1);
    CHECK_EQUAL(boot.range_count, BOOT_RANGES);
    CHECK(boot.ranges_cut);
    boot.range_count = 0;
    boot_add_range(&boot, UINT64_MAX - 10, 100, 1);
    boot_add_range(&boot, 4096, 0, 1);
    CHECK_EQUAL(boot.range_count, 0);
}

static void check_option(const char *name, const char *want)
{
    size_t length;
    const char *value = boot_option(name, &length);

    if (!want) {
        CHECK(!value);
        return;
    }
    CHECK(value != NULL);
    CHECK_EQUAL(length, strlen(want));
    CHECK(memcmp(value, want, length) == 0);
}

TEST(options)
{
    start();
    boot_set_command_line(&boot_info, "  root=a nosmp  log=debug rootx=1 root=b=c", 100);
    check_option("root", "b=c");
    check_option("nosmp", "");
    check_option("log", "debug");
    check_option("rootx", "1");
    check_option("smp", NULL);
    check_option("lo", NULL);
}
