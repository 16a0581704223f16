"""AU dataset without code: a profile declares it, and one CSV file holds its labels.

    [datasets.mydata]
    reader = "csv"
    folder = "MyData"     # below the data root
    file = "labels.csv"   # below the folder

The file has one row an image::

    path,subject,sequence,frame,AU1,AU2,AU12
    images/S01/smile/0001.jpg,S01,smile,1,0,0,1

Columns may have any order. `sequence` and `frame` are optional. A column `part` names the test part of each subject;
without it, the parts are drawn at random. AU cells are 0 or 1; an empty cell, 9, -1 and nan mean unknown. The columns
`benchmark.data.align.POINT_COLUMNS` hold landmarks.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from benchmark.config.protocol import Protocol
from benchmark.config.settings import StandinSettings
from benchmark.core.errors import UserError
from benchmark.data.align import POINT_COLUMNS, Points, believed
from benchmark.data.faces import FaceSet
from benchmark.data.files import Rows
from benchmark.data.sampling import generator
from benchmark.datasets.au_table import AuTable, Frame, read_au_table
from benchmark.datasets.base import AuDataset, Progress, ReadOptions, au_dataset
from benchmark.datasets.declared import Declared, DeclaredSettings, count, origin_of
from benchmark.datasets.folds import draw_folds
from benchmark.datasets.tables import BelowRoot
from benchmark.standin.frames import draw_people, occurrences

STANDIN_AUS = (1, 2, 4, 6, 12, 25)
"""AUs of the stand-in."""
_EMPTY_SHARE = 0.02
"""Share of empty cells in the stand-in, as tests of unknown labels and missing landmarks."""


@au_dataset("csv", reader=True)
class Csv(Declared, AuDataset):
    """AU dataset with labels in one CSV file, and test parts from the file or drawn at random."""

    settings: Settings

    class Settings(DeclaredSettings):
        """Settings of a declared dataset."""

        file: BelowRoot = "labels.csv"
        """CSV file with the labels, relative to `folder`."""
        active_from: float | None = Field(default=None, gt=0, lt=9)
        """Minimum intensity that counts as active, if cells hold intensities."""
        folds: int = Field(default=3, ge=2, le=100)
        """Number of test parts to draw by subject, if the file has no column `part`."""
        fold_seed: int = Field(default=0, ge=0, lt=2**63)
        """Seed of the drawn parts."""
        train_only: str = "train"
        """Value of the column `part` for subjects that no part tests."""

    @property
    def protocol(self) -> Protocol:  # type: ignore[override]  # a copy's protocol depends on its file
        """Protocol of the stand-in."""
        everyone = self._standin_subjects()
        return self._protocol(STANDIN_AUS, self._drawn(everyone), (), 0, 2 * len(everyone))

    def protocol_at(self, root: Path) -> Protocol:
        """Protocol with the AUs, subjects and parts of the file.

        Raises:
            UserError: The file is missing or its header is wrong, a subject stands in two parts, no part is tested, or
                there are fewer subjects than parts.
        """
        return self._protocol_of(self._table(root))

    def read(self, root: Path, protocol: Protocol, options: ReadOptions) -> FaceSet:
        """Read the rows of the file.

        Raises:
            UserError: The file, one of its cells, or an image is missing or wrong.
        """
        table, before = self._table(root), count(options.faults)
        frames = table.frames(root / self.folder, options.faults)
        points = None
        if options.alignment == "landmarks" and table.landmarks:
            marks = {i: frame.points for i, frame in enumerate(frames) if frame.points is not None}
            points = believed(marks, table.table.file, ", ".join(POINT_COLUMNS))
        rows, done = Rows(), 0
        for sequence, members in groupby(range(len(frames)), key=lambda i: frames[i].sequence):
            indices = list(members)
            _add(
                rows,
                root,
                sequence,
                [frames[i] for i in indices],
                None if points is None else [points.get(i) for i in indices],
            )
            done += len(indices)
            if options.progress is not None:
                options.progress(done, len(frames))
        if not rows.frames:
            raise UserError(
                "no row of the AU table can be used",
                where=table.table.file,
                expected="rows with an image" + (" and landmarks" if rows.coded else ""),
                found=f"{len(table.table.rows)} rows",
                remedy="correct the rows"
                + ("; or take images as they are: --set data.alignment=as_is" * bool(rows.coded)),
            )
        faces = rows.face_set(self.name, root, protocol.au_names)
        origin, kind = origin_of(root, faces.table, count(options.faults) - before)
        size = f"{len(faces):,} frames of {faces.table['subject'].nunique()} subjects"
        note = f"{kind}{size} from {self.folder}/{self.settings.file}; {self._parts_note(table)}; {rows.alignment}"
        return replace(faces, origin=origin, note=note)

    def write_standin(self, home: Path, settings: StandinSettings, progress: Progress) -> pd.DataFrame:
        """Write procedural faces and their table."""

        def path_of(subject: str, sequence: str, frame: int) -> str:
            return f"{self.folder}/images/{subject}/{sequence}/{frame:04d}.jpg"

        everyone = self._standin_subjects()
        truth = draw_people(home, settings, self.name, everyone, STANDIN_AUS, path_of, progress=progress)
        active = 1 if self.settings.active_from is None else self.settings.active_from
        labels = (occurrences(truth, STANDIN_AUS) * active).astype(object)
        rng = generator(settings.seed, self.name, "cells")
        labels[rng.random(labels.shape) < _EMPTY_SHARE] = ""
        points = truth[list(POINT_COLUMNS)].round(2).astype(object)
        # The first frame of a sequence keeps its landmarks, so that other frames can borrow them.
        points[(rng.random(len(points)) < _EMPTY_SHARE) & (truth["frame"] > 1)] = ""
        names = truth[["subject", "sequence", "frame"]]
        paths = truth["path"].str.removeprefix(f"{self.folder}/")
        file = home / self.folder / self.settings.file
        file.parent.mkdir(parents=True, exist_ok=True)
        pd.concat([paths, names, labels, points], axis=1).to_csv(file, index=False, lineterminator="\n")
        return truth

    def _standin_subjects(self) -> list[str]:
        # Confidence intervals need at least two subjects a part.
        return [f"S{k:02d}" for k in range(1, max(12, 2 * self.settings.folds) + 1)]

    def _table(self, root: Path) -> AuTable:
        return read_au_table(root / self.folder / self.settings.file, self.settings.active_from)

    def _drawn(self, subjects: list[str]) -> dict[str, tuple[str, ...]]:
        return draw_folds(subjects, self.settings.folds, self.settings.fold_seed)

    def _protocol_of(self, table: AuTable) -> Protocol:
        subjects = sorted(table.subjects())
        part_of = table.parts()
        frames, sequences = len(table.table.rows), len(table.sequences())
        if part_of is None:
            return self._protocol(table.aus, self._drawn(subjects), (), frames, sequences)
        members: dict[str, list[str]] = defaultdict(list)
        for subject in subjects:
            members[part_of[subject]].append(subject)
        train_only = tuple(members.pop(self.settings.train_only, ()))
        if not members:
            raise UserError(
                "no part is tested",
                where=table.table.file,
                expected=f"a value other than '{self.settings.train_only}' in the column part",
                found=f"{len(subjects)} subjects of '{self.settings.train_only}'",
                remedy="name the parts in the column, or take it out to have parts drawn",
            )
        parts = {name: tuple(members[name]) for name in sorted(members)}
        return self._protocol(table.aus, parts, train_only, frames, sequences)

    def _protocol(
        self,
        aus: tuple[int, ...],
        parts: dict[str, tuple[str, ...]],
        train_only: tuple[str, ...],
        frames: int,
        sequences: int,
    ) -> Protocol:
        return Protocol(
            dataset=self.name,
            folder=self.folder,
            aus=aus,
            parts=parts,
            train_only=train_only,
            frames=frames,
            sequences=sequences,
        )

    def _parts_note(self, table: AuTable) -> str:
        if table.table.place("part") is not None:
            return "parts of the file"
        return f"{self.settings.folds} folds drawn with seed {self.settings.fold_seed}"


def _add(rows: Rows, root: Path, sequence: str, members: list[Frame], points: list[Points | None] | None) -> None:
    """Add one sequence; its frames get numbers from their order if the file has none.

    Args:
        rows: Builder of the face set.
        root: The data root.
        sequence: Name of the sequence.
        members: Frames of the sequence.
        points: Landmarks of each frame; None: no alignment.
    """
    numbers = [k if frame.frame is None else frame.frame for k, frame in enumerate(members, start=1)]
    landmarks = None if points is None else {n: p for n, p in zip(numbers, points, strict=True) if p is not None}
    codes = np.array([frame.codes for frame in members], dtype=np.int8)
    rows.add(root, [frame.path for frame in members], members[0].subject, sequence, numbers, codes, landmarks)
