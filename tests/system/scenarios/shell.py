"""The shell as a user meets it: the transcript, pipes, jobs, the terminal."""
import re
import time

from harness import in_soak, scenario


def transcript(context, deadline=60, **options):
    """Issue 2, typed as it stands there."""
    with context.boot(**options) as vm:
        vm.prompt(deadline)
        vm.type("cat initfs:///etc/motd")
        vm.expect(r"^.*protos", 20)
        vm.prompt()
        vm.type("ls -l initfs:///sbin")
        vm.expect(r"^-rwxr-xr-x .* initd\n", 20)
        vm.prompt()
        vm.type("hexdump -C -n 16 rng:///")
        vm.expect(r"^00000000  ([0-9a-f]{2} +){16}\|.{16}\|\n00000010\n", 20)
        vm.prompt()
        vm.type("echo $((6*7)) | cat; for i in 1 2 3; do echo $i; done; false || echo alive")
        vm.expect(r"^42\n1\n2\n3\nalive\n", 20)
        vm.prompt()


@scenario("shell/transcript")
def transcript_pvh(context):
    transcript(context)


@scenario("shell/transcript-seabios", cpus=(4,))
def transcript_seabios(context):
    transcript(context, 120, firmware="seabios")


@scenario("shell/transcript-ovmf", cpus=in_soak(4))
def transcript_ovmf(context):
    transcript(context, 180, firmware="ovmf")


@scenario("shell/language")
def language(context):
    """Redirection, here-documents, substitution, globbing, background jobs, exit status."""
    with context.boot() as vm:
        vm.prompt()
        vm.check("echo a$(echo b$(echo c))", "abc\n")
        vm.check("cat <<X\none $((1+1))\nX", re.compile(r"one 2\n"))
        vm.check("(exit 7); echo $?", "7\n")
        vm.check("cd initfs:///etc && echo mot*", "motd\n")
        vm.check("sh -c 'kill -TERM $$'; echo $?", re.compile(r"143\n"))
        vm.check("sleep 1 & wait $!; echo waited $?", re.compile(r"waited 0\n"))
        vm.check("seq 1 2000 | sort -rn | head -1", "2000\n")
        vm.check("echo one two | { read a b; echo $b $a; }", "two one\n")
        vm.check("no-such-program; echo $?", re.compile(r"not found\n127\n"))


@scenario("shell/full", cpus=(1,))
def full(context):
    """/dev/full gives zeros and takes nothing; /dev/zero takes all."""
    with context.boot() as vm:
        vm.prompt()
        vm.check("head -c 3 /dev/full | hexdump -v -e '1/1 \"%x.\"'", "0.0.0.")
        vm.check("echo x > /dev/full; echo $?", re.compile(r"No space left on device\n1\n"))
        vm.check("echo x > /dev/zero; : > /dev/full; echo $?", "0\n")
        vm.check("stat -c '%t:%T %A' -L /dev/full /dev/zero", "1:7 crw-rw-rw-\n1:5 crw-rw-rw-\n")


@scenario("shell/pipe-10M")
def pipe_megabytes(context):
    with context.boot() as vm:
        vm.prompt()
        # The interactive shell runs `yes` without exec, and its stdout, set up for a terminal, stays line-buffered:
        # a write for each two bytes. A shell that is not interactive writes whole buffers.
        vm.check("yes | head -c 500000 | wc -c", "500000\n", 120)
        vm.check("sh -c 'yes | head -c 10000000 | wc -c'", "10000000\n", 120)


@scenario("shell/entropy")
def entropy(context):
    """Two reads differ, within a boot and across rngd's restart."""
    with context.boot() as vm:
        vm.prompt()
        reads = [vm.check("hexdump -v -e '/1 \"%02x\"' -n 16 rng:///; echo", re.compile(r"^[0-9a-f]{32}\n$"))
                 for _ in range(2)]
        kill_rngd(vm)
        reads.append(vm.check("hexdump -v -e '/1 \"%02x\"' -n 16 rng:///; echo", re.compile(r"^[0-9a-f]{32}\n$")))
        if len(set(reads)) != 3:
            vm.fail(f"rng:/// repeats itself: {reads}")


