#!/usr/bin/python3
"""Key maps for inputd, of the distribution's layouts (xkb-data, by console-setup's ckbcomp): sbin/inputd/keymap.h has the form.

    tools/keymap.py LAYOUT > FILE          us, de, fr, or any other that ckbcomp knows, with a variant: "de neo"
"""
import re
import subprocess
import sys
import unicodedata

DEAD = 0x200000  # KEYMAP_DEAD
LEVELS = 4
# ckbcomp's names of dead keys and the combining characters they stand for; dead_k*: the same on consoles without Unicode.
COMBINING = {"grave": 0x300, "acute": 0x301, "circumflex": 0x302, "tilde": 0x303, "macron": 0x304, "breve": 0x306,
             "abovedot": 0x307, "diaeresis": 0x308, "hook": 0x309, "abovering": 0x30A, "doubleacute": 0x30B, "caron": 0x30C,
             "horn": 0x31B, "belowdot": 0x323, "cedilla": 0x327, "ogonek": 0x328, "iota": 0x345}
# What the accent is by itself: typed before a space, or twice.
SPACING = {0x300: "`", 0x301: "\u00b4", 0x302: "^", 0x303: "~", 0x304: "\u00af", 0x306: "\u02d8", 0x307: "\u02d9",
           0x308: "\u00a8", 0x309: "?", 0x30A: "\u00b0", 0x30B: "\u02dd", 0x30C: "\u02c7", 0x31B: "+", 0x323: ".",
           0x327: "\u00b8", 0x328: "\u02db", 0x345: "\u037a"}
NAMED = {"Return": 0x0D, "KP_Enter": 0x0D, "Escape": 0x1B, "Tab": 0x09, "Meta_Tab": 0x09, "KP_Multiply": 0x2A, "KP_Divide": 0x2F,
         "KP_Add": 0x2B, "KP_Subtract": 0x2D}
BACKSPACE = 14


def symbol(word, code):
    """(code point or 0, whether Caps Lock means shift)."""
    match = re.fullmatch(r"(\+?)U\+([0-9a-f]+)", word)
    if match:
        return int(match[2], 16), bool(match[1])
    if word.startswith("dead_"):
        name = word.removeprefix("dead_")
        combining = COMBINING.get(name) or COMBINING.get(name.removeprefix("k"))
        return (DEAD + combining if combining else 0), False
    if word == "Delete" and code == BACKSPACE:
        return 0x7F, False
    return NAMED.get(word, 0), False


def keys(text):
    for match in re.finditer(r"^keycode\s+(\d+) = (.*)$", text, re.M):
        code = int(match[1])
        words = match[2].split()[:LEVELS]
        symbols = [symbol(word, code) for word in words + [words[-1]] * (LEVELS - len(words))]
        if any(value for value, _ in symbols):
            yield code, [value for value, _ in symbols], symbols[0][1]


def composes(combining):
    yield ord(" "), ord(SPACING[combining])
    for base in range(0x21, 0x600):
        composed = unicodedata.normalize("NFC", chr(base) + chr(combining))
        if len(composed) == 1:
            yield base, ord(composed)


def main():
    layout = sys.argv[1].split()
    text = subprocess.run(["ckbcomp", *layout], check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    print(f"# {' '.join(layout)}: made by tools/keymap.py")
    for code, symbols, letter in keys(text):
        print("letter" if letter else "key", code, *(f"{value:#x}" for value in symbols))
    for combining in sorted(SPACING):
        for base, result in composes(combining):
            print(f"compose {combining:#x} {base:#x} {result:#x}")


main()
