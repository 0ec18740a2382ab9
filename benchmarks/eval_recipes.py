"""What each way of quantizing costs a trained model: ``python benchmarks/eval_recipes.py MODEL BUILD [--calibrate 64] [--held 48]``.

A second run with other methods adds to the table of the first.

Every method starts from the model as it is, is calibrated on the same samples of BUILD (all experts forced, but where it says
routed) and is compared with the model on the same held-out ones: mean KL divergence per token, in nats, by category. The
difference to rounding is taken token by token, so that its error is not that of documents which are all harder than others.
Only the experts are quantized: 4-bit integers, symmetric, groups of 32. Needs ``curate[awq]``; no network.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from curator import artifact

EXPERTS = r"re:.*experts\.\d+\..*proj$"


def weights(observer: str) -> dict[str, Any]:
    numbers = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": 32, "observer": observer}
    return {"config_groups": {"experts": {"targets": [EXPERTS], "weights": numbers}}}


def rounding(observer: str) -> list[Any]:
    from llmcompressor.modifiers.quantization import QuantizationModifier

    return [QuantizationModifier(**weights(observer))]


def awq(*, router: bool) -> list[Any]:
    from llmcompressor.modifiers.transform.awq import AWQMapping, AWQModifier

    readers = [r"re:.*experts\.\d+\.gate_proj$", r"re:.*experts\.\d+\.up_proj$"]
    mappings = [
        AWQMapping("re:.*post_attention_layernorm$", [*([r"re:.*mlp\.gate$"] if router else []), *readers]),
        AWQMapping(r"re:.*experts\.\d+\.up_proj$", [r"re:.*experts\.\d+\.down_proj$"]),
    ]
    return [AWQModifier(mappings=mappings, duo_scaling=True), *rounding("memoryless_minmax")]


def gptq(observer: str) -> list[Any]:
    from llmcompressor.modifiers.gptq import GPTQModifier

    return [GPTQModifier(**weights(observer))]


METHODS: dict[str, tuple[Callable[[], list[Any]], bool]] = {
    "round to nearest, minmax": (lambda: rounding("memoryless_minmax"), True),
    "round to nearest, mse": (lambda: rounding("memoryless_mse"), True),
    "AWQ, router left out": (lambda: awq(router=False), True),
    "AWQ, router balanced": (lambda: awq(router=True), True),
    "GPTQ, minmax": (lambda: gptq("memoryless_minmax"), True),
    "GPTQ, mse": (lambda: gptq("memoryless_mse"), True),
    "GPTQ, mse, routed tokens only": (lambda: gptq("memoryless_mse"), False),
}


def batches(build: Path, numbers: list[int]) -> list[Any]:
    import torch

    from curator.quantize.data import Batch

    data = artifact.read_data(build)
    return [Batch(n, *(torch.tensor(data[c][n].to_numpy()).long()[None] for c in ("input_ids", "position_ids"))) for n in numbers]


def load(model: Path, device: str, dtype: str = "auto") -> Any:
    from llmcompressor.modeling.moe.linearize import linearize_moe
    from transformers import AutoModelForCausalLM

    return linearize_moe(AutoModelForCausalLM.from_pretrained(model, dtype=dtype).to(device).eval())


def quantize(model: Any, recipe: list[Any], given: list[Any], *, every: bool, watch: Any = None) -> float:
    """Run llm-compressor over the model; gives the seconds that it took."""
    import torch
    from llmcompressor import oneshot
    from llmcompressor.pipelines.cache import IntermediatesCache
    from torch.utils.data import DataLoader

    from curator.quantize import library, masks

    library.know_the_level_of_metrics()

    if not torch.accelerator.is_available():  # AWQ pins memory for an accelerator, and fails where there is none
        IntermediatesCache.pin_memory = lambda *_, **__: None
    data = DataLoader([batch.inputs() for batch in given], batch_size=None)
    started = time.perf_counter()
    with masks.made_when_run(model), watch.attach(model, given) if watch else nullcontext():
        oneshot(model=model, processor=object(), dataset=data, recipe=recipe, moe_calibrate_all_experts=every)
    return time.perf_counter() - started


BASE = "round to nearest, minmax"


def difference(table: Any, base: list[float]) -> dict[str, float | None]:
    """By how much the mean KL of ``table`` is above ``base`` (each token's by the other method), with its standard error over documents."""
    import numpy as np

    from curator.quantize import evaluate

    _, document = np.unique(table["document"].to_numpy(), return_inverse=True)
    value, error = evaluate.mean(table["kl"].to_numpy() - np.array(base), document)
    return {"value": value, "se": error}


def markdown(results: dict[str, Any]) -> str:
    base = results[BASE]["cost"]["overall"]["kl_mean"]["value"]
    lines = [
        "| method | samples | mean KL (standard error) | of round to nearest | difference (standard error) | 99th percentile | perplexity | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        overall = result["cost"]["overall"]
        mean = overall["kl_mean"]
        lines.append(
            f"| {name} | {result['calibrated']} | {mean['value']:.4f} ({mean['se']:.4f}) | {mean['value'] / base:.2f}"
            f" | {result['difference']['value']:+.5f} ({result['difference']['se']:.5f}) | {overall['kl_p99']['value']:.3f}"
            f" | {overall['perplexity_source']['value']:.2f} → {overall['perplexity']['value']:.2f} | {result['seconds']:.0f} |"
        )
    lines += ["", "| mean KL by category | tokens | " + " | ".join(results) + " |", "|---|---|" + "---|" * len(results)]
    for at, row in enumerate(next(iter(results.values()))["cost"]["by_category"]):
        cells = [f"{r['cost']['by_category'][at]['kl_mean']['value']:.4f}" for r in results.values()]
        lines.append(f"| {row['name']} | {row['tokens']:,} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("build", type=Path)
    parser.add_argument("--calibrate", type=int, default=64)
    parser.add_argument("--held", type=int, default=48)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="auto", help="float32 is twice as fast on most CPUs")
    parser.add_argument("--only", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", ".")))
    asked = parser.parse_args()

    from curator.quantize import evaluate

    held = evaluate.hold_out(artifact.read_frame(asked.build, "samples"), asked.held, seed=0)
    rest = [n for n in range(len(artifact.read_frame(asked.build, "samples"))) if n not in set(held)]
    given = batches(asked.build, sorted(random.Random("0:eval_recipes:calibrate").sample(rest, asked.calibrate)))
    documents = artifact.read_frame(asked.build, "documents")
    before = evaluate.reference(load(asked.model, asked.device, asked.dtype), batches(asked.build, held))
    results = earlier(asked.out / "eval_recipes.json", held)
    for name in [n for n in METHODS if n in asked.only or (n == BASE and n not in results)]:
        make, every = METHODS[name]
        model = load(asked.model, asked.device, asked.dtype)
        seconds = quantize(model, make(), given, every=every)
        table = evaluate.token_table(before, evaluate.compare(before, model), documents)
        results[name] = {"calibrated": len(given), "tokens": sum(b.input_ids.numel() for b in given), "seconds": seconds, "cost": evaluate.cost(table)}
        results[name]["kl"] = table["kl"].to_list()
        results[name]["difference"] = difference(table, results[BASE]["kl"])
        print(name, results[name]["cost"]["overall"]["kl_mean"], results[name]["difference"], f"{seconds:.0f} s", flush=True)
        artifact.write_json(asked.out / "eval_recipes.json", {"held": held, "results": results})
    (asked.out / "eval_recipes.md").write_text(markdown(results), encoding="utf-8")


def earlier(file: Path, held: list[int]) -> dict[str, Any]:
    """The results of an earlier run over the same held-out samples, to add to."""
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return dict(known["results"]) if known.get("held") == held else {}


if __name__ == "__main__":
    main()
