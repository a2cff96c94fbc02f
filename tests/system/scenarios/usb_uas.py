"""Disks on USB that speak UAS: QEMU's usb-uas at SuperSpeed, with streams, and at high speed, without. What the bulk-only ones do is in usb_storage.py."""
import os
import random
import re
import tempfile
import threading

from harness import in_soak, scenario
from machine import SCALE
from redirected import Redirected
from redirected_disk import Attached, DiskOfBoth, Rubbish, forgetful, silence
from scenarios.ahci_nvme import DEEP, Image, check_read, digest, most_under_way, power_off, slow_down, wait_disk
from scenarios.devices import wait_log
from scenarios.disks import check, expect, pattern_of
from scenarios.fat import image, tool
from scenarios.survival import settled_frames
from scenarios.usb import figures, settled_handles
from scenarios.usb_storage import MIB, boot, kill, name_of, node_add, wait_gone

KINDS = {"uas": "streams", "uas2": "high-speed"}


def each(name):
    """A scenario for each speed; that without streams in soak."""
    def register(function):
        for kind, called in KINDS.items():
            cpus = (4, *in_soak(1)) if kind == "uas" else in_soak(1, 4)
            scenario(f"usb/uas-{name}-{called}", cpus)(lambda context, kind=kind: function(context, kind))
        return function
    return register


def boot_tests(context, *disks, **options):
    return boot(context, *disks, initfs=os.path.join(context.out, "test-initfs.tar.gz"), **options)


@each("bytes")
def data(context, kind):
    """Every byte is read, some are written, by one and by many threads, and they are in the image when the machine is off."""
    with Image() as first, Image(seed=2) as second:
        with boot_tests(context, first.disk(kind), second.disk(kind)) as vm:
            name, other = name_of(vm, "disk0"), name_of(vm, "disk1")
            vm.check("cat disk:///disks", re.compile(rf"^{name} {16 * MIB} rw .*model=QEMU\\x20QEMU\\x20HARDDISK .*function=1-\d+:0$", re.M))
            check_read(vm, name, first.data)
            check_read(vm, name, first.data[3 * 512:3 * 512 + 77 * 512], "bs=512 skip=3 count=77")
            vm.check(f"dd if=disk:///{name} of=disk:///{name} bs=1M count=4 seek=8 conv=notrunc,fsync 2>/dev/null && echo written", "written\n", 120)
            vm.check(f"dd if=disk:///{name} of=disk:///{name} bs=512 count=3 seek=100 conv=notrunc 2>/dev/null && echo written", "written\n", 60)
            check(vm, "write", f"disk:///{other}", "7")
            check(vm, "verify", f"disk:///{other}", "7")
            check(vm, "misuse", f"disk:///{other}")
            check(vm, "discard", f"disk:///{other}")
            power_off(vm)
        want = bytearray(first.data)
        want[8 * MIB:12 * MIB] = want[:4 * MIB]
        want[100 * 512:103 * 512] = want[:3 * 512]
        if first.now() != bytes(want):
            vm.fail("the image holds something else")
        expect(vm, second.now() == pattern_of(7, 0, 8 * MIB) + bytes(8 * MIB), True)


@each("survival")
def survival(context, kind):
    """The driver, usbd, both are killed while a file that stays open is read and another is written: a pause, and the right bytes."""
    victims = (["usb.storage"], ["usbd"], ["usb.storage", "usb.storage"], ["usbd", "usb.storage"], ["usb.storage", "usbd"])
    with Image() as image_:
        with boot(context, image_.disk(kind)) as vm:
            name = name_of(vm, "disk0")
            vm.send(f"(for i in $(seq 12); do dd bs=1M count=1 2>/dev/null; sleep 1; done | sha256sum > /tmp/sum) < disk:///{name} & "
                    f"for i in $(seq 384 511); do echo $i | dd of=disk:///{name} bs=32k seek=$i conv=notrunc,sync 2>/dev/null || echo lost; done > /tmp/lost &\n")
            for together in victims:
                vm.shell("sleep 2")
                for victim in together:
                    kill(vm, victim)
            vm.check("wait; cat /tmp/sum /tmp/lost", f"{digest(image_.data[:12 * MIB])}  -\n", 300)
            expect(vm, name_of(vm, "disk0"), name)
            power_off(vm)
        want = image_.data[:12 * MIB] + b"".join(f"{number}\n".encode().ljust(32768, b"\0") for number in range(384, 512))
        expect(vm, image_.now() == want, True)


