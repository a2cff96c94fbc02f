"""QEMU's virtio devices and their drivers."""
import os
import re

from harness import scenario


def boot(context, *devices, **options):
    return context.boot(initfs=os.path.join(context.out, "test-initfs.tar.gz"), devices=devices, **options)


def brought(vm, atleast):
    """Wait until the source has brought so many bytes."""
    for _ in range(100):
        match = re.search(r"^00:15.0 (\d+)$", vm.shell("cat rng:///sources", 60)[0], re.M)
        if match and int(match[1]) >= atleast:
            return
        vm.shell("sleep 0.1", 60)
    vm.fail(f"virtio-rng has not brought {atleast} bytes")


@scenario("virtio/rng")
def rng(context):
    """rngd asks the device at each reseeding, has it again when either was killed, and does without."""
    with boot(context, "virtio-rng") as vm:
        vm.prompt()
        vm.shell("(/sbin/virtiorngd pci:///00:15.0 &)")
        brought(vm, 64)
        vm.check("head -c 3000000 rng:/// | wc -c", "3000000\n", 60)
        brought(vm, 128)
        vm.shell("kill -9 $(pidof rngd)")
        brought(vm, 64)
        vm.shell("kill -STOP $(pidof virtiorngd)")  # as a device that does not answer
        vm.check("head -c 3000000 rng:/// | wc -c", "3000000\n", 60)
        vm.shell("kill -9 $(pidof virtiorngd)")
        vm.check("head -c 3000000 rng:/// | wc -c; cat rng:///sources", "3000000\n", 60)
        vm.shell("(/sbin/virtiorngd pci:///00:15.0 &)")
        brought(vm, 64)
        vm.check("/sbin/virtiorngd pci:///00:1f.2 || /sbin/virtiorngd pci:///00:15.0 || true",
                 re.compile(r"no such name\n(.*\n)*.*in use\n"))
