"""The model card of a quantized model: what was done, on what, with what; for whoever finds the folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SERVE = "vllm serve PATH"
EXPERTS = {"all": "those of every sample", "routed": "those that the router sends to it"}


def card(facts: Mapping[str, Any], *, ledger: Mapping[str, Any] | None = None) -> str:
    """README.md. ``facts`` are those of ``curate-quantize.json``; ``ledger`` is {heading: text} or {heading: number} to show."""
    model, build, recipe = facts["model"], facts["build"], facts["recipe"]
    lines = [
        *_front(facts),
        f"# {model['name']}, quantized",
        "",
        f"{facts['summary']}.",
        "",
        "| | |",
        "| --- | --- |",
        f"| source | {model['name']} |",
        f"| calibration set | mix `{build['mix']}`, fingerprint `{build['fingerprint']}` |",
        f"| samples | {build['samples']:,} of {build['max_seq_length']:,} tokens; {build['held_out']:,} held out |",
        f"| tokens for each expert in calibration | {EXPERTS[facts['calibrate_experts']]} |",
        f"| recipe | {recipe['name']} (sha256 `{recipe['sha256'][:12]}`) |",
        f"| versions | {', '.join(f'{k} {v}' for k, v in facts['versions'].items())} |",
        "",
        *_proof(facts),
        *_ledger(ledger),
        "## Use",
        "",
        f"The folder is a compressed-tensors checkpoint with the tensor names of its source: `{SERVE}`, or `AutoModelForCausalLM.from_pretrained`.",
        "`curate verify-checkpoint PATH --source SOURCE` compares it with its source, tensor by tensor.",
        "",
        "## Recipe",
        "",
        "```yaml",
        recipe["text"].rstrip(),
        "```",
        "",
        *(f"* {note}" for note in facts["notes"]),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _front(facts: Mapping[str, Any]) -> list[str]:
    name = facts["model"]["name"]
    base = [f"base_model: {name}", "base_model_relation: quantized"] if facts["model"]["hub"] else []
    return ["---", *base, "library_name: transformers", "tags: [compressed-tensors, quantized, curate]", "---", ""]


def _proof(facts: Mapping[str, Any]) -> list[str]:
    proof = facts.get("smoothing")
    if not proof:
        return []
    return [
        "## Smoothing",
        "",
        f"{len(facts['tensors_smoothed']):,} tensors were rescaled before rounding. On {proof['samples']} held-out samples the logits then differed from "
        f"the source model's by {proof['logits']['median']:.2g} (median over tokens, relative; {proof['logits']['tolerance']:.2g} is allowed), and no layer's "
        f"output by more than {proof['worst_layer']['held']:.2g} in nine tokens of ten ({proof['worst_layer']['layer']}; "
        f"{proof['worst_layer']['tolerance']:.2g} is allowed).",
        "",
    ]


def _ledger(ledger: Mapping[str, Any] | None) -> list[str]:
    if not ledger:
        return []
    rows = (f"| {k} | {format(v, ',') if isinstance(v, int) else v} |" for k, v in ledger.items())
    return ["## Tokens by expert", "", "| | |", "| --- | --- |", *rows, ""]
