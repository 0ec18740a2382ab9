"""Document to a reason to drop it, or None: pure functions, named in a mix by ``filters``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from curator.data import Conversation, Document, Drop, Message

Filter = Callable[[Document], Drop | None]
LEAST_CHARACTERS = 32
PIECE, OVERLAP = 4096, 1024  # characters that a pattern is given at a time, and how many of a longer line it is given twice
MOST_REPLACED = 0.001  # share of U+FFFD in a text; more says that it was decoded with the wrong encoding


def whole_text(document: Document) -> str:
    """All text of a document, turn after turn: also names, calls with their arguments, and the schemas of tools."""
    conversation = document.conversation
    if conversation.text is not None:
        return conversation.text
    called = (part for m in conversation.messages for part in _called(m))
    return "\n".join(part for part in (_spoken(conversation), *called, *_strings(conversation.tools)) if part)


def _spoken(conversation: Conversation) -> str:
    """What the turns say, without calls and schemas."""
    return "\n".join(part for m in conversation.messages for part in (m.reasoning, m.content) if part)


def _called(message: Message) -> Iterator[str]:
    yield from (part for part in (message.name, message.tool_call_id) if part)
    for call in message.tool_calls:
        yield from (call.name, call.id, *_strings(call.arguments))


def _strings(value: Any) -> Iterator[str]:
    """Every string in a value as JSON has it, keys too, unescaped; one that a key names stands with it, as in a file of settings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield f'{key}: "{item}"' if isinstance(item, str) else str(key)
            yield from () if isinstance(item, str) else _strings(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _strings(item)


def encoding(document: Document) -> Drop | None:
    """Drop text that no tokenizer should see: NUL bytes, lone surrogates, or the marks of a wrong decoding. Always on."""
    text = whole_text(document)
    if "\0" in text:
        return Drop("nul_bytes")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return Drop("lone_surrogate", f"at character {error.start}")
    if text.count("\ufffd") > MOST_REPLACED * len(text) + 1:
        return Drop("wrong_encoding", f"{text.count(chr(0xFFFD))} replacement characters")
    return None


def length(document: Document) -> Drop | None:
    """Drop documents with next to no text."""
    conversation = document.conversation
    size = len(_spoken(conversation) if conversation.text is None else conversation.text)
    return Drop("too_short", f"{size} characters") if size < LEAST_CHARACTERS else None


def language(document: Document) -> Drop | None:
    """Drop a text that is recognised as another natural language than the one claimed."""
    from curator.content import prose
    from curator.detect import natural_language
    from curator.languages import find

    claimed = find(document.language) if document.language else None
    if claimed is None or claimed.kind != "natural":
        return None
    found = natural_language(prose(document.conversation))
    return Drop("other_language", f"claimed {claimed.id}, detected {found}") if found not in (None, claimed.id) else None


def secrets(document: Document) -> Drop | None:
    """Drop documents with keys, tokens or passwords, by the patterns of detect-secrets; what looks merely random stays."""
    text = whole_text(document)
    pieces = list(_pieces(text))
    for name, pattern, literal in _secret_patterns():
        places = pieces if not literal else [(s, e) for s, e in pieces if literal in text[s:e]] if literal in text else []
        if any(pattern.search(text, start, end) for start, end in places):
            return Drop("secret", name)
    return None


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Where each part of a text starts and ends: whole lines, and overlapping windows of a longer line. The time that some
    patterns take grows with the square of what they are given."""
    start = 0
    while len(text) - start > PIECE:
        line_end = text.rfind("\n", start + 1, start + PIECE)
        yield start, line_end if line_end > 0 else start + PIECE
        start = line_end if line_end > 0 else start + PIECE - OVERLAP
    yield start, len(text)


OF_CHANCE = frozenset({"Base64HighEntropyString", "HexHighEntropyString", "IPPublicDetector", "KeywordDetector"})  # hits in any code
SLOW = frozenset({"CloudantDetector", "IbmCloudIamDetector", "IbmCosHmacDetector", "SoftlayerDetector"})  # half the time, for rare services


LITERALS = ("_authToken", "T3BlbkFJ", "eyJ", "AccountKey=", "://")  # that a match needs, in patterns that are slow or take long to fail
ANYTHING_FIRST = r"\/\/.+"  # what such a pattern begins with adds nothing but the square of a line's length
LAST_OF_A_RUN = (  # a run of letters that may hold its own beginning again: whatever matches from one matches from the last, too
    (r"sk-[A-Za-z0-9-_]*", r"sk-(?:(?!sk-)[A-Za-z0-9-_])*"),
    (r"eyJ[A-Za-z0-9-_=]+", r"eyJ(?:(?!eyJ[A-Za-z0-9-_=])[A-Za-z0-9-_=])+"),
)


@cache
def _secret_patterns() -> tuple[tuple[str, re.Pattern[str], str], ...]:
    """(kind, pattern, text without which it cannot match)."""
    return tuple((kind, pattern, next((x for x in LITERALS if x in pattern.pattern), "")) for kind, pattern in _known_secrets())


def _known_secrets() -> Iterator[tuple[str, re.Pattern[str]]]:
    """What each kind of secret looks like; a pattern says so itself, or it would hit in any code."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    yield "Hugging Face Token", re.compile(r"\bhf_[A-Za-z0-9]{30,}\b")
    for kind, detector in sorted(get_mapping_from_secret_type_to_class().items()):
        if detector.__name__ not in OF_CHANCE | SLOW:
            yield from ((kind, _shortened(pattern)) for pattern in getattr(detector, "denylist", ()))


def _shortened(pattern: re.Pattern[str]) -> re.Pattern[str]:
    """A pattern that finds something in the same texts, in less time."""
    text = pattern.pattern.removeprefix(ANYTHING_FIRST)
    for slow, quick in LAST_OF_A_RUN:
        text = quick + text.removeprefix(slow) if text.startswith(slow) else text
    return pattern if text == pattern.pattern else re.compile(text, pattern.flags)
