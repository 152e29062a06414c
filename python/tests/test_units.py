"""Products by each unit of x86, emulated where this processor lacks it, through a compiled step: bf16
units bit by bit against exact arithmetic, subnormal numbers included."""

import numpy as np
import pytest
from compiled_step import pack_quantized, pad64, panels, run_step
from oracle import units

AVX512 = "avx512f,avx512bw,avx512vl,avx512vnni,avx512bf16"
PAIR_UNITS = {"dots": AVX512, "tiles": AVX512 + ",amx-tile,amx-int8,amx-bf16"}
BYTE_UNITS = {"vnni": AVX512, "tiles": AVX512 + ",amx-tile,amx-int8"}


def pack_bf16(bits):
    """For each pair of k of a panel, two numbers of each of its 16 rows."""
    padded = np.pad(bits, ((0, 0), (0, bits.shape[1] % 2)))
    result = b""
    for panel in panels(padded):
        pairs = panel.reshape(16, -1, 2).transpose(1, 0, 2)
        result += pad64(np.ascontiguousarray(pairs).tobytes())
    return result


def run_pairs(tools, unit, inputs, weights):
    rows, columns = weights.shape
    packed = {"w": (f"tensor<{rows}x{columns}xbf16>", pack_bf16(weights))}
    options = f"emulate={PAIR_UNITS[unit]}"
    return run_step(
        tools, inputs, "", packed, rows, activations="bf16", options=options, head="w"
    )


def spread(random, rows, columns):
    """Numbers around 1, and in every third row around 2^-64, so that products of two such rows are
    about the least normal number; some subnormal in bf16, and some zeros."""
    numbers = random.standard_normal((rows, columns)).astype(np.float32)
    numbers[1::3] *= np.float32(2.0**-63)
    numbers[2::3, ::2] = np.ldexp(numbers[2::3, ::2], -random.integers(110, 134, 1)[0])
    numbers[:, 3::7] = 0
    return numbers


@pytest.mark.parametrize("unit", PAIR_UNITS)
@pytest.mark.parametrize("tokens,columns,rows", [(1, 32, 16), (3, 45, 17), (70, 71, 40), (13, 1, 5)])
def test_pairs_are_exact(tools, unit, tokens, columns, rows):
    random = np.random.default_rng([tokens, columns])
    inputs, weights = spread(random, tokens, columns), units.to_bf16(spread(random, rows, columns))
    actual = run_pairs(tools, unit, inputs, weights)
    some = np.unique([0, 1, 2, tokens // 2, tokens - 2, tokens - 1]).clip(0, tokens - 1)
    expected = units.product(unit, units.to_bf16(inputs[some]), weights)
    np.testing.assert_array_equal(actual[some], expected)
    if tokens > 4:
        assert (expected[np.abs(expected) < 1e-30] != 0).any(), "expected some tiny results"


@pytest.mark.parametrize("unit", PAIR_UNITS)
def test_a_nan_stays_in_its_row(tools, unit):
    random = np.random.default_rng(5)
    inputs = random.standard_normal((6, 35)).astype(np.float32)
    weights = units.to_bf16(random.standard_normal((20, 35)))
    clean = run_pairs(tools, unit, inputs, weights)
    inputs[2, 34] = np.nan
    dirty = run_pairs(tools, unit, inputs, weights)
    assert np.isnan(dirty[2]).all()
    np.testing.assert_array_equal(np.delete(dirty, 2, 0), np.delete(clean, 2, 0))


def int8_product(inputs, codes, scales):
    """Of codes [rows, groups, size]: activations rounded to int8 by groups of the same size, exact
    sums within a group."""
    grouped = inputs.reshape(len(inputs), *codes.shape[1:])
    largest = np.abs(grouped).max(axis=2, keepdims=True)
    rounded = np.rint(grouped * (np.float32(127) / largest)).astype(np.int64)
    dots = np.einsum("tgk,rgk->trg", rounded, codes.astype(np.int64))
    activation_scales = (largest * np.float32(1 / 127))[:, :, 0].astype(np.float64)
    return np.einsum("trg,rg,tg->tr", dots, scales.astype(np.float16).astype(np.float64), activation_scales)


@pytest.mark.parametrize("bits,group", [(8, 32), (8, 128), (4, 64), (4, 128)])
@pytest.mark.parametrize("emulated", ["avx2", *BYTE_UNITS])
def test_groups_of_bytes(tools, emulated, bits, group):
    """70 tokens, so that tiles, long vectors and every rest take part; an odd number of groups."""
    rows, groups, tokens = 40, 3, 70
    random = np.random.default_rng([bits, group])
    inputs = random.standard_normal((tokens, groups * group)).astype(np.float32)
    low, high = (-128, 128) if bits == 8 else (0, 16)
    codes = random.integers(low, high, (rows, groups, group))
    scales = random.uniform(0.01, 0.02, (rows, groups))
    kind = f"!llm.quantized_tensor<i{bits}, [{rows}, {groups * group}], true, true, 1, {group}, {bits}, scale = f16>"
    actual = run_step(
        tools,
        inputs,
        "",
        {"w": (kind, pack_quantized(codes, scales, bits))},
        rows,
        activations="i8",
        options=f"emulate={BYTE_UNITS.get(emulated, emulated)}",
        head="w",
    )
    expected = int8_product(inputs, codes - (8 if bits == 4 else 0), scales)
    # f32 scales and sums of groups; the integers are exact.
    assert np.abs(actual - expected).max() <= 2e-6 * np.abs(expected).max()
