"""Bad files, bad requests and bad luck: one clear error that names what is wrong, no crash, and no
partial file.
"""

import json
import os
import signal
import struct
import subprocess
import time

import gguf
import pytest
from conftest import SERVED
from oracle.synthetic import Synthetic, write

TINY = Synthetic("tiny")
# LLVM's name of a feature -> its name in /proc/cpuinfo.
RARE_FEATURES = {"avx512fp16": "avx512_fp16", "amx-int8": "amx_int8", "avxvnni": "avx_vnni"}


@pytest.fixture
def folder(tmp_path):
    """A folder with a good checkpoint and a place for results."""
    write(tmp_path / "good.gguf", TINY)
    (tmp_path / "out").mkdir()
    return tmp_path


def compile_fails(tools, folder, model, *options):
    """The error of a compilation that has to fail and to leave nothing."""
    target = folder / "out" / "model.llmir"
    error = tools.fail("llmir", "compile", model, "-o", target, *options)
    assert list((folder / "out").iterdir()) == []
    return error


def patched(folder, change):
    """A copy of the good checkpoint after `change(bytearray)`."""
    data = bytearray((folder / "good.gguf").read_bytes())
    result = change(data)
    path = folder / "bad.gguf"
    path.write_bytes(data if result is None else result)
    return path


