"""The time and memory of a build, beside tokenizing just the texts that it placed: ``python benchmarks/bench_build.py --mirror DIR``.

DIR holds real rows as ``datasets/ORG/NAME/...`` and ``models/ORG/NAME/...``. The loopback hub serves it from a process of its
own on this machine, and every measured step is a process of its own too, with an empty cache of the hub's client. A round is a
build by the command line, a build of which the steps are timed apart, and one ``encode_batch_fast`` call over
the ``text`` of documents.parquet with the tokenizer already loaded. This process stays small and imports no library: on Linux
the peak of a child counts what its parent held when it was started.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

REPOSITORY = Path(__file__).resolve().parent.parent
UNSET = ("PYTHONPATH", "HF_TOKEN", "HF_HUB_CACHE", "HF_DATASETS_CACHE")
KIBIBYTE = 1024 if sys.platform == "linux" else 1  # the unit of ru_maxrss

SPLIT = """
import json, sys, time
times = [time.perf_counter()]
from pathlib import Path
from curator import build, review
from curator.catalog import Catalog
catalog, jobs = Catalog.find(), int(sys.argv[3]) or build.default_jobs()
plan, encoder = build.prepare(catalog.mix_file(sys.argv[1]), catalog)
times.append(time.perf_counter())
fillings, counts = build.draw(plan, encoder, jobs=jobs)
samples = build.arrange(plan, fillings)
times.append(time.perf_counter())
contents = build.measurable(samples, encoder, build.describe(plan, fillings, samples, counts), jobs=jobs)
times.append(time.perf_counter())
tables = contents.tables()
Path(sys.argv[2]).mkdir()
review.write(Path(sys.argv[2]), contents, tables)
times.append(time.perf_counter())
print(json.dumps(dict(zip(("prepare", "draw", "recognise", "report"), (b - a for a, b in zip(times, times[1:]))))))
"""
TOKENIZE = """
import json, sys, time
from pathlib import Path
from curator import artifact, catalog, tokens
folder = Path(sys.argv[1])
named = artifact.manifest(folder)["tokenizer"]
encoder = tokens.load(named["id"], revision=named["revision"], starter=catalog.data_root() / "sources" / "starter" / "tokenizer")
texts = artifact.read_frame(folder, "documents")["text"].to_list()
started = time.perf_counter()
encodings = encoder.fast.encode_batch_fast(texts, add_special_tokens=False)
print(json.dumps({"tokenize": time.perf_counter() - started, "texts": len(texts), "tokens": sum(len(e.ids) for e in encodings)}))
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """A process that ended well: how long it took, the most memory it held, and the JSON on its standard output."""

    seconds: float
    peak: int  # bytes
    printed: dict[str, Any]


@dataclass
class Figures:
    """Seconds by step, one of each a round; the peaks of the builds by the command line; what the last round placed."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    peaks: list[int] = field(default_factory=list)
    placed: dict[str, Any] = field(default_factory=dict)

    def add(self, **seconds: float) -> None:
        """Note one round."""
        for name, value in seconds.items():
            self.seconds.setdefault(name, []).append(value)


def run(command: Sequence[str | Path], environment: Mapping[str, str], folder: Path) -> Ran:
    """Run a process to its end in ``folder``. Raises SystemExit with what it said where it fails."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        started = time.perf_counter()
        process = subprocess.Popen([str(c) for c in command], env=environment, cwd=folder, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(map(str, command[:2]))} ended with code {process.returncode}:\n{err.read()[-2000:]}")
        return Ran(seconds, usage.ru_maxrss * KIBIBYTE, json.loads(out.read()))


