"""ahcid and nvmed on QEMU's devices: what only these have. What every disk does is in disks.py."""
import hashlib
import os
import random
import re
import tempfile

from harness import in_soak, scenario
from scenarios.devices import wait_log

KINDS = {"ahci": ("ahci0.0", "ahcid"), "nvme": ("nvme0", "nvmed")}
MIB = 1 << 20
SIZE = 16 * MIB
ONE = re.compile("^1$", re.M)  # QEMU says of errors itself in between
DEEP = 4  # as many commands must have been under way at once, at least

READS = {"ahci": ("execute_ncq_command_read", "ncq_finish"), "nvme": ("pci_nvme_read", "pci_nvme_rw_complete_cb")}


def each(name, **options):
    """A scenario for each kind of disk."""
    def register(function):
        for kind in KINDS:
            scenario(f"{kind}/{name}", **options)(lambda context, kind=kind: function(context, kind))
        return function
    return register


class Image:
    """A disk image with random bytes; what the guest writes stays in it."""

    def __init__(self, size=SIZE, seed=1):
        self.file = tempfile.NamedTemporaryFile(prefix="protos-", suffix=".img")
        self.data = random.Random(seed).randbytes(size)
        self.file.write(self.data)
        self.file.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def disk(self, kind, *more):
        return ",".join([self.file.name, f"if={kind}", "keep", *more])

    def now(self):
        with open(self.file.name, "rb") as file:
            return file.read()


def digest(data):
    return hashlib.sha256(data).hexdigest()


def boot(context, disks, **options):
    vm = context.boot(initfs=os.path.join(context.out, "test-initfs.tar.gz"), disks=disks, **options)
    try:
        vm.prompt()
        for index in range(len(disks)):
            wait_disk(vm, f"serial=disk{index} ")
    except BaseException:
        vm.stop()
        raise
    return vm


def wait_disk(vm, pattern):
    """Wait for a disk; its line."""
    for _ in range(100):
        match = re.search(rf"^.*{pattern}.*$", vm.shell("cat disk:///disks", 60)[0], re.M)
        if match:
            return match[0]
        vm.shell("sleep 0.1", 60)
    vm.fail(f"no disk says {pattern!r}")


def check_read(vm, name, data, more="bs=1M"):
    vm.check(f"dd if=disk:///{name} {more} 2>/dev/null | sha256sum", f"{digest(data)}  -\n", 120)


def power_off(vm):
    vm.send("poweroff\n")
    vm.wait_exit(60)


@each("transfer")
def transfer(context, kind):
    """Every byte is read, some are written, and they are in the image when the machine is off."""
    name = KINDS[kind][0]
    with Image() as image:
        with boot(context, [image.disk(kind)]) as vm:
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


def slow_down(vm, per_second):
    """So many transfers of the first disk; 0: as many as can be."""
    others = dict.fromkeys(("bps", "bps_rd", "bps_wr", "iops_rd", "iops_wr"), 0)
    vm.qmp("block_set_io_throttle", device="disk0", iops=per_second, **others)


def most_under_way(trace, begins, ends):
    """Of what QEMU's trace says by these two, how many there were at once."""
    under_way = most = 0
    for line in trace.read().decode("utf-8", "replace").splitlines():
        under_way += line.startswith(begins + " ")
        under_way -= line.startswith(ends + " ")
        most = max(most, under_way)
    return most


@each("depth", cpus=(1,))
def depth(context, kind):
    """Many commands are under way at once, as QEMU sees them: the disk is made slow, and several read it."""
    begins, ends = READS[kind]
    with Image() as image, tempfile.NamedTemporaryFile(prefix="protos-", suffix=".trace") as trace:
        extra = ["-D", trace.name, "-trace", begins, "-trace", ends]
        with boot(context, [image.disk(kind)], extra=extra) as vm:
            slow_down(vm, 2)
            reads = f"dd if=disk:///{KINDS[kind][0]} bs=64k count=4 of=/dev/null 2>/dev/null"
            vm.shell(f"for i in 1 2 3 4 5 6; do {reads} & done; wait", 120)
        most = most_under_way(trace, begins, ends)
        if most < DEEP:
            vm.fail(f"no more than {most} commands were under way at once")


@each("killed", cpus=(4, *in_soak(1)))
def killed(context, kind):
    """Its driver is killed again and again while it is read and written: who does that sees nothing of it."""
    name, service = KINDS[kind]
    kills = f"(for i in 1 2 3 4 5 6; do sleep 0.2; kill -9 $(pidof {service}@00:02.0); done) 2>/dev/null &"
    with Image() as image:
        with boot(context, [image.disk(kind)]) as vm:
            vm.shell(kills)
            for _ in range(4):
                check_read(vm, name, image.data, "bs=256k")
            vm.shell(kills)
            vm.check(f"dd if=disk:///{name} of=disk:///{name} bs=128k count=64 seek=64 conv=notrunc,fsync 2>/dev/null && echo written", "written\n", 120)
            starts = re.search(rf"^{service}@00:02.0 +\w+ +(\d+)", vm.check("cat log:///status", re.compile("SERVICE"), 60), re.M)
            if int(starts[1]) < 2:
                vm.fail("its driver was not started again")
            power_off(vm)
        if image.now() != image.data[:8 * MIB] * 2:
            vm.fail("the image holds something else")


