"""QEMU's virtio devices and their drivers."""
import os
import re

from disk_image import Part
from harness import in_soak, scenario
from scenarios.devices import wait_log
from scenarios.disks import MIB, Disk, kill_meanwhile, md5, pattern
from scenarios.disks import boot as boot_disks

DRIVER = "virtiorngd@00:15.0"


def boot(context, *devices, **options):
    return context.boot(initfs=os.path.join(context.out, "test-initfs.tar.gz"), devices=devices, **options)


def pid_of(vm, name):
    """A name may be longer than the 15 characters that `comm` has of it on Linux."""
    return vm.check(f"pidof {name}", re.compile(r"^\d+$", re.M), 60).strip()


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
        vm.check("/sbin/virtiorngd pci-claim:///00:1f.3 || /sbin/virtiorngd pci-claim:///00:15.0 || true",
                 re.compile(r"no such name\n(.*\n)*.*in use\n"))


def legacy_disk(context, interrupts, **options):
    """A disk of before virtio 1.0 is read, written and flushed while its driver, diskd and pcid are killed."""
    with Disk(24 * MIB) as disk:
        disk.image.gpt([Part(0, "all")])
        disk.image.write(24 * MIB // 512 - 100, tail := pattern(512))
        with boot_disks(context, disk.path + ",keep,legacy" + interrupts, **options) as vm:
            vm.prompt()
            vm.check("ls -1 disk:///by-id", "virtio-disk0\nvirtio-disk0-part1\n", 60)
            vm.check("dd if=disk:///vd0 bs=512 skip=$((24 * 2048 - 100)) count=1 2> /dev/null | md5sum", md5(tail), 60)
            before = flushes(vm)
            vm.check("dd if=/dev/zero of=disk:///vd0p1 bs=64k count=16 conv=fsync 2> /dev/null; echo done", "done\n", 60)
            if flushes(vm) == before:
                vm.fail("fsync has not reached the device")
            kill_meanwhile(vm, disk, 4, ["virtiod"], ["diskd"], ["virtiod", "diskd"], ["pcid", "virtiod"], ["virtiod"])
            vm.check("/tests/tools/port_bar pci-claim:///00:11.0", "ok\n", 60)


def flushes(vm):
    return sum(disk["stats"]["flush_operations"] for disk in vm.qmp("query-blockstats"))


@scenario("virtio/legacy", cpus=(1, 4))
def legacy(context):
    """A legacy disk with MSI-X, whose driver may use its ports and no others."""
    legacy_disk(context, "", devices=["pci-testdev"])


@scenario("virtio/legacy-line", cpus=(1, 4))
def legacy_line(context):
    """The same with the function's line, on a machine that is as old."""
    legacy_disk(context, ",line", devices=["pci-testdev"], machine="pc")


@scenario("virtio/legacy-rng", cpus=(1, 4))
def legacy_rng(context):
    """A device with nothing but a queue, behind ports; its driver is killed."""
    with boot(context, "virtio-rng-legacy") as vm:
        vm.prompt()
        brought(vm, 64)
        vm.check(f"kill -9 {pid_of(vm, DRIVER)}; head -c 3000000 rng:/// | wc -c", "3000000\n", 60)
        brought(vm, 64)


@scenario("virtio/lost", cpus=(4, *in_soak(1)))
def lost(context):
    """A write that the device keeps for itself: the device is reset in place, by its driver that lives on, and has it then."""
    with Disk(4 * MIB) as disk:
        with boot_disks(context, disk.path + ",keep") as vm:
            vm.prompt()
            driver = pid_of(vm, "virtiod@00:02.0")
            throttle(vm, 1)  # the first request is let through, and is paid for by the next
            vm.check("head -c 65536 /dev/zero | tr '\\0' x > /tmp/x; "
                     "dd if=/tmp/x of=disk:///vd0 bs=32768 > /tmp/result 2>&1 && echo written > /tmp/result &", "", 60)
            wait_log(vm, "vd0: does not answer: reset")
            throttle(vm, 0)
            vm.check("wait; cat /tmp/result", "written\n", 120)
            if disk.bytes(0, 65536) != b"x" * 65536:
                vm.fail("other bytes than were written")
            if pid_of(vm, "virtiod@00:02.0") != driver:
                vm.fail("the driver has ended")


def throttle(vm, bytes_per_second):
    limits = dict.fromkeys(("bps_rd", "iops", "iops_rd", "iops_wr", "bps"), 0)
    vm.qmp("block_set_io_throttle", device="disk0", bps_wr=bytes_per_second, **limits)


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
