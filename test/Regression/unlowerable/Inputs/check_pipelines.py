"""Runs a module that verifies through every pipeline: each refuses it with one error at the op.

The module says what is expected, in comments:

    // error@+1: TEXT              an error at the next line whose message contains TEXT
    // error(gpu,ptx)@+2: TEXT     for these pipelines alone, two lines below
    // accepts: optimize, cpu      pipelines that lower it

What is not said: object code is made of the LLVM dialect alone, so that translation refuses the first op.
Any other end is a failure: another exit code, a second error, an error elsewhere, a signal.
"""

import os
import re
import subprocess
import sys

PIPELINES = {
    "optimize": ["llmir-opt", "--llm-optimization-pipeline"],
    "cpu": ["llmir-opt", "--llm-cpu-pipeline=features=avx2,fma,f16c"],
    "gpu": ["llmir-opt", "--llm-gpu-pipeline"],
    "object": ["llmir-translate", "--llmir-to-object"],
    "ptx": ["llmir-translate", "--llmir-to-ptx"],
    "hsaco": ["llmir-translate", "--llmir-to-hsaco"],
}
NOT_LOWERED = "expected only operations of the LLVM dialect"


def first_op(lines):
    for number, line in enumerate(lines, 1):
        if re.match(r"\s*(module\b|\"?[a-z_]+\.)", line):
            return number
    sys.exit("expected an op in the module, but found none")


def read_expectations(lines):
    """The pipelines that accept, and (line, text) for each of the others."""
    accepts, expected = set(), {}
    for number, line in enumerate(lines, 1):
        match = re.match(r"\s*// accepts: (.*)", line)
        if match:
            accepts |= set(re.split(r",\s*", match[1].strip()))
        match = re.match(r"\s*// error(?:\(([^)]*)\))?@\+(\d+): (.*)", line)
        if not match:
            continue
        names, place = match[1], (number + int(match[2]), match[3].strip())
        for name in names.split(",") if names else PIPELINES:
            if names:
                expected[name] = place
            else:
                expected.setdefault(name, place)
    if "object" not in [name for line in lines for name in re.findall(r"// error\(([^)]*)\)", line)]:
        expected["object"] = (first_op(lines), NOT_LOWERED)
    unknown = (accepts | set(expected)) - set(PIPELINES)
    if unknown:
        sys.exit(f"expected pipelines of {', '.join(PIPELINES)}, but got {', '.join(unknown)}")
    return accepts, expected


def check(command, path, expected):
    """What is wrong with the end of `command`; nothing when it is as expected."""
    result = subprocess.run([*command, path, "-o", os.devnull], capture_output=True, text=True)
    errors = re.findall(r"(?m)^(.*?)(?::(\d+):\d+)?: error: (.*)$", result.stderr)
    if expected is None:
        return [] if result.returncode == 0 and not errors else [f"exit code {result.returncode}", result.stderr]
    line, text = expected
    wrong = []
    if result.returncode != 1:
        wrong.append(f"exit code {result.returncode}, expected 1")
    if len(errors) != 1 or result.stderr.count("error:") != 1:
        wrong.append(f"{len(errors)} errors, expected 1")
    elif errors[0][1] != str(line):
        wrong.append(f"an error at line {errors[0][1]}, expected {line}")
    elif text not in errors[0][2]:
        wrong.append(f"another message, expected '{text}'")
    return wrong and [*wrong, result.stderr]


def main():
    path = sys.argv[1]
    lines = open(path).read().split("\n")
    accepts, expected = read_expectations(lines)
    subprocess.run(["llmir-opt", path, "-o", os.devnull], check=True)  # It verifies.
    failed = False
    for name, command in PIPELINES.items():
        if name not in accepts and name not in expected:
            sys.exit(f"{path}: nothing is said of the pipeline '{name}'")
        wrong = check(command, path, None if name in accepts else expected[name])
        if wrong:
            failed = True
            print(f"{name}: " + "\n".join(wrong))
    sys.exit(failed)


if __name__ == "__main__":
    main()