@scenario("usb/uas-killed-at-work", cpus=(4, *in_soak(1)))
def killed_at_work(context):
    """Killed with as many commands under way as there are threads that write: each is done once more, and all of it is right."""
    with Image() as image_:
        with boot_tests(context, image_.disk("uas")) as vm:
            name = name_of(vm, "disk0")
            for seed, victim in ((3, "usb.storage"), (4, "usbd"), (5, "usb.storage")):
                vm.send(f"(/tests/tools/disk_check write disk:///{name} {seed} && /tests/tools/disk_check verify disk:///{name} {seed}) > /tmp/done 2>&1 &\n")
                vm.shell("usleep 300000", 60)
                kill(vm, victim)
                vm.check("wait; cat /tmp/done", re.compile(r"^write \d+ bytes ok\nverify \d+ bytes ok\n", re.M), 300)
            power_off(vm)
        expect(vm, image_.now() == pattern_of(5, 0, 16 * MIB), True)


@scenario("usb/uas-fat", cpus=(4,))
def fat(context):
    """A volume on a disk of UAS: read, written while the driver and usbd die, left; afterwards mtools reads the same and fsck.fat finds nothing."""
    with image(64, "-F", "32", "-n", "STICK") as volume:
        tool("mcopy", "-i", volume.name, "/bin/busybox", "::From the host.bin")
        with boot(context, f"{volume.name},if=uas,keep", devices=["iommu"]) as vm:
            vm.check("mkdir /mnt; until mount -t vfat disk:///by-label/STICK /mnt 2> /dev/null; do usleep 100000; done; "
                     "cmp '/mnt/From the host.bin' /bin/busybox && ls -1 /mnt", "From the host.bin\n", 120)
            for victim in ("usb.storage", "usbd"):
                vm.send("for i in 1 2 3 4; do cp /bin/busybox /mnt/copy$i; done &\n")
                vm.shell("usleep 500000", 60)
                kill(vm, victim)
                vm.check("wait; md5sum /mnt/copy* /bin/busybox | cut -c 1-32 | uniq | wc -l", re.compile("^1$", re.M), 180)
            vm.check("rm /mnt/copy1; umount /mnt", "", 120)
            power_off(vm)
        tool("fsck.fat", "-n", volume.name)
        with open("/bin/busybox", "rb") as file:
            expect(vm, tool("mtype", "-i", volume.name, "::copy4") == file.read(), True)


@each("errors")
def errors(context, kind):
    """Places that cannot be read or written are EIO, and the rest can, by others at the same time; a disk that may not be written."""
    with Image() as stick, Image(MIB) as locked, tempfile.NamedTemporaryFile(prefix="protos-", suffix=".rules") as rules:
        rules.write(b"".join(b'[inject-error]\nevent = "%s"\nerrno = "5"\nsector = "%d"\nonce = "off"\n' % rule
                             for rule in ((b"read_aio", 1000), (b"write_aio", 3000))))
        rules.flush()
        with boot(context, stick.disk(kind, f"blkdebug={rules.name}"), locked.disk(kind, "ro")) as vm:
            name, other = name_of(vm, "disk0"), name_of(vm, "disk1")
            vm.send(f"(while ! [ -e /tmp/enough ]; do dd if=disk:///{name} bs=1M skip=4 count=8 2>/dev/null | md5sum; done | sort -u | wc -l > /tmp/sums) &\n")
            for _ in range(3):
                vm.check(f"dd if=disk:///{name} bs=512 skip=1000 count=1 2>&1 || true", re.compile("Input/output error"), 60)
            check_read(vm, name, stick.data[:512 * 1000], "bs=512 count=1000")
            check_read(vm, name, stick.data[MIB:2 * MIB], "bs=1M skip=1 count=1")
            vm.check(f"dd if=/dev/zero of=disk:///{name} bs=512 seek=3000 count=1 2>&1 || true", re.compile("Input/output error"), 60)
            vm.check(f"dd if=/dev/zero of=disk:///{name} bs=512 seek=3001 count=1 2>/dev/null && echo written", re.compile("^written$", re.M), 60)
            vm.check("touch /tmp/enough; wait; cat /tmp/sums", re.compile("^1$", re.M), 120)
            vm.check(f"dd if=/dev/zero of=disk:///{other} count=1 2>&1 || true", re.compile("Read-only file system"), 60)
            check_read(vm, other, locked.data)


