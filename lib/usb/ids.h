/* Names of USB vendors, products and classes: the distribution's usb.ids, packed as pci.ids is (lib/pci/ids.h). */
#pragma once

#include "lib/pci/ids.h"

#define USB_IDS_FILE "initfs:///usr/share/misc/usb.ids.packed"

/* 0 or -E_*; *ids can be used in any case. */
int64_t usb_ids_load(struct pci_ids *ids);

/* "Keyboard" of 0x030101, as precise as is known; else "Class 03". */
void usb_ids_class(const struct pci_ids *ids, uint32_t class_code, char *text, size_t size);
