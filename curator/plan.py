"""Mix and cards to a plan: samples and tokens owed by each source in each language, seeds, and one fingerprint. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator import languages, plugins, templates
from curator.catalog import Card, Catalog
from curator.data import Resolved, Sampling, Where
from curator.errors import SourceError, UsageError
from curator.mix import Draft, Entry, LanguageGate, Mix, Require, position_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from curator.formatters import Formatter

FORMAT = 3  # of what a fingerprint covers; it grows when the same plan would give other bytes
HUB_ID = re.compile(r"^[\w.-]+(/[\w.-]+)?$")
OVERRIDES = ("adapter", "subset", "split", "revision", "formatter", "category", "license", "evaluation", "sampling")
LISTS = ("columns", "extensions", "filters")


@dataclass(frozen=True, slots=True)
class Source:
    """One entry of a mix, with its card: what is asked of whom."""

    name: str
    card: Card
    samples: int | None  # None is all that there is
    languages: tuple[str, ...] = ()
    base: str = ""
    stands_in_for: str | None = None  # the source that this one is the fallback of


@dataclass(frozen=True, slots=True)
class Stream:
    """What is pulled as one: a source in one language. ``seed`` feeds every random choice in it."""

    key: str
    source: Source
    where: Where
    language: str | None
    seed: str

    @property
    def sampling(self) -> Sampling:
        """Which rows are taken."""
        return self.source.card.sampling


@dataclass(frozen=True, slots=True)
class Quota:
    """Samples owed by a source, drawn from one stream, or from several where a sample mixes languages."""

    source: Source
    streams: tuple[str, ...]
    samples: int | None

    @property
    def category(self) -> str:
        """The category that the samples count for."""
        return self.source.card.category

    @property
    def language(self) -> str | None:
        """The language, where there is one for all samples of this quota."""
        return self.streams[0].partition("/")[2] or None if len(self.streams) == 1 else None


@dataclass(frozen=True, slots=True)
class Plan:
    """A mix with everything decided that can be decided without a row."""

    name: str
    text: str
    mix: Mix
    streams: Mapping[str, Stream]
    quotas: tuple[Quota, ...]
    resolved: Mapping[str, Resolved]
    tokenizer: Mapping[str, Any]
    fingerprint: str
    notes: tuple[str, ...] = ()
    offline: bool = False
    replaced: tuple[str, ...] = ()  # sources of the mix that the embedded corpus stands in for

    @property
    def samples(self) -> int | None:
        """Samples owed in all; None where a source gives all that it has."""
        owed = [q.samples for q in self.quotas]
        return None if None in owed else sum(s for s in owed if s)


def sources(draft: Draft, catalog: Catalog) -> list[Source]:
    """The sources of a mix. Whatever is wrong with an entry becomes a problem of the draft."""
    found: list[Source] = []
    taken: Counter[str] = Counter()
    for index, entry in draft.entries:
        card = _card(draft, index, entry, catalog)
        if card is None:
            continue
        _check(draft, index, card)
        taken[card.name] += 1
        name = card.name if taken[card.name] == 1 else f"{card.name}#{taken[card.name]}"
        spoken = _languages(draft, index, entry, card)
        samples = None if entry.num_samples == "all" else entry.num_samples
        source = Source(name, card, samples, spoken, str(draft.folder))
        found.append(source)
        if entry.fallback is not None:
            found.extend(_fallback(draft, index, entry.fallback, source, catalog))
    _check_sum(draft)
    _check_gates(draft, found)
    return found


def streams(source: Source, *, seed: int) -> Iterator[Stream]:
    """The streams of a source: one for each language, or one."""
    for language in source.languages or (None,):
        key = f"{source.name}/{language}" if language else source.name
        yield Stream(key, source, _where(source, language), language or source.card.language, f"{seed}:{key}:rows")


def quotas(source: Source) -> Iterator[Quota]:
    """Whole samples split evenly over the languages; what cannot be split evenly goes to samples that mix all of them."""
    keys = [f"{source.name}/{language}" for language in source.languages] or [source.name]
    if source.samples is None or source.stands_in_for or len(keys) == 1:
        yield from (Quota(source, (key,), source.samples) for key in keys)
        return
    each, rest = divmod(source.samples, len(keys))
    if each:
        yield from (Quota(source, (key,), each) for key in keys)
    if rest:
        yield Quota(source, tuple(keys), rest)


def plan(draft: Draft, mix: Mix, found: Sequence[Source], *, resolved: Mapping[str, Resolved], tokenizer: Mapping[str, Any]) -> Plan:
    """Everything together: ``mix`` is the draft's own, or made smaller. Raises SourceError for files whose names are no text."""
    _check_names(resolved)
    every = {s.key: s for source in found for s in streams(source, seed=mix.seed)}
    owed = tuple(q for source in found for q in quotas(source))
    fingerprint = _digest(mix, every, owed, resolved, tokenizer)
    return Plan(Path(draft.file).name, draft.text, mix, every, owed, resolved, tokenizer, fingerprint)


