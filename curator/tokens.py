"""Documents to token ids through the target's own chat template and tokenizer, with what a template rejects repaired.

What a template can take is found by rendering small conversations with it, not by reading its source.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator import chat_template, hub_errors, paths
from curator.chat_template import MOST_CHARACTERS
from curator.data import Conversation, Document, Drop, Message, Tokens, ToolCall
from curator.errors import SourceError, UsageError
from curator.hub_errors import LOGIN, Advice

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

FILES = (  # by which the tokenizers of transformers are made; no weights, no pickles, no code
    *("config.json", "*token*.json", "*vocab*.json", "*vocab*.txt", "merges*.txt", "dict.txt", "tekken.json", "*.jinja", "additional_chat_templates/*.jinja"),
    *("tokenizer.model*", "tiktoken.model", "s*.model", "*.spm", "*.tiktoken", "bpe.codes", "prophetnet.tokenizer"),
    *("normalizer.json", "emoji.json", "byte_maps.json", "word_*.json"),
)
MAX_BYTES = 256 << 20  # of all these files; the largest that are known have some 40 MB
REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")
STARTER = "starter"
COMMIT = re.compile(r"[0-9a-f]{40}")
REVISION = re.compile(r"[\w.-]+(/[\w.-]+)*")

Rendered = tuple[str, tuple[str, ...]]  # the text, and the repairs it took


class TemplateRejects(Exception):
    """The chat template raised for a conversation."""


class TemplateExceeds(TemplateRejects):
    """The chat template went past its bounds for a conversation: no repair makes it shorter."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which tokenizer: what the manifest and the fingerprint say of it."""

    id: str
    revision: str | None
    sha256: str
    chat_template_sha256: str
    vocab_size: int


