"""Label files of DISFA: `ActionUnit_Labels/SN001/SN001_au1.txt`, lines `frame,intensity`, frames from 1."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.core.errors import UserError
from benchmark.core.files import regular

LABELS = "ActionUnit_Labels"
_LABEL_NAME = r"{}_au0*(?P<au>\d+)\.txt"
_LABEL_LINE = re.compile(r"(?P<frame>\d+)\s*,\s*(?P<intensity>\d+)", re.ASCII)
_AGAIN = "copy this file from your DISFA anew"


@dataclass(frozen=True)
class Labels:
    """Labels of one subject with F frames and J AUs.

    Attributes:
        file: Label file of the first AU; all files of a subject list the same frames.
        frames: F frame numbers from 1, in ascending order.
        lines: Line numbers of the frames in `file`.
        intensities: (F, J), 0 to 5, AUs in the requested order.
    """

    file: Path
    frames: list[int]
    lines: list[int]
    intensities: npt.NDArray[np.int8]


def read_labels(folder: Path, subject: str, aus: tuple[int, ...]) -> Labels:
    """Read the label files of a subject. The number in a file's name identifies its AU, not the file's position.

    Raises:
        UserError: An AU has no file or several; a line is wrong; the files do not list the same frames.
    """
    pattern = re.compile(_LABEL_NAME.format(subject), re.IGNORECASE | re.ASCII)
    files: dict[int, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        match = pattern.fullmatch(path.name)
        if match is not None:
            files.setdefault(int(match["au"]), []).append(path)
    missing = [f"AU{au}" for au in aus if au not in files]
    if missing:
        raise UserError(
            f"{subject} lacks label files",
            where=folder,
            expected=f"{subject}_auK.txt for each K of {', '.join(map(str, aus))}",
            found=f"none for {', '.join(missing)}",
            remedy=f"copy {LABELS}/{subject} from your DISFA anew",
        )
    chosen = [only(files[au], f"label files of AU{au} of {subject}") for au in aus]
    columns = [_read_file(file) for file in chosen]
    for file, column in zip(chosen[1:], columns[1:], strict=True):
        _check_same_frames(chosen[0], columns[0], file, column)
    frames = sorted(columns[0])
    table = [[column[frame][1] for column in columns] for frame in frames]
    intensities = np.array(table, dtype=np.int8).reshape(len(frames), len(aus))
    return Labels(chosen[0], frames, [columns[0][frame][0] for frame in frames], intensities)


def _read_file(file: Path) -> dict[int, tuple[int, int]]:
    """Line number and intensity of each frame in one label file."""
    by_frame: dict[int, tuple[int, int]] = {}
    for line, text in enumerate(regular(file).read_text(encoding="utf-8-sig", errors="replace").split("\n"), start=1):
        if not text.strip():
            continue
        match = _LABEL_LINE.fullmatch(text.strip())
        frame, intensity = (int(match["frame"]), int(match["intensity"])) if match else (0, 0)
        if match is None or intensity > 5:
            what, expected = "a wrong line in a label file", "frame,intensity with a whole intensity from 0 to 5"
        elif frame == 0 or frame in by_frame:
            what, expected = "a wrong frame number in a label file", "frames from 1 up, each in one line"
        else:
            by_frame[frame] = (line, intensity)
            continue
        raise UserError(what, where=file, line=line, expected=expected, found=text.strip()[:80], remedy=_AGAIN)
    return by_frame


def _check_same_frames(
    one: Path, frames: Mapping[int, tuple[int, int]], other: Path, others: Mapping[int, tuple[int, int]]
) -> None:
    if frames.keys() == others.keys():
        return
    frame = min(frames.keys() ^ others.keys())
    # The error points to the file that has the frame.
    (there, line), lacks = ((one, frames[frame][0]), other) if frame in frames else ((other, others[frame][0]), one)
    raise UserError(
        "two label files of a subject list different frames",
        where=there,
        line=line,
        expected=f"a line for frame {frame} in {lacks.name}, too",
        found=f"{len(frames)} frames in {one.name}, {len(others)} in {other.name}",
        remedy="copy both files from your DISFA anew",
    )


def only(paths: list[Path], what: str) -> Path:
    """The one path of a list.

    Raises:
        UserError: There are several.
    """
    if len(paths) > 1:
        together = len({p.parent for p in paths}) == 1
        raise UserError(
            f"{len(paths)} {what}",
            where=paths[0].parent if together else paths[0].parent.parent,
            expected="one",
            found=" and ".join(p.name if together else f"{p.parent.name}/{p.name}" for p in paths),
            remedy="take out all but one",
        )
    return paths[0]
