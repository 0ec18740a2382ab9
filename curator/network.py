"""Patience with the hub: time limits, repeats within a budget, and what its clients raise, whichever HTTP library they are built on.

huggingface_hub takes a factory for its HTTP client; ``be_patient`` gives it one whose every request has a time limit and is
repeated where that can help. So one place holds for all that goes over the network: descriptions, files, tokenizers.
"""

from __future__ import annotations

import importlib
import os
import random
import re
import threading
import time
from collections import Counter
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from curator import slots
from curator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Budgets = Callable[[str], "Budget"]  # the one of each source, by its name

BUDGET = 300.0  # seconds that a source may lose to failures, where CURATE_RETRY_BUDGET says nothing else
IDLE = 30.0  # seconds without a byte, or until all headers are there
STEP = 0.5  # seconds of waiting for a byte, after which we see whether anybody still wants it
MOST_CONNECTIONS = 512  # at the same time, where a hundred is usual: as many sources may be waiting for an answer, and others go on
MOST_HELD = 256 << 20  # bytes of an answer that is taken here whole, so that it can be asked for again; larger files are left to who asked
SLOW = 5.0  # seconds without a byte, after which another source may be worked on; less would have a narrow line shared by ever more requests
LEAST_RATE = 8 << 10  # bytes a second, over a whole answer: a drip keeps no one waiting
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # answers that another time may be better
HOPELESS = frozenset({"TooManyRedirects", "UnsupportedProtocol", "LocalProtocolError", "OfflineModeIsEnabled"})  # the same every time
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds, of the exponential backoff
UNSEEN = 20.0  # seconds to go on with a host that has not answered once: more likely there is no network
SAID_AFTER = 5.0  # seconds lost before anything is said
KINDS = {
    "ReadTimeout": "stalled",
    "ConnectTimeout": "no connection in time",
    "TimeoutError": "no connection in time",
    "ConnectError": "no connection",
    "ReadError": "connection reset",
    "RemoteProtocolError": "answer cut short",
}
Fetched = TypeVar("Fetched")
TOKEN = re.compile(r"hf_[A-Za-z0-9]{16,}|(?<=Bearer )\S+")


class GaveUp(Exception):
    """A request that kept failing until its source's budget was spent; the message says what was tried."""


@dataclass
class Budget:
    """Seconds that one source may lose to failed requests and to waiting for the next try, and what it lost so far."""

    source: str = ""
    seconds: float = field(default_factory=lambda: allowed())
    lost: float = 0.0
    failures: Counter[str] = field(default_factory=Counter)
    tell: Callable[[str], None] | None = None  # hears once that a source is slow
    _told: bool = False
    _closed: threading.Event = field(default_factory=threading.Event)
    _rng: random.Random | None = None

    def close(self) -> None:
        """End all waiting and all requests to come: nobody wants the answers any more."""
        self._closed.set()

    def refuse_closed(self) -> None:
        """Raise GaveUp once it is closed."""
        if self._closed.is_set():
            raise GaveUp(f"{self.source}: nobody waits for it any more")

    def lose(self, why: str, *, seconds: float, url: str, wait: float | None, tries: int) -> None:
        """Note a failed try of ``seconds``, and wait before the next: for the backoff, or ``wait`` if the server asked for more. Raises GaveUp."""
        self.failures[why] += 1
        self.lost += seconds
        pause = max(self._backoff(tries), wait or 0.0)
        most = self.seconds if urlsplit(url).netloc in _answered else min(UNSEEN, self.seconds)
        if self._closed.is_set() or self.lost + pause > most:
            asked = f", and asks to wait {wait:.0f} s" if wait is not None and self.lost + wait > most else ""
            raise GaveUp(f"{_shown(url)}: {why}{asked}; tried {tries} times, {self.told()}")
        if self.tell and not self._told and self.lost + pause > SAID_AFTER:
            self._told = True
            self.tell(f"{self.source}: {why}; trying again for up to {most:.0f} s")
        self._closed.wait(pause)
        self.lost += pause

    def told(self) -> str:
        """What was lost, for an error or a note."""
        kinds = ", ".join(f"{count} × {why}" for why, count in self.failures.most_common())
        return f"{self.lost:.0f} of {self.seconds:.0f} s lost to {kinds or 'nothing'}"

    def _backoff(self, tries: int) -> float:
        """Exponential, with half of it jitter, from a seed: two sources do not come back at the same moment."""
        self._rng = self._rng or random.Random(f"{self.source}:retry")
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(tries - 1, 16))
        return float(longest * self._rng.uniform(0.5, 1.0))


_answered: set[str] = set()  # hosts that have answered, whatever it was, since this process began
_spending: ContextVar[Budget | None] = ContextVar("spending", default=None)
_step_aside: ContextVar[Callable[[], None] | None] = ContextVar("step_aside", default=None)  # of the request that is under way
_headers_due: ContextVar[float | None] = ContextVar("headers_due", default=None)  # 0 before the first byte is waited for; None where no headers are


