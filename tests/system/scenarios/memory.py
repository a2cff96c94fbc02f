"""What programs cost in page faults."""
import os
import re

from harness import scenario


def page_faults(vm):
    return int(re.search(r"^page_faults (\d+)$", vm.check("/tests/tools/counters", re.compile("page_faults")), re.M)[1])


@scenario("memory/fault-around")
def fault_around(context):
    """A fork and an exec of busybox, 2 MB, 20 times: its pages are there, so 16 of them come with a fault."""
    with context.boot(initfs=os.path.join(context.out, "test-initfs.tar.gz")) as vm:
        vm.prompt()
        vm.check("i=0; while [ $i -lt 20 ]; do /bin/busybox true; i=$((i+1)); done; echo $i", "20\n", 60)
        start = page_faults(vm)
        before = page_faults(vm)  # what it takes to look
        vm.check("i=0; while [ $i -lt 20 ]; do /bin/busybox true; i=$((i+1)); done; echo $i", "20\n", 60)
        each = (page_faults(vm) - before - (before - start)) / 20
        print(f"page faults of a fork, exec of busybox and exit: {each:.1f}", flush=True)
        if each > 60:
            vm.fail(f"{each:.1f} page faults for each busybox")
