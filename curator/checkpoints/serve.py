"""The command that serves a checkpoint with vLLM, and which servers can load it, from its config and its family's card."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

from curator.checkpoints.families import Family, family_of
from curator.checkpoints.reading import CONFIG, Checkpoint, open_checkpoint
from curator.checkpoints.scheme import MIXED, PACKED, are_groups
from curator.errors import QuantizeError, UsageError

# What each kind of folder is loaded by. vLLM reads formats by group since its pull request 22468 (August 2025); in SGLang that is
# asked for in its pull request 37207. transformers turns any of them back into 16 bit.
SERVERS = {
    "16 bit": ("vLLM", "SGLang", "transformers"),
    "FP8": ("vLLM", "SGLang", "transformers"),
    "one format": ("vLLM", "SGLang", "transformers"),
    MIXED: ("vLLM since August 2025", "transformers 5 (in 16 bit)"),
}
MOST_TOKENS = 10**9  # of context; a larger number in a config means none
NOT_FOR = {MIXED: "SGLang (one format a checkpoint): stitch onto the 16-bit model instead"}


@dataclass(frozen=True, slots=True)
class Script:
    """How a checkpoint is served."""

    family: str
    kind: str
    stored: tuple[str, ...]  # what is stored how, in words
    command: tuple[str, ...]
    servers: tuple[str, ...]
    not_for: str | None
    notes: tuple[str, ...]

    def text(self) -> str:
        """A shell script."""
        options = _lines(self.command)
        said = [f"{self.family}, {self.kind}: {'; '.join(self.stored)}", f"loads in: {', '.join(self.servers)}"]
        said += [f"not in: {self.not_for}"] if self.not_for else []
        comments = "\n".join(f"# {' '.join(line.split())}" for line in [*said, *self.notes])  # a config cannot end a comment
        return "#!/usr/bin/env bash\n" + comments + "\nset -euo pipefail\n" + " \\\n  ".join(["exec " + options[0], *options[1:]])


def _lines(command: tuple[str, ...]) -> list[str]:
    """The command quoted for a shell, each option with its value a line."""
    lines = [""]
    for word in command:
        if word.startswith("--"):
            lines.append(_quoted(word))
        else:
            lines[-1] = f"{lines[-1]} {_quoted(word)}".strip()
    return lines


def _quoted(word: str) -> str:
    """A word for bash; one that does not print is told by its bytes, so that the script can be shown."""
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + "".join(c if c.isprintable() and c not in "\\'" else "".join(f"\\x{b:02x}" for b in os.fsencode(c)) for c in word) + "'"


def script(model: Path, *, gpus: int | None = None) -> Script:
    """How to serve a folder. Raises UsageError for a family without a card, QuantizeError for a folder that is no whole checkpoint
    or a config that says nothing known."""
    checkpoint = open_checkpoint(model)
    config = checkpoint.config
    try:
        family = family_of(config, where=model)
    except UsageError as error:
        raise UsageError(f"{error}; without a family's parsers and sampling it is `vllm serve {shlex.quote(str(model))}`") from None
    kind, stored = describe(config, where=model / CONFIG)
    return Script(
        family=family.name,
        kind=kind,
        stored=stored,
        command=command(model, family, gpus=gpus or family.serving.gpus),
        servers=SERVERS[kind],
        not_for=NOT_FOR.get(kind),
        notes=_notes(family, checkpoint),
    )


def command(model: Path, family: Family, *, gpus: int) -> tuple[str, ...]:
    """``vllm serve`` with the family's parsers and sampling."""
    serving = family.serving
    name = model.resolve().name
    named = [f"--served-model-name={name}"] if name.startswith("-") else ["--served-model-name", name]
    words = ["vllm", "serve", str(model.resolve()), *named, "--tensor-parallel-size", str(gpus)]
    if serving.tool_call_parser:
        words += ["--enable-auto-tool-choice", "--tool-call-parser", serving.tool_call_parser]
    if serving.reasoning_parser:
        words += ["--reasoning-parser", serving.reasoning_parser]
    if serving.sampling:
        words += ["--override-generation-config", json.dumps(serving.sampling)]
    return (*words, *serving.arguments)


def _notes(family: Family, checkpoint: Checkpoint) -> tuple[str, ...]:
    config = checkpoint.config
    instead = family.serving.reasoning_parser_instead
    context = config.get("max_position_embeddings")
    return (
        *family.serving.notes,
        *_of_full_size(family, checkpoint),
        *([f"reasoning parser {instead} fits as well: it leaves the thoughts in the answer"] if instead else []),
        *(
            [f"up to {context:,} tokens of context; lower it with --max-model-len where memory is short"]
            if type(context) is int and 0 < context < MOST_TOKENS
            else []
        ),
    )


def _of_full_size(family: Family, checkpoint: Checkpoint) -> tuple[str, ...]:
    full = family.serving.full_size
    if full is None or any(checkpoint.config.get(k) != v for k, v in full.config.items()):
        return ()
    return full.notes if sum(t.nbytes for t in checkpoint.tensors.values()) <= full.most_gb * 1e9 else ()


def describe(config: Mapping[str, Any], *, where: Path) -> tuple[str, tuple[str, ...]]:
    """The kind of a checkpoint (a key of SERVERS), and what it stores how. Raises QuantizeError for another quantization."""
    about = config.get("quantization_config")
    if not about:
        return "16 bit", ("no weight is quantized",)
    method = about.get("quant_method") if isinstance(about, dict) else None
    if method == "fp8":
        block = about.get("weight_block_size")
        return "FP8", (f"E4M3 in blocks of {block}" if block else "E4M3 without blocks",)
    groups = about.get("config_groups") if isinstance(about, dict) else None
    said = f"quantization_config with quant_method {method!r}" if isinstance(about, dict) else f"quantization_config is {shortened(about)}"
    if method != "compressed-tensors" or not are_groups(groups) or not isinstance(about.get("format"), str | None):
        raise QuantizeError(f"{where}: {said}; known: none, fp8, compressed-tensors with config_groups that have targets")
    formats = {g.get("format") or about.get("format") for g in groups.values()}
    mixed = len(formats) > 1 or MIXED in formats
    return MIXED if mixed else "one format", tuple(_said(g, g.get("format") or about.get("format")) for g in groups.values())


def _said(group: Mapping[str, Any], form: Any) -> str:
    weights = group.get("weights")
    if not weights:
        return f"16-bit weights for {', '.join(group['targets'])}"
    parts = {"group": f"groups of {weights.get('group_size')}", "block": f"blocks of {weights.get('block_structure')}"}
    name = "INT" if form == PACKED or weights.get("type") == "int" else "FP"
    return f"{name}{weights.get('num_bits')} in {parts.get(str(weights.get('strategy')), weights.get('strategy'))} for {', '.join(group['targets'])}"
