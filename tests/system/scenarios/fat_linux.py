"""A FAT volume that Linux's vfat and fsd.fat32 write in turn. In soak alone: Debian's kernel is fetched (bench/linux.py)."""
import os
import re
import sys

from harness import Failure, in_soak, scenario
from scenarios.fat import ARCHIVE, boot, check_clean, image, off

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "bench"))

# Names of each kind, files that grow and shrink, are moved and go; of 300 in one directory some.
WORK = """mkdir -p /mnt/{0}/sub/deeper; cd /mnt/{0}
for i in $(busybox seq 300); do echo {0} $i > "sub/file number $i.text"; done
for i in $(busybox seq 1 3 300); do busybox rm "sub/file number $i.text"; done
for i in $(busybox seq 2 3 300); do busybox mv "sub/file number $i.text" "sub/deeper/$i {0}, moved"; done
busybox cp /bin/busybox PROGRAM.BIN; busybox cp /bin/busybox 'a program of some size'; echo end >> 'a program of some size'
busybox dd if=/bin/busybox of=cut bs=1000 count=700 2> /dev/null; busybox truncate -s 12345 cut; busybox truncate -s 99999 cut
echo x > 'Grüße, Ελλάδα 漢字 😀'; echo y > MiXeD.cAsE; echo z > ALLCAPS; : > empty; busybox mv MiXeD.cAsE mixed.case
cd /""".replace("\n", "; ")
SUMS = "cd /mnt; busybox find . -type f -print0 | busybox sort -z | busybox xargs -0 busybox md5sum; cd /"


def on_linux(context, disk, *commands):
    """What the last of them prints."""
    import linux
    kernel = linux.kernel(context.out, linux.CLOUD)
    archive = linux.initramfs(context.out, linux.CLOUD, [], ["mount -t vfat -o utf8 /dev/vda /mnt", *commands[:-1],
                                                             f"echo =SUMS=; {commands[-1]}", "busybox umount /mnt"], "vfat")
    with context.boot(kernel=kernel, initfs=archive, append=linux.COMMAND_LINE, disks=[disk + ",keep"], snapshot=False) as vm:
        vm.expect("^=END=", 600)
        if re.search(r"^status [1-9]", vm.text.replace("\r", ""), re.M):
            vm.fail("Linux could not do it")
        return re.search(r"^=SUMS=\n(.*?)^status ", vm.text.replace("\r", ""), re.M | re.S)[1]


@scenario("fat/linux", cpus=in_soak(1, 4))
def linux_and_us(context):
    """What Linux wrote is read here, what we wrote is read there, names and bytes; fsck.fat finds nothing after either."""
    for options in (["-F", "32", "-s", "1"], ["-F", "16", "-s", "4"]):
        with image(64, *options) as disk:
            theirs = on_linux(context, disk.name, WORK.format("linux"), SUMS)
            if theirs.count("\n") != 207:
                raise Failure(f"Linux made {theirs}")
            check_clean(disk.name)
            with boot(context, disk.name + ",keep", initfs=os.path.join(context.out, ARCHIVE)) as vm:
                vm.prompt()
                vm.check("mkdir /mnt; mount -t vfat disk:///vd0 /mnt", "", 60)
                vm.check(SUMS, theirs, 120)
                vm.check(WORK.format("protos"), "", 300)
                ours = vm.check(SUMS, re.compile("protos"), 120)
                off(vm)
            check_clean(disk.name)
            if on_linux(context, disk.name, SUMS) != ours:
                vm.fail("Linux reads something else than we wrote")
