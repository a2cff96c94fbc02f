#!/usr/bin/python3
"""Run the tests: host programs, models, fuzz targets, the guest tests inside QEMU, the system's scenarios.

    tests/system/run.py --out out [--only PART] [--rounds N] [--fuzz-seconds S] [--jobs N] [--list]

Prints `ok NAME` or `not ok NAME: why` for each test, and `N passed, N failed` as the last line. A group's tests are
known only when it has run (a host program's, the guest runner's), so --only selects by any part of a full name, and
that a name is no test's may be known only then. It is a failure.
"""
import argparse
import concurrent.futures
import importlib
import os
import re
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
os.chdir(os.path.join(HERE, "..", ".."))
sys.path.insert(0, HERE)
import harness  # noqa: E402
from machine import EmulatorCrash, Failure  # noqa: E402

LOG = r"(?:\[[^\]]*\] (?:\w+: )?)?"  # what stands before a line that comes through the system's log
LINE = re.compile(rf"^{LOG}(ok|not ok) ([\w./+-]+)(?:: (.*))?$")
KINDS = ("host", "model", "fuzz", "guest", "system")
HOST_DEADLINE = 300
GUEST_DEADLINE = 900
GUEST_SILENCE = 120  # no guest test takes longer


class Results:
    """Prints each test as it ends; counts."""

    def __init__(self, only):
        self.only, self.passed, self.failed = only, 0, []
        self.lock = threading.Lock()

    def add(self, name, why=None, seconds=None, always=False):
        if self.only not in name and not always:
            return
        with self.lock:
            timing = f" ({seconds:.1f} s)" if seconds is not None else ""
            if why is None:
                self.passed += 1
                print(f"ok {name}{timing}", flush=True)
            else:
                self.failed.append(name)
                print(f"not ok {name}: {why}", flush=True)


def output_of(command, deadline, environment=None):
    """(output, exit code); the code is None past the deadline."""
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                timeout=deadline, env={**os.environ, **(environment or {})})
        return result.stdout.decode("utf-8", "replace"), result.returncode
    except subprocess.TimeoutExpired as expired:
        return (expired.stdout or b"").decode("utf-8", "replace"), None


def tail(text):
    return "\n".join("    | " + line for line in text.splitlines()[-40:])


def run_host(program, results):
    name = "host/" + os.path.basename(program)
    text, code = output_of([program], HOST_DEADLINE, {"ASAN_OPTIONS": "detect_leaks=1"})
    failures = 0
    for match in filter(None, map(LINE.match, text.splitlines())):
        failures += match[1] != "ok"
        results.add(f"{name}/{match[2]}", None if match[1] == "ok" else match[3] or "failed")
    if code != 0 and not failures:
        why = f"exit code {code}" if code is not None else f"not done after {HOST_DEADLINE} s"
        results.add(name, f"{why}\n{tail(text)}")


def run_model(model, results, soak):
    """All interleavings (tests/model/run); with two callers where there is time."""
    started = time.monotonic()
    command = ["tests/model/run", *(["-DCALLERS=2", "-DCALLS=1"] if soak else []), model]
    text, code = output_of(command, 1200 if soak else HOST_DEADLINE)
    why = None if code == 0 else (f"exit code {code}" if code is not None else "not done in time") + f"\n{tail(text)}"
    results.add(f"model/{model}", why, time.monotonic() - started)


def run_fuzz(program, results, seconds):
    target = os.path.basename(program)
    corpus, grown = f"tests/fuzz/corpus/{target}", f"{program}.corpus"
    os.makedirs(grown, exist_ok=True)
    command = [program, "-seed=1", f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=1024",
               f"-artifact_prefix={program}.", "-verbosity=0", grown]
    if os.path.isdir(corpus):
        command.append(corpus)
    started = time.monotonic()
    text, code = output_of(command, seconds + 120, {"ASAN_OPTIONS": "quarantine_size_mb=64"})
    results.add(f"fuzz/{target}", None if code == 0 else f"exit code {code}\n{tail(text)}", time.monotonic() - started)


def once_more(run):
    """A job whose emulator crashed is run again, once, and says so."""
    def twice(name, *arguments):
        try:
            run(name, *arguments)
        except EmulatorCrash as crash:
            print(f"# {name}: {crash}; once more", flush=True)
            try:
                run(name, *arguments)
            except EmulatorCrash as again:
                arguments[2].add(name, str(again), always=True)
    return twice


