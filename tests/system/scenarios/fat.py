"""FAT volumes: fsd.fat32 as programs see it, and what the host's tools find on the disk afterwards."""
import os
import re
import subprocess
import tempfile

from harness import Failure, scenario

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


@scenario("fat/loop")
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
    return context.boot(initfs=os.path.join(context.out, ARCHIVE), disks=disks, snapshot=False, **options)


def off(vm):
    """The system stops by itself: volumes are written back and marked as properly left."""
    vm.send("poweroff\n")
    vm.wait_exit(120)


@scenario("fat/disk")
def disk(context):
    """A volume on a disk, written while its file system, vfsd and the disk's driver are killed; afterwards mtools reads the same and
    fsck.fat finds nothing."""
    with image(64, "-F", "32", "-n", "DATA") as volume:
        tool("mcopy", "-i", volume.name, "/bin/busybox", "::From the host.bin")
        with boot(context, volume.name) as vm:
            vm.prompt()
            vm.check("mkdir /mnt; until mount -t vfat disk:///by-label/DATA /mnt 2> /dev/null; do usleep 100000; done; "
                     "cmp '/mnt/From the host.bin' /bin/busybox && ls -1 /mnt", "From the host.bin\n", 120)
            for victim in ("fsd.fat32@1", "vfsd", "virtiod@*", "fsd.fat32@1"):
                vm.check(f"(usleep 200000; kill -9 $(ps | sed -n 's/^ *\\([0-9]*\\) .* {victim}.*/\\1/p')) & "
                         "for i in 1 2 3 4; do cp /bin/busybox /mnt/copy$i; done; wait; md5sum /mnt/copy* /bin/busybox | cut -c 1-32 | uniq | wc -l",
                         "1\n", 180)
            vm.check("mkdir -p /mnt/a/b; echo last > '/mnt/a/b/Ünïcode name'; rm /mnt/copy1; mv /mnt/copy2 /mnt/a; "
                     "umount /mnt; ls /mnt", "", 120)
            off(vm)
        tool("fsck.fat", "-n", volume.name)
        with open("/bin/busybox", "rb") as file:
            want = file.read()
        for name in ("From the host.bin", "copy3", "copy4", "a/copy2"):
            if tool("mtype", "-i", volume.name, "::" + name) != want:
                raise Failure(f"mtools read something else from {name}")
        if tool("mtype", "-i", volume.name, "::a/b/Ünïcode name") != b"last\n":
            raise Failure("what was written last is lost")


@scenario("fat/root")
def root(context):
    """The root of root=, mounted on by its own fstab; what is written there is there at the next boot."""
    with tempfile.TemporaryDirectory(prefix="protos-") as folder:
        path = os.path.join(folder, "root.img")
        tool("tools/root_disk.py", path, "--size", "64")
        with boot(context, path, append="root=LABEL=PROTOS") as vm:
            vm.prompt(120)
            vm.check("mount | cut -d ' ' -f 1-5; cat /etc/hostname",
                     re.compile(r"^LABEL=PROTOS on / type vfat\nproc:/// on /proc type bind\n(?s:.*)tmp on /tmp type tmp\nprotos\n"), 60)
            vm.check("df / | tail -1 | tr -s ' ' | cut -d ' ' -f 1,6; echo kept > /root/file; mount -o remount,ro /; "
                     "echo x > /root/other || mount | head -1", re.compile(r"LABEL=PROTOS /\n(?s:.*)LABEL=PROTOS on / type vfat \(ro"), 60)
            vm.check("mount -o remount,rw / && echo more >> /root/file", "", 60)
            off(vm)
        tool("fsck.fat", "-n", path)
        with boot(context, path, append="root=LABEL=PROTOS") as vm:
            vm.prompt(120)
            vm.check("cat /root/file", "kept\nmore\n", 60)