@contextmanager
def spending(budget: Budget) -> Iterator[None]:
    """Charge the requests of this block, in this thread, to a budget."""
    before = _spending.set(budget)
    try:
        yield
    finally:
        _spending.reset(before)


def go_on() -> None:
    """Raise GaveUp where the present budget is closed: to be called in what takes long without a request."""
    if budget := _spending.get():
        budget.refuse_closed()


def charged(fetch: Callable[..., Fetched]) -> Callable[..., Fetched]:
    """``fetch`` at the cost of the present budget and in the name of the present worker, whichever thread it runs in: Arrow reads on its own."""
    budget, slot = _spending.get() or Budget(), slots.present()

    def fetching(*arguments: Any, **options: Any) -> Fetched:
        with spending(budget), slots.named(slot):
            return fetch(*arguments, **options)

    return fetching


def allowed() -> float:
    """The budget of a source in seconds: CURATE_RETRY_BUDGET, or 300. Raises UsageError."""
    text = os.environ.get("CURATE_RETRY_BUDGET", "")
    try:
        seconds = float(text) if text else BUDGET
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise UsageError(f"CURATE_RETRY_BUDGET is {text!r}; give seconds, such as 600")
    return seconds


@cache
def errors() -> tuple[type[Exception], ...]:
    """The classes to catch: huggingface_hub is built on httpx before 2.0, and on httpx2 since."""
    return (ConnectionError, TimeoutError, *(library.HTTPError for library in _libraries()))


@cache
def _libraries() -> tuple[Any, ...]:
    found = []
    for name in ("httpx", "httpx2"):
        with suppress(ImportError):
            found.append(importlib.import_module(name))
    return tuple(found)


@cache
def be_patient() -> None:
    """Have the hub's clients send every request through ``_patiently``, from now on in this process."""
    from huggingface_hub import constants, set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    def factory() -> Any:
        client: Any = default_client_factory()
        hooks = client.event_hooks
        client.event_hooks = {"request": [*hooks["request"], _keep_token, _await_headers], "response": [*hooks["response"], _watch]}
        client.send = partial(_patiently, client.send)
        for transport in [client._transport, *client._mounts.values()]:  # httpx has no public place for a backend
            pool: Any = getattr(transport, "_pool", None)
            if hasattr(pool, "_network_backend"):
                pool._network_backend = _Backend(pool._network_backend)
                pool._max_connections = MOST_CONNECTIONS
        return client

    set_client_factory(factory)
    constants.HF_HUB_DISABLE_XET = True  # it has a client of its own, without these limits


def _patiently(send: Callable[..., Any], request: Any, **options: Any) -> Any:
    """Send until there is an answer to work with. Raises GaveUp; an answer that no patience would change goes through."""
    _limit(request)
    with slots.aside() as step_aside:
        before = _step_aside.set(step_aside)
        try:
            return _repeated(send, request, options, step_aside)
        finally:
            _step_aside.reset(before)


def _repeated(send: Callable[..., Any], request: Any, options: dict[str, Any], step_aside: Callable[[], None]) -> Any:
    budget = _spending.get() or Budget()
    whole = not options.pop("stream", False)  # nobody would read it bit by bit
    tries = 0
    while True:
        tries += 1
        budget.refuse_closed()
        started, wait = time.monotonic(), None
        due = _headers_due.set(None)
        try:
            response = send(request, stream=True, **options)
            _answered.add(urlsplit(str(request.url)).netloc)
            if response.status_code not in PASSING:
                _take_body(response, whole=whole)
                return response
        except errors() as error:
            if type(error).__name__ in HOPELESS:
                raise
            why = _kind(error)
        else:
            why, wait = f"answered {response.status_code}", asked_to_wait(response.headers)
            response.close()
        finally:
            _headers_due.reset(due)
        step_aside()
        budget.lose(why, seconds=time.monotonic() - started, url=str(request.url), wait=wait, tries=tries)


def _take_body(response: Any, *, whole: bool) -> None:
    """Read a body that its caller wants whole, or would read bit by bit, past all patience; of the latter none that does not say how
    large it becomes. Raises GaveUp for one that becomes too large for memory, packed or not."""
    length = response.headers.get("Content-Length", "")
    if not whole:
        if length.isdecimal() and int(length) <= MOST_HELD and "Content-Encoding" not in response.headers:
            response.read()
        return
    parts, held = [], 0
    for part in response.iter_bytes():
        parts.append(part)
        held += len(part)
        if held > MOST_HELD:
            response.close()
            raise GaveUp(f"{_shown(str(response.request.url))}: an answer of more than {MOST_HELD >> 20} MiB")
    response._content = b"".join(parts)  # where `read` would put it, which has no bound


def _shown(url: str) -> str:
    """An address without its query, which may hold a signature."""
    place = urlsplit(url)
    return f"{place.netloc}{place.path}"


