"""The embedded corpus keeps its promises: counts, sizes, languages, encodings, well-formed tool use, and a tokenizer made from it.

The size is counted with the starter tokenizer. Its vocabulary is 32k and was trained on this very corpus; the promise is 300,000 tokens of a
131k vocabulary. The two counts are not the same: the larger vocabulary joins more, but never saw these texts. The promise itself
is kept only if a tokenizer of that size says so.
"""

from __future__ import annotations

import importlib.util
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
from tokenizers import Tokenizer

from curator import languages, tokens
from curator.detect import natural_language
from tests.conftest import REPOSITORY, STARTER_TOKENIZER

CORPUS = REPOSITORY / "sources" / "starter"
CATEGORIES = {
    "behavioral",
    "business",
    "code",
    "creative-writing",
    "finance",
    "general-chat",
    "general-knowledge",
    "humanities-philosophy",
    "instruction-reasoning",
    "math",
    "medical",
    "misc",
    "multilingual",
    "sciences",
    "tool-use",
}
KINDS = {"contract", "dialogue", "essay", "letter", "news", "recipe", "story", "technical"}
ROLES = {"system", "user", "assistant", "tool"}
TAGGED = {"system": "system", "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "tool": "tool"}
SECRETS = re.compile(
    r"AKIA[0-9A-Z]{16}|\bsk-[A-Za-z0-9_-]{16,}|\bgh[pousr]_[A-Za-z0-9]{20,}|\bxox[abp]-|\bhf_[A-Za-z0-9]{20,}|-----BEGIN [A-Z ]*PRIVATE KEY|\b[0-9a-f]{40}\b"
)
EMAIL = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)*\.[A-Za-z]{2,}\b")


@cache
def files(part: str = "") -> dict[str, str]:
    """The corpus, or a part of it: name -> text."""
    parts = [part] if part else ["code", "text", "domains"]
    found = sorted(f for p in parts for f in (CORPUS / p).rglob("*") if f.is_file())
    return {f.relative_to(CORPUS).as_posix(): f.read_bytes().decode("utf-8") for f in found}


@cache
def conversations() -> dict[str, dict[str, Any]]:
    return {name: json.loads(text) for name, text in files("domains").items()}


def script(name: str) -> ModuleType:
    """A module of scripts/."""
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def turns(conversation: dict[str, Any]) -> list[tuple[str, str]]:
    """Role and text of each message, in either form."""
    if "conversations" in conversation:
        return [(TAGGED[m["from"]], m["value"]) for m in conversation["conversations"]]
    return [(m["role"], m["content"] or "") for m in conversation["messages"]]


def schemas(conversation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The parameters of each tool: of `tools`, or of the <tools> in the system message."""
    listed = conversation.get("tools") or []
    for role, text in turns(conversation):
        if "conversations" in conversation and role == "system":
            for block in re.findall(r"<tools>((?:(?!<tools>).)*)</tools>", text, re.DOTALL):
                listed = listed + list(json_values(block))
    return {f["name"]: f["parameters"] for f in (tool.get("function", tool) for tool in listed)}


def json_values(text: str) -> Iterator[Any]:
    """JSON values one after the other, or in one list."""
    decoder, rest = json.JSONDecoder(), text.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        yield from value if isinstance(value, list) else [value]
        rest = rest[end:].strip()


def calls(conversation: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Name and arguments of every tool call, in either form."""
    for message in conversation.get("messages", []):
        for call in message.get("tool_calls") or []:
            arguments = call["function"]["arguments"]
            yield call["function"]["name"], json.loads(arguments) if isinstance(arguments, str) else arguments
    if "conversations" in conversation:
        for role, text in turns(conversation):
            if role == "assistant":
                for block in re.findall(r"<tool_call>(.*?)</tool_call>", text, re.DOTALL):
                    call = json.loads(block)
                    yield call["name"], call["arguments"]


def fault(call: tuple[str, Any], known: dict[str, dict[str, Any]]) -> str:
    """Why a call does not fit its tool, or nothing."""
    name, arguments = call
    if name not in known:
        return f"no tool is called {name}"
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(known[name]).iter_errors(arguments))
    return f"{name}: {error.message}" if error else ""


# Counts and sizes


@pytest.mark.parametrize("language", languages.ids(languages.PROGRAMMING))
def test_four_programs_for_each_programming_language(language: str) -> None:
    lengths = {n: t.count("\n") for n, t in files("code").items() if n.split("/")[1] == language}
    assert {n: count for n, count in lengths.items() if not 60 <= count <= 150} == {}
    assert len(lengths) >= 4


