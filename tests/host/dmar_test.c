/* ACPI's DMAR, right and wrong, and the tables an IOMMU translates by. */
// sources: sbin/pcid/dmar.c sbin/pcid/domain.c
#include "sbin/pcid/dmar.h"

#include "sbin/pcid/domain.h"
#include "tests/host/fake_pci.h"
#include "tests/host/test.h"

#define SIZE 256u

static uint8_t bytes[SIZE];
static struct fake_pci bus;
static struct config config;

static void put(uint32_t at, uint64_t value, unsigned size)
{
    memcpy(bytes + at, &value, size);
}

static void put_head(uint32_t at, uint32_t type, uint32_t length)
{
    put(at, type, 2);
    put(at + 2, length, 2);
}

/* A unit for 00:02.0 and what is behind the bridge 00:03.0, one for the rest, and a reserved page of 00:02.0 and 01:04.0. */
static void start(void)
{
    memset(bytes, 0, SIZE);
    memcpy(bytes, "DMAR", 4);
    put(4, 160, 4);
    put_head(48, 0, 32);
    put(56, 0xfed90000, 8);
    put(64, 0x0801, 2); /* endpoint */
    bytes[70] = 2;
    put(72, 0x0802, 2); /* bridge */
    bytes[78] = 3;
    put_head(80, 3, 8); /* of a kind nobody knows */
    put_head(88, 0, 16);
    bytes[92] = 1;
    put(96, 0xfed91000, 8);
    put_head(104, 1, 56);
    put(112, 0x1000, 8);
    put(120, 0x2fff, 8);
    put(128, 0x0801, 2);
    bytes[134] = 2;
    put(136, 0x0a01, 2); /* 00:03.0, and behind it 4.0 */
    bytes[142] = 3;
    bytes[144] = 4;
    put(146, 0x0801, 2);
    bytes[151] = 0; /* bus 0 */
    bytes[152] = 5;
    memset(&bus, 0, sizeof(bus));
    bus.count = 1;
    bus.functions[0].where = where_of(0, 0, 3, 0);
    bus.functions[0].size = 256;
    bus.functions[0].bytes[0x0e] = 1;
    bus.functions[0].bytes[0x19] = 1;
    bus.functions[0].bytes[0x1a] = 2;
    config = fake_config(&bus);
}

static unsigned entries(struct dmar_entry found[4])
{
    struct dmar dmar;
    uint32_t offset = 0;
    unsigned count = 0;

    CHECK(dmar_open(&dmar, bytes, SIZE));
    while (count < 4 && dmar_next(&dmar, &offset, &found[count]))
        count++;
    return count;
}

TEST(what_it_tells_of)
{
    struct dmar_entry found[4];

    start();
    CHECK_EQUAL(entries(found), 3);
    CHECK_EQUAL(found[0].base, 0xfed90000);
    CHECK(!found[0].rest);
    CHECK(found[1].rest);
    CHECK_EQUAL(found[2].kind, DMAR_RESERVED);
    CHECK_EQUAL(found[2].base, 0x1000);
    CHECK_EQUAL(found[2].limit, 0x2fff);
    CHECK(dmar_covers(&config, &found[0], where_of(0, 0, 2, 0)));
    CHECK(dmar_covers(&config, &found[0], where_of(0, 0, 3, 0)));
    CHECK(dmar_covers(&config, &found[0], where_of(0, 1, 7, 1)));
    CHECK(dmar_covers(&config, &found[0], where_of(0, 2, 0, 0)));
    CHECK(!dmar_covers(&config, &found[0], where_of(0, 3, 0, 0)));
    CHECK(!dmar_covers(&config, &found[0], where_of(0, 0, 2, 1)));
    CHECK(!dmar_covers(&config, &found[0], where_of(1, 1, 7, 1)));
    CHECK(!dmar_covers(&config, &found[1], where_of(0, 0, 2, 0)));
    CHECK(dmar_covers(&config, &found[2], where_of(0, 1, 4, 0)));
    CHECK(!dmar_covers(&config, &found[2], where_of(0, 0, 4, 0)));
    CHECK(dmar_covers(&config, &found[2], where_of(0, 0, 5, 0)));
}

