"""What must not bring the system down. The programs used here are tests/guest/tools/*.c, in the test archive."""
import os
import re
import time

from harness import Failure, scenario


def boot(context, **options):
    return context.boot(initfs=os.path.join(context.out, "test-initfs.tar.gz"), **options)


def free_frames(vm):
    """Free ones, and those in the kernel's caches: slabs, stacks for threads to come."""
    counters = dict(re.findall(r"^(\w+) (\d+)$", vm.check("/tests/tools/counters", re.compile("frames_free")), re.M))
    return int(counters["frames_free"]) + int(counters["frames_kept"])


def settled_frames(vm):
    """Free frames once caches are warm and zombies gone: the most of a few looks."""
    return max(free_frames(vm) for _ in range(3))


@scenario("survival/forks")
def forks(context):
    """1,000 forks leave free memory where it was."""
    with boot(context) as vm:
        vm.prompt()
        loop = "i=0; while [ $i -lt %d ]; do (:); i=$((i+1)); done; echo $i"
        vm.check(loop % 50, "50\n", 120)
        before = settled_frames(vm)
        vm.check(loop % 1000, "1000\n", 300)
        after = settled_frames(vm)
        if after < before - 16:  # per-CPU caches may hold a few
            vm.fail(f"{before - after} frames are gone after 1000 forks ({before} free before, {after} after)")


@scenario("survival/hostile")
def hostile(context):
    """Each hostile program is ended or refused; the shell goes on."""
    with boot(context) as vm:
        vm.prompt()
        names = vm.check("/tests/tools/hostile", re.compile(r"\w")).split()
        bad = []
        for name in names:
            try:
                output, _ = vm.shell(f"/tests/tools/hostile {name}", 60 if name == "random_opcodes" else 20)
            except Failure as failure:
                if "panic" in str(failure) or vm.ended:
                    raise
                bad.append(f"{name} does not end")
                vm.send("\x03")
                vm.prompt()
                continue
            if "survived" in output:
                bad.append(f"{name} was let through")
            vm.check("echo alive", "alive\n")
        if bad:
            vm.fail(", ".join(bad))


@scenario("survival/memory-exhausted")
def memory_exhausted(context):
    """The one who asks for too much is refused or ended; the others live, and the memory comes back."""
    with boot(context, memory="64M") as vm:
        vm.prompt()
        before = settled_frames(vm)
        for _ in range(3):
            vm.shell("/tests/tools/hog", 120)
            vm.check("echo alive", "alive\n", 60)
        vm.shell("/tests/tools/hog & /tests/tools/hog & /tests/tools/hog & wait", 180)
        vm.check("echo alive", "alive\n", 60)
        vm.check("head -c 16 rng:/// | wc -c", "16\n", 60)
        after = settled_frames(vm)
        if after < before - 64:
            vm.fail(f"{before - after} frames did not come back")


@scenario("survival/fork-bomb")
def fork_bomb(context):
    """Many processes at once, then none."""
    with boot(context, memory="128M") as vm:
        vm.prompt()
        many = "for i in $(seq 1 40); do sleep 1 & done; wait"
        vm.shell(many, 120)  # the first time fills caches
        before = settled_frames(vm)
        for _ in range(2):
            vm.shell(many, 120)
            vm.check("echo alive", "alive\n", 60)
        after = settled_frames(vm)
        if after < before - 64:
            vm.fail(f"{before - after} frames did not come back")


def cpu_seconds(vm):
    """What the machine's process has used of the host so far."""
    with open(f"/proc/{vm.process.pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@scenario("survival/idle", cpus=(1, 8))
def idle(context):
    """Nothing to do: every CPU halts, no timer ticks. Measured on the host."""
    with context.boot() as vm:
        vm.prompt()
        time.sleep(2)
        before = cpu_seconds(vm)
        time.sleep(5)
        used = (cpu_seconds(vm) - before) / 5
        if used > 0.25:
            vm.fail(f"the idle machine uses {used:.0%} of a CPU")
