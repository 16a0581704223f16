"""Comparison of the bytes of a dataset's files with those that its frames were packed from."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmark.core.machine import available_cores
from benchmark.data.decode import hash_source
from benchmark.data.faces import FaceSet
from benchmark.data.findings import Finding, Line, Report, few
from benchmark.data.frames import source_hashes_of


def check_bytes(faces: FaceSet, size: int, cache: Path, progress: Callable[[int, int], None] | None = None) -> Report:
    """Hash every file of a dataset, and compare it with the file that its frame was packed from.

    Args:
        faces: The frames.
        size: Side of the packed frames, pixels.
        cache: Folder of the packs.
        progress: Called with (frames compared, frames).

    Raises:
        UserError: A file is gone or cannot be read, or the pack is damaged.
    """
    name = f"bytes of {faces.dataset}"
    packed = source_hashes_of(faces, size, cache)
    if packed is None:
        return Report((Line(name, "not compared: these frames are not packed", ""),))
    changed = []
    with ThreadPoolExecutor(available_cores()) as pool:
        paths = [str(path) for path in faces.table["path"]]
        hashes = pool.map(lambda path: hash_source(faces.root, path), paths)
        for number, (path, was, now) in enumerate(zip(paths, packed, hashes, strict=True), 1):
            if was != now:
                changed.append(path)
            if progress is not None:
                progress(number, len(paths))
    line = Line(name, f"{len(paths) - len(changed):,} as packed", f"{len(paths):,}")
    if not changed:
        return Report((line,))
    finding = Finding(
        f"files that are not those that were packed: {few(changed)}",
        where=str(faces.root),
        expected="the bytes that they had then",
        found=f"{len(changed):,} others",
        remedy="copy them from your dataset anew, or run again: frames of changed files are packed anew",
    )
    return Report((line,), (finding,))
