"""The mix: YAML in; a frozen model out, or every problem of the file at once, each at its line and column."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from curator import languages, plain_yaml
from curator.errors import MixError, Problem

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

ACCESS_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{30,}\b")
Path_ = tuple[str | int, ...]
Position = tuple[int, int]


def _known_language(name: str) -> str:
    found = languages.find(name)
    if found is None:
        hint = languages.nearest(name)
        raise ValueError(f"unknown language {name!r}" + (f"; did you mean {hint!r}?" if hint else ""))
    return found.id


LanguageId = Annotated[str, AfterValidator(_known_language)]
Languages = Literal["all"] | list[LanguageId]


class Model(BaseModel):
    """What every YAML model here shares: nothing unknown, nothing changed after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


M = TypeVar("M", bound=Model)


class LanguageGate(Model):
    """A gate on what a build holds: each of these languages has at least this many tokens."""

    languages: Languages = Field("all", description="`all`, or a list of language ids or names.")
    min_tokens: int = Field(ge=1, description="Tokens that each of them must have among the placed documents.")


class Require(Model):
    """Gates on what was really emitted, checked at the end of a build and by `curate check`."""

    programming_languages: LanguageGate | None = Field(None, description="Tokens of code in each of these languages.")
    natural_languages: LanguageGate | None = Field(None, description="Tokens of text in each of these languages.")

    @model_validator(mode="after")
    def _kinds(self) -> Require:
        for kind, gate in (("programming", self.programming_languages), ("natural", self.natural_languages)):
            wrong = [i for i in (gate.languages if gate and gate.languages != "all" else []) if languages.get(i).kind != kind]
            if wrong:
                raise ValueError(f"{', '.join(wrong)}: not a {kind} language")
        return self


