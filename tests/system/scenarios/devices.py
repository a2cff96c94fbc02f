"""PCI devices and their drivers, by way of pcid. The driver is tests/guest/tools/edu_driver.c."""
import os
import re

from harness import in_soak, scenario

EDU, OTHER = "00:10.0", "00:14.0"
DEVICE = f"pci-claim:///{EDU}/device"


def boot(context, **options):
    return context.boot(initfs=os.path.join(context.out, "test-initfs.tar.gz"),
                        devices=["edu", "edu2", "pci-testdev"], **options)


def undriven_archive(context):
    """Functions are left to whom the test gives them."""
    return context.archive({"etc/drivers": b""})


def boot_with_iommu(context, archive):
    return context.boot(initfs=archive.name, devices=["iommu", "edu", "edu2", "nvme"])


def info(vm, function=EDU):
    return vm.check(f"cat /pci:/{function}/info", re.compile("1234:11e8"), 60)


def is_quiet(vm, function=EDU):
    """Wait until nobody has the function, and it does nothing of its own any more."""
    for _ in range(50):
        text = info(vm, function)
        if "driver: none" in text:
            command = int(re.search(r"command (\w+)", text)[1], 16)
            if command & 0x404 != 0x400:
                vm.fail(f"free, but its command register is {command:04x}")
            return
        vm.shell("sleep 0.1")
    vm.fail(f"a dead driver keeps its device:\n{text}")


@scenario("devices/pci")
def pci(context):
    """What there is, for people; and a driver's whole life, twice."""
    with boot(context) as vm:
        vm.prompt(60)
        listing = vm.check("ls /pci:/", re.compile("devices"), 60).split()
        for name in ("00:00.0", "00:01.0", EDU, OTHER, "00:1f.2", "devices"):
            if name not in listing:
                vm.fail(f"{name} is not listed")
        vm.check("cat /pci:/devices", re.compile(r"^00:1f.2 010601 8086:2922 0 SATA controller: Intel", re.M))
        vm.check(f"cat /pci:/{EDU}", re.compile("interrupts: INTA MSI"))
        vm.check("lspci", re.compile(r"^00:1f.2 SATA controller: Intel Corporation 82801IR.*SATA.* \(rev 02\)$", re.M))
        vm.check("lspci -n -s 1f.2", "00:1f.2 0106: 8086:2922 (rev 02)\n")
        vm.check("lspci -nn -s 00:1f.2", re.compile(r"^00:1f.2 SATA controller \[0106\]: Intel.*\[8086:2922\] \(rev 02\)$"))
        vm.check(f"lspci -v -s {EDU}", re.compile(r"Device 1234:11e8 \(rev 10\)\n\trevision 10, .*\n\tdriver: none\n", re.S))
        vm.check(f"ls /pci:/{EDU}", re.compile(r"config\s+device\s+info"))
        vm.check(f"hexdump -n 4 -e '1/4 \"%08x\\n\"' /pci:/{EDU}/config", "11e81234\n")
        vm.shell("cat /pci:/00:1e.7/info /pci:/devices/x; echo x > /pci:/devices")
        for _ in range(2):
            vm.check(f"/tests/tools/edu_driver check {DEVICE}", "ok\n", 120)
            is_quiet(vm)


def boot_with_driver(context, archive):
    return context.boot(initfs=archive.name, devices=["edu", "edu2"])


def driver_archive(context, argument=""):
    """edud, started for every edu."""
    conf = f"program initfs:///tests/tools/edud\nuse pci\n{argument}\n"
    return context.archive({"etc/services.d/edud.conf": conf.encode(),
                            "etc/drivers": b"pci 0108* nobody\npci 1234:11e8 edud\npci 00ff* nobody\n"})


def wait_log(vm, pattern):
    """Wait until the log has a line with the pattern."""
    for attempt in range(100):
        if vm.shell(f"cat log:/// | grep -q '{pattern}'", 60)[1] == 0:  # the shell's text is without the log's lines
            return
        vm.shell(f"sleep {min(0.1 * 1.2 ** attempt, 1):.1f}")  # looking is work, too
    vm.fail(f"{pattern!r} does not come into the log")


def starts(vm, function):
    """How often its driver was started."""
    found = re.search(rf"^edud@{function} +\w+ +(\d+)", vm.check("cat log:///status", re.compile("SERVICE"), 60), re.M)
    return int(found[1]) if found else 0


