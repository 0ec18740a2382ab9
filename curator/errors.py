"""Everything that can go wrong, and the exit code each thing has.

=========================  ====  ==============================================
class                      code  the user then
=========================  ====  ==============================================
(no error)                   0
(the answer is no)           1   reads the answer (``check``, ``verify``,
                                 ``verify-checkpoint``, ``diff``)
UsageError                   2   corrects the command
  MixError                   2   edits the mix: one line a problem
SourceError                  3   retries, logs in, or mends the card
ShortfallError               4   changes shares or sources
QuantizeError                5
MissingExtra                 6   installs the extra
(any other exception)       70   reports the bug with the crash file
(KeyboardInterrupt)        130   runs again
=========================  ====  ==============================================

A message says what, where and what to do. Library code raises; only ``curator.cli`` prints and exits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


ANSWER_IS_NO = 1
BUG = 70
INTERRUPTED = 130


class CurateError(Exception):
    """The root: an error that is the user's to mend, with its message ready to print."""

    exit_code = 70


class UsageError(CurateError):
    """A command that cannot be carried out as given."""

    exit_code = 2


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in a file, at a 1-based line and column."""

    line: int
    column: int
    message: str


class MixError(UsageError):
    """Everything wrong in one YAML file, at once."""

    def __init__(self, file: str, problems: Iterable[Problem]) -> None:
        self.file = file
        self.problems = sorted(set(problems))
        super().__init__("\n".join(f"{file}:{p.line}:{p.column}: {p.message}" for p in self.problems))


class SourceError(CurateError):
    """A source that is unreachable, gated, or not as its card says."""

    exit_code = 3

    @classmethod
    def join(cls, errors: Sequence[SourceError]) -> SourceError:
        """One error out of many, so that a user mends them in one go; one to try again, if any is."""
        messages = list(dict.fromkeys(str(e) for e in errors))
        several = f"{len(messages)} sources cannot be used:\n" + "\n".join(f"* {m}" for m in messages)
        joined = cls(several if len(messages) > 1 else messages[0])
        joined.exit_code = max(e.exit_code for e in errors)
        return joined


class ShortfallError(CurateError):
    """A quota or a gate that was not met."""

    exit_code = 4


class QuantizeError(CurateError):
    """A model that cannot be quantized as asked."""

    exit_code = 5


class MissingExtra(CurateError):
    """A command that needs an optional dependency."""

    exit_code = 6
