"""Write ``sources/starter/manifest.json``: every file of the embedded corpus with its part, language or category, kind and digest."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent / "sources" / "starter"
PARTS = ("code", "text", "domains")


def describe(file: Path) -> dict[str, Any]:
    """One line of the manifest."""
    name = file.relative_to(ROOT).as_posix()
    part, group, _ = name.split("/", 2)
    data = file.read_bytes()
    facts: dict[str, Any] = {"file": name, "part": part}
    if part == "domains":
        facts |= {"category": group, "kind": json.loads(data)["kind"]}
    else:
        facts |= {"language": group, "kind": "program" if part == "code" else file.name.split("-", 1)[0]}
    return facts | {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def manifest() -> str:
    """The whole manifest, as the file holds it."""
    files = [f for part in PARTS for f in sorted((ROOT / part).rglob("*")) if f.is_file()]
    lines = [json.dumps(describe(f), ensure_ascii=False) for f in files]
    return '{"license": "CC0-1.0", "files": [\n' + ",\n".join(lines) + "\n]}\n"


if __name__ == "__main__":
    target = ROOT / "manifest.json"
    text = manifest()
    if "--check" in sys.argv:
        sys.exit(0 if target.read_text(encoding="utf-8") == text else "sources/starter/manifest.json is not up to date; run scripts/index_starter.py")
    target.write_text(text, encoding="utf-8")
    print(f"{text.count(chr(10)) - 2} files")
