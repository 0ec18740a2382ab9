"""The records that the parts of ``curator.quantize`` hand each other, and the seam through which others look on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch

EXPERT_COUNTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")  # what configurations call it
Note = Callable[[str], None]  # one line that the user should see
Progress = Callable[[str, int, int], None]  # what is going on, how many steps are done, of how many


@dataclass(frozen=True, slots=True)
class Batch:
    """One sample of a build as a model takes it: both tensors int64, [1, tokens], on the CPU."""

    sample: int  # its line in samples.parquet, counted from 0
    input_ids: torch.Tensor
    position_ids: torch.Tensor  # restart at 0 with every document

    def inputs(self, device: Any = None) -> dict[str, torch.Tensor]:
        """The keyword arguments of a forward pass."""
        return {"input_ids": self.input_ids.to(device), "position_ids": self.position_ids.to(device)}


class Observer(Protocol):
    """Looks on while a model is calibrated, and changes nothing."""

    def attach(self, model: Any, batches: Sequence[Batch]) -> AbstractContextManager[Any]:
        """Entered before calibration starts and left when it has ended, well or not.

        ``model`` is the model in memory as llm-compressor calibrates it (every expert a module of its own). ``batches``
        are all the samples that it will see. Each passes through a layer more than once: for statistics, for a grid
        search, and to carry its output on."""
