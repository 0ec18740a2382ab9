"""What a chat template can take, found by rendering small conversations with it and not by reading its source; and a conversation made to fit,
with what the template rejects repaired.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from curator.data import Conversation, Drop, Message, ToolCall

REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")

Rendered = tuple[str, tuple[str, ...]]  # the text, and the repairs it took
Apply = Callable[[list[dict[str, Any]], list[Mapping[str, Any]]], str]


class TemplateRejects(Exception):
    """The chat template raised for a conversation."""


class TemplateExceeds(TemplateRejects):
    """The chat template went past its bounds for a conversation: no repair makes it shorter."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a chat template does with the parts of a conversation, as probing showed it."""

    chat: bool = True
    system: bool = True
    tools: bool = False
    tool_calls: bool = False
    tool_role: bool = False
    arguments_as_text: bool = False
    reasoning: str | None = None  # the field that it reads; None where thoughts go into the content as <think>


def probe(apply: Apply) -> Dialect:
    """Find a template's dialect by rendering conversations that differ in one thing."""
    ask, say = {"role": "user", "content": "q0q"}, {"role": "assistant", "content": "a0a"}
    schema = {"type": "function", "function": {"name": "t0t", "description": "d", "parameters": {"type": "object", "properties": {}}}}

    def shows(mark: str, messages: list[dict[str, Any]], tools: list[Mapping[str, Any]] | None = None) -> bool:
        with suppress(TemplateRejects):
            return mark in apply(messages, tools or [])
        return False

    def calling(arguments: Any) -> list[dict[str, Any]]:
        call = {"id": "call00001", "type": "function", "function": {"name": "f0f", "arguments": arguments}}
        return [ask, {"role": "assistant", "content": "", "tool_calls": [call]}]

    def python_text(messages: list[dict[str, Any]]) -> bool:
        return shows("{'k0k'", messages)

    as_object, as_text = calling({"k0k": "v0v"}), calling('{"k0k": "v0v"}')
    object_works = shows("v0v", as_object) and not python_text(as_object)
    calls = (object_works or shows("v0v", as_text)) and shows("f0f", as_object if object_works else as_text)
    answered = [*(as_object if object_works else as_text), {"role": "tool", "content": "r0r", "tool_call_id": "call00001", "name": "f0f"}]
    return Dialect(
        chat=shows("q0q", [ask, say]),
        system=shows("s0s", [{"role": "system", "content": "s0s"}, ask, say]),
        tools=shows("t0t", [ask, say], [schema]),
        tool_calls=calls,
        tool_role=shows("r0r", answered if calls else [ask, say, answered[-1]]),
        arguments_as_text=not object_works and calls,
        reasoning=next((f for f in REASONING_FIELDS if shows("h0h", [ask, {**say, f: "h0h"}])), None),
    )


