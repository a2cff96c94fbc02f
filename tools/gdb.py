"""gdb for `make debug`: attach, stop where the kernel's C code starts, and know a few structures.

Sourced by tools/run --gdb. Commands: `cpus` (a backtrace of each), `control` (control registers),
`user PROGRAM` loads the symbols of a user program (out/sbin/rngd, ...).
"""
import gdb

gdb.execute("set pagination off")
gdb.execute("set print pretty on")
gdb.execute("set disassemble-next-line auto")
gdb.execute("target remote localhost:1234")


class User(gdb.Command):
    """user FILE: add the symbols of a static user program, e.g. `user out/sbin/initd`."""

    def __init__(self):
        super().__init__("user", gdb.COMMAND_FILES, gdb.COMPLETE_FILENAME)

    def invoke(self, argument, from_tty):
        gdb.execute(f"add-symbol-file {argument}")


class Registers(gdb.Command):
    """control: the control registers and the page-table root."""

    def __init__(self):
        super().__init__("control", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        gdb.execute("info registers cr0 cr2 cr3 cr4 efer fs_base gs_base k_gs_base")


class Cpus(gdb.Command):
    """cpus: a backtrace of every CPU."""

    def __init__(self):
        super().__init__("cpus", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        gdb.execute("thread apply all backtrace 12")


User()
Registers()
Cpus()
for function in ("kernel_main", "panic"):
    if gdb.lookup_global_symbol(function):
        # Hardware breakpoints: the kernel's pages are not mapped yet.
        gdb.execute(f"hbreak {function}")
gdb.execute("continue")
