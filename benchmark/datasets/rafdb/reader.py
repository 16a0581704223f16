"""Reader of the basic subset of RAF-DB (Li, Deng & Du, CVPR 2017), the FE data of the paper.

Layout::

    RAF-DB/basic/EmoLabel/list_patition_label.txt      lines `train_00001.jpg 5` (sic: "patition")
    RAF-DB/basic/Image/aligned/train_00001_aligned.jpg
    RAF-DB/basic/Image/original/train_00001.jpg        or these, with
    RAF-DB/basic/Annotation/manual/train_00001_manu_attri.txt   five landmarks first: eyes, nose, corners of the mouth
    RAF-DB/basic/EmoLabel/distribution.txt             optional: a name and the seven shares or counts of votes

Codes 1 to 7: surprise, fear, disgust, happiness, sadness, anger, neutral.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import field_validator

from benchmark.core.errors import UserError
from benchmark.core.files import regular
from benchmark.core.origin import Origin
from benchmark.data.align import Align, Points, believed
from benchmark.data.faces import FaceSet, is_standin, standin_note
from benchmark.data.files import NO_ALIGNMENT, Missing, caught, nothing_usable
from benchmark.data.places import at, listed
from benchmark.datasets.base import DatasetSettings
from benchmark.datasets.rafdb.layout import FOLDER, Places, class_images, images_in, no_labels, places_in

EMOTIONS = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
"""Names of the seven classes in the order of RAF-DB's codes 1 to 7."""
RELATED_AUS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "surprise": ("AU5", "AU26"),
        "fear": ("AU1",),
        "disgust": ("AU9",),
        "happiness": ("AU6", "AU12"),
        "sadness": ("AU4", "AU6"),
        "anger": ("AU4", "AU5"),
    }
)
"""AUs that the paper names for a class in its discussion of Figure 6 (§4.4)."""
LABELS = "basic/EmoLabel/list_patition_label.txt"
VOTES = "basic/EmoLabel/distribution.txt"
ALIGNED = "basic/Image/aligned"
ORIGINAL = "basic/Image/original"
MANUAL = "basic/Annotation/manual"
SUFFIX = MappingProxyType({"aligned": "_aligned.jpg", "original": ".jpg"})
"""Ends of image names after the stem."""
USED = 0.95
"""Minimum share of the training images that a complete copy uses."""
TRAIN_IMAGES = 12_271
"""Number of training images of the official basic subset; "about 12,300" in the paper."""

_KINDS: Mapping[Origin, str] = MappingProxyType(
    {
        "complete": "RAF-DB basic",
        "partial": "partial data in RAF-DB's layout",
    }
)
_LINE = re.compile(r"(?P<stem>(?P<split>train|test)_(?P<number>\d+))\.jpg\s+(?P<code>[1-7])")
_VOTED = re.compile(r"(?P<stem>(?:train|test)_\d+)(?:_aligned)?(?:\.jpg)?")


class RafdbSettings(DatasetSettings):
    """Settings for the choices that a copy of RAF-DB leaves open."""

    source: Literal["aligned", "original"] = "aligned"
    """RAF-DB's aligned images of 100 x 100 pixels without further alignment, or the original images, which
    `data.alignment` aligns on five manual landmarks."""
    votes: str = ""
    """File with an image name and seven numbers a line, the annotators' votes in the order of the codes, relative to
    the data root. Empty: `RAF-DB/basic/EmoLabel/distribution.txt` if it exists."""

    @field_validator("votes")
    @classmethod
    def _stays_below(cls, value: str) -> str:
        if PurePosixPath(value).is_absolute() or ".." in PurePosixPath(value).parts:
            raise ValueError("a path below the data root, without '..'")
        return value


DEFAULTS = RafdbSettings()


@dataclass(frozen=True)
class Entry:
    """One line of the label list.

    Attributes:
        split: `train` or `test`.
        code: Class code, 1 to 7.
        line: Line number.
    """

    split: str
    code: int
    line: int


