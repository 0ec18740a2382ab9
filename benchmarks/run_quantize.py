"""``curate quantize`` itself on a random MiniMax-M2 of 1.6 B parameters: ``python benchmarks/run_quantize.py BUILD [arguments of the command]``.

Makes the model with the embedded corpus' tokenizer (so BUILD is one of ``curate build --offline``), runs the command as a user would,
and prints one JSON line: seconds, device, peak memory of the calibration, ledger, evaluation. Needs ``curate[awq]`` and no network.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "benchmarks")]  # a copy of the tree runs without being installed

import polars as pl  # noqa: E402
from bench_quantize import make_model  # noqa: E402

from curator import artifact, catalog  # noqa: E402


def make(folder: Path, vocabulary: int, *, hidden: int, layers: int, experts: int) -> int:
    parameters = make_model(folder, vocabulary, hidden=hidden, layers=layers, experts=experts)
    for file in (catalog.data_root() / "sources" / "starter" / "tokenizer").iterdir():
        shutil.copyfile(file, folder / file.name)
    return parameters


def add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--hidden", type=int, default=2048)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--experts", type=int, default=32)
    parser.add_argument("--keep", type=Path, help="make the model here, or take the one that is there")


def make_or_take(model: Path, asked: argparse.Namespace) -> dict[str, int]:
    """The model that the options ask for, unless there is one already; gives the parameters of one that is made."""
    if (model / "config.json").is_file():
        return {}
    vocabulary = artifact.manifest(asked.build)["tokenizer"]["vocab_size"]
    return {"parameters": make(model, vocabulary, hidden=asked.hidden, layers=asked.layers, experts=asked.experts)}


def run(build: Path, model: Path, out: Path, words: Sequence[str]) -> dict[str, Any]:
    """Run the command once; gives its code, its seconds, and what it wrote about itself."""
    command = [sys.executable, "-m", "curator", "quantize", str(build), "--model", str(model), "--out", str(out), "--allow-uncovered", "--json", *words]
    paths = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    started = time.perf_counter()
    ran = subprocess.run(command, env=os.environ | {"PYTHONPATH": paths}, stdout=subprocess.PIPE)
    told: dict[str, Any] = {"command": words, "code": ran.returncode, "seconds": round(time.perf_counter() - started, 1)}
    if ran.returncode == 0:
        told |= json.loads(ran.stdout).get("run", {})
    if (out / "expert_tokens.json").is_file():
        ledger = artifact.read_json(out / "expert_tokens.json")
        told |= {k: ledger[k] for k in ("layers", "experts", "top_k", "tokens", "samples", "counted_in")}
        told["adds_up"] = _adds_up(out, ledger)
    if (out / "evaluation.json").is_file():
        told["evaluation"] = artifact.read_json(out / "evaluation.json")["overall"]
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path)
    add_model_options(parser)
    asked, words = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as scratch:
        model = asked.keep or Path(scratch) / "model"
        parameters = make_or_take(model, asked)
        print(json.dumps(parameters | run(asked.build, model, Path(scratch) / "out", words)), flush=True)


def _adds_up(out: Path, ledger: dict[str, int]) -> bool:
    """Whether every layer's tokens are tokens x top_k."""
    table = artifact.read_frame(out, "expert_tokens")
    totals = table.group_by("layer").agg(pl.col("tokens").sum())["tokens"].to_list()
    return totals == [ledger["tokens"] * ledger["top_k"]] * ledger["layers"]


if __name__ == "__main__":
    main()
