"""Reader of GFT, the Group Formation Task of Sayette's laboratory (Girard et al., FG 2017).

The authors' project page (osf.io/7wcyz) says that frame-level annotations, landmark tracking, the partition and a wiki
on the formats are public under CC BY 4.0, and that the videos come by signed agreement with the University of
Pittsburgh. The pages on the formats were not at hand when this reader was written. So each assumption about them is a
setting that it checks against the files; if the files contradict it or leave it open, the reader raises an error.
Expected layout::

    GFT/annotations/001A_occ.csv     one file a participant, or 001A.csv; the header identifies columns
    GFT/videos/001A.avi              a participant's video, in any folder of GFT/, or
    GFT/images/001A/1.jpg            its frames, extracted: 1.jpg, 0001.png, 001A_000001.png
    GFT/split.csv                    001A,train: the authors' split, one line a participant

Frames count from 1, extracted images from 1 or from 0. Occluded frames have no codes: rows are missing, or have values
other than 0 and 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from benchmark.config.protocol import Protocol
from benchmark.core.errors import UserError
from benchmark.core.origin import Origin
from benchmark.data.align import Align
from benchmark.data.faces import FaceSet, is_standin, standin_note
from benchmark.data.files import Missing, Rows, caught, nothing_usable
from benchmark.data.places import undoubled
from benchmark.datasets.gft.annotations import annotation_files, read_annotations, read_map
from benchmark.datasets.gft.footage import find_videos, first_image, frames_of
from benchmark.datasets.gft.partition import gft_protocol, split_file
from benchmark.datasets.gft.protocol import GFT
from benchmark.datasets.gft.settings import DEFAULTS, GftSettings

TOLERANCE = 0.05
"""Tolerance of the number of frames in a full copy, as a share; the paper states the number rounded to hundreds."""


def read_gft(
    root: Path,
    protocol: Protocol,
    progress: Callable[[int, int], None] | None = None,
    *,
    settings: GftSettings = DEFAULTS,
    alignment: Align = "as_is",
    missing: Missing = "error",
    faults: list[UserError] | None = None,
) -> FaceSet:
    """Read the coded frames of GFT below the data root `root`.

    A cell other than 0 and 1 is unknown; a frame without any known scored AU is left out. The note counts both.

    Args:
        root: The folder that holds `GFT/`.
        protocol: AUs to read and known subjects.
        progress: Called with (participants read, participants).
        settings: Split, column map and folders.
        alignment: `detected` says that faces will be detected: whole frames are no complete dataset of faces.
        missing: Rule for coded frames without an image.
        faults: Collects faults; a faulty participant is left out. None: the first fault is raised.

    Raises:
        UserError: A folder, the split or a column map is missing or wrong; an annotation file has an unknown
            participant, an unknown header, or a wrong or repeated frame; a coded frame has no image.
    """
    # Checked again, so that nothing is read without a split.
    protocol = gft_protocol(root, protocol, settings)
    home = undoubled(root / protocol.folder)
    files = annotation_files(home, protocol, settings, faults)
    names = read_map(root / settings.columns) if settings.columns else {}
    rows = Rows()
    unknown: Counter[str] = Counter()
    left_out = 0
    videos, first = find_videos(home), first_image(home / settings.images, settings)
    for done, (subject, file) in enumerate(files):
        with caught(faults):
            read = read_annotations(file, protocol.aus, names)
            coded = read.coded
            if coded.frames:
                paths, kept = frames_of(home / settings.images, subject, videos, coded, missing, first)
                rows.skip(subject, subject, sorted(set(coded.frames) - set(kept.frames)))
                rows.add(root, paths, subject, subject, kept.frames, kept.codes, None)
            unknown += read.unknown
            left_out += read.left_out
        if progress is not None:
            progress(done + 1, len(files))
    if not rows.frames:
        empty = UserError(
            "no frame has an AU that is known",
            where=home / settings.annotations,
            expected="cells 0 (absent) and 1 (present)",
            found=f"{left_out:,} rows without any" if left_out else "no rows",
            remedy="copy the annotations anew, or name the columns of the occurrences with --set gft.columns=FILE",
        )
        raise nothing_usable(faults, empty)
    faces = rows.face_set("gft", root, protocol.au_names)
    images = "" if first else "; images that count from 0"
    contents = f"{rows.alignment}; {_count(unknown, left_out)}{images}"
    origin, note = _origin(root, faces.table, protocol, settings, contents, alignment)
    return replace(faces, origin=origin, note=note)


def _origin(
    root: Path, table: pd.DataFrame, protocol: Protocol, settings: GftSettings, unknown: str, alignment: Align
) -> tuple[Origin, str]:
    size = f"{len(table):,} frames of {table['subject'].nunique()} participants"
    file = split_file(root, settings)
    split = "inferred split" if file is None else f"split of {file.relative_to(root).as_posix()}"
    if is_standin(root, table):
        return "stand-in", f"{standin_note(root, 'GFT')}: {size}; {split}; {unknown}"
    full = set(table["subject"]) == GFT.subjects and abs(len(table) - protocol.frames) <= TOLERANCE * protocol.frames
    if full and file is not None and alignment == "detected":
        return "complete", f"GFT: {size}; {split}; {unknown}"
    lack = "the authors' split" if file is None else "aligned faces (gft.alignment=detected)"
    reason = f"all there but {lack}" if full else f"of {protocol.frames:,} frames and {len(GFT.subjects)}"
    return "partial", f"partial data in GFT's layout: {size}, {reason}; {split}; {unknown}"


def _count(unknown: Counter[str], left_out: int) -> str:
    """Sentence for the note: number and values of unknown cells, because their code is not known here."""
    # Ties are sorted by text, so that the order of reading has no effect.
    common = sorted(unknown.items(), key=lambda item: (-item[1], item[0]))
    cells = ", ".join(f"{n:,} {cell[:12] or 'empty'}" for cell, n in common[:4]) + (", ..." if len(common) > 4 else "")
    what = f" ({cells})" if cells else ""
    return f"{unknown.total():,} cells unknown{what}, {left_out:,} frames left out with no AU known"
