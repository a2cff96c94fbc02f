"""Everything that QEMU can plug in, in and out in random order, on two chip sets and controllers, while a USB disk is read.

usb-uas is not among it: QEMU 7.2 crashes where it is pulled out while a command is under way, as diskd's are when it has just come (usb/uas-plugging).
"""
import os
import random
import re

from harness import scenario
from scenarios.ahci_nvme import Image, digest, wait_disk
from scenarios.survival import settled_frames
from scenarios.usb import boot, figures, settled_handles, wait_devices

MIB = 1 << 20
KINDS = ("usb-kbd", "usb-mouse", "usb-tablet", "usb-wacom-tablet", "usb-hub", "usb-serial", "usb-storage")
PORTS = (2, 3, 4)  # the disk that is read is on port 1


class Bus:
    """What is plugged in besides the disk."""

    def __init__(self, vm, stick):
        self.vm, self.there, self.lines = vm, {}, 0
        vm.qmp("blockdev-add", driver="raw", **{"node-name": "stick", "read-only": True}, file={"driver": "file", "filename": stick, "read-only": True})

    def flip(self, port, kind):
        if self.there.pop(port, None):
            self.vm.qmp("device_del", id=f"d{port}")
            return
        if kind == "usb-storage" and kind in self.there.values():  # there is one stick
            kind = "usb-kbd"
        more = {"drive": "stick", "serial": "stick"} if kind == "usb-storage" else {"chardev": self.line()} if kind == "usb-serial" else {}
        self.vm.qmp("device_add", driver=kind, id=f"d{port}", bus="xhci.0", port=str(port), **more)
        self.there[port] = kind

    def line(self):
        """Another one each time: who has just gone may still have his."""
        self.lines += 1
        self.vm.qmp("chardev-add", id=f"line{self.lines}", backend={"type": "ringbuf", "data": {}})
        return f"line{self.lines}"

    def wait(self):
        """A port of USB 2 is four behind that of USB 3 in the same connector."""
        wait_devices(self.vm, "1-1", *(f"1-{port + (0 if kind == 'usb-storage' else 4)}" for port, kind in self.there.items()))

    def clear(self):
        for port in sorted(self.there):
            self.flip(port, None)
        self.wait()


def copying(vm, name):
    vm.shell("rm -f /tmp/stop /tmp/sums")
    vm.shell(f"while test ! -e /tmp/stop; do dd if=disk:///{name} bs=64k 2>/dev/null | sha256sum >> /tmp/sums; done &")


def copied(vm, want):
    """Every copy was right, however many there were."""
    sums = vm.check("touch /tmp/stop; wait; sort /tmp/sums | uniq -c", re.compile(rf"^ *(\d+) {want}  -\n$"), 120)
    return int(re.match(r" *(\d+)", sums)[1])


@scenario("usb/plugging", cpus=(1, 4))
def plugging(context):
    """PLUG_ROUNDS for longer. What is there is there; the copies are right; nothing is lost by it."""
    machine, controller = ("pc", "nec-xhci") if context.cpus == 1 else ("q35", "xhci")
    rounds = int(os.environ.get("PLUG_ROUNDS", "30"))
    with Image(2 * MIB) as image, Image(MIB, 2) as stick:
        extra = ["-drive", f"if=none,id=image,format=raw,readonly=on,file={image.file.name}",
                 "-device", "usb-storage,drive=image,bus=xhci.0,port=1,serial=image"]
        with boot(context, controller, machine=machine, extra=extra) as vm:
            vm.prompt()
            bus, name = Bus(vm, stick.file.name), wait_disk(vm, "serial=image ").split()[0]
            copying(vm, name)
            for kind in KINDS:  # services keep what they made for as many as there once were
                for port in PORTS:
                    bus.flip(port, kind)
                bus.wait()
                bus.clear()
            copied(vm, digest(image.data))
            handles, frames = [settled_handles(vm)], [settled_frames(vm)]
            chance = random.Random(6)
            copying(vm, name)
            for _ in range(rounds):
                bus.flip(chance.choice(PORTS), chance.choice(KINDS))
                if chance.random() < 0.3:
                    bus.wait()
            bus.clear()
            copies = copied(vm, digest(image.data))
            handles.append(settled_handles(vm))
            frames.append(settled_frames(vm))
            figures(f"frames free {frames}, handles {handles}, before and after {rounds} times, {copies} copies")
            if handles[1] != handles[0]:
                vm.fail(f"handles, bindings, ports: {handles[0]}, and then {handles[1]}")
            if frames[1] < frames[0] - 32:  # services' heaps have grown, and per-CPU caches hold a few
                vm.fail(f"{frames[0] - frames[1]} frames did not come back")
            vm.check("cat log:///status | grep ^usbd", re.compile(r"usbd +ready +1 "))
