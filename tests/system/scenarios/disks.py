"""Block devices, their partitions and their names (abi/disk.h)."""
import hashlib
import os
import re
import struct
import subprocess
import tempfile

import disk_image
from disk_image import Part
from harness import scenario
from scenarios.devices import wait_log

MIB = 1 << 20


def pattern(length, seed=1):
    """Bytes that differ from sector to sector."""
    block = hashlib.sha256(str(seed).encode()).digest()
    return b"".join(hashlib.sha256(block + number.to_bytes(8, "little")).digest() * 16
                    for number in range((length + 511) // 512))[:length]


def expect(vm, found, wanted):
    if found != wanted:
        vm.fail(f"{found!r} instead of {wanted!r}" if len(repr(found)) < 500 else "other bytes than were written")


def pid_of(vm, name):
    """As pidof, for drivers, whose names end in their device."""
    shown = re.compile(rf"^ *(\d+) +\w+ +{name}(?:@|$)", re.M)
    return shown.search(vm.check("ps", shown, 60))[1]


class Disk:
    """A raw image that lives as long as its `with`."""

    def __init__(self, size, sector=512):
        self.folder = tempfile.TemporaryDirectory(prefix="protos-")
        self.path = os.path.join(self.folder.name, "disk.img")
        self.image = disk_image.Image(self.path, size, sector)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def file(self, name, data):
        path = os.path.join(self.folder.name, name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def bytes(self, start=0, length=None):
        with open(self.path, "rb") as file:
            file.seek(start)
            return file.read() if length is None else file.read(length)


def boot(context, *disks, **options):
    return context.boot(initfs=os.path.join(context.out, "test-initfs.tar.gz"), disks=disks, **options)


def listed(vm, *wanted):
    """The lines of disk:///disks, {name: words}, once all of these are there."""
    for _ in range(100):
        lines = vm.shell("cat disk:///disks", 60)[0].splitlines()
        found = {words[0]: words[1:] for words in map(str.split, lines) if words}
        if set(wanted) <= set(found):
            return found
        vm.shell("sleep 0.1", 60)
    return vm.fail(f"{wanted} do not come")


def md5(data):
    """What md5sum prints of its input."""
    return hashlib.md5(data).hexdigest() + "  -\n"


def check_md5(vm, uri, data):
    vm.check(f"md5sum < {uri}", md5(data), 180)


def check(vm, what, uri, seed=""):
    """tests/guest/tools/disk_check.c"""
    vm.check(f"/tests/tools/disk_check {what} {uri} {seed}", re.compile(rf"^{what} \d+ bytes ok\n", re.M), 300)


def pattern_of(seed, start, length):
    """What disk_check writes, from the byte `start` of its disk on."""
    return b"".join(struct.pack("<QQ", seed, number) * 32
                    for number in range(start // 512, (start + length) // 512))


@scenario("disks/names")
def names(context):
    """A GPT: partitions, and all their names; a table that is written anew; what lies on a disk without one."""
    with Disk(24 * MIB) as disk, Disk(MIB) as bare:
        boot_part = pattern(4 * MIB)
        disk.image.gpt([Part(4 * MIB, "boot", boot_part), Part(8 * MIB, "a root"), Part(0, "data")])
        subprocess.run(["mkfs.fat", "-i", "5e2a11f0", "-n", "STICK", bare.path], check=True, stdout=subprocess.DEVNULL)
        with boot(context, disk.path, bare.path + ",ro,serial=B4RE") as vm:
            vm.prompt()
            found = listed(vm, "vd0/p3", "vd1")
            expect(vm, found["vd0"][:3], ["25165824", "rw", "type=gpt"])
            expect(vm, found["vd0/p2"][0], "8388608")
            expect(vm, found["vd0/p2"][-1], "partlabel=a\\x20root")
            expect(vm, found["vd1"][:5], ["1048576", "ro", "type=fat12", "uuid=5E2A-11F0", "label=STICK"])
            expect(vm, "serial=B4RE" in found["vd1"], True)
            vm.check("ls -1 disk:///", "by-id\nby-label\nby-partlabel\nby-partuuid\nby-uuid\ndisks\nvd0\nvd0p1\nvd0p2\nvd0p3\nvd1\n")
            vm.check("readlink disk:///by-uuid/5E2A-11F0; readlink disk:///by-partlabel/boot", "../vd1\n../vd0/p1\n")
            # As Linux's programs have them.
            vm.check("ls /dev/disk/by-uuid; readlink /dev/disk/by-label/STICK; blockdev --getsize64 /dev/disk/by-partlabel/data; "
                     "mkdir /mnt; mount -r -t vfat /dev/disk/by-label/STICK /mnt && mount | grep -c '^/dev/disk/by-label/STICK on /mnt type vfat (ro)'; "
                     "umount /mnt", f"5E2A-11F0\n../vd1\n{found['vd0/p3'][0]}\n1\n", 60)
            for name in ("vd0/p1", "vd0p1", "by-partlabel/boot"):
                check_md5(vm, f"disk:///{name}", boot_part)
            check_md5(vm, "disk:///by-uuid/5e2a-11f0", bare.bytes())
            vm.check("cat disk:///by-label/NONE disk:///vd0/p4 disk:///vd2 2>&1 || true", re.compile("(.*No such file.*\n){3}"))
            vm.check("dd if=/dev/zero of=disk:///vd1 count=1 2>&1 || true", re.compile("Read-only file system"))


@scenario("disks/ids", cpus=(1, 4))
def ids(context):
    """Names by what disks say of themselves, on every kind of bus; rubbish in them; two that say the same."""
    with Disk(4 * MIB) as disk, Disk(MIB) as other:
        disk.image.gpt([Part(MIB, "one"), Part(0, "two", pattern(4096))])
        with boot(context, disk.path + ",serial=S 1/../x", other.path + ",serial=twice", other.path + ",serial=twice",
                  disk.path + ",if=ahci,serial=A1", disk.path + ",if=nvme,serial=N1", disk.path + ",if=usb,serial=U1") as vm:
            vm.prompt()
            found = listed(vm, "vd0/p2", "vd1", "vd2", "ahci0.3/p2", "nvme0/p2", "usb1-1/p2")
            content = disk.bytes(2 * MIB, int(found["vd0/p2"][0]))
            names = ("ata-QEMU_HARDDISK_A1", "nvme-QEMU_NVMe_Ctrl_N1", "usb-QEMU_QEMU_HARDDISK_U1-0:0", "virtio-S_1_.._x")
            expect(vm, vm.shell("ls -1 /dev/disk/by-id | sort -u", 60)[0].split(),
                   sorted([name + part for name in names for part in ("", "-part1", "-part2")] + ["virtio-twice"]))
            vm.check("cd /dev/disk/by-id; for i in *-part2; do readlink $i; md5sum < $i; done; readlink virtio-twice",
                     "".join(f"../{unit}/p2\n{md5(content)}" for unit in ("ahci0.3", "nvme0", "usb1-1", "vd0")) +
                     "../vd1\n", 120)


@scenario("disks/tables")
def tables(context):
    """An MBR with logical partitions, a GPT whose first copy is bad, sectors of 4096 bytes, and rubbish."""
    parts = [pattern(MIB, seed) for seed in range(4)]
    with Disk(12 * MIB) as mbr, Disk(8 * MIB) as gpt, Disk(8 * MIB, 4096) as wide, Disk(4 * MIB) as rubbish:
        mbr.image.mbr([Part(MIB, content=parts[0]), Part(MIB, content=parts[1], logical=True),
                       Part(MIB, content=parts[2], logical=True)])
        gpt.image.gpt([Part(2 * MIB), Part(MIB, "x", parts[3])])
        gpt.image.write(1, b"EFI PART" + pattern(504))
        wide.image.gpt([Part(MIB, "wide", parts[0])])
        rubbish.image.write(0, pattern(510) + b"\x55\xaa")
        with boot(context, mbr.path, gpt.path, wide.path + ",sector=4096", rubbish.path) as vm:
            vm.prompt()
            found = listed(vm, "vd0/p6", "vd1/p2", "vd2/p1", "vd3")
            expect(vm, [name for name in found if name.startswith("vd0")], ["vd0", "vd0/p1", "vd0/p5", "vd0/p6"])
            expect(vm, "vd3/p1" in found, False)
            for name, content in (("vd0/p1", parts[0]), ("vd0/p5", parts[1]), ("vd0/p6", parts[2]), ("vd1/p2", parts[3]),
                                  ("vd2/p1", parts[0])):
                check_md5(vm, f"disk:///{name}", content)
            wait_log(vm, "vd1: the first table is bad")


@scenario("disks/transfer")
def transfer(context):
    """Without copies and by bytes, aligned or not, by many threads; discarding; misuse: the host looks at what came of it."""
    with Disk(16 * MIB) as disk, Disk(8 * MIB) as wide:
        disk.image.gpt([Part(8 * MIB, "all"), Part(0, "other", pattern(MIB))])
        with boot(context, disk.path + ",keep", wide.path + ",keep,sector=4096") as vm:
            vm.prompt()
            listed(vm, "vd0/p2", "vd1")
            check(vm, "misuse", "disk:///vd0/p1")
            check(vm, "write", "disk:///vd0/p1", 7)
            expect(vm, disk.bytes(MIB, 8 * MIB) == pattern_of(7, 0, 8 * MIB), True)
            check(vm, "verify", "disk:///vd0/p1", 7)
            check(vm, "discard", "disk:///vd0/p1")
            expect(vm, disk.bytes(MIB, 8 * MIB) == pattern_of(7, 0, 4 * MIB) + bytes(4 * MIB), True)
            expect(vm, disk.bytes(9 * MIB, MIB) == pattern(MIB), True)  # the neighbour
            check(vm, "write", "disk:///vd1", 9)
            check(vm, "verify", "disk:///vd1", 9)
            text = b"0123456789" * 1000
            command = "seq 1000 | sed s/.*/0123456789/ | tr -d '\\n'"
            vm.check(f"{command} | dd of=disk:///vd1 bs=999 seek=3 conv=notrunc,fsync 2>/dev/null; echo $?", "0\n", 120)
            whole = pattern_of(9, 0, 8 * MIB)
            expect(vm, wide.bytes() == whole[:2997] + text + whole[12997:], True)
            vm.check("dd if=disk:///vd1 bs=1234 skip=3 count=7 2>/dev/null | md5sum", md5(wide.bytes(3702, 8638)), 120)
            vm.check("dd if=/dev/zero of=disk:///vd1 bs=1M seek=7 count=2 2>&1 || true", re.compile("No space left"), 120)
            expect(vm, wide.bytes(7 * MIB) == bytes(MIB), True)


@scenario("disks/errors")
def errors(context):
    """A medium with bad places: EIO there, and the rest can be read and written."""
    with Disk(4 * MIB) as disk:
        disk.image.write(0, pattern(4 * MIB))
        rules = disk.file("rules", b"".join(
            b'[inject-error]\nevent = "%s"\nerrno = "5"\nsector = "%d"\nonce = "off"\n' % rule
            for rule in ((b"read_aio", 1000), (b"write_aio", 3000))))
        with boot(context, f"{disk.path},keep,blkdebug={rules}") as vm:
            vm.prompt()
            listed(vm, "vd0")
            vm.check("dd if=disk:///vd0 bs=64k 2>/dev/null | wc -c", "512000\n", 120)
            vm.check("dd if=disk:///vd0 bs=512 count=1000 2>/dev/null | md5sum", md5(pattern(512000)), 120)
            vm.check("dd if=disk:///vd0 bs=512 skip=1000 count=1 2>&1 || true", re.compile("Input/output error"), 60)
            vm.check("dd if=disk:///vd0 bs=512 skip=1008 count=992 2>/dev/null | md5sum",
                     md5(disk.bytes(1008 * 512, 992 * 512)), 120)
            vm.check("dd if=/dev/zero of=disk:///vd0 bs=512 seek=3000 count=1 2>&1 || true", re.compile("Input/output error"), 60)
            check(vm, "bad", "disk:///vd0", 1000)
            vm.check("dd if=/dev/zero of=disk:///vd0 bs=512 seek=3001 count=1 2>/dev/null && echo written", "written\n", 60)
            expect(vm, disk.bytes(3001 * 512, 512), bytes(512))


def kill_meanwhile(vm, disk, rounds, *victims):
    """Threads write and read all of vd0/p1; the victims (lists of services, killed one after the other) die meanwhile."""
    listed(vm, "vd0/p1")
    vm.send(f"for i in $(seq {rounds}); do /tests/tools/disk_check write disk:///vd0/p1 $i; "
            "/tests/tools/disk_check verify disk:///vd0/p1 $i; done > /tmp/result 2>&1 &\n")
    for together in victims:
        vm.shell("sleep 0.3")
        for victim in together:
            vm.shell(f"kill -9 {pid_of(vm, victim)}", 60)
        listed(vm, "vd0/p1")
    vm.check("wait; grep -c ok /tmp/result; grep -v ok /tmp/result || true", f"{2 * rounds}\n", 600)
    expect(vm, disk.bytes(MIB, 16 * MIB) == pattern_of(rounds, 0, 16 * MIB), True)


@scenario("disks/killed")
def killed(context):
    """The driver and diskd are killed, in any order, while many threads write and read: a pause, and nothing is lost."""
    with Disk(24 * MIB) as disk:
        disk.image.gpt([Part(0, "all")])
        with boot(context, disk.path + ",keep") as vm:
            vm.prompt()
            kill_meanwhile(vm, disk, 4, ["virtiod"], ["diskd"], ["virtiod", "diskd"], ["diskd", "virtiod"], ["virtiod"])


@scenario("disks/killed-iommu", cpus=(4,))
def killed_iommu(context):
    """The same where the device reaches only what it is given: lent memory is given to it again. pcid dies, too."""
    with Disk(20 * MIB) as disk:
        disk.image.gpt([Part(0, "all")])
        with boot(context, disk.path + ",keep", devices=["iommu"]) as vm:
            vm.prompt()
            kill_meanwhile(vm, disk, 2, ["virtiod"], ["pcid"], ["pcid", "virtiod"])
            vm.check("grep DMA: pci:///00:02.0/info", "DMA: confined\n", 60)


@scenario("disks/resized", cpus=(4,))
def resized(context):
    """A disk that becomes longer while it is open; a partition keeps its length."""
    with Disk(4 * MIB) as disk:
        disk.image.mbr([Part(2 * MIB)])
        with boot(context, disk.path + ",keep") as vm:
            vm.prompt()
            expect(vm, listed(vm, "vd0/p1")["vd0"][0], str(4 * MIB))
            vm.qmp("block_resize", device="disk0", size=6 * MIB)
            for _ in range(100):
                if listed(vm, "vd0")["vd0"][0] == str(6 * MIB):
                    break
                vm.shell("sleep 0.1")
            vm.check("dd if=disk:///vd0 bs=64k 2>/dev/null | wc -c", f"{6 * MIB}\n", 120)
            vm.check("dd if=disk:///vd0/p1 bs=64k 2>/dev/null | wc -c", f"{2 * MIB}\n", 120)


@scenario("disks/linux", cpus=(4,))
def linux(context):
    """Linux's own tools: sizes by ioctl, a table and a volume are made, and have names at once."""
    with Disk(16 * MIB) as disk, Disk(MIB) as other:
        with boot(context, disk.path + ",keep", other.path + ",ro,sector=4096") as vm:
            vm.prompt()
            listed(vm, "vd0", "vd1")
            vm.check("blockdev --getsize64 disk:///vd0; blockdev --getsz disk:///vd0; blockdev --getss disk:///vd0; "
                     "blockdev --getro disk:///vd0; blockdev --flushbufs disk:///vd0; blockdev --getss disk:///vd1; "
                     "blockdev --getro disk:///vd1", "16777216\n32768\n512\n0\n4096\n1\n", 60)
            vm.check("printf 'n\\np\\n1\\n\\n+8M\\nw\\n' | fdisk disk:///vd0 > /dev/null 2>&1; echo done", "done\n", 60)
            listed(vm, "vd0/p1")
            vm.check("mkdosfs -n MADE disk:///vd0p1 > /dev/null && blockdev --rereadpt disk:///vd0 && echo done", "done\n", 120)
            check(vm, "rescan", "disk:///vd0")
            expect(vm, "label=MADE" in listed(vm, "vd0/p1")["vd0/p1"], True)
