"""FAT volumes: fsd.fat32 as programs see it, and what the host's tools find on the disk afterwards."""
import re
import subprocess
import tempfile

from harness import scenario

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
