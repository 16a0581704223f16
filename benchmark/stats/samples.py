"""A number of our runs with both noises, and sums and differences of such numbers."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from benchmark.core.f1 import FloatArray, IntArray
from benchmark.stats.bootstrap import SEED, Interval, Jackknife
from benchmark.stats.crossed import PairedNoise, larger, over_subjects, satterthwaite, t_interval, variance_of_mean
from benchmark.stats.trainings import Prediction


def _empty() -> FloatArray:
    return np.empty(0)


@dataclass(frozen=True)
class Sample:
    """A number: its value, how it changes with the test subjects, and how it changes with training.

    A printed number has a value alone. Numbers of one dataset share their draws and their trainings, and so can be
    subtracted.

    Attributes:
        value: The number; NaN if undefined.
        draws: (D,), its draws over resampled subjects; empty if it does not depend on test subjects.
        trainings: (R,), the number of each training; empty for a printed number.
        left_out: (S,), the number without each subject; empty like `draws`.
        parts: (S,), test part of each subject.
        dataset: Dataset that it belongs to; "" for none.
        paired: Variance of training within a seed, pooled over methods, and its degrees of freedom; a difference of
            two numbers has the sum of their variances.
    """

    value: float
    draws: FloatArray = field(default_factory=_empty)
    trainings: FloatArray = field(default_factory=_empty)
    left_out: FloatArray = field(default_factory=_empty)
    parts: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    dataset: str = ""
    paired: tuple[float, float] = (math.nan, 0.0)

    @property
    def is_exact(self) -> bool:
        """Whether the number has no noise: it is printed, or counted."""
        return not len(self.trainings)

    def plus(self, other: Sample, sign: float = 1.0) -> Sample:
        """Sum with another number, or the difference if `sign` is −1.

        Raises:
            ValueError: Both have noise and belong to different datasets.

        Example:
            >>> Sample(3.0, trainings=np.array([2.0, 4.0])).plus(Sample(1.0), -1).trainings
            array([1., 3.])
        """
        if self.is_exact and not other.is_exact:
            return other._times(sign).plus(self)
        if other.is_exact:
            shift = sign * other.value
            return replace(
                self,
                value=self.value + shift,
                draws=self.draws + shift,
                trainings=self.trainings + shift,
                left_out=self.left_out + shift,
            )
        if self.dataset != other.dataset or len(self.trainings) != len(other.trainings):
            raise ValueError(f"numbers of {self.dataset} and {other.dataset} share no subjects or no trainings")
        return replace(
            self,
            value=self.value + sign * other.value,
            draws=self.draws + sign * other.draws,
            trainings=self.trainings + sign * other.trainings,
            left_out=self.left_out + sign * other.left_out,
            paired=(self.paired[0] + other.paired[0], self.paired[1]),
        )

    def _times(self, sign: float) -> Sample:
        return replace(
            self,
            value=sign * self.value,
            draws=sign * self.draws,
            trainings=sign * self.trainings,
            left_out=sign * self.left_out,
        )

    def interval(self) -> Interval:
        """95 % interval over subjects and trainings, as of a `crossed.Difference`; NaN ends for one training."""
        terms = [self._over_trainings(1 / max(len(self.trainings), 1))]
        if len(self.left_out):
            terms.append(over_subjects(Jackknife(self.left_out[:, None], self.parts)))
        variances, degrees = (np.stack(side) for side in zip(*terms, strict=True))
        error, total = satterthwaite(variances, degrees)
        return t_interval(self.value, float(error[0]), float(total[0]))

    def one_more(self) -> Prediction:
        """The number that one more training would give."""
        count = len(self.trainings)
        variance, freedom = self._over_trainings(1.0, scale=count)
        widened = float(variance[0]) * (1 + 1 / max(count, 1))
        return Prediction(self.value, (widened,), (float(freedom[0]),), count)

    def _over_trainings(self, share: float, scale: float = 1.0) -> tuple[FloatArray, FloatArray]:
        """Variance over trainings, the larger one of two estimates, and its degrees of freedom: (1,) each.

        Args:
            share: Share of the variance of one training.
            scale: Factor from the variance of a mean to that share.
        """
        mean, freedom = variance_of_mean(self.trainings[:, None])
        return larger((scale * mean, freedom), PairedNoise(np.array([self.paired[0]]), self.paired[1]), share)


def crossed_draws(samples: Sequence[Sample]) -> list[FloatArray]:
    """(D,) for each number, draws over subjects and trainings together; empty for one training.

    Trainings are resampled with replacement, the same ones for every number of a dataset, and widened by
    √(R / (R − 1)), since resamples of R vary less than R trainings.
    """
    alike: dict[tuple[int, int, str], list[int]] = {}
    for place, sample in enumerate(samples):
        alike.setdefault((len(sample.draws), len(sample.trainings), sample.dataset), []).append(place)
    made = [_empty()] * len(samples)
    for (draws, count, dataset), places in alike.items():
        if count < 2 or not draws:
            continue
        trainings = np.stack([samples[place].trainings for place in places])
        moved = _resamples(draws, count, dataset) @ (trainings - trainings.mean(axis=1, keepdims=True)).T
        for place, change in zip(places, moved.T, strict=True):
            made[place] = samples[place].draws + change * math.sqrt(count / (count - 1))
    return made


@lru_cache(maxsize=16)
def _resamples(draws: int, trainings: int, dataset: str) -> FloatArray:
    """Shares (D, R) of each training in resamples of R trainings."""
    generator = np.random.default_rng([SEED, trainings, zlib.crc32(dataset.encode())])
    shares = generator.multinomial(trainings, np.full(trainings, 1 / trainings), size=draws) / trainings
    shares.flags.writeable = False
    return shares
