"""Results of the readings' probe, and the rule that chooses the primary reading by them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError
from scipy.special import expit

from benchmark.core.errors import UserError

INERT = (0.9, 1.1)
"""Relative weights between which a reading is inert: its central 90 % then differ from equal weights by a tenth."""
CENTRAL = (0.05, 0.95)
"""Quantiles that hold the central 90 %."""
HELD_OUT_SHARE = 0.2
"""Share of the training subjects that is held out."""
MOST_HELD_FRAMES = 512
"""Largest number of their frames in a gradient."""
WEIGHED_IMAGES = 256
"""Largest number of AU images, and of FE images, whose weights are followed."""
LOOKS = 10
"""Number of looks at weights and gradients during a training."""

Floats = npt.NDArray[np.float64]


class Range(NamedTuple):
    """Ends of a range of weights."""

    low: float
    high: float


class Named(BaseModel):
    """A reading: its name, its reason and its settings in words, and its own `val_batch_norm`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    reason: str
    settings: str
    val_batch_norm: str


class ReadingRow(BaseModel):
    """Measurements of one training under a reading.

    Attributes:
        reading: Name of the reading.
        val_batch_norm: Batch normalisation of the validation pass (A5).
        seed: Seed of the split, the weights and the batches.
        steps: Updates before the end, or before a loss diverged.
        meta_gradient: |∇ψ|, mean over the updates.
        au: Central 90 % of the weights of AU images, extrapolated linearly.
        fe: Central 90 % of the weights of FE images, extrapolated linearly.
        relative: Central 90 % of the weights of both, in units of their mean, extrapolated linearly.
        wandering: The same if the path of ψ wanders, so that it grows by the root of the steps.
        step_ratio: Norm of an update of θ, mean over the updates, in units of MTL's on the same batches.
        cosine: Cosine of the gradients of L_val on the reserve and on held-out people, mean over the looks.

    A value that a diverged training does not have is NaN.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    reading: str
    val_batch_norm: str
    seed: int
    steps: int
    meta_gradient: float
    au: Range
    fe: Range
    relative: Range
    wandering: Range
    step_ratio: float
    cosine: float


class Setting(BaseModel):
    """Data and budget of the probe.

    Attributes:
        command: Command line that made it.
        machine: Processor or GPU, and version of torch.
        title: Name of the AU dataset in prose.
        origin: Origin of the faces.
        profile: Name of the profile.
        overrides: Changes to the profile.
        training: Network, optimisers and images, in words.
        part: Test part, whose people are left out.
        seeds: Seeds.
        steps: Updates of each training.
        end: Step that weights are extrapolated to.
        budget: Updates of a trial of the profile on these data.
        batch: Sizes of the batches: AU, FE and AU validation images.
        learning: Subjects that are learned from, by seed.
        held_out: Subjects that are held out, by seed.
        held_frames: Frames of held-out people in a gradient, by seed.
        reserve: Frames of the reserve, K, by seed.
        trial_reserve: Frames of the reserve of a trial of the profile, by seed.
        start: Name of the dataset that trials start from, but not the probe; "" for none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: str
    machine: str
    title: str
    origin: str
    profile: str
    overrides: tuple[str, ...]
    training: str
    part: str
    seeds: tuple[int, ...]
    steps: int
    end: int
    budget: int
    batch: tuple[int, int, int]
    learning: tuple[int, ...]
    held_out: tuple[int, ...]
    held_frames: tuple[int, ...]
    reserve: tuple[int, ...]
    trial_reserve: tuple[int, ...]
    start: str = ""


class ReadingsResult(BaseModel):
    """All measurements, from which the page is made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    setting: Setting
    readings: tuple[Named, ...]
    """The readings in the order of preference."""
    rows: tuple[ReadingRow, ...]

    def summaries(self) -> list[Summary]:
        """Summaries by reading and `val_batch_norm`, those of a reading's own first."""
        made = []
        for reading in self.readings:
            kinds = sorted({row.val_batch_norm for row in self.rows}, key=lambda kind: kind != reading.val_batch_norm)
            for kind in kinds:
                rows = [row for row in self.rows if (row.reading, row.val_batch_norm) == (reading.name, kind)]
                made.append(Summary(reading, kind, tuple(rows), self.setting.steps))
        return made

    def primary(self) -> str:
        """Name of the first reading that is not inert and did not diverge; of the first one if there is none."""
        own = [summary for summary in self.summaries() if summary.is_own]
        active = [summary for summary in own if not summary.is_inert and not summary.diverged]
        return (active or own)[0].reading.name


