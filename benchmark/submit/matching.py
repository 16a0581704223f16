"""Images that a program was run on, found again among the frames of a dataset.

An image is named by the end of its path, as long as that names one frame only: `F001/T1/0095.jpg` in BP4D. A row of a
video or of a folder of images is named by that, or by `SUBJECT_SEQUENCE`, and by its number: the k-th image of the
folder in the order of the names, or the k-th frame of the video.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.core.errors import UserError
from benchmark.data.faces import FaceSet, video_of
from benchmark.submit.outputs import IMAGES, Outputs

MISSING = -1
"""Row number of an image that is no coded frame."""


def rows_in(outputs: Outputs, faces: FaceSet) -> npt.NDArray[np.int64]:
    """Row number in `faces.table` of each row of the outputs, (N,); `MISSING` for an image that is not coded.

    Args:
        outputs: Outputs of a program.
        faces: The dataset's frames.

    Raises:
        UserError: No row is a coded frame.
    """
    images, sequences = _Images(faces), _Sequences(faces)
    rows = np.array(
        [
            images.row(place) if order < 0 else sequences.row(place, int(order))
            for place, order in zip(outputs.table["place"], outputs.table["order"], strict=True)
        ],
        dtype=np.int64,
    )
    if len(rows) == 0 or (rows == MISSING).all():
        first = outputs.table["place"].iloc[0] if len(outputs.table) else "no row"
        raise UserError(
            "the outputs are of no image of the dataset",
            where=outputs.path,
            expected=f"images such as {images.example}, or videos or folders such as {sequences.example}",
            found=str(first),
            remedy="keep the dataset's folders around the outputs, or name each after SUBJECT_SEQUENCE; "
            "see docs/submit.md",
        )
    return rows


class _Images:
    """Rows by the end of the paths of images, as few parts of it as tell all images apart."""

    def __init__(self, faces: FaceSet) -> None:
        paths = [_parts(path) for path in faces.table["path"]]
        self._length = shortest_ending(paths)
        self._rows = {path[-self._length :]: row for row, path in enumerate(paths)}
        self.example = "/".join(next(iter(self._rows)))

    def row(self, place: str) -> int:
        return self._rows.get(tuple(PurePosixPath(place).parts)[-self._length :], MISSING)


class _Sequences:
    """Rows by video or folder of images and number of the image in it."""

    def __init__(self, faces: FaceSet) -> None:
        self._root = faces.root
        self._row_of_path = {str(path): row for row, path in enumerate(faces.table["path"])}
        first = faces.table.drop_duplicates(["subject", "sequence"])
        containers = [_container(str(path)) for path in first["path"]]
        length = shortest_ending({_parts(container) for container in containers})
        self._length, self._containers = length, {_parts(name)[-length:]: name for name in containers}
        self._named = {
            sequence_label(str(subject), str(sequence)): container
            for subject, sequence, container in zip(first["subject"], first["sequence"], containers, strict=True)
        }
        self._images: dict[str, list[str]] = {}
        self.example = next(iter(self._named))

    def row(self, place: str, order: int) -> int:
        parts = PurePosixPath(place).parts
        container = self._containers.get(tuple(parts[-self._length :])) or self._named.get(parts[-1] if parts else "")
        if container is None:
            return MISSING
        if (self._root / container).is_file():
            return self._row_of_path.get(f"{container}#{order}", MISSING)
        images = self._images.get(container)
        if images is None:
            images = self._images[container] = _images_of(self._root, container)
        return self._row_of_path.get(images[order], MISSING) if 0 <= order < len(images) else MISSING


def sequence_label(subject: str, sequence: str) -> str:
    """Name of a sequence as a file has it.

    Example:
        >>> sequence_label("F001", "F001/T1"), sequence_label("F001", "T1"), sequence_label("SN001", "SN001")
        ('F001_T1', 'F001_T1', 'SN001')
    """
    name = sequence.replace("/", "_")
    return name if name.startswith(subject) else f"{subject}_{name}"


def shortest_ending(paths: Iterable[tuple[str, ...]]) -> int:
    """Number of last parts that tell all paths apart.

    Example:
        >>> shortest_ending([("F001", "T1", "95"), ("F001", "T2", "95"), ("F002", "T1", "95")])
        3
    """
    known = list(paths)
    longest = max(map(len, known), default=1)
    return next((k for k in range(1, longest) if len({path[-k:] for path in known}) == len(known)), longest)


def _parts(path: str) -> tuple[str, ...]:
    """Parts of a path without suffix; a frame of a video ends in the video's name and `#17`."""
    return PurePosixPath(path).with_suffix("").parts if video_of(path) is None else PurePosixPath(path).parts


def _container(path: str) -> str:
    """Video or folder of an image."""
    return video_of(path) or PurePosixPath(path).parent.as_posix()


def _images_of(root: Path, folder: str) -> list[str]:
    """Paths below the root of the images of a folder, in the order of their names."""
    names = sorted(file.name for file in (root / folder).iterdir() if file.suffix.lower() in IMAGES)
    return [f"{folder}/{name}" for name in names]


def with_keys(outputs: Outputs, faces: FaceSet) -> tuple[pd.DataFrame, npt.NDArray[np.float32]]:
    """Keys `subject`, `sequence`, `frame` of the coded frames among the outputs, and their scores (N', J').

    Raises:
        UserError: No output is a coded frame, or two are of the same one.
    """
    rows = rows_in(outputs, faces)
    coded = rows != MISSING
    twice = np.flatnonzero(pd.Series(rows).duplicated().to_numpy() & coded)
    if len(twice):
        same = outputs.table.loc[rows == rows[twice[0]], "place"]
        raise UserError(
            "two outputs are of one frame",
            where=outputs.path,
            found=f"{' and '.join(map(str, same))}, for {faces.table['path'].iloc[rows[twice[0]]]}",
            remedy="leave one of them out",
        )
    keys = faces.table.iloc[rows[coded]][["subject", "sequence", "frame"]].reset_index(drop=True)
    return keys, outputs.scores[coded]
