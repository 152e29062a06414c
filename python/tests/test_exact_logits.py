"""f32 activations and an f32 cache: the compiled model equals the numpy implementation."""

import numpy as np
from prompts import CONTINUED

TOLERANCE = 2e-4  # of a row's largest logit
MARGIN = 0.02  # an oracle lead below this may be lost to rounding


def worst_relative_error(actual, expected):
    """The largest |difference| of a row over the row's largest |logit|."""
    scale = np.abs(expected).max(axis=-1)
    return float((np.abs(actual - expected).max(axis=-1) / scale).max())


def test_logits_of_256_tokens(tools, exact_model, gpl3_tokens, gpl3_logits):
    result = tools.run_tokens(exact_model, [gpl3_tokens[:256]], logits=True)
    assert result.logits.shape == gpl3_logits.shape
    assert result.logits.dtype == np.float32
    assert worst_relative_error(result.logits, gpl3_logits) < TOLERANCE


def test_greedy_continuations(tools, exact_model, smollm2, peer):
    prompts = [peer.tokenize(prompt) for prompt in CONTINUED]
    result = tools.run_tokens(exact_model, prompts, count=64)
    assert [len(tokens) for tokens in result.tokens] == [64] * len(prompts)
    compared = 0
    for prompt, tokens in zip(prompts, result.tokens):
        # Up to the first difference both saw the same tokens, so one pass of the oracle over the
        # continuation says what it would have chosen at each position.
        rows = smollm2.forward(prompt + tokens[:-1])[len(prompt) - 1 :]
        for position, (row, token) in enumerate(zip(rows, tokens)):
            second, first = np.partition(row, -2)[-2:]
            if first - second < MARGIN:
                break
            assert token == row.argmax(), f"position {position} of the continuation of {prompt}"
            compared += 1
    assert compared >= 200, f"only {compared} tokens before near ties"


def test_text_prompt_equals_token_prompt(tools, exact_model, peer):
    tokens = peer.tokenize(CONTINUED[0])
    by_tokens = tools.run_tokens(exact_model, [tokens], count=8).tokens[0]
    done = tools.succeed(
        "llmir", "run", exact_model, "-p", CONTINUED[0], "-n", 8, "--print-tokens", "--ignore-eos"
    )
    assert [int(word) for word in done.stdout.strip().split(",")] == by_tokens
