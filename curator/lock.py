"""The lock of a mix: which commit, licence, files and tokenizer it came to mean, in YAML that reads well in a diff."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from curator import __version__, network, paths, plain_yaml, plugins
from curator.catalog import data_root
from curator.data import Resolved
from curator.errors import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from curator.plan import Plan, Stream

FORMAT: Literal["curate-lock/1"] = "curate-lock/1"
MAX_BYTES = 64 << 20
HEADER = "# What {name} came to mean. Written by `curate lock`; renew it with `curate lock` or `curate build --update`.\n"


class NotAsLocked(UsageError):
    """A mix, a tokenizer or an installation that is not what the lock says."""


class Locked(BaseModel):
    """One stream: what was asked for, and what it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    dataset: str
    asked: str  # digest of subset, split, patterns and so on: another question needs another answer
    revision: str | None
    license: str | None = None
    gated: bool = False
    files: dict[str, str | None]  # name to its hash: `sha256:...`, or `git:...` for small files on the hub


def _of_a_mix(table: dict[str, str]) -> dict[str, str]:
    if absent := [key for key in ("name", "sha256") if key not in table]:
        raise ValueError(f"no {' and no '.join(absent)}")
    return table


class Lock(BaseModel):
    """A mix with everything found that can be found without a row."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Literal["curate-lock/1"]
    curate: str
    mix: Annotated[dict[str, str], AfterValidator(_of_a_mix)]
    fingerprint: str
    tokenizer: dict[str, Any]
    plugins: dict[str, str]
    sources: dict[str, Locked]

    def resolved(self, stream: Stream) -> Resolved | None:
        """What a stream is; None where the lock does not know it, or knows it by another question."""
        locked = self.sources.get(stream.key)
        if locked is None or locked.asked != question(stream):
            return None
        return Resolved(locked.revision, locked.license, locked.gated, tuple(locked.files))


def place(mix: Path) -> Path:
    """Where the lock of a mix is: beside it, or in the working folder for a mix that came with curate."""
    inside = mix.resolve().is_relative_to(data_root() / "mixes")
    return Path(mix.name).with_suffix(".lock") if inside else mix.with_suffix(".lock")


def read(file: Path) -> Lock:
    """Read a lock. Raises UsageError."""
    try:
        return Lock.model_validate(plain_yaml.read(file, most=MAX_BYTES))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"{file}: not a lock that this version reads ({where}: {first['msg']}); write it again with `curate lock`") from None


def write(file: Path, lock: Lock) -> None:
    """Write a lock beside its place, and rename it. Raises UsageError."""
    text = yaml.safe_dump(lock.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=200)
    try:
        paths.write_whole(file, (HEADER.format(name=lock.mix["name"]) + text).encode(), mode=0o644)
    except OSError as error:
        raise UsageError(f"{file}: cannot be written: {error.strerror}; name another place with --lock") from None


def made(plan: Plan, *, budgets: network.Budgets) -> Lock:
    """The lock of a plan. Asks for the hashes of its files, at the cost of each source. Raises SourceError for all sources together."""
    sources: dict[str, Locked] = {}
    errors: list[SourceError] = []
    for key, stream in plan.streams.items():
        resolved = plan.resolved[key]
        try:
            hashes = digests(stream, resolved, budgets=budgets)
        except SourceError as error:
            errors.append(SourceError(f"{key}: {error}"))
            continue
        sources[key] = Locked(
            dataset=stream.source.card.place,
            asked=question(stream),
            revision=resolved.revision,
            license=resolved.license or stream.source.card.license,
            gated=resolved.gated,
            files={name: hashes.get(name) for name in resolved.files},
        )
    if errors:
        raise SourceError.join(errors)
    return Lock(
        format=FORMAT,
        curate=__version__,
        mix={"name": plan.name, "sha256": hashlib.sha256(plan.text.encode()).hexdigest()},
        fingerprint=plan.fingerprint,
        tokenizer=dict(plan.tokenizer),
        plugins=used(plan),
        sources=sources,
    )


def digests(stream: Stream, resolved: Resolved, *, budgets: network.Budgets) -> Mapping[str, str]:
    """The hashes of a stream's files, where its adapter can tell them without reading them. Raises SourceError."""
    adapter = plugins.load("adapters", stream.source.card.adapter)
    with network.spending(budgets(stream.source.name)):
        told: Mapping[str, str] = adapter.digests(stream.where, resolved) if hasattr(adapter, "digests") else {}
    return told


