"""Attention written in linalg, compiled as it stands by MLIR's own passes and raised to `llm.attention`
by ours, gives the same numbers, which are numpy's in float64 within rounding."""

import ctypes
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

BATCH, HEADS, SIZE, VALUE_SIZE = 2, 3, 20, 12
MLIR_OPT = Path("/usr/lib/llvm-22/bin/mlir-opt")
TO_LLVM = [
    "--one-shot-bufferize=bufferize-function-boundaries=1 "
    "function-boundary-type-conversion=identity-layout-map",
    "--convert-linalg-to-loops", "--convert-scf-to-cf", "--expand-strided-metadata",
    "--lower-affine", "--convert-math-to-llvm", "--convert-math-to-libm",
    "--finalize-memref-to-llvm", "--convert-func-to-llvm", "--convert-arith-to-llvm",
    "--convert-index-to-llvm", "--convert-cf-to-llvm", "--reconcile-unrealized-casts",
]


@dataclass(frozen=True)
class Form:
    name: str
    tokens: int
    keys: int
    causal: bool = False
    window: int = 0
    soft_cap: float = 0.0
    mask: bool = False
    attributes: str = ""


FORMS = [
    Form("plain", 7, 9),
    Form("one_token", 1, 130),
    Form("causal", 70, 70, causal=True, attributes="causal"),
    Form("window", 33, 33, causal=True, window=5, attributes="causal, window = 5 : i32"),
    Form("soft_cap", 5, 67, soft_cap=2.0, attributes="soft_cap = 2.0"),
    Form("mask", 6, 66, mask=True, attributes="mask(%"),
]


def module_text(form):
    t, s = form.tokens, form.keys
    scores, rows = f"tensor<{BATCH}x{HEADS}x{t}x{s}xf32>", f"tensor<{BATCH}x{HEADS}x{t}xf32>"
    query, keys = f"tensor<{BATCH}x{t}x{HEADS}x{SIZE}xf32>", f"tensor<{BATCH}x{s}x{HEADS}x{SIZE}xf32>"
    values = f"tensor<{BATCH}x{s}x{HEADS}x{VALUE_SIZE}xf32>"
    output = f"tensor<{BATCH}x{t}x{HEADS}x{VALUE_SIZE}xf32>"
    mask = f"tensor<{BATCH}x1x{t}x{s}xf32>"
    change = ["    %scale = arith.constant 0.25 : f32", "    %0 = arith.mulf %x, %scale : f32"]
    last = "%0"
    if form.soft_cap:
        change += [f"    %cap = arith.constant {form.soft_cap} : f32",
                   "    %1 = arith.divf %0, %cap : f32", "    %2 = math.tanh %1 : f32",
                   "    %3 = arith.mulf %2, %cap : f32"]
        last = "%3"
    if form.mask:
        change.append(f"    %4 = arith.addf {last}, %m : f32")
        last = "%4"
    if form.causal:
        change += ["    %t = linalg.index 2 : index", "    %j = linalg.index 3 : index",
                   "    %low = arith.constant 0xFF800000 : f32",
                   "    %before = arith.cmpi sge, %t, %j : index"]
        seen = "%before"
        if form.window:
            change += [f"    %w = arith.constant {form.window} : index",
                       "    %edge = arith.subi %t, %w : index",
                       "    %near = arith.cmpi slt, %edge, %j : index",
                       "    %both = arith.andi %before, %near : i1"]
            seen = "%both"
        change.append(f"    %5 = arith.select {seen}, {last}, %low : f32")
        last = "%5"
    ins = f"%s, %mask : {scores}, {mask}" if form.mask else f"%s : {scores}"
    mask_map, mask_argument = ("#mask, ", "%m: f32, ") if form.mask else ("", "")
    return "\n".join([
        "#full = affine_map<(b, h, t, s) -> (b, h, t, s)>",
        "#row = affine_map<(b, h, t, s) -> (b, h, t)>",
        "#mask = affine_map<(b, h, t, s) -> (b, 0, t, s)>",
        f"func.func @attend(%q: {query}, %k: {keys}, %v: {values}, %mask: {mask}) -> {output}",
        "    attributes {llvm.emit_c_interface} {",
        "  %zero = arith.constant 0.0 : f32",
        "  %least = arith.constant 0xFF800000 : f32",
        f"  %empty = tensor.empty() : {scores}",
        f"  %start = linalg.fill ins(%zero : f32) outs(%empty : {scores}) -> {scores}",
        "  %s = linalg.generic {indexing_maps = [affine_map<(b, h, t, s, d) -> (b, t, h, d)>,",
        "      affine_map<(b, h, t, s, d) -> (b, s, h, d)>,"
        " affine_map<(b, h, t, s, d) -> (b, h, t, s)>],",
        '      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}',
        f"      ins(%q, %k : {query}, {keys}) outs(%start : {scores}) {{",
        "  ^bb0(%x: f32, %y: f32, %sum: f32):", "    %0 = arith.mulf %x, %y : f32",
        "    %1 = arith.addf %sum, %0 : f32", "    linalg.yield %1 : f32", f"  }} -> {scores}",
        f"  %changed = linalg.generic {{indexing_maps = [#full, {mask_map}#full],",
        '      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}',
        f"      ins({ins}) outs(%empty : {scores}) {{",
        f"  ^bb0(%x: f32, {mask_argument}%o: f32):", *change, f"    linalg.yield {last} : f32",
        f"  }} -> {scores}",
        f"  %rows = tensor.empty() : {rows}",
        f"  %lows = linalg.fill ins(%least : f32) outs(%rows : {rows}) -> {rows}",
        f"  %zeros = linalg.fill ins(%zero : f32) outs(%rows : {rows}) -> {rows}",
        f"  %max = linalg.reduce {{arith.maximumf}} ins(%changed : {scores}) outs(%lows : {rows})"
        " dimensions = [3]",
        "  %weights = linalg.generic {indexing_maps = [#full, #row, #full],",
        '      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}',
        f"      ins(%changed, %max : {scores}, {rows}) outs(%empty : {scores}) {{",
        "  ^bb0(%x: f32, %y: f32, %o: f32):", "    %0 = arith.subf %x, %y : f32",
        "    %1 = math.exp %0 : f32", "    linalg.yield %1 : f32", f"  }} -> {scores}",
        f"  %total = linalg.reduce {{arith.addf}} ins(%weights : {scores}) outs(%zeros : {rows})"
        " dimensions = [3]",
        "  %p = linalg.generic {indexing_maps = [#full, #row, #full],",
        '      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}',
        f"      ins(%weights, %total : {scores}, {rows}) outs(%empty : {scores}) {{",
        "  ^bb0(%x: f32, %y: f32, %o: f32):", "    %0 = arith.divf %x, %y : f32",
        "    linalg.yield %0 : f32", f"  }} -> {scores}",
        f"  %o0 = tensor.empty() : {output}",
        f"  %o1 = linalg.fill ins(%zero : f32) outs(%o0 : {output}) -> {output}",
        "  %o = linalg.generic {indexing_maps = [affine_map<(b, h, t, s, d) -> (b, h, t, s)>,",
        "      affine_map<(b, h, t, s, d) -> (b, s, h, d)>,"
        " affine_map<(b, h, t, s, d) -> (b, t, h, d)>],",
        '      iterator_types = ["parallel", "parallel", "parallel", "reduction", "parallel"]}',
        f"      ins(%p, %v : {scores}, {values}) outs(%o1 : {output}) {{",
        "  ^bb0(%x: f32, %y: f32, %sum: f32):", "    %0 = arith.mulf %x, %y : f32",
        "    %1 = arith.addf %sum, %0 : f32", "    linalg.yield %1 : f32", f"  }} -> {output}",
        f"  return %o : {output}", "}", ""])


