"""The records that travel through the pipeline: frozen, slotted, without a metadata dict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

Role = Literal["system", "user", "assistant", "tool"]
Sampling = Literal["spread", "head"]


@dataclass(frozen=True, slots=True)
class Where:
    """Where rows come from, as a card and a mix entry say it; which fields count depends on the adapter."""

    dataset: str | None = None
    path: str | None = None
    base: str = ""  # folder that a relative path is relative to; not part of what a source is
    subset: str | None = None
    split: str | None = None
    revision: str | None = None
    data_files: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()  # what the formatter reads; an adapter need not yield more
    language: str | None = None  # id in curator.languages
    language_column: str | None = None  # keep rows in which this column holds one of language_values
    language_values: tuple[str, ...] = ()
    path_column: str | None = None  # keep rows in which this column ends in one of extensions
    extensions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a source turned out to be, without a row of it read."""

    revision: str | None = None  # commit id or digest
    license: str | None = None
    gated: bool = False
    files: tuple[str, ...] = ()


class Row(NamedTuple):
    """One raw record, the key that finds it again within its split (``FILE#INDEX``), and its size in bytes as read."""

    key: str
    values: Mapping[str, Any]
    size: int
    broken: str | None = None  # why the record could not be read; values are empty then


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a document came from."""

    dataset: str
    revision: str | None
    split: str | None
    row: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call; ``arguments`` is an object, or the text as it came where that is no JSON object."""

    name: str
    arguments: Mapping[str, Any] | str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a formatter makes of a row: turns and tool schemas, or ``text`` that goes in without a chat turn.

    ``instruction`` is what the mix put in front of the first user turn: part of that turn, and not of what the row says.
    """

    messages: tuple[Message, ...] = ()
    tools: tuple[Mapping[str, Any], ...] = ()
    text: str | None = None
    instruction: str = ""


@dataclass(frozen=True, slots=True)
class Drop:
    """Why a row does not become a document; ``reason`` is counted, ``detail`` goes to the quarantine."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """One conversation with its origin, before any tokenizer."""

    conversation: Conversation
    origin: Origin
    source: str
    category: str
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """A document as one tokenizer and chat template see it; ``ids`` is int32 of shape (tokens,)."""

    document: Document
    ids: NDArray[np.int32]
    text: str
    repairs: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Piece:
    """The first ``length`` tokens of a document, in a sample."""

    tokens: Tokens
    length: int

    @property
    def cut(self) -> int:
        """How many tokens of the document were left out."""
        return len(self.tokens) - self.length


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of the calibration set: pieces of one source, in order."""

    source: str
    category: str
    pieces: tuple[Piece, ...] = field(default=())

    def __len__(self) -> int:
        return sum(p.length for p in self.pieces)