@contextmanager
def hub(mirror: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """The loopback hub over ``mirror`` as a process of its own; gives its endpoint."""
    command = [sys.executable, "-m", "tests.hub", str(mirror.resolve())]
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip().removeprefix("HF_ENDPOINT=")
        finally:
            process.terminate()


def one_round(options: argparse.Namespace, environment: Mapping[str, str], figures: Figures) -> None:
    """Build twice and tokenize once, side by side."""
    with tempfile.TemporaryDirectory(prefix="curate-bench-") as name:
        folder = Path(name)
        first, second = ({**environment, "HF_HOME": str(folder / home)} for home in ("first", "second"))
        command = [Path(sys.executable).parent / "curate", "build", options.mix, "--out", folder / "B", "--json"]
        command += ["--jobs", str(options.jobs)] * bool(options.jobs) + ["--allow-short"] * options.allow_short
        whole = run(command, first, folder)
        split = run([sys.executable, "-c", SPLIT, options.mix, folder / "S", str(options.jobs)], second, folder)
        tokenized = run([sys.executable, "-c", TOKENIZE, folder / "B"], first, folder)
    figures.peaks.append(whole.peak)
    figures.placed = {k: whole.printed[k] for k in ("samples", "max_seq_length", "tokens", "documents")} | {"short": whole.printed["short"]}
    figures.add(tokenize=tokenized.printed["tokenize"], process=whole.seconds, **split.printed)


def table(figures: Figures) -> Iterator[str]:
    """The figures as lines: seconds, and as a ratio to tokenizing, best by best and median by median."""
    labels = {
        "tokenize": "tokenizing the placed texts",
        "process": "`curate build`, whole process",
        "prepare": "of it `prepare`, imports included",
        "draw": "drawing: rows to samples",
        "recognise": "languages and turns of all documents",
        "report": "tables, near duplicates, pages",
    }
    yield f"{'':<34} {'best s':>8} {'median s':>9} {'best ratio':>11} {'median ratio':>13}"
    base = figures.seconds["tokenize"]
    for name, label in labels.items():
        best, median = min(figures.seconds[name]), statistics.median(figures.seconds[name])
        yield f"{label:<34} {best:>8.2f} {median:>9.2f} {best / min(base):>11.2f} {median / statistics.median(base):>13.2f}"
    rounds = zip(*(figures.seconds[name] for name in ("prepare", "draw", "recognise", "report")), strict=True)
    measuring = [(recognise + report) / (prepare + draw) for prepare, draw, recognise, report in rounds]
    yield f"measuring and reporting as a ratio to preparing and drawing: {', '.join(f'{m:.2f}' for m in measuring)}"
    yield f"peak memory of `curate build`: {min(figures.peaks) / 1e9:.2f} to {max(figures.peaks) / 1e9:.2f} GB"


def arguments() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description="Time a build as a ratio to tokenizing just the texts that it placed.")
    parser.add_argument("--mirror", type=Path, default=os.environ.get("CURATE_MIRROR"), help="folder of real rows; default: CURATE_MIRROR")
    parser.add_argument("--mix", default="calibrate_software_engineer.yaml")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=0, help="workers of a build; default: as `curate build` chooses")
    parser.add_argument("--allow-short", action="store_true", help="accept a build that the sources cannot fill")
    options = parser.parse_args()
    if options.mirror is None or not (options.mirror / "datasets").is_dir():
        parser.error("name a folder that holds datasets/ and models/ with --mirror or CURATE_MIRROR")
    return options


def main() -> None:
    """Measure, and print one table."""
    options = arguments()
    environment = {k: v for k, v in os.environ.items() if k not in UNSET} | {"HF_HUB_DISABLE_TELEMETRY": "1"}
    figures = Figures()
    with hub(options.mirror, environment) as endpoint:
        for number in range(options.rounds):
            one_round(options, environment | {"HF_ENDPOINT": endpoint}, figures)
            print(f"round {number + 1} of {options.rounds}: " + ", ".join(f"{k} {v[-1]:.2f} s" for k, v in figures.seconds.items()), file=sys.stderr)
    placed = figures.placed
    print(f"{placed['samples']} samples of {placed['max_seq_length']}, {placed['tokens']:,} tokens, {placed['documents']:,} documents")
    print(f"short: {placed['short'] or 'nothing'}")
    print("\n".join(table(figures)))


if __name__ == "__main__":
    main()
