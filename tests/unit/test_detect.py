"""Language detection: the same answer in every thread, from the first call on."""

from __future__ import annotations

import subprocess
import sys

import pytest

from curator.detect import natural_language

TEXTS = {
    "fr": "Le marché du village se tient chaque samedi matin devant l'ancienne gare, et les maraîchers y arrivent avant le jour.",
    "he": "בכל יום שישי בבוקר נפתח השוק הקטן ליד תחנת הרכבת הישנה, והירקנים מגיעים עוד לפני הזריחה.",
    "zh": "每个星期六的早晨，村里的集市都在老火车站前开张，菜农们天还没亮就到了，带着刚摘下来的蔬菜和水果，还有自家做的豆腐。",
}


@pytest.mark.parametrize("language", TEXTS)
def test_a_text_is_recognised(language: str) -> None:
    assert natural_language(TEXTS[language]) == language


def test_too_little_text_has_no_language() -> None:
    assert natural_language("ok") is None
    assert natural_language("1234567890 " * 20) is None


def test_many_threads_may_ask_first() -> None:
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from curator.detect import natural_language\n"
        f"with ThreadPoolExecutor(16) as pool: print(set(pool.map(natural_language, [{TEXTS['fr']!r}] * 64)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "{'fr'}"
