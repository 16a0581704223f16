"""Packed frames: every image of a `FaceSet` decoded once, as uint8, in one file that is mapped into memory."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt
from filelock import FileLock
from PIL import Image, UnidentifiedImageError

from benchmark.data.faces import FaceSet
from benchmark.errors import UserError
from benchmark.machine import available_cores

PACK_FORMAT = 1
"""Raised when decoding or resizing changes: part of the data's fingerprint, and so of every trial's key."""
PORTION = 256
"""Images that are decoded before the next are begun."""
MAX_PIXELS = 64_000_000
"""A larger image is refused before it is decoded: BP4D's frames have 1.4 million pixels."""


class RowsOf:
    """Some rows of packed frames, without a copy."""

    def __init__(self, frames: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64]) -> None:
        self._frames, self._rows = frames, rows

    def __getitem__(self, index: Any) -> npt.NDArray[np.uint8]:
        picked: npt.NDArray[np.uint8] = self._frames[self._rows[index]]
        return picked


@dataclass(frozen=True)
class PackedFaces:
    """A `FaceSet` with its frames at hand.

    Attributes:
        faces: Labels and table.
        frames: uint8 RGB (N, S, S, 3), mapped from disk.
        fingerprint: Hash of the image files' bytes, the labels and the frame size: the data's part of a trial's key.
    """

    faces: FaceSet
    frames: npt.NDArray[np.uint8]
    fingerprint: str

    def of_subjects(self, subjects: Collection[str]) -> PackedFaces:
        """The frames of some subjects alone; their names are part of the new fingerprint."""
        rows = np.flatnonzero(self.faces.table["subject"].isin(subjects).to_numpy())
        faces = replace(
            self.faces, table=self.faces.table.iloc[rows].reset_index(drop=True), labels=self.faces.labels[rows]
        )
        names = blake2b(f"{self.fingerprint} {sorted(subjects)}".encode(), digest_size=8).hexdigest()
        return PackedFaces(faces, cast(npt.NDArray[np.uint8], RowsOf(self.frames, rows)), names)


def pack(faces: FaceSet, size: int, cache: Path, progress: Callable[[int, int], None] | None = None) -> PackedFaces:
    """Decode and resize every image once; a later call with the same files maps what is there.

    A frame that is not square is resized to a square, as the paper resizes to 256x256 (§4.1.2).

    Args:
        faces: The images to pack.
        size: Side of a packed frame in pixels.
        cache: Packs live below it, one folder each, written whole or not at all.
        progress: Called with (images packed, images).

    Raises:
        UserError: An image is damaged or too large, or the disk is too small.
    """
    folder = cache / f"{faces.dataset}-{size}px-{_signature(faces, size)}"
    cache.mkdir(parents=True, exist_ok=True)
    # Processes that need the same frames wait for the first of them.
    with FileLock(cache / f".{folder.name}.lock"):
        if not (folder / "pack.json").is_file():
            _write_pack(faces, size, folder, progress)
    meta = json.loads((folder / "pack.json").read_text(encoding="utf-8"))
    frames = np.load(folder / "frames.npy", mmap_mode="r")
    return PackedFaces(faces, frames, meta["fingerprint"])


def _signature(faces: FaceSet, size: int) -> str:
    """Changes when a file, a label or the frame size changes; reads no image."""
    digest = blake2b(f"{PACK_FORMAT} {size} {faces.root.resolve()}\n".encode(), digest_size=8)
    digest.update(_label_bytes(faces))
    for path in faces.table["path"]:
        stat = (faces.root / (video_of(path) or path)).stat()
        digest.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _label_bytes(faces: FaceSet) -> bytes:
    columns = faces.table[["subject", "sequence", "frame"]].to_csv(index=False, lineterminator="\n")
    return columns.encode() + faces.labels.tobytes() + ",".join(faces.label_names).encode()


def _write_pack(faces: FaceSet, size: int, folder: Path, progress: Callable[[int, int], None] | None) -> None:
    shape = (len(faces), size, size, 3)
    needed, free = int(np.prod(shape)), shutil.disk_usage(folder.parent).free
    if needed > free:
        raise UserError(
            "not enough disk for the packed frames",
            where=folder.parent,
            expected=f"{needed / 2**30:.1f} GiB",
            found=f"{free / 2**30:.1f} GiB free",
            remedy="free some space, or name another folder with --cache",
        )
    temporary = folder.with_name(f".packing-{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)  # what a killed process left
    temporary.mkdir()
    try:
        frames = np.lib.format.open_memmap(temporary / "frames.npy", mode="w+", dtype=np.uint8, shape=shape)
        digest = blake2b(f"{PACK_FORMAT} {size}\n".encode() + _label_bytes(faces), digest_size=8)
        paths = [str(path) for path in faces.table["path"]]
        # Decoding and resizing release the interpreter lock, so threads use all cores.
        with ThreadPoolExecutor(available_cores()) as pool:
            for index, (frame, file_hash) in enumerate(_decoded(faces.root, paths, size, pool)):
                frames[index] = frame
                digest.update(file_hash)
                if progress is not None:
                    progress(index + 1, len(paths))
        frames.flush()
        del frames
        meta = {
            "fingerprint": digest.hexdigest(),
            "dataset": faces.dataset,
            "frames": len(paths),
            "size": size,
        }
        (temporary / "pack.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


Decoded = tuple[npt.NDArray[np.uint8], bytes]
"""One packed frame, and a hash of what it was made of."""


def _decoded(root: Path, paths: list[str], size: int, pool: ThreadPoolExecutor) -> Iterator[Decoded]:
    """The packed frames of all rows in order; rows of one video follow one another and are read in one pass."""
    for video, rows in groupby(paths, key=video_of):
        own = list(rows)
        if video is not None:
            yield from _decode_video(root / video, [int(path.rpartition("#")[2]) for path in own], size)
            continue
        # In portions, so that decoded frames do not pile up in memory before a slow disk.
        for start in range(0, len(own), PORTION):
            yield from pool.map(lambda path: _decode(root / path, size), own[start : start + PORTION])


def video_of(path: str) -> str | None:
    """The video that a row's path `video.avi#17` is a frame of, None for an image."""
    video, mark, index = path.rpartition("#")
    return video if mark and index.isdecimal() and not video.lower().endswith((".jpg", ".jpeg", ".png")) else None


def _decode_video(path: Path, indices: list[int], size: int) -> Iterator[Decoded]:
    """The frames of a video with ascending 0-based `indices`, decoded one after the other: seeking is not exact."""
    digest = blake2b(digest_size=16)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    source = cv2.VideoCapture(str(path))
    try:
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
            rgb = Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
            packed = np.asarray(rgb.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=3.0))
            yield packed, blake2b(digest.digest() + str(index).encode(), digest_size=16).digest()
    finally:
        source.release()


def _decode(path: Path, size: int) -> Decoded:
    try:
        data = path.read_bytes()
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UserError(
                    "an image is too large",
                    where=path,
                    expected=f"at most {MAX_PIXELS:,} pixels",
                    found=f"{image.width} x {image.height}",
                    remedy="check that this file is the dataset's own",
                )
            image.draft("RGB", (size, size))  # JPEG decodes at a reduced scale not below this size
            rgb = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR, reducing_gap=3.0)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(
            "an image cannot be read",
            where=path,
            expected="a whole JPEG file",
            found=str(error),
            remedy="copy this image from your dataset anew",
        ) from error
    return np.asarray(rgb), blake2b(data, digest_size=16).digest()
