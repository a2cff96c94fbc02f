/* Reading functions: see function.h. */
#include "sbin/pcid/function.h"

#include <string.h>

#include "abi/abi.h"
#include "sbin/pcid/bridge.h"

#define VENDOR        0x00u
#define DEVICE        0x02u
#define COMMAND       0x04u
#define STATUS        0x06u
#define REVISION      0x08u
#define HEADER_TYPE   0x0eu
#define BAR0          0x10u
#define SECONDARY_BUS 0x19u
#define SUBSYSTEM     0x2cu
#define CAPABILITIES  0x34u
#define PIN           0x3du

#define STATUS_CAPABILITIES 0x10u
#define HEADER_SEVERAL      0x80u /* functions */
#define FIRST_CAPABILITY    0x40u /* the header is in front of them */

#define BAR_PORTS   0x1u
#define BAR_TYPE    0x6u
#define BAR_TYPE_64 0x4u
#define BAR_FETCH   0x8u
#define PORTS_END   UINT64_C(0x10000)
#define MEMORY_END  (UINT64_C(1) << 46) /* what memory_physical reaches */

#define CLASS_BRIDGE 0x06u

#define MSI_CONTROL   2u
#define MSI_ENABLE    0x0001u
#define MSIX_CONTROL  2u
#define MSIX_ENABLE   0x8000u
#define MSIX_COUNT    0x07ffu
#define MSIX_TABLE    4u
#define MSIX_ENTRY    16u
#define EXPRESS_CAN   4u /* device capabilities */
#define EXPRESS_DO    8u /* device control */
#define EXPRESS_FLR   0x10000000u
#define EXPRESS_RESET 0x8000u
#define ADVANCED_CAN  3u
#define ADVANCED_FLR  0x3u /* FLR, and transactions-pending, which comes with it */
#define ADVANCED_DO   4u

bool pci_capability_next(const struct config *config, uint32_t where, uint8_t *at, uint8_t *id)
{
    uint8_t next;

    if (*at == 0) {
        if (!(config_read(config, where, STATUS, 2) & STATUS_CAPABILITIES))
            return false;
        next = (uint8_t)config_read(config, where, CAPABILITIES, 1);
    } else {
        next = (uint8_t)config_read(config, where, *at + 1u, 1);
    }
    next &= 0xfc;
    if (next < FIRST_CAPABILITY)
        return false;
    *at = next;
    *id = (uint8_t)config_read(config, where, next, 1);
    return *id != 0xff;
}

static void read_msix(const struct config *config, struct pci_function *function)
{
    uint32_t table = config_read(config, function->where, function->msix + MSIX_TABLE, 4);
    uint32_t count =
        (config_read(config, function->where, function->msix + MSIX_CONTROL, 2) & MSIX_COUNT) + 1;
    const struct pci_bar *bar = &function->bars[table % 8 < PCI_BARS ? table % 8 : 0];

    function->msix_bar = table & 7;
    function->msix_table = table & ~7u;
    function->msix_count = (uint16_t)count;
    if (function->msix_bar >= PCI_BARS || bar->flags & PCI_BAR_PORTS ||
        function->msix_table > bar->length ||
        bar->length - function->msix_table < (uint64_t)count * MSIX_ENTRY)
        function->msix = 0, function->msix_count = 0;
}

/* A list that loops ends when it has been as long as one can be. Of several of a kind the first counts. */
static void read_capabilities(const struct config *config, struct pci_function *function)
{
    const struct {
        uint8_t id, length;
        uint8_t *place;
    } wanted[] = {
        {PCI_CAPABILITY_POWER, 8, &function->power},
        {PCI_CAPABILITY_MSI, 14, &function->msi},
        {PCI_CAPABILITY_EXPRESS, 20, &function->express},
        {PCI_CAPABILITY_MSIX, 12, &function->msix},
        {PCI_CAPABILITY_ADVANCED, 6, &function->advanced},
    };
    uint8_t at = 0, id;

    for (unsigned n = 0; n < PCI_CAPABILITIES_MOST; n++) {
        if (!pci_capability_next(config, function->where, &at, &id))
            break;
        for (unsigned i = 0; i < ARRAY_SIZE(wanted); i++)
            if (wanted[i].id == id && !*wanted[i].place && at + wanted[i].length <= 256u)
                *wanted[i].place = at;
    }
    if (function->msix)
        read_msix(config, function);
}

