"""Lists of frames of a user: held against the known ones, or made a dataset of crops."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark import datasets
from benchmark.config.profile import load_profile
from benchmark.core.errors import UserError
from benchmark.core.words import counted
from benchmark.data.column_order import check_order
from benchmark.data.faces import UNKNOWN
from benchmark.data.known import read_known_csv
from benchmark.data.lists import Comparison, Entry, compare, read_label_rows, read_names
from benchmark.datasets.base import AuDataset

TABLE, PROFILE = "labels.csv", "malbench.toml"
"""Files that an import writes into the folder of the images."""


@dataclass(frozen=True)
class Imported:
    """Outcome of an import.

    Attributes:
        table: Table of labels beside the images.
        profile: Profile that declares the dataset.
        alike: Pairs of AUs whose columns the rates cannot tell from one another.
    """

    table: Path
    profile: Path
    alike: tuple[str, ...]


def compare_list(dataset: str, file: Path) -> Comparison:
    """Hold a list of frames against the known frames of a dataset and the sizes of public lists. No image is needed.

    Args:
        dataset: Name of an AU dataset of the suite.
        file: The list, one image name a line.

    Raises:
        UserError: The dataset has no known frames, or the list cannot be read.
    """
    au = _with_lists(dataset)
    entries = _entries(au, file)
    assert au.known_lists is not None
    sizes = {str(row["list"]): int(row["frames"]) for row in read_known_csv(au.known_lists).to_dict("records")}
    return compare(entries, au.protocol, au.known(au.protocol), sizes)


def import_lists(dataset: str, images: Path, lists: Sequence[Path], labels: Sequence[Path]) -> Imported:
    """Make a dataset of crops that come with lists of names and labels: write a table and a profile beside the images.

    The columns of the labels are the protocol's AUs, which is checked by their rates. The labels are binary.

    Args:
        dataset: Name of the AU dataset whose frames they are: its parts and AUs are used.
        images: Folder that the names are relative to, or its parent.
        lists: Lists of names.
        labels: Files of labels, one for each list.

    Returns:
        The files, and what the rates leave open.

    Raises:
        UserError: Names and labels do not belong together, an image is missing or stands on two lists, the columns are
            in another order, or a file would be overwritten.
    """
    au = _with_lists(dataset)
    if len(lists) != len(labels) or not lists:
        raise UserError(
            "each list needs its file of labels",
            expected="as many --labels as --list",
            found=f"{counted(len(lists), 'list')}, {counted(len(labels), 'file')} of labels",
            remedy="give --list and --labels in pairs, in one order",
        )
    rows: list[tuple[Entry, str, np.ndarray]] = []
    first: dict[str, Path] = {}
    for names, values in zip(lists, labels, strict=True):
        entries = _entries(au, names)
        table = read_label_rows(values, len(entries), len(au.protocol.aus))
        for entry, row in zip(entries, table, strict=True):
            path = _image(images, entry, names)
            if path in first:
                raise UserError(
                    "an image stands on two lists, or twice on one",
                    where=names,
                    line=entry.line,
                    expected="each image once: name the lists of the parts, not those of the training sets",
                    found=f"{path}, also on {first[path].name}",
                    remedy="leave one of the two lists out, or the second line",
                )
            first[path] = names
            rows.append((entry, path, row))
    stacked, subjects = np.stack([row for _, _, row in rows]), [entry.subject for entry, _, _ in rows]
    alike = check_order(stacked, subjects, au.protocol, au.known(au.protocol), labels[0])
    return Imported(*_write(au, images, rows), alike)


def _write(au: AuDataset, images: Path, rows: Sequence[tuple[Entry, str, np.ndarray]]) -> tuple[Path, Path]:
    table, profile = images / TABLE, images / PROFILE
    for file in (table, profile):
        if file.exists():
            raise UserError("a file would be overwritten", where=file, remedy="move it away first")
    part_of = {subject: part for part, subjects in au.protocol.parts.items() for subject in subjects}
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["path", "subject", "sequence", "frame", "part", *au.protocol.au_names])
        for entry, path, row in rows:
            task = entry.sequence.partition("/")[2] or "1"
            cells = ["" if code == UNKNOWN else int(code) for code in row]
            writer.writerow([path, entry.subject, task, entry.frame, part_of.get(entry.subject, "train"), *cells])
    name = f"{au.name}_crops"
    profile.write_text(
        f"# Crops of {au.title} with labels from lists. [data], [train], [method]: from a profile of the suite.\n"
        f'[datasets.{name}]\nreader = "csv"\ntitle = "{au.title} crops"\nfolder = "{images.resolve().name}"\n'
        f'file = "{TABLE}"\n',
        encoding="utf-8",
    )
    return table, profile


def _image(images: Path, entry: Entry, names: Path) -> str:
    """Path of an entry's image, relative to `images`: as named, or without the first folders of the name."""
    parts = entry.name.split("/")
    for start in range(len(parts)):
        path = "/".join(parts[start:])
        if (images / path).is_file():
            return path
    raise UserError(
        "an image of the list is missing",
        where=names,
        line=entry.line,
        expected=str(images / entry.name),
        remedy="name with --images the folder that the list's names are relative to",
    )


def _entries(au: AuDataset, file: Path) -> list[Entry]:
    assert au.list_pattern is not None
    return [
        Entry(e.line, e.name, e.subject, e.sequence, e.frame + au.list_offset)
        for e in read_names(file, au.list_pattern, au.list_example)
    ]


def _with_lists(dataset: str) -> AuDataset:
    au = datasets.open_au(dataset, load_profile("paper", [])[0])
    if au.list_pattern is None:
        raise UserError(f"no lists of {au.title} are known", remedy="lists are known of: bp4d, disfa")
    return au