class Entry(Model):
    """One line of `datasets`: a card by name (`source`), or everything inline (`dataset` or `path`)."""

    source: str | None = Field(None, description="Name of a card; `curate sources` lists them.")
    dataset: str | None = Field(None, description="Hub id `ORG/NAME`, for an inline entry.")
    path: str | None = Field(None, description="Local file or folder (relative to the mix), for an inline entry with `adapter: files`.")
    num_samples: int | Literal["all"] = Field(description="Samples of `max_seq_length` tokens that the entry owes, or `all`.")
    name: str | None = Field(None, description="Name in the reports; default: the card's, or the last part of `dataset`.")
    adapter: str | None = Field(None, description="Who reads the rows: hub, files, starter, or a plugin's.")
    subset: str | None = Field(None, description="Configuration of the dataset.")
    split: str | None = Field(None, description="Split of the dataset.")
    revision: str | None = Field(None, description="Branch, tag or commit.")
    data_files: str | list[str] | None = Field(None, description="Patterns of files in the dataset; `{language}` is the card's name of the language.")
    columns: list[str] | None = Field(None, description="Columns that the formatter reads.")
    formatter: str | None = Field(None, description="How a row becomes a conversation.")
    formatter_params: dict[str, Any] | None = Field(None, description="Options of the formatter; `prefix` is text or a sandboxed Jinja template over `row`.")
    languages: Languages | None = Field(None, description="`all` languages of the card or some of them; the samples are split evenly over them.")
    category: str | None = Field(None, description="Category that the samples count for.")
    license: str | None = Field(None, description="SPDX id, where the source itself does not say.")
    evaluation: bool | None = Field(None, description="True for material that is used to evaluate models.")
    extensions: list[str] | None = Field(None, description="File extensions to take from a source tree.")
    sampling: Literal["spread", "head"] | None = Field(None, description="`spread` (default): a seeded choice over the whole source; `head`: its first rows.")
    filters: list[str] | None = Field(None, description="Names of filters that may drop documents.")
    fallback: str | None = Field(None, description="Card that serves a language, or the whole entry, when this source runs dry.")
    streaming: bool | None = Field(None, description="Accepted and ignored: sources are always streamed.")

    @model_validator(mode="after")
    def _one_origin(self) -> Entry:
        given = [k for k in ("source", "dataset", "path") if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(f"an entry needs exactly one of source, dataset or path; it has {', '.join(given) or 'none'}")
        if isinstance(self.num_samples, int) and self.num_samples < 1:
            raise ValueError(f"num_samples must be at least 1, not {self.num_samples}; leave the entry out instead")
        return self


class Mix(Model):
    """What was asked: the value of the root key `calibration_set`."""

    max_seq_length: int = Field(ge=16, le=1 << 20, description="Tokens in a sample.")
    num_samples: int | None = Field(None, ge=1, description="Checked against the sum of the entries.")
    packing: Literal["fill", "truncate"] = Field("fill", description="`fill`: samples of exactly max_seq_length; `truncate`: one document a sample, cut.")
    tokenizer: str | None = Field(None, description="Hub id or local folder of the tokenizer; `starter` is the packaged one.")
    tokenizer_revision: str | None = Field(None, description="Branch, tag or commit of the tokenizer.")
    shuffle: bool = Field(True, description="Whether samples of different sources are mixed.")
    seed: int = Field(42, ge=0, description="Feeds every random choice: which rows, and the order of the samples.")
    require: Require = Field(
        default_factory=lambda: Require.model_validate({}), description="Gates on what was really emitted; a build that misses one ends with code 4."
    )
    datasets: list[Entry] = Field(min_length=1, description="What to take, in order: cards by name, or everything inline.")
    templates: Any = Field(None, alias="_templates", description="Ignored: a place for YAML anchors.")


@dataclass
class Draft:
    """A mix as far as it could be read: entries that are right stand beside the problems of those that are not."""

    file: str
    text: str
    mix: Mix | None = None
    entries: list[tuple[int, Entry]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    positions: dict[Path_, Position] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """What relative paths in the mix are relative to."""
        return Path(self.file).resolve().parent

    def problem(self, path: Path_, message: str) -> None:
        """Note one more thing that is wrong at ``path``, as near to it as positions are known."""
        while path and path not in self.positions:
            path = path[:-1]
        self.problems.append(Problem(*self.positions.get(path, (1, 1)), message))

    def checked(self) -> Mix:
        """The mix. Raises MixError with every problem."""
        if self.problems or self.mix is None:
            raise MixError(self.file, self.problems)
        return self.mix


def read(file: Path) -> Draft:
    """Read a mix file. Raises UsageError where there is none to read; problems within it are kept in the draft."""
    return parse(_text(file), file=str(file))


def _text(file: Path) -> str:
    return plain_yaml.text_of(file, name=str(file), otherwise="name a mix by its path, or one that `curate mixes` lists")


def parse(text: str, *, file: str = "<mix>") -> Draft:
    """Parse the text of a mix; never raises for what is in it."""
    draft = Draft(file, text)
    for line, written in enumerate(text.splitlines(), 1):
        if found := ACCESS_TOKEN.search(written):
            draft.problems.append(Problem(line, found.start() + 1, "an access token; a mix is kept in its builds: put the token in HF_TOKEN, and renew it"))
    value = _plain(draft)
    if draft.problems:
        return draft
    root = value.get("calibration_set") if isinstance(value, dict) else None
    if not isinstance(root, dict):
        draft.problem((), "the file needs one root key, `calibration_set`, with the mix under it")
        return draft
    for key in value:
        if key != "calibration_set":
            draft.problem((key,), f"unknown key {key!r} beside `calibration_set`; put it inside or leave it out")
    draft.mix = _validated(draft, Mix, root, ("calibration_set",))
    entries = root.get("datasets")
    for index, raw in enumerate(entries if isinstance(entries, list) else []):
        try:
            draft.entries.append((index, Entry.model_validate(raw)))
        except ValidationError:
            continue  # its problems are already among the mix's
    return draft


def read_require(file: Path) -> Require:
    """The gates of a file: a mix, or a file whose one key is ``require``. Raises UsageError, MixError."""
    text = _text(file)
    draft = Draft(str(file), text)
    value = _plain(draft)
    if isinstance(value, dict) and "calibration_set" in value:
        return parse(text, file=str(file)).checked().require
    raw = value.get("require") if isinstance(value, dict) else None
    if not draft.problems and (not isinstance(raw, dict) or set(value) != {"require"}):
        draft.problem((), "neither a mix nor a file of gates; give it one root key, `require`, with the gates under it")
    require = None if draft.problems else _validated(draft, Require, raw, ("require",))
    if require is None:
        raise MixError(draft.file, draft.problems)
    return require


def position_of(index: int, *keys: str | int) -> Path_:
    """The path of an entry, or of a key in it, for ``Draft.problem``."""
    return ("calibration_set", "datasets", index, *keys)


def _validated(draft: Draft, model: type[M], raw: Any, base: Path_) -> M | None:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        found = [(_known(draft, base + item["loc"]), item) for item in error.errors()]
        told = Counter(path[:length] for path, _ in found for length in range(len(path) + 1))
        for path, item in found:
            # A value that fits neither `all` nor the other form is one problem, told by the other form.
            if item["type"] != "literal_error" or told[path] == 1:
                draft.problem(path, _say(item))
        return None


def _known(draft: Draft, path: Path_) -> Path_:
    """``path`` without the steps that pydantic puts in for the members of a union."""
    known: Path_ = ()
    for step in path:
        if (*known, step) in draft.positions:
            known = (*known, step)
    return known


def _say(item: Any) -> str:
    """One pydantic error in words that a writer of YAML can act on."""
    path = [str(p) for p in item["loc"]]
    key = path[-1] if path else ""
    kind, context = item["type"], item.get("ctx", {})
    if kind == "extra_forbidden":
        names = _keys_at(item["loc"])
        close = difflib.get_close_matches(key, names, n=1)
        return f"unknown key {key!r}; " + (f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(names)}")
    if kind == "missing":
        return f"missing key {key!r}; add it"
    if kind == "literal_error":
        return f"{_named(path)} must be {context['expected']}, not {item['input']!r}"
    if kind == "value_error":
        return str(context["error"])
    if kind in ("int_parsing", "int_type", "int_from_float"):
        return f"{_named(path)} must be a whole number{' or all' if 'num_samples' in path and 'datasets' in path else ''}, not {item['input']!r:.60}"
    if kind in ("list_type", "model_type", "dict_type"):
        want = {"list_type": "a list", "model_type": "a mapping of keys", "dict_type": "a mapping of keys"}[kind]
        return f"{_named(path)} must be {want}, not {item['input']!r:.60}"
    return f"{_named(path)}: {item['msg'].lower()}, not {item['input']!r:.60}"


def _named(path: list[str]) -> str:
    words = [p for p in path if not p.isdigit() and p.replace("_", "").isalpha() and p not in ("int", "str", "literal")]
    return words[-1] if words else "the value"


def _keys_at(location: tuple[str | int, ...]) -> list[str]:
    model: type[Model] = Mix
    if "datasets" in location:
        model = Entry
    elif "require" in location:
        model = LanguageGate if len(location) > 2 else Require
    return [f.alias or n for n, f in model.model_fields.items()]


class _Loader(yaml.SafeLoader):
    """SafeLoader; a class of our own so that nothing registered on the shared one changes what a mix means."""


def _plain(draft: Draft) -> Any:
    """The file as plain data, with the position of every key and item noted in the draft."""
    loader = _Loader("")
    try:
        plain_yaml.refuse_large(draft.text, nodes=plain_yaml.MAX_NODES)
        node = yaml.compose(draft.text, Loader=_Loader)
        if node is None:
            draft.problems.append(Problem(1, 1, "the file is empty; a mix starts with `calibration_set:`"))
        elif _positions(draft, node):
            return loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        draft.problems.append(Problem(line, column, f"not plain YAML: {what}; check indentation, quotes, tabs and tags"))
    except plain_yaml.TooLarge as error:
        draft.problems.append(Problem(1, 1, str(error)))
    except RecursionError:
        draft.problems.append(Problem(1, 1, plain_yaml.TOO_DEEP))
    except (ValueError, OverflowError) as error:
        draft.problems.append(Problem(1, 1, f"a value that cannot be read: {error}"))
    finally:
        loader.dispose()
    return None


def _positions(draft: Draft, node: yaml.Node) -> bool:
    """Note where everything stands; False where the file cannot be taken any further."""
    for count, (path, mark, duplicate) in enumerate(_walk(node, (), 0)):
        if count > plain_yaml.MAX_NODES:
            draft.problems.append(Problem(1, 1, plain_yaml.TOO_MANY.format(plain_yaml.MAX_NODES)))
            return False
        if duplicate:
            draft.problems.append(Problem(mark.line + 1, mark.column + 1, f"key {path[-1]!r} stands twice; keep one"))
        draft.positions.setdefault(path, (mark.line + 1, mark.column + 1))
    return not draft.problems


def _walk(node: yaml.Node, path: Path_, depth: int) -> Iterator[tuple[Path_, yaml.Mark, bool]]:
    """Each value's path with the mark of its key (or of itself, in a list), and whether that key came before."""
    yield path, node.start_mark, False
    if depth > plain_yaml.MAX_DEPTH:
        return
    if isinstance(node, yaml.MappingNode):
        seen: set[Hashable] = set()
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                yield from _walk(value, path, depth + 1)
                continue
            name = key.value if isinstance(key.value, str) else str(key.value)
            yield (*path, name), key.start_mark, name in seen
            seen.add(name)
            yield from _walk(value, (*path, name), depth + 1)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _walk(value, (*path, index), depth + 1)
