"""QEMU's virtio devices and their drivers."""
import os
import re

from harness import scenario
from scenarios.devices import wait_log

DRIVER = "virtiorngd@00:15.0"


def boot(context, *devices, **options):
    return context.boot(initfs=os.path.join(context.out, "test-initfs.tar.gz"), devices=devices, **options)


def pid_of(vm, name):
    """As pidof, which does not find names of more than 15 characters; ps shows so many of them."""
    shown = re.compile(rf"^ *(\d+) .*\[{name[:15]}", re.M)
    return shown.search(vm.check("ps", shown, 60))[1]


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
        brought(vm, 64)
        vm.check("head -c 3000000 rng:/// | wc -c", "3000000\n", 60)
        brought(vm, 128)
        vm.shell("kill -9 $(pidof rngd)")
        brought(vm, 64)
        vm.shell(f"kill -STOP {pid_of(vm, DRIVER)}")  # as a device that does not answer
        vm.check("head -c 3000000 rng:/// | wc -c", "3000000\n", 60)
        vm.check(f"kill -9 {pid_of(vm, DRIVER)}; head -c 3000000 rng:/// | wc -c", "3000000\n", 60)
        brought(vm, 64)
        vm.check("/sbin/virtiorngd pci:///00:1f.3 || /sbin/virtiorngd pci:///00:15.0 || true",
                 re.compile(r"no such name\n(.*\n)*.*in use\n"))


def move(vm, **events):
    """One packet from the pointer: axes by QMP's names."""
    kind = "abs" if events.pop("absolute", False) else "rel"
    vm.qmp("input-send-event", events=[{"type": kind, "data": {"axis": axis, "value": value}} for axis, value in events.items()])


def click(vm, button):
    for down in (True, False):
        vm.qmp("input-send-event", events=[{"type": "btn", "data": {"down": down, "button": button}}])


@scenario("virtio/pointers", cpus=(1, 4))
def pointers(context):
    """A mouse and a tablet: movements, buttons and positions arrive in order."""
    with boot(context, "virtio-mouse", "virtio-tablet") as vm:
        vm.prompt()
        for name in ("Mouse", "Tablet"):
            wait_log(vm, f"QEMU Virtio {name}")
        vm.send("/tests/tools/input_events 26\n")
        vm.expect("^listening\n", 30)
        for distance in range(1, 21):
            move(vm, x=distance, y=-distance)
        for distance in range(1, 21):
            vm.expect(rf"^rel 0 {distance}; rel 1 -{distance}\n", 30)
        click(vm, "right")
        vm.expect("^key 273 1\nkey 273 0\n", 30)
        for where in (0, 16384, 32767, 40000):
            move(vm, absolute=True, x=where, y=32767 - min(where, 32767))
        vm.expect("^abs 0 0; abs 1 65535\nabs 0 3276\\d; abs 1 3276\\d\nabs 0 65535; abs 1 0\nabs 0 65535; abs 1 0\n", 30)
