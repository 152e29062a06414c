"""Rewrites a GGUF checkpoint with its matrices in another type, by the `gguf` package's own
quantisers. The tokenizer and all other metadata are copied.
"""

import gguf
import numpy as np
from gguf import quants

from .checkpoint import dequantize

WRITTEN_BY_THE_WRITER = ("GGUF.version", "GGUF.tensor_count", "GGUF.kv_count")


def _copy_metadata(reader, writer):
    for key, field in reader.fields.items():
        if key in WRITTEN_BY_THE_WRITER or key == "general.architecture":
            continue
        kind = field.types[0]
        elements = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(key, field.contents(), kind, sub_type=elements)


def requantize(source, target, type_name, head_type_name=None):
    """Writes `source` to `target` with matrices of `type_name`, token_embd and output of
    `head_type_name` (default: the same), vectors in f32. Floats are rounded to bf16 first, so that
    every type starts from what the bf16 file holds.
    """
    reader = gguf.GGUFReader(source)
    architecture = reader.get_field("general.architecture").contents()
    writer = gguf.GGUFWriter(target, architecture)
    _copy_metadata(reader, writer)
    brain = gguf.GGMLQuantizationType.BF16
    for tensor in reader.tensors:
        data = dequantize(tensor)
        kind = gguf.GGMLQuantizationType.F32
        if data.ndim == 2:
            is_head = tensor.name in ("token_embd.weight", "output.weight")
            name = head_type_name if is_head and head_type_name else type_name
            kind = getattr(gguf.GGMLQuantizationType, name)
            data = quants.dequantize(quants.quantize(data, brain), brain).reshape(data.shape)
        data = quants.quantize(np.ascontiguousarray(data, np.float32), kind)
        writer.add_tensor(tensor.name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
