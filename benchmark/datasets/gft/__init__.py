"""GFT (Girard et al., FG 2017): Table 3 of the paper."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from pydantic import Field

from benchmark.config.protocol import Protocol
from benchmark.config.settings import Align, StandinSettings
from benchmark.data.faces import FaceSet
from benchmark.data.findings import Finding, repeats, unlabelled
from benchmark.data.known import Known, read_known_csv, read_known_rates
from benchmark.data.sighting import Sighting
from benchmark.datasets.base import AuDataset, PrintedTable, Progress, ReadOptions, au_dataset
from benchmark.datasets.gft.layout import sight
from benchmark.datasets.gft.partition import gft_protocol
from benchmark.datasets.gft.protocol import GFT
from benchmark.datasets.gft.reader import read_gft
from benchmark.datasets.gft.settings import GftSettings
from benchmark.datasets.gft.standin import write_gft

HERE = Path(__file__).parent
FRAMES = 1800
"""Number of frames of each video: 172,800 of 96 participants (the authors' page, osf.io/7wcyz)."""


@au_dataset("gft")
class Gft(AuDataset):
    """GFT: 96 participants in groups of three, 10 AUs, the authors' split."""

    title = "GFT"
    folder = GFT.folder
    protocol = GFT
    printed = PrintedTable(HERE / "printed.csv", number=3, folds=1)
    settings: Settings

    class Settings(GftSettings):
        """Settings of the reader and the stand-in."""

        standin_frames: int = Field(default=30, ge=4, le=1800)
        """Number of coded frames of each of the stand-in's 96 participants, before gaps."""

    def protocol_at(self, root: Path) -> Protocol:
        """Protocol with the split of the copy; see `gft_protocol`."""
        return gft_protocol(root, self.protocol, self.settings)

    def read(self, root: Path, protocol: Protocol, options: ReadOptions) -> FaceSet:
        """Read the coded frames; see `read_gft`. The format of GFT's landmarks is not known here."""
        return read_gft(
            root,
            protocol,
            options.progress,
            settings=self.settings,
            alignment=options.alignment,
            missing=options.missing,
            faults=options.faults,
        )

    def alignment(self, wanted: Align) -> Align:
        """`gft.alignment`, or that of the profile."""
        return wanted if self.settings.alignment == "profile" else self.settings.alignment

    def known(self, protocol: Protocol) -> Known:
        """Frame counts and base rates of Patch-MCD's lists, which may be subsampled."""
        table = read_known_csv(HERE / "known_frames.csv")
        rates = read_known_rates(HERE / "known_rates.csv")
        return Known(
            GFT.subjects,
            numbers=(1, FRAMES),
            counts=dict(zip(table["participant"].astype(str), table["frames"].tolist(), strict=True)),
            groups={str(name): frozenset(rows["participant"]) for name, rows in table.groupby("list")},
            rates={
                group: {au: rate for au, rate in group_rates.items() if au in protocol.au_names}
                for group, group_rates in rates.items()
            },
            tolerance=2.0,
            certain=False,
        )

    def findings(self, root: Path, protocol: Protocol, sequences: Iterable[str]) -> list[Finding]:
        """Findings on annotation files with equal content, and on folders of images without annotations."""
        home = root / self.folder
        files = sorted(f for f in (home / self.settings.annotations).glob("*.csv") if not f.name.startswith("."))
        images = home / self.settings.images
        folders = {p.name for p in images.glob("[0-9][0-9][0-9][ABC]") if p.is_dir()}
        named = set(sequences) | {f.name[:4] for f in files}
        return [*repeats({f: [f] for f in files}), *unlabelled(sorted(folders - named), images)]

    def recognise(self, home: Path) -> Sighting | None:
        """Parts of GFT in a folder; see `sight`."""
        return sight(home, self.settings)

    def write_standin(self, home: Path, settings: StandinSettings, progress: Progress) -> pd.DataFrame:
        """Write procedural faces in the layout of the reader; see `write_gft`."""
        return write_gft(home, settings.size, self.settings.standin_frames, settings.seed, progress, settings.renderer)
