"""What is killed while it is used: those that have a part in a copy on a disk; and the machine itself, by power cuts.

In each round of `make soak` there is a tenth of what is shown here; SOAK_KILLS, SOAK_CUTS and SOAK_MACHINES=n make it n at once:
100 kills of each service during copies of 200 MiB, 10,000 power cuts, 100 ends of QEMU.
"""
import os
import random
import re
import shutil
import tempfile
import time

import disk_image
from disk_image import Part
from harness import Failure, scenario
from machine import SCALE
from scenarios.fat import boot, image, off, tool
from scenarios.survival import settled_frames

MIB = 1 << 20
MOUNT = "until mount -t vfat disk:///by-label/CRASH /mnt 2> /dev/null; do usleep 100000; done"
DISK, FILE = "disk:///by-label/CRASH", "fs:///mnt/probe"
VICTIMS = {"virtiod": DISK, "diskd": DISK, "fsd.fat32": FILE, "vfsd": FILE}
REPORT = re.compile(r"^\d+ kills: recovery median (\d+) us, longest (\d+) us; (\d+) copies, (\d+) KiB/s\n")


def soak(name):
    return name in os.environ or "SOAK_ROUND" in os.environ


def amount(name, test, round_of_soak):
    return int(os.environ.get(name, round_of_soak if soak(name) else test))


def told(context, name, what):
    """Figures are for those who asked for them."""
    if soak(name):
        print(f"# {context.name}: {what}", end="", flush=True)


# --- Kills ---

# One after the other, each once it is there.
KILL_ALL = ("for i in {}; do usleep 40000; until p=$(ps | sed -n \"s/^ *\\([0-9]*\\) .* $i\\(@.*\\)*$/\\1/p\") && [ $p ]; do usleep 10000; done; "
            "kill -9 $p; done")


