"""Filters see all that a model will see, and take time that grows with the text only."""

from __future__ import annotations

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
