"""Mounting what a process of its own serves: who starts it, who ends it, and what outlives whom.

The file system is tests/guest/tools/stub_fs.c: its root has one file, "device", whose bytes are the device's; so no disk is
needed, and nothing of a real file system."""
import os
import re

from harness import scenario

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


@scenario("volumes/wrong-root", cpus=(1,))
def wrong_root(context):
    """A root= that is not there, or that there is no file system for: a message, and a shell on the archive."""
    for wrong in ("root=initfs:///none rootfstype=vfat", "root=initfs:///etc/hostname rootfstype=nosuch"):
        with context.boot(append=wrong) as vm:
            vm.prompt()
            vm.check("cat log:/// | grep -c 'vfsd: root=: .* cannot be mounted as the root'", "1\n", 60)
            vm.check("cat /etc/hostname; mount | head -1", re.compile("protos\ntmp on / type tmp"), 60)
