"""What is taken for the code of a plugin: all that comes with it, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from curator import plugins
from tests.conftest import REPOSITORY

CHECK = "def check(document):\n    return None\n"
ENTRIES = {"pkg": "demo_pkg:check", "borrowed": "demo_borrowed:check", "ns": "demo_ns.formats:check", "single": "demo_single:check"}
FILES = {
    "demo_pkg/__init__.py": "from demo_pkg.rules.inner import check\n",
    "demo_pkg/rules/__init__.py": "",
    "demo_pkg/rules/inner.py": CHECK,
    "demo_pkg/unused.py": "",
    "demo_borrowed.py": "from demo_pkg import check\n",
    "demo_ns/formats/__init__.py": "from demo_ns.formats.helper import check\n",
    "demo_ns/formats/helper.py": CHECK,
    "demo_ns/other/__init__.py": "",
    "demo_single.py": CHECK,
    "demo_single_rules.py": "",
    "stranger.py": "",
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder into which plugins are installed as pip does it, each a distribution of its own."""
    site = tmp_path / "site"
    for name, text in FILES.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
    for name, place in ENTRIES.items():
        about = site / f"demo_{name}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: demo-{name}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[curator.filters]\n{name} = {place}\n")
        (about / "RECORD").write_text("".join(f"{f},,\n" for f in FILES if f.startswith(f"demo_{name}") and "other" not in f))
    return site


def codes(site: Path) -> dict[str, str]:
    """The digest of each plugin, as a new process sees it."""
    program = f"from curator import plugins\nfor name in {list(ENTRIES)}: print(name, plugins.code('filters', name))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(REPOSITORY)]), "PYTHONDONTWRITEBYTECODE": "1"}
    made = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True)
    return dict(line.split() for line in made.stdout.splitlines())


@pytest.mark.parametrize(
    ("changed", "whose"),
    [
        ("demo_pkg/__init__.py", {"pkg", "borrowed"}),
        ("demo_pkg/rules/inner.py", {"pkg", "borrowed"}),
        ("demo_pkg/rules/later.py", {"pkg", "borrowed"}),
        ("demo_borrowed.py", {"borrowed"}),
        ("demo_ns/formats/helper.py", {"ns"}),
        ("demo_ns/other/__init__.py", set()),
        ("demo_single.py", {"single"}),
        ("demo_single_rules.py", {"single"}),
        ("stranger.py", set()),
    ],
)
def test_the_code_of_a_plugin_is_all_that_comes_with_it(changed: str, whose: set[str], site: Path) -> None:
    before = codes(site)
    with (site / changed).open("a") as file:
        file.write("# mended\n")
    after = codes(site)
    assert {name for name in ENTRIES if before[name] != after[name]} == whose


def test_a_helper_that_cannot_be_read_is_passed_over(site: Path) -> None:
    (site / "demo_pkg" / "unused.py").unlink()
    (site / "demo_pkg" / "unused.py").symlink_to(site / "demo_pkg" / "unused.py")
    assert set(codes(site)) == set(ENTRIES)


def test_what_curate_ships_has_code_too() -> None:
    assert all(plugins.code("filters", name) for name in plugins.names("filters"))
