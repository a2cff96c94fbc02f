"""Mounting what a process of its own serves: who starts it, who ends it, and what outlives whom.

The file system is tests/guest/tools/stub_fs.c: its root has one file, "device", whose bytes are the device's; so no disk is
needed, and nothing of a real file system; but volumes/exclusive, which is about disks."""
import os
import re
import tempfile

import disk_image
from disk_image import Part
from harness import in_soak, scenario

CONF = b"port volume\nuse volumes\nrestart always\n"
MOUNT = "/tests/tools/mounting"


def packed(context, extra=None):
    """The test archive with the file system fsd.stub for volumes of the type stub."""
    with open(os.path.join(context.out, "tests/tools/stub_fs"), "rb") as file:
        program = file.read()
    with open("rootfs/etc/drivers", "rb") as file:
        drivers = file.read()
    return context.archive({"sbin/fsd.stub": program, "etc/services.d/fsd.stub.conf": CONF,
                            "etc/drivers": drivers + b"volumes stub fsd.stub\n", **(extra or {})})


def kill(name):
    return f"kill -9 $(pidof {name})"


@scenario("volumes/life")
def life(context):
    """mount starts a file system and umount ends it; one that cannot serve the device, types and sources that there are not."""
    with packed(context) as archive, context.boot(initfs=archive.name) as vm:
        vm.prompt()
        vm.check("echo first > /tmp/disk; echo broken > /tmp/bad; mkdir /mnt /mnt2", "")
        vm.check(f"{MOUNT} /tmp/disk /mnt stub; ls /mnt; cat /mnt/device", "device\nfirst\n", 60)
        vm.check("mount | grep mnt; grep stub /proc/filesystems", "/tmp/disk on /mnt type stub (rw)\n\tstub\n")
        vm.check("cat log:///status", re.compile(r"^fsd\.stub@1 +ready +1 ", re.M))
        vm.check("echo other > /mnt/device; cat /tmp/disk", "other\n")
        # What cannot be mounted says why, and leaves nothing behind.
        vm.check(f"{MOUNT} /tmp/bad /mnt2 stub; {MOUNT} /tmp/disk /mnt2 stub bad; {MOUNT} /tmp/none /mnt2 stub; "
                 f"{MOUNT} /tmp/disk /mnt2 nosuch; {MOUNT} /tmp/disk /mnt stub; ls /mnt2; mount | grep -c mnt",
                 "Exec format error\nExec format error\nNo such file or directory\nNo such device\nResource busy\n1\n", 60)
        vm.check("until [ $(grep -c fsd.stub@ log:///status) = 1 ]; do usleep 20000; done; echo alone", "alone\n", 60)
        # Two at once.
        vm.check(f"cp /tmp/disk /tmp/disk2; {MOUNT} /tmp/disk2 /mnt2 stub ro; cat /mnt2/device; mount | grep mnt2",
                 "other\n/tmp/disk2 on /mnt2 type stub (ro)\n", 60)
        vm.check("echo x > /mnt2/device || echo refused", re.compile("(?s)Read-only.*refused\n"))
        vm.check("mount -o remount,rw /mnt2 && echo third > /mnt2/device; cat /tmp/disk2; mount | grep mnt2",
                 "third\n/tmp/disk2 on /mnt2 type stub (rw)\n", 60)
        vm.check("exec 5</mnt2/device; mount -o remount,ro /mnt2 2> /dev/null || echo busy; exec 5<&-; "
                 "mount -o remount,ro /mnt2; mount | grep mnt2", "busy\n/tmp/disk2 on /mnt2 type stub (ro)\n", 60)
        # In use, and not any more.
        vm.check("exec 5</mnt/device; umount /mnt 2> /dev/null || echo busy; exec 5<&-; umount /mnt && ls /mnt", "busy\n", 60)
        vm.check("exec 5</mnt2/device; umount -l /mnt2; ls /mnt2; cat <&5; exec 5<&-", "third\n", 60)
        vm.check("while grep fsd.stub@ log:///status; do usleep 20000; done | tail -0; echo none", "none\n", 60)


