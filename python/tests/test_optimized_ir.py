"""What the optimisation phase leaves of SmolLM2, and what its passes count."""

import re

import pytest

PASSES = (
    "llm-fuse-projections",
    "llm-fold-norms",
    "llm-fold-residuals",
    "llm-fuse-kv-append",
    "llm-quantize-activations",
    "llm-choose-packed-layouts",
)


@pytest.fixture(scope="module")
def optimized(tools, smollm2_path):
    """The IR after the phase `optimize`."""
    return tools.succeed("llmir", "compile", smollm2_path, "--compile-to=optimize").stdout


def step_operations(text):
    """The names of the operations in the function `step`, in order."""
    body = text[text.index("func.func @step") :]
    return re.findall(r"^\s*(?:%[^=]+ = )?(llm\.\w+)", body, flags=re.MULTILINE)


def test_at_most_six_operations_a_layer(optimized):
    operations = step_operations(optimized)
    layers = [name for name in operations if name not in ("llm.embedding", "llm.logits")]
    assert operations.count("llm.paged_attention") == 30
    assert len(layers) <= 6 * 30


def test_every_layer_is_the_same_sequence(optimized):
    operations = step_operations(optimized)
    assert operations[0] == "llm.embedding"
    assert operations[-1] == "llm.logits"
    assert operations[1:-1] == operations[1:7] * 30


def test_projections_are_fused_weights(optimized):
    text = optimized
    assert len(re.findall(r"llm\.weight .*attn_q.*attn_k.*attn_v", text)) == 30
    assert len(re.findall(r"llm\.weight .*ffn_gate.*ffn_up", text)) == 30


def test_every_pass_counts_something(tools, smollm2_path):
    imported = tools.new_file(".mlir")
    tools.succeed("llmir-translate", "--import-gguf", smollm2_path, "-o", imported)
    options = [f"--{name}" for name in PASSES]
    done = tools.succeed(
        "llmir-opt", imported, *options, "--llm-pass-statistics", "-o", tools.new_file(".mlir")
    )
    counts = re.findall(r"^(llm-[\w-]+): (\d+) ([\w-]+)$", done.stderr, flags=re.MULTILINE)
    assert {name for name, _, _ in counts} == set(PASSES)
    assert [entry for entry in counts if int(entry[1]) == 0] == []
