"""A loopback Hugging Face hub over a folder, for the real clients: ``python -m tests.hub DIR``.

DIR holds ``datasets/ORG/NAME/...`` and ``models/ORG/NAME/...``. Point ``HF_ENDPOINT`` at the printed address before
``huggingface_hub`` is imported. Faults are set by repository id: see :class:`Fault`.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import os
import re
import socket
import struct
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

API = re.compile(r"^/api/(datasets|models)/([^/]+/[^/]+)(?:/(revision|tree|paths-info|xet-read-token)/([^/]+)(?:/(.*))?)?$")
RESOLVE = re.compile(r"^/(?:(datasets)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)$")
CHUNK = 1 << 16


@dataclass
class Fault:
    """What to do to requests for one repository; ``path`` is a glob over the file or API path, ``method`` one over GET, HEAD and POST."""

    status: int | None = None  # 401, 403 (gated), 404, 429, 500 ...
    path: str = "*"
    method: str = "*"
    delay: float = 0.0  # seconds before answering
    cut: bool = False  # promise the whole body, send half of it, close
    reset: bool = False  # close without a word
    torn: bool = False  # send half of the body, and reset the connection
    stall: float = 0.0  # seconds to wait in the middle of the body
    retry_after: str = "0"  # what a 429 asks for
    redirect: str | None = None  # send the client to this address, with the path appended
    portal: bool = False  # answer with a page, as networks do that one has to log in to
    times: int | None = None  # how many requests it strikes; None is all of them


WEATHER = (Fault(status=429), Fault(status=500), Fault(status=503), Fault(reset=True), Fault(cut=True), Fault(stall=3.0))


@dataclass
class Repository:
    """One folder of the served tree, with a commit id made from its file names and contents."""

    kind: str
    name: str
    root: Path
    files: dict[str, Path] = field(default_factory=dict)
    commit: str = ""

    @classmethod
    def scan(cls, kind: str, name: str, root: Path) -> Repository:
        files = {p.relative_to(root).as_posix(): p for p in sorted(root.rglob("*")) if p.is_file()}
        listing = "\n".join(f"{n} {content_id(p)}" for n, p in files.items())
        return cls(kind, name, root, files, hashlib.sha1(f"{kind}/{name}\n{listing}".encode()).hexdigest())

    def card_data(self) -> dict[str, object]:
        readme = self.files.get("README.md")
        text = readme.read_text(encoding="utf-8") if readme else ""
        header = re.match(r"^---\n(.*?)\n---", text, re.S)
        try:
            return (yaml.safe_load(header.group(1)) or {}) if header else {}
        except yaml.YAMLError:
            return {}  # the hub, too, describes a dataset whose README it cannot read


class Hub:
    """The server's state: repositories, faults, and a count of requests by ``METHOD path``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.faults: dict[str, list[Fault]] = {}
        self.requests: Counter[str] = Counter()
        self.arrived: list[str] = []  # the same, one by one
        self.gated: set[str] = set()
        self.private_token: str | None = None
        self.bad_weather = 0.0  # share of requests that fail, with each kind of WEATHER in turn
        self.struck: Counter[int] = Counter()  # by place in WEATHER
        self.past: dict[str, Repository] = {}  # commits that are still served, by id
        self.tokens: set[str] = set()  # what came as Authorization
        self._arrived = 0.0
        self._repositories: dict[tuple[str, str], Repository | None] = {}
        self._lock = threading.Lock()

    def repository(self, kind: str, name: str) -> Repository | None:
        with self._lock:
            if (kind, name) not in self._repositories:
                root = self.root / kind / name
                self._repositories[kind, name] = Repository.scan(kind, name, root) if root.is_dir() else None
            return self._repositories[kind, name]

    def at(self, repository: Repository, revision: str | None) -> Repository:
        """The repository at a past commit, where that is still served."""
        past = self.past.get(revision or "", repository)
        return past if past.name == repository.name else repository

    def fail(self, name: str, fault: Fault) -> None:
        self.faults.setdefault(name, []).append(fault)

    def strike(self, name: str, path: str, method: str) -> Fault | None:
        with self._lock:
            for fault in self.faults.get(name, []):
                if fault.times != 0 and fnmatch.fnmatch(path, fault.path) and fnmatch.fnmatch(method, fault.method):
                    fault.times = None if fault.times is None else fault.times - 1
                    return fault
            self._arrived += self.bad_weather
            if self._arrived >= 1:
                self._arrived -= 1
                kind = self.struck.total() % len(WEATHER)
                self.struck[kind] += 1
                return WEATHER[kind]
        return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub
    # Headers and body leave in one segment, or Nagle and delayed ACKs cost 40 ms a request.
    wbufsize = CHUNK
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.answer()

    do_HEAD = do_POST = do_GET

    def answer(self) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path)
        with self.hub._lock:
            self.hub.requests[f"{self.command} {path}"] += 1
            self.hub.arrived.append(f"{self.command} {path}")
            self.hub.tokens |= {t for t in [self.headers.get("Authorization")] if t}
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        if match := API.match(path):
            kind, name, verb, revision, rest = match.groups()
        elif match := RESOLVE.match(path):
            kind, name, revision, rest = match.groups()
            kind, verb = kind or "models", "resolve"
        else:
            return self.error(404, "NotFound")
        repository = self.hub.repository(kind, name)
        fault = self.hub.strike(name, rest or verb or "info", self.command) or Fault()
        time.sleep(fault.delay)
        if fault.status is not None or fault.reset or fault.redirect or (self.command == "HEAD" and (fault.cut or fault.stall or fault.torn)):
            return self.fail(fault)
        if repository is None:
            return self.error(404, "RepoNotFound")
        if name in self.hub.gated and self.headers.get("Authorization") != f"Bearer {self.hub.private_token}" and verb == "resolve":
            return self.error(403 if self.headers.get("Authorization") else 401, "GatedRepo")
        repository = self.hub.at(repository, revision)
        if revision and revision not in ("main", repository.commit):
            return self.error(404, "RevisionNotFound")
        if verb == "resolve":
            return self.file(repository, rest, fault)
        self.api(repository, verb, rest or "", parse_qs(url.query), body, fault)

    def fail(self, fault: Fault) -> None:
        """Anything but an answer; a fault of the body resets where there is no body."""
        if fault.status is not None:
            codes = {401: "RepoNotFound", 403: "GatedRepo", 404: "RepoNotFound"}
            self.error(fault.status, codes.get(fault.status, ""), retry_after=fault.retry_after)
        elif fault.redirect:
            self.elsewhere(fault.redirect)
        else:
            self.linger_no_more()
            self.connection.shutdown(socket.SHUT_RDWR)

    def linger_no_more(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def api(self, repository: Repository, verb: str | None, rest: str, query: dict[str, list[str]], body: bytes, fault: Fault) -> None:
        if verb in (None, "revision"):
            return self.json(self.info(repository), fault)
        if verb == "tree":
            deep = query.get("recursive", ["false"])[0].lower() in ("true", "1")
            entries = list(tree(repository, rest, deep=deep))
            return self.json(entries, fault) if entries or not rest else self.error(404, "EntryNotFound")
        if verb == "paths-info":
            text = body.decode()
            paths = json.loads(text)["paths"] if text.startswith("{") else parse_qs(text).get("paths", [])
            return self.json([e for p in paths for e in entry(repository, p)], fault)
        self.error(404, "NotFound")

    def info(self, repository: Repository) -> dict[str, object]:
        card = repository.card_data()
        return {
            "id": repository.name,
            "sha": repository.commit,
            "private": False,
            "gated": "manual" if repository.name in self.hub.gated else False,
            "disabled": False,
            "tags": [f"license:{card['license']}"] if "license" in card else [],
            "downloads": 0,
            "likes": 0,
            "cardData": card,
            "siblings": [{"rfilename": n, "size": p.stat().st_size} for n, p in repository.files.items()],
        }

    def elsewhere(self, address: str) -> None:
        self.send_response(302)
        self.send_header("Location", address + self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def file(self, repository: Repository, name: str, fault: Fault) -> None:
        path = repository.files.get(name)
        if path is None:
            return self.error(404, "EntryNotFound", repository)
        size = path.stat().st_size
        start, end = byte_range(self.headers.get("Range"), size)
        self.send_response(206 if self.headers.get("Range") else 200)
        etag = etag_of(path)
        headers = {
            "ETag": f'"{etag}"',
            "X-Linked-Etag": f'"{etag}"',
            "X-Linked-Size": str(size),
            "X-Repo-Commit": repository.commit,
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
            "Content-Length": str(max(0, end - start)),
        }
        if self.headers.get("Range"):
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            middle = start + (end - start) // 2
            self.send_body(path, start, middle)
            self.falter(fault)
            if not (fault.cut or fault.torn):
                self.send_body(path, middle, end)

    def falter(self, fault: Fault) -> None:
        """What a fault does in the middle of a body."""
        if fault.stall:
            self.wfile.flush()
            time.sleep(fault.stall)
        if fault.cut:
            self.close_connection = True
        if fault.torn:
            self.wfile.flush()
            self.linger_no_more()
            os.close(self.connection.detach())  # nothing but this sends a reset instead of an end

    def send_body(self, path: Path, start: int, end: int) -> None:
        with path.open("rb") as stream:
            stream.seek(start)
            while start < end and (block := stream.read(min(CHUNK, end - start))):
                self.wfile.write(block)
                start += len(block)

    def json(self, value: object, fault: Fault) -> None:
        data = b"<html>Log in</html>" if fault.portal else json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if fault.portal else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2])
            self.falter(fault)
            if not fault.cut:
                self.wfile.write(data[len(data) // 2 :])

    def error(self, status: int, code: str, repository: Repository | None = None, *, retry_after: str = "0") -> None:
        data = json.dumps({"error": code or f"status {status}"}).encode()
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", code)
        if repository is not None:
            self.send_header("X-Repo-Commit", repository.commit)
        if status == 429:
            self.send_header("Retry-After", retry_after)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is no news; tests kill theirs."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def etag_of(path: Path) -> str:
    stat = path.stat()
    return hashlib.sha1(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}".encode()).hexdigest()


def content_id(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha1").hexdigest()


def byte_range(header: str | None, size: int) -> tuple[int, int]:
    match = re.match(r"bytes=(\d*)-(\d*)$", header or "")
    if not match:
        return 0, size
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1) if last else size


def entry(repository: Repository, name: str) -> Iterator[dict[str, object]]:
    name = name.strip("/")
    if name in repository.files:
        path = repository.files[name]
        yield {"type": "file", "path": name, "size": path.stat().st_size, "oid": content_id(path)}
    elif any(n.startswith(name + "/") for n in repository.files):
        yield {"type": "directory", "path": name, "size": 0, "oid": hashlib.sha1(name.encode()).hexdigest()}


def tree(repository: Repository, folder: str, *, deep: bool) -> Iterator[dict[str, object]]:
    prefix = folder.strip("/") + "/" if folder.strip("/") else ""
    seen: set[str] = set()
    for name in repository.files:
        if not name.startswith(prefix):
            continue
        parts = name[len(prefix) :].split("/")
        depths = range(1, len(parts) + 1) if deep else range(1, 2)
        for depth in depths:
            path = prefix + "/".join(parts[:depth])
            if path not in seen:
                seen.add(path)
                yield from entry(repository, path)


@contextmanager
def serve(root: Path, *, port: int = 0) -> Iterator[tuple[str, Hub]]:
    """Serve ``root`` on 127.0.0.1 in a thread; gives the endpoint and the state to set faults on."""
    hub = Hub(root)
    handler = type("BoundHandler", (Handler,), {"hub": hub})
    server = Server(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", hub
    finally:
        server.shutdown()
        server.server_close()


def main() -> int:
    parser = argparse.ArgumentParser(description="Serve a folder as a Hugging Face hub on the loopback interface.")
    parser.add_argument("root", type=Path)
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    with serve(arguments.root, port=arguments.port) as (endpoint, _):
        print(f"HF_ENDPOINT={endpoint}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
