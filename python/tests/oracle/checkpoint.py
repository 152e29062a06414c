"""Reads a Llama checkpoint from a GGUF file with the `gguf` package: hyperparameters and weights
as float32. Not a reader of other architectures.
"""

from dataclasses import dataclass

import gguf
import numpy as np
from gguf import quants


@dataclass(frozen=True)
class Hyperparameters:
    """The sizes and constants of a Llama model."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    rotary_dim: int
    rope_theta: float
    epsilon: float
    context: int


def _value(reader, key, default=None):
    field = reader.get_field(key)
    return default if field is None else field.contents()


def read_hyperparameters(reader):
    """The hyperparameters of an open `gguf.GGUFReader`."""
    architecture = _value(reader, "general.architecture")
    if architecture != "llama":
        raise ValueError(f"expected architecture llama, but got {architecture}")

    def get(name, default=None):
        return _value(reader, f"llama.{name}", default)

    heads = get("attention.head_count")
    width = get("embedding_length")
    head_dim = get("attention.key_length", width // heads)
    return Hyperparameters(
        layers=get("block_count"),
        width=width,
        heads=heads,
        kv_heads=get("attention.head_count_kv", heads),
        head_dim=head_dim,
        rotary_dim=get("rope.dimension_count", head_dim),
        rope_theta=float(get("rope.freq_base", 10000.0)),
        epsilon=float(get("attention.layer_norm_rms_epsilon")),
        context=get("context_length"),
    )


def dequantize(tensor):
    """A GGUF tensor as float32 with numpy's axis order: [output features, input features]."""
    shape = [int(extent) for extent in reversed(tensor.shape)]
    if tensor.tensor_type == gguf.GGMLQuantizationType.F32:
        return np.array(tensor.data, dtype=np.float32).reshape(shape)
    return quants.dequantize(tensor.data, tensor.tensor_type).reshape(shape).astype(np.float32)


def read_weights(reader):
    """All tensors by name, as float32."""
    return {tensor.name: dequantize(tensor) for tensor in reader.tensors}
