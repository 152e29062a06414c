"""What the optimisation phase leaves of SmolLM2, and what its passes count."""

import re

import pytest


@pytest.fixture(scope="module")
def optimized(tools, smollm2_path):
    """The IR after the phase `optimize`, and what the compiler printed beside it."""
    done = tools.succeed(
        "llmir", "compile", smollm2_path, "--compile-to=optimize", "--print-statistics"
    )
    return done.stdout, done.stderr


def step_operations(text):
    """The names of the operations in the function `step`, in order."""
    body = text[text.index("func.func @step") :]
    return re.findall(r"^\s*(?:%[\w:, %]+ = )?\"?(llm\.\w+)", body, flags=re.MULTILINE)


def test_at_most_seven_operations_a_layer(optimized):
    operations = step_operations(optimized[0])
    layers = [name for name in operations if name not in ("llm.embedding", "llm.logits")]
    assert operations.count("llm.paged_attention") == 30
    assert len(layers) <= 7 * 30


def test_every_layer_is_the_same_sequence(optimized):
    operations = step_operations(optimized[0])
    assert operations[0] == "llm.embedding"
    assert operations[-1] == "llm.logits"
    assert operations[1:-1] == operations[1:8] * 30


def test_projections_are_fused_weights(optimized):
    text = optimized[0]
    assert len(re.findall(r"llm\.weight .*attn_q.*attn_k.*attn_v", text)) == 30
    assert len(re.findall(r"llm\.weight .*ffn_gate.*ffn_up", text)) == 30


def test_every_pass_counts_something(optimized):
    """LLVM's statistics: a pass's name on one line, then `(S) number name - description` lines."""
    counts = {}
    current = None
    for line in optimized[1].splitlines():
        name = re.search(r"^\s*'?([A-Z]\w*(?:Pass)?)'?\s*$|\(?(llm-[\w-]+)\)?\s*$", line)
        number = re.search(r"\(S\)\s+(\d+)\s", line)
        if number and current:
            counts.setdefault(current, []).append(int(number.group(1)))
        elif name:
            current = name.group(1) or name.group(2)
    wanted = ("FuseProjections", "FoldNorms", "FoldResiduals", "ChoosePackedLayouts")
    for name in wanted:
        found = [sum(values) for key, values in counts.items() if key.startswith(name)]
        assert found and found[0] > 0, f"{name} counted nothing:\n{optimized[1]}"
