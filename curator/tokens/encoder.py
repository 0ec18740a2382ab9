"""Documents to token ids through a model's own chat template and tokenizer, and back to text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from curator import chat_template
from curator.chat_template import MOST_CHARACTERS
from curator.data import Conversation, Document, Drop, Tokens
from curator.errors import SourceError
from curator.tokens.dialect import Dialect, Rendered, TemplateExceeds, TemplateRejects, encodable, is_plain, probe, render

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray


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
