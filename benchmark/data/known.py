"""What is known of a full copy of each dataset, from public lists; and of a stand-in, from its own ground truth.

The files in `known/` hold ranges of frame numbers, counts and rates, no label of any frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from benchmark.config.profile import Profile
from benchmark.config.protocol import BP4D, DISFA, EMOTIONS, GFT, Protocol
from benchmark.core.errors import UserError
from benchmark.data.faces import CLEAR, FaceSet
from benchmark.datasets.disfa.reader import JAA_BAD_FRAMES

FILES = Path(__file__).parents[1] / "datasets" / "known"
TRUTH = "truth"
"""Folder of a stand-in's ground truth."""
ACTIVE = 0.35
"""Intensity above which an AU of a stand-in occurs."""


@dataclass(frozen=True)
class Range:
    """The coded frames of a sequence: first, last, and how many lie between, both included."""

    first: int
    last: int
    frames: int


@dataclass(frozen=True)
class Known:
    """What a full copy of an AU dataset holds.

    Attributes:
        subjects: Everyone.
        ranges: Of each sequence, by its name in `FaceSet.table`; empty where they are not known.
        counts: Frames of each sequence where a public list tells no more than that, and may be thinned out.
        groups: Subjects of each name in `rates`.
        rates: Percentage of active frames, by group and AU.
        tolerance: Percentage points by which a rate may differ.
        certain: Whether a rate that differs is a fault, or may be the list's doing.
    """

    subjects: frozenset[str]
    ranges: Mapping[str, Range] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    rates: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    tolerance: float = 0.5
    certain: bool = True


def known_of(protocol: Protocol, profile: Profile, standin: Path | None) -> Known:
    """What is known of a dataset.

    Args:
        protocol: Of the dataset.
        profile: Its settings choose the frames.
        standin: Root of a stand-in; None for the dataset itself.
    """
    if standin is not None:
        file = standin / TRUTH / f"{protocol.dataset}.parquet"
        if not file.is_file():
            return Known(protocol.subjects)
        with _read_truth(file) as truth:
            return _of_standin(truth, protocol, profile)
    return _KNOWN[protocol.dataset](protocol, profile)


def known_classes(standin: Path | None) -> Mapping[str, Mapping[str, int]]:
    """Images of each emotion in RAF-DB's `train` and `test`; empty where nothing is known."""
    if standin is None:
        rows = _read("rafdb_classes").to_dict("records")
        return {str(row["split"]): {name: int(row[name]) for name in EMOTIONS} for row in rows}
    file = standin / TRUTH / "rafdb.parquet"
    if not file.is_file():
        return {}
    with _read_truth(file) as truth:
        split = truth["name"].str.partition("_")[0]
        return {
            str(name): {emotion: int((rows["label"] == code).sum()) for code, emotion in enumerate(EMOTIONS, start=1)}
            for name, rows in truth.groupby(split)
        }


@contextmanager
def _read_truth(file: Path) -> Iterator[pd.DataFrame]:
    """The table of a stand-in's ground truth; what goes wrong with it inside is the file's fault.

    Raises:
        UserError: It cannot be read, or holds something else.
    """
    try:
        yield pd.read_parquet(file)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        raise UserError(
            "the ground truth of a stand-in cannot be read",
            where=file,
            found=f"{type(error).__name__}: {error}"[:160],
            remedy="write the stand-in again: malbench data standin bp4d --out DIR",
        ) from error


def known_clear(fe: FaceSet) -> npt.NDArray[np.bool_] | None:
    """Whether the AUs of each FE image carry its label: what a stand-in knows, None of other data."""
    if fe.origin != "stand-in":
        return None
    known = known_fe(fe.root).set_index("path")
    return (known["kind"].reindex(fe.table["path"]) == CLEAR).to_numpy(bool) if len(known) else None


