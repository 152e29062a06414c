"""Every level's schedule runs on every host: `--emulate-features` replaces the instructions that the
host lacks by arithmetic with the same results. Levels that this host has no unit for are printed."""

import re

import numpy as np
import pytest
from conftest import SERVED
from oracle.llama import Llama
from oracle.synthetic import Synthetic, write

# What the processor says it has, for each level beyond the base.
LEVELS = {
    "avx_vnni": ["avx_vnni"],
    "avx512_vnni": ["avx512bw", "avx512vl", "avx512_vnni"],
    "avx512_bf16": ["avx512vl", "avx512_bf16"],
    "amx_int8": ["amx_tile", "amx_int8"],
    "amx_bf16": ["amx_tile", "amx_bf16"],
}
BASE = "--features=avx2,fma,f16c"
WITH_BF16 = ("--activations=bf16", "--kv=bf16")
PROMPTS = [list(range(3, 70)), list(range(60, 80)), [7], list(range(100, 150))]
# Tokens of one prompt in a step and threads: steps of 1 to 4 tokens, then of 3 to 12, and so on, so
# that every size of tile and every rest occurs.
CHUNKS = ((1, 1), (3, 2), (5, 3), (9, 2), (17, 2), (33, 1))


@pytest.fixture(scope="module", params=["Q8_0", "Q4_0", "Q4_1"])
def checkpoint(request, tmp_path_factory):
    spec = Synthetic(request.param, heads=6, kv_heads=2, weight_type=request.param)
    return write(tmp_path_factory.mktemp("level") / "tiny.gguf", spec)


@pytest.fixture(scope="module")
def bf16_checkpoint(tmp_path_factory):
    """Numbers of k that are odd, and no multiples of a tile's 32."""
    sizes = {"width": 75, "heads": 3, "head_dim": 18, "feed_forward": 97}
    spec = Synthetic("BF16", weight_type="BF16", embedding_type="BF16", **sizes)
    return write(tmp_path_factory.mktemp("level") / "tiny.gguf", spec)


def run(tools, model, chunk, threads, **options):
    flags = ["--chunk", chunk, "--threads", threads]
    return tools.run_tokens(model, PROMPTS, logits=True, options=flags, **options).logits


def assert_same_bytes(tools, model, chunks=CHUNKS):
    expected = run(tools, model, 70, 1)
    for chunk, threads in chunks:
        assert run(tools, model, chunk, threads).tobytes() == expected.tobytes()
    alone = tools.run_tokens(model, PROMPTS[:1], logits=True, options=["--chunk", 1], alone=True)
    assert alone.logits.tobytes() == expected[: len(PROMPTS[0])].tobytes()
    return expected


def assert_close_to_oracle(logits, checkpoint):
    """Within the tolerance of int8 and bf16 activations; see test_synthetic."""
    oracle = Llama(checkpoint, np.float64)
    expected = np.concatenate([oracle.forward(prompt) for prompt in PROMPTS])
    error = logits - expected
    assert np.sqrt(np.mean(error**2)) < 0.03 * np.sqrt(np.mean(expected**2))


@pytest.fixture(scope="module", autouse=True)
def say_what_is_emulated(request):
    flags = open("/proc/cpuinfo").read().split()
    lacking = [level for level, names in LEVELS.items() if not set(names) <= set(flags)]
    if lacking:
        reporter = request.config.pluginmanager.getplugin("terminalreporter")
        reporter.write_line(f"not run natively on this processor: {', '.join(lacking)}")


def test_short_vectors_of_bytes(tools, compiled, checkpoint):
    """Integer dots are exact, so only the length of a vector may change an order of addition."""
    base = run(tools, compiled(checkpoint, *SERVED, BASE), 16, 2)
    model = compiled(checkpoint, *SERVED, BASE, "--emulate-features=avx_vnni")
    logits = assert_same_bytes(tools, model, ((1, 1), (3, 2)))
    assert logits.tobytes() == base.tobytes()


def test_long_vectors_and_tiles_of_bytes(tools, compiled, checkpoint):
    vectors = compiled(checkpoint, *SERVED, BASE, "--emulate-features=avx512_vnni")
    tiles = compiled(checkpoint, *SERVED, BASE, "--emulate-features=amx_int8")
    logits = assert_same_bytes(tools, vectors)
    assert assert_same_bytes(tools, tiles).tobytes() == logits.tobytes()
    assert_close_to_oracle(logits, checkpoint)


@pytest.mark.parametrize("level", ["avx512_bf16", "amx_bf16"])
def test_pairs_of_bf16(tools, compiled, bf16_checkpoint, level):
    model = compiled(bf16_checkpoint, *WITH_BF16, BASE, f"--emulate-features={level}")
    assert_close_to_oracle(assert_same_bytes(tools, model), bf16_checkpoint)


def test_unknown_feature_is_named(tools, checkpoint, tmp_path):
    error = tools.fail(
        "llmir", "compile", checkpoint, "-o", tmp_path / "x.llmir", "--emulate-features=warp9"
    )
    assert "warp9" in error


@pytest.mark.parametrize(
    "processor, instruction, absent",
    [("znver5", "vdpbf16ps", "tdpbf16ps"), ("sapphirerapids", "tdpbf16ps", "vdpbf16ps")],
)
def test_a_processor_has_its_units(tools, bf16_checkpoint, processor, instruction, absent):
    """Which unit a processor's features choose for products of bf16."""
    options = ("--emit=asm", f"--mcpu={processor}", *WITH_BF16, "-o", "-")
    assembly = tools.succeed("llmir", "compile", bf16_checkpoint, *options).stdout
    parts = re.split(r"^(\w+):$", assembly, flags=re.MULTILINE)
    products = "".join(
        body for name, body in zip(parts[1::2], parts[2::2]) if name.startswith("linear_")
    )
    assert instruction in products and absent not in products
