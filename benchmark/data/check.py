"""What was found in a copy of the data against what is known of a full one: every missing and surplus item, by name.

Only files' names, labels and landmarks are looked at; images are read when they are packed. Two label files that were
swapped are told by their ranges of frames, so not where two sequences have one and the same range (in BP4D: T1 and T2
of M016), and two videos that were swapped are not told at all.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
import pandas as pd

from benchmark.config.profile import Profile
from benchmark.config.protocol import EMOTIONS, Protocol
from benchmark.core.errors import UserError
from benchmark.data.faces import UNKNOWN, FaceSet
from benchmark.data.known import Known, Range, known_classes, known_of
from benchmark.datasets.bp4d import reader as bp4d
from benchmark.datasets.disfa import reader as disfa
from benchmark.datasets.rafdb import reader as rafdb

FEW = 12
"""Items that a line names before it only counts."""
REPEATS_FROM = 5
"""Coded frames from which two equal label files are a copy of one, and no chance."""
THINNED = 0.05
"""Share by which a number of frames may differ from that of a list that somebody may have thinned out."""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        what: A sentence that names the items.
        where: File, with line, or what to look at.
        expected: What a full copy has.
        found: What this one has.
        remedy: What to do.
        severity: A `fault` makes the data incomplete or damaged; a `remark` may be the source's doing.
    """

    what: str
    where: str = ""
    expected: str = ""
    found: str = ""
    remedy: str = ""
    severity: Literal["fault", "remark"] = "fault"


@dataclass(frozen=True)
class Line:
    """One line of the table of what was found and what is known."""

    name: str
    found: str
    known: str


