"""Writes tiny Llama checkpoints with random weights and a small but valid byte-level tokenizer.

The sizes are meant to be awkward: what a kernel gets wrong at an edge shows up here first.
"""

from dataclasses import dataclass

import gguf
import numpy as np
from gguf import quants

WEIGHT_TYPES = {
    name: getattr(gguf.GGMLQuantizationType, name)
    for name in ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1")
}


@dataclass(frozen=True)
class Synthetic:
    """What to write. A quantised type needs input sizes that are multiples of 32."""

    name: str
    layers: int = 1
    width: int = 96
    heads: int = 3
    kv_heads: int = 1
    head_dim: int = 32
    feed_forward: int = 160
    vocabulary: int = 301
    context: int = 128
    weight_type: str = "F32"
    embedding_type: str = "F32"
    tied: bool = True
    rope_theta: float = 10000.0
    frequency_factors: bool = False
    chat_template: str = ""
    seed: int = 1


def _byte_symbols():
    """The printable stand-ins of the 256 bytes in byte-level BPE vocabularies."""
    kept = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    symbols = {byte: chr(byte) for byte in kept}
    for byte in range(256):
        symbols.setdefault(byte, chr(0x100 + sum(1 for key in symbols if ord(symbols[key]) > 0xFF)))
    return [symbols[byte] for byte in range(256)]


def _tokenizer(vocabulary):
    """Tokens, their types and merges: two special tokens, the bytes, then merged pairs."""
    symbols = _byte_symbols()
    tokens = ["<|endoftext|>", "<|im_start|>", *symbols]
    if vocabulary < len(tokens):
        raise ValueError(f"expected a vocabulary of at least {len(tokens)}, but got {vocabulary}")
    types = [gguf.TokenType.CONTROL] * 2 + [gguf.TokenType.NORMAL] * 256
    merges = []
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    for left in letters:
        for right in letters:
            if len(tokens) == vocabulary:
                return tokens, types, merges
            tokens.append(left + right)
            types.append(gguf.TokenType.NORMAL)
            merges.append(f"{left} {right}")
    raise ValueError(f"expected a vocabulary of at most {len(tokens)}, but got {vocabulary}")


def _add_metadata(writer, spec):
    writer.add_name(spec.name)
    writer.add_context_length(spec.context)
    writer.add_block_count(spec.layers)
    writer.add_embedding_length(spec.width)
    writer.add_feed_forward_length(spec.feed_forward)
    writer.add_head_count(spec.heads)
    writer.add_head_count_kv(spec.kv_heads)
    writer.add_key_length(spec.head_dim)
    writer.add_value_length(spec.head_dim)
    writer.add_rope_dimension_count(spec.head_dim)
    writer.add_rope_freq_base(spec.rope_theta)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(spec.vocabulary)
    tokens, types, merges = _tokenizer(spec.vocabulary)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(False)
    if spec.chat_template:
        writer.add_chat_template(spec.chat_template)


def _matrix_sizes(spec):
    """Name -> (output features, input features) of every matrix but the embedding."""
    queries = spec.heads * spec.head_dim
    keys = spec.kv_heads * spec.head_dim
    sizes = {}
    for layer in range(spec.layers):
        block = f"blk.{layer}."
        sizes[block + "attn_q.weight"] = (queries, spec.width)
        sizes[block + "attn_k.weight"] = (keys, spec.width)
        sizes[block + "attn_v.weight"] = (keys, spec.width)
        sizes[block + "attn_output.weight"] = (spec.width, queries)
        sizes[block + "ffn_gate.weight"] = (spec.feed_forward, spec.width)
        sizes[block + "ffn_up.weight"] = (spec.feed_forward, spec.width)
        sizes[block + "ffn_down.weight"] = (spec.width, spec.feed_forward)
    if not spec.tied:
        sizes["output.weight"] = (spec.vocabulary, spec.width)
    return sizes


def write(path, spec):
    """Writes the checkpoint that `spec` describes and returns `path`."""
    random = np.random.default_rng(spec.seed)
    writer = gguf.GGUFWriter(path, "llama")
    _add_metadata(writer, spec)

    def add_matrix(name, rows, columns, type_name):
        # Outputs of order one whatever the width, so that errors are seen at every depth.
        values = random.standard_normal((rows, columns)) / np.sqrt(columns)
        data = quants.quantize(values.astype(np.float32), WEIGHT_TYPES[type_name])
        writer.add_tensor(name, data, raw_dtype=WEIGHT_TYPES[type_name])

    def add_vector(name, size, low, high):
        writer.add_tensor(name, random.uniform(low, high, size).astype(np.float32))

    add_matrix("token_embd.weight", spec.vocabulary, spec.width, spec.embedding_type)
    add_vector("output_norm.weight", spec.width, 0.5, 1.5)
    for layer in range(spec.layers):
        add_vector(f"blk.{layer}.attn_norm.weight", spec.width, 0.5, 1.5)
        add_vector(f"blk.{layer}.ffn_norm.weight", spec.width, 0.5, 1.5)
    if spec.frequency_factors:
        add_vector("rope_freqs.weight", spec.head_dim // 2, 1.0, 8.0)
    for name, (rows, columns) in _matrix_sizes(spec).items():
        add_matrix(name, rows, columns, spec.weight_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
