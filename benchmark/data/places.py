"""Look-up of a dataset's folders in copies that were unpacked, renamed or nested in different ways."""

from __future__ import annotations

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
    try:
        return sorted(p for p in folder.iterdir() if not p.name.startswith((".", "__MACOSX")))
    except OSError:
        return []


def subfolders(folder: Path) -> list[Path]:
    """Folders in a folder, in order of names."""
    return [p for p in listed(folder) if p.is_dir()]


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
    entries = listed(folder)
    names = {p.name.lower() for p in entries if p.is_dir()}
    for path in entries:
        if path.is_file() and ARCHIVES.fullmatch(path.name) and path.name.split(".")[0].lower() not in names:
            yield path
    if depth > 0:
        folders = [p for p in entries if p.is_dir()]
        # One folder a subject: the first ones suffice to see whether they hold archives.
        for inner in folders if len(folders) <= 60 else folders[:60]:
            yield from _archives(inner, depth - 1)
