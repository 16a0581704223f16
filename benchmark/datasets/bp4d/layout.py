"""Places of BP4D's parts in the layouts that copies have, and what tells BP4D from its relatives."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from benchmark.core.errors import UserError
from benchmark.data.places import archives, first_holding, has_name, listed, subfolders, undoubled
from benchmark.data.sighting import Sighting
from benchmark.datasets.bp4d.protocol import BP4D

SEQUENCES = "Sequences(2D+3D)"
CODING = "AUCoding/AU_OCC"
LANDMARKS = "2DFeatures"
LAYOUT = f"{BP4D.folder}/{CODING}/F001_T1.csv and {BP4D.folder}/{SEQUENCES}/F001/T1/*.jpg"

_IMAGE_HOMES = (SEQUENCES, "Sequences", "2D+3D", "BP4D-training", "release/BP4D-training", "images", "")
_CODING_HOMES = (CODING, "AUCoding", "AU_OCC", "AU Occurrence Codes3.0", "AUCoding/AU Occurrence Codes3.0", "")
_LANDMARK_HOMES = (LANDMARKS, "BP4D-fpoints", "release/BP4D-fpoints", "AUCoding/BP4D-fpoints")
_SUBJECT = r"[FM]\d{3}"
_CODING_NAME = re.compile(r"(?P<subject>[FM]\d{3})_(?P<task>T\d+)\.csv", re.IGNORECASE)
PLUS_TASKS = frozenset({"T1", "T6", "T7", "T8"})
"""Coded tasks of BP4D+; the files of BP4D have the same names for eight tasks."""


@dataclass(frozen=True)
class Places:
    """Folders of one copy; None for what is not there.

    Attributes:
        home: Folder of the dataset.
        coding: Folder of the coding files.
        images: Folder of the subjects' images.
        landmarks: Folder of the landmark files.
    """

    home: Path
    coding: Path | None
    images: Path | None
    landmarks: Path | None


def places_of(root: Path) -> Places:
    """Find the parts of BP4D below a data root."""
    return places_in(root / BP4D.folder)


def places_in(home: Path) -> Places:
    """Find the parts of BP4D in the dataset's folder."""
    home = undoubled(home)
    return Places(
        home,
        first_holding(home, _CODING_HOMES, has_name(_SUBJECT + r"_T\d+\.csv")),
        first_holding(home, _IMAGE_HOMES, _holds_images),
        first_holding(home, _LANDMARK_HOMES, has_name(r".*\.mat")),
    )


def images_of(places: Places, subject: str, task: str) -> Path:
    """Folder of the images of one sequence, whether it exists or not."""
    return undoubled(undoubled((places.images or places.home / SEQUENCES) / subject) / task)


def cause(places: Places) -> UserError | None:
    """The reason why a copy cannot be read as BP4D; None if its parts are there."""
    other = _relative(places)
    if other is not None:
        return other
    packed = archives(places.home)
    if packed and (places.coding is None or places.images is None):
        return UserError(
            f"{packed[0].name} is not unpacked"
            + (f", nor {len(packed) - 1} other archives" if len(packed) > 1 else ""),
            where=packed[0].parent,
            expected=LAYOUT,
            found=", ".join(p.name for p in packed[:8]) + (", ..." if len(packed) > 8 else ""),
            remedy="unpack each archive where it lies",
        )
    if places.coding is None:
        return UserError(
            "no AU coding files",
            where=places.home / CODING,
            expected=LAYOUT,
            found=_entries(places.home),
            remedy="copy AUCoding/AU_OCC of your BP4D there; or check that --data names the right dataset",
        )
    if places.images is None:
        return UserError(
            "no images of BP4D",
            where=places.home,
            expected=f"{BP4D.folder}/{SEQUENCES}/F001/T1/*.jpg, also without the level {SEQUENCES}",
            found=_entries(places.home),
            remedy="copy the image folders of the subjects there; for one folder of crops: malbench data import-lists",
        )
    return None


