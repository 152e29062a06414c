"""Compares the techniques by which dense attention is compiled, in one process.

    .venv/bin/python benchmarks/attention/techniques.py [--build build/release]

One `llm.attention`, causal, is compiled by every technique of convert-llm-to-cpu. The functions run in
turn in each round, on one thread, and a probe of f32 multiply-adds runs between the rounds; a round
whose probe moved by more than 20 % is dropped. Prints a markdown table: time against the three-pass
baseline within rounds, memory that a call allocates beside its result, the largest error against
numpy in float64 on sampled rows, and the share of the probed peak that the multiply-adds for keys
that are seen make up. All code that is timed comes from LLVM, so the build type of the tools does
not matter.
"""

import argparse
import ctypes
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "model"))
from machine import processor_name  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
TECHNIQUES = ["three-pass", "fused-softmax", "masked", "sliding-window", "flash"]
FEATURES = ["avx2", "fma", "f16c", "avx512f", "avx512_bf16", "amx_bf16"]

# Counts the bytes that are allocated at a time (the linker directs the object's calls here), and
# probes multiply-adds: 12 sums, so that latency does not show.
SUPPORT = r"""
#include <immintrin.h>
#include <malloc.h>
#include <stddef.h>
void *__real_malloc(size_t);
void __real_free(void *);
static size_t now, most;
void *__wrap_malloc(size_t size) {
  void *memory = __real_malloc(size);
  now += malloc_usable_size(memory);
  if (now > most)
    most = now;
  return memory;
}
void __wrap_free(void *memory) {
  if (memory)
    now -= malloc_usable_size(memory);
  __real_free(memory);
}
void reset_most(void) { now = most = 0; }
size_t get_most(void) { return most; }
float multiply_adds(long count) {
#ifdef __AVX512F__
  __m512 sums[12], x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(0.001f);
  for (int i = 0; i < 12; ++i)
    sums[i] = _mm512_set1_ps((float)i);
  for (long n = 0; n < count; n += 12 * 16) {
    for (int i = 0; i < 12; ++i)
      sums[i] = _mm512_fmadd_ps(sums[i], x, y);
    __asm__ volatile("" : "+v"(x), "+v"(y));
  }
  for (int i = 1; i < 12; ++i)
    sums[0] = _mm512_add_ps(sums[0], sums[i]);
  return _mm512_cvtss_f32(sums[0]);
#else
  __m256 sums[12], x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(0.001f);
  for (int i = 0; i < 12; ++i)
    sums[i] = _mm256_set1_ps((float)i);
  for (long n = 0; n < count; n += 12 * 8) {
    for (int i = 0; i < 12; ++i)
      sums[i] = _mm256_fmadd_ps(sums[i], x, y);
    __asm__ volatile("" : "+x"(x), "+x"(y));
  }
  for (int i = 1; i < 12; ++i)
    sums[0] = _mm256_add_ps(sums[0], sums[i]);
  return _mm256_cvtss_f32(sums[0]);
#endif
}
"""


@dataclass(frozen=True)
class Row:
    tokens: int
    window: int = 0
    heads: int = 3
    kv_heads: int = 1
    head_dim: int = 64
    element: str = "f32"

    @property
    def work(self):
        """Multiply-adds for the keys that are seen."""
        seen = np.minimum(np.arange(1, self.tokens + 1), self.window or self.tokens).sum()
        return int(seen) * self.heads * 2 * self.head_dim


class MemRef4(ctypes.Structure):
    """MLIR's descriptor of a memref of four dimensions."""

    _fields_ = [("allocated", ctypes.c_void_p), ("aligned", ctypes.c_void_p),
                ("offset", ctypes.c_int64), ("sizes", ctypes.c_int64 * 4),
                ("strides", ctypes.c_int64 * 4)]

    @classmethod
    def of(cls, array):
        strides = [stride // array.itemsize for stride in array.strides]
        return cls(array.ctypes.data, array.ctypes.data, 0, (ctypes.c_int64 * 4)(*array.shape),
                   (ctypes.c_int64 * 4)(*strides))


def module_text(row):
    def tensor(heads):
        return f"tensor<1x{row.tokens}x{heads}x{row.head_dim}x{row.element}>"
    query, keys = tensor(row.heads), tensor(row.kv_heads)
    window = f", window = {row.window} : i32" if row.window else ""
    return (f"func.func @attend(%q: {query}, %k: {keys}, %v: {keys}) -> {query} {{\n"
            f"  %o = llm.attention %q, %k, %v {{num_heads = {row.heads} : i32, "
            f"scale = {row.head_dim ** -0.5} : f32, causal{window}}} : ({query}, {keys}, {keys}) "
            f"-> {query}\n  return %o : {query}\n}}\n")


def call(*command):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"techniques: {command[0]} failed:\n{result.stderr}")