def wait_starts(vm, function, count):
    for _ in range(100):
        if starts(vm, function) >= count and "driver: process" in info(vm, function):
            return
        vm.shell("sleep 0.1")
    vm.fail(f"the driver of {function} was started {starts(vm, function)} times, not {count}")


@scenario("devices/drivers")
def drivers(context):
    """A process for each device with a driver, for its life, whoever of pcid, initd and it is killed."""
    with driver_archive(context) as archive, boot_with_driver(context, archive) as vm:
        vm.prompt(60)
        for function in (EDU, OTHER):
            wait_log(vm, f"edud@{function}: drives pci:///{function}")
        owner = re.search(r"driver: process \d+", info(vm, OTHER))[0]
        vm.shell(f"kill -9 $(pidof edud@{EDU})", 60)
        wait_starts(vm, EDU, 2)
        for victim in ("$(pidof pcid)", "1", "$(pidof pcid) 1"):
            vm.shell(f"kill -9 {victim}", 60)
            vm.shell("sleep 1")
            if owner not in info(vm, OTHER):
                vm.fail("another driver has come")
        if (starts(vm, EDU), starts(vm, OTHER)) != (2, 1):
            vm.fail("drivers were started again, and nobody had ended them")
        # the initd that came back watches as the one before
        vm.shell(f"kill -9 $(pidof edud@{OTHER})", 60)
        wait_starts(vm, OTHER, 2)


@scenario("devices/drivers-reach", cpus=(1, 4))
def drivers_reach(context):
    """A driver claims the device it was started for, and no other; a pcid that comes back, and the next initd, hold to that."""
    with driver_archive(context, "argument reach") as archive, boot_with_driver(context, archive) as vm:
        vm.prompt(60)
        for starts_wanted, victims in enumerate(("", "pcid", "initd")):
            if victims:
                vm.shell("kill -9 " + ("1" if victims == "initd" else "$(pidof pcid)"), 60)
                for function in (EDU, OTHER):
                    vm.shell(f"kill -9 $(pidof edud@{function})", 60)
            for function in (EDU, OTHER):
                wait_starts(vm, function, starts_wanted + 1)
                wait_log(vm, f"edud@{function}: [1-9][0-9]* others are refused")
        if (starts(vm, EDU), starts(vm, OTHER)) != (3, 3):
            vm.fail("a driver ended by itself")
        vm.check(f"/tests/tools/edu_driver check pci:///{EDU}/device 2>&1; true", re.compile("may not do this"), 60)


@scenario("devices/drivers-storm", cpus=(1, 4))
def drivers_storm(context):
    """A driver whose device is taken away is ended, and begins anew."""
    with driver_archive(context, "argument storm") as archive, boot_with_driver(context, archive) as vm:
        vm.prompt(60)
        for function in (EDU, OTHER):
            for line in (f"pcid: {function}: its interrupts come without end",
                         f"edud@{function}: its device was reset",
                         f"edud@{function}: ended: killed by signal 9; starts again",
                         f"edud@{function}: drives pci:///{function}"):
                wait_log(vm, line)
            if starts(vm, function) != 2:
                vm.fail("its driver was not started twice")


@scenario("devices/i440fx", cpus=(1,))
def i440fx(context):
    """No configuration space in memory, another interrupt router."""
    with boot(context, machine="pc") as vm:
        vm.prompt(60)
        vm.check("cat /pci:/devices", re.compile(r"8086:7000 0 ISA bridge"))
        vm.check(f"/tests/tools/edu_driver check {DEVICE}", "ok\n", 120)


@scenario("devices/iommu")
def iommu(context):
    """With an IOMMU a device reaches its driver's DMA memory, and no other; what it tries is told."""
    with undriven_archive(context) as archive, boot_with_iommu(context, archive) as vm:
        vm.prompt(60)
        wait_log(vm, "pcid: IOMMU at 0xfed90000: DMA is confined")
        vm.check(f"lspci -v -s {EDU}", re.compile("DMA: confined"))
        for function in (EDU, OTHER):
            vm.check(f"/tests/tools/edu_driver check pci-claim:///{function}/device", "ok\n", 120)
            vm.check(f"/tests/tools/edu_driver astray pci-claim:///{function}/device", re.compile("^confined$", re.M), 120)
            for way in ("to", "from"):
                wait_log(vm, f"pcid: {function}: its DMA {way} 0x[0-9a-f]* is refused")
        vm.check("/tests/tools/nvme_driver pci-claim:///00:12.0/device", "serial none\n" * 6, 120)
        vm.check(f"/tests/tools/edu_driver insist {DEVICE}", re.compile("^ok$", re.M), 120)
        wait_log(vm, f"pcid: {EDU}: its DMA goes astray without end")
        is_quiet(vm)
        vm.check(f"/tests/tools/edu_driver check {DEVICE}", "ok\n", 120)


