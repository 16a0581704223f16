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
