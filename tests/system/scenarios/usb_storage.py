"""Disks on USB: the bulk-only transport, by QEMU's usb-storage and usb-bot. What every disk does is in disks.py."""
import os
import random
import re
import tempfile
import time

from harness import in_soak, scenario
from machine import SCALE
from redirected import Redirected
from redirected_disk import SHORT, ShortDisk
from scenarios.ahci_nvme import Image, check_read, digest, power_off, wait_disk
from scenarios.crashes import DISK, MOUNT, REPORT, Volume
from scenarios.devices import wait_log
from scenarios.disks import expect
from scenarios.fat import check_clean, image, iso_with_root, tool
from scenarios.screen import keys, tell, vi_started
from scenarios.survival import settled_frames
from scenarios.usb import figures, settled_handles

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


@scenario("usb/storage-survival", cpus=(4, *in_soak(1)))
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


@scenario("usb/storage-fat")
def fat(context, devices=()):
    """A volume on a stick: read, written while the driver and usbd die, left; afterwards mtools reads the same and fsck.fat finds nothing."""
    with image(64, "-F", "32", "-n", "STICK") as volume:
        tool("mcopy", "-i", volume.name, "/bin/busybox", "::From the host.bin")
        with boot(context, f"{volume.name},if=usb,keep", devices=devices) as vm:
            vm.check("mkdir /mnt; until mount -t vfat disk:///by-label/STICK /mnt 2> /dev/null; do usleep 100000; done; "
                     "cmp '/mnt/From the host.bin' /bin/busybox && ls -1 /mnt", "From the host.bin\n", 120)
            for victim in ("usb.storage", "usbd"):
                vm.send("for i in 1 2 3 4; do cp /bin/busybox /mnt/copy$i; done &\n")
                vm.shell("usleep 500000", 60)
                kill(vm, victim)
                vm.check("wait; md5sum /mnt/copy* /bin/busybox | cut -c 1-32 | uniq | wc -l", re.compile("^1$", re.M), 180)
            vm.check("mkdir -p /mnt/a; mv /mnt/copy2 /mnt/a; rm /mnt/copy1; umount /mnt", "", 120)
            power_off(vm)
        tool("fsck.fat", "-n", volume.name)
        with open("/bin/busybox", "rb") as file:
            want = file.read()
        for name in ("copy3", "copy4", "a/copy2"):
            expect(vm, tool("mtype", "-i", volume.name, "::" + name) == want, True)


@scenario("usb/storage-kills", cpus=(1, 4) if "USB_ROUNDS" in os.environ else in_soak(1, 4))
def kills(context):
    """The driver and usbd are killed again and again (USB_ROUNDS) during copies that are compared: each is right, on the stick as well, and nothing is
    left behind."""
    rounds = int(os.environ.get("USB_ROUNDS", "6"))
    with Volume(8 * MIB) as volume:
        with boot(context, f"{volume.path},if=usb,keep,unsafe", initfs=os.path.join(context.out, "test-initfs.tar.gz")) as vm:
            vm.shell("mkdir /mnt")
            counts = []
            for number in (1, rounds):  # the first fill caches
                for victim in ("usb.storage", "usbd"):
                    vm.check(MOUNT, "", 240)
                    figures(victim + ": " + vm.check(f"/tests/tools/killing {victim} {DISK} {number} 1000 /mnt/source /mnt/target", REPORT, 300 + number * 30).strip())
                    vm.check("cmp /mnt/source /mnt/target && umount /mnt", "", 300)
                counts.append((settled_frames(vm), settled_handles(vm)))
            figures(f"(frames free, handles) {counts}, after 1 and {rounds} kills of each")
            if counts[1][0] < counts[0][0] - 64 or counts[1][1] > counts[0][1] + 4:
                vm.fail(f"(frames free, handles) were {counts[0]}, and are {counts[1]}")
            power_off(vm)
        volume.check()


@scenario("usb/storage-fat-iommu", cpus=(4,))
def fat_iommu(context):
    """The same where the controller reaches only what it is given: lent memory is given to it again."""
    fat(context, ["iommu"])


