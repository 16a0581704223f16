"""Image files of a stand-in."""

from __future__ import annotations

from pathlib import Path

import PIL.Image

from benchmark.data.faces import JPEG_COMMENT
from benchmark.standin.terms import Image

JPEG_QUALITY = 92


def save_face(image: Image, path: Path) -> None:
    """Write a face as JPEG, with the comment that identifies images of a stand-in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(image).save(path, quality=JPEG_QUALITY, comment=JPEG_COMMENT)
