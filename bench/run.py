#!/usr/bin/python3
"""`make bench`: protos beside Linux under the same QEMU, where the TSC counts instructions.

    bench/run.py --out out [--only part of a figure's name] [--keep] [--no-linux]

Boots both, runs bench/linux_*.c on both and bench/native_*.c on protos, prints the table of the design's section 10 and
stores it as out/bench/<commit>.csv. Ends with status 1 if a figure of protos is more than 3 % above the kept one
(bench/results.csv), or over its budget (bench/figures.tab) without a line in docs/performance.md that says why. --keep
makes the figures the kept ones and writes them into docs/performance.md.

Linux's figures are the same every time: they are taken once for one kernel, benchmark and QEMU (out/linux/).
"""
import argparse
import csv
import hashlib
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path[:0] = [os.path.join(ROOT, "tests", "system"), os.path.join(ROOT, "bench", "profile")]
import disk  # noqa: E402
import linux  # noqa: E402
import profile  # noqa: E402
from harness import Context, Failure  # noqa: E402
from machine import PROMPT  # noqa: E402

CPU = "max,-erms,-fsrm"  # without them a `rep movsb` counts one instruction per byte, a `rep movsq` one per 8
KEPT = os.path.join(ROOT, "bench", "results.csv")
PAGE = os.path.join(ROOT, "docs", "performance.md")
TOLERANCE = 1.03
DEADLINE = 600
RESULT = re.compile(r"^bench (\S+) (?:(\d+) (\d+)|- (.*))$", re.M)
COUNTED = re.compile(r"^bench (\S+) counted (\d+) (\d+) (\d+)$|^bench-windows (\d+)$", re.M)
CROSS_CPU = "cross-cpu"  # these figures want two CPUs
BOOT = "boot"  # is counted by the profile's plugin: the TSC does not start with the kernel
LINUX_PLACE = 0x100000, 0x10000000  # where a bzImage lies, and firmware does not


class Figure:
    def __init__(self, line):
        self.name, budget, sel4, self.meaning = line.strip().split(maxsplit=3)
        self.budget = None if budget == "-" else float(budget)
        self.sel4 = None if sel4 == "-" else float(sel4)


def figures():
    with open(os.path.join(ROOT, "bench", "figures.tab"), encoding="utf-8") as file:
        return [Figure(line) for line in file if line.strip() and not line.startswith("#")]


def number(value):
    if value is None:
        return "-"
    if value >= 1e6:
        return f"{value / 1e6:,.1f} M"
    return f"{value:,.0f}" if value >= 10 else f"{value:.4f}"


def results(text):
    """name -> instructions, or why there are none."""
    return {name: int(ticks) / int(count) if ticks else why for name, ticks, count, why in RESULT.findall(text)}


def counted(text, path):
    """The same of the figures that the plugin has counted: the cheapest of their windows. text: of all programs since the boot."""
    with open(path, encoding="ascii") as file:
        windows = [int(line.split()[1]) for line in file]
    found, before = {}, 0
    for name, first, last, count, all_its in COUNTED.findall(text):
        if all_its:
            before += int(all_its)
        else:
            found[name] = min(windows[before + int(first) - 1:before + int(last)]) / int(count)
    return found


def programs(out, prefix):
    return sorted(name for name in os.listdir(os.path.join(out, "bench")) if name.startswith(prefix))


def output_of(*command):
    return subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True).stdout


def linux_store(image, archive):
    """Where the figures lie that this kernel had with this archive under this QEMU."""
    digest = hashlib.sha256(output_of("qemu-system-x86_64", "--version").encode() + linux.COMMAND_LINE.encode())
    for path in image, archive:
        digest.update(linux.contents(path))
    return os.path.join(os.path.dirname(archive), digest.hexdigest()[:16] + ".log")


