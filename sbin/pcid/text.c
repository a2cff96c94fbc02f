/* Texts: see text.h. */
#include "sbin/pcid/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/pci/ids.h"
#include "lib/sys/error.h"
#include "sbin/pcid/claim.h"
#include "sbin/pcid/names.h"
#include "sbin/pcid/table.h"

#define DESCRIPTION 512u

static struct pci_ids ids;

void text_start(void)
{
    int64_t result = pci_ids_load(&ids);

    if (result < 0)
        fprintf(stderr, "%s: %s\n", PCI_IDS_FILE, error_text(result));
}

/* The first four words are for programs: sbin/initd/driver_conf.h. */
static void put_line(FILE *out, uint32_t index)
{
    const struct pci_function *function = &table_at(index)->function;
    struct pci_identity what = {function->vendor, function->device, function->class_code};
    char name[NAME_SIZE], description[DESCRIPTION];

    function_name(function, name);
    pci_ids_describe(&ids, &what, description, sizeof(description));
    fprintf(out, "%s %06x %04x:%04x %" PRIu64 " %s\n", name, function->class_code, function->vendor,
            function->device, table_at(index)->resets, description);
}

static void put_length(FILE *out, uint64_t length)
{
    if (length >= UINT64_C(1) << 20)
        fprintf(out, "%" PRIu64 " MiB", length >> 20);
    else if (length >= 1024)
        fprintf(out, "%" PRIu64 " KiB", length >> 10);
    else
        fprintf(out, "%" PRIu64, length);
}

static void put_info(FILE *out, uint32_t index)
{
    const struct pci_function *function = &table_at(index)->function;

    put_line(out, index);
    fprintf(out, "revision %02x, subsystem %04x:%04x, header %u\n", function->revision,
            function->subsystem_vendor, function->subsystem, function->header);
    if (function->header == 1)
        fprintf(out, "bridge to bus %02x\n", function->secondary);
    for (unsigned i = 0; i < PCI_BARS; i++) {
        const struct pci_bar *bar = &function->bars[i];

        if (!bar->length)
            continue;
        fprintf(out, "bar %u: %s 0x%" PRIx64 ", ", i,
                bar->flags & PCI_BAR_PORTS ? "ports" : "memory", bar->base);
        put_length(out, bar->length);
        fprintf(out, "%s%s\n", bar->flags & PCI_BAR_64 ? ", 64 bits" : "",
                bar->flags & PCI_BAR_PREFETCHABLE ? ", prefetchable" : "");
    }
    fprintf(out, "interrupts:");
    if (function->pin)
        fprintf(out, " INT%c", 'A' + function->pin - 1);
    if (function->msi)
        fprintf(out, " MSI");
    if (function->msix)
        fprintf(out, " MSI-X (%u)", function->msix_count);
    fprintf(out, "\nDMA: %s%s\n", claim_is_confined(index) ? "confined" : "unconfined",
            function->requester == function->where ? "" : ", with all behind its bridge");
    fprintf(out, "command %04x\n", config_read(&config_machine, function->where, 4, 2));
    if (function->owner)
        fprintf(out, "driver: process %" PRIu64 "%s\n", function->owner,
                claim_is_revoked(index) ? ", which has lost it" : "");
    else
        fprintf(out, "driver: none\n");
}

const char *text_make(uint64_t cookie, size_t *length)
{
    static _Thread_local char *text;
    enum node node = node_of(cookie);

    free(text);
    text = NULL;
    FILE *out = open_memstream(&text, length);
    if (!out)
        return NULL;
    if (node == NODE_INFO || node == NODE_FUNCTION)
        put_info(out, index_of(cookie));
    for (uint32_t i = 0; node == NODE_DEVICES && i < table_count(); i++)
        put_line(out, i);
    return fclose(out) ? NULL : text;
}
