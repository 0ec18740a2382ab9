"""Row to conversation: pure functions, one per shape that rows have in the wild."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from curator import languages, plain_json
from curator.data import Conversation, Drop, Message, Role, ToolCall

Values = Mapping[str, Any]
Result = Conversation | Drop

ROLES: dict[str, Role] = {
    **dict.fromkeys(("system", "developer", "sys"), "system"),
    **dict.fromkeys(("user", "human", "prompter", "question"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "model", "bot", "ai", "answer", "function_call", "tool_call"), "assistant"),
    **dict.fromkeys(("tool", "observation", "function", "function_response", "tool_response", "ipython"), "tool"),
}
CALL_ROLES = frozenset({"function_call", "tool_call"})
MOST_DEPTH = 50  # of the arguments of a call and of the schemas of tools; what is deeper is left out
CODE_CONTEST_LANGUAGES = {1: "python", 2: "cpp", 3: "python", 4: "java"}  # of deepmind/code_contests: 1 is Python 2, 3 is Python 3


@dataclass(frozen=True, slots=True)
class Options:
    """What a mix says beside the row: the columns, the instruction, and the language that is claimed."""

    columns: tuple[str, ...]
    prefix: Callable[[Values], str] | None = None
    language: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


class Formatter(Protocol):
    """A function of a row, with what it needs: how many columns (least, most), other columns, and its parameters."""

    arity: tuple[int, int]
    also: tuple[str, ...]
    params: frozenset[str]

    def __call__(self, row: Values, options: Options, /) -> Result: ...


def formatter(arity: tuple[int, int], *, also: Sequence[str] = (), params: Sequence[str] = ("prefix",)) -> Callable[[Any], Any]:
    """Declare what a formatter needs, so that a plan can check a mix before a row is read."""

    def declare(function: Any) -> Any:
        function.arity, function.also, function.params = arity, tuple(also), frozenset(params)
        return function

    return declare


@formatter((1, 2), params=("prefix",))
def chat_completion(row: Values, options: Options) -> Result:
    """A column of [{role, content, tool_calls?, reasoning_content?}], and maybe one of tool schemas."""
    return _conversation(row, options, row.get(options.columns[0]), tools=_second(row, options))


@formatter((1, 2), params=("prefix",))
def sharegpt(row: Values, options: Options) -> Result:
    """A column of [{from, value}], and maybe one of tool schemas."""
    return _conversation(row, options, row.get(options.columns[0]), tools=_second(row, options))


@formatter((2, 3), params=("prefix",))
def chat_completion_with_sysprompt(row: Values, options: Options) -> Result:
    """A column with the system prompt and one with the turns, in either form; and maybe one of tool schemas."""
    system, turns = row.get(options.columns[0]), row.get(options.columns[1])
    if isinstance(turns, list) and isinstance(system, str) and system.strip():
        turns = [{"role": "system", "content": system}, *turns]
    return _conversation(row, options, turns, tools=row.get(options.columns[2]) if len(options.columns) > 2 else None)


@formatter((0, 0), also=("messages", "conversations", "tools"))
def conversation(row: Values, options: Options) -> Result:
    """Whichever of ``messages`` and ``conversations`` the row holds, with its ``tools``."""
    return _conversation(row, options, row.get("messages") or row.get("conversations"), tools=row.get("tools"))


@formatter((2, 2))
def prompt_answer(row: Values, options: Options) -> Result:
    """A column for the user and one for the assistant."""
    prompt, answer = (_text(row.get(c)) for c in options.columns)
    if not prompt.strip() or not answer.strip():
        return Drop("empty", f"{options.columns[0 if not prompt.strip() else 1]} is empty")
    instruction = _instructed(row, options)
    return Conversation((Message("user", instruction + prompt), Message("assistant", answer)), instruction=instruction)


@formatter((2, 2))
def chat_with_answer(row: Values, options: Options) -> Result:
    """A column of turns that ends with the user, and one with the assistant's answer."""
    turns, answer = _decoded(row.get(options.columns[0])), _text(row.get(options.columns[1]))
    if not answer.strip():
        return Drop("empty", f"{options.columns[1]} is empty")
    return _conversation(row, options, [*turns, {"role": "assistant", "content": answer}] if isinstance(turns, list) else None)


@formatter((1, 1))
def user_prompt(row: Values, options: Options) -> Result:
    """One column, which becomes the user's turn, after the instruction; nobody answers."""
    text, instruction = _text(row.get(options.columns[0])), _instructed(row, options)
    if not text.strip():
        return Drop("empty", f"{options.columns[0]} is empty")
    return Conversation((Message("user", instruction + text),), instruction=instruction)


@formatter((1, 1))
def raw_text(row: Values, options: Options) -> Result:
    """One column, which becomes the assistant's turn; the instruction, where there is one, becomes the user's."""
    text = _text(row.get(options.columns[0]))
    if not text.strip():
        return Drop("empty", f"{options.columns[0]} is empty")
    instruction = _instructed(row, options)
    asked = (Message("user", instruction),) if instruction.strip() else ()
    return Conversation((*asked, Message("assistant", text)), instruction=instruction)