TEST(lies)
{
    struct dmar_entry found[4];
    struct dmar dmar;

    start();
    CHECK(!dmar_open(&dmar, bytes, 47));
    put(4, SIZE + 1, 4);
    CHECK(!dmar_open(&dmar, bytes, SIZE));
    put(4, 47, 4);
    CHECK(!dmar_open(&dmar, bytes, SIZE));
    start();
    put(50, 0, 2); /* no length: it would never end */
    CHECK_EQUAL(entries(found), 0);
    put(50, 113, 2); /* beyond the table */
    CHECK_EQUAL(entries(found), 0);
    put(50, 12, 2); /* too short for a unit; what follows begins in the middle */
    CHECK_EQUAL(entries(found), 0);
    start();
    put(56, 0xfed90001, 8);
    CHECK_EQUAL(entries(found), 2);
    start();
    put(120, 0x0fff, 8); /* ends where it begins */
    CHECK_EQUAL(entries(found), 2);
    start();
    bytes[65] = 0xff; /* a scope longer than its entry */
    CHECK_EQUAL(entries(found), 3);
    CHECK(!dmar_covers(&config, &found[0], where_of(0, 0, 2, 0)));
    bytes[65] = 0;
    CHECK(!dmar_covers(&config, &found[0], where_of(0, 0, 2, 0)));
}

/* --- Domains ------------------------------------------------------------------------------------------------------- */

#define PAGES 16u
#define AT    UINT64_C(0x100000000) /* of the first */

static uint64_t memory[PAGES][512];
static bool used[PAGES];
static unsigned room, writes;

static uint64_t *get(uint64_t *physical)
{
    for (unsigned i = 0; i < room; i++) {
        if (used[i])
            continue;
        used[i] = true;
        memset(memory[i], 0, sizeof(memory[i]));
        *physical = AT + i * UINT64_C(4096);
        return memory[i];
    }
    return NULL;
}

static void put_page(uint64_t *page)
{
    unsigned i = (unsigned)((page - memory[0]) / 512);

    CHECK(used[i]);
    used[i] = false;
}

static uint64_t *at(uint64_t physical)
{
    CHECK(physical >= AT && (physical - AT) / 4096 < PAGES && physical % 4096 == 0);
    return memory[(physical - AT) / 4096];
}

static void written(const uint64_t *entry)
{
    CHECK(entry >= memory[0] && entry < memory[PAGES - 1] + 512);
    writes++;
}

static const struct table_pages pages = {get, put_page, at, written};

static unsigned used_pages(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < PAGES; i++)
        count += used[i];
    return count;
}

TEST(a_domain_has_what_was_mapped)
{
    struct domain domain;

    room = PAGES;
    for (unsigned levels = 3; levels <= 4; levels++) {
        uint64_t top = UINT64_C(1) << (12 + 9 * levels);

        CHECK(domain_create(&pages, levels, &domain));
        CHECK(!domain_maps(&pages, &domain, 0x1000));
        CHECK(domain_map(&pages, &domain, 0x1ff000, 2)); /* over the end of a table */
        CHECK(domain_map(&pages, &domain, top - 4096, 1));
        CHECK(domain_maps(&pages, &domain, 0x1ff000));
        CHECK(domain_maps(&pages, &domain, 0x200000));
        CHECK(domain_maps(&pages, &domain, top - 4096));
        CHECK(!domain_maps(&pages, &domain, 0x201000));
        CHECK(!domain_maps(&pages, &domain, 0x1fe000));
        CHECK(!domain_maps(&pages, &domain, top + 0x1ff000));
        CHECK(!domain_map(&pages, &domain, top - 4096, 2)); /* beyond what it translates */
        CHECK(!domain_map(&pages, &domain, top, 1));
        domain_unmap(&pages, &domain, 0x1ff000, 1);
        CHECK(!domain_maps(&pages, &domain, 0x1ff000));
        CHECK(domain_maps(&pages, &domain, 0x200000));
        domain_unmap(&pages, &domain, 0x40000000, 3); /* never was there */
        domain_destroy(&pages, &domain);
        CHECK_EQUAL(used_pages(), 0);
    }
}

TEST(no_memory_for_tables)
{
    struct domain domain;

    for (room = 0; room < 6; room++) {
        if (!domain_create(&pages, 4, &domain))
            continue;
        bool mapped = domain_map(&pages, &domain, 0x1ff000, 2);
        CHECK_EQUAL(domain_maps(&pages, &domain, 0x1ff000), mapped);
        CHECK_EQUAL(domain_maps(&pages, &domain, 0x200000), mapped);
        CHECK_EQUAL(mapped, room >= 5);
        domain_destroy(&pages, &domain);
        CHECK_EQUAL(used_pages(), 0);
    }
}
