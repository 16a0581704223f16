"""Parts of GFT in any folder."""

from __future__ import annotations

import re
from pathlib import Path

from benchmark.core.errors import UserError
from benchmark.data.files import listing
from benchmark.data.places import listed, subfolders, undoubled
from benchmark.data.sighting import Sighting
from benchmark.datasets.gft.footage import find_videos
from benchmark.datasets.gft.protocol import GFT
from benchmark.datasets.gft.settings import GftSettings

LAYOUT = "GFT/annotations/001A_occ.csv, GFT/videos/001A.avi or GFT/images/001A/1.jpg, and GFT/split.csv"


def sight(home: Path, settings: GftSettings) -> Sighting | None:
    """Parts of GFT in a folder; None for nothing."""
    home = undoubled(home)
    annotated = {
        p.name[:4].upper()
        for p in listed(home / settings.annotations)
        if re.fullmatch(r"\d{3}[ABC](?:_occ)?\.csv", p.name, re.IGNORECASE)
    }
    filmed = set(find_videos(home))
    pictured = {p.name[:4] for p in subfolders(home / settings.images) if re.match(r"\d{3}[ABC]", p.name)}
    if not annotated and not filmed and not pictured:
        return None
    fault = None
    if not annotated:
        fault = _fault(
            "no annotation files", home / settings.annotations, "name their folder: --set gft.annotations=FOLDER"
        )
    elif not filmed and not pictured:
        fault = _fault(
            "neither videos nor images", home, "put the videos there, or name the images: --set gft.images=FOLDER"
        )
    elif not (home / "split.csv").is_file() and not settings.split:
        fault = _fault(
            "there is no split file",
            home / "split.csv",
            "write lines 001A,train or 001A,test; or --set gft.split=inferred",
        )
    return Sighting(
        "GFT",
        home,
        "videos and annotations" if filmed else "extracted images and annotations",
        (
            f"participants with annotations: {len(annotated)} of {len(GFT.subjects)}",
            f"participants with videos: {len(filmed)}, with images: {len(pictured)}",
        ),
        fault,
        GFT.folder,
    )


def _fault(what: str, where: Path, remedy: str) -> UserError:
    found = listing(where) if where.is_dir() else listing(where.parent)
    return UserError(what, where=where, expected=LAYOUT, found=found, remedy=remedy)
