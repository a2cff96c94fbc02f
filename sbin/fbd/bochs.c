#include "sbin/fbd/bochs.h"

#include "lib/pci/driver.h"

#define BAR_PIXELS    0
#define BAR_REGISTERS 2
#define DISPI         0x500 /* the VBE registers, 16 bits each, in BAR 2 */

enum { DISPI_ID, DISPI_WIDTH, DISPI_HEIGHT, DISPI_BITS, DISPI_ENABLE, DISPI_COUNT };

#define DISPI_ID_MASK  0xfff0
#define DISPI_ID_BOCHS 0xb0c0
#define ENABLED_LINEAR 0x41

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

int64_t bochs_start(const char *function, uint32_t width, uint32_t height,
                    struct framebuffer *framebuffer, handle_t *claim, handle_t *memory)
{
    struct pci_device device;
    volatile void *registers;
    uint64_t offset, length;
    int64_t result = pci_claim(&device, function);
    if (result < 0)
        return result;
    result = pci_map(&device, BAR_REGISTERS, DISPI, DISPI_COUNT * sizeof(uint16_t), CACHE_NONE,
                     &registers);
    if (result >= 0)
        result = mode_set(registers, width, height);
    if (result >= 0)
        result = pci_bar(&device, BAR_PIXELS, CACHE_COMBINING, memory, &offset, &length);
    if (result >= 0 && length < (uint64_t)width * 4 * height) {
        handle_drop(*memory);
        result = -E_NO_SPACE;
    }
    if (result < 0) {
        pci_release(&device);
        return result; /* and the claim's end resets the display */
    }
    *claim = device.file;
    framebuffer->mode = mode_of(width, height, 0);
    framebuffer->offset = offset;
    return 0;
}
