"""Kernels come from the IR: the runtime's libraries hold none, and compiled code calls none."""

import re
import subprocess

import pytest

RUNTIME = ("Base", "ModelFiles", "Cache", "Device", "Engine", "CommandLine")
KERNEL_NAMES = re.compile(
    r"mat_?mul|gemm|gemv|attention|rms_?norm|layer_?norm|swi_?glu|rotary|\brope|dot_?product"
    r"|linear_?kernel|silu|embedding_?kernel",
    re.IGNORECASE,
)
# Vector multiply-and-add: what a matrix kernel is made of.
KERNEL_INSTRUCTIONS = re.compile(
    r"\b(v?fn?m(add|sub)\d+p[sd]|vpdp\w+|v?pmadd(ubsw|wd)|tdp\w+|v?dpp[sd]|vdpbf16ps)\b"
)
# What compiled code may need from outside: memory primitives, the angles of a rotary embedding, and
# the seam of the runtime.
OUTSIDE = re.compile(
    r"^(mem(cpy|set|move)|sincosf?|exp2|llmir_rt_\w+|__cxa_finalize|__gmon_start__|_ITM_\w+)$"
)


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def library(tools, name):
    return tools.binaries.parent / "lib" / f"libLLMIR{name}.a"


@pytest.mark.parametrize("name", RUNTIME)
def test_no_kernel_by_name(tools, name):
    listing = output_of("nm", "-C", "--defined-only", str(library(tools, name)))
    symbols = re.findall(r"^[0-9a-f]{16} \w (.*)$", listing, flags=re.MULTILINE)
    assert symbols
    assert [symbol for symbol in symbols if KERNEL_NAMES.search(symbol)] == []


@pytest.mark.parametrize("name", RUNTIME)
def test_no_kernel_by_instructions(tools, name):
    listing = output_of("objdump", "-d", "--no-show-raw-insn", str(library(tools, name)))
    assert KERNEL_INSTRUCTIONS.findall(listing) == []


@pytest.mark.parametrize("name", RUNTIME)
def test_reference_is_not_linked(tools, name):
    listing = output_of("nm", "-C", str(library(tools, name)))
    assert "llmir::reference::" not in listing
    for program in ("llmir", "llmir-compile"):
        assert "llmir::reference::" not in output_of("nm", "-C", str(tools.path(program)))


def test_compiled_code_calls_no_library(tools, tiny_path):
    code = tools.new_file(".o")
    tools.succeed("llmir", "compile", tiny_path, "--emit=obj", "-o", code)
    undefined = output_of("nm", "--undefined-only", str(code))
    names = [line.split()[-1].split("@")[0] for line in undefined.splitlines()]
    assert [name for name in names if not OUTSIDE.match(name)] == []
    defined = output_of("nm", "--defined-only", str(code))
    assert "llmir_model_step" in defined
    assert "llmir_model_abi_version" in defined


def test_compiled_code_multiplies_with_vectors(tools, tiny_path):
    code = tools.new_file(".o")
    tools.succeed("llmir", "compile", tiny_path, "--emit=obj", "--activations=int8", "-o", code)
    listing = output_of("objdump", "-d", "--no-show-raw-insn", str(code))
    assert re.search(r"\b(vpdpbusd|vpmaddubsw|vpmaddwd|tdpb\w+)\b", listing)
    assert not re.search(r"\b(syscall|lock cmpxchg)\b", listing)


def test_llmir_links_no_llvm(tools):
    needed = output_of("readelf", "-d", str(tools.path("llmir")))
    assert not re.search(r"NEEDED.*(LLVM|MLIR)", needed)
