"""Disks on USB: the bulk-only transport, by QEMU's usb-storage and usb-bot. What every disk does is in disks.py."""
import re

from harness import scenario
from scenarios.ahci_nvme import Image, check_read, power_off, wait_disk

MIB = 1 << 20


def boot(context, *disks, **options):
    vm = context.boot(disks=disks, **options)
    vm.prompt()
    return vm


def name_of(vm, serial):
    """What the disk is called: by its place."""
    return wait_disk(vm, f"serial={serial} ").split()[0]


@scenario("usb/storage")
def storage(context):
    """Every byte is read, some are written, and they are in the image when the machine is off."""
    with Image() as image:
        with boot(context, image.disk("usb")) as vm:
            name = name_of(vm, "disk0")
            vm.check("cat disk:///disks", re.compile(rf"^{name} {16 * MIB} rw .*model=QEMU\\x20QEMU\\x20HARDDISK .*function=1-\d+:0$", re.M))
            check_read(vm, name, image.data)
            check_read(vm, name, image.data[3 * 512:3 * 512 + 77 * 512], "bs=512 skip=3 count=77")
            vm.check(f"dd if=disk:///{name} of=disk:///{name} bs=1M count=4 seek=8 conv=notrunc,fsync 2>/dev/null && echo written", "written\n", 120)
            vm.check(f"dd if=disk:///{name} of=disk:///{name} bs=512 count=3 seek=100 conv=notrunc 2>/dev/null && echo written", "written\n", 60)
            power_off(vm)
        want = bytearray(image.data)
        want[8 * MIB:12 * MIB] = want[:4 * MIB]
        want[100 * 512:103 * 512] = want[:3 * 512]
        if image.now() != bytes(want):
            vm.fail("the image holds something else")
