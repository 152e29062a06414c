"""`llmir inspect --render-chat` against jinja2, as Hugging Face's tools set it up."""

import json

import pytest
from conftest import SHARED_DATA
from oracle.synthetic import Synthetic, write

TEMPLATES = sorted((SHARED_DATA / "templates").glob("*.jinja"))
CONVERSATIONS = {
    "question": [{"role": "user", "content": "What is the capital of France?"}],
    "system": [
        {"role": "system", "content": "You answer in one word."},
        {"role": "user", "content": "2 + 2?"},
    ],
    "turns": [
        {"role": "user", "content": "Hello  \n"},
        {"role": "assistant", "content": " Hi! <tag> & \"quotes\" 'single' "},
        {"role": "user", "content": "Déjà vu 😀\n\nBye"},
    ],
}
# Their templates refuse a system message, or want a date or tools that a message list has not.
REFUSED = {("google-gemma-2-2b-it", "system")}


def render_with_jinja2(template, messages, bos, eos):
    """The oracle; raises jinja2.TemplateError where the template itself refuses the messages."""
    jinja2 = pytest.importorskip("jinja2", reason="the Python package jinja2 is not installed")
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message):
        raise jinja2.TemplateError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(
        value, ensure_ascii=False, indent=indent
    )
    environment.globals["raise_exception"] = refuse
    return environment.from_string(template).render(
        messages=messages, bos_token=bos, eos_token=eos, add_generation_prompt=True
    )


def render(tools, model, messages):
    path = tools.new_file(".json")
    path.write_text(json.dumps(messages))
    return tools.succeed("llmir", "inspect", model, "--render-chat", path).stdout


@pytest.mark.parametrize("conversation", CONVERSATIONS)
def test_smollm2(tools, smollm2_path, conversation):
    import gguf

    reader = gguf.GGUFReader(smollm2_path)
    template = reader.get_field("tokenizer.chat_template").contents()
    messages = CONVERSATIONS[conversation]
    expected = render_with_jinja2(template, messages, "<|im_start|>", "<|im_end|>")
    assert render(tools, smollm2_path, messages) == expected


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_published_template(tools, tmp_path, path, conversation):
    template = path.read_text()
    messages = CONVERSATIONS[conversation]
    model = write(tmp_path / "tiny.gguf", Synthetic("tiny", layers=0, chat_template=template))
    if (path.stem, conversation) in REFUSED:
        listing = tools.new_file(".json")
        listing.write_text(json.dumps(messages))
        error = tools.fail("llmir", "inspect", model, "--render-chat", listing)
        assert "System role not supported" in error
        return
    expected = render_with_jinja2(template, messages, "<|im_start|>", "<|endoftext|>")
    assert render(tools, model, messages) == expected


def test_all_templates_are_there():
    if not TEMPLATES:
        pytest.skip(f"no templates in {SHARED_DATA / 'templates'} (the project's shared data)")
    assert len(TEMPLATES) >= 7
