"""Atomic writes of files."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the whole new one.

    The content goes to a temporary file, which is synced and renamed. Its name is unique to this write, so that two
    writers of one file never mix.

    Args:
        path: File to write. Its folder is created if only that is missing.
        content: Content of the file.

    Raises:
        OSError: The file cannot be written; `filename` is `path`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomically(Path(folder) / "x", b"content")
        ...     (Path(folder) / "x").read_bytes()
        b'content'
    """
    path.parent.mkdir(exist_ok=True)  # no parents: if they are missing, the store is gone
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):  # the name is never used again: on a full disk such files would add up
            temporary.unlink()
        if isinstance(error, OSError):
            error.filename = str(path)  # the system does not name the file of a failed write
        raise