def read_rafdb(
    root: Path,
    images: Literal["train", "all"] = "train",
    *,
    settings: RafdbSettings = DEFAULTS,
    alignment: Align = "as_is",
    missing: Missing = "error",
    faults: list[UserError] | None = None,
) -> FaceSet:
    """Read the basic subset of RAF-DB below the data root `root`.

    With votes, the table has a column `consistency`: the share of annotators who chose the label.

    Args:
        root: The folder that holds `RAF-DB/`.
        images: `train` for the training images, `all` for the test images, too (ambiguity A10).
        settings: Kind of images, and the file of votes.
        alignment: `landmarks` aligns original images on the manual landmarks (A12); aligned images stay as they are.
        missing: Rule for labelled images that are missing.
        faults: Collects faults; a faulty image is left out. None: the first fault is raised.

    Raises:
        UserError: The list or an image is missing, a line of the list or of the votes is wrong or repeated, or
            landmarks are missing or wrong.
    """
    places = places_in(root / FOLDER)
    lines, files = read_entries(places, settings, faults)
    wanted = {stem: entry for stem, entry in sorted(lines.items()) if images == "all" or entry.split == "train"}
    if not wanted:
        raise UserError(
            "the RAF-DB label list names no training image",
            where=places.labels or places.classes,
            remedy="copy the list from RAF-DB anew",
        )
    folder = images_in(places, settings.source)
    turned = settings.source == "original" and alignment == "landmarks"
    manual = at(places.basic, "Annotation/manual") or root / FOLDER / MANUAL
    points: dict[int, Points] = {}
    kept: list[str] = []
    absent = 0
    for stem, entry in wanted.items():
        with caught(faults):
            if stem not in files:
                if missing == "leave_out":
                    absent += 1
                    continue
                raise UserError(
                    "a labelled RAF-DB image is missing",
                    where=places.labels,
                    line=entry.line,
                    expected=str(folder / f"{stem}{SUFFIX[settings.source]}"),
                    found=f"{len(files)} images in {folder.name}/",
                    remedy=f"unpack Image/{settings.source}.zip of the basic subset there; or leave such images out: "
                    "--set data.missing=leave_out",
                )
            if turned:
                points[len(kept)] = read_text_landmarks(manual / f"{stem}_manu_attri.txt")
            kept.append(stem)
    if not kept:
        empty = UserError("no RAF-DB image can be used", where=folder, remedy="unpack the basic subset there")
        raise nothing_usable(faults, empty)
    believable = believed(points, manual, "left eye, right eye, nose, left and right corner of the mouth")
    rows = [i for i in range(len(kept)) if not turned or i in believable]
    table = pd.DataFrame(
        {
            "path": [files[kept[i]].relative_to(root).as_posix() for i in rows],
            "subject": [kept[i] for i in rows],  # RAF-DB does not identify people: every image is its own subject
            "sequence": [wanted[kept[i]].split for i in rows],
            "frame": range(len(rows)),
        }
    )
    labels = np.array([wanted[kept[i]].code - 1 for i in rows], dtype=np.int8)
    votes = _votes_file(root, places, settings)
    if votes is not None:
        shares = read_votes(votes, lines.keys(), faults)
        nobody = np.full(len(EMOTIONS), np.nan)
        table["consistency"] = [
            float(shares.get(s, nobody)[label]) for s, label in zip(table["subject"], labels, strict=True)
        ]
    origin = _origin(root, table, lines)
    note = f"{len(table):,} FE images, {standin_note(root, 'RAF-DB') if origin == 'stand-in' else _KINDS[origin]}"
    if settings.source == "original":
        note += ", original images " + (
            f"aligned on eyes and mouth, {len(kept) - len(rows)} left out whose landmarks cannot be a face's"
            if turned
            else NO_ALIGNMENT.removeprefix("images ")
        )
    if absent:
        note += f", {absent:,} left out without an image (data.missing=leave_out)"
    if votes is not None:
        note += f", votes on {int(table['consistency'].notna().sum()):,} of them"
    aligned = np.stack([believable[i] for i in rows]) if turned else None
    return FaceSet("rafdb", root, table, labels, EMOTIONS, origin, note, points=aligned)


def _origin(root: Path, table: pd.DataFrame, lines: Mapping[str, Entry]) -> Origin:
    if is_standin(root, table):
        return "stand-in"
    whole = Counter(entry.split for entry in lines.values())["train"] == TRAIN_IMAGES
    used = int((table["sequence"] == "train").sum())
    return "complete" if whole and used >= USED * TRAIN_IMAGES else "partial"


def read_entries(
    places: Places, settings: RafdbSettings, faults: list[UserError] | None
) -> tuple[dict[str, Entry], dict[str, Path]]:
    """Labels and image files by image stem (`train_00001`), from the label list or from class folders.

    Raises:
        UserError: There are neither, the list has a wrong line, or an image stands in two class folders.
    """
    if places.labels is None and places.classes is not None and settings.source == "aligned":
        entries, files = dict[str, Entry](), dict[str, Path]()
        for stem, split, code, path in class_images(places.classes):
            with caught(faults):
                if stem in entries and entries[stem].code != code:
                    raise UserError(
                        "an image stands in two class folders, so its label is not known",
                        where=path,
                        expected="each image in one class",
                        found=str(files[stem]),
                        remedy="take out the one that is wrong",
                    )
                entries[stem], files[stem] = Entry(split, code, 0), path
        return entries, files
    if places.labels is None:
        raise no_labels(places)
    suffix = SUFFIX[settings.source]
    there = listed(images_in(places, settings.source))
    return read_list(places.labels, faults), {p.name.removesuffix(suffix): p for p in there if p.name.endswith(suffix)}


