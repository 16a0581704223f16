"""Packed frames: every image of a `FaceSet` decoded once, as uint8, in one file that is mapped into memory."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

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
        stat = (faces.root / path).stat()
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
        paths = [faces.root / path for path in faces.table["path"]]
        # Decoding and resizing release the interpreter lock, so threads use all cores.
        with ThreadPoolExecutor(available_cores()) as pool:
            # In portions, so that decoded frames do not pile up in memory before a slow disk.
            for start in range(0, len(paths), PORTION):
                decoded = pool.map(lambda path: _decode(path, size), paths[start : start + PORTION])
                for index, (frame, file_hash) in enumerate(decoded, start):
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


def _decode(path: Path, size: int) -> tuple[npt.NDArray[np.uint8], bytes]:
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
