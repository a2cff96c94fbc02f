/* kernel/symbols.c against a table of its own. */
// sources: kernel/symbols.c
#include "kernel/symbols.h"
#include "tests/host/test.h"

/* What tools/symbols.py makes. */
const uint64_t kernel_symbol_count = 3;
const struct {
    uint64_t address, name_offset;
} kernel_symbols[] = {{0x1000, 0}, {0x1010, 6}, {0x2000, 13}};
const char kernel_symbol_names[] = "first\0second\0third";

static void expect(uint64_t address, const char *name, uint64_t offset)
{
    uint64_t got = 0;
    const char *found = symbol_find(address, &got);
    CHECK(found != NULL);
    CHECK_STRING(found, name);
    CHECK_EQUAL(got, offset);
}

TEST(below_the_first_is_unknown)
{
    uint64_t offset;
    CHECK(symbol_find(0, &offset) == NULL);
    CHECK(symbol_find(0xfff, &offset) == NULL);
}

TEST(each_function_from_its_first_byte_on)
{
    expect(0x1000, "first", 0);
    expect(0x100f, "first", 15);
    expect(0x1010, "second", 0);
    expect(0x1fff, "second", 0xfef);
    expect(0x2000, "third", 0);
    expect(UINT64_MAX, "third", UINT64_MAX - 0x2000);
}
