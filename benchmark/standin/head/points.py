"""Numbers of vertices of MakeHuman's base mesh that mark parts of a face.

Vertices of the person's left side (the image's right) stand for both sides. The numbers were read off the mesh.
"""

from __future__ import annotations

import numpy as np

from benchmark.standin.head.mesh import Indices, Mesh

THROAT = 659
"""A vertex of the inside of the mouth."""
CHIN = 5162
"""The middle of the chin."""
CORNER = 10403
"""A corner of the mouth."""
LIPS = (455, 7214, 7210, 7215, 7169, 11956, 7170, 7171, 7168, CORNER, 7133, 7166, 11939, 7241, 492)
"""Outline of half of the lips, from the middle of the upper one over the corner to that of the lower one."""
BROWS = ((6983, 6980, 6979, 6981, 6999), (7006, 6997, 6996, 6998, 7005))
"""Lower and upper edge of the strip of a brow, from its inner end."""
LASHES = (11484, 11483, 11465, 11466, 11467, 11468, 11469)
"""Edge of an upper lid, from its inner end."""

_JAW = (11831, 11833, 11902, 7692, 11850, 12349, 12119, 12048)
"""From the chin to the ear."""
_JAW_MIDDLE = 5225
_NOSE_RIDGE = (134, 5063, 291, 297)
"""From between the eyes to the tip."""
_NOSE_BASE = (7078, 7119)
"""From the middle to the wing."""
_NOSE_MIDDLE = 317
_UPPER_LID = (6848, 11483, 11467, 7780)
"""From the inner to the outer corner of an eye."""
_LOWER_LID = (11480, 11478)
_UPPER_LIP, _UPPER_MIDDLE = (7210, 7170), 455
"""Outer edges of the lips, from the middle."""
_LOWER_LIP, _LOWER_MIDDLE = (7241, 11939), 492
_INNER_UPPER, _INNER_UPPER_MIDDLE = 7228, 474
_INNER_LOWER, _INNER_LOWER_MIDDLE = 7243, 494


def landmark_vertices(mesh: Mesh) -> Indices:
    """Indices (66,) of the vertices at the landmarks that `standin.renderers.Renderer` names, from left to right."""

    def left(*numbers: int) -> list[int]:
        return [int(i) for i in mesh.find_all(numbers)]

    def right(*numbers: int) -> list[int]:
        return [int(i) for i in mesh.find_mirrored(numbers)]

    order = [
        *right(*_JAW[::-1]), *left(_JAW_MIDDLE, *_JAW),
        *right(*BROWS[0][::-1]), *left(*BROWS[0]),
        *left(*_NOSE_RIDGE), *right(*_NOSE_BASE[::-1]), *left(_NOSE_MIDDLE, *_NOSE_BASE),
        *right(*_UPPER_LID[::-1], *_LOWER_LID), *left(*_UPPER_LID, *_LOWER_LID[::-1]),
        *right(CORNER, *_UPPER_LIP[::-1]), *left(_UPPER_MIDDLE, *_UPPER_LIP, CORNER),
        *left(*_LOWER_LIP[::-1], _LOWER_MIDDLE), *right(*_LOWER_LIP),
        *right(_INNER_UPPER), *left(_INNER_UPPER_MIDDLE, _INNER_UPPER),
        *left(_INNER_LOWER, _INNER_LOWER_MIDDLE), *right(_INNER_LOWER),
    ]  # fmt: skip
    return np.array(order)
