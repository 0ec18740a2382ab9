"""Recognised languages: right on the embedded corpus (the confusion tables are printed), and the same however they are asked for."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from curator import detect, languages

STARTER = Path(__file__).resolve().parent.parent.parent / "sources" / "starter"


def table(confusion: Counter[tuple[str, str]]) -> str:
    rows = sorted({claimed for claimed, _ in confusion})
    columns = sorted({found for _, found in confusion})
    lines = ["claimed".ljust(14) + " ".join(c.rjust(6) for c in columns)]
    lines += [r.ljust(14) + " ".join(str(confusion[r, c] or ".").rjust(6) for c in columns) for r in rows]
    return "\n".join(lines)


def test_natural_languages_of_the_embedded_texts(capsys: pytest.CaptureFixture[str]) -> None:
    """Whole texts, and their halves: every one is what it claims to be."""
    confusion: Counter[tuple[str, str]] = Counter()
    for file in sorted((STARTER / "text").glob("*/*.txt")):
        text = file.read_text(encoding="utf-8")
        for part in (text, text[: len(text) // 2], text[len(text) // 2 :]):
            confusion[file.parent.name, detect.natural_language(part) or "none"] += 1
    with capsys.disabled():
        print(f"\n{table(confusion)}")
    assert sum(confusion.values()) == 3 * 96
    assert {claimed for claimed, _ in confusion} == set(languages.ids(languages.NATURAL))
    assert [pair for pair in confusion if pair[0] != pair[1]] == []


def test_programming_languages_of_the_embedded_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """A program of a language that the detector knows is recognised or left open, hardly ever taken for another."""
    confusion: Counter[tuple[str, str]] = Counter()
    for file in sorted((STARTER / "code").glob("*/*")):
        claimed = file.parent.name
        confusion[claimed, detect.programming_language(file.read_text(encoding="utf-8"), claimed=claimed) or "none"] += 1
    known = {claimed for claimed, _ in confusion if claimed in detect.LABELS}
    right = sum(confusion[claimed, claimed] for claimed in known)
    wrong = {pair: n for pair, n in confusion.items() if pair[1] not in (pair[0], "none")}
    with capsys.disabled():
        print(
            f"\n{right} of {sum(n for (c, _), n in confusion.items() if c in known)} programs in {len(known)} known languages recognised; taken for another: {wrong}"
        )
    assert right >= 0.97 * sum(n for (c, _), n in confusion.items() if c in known)
    assert {claimed for claimed, found in confusion if found != "none"} <= known
    assert sum(wrong.values()) <= 3


def test_every_label_is_one_that_the_detector_gives() -> None:
    from magika import Magika

    given = {str(t) for t in Magika().get_output_content_types()}
    assert {label for labels in detect.LABELS.values() for label in labels} <= given
    assert set(detect.LABELS) <= set(languages.ids(languages.PROGRAMMING))
    assert set(detect.OWNERS.values()) <= set(detect.LABELS)
    assert {detect.OWNERS[label] for label in ("cpp", "c", "asm", "lisp")} == {"cpp", "c", "x86-64-asm", "common-lisp"}


def test_too_little_is_not_guessed() -> None:
    assert detect.natural_language("bonjour") is None
    assert detect.natural_language("1234 5678 " * 30) is None
    assert detect.programming_language("x = 1", claimed="python") is None
    assert detect.programming_language("import Mathlib\n" * 50, claimed="lean") is None


def test_processes_give_the_answers_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f.read_text(encoding="utf-8") for f in sorted((STARTER / "text").glob("*/*.txt"))][:24]
    alone = list(detect.natural_languages(texts, jobs=1))
    monkeypatch.setattr(detect, "WORTH_A_PROCESS", 1)
    assert list(detect.natural_languages(texts, jobs=2)) == alone

    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert list(detect.natural_languages(texts, jobs=2)) == alone


def test_many_threads_may_ask_first() -> None:
    text = (STARTER / "text" / "fr" / next(f.name for f in (STARTER / "text" / "fr").iterdir())).read_text(encoding="utf-8")
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from curator.detect import natural_language\n"
        f"with ThreadPoolExecutor(16) as pool: print(set(pool.map(natural_language, [{text!r}] * 64)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "{'fr'}"