@scenario("volumes/survival")
def survival(context):
    """The file system, vfsd and initd, each killed and together: what is mounted stays, open files go on."""
    with packed(context) as archive, context.boot(initfs=archive.name) as vm:
        vm.prompt()
        vm.check(f"echo kept > /tmp/disk; mkdir /mnt; {MOUNT} /tmp/disk /mnt stub; cat /mnt/device", "kept\n", 60)
        mounts = vm.check("mount", re.compile(r"^/tmp/disk on /mnt type stub \(rw\)$", re.M))
        vm.check("exec 5</mnt/device", "")
        for victims in (("fsd.stub@1",), ("vfsd",), ("fsd.stub@1", "vfsd"), ("initd",), ("initd", "fsd.stub@1"),
                        ("vfsd", "fsd.tmp", "fsd.stub@1")):
            vm.check("; ".join(map(kill, victims)) + "; cat /mnt/device; mount", "kept\n" + mounts, 60)
        vm.check("cat <&5; exec 5<&-", "kept\n", 60)
        # A mount that ends while who began it is dead.
        vm.check("umount /mnt; ls /mnt", "", 60)
        vm.check("while grep fsd.stub@ log:///status; do usleep 20000; done | tail -0; echo none", "none\n", 60)
        vm.check(f"{MOUNT} /tmp/disk /mnt stub; cat /mnt/device; {kill('initd')}; umount /mnt", "kept\n", 60)
        vm.check("while grep fsd.stub@ log:///status; do usleep 20000; done | tail -0; echo none", "none\n", 60)


@scenario("volumes/survival-mounting")
def survival_mounting(context):
    """vfsd is killed once, anywhere, while something is mounted or unmounted, over and over: all of that is done, and once."""
    rounds = 24 if in_soak(1) else 6
    with packed(context) as archive, context.boot(initfs=archive.name) as vm:
        vm.prompt()
        vm.check("echo kept > /tmp/disk; mkdir /mnt", "")
        vm.check(f"for i in $(seq {rounds}); do (usleep $((i * 7 % {rounds} * 8000)); {kill('vfsd')}) 2> /dev/null & {MOUNT} /tmp/disk /mnt stub && cat /mnt/device; "
                 "umount /mnt || echo still mounted; wait; done 2>&1 | sort | uniq -c", re.compile(rf"^ *{rounds} kept$"), 300)
        vm.check("while grep fsd.stub@ log:///status; do usleep 20000; done | tail -0; mount | grep /mnt || echo none", "none\n", 60)


MIB = 1 << 20
EXCLUSIVE = "/tests/tools/exclusive"
BUSY = "Resource busy\n"


def running(pattern):
    """The processes called so, for the shell."""
    return f"$(ps | sed -n 's/^ *\\([0-9]*\\) .* {pattern}.*/\\1/p')"


# $pids are killed, and dead: a mount that one of them had begun would end with it.
KILL = "kill -9 $pids 2> /dev/null; for pid in $pids; do while kill -0 $pid 2> /dev/null; do usleep 10000; done; done"


