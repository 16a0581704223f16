"""Packed frames: all decoded images of a `FaceSet`, as uint8, in one memory-mapped file."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Any, Literal, cast

import cv2
import numpy as np
import numpy.typing as npt
from filelock import FileLock
from PIL import Image

from benchmark.core.errors import UserError
from benchmark.core.machine import available_cores
from benchmark.data import align
from benchmark.data.align import Points
from benchmark.data.faces import IMAGE_FORMATS, UNREADABLE, FaceSet, video_of
from benchmark.data.placement import Size, in_place, out_of_place, size_of

PACK_FORMAT = 1
"""Version of decoding and resizing, a part of the data's fingerprint and so of every trial's key."""
PORTION = 256
"""Number of images in one task."""
HASH_BYTES = 16
MAX_PIXELS = 64_000_000
"""Maximum number of pixels of an image, checked before decoding; BP4D's frames have 1.4 million."""


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
    """

    faces: FaceSet
    frames: npt.NDArray[np.uint8]
    fingerprint: str
    decoded: int = 0
    seconds: float = 0.0

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
        return PackedFaces(faces, cast(npt.NDArray[np.uint8], RowsOf(self.frames, rows)), names)


def pack(faces: FaceSet, size: int, cache: Path, progress: Callable[[int, int], None] | None = None) -> PackedFaces:
    """Decode every image once, aligned or resized; a later call with the same files maps the finished pack.

    Without alignment, every frame is resized to a square, as the paper resizes to 256x256 (§4.1.2). All cores decode.
    An interrupted call keeps its finished tasks, and the next call continues from them.

    Args:
        faces: The images to pack.
        size: Side of a packed frame, pixels.
        cache: Folder of the packs, one folder a pack; a pack is complete or absent.
        progress: Called with (images packed, images), from the calling thread.

    Raises:
        UserError: An image is damaged or too large, or the disk is too small.
    """
    folder = pack_folder(faces, size, cache)
    cache.mkdir(parents=True, exist_ok=True)
    decoded, began = 0, time.monotonic()
    packing = _Packing(faces, size, folder)
    # Other processes that need the same frames wait until the first has packed them.
    with FileLock(cache / f"{packing.making.name}.lock"):
        if not (folder / _META).is_file():
            decoded = packing.run(progress)
    seconds = time.monotonic() - began if decoded else 0.0
    try:
        fingerprint = str(json.loads((folder / _META).read_text(encoding="utf-8"))["fingerprint"])
        frames = np.load(folder / _FRAMES, mmap_mode="r", allow_pickle=False)
        if frames.shape != (len(faces), size, size, 3) or frames.dtype != np.uint8:
            raise ValueError(f"{frames.dtype} of shape {frames.shape}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            "packed frames are damaged",
            where=folder,
            found=f"{type(error).__name__}: {error}"[:160],
            remedy="delete this folder: the frames are packed anew",
        ) from error
    return PackedFaces(faces, frames, fingerprint, decoded, seconds)


def pack_folder(faces: FaceSet, size: int, cache: Path) -> Path:
    """Folder of a pack; its name depends on the files, the labels, the landmarks and the frame size."""
    digest = blake2b(f"{PACK_FORMAT} {size} {faces.root.resolve()}\n".encode(), digest_size=8)
    digest.update(_label_bytes(faces))
    for path in faces.table["path"]:
        digest.update(_file_state(faces.root, path))
    return cache / f"{faces.dataset}-{size}px-{digest.hexdigest()}"


def _file_state(root: Path, path: str) -> bytes:
    file = root / (video_of(path) or path)
    try:
        stat = file.stat()
    except FileNotFoundError as error:
        raise _is_gone(file) from error
    return f"{path} {stat.st_size} {stat.st_mtime_ns}\n".encode()


def needed_bytes(faces: FaceSet, size: int, cache: Path) -> int:
    """Disk space that packing will need, bytes; 0 if the pack exists."""
    return 0 if (pack_folder(faces, size, cache) / _META).is_file() else len(faces) * size * size * 3


def _label_bytes(faces: FaceSet) -> bytes:
    columns = faces.table[["subject", "sequence", "frame"]].to_csv(index=False, lineterminator="\n")
    points = b"" if faces.points is None else repr(align.TEMPLATE).encode() + faces.points.tobytes()
    return columns.encode() + faces.labels.tobytes() + ",".join(faces.label_names).encode() + points


_META, _FRAMES, _HASHES, _DONE = "pack.json", "frames.npy", "hashes.bin", "done.txt"


class _Packing:
    """Creation of one pack, in a temporary folder that is renamed at the end.

    Frames are written to the file, not through a memory map, because dirty pages of a map count as memory of the
    process until the system writes them back.
    """

    def __init__(self, faces: FaceSet, size: int, folder: Path) -> None:
        self.faces = faces
        self.size = size
        self.folder = folder
        self.paths = [str(path) for path in faces.table["path"]]
        # The name depends on the contents of the pack and not on the state of its files, so that replacing one image
        # keeps the finished tasks of the others.
        of = blake2b(f"{PACK_FORMAT} {size} {faces.root.resolve()}\n".encode() + _label_bytes(faces), digest_size=8)
        of.update("\n".join(self.paths).encode())
        self.making = folder.with_name(f".packing-{faces.dataset}-{size}px-{of.hexdigest()}")
        self.tasks = _tasks(self.paths)
        self.frame_bytes = size * size * 3
        self.stop = Event()
        self.decoded: SimpleQueue[int] = SimpleQueue()
        self.misplaced: SimpleQueue[tuple[int, Size]] = SimpleQueue()
        """Rows whose landmarks do not lie in their image, with the image's size."""

    def run(self, progress: Callable[[int, int], None] | None) -> int:
        """Create the pack and return the number of frames that were decoded."""
        header, done = self._begin()
        at_hand = sum(len(self.tasks[task]) for task in done)
        left = [task for i, task in enumerate(self.tasks) if i not in done]
        count = at_hand
        # Decoding, resizing and warping release the interpreter lock, so threads use all cores.
        pool = ThreadPoolExecutor(available_cores())
        try:
            running = {pool.submit(self._do, task, header): self._state(task) for task in left}
            while running:
                ended, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
                while not self.decoded.empty():
                    count += self.decoded.get()
                if progress is not None:
                    progress(min(count, len(self.paths)), len(self.paths))
                # Finished tasks are recorded before an error ends the loop.
                for future in sorted(ended, key=lambda f: f.exception() is not None):
                    whole, state = future.result(), running.pop(future)
                    if whole:
                        self._record(state)
        finally:
            # After a damaged image or Ctrl-C, running tasks stop at the next frame, and finished tasks are kept.
            self.stop.set()
            pool.shutdown(cancel_futures=True)
        self._check_places()
        if progress is not None:
            progress(len(self.paths), len(self.paths))
        self._finish()
        return len(self.paths) - at_hand

    def _begin(self) -> tuple[int, set[int]]:
        """Prepare the files; return the length of the frame file's header, bytes, and the indices of finished tasks."""
        self.making.mkdir(parents=True, exist_ok=True)
        frames = self.making / _FRAMES
        shape = (len(self.paths), self.size, self.size, 3)
        written = self._records() if frames.is_file() and (self.making / _HASHES).is_file() else {}
        done = {i for i, task in enumerate(self.tasks) if written.get(task.start) == self._state(task)}
        already = sum(len(self.tasks[i]) for i in done) * self.frame_bytes
        needed, free = len(self.paths) * self.frame_bytes - already, shutil.disk_usage(self.making).free
        if needed > free:
            raise UserError(
                "not enough disk for the packed frames",
                where=self.folder.parent,
                expected=f"{needed / 2**30:.1f} GiB",
                found=f"{free / 2**30:.1f} GiB free",
                remedy="free some space, or name another folder with --cache",
            )
        # Without records, the files in the folder may be incomplete and are created again.
        mode: Literal["r+", "w+"] = "r+" if done else "w+"
        header = int(np.lib.format.open_memmap(frames, mode, np.uint8, None if done else shape).offset)
        if not done:
            (self.making / _HASHES).write_bytes(bytes(len(self.paths) * HASH_BYTES))
            (self.making / _DONE).unlink(missing_ok=True)
        return header, done

    def _records(self) -> dict[int, str]:
        """Last record of each task, by the task's first row."""
        record = self.making / _DONE
        lines = record.read_text(encoding="ascii").split("\n") if record.is_file() else []
        # Text after the last newline is an incomplete record.
        return {int(line.split(" ")[0]): line for line in lines[:-1]}

    def _record(self, state: str) -> None:
        with (self.making / _DONE).open("a", encoding="ascii", newline="\n") as stream:
            stream.write(f"{state}\n")
            stream.flush()
            os.fsync(stream.fileno())

    def _state(self, task: range) -> str:
        """Record of a task: its rows and the state of its files, whose change makes a finished task invalid."""
        state = blake2b(digest_size=8)
        for row in task:
            state.update(_file_state(self.faces.root, self.paths[row]))
        return f"{task.start} {task.stop} {state.hexdigest()}"

    def _do(self, task: range, header: int) -> bool:
        """Decode the rows of a task and write them to their places in the files; False if landmarks are misplaced."""
        before = self.misplaced.qsize()
        video = video_of(self.paths[task.start])
        frames = self._of_video(video, task) if video is not None else self._of_images(task)
        hashes = bytearray()
        with (self.making / _FRAMES).open("r+b") as stream:
            stream.seek(header + task.start * self.frame_bytes)
            for frame, file_hash in frames:
                if self.stop.is_set():
                    return False
                stream.write(frame.tobytes())
                hashes += file_hash
                self.decoded.put(1)
            stream.flush()
            os.fsync(stream.fileno())
        with (self.making / _HASHES).open("r+b") as stream:
            stream.seek(task.start * HASH_BYTES)
            stream.write(hashes)
            stream.flush()
            os.fsync(stream.fileno())
        # Another thread may add to the queue: this task is then decoded once more, which does no harm.
        return self.misplaced.qsize() == before

    def _of_images(self, task: range) -> Iterator[Decoded]:
        for row in task:
            if self.faces.points is not None:
                self._note_place(row, size_of(self.faces.root / self.paths[row]))
            yield _decode(self.faces.root / self.paths[row], self.size, self._points(row))

    def _of_video(self, video: str, task: range) -> Iterator[Decoded]:
        indices = [int(self.paths[row].rpartition("#")[2]) for row in task]
        frames = _decode_video(self.faces.root / video, indices)
        for row, (image, file_hash) in zip(task, frames, strict=True):
            self._note_place(row, (image.shape[1], image.shape[0]))
            yield _packed_video_frame(image, self.size, self._points(row)), file_hash

    def _points(self, row: int) -> Points | None:
        return None if self.faces.points is None else self.faces.points[row]

    def _note_place(self, row: int, size: Size | None) -> None:
        points = self._points(row)
        if points is not None and size is not None and not in_place(points[None], size)[0]:
            self.misplaced.put((row, size))

    def _check_places(self) -> None:
        """Refuse a pack with faces that would be mostly fill, counted over all images.

        Raises:
            UserError: Landmarks of at least one image lie outside it.
        """
        rows = [self.misplaced.get() for _ in range(self.misplaced.qsize())]
        if rows:
            first, size = min(rows)
            points = np.stack([points for row, _ in rows if (points := self._points(row)) is not None])
            raise out_of_place(self.faces.root / self.paths[first], size, points, len(self.paths))

    def _finish(self) -> None:
        hashes = (self.making / _HASHES).read_bytes()
        digest = blake2b(f"{PACK_FORMAT} {self.size}\n".encode() + _label_bytes(self.faces), digest_size=8)
        digest.update(hashes)
        meta = {
            "fingerprint": digest.hexdigest(),
            "dataset": self.faces.dataset,
            "frames": len(self.paths),
            "size": self.size,
        }
        (self.making / _META).write_text(json.dumps(meta, indent=1), encoding="utf-8")
        for name in (_HASHES, _DONE):
            (self.making / name).unlink()
        self.making.rename(self.folder)


