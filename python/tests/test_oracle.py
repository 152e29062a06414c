"""The oracle itself: the numpy implementation against llama.cpp, and against itself in pieces."""

import numpy as np
import pytest
from oracle.llama import Llama, log_softmax
from oracle.synthetic import WEIGHT_TYPES, Synthetic, write
from prompts import CONTINUED


def test_smollm2_is_close_to_llama_cpp(smollm2, peer):
    differences = []
    for prompt in CONTINUED[:2]:
        tokens = peer.tokenize(prompt)
        chosen, best = peer.greedy(tokens, 24)
        rows = log_softmax(smollm2.forward(tokens + chosen[:-1])[len(tokens) - 1 :])
        differences += [abs(row[i] - p) for row, step in zip(rows, best) for i, p in step]
    assert len(differences) >= 200
    assert np.mean(differences) < 0.17


@pytest.mark.parametrize("weight_type", WEIGHT_TYPES)
def test_synthetic_checkpoints_continue_as_in_llama_cpp(weight_type, tmp_path):
    pytest.importorskip("xllamacpp", reason="the Python package xllamacpp is not installed")
    from oracle.peer import Peer

    spec = Synthetic(
        "tiny", 2, kv_heads=3, weight_type=weight_type, embedding_type=weight_type, tied=False
    )
    path = write(tmp_path / "tiny.gguf", spec)
    model = Llama(path, np.float64)
    prompt = [(7 * i * i + 3) % spec.vocabulary for i in range(40)]
    chosen, _ = Peer(path, context=spec.context).greedy(prompt, 8)
    rows = model.forward(prompt + chosen[:-1])[len(prompt) - 1 :]
    for row, token in zip(rows, chosen):
        # llama.cpp quantises activations too: a near tie may fall either way.
        assert row.max() - row[token] < 0.05


def test_a_prompt_in_pieces_gives_the_same_logits(tmp_path):
    model = Llama(write(tmp_path / "tiny.gguf", Synthetic("tiny", 2)), np.float64)
    tokens = np.random.default_rng(5).integers(0, 301, 50)
    whole = model.forward(tokens)
    cache = model.new_cache()
    pieces = [model.forward(part, cache) for part in np.split(tokens, [1, 8, 40])]
    assert np.abs(whole - np.concatenate(pieces)).max() < 1e-9


def test_a_model_of_zero_blocks_is_embedding_norm_head(tmp_path):
    model = Llama(write(tmp_path / "tiny.gguf", Synthetic("tiny", 0)), np.float64)
    hidden = model.weights["token_embd.weight"][[3]]
    hidden = hidden / np.sqrt((hidden**2).mean() + 1e-5) * model.weights["output_norm.weight"]
    expected = hidden @ model.weights["token_embd.weight"].T
    assert np.abs(model.forward([3]) - expected).max() < 1e-6
