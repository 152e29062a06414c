"""`--multiversion`: one file with a version for each of several levels of features, of which loading
takes the best that the host can run."""

import subprocess

import numpy as np
import pytest
from conftest import SERVED

LEVELS = "--multiversion=avx2,avx512_vnni"
PROMPTS = [list(range(3, 40)), list(range(60, 80)), [7], list(range(100, 150))]
HAS_VNNI = {"avx512bw", "avx512vl", "avx512_vnni"} <= set(open("/proc/cpuinfo").read().split())


@pytest.fixture(scope="module")
def alone(compiled, tiny_path):
    """The same model with nothing but the least level."""
    return compiled(tiny_path, *SERVED, "--features=avx2,fma,f16c")


def test_a_level_gives_the_bytes_of_a_model_with_that_level_alone(tools, compiled, tiny_path, alone):
    model = compiled(tiny_path, *SERVED, LEVELS)
    expected = tools.run_tokens(alone, PROMPTS, logits=True).logits
    got = tools.run_tokens(model, PROMPTS, logits=True, options=["--level", "avx2"])
    assert got.stats["level"] == "avx2"
    assert got.logits.tobytes() == expected.tobytes()


def test_the_best_that_the_host_can_run_is_taken(tools, compiled, tiny_path):
    model = compiled(tiny_path, *SERVED, LEVELS)
    done = tools.run_tokens(model, PROMPTS, count=2)
    assert done.stats["level"] == ("avx512_vnni" if HAS_VNNI else "avx2")
    if not HAS_VNNI:
        error = tools.fail("llmir", "run", model, "-p", "x", "--level", "avx512_vnni")
        assert "avx512" in error and "which this host lacks" in error


def test_a_program_has_the_same_versions(tools, compiled, tiny_path, alone, tmp_path):
    program = tools.compile(tiny_path, tmp_path / "program", *SERVED, LEVELS, "--emit=exe")
    matrix = tmp_path / "logits.npy"
    command = [program, "--tokens", ",".join(map(str, PROMPTS[0])), "-n", "0"]
    command += ["--logits", matrix, "--level", "avx2", "--stats=json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert '"level":"avx2"' in done.stderr
    expected = tools.run_tokens(alone, PROMPTS[:1], logits=True, alone=True).logits
    assert np.load(matrix).tobytes() == expected.tobytes()


def test_a_model_with_one_version_has_no_level(tools, alone):
    assert "--multiversion" in tools.fail("llmir", "run", alone, "-p", "x", "--level", "avx2")
