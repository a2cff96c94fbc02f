"""System calls with arguments of every class (tests/guest/fuzz_syscalls.c), in the whole system: it is well afterwards.

The guest tests make 200,000 calls from one seed in each boot, as the first program. Here it is the shell that runs them, with
services at work beside them; SOAK_CALLS=n makes it n calls from a seed of their own in each round of `make soak`.
"""
import os
import random
import re

from harness import scenario
from scenarios.survival import settled_frames

CALLS = 30_000
SECONDS_PER_CALL = 0.002  # a tenth of that on an idle machine


@scenario("fuzz/syscalls")
def syscalls(context):
    calls = int(os.environ.get("SOAK_CALLS", CALLS))
    seed = random.randrange(1, 1 << 30) if "SOAK_CALLS" in os.environ else 1
    with context.boot(initfs=os.path.join(context.out, "test-initfs.tar.gz")) as vm:
        vm.prompt()
        vm.check("head -c 16 rng:/// | wc -c", "16\n")
        frames = []
        for _ in range(2):  # the first time fills the caches of kernel and services
            output, status = vm.shell(f"/tests/fuzz_syscalls random_calls {seed} {calls}", 120 + calls * SECONDS_PER_CALL)
            if status != 0 or not re.search(r"^ok random_calls$", output, re.M):
                vm.fail(f"seed {seed}: {output[-2000:]}")
            frames.append(settled_frames(vm))
        if frames[1] < frames[0] - 64:
            vm.fail(f"seed {seed}: {frames[0] - frames[1]} frames did not come back")
        vm.check("head -c 16 rng:/// | wc -c", "16\n", 60)
        vm.check("ls initfs:///etc/motd", "initfs:///etc/motd\n", 60)
