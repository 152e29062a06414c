"""Times paged attention against the machine's limits, measured in the same run.

    .venv/bin/python benchmarks/attention/attention.py [--table decode storage window ...]

Every row compiles a step of nothing but attention layers (llmir-opt, llmir-translate, clang) and runs
it over a pool of at least 4 GiB whose blocks are scattered, so that nothing is resident. The limit
of a row is the slower of reading its bytes (probe with the same bytes, threads and memory, between
the steps) and its multiply-adds (keys and values times the query heads of a group) at the measured
f32 peak. Prints markdown tables; `share` is the limit's time over the measured one.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "model"))
from machine import processor_name  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
TYPES = ["f32", "f16", "bf16", "f8E4M3FN", "f8E5M2", "i8", "i4"]
SCALES = ["none", "tensor", "head", "token", "group"]
BITS = {"f32": 32, "f16": 16, "bf16": 16, "f8E4M3FN": 8, "f8E5M2": 8, "i8": 8, "i4": 4}


@dataclass(frozen=True)
class Row:
    context: int
    group: int = 3
    head_dim: int = 64
    kv_heads: int = 3
    threads: int = 2
    block: int = 16
    storage: str = "f16"
    scales: str = "none"
    group_channels: int = 0
    window: int = 0
    tokens: int = 1
    sequences: int = 1
    contiguous: bool = False
    layers: int = 0  # 0: as many as give a step of about 64 MB

    @property
    def heads(self):
        return self.group * self.kv_heads

    @property
    def token_bytes(self):
        scale = {"token": 2, "group": 2 * self.head_dim // max(self.group_channels, 1)}
        return 2 * (self.head_dim * BITS[self.storage] // 8 + scale.get(self.scales, 0))

    def with_layers(self):
        if self.layers:
            return self
        seen = min(self.context, self.window or self.context)
        layer = self.token_bytes * self.kv_heads * seen * self.sequences
        if self.tokens > 1:
            return replace(self, layers=2)
        return replace(self, layers=max(1, min(30, (64 << 20) // layer)))


def cache_type(row):
    extra = ""
    if row.storage != "f16":
        extra += f", key_storage = {row.storage}, value_storage = {row.storage}"
    if row.scales != "none":
        extra += f", key_scales = {row.scales}, value_scales = {row.scales}, scale = f16"
    if row.group_channels:
        extra += f", key_scale_group = {row.group_channels}, value_scale_group = {row.group_channels}"
    if row.window:
        extra += f", window = {row.window}"
    length = max(row.context, 8192)
    return (f"!llm.paged_kv_cache<f16, {row.layers}, {row.kv_heads}, {row.head_dim}, {row.block},"
            f" {length}{extra}>")


def module_text(row):
    wide, query = row.heads * row.head_dim, f"tensor<?x{row.heads}x{row.head_dim}xf32>"
    lines = [
        f"!kv = {cache_type(row)}",
        "llm.weight @embedding : tensor<16x64xf32>",
        f"llm.weight @query : tensor<{wide}x64xf32>",
        f"llm.weight @back : tensor<64x{wide}xf32>",
        "llm.weight @head : tensor<16x64xf32>",
        "func.func @step(%context: !llm.step_context, %tokens: tensor<?xi32>, %positions: "
        "tensor<?xi32>, %cu: tensor<?xi32>, %lens: tensor<?xi32>, %kv: !kv, %slots: tensor<?xi32>, "
        "%table: tensor<?x?xi32>, %rows: tensor<?xi32>) -> (tensor<?x16xf32>, !kv) "
        "attributes {llm.step} {",
        "  %x = llm.embedding %tokens, @embedding : tensor<?xi32> -> tensor<?x64xf32>",
        f"  %q0 = llm.linear %x, @query : (tensor<?x64xf32>) -> {query}",
    ]
    for layer in range(row.layers):
        lines.append(
            f"  %q{layer + 1} = llm.paged_attention %q{layer}, %kv, %table, %lens cu_lengths(%cu) "
            f"{{num_heads = {row.heads} : i32, head_dim = {row.head_dim} : i32, "
            f"scale = {row.head_dim ** -0.5} : f32, layer = {layer} : i32}} : ({query}, !kv, "
            f"tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>) -> {query}")
    lines += [
        f"  %y = llm.linear %q{row.layers}, @back : ({query}) -> tensor<?x64xf32>",
        "  %logits = llm.logits %y, %rows, @head : (tensor<?x64xf32>, tensor<?xi32>) "
        "-> tensor<?x16xf32>",
        "  return %logits, %kv : tensor<?x16xf32>, !kv",
        "}",
    ]
    return "\n".join(lines) + "\n"


class Runner:
    def __init__(self, build, folder, rounds, pool_bytes):
        self.build, self.folder = build, Path(folder)
        self.rounds, self.pool_bytes = rounds, pool_bytes
        self.libraries = {}

    def call(self, *command):
        result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if result.returncode != 0:
            sys.exit(f"attention: {command[0]} failed:\n{result.stderr}")
        return result.stdout

    def compile(self, row):
        text = module_text(row)
        if text in self.libraries:
            return self.libraries[text]
        stem = self.folder / f"step{len(self.libraries)}"
        stem.with_suffix(".mlir").write_text(text)
        lowered, step = stem.with_suffix(".lowered.mlir"), stem.with_suffix(".so")
        self.call(self.build / "bin/llmir-opt", stem.with_suffix(".mlir"),
                  "--llm-choose-packed-layouts", "--llm-cpu-pipeline", "-o", lowered)
        self.call(self.build / "bin/llmir-translate", "--llmir-to-object", lowered, "-o",
                  stem.with_suffix(".o"))
        self.call("clang-22", "-shared", "-o", step, stem.with_suffix(".o"), "-lm")
        workspace = {}
        attribute = lowered.read_text().split("llm.workspace = {")[1].split("}")[0]
        for part in attribute.split(","):
            name, value = part.split("=")
            workspace[name.strip()] = int(value.split(":")[0])
        self.libraries[text] = step, workspace
        return self.libraries[text]

    def run(self, row):
        row = row.with_layers()
        library, workspace = self.compile(row)
        options = {
            "library": library, "layers": row.layers, "heads": row.heads,
            "kv-heads": row.kv_heads, "key-dim": row.head_dim, "value-dim": row.head_dim,
            "block": row.block, "max-seq-len": max(row.context, 8192),
            "key-type": TYPES.index(row.storage), "value-type": TYPES.index(row.storage),
            "key-scales": SCALES.index(row.scales), "value-scales": SCALES.index(row.scales),
            "scale-type": 1 if row.scales != "none" else 0, "key-group": row.group_channels,
            "value-group": row.group_channels, "window": row.window, "context": row.context,
            "tokens": row.tokens, "sequences": row.sequences, "threads": row.threads,
            "pool-bytes": self.pool_bytes, "rounds": self.rounds,
            "workspace-per-token": workspace["per_token"], "workspace-fixed": workspace["fixed"],
        }
        command = [self.build / "benchmarks/AttentionRunner"]
        for name, value in options.items():
            command += [f"--{name}", value]
        if row.contiguous:
            command.append("--contiguous")
        measured = json.loads(self.call(*command))
        elements = row.layers * row.kv_heads * row.context * row.sequences * 2 * row.head_dim
        measured["work"] = elements * row.group * row.tokens
        measured["read_limit"] = measured["probe_seconds"]
        measured["work_limit"] = measured["work"] / measured["multiply_adds_per_second"]
        measured["share"] = max(measured["read_limit"], measured["work_limit"]) / measured["seconds"]
        measured["tokens_per_second"] = row.sequences * row.tokens / measured["seconds"]
        measured["seconds_per_byte"] = measured["seconds"] / measured["bytes"]
        measured["layers"] = row.layers
        return measured


def print_header(*names):
    print("| " + " | ".join(names) + " |")
    print("|" + "---|" * len(names))


def print_row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def gigabytes(measured, key="seconds"):
    return f"{measured['bytes'] / measured[key] / 1e9:.1f}"


def table_decode(runner):
    print("\nDecode, one sequence, f16, blocks of 16\n")
    print_header("context", "heads a group", "head size", "threads", "GB/s", "probe GB/s",
                 "share of the limit", "limit", "least")
    for context, least in ((512, ""), (4096, "65 %"), (32768, "70 %")):
        for group in (3, 8):
            for head_dim in (64, 128):
                for threads in (1, 2):
                    m = runner.run(Row(context, group, head_dim, threads=threads))
                    by = "reads" if m["read_limit"] >= m["work_limit"] else "multiply-adds"
                    print_row(context, group, head_dim, threads, gigabytes(m),
                              gigabytes(m, "probe_seconds"), f"{m['share'] * 100:.0f} %", by, least)


def table_short(runner):
    print("\n512 tokens against 32k, time per byte (at most 1.5)\n")
    print_header("heads a group", "head size", "threads", "ratio")
    for group in (3, 8):
        for head_dim in (64, 128):
            for threads in (1, 2):
                short, long = (runner.run(Row(context, group, head_dim, threads=threads))
                               for context in (512, 32768))
                print_row(group, head_dim, threads,
                          f"{short['seconds_per_byte'] / long['seconds_per_byte']:.2f}")


def table_storage(runner):
    print("\nStorage at 8k, 3 heads a group: tokens/s against f16\n")
    print_header("storage", "head size", "threads", "against f16", "share of the limit", "least")
    for head_dim in (64, 128):
        for threads in (1, 2):
            def row(storage, scales="token", channels=0):
                return Row(8192, head_dim=head_dim, threads=threads, layers=10, storage=storage,
                           scales=scales, group_channels=channels)
            base = runner.run(row("f16", "none"))
            for least, other in ((1.5, row("i8")), (1.4, row("f8E4M3FN")), (1.4, row("f8E5M2")),
                                 (1.8, row("i4")), ("", row("i4", "group", 32)),
                                 ("", row("bf16", "none"))):
                m = runner.run(other)
                name = other.storage + (f" ({other.scales})" if other.scales != "none" else "")
                print_row(name, head_dim, threads, f"{base['seconds'] / m['seconds']:.2f}",
                          f"{m['share'] * 100:.0f} %", least)


def table_layout(runner):
    print("\nPaged against contiguous (at least 0.95), window 512 at 32k against 512 (at most 1.3)\n")
    print_header("what", "threads", "ratio")
    for threads in (1, 2):
        for context in (4096, 32768):
            paged = runner.run(Row(context, threads=threads))
            contiguous = runner.run(Row(context, threads=threads, contiguous=True))
            print_row(f"paged, {context} tokens", threads,
                      f"{contiguous['seconds'] / paged['seconds']:.2f}")
        short = runner.run(Row(512, threads=threads, layers=20))
        window = runner.run(Row(32768, threads=threads, layers=20, window=512))
        print_row("window 512 at 32k", threads, f"{window['seconds'] / short['seconds']:.2f}")


def table_prefill(runner):
    print("\nPrefill of 2,048 tokens, f32 dots, share of the f32 peak\n")
    print_header("heads a group", "head size", "threads", "share of the peak")
    for group in (3, 8):
        for head_dim in (64, 128):
            for threads in (1, 2):
                m = runner.run(Row(2048, group, head_dim, threads=threads, tokens=2048))
                # A causal triangle is half of the square.
                print_row(group, head_dim, threads,
                          f"{m['work_limit'] / 2 / m['seconds'] * 100:.0f} %")


TABLES = {"decode": table_decode, "short": table_short, "storage": table_storage,
          "layout": table_layout, "prefill": table_prefill}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=REPOSITORY / "build" / "release")
    parser.add_argument("--table", nargs="+", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--pool-bytes", type=int, default=4 << 30)
    arguments = parser.parse_args()
    print(f"{processor_name()}")
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(arguments.build, folder, arguments.rounds, arguments.pool_bytes)
        for name in arguments.table:
            TABLES[name](runner)


if __name__ == "__main__":
    main()
