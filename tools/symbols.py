#!/usr/bin/python3
"""The kernel's symbol table (kernel/symbols.h), as assembly on stdout.

    tools/symbols.py                       an empty table, for the first link
    tools/symbols.py KERNEL                the functions of KERNEL
    tools/symbols.py --verify KERNEL TABLE.S   fail unless TABLE.S is the table of KERNEL
"""
import subprocess
import sys


def functions(kernel):
    """[(address, name)] by address; one name per address."""
    listing = subprocess.run(["nm", "-n", "--defined-only", kernel], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
    found = {}
    for line in listing.splitlines():
        address, kind, name = line.split()
        if kind in "tTwW" and int(address, 16) >= 1 << 63 and not name.startswith("."):
            found.setdefault(int(address, 16), name)
    return sorted(found.items())


def table(symbols):
    lines = [".section .rodata.symbols, \"a\", @progbits", ".balign 8",
             ".globl kernel_symbols, kernel_symbol_count, kernel_symbol_names",
             "kernel_symbol_count: .quad %d" % len(symbols), "kernel_symbols:"]
    offset = 0
    for address, name in symbols:
        lines.append(f"    .quad {address:#x}, {offset}")
        offset += len(name) + 1
    lines.append("kernel_symbol_names:")
    lines += [f'    .asciz "{name}"' for _, name in symbols]
    lines.append('.section .note.GNU-stack, "", @progbits')
    return "\n".join(lines) + "\n"


def main():
    arguments = sys.argv[1:]
    if arguments[:1] == ["--verify"]:
        with open(arguments[2], encoding="utf-8") as file:
            if file.read() != table(functions(arguments[1])):
                sys.exit(f"symbols.py: {arguments[1]}: the symbol table does not match the kernel")
        return
    sys.stdout.write(table(functions(arguments[0]) if arguments else []))


main()
