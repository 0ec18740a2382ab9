"""What a document is made of: every character and token of it belongs to one turn, and prose is apart from code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator import content, tokens
from curator.content import Turn
from curator.data import Conversation, Document, Message, Origin, Tokens, ToolCall
from tests.conftest import STARTER_TOKENIZER


def document(conversation: Conversation, language: str | None = None) -> Document:
    return Document(conversation, Origin("tests/x", None, "train", "0"), "x", "Misc", language)


def parts(conversation: Conversation, text: str, language: str | None = None) -> list[tuple[str, str, str]]:
    return [(t.role, t.kind, text[t.start : t.end]) for t in content.turns(document(conversation, language), text)]


def test_turns_are_found_in_what_the_template_printed() -> None:
    conversation = Conversation(
        (
            Message("system", "Be brief."),
            Message("user", "In Hebrew:\nSay hello."),
            Message("assistant", "Here:\n```python\nprint('shalom')\n```\nDone.", reasoning="Hebrew for hello is shalom."),
        ),
        instruction="In Hebrew:\n",
    )
    text = "<s>system\nBe brief.</s><s>user\nIn Hebrew:\nSay hello.</s><s>assistant\n<think>Hebrew for hello is shalom.</think>Here:\n```python\nprint('shalom')\n```\nDone.</s>"
    assert parts(conversation, text) == [
        ("template", "template", "<s>system\n"),
        ("system", "plain", "Be brief."),
        ("template", "template", "</s><s>user\n"),
        ("user", "instruction", "In Hebrew:"),
        ("user", "plain", "\nSay hello."),
        ("template", "template", "</s><s>assistant\n<think>"),
        ("assistant", "reasoning", "Hebrew for hello is shalom."),
        ("template", "template", "</think>"),
        ("assistant", "plain", "Here:\n"),
        ("assistant", "code", "```python\nprint('shalom')\n```"),
        ("assistant", "plain", "\nDone."),
        ("template", "template", "</s>"),
    ]
    assert [t.language for t in content.turns(document(conversation), text) if t.kind == "code"] == ["python"]


def test_tools_and_calls_have_kinds_of_their_own() -> None:
    conversation = Conversation(
        (Message("user", "Weather?"), Message("assistant", "", tool_calls=(ToolCall("weather", {"city": "Haifa"}),)), Message("tool", "sunny")),
        tools=({"type": "function", "function": {"name": "weather"}},),
    )
    text = '[TOOLS]{"name": "weather"}[/TOOLS]U: Weather?\nA: {"name": "weather", "arguments": {"city": "Haifa"}}\nT: sunny\n'
    assert parts(conversation, text) == [
        ("system", "tools", '[TOOLS]{"name": "weather"}[/TOOLS]U: '),
        ("user", "plain", "Weather?"),
        ("template", "template", '\nA: {"name": "'),
        ("assistant", "tool_call", "weather"),
        ("assistant", "tool_call", '", "arguments": {"city": "Haifa"}}\nT: '),
        ("tool", "plain", "sunny"),
        ("template", "template", "\n"),
    ]


def test_plain_text_is_nobodys_turn_and_plain_code_is_code() -> None:
    assert parts(Conversation(text="a story"), "a story") == [("text", "plain", "a story")]
    assert parts(Conversation(text="let x = 1"), "let x = 1", "rust") == [("text", "code", "let x = 1")]


def test_a_fence_that_is_never_closed_and_one_within_a_longer_one() -> None:
    text = "````markdown\n```sh\nls\n```\n````\nthen\n```\nopen"
    assert parts(Conversation((Message("assistant", text),)), text) == [
        ("assistant", "code", "````markdown\n```sh\nls\n```\n````"),
        ("assistant", "plain", "\nthen\n"),
        ("assistant", "code", "```\nopen"),
    ]


def test_prose_leaves_out_instruction_code_markup_and_reasoning() -> None:
    conversation = Conversation(
        (
            Message("user", "Reply in Hebrew.\nWas steht im <b>Haus</b>? https://example.org `x = 1`"),
            Message("assistant", "Ein Stuhl.\n```c\nint x;\n```", reasoning="The user speaks German."),
        ),
        instruction="Reply in Hebrew.\n",
    )
    assert content.prose(conversation).split() == ["Was", "steht", "im", "Haus", "?", "Ein", "Stuhl."]
    assert content.code(conversation) == "int x;\n"


@pytest.fixture(scope="module")
def encoder() -> tokens.Encoder:
    return tokens.load(str(STARTER_TOKENIZER))


words = st.text(st.sampled_from("ab \n`~é漢🙂֍<>{}x"), max_size=40)


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), words), min_size=1, max_size=5), words, st.data())
def test_turns_cover_whatever_is_said(said: list[tuple[str, str]], between: str, data: st.DataObject) -> None:
    conversation = Conversation(tuple(Message(role, text) for role, text in said))  # type: ignore[arg-type]
    text = between + between.join(t for _, t in said)
    found = content.turns(document(conversation), text)
    assert [t.start for t in found] == [0, *(t.end for t in found[:-1])][: len(found)]
    assert sum(t.end - t.start for t in found) == len(text)
    if text:
        starts = np.arange(len(text), dtype=np.int32)
        placed = data.draw(st.integers(1, len(text)))
        runs = content.runs(found, starts, tokens=placed, chars=placed)
        assert (sum(r.tokens for r in runs), sum(r.chars for r in runs)) == (placed, placed)
        assert all(r.tokens == r.chars for r in runs)


@given(st.text(min_size=1, max_size=200))
def test_tokens_start_where_the_tokenizer_says(encoder: tokens.Encoder, text: str) -> None:
    text = text.encode("utf-8", "ignore").decode() or "x"
    [made] = encoder.encode([document(Conversation(text=text))])
    assert isinstance(made, Tokens)
    encoding = encoder.fast.encode(made.text, add_special_tokens=True)
    told = encoder.starts(made)
    assert told.tolist() == np.maximum.accumulate([start for start, _ in encoding.offsets]).tolist()


def test_a_token_belongs_to_the_turn_in_which_it_starts() -> None:
    stretches = [Turn("user", "plain", 0, 5), Turn("assistant", "plain", 5, 12)]
    starts = np.array([0, 2, 4, 6, 11], dtype=np.int32)
    assert [(r.tokens, r.chars) for r in content.runs(stretches, starts, tokens=5, chars=12)] == [(3, 5), (2, 7)]
    assert [(r.tokens, r.chars) for r in content.runs(stretches, starts, tokens=4, chars=11)] == [(3, 5), (1, 6)]
    assert [(r.tokens, r.chars) for r in content.runs(stretches, starts, tokens=2, chars=4)] == [(2, 4)]
