"""Identity of a pack: hashes of its files' states, labels and landmarks, which name its folder and its contents."""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path

from benchmark.data import align
from benchmark.data.decode import is_gone
from benchmark.data.faces import FaceSet, video_of

PACK_FORMAT = 1
"""Version of decoding and resizing, a part of the data's fingerprint and so of every trial's key."""


def pack_folder(faces: FaceSet, size: int, cache: Path) -> Path:
    """Folder of a pack; its name depends on the state of the files, the labels, the landmarks and the frame size."""
    digest = blake2b(_place_bytes(faces, size), digest_size=8)
    digest.update(label_bytes(faces))
    for path in faces.table["path"]:
        digest.update(file_state(faces.root, path))
    return cache / f"{faces.dataset}-{size}px-{digest.hexdigest()}"


def _place_bytes(faces: FaceSet, size: int) -> bytes:
    # A path may hold bytes that are no text.
    return f"{PACK_FORMAT} {size} ".encode() + os.fsencode(faces.root.resolve()) + b"\n"


def contents_digest(faces: FaceSet, size: int) -> str:
    """Identity of a pack's contents, which the state of the files is no part of."""
    of = blake2b(_place_bytes(faces, size) + label_bytes(faces), digest_size=8)
    of.update("\n".join(map(str, faces.table["path"])).encode(errors="surrogateescape"))
    return of.hexdigest()


def file_state(root: Path, path: str) -> bytes:
    """State of a file that is another after a change, without reading it: size, times and inode.

    Whoever sets the time of the content back cannot set that of the state.
    """
    file = root / (video_of(path) or path)
    try:
        stat = file.stat()
    except FileNotFoundError as error:
        raise is_gone(file) from error
    state = f" {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}\n"
    return f"{path}{state}".encode(errors="surrogateescape")


def label_bytes(faces: FaceSet) -> bytes:
    """Names, labels and landmarks of all frames: all that a pack holds besides pixels."""
    columns = faces.table[["subject", "sequence", "frame"]].to_csv(index=False, lineterminator="\n")
    points = b"" if faces.points is None else repr(align.TEMPLATE).encode() + faces.points.tobytes()
    return columns.encode() + faces.labels.tobytes() + ",".join(faces.label_names).encode() + points
