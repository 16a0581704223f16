"""Decoding of images and videos to packed frames."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmark.core.errors import UserError
from benchmark.core.files import read_bytes, regular
from benchmark.core.hashing import digest_of_file
from benchmark.data import align
from benchmark.data.align import Points
from benchmark.data.faces import IMAGE_FORMATS, UNREADABLE, video_of
from benchmark.data.images import check_sums, kind_of, refused_turn, rgb, turn_of

HASH_BYTES = 16
MAX_PIXELS = 64_000_000
"""Maximum number of pixels of an image, checked before decoding; BP4D's frames have 1.4 million."""

Decoded = tuple[npt.NDArray[np.uint8], bytes]
"""One packed frame, and a hash of its source."""


def decode_video(path: Path, indices: list[int]) -> Iterator[tuple[npt.NDArray[np.uint8], bytes]]:
    """Frames of a video (RGB) with their hashes, at ascending 0-based indices; seeking would not be exact."""
    of_video = _hash_of_video(path)
    source = cv2.VideoCapture(str(path))
    try:
        _check_size(path, int(source.get(cv2.CAP_PROP_FRAME_WIDTH)), int(source.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        at = -1
        for index in indices:
            frame = None
            while at < index:
                at += 1
                if at < index:
                    whole = source.grab()
                else:
                    whole, frame = source.read()
                if not whole:
                    raise UserError(
                        "a video is shorter than its labels, or damaged",
                        where=path,
                        expected=f"a frame number {index + 1}",
                        found=f"{at} frames that can be decoded",
                        remedy="copy this video from your dataset anew",
                    )
            assert frame is not None
            yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8), _hash_of_frame(of_video, index)
    finally:
        source.release()


def pack_video_frame(pixels: npt.NDArray[np.uint8], size: int, points: Points | None) -> npt.NDArray[np.uint8]:
    """Frame of a video (RGB) as packed: aligned on its landmarks, or resized where there are none."""
    if points is None:
        small = Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR, reducing_gap=3.0)
        return np.asarray(small)
    factor = align.reduction(points, size)
    if factor > 1:
        # Cropped to whole blocks, so that the scale equals the factor exactly.
        height, width = (side // factor * factor for side in pixels.shape[:2])
        shape = (width // factor, height // factor)
        pixels = np.asarray(cv2.resize(pixels[:height, :width], shape, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return align.warp(pixels, points, size, factor)


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise UserError(
            "an image is too large",
            where=path,
            expected=f"at most {MAX_PIXELS:,} pixels",
            found=f"{width} x {height}",
            remedy="check that this file is the dataset's own",
        )


def decode(path: Path, size: int, points: Points | None = None) -> Decoded:
    """Packed frame of an image file, and the hash of the file.

    Args:
        path: JPEG or PNG file.
        size: Side of the packed frame, pixels.
        points: Landmarks for the alignment, (4, 2); None: the image is resized.

    Raises:
        UserError: The image is damaged, too large, gone, or of a kind without a certain conversion.
    """
    try:
        data = read_bytes(path)
        with Image.open(BytesIO(data), formats=IMAGE_FORMATS) as image:  # the bytes that are hashed
            _check_size(path, image.width, image.height)
            if image.format == "PNG":
                check_sums(data)
            turn, kind = turn_of(image), kind_of(image)
            if points is None:
                image.draft("RGB", (size, size))  # JPEG decodes at a reduced scale, not below this size
                small = rgb(image, path).resize((size, size), Image.Resampling.BILINEAR, reducing_gap=3.0)
                frame = np.asarray(small if turn is None else small.transpose(turn))
            else:
                if turn is not None:
                    raise refused_turn(path, turn)
                width = image.width
                factor = align.reduction(points, size)
                image.draft("RGB", (-(-image.width // factor), -(-image.height // factor)))
                # The factor 1, 2, 4 or 8 of the decoder; formats other than JPEG are not reduced.
                frame = align.warp(
                    np.asarray(rgb(image, path)), points, size, 2 ** round(math.log2(width / image.width))
                )
    except FileNotFoundError as error:
        raise is_gone(path) from error
    except UNREADABLE as error:
        raise UserError(
            "an image cannot be read",
            where=path,
            expected="a whole JPEG or PNG file",
            found=str(error),
            remedy="copy this image from your dataset anew",
        ) from error
    return frame, blake2b(data + kind, digest_size=HASH_BYTES).digest()


def read_frames(root: Path, paths: Sequence[str]) -> Iterator[npt.NDArray[np.uint8]]:
    """RGB images (H, W, 3) of some frames as they are on disk; a black pixel for an unreadable one.

    Args:
        root: The data root.
        paths: Paths as in `FaceSet.table`; those of one video in ascending order.
    """
    nothing = np.zeros((1, 1, 3), dtype=np.uint8)
    source, opened, at = None, "", 0
    for path in paths:
        video = video_of(path)
        if video is None:
            try:
                with Image.open(regular(root / path), formats=IMAGE_FORMATS) as image:
                    yield np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
            except UNREADABLE:
                yield nothing
            continue
        if video != opened or source is None:
            source, opened, at = cv2.VideoCapture(str(root / video)), video, 0
        index = int(path.rpartition("#")[2])
        whole = True
        while whole and at < index:
            whole, at = source.grab(), at + 1
        frame = source.read()[1] if whole else None
        at += 1
        yield nothing if frame is None else np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def hash_source(root: Path, path: str) -> bytes:
    """Hash of the source of one frame, as `decode` and `decode_video` give it.

    Args:
        root: The data root.
        path: Path of an image below it, or of a frame of a video, as in `FaceSet.table`.

    Raises:
        UserError: The file is gone or cannot be read.
    """
    video = video_of(path)
    if video is not None:
        return _hash_of_frame(_hash_of_video(root / video), int(path.rpartition("#")[2]))
    try:
        data = read_bytes(root / path)
        with Image.open(BytesIO(data), formats=IMAGE_FORMATS) as image:
            kind = kind_of(image)
    except FileNotFoundError as error:
        raise is_gone(root / path) from error
    except UNREADABLE:
        kind = b""  # a damaged image has another hash
    return blake2b(data + kind, digest_size=HASH_BYTES).digest()


@lru_cache(maxsize=8)  # every frame of a video asks for it
def _hash_of_state(path: Path, _state: tuple[int, ...]) -> bytes:
    return digest_of_file(path, HASH_BYTES)


def _hash_of_video(path: Path) -> bytes:
    try:
        stat = path.stat()
    except FileNotFoundError as error:
        raise is_gone(path) from error
    return _hash_of_state(path, (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))


def _hash_of_frame(of_video: bytes, index: int) -> bytes:
    return blake2b(of_video + str(index).encode(), digest_size=HASH_BYTES).digest()


def is_gone(path: Path) -> UserError:
    """Error of a file that was there when its dataset was read."""
    return UserError(
        "a file is gone that was there when its dataset was read",
        where=path,
        remedy="see that the disk of the data root is there, and run again: what is done is kept",
    )
