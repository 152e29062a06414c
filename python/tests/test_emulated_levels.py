"""Every level's schedule runs on every host: `--emulate-features` replaces the instructions that the
host lacks by arithmetic with the same results. Levels that this host has no unit for are printed."""

import numpy as np
import pytest
from conftest import SERVED
from oracle.llama import Llama
from oracle.synthetic import Synthetic, write

# What the processor says it has, for each level beyond the base.
LEVELS = {"avx_vnni": ["avx_vnni"], "avx512_vnni": ["avx512bw", "avx512vl", "avx512_vnni"]}
BASE = "--features=avx2,fma,f16c"
PROMPTS = [list(range(3, 40)), list(range(60, 80)), [7], list(range(100, 150))]


@pytest.fixture(scope="module", params=["Q8_0", "Q4_0", "Q4_1"])
def checkpoint(request, tmp_path_factory):
    spec = Synthetic(request.param, layers=2, heads=6, kv_heads=2, weight_type=request.param)
    return write(tmp_path_factory.mktemp("level") / "tiny.gguf", spec)


def run(tools, model, chunk, threads):
    options = ["--chunk", chunk, "--threads", threads]
    return tools.run_tokens(model, PROMPTS, logits=True, options=options).logits


@pytest.fixture(scope="module", autouse=True)
def say_what_is_emulated(request):
    flags = open("/proc/cpuinfo").read().split()
    lacking = [level for level, names in LEVELS.items() if not set(names) <= set(flags)]
    if lacking:
        reporter = request.config.pluginmanager.getplugin("terminalreporter")
        reporter.write_line(f"not run natively on this processor: {', '.join(lacking)}")


@pytest.mark.parametrize("level", LEVELS)
def test_gives_the_same_bytes_for_any_chunk(tools, compiled, checkpoint, level):
    model = compiled(checkpoint, *SERVED, BASE, f"--emulate-features={level}")
    expected = run(tools, model, 64, 1)
    for chunk, threads in ((1, 1), (3, 2), (6, 2)):
        assert run(tools, model, chunk, threads).tobytes() == expected.tobytes()


def test_units_of_one_vector_length_agree(tools, compiled, checkpoint):
    """Integer dots are exact, so only the length of a vector may change an order of addition."""
    base = run(tools, compiled(checkpoint, *SERVED, BASE), 16, 2)
    vnni = compiled(checkpoint, *SERVED, BASE, "--emulate-features=avx_vnni")
    assert run(tools, vnni, 16, 2).tobytes() == base.tobytes()


def test_long_vectors_agree_with_the_oracle(tools, compiled, checkpoint):
    oracle = Llama(checkpoint, np.float64)
    expected = np.concatenate([oracle.forward(prompt) for prompt in PROMPTS])
    model = compiled(checkpoint, *SERVED, BASE, "--emulate-features=avx512_vnni")
    error = run(tools, model, 16, 2) - expected
    # The tolerance of int8 activations; see test_synthetic.
    assert np.sqrt(np.mean(error**2)) < 0.03 * np.sqrt(np.mean(expected**2))


def test_unknown_feature_is_named(tools, checkpoint, tmp_path):
    error = tools.fail(
        "llmir", "compile", checkpoint, "-o", tmp_path / "x.llmir", "--emulate-features=warp9"
    )
    assert "warp9" in error
