"""Datasets on the Hugging Face hub: found with the hub's own clients, read over ranges, only the columns that are needed.

``datasets`` tells configurations and splits; ``huggingface_hub`` opens the files. Rows are read from the files themselves
(docs/adr/0003), so that a choice can be spread over row groups and each row keeps the place it came from.
"""

from __future__ import annotations

import fnmatch
import os
import posixpath
import tempfile
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from curator import hub_errors, network, plain_json, plain_yaml
from curator.adapters import reading
from curator.adapters.reading import File
from curator.data import Resolved, Row, Sampling, Where
from curator.errors import SourceError, UsageError
from curator.hub_errors import LOGIN, Advice, first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping, Sequence

PINNED = True  # a commit never changes
DESCRIPTIONS = ("README.md", ".huggingface.yaml", "dataset_infos.json")  # where `datasets` reads how a dataset is laid out
MAX_DESCRIPTION = 16 << 20  # bytes; thousands of configurations take a tenth of it
MAX_DESCRIBED = 300_000  # values of YAML, once aliases are followed: twenty thousand configurations; the library takes 10 s for them
SHOWN = 20  # names, of those that there are
BLOCK = 1 << 20  # bytes asked for at a time where a file is read from end to end


def resolve(where: Where, *, memo: MutableMapping[str, Any]) -> Resolved:
    """Pin the commit, find the files of the split, and check the columns where a footer tells them."""
    with _translated(where):
        info = _info(where, memo)
        license, gated = _license(info), bool(info.gated)
        if gated:
            _check_access(where, info)
        files = _files(where, info, memo)
        if reading.format_of(files[0]) == "parquet":
            _check_columns(where, info.sha, files[0], memo)
    return Resolved(revision=info.sha, license=license, gated=gated, files=tuple(files))


def rows(where: Where, resolved: Resolved, *, seed: str, sampling: Sampling) -> Iterator[Row]:
    """The rows of the files that ``resolve`` named, at the commit that it pinned."""
    with _translated(where, commit=resolved.revision):
        files = [_open_later(where.dataset or "", resolved.revision or "main", name) for name in resolved.files]
        yield from reading.read(files, where, seed=seed, sampling=sampling)


def digests(where: Where, resolved: Resolved) -> dict[str, str]:
    """SHA-256 of the files that the hub keeps as large ones, the git hash of the others."""
    from huggingface_hub import HfApi

    with _translated(where):
        found: Any = HfApi().get_paths_info(where.dataset or "", list(resolved.files), revision=resolved.revision, repo_type="dataset")
        return {f.path: f"sha256:{f.lfs.sha256}" if f.lfs else f"git:{f.blob_id}" for f in found}


def _info(where: Where, memo: MutableMapping[str, Any]) -> Any:
    from huggingface_hub import HfApi

    key = f"hub:{where.dataset}@{where.revision}"
    if key not in memo:
        memo[key] = HfApi().dataset_info(where.dataset or "", revision=where.revision, timeout=60)
    return memo[key]


def _license(info: Any) -> str | None:
    declared = (info.card_data or {}).get("license") if info.card_data else None
    if declared is None:
        declared = next((t.removeprefix("license:") for t in info.tags or [] if t.startswith("license:")), None)
    return ", ".join(declared) if isinstance(declared, list) else declared


