"""A quantized model as a folder like the one that it came from: the same files and tensor names, quantized weights packed,
all else copied byte for byte unless smoothing changed it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curator import artifact
from curator.checkpoints import writing
from curator.checkpoints.reading import CONFIG, INDEX, TORCH, Reader, Tensor, listed, open_checkpoint, read_config
from curator.checkpoints.writing import Planned
from curator.errors import QuantizeError
from curator.quantize.data import Progress
from curator.quantize.names import WEIGHT, Naming, first_number, matches, natural, numberless, patterns, shown

MANIFEST = "curate-quantize.json"
FORMAT = "curate-quantized/1"
QUANTIZED = artifact.Kind("quantized model", MANIFEST)
OWN = ("README.md", "recipe.yaml", MANIFEST)  # written anew, or of another model


@dataclass(frozen=True, slots=True)
class Written:
    """What became of every tensor of the source, by its name there; ``packed`` are modules, the others tensors. ``files`` has
    {sha256, bytes} of what was digested while it was written."""

    packed: Mapping[str, tuple[str, ...]]  # module -> the tensors that stand for its weight
    smoothed: tuple[str, ...]
    copied: tuple[str, ...]
    files: Mapping[str, dict[str, Any]]


def write(model: Any, naming: Naming, source: Path, folder: Path, *, may_change: Iterable[str] = (), progress: Progress = lambda *_: None) -> Written:
    """Write the tensors, ``config.json`` and the files beside them into ``folder``, file for file as ``source`` has them.

    ``may_change``: modules in memory that smoothing has touched. Raises QuantizeError where anything else has changed.
    """
    modules = dict(model.named_modules())
    packed = {naming.source_of(name): module for name, module in modules.items() if _scheme(module) is not None}
    allowed = {f"{name}{suffix}" for name in may_change for suffix in (WEIGHT, ".bias")}
    made: dict[str, tuple[str, ...]] = {}
    kept: dict[str, list[str]] = defaultdict(list)
    weight_map: dict[str, str] = {}
    origin = open_checkpoint(source)
    files: dict[str, dict[str, Any]] = {}
    total = 0
    with Reader() as reader:
        for number, (file, tensors) in enumerate(origin.by_file.items()):
            progress(f"writing {file.name}", number, len(origin.files))
            parts: list[Planned] = []
            for stored in tensors:
                found, how = _parts(stored, reader, naming, modules, packed, allowed)
                parts += found
                if how == "packed":
                    made[stored.name.removesuffix(WEIGHT)] = tuple(p.name for p in found)
                else:
                    kept[how].append(stored.name)
            files[file.name] = writing.write_shard(folder / file.name, parts)
            weight_map |= dict.fromkeys((p.name for p in parts), file.name)
            total += sum(p.nbytes for p in parts)
    if (source / INDEX).is_file():
        writing.write_index(folder, weight_map, total)
    files |= writing.copy_companions(source, folder, leave_out=OWN)
    writing.write_json(folder / CONFIG, {**origin.config, "quantization_config": quantization_config(packed, modules, naming, origin.tensors)})
    return Written(made, tuple(kept["smoothed"]), tuple(kept["copied"]), files)


def refuse_quantized(source: Path) -> None:
    """Raise QuantizeError for a model that cannot be written back: quantized already, or with files that lie elsewhere."""
    faults = [f"{p.relative_to(source)}: leads out of the folder; put the file itself there" for p in writing.companions(source, linked_out=True)]
    about = read_config(source, faults).get("quantization_config")
    if faults:
        raise QuantizeError(listed(f"{source} cannot be used", faults))
    if about:
        method = about.get("quant_method") if isinstance(about, dict) else about
        raise QuantizeError(f"{source}: quantized already ({method}); take its checkpoint in 16 bits, or dequantize it first")


def refuse_other_values(model: Any, naming: Naming, stored: Mapping[str, Tensor], names: Iterable[str]) -> None:
    """Raise QuantizeError where a module in memory does not hold the weight that the source has under the name found for it.

    Compares one module of each make in each layer: a wrong pairing is wrong for all of a make."""
    modules = dict(model.named_modules())
    first = {(numberless(n), first_number(n)): n for n in sorted(names, key=natural, reverse=True)}
    with Reader() as reader:
        for name in first.values():
            source = f"{naming.source_of(name)}{WEIGHT}"
            if _changed(stored[source], reader, _tensor(modules, f"{name}{WEIGHT}")) is not None:
                raise QuantizeError(f"{name}: does not hold what the checkpoint calls {source}; this family cannot be written back safely, so nothing is done")


def _scheme(module: Any) -> Any:
    scheme = getattr(module, "quantization_scheme", None)
    return scheme if scheme is not None and scheme.weights is not None else None


def _parts(
    stored: Tensor, reader: Reader, naming: Naming, modules: Mapping[str, Any], packed: Mapping[str, Any], allowed: set[str]
) -> tuple[list[Planned], str]:
    """What stands in the new file for one tensor of the source, and how it came about."""
    owner, _, leaf = stored.name.rpartition(".")
    if leaf == "weight" and owner in packed:
        return list(_packed(owner, packed[owner])), "packed"
    memory = naming.in_memory.get(stored.name)
    changed = None if memory is None else _changed(stored, reader, _tensor(modules, memory))
    if changed is None:
        return [writing.copied(stored, reader)], "copied"
    if memory not in allowed:
        raise QuantizeError(f"{stored.name}: no longer as in the source, and neither quantized nor smoothed; the recipe has a step that curate does not know")
    return [writing.given(stored.name, stored.dtype, stored.shape, changed)], "smoothed"


def _packed(owner: str, module: Any) -> Iterator[Planned]:
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.utils import get_direct_state_dict

    state = {name: tensor.detach().cpu() for name, tensor in get_direct_state_dict(module).items() if name != "bias"}
    compressor = BaseCompressor.get_value_from_registry(_format(module))
    for name, tensor in compressor.compress(state, _scheme(module)).items():
        if tensor is not None:
            yield writing.given(f"{owner}.{name}", _dtype(tensor), tuple(tensor.shape), _bytes(tensor))


def _format(module: Any) -> str:
    from compressed_tensors.compressors.format import infer_module_format

    scheme = _scheme(module)
    found = scheme.format or infer_module_format(type(module), scheme)
    return str(getattr(found, "value", found))


def _tensor(modules: Mapping[str, Any], name: str) -> Any:
    from compressed_tensors.utils import get_direct_state_dict

    owner, _, leaf = name.rpartition(".")
    return get_direct_state_dict(modules[owner])[leaf].detach().cpu()


def _changed(stored: Tensor, reader: Reader, tensor: Any) -> bytes | None:
    """The tensor's bytes in the source's type where it differs from the source; a cast to the model's type is no difference."""
    import torch

    before = torch.frombuffer(reader.whole(stored), dtype=getattr(torch, TORCH[stored.dtype])).reshape(stored.shape)
    if torch.equal(before.to(tensor.dtype), tensor):
        return None
    return _bytes(tensor.to(before.dtype))


