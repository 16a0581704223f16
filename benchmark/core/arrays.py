"""Arrays that are kept between calls, in `.npz` files that several processes may write at once."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from benchmark.core.atomic import write_atomically


def save_arrays(path: Path, **arrays: npt.ArrayLike) -> None:
    """Write arrays as an uncompressed `.npz`, atomically.

    Args:
        path: File to write.
        arrays: Arrays by their names in the file.

    Raises:
        OSError: The file cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_arrays(Path(folder) / "x.npz", a=[1, 2])
        ...     int(np.load(Path(folder) / "x.npz")["a"].sum())
        3
    """
    content = io.BytesIO()
    np.savez(content, **cast(Any, arrays))
    write_atomically(path, content.getvalue())


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]] | None:
    """All arrays of an `.npz` file; None if the file is missing or damaged, so that they are to be computed again.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "x.npz").write_bytes(b"PK and no more")
        ...     read_arrays(Path(folder) / "x.npz")
        14
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None
