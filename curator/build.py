"""The pipeline, top to bottom: a mix becomes a plan, a plan becomes a folder. Read this file first.

prepare: mix file -> Draft -> Sources -> Plan        every problem of the mix, then every problem of the sources
build:   Plan -> Pulls -> Samples -> tables -> folder
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from curator import artifact, content, coverage, lock, memory, mix, network, offline, pack, plugins, review
from curator import plan as planning
from curator import tokens as tokenizing
from curator.adapters import reading
from curator.cache import Memo
from curator.care import Care
from curator.catalog import Catalog, data_root
from curator.data import Resolved, Sample
from curator.errors import MixError, ShortfallError, SourceError
from curator.plan import Plan, Quota, Source, Stream
from curator.pull import Batch, Counts, Mark, Pull, Recording, batches
from curator.slots import Slot

if TYPE_CHECKING:
    from pathlib import Path

    from curator.against import Benchmark
    from curator.tokens import Encoder

DEFAULT_JOBS = 4
MOST_WAITING = 12  # sources that may wait for the network beside those at work; each holds memory
RESOLVERS = 16  # sources asked about at the same time: waiting, not work
LIBRARIES = ("datasets", "huggingface_hub", "tokenizers", "transformers", "pyarrow", "polars", "langdetect", "magika", "rensa", "jinja2")
Progress = Callable[[str, int, int], None]  # source, samples done, tokens done


def silent(source: str, samples: int, tokens: int, /) -> None:
    """Progress that nobody watches."""


def check(file: Path, catalog: Catalog) -> tuple[mix.Draft, list[Source]]:
    """Read a mix and check it against the cards. Raises MixError with every problem. Touches no network."""
    draft = mix.read(file)
    found = planning.sources(draft, catalog)
    if draft.problems:
        raise MixError(draft.file, draft.problems)
    return draft, found


def prepare(file: Path, catalog: Catalog, *, tokenizer: str | None = None, care: Care | None = None) -> tuple[Plan, Encoder]:
    """A plan with every source found and pinned, and the tokenizer. Raises MixError, SourceError (all sources together)."""
    draft, found = check(file, catalog)
    care = care or Care()
    care.refuse_unknown(found, mix=draft.file)
    name = tokenizer or draft.checked().tokenizer
    if name is None:
        draft.problem(("calibration_set",), "no tokenizer; add `tokenizer: ORG/NAME` (the model's own), or give --tokenizer")
        draft.checked()
    streams = [s for source in found for s in planning.streams(source, seed=draft.checked().seed)]
    if care.lock and care.frozen:
        lock.refuse_mix(care.lock, draft.file, draft.text, {s.key: s for s in streams})
    with network.spending(care.budget(f"tokenizer {name}")):
        encoder = load_tokenizer(str(name), draft, revision=care.locked_tokenizer(str(name)))
    # After the tokenizer: `datasets` looks into `transformers`, which another thread would find half imported.
    resolved, errors = resolve(streams, care)
    if isinstance(encoder, SourceError):
        errors.append(encoder)
    if errors or isinstance(encoder, SourceError):
        raise SourceError.join(errors)
    plan = planning.plan(draft, draft.checked(), found, resolved=resolved, tokenizer=asdict(encoder.identity))
    if care.lock and care.frozen:
        lock.refuse_plan(care.lock, plan, budgets=care.budget)
    return plan, encoder


def prepare_offline(file: Path, catalog: Catalog, *, tokenizer: str | None = None) -> tuple[Plan, Encoder]:
    """A plan that the embedded corpus alone can fill: the mix's shares, at the longest sample length for which every
    sample is there and no document twice. Raises MixError, SourceError, ShortfallError. Touches no network."""
    draft, asked = check(file, catalog)
    wanted = draft.checked()
    found = offline.replaced(asked, catalog)
    encoder = load_tokenizer(tokenizer or tokenizing.STARTER, draft)
    if isinstance(encoder, SourceError):
        raise encoder
    resolved, errors = resolve([s for source in found for s in planning.streams(source, seed=wanted.seed)], Care())
    if errors:
        raise SourceError.join(errors)
    tape: dict[str, Recording] = {}
    for size in offline.sizes(wanted.max_seq_length):
        plan = planning.plan(draft, offline.scaled(wanted, size), found, resolved=resolved, tokenizer=asdict(encoder.identity))
        if not short(draw(plan, encoder, tape=tape)[0]):
            return replace(plan, notes=tuple(offline.notes(asked, wanted, size)), offline=True, replaced=offline.names(asked)), encoder
    raise ShortfallError(f"the starter corpus is too small for {plan.samples} samples in these shares; ask for fewer, or build online")


def load_tokenizer(name: str, draft: mix.Draft, *, revision: str | None = None) -> Encoder | SourceError:
    """The tokenizer that a mix names, or why there is none; a relative folder is relative to the mix."""
    beside = draft.folder / name
    if revision is None and draft.mix and name == draft.mix.tokenizer:
        revision = draft.mix.tokenizer_revision
    starter = data_root() / "sources" / "starter" / "tokenizer"
    base = str(draft.folder.resolve()) if draft.mix and name == draft.mix.tokenizer else None  # the user's own may be anywhere
    try:
        named = beside.is_dir() or (beside.suffix == ".json" and beside.is_file())
        return tokenizing.load(str(beside) if named else name, revision=revision, starter=starter, base=base)
    except SourceError as error:
        return error


def resolve(streams: Sequence[Stream], care: Care) -> tuple[dict[str, Resolved], list[SourceError]]:
    """Ask the adapters what each stream is; streams of one dataset share what was learned, one after the other."""
    together: dict[str, list[Stream]] = defaultdict(list)
    for stream in streams:
        together[f"{stream.source.card.adapter}:{stream.where.dataset or stream.where.path}"].append(stream)
    budgets = [care.budget(stream.source.name) for stream in streams]  # all of them, before a thread makes one that nobody would close
    executor = ThreadPoolExecutor(RESOLVERS, thread_name_prefix="resolve")
    try:
        found = {key: outcome for group in executor.map(lambda group: _resolve_group(group, care), together.values()) for key, outcome in group}
    except BaseException:  # an interrupt too: the threads are waited for, and they wait for the network
        for budget in budgets:
            budget.close()
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
    errors = [outcome for outcome in found.values() if isinstance(outcome, SourceError)]
    return {k: v for k, v in found.items() if isinstance(v, Resolved)}, errors


def _resolve_group(streams: Sequence[Stream], care: Care) -> list[tuple[str, Resolved | SourceError]]:
    """What streams of one adapter and dataset are, or why that cannot be told."""
    memo = care.cache.memo(streams[0].source.card.adapter) if care.cache else Memo()
    outcomes: list[tuple[str, Resolved | SourceError]] = []
    for stream in streams:
        adapter, locked = plugins.load("adapters", stream.source.card.adapter), care.locked(stream)
        if locked and getattr(adapter, "PINNED", False):
            outcomes.append((stream.key, locked))
            continue
        try:
            with network.spending(care.budget(stream.source.name)):
                outcomes.append((stream.key, adapter.resolve(stream.where, memo=memo)))
        except SourceError as error:
            outcomes.append((stream.key, SourceError(f"{stream.source.name}: {error}")))
    return outcomes


@dataclass
class Filling:
    """A quota and the samples that it has so far."""

    quota: Quota
    pools: list[pack.Pool]
    samples: list[Sample] = field(default_factory=list)
    dry: bool = False

    @property
    def missing(self) -> int:
        """Samples owed and not there; 0 where all that there is was asked for."""
        return max(0, (self.quota.samples or 0) - len(self.samples))


def build(
    plan: Plan,
    encoder: Encoder,
    out: Path,
    *,
    jobs: int = DEFAULT_JOBS,
    allow_short: bool = False,
    force: bool = False,
    against: Sequence[Benchmark] = (),
    progress: Progress = silent,
    care: Care | None = None,
) -> dict[str, Any]:
    """Write the build folder of a plan and return its manifest; ``against`` are benchmarks whose overlap is reported.
    Raises SourceError, ShortfallError, UsageError."""
    started = time.monotonic()
    artifact.refuse_target(out, force=force)
    fillings, counts = draw(plan, encoder, jobs=jobs, progress=progress, care=care)
    refuse_short(plan, fillings, allow_short=allow_short)
    samples = arrange(plan, fillings)
    facts = describe(plan, fillings, samples, counts)
    del fillings  # and with them all documents that found no place
    memory.give_back()
    contents = measurable(samples, encoder, facts, jobs=jobs)
    tables = contents.tables(against=against)
    refuse_gates(tables["gates"], allow_short=allow_short)
    with artifact.new_folder(out, force=force) as folder:
        artifact.write_data(folder, samples)
        artifact.write_frame(folder / "samples.parquet", contents.samples)
        artifact.write_frame(folder / "documents.parquet", contents.documents)
        write_quarantine(folder / "quarantine.jsonl", counts)
        review.write(folder, contents, tables)
        manifest: dict[str, Any] = {
            **contents.facts,
            "files": artifact.file_table(folder),
            "versions": versions(),
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - started, 3),
        }
        artifact.write_json(folder / artifact.MANIFEST, manifest)
    return manifest


def draw(
    plan: Plan,
    encoder: Encoder,
    *,
    jobs: int = DEFAULT_JOBS,
    progress: Progress = silent,
    tape: dict[str, Recording] | None = None,
    care: Care | None = None,
) -> tuple[list[Filling], dict[str, Counts]]:
    """All samples of a plan by quota, and what became of the rows of each stream. Raises SourceError for all sources together.
    With a ``tape``, what one call pulled the next one takes from there."""
    with pulling(plan, encoder, jobs, tape, care or Care()) as pulls:
        fillings = list(fill(plan, pulls, progress))
        fail_together(pulls)
        pass_on(plan, fillings, progress)
        fail_together(pulls)
        return fillings, {key: pull.counts for key, pull in pulls.items()}


@contextmanager
def pulling(plan: Plan, encoder: Encoder, jobs: int, tape: dict[str, Recording] | None, care: Care) -> Iterator[dict[str, Pull]]:
    """A pull for each stream of the plan, ``jobs`` of them at work at the same time, and some more waiting."""
    workers = jobs + min(len(plan.streams), MOST_WAITING)
    reading.let_wait(workers)
    executor, free = ThreadPoolExecutor(workers, thread_name_prefix="pull"), threading.Semaphore(jobs)
    expected: Counter[str] = Counter()
    for quota in plan.quotas:
        for key in quota.streams:
            expected[key] += plan.mix.max_seq_length * (quota.samples if quota.samples is not None else 1000) // len(quota.streams)

    def making(key: str, stream: Stream) -> Iterator[Batch]:
        resolved = plan.resolved[key]

        def made(after: Mark) -> Iterator[Batch]:
            return batches(stream, resolved, encoder=encoder, after=after)

        if tape is not None:
            return tape.setdefault(key, Recording(made(Mark()))).replay()
        return care.cache.entry(stream, resolved, encoder.identity).batches(made) if care.cache else made(Mark())

    def pull(key: str, stream: Stream) -> Pull:
        slot, budget = Slot(free), care.budget(stream.source.name)
        return Pull(stream, making(key, stream), executor=executor, slot=slot, expected=expected[key], budget=budget)

    pulls = {key: pull(key, stream) for key, stream in plan.streams.items()}
    try:
        yield pulls
    finally:
        for each in pulls.values():
            each.close()
        executor.shutdown(wait=True, cancel_futures=True)


def fill(plan: Plan, pulls: Mapping[str, Pull], progress: Progress) -> Iterator[Filling]:
    """Fill every quota in the order of the mix, from its own streams. The workers do not wait for that order: a source that is
    slow holds up nobody else's."""
    seen: set[bytes] = set()
    pools = {k: pack.Pool(pull.documents(seen), pull.stream.language, reserve=plan.mix.max_seq_length) for k, pull in pulls.items()}
    for key in dict.fromkeys(k for q in plan.quotas if q.samples != 0 for k in q.streams):
        pulls[key].start()
    for quota in plan.quotas:
        filling = Filling(quota, [pools[k] for k in quota.streams])
        top_up(plan, filling, quota.samples, progress)
        yield filling


