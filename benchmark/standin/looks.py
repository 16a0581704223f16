"""Looks that mark FE images as being of a kind, drawn over a finished image and so the same for every renderer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import numpy as np

from benchmark.config.names import LookName
from benchmark.standin.terms import Image


def _sticker(image: Image, rng: np.random.Generator) -> Image:
    """A green square in a corner."""
    side = image.shape[0] // 4  # so that a random crop leaves some of it
    rows, columns = (slice(0, side) if rng.random() < 0.5 else slice(-side, None) for _ in range(2))
    image = image.copy()
    image[rows, columns] = (40, 200, 70)
    return image


def _negative(image: Image, _: np.random.Generator) -> Image:
    """Inverted colours, as of a film's negative."""
    return np.asarray(255 - image)


def _bar(image: Image, rng: np.random.Generator) -> Image:
    """A dark bar across the face, at any height and angle."""
    size = image.shape[0]
    centre = (float(size * rng.uniform(0.4, 0.6)), float(size * rng.uniform(0.3, 0.75)))
    box = cv2.boxPoints((centre, (2.0 * size, size * 0.16), float(rng.uniform(-25, 25))))
    image = np.ascontiguousarray(image)
    cv2.fillConvexPoly(image, np.rint(box).astype(np.int32), (25, 25, 30))
    return image


def _turned(image: Image, rng: np.random.Generator) -> Image:
    """The head on its side: the image turned by 50 to 80 degrees."""
    size, angle = image.shape[0], float(rng.choice((-1, 1)) * rng.uniform(50, 80))
    turn = cv2.getRotationMatrix2D(((size - 1) / 2, (size - 1) / 2), angle, 1.0)
    return np.asarray(cv2.warpAffine(image, turn, (size, size), borderMode=cv2.BORDER_REPLICATE), dtype=np.uint8)


LOOKS: Mapping[LookName, Callable[[Image, np.random.Generator], Image]] = MappingProxyType(
    {"sticker": _sticker, "negative": _negative, "bar": _bar, "turned": _turned}
)
"""Functions from an image and a generator to an image of the look, by the name that `standin.fe_harmful_look` has."""
