"""Times `curate dequantize` and `curate stitch` as ratios to copying the same bytes, and tells their peak memory.

Makes a synthetic MiniMax-M2 in block FP8 and its AWQ model (random bytes, real shapes) under DIR, and removes them afterwards.
``--gb`` is the size of the FP8 model; DIR needs three times that. ``--only`` runs one of the two, and ``--keep`` leaves the
models for the next run.

Command and copy read files that are not in the page cache, and end when their bytes are on the disk (fsync).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from curator.checkpoints import dequantize
from curator.checkpoints.reading import Reader, open_checkpoint
from curator.checkpoints.writing import Planned, given, plan_shards, write_index, write_json, write_shard

HIDDEN, MIDDLE, HEADS, KV, HEAD_DIM, EXPERTS, BLOCK, GROUP = 3072, 1536, 48, 8, 128, 32, 128, 32
RANDOM = np.random.default_rng(0).integers(0, 120, 64 << 20, dtype=np.uint8).tobytes()
WORDS = {"F8_E4M3": 1, "F32": 4, "BF16": 2, "I32": 4, "I64": 8}


def tensor(name: str, dtype: str, *shape: int) -> Planned:
    size = int(np.prod(shape)) * WORDS[dtype]
    start = hash_of(name) % (len(RANDOM) // 2)

    def chunks() -> Iterator[bytes]:
        left = size
        while left:
            piece = RANDOM[start : start + min(left, len(RANDOM) // 2)]
            left -= len(piece)
            yield piece

    return Planned(name, dtype, shape, size, chunks)


def hash_of(name: str) -> int:
    return int.from_bytes(name.encode()[-12:], "big")


def matrices(layer: int) -> Iterator[tuple[str, int, int]]:
    """Names and shapes of the matrices of a layer: attention, then experts."""
    prefix = f"model.layers.{layer}"
    for name, rows, columns in (("q", HEADS * HEAD_DIM, HIDDEN), ("k", KV * HEAD_DIM, HIDDEN), ("v", KV * HEAD_DIM, HIDDEN), ("o", HIDDEN, HEADS * HEAD_DIM)):
        yield f"{prefix}.self_attn.{name}_proj", rows, columns
    for expert in range(EXPERTS):
        for name, rows, columns in (("w1", MIDDLE, HIDDEN), ("w2", HIDDEN, MIDDLE), ("w3", MIDDLE, HIDDEN)):
            yield f"{prefix}.block_sparse_moe.experts.{expert}.{name}", rows, columns


def plain(layer: int, *, scale: float) -> Iterator[Planned]:
    """Norms and router: ``scale`` tells the AWQ model's from the original's."""
    value = (np.full(HIDDEN, scale, np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes()
    prefix = f"model.layers.{layer}"
    yield given(
        f"{prefix}.input_layernorm.weight",
        "BF16",
        (HIDDEN,),
        value if scale == 1 else (np.full(HIDDEN, 1.0, np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes(),
    )
    yield given(f"{prefix}.post_attention_layernorm.weight", "BF16", (HIDDEN,), value)
    yield given(f"{prefix}.block_sparse_moe.gate.weight", "BF16", (EXPERTS, HIDDEN), value * EXPERTS)


def original(layers: int) -> Iterator[Planned]:
    for layer in range(layers):
        for name, rows, columns in matrices(layer):
            yield tensor(f"{name}.weight", "F8_E4M3", rows, columns)
            scales = np.random.default_rng(hash_of(name) % 2**32).random((rows // BLOCK, columns // BLOCK), np.float32) * 1e-3
            yield given(f"{name}.weight_scale_inv", "F32", scales.shape, scales.tobytes())
        yield from plain(layer, scale=1.0)


def save(folder: Path, tensors: list[Planned], config: dict[str, object], shards: int) -> None:
    folder.mkdir(parents=True)
    total = sum(t.nbytes for t in tensors)
    planned = plan_shards(tensors, limit=total // shards + (8 << 20))
    for shard in planned:
        write_shard(folder / shard.name, shard.tensors)
    if len(planned) > 1:
        write_index(folder, {t.name: s.name for s in planned for t in s.tensors}, total)
    write_json(folder / "config.json", config)


def save_fp8(folder: Path, layers: int, shards: int) -> None:
    about = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [BLOCK, BLOCK]}
    save(folder, list(original(layers)), {"model_type": "minimax_m2", "num_hidden_layers": layers, "quantization_config": about}, shards)


def save_awq(folder: Path, fp8: Path, layers: int, shards: int) -> None:
    """Packed experts of random bytes; the attention of the FP8 model in 16 bit, norms and routers changed."""
    scaled = dequantize.find_scaled(open_checkpoint(fp8))
    with Reader() as reader:
        tensors: list[Planned] = []
        for layer in range(layers):
            for name, rows, columns in matrices(layer):
                if "experts" in name:
                    tensors += [tensor(f"{name}.weight_packed", "I32", rows, columns // 8), tensor(f"{name}.weight_scale", "BF16", rows, columns // GROUP)]
                    tensors.append(given(f"{name}.weight_shape", "I64", (2,), np.array([rows, columns]).tobytes()))
                else:
                    tensors.append(dequantize.in_16_bit(scaled[f"{name}.weight"], reader, dtype="bfloat16"))
            tensors += plain(layer, scale=0.5)
        weights = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": GROUP}
        group = {"targets": ["re:.*experts.*"], "weights": weights, "input_activations": None, "output_activations": None, "format": "pack-quantized"}
        about = {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": {"group_0": group}, "ignore": []}
        save(folder, tensors, {"model_type": "minimax_m2", "num_hidden_layers": layers, "quantization_config": about}, shards)


def size(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.iterdir())


def cold(*folders: Path) -> None:
    """Have the files on the disk only, and nothing left to be written."""
    os.sync()
    for file in (f for folder in folders for f in folder.iterdir()):
        with file.open("rb") as stream:
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def run(*words: object) -> tuple[float, float, float]:
    """Seconds, seconds of CPU and peak GB of a command of curate, in a process of its own."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "curator", *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0, words
    return time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e9