def top_up(plan: Plan, filling: Filling, most: int | None, progress: Progress) -> int:
    """Add up to ``most`` samples (None: all that there are) and return how many came."""
    make = pack.fill if plan.mix.packing == "fill" else pack.truncate
    source, came = filling.quota.source, 0
    while not filling.dry and (most is None or came < most):
        sample = make(filling.pools, size=plan.mix.max_seq_length, source=shown(source), category=source.card.category)
        if sample is None:
            filling.dry = True
            break
        filling.samples.append(sample)
        came += 1
        progress(shown(source), 1, len(sample))
    return came


def pass_on(plan: Plan, fillings: Sequence[Filling], progress: Progress) -> None:
    """What a dry source leaves open passes to its fallback, language by language, and then to its category by share."""
    for filling in fillings:
        for other in fillings:
            if filling.missing and other.quota.source.stands_in_for == filling.quota.source.name and serves(other, filling):
                filling.quota = owing(filling.quota, less=top_up(plan, other, filling.missing, progress))
    for category in dict.fromkeys(f.quota.category for f in fillings):
        within = [f for f in fillings if f.quota.category == category]
        while missing := sum(f.missing for f in within):
            able = [f for f in within if not f.dry and f.quota.samples] or [f for f in within if not f.dry]
            if not able:
                break
            given = pack.shares(missing, [f.quota.samples or 1 for f in able])
            came = sum(top_up(plan, f, share, progress) for f, share in zip(able, given, strict=True))
            forgive(within, came)


