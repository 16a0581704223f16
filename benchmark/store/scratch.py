"""Scratch folders: what is written there gets its place at the end, whole, or is deleted."""

from __future__ import annotations

import contextlib
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_LOCK = re.compile(r"\..+\.[0-9a-f]{32}\.part\.lock")


@contextmanager
def scratch_folder(parent: Path, name: str) -> Iterator[Path]:
    """A new folder in `parent`, deleted at the end unless it was renamed.

    Folders of processes that were killed are deleted first. The lock beside each folder tells them: the system releases
    it when a process ends, in whatever way.

    Args:
        parent: A folder that exists.
        name: Part of the folder's name, for people.

    Raises:
        OSError: The folder cannot be made.
    """
    remove_dead(parent)
    folder = parent / f".{name}.{uuid.uuid4().hex}.part"
    lock = FileLock(folder.with_name(f"{folder.name}.lock"))
    try:
        with lock:
            folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    finally:
        with contextlib.suppress(OSError):
            Path(lock.lock_file).unlink()


def remove_dead(parent: Path) -> None:
    """Delete the scratch folders of killed processes; those that cannot be deleted stay."""
    for file in parent.glob(".*.part.lock"):
        if not _LOCK.fullmatch(file.name):
            continue
        with contextlib.suppress(OSError, Timeout), FileLock(file).acquire(timeout=0):
            shutil.rmtree(file.with_suffix(""), ignore_errors=True)
            file.unlink(missing_ok=True)


def publish(scratch: Path, out: Path, names: list[str]) -> None:
    """Move files from a scratch folder to their places, each atomically and in this order.

    Args:
        scratch: The scratch folder, on the disk of `out`.
        out: Folder of the files; folders below it are made.
        names: Names below both, with "/".

    Raises:
        OSError: A place is taken by a folder, and nothing was moved; or the disk fails.
    """
    files = [out / name for name in names]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_dir():
            raise IsADirectoryError(21, "a folder is in the place of a file", str(file))
    for name, file in zip(names, files, strict=True):
        (scratch / name).replace(file)
