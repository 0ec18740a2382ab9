"""The language of a text, by langdetect with a fixed seed, and of code, by magika: the same answer every time."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SEEN = 1500  # characters; enough for a stable answer
TRIALS = 3  # of the library's 7: 6 answers of 2,000 differ, all of mixed or broken text, in less than half the time
WORTH_A_PROCESS = 1000  # texts; fewer are done before another process has started
LEAST = 40  # characters; below that the answer is a guess


_lock = threading.Lock()


@cache
def _loaded() -> Any:
    from langdetect import PROFILES_DIRECTORY, DetectorFactory

    DetectorFactory.seed = 0
    factory = DetectorFactory()
    factory.load_profile(PROFILES_DIRECTORY)
    return factory


def _factory() -> Any:
    """The detectors' factory. Workers ask at the same time, and half-loaded profiles would fail the second of them."""
    with _lock:
        return _loaded()


def natural_language(text: str) -> str | None:
    """ISO 639-1 code, or None where there is too little text to tell. Chinese is ``zh``, whatever its script."""
    return _recognised(_middle(text))


def natural_languages(texts: Iterable[str], *, jobs: int) -> Sequence[str | None]:
    """The same for many texts, in order, over ``jobs`` processes where there are enough texts to be worth it."""
    samples = [_middle(text) for text in texts]
    if jobs < 2 or len(samples) < WORTH_A_PROCESS:
        return [_recognised(s) for s in samples]
    answers: list[str | None] = [None] * len(samples)
    try:
        with ThreadPoolExecutor(jobs) as threads:
            for share, answered in enumerate(threads.map(_elsewhere, [samples[n::jobs] for n in range(jobs)])):
                answers[share::jobs] = answered
    except (OSError, subprocess.SubprocessError, ValueError):  # a machine that cannot start processes: the same answers, slower
        return [_recognised(s) for s in samples]
    return answers


def _elsewhere(samples: Sequence[str]) -> list[str | None]:
    """The answers of another process, which ends with its input: nothing is left running when this one is killed."""
    command = [sys.executable, "-m", "curator.detect"]
    done = subprocess.run(command, input=json.dumps(samples).encode(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)  # noqa: S603 - our own module
    answers: list[str | None] = json.loads(done.stdout)
    if len(answers) != len(samples):
        raise ValueError("not an answer to each text")
    return answers


def _middle(text: str) -> str:
    start = max(0, (len(text) - SEEN) // 2)
    return text[start : start + SEEN]


def _recognised(sample: str) -> str | None:
    from langdetect import LangDetectException

    if len(sample.strip()) < LEAST:
        return None
    detector = _factory().create()
    detector.n_trial = TRIALS
    try:
        detector.append(sample)
        found = str(detector.detect())
    except LangDetectException:
        return None
    return None if found == "unknown" else found.split("-")[0]


# What the detector calls the languages of curator.languages that it knows, alone or as a family (CUDA is C++ to it, Racket
# Lisp, VB.NET Visual Basic). Of the others (D, F#, Lean, Metal, Nim, Zephir ...) it has not learned a thing.
ALONE = (
    "clojure cobol cpp dart elixir erlang fortran go haskell java javascript julia kotlin lua matlab ocaml perl php "
    "powershell prolog python r ruby rust scala solidity sql swift typescript vba zig"
)
LABELS: dict[str, tuple[str, ...]] = {name: (name,) for name in ALONE.split()} | {
    "arm64-asm": ("asm",),
    "bash": ("shell",),
    "c": ("c", "cpp"),
    "common-lisp": ("lisp",),
    "csharp": ("cs",),
    "cuda": ("cpp", "c"),
    "delphi": ("pascal",),
    "groovy": ("groovy", "gradle"),
    "html-css": ("html", "css"),
    "llvm-ir": ("asm",),
    "objective-c": ("objectivec",),
    "racket": ("lisp",),
    "visual-basic": ("vba",),
    "vulkan": ("cpp", "c"),
    "x86-64-asm": ("asm",),
}
OWNERS = {label: name for name, labels in LABELS.items() for label in labels} | {  # what a label means when nobody claims another of its family
    "asm": "x86-64-asm",
    "c": "c",
    "cpp": "cpp",
    "lisp": "common-lisp",
    "vba": "vba",
}
SURE = 0.5  # below that score the detector's own answer is "text"
LEAST_CODE = 200  # characters


@cache
def _code_detector() -> Any:
    from magika import Magika

    return Magika()


def programming_language(code: str, *, claimed: str) -> str | None:
    """The id of the language that ``code`` is recognised as: ``claimed`` where what is recognised is that or its family. None
    where there is too little code, the detector is not sure, or it does not know the language that is claimed."""
    accepted = LABELS.get(claimed)
    if accepted is None or len(code) < LEAST_CODE:
        return None
    with _lock:
        found = _code_detector().identify_bytes(code.encode("utf-8", "replace"))
    label = str(found.dl.label)
    if label in accepted:
        return claimed
    if round(found.score, 3) < SURE or label == "txt":
        return None
    return OWNERS.get(label, f"other:{label}")


if __name__ == "__main__":
    json.dump([_recognised(sample) for sample in json.load(sys.stdin.buffer)], sys.stdout)
