"""Runs a compiled step of a small module from Python: packs its weights as docs/PackedWeights.md says,
and calls it through the seam's structure. A step's logits are the only numbers that come out, so a
module under test ends with a product by the identity, unless that product is what is tested."""

import ctypes
import re

import numpy as np
from compiled_functions import CompiledModule

PANEL = 16


def pack_vector(numbers):
    packed = np.zeros(-(-len(numbers) // 16) * 16, np.float32)
    packed[: len(numbers)] = numbers
    return packed.tobytes()


def panels(matrix):
    """Panels of 16 rows, the last one filled up with zeros."""
    rows = -(-len(matrix) // PANEL) * PANEL
    padded = np.zeros((rows, *matrix.shape[1:]), matrix.dtype)
    padded[: len(matrix)] = matrix
    return padded.reshape(-1, PANEL, *matrix.shape[1:])


def pad64(data):
    return data + bytes(-len(data) % 64)


def pack_f32(matrix):
    """For each k of a panel, its 16 rows."""
    return b"".join(
        pad64(np.ascontiguousarray(panel.T.astype(np.float32)).tobytes()) for panel in panels(matrix)
    )


def pack_quantized(codes, scales, bits):
    """Codes [rows, groups, 32], signed for 8 bits and from 0 for 4, and f16 scales [rows, groups]:
    for each pair of groups both groups' scales, then the codes of each."""
    result = b""
    for panel, scale in zip(panels(codes), panels(scales.astype(np.float16))):
        data = b""
        for first in range(0, codes.shape[1], 2):
            pair = np.zeros((2, PANEL), np.float16)
            count = min(2, codes.shape[1] - first)
            pair[:count] = scale[:, first : first + count].T
            data += pair.tobytes()
            for group in range(first, first + count):
                of_group = panel[:, group].reshape(PANEL, -1, 4)  # quads of k
                if bits == 8:
                    data += np.ascontiguousarray(of_group.transpose(1, 0, 2).astype(np.int8)).tobytes()
                else:
                    low, high = of_group[:, 0::2], of_group[:, 1::2]
                    both = low | high << 4
                    data += np.ascontiguousarray(both.transpose(1, 0, 2).astype(np.uint8)).tobytes()
        result += pad64(data)
    return result


class StepArguments(ctypes.Structure):
    _fields_ = (
        [("struct_size", ctypes.c_uint32)]
        + [(name, ctypes.c_int32) for name in ("num_tokens", "num_sequences", "num_rows")]
        + [
            (name, ctypes.c_void_p)
            for name in ("tokens", "positions", "cu_lengths", "context_lengths", "rows", "logits")
        ]
        + [("caches", ctypes.c_void_p), ("num_caches", ctypes.c_int64)]
        + [("weights", ctypes.c_void_p), ("workspace", ctypes.c_void_p)]
        + [("rank", ctypes.c_int32), ("world_size", ctypes.c_int32)]
        + [("barrier", ctypes.c_void_p), ("team", ctypes.c_void_p), ("tree_mask", ctypes.c_void_p)]
        + [("all_reduce", ctypes.c_void_p), ("collective", ctypes.c_void_p)]
    )


STEP = """
{weights}
llm.weight @input : tensor<{tokens}x{width}xf32>
func.func @step(%context: !llm.step_context, %tokens: tensor<?xi32>, %positions: tensor<?xi32>,
    %cu: tensor<?xi32>, %lens: tensor<?xi32>, %rows: tensor<?xi32>) -> tensor<?x{outputs}xf32>
    attributes {{llm.step}} {{
  %x = llm.embedding %tokens, @input : tensor<?xi32> -> tensor<?x{width}xf32>
{body}
  %logits = llm.logits {last}, %rows, @{head} : (tensor<?x{inner}xf32>, tensor<?xi32>) -> tensor<?x{outputs}xf32>
  return %logits : tensor<?x{outputs}xf32>
}}
"""


def run_step(
    tools, inputs, body, weights, outputs, positions=None, activations="f32", options="", head=None
):
    """What a step makes of the rows of `inputs`: `body` computes %y, [tokens, outputs], of %x. With
    `head`, its product with %x instead. `weights` are name: (type, packed bytes); `options` go to the
    CPU pipeline."""
    tokens, width = inputs.shape
    if head is None:
        identity = pack_f32(np.eye(outputs, dtype=np.float32))
        weights = {**weights, "identity": (f"tensor<{outputs}x{outputs}xf32>", identity)}
    packed = {name: data for name, (_, data) in weights.items()}
    packed["input"] = pack_f32(inputs)
    text = STEP.format(
        weights="\n".join(f"llm.weight @{name} : {kind}" for name, (kind, _) in weights.items()),
        tokens=tokens,
        width=width,
        outputs=outputs,
        body=body,
        last="%x" if head else "%y",
        head=head or "identity",
        inner=width if head else outputs,
    )
    module = CompiledModule(tools, text, options=f"activations={activations} {options}")
    placed = tools.new_file(".mlir")
    placed.write_text(text)
    listing = tools.succeed("llmir-opt", f"--llm-optimization-pipeline=activations={activations}", placed).stdout
    offsets = {
        name: int(offset)
        for name, offset in re.findall(r"llm\.weight @(\S+) .*?offset\((\d+)\)", listing)
    }
    assert offsets.keys() == packed.keys(), "expected a place for each weight"
    memory = np.zeros(max(offset + len(packed[name]) for name, offset in offsets.items()) + 128, np.uint8)
    start = -memory.ctypes.data % 64
    for name, offset in offsets.items():
        data = np.frombuffer(packed[name], np.uint8)
        memory[start + offset : start + offset + len(data)] = data
    size = module.workspace_bytes(token=tokens, sequence=1, row=tokens, worker=1)
    workspace = np.full(size + 64, 0xFF, np.uint8)
    order = np.arange(tokens, dtype=np.int32)
    if positions is None:
        positions = order
    cu = np.array([0, tokens], np.int32)
    context = np.array([positions.max() + 1], np.int32)
    logits = np.full((tokens, outputs), np.nan, np.float32)
    barrier = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int32)(lambda team, worker: None)
    arguments = StepArguments(
        struct_size=ctypes.sizeof(StepArguments),
        num_tokens=tokens,
        num_sequences=1,
        num_rows=tokens,
        tokens=order.ctypes.data,
        positions=positions.ctypes.data,
        cu_lengths=cu.ctypes.data,
        context_lengths=context.ctypes.data,
        rows=order.ctypes.data,
        logits=logits.ctypes.data,
        weights=memory.ctypes.data + start,
        workspace=workspace.ctypes.data + -workspace.ctypes.data % 64,
        world_size=1,
        barrier=ctypes.cast(barrier, ctypes.c_void_p),
    )
    module.library.llmir_model_step(ctypes.byref(arguments), ctypes.c_int32(0), ctypes.c_int32(1))
    return logits
