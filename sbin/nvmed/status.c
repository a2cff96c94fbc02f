#include "sbin/nvmed/status.h"

#include "abi/errors.h"

/* Fields of a status: its code, the code's type, and that it would end so again. */
#define CODE(status)  ((status)&0x7ff)
#define DO_NOT_RETRY  0x4000u
#define TYPE(type)    ((type) << 8)
#define GENERIC       TYPE(0u)
#define SPECIFIC      TYPE(1u)
#define MEDIA         TYPE(2u)
#define TYPE_OF(code) ((code)&TYPE(7u))

static const struct {
    uint16_t code;
    int16_t error;
    enum nvme_verdict verdict;
    const char *cause;
} causes[] = {
    {GENERIC | 0x00, 0, NVME_DONE, "done"},
    {GENERIC | 0x01, E_NOT_SUPPORTED, NVME_FAILED, "the controller does not know the command"},
    {GENERIC | 0x02, E_INVALID, NVME_FAILED, "the controller refuses a field of the command"},
    {GENERIC | 0x04, E_IO, NVME_AGAIN, "data did not get across"},
    {GENERIC | 0x05, E_IO, NVME_AGAIN, "power is failing"},
    {GENERIC | 0x06, E_IO, NVME_AGAIN, "an error within the controller"},
    {GENERIC | 0x07, E_IO, NVME_AGAIN, "it was aborted"},
    {GENERIC | 0x08, E_IO, NVME_AGAIN, "its queue was deleted"},
    {GENERIC | 0x0b, E_NO_DEVICE, NVME_FAILED, "the namespace is gone"},
    {GENERIC | 0x20, E_READ_ONLY, NVME_FAILED, "the namespace is write protected"},
    {GENERIC | 0x21, E_IO, NVME_AGAIN, "the controller was busy otherwise"},
    {GENERIC | 0x22, E_IO, NVME_AGAIN, "the transport failed"},
    {GENERIC | 0x80, E_RANGE, NVME_FAILED, "the namespace ends before it"},
    {GENERIC | 0x81, E_NO_SPACE, NVME_FAILED, "the namespace is full"},
    {GENERIC | 0x82, E_IO, NVME_AGAIN, "the namespace is not ready"},
    {GENERIC | 0x83, E_PERMISSION, NVME_FAILED, "another host has reserved the namespace"},
    {GENERIC | 0x84, E_BUSY, NVME_AGAIN, "the namespace is being formatted"},
    {SPECIFIC | 0x82, E_READ_ONLY, NVME_FAILED, "these blocks cannot be written"},
    {MEDIA | 0x80, E_MEDIUM, NVME_FAILED, "the medium cannot be written there"},
    {MEDIA | 0x81, E_MEDIUM, NVME_FAILED, "the medium cannot be read there"},
    {MEDIA | 0x86, E_ACCESS, NVME_FAILED, "access is denied"},
    {MEDIA | 0x87, E_MEDIUM, NVME_FAILED, "the blocks were never written"},
};

enum nvme_verdict nvme_status_judge(uint16_t status, int64_t *error, const char **cause)
{
    uint16_t code = CODE(status);
    *error = TYPE_OF(code) == MEDIA ? -E_MEDIUM : -E_IO;
    *cause = TYPE_OF(code) == MEDIA ? "the medium fails" : "the controller fails";
    enum nvme_verdict verdict = NVME_FAILED;
    for (size_t i = 0; i < ARRAY_SIZE(causes); i++)
        if (causes[i].code == code) {
            *error = -causes[i].error;
            *cause = causes[i].cause;
            verdict = causes[i].verdict;
            break;
        }
    return verdict == NVME_AGAIN && status & DO_NOT_RETRY ? NVME_FAILED : verdict;
}
