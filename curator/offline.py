"""Any mix without a network: every source is served by documents of the embedded corpus, in the mix's own shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from curator import languages
from curator.catalog import Card, Catalog
from curator.mix import LanguageGate, Mix, Require
from curator.plan import Source

LEAST_SIZE = 64  # tokens; below that a sample says nothing
CODE, TEXT = "starter_code", "starter_text"
TALK = {"name": "starter_talk", "adapter": "starter", "path": "domains", "formatter": "conversation", "license": "CC0-1.0"}


def replaced(sources: Sequence[Source], catalog: Catalog) -> list[Source]:
    """The sources that stand in, category by category: the same languages, and conversations for all else. What is short
    of conversations falls back on the corpus' programs and texts; no document is shown twice, whatever it stands in for."""
    talk = _talk(catalog)
    found: list[Source] = []
    names: Counter[str] = Counter()
    for category in dict.fromkeys(s.card.category for s in sources):
        within = [s for s in sources if s.card.category == category and not s.stands_in_for]
        for source in [*_spoken(within, catalog), *_others(within, category, talk, catalog)]:
            names[source.name] += 1
            again = f"#{names[source.name]}" if names[source.name] > 1 else ""
            found.append(Source(source.name + again, source.card, source.samples, source.languages, stands_in_for=source.stands_in_for))
    return found


def names(sources: Sequence[Source]) -> tuple[str, ...]:
    """The sources of a mix that the corpus stands in for."""
    return tuple(s.name for s in sources if s.card.adapter != "starter" and not s.stands_in_for)


def notes(sources: Sequence[Source], mix: Mix, size: int) -> list[str]:
    """What a reader must know of an offline set."""
    lines = []
    if names(sources):
        lines.append(f"offline: the embedded starter corpus stands in for {len(names(sources))} sources of the mix")
    if size < mix.max_seq_length:
        lines.append(f"offline: samples have {size:,} tokens, not the {mix.max_seq_length:,} that the mix asks for; the gates are scaled alike")
    return lines


def sizes(largest: int) -> Iterator[int]:
    """Sample lengths to try: the mix's own, then powers of two below it."""
    yield largest
    size = 1 << (largest - 1).bit_length() - 1
    while size >= LEAST_SIZE:
        yield size
        size //= 2


def scaled(mix: Mix, size: int) -> Mix:
    """The mix with samples of ``size`` tokens, and gates that ask for as much less."""

    def smaller(gate: LanguageGate | None) -> LanguageGate | None:
        return gate and gate.model_copy(update={"min_tokens": max(1, gate.min_tokens * size // mix.max_seq_length)})

    require = Require(
        programming_languages=smaller(mix.require.programming_languages),
        natural_languages=smaller(mix.require.natural_languages),
    )
    return mix.model_copy(update={"max_seq_length": size, "require": require})


def _talk(catalog: Catalog) -> dict[str, Card]:
    """The cards of the corpus' conversations, by category."""
    cards = [catalog.card(n) for n in catalog.card_files if n.startswith("starter_") and n not in (CODE, TEXT)]
    return {c.category: c for c in cards if c.adapter == "starter"}


def _spoken(within: Sequence[Source], catalog: Catalog) -> Iterator[Source]:
    """For the sources that are split by language: the corpus' own programs and texts, split over the same languages."""
    for kind, name in (("programming", CODE), ("natural", TEXT)):
        split = [s for s in within if s.languages and languages.get(s.languages[0]).kind == kind]
        for source in split:
            card = catalog.card(name).model_copy(update={"category": source.card.category})
            yield Source(name, card, source.samples, tuple(i for i in source.languages if i in card.languages))


def _others(within: Sequence[Source], category: str, talk: dict[str, Card], catalog: Catalog) -> Iterator[Source]:
    """For all else: conversations of the category (of any, for a category that the corpus does not know), then programs or texts."""
    rest = [s for s in within if not s.languages]
    if not rest:
        return
    counted = [s.samples for s in rest]
    samples = None if None in counted else sum(n for n in counted if n)
    card = talk.get(category) or Card.model_validate(TALK)
    main = Source(card.name, card.model_copy(update={"category": category}), samples)
    yield main
    for name in (CODE, TEXT) if any(languages.get(i).kind == "programming" for s in within for i in s.languages) else (TEXT, CODE):
        spare = catalog.card(name).model_copy(update={"category": category, "languages": {}})
        yield Source(f"{name}+{main.name}", spare, 0, (), stands_in_for=main.name)
