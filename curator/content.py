"""What a document is made of: turns with their roles, prose apart from code, and the language that each is recognised as.

A chat template prints a conversation in its own way, so the parts are found again in the printed text, in order; what
lies between them is the template's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from curator import languages
from curator.data import Conversation, Document, Message

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

TurnRole = Literal["system", "user", "assistant", "tool", "text", "template"]
Kind = Literal["plain", "code", "reasoning", "tool_call", "tools", "instruction", "template"]

FENCE = re.compile(r"^[ ]{0,3}(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>[^\n`]*)\n(?P<code>.*?)(?:^[ ]{0,3}(?P=fence)[`~]*[ \t]*$|\Z)", re.M | re.S)
MARKUP = re.compile(r"`[^`\n]+`|<[^<>\n]{1,200}>|https?://\S+|\$\$.*?\$\$|\$[^$\n]{1,200}\$|\\[a-zA-Z]+|[|*_#=~>-]{2,}", re.S)


@dataclass(frozen=True, slots=True)
class Turn:
    """A stretch of a document's text, ``start`` to ``end`` in characters; ``language`` is that of code, where it is known."""

    role: TurnRole
    kind: Kind
    start: int
    end: int
    language: str | None = None


def turns(document: Document, text: str) -> list[Turn]:
    """The stretches of ``text``, the document as its template printed it: in order, without gap or overlap, none empty."""
    conversation = document.conversation
    spoken = conversation.text is None
    found = _with_gaps(conversation, list(_spoken(conversation, text)), len(text)) if spoken else _plain_text(document, text)
    return [turn for turn in found if turn.end > turn.start]


class Run(NamedTuple):
    """A turn as documents.parquet keeps it: how many characters and tokens of the placed text it has."""

    role: TurnRole
    kind: Kind
    language: str | None
    chars: int
    tokens: int


def runs(stretches: Sequence[Turn], starts: NDArray[np.int32], *, tokens: int, chars: int) -> list[Run]:
    """The turns of a document of which the first ``tokens`` tokens, ``chars`` characters, were placed. ``starts`` are the characters
    at which its tokens start; a token counts for the turn in which it starts. The sums are ``tokens`` and ``chars``."""
    import numpy as np

    if not stretches:
        return []
    ends = np.array([t.end for t in stretches])
    ends[-1] = max(int(ends[-1]), int(starts[-1]) + 1)
    token_ends = np.minimum(np.searchsorted(starts, ends, side="left"), tokens)
    char_ends = np.minimum(ends, chars)
    last = int(np.searchsorted(token_ends, tokens, side="left"))
    char_ends[last:] = chars
    counted = zip(stretches, np.diff(char_ends, prepend=0).tolist(), np.diff(token_ends, prepend=0).tolist(), strict=True)
    return [Run(turn.role, turn.kind, turn.language, c, t) for turn, c, t in counted if c or t]


def prose(conversation: Conversation) -> str:
    """What people and the model say to each other in words: without code, markup, reasoning, tools, and without the instruction
    that a mix put in front."""
    if conversation.text is not None:
        return _without_markup(conversation.text)
    said = [_own_words(m, conversation.instruction) for m in conversation.messages if m.role in ("user", "assistant")]
    return _without_markup("\n".join(said))


def code(conversation: Conversation) -> str:
    """The longest piece of code in a document; the whole text where nothing is fenced and nobody speaks."""
    if conversation.text is not None:
        return conversation.text
    blocks = [m["code"] for message in conversation.messages for m in FENCE.finditer(message.content)]
    return max(blocks, key=len, default="")


def detected(documents: Sequence[Document], *, jobs: int = 1) -> Iterator[str | None]:
    """The language that each document is recognised as: that of its code where it claims a programming language, else that of its
    prose. None where there is too little of it, or where no detector knows what is claimed."""
    from curator.detect import natural_languages, programming_language

    claims = [languages.find(d.language) if d.language else None for d in documents]
    is_code = [claim is not None and claim.kind == "programming" for claim in claims]
    texts = [prose(d.conversation) for d, coded in zip(documents, is_code, strict=True) if not coded]
    natural = iter(natural_languages(texts, jobs=jobs))
    for document, claim, coded in zip(documents, claims, is_code, strict=True):
        yield programming_language(code(document.conversation), claimed=claim.id) if claim and coded else next(natural)


def _own_words(message: Message, instruction: str) -> str:
    return message.content.removeprefix(instruction) if message.role == "user" else message.content


def _without_markup(text: str) -> str:
    return MARKUP.sub(" ", FENCE.sub("\n", text))


def _plain_text(document: Document, text: str) -> Iterator[Turn]:
    claimed = languages.find(document.language) if document.language else None
    if claimed is not None and claimed.kind == "programming":
        yield Turn("text", "code", 0, len(text), claimed.id)
        return
    yield from _fenced("text", text, 0, len(text))


def _spoken(conversation: Conversation, text: str) -> Iterator[Turn]:
    """The parts of the messages that stand in the text, in order."""
    cursor = 0
    for message in conversation.messages:
        content, thought = message.content.strip(), (message.reasoning or "").strip()
        start = text.find(content, cursor) if content else -1
        if thought:
            at = text.find(thought, cursor, start if start >= 0 else len(text))
            if at >= 0:
                yield Turn("assistant", "reasoning", at, at + len(thought))
                cursor = at + len(thought)
                start = text.find(content, cursor) if content else -1
        if start >= 0:
            yield from _content(message, conversation.instruction.strip(), text, start, start + len(content))
            cursor = start + len(content)
        for call in message.tool_calls:
            at = text.find(call.name, cursor)
            if at >= 0:
                yield Turn("assistant", "tool_call", at, at + len(call.name))
                cursor = at + len(call.name)


def _content(message: Message, instruction: str, text: str, start: int, end: int) -> Iterator[Turn]:
    if instruction and message.role == "user" and text.startswith(instruction, start):
        yield Turn("user", "instruction", start, start + len(instruction))
        start += len(instruction)
    yield from _fenced(message.role, text, start, end)


def _fenced(role: TurnRole, text: str, start: int, end: int) -> Iterator[Turn]:
    """Prose and code blocks in turn; the fences belong to the code."""
    cursor = start
    for block in FENCE.finditer(text[start:end]):  # of its own: content begins a line, wherever the template puts it
        named = languages.find(block["info"].split()[0].strip("{}.,:")) if block["info"].strip() else None
        yield Turn(role, "plain", cursor, start + block.start())
        yield Turn(role, "code", start + block.start(), start + block.end(), named.id if named else None)
        cursor = start + block.end()
    yield Turn(role, "plain", cursor, end)


def _with_gaps(conversation: Conversation, spoken: list[Turn], length: int) -> list[Turn]:
    """The parts with what lies between them: the arguments after a call's name are part of the call, tool schemas stand before
    anyone speaks, the rest is the template's."""
    whole: list[Turn] = []
    cursor = 0
    for turn in [*spoken, Turn("template", "template", length, length)]:
        if turn.start > cursor:
            whole.append(_gap(conversation, whole, cursor, turn.start))
        whole.append(turn)
        cursor = turn.end
    return whole


def _gap(conversation: Conversation, before: list[Turn], start: int, end: int) -> Turn:
    if before and before[-1].kind == "tool_call":
        return Turn("assistant", "tool_call", start, end)
    if conversation.tools and all(t.role in ("system", "template") for t in before):
        return Turn("system", "tools", start, end)
    return Turn("template", "template", start, end)
