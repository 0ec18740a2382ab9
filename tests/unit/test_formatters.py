"""Formatters: roles, tool calls, reasoning, empties; whatever a row holds, a conversation or a counted reason comes out."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator import formatters, plain_json, plugins
from curator.data import Conversation, Drop, Message, ToolCall
from curator.formatters import Options


def chat(turns: object, **options: object) -> Conversation | Drop:
    return formatters.chat_completion({"m": turns}, Options(("m",), **options))


def roles(result: Conversation | Drop) -> list[str]:
    assert isinstance(result, Conversation), result
    return [m.role for m in result.messages]


def test_chat_and_sharegpt_roles() -> None:
    assert roles(chat([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}, {"role": "assistant", "content": "a", "extra": 1}])) == [
        "system",
        "user",
        "assistant",
    ]
    turns = [{"from": f, "value": f} for f in ("human", "function_call", "observation", "gpt", "tool")]
    result = formatters.sharegpt({"m": turns}, Options(("m",)))
    assert roles(result) == ["user", "assistant", "tool", "assistant", "tool"]


def test_openai_tool_calls_with_arguments_as_text() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "sky"}'}}
    result = chat(
        [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "blue"},
        ]
    )
    assert isinstance(result, Conversation)
    assert result.messages[1] == Message("assistant", "", None, (ToolCall("look", {"at": "sky"}, "c1"),))
    assert result.messages[2] == Message("tool", "blue", tool_call_id="c1")


def test_tool_calls_in_tags_with_reasoning() -> None:
    value = '<think>\nhm\n</think>\n\nOne moment.\n<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>\n<tool_call>\n{"name": "g", "arguments": {}}\n</tool_call>'
    turns = [{"from": "human", "value": "q"}, {"from": "gpt", "value": value}, {"from": "tool", "value": '<tool_response>\n{"r": 2}\n</tool_response>'}]
    result = formatters.sharegpt({"m": turns}, Options(("m",)))
    assert isinstance(result, Conversation)
    assert result.messages[1] == Message("assistant", "One moment.", "hm", (ToolCall("f", {"x": 1}), ToolCall("g", {})))
    assert result.messages[2].content == '{"r": 2}'


def test_a_call_that_cannot_be_parsed_stays_in_the_text() -> None:
    value = "<tool_call>\n{name: f}\n</tool_call>"
    result = formatters.sharegpt({"m": [{"from": "human", "value": "q"}, {"from": "gpt", "value": value}]}, Options(("m",)))
    assert isinstance(result, Conversation)
    assert result.messages[1] == Message("assistant", value)


def test_sharegpt_function_call_role() -> None:
    turns = [{"from": "human", "value": "q"}, {"from": "function_call", "value": '{"name": "f", "arguments": "{\\"x\\": [1]}"}'}]
    result = formatters.sharegpt({"m": turns}, Options(("m",)))
    assert isinstance(result, Conversation)
    assert result.messages[1].tool_calls == (ToolCall("f", {"x": [1]}),)


def test_null_content_never_becomes_the_text_none() -> None:
    result = chat([{"role": "user", "content": "q"}, {"role": "assistant", "content": None}, {"role": "assistant", "content": "a"}])
    assert isinstance(result, Conversation)
    assert [m.content for m in result.messages] == ["q", "a"]
    assert chat([{"role": "user", "content": None}]) == Drop("empty", "no turn of user or assistant has text")


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        (None, "empty"),
        ([], "empty"),
        ([{"role": "moderator", "content": "x"}], "unknown_role"),
        ([{"content": "x"}], "unknown_role"),
        (["x"], "not_a_turn"),
        ([{"role": "user", "content": [{"type": "image", "url": "x"}]}], "not_text"),
        ([{"role": "system", "content": "only"}], "empty"),
    ],
)
def test_what_cannot_be_a_conversation_is_dropped_with_a_reason(turns: object, reason: str) -> None:
    result = chat(turns)
    assert isinstance(result, Drop)
    assert result.reason == reason


def test_the_instruction_goes_before_the_first_user_turn_or_becomes_one() -> None:
    result = chat([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}], prefix=lambda row: "P ")
    assert isinstance(result, Conversation)
    assert result.messages[1].content == "P u"
    raw = formatters.raw_text({"t": "text"}, Options(("t",), lambda row: "Explain."))
    assert raw == Conversation((Message("user", "Explain."), Message("assistant", "text")), instruction="Explain.")
    assert result.instruction == "P "
    assert formatters.raw_text({"t": "text"}, Options(("t",))) == Conversation((Message("assistant", "text"),))


def test_the_other_formatters() -> None:
    assert formatters.prompt_answer({"q": "1+1", "a": 2}, Options(("q", "a"))) == Conversation((Message("user", "1+1"), Message("assistant", "2")))
    assert formatters.prompt_answer({"q": " ", "a": "x"}, Options(("q", "a"))) == Drop("empty", "q is empty")
    assert formatters.text({"t": "Title", "b": "Body"}, Options(("t", "b"))) == Conversation(text="Title\n\nBody")
    assert roles(formatters.chat_with_answer({"m": [{"role": "user", "content": "u"}], "a": "x"}, Options(("m", "a")))) == ["user", "assistant"]
    assert roles(formatters.chat_completion_with_sysprompt({"s": "sys", "m": [{"from": "user", "value": "u"}]}, Options(("s", "m")))) == ["system", "user"]
    contest = {"name": "n", "description": "Add.", "solutions": {"language": [2, 3], "solution": ["int main(){}", "print()"]}}
    result = formatters.deepmind_code_contests(contest, Options(("name",)))
    assert isinstance(result, Conversation)
    assert result.messages[1].content == "```cpp\nint main(){}\n```"
    assert formatters.deepmind_code_contests({"description": "x", "solutions": {"language": [], "solution": []}}, Options(("name",))) == Drop(
        "empty", "no solution"
    )


def test_code_and_commits() -> None:
    code = formatters.code_file({"c": "x = '```'\n", "p": "a.py"}, Options(("c", "p"), language="python"))
    assert isinstance(code, Conversation)
    assert code.messages[0].content == "Write `a.py` in Python."
    assert code.messages[1].content == "````python\nx = '```'\n````"
    assert formatters.code_file({"c": "x"}, Options(("c",), params={"chat": False})) == Conversation(text="x")
    change = formatters.commit({"m": "Fix sum", "o": "a-b", "n": "a+b", "p": "s.rs"}, Options(("m", "o", "n", "p"), language="rust"))
    assert isinstance(change, Conversation)
    assert change.messages[0].content == "Fix sum\n\nFile: `s.rs`\n\n```rust\na-b\n```"
    assert change.messages[1].content == "```rust\na+b\n```"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["role", "from", "content", "value", "tool_calls", "name", "arguments", "function"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.sampled_from(plugins.names("formatters")), json_values, json_values)
def test_no_row_crashes_a_formatter_or_leaves_none_behind(name: str, first: object, second: object) -> None:
    function = plugins.load("formatters", name)
    columns = tuple("abcd"[: max(1, function.arity[1])])
    row = dict.fromkeys([*columns, *function.also], first) | {columns[-1]: second}
    result = function(row, Options(columns, language="python"))
    assert isinstance(result, (Conversation, Drop))
    if isinstance(result, Conversation):
        assert result.text is not None or result.messages
        for message in result.messages:
            assert isinstance(message.content, str)
            assert "None" not in message.content or "None" in json.dumps([first, second], ensure_ascii=False)


def test_what_json_cannot_say_is_put_so_that_it_can() -> None:
    from datetime import datetime
    from decimal import Decimal

    arguments = {"at": datetime(2024, 1, 2, 3), "cost": Decimal("1.50"), "raw": b"ab\xff", "pairs": [("k", 1)], 5: True}
    call = {"id": 7, "function": {"name": "f", "arguments": arguments}}
    turns = [
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": "a", "tool_calls": [call]},
        {"role": "tool", "content": "r", "tool_call_id": 7, "name": ["f"]},
    ]
    result = formatters.chat_completion({"m": turns, "t": [{"name": "f", "since": datetime(2024, 1, 2)}]}, Options(("m", "t")))
    assert isinstance(result, Conversation)
    plain = {"at": "2024-01-02 03:00:00", "cost": "1.50", "raw": "ab\ufffd", "pairs": [["k", 1]], "5": True}
    assert result.messages[1].tool_calls == (ToolCall("f", plain, "7"),)
    assert json.dumps([result.tools, result.messages[1].tool_calls[0].arguments])
    assert (result.messages[2].tool_call_id, result.messages[2].name) == ("7", '["f"]')
    deep: dict[str, object] = {}
    for _ in range(5000):
        deep = {"a": deep}
    nested = chat([turns[0], {"role": "assistant", "content": "a", "tool_calls": [{"name": "f", "arguments": deep}]}])
    assert isinstance(nested, Conversation)
    assert json.dumps(nested.messages[1].tool_calls[0].arguments).count("a") == formatters.MOST_DEPTH
    assert chat([turns[0], {"role": "assistant", "content": "a", "tool_calls": 3}]) == chat([turns[0], {"role": "assistant", "content": "a"}])


@pytest.mark.parametrize("solutions", [{"language": 3, "solution": "x"}, {"language": [[3]], "solution": ["x"]}, [{"language": {}, "solution": "x"}]])
def test_solutions_of_another_form_are_dropped_or_have_no_language(solutions: object) -> None:
    result = formatters.deepmind_code_contests({"description": "d", "solutions": solutions}, Options(()))
    assert isinstance(result, Drop) or "```\nx" in result.messages[1].content


@pytest.mark.parametrize(
    "content", ["<tool_call> " * 20_000, "<tool_call>" + " " * 200_000, "<tool_call>x" + " " * 200_000 + "y</tool_call>", "<think>" + " " * 9000]
)
def test_tags_without_an_end_take_no_time(content: str) -> None:
    started = time.process_time()
    chat([{"role": "user", "content": "q"}, {"role": "assistant", "content": content}, {"role": "tool", "content": content.replace("call", "response")}])
    assert time.process_time() - started < 2


def test_a_call_of_more_values_than_there_is_room_for_stays_in_the_text() -> None:
    arguments = "[" + "[]," * plain_json.MOST + "0]"
    result = chat(
        [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}]
    )
    assert isinstance(result, Conversation)
    assert result.messages[1].tool_calls[0].arguments == arguments