@formatter((1, 2), params=())
def text(row: Values, options: Options) -> Result:
    """Plain text without any chat turn: one column, or a title and a body."""
    parts = [_text(row.get(c)).strip("\ufeff \n") for c in options.columns]
    if not parts[-1]:
        return Drop("empty", f"{options.columns[-1]} is empty")
    title = parts[0] if len(parts) == 2 and not parts[1].startswith(parts[0]) else ""
    return Conversation(text="\n\n".join(p for p in (title, parts[-1]) if p))


@formatter((1, 2), params=("prefix", "chat"))
def code_file(row: Values, options: Options) -> Result:
    """A source file: the content, and maybe its path. The user asks for the file, the assistant gives it in a code block;
    with ``chat: false`` it goes in as plain text."""
    code, path = _text(row.get(options.columns[0])), _text(row.get(options.columns[1])) if len(options.columns) > 1 else ""
    if not code.strip():
        return Drop("empty", f"{options.columns[0]} is empty")
    if options.params.get("chat") is False:
        return Conversation(text=code)
    asked = _instructed(row, options) or f"Write {f'`{path}`' if path else 'a source file'}{_in_language(options)}."
    return Conversation((Message("user", asked), Message("assistant", _block(code, options))), instruction=asked)


@formatter((3, 4), params=("prefix",))
def commit(row: Values, options: Options) -> Result:
    """A change to a file: message, old content, new content, and maybe the path. A file that is new is asked for by its message."""
    message, old, new = (_text(row.get(c)) for c in options.columns[:3])
    path = _text(row.get(options.columns[3])) if len(options.columns) > 3 else ""
    if not new.strip():
        return Drop("empty", f"{options.columns[2]} is empty")
    instruction = _instructed(row, options)
    asked = [instruction + message.strip()]
    if path and path not in message:
        asked.append(f"File: `{path}`")
    if old.strip():
        asked.append(_block(old, options))
    turns = (Message("user", "\n\n".join(a for a in asked if a)), Message("assistant", _block(new, options)))
    return Conversation(turns, instruction=instruction)


@formatter((0, 1), also=("description", "solutions"))
def deepmind_code_contests(row: Values, options: Options) -> Result:
    """A competition problem, and the first of its solutions."""
    problem, solutions = _text(row.get("description")), row.get("solutions")
    pairs = list(_solutions(solutions))
    if not problem.strip() or not pairs:
        return Drop("empty", "no description" if not problem.strip() else "no solution")
    language, code = pairs[0]
    fence = languages.get(language).fence if language else ""
    instruction = _instructed(row, options)
    turns = (Message("user", instruction + problem), Message("assistant", f"```{fence}\n{code.strip()}\n```"))
    return Conversation(turns, instruction=instruction)


def _solutions(value: Any) -> Iterator[tuple[str | None, str]]:
    """(language, code) from {language: [..], solution: [..]} or [{language, solution}, ..]."""
    if isinstance(value, Mapping):
        pairs = zip(_listed(value.get("language")), _listed(value.get("solution")), strict=False)
        value = [{"language": language, "solution": solution} for language, solution in pairs]
    for item in value if isinstance(value, list) else []:
        code = item.get("solution") if isinstance(item, Mapping) else None
        if isinstance(code, str) and code.strip():
            language = item.get("language")
            yield CODE_CONTEST_LANGUAGES.get(language) if isinstance(language, int) else None, code


def _conversation(row: Values, options: Options, turns: Any, *, tools: Any = None) -> Result:
    turns = _decoded(turns)
    if not isinstance(turns, list) or not turns:
        return Drop("empty", "no turns")
    messages: list[Message] = []
    for turn in turns:
        message = _message(turn)
        if isinstance(message, Drop):
            return message
        if message.content.strip() or message.tool_calls or message.reasoning or message.role == "tool":
            messages.append(message)
    if not any(m.role in ("user", "assistant") for m in messages):
        return Drop("empty", "no turn of user or assistant has text")
    instruction = _instructed(row, options)
    return Conversation(_prefixed(messages, instruction), _schemas(tools), instruction=instruction)


def _message(turn: Any) -> Message | Drop:
    """One turn in either form. Fields beyond those that are known are left aside."""
    if not isinstance(turn, Mapping):
        return Drop("not_a_turn", f"{turn!r:.80}")
    name = turn.get("role") if turn.get("role") is not None else turn.get("from")
    role = ROLES.get(str(name).strip().lower())
    if role is None:
        return Drop("unknown_role", f"{name!r:.80}")
    content = _content(turn.get("content") if "content" in turn else turn.get("value"))
    if isinstance(content, Drop):
        return content
    if role == "tool":
        inner = _within(content, "<tool_response>", "</tool_response>")
        call_id, tool = _text(turn.get("tool_call_id")), _text(turn.get("name"))
        return Message("tool", content if inner is None else inner, tool_call_id=call_id or None, name=tool or None)
    if role != "assistant":
        return Message(role, content)
    return _assistant(turn, content, is_call=str(name).lower() in CALL_ROLES)