def plug(vm, node):
    vm.qmp("device_add", driver="usb-uas", id="stick", bus="xhci.0", port="2", serial=node)
    vm.qmp("device_add", driver="scsi-hd", id="unit", bus="stick.0", drive=node)
    vm.qmp("qom-set", path="/machine/peripheral/stick", property="attached", value=True)


@scenario("usb/uas-plugging")
def plugging(context):
    """Pulled out while it is open: what is read is an error, and the disk is gone. In again: the same name, and another disk's bytes. Nothing is under way as it
    goes: QEMU 7.2's usb-uas crashes then, two times in five; usb/uas-pulled does so with a device made of Python."""
    with Image() as first, Image(seed=2) as second:
        with boot_tests(context, devices=["xhci"]) as vm:
            node_add(vm, "one", first.file.name)
            node_add(vm, "two", second.file.name)
            plug(vm, "one")
            name = name_of(vm, "one")
            for node, content in (("two", second), ("one", first)):
                vm.check(f"exec 5<disk:///{name}; dd bs=64k count=4 <&5 2>/dev/null | wc -c", f"{256 << 10}\n", 60)
                vm.qmp("device_del", id="stick")
                wait_gone(vm, name)
                plug(vm, node)
                expect(vm, name_of(vm, node), name)
                vm.check("dd bs=1k count=1 <&5 2>&1 >/dev/null | tail -1; exec 5<&-", re.compile("No such device|I/O error"), 60)
                check_read(vm, name, content.data)


@scenario("usb/uas-pulled", cpus=(4, *in_soak(1)))
def pulled(context):
    """Pulled out with a command under way, at each of its steps, and others that wait: whoever reads is told. In again, it is read. At high
    speed, without streams: usb-redir has none."""
    data = random.Random(10).randbytes(MIB)
    rounds, stands, steps = int(os.environ.get("PLUG_ROUNDS", "4")), threading.Event(), None

    def fate(_number):
        if steps is not None:
            stands.set()
        return steps

    with Redirected(DiskOfBoth(data, Attached(fate))) as redirected:
        with boot_tests(context, devices=["xhci"], extra=redirected.flags(port=2)) as vm:
            counts = []
            for round_ in range(rounds):
                name = wait_disk(vm, r"model=PYTHON\\x20BOTH\\x20TRANSPORTS").split()[0]
                check_read(vm, name, data)
                stands.clear()
                steps = round_ % 3
                vm.send(f"exec 5<disk:///{name}; for i in 1 2 3; do dd bs=64k of=/dev/null <&5 2>/tmp/why$i & done; exec 5<&-\n")
                expect(vm, stands.wait(60 * SCALE), True)
                redirected.pull()
                steps = None
                vm.check("wait; cat /tmp/why* | grep -cE 'No such device|I/O error|Input/output error'", "3\n", 10)  # a time-out takes 20 s
                wait_gone(vm, name)
                redirected.plug()
                if round_ in (1, rounds - 1):
                    wait_disk(vm, r"model=PYTHON\\x20BOTH\\x20TRANSPORTS")
                    counts.append((settled_frames(vm), settled_handles(vm)))
            figures(f"(frames free, handles) {counts}, after 2 and {rounds} times")
            if counts[1][1] != counts[0][1] or counts[1][0] < counts[0][0] - 64:
                vm.fail(f"(frames free, handles) were {counts[0]}, and are {counts[1]}")


@scenario("usb/uas-units")
def units(context):
    """A device of several units, whose numbers need not follow one another."""
    with Image(4 * MIB) as one, Image(2 * MIB, 2) as two, Image(MIB, 3) as three:
        extra = ["-device", "usb-uas,id=uas,bus=xhci.0,port=2"]
        for number, each_ in ((0, one), (1, two), (5, three)):
            extra += ["-drive", f"if=none,id=unit{number},format=raw,file={each_.file.name}",
                      "-device", f"scsi-hd,bus=uas.0,lun={number},drive=unit{number}"]
        with boot(context, devices=["xhci"], extra=extra) as vm:
            name = wait_disk(vm, rf"usb\S+ {4 * MIB} rw .*function=1-\d+:0").split()[0]
            wait_disk(vm, rf"{name}.lun5 {MIB} rw ")
            vm.send(f"(dd if=disk:///{name} bs=64k 2>/dev/null | sha256sum > /tmp/one) & (dd if=disk:///{name}.lun1 bs=64k 2>/dev/null | sha256sum > /tmp/two) &\n")
            check_read(vm, name + ".lun5", three.data)
            vm.check("wait; cat /tmp/one /tmp/two", f"{digest(one.data)}  -\n{digest(two.data)}  -\n", 120)


