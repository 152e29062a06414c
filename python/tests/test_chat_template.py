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


def render_with_jinja2(template, messages, bos, eos):
    """The oracle: the text, or None where the template cannot render these messages without tools,
    or itself refuses them."""
    jinja2 = pytest.importorskip("jinja2", reason="the Python package jinja2 is not installed")
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message):
        raise jinja2.TemplateError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(
        value, ensure_ascii=False, indent=indent
    )
    environment.globals["raise_exception"] = refuse
    variables = {"bos_token": bos, "eos_token": eos, "tools": None, "documents": None}
    try:
        return environment.from_string(template).render(
            messages=messages, add_generation_prompt=True, **variables
        )
    except (jinja2.TemplateError, TypeError):
        return None


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
    model = write(tmp_path / "tiny.gguf", Synthetic("tiny", layers=1, chat_template=template))
    expected = render_with_jinja2(template, messages, "<|im_start|>", "<|endoftext|>")
    if expected is not None:
        assert render(tools, model, messages) == expected
        return
    listing = tools.new_file(".json")
    listing.write_text(json.dumps(messages))
    assert "chat template" in tools.fail("llmir", "inspect", model, "--render-chat", listing)


def test_all_templates_are_there():
    if not TEMPLATES:
        pytest.skip(f"no templates in {SHARED_DATA / 'templates'} (the project's shared data)")
    assert len(TEMPLATES) >= 7