/* What a BAR's address bits answer when all are written: the lowest that stays set is the length. */
static uint64_t probe(const struct config *config, uint32_t where, uint32_t at, bool wide,
                      uint64_t flags_mask)
{
    uint32_t low = config_read(config, where, at, 4);
    uint32_t high = wide ? config_read(config, where, at + 4, 4) : 0;

    config_write(config, where, at, 4, UINT32_MAX);
    if (wide)
        config_write(config, where, at + 4, 4, UINT32_MAX);

    uint64_t answer = config_read(config, where, at, 4);

    answer |= wide ? (uint64_t)config_read(config, where, at + 4, 4) << 32 : 0;
    config_write(config, where, at, 4, low);
    if (wide)
        config_write(config, where, at + 4, 4, high);
    answer &= ~flags_mask;
    return answer & -answer;
}

/* How many registers it takes. */
static unsigned read_bar(const struct config *config, struct pci_function *function, unsigned index,
                         unsigned count)
{
    uint32_t where = function->where, at = BAR0 + 4 * index,
             low = config_read(config, where, at, 4);
    bool ports = low & BAR_PORTS, wide = !ports && (low & BAR_TYPE) == BAR_TYPE_64;
    uint64_t mask = ports ? 3 : 15, limit = ports ? PORTS_END : MEMORY_END, base, length;
    struct pci_bar *bar = &function->bars[index];

    if (wide && index + 1 >= count)
        return 1; /* its upper half would be another register */
    base = low & ~(uint32_t)mask;
    base |= wide ? (uint64_t)config_read(config, where, at + 4, 4) << 32 : 0;
    length = probe(config, where, at, wide, mask);
    if (ports)
        length = length > PORTS_END ? 0 : length;
    if (length == 0)
        return wide ? 2 : 1;
    bar->flags = (ports ? PCI_BAR_PORTS : 0) | (wide ? PCI_BAR_64 : 0) |
                 (!ports && low & BAR_FETCH ? PCI_BAR_PREFETCHABLE : 0);
    if (base != 0 && base % length == 0 && base < limit && length <= limit - base) {
        bar->base = base;
        bar->length = length;
    }
    return wide ? 2 : 1;
}

/* With decoding off, so that a BAR that is all ones for a moment hides nobody else's. Host bridges answer for all of
 * memory: they are left alone. */
static void read_bars(const struct config *config, struct pci_function *function)
{
    unsigned count = function->header == 0 ? 6 : function->header == 1 ? 2 : 0;
    uint32_t command = config_read(config, function->where, COMMAND, 2);

    if (function->class_code >> 8 == CLASS_BRIDGE << 8)
        return;
    config_write(config, function->where, COMMAND, 2,
                 command & ~(PCI_COMMAND_PORTS | PCI_COMMAND_MEMORY));
    for (unsigned i = 0; i < count;)
        i += read_bar(config, function, i, count);
    config_write(config, function->where, COMMAND, 2, command);
}

bool pci_read(const struct config *config, uint32_t where, struct pci_function *function)
{
    uint32_t class_code;

    memset(function, 0, sizeof(*function));
    function->where = where;
    function->vendor = (uint16_t)config_read(config, where, VENDOR, 2);
    if (function->vendor == 0xffff || function->vendor == 0)
        return false;
    function->device = (uint16_t)config_read(config, where, DEVICE, 2);
    class_code = config_read(config, where, REVISION, 4);
    function->revision = (uint8_t)class_code;
    function->class_code = class_code >> 8;
    function->header = config_read(config, where, HEADER_TYPE, 1) & 0x7f;
    function->pin = (uint8_t)config_read(config, where, PIN, 1);
    if (function->pin > 4)
        function->pin = 0;
    if (function->header == 0) {
        function->subsystem_vendor = (uint16_t)config_read(config, where, SUBSYSTEM, 2);
        function->subsystem = (uint16_t)config_read(config, where, SUBSYSTEM + 2, 2);
    } else if (function->header == 1) {
        function->secondary = (uint8_t)config_read(config, where, SECONDARY_BUS, 1);
    }
    function->requester = bridge_requester(config, where);
    read_bars(config, function);
    read_capabilities(config, function);
    return true;
}

/* --- The buses --------------------------------------------------------------------------------------------------- */

struct walk {
    const struct config *config;
    uint32_t segment, first, last;
    bool (*found)(void *context, const struct pci_function *function);
    void *context;
    bool stopped;
};

static void walk_device(struct walk *walk, uint32_t bus, uint32_t device)
{
    unsigned functions = 1;

    for (unsigned n = 0; n < functions && !walk->stopped; n++) {
        uint32_t where = where_of(walk->segment, bus, device, n);
        struct pci_function function;

        if (!pci_read(walk->config, where, &function))
            continue;
        if (n == 0 && config_read(walk->config, where, HEADER_TYPE, 1) & HEADER_SEVERAL)
            functions = 8;
        walk->stopped = !walk->found(walk->context, &function);
    }
}

