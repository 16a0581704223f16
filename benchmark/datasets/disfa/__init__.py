"""DISFA (Mavadati et al., IEEE Transactions on Affective Computing 2013): Table 2 and Figure 4 of the paper."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from benchmark.config.protocol import Protocol
from benchmark.config.settings import StandinSettings, StartSettings
from benchmark.core.hashing import digest_of_file
from benchmark.data.faces import FaceSet
from benchmark.data.findings import Finding, repeats
from benchmark.data.known import Known, Range, groups_of_parts, read_known_rates
from benchmark.data.places import at, undoubled
from benchmark.data.sighting import Sighting
from benchmark.datasets.base import AuDataset, PrintedTable, Progress, ReadOptions, Start, au_dataset
from benchmark.datasets.disfa.labels import LABELS, read_labels
from benchmark.datasets.disfa.layout import sight
from benchmark.datasets.disfa.protocol import DISFA
from benchmark.datasets.disfa.reader import JAA_BAD_FRAMES, read_disfa
from benchmark.datasets.disfa.settings import DisfaSettings
from benchmark.datasets.disfa.standin import write_disfa

HERE = Path(__file__).parent
FRAMES = 4845
"""Number of labelled frames of a subject."""
SHORTER = {"SN010": 4844}
"""Number of labelled frames of the shorter subjects, as in the lists of ME-GraphAU."""


@au_dataset("disfa")
class Disfa(AuDataset):
    """DISFA: 27 subjects, one video each, 8 AUs, three parts by subject."""

    title = "DISFA"
    folder = DISFA.folder
    protocol = DISFA
    printed = PrintedTable(HERE / "printed.csv", number=2, folds=3)
    curves = "Figure 4"
    list_pattern = re.compile(r"(?P<subject>SN\d{3})(?:_comp)?/(?:.*_)?0*(?P<frame>\d+)\.", re.ASCII)
    list_example = "SN001/0012.png"
    list_offset = 1  # images on public lists count from 0
    tracked = True
    known_lists = HERE / "known_lists.csv"
    settings: Settings

    class Settings(DisfaSettings):
        """Settings of the reader, the starting model and the stand-in."""

        start: StartSettings = StartSettings()
        """Training on BP4D whose backbone initialises all backbones (§4.1.1, A14)."""
        standin_frames: int = Field(default=100, ge=4, le=FRAMES)
        """Number of frames of each of the stand-in's 27 videos."""

    @property
    def start(self) -> Start | None:
        """BP4D, unless `disfa.start.method` is empty."""
        return Start("bp4d", self.settings.start) if self.settings.start.method else None

    def read(self, root: Path, protocol: Protocol, options: ReadOptions) -> FaceSet:
        """Read the labelled frames; see `read_disfa`."""
        return read_disfa(
            root,
            protocol,
            options.progress,
            settings=self.settings,
            alignment=options.alignment,
            missing=options.missing,
            faults=options.faults,
        )

    def known(self, protocol: Protocol) -> Known:
        """Ranges and base rates of public lists; the rates are over all frames."""
        ranges = {}
        for subject in protocol.subjects:
            frames = range(1, SHORTER.get(subject, FRAMES) + 1)
            ranges[subject] = Range.from_frames([frame for frame in frames if self._is_kept(subject, frame)])
        rates = read_known_rates(HERE / "known_rates.csv") if self.settings.frames == "all" else {}
        return Known(protocol.subjects, ranges, groups=groups_of_parts(protocol), rates=rates)

    def coded_frames(self, root: Path, protocol: Protocol, sequence: str) -> Sequence[int] | None:
        """Frame numbers in one subject's label files."""
        folder = self._labels(root) / sequence
        return read_labels(folder, sequence, protocol.aus).frames if folder.is_dir() else None

    def findings(self, root: Path, protocol: Protocol, sequences: Iterable[str]) -> list[Finding]:
        """Findings on videos of the wrong camera, repeated videos, and label files with equal content."""
        home, labels = undoubled(root / self.folder), self._labels(root)
        folders = sorted(p for p in labels.iterdir() if p.is_dir())
        return _videos(home) + repeats({f: sorted(f.glob("*.txt")) for f in folders})

    def is_read(self, truth: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Whether `disfa.frames` keeps each row, (N,)."""
        return np.array(
            [self._is_kept(s, f) for s, f in zip(truth["subject"], truth["frame"], strict=True)], dtype=bool
        )

    def recognise(self, home: Path) -> Sighting | None:
        """Parts of DISFA in a folder; see `sight`."""
        return sight(home)

    def write_standin(self, home: Path, settings: StandinSettings, progress: Progress) -> pd.DataFrame:
        """Write videos of procedural faces in DISFA's layout; see `write_disfa`."""
        return write_disfa(
            home, settings.size, self.settings.standin_frames, settings.seed, progress, settings.renderer
        )

    def _labels(self, root: Path) -> Path:
        home = undoubled(root / self.folder)
        return at(home, LABELS) or home / LABELS

    def _is_kept(self, subject: str, frame: int) -> bool:
        bad = JAA_BAD_FRAMES.get(subject, ()) if self.settings.frames == "jaa_clean" else ()
        return not any(first <= frame - 1 <= last for first, last in bad)


def _videos(home: Path) -> list[Finding]:
    """Findings on videos in the folder of the other camera, and on subjects with the same video for both cameras."""
    findings = []
    videos: dict[str, dict[str, Path]] = {"left": {}, "right": {}}
    for folder in sorted(p for p in home.iterdir() if p.is_dir()):
        place = re.fullmatch(r"videos?_(left|right)camera", folder.name, re.IGNORECASE)
        for video in sorted(folder.glob("*.avi")) if place is not None else ():
            name = re.match(r"(left|right)video(SN\d{3})", video.name, re.IGNORECASE)
            if name is None or place is None:
                continue
            if name[1].lower() != place[1].lower():
                what = f"a video of the {name[1].lower()} camera stands among those of the {place[1].lower()} one"
                findings.append(Finding(what, where=str(video), remedy="copy the videos of this camera anew"))
            videos[place[1].lower()][name[2].upper()] = video
    for subject in sorted(videos["left"].keys() & videos["right"].keys()):
        left, right = videos["left"][subject], videos["right"][subject]
        if left.stat().st_size == right.stat().st_size and digest_of_file(left) == digest_of_file(right):
            what = f"{subject} has one and the same video for both cameras"
            findings.append(Finding(what, where=str(left), remedy="copy both videos of this subject anew"))
    return findings