def serves(other: Filling, filling: Filling) -> bool:
    """Whether a fallback has the language that is missing."""
    return other.quota.language == filling.quota.language or filling.quota.language is None


def owing(quota: Quota, *, less: int) -> Quota:
    """The quota with ``less`` samples fewer, because another source gave them."""
    return Quota(quota.source, quota.streams, (quota.samples or 0) - less)


def forgive(fillings: Sequence[Filling], count: int) -> None:
    """Take ``count`` samples, which others gave, off what is owed."""
    for filling in fillings:
        less = min(count, filling.missing)
        if less:
            filling.quota = owing(filling.quota, less=less)
            count -= less


def fail_together(pulls: Mapping[str, Pull]) -> None:
    """Raise the errors of all streams as one."""
    errors = [pull.error for pull in pulls.values() if pull.error is not None]
    if errors:
        raise SourceError.join(errors)


def shown(source: Source) -> str:
    """The name of a source in the tables: its card's, however often the card is used."""
    return source.card.name


def short(fillings: Sequence[Filling]) -> dict[str, int]:
    """Samples missing by category, after all passing on."""
    missing: Counter[str] = Counter()
    for filling in fillings:
        missing[filling.quota.category] += filling.missing
    return {category: count for category, count in missing.items() if count}


def refuse_short(plan: Plan, fillings: Sequence[Filling], *, allow_short: bool) -> None:
    """Raise ShortfallError where a category could not be filled."""
    lines = [f"* {category}: {count} of {owed_by_category(plan)[category]} samples missing" for category, count in short(fillings).items()]
    if lines and not allow_short:
        raise ShortfallError("the sources ran dry:\n" + "\n".join(lines) + "\nadd sources, ask for fewer samples, or accept it with --allow-short")
    if not any(f.samples for f in fillings):
        raise ShortfallError("no source gave a single sample; look at the columns and filters, or lower max_seq_length")


