"""FE dataset without code: a profile declares it, and one CSV file holds its labels.

    [datasets.myfaces]
    reader = "fe_csv"
    folder = "MyFaces"    # below the data root
    file = "labels.csv"   # below the folder

The file has one row an image::

    path,label,split
    images/0001.jpg,happiness,train

Columns may have any order. `split` is `train` or `test`; without it, all images are for training. A column
`consistency` holds the share of annotators who chose the label.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.config.settings import StandinSettings
from benchmark.core.errors import UserError, did_you_mean
from benchmark.data.faces import FaceSet
from benchmark.data.files import caught
from benchmark.datasets.base import FeDataset, Progress, ReadOptions, fe_dataset
from benchmark.datasets.declared import Declared, DeclaredSettings, count, origin_of
from benchmark.datasets.labels import in_order, label_names
from benchmark.datasets.tables import BelowRoot, Images, LabelRow, LabelTable, number_of, read_table
from benchmark.standin.photos import BASIC_NAMES, draw_photos

_REMEDY = "correct this row, or take it out"
_SPLITS = ("train", "test")


@fe_dataset("fe_csv")
class FeCsv(Declared, FeDataset):
    """FE dataset with labels in one CSV file."""

    settings: Settings

    class Settings(DeclaredSettings):
        """Settings of a declared dataset."""

        file: BelowRoot = "labels.csv"
        """CSV file with the labels, relative to `folder`."""
        labels: tuple[str, ...] = ()
        """Names of the classes in the order of their codes. If the file has numbers, the lowest number gets the first
        name, and so on. Empty: the labels of the file, sorted."""

    def read(self, root: Path, options: ReadOptions) -> FaceSet:
        """Read the rows of the file.

        Raises:
            UserError: The file, one of its cells, or an image is missing or wrong.
        """
        table = read_table(self.label_source(root), what="FE table", needs=("path", "label"))
        codes, names = self._codes(table)
        images = Images(root / self.folder, table)
        before = count(options.faults)
        entries: list[tuple[str, str, float, int]] = []
        for row in table.rows:
            with caught(options.faults):
                split = _split(table, row)
                if split == "train" or options.images == "all":
                    path = images.find(row).relative_to(root).as_posix()
                    entries.append((split, path, _consistency(table, row), _code(table, row, codes)))
        if not entries:
            raise UserError(
                "the FE table names no training image that can be used",
                where=table.file,
                expected="rows of the split train",
                remedy="correct the rows of the table",
            )
        entries.sort(key=lambda entry: entry[:2])
        paths = [path for _, path, _, _ in entries]
        faces = pd.DataFrame({"path": paths, "subject": paths, "sequence": [split for split, *_ in entries]})
        faces["frame"] = range(len(entries))
        if table.place("consistency") is not None:
            faces["consistency"] = [share for _, _, share, _ in entries]
        origin, kind = origin_of(root, faces, count(options.faults) - before)
        note = f"{kind}{len(entries):,} FE images of {len(names)} classes from {self.folder}/{self.settings.file}"
        labels = np.array([code for *_, code in entries], dtype=np.int8)
        return FaceSet(self.name, root, faces, labels, names, origin, note)

    def label_source(self, root: Path) -> Path:
        """The CSV file."""
        return root / self.folder / self.settings.file

    def write_standin(self, home: Path, settings: StandinSettings, progress: Progress) -> pd.DataFrame:
        """Write procedural faces and their table."""

        def path_of(split: str, number: int, _: str) -> str:
            return f"{self.folder}/images/{split}_{number:05d}.jpg"

        names = self.settings.labels or sorted(BASIC_NAMES)  # the order of the reader
        truth = draw_photos(home, settings, self.name, names, path_of, progress)
        table = truth[["path", "label", "split", "consistency"]]
        file = self.label_source(home)
        file.parent.mkdir(parents=True, exist_ok=True)
        table.assign(path=table["path"].str.removeprefix(f"{self.folder}/")).to_csv(
            file, index=False, lineterminator="\n"
        )
        return truth

    def _codes(self, table: LabelTable) -> tuple[dict[str, int], tuple[str, ...]]:
        """Code of each label of the file, and the class names in the order of codes."""
        cells = {table.value(row, "label") for row in table.rows} - {""}
        names = self.settings.labels
        if not names:
            ordered = in_order(cells)
            return {cell: code for code, cell in enumerate(ordered)}, label_names(ordered, table.file)
        if cells and not cells & set(names) and all(np.isfinite(number_of(cell)) for cell in cells):
            if len(cells) != len(names):
                raise UserError(
                    "the numbers of the column label do not fit the setting `labels`",
                    where=table.file,
                    expected=f"{len(names)} different numbers: one for each of {', '.join(names)}",
                    found=", ".join(in_order(cells)[:20]),
                    remedy="give every number a name, or write names into the column",
                )
            return {cell: code for code, cell in enumerate(in_order(cells))}, label_names(names, table.file)
        return {name: code for code, name in enumerate(names)}, label_names(names, table.file)


def _split(table: LabelTable, row: LabelRow) -> str:
    split = table.value(row, "split", "train").lower()
    if split not in _SPLITS:
        raise table.error(row, "a wrong split", " or ".join(_SPLITS), split or "nothing", _REMEDY)
    return split


def _code(table: LabelTable, row: LabelRow, codes: dict[str, int]) -> int:
    label = table.filled(row, "label", remedy=_REMEDY)
    if label not in codes:
        remedy = f"{did_you_mean(label, codes)}; correct the row, or add it to the setting `labels`"
        raise table.error(row, "an unknown label", "one of the setting `labels`", label, remedy)
    return codes[label]


def _consistency(table: LabelTable, row: LabelRow) -> float:
    cell = table.value(row, "consistency")
    share = number_of(cell)
    if cell.lower() not in {"", "nan"} and not 0 <= share <= 1:
        raise table.error(row, "a wrong consistency", "a number from 0 to 1, or nothing", cell, _REMEDY)
    return share
