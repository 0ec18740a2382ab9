"""A model of the hub in the hub's own cache, with patience: every file is there whole, or is fetched again."""

from __future__ import annotations

import fnmatch
import json
import threading
from collections.abc import Sequence
from concurrent.futures import Future, as_completed, wait
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath
from queue import Empty, SimpleQueue
from typing import Any

from curator import hub_errors, network
from curator.checkpoints.reading import INDEX, SINGLE
from curator.errors import SourceError
from curator.hub_errors import LOGIN, Advice
from curator.quantize.data import Note
from curator.tokens import loading

OTHER_FORMS = ("*.bin", "*.pth", "*.pt", "*.gguf", "original/*", "*.onnx")  # of the weights that are there as safetensors
AT_ONCE = 4  # files; of each, network.MOST_HELD bytes may be in memory
LARGEST = 50 * 10**9  # bytes of a file that the hub gives over plain HTTP
LEAVE = 2.0  # seconds in which what is under way ends, once nobody wants it
ADVICE = Advice(
    terms="on the hub",
    absent=f"not found on the hub, or private; mend the name, {LOGIN}, or name a folder",
    offline="not in the hub's cache, and HF_HUB_OFFLINE is set; unset it, or name a folder",
    instead="name a folder",
    misnamed="neither a folder nor a hub id ORG/NAME",
    later="try again later (files that are whole are kept)",
    patience="CURATE_RETRY_BUDGET",
)


def model(name: str, *, note: Note = lambda _: None) -> Path:
    """The folder of a model: fetched, or as it was when the hub last gave it, where the hub has no answer. Raises SourceError, and
    UsageError for what is no name of a model."""
    from huggingface_hub import snapshot_download

    budget = network.Budget(f"model {name}", tell=note)
    with hub_errors.told(budget.source, ADVICE), network.spending(budget):
        try:
            commit, files = _listed(name)
        except hub_errors.unanswered() as error:
            folder = _kept(name)
            if folder is None:
                raise
            note(f"model {name}: taken as it is in the hub's cache, since the hub does not give it ({hub_errors.first_line(error)})")
            return folder
        _fetch(name, commit, files, budget)
        # That commit, of which all is there: the hub may be at another by now.
        folder = Path(snapshot_download(name, revision=commit, ignore_patterns=list(OTHER_FORMS), local_files_only=True))
        loading.note_whole(folder, "main")
        return folder


def _listed(name: str) -> tuple[str, list[str]]:
    """The commit that a model is at, and its files. Raises SourceError for one that only the hub's own program can fetch."""
    from huggingface_hub import HfApi, try_to_load_from_cache

    info = HfApi().model_info(name, files_metadata=True, timeout=60)
    commit, sizes = info.sha or "main", {s.rfilename: s.size or 0 for s in info.siblings or []}
    files = [f for f in sizes if not any(fnmatch.fnmatchcase(f, form) for form in OTHER_FORMS)]
    for file in files:
        if PurePosixPath(file).is_absolute() or ".." in file.replace("\\", "/").split("/"):
            raise SourceError(f"{file!r} among its files is no name within a folder; have its owner rename it, or name a folder")
    for file in (f for f in files if sizes[f] > LARGEST):
        if not isinstance(try_to_load_from_cache(name, file, revision=commit), str):
            raise SourceError(f"{file} has {sizes[file] / 1e9:,.0f} GB, too many to be fetched here; fetch it with `hf download {name}`, and run this again")
    return commit, files


def _kept(name: str) -> Path | None:
    """The folder of an earlier run; None where there is none with weights: one of the same name may be there for its tokenizer alone."""
    from huggingface_hub import errors, snapshot_download

    with suppress(errors.LocalEntryNotFoundError):
        folder = Path(snapshot_download(name, ignore_patterns=list(OTHER_FORMS), local_files_only=True))
        return folder if all((folder / file).is_file() for file in _of_weights(folder)) else None
    return None


def _of_weights(folder: Path) -> set[str]:
    """The files that hold the weights, by their index; of one that cannot be read it is told later."""
    if not (folder / INDEX).is_file():
        return {SINGLE}
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {str(file) for file in json.loads((folder / INDEX).read_bytes())["weight_map"].values()}
    return set()


def _fetch(name: str, commit: str, files: Sequence[str], budget: network.Budget) -> None:
    """Fetch the files that are not there yet, a few at a time; the first failure, or an interrupt, ends all. One that waits for another
    program to fetch the same file heeds nothing, so that threads are left alone with it."""
    from huggingface_hub import hf_hub_download

    fetch = network.charged(partial(hf_hub_download, name, revision=commit))
    asked: SimpleQueue[tuple[str, Future[Any]]] = SimpleQueue()
    pending: list[Future[Any]] = []
    for file in files:
        pending.append(Future())
        asked.put((file, pending[-1]))

    def work() -> None:
        with suppress(Empty):
            while True:
                file, outcome = asked.get_nowait()
                if outcome.set_running_or_notify_cancel():
                    network.into(outcome, partial(fetch, file))

    for _ in range(AT_ONCE):
        threading.Thread(target=work, name="model", daemon=True).start()
    try:
        for done in as_completed(pending):
            done.result()
    except BaseException:
        budget.close()
        wait([outcome for outcome in pending if not outcome.cancel()], LEAVE)
        raise