@scenario("usb/storage-large", cpus=(1, *in_soak(4)))
def large(context):
    """More sectors than 32 bits count: the first and the last are written, and are there."""
    size = 3 << 40
    with tempfile.NamedTemporaryFile(prefix="protos-", suffix=".img") as disk:
        disk.truncate(size)  # nothing of it takes room
        with boot(context, f"{disk.name},if=usb,keep") as vm:
            name = wait_disk(vm, rf"^usb\S+ {size} rw ").split()[0]
            for sector, text in ((0, "first"), (size // 512 - 1, "last")):
                vm.check(f"echo {text} | dd of=disk:///{name} bs=512 seek={sector} conv=notrunc,fsync 2>/dev/null && dd if=disk:///{name} bs=512 skip={sector} 2>/dev/null count=1 | head -1",
                         f"{text}\n", 60)
            power_off(vm)
        for at, text in ((0, b"first\n"), (size - 512, b"last\n")):
            disk.seek(at)
            expect(vm, disk.read(len(text)), text)


@scenario("usb/storage-root", cpus=(4,))
def root(context):
    """No other disk: the root of root= is on a stick."""
    with tempfile.TemporaryDirectory(prefix="protos-") as folder:
        path = os.path.join(folder, "root.img")
        tool("tools/root_disk.py", path, "--size", "64")
        with boot(context, f"{path},if=usb,keep", append="root=LABEL=PROTOS") as vm:
            vm.check("mount | head -1; echo kept > /root/file", re.compile(r"^LABEL=PROTOS on / type vfat"), 60)
            power_off(vm)
        tool("fsck.fat", "-n", path)
        expect(vm, tool("mtype", "-i", path, "::root/file"), b"kept\n")


def from_stick(context, firmware):
    """Nothing but USB: the ISO is on a stick, the root on another, and somebody types in vi, saves, and turns the machine off."""
    with tempfile.TemporaryDirectory(prefix="protos-") as folder, iso_with_root(context, "LABEL=PROTOS") as iso:
        path = os.path.join(folder, "root.img")
        tool("tools/root_disk.py", path, "--size", "64")
        with context.boot(firmware=firmware, iso=iso.name, stick=True, machine="q35,i8042=off", devices=["xhci", "usb-kbd", "usb-tablet"],
                          disks=[f"{path},if=usb,keep"]) as vm:
            vm.ps2_keyboard = False
            vm.prompt(240)
            vm.check("mount | head -1", re.compile(r"^LABEL=PROTOS on / type vfat"), 60)
            tell(vm, "here", deadline=60)
            vi_started(vm)
            keys(vm, "typed on usb")
            vm.key("esc")
            time.sleep(0.5 * SCALE)  # else it is the beginning of another key's sequence
            keys(vm, ":w /root/text\n:q\n")
            tell(vm, "left", deadline=60)
            vm.screenshot(os.path.join(context.out, "logs", f"usb-stick-{firmware}.png"))
            keys(vm, "poweroff\n")
            vm.wait_exit(120)
        check_clean(path)
        expect(vm, tool("mtype", "-i", path, "::root/text"), b"typed on usb\n")


@scenario("usb/stick-seabios", cpus=(4,))
def stick_seabios(context):
    from_stick(context, "seabios")


@scenario("usb/stick-ovmf", cpus=(4,))
def stick_ovmf(context):
    from_stick(context, "ovmf")


@scenario("usb/storage-errors", cpus=(4,))
def errors(context):
    """Places that cannot be read or written are EIO, and the rest can; a disk that may not be written."""
    with Image() as stick, Image(MIB) as locked, tempfile.NamedTemporaryFile(prefix="protos-", suffix=".rules") as rules:
        rules.write(b"".join(b'[inject-error]\nevent = "%s"\nerrno = "5"\nsector = "%d"\nonce = "off"\n' % rule
                             for rule in ((b"read_aio", 1000), (b"write_aio", 3000))))
        rules.flush()
        with boot(context, stick.disk("usb", f"blkdebug={rules.name}"), locked.disk("usb", "ro")) as vm:
            name, other = name_of(vm, "disk0"), name_of(vm, "disk1")
            vm.check(f"dd if=disk:///{name} bs=512 skip=1000 count=1 2>&1 || true", re.compile("Input/output error"), 60)
            check_read(vm, name, stick.data[:512 * 1000], "bs=512 count=1000")
            check_read(vm, name, stick.data[MIB:2 * MIB], "bs=1M skip=1 count=1")
            vm.check(f"dd if=/dev/zero of=disk:///{name} bs=512 seek=3000 count=1 2>&1 || true", re.compile("Input/output error"), 60)
            vm.check(f"dd if=/dev/zero of=disk:///{name} bs=512 seek=3001 count=1 2>/dev/null && echo written", re.compile("^written$", re.M), 60)
            vm.check(f"dd if=/dev/zero of=disk:///{other} count=1 2>&1 || true", re.compile("Read-only file system"), 60)
            check_read(vm, other, locked.data)


@scenario("usb/storage-short", cpus=(4, *in_soak(1)))
def short(context):
    """Short packets, stalls and statuses of every kind: what is read is right or an error, soon, and when the device keeps the rules again all is read."""
    piece = 32 << 10
    data = random.Random(9).randbytes(40 * piece)
    with Redirected(ShortDisk(data, 3)) as redirected:
        with boot(context, devices=["xhci"], extra=redirected.flags(port=2)) as vm:
            device, name = redirected.device, wait_disk(vm, r"model=PYTHON\\x20BOTH\\x20TRANSPORTS").split()[0]
            right = wrong = 0
            for at in range(len(data) // piece):
                got = vm.shell(f"dd if=disk:///{name} bs={piece} skip={at} count=1 2>/tmp/why | sha256sum; tail -1 /tmp/why", 60)[0]
                if got.startswith(digest(data[at * piece:(at + 1) * piece])):
                    right += 1
                elif re.search("I/O error|Input/output error", got):
                    wrong += 1
                else:
                    vm.fail(f"piece {at} is neither right nor an error: {got}")
            figures(f"{right} right, {wrong} errors, {device.reads} READs")
            expect(vm, device.seen, set(SHORT))
            expect(vm, right > wrong, True)
            device.every = None
            check_read(vm, name, data)


def wait_gone(vm, name):
    for _ in range(300):
        if not re.search(rf"^{re.escape(name)} ", vm.shell("cat disk:///disks", 60)[0], re.M):
            return
        vm.shell("sleep 0.1", 60)
    vm.fail(f"{name} is still there")


def node_add(vm, name, path):
    vm.qmp("blockdev-add", driver="raw", **{"node-name": name}, file={"driver": "file", "filename": path})


def plug(vm, node):
    vm.qmp("device_add", driver="usb-storage", id="stick", bus="xhci.0", port="2", drive=node, serial=node)


@scenario("usb/storage-plugging")
def plugging(context):
    """Pulled out anywhere in a copy: that ends with an error, and the disk is gone. In again, it or another: the same name; what was open stays
    gone, another stick's bytes are never found in its place. PLUG_ROUNDS for longer."""
    chance = random.Random(29)
    with Image() as first, Image(seed=2) as second:
        sticks = {"one": first, "two": second}
        with boot(context, devices=["xhci"], initfs=os.path.join(context.out, "test-initfs.tar.gz")) as vm:
            node_add(vm, "one", first.file.name)
            node_add(vm, "two", second.file.name)
            plug(vm, "one")
            name = name_of(vm, "one")
            frames, handles, rounds = [], [], int(os.environ.get("PLUG_ROUNDS", "3"))
            for round_ in range(rounds):
                vm.send(f"exec 5<disk:///{name}; while dd bs=64k count=16 <&5 of=/dev/null 2>/tmp/why && dd if=disk:///{name} of=/dev/null bs=64k 2>/tmp/why; do true; done &\n")
                vm.shell(f"usleep {chance.randrange(1500000)}", 60)
                vm.qmp("device_del", id="stick")
                wait_gone(vm, name)
                vm.check("wait; tail -1 /tmp/why", re.compile("No such device|I/O error|Input/output error|No such file"), 120)
                node = chance.choice(sorted(sticks))
                plug(vm, node)
                expect(vm, name_of(vm, node), name)
                vm.check("dd bs=1k count=1 <&5 2>&1 >/dev/null | tail -1; exec 5<&-", re.compile("No such device|I/O error"), 60)
                check_read(vm, name, sticks[node].data)
                if round_ in (1, rounds - 1):
                    handles.append(settled_handles(vm))
                    frames.append(settled_frames(vm))
            figures(f"frames free {frames}, handles {handles}, after 2 and {rounds} times")
            if handles[1] != handles[0]:
                vm.fail(f"handles, bindings, ports: {handles[0]}, and then {handles[1]}")
            if frames[1] < frames[0] - 64:
                vm.fail(f"{frames[0] - frames[1]} frames did not come back")


def bot(*units):
    """QEMU's flags for a device of several units: (kind, file or None)."""
    flags = ["-device", "usb-bot,id=bot,bus=xhci.0,port=2"]
    for number, (kind, path) in enumerate(units):
        if path:
            flags += ["-drive", f"if=none,id=unit{number},format=raw,file={path}" + (",readonly=on" if kind == "scsi-cd" else "")]
        drive = f",drive=unit{number}" if path else ""
        flags += ["-device", f"{kind},bus=bot.0,lun={number},id=lun{number},serial=lun{number}{drive}"]
    return flags


@scenario("usb/storage-units")
def units(context):
    """A device of several units. The medium of the first is taken out and changed (QEMU has no sense data for that of others)."""
    with Image(4 * MIB) as disc, Image(2 * MIB, 2) as other, Image(seed=3) as one, Image(MIB, 4) as two:
        with boot(context, devices=["xhci"], extra=bot(("scsi-cd", disc.file.name), ("scsi-hd", one.file.name), ("scsi-hd", two.file.name))) as vm:
            name = wait_disk(vm, rf"usb\S+ {4 * MIB} ro .*function=1-\d+:0").split()[0]
            wait_disk(vm, rf"{name}.lun2 {MIB} rw ")
            check_read(vm, name, disc.data)
            check_read(vm, name + ".lun1", one.data)
            check_read(vm, name + ".lun2", two.data)
            vm.shell(f"exec 5<disk:///{name}")
            vm.qmp("blockdev-open-tray", id="lun0", force=True)
            wait_gone(vm, name)
            vm.check("dd bs=2k count=1 <&5 2>&1 >/dev/null | tail -1; exec 5<&-", re.compile("No such device"), 60)
            vm.qmp("blockdev-remove-medium", id="lun0")
            vm.qmp("blockdev-close-tray", id="lun0")
            check_read(vm, name + ".lun1", one.data)
            vm.qmp("blockdev-change-medium", id="lun0", filename=other.file.name, format="raw", **{"read-only-mode": "read-only"})
            wait_disk(vm, f"{name} {2 * MIB} ro")
            check_read(vm, name, other.data)
