"""A virtual machine under test: boots QEMU, talks over its serial line and QMP, and never waits without a deadline.

    with Machine(name, options) as vm:
        vm.expect(r"# $", 60)              wait for a regular expression on the serial line, past the last match
        vm.send("echo hello\\n")           type
        text, status = vm.shell("ls /")    run a command in the shell, without its echo
        vm.screenshot("out/boot.png")      through QMP
        vm.wait_exit(30)                   QEMU's end (power off, exit port)

A failed wait raises Failure with the end of the serial log; the whole log stays in <out>/logs/<name>.log.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import qemu  # noqa: E402

PROMPT = r"[#$] (?:$|\[ *\d)"  # a line of the log may follow at once
NEXT_PROMPT = r"^.*[#$][^ ]* "  # ... or come between its two symbols
LOG_LINE = re.compile(r"\[ *\d+\.\d{6}\] [^\n]*\n")  # the system's log may come in between anywhere
PANIC = re.compile(r"^.*\bpanic: .*$", re.M)
SCALE = float(os.environ.get("DEADLINE_SCALE", "1"))  # for slow machines

# Keys whose codes have two bytes, and three when they are let go of (scan code set 2); others have one, and two.
EXTENDED_KEYS = {"up", "down", "left", "right", "home", "end", "pgup", "pgdn", "insert", "delete", "alt_r", "ctrl_r", "meta_l", "meta_r",
                 "compose", "menu", "kp_enter", "kp_divide"}

UNFINISHED = re.compile(rb"(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z")  # UTF-8


class Failure(Exception):
    """A test found what should not be."""


class EmulatorCrash(Failure):
    """QEMU itself was ended by a fault of its own: docs/testing.md says which."""


def crossed(mark):
    """The pattern of a mark that a line of the log may have come into; of one symbol, in front of it."""
    line = rf"(?:{LOG_LINE.pattern})?"
    return line.join(map(re.escape, mark)) if len(mark) > 1 else line + re.escape(mark)


def plain(text):
    """Serial output without carriage returns and terminal control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>78c]|[\r\0]", "", text)


