"""RAF-DB, basic subset (Li, Deng & Du, CVPR 2017): the FE data of the paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.config.settings import Align, StandinSettings
from benchmark.data.faces import FaceSet
from benchmark.data.findings import Finding, few
from benchmark.data.known import read_known_csv
from benchmark.data.placement import size_of
from benchmark.data.sighting import Sighting
from benchmark.datasets.base import FeDataset, Progress, ReadOptions, fe_dataset
from benchmark.datasets.rafdb.layout import FOLDER, images_in, places_in, sight
from benchmark.datasets.rafdb.reader import (
    EMOTIONS,
    LABELS,
    RELATED_AUS,
    RafdbSettings,
    read_entries,
    read_rafdb,
)
from benchmark.datasets.rafdb.standin import write_rafdb

HERE = Path(__file__).parent
SAMPLE = 100
"""Number of images whose header a check reads."""


@fe_dataset("rafdb")
class Rafdb(FeDataset):
    """RAF-DB, basic subset: seven emotions, 12,271 training images."""

    title = "RAF-DB"
    folder = FOLDER
    related_aus = RELATED_AUS
    settings: Settings

    class Settings(RafdbSettings):
        """Settings of the reader."""

    def read(self, root: Path, options: ReadOptions) -> FaceSet:
        """Read the images; see `read_rafdb`."""
        return read_rafdb(
            root,
            options.images,
            settings=self.settings,
            alignment=options.alignment,
            missing=options.missing,
            faults=options.faults,
        )

    def alignment(self, wanted: Align) -> Align:
        """None for RAF-DB's aligned images, which need none."""
        return "as_is" if self.settings.source == "aligned" else wanted

    def known_classes(self) -> Mapping[str, Mapping[str, int]]:
        """Class counts of the official lists."""
        rows = read_known_csv(HERE / "known_classes.csv").to_dict("records")
        return {str(row["split"]): {name: int(row[name]) for name in EMOTIONS} for row in rows}

    def certain_split(self, split: str) -> bool:
        """Whether class counts of a split are published; for training images only their total is."""
        return split == "test"

    def label_source(self, root: Path) -> Path:
        """File of the label list."""
        places = places_in(root / FOLDER)
        return places.labels or places.classes or root / FOLDER / LABELS

    def findings(self, faces: FaceSet) -> list[Finding]:
        """Findings on images without a label line, and on images without votes."""
        home = faces.root / FOLDER
        places = places_in(home)
        folder = images_in(places, self.settings.source)
        named, files = read_entries(places, self.settings, [])
        surplus = sorted(path.name for stem, path in files.items() if stem not in named)
        findings = []
        if surplus:
            what = f"images without a label line: {few(surplus)}"
            findings.append(Finding(what, where=str(folder), severity="remark"))
        findings += self._sizes(faces)
        table = faces.table
        if "consistency" in table and (silent := table["subject"][table["consistency"].isna()].tolist()):
            findings.append(Finding(f"images without votes: {few(silent)}", where=str(home), severity="remark"))
        return findings

    def _sizes(self, faces: FaceSet) -> list[Finding]:
        """Finding on photographs among the aligned images, which have one size; on a sample of headers."""
        if self.settings.source != "aligned" or faces.origin == "stand-in" or not len(faces):
            return []
        rows = np.unique(np.linspace(0, len(faces) - 1, SAMPLE).astype(int)).tolist()
        paths = [faces.root / str(faces.table["path"].iloc[row]) for row in rows]
        sizes = Counter(size for path in paths if (size := size_of(path)) is not None)
        if len(sizes) <= 1:
            return []
        (width, height), number = sizes.most_common()[-1]
        return [
            Finding(
                f"aligned images of {len(sizes)} sizes: photographs stand among them",
                where=str(images_in(places_in(faces.root / FOLDER), "aligned")),
                expected="100 x 100 pixels, as distributed, or another size for all",
                found=f"{width} x {height} pixels, {number} of a sample of {len(rows)}",
                remedy="unpack Image/aligned.zip there; for the photographs: --set rafdb.source=original",
            )
        ]

    def recognise(self, home: Path) -> Sighting | None:
        """Parts of RAF-DB in a folder; see `sight`."""
        return sight(home)

    def write_standin(self, home: Path, settings: StandinSettings, progress: Progress) -> pd.DataFrame:
        """Write procedural faces in RAF-DB's layout; see `write_rafdb`."""
        return write_rafdb(home, settings, progress)
