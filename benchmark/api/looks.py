"""Look of packed frames: strange ones are counted, many of them stop a run, and a contact sheet shows a sample."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.api.listener import Listener
from benchmark.core.arrays import read_arrays, save_arrays
from benchmark.core.errors import UserError
from benchmark.data.frames import PackedFaces, source_hashes
from benchmark.data.motion import REMEDY, Shift, find_shift
from benchmark.data.pack_identity import pack_folder
from benchmark.data.quality import MOST_STRANGE, Quality, look, write_contact_sheet

_KINDS = ("flat", "dark", "smooth", "blue")
MOST_REPEATED = 0.01
"""Maximum share of frames whose files have the bytes of another frame's; more are copies under other names."""


@dataclass(frozen=True)
class Looked:
    """Packed frames and what they look like.

    Attributes:
        packed: The frames.
        quality: Flat, dark and textureless frames.
        sheet: Contact sheet, a PNG file.
        shift: Images that are off their landmarks; None for none that are seen.
        repeated: (N,) bool, frames whose files have the bytes of an earlier frame's.
    """

    packed: PackedFaces
    quality: Quality
    sheet: Path
    shift: Shift | None
    repeated: npt.NDArray[np.bool_]

    @property
    def faults(self) -> list[UserError]:
        """Faults of the frames, because of which a run refuses them."""
        faces, quality, total = self.packed.faces, self.quality, max(len(self.packed.faces), 1)
        if faces.origin == "stand-in":
            return []
        wrong = [_strange(self)] if quality.too_many else []
        if self.shift is not None:
            wrong.append(UserError(self.shift.sentence(), where=faces.root / self.shift.example, remedy=REMEDY))
        if quality.too_blue:
            what = f"red and blue have changed places in the images of {faces.title or faces.dataset}"
            remedy = "extract the images anew: OpenCV's order is blue, green, red"
            wrong.append(UserError(what, where=faces.root, found=f"contact sheet: {self.sheet}", remedy=remedy))
        if self.repeated.sum() > MOST_REPEATED * total:
            row = int(np.flatnonzero(self.repeated)[0])
            wrong.append(
                UserError(
                    f"the same image stands under several names: {int(self.repeated.sum()):,} of {total:,} frames of "
                    f"{faces.title or faces.dataset} repeat an earlier one",
                    where=faces.root / str(faces.table["path"].iloc[row]),
                    expected="an image of its own for each frame",
                    remedy="copy these images from your dataset anew, or extract them anew",
                )
            )
        return wrong


def look_at(packed: PackedFaces, cache: Path, listener: Listener, *, tracked: bool = False) -> Looked:
    """Measure packed frames, hold some against their landmarks and write a contact sheet, once for each pack.

    Args:
        packed: The frames.
        cache: Folder of packed frames and contact sheets.
        listener: Receives progress.
        tracked: Whether landmarks follow the faces through videos, so that they can be held against the frames.
    """
    size = int(packed.frames.shape[1])
    folder = pack_folder(packed.faces, size, cache / "frames")
    file = folder / "look.npz"
    sheet = cache / "contact" / f"{packed.faces.dataset}-{packed.fingerprint}.png"
    stored = _stored(file, len(packed.faces))
    if stored is None:
        name = f"looking at {packed.faces.dataset}"
        quality = look(packed, lambda done, total: listener.progress(name, done, total))
        shift = find_shift(packed.faces) if tracked and packed.faces.origin != "stand-in" else None
        kinds = {kind: getattr(quality, kind) for kind in _KINDS}
        save_arrays(file, **kinds, shift=json.dumps(None if shift is None else asdict(shift)))
    else:
        quality, shift = stored
    if not sheet.is_file():
        write_contact_sheet(packed, quality, sheet)
    hashes = source_hashes(folder)
    _, first = np.unique(hashes, return_index=True)
    repeated = np.ones(len(packed.faces), dtype=bool)
    repeated[first] = False
    return Looked(packed, quality, sheet, shift, repeated)


def refuse_strange(looked: Looked, *, allow_incomplete: bool) -> PackedFaces:
    """Refuse frames that look wrong, unless incomplete data are allowed.

    Returns:
        The frames; their origin is at most partial and their note says so if they are used in spite of it.

    Raises:
        UserError: See `Looked.faults`.
    """
    faces, quality, faults = looked.packed.faces, looked.quality, looked.faults
    if faults and not allow_incomplete:
        raise faults[0]
    notes = [fault.what for fault in faults]
    if quality.strange.any() and not quality.too_many and faces.origin != "stand-in":
        notes.insert(0, f"{quality.sentence()} of {len(faces):,} packed frames")
    if not notes:
        return looked.packed
    origin = "partial" if faults and faces.origin == "complete" else faces.origin
    return replace(looked.packed, faces=replace(faces, origin=origin, note="; ".join([faces.note, *notes])))


def _strange(looked: Looked) -> UserError:
    faces = looked.packed.faces
    counts = f"{looked.quality.sentence()} of {len(faces):,} packed frames"
    row = int(np.flatnonzero(looked.quality.strange)[0])
    return UserError(
        f"the packed frames of {faces.title or faces.dataset} do not look like faces: {counts}",
        where=faces.root / str(faces.table["path"].iloc[row]),
        expected=f"at most {MOST_STRANGE:.0%} of such frames",
        found=f"contact sheet: {looked.sheet}",
        remedy="look at the contact sheet; for crops that are ready: --set data.alignment=as_is",
    )


def _stored(file: Path, frames: int) -> tuple[Quality, Shift | None] | None:
    content = read_arrays(file)
    if content is None:
        return None
    try:
        quality = Quality(*(content[kind] for kind in _KINDS))
        fields = json.loads(str(content["shift"]))
        shift = None if fields is None else Shift(**fields)
    except (ValueError, KeyError, TypeError):
        return None
    return (quality, shift) if len(quality.flat) == frames else None
