"""Commands: parse, call, print, exit. The only package that prints."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from typing import TYPE_CHECKING, NoReturn

import click

from curator import __version__
from curator.cli import checkpoints, keeping, lists, quantizing, reviewing, sets
from curator.cli.output import guarded, printable
from curator.errors import BUG, INTERRUPTED, CurateError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="curate")
def cli() -> None:
    """Make calibration sets for quantizing language models, and prove what is in them.

    A mix says what to take: a file, or one of those that `curate mixes` lists.
    """


COMMANDS = (
    *(sets.build, sets.plan, sets.validate, sets.show),
    *(reviewing.check, reviewing.verify, reviewing.report, reviewing.diff),
    *(lists.sources, lists.mixes, lists.schema),
    *(keeping.lock_command, keeping.cache),
    *(quantizing.quantize, quantizing.verify_checkpoint),
    *(checkpoints.dequantize, checkpoints.stitch, checkpoints.serve_script),
)
for command in COMMANDS:
    cli.add_command(command)


# What an interrupted command leaves, where that is more to say than that it was interrupted.
LEFT = {
    "build": "no build was written: the next run goes on from what is in the cache",
    "quantize": "nothing was written: the next run starts anew",
    **dict.fromkeys(("dequantize", "stitch"), "finished files are kept in the folder .NAME.unfinished beside --out: the next run goes on from there"),
}


def main() -> NoReturn:
    """Run the command line; every outcome becomes one exit code (curator.errors)."""
    with guarded():
        code = _outcome()
    sys.exit(code)


def _outcome() -> int:
    try:
        cli.main(standalone_mode=False)
    except CurateError as error:
        _fail(str(error))
        return error.exit_code
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return UsageError.exit_code
    except (click.Abort, KeyboardInterrupt):
        _fail("; ".join(("interrupted", *filter(None, [_left(sys.argv[1:])]))))
        return INTERRUPTED
    except SystemExit as stop:
        return int(stop.code or 0)
    except BaseException:  # noqa: BLE001 - the one place where a bug becomes a crash file
        _fail(f"a bug in curate; the details are in {_crash_file()}: please report it with that file")
        return BUG
    return 0


def _left(arguments: Sequence[str]) -> str | None:
    command = next((a for a in arguments if not a.startswith("-")), "")
    if command == "build" and {"--no-cache", "--offline"}.intersection(arguments):
        return "no build was written: the next run starts anew"
    return LEFT.get(command)


def _fail(message: str) -> None:
    colour = None if os.environ.get("NO_COLOR") else "red"  # https://no-color.org; rich looks for itself
    click.echo(f"{click.style('error', fg=colour, bold=True) if sys.stderr.isatty() else 'error'}: {printable(message)}", err=True)


def _crash_file() -> str:
    from curator.build import versions
    from curator.network import redacted

    handle, name = tempfile.mkstemp(prefix="curate-crash-", suffix=".txt")
    with open(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
        stream.write(f"curate {__version__}\ncommand: {redacted(' '.join(sys.argv[1:]))}\n")
        stream.writelines(f"{k}: {v}\n" for k, v in versions().items())
        stream.write("\n" + redacted(traceback.format_exc()))
    return name
