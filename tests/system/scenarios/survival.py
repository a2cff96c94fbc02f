"""What must not bring the system down. The programs used here are tests/guest/tools/*.c, in the test archive."""
import os
import random
import re
import time

from harness import Failure, in_soak, scenario


def boot(context, **options):
    return context.boot(initfs=os.path.join(context.out, "test-initfs.tar.gz"), **options)


def free_frames(vm):
    """Free ones, and those in the kernel's caches: slabs, stacks for threads to come."""
    counters = dict(re.findall(r"^(\w+) (\d+)$", vm.check("/tests/tools/counters", re.compile("frames_free")), re.M))
    return int(counters["frames_free"]) + int(counters["frames_kept"])


def settled_frames(vm):
    """Free frames once caches are warm and zombies gone: the most of a few looks."""
    return max(free_frames(vm) for _ in range(3))


@scenario("survival/forks", cpus=(4, *in_soak(1)))
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


@scenario("survival/memory-exhausted", cpus=(4, *in_soak(1)))
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
        # Through services: zero:// fills pages of a program, which is refused or killed, never zero://'s service.
        for command in ("tail /dev/zero | wc -c", "sort /dev/zero | wc -c",
                        "tail /dev/zero > /dev/null & sort /dev/zero > /dev/null & wait"):
            vm.shell(command, 180)
            vm.check("echo alive", "alive\n", 60)
        vm.check("head -c 16 rng:/// | wc -c", "16\n", 60)
        status = vm.check("cat log:///status", re.compile("procd"))
        if re.search(r"^\w+ +\w+ +([02-9]|\d\d)", status, re.M):
            vm.fail(f"a service died of it:\n{status}")
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


@scenario("survival/quotas")
def quotas(context):
    """A sandboxed hog uses up each of its quotas; the shell, and who is in no such sandbox, go on."""
    with boot(context, memory="256M") as vm:
        vm.prompt()
        for turn in range(3):
            if turn == 1:  # the first time fills caches
                before = settled_frames(vm)
            vm.check("sandbox -l memory=8M fs initfs -- /tests/tools/hog; echo $?", re.compile(r"(?s).*\d+\n"), 120)
            vm.check("echo alive", "alive\n", 60)
            for limit in ("processes=4", "threads=4", "memory=16M", "handles=200"):
                vm.shell(f"sandbox -l {limit} fs initfs null -- sh -c "
                         "'for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1 & done; wait' > /dev/null 2>&1", 120)
                vm.check("echo alive", "alive\n", 60)
            vm.check("sandbox -l processes=20 fs -- sh -c 'f() { [ $1 = 0 ] || f $(($1-1)) | f $(($1-1)); }; f 6' > /dev/null 2>&1; echo alive",
                     "alive\n", 120)
        # What would never end does so with its sandbox, however that is ended.
        vm.shell("before=$(ps | wc -l)")
        vm.shell("sandbox -l processes=20 fs null -- sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 9999 & done; exec sleep 9999' > /dev/null 2>&1 &", 60)
        vm.check("while [ $(ps | wc -l) -lt $((before + 10)) ]; do sleep 1; done; kill -9 $! && echo killed", "killed\n", 120)
        vm.check("while [ $(ps | wc -l) -gt $before ]; do sleep 1; done; echo over", re.compile(r"(?s).*over\n"), 120)
        vm.check("sandbox -l nosuch=1 fs -- true; echo $?", re.compile(r"(?s).*no such limit\n125\n"))
        vm.check("sandbox -l memory=x fs -- true; echo $?", re.compile(r"(?s).*number.*\n125\n"))
        vm.check("sandbox -l threads=40 -l processes=30 fs initfs -- sh -c 'ulimit -u'", "30\n")
        after = settled_frames(vm)
        if after < before - 64:
            vm.fail(f"{before - after} frames did not come back")


# What each sandbox may use of what it uses up.
EXHAUSTED = {"memory": "16M", "handles": 400, "processes": 6, "threads": 6, "commands": 4, "ports": 20, "bindings": 500,
             "kept": 200}


