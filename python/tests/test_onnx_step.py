"""What a step computes around attention, against ONNX Runtime: RMSNormalization, RotaryEmbedding and
MatMulNBits, at odd sizes and for one token, several and many."""

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the Python package onnx is not installed")
pytest.importorskip("onnxruntime", reason="the Python package onnxruntime is not installed")

from compiled_step import pack_f32, pack_quantized, pack_vector, run_step
from oracle import onnx_graphs

# Of the largest output: both sides compute in f32.
TOLERANCE = 1e-5


def normal(random, *shape):
    return random.standard_normal(shape).astype(np.float32)


def assert_close(actual, expected):
    assert np.abs(actual - expected).max() <= TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize("tokens,width", [(1, 64), (5, 24), (13, 576), (70, 7)])
def test_rms_norm(tools, tokens, width):
    random = np.random.default_rng([tokens, width])
    inputs, weight = normal(random, tokens, width), normal(random, width)
    body = f"  %y = llm.rms_norm %x, @norm epsilon(1.0e-3) : tensor<?x{width}xf32>"
    weights = {"norm": (f"tensor<{width}xf32>", pack_vector(weight))}
    actual = run_step(tools, inputs, body, weights, width)
    assert_close(actual, onnx_graphs.rms_norm(inputs, weight, 1e-3))


@pytest.mark.parametrize("style", ["half", "interleaved"])
@pytest.mark.parametrize(
    "tokens,heads,size,rotary_dim", [(1, 4, 16, 16), (9, 3, 64, 64), (5, 5, 20, 12), (12, 1, 10, 2)]
)
def test_rotary_embedding(tools, tokens, heads, size, rotary_dim, style):
    random = np.random.default_rng([tokens, heads, size])
    inputs = normal(random, tokens, heads * size)
    positions = np.sort(random.choice(2000, tokens, replace=False)).astype(np.int32)
    kind = f"tensor<?x{heads}x{size}xf32>"
    flat = f"tensor<?x{heads * size}xf32>"
    body = f"""
  %h = llm.linear %x, @eye : ({flat}) -> {kind}
  %r = llm.rope %h positions(%positions) theta(1.0e+4) rotary_dim({rotary_dim}) {style}
      : {kind}, tensor<?xi32>
  %y = llm.linear %r, @eye : ({kind}) -> {flat}"""
    eye = np.eye(heads * size, dtype=np.float32)
    weights = {"eye": (f"tensor<{heads * size}x{heads * size}xf32>", pack_f32(eye))}
    actual = run_step(tools, inputs, body, weights, heads * size, positions)
    expected = onnx_graphs.rotary_embedding(
        inputs.reshape(tokens, heads, size), positions, 1e4, rotary_dim, style == "interleaved"
    )
    # Angles of position 2000 in f32 are off by 2000 * 2^-24 on either side.
    difference = np.abs(actual.reshape(expected.shape) - expected).max()
    assert difference <= 4e-4 * np.abs(expected).max()


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("tokens,rows,groups", [(1, 48, 2), (3, 17, 3), (9, 100, 1), (66, 33, 4)])
def test_matmul_nbits(tools, tokens, rows, groups, bits):
    random = np.random.default_rng([tokens, rows, groups, bits])
    inputs = normal(random, tokens, groups * 32)
    codes = random.integers(1, 2**bits, (rows, groups, 32))
    scales = np.abs(random.standard_normal((rows, groups)) * 0.01 + 0.02).astype(np.float16)
    kind = (
        f"!llm.quantized_tensor<i{bits}, [{rows}, {groups * 32}], true, true, 1, 32, {bits}, scale = f16>"
    )
    stored = codes - 128 if bits == 8 else codes
    weights = {"w": (kind, pack_quantized(stored, scales, bits))}
    body = f"  %y = llm.linear %x, @w : (tensor<?x{groups * 32}xf32>) -> tensor<?x{rows}xf32>"
    actual = run_step(tools, inputs, body, weights, rows)
    assert_close(actual, onnx_graphs.matmul_nbits(inputs, codes, scales, bits))
