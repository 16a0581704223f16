"""Frames of BP4D by a list: one of the user, such as the copies of laboratories come with."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from benchmark.core.errors import UserError
from benchmark.core.files import regular
from benchmark.data.files import listing

_LINE = re.compile(
    r"(?:.*/)?(?P<subject>[FM]\d{3})[/_,](?P<task>T\d)[/_,]0*(?P<frame>\d+)(?:\.(?:jpe?g|png))?", re.ASCII
)

Frames = Mapping[str, frozenset[int]]
"""Frame numbers by sequence, such as `F001/T1`."""


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