class Volume:
    """A FAT32 volume with random bytes in `source`, for a copy of them."""

    def __init__(self, size):
        self.data = os.urandom(size)
        self.image = image(size * 5 // 2 // MIB + 40, "-F", "32", "-n", "CRASH")
        self.path = self.image.name

    def __enter__(self):
        for name, data in (("source", self.data), ("probe", self.data[:4096])):
            with tempfile.NamedTemporaryFile(prefix="protos-") as file:
                file.write(data)
                file.flush()
                tool("mcopy", "-i", self.path, file.name, "::" + name)
        return self

    def __exit__(self, *_):
        self.image.close()

    def check(self):
        tool("fsck.fat", "-n", self.path)
        for name in ("source", "target"):
            if tool("mtype", "-i", self.path, "::" + name) != self.data:
                raise Failure(f"{name} has other bytes")


def killing(context, vm, victim, kills, period):
    """tests/guest/tools/killing.c: (median recovery in ms, KiB/s)."""
    output = vm.check(f"/tests/tools/killing {victim} {VICTIMS.get(victim, FILE)} {kills} {period} /mnt/source /mnt/target",
                      REPORT, 600 + kills * 30)
    told(context, "SOAK_KILLS", f"{victim}: {output}")
    found = REPORT.search(output)
    return int(found[1]) / 1000, int(found[4])


def handles(vm):
    """Once zombies are gone."""
    return min(int(re.search(r"^handles (\d+)$", vm.check("/tests/tools/counters", re.compile("handles")), re.M)[1])
               for _ in range(3))


@scenario("crashes/killed", cpus=(1, 4) if soak("SOAK_KILLS") else (4,))
def killed(context):
    """Each who has a part in it is killed during a copy: it ends right, on the disk as well, and nothing is left behind."""
    kills, size, period = amount("SOAK_KILLS", 4, 10), 200 if soak("SOAK_KILLS") else 16, 1000 if soak("SOAK_KILLS") else 250
    with Volume(size * MIB) as volume:
        with boot(context, volume.path + ",unsafe") as vm:
            vm.prompt()
            vm.check(f"mkdir /mnt; {MOUNT}", "", 120)
            for victim in VICTIMS:
                killing(context, vm, victim, 2, 250)  # the first time fills caches
            vm.check(f"umount /mnt; {MOUNT}; umount /mnt", "", 120)
            frames, before = settled_frames(vm), handles(vm)
            for victim in VICTIMS:
                vm.check(MOUNT, "", 120)
                killing(context, vm, victim, kills, period)
                vm.check("cmp /mnt/source /mnt/target && umount /mnt", "", 600)
                lost, more = frames - settled_frames(vm), handles(vm) - before
                told(context, "SOAK_KILLS", f"{victim}: {lost} frames less, {more} handles more\n")
                if lost > 64 or more > 4:
                    vm.fail(f"{kills} kills of {victim}: {lost} frames are gone, and there are {more} handles more")
            off(vm)
        volume.check()


@scenario("crashes/names")
def names(context):
    """Names are made, moved and removed while their file system is killed: each call succeeds, as it is carried out once."""
    kills = amount("SOAK_KILLS", 10, 30)
    with image(40, "-F", "32", "-n", "CRASH") as disk:
        with boot(context, disk.name + ",unsafe") as vm:
            vm.prompt()
            vm.check(f"mkdir /mnt /tmp/work; {MOUNT}", "", 120)
            for victim, folder, links in (("fsd.fat32", "/mnt", ""), ("fsd.tmp", "/tmp/work", "links")):
                killers = KILL_ALL.format(" ".join([victim] * kills))
                vm.check(f"({killers}; touch /tmp/stop) & /tests/tools/name_work {folder} /tmp/stop {links}; wait; rm /tmp/stop; ls {folder}",
                         re.compile(r"^\d+ rounds\n$"), 120 + 10 * kills)
            vm.check("umount /mnt", "", 60)
            off(vm)
        tool("fsck.fat", "-n", disk.name)


# As for budgets (docs/performance.md): a nanosecond is an instruction, so the host's load is not seen.
COUNTED = {"icount": True, "cpu": "max,-erms,-fsrm"}
RECOVERY = 100  # ms, in the middle
COST = 250  # ms of copying: at a kill a second three quarters are left


@scenario("crashes/costs", cpus=(1,) if soak("SOAK_KILLS") else ())  # several whose instructions are counted run in turn: no faster, and no other
def costs(context):
    """What a kill costs: the time until a file is had again, and of the copying."""
    size, kills, period = (200, 5, 1000) if "SOAK_KILLS" in os.environ else (16, 3, 200)
    limit = min(COST, period / 2)  # a cost as long as the period would not be seen
    with Volume(size * MIB) as volume:
        with boot(context, volume.path + ",unsafe", **COUNTED) as vm:
            vm.prompt()
            vm.check(f"mkdir /mnt; {MOUNT}", "", 120)
            vm.shell("/tests/tools/busy &")
            killing(context, vm, "-", 1, period)  # the first time fills caches
            usual = killing(context, vm, "-", kills, period)[1]
            for victim in VICTIMS:
                recovery, speed = killing(context, vm, victim, kills, period)
                lost = (1 - speed / usual) * period
                told(context, "SOAK_KILLS", f"{victim}: a kill costs {lost:.0f} ms of copying\n")
                if recovery > RECOVERY or lost > limit:
                    vm.fail(f"{victim}: had again after {recovery:.0f} ms, and a kill costs {lost:.0f} ms of copying")
            vm.check("cmp /mnt/source /mnt/target && umount /mnt", "", 600)
            off(vm)
        volume.check()


# --- Power cuts ---


RECORDS = 400
JOURNAL = 9 * MIB  # behind the volume


class Worked:
    """A disk with a volume and, beside it, the journal of who works on it (tests/guest/tools/power_work.h)."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="protos-")
        self.path, self.before, self.log = (os.path.join(self.folder.name, name) for name in ("disk", "before", "log"))
        tool("mkfs.fat", "-F", "32", "-s", "1", "-n", "CRASH", "-C", self.before, str(8 * MIB // 1024))
        with open(self.before, "rb") as volume:
            disk_image.Image(self.path, 12 * MIB).mbr([Part(8 * MIB, content=volume.read()), Part(0)])
        shutil.copy(self.path, self.before)
        with open(self.log, "wb"):
            pass
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def has(self, record):
        with open(self.path, "rb") as file:
            file.seek(JOURNAL + record * 512)
            return any(file.read(8))


def work(seed, records):
    return f"/tests/tools/power_work /mnt disk:///vd0p2 {seed} {records}"


def cuts(context, *arguments):
    """tests/host/tools/power_cuts.c"""
    told(context, "SOAK_CUTS", tool(os.path.join(context.out, "host/tools/power_cuts"), *map(str, arguments)).decode())


def worked(context, seed, victims=""):
    """Work is done on a disk whose writes are logged, while victims are killed; then the power is cut anywhere in the log."""
    seed += 1000 * int(os.environ.get("SOAK_ROUND", "0")) + context.cpus
    with Worked() as disk:
        with boot(context, f"{disk.path},log={disk.log}") as vm:
            vm.prompt()
            vm.check(f"mkdir /mnt; {MOUNT}; ({KILL_ALL.format(victims)}) & {work(seed, RECORDS)}", re.compile(r"^\d+ records\n", re.M), 600)
            for victim in set(victims.split()):
                starts = 1 + victims.split().count(victim)
                vm.check(f"wait; until grep -Eq '^{victim}(@[^ ]*)? +ready +{starts} ' log:///status; do usleep 100000; done", "", 120)
        cuts(context, disk.before, disk.log, amount("SOAK_CUTS", 150, 250), seed)


@scenario("crashes/power")
def power(context):
    """Nothing that was acknowledged is missing after a power cut, and the volume is put right: by us and by fsck.fat."""
    worked(context, 0)


@scenario("crashes/power-killed")
def power_killed(context):
    """The same where the file system and those around it were killed before."""
    worked(context, 500, "virtiod fsd.fat32 vfsd fsd.fat32 diskd fsd.fat32 virtiod fsd.fat32")


@scenario("crashes/machine", cpus=(4,))
def machine(context):
    """QEMU itself is ended at any moment of the work: the disk has what was written until then."""
    seed = 1000 * int(os.environ.get("SOAK_ROUND", "0"))
    dice = random.Random(seed)
    for number in range(amount("SOAK_MACHINES", 3, 10)):
        with Worked() as disk:
            with boot(context, disk.path) as vm:
                vm.prompt()
                vm.send(f"mkdir /mnt; {MOUNT}; {work(seed + number, 6000)}\n")
                records, until = dice.randrange(10, RECORDS), time.monotonic() + 300 * SCALE
                while not disk.has(records):
                    if time.monotonic() > until:
                        vm.fail("no work is done")
                    time.sleep(0.05 * dice.random())
                vm.process.kill()
                vm.process.wait()
            cuts(context, disk.path)
