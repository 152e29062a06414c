"""Single ops of ONNX and of ONNX Runtime's own domain, run by ONNX Runtime on the CPU; where its CPU
provider lacks an op, by the reference evaluator of the `onnx` package. Nothing here knows LLMIR."""

import numpy as np
import onnx
import onnxruntime
from onnx import helper

OPSET = 23
MICROSOFT = "com.microsoft"


def model_of(op, inputs, outputs, domain="", **attributes):
    """A model of one op. `inputs` are (name, array) in the op's order, an array of None left out."""
    given = [(name, array) for name, array in inputs if array is not None]
    names = [name if array is not None else "" for name, array in inputs]
    while names and not names[-1]:
        names.pop()
    attributes = {name: value for name, value in attributes.items() if value is not None}
    node = helper.make_node(op, names, list(outputs), domain=domain, **attributes)
    infos = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in given
    ]
    results = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), None)
        for name, dtype in outputs.items()
    ]
    graph = helper.make_graph([node], op, infos, results)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10), dict(given)


def run(op, inputs, outputs, domain="", **attributes):
    """The outputs of one op."""
    model, feeds = model_of(op, inputs, outputs, domain, **attributes)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        if domain:
            raise
        return onnx.reference.ReferenceEvaluator(model).run(None, feeds)
    return session.run(None, feeds)


def attention(query, keys, values, mask=None, causal=False, scale=None, soft_cap=0.0):
    """Attention of opset 23 over [batch, tokens, heads, head size]."""
    turned = [np.ascontiguousarray(x.transpose(0, 2, 1, 3)) for x in (query, keys, values)]
    inputs = [("q", turned[0]), ("k", turned[1]), ("v", turned[2]), ("mask", mask)]
    (output,) = run(
        "Attention", inputs, {"y": query.dtype}, is_causal=int(causal), scale=scale, softcap=soft_cap
    )
    return output.transpose(0, 2, 1, 3)


def grouped_attention(query, keys, values, scale, window=0, soft_cap=0.0, sinks=None, scales=None):
    """GroupQueryAttention of one sequence: query [tokens, heads, head size] are the last tokens of
    keys and values [context, KV heads, head size]. With `scales` (of keys, of values), keys and
    values are int8 codes of a cache, scaled per tensor; the last ones are what the op makes of the
    numbers that the codes stand for."""
    tokens, heads, size = query.shape
    context, kv_heads, _ = keys.shape
    past = context - tokens

    def new(side, k):
        numbers = side[past:] if scales is None else side[past:].astype(np.float32) * scales[k]
        return numbers.astype(query.dtype).reshape(1, tokens, kv_heads * size)

    def old(side):
        return np.ascontiguousarray(side[:past].transpose(1, 0, 2)[None])

    inputs = [
        ("q", query.reshape(1, tokens, heads * size)),
        ("k", new(keys, 0)),
        ("v", new(values, 1)),
        ("past_k", old(keys)),
        ("past_v", old(values)),
        ("seqlens_k", np.array([context - 1], np.int32)),
        ("total", np.array(context, np.int32)),
        ("cos", None),
        ("sin", None),
        ("position_ids", None),
        ("bias", None),
        ("sinks", sinks),
        ("k_scale", None if scales is None else np.array([scales[0]], np.float32)),
        ("v_scale", None if scales is None else np.array([scales[1]], np.float32)),
    ]
    quantized = {}
    if scales is not None:
        quantized = {"k_quant_type": "PER_TENSOR", "v_quant_type": "PER_TENSOR", "kv_cache_bit_width": 8}
    output = run(
        "GroupQueryAttention",
        inputs,
        {"y": query.dtype, "present_k": keys.dtype, "present_v": values.dtype},
        MICROSOFT,
        num_heads=heads,
        kv_num_heads=kv_heads,
        scale=scale,
        local_window_size=window or -1,
        softcap=soft_cap,
        **quantized,
    )[0]
    return output.reshape(tokens, heads, values.shape[2])


def rotary_embedding(inputs, positions, theta, rotary_dim, interleaved):
    """RotaryEmbedding of opset 23 over [tokens, heads, head size]."""
    frequencies = theta ** (-np.arange(0, rotary_dim, 2) / rotary_dim)
    angles = np.arange(positions.max() + 1)[:, None] * frequencies
    (output,) = run(
        "RotaryEmbedding",
        [
            ("x", np.ascontiguousarray(inputs.transpose(1, 0, 2)[None])),
            ("cos", np.cos(angles).astype(inputs.dtype)),
            ("sin", np.sin(angles).astype(inputs.dtype)),
            ("positions", positions[None].astype(np.int64)),
        ],
        {"y": inputs.dtype},
        interleaved=int(interleaved),
        rotary_embedding_dim=rotary_dim,
    )
    return output[0].transpose(1, 0, 2)


def rms_norm(inputs, weight, epsilon):
    """RMSNormalization over the last dimension."""
    return run(
        "RMSNormalization", [("x", inputs), ("scale", weight)], {"y": inputs.dtype}, epsilon=epsilon
    )[0]


def matmul_nbits(inputs, codes, scales, bits):
    """MatMulNBits: codes [rows, groups, 32] of `bits` bits, zero in the middle of their range."""
    rows, groups, _ = codes.shape
    packed = codes if bits == 8 else codes[..., 0::2] | codes[..., 1::2] << 4
    return run(
        "MatMulNBits",
        [("a", inputs), ("b", packed.astype(np.uint8)), ("scales", scales.astype(np.float32))],
        {"y": inputs.dtype},
        MICROSOFT,
        K=groups * 32,
        N=rows,
        bits=bits,
        block_size=32,
    )[0]