def used(plan: Plan) -> dict[str, str]:
    """The plugins of a plan, each with the distribution and version that it comes from."""
    found: dict[str, str] = {}
    for stream in plan.streams.values():
        card = stream.source.card
        found[f"adapter {card.adapter}"] = plugins.origin("adapters", card.adapter)
        found[f"formatter {card.formatter}"] = plugins.origin("formatters", card.formatter or "")
        found |= {f"filter {name}": plugins.origin("filters", name) for name in card.filters}
    return dict(sorted(found.items()))


def question(stream: Stream) -> str:
    """A digest of where a stream's rows are looked for; not of what is made of them."""
    asked = asdict(replace(stream.where, base="", columns=()))
    return hashlib.sha256(json.dumps([stream.source.card.adapter, asked], sort_keys=True).encode()).hexdigest()[:16]


def refuse_mix(lock: Lock, name: str, text: str, streams: Mapping[str, Stream]) -> None:
    """Raise NotAsLocked where a mix is not the one that was locked: a frozen build takes nothing else."""
    faults = []
    if hashlib.sha256(text.encode()).hexdigest() != lock.mix["sha256"]:
        faults.append(f"{name} has changed")
    faults += [f"{key}: not in the lock" for key in streams if key not in lock.sources]
    faults += [f"{key}: the lock is for another place in it" for key, s in streams.items() if key in lock.sources and lock.resolved(s) is None]
    _refuse(faults, "renew the lock with `curate lock`, or build without --frozen")


def refuse_plan(lock: Lock, plan: Plan, *, budgets: network.Budgets) -> None:
    """Raise NotAsLocked where what was found is not what was locked, with each thing that differs. Raises SourceError."""
    faults = list(_differences(lock.tokenizer, plan.tokenizer, "tokenizer")) + list(_differences(lock.plugins, used(plan), ""))
    for key, locked in lock.sources.items():
        found = plan.resolved.get(key)
        if found is not None and found.revision != locked.revision:
            faults.append(f"{key}: {locked.dataset} was {_short(locked.revision)}, is {_short(found.revision)}{_changed(locked, plan, key, budgets)}")
    if not faults and plan.fingerprint != lock.fingerprint:
        faults.append(f"the plan is another: it was {lock.fingerprint[:12]} with curate {lock.curate}, is {plan.fingerprint[:12]} with {__version__}")
    _refuse(faults, "bring back what was locked, or take what there is with --update")


def _changed(locked: Locked, plan: Plan, key: str, budgets: network.Budgets) -> str:
    hashes = digests(plan.streams[key], plan.resolved[key], budgets=budgets)
    names = [n for n, digest in locked.files.items() if hashes.get(n) != digest]
    names += [n for n in hashes if n not in locked.files]
    return f" ({', '.join(names[:5])}{f' and {len(names) - 5} more' if len(names) > 5 else ''})" if names else ""


def _refuse(faults: list[str], advice: str) -> None:
    if faults:
        raise NotAsLocked("not as locked:\n" + "\n".join(f"* {f}" for f in faults) + f"\n{advice}")


def changes(old: Lock, new: Lock) -> list[str]:
    """What another lock says, line by line, for a person."""
    lines = list(_differences(old.tokenizer, new.tokenizer, "tokenizer")) + list(_differences(old.plugins, new.plugins, ""))
    for key in dict.fromkeys([*old.sources, *new.sources]):
        before, after = old.sources.get(key), new.sources.get(key)
        if before is None or after is None:
            lines.append(f"{key}: {'added' if before is None else 'removed'}")
        elif before != after:
            lines.append(f"{key}: {'; '.join(_source_changes(before, after))}")
    return lines


def _source_changes(before: Locked, after: Locked) -> Iterator[str]:
    if before.revision != after.revision:
        yield f"revision {_short(before.revision)} → {_short(after.revision)}"
    if before.license != after.license:
        yield f"licence {before.license or 'not stated'} → {after.license or 'not stated'}"
    if before.asked != after.asked:
        yield "asked for otherwise"
    if before.gated != after.gated:
        yield "gated now" if after.gated else "no longer gated"
    added, gone = after.files.keys() - before.files.keys(), before.files.keys() - after.files.keys()
    other = [n for n in before.files.keys() & after.files.keys() if before.files[n] != after.files[n]]
    counts = ((len(other), "changed"), (len(added), "added"), (len(gone), "gone"))
    if any(n for n, _ in counts):
        yield "files: " + ", ".join(f"{n} {what}" for n, what in counts if n)


def _differences(before: Mapping[str, Any], after: Mapping[str, Any], what: str) -> Iterator[str]:
    for key in dict.fromkeys([*before, *after]):
        if before.get(key) != after.get(key):
            yield f"{what} {key} was {_short(before.get(key))}, is {_short(after.get(key))}".strip()


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text[:12] if len(text) >= 40 and text.isalnum() else text