@dataclass(frozen=True)
class Encoder:
    """A tokenizer with its chat template; use ``load``."""

    identity: Identity
    tokenizer: Any  # transformers.PreTrainedTokenizerFast; read, never changed
    fast: Any  # a tokenizers.Tokenizer of our own, without truncation or padding
    template: str

    @cached_property
    def dialect(self) -> Dialect:
        """What the chat template can take."""
        return probe(self._apply) if self.template else Dialect(chat=False)

    def refuse_endless_template(self) -> None:
        """Raise SourceError where two short turns are too much for the chat template: every row would cost as much, and be dropped."""
        if not self.template:
            return
        try:
            self._apply([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], [])
        except TemplateExceeds as error:
            raise SourceError(f"tokenizer {self.identity.id}: {error}, for two short turns; mend its chat_template, or use another tokenizer") from None
        except TemplateRejects:
            pass  # it may want other turns; probing tells

    def encode(self, documents: Sequence[Document]) -> Iterator[Tokens | Drop]:
        """One answer for each document, in order. Chat is rendered with its own special tokens; plain text gets those that
        the tokenizer puts around any text."""
        rendered = [self._render(d.conversation) for d in documents]
        ids = self._ids(rendered, documents)
        for document, result in zip(documents, rendered, strict=True):
            if isinstance(result, Drop):
                yield result
                continue
            tokens = next(ids)
            yield Tokens(document, tokens, *result) if len(tokens) else Drop("no_tokens")

    def text_of(self, ids: Any) -> str:
        """The text of token ids, special tokens included."""
        return str(self.fast.decode(ids.tolist(), skip_special_tokens=False))

    def starts(self, document: Tokens) -> NDArray[np.int32]:
        """The character of the document's text at which each token starts; int32 of shape (tokens,), never falling."""
        import numpy as np

        told = self._starts_by_bytes(document)
        if told is not None:
            return told
        encoding = self.fast.encode(document.text, add_special_tokens=_was_plain(document))
        offsets = np.array(encoding.offsets, dtype=np.int32).reshape(-1, 2)[:, 0]
        return np.maximum.accumulate(offsets)  # a mark put behind the text has no place in it

    def _starts_by_bytes(self, document: Tokens) -> NDArray[np.int32] | None:
        """The same without tokenizing again, where every token stands for a fixed number of bytes of UTF-8."""
        import numpy as np

        sizes = self._bytes_of_token
        text = np.frombuffer(document.text.encode("utf-8"), dtype=np.uint8)
        ends = np.cumsum(sizes[document.ids]) if sizes is not None else np.zeros(1)
        if sizes is None or ends[-1] != len(text):
            return None
        begins = np.cumsum((text & 0xC0) != 0x80)  # how many characters have begun by each byte
        first = np.append(0, ends[:-1])
        starts: NDArray[np.int32] = np.maximum(begins[np.minimum(first, len(text) - 1)] - 1, 0).astype(np.int32)
        return starts

    @cached_property
    def _bytes_of_token(self) -> NDArray[np.int64] | None:
        """How many bytes each token id stands for, or None where the tokenizer does not work on bytes."""
        import numpy as np

        if "ByteLevel" not in repr(self.fast.decoder):
            return None
        vocabulary, added = self.fast.get_vocab(with_added_tokens=True), self.fast.get_added_tokens_decoder()
        sizes = np.zeros(max(vocabulary.values(), default=0) + 1, dtype=np.int64)
        for token, number in vocabulary.items():
            sizes[number] = len(token.encode()) if number in added else len(token)  # a byte is written as one letter
        return sizes

    def vocabulary(self, ids: NDArray[np.int32]) -> pl.DataFrame:
        """{id, token, occurrences} of every token id in ``ids``, by id; ``token`` is the text that it stands for, or its name in the
        vocabulary where it is a part of a character."""
        import numpy as np
        import polars as pl

        found, occurrences = np.unique(ids, return_counts=True)
        texts = self.fast.decode_batch([[i] for i in found.tolist()], skip_special_tokens=False)
        names = [str(self.fast.id_to_token(i)) if not t or "\ufffd" in t else t for i, t in zip(found.tolist(), texts, strict=True)]
        return pl.DataFrame({"id": found, "token": names, "occurrences": occurrences}, schema={"id": pl.Int32, "token": pl.String, "occurrences": pl.Int64})

    def special_tokens(self) -> list[dict[str, Any]]:
        """[{id, token}] of all tokens that are marks and not text, by id."""
        added = self.tokenizer.added_tokens_decoder
        return [{"id": int(i), "token": str(t)} for i, t in sorted(added.items()) if t.special]

    def _ids(self, rendered: Sequence[Rendered | Drop], documents: Sequence[Document]) -> Iterator[Any]:
        import numpy as np

        kept = [(r[0], is_plain(d.conversation, r)) for r, d in zip(rendered, documents, strict=True) if not isinstance(r, Drop)]
        chat = iter(self.fast.encode_batch_fast([t for t, plain in kept if not plain], add_special_tokens=False))
        text = iter(self.fast.encode_batch_fast([t for t, plain in kept if plain], add_special_tokens=True))
        for _, plain in kept:
            yield np.array(next(text if plain else chat).ids, dtype=np.int32)

    def _render(self, conversation: Conversation) -> Rendered | Drop:
        if conversation.text is not None:
            return conversation.text[:MOST_CHARACTERS], ()
        result = render(conversation, self._apply, self.dialect)
        if isinstance(result, Drop):
            return result
        text = result[0][:MOST_CHARACTERS]
        # The arguments of a call and the schemas of tools come into the text only here.
        return (text, result[1]) if encodable(text) else Drop("lone_surrogate", "in a call or a schema")

    def _apply(self, messages: list[dict[str, Any]], tools: list[Mapping[str, Any]]) -> str:
        """The chat template over plain dictionaries. Raises TemplateRejects for whatever goes wrong in it."""
        given = {"messages": messages, "tools": tools or None, "documents": None, "add_generation_prompt": False}
        try:
            template = self.tokenizer.get_chat_template(None, tools or None)  # there may be one of its own for tools
            if template not in self._compiled:
                self._compiled[template] = chat_template.compile(template)
            return self._compiled[template](**self._marks, **given)
        except chat_template.Exceeds as error:
            raise TemplateExceeds(str(error)) from None
        except Exception as error:  # noqa: BLE001 - a template is a program from outside; it can raise anything
            raise TemplateRejects(f"{type(error).__name__}: {error}"[:300]) from None

    @cached_property
    def _compiled(self) -> dict[str, Callable[..., str]]:
        return {}

    @cached_property
    def _marks(self) -> dict[str, Any]:
        return dict(self.tokenizer.special_tokens_map)


