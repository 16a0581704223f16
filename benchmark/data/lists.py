"""Lists of frames, such as laboratories publish: names of images, one a line, and labels in a second file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.config.protocol import Protocol
from benchmark.core.errors import UserError, wrong_path
from benchmark.core.files import regular
from benchmark.data.faces import UNKNOWN
from benchmark.data.files import listing
from benchmark.data.findings import few
from benchmark.data.known import Known

SHIFTS = (-1, 0, 1)
"""Shifts of frame numbers that a comparison tries."""


@dataclass(frozen=True)
class Entry:
    """One line of a list: the image's name, and the frame that it names."""

    line: int
    name: str
    subject: str
    sequence: str
    frame: int


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Lines of a text file with their numbers, from 1."""
    return enumerate(regular(file).read_text(encoding="utf-8-sig", errors="replace").splitlines(), start=1)


def read_names(file: Path, pattern: re.Pattern[str], example: str) -> list[Entry]:
    """Read the names of a list.

    Args:
        file: The list. What follows a space on a line is ignored.
        pattern: Expression with the groups `subject`, `frame`, and `task` where subjects have several sequences.
        example: A name that fits, for errors.

    Raises:
        UserError: There is no such file, or a line has another form.
    """
    if not file.is_file():
        raise wrong_path(file, "file", expected="a list", remedy=f"in its folder there are: {listing(file.parent)}")
    entries = []
    for line, text in _lines(file):
        name = text.strip().replace("\\", "/").split(" ")[0]
        if not name:
            continue
        match = pattern.search(name)
        if match is None:
            raise UserError(
                "a line of the list names no frame",
                where=file,
                line=line,
                expected=f"the name of a frame, such as {example}",
                found=text.strip()[:80],
                remedy="name a list of image paths",
            )
        fields = match.groupdict()
        sequence = f"{fields['subject']}/{fields['task']}" if fields.get("task") else fields["subject"]
        entries.append(Entry(line, name, fields["subject"], sequence, int(fields["frame"])))
    return entries


def read_label_rows(file: Path, rows: int, aus: int) -> npt.NDArray[np.int8]:
    """Read a file of labels, one row a name: 0, 1, and 9 or -1 for unknown, separated by spaces or commas.

    Args:
        file: The file.
        rows: Number of names.
        aus: Number of AUs.

    Returns:
        (rows, aus) of 0, 1 or `UNKNOWN`.

    Raises:
        UserError: There is no such file, or it has another number of rows or columns, or another value.
    """
    if not file.is_file():
        raise wrong_path(
            file, "file", expected="a file of labels", remedy=f"in its folder there are: {listing(file.parent)}"
        )
    values = {"0": 0, "1": 1, "9": UNKNOWN, "-1": UNKNOWN}
    table = []
    for line, text in _lines(file):
        cells = text.replace(",", " ").split()
        if not cells:
            continue
        whole = [cell.removesuffix(".0") for cell in cells]
        if len(cells) != aus or any(cell not in values for cell in whole):
            raise UserError(
                "a wrong row of labels",
                where=file,
                line=line,
                expected=f"{aus} cells of 0, 1, and 9 or -1 for unknown",
                found=text.strip()[:80],
                remedy="name the labels that belong to the list; intensities must be made 0 and 1 first",
            )
        table.append([values[cell] for cell in whole])
    if len(table) != rows:
        raise UserError(
            "names and labels do not belong together",
            where=file,
            expected=f"{rows:,} rows, one a name",
            found=f"{len(table):,} rows",
            remedy="name the labels that belong to the list",
        )
    return np.array(table, dtype=np.int8).reshape(rows, aus)


@dataclass(frozen=True)
class Comparison:
    """A list held against the known frames.

    Attributes:
        rows: Name, number on the list and known number of frames: of all, of each part.
        shift: What to add to the numbers of the list so that they fit best; 0 if they fit.
        inside: Share of the frames that are known ones with that shift.
        nearest: Name and size of the known list with the nearest number of frames.
        differing: Sequences with another number of frames than known, `F017/T3 319 of 450`.
        remarks: Other remarks in sentences.
    """

    rows: tuple[tuple[str, int, int], ...]
    shift: int
    inside: float
    nearest: str
    differing: tuple[str, ...]
    remarks: tuple[str, ...]


def compare(entries: Sequence[Entry], protocol: Protocol, known: Known, lists: Mapping[str, int]) -> Comparison:
    """Hold a list against the known ranges of a dataset and the sizes of public lists.

    Args:
        entries: The list.
        protocol: Parts of the dataset.
        known: Ranges of its sequences.
        lists: Number of frames of public lists, by name.
    """
    by_sequence: dict[str, set[int]] = {}
    for entry in entries:
        by_sequence.setdefault(entry.sequence, set()).add(entry.frame)
    fits = {shift: _inside(by_sequence, known, shift) for shift in SHIFTS}
    shift = max(SHIFTS, key=lambda k: (fits[k], -abs(k)))
    total = sum(map(len, by_sequence.values()))
    subjects = {name: name.partition("/")[0] for name in {*by_sequence, *known.ranges}}
    rows = [("all", total, sum(r.frames for r in known.ranges.values()))]
    for part, names in protocol.parts.items():
        on_list = sum(len(frames) for name, frames in by_sequence.items() if subjects[name] in names)
        rows.append((part, on_list, sum(r.frames for name, r in known.ranges.items() if subjects[name] in names)))
    differing = [
        f"{name} {len(by_sequence.get(name, ()))} of {full.frames}"
        for name, full in sorted(known.ranges.items())
        if len(by_sequence.get(name, ())) != full.frames
    ]
    nearest = min(lists, key=lambda name: abs(lists[name] - total)) if lists else ""
    remarks = []
    if len(entries) != total:
        remarks.append(f"{len(entries) - total:,} lines name a frame for the second time")
    unknown = sorted(by_sequence.keys() - known.ranges.keys())
    if unknown:
        remarks.append(f"sequences that the dataset does not have: {few(unknown)}")
    if any("right" in entry.name.lower() for entry in entries[:100]):
        remarks.append("names of the right camera")
    named = f"{nearest}: {lists[nearest]:,}" if nearest else ""
    return Comparison(tuple(rows), shift, fits[shift] / max(total, 1), named, tuple(differing), tuple(remarks))


def _inside(by_sequence: Mapping[str, set[int]], known: Known, shift: int) -> int:
    return sum(
        sum(full.first <= frame + shift <= full.last for frame in frames)
        for name, frames in by_sequence.items()
        if (full := known.ranges.get(name)) is not None
    )
