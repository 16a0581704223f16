"""Copies whose names and labels are right and whose images are not: each is refused before it is trained on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.api.checks import check_data
from benchmark.api.data import pack_data
from benchmark.core.errors import UserError
from tests.owners import mock, sampled

SETTINGS = ("data.frame_size=48", "data.crop_size=40")


def folders(root: Path) -> list[Path]:
    return sorted((root / "BP4D/Sequences(2D+3D)").glob("*/*"))


def numbered(folder: Path) -> list[Path]:
    return sorted(folder.iterdir(), key=lambda path: int(path.stem))


def put(contents: list[bytes], paths: list[Path]) -> None:
    for content, path in zip(contents, paths, strict=True):
        path.write_bytes(content)


def exchange(root: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Give the images of each sequence other contents, under the same names."""
    for folder in folders(root):
        paths = numbered(folder)
        put(change([path.read_bytes() for path in paths]), paths)


def redraw(root: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    for folder in folders(root):
        for path in numbered(folder):
            Image.fromarray(np.ascontiguousarray(change(np.asarray(Image.open(path))))).save(path, quality=92)


def other_people(root: Path) -> None:
    """Images of each sequence in the folder of the next one."""
    contents = [[path.read_bytes() for path in numbered(folder)] for folder in folders(root)]
    for folder, content in zip(folders(root), contents[1:] + contents[:1], strict=True):
        put(content, numbered(folder))


def other_landmarks(root: Path) -> None:
    """Landmark files of tasks 1 and 2 exchanged, with frames of both."""
    files = sorted((root / "BP4D/2DFeatures").glob("*.mat"))
    contents = [file.read_bytes() for file in files]
    put([contents[i ^ 1] for i in range(len(files))], files)


def one_sequence_twice(root: Path) -> None:
    first, second = folders(root)[:2]
    put([path.read_bytes() for path in numbered(first)], numbered(second))


def frozen_photographs(root: Path) -> None:
    home = root / "RAF-DB/basic/Image/aligned"
    images = sorted(home.glob("train_*.jpg"))
    put([images[0].read_bytes()] * len(images), images)


def photographs_for_aligned(root: Path) -> None:
    for k, path in enumerate(sorted((root / "RAF-DB/basic/Image/aligned").iterdir())):
        with Image.open(path) as image:
            enlarged = image.resize((160 + 10 * k, 120 + 7 * k))
        enlarged.save(path)


WRONG: dict[str, tuple[Callable[[Path], None], tuple[str, ...], str]] = {
    "images of another person": (other_people, (), "landmarks do not follow the faces"),
    "landmarks of another task": (other_landmarks, (), "landmarks do not follow the faces"),
    "mirrored images": (lambda r: redraw(r, lambda a: a[:, ::-1]), (), "do not follow the faces|lie outside"),
    "frames in reverse": (lambda r: exchange(r, lambda c: c[::-1]), (), "landmarks do not follow the faces"),
    "a frozen video": (lambda r: exchange(r, lambda c: c[:1] * len(c)), (), "landmarks do not follow the faces"),
    "each second frame twice": (
        lambda r: exchange(r, lambda c: [c[k // 2 * 2] for k in range(len(c))]),
        (),
        "the same image stands under several names",
    ),
    "red and blue exchanged": (lambda r: redraw(r, lambda a: a[..., ::-1]), (), "red and blue have changed places"),
    "a sequence under two names": (
        one_sequence_twice,
        ("data.alignment=as_is",),
        "the same image stands under several names",
    ),
    "one photograph under all names": (frozen_photographs, (), "the same image stands under several names"),
    "photographs for aligned images": (photographs_for_aligned, (), "photographs stand among them"),
}


@pytest.mark.parametrize("case", sampled(WRONG, whole=5))
def test_wrong_pixels_are_refused(case: str, tmp_path: Path) -> None:
    change, settings, words = WRONG[case]
    root = tmp_path / "data"
    mock.bp4d(root, frames=16)
    mock.rafdb(root)
    change(root)
    assert_matches(words, named(root, tmp_path / "cache", (*SETTINGS, *settings)))


@pytest.mark.long
def test_a_right_copy_has_none_of_these_faults(tmp_path: Path) -> None:
    root = tmp_path / "data"
    mock.bp4d(root, frames=16)
    mock.rafdb(root)
    said = named(root, tmp_path / "cache", SETTINGS)
    for _, _, words in WRONG.values():
        with pytest.raises(AssertionError):
            assert_matches(words, said)


def named(root: Path, cache: Path, settings: tuple[str, ...]) -> str:
    """Faults of the check, and of the packed frames."""
    faults = [fault.what for fault in check_data("bp4d", root, overrides=settings, cache=cache).report.faults]
    try:
        looks = pack_data("bp4d", root, overrides=settings, cache=cache)
    except UserError as error:
        return "\n".join([*faults, error.what])
    return "\n".join([*faults, *(fault.what for look in looks for fault in look.faults)])


def assert_matches(words: str, said: str) -> None:
    assert any(word in said for word in words.split("|")), said
