"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

catalog_option = click.option("--catalog", "catalog_folder", type=click.Path(path_type=Path), help="Folder with sources/ and mixes/ of your own.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def find_catalog(folder: Path | None) -> Any:
    from curator.catalog import Catalog

    return Catalog.find(folder)
