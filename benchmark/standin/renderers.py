"""The renderers of the stand-in: what turns a person, AUs, a pose and a scene into an image.

Everything else is sampled before, by code that knows no renderer, so that stand-ins of both differ in their pictures
alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from benchmark.config.settings import RendererName
from benchmark.standin import drawn, head
from benchmark.standin.terms import Colour, Floats, Image
from benchmark.standin.views import Pose, Scene


class Person(Protocol):
    """Appearance of one person, as a renderer draws it."""

    @property
    def skin(self) -> Colour:
        """Colour of the skin."""


P = TypeVar("P", bound=Person)


@dataclass(frozen=True)
class Renderer(Generic[P]):
    """Functions of one renderer, each a pure function of its arguments.

    Attributes:
        draw_person: Draws a person.
        render: Image of a person from the intensities in [0, 1] of `DRAWN_AUS`, pose, scene, and side in pixels.
        landmarks: Noisy landmarks (66, 2) of the same face, as from a tracker, in pixels from 0: the common 68 points
            without two of them. Jaw (17), brows (10), nose (9), left and right eye (12), outer lips from the left
            corner on (12), inner lips (6).
        package: Package that it needs beside those of the suite; "" for none.
    """

    draw_person: Callable[[np.random.Generator], P]
    render: Callable[[P, Sequence[float], Pose, Scene, int], Image]
    landmarks: Callable[[np.random.Generator, P, Sequence[float], Pose, int], Floats]
    package: str = ""

    @property
    def is_installed(self) -> bool:
        """Whether its package is there."""
        return not self.package or find_spec(self.package) is not None


RENDERERS: Mapping[RendererName, Renderer[Any]] = MappingProxyType(
    {
        "drawn": Renderer(drawn.draw_identity, drawn.render_face, drawn.draw_landmarks),
        "head": Renderer(head.draw_head, head.render_head, head.head_landmarks, head.PACKAGE),
    }
)
"""All renderers by the name that `standin.renderer` has."""
