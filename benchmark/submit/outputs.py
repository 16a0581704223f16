"""Outputs of a program as scores of AUs, checked as far as they can be without the frames of the dataset."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.config.protocol import Protocol
from benchmark.core.errors import UserError
from benchmark.core.files import row_place
from benchmark.report.predictions import MOST_WHOLE, read_table
from benchmark.submit.base import Adapter, Scale, numbers

KINDS = (".csv", ".parquet")
"""Suffixes of outputs."""
IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""Suffixes by which a name is that of an image rather than of a video."""


@dataclass(frozen=True)
class Outputs:
    """Outputs of a program: one row an image, N rows.

    Attributes:
        path: File or folder of the outputs.
        table: `place` (name of image or video, without suffix), `order` (number in its sequence from 0; −1 where the
            place is an image), and a column an AU of the dataset.
        scores: (N, J'), shifted like logits: active above 0.
        aus: Names of the J' AUs of the dataset that the program gives.
        lacking: Names of the AUs of the dataset that it does not give.
        no_face: Number of rows without a face, which count as no active AU.
        several: Number of images with several faces, of which one was chosen.
        chosen_by: Column that chose among them, the largest value first; "order" for the first row.
        digest: Digest of the files, the adapter and the threshold.
    """

    path: Path
    table: pd.DataFrame
    scores: npt.NDArray[np.float32]
    aus: tuple[str, ...]
    lacking: tuple[str, ...]
    no_face: int
    several: int
    chosen_by: str
    digest: str


def read_outputs(path: Path, adapter: Adapter, protocol: Protocol, threshold: float | None) -> Outputs:
    """Read the outputs of a program.

    Args:
        path: One output, or a folder of them; below it, a file's name and folders say which images it is of, unless a
            column does.
        adapter: Adapter of the program.
        protocol: Protocol of the dataset.
        threshold: An AU is active above it, on the scale of intensities if the program has one; None: the presence.

    Raises:
        UserError: There is no output, one is of another program, or a value is out of its range.
    """
    scale = adapter.scale(by_threshold=threshold is not None)
    cut = scale.threshold if threshold is None else threshold
    assert cut is not None  # every presence has its own
    if not scale.low <= cut < scale.high:
        raise UserError(
            "the threshold is out of the scale of the outputs",
            expected=f"{scale.low:g} to {scale.high:g}",
            found=f"{cut:g}",
            remedy="give another with --threshold",
        )
    files = _files(path)
    digest = blake2b(f"{adapter.name} {threshold!r}".encode(), digest_size=8)
    tables, no_face, chosen_by = [], 0, adapter.confidence or "order"
    for file in files:
        table, content = read_table(file)
        place = file.relative_to(path).with_suffix("").as_posix() if path.is_dir() else file.stem
        digest.update(f"{place} ".encode() + content)  # the names say which images the rows are of
        table = table.rename(columns=lambda name: str(name).strip())
        chosen_by = chosen_by if chosen_by in table else "order"
        rows, lost = _rows(table.loc[:, ~table.columns.duplicated()], adapter, scale, file, place)
        tables.append(rows)
        no_face += lost
    columns = [au for au in protocol.au_names if all(au in table for table in tables)]
    if not columns:
        raise UserError(
            f"{adapter.title} gives no AU of {protocol.dataset}",
            where=path,
            expected=f"one of {', '.join(protocol.au_names)}",
            found=", ".join(f"AU{number}" for number in scale.columns),
            remedy="its intensities may have more: give a --threshold"
            if threshold is None
            else "leave --threshold out",
        )
    joined = pd.concat(tables, ignore_index=True)
    best = joined.sort_values("confidence", ascending=False, kind="stable").drop_duplicates(["place", "order"])
    best = best.sort_index().reset_index(drop=True)
    scores = (best[columns].to_numpy(dtype=np.float64) - cut).astype(np.float32)
    lacking = tuple(au for au in protocol.au_names if au not in columns)
    several = int((joined.groupby(["place", "order"]).size() > 1).sum())
    return Outputs(path, best, scores, tuple(columns), lacking, no_face, several, chosen_by, digest.hexdigest())


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise UserError(
            "no such file or folder", where=path, remedy="name an output of the program, or a folder of them"
        )
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.suffix.lower() in KINDS)
    if not files:
        raise UserError(
            "no output in the folder",
            where=path,
            expected=f"files such as {', '.join(KINDS)}",
            remedy="name the folder that the program wrote into",
        )
    return files


def _rows(table: pd.DataFrame, adapter: Adapter, scale: Scale, file: Path, place: str) -> tuple[pd.DataFrame, int]:
    """Places and AU values of one output, and its number of rows without a face."""
    present = {number: column for number, column in scale.columns.items() if column in table}
    if not present:
        raise UserError(
            f"no output of {adapter.title}",
            where=file,
            expected=f"columns such as {', '.join(list(scale.columns.values())[:4])} ({adapter.source})",
            found=", ".join(map(str, table.columns))[:200],
            remedy="name the program with --from, or leave --from out for a file with our columns",
        )
    given = table[list(present.values())]
    values = given.apply(numbers)
    seen = adapter.has_face(table) & given.notna().any(axis=1).to_numpy()
    inside = ((values >= scale.low) & (values <= scale.high)).to_numpy()  # an empty cell and a word are not
    wrong = np.argwhere(~inside & seen[:, None])
    if len(wrong):
        row, column = (int(i) for i in wrong[0])
        raise UserError(
            f"a value of {given.columns[column]} is out of the scale of {adapter.title}",
            where=row_place(file, row),
            expected=f"a number from {scale.low:g} to {scale.high:g}",
            found=str(given.iloc[row, column]),
            remedy="check that the file is as the program wrote it",
        )
    values.loc[~seen] = scale.low
    values.columns = pd.Index([f"AU{number}" for number in present])
    places, order = _places(table, adapter, file, place)
    confidence = numbers(table[adapter.confidence]) if adapter.confidence in table else 0.0
    rows = values.assign(place=places, order=order, confidence=confidence)
    return rows.fillna({"confidence": -1.0}), int((~seen).sum())


def _places(table: pd.DataFrame, adapter: Adapter, file: Path, place: str) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Place of each row without suffix, and its number in a sequence from 0; −1 where the place is an image."""
    names = [place] * len(table)
    from_column = adapter.image in table
    if from_column:
        names = [str(name).replace("\\", "/") for name in table[adapter.image]]
    images = [Path(name).suffix.lower() in IMAGES for name in names]
    order = np.full(len(table), -1, dtype=np.int64)
    if adapter.frame in table:
        given = numbers(table[adapter.frame]).to_numpy(dtype=np.float64)
        whole = (np.abs(given) < MOST_WHOLE) & (given == np.floor(given))
        wrong = np.flatnonzero(~whole & ~np.array(images, dtype=bool))
        if len(wrong):
            raise UserError(
                "a frame is no whole number",
                where=row_place(file, wrong[0]),
                found=str(table[adapter.frame].iloc[wrong[0]]),
                remedy="check that the file is as the program wrote it",
            )
        of_sequence = ~np.array(images, dtype=bool)
        order[of_sequence] = given[of_sequence].astype(np.int64) - adapter.first_frame
    return [Path(name).with_suffix("").as_posix() if from_column else name for name in names], order