@pytest.mark.parametrize("language", languages.ids(languages.NATURAL))
def test_eight_kinds_of_text_for_each_natural_language(language: str) -> None:
    texts = {n: t for n, t in files("text").items() if n.split("/")[1] == language}
    assert {n: len(t) for n, t in texts.items() if len(t) < 1500} == {}
    assert {n.split("/")[2].split("-", 1)[0] for n in texts} == KINDS
    assert len(texts) >= 8


def test_nothing_stands_under_an_unknown_name() -> None:
    names = {(n.split("/")[0], n.split("/")[1]) for n in files()}
    assert {group for part, group in names if part == "code"} <= set(languages.ids(languages.PROGRAMMING))
    assert {group for part, group in names if part == "text"} <= set(languages.ids(languages.NATURAL))
    assert {group for part, group in names if part == "domains"} == CATEGORIES


def test_sixty_conversations_use_tools() -> None:
    used = [name for name, c in conversations().items() if next(calls(c), None)]
    assert len(used) >= 60
    forms = Counter("conversations" in conversations()[name] for name in used)
    assert forms[True] >= 10
    assert forms[False] >= 10


def test_size_in_tokens() -> None:
    tokenizer = Tokenizer.from_file(str(STARTER_TOKENIZER / "tokenizer.json"))
    counted = sum(len(e.ids) for e in tokenizer.encode_batch(list(files().values())))
    assert counted >= 300_000


def test_manifest_is_up_to_date() -> None:
    assert (CORPUS / "manifest.json").read_text(encoding="utf-8") == script("index_starter").manifest(), "run scripts/index_starter.py"


# No two alike


def grams(text: str) -> set[int]:
    """Five words in a row; characters where the script does not part its words."""
    words = re.findall(r"[\u3040-\u30ff\u4e00-\u9fff]|[^\W\u3040-\u30ff\u4e00-\u9fff]+", text.lower())
    return {hash(tuple(words[i : i + 5])) for i in range(len(words) - 4)}


def test_no_two_files_are_alike() -> None:
    sets = [grams(text) for text in files().values()]
    where: defaultdict[int, list[int]] = defaultdict(list)
    shared: Counter[tuple[int, int]] = Counter()
    for number, found in enumerate(sets):
        for gram in found:
            for earlier in where[gram]:
                shared[earlier, number] += 1
            where[gram].append(number)
    names = list(files())
    alike = {(names[a], names[b]): n / len(sets[a] | sets[b]) for (a, b), n in shared.items() if n / len(sets[a] | sets[b]) > 0.5}
    assert alike == {}


# Characters, languages, and what must not be there


