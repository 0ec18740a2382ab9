"""Commands over models: quantize one with a build, check what came out."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curator.cli.options import json_option
from curator.cli.output import print_json, print_table, printable, say, tell
from curator.errors import ANSWER_IS_NO

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from curator.quantize.data import Progress
    from curator.quantize.experts import Account
    from curator.quantize.run import Prepared


@click.command(short_help="Quantize a model, calibrated on a build.")
@click.argument("build", type=click.Path(path_type=Path))
@click.option("--model", required=True, help="The model: a folder or a hub id, in 16 or 32 bits, as safetensors.")
@click.option("--out", "-o", type=click.Path(path_type=Path), help="Folder to write; needed unless --dry-run.")
@click.option("--recipe", help="A shipped recipe or a file. Default: w4a16-awq for mixtures of experts, w4a16-dense-awq else.")
@click.option(
    "--calibrate-experts",
    type=click.Choice(["all", "routed"]),
    default="all",
    show_default=True,
    help="all: every expert sees every token; routed: only those its router sends.",
)
@click.option("--samples", type=click.IntRange(1), help="Calibrate on no more than this many samples of the build.")
@click.option("--device", help="Refuse to run on anything but this (cpu, cuda); CUDA_VISIBLE_DEVICES chooses.")
@click.option("--gpus", type=click.IntRange(1), default=1, show_default=True, help="Calibrate on so many GPUs at once, each on its share of the samples.")
@click.option("--other-tokenizer", is_flag=True, help="Accept a build that was made for another tokenizer than the model's.")
@click.option(
    "--min-tokens-per-expert", type=click.IntRange(0), help="Tokens that routing should send to each expert. Default: four for each feature that enters it."
)
@click.option("--allow-uncovered", is_flag=True, help="Accept experts with fewer tokens; without it the run ends with code 4.")
@click.option("--evaluate", type=click.IntRange(2), help="Hold out this many samples, and compare the model before and after on them.")
@click.option("--ledger-only", is_flag=True, help="Count the tokens of each expert into --out, and quantize nothing.")
@click.option("--dry-run", is_flag=True, help="Print what would be quantized, module by module, and stop.")
@click.option("--force", is_flag=True, help="Replace the quantized model that is there.")
@json_option
def quantize(
    build: Path,
    model: str,
    out: Path | None,
    recipe: str | None,
    calibrate_experts: str,
    samples: int | None,
    device: str | None,
    gpus: int,
    other_tokenizer: bool,
    min_tokens_per_expert: int | None,
    allow_uncovered: bool,
    evaluate: int | None,
    ledger_only: bool,
    dry_run: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Quantize a model, calibrated on a build, into a folder that servers load.

    Two samples of the build are held out: smoothing is proved on them before anything is rounded. The tokens that each expert
    receives are counted; experts with too few end the run with code 4, after everything is written.
    """
    from curator import artifact, paths
    from curator.quantize import checkpoint, distributed, experts, library, oneshot, run

    library.require()
    kind = experts.LEDGER if ledger_only else checkpoint.QUANTIZED
    if out is None and not dry_run:
        raise click.UsageError("give --out, the folder to write")
    if ledger_only and evaluate:
        raise click.UsageError("--ledger-only quantizes nothing, so there is nothing to --evaluate; leave one of them out")
    if out is not None and not dry_run:
        artifact.refuse_target(out, kind, force=force)
    if gpus > 1 and not (dry_run or distributed.started()):
        sys.exit(distributed.launch(gpus, sys.argv[1:]))
    request = run.Request(
        build=build,
        model=model,
        recipe=recipe,
        experts="routed" if calibrate_experts == "routed" else "all",
        samples=samples,
        held_out=evaluate or oneshot.PROOF_SAMPLES,
        other_tokenizer=other_tokenizer,
        device=device,
    )
    with distributed.joined(), ExitStack() as stack:
        if out is not None and not dry_run and distributed.rank() == 0:
            stack.enter_context(paths.claimed(out))  # before the work: two runs into one folder, or a folder that cannot be written
            artifact.refuse_target(out, kind, force=force)  # what the claim may have put back
        prepared = run.prepare(request, note=lambda line: say(f"note: {line}"))
        if dry_run or out is None:
            _print_plan(run.plan(prepared), as_json=as_json)
            return
        wanted = _Wanted(out, ledger_only=ledger_only, force=force, as_json=as_json)
        account = _carry_out(prepared, wanted, minimum=min_tokens_per_expert, held_out=evaluate or 0)
        if distributed.rank() == 0 and not allow_uncovered:
            account.require()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Where a run goes, and what is shown of it."""

    out: Path
    ledger_only: bool
    force: bool
    as_json: bool


def _carry_out(prepared: Prepared, wanted: _Wanted, *, minimum: int | None, held_out: int) -> Account:
    """Count, or quantize and count; the first process writes and prints."""
    from curator.quantize import distributed, experts, run

    with progress_with_time() as progress:
        account = experts.Account(prepared, minimum=minimum, held_out=held_out, progress=progress)
        if wanted.ledger_only:
            account.count()
        else:
            manifest = run.quantize(prepared, wanted.out, observers=account.observers(), ledger=account.write, progress=progress, force=wanted.force)
    if distributed.rank():
        return account
    if wanted.ledger_only:
        lines = account.write_alone(wanted.out, force=wanted.force)
        _show(account.facts, lines, f"{wanted.out}: the ledger, and nothing quantized", wanted)
    else:
        found = {"ledger": account.facts} | ({"evaluation": account.cost} if account.cost else {})
        shown = {k: v for k, v in manifest.items() if k not in ("files", "tensors", "recipe")} | {"recipe": manifest["recipe"]["name"]} | found
        lines = {"calibrated on": _ran(manifest["run"])} | account.lines()
        _show(shown, lines, f"{wanted.out}: {manifest['summary']}; verified against {prepared.request.model}", wanted)
    return account


def _ran(run: Mapping[str, Any]) -> str:
    devices = f"{run['processes']} x {run['device']}" if run["processes"] > 1 else run["device"]
    peak = f", {run['peak_device_bytes'] / 1e9:.1f} GB at most on one" if run["peak_device_bytes"] else ""
    return f"{devices}, {run['calibration_seconds']:,.0f} s{peak}"


def _show(facts: Mapping[str, Any], lines: Mapping[str, Any], headline: str, wanted: _Wanted) -> None:
    if wanted.as_json:
        print_json({**facts, "out": str(wanted.out)})
        return
    tell(headline)
    for name, value in lines.items():
        tell(f"  {name}: {value}")


@click.command(short_help="Compare a written model with its source.")
@click.argument("folder", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--source", required=True, help="The model that it was made of: a folder or a hub id.")
@json_option
def verify_checkpoint(folder: Path, source: str, as_json: bool) -> None:
    """Compare a quantized, dequantized or stitched model with its source (of a stitched one, the base). Code 1 where something is wrong."""
    from curator.checkpoints import verify as converted
    from curator.quantize.oneshot import fetch
    from curator.quantize.verify import verify

    ours = converted.is_ours(folder)
    faults = converted.faults(folder, source=fetch(source)) if ours else verify(folder, fetch(source))
    if as_json:
        print_json({"ok": not faults, "faults": faults})
    elif faults:
        tell("\n".join(faults))
    else:
        good = "what was taken from it as it was has its bytes" if ours else "what was neither quantized nor smoothed has its bytes"
        tell(f"{folder}: names, shapes, types and targets are those of {source}; {good}")
    if faults:
        sys.exit(ANSWER_IS_NO)


def _print_plan(plan: Mapping[str, Any], *, as_json: bool) -> None:
    from curator.quantize.run import kinds

    if as_json:
        print_json(plan)
        return
    for row in plan["quantized"]:
        tell(f"{row['module']}\t{row['how']}")
    for row in plan["smoothed"]:
        tell(f"{row['layer']}\tsmoothed, balanced at {len(row['balanced'])}: {', '.join(row['balanced'][:3])}{', …' * (len(row['balanced']) > 3)}")
    print_table(("quantized", "how"), ["modules"], [(k["module"], k["how"], f"{k['count']:,}") for k in kinds(plan["quantized"])])
    counts = f"{len(plan['quantized']):,} modules quantized, {len(plan['smoothed']):,} layers smoothed, {len(plan['left']):,} linear layers left"
    tell(f"\n{plan['recipe']}: {counts}; {plan['calibration_samples']:,} samples to calibrate on, {plan['held_out_samples']:,} held out")


@contextmanager
def progress_with_time() -> Iterator[Progress]:
    """A bar with the time left on a terminal, a line every few seconds elsewhere."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console

    with step_bar(console=Console(stderr=True), transient=True) as bar:
        yield on_bar(bar)


def step_bar(**options: Any) -> Bar:
    """A bar of few, long steps: a layer may take minutes, where rich's own estimate forgets what is older than 30 s."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:<32}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, speed_estimate_period=timedelta(days=7).total_seconds(), **options)


def on_bar(bar: Bar) -> Progress:
    """Progress as one task of a bar, which starts anew with each kind of work: the time left is of this one."""
    task = bar.add_task("", total=None)

    def show(what: str, done: int, total: int) -> None:
        if done == 0:
            bar.reset(task, total=total)
        bar.update(task, description=printable(what)[-32:], completed=done, total=total)

    return show


def _lines() -> Progress:
    started, shown = time.monotonic(), -5.0

    def line(what: str, done: int, total: int) -> None:
        nonlocal shown, started
        now = time.monotonic()
        if done == 0:
            started = now
        if now - shown < 5 and done not in (0, total):
            return
        shown = now
        left = (now - started) / done * (total - done) if done else None
        say(f"{done:,} of {total:,}: {what}" + (f"; about {left:,.0f} s left" if left else ""))

    return line