def encodable(text: str) -> bool:
    """Whether a text is Unicode that UTF-8 can hold: without lone surrogates."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def is_plain(conversation: Conversation, rendered: Rendered) -> bool:
    """Whether a text went in without any chat turn."""
    return conversation.text is not None or "to_plain_text" in rendered[1]


def render(conversation: Conversation, apply: Apply, dialect: Dialect) -> Rendered | Drop:
    """The text of a conversation, with the least repair that the template accepts; or why there is none.

    Repairs are tried in a fixed order, each on top of those before it, and named in the result so that they are counted.
    """
    if not dialect.chat:
        return "\n\n".join(m.content for m in conversation.messages if m.content), ("to_plain_text",)
    done: list[str] = []
    current = _fitted(conversation, dialect, done)
    reason = ""
    for name, repair in (("", None), *REPAIRS):
        if repair is not None:
            mended = repair(current)
            if mended == current:
                continue
            current = mended
            done.append(name)
        if not current.messages:
            break
        if name == "to_plain_text":
            return current.messages[0].content, tuple(done)
        try:
            return apply([_plain(m, dialect) for m in current.messages], list(current.tools)), tuple(done)
        except TemplateExceeds as error:
            return Drop("template_rejected", str(error))
        except TemplateRejects as error:
            reason = str(error)
    return Drop("template_rejected", reason)


def _fitted(conversation: Conversation, dialect: Dialect, done: list[str]) -> Conversation:
    """Put what the template has no place for into the text of the turns, in the tagged form that models know."""
    messages, tools = list(conversation.messages), conversation.tools
    if tools and not dialect.tools:
        listing = "\n".join(json.dumps(t, ensure_ascii=False) for t in tools)
        messages = _with_system(messages, f"<tools>\n{listing}\n</tools>")
        tools = ()
        done.append("tools_into_system")
    if not dialect.tool_calls and any(m.tool_calls for m in messages):
        messages = [_calls_in_text(m) for m in messages]
        done.append("tool_calls_into_text")
    if not dialect.tool_role and any(m.role == "tool" for m in messages):
        messages = [_answer_as_user(m) if m.role == "tool" else m for m in messages]
        done.append("tool_results_into_user")
    if dialect.reasoning is None and any(m.reasoning for m in messages):
        messages = [_thought_in_text(m) for m in messages]
        done.append("reasoning_into_text")
    if not dialect.system and any(m.role == "system" for m in messages):
        messages = _system_into_user(messages)
        done.append("system_into_user")
    return Conversation(tuple(messages), tools)


def _with_system(messages: list[Message], text: str) -> list[Message]:
    if messages and messages[0].role == "system":
        return [replace(messages[0], content=f"{messages[0].content}\n\n{text}"), *messages[1:]]
    return [Message("system", text), *messages]


def _calls_in_text(message: Message) -> Message:
    calls = [json.dumps({"name": c.name, "arguments": c.arguments}, ensure_ascii=False) for c in message.tool_calls]
    tagged = [f"<tool_call>\n{c}\n</tool_call>" for c in calls]
    return replace(message, content="\n".join(p for p in (message.content, *tagged) if p), tool_calls=())


def _answer_as_user(message: Message) -> Message:
    return Message("user", f"<tool_response>\n{message.content}\n</tool_response>")


def _thought_in_text(message: Message) -> Message:
    if not message.reasoning:
        return message
    return replace(message, content=f"<think>\n{message.reasoning}\n</think>\n\n{message.content}", reasoning=None)


def _system_into_user(messages: list[Message]) -> list[Message]:
    system = "\n\n".join(m.content for m in messages if m.role == "system")
    rest = [m for m in messages if m.role != "system"]
    for index, message in enumerate(rest):
        if message.role == "user":
            return [*rest[:index], replace(message, content=f"{system}\n\n{message.content}"), *rest[index + 1 :]]
    return [Message("user", system), *rest]


def _one_system_first(conversation: Conversation) -> Conversation:
    system = [m for m in conversation.messages if m.role == "system"]
    if not system or (len(system) == 1 and conversation.messages[0].role == "system"):
        return conversation
    joined = Message("system", "\n\n".join(m.content for m in system))
    return replace(conversation, messages=(joined, *(m for m in conversation.messages if m.role != "system")))


def _tools_answered_after_calls(conversation: Conversation) -> Conversation:
    """A tool's answer that no call asked for becomes the user's."""
    messages: list[Message] = []
    for message in conversation.messages:
        asked = bool(messages) and (messages[-1].role == "tool" or bool(messages[-1].tool_calls))
        messages.append(_answer_as_user(message) if message.role == "tool" and not asked else message)
    return replace(conversation, messages=tuple(messages))


def _system_in_user(conversation: Conversation) -> Conversation:
    if not any(m.role == "system" for m in conversation.messages):
        return conversation
    return replace(conversation, messages=tuple(_system_into_user(list(conversation.messages))))


def _joined_turns(conversation: Conversation) -> Conversation:
    """Neighbours of one role become one turn: many templates want user and assistant in turn."""
    messages: list[Message] = []
    for message in conversation.messages:
        last = messages[-1] if messages else None
        if last and last.role == message.role and message.role != "tool" and not last.tool_calls:
            both = "\n\n".join(c for c in (last.content, message.content) if c)
            thoughts = "\n\n".join(r for r in (last.reasoning, message.reasoning) if r) or None
            messages[-1] = replace(message, content=both, reasoning=thoughts)
        else:
            messages.append(message)
    return replace(conversation, messages=tuple(messages))


def _user_first(conversation: Conversation) -> Conversation:
    """Leave out what the assistant says before any user does, if the user does speak."""
    head = [m for m in conversation.messages if m.role == "system"]
    rest = [m for m in conversation.messages if m.role != "system"]
    first = next((i for i, m in enumerate(rest) if m.role == "user"), 0)
    return replace(conversation, messages=(*head, *rest[first:])) if first else conversation


def _to_plain_text(conversation: Conversation) -> Conversation:
    """A lone text of the assistant is text, not chat."""
    one = len(conversation.messages) == 1 and conversation.messages[0].role == "assistant" and conversation.messages[0].content
    return replace(conversation, text="") if one else conversation


REPAIRS: tuple[tuple[str, Callable[[Conversation], Conversation]], ...] = (
    ("one_system_first", _one_system_first),
    ("tool_result_without_call", _tools_answered_after_calls),
    ("joined_turns", _joined_turns),
    ("user_first", _user_first),
    ("system_into_user", _system_in_user),
    ("joined_turns_again", _joined_turns),
    ("to_plain_text", _to_plain_text),
)


def _plain(message: Message, dialect: Dialect) -> dict[str, Any]:
    """A message as templates take it: never None for content, arguments in the form that the template can print."""
    plain: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.reasoning and dialect.reasoning:
        plain[dialect.reasoning] = message.reasoning
    if message.tool_calls:
        plain["tool_calls"] = [_plain_call(c, n, dialect) for n, c in enumerate(message.tool_calls)]
    if message.role == "tool":
        plain |= {"tool_call_id": message.tool_call_id or _call_id(0), "name": message.name or ""}
    return plain


def _plain_call(call: ToolCall, number: int, dialect: Dialect) -> dict[str, Any]:
    arguments: Any = call.arguments
    if dialect.arguments_as_text and not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    elif not dialect.arguments_as_text and isinstance(arguments, str):
        arguments = {"input": arguments}
    return {"id": call.id or _call_id(number), "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _call_id(number: int) -> str:
    return f"call{number:05d}"  # nine characters, letters and digits: the strictest template's wish