def _was_plain(tokens: Tokens) -> bool:
    return is_plain(tokens.document.conversation, (tokens.text, tokens.repairs))


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


Apply = Callable[[list[dict[str, Any]], list[Mapping[str, Any]]], str]


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


class NotATokenizer(SourceError):
    """A name that no tokenizer can have: nothing that another try mends."""

    exit_code = UsageError.exit_code


def load(name: str, *, revision: str | None = None, starter: Path | None = None, base: str | None = None) -> Encoder:
    """The tokenizer ``name``: a hub id, a local folder, or ``starter`` for the folder given. Raises SourceError, NotATokenizer.

    ``base`` is the folder of the mix that names it: then it reads only files that sources of the mix may read, too."""
    import tokenizers

    folder = starter if name == STARTER and starter else Path(name)
    local = folder.is_dir()
    if folder.suffix == ".json" and folder.is_file():  # others may have the name of a hub id
        raise NotATokenizer(f"tokenizer {name}: a file; name the folder that it is in ({folder.parent})")
    if local and not any(folder.iterdir()):
        raise NotATokenizer(f"tokenizer {name}: an empty folder; name one with tokenizer.json")
    if local and base is not None and folder != starter:
        _refuse_outside(folder, base)
    if not local:
        folder = _fetched(name, revision)
    tokenizer = _pretrained(name, folder)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise SourceError(f"tokenizer {name}: it has no fast form (tokenizer.json); curate needs one")
    template = tokenizer.chat_template or ""
    if not isinstance(template, str):  # several by name; all of them shape what is rendered
        template = json.dumps(template, sort_keys=True)
    state = backend.to_str()
    fast = backend
    if backend.truncation is not None or backend.padding is not None:
        fast = tokenizers.Tokenizer.from_str(state)
        fast.no_truncation()
        fast.no_padding()
    identity = Identity(
        id=name,
        revision=None if local else folder.name,
        sha256=hashlib.sha256(state.encode()).hexdigest(),
        chat_template_sha256=hashlib.sha256(template.encode()).hexdigest(),
        vocab_size=len(tokenizer),
    )
    encoder = Encoder(identity, tokenizer, fast, template)
    encoder.refuse_endless_template()
    return encoder


def _refuse_outside(folder: Path, base: str) -> None:
    """Raise SourceError where a tokenizer's folder, or a file that would be read for it, is not the mix's to read: what is in a
    chat template comes into documents."""
    try:
        read = (folder, *folder.iterdir(), *folder.glob("*/*.jinja"), *_named_files(folder))
    except OSError as error:
        raise SourceError(f"tokenizer {folder}: {error.strerror or error}") from None
    for path in read:
        if not paths.allowed(path.resolve(), base):
            raise SourceError(f"tokenizer {folder}: {path} is outside the folder of the mix; if you trust the mix, allow it with --allow-path {path.resolve()}")