def _relative(places: Places) -> UserError | None:
    """Refusal of BP4D+ and of FERA's video edition, which have other contents under the same names."""
    names = [match for p in listed(places.coding or places.home) if (match := _CODING_NAME.fullmatch(p.name))]
    subjects = {match["subject"].upper() for match in names}
    tasks = {match["task"].upper() for match in names}
    of_plus = subjects - BP4D.subjects
    if len(of_plus) >= 5 or (len(subjects) >= 5 and tasks == PLUS_TASKS):
        why = f"subjects {', '.join(sorted(of_plus)[:3])}" if of_plus else "codes of T1, T6, T7 and T8 alone"
        return UserError(
            "this is BP4D+, another dataset: 140 subjects, of which four tasks are coded",
            where=places.coding,
            expected="BP4D: 41 subjects F001-F023, M001-M018, eight coded tasks T1-T8",
            found=f"{len(names)} coding files with {why}",
            remedy="the paper trains on BP4D; BP4D+ can be read as a dataset of your own (docs/datasets.md)",
        )
    videos = [p for folder in (places.home, *subfolders(places.home)) for p in listed(folder) if _is_fera(p)]
    if videos and places.images is None:
        return UserError(
            "these are the videos of the FERA 2015 challenge, not BP4D's images",
            where=videos[0].parent,
            expected=LAYOUT,
            found=f"{len(videos)} videos such as {videos[0].name}",
            remedy="bring the image folders F001/T1/*.jpg of BP4D; session 01 of FERA is task T1, 03 T2, 07 T3, 08 T4, "
            "09 T5, 10 T6, 11 T7, 13 T8",
        )
    return None


def _is_fera(path: Path) -> bool:
    return re.fullmatch(r"2[FM]\d{2}_(?:\d{2}|T\d)\.avi", path.name, re.IGNORECASE) is not None


def _holds_images(folder: Path) -> bool:
    return any(re.fullmatch(_SUBJECT, p.name) for p in subfolders(folder))


def _entries(folder: Path) -> str:
    names = [p.name for p in listed(folder)]
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "an empty folder"


def sight(home: Path) -> Sighting | None:
    """Parts of BP4D in a folder; None for nothing."""
    places = places_in(home)
    fault = cause(places)
    if places.coding is None and places.images is None and not (fault and "not unpacked" not in fault.what):
        return _sight_archives(places, fault)
    coded = [p for p in listed(places.coding) if _CODING_NAME.fullmatch(p.name)] if places.coding else []
    subjects = [p for p in subfolders(places.images) if re.fullmatch(_SUBJECT, p.name)] if places.images else []
    if not coded and places.landmarks is None and (fault is None or fault.what.startswith("no AU")):
        tasks = [task for subject in subjects[:3] for task in subfolders(subject) if re.fullmatch(r"T\d", task.name)]
        if not tasks:
            return None  # folders named F001 alone are not BP4D's
    marks = [p for p in listed(places.landmarks) if p.suffix.lower() == ".mat"] if places.landmarks else []
    relative = [p.relative_to(home).as_posix() or "." for p in (places.images, places.coding) if p is not None]
    return Sighting(
        "BP4D",
        home,
        f"images and codes in {' and '.join(relative)}",
        (
            f"coding files: {len(coded)} of {BP4D.sequences}",
            f"subjects with images: {len(subjects)} of {len(BP4D.subjects)}",
            f"landmark files: {len(marks)} of {BP4D.sequences}",
        ),
        fault,
        BP4D.folder,
    )


def _sight_archives(places: Places, fault: UserError | None) -> Sighting | None:
    packed = [p for p in archives(places.home) if re.match(rf"{_SUBJECT}|AUCoding|2DFeatures|BP4D", p.name)]
    if not packed or fault is None:
        return None
    parts = (f"archives that are not unpacked: {len(packed)}",)
    return Sighting("BP4D", places.home, "archives", parts, fault, BP4D.folder)
