"""The end of the system: the button and the commands, in which order things end, and what must not hold it up."""
import gzip
import io
import os
import re
import tarfile

from harness import in_soak, scenario

LOG = "log=info"  # all of the log on the serial line, where it can be waited for
AGAIN = ["-action", "reboot=reset"]  # a reset starts the machine again, the test does not end with it


def expect_off(vm, by_firmware=True):
    """The machine goes off, and QEMU ends by itself, not through its exit port."""
    vm.expect(r"initd: services have ended\n", 60)
    vm.expect(r"initd: the machine is turned off\n", 60)
    status = vm.wait_exit(60)
    if status is not None:
        vm.fail(f"the exit port was written: {status}")
    if by_firmware and re.search(r"\] power: off", vm.text):
        vm.fail("the kernel turned it off, not the firmware")


def button(context, lines="off firmware", deadline=60, **options):
    """Pressed at the shell's prompt."""
    with context.boot(**options) as vm:
        vm.prompt(deadline)
        if lines not in vm.check("cat power:///", re.compile("button")):
            vm.fail(f"power:/// does not say {lines!r}")
        vm.qmp("system_powerdown")
        expect_off(vm)


@scenario("power/button-q35")
def button_q35(context):
    button(context, append=LOG)


@scenario("power/button-pc")
def button_pc(context):
    button(context, machine="pc")


@scenario("power/button-microvm")
def button_microvm(context):
    """No fixed hardware: the button is a method's notification, told by an event device."""
    button(context, "button fixed 0\nbutton method 1\nevents 1\noff firmware\n", machine="microvm", append=LOG)


@scenario("power/button-seabios")
def button_seabios(context):
    button(context, firmware="seabios", deadline=120)


@scenario("power/button-ovmf", cpus=in_soak(1))
def button_ovmf(context):
    button(context, firmware="ovmf", deadline=180)


@scenario("power/commands", cpus=(4, *in_soak(1)))
def commands(context):
    """busybox's, one after the other: three resets, then off."""
    with context.boot(append=LOG, extra=AGAIN) as vm:
        vm.prompt()
        vm.send("reboot\n")
        vm.expect(r"initd: services have ended\n", 60)
        vm.expect(r"initd: the machine is reset\n", 60)
        vm.prompt()
        vm.send("reboot -f\n")
        vm.expect(r"powerd: reset\n", 60)
        vm.prompt()
        vm.check("kill -STOP $(pidof powerd); echo stopped", "stopped\n")
        vm.send("reboot -f\n")  # nobody answers: init does it
        vm.expect(r"initd: the machine is reset\n", 60)
        vm.prompt()
        vm.send("poweroff -f\n")
        vm.expect(r"powerd: off\n", 60)
        if vm.wait_exit(60) is not None:
            vm.fail("the exit port was written")


@scenario("power/programs")
def programs(context):
    """Who does not mind being asked is killed; who is stopped is continued for it."""
    with context.boot(append=LOG) as vm:
        vm.prompt()
        vm.check("sh -c 'trap \"\" TERM HUP; echo deaf; while :; do sleep 1000; done' & sleep 1000 & "
                 "kill -STOP $!; echo begun", re.compile("begun"))
        vm.send("poweroff\n")
        vm.expect(r"initd: \d+ programs have not ended by themselves: killed\n", 60)
        vm.expect(r"initd: programs have ended\n", 60)
        expect_off(vm)


def with_services(context, configurations):
    """The test archive with more services, by their service.conf."""
    archive = io.BytesIO()
    with tarfile.open(os.path.join(context.out, "test-initfs.tar.gz")) as source, \
            tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as target:
        def add(member, data):
            member.size = len(data)
            target.addfile(member, io.BytesIO(data))

        for member in source:
            data = source.extractfile(member).read() if member.isfile() else b""
            if member.name.lstrip("./") == "etc/services":
                data += b"service " + " ".join(configurations).encode() + b"\n"
                for name, text in configurations.items():
                    folder = os.path.dirname(member.name)
                    add(tarfile.TarInfo(f"{folder}/services.d/{name}.conf"), text.encode())
            add(member, data)
    return context.scratch(".tar.gz", gzip.compress(archive.getvalue(), 1))


WRITER = "program initfs:///tests/tools/stopper\nargument writer write\nprotocol writer\nafter procd\nstop 15000\n"
HANGER = "program initfs:///tests/tools/stopper\nargument hanger hang\nprotocol hanger\nafter writer\nstop 500\n"


@scenario("power/services")
def services(context):
    """A service has its time for writing; one that hangs is killed; none is told while another needs it."""
    with with_services(context, {"writer": WRITER, "hanger": HANGER}) as archive, \
            context.boot(append=LOG, initfs=archive.name) as vm:
        vm.prompt()
        vm.send("poweroff\n")
        vm.expect(r"hanger: hangs\n", 60)
        vm.expect(r"initd: hanger: not ended after 500 ms: killed\n", 60)
        vm.expect(r"writer: writes\n", 60)
        vm.expect(r"writer: everything is written\n", 60)
        expect_off(vm)


@scenario("power/initd")
def initd(context):
    """An initd that ends while the system stops goes on with it."""
    with context.boot(append=LOG) as vm:
        vm.prompt()
        # The SIGTERM that is the beginning makes it do so.
        vm.send("sh -c 'trap : HUP; trap \"kill -9 1\" TERM; sleep 1000' & poweroff\n")
        vm.expect(r"initd: the system goes on stopping\n", 60)
        expect_off(vm)


@scenario("power/survival")
def survival(context):
    """powerd killed, more than once: the button works."""
    with context.boot(append=LOG) as vm:
        vm.prompt()
        for number in range(1, 4):
            vm.check("kill -9 $(pidof powerd); cat power:///", re.compile("off firmware"), 60)
        vm.qmp("system_powerdown")
        vm.expect(r"powerd: the power button\n", 60)
        expect_off(vm)


@scenario("power/broken-code")
def broken_code(context):
    """A secondary table of rubbish, with a right checksum: the system lives, and the button with it."""
    rubbish = bytes((i * 73 + (i >> 3) * 29) & 0xff for i in range(600))
    with context.scratch(".aml", rubbish) as code, \
            context.boot(append=LOG, extra=["-acpitable", f"sig=SSDT,rev=2,data={code.name}"]) as vm:
        vm.prompt()
        vm.check("cat log:/// | grep -c 'powerd: .*ACPI'", re.compile(r"[1-9]"))
        vm.check("cat power:///", re.compile("button fixed 1"))
        vm.qmp("system_powerdown")
        vm.expect(r"powerd: the power button\n", 60)
        expect_off(vm, by_firmware=False)
