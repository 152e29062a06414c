"""Times paged attention against the machine's limits, measured in the same run.

    .venv/bin/python benchmarks/attention/attention.py [--table decode storage window ...]

Every row compiles a step of nothing but attention layers (llmir-opt, llmir-translate, clang) and runs
it over a pool of at least 4 GiB whose blocks are scattered, so that nothing is resident. The limit
of a row is the slower of reading its bytes (as one stretch of memory, with the same threads, before
and after each step) and its multiply-adds (keys and values times the query heads of a group) at the
measured f32 peak. Its floor is the same with the bytes read where they lie, block by block, as fast
as that goes. Rows that are compared run in turn in each round.

Shares and ratios are medians over rounds of what was measured within one; the range is of the
middle 80 %. A round counts when no probe moved by more than 20 % and the host took at most 2 %.
Prints markdown tables.
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


def processor_features():
    """Those of the features that kernels are generated for which this processor has."""
    wanted = ["avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16",
              "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16"]
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            return [name for name in wanted if name in line.split()]
    return []


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

    def case(self, row):
        library, workspace = self.compile(row)
        return {
            "library": str(library), "layers": row.layers, "kv_heads": row.kv_heads,
            "head_dim": row.head_dim, "block": row.block, "max_seq_len": max(row.context, 8192),
            "type": TYPES.index(row.storage), "scales": SCALES.index(row.scales),
            "scale_type": 1 if row.scales != "none" else 0, "group": row.group_channels,
            "window": row.window, "context": row.context, "tokens": row.tokens,
            "sequences": row.sequences, "contiguous": row.contiguous,
            "workspace_per_token": workspace["per_token"], "workspace_fixed": workspace["fixed"],
        }

    def run(self, *rows):
        """Measures rows in turn: a list of Measured, and how many rounds were tried."""
        rows = [row.with_layers() for row in rows]
        options = {
            "threads": rows[0].threads, "pool_bytes": self.pool_bytes, "rounds": self.rounds,
            "most_rounds": 6 * self.rounds, "cases": [self.case(row) for row in rows],
        }
        path = self.folder / "cases.json"
        path.write_text(json.dumps(options))
        result = json.loads(self.call(self.build / "benchmarks/AttentionRunner", path))
        if not result.get("rounds"):
            return None
        return [Measured(row, result["bytes"][i], [r[i] for r in result["rounds"]])
                for i, row in enumerate(rows)]


class Measured:
    """A row's rounds, and what follows from each."""

    def __init__(self, row, size, rounds):
        self.row, self.bytes = row, size
        seen = min(row.context, row.window or row.context)
        elements = row.layers * row.kv_heads * seen * row.sequences * 2 * row.head_dim
        work = elements * row.group * row.tokens
        if row.tokens > 1:
            work /= 2  # A causal triangle is half of the square.
        self.seconds = [r["seconds"] for r in rounds]
        self.probe = [r["probe"] for r in rounds]
        self.work = [work / r["peak"] for r in rounds]
        self.shares = [max(r["probe"], w) / r["seconds"] for r, w in zip(rounds, self.work)]
        self.floor_shares = [max(r["blocks"], w) / r["seconds"] for r, w in zip(rounds, self.work)]
        self.work_shares = [w / r["seconds"] for r, w in zip(rounds, self.work)]

    @property
    def limit(self):
        return "reads" if median(self.probe) >= median(self.work) else "multiply-adds"

    def rate(self, seconds):
        return f"{self.bytes / median(seconds) / 1e9:.1f}"

    def time_per_byte(self):
        return [seconds / self.bytes for seconds in self.seconds]


