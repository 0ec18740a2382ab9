"""Whether ``curate quantize --gpus N`` gives what one GPU gives, and what it saves: ``python benchmarks/check_gpus.py BUILD [arguments]``.

Quantizes a random MiniMax-M2 on one GPU and on ``--gpus``, with the same arguments of the command. The ledgers must have the same sums,
and the same counts in the first layer (later ones see activations of layers that were calibrated with other last bits). Sums over
samples are made in another order, so the share of packed weights that are the same is told, and what each result costs, where
``--evaluate`` is among the arguments. Prints one line of JSON; ends with code 1 where a run fails or a ledger is another.
Needs so many GPUs and ``curate[awq]``, and no network.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "benchmarks")]  # a copy of the tree runs without being installed

import polars as pl  # noqa: E402
from run_quantize import add_model_options, make_or_take, run  # noqa: E402

from curator import artifact  # noqa: E402
from curator.checkpoints.reading import Reader, open_checkpoint  # noqa: E402


def same_codes(one: Path, other: Path) -> float:
    """The share of 4-bit codes that are the same in two quantized checkpoints. Raises ValueError where they have other tensors."""
    import numpy as np

    left, right = open_checkpoint(one).tensors, open_checkpoint(other).tensors
    if left.keys() != right.keys():
        raise ValueError(f"other tensors: {sorted(left.keys() ^ right.keys())[:5]}")
    same = total = 0
    with Reader() as reader:
        for name in (n for n in left if n.endswith(".weight_packed")):
            a, b = (np.frombuffer(bytes(reader.whole(side[name])), np.uint8) for side in (left, right))
            differ = a ^ b
            same += int(((differ & 15) == 0).sum() + ((differ >> 4) == 0).sum())
            total += 2 * a.size
    return same / total


def counts(out: Path) -> pl.DataFrame:
    """Tokens by layer and expert."""
    return artifact.read_frame(out, "expert_tokens").group_by("layer", "expert").agg(pl.col("tokens").sum()).sort("layer", "expert")


def compared(one: Path, many: Path) -> dict[str, Any]:
    left, right = counts(one), counts(many)
    first = left["layer"].min()
    moved = (left.join(right, on=["layer", "expert"], how="full", suffix="_many").fill_null(0)).select(
        (pl.col("tokens") - pl.col("tokens_many")).abs().sum()
    ).item() / 2
    return {
        "same_sums": left["tokens"].sum() == right["tokens"].sum(),
        "first_layer_same": left.filter(layer=first).equals(right.filter(layer=first)),
        "choices_moved": moved / left["tokens"].sum(),
        "codes_same": same_codes(one, many),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path)
    parser.add_argument("--gpus", type=int, default=2)
    add_model_options(parser)
    asked, words = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as scratch:
        model, one, many = asked.keep or Path(scratch) / "model", Path(scratch) / "one", Path(scratch) / "many"
        told: dict[str, Any] = {"gpus": asked.gpus} | make_or_take(model, asked)
        told["one"] = run(asked.build, model, one, words)
        told["many"] = run(asked.build, model, many, [*words, "--gpus", str(asked.gpus)])
        held = told["one"]["code"] == told["many"]["code"] == 0
        if held:
            told |= compared(one, many)
            held = told["same_sums"] and told["first_layer_same"]
    print(json.dumps(told), flush=True)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
