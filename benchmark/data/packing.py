"""Creation of a pack: every image is decoded once, in tasks that are recorded as they end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Any, Literal

import numpy as np

from benchmark.core.errors import UserError
from benchmark.core.files import json_object, read_bytes
from benchmark.core.hashing import digest_of_file, digest_of_json
from benchmark.core.machine import available_cores
from benchmark.data.align import Points
from benchmark.data.decode import HASH_BYTES, Decoded, decode_video, pack_video_frame
from benchmark.data.decode import decode as _decode
from benchmark.data.faces import FaceSet, video_of
from benchmark.data.pack_identity import PACK_FORMAT, contents_digest, file_state, label_bytes
from benchmark.data.pixels import DIGEST_BYTES
from benchmark.data.placement import Size, in_place, out_of_place, size_of

META, FRAMES, HASHES = "pack.json", "frames.npy", "hashes.bin"
"""Files of a finished pack: facts with a seal, pixels, hashes of the sources."""
_DONE, _OLD = "done.txt", ".old-"
PORTION = 256
"""Number of images in one task."""


def read_meta(folder: Path) -> dict[str, Any]:
    """Facts of a finished pack: fingerprint, digests of the pixels, identity of its contents.

    Raises:
        OSError: There is no finished pack, or it cannot be read.
        ValueError: The facts are not as they were written.
    """
    meta = json_object(read_bytes(folder / META))
    seal = meta.pop("seal", None)
    if seal != digest_of_json(meta):
        raise ValueError(f"{META} has changed")
    return meta


class Packing:
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
        self.contents = contents_digest(faces, size)
        self.making = folder.with_name(f".packing-{faces.dataset}-{size}px-{self.contents}")
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
                    pixels, state = future.result(), running.pop(future)
                    if pixels:
                        self._record(f"{state} {pixels}")
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
        frames = self.making / FRAMES
        shape = (len(self.paths), self.size, self.size, 3)
        written = self._records() if frames.is_file() and (self.making / HASHES).is_file() else {}
        states = {start: line.rpartition(" ")[0] for start, line in written.items()}
        done = {i for i, task in enumerate(self.tasks) if states.get(task.start) == self._state(task)}
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
        if not done:  # records go first: none may say that the new file's empty rows are done
            (self.making / _DONE).unlink(missing_ok=True)
        mode: Literal["r+", "w+"] = "r+" if done else "w+"
        header = int(np.lib.format.open_memmap(frames, mode, np.uint8, None if done else shape).offset)
        if not done:
            (self.making / HASHES).write_bytes(bytes(len(self.paths) * HASH_BYTES))
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
            state.update(file_state(self.faces.root, self.paths[row]))
        return f"{task.start} {task.stop} {state.hexdigest()}"

    def _do(self, task: range, header: int) -> str:
        """Decode the rows of a task, write them to their places in the files, and return the digest of their pixels.

        "" if the work was stopped, or landmarks do not lie in their images.
        """
        before = self.misplaced.qsize()
        video = video_of(self.paths[task.start])
        frames = self._of_video(video, task) if video is not None else self._of_images(task)
        hashes, pixels = bytearray(), blake2b(digest_size=DIGEST_BYTES)
        with (self.making / FRAMES).open("r+b") as stream:
            stream.seek(header + task.start * self.frame_bytes)
            for frame, file_hash in frames:
                if self.stop.is_set():
                    return ""
                content = frame.tobytes()
                stream.write(content)
                pixels.update(content)
                hashes += file_hash
                self.decoded.put(1)
            stream.flush()
            os.fsync(stream.fileno())
        with (self.making / HASHES).open("r+b") as stream:
            stream.seek(task.start * HASH_BYTES)
            stream.write(hashes)
            stream.flush()
            os.fsync(stream.fileno())
        # Another thread may add to the queue: this task is then decoded once more, which does no harm.
        return pixels.hexdigest() if self.misplaced.qsize() == before else ""

    def _of_images(self, task: range) -> Iterator[Decoded]:
        for row in task:
            if self.faces.points is not None:
                self._note_place(row, size_of(self.faces.root / self.paths[row]))
            yield _decode(self.faces.root / self.paths[row], self.size, self._points(row))

    def _of_video(self, video: str, task: range) -> Iterator[Decoded]:
        indices = [int(self.paths[row].rpartition("#")[2]) for row in task]
        frames = decode_video(self.faces.root / video, indices)
        for row, (image, file_hash) in zip(task, frames, strict=True):
            self._note_place(row, (image.shape[1], image.shape[0]))
            yield pack_video_frame(image, self.size, self._points(row)), file_hash

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
        hashes, records = (self.making / HASHES).read_bytes(), self._records()
        digest = blake2b(f"{PACK_FORMAT} {self.size}\n".encode() + label_bytes(self.faces), digest_size=8)
        digest.update(hashes)
        meta = {
            "fingerprint": digest.hexdigest(),
            "dataset": self.faces.dataset,
            "frames": len(self.paths),
            "size": self.size,
            "contents": self.contents,
            "hashes": digest_of_file(self.making / HASHES).hex(),
            "portions": [[task.start, task.stop, records[task.start].rpartition(" ")[2]] for task in self.tasks],
        }
        text = json.dumps({**meta, "seal": digest_of_json(meta)}, indent=1)
        with (self.making / META).open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        self.making.rename(self.folder)
        (self.folder / _DONE).unlink(missing_ok=True)  # not before: whoever is killed here would begin anew

    def remove_superseded(self) -> None:
        """Delete packs of earlier states of these files, which no later call would map."""
        for left in self.folder.parent.glob(f"{_OLD}{self.contents}-*"):  # a process was killed while it deleted
            shutil.rmtree(left, ignore_errors=True)
        for other in self.folder.parent.glob(f"{self.faces.dataset}-{self.size}px-*"):
            if other == self.folder:
                continue
            with contextlib.suppress(OSError, ValueError):  # damaged, or of an earlier version: it stays
                if read_meta(other).get("contents") == self.contents:
                    old = other.with_name(f"{_OLD}{self.contents}-{other.name}")
                    other.rename(old)  # a reader sees a whole pack or none
                    shutil.rmtree(old, ignore_errors=True)


def _tasks(paths: list[str]) -> list[range]:
    """Tasks of the threads: the rows of one video, which is read in one pass, or of a number of images."""
    tasks, start = [], 0
    for video, rows in groupby(paths, key=video_of):
        stop = start + sum(1 for _ in rows)
        step = PORTION if video is None else stop - start
        tasks += [range(i, min(i + step, stop)) for i in range(start, stop, step)]
        start = stop
    return tasks
