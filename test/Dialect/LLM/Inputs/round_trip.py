"""Prints each example of a file split by `// -----` in three forms, text, generic and bytecode, reads
it back with llmir-opt and fails if the text differs, or if an op of the folder's TableGen files is
in no example."""

import pathlib
import re
import subprocess
import sys


def run(text, *options):
    result = subprocess.run(["llmir-opt", *options], input=text, capture_output=True)
    if result.returncode:
        sys.exit(result.stderr.decode() + text.decode(errors="replace"))
    return result.stdout


ops = set()
examples = pathlib.Path(sys.argv[1]).read_text().split("// -----\n")
for example in examples:
    text = run(example.encode())
    ops |= set(re.findall(r"\bllm\.\w+(?= )", text.decode()))
    for options in ([], ["--mlir-print-op-generic"], ["--emit-bytecode"]):
        again = run(run(text, *options))
        if again != text:
            sys.exit(f"{options} changes\n{text.decode()}to\n{again.decode()}")

declared = set()
for path in pathlib.Path(sys.argv[2]).glob("*.td"):
    declared |= set(re.findall(r"(?m)^def LLM_\w+Op\s+: LLM_\w+<\"(\w+)\"", path.read_text()))
missing = declared - {op.removeprefix("llm.") for op in ops}
if missing:
    sys.exit(f"no example has {sorted(missing)}")
print(len(examples), "examples of", len(declared), "ops")
