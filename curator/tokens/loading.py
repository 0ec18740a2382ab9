"""Where a tokenizer comes from: a folder, the starter corpus, or the hub, of which no more is fetched than tokenizers are made of."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from curator import hub_errors, paths
from curator.errors import SourceError, UsageError
from curator.hub_errors import COMMIT, LOGIN, Advice
from curator.tokens.encoder import Encoder, Identity

FILES = (  # by which the tokenizers of transformers are made; no weights, no pickles, no code
    *("config.json", "*token*.json", "*vocab*.json", "*vocab*.txt", "merges*.txt", "dict.txt", "tekken.json", "*.jinja", "additional_chat_templates/*.jinja"),
    *("tokenizer.model*", "tiktoken.model", "s*.model", "*.spm", "*.tiktoken", "bpe.codes", "prophetnet.tokenizer"),
    *("normalizer.json", "emoji.json", "byte_maps.json", "word_*.json"),
)
MAX_BYTES = 256 << 20  # of all these files; the largest that are known have some 40 MB
STARTER = "starter"
REVISION = re.compile(r"[\w.-]+(/[\w.-]+)*")


class NotATokenizer(SourceError):
    """A name that no tokenizer can have: nothing that another try mends."""

    exit_code = UsageError.exit_code


def load(name: str, *, revision: str | None = None, starter: Path | None = None, base: str | None = None) -> Encoder:
    """The tokenizer ``name``: a hub id, a local folder, or ``starter`` for the folder given. Raises SourceError, NotATokenizer.

    ``base`` is the folder of the mix that names it: then it reads only files that sources of the mix may read, too."""
    folder = starter if name == STARTER and starter else Path(name)
    local = folder.is_dir()
    _refuse_what_is_none(name, folder)
    if local and base is not None and folder != starter:
        _refuse_outside(folder, base)
    if not local:
        folder = _fetched(name, revision)
    encoder = _encoder(name, _pretrained(name, folder), revision=None if local else folder.name)
    encoder.refuse_endless_template()
    return encoder


def _encoder(name: str, tokenizer: Any, *, revision: str | None) -> Encoder:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise SourceError(f"tokenizer {name}: it has no fast form (tokenizer.json); curate needs one")
    template = tokenizer.chat_template or ""
    if not isinstance(template, str):  # several by name; all of them shape what is rendered
        template = json.dumps(template, sort_keys=True)
    state = backend.to_str()
    identity = Identity(name, revision, _digest(state), _digest(template), vocab_size=len(tokenizer))
    return Encoder(identity, tokenizer, _untruncated(backend, state), template)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _untruncated(backend: Any, state: str) -> Any:
    """The same tokenizer, or a copy from its state where it would cut texts or pad them."""
    import tokenizers

    if backend.truncation is None and backend.padding is None:
        return backend
    fast = tokenizers.Tokenizer.from_str(state)
    fast.no_truncation()
    fast.no_padding()
    return fast


def _refuse_what_is_none(name: str, folder: Path) -> None:
    if folder.suffix == ".json" and folder.is_file():  # others may have the name of a hub id
        raise NotATokenizer(f"tokenizer {name}: a file; name the folder that it is in ({folder.parent})")
    if folder.is_dir() and not any(folder.iterdir()):
        raise NotATokenizer(f"tokenizer {name}: an empty folder; name one with tokenizer.json")


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
        note_whole(folder, revision or "main")
        return folder


def _is_wanted(file: str) -> bool:
    return any(file.count("/") == pattern.count("/") and fnmatch.fnmatchcase(file, pattern) for pattern in FILES)


def note_whole(folder: Path, revision: str) -> None:
    """Note in the hub's cache which commit a branch or tag is, now that all of it is there: for runs without a network, of other programs too."""
    if REVISION.fullmatch(revision) and ".." not in revision and revision != folder.name:
        place = folder.parent.parent / "refs" / revision
        with suppress(OSError):  # such as a cache that is only read
            place.parent.mkdir(parents=True, exist_ok=True)
            paths.write_whole(place, folder.name.encode(), mode=0o644)  # others read it at the same time


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
