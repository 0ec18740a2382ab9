"""Cards and mixes: where they are, what a card says, and which one a name means."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from curator import languages, plain_yaml
from curator.errors import UsageError

UNCATEGORIZED = "Uncategorized"


def data_root() -> Path:
    """The folder with ``sources/`` and ``mixes/``: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    return package if (package / "sources").is_dir() else package.parent


class LanguageRule(BaseModel):
    """What a source calls a language, and how to tell its files from another's in the same place."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = Field(description="The source's own name, which stands for `{language}` in data_files and subset.")
    extensions: tuple[str, ...] = Field((), description="Take only rows whose path_column ends in one of these.")


def _language_ids(table: dict[str, Any]) -> dict[str, Any]:
    unknown = [i for i in table if languages.find(i) is None or languages.find(i).id != i]  # type: ignore[union-attr]
    if unknown:
        raise ValueError(f"not language ids: {', '.join(unknown)}")
    return table


def _language_id(name: str | None) -> str | None:
    known = languages.ids(languages.ALL)
    if name is not None and name not in known:
        near = languages.nearest(name)
        hint = f"did you mean {near!r}? " if near else ""
        raise ValueError(f"{name!r} is no language id; {hint}there are {', '.join(known)}")
    return name


class Card(BaseModel):
    """What a dataset is."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = Field(description="The card's name; the same as its file's.")
    description: str = Field("", description="What it holds, in a sentence.")
    adapter: str = Field("hub", description="Who reads the rows: hub, files, starter, or a plugin's.")
    dataset: str | None = Field(None, description="Hub id `ORG/NAME`.")
    path: str | None = Field(None, description="Local file or folder, or part of the embedded corpus.")
    subset: str | None = Field(None, description="Configuration; `{language}` stands for the name of the language there.")
    split: str | None = Field(None, description="Split; default `train`.")
    revision: str | None = Field(None, description="Branch, tag or commit; default `main`.")
    data_files: tuple[str, ...] = Field((), description="Patterns of files; `{language}` stands for the name of the language there.")
    columns: tuple[str, ...] = Field((), description="Columns that the formatter reads, in its order.")
    formatter: str | None = Field(None, description="How a row becomes a conversation.")
    formatter_params: dict[str, Any] = Field(default_factory=dict, description="Options of the formatter.")
    category: str = Field(UNCATEGORIZED, description="Category that its samples count for.")
    license: str | None = Field(None, description="SPDX id where it is known; what the hub says goes first.")
    gated: bool = Field(False, description="True where the hub asks for an account that accepted its terms.")
    evaluation: bool = Field(False, description="True for material that is used to evaluate models.")
    languages: Annotated[dict[str, str | LanguageRule], AfterValidator(_language_ids)] = Field(
        default_factory=dict, description="Languages it holds: id to the source's own name, or to a rule."
    )
    language: Annotated[str | None, AfterValidator(_language_id)] = Field(None, description="The one language of the source, by id.")
    language_column: str | None = Field(None, description="Column that holds the name of the language.")
    path_column: str | None = Field(None, description="Column that holds a file's path.")
    extensions: tuple[str, ...] = Field((), description="File extensions to take from a source tree.")
    sampling: Literal["spread", "head"] = Field("spread", description="Which rows: all over the source, or its head.")
    filters: tuple[str, ...] = Field((), description="Names of filters that may drop documents.")

    def rule(self, language: str) -> LanguageRule:
        """The rule for one of its languages."""
        found = self.languages[language]
        return LanguageRule.model_validate({"name": found}) if isinstance(found, str) else found

    @property
    def place(self) -> str:
        """The dataset or path, for a person."""
        return self.dataset or (f"{self.adapter}:{self.path}" if self.path else self.name)


@dataclass(frozen=True)
class Catalog:
    """Cards under ``sources/`` and mixes under ``mixes/`` of a list of folders; an earlier folder wins."""

    roots: tuple[Path, ...] = field(default_factory=tuple)

    @classmethod
    def find(cls, extra: Path | None = None) -> Catalog:
        """``extra``, then the folders of CURATE_CATALOG, then the packaged one."""
        named = [Path(p) for p in os.environ.get("CURATE_CATALOG", "").split(os.pathsep) if p]
        roots = ([extra] if extra else []) + named
        for root in roots:
            if not root.is_dir():
                raise UsageError(f"{root}: no such folder; a catalog is a folder with sources/ or mixes/ in it")
        return cls((*roots, data_root()))

    @cached_property
    def card_files(self) -> dict[str, Path]:
        """Card files by name."""
        return self._files("sources", skip="starter/")

    @cached_property
    def mix_files(self) -> dict[str, Path]:
        """Mix files by name."""
        return self._files("mixes")

    def _files(self, folder: str, *, skip: str | None = None) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for root in self.roots:
            base = root / folder
            for file in sorted(base.rglob("*.yaml")):
                if not (skip and file.relative_to(base).as_posix().startswith(skip)):
                    found.setdefault(file.stem, file)
        return found

    def card(self, name: str) -> Card:
        """The card of this name. Raises UsageError where there is none, or where it is not right."""
        file = self.card_files.get(name)
        if file is None:
            close = difflib.get_close_matches(name, list(self.card_files), n=1)
            hint = f"did you mean {close[0]!r}?" if close else "`curate sources` lists those there are"
            raise UsageError(f"unknown source {name!r}; {hint}")
        return read_card(file)

    def describing(self, dataset: str, *, subset: str | None, split: str | None) -> Card | None:
        """The card that describes a dataset named inline, or None."""
        for card in self._by_dataset.get(dataset.lower(), []):
            if card.split in (split, None) and card.subset in (subset, None):
                return card
        return None

    @cached_property
    def _by_dataset(self) -> dict[str, list[Card]]:
        table: dict[str, list[Card]] = {}
        for name in self.card_files:
            card = self.card(name)
            if card.dataset:
                table.setdefault(card.dataset.lower(), []).append(card)
        return table

    def mix_file(self, name: str) -> Path:
        """The file of a mix named by path or by name. Raises UsageError."""
        path = Path(name)
        if path.is_file():
            return path
        found = self.mix_files.get(path.stem if path.suffix in (".yaml", ".yml") else name) if path.parent == Path() else None
        if found is None:
            close = difflib.get_close_matches(path.stem, list(self.mix_files), n=1)
            hint = f"did you mean {close[0]!r}?" if close else "`curate mixes` lists those there are"
            raise UsageError(f"{name}: no such file, and no packaged mix of that name; {hint}")
        return found


def read_card(file: Path) -> Card:
    """Read and check one card. Raises UsageError."""
    try:
        value = plain_yaml.read(file)
        card = Card.model_validate({"name": file.stem, **value} if isinstance(value, dict) else value)
    except TypeError as error:
        raise UsageError(f"{file}: not a card: {error}") from None
    except ValidationError as error:
        lines = [f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors()]
        raise UsageError(f"{file}: " + "; ".join(lines)) from None
    if card.name != file.stem:
        raise UsageError(f"{file}: the card is named {card.name!r}; a card has the name of its file")
    return card
