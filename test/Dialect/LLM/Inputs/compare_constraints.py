"""Compares the constraint ids of docs/Dialect.md, of the checks and of the negative tests; prints
what is missing where, and fails if anything is."""

import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])


def find(pattern, *globs):
    files = [file for glob in globs for file in root.glob(glob)]
    return {name for file in files for name in re.findall(pattern, file.read_text())}


documented = find(r"(?m)^\| ([A-Z]+-\d+) \|", "docs/Dialect.md")
checked = find(r"\(([A-Z]+-\d+)\)", "lib/Dialect/**/*.cpp", "include/llmir/Dialect/**/*.td")
tested = find(r"\(([A-Z]+-\d+)\)", "test/Dialect/**/*-invalid.mlir")

everything = documented | checked | tested
missing = False
for place, found in (("docs/Dialect.md", documented), ("the checks", checked), ("tests", tested)):
    for name in sorted(everything - found):
        print(f"{name} is missing in {place}")
        missing = True
print(f"{len(everything)} constraints")
sys.exit(missing)
