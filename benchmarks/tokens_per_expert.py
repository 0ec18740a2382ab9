"""How many tokens an expert needs before calibrating it pays: ``python benchmarks/tokens_per_expert.py MODEL BUILD``.

Of each MoE layer the --experts best-fed experts are taken. What a plain pass sends to one is split in two: from the first part come n
tokens to calibrate on, the second tells the error. For every n, GPTQ (llm-compressor's own, its damping included) rounds the
expert's layers, and the squared error of their outputs on the second part is set beside that of rounding to nearest. For AWQ's
statistic, the mean of each feature's absolute value, the same n tokens are set beside all of the first part.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent)]

from eval_recipes import batches, load  # noqa: E402

from curator import artifact  # noqa: E402

COUNTS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
TESTED, GROUP = 1024, 32


def inputs_of(model: Any, given: list[Any], experts: int) -> dict[str, tuple[Any, Any]]:
    """{name: (linear layer, [tokens, features])} of the best-fed experts of every layer, in the order of the samples."""
    import torch

    kept: dict[str, list[Any]] = defaultdict(list)
    linears = {n: m for n, m in model.named_modules() if ".experts." in n and n.endswith(("gate_proj", "down_proj"))}
    handles = [m.register_forward_pre_hook(lambda _, x, n=n: kept[n].append(x[0].detach().float())) for n, m in linears.items()]
    with torch.no_grad():
        for batch in given:
            model.base_model(**batch.inputs(model.device), use_cache=False)
    for handle in handles:
        handle.remove()
    by_layer: dict[str, list[str]] = defaultdict(list)
    for name in kept:
        by_layer[name.partition(".experts.")[0] + name.rpartition(".")[2]].append(name)
    enough = COUNTS[-1] + TESTED
    chosen = [n for names in by_layer.values() for n in sorted(names, key=lambda n: -sum(map(len, kept[n])))[:experts]]
    every = {n: torch.cat(kept[n]) for n in chosen}
    shuffled = torch.Generator().manual_seed(0)
    return {n: (linears[n], x[torch.randperm(len(x), generator=shuffled)]) for n, x in every.items() if len(x) >= enough}


def gptq(weight: Any, x: Any) -> Any:
    """The weight rounded by GPTQ on the tokens x; with none, to the nearest."""
    import torch
    from compressed_tensors.quantization import QuantizationArgs, fake_quantize
    from llmcompressor.modifiers.gptq.gptq_quantize import quantize_weight

    how = QuantizationArgs(num_bits=4, type="int", symmetric=True, strategy="group", group_size=GROUP)
    scale = weight.reshape(len(weight), -1, GROUP).abs().amax(-1) / 7.5
    zero = torch.zeros_like(scale)
    if x is None:
        return fake_quantize(weight, scale, zero, how)
    hessian = (2 / len(x)) * x.T @ x
    return quantize_weight(weight[None].clone(), hessian[None].clone(), scale[None], zero[None], None, how)[0][0]


def measure(linear: Any, x: Any) -> tuple[dict[int, float], dict[int, float]]:
    """{n: error of GPTQ over that of rounding to nearest}, {n: relative error of AWQ's statistic}."""
    weight, test = linear.weight.detach().float(), x[-TESTED:]
    wanted, usual = test @ weight.T, x[: COUNTS[-1]].abs().mean(0)
    nearest = (test @ gptq(weight, None).T - wanted).pow(2).sum()
    errors = {n: float((test @ gptq(weight, x[:n]).T - wanted).pow(2).sum() / nearest) for n in COUNTS}
    means = {n: float(((x[:n].abs().mean(0) - usual).abs() / usual).median()) for n in COUNTS}
    return errors, means


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("build", type=Path)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--experts", type=int, default=4)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", ".")))
    asked = parser.parse_args()

    model = load(asked.model, asked.device, "float32")
    step = artifact.manifest(asked.build)["samples"] // asked.samples
    found = inputs_of(model, batches(asked.build, [n * step for n in range(asked.samples)]), asked.experts)
    results: dict[str, Any] = {}
    for kind in ("gate_proj", "down_proj"):
        measured = [measure(*given) for name, given in found.items() if name.endswith(kind)]
        features = next(linear.in_features for name, (linear, _) in found.items() if name.endswith(kind))
        results[kind] = {
            "features": features,
            "layers": len(measured),
            "gptq_over_nearest": {n: statistics.median(errors[n] for errors, _ in measured) for n in COUNTS},
            "worst": {n: max(errors[n] for errors, _ in measured) for n in COUNTS},
            "mean_of_features": {n: statistics.median(means[n] for _, means in measured) for n in COUNTS},
        }
        print(kind, results[kind], flush=True)
    artifact.write_json(asked.out / "tokens_per_expert.json", results)


if __name__ == "__main__":
    main()
