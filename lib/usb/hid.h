/* Report descriptors: what the bits of a HID device's reports mean (Device Class Definition for HID 1.11, 6.2.2). Pure.
 *
 *     hid_parse(bytes, length, &hid), hid_destroy(&hid)
 *     hid_field_usage(&hid, field, index)             what an element, or an array's value, stands for
 *     hid_value(field, index, bytes, length, &value)  an element of a report
 *
 * A field is what one main item declares: `count` elements of `size` bits. In a variable field each element has a usage and a
 * value; in an array each element's value, less the least, is the index of a usage. Constants are no fields. A usage is
 * page << 16 | id. Whatever a descriptor says, a field lies within a report of HID_REPORT_MAX bytes.
 */
#pragma once

#include "lib/base/base.h"

#define HID_REPORT_MAX 4096u

enum hid_kind { HID_INPUT, HID_OUTPUT, HID_FEATURE, HID_KINDS };

struct hid_field {
    enum hid_kind kind;
    uint8_t report; /* its id; 0: reports have none */
    uint8_t size;   /* bits of an element, 1 to 32 */
    bool variable, relative;
    uint32_t offset, count;       /* offset: in bits, behind the id */
    int64_t least, most;          /* what an element's value says otherwise is nothing */
    uint32_t usages, usage_count; /* ranges in the table */
};

struct hid_range {
    uint32_t first, last;
};

struct hid {
    struct hid_field *fields;
    struct hid_range *usages;
    uint32_t field_count, usage_count;
    bool numbered;                           /* a report begins with its id */
    uint32_t bits[HID_KINDS][UINT8_MAX + 1]; /* of each report */
};

/* -E_BAD_FORMAT: it breaks a rule; -E_NO_MEMORY. *hid is to be destroyed when this has succeeded. */
MUST_CHECK int64_t hid_parse(const uint8_t *bytes, size_t length, struct hid *hid);
void hid_destroy(struct hid *hid);

/* 0: none. The last one is that of all elements behind it, in a variable field. */
uint32_t hid_field_usage(const struct hid *hid, const struct hid_field *field, uint32_t index);

/* bytes: a report, behind its id. False: it does not reach so far, or the value is out of the field's bounds. */
MUST_CHECK bool hid_value(const struct hid_field *field, uint32_t index, const uint8_t *bytes,
                          size_t length, int64_t *value);

/* Bytes of a report, its id included; 0: there is no such. */
static inline uint32_t hid_report_length(const struct hid *hid, enum hid_kind kind, uint8_t report)
{
    uint32_t bits = hid->bits[kind][report];
    return bits ? (bits + 7) / 8 + hid->numbered : 0;
}
