"""`llmir inspect --tokenize` against llama.cpp's tokenizer and its published vectors."""

import random
import sys
import unicodedata

import pytest
from conftest import SHARED_DATA

VOCABULARIES = SHARED_DATA / "vocab"


def tokenize(tools, model, records, *options):
    """The ids of each record."""
    path = tools.new_file(".records")
    path.write_bytes(b"\0".join(record.encode() for record in records) + b"\0")
    done = tools.succeed("llmir", "inspect", model, "--tokenize", path, *options)
    lines = done.stdout.split("\n")[:-1]
    assert len(lines) == len(records)
    return [[int(word) for word in line.split()] for line in lines]


def assigned(low, high):
    """Assigned code points of a range that can stand in UTF-8 text."""
    skipped = ("Cn", "Co", "Cs")
    points = [chr(code) for code in range(max(low, 1), high)]
    return [point for point in points if unicodedata.category(point) not in skipped]


def random_strings(count):
    """Strings of up to 40 characters, each from one to three kinds of text."""
    kinds = [
        assigned(0x20, 0x7F),
        [" ", "\n", "\t", "\r", "\u00a0", "\u2003", "\u3000"],
        [str(digit) for digit in range(10)] + assigned(0x660, 0x66A) + assigned(0xB2, 0xBE),
        [chr(code) for code in range(ord("a"), ord("z") + 1)] + ["'s", "'ll", "'RE", "n't"],
        assigned(0xA0, 0x250),
        assigned(0x300, 0x600),
        assigned(0x900, 0xE00),
        assigned(0x3040, 0x3100) + assigned(0x4E00, 0x5000) + assigned(0xAC00, 0xAD00),
        assigned(0x1F300, 0x1F700) + ["\u200d", "\ufe0f"],
        ["<|im_start|>", "<|endoftext|>", "<", "|", ">"],
        assigned(1, sys.maxunicode + 1),
    ]
    draw = random.Random(2026)
    strings = []
    for _ in range(count):
        chosen = draw.sample(kinds, draw.randint(1, 3))
        pieces = [draw.choice(draw.choice(chosen)) for _ in range(draw.randint(1, 40))]
        strings.append("".join(pieces))
    return strings


def test_gpl3_text_as_in_llama_cpp(tools, smollm2_path, gpl3_text, gpl3_tokens):
    assert tokenize(tools, smollm2_path, [gpl3_text]) == [gpl3_tokens]


def test_random_strings_as_in_llama_cpp(tools, smollm2_path, peer):
    strings = random_strings(2000)
    for string, ids in zip(strings, tokenize(tools, smollm2_path, strings)):
        assert ids == peer.tokenize(string), repr(string)


def test_special_tokens_as_in_llama_cpp(tools, smollm2_path, peer):
    strings = [
        "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n",
        "a <|endoftext|> b",
        "<|im_start|><|im_end|>",
        "<|im_start|",
    ]
    for options, parse in (([], False), (["--parse-special"], True)):
        expected = [peer.tokenize(string, parse_special=parse) for string in strings]
        assert tokenize(tools, smollm2_path, strings, *options) == expected


def test_published_gpt2_vectors(tools):
    model = VOCABULARIES / "ggml-vocab-gpt-2.gguf"
    if not model.exists():
        pytest.skip(f"{model} is missing (it comes with the project's shared data)")
    separator = "\n__ggml_vocab_test__\n"
    records = model.with_suffix(".gguf.inp").read_bytes().decode().split(separator)
    lines = model.with_suffix(".gguf.out").read_text().split("\n")
    expected = [[int(word) for word in line.split()] for line in lines[: len(records)]]
    assert tokenize(tools, model, records) == expected


def test_artifact_tokenizes_like_its_checkpoint(tools, tiny_model, tiny_path):
    records = ["hello world", "", "ab\u00e9<|im_start|>"]
    assert tokenize(tools, tiny_model, records) == tokenize(tools, tiny_path, records)