def _assistant(turn: Mapping[str, Any], content: str, *, is_call: bool) -> Message:
    """An assistant's turn with its reasoning and calls, whether they stand in fields or in tags."""
    reasoning = next((r for k in ("reasoning_content", "reasoning", "thinking") if isinstance(r := turn.get(k), str) and r.strip()), None)
    calls = tuple(c for c in map(_call, _listed(_decoded(turn.get("tool_calls")))) if c)
    if reasoning is None:
        first, end, rest = content.partition("</think>")
        if (thought := _within(first + end, "<think>", "</think>")) is not None:
            reasoning, content = thought or None, rest.lstrip()
    if not calls and is_call:
        call = _call(_decoded(content))
        return Message("assistant", "" if call else content, reasoning, (call,) if call else ())
    if not calls and "<tool_call>" in content:
        bodies, rest = _tagged(content, "<tool_call>", "</tool_call>")
        found = [_call(_decoded(body)) for body in bodies]
        if found and all(found):  # a call that cannot be parsed stays in the text, with the others
            calls, content = tuple(c for c in found if c), rest.strip()
    return Message("assistant", content, reasoning, calls)


def _within(text: str, start: str, end: str) -> str | None:
    """What stands between two tags, where the text is nothing else."""
    text = text.strip()
    whole = text.startswith(start) and text.endswith(end) and len(text) >= len(start) + len(end)
    return text[len(start) : -len(end)].strip() if whole else None


def _tagged(text: str, start: str, end: str) -> tuple[list[str], str]:
    """What stands between each pair of tags, and the rest of the text; one pass, where a regular expression would look for the
    second tag again from every first one."""
    found: list[str] = []
    rest: list[str] = []
    while True:
        before, _, after = text.partition(start)
        inside, closed, after = after.partition(end)
        if not closed:
            return found, "".join((*rest, text))
        rest.append(before)
        found.append(inside.strip())
        text = after


def _call(value: Any) -> ToolCall | None:
    """{name, arguments}, or {function: {name, arguments}}, as ToolCall; None for anything else."""
    if not isinstance(value, Mapping):
        return None
    inner = value["function"] if isinstance(value.get("function"), Mapping) else value
    name = inner.get("name")
    arguments = _decoded(inner.get("arguments", inner.get("parameters", {})))
    if not isinstance(name, str) or not name:
        return None
    given = _plain(arguments) if isinstance(arguments, Mapping) else {} if arguments is None else _text(arguments)
    return ToolCall(name, given, str(value.get("id") or ""))


def _content(value: Any) -> str | Drop:
    """The text of a turn: a string, nothing, or a list of text parts."""
    if value is None:
        return ""
    if isinstance(value, list):
        parts = [p.get("text") if isinstance(p, Mapping) and p.get("type", "text") == "text" else p for p in value]
        texts = [p for p in parts if isinstance(p, str)]
        return "\n".join(texts) if len(texts) == len(parts) else Drop("not_text", "a turn holds something other than text")
    return _text(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(_plain(value), ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)


def _plain(value: Any, depth: int = 0) -> Any:
    """What JSON can say of a value: parquet has times, decimals, bytes and pairs, which templates and the cache cannot write."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if depth < MOST_DEPTH and isinstance(value, Mapping):
        return {k if isinstance(k, str) else str(k): _plain(v, depth + 1) for k, v in value.items()}
    if depth < MOST_DEPTH and isinstance(value, (list, tuple)):
        return [_plain(v, depth + 1) for v in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else "…" if isinstance(value, (Mapping, list, tuple)) else str(value)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _decoded(value: Any) -> Any:
    """JSON text as what it says; anything else as it is."""
    if isinstance(value, str) and value.strip()[:1] in ("{", "["):
        try:
            return plain_json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _second(row: Values, options: Options) -> Any:
    return row.get(options.columns[1]) if len(options.columns) > 1 else None


def _schemas(value: Any) -> tuple[Mapping[str, Any], ...]:
    """Tool schemas as chat templates take them: {type: function, function: {...}}."""
    value = _decoded(value)
    found = [_plain(t) for t in _listed(value) if isinstance(t, Mapping)]
    return tuple(t if "function" in t else {"type": "function", "function": t} for t in found)


def _instructed(row: Values, options: Options) -> str:
    return options.prefix(row) if options.prefix else ""


def _prefixed(messages: list[Message], instruction: str) -> tuple[Message, ...]:
    """The instruction in front of the first user turn, or as a turn of its own where there is none."""
    if not instruction:
        return tuple(messages)
    for index, message in enumerate(messages):
        if message.role == "user":
            return (*messages[:index], replace(message, content=instruction + message.content), *messages[index + 1 :])
    return (Message("user", instruction), *messages)


def _in_language(options: Options) -> str:
    return f" in {languages.get(options.language).name}" if options.language else ""


def _block(code: str, options: Options) -> str:
    """A fenced code block whose fence is longer than any in the code."""
    longest = max((len(run) for run in re.findall(r"`{3,}", code)), default=2)
    fence = "`" * (longest + 1)
    name = languages.get(options.language).fence if options.language else ""
    return f"{fence}{name}\n{code.strip(chr(10))}\n{fence}"
