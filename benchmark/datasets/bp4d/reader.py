"""Reader of BP4D in its distributed layout (Zhang et al., Image and Vision Computing 2014).

Layout, from the path literals of public loaders (ME-GraphAU, JAA-Net, AU-Net, FERA-2015's scripts)::

    BP4D/Sequences(2D+3D)/F001/T1/2440.jpg     or without the level `Sequences(2D+3D)`; see `layout`
    BP4D/AUCoding/AU_OCC/F001_T1.csv           one header row of AU numbers, first cell 0 = frame
    BP4D/2DFeatures/F001_T1.mat                landmarks, HDF5: `fit/pred` refers to one 2 x 49 array a frame, or none

Codes: 0 absent, 1 present, 9 unknown. Coded ranges rarely start at frame 1, and the zero padding of image
names varies by sequence, so frames are matched as integers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from benchmark.config.protocol import Protocol
from benchmark.core.errors import UserError
from benchmark.core.files import regular
from benchmark.core.origin import Origin
from benchmark.data.align import NEAREST, Align, Points, believed, points_of
from benchmark.data.faces import UNKNOWN, FaceSet, is_standin, standin_note
from benchmark.data.files import (
    Coding,
    CsvRows,
    Missing,
    Rows,
    caught,
    listing,
    match_images,
    nothing_usable,
    rows_below,
)
from benchmark.datasets.bp4d.layout import LANDMARKS, Places, cause, images_of, places_of
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.datasets.bp4d.selection import Listed, Selection

EYES_OF_49, MOUTH_OF_49 = (slice(19, 25), slice(25, 31)), (31, 37)
"""Indices of the eyes and of the corners of the mouth in the 49 points (PyTorch-JAANet, dataset/face_transform.py)."""
CODES = {"0": 0, "1": 1, "9": UNKNOWN}

_CODING_NAME = re.compile(r"(?P<subject>[FM]\d{3})_(?P<task>T\d)\.csv")
_MISSING = "copy the missing images from your BP4D; or leave such frames out: --set data.missing=leave_out"
USED = 0.95
"""Minimum share of a full copy's frames that a complete copy uses; the others have no landmarks near, or no image."""


def read_bp4d(
    root: Path,
    protocol: Protocol = BP4D,
    progress: Callable[[int, int], None] | None = None,
    *,
    alignment: Align = "as_is",
    missing: Missing = "error",
    selection: Selection | None = None,
    faults: list[UserError] | None = None,
) -> FaceSet:
    """Read the coded frames of BP4D below the data root `root`.

    Args:
        root: The folder that holds `BP4D/`.
        protocol: AUs to read and known subjects.
        progress: Called with (sequences read, sequences).
        alignment: `landmarks` also reads the landmarks in `2DFeatures/` and leaves out frames without any near (A12).
        missing: Rule for coded frames without an image.
        selection: Frames to read; None for all coded frames.
        faults: Collects faults; a faulty sequence is left out. None: the first fault is raised.

    Raises:
        UserError: A folder is missing; a coding file has a wrong header, a wrong code, a repeated frame or an
            unknown subject; a coded frame has no image.
    """
    places = places_of(root)
    reason = cause(places)
    if reason is not None:
        raise reason
    files = coding_files(places)
    if isinstance(selection, Listed):
        with caught(faults):
            _check_coded(selection, files, places)
    rows, labelled = Rows(), 0
    for done, file in enumerate(files):
        with caught(faults):
            subject, task = _sequence_of(file, protocol)
            sequence = f"{subject}/{task}"
            whole = read_coding(file, protocol.aus)
            wanted = whole if selection is None else selection.keep(sequence, whole)
            paths, coded = match_images(images_of(places, subject, task), wanted, remedy=_MISSING, missing=missing)
            marks = (places.landmarks or places.home / LANDMARKS) / f"{subject}_{task}.mat"
            landmarks = read_hdf5_landmarks(marks, coded.frames) if alignment == "landmarks" else None
            rows.skip(subject, sequence, sorted(set(wanted.frames) - set(coded.frames)))
            rows.add(root, paths, subject, sequence, coded.frames, coded.codes, landmarks)
            labelled += len(whole.frames)
        if progress is not None:
            progress(done + 1, len(files))
    if not rows.frames:
        empty = UserError(
            "the AU coding files hold no frame that can be used",
            where=places.coding,
            found=f"{labelled:,} coded frames in {len(files)} files",
            remedy="copy AUCoding/AU_OCC anew",
        )
        raise nothing_usable(faults, empty)
    faces = rows.face_set("bp4d", root, protocol.au_names)
    origin, note = _origin(faces, rows, protocol, labelled)
    if selection is not None:
        note += f"; {selection.title}: {rows.coded:,} of {labelled:,} coded ones"
    return replace(faces, origin=origin, note=note)


def _check_coded(selection: Listed, files: Sequence[Path], places: Places) -> None:
    """Refuse a list that names a sequence without labels: its frames would be left out in silence.

    Raises:
        UserError: There is such a sequence.
    """
    absent = sorted(set(selection.frames) - {file.stem.replace("_", "/") for file in files})
    if absent:
        raise UserError(
            f"{len(absent)} sequences of the list have no coding file, the first is {absent[0]}",
            where=places.coding,
            expected=f"{absent[0].replace('/', '_')}.csv",
            found=f"{len(files)} coding files",
            remedy="copy AUCoding/AU_OCC anew, or correct the list that bp4d.frames names",
        )


