"""What time it is: by the machine's clock, after somebody set it, while timed dies, in other places."""
import calendar
import os
import re
import time

from harness import in_soak, scenario

ISO = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)Z")


def seconds(text):
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))


def settled(vm):
    """The first seconds of the machine's clock have been seen, or it has been given up."""
    vm.shell("sleep 4", 60)


def error(vm, command):
    """How far what the command prints is from the host's time, in seconds; 0: it is right to the second.

    A busy host takes its time before and after the guest looks, so the answer must lie between; and it delivers the interrupt
    that says when a second begins late, and thereby makes the guest's clock late by less than a second."""
    before = time.time()
    text = vm.check(command, ISO, 60)
    after = time.time()
    there = seconds(ISO.search(text)[1])
    return 0 if int(before) - 1 <= there <= int(after) else there - before


@scenario("time/date")
def date(context):
    """date is right to the second against the host; so is the clock of the machine after it was set and set back."""
    with context.boot() as vm:
        vm.prompt()
        settled(vm)
        for command in ("date -u +%Y-%m-%dT%H:%M:%SZ", "cat time:///now", "cat time:///rtc"):
            off = error(vm, command)
            if off:
                vm.fail(f"{command}: off by {off} seconds")
        vm.check("date -s '2038-01-19 03:14:06' > /dev/null; sleep 3; date -u +%Y", "2038\n", 60)
        for command in ("cat time:///now", "cat time:///rtc"):
            there = seconds(ISO.search(vm.check(command, ISO, 60))[1])
            if not 2**31 <= there < 2**31 + 600:
                vm.fail(f"{command}: {there} is not shortly after 2^31")
        vm.check("echo 2100-02-28T23:59:59Z > clock:///now; sleep 3; cat time:///now time:///rtc",
                 re.compile(r"2100-03-01T.*Z\n2100-03-01T.*Z"), 60)
        vm.check("echo yesterday > clock:///now || echo refused", re.compile("refused"))
        vm.check("echo 2026-01-01T00:00:00Z > time:///now || echo refused", re.compile("refused"))
        vm.check("sandbox fs=initfs initfs time -- busybox date -s '2000-01-01 00:00:00' 2>&1", re.compile("not permitted"))
        vm.check("cat time:///now", re.compile("2100-03-01T"))


@scenario("time/zones")
def zones(context):
    """Local time: by TZ, and by the zone of the system."""
    with context.boot() as vm:
        vm.prompt()
        vm.check("date -s '2026-07-01 12:00:00' > /dev/null; date +%H%Z", "12UTC\n")
        vm.check("TZ=Europe/Berlin date +%H%Z; TZ=Asia/Kolkata date +%H%M%Z", re.compile("14CEST\n17.*IST"))
        vm.check("echo Europe/Berlin > clock:///zone; date +%H%Z; cat time:///zone", "14CEST\nEurope/Berlin\n")
        vm.check("ls -l time:///localtime", re.compile("-> fs:///usr/share/zoneinfo/Europe/Berlin"))
        vm.check("for zone in Nowhere/Land ../etc/passwd '' Europe; do echo $zone > clock:///zone || echo refused; done",
                 re.compile("(refused[^=]*){4}"))
        vm.check("kill -9 $(pidof timed); cat time:///zone; date +%Z", "Europe/Berlin\nCEST\n", 60)
        vm.check("TZ=UTC date +%H%Z", "12UTC\n")


@scenario("time/survival", cpus=(4, *in_soak(1)))
def survival(context):
    """timed is killed again and again while programs read the time: it goes on, for all of them."""
    with context.boot(initfs=os.path.join(context.out, "test-initfs.tar.gz")) as vm:
        vm.prompt()
        settled(vm)
        vm.check("(/tests/tools/clock_watch 10 > /dev/null && echo first went well) & "
                 "(/tests/tools/clock_watch 10 > /dev/null && echo second went well) & "
                 "for i in 1 2 3 4; do kill -9 $(pidof timed); sleep 0.5; cat time:///now; done; wait",
                 re.compile(r"(?=[^=]*first went well)(?=[^=]*second went well)"), 120)
        off = error(vm, "cat time:///now")
        if off:
            vm.fail(f"off by {off} seconds")
        # A step that the machine's clock was not told of yet is not forgotten.
        vm.check("date -s '2031-05-06 07:08:09' > /dev/null; kill -9 $(pidof timed); sleep 3; cat time:///rtc",
                 re.compile("2031-05-06T07:08"), 60)


@scenario("time/none", cpus=(1,))
def none(context):
    """A machine without such a clock: it is said, time counts from 1970, and people can say what time it is."""
    with context.boot(machine="microvm", extra=["-machine", "rtc=off"]) as vm:
        vm.prompt()
        vm.check("grep -c 'timed: this machine has no clock of its own' log:///", "1\n")
        vm.check("date -u +%Y; ls time:///", re.compile(r"1970\n(?![^=]*rtc)"))
        vm.check("date -s '2031-05-06 07:08:09' > /dev/null; date -u +%Y-%m-%d", "2031-05-06\n")


@scenario("time/without-tsc")
def without_tsc(context):
    """A machine whose TSC is not to be trusted: programs ask the kernel, whose clock is the HPET."""
    with context.boot(initfs=os.path.join(context.out, "test-initfs.tar.gz"), cpu="max,-hypervisor,-invtsc") as vm:
        vm.prompt()
        vm.check("grep -c 'clock: HPET, as the TSC is not steady' log:///", "1\n")
        settled(vm)
        off = error(vm, "date -u +%Y-%m-%dT%H:%M:%SZ")
        if off:
            vm.fail(f"off by {off} seconds")
        vm.check("/tests/tools/clock_watch 3", "steady\n", 120)
