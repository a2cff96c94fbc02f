#!/usr/bin/python3
"""The code of a page docs/tutorial-*.md, out of the page: what stands there is what is compiled, booted and typed.

    tools/tutorial.py PAGE FOLDER

A block ```<language> <path>``` is a piece of that file, laid out in FOLDER as in the project; pieces of one file follow each
other. ```<language> <path> +``` is put in front of the file of that name in the project. ```console``` is what is typed
behind `# `, and what it prints (tests/system/scenarios/tutorial.py).
"""
import os
import re
import sys


def blocks(page):
    """(words behind the language, text) of each block."""
    with open(page, encoding="utf-8") as file:
        for match in re.finditer(r"^```(\w+) ?(.*?)\n(.*?)^```$", file.read(), re.S | re.M):
            yield match[1], match[2].split(), match[3]


def files(page):
    """{path: text} of the files the page writes."""
    found = {}
    for _, words, text in blocks(page):
        if not words:
            continue
        path = words[0]
        if words[1:] == ["+"]:
            with open(path, encoding="utf-8") as file:
                found[path] = found.get(path, "") + text + file.read()
        else:
            found[path] = found[path] + "\n" + text if path in found else text
    return found


def typed(page):
    """[(command, what it prints)] of the console blocks."""
    text = "".join(text for language, _, text in blocks(page) if language == "console")
    parts = re.split(r"^# (.*)\n", text, flags=re.M)[1:]
    return list(zip(parts[::2], parts[1::2]))


def main():
    page, folder = sys.argv[1:]
    for path, text in files(page).items():
        path = os.path.join(folder, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main()
