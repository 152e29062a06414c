"""Drives the command-line tools under test, as a user would: nothing is imported from LLMIR."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass
class RunResult:
    """What `llmir run` printed and wrote."""

    tokens: list  # one list of ids a prompt
    logits: np.ndarray  # [rows, vocabulary], prompts one after another; None if not asked for
    stats: dict


class Tools:
    """The tools of one build tree."""

    def __init__(self, build_directory, scratch):
        self.binaries = Path(build_directory) / "bin"
        self.scratch = Path(scratch)
        self._serial = 0

    def path(self, name):
        """A tool's path; raises when the tree does not have it."""
        path = self.binaries / name
        if not path.exists():
            raise FileNotFoundError(
                f"no {name} in {self.binaries}: build it or set LLMIR_BUILD_DIR"
            )
        return path

    def new_file(self, suffix):
        """A path in the scratch folder that nothing else uses."""
        self._serial += 1
        return self.scratch / f"file{self._serial}{suffix}"

    def call(self, name, *arguments, timeout=300, **options):
        """Runs a tool and returns its completed process, whatever its exit status."""
        command = [str(self.path(name)), *map(str, arguments)]
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, errors="replace", **options
        )

    def succeed(self, name, *arguments, **options):
        """Runs a tool that has to succeed and returns its completed process."""
        done = self.call(name, *arguments, **options)
        assert done.returncode == 0, f"{done.args} exited {done.returncode}:\n{done.stderr[-4000:]}"
        return done

    def link_shared(self, output, *inputs):
        """Links objects, and compiles C sources that include the seam's header, to a shared object."""
        include = REPOSITORY / "runtime" / "include"
        compiler = os.environ.get("CC", "cc")
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", f"-I{include}", *map(str, inputs), "-lm", "-o", output],
            check=True,
        )

    def fail(self, name, *arguments, **options):
        """Runs a tool that has to fail cleanly, and returns its one line of error."""
        done = self.call(name, *arguments, **options)
        detail = f"{done.args} exited {done.returncode}:\n{done.stderr[-4000:]}"
        assert done.returncode in (1, 2), f"expected a clean error, but {detail}"
        errors = [line for line in done.stderr.splitlines() if "error: " in line]
        assert len(errors) == 1, f"expected one line with an error, but {detail}"
        return errors[0]

    def compile(self, model, output, *options, timeout=600):
        """Compiles a checkpoint."""
        self.succeed("llmir", "compile", model, "-o", output, *options, timeout=timeout)
        return output

    def run_tokens(
        self, model, prompts, count=0, logits=False, options=(), timeout=600, alone=False
    ):
        """Runs one or several prompts of token ids (served together) greedily, with permuted block
        tables. Fewer than four get company, whose results are left out, so that their blocks are
        interleaved with others', unless they are to be served `alone`."""
        wanted = len(prompts)
        wanted_rows = sum(len(prompt) + max(count - 1, 0) for prompt in prompts)
        if not alone:
            company = [prompts[0][: 40 + 7 * i] for i in range(4 - wanted)]
            prompts = [*prompts, *company]
        if "--shuffle-blocks" not in options:
            options = ["--shuffle-blocks", 11, *options]
        listing = self.new_file(".ids")
        listing.write_text("".join(",".join(map(str, prompt)) + "\n" for prompt in prompts))
        arguments = ["run", model, "--tokens", f"@{listing}", "-n", count, "--temperature", 0]
        arguments += ["--ignore-eos", "--print-tokens", "--stats=json", *options]
        matrix = self.new_file(".npy")
        if logits:
            arguments += ["--logits", matrix]
        done = self.succeed("llmir", *arguments, timeout=timeout)
        rows = None
        if logits:
            rows = np.load(matrix)[:wanted_rows]
            os.unlink(matrix)
        lines = done.stdout.splitlines()[:wanted] if count else []
        tokens = [[int(word) for word in line.split(",")] for line in lines]
        return RunResult(tokens, rows, read_stats(done.stderr))


def read_stats(stderr):
    """The one line of JSON that `--stats=json` prints to the standard error."""
    lines = [line for line in stderr.splitlines() if line.startswith("{")]
    assert len(lines) == 1, f"expected one line of JSON, but got:\n{stderr}"
    return json.loads(lines[0])
