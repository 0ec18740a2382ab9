#!/usr/bin/env python3
"""Collect news fragments into a changelog, as the last step before a release.

Each change adds one file ``news/<ticket>.<kind>.md``. ``changelog_bot.py build
1.8.0`` renders them into CHANGELOG.md below the marker line and deletes them;
``changelog_bot.py check`` is what continuous integration runs on a branch.
"""

from __future__ import annotations

import argparse
import datetime as dt
import enum
import itertools
import re
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

MARKER = "<!-- releases below -->"
FRAGMENT = re.compile(r"(?P<ticket>\d+|\+[a-z0-9-]+)\.(?P<kind>[a-z]+)\.md")


class Kind(enum.Enum):
    """Kinds of change, in the order in which they appear in the changelog."""

    BREAKING = "Breaking changes"
    FEATURE = "New"
    FIX = "Fixed"
    DEPRECATION = "Deprecated"

    @classmethod
    def named(cls, name: str) -> Kind:
        try:
            return cls[name.upper()]
        except KeyError:
            known = ", ".join(kind.name.lower() for kind in cls)
            raise ValueError(f"unknown kind {name!r}, expected one of {known}") from None


@dataclass(frozen=True, slots=True)
class Version:
    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Version:
        if found := re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", text):
            return cls(*map(int, found.groups()))
        raise ValueError(f"{text!r} is not a version like 1.8.0")

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    def permits(self, kinds: set[Kind]) -> str | None:
        """Say why the changes do not fit this version number, if they do not."""
        if Kind.BREAKING in kinds and (self.minor or self.patch) and self.major > 0:
            return "breaking changes need a new major version"
        if Kind.FEATURE in kinds and self.patch:
            return "new features need a new minor version"
        return None


@dataclass(frozen=True, slots=True)
class Fragment:
    path: Path
    ticket: str | None
    kind: Kind
    text: str

    @classmethod
    def read(cls, path: Path) -> Fragment:
        match = FRAGMENT.fullmatch(path.name)
        if match is None:
            raise ValueError("the name must look like 1234.fix.md or +slug.fix.md")
        text = " ".join(path.read_text(encoding="utf-8").split())
        if not re.fullmatch(r"[A-Z0-9`].*[.!]", text):
            raise ValueError("write whole sentences")
        if re.match(r"(Fix|Add|Chang|Remov)(es|ed|ing)\b", text):
            raise ValueError("say what users will notice, not what the commit does")
        ticket = match["ticket"]
        return cls(path, None if ticket.startswith("+") else ticket, Kind.named(match["kind"]), text)

    def render(self) -> str:
        suffix = f" (#{self.ticket})" if self.ticket else ""
        return textwrap.fill(self.text + suffix, width=88, initial_indent="- ",
                             subsequent_indent="  ", break_on_hyphens=False)


def collect(directory: Path) -> tuple[list[Fragment], list[str]]:
    fragments, problems = [], []
    for path in sorted(directory.glob("[0-9+]*.md")):
        try:
            fragments.append(Fragment.read(path))
        except ValueError as error:
            problems.append(f"{path}: {error}")
    order = list(Kind)
    fragments.sort(key=lambda f: (order.index(f.kind), int(f.ticket or 0), f.text))
    return fragments, problems


def render_release(version: Version, fragments: list[Fragment], day: dt.date) -> str:
    parts = [f"## {version} ({day:%d %B %Y})".replace("(0", "(")]
    for kind, group in itertools.groupby(fragments, key=lambda f: f.kind):
        parts.append(f"### {kind.value}")
        parts.append("\n".join(fragment.render() for fragment in group))
    return "\n\n".join(parts)


def build(args: argparse.Namespace, fragments: list[Fragment]) -> int:
    if objection := args.version.permits({f.kind for f in fragments}):
        print(f"{args.version}: {objection}", file=sys.stderr)
        return 1
    release = render_release(args.version, fragments, args.date)
    if args.draft:
        print(release)
        return 0
    head, marker, tail = args.changelog.read_text("utf-8").partition(MARKER)
    if not marker:
        print(f"{args.changelog} lacks the line {MARKER}", file=sys.stderr)
        return 1
    args.changelog.write_text(f"{head}{MARKER}\n\n{release}\n{tail}", encoding="utf-8")
    for fragment in fragments:
        fragment.path.unlink()
    return 0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--news", type=Path, default="news")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="report fragments that are not well formed")
    builder = commands.add_parser("build", help="write a release")
    builder.add_argument("version", type=Version.parse)
    builder.add_argument("--changelog", type=Path, default=Path("CHANGELOG.md"))
    builder.add_argument("--date", type=dt.date.fromisoformat, default=dt.date.today())
    builder.add_argument("--draft", action="store_true", help="print, change nothing")
    args = parser.parse_args(argv)

    fragments, problems = collect(args.news)
    if problems:
        print(*problems, sep="\n", file=sys.stderr)
        return 1
    return build(args, fragments) if args.command == "build" else 0


if __name__ == "__main__":
    sys.exit(main())
