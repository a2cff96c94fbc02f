#!/usr/bin/python3
"""docs/syscalls.md, the reference of the system calls, out of abi/: nothing in it is kept by hand.

    tools/reference.py            write it
    tools/reference.py --check    say what is wrong: the page is not what abi/ says, a call has no list of errors, a test
                                  wants an error of a call that is not in its list
"""
import glob
import os
import re
import sys

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
PAGE = "docs/syscalls.md"
HEAD = """# The system calls

Written by `tools/reference.py` from `abi/`: change it there. How calls work together is said in [ipc](ipc.md),
[protocols](protocols.md), [memory](memory.md), [streams](streams.md) and [devices](devices.md);
[tutorial-service](tutorial-service.md) writes a service with them. In C they are `sys_<name>` of `lib/sys/syscall.h`.

The number goes into `eax` as `SYSCALL_BASE` + number, arguments into `rdi`, `rsi`, `rdx`, `r10`, `r8`, `r9`; `rax` returns a value
≥ 0 or `-E_*`; only `rax`, `rcx` and `r11` change. Times are nanoseconds, deadlines absolute times of the monotonic clock.

Where the first argument is a handle, it is looked up before anything else: `BAD_HANDLE` if it names nothing, `WRONG_TYPE` if it
names something else, `ACCESS` if it lacks the rights that are given with the call. `HANDLE_SELF` is the caller's own process,
thread or namespace. An argument that is an address answers `FAULT` if what it points at is not the caller's to read or
write. The tables list what each call answers besides; a number without a call answers `NO_CALL`. The fuzzer
(`tests/guest/fuzz_syscalls.c`) takes any other answer for a fault of the kernel.
"""


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def split_arguments(text):
    """What stands between the commas outside of parentheses and strings."""
    parts, depth, quoted, start = [], 0, False, 0
    for at, letter in enumerate(text):
        if letter == '"' and text[at - 1] != "\\":
            quoted = not quoted
        elif not quoted and letter in "()":
            depth += 1 if letter == "(" else -1
        elif letter == "," and not quoted and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    return parts + [text[start:].strip()]


def macros(text, pattern):
    """(name, arguments) of each use of a macro at the beginning of a line."""
    for match in re.finditer(rf"^({pattern})\(", text, re.M):
        depth, at = 1, match.end()
        quoted = False
        while depth:
            if text[at] == '"':
                quoted = not quoted
            elif not quoted and text[at] in "()":
                depth += 1 if text[at] == "(" else -1
            at += 1
        yield match.start(), match[1], split_arguments(text[match.end():at - 1])


def calls():
    """[(title, [call])] in the order of the table."""
    text = read("abi/syscalls.def")
    titles = [(match.start(), match[1]) for match in re.finditer(r"^/\* (.+)\. \*/$", text, re.M)]
    groups = [(title, []) for _, title in titles]
    header = read("abi/abi.h")
    for at, macro, arguments in macros(text, r"SYSCALL\d|REGISTERS"):
        number, name, kind, rights, *rest = arguments
        if macro == "REGISTERS":
            number = re.search(rf"#define {number}\s+(0x\w+)u", header)[1]
        pairs = list(zip(rest[:-1:2], rest[1:-1:2]))
        call = {"number": int(number, 0), "name": name, "object": kind, "rights": rights, "arguments": pairs,
                "meaning": rest[-1].strip('"'), "registers": macro == "REGISTERS"}
        groups[sum(place < at for place, _ in titles) - 1][1].append(call)
    return groups


def errors():
    """{call: [(error, when)]}, the groups of abi/call_errors.def spelt out; error "any": whatever a service says."""
    text = re.sub(r"\\\n", " ", read("abi/call_errors.def"))
    groups = {match[1]: match[2] for match in re.finditer(r"^#define (\w+)(.*)$", text, re.M)}

    def spell(body):
        found = []
        for match in re.finditer(r'E\((\w+),\s*"([^"]*)"\)|\b(\w+)\b', body):
            if match[1]:
                found.append((match[1], match[2]))
            elif match[3] == "ANY_ERROR":
                found.append(("any", "what the service answers"))
            elif match[3] in groups:
                found += spell(groups[match[3]])
            else:
                raise SystemExit(f"abi/call_errors.def: {match[3]}?")
        return found
    return {arguments[0]: spell(" ".join(arguments[1:])) for _, _, arguments in macros(text, "ERRORS")}


def paragraphs():
    """[(anchor, title, text)] of abi/abi.h: what has a name of its own, a structure or constants with one prefix."""
    found = []
    for text in re.split(r"\n\n+", read("abi/abi.h")):
        structure = re.search(r"^(?:struct|enum) (\w+) \{", text, re.M)
        names = re.findall(r"^#define (\w+)", text, re.M)
        if structure:
            title = text[structure.start():].split(" {")[0]
        elif names:
            prefix = os.path.commonprefix(names)
            prefix = prefix[:prefix.rfind("_") + 1] if len(names) > 1 else ""
            title = prefix + "*" if prefix else names[0]
        else:
            continue
        found.append((title, text.strip("\n")))
    return found