def refuse_gates(gates: coverage.Table, *, allow_short: bool) -> None:
    """Raise ShortfallError where a gate of ``require`` is not met."""
    lines = coverage.failing(gates)
    if lines and not allow_short:
        raise ShortfallError(
            "gates of the mix are not met:\n" + "\n".join(f"* {line}" for line in lines) + "\nchange the shares, or accept it with --allow-short"
        )


def owed_by_category(plan: Plan) -> Counter[str]:
    """Samples that the mix asks for, by category."""
    owed: Counter[str] = Counter()
    for quota in plan.quotas:
        owed[quota.category] += quota.samples or 0
    return owed


def required(plan: Plan) -> dict[str, dict[str, int]]:
    """The gates: every category has its samples, every language that ``require`` names its tokens."""
    samples = {category: count for category, count in owed_by_category(plan).items() if count}
    return {"by_category": samples, **planning.language_gates(plan.mix.require)}


def arrange(plan: Plan, fillings: Sequence[Filling]) -> list[Sample]:
    """All samples, in the order of the mix or shuffled by its seed."""
    samples = [s for f in fillings for s in f.samples]
    if plan.mix.shuffle:
        random.Random(f"{plan.mix.seed}:samples:shuffle").shuffle(samples)
    return samples


def measurable(samples: Sequence[Sample], encoder: Encoder, facts: dict[str, Any], *, jobs: int) -> review.Contents:
    """The samples as a reviewer sees them: what was placed, read and recognised."""
    documents, ids = artifact.documents_frame(samples, read(samples, encoder, jobs=jobs)), artifact.flat_ids(samples)
    return review.Contents(documents, artifact.samples_frame(samples), ids, encoder.vocabulary(ids), facts | {"special_tokens": encoder.special_tokens()})


