"""Options that several commands share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable


def a_number(_: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """For options of a range, which takes "nan" for a number in it."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is no number to count with", param=parameter)
    return value


catalog_option = click.option("--catalog", "catalog_folder", type=click.Path(path_type=Path), help="Folder with sources/ and mixes/ of your own.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
build_argument = click.argument("folder", metavar="BUILD", type=click.Path(path_type=Path))
against_option = click.option(
    "--against",
    multiple=True,
    metavar="FILE|ORG/NAME[@CONFIG][:SPLIT]",
    help="Report the overlap with this benchmark (jsonl, json, csv, parquet, or a dataset of the hub); may be given more than once.",
)
allow_path_option = click.option(
    "--allow-path", multiple=True, type=click.Path(path_type=Path), help="Let the mix read local files there too, not only beside itself."
)
frozen_option = click.option("--frozen", is_flag=True, help="Demand the lock of the mix, and take nothing but what it says.")
lock_option = click.option("--lock", "lock_file", type=click.Path(path_type=Path), help="The lock; default: MIX with the ending .lock.")
retry_budget_option = click.option(
    "--retry-budget", type=click.FloatRange(0, 86400), callback=a_number, help="Seconds that each source or benchmark may lose to failed requests; default 300."
)


def update_option(what: str) -> Callable[[Any], Any]:
    """``--update`` with or without a source; ``what`` says what becomes of it."""
    return click.option("--update", multiple=True, is_flag=False, flag_value="*", metavar="[SOURCE]", help=f"{what} Put it behind MIX.")


def find_catalog(folder: Path | None) -> Any:
    from curator.catalog import Catalog

    return Catalog.find(folder)
