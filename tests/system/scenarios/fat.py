"""FAT volumes: fsd.fat32 as programs see it, and what the host's tools find on the disk afterwards."""
import contextlib
import hashlib
import os
import random
import re
import struct
import subprocess
import tempfile

import disk_image
from disk_image import Part
from harness import Failure, in_soak, scenario
from scenarios.devices import wait_log

MOUNT = "/tests/tools/mounting"
ARCHIVE = "test-initfs.tar.gz"


def image(size, *options):
    """A FAT volume in a file of the host."""
    file = tempfile.NamedTemporaryFile(prefix="protos-", suffix=".img")
    file.truncate(size << 20)
    subprocess.run(["mkfs.fat", *options, file.name], check=True, stdout=subprocess.DEVNULL)
    return file


def kill(name):
    return f"kill -9 $(pidof {name})"


@scenario("fat/loop", cpus=(1, *in_soak(4)))
def loop(context):
    """A volume in a file: names, bytes, mappings, times; and all of it again after a kill and after a new mount."""
    with image(40, "-F", "32", "-s", "1", "-n", "LOOP") as disk:
        packed = context.archive({"disk": disk.read()})
    with packed, context.boot(initfs=packed.name) as vm:
        vm.prompt()
        vm.check(f"cp initfs:///disk /tmp/disk; mkdir /mnt; {MOUNT} /tmp/disk /mnt vfat; mount | grep mnt; ls -1a /mnt",
                 "/tmp/disk on /mnt type vfat (rw)\n.\n..\n", 60)
        vm.check("cd /mnt; echo hello > 'A long name.text'; cat 'a LONG name.TEXT'; ls -1; mkdir -p sub/deeper; echo x > sub/y; "
                 "mv sub/y sub/deeper/z; find . | sort", "hello\nA long name.text\n.\n./A long name.text\n./sub\n./sub/deeper\n"
                 "./sub/deeper/z\n", 60)
        vm.check("cp /bin/busybox .; cmp busybox /bin/busybox && ./busybox echo runs; cp busybox c; md5sum busybox c | cut -c 1-32 | uniq | wc -l", "runs\n1\n", 120)
        vm.check("dd if=/dev/zero of=hole bs=1 count=1 seek=300000 2> /dev/null; wc -c < hole; tr -d '\\0' < hole | wc -c; "
                 "echo more >> hole; tail -c 5 hole; truncate -s 3 hole; wc -c < hole; truncate -s 9000 hole; wc -c < hole; tr -d '\\0' < hole | wc -c",
                 "300001\n0\nmore\n3\n9000\n0\n", 60)
        vm.check("ln -s x y 2> /dev/null || echo no links; rmdir sub 2> /dev/null || echo full; rm -r sub; ls -1; df . | tail -1 | tr -s ' ' | cut -d ' ' -f 1,6",
                 "no links\nfull\nA long name.text\nbusybox\nc\nhole\n/tmp/disk /mnt\n", 60)
        vm.check("exec 5>gone 6<gone; rm gone; echo one >&5; " + kill("fsd.fat32@1") + "; echo two >&5; cat <&6; exec 5>&- 6<&-",
                 "one\ntwo\n", 60)
        vm.check("cmp busybox /bin/busybox && cat A*; ls -1", "hello\nA long name.text\nbusybox\nc\nhole\n", 60)
        vm.check("cd /; umount /mnt; ls -1 /mnt", "", 60)
        vm.check(f"{MOUNT} /tmp/disk /mnt vfat; cmp /mnt/busybox /bin/busybox && cat /mnt/A*; ls -1 /mnt", "hello\nA long name.text\nbusybox\nc\nhole\n", 60)
        vm.check("cat log:///status", re.compile(r"^fsd\.fat32@2 +ready +1 ", re.M))


def tool(*command):
    """What a tool of the host says; it must succeed."""
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "MTOOLS_SKIP_CHECK": "1"})
    if result.returncode:
        raise Failure(f"{' '.join(command)}: {result.stdout.decode(errors='replace')}")
    return result.stdout


def boot(context, *disks, **options):
    return context.boot(**{"initfs": os.path.join(context.out, ARCHIVE), "disks": disks, "snapshot": False, **options})


def off(vm):
    """The system stops by itself: volumes are written back and marked as properly left."""
    vm.send("poweroff\n")
    vm.wait_exit(120)


def check_clean(path):
    """fsck.fat finds nothing, not even that the volume was not properly left."""
    said = tool("fsck.fat", "-n", path)
    if b"irty" in said:
        raise Failure(f"fsck.fat says: {said.decode(errors='replace')}")


