"""Generates the reference with mlir-tblgen, as the target llmir-doc does, and fails if an op, type,
attribute or pass of the source tree is not in it. Arguments: the project's and MLIR's includes."""

import pathlib
import re
import subprocess
import sys

root, mlir = map(pathlib.Path, sys.argv[1:])


def generate(path, *arguments):
    command = ["mlir-tblgen", *arguments, str(path), f"-I{root}", f"-I{mlir}"]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode or "warning:" in result.stderr:
        sys.exit(f"{path}: {result.stderr}")
    return result.stdout


def require(kind, names, headings):
    missing = sorted(set(names) - set(headings))
    if missing or not names:
        sys.exit(f"expected the reference to have all {kind}, but it lacks {missing}")
    print(len(names), kind)


dialect = root / "llmir/Dialect/LLM/IR"
sources = "\n".join(path.read_text() for path in dialect.glob("*.td"))
text = generate(dialect / "LLMOps.td", "-gen-dialect-doc", "-dialect=llm")
ops = re.findall(r'(?m)^def LLM_\w+Op\s*: LLM_\w+<"(\w+)"', sources)
require("ops", [f"llm.{op}" for op in ops], re.findall(r"(?m)^#+ `(llm\.\w+)`", text))
types = re.findall(r'(?m)^def LLM_(\w+)\s*: LLM_Type<', sources)
require("types", [name.removesuffix("Type") + "Type" for name in types],
        re.findall(r"(?m)^### (\w+Type)$", text))
groups = re.findall(r'OpDocGroup \{\s*let summary = "([^"]+)"', sources)
require("op groups", groups, re.findall(r"(?m)^### (.+)$", text))

passes, documented = [], []
for path in sorted(root.rglob("*Passes.td")):
    passes += re.findall(r'(?m)^def \w+\s*: Pass<"([^"]+)"', path.read_text())
    documented += re.findall(r"(?m)^### `-([\w-]+)`", generate(path, "-gen-pass-doc"))
require("passes", passes, documented)