/* Every bus is looked at, each once, whether a bridge claims to lead there or not: so nothing that bridges say can
 * lead in circles, and root buses nobody tells of are found, too. */
void pci_walk(const struct config *config, uint32_t segment, uint32_t first, uint32_t last,
              bool (*found)(void *context, const struct pci_function *function), void *context)
{
    struct walk walk = {config, segment, first, last, found, context, false};

    for (uint32_t bus = first; bus <= last && !walk.stopped; bus++)
        for (uint32_t device = 0; device < 32 && !walk.stopped; device++)
            walk_device(&walk, bus, device);
}

/* --- What may be done with one ------------------------------------------------------------------------------------ */

void pci_enable(const struct config *config, const struct pci_function *function, uint32_t what)
{
    uint32_t command = config_read(config, function->where, COMMAND, 2);

    config_write(config, function->where, COMMAND, 2, command | what);
}

void pci_quiet(const struct config *config, const struct pci_function *function)
{
    uint32_t where = function->where, command = config_read(config, where, COMMAND, 2);

    config_write(config, where, COMMAND, 2, (command & ~PCI_COMMAND_MASTER) | PCI_COMMAND_NO_LINE);
    if (function->msi) {
        uint32_t control = config_read(config, where, function->msi + MSI_CONTROL, 2);
        config_write(config, where, function->msi + MSI_CONTROL, 2, control & ~MSI_ENABLE);
    }
    if (function->msix) {
        uint32_t control = config_read(config, where, function->msix + MSIX_CONTROL, 2);
        config_write(config, where, function->msix + MSIX_CONTROL, 2, control & ~MSIX_ENABLE);
    }
}

static bool start_reset(const struct config *config, const struct pci_function *function)
{
    uint32_t where = function->where;

    if (function->express &&
        config_read(config, where, function->express + EXPRESS_CAN, 4) & EXPRESS_FLR) {
        uint32_t control = config_read(config, where, function->express + EXPRESS_DO, 2);
        config_write(config, where, function->express + EXPRESS_DO, 2, control | EXPRESS_RESET);
        return true;
    }
    if (function->advanced && (config_read(config, where, function->advanced + ADVANCED_CAN, 1) &
                               ADVANCED_FLR) == ADVANCED_FLR) {
        config_write(config, where, function->advanced + ADVANCED_DO, 1, 1);
        return true;
    }
    return false;
}

bool pci_reset(const struct config *config, const struct pci_function *function, void (*wait)(void))
{
    uint32_t header[FIRST_CAPABILITY / 4];

    for (uint32_t i = 0; i < ARRAY_SIZE(header); i++)
        header[i] = config_read(config, function->where, 4 * i, 4);
    if (!start_reset(config, function))
        return false;
    wait();
    for (uint32_t i = BAR0 / 4; i < ARRAY_SIZE(header); i++)
        config_write(config, function->where, 4 * i, 4, header[i]);
    config_write(config, function->where, 0x0c, 1, header[3] & 0xff); /* cache line */
    config_write(config, function->where, COMMAND, 2, PCI_COMMAND_NO_LINE);
    return true;
}

/* The capability that a byte beyond the header lies in; 0: in none. A capability has no length: it goes on to the next
 * one that begins behind it. */
static uint8_t capability_around(const struct config *config, uint32_t where, uint32_t offset,
                                 uint8_t *id)
{
    uint8_t at = 0, kind, best = 0;

    for (unsigned n = 0; n < PCI_CAPABILITIES_MOST; n++) {
        if (!pci_capability_next(config, where, &at, &kind))
            break;
        if (at > offset || at < best)
            continue;
        best = at;
        *id = kind;
    }
    return best;
}

/* Of the header the cache line size; PCI power management's control; what vendors have made: their own capabilities and what lies
 * in front of all of them. Not BARs, not messages, not the link. */
bool pci_may_write(const struct config *config, const struct pci_function *function,
                   uint32_t offset, uint32_t size)
{
    uint8_t id = 0, at;

    if ((size != 1 && size != 2 && size != 4) || offset % size || offset >= 4096)
        return false;
    if (offset < FIRST_CAPABILITY)
        return offset == 0x0c && size == 1;
    if (offset >= 256)
        return false;
    for (uint32_t byte = offset; byte < offset + size; byte++) {
        at = capability_around(config, function->where, byte, &id);
        if (at && id == PCI_CAPABILITY_POWER) {
            if (byte - at < 4 || byte - at > 5)
                return false;
        } else if (at && (id != PCI_CAPABILITY_VENDOR || byte - at < 2)) {
            return false;
        }
    }
    return true;
}
