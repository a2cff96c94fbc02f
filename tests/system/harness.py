"""The list of scenarios and what they get.

    @scenario("boot/q35", cpus=(1, 2, 8))
    def boot_q35(context):
        with context.boot(machine="q35") as vm:
            vm.prompt()

A scenario runs once for each number of CPUs, as the test system/<name>/<cpus>; it fails by raising Failure.
"""
import gzip
import io
import os
import sys
import tarfile
import tempfile

from machine import Failure, Machine

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))
import qemu  # noqa: E402

SCENARIOS = []  # (name, cpus, function)


def in_soak(*cpus):
    """For a scenario, or one of its numbers of CPUs, that takes too long for `make test`."""
    return cpus if "SOAK_ROUND" in os.environ else ()


def scenario(name, cpus=(1, 4)):
    def register(function):
        SCENARIOS.extend((f"system/{name}/{count}", count, function) for count in cpus)
        return function
    return register


class Context:
    def __init__(self, name, out, cpus):
        self.name, self.out, self.cpus = name, out, cpus

    def boot(self, **options):
        return Machine(self.name, qemu.Options(**{"out": self.out, "cpus": self.cpus, **options}))

    def initfs(self):
        return os.path.join(self.out, "initfs.tar.gz")

    def archive(self, files, base="test-initfs.tar.gz"):
        """As `base`, with files {name: bytes} besides or in place of what it holds; removed by leaving `with`."""
        packed = io.BytesIO()
        with tarfile.open(os.path.join(self.out, base)) as old, \
                tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as new:
            for member in old:
                if member.name not in files:
                    new.addfile(member, old.extractfile(member) if member.isreg() else None)
            for name, data in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                new.addfile(member, io.BytesIO(data))
        return self.scratch(".tar.gz", gzip.compress(packed.getvalue(), 0))

    def scratch(self, suffix, data):
        """A file for this test; the caller removes it by leaving `with`."""
        file = tempfile.NamedTemporaryFile(prefix="protos-", suffix=suffix)
        file.write(data)
        file.flush()
        return file


__all__ = ["SCENARIOS", "Context", "Failure", "Machine", "scenario"]