def _bytes(tensor: Any) -> bytes:
    import torch

    return bytes(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()) if tensor.numel() else b""


def _dtype(tensor: Any) -> str:
    import torch

    return next(name for name, called in TORCH.items() if getattr(torch, called) == tensor.dtype)


def quantization_config(packed: Mapping[str, Any], modules: Mapping[str, Any], naming: Naming, stored: Mapping[str, Tensor]) -> dict[str, Any]:
    """What a server needs to know, in the names of the source checkpoint, also of layers that are ``stored`` there and were not
    loaded (those that predict further tokens): a server may load them. A target also takes the name in memory where the
    last part differs, since vLLM asks for ``experts.0.gate_proj`` whatever the checkpoint calls it."""
    import compressed_tensors
    import torch
    from compressed_tensors.quantization import QuantizationConfig, QuantizationStatus

    embeddings = {naming.in_source.get(n) for n, m in modules.items() if isinstance(m, torch.nn.Embedding)}
    matrices = {s for n, s in naming.in_source.items() if modules[n].weight.dim() == 2 and s not in embeddings}
    matrices |= {n.removesuffix(WEIGHT) for n, t in stored.items() if n.endswith(WEIGHT) and n not in naming.in_memory and len(t.shape) == 2}
    groups: dict[str, tuple[Any, list[str]]] = {}
    for name, module in packed.items():
        scheme = _scheme(module).model_copy(update={"format": _format(module), "targets": []})
        groups.setdefault(scheme.model_dump_json(), (scheme, []))[1].append(name)
    local = {source: memory for memory, source in naming.in_source.items()}
    schemes = {}
    for number, (scheme, names) in enumerate(groups.values()):
        targets = [_with_alias(t, names, local) for t in patterns(names, matrices)]
        schemes[f"group_{number}"] = scheme.model_copy(update={"targets": targets})
    formats = {s.format for s in schemes.values()}
    config = QuantizationConfig(
        config_groups=schemes,
        quantization_status=QuantizationStatus.COMPRESSED,
        format=next(iter(formats)) if len(formats) == 1 else "mixed-precision",
        ignore=sorted(matrices.difference(packed), key=natural),
    )
    described = json.loads(config.model_dump_json(exclude={"quant_method"}))
    return {"quant_method": "compressed-tensors", "version": compressed_tensors.__version__, **described}


def _with_alias(target: str, names: Sequence[str], local: Mapping[str, str]) -> str:
    leaf = target.removeprefix("re:^").removesuffix("$").rpartition(r"\.")[2]
    meant = next(n for n in names if matches(target, n))
    alias = local[meant].rpartition(".")[2]
    if not target.startswith("re:") or alias == leaf:
        return target
    return target.removesuffix(f"{leaf}$") + f"({leaf}|{alias})$"


def write_manifest(folder: Path, facts: Mapping[str, Any], written: Written) -> dict[str, Any]:
    """``curate-quantize.json``: what was done to what, and every file's digest; written last."""
    tensors = {"quantized": {n: list(t) for n, t in written.packed.items()}, "smoothed": list(written.smoothed), "copied": list(written.copied)}
    manifest = {"format": FORMAT, **facts, "tensors": tensors, "files": artifact.file_table(folder, marker=MANIFEST, known=written.files)}
    artifact.write_json(folder / MANIFEST, manifest)
    return manifest


def said(written: Written) -> str:
    """One line for a reader."""
    return f"{len(written.packed):,} weights quantized ({shown(written.packed)}), {len(written.smoothed):,} smoothed, {len(written.copied):,} copied"
