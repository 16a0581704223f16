"""Findings of a check of data, and the report that holds them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from benchmark.core.errors import UserError
from benchmark.core.files import read_bytes
from benchmark.core.hashing import digest_of_file
from benchmark.data.files import kind_of

FEW = 12
"""Maximum number of items that a line lists by name."""
REPEATS_FROM = 5
"""Minimum number of coded frames with which equal label files count as copies."""


@dataclass(frozen=True)
class Finding:
    """One fault or remark of a check.

    Attributes:
        what: Sentence that names the items.
        where: File with line, or another place.
        expected: Contents of a full copy.
        found: Contents of this copy.
        remedy: Action to take.
        severity: `fault` for incomplete or damaged data; `remark` where the reference list may be the cause.
    """

    what: str
    where: str = ""
    expected: str = ""
    found: str = ""
    remedy: str = ""
    severity: Literal["fault", "remark"] = "fault"


@dataclass(frozen=True)
class Line:
    """One line of the check's table: an item, its value in this copy, and its value in a full copy."""

    name: str
    found: str
    known: str


@dataclass(frozen=True)
class Report:
    """The outcome of a check."""

    lines: tuple[Line, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def faults(self) -> tuple[Finding, ...]:
        """Findings because of which the data are refused."""
        return tuple(finding for finding in self.findings if finding.severity == "fault")

    @property
    def grouped(self) -> Report:
        """The same report, with findings of one kind made one."""
        return Report(self.lines, grouped(self.findings))

    def __add__(self, other: Report) -> Report:
        return Report(self.lines + other.lines, self.findings + other.findings)


def of_error(error: UserError) -> Finding:
    """The finding of a fault that a reader raised."""
    return Finding(error.what, error.where or "", error.expected or "", error.found or "", error.remedy or "")


def grouped(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Findings with those of one kind made one: the first of them, with the number and the places of the others.

    Findings are of one kind where their sentences and remedies differ in names of subjects and numbers alone.
    """
    kinds: dict[tuple[str, str, str], list[Finding]] = defaultdict(list)
    for finding in dict.fromkeys(findings):  # one archive is the fault of each of its sequences
        kinds[kind_of(finding.what), kind_of(finding.remedy), finding.severity].append(finding)
    return tuple(_as_one(members) for members in kinds.values())


def _as_one(members: Sequence[Finding]) -> Finding:
    first = members[0]
    if len(members) == 1:
        return first
    names = [Path(m.where.rsplit(":", 1)[0]).name if m.where else m.what.partition(":")[0] for m in members[1:]]
    return replace(first, what=f"{first.what} (and {len(names)} more of this kind: {few(list(dict.fromkeys(names)))})")


def few(items: Sequence[str]) -> str:
    """Names of the first items, and the number of the others."""
    return ", ".join(items[:FEW]) + (f" and {len(items) - FEW} more" if len(items) > FEW else "")


def unlabelled(names: list[str], where: Path) -> list[Finding]:
    """Remark on folders of images without labels; none if there are no such folders."""
    if not names:
        return []
    return [
        Finding(
            f"images without labels: {few(names)}",
            where=str(where),
            expected=f"label files {few([name.replace('/', '_') for name in names])}",
            remedy="copy their label files, or take the images out",
            severity="remark",
        )
    ]


def repeats(files: Mapping[Path, list[Path]]) -> list[Finding]:
    """Findings on label files with the same content under two names.

    Args:
        files: Label files by the file or folder that names them in the finding.
    """
    by_content: dict[tuple[bytes, ...], list[Path]] = defaultdict(list)
    for name, paths in files.items():
        if all(file.is_file() for file in paths):  # else its reader has said so
            by_content[tuple(digest_of_file(file) for file in paths)].append(name)
    return [
        Finding(
            f"the same labels under {len(names)} names: {few([n.name for n in names])}",
            where=str(names[0].parent),
            remedy="copy these files from your dataset anew",
        )
        for names in by_content.values()
        if len(names) > 1 and _rows(files[names[0]]) >= REPEATS_FROM
    ]


def _rows(files: list[Path]) -> int:
    return max((read_bytes(file).count(b"\n") - 1 for file in files), default=0)
