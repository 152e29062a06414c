"""Calls compiled functions of small `llm` modules from Python, through ctypes and memref
descriptors. The cache behind them is a few lines of C here: a pool of blocks that Python owns, so
that which block holds what is the test's choice and nothing of the runtime takes part."""

import ctypes
import re

import numpy as np

CACHE = r"""
#include "llmir/ABI.h"
struct llmir_rt_cache {
  uint8_t *base;
  const float *key_scales, *value_scales;
  int64_t block_stride;
};
uint8_t *llmir_rt_cache_base(llmir_rt_cache *cache, const llmir_cache_layout *expected) {
  cache->block_stride = expected->block_stride;
  return cache->base;
}
const float *llmir_rt_cache_key_scales(llmir_rt_cache *cache) { return cache->key_scales; }
const float *llmir_rt_cache_value_scales(llmir_rt_cache *cache) { return cache->value_scales; }
void llmir_test_free(void *memory) { __builtin_free(memory); }
"""


def descriptor(rank):
    class MemRef(ctypes.Structure):
        _fields_ = [
            ("allocated", ctypes.c_void_p),
            ("aligned", ctypes.c_void_p),
            ("offset", ctypes.c_int64),
            ("sizes", ctypes.c_int64 * rank),
            ("strides", ctypes.c_int64 * rank),
        ]

    return MemRef


def describe(array):
    """A descriptor of a contiguous array, which must stay alive."""
    assert array.flags.c_contiguous
    result = descriptor(array.ndim)(array.ctypes.data, array.ctypes.data, 0)
    result.sizes[:] = array.shape
    result.strides[:] = [stride // array.itemsize for stride in array.strides]
    return result


class Cache(ctypes.Structure):
    """The handle that compiled code takes; `scales` where they are constants of the cache."""

    _fields_ = [
        ("base", ctypes.c_void_p),
        ("key_scales", ctypes.c_void_p),
        ("value_scales", ctypes.c_void_p),
        ("block_stride", ctypes.c_int64),
    ]

    def give_pool(self, blocks):
        """Allocates the blocks of the layout that compiled code has asked for, full of NaN."""
        self.pool = np.full(blocks * self.block_stride + 64, 0xFF, np.uint8)
        self.base = (self.pool.ctypes.data + 63) // 64 * 64

    def give_scales(self, keys, values):
        self.scales = [np.ascontiguousarray(side, np.float32) for side in (keys, values)]
        self.key_scales, self.value_scales = (side.ctypes.data for side in self.scales)


class CompiledModule:
    """A module, compiled for this machine by the tools under test."""

    def __init__(self, tools, text, passes=(), options="activations=f32"):
        source, lowered = tools.new_file(".mlir"), tools.new_file(".mlir")
        library, code = tools.new_file(".so"), tools.new_file(".o")
        support = tools.new_file(".c")
        source.write_text(text)
        support.write_text(CACHE)
        pipeline = f"--llm-cpu-pipeline={options}"
        tools.succeed("llmir-opt", *passes, pipeline, source, "-o", lowered)
        tools.succeed("llmir-translate", "--llmir-to-object", lowered, "-o", code)
        tools.link_shared(library, code, support)
        self.lowered = lowered.read_text()
        self.library = ctypes.CDLL(str(library))

    def workspace_bytes(self, **counts):
        """The workspace of a step: counts are of tokens, sequences, rows and workers."""
        text = re.search(r"llm\.workspace = \{([^}]*)\}", self.lowered).group(1)
        sizes = {k: int(v) for k, v in re.findall(r"(\w+) = (\d+) : i64", text)}
        return sizes["fixed"] + sum(sizes[f"per_{of}"] * n for of, n in counts.items()) + 64

    def call(self, name, *arguments, result=None):
        """Calls a function of arrays, caches and indices that gives one tensor, [rank, type], or a
        cache (None)."""
        passed = []
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                passed.append(ctypes.byref(describe(argument)))
            elif isinstance(argument, Cache):
                passed.append(ctypes.byref(argument))
            else:
                passed.append(ctypes.c_int64(argument))
        function = getattr(self.library, f"_mlir_ciface_{name}")
        if result is None:
            function.restype = ctypes.c_void_p
            function(*passed)
            return None
        rank, dtype = result
        output = descriptor(rank)()
        function.restype = None
        function(ctypes.byref(output), *passed)
        count = int(np.prod(output.sizes))
        view = (ctypes.c_uint8 * (count * np.dtype(dtype).itemsize)).from_address(output.aligned)
        array = np.frombuffer(view, dtype).copy().reshape(list(output.sizes))
        self.library.llmir_test_free(ctypes.c_void_p(output.allocated))
        return array