@each("death-in-dma", cpus=(1,))
def death_in_dma(context, kind):
    """Its driver is killed with reads under way that take long: nothing of them gets into memory that is others' by then."""
    name, service = KINDS[kind]
    with Image() as image, boot(context, [image.disk(kind)]) as vm:
        slow_down(vm, 1)
        vm.shell(f"for i in 1 2 3 4; do dd if=disk:///{name} bs=64k count=2 of=/dev/null 2>/dev/null & done; sleep 1", 60)
        vm.shell(f"dd if=/dev/zero of=/tmp/zeros bs=64k count=3000 2>/dev/null & sleep 0.1; kill -9 $(pidof {service}@00:02.0); wait $!", 120)
        slow_down(vm, 0)
        vm.shell("wait", 120)
        vm.check("tr -d '\\0' < /tmp/zeros | wc -c", "0\n", 120)
        check_read(vm, name, image.data[:512 * 1024], "bs=64k count=8")


ERRORS = """
[inject-error]
event = "none"
iotype = "read"
errno = "5"
sector = "2048"
once = "off"

[inject-error]
event = "none"
iotype = "write"
errno = "5"
sector = "4096"
once = "off"
"""


@each("errors", cpus=(4, *in_soak(1)))
def errors(context, kind):
    """Sectors that cannot be read or written are errors of their own; nothing else suffers."""
    name, service = KINDS[kind]
    with Image() as image, context.scratch(".conf", ERRORS.encode()) as rules:
        with boot(context, [image.disk(kind, f"blkdebug={rules.name}")]) as vm:
            vm.check(f"dd if=disk:///{name} bs=512 skip=2048 count=1 2>&1 >/dev/null | grep -c 'Input/output'", ONE, 60)
            wait_log(vm, f"{service}@00:02.0: {name}: sector 2048, 1 of them: ")
            check_read(vm, name, image.data[:2040 * 512], "bs=4096 count=255")
            check_read(vm, name, image.data[2056 * 512:], "bs=4096 skip=257")
            # Many at once, one of which fails.
            vm.shell(f"for i in 0 1 2 3; do dd if=disk:///{name} bs=1M skip=$i count=1 of=/tmp/$i 2>/dev/null & done; wait", 120)
            for index in (0, 2, 3):
                vm.check(f"sha256sum < /tmp/{index}", f"{digest(image.data[index * MIB:(index + 1) * MIB])}  -\n", 60)
            vm.check(f"dd if=disk:///{name} of=disk:///{name} bs=512 count=1 seek=4096 conv=notrunc,fsync 2>&1 | grep -c 'Input/output'", ONE, 60)
            vm.check(f"dd if=disk:///{name} of=disk:///{name} bs=512 count=1 seek=5000 conv=notrunc,fsync 2>/dev/null && echo written", "written\n", 60)
            vm.check("cat log:///status", re.compile(rf"^{service}@00:02.0 +ready +1 ", re.M), 60)


@each("iommu", cpus=(4,))
def iommu(context, kind):
    """It reaches what it is given, and that is all it needs."""
    with Image() as image, boot(context, [image.disk(kind)], devices=["iommu"]) as vm:
        wait_log(vm, "pcid: IOMMU at 0xfed90000: DMA is confined")
        check_read(vm, KINDS[kind][0], image.data)
        if vm.shell("cat log:/// | grep -c 'is refused'", 60)[0] != "0\n":
            vm.fail("some of its DMA was refused")


@scenario("ahci/ports", cpus=(1,))
def ports(context):
    """Several disks at one adapter; what is no disk is left alone."""
    with Image() as one, Image(seed=2) as other:
        extra = ["-device", "ide-cd,bus=ide.3"]  # the machine's own adapter
        with boot(context, [one.disk("ahci"), other.disk("ahci")], extra=extra) as vm:
            check_read(vm, "ahci0.0", one.data)
            check_read(vm, "ahci0.1", other.data)
            wait_log(vm, "ahcid@00:1f.2: port 3: a packet device (CD, DVD) is left alone")


@scenario("nvme/namespaces", cpus=(1,))
def namespaces(context):
    """Several namespaces, one with large sectors; warnings of its health are told."""
    with Image() as one, Image(seed=2) as other:
        extra = ["-device", "nvme,id=several,serial=several"]
        for number, (image, sector) in enumerate(((one, 512), (other, 4096)), 1):
            extra += ["-drive", f"if=none,id=ns{number},format=raw,file={image.file.name}",
                      "-device", f"nvme-ns,bus=several,drive=ns{number},nsid={number},logical_block_size={sector},physical_block_size={sector}"]
        with boot(context, [], extra=extra) as vm:
            wait_disk(vm, "^nvme0n2 ")
            check_read(vm, "nvme0", one.data)
            check_read(vm, "nvme0n2", other.data)
            vm.qmp("qom-set", path="/machine/peripheral/several", property="smart_critical_warning", value=1)
            wait_log(vm, "the controller warns of its health")
