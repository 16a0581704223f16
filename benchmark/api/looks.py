"""Look of packed frames: strange ones are counted, many of them stop a run, and a contact sheet shows a sample."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmark.api.listener import Listener
from benchmark.core.errors import UserError
from benchmark.data.frames import PackedFaces, pack_folder
from benchmark.data.quality import MOST_STRANGE, Quality, look, write_contact_sheet

_KINDS = ("flat", "dark", "smooth")


@dataclass(frozen=True)
class Looked:
    """Packed frames and what they look like.

    Attributes:
        packed: The frames.
        quality: Flat, dark and textureless frames.
        sheet: Contact sheet, a PNG file.
    """

    packed: PackedFaces
    quality: Quality
    sheet: Path


def look_at(packed: PackedFaces, cache: Path, listener: Listener) -> Looked:
    """Measure packed frames and write their contact sheet, once for each pack.

    Args:
        packed: The frames.
        cache: Folder of packed frames and contact sheets.
        listener: Receives progress.
    """
    size = int(packed.frames.shape[1])
    folder = pack_folder(packed.faces, size, cache / "frames")
    file = folder / "look.npz"
    sheet = cache / "contact" / f"{packed.faces.dataset}-{packed.fingerprint}.png"
    quality = _stored(file, len(packed.faces))
    if quality is None:
        name = f"looking at {packed.faces.dataset}"
        quality = look(packed, lambda done, total: listener.progress(name, done, total))
        scratch = file.with_suffix(".part.npz")
        np.savez(scratch, **{kind: getattr(quality, kind) for kind in _KINDS})
        scratch.replace(file)
    if not sheet.is_file():
        write_contact_sheet(packed, quality, sheet)
    return Looked(packed, quality, sheet)


def refuse_strange(looked: Looked, *, allow_incomplete: bool) -> PackedFaces:
    """Refuse frames of which too many are flat, dark or without texture, unless incomplete data are allowed.

    Returns:
        The frames; their origin is at most partial and their note says so if they are used in spite of it.

    Raises:
        UserError: Too many frames are strange.
    """
    faces, quality = looked.packed.faces, looked.quality
    if not quality.strange.any() or faces.origin == "stand-in":
        return looked.packed
    counts = f"{quality.sentence()} of {len(faces):,} packed frames"
    origin = faces.origin
    if quality.too_many:
        if not allow_incomplete:
            row = int(np.flatnonzero(quality.strange)[0])
            raise UserError(
                f"the packed frames of {faces.title or faces.dataset} do not look like faces: {counts}",
                where=faces.root / str(faces.table["path"].iloc[row]),
                expected=f"at most {MOST_STRANGE:.0%} of such frames",
                found=f"contact sheet: {looked.sheet}",
                remedy="look at the contact sheet; for crops that are ready: --set data.alignment=as_is",
            )
        origin = "partial"
    return replace(looked.packed, faces=replace(faces, origin=origin, note=f"{faces.note}; {counts}"))


def _stored(file: Path, frames: int) -> Quality | None:
    try:
        with np.load(file) as content:
            quality = Quality(*(content[kind] for kind in _KINDS))
    except (OSError, ValueError, KeyError):
        return None
    return quality if len(quality.flat) == frames else None
