"""The rows of the benchmark: what is measured on which checkpoint, and the least that is asked."""

from dataclasses import dataclass, field
from typing import Callable, Optional

import checkpoints
from checkpoints import ONE_BILLION
from subjects import Work


@dataclass(frozen=True)
class Row:
    """`metric`: `decode` or `prompt` (tokens/s of all sequences together)."""

    key: str
    what: str
    checkpoint: Callable
    metric: str
    work: Work
    options: tuple = ("--activations=int8", "--kv=f16")
    least: dict = field(default_factory=dict)  # of a peer's name: the least ratio
    least_share: Optional[float] = None  # of bandwidth (decode) or the unit's peak (prompt)
    unit: str = "int8"  # the probe's units that `prompt` is a share of

    @property
    def tokens(self):
        counts = {"decode": self.work.decode, "prompt": self.work.prompt}
        return counts[self.metric] * self.work.sequences


def _small(weight_type):
    return lambda: checkpoints.smollm2_as(weight_type)


def _large(weight_type):
    return lambda: checkpoints.random_llama(ONE_BILLION, weight_type)


BF16 = ("--activations=bf16", "--kv=bf16")
LLAMA, IK = "llama.cpp", "ik_llama.cpp"

ROWS = [
    Row("decode-135m-q4_1", "decode 135M, as packaged", checkpoints.smollm2, "decode", Work(),
        least={LLAMA: 1.7, IK: 1.4}, least_share=0.5),
    Row("decode-135m-q8_0", "decode 135M, int8", _small("Q8_0"), "decode", Work(),
        least={LLAMA: 1.7, IK: 1.4}, least_share=0.65),
    Row("decode-135m-q4_0", "decode 135M, int4", _small("Q4_0"), "decode", Work(),
        least={LLAMA: 1.7, IK: 1.4}, least_share=0.5),
    Row("decode-1b-q8_0", "decode 1B, int8", _large("Q8_0"), "decode", Work(64, 16),
        least={LLAMA: 1.3}),
    Row("decode-1b-q4_0", "decode 1B, int4", _large("Q4_0"), "decode", Work(64, 16),
        least={LLAMA: 1.15}),
    Row("decode-135m-bf16", "decode 135M, bf16", _small("BF16"), "decode", Work(), BF16,
        least={LLAMA: 1.5}),
    Row("decode-135m-2k", "decode 135M at 2k", checkpoints.smollm2, "decode", Work(2048, 32),
        least={LLAMA: 2.2}),
    Row("decode-135m-8k", "decode 135M at 8k", checkpoints.smollm2, "decode", Work(8000, 32),
        least={LLAMA: 2.5}),
    Row("prefill-135m-q8_0", "prefill 512, 135M, int8", _small("Q8_0"), "prompt", Work(512, 1),
        least={LLAMA: 3.5}, least_share=0.35),
    Row("prefill-1b-q8_0", "prefill 512, 1B, int8", _large("Q8_0"), "prompt", Work(512, 1),
        least={LLAMA: 3.0}, least_share=0.35),
    Row("prefill-135m-bf16", "prefill 512, 135M, bf16", _small("BF16"), "prompt", Work(512, 1),
        BF16, least={LLAMA: 1.4}, least_share=0.45, unit="bf16"),
    Row("batch-16", "decode 135M, 16 sequences", checkpoints.smollm2, "decode",
        Work(32, 32, sequences=16), least={LLAMA: 3.0}),
    Row("batch-64", "decode 135M, 64 sequences", checkpoints.smollm2, "decode",
        Work(32, 16, sequences=64), least={LLAMA: 4.0}),
]  # fmt: skip

# Two works on one checkpoint, of which the ratio counts: (key, what, dividend, divisor, metric,
# bound, whether the bound is the most). A step of M prompt tokens has one row of logits.
_STEP1 = Work(512, 1, chunk=1)  # The same contexts as those of larger steps.
PAIRS = [
    ("step-4", "a 4-token step / a 1-token step", Work(512, 1, chunk=4), _STEP1, "step", 1.35, True),
    ("step-8", "an 8-token step / a 1-token step", Work(512, 1, chunk=8), _STEP1, "step", 1.7, True),
    ("scaling-decode", "decode, 2 threads / 1", Work(), Work(threads=1), "decode", 1.6, False),
    ("scaling-prefill", "prefill 512, 2 threads / 1", Work(512, 1), Work(512, 1, threads=1),
     "prompt", 1.85, False),
]  # fmt: skip