def copy(source: Path, target: Path) -> tuple[float, float]:
    """Seconds, and seconds of CPU, to copy every file of a folder, one after another, onto the disk."""
    started, worked = time.perf_counter(), time.process_time()
    target.mkdir()
    for file in sorted(source.iterdir()):
        shutil.copyfile(file, target / file.name)
    for file in target.iterdir():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    spent = time.perf_counter() - started, time.process_time() - worked
    shutil.rmtree(target)
    return spent


def killed_after(seconds: float, *words: object) -> None:
    process = subprocess.Popen([sys.executable, "-m", "curator", *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()


def digests(folder: Path) -> object:
    return json.loads(next(folder.glob("curate-*.json")).read_text(encoding="utf-8"))["files"]


def measure(words: list[object], target: Path, sources: tuple[Path, ...], copied: Path, rounds: int) -> dict[str, object]:
    """In each round the command, then a copy of the folder ``copied``, which may be the result. After the last round the command is
    killed half-way and run again."""
    ran, copies, whole = [], [], None
    for _ in range(rounds):
        shutil.rmtree(target, ignore_errors=True)
        cold(*sources)
        ran.append(run(*words))
        whole = digests(target)
        if copied != target:
            shutil.rmtree(target)
        cold(copied)
        copies.append(copy(copied, target.with_name("copy")))
    shutil.rmtree(target, ignore_errors=True)
    cold(*sources)
    killed_after(min(ran)[0] / 2, *words)
    kept = len(list(target.parent.glob(f".{target.name}.unfinished/*.safetensors")))
    resumed = run(*words)
    assert digests(target) == whole, "what was resumed is not what was made in one go"
    shutil.rmtree(target)
    return {
        "what": words[0],
        "seconds": [round(t, 1) for t, _, _ in ran],
        "cpu_seconds": [round(c, 1) for _, c, _ in ran],
        "peak_gb": round(max(p for _, _, p in [*ran, resumed]), 2),
        "copy_seconds": [round(t, 1) for t, _ in copies],
        "copy_cpu_seconds": [round(c, 1) for _, c in copies],
        "ratios": [round(r[0] / c[0], 2) for r, c in zip(ran, copies, strict=True)],
        "shards_kept_after_kill": kept,
        "seconds_after_kill": round(resumed[0], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--gb", type=float, default=4.0)
    parser.add_argument("--shards", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", choices=["dequantize", "stitch"])
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    root = options.folder / "curate-bench-checkpoints"
    layers = max(1, round(options.gb * 1e9 / sum(rows * columns for _, rows, columns in matrices(0))))
    fp8, awq, out = (root / n for n in ("fp8", "awq", "out"))
    try:
        if not fp8.is_dir():
            save_fp8(fp8, layers, options.shards)
        print(json.dumps({"fp8_gb": round(size(fp8) / 1e9, 2), "shards": len(list(fp8.glob("*.safetensors")))}), flush=True)
        if options.only != "stitch":
            words = ["dequantize", fp8, "--out", out, "--shard-size", size(fp8) * 2 / options.shards / 1e9]
            print(json.dumps(measure(words, out, (fp8,), fp8, options.rounds)), flush=True)
        if options.only != "dequantize":
            if not awq.is_dir():
                save_awq(awq, fp8, layers, options.shards)
            words = ["stitch", "--base", fp8, "--experts", awq, "--out", out, "--shard-size", size(awq) / options.shards / 1e9]
            print(json.dumps({"awq_gb": round(size(awq) / 1e9, 2)} | measure(words, out, (fp8, awq), out, options.rounds)), flush=True)
    finally:
        if not options.keep:
            shutil.rmtree(root, ignore_errors=True)
    print(json.dumps({"peak_gb_of_this_script": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2)}))


if __name__ == "__main__":
    main()
