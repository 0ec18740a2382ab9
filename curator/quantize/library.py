"""What has to be done around llm-compressor and transformers to run them: their output kept off the terminal, and three
failures of theirs worked around. Each workaround looks for the failure first, so that it does nothing once it is mended.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any
from unittest.mock import patch

from curator.errors import MissingExtra
from curator.quantize.data import Note

NEEDED = ("torch", "llmcompressor", "compressed_tensors")
LIBRARIES = ("curate-calibration", "llmcompressor", "compressed-tensors", "transformers", "torch", "safetensors")
EXPECTED = (  # said in every run, and nothing that the user could change
    "No accelerator available",
    "Disabling tokenizer parallelism",
    "MoE is being linearized",
    "were skipped due to incompatible",
    "no layers are targeted",
    "Unable to find quantization scheme",
)


def require() -> None:
    """Raise MissingExtra where what quantizing needs is not installed."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtra(f"quantizing needs {', '.join(missing)}: pip install 'curate-calibration[awq]'")
    os.environ.setdefault("LLM_COMPRESSOR_LOG_LEVEL", "ERROR")  # read when it is imported; its warnings are taken by `quiet`


def versions() -> dict[str, str]:
    """What quantized: for the manifest and the model card."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def device_of(model: Any) -> Any:
    """Where ``model`` takes its inputs: where its embeddings run, which is not where they lie while nothing runs."""
    from compressed_tensors.offload import get_execution_device

    return get_execution_device(model.get_input_embeddings())


def forget_peak() -> None:
    """Start a new measure of the accelerator's memory."""
    import torch

    if torch.accelerator.is_available():
        torch.accelerator.reset_peak_memory_stats()


def machine() -> dict[str, Any]:
    """What ran, and the most memory that tensors took on it since ``forget_peak``, in bytes; None on a CPU."""
    import torch

    if not torch.accelerator.is_available():
        return {"device": f"CPU, {torch.get_num_threads()} threads", "peak_device_bytes": None}
    named = torch.get_device_module(torch.accelerator.current_accelerator())
    return {"device": named.get_device_name(), "peak_device_bytes": torch.accelerator.max_memory_allocated()}


def know_the_level_of_metrics() -> None:
    """llm-compressor logs at a level that it makes known only where its log is not switched off (LLM_COMPRESSOR_LOG_DISABLED); GPTQ
    then fails in the middle."""
    from loguru import logger

    try:
        logger.level("METRIC")
    except ValueError:
        logger.level("METRIC", no=38)


@contextmanager
def tamed(note: Note) -> Iterator[None]:
    """Everything that the libraries need done around them. Their warnings go to ``note``, each kind once."""
    with ExitStack() as stack:
        know_the_level_of_metrics()
        stack.enter_context(quiet(note))
        stack.enter_context(pinning_only_where_it_works())
        stack.enter_context(listable_modules())
        yield


@contextmanager
def quiet(note: Note) -> Iterator[None]:
    """No progress bars and no log lines; warnings of llm-compressor go to ``note``, but for those that say nothing new."""
    import transformers
    from llmcompressor.logger import configure_logger
    from loguru import logger
    from tqdm import std

    seen: set[str] = set()

    def tell(message: Any) -> None:
        text = str(message.record["message"])
        warning = message.record["level"].name != "METRIC"  # a level of llm-compressor's own, for figures of each module
        if warning and text not in seen and not any(e in text for e in EXPECTED):
            seen.add(text)
            note(f"llm-compressor: {text}")

    plain = std.tqdm.__init__

    def without_bar(self: Any, *arguments: Any, **options: Any) -> None:
        plain(self, *arguments, **options | {"disable": True})

    tracing = logging.getLogger("torch.fx")
    level = tracing.level
    tracing.setLevel(logging.ERROR)
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    logger.remove()
    logger.add(tell, level="WARNING", format="{message}")
    try:
        with patch.object(std.tqdm, "__init__", without_bar):
            yield
    finally:
        tracing.setLevel(level)
        configure_logger()
        transformers.logging.set_verbosity(verbosity)


@contextmanager
def pinning_only_where_it_works() -> Iterator[None]:
    """llm-compressor 0.14 pins its cache of activations in memory even where there is no accelerator to copy to, and fails
    (``Cannot access accelerator device when none is available``). Pinning only speeds copies up, so there it is left out."""
    from llmcompressor.pipelines.cache import IntermediatesCache

    if not pinning_fails():
        yield
        return
    with patch.object(IntermediatesCache, "pin_memory", lambda *_, **__: None):
        yield


def pinning_fails() -> bool:
    """Whether that failure is there: asked of the library itself, with one small tensor."""
    import torch
    from llmcompressor.pipelines.cache import IntermediatesCache

    cache = IntermediatesCache.empty(1, torch.device("cpu"))
    cache.update(0, {"probe": torch.zeros(1)})
    try:
        cache.pin_memory(0)
    except (RuntimeError, AttributeError):
        return True
    return False


@contextmanager
def listable_modules() -> Iterator[None]:
    """transformers 5 lists every module of its own to put single experts in place of fused ones, and some of those are
    aliases that are imported when listed and cannot be without torchvision. They hold no model: listed as empty."""
    broken = [] if importlib.util.find_spec("torchvision") else [m for m in list(sys.modules.values()) if _is_alias(m)]
    with ExitStack() as stack:
        for module in broken:
            stack.enter_context(patch.dict(vars(module), {"__dir__": list}))
        yield


@contextmanager
def conversions_kept(model_type: str) -> Iterator[None]:
    """llm-compressor leaves its own conversion of weight names registered with transformers after a load, and every later
    load of such a model in the process then finds no experts. What was registered before is put back."""
    from transformers import conversion_mapping

    before = conversion_mapping.get_checkpoint_conversion_mapping(model_type)
    ours = model_type in conversion_mapping.USER_REGISTERED_MAPPINGS
    try:
        yield
    finally:
        if before is not None:
            conversion_mapping.register_checkpoint_conversion_mapping(model_type, before, overwrite=True)
            if not ours:
                conversion_mapping.USER_REGISTERED_MAPPINGS.discard(model_type)


def _is_alias(module: Any) -> bool:
    return isinstance(module, ModuleType) and module.__name__.startswith("transformers.") and "__dir__" in vars(module) and module.__file__ is None