def anchor(title):
    """GitHub's anchor of a heading."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def signature(call):
    if call["registers"]:
        return f"{call['name']}(...)"
    arguments = [re.sub(r"UPTR\((.*)\) ", r"\1 *", f"{kind} {name}") for kind, name in call["arguments"]]
    if call["object"] != "NONE":
        arguments.insert(0, "handle_t " + ("handle" if call["object"] == "ANY" else call["object"].lower()))
    return f"{call['name']}({', '.join(arguments)})"


def uses(call, titles):
    """Structures and constants the call speaks of, as links."""
    words = call["meaning"] + " " + " ".join(kind for kind, _ in call["arguments"])
    wanted = re.findall(r"struct \w+", words) + re.findall(r"\b[A-Z][A-Z_]+\*", words)
    wanted += ["The short form"] if call["registers"] else []
    return [f"[`{title}`](#{anchor(title)})" for title in dict.fromkeys(wanted) if title in titles]


def call_text(call, list_of_errors, titles):
    lines = [f"### {call['name']}", "", f"    {signature(call)}", "", f"`0x{call['number']:02x}`: {call['meaning']}."]
    if call["object"] not in ("NONE", "ANY"):
        rights = "" if call["rights"] == "0" else " with " + call["rights"].replace("RIGHT_", "").replace(" | ", ", ")
        lines[-1] += f" Handle: {call['object'].lower()}{rights}."
    links = uses(call, titles)
    if links:
        lines[-1] += " See " + ", ".join(links) + "."
    if list_of_errors:
        lines += ["", "| error | when |", "|---|---|"]
        whens = {}
        for error, when in list_of_errors:
            whens.setdefault(error, [])
            if when not in whens[error]:
                whens[error].append(when)
        lines += [f"| {error} | {'; or '.join(when)} |" for error, when in whens.items()]
    return "\n".join(lines) + "\n"


def table(path, macro, head, row):
    lines = [head, re.sub(r"[^|]+", "---", head)]
    lines += [row(arguments) for _, _, arguments in macros(read(path), macro)]
    return "\n".join(lines) + "\n"


def text(value):
    return value.strip('"').replace("|", "\\|")


def page():
    listed, named = errors(), paragraphs()
    titles = [title for title, _ in named]
    out = [HEAD]
    for title, group in calls():
        names = ", ".join(f"[{call['name']}](#{anchor(call['name'])})" for call in group)
        out.append(f"- {title}: {names}")
    out.append("")
    for title, group in calls():
        out.append(f"## {title}\n")
        out += [call_text(call, listed[call["name"]], titles) for call in group]
    out.append("## Errors\n")
    out.append(table("abi/errors.def", "ERROR", "| number | E_ | meaning |",
                     lambda a: f"| {a[0]} | {a[1]} | {text(a[3])} |"))
    out.append("## Objects\n")
    out.append(table("abi/objects.def", "OBJECT", "| number | object | the rights a handle can carry | what it is |",
                     lambda a: f"| {a[0]} | {a[1]} | {a[2].replace('RIGHT_', '').replace(' | ', ', ')} | {text(a[3])} |"))
    out.append("Every handle can carry DUPLICATE and TRANSFER besides.\n")
    out.append("## Operations\n\nWhat a command asks of a service. REPLAY: it is sent again when the service dies with it.\n")
    out.append(table("abi/ops.def", "OP", "| number | OP_ | | meaning |",
                     lambda a: f"| {a[0]} | {a[1]} | {a[2].removeprefix('OP_')} | {text(a[3])} |"))
    out.append("## Structures and constants\n\n`abi/abi.h`, in its order.\n")
    out += [f"### {title}\n\n```c\n{body}\n```\n" for title, body in named]
    return "\n".join(out).rstrip("\n") + "\n"


def wanted_by_tests():
    """An error that a test wants of a call must be one that the call can answer."""
    known = {"BAD_HANDLE", "WRONG_TYPE", "ACCESS", "FAULT", "NO_CALL"}
    listed = errors()
    for path in sorted(glob.glob("tests/guest/**/*.[ch]", recursive=True)):
        for _, _, arguments in macros(re.sub(r"^\s+CHECK_ERROR", "CHECK_ERROR", read(path), flags=re.M), "CHECK_ERROR"):
            match = re.match(r"sys_(\w+)\(", arguments[0])
            if not match or match[1] not in listed:
                continue
            can = {error for error, _ in listed[match[1]]} | known
            if "any" not in can and arguments[1] not in can:
                yield f"{path}: wants {arguments[1]} of {match[1]}, which abi/call_errors.def does not list"


def check():
    names = [call["name"] for _, group in calls() for call in group]
    listed = errors()
    problems = [f"abi/call_errors.def: nothing on {name}" for name in names if name not in listed]
    problems += [f"abi/call_errors.def: there is no call {name}" for name in listed if name not in names]
    if not problems:
        problems += wanted_by_tests()
        if not os.path.exists(PAGE) or read(PAGE) != page():
            problems.append(f"{PAGE}: is not what abi/ says: make format")
    return problems


def main():
    if sys.argv[1:] == ["--check"]:
        problems = check()
        print("\n".join(problems))
        sys.exit(bool(problems))
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(page())


if __name__ == "__main__":
    main()
