#!/usr/bin/python3
"""`make bench`: boot with the TSC counting instructions, run each bench/*.c, print its figures beside the budget.

    bench/run.py --out out
"""
import argparse
import os
import re
import sys

sys.dont_write_bytecode = True
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))
from harness import Context, Failure  # noqa: E402

# Instructions, from the design's section 10.
BUDGET = {"native-null-call": 90, "getppid": 310, "mmap-touch-munmap": 5000, "fork-exit-wait": 70000,
          "pipe-write-read-1-byte": 3000}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="out")
    options = parser.parse_args()
    programs = sorted(name for name in os.listdir(os.path.join(options.out, "bench"))
                      if os.access(os.path.join(options.out, "bench", name), os.X_OK))
    try:
        with Context("bench", os.path.abspath(options.out), 1).boot(
                icount=True, cpu="max,-erms,-fsrm", initfs=os.path.join(options.out, "test-initfs.tar.gz")) as vm:
            vm.prompt(300)
            for program in programs:
                text, status = vm.shell(f"/bench/{program}", 600)
                if status:
                    vm.fail(f"/bench/{program} ended with {status}")
                for name, ticks in re.findall(r"^bench (\S+) (\d+)$", text, re.M):
                    budget = BUDGET.get(name)
                    verdict = "" if budget is None else f"  budget {budget:>8,}  " + (
                        "ok" if int(ticks) <= budget else f"{int(ticks) / budget:.1f} times too much")
                    print(f"{name:28} {int(ticks):>10,}{verdict}", flush=True)
    except Failure as failure:
        sys.exit(f"bench: {failure}")


main()