class Summary(NamedTuple):
    """Measurements under one reading and one `val_batch_norm`, of all seeds."""

    reading: Named
    val_batch_norm: str
    rows: tuple[ReadingRow, ...]
    steps: int

    @property
    def is_own(self) -> bool:
        """Whether this is the reading's own `val_batch_norm`."""
        return self.val_batch_norm == self.reading.val_batch_norm

    @property
    def diverged(self) -> int:
        """Number of trainings that diverged."""
        return sum(row.steps < self.steps for row in self.rows)

    def mean(self, name: str) -> float:
        """Mean of a measurement over the seeds."""
        return float(np.mean([getattr(row, name) for row in self.rows]))

    def mean_range(self, name: str) -> Range:
        """Mean of both ends of a range over the seeds."""
        low, high = np.mean([getattr(row, name) for row in self.rows], axis=0)
        return Range(float(low), float(high))

    @property
    def is_inert(self) -> bool:
        """Whether the relative weights stay within `INERT`, mean over the seeds."""
        return _is_within(self.mean_range("relative"))

    @property
    def moves_wandering(self) -> bool:
        """Whether the relative weights leave `INERT`, mean over the seeds, even if the path of ψ wanders."""
        return not _is_within(self.mean_range("wandering"))


def _is_within(ends: Range) -> bool:
    return INERT[0] <= ends.low and ends.high <= INERT[1]


def extrapolated_linearly(steps: Sequence[int], logits: Floats, end: int) -> Floats:
    """Logits at step `end`, if they grow as so far: by the least-squares slope of a line through 0 at step 0.

    Args:
        steps: Steps of the looks, (L,).
        logits: Logits of the weights at these steps, (L, N).
        end: Step to extrapolate to.

    Returns:
        (N,).

    Example:
        >>> extrapolated_linearly([1, 2], np.array([[0.1], [0.2]]), 10).round(6)
        array([1.])
    """
    at = np.asarray(steps, dtype=np.float64)
    slopes: Floats = at @ logits / (at @ at)
    return slopes * end


def extrapolated_wandering(steps: Sequence[int], logits: Floats, end: int) -> Floats:
    """Logits at step `end`, if ψ wanders: those of the last look, times the root of the ratio of the steps.

    Arguments and result are those of `extrapolated_linearly`.

    Example:
        >>> extrapolated_wandering([50, 100], np.array([[0.1], [0.2]]), 400)
        array([0.4])
    """
    last: Floats = logits[-1]
    return last * math.sqrt(end / steps[-1])


def central(values: Floats) -> Range:
    """The central 90 % of values."""
    low, high = np.quantile(values, CENTRAL)
    return Range(float(low), float(high))


def weights_of(logits: Floats) -> Floats:
    """Raw weights of logits: their logistic function."""
    weights: Floats = expit(logits)
    return weights


def relative_weights(logits: Floats) -> Floats:
    """Raw weights of logits in units of their mean: a normalisation leaves nothing else of them."""
    weights = weights_of(logits)
    return weights / float(weights.mean())


def read_probe(file: Path) -> ReadingsResult:
    """Read the measurements that `write_readings` wrote.

    Raises:
        UserError: The file is missing, or holds something else.
    """
    remedy = "run `malbench readings` without --page-only"
    if not file.is_file():
        raise UserError("no measurements of readings", where=file, remedy=remedy)
    try:
        return ReadingsResult.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise UserError(
            "the measurements of readings cannot be read",
            where=file,
            found=str(error).replace("\n", " ")[:160],
            remedy=remedy,
        ) from error
