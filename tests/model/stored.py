"""What lies in a folder of safetensors, for tests that compare bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from curator.checkpoints.reading import Reader, Tensor, open_checkpoint


def tensors_of(folder: Path) -> Mapping[str, Tensor]:
    return open_checkpoint(folder).tensors


def files_of(folder: Path) -> list[str]:
    return [f.name for f in open_checkpoint(folder).files]


def raw(tensor: Tensor) -> bytes:
    with Reader() as reader:
        return bytes(reader.whole(tensor))