def median(values):
    return sorted(values)[len(values) // 2]


def spread(values, unit=""):
    """Median and the range of the middle 80 %."""
    ordered = sorted(values)
    cut = len(ordered) // 10
    ends = ordered[cut], ordered[len(ordered) - 1 - cut]
    form = "{:.0f}" if unit else "{:.2f}"
    scale = 100 if unit else 1
    low, middle, high = (form.format(scale * v) for v in (ends[0], median(values), ends[1]))
    return f"{middle}{unit} ({low} to {high})"


def ratios(over, under):
    return [a / b for a, b in zip(over, under)]


def verdict(values, least=None, most=None):
    """Of the median, against a least or a most."""
    if least is None and most is None:
        return ""
    met = median(values) >= least if least is not None else median(values) <= most
    return "met" if met else "MISSED"


def print_header(*names):
    print("| " + " | ".join(names) + " |")
    print("|" + "---|" * len(names))


def print_row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def grid(arguments):
    return [(group, head_dim, threads) for group in arguments.groups
            for head_dim in arguments.head_dims for threads in arguments.threads]


def table_decode(runner, arguments):
    print("\nDecode, one sequence, f16, blocks of 16\n")
    print_header("context", "heads a group", "head size", "threads", "GB/s", "probe GB/s", "limit",
                 "share of the limit", "least", "share of the floor", "rounds")
    leasts = {4096: 0.65, 32768: 0.70}
    for context in arguments.contexts:
        for group, head_dim, threads in grid(arguments):
            measured = runner.run(Row(context, group, head_dim, threads=threads))
            if not measured:
                print_row(context, group, head_dim, threads, "no steady round")
                continue
            m, least = measured[0], leasts.get(context)
            print_row(context, group, head_dim, threads, m.rate(m.seconds), m.rate(m.probe),
                      m.limit, spread(m.shares, " %"),
                      f"{least:.0%}: {verdict(m.shares, least)}" if least else "",
                      spread(m.floor_shares, " %"), len(m.shares))


def table_short(runner, arguments):
    print("\n512 tokens against 32k, time per byte (at most 1.5)\n")
    print_header("heads a group", "head size", "threads", "ratio", "verdict", "rounds")
    for group, head_dim, threads in grid(arguments):
        measured = runner.run(*(Row(context, group, head_dim, threads=threads)
                                for context in (512, 32768)))
        if not measured:
            print_row(group, head_dim, threads, "no steady round")
            continue
        short, long = measured
        values = ratios(short.time_per_byte(), long.time_per_byte())
        print_row(group, head_dim, threads, spread(values), verdict(values, most=1.5), len(values))


def table_storage(runner, arguments):
    print("\nStorage at 8k, 3 heads a group: tokens/s against f16\n")
    print_header("storage", "head size", "threads", "against f16", "least", "share of the limit",
                 "share of the floor", "rounds")
    for head_dim in arguments.head_dims:
        for threads in arguments.threads:
            def row(storage, scales="token", channels=0):
                return Row(8192, head_dim=head_dim, threads=threads, layers=10, storage=storage,
                           scales=scales, group_channels=channels)
            others = [(1.5, row("i8")), (1.4, row("f8E4M3FN")), (1.4, row("f8E5M2")),
                      (1.8, row("i4")), (None, row("i4", "group", 32)),
                      (None, row("bf16", "none"))]
            for least, other in others:
                name = other.storage + (f" ({other.scales})" if other.scales != "none" else "")
                measured = runner.run(row("f16", "none"), other)
                if not measured:
                    print_row(name, head_dim, threads, "no steady round")
                    continue
                base, m = measured
                values = ratios(base.seconds, m.seconds)
                print_row(name, head_dim, threads, spread(values),
                          f"{least}: {verdict(values, least)}" if least else "",
                          spread(m.shares, " %"), spread(m.floor_shares, " %"), len(values))


def table_layout(runner, arguments):
    print("\nPaged against contiguous, window 512 at 32k against 512 tokens\n")
    print_header("what", "threads", "ratio", "limit", "rounds")
    for threads in arguments.threads:
        rows = [(f"paged, {context} tokens: speed against contiguous",
                 Row(context, threads=threads, contiguous=True), Row(context, threads=threads))
                for context in (4096, 32768)]
        rows.append(("window 512 at 32k: time against 512 tokens",
                     Row(32768, threads=threads, layers=20, window=512),
                     Row(512, threads=threads, layers=20)))
        for name, first, second in rows:
            measured = runner.run(first, second)
            if not measured:
                print_row(name, threads, "no steady round")
                continue
            values = ratios(measured[0].seconds, measured[1].seconds)
            limit = (f"at most 1.3: {verdict(values, most=1.3)}" if first.window
                     else f"at least 0.95: {verdict(values, least=0.95)}")
            print_row(name, threads, spread(values), limit, len(values))


def table_prefill(runner, arguments):
    print("\nPrefill of 2,048 tokens, f32 dots, share of the f32 peak\n")
    print_header("heads a group", "head size", "threads", "share of the peak", "rounds")
    for group, head_dim, threads in grid(arguments):
        measured = runner.run(Row(2048, group, head_dim, threads=threads, tokens=2048))
        if not measured:
            print_row(group, head_dim, threads, "no steady round")
            continue
        print_row(group, head_dim, threads, spread(measured[0].work_shares, " %"),
                  len(measured[0].shares))


TABLES = {"decode": table_decode, "short": table_short, "storage": table_storage,
          "layout": table_layout, "prefill": table_prefill}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=REPOSITORY / "build" / "release")
    parser.add_argument("--table", nargs="+", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--contexts", type=int, nargs="+", default=[512, 4096, 32768])
    parser.add_argument("--groups", type=int, nargs="+", default=[3, 8])
    parser.add_argument("--head-dims", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--pool-bytes", type=int, default=4 << 30)
    arguments = parser.parse_args()
    print(f"{processor_name()}: {', '.join(processor_features())}")
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(arguments.build, folder, arguments.rounds, arguments.pool_bytes)
        for name in arguments.table:
            TABLES[name](runner, arguments)


if __name__ == "__main__":
    main()
