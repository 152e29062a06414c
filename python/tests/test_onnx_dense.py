"""Compiled dense attention (`llm.attention`) against Attention of ONNX opset 23: masks of both kinds,
causal, soft-capped, grouped and multi-query heads, sizes odd and one."""

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the Python package onnx is not installed")
pytest.importorskip("onnxruntime", reason="the Python package onnxruntime is not installed")

from compiled_functions import CompiledModule
from oracle import onnx_graphs

MODULE = """
!q = tensor<{batch}x{queries}x{heads}x{size}x{element}>
!k = tensor<{batch}x{keys}x{kv_heads}x{size}x{element}>
!v = tensor<{batch}x{keys}x{kv_heads}x{value_size}x{element}>
!o = tensor<{batch}x{queries}x{heads}x{value_size}x{element}>
func.func @attend(%q: !q, %k: !k, %v: !v{argument}) -> !o {{
  %o = llm.attention %q, %k, %v{operand} {{num_heads = {heads} : i32, scale = {scale} : f32{attributes}}}
      : (!q, !k, !v{type}) -> !o
  return %o : !o
}}
"""
# Of the largest output.
TOLERANCE = {np.float32: 2e-5, np.float16: 2e-3}
SCALE = 0.25

CASES = {
    # name: batch, queries, keys, heads, KV heads, head size, value size, type, causal, soft cap, mask
    "plain": (2, 7, 9, 4, 4, 64, 64, np.float32, False, 0.0, None),
    "one_token": (3, 1, 33, 9, 3, 64, 64, np.float32, True, 0.0, None),
    "one_key": (1, 5, 1, 4, 1, 16, 16, np.float32, False, 0.0, None),
    "causal": (2, 17, 17, 6, 2, 80, 80, np.float32, True, 0.0, None),
    "causal_long": (1, 130, 130, 3, 1, 24, 40, np.float32, True, 0.0, None),
    "soft_cap": (2, 8, 50, 4, 2, 32, 32, np.float32, False, 1.5, None),
    "boolean_mask": (2, 7, 19, 8, 2, 20, 33, np.float32, False, 0.0, (1, 1, bool)),
    "boolean_mask_for_each": (2, 7, 19, 8, 2, 20, 20, np.float32, False, 0.0, (2, 8, bool)),
    "added_mask": (3, 5, 12, 6, 3, 48, 48, np.float32, False, 0.0, (3, 1, np.float32)),
    "f16": (2, 9, 40, 9, 3, 64, 64, np.float16, True, 0.0, None),
}


@pytest.mark.parametrize("name", CASES)
def test_attention(tools, name):
    batch, queries, keys, heads, kv_heads, size, value_size, dtype, causal, cap, kind = CASES[name]
    random = np.random.default_rng([queries, keys, heads, size])

    def normal(*shape):
        return random.standard_normal(shape).astype(dtype)

    arguments = [
        normal(batch, queries, heads, size),
        normal(batch, keys, kv_heads, size),
        normal(batch, keys, kv_heads, value_size),
    ]
    mask, mask_type = None, ""
    if kind:
        rows, of_heads, mask_dtype = kind
        mask = random.standard_normal((rows, of_heads, queries, keys)).astype(np.float32)
        if mask_dtype is bool:
            mask = mask > -0.5
            mask[..., 0] = True  # A row that sees nothing is zero here and NaN there.
        mask_type = f"tensor<{rows}x{of_heads}x{queries}x{keys}x{'i1' if mask_dtype is bool else 'f32'}>"
    module = CompiledModule(
        tools,
        MODULE.format(
            batch=batch,
            queries=queries,
            keys=keys,
            heads=heads,
            kv_heads=kv_heads,
            size=size,
            value_size=value_size,
            element="f16" if dtype is np.float16 else "f32",
            scale=SCALE,
            argument=f", %mask: {mask_type}" if kind else "",
            operand=" mask(%mask)" if kind else "",
            type=f", {mask_type}" if kind else "",
            attributes=(", causal" if causal else "") + (f", soft_cap = {cap} : f32" if cap else ""),
        ),
    )
    passed = arguments + ([np.ascontiguousarray(mask)] if kind else [])
    actual = module.call("attend", *passed, result=(4, dtype))
    if causal and queries != keys:
        # The last query sees all keys here; there the first one sees one. A mask says what is meant.
        mask, causal = np.tri(queries, keys, keys - queries, bool)[None, None], False
    expected = onnx_graphs.attention(
        *arguments, mask=mask, causal=causal, scale=SCALE, soft_cap=cap
    )
    difference = np.abs(actual.astype(np.float64) - expected).max()
    assert difference <= TOLERANCE[dtype] * np.abs(expected).max()
