"""Models compiled for AArch64, run under qemu by the runtime's own loading, workers, caches and
steps: against the numpy oracle, with each cache type; the same bytes on every unit and vector length,
for any chunk and number of threads, and on this host where the units are emulated."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
from aarch64 import TRIPLE, Emulator
from oracle.llama import KVCache, Llama
from oracle.synthetic import Synthetic, write

# Features beyond the base, and qemu's processors: of SVE, vectors of 128, 256, 512 and 2048 bits.
FEATURES = {"neon": [], "neon_dotprod": ["dotprod"], "sve": ["sve"], "neon_i8mm": ["dotprod,i8mm"]}
PROCESSORS = {
    "neon": ["cortex-a57"],
    "neon_dotprod": ["neoverse-n1"],
    "sve": [f"max,sve-max-vq={quads},sve-default-vector-length=-1" for quads in (1, 2, 4, 16)],
    "neon_i8mm": ["max,sve=off"],
}
PROMPTS = [list(range(3, 40)), list(range(60, 80)), [7], list(range(100, 150))]
BITS = {"i8": 8, "i4": 4}


@dataclass(frozen=True)
class Case:
    """A checkpoint, how it is compiled, and how far its logits may be from the oracle's."""

    spec: Synthetic
    activations: str
    cache: str
    level: str = "neon_i8mm"
    tolerance: float = 0.03  # Of the logits' root mean square: int8 and bf16, see test_synthetic.


def case(weights, activations, cache, level="neon_i8mm", tolerance=0.03, **sizes):
    spec = Synthetic(f"{weights}-{cache}", weight_type=weights, **sizes)
    return Case(spec, activations, cache, level, tolerance)


GROUPED = {"heads": 4, "kv_heads": 2, "head_dim": 16}
CASES = [
    case("Q8_0", "int8", "i8", embedding_type="Q8_0", vocabulary=301, **GROUPED),
    case("Q4_1", "int8", "f16", "sve", width=64, feed_forward=96, tied=False, **GROUPED),
    case("F16", "f32", "f16", "neon", 3e-3, width=42, head_dim=14, feed_forward=51),
    case("BF16", "bf16", "bf16", "neon_dotprod", width=50, heads=1, head_dim=50, feed_forward=33),
    case("F32", "f32", "i4", "neon", 3e-3, width=60, heads=5, head_dim=12, feed_forward=77),
]
# Compiled for every level: biased codes, an int8 head, odd numbers of groups, rows and panels.
LEVELLED = case("Q4_0", "int8", "f16", layers=2, embedding_type="Q8_0", vocabulary=263, **GROUPED)


class RoundingCache(KVCache):
    """Stores what a cache of integer codes with a scale for each token and head stores."""

    def __init__(self, layers, bits):
        super().__init__(layers)
        self.limit = 2 ** (bits - 1) - 1

    def append(self, layer, keys, values):
        return super().append(layer, self.round(keys), self.round(values))

    def round(self, x):
        scale = np.abs(x).max(axis=-1, keepdims=True) / self.limit
        scale = np.maximum(scale.astype(np.float16).astype(np.float64), 1e-30)
        return np.clip(np.rint(x / scale), -self.limit, self.limit) * scale


def oracle_logits(checkpoint, cache):
    oracle = Llama(checkpoint, np.float64)
    if cache in BITS:
        oracle.new_cache = lambda: RoundingCache(oracle.parameters.layers, BITS[cache])
    return np.concatenate([oracle.forward(prompt) for prompt in PROMPTS])


def error_of(logits, expected):
    """Root mean square, relative to the logits'."""
    assert logits.shape == expected.shape
    return np.sqrt(((logits - expected) ** 2).mean() / (expected**2).mean())


@pytest.fixture(scope="module")
def emulator(tools):
    return Emulator(tools)


@pytest.fixture(scope="module")
def models(emulator, tools, tmp_path_factory):
    """(case, level or `x86`) -> compiled model and its checkpoint; two at a time."""
    folder = tmp_path_factory.mktemp("aarch64")
    checkpoints = {each: write(folder / f"{each.spec.name}.gguf", each.spec) for each in [*CASES, LEVELLED]}

    def compile_one(wanted):
        each, level = wanted
        if level == "x86":
            options = ["--features=avx2,fma,f16c", f"--emulate-features={each.level}"]
        else:
            options = [TRIPLE, *(f"--features={features}" for features in FEATURES[level])]
        options += [f"--activations={each.activations}", f"--kv={each.cache}", "--threads=1"]
        output = folder / f"{each.spec.name}.{level}.llmir"
        return tools.compile(checkpoints[each], output, *options), checkpoints[each]

    wanted = [(each, each.level) for each in CASES]
    wanted += [(LEVELLED, level) for level in [*FEATURES, "x86"]]
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(wanted, pool.map(compile_one, wanted)))


@pytest.mark.parametrize("each", CASES, ids=lambda each: each.spec.name)
def test_agrees_with_the_oracle(emulator, models, each):
    model, checkpoint = models[each, each.level]

    def run(chunk, threads, seed):
        processor = PROCESSORS[each.level][len(PROCESSORS[each.level]) // 2]
        return emulator.run(model, PROMPTS, each.spec.vocabulary, chunk, threads, seed, processor)

    logits = run(64, 1, 5)
    assert error_of(logits, oracle_logits(checkpoint, each.cache)) < each.tolerance
    for chunk, threads in ((1, 1), (3, 2)):
        assert run(chunk, threads, chunk).tobytes() == logits.tobytes()


def test_levels_give_the_same_bytes(emulator, models, tools):
    vocabulary = LEVELLED.spec.vocabulary
    model, checkpoint = models[LEVELLED, "neon"]
    base = emulator.run(model, PROMPTS, vocabulary, processor=PROCESSORS["neon"][0])
    assert error_of(base, oracle_logits(checkpoint, "f16")) < LEVELLED.tolerance
    for level in ("neon_dotprod", "sve", "neon_i8mm"):
        model, _ = models[LEVELLED, level]
        for processor in PROCESSORS[level]:
            for chunk, threads in ((64, 1), (3, 2)):
                logits = emulator.run(
                    model, PROMPTS, vocabulary, chunk, threads, seed=9, processor=processor
                )
                assert logits.tobytes() == base.tobytes(), f"{processor}, chunks of {chunk}"


def test_emulated_on_this_host_gives_the_same_bytes(emulator, models, tools):
    model, _ = models[LEVELLED, "neon_i8mm"]
    expected = emulator.run(model, PROMPTS, LEVELLED.spec.vocabulary)
    model, _ = models[LEVELLED, "x86"]
    logits = tools.run_tokens(model, PROMPTS, logits=True, options=["--chunk", 16]).logits
    assert logits.tobytes() == expected.tobytes()


def test_processor_that_lacks_the_unit_is_refused(emulator, models, tools):
    model, _ = models[LEVELLED, "neon_i8mm"]
    assert "'i8mm'" in emulator.fail(model, PROMPTS, "neoverse-n1")
    assert "'dotprod'" in tools.fail("llmir", "run", model, "--tokens", "1,2", "-n", 1)


def test_units_of_the_probe_run(emulator):
    assert len(emulator.units("max")) == 5
    assert emulator.units("cortex-a57") == ["f32 FMA, 128 bits"]


def test_program_for_another_triple_is_refused(tools, tiny_path, tmp_path):
    error = tools.fail("llmir", "compile", tiny_path, "--emit=exe", TRIPLE, "-o", tmp_path / "chat")
    assert "aarch64-linux-gnu" in error
