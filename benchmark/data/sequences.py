"""Subjects and sequences of a copy against those of a full one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol as Interface

from benchmark.config.protocol import Protocol
from benchmark.core.errors import UserError
from benchmark.core.words import counted
from benchmark.data.faces import FaceSet
from benchmark.data.findings import Finding, few
from benchmark.data.known import Known, Range

THINNED = 0.05
"""Tolerance of the number of frames against a list that may be subsampled, as a share."""


class HasLabels(Interface):
    """Reader of single label files."""

    def coded_frames(self, root: Path, protocol: Protocol, sequence: str) -> Sequence[int] | None:
        """Labelled frames of one sequence, from its label file alone; None if there is no such file."""


def subject_of(sequence: str) -> str:
    """Subject of a sequence: `F001` of `F001/T1`."""
    return sequence.partition("/")[0]


@dataclass(frozen=True)
class Labelled:
    """Label files of the sequences that could not be read.

    Attributes:
        ranges: Labelled frames, by sequence.
        absent: Sequences without a label file.
    """

    ranges: Mapping[str, Range]
    absent: frozenset[str]

    @classmethod
    def of(cls, dataset: HasLabels, root: Path, protocol: Protocol, sequences: Iterable[str]) -> Labelled:
        """Read the label files of some sequences."""
        ranges, absent = {}, set()
        for sequence in sequences:
            with suppress(UserError):  # the reader has reported it
                frames = dataset.coded_frames(root, protocol, sequence)
                if frames is None:
                    absent.add(sequence)
                elif frames:
                    ranges[sequence] = Range.from_frames(list(frames))
        return cls(ranges, frozenset(absent))

    def unlabelled(self, known: Known) -> frozenset[str]:
        """Subjects without any label file."""
        labelled = {subject_of(s) for s in {*known.ranges, *known.counts} - self.absent}
        return known.subjects - labelled if self.absent else frozenset()


def subject_findings(faces: FaceSet, known: Known, labelled: Labelled) -> list[Finding]:
    """Findings on subjects without label files, and on those that were left out for other faults."""
    missing = known.subjects - set(faces.table["subject"])
    sequences = {*known.ranges, *known.counts}
    dropped = sorted(missing & {subject_of(s) for s in sequences - labelled.absent})
    gone = sorted(missing - set(dropped))
    findings = []
    if gone:
        files = sorted(s.replace("/", "_") for s in sequences if subject_of(s) in gone)
        why = "there is no label file of them" if files else "or nothing of them can be used"
        findings.append(
            Finding(
                f"subjects missing, {why}: {' '.join(gone)}",
                where=str(faces.root),
                expected=f"{len(known.subjects)} subjects" + (f"; label files {few(files)}" if files else ""),
                found=counted(len(known.subjects) - len(missing), "subject"),
                remedy="copy their labels and images from your dataset",
            )
        )
    if dropped:
        what = f"subjects left out, no frame of them can be used: {' '.join(dropped)}"
        remedy = "copy their missing images from your dataset, and mend the other faults of their sequences"
        findings.append(Finding(what, where=str(faces.root), remedy=remedy))
    return findings


def sequence_findings(ranges: Mapping[str, Range], labelled: Labelled, known: Known) -> list[Finding]:
    """Findings on missing sequences, and on sequences of other frames than the known ones.

    Args:
        ranges: Labelled frames of each sequence that was read.
        labelled: Label files of the others.
        known: Known contents of a full copy.
    """
    told = labelled.unlabelled(known)
    findings: list[Finding] = []
    gone: dict[str, list[str]] = defaultdict(list)
    for name, full in sorted(known.ranges.items()):
        have = ranges.get(name) or labelled.ranges.get(name)
        if have is None:
            gone[subject_of(name)].append(name.partition("/")[2])
        elif have != full:
            what = _difference(name, have, full, known.ranges)
            findings.append(Finding(f"{name}: {what}", expected=_say(full), found=_say(have), remedy=_RANGE_REMEDY))
    absent = [
        Finding(f"{subject}: sequences missing: {' '.join(tasks)}", remedy=_RANGE_REMEDY)
        for subject, tasks in sorted(gone.items())
        if subject not in told and tasks != [""]  # with one sequence a subject, the subject's finding suffices
    ]
    findings += _outside(ranges, known.numbers)
    for name, count in sorted(known.counts.items()):
        have = ranges.get(name)
        if have is not None and abs(have.frames - count) > THINNED * count:
            findings.append(
                Finding(
                    f"{name}: another number of frames than in a public list",
                    "",
                    str(count),
                    str(have.frames),
                    severity="remark",
                )
            )
    return absent + findings


def _outside(ranges: Mapping[str, Range], numbers: tuple[int, int] | None) -> list[Finding]:
    """Findings on labels of frames that no video of the dataset has."""
    if numbers is None:
        return []
    return [
        Finding(
            f"{name}: labels of frames that its video does not have, as if numbers started elsewhere",
            expected=f"frames {numbers[0]} to {numbers[1]}",
            found=_say(have),
            remedy="see which frame of the video the first label belongs to, and number the labels from 1",
        )
        for name, have in sorted(ranges.items())
        if have.first < numbers[0] or have.last > numbers[1]
    ]


_RANGE_REMEDY = "copy this sequence's labels and images from your dataset anew"


def _difference(name: str, have: Range, full: Range, ranges: Mapping[str, Range]) -> str:
    """Difference between a sequence's frames and the known ones, in words."""
    # Sequences of the same subject come first: neighbouring files are swapped most easily.
    others = sorted(ranges, key=lambda other: (other.partition("/")[0] != name.partition("/")[0], other))
    twin = next((other for other in others if other != name and ranges[other] == have), None)
    if twin is not None:
        return f"holds the frames of {twin}, as if label files were swapped or copied"
    if have.frames == full.frames and have.last - full.last == have.first - full.first:
        return f"all frames shifted by {have.first - full.first:+d}"
    if have.last < full.first or have.first > full.last:
        return "none of the known frames, but others"
    parts = []
    if have.first != full.first:
        parts.append(f"starts {abs(have.first - full.first)} frames {'late' if have.first > full.first else 'early'}")
    if have.last != full.last:
        parts.append(f"ends {abs(have.last - full.last)} frames {'early' if have.last < full.last else 'late'}")
    inside = (full.frames - have.frames) - (have.first - full.first) - (full.last - have.last)
    if inside:
        parts.append(f"{abs(inside)} frames {'missing' if inside > 0 else 'too many'} in between")
    return ", ".join(parts)


def _say(frames: Range) -> str:
    return f"{frames.frames} frames, {frames.first} to {frames.last}"
