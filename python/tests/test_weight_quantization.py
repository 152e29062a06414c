"""Float checkpoints that the compiler quantises, against the GGUF files of the same width.

SmolLM2's bf16 form is made from the package's file, and from it the GGUF forms by the `gguf`
package's own quantisers; all are measured by `llmir run --perplexity` on the GPL-3 text.
"""

import re

import pytest
from conftest import SERVED
from oracle.requantize import requantize
from oracle.synthetic import Synthetic, write
from test_served_quality import measure_perplexity


@pytest.fixture(scope="module")
def checkpoint(smollm2_path, tmp_path_factory):
    """checkpoint(type): SmolLM2 with layers of that type, and an 8-bit head unless it is bf16."""
    folder = tmp_path_factory.mktemp("types")
    made = {}

    def make(name):
        if name not in made:
            head = name if name == "BF16" else "Q8_0"
            made[name] = requantize(smollm2_path, folder / f"{name}.gguf", name, head)
        return made[name]

    return make


@pytest.fixture(scope="module")
def perplexity(tools, compiled, checkpoint, gpl3_text, tmp_path_factory):
    """perplexity(type, *options): of SmolLM2 in that type, compiled with the options."""
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(gpl3_text)
    known = {}

    def measure(name, *options):
        if (name, options) not in known:
            model = compiled(checkpoint(name), *SERVED, *options)
            known[name, options] = measure_perplexity(tools, model, path)
            print(f"perplexity of {name} {' '.join(options)}: {known[name, options]:.4f}")
        return known[name, options]

    return measure


@pytest.mark.parametrize("group_size, tolerance", [(32, 0.01), (128, 0.02)])
def test_int8_is_as_good_as_q8_0(perplexity, group_size, tolerance):
    quantised = perplexity("BF16", "--quantize=int8", f"--group-size={group_size}")
    assert quantised == pytest.approx(perplexity("Q8_0"), rel=tolerance)


@pytest.mark.parametrize("symmetry, name", [("symmetric", "Q4_0"), ("asymmetric", "Q4_1")])
def test_int4_is_as_good_as_gguf(perplexity, symmetry, name):
    """Better is allowed: the compiler searches for its scales, and GGUF's reference does not."""
    quantised = perplexity("BF16", "--quantize=int4", f"--symmetry={symmetry}")
    assert quantised <= 1.01 * perplexity(name)


def test_int4_chooses_the_better_form(perplexity):
    chosen = perplexity("BF16", "--quantize=int4")
    assert chosen <= 1.01 * min(
        perplexity("BF16", "--quantize=int4", f"--symmetry={symmetry}")
        for symmetry in ("symmetric", "asymmetric")
    )


def test_errors_are_printed(tools, tmp_path):
    spec = Synthetic("floats", layers=2, width=128, heads=4, weight_type="F16", feed_forward=192)
    source = write(tmp_path / "floats.gguf", spec)
    shared = ["compile", source, "-o", tmp_path / "floats.llmir"]
    summary = tools.succeed("llmir", *shared, "--quantize=int8").stderr
    match = re.search(r"quantised (\d+) weights: .* rms error \S+ \((\S+) % of the weights'\)", summary)
    # Two layers of seven matrices, of which three and two are fused, and the embedding.
    assert match and int(match[1]) == 2 * 4 + 1
    assert 0.3 < float(match[2]) < 1.0
    verbose = tools.succeed(
        "llmir", *shared, "--quantize=int4", "--group-size=64", "--keep-weights=*down*", "--verbose"
    ).stderr
    assert "keeps its type: asked for" in verbose
    table = [line.split() for line in verbose.splitlines() if line.startswith("blk.")]
    rows = [line for line in table if line[1] in ("q4_0", "q4_1")]
    assert len(rows) == 2 * 3 and all(row[2] == "64" for row in rows)
    assert all(4.0 < float(row[6]) < 12.0 for row in rows)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--quantize=int3"], "--quantize"),
        (["--quantize=int8", "--group-size=48"], "--group-size"),
        (["--group-size=64"], "--quantize"),
    ],
)
def test_bad_options(tools, tiny_path, tmp_path, options, message):
    done = tools.call("llmir", "compile", tiny_path, "-o", tmp_path / "x.llmir", *options)
    assert done.returncode == 2 and message in done.stderr
