"""Commands that list what there is: cards, mixes, schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from curator.cli.options import catalog_option, find_catalog, json_option
from curator.cli.output import print_json, tell

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("name", required=False)
@catalog_option
@json_option
def sources(name: str | None, catalog_folder: Path | None, as_json: bool) -> None:
    """List the cards there are, or show one."""
    catalog = find_catalog(catalog_folder)
    cards = [catalog.card(n) for n in ([name] if name else sorted(catalog.card_files))]
    if as_json:
        print_json([c.model_dump(mode="json") for c in cards])
    elif name:
        tell(catalog.card_files[name].read_text(encoding="utf-8").rstrip("\n"))
    else:
        width = max(len(c.name) for c in cards)
        for card in cards:
            tell(f"{card.name:<{width}}  {card.place}  [{card.category}]")


@click.command()
@catalog_option
def mixes(catalog_folder: Path | None) -> None:
    """List the mixes there are."""
    for name, file in sorted(find_catalog(catalog_folder).mix_files.items()):
        tell(f"{name}  {file}")


@click.command(short_help="Print the JSON schema of mixes or cards.")
@click.argument("what", type=click.Choice(["mix", "card"]), default="mix")
def schema(what: str) -> None:
    """Print the JSON schema of mixes (or cards), for editors that check YAML as it is written."""
    from pydantic import BaseModel, create_model

    from curator.catalog import Card
    from curator.mix import Mix

    model: type[BaseModel] = Card
    if what == "mix":
        model = create_model("File", __config__={"extra": "forbid"}, calibration_set=(Mix, ...))
    print_json({"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"curate {what}", **model.model_json_schema()})
