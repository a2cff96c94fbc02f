"""A USB disk or serial adapter is pulled out while it is used: whoever uses it hears of that at once. Told in the guest's time, which on these
machines counts instructions, so a busy host takes nothing from it."""
import os
import re
import time

from harness import in_soak, scenario
from machine import SCALE
from scenarios.ahci_nvme import Image, wait_disk
from scenarios.disks import expect
from scenarios.fat import image, tool
from scenarios.usb import boot, figures, wait_devices
from scenarios.usb_serial import PLACE as SERIAL, Cable, adapter, wait_terminal
from scenarios.usb_storage import node_add, plug, wait_gone

PLACE = "1-2"  # SuperSpeed: QEMU's second port
AT_ONCE = 500  # ms
TOOL = "/tests/tools/unplugged"
ERROR = "(?:No such device|I/O error|Input/output error)"
CLOCK = {"icount": True, "idle": True}


def machine(context, *disks):
    vm = boot(context, "xhci", disks=disks, **CLOCK)
    vm.prompt(240)
    return vm


def using(vm, place, how, path):
    """The tool at work, with its words in a file."""
    vm.shell(f"{TOOL} {place}:0 {how} {path} > /tmp/said & tool=$!; until grep -q ready /tmp/said; do usleep 100000; done", 120)
    time.sleep(0.2 * SCALE)  # somewhere in the middle of it


def check_said(vm, want):
    """What the tool said: `want` has the errors; all was over at once."""
    said = vm.check("wait $tool; tail -1 /tmp/said", re.compile(r"^.* after .*$", re.M), 120)
    match = re.search(rf"^{want[0]} after (-?\d+) ms; again after (\d+) ms: {want[0]}; later after (\d+) ms: {want[0]}; opened after (\d+) ms: {want[1]}$", said, re.M)
    if not match:
        vm.fail(f"it said {said!r}, not {want}")
    if max(map(int, match.groups())) >= AT_ONCE:
        vm.fail(f"that is not at once: {said!r}")
    figures(match[0])


@scenario("usb/unplugged-disk", cpus=(1, *in_soak(4)))
def disk(context):
    """dd's reads and writes end at once with an error that says so, then and ever after; the next stick has the same name."""
    with Image() as stick, machine(context) as vm:
        node_add(vm, "one", stick.file.name)
        for how in ("read", "write"):
            plug(vm, "one")
            name = wait_disk(vm, "serial=one ").split()[0]
            using(vm, PLACE, how, f"disk:///{name}")
            vm.qmp("device_del", id="stick")
            check_said(vm, (ERROR, f"(?:No such file or directory|{ERROR})"))
            wait_gone(vm, name)


@scenario("usb/unplugged-fat", cpus=(1, *in_soak(4)))
def fat(context):
    """A volume whose stick is pulled out as it is written: fsync is an error at once, umount -f goes through, other volumes do not notice. In again it is
    mounted again, and what had been synced is there."""
    with image(64, "-F", "32", "-n", "STICK") as volume, image(64, "-F", "32", "-n", "OTHER") as other:
        with machine(context, f"{other.name},keep") as vm:
            node_add(vm, "one", volume.name)
            vm.check("mkdir /mnt /other; mount -t vfat disk:///by-label/OTHER /other; cp /bin/busybox /other", "", 120)
            for round_ in range(2 if in_soak(1) else 1):
                plug(vm, "one")
                vm.check("until mount -t vfat disk:///by-label/STICK /mnt 2> /dev/null; do usleep 100000; done; "
                         f"echo {round_} > /mnt/round{round_}; sync; cat /mnt/round*", "".join(f"{number}\n" for number in range(round_ + 1)), 120)
                vm.check("dd if=/dev/zero of=/mnt/file bs=64k count=1 2> /dev/null", "", 60)
                using(vm, PLACE, "write", "/mnt/file")
                vm.shell("(while cp /bin/busybox /other/copy && cmp /bin/busybox /other/copy; do test -e /tmp/over && echo unharmed > /tmp/other && exit; done) &", 60)
                vm.qmp("device_del", id="stick")
                check_said(vm, (ERROR, ".*"))
                vm.check("ls /mnt/nosuch 2>&1; cd /; umount /mnt 2> /dev/null || echo not without force; time -f 'in %e s' umount -f /mnt 2>&1; ls -1 /mnt",
                         re.compile(r"not without force\nin 0\.[0-4]\d* s$"), 120)
                vm.check("touch /tmp/over; until test -e /tmp/other; do usleep 100000; done; cat /tmp/other; rm /tmp/o*", "unharmed\n", 240)
            vm.check("umount /other", "", 60)
        tool("fsck.fat", "-n", other.name)
        with open("/bin/busybox", "rb") as file:
            expect(vm, tool("mtype", "-i", other.name, "::copy") == file.read(), True)


@scenario("usb/unplugged-serial", cpus=(1, *in_soak(4)))
def serial(context):
    """Who waits for a terminal on an adapter is at its end at once, however often it is pulled out."""
    with adapter(context, **CLOCK) as (vm, line, path):
        for _ in range(int(os.environ.get("PLUG_ROUNDS", "2"))):
            wait_devices(vm, SERIAL)
            using(vm, SERIAL, "hear", "/dev/ttyUSB0")
            line.pull()
            check_said(vm, ("hung up", "No such file or directory"))
            line = Cable(vm, path)
            wait_terminal(vm)