@scenario("survival/exhausted-quotas", cpus=(4, *in_soak(1)))
def exhausted_quotas(context):
    """Who has used up a quota and goes on trying harms nobody: each call of a witness outside the sandbox succeeds. The session's
    account, which both are in, tells what is used, and gets it back."""
    with boot(context, memory="256M") as vm:
        vm.prompt()
        with open("abi/quotas.def", encoding="utf-8") as file:
            names = re.findall(r"^QUOTA\(\d+, \w+, (\w+),", file.read(), re.M)
        if sorted(names) != sorted(EXHAUSTED):
            vm.fail(f"quotas are {names}, tested {list(EXHAUSTED)}")
        before = 0
        for name, limit in [("handles", EXHAUSTED["handles"]), *EXHAUSTED.items()]:  # the first time fills caches
            start = vm.position
            vm.shell(f"sandbox -l {name}={limit} fs initfs -- /tests/tools/exhaust {name} &", 60)
            vm.position = start  # it speaks before, between or behind the shell's own words
            vm.expect(rf"exhausted {name} with \d+\n", 60)
            vm.check("/tests/tools/witness 20", "20 rounds\n", 120)
            if name == "handles":
                table = vm.check("cat log:///quotas", re.compile(r"^rngd +memory +[1-9]\d+ +16777216\n", re.M), 60)
                used = re.search(r"^tty:///serial +handles +(\d+) +\d+\n", table, re.M)
                if not used or int(used[1]) < limit:
                    vm.fail(f"{limit} handles are used up, and the session's are {table}")
            vm.shell("kill -9 $!; wait $!", 60)
            vm.check("/tests/tools/witness 1", "1 rounds\n", 60)
            before = before or settled_frames(vm)
        after = settled_frames(vm)
        if after < before - 64:
            vm.fail(f"{before - after} frames did not come back")


def kill(name):
    """kill -9 by name; what follows in the same line comes while it is down."""
    return f"kill -9 $(pidof {name})"


@scenario("survival/initfsd")
def initfsd(context):
    """The service of the boot archive comes back; who runs from it, reads from it or starts from it notices a pause."""
    with boot(context) as vm:
        vm.prompt()
        motd = vm.check("cat initfs:///etc/motd", re.compile("every path"))
        # An open file is read on; a program is started while nobody serves it; a mapped one runs on.
        vm.check("exec 5<initfs:///etc/motd; read line <&5; echo $line", re.compile("every path"))
        for _ in range(3):
            vm.check(f"sleep 1 & {kill('initfsd')}; cat initfs:///etc/motd; wait $! && echo slept", motd + "slept\n", 60)
        vm.check("cat <&5 | wc -l", f"{motd.count(chr(10)) - 1}\n")
        vm.check("cat log:///status", re.compile(r"initfsd +ready +4"))
        vm.check("ls initfs:///sbin", re.compile("initfsd"))


@scenario("survival/unixd")
def unixd(context):
    """The names of sockets outlive who knows them: busybox's syslogd goes on being found by its logger."""
    with boot(context) as vm:
        vm.prompt()
        vm.check("logger nobody; cat unix:///", "")
        vm.shell("syslogd -n -O -&")
        vm.check("until cat unix:/// | grep log; do usleep 10000; done", re.compile(r"\d+ listens +/dev/log\n"), 60)
        vm.send("logger -t tester hello there\n")
        vm.expect(r"user\.notice tester: hello there", 60)
        for number in range(1, 4):
            vm.send(f"{kill('unixd')}; logger -t tester after death {number}\n")
            vm.expect(rf"user\.notice tester: after death {number}", 60)
        vm.send("kill $!; wait\n")
        vm.expect(r"syslogd exiting", 60)
        vm.check("echo alive", re.compile("alive"))
        vm.check("while cat unix:/// | grep log; do usleep 10000; done; echo free", re.compile("free"), 60)