class Machine:
    def __init__(self, name, options):
        self.name = name
        self.options = options
        self.text = ""  # all serial output so far, made plain
        self.raw = b""
        self.position = 0  # where the next expect starts
        self.ended = False
        self.ps2_keyboard = True  # keys go to it: QEMU gives them to the last keyboard that was plugged in
        self.changed = threading.Condition()
        self.folder = tempfile.mkdtemp(prefix="protos-")
        options.serial = "stdio"
        options.qmp = os.path.join(self.folder, "qmp")
        logs = os.path.join(options.out, "logs")
        os.makedirs(logs, exist_ok=True)
        self.log_path = os.path.join(logs, name.replace("/", "-") + ".log")
        self.process = subprocess.Popen(qemu.command(options), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _read(self):
        with open(self.log_path, "wb", buffering=0) as log:
            while True:
                piece = os.read(self.process.stdout.fileno(), 65536)
                if piece:
                    log.write(piece)
                with self.changed:
                    self.raw += piece
                    # A control sequence may be cut by the end of a piece: keep from the last escape on. So may a symbol.
                    cut = self.raw.rfind(b"\x1b")
                    if not piece or cut < 0 or len(self.raw) - cut > 16 or re.match(rb"\x1b\[[0-9;?]*[A-Za-z]",
                                                                                  self.raw[cut:]):
                        cut = len(self.raw)
                    symbol = UNFINISHED.search(self.raw[:cut])
                    if piece and symbol:
                        cut = symbol.start()
                    self.text += plain(self.raw[:cut].decode("utf-8", "replace"))
                    self.raw = self.raw[cut:]
                    self.ended = not piece
                    self.changed.notify_all()
                if not piece:
                    return
                time.sleep(0.002)  # QEMU sends a byte at a time: the next piece has several

    def fail(self, why, text=None):
        tail = "\n".join("    | " + line for line in (text or self.text)[-1500:].splitlines()[-14:])
        raise Failure(f"{why}\n{tail}\n    (all of it: {self.log_path})")

    def expect(self, pattern, deadline=30, panic_fails=True):
        """Wait for pattern; returns the match. The next expect continues behind it."""
        compiled = re.compile(pattern, re.M)
        until = time.monotonic() + deadline * SCALE
        with self.changed:
            while True:
                match = compiled.search(self.text, self.position)
                if match:
                    self.position = match.end()
                    return match
                if panic_fails and PANIC.search(self.text, self.position):
                    self.changed.wait(0.5)  # for the backtrace
                    self.fail(f"panic while waiting for {pattern!r}")
                if self.ended:
                    code = self.process.wait(10)
                    if code == -signal.SIGSEGV:
                        raise EmulatorCrash(f"QEMU crashed while waiting for {pattern!r}")
                    self.fail(f"the machine stopped (exit code {code}) while waiting for {pattern!r}")
                left = until - time.monotonic()
                if left <= 0:
                    break
                self.changed.wait(left)
        seen = self.text
        self.show_where()
        self.fail(f"{pattern!r} did not come within {deadline * SCALE:.0f} s", seen)

    def show_where(self):
        """What the CPUs do, into the log: for whoever looks for the reason of a wait that was in vain."""
        try:
            self.qmp("inject-nmi")
        except (OSError, Failure):
            return
        with self.changed:
            self.changed.wait_for(lambda: self.ended or "end of panic" in self.text[self.position:], 5)

    def expect_nothing(self, pattern, seconds):
        """Fail if pattern comes within that time."""
        compiled = re.compile(pattern, re.M)
        until = time.monotonic() + seconds
        with self.changed:
            while True:
                match = compiled.search(self.text, self.position)
                if match:
                    self.fail(f"{match.group()!r} came")
                left = until - time.monotonic()
                if left <= 0 or self.ended:
                    return
                self.changed.wait(left)

    def send(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def type(self, line, deadline=20):
        """A line as fingers type it: the echo of each character is seen before the next."""
        for character in line:
            self.send(character)
            self.expect(re.escape(character), deadline)
        self.send("\r")
        self.expect(r"\n", deadline)

    def prompt(self, deadline=60):
        """Wait for the shell."""
        self.expect(PROMPT, deadline)

    def run_job(self, program="exec sleep 1000", deadline=30):
        """Start a job in the foreground and wait until it runs there: its shell has given it the terminal by then, so
        what is typed next is the job's."""
        self.send(f"sh -c 'echo re\"\"ady; {program}'\n")
        self.expect(r"^ready\n", deadline)

    def shell(self, command, deadline=30):
        """(output without log lines, exit status) of a command line; the shell must be at its prompt."""
        # The quotes keep the echo of what is typed from looking like the marks. All is one line where it can be: what
        # is typed while a command runs is shown in parts, before and after the shell changes the terminal's mode.
        several = "\n" in command
        separator = "\n" if several else " " if command.endswith("&") else "; "
        self.send(f"echo =BE''GIN=; {command}{separator}echo =E''ND= $?\n")
        self.expect("^.*" + crossed("=BEGIN=") + "\n", deadline)
        start = self.position
        end = self.expect(crossed("=END= ") + r"(\d+)" + crossed("\n"), deadline)
        output = LOG_LINE.sub("", self.text[start:end.start()])
        follows = self.position
        self.expect(NEXT_PROMPT, deadline)  # what runs in the background may speak behind it
        if several:
            # Behind the output stand the prompt and the echo of the last line; the prompt may show where we are, so
            # the one that follows tells how it looks.
            prompt = self.text[follows:self.position].rsplit("\n", 1)[-1]
            output = output.removesuffix("echo =E''ND= $?\n").removesuffix(prompt)
        return output, int(end.group(1))

    def check(self, command, want, deadline=30):
        """A command must print exactly (str) or match (compiled expression) that, and end with 0."""
        output, status = self.shell(command, deadline)
        fits = want.search(output) if isinstance(want, re.Pattern) else output == want
        if not fits or status:
            self.fail(f"{command!r} printed {output!r} (status {status}), want {want!r}")
        return output

    def wait_exit(self, deadline=30):
        """Wait for QEMU's end; what the guest wrote to the exit port, None if it powered off."""
        try:
            code = self.process.wait(deadline * SCALE)
        except subprocess.TimeoutExpired:
            self.fail(f"the machine did not stop within {deadline * SCALE:.0f} s")
        self.reader.join(5)
        return qemu.exit_status(code)

    def qmp(self, command, **arguments):
        """One QMP command on a connection of its own."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20 * SCALE)
            connection.connect(self.options.qmp)
            with connection.makefile("rw", encoding="utf-8") as stream:
                def answer():
                    while True:
                        line = stream.readline()
                        if not line:
                            return {}
                        message = json.loads(line)
                        if "event" not in message:
                            return message

                answer()
                for request in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                    stream.write(json.dumps(request) + "\n")
                    stream.flush()
                    message = answer()
        if "error" in message:
            raise Failure(f"QMP {command}: {message['error']['desc']}")
        return message.get("return")

    def screenshot(self, path):
        self.qmp("screendump", filename=os.path.abspath(path), format="png")

    def keyboard_bytes(self):
        """How many bytes the PS/2 keyboard has given to the machine: it interrupts for each."""
        count = re.search(r"^ *1: (\d+)", self.qmp("human-monitor-command", **{"command-line": "info irq"}), re.M)
        return int(count[1]) if count else 0

    def key(self, *keys):
        """Press keys together, by QEMU's names ("ctrl", "c"), and let go at once: however busy the host is, the machine does not see
        them held, which would repeat them, or change what is typed next. Returns when the keyboard can take the next."""
        def events(names, down):
            return [{"type": "key", "data": {"down": down, "key": {"type": "qcode", "data": name}}} for name in names]

        wanted = self.ps2_keyboard and self.keyboard_bytes() + sum(5 if name in EXTENDED_KEYS else 3 for name in keys)
        self.qmp("input-send-event", events=events(keys, True) + events(reversed(keys), False))
        if not self.ps2_keyboard:
            time.sleep(0.06 * SCALE)  # QEMU's others hold at least 16 events, and do not say what was fetched of them
            return
        end = time.monotonic() + 30 * SCALE
        while self.keyboard_bytes() < wanted:  # QEMU holds 16 bytes and drops what does not fit
            if time.monotonic() > end:
                self.fail(f"the keyboard's driver has not fetched {keys}")
            time.sleep(0.005)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.reader.join(5)
        self.process.stdin.close()
        self.process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)
