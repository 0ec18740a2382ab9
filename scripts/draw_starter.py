"""Draw docs/explanation/starter-corpus.svg: how many tokens of each language and category the starter corpus holds."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from tokenizers import Tokenizer

from curator import languages

REPOSITORY = Path(__file__).resolve().parent.parent
CORPUS = REPOSITORY / "sources" / "starter"
TARGET = REPOSITORY / "docs" / "explanation" / "starter-corpus.svg"
COLOURS = {"code": "#3b6ea5", "text": "#b5602f", "domains": "#4f7f52"}
TITLES = {"code": "programming languages", "text": "natural languages", "domains": "categories of conversations"}


def counts() -> dict[str, Counter[str]]:
    """Tokens of each group of each part, by the starter tokenizer."""
    tokenizer = Tokenizer.from_file(str(CORPUS / "tokenizer" / "tokenizer.json"))
    names = {language.id: language.name for language in languages.ALL}
    found: dict[str, Counter[str]] = {part: Counter() for part in TITLES}
    for entry in json.loads((CORPUS / "manifest.json").read_text(encoding="utf-8"))["files"]:
        group = entry.get("category") or names[entry["language"]]
        found[entry["part"]][group] += len(tokenizer.encode((CORPUS / entry["file"]).read_text(encoding="utf-8")).ids)
    return found


def bars(axes: Any, part: str, groups: Counter[str]) -> None:
    """One panel: the largest group on top."""
    ordered = sorted(groups.items(), key=lambda item: (item[1], item[0]))
    axes.barh([name for name, _ in ordered], [count / 1000 for _, count in ordered], color=COLOURS[part], height=0.7)
    axes.set_title(f"{len(groups)} {TITLES[part]}: {groups.total() / 1000:,.0f} thousand tokens", fontsize=10, loc="left")
    axes.tick_params(labelsize=7)
    axes.margins(y=0.01)
    axes.set_xlabel("thousand tokens", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def draw(found: dict[str, Counter[str]]) -> Figure:
    """Code on the left, text and conversations on the right."""
    figure = Figure(figsize=(10, 10), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(12, 15))
    bars(figure.add_subplot(grid[:, 0]), "code", found["code"])
    bars(figure.add_subplot(grid[0, 1]), "text", found["text"])
    bars(figure.add_subplot(grid[1, 1]), "domains", found["domains"])
    return figure


def main() -> None:
    """Write the picture: the same bytes for the same corpus."""
    # Text stays text, so the file is small and does not depend on installed fonts; ids are salted, and no date is written.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "starter-corpus", "font.family": "sans-serif"})
    draw(counts()).savefig(TARGET, format="svg", metadata={"Date": None, "Creator": None})
    # The writer leaves spaces at ends of lines.
    lines = TARGET.read_text(encoding="utf-8").splitlines()
    TARGET.write_text("\n".join(line.rstrip() for line in lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
