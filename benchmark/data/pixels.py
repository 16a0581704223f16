"""Digests of the pixels of a pack, one a portion, and the comparison of a pack with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from benchmark.core.errors import UserError
from benchmark.core.machine import available_cores

DIGEST_BYTES = 16
_BLOCK = 1 << 22
"""Bytes that are read at once: a portion may be a whole video."""


@dataclass(frozen=True)
class Portion:
    """Rows of a pack that one digest covers.

    Attributes:
        start: First row.
        stop: Row after the last.
        digest: BLAKE2b of their pixels, 32 hex digits.
    """

    start: int
    stop: int
    digest: str


def portions_of(rows: Iterable[Iterable[object]], count: int) -> list[Portion]:
    """Portions from their stored form.

    Args:
        rows: First row, row after the last, and digest, of each portion in order.
        count: Number of rows of the pack.

    Raises:
        ValueError: The portions do not cover the pack, each row once.
    """
    portions, at = [], 0
    for start, stop, digest in rows:
        if not (isinstance(start, int) and isinstance(stop, int) and start == at < stop):
            raise ValueError(f"no digest of the frames from {at} on")
        portions.append(Portion(start, stop, str(digest)))
        at = stop
    if at != count:
        raise ValueError(f"digests of {at} of {count} frames")
    return portions


def check_pixels(
    file: Path,
    offset: int,
    frame_bytes: int,
    portions: list[Portion],
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Compare the pixels of a pack with their digests, on all cores.

    Args:
        file: The frames.
        offset: Place of the first pixel in the file, bytes.
        frame_bytes: Bytes of a frame.
        portions: All portions of the pack.
        progress: Called with (frames compared, frames).

    Raises:
        UserError: Pixels are not those that were packed.
        OSError: The file cannot be read.
    """

    def digest_of(portion: Portion) -> str:
        digest, left = blake2b(digest_size=DIGEST_BYTES), (portion.stop - portion.start) * frame_bytes
        with file.open("rb") as stream:  # not through the map, whose pages would count as memory of the process
            stream.seek(offset + portion.start * frame_bytes)
            while left and (block := stream.read(min(_BLOCK, left))):
                digest.update(block)
                left -= len(block)
        return digest.hexdigest()

    with ThreadPoolExecutor(available_cores()) as pool:
        for portion, digest in zip(portions, pool.map(digest_of, portions), strict=True):
            if digest != portion.digest:
                pool.shutdown(cancel_futures=True)
                raise UserError(
                    "packed frames are damaged",
                    where=file,
                    expected="the pixels that were packed",
                    found=f"others in the frames {portion.start:,} to {portion.stop - 1:,}",
                    remedy=f"delete {file.parent}: the frames are packed anew",
                )
            if progress is not None:
                progress(portion.stop, portions[-1].stop)