Decoded = tuple[npt.NDArray[np.uint8], bytes]
"""One packed frame, and a hash of its source."""


def _tasks(paths: list[str]) -> list[range]:
    """Tasks of the threads: the rows of one video, which is read in one pass, or of a number of images."""
    tasks, start = [], 0
    for video, rows in groupby(paths, key=video_of):
        stop = start + sum(1 for _ in rows)
        step = PORTION if video is None else stop - start
        tasks += [range(i, min(i + step, stop)) for i in range(start, stop, step)]
        start = stop
    return tasks


def _decode_video(path: Path, indices: list[int]) -> Iterator[tuple[npt.NDArray[np.uint8], bytes]]:
    """Frames of a video (RGB) with their hashes, at ascending 0-based indices; seeking would not be exact."""
    digest = blake2b(digest_size=HASH_BYTES)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
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
            frame_digest = blake2b(digest.digest() + str(index).encode(), digest_size=HASH_BYTES).digest()
            yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8), frame_digest
    finally:
        source.release()


def _packed_video_frame(rgb: npt.NDArray[np.uint8], size: int, points: Points | None) -> npt.NDArray[np.uint8]:
    if points is None:
        small = Image.fromarray(rgb).resize((size, size), Image.Resampling.BILINEAR, reducing_gap=3.0)
        return np.asarray(small)
    factor = align.reduction(points, size)
    if factor > 1:
        # Cropped to whole blocks, so that the scale equals the factor exactly.
        height, width = (side // factor * factor for side in rgb.shape[:2])
        shape = (width // factor, height // factor)
        rgb = np.asarray(cv2.resize(rgb[:height, :width], shape, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return align.warp(rgb, points, size, factor)


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise UserError(
            "an image is too large",
            where=path,
            expected=f"at most {MAX_PIXELS:,} pixels",
            found=f"{width} x {height}",
            remedy="check that this file is the dataset's own",
        )


def _decode(path: Path, size: int, points: Points | None = None) -> Decoded:
    try:
        data = path.read_bytes()
        with Image.open(path, formats=IMAGE_FORMATS) as image:
            _check_size(path, image.width, image.height)
            if points is None:
                image.draft("RGB", (size, size))  # JPEG decodes at a reduced scale, not below this size
                small = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR, reducing_gap=3.0)
                frame = np.asarray(small)
            else:
                width = image.width
                factor = align.reduction(points, size)
                image.draft("RGB", (-(-image.width // factor), -(-image.height // factor)))
                # The factor 1, 2, 4 or 8 of the decoder; formats other than JPEG are not reduced.
                frame = align.warp(
                    np.asarray(image.convert("RGB")), points, size, 2 ** round(math.log2(width / image.width))
                )
    except FileNotFoundError as error:
        raise _is_gone(path) from error
    except UNREADABLE as error:
        raise UserError(
            "an image cannot be read",
            where=path,
            expected="a whole JPEG or PNG file",
            found=str(error),
            remedy="copy this image from your dataset anew",
        ) from error
    return frame, blake2b(data, digest_size=HASH_BYTES).digest()


def _is_gone(path: Path) -> UserError:
    return UserError(
        "a file is gone that was there when its dataset was read",
        where=path,
        remedy="see that the disk of the data root is there, and run again: what is done is kept",
    )