def read_list(file: Path, faults: list[UserError] | None) -> dict[str, Entry]:
    """Read the label list; keys are image stems (`train_00001`).

    Raises:
        UserError: There is no list, or a line is wrong or repeated.
    """
    if not file.is_file():
        raise UserError(
            "no RAF-DB label list",
            where=file,
            expected=f"{FOLDER}/{LABELS} and {FOLDER}/{ALIGNED}/",
            found="no such file",
            remedy="unpack the basic subset of RAF-DB there; the compound subset is another one",
        )
    lines: dict[str, Entry] = {}
    for number, text in _lines(file):
        match = _LINE.fullmatch(text)
        with caught(faults):
            if match is None or match["stem"] in lines:
                raise UserError(
                    "a wrong line in the RAF-DB label list",
                    where=file,
                    line=number,
                    expected="`train_00001.jpg 5`: a name that stands once, and a code from 1 to 7",
                    found=text[:80],
                    remedy="copy the list from RAF-DB anew",
                )
            lines[match["stem"]] = Entry(match["split"], int(match["code"]), number)
    return lines


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Line number and text of each line that is not blank."""
    with regular(file).open(encoding="utf-8-sig", errors="replace") as stream:
        for number, text in enumerate(stream, start=1):
            if text.strip():
                yield number, text.strip()


def read_text_landmarks(file: Path) -> Points:
    """Read the eyes and the corners of the mouth of an original image: the first five lines of its manual annotation.

    Raises:
        UserError: The file is missing or starts with other contents.
    """
    remedy = (
        "unpack Annotation/manual of the basic subset there, or take images as they are: --set data.alignment=as_is"
    )
    if not file.is_file():
        raise UserError("an original RAF-DB image has no landmarks", where=file, found="no such file", remedy=remedy)
    points: list[tuple[float, float]] = []
    for number, text in _lines(file):
        cells = text.split()
        try:
            x, y = (float(cell) for cell in cells)
        except ValueError:
            x = y = math.nan
        if not (math.isfinite(x) and math.isfinite(y)):
            raise UserError(
                "a wrong landmark of a RAF-DB image",
                where=file,
                line=number,
                expected="five lines `x y`: left eye, right eye, nose, left and right corner of the mouth",
                found=text[:80],
                remedy=remedy,
            )
        points.append((x, y))
        if len(points) == 5:
            break
    if len(points) < 5:
        raise UserError(
            "landmarks of a RAF-DB image are missing",
            where=file,
            expected="five lines `x y`",
            found=f"{len(points)} lines",
            remedy=remedy,
        )
    return np.array([points[i] for i in (0, 1, 3, 4)], dtype=np.float32)


def _votes_file(root: Path, places: Places, settings: RafdbSettings) -> Path | None:
    if settings.votes:
        file = root / settings.votes
        if not file.is_file():
            raise UserError(
                "there is no file of votes", where=file, remedy="write it, or leave rafdb.votes empty to do without"
            )
        return file
    file = places.basic / "EmoLabel" / "distribution.txt"
    return file if file.is_file() else None


def read_votes(
    file: Path, images: Collection[str], faults: list[UserError] | None = None
) -> dict[str, npt.NDArray[np.float64]]:
    """Read the share of votes for each of the seven classes; keys are image stems (`train_00001`).

    Args:
        file: File with an image name and seven numbers a line, votes or shares, in the order of the codes.
        images: Image stems of the label list; other images are faults.
        faults: Collects faults; a faulty line is left out. None: the first fault is raised.

    Raises:
        UserError: The file is empty; a line has the wrong number of columns, a negative number or no vote, or its image
            is unknown or repeated.
    """
    shares: dict[str, npt.NDArray[np.float64]] = {}
    for line, text in _lines(file):
        name, *cells = text.replace(",", " ").split()
        match = _VOTED.fullmatch(name)
        try:
            votes = np.array([float(cell) for cell in cells])
        except ValueError:
            votes = np.array([np.nan])
        with caught(faults):
            fits = len(votes) == len(EMOTIONS) and np.isfinite(votes).all() and (votes >= 0).all() and votes.any()
            if match is None or not fits or match["stem"] not in images or match["stem"] in shares:
                raise UserError(
                    "a wrong line in the file of votes",
                    where=file,
                    line=line,
                    expected="an image of the label list, once, and seven numbers: the votes in the order of the codes",
                    found=text[:80],
                    remedy="mend this line; a file with six numbers is RAF-ML's, another dataset's",
                )
            shares[match["stem"]] = votes / votes.sum()
    if not shares:
        with caught(faults):
            raise UserError(
                "the file of votes is empty",
                where=file,
                expected="lines `train_00001.jpg 0 0 1 35 0 0 4`",
                remedy="fill it, or take it out: only consistency needs it",
            )
    return shares
