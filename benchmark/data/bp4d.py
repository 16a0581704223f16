"""Reader of BP4D as its owners receive it (Zhang et al., Image and Vision Computing 2014).

Layout, from the path literals of public loaders (ME-GraphAU, JAA-Net, AU-Net, FERA-2015's scripts)::

    BP4D/Sequences(2D+3D)/F001/T1/2440.jpg     or without the level `Sequences(2D+3D)`
    BP4D/AUCoding/AU_OCC/F001_T1.csv           one header row of AU numbers, first cell 0 = frame

Codes: 0 absent, 1 present, 9 unknown. Coded ranges rarely start at frame 1, and the zero padding of image
names varies by sequence, so frames are matched as integers.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.data.faces import UNKNOWN, FaceSet, is_standin
from benchmark.data.files import Coding, listing, match_images, rows_below
from benchmark.errors import UserError
from benchmark.protocol import BP4D, Protocol
from benchmark.results import Origin

SEQUENCES = "Sequences(2D+3D)"
CODING = "AUCoding/AU_OCC"
CODES = {"0": 0, "1": 1, "9": UNKNOWN}

_CODING_NAME = re.compile(r"(?P<subject>[FM]\d{3})_(?P<task>T\d)\.csv")
_MISSING = "copy the missing images from your BP4D, or take their rows out of the coding file"
_LAYOUT = f"{BP4D.folder}/{CODING}/F001_T1.csv and {BP4D.folder}/{SEQUENCES}/F001/T1/*.jpg"


def read_bp4d(root: Path, protocol: Protocol = BP4D, progress: Callable[[int, int], None] | None = None) -> FaceSet:
    """Read the coded frames of BP4D below the data root `root`.

    Args:
        root: The folder that holds `BP4D/`.
        protocol: Names the AUs to read and the subjects that may occur.
        progress: Called with (sequences read, sequences).

    Raises:
        UserError: A folder is missing; a coding file has a wrong header, a wrong code, a repeated frame or an
            unknown subject; a coded frame has no image.
    """
    home = root / protocol.folder
    coding = home / CODING
    # macOS leaves files called ._NAME beside those it copies.
    files = sorted(f for f in coding.glob("*.csv") if not f.name.startswith(".")) if coding.is_dir() else []
    if not files:
        raise UserError(
            "no AU coding files",
            where=coding,
            expected=_LAYOUT,
            found=listing(home),
            remedy="copy AUCoding/AU_OCC of your BP4D there; or check that --data names the right dataset",
        )
    images = home / SEQUENCES if (home / SEQUENCES).is_dir() else home
    tables, labels = [], []
    for done, file in enumerate(files):
        subject, task = _sequence_of(file, protocol)
        coded = read_coding(file, protocol.aus)
        paths = match_images(images / subject / task, coded, remedy=_MISSING)
        tables.append(
            pd.DataFrame(
                {
                    "path": [path.relative_to(root).as_posix() for path in paths],
                    "subject": subject,
                    "sequence": f"{subject}/{task}",
                    "frame": coded.frames,
                }
            )
        )
        labels.append(coded.codes)
        if progress is not None:
            progress(done + 1, len(files))
    table = pd.concat(tables, ignore_index=True)
    if table.empty:
        raise UserError("the AU coding files hold no frame", where=coding, remedy="copy AUCoding/AU_OCC anew")
    origin, note = _origin(root, table, protocol)
    return FaceSet("bp4d", root, table, np.concatenate(labels), protocol.au_names, origin, note)


def read_coding(file: Path, aus: tuple[int, ...]) -> Coding:
    """Read one `AU_OCC` file; its columns are found by the AU number in the header, never by place.

    Raises:
        UserError: The header, a row's length, a frame number or a code is wrong; a frame is repeated.
    """
    remedy = "copy this file from your BP4D anew"
    with file.open(newline="", encoding="utf-8-sig", errors="replace") as stream:
        rows = csv.reader(stream)
        header = [cell.strip() for cell in next(rows, [])]
        # Cells that no AU is looked up by may hold anything: FERA-2015's scripts know of an occlusion flag at the end.
        if not header or header[0] != "0" or any(header.count(str(au)) > 1 for au in aus):
            raise UserError(
                "wrong header in an AU coding file",
                where=file,
                line=1,
                expected="AU numbers, each once, after a first cell 0 (the frame): 0,1,2,4,...",
                found=",".join(header)[:80] or "an empty line",
                remedy=remedy,
            )
        missing = [str(au) for au in aus if str(au) not in header]
        if missing:
            raise UserError(
                "an AU coding file lacks AUs",
                where=file,
                line=1,
                expected=f"columns for AUs {', '.join(str(au) for au in aus)}",
                found=f"no column for {', '.join(missing)}",
                remedy=remedy,
            )
        columns = [header.index(str(au)) for au in aus]
        frames: dict[int, tuple[int, list[int]]] = {}
        for line, row in rows_below(header, rows, file, what="AU coding file", remedy=remedy):
            number = row[0].strip()
            if not number.isdecimal() or int(number) in frames:
                raise UserError(
                    "a wrong frame number in an AU coding file",
                    where=file,
                    line=line,
                    expected="a whole number that stands in no other row",
                    found=number or "an empty cell",
                    remedy=remedy,
                )
            codes = [_code(row[column], file, line, au) for column, au in zip(columns, aus, strict=True)]
            frames[int(number)] = (line, codes)
    return Coding.of(file, frames, len(aus))


def _code(cell: str, file: Path, line: int, au: int) -> int:
    value = CODES.get(cell.strip())
    if value is None:
        raise UserError(
            f"a wrong code for AU{au}",
            where=file,
            line=line,
            expected="0 (absent), 1 (present) or 9 (unknown)",
            found=cell.strip() or "an empty cell",
            remedy="copy this file from your BP4D anew; intensities (AU_INT) are not occurrences (AU_OCC)",
        )
    return value


def _sequence_of(file: Path, protocol: Protocol) -> tuple[str, str]:
    match = _CODING_NAME.fullmatch(file.name)
    if match is None or match["subject"] not in protocol.subjects:
        raise UserError(
            "an AU coding file of an unknown subject",
            where=file,
            expected=f"SUBJECT_TASK.csv with one of {len(protocol.subjects)} subjects F001-F023, M001-M018",
            found=file.name,
            remedy="take the file out; BP4D+ and FERA-2015 name their files in another way",
        )
    return match["subject"], match["task"]


def _origin(root: Path, table: pd.DataFrame, protocol: Protocol) -> tuple[Origin, str]:
    subjects, sequences = table["subject"].nunique(), table["sequence"].nunique()
    size = f"{len(table):,} frames of {subjects} subjects in {sequences} sequences"
    if is_standin(root, table):
        return "stand-in", f"stand-in (procedural faces in BP4D's layout): {size}"
    # Public frame lists differ by up to 0.2 % (facts of section 1.5 in JAA-Net, AU-Net and ME-GraphAU).
    complete = (
        set(table["subject"]) == protocol.subjects
        and sequences == protocol.sequences
        and abs(len(table) - protocol.frames) <= 0.005 * protocol.frames
    )
    if complete:
        return "complete", f"BP4D: {size}, images as they are on disk (no alignment, A12)"
    return (
        "partial",
        f"partial data in BP4D's layout: {size}, of {protocol.frames:,} frames and {protocol.sequences} sequences",
    )
