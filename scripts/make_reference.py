"""Write ``docs/reference/``: the keys of mixes and cards, the commands and the formatters, out of the program itself.

``--check`` writes nothing, and ends with code 1 where a page is out of date.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from curator import plugins
from curator.catalog import Card, LanguageRule
from curator.cli import cli
from curator.mix import Entry, LanguageGate, Mix, Require

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
SHIPPED = "curate-calibration"  # plugins of other distributions are not part of this reference
NOTE = "<!-- Written by scripts/make_reference.py; change the program, not this page. -->\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def kind(schema: dict[str, Any]) -> str:
    """A JSON schema's type, for a person."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(kind(s) for s in schema["anyOf"] if s.get("type") != "null"))
    if "enum" in schema or "const" in schema:
        return " or ".join(f"`{v}`" for v in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {kind(schema['items'])}"
    if schema.get("type") == "object":
        values = schema.get("additionalProperties")
        return f"mapping to {kind(values)}" if isinstance(values, dict) else "mapping"
    return {"string": "text", "integer": "whole number", "boolean": "true or false"}.get(str(schema.get("type")), "anything")


def bounds(schema: dict[str, Any]) -> str:
    """The limits of a number or a list."""
    words = {"minimum": "at least {}", "maximum": "at most {}", "minItems": "at least {} item"}
    return ", ".join(form.format(f"{limit:,}") for key, form in words.items() if (limit := schema.get(key)) is not None)


def default(field: FieldInfo) -> str:
    """A field's default, as YAML has it."""
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True) if field.default is PydanticUndefined else field.default
    if value in (None, "", {}, ()) or isinstance(value, BaseModel):
        return ""
    return f"`{json.dumps(value, ensure_ascii=False)}`" if not isinstance(value, str) else f"`{value}`"


def fields(model: type[BaseModel]) -> str:
    """A model's keys in a table, under its name."""
    properties = model.model_json_schema(by_alias=True)["properties"]
    rows = []
    for name, field in model.model_fields.items():
        key = field.alias or name
        shape = properties[key]
        form = "; ".join(p for p in (kind(shape), bounds(shape)) if p)
        rows.append([f"`{key}`", form, default(field), sentence(field.description)])
    doc = inspect.cleandoc(model.__doc__ or "").replace("``", "`")
    return f"## {model.__name__}\n\n{doc}\n\n" + table(("key", "form", "default", "meaning"), rows)


def sentence(text: str | None) -> str:
    """Help text on one line."""
    return re.sub(r"\s+", " ", text or "").strip().replace("``", "`")


def mix_page() -> str:
    """``mix.md``."""
    head = (
        "A mix is a YAML file with one root key, `calibration_set`. Its value is a [Mix](#mix); `datasets` is a list of [entries](#entry).\n"
        "Unknown keys are errors. `curate validate FILE` reports every problem of a file; `curate schema mix` prints this page as a JSON schema.\n"
        "An entry with `source` takes everything else from the [card](card.md); a key that the entry has goes before the card's.\n"
    )
    return page("The keys of a mix", head, *(fields(m) for m in (Mix, Entry, Require, LanguageGate)))


def card_page() -> str:
    """``card.md``."""
    head = (
        "A card is a YAML file under `sources/` of a catalog folder. Its name is the file's name without `.yaml`; `name` may be left out.\n"
        "Unknown keys are errors. `curate sources NAME` shows a card; `curate schema card` prints this page as a JSON schema.\n"
        "How to write one: [Write a card](../how-to/write-a-card.md).\n"
    )
    return page("The keys of a card", head, *(fields(m) for m in (Card, LanguageRule)))


def command_text(name: str, command: click.Command) -> str:
    """One command: usage, help, arguments and options."""
    context = click.Context(command, info_name=f"curate {name}", help_option_names=["-h", "--help"])
    usage = " ".join([f"curate {name}", *command.collect_usage_pieces(context)])
    rows = []
    for parameter in command.get_params(context):
        if isinstance(parameter, click.Option):
            names, value = parameter.opts, parameter.make_metavar(context)
            form = ", ".join(f"`{o}`" for o in sorted(names, key=len)) + ("" if parameter.is_flag else f" {value}")
            limits = parameter.type
            range_ = f" {limits.min} to {limits.max}." if isinstance(limits, click.IntRange) and limits.max is not None else ""
            rows.append([form, sentence(parameter.help) + range_])
    return f"## curate {name}\n\n```text\n{usage}\n```\n\n{paragraphs(command.help)}\n\n" + table(("option", "meaning"), rows)


def paragraphs(text: str | None) -> str:
    """Help text with its paragraphs kept."""
    return "\n\n".join(sentence(p) for p in (text or "").split("\n\n"))


def cli_page() -> str:
    """``cli.md``."""
    head = (
        f"{paragraphs(cli.help)}\n\nResults go to stdout, everything else to stderr. Exit codes: [the build folder](build-folder.md#exit-codes).\n"
        "`curate --version` prints the version.\n"
    )
    return page("Commands", head, *(command_text(n, c) for n, c in sorted(cli.commands.items())))


def formatter_row(name: str) -> list[str]:
    """One line of the table of formatters."""
    function = plugins.load("formatters", name)
    least, most = function.arity
    count = str(least) if least == most else f"{least} to {most}"
    listed = [", ".join(f"`{n}`" for n in names) for names in (function.also, sorted(function.params))]
    return [f"`{name}`", count, *listed, sentence(inspect.getdoc(function))]


def formatters_page() -> str:
    """``formatters.md``."""
    head = (
        "A formatter turns a row into a conversation, or drops it with a reason. `columns` of a card or an entry names what it reads, in order.\n"
        "Some read other columns besides, by name. `prefix` is an instruction: text, or a sandboxed Jinja template over `row`, with `hash(value)`\n"
        "(the same number everywhere) and `rotate(list)` (the next item, row by row). Add your own: [Plugins](../how-to/plugins.md).\n"
    )
    names = [n for n in plugins.names("formatters") if plugins.origin("formatters", n).startswith(f"{SHIPPED} ")]
    return page("Formatters", head, table(("name", "columns", "reads besides", "formatter_params", "what it makes"), map(formatter_row, names)))


def page(title: str, *parts: str) -> str:
    """A whole page."""
    return "\n".join([NOTE + f"\n# {title}\n", *parts])


PAGES: dict[str, Callable[[], str]] = {"mix.md": mix_page, "card.md": card_page, "cli.md": cli_page, "formatters.md": formatters_page}


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or compare them."""
    pages = {FOLDER / name: make() for name, make in PAGES.items()}
    stale = [file for file, text in pages.items() if not file.is_file() or file.read_text(encoding="utf-8") != text]
    if "--check" in arguments:
        for file in stale:
            print(f"docs/reference/{file.name} is out of date; run scripts/make_reference.py", file=sys.stderr)
        return 1 if stale else 0
    for file in stale:
        file.write_text(pages[file], encoding="utf-8")
    print(f"{len(stale)} of {len(pages)} pages written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