@scenario("usb/uas-no-streams", cpus=(4,))
def no_streams(context):
    """A device at SuperSpeed whose controller knows no streams, and that has nothing else, is named in the log, and left alone."""
    with Image(MIB) as image_:
        extra = ["-device", "qemu-xhci,id=xhci,addr=0x1a,streams=off", "-device", "usb-uas,id=uas,bus=xhci.0,port=2",
                 "-drive", f"if=none,id=unit,format=raw,file={image_.file.name}", "-device", "scsi-hd,bus=uas.0,drive=unit"]
        with boot(context, extra=extra) as vm:
            wait_log(vm, "not a disk for us .class 080662")
            vm.check("cat log:///status | grep usb.storage", re.compile(r"ready +1 "))


@scenario("usb/storage-discard", cpus=(4,))
def discard(context):
    """Behind the bulk-only transport, too."""
    with Image() as image_:
        with boot_tests(context, image_.disk("usb")) as vm:
            name = name_of(vm, "disk0")
            check(vm, "discard", f"disk:///{name}")
            power_off(vm)
        expect(vm, image_.now() == image_.data[:8 * MIB] + bytes(8 * MIB), True)


@scenario("usb/uas-falls-back", cpus=(1, *in_soak(4)))
def falls_back(context):
    """A device of both transports: UAS is tried, and as it does not answer, or answers rubbish, the bulk-only transport is taken, with a line in the log."""
    data = random.Random(7).randbytes(MIB)
    for said in (silence, Rubbish(1), Rubbish(2)) if in_soak(1) else (Rubbish(1),):
        with Redirected(DiskOfBoth(data, said)) as redirected:
            with boot(context, devices=["xhci"], extra=redirected.flags(port=2)) as vm:
                name = wait_disk(vm, r"model=PYTHON\\x20BOTH\\x20TRANSPORTS").split()[0]
                wait_log(vm, "UAS does not work; bulk-only from now on")
                expect(vm, redirected.device.commands > 0, True)
                check_read(vm, name, data)


# In soak alone: each command that is forgotten is waited for.
@scenario("usb/uas-time-outs", cpus=in_soak(4))
def time_outs(context):
    """A device that forgets a command now and then: it is aborted and sent once more, and what is read is right."""
    data = random.Random(8).randbytes(MIB)
    said = forgetful(9, 10, 20)
    with Redirected(DiskOfBoth(data, said)) as redirected:
        with boot(context, devices=["xhci"], extra=redirected.flags(port=2)) as vm:
            name = wait_disk(vm, r"model=PYTHON\\x20BOTH\\x20TRANSPORTS").split()[0]
            check_read(vm, name, data)
            expect(vm, said.reads >= 20, True)
            expect(vm, said.aborts, 3)
            expect(vm, vm.shell("cat log:/// | grep -c 'UAS does not work'", 60)[0], "0\n")


@scenario("usb/uas-depth", cpus=(1,))
def depth(context):
    """Many commands are under way at once, as QEMU sees them: the disk is made slow, and several read it."""
    begins, ends = "usb_uas_command", "usb_uas_sense"
    with Image() as image_, tempfile.NamedTemporaryFile(prefix="protos-", suffix=".trace") as trace:
        with boot(context, image_.disk("uas"), extra=["-D", trace.name, "-trace", begins, "-trace", ends]) as vm:
            name = name_of(vm, "disk0")
            slow_down(vm, 2)
            vm.shell(f"for i in 1 2 3 4 5 6; do dd if=disk:///{name} bs=64k count=4 of=/dev/null 2>/dev/null & done; wait", 120)
        most = most_under_way(trace, begins, ends)
    if most < DEEP:
        vm.fail(f"no more than {most} commands were under way at once")
