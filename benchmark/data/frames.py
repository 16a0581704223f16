"""Packed frames: all decoded images of a `FaceSet`, as uint8, in one memory-mapped file."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from benchmark.core.errors import UserError
from benchmark.core.files import regular
from benchmark.core.hashing import digest_of_file
from benchmark.data.decode import HASH_BYTES
from benchmark.data.faces import FaceSet
from benchmark.data.pack_identity import contents_digest, pack_folder
from benchmark.data.packing import FRAMES, HASHES, META, Packing, read_meta
from benchmark.data.pixels import check_pixels, portions_of


class RowsOf:
    """View of some rows of packed frames, without a copy."""

    def __init__(self, frames: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64]) -> None:
        self._frames, self._rows = frames, rows

    def __getitem__(self, index: Any) -> npt.NDArray[np.uint8]:
        picked: npt.NDArray[np.uint8] = self._frames[self._rows[index]]
        return picked


@dataclass(frozen=True)
class PackedFaces:
    """A `FaceSet` with its decoded frames.

    Attributes:
        faces: Labels and table.
        frames: uint8 RGB (N, S, S, 3), mapped from disk.
        fingerprint: Hash of the image files, the labels, the landmarks of the alignment and the frame size: the data's
            part of a trial's key.
        decoded: Number of frames that this call decoded: fewer than N after an interrupted attempt, 0 for a finished
            pack.
        seconds: Duration of the packing, seconds.
        check_s: Duration of the comparison of the pixels with their digests, seconds.
        unchecked: Whether the pixels were mapped without that comparison.
    """

    faces: FaceSet
    frames: npt.NDArray[np.uint8]
    fingerprint: str
    decoded: int = 0
    seconds: float = 0.0
    check_s: float = 0.0
    unchecked: bool = False

    def of_subjects(self, subjects: Collection[str]) -> PackedFaces:
        """Select the frames of some subjects; the subjects' names become a part of the fingerprint."""
        whole = self.faces
        rows = np.flatnonzero(whole.table["subject"].isin(subjects).to_numpy())
        out = whole.left_out
        faces = replace(
            whole,
            table=whole.table.iloc[rows].reset_index(drop=True),
            labels=whole.labels[rows],
            points=None if whole.points is None else whole.points[rows],
            left_out=None if out is None else out[out["subject"].isin(subjects)].reset_index(drop=True),
        )
        names = blake2b(f"{self.fingerprint} {sorted(subjects)}".encode(), digest_size=8).hexdigest()
        frames = cast(npt.NDArray[np.uint8], RowsOf(self.frames, rows))
        return PackedFaces(faces, frames, names, check_s=self.check_s, unchecked=self.unchecked)


def pack(
    faces: FaceSet,
    size: int,
    cache: Path,
    progress: Callable[[int, int], None] | None = None,
    *,
    check: bool = True,
    checking: Callable[[int, int], None] | None = None,
) -> PackedFaces:
    """Decode every image once, aligned or resized; a later call maps the finished pack.

    A later call does not read the images again: it takes them for the same if their paths, sizes, times (of content and
    of state) and inodes are. `data check --deep` reads them. The pixels of the pack are compared with their digests.

    Without alignment, every frame is resized to a square, as the paper resizes to 256x256 (§4.1.2). All cores decode.
    An interrupted call keeps its finished tasks, and the next call continues from them.

    Args:
        faces: The images to pack.
        size: Side of a packed frame, pixels.
        cache: Folder of the packs, one folder a pack; a pack is complete or absent.
        progress: Called with (images packed, images), from the calling thread.
        check: Whether to compare the pixels with their digests.
        checking: Called with (frames compared, frames), from the calling thread.

    Raises:
        UserError: An image is damaged, too large or of a kind without a certain conversion; the disk is too small; the
            pack is damaged.
    """
    folder = pack_folder(faces, size, cache)
    cache.mkdir(parents=True, exist_ok=True)
    decoded, began = 0, time.monotonic()
    packing = Packing(faces, size, folder)
    # Other processes that need the same frames wait until the first has packed them.
    with FileLock(cache / f"{packing.making.name}.lock"):
        if not folder.exists():  # a folder without its facts is damaged: packs are renamed whole
            decoded = packing.run(progress)
            packing.remove_superseded()
    seconds = time.monotonic() - began if decoded else 0.0
    try:
        meta = read_meta(folder)
        fingerprint, portions = str(meta["fingerprint"]), portions_of(meta["portions"], len(faces))
        frames = np.load(regular(folder / FRAMES), mmap_mode="r", allow_pickle=False)
        # The digests cover the bytes, and the header says which pixel a byte is.
        if frames.shape != (len(faces), size, size, 3) or frames.dtype != np.uint8 or not frames.flags.c_contiguous:
            raise ValueError(f"{frames.dtype} of shape {frames.shape}, strides {frames.strides}")
    except (OSError, ValueError, KeyError, TypeError, UserError) as error:
        raise _damaged(folder, error) from error
    began = time.monotonic()
    if check:
        check_pixels(folder / FRAMES, frames.offset, size * size * 3, portions, checking)
    check_s = time.monotonic() - began if check else 0.0
    return PackedFaces(faces, frames, fingerprint, decoded, seconds, check_s, unchecked=not check)


def source_hashes(folder: Path) -> npt.NDArray[np.void]:
    """Hash of the source of each frame of a finished pack, (N,) of `HASH_BYTES` bytes."""
    return np.fromfile(folder / HASHES, dtype=f"V{HASH_BYTES}")


def source_hashes_of(faces: FaceSet, size: int, cache: Path) -> list[bytes] | None:
    """Hashes of the files that frames were packed from, one a row; None if these frames are not packed.

    The pack may be of an earlier state of the files.

    Raises:
        UserError: The pack is damaged.
    """
    contents = contents_digest(faces, size)
    for folder in sorted(cache.glob(f"{faces.dataset}-{size}px-*")):
        try:
            meta = read_meta(folder)
            if meta.get("contents") != contents:
                continue
            if digest_of_file(folder / HASHES).hex() != meta["hashes"]:
                raise ValueError(f"{HASHES} has changed")
            hashes = (folder / HASHES).read_bytes()
        except (OSError, ValueError, KeyError, TypeError, UserError) as error:
            raise _damaged(folder, error) from error
        return [hashes[i : i + HASH_BYTES] for i in range(0, len(hashes), HASH_BYTES)]
    return None


def _damaged(folder: Path, error: Exception) -> UserError:
    return UserError(
        "packed frames are damaged",
        where=folder,
        found=(error.found or error.what) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"[:160],
        remedy="delete this folder: the frames are packed anew",
    )


def needed_bytes(faces: FaceSet, size: int, cache: Path) -> int:
    """Disk space that packing will need, bytes; 0 if the pack exists."""
    return 0 if (pack_folder(faces, size, cache) / META).is_file() else len(faces) * size * size * 3
