"""Prints the mlir examples in the descriptions of a folder's TableGen files, separated for
--split-input-file; a type or op without one is an error. With FILE, NAME and INDEX, one example."""

import pathlib
import re
import sys


def definitions(text):
    """The (name, body) of each op, type, attribute and dialect of a TableGen file."""
    for part in re.split(r"\n(?=def )", text):
        match = re.match(r"def (\w+)\s+: (\w+)", part)
        if match and re.fullmatch(r"Dialect|TypeDef|AttrDef|EnumAttr|LLM_Type|LLM_\w*Op", match[2]):
            yield match[1], part


def find_examples(body):
    return re.findall(r"```mlir\n(.*?)```", body, re.DOTALL)


def main():
    if len(sys.argv) == 4:
        text = pathlib.Path(sys.argv[1]).read_text()
        part = next(p for p in re.split(r"\n(?=def )", text) if p.startswith(f"def {sys.argv[2]} "))
        print(find_examples(part)[int(sys.argv[3])])
        return
    separator = ""
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.td")):
        for name, body in definitions(path.read_text()):
            examples = find_examples(body)
            if "let summary" not in body or not examples:
                sys.exit(f"{path.name}: expected {name} to have a summary and an example")
            for example in examples:
                print(f"{separator}// {path.name}: {name}\n{example}")
                separator = "// -----\n\n"


if __name__ == "__main__":
    main()
