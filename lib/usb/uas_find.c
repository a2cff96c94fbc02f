/* What the descriptors of a USB disk's interface say of its transports: see uas.h. */
#include <string.h>

#include "lib/usb/descriptor.h"
#include "lib/usb/uas.h"

#define CLASS_STORAGE      0x08u
#define SUBCLASS_SCSI      0x06u
#define PROTOCOL_BULK_ONLY 0x50u
#define PROTOCOL_UAS       0x62u

#define PIPE_USAGE 0x24u /* a descriptor's type (UAS-3 5.3.3.5); its third byte: */
#define PIPE_FIRST 1u    /* ... which of enum uas_pipe, from here on */

#define INTERFACE_LENGTH 9u
#define ENDPOINT_LENGTH  7u

/* A setting of the interface, and of UAS its pipes so far. */
struct setting {
    bool ours, attached;
    uint8_t alternate, endpoint; /* the address of the last one, if it is bulk; 0 */
    uint8_t pipes[UAS_PIPES];
};

static void setting_begin(struct setting *setting, const uint8_t *descriptor, uint8_t interface,
                          struct uas_settings *settings)
{
    *setting = (struct setting){
        .ours = descriptor[2] == interface && descriptor[5] == CLASS_STORAGE &&
                descriptor[6] == SUBCLASS_SCSI,
        .alternate = descriptor[3],
    };
    setting->attached = setting->ours && descriptor[7] == PROTOCOL_UAS;
    if (setting->ours && descriptor[7] == PROTOCOL_BULK_ONLY && !settings->bulk_only) {
        settings->bulk_only = true;
        settings->bulk_only_alternate = setting->alternate;
    }
}

static bool pipes_are_whole(const struct setting *setting)
{
    const uint8_t *pipes = setting->pipes;
    return pipes[UAS_COMMAND] && pipes[UAS_STATUS_IN] && pipes[UAS_DATA_IN] &&
           pipes[UAS_DATA_OUT] && pipes[UAS_COMMAND] != pipes[UAS_DATA_OUT] &&
           pipes[UAS_STATUS_IN] != pipes[UAS_DATA_IN];
}

static void pipe_set(struct setting *setting, uint8_t id, struct uas_settings *settings)
{
    uint32_t pipe = (uint32_t)id - PIPE_FIRST;
    bool in = setting->endpoint & USB_ENDPOINT_IN;
    if (pipe >= UAS_PIPES || !setting->endpoint ||
        in != (pipe == UAS_STATUS_IN || pipe == UAS_DATA_IN))
        return;
    setting->pipes[pipe] = setting->endpoint;
    if (settings->attached || !pipes_are_whole(setting))
        return;
    settings->attached = true;
    settings->attached_alternate = setting->alternate;
    memcpy(settings->pipes, setting->pipes, sizeof(settings->pipes));
}

void uas_find(const uint8_t *bytes, size_t length, uint8_t interface, struct uas_settings *settings)
{
    struct setting setting = {0};
    const uint8_t *descriptor;
    size_t at = 0;
    *settings = (struct uas_settings){0};
    while ((descriptor = usb_descriptor_next(bytes, &at, length))) {
        if (descriptor[1] == USB_INTERFACE && descriptor[0] >= INTERFACE_LENGTH)
            setting_begin(&setting, descriptor, interface, settings);
        else if (descriptor[1] == USB_ENDPOINT && descriptor[0] >= ENDPOINT_LENGTH)
            setting.endpoint = (descriptor[3] & 3) == USB_BULK ? descriptor[2] : 0;
        else if (descriptor[1] == PIPE_USAGE && descriptor[0] > 2 && setting.attached)
            pipe_set(&setting, descriptor[2], settings);
    }
}