@scenario("volumes/exclusive")
def exclusive(context):
    """A disk that is mounted is nobody else's to mount, to hold or to write, whoever is killed; and it is free when umount is back."""
    with tempfile.TemporaryDirectory(prefix="protos-") as folder:
        whole = os.path.join(folder, "whole")
        disk_image.Image(whole, 24 * MIB).gpt([Part(8 * MIB, "one"), Part(0, "two")])
        with context.boot(initfs=os.path.join(context.out, "test-initfs.tar.gz"), disks=(whole,)) as vm:
            vm.prompt()
            one, two, disk = "disk:///vd0/p1", "disk:///vd0/p2", "disk:///vd0"
            again = f"{MOUNT} {one} /mnt2 vfat; {MOUNT} {disk} /mnt2 vfat; {EXCLUSIVE} r {one} echo free; {EXCLUSIVE} rw {disk} echo free; true"
            write = f"dd if=/dev/zero of={one} count=1 2>&1 | grep -c busy; dd if=/dev/zero of={disk} seek=2048 count=1 2>&1 | grep -c busy"
            vm.check("mkdir /mnt /mnt2; until grep -q ^vd0/p2 disk:///disks; do usleep 50000; done; "
                     f"mkdosfs {one} && {MOUNT} {one} /mnt vfat && echo first > /mnt/file; cat /mnt/file", "first\n", 120)
            vm.check(again, 4 * BUSY, 60)
            vm.check(write, "1\n1\n", 60)
            # The table in front, and the other partition, are whose they were; reading is anybody's.
            vm.check(f"dd if={disk} of=/tmp/table count=34 2> /dev/null; dd if=/tmp/table of={disk} conv=notrunc 2> /dev/null && echo written; "
                     f"{EXCLUSIVE} rw {two} {EXCLUSIVE} r {two} echo free; {EXCLUSIVE} rw {two} echo free; md5sum < {one} > /dev/null && echo read",
                     "written\n" + BUSY + "free\nread\n", 60)
            # Killed, and so opened again: by who had it, and by nobody else.
            for victims in (("virtiod@",), ("fsd.fat32@1",), ("diskd",), ("vfsd",), ("virtiod@", "fsd.fat32@1")):
                vm.check(f"pids=\"{' '.join(map(running, victims))}\"; {KILL}; {again}", 4 * BUSY, 120)
                vm.check(f"{write}; cat /mnt/file", "1\n1\nfirst\n", 120)
            # Free at once, six times.
            vm.check(f"for i in 1 2 3; do umount /mnt && {MOUNT} {one} /mnt2 vfat && umount /mnt2 && {MOUNT} {one} /mnt vfat; done; cat /mnt/file",
                     "first\n", 120)
            # Killed while it ends: it is mounted still, or it is not, and the disk is free.
            for victim in ("vfsd", "fsd.fat32@"):
                vm.check(f"for i in 1 2 3; do pids={running(victim)}; umount /mnt 2> /dev/null & usleep ${{i}}000; {KILL}; wait; "
                         f"grep -q ' /mnt ' /proc/mounts && umount /mnt; {MOUNT} {one} /mnt vfat && cat /mnt/file; done", 3 * "first\n", 300)
            # Out of sight, but in use: it is free when the last file is closed.
            vm.check(f"exec 5</mnt/file; umount -l /mnt; {MOUNT} {one} /mnt vfat; cat <&5; exec 5<&-; "
                     f"until {MOUNT} {one} /mnt vfat > /dev/null; do usleep 50000; done; cat /mnt/file", BUSY + "first\nfirst\n", 120)
            # Who holds it keeps a mount away, even if he only reads; others write then.
            vm.check(f"umount /mnt; {EXCLUSIVE} r {one} {MOUNT} {one} /mnt vfat; {EXCLUSIVE} rw {disk} {MOUNT} {one} /mnt vfat; "
                     f"{EXCLUSIVE} r {one} mkdosfs {one} && {MOUNT} {one} /mnt vfat; ls /mnt", 2 * BUSY, 60)


@scenario("volumes/wrong-root", cpus=(1,))
def wrong_root(context):
    """A root= that is not there, or that there is no file system for: a message, and a shell on the archive."""
    for wrong in ("root=initfs:///none rootfstype=vfat", "root=initfs:///etc/hostname rootfstype=nosuch"):
        with context.boot(append=wrong) as vm:
            vm.prompt()
            vm.check("cat log:/// | grep -c 'vfsd: root=: .* cannot be mounted as the root'", "1\n", 60)
            vm.check("cat /etc/hostname; mount | head -1", re.compile("protos\ntmp on / type tmp"), 60)
