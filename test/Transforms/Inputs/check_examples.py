"""Runs the examples in the descriptions of all passes of a source tree (every `*Passes.td`). A pass
without one fails. What an example is follows from the sentence above it:

  Before: and After:     what the pass makes of the one prints as the other
  After, in part:        its lines are in what the pass makes, in order: `...` stands for anything,
                         and a value's name for one name
  Remarks:               a comment `// remark: TEXT` is the remark on the op below it
  Refused:, Accepted:    the pass fails with an error, or does not

``with `OPTIONS` `` in the sentence of After, Remarks, Refused or Accepted gives the pass options."""

import pathlib
import re
import subprocess
import sys

KINDS = ("Before", "After", "Remarks", "Refused", "Accepted")


def run(text, *arguments):
    return subprocess.run(
        ["llmir-opt", "-", *arguments], input=text, capture_output=True, text=True
    )


def transform(text, *arguments):
    result = run(text, *arguments)
    if result.returncode:
        sys.exit(f"{arguments}:\n{result.stderr}")
    return result.stdout


def find_examples(definition):
    """The (sentence above, module) of each example that is one of KINDS."""
    end = 0
    for match in re.finditer(r"```mlir\n(.*?)```", definition, re.DOTALL):
        above = definition[end : match.start()].strip().split("\n\n")[-1]
        # Examples that follow one another have their sentence on one line.
        sentence = " ".join(above.split())
        end = match.end()
        if sentence.startswith(KINDS):
            yield sentence, match[1]


def line_pattern(line, names):
    """A line of an excerpt as a pattern; `names` has the values' names found so far."""
    pattern, new = "", {}
    for part in re.split(r"(\.\.\.|%[\w$.-]+)", line):
        if part == "...":
            pattern += ".*"
        elif not part.startswith("%"):
            pattern += re.escape(part)
        elif part in names:
            pattern += re.escape(names[part]) + r"\b"
        elif part in new:
            pattern += f"(?P={new[part]})\\b"
        else:
            new[part] = f"v{len(new)}"
            pattern += f"(?P<{new[part]}>%[\\w#]+)"
    return re.compile(pattern), new


def find_missing(excerpt, text):
    """The first line of an excerpt that is not in its place in `text`, or None."""
    # Printers differ in where they put two spaces.
    names, lines = {}, (" ".join(line.split()) for line in text.splitlines())
    for wanted in filter(None, (" ".join(line.split()) for line in excerpt.splitlines())):
        pattern, new = line_pattern(wanted, names)
        found = next(filter(None, map(pattern.search, lines)), None)
        if not found:
            return wanted
        names.update({name: found[group] for name, group in new.items()})
    return None


def check(option, sentence, module, before):
    """Why an example is not true, or None."""
    if sentence.startswith("After") and ", in part" in sentence:
        changed = transform(before, option)
        missing = find_missing(module, changed)
        return missing and f"expected, in its place,\n{missing}\nbut got\n{changed}"
    if sentence.startswith("After"):
        changed, expected = transform(before, option), transform(module)
        return None if changed == expected else f"expected\n{expected}but got\n{changed}"
    result = run(module, option)
    if sentence.startswith("Remarks"):
        wanted = [
            (number + 1, text[1])
            for number, line in enumerate(module.splitlines(), 1)
            if (text := re.search(r"// remark: (.*)", line))
        ]
        got = re.findall(r"<stdin>:(\d+):\d+: remark: (.*)", result.stderr)
        got = [(int(number), text) for number, text in got]
        return None if wanted and wanted == got else f"expected {wanted}, but got {got}"
    refused = result.returncode != 0 and "error:" in result.stderr
    if refused != sentence.startswith("Refused"):
        return f"expected it {sentence.split(',')[0].lower()}, but got\n{result.stderr}"
    return None


def check_pass(definition, argument):
    before, checked = None, 0
    for sentence, module in find_examples(definition):
        if sentence.startswith("Before"):
            before = module
            continue
        options = re.search(r"with `([^`]+)`", sentence)
        option = f"--{argument}" + (f"={options[1]}" if options else "")
        problem = check(option, sentence, module, before)
        if problem:
            sys.exit(f"{option}: {problem}")
        checked += 1
    if not checked:
        sys.exit(f"--{argument}: expected its description to have an example, but it has none")
    print(f"--{argument}: {checked} ok")


def main():
    for path in sorted(pathlib.Path(sys.argv[1]).rglob("*Passes.td")):
        for definition in re.split(r"\n(?=def )", path.read_text()):
            argument = re.match(r'def \w+\s*: Pass<"([^"]+)"', definition)
            if argument:
                check_pass(definition, argument[1])


if __name__ == "__main__":
    main()
