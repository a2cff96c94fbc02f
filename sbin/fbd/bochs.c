#include "sbin/fbd/bochs.h"

#include "abi/pci.h"
#include "lib/sys/file.h"

#define BAR_PIXELS    0
#define BAR_REGISTERS 2
#define DISPI         0x500 /* the VBE registers, 16 bits each, in BAR 2 */

enum { DISPI_ID, DISPI_WIDTH, DISPI_HEIGHT, DISPI_BITS, DISPI_ENABLE };

#define DISPI_ID_MASK  0xfff0
#define DISPI_ID_BOCHS 0xb0c0
#define ENABLED_LINEAR 0x41

static int64_t bar_get(handle_t device, uint64_t index, uint64_t cache, struct abi_command *command)
{
    *command = (struct abi_command){.op = PCI_BAR, .args = {index, cache}};
    int64_t result = file_command(device, command);
    if (result >= 0 && (!command->receive_count || command->values[2] & PCI_BAR_PORTS))
        result = -E_NOT_SUPPORTED;
    return result;
}

static int64_t registers_map(handle_t device, volatile uint16_t **registers)
{
    struct abi_command command;
    int64_t result = bar_get(device, BAR_REGISTERS, CACHE_NONE, &command);
    if (result < 0)
        return result;
    struct abi_map map = {
        .length = ALIGN_UP(command.values[0] + command.values[1], PAGE_SIZE),
        .memory = command.receive[0],
        .protection = PROT_READ_ | PROT_WRITE_,
        .flags = MAP_SHARED_,
    };
    result = command.values[1] < DISPI + 2 * (DISPI_ENABLE + 1) ? -E_NOT_SUPPORTED
                                                                : sys_space_map(HANDLE_SELF, &map);
    handle_drop(command.receive[0]);
    if (result < 0)
        return result;
    *registers = (volatile uint16_t *)(uintptr_t)((uint64_t)result + command.values[0] + DISPI);
    return 0;
}

static int64_t mode_set(volatile uint16_t *registers, uint32_t width, uint32_t height)
{
    if ((registers[DISPI_ID] & DISPI_ID_MASK) != DISPI_ID_BOCHS)
        return -E_NOT_SUPPORTED;
    registers[DISPI_ENABLE] = 0;
    registers[DISPI_WIDTH] = (uint16_t)width;
    registers[DISPI_HEIGHT] = (uint16_t)height;
    registers[DISPI_BITS] = 32;
    registers[DISPI_ENABLE] = ENABLED_LINEAR;
    return registers[DISPI_WIDTH] == width && registers[DISPI_HEIGHT] == height ? 0 : -E_RANGE;
}

int64_t bochs_start(const char *uri, uint32_t width, uint32_t height, struct fb_mode *mode,
                    handle_t *claim, handle_t *memory, uint64_t *offset)
{
    volatile uint16_t *registers = NULL;
    struct abi_command command = {0};
    handle_t device;
    int64_t result = file_open(HANDLE_SELF, uri, OPEN_READ | OPEN_WRITE, &device);
    if (result < 0)
        return result;
    result = registers_map(device, &registers);
    if (result >= 0)
        result = mode_set(registers, width, height);
    if (result >= 0)
        result = bar_get(device, BAR_PIXELS, CACHE_COMBINING, &command);
    if (result >= 0 && command.values[1] < (uint64_t)width * 4 * height) {
        handle_drop(command.receive[0]);
        result = -E_NO_SPACE;
    }
    if (result < 0) {
        handle_drop(device);
        return result; /* and the claim's end resets the display */
    }
    *claim = device;
    *memory = command.receive[0];
    *offset = command.values[0];
    *mode = (struct fb_mode){
        .width = width,
        .height = height,
        .pitch = width * 4,
        .bits = 32,
        .red_shift = 16,
        .red_bits = 8,
        .green_shift = 8,
        .green_bits = 8,
        .blue_bits = 8,
    };
    return 0;
}