@dataclass(frozen=True)
class Report:
    """The outcome of a check."""

    lines: tuple[Line, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def faults(self) -> tuple[Finding, ...]:
        """Findings for which data are refused."""
        return tuple(each for each in self.findings if each.severity == "fault")

    def __add__(self, other: Report) -> Report:
        return Report(self.lines + other.lines, self.findings + other.findings)


def check_au(faces: FaceSet, protocol: Protocol, profile: Profile, faults: Sequence[UserError] = ()) -> Report:
    """Check the frames of an AU dataset.

    Args:
        faces: What the reader could use.
        protocol: Of the dataset, as the data root has it.
        profile: The settings that it was read with.
        faults: What the reader could not use.
    """
    standin = faces.root if faces.origin == "stand-in" else None
    known = known_of(protocol, profile, standin)
    side = _SIDES[protocol.dataset]
    found = _found(faces)
    unread = sorted((known.ranges.keys() | known.counts.keys()) - found.keys())
    # The labels of a sequence whose images are wrong still tell whose they are.
    coded = {s: r for s in unread if (r := _quietly(side.coded, faces.root, protocol, profile, s)) is not None}
    rates, off = _rates(faces, known, found)
    findings = [
        *map(_of_error, faults),
        *_subjects(faces, known),
        *off,
        *_sequences(found, coded, known),
        *side.more(faces.root, protocol, profile, found.keys() | coded.keys()),
    ]
    lines = [
        Line("subjects", str(faces.table["subject"].nunique()), str(len(known.subjects))),
        Line("sequences", str(len(found)), str(len(known.ranges) or protocol.sequences)),
        *_frame_lines(faces, protocol, known),
        *rates,
    ]
    return Report(tuple(lines), tuple(findings))


def check_fe(faces: FaceSet, profile: Profile, faults: Sequence[UserError] = ()) -> Report:
    """Check the images of RAF-DB; arguments as for `check_au`."""
    standin = faces.root if faces.origin == "stand-in" else None
    known = known_classes(standin)
    lines, findings = [], [*map(_of_error, faults)]
    for split in sorted(set(faces.table["sequence"])):
        codes = faces.labels[(faces.table["sequence"] == split).to_numpy()]
        counts = {name: int((codes == code).sum()) for code, name in enumerate(EMOTIONS)}
        full = known.get(split, {})
        total = str(sum(full.values())) if full else "?"
        lines.append(Line(f"{split} images", str(len(codes)), total))
        lines += [Line(f"{split} {name}", str(counts[name]), str(full.get(name, "?"))) for name in EMOTIONS]
        wrong = [f"{name} {counts[name]} for {full[name]}" for name in full if counts[name] != full[name]]
        if wrong:
            # Of the official training images only their number is published.
            certain = standin is not None or split == "test" or len(codes) != sum(full.values())
            findings.append(
                Finding(
                    f"RAF-DB {split}: class counts differ: {_few(wrong)}",
                    where=str(faces.root / rafdb.FOLDER / rafdb.LABELS),
                    expected=f"{total} images",
                    found=f"{len(codes)} images",
                    remedy="copy the label list from RAF-DB anew",
                    severity="fault" if certain else "remark",
                )
            )
    home = faces.root / rafdb.FOLDER
    folder, suffix = rafdb.images_of(profile.rafdb)
    named = {f"{stem}{suffix}" for stem in rafdb.read_list(home / rafdb.LABELS, [])}
    surplus = sorted(p.name for p in (home / folder).glob("*.jpg") if p.name not in named and p.name[0] != ".")
    if surplus:
        findings.append(
            Finding(f"images without a label line: {_few(surplus)}", where=str(home / folder), severity="remark")
        )
    if "consistency" in faces.table and (silent := faces.table["subject"][faces.table["consistency"].isna()].tolist()):
        findings.append(Finding(f"images without votes: {_few(silent)}", where=str(home), severity="remark"))
    return Report(tuple(lines), tuple(findings))


def _found(faces: FaceSet) -> dict[str, Range]:
    """Coded frames of each sequence, with those left out for want of landmarks."""
    rows = faces.table[["sequence", "frame"]]
    if faces.left_out is not None:
        rows = pd.concat([rows, faces.left_out[["sequence", "frame"]]])
    frames = rows.groupby("sequence")["frame"].agg(["min", "max", "size"])
    return {str(s): Range(int(r["min"]), int(r["max"]), int(r["size"])) for s, r in frames.iterrows()}


def _subjects(faces: FaceSet, known: Known) -> list[Finding]:
    present = set(faces.table["subject"])
    missing = sorted(known.subjects - present)
    if not missing:
        return []
    return [
        Finding(
            f"subjects missing, or nothing of them can be used: {' '.join(missing)}",
            where=str(faces.root),
            expected=f"{len(known.subjects)} subjects",
            found=f"{len(present)} subjects",
            remedy="copy their labels and images from your dataset",
        )
    ]


def _sequences(found: Mapping[str, Range], coded: Mapping[str, Range], known: Known) -> list[Finding]:
    findings: list[Finding] = []
    gone: dict[str, list[str]] = defaultdict(list)
    for name, full in sorted(known.ranges.items()):
        have = found.get(name) or coded.get(name)
        if have is None:
            subject, _, task = name.partition("/")
            gone[subject].append(task)
        elif have != full:
            what = _difference(name, have, full, known.ranges)
            findings.append(Finding(f"{name}: {what}", expected=_say(full), found=_say(have), remedy=_RANGE_REMEDY))
    absent = [
        Finding(f"{subject}: sequences missing: {' '.join(tasks)}", remedy=_RANGE_REMEDY)
        for subject, tasks in sorted(gone.items())
        if tasks != [""]  # a dataset with one sequence a subject: the subject is named already
    ]
    for name, count in sorted(known.counts.items()):
        have = found.get(name)
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


_RANGE_REMEDY = "copy this sequence's labels and images from your dataset anew"


def _difference(name: str, have: Range, full: Range, ranges: Mapping[str, Range]) -> str:
    """In which way a sequence's frames are not the known ones."""
    # The same subject's sequences first: files are swapped within a folder's neighbourhood.
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


def _frame_lines(faces: FaceSet, protocol: Protocol, known: Known) -> list[Line]:
    subject_of = {name: name.partition("/")[0] for name in known.ranges}
    out = faces.left_out
    lines = []
    for group, subjects in {"all": protocol.subjects, **{p: frozenset(s) for p, s in protocol.parts.items()}}.items():
        inside = int(faces.table["subject"].isin(subjects).sum())
        lost = 0 if out is None else int(out["subject"].isin(subjects).sum())
        full = sum(r.frames for name, r in known.ranges.items() if subject_of[name] in subjects)
        total = f"{full:,}" if known.ranges else f"about {protocol.frames:,}" if group == "all" else "?"
        found = f"{inside:,}" + (f" and {lost:,} without landmarks near" if lost else "")
        lines.append(Line("frames" if group == "all" else f"frames of {group}", found, total))
    return lines


def _rates(faces: FaceSet, known: Known, found: Mapping[str, Range]) -> tuple[list[Line], list[Finding]]:
    lines: list[Line] = []
    silent = [
        au for au, known_ in zip(faces.label_names, (faces.labels != UNKNOWN).any(axis=0), strict=True) if not known_
    ]
    findings = [Finding(f"AUs without any known label: {' '.join(silent)}")] if silent else []
    whole = all(found.get(name) == full for name, full in known.ranges.items())
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
        # Of some frames alone nobody knows the rates.
        if wrong and whole:
            findings.append(
                Finding(
                    f"AUs occur more or less often than known ({group}): {_few(wrong)}",
                    expected=f"within {known.tolerance:.1f} percentage points",
                    remedy="look for columns or files that changed places, and for intensities taken for occurrences",
                    severity="fault" if known.certain else "remark",
                )
            )
    if known.rates and not whole:
        lines.append(Line("rates of AUs", "not judged, frames differ", ""))
    return lines, findings


def _of_error(error: UserError) -> Finding:
    return Finding(error.what, error.where or "", error.expected or "", error.found or "", error.remedy or "")


def _few(items: Sequence[str]) -> str:
    return ", ".join(items[:FEW]) + (f" and {len(items) - FEW} more" if len(items) > FEW else "")


@dataclass(frozen=True)
class _Side:
    """What is particular to a dataset.

    Attributes:
        coded: The coded frames of one sequence, from its labels alone; None where it has none.
        more: Findings that no other dataset has: root, protocol, profile, sequences that have labels.
    """

    coded: Callable[[Path, Protocol, Profile, str], Sequence[int] | None]
    more: Callable[[Path, Protocol, Profile, Iterable[str]], list[Finding]]


def _quietly(
    coded: Callable[[Path, Protocol, Profile, str], Sequence[int] | None],
    root: Path,
    protocol: Protocol,
    profile: Profile,
    sequence: str,
) -> Range | None:
    try:
        frames = coded(root, protocol, profile, sequence)
    except UserError:
        return None  # the reader has said so
    return Range(frames[0], frames[-1], len(frames)) if frames else None


def _bp4d_coded(root: Path, protocol: Protocol, _: Profile, sequence: str) -> Sequence[int] | None:
    file = root / protocol.folder / bp4d.CODING / f"{sequence.replace('/', '_')}.csv"
    return bp4d.read_coding(file, protocol.aus).frames if file.is_file() else None


def _bp4d_more(root: Path, protocol: Protocol, _: Profile, sequences: Iterable[str]) -> list[Finding]:
    home = root / protocol.folder
    files = sorted(f for f in (home / bp4d.CODING).glob("*.csv") if not f.name.startswith("."))
    images = home / bp4d.SEQUENCES if (home / bp4d.SEQUENCES).is_dir() else home
    folders = {f"{p.parent.name}/{p.name}" for p in images.glob("[FM][0-9][0-9][0-9]/T*") if p.is_dir()}
    named = set(sequences) | {f.stem.replace("_", "/") for f in files}
    return [*_repeats(files), *_unlabelled(sorted(folders - named), images)]


def _disfa_coded(root: Path, protocol: Protocol, profile: Profile, sequence: str) -> Sequence[int] | None:
    folder = root / protocol.folder / disfa.LABELS / sequence
    return disfa.read_labels(folder, sequence, protocol.aus).frames if folder.is_dir() else None


def _disfa_more(root: Path, protocol: Protocol, profile: Profile, _: Iterable[str]) -> list[Finding]:
    home, findings = root / protocol.folder, []
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
        if left.stat().st_size == right.stat().st_size and _digest([left]) == _digest([right]):
            what = f"{subject} has one and the same video for both cameras"
            findings.append(Finding(what, where=str(left), remedy="copy both videos of this subject anew"))
    folders = sorted(p for p in (home / disfa.LABELS).iterdir() if p.is_dir())
    return findings + _repeats_of({f: sorted(f.glob("*.txt")) for f in folders})


def _gft_coded(root: Path, protocol: Protocol, profile: Profile, sequence: str) -> Sequence[int] | None:
    return None  # no ranges are known that they could be held against


def _gft_more(root: Path, protocol: Protocol, profile: Profile, sequences: Iterable[str]) -> list[Finding]:
    home = root / protocol.folder
    files = sorted(f for f in (home / profile.gft.annotations).glob("*.csv") if not f.name.startswith("."))
    images = home / profile.gft.images
    folders = {p.name for p in images.glob("[0-9][0-9][0-9][ABC]") if p.is_dir()}
    named = set(sequences) | {f.name[:4] for f in files}
    return [*_repeats(files), *_unlabelled(sorted(folders - named), images)]


_SIDES: Mapping[str, _Side] = MappingProxyType(
    {
        "bp4d": _Side(_bp4d_coded, _bp4d_more),
        "disfa": _Side(_disfa_coded, _disfa_more),
        "gft": _Side(_gft_coded, _gft_more),
    }
)


def _unlabelled(names: list[str], where: Path) -> list[Finding]:
    if not names:
        return []
    what = f"images without labels: {_few(names)}"
    return [Finding(what, str(where), remedy="copy their label files, or take the images out", severity="remark")]


def _repeats(files: list[Path]) -> list[Finding]:
    return _repeats_of({f: [f] for f in files})


def _repeats_of(files: Mapping[Path, list[Path]]) -> list[Finding]:
    """Labels that stand under two names."""
    by_content: dict[str, list[Path]] = defaultdict(list)
    for name, own in files.items():
        by_content[_digest(own)].append(name)
    return [
        Finding(
            f"the same labels under {len(names)} names: {_few([n.name for n in names])}",
            where=str(names[0].parent),
            remedy="copy these files from your dataset anew",
        )
        for names in by_content.values()
        if len(names) > 1 and _rows(files[names[0]]) >= REPEATS_FROM
    ]


def _rows(files: list[Path]) -> int:
    return max((file.read_bytes().count(b"\n") - 1 for file in files), default=0)


def _digest(files: Iterable[Path]) -> str:
    digest = blake2b(digest_size=16)
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