@scenario("fat/disk")
def disk(context):
    """A volume on a disk, written while its file system, vfsd and the disk's driver are killed, and another one in a file of it; the machine is turned off at
    once with all of it in memory. Afterwards mtools reads the same and fsck.fat finds nothing."""
    with image(80, "-F", "32", "-n", "DATA") as volume, image(4) as inner:
        tool("mcopy", "-i", volume.name, inner.name, "::inner")
        tool("mcopy", "-i", volume.name, "/bin/busybox", "::From the host.bin")
        with boot(context, volume.name) as vm:
            vm.prompt()
            vm.check("mkdir /mnt; until mount -t vfat disk:///by-label/DATA /mnt 2> /dev/null; do usleep 100000; done; "
                     "cmp '/mnt/From the host.bin' /bin/busybox && ls -1 /mnt", "From the host.bin\ninner\n", 120)
            for victim in ("fsd.fat32@1", "vfsd", "virtiod@*", "fsd.fat32@1"):
                vm.check(f"(usleep 200000; kill -9 $(ps | sed -n 's/^ *\\([0-9]*\\) .* {victim}.*/\\1/p')) & "
                         "for i in 1 2 3 4; do cp /bin/busybox /mnt/copy$i; done; wait; md5sum /mnt/copy* /bin/busybox | cut -c 1-32 | uniq | wc -l",
                         "1\n", 180)
            vm.check("echo before > /mnt/mapped; echo synced > /mnt/synced; sync", "", 120)  # of all that is mounted
            if tool("mtype", "-i", volume.name, "::synced") != b"synced\n":
                raise Failure("sync has written nothing")
            # Nobody tells the next one of a write to a mapping: that there is one must outlive who gave it.
            vm.check("p=$(ps | sed -n 's/^ *\\([0-9]*\\) .* fsd.fat32@1.*/\\1/p'); (until test -s /tmp/there; do usleep 10000; done; kill -9 $p; "
                     "while kill -0 $p 2> /dev/null; do usleep 1000; done; test -e /mnt/mapped && echo behind) | /tests/tools/map_lines /mnt/mapped > /tmp/there", "", 120)
            vm.check("mkdir -p /mnt/a/b; rm /mnt/copy1; mv /mnt/copy2 /mnt/a; mkdir /tmp/inner; "
                     f"{MOUNT} /mnt/inner /tmp/inner vfat; echo inside > /tmp/inner/file", "", 120)
            vm.send("for i in $(seq 15); do cat /bin/busybox; done > /mnt/big; echo last > '/mnt/a/b/Ünïcode name'; poweroff\n")
            vm.wait_exit(180)
        check_clean(volume.name)
        tool("mcopy", "-n", "-i", volume.name, "::inner", inner.name)
        check_clean(inner.name)
        if tool("mtype", "-i", inner.name, "::file") != b"inside\n":
            raise Failure("what was written to the volume in a file is lost")
        with open("/bin/busybox", "rb") as file:
            want = file.read()
        if tool("mtype", "-i", volume.name, "::big") != 15 * want:
            raise Failure("what was written in front of the end is lost")
        for name in ("From the host.bin", "copy3", "copy4", "a/copy2"):
            if tool("mtype", "-i", volume.name, "::" + name) != want:
                raise Failure(f"mtools read something else from {name}")
        if tool("mtype", "-i", volume.name, "::mapped") != b"behind\n":
            raise Failure("what was written by a mapping, behind a kill, is lost")
        if tool("mtype", "-i", volume.name, "::a/b/Ünïcode name") != b"last\n":
            raise Failure("what was written last is lost")


@scenario("fat/mapped", cpus=(1, *in_soak(4)))
def mapped(context):
    """What is written to a mapping is on the disk soon, as often as it happens, though nobody asks; and when nobody has it any more the volume is properly left."""
    with image(40, "-F", "32", "-n", "DATA") as volume:
        with boot(context, volume.name) as vm:
            vm.prompt()
            vm.check("mkdir /mnt; until mount -t vfat disk:///by-label/DATA /mnt 2> /dev/null; do usleep 100000; done; echo none > /mnt/file; sync", "", 120)
            vm.shell("(echo once; until test -e /tmp/more; do usleep 100000; done; echo more; until test -e /tmp/stop; do usleep 100000; done) | "
                     "/tests/tools/map_lines /mnt/file > /tmp/there &")
            for text, then in ((b"once\n", "more"), (b"more\n", "stop")):
                vm.shell("sleep 11", 60)
                if tool("mtype", "-i", volume.name, "::file") != text:
                    vm.fail(f"{text} is not on the disk")
                vm.shell(f"touch /tmp/{then}")
            vm.shell("wait; sleep 12", 120)
            check_clean(volume.name)


