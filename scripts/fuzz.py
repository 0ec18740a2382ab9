"""Mutate mixes, cards, templates and files of rows, and stop at the first that is not met with a message: ``python scripts/fuzz.py --count 100000``.

Every input is made from its number and the seed, so that a finding is repeated with ``--only NUMBER``.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
LIMIT = 10  # seconds for one input


class Overdue(BaseException):
    """No exception that anything on the way may take for one of its own."""


def overdue(_signal: int, _frame: FrameType | None) -> None:
    raise Overdue(f"more than {LIMIT} s")


def guided(seconds: int) -> int:
    """Let coverage of the readers choose the mutations; the first byte of an input chooses the format."""
    import atheris

    with atheris.instrument_imports(
        include=["curator.adapters", "curator.chat_template", "curator.formatters", "curator.mix", "curator.plain_yaml", "curator.templates"]
    ):
        from tests.fuzz import mutations
    names = sorted(mutations.row_files())
    seeds = Path(tempfile.mkdtemp(prefix="curate-fuzz-"))
    for number, name in enumerate(names):
        (seeds / name).write_bytes(bytes([number]) + mutations.row_files()[name])
    mutations.encoder()

    def target(data: bytes) -> None:
        if data:
            mutations.try_rows(names[data[0] % len(names)], data[1:])

    atheris.Setup([sys.argv[0], str(seeds), f"-max_total_time={seconds}", f"-timeout={LIMIT}", "-rss_limit_mb=4096"], target)
    atheris.Fuzz()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the input of this number, with its traceback")
    parser.add_argument("--guided", type=int, metavar="SECONDS", help="files of rows led by coverage, with atheris (pip install atheris)")
    options = parser.parse_args()
    if options.guided:
        return guided(options.guided)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from tests.fuzz import mutations

    for _, target, good in mutations.corpus():  # load what is loaded once, and see that what is good is good
        target(good)
    signal.signal(signal.SIGALRM, overdue)
    outcomes: Counter[str] = Counter()
    found: list[int] = []
    slowest, started = (0.0, 0), time.monotonic()
    numbers = [options.only] if options.only is not None else range(options.start, options.start + options.count)
    for number in numbers:
        kind, data, target = mutations.one(number, seed=options.seed)
        begun = time.monotonic()
        signal.alarm(LIMIT)
        try:
            outcomes[f"{kind}: {target(data)}"] += 1
        except (Exception, Overdue) as error:  # noqa: BLE001 - anything that comes out is a finding
            found.append(number)
            print(f"number {number} ({kind}): {type(error).__name__}: {str(error)[:200]}", flush=True)
            if options.only is not None:
                traceback.print_exc()
                print(data)
        finally:
            signal.alarm(0)
        slowest = max(slowest, (time.monotonic() - begun, number))
    for name, count in sorted(outcomes.items()):
        print(f"{count:8,}  {name}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{len(numbers):,} inputs in {time.monotonic() - started:.0f} s, {peak} MiB at most")
    print(f"slowest {slowest[0]:.2f} s (number {slowest[1]}); {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