def _check_access(where: Where, info: Any) -> None:
    """Ask for the head of a file: the description of a gated dataset is open to all, its files are not."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    names = [s.rfilename for s in info.siblings or []] or ["README.md"]
    data = next((n for n in names if reading.format_of(n) != "text"), names[0])
    get_hf_file_metadata(hf_hub_url(where.dataset or "", data, repo_type="dataset", revision=info.sha), timeout=60)


def _files(where: Where, info: Any, memo: MutableMapping[str, Any]) -> list[str]:
    if where.data_files:
        names = [s.rfilename for s in info.siblings or []]
        found = [n for pattern in where.data_files for n in sorted(names) if fnmatch.fnmatchcase(n, _literal(pattern))]
        if not found:
            folders = sorted({n.rsplit("/", 1)[0] for n in names if "/" in n})
            raise SourceError(f"no file matches {', '.join(where.data_files)}; it has {_shortened(folders or names)}")
        return list(dict.fromkeys(found))
    splits = _splits(where, info, memo)
    split = where.split or "train"
    if split not in splits:
        raise SourceError(f"no split {split!r}; it has {', '.join(splits)}; mend `split` in the card or the mix")
    return splits[split]


def _literal(pattern: str) -> str:
    """Square brackets in a pattern stand for themselves: languages are named `c++` and `c#`, never by character sets."""
    return pattern.replace("[", "[[]")


def _splits(where: Where, info: Any, memo: MutableMapping[str, Any]) -> dict[str, list[str]]:
    """The files of each split of a configuration, as ``datasets`` resolves them."""
    key = f"pinned:splits:{where.dataset}@{info.sha}/{where.subset}"
    if key not in memo:
        memo[key] = _builder_splits(where, info)
    found: dict[str, list[str]] = memo[key]
    return found


def _builder_splits(where: Where, info: Any) -> dict[str, list[str]]:
    place = _url(where.dataset or "", info.sha)
    _refuse_bombs(where, info)
    with _looking_within(place), tempfile.TemporaryDirectory() as nothing_kept:
        files = _builder_files(where, info, kept=nothing_kept)
    for name in (str(f) for names in files.values() for f in names):
        _refuse_outside(name, place)
    return {str(split): [str(f).removeprefix(f"{place}/") for f in names] for split, names in files.items()}


def _refuse_bombs(where: Where, info: Any) -> None:
    """Raise SourceError where what a dataset says of itself is not plain YAML or JSON within bounds: `datasets` has none, and writes it out
    in errors."""
    from huggingface_hub import HfApi, hf_hub_download

    dataset = where.dataset or ""
    script = f"{posixpath.basename(dataset)}.py"  # the library fetches it too, to say that it runs none
    present = [s.rfilename for s in info.siblings or [] if s.rfilename in (*DESCRIPTIONS, script)]
    found: Any = HfApi().get_paths_info(dataset, present, revision=info.sha, repo_type="dataset") if present else ()
    for file in found:
        if file.size > MAX_DESCRIPTION:
            raise SourceError(f"its {file.path} has more than {MAX_DESCRIPTION >> 20} MiB; name its files with `data_files`")
    for name in (n for n in present if n != script):
        file = Path(hf_hub_download(dataset, name, repo_type="dataset", revision=info.sha))
        try:
            _refuse_bomb(name, file.read_text(encoding="utf-8", errors="replace"))
        except plain_json.TooMany as error:
            raise SourceError(f"its {name}: {error}; name its files with `data_files`") from None
        except UsageError as error:
            raise SourceError(f"its {first_line(error)}; name its files with `data_files`") from None


def _refuse_bomb(name: str, text: str) -> None:
    """Raise UsageError or TooMany where a description is beyond its bounds; what is wrong with its JSON is for the library to say."""
    from huggingface_hub.repocard import REGEX_YAML_BLOCK

    if name.endswith(".json"):
        plain_json.refuse_many(text, most=MAX_DESCRIBED)
        return
    header = REGEX_YAML_BLOCK.search(text)
    plain_yaml.load(text if name != "README.md" else header[2] if header else "", name=name, nodes=MAX_DESCRIBED)


def _builder_files(where: Where, info: Any, *, kept: str) -> dict[Any, list[Any]]:
    """The files of each split, as URLs. ``kept`` is an empty folder: where anything fails, the library would take what earlier runs kept."""
    import datasets

    try:
        return datasets.load_dataset_builder(where.dataset or "", where.subset, revision=info.sha, cache_dir=kept).config.data_files or {}
    except hub_errors.foreign():
        raise
    except Exception as error:  # noqa: BLE001 - the README is a stranger's, and the library raises anything for it
        names = _configurations(where, info, kept=kept) if isinstance(error, ValueError) else []
        if names and where.subset not in names:
            wanted = f"no subset {where.subset!r}" if where.subset else "it has several subsets and the card names none"
            raise SourceError(f"{wanted}; it has {_shortened(names)}; mend `subset` in the card or the mix") from None
        raise SourceError(f"its files cannot be made out: {first_line(error)}; name them with `data_files`") from None


def _configurations(where: Where, info: Any, *, kept: str) -> list[str]:
    import datasets

    try:
        return list(datasets.get_dataset_config_names(where.dataset or "", revision=info.sha, cache_dir=kept))
    except Exception:  # noqa: BLE001 - the same as above, and there is an error to tell already
        return []


_place: ContextVar[str | None] = ContextVar("place", default=None)  # the URL below which `datasets` may look for files in this thread


@contextmanager
def _looking_within(place: str) -> Iterator[None]:
    """Have `datasets` look for files below this URL alone, whatever the README of a dataset says. Raises SourceError."""
    _guard_patterns()
    before = _place.set(place)
    try:
        yield
    finally:
        _place.reset(before)


@cache
def _guard_patterns() -> None:
    """Set `datasets` up: quiet, and with ``_refuse_outside`` before it looks for any pattern. All come through one function of it,
    the `data_files` and `data_dir` of every configuration and its own defaults, so nothing depends on how a README is read."""
    import datasets
    from datasets import data_files

    # `datasets` would tell a server of its own, whatever HF_ENDPOINT says, which datasets are looked at; a build waits for that.
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    data_files.resolve_pattern = _guarded(data_files.resolve_pattern)


def _guarded(resolve: Callable[..., list[str]]) -> Callable[..., list[str]]:
    @wraps(resolve)
    def resolved(pattern: str, base_path: str, *arguments: Any, **options: Any) -> list[str]:
        place = _place.get()
        if place is None:
            return resolve(pattern, base_path, *arguments, **options)
        absolute = Path(pattern).is_absolute() or urlsplit(pattern).scheme  # `file:a` has one too
        _refuse_outside(pattern if absolute else posixpath.join(base_path, pattern), place)
        found = resolve(pattern, base_path, *arguments, **options)
        for name in found:
            _refuse_outside(name, place)
        return found

    return resolved


def _refuse_outside(name: str, place: str) -> None:
    """Raise SourceError where a file or pattern is not below a place, or could lead out of it: by ``..``, or as a chain of URLs (``zip://a::b``)."""
    below = name.removeprefix(f"{place}/")
    if below == name or ".." in below.split("/") or "::" in below or "://" in below:
        raise SourceError(f"{below!r} leads out of its repository; name its files with `data_files` in the card or the mix")


def _check_columns(where: Where, revision: str, name: str, memo: MutableMapping[str, Any]) -> None:
    key = f"pinned:columns:{where.dataset}@{revision}/{name}"
    if key not in memo:
        memo[key] = reading.parquet_columns(_open_later(where.dataset or "", revision, name))
    missing = [c for c in where.columns if c not in memo[key]]
    if missing:
        raise SourceError(reading.no_column(missing, memo[key]))


def _url(dataset: str, revision: str) -> str:
    return f"hf://datasets/{dataset}@{revision}"


def _open_later(dataset: str, revision: str, name: str) -> File:
    """A file of a dataset. Raises SourceError where its name, which may come from a lock, leads out of the dataset."""
    from huggingface_hub import HfFileSystem

    place = _url(dataset, revision)
    _refuse_outside(f"{place}/{name}", place)

    def opened() -> Any:
        # Parquet asks for the ranges it wants; lines are read from end to end.
        cache = {"cache_type": "none"} if reading.format_of(name) == "parquet" else {"cache_type": "readahead"}
        file = HfFileSystem().open(f"{place}/{name}", "rb", block_size=BLOCK, **cache)
        file.cache.fetcher = network.charged(file.cache.fetcher)
        return file

    return File(name, opened)


def _translated(where: Where, *, commit: str | None = None) -> AbstractContextManager[None]:
    """Foreign errors as SourceError that says which dataset, what was found and what to do; ``commit`` where rows of it are being read."""
    page = f"{os.environ.get('HF_ENDPOINT', 'https://huggingface.co')}/datasets/{where.dataset}"
    advice = Advice(
        terms=f"at {page}",
        absent=f"no such dataset at {page}, or it is private: mend the name, or {LOGIN}",
        offline="HF_HUB_OFFLINE is set; unset it, or build with --offline from the starter corpus",
        instead="build with --offline",
        revision=where.revision,
        commit=commit,
    )
    return hub_errors.told(f"{where.dataset}{f' ({where.subset})' if where.subset else ''}", advice)


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