@scenario("survival/initd")
def initd(context):
    """The supervisor comes back and takes over what it had started: nothing is started twice, shells live on."""
    with boot(context) as vm:
        vm.prompt()
        names = "pidof rngd nulld procd unixd pcid outputd initfsd; pidof initd; echo $$"
        running = vm.check(names, re.compile(r"^1$", re.M))
        vm.check("until cat log:///status | grep -q '^ahcid@.* ready'; do usleep 100000; done", "", 60)  # drivers come last
        services = vm.check("cat log:///status | wc -l", re.compile(r"^\d\d+\n"))
        for number in range(1, 4):
            vm.check("kill -9 1; cat log:///status > /dev/null; echo alive", "alive\n", 60)
            # Drivers are listed when their bus has told of their devices.
            vm.check(f"until [ $(cat log:///status | wc -l) = {services.strip()} ]; do usleep 100000; done", "", 60)
            vm.check(names, running)
            vm.check("cat log:/// | grep -c 'initd ended'", f"{number}\n")
        # It goes on supervising what it did not start.
        vm.check(f"{kill('rngd')}; head -c 16 rng:/// | wc -c", "16\n", 60)
        vm.check("cat log:///status", re.compile(r"rngd +ready +2 .*killed by signal 9"))
        # Both at once: initd needs initfsd to read its configuration, initfsd needs initd to come back.
        vm.check(f"{kill('initfsd')}; kill -9 1; cat initfs:///etc/hostname; cat log:///status",
                 re.compile(r"initfsd +ready"), 60)
        # The end of a shell is seen by an initd that did not start it.
        vm.send("exit\n")
        vm.prompt(60)
        vm.check("echo $((6*7))", "42\n")


def copies(vm, victim, count):
    """Copies under way as the victim is killed are right, whichever step it died in."""
    loop = f"for i in $(seq {count}); do cp /bin/busybox /tmp/copy$i; done"
    vm.check(f"(sleep 0.2; {kill(victim)}) & {loop}; wait; md5sum /bin/busybox /tmp/copy* | cut -c 1-32 | uniq | wc -l",
             "1\n", 180)
    vm.check(f"ls /tmp | wc -l; rm /tmp/copy*; ls /tmp", f"{count}\n")


@scenario("survival/fsd.tmp")
def fsd_tmp(context):
    """Files in memory outlive their service: closed ones, open ones, those without a name any more, and what is written."""
    with boot(context) as vm:
        vm.prompt()
        for _ in range(2):
            copies(vm, "fsd.tmp", 6)
        vm.check(f"exec 5>/tmp/gone 6</tmp/gone; rm /tmp/gone; echo one >&5; {kill('fsd.tmp')}; echo two >&5; cat <&6",
                 "one\ntwo\n", 60)
        vm.check("exec 5>&- 6<&-; mkdir /tmp/d; cd /tmp/d; echo here > f; " + kill("fsd.tmp") + "; cat f; ls /tmp",
                 "here\nd\n", 60)
        vm.check("cat log:///status", re.compile(r"fsd\.tmp +ready +5 "))


@scenario("survival/vfsd")
def vfsd(context):
    """The mount tree outlives its service; who uses it hardly notices."""
    with boot(context) as vm:
        vm.prompt()
        vm.check("mkdir /mnt && mount -t tmp -o size=1m files /mnt && echo kept > /mnt/f; cd /mnt", "")
        mounts = vm.check("mount", re.compile(r"^files on /mnt type tmp \(rw,size=1m\)$", re.M))
        copies(vm, "vfsd", 4)
        vm.check(f"{kill('vfsd')}; cat f; echo more > g; mount", "kept\n" + mounts, 60)
        vm.check("exec 5<f; umount /mnt 2> /dev/null || echo refused", "refused\n")
        vm.check(f"exec 5<&-; cd /; {kill('vfsd')}; umount /mnt && ls /mnt; mount | grep mnt | wc -l", "0\n", 60)
        # Both at once: the tree is vfsd's, the files are fsd.tmp's.
        vm.check(f"echo still > /tmp/f; {kill('vfsd')}; {kill('fsd.tmp')}; cat /tmp/f /etc/hostname", "still\nprotos\n", 60)


