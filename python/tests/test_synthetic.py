"""Tiny checkpoints of awkward sizes, each weight type, against the numpy implementation.

Every model serves four sequences at once in chunks, so that their cache blocks are interleaved.
"""

import numpy as np
import pytest
from conftest import EXACT, SERVED
from oracle.llama import Llama
from oracle.synthetic import WEIGHT_TYPES, Synthetic, write
from test_exact_logits import worst_relative_error

QUANTISED = ("Q8_0", "Q4_0", "Q4_1")
SPECS = [
    *(
        Synthetic(f"{name}-grouped", layers=2, heads=6, kv_heads=2, head_dim=16, weight_type=name)
        for name in WEIGHT_TYPES
    ),
    *(
        Synthetic(
            f"{name}-multi-head", kv_heads=3, weight_type=name, embedding_type=name, tied=tied
        )
        for name, tied in zip(WEIGHT_TYPES, [True, False] * 3)
    ),
    Synthetic("F32-odd", width=60, heads=5, head_dim=12, feed_forward=77, vocabulary=263),
    Synthetic(
        "F16-odd", width=42, heads=3, kv_heads=3, head_dim=14, feed_forward=51, weight_type="F16"
    ),
    Synthetic(
        "BF16-odd", width=50, heads=1, head_dim=50, feed_forward=33, weight_type="BF16", tied=False
    ),
    Synthetic("Q8_0-narrow-ffn", width=32, heads=1, feed_forward=32, weight_type="Q8_0"),
    Synthetic("Q4_0-three-layers", layers=3, width=160, heads=5, weight_type="Q4_0"),
    Synthetic("Q4_1-wide-ffn", width=64, heads=2, kv_heads=2, feed_forward=544, weight_type="Q4_1"),
    Synthetic("F32-frequency-factors", layers=2, frequency_factors=True, rope_theta=500000.0),
    Synthetic(
        "Q8_0-head-untied", embedding_type="F16", weight_type="Q8_0", tied=False, vocabulary=517
    ),
]


def make_prompts(spec, lengths=(37, 20, 1, 50)):
    random = np.random.default_rng(11)
    return [random.integers(0, spec.vocabulary, length).tolist() for length in lengths]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_exact(tools, compiled, tmp_path_factory, spec):
    checkpoint = write(tmp_path_factory.mktemp("tiny") / "tiny.gguf", spec)
    oracle = Llama(checkpoint, np.float64)
    prompts = make_prompts(spec)
    expected = np.concatenate([oracle.forward(prompt) for prompt in prompts])
    model = compiled(checkpoint, *EXACT)
    result = tools.run_tokens(model, prompts, logits=True, options=["--chunk", 16])
    assert result.logits.shape == expected.shape
    assert worst_relative_error(result.logits, expected) < 2e-4


@pytest.mark.parametrize(
    "spec", [s for s in SPECS if s.weight_type in QUANTISED][:4], ids=lambda s: s.name
)
def test_served(tools, compiled, tmp_path_factory, spec):
    """int8 activations: within what rounding them to 8 bits can do to random weights."""
    checkpoint = write(tmp_path_factory.mktemp("tiny") / "tiny.gguf", spec)
    oracle = Llama(checkpoint, np.float64)
    prompts = make_prompts(spec)
    expected = np.concatenate([oracle.forward(prompt) for prompt in prompts])
    result = tools.run_tokens(compiled(checkpoint, *SERVED), prompts, logits=True)
    error = np.sqrt(((result.logits - expected) ** 2).mean() / (expected**2).mean())
    assert error < 0.03


@pytest.mark.parametrize("storage, tolerance", [("f16", 3e-3), ("bf16", 2e-2)])
def test_cache_storage(tools, compiled, tmp_path_factory, storage, tolerance):
    checkpoint = write(tmp_path_factory.mktemp("tiny") / "tiny.gguf", SPECS[0])
    oracle = Llama(checkpoint, np.float64)
    prompts = make_prompts(SPECS[0])
    expected = np.concatenate([oracle.forward(prompt) for prompt in prompts])
    model = compiled(checkpoint, "--activations=f32", f"--kv={storage}")
    result = tools.run_tokens(model, prompts, logits=True)
    assert worst_relative_error(result.logits, expected) < tolerance


def test_bf16_activations(tools, compiled, tmp_path_factory):
    spec = Synthetic("BF16-activations", layers=2, weight_type="BF16", embedding_type="BF16")
    checkpoint = write(tmp_path_factory.mktemp("tiny") / "tiny.gguf", spec)
    oracle = Llama(checkpoint, np.float64)
    prompts = make_prompts(spec)
    expected = np.concatenate([oracle.forward(prompt) for prompt in prompts])
    model = compiled(checkpoint, "--activations=bf16", "--kv=bf16")
    result = tools.run_tokens(model, prompts, logits=True)
    error = np.sqrt(((result.logits - expected) ** 2).mean() / (expected**2).mean())
    assert error < 0.03
