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
from pathlib import Path

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path)
    parser.add_argument("--hidden", type=int, default=2048)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--experts", type=int, default=32)
    parser.add_argument("--keep", type=Path, help="make the model here, or take the one that is there")
    asked, words = parser.parse_known_args()
    described = artifact.manifest(asked.build)
    with tempfile.TemporaryDirectory() as scratch:
        model, out = asked.keep or Path(scratch) / "model", Path(scratch) / "out"
        parameters = 0
        if not (model / "config.json").is_file():
            parameters = make(model, described["tokenizer"]["vocab_size"], hidden=asked.hidden, layers=asked.layers, experts=asked.experts)
        command = [
            sys.executable,
            "-m",
            "curator",
            "quantize",
            str(asked.build),
            "--model",
            str(model),
            "--out",
            str(out),
            "--allow-uncovered",
            "--json",
            *words,
        ]
        started = time.perf_counter()
        paths = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
        ran = subprocess.run(command, env=os.environ | {"PYTHONPATH": paths}, stdout=subprocess.PIPE)
        told = {"command": words, "code": ran.returncode, "seconds": round(time.perf_counter() - started, 1)} | (
            {"parameters": parameters} if parameters else {}
        )
        if ran.returncode == 0:
            told |= json.loads(ran.stdout).get("run", {})
        if (out / "expert_tokens.json").is_file():
            ledger = artifact.read_json(out / "expert_tokens.json")
            told |= {k: ledger[k] for k in ("layers", "experts", "top_k", "tokens", "samples", "counted_in")}
            told["adds_up"] = _adds_up(out, ledger)
        if (out / "evaluation.json").is_file():
            told["evaluation"] = artifact.read_json(out / "evaluation.json")["overall"]
        print(json.dumps(told), flush=True)


def _adds_up(out: Path, ledger: dict[str, int]) -> bool:
    """Whether every layer's tokens are tokens x top_k."""
    table = artifact.read_frame(out, "expert_tokens")
    totals = table.group_by("layer").agg(pl.col("tokens").sum())["tokens"].to_list()
    return totals == [ledger["tokens"] * ledger["top_k"]] * ledger["layers"]


if __name__ == "__main__":
    main()
