"""Compiled paged attention against ONNX Runtime's GroupQueryAttention: storage types, windows, soft
caps, sinks, blocks and head sizes, over sequences of very different lengths, decoding and in chunks."""

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the Python package onnx is not installed")
pytest.importorskip("onnxruntime", reason="the Python package onnxruntime is not installed")

from compiled_functions import Cache, CompiledModule
from oracle import onnx_graphs

MODULE = """
!kv = !llm.paged_kv_cache<{element}, 2, {kv_heads}, {size}, {block}, 1024{extra}>
!q = tensor<?x{heads}x{size}x{element}>
!k = tensor<?x{kv_heads}x{size}x{element}>
func.func @store(%kv: !kv, %k: !k, %v: !k, %slots: tensor<?xi32>) -> !kv {{
  %new = llm.store_kv %kv, %k, %v, %slots {{layer = 1 : i32}} : (!kv, !k, !k, tensor<?xi32>) -> !kv
  return %new : !kv
}}
func.func @attend(%q: !q, %kv: !kv, %table: tensor<?x?xi32>, %lens: tensor<?xi32>,
                  %cu: tensor<?xi32>, %sinks: tensor<{heads}xf32>) -> !q {{
  %o = llm.paged_attention %q, %kv, %table, %lens cu_lengths(%cu) {operand}
      {{num_heads = {heads} : i32, head_dim = {size} : i32, scale = {scale} : f32, layer = 1 : i32{attributes}}}
      : (!q, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>{type}) -> !q
  return %o : !q
}}
"""
SCALES = (0.03, 0.025)
# Of the largest output: what is stored is exact on both sides, so the storage adds nothing.
TOLERANCE = {"f32": 2e-5, "f16": 2e-3, "bf16": 2e-5, "i8": 5e-4}

CASES = {
    # name: heads, KV heads, head size, tokens of a block, storage, window, soft cap, sinks
    "f32": (4, 4, 64, 16, "f32", 0, 0.0, False),
    "f32_odd_block": (9, 3, 24, 5, "f32", 0, 0.0, False),
    "f32_block_of_one": (6, 1, 16, 1, "f32", 0, 0.0, True),
    "f16_query_too": (8, 2, 64, 16, "f16", 0, 0.0, False),
    "f16_everything": (6, 3, 80, 16, "f16", 37, 12.0, True),
    "bf16": (5, 1, 128, 32, "bf16", 0, 0.0, False),
    "bf16_window": (9, 3, 64, 16, "bf16", 16, 0.0, False),
    "window_of_one": (4, 2, 32, 16, "f32", 1, 0.0, False),
    "soft_cap": (9, 3, 64, 16, "f32", 0, 1.5, False),
    "sinks": (16, 2, 64, 16, "f32", 0, 0.0, True),
    "i8": (9, 3, 64, 16, "i8", 0, 0.0, False),
    "i8_window_sinks": (8, 8, 32, 8, "i8", 50, 0.0, True),
}
# Contexts and how many of their last tokens are new: one token alone, ends of blocks, long ones.
BATCHES = {
    "decode": ([1, 2, 16, 17, 32, 100, 511, 700], [1] * 8),
    "chunks": ([1, 15, 16, 33, 300], [1, 15, 7, 2, 12]),
    "one": ([129], [1]),
    "many": (list(range(1, 65)), [1 + i % 3 if i % 3 <= i else 1 for i in range(64)]),
}


def round_to(numbers, storage):
    """What the storage type keeps of numbers."""
    if storage == "bf16":
        bits = numbers.astype(np.float32).view(np.uint32)
        rounded = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
        return rounded.astype(np.uint32).view(np.float32)
    return numbers.astype(np.float16 if storage == "f16" else np.float32)


@pytest.fixture(scope="module")
def module(tools):
    made = {}

    def make(name):
        if name not in made:
            heads, kv_heads, size, block, storage, window, soft_cap, sinks = CASES[name]
            element = "f16" if storage == "f16" else "f32"
            extra = ""
            if storage != element:
                extra = f", key_storage = {storage}, value_storage = {storage}"
            if storage == "i8":
                extra += ", key_scales = tensor, value_scales = tensor"
            if window:
                extra += f", window = {window}"
            text = MODULE.format(
                element=element,
                heads=heads,
                kv_heads=kv_heads,
                size=size,
                block=block,
                extra=extra,
                scale=0.25,
                operand="sink_logits(%sinks)" if sinks else "",
                type=f", tensor<{heads}xf32>" if sinks else "",
                attributes=f", soft_cap = {soft_cap} : f32" if soft_cap else "",
            )
            made[name] = CompiledModule(tools, text)
        return made[name]

    return make


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("name", CASES)
def test_paged_attention(module, name, batch):
    heads, kv_heads, size, block, storage, window, soft_cap, has_sinks = CASES[name]
    compiled = module(name)
    contexts, tokens = (np.array(numbers, np.int32) for numbers in BATCHES[batch])
    random = np.random.default_rng([heads, size, block, len(contexts)])
    dtype = np.float16 if storage == "f16" else np.float32

    def normal(*shape):
        return random.standard_normal(shape).astype(dtype)

    # Every sequence's blocks are some of the pool's, in no order.
    columns = -(-contexts // block)
    blocks = random.permutation(int(columns.sum()) + 3)
    table = np.zeros((len(contexts), columns.max()), np.int32)
    for row, count in enumerate(columns):
        table[row, :count], blocks = blocks[:count], blocks[count:]
    keys = [normal(context, kv_heads, size) for context in contexts]
    values = [normal(context, kv_heads, size) for context in contexts]
    codes = None
    if storage == "i8":
        # docs/CacheLayout.md: a product with the inverse, in f32.
        inverses = [np.float32(1) / np.float32(scale) for scale in SCALES]
        codes = [
            [np.clip(np.rint(x * inverse), -127, 127).astype(np.int8) for x in side]
            for side, inverse in zip((keys, values), inverses)
        ]
    slots = np.concatenate(
        [table[s, np.arange(n) // block] * block + np.arange(n) % block for s, n in enumerate(contexts)]
    ).astype(np.int32)
    cu = np.concatenate([[0], np.cumsum(tokens)]).astype(np.int32)
    query = normal(cu[-1], heads, size)
    sinks = random.standard_normal(heads).astype(np.float32)

    cache = Cache()
    cache.give_scales(*(np.full((2, kv_heads), scale) for scale in SCALES))
    stored = [np.ascontiguousarray(np.concatenate(side)) for side in (keys, values)]
    compiled.call("store", cache, *stored, slots)  # Without a pool: says how large a block is.
    cache.give_pool(int(columns.sum()) + 3)
    compiled.call("store", cache, *stored, slots)
    output = compiled.call("attend", query, cache, table, contexts, cu, sinks, result=(3, dtype))

    for s in range(len(contexts)):
        rows = slice(cu[s], cu[s + 1])
        arguments = (query[rows], round_to(keys[s], storage), round_to(values[s], storage))
        if codes:
            arguments = (query[rows], codes[0][s], codes[1][s])
        expected = onnx_graphs.grouped_attention(
            *arguments,
            scale=0.25,
            window=window,
            soft_cap=soft_cap,
            sinks=sinks.astype(dtype) if has_sinks else None,
            scales=SCALES if codes else None,
        )
        difference = np.abs(output[rows].astype(np.float64) - expected).max()
        assert difference <= TOLERANCE[storage] * np.abs(expected).max(), f"sequence {s}"
