"""Check of a copy of the data against a full copy: every missing and surplus item, by name.

The check reads file names, labels, landmarks and headers of images; `benchmark.data.motion` looks at some frames. It
detects two swapped label files by their ranges of frames, unless the ranges are equal (in BP4D: T1 and T2 of M016). It
does not detect two swapped videos.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol as Interface

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.config.protocol import Protocol
from benchmark.core.errors import UserError
from benchmark.data.faces import UNKNOWN, FaceSet
from benchmark.data.findings import Finding, Line, Report, few, of_error
from benchmark.data.known import Known, Range, known_classes_of_standin, known_of_standin
from benchmark.data.placement import in_place, out_of_place, size_of
from benchmark.data.sequences import Labelled, sequence_findings, subject_findings, subject_of

SAMPLE = 200
"""Number of images whose header a check reads."""


class CheckedAu(Interface):
    """Methods of an AU dataset that its check needs (`benchmark.datasets.base.AuDataset`)."""

    def known(self, protocol: Protocol) -> Known:
        """Known contents of a full copy."""

    def coded_frames(self, root: Path, protocol: Protocol, sequence: str) -> Sequence[int] | None:
        """Labelled frames of one sequence, from its label file alone."""

    def findings(self, root: Path, protocol: Protocol, sequences: Iterable[str]) -> list[Finding]:
        """Findings that only this dataset has."""

    def sequences_of(self, truth: pd.DataFrame) -> pd.Series:
        """Sequence of each row of a stand-in's ground truth."""

    def is_read(self, truth: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Whether the settings keep each row of a stand-in's ground truth."""


class CheckedFe(Interface):
    """Methods of an FE dataset that its check needs (`benchmark.datasets.base.FeDataset`)."""

    title: str

    def known_classes(self) -> Mapping[str, Mapping[str, int]]:
        """Images of each label in each split of a full copy."""

    def certain_split(self, split: str) -> bool:
        """Whether class counts of a split are published."""

    def label_source(self, root: Path) -> Path:
        """The file or folder that holds the labels."""

    def findings(self, faces: FaceSet) -> list[Finding]:
        """Findings that only this dataset has."""


def check_au(faces: FaceSet, dataset: CheckedAu, protocol: Protocol, faults: Sequence[UserError] = ()) -> Report:
    """Check the frames of an AU dataset.

    Args:
        faces: Frames that the reader could use.
        dataset: The dataset.
        protocol: Its protocol at the data root.
        faults: Faults that the reader collected.

    Raises:
        UserError: The ground truth of a stand-in cannot be read.
    """
    if faces.origin == "stand-in":
        known = known_of_standin(faces.root, protocol, dataset.sequences_of, dataset.is_read)
    else:
        known = dataset.known(protocol)
    ranges = _ranges_of(faces)
    unread = sorted((known.ranges.keys() | known.counts.keys()) - ranges.keys())
    # Label files are compared even where the images of their sequence are unusable.
    labelled = Labelled.of(dataset, faces.root, protocol, unread)
    rates, off = _rates(faces, known, ranges)
    findings = [
        *map(of_error, faults),
        *subject_findings(faces, known, labelled),
        *off,
        *sequence_findings(ranges, labelled, known),
        *dataset.findings(faces.root, protocol, ranges.keys() | labelled.ranges.keys()),
        *places(faces, known),
    ]
    lines = [
        Line("subjects", str(faces.table["subject"].nunique()), str(len(known.subjects))),
        Line("sequences", str(len(ranges)), str(len(known.ranges) or protocol.sequences)),
        *_frame_lines(faces, protocol, known),
        *rates,
    ]
    return Report(tuple(lines), tuple(findings))


def check_fe(faces: FaceSet, dataset: CheckedFe, faults: Sequence[UserError] = ()) -> Report:
    """Check the images of an FE dataset.

    Args:
        faces: Images that the reader could use.
        dataset: The dataset.
        faults: Faults that the reader collected.

    Raises:
        UserError: The ground truth of a stand-in cannot be read.
    """
    standin = faces.origin == "stand-in"
    known = known_classes_of_standin(faces.root, faces.dataset) if standin else dataset.known_classes()
    lines, findings = [], [*map(of_error, faults)]
    for split in sorted(set(faces.table["sequence"])):
        codes = faces.labels[(faces.table["sequence"] == split).to_numpy()]
        counts = {name: int((codes == code).sum()) for code, name in enumerate(faces.label_names)}
        full = known.get(split, {})
        total = str(sum(full.values())) if full else "?"
        lines.append(Line(f"{split} images", str(len(codes)), total))
        lines += [Line(f"{split} {name}", str(counts[name]), str(full.get(name, "?"))) for name in faces.label_names]
        wrong = [f"{name} {counts[name]} for {full[name]}" for name in full if counts.get(name) != full[name]]
        moved = _moved_classes(counts, full)
        if moved:
            findings.append(
                Finding(
                    f"{dataset.title} {split}: classes changed places: {moved}",
                    where=str(dataset.label_source(faces.root)),
                    expected="class folders 1 to 7 or codes in the order " + ", ".join(faces.label_names),
                    remedy="give each class its own images again: look at some of each class",
                )
            )
        elif wrong:
            certain = standin or dataset.certain_split(split) or len(codes) != sum(full.values())
            findings.append(
                Finding(
                    f"{dataset.title} {split}: class counts differ: {few(wrong)}",
                    where=str(dataset.label_source(faces.root)),
                    expected=f"{total} images",
                    found=f"{len(codes)} images",
                    remedy=f"copy the labels of {dataset.title} anew",
                    severity="fault" if certain else "remark",
                )
            )
    return Report(tuple(lines), (*findings, *dataset.findings(faces), *places(faces)))


def _moved_classes(counts: Mapping[str, int], full: Mapping[str, int]) -> str:
    """Classes that have the known number of images of another class, in words; "" unless all counts are explained."""
    class_of = {number: name for name, number in full.items()}
    if len(class_of) < len(full) or sorted(counts.values()) != sorted(full.values()):
        return ""
    moved = [(name, class_of[counts[name]]) for name in full if counts[name] != full[name]]
    words = [
        f"{name} has the images of {other}" if not i else f"{name} those of {other}"
        for i, (name, other) in enumerate(moved)
    ]
    return ", ".join(words)


def _ranges_of(faces: FaceSet) -> dict[str, Range]:
    """Coded frames of each sequence, including those without landmarks."""
    rows = faces.table[["sequence", "frame"]]
    if faces.left_out is not None:
        rows = pd.concat([rows, faces.left_out[["sequence", "frame"]]])
    frames = rows.groupby("sequence")["frame"].agg(["min", "max", "size"])
    return {str(s): Range(int(r["min"]), int(r["max"]), int(r["size"])) for s, r in frames.iterrows()}


def _frame_lines(faces: FaceSet, protocol: Protocol, known: Known) -> list[Line]:
    owner = {name: subject_of(name) for name in known.ranges}
    out = faces.left_out
    lines = []
    for group, subjects in {"all": protocol.subjects, **{p: frozenset(s) for p, s in protocol.parts.items()}}.items():
        inside = int(faces.table["subject"].isin(subjects).sum())
        lost = 0 if out is None else int(out["subject"].isin(subjects).sum())
        full = sum(r.frames for name, r in known.ranges.items() if owner[name] in subjects)
        total = f"{full:,}" if known.ranges else f"about {protocol.frames:,}" if group == "all" else "?"
        counted = f"{inside:,}" + (f" and {lost:,} without landmarks near, or an image" if lost else "")
        lines.append(Line("frames" if group == "all" else f"frames of {group}", counted, total))
    return lines


def _without_label(aus: Sequence[str]) -> Finding:
    return Finding(
        f"AUs without any known label: {' '.join(aus)}",
        expected="0 or 1 in some frames of each AU",
        found="unknown (9), or an empty cell, in every frame",
        remedy="copy the label files from your dataset anew; to train without them: --allow-incomplete",
    )


def _rates(faces: FaceSet, known: Known, ranges: Mapping[str, Range]) -> tuple[list[Line], list[Finding]]:
    lines: list[Line] = []
    silent = [
        au for au, known_ in zip(faces.label_names, (faces.labels != UNKNOWN).any(axis=0), strict=True) if not known_
    ]
    findings = [_without_label(silent)] if silent else []
    whole = all(ranges.get(name) == full for name, full in known.ranges.items())
    for group, subjects in known.groups.items():
        rows = faces.table["subject"].isin(subjects).to_numpy()
        wrong = []
        for au, column in zip(faces.label_names, faces.labels[rows].T, strict=True):
            full = known.rates.get(group, {}).get(au)
            sure = column[column != UNKNOWN]
            if full is None or not len(sure):
                continue
            rate = 100 * float(np.mean(sure == 1))
            name = au if group == "all" else f"{au} of {group}"
            lines.append(Line(f"{name} active", f"{rate:.1f} %, {len(column) - len(sure):,} unknown", f"{full:.1f} %"))
            if abs(rate - full) > known.tolerance:
                wrong.append(f"{au} {rate:.1f} % for {full:.1f} %")
        # The known rates hold for the full dataset only.
        if wrong and whole:
            findings.append(
                Finding(
                    f"AUs occur more or less often than known ({group}): {few(wrong)}",
                    expected=f"within {known.tolerance:.1f} percentage points",
                    remedy="look for columns or files that changed places, and for intensities taken for occurrences",
                    severity="fault" if known.certain else "remark",
                )
            )
    if known.rates and not whole:
        lines.append(Line("rates of AUs", "not judged, frames differ", ""))
    return lines, findings


def places(faces: FaceSet, known: Known | None = None) -> list[Finding]:
    """Findings on landmarks that do not lie in their images, on a sample of image headers.

    Args:
        faces: The faces.
        known: Known contents of a full copy, with the size of its images.
    """
    if faces.points is None or not len(faces):
        return []
    rows = np.unique(np.linspace(0, len(faces) - 1, SAMPLE).astype(int)).tolist()
    sizes = {row: size_of(faces.root / str(faces.table["path"].iloc[row])) for row in rows}
    outside = [row for row, size in sizes.items() if size is not None and not in_place(faces.points[[row]], size)[0]]
    findings = []
    if outside:
        path, size = faces.root / str(faces.table["path"].iloc[outside[0]]), sizes[outside[0]]
        assert size is not None
        findings.append(of_error(out_of_place(path, size, faces.points[outside], len(rows))))
    wanted = None if known is None or faces.origin == "stand-in" else known.image_size
    others = [row for row, size in sizes.items() if wanted is not None and size not in {None, wanted}]
    if others and wanted is not None:
        path, size = faces.root / str(faces.table["path"].iloc[others[0]]), sizes[others[0]]
        findings.append(
            Finding(
                f"images of another size than the dataset's, beside its landmarks: {len(others)} of a sample of"
                f" {len(rows)}",
                where=str(path),
                expected=f"{wanted[0]} x {wanted[1]} pixels, to which the landmarks belong",
                found="unknown" if size is None else f"{size[0]} x {size[1]} pixels",
                remedy="bring the images as distributed; for crops that are ready: --set data.alignment=as_is",
            )
        )
    return findings