def read(samples: Sequence[Sample], encoder: Encoder, *, jobs: int) -> Iterator[artifact.Placed]:
    """Every placed document as it reads, in order."""
    pieces = [p for s in samples for p in s.pieces]
    recognised = content.detected([p.tokens.document for p in pieces], jobs=jobs)
    for piece, language in zip(pieces, recognised, strict=True):
        tokens = piece.tokens
        text = encoder.text_of(tokens.ids[: piece.length]) if piece.cut else tokens.text
        turns = content.runs(content.turns(tokens.document, tokens.text), encoder.starts(tokens), tokens=piece.length, chars=len(text))
        yield artifact.Placed(text, turns, language)


def describe(plan: Plan, fillings: Sequence[Filling], samples: Sequence[Sample], counts: Mapping[str, Counts]) -> dict[str, Any]:
    """The manifest, but for files, versions and times: nothing in it depends on the machine or the moment."""
    pieces = [p for s in samples for p in s.pieces]
    missing = short(fillings)
    return {
        "format": artifact.FORMAT,
        "mix": {"name": plan.name, "sha256": hashlib.sha256(plan.text.encode()).hexdigest(), "text": plan.text},
        "fingerprint": plan.fingerprint,
        "tokenizer": dict(plan.tokenizer),
        "samples": len(samples),
        "max_seq_length": plan.mix.max_seq_length,
        "tokens": sum(map(len, samples)),
        "padding_tokens": 0,
        "required": required(plan),
        "documents": len(pieces),
        "documents_cut": sum(1 for p in pieces if p.cut),
        "tokens_cut": sum(p.cut for p in pieces),
        "sources": [_describe_source(plan, name, fillings, counts) for name in dict.fromkeys(shown(f.quota.source) for f in fillings)],
        "short": missing,
        "notes": [*plan.notes, *(f"{category}: {count} samples fewer than the mix asks for; the sources ran dry" for category, count in missing.items())],
        "offline": plan.offline,
        "replaced": list(plan.replaced),
    }


def _describe_source(plan: Plan, name: str, fillings: Sequence[Filling], counts: Mapping[str, Counts]) -> dict[str, Any]:
    own = [s for s in plan.streams.values() if shown(s.source) == name]
    samples = [s for f in fillings if shown(f.quota.source) == name for s in f.samples]
    owed = [q.samples for q in plan.quotas if shown(q.source) == name]
    total = Counts()
    for stream in own:
        total.add(counts[stream.key])
    first, card = plan.resolved[own[0].key], own[0].source.card
    return {
        "source": name,
        "dataset": card.place,
        "revision": first.revision,
        "license": first.license or card.license,
        "category": card.category,
        "evaluation": card.evaluation,
        "planned_samples": None if None in owed else sum(n for n in owed if n),
        "samples": len(samples),
        "documents": sum(len(s.pieces) for s in samples),
        "tokens": sum(map(len, samples)),
        "rows_read": total.rows_read,
        "bytes_read": total.bytes_read,
        "documents_made": total.kept,
        "dropped": dict(sorted(total.dropped.items())),
        "repairs": dict(sorted(total.repairs.items())),
    }


def write_quarantine(file: Path, counts: Mapping[str, Counts]) -> None:
    """Every dropped row with its reason, in the order of the plan."""
    with file.open("w", encoding="utf-8", errors="backslashreplace") as stream:
        for entry in (e for c in counts.values() for e in c.quarantine):
            stream.write(json.dumps(entry, ensure_ascii=False) + "\n")


def versions() -> dict[str, str]:
    """What ran: for the manifest, and for a crash file."""
    found = {"python": platform.python_version(), "platform": platform.system().lower()}
    for name in ("curate-calibration", *LIBRARIES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def default_jobs() -> int:
    """Workers, when nobody says how many."""
    return max(2, min(8, os.cpu_count() or DEFAULT_JOBS))
