"""BP4D (Zhang et al., Image and Vision Computing 2014): Table 1 and Figure 3 of the paper."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.config.protocol import Protocol
from benchmark.config.settings import StandinSettings
from benchmark.data.faces import FaceSet
from benchmark.data.findings import Finding, repeats, unlabelled
from benchmark.data.known import Known, Range, groups_of_parts, read_known_csv, read_known_rates
from benchmark.data.sighting import Sighting
from benchmark.datasets.base import AuDataset, DatasetSettings, PrintedTable, Progress, ReadOptions, au_dataset
from benchmark.datasets.bp4d.layout import places_of, sight
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.datasets.bp4d.reader import coding_files, read_bp4d, read_coding
from benchmark.datasets.bp4d.selection import (
    ALL,
    JAA,
    Frames,
    Listed,
    Selection,
    WithoutGaps,
    read_frame_list,
    read_gaps,
)
from benchmark.datasets.bp4d.standin import write_bp4d

HERE = Path(__file__).parent
IMAGE_SIZE = (1040, 1392)
"""Width and height of the distributed images (github.com/wiibrew/EAC-Net normalises landmarks by them)."""


@au_dataset("bp4d")
class Bp4d(AuDataset):
    """BP4D: 41 subjects in 8 tasks, 12 AUs, three parts by subject."""

    title = "BP4D"
    folder = BP4D.folder
    protocol = BP4D
    printed = PrintedTable(HERE / "printed.csv", number=1, folds=3)
    curves = "Figure 3"
    list_pattern = re.compile(r"(?P<subject>[FM]\d{3})[/_](?P<task>T\d)[/_]0*(?P<frame>\d+)\.", re.ASCII)
    list_example = "F001/T1/2440.jpg"
    people = MappingProxyType({"women": re.compile(r"F\d{3}", re.ASCII), "men": re.compile(r"M\d{3}", re.ASCII)})
    tracked = True
    known_lists = HERE / "known_lists.csv"
    settings: Settings

    class Settings(DatasetSettings):
        """Choice of frames."""

        frames: str = "all"
        """`all` coded frames; `jaa`: those of JAA-Net's lists, which lack 271; or a file with one frame a line,
        `F001/T1/2440.jpg`, relative to the data root."""

    def read(self, root: Path, protocol: Protocol, options: ReadOptions) -> FaceSet:
        """Read the coded frames; see `read_bp4d`."""
        return read_bp4d(
            root,
            protocol,
            options.progress,
            alignment=options.alignment,
            missing=options.missing,
            selection=self._selection(root),
            faults=options.faults,
        )

    def _selection(self, root: Path) -> Selection | None:
        if self.settings.frames == ALL:
            return None
        return (
            WithoutGaps(self._gaps())
            if self.settings.frames == JAA
            else Listed(read_frame_list(root / self.settings.frames))
        )

    def _gaps(self) -> Frames:
        return read_gaps(HERE / "known_jaa_gaps.csv") if self.settings.frames == JAA else {}

    def known(self, protocol: Protocol) -> Known:
        """Ranges and base rates of the lists published with MDHR, without the frames that the settings leave out."""
        if self.settings.frames not in {ALL, JAA}:  # what a list of the user holds is not known
            return Known(protocol.subjects, image_size=IMAGE_SIZE)
        gaps = self._gaps()
        ranges = {}
        for row in read_known_csv(HERE / "known_ranges.csv").to_dict("records"):
            name = f"{row['subject']}/{row['task']}"
            kept = set(range(row["first"], row["last"] + 1)) - gaps.get(name, frozenset())
            ranges[name] = Range.from_frames(sorted(kept))
        # The rates are over all frames: 271 frames fewer move none of them by more than half a point.
        tolerance = 1.0 if gaps else 0.5
        return Known(
            protocol.subjects,
            ranges,
            groups=groups_of_parts(protocol),
            rates=read_known_rates(HERE / "known_rates.csv"),
            tolerance=tolerance,
            image_size=IMAGE_SIZE,
        )

    def is_read(self, truth: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Whether `bp4d.frames` keeps each row, (N,)."""
        gaps, sequences = self._gaps(), self.sequences_of(truth)
        kept = [f not in gaps.get(s, ()) for s, f in zip(sequences, truth["frame"], strict=True)]
        return np.array(kept, dtype=bool)

    def coded_frames(self, root: Path, protocol: Protocol, sequence: str) -> Sequence[int] | None:
        """Frames of one coding file."""
        file = (places_of(root).coding or root / self.folder) / f"{sequence.replace('/', '_')}.csv"
        return read_coding(file, protocol.aus).frames if file.is_file() else None

    def findings(self, root: Path, protocol: Protocol, sequences: Iterable[str]) -> list[Finding]:
        """Coding files with equal content, and folders of images without a coding file."""
        places = places_of(root)
        files = coding_files(places)
        images = places.images or places.home
        folders = {f"{p.parent.name}/{p.name}" for p in images.glob("[FM][0-9][0-9][0-9]/T*") if p.is_dir()}
        named = set(sequences) | {f.stem.replace("_", "/") for f in files}
        return [*repeats({f: [f] for f in files}), *unlabelled(sorted(folders - named), images)]

    def recognise(self, home: Path) -> Sighting | None:
        """Parts of BP4D in a folder; see `sight`."""
        return sight(home)

    def write_standin(self, home: Path, settings: StandinSettings, progress: Progress) -> pd.DataFrame:
        """Write procedural faces in BP4D's layout; see `write_bp4d`."""
        return write_bp4d(home, settings, progress)
