"""Model families as data: what the tensors of an architecture are for, and how it is served. One YAML file each in ``families/``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field

from curator.errors import UsageError

Role = Literal["experts", "shared_experts", "dense_mlp", "router", "mlp_norms", "attention", "attention_norms", "embeddings", "final_norm", "extra"]
ROLES: tuple[Role, ...] = get_args(Role)
FOLDER = Path(__file__).resolve().parent / "families"


class Alias(BaseModel):
    """A part of a module's name that programs write otherwise in memory than checkpoints do."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    checkpoint: str = Field(description="As checkpoints have it.")
    memory: str = Field(description="As transformers, llm-compressor or a server have it.")


class FullSize(BaseModel):
    """What is true only of a model of the published size, quantized to no more than so many bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    config: dict[str, int] = Field(description="What config.json then says.")
    most_gb: float = Field(description="Weights in all, in 10^9 bytes.")
    notes: tuple[str, ...]


class Serving(BaseModel):
    """How vLLM is told to serve the family."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    tool_call_parser: str | None = None
    reasoning_parser: str | None = None
    reasoning_parser_instead: str | None = Field(None, description="Another that fits as well.")
    gpus: int = Field(1, description="Tensor parallel size to start from.")
    sampling: dict[str, float | int] = Field(default_factory=dict, description="For --override-generation-config.")
    arguments: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    full_size: FullSize | None = None


class Family(BaseModel):
    """The tensors of an architecture by what they are for.

    ``roles`` holds regular expressions for whole names, of the parameter without ``.weight`` or ``.bias`` where it has one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    model_types: tuple[str, ...] = Field(description="`model_type` of config.json.")
    roles: dict[Role, tuple[str, ...]]
    reads: dict[Role, tuple[str, ...]] = Field(description="Norms, and the modules that read what they give: in a layer all or none must be scaled.")
    aliases: tuple[Alias, ...] = ()
    extra_layers: bool = Field(False, description="Layers after the last, for drafting tokens, that quantizing leaves out.")
    serving: Serving = Field(default_factory=lambda: Serving.model_validate({}))

    @cached_property
    def _patterns(self) -> list[tuple[Role, re.Pattern[str]]]:
        return [(role, re.compile(p)) for role in ROLES for p in self.roles.get(role, ())]

    def role(self, parameter: str) -> Role | None:
        """What a parameter is for."""
        module = re.sub(r"\.(weight|bias)$", "", parameter)
        return next((role for role, pattern in self._patterns if pattern.fullmatch(module)), None)

    def read_by(self, norms: Role, module: str) -> bool:
        """Whether a module reads what the norms of its layer give."""
        return any(re.fullmatch(p, module) for p in self.reads.get(norms, ()))

    def in_checkpoint(self, name: str) -> str:
        """A tensor's name as checkpoints have it."""
        for alias in self.aliases:
            name = _replaced(name, alias.memory, alias.checkpoint)
        return name

    def in_memory(self, name: str) -> str:
        """A module's name as programs have it."""
        for alias in self.aliases:
            name = _replaced(name, alias.checkpoint, alias.memory)
        return name

    def wordings(self, module: str) -> tuple[str, str, str]:
        """A module's name as checkpoints have it, as programs have it, and as some do that call only the last part otherwise."""
        owner, _, last = module.rpartition(".")
        return module, self.in_memory(module), f"{owner}.{self.in_memory(last)}" if owner else module


def _replaced(name: str, old: str, new: str) -> str:
    """``name`` with the whole parts ``old`` replaced."""
    return re.sub(rf"(?<![^.]){re.escape(old)}(?![^.])", new, name)


def families() -> Iterator[Family]:
    """Every family there is."""
    for file in sorted(FOLDER.glob("*.yaml")):
        yield Family.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))


def family_of(config: Mapping[str, Any], *, where: Path) -> Family:
    """The family of a model by its config. Raises UsageError for one without a card."""
    every = list(families())
    wanted = config.get("model_type")
    found = next((f for f in every if wanted in f.model_types), None)
    if found is None:
        known = ", ".join(t for f in every for t in f.model_types)
        raise UsageError(f"{where}: no rules for model_type {wanted!r}; known: {known}")
    return found
