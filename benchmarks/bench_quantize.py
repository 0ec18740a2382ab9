"""What the ledger costs: llm-compressor alone beside llm-compressor with the ledger, alternating: ``python benchmarks/bench_quantize.py BUILD``.

The model is a MiniMax-M2 of 1.3 B parameters with random weights, made here; it needs no network. BUILD is a folder that
``curate build`` wrote, of which the first --samples samples are used. Every measured run starts from the same weights; the
first, which warms the device up, is left out. Writes bench_quantize.json into $OUT (or --out). Needs ``curate[awq]``.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "benchmarks")]  # a copy of the tree runs without being installed

from eval_recipes import awq, batches, gptq, load, quantize  # noqa: E402

from curator import artifact  # noqa: E402

METHODS: dict[str, Callable[[], list[Any]]] = {"awq": lambda: awq(router=True), "gptq": lambda: gptq("memoryless_mse")}


def make_model(folder: Path, vocabulary: int, *, hidden: int, layers: int, experts: int) -> int:
    """A random model in a folder; gives how many parameters it has."""
    import torch
    from transformers import AutoModelForCausalLM, MiniMaxM2Config

    config = MiniMaxM2Config(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=hidden // 2,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        num_key_value_heads=max(1, hidden // 256),
        head_dim=64,
        num_local_experts=experts,
        num_experts_per_tok=4,
        max_position_embeddings=32768,
        bos_token_id=0,
        eos_token_id=0,
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    return sum(p.numel() for p in model.parameters())


def measure(folder: Path, given: list[Any], documents: Any, method: str, *, device: str, with_ledger: bool) -> dict[str, Any]:
    import torch

    from curator.quantize.ledger import Ledger

    gc.collect()
    cuda = torch.cuda.is_available()
    model = load(folder, device)
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    watch = Ledger(documents) if with_ledger else None
    started = time.perf_counter()
    quantize(model, METHODS[method](), given, every=True, watch=watch)
    if cuda:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    result = {"ledger": with_ledger, "seconds": seconds, "peak_bytes": torch.cuda.max_memory_allocated() if cuda else None}
    if watch is not None:
        counted = watch.result()
        assert all(layer.totals.sum() == counted.tokens * layer.top_k for layer in counted.layers)
        result["counted"] = int(sum(layer.totals.sum() for layer in counted.layers))
    print(json.dumps({"method": method} | result), flush=True)  # what was measured stays where a later run is cut short
    return result


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    seconds = {with_ledger: [r["seconds"] for r in runs if r["ledger"] is with_ledger] for with_ledger in (False, True)}
    peak = {with_ledger: max((r["peak_bytes"] or 0) for r in runs if r["ledger"] is with_ledger) for with_ledger in (False, True)}
    return {
        "ratio_of_medians": statistics.median(seconds[True]) / statistics.median(seconds[False]),
        "ratio_of_best": min(seconds[True]) / min(seconds[False]),
        "seconds_alone": seconds[False],
        "seconds_with_ledger": seconds[True],
        "peak_bytes_alone": peak[False],
        "peak_bytes_with_ledger": peak[True],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--experts", type=int, default=32)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", ".")))
    asked = parser.parse_args()

    import torch

    described, documents = artifact.manifest(asked.build), artifact.read_frame(asked.build, "documents")
    given = batches(asked.build, list(range(min(asked.samples, described["samples"]))))
    machine = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor()
    report: dict[str, Any] = {"machine": machine, "torch": torch.__version__, "samples": len(given), "tokens": sum(b.input_ids.numel() for b in given)}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        report["parameters"] = make_model(folder, described["tokenizer"]["vocab_size"], hidden=asked.hidden, layers=asked.layers, experts=asked.experts)
        for method in asked.methods:
            measure(folder, given[:2], documents, method, device=asked.device, with_ledger=True)
            # Each goes first in every other round, so that neither has the warmer machine.
            order = [flag for turn in range(asked.rounds) for flag in ((False, True) if turn % 2 == 0 else (True, False))]
            runs = [measure(folder, given, documents, method, device=asked.device, with_ledger=flag) for flag in order]
            report[method] = {**summary(runs), "runs": runs}
            artifact.write_json(asked.out / "bench_quantize.json", report)
            print(method, {k: v for k, v in report[method].items() if k != "runs"}, flush=True)


if __name__ == "__main__":
    main()