def kill_rngd(vm):
    for _ in range(20):  # killed again and again it is started later and later
        output, _ = vm.shell("sleep 0.2; ps")
        pid = re.search(r"^\s*(\d+)\b.*\brngd\b", output, re.M)
        if pid:
            break
    else:
        vm.fail(f"rngd is not in the list of processes: {output!r}")
    # Its end is a line on the system's log, which the serial line shows wherever it happens to be: give it time.
    if vm.shell(f"kill -9 {pid[1]}; sleep 0.5")[1]:
        vm.fail("kill failed")


@scenario("shell/rngd-killed")
def rngd_killed(context):
    """A killed service comes back; who waits for it, or comes later, is served."""
    with context.boot() as vm:
        vm.prompt()
        for _ in range(3):
            kill_rngd(vm)
            vm.check("head -c 16 rng:/// | wc -c", "16\n", 60)
        vm.shell("(while :; do head -c 4096 rng:/// | wc -c; done) > /dev/null & reader=$!")
        kill_rngd(vm)
        vm.check("head -c 100 rng:/// | wc -c", "100\n", 60)
        vm.shell("kill $reader; wait $reader")


@scenario("shell/rngd-stopped")
def rngd_stopped(context):
    """A service that hangs holds up who asks it and no one else; who waits is served by the next instance."""
    with context.boot() as vm:
        vm.prompt()
        vm.check("kill -STOP $(pidof rngd); seq 3 | sort -rn | head -1", "3\n")
        vm.shell("(head -c 16 rng:/// | wc -c) > /dev/null & reader=$!")
        vm.check("sleep 0.2; kill -0 $reader && echo waits", "waits\n")
        vm.check("kill -9 $(pidof rngd); wait $reader; echo $?", "0\n", 60)


@scenario("shell/terminal")
def terminal(context):
    """The line discipline: echo, erase, kill line, ^C to the foreground only, ^D at the start of a line."""
    with context.boot() as vm:
        vm.prompt()
        # "ready" says that the shell has given the terminal to the program.
        vm.send("echo re''ady; cat\n")
        vm.expect(r"^ready\n", 10)
        vm.send("abX\x7fc\n")  # the terminal erases X
        vm.expect(r"^abc\n", 10)
        vm.send("wrong\x15right\n")
        vm.expect(r"^right\n", 10)
        vm.send("\x04")
        vm.prompt(10)
        vm.run_job()
        vm.send("\x03")
        vm.prompt(10)
        vm.check("echo alive", "alive\n")
        vm.send("echo re''ady; while :; do :; done\n")
        vm.expect(r"^ready\n", 10)
        vm.send("\x03")
        vm.prompt(10)
        vm.check("echo alive", "alive\n")


@scenario("shell/sandbox")
def sandbox(context):
    """A program sees the protocols it is given and no others; it ends, and is interrupted, like any."""
    with context.boot() as vm:
        vm.prompt()
        vm.check("sandbox initfs -- cat initfs:///etc/hostname", re.compile(r"^\w+\n$"))
        vm.check("sandbox initfs -- head -c 4 rng:/// 2>/dev/null | wc -c", "0\n")
        vm.check("sandbox rng -- head -c 4 rng:/// | wc -c", "4\n")
        vm.check("sandbox rng -- cat /etc/hostname 2>&1; true", re.compile(r"(?s).*No such file.*"))
        vm.check("sandbox random=rng -- head -c 3 random:/// | wc -c", "3\n")
        vm.check("sandbox initfs fs -- sh -c 'exit 7'; echo $?", "7\n")
        vm.check("sandbox initfs fs -- sh -c 'ls initfs:///etc | grep -c hostname; kill -TERM $$'; echo $?",
                 re.compile(r"(?s)1\n.*143\n"))
        vm.check("sandbox -n fs -- sh -c 'echo one; (echo two); true' 2>&1; true", re.compile(r"(?s)one\n.*fork.*"))
        vm.check("sandbox nosuch -- true; echo $?", re.compile(r"(?s).*nosuch.*\n125\n"))
        vm.check("sandbox fs -- no-such-program; echo $?", re.compile(r"(?s).*not found\n127\n"))
        vm.run_job("exec sandbox fs -- sleep 1000")
        vm.send("\x03")
        vm.prompt(10)
        vm.check("echo alive", "alive\n")


