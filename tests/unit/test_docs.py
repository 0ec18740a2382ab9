"""The documentation: its reference is what the program says, its links lead somewhere, its mixes load."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from curator import mix
from curator.cli import cli
from tests.builds import built

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^[ \t]*```.*?^[ \t]*```", re.S | re.M)
YAML = re.compile(r"^```yaml\n(calibration_set:\n.*?)^```", re.S | re.M)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def mixes() -> list[tuple[str, str]]:
    return [(f"{name_of(p)}:{n}", m[1]) for p in PAGES for n, m in enumerate(YAML.finditer(p.read_text(encoding="utf-8")), 1)]


def test_the_reference_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, ROOT / "scripts" / "make_reference.py", "--check"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_every_command_is_in_the_reference() -> None:
    text = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert [c for c in cli.commands if f"## curate {c}\n" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_point_to_files(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = [(a or b).partition("#")[0] for a, b in LINK.findall(text)]
    missing = [t for t in targets if t and not re.match(r"[a-z]+:", t) and not (page.parent / t).exists()]
    assert missing == []


@pytest.mark.parametrize(("place", "text"), mixes(), ids=[place for place, _ in mixes()])
def test_mixes_of_the_documentation_load(place: str, text: str) -> None:
    assert mix.parse(text, file=place).problems == []


def test_there_are_mixes_to_load() -> None:
    assert len(mixes()) > 5


def test_the_tutorial_shows_what_check_prints(tmp_path: Path) -> None:
    from curator import artifact

    text = (ROOT / "docs" / "tutorial" / "first-build.md").read_text(encoding="utf-8")
    file = tmp_path / "mine.yaml"
    file.write_text(next(m[1] for m in YAML.finditer(text)), encoding="utf-8")
    assert f"{len(artifact.manifest(built(file, tmp_path / 'B'))['files'])} files as the manifest says" in text


def test_the_tutorial_shows_what_plan_prints(run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "tutorial" / "first-build.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(next(m[1] for m in YAML.finditer(text)), encoding="utf-8")
    code, out, _ = run("plan", "mine.yaml")
    assert code == 0
    assert "".join(f"{line.rstrip()}\n" for line in out.splitlines()) in text
