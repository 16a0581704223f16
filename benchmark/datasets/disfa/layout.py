"""Parts of DISFA in any folder, in the layouts that copies have."""

from __future__ import annotations

import re
from pathlib import Path

from benchmark.core.errors import UserError
from benchmark.data.files import listing
from benchmark.data.places import archives, at, subfolders, undoubled
from benchmark.data.sighting import Sighting
from benchmark.datasets.disfa.footage import find_footage
from benchmark.datasets.disfa.labels import LABELS
from benchmark.datasets.disfa.landmarks import LANDMARKS
from benchmark.datasets.disfa.protocol import DISFA

_SUBJECT = r"SN\d{3}"
LAYOUT = f"{DISFA.folder}/{LABELS}/SN001/SN001_au1.txt and {DISFA.folder}/Videos_LeftCamera/LeftVideoSN001_comp.avi"


def sight(home: Path) -> Sighting | None:
    """Parts of DISFA in a folder; None for nothing."""
    home = undoubled(home)
    labels, marks = at(home, LABELS), at(home, LANDMARKS)
    labelled, marked = (_subjects(folder) if folder is not None else set() for folder in (labels, marks))
    sides = {camera: find_footage(home, camera) for camera in ("left", "right")}
    left = sides["left"][0].keys() | sides["left"][1].keys()
    right = sides["right"][0].keys() | sides["right"][1].keys()
    packed = [p for p in archives(home) if re.match(rf"{LABELS}|{LANDMARKS}|Video|{_SUBJECT}|DISFA", p.name, re.I)]
    if not labelled and not left and not right and not packed:
        return None
    fault = None
    if packed and (not labelled or not (left or right)):
        fault = _fault(f"{packed[0].name} is not unpacked", packed[0].parent, "unpack each archive where it lies")
    elif not labelled:
        plus = any(re.fullmatch(r"Labels", p.name, re.IGNORECASE) for p in subfolders(home))
        what = "this looks like DISFA+, another dataset" if plus else "no AU labels"
        fault = _fault(what, home / LABELS, f"copy {LABELS} of your DISFA there; for lists: malbench data import-lists")
    elif not left:
        remedy = "--set disfa.camera=right" if right else "copy the videos of the left camera there"
        fault = _fault("footage of the right camera alone" if right else "no footage", home, remedy)
    return Sighting(
        "DISFA",
        home,
        f"{'videos' if sides['left'][0] or sides['right'][0] else 'extracted images'} and {LABELS}",
        (
            f"subjects with labels: {len(labelled)} of {len(DISFA.subjects)}",
            f"subjects with frames: left camera {len(left)}, right camera {len(right)}",
            f"subjects with landmarks: {len(marked)}",
        ),
        fault,
        DISFA.folder,
    )


def _subjects(folder: Path) -> set[str]:
    return {p.name for p in subfolders(folder) if re.fullmatch(_SUBJECT, p.name)}


def _fault(what: str, where: Path, remedy: str) -> UserError:
    found = listing(where) if where.is_dir() else listing(where.parent)
    return UserError(what, where=where, expected=LAYOUT, found=found, remedy=remedy)