def test_every_truncation_is_refused(tools, folder):
    size = (folder / "good.gguf").stat().st_size
    for length in (0, 3, 4, 8, 23, 24, 100, 5000, size // 2, size - 1):
        path = patched(folder, lambda data: data[:length])
        assert "bad.gguf" in compile_fails(tools, folder, path)


def test_random_damage_never_crashes(tools, folder):
    import random

    draw = random.Random(9)
    for _ in range(40):

        def damage(data):
            # The header, metadata and tensor table, where every byte means something.
            for _ in range(draw.randint(1, 8)):
                data[draw.randrange(0, 12000)] = draw.randrange(256)

        path = patched(folder, damage)
        done = tools.call("llmir", "inspect", path)
        assert done.returncode in (0, 1), f"{done.returncode}: {done.stderr}"
        if done.returncode == 1:
            assert done.stderr.count("error: ") == 1


def test_hostile_counts(tools, folder):
    for offset in (8, 16):  # the number of tensors, the number of metadata entries

        def inflate(data):
            data[offset : offset + 8] = struct.pack("<Q", 0xFFFFFFFFFFFFFF)

        assert "bad.gguf" in compile_fails(tools, folder, patched(folder, inflate))


def test_not_a_checkpoint(tools, folder):
    path = folder / "text.gguf"
    path.write_text("hello, this is no checkpoint at all")
    assert "text.gguf" in compile_fails(tools, folder, path)
    assert "missing.gguf" in compile_fails(tools, folder, folder / "missing.gguf")


def test_other_version(tools, folder):
    def change(data):
        data[4:8] = struct.pack("<I", 77)

    assert "77" in compile_fails(tools, folder, patched(folder, change))


def test_unknown_architecture(tools, folder):
    path = patched(folder, lambda data: bytes(data).replace(b"llama", b"lhama"))
    assert "lhama" in compile_fails(tools, folder, path)


def test_missing_tensor(tools, folder):
    path = patched(folder, lambda data: bytes(data).replace(b"blk.0.attn_k.w", b"blk.0.attn_x.w"))
    assert "blk.0.attn_k.weight" in compile_fails(tools, folder, path)


def test_unknown_tensor_type(tools, folder):
    name = b"blk.0.attn_k.weight"

    def change(data):
        at = data.index(name) + len(name) + 4 + 2 * 8
        data[at : at + 4] = struct.pack("<I", 12345)

    error = compile_fails(tools, folder, patched(folder, change))
    assert "blk.0.attn_k.weight" in error and "12345" in error


def test_unsupported_tensor_type(tools, folder):
    name = b"blk.0.ffn_norm.weight"

    def change(data):
        at = data.index(name) + len(name) + 4 + 8
        data[at : at + 4] = struct.pack("<I", gguf.GGMLQuantizationType.I32)

    error = compile_fails(tools, folder, patched(folder, change))
    assert "blk.0.ffn_norm.weight" in error and "i32" in error.lower()


def test_wrong_shape(tools, folder):
    name = b"blk.0.attn_k.weight"

    def change(data):
        at = data.index(name) + len(name) + 4
        columns, rows = struct.unpack("<QQ", data[at : at + 16])
        data[at : at + 16] = struct.pack("<QQ", rows, columns)

    error = compile_fails(tools, folder, patched(folder, change))
    assert "blk.0.attn_k.weight" in error


def test_prompt_longer_than_the_context(tools, tiny_model):
    ids = ",".join(["5"] * 200)
    error = tools.fail("llmir", "run", tiny_model, "--tokens", ids, "-n", 4)
    assert "200" in error and "128" in error


def test_token_out_of_range(tools, tiny_model):
    error = tools.fail("llmir", "run", tiny_model, "--tokens", "1,301", "-n", 1)
    assert "301" in error
    assert "-1" in tools.fail("llmir", "run", tiny_model, "--tokens=-1", "-n", 1)


def test_empty_prompt(tools, tiny_model):
    tools.fail("llmir", "run", tiny_model, "-p", "", "-n", 1)


def test_full_pool(tools, tiny_model):
    ids = ",".join(["5"] * 60)
    error = tools.fail("llmir", "run", tiny_model, "--tokens", ids, "-n", 1, "--kv-blocks", 2)
    assert "block" in error


def test_damaged_artifact(tools, tiny_model, tmp_path):
    data = tiny_model.read_bytes()
    for length in (0, 10, 100, len(data) // 2, len(data) - 1):
        path = tmp_path / "cut.llmir"
        path.write_bytes(data[:length])
        error = tools.fail("llmir", "run", path, "--tokens", "5", "-n", 1)
        assert "cut.llmir" in error


def test_flipped_weight_is_noticed_when_asked(tools, tiny_model, tmp_path):
    listing = json.loads(tools.succeed("llmir", "inspect", tiny_model, "--json").stdout)
    section = next(s for s in listing["sections"] if s["name"] == ".llmir.weights")
    data = bytearray(tiny_model.read_bytes())
    data[section["offset"] + section["bytes"] // 2] ^= 0x10
    path = tmp_path / "flipped.llmir"
    path.write_bytes(data)
    error = tools.fail("llmir", "run", path, "--tokens", "5", "-n", 1, "--verify-weights")
    assert "flipped.llmir" in error


def test_missing_feature_is_named(tools, folder):
    flags = open("/proc/cpuinfo").read().split()
    lacking = [name for name, flag in RARE_FEATURES.items() if flag not in flags]
    if not lacking:
        pytest.skip("this processor has every feature that the test could ask for")
    feature = lacking[0]
    model = folder / "out" / "model.llmir"
    features = f"--features=avx2,fma,f16c,{feature}"
    tools.compile(folder / "good.gguf", model, features)
    error = tools.fail("llmir", "run", model, "--tokens", "5", "-n", 1)
    assert feature in error


def test_full_disk(tools, folder, smollm2_path):
    if os.geteuid() != 0:
        pytest.skip("mounting a tiny file system needs root")
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder / "out")]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a tiny file system is not allowed here")
    try:
        error = compile_fails(tools, folder, smollm2_path, *SERVED)
        assert "space" in error or "full" in error
    finally:
        subprocess.run(["umount", str(folder / "out")], check=True)


def test_unwritable_target(tools, folder):
    target = folder / "nowhere" / "model.llmir"
    error = tools.fail("llmir", "compile", folder / "good.gguf", "-o", target)
    assert "nowhere" in error


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_interrupted_compile_leaves_nothing(tools, folder, smollm2_path, name):
    target = folder / "out" / "model.llmir"
    for delay in (0.3, 1.0, 2.0, 4.0):
        process = subprocess.Popen(
            [str(tools.path("llmir")), "compile", str(smollm2_path), "-o", str(target)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        time.sleep(delay)
        process.send_signal(getattr(signal, name))
        process.communicate(timeout=60)
        left = [path.name for path in target.parent.iterdir()]
        assert left in ([], ["model.llmir"])
        if left:  # The signal came after the file had its name: then it is complete.
            tools.succeed("llmir", "run", target, "--tokens", "5", "-n", 0, "--verify-weights")
            target.unlink()
        else:
            assert process.returncode != 0


def test_good_target_survives_a_failed_compile(tools, folder):
    target = folder / "out" / "model.llmir"
    tools.compile(folder / "good.gguf", target)
    before = target.read_bytes()
    tools.fail("llmir", "compile", patched(folder, lambda data: data[:5000]), "-o", target)
    assert target.read_bytes() == before
    assert [path.name for path in target.parent.iterdir()] == ["model.llmir"]
