/* Texts: see text.h. */
#include "sbin/usbd/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/error.h"
#include "lib/usb/ids.h"
#include "sbin/usbd/controller.h"

#define CLASS_SIZE 64u

static struct pci_ids ids;

void text_start(void)
{
    int64_t result = usb_ids_load(&ids);
    if (result < 0)
        fprintf(stderr, "%s: %s\n", USB_IDS_FILE, error_text(result));
}

static uint32_t class_of(const struct usb_interface *interface)
{
    return (uint32_t)interface->class_code << 16 | (uint32_t)interface->subclass << 8 |
           interface->protocol;
}

static const char *speed_name(enum usb_speed speed)
{
    static const char *const names[] = {[USB_FULL] = "12 Mbit/s",
                                        [USB_LOW] = "1.5 Mbit/s",
                                        [USB_HIGH] = "480 Mbit/s",
                                        [USB_SUPER] = "5 Gbit/s",
                                        [USB_SUPER_PLUS] = "10 Gbit/s"};
    return names[speed];
}

/* By the device's own words, else by the distribution's. */
static void put_product(FILE *out, const struct device *device)
{
    uint32_t vendor = device->described.vendor;
    const char *maker = pci_ids_find(&ids, PCI_IDS_VENDOR, vendor);
    const char *product =
        pci_ids_find(&ids, PCI_IDS_DEVICE, vendor << 16 | device->described.product);
    if (device->manufacturer[0])
        maker = device->manufacturer;
    if (device->product[0])
        product = device->product;
    if (maker && !(product && strncmp(product, maker, strlen(maker)) == 0))
        fprintf(out, "%s ", maker);
    if (product)
        fprintf(out, "%s", product);
    else
        fprintf(out, "Device %04x:%04x", vendor, device->described.product);
}

/* The first four words are for programs: sbin/initd/driver_conf.h. */
static void put_line(FILE *out, const struct device *device, const struct interface *interface)
{
    char name[CLASS_SIZE];
    const struct usb_interface *described =
        usb_interface_find(&device->configuration, interface->number, interface->alternate);
    usb_ids_class(&ids, class_of(described), name, sizeof(name));
    fprintf(out, "%s:%u %06x %04x:%04x %" PRIu64 " %s: ", device->name, interface->number,
            class_of(described), device->described.vendor, device->described.product,
            device->number, name);
    put_product(out, device);
    fputc('\n', out);
}

static void put_devices(FILE *out)
{
    list_for_each (struct device, device, &devices, link)
        for (uint32_t i = 0; i < device->interface_count; i++)
            put_line(out, device, &device->interfaces[i]);
}

/* --- the tree --- */

static void put_hub(FILE *out, const struct hub *hub)
{
    for (uint32_t port = 1; port <= hub->ports; port++) {
        const struct device *device = hub->port[port].device;
        if (!device)
            continue;
        fprintf(out, "%*s%s %04x:%04x %s ", 4 * (hub->depth + 1), "", device->name,
                device->described.vendor, device->described.product, speed_name(device->speed));
        put_product(out, device);
        fputc('\n', out);
        if (device->hub)
            put_hub(out, device->hub);
    }
}

static void put_tree(FILE *out)
{
    list_for_each (struct controller, controller, &controllers, link) {
        fprintf(out, "%u %s %u ports\n", controller->number, controller->function,
                controller->root.ports);
        put_hub(out, &controller->root);
    }
}

/* --- one device --- */

static void put_endpoints(FILE *out, const struct device *device,
                          const struct usb_interface *interface)
{
    static const char *const types[] = {"control", "isochronous", "bulk", "interrupt"};
    for (uint32_t i = 0; i < interface->endpoint_count; i++) {
        const struct usb_endpoint *endpoint =
            &device->configuration.endpoints[interface->endpoint + i];
        fprintf(out, "  endpoint %02x: %s, %u bytes", endpoint->address, types[endpoint->type],
                endpoint->packet);
        if (endpoint->type == USB_INTERRUPT)
            fprintf(out, " every %u us", 125u << usb_interval(endpoint, device->speed));
        if (endpoint->streams)
            fprintf(out, ", %u streams", 1u << endpoint->streams);
        fputc('\n', out);
    }
}

static void put_info(FILE *out, struct device *device)
{
    char name[CLASS_SIZE];
    const struct usb_configuration *configuration = &device->configuration;
    fprintf(out, "%s %04x:%04x ", device->name, device->described.vendor,
            device->described.product);
    put_product(out, device);
    fprintf(out, "\nUSB %x.%x, %s, release %x.%02x, slot %u\n", device->described.version >> 8,
            device->described.version >> 4 & 0xf, speed_name(device->speed),
            device->described.release >> 8, device->described.release & 0xff, device->slot);
    if (device->capabilities.super && device->speed < USB_SUPER)
        fprintf(out, "faster on a port of USB 3\n");
    if (device->serial[0])
        fprintf(out, "serial number %s\n", device->serial);
    fprintf(out, "configuration %u of %u: %u mA%s%s\n", configuration->value,
            device->described.configurations, configuration->milliamperes,
            configuration->self_powered ? ", powered by itself" : "",
            configuration->wakes ? ", wakes" : "");
    for (uint32_t i = 0; i < configuration->interface_count; i++) {
        const struct usb_interface *interface = &configuration->interfaces[i];
        const struct interface *state = device_interface(device, interface->number);
        usb_ids_class(&ids, class_of(interface), name, sizeof(name));
        fprintf(out, "interface %u.%u: %06x %s", interface->number, interface->alternate,
                class_of(interface), name);
        if (state && state->owner && state->alternate == interface->alternate)
            fprintf(out,
                    state->owner == INTERFACE_IS_HUB ? ", a hub" : ", driver: process %" PRIu64,
                    state->owner);
        fputc('\n', out);
        put_endpoints(out, device, interface);
    }
}

const char *text_make(const struct name *name, size_t *length)
{
    static char *text;
    struct device *device = device_find(name->number);
    free(text);
    text = NULL;
    FILE *out = open_memstream(&text, length);
    if (!out)
        return NULL;
    if (name->node == NODE_DEVICES)
        put_devices(out);
    else if (name->node == NODE_TREE)
        put_tree(out);
    else if (name->node == NODE_INFO && device)
        put_info(out, device);
    else if (name->node == NODE_DESCRIPTORS && device) {
        fwrite(device->head, 1, sizeof(device->head), out);
        fwrite(device->bytes, 1, device->length, out);
    }
    return fclose(out) ? NULL : text;
}
