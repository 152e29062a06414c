"""Writes a tiny Llama checkpoint in GGUF for the importer's tests, whole or broken in one way."""

import argparse

import gguf
import numpy as np

TYPES = {
    "f32": gguf.GGMLQuantizationType.F32,
    "f16": gguf.GGMLQuantizationType.F16,
    "bf16": gguf.GGMLQuantizationType.BF16,
    "q8_0": gguf.GGMLQuantizationType.Q8_0,
    "q4_0": gguf.GGMLQuantizationType.Q4_0,
    "q4_1": gguf.GGMLQuantizationType.Q4_1,
    "q5_0": gguf.GGMLQuantizationType.Q5_0,
}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("--architecture", default="llama")
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--hidden", type=int, default=96)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--kv-heads", type=int, default=2)
    parser.add_argument("--type", choices=TYPES, default="f32", help="type of all matrices")
    parser.add_argument("--offset", type=float, default=0.0, help="added to all matrices")
    parser.add_argument("--untied", action="store_true", help="write output.weight")
    parser.add_argument("--bias", action="store_true", help="give q, k and v biases")
    parser.add_argument("--rope-factors", action="store_true", help="write rope_freqs.weight")
    parser.add_argument("--drop", action="append", default=[], metavar="KEY-OR-TENSOR")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=INTEGER-OR-STRING")
    parser.add_argument("--shape", action="append", default=[], metavar="TENSOR=ROWS[,COLUMNS]")
    parser.add_argument("--retype", action="append", default=[], metavar="TENSOR=TYPE")
    parser.add_argument("--extra", action="append", default=[], metavar="TENSOR")
    return parser.parse_args()


def metadata(args):
    return {
        "general.name": "Tiny",
        "llama.block_count": args.layers,
        "llama.context_length": 128,
        "llama.embedding_length": args.width,
        "llama.feed_forward_length": args.hidden,
        "llama.attention.head_count": args.heads,
        "llama.attention.head_count_kv": args.kv_heads,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.freq_base": 10000.0,
    }


def shapes(args):
    head = args.width // args.heads
    queries, keys = args.heads * head, args.kv_heads * head
    tensors = {"token_embd.weight": [48, args.width]}
    if args.rope_factors:
        tensors["rope_freqs.weight"] = [head // 2]
    for layer in range(args.layers):
        prefix = f"blk.{layer}."
        tensors[prefix + "attn_norm.weight"] = [args.width]
        for name, rows in (("q", queries), ("k", keys), ("v", keys)):
            tensors[f"{prefix}attn_{name}.weight"] = [rows, args.width]
            if args.bias:
                tensors[f"{prefix}attn_{name}.bias"] = [rows]
        tensors[prefix + "attn_output.weight"] = [args.width, queries]
        tensors[prefix + "ffn_norm.weight"] = [args.width]
        tensors[prefix + "ffn_gate.weight"] = [args.hidden, args.width]
        tensors[prefix + "ffn_up.weight"] = [args.hidden, args.width]
        tensors[prefix + "ffn_down.weight"] = [args.width, args.hidden]
    tensors["output_norm.weight"] = [args.width]
    if args.untied:
        tensors["output.weight"] = [48, args.width]
    for name in args.extra:
        tensors[name] = [32]
    for override in args.shape:
        name, shape = override.split("=")
        tensors[name] = [int(extent) for extent in shape.split(",")]
    return tensors


def add_value(writer, key, value):
    if isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    else:
        writer.add_string(key, value)


def main():
    args = parse_arguments()
    writer = gguf.GGUFWriter(args.out, args.architecture)
    values = metadata(args)
    for override in args.set:
        key, value = override.split("=")
        values[key] = int(value) if value.isdigit() else value
    for key, value in values.items():
        if key not in args.drop:
            add_value(writer, key, value)

    retyped = dict(override.split("=") for override in args.retype)
    random = np.random.default_rng(7)
    for name, shape in shapes(args).items():
        if name in args.drop:
            continue
        data = random.standard_normal(shape).astype(np.float32)
        data += args.offset if len(shape) == 2 else 0.0
        kind = TYPES[retyped.get(name, args.type if len(shape) == 2 else "f32")]
        writer.add_tensor(name, gguf.quants.quantize(data, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