def _named_files(folder: Path) -> Iterator[Path]:
    """Files of this machine that a tokenizer's configuration names: ``transformers`` reads them in place of its own."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        with suppress(OSError, ValueError, RecursionError):
            told = json.loads((folder / name).read_bytes())
            named = [v for k, v in told.items() if str(k).endswith("_file") and isinstance(v, str)] if isinstance(told, dict) else []
            yield from (Path(v) for v in named if os.path.exists(v))  # noqa: PTH110 - a NUL byte is no error here


def _fetched(name: str, revision: str | None) -> Path:
    """The folder in the hub's cache with the files of a tokenizer, whose name is their commit. ``revision`` is a branch, a tag or a
    commit; None is main. Raises SourceError, NotATokenizer."""
    from huggingface_hub import HfApi, errors, hf_hub_download

    with _translated(name, revision):
        try:
            info = HfApi().model_info(name, revision=revision, files_metadata=True, timeout=60)
        except hub_errors.unanswered() as error:
            if folder := _kept(name, revision, offline=isinstance(error, errors.OfflineModeIsEnabled)):
                return folder
            raise
        sizes = {s.rfilename: s.size or 0 for s in info.siblings or [] if _is_wanted(s.rfilename)}
        if not sizes:
            raise SourceError("no tokenizer.json among its files on the hub; name the model that it belongs to")
        if sum(sizes.values()) > MAX_BYTES:
            raise SourceError(f"its files are more than {MAX_BYTES >> 20} MiB ({max(sizes, key=lambda n: sizes[n])} is the largest)")
        # tokenizer.json last: where it is kept, so is the rest, a chat template for one.
        for file in sorted(sizes, key=lambda n: (n == "tokenizer.json", n)):
            place = Path(hf_hub_download(name, file, revision=info.sha))
        folder = place.parents[file.count("/")]
        _note_whole(folder, revision or "main")
        return folder


def _is_wanted(file: str) -> bool:
    return any(file.count("/") == pattern.count("/") and fnmatch.fnmatchcase(file, pattern) for pattern in FILES)


def _note_whole(folder: Path, revision: str) -> None:
    """Note in the hub's cache which commit a branch or tag is, now that all of it is there: for runs without a network, of other programs too."""
    if REVISION.fullmatch(revision) and ".." not in revision and revision != folder.name:
        place = folder.parent.parent / "refs" / revision
        with suppress(OSError):  # such as a cache that is only read
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(folder.name)


def _kept(name: str, revision: str | None, *, offline: bool) -> Path | None:
    """The folder of an earlier run, where the hub has no answer: of a commit, or, where the user wants no network, of a branch as it was then."""
    from huggingface_hub import constants, try_to_load_from_cache

    if not offline and not COMMIT.fullmatch(revision or ""):
        return None
    found = try_to_load_from_cache(name, "tokenizer.json", revision=revision)
    if isinstance(found, str):
        return Path(found).parent
    place = Path(constants.HF_HUB_CACHE, f"models--{name.replace('/', '--')}")
    whole = {r.relative_to(place / "refs").as_posix(): r.read_text(errors="replace") for r in sorted(place.glob("refs/**/*")) if r.is_file()}
    commit = whole.get(revision or "main", revision)
    folder = place / "snapshots" / str(commit)
    return folder if commit in whole.values() and any(_is_wanted(f.name) and f.name != "config.json" for f in folder.glob("*")) else None


def _translated(name: str, revision: str | None) -> AbstractContextManager[None]:
    """Errors of the hub's clients as SourceError or NotATokenizer, which say which tokenizer, what was found and what to do."""
    instead = "name a folder with tokenizer.json"
    advice = Advice(
        terms="on the hub",
        absent=f"not found on the hub, or private; mend the name, {LOGIN}, or {instead}",
        offline=f"not in the hub's cache, and HF_HUB_OFFLINE is set; unset it, or {instead}",
        instead=instead,
        misnamed="neither a folder nor a hub id ORG/NAME",
        revision=revision,
        setting="tokenizer_revision",
    )
    return hub_errors.told(f"tokenizer {name}", advice, misnamed=NotATokenizer)


def _pretrained(name: str, folder: Path) -> Any:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        text = str(error).strip().split("\n")[0][:300]
        raise SourceError(f"tokenizer {name}: cannot be loaded from {folder}: {text}; name a folder or a hub id with tokenizer.json") from None
    except Exception as error:  # noqa: BLE001 - tokenizers raises bare Exception for a broken tokenizer.json
        raise SourceError(f"tokenizer {name}: {type(error).__name__}: {str(error)[:300]}") from None