def _check_names(resolved: Mapping[str, Resolved]) -> None:
    """A name that is not UTF-8 can stand in no manifest and no lock."""
    errors = []
    for key, found in resolved.items():
        bad = [ascii(name) for name in found.files if not _is_text(name)]
        if bad:
            more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
            errors.append(SourceError(f"{key}: names of files that are not UTF-8: {', '.join(bad[:5])}{more}; rename them, or leave them out"))
    if errors:
        raise SourceError.join(errors)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _digest(mix: Mix, every: Mapping[str, Stream], owed: Sequence[Quota], resolved: Mapping[str, Resolved], tokenizer: Mapping[str, Any]) -> str:
    """SHA-256 of all that decides the bytes of a build, and of nothing else: no absolute path, no clock."""
    facts = {
        "format": FORMAT,
        "mix": mix.model_dump(mode="json", exclude={"datasets", "templates", "tokenizer"}),
        "tokenizer": {k: tokenizer[k] for k in ("sha256", "chat_template_sha256") if k in tokenizer},
        "streams": [{"key": s.key} | shaping(s, resolved.get(s.key)) for s in every.values()],
        "quotas": [[q.source.name, q.streams, q.samples, q.category, q.source.stands_in_for] for q in owed],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()


def language_gates(require: Require) -> dict[str, dict[str, int]]:
    """{table: {language: least tokens}} of the gates on languages."""
    kinds: tuple[languages.Kind, languages.Kind] = ("programming", "natural")
    gates = zip(kinds, (require.programming_languages, require.natural_languages), strict=True)
    return {f"{kind}_languages": dict.fromkeys(gate_languages(gate, kind), gate.min_tokens) for kind, gate in gates if gate is not None}


def shaping(stream: Stream, resolved: Resolved | None) -> dict[str, Any]:
    """All that decides the documents of a stream before a tokenizer sees them, and nothing else."""
    card = stream.source.card
    return {
        "seed": stream.seed,
        "language": stream.language,
        "sampling": stream.sampling,
        "where": asdict(replace(stream.where, base="", revision=None)),
        "formatter": [card.formatter, card.formatter_params],
        "columns": card.columns,
        "filters": card.filters,
        "plugins": [
            plugins.origin("adapters", card.adapter),
            plugins.origin("formatters", card.formatter or ""),
            *(plugins.origin("filters", name) for name in card.filters),
        ],
        "revision": resolved.revision if resolved else None,
        "files": resolved.files if resolved else (),
    }


def gate_languages(gate: LanguageGate, kind: languages.Kind) -> list[str]:
    """The ids that a gate asks for."""
    return languages.ids(languages.of_kind(kind)) if gate.languages == "all" else list(gate.languages)


def instruction(card: Card) -> templates.Instruction | None:
    """The compiled ``prefix`` of a card, or None. Raises BadTemplate."""
    text = card.formatter_params.get("prefix")
    return templates.compile(str(text)) if text else None


def _where(source: Source, language: str | None) -> Where:
    card = source.card
    rule = card.rule(language) if language and language in card.languages else None

    def named(text: str | None) -> str | None:
        return text.replace("{language}", rule.name) if text and rule else text

    function: Formatter = plugins.load("formatters", card.formatter or "")
    prefix = instruction(card)
    columns = [*card.columns, *function.also, *(prefix.columns if prefix else ())]
    if card.language_column and rule:
        columns.append(card.language_column)
    if card.path_column and rule and rule.extensions:
        columns.append(card.path_column)
    return Where(
        dataset=card.dataset,
        path=card.path,
        base=source.base,
        subset=named(card.subset),
        split=card.split,
        revision=card.revision,
        data_files=tuple(named(p) or p for p in card.data_files),
        columns=tuple(dict.fromkeys(columns)),
        language=language,
        language_column=card.language_column if rule else None,
        language_values=(rule.name,) if rule else (),
        path_column=card.path_column if rule and rule.extensions else None,
        extensions=tuple(e.lower() for e in rule.extensions) if rule and rule.extensions else card.extensions,
    )


def _card(draft: Draft, index: int, entry: Entry, catalog: Catalog) -> Card | None:
    """The card that an entry names or describes, with the entry's own words put over it."""
    try:
        if entry.source is not None:
            card = catalog.card(entry.source)
        else:
            known = catalog.describing(entry.dataset, subset=entry.subset, split=entry.split) if entry.dataset else None
            card = _inline(entry, known, draft.folder)
    except UsageError as error:
        draft.problem(position_of(index, "source"), str(error))
        return None
    changes: dict[str, Any] = {k: v for k in OVERRIDES if (v := getattr(entry, k)) is not None}
    changes |= {k: tuple(v) for k in LISTS if (v := getattr(entry, k)) is not None}
    if entry.data_files is not None:
        changes["data_files"] = (entry.data_files,) if isinstance(entry.data_files, str) else tuple(entry.data_files)
    if entry.formatter_params is not None:
        changes["formatter_params"] = entry.formatter_params
    if entry.name:
        changes["name"] = entry.name
    return card.model_copy(update=changes)


def _inline(entry: Entry, known: Card | None, folder: Path) -> Card:
    """A card from an inline entry: what a packaged card knows about the dataset (category, licence) holds here too."""
    facts = {k: getattr(known, k) for k in ("name", "category", "license", "evaluation", "gated")} if known else {}
    base: dict[str, Any]
    if entry.dataset:
        base = {"name": re.sub(r"\W+", "_", entry.dataset.rsplit("/", 1)[-1]), "adapter": "hub", "dataset": entry.dataset}
    else:
        stem = (folder / (entry.path or "")).resolve().name
        base = {"name": re.sub(r"\W+", "_", stem) or "files", "adapter": "files", "path": entry.path, "formatter": "code_file", "columns": ("text", "path")}
    return Card.model_validate(base | facts)


def _check(draft: Draft, index: int, card: Card) -> None:
    """Names, numbers and templates of one entry."""
    if card.dataset is not None and not HUB_ID.match(card.dataset):
        draft.problem(position_of(index, "dataset"), f"{card.dataset!r} is no hub id; write ORG/NAME")
    for group, key, names in (("adapters", "adapter", [card.adapter]), ("filters", "filters", card.filters)):
        for name in names:
            _check_plugin(draft, index, group, key, name)
    if card.formatter is None:
        draft.problem(position_of(index), f"no formatter; add `formatter:` with one of {', '.join(plugins.names('formatters'))}")
    elif _check_plugin(draft, index, "formatters", "formatter", card.formatter):
        _check_formatter(draft, index, card)


def _check_plugin(draft: Draft, index: int, group: Any, key: str, name: str) -> bool:
    try:
        plugins.load(group, name)
    except plugins.UnknownPlugin as error:
        draft.problem(position_of(index, key), str(error))
        return False
    return True


def _check_formatter(draft: Draft, index: int, card: Card) -> None:
    function: Formatter = plugins.load("formatters", card.formatter or "")
    least, most = function.arity
    if not least <= len(card.columns) <= most:
        wanted = f"{least}" if least == most else f"{least} to {most}"
        has = f"{len(card.columns)} ({', '.join(card.columns)})" if card.columns else "none"
        draft.problem(position_of(index, "columns"), f"formatter {card.formatter!r} reads {wanted} column(s), the entry names {has}")
    for key in card.formatter_params:
        if key not in function.params:
            known = ", ".join(sorted(function.params)) or "none"
            draft.problem(position_of(index, "formatter_params", key), f"formatter {card.formatter!r} has no parameter {key!r}; it has {known}")
    try:
        instruction(card)
    except templates.BadTemplate as error:
        draft.problem(position_of(index, "formatter_params", "prefix"), f"bad template: {error}")


def _languages(draft: Draft, index: int, entry: Entry, card: Card) -> tuple[str, ...]:
    """The languages that an entry is split over, in their usual order."""
    if entry.languages is None:
        return ()
    offered = list(card.languages) or (languages.ids(languages.PROGRAMMING) if card.adapter == "files" else [])
    if not offered:
        draft.problem(position_of(index, "languages"), f"source {card.name!r} is not told apart by language; leave `languages` out")
        return ()
    usual = [i for i in languages.ids(languages.ALL) if i in offered]
    if entry.languages == "all":
        return tuple(usual)
    for language in entry.languages:
        if language not in offered:
            draft.problem(position_of(index, "languages"), f"source {card.name!r} has no {language!r}; it has {', '.join(usual)}")
    return tuple(i for i in usual if i in entry.languages)


def _fallback(draft: Draft, index: int, name: str, source: Source, catalog: Catalog) -> Iterator[Source]:
    """The source that serves what this one cannot: the same languages, the same category, no samples of its own."""
    try:
        card = catalog.card(name)
    except UsageError as error:
        draft.problem(position_of(index, "fallback"), str(error))
        return
    spoken = tuple(i for i in source.languages if i in card.languages)
    if source.languages and not spoken:
        draft.problem(position_of(index, "fallback"), f"source {name!r} has none of the languages of {source.name!r}")
        return
    card = card.model_copy(update={"category": source.card.category})
    yield Source(f"{name}+{source.name}", card, 0, spoken, source.base, stands_in_for=source.name)


def _check_sum(draft: Draft) -> None:
    if draft.mix is None or draft.mix.num_samples is None:
        return
    given = [e.num_samples for _, e in draft.entries]
    if "all" in given:
        return
    total = sum(n for n in given if isinstance(n, int))
    if total != draft.mix.num_samples:
        draft.problem(("calibration_set", "num_samples"), f"num_samples is {draft.mix.num_samples}, the entries add up to {total}; change one of them")


def _check_gates(draft: Draft, found: Sequence[Source]) -> None:
    """A gate for a language that no source has cannot be met."""
    if draft.mix is None or draft.problems or any(s.card.adapter == "files" and not s.languages for s in found):
        return
    offered = {i for s in found for i in s.languages} | {s.card.language for s in found}
    require = draft.mix.require
    gates: dict[languages.Kind, LanguageGate | None] = {"programming": require.programming_languages, "natural": require.natural_languages}
    for kind, gate in gates.items():
        absent = [i for i in gate_languages(gate, kind) if i not in offered] if gate else []
        if absent:
            few = ", ".join(absent[:8]) + (f" and {len(absent) - 8} more" if len(absent) > 8 else "")
            draft.problem(("calibration_set", "require", f"{kind}_languages"), f"no source of the mix has {few}; add one with `languages`, or ask for fewer")