def _keep_token(request: Any) -> None:
    """Take the token from a request that does not go to the hub: huggingface_hub lets it follow redirects to any port and scheme of
    the same host, and to huggingface.co from a mirror."""
    from huggingface_hub import constants

    if _origin(str(request.url)) != _origin(constants.ENDPOINT):
        request.headers.pop("Authorization", None)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    place = urlsplit(url)
    return place.scheme, place.hostname, place.port or {"http": 80, "https": 443}.get(place.scheme)


def _limit(request: Any) -> None:
    """No step of a request waits for longer than IDLE, whatever its caller says."""
    limits = request.extensions.get("timeout") or {}
    steps = ("connect", "read", "write", "pool")
    request.extensions["timeout"] = {s: min(limits.get(s) or IDLE, IDLE) for s in steps}


def _await_headers(_: Any) -> None:
    _headers_due.set(0.0)


def _while_wanted(since: float) -> None:
    """To be called again and again in what waits since that moment: raises GaveUp once nobody wants it, and lets another worker go
    on after SLOW."""
    go_on()
    if (step_aside := _step_aside.get()) and time.monotonic() - since > SLOW:
        step_aside()


class _Backend:
    """A network backend of httpcore whose streams are ``_Stream``, and whose connecting ends as their reading does."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def connect_tcp(self, *arguments: Any, **options: Any) -> Any:
        """A connection within IDLE, whatever number of addresses a name has. Nothing ends the looking up of a name and connecting from
        outside, so a thread of its own does that, and is left alone with it."""
        connected: Future[Any] = Future()
        threading.Thread(target=into, args=(connected, partial(self._inner.connect_tcp, *arguments, **options)), daemon=True).start()
        asked = time.monotonic()
        while not connected.done() and time.monotonic() - asked < IDLE:
            _while_wanted(asked)
            wait([connected], STEP)
        return _Stream(connected.result(0))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Stream:
    """A connection on which all headers of an answer share one time limit, and waiting ends with GaveUp when the budget is closed."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        asked = time.monotonic()
        until = asked + (IDLE if timeout is None else timeout)
        due = _headers_due.get()
        if due == 0:
            _headers_due.set(until)
        until = min(until, due or until)
        while True:
            _while_wanted(asked)
            left = until - time.monotonic()
            try:
                return bytes(self._inner.read(max_bytes, max(0.001, min(STEP, left))))  # 0 would not wait at all
            except Exception as error:
                if left <= STEP or type(error).__name__ != "ReadTimeout":
                    raise

    def start_tls(self, *arguments: Any, **options: Any) -> Any:
        return _Stream(self._inner.start_tls(*arguments, **options))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def into(outcome: Future[Any], work: Callable[[], Any]) -> None:
    """Do some work, and give what comes of it to whoever waits for the outcome."""
    try:
        outcome.set_result(work())
    except BaseException as error:  # noqa: BLE001 - it belongs to the one who waits
        outcome.set_exception(error)


def _kind(error: Exception) -> str:
    """What went wrong, in a word or two that can be counted."""
    return KINDS.get(type(error).__name__, type(error).__name__)


def asked_to_wait(headers: Any) -> float | None:
    """Seconds that a server asks for: ``Retry-After`` as seconds or as a date, or the hub's ``RateLimit`` with nothing left."""
    text = str(headers.get("Retry-After") or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    with suppress(ValueError, TypeError, OverflowError):
        moment = parsedate_to_datetime(text)
        return max(0.0, (moment.astimezone(UTC) - datetime.now(UTC)).total_seconds())
    limit = re.search(r"\br=0;\s*t=(\d+)", str(headers.get("RateLimit") or ""))
    return float(limit[1]) if limit else None


def _watch(response: Any) -> None:
    """Give an answer's body a time limit as a whole: IDLE seconds, and one more for each LEAST_RATE bytes. A connection that is reset
    in its middle is one that ended early: huggingface_hub goes on with a large file after the one, and not after the other."""
    _headers_due.set(None)
    library = next(lib for lib in _libraries() if isinstance(response, lib.Response))
    if not isinstance(response.stream, library.SyncByteStream):
        return
    inner, started = response.stream, time.monotonic()

    class Watched(library.SyncByteStream):  # type: ignore[misc,name-defined]
        def __iter__(self) -> Iterator[bytes]:
            received = 0
            try:
                for part in inner:
                    received += len(part)
                    if time.monotonic() - started > IDLE + received / LEAST_RATE:
                        raise library.ReadTimeout(f"slower than {LEAST_RATE >> 10} KiB/s", request=response.request)
                    yield part
            except library.ReadError as error:
                raise library.RemoteProtocolError(f"connection reset: {error}", request=response.request) from None

        def close(self) -> None:
            inner.close()

    response.stream = Watched()


def redacted(text: str) -> str:
    """``text`` without access tokens: the one in HF_TOKEN, and whatever looks like one."""
    known = [os.environ.get(name, "") for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")]
    for token in (t for t in known if len(t) >= 8):
        text = text.replace(token, "[token]")
    return TOKEN.sub("[token]", text)