def keep_log(store, text):
    with open(store + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(store + ".new", store)


def figures_of(store, names):
    with open(store, encoding="utf-8") as file:
        return {name: value for name, value in results(file.read()).items() if name in names}


def measure_linux_disk(out, bus, names):
    """The same of what wants a disk on this bus."""
    which = linux.CLOUD if bus == "virtio" else linux.GENERIC
    image = linux.kernel(out, which)
    chosen = programs(out, "disk_")
    archive = linux.initramfs(out, which, chosen, [f"/bench/{name} {' '.join(disk.FIGURES[bus])}" for name in chosen], "disk")
    store, windows = linux_store(image, archive), os.path.join(out, "bench", "windows")
    if not os.path.exists(store):
        with disk.image() as volume, Context(f"bench-linux-{bus}", os.path.abspath(out), 1).boot(
                icount=True, cpu=CPU, kernel=image, initfs=archive, append=linux.COMMAND_LINE,
                extra=profile.plugin(out, windows, windows=1), **disk.machine(volume.name, bus)) as vm:
            vm.expect("^=END=", DEADLINE)
            found = {**results(vm.text), **counted(vm.text, windows)}
        keep_log(store, "".join(f"bench {name} {round(value * 1e6)} 1000000\n" if value_of(value) else
                                f"bench {name} - {value}\n" for name, value in found.items()))
    return figures_of(store, names)


def measure_linux(out, names):
    """The figures of Linux: out of the store, else all of them by booting it. names: what is wanted."""
    image = linux.kernel(out, linux.CLOUD)
    chosen = programs(out, "linux_")
    archive = linux.initramfs(out, linux.CLOUD, chosen + ["data", "tools/hello"], [f"/bench/{name}" for name in chosen])
    store = linux_store(image, archive)
    if not os.path.exists(store):
        with Context("bench-linux", os.path.abspath(out), 1).boot(icount=True, cpu=CPU, kernel=image, initfs=archive,
                                                                  append=linux.COMMAND_LINE) as vm:
            vm.expect("^=END=", DEADLINE)
            if re.search(r"^status [1-9]", vm.text, re.M):
                vm.fail("a benchmark failed on Linux")
            text = vm.text
        boot = profile.boot_instructions(Context("boot-linux", os.path.abspath(out), 1), store + ".raw", *LINUX_PLACE,
                                         r"^\d+\.\d+\.", kernel=image, initfs=archive, append=linux.COMMAND_LINE)
        os.remove(store + ".raw")
        keep_log(store, f"{text}\nbench {BOOT} {boot} 1\n")
    with open(store, encoding="utf-8") as file:
        text = file.read()
    release = re.search(r"^\d+\.\d+\.\S+$", text, re.M)
    print(f"Linux {release[0] if release else '?'}: {store}")
    return figures_of(store, names)


def measure_protos(out, names, cpus=1):
    found = {}
    with Context(f"bench-{cpus}", os.path.abspath(out), cpus).boot(
            icount=True, cpu=CPU, initfs=os.path.join(out, "test-initfs.tar.gz")) as vm:
        vm.prompt(DEADLINE)
        for program in programs(out, "linux_") + programs(out, "native_"):
            text, status = vm.shell(f"/bench/{program} {' '.join(names)}", DEADLINE)
            found.update(results(text))
            if status:
                print(f"{program} ended with {status}: {text[-200:]!r}")
    return found


def measure_disk(out, bus, names):
    """The figures of what wants a disk on this bus."""
    everything, windows = "", os.path.join(out, "bench", "windows")
    with disk.image() as image, Context(f"bench-{bus}", os.path.abspath(out), 1).boot(
            icount=True, cpu=CPU, initfs=os.path.join(out, "test-initfs.tar.gz"),
            extra=profile.plugin(out, windows, windows=1), **disk.machine(image.name, bus)) as vm:
        vm.prompt(DEADLINE)
        for program in programs(out, "disk_"):
            text, status = vm.shell(f"/bench/{program} {' '.join(names)}", DEADLINE)
            everything += text + "\n"
            if status:
                print(f"{program} ended with {status}: {text[-200:]!r}")
    return {**results(everything), **counted(everything, windows)}


def measure(options, wanted):
    names = [figure.name for figure in wanted]
    apart = {bus: [name for name in names if disk.bus_of(name) == bus] for bus in disk.FIGURES}
    rest = [name for name in names if not disk.bus_of(name)]
    here = [name for name in rest if CROSS_CPU not in name and name != BOOT]
    there = {}
    if not options.no_linux:
        try:
            for bus, its in apart.items():
                there.update(measure_linux_disk(options.out, bus, its) if its else {})
            there.update(measure_linux(options.out, rest) if rest else {})
        except linux.Unavailable as why:
            print(f"without Linux: {why}")
    protos = measure_protos(options.out, here) if here else {}
    for bus, its in apart.items():
        protos.update(measure_disk(options.out, bus, its) if its else {})
    across = [name for name in names if CROSS_CPU in name]
    if across:
        protos.update(measure_protos(options.out, across, 2))
    if BOOT in names:
        protos[BOOT] = float(profile.boot_instructions(
            Context("boot", os.path.abspath(options.out), 1), os.path.join(options.out, "bench", "boot.raw"),
            *profile.kernel_range(options.out), PROMPT))
    return {name: (there.get(name), protos.get(name, "it was not printed: the benchmark failed")) for name in names}


def value_of(result):
    return result if isinstance(result, float) else None


def kept():
    """name -> {"linux": text, "protos": text, "commit": text}"""
    if not os.path.exists(KEPT):
        return {}
    with open(KEPT, encoding="utf-8", newline="") as file:
        return {row["figure"]: row for row in csv.DictReader(file)}


def write_csv(path, rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["figure", "linux", "protos", "budget", "commit"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def row_of(figure, result, commit):
    text = ["" if value is None else f"{value:.4f}".rstrip("0").rstrip(".")
            for value in (value_of(result[0]), value_of(result[1]), figure.budget)]
    return {"figure": figure.name, "linux": text[0], "protos": text[1], "budget": text[2], "commit": commit}


def known_over():
    """The figures that docs/performance.md gives a reason for: the first column of the section's table."""
    with open(PAGE, encoding="utf-8") as file:
        section = re.search(r"^## Over the budget$(.*?)(?=^## |\Z)", file.read(), re.M | re.S)
    return set(re.findall(r"^\| `(\S+)` \|", section[1], re.M)) if section else set()


def verdict(figure, value, reasons):
    if value is None:
        return ""
    if figure.budget is None or value <= figure.budget:
        return "" if figure.budget is None else "ok"
    return "known" if figure.name in reasons else "OVER"


def print_table(wanted, measured):
    """Prints; returns whether nothing got worse and no budget is exceeded without a reason."""
    before, reasons, fine = kept(), known_over(), True
    print(f"{'figure':23} {'Linux':>10} {'seL4':>7} {'protos':>10} {'ratio':>6} {'budget':>8}        change")
    for figure in wanted:
        other, own = measured[figure.name]
        value, reference = value_of(own), value_of(other)
        judged = verdict(figure, value, reasons)
        old = before.get(figure.name, {}).get("protos")
        change = ""
        if value is not None and old:
            change = f"{(value / float(old) - 1) * 100:+.1f} %"
            if value > float(old) * TOLERANCE:
                change, fine = change + " WORSE", False
        elif value is None and old:
            change, fine = "LOST", False
        fine = fine and judged != "OVER"
        ratio = f"{value / reference:.2f}" if value is not None and reference else ""
        why = "" if value is not None else f"  {own}"
        why += f"  Linux: {other}" if isinstance(other, str) else ""
        print(f"{figure.name:23} {number(reference):>10} {number(figure.sel4):>7} {number(value):>10} {ratio:>6} "
              f"{number(figure.budget):>8} {judged:6} {change}{why}".rstrip())
    return fine


def page_table(wanted, rows):
    """The table of docs/performance.md from kept rows."""
    lines = ["| figure | Linux 6.1 | seL4 | protos | budget |", "|---|---|---|---|---|"]
    for figure in wanted:
        row = rows.get(figure.name, {})
        values = [number(float(row[key])) if row.get(key) else "-" for key in ("linux", "protos")]
        lines.append(f"| {figure.meaning} (`{figure.name}`) | {values[0]} | {number(figure.sel4)} | {values[1]} | "
                     f"{number(figure.budget)} |")
    return "\n".join(lines) + "\n"


def keep(everything, rows):
    merged = kept()
    for row in rows:
        row["linux"] = row["linux"] or merged.get(row["figure"], {}).get("linux", "")  # it may have been left out
        merged[row["figure"]] = row
    write_csv(KEPT, [merged[figure.name] for figure in everything if figure.name in merged])
    with open(PAGE, encoding="utf-8") as file:
        text = file.read()
    start, end = "<!-- make bench KEEP=1 writes this -->\n", "<!-- to here -->"
    head, tail = text.index(start) + len(start), text.index(end)
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(text[:head] + page_table(everything, merged) + text[tail:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="out")
    parser.add_argument("--only", default="", help="figures whose name has this in it")
    parser.add_argument("--keep", action="store_true", help="what is measured becomes what is compared with")
    parser.add_argument("--no-linux", action="store_true")
    options = parser.parse_args()
    everything = figures()
    wanted = [figure for figure in everything if options.only in figure.name]
    if not wanted:
        sys.exit(f"bench: no figure has {options.only!r} in its name")
    try:
        measured = measure(options, wanted)
    except Failure as failure:
        sys.exit(f"bench: {failure}")
    fine = print_table(wanted, measured)
    commit = output_of("git", "describe", "--always", "--dirty").strip()
    rows = [row_of(figure, measured[figure.name], commit) for figure in wanted]
    path = os.path.join(options.out, "bench", commit + ".csv")
    write_csv(path, rows)
    print(path)
    if options.keep:
        keep(everything, rows)
    sys.exit(0 if fine else 1)


main()
