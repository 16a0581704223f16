"""Pixels of one image file as 8-bit RGB: each kind of file is converted rightly, or refused."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.core.errors import UserError
from benchmark.data.faces import IMAGE_FORMATS, UNREADABLE

_PLAIN = frozenset({"RGB", "L", "1", "P"})
"""Modes whose conversion to RGB loses nothing, unless a colour is transparent."""
_ALPHA = frozenset({"LA", "RGBA", "PA"})
_DEEP = frozenset({"I;16", "I;16B", "I;16L", "I"})
"""Modes of a grey PNG with 16 bits; Pillow's own conversion clips them to white."""
_ORIENTATION = 0x0112
"""Tag of the rotation in EXIF."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def rgb(image: Image.Image, path: Path) -> Image.Image:
    """The pixels of an open image as 8-bit RGB, as they are stored: not turned.

    A grey image of 16 bits is scaled to 8 bits. Opaque transparency is left out.

    Args:
        image: An open JPEG or PNG.
        path: Its file, for an error.

    Raises:
        UserError: Part of the image is transparent; it is an animation; its colours are not RGB or grey.
    """
    if image.format == "PNG" and getattr(image, "is_animated", False):
        raise _refused(path, "an animation")
    if image.mode in _DEEP:
        levels = np.asarray(image).astype(np.int64)
        return Image.fromarray(((levels + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode not in _PLAIN | _ALPHA:
        raise _refused(path, f"colours of the kind {image.mode}")
    if image.mode in _ALPHA or "transparency" in image.info:
        whole = image.convert("RGBA")
        if int(np.asarray(whole)[..., 3].min()) < 255:
            raise _refused(path, "transparent pixels")
        return whole.convert("RGB")
    if image.mode != "RGB":
        return image.convert("RGB")
    image.load()  # the caller may close the file; `convert` would copy: more time than the decoding takes
    return image


def check_sums(content: bytes) -> None:
    """Compare the checksums of a PNG's parts, which decoding alone does not.

    Args:
        content: Bytes of a PNG.

    Raises:
        SyntaxError: The image is damaged, as Pillow says it; other errors of `UNREADABLE` likewise.
    """
    with Image.open(BytesIO(content), formats=IMAGE_FORMATS) as image:
        image.verify()


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """Rotation or reflection with which EXIF shows the stored pixels; None for none."""
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except (*UNREADABLE, KeyError, TypeError):  # EXIF that nothing can read turns no image
        return None


def kind_of(image: Image.Image) -> bytes:
    """Mark of an image whose pixels are not simply those that are stored; b"" for all others.

    It is a part of the file's hash: earlier versions packed such images wrongly, under the hash of the bytes alone.
    """
    turn = turn_of(image)
    marks = (["16 bits"] if image.mode in _DEEP else []) + ([] if turn is None else [f"turned {turn.name}"])
    return " ".join(marks).encode()


def _refused(path: Path, found: str) -> UserError:
    return UserError(
        "an image is of a kind that has no certain conversion to RGB",
        where=path,
        expected="RGB or grey, opaque, one picture",
        found=found,
        remedy="convert it to an 8-bit RGB image, and look at the result",
    )


def refused_turn(path: Path, turn: Image.Transpose) -> UserError:
    """Error of a turned image with landmarks, which may be those of the stored or of the shown pixels."""
    return UserError(
        "an image with landmarks is turned by its EXIF",
        where=path,
        expected="pixels as they are shown",
        found=f"the turn {turn.name.lower()}",
        remedy="write the image anew without EXIF, so that the landmarks lie on it",
    )