@scenario("devices/iommu-pcid-returns", cpus=(4, *in_soak(1)))
def iommu_pcid_returns(context):
    """The tables of a pcid that died go on; the next one's take their place under a driver that goes on, too."""
    with undriven_archive(context) as archive, boot_with_iommu(context, archive) as vm:
        vm.prompt(60)
        driver = start_holding(vm, "(while sleep 2; do echo go; done)", "")
        for _ in range(3):
            vm.shell("kill -9 $(pidof pcid)", 60)
            for _ in range(2):  # the first may have been on its way
                vm.expect("still 1234", 60)
        vm.shell(f"kill -9 {driver}")
        vm.check(f"/tests/tools/edu_driver check {DEVICE}", "ok\n", 120)
        vm.check(f"/tests/tools/edu_driver astray {DEVICE}", re.compile("^confined$", re.M), 120)


@scenario("devices/iommu-bridges", cpus=(4, *in_soak(1)))
def iommu_bridges(context):
    """Behind a bridge to conventional PCI, where requests come in the bridge's name: confined, those behind one bridge together."""
    with context.boot(initfs=os.path.join(context.out, "test-initfs.tar.gz"),
                      devices=["iommu", "express-bridge", "edu-express", "bridge", "edu-bridge1", "edu-bridge2"]) as vm:
        vm.prompt(60)
        found = re.findall(r"^(\S+) \S+ 1234:11e8", vm.check("cat /pci:/devices", re.compile("1234:11e8"), 60), re.M)
        if len(found) != 3 or found[0][:2] == found[1][:2] or found[1][:2] != found[2][:2]:
            vm.fail(f"not one behind the first bridge, and two behind the second: {found}")
        for function in found:
            vm.check(f"lspci -v -s {function}", re.compile("DMA: confined, with all behind its bridge"))
            vm.check(f"/tests/tools/edu_driver check pci-claim:///{function}/device", "ok\n", 120)
            vm.check(f"/tests/tools/edu_driver astray pci-claim:///{function}/device", re.compile("^confined$", re.M), 120)
            wait_log(vm, f"pcid: {function}: its DMA to 0x[0-9a-f]* is refused")
        # two at once: what one gives back is gone, and the other goes on, over pcid's death, too
        one, other = found[1:]
        driver = start_holding(vm, "(while sleep 2; do echo go; done)", "", one)
        for dies in (False, True):
            if dies:
                vm.shell("kill -9 $(pidof pcid)", 60)
            vm.check(f"/tests/tools/edu_driver astray pci-claim:///{other}/device", re.compile("^confined$", re.M), 120)
            for _ in range(2):
                vm.expect("still 1234", 60)
        vm.shell(f"kill -9 {driver}")
        is_quiet(vm, one)
        vm.check(f"/tests/tools/edu_driver insist pci-claim:///{other}/device", re.compile("^ok$", re.M), 120)
        wait_log(vm, f"pcid: {other}: its DMA goes astray without end")


@scenario("devices/no-iommu", cpus=(1,))
def no_iommu(context):
    """Without one, what devices/iommu sees refused arrives: it is none of the device's own limits."""
    with boot(context) as vm:
        vm.prompt(60)
        wait_log(vm, "pcid: DMA unconfined")
        vm.check(f"lspci -v -s {EDU}", re.compile("DMA: unconfined"))
        vm.check(f"/tests/tools/edu_driver astray {DEVICE}", "unconfined\n", 120)


@scenario("devices/msix")
def msix(context):
    """A controller with MSI-X and a function-level reset."""
    with undriven_archive(context) as archive, context.boot(initfs=archive.name, devices=["nvme"]) as vm:
        vm.prompt(60)
        vm.check("cat /pci:/00:12.0/info", re.compile(r"MSI-X \(\d+\)"))
        for _ in range(2):
            vm.check("/tests/tools/nvme_driver pci-claim:///00:12.0/device", "serial none\n" * 6, 120)