@scenario("shell/jobs")
def jobs(context):
    """^Z, bg, fg, ^\\, a background reader, a pipeline stopped as one."""
    with context.boot() as vm:
        vm.prompt()

        def key(keys, pattern):
            time.sleep(1)  # the shell gives the terminal to the program after the echo
            vm.send(keys)
            vm.expect(pattern, 20)

        key("sleep 1000\n", r"sleep 1000\n")
        key("\x1a", r"Stopped.*\n(.*\n)*.*# $")
        key("bg\n", r"\[1\].*sleep 1000\n# $")
        key("jobs\n", r"Running +sleep 1000\n# $")
        key("fg\n", r"sleep 1000\n")
        key("\x03", r"# $")
        vm.check("jobs", "")
        key("cat &\n", r"cat &\n")
        key("\n", r"Stopped \(tty input\).*\n(.*\n)*.*# $")  # told before this prompt or the one before
        key("fg\n", r"cat\n")
        key("hello\n", r"hello\nhello\n")
        key("\x04", r"# $")
        key("yes | cat > /dev/null\n", r"null\n")
        key("\x1a", r"Stopped.*\n(.*\n)*.*# $")
        key("fg\n", r"null\n")
        key("\x1c", r"# $")
        vm.check("jobs", "")


@scenario("shell/break", cpus=(1, 4))
def breaks(context):
    """A break on the serial line is an interrupt, three bytes, or nothing, as the modes have it."""
    with context.boot() as vm:
        vm.prompt()
        vm.shell("stty brkint -ignbrk")
        vm.run_job()
        vm.qmp("chardev-send-break", id="serial0")
        vm.prompt()
        for modes, typed, want in (("-ignbrk parmrk", "abc", "61 ff 00 00 62 63"), ("-ignbrk -parmrk", "ab", "61 00 62"),
                                   ("ignbrk parmrk", "ab", "61 62")):
            vm.send(f"stty raw -echo -brkint {modes}; echo re''ady; head -c {len(want.split())} | hexdump -C; stty sane\n")
            vm.expect(r"^ready\n", 20)
            vm.send(typed[0])
            time.sleep(0.5)  # QEMU has given it to the machine
            vm.qmp("chardev-send-break", id="serial0")
            vm.send(typed[1:])
            vm.expect(f"00000000  {want} ", 20)
            vm.prompt()


@scenario("shell/raw", cpus=(4,))
def raw(context):
    """Programs that take the terminal for themselves."""
    with context.boot() as vm:
        vm.prompt()
        vm.send("stty raw -echo; echo re''ady; head -c 4 | hexdump -C; stty sane\n")
        vm.expect(r"^ready\n", 20)
        time.sleep(0.5)
        vm.send("\x03\x1a\r\n")
        vm.expect(r"00000000  03 1a 0d 0a .*", 20)
        vm.prompt()
        vm.send("seq 1 100 | less\n")
        vm.expect(r"^23\n", 20)
        time.sleep(0.5)
        vm.send(" ")
        vm.expect(r"^46\n", 20)
        vm.send("q")
        vm.prompt()
        vm.send("vi /etc/motd\n")
        vm.expect(r"- /etc/motd.*1/", 20)
        time.sleep(0.5)
        vm.send("ihello\x1b")
        time.sleep(0.5)
        vm.send(":q!\r")
        vm.prompt()