def test_characters() -> None:
    wrong: dict[str, str] = {}
    for name, text in files().items():
        odd = {hex(ord(c)) for c in text if unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn") and c not in "\t\n"}
        if odd or "\ufeff" in text or "\ufffd" in text:
            wrong[name] = f"control characters {sorted(odd)}"
        elif not unicodedata.is_normalized("NFC", text):
            wrong[name] = "not NFC"
        elif not text.endswith("\n"):
            wrong[name] = "no newline at the end"
    assert wrong == {}


def test_strings_in_conversations_are_clean_too() -> None:
    def strings(value: Any) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            for inner in value.values() if isinstance(value, dict) else value:
                yield from strings(inner)

    odd = {
        name: sorted({hex(ord(c)) for c in text if unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn") and c not in "\t\n"})
        for name, conversation in conversations().items()
        for text in strings(conversation)
        if any(unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn") and c not in "\t\n" for c in text) or not unicodedata.is_normalized("NFC", text)
    }
    assert odd == {}


@pytest.mark.parametrize("language", languages.ids(languages.NATURAL))
def test_texts_are_recognised_as_their_language(language: str) -> None:
    found = {n: natural_language(t) for n, t in files("text").items() if n.split("/")[1] == language}
    assert {n: f for n, f in found.items() if f != language} == {}


def test_no_addresses_or_keys() -> None:
    # The domains that RFC 2606 and RFC 6761 keep for examples would be harmless, but the corpus does without them as well.
    found = {name: m[0] for name, text in files().items() for m in [EMAIL.search(text) or SECRETS.search(text)] if m}
    assert found == {}


# Conversations


def test_conversations_have_their_form() -> None:
    wrong: dict[str, str] = {}
    for name, conversation in conversations().items():
        spoken = conversation.get("messages") or conversation.get("conversations") or []
        roles = [m.get("role") or TAGGED.get(m.get("from"), m.get("from")) for m in spoken]
        if not isinstance(conversation.get("kind"), str) or not conversation["kind"]:
            wrong[name] = "no kind"
        elif not roles or set(roles) - ROLES:
            wrong[name] = f"roles {set(roles) - ROLES}"
        elif roles[-1] != "assistant":
            wrong[name] = f"ends with {roles[-1]}"
        elif "user" not in roles or "system" in roles[1:]:
            wrong[name] = "no user, or a system message that does not stand first"
        elif not any(text for _, text in turns(conversation)[-1:]):
            wrong[name] = "the last answer is empty"
    assert wrong == {}


def test_calls_fit_the_schemas_of_their_tools() -> None:
    wrong: dict[str, list[str]] = {}
    for name, conversation in conversations().items():
        known = schemas(conversation)
        for parameters in known.values():
            jsonschema.Draft202012Validator.check_schema(parameters)
        faults = list(filter(None, (fault(call, known) for call in calls(conversation))))
        if faults:
            wrong[name] = faults
    assert wrong == {}


def test_results_answer_earlier_calls() -> None:
    wrong: dict[str, str] = {}
    for name, conversation in conversations().items():
        open_calls: dict[str, str] = {}
        for message in conversation.get("messages", []):
            for call in message.get("tool_calls") or []:
                open_calls[call["id"]] = call["function"]["name"]
            if message["role"] == "tool":
                called = open_calls.pop(message.get("tool_call_id"), None)
                if called is None or message.get("name", called) != called:
                    wrong[name] = f"a result of {message.get('tool_call_id')} ({message.get('name')}) without its call"
        if open_calls:
            wrong.setdefault(name, f"no result for {open_calls}")
    assert wrong == {}


def test_tagged_results_follow_calls() -> None:
    wrong = {
        name: role
        for name, conversation in conversations().items()
        if "conversations" in conversation
        for (before, said), (role, _) in zip(turns(conversation), turns(conversation)[1:], strict=False)
        if (role == "tool") != (before == "assistant" and "</tool_call>" in said) and before != "tool"
    }
    assert wrong == {}


# The tokenizer


def test_tokenizer_comes_from_the_corpus(tmp_path: Path) -> None:
    script("train_tokenizer").main(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        same = (tmp_path / name).read_bytes() == (STARTER_TOKENIZER / name).read_bytes()
        assert same, f"{name} is not what the corpus gives: run scripts/train_tokenizer.py"


def test_tokenizer_gives_every_file_back() -> None:
    tokenizer = Tokenizer.from_file(str(STARTER_TOKENIZER / "tokenizer.json"))
    texts = list(files().values())
    back = tokenizer.decode_batch([e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)], skip_special_tokens=False)
    assert [n for n, text, again in zip(files(), texts, back, strict=True) if text != again] == []


def test_chat_template_renders_every_part() -> None:
    tools = [
        {
            "type": "function",
            "function": {"name": "tide", "description": "Height.", "parameters": {"type": "object", "properties": {"port": {"type": "string"}}}},
        }
    ]
    call = {"id": "c1", "type": "function", "function": {"name": "tide", "arguments": {"port": "Brest"}}}
    messages = [
        {"role": "system", "content": "You know the sea."},
        {"role": "user", "content": "How high is it?"},
        {"role": "assistant", "content": "", "reasoning_content": "Look it up.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "name": "tide", "content": '{"m": 4.2}'},
        {"role": "assistant", "content": "4.2 m."},
    ]
    shown = tokens.load("starter", starter=STARTER_TOKENIZER).tokenizer.apply_chat_template(messages, tools=tools, tokenize=False)
    parts = ["<|begin|><|system|>", "You know the sea.", "<tools>", '"description": "Height."', "</tools>", "<|user|>", "How high is it?", "<|assistant|>"]
    parts += [
        "<think>\nLook it up.\n</think>",
        '<tool_call>\n{"name": "tide", "arguments": {"port": "Brest"}}\n</tool_call>',
        "<|tool|>",
        '{"m": 4.2}',
        "4.2 m.<|end|>",
    ]
    places = [shown.find(part) for part in parts]
    assert -1 not in places
    assert places == sorted(places)
