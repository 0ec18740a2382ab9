"""Whether `curate dequantize` gives the same bytes on a GPU as on the CPU, and how long each takes.

Makes a small FP8 checkpoint with all that a device could see otherwise: NaN codes, blocks that are ragged on both sides, scales
in float32, bfloat16 and E8M0, scales that are no numbers or overflow, and products that two roundings would get wrong. Needs torch, numpy and
this repository, and no network:

    python benchmarks/check_dequantize_gpu.py [--device cuda] [--mb 400]

Prints one line of JSON; ends with code 1 where a byte differs. Each device runs in a process of its own, twice, on files that
are in the page cache; the shorter time counts, without imports and without the start of the device.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from curator.checkpoints import dequantize
from curator.checkpoints.reading import Reader, Tensor, open_checkpoint
from curator.checkpoints.writing import Planned, given, plan_shards, write_index, write_json, write_shard

BLOCK = (128, 128)
SHAPES = ((1536, 3072), (3072, 1536), (1000, 1111), (2, 700, 900), (129, 127), (1, 1))


def scales(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> bytes:
    """Random scales of a kind; some are NaN, infinite, or so large that their products are."""
    numbers = (rng.integers(2**23, 2**24, shape) * 2.0 ** rng.integers(-40, -20, shape)).astype(np.float32)
    numbers.reshape(-1)[:: 1 + numbers.size // 3] = rng.choice(np.array([np.nan, np.inf, 3e38, 1e-44, 256.0], np.float32))
    if kind == "F8_E8M0":
        return rng.integers(90, 256, shape, dtype=np.uint8).tobytes()  # 255 is its NaN
    return numbers.tobytes() if kind == "F32" else (numbers.view(np.uint32) >> 16).astype(np.uint16).tobytes()


def tensors(megabytes: int) -> Iterator[Planned]:
    rng = np.random.default_rng(0)
    made, number = 0, 0
    while made < megabytes * 1e6 or number < 3 * len(SHAPES):
        shape, kind = SHAPES[number % len(SHAPES)], ("F32", "BF16", "F8_E8M0")[number % 3 if number >= len(SHAPES) else number // 2]
        codes = rng.integers(0, 256, shape, dtype=np.uint8)
        if number % 2:
            codes[(codes & 127) == 127] = 1  # a weight without NaN goes another way
        blocks = (*shape[:-2], -(-shape[-2] // BLOCK[0]), -(-shape[-1] // BLOCK[1]))
        yield given(f"layers.{number:04d}.weight", "F8_E4M3", shape, codes.tobytes())
        yield given(f"layers.{number:04d}.weight_scale_inv", kind, blocks, scales(rng, blocks, kind))
        made, number = made + codes.size, number + 1
    yield given("norm.weight", "BF16", (64,), bytes(128))


def save(folder: Path, megabytes: int) -> None:
    folder.mkdir()
    shards = plan_shards(tensors(megabytes), limit=100_000_000)
    for shard in shards:
        write_shard(folder / shard.name, shard.tensors)
    write_index(folder, {t.name: s.name for s in shards for t in s.tensors}, sum(t.nbytes for s in shards for t in s.tensors))
    write_json(folder / "config.json", {"quantization_config": {"quant_method": "fp8", "weight_block_size": list(BLOCK)}})


def one(device: str, source: Path, target: Path) -> dict[str, object]:
    """Dequantize twice on a device, in this process."""
    import torch

    dequantize.check_device(device)
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        dequantize.dequantize(source, target, device=device, limit=200_000_000, force=True)
        seconds.append(time.perf_counter() - started)
    on_device = torch.cuda.max_memory_allocated(device) / 1e9 if device.startswith("cuda") else 0.0
    return {"seconds": min(seconds), "host_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, "device_gb": on_device}


def apart(device: str, source: Path, target: Path) -> dict[str, float]:
    """The same in a process of its own."""
    done = subprocess.run([sys.executable, __file__, "--device", device, "--one", source, target], stdout=subprocess.PIPE, check=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def differences(one: Path, other: Path) -> list[str]:
    """Files and tensors that differ."""
    files = sorted({p.name for folder in (one, other) for p in folder.iterdir()})
    found = [name for name in files if not all((f / name).is_file() for f in (one, other)) or (one / name).read_bytes() != (other / name).read_bytes()]
    left, right = open_checkpoint(one).tensors, open_checkpoint(other).tensors

    def raw(tensor: Tensor) -> bytes:
        with Reader() as reader:
            return bytes(reader.whole(tensor))

    return found + [n for n in left if n not in right or raw(left[n]) != raw(right[n])]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--mb", type=int, default=400)
    parser.add_argument("--one", nargs=2, type=Path, metavar=("SOURCE", "TARGET"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(options.device, *options.one)))
        return 0
    with tempfile.TemporaryDirectory(prefix="curate-gpu-") as name:
        root = Path(name)
        save(root / "fp8", options.mb)
        cpu, other = apart("cpu", root / "fp8", root / "cpu"), apart(options.device, root / "fp8", root / "device")
        found = differences(root / "cpu", root / "device")
        counted = json.loads((root / "cpu" / dequantize.MANIFEST).read_text(encoding="utf-8"))["dequantized"]
        said = {
            "device": options.device,
            "weights": counted,
            "fp8_gb": round(sum(f.stat().st_size for f in (root / "fp8").iterdir()) / 1e9, 3),
            "same_bytes": not found,
            "differ": found[:20],
            "seconds_cpu": round(cpu["seconds"], 2),
            "seconds_device": round(other["seconds"], 2),
            "cpu_to_device": round(cpu["seconds"] / other["seconds"], 2),
            "peak_gb_cpu": round(cpu["host_gb"], 2),
            "peak_gb_with_device": round(other["host_gb"], 2),
            "peak_gb_on_device": round(other["device_gb"], 3),
        }
    print(json.dumps(said))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
