"""Disks on USB: the bulk-only transport, by QEMU's usb-storage and usb-bot. What every disk does is in disks.py."""
import re

from harness import scenario
from scenarios.ahci_nvme import Image, check_read, digest, power_off, wait_disk
from scenarios.disks import expect

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


def kill(vm, service):
    """The service, or the driver, as soon as there is one."""
    shown = re.compile(rf"^ *(\d+) +\w+ +{service}(?:@|$)", re.M)
    for _ in range(300):
        found = shown.search(vm.shell("ps", 60)[0])
        if found:
            vm.shell(f"kill -9 {found[1]}", 60)
            return
        vm.shell("sleep 0.1", 60)
    vm.fail(f"{service} does not come back")


@scenario("usb/storage-survival")
def survival(context):
    """The driver, usbd, both, diskd are killed while a file that stays open is read and another is written: a pause, and the right bytes."""
    victims = (["usb.storage"], ["usbd"], ["diskd", "usb.storage"], ["usbd", "usb.storage"], ["usb.storage", "usbd"], ["usbd", "usbd"])
    with Image() as image:
        with boot(context, image.disk("usb")) as vm:
            name = name_of(vm, "disk0")
            vm.send(f"(for i in $(seq 12); do dd bs=1M count=1 2>/dev/null; sleep 1; done | sha256sum > /tmp/sum) < disk:///{name} & "
                    f"for i in $(seq 384 511); do echo $i | dd of=disk:///{name} bs=32k seek=$i conv=notrunc,sync 2>/dev/null || echo lost; done > /tmp/lost &\n")
            for together in victims:
                vm.shell("sleep 2")
                for victim in together:
                    kill(vm, victim)
            vm.check("wait; cat /tmp/sum /tmp/lost", f"{digest(image.data[:12 * MIB])}  -\n", 300)
            expect(vm, name_of(vm, "disk0"), name)
            power_off(vm)
        want = image.data[:12 * MIB] + b"".join(f"{number}\n".encode().ljust(32768, b"\0") for number in range(384, 512))
        expect(vm, image.now() == want, True)
