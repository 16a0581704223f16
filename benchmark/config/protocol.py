"""What the paper fixes for each dataset: AUs, subjects, parts, and the sizes by which a full copy is known.

Sources: paper §4.1 and its Tables 1 to 3. Subject parts of BP4D: the lists published with JAA-Net
(github.com/ZhiwenShao/PyTorch-JAANet, data/list), which ME-GraphAU, AU-Net and FG-Net share as sets. The
same sets carry different fold numbers in different repositories, so a part is always named by the
subjects that are *tested* (ambiguity A15).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict, model_validator

from benchmark.core.errors import UserError, did_you_mean

ALL = "all"
"""The part of a trial that learns from everyone and is tested on no one."""
FE_DATASET = "rafdb"
"""Whose trials are stages that learn from FE images alone."""
PROTOCOL_VERSION = 1
"""Raised when a change of this file can change a result; part of every trial's key."""

EMOTIONS = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
"""The seven classes in the order of RAF-DB's codes 1 to 7."""
RELATED_AUS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "surprise": ("AU5", "AU26"),
        "fear": ("AU1",),
        "disgust": ("AU9",),
        "happiness": ("AU6", "AU12"),
        "sadness": ("AU4", "AU6"),
        "anger": ("AU4", "AU5"),
    }
)
"""The AUs that the paper names for a class in its discussion of Figure 6 (§4.4)."""


class Protocol(BaseModel):
    """One AU dataset as the paper uses it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    """Name on the command line."""
    folder: str
    """Name of the dataset's folder below the data root."""
    aus: tuple[int, ...]
    """The AUs that are scored, in the paper's order."""
    parts: dict[str, tuple[str, ...]]
    """Test part -> its subjects. A trial trains on all other subjects."""
    train_only: tuple[str, ...] = ()
    """Subjects that no part tests."""
    frames: int
    """Coded frames in the full dataset, by which a complete copy is told from a partial one."""
    sequences: int
    """Videos in the full dataset."""

    @model_validator(mode="after")
    def _parts_are_disjoint(self) -> Protocol:
        subjects = [*self.train_only, *(s for part in self.parts.values() for s in part)]
        if len(set(subjects)) != len(subjects):
            raise ValueError("a subject stands in two parts")
        return self

    @property
    def au_names(self) -> tuple[str, ...]:
        """`AU1`, `AU2`, ... in the paper's order."""
        return tuple(f"AU{k}" for k in self.aus)

    @property
    def subjects(self) -> frozenset[str]:
        return frozenset(self.train_only).union(*self.parts.values())


BP4D = Protocol(
    dataset="bp4d",
    folder="BP4D",
    aus=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24),
    parts={
        "part1": (
            "F001",
            "F002",
            "F008",
            "F009",
            "F010",
            "F016",
            "F018",
            "F023",
            "M001",
            "M004",
            "M007",
            "M008",
            "M012",
            "M014",
        ),
        "part2": (
            "F003",
            "F005",
            "F011",
            "F013",
            "F020",
            "F022",
            "M002",
            "M005",
            "M010",
            "M011",
            "M013",
            "M016",
            "M017",
            "M018",
        ),
        "part3": (
            "F004",
            "F006",
            "F007",
            "F012",
            "F014",
            "F015",
            "F017",
            "F019",
            "F021",
            "M003",
            "M006",
            "M009",
            "M015",
        ),
    },
    frames=146_847,
    sequences=328,
)

DISFA = Protocol(
    dataset="disfa",
    folder="DISFA",
    aus=(1, 2, 4, 6, 9, 12, 25, 26),
    parts={
        "part1": ("SN001", "SN002", "SN009", "SN010", "SN016", "SN026", "SN027", "SN030", "SN032"),
        "part2": ("SN006", "SN011", "SN012", "SN013", "SN018", "SN021", "SN024", "SN028", "SN031"),
        "part3": ("SN003", "SN004", "SN005", "SN007", "SN008", "SN017", "SN023", "SN025", "SN029"),
    },
    frames=130_814,
    sequences=27,
)
"""Parts as in the lists of JAA-Net, AU-Net and ME-GraphAU."""

_GFT_INFERRED_TEST = tuple(f"{triad:03d}{letter}" for triad in (5, 12, 13, 15, 27, 32) for letter in "ABC")
GFT = Protocol(
    dataset="gft",
    folder="GFT",
    aus=(1, 2, 4, 6, 10, 12, 14, 15, 23, 24),
    parts={"test": _GFT_INFERRED_TEST},
    train_only=tuple(
        subject
        for triad in range(1, 33)
        for letter in "ABC"
        if (subject := f"{triad:03d}{letter}") not in _GFT_INFERRED_TEST
    ),
    frames=132_600,
    sequences=96,
)
"""The split is inferred: of Patch-MCD's lists, the six triads with 24,619 frames fit the paper's 24,600 test images.
A split file of the dataset's owner takes its place (`benchmark.datasets.gft.reader`)."""

PROTOCOLS = MappingProxyType({p.dataset: p for p in (BP4D, DISFA, GFT)})


def get_protocol(dataset: str) -> Protocol:
    """The protocol of a dataset.

    Raises:
        UserError: No dataset of that name.
    """
    if dataset not in PROTOCOLS:
        raise UserError(f"unknown dataset '{dataset}'", remedy=did_you_mean(dataset, PROTOCOLS))
    return PROTOCOLS[dataset]
