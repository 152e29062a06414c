"""A request's logits do not depend on its batch, the chunks of its prompt or the threads.

Served together in chunks, four sequences take the pool's blocks in turn, so that each one's blocks
are interleaved with the others'; --shuffle-blocks permutes the block tables as well.
"""

import numpy as np
import pytest
from conftest import EXACT, SERVED

LENGTHS = (75, 33, 50, 18)
GENERATED = 6


@pytest.fixture(params=["smollm2", "tiny"])
def checkpoint(request):
    return request.getfixturevalue(f"{request.param}_path")


@pytest.fixture(params=[EXACT, SERVED], ids=["f32", "int8"])
def model(request, compiled, checkpoint):
    return compiled(checkpoint, *request.param)


def make_prompts():
    random = np.random.default_rng(3)
    return [random.integers(0, 301, length).tolist() for length in LENGTHS]


@pytest.fixture
def alone(tools, model):
    """Each prompt by itself: its tokens and its logits."""
    results = [
        tools.run_tokens(
            model, [prompt], count=GENERATED, logits=True, options=["--threads", 1], alone=True
        )
        for prompt in make_prompts()
    ]
    for result, length in zip(results, LENGTHS):
        # A row for each prompt token and for each token that was fed back.
        assert len(result.logits) == length + GENERATED - 1
    return results


def assert_same_bytes(result, alone):
    assert result.tokens == [each.tokens[0] for each in alone]
    expected = np.concatenate([each.logits for each in alone])
    assert result.logits.tobytes() == expected.tobytes()


def test_batch_chunks_and_threads(tools, model, alone):
    for threads in (1, 2):
        for chunk in (1, 2, 3, 7, 64, 512):
            options = ["--threads", threads, "--chunk", chunk, "--shuffle-blocks", chunk]
            together = tools.run_tokens(
                model, make_prompts(), count=GENERATED, logits=True, options=options
            )
            assert_same_bytes(together, alone)


def test_chunks_of_one_prompt(tools, model, alone):
    for chunk in (1, 7, 64):
        options = ["--threads", 2, "--chunk", chunk, "--shuffle-blocks", chunk]
        result = tools.run_tokens(
            model, make_prompts()[:1], count=GENERATED, logits=True, options=options, alone=True
        )
        assert_same_bytes(result, alone[:1])
