/* lspci [-n | -nn] [-v] [-s FUNCTION]: the PCI functions, as the Linux program of that name lists them.
 *
 * -n: numbers in place of names, -nn: both. -v: what else pcid says of each. -s: only that one ("1f.2", "00:1f.2").
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/pci/ids.h"

#define FOLDER   "pci:///"
#define HEADER   64u
#define VENDOR   0x00
#define REVISION 0x08

static struct pci_ids ids;
static int numbers, details;

static uint32_t word_at(const uint8_t *header, unsigned at)
{
    uint32_t word;

    memcpy(&word, header + at, sizeof(word));
    return word;
}

static void show_line(const char *name, const uint8_t *header)
{
    uint32_t class_code = word_at(header, REVISION) >> 8, id = word_at(header, VENDOR);
    struct pci_identity what = {(uint16_t)id, (uint16_t)(id >> 16), class_code};
    char text[512];

    pci_ids_describe(&ids, &what, text, sizeof(text));
    char *colon = strstr(text, ": ");
    printf("%s ", name);
    if (numbers == 1)
        printf("%04x: %04x:%04x", class_code >> 8, what.vendor, what.device);
    else if (numbers == 2)
        printf("%.*s [%04x]%s [%04x:%04x]", (int)(colon - text), text, class_code >> 8, colon,
               what.vendor, what.device);
    else
        printf("%s", text);
    if (header[REVISION])
        printf(" (rev %02x)", header[REVISION]);
    printf("\n");
}

static FILE *open_file(const char *function, const char *name)
{
    char path[sizeof(FOLDER) + NAME_MAX + 16];

    snprintf(path, sizeof(path), FOLDER "%s/%s", function, name);
    return fopen(path, "r");
}

/* All but its first line, which says what was said. */
static void show_details(const char *name)
{
    char line[256];
    bool first = true;
    FILE *file = open_file(name, "info");

    while (file && fgets(line, sizeof(line), file)) {
        if (!first)
            printf("\t%s", line);
        first = false;
    }
    if (file)
        fclose(file);
    printf("\n");
}

static void show(const char *name)
{
    uint8_t header[HEADER];
    FILE *file = open_file(name, "config");

    if (!file || fread(header, 1, HEADER, file) != HEADER) {
        if (file)
            fclose(file);
        return; /* it is no function */
    }
    fclose(file);
    show_line(name, header);
    if (details)
        show_details(name);
}

/* "1f.2" is "00:1f.2". */
static bool is_meant(const char *name, const char *wanted)
{
    return !wanted || strcmp(name, wanted) == 0 ||
           (strncmp(name, "00:", 3) == 0 && strcmp(name + 3, wanted) == 0);
}

static int compare(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

int main(int argc, char **argv)
{
    const char *wanted = NULL;
    struct dirent **entries;
    int option;

    while ((option = getopt(argc, argv, "nvs:")) != -1) {
        if (option == 'n')
            numbers++;
        else if (option == 'v')
            details = 1;
        else if (option == 's')
            wanted = optarg;
        else
            return fprintf(stderr, "usage: lspci [-n | -nn] [-v] [-s FUNCTION]\n"), 2;
    }
    if (pci_ids_load(&ids) < 0)
        fprintf(stderr, "lspci: no names of devices\n");
    int count = scandir(FOLDER, &entries, NULL, compare);
    if (count < 0)
        return perror("lspci: " FOLDER), 1;
    for (int i = 0; i < count; i++)
        if (is_meant(entries[i]->d_name, wanted))
            show(entries[i]->d_name);
    return 0;
}
