/* Reports: see hid_input.h. */
#include "lib/usb/hid_input.h"

#include <stdlib.h>
#include <string.h>

#include "abi/errors.h"
#include "lib/usb/hid_keys.h"

#define ROLLOVER  UINT16_MAX /* in an array's codes */
#define CODES_MAX 0x10000u

/* What a field, or one element of it, means. */
struct hid_control {
    struct hid_field field; /* count 1, but of arrays */
    uint16_t type, code;
    uint16_t *codes; /* of an array: by value, less the least */
    uint32_t code_count;
    int32_t last; /* the position that was told, if one was: */
    bool known;
};

/* --- what there is --- */

static bool movement(uint32_t usage, bool relative, uint16_t *type, uint16_t *code)
{
    static const struct {
        uint32_t usage;
        bool relative;
        uint16_t code;
    } axes[] = {
        {HID_X, true, INPUT_REL_X},         {HID_Y, true, INPUT_REL_Y},
        {HID_WHEEL, true, INPUT_REL_WHEEL}, {HID_PAN, true, INPUT_REL_HWHEEL},
        {HID_X, false, INPUT_ABS_X},        {HID_Y, false, INPUT_ABS_Y},
    };
    for (size_t i = 0; i < ARRAY_SIZE(axes); i++) {
        if (axes[i].usage != usage || axes[i].relative != relative)
            continue;
        *type = relative ? INPUT_REL : INPUT_ABS;
        *code = axes[i].code;
        return true;
    }
    return false;
}

static void variable_add(struct hid_input *input, const struct hid_field *field, uint32_t index,
                         uint32_t usage)
{
    struct hid_control control = {.field = *field, .type = INPUT_KEY, .code = hid_key(usage)};
    control.field.offset += index * field->size;
    control.field.count = 1;
    if (control.code || movement(usage, field->relative, &control.type, &control.code))
        input->controls[input->control_count++] = control;
}

/* Each element with its usage; the ranges are walked once, the last usage is that of what is left. */
static void variables_add(struct hid_input *input, const struct hid *hid,
                          const struct hid_field *field)
{
    uint32_t index = 0, usage = 0;
    for (uint32_t i = 0; i < field->usage_count && index < field->count; i++) {
        const struct hid_range *range = &hid->usages[field->usages + i];
        for (usage = range->first; usage <= range->last && index < field->count; usage++)
            variable_add(input, field, index++, usage);
    }
    while (index < field->count && field->usage_count)
        variable_add(input, field, index++, usage - 1);
}

static int64_t array_add(struct hid_input *input, const struct hid *hid,
                         const struct hid_field *field)
{
    struct hid_control control = {.field = *field, .type = INPUT_KEY};
    uint64_t values = field->most >= field->least ? (uint64_t)(field->most - field->least) + 1 : 0;
    bool any = false;
    control.code_count = (uint32_t)MIN(values, CODES_MAX);
    control.codes = calloc(control.code_count + 1, sizeof(*control.codes));
    if (!control.codes)
        return -E_NO_MEMORY;
    uint32_t value = 0;
    for (uint32_t i = 0; i < field->usage_count; i++) {
        const struct hid_range *range = &hid->usages[field->usages + i];
        for (uint32_t usage = range->first; usage <= range->last && value < control.code_count;
             usage++, value++) {
            bool error = usage - HID_ROLLOVER < 3;
            control.codes[value] = error ? ROLLOVER : hid_key(usage);
            any |= control.codes[value] != 0;
        }
    }
    if (any)
        input->controls[input->control_count++] = control;
    else
        free(control.codes);
    return 0;
}

static void lights_add(struct hid_input *input, const struct hid *hid,
                       const struct hid_field *field)
{
    static const uint32_t masks[] = {INPUT_LED_NUM, INPUT_LED_CAPS, INPUT_LED_SCROLL};
    if (!field->variable || (input->lights_length && input->lights_report != field->report))
        return;
    for (uint32_t i = 0; i < field->count && i < 32; i++) {
        uint32_t light = hid_field_usage(hid, field, i) - HID_LED_NUM;
        if (light >= ARRAY_SIZE(masks) || input->light_count == ARRAY_SIZE(input->lights))
            continue;
        input->lights_report = field->report;
        input->lights_length = hid_report_length(hid, HID_OUTPUT, field->report);
        input->lights[input->light_count].mask = masks[light];
        input->lights[input->light_count++].bit = field->offset + i * field->size;
    }
}

/* Elements are bits of reports at least, of which there are no more than that. */
static size_t controls_most(const struct hid *hid)
{
    size_t count = 1;
    for (uint32_t i = 0; i < hid->field_count; i++)
        if (hid->fields[i].kind == HID_INPUT)
            count += hid->fields[i].variable ? hid->fields[i].count : 1;
    return count;
}

