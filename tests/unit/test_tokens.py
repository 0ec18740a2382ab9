"""Chat templates: what each dialect gets, and what is repaired for those that refuse."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2
import pytest

from curator import tokens
from curator.data import Conversation, Document, Drop, Message, Origin, Tokens, ToolCall
from curator.errors import SourceError
from curator.tokens.dialect import Dialect, TemplateRejects, probe, render
from tests.conftest import STARTER_TOKENIZER, small_tokenizer

PLAIN = "{% for m in messages %}{% if m['role'] not in ('system','user','assistant','tool') %}{{ raise_exception('role') }}{% endif %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
STRICT = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{% if m.role == 'tool' %}{{ raise_exception('no tool') }}{% endif %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('alternate') }}{% endif %}<{{ m.role }}>{{ m.content }}{% endfor %}"
)
ITERATES = (
    "{% for t in tools or [] %}[{{ t.function.name }}]{% endfor %}"
    "{% for m in messages %}{% if m.role == 'tool' and not (messages[loop.index0 - 1].tool_calls or messages[loop.index0 - 1].role == 'tool') %}"
    "{{ raise_exception('tool role without a call before it') }}{% endif %}"
    "<{{ m.role }}>{% if m.reasoning_content %}({{ m.reasoning_content }}){% endif %}{{ m.content }}"
    "{% for c in m.tool_calls or [] %}{{ c.function.name }}:{% for k, v in c.function.arguments.items() %}{{ k }}={{ v }};{% endfor %}{% endfor %}{% endfor %}"
)
AS_TEXT = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% for c in m.tool_calls or [] %}{{ c.function.name + c.function.arguments }}{% endfor %}{% endfor %}"
)
THINKING = "{% for m in messages %}<{{ m.role }}>{{ m.thinking or '' }}{{ m.content }}{% endfor %}"


def applying(template: str) -> Callable[[list[dict[str, Any]], list[Mapping[str, Any]]], str]:
    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    compiled = jinja2.Environment().from_string(template, globals={"raise_exception": refuse})

    def apply(messages: list[dict[str, Any]], tools: list[Mapping[str, Any]]) -> str:
        try:
            return compiled.render(messages=messages, tools=tools)
        except Exception as error:
            raise TemplateRejects(str(error)) from None

    return apply


@pytest.mark.parametrize(
    ("template", "dialect"),
    [
        (PLAIN, Dialect(tool_role=True)),
        (STRICT, Dialect(system=False)),
        (ITERATES, Dialect(tools=True, tool_calls=True, tool_role=True, reasoning="reasoning_content")),
        (AS_TEXT, Dialect(tool_calls=True, tool_role=True, arguments_as_text=True)),
        (THINKING, Dialect(tool_role=True, reasoning="thinking")),
    ],
)
def test_probing_finds_the_dialect(template: str, dialect: Dialect) -> None:
    assert probe(applying(template)) == dialect


TOOL_TALK = Conversation(
    (
        Message("system", "sys"),
        Message("user", "q"),
        Message("assistant", "", "hm", (ToolCall("f", {"x": 1}),)),
        Message("tool", "r"),
        Message("assistant", "a"),
    ),
    ({"type": "function", "function": {"name": "f"}},),
)


def rendered(template: str, conversation: Conversation) -> tuple[str, tuple[str, ...]]:
    apply = applying(template)
    result = render(conversation, apply, probe(apply))
    assert not isinstance(result, Drop), result
    return result


def test_structure_is_kept_where_the_template_has_a_place_for_it() -> None:
    assert rendered(ITERATES, TOOL_TALK) == ("[f]<system>sys<user>q<assistant>(hm)f:x=1;<tool>r<assistant>a", ())
    assert rendered(AS_TEXT, TOOL_TALK)[0].endswith('f{"x": 1}<tool>r<assistant>a')


def test_structure_goes_into_the_text_where_it_has_none() -> None:
    text, repairs = rendered(PLAIN, TOOL_TALK)
    assert '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>' in text
    assert "<think>\nhm\n</think>" in text
    assert repairs == ("tools_into_system", "tool_calls_into_text", "reasoning_into_text")
    assert "None" not in text


def test_a_strict_template_gets_alternating_turns() -> None:
    text, repairs = rendered(STRICT, TOOL_TALK)
    assert text.startswith("<user>sys\n\n<tools>")
    assert "system_into_user" in repairs
    assert text.count("<user>") == 2


def test_what_is_refused_is_repaired_in_order_and_named() -> None:
    twice = Conversation((Message("user", "a"), Message("user", "b"), Message("assistant", "c")))
    assert rendered(STRICT, twice) == ("<user>a\n\nb<assistant>c", ("joined_turns",))
    greeting = Conversation((Message("assistant", "hello"), Message("user", "a"), Message("assistant", "c")))
    assert rendered(STRICT, greeting) == ("<user>a<assistant>c", ("user_first",))
    orphan = Conversation((Message("user", "a"), Message("tool", "r"), Message("assistant", "c")))
    assert rendered(ITERATES, orphan) == ("<user>a<user><tool_response>\nr\n</tool_response><assistant>c", ("tool_result_without_call",))
    alone = Conversation((Message("assistant", "only text"),))
    assert rendered(STRICT, alone) == ("only text", ("to_plain_text",))


def test_a_template_that_refuses_all_drops_with_the_reason() -> None:
    def apply(messages: list[dict[str, Any]], tools: list[Mapping[str, Any]]) -> str:
        raise TemplateRejects("never")

    result = render(Conversation((Message("user", "a"), Message("assistant", "b"))), apply, Dialect())
    assert result == Drop("template_rejected", "never")


@pytest.fixture(scope="module")
def encoder() -> tokens.Encoder:
    return tokens.load("starter", starter=STARTER_TOKENIZER)


def document(conversation: Conversation) -> Document:
    return Document(conversation, Origin("d", None, None, "0"), "s", "c")


def test_encoding_keeps_order_and_agrees_with_the_tokenizer_itself(encoder: tokens.Encoder) -> None:
    chat = Conversation((Message("user", "hello"), Message("assistant", "world")))
    results = list(encoder.encode([document(chat), document(Conversation(text="plain text")), document(chat)]))
    assert all(isinstance(r, Tokens) for r in results)
    messages = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "world"}]
    expected = encoder.tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False)
    assert results[0].ids.tolist() == results[2].ids.tolist() == expected
    assert results[1].ids.tolist() == encoder.tokenizer("plain text")["input_ids"]
    assert encoder.text_of(results[1].ids) == "plain text"


def test_the_starter_template_takes_everything(encoder: tokens.Encoder) -> None:
    assert encoder.dialect == Dialect(tools=True, tool_calls=True, tool_role=True, reasoning="reasoning_content")


def test_a_tokenizer_with_truncation_set_is_neither_used_so_nor_changed(tmp_path: Any) -> None:
    from transformers import PreTrainedTokenizerFast

    stained = PreTrainedTokenizerFast.from_pretrained(STARTER_TOKENIZER)
    stained.backend_tokenizer.enable_truncation(4)
    stained.backend_tokenizer.enable_padding(length=8)
    stained.save_pretrained(tmp_path)
    before = {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in tmp_path.iterdir()}
    encoder = tokens.load(str(tmp_path))
    (result,) = encoder.encode([document(Conversation(text="one two three four five six seven eight nine ten eleven"))])
    assert isinstance(result, Tokens)
    assert len(result) > 8
    assert {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in tmp_path.iterdir()} == before
    assert encoder.tokenizer.backend_tokenizer.truncation["max_length"] == 4, "the user's tokenizer stays as it came"


@pytest.mark.parametrize("way", ["link", "folder", "named", "templates"])
def test_a_tokenizer_that_a_mix_names_reads_only_what_the_mix_may(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mix, elsewhere = tmp_path / "mix", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret.jinja").write_text("a secret")
    folder = small_tokenizer(mix / "tokenizer")
    settings = json.loads((folder / "tokenizer_config.json").read_bytes())
    assert tokens.load(str(folder), base=str(mix)).template
    if way == "link":
        (folder / "chat_template.jinja").symlink_to(elsewhere / "secret.jinja")
    elif way == "templates":
        (folder / "additional_chat_templates").mkdir()
        (folder / "additional_chat_templates" / "tool_use.jinja").symlink_to(elsewhere / "secret.jinja")
    elif way == "named":
        (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"a_file": "\0", "vocab_file": str(elsewhere / "secret.jinja")}))
    else:
        folder = small_tokenizer(elsewhere)
    with pytest.raises(SourceError, match=r"outside the folder of the mix.*--allow-path"):
        tokens.load(str(folder), base=str(mix))
    if way != "named":
        assert tokens.load(str(folder)).template
    monkeypatch.setenv("CURATE_ALLOW_PATHS", str(elsewhere))
    if way != "named":
        assert tokens.load(str(folder), base=str(mix)).template
