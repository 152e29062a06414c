"""Runs the before/after examples in the descriptions of a passes' TableGen file: `before`, through the pass, must print as `after`."""

import re
import subprocess
import sys


def run(text, *arguments):
    return subprocess.run(
        ["llmir-opt", "-", *arguments], input=text, capture_output=True, text=True, check=True
    ).stdout


def main():
    text = open(sys.argv[1]).read()
    for definition in re.split(r"\n(?=def )", text):
        argument = re.search(r': Pass<"([^"]+)"', definition)
        examples = re.findall(r"```mlir\n(.*?)```", definition, re.DOTALL)
        if not argument or "Before:" not in definition:
            continue
        before, after = examples
        option = "--" + argument[1]
        options = re.search(r"\n    After, with `([^`]+)`:", definition)
        if options:
            option += "=" + options[1]
        changed, expected = run(before, option), run(after)
        if changed != expected:
            sys.exit(f"{option}: expected\n{expected}but got\n{changed}")
        print(f"--{argument[1]}: ok")


if __name__ == "__main__":
    main()