class Function:
    """One technique, compiled and loaded."""

    def __init__(self, build, folder, row, technique):
        # A path of its own: the loader keeps what it has loaded.
        number = len(list(Path(folder).glob("*.so")))
        stem = Path(folder) / f"{technique}-{number}"
        source, lowered, support = (stem.with_suffix(end) for end in (".mlir", ".lowered", ".c"))
        source.write_text(module_text(row))
        support.write_text(SUPPORT)
        call(build / "bin/llmir-opt", f"--llm-cpu-pipeline=attention={technique}", source, "-o",
             lowered)
        call(build / "bin/llmir-translate", "--llmir-to-object", lowered, "-o",
             stem.with_suffix(".o"))
        call("clang-22", "-O2", "-march=native", "-shared", "-fPIC", "-Wl,--wrap=malloc",
             "-Wl,--wrap=free", support, stem.with_suffix(".o"), "-o", stem.with_suffix(".so"),
             "-lm")
        self.library = ctypes.CDLL(str(stem.with_suffix(".so")))
        self.library.get_most.restype = ctypes.c_size_t
        self.library.multiply_adds.restype = ctypes.c_float
        self.library.multiply_adds.argtypes = [ctypes.c_long]
        self.free = ctypes.CDLL(None).free
        self.free.argtypes = [ctypes.c_void_p]

    def run(self, query, keys, values):
        """Seconds of a call, and its result."""
        output = MemRef4()
        operands = [ctypes.byref(MemRef4.of(array)) for array in (query, keys, values)]
        self.library.reset_most()
        start = time.perf_counter()
        self.library._mlir_ciface_attend(ctypes.byref(output), *operands)
        seconds = time.perf_counter() - start
        kind = ctypes.c_float if query.dtype == np.float32 else ctypes.c_uint16
        pointer = ctypes.cast(output.aligned, ctypes.POINTER(kind))
        result = np.ctypeslib.as_array(pointer, query.shape).view(query.dtype).copy()
        self.free(output.allocated)
        return seconds, result

    def scratch_bytes(self, result):
        return self.library.get_most() - result.nbytes

    def peak(self):
        """f32 multiply-adds in a second."""
        count = 400_000_000
        start = time.perf_counter()
        self.library.multiply_adds(count)
        return count / (time.perf_counter() - start)


def expect(row, query, keys, values, tokens):
    """Attention of some tokens in float64."""
    group = row.heads // row.kv_heads
    result = np.zeros((len(tokens), row.heads, row.head_dim))
    for i, token in enumerate(tokens):
        first = max(0, token + 1 - row.window) if row.window else 0
        for head in range(row.heads):
            k = keys[0, first:token + 1, head // group].astype(np.float64)
            v = values[0, first:token + 1, head // group].astype(np.float64)
            scores = k @ query[0, token, head].astype(np.float64) * np.float32(row.head_dim ** -0.5)
            weights = np.exp(scores - scores.max())
            result[i, head] = weights @ v / weights.sum()
    return result


def measure(row, build, folder, rounds):
    kind = {"f32": np.float32, "f16": np.float16}[row.element]
    random = np.random.default_rng(3)
    query, keys, values = (
        random.standard_normal((1, row.tokens, heads, row.head_dim)).astype(kind)
        for heads in (row.heads, row.kv_heads, row.kv_heads))
    sampled = np.unique(np.concatenate([[0, row.tokens - 1], random.integers(0, row.tokens, 48)]))
    expected = expect(row, query, keys, values, sampled)
    functions = {name: Function(build, folder, row, name) for name in TECHNIQUES}
    errors, scratch = {}, {}
    for name, function in functions.items():
        _, result = function.run(query, keys, values)
        errors[name] = np.abs(result[0, sampled].astype(np.float64) - expected).max()
        scratch[name] = function.scratch_bytes(result)
    probe = functions["flash"]
    seconds = {name: [] for name in TECHNIQUES}
    peaks, dropped = [], 0
    before = probe.peak()
    while len(peaks) < rounds and dropped < 3 * rounds:
        times = {name: function.run(query, keys, values)[0] for name, function in functions.items()}
        after = probe.peak()
        steady = abs(after / before - 1) <= 0.2
        if steady:
            peaks.append((before + after) / 2)
            for name in TECHNIQUES:
                seconds[name].append(times[name])
        dropped += not steady
        before = after
    if not peaks:
        sys.exit("techniques: expected a round in which the probe is steady, but there was none")
    for name in TECHNIQUES:
        ratios = [own / base for own, base in zip(seconds[name], seconds["three-pass"])]
        shares = [row.work / own / peak for own, peak in zip(seconds[name], peaks)]
        window = row.window or "none"
        print(f"| {row.tokens} | {window} | {row.head_dim} | {row.element} | {name} "
              f"| {statistics.median(seconds[name]) * 1e3:.1f} "
              f"| {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}) "
              f"| {scratch[name] / 1024:.0f} | {errors[name]:.1e} "
              f"| {statistics.median(shares) * 100:.0f} % |", flush=True)
    return dropped


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=REPOSITORY / "build" / "release")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, nargs="+", default=[512, 2048, 8192])
    arguments = parser.parse_args()
    rows = []
    for tokens in arguments.tokens:
        rows.append(Row(tokens))
        rows.append(Row(tokens, window=tokens // 8))
        if tokens == 2048:
            rows.append(Row(tokens, head_dim=128))
            rows.append(Row(tokens, element="f16"))
    flags = Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0].split()
    present = [feature for feature in FEATURES if feature in flags]
    print(f"{processor_name()} ({', '.join(present)}), {time.strftime('%Y-%m-%d')}, one thread, "
          f"{rows[0].heads} query heads of {rows[0].kv_heads} KV head, causal\n")
    print("| tokens | window | head size | elements | technique | ms | time / three-pass (range) "
          "| scratch, KiB | largest error | share of the f32 peak |")
    print("|" + "---|" * 10)
    dropped = 0
    with tempfile.TemporaryDirectory() as folder:
        for row in rows:
            dropped += measure(row, arguments.build, folder, arguments.rounds)
    print(f"\n{arguments.rounds} rounds a row; {dropped} dropped.")


if __name__ == "__main__":
    main()