PAGE = 4096
BAD_PAGE = 10  # of the file that cannot be read; the same of the one that cannot be written
NOISE = random.Random(5).randbytes(25 * PAGE)


def sector_of(path, name, offset=0):
    """Where a byte of a file lies whose clusters lie in a row."""
    cluster = int(re.search(rb"<(\d+)", tool("mshowfat", "-i", path, "::" + name))[1])
    with open(path, "rb") as file:
        per_cluster, reserved, tables, sectors = struct.unpack("<13xBHB19xI", file.read(40))
    return reserved + tables * sectors + (cluster - 2) * per_cluster + offset // 512


@contextlib.contextmanager
def faulty_disk(context, kind):
    """A volume with places that cannot be read or written, as a disk of that kind; and the sector of its file that cannot be read."""
    with image(36, "-F", "32", "-s", "1", "-n", kind.upper()) as volume, context.scratch(".bin", NOISE) as noise:
        for name in ("good", "bad", "write"):
            tool("mcopy", "-i", volume.name, noise.name, "::" + name)
        tool("mmd", "-i", volume.name, "::folder")
        bad = sector_of(volume.name, "bad", BAD_PAGE * PAGE)
        places = (("read", bad), ("read", sector_of(volume.name, "folder")), ("write", sector_of(volume.name, "write", BAD_PAGE * PAGE)))
        rules = "".join(f'[inject-error]\nevent = "none"\niotype = "{what}"\nerrno = "5"\nsector = "{sector}"\nonce = "off"\n\n'
                        for what, sector in places)
        with context.scratch(".conf", rules.encode()) as file:
            yield f"{volume.name},if={kind},keep,blkdebug={file.name}", volume.name, bad


@scenario("fat/faulty", cpus=(1,))
def faulty(context):
    """Media with bad places, by each driver: an error there and nowhere else, a line on the log, umount by force, and the end of the system comes."""
    names = {"virtio": "vd0", "ahci": "ahci0.1", "nvme": "nvme0"}  # the second of the disks, and so at the second port

    def md5(data):
        return hashlib.md5(data).hexdigest() + "  -\n"

    with contextlib.ExitStack() as stack:
        disks = {kind: stack.enter_context(faulty_disk(context, kind)) for kind in names}
        with boot(context, *(disk for disk, _, _ in disks.values())) as vm:
            vm.prompt(120)
            for kind, name in names.items():
                said, _ = vm.shell(
                    f"mkdir /tmp/{kind}; until mount -t vfat disk:///by-label/{kind.upper()} /tmp/{kind} 2> /dev/null; do usleep 100000; done; "
                    f"cd /tmp/{kind}; cat bad 2> /tmp/said | md5sum; grep -c Input/output /tmp/said; "
                    f"dd if=bad bs={PAGE} skip={BAD_PAGE + 1} 2> /dev/null | md5sum; cat folder/file 2>&1 | grep -c Input/output; "
                    f"dd if=good of=write bs={PAGE} conv=notrunc,fsync 2>&1 | grep -c Input/output; cp good copy; sync copy; md5sum < copy; cd /", 120)
                said = "".join(line for line in said.splitlines(True) if not line.startswith("qemu-system"))  # it speaks of errors itself
                want = md5(NOISE[:BAD_PAGE * PAGE]) + "1\n" + md5(NOISE[(BAD_PAGE + 1) * PAGE:]) + "1\n1\n" + md5(NOISE)
                if said != want:
                    vm.fail(f"{kind}: {said!r} instead of {want!r}")
                wait_log(vm, f"{name}: sector {disks[kind][2]}, ")
                # What cannot be written keeps the volume mounted, until somebody gives it up; then the disk is free.
                force = "-l" if kind == "ahci" else "-f"
                said, _ = vm.shell(f"umount /tmp/{kind} 2>&1 | grep -c Input/output; umount {force} /tmp/{kind} && "
                                   f"mount -t vfat disk:///by-label/{kind.upper()} /tmp/{kind} && md5sum < /tmp/{kind}/copy", 120)
                said = "".join(line for line in said.splitlines(True) if not line.startswith("qemu-system"))
                if said != "1\n" + md5(NOISE):
                    vm.fail(f"{kind}: umount {force}: {said!r}")
                wait_log(vm, "unmounted by force, what could not be written is lost")
            off(vm)
        for _, path, _ in disks.values():
            if tool("mtype", "-i", path, "::copy") != NOISE:
                raise Failure("what was written beside the bad places is not there")


SERIAL = "5E2A-11F0"
MIB = 1 << 20