int64_t hid_input_create(struct hid_input *input, const struct hid *hid)
{
    *input = (struct hid_input){.numbered = hid->numbered};
    input->controls = calloc(controls_most(hid), sizeof(*input->controls));
    int64_t result = 0;
    if (!input->controls)
        return -E_NO_MEMORY;
    for (uint32_t i = 0; result >= 0 && i < hid->field_count; i++) {
        const struct hid_field *field = &hid->fields[i];
        if (field->kind == HID_OUTPUT)
            lights_add(input, hid, field);
        else if (field->kind == HID_INPUT && field->variable)
            variables_add(input, hid, field);
        else if (field->kind == HID_INPUT)
            result = array_add(input, hid, field);
    }
    if (result < 0)
        hid_input_destroy(input);
    return result;
}

void hid_input_destroy(struct hid_input *input)
{
    for (uint32_t i = 0; i < input->control_count; i++)
        free(input->controls[i].codes);
    free(input->controls);
    *input = (struct hid_input){0};
}

/* --- reports --- */

static void key_note(struct hid_input *input, uint16_t code)
{
    if (code >= INPUT_KEYS || code == 0 || input->now[code / 8] >> code % 8 & 1)
        return;
    input->now[code / 8] |= (uint8_t)(1u << code % 8);
    input->order[input->now_count++] = code;
}

static int32_t scaled(const struct hid_field *field, int64_t value)
{
    if (field->most <= field->least)
        return 0;
    return (int32_t)((value - field->least) * INPUT_ABS_MAX / (field->most - field->least));
}

/* The keys an array names; false: it cannot tell. */
static bool array_note(struct hid_input *input, const struct hid_control *control,
                       const uint8_t *bytes, size_t length)
{
    int64_t value;
    for (uint32_t i = 0; i < control->field.count; i++) {
        if (!hid_value(&control->field, i, bytes, length, &value))
            continue; /* a null value: nothing */
        uint64_t index = (uint64_t)(value - control->field.least);
        uint16_t code = index < control->code_count ? control->codes[index] : 0;
        if (code == ROLLOVER)
            return false;
        key_note(input, code);
    }
    return true;
}

/* A position is told when it is another one. */
static bool moved(struct hid_control *control, int64_t value, hid_emit *emit, void *context)
{
    bool position = control->type == INPUT_ABS;
    int32_t told = position ? scaled(&control->field, value) : (int32_t)value;
    if (position ? control->known && control->last == told : told == 0)
        return false;
    control->known = true;
    control->last = told;
    emit(context, control->type, control->code, told);
    return true;
}

/* What moved, at once; which keys are held, into input->now. False: the report does not tell of keys. */
static bool controls_read(struct hid_input *input, uint8_t report, const uint8_t *bytes,
                          size_t length, hid_emit *emit, void *context, bool *emitted)
{
    bool tells = false;
    for (uint32_t i = 0; i < input->control_count; i++) {
        struct hid_control *control = &input->controls[i];
        int64_t value;
        if (control->field.report != report)
            continue;
        tells |= control->type == INPUT_KEY;
        if (control->codes) {
            if (!array_note(input, control, bytes, length))
                return false;
        } else if (hid_value(&control->field, 0, bytes, length, &value)) {
            if (control->type == INPUT_KEY)
                key_note(input, value ? control->code : 0);
            else
                *emitted |= moved(control, value, emit, context);
        }
    }
    return tells;
}

/* Keys that another report holds stay its. */
static bool keys_compare(struct hid_input *input, uint8_t report, hid_emit *emit, void *context)
{
    uint16_t holder = (uint16_t)(report + 1);
    bool emitted = false;
    for (uint16_t code = 0; code < INPUT_KEYS; code++) {
        if (input->holder[code] != holder || input->now[code / 8] >> code % 8 & 1)
            continue;
        input->holder[code] = 0;
        emit(context, INPUT_KEY, code, 0);
        emitted = true;
    }
    for (uint32_t i = 0; i < input->now_count; i++) {
        uint16_t code = input->order[i];
        if (input->holder[code])
            continue;
        input->holder[code] = holder;
        emit(context, INPUT_KEY, code, 1);
        emitted = true;
    }
    return emitted;
}

void hid_input_report(struct hid_input *input, const uint8_t *bytes, size_t length, hid_emit *emit,
                      void *context)
{
    uint8_t report = 0;
    bool emitted = false;
    if (input->numbered) {
        if (length == 0)
            return;
        report = bytes[0];
        bytes++;
        length--;
    }
    memset(input->now, 0, sizeof(input->now));
    input->now_count = 0;
    if (controls_read(input, report, bytes, length, emit, context, &emitted))
        emitted |= keys_compare(input, report, emit, context);
    if (emitted)
        emit(context, INPUT_SYNC, 0, 0);
}

uint32_t hid_input_lights(const struct hid_input *input, uint32_t mask, uint8_t *bytes)
{
    uint8_t *data = bytes + input->numbered;
    memset(bytes, 0, input->lights_length);
    if (input->numbered && input->lights_length)
        bytes[0] = input->lights_report;
    for (uint32_t i = 0; i < input->light_count; i++)
        if (mask & input->lights[i].mask)
            data[input->lights[i].bit / 8] |= (uint8_t)(1u << input->lights[i].bit % 8);
    return input->lights_length;
}
