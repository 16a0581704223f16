"""Look of packed frames: strange ones are counted, many of them stop a run, and a contact sheet shows a sample."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from benchmark.api.listener import Listener
from benchmark.core.errors import UserError
from benchmark.data.frames import PackedFaces, pack_folder
from benchmark.data.motion import REMEDY, Shift, find_shift
from benchmark.data.quality import MOST_STRANGE, Quality, look, write_contact_sheet

_KINDS = ("flat", "dark", "smooth")


@dataclass(frozen=True)
class Looked:
    """Packed frames and what they look like.

    Attributes:
        packed: The frames.
        quality: Flat, dark and textureless frames.
        sheet: Contact sheet, a PNG file.
        shift: Images that are a frame off their landmarks; None for none that are seen.
    """

    packed: PackedFaces
    quality: Quality
    sheet: Path
    shift: Shift | None = None


def look_at(packed: PackedFaces, cache: Path, listener: Listener) -> Looked:
    """Measure packed frames, hold some against their landmarks and write a contact sheet, once for each pack.

    Args:
        packed: The frames.
        cache: Folder of packed frames and contact sheets.
        listener: Receives progress.
    """
    size = int(packed.frames.shape[1])
    folder = pack_folder(packed.faces, size, cache / "frames")
    file = folder / "look.npz"
    sheet = cache / "contact" / f"{packed.faces.dataset}-{packed.fingerprint}.png"
    stored = _stored(file, len(packed.faces))
    if stored is None:
        name = f"looking at {packed.faces.dataset}"
        quality = look(packed, lambda done, total: listener.progress(name, done, total))
        shift = None if packed.faces.origin == "stand-in" else find_shift(packed.faces)
        scratch = file.with_suffix(".part.npz")
        kinds = {kind: getattr(quality, kind) for kind in _KINDS}
        np.savez(scratch, **kinds, shift=json.dumps(None if shift is None else asdict(shift)))
        scratch.replace(file)
    else:
        quality, shift = stored
    if not sheet.is_file():
        write_contact_sheet(packed, quality, sheet)
    return Looked(packed, quality, sheet, shift)


def refuse_strange(looked: Looked, *, allow_incomplete: bool) -> PackedFaces:
    """Refuse frames of which too many are strange, or that are off their landmarks, unless incomplete data are allowed.

    Returns:
        The frames; their origin is at most partial and their note says so if they are used in spite of it.

    Raises:
        UserError: Too many frames are flat, dark or without texture; or images are a frame off their landmarks.
    """
    faces, quality, shift = looked.packed.faces, looked.quality, looked.shift
    if faces.origin == "stand-in":
        return looked.packed
    wrong, notes = [], []
    if quality.strange.any():
        notes.append(f"{quality.sentence()} of {len(faces):,} packed frames")
    if quality.too_many:
        wrong.append(_strange(looked, notes[0]))
    if shift is not None:
        notes.append(shift.sentence())
        wrong.append(UserError(shift.sentence(), where=faces.root / shift.example, remedy=REMEDY))
    if wrong and not allow_incomplete:
        raise wrong[0]
    origin = "partial" if wrong and faces.origin == "complete" else faces.origin
    return replace(looked.packed, faces=replace(faces, origin=origin, note="; ".join([faces.note, *notes])))


def _strange(looked: Looked, counts: str) -> UserError:
    faces = looked.packed.faces
    row = int(np.flatnonzero(looked.quality.strange)[0])
    return UserError(
        f"the packed frames of {faces.title or faces.dataset} do not look like faces: {counts}",
        where=faces.root / str(faces.table["path"].iloc[row]),
        expected=f"at most {MOST_STRANGE:.0%} of such frames",
        found=f"contact sheet: {looked.sheet}",
        remedy="look at the contact sheet; for crops that are ready: --set data.alignment=as_is",
    )


def _stored(file: Path, frames: int) -> tuple[Quality, Shift | None] | None:
    try:
        with np.load(file) as content:
            quality = Quality(*(content[kind] for kind in _KINDS))
            fields = json.loads(str(content["shift"]))
            shift = None if fields is None else Shift(**fields)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (quality, shift) if len(quality.flat) == frames else None