class RootDisk:
    """A partition of a disk, a GPT's or an MBR's, that is the system's root; it lives as long as its `with`."""

    def __init__(self, table, size=48):
        self.folder = tempfile.TemporaryDirectory(prefix="protos-")
        self.path, self.part = (os.path.join(self.folder.name, name) for name in ("disk.img", "part.img"))
        tool("tools/root_disk.py", self.part, "--size", str(size), "--serial", SERIAL.replace("-", ""))
        with open(self.part, "rb") as file:
            content = file.read()
        image = disk_image.Image(self.path, (size + 2) * MIB)
        (self.first, _), = getattr(image, table)([Part(len(content), "root", content)])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def check_clean(self):
        """As check_clean, of the partition as it is now."""
        with open(self.path, "rb") as disk, open(self.part, "wb") as part:
            disk.seek(self.first * 512)
            part.write(disk.read())
        check_clean(self.part)


def runs_from(context, disk, driver, source, **options):
    """The system runs from a partition of a disk of that driver, writes to it and leaves it clean."""
    with boot(context, f"{disk.path},if={driver}", **options) as vm:
        vm.prompt(180)
        vm.check("mount | head -1; cat /etc/hostname; echo kept > /root/file; cat /root/file",
                 re.compile(rf"^{re.escape(source)} on / type vfat \(rw\)\nprotos\nkept\n"), 60)
        off(vm)
    disk.check_clean()


def archive_with_root(context, source):
    """An archive whose fstab has only the root."""
    return context.archive({"etc/fstab": f"{source} / vfat defaults\n".encode()})


def iso_with_root(context, source):
    """What a stick or a CD holds that boots such an archive."""
    iso = tempfile.NamedTemporaryFile(prefix="protos-", suffix=".iso")
    with archive_with_root(context, source) as archive:
        tool("tools/iso.py", os.path.join(context.out, "protos.elf"), archive.name, iso.name)
    return iso


@scenario("fat/root", cpus=(4,))
def root(context):
    """The root of root=, mounted on by its own fstab; what is written there is there at the next boot."""
    with RootDisk("gpt") as disk:
        with boot(context, disk.path, append="root=LABEL=PROTOS") as vm:
            vm.prompt(120)
            vm.check("mount | cut -d ' ' -f 1-5; cat /etc/hostname",
                     re.compile(r"^LABEL=PROTOS on / type vfat\nproc:/// on /proc type bind\n(?s:.*)tmp on /tmp type tmp\nprotos\n"), 60)
            vm.check("df / | tail -1 | tr -s ' ' | cut -d ' ' -f 1,6; echo kept > /root/file; mount -o remount,ro /; "
                     "echo x > /root/other || mount | head -1", re.compile(r"LABEL=PROTOS /\n(?s:.*)LABEL=PROTOS on / type vfat \(ro"), 60)
            vm.check("mount -o remount,rw / && echo more >> /root/file", "", 60)
            off(vm)
        disk.check_clean()
        with boot(context, disk.path, append="root=LABEL=PROTOS") as vm:
            vm.prompt(120)
            vm.check("cat /root/file", "kept\nmore\n", 60)


@scenario("fat/root-by-uri", cpus=(1,))
def root_by_uri(context):
    with RootDisk("mbr") as disk:
        runs_from(context, disk, "virtio", "disk:///vd0/p1", append="root=disk:///vd0/p1")


@scenario("fat/root-by-uuid", cpus=(1,))
def root_by_uuid(context):
    with RootDisk("gpt") as disk:
        runs_from(context, disk, "ahci", "UUID=" + SERIAL, append="root=UUID=" + SERIAL)


@scenario("fat/root-by-fstab", cpus=(1,))
def root_by_fstab(context):
    """The archive's fstab names the root; the one on it says the rest."""
    with RootDisk("mbr") as disk, archive_with_root(context, "LABEL=PROTOS") as archive:
        runs_from(context, disk, "nvme", "LABEL=PROTOS", initfs=archive.name)


@scenario("fat/root-seabios", cpus=(4,))
def root_seabios(context):
    with RootDisk("mbr") as disk, iso_with_root(context, "LABEL=PROTOS") as iso:
        runs_from(context, disk, "ahci", "LABEL=PROTOS", firmware="seabios", iso=iso.name)


@scenario("fat/root-ovmf", cpus=(4,))
def root_ovmf(context):
    with RootDisk("gpt") as disk, iso_with_root(context, "UUID=" + SERIAL) as iso:
        runs_from(context, disk, "nvme", "UUID=" + SERIAL, firmware="ovmf", iso=iso.name)
