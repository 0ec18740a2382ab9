"""Commands over checkpoints: FP8 to 16 bit, two models into one, the command that serves one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curator.cli.options import a_number, json_option
from curator.cli.output import print_json, printable, say, tell

if TYPE_CHECKING:
    from collections.abc import Callable

out_option = click.option("--out", "-o", "target", type=click.Path(path_type=Path), required=True, help="Folder to write.")
force_option = click.option("--force", is_flag=True, help="Replace what `dequantize` or `stitch` wrote there.")
shard_option = click.option(
    "--shard-size", default=5.0, show_default=True, type=click.FloatRange(0, 1e6, min_open=True), callback=a_number, help="Most GB (10^9 bytes) in a file."
)


@click.command(short_help="Turn an FP8 checkpoint into 16 bit.")
@click.argument("model", type=click.Path(path_type=Path))
@out_option
@click.option("--dtype", default="bfloat16", show_default=True, type=click.Choice(["bfloat16", "float16"]), help="The 16-bit type to write.")
@click.option("--device", default="cpu", show_default=True, help="Where to compute: cpu, cuda, cuda:1.")
@shard_option
@force_option
@json_option
def dequantize(model: Path, target: Path, dtype: str, device: str, shard_size: float, force: bool, as_json: bool) -> None:
    """Turn an FP8 checkpoint with block scales (weight_scale_inv) into 16 bit. A run that was stopped goes on where it was."""
    from curator.checkpoints import dequantize as dequantizing

    manifest = dequantizing.dequantize(model, target, dtype=dtype, device=device, limit=int(shard_size * 1e9), force=force, progress=_report())
    if as_json:
        print_json(_summary(manifest, target))
        return
    tell(f"{target}: {manifest['dequantized']:,} weights in {dtype}, {manifest['copied']:,} tensors as they were")


@click.command(short_help="Make one mixed-precision model of two.")
@click.option("--base", type=click.Path(path_type=Path), required=True, help="The original: FP8 with block scales, or 16 bit.")
@click.option("--experts", type=click.Path(path_type=Path), required=True, help="The same model with quantized experts (compressed-tensors, packed integers).")
@out_option
@shard_option
@force_option
@json_option
def stitch(base: Path, experts: Path, target: Path, shard_size: float, force: bool, as_json: bool) -> None:
    """Make one mixed-precision checkpoint of two: what was quantized or rescaled from one, all else from the original."""
    from curator.checkpoints import stitch as stitching

    say("comparing the two models")
    manifest = stitching.stitch(base, experts, target, limit=int(shard_size * 1e9), force=force, progress=_report())
    for note in manifest["notes"]:
        say(f"note: {note}")
    if as_json:
        print_json(_summary(manifest, target))
        return
    tell(f"{target}: {', '.join(f'{n:,} from {what}' for what, n in manifest['counts'].items())}")


@click.command(short_help="Print the vLLM command for a checkpoint.")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--gpus", type=click.IntRange(1), help="Tensor parallel size; default: the family's.")
@json_option
def serve_script(model: Path, gpus: int | None, as_json: bool) -> None:
    """Print the vLLM command for a finished checkpoint, with its family's parsers and sampling, and which servers can load it."""
    from dataclasses import asdict

    from curator.checkpoints import serve

    made = serve.script(model, gpus=gpus)
    if as_json:
        print_json(asdict(made))
        return
    tell(made.text())


def _summary(manifest: dict[str, Any], target: Path) -> dict[str, Any]:
    return {k: v for k, v in manifest.items() if k not in ("files", "tensors")} | {"out": str(target)}


def _report() -> Callable[[str, int, int], None]:
    """A line for each file that is finished; on a terminal, each in the place of the one before."""

    def report(name: str, done: int, total: int) -> None:
        share = done / total if total else 1.0
        line = f"{share:4.0%}  {done / 1e9:,.1f} of {total / 1e9:,.1f} GB; {name}"
        if sys.stderr.isatty():
            click.echo(f"\r{printable(line)}\033[K", err=True, nl=done >= total)
        else:
            say(line)

    return report
