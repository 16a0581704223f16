"""Choice of BP4D's frames: those of JAA-Net's lists, or of a list of the user."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmark.core.errors import UserError
from benchmark.core.files import regular
from benchmark.data.files import Coding, listing
from benchmark.data.known import read_known_csv

_LINE = re.compile(
    r"(?:.*/)?(?P<subject>[FM]\d{3})[/_,](?P<task>T\d)[/_,]0*(?P<frame>\d+)(?:\.(?:jpe?g|png))?", re.ASCII
)

ALL, JAA = "all", "jaa"
"""Words of the setting `bp4d.frames` beside the name of a file."""
Frames = Mapping[str, frozenset[int]]
"""Frame numbers by sequence, such as `F001/T1`."""


class Selection(Protocol):
    """Choice among the coded frames of a sequence."""

    @property
    def title(self) -> str:
        """Name of the choice, for the note of the data."""

    def keep(self, sequence: str, coded: Coding) -> Coding:
        """The chosen frames of a sequence.

        Raises:
            UserError: A chosen frame has no labels.
        """


@dataclass(frozen=True)
class WithoutGaps:
    """All coded frames but those that JAA-Net's lists lack.

    Attributes:
        gaps: The frames that are left out.
    """

    gaps: Frames
    title: str = "frames as in JAA-Net's lists"

    def keep(self, sequence: str, coded: Coding) -> Coding:
        """The frames outside the gaps."""
        gone = self.gaps.get(sequence, frozenset())
        return coded.only(set(coded.frames) - gone) if gone else coded


@dataclass(frozen=True)
class Listed:
    """The frames of a list of the user.

    Attributes:
        frames: The frames on the list.
    """

    frames: Frames
    title: str = "frames of a list"

    def keep(self, sequence: str, coded: Coding) -> Coding:
        """The listed frames; see `Selection.keep`."""
        wanted = self.frames.get(sequence, frozenset())
        extra = sorted(wanted - set(coded.frames))
        if extra:
            raise UserError(
                f"{len(extra)} listed frames have no labels, the first is frame {extra[0]}",
                where=coded.file,
                expected="a row for each frame of the list",
                found=f"frames {min(coded.frames, default=0)} to {max(coded.frames, default=0)}",
                remedy="correct the list that bp4d.frames names; where all are off by one, its numbers start elsewhere",
            )
        return coded.only(wanted)


def read_gaps(file: Path) -> Frames:
    """Read the frames that JAA-Net's lists lack.

    Args:
        file: CSV file with columns `subject`, `task`, `first` and `last`, one gap a row.
    """
    frames: dict[str, set[int]] = defaultdict(set)
    for row in read_known_csv(file).to_dict("records"):
        frames[f"{row['subject']}/{row['task']}"].update(range(row["first"], row["last"] + 1))
    return {sequence: frozenset(numbers) for sequence, numbers in frames.items()}


def read_frame_list(file: Path) -> Frames:
    """Read a list of frames, one a line: `F001/T1/2440.jpg`, with any folders before it, or `F001,T1,2440`.

    What follows a space is ignored, so that lists with labels beside the names are read, too.

    Raises:
        UserError: There is no such file, a line is of another form or is repeated, or there is none.
    """
    remedy = "write one frame a line, F001/T1/2440.jpg, or correct bp4d.frames"
    if not file.is_file():
        raise UserError("there is no list of frames", where=file, found=listing(file.parent), remedy=remedy)
    frames: dict[str, set[int]] = defaultdict(set)
    for line, text in enumerate(regular(file).read_text(encoding="utf-8-sig", errors="replace").splitlines(), start=1):
        cell = text.strip().replace("\\", "/").split(" ")[0]
        if not cell or cell.startswith("#"):
            continue
        match = _LINE.fullmatch(cell)
        sequence = f"{match['subject']}/{match['task']}" if match else ""
        if match is None or int(match["frame"]) in frames[sequence]:
            raise UserError(
                "a frame stands twice in the list" if match else "a wrong line in the list of frames",
                where=file,
                line=line,
                expected="F001/T1/2440.jpg, each frame once",
                found=text.strip()[:80],
                remedy=remedy,
            )
        frames[sequence].add(int(match["frame"]))
    if not frames:
        raise UserError("the list of frames is empty", where=file, remedy=remedy)
    return {sequence: frozenset(numbers) for sequence, numbers in sorted(frames.items())}
