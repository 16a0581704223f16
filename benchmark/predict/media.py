"""Photographs and videos to predict on, and their pixels as people see them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmark.core.errors import UserError
from benchmark.core.files import read_bytes
from benchmark.data.decode import MAX_PIXELS
from benchmark.data.faces import IMAGE_FORMATS, UNREADABLE
from benchmark.data.images import rgb, turn_of

PHOTOGRAPHS = (".jpg", ".jpeg", ".png")
VIDEOS = (".avi", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")


@dataclass(frozen=True)
class Media:
    """Photographs and videos of a path.

    Attributes:
        root: Folder that the names are relative to.
        photographs: Names of photographs, "/" separated, in alphabetical order.
        videos: Names of videos, as above.
        others: Names of the files of other kinds, as above.
    """

    root: Path
    photographs: tuple[str, ...]
    videos: tuple[str, ...]
    others: tuple[str, ...] = ()


def check_there(path: Path) -> None:
    """Refuse a path where there is nothing.

    Raises:
        UserError: There is nothing.
    """
    if not path.exists():
        raise UserError("no such file or folder", where=path, remedy="name a photograph, a video or a folder of them")


def find_media(path: Path, out: Path) -> Media:
    """List the photographs and videos of a path.

    Args:
        path: A photograph, a video, or a folder, which is searched with the folders below it.
        out: Folder of the outputs, which is left out of the search.

    Raises:
        UserError: There is no such path, or it holds nothing to predict on.
    """
    check_there(path)
    home = path if path.is_dir() else path.parent
    files = [path] if path.is_file() else list(_files(path, out.resolve()))
    names = sorted(file.relative_to(home).as_posix() for file in files)
    photographs, videos = (
        tuple(name for name in names if name.lower().endswith(kinds)) for kinds in (PHOTOGRAPHS, VIDEOS)
    )
    if not names:
        raise UserError("the folder is empty", where=path, remedy="put photographs or videos in it, or name another")
    if not photographs and not videos:
        raise UserError(
            "no photograph and no video",
            where=path,
            expected=f"files such as {', '.join((*PHOTOGRAPHS, *VIDEOS))}",
            found=", ".join(names[:8]),
            remedy="convert them, or name another path",
        )
    used = {*photographs, *videos}
    return Media(home, photographs, videos, tuple(name for name in names if name not in used))


def _files(folder: Path, left_out: Path) -> Iterable[Path]:
    """Files of a folder and of the folders below it, without hidden ones."""
    for entry in folder.iterdir():
        if entry.name.startswith(".") or entry.resolve() == left_out:
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from _files(entry, left_out)
        elif entry.is_file():
            yield entry


def read_photograph(path: Path) -> npt.NDArray[np.uint8]:
    """Pixels (H, W, 3) of a photograph in RGB, turned as its EXIF says.

    Raises:
        UserError: The photograph is damaged, too large, or of a kind without a certain conversion.
    """
    try:
        with Image.open(BytesIO(read_bytes(path)), formats=IMAGE_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UserError(
                    "a photograph is too large",
                    where=path,
                    expected=f"at most {MAX_PIXELS:,} pixels",
                    found=f"{image.width} x {image.height}",
                    remedy="make it smaller",
                )
            turn, pixels = turn_of(image), rgb(image, path)
            return np.asarray(pixels if turn is None else pixels.transpose(turn))
    except UNREADABLE as error:
        raise UserError(
            "a photograph cannot be read",
            where=path,
            expected="a whole JPEG or PNG file",
            found=str(error),
            remedy="save it again as JPEG or PNG",
        ) from error
