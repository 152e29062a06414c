"""`llmir compile --kv-budget`: caches whose bytes fit, and text that still makes sense.

Bytes are computed here from the manifest, by docs/CacheLayout.md and without LLMIR's code.
"""

import json
import re

import pytest
from conftest import SERVED
from test_served_quality import measure_perplexity

BITS = {"f32": 32, "f16": 16, "bf16": 16, "f8E4M3FN": 8, "f8E5M2": 8, "i8": 8, "i4": 4}
SEQUENCES, CONTEXT = 4, 1024
# Of SmolLM2, whose f16 caches would take 94.4 MB: a part of the layers in 4 bits, and 8 bits at most.
BUDGETS = {"narrow": 40_000_000, "wide": 60_000_000}


def round_up(value):
    return -(-value // 64) * 64


def side_bytes(cache, side):
    """Bytes of a head's keys or values in a block, and of their scales."""
    size, tokens = cache[f"{side}_head_dim"], cache["block_size"]
    scales = {"none": 0, "token": 1}.get(cache.get(f"{side}_scales", "none"))
    if scales is None:
        scales = size // cache[f"{side}_scale_group"]
    elements = size * tokens * BITS[cache[f"{side}_type"]] // 8
    return elements, scales * tokens * BITS[cache.get("scale_type", "f32")] // 8


def block_bytes(cache):
    """Bytes of a block of all layers and heads."""
    keys, key_scales = side_bytes(cache, "key")
    values, value_scales = side_bytes(cache, "value")
    head = round_up(round_up(keys) + values) + key_scales + value_scales
    return round_up(head) * cache["num_kv_heads"] * cache["num_layers"]


def cache_bytes(caches, sequences, context):
    return sum(
        sequences * -(-context // cache["block_size"]) * block_bytes(cache) for cache in caches
    )


def read_manifest(tools, model):
    return json.loads(tools.succeed("llmir", "inspect", model, "--json").stdout)["manifest"]


def options_for(budget, sequences=SEQUENCES, context=CONTEXT):
    return (
        *SERVED,
        f"--max-seq-len={CONTEXT}",
        f"--kv-budget={budget}",
        f"--kv-sequences={sequences}",
        f"--kv-context={context}",
    )


@pytest.fixture(scope="module")
def planned(compiled, smollm2_path):
    """planned(name): SmolLM2 for one of BUDGETS."""
    return lambda name: compiled(smollm2_path, *options_for(BUDGETS[name]))


@pytest.mark.parametrize("name", BUDGETS)
def test_bytes_fit_and_are_used(tools, planned, name):
    manifest = read_manifest(tools, planned(name))
    caches = manifest["caches"]
    assert sum(cache["num_layers"] for cache in caches) == 30
    used = cache_bytes(caches, SEQUENCES, CONTEXT)
    print(f"{name}: {used} of {BUDGETS[name]} bytes in {len(caches)} caches")
    # Not narrower than it has to be: less than a layer's keys and values of f16 are left.
    assert BUDGETS[name] - 94_371_840 / 30 < used <= BUDGETS[name]
    assert str(BUDGETS[name]) in manifest["options"]["kv-budget"]


@pytest.mark.parametrize("name, tolerance", [("narrow", 0.05), ("wide", 0.01)])
def test_perplexity(tools, planned, served_model, gpl3_text, tmp_path, name, tolerance):
    path = tmp_path / "text.txt"
    path.write_text(gpl3_text)
    served = measure_perplexity(tools, served_model, path)
    narrow = measure_perplexity(tools, planned(name), path)
    print(f"{name}: perplexity {narrow:.4f}, with f16 caches {served:.4f}")
    assert narrow <= served * (1 + tolerance)


def test_text_makes_sense(tools, planned):
    done = tools.succeed(
        "llmir", "run", planned("narrow"), "-p", "The capital of France is", "-n", 12
    )
    assert "Paris" in done.stdout


def test_says_why(tools, smollm2_path):
    done = tools.succeed(
        "llmir", "compile", smollm2_path, *options_for(BUDGETS["narrow"]), "--compile-to=optimize"
    )
    total = re.search(r"take (\d+) of 40000000 bytes \(as they were: (\d+)\)", done.stderr)
    assert total and int(total[1]) <= BUDGETS["narrow"]
    assert int(total[2]) == 94_371_840
    assert re.search(r"layers 0\.\.\d+ of cache 0: keys in i8 \(a scale a token\)", done.stderr)
    assert "no wider: layer" in done.stderr


def test_a_budget_that_nothing_meets_is_refused(tools, smollm2_path, tmp_path):
    error = tools.fail(
        "llmir", "compile", smollm2_path, *options_for(1_000_000), "-o", tmp_path / "no.llmir"
    )
    match = re.search(
        r"expected KV caches of at most 1000000 bytes for 4 sequences of 1024 tokens, but the "
        r"narrowest, with keys in (\S+) .* and values in (\S+) .*, take (\d+)",
        error,
    )
    assert match and match[1] == match[2] == "i4"
    assert 20_000_000 < int(match[3]) < 40_000_000
    assert not (tmp_path / "no.llmir").exists()


def test_a_context_beyond_the_longest_is_refused(tools, tiny_path, tmp_path):
    error = tools.fail(
        "llmir", "compile", tiny_path, "--kv-budget=1GB", "--kv-context=1000000", "-o", tmp_path / "no"
    )
    assert "expected 'context' to be at most the cache's longest sequence" in error
