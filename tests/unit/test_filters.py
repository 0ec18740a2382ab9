"""Filters see all that a model will see, and take time that grows with the text only."""

from __future__ import annotations

import importlib
import random
import time
from typing import Any

import pytest

from curator import filters
from curator.data import Conversation, Document, Message, Origin, ToolCall

KEY = "AKIA" + "Z7QH2M4KX9P1LV3W"


def document(*messages: Message, tools: tuple[dict[str, Any], ...] = (), text: str | None = None) -> Document:
    return Document(Conversation(messages, tools, text), Origin("d", None, None, "0"), "source", "category", None)


PLACES = {
    "value": lambda s: document(Message("assistant", "", tool_calls=(ToolCall("f", {"a": [{"key": s}]}),))),
    "key": lambda s: document(Message("assistant", "", tool_calls=(ToolCall("f", {s: 1}),))),
    "text": lambda s: document(Message("assistant", "", tool_calls=(ToolCall("f", s),))),
    "name": lambda s: document(Message("assistant", "", tool_calls=(ToolCall(s, {}),))),
    "id": lambda s: document(Message("tool", "done", tool_call_id=s)),
    "schema": lambda s: document(Message("user", "hi"), tools=({"type": "function", "function": {"description": s}},)),
}


@pytest.mark.parametrize("place", PLACES)
def test_calls_and_schemas_are_filtered_like_turns(place: str) -> None:
    make = PLACES[place]
    found, nul = filters.secrets(make(KEY)), filters.encoding(make("a\0b"))
    assert found is not None
    assert found.reason == "secret"
    assert nul is not None
    assert nul.reason == "nul_bytes"
    assert filters.secrets(make("plain")) is None
    assert filters.encoding(make("plain")) is None


def test_schemas_do_not_make_a_text_long() -> None:
    drop = filters.length(document(Message("user", "hi"), tools=({"description": "x" * 100},)))
    assert drop is not None
    assert drop.reason == "too_short"


CRAFTED = ("sk-" * 1300 + "T3BlbkFJ", "sk-sk-eyJ" * 140 + "T3BlbkFJ", "sk-eyJ" * 600 + "T3BlbkFJ")  # a literal in every piece of such lines


@pytest.mark.parametrize("line", CRAFTED)
def test_runs_that_begin_again_and_again_take_no_longer(line: str) -> None:
    started = time.process_time()
    assert filters.secrets(document(text=line * (300_000 // len(line)))) is None
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("detector", "parts"),
    [("openai.OpenAIDetector", ["sk-", "a" * 20, "T3BlbkFJ", "b", "-", "_", " ", "s"]), ("jwt.JwtTokenDetector", ["eyJ", ".", "a", "=", " ", "e", "-"])],
)
def test_quick_patterns_find_what_the_published_ones_find(detector: str, parts: list[str]) -> None:
    module, name = detector.split(".")
    (published,) = getattr(importlib.import_module(f"detect_secrets.plugins.{module}"), name).denylist
    quick = filters._shortened(published)
    assert quick != published
    rng, found = random.Random(1), 0
    for _ in range(20_000):
        text = "".join(rng.choices(parts, k=rng.randrange(12)))
        assert bool(quick.search(text)) == bool(published.search(text)), text
        found += bool(quick.search(text))
    assert found > 10


@pytest.mark.parametrize(
    "text", ["//" * 150_000 + "/:_authToken=", "eyJ" * 100_000, "sk-" * 100_000 + "T3BlbkFJ", "//\n" * 100_000, "://" * 100_000], ids=lambda t: t[:4].strip()
)
def test_no_text_holds_up_the_patterns_of_secrets(text: str) -> None:
    started = time.process_time()
    assert filters.secrets(document(text=text)) is None
    assert time.process_time() - started < 5


@pytest.mark.parametrize("before", ["", "line\n", "x " * 1000, "x " * 5000, "x" * 4090 + " ", "x\n" * 2040, "line\n" * 5000])
@pytest.mark.parametrize("secret", [KEY, "//registry.npmjs.org/:_authToken=npm_Abc123Abc123", "-----BEGIN RSA PRIVATE KEY-----"])
def test_a_secret_is_found_wherever_it_stands(before: str, secret: str) -> None:
    for after in ("", "\nmore", " x" * 4000):
        assert filters.secrets(document(text=before + secret + after)) is not None
