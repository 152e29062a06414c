"""`--emit=exe`: one native program that holds code, weights and runtime, and needs no LLVM."""

import re
import shutil
import subprocess

import numpy as np
import pytest
from conftest import SERVED
from prompts import CONTINUED


@pytest.fixture(scope="module")
def program(tools, smollm2_path, tmp_path_factory):
    path = tmp_path_factory.mktemp("exe") / "smollm2"
    return tools.compile(smollm2_path, path, "--emit=exe", *SERVED)


def run_program(program, *arguments, **options):
    return subprocess.run(
        [str(program), *map(str, arguments)],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=300,
        **options,
    )


def test_it_answers_as_the_compiled_model_does(tools, program, served_model):
    arguments = ["-p", CONTINUED[0], "-n", 16, "--print-tokens", "--temperature", 0]
    done = run_program(program, *arguments)
    assert done.returncode == 0, done.stderr.decode()
    expected = tools.succeed("llmir", "run", served_model, *arguments)
    assert done.stdout.decode() == expected.stdout
    assert len(done.stdout.split(b",")) >= 8


def test_it_needs_only_system_libraries(program):
    listing = subprocess.run(
        ["ldd", str(program)], check=True, capture_output=True, text=True
    ).stdout
    names = {line.split()[0].split("/")[-1] for line in listing.splitlines() if line.strip()}
    assert not [name for name in names if re.search("LLVM|MLIR|python", name, re.IGNORECASE)]
    assert "not found" not in listing


def test_it_runs_alone_in_an_empty_folder(program, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copy2(program, moved)
    done = run_program(moved, "-p", "Hello", "-n", 4, cwd=tmp_path, env={"PATH": "/nonexistent"})
    assert done.returncode == 0, done.stderr.decode()
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]


def test_it_writes_the_same_logits(tools, program, served_model, tmp_path):
    tokens = list(range(1000, 1020))
    matrix = tmp_path / "logits.npy"
    listing = ",".join(map(str, tokens))
    done = run_program(program, "--tokens", listing, "-n", 0, "--logits", matrix)
    assert done.returncode == 0, done.stderr.decode()
    expected = tools.run_tokens(served_model, [tokens], logits=True).logits
    assert np.load(matrix).tobytes() == expected.tobytes()