class MemRef4(ctypes.Structure):
    """MLIR's descriptor of a memref of four dimensions."""

    _fields_ = [("allocated", ctypes.c_void_p), ("aligned", ctypes.c_void_p),
                ("offset", ctypes.c_int64), ("sizes", ctypes.c_int64 * 4),
                ("strides", ctypes.c_int64 * 4)]

    @classmethod
    def of(cls, array):
        strides = (ctypes.c_int64 * 4)(*(stride // array.itemsize for stride in array.strides))
        sizes = (ctypes.c_int64 * 4)(*array.shape)
        return cls(array.ctypes.data, array.ctypes.data, 0, sizes, strides)


def run(tools, lowered, arrays):
    """Calls the function of a module in the LLVM dialect."""
    code, library = tools.new_file(".o"), tools.new_file(".so")
    tools.succeed("llmir-translate", "--llmir-to-object", lowered, "-o", code)
    tools.link_shared(library, code)
    output = MemRef4()
    function = ctypes.CDLL(str(library))._mlir_ciface_attend
    function(ctypes.byref(output), *(ctypes.byref(MemRef4.of(array)) for array in arrays))
    assert output.offset == 0
    pointer = ctypes.cast(output.aligned, ctypes.POINTER(ctypes.c_float))
    result = np.ctypeslib.as_array(pointer, tuple(output.sizes)).copy()
    free = ctypes.CDLL(None).free
    free.argtypes = [ctypes.c_void_p]
    free(output.allocated)
    return result


def expect(form, query, keys, values, mask):
    scores = np.einsum("bthd,bshd->bhts", query.astype(float), keys.astype(float)) * 0.25
    if form.soft_cap:
        scores = form.soft_cap * np.tanh(scores / form.soft_cap)
    if form.mask:
        scores = scores + mask
    token, key = np.arange(form.tokens)[:, None], np.arange(form.keys)[None, :]
    if form.causal:
        scores = np.where(key <= token, scores, -np.inf)
    if form.window:
        scores = np.where(key > token - form.window, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.einsum("bhts,bshd->bthd", weights, values.astype(float))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_raised_attention_gives_the_same_numbers(tools, form):
    optimizer = MLIR_OPT if MLIR_OPT.exists() else shutil.which("mlir-opt-22")
    if not optimizer:
        pytest.skip("mlir-opt of LLVM 22 is not installed (package mlir-22-tools)")
    source = tools.new_file(".mlir")
    source.write_text(module_text(form))
    optimized = tools.succeed("llmir-opt", source, "--llm-optimization-pipeline=opt-level=3").stdout
    assert "llm.attention" in optimized and "linalg" not in optimized, optimized
    assert form.attributes in optimized.replace("2.000000e+00", "2.0"), optimized

    raised, plain = tools.new_file(".mlir"), tools.new_file(".mlir")
    tools.succeed("llmir-opt", source, "--llm-cpu-pipeline=opt-level=3", "-o", raised)
    subprocess.run([str(optimizer), *TO_LLVM, str(source), "-o", str(plain)], check=True)

    random = np.random.default_rng(5)

    def draw(*shape):
        return random.standard_normal(shape).astype(np.float32)

    arrays = [draw(BATCH, form.tokens, HEADS, SIZE), draw(BATCH, form.keys, HEADS, SIZE),
              draw(BATCH, form.keys, HEADS, VALUE_SIZE), draw(BATCH, 1, form.tokens, form.keys)]
    expected = expect(form, *arrays)
    ours, theirs = run(tools, raised, arrays), run(tools, plain, arrays)
    # Sums of up to 130 products in f32; measured: at most 2e-6.
    np.testing.assert_allclose(theirs, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