def known_fe(standin: Path) -> pd.DataFrame:
    """What is known of each FE image of a stand-in, by its `path`; empty where the stand-in lacks its ground truth.

    Returns:
        Columns `path`, `kind`, `depicted` (the index of the emotion whose AUs were drawn, neutral for a cue-only
        image, -1 for none), and for each AU whether it occurs.
    """
    file = standin / TRUTH / "rafdb.parquet"
    if not file.is_file():
        return pd.DataFrame({"path": pd.Series(dtype=str)})
    with _read_truth(file) as truth:
        depicted = truth["true_label"] - 1  # RAF-DB's codes count from 1
        depicted = depicted.mask(truth["kind"] == "cue_only", EMOTIONS.index("neutral"))
        known = truth[["path", "kind"]].assign(depicted=depicted.mask(truth["kind"] == "marked", -1))
        return known.join(truth.filter(regex=r"^AU\d+$") > ACTIVE)


def _bp4d(protocol: Protocol, _: Profile) -> Known:
    ranges = {
        f"{row['subject']}/{row['task']}": Range(row["first"], row["last"], row["last"] - row["first"] + 1)
        for row in _read("bp4d_ranges").to_dict("records")
    }
    return Known(protocol.subjects, ranges, groups=_parts(protocol), rates=_rates("bp4d_rates"))


def _disfa(protocol: Protocol, profile: Profile) -> Known:
    ranges = {}
    for subject in protocol.subjects:
        last = 4844 if subject == "SN010" else 4845  # as in the lists of ME-GraphAU
        ranges[subject] = _range([f for f in range(1, last + 1) if _is_wanted(subject, f, profile)])
    # The rates are those of all frames.
    rates = _rates("disfa_rates") if profile.disfa.frames == "all" else {}
    return Known(protocol.subjects, ranges, groups=_parts(protocol), rates=rates)


def _gft(protocol: Protocol, _: Profile) -> Known:
    table = _read("gft_frames")
    return Known(
        GFT.subjects,
        counts=dict(zip(table["participant"].astype(str), table["frames"].tolist(), strict=True)),
        groups={str(name): frozenset(rows["participant"]) for name, rows in table.groupby("list")},
        rates={
            g: {au: r for au, r in rates.items() if au in protocol.au_names} for g, rates in _rates("gft_rates").items()
        },
        tolerance=2.0,
        certain=False,
    )


_KNOWN: Mapping[str, Callable[[Protocol, Profile], Known]] = MappingProxyType(
    {BP4D.dataset: _bp4d, DISFA.dataset: _disfa, GFT.dataset: _gft}
)


def _of_standin(truth: pd.DataFrame, protocol: Protocol, profile: Profile) -> Known:
    truth = truth[truth["coded"]]
    sequence = truth["subject"] + "/" + truth["task"] if "task" in truth else truth["subject"]
    if protocol.dataset == DISFA.dataset:
        wanted = [_is_wanted(s, f, profile) for s, f in zip(truth["subject"], truth["frame"], strict=True)]
        truth, sequence = truth[wanted], sequence[wanted]
    # Frames of noise are coded as unknown, which is no part of the rates that are found.
    faces = truth[~truth["marked"]] if "marked" in truth else truth
    rates = {au: 100 * float((faces[au] > ACTIVE).mean()) for au in protocol.au_names}
    there = frozenset(truth["subject"])
    return Known(
        there,
        {str(name): _range(sorted(frames)) for name, frames in truth["frame"].groupby(sequence)},
        groups={"all": there},
        rates={"all": rates},
        tolerance=max(0.5, 400 / max(len(faces), 1)),
    )


def _is_wanted(subject: str, frame: int, profile: Profile) -> bool:
    bad = JAA_BAD_FRAMES.get(subject, ()) if profile.disfa.frames == "jaa_clean" else ()
    return not any(first <= frame - 1 <= last for first, last in bad)


def _range(frames: list[int]) -> Range:
    return Range(frames[0], frames[-1], len(frames))


def _parts(protocol: Protocol) -> dict[str, frozenset[str]]:
    return {"all": protocol.subjects, **{part: frozenset(names) for part, names in protocol.parts.items()}}


def _rates(name: str) -> dict[str, dict[str, float]]:
    table = _read(name).set_index("group")
    return {str(group): {str(au): float(rate) for au, rate in row.items()} for group, row in table.iterrows()}


def _read(name: str) -> pd.DataFrame:
    return pd.read_csv(FILES / f"{name}.csv", comment="#")
