"""Which paths are whose: what a mix may read, who has a target to himself, and how a folder takes the place of another so that one
of the two always stands, or is found again beside it."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from curator.errors import UsageError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # errors that room would mend
REFUSED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.EBUSY, errno.EXDEV, errno.ENOTDIR, errno.EEXIST, errno.EISDIR})
BROKEN = frozenset({errno.EIO, errno.ESTALE})  # a disk that fails, a share that is gone
UNWRITABLE = FULL | REFUSED | BROKEN  # the user's to mend, not a bug
MANIFESTS = ("manifest.json", "curate-*.json", "expert_tokens.json")  # of what we write; a model has other JSON that any model has
PARTIAL = ".partial"  # what the name of a file or folder ends with while it is written
ELSEWHERE = "choose another --out"  # what to do about a target that cannot be had


def allowed(path: Path, base: str) -> bool:
    """Whether a mix may read there: in its own folder, or where its user said (--allow-path, CURATE_ALLOW_PATHS)."""
    named = [p for p in os.environ.get("CURATE_ALLOW_PATHS", "").split(os.pathsep) if p]
    return any(path.is_relative_to(Path(folder).expanduser().resolve()) for folder in [base, *named])


def unwritable(error: BaseException) -> str | None:
    """What to say of an error of the disk below the hub's cache; None for any other."""
    if not isinstance(error, OSError) or error.errno not in UNWRITABLE:
        return None
    return f"the hub's cache cannot be written ({error.strerror}: {error.filename or 'a file in it'}); make room, or name another place with HF_HOME"


@contextmanager
def told(target: Path, *, otherwise: str = ELSEWHERE) -> Iterator[None]:
    """Have a target that cannot be written be the user's to mend: a UsageError that ends with ``otherwise``, what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        file = f" ({error.filename})" if error.filename else ""
        room = "make room, or " if error.errno in FULL else ""
        raise UsageError(f"{target}: cannot be written: {error.strerror}{file}; {room}{otherwise}") from None


def sha256(file: Path) -> str:
    """The digest of a file, in hexadecimal. Raises OSError."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def settle(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk: after a power cut, what then stands at its place is whole."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def settle_all(folder: Path) -> None:
    """``settle`` everything in a folder, and the folder."""
    for path in [*folder.rglob("*"), folder]:
        settle(path)


def write_whole(file: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a file beside its place and rename it: all of it stands there, or nothing. Until then it has a name that ends with PARTIAL,
    that nobody can have laid out as a link and no other run writes to. Raises OSError."""
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=PARTIAL, dir=file.parent)
    try:
        with open(handle, "wb") as stream:
            stream.write(data)
        Path(name).chmod(mode)
        os.replace(name, file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def refuse_mount(target: Path) -> None:
    """Raise UsageError where no rename can put anything."""
    if os.path.ismount(target):
        raise UsageError(f"{target}: is a mount point; name a folder in it")


@contextmanager
def claimed(target: Path, *, otherwise: str = ELSEWHERE) -> Iterator[None]:
    """Have a target to oneself, and clear up what runs that were killed left beside it; within a claim, a claim is free.

    Raises UsageError where another run is writing there, or nothing can be written; it ends with ``otherwise``, what to do then."""
    import filelock

    lock = filelock.FileLock(target.parent / f".{target.name}.lock", timeout=0, is_singleton=True, thread_local=False)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout:
        raise UsageError(f"{target}: another run is writing there; wait for it, or {otherwise}") from None
    except OSError as error:
        raise UsageError(f"{target}: cannot be written: {error.strerror}; {otherwise}") from None
    try:
        if lock.lock_counter == 1:
            recover(target)
        yield
    finally:
        if lock.lock_counter == 1:
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def left_beside(target: Path, suffix: str) -> list[Path]:
    """The folders that ``tempfile.mkdtemp`` made beside a target, and nothing of a neighbour whose name only begins alike: beside
    ``B``, ``.B.v2.k3x_90qa.old`` is of ``B.v2``."""
    own = re.compile(rf"\.{re.escape(target.name)}\.[a-z0-9_]{{8}}{re.escape(suffix)}")
    return [p for p in target.parent.glob(f".*{suffix}") if own.fullmatch(p.name)]


def take_place(folder: Path, target: Path) -> None:
    """Rename ``folder`` to its place. What stands there waits beside it, in a folder of its own. Where its replacement fails it is
    put back; where that fails too, it is kept, and a UsageError names it."""
    if not os.path.lexists(target):
        os.replace(folder, target)
        return
    kept = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".old", dir=target.parent)) / target.name
    try:
        os.replace(target, kept)
        os.replace(folder, target)
    except BaseException as error:
        _put_back(kept, target, error)
        raise
    shutil.rmtree(kept.parent, ignore_errors=True)


def _put_back(kept: Path, target: Path, cause: BaseException) -> None:
    if os.path.lexists(kept):
        try:
            os.replace(kept, target)
        except OSError as error:
            raise UsageError(
                f"{target}: cannot be replaced ({cause}), nor put back ({error.strerror}); what stood there is kept in {kept}: move it back by hand"
            ) from cause
    kept.parent.rmdir()


def recover(target: Path) -> None:
    """Put back what was being replaced when its replacer was killed, of whatever kind it is, finish removing what was replaced, and
    remove what was half-written. What something else than its replacement keeps from its place stays, and what cannot be moved."""
    for old in left_beside(target, ".old"):
        with suppress(OSError):
            kept = next(old.iterdir(), old / target.name)
            if kept.is_dir() and not os.path.lexists(target):
                os.replace(kept, target)
            if _is_replaced(kept, target):
                shutil.rmtree(old, ignore_errors=True)
    for partial in left_beside(target, PARTIAL):
        shutil.rmtree(partial, ignore_errors=True)


def _is_replaced(kept: Path, target: Path) -> bool:
    """Whether nothing is lost with it: it is not there, is empty, or what stands at its place was written by us too."""
    if not kept.is_dir() or not any(kept.iterdir()):
        return True
    return any((target / m.name).is_file() for pattern in MANIFESTS for m in kept.glob(pattern))