@scenario("devices/storm", cpus=(1, 4))
def storm(context):
    """Messages without end are switched off at their device."""
    with boot(context) as vm:
        vm.prompt(60)
        vm.check(f"/tests/tools/edu_driver storm {DEVICE}", "ok\n", 120)
        is_quiet(vm)


@scenario("devices/deaths")
def deaths(context):
    """Drivers and pcid die in every order; a device never does anything for somebody who is gone."""
    with boot(context) as vm:
        vm.prompt(60)
        for _ in range(3):
            driver = start_holding(vm)
            if "driver: process" not in info(vm):
                vm.fail("nobody has it")
            vm.shell(f"kill -9 {driver}")
            is_quiet(vm)
        # pcid dies; its driver does not notice, nobody else gets the device, and its end is seen
        driver = start_holding(vm)
        vm.shell("kill -9 $(pidof pcid)", 60)
        if "driver: process" not in info(vm):
            vm.fail("the new pcid has forgotten who has the function")
        if vm.shell(f"timeout 2 /tests/tools/edu_driver check {DEVICE}", 60)[1] == 0:
            vm.fail("a second driver was let in")
        if "driver: process" not in info(vm):
            vm.fail("a second driver has taken the function away")
        vm.shell(f"kill -9 {driver}")
        # nobody told the new pcid: the next driver gets the device, made quiet first
        vm.check(f"/tests/tools/edu_driver check {DEVICE}", "ok\n", 120)
        is_quiet(vm)


@scenario("devices/death-in-dma", cpus=(1, *in_soak(4)))
def death_in_dma(context):
    """A driver dies while its device writes to memory: by the time its claim has ended, the device does not."""
    with boot(context) as vm:
        vm.prompt(60)
        for _ in range(3):
            vm.shell(f"(/tests/tools/edu_driver busy {DEVICE} &); sleep 1")
            pids = []
            while len(pids) != 2:  # the driver, and the child that watches
                pids = vm.shell("pidof edu_driver", 60)[0].split()
            vm.send(f"kill -9 {min(pids, key=int)}\n")
            vm.expect("untouched", 60)
            vm.send("\n")
            vm.prompt(60)
            is_quiet(vm)


@scenario("devices/outside")
def outside(context):
    """A service that reaches beyond its service.conf is refused, and ended by the port it reads nevertheless."""
    conf = "program initfs:///tests/tools/outsider\nioport 0x80 1\nmemory 0xfed40000 0x1000\nlines 20 1\nrestart never\n"
    files = {"etc/services.d/outsider.conf": conf.encode(), "etc/services": b"service procd pcid outputd outsider\n"}
    with context.archive(files) as archive, context.boot(initfs=archive.name) as vm:
        vm.prompt(60)
        wait_log(vm, "outsider: kept inside")
        wait_log(vm, "outsider: ended: killed by signal 11")  # what the personality makes of #GP


@scenario("devices/pcid-returns")
def pcid_returns(context):
    """A driver goes on over pcid's death: its interrupts come, its file answers, its claim holds."""
    with boot(context) as vm:
        vm.prompt(60)
        driver = start_holding(vm, "(sleep 6; echo go; sleep 1000)", "")
        owner = re.search(r"driver: process \d+", info(vm))[0]
        for _ in range(3):
            vm.shell("kill -9 $(pidof pcid)", 60)
        vm.expect("still 1234", 60)
        vm.send("\n")
        vm.prompt(60)
        if owner not in info(vm):
            vm.fail("its claim is gone")
        vm.shell(f"kill -9 {driver}")
        is_quiet(vm)


def start_holding(vm, feed="sleep 1000", output="> /dev/null", function=EDU):
    """The process id of a driver that has claimed the device and waits."""
    # Not a job of the shell's, which would tell of its end when it likes.
    vm.shell(f"({feed} | /tests/tools/edu_driver hold pci-claim:///{function}/device {output} &); sleep 1")  # what it says comes before the prompt
    for _ in range(100):
        if re.search("driver: process", info(vm, function)):
            break
        vm.shell("sleep 0.1")
    return re.search(r"^\d+", vm.check("pidof edu_driver", re.compile(r"^\d+", re.M)), re.M)[0]
