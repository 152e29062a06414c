"""int8 activations and an f16 cache: what is lost against exact arithmetic, in numbers."""

import numpy as np
import pytest
from command_line import read_stats
from oracle.llama import log_softmax
from prompts import CONTINUED


def test_top_1_agrees_with_the_exact_model(tools, served_model, exact_model, gpl3_tokens):
    tokens = gpl3_tokens[:1024]
    served = tools.run_tokens(served_model, [tokens], logits=True).logits.argmax(axis=-1)
    exact = tools.run_tokens(exact_model, [tokens], logits=True).logits.argmax(axis=-1)
    agreement = float((served == exact).mean())
    print(f"top-1 agreement {agreement:.4f}")
    assert agreement >= 0.95


def measure_perplexity(tools, model, path):
    done = tools.succeed(
        "llmir", "run", model, "--perplexity", path, "--max-tokens", 1024, "--stats=json"
    )
    stats = read_stats(done.stderr)
    assert stats["tokens"] in (1023, 1024)
    return stats["perplexity"]


def test_perplexity(tools, served_model, exact_model, gpl3_text, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(gpl3_text)
    exact = measure_perplexity(tools, exact_model, path)
    served = measure_perplexity(tools, served_model, path)
    print(f"perplexity: exact {exact:.4f}, served {served:.4f}")
    assert served == pytest.approx(exact, rel=0.015)


def test_perplexity_is_that_of_the_logits(
    tools, exact_model, gpl3_text, gpl3_logits, gpl3_tokens, tmp_path
):
    from oracle.llama import perplexity

    path = tmp_path / "text.txt"
    path.write_text(gpl3_text)
    done = tools.succeed(
        "llmir", "run", exact_model, "--perplexity", path, "--max-tokens", 256, "--stats=json"
    )
    expected = perplexity(gpl3_logits, gpl3_tokens[:256])
    assert read_stats(done.stderr)["perplexity"] == pytest.approx(expected, rel=1e-3)


def test_top_5_along_llama_cpp(tools, served_model, peer):
    differences = []
    for prompt in CONTINUED[:6]:
        tokens = peer.tokenize(prompt)
        chosen, best = peer.greedy(tokens, 24)
        logits = tools.run_tokens(served_model, [tokens + chosen[:-1]], logits=True).logits
        rows = log_softmax(logits[len(tokens) - 1 :])
        differences += [abs(row[i] - p) for row, step in zip(rows, best) for i, p in step]
    mean = float(np.mean(differences))
    print(f"mean difference of the top 5: {mean:.4f} nats")
    assert len(differences) >= 6 * 20 * 5
    assert mean <= 0.25
