"""Rebuild web assets when their sources change, and tell browsers to reload.

An asyncio service with three parts that know each other only through queues: a
poller that notices changes, a builder that runs the commands affected by them, and
an event-stream endpoint that browsers keep open.
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import json
import logging
import os
import signal
import time
import tomllib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger("asset_watcher")


@dataclass(frozen=True)
class Rule:
    """A build step: patterns of its inputs, and the command to run."""

    name: str
    inputs: tuple[str, ...]
    command: tuple[str, ...]
    after: tuple[str, ...] = ()

    def concerns(self, path: str) -> bool:
        return any(fnmatch.fnmatch(path, pattern) for pattern in self.inputs)


def load_rules(config: Path) -> dict[str, Rule]:
    data = tomllib.loads(config.read_text(encoding="utf-8"))
    rules = {name: Rule(name, *(tuple(entry.get(key, ())) for key in ("inputs", "command", "after")))
             for name, entry in data["rule"].items()}
    for rule in rules.values():
        if missing := set(rule.after) - rules.keys():
            raise ValueError(f"{rule.name} comes after unknown rules: {', '.join(sorted(missing))}")
    return rules


def snapshot(root: Path) -> dict[str, int]:
    """Modification times of all files below root, hidden directories left out."""
    found = {}
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in files:
            path = Path(folder, name)
            with contextlib.suppress(FileNotFoundError):
                found[path.relative_to(root).as_posix()] = path.stat().st_mtime_ns
    return found


async def changes(root: Path, interval: float = 0.4) -> AsyncIterator[set[str]]:
    """Yield sets of changed paths, each only after the tree has been quiet for a turn."""
    known = await asyncio.to_thread(snapshot, root)
    pending: set[str] = set()
    while True:
        await asyncio.sleep(interval)
        current = await asyncio.to_thread(snapshot, root)
        fresh = {path for path in known.keys() | current.keys() if known.get(path) != current.get(path)}
        known = current
        pending |= fresh
        if pending and not fresh:
            yield pending
            pending = set()


@dataclass
class Builder:
    rules: Mapping[str, Rule]
    root: Path
    results: dict[str, asyncio.Future[bool]] = field(default_factory=dict)

    async def build(self, touched: set[str]) -> dict[str, bool]:
        """Run the rules concerned, in parallel where ``after`` allows it."""
        wanted = {r.name for r in self.rules.values() if any(map(r.concerns, touched))}
        while more := {r.name for r in self.rules.values() if wanted & set(r.after)} - wanted:
            wanted |= more
        loop = asyncio.get_running_loop()
        self.results = {name: loop.create_future() for name in wanted}
        async with asyncio.TaskGroup() as group:
            for name in wanted:
                group.create_task(self._run(self.rules[name]), name=name)
        return {name: future.result() for name, future in self.results.items()}

    async def _run(self, rule: Rule) -> None:
        if not all([await self.results[name] for name in rule.after if name in self.results]):
            self.results[rule.name].set_result(False)
            return
        started = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *rule.command, cwd=self.root,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        output, _ = await process.communicate()
        succeeded = process.returncode == 0
        log.info("%s: %.2f s\n%s", rule.name, time.monotonic() - started, output.decode(errors="replace"))
        self.results[rule.name].set_result(succeeded)


class ReloadServer:
    """Speaks just enough HTTP to serve ``text/event-stream`` to any number of tabs."""

    def __init__(self) -> None:
        self._tabs: set[asyncio.Queue[str]] = set()

    def announce(self, outcome: Mapping[str, bool]) -> None:
        event = "reload" if all(outcome.values()) else "broken"
        for tab in self._tabs:
            tab.put_nowait(f"event: {event}\ndata: {json.dumps(dict(outcome))}\n\n")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        queue: asyncio.Queue[str] = asyncio.Queue()
        self._tabs.add(queue)
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                         b"Cache-Control: no-store\r\nAccess-Control-Allow-Origin: *\r\n\r\n")
            while True:
                writer.write((await queue.get()).encode())
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            log.debug("a tab was closed")
        finally:
            self._tabs.discard(queue)
            writer.close()


async def main(root: Path) -> None:
    builder = Builder(load_rules(root / "assets.toml"), root)
    reload = ReloadServer()
    server = await asyncio.start_server(reload.serve, "127.0.0.1", 35730)
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, asyncio.current_task().cancel)
    async with server:
        with contextlib.suppress(asyncio.CancelledError):
            async for touched in changes(root):
                if outcome := await builder.build(touched):
                    reload.announce(outcome)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    asyncio.run(main(Path.cwd()))
