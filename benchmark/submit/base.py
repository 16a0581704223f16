"""Contract of an adapter: which columns of a program's output are AUs, on which scale, and which image a row is of.

An adapter is one file in `adapters/`, found by its decorator:

    @adapter("mytool")
    class MyTool(Adapter):
        title = "My tool"
        source = "https://..."
        presence = Scale({1: "AU01", 2: "AU02"}, low=0, high=1, threshold=0.5)

The rest of the suite uses this class only, so a new adapter needs no change of other files.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd


@dataclass(frozen=True)
class Scale:
    """AU columns of an output on one scale.

    Attributes:
        columns: Column by number of the AU.
        low: Least value, which a frame without a face gets.
        high: Largest value.
        threshold: An AU is active above it; None: the user must say.
        remark: Sentence that users must know about these columns.
    """

    columns: Mapping[int, str]
    low: float
    high: float
    threshold: float | None = None
    remark: str = ""


class Adapter(ABC):
    """Base of all adapters."""

    name: ClassVar[str]
    """Name on the command line, set by the decorator."""
    title: ClassVar[str]
    """Name of the program in prose."""
    source: ClassVar[str]
    """Place where its output format is described."""
    presence: ClassVar[Scale]
    """The columns of `malbench score` without a threshold: decisions or probabilities."""
    intensity: ClassVar[Scale | None] = None
    """The columns of `malbench score --threshold`; None: those of `presence`."""
    image: ClassVar[str] = ""
    """Column with the name of the image or video; "": the name of the output file says it."""
    frame: ClassVar[str] = ""
    """Column with the number of the frame in its video or folder; "" for none."""
    first_frame: ClassVar[int] = 0
    """Number of the first frame in that column."""
    confidence: ClassVar[str] = ""
    """Column by which one of several faces of an image is chosen, the largest value; "" for the first row."""

    def has_face(self, table: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Whether the program found a face, (N,) of an output's N rows."""
        return np.ones(len(table), dtype=np.bool_)

    def scale(self, *, by_threshold: bool) -> Scale:
        """The scale that is scored, where the user gave a threshold or none."""
        return self.intensity if by_threshold and self.intensity is not None else self.presence


A = TypeVar("A", bound=type[Adapter])


def adapter(name: str) -> Callable[[A], A]:
    """Mark a class as the adapter of this name, which is the name of its file."""

    def mark(cls: A) -> A:
        cls.name = name
        return cls

    return mark


def numbers(column: pd.Series) -> pd.Series:
    """Numbers of a column of whatever kind, as float64; NaN for what is none."""
    if column.dtype.kind in "iufb":
        return column.astype(np.float64)
    return pd.to_numeric(column.astype(str), errors="coerce").astype(np.float64)


def au_columns(numbers: tuple[int, ...], pattern: str) -> dict[int, str]:
    """Columns by number of the AU.

    Example:
        >>> au_columns((1, 12), "AU{:02d}_c")
        {1: 'AU01_c', 12: 'AU12_c'}
    """
    return {number: pattern.format(number) for number in numbers}
