"""The head with all its shapes, and the parts of its surface, which are painted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from benchmark.standin.head.actions import unit_names
from benchmark.standin.head.mesh import Indices, Mesh, data_folder, read_mesh, read_offsets
from benchmark.standin.head.person import AXES, macro_names
from benchmark.standin.head.points import BROWS, CHIN, CORNER, LASHES, LIPS, THROAT, landmark_vertices
from benchmark.standin.terms import Floats


class Paint(IntEnum):
    """Part of the head that a quad of the mesh belongs to."""

    SKIN = 0
    LIP = 1
    MOUTH = 2
    EYE = 3
    TEETH = 4


@dataclass(frozen=True)
class Model:
    """Head mesh with V vertices and Q quads, and its shapes.

    Attributes:
        base: (V, 3) points in mesh units.
        quads: (Q, 4) indices of vertices.
        paint: (Q,) values of `Paint`.
        beside: (Q, 4) indices of the neighbours of each quad; the quad itself where there is none.
        centres: (Q, 3) centres of the quads of an average head.
        shapes: (S, 3 V) offsets of the shapes of people, as `macro_names` and then both ends of each of `AXES`.
        units: (U, 3 V) offsets of the face units, as `unit_names`.
        eyes: Vertices of the left and the right eye.
        brows: (2, 2, 5) vertices of both brows: side, lower and upper edge, from the inner end.
        lashes: (2, L) vertices of the edges of the upper lids.
        chin: Vertex of the chin.
        landmarks: (66,) vertices of the landmarks.
    """

    base: Floats
    quads: Indices
    paint: Indices
    beside: Indices
    centres: Floats
    shapes: npt.NDArray[np.float32]
    units: npt.NDArray[np.float32]
    eyes: tuple[Indices, Indices]
    brows: Indices
    lashes: Indices
    chin: int
    landmarks: Indices


@cache
def load_model() -> Model:
    """Read the model, once a process.

    Raises:
        UserError: The package with the head is not installed, or has other files.
    """
    data = data_folder()
    mesh = read_mesh(data)
    macros = read_offsets(data, [f"mpfb2/targets/{name}.target.gz" for name in macro_names()], mesh)
    ends = [f"mpfb2/targets/{end}.target.gz" for axis in AXES for end in axis]
    features = sum(read_offsets(data, [end.replace("?", side) for end in ends], mesh) for side in "lr")
    # An end without sides was read twice.
    halves = np.array([1.0 if "?" in end else 0.5 for end in ends])
    units = read_offsets(data, [f"faceunits01/targets/faceunits/{name}.target" for name in unit_names()], mesh)
    # Half of these shapes are of ethnicity and half of build; the weights of each half sum to one.
    average = mesh.points + macros.mean(axis=0) * 2
    flat = (-1, mesh.points.size)
    return Model(
        mesh.points,
        mesh.quads,
        _paint(mesh, average),
        _beside(mesh.quads),
        average[mesh.quads].mean(axis=1),
        np.concatenate([macros, halves[:, None, None] * features]).reshape(flat).astype(np.float32),
        units.reshape(flat).astype(np.float32),
        (_part(mesh, 1), _part(mesh, 2)),
        np.array([[find(row) for row in BROWS] for find in (mesh.find_all, mesh.find_mirrored)]),
        np.array([mesh.find_all(LASHES), mesh.find_mirrored(LASHES)]),
        mesh.find(CHIN),
        landmark_vertices(mesh),
    )


def _part(mesh: Mesh, part: int) -> Indices:
    return np.unique(mesh.quads[mesh.part == part])


def _paint(mesh: Mesh, average: Floats) -> Indices:
    """Part of the head of each quad. The inside of the mouth is all that the throat reaches without crossing a lip."""
    centres = average[mesh.quads].mean(axis=1)
    half = average[mesh.find_all(LIPS)][:, :2]
    outline = np.concatenate([half, half[::-1] * (-1, 1)]).astype(np.float32)
    lip = np.array([cv2.pointPolygonTest(outline, (float(x), float(y)), False) >= 0 for x, y in centres[:, :2]])
    lip &= (centres[:, 2] > average[mesh.find(CORNER), 2] - 0.02) & (mesh.part == 0)
    neighbours = _beside(mesh.quads)
    paint = np.choose(mesh.part, (Paint.SKIN, Paint.EYE, Paint.EYE, Paint.TEETH, Paint.TEETH))
    paint[lip] = Paint.LIP
    waiting = np.flatnonzero((mesh.quads == mesh.find(THROAT)).any(axis=1)).tolist()
    while waiting:
        quad = waiting.pop()
        if paint[quad] == Paint.SKIN:
            paint[quad] = Paint.MOUTH
            waiting += neighbours[quad].tolist()
    return np.asarray(paint, dtype=np.int64)


def _beside(quads: Indices) -> Indices:
    """Neighbours of each quad across its four edges, (Q, 4)."""
    across: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i, quad in enumerate(quads.tolist()):
        for edge in _edges(quad):
            across[edge].append(i)
    rows = [[next((j for j in across[edge] if j != i), i) for edge in _edges(q)] for i, q in enumerate(quads.tolist())]
    return np.array(rows)


def _edges(quad: Sequence[int]) -> list[tuple[int, int]]:
    return [(min(a, b), max(a, b)) for a, b in zip(quad, (*quad[1:], quad[0]), strict=True)]
