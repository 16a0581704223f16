"""Look-up of a dataset's folders in copies that were unpacked, renamed or nested in different ways."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

ARCHIVES = re.compile(
    r".*(?:\.zip|\.rar|\.7z|\.tar|\.tgz|\.tar\.gz|\.zip\.\d{3}|\.z\d{2}|\.part\d+\.rar)", re.IGNORECASE
)
"""Names of archives."""
DEPTH = 3
"""Number of levels below a dataset's folder that are searched for archives."""
ROOT_DEPTH = 2
"""Number of levels below a folder that are searched for the data root."""
ROOT_ABOVE = 3
"""Number of levels above a folder that are searched for the data root."""
MOST_FOLDERS = 60
"""Number of folders in one folder that are looked into; one with more holds subjects, not datasets."""


def listed(folder: Path) -> list[Path]:
    """Contents of a folder in order of names, without hidden files; nothing if it cannot be listed."""
    return [folder / name for name in names_in(folder) if not name.startswith((".", "__MACOSX"))]


def names_in(folder: Path) -> list[str]:
    """Names in a folder, in order; none if it cannot be listed."""
    try:
        with os.scandir(folder) as entries:  # a full BP4D has 150,000 images: no object and no call for each of them
            return sorted(entry.name for entry in entries)
    except OSError:
        return []


def subfolders(folder: Path) -> list[Path]:
    """Folders in a folder, in order of names."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
    except OSError:
        return []
    return [folder / name for name in names if not name.startswith((".", "__MACOSX"))]


def undoubled(folder: Path) -> Path:
    """The folder, or the folder of the same name inside it, which unpacking into a folder of the archive's name leaves.

    Example:
        `Landmark_Points/Landmark_Points/SN001` is found as `Landmark_Points/SN001`.
    """
    while folder.is_dir():
        inner = next((p for p in subfolders(folder) if p.name.lower() == folder.name.lower()), None)
        if inner is None:
            break
        folder = inner
    return folder


def at(home: Path, relative: str) -> Path | None:
    """Folder at a relative path, in any case, with doubled levels resolved; None if there is none."""
    folder = home
    for part in (p for p in relative.split("/") if p):
        inner = next((p for p in subfolders(folder) if p.name.lower() == part.lower()), None)
        if inner is None:
            return None
        folder = undoubled(inner)
    return folder


def first_holding(home: Path, candidates: Iterable[str], holds: Callable[[Path], bool]) -> Path | None:
    """The first of some folders below `home` that exists and for which `holds` is true; None if none is.

    Args:
        home: Folder of the dataset.
        candidates: Relative paths; "" for `home` itself.
        holds: Whether a folder has the contents that are looked for.
    """
    for candidate in candidates:
        folder = at(home, candidate)
        if folder is not None and holds(folder):
            return folder
    return None


def root_near(path: Path, folder: str) -> Path | None:
    """The data root that a user most likely meant by another path; None if there is none.

    Args:
        path: A folder that does not hold `folder`.
        folder: Folder of a dataset.

    Returns:
        The parent of a folder of this name that `path` is or lies in; else the nearest folder above or below `path`
        that holds one.
    """
    here = path.absolute()
    inside = next((place.parent for place in (here, *here.parents) if place.name == folder), None)
    if inside is not None:
        return inside
    above = next((place for place in here.parents[:ROOT_ABOVE] if (place / folder).is_dir()), None)
    if above is not None:
        return above
    level = [path]
    for _ in range(ROOT_DEPTH):
        level = [inner for home in level for inner in subfolders(home)[:MOST_FOLDERS]]
        for home in level:
            if (home / folder).is_dir():
                return home
    return None


def packed_as(home: Path, folder: str) -> Path | None:
    """Archive in `home` of the name of a dataset's folder, beside which that folder is missing; None if there is none.

    Example:
        `BP4D.zip` and `bp4d.tar.gz` are packed as `BP4D`.
    """
    return next((p for p in archives(home, depth=0) if p.name.split(".")[0].casefold() == folder.casefold()), None)


def packed_part(folder: Path) -> Path | None:
    """Archive that stands in place of a folder or of the nearest missing one above it; None if there is none."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    return packed_as(missing[-1].parent, missing[-1].name) if missing else None


def has_name(pattern: str) -> Callable[[Path], bool]:
    """Function for whether a folder has an entry whose whole name matches the pattern, in any case."""
    compiled = re.compile(pattern, re.IGNORECASE | re.ASCII)
    return lambda folder: any(compiled.fullmatch(p.name) for p in listed(folder))


def archives(home: Path, depth: int = DEPTH) -> list[Path]:
    """Archives below a folder that are not unpacked: beside each there is no folder of its name.

    Args:
        home: Folder of the dataset.
        depth: Number of levels to search.
    """
    return list(_archives(home, depth))


def _archives(folder: Path, depth: int) -> Iterator[Path]:
    folders = subfolders(folder)
    unpacked = {path.name.lower() for path in folders}
    for name in names_in(folder):
        archive = not name.startswith((".", "__MACOSX")) and ARCHIVES.fullmatch(name) is not None
        if archive and name.split(".")[0].lower() not in unpacked and (folder / name).is_file():
            yield folder / name
    if depth > 0:
        # One folder a subject: the first ones suffice to see whether they hold archives.
        for inner in folders[:60]:
            yield from _archives(inner, depth - 1)
