"""What the hub's clients raise, in words: what was found, and what its user can do. One table for datasets, tokenizers and models,
which differ in the advice alone. Whoever has errors told here has patience with the hub, too.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curator import network, paths
from curator.errors import CurateError, SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMIT = re.compile(r"[0-9a-f]{40}")
LOGIN = "log in (`hf auth login`, or HF_TOKEN)"


@dataclass(frozen=True, slots=True)
class Advice:
    """What can be done about something that the hub does not give, and how the user came to ask for it."""

    terms: str  # where its terms are accepted: "on the hub"
    absent: str  # said of a repository that is not there, whole
    offline: str  # said where HF_HUB_OFFLINE is set, whole
    instead: str  # what needs no network: "name a folder"
    misnamed: str = "not a hub id ORG/NAME"
    revision: str | None = None  # that was asked for
    setting: str = "revision"  # where the user says it
    commit: str | None = None  # whose files are being read, so that all of them have been there
    later: str = "try again later"
    patience: str = "--retry-budget"


@contextmanager
def told(what: str, advice: Advice, *, misnamed: type[CurateError] = UsageError) -> Iterator[None]:
    """Have what the hub's clients raise in this block be a SourceError that begins with ``what``, as those do that are raised in it,
    and an impossible name an error of the kind ``misnamed``; every request in it is patient."""
    from huggingface_hub import errors

    network.be_patient()
    try:
        yield
    except errors.HFValidationError:
        raise misnamed(f"{what}: {advice.misnamed}") from None
    except (*foreign(), *unanswered()) as error:
        raise SourceError(f"{what}: {_said(_cause(error), advice)}") from None


def foreign() -> tuple[type[Exception], ...]:
    """What can come from the hub, its clients and the disk that they write to, whatever is asked of them, and what is told already."""
    from huggingface_hub import errors

    return (SourceError, errors.HfHubHTTPError, errors.OfflineModeIsEnabled, network.GaveUp, *network.errors(), OSError)


def unanswered() -> tuple[type[Exception], ...]:
    """What can come where the hub has no answer, or none that helps: what is kept of an earlier one may do."""
    from huggingface_hub import errors

    return (errors.HfHubHTTPError, errors.OfflineModeIsEnabled, network.GaveUp, json.JSONDecodeError, *network.errors())


def first_line(error: BaseException) -> str:
    """The beginning of what an error says, or its kind where it says nothing."""
    text = re.sub(r"\s+", " ", str(error).strip().split("\n")[0])
    return text[:300] or type(error).__name__


def _cause(error: Exception) -> Exception:
    """Why a file is not on this machine, where the clients say no more than that: they looked there because the hub did not give it."""
    from huggingface_hub import errors

    hidden = error.__cause__ if isinstance(error, errors.LocalEntryNotFoundError) else None
    return hidden if isinstance(hidden, Exception) else error


def _said(error: Exception, advice: Advice) -> str:
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", "?")
    gone = f"a file of commit {advice.commit} is gone ({first_line(error)}); take what there is with --update, if it is locked"
    renew = ", or take what there is with --update, if it is locked" if COMMIT.fullmatch(advice.revision or "") else ""
    sayings: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
        (SourceError, str(error)),
        (network.GaveUp, f"{error}; {advice.later}, or give it more time with {advice.patience}"),
        (errors.GatedRepoError, f"gated; accept its terms {advice.terms} and {LOGIN}"),
        ((errors.RevisionNotFoundError, FileNotFoundError) if advice.commit else (), gone),
        (errors.RevisionNotFoundError, f"no revision {advice.revision!r}; mend `{advice.setting}`, or leave it out for main{renew}"),
        (errors.RepositoryNotFoundError, advice.absent),
        (errors.EntryNotFoundError, f"a file is not there: {first_line(error)}"),
        (errors.OfflineModeIsEnabled, advice.offline),
        (errors.HfHubHTTPError, f"the hub answered {status}; {LOGIN if status in (401, 403) else 'try again later'}"),
        (OSError if paths.unwritable(error) else (), paths.unwritable(error) or ""),
        (FileNotFoundError, first_line(error)),
        (json.JSONDecodeError, f"something else answers in the place of the hub ({first_line(error)}); log in to this network, or {advice.instead}"),
        (network.errors(), f"the hub cannot be reached ({first_line(error)}); check the network, or {advice.instead}"),
    )
    return next((text for kinds, text in sayings if isinstance(error, kinds)), first_line(error))