def coding_files(places: Places) -> list[Path]:
    """Coding files of a copy, in order of names; none if their folder is missing."""
    # macOS adds a file ._NAME to each file that it copies.
    names = places.coding.glob("*.csv") if places.coding is not None else ()
    return sorted(f for f in names if not f.name.startswith("."))


def read_coding(file: Path, aus: tuple[int, ...]) -> Coding:
    """Read one `AU_OCC` file. The AU numbers in the header identify the columns, not their positions.

    Raises:
        UserError: The header, a row's length, a frame number or a code is wrong; a frame is repeated.
    """
    remedy = "copy this file from your BP4D anew"
    with regular(file).open(newline="", encoding="utf-8-sig", errors="replace") as stream:
        rows = CsvRows(stream, file, remedy=remedy)
        header = [cell.strip() for cell in next(rows, [])]
        # Other columns may hold anything: FERA-2015's scripts mention an occlusion flag at the end.
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
    return Coding.from_frames(file, frames, len(aus))


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


def read_hdf5_landmarks(file: Path, coded: list[int]) -> dict[int, Points]:
    """Read the eyes and the mouth of the frames with landmarks of one sequence, by frame number from 1.

    Args:
        file: Landmark file in `2DFeatures/`.
        coded: Coded frames, in ascending order; frames near them are read, too.

    Raises:
        UserError: The file is missing or has other contents.
    """
    remedy = "copy this file of 2DFeatures from your BP4D anew, or take images as they are: --set data.alignment=as_is"
    if not file.is_file():
        raise UserError(
            "a sequence has no landmarks",
            where=file,
            expected=f"{BP4D.folder}/{LANDMARKS}/F001_T1.mat for every sequence",
            found=listing(file.parent),
            remedy=remedy,
        )
    tracked: dict[int, npt.NDArray[np.float64]] = {}
    try:
        with h5py.File(regular(file), "r") as content:
            references = np.asarray(content["fit/pred"]).ravel()
            # Videos are longer than their coded ranges.
            first, last = (max(coded[0] - NEAREST, 1), coded[-1] + NEAREST) if coded else (1, 0)
            for frame, reference in enumerate(references[first - 1 : last], start=first):
                points = _dereferenced(content, reference)
                if points is not None and points.shape != (2, 49):
                    raise UserError(
                        f"landmarks of frame {frame} have another shape",
                        where=file,
                        expected="2 x 49: x and y of 49 points",
                        found=" x ".join(map(str, points.shape)),
                        remedy=remedy,
                    )
                if points is not None:
                    tracked[frame] = points
    except (OSError, KeyError, ValueError, AttributeError, TypeError) as error:
        raise UserError(
            "landmarks cannot be read",
            where=file,
            expected="an HDF5 file (MATLAB 7.3) with the array of references fit/pred",
            found=str(error)[:120],
            remedy=remedy,
        ) from error
    if not tracked:
        return {}
    # MATLAB counts pixels from 1.
    eyes_and_mouth = points_of(np.stack(list(tracked.values())).swapaxes(1, 2) - 1, EYES_OF_49, MOUTH_OF_49)
    by_frame = dict(zip(tracked, eyes_and_mouth, strict=True))
    return believed(by_frame, file, "49 points, brows first, eyes 20 to 31, mouth from 32 on")


def _dereferenced(content: h5py.File, reference: h5py.Reference) -> npt.NDArray[np.float64] | None:
    """Array that a reference names; None for an empty one.

    There are 150,000 of them, so the objects of h5py's upper layer are not made.
    """
    dataset = h5py.h5r.dereference(reference, content.id)
    # MATLAB stores an empty array as its shape, with an attribute.
    if 0 in dataset.shape or (dataset.shape != (2, 49) and h5py.h5a.exists(dataset, b"MATLAB_empty")):
        return None
    points = np.empty(dataset.shape, dtype=np.float64)
    dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, points)
    return points


def _origin(faces: FaceSet, rows: Rows, protocol: Protocol, labelled: int) -> tuple[Origin, str]:
    table = faces.table
    subjects, sequences = table["subject"].nunique(), table["sequence"].nunique()
    size = f"{len(table):,} frames of {subjects} subjects in {sequences} sequences"
    if is_standin(faces.root, table):
        return "stand-in", f"{standin_note(faces.root, 'BP4D')}: {size}; {rows.alignment}"
    # Public frame lists differ by up to 0.2 % (JAA-Net, AU-Net and ME-GraphAU).
    complete = (
        set(table["subject"]) == protocol.subjects
        and len(rows.sequences) == protocol.sequences
        and abs(labelled - protocol.frames) <= 0.005 * protocol.frames
        and len(table) >= USED * protocol.frames
    )
    if complete:
        return "complete", f"BP4D: {size}; {rows.alignment}"
    full_copy = f"of {protocol.frames:,} frames and {protocol.sequences} sequences"
    return "partial", f"partial data in BP4D's layout: {size}, {full_copy}; {rows.alignment}"
