"""The registration of a plan: the commit that held the plan before its trials ran, and the digest of the file."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from benchmark.core.atomic import write_atomically
from benchmark.core.errors import UserError
from benchmark.core.files import parse_toml
from benchmark.core.git import ask_git

SUFFIX = ".registered"
"""Ending of the file of a registration, beside the plan: PLAN.registered."""


@dataclass(frozen=True)
class Registration:
    """Commit that held a plan, and the digest of the plan there.

    Attributes:
        commit: Full hash of the commit.
        committed: Time of the commit.
        digest: SHA-256 of the plan's file.
    """

    commit: str
    committed: datetime
    digest: str


def registration_file(plan: Path) -> Path:
    """File of the registration of a plan."""
    return plan.with_suffix(SUFFIX)


def register(plan: Path) -> Path:
    """Write the registration of a plan that is committed as it stands.

    Args:
        plan: The plan's file.

    Returns:
        The file of the registration.

    Raises:
        UserError: git cannot be asked, or the plan is not committed as it stands.
    """
    said = ask_git(plan.parent, "log", "-1", "--format=%H %cI", "--", plan.name)
    if not said or ask_git(plan.parent, "status", "--porcelain", "--", plan.name) != "":
        raise UserError(
            "the plan is not committed as it stands",
            where=plan,
            expected="a plan in git, without changes since its last commit",
            found="changes, or no commit",
            remedy=f"git add {plan.name} && git commit, then register it again",
        )
    commit, committed = said.split()
    content = f'commit = "{commit}"\ncommitted = "{committed}"\ndigest = "{_digest(plan)}"\n'
    file = registration_file(plan)
    write_atomically(file, content.encode())
    return file


def read_registration(plan: Path) -> Registration | None:
    """The registration of a plan; None if it has none.

    Raises:
        UserError: The file cannot be read.
    """
    file = registration_file(plan)
    if not file.is_file():
        return None
    try:
        content = parse_toml(file.read_text(encoding="utf-8"))
        return Registration(content["commit"], datetime.fromisoformat(content["committed"]), digest=content["digest"])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            "the registration of the plan cannot be read",
            where=file,
            expected="commit, committed and digest",
            found=f"{type(error).__name__}: {error}",
            remedy="restore it from git",
        ) from error


def registration_sentence(plan: Path, provenances: Mapping[str, Iterable[str]]) -> str:
    """When the plan was registered, whether it changed since, and how many trials began before.

    Args:
        plan: The plan's file.
        provenances: Provenance of each trial that tests, as JSON, by the name of its question.
    """
    registered = read_registration(plan)
    if registered is None:
        return "The plan is not registered: it may have been changed after results were seen."
    starts = {
        name: [datetime.fromisoformat(json.loads(text)["started"]) for text in made]
        for name, made in provenances.items()
    }
    early = {name: sum(start < registered.committed for start in begun) for name, begun in starts.items()}
    before = ", ".join(f"{count} of the question {name}" for name, count in early.items() if count)
    changed = (
        "and has not changed since"
        if _digest(plan) == registered.digest
        else "**and has changed since: what follows is not of the registered plan**"
    )
    when = registered.committed.strftime("%Y-%m-%d %H:%M %Z").strip()
    return (
        f"The plan was registered in commit {registered.commit[:12]} of {when}, {changed}. "
        f"Of its {sum(map(len, starts.values()))} test trials, {before or 'none'} began before; one that was stopped "
        "counts from where it went on."
    )


def _digest(plan: Path) -> str:
    # Line ends differ between checkouts on different systems.
    return sha256(plan.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