@once_more
def run_guest(name, cpus, out, results, native):
    """Run /tests/runner in the test archive, as the first program or from the shell; each of its lines is a test."""
    selected = results.only.split("/")[1] if results.only.startswith("guest/") else ""
    selected = "" if selected.startswith("all-") else selected
    context = harness.Context(name, out, cpus)
    first = "init=initfs:///tests/runner" + (f" -- {selected}" if selected else "")
    done = failures = 0
    try:
        with context.boot(initfs=os.path.join(out, "test-initfs.tar.gz"), append=first if native else "",
                          devices=["edu", "edu2", "pci-testdev"]) as vm:
            if not native:
                vm.prompt()
                vm.send(f"/tests/runner {selected}\n")
            until = time.monotonic() + GUEST_DEADLINE
            while True:
                match = vm.expect(rf"^{LOG}(?:(?:ok|not ok) [\w./+-]+(?:: .*)?|"
                                  r"guest tests done: (\d+) passed, (\d+) failed)\n",
                                  min(GUEST_SILENCE, max(1, until - time.monotonic())))
                if match[1] is not None:
                    if (int(match[1]), int(match[2])) != (done, failures):
                        vm.fail(f"the runner counted {match[1]} and {match[2]}, seen were {done} and {failures}")
                    break
                line = LINE.match(match[0].rstrip("\n"))
                done += line[1] == "ok"
                failures += line[1] != "ok"
                results.add(f"guest/{line[2]}/{cpus}", None if line[1] == "ok" else line[3] or "failed")
        results.add(name)
    except EmulatorCrash:
        raise
    except Failure as failure:
        results.add(name, str(failure), always=True)  # the tests that were selected are among those not run


@once_more
def run_scenario(name, cpus, out, results, function):
    started = time.monotonic()
    try:
        function(harness.Context(name, out, cpus))
        results.add(name, None, time.monotonic() - started)
    except EmulatorCrash:
        raise
    except Failure as failure:
        results.add(name, str(failure))
    except Exception as error:  # a bug of the scenario is a failed test too
        results.add(name, f"{type(error).__name__}: {error}")


def programs(folder):
    """The executables make put into a folder."""
    if not os.path.isdir(folder):
        return []
    paths = (os.path.join(folder, name) for name in sorted(os.listdir(folder)))
    return [path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)]


def jobs(options, results):
    """(name or group prefix, function, arguments), in the order of starting."""
    out = options.out
    source = {"host": "tests/host", "fuzz": "tests/fuzz"}
    for kind, run, more in (("host", run_host, ()), ("fuzz", run_fuzz, (options.fuzz_seconds,))):
        for program in programs(os.path.join(out, kind)):
            if os.path.exists(os.path.join(source[kind], os.path.basename(program).removesuffix(".tsan") + ".c")):
                yield f"{kind}/{os.path.basename(program)}", run, (program, results, *more)
    for model in sorted(name.removesuffix(".pml") for name in os.listdir("tests/model") if name.endswith(".pml")):
        yield f"model/{model}", run_model, (model, results, options.rounds > 1)
    if os.path.exists("tests/guest/runner.c"):
        for cpus in (1, 4):
            for kind in ("native", "linux"):
                name = f"guest/all-{kind}/{cpus}"
                # A program named by --only is of one kind.
                program = options.only.removeprefix("guest/") if options.only.startswith("guest/") else ""
                if not program or program.startswith(("linux_", "all-linux")) == (kind == "linux"):
                    yield name, run_guest, (name, cpus, out, results, kind == "native")
    for name, cpus, function in harness.SCENARIOS:
        yield name, run_scenario, (name, cpus, out, results, function)


def wanted(name, only):
    """Whether a job may bring a test that --only selects: a host program's and the guest's are not known before."""
    kind = name.split("/")[0]
    if only.split("/")[0] in KINDS and "/" in only and not only.startswith(kind + "/"):
        return False
    if kind in ("system", "fuzz", "model"):
        return only in name
    if kind == "guest" and "/" in only and not only.startswith("guest/"):  # part of a program's name, a test
        return any(program.endswith(only.split("/")[0]) for program in guest_programs())
    return True if kind == "guest" else only in name or only.startswith(name) or "/" not in only


def guest_programs():
    return [name.removesuffix(".c") for name in os.listdir("tests/guest") if name.endswith(".c")]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="out")
    parser.add_argument("--only", default="")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--fuzz-seconds", type=int, default=1)
    # Scenarios wait much of their time.
    parser.add_argument("--jobs", type=int, default=(os.cpu_count() or 1) + 2)
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    options.out = os.path.abspath(options.out)
    if options.only in KINDS:
        options.only += "/"

    if options.rounds > 1:
        os.environ.setdefault("SOAK_ROUND", "1")  # some scenarios are for soak alone
    for file in sorted(os.listdir(os.path.join(HERE, "scenarios"))):
        if file.endswith(".py"):
            importlib.import_module("scenarios." + file.removesuffix(".py"))
    results = Results(options.only)
    for number in range(options.rounds):
        if options.rounds > 1:
            print(f"round {number + 1} of {options.rounds}", flush=True)
            os.environ["SOAK_ROUND"] = str(number + 1)  # for tests that begin with another seed each round
        chosen = [job for job in jobs(options, results) if wanted(job[0], options.only)]
        if not chosen:
            break
        if options.list:
            print("\n".join(name for name, _, _ in chosen))
            return
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for future in [pool.submit(run, *arguments) for _, run, arguments in chosen]:
                future.result()
    if not results.passed and not results.failed:
        sys.exit(f"no test has {options.only!r} in its name")
    if results.failed:
        print("failed: " + " ".join(results.failed))
    print(f"{results.passed} passed, {len(results.failed)} failed")
    sys.exit(1 if results.failed else 0)


main()
