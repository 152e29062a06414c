"""Who is measured: LLMIR through its command line, and llama.cpp as a process that stays loaded.

Every subject has a `name` and `measure(work)`, which returns the seconds of the prompt and of
decoding.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from checkpoints import REPOSITORY

PEER_PACKAGES = {
    "llama.cpp": "llama-cpp-python==0.3.36",
    "ik_llama.cpp": "ik-llama-cpp-python==0.1.5",
}


@dataclass(frozen=True)
class Work:
    """`sequences` prompts of `prompt` tokens in steps of at most `chunk`, then `decode` tokens of
    each, one step for all."""

    prompt: int = 512
    decode: int = 64
    sequences: int = 1
    chunk: int = 512
    threads: int = 2

    def tokens(self, sequence):
        return [3 + (17 * i + 31 * sequence + i * i % 7) % 250 for i in range(self.prompt)]


class Subject:
    """LLMIR: a fresh process each time."""

    name = "LLMIR"

    def __init__(self, build, model, folder, options=()):
        self._llmir = build / "bin" / "llmir"
        self.artifact = Path(folder) / f"{Path(model).stem}.llmir"
        command = [str(self._llmir), "compile", str(model), "-o", str(self.artifact)]
        subprocess.run([*command, "--quiet", *options], check=True)

    def run(self, work):
        """The statistics of one run, and its seconds from start to end."""
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            for sequence in range(work.sequences):
                file.write(",".join(map(str, work.tokens(sequence))) + "\n")
            file.flush()
            command = [str(self._llmir), "run", str(self.artifact), "--ignore-eos"]
            command += ["--print-tokens", "--tokens", f"@{file.name}", "-n", str(work.decode + 1)]
            command += ["--threads", str(work.threads), "--chunk", str(work.chunk), "--stats=json"]
            start = time.perf_counter()
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            seconds = time.perf_counter() - start
        lines = [line for line in done.stderr.splitlines() if line.startswith("{")]
        return json.loads(lines[-1]), seconds

    def measure(self, work):
        statistics, _ = self.run(work)
        return statistics["prompt_seconds"], statistics["decode_seconds"]

    def close(self):
        self.artifact.unlink(missing_ok=True)


def install_peer(name):
    """The Python of a peer's own environment; builds the peer for this host if it is not there."""
    folder = REPOSITORY / ".cache" / f"peer-{name}"
    python = folder / "bin" / "python"
    module = "llama_cpp" if name == "llama.cpp" else "ik_llama_cpp"
    probe = [str(python), "-c", f"import {module}"]
    if python.exists() and subprocess.run(probe, capture_output=True).returncode == 0:
        return python
    print(f"benchmark: building {name} natively (about 30 CPU-minutes, once)", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    package = PEER_PACKAGES[name].split("==")[0]
    command = [str(python), "-m", "pip", "install", "-q", "--no-binary", package]
    environment = {
        **os.environ,
        "CC": "clang-22",
        "CXX": "clang++-22",
        "CMAKE_ARGS": "-DGGML_NATIVE=ON -DGGML_OPENMP=OFF -DLLAVA_BUILD=OFF",
    }
    subprocess.run([*command, PEER_PACKAGES[name]], check=True, env=environment)
    return python


class Peer:
    """llama.cpp, or a fork with its low-level API, in a process of its own that stays loaded."""

    def __init__(self, name, model, work):
        self.name = name
        script = Path(__file__).with_name("peer_llama_cpp.py")
        context = (work.prompt + work.decode + 64) * work.sequences
        arguments = [str(model), str(context), str(work.sequences)]
        self._process = subprocess.Popen(
            [str(install_peer(name)), str(script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.description = self._process.stdout.readline().strip()

    def measure(self, work):
        request = {
            "prompts": [work.tokens(sequence) for sequence in range(work.sequences)],
            "decode": work.decode,
            "chunk": work.chunk,
            "threads": work.threads,
        }
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return answer["prompt_seconds"], answer["decode_seconds"]

    def close(self):
        self._process.stdin.close()
        self._process.wait()
