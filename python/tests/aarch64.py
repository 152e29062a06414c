"""Runs models compiled for AArch64 under qemu, by the runtime's own code built for it
(unittests/AArch64)."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

TRIPLE = "--triple=aarch64-linux-gnu"
LIBRARIES = Path("/usr/aarch64-linux-gnu")


class Emulator:
    """qemu-user with a processor that has everything qemu knows, or a part of it."""

    def __init__(self, tools):
        self.tools = tools
        self.program = tools.binaries / "llmir-aarch64-steps"
        self.qemu = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
        if not self.qemu or not LIBRARIES.exists() or not self.program.exists():
            pytest.skip(
                f"no qemu-aarch64-static, no {LIBRARIES} or no {self.program} "
                "(Debian: qemu-user-static g++-aarch64-linux-gnu; scripts/setup installs them)"
            )

    def command(self, processor, *arguments):
        return [self.qemu, "-L", str(LIBRARIES), "-cpu", processor, str(self.program), *map(str, arguments)]

    def run(self, model, prompts, vocabulary, chunk=16, threads=1, seed=None, processor="max"):
        """Logits [tokens, vocabulary] of all prompts, which are served together."""
        listing, output = self.tools.new_file(".ids"), self.tools.new_file(".f32")
        listing.write_text("".join(",".join(map(str, prompt)) + "\n" for prompt in prompts))
        seeds = [] if seed is None else [seed]
        command = self.command(processor, model, listing, output, chunk, threads, *seeds)
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{command} exited {done.returncode}:\n{done.stderr[-4000:]}"
        return np.fromfile(output, np.float32).reshape(-1, vocabulary)

    def units(self, processor):
        """The probe's units that ran."""
        done = subprocess.run(
            self.command(processor, "units"), capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout.splitlines()

    def fail(self, model, prompts, processor):
        """The error of a run that has to fail."""
        listing = self.tools.new_file(".ids")
        listing.write_text("".join(",".join(map(str, prompt)) + "\n" for prompt in prompts))
        command = self.command(processor, model, listing, self.tools.new_file(".f32"), 16, 1)
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 1, f"{command} exited {done.returncode}:\n{done.stderr[-4000:]}"
        return done.stderr