@scenario("survival/procd", cpus=(4, *in_soak(1)))
def procd(context):
    """The POSIX authority comes back and knows what it knew: pids, parents, statuses, groups, pending signals, ^C.
    Each end doubles initd's pause before the next start, so there are no more than needed."""
    die = kill("procd")
    with boot(context) as vm:
        vm.prompt()
        listing = "pidof rngd nulld outputd initfsd initd; echo $$ $PPID"
        before = vm.check(listing, re.compile(r"^\d+ 1$", re.M))
        vm.check(f"{die}; seq 1 1000 | sort -rn | head -n 1; {listing}", "1000\n" + before, 60)
        # Ends: of a child that ends meanwhile, of one that ended before, of one that is killed afterwards.
        vm.check(f"(exit 7) & {die}; wait $!; echo $?", re.compile("^7\n"), 60)
        vm.check(f"(exit 5) & sleep 1; {die}; wait $!; echo $?", re.compile("^5\n"), 60)
        vm.check(f"sleep 100 & {die}; kill $!; wait $!; echo $?", re.compile("^(Terminated\n)?143\n"), 60)
        # Forks and statuses while it dies again and again.
        loop = f"i=0; while [ $i -lt 3 ]; do {die}; (exit 3); echo $?; i=$((i+1)); done"
        vm.check(f"({loop}) | sort | uniq -c | tr -s ' '", " 3 3\n", 120)
        vm.check(f"trap 'echo got' USR1; {die}; kill -USR1 $$; trap - USR1", "got\n", 60)
        # A session, its groups and a stopped job.
        vm.check(f"sh -c 'kill -STOP $$; echo on' & sleep 1; {die}; kill -CONT $!; sleep 1", re.compile("^on$", re.M), 60)
        # It is continued after it was given the terminal.
        vm.check(f"sh -c 'trap \"echo on\" CONT; while :; do sleep 1; done' & {die}; sleep 1", "", 60)
        vm.send("fg\n")
        vm.expect("^on\n", 30)
        vm.send("\x03")
        vm.prompt(30)
        # Init's end, while procd is down and when it is not.
        vm.check(f"{die}; kill -9 1; pidof initd", "1\n", 60)
        vm.check("cat log:///status", re.compile("procd +ready"))


@scenario("survival/outputd")
def outputd(context):
    """The terminal comes back: modes, the foreground group, what was typed ahead, a line half typed."""
    die = kill("outputd")
    with boot(context) as vm:
        vm.prompt()
        vm.check(f"stty -echo; {die}; stty -a | grep -c -- '-echo\\b'; stty echo", "1\n", 60)
        vm.send(f"(sleep 1; {die}) & sleep 3\n")
        vm.send("echo typed ah''ead\n")
        vm.send("echo half ")
        vm.expect("^typed ahead\n", 60)
        vm.send("ty''ped\n")
        vm.expect("^half typed\n", 60)
        vm.prompt(30)
        vm.run_job()
        vm.send("\x03")
        vm.prompt(30)
        vm.check("echo alive", "alive\n")


@scenario("survival/pseudo-terminals")
def pseudo_terminals(context):
    """outputd is killed between two lines on a pseudo terminal: both sides go on; one that lost a side meanwhile hears of it."""
    with boot(context) as vm:
        vm.prompt()
        vm.check("/tests/tools/pseudo_terminal 3", re.compile(r"/dev/pts/0 is as it was"), 120)
        vm.check("ls /dev/pts | wc -l", "0\n")


@scenario("survival/services", cpus=(4,))
def services(context):
    """All of them, one after the other and then at random (the same each time): everything works afterwards."""
    names = ["initfsd", "rngd", "nulld", "procd", "pcid", "powerd", "outputd", "initd"]
    rounds = int(os.environ.get("KILL_ROUNDS", "6"))  # make soak: as many as asked for
    dice = random.Random(42)
    with boot(context) as vm:
        vm.prompt()
        shell = vm.check("echo $$", re.compile(r"\d"))
        for name in names + [dice.choice(names) for _ in range(rounds)]:
            vm.shell(f"(exit 3) & {kill(name)}; head -c 16 rng:/// | wc -c; wait $!; echo status $?", 90)
            vm.check("echo $$; true | cat; cat initfs:///etc/hostname > null:///; head -c 8 rng:/// | wc -c",
                     shell + "8\n", 90)
        vm.check("for i in 1 2 3; do (exit $i); echo $?; done", "1\n2\n3\n", 60)
        status = vm.check("cat log:///status", re.compile("SERVICE"), 60)
        if status.count(" ready ") != status.count("\n") - 1:
            vm.fail(f"not everything is back: {status}")


@scenario("survival/storm", cpus=(8,))
def storm(context):
    """32 callers of services that are killed at random, on 8 CPUs; every answer is checked (tests/guest/storm.c)."""
    test = "callers_of_services_killed_at_random"
    with boot(context, append=f"init=initfs:///tests/storm -- {test}") as vm:
        line = vm.expect(rf"^.*\b(ok|not ok) {test}(: .*)?\n", 200)
        if line[1] != "ok":
            vm.fail(line[0])


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
